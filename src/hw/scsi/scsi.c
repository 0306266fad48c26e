/*
 * scsi.c - what every logical unit does: requests, data, sense, attention, mode pages.
 *
 * SPC-4 (INCITS 513). The commands of a type are scsi_cd.c's and scsi_disk.c's, INQUIRY is
 * scsi_inquiry.c's. Left out: persistent reservations, descriptor sense, task management (an
 * adapter frees the request). The drive's loop.
 */
#include "core/trace.h"
#include "hw/scsi/scsi.h"

#include <errno.h>
#include <string.h>

const StateField scsi_unit_state[] = {
#define KEEP(type_, member) \
	{ \
		.name = #member, .type = type_, .offset = offsetof(ScsiUnit, member), .count = 1, \
		.version = 1, .keep = true \
	}
	KEEP(FIELD_BOOL, tray_open), KEEP(FIELD_BOOL, locked), KEEP(FIELD_U8, changed),
	KEEP(FIELD_U8, media_event), KEEP(FIELD_U32, sense), KEEP(FIELD_U32, attention), { 0 }
};

/* ---- the unit ---- */

void scsi_unit_init(ScsiUnit *u, bool cd, Blk *blk, const ScsiHost *host, void *opaque)
{
	*u = (ScsiUnit){ .host = host, .opaque = opaque, .blk = blk, .cd = cd };
	u->block_size = cd ? 2048 : 512;
	u->removable = cd;
	u->max_io = INT32_MAX;
	u->max_unmap = 1u << 30;
	u->discard_granularity = cd ? 0 : 4096;
	g_strlcpy(u->vendor, "QEMU", sizeof(u->vendor));
	g_strlcpy(u->product, cd ? "QEMU CD-ROM" : "QEMU HARDDISK", sizeof(u->product));
	g_strlcpy(u->version, "2.5+", sizeof(u->version));
}

void scsi_unit_reset(ScsiUnit *u)
{
	u->locked = false;
	u->sense = 0;
	u->changed = 0;
	u->media_event = MEDIA_NO_CHANGE;
	u->attention = u->host && u->host->power_on_attention ? SENSE_POWER_ON : 0;
}

static void tell_host(ScsiUnit *u)
{
	if (u->host->event)
		u->host->event(u);
}

void scsi_unit_medium(ScsiUnit *u, bool inserted)
{
	if (u->tray_open == inserted)
		blk_tray_moved(u->blk, !inserted);
	u->tray_open = !inserted;
	u->changed = inserted ? 2 : 0;
	u->media_event = inserted ? MEDIA_NEW : MEDIA_REMOVED;
	u->locked = u->locked && inserted;
	tell_host(u);
}

void scsi_unit_resized(ScsiUnit *u)
{
	u->attention = u->cd ? SENSE_MEDIUM_CHANGED : SENSE_CAPACITY_CHANGED;
	tell_host(u);
}

void scsi_unit_eject_request(ScsiUnit *u, bool force)
{
	u->media_event = MEDIA_EJECT_REQUEST;
	if (force)
		u->locked = false;
	tell_host(u);
}

uint64_t scsi_blocks(const ScsiUnit *u)
{
	return blk_length(u->blk) / u->block_size;
}

/* ---- ends ---- */

void scsi_put_sense(uint8_t *p, uint32_t sense)
{
	memset(p, 0, SCSI_SENSE_LEN);
	p[0] = 0x70;
	p[2] = (uint8_t)(sense >> 16);
	p[7] = SCSI_SENSE_LEN - 8;
	p[12] = (uint8_t)(sense >> 8);
	p[13] = (uint8_t)sense;
}

void scsi_end(ScsiRequest *r, ScsiSense sense)
{
	r->ended = true;
	r->status = sense ? SCSI_CHECK_CONDITION : SCSI_GOOD;
	if (!sense)
		return;
	trace_scsi_unit_sense(r->unit, r, sense);
	r->unit->sense = r->unit->host->autosense ? 0 : sense;
	scsi_put_sense(r->sense, sense);
	r->sense_len = SCSI_SENSE_LEN;
}

