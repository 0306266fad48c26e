/* virtio-scsi-rig.c - see virtio-scsi-rig.h. */
#include "virtio-scsi-rig.h"

#include <stdatomic.h>
#include <string.h>

#include "hw/classes.h"

const Address vs_disk = { { 1, 0 } }, vs_cd = { { 1, 2, 0x40, 0 } };

void vs_start(VsRig *r, Kind kind, uint64_t features)
{
	driver_start(&r->q[FIRST], r->h, (Echo *)r->s.adapter, kind, FIRST, features);
	for (unsigned i = 0; i < QUEUES; i++) {
		if (i == FIRST)
			continue;
		r->q[i] = r->q[FIRST];
		r->q[i].q = i;
		driver_queue(&r->q[i]);
	}
	r->sense = VIRTIO_SCSI_SENSE_DEFAULT;
	r->cdb = VIRTIO_SCSI_CDB_DEFAULT;
}

void vs_make(VsRig *r, const char *properties, const char *disk, Kind kind, Loop *loop)
{
	char *all = g_strdup_printf("num_queues=3,virtqueue_size=16,packed=%s%s",
		kind == KIND_PACKED ? "on" : "off", properties);
	rig_new(&r->s, &virtio_scsi_pci_class, all, disk, loop);
	g_free(all);
	r->h = r->s.h;
	r->ram = r->h->board.ram;
	driver_map(r->h);
	vs_start(r, kind, VIRTIO_SCSI_F_HOTPLUG | VIRTIO_SCSI_F_CHANGE);
}

uint32_t vs_wait(VsRig *r, unsigned queue)
{
	return driver_wait(&r->q[queue]);
}

bool vs_is_used(VsRig *r, unsigned queue)
{
	uint32_t id, len;
	harness_run(r->h, 5000000);
	return driver_used(&r->q[queue], &id, &len);
}

bool vs_broken(VsRig *r)
{
	bool error = atomic_load(&((VirtioPci *)r->s.adapter)->vdev.broken);
	bool told = driver_status(&r->q[FIRST]) & VIRTIO_STATUS_NEEDS_RESET;
	g_assert_true(told == error || r->q[FIRST].kind == KIND_LEGACY);
	return error;
}

Cdb vs_read(unsigned lba, unsigned blocks)
{
	return CDB(0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, (uint8_t)blocks, 0);
}

Cdb vs_write(unsigned lba, unsigned blocks)
{
	Cdb c = vs_read(lba, blocks);
	c.byte[0] = 0x2a;
	return c;
}

void vs_add(VsRig *r, unsigned queue, unsigned n, Address to, Cdb c, uint32_t in, uint32_t out)
{
	VirtioScsiCmd cmd = { .id = ID + n };
	Part parts[4];
	unsigned count = 0;
	memcpy(cmd.lun, &to, 8);
	memcpy(cmd.cdb, &c, sizeof(c));
	memcpy(r->ram + REQUEST(n), &cmd, sizeof(cmd));
	memset(r->ram + ANSWER(n), 0xee, 0x200);
	parts[count++] = (Part){ REQUEST(n), 19 + r->cdb, 0 };
	if (out)
		parts[count++] = (Part){ DATA(n), out, 0 };
	parts[count++] = (Part){ ANSWER(n), 12 + r->sense, W };
	if (in)
		parts[count++] = (Part){ DATA(n), in, W };
	driver_add(&r->q[queue], parts, count);
}

const VirtioScsiCmdAnswer *vs_answer(VsRig *r, unsigned n)
{
	return (const VirtioScsiCmdAnswer *)(r->ram + ANSWER(n));
}

uint32_t vs_result(VsRig *r, unsigned n)
{
	const VirtioScsiCmdAnswer *a = vs_answer(r, n);
	uint32_t sense = 0;
	if (a->sense_len)
		sense = (uint32_t)(a->sense[2] << 16 | a->sense[12] << 8 | a->sense[13]);
	g_assert_cmphex(a->status, ==, a->sense_len ? SCSI_CHECK_CONDITION : SCSI_GOOD);
	return (uint32_t)a->response << 24 | sense;
}

uint32_t vs_one(VsRig *r, Address to, Cdb c, uint32_t in, uint32_t out)
{
	vs_add(r, FIRST, 0, to, c, in, out);
	driver_kick(&r->q[FIRST]);
	r->used_bytes = vs_wait(r, FIRST);
	return vs_result(r, 0);
}

void vs_settle(VsRig *r)
{
	for (unsigned t = 0; t < RIG_UNITS; t++)
		vs_one(r, (Address){ { 1, (uint8_t)t } }, TEST_UNIT_READY, 0, 0);
}

void vs_task_function(VsRig *r, unsigned subtype, Address to, unsigned n)
{
	VirtioScsiTmf f = { VIRTIO_SCSI_T_TMF, subtype, { 0 }, ID + n };
	memcpy(f.lun, &to, 8);
	memcpy(r->ram + TASK_FUNCTION, &f, sizeof(f));
	r->ram[TASK_ANSWER] = 0xee;
	driver_add(&r->q[0], (Part[]){ { TASK_FUNCTION, sizeof(f), 0 }, { TASK_ANSWER, 1, W } }, 2);
	driver_kick(&r->q[0]);
}

void vs_test_kinds(const char *name, void (*fn)(gconstpointer))
{
	static const char *const names[] = { "legacy", "modern", "packed" };
	for (int k = KIND_LEGACY; k < KINDS; k++) {
		char *path = g_strdup_printf("/virtio-scsi/%s/%s", name, names[k]);
		g_test_add_data_func(path, GINT_TO_POINTER(k), fn);
		g_free(path);
	}
}
