/*
 * scsi_disk.c - a hard disk: the commands of SBC-3 (INCITS 514).
 *
 * Left out: protection information, FORMAT UNIT, COMPARE AND WRITE, persistent reservations, and
 * the comparison that VERIFY with BYTCHK asks for. The drive's loop.
 */
#include "hw/scsi/scsi.h"

#include <errno.h>
#include <string.h>

#define PATTERN_STEP (1u << 20)
#define UNMAP_HEADER 8u
#define UNMAP_ENTRY 16u

/* ---- reads and writes ---- */

/* Address and count of the read, write and verify families, by the length of the CDB. */
static void range(const uint8_t *c, uint64_t *lba, uint64_t *blocks)
{
	switch (scsi_cdb_length(c[0])) {
	case 6:
		*lba = scsi_get24(c + 1) & 0x1fffff;
		*blocks = c[4] ? c[4] : 256;
		break;
	case 10:
		*lba = scsi_get32(c + 2);
		*blocks = scsi_get16(c + 7);
		break;
	case 12:
		*lba = scsi_get32(c + 2);
		*blocks = scsi_get32(c + 6);
		break;
	default:
		*lba = scsi_get64(c + 2);
		*blocks = scsi_get32(c + 10);
	}
}

static bool in_range(ScsiRequest *r, uint64_t lba, uint64_t blocks)
{
	uint64_t total = scsi_blocks(r->unit);
	if (lba <= total && blocks <= total - lba)
		return true;
	scsi_end(r, SENSE_BAD_LBA);
	return false;
}

