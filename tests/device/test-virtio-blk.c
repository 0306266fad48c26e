/*
 * test-virtio-blk.c - the disk behind virtio queues: each request, wrong ones, errors, resets.
 */
#include <errno.h>
#include <string.h>

#include "block/blk.h"
#include "core/error.h"
#include "core/lock.h"
#include "hw/classes.h"
#include "medium.h"
#include "std/virtio_blk.h"
#include "virtio-driver.h"

#define HEADER 0x100000u
#define DATA 0x110000u
#define STATUS 0x1f0000u
#define RANGE 0x1e0000u
#define W VIRTQ_DESC_WRITE
#define SECTORS 256u
#define CONFIG(field) (MODERN + 0x2000 + (unsigned)offsetof(VirtioBlkConfig, field))

typedef struct Rig {
	Harness *h;
	Device *dev;
	Blk *blk;
	Medium *m;
	VirtDriver d;
	Kind kind;
} Rig;

/* All but the queue's format, features and start. */
static void rig_new(Rig *r, const char *properties, Kind kind, Loop *loop)
{
	Harness *h = harness_new();

	*r = (Rig){ .h = h, .kind = kind, .m = medium_new(SECTORS * 512, 0) };
	if (loop)
		harness_add_loop(h, loop);
	r->blk = blk_new("disk");
	blk_insert(r->blk, medium_node(r->m, "medium"));
	harness_add(h, &i440fx_pcihost_class);
	r->dev = harness_make(h, &virtio_blk_pci_class);
	device_set_ptr(r->dev, "drive", r->blk);
	harness_set(r->dev, "queue-size", "16");
	harness_set(r->dev, "packed", kind == KIND_PACKED ? "on" : "off");
	harness_set_all(r->dev, properties);
	harness_realize(r->dev);
	driver_map(h);
}

static void rig_start(Rig *r, uint64_t features)
{
	driver_start(&r->d, r->h, (Echo *)r->dev, r->kind, 0, features | VIRTIO_BLK_F_FLUSH);
}

static void rig_free(Rig *r)
{
	harness_free(r->h);
	machine_lock();
	blk_free(r->blk);
	machine_unlock();
	medium_free(r->m);
}

/* ---- requests ---- */

static void header(Rig *r, unsigned n, uint32_t type, uint64_t sector)
{
	VirtioBlkHeader head = { .type = type, .sector = sector };
	memcpy(r->h->board.ram + HEADER + 16 * n, &head, sizeof(head));
	r->h->board.ram[STATUS + n] = 0xee;
}

/* Adds request n: data of `bytes`, which the device reads (out) or writes. */
static void add(Rig *r, unsigned n, uint32_t type, uint64_t sector, uint64_t at, uint32_t bytes,
	bool out)
{
	Part parts[3] = { { HEADER + 16 * n, 16, 0 } };
	unsigned count = 1;
	header(r, n, type, sector);
	if (bytes)
		parts[count++] = (Part){ at, bytes, out ? 0 : W };
	parts[count++] = (Part){ STATUS + n, 1, W };
	driver_add(&r->d, parts, count);
}

static uint8_t one(Rig *r, uint32_t type, uint64_t sector, uint64_t at, uint32_t bytes, bool out)
{
	add(r, 0, type, sector, at, bytes, out);
	driver_kick(&r->d);
	driver_wait(&r->d);
	return r->h->board.ram[STATUS];
}

static uint8_t range(Rig *r, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	VirtioBlkRange range = { sector, sectors, flags };
	memcpy(r->h->board.ram + RANGE, &range, sizeof(range));
	return one(r, type, 0, RANGE, sizeof(range), true);
}

