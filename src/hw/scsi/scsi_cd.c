/*
 * scsi_cd.c - a CD or DVD drive: the commands of MMC-6 (INCITS 468) that read a data disc.
 *
 * A disc of up to 360000 blocks is shown as a CD-ROM, a larger one as a DVD-ROM. One session, one
 * data track. Left out: audio, writing, region codes and keys, subchannel data. The drive's loop.
 */
#include "hw/scsi/scsi.h"

#include <string.h>

#define CD_BLOCKS_MAX 360000u  /* 80 minutes of 75 frames a second */
#define LEAD_IN 150u           /* frames before block 0 */
#define RAW_SECTOR 2352u
#define RAW_DATA 16u           /* where user data begins in it */
#define RAW_BYTES_MAX (1u << 20)
#define LEAD_OUT_TRACK 0xaa
#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010

static bool is_dvd(const ScsiUnit *u)
{
	return scsi_blocks(u) > CD_BLOCKS_MAX;
}

static bool loaded(const ScsiUnit *u)
{
	return blk_inserted(u->blk) && !u->tray_open;
}

static void put_msf(uint8_t *p, uint64_t lba)
{
	uint64_t frames = lba + LEAD_IN;
	p[0] = (uint8_t)(frames / (75 * 60));
	p[1] = (uint8_t)(frames / 75 % 60);
	p[2] = (uint8_t)(frames % 75);
}

/* ---- reading ---- */

static void read_capacity(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	if (!scsi_medium_ready(r))
		return;
	uint8_t *p = scsi_reply(r, 8, 8);
	scsi_put32(p, (uint32_t)(scsi_blocks(u) ? MIN(scsi_blocks(u) - 1, UINT32_MAX) : 0));
	scsi_put32(p + 4, u->block_size);
}

/* Frames as they stand on the disc: sync, header, data; the error correction codes are left zero.
 */
static void read_raw(ScsiRequest *r, uint32_t lba, uint32_t count)
{
	if (count > RAW_BYTES_MAX / RAW_SECTOR) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	scsi_medium_io(r, SCSI_DIR_IN, lba, count);
	if (r->ended)
		return;
	r->length = (uint64_t)count * RAW_SECTOR;
	r->medium = false;
	r->data = g_malloc0(r->length);
	r->gather = g_new(struct iovec, count);
	r->gather_count = count;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = r->data + (size_t)i * RAW_SECTOR;
		memset(p + 1, 0xff, 10);
		put_msf(p + 12, lba + i);
		p[15] = 1; /* mode 1 */
		r->gather[i] = (struct iovec){ p + RAW_DATA, r->unit->block_size };
	}
}

/* MMC-6 6.16, mode 1 sectors: nothing, user data, or everything. */
static void read_cd(ScsiRequest *r)
{
	uint32_t lba = scsi_get32(r->cdb + 2), count = scsi_get24(r->cdb + 6);
	switch (count ? r->cdb[9] & 0xf8 : 0) {
	case 0x00:
		if (scsi_medium_ready(r))
			scsi_end(r, SENSE_NONE);
		break;
	case 0x10:
		scsi_medium_io(r, SCSI_DIR_IN, lba, count);
		break;
	case 0xf8:
		read_raw(r, lba, count);
		break;
	default:
		scsi_end(r, SENSE_BAD_FIELD);
	}
}

static void seek(ScsiRequest *r)
{
	if (!scsi_medium_ready(r))
		return;
	scsi_end(r, scsi_get32(r->cdb + 2) < scsi_blocks(r->unit) ? SENSE_NONE : SENSE_BAD_LBA);
}

/* ---- table of contents (6.25) ---- */

static uint8_t *toc_address(uint8_t *p, bool msf, uint64_t lba)
{
	if (msf) {
		p[0] = 0;
		put_msf(p + 1, lba);
	} else {
		scsi_put32(p, (uint32_t)lba);
	}
	return p + 4;
}

