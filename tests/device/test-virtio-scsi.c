/*
 * test-virtio-scsi.c - the SCSI host behind virtio queues: commands, configuration, errors, resets.
 * What the units say to commands is test-scsi.c's.
 */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "virtio-scsi-rig.h"

#define CONFIG(field) (MODERN + 0x2000 + (unsigned)offsetof(VirtioScsiConfig, field))

/* ---- commands ---- */

static void read_write(VsRig *r)
{
	Medium *m = r->s.m[0];
	g_assert_cmphex(vs_one(r, vs_disk, vs_read(3, 2), 1024, 0), ==, 0);
	g_assert_cmpuint(r->used_bytes, ==, 108 + 1024);
	g_assert_cmpuint(vs_answer(r, 0)->residual, ==, 0);
	g_assert_cmpmem(r->ram + DATA(0), 1024, m->data + 3 * SECTOR, 1024);
	memset(r->ram + DATA(0), 0x5a, 1024);
	g_assert_cmphex(vs_one(r, vs_disk, vs_write(7, 2), 0, 1024), ==, 0);
	g_assert_cmpuint(r->used_bytes, ==, 108);
	g_assert_cmpmem(r->ram + DATA(0), 1024, m->data + 7 * SECTOR, 1024);
	unsigned flushes = m->flushes;
	g_assert_cmphex(vs_one(r, vs_disk, CDB(0x35), 0, 0), ==, 0);
	g_assert_cmpuint(m->flushes, ==, flushes + 1);
	g_assert_cmphex(vs_one(r, vs_cd, vs_read(1, 1), 2048, 0), ==, 0);
	g_assert_cmpmem(r->ram + DATA(0), 2048, r->s.m[2]->data + 2048, 2048);
}

static void test_requests(gconstpointer kind)
{
	VsRig r;
	vs_make(&r, "", "", (Kind)GPOINTER_TO_INT(kind), NULL);
	/* The sense data is in the answer, and nobody has to ask for it. */
	g_assert_cmphex(vs_one(&r, vs_disk, TEST_UNIT_READY, 0, 0), ==, SENSE_POWER_ON);
	g_assert_cmpuint(vs_answer(&r, 0)->sense_len, ==, SCSI_SENSE_LEN);
	g_assert_cmphex(vs_one(&r, vs_disk, CDB(3, 0, 0, 0, 18), 18, 0), ==, 0);
	g_assert_cmphex(r.ram[DATA(0) + 2], ==, 0);
	vs_settle(&r);
	read_write(&r);
	/* Fewer bytes than there is room for. */
	memset(r.ram + DATA(0), 0xcc, 96);
	g_assert_cmphex(vs_one(&r, vs_disk, CDB(0x12, 0, 0, 0, 96), 96, 0), ==, 0);
	g_assert_cmpuint(vs_answer(&r, 0)->residual, ==, 60);
	g_assert_cmpuint(r.used_bytes, ==, 108 + 36);
	g_assert_cmphex(r.ram[DATA(0) + 36], ==, 0xcc);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 1), 4 * SECTOR, 0), ==, 0);
	g_assert_cmpuint(vs_answer(&r, 0)->residual, ==, 3 * SECTOR);
	/* More than there is room for: nothing moves. */
	memset(r.ram + DATA(0), 0xcc, SECTOR);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 2), SECTOR, 0), ==, RESPONSE(OVERRUN));
	g_assert_cmphex(r.ram[DATA(0)], ==, 0xcc);
	uint8_t before = r.s.m[0]->data[0];
	g_assert_cmphex(vs_one(&r, vs_disk, vs_write(0, 2), 0, SECTOR), ==, RESPONSE(OVERRUN));
	g_assert_cmphex(r.s.m[0]->data[0], ==, before);
	/* Data both ways is a feature that is not offered. */
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 1), SECTOR, SECTOR), ==, RESPONSE(FAILURE));
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(510, 4), 2048, 0), ==, SENSE_BAD_LBA);
	g_assert_false(vs_broken(&r));
	rig_free(&r.s);
}

