/*
 * scsi_bus.c - the units of a bus, and what a target says of units that it does not have.
 *
 * SAM-5 (INCITS 515) 4.6, SPC-4 (INCITS 513) 6.33 (REPORT LUNS). The units' loop; plugging: machine
 * lock and loop.
 */
#include "hw/scsi/scsi_bus.h"

#include <string.h>

#include "core/error.h"

#define ANYWHERE UINT32_MAX
#define NO_UNIT 0x7f         /* peripheral: qualifier 3, unknown type (SPC-4 6.6.2) */
#define NO_UNIT_NOW 0x3f     /* qualifier 1: none here at the moment */
#define FLAT_LUN 0x4000u     /* addressing method of numbers above 255 (SAM-5 4.6.7) */

void scsi_bus_init(ScsiBus *b, PciDevice *adapter, const ScsiHost *host, void *opaque, Loop *loop)
{
	b->host = host;
	b->opaque = opaque;
	b->loop = loop;
	b->units = g_ptr_array_new();
	b->nobody = (ScsiUnit){
		.host = host, .opaque = opaque, .bus = b, .absent = true, .block_size = 512
	};
	b->bus = bus_new_of(&adapter->dev, "scsi", 0, b, 0);
}

void scsi_bus_exit(ScsiBus *b)
{
	if (!b->bus)
		return;
	bus_free(b->bus);
	g_ptr_array_free(b->units, TRUE);
	b->bus = NULL;
}

ScsiUnit *scsi_bus_find(ScsiBus *b, uint32_t channel, uint32_t target, uint32_t lun)
{
	for (unsigned i = 0; i < b->units->len; i++) {
		ScsiUnit *u = b->units->pdata[i];
		if (u->channel == channel && u->id == target && u->lun == lun)
			return u;
	}
	return NULL;
}

bool scsi_bus_has_target(ScsiBus *b, uint32_t channel, uint32_t target)
{
	for (unsigned i = 0; i < b->units->len; i++) {
		const ScsiUnit *u = b->units->pdata[i];
		if (u->channel == channel && u->id == target)
			return true;
	}
	return false;
}

/* The first number of `*which` up to `last` that is free. */
static bool first_free(ScsiBus *b, uint32_t channel, uint32_t *target, uint32_t *lun,
	uint32_t *which, uint32_t last)
{
	for (*which = 0; scsi_bus_find(b, channel, *target, *lun); ++*which)
		if (*which == last)
			return false;
	return true;
}

bool scsi_bus_place(ScsiBus *b, uint32_t channel, uint32_t *target, uint32_t *lun, GError **error)
{
	if (channel > b->max_channel)
		return fail(error, VIV_ERROR_INVALID, "bad scsi channel id: %u", channel);
	if (*target != ANYWHERE && *target > b->max_target)
		return fail(error, VIV_ERROR_INVALID, "bad scsi device id: %u", *target);
	if (*lun != ANYWHERE && *lun > b->max_lun)
		return fail(error, VIV_ERROR_INVALID, "bad scsi device lun: %u", *lun);
	if (*target == ANYWHERE) {
		if (*lun == ANYWHERE)
			*lun = 0;
		return first_free(b, channel, target, lun, target, b->max_target) ||
			fail(error, VIV_ERROR_INVALID, "no free target");
	}
	if (*lun == ANYWHERE)
		return first_free(b, channel, target, lun, lun, b->max_lun) ||
			fail(error, VIV_ERROR_INVALID, "no free lun");
	return !scsi_bus_find(b, channel, *target, *lun) ||
		fail(error, VIV_ERROR_INVALID, "lun already used on target %u of bus '%s'", *target,
			b->bus->name);
}

void scsi_bus_add(ScsiBus *b, ScsiUnit *u)
{
	loop_enter(b->loop);
	u->bus = b;
	g_ptr_array_add(b->units, u);
	if (b->plugged)
		b->plugged(b, u, true);
	loop_leave(b->loop);
}

void scsi_bus_remove(ScsiBus *b, ScsiUnit *u)
{
	loop_enter(b->loop);
	if (b->plugged)
		b->plugged(b, u, false);
	g_ptr_array_remove(b->units, u);
	loop_leave(b->loop);
}

ScsiRequest *scsi_bus_request(ScsiBus *b, uint32_t channel, uint32_t target, uint32_t lun,
	const uint8_t *cdb, unsigned len, void *opaque)
{
	ScsiUnit *u = scsi_bus_find(b, channel, target, lun);
	if (!u && !scsi_bus_has_target(b, channel, target))
		return NULL;
	if (!u) {
		u = &b->nobody;
		u->channel = (uint16_t)channel;
		u->id = (uint16_t)target;
		u->lun = (uint16_t)lun;
	}
	return scsi_request_new(u, cdb, len, opaque);
}

void scsi_bus_drain(ScsiBus *b)
{
	for (unsigned i = 0; i < b->units->len; i++)
		blk_drain(((ScsiUnit *)b->units->pdata[i])->blk);
}

/* ---- commands for a target ---- */

static bool same_target(const ScsiUnit *u, const ScsiUnit *v)
{
	return u->channel == v->channel && u->id == v->id;
}

/* The target's units, whichever of them was asked; LUN 0 is reported always. */
void scsi_report_luns(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	const GPtrArray *all = u->bus ? u->bus->units : NULL;
	uint32_t limit = scsi_get32(r->cdb + 6);
	unsigned n = 16;

	if (limit < 16 || r->cdb[2] > 2) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	uint8_t *p = scsi_reply(r, 16 + 8 * (all ? all->len : 0), limit);
	for (unsigned i = 0; all && r->cdb[2] != 1 && i < all->len; i++) {
		const ScsiUnit *v = all->pdata[i];
		if (!same_target(u, v) || !v->lun)
			continue;
		scsi_put16(p + n, v->lun < 256 ? v->lun : v->lun | FLAT_LUN);
		n += 8;
	}
	if (r->cdb[2] == 1) /* well known units: none */
		n = 8;
	scsi_put32(p, n - 8);
	r->length = MIN(n, limit);
}

static void absent_inquiry(ScsiRequest *r)
{
	unsigned len = 36;
	if (r->cdb[1] & 1 || r->cdb[2]) {
		scsi_end(r, SENSE_BAD_LUN);
		return;
	}
	uint8_t *p = scsi_reply(r, len, scsi_get16(r->cdb + 3));
	p[0] = r->unit->lun ? NO_UNIT : NO_UNIT_NOW;
	p[2] = 5;
	p[3] = 0x12;
	p[4] = (uint8_t)(len - 5);
	memcpy(p + 8, "QEMU    QEMU TARGET     2.5", 28);
}

/* Units that are not there tell so in the data of INQUIRY and REQUEST SENSE, and refuse the rest.
 */
void scsi_absent_command(ScsiRequest *r)
{
	switch (r->cdb[0]) {
	case 0x03:
		scsi_put_sense(scsi_reply(r, SCSI_SENSE_LEN, r->cdb[4]), SENSE_BAD_LUN);
		break;
	case 0x12: absent_inquiry(r); break;
	case 0xa0: scsi_report_luns(r); break;
	default: scsi_end(r, SENSE_BAD_LUN);
	}
}