static void read_write(Rig *r)
{
	uint8_t *ram = r->h->board.ram;

	g_assert_cmphex(one(r, VIRTIO_BLK_T_IN, 3, DATA, 1024, false), ==, VIRTIO_BLK_S_OK);
	g_assert_cmpmem(ram + DATA, 1024, r->m->data + 3 * 512, 1024);
	memset(ram + DATA, 0x5a, 2048);
	g_assert_cmphex(one(r, VIRTIO_BLK_T_OUT, SECTORS - 4, DATA, 2048, true), ==,
		VIRTIO_BLK_S_OK);
	g_assert_cmpmem(ram + DATA, 2048, r->m->data + (SECTORS - 4) * 512, 2048);
	unsigned flushes = r->m->flushes;
	g_assert_cmphex(one(r, VIRTIO_BLK_T_FLUSH, 0, 0, 0, false), ==, VIRTIO_BLK_S_OK);
	g_assert_cmpuint(r->m->flushes, ==, flushes + 1);
	memset(ram + DATA, 0xff, 20);
	g_assert_cmphex(one(r, VIRTIO_BLK_T_GET_ID, 0, DATA, 20, false), ==, VIRTIO_BLK_S_OK);
	g_assert_cmpmem(ram + DATA, 20, "abc\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

static void test_requests(gconstpointer kind)
{
	Rig r;
	rig_new(&r, "serial=abc", (Kind)GPOINTER_TO_INT(kind), NULL);
	rig_start(&r, 0);
	read_write(&r);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_DISCARD, 8, 8, 0), ==, VIRTIO_BLK_S_OK);
	g_assert_cmphex(r.m->data[8 * 512], ==, 0xdd);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_WRITE_ZEROES, 16, 8, 1), ==, VIRTIO_BLK_S_OK);
	g_assert_cmphex(r.m->data[16 * 512], ==, 0);
	g_assert_cmphex(r.m->data[24 * 512], !=, 0);
	g_assert_cmpuint(r.m->discards, ==, 1);
	g_assert_cmpuint(r.m->zeroes, ==, 1);
	g_assert_null(((VirtioPci *)r.dev)->vdev.error);
	rig_free(&r);
}

static void test_iothread(gconstpointer kind)
{
	Rig r;
	GError *error = NULL;
	Loop *loop = loop_new(0, &error);
	g_assert_no_error(error);
	rig_new(&r, "serial=abc,iothread=io0", (Kind)GPOINTER_TO_INT(kind), loop);
	for (unsigned i = 0; i < 20; i++) {
		rig_start(&r, 0);
		read_write(&r);
		for (unsigned n = 0; n < 5; n++)
			add(&r, n, VIRTIO_BLK_T_IN, n, DATA, 512, false);
		driver_kick(&r.d);
		driver_reset(&r.d);
		g_assert_cmpuint(blk_in_flight(r.blk), ==, 0);
	}
	rig_free(&r);
	loop_free(loop);
}

static void test_refused(void)
{
	Rig r;
	rig_new(&r, "logical_block_size=1024,physical_block_size=4k,max-discard-sectors=16", KIND_MODERN,
		NULL);
	rig_start(&r, 0);
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t bytes;
		bool out;
		uint8_t status;
	} bad[] = {
		{ VIRTIO_BLK_T_IN, 1, 1024, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 512, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, SECTORS, 1024, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, SECTORS - 2, 2048, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, UINT64_MAX - 1, 1024, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 1ull << 55, 1024, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 0, 1023, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_SCSI_CMD, 0, 64, true, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_SECURE_ERASE, 0, 16, true, VIRTIO_BLK_S_UNSUPP },
		{ 0x1234, 0, 0, false, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, 0, 8, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, 32, true, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, true, VIRTIO_BLK_S_IOERR },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmphex(one(&r, bad[i].type, bad[i].sector, DATA, bad[i].bytes, bad[i].out), ==,
			bad[i].status);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_DISCARD, 0, 16, 1), ==, VIRTIO_BLK_S_UNSUPP);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_DISCARD, 0, 18, 0), ==, VIRTIO_BLK_S_IOERR);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_DISCARD, 1, 2, 0), ==, VIRTIO_BLK_S_IOERR);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0, 2, 2), ==, VIRTIO_BLK_S_UNSUPP);
	g_assert_cmphex(range(&r, VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 2, 0), ==,
		VIRTIO_BLK_S_IOERR);
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_IN, 0, DATA, 1024, false), ==, VIRTIO_BLK_S_OK);
	/* No place for the status, no header: the device stands still. */
	for (unsigned i = 0; i < 2; i++) {
		rig_start(&r, 0);
		header(&r, 0, VIRTIO_BLK_T_IN, 0);
		driver_add(&r.d, &(Part){ HEADER, 16, i ? W : 0 }, 1);
		driver_kick(&r.d);
		g_assert_cmphex(driver_status(&r.d) & 0x40, ==, 0x40);
	}
	rig_start(&r, 0);
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_IN, 0, DATA, 1024, false), ==, VIRTIO_BLK_S_OK);
	rig_free(&r);
}

