/*
 * scsi.c - what every logical unit does: requests, data, sense, attention, INQUIRY.
 *
 * SPC-4 (INCITS 513). The commands of a type are scsi_cd.c's and scsi_disk.c's. Left out:
 * persistent reservations, descriptor sense, task management (an adapter frees the request). The
 * drive's loop.
 */
#include "hw/scsi/scsi.h"

#include <errno.h>
#include <string.h>

#define PERIPHERAL_DISK 0x00
#define PERIPHERAL_CD 0x05

const StateField scsi_unit_state[] = {
#define KEEP(type_, member) { .name = #member, .type = type_, .offset = offsetof(ScsiUnit, member), .count = 1, \
	.version = 1, .keep = true }
	KEEP(FIELD_BOOL, tray_open), KEEP(FIELD_BOOL, locked), KEEP(FIELD_U8, changed), KEEP(FIELD_U8, media_event),
	KEEP(FIELD_U32, sense), KEEP(FIELD_U32, attention),
	{ 0 }
};

/* ---- the unit ---- */

void scsi_unit_init(ScsiUnit *u, bool cd, Blk *blk, const ScsiHost *host, void *opaque)
{
	*u = (ScsiUnit){ .host = host, .opaque = opaque, .blk = blk, .cd = cd };
	u->block_size = cd ? 2048 : 512;
	u->removable = cd;
	u->dpofua = !cd;
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

static void put_sense(uint8_t *p, uint32_t sense)
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
	r->unit->sense = r->unit->host->autosense ? 0 : sense;
	if (!sense)
		return;
	put_sense(r->sense, sense);
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

/* ---- INQUIRY ---- */

static void padded(uint8_t *p, unsigned len, const char *s)
{
	size_t n = strlen(s);
	memset(p, ' ', len);
	memcpy(p, s, MIN(n, len));
}

/* 7.8.6: by serial or name as text, and the world-wide name. */
static unsigned device_identification(const ScsiUnit *u, uint8_t *p)
{
	unsigned n = 4;
	size_t len = strlen(u->device_id);
	if (len) {
		p[n] = 0x02;
		p[n + 1] = 0x00;
		p[n + 3] = (uint8_t)len;
		memcpy(p + n + 4, u->device_id, len);
		n += 4 + (unsigned)len;
	}
	if (u->wwn) {
		p[n] = 0x01;
		p[n + 1] = 0x03;
		p[n + 3] = 8;
		scsi_put64(p + n + 4, u->wwn);
		n += 12;
	}
	return n;
}

static unsigned block_limits(const ScsiUnit *u, uint8_t *p)
{
	p[1] = 0xb0;
	scsi_put32(p + 8, 0x3fffff);  /* blocks of one command */
	scsi_put32(p + 20, 0x3fffff); /* UNMAP: blocks, ranges */
	scsi_put32(p + 24, 255);
	scsi_put32(p + 28, MAX(4096 / u->block_size, 1));
	scsi_put64(p + 36, 0x3fffff);
	return 64;
}

/* 0: there is no such page. */
static unsigned vital_page(const ScsiUnit *u, uint8_t code, uint8_t *p)
{
	static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
	unsigned n = u->cd ? 3 : 6, len = (unsigned)strlen(u->serial);
	switch (code) {
	case 0x00:
		if (!len)
			n--;
		p[4] = 0;
		memcpy(p + 5, len ? pages + 1 : pages + 2, n - 1);
		return 4 + n;
	case 0x80:
		memcpy(p + 4, u->serial, len);
		return len ? 4 + len : 0;
	case 0x83:
		return device_identification(u, p);
	case 0xb0:
		return u->cd ? 0 : block_limits(u, p);
	case 0xb1:
		scsi_put16(p + 4, u->rotation);
		return u->cd ? 0 : 64;
	case 0xb2:
		p[5] = 0xe0; /* UNMAP and both WRITE SAMEs give blocks back */
		p[6] = 2;    /* thin */
		return u->cd ? 0 : 8;
	default:
		return 0;
	}
}

static void inquiry(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	unsigned limit = scsi_get16(r->cdb + 3), len = 36;
	uint8_t page[256] = { 0 };
	uint8_t type = u->cd ? PERIPHERAL_CD : PERIPHERAL_DISK;
	if (r->cdb[1] & 1) {
		len = vital_page(u, r->cdb[2], page);
		scsi_put16(page + 2, len - 4);
		page[1] = r->cdb[2];
	} else if (r->cdb[2]) {
		len = 0;
	} else {
		page[1] = u->removable ? 0x80 : 0;
		page[2] = u->host->atapi ? 0 : 5; /* SPC-3 */
		page[3] = u->host->atapi ? 0x21 : 0x12;
		page[4] = (uint8_t)(len - 5);
		page[7] = u->host->atapi ? 0 : 0x02; /* queues */
		padded(page + 8, 8, u->vendor);
		padded(page + 16, 16, u->product);
		padded(page + 32, 4, u->version);
	}
	if (!len) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	page[0] = type;
	memcpy(scsi_reply(r, len, limit), page, len);
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
	put_sense(scsi_reply(r, SCSI_SENSE_LEN, r->cdb[4]), sense);
}

/* The unit alone knows of itself only; adapters with several answer this command themselves. */
static void report_luns(ScsiRequest *r)
{
	uint32_t limit = scsi_get32(r->cdb + 6);
	if (limit < 16) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	uint8_t *p = scsi_reply(r, 16, limit);
	scsi_put32(p, 8);
	scsi_put16(p + 8, r->unit->lun < 256 ? r->unit->lun : r->unit->lun | 0x4000u);
}

/* SPC-4 7.5 and 6.13, 6.14: header of 4 or 8 bytes, a block descriptor for disks, pages. */
void scsi_mode_sense(ScsiRequest *r, ScsiModePage *page, uint8_t medium_type, uint8_t device_param)
{
	ScsiUnit *u = r->unit;
	bool ten = r->cdb[0] == 0x5a;
	unsigned control = r->cdb[2] >> 6, code = r->cdb[2] & 0x3f, header = ten ? 8 : 4, n = header;
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
	if (len < scsi_cdb_length(r->cdb[0])) {
		scsi_end(r, SENSE_BAD_OPCODE);
		return r;
	}
	if (interrupted(r))
		return r;
	switch (r->cdb[0]) {
	case 0x03: request_sense(r); break;
	case 0x12: inquiry(r); break;
	case 0xa0: report_luns(r); break;
	default:
		if (u->cd)
			scsi_cd_command(r);
		else
			scsi_disk_command(r);
	}
	return r;
}