static uint8_t *toc_track(uint8_t *p, bool msf, uint8_t track, uint64_t lba)
{
	p[1] = 0x14; /* data */
	p[2] = track;
	return toc_address(p + 4, msf, lba);
}

static unsigned toc_tracks(const ScsiUnit *u, bool msf, uint8_t start, uint8_t *out)
{
	uint8_t *p = out + 4;
	if (start > 1 && start != LEAD_OUT_TRACK)
		return 0;
	out[2] = out[3] = 1;
	if (start <= 1)
		p = toc_track(p, msf, 1, 0);
	p = toc_track(p, msf, LEAD_OUT_TRACK, scsi_blocks(u));
	return (unsigned)(p - out);
}

static unsigned toc_session(bool msf, uint8_t *out)
{
	out[2] = out[3] = 1;
	return (unsigned)(toc_track(out + 4, msf, 1, 0) - out);
}

/* Format 2: the points of the lead-in, first and last track, lead-out, track 1. */
static unsigned toc_raw(const ScsiUnit *u, uint8_t *out)
{
	static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 0x01 };
	uint8_t *p = out + 4;
	out[2] = out[3] = 1;
	for (unsigned i = 0; i < sizeof(points); i++, p += 11) {
		p[0] = 1;
		p[1] = 0x14;
		p[3] = points[i];
		if (points[i] == 0xa2)
			put_msf(p + 8, scsi_blocks(u));
		else if (points[i] == 0x01)
			put_msf(p + 8, 0);
		else
			p[8] = 1;
	}
	return (unsigned)(p - out);
}

static void read_toc(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	uint8_t out[64] = { 0 };
	bool msf = r->cdb[1] & 2;
	unsigned format = r->cdb[2] & 15, n = 0;
	if (!scsi_medium_ready(r))
		return;
	/* Drives of old have the format in the control byte. */
	if (!format)
		format = r->cdb[9] >> 6;
	if (format == 0)
		n = toc_tracks(u, msf, r->cdb[6], out);
	else if (format == 1)
		n = toc_session(msf, out);
	else if (format == 2)
		n = toc_raw(u, out);
	if (!n) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	scsi_put16(out, n - 2);
	memcpy(scsi_reply(r, n, scsi_get16(r->cdb + 7)), out, n);
}

static void read_disc_information(ScsiRequest *r)
{
	uint8_t out[34] = { 0 };
	if (!scsi_medium_ready(r))
		return;
	if (r->cdb[1] & 7) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	scsi_put16(out, sizeof(out) - 2);
	out[2] = 0x0e; /* complete, last session complete */
	out[3] = out[4] = out[5] = out[6] = 1;
	out[7] = 0x20; /* unrestricted use */
	memcpy(scsi_reply(r, sizeof(out), scsi_get16(r->cdb + 7)), out, sizeof(out));
}

/* READ TRACK INFORMATION (6.26): the one track. */
static void read_track_information(ScsiRequest *r)
{
	uint8_t out[36] = { 0 };
	if (!scsi_medium_ready(r))
		return;
	scsi_put16(out, sizeof(out) - 2);
	out[2] = out[3] = 1;
	out[5] = 4; /* data */
	out[6] = 1;
	scsi_put32(out + 24, (uint32_t)MIN(scsi_blocks(r->unit), UINT32_MAX));
	memcpy(scsi_reply(r, sizeof(out), scsi_get16(r->cdb + 7)), out, sizeof(out));
}

