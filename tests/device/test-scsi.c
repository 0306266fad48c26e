/*
 * test-scsi.c - the SCSI layer: units and their commands, targets, attention, errors - through an
 * adapter that does nothing but hand in memory.
 */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/lock.h"
#include "hw/classes.h"
#include "hw/scsi/scsi_bus.h"
#include "scsi-rig.h"

/* ---- an adapter without a guest ---- */

typedef struct Plain {
	PciDevice pci;
	ScsiBus bus;
	unsigned events;
} Plain;

static unsigned ended;

static void ready(ScsiRequest *r)
{
	bool *done = r->opaque;
	*done = true;
	ended++;
}

static void event(ScsiUnit *u) { ((Plain *)u->opaque)->events++; }

static const ScsiHost host = { .ready = ready, .event = event, .power_on_attention = true };

static bool plain_realize(Device *dev, GError **error)
{
	Plain *s = (Plain *)dev;
	static const PciIdentity id = { 0x1234, 0x0001, 0x0100 };
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->bus.max_target = 3;
	s->bus.max_lun = 300;
	scsi_bus_init(&s->bus, &s->pci, &host, s, loop_main());
	return true;
}

static void plain_unrealize(Device *dev)
{
	scsi_bus_exit(&((Plain *)dev)->bus);
	pci_exit(&((Plain *)dev)->pci);
}

static const Property props[] = { PCI_PROPERTIES, { 0 } };
static const StateField state[] = { PCI_STATE, { 0 } };
static const DeviceClass plain_class = {
	.name = "plain-scsi", .bus = "pci", .size = sizeof(Plain), .props = props, .state = state,
	.realize = plain_realize, .unrealize = plain_unrealize,
};

/* ---- commands ---- */

static uint8_t data[64 << 10];
static uint64_t moved;

/* Sense of the command, 0 if it is good; -1: no such target. Data in `data`, at most `room`. */
static int64_t go(ScsiRig *rig, unsigned target, unsigned lun, const uint8_t *cdb, unsigned len,
	uint32_t room)
{
	bool done = false;
	struct iovec iov[2] = { { data, room / 3 }, { data + room / 3, room - room / 3 } };
	machine_lock();
	ScsiRequest *r = scsi_bus_request(&((Plain *)rig->adapter)->bus, 0, target, lun, cdb, len,
		&done);
	machine_unlock();
	if (!r)
		return -1;
	for (unsigned i = 0; !r->ended && i < 1000; i++) {
		done = false;
		machine_lock();
		bool now = scsi_go(r, iov, room && !i ? 2 : 0);
		machine_unlock();
		for (unsigned n = 0; !now && !done && n < 5000; n++)
			harness_run(rig->h, 100000);
		g_assert_true(now || done);
	}
	g_assert_true(r->ended);
	moved = r->moved;
	int64_t sense = r->sense_len ? r->sense[2] << 16 | r->sense[12] << 8 | r->sense[13] : 0;
	g_assert_cmpuint(r->status, ==, sense ? SCSI_CHECK_CONDITION : SCSI_GOOD);
	machine_lock();
	scsi_request_free(r);
	machine_unlock();
	return sense;
}

#define GO(rig, target, room, ...) \
	go(rig, target, 0, (const uint8_t[]){ __VA_ARGS__ }, \
		sizeof((const uint8_t[]){ __VA_ARGS__ }), room)