static void test_config(void)
{
	Rig r;
	rig_new(&r, "logical_block_size=1k,physical_block_size=4k,min_io_size=4k,opt_io_size=64k,"
		"num-queues=3,discard_granularity=8k", KIND_MODERN, NULL);
	Harness *h = r.h;
	g_assert_cmphex(pci_in(h, SLOT, 0, 0, 4), ==, 0x10011af4);
	g_assert_cmphex(pci_in(h, SLOT, 0, 8, 4) >> 16, ==, 0x0100);
	put32(h, COMMON(device_feature_select), 0);
	g_assert_cmphex(readl(h, COMMON(device_feature)), ==, 0x30007e54);
	g_assert_cmpuint(readl(h, CONFIG(capacity)), ==, SECTORS);
	g_assert_cmpuint(readl(h, CONFIG(seg_max)), ==, 14);
	g_assert_cmpuint(get16(h, CONFIG(cylinders)), ==, 2);
	g_assert_cmpuint(as_load(h->board.mem, CONFIG(heads), 1), ==, 16);
	g_assert_cmpuint(readl(h, CONFIG(blk_size)), ==, 1024);
	g_assert_cmpuint(as_load(h->board.mem, CONFIG(physical_block_exp), 1), ==, 2);
	g_assert_cmpuint(get16(h, CONFIG(min_io_size)), ==, 4);
	g_assert_cmpuint(readl(h, CONFIG(opt_io_size)), ==, 64);
	g_assert_cmpuint(as_load(h->board.mem, CONFIG(writeback), 1), ==, 1);
	g_assert_cmpuint(get16(h, CONFIG(num_queues)), ==, 3);
	g_assert_cmpuint(readl(h, CONFIG(max_discard_sectors)), ==, 4194303);
	g_assert_cmpuint(readl(h, CONFIG(discard_sector_alignment)), ==, 16);
	g_assert_cmpuint(readl(h, CONFIG(max_write_zeroes_sectors)), ==, 4194303);
	/* The cache is the guest's to turn off, and comes back with a reset. */
	rig_start(&r, VIRTIO_BLK_F_CONFIG_WCE);
	as_store(h->board.mem, CONFIG(writeback), 0, 1);
	g_assert_false(blk_write_cache(r.blk));
	unsigned flushes = r.m->flushes;
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_OUT, 0, DATA, 1024, true), ==, VIRTIO_BLK_S_OK);
	g_assert_cmpuint(r.m->flushes, ==, flushes + 1);
	driver_reset(&r.d);
	g_assert_true(blk_write_cache(r.blk));
	/* A driver that cannot flush gets none. */
	driver_start(&r.d, h, (Echo *)r.dev, KIND_MODERN, 0, 0);
	g_assert_false(blk_write_cache(r.blk));
	/* A longer medium: the driver is told. */
	void *opaque;
	driver_msix(&r.d);
	machine_lock();
	h->msi_count = 0;
	blk_node(r.blk)->length -= 1024;
	blk_device(r.blk, &opaque)->resized(opaque);
	machine_unlock();
	g_assert_cmpuint(h->msi_count, ==, 1);
	g_assert_cmpuint(readl(h, CONFIG(capacity)), ==, SECTORS - 2);
	rig_free(&r);
}

static unsigned errors_told;
static void on_error(void *opaque, Blk *blk, bool write, int err, const char *action)
{
	errors_told++;
}