static void test_addresses(void)
{
	static const struct { uint8_t lun[8]; uint32_t result; } where[] = {
		{ { 1, 1 }, 0 }, { { 1, 1, 0x40, 0 }, 0 },
		{ { 1, 3 }, RESPONSE(BAD_TARGET) }, { { 1, 255 }, RESPONSE(BAD_TARGET) },
		{ { 0, 1 }, RESPONSE(BAD_TARGET) }, { { 2, 1 }, RESPONSE(BAD_TARGET) },
		{ { 1, 1, 0x80, 0 }, RESPONSE(BAD_TARGET) },
		{ { 1, 1, 0xc1, 1 }, RESPONSE(BAD_TARGET) },
		{ { 1, 1, 0x40, 1 }, SENSE_BAD_LUN }, { { 1, 1, 0x7f, 0xff }, SENSE_BAD_LUN },
	};
	VsRig r;
	vs_make(&r, "", "", KIND_MODERN, NULL);
	vs_settle(&r);
	for (unsigned i = 0; i < G_N_ELEMENTS(where); i++) {
		Address to;
		memcpy(&to, where[i].lun, 8);
		g_assert_cmphex(vs_one(&r, to, TEST_UNIT_READY, 0, 0), ==, where[i].result);
	}
	/* A target lists its units even under a number that it does not have. */
	const Cdb report_luns = CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16);
	g_assert_cmphex(vs_one(&r, (Address){ { 1, 1, 0x40, 9 } }, report_luns, 16, 0), ==, 0);
	g_assert_cmphex(r.ram[DATA(0) + 3], ==, 8);
	rig_free(&r.s);
}

static void test_queues(gconstpointer kind)
{
	VsRig r;
	vs_make(&r, "", "", (Kind)GPOINTER_TO_INT(kind), NULL);
	vs_settle(&r);
	r.s.m[0]->hold = true;
	for (unsigned i = 0; i < 6; i++)
		vs_add(&r, FIRST + 1 + i % 2, i, vs_disk, vs_read(i, 1), SECTOR, 0);
	driver_kick(&r.q[FIRST + 1]);
	driver_kick(&r.q[FIRST + 2]);
	g_assert_cmpuint(blk_in_flight(r.s.blk[0]), ==, 6);
	/* Others are not held up. */
	g_assert_cmphex(vs_one(&r, vs_cd, TEST_UNIT_READY, 0, 0), ==, 0);
	r.s.m[0]->hold = false;
	for (unsigned i = 1; i < 6; i++) { /* vs_one() took request 0's place */
		vs_wait(&r, FIRST + 1 + i % 2);
		g_assert_cmpmem(r.ram + DATA(i), SECTOR, r.s.m[0]->data + i * SECTOR, SECTOR);
	}
	rig_free(&r.s);
}

static void test_iothread(gconstpointer kind)
{
	VsRig r;
	GError *error = NULL;
	Loop *loop = loop_new(0, &error);
	g_assert_no_error(error);
	vs_make(&r, ",iothread=io0", "", (Kind)GPOINTER_TO_INT(kind), loop);
	for (unsigned i = 0; i < 20; i++) {
		vs_start(&r, (Kind)GPOINTER_TO_INT(kind), 0);
		vs_settle(&r);
		read_write(&r);
		for (unsigned n = 0; n < 6; n++)
			vs_add(&r, FIRST + n % 3, n, vs_disk, vs_read(n, 1), SECTOR, 0);
		for (unsigned q = FIRST; q < QUEUES; q++)
			driver_kick(&r.q[q]);
		driver_reset(&r.q[FIRST]);
		g_assert_cmpuint(blk_in_flight(r.s.blk[0]), ==, 0);
	}
	rig_free(&r.s);
	loop_free(loop);
}

/* ---- configuration ---- */