/* Past the attention after power on. */
static void start(ScsiRig *r, const char *disk)
{
	rig_new(r, &plain_class, "", disk, NULL);
	for (unsigned t = 0; t < RIG_UNITS; t++) {
		g_assert_cmphex(GO(r, t, 0, 0, 0, 0, 0, 0, 0), ==, SENSE_POWER_ON);
		g_assert_cmphex(GO(r, t, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	}
}

static void test_inquiry(void)
{
	ScsiRig r;
	start(&r, "serial=S-123,vendor=Acme,product=Winchester,ver=1.0,wwn=0x5000c50015ea71ac,"
		"min_io_size=4k,opt_io_size=64k,rotation_rate=7200");
	g_assert_cmphex(GO(&r, 0, 96, 0x12, 0, 0, 0, 96, 0), ==, 0);
	g_assert_cmpuint(moved, ==, 36);
	g_assert_cmpmem(data, 8, "\0\0\5\x12\x1f\0\0\x12", 8);
	g_assert_cmpmem(data + 8, 28, "Acme    Winchester      1.0 ", 28);
	g_assert_cmphex(GO(&r, 0, 5, 0x12, 0, 0, 0, 5, 0), ==, 0);
	g_assert_cmpuint(moved, ==, 5);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\0\0\6\x00\x80\x83\xb0\xb1\xb2", 10);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0x80, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\x80\0\5S-123", 9);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0x83, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\x83\0\x15\2\0\0\5S-123\1\3\0\x08\x50\0\xc5\0\x15\xea\x71\xac", 25);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0xb0, 0, 255, 0), ==, 0);
	g_assert_cmpuint(moved, ==, 64);
	g_assert_cmpuint(scsi_get16(data + 6), ==, 8);
	g_assert_cmpuint(scsi_get32(data + 8), ==, 0x3fffff);
	g_assert_cmpuint(scsi_get32(data + 12), ==, 128);
	g_assert_cmpuint(scsi_get32(data + 20), ==, 0x200000);
	g_assert_cmpuint(scsi_get32(data + 28), ==, 8);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0xb1, 0, 255, 0), ==, 0);
	g_assert_cmpuint(scsi_get16(data + 4), ==, 7200);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0xb2, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, 8, "\0\xb2\0\4\0\xe0\2\0", 8);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 1, 0x77, 0, 255, 0), ==, SENSE_BAD_FIELD);
	g_assert_cmphex(GO(&r, 0, 255, 0x12, 0, 0x80, 0, 255, 0), ==, SENSE_BAD_FIELD);
	/* The second disk has no serial number: named by its drive; a CD has no block pages. */
	g_assert_cmphex(GO(&r, 1, 255, 0x12, 1, 0x83, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\x83\0\5\2\0\0\1" "1", 9);
	g_assert_cmphex(GO(&r, 1, 255, 0x12, 1, 0x80, 0, 255, 0), ==, SENSE_BAD_FIELD);
	g_assert_cmphex(GO(&r, 2, 255, 0x12, 1, 0xb0, 0, 255, 0), ==, SENSE_BAD_FIELD);
	g_assert_cmphex(GO(&r, 2, 255, 0x12, 0, 0, 0, 255, 0), ==, 0);
	g_assert_cmpmem(data, 2, "\5\x80", 2);
	rig_free(&r);
}

static void test_targets(void)
{
	ScsiRig r;
	GError *error = NULL;
	start(&r, "");
	g_assert_cmpint(GO(&r, 3, 0, 0, 0, 0, 0, 0, 0), ==, -1);
	/* A unit that is not there: INQUIRY and REQUEST SENSE say so, the rest is refused. */
	uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36 }, ready_cdb[6] = { 0 }, sense[6] = { 3, 0, 0, 0, 18 };
	g_assert_cmphex(go(&r, 0, 7, inquiry, 6, 36), ==, 0);
	g_assert_cmphex(data[0], ==, 0x7f);
	g_assert_cmphex(go(&r, 0, 7, ready_cdb, 6, 0), ==, SENSE_BAD_LUN);
	g_assert_cmphex(go(&r, 0, 7, sense, 6, 18), ==, 0);
	g_assert_cmphex(data[2] << 16 | data[12] << 8 | data[13], ==, SENSE_BAD_LUN);
	/* Another unit of target 1: both are reported, whomever one asks. */
	Device *dev = harness_make(r.h, &scsi_cd_class);
	device_set(dev, "scsi-id", "1", &error);
	device_set(dev, "lun", "290", &error);
	g_assert_no_error(error);
	harness_realize(dev);
	g_assert_cmphex(GO(&r, 1, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\x41\x22\0\0\0\0\0\0", 24);
	g_assert_cmphex(GO(&r, 1, 8, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0), ==, SENSE_BAD_FIELD);
	/* Places that are taken or do not exist. */
	static const char *const bad[][3] = {
		{ "0", "0", "0" }, { "0", "4", "0" }, { "0", "0", "301" }, { "1", "3", "0" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		dev = harness_make(r.h, &scsi_cd_class);
		device_set(dev, "channel", bad[i][0], &error);
		device_set(dev, "scsi-id", bad[i][1], &error);
		device_set(dev, "lun", bad[i][2], &error);
		g_assert_no_error(error);
		machine_lock();
		g_assert_false(device_realize(dev, &error));
		machine_unlock();
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
	/* Without a place: the one target that is left; then none is. */
	for (unsigned i = 0; i < 2; i++) {
		dev = harness_make(r.h, &scsi_cd_class);
		machine_lock();
		g_assert_true(device_realize(dev, &error) == !i);
		machine_unlock();
		g_clear_error(&error);
	}
	char *path = scsi_hd_class.boot_path(r.unit[1]);
	g_assert_cmpstr(path, ==, "/pci@i0cf8/scsi@2/channel@0/disk@1,0");
	g_free(path);
	rig_free(&r);
}

static void test_transfers(void)
{
	ScsiRig r;
	start(&r, "");
	Medium *m = r.m[0];
	g_assert_cmphex(GO(&r, 0, 1024, 0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0), ==, 0);
	g_assert_cmpmem(data, 1024, m->data + 3 * 512, 1024);
	g_assert_cmphex(GO(&r, 0, 512, 0x08, 0, 0, 5, 1, 0), ==, 0);
	g_assert_cmpmem(data, 512, m->data + 5 * 512, 512);
	memset(data, 0x5a, 4096);
	g_assert_cmphex(GO(&r, 0, 512, 0x0a, 0, 0, 6, 1, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 512, 0x2a, 0, 0, 0, 0, 8, 0, 0, 1, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 512, 0xaa, 0, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0), ==, 0);
	unsigned flushes = m->flushes;
	g_assert_cmphex(GO(&r, 0, 512, 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0), ==, 0);
	g_assert_cmpuint(m->flushes, >, flushes); /* FUA */
	for (unsigned lba = 6; lba <= 12; lba += 2) {
		g_assert_cmphex(m->data[lba * 512], ==, 0x5a);
		g_assert_cmphex(m->data[lba * 512 + 512], !=, 0x5a);
	}
	g_assert_cmphex(GO(&r, 0, 512, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 512, 0xa8, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0), ==, 0);
	g_assert_cmphex(data[511], ==, 0x5a);
	/* Outside, of no length, with protection. */
	g_assert_cmphex(GO(&r, 0, 512, 0x28, 0, 0, 0, 2, 0, 0, 0, 1, 0), ==, SENSE_BAD_LBA);
	g_assert_cmphex(GO(&r, 0, 512, 0x28, 0, 0, 0, 1, 0xff, 0, 0, 2, 0), ==, SENSE_BAD_LBA);
	g_assert_cmphex(GO(&r, 0, 512, 0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		255, 255, 0, 0), ==, SENSE_BAD_LBA);
	g_assert_cmphex(GO(&r, 0, 0, 0x28, 0, 0, 0, 0, 3, 0, 0, 0, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 512, 0x28, 0x20, 0, 0, 0, 3, 0, 0, 1, 0), ==, SENSE_BAD_FIELD);
	/* Capacity, verify, flush. */
	g_assert_cmphex(GO(&r, 0, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmpmem(data, moved, "\0\0\1\xff\0\0\2\0", 8);
	g_assert_cmphex(GO(&r, 0, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), ==, 0);
	g_assert_cmpmem(data, 16, "\0\0\0\0\0\0\1\xff\0\0\2\0\0\0\x80\0", 16);
	g_assert_cmphex(GO(&r, 0, 0, 0x2f, 0, 0, 0, 0, 3, 0, 0, 9, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 0, 0x2f, 0, 0, 0, 2, 3, 0, 0, 9, 0), ==, SENSE_BAD_LBA);
	flushes = m->flushes;
	g_assert_cmphex(GO(&r, 0, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmpuint(m->flushes, ==, flushes + 1);
	/* What a single initiator has no use for. */
	g_assert_cmphex(GO(&r, 0, 8, 0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0), ==, SENSE_BAD_OPCODE);
	g_assert_cmphex(GO(&r, 0, 24, 0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0), ==, SENSE_BAD_OPCODE);
	g_assert_cmphex(GO(&r, 0, 0, 0xff, 0, 0, 0, 0, 0), ==, SENSE_BAD_OPCODE);
	rig_free(&r);
}

static void test_clear(void)
{
	ScsiRig r;
	start(&r, "");
	Medium *m = r.m[0];
	/* UNMAP: two ranges, then one that lies outside. */
	memcpy(data, "\0\x26\0\x20\0\0\0\0" "\0\0\0\0\0\0\0\x10\0\0\0\2\0\0\0\0"
		"\0\0\0\0\0\0\0\x20\0\0\0\1\0\0\0\0", 40);
	g_assert_cmphex(GO(&r, 0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), ==, 0);
	g_assert_cmpuint(m->discards, ==, 2);
	g_assert_cmphex(m->data[17 * 512], ==, 0xdd);
	g_assert_cmphex(m->data[32 * 512], ==, 0xdd);
	data[14] = 9;
	g_assert_cmphex(GO(&r, 0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), ==, SENSE_BAD_LBA);
	g_assert_cmphex(GO(&r, 0, 4, 0x42, 0, 0, 0, 0, 0, 0, 0, 4, 0), ==, SENSE_BAD_LIST_LENGTH);
	/* WRITE SAME: zeroes, a pattern, none at all. */
	memset(data, 0, 512);
	g_assert_cmphex(GO(&r, 0, 512, 0x41, 8, 0, 0, 0, 40, 0, 0, 4, 0), ==, 0);
	g_assert_cmpuint(m->zeroes, ==, 1);
	g_assert_cmphex(m->data[43 * 512 + 511], ==, 0);
	memset(data, 0x77, 512);
	g_assert_cmphex(GO(&r, 0, 512, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 30, 0, 0), ==, 0);
	for (unsigned i = 60 * 512; i < 90 * 512; i++)
		g_assert_cmphex(m->data[i], ==, 0x77);
	g_assert_cmphex(m->data[90 * 512 + 2], !=, 0x77);
	g_assert_cmphex(GO(&r, 0, 512, 0x41, 8, 0, 0, 0, 40, 0, 0, 0, 0), ==, SENSE_BAD_FIELD);
	g_assert_cmphex(GO(&r, 0, 512, 0x41, 8, 0, 0, 1, 255, 0, 0, 4, 0), ==, SENSE_BAD_LBA);
	rig_free(&r);
}

static void test_modes(void)
{
	ScsiRig r;
	start(&r, "dpofua=on");
	g_assert_cmphex(GO(&r, 0, 64, 0x1a, 0, 8, 0, 64, 0), ==, 0);
	g_assert_cmpmem(data, 15, "\x1f\0\x10\x08\0\0\2\0\0\0\2\0\x08\x12\4", 15);
	g_assert_cmphex(GO(&r, 0, 64, 0x5a, 8, 8, 0, 0, 0, 0, 0, 64, 0), ==, 0);
	g_assert_cmpmem(data, 11, "\0\x1a\0\x10\0\0\0\0\x08\x12\4", 11);
	/* WCE off: writes reach the medium one by one. */
	memset(data, 0, 64);
	memcpy(data + 4, "\x08\x12\0", 3);
	g_assert_cmphex(GO(&r, 0, 24, 0x15, 0x10, 0, 0, 24, 0), ==, 0);
	g_assert_false(blk_write_cache(r.blk[0]));
	unsigned flushes = r.m[0]->flushes;
	g_assert_cmphex(GO(&r, 0, 512, 0x2a, 0, 0, 0, 0, 8, 0, 0, 1, 0), ==, 0);
	g_assert_cmpuint(r.m[0]->flushes, >, flushes);
	memset(data, 0, 64);
	memcpy(data + 8, "\x08\x12\4", 3);
	g_assert_cmphex(GO(&r, 0, 28, 0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), ==, 0);
	g_assert_true(blk_write_cache(r.blk[0]));
	data[9] = 0x11;
	g_assert_cmphex(GO(&r, 0, 28, 0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), ==, SENSE_BAD_LIST);
	g_assert_cmphex(GO(&r, 0, 64, 0x1a, 0, 0xc8, 0, 64, 0), ==, 0x053900);
	g_assert_cmphex(GO(&r, 0, 64, 0x1a, 0, 0x33, 0, 64, 0), ==, SENSE_BAD_FIELD);
	rig_free(&r);
}

static void test_errors(void)
{
	ScsiRig r;
	start(&r, "rerror=report,werror=report");
	r.m[0]->error = -EIO;
	g_assert_cmphex(GO(&r, 0, 512, 0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0), ==, SENSE_READ_ERROR);
	/* Without autosense the unit remembers, until the next command. */
	g_assert_cmphex(GO(&r, 0, 18, 3, 0, 0, 0, 18, 0), ==, 0);
	g_assert_cmpmem(data, 14, "\x70\0\3\0\0\0\0\x0a\0\0\0\0\x11\0", 14);
	g_assert_cmphex(GO(&r, 0, 18, 3, 0, 0, 0, 18, 0), ==, 0);
	g_assert_cmphex(data[2], ==, 0);
	g_assert_cmphex(GO(&r, 0, 512, 0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), ==, SENSE_WRITE_ERROR);
	r.m[0]->error = -ENOSPC;
	g_assert_cmphex(GO(&r, 0, 512, 0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), ==, SENSE_SPACE);
	r.m[0]->error = 0;
	g_assert_cmphex(GO(&r, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmphex(GO(&r, 0, 18, 3, 0, 0, 0, 18, 0), ==, 0);
	g_assert_cmphex(data[2], ==, 0);
	/* A longer medium: attention, and the adapter hears of it. */
	void *opaque;
	machine_lock();
	blk_device(r.blk[0], &opaque)->resized(opaque);
	machine_unlock();
	g_assert_cmpuint(((Plain *)r.adapter)->events, ==, 1);
	g_assert_cmphex(GO(&r, 0, 0, 0, 0, 0, 0, 0, 0), ==, SENSE_CAPACITY_CHANGED);
	g_assert_cmphex(GO(&r, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	rig_free(&r);
}

static void test_cd(void)
{
	ScsiRig r;
	start(&r, "");
	g_assert_cmphex(GO(&r, 2, 2048, 0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0), ==, 0);
	g_assert_cmpmem(data, 2048, r.m[2]->data + 3 * 2048, 2048);
	g_assert_cmphex(GO(&r, 2, 2048, 0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0), ==, SENSE_BAD_OPCODE);
	g_assert_cmphex(GO(&r, 2, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmpmem(data, 8, "\0\0\0\x7f\0\0\x08\0", 8);
	g_assert_cmphex(GO(&r, 2, 64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0), ==, 0);
	g_assert_cmpmem(data, 4, "\0\x12\1\1", 4);
	/* Locked, then not, then open; a new disc. */
	g_assert_cmphex(GO(&r, 2, 0, 0x1e, 0, 0, 0, 1, 0), ==, 0);
	g_assert_cmphex(GO(&r, 2, 0, 0x1b, 0, 0, 0, 2, 0), ==, SENSE_LOCKED);
	g_assert_cmphex(GO(&r, 2, 0, 0x1e, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmphex(GO(&r, 2, 0, 0x1b, 0, 0, 0, 2, 0), ==, 0);
	g_assert_cmphex(GO(&r, 2, 0, 0, 0, 0, 0, 0, 0), ==, SENSE_TRAY_OPEN);
	machine_lock();
	blk_insert(r.blk[2], medium_node(r.m[2], "new"));
	machine_unlock();
	g_assert_cmphex(GO(&r, 2, 0, 0, 0, 0, 0, 0, 0), ==, SENSE_NO_MEDIUM);
	g_assert_cmphex(GO(&r, 2, 0, 0, 0, 0, 0, 0, 0), ==, SENSE_MEDIUM_CHANGED);
	g_assert_cmphex(GO(&r, 2, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	rig_free(&r);
}

static void test_properties(void)
{
	static const char *const bad[][2] = {
		{ "logical_block_size", "1000" }, { "logical_block_size", "4k" },
		{ "min_io_size", "100" }, { "discard_granularity", "700" }, { "physical_block_size", "3k" },
	};
	ScsiRig r;
	start(&r, "logical_block_size=4096,physical_block_size=4096");
	g_assert_cmphex(GO(&r, 0, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmpmem(data, 8, "\0\0\0\x3f\0\0\x10\0", 8);
	Blk *empty = blk_new("empty");
	for (unsigned i = 0; i < G_N_ELEMENTS(bad) + 1; i++) {
		GError *error = NULL;
		Device *dev = harness_make(r.h, &scsi_hd_class);
		device_set_ptr(dev, "drive", empty);
		if (i < G_N_ELEMENTS(bad)) {
			g_assert_true(device_set(dev, bad[i][0], bad[i][1], &error));
			if (i == 1)
				device_set(dev, "physical_block_size", "512", &error);
			device_set(dev, "removable", "on", &error);
		}
		machine_lock();
		g_assert_false(device_realize(dev, &error));
		machine_unlock();
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
	blk_free(empty);
	rig_free(&r);
}

/* Without bus= the youngest adapter gets it, as in QEMU. */
static void test_bus(void)
{
	Harness *h = harness_new();
	harness_add(h, &i440fx_pcihost_class);
	Device *first = harness_add(h, &plain_class), *second = harness_add(h, &plain_class);
	Device *units[] = { harness_add(h, &scsi_cd_class), harness_add(h, &scsi_cd_class) };
	g_assert_cmpstr(((Plain *)first)->bus.bus->name, ==, "scsi.0");
	for (unsigned i = 0; i < G_N_ELEMENTS(units); i++)
		g_assert_true(units[i]->bus->owner == second);
	Device *named = harness_make(h, &scsi_cd_class);
	GError *error = NULL;
	device_set(named, "bus", "scsi.0", &error);
	g_assert_no_error(error);
	harness_realize(named);
	g_assert_true(named->bus->owner == first);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	g_test_add_func("/scsi/inquiry", test_inquiry);
	g_test_add_func("/scsi/targets", test_targets);
	g_test_add_func("/scsi/transfers", test_transfers);
	g_test_add_func("/scsi/clear", test_clear);
	g_test_add_func("/scsi/modes", test_modes);
	g_test_add_func("/scsi/errors", test_errors);
	g_test_add_func("/scsi/cd", test_cd);
	g_test_add_func("/scsi/properties", test_properties);
	g_test_add_func("/scsi/bus", test_bus);
	return g_test_run();
}