static void test_errors(void)
{
	Rig r;
	rig_new(&r, "werror=stop,rerror=report", KIND_MODERN, NULL);
	rig_start(&r, 0);
	blk_set_error_fn(on_error, NULL);
	r.m->error = -EIO;
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, false), ==, VIRTIO_BLK_S_IOERR);
	g_assert_cmpuint(errors_told, ==, 1);
	/* A write is kept until the user goes on. */
	r.m->error = -ENOSPC;
	memset(r.h->board.ram + DATA, 0x77, 512);
	add(&r, 0, VIRTIO_BLK_T_OUT, 5, DATA, 512, true);
	driver_kick(&r.d);
	harness_wait(r.h, &errors_told);
	harness_run(r.h, 5000000);
	g_assert_cmphex(r.h->board.ram[STATUS], ==, 0xee);
	g_assert_cmpint(blk_stopped_error(r.blk), ==, -ENOSPC);
	machine_lock();
	blk_flush_all(); /* does not wait for what is held back */
	r.m->error = 0;
	blk_retry_all();
	machine_unlock();
	driver_wait(&r.d);
	g_assert_cmphex(r.h->board.ram[STATUS], ==, VIRTIO_BLK_S_OK);
	g_assert_cmphex(r.m->data[5 * 512], ==, 0x77);
	/* Kept, then the guest resets. */
	r.m->error = -EIO;
	add(&r, 0, VIRTIO_BLK_T_OUT, 5, DATA, 512, true);
	driver_kick(&r.d);
	harness_run(r.h, 5000000);
	driver_reset(&r.d);
	g_assert_cmpuint(blk_in_flight(r.blk), ==, 0);
	r.m->error = 0;
	rig_start(&r, 0);
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, false), ==, VIRTIO_BLK_S_OK);
	blk_set_error_fn(NULL, NULL);
	rig_free(&r);
}

static gpointer let_go(gpointer opaque)
{
	g_usleep(20000);
	((Medium *)opaque)->hold = false;
	return NULL;
}

static void test_reset(gconstpointer kind)
{
	Rig r;
	rig_new(&r, "", (Kind)GPOINTER_TO_INT(kind), NULL);
	for (unsigned i = 0; i < 5; i++) {
		rig_start(&r, 0);
		r.m->hold = true;
		for (unsigned n = 0; n < 5; n++)
			add(&r, n, n & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, n, DATA + 4096 * n, 512, n & 1);
		driver_kick(&r.d);
		g_assert_cmpuint(blk_in_flight(r.blk), ==, 5);
		GThread *t = g_thread_new("let-go", let_go, r.m);
		driver_reset(&r.d);
		g_assert_cmpuint(blk_in_flight(r.blk), ==, 0);
		g_assert_cmpuint(r.m->waiting, ==, 0);
		g_thread_join(t);
	}
	rig_start(&r, 0);
	g_assert_cmphex(one(&r, VIRTIO_BLK_T_IN, 0, DATA, 512, false), ==, VIRTIO_BLK_S_OK);
	rig_free(&r);
}

static void test_properties(void)
{
	static const char *const bad[][2] = {
		{ "logical_block_size", "1000" }, { "physical_block_size", "768" },
		{ "logical_block_size", "4k" }, { "num-queues", "0" }, { "num-queues", "1025" },
		{ "queue-size", "2" }, { "queue-size", "100" }, { "iothread", "none" },
		{ "min_io_size", "100" }, { "cyls", "70000" },
	};
	Rig r;
	rig_new(&r, "", KIND_MODERN, NULL);
	Blk *empty = blk_new("empty");
	for (unsigned i = 0; i < G_N_ELEMENTS(bad) + 2; i++) {
		GError *error = NULL;
		Device *dev = harness_make(r.h, &virtio_blk_pci_class);
		if (i < G_N_ELEMENTS(bad)) {
			device_set_ptr(dev, "drive", r.blk);
			g_assert_true(device_set(dev, bad[i][0], bad[i][1], &error));
		} else if (i == G_N_ELEMENTS(bad)) {
			device_set_ptr(dev, "drive", empty);
		}
		machine_lock();
		g_assert_false(device_realize(dev, &error));
		machine_unlock();
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
	blk_free(empty);
	char *path = virtio_blk_pci_class.boot_path(r.dev);
	g_assert_cmpstr(path, ==, "/pci@i0cf8/scsi@2/disk@0,0");
	g_free(path);
	rig_free(&r);
}

static void add_kinds(const char *name, void (*fn)(gconstpointer))
{
	static const char *const names[] = { "legacy", "modern", "packed" };
	for (int k = KIND_LEGACY; k < KINDS; k++) {
		char *path = g_strdup_printf("/virtio-blk/%s/%s", name, names[k]);
		g_test_add_data_func(path, GINT_TO_POINTER(k), fn);
		g_free(path);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	add_kinds("requests", test_requests);
	add_kinds("iothread", test_iothread);
	add_kinds("reset", test_reset);
	g_test_add_func("/virtio-blk/refused", test_refused);
	g_test_add_func("/virtio-blk/config", test_config);
	g_test_add_func("/virtio-blk/errors", test_errors);
	g_test_add_func("/virtio-blk/properties", test_properties);
	return g_test_run();
}