/* READ DVD STRUCTURE (6.22), format 0: one layer, from sector 30000h. */
static void read_dvd_structure(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	uint8_t out[2052] = { 0 };
	unsigned n = 0;
	if (!scsi_medium_ready(r))
		return;
	if (!is_dvd(u)) {
		scsi_end(r, 0x053002); /* the medium's format does not have it */
		return;
	}
	if (r->cdb[1] & 15 || r->cdb[6]) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	switch (r->cdb[7]) {
	case 0x00:
		n = 2052;
		out[4] = 1;    /* DVD-ROM, part 1 */
		out[5] = 0x0f; /* 120 mm, no maximum rate */
		out[6] = 1;    /* one layer, read only */
		scsi_put24(out + 9, 0x30000);
		scsi_put24(out + 13, (uint32_t)MIN(0x30000 + scsi_blocks(u) - 1, 0xffffff));
		break;
	case 0x01: /* no copyright protection */
		n = 8;
		break;
	default:
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	scsi_put16(out, n - 2);
	memcpy(scsi_reply(r, n, scsi_get16(r->cdb + 8)), out, n);
}

/* ---- what the drive is (6.6, features of 5.3) ---- */

static uint8_t *feature(uint8_t *p, uint16_t code, uint8_t flags, unsigned len)
{
	scsi_put16(p, code);
	p[2] = flags; /* version << 2 | persistent << 1 | current */
	p[3] = (uint8_t)len;
	return p + 4;
}

static uint8_t *profile(uint8_t *p, uint16_t code, uint16_t current)
{
	scsi_put16(p, code);
	p[2] = code == current;
	return p + 4;
}

static void get_configuration(ScsiRequest *r)
{
	const ScsiUnit *u = r->unit;
	uint8_t out[64] = { 0 }, *p = out + 8;
	uint16_t current = !loaded(u) ? 0 : is_dvd(u) ? PROFILE_DVD : PROFILE_CD;
	uint16_t first = scsi_get16(r->cdb + 2);
	unsigned only = (r->cdb[1] & 3) == 2;
#define WANTED(code_) (only ? first == (code_) : first <= (code_))
	if ((r->cdb[1] & 3) == 3) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	scsi_put16(out + 6, current);
	if (WANTED(0)) {
		p = feature(p, 0, 3, 8);
		p = profile(profile(p, PROFILE_DVD, current), PROFILE_CD, current);
	}
	if (WANTED(1)) { /* core: ATAPI or SCSI */
		p = feature(p, 1, 2 << 2 | 3, 8);
		scsi_put32(p, u->host->atapi ? 2 : 1);
		p[4] = 1;
		p += 8;
	}
	if (WANTED(3)) { /* removable: tray, ejects, locks */
		p = feature(p, 3, 3, 4);
		p[0] = 0x29;
		p += 4;
	}
#undef WANTED
	scsi_put32(out, (uint32_t)(p - out) - 4);
	unsigned n = (unsigned)(p - out);
	memcpy(scsi_reply(r, n, scsi_get16(r->cdb + 7)), out, n);
}

/* 6.7, polled only; the media class (10h in the mask). */
static void get_event_status(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	uint8_t out[8] = { 0 };
	unsigned n = 4;
	if (!(r->cdb[1] & 1)) {
		scsi_end(r, SENSE_BAD_FIELD);
		return;
	}
	out[2] = 0x80; /* no event of the classes asked for */
	out[3] = 0x10;
	if (r->cdb[4] & 0x10) {
		n = 8;
		out[2] = 4;
		out[4] = u->media_event;
		out[5] = (uint8_t)((blk_inserted(u->blk) ? 2 : 0) | (u->tray_open ? 1 : 0));
		u->media_event = MEDIA_NO_CHANGE;
	}
	scsi_put16(out, n - 2);
	memcpy(scsi_reply(r, n, scsi_get16(r->cdb + 7)), out, n);
}

static void mechanism_status(ScsiRequest *r)
{
	uint8_t out[8] = { 0 };
	out[1] = r->unit->tray_open ? 0x10 : 0;
	memcpy(scsi_reply(r, 8, scsi_get16(r->cdb + 8)), out, 8);
}

/* ---- mode pages (7) ---- */

static unsigned capabilities(const ScsiUnit *u, uint8_t *p)
{
	p[0] = 0x2a;
	p[1] = 20;
	p[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM */
	p[4] = 0x70; /* sectors of both modes, sessions */
	p[6] = (uint8_t)(0x29 | (u->locked ? 2 : 0)); /* tray, ejects, locks */
	scsi_put16(p + 8, 706);   /* 4x: kilobytes a second */
	scsi_put16(p + 10, 2);    /* volume levels */
	scsi_put16(p + 12, 512);  /* KiB of buffer */
	scsi_put16(p + 14, 706);
	return 22;
}

static unsigned mode_page(ScsiUnit *u, unsigned code, bool changeable, uint8_t *p)
{
	static const uint8_t fixed[][2] = { { 0x01, 10 }, { 0x0e, 14 }, { 0x1a, 10 }, { 0x1d, 8 } };
	unsigned n = 0;
	if (code == 0x2a)
		n = capabilities(u, p);
	for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++) {
		if (fixed[i][0] != code)
			continue;
		p[0] = fixed[i][0];
		p[1] = fixed[i][1];
		n = 2u + p[1];
		if (code == 0x0e)
			p[2] = 4; /* immediate */
		if (code == 0x01)
			p[3] = 5; /* retries */
	}
	if (changeable && n)
		memset(p + 2, 0, n - 2);
	return n;
}

/* Nothing can be changed: the parameters are taken and given up. */
static void forget(ScsiRequest *r)
{
	scsi_end(r, SENSE_NONE);
}

static uint8_t medium_type(const ScsiUnit *u)
{
	if (u->tray_open)
		return 0x71;
	return !blk_inserted(u->blk) ? 0x70 : 0x01;
}

/* ---- dispatch ---- */

static bool reads(ScsiRequest *r)
{
	const uint8_t *c = r->cdb;
	switch (c[0]) {
	case 0x08:
		scsi_medium_io(r, SCSI_DIR_IN, scsi_get24(c + 1) & 0x1fffff, c[4] ? c[4] : 256);
		return true;
	case 0x28:
		scsi_medium_io(r, SCSI_DIR_IN, scsi_get32(c + 2), scsi_get16(c + 7));
		return true;
	case 0xa8:
		scsi_medium_io(r, SCSI_DIR_IN, scsi_get32(c + 2), scsi_get32(c + 6));
		return true;
	case 0x25: read_capacity(r); return true;
	case 0x2b: seek(r); return true;
	case 0x43: read_toc(r); return true;
	case 0x51: read_disc_information(r); return true;
	case 0x52: read_track_information(r); return true;
	case 0xad: read_dvd_structure(r); return true;
	case 0xbe: read_cd(r); return true;
	default: return false;
	}
}

void scsi_cd_command(ScsiRequest *r)
{
	ScsiUnit *u = r->unit;
	const uint8_t *c = r->cdb;
	if (reads(r))
		return;
	switch (c[0]) {
	case 0x00: case 0x2f: /* TEST UNIT READY, VERIFY */
		if (scsi_medium_ready(r))
			scsi_end(r, SENSE_NONE);
		break;
	case 0x15: scsi_expect(r, c[4], forget); break;
	case 0x55: scsi_expect(r, scsi_get16(c + 7), forget); break;
	case 0x1a: case 0x5a: scsi_mode_sense(r, mode_page, medium_type(u), 0); break;
	case 0x1b: scsi_start_stop(r); break;
	case 0x1e: scsi_prevent(r); break;
	case 0x35: case 0xbb: case 0x01: /* SYNCHRONIZE CACHE, SET CD SPEED, REZERO */
		scsi_end(r, SENSE_NONE);
		break;
	case 0x46: get_configuration(r); break;
	case 0x4a: get_event_status(r); break;
	case 0xbd: mechanism_status(r); break;
	default: scsi_end(r, SENSE_BAD_OPCODE);
	}
}