static void transfer(ScsiRequest *r, ScsiDir dir)
{
	uint64_t lba, blocks;
	range(r->cdb, &lba, &blocks);
	if (scsi_cdb_length(r->cdb[0]) != 6 && r->cdb[1] >> 5) { /* protection information */
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	r->fua = scsi_cdb_length(r->cdb[0]) != 6 && r->cdb[1] & 8;
	scsi_medium_io(r, dir, lba, blocks);
}

static void verify(ScsiRequest *r)
{
	uint64_t lba, blocks;
	range(r->cdb, &lba, &blocks);
	if (r->cdb[1] & 6)
		scsi_end(r, SENSE_BAD_FIELD);
	else if (scsi_medium_ready(r) && in_range(r, lba, blocks))
		scsi_end(r, SENSE_NONE);
}

/* ---- capacity ---- */

static void read_capacity10(ScsiRequest *r)
{
	if (!scsi_medium_ready(r))
		return;
	uint64_t last = MAX(scsi_blocks(r->unit), 1) - 1;
	uint8_t *p = scsi_reply(r, 8, 8);
	scsi_put32(p, (uint32_t)MIN(last, UINT32_MAX));
	scsi_put32(p + 4, r->unit->block_size);
}

static void read_capacity16(ScsiRequest *r)
{
	if (!scsi_medium_ready(r))
		return;
	uint8_t *p = scsi_reply(r, 32, scsi_get32(r->cdb + 10));
	scsi_put64(p, MAX(scsi_blocks(r->unit), 1) - 1);
	scsi_put32(p + 8, r->unit->block_size);
	p[13] = r->unit->physical_exp & 15;
	p[14] = r->unit->discard_granularity ? 0x80 : 0; /* thin: UNMAP is useful */
}

/* ---- flush ---- */

static void flush(ScsiRequest *r)
{
	r->busy = true;
	blk_flush(r->unit->blk, scsi_finish_done, r);
}

/* ---- UNMAP (5.28): a list of ranges, one discard after another ---- */

static void unmap_next(ScsiRequest *r);

static void unmap_done(void *opaque, int result)
{
	ScsiRequest *r = opaque;
	if (!scsi_still_wanted(r))
		return;
	if (result < 0 && result != -ENOTSUP)
		scsi_end(r, scsi_sense_of(result, true));
	else
		unmap_next(r);
	if (!r->busy)
		r->unit->host->ready(r);
}

static void unmap_next(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	while (r->at + UNMAP_ENTRY <= r->end) {
		const uint8_t *p = r->data + r->at;
		uint64_t lba = scsi_get64(p), blocks = scsi_get32(p + 8);
		r->at += UNMAP_ENTRY;
		if (!in_range(r, lba, blocks))
			return;
		if (!blocks)
			continue;
		r->busy = true;
		blk_discard(u->blk, lba * u->block_size, blocks * u->block_size, unmap_done, r);
		return;
	}
	scsi_end(r, SENSE_NONE);
}

static void unmap(ScsiRequest *r)
{
	if (r->moved < UNMAP_HEADER) {
		scsi_end(r, r->moved ? SENSE_BAD_LIST_LENGTH : SENSE_NONE);
		return;
	}
	if (blk_read_only(r->unit->blk)) {
		scsi_end(r, SENSE_READ_ONLY);
		return;
	}
	r->at = UNMAP_HEADER;
	r->end = MIN(r->moved, UNMAP_HEADER + (uint64_t)(scsi_get16(r->data + 2) & ~15u));
	unmap_next(r);
}

/* ---- WRITE SAME (5.43): zeroes, or a pattern in pieces ---- */

static void pattern_next(ScsiRequest *r);

static void pattern_done(void *opaque, int result)
{
	ScsiRequest *r = opaque;
	if (!scsi_still_wanted(r))
		return;
	r->at += r->vec.iov_len;
	if (result < 0)
		scsi_end(r, scsi_sense_of(result, true));
	else if (r->at == r->end)
		scsi_end(r, SENSE_NONE);
	else
		pattern_next(r);
	if (!r->busy)
		r->unit->host->ready(r);
}

static void pattern_next(ScsiRequest *r)
{
	r->vec = (struct iovec){ r->data, MIN(r->end - r->at, PATTERN_STEP) };
	r->busy = true;
	blk_write(r->unit->blk, r->at, &r->vec, 1, 0, pattern_done, r);
}

static void write_same(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	uint64_t lba, blocks;
	bool zero = true;
	range(r->cdb, &lba, &blocks);
	if (r->moved < r->length) {
		scsi_end(r, SENSE_BAD_LIST_LENGTH);
		return;
	}
	for (uint64_t i = 0; i < r->length; i++)
		zero = zero && !r->data[i];
	r->at = lba * u->block_size;
	r->end = r->at + blocks * u->block_size;
	if (zero) {
		r->busy = true;
		blk_write_zeroes(u->blk, r->at, r->end - r->at, r->cdb[1] & 8 ? REQ_UNMAP : 0,
			scsi_finish_done, r);
		return;
	}
	r->data = g_realloc(r->data, PATTERN_STEP);
	for (uint32_t n = u->block_size; n < PATTERN_STEP; n += u->block_size)
		memcpy(r->data + n, r->data, u->block_size);
	pattern_next(r);
}

static void begin_write_same(ScsiRequest *r)
{
	uint64_t lba, blocks;
	bool no_data = r->cdb[0] == 0x93 && r->cdb[1] & 1;
	range(r->cdb, &lba, &blocks);
	if (!blocks || blocks > 0x3fffff || r->cdb[1] >> 5) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	if (!scsi_medium_ready(r) || !in_range(r, lba, blocks))
		return;
	if (blk_read_only(r->unit->blk))
		scsi_end(r, SENSE_READ_ONLY);
	else
		scsi_expect(r, no_data ? 0 : r->unit->block_size, write_same);
}

/* ---- mode pages ---- */

static unsigned caching(const ScsiUnit *u, bool changeable, uint8_t *p)
{
	p[0] = 0x08;
	p[1] = 18;
	p[2] = changeable || blk_write_cache(u->blk) ? 4 : 0; /* WCE */
	return 20;
}

static unsigned mode_page(ScsiUnit *u, unsigned code, bool changeable, uint8_t *p)
{
	uint64_t cylinders = MIN(scsi_blocks(u) / (16 * 63), 0xffffff);
	if (code == 0x08)
		return caching(u, changeable, p);
	p[0] = (uint8_t)code;
	if (code == 0x01 || code == 0x0a) {
		p[1] = 10;
		if (code == 0x01 && !changeable)
			p[2] = 0x80; /* AWRE */
		return 12;
	}
	if (code == 0x04) {
		p[1] = 22;
		if (!changeable) {
			scsi_put24(p + 2, (uint32_t)cylinders);
			p[5] = 16;
			scsi_put16(p + 20, u->rotation > 1 ? u->rotation : 5400);
		}
		return 24;
	}
	p[0] = 0;
	return 0;
}

/* Behind header and block descriptors: the caching page is the one that may change. */
static void mode_select(ScsiRequest *r)
{
	bool ten = r->cdb[0] == 0x55;
	uint64_t at = ten ? 8 : 4, n = r->moved;
	if (!n) {
		scsi_end(r, SENSE_NONE);
		return;
	}
	if (n < at) {
		scsi_end(r, SENSE_BAD_LIST_LENGTH);
		return;
	}
	at += ten ? scsi_get16(r->data + 6) : r->data[3];
	for (; at + 2 <= n; at += 2u + r->data[at + 1]) {
		unsigned code = r->data[at] & 0x3f;
		uint8_t now[64] = { 0 };
		unsigned len = r->data[at] & 0x40 ? 0 : mode_page(r->unit, code, false, now);
		if (!len || len != 2u + r->data[at + 1] || at + len > n) {
			scsi_end(r, SENSE_BAD_LIST);
			return;
		}
		if (code == 0x08)
			blk_set_write_cache(r->unit->blk, r->data[at + 2] & 4);
	}
	if (!blk_write_cache(r->unit->blk))
		flush(r);
	else
		scsi_end(r, SENSE_NONE);
}

/* ---- dispatch ---- */

static bool moves(ScsiRequest *r)
{
	switch (r->cdb[0]) {
	case 0x08: case 0x28: case 0xa8: case 0x88: transfer(r, SCSI_DIR_IN); return true;
	case 0x0a: case 0x2a: case 0xaa: case 0x8a: /* WRITE */
	case 0x2e: case 0xae: case 0x8e: transfer(r, SCSI_DIR_OUT); return true;
	case 0x2f: case 0xaf: case 0x8f: verify(r); return true;
	case 0x41: case 0x93: begin_write_same(r); return true;
	case 0x42: scsi_expect(r, scsi_get16(r->cdb + 7), unmap); return true;
	case 0x35: case 0x91: scsi_expect(r, 0, flush); return true;
	default: return false;
	}
}

void scsi_disk_command(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	const uint8_t *c = r->cdb;
	if (moves(r))
		return;
	switch (c[0]) {
	case 0x00: /* TEST UNIT READY */
	case 0x2b: case 0x34: case 0x90: case 0x01: case 0x0b: /* SEEK, PRE-FETCH, REZERO */
		if (scsi_medium_ready(r))
			scsi_end(r, SENSE_NONE);
		break;
	case 0x16: case 0x17: case 0x56: case 0x57: /* RESERVE, RELEASE: there is one initiator */
		scsi_end(r, SENSE_NONE);
		break;
	case 0x1b: scsi_start_stop(r); break;
	case 0x1e: scsi_prevent(r); break;
	case 0x1d: /* SEND DIAGNOSTIC: the default self-test */
		scsi_end(r, scsi_get16(c + 3) ? SENSE_BAD_FIELD : SENSE_NONE);
		break;
	case 0x15: scsi_expect(r, c[4], mode_select); break;
	case 0x55: scsi_expect(r, scsi_get16(c + 7), mode_select); break;
	case 0x1a: case 0x5a:
		scsi_mode_sense(r, mode_page, 0,
			(uint8_t)((blk_read_only(u->blk) ? 0x80 : 0) | (u->dpofua ? 0x10 : 0)));
		break;
	case 0x25: read_capacity10(r); break;
	case 0x9e:
		if ((c[1] & 31) == 0x10)
			read_capacity16(r);
		else
			scsi_end(r, SENSE_BAD_FIELD);
		break;
	default: scsi_end(r, SENSE_BAD_OPCODE);
	}
}