ScsiSense scsi_sense_of(int err, bool write)
{
	switch (err) {
	case -ENOMEDIUM: return SENSE_NO_MEDIUM;
	case -ENOSPC: return SENSE_SPACE;
	case -EACCES:
	case -EPERM: return SENSE_READ_ONLY;
	default: return write ? SENSE_WRITE_ERROR : SENSE_READ_ERROR;
	}
}

uint8_t *scsi_reply(ScsiRequest *r, unsigned len, unsigned limit)
{
	r->data = g_malloc0(MAX(len, 1));
	r->dir = limit && len ? SCSI_DIR_IN : SCSI_DIR_NONE;
	r->length = MIN(len, limit);
	if (!r->length)
		scsi_end(r, SENSE_NONE);
	return r->data;
}

void scsi_expect(ScsiRequest *r, unsigned len, void (*finish)(ScsiRequest *r))
{
	r->data = g_malloc0(MAX(len, 1));
	r->dir = len ? SCSI_DIR_OUT : SCSI_DIR_NONE;
	r->length = len;
	r->finish = finish;
}

bool scsi_medium_ready(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	if (blk_inserted(u->blk) && !u->tray_open)
		return true;
	scsi_end(r, u->tray_open ? SENSE_TRAY_OPEN : SENSE_NO_MEDIUM);
	return false;
}

void scsi_medium_io(ScsiRequest *r, ScsiDir dir, uint64_t lba, uint64_t blocks)
{
	uint64_t total = scsi_blocks(r->unit);
	if (!scsi_medium_ready(r))
		return;
	if (lba > total || blocks > total - lba) {
		scsi_end(r, SENSE_BAD_LBA);
		return;
	}
	if (dir == SCSI_DIR_OUT && blk_read_only(r->unit->blk)) {
		scsi_end(r, SENSE_READ_ONLY);
		return;
	}
	if (!blocks) {
		scsi_end(r, SENSE_NONE);
		return;
	}
	if (dir == SCSI_DIR_OUT)
		trace_scsi_disk_dma_command_WRITE(lba, blocks);
	else
		trace_scsi_disk_dma_command_READ(lba, blocks);
	r->medium = true;
	r->dir = dir;
	r->offset = lba * r->unit->block_size;
	r->length = blocks * r->unit->block_size;
}

/* ---- moving data ---- */

void scsi_request_free(ScsiRequest *r)
{
	if (r->busy) {
		r->orphan = true;
		return;
	}
	g_free(r->data);
	g_free(r->cut);
	g_free(r->gather);
	g_free(r);
}

bool scsi_still_wanted(ScsiRequest *r)
{
	r->busy = false;
	if (r->orphan)
		scsi_request_free(r);
	else
		return true;
	return false;
}

/* Between the adapter's memory and `data`. */
static void copy(ScsiRequest *r, const struct iovec *iov, unsigned count)
{
	for (unsigned i = 0; i < count && r->moved < r->length; i++) {
		size_t n = MIN(iov[i].iov_len, r->length - r->moved);
		if (r->dir == SCSI_DIR_IN)
			memcpy(iov[i].iov_base, r->data + r->moved, n);
		else
			memcpy(r->data + r->moved, iov[i].iov_base, n);
		r->moved += n;
	}
}

/* All data is through, or no more of it will come. */
static void come_to_end(ScsiRequest *r)
{
	void (*finish)(ScsiRequest *) = r->finish;
	r->finish = NULL;
	if (finish)
		finish(r);
	else
		scsi_end(r, SENSE_NONE);
}