static void test_config(void)
{
	VsRig r;
	vs_make(&r, ",max_sectors=100,cmd_per_lun=5", "", KIND_MODERN, NULL);
	Harness *h = r.h;
	g_assert_cmphex(pci_in(h, SLOT, 0, 0, 4), ==, 0x10041af4);
	g_assert_cmphex(pci_in(h, SLOT, 0, 8, 4) >> 16, ==, 0x0100);
	put32(h, COMMON(device_feature_select), 0);
	g_assert_cmphex(readl(h, COMMON(device_feature)), ==, 0x30000006);
	g_assert_cmpuint(readl(h, CONFIG(num_queues)), ==, 3);
	g_assert_cmpuint(readl(h, CONFIG(seg_max)), ==, 14);
	g_assert_cmpuint(readl(h, CONFIG(max_sectors)), ==, 100);
	g_assert_cmpuint(readl(h, CONFIG(cmd_per_lun)), ==, 5);
	g_assert_cmpuint(readl(h, CONFIG(event_info_size)), ==, 16);
	g_assert_cmpuint(get16(h, CONFIG(max_channel)), ==, 0);
	g_assert_cmpuint(get16(h, CONFIG(max_target)), ==, 255);
	g_assert_cmpuint(readl(h, CONFIG(max_lun)), ==, 16383);
	/* Shorter sense data, a shorter command block */
	put32(h, CONFIG(sense_size), 14);
	put32(h, CONFIG(cdb_size), 16);
	g_assert_cmpuint(readl(h, CONFIG(sense_size)), ==, 14);
	g_assert_cmpuint(readl(h, CONFIG(cdb_size)), ==, 16);
	r.sense = 14;
	r.cdb = 16;
	g_assert_cmphex(vs_one(&r, vs_disk, TEST_UNIT_READY, 0, 0), ==, SENSE_POWER_ON);
	g_assert_cmpuint(vs_answer(&r, 0)->sense_len, ==, 14);
	g_assert_cmphex(r.ram[ANSWER(0) + 12 + 14], ==, 0xee);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(9, 1), SECTOR, 0), ==, 0);
	g_assert_cmpuint(r.used_bytes, ==, 12 + 14 + SECTOR);
	g_assert_cmpmem(r.ram + DATA(0), SECTOR, r.s.m[0]->data + 9 * SECTOR, SECTOR);
	/* Longer than there is: the rest stays as it is. */
	put32(h, CONFIG(sense_size), 200);
	put32(h, CONFIG(cdb_size), 255);
	r.sense = 200;
	r.cdb = 255;
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(9, 1), SECTOR, 0), ==, 0);
	g_assert_cmpuint(r.used_bytes, ==, 12 + 200 + SECTOR);
	g_assert_cmpmem(r.ram + DATA(0), SECTOR, r.s.m[0]->data + 9 * SECTOR, SECTOR);
	/* A command block too short for its command, and none */
	put32(h, CONFIG(cdb_size), 6);
	r.cdb = 6;
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(9, 1), SECTOR, 0), ==, SENSE_BAD_OPCODE);
	put32(h, CONFIG(cdb_size), 0);
	put32(h, CONFIG(sense_size), 0);
	r.cdb = r.sense = 0;
	vs_add(&r, FIRST, 0, vs_disk, TEST_UNIT_READY, 0, 0);
	driver_kick(&r.q[FIRST]);
	g_assert_cmpuint(vs_wait(&r, FIRST), ==, 12);
	g_assert_cmphex(vs_answer(&r, 0)->status, ==, SCSI_CHECK_CONDITION);
	g_assert_cmphex(vs_answer(&r, 0)->sense_len, ==, 0);
	/* Read-only fields, and sizes beyond all reason; a reset brings the old ones back. */
	put32(h, CONFIG(num_queues), 1);
	g_assert_cmpuint(readl(h, CONFIG(num_queues)), ==, 3);
	g_assert_false(vs_broken(&r));
	put32(h, CONFIG(cdb_size), 256);
	g_assert_true(vs_broken(&r));
	vs_start(&r, KIND_MODERN, 0);
	g_assert_cmpuint(readl(h, CONFIG(sense_size)), ==, 96);
	g_assert_cmpuint(readl(h, CONFIG(cdb_size)), ==, 32);
	put32(h, CONFIG(sense_size), 65536);
	g_assert_true(vs_broken(&r));
	vs_start(&r, KIND_MODERN, 0);
	g_assert_cmphex(vs_one(&r, vs_disk, TEST_UNIT_READY, 0, 0), ==, 0);
	rig_free(&r.s);
}

/* ---- what goes wrong ---- */

static void test_malformed(gconstpointer kind)
{
	static const struct { Part part[3]; unsigned count; } bad[] = {
		{ { { REQUEST(0), 50, 0 }, { ANSWER(0), 108, W } }, 2 },      /* header too short */
		{ { { REQUEST(0), 51, 0 }, { ANSWER(0), 107, W } }, 2 },      /* answer too short */
		{ { { REQUEST(0), 51, 0 } }, 1 }, { { { ANSWER(0), 108, W } }, 1 },
		{ { { REQUEST(0), 51, 0 }, { 0xfffffffff000, 108, W } }, 2 }, /* no memory there */
		{ { { ANSWER(0), 108, W }, { REQUEST(0), 51, 0 } }, 2 },      /* wrong order */
		{ { { REQUEST(0), 51, 0 }, { ANSWER(0), 108, W }, { DATA(0), 1u << 31, W } }, 3 },
	};
	VsRig r;
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	vs_make(&r, "", "", k, NULL);
	vs_settle(&r);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		vs_start(&r, k, 0);
		memset(r.ram + REQUEST(0), 0, 64);
		r.ram[REQUEST(0)] = 1;
		driver_add(&r.q[FIRST], bad[i].part, bad[i].count);
		driver_kick(&r.q[FIRST]);
		g_assert_true(vs_broken(&r));
	}
	vs_start(&r, k, 0);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 1), SECTOR, 0), ==, 0);
	rig_free(&r.s);
}

