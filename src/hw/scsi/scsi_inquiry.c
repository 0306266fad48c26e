/*
 * scsi_inquiry.c - INQUIRY: what a unit is, and its pages of vital product data.
 *
 * SPC-4 (INCITS 513) 6.6 and 7.8, SBC-3 (514) 6.6. The drive's loop.
 */
#include "hw/scsi/scsi.h"

#include <string.h>

#define PERIPHERAL_DISK 0x00
#define PERIPHERAL_CD 0x05

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

/* SBC-3 6.6.3: limits of a command, and how discards should lie. */
static unsigned block_limits(const ScsiUnit *u, uint8_t *p)
{
	uint32_t most = (uint32_t)MIN(u->max_io / u->block_size, UINT32_MAX);
	uint32_t unmap = (uint32_t)MIN(u->max_unmap / u->block_size, UINT32_MAX);
	p[4] = 1; /* WRITE SAME of no blocks at all is refused */
	scsi_put16(p + 6, u->min_io / u->block_size);
	scsi_put32(p + 8, most);
	scsi_put32(p + 12, u->opt_io / u->block_size);
	scsi_put32(p + 20, unmap); /* UNMAP: blocks, ranges */
	scsi_put32(p + 24, 255);
	scsi_put32(p + 28, MAX((uint32_t)(u->discard_granularity / u->block_size), 1));
	scsi_put64(p + 36, most);
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
		p[6] = u->discard_granularity ? 2 : 1; /* thin, or holding resources */
		return u->cd ? 0 : 8;
	default:
		return 0;
	}
}

void scsi_inquiry(ScsiRequest *r)
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
		page[7] = u->host->atapi ? 0 : 0x12; /* synchronous transfers, queues */
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