static void io_done(void *opaque, int result)
{
	ScsiRequest *r = opaque;
	if (!scsi_still_wanted(r))
		return;
	if (result < 0) {
		scsi_end(r, scsi_sense_of(result, r->dir == SCSI_DIR_OUT));
	} else {
		if (r->gather) {
			g_clear_pointer(&r->gather, g_free);
			copy(r, r->iov, r->count);
		} else {
			r->moved += r->step;
		}
		if (r->moved == r->length)
			come_to_end(r);
	}
	if (!r->busy)
		r->unit->host->ready(r);
}

void scsi_finish_done(void *opaque, int result)
{
	ScsiRequest *r = opaque;
	if (!scsi_still_wanted(r))
		return;
	scsi_end(r, result < 0 ? scsi_sense_of(result, true) : SENSE_NONE);
	r->unit->host->ready(r);
}

/* Keeps of the iovecs what the command still moves. */
static const struct iovec *cut(ScsiRequest *r, const struct iovec *iov, unsigned *count)
{
	uint64_t rest = r->length - r->moved;
	r->step = 0;
	for (unsigned i = 0; i < *count; i++) {
		if (iov[i].iov_len < rest - r->step) {
			r->step += iov[i].iov_len;
			continue;
		}
		size_t last = rest - r->step;
		r->step = rest;
		bool whole = last == iov[i].iov_len;
		*count = i + 1;
		if (whole)
			return iov;
		g_free(r->cut);
		r->cut = g_memdup2(iov, (i + 1) * sizeof(*iov));
		r->cut[i].iov_len = last;
		return r->cut;
	}
	return iov;
}

static void begin_io(ScsiRequest *r, const struct iovec *iov, unsigned count)
{
	Blk *blk = r->unit->blk;
	r->busy = true;
	if (r->gather) {
		r->iov = iov;
		r->count = count;
		blk_read(blk, r->offset, r->gather, r->gather_count, io_done, r);
		return;
	}
	iov = cut(r, iov, &count);
	if (r->dir == SCSI_DIR_IN)
		blk_read(blk, r->offset + r->moved, iov, count, io_done, r);
	else
		blk_write(blk, r->offset + r->moved, iov, count, r->fua ? REQ_FUA : 0, io_done, r);
}

bool scsi_go(ScsiRequest *r, const struct iovec *iov, unsigned count)
{
	if (r->ended)
		return true;
	if (!count || r->moved == r->length) {
		come_to_end(r);
		return !r->busy;
	}
	if (r->medium || r->gather) {
		begin_io(r, iov, count);
		return false;
	}
	copy(r, iov, count);
	if (r->moved == r->length)
		come_to_end(r);
	return !r->busy;
}

/* ---- commands of every type ---- */

static void request_sense(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	uint32_t sense = u->sense;
	if (!sense) {
		sense = u->attention;
		u->attention = 0;
	}
	u->sense = 0;
	scsi_put_sense(scsi_reply(r, SCSI_SENSE_LEN, r->cdb[4]), sense);
}

/* SPC-4 7.5 and 6.13, 6.14: header of 4 or 8 bytes, a block descriptor for disks, pages. */
void scsi_mode_sense(ScsiRequest *r, ScsiModePage *page, uint8_t medium_type, uint8_t device_param)
{
	ScsiUnit *u = r->unit;
	bool ten = r->cdb[0] == 0x5a;
	unsigned control = r->cdb[2] >> 6, code = r->cdb[2] & 0x3f, header = ten ? 8 : 4,
		 n = header;
	unsigned limit = ten ? scsi_get16(r->cdb + 7) : r->cdb[4];
	uint8_t out[512] = { 0 };
	if (control == 3) {
		scsi_end(r, 0x053900); /* saving is not known */
		return;
	}
	if (!u->cd && !(r->cdb[1] & 8)) {
		out[ten ? 7 : 3] = 8;
		scsi_put32(out + n, (uint32_t)MIN(scsi_blocks(u), UINT32_MAX));
		scsi_put24(out + n + 5, u->block_size);
		n += 8;
	}
	unsigned pages = n;
	for (unsigned c = code == 0x3f ? 0 : code; c <= (code == 0x3f ? 0x3e : code); c++)
		n += page(u, c, control == 1, out + n);
	if (n == pages) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	if (ten)
		scsi_put16(out, n - 2);
	else
		out[0] = (uint8_t)(n - 1);
	out[ten ? 2 : 1] = medium_type;
	out[ten ? 3 : 2] = device_param;
	memcpy(scsi_reply(r, n, limit), out, n);
}