static unsigned errors_told;
static void on_error(void *opaque, Blk *blk, bool write, int err, const char *action)
{
	errors_told++;
}

static void retry(VsRig *r)
{
	machine_lock();
	r->s.m[0]->error = 0;
	blk_retry_all();
	machine_unlock();
}

static void begin(VsRig *r, Cdb c, bool out)
{
	errors_told = 0;
	vs_add(r, FIRST, 0, vs_disk, c, out ? 0 : SECTOR, out ? SECTOR : 0);
	driver_kick(&r->q[FIRST]);
	harness_wait(r->h, &errors_told);
	g_assert_false(vs_is_used(r, FIRST));
}

/* Requests that failed are kept until the machine goes on, or until the guest gives them up. */
static void test_stop(void)
{
	VsRig r;
	vs_make(&r, "", "werror=stop,rerror=stop", KIND_MODERN, NULL);
	vs_settle(&r);
	blk_set_error_fn(on_error, NULL);
	r.s.m[0]->error = -ENOSPC;
	memset(r.ram + DATA(0), 0x77, SECTOR);
	begin(&r, vs_write(5, 1), true);
	g_assert_cmpint(blk_stopped_error(r.s.blk[0]), ==, -ENOSPC);
	retry(&r);
	vs_wait(&r, FIRST);
	g_assert_cmphex(vs_result(&r, 0), ==, 0);
	g_assert_cmphex(r.s.m[0]->data[5 * SECTOR], ==, 0x77);
	/* It may fail once more. */
	r.s.m[0]->error = -EIO;
	begin(&r, vs_read(6, 1), false);
	errors_told = 0;
	machine_lock();
	blk_retry_all();
	machine_unlock();
	harness_wait(r.h, &errors_told);
	retry(&r);
	vs_wait(&r, FIRST);
	g_assert_cmphex(vs_result(&r, 0), ==, 0);
	g_assert_cmpmem(r.ram + DATA(0), SECTOR, r.s.m[0]->data + 6 * SECTOR, SECTOR);
	/* SYNCHRONIZE CACHE is a write in this. */
	r.s.m[0]->error = -EIO;
	begin(&r, CDB(0x35), false);
	retry(&r);
	vs_wait(&r, FIRST);
	g_assert_cmphex(vs_result(&r, 0), ==, 0);
	/* Aborted while it is kept, then the guest resets. */
	r.s.m[0]->error = -EIO;
	begin(&r, vs_write(5, 1), true);
	vs_task_function(&r, VIRTIO_SCSI_TMF_ABORT_TASK, vs_disk, 0);
	driver_reset(&r.q[FIRST]);
	g_assert_cmpuint(blk_in_flight(r.s.blk[0]), ==, 0);
	r.s.m[0]->error = 0;
	vs_start(&r, KIND_MODERN, 0);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(0, 1), SECTOR, 0), ==, 0);
	blk_set_error_fn(NULL, NULL);
	rig_free(&r.s);
}

static void test_report(void)
{
	VsRig r;
	vs_make(&r, "", "werror=report,rerror=ignore", KIND_MODERN, NULL);
	vs_settle(&r);
	r.s.m[0]->error = -EIO;
	g_assert_cmphex(vs_one(&r, vs_disk, vs_write(5, 1), 0, SECTOR), ==, SENSE_WRITE_ERROR);
	g_assert_cmphex(vs_one(&r, vs_disk, vs_read(5, 1), SECTOR, 0), ==, 0);
	r.s.m[0]->error = -ENOSPC;
	g_assert_cmphex(vs_one(&r, vs_disk, vs_write(5, 1), 0, SECTOR), ==, SENSE_SPACE);
	rig_free(&r.s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	vs_test_kinds("requests", test_requests);
	g_test_add_func("/virtio-scsi/addresses", test_addresses);
	vs_test_kinds("queues", test_queues);
	vs_test_kinds("iothread", test_iothread);
	g_test_add_func("/virtio-scsi/config", test_config);
	vs_test_kinds("malformed", test_malformed);
	g_test_add_func("/virtio-scsi/stop", test_stop);
	g_test_add_func("/virtio-scsi/report", test_report);
	return g_test_run();
}