static void move_tray(ScsiUnit *u, bool open)
{
	u->tray_open = open;
	u->media_event = open ? MEDIA_REMOVED : MEDIA_NEW;
	blk_tray_moved(u->blk, open);
}

void scsi_unit_move_tray(ScsiUnit *u, bool open)
{
	if (u->tray_open == open)
		return;
	move_tray(u, open);
	if (!open && blk_inserted(u->blk))
		u->attention = SENSE_MEDIUM_CHANGED;
	tell_host(u);
}

/* START STOP UNIT: spinning and power conditions are nothing to a drive in a file; the tray is. */
void scsi_start_stop(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	bool start = r->cdb[4] & 1, move = r->cdb[4] & 2;
	if (r->cdb[4] & 0xf0 || !move || !u->removable) {
		scsi_end(r, SENSE_NONE);
		return;
	}
	if (!start && !u->tray_open && u->locked) {
		scsi_end(r, blk_inserted(u->blk) ? SENSE_LOCKED : SENSE_NO_MEDIUM);
		return;
	}
	if (u->tray_open == !start) {
		scsi_end(r, SENSE_NONE);
		return;
	}
	move_tray(u, !start);
	if (start && blk_inserted(u->blk))
		u->attention = SENSE_MEDIUM_CHANGED;
	scsi_end(r, SENSE_NONE);
}

/* PREVENT ALLOW MEDIUM REMOVAL */
void scsi_prevent(ScsiRequest *r)
{
	r->unit->locked = r->unit->removable && (r->cdb[4] & 1);
	scsi_end(r, SENSE_NONE);
}

/* Attention and a medium just changed come before most commands (SAM-5 5.14, MMC-6 4.1.6). */
static bool interrupted(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	ScsiSense sense = (ScsiSense)u->attention;
	switch (r->cdb[0]) {
	case 0x03: case 0x12: case 0xa0: case 0x46: case 0x4a:
		return false;
	default:
		break;
	}
	u->attention = 0;
	if (!sense && u->changed) {
		sense = u->changed == 2 ? SENSE_NO_MEDIUM : SENSE_MEDIUM_CHANGED;
		u->changed--;
	}
	if (sense)
		scsi_end(r, sense);
	return sense;
}

unsigned scsi_cdb_length(uint8_t opcode)
{
	static const uint8_t by_group[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };
	return by_group[opcode >> 5];
}

ScsiRequest *scsi_request_new(ScsiUnit *u, const uint8_t *cdb, unsigned len, void *opaque)
{
	ScsiRequest *r = g_new0(ScsiRequest, 1);
	r->unit = u;
	r->opaque = opaque;
	memcpy(r->cdb, cdb, MIN(len, SCSI_CDB_MAX));
	trace_scsi_unit_command(u, r, r->cdb[0]);
	if (len < scsi_cdb_length(r->cdb[0])) {
		scsi_end(r, SENSE_BAD_OPCODE);
		return r;
	}
	if (u->absent) {
		scsi_absent_command(r);
		return r;
	}
	if (r->cdb[0] != 0x03)
		u->sense =
			0; /* of the command before; one more ends the time to ask (SAM-5 5.9.5) */
	if (interrupted(r))
		return r;
	switch (r->cdb[0]) {
	case 0x03: request_sense(r); break;
	case 0x12: scsi_inquiry(r); break;
	case 0xa0: scsi_report_luns(r); break;
	default:
		if (u->cd)
			scsi_cd_command(r);
		else
			scsi_disk_command(r);
	}
	return r;
}
