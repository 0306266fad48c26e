/*
 * ide_identify.c - the 256 words by which a drive describes itself.
 *
 * ATA/ATAPI-7 6.17 and 6.18, ACS-3 7.12 for DATA SET MANAGEMENT and rotation. Machine lock held.
 */
#include "hw/block/ide.h"

#include <string.h>

#define LBA28_MAX 0x0fffffffu
#define CHS_MAX 16514064u

static void word(IdeDrive *d, unsigned n, uint32_t value)
{
	pci_put16(d->buf + 2 * n, (uint16_t)value);
}

static void words(IdeDrive *d, unsigned n, uint64_t value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		word(d, n + i, (uint16_t)(value >> 16 * i));
}

/* Text is padded with blanks, its first byte in the high half of a word. */
static void text(IdeDrive *d, unsigned n, unsigned count, const char *s)
{
	size_t len = strlen(s);
	for (unsigned i = 0; i < 2 * count; i++)
		d->buf[2 * n + (i ^ 1)] = i < len ? (uint8_t)s[i] : ' ';
}

/* Modes up to `top` are known; the chosen one has its bit in the upper half. */
static uint32_t modes(unsigned top, uint8_t chosen)
{
	return (2u << top) - 1u + (chosen <= top ? 0x100u << chosen : 0);
}

static void common(IdeDrive *d)
{
	memset(d->buf, 0, IDE_SECTOR);
	text(d, 10, 10, d->serial);
	text(d, 23, 4, d->version);
	text(d, 27, 20, d->model);
	word(d, 48, 1);
	word(d, 62, 0x07);
	word(d, 63, modes(2, d->dma_mode));
	word(d, 64, 3);
	word(d, 88, modes(5, d->udma_mode));
}

static void geometry(IdeDrive *d)
{
	uint32_t track = (uint32_t)d->cur_heads * d->cur_sectors;
	uint64_t cylinders = MIN(track ? MIN(d->sectors, CHS_MAX) / track : 0, 65535);
	word(d, 1, d->cylinders);
	word(d, 3, d->heads);
	word(d, 4, IDE_SECTOR * d->sectors_per_track);
	word(d, 5, IDE_SECTOR);
	word(d, 6, d->sectors_per_track);
	if (d->cur_heads == d->heads && d->cur_sectors == d->sectors_per_track)
		cylinders = d->cylinders;
	word(d, 53, 7);
	word(d, 54, (uint32_t)cylinders);
	word(d, 55, d->cur_heads);
	word(d, 56, d->cur_sectors);
	words(d, 57, cylinders * track, 2);
	words(d, 60, MIN(d->sectors, LBA28_MAX), 2);
	words(d, 100, d->sectors, 4);
}

/* Words 80 to 87: versions, and which command sets there are and are enabled. */
static void command_sets(IdeDrive *d)
{
	uint32_t named = d->wwn ? 1u << 8 : 0, flushes = 1u << 13 | 1u << 12 | 1u << 10;
	word(d, 80, 0xf0);
	word(d, 81, 0x16);
	word(d, 82, 1u << 14 | 1u << 5 | 1);
	word(d, 83, 1u << 14 | flushes);
	word(d, 84, 1u << 14 | named);
	word(d, 85, 1u << 14 | (blk_write_cache(d->blk) ? 1u << 5 : 0) | (d->smart ? 1 : 0));
	word(d, 86, flushes);
	word(d, 87, 1u << 14 | named);
}

void ide_identify(IdeDrive *d)
{
	common(d);
	word(d, 0, 0x0040);
	geometry(d);
	word(d, 20, 3);
	word(d, 21, 512);
	word(d, 22, 4);
	word(d, 47, 0x8000 | IDE_MULTIPLE_MAX);
	word(d, 49, 1u << 11 | 1u << 9 | 1u << 8);
	word(d, 51, 0x200);
	word(d, 52, 0x200);
	if (d->multiple)
		word(d, 59, 0x100u | d->multiple);
	for (unsigned n = 65; n <= 68; n++)
		word(d, n, 120); /* ns a cycle */
	if (d->granularity)
		word(d, 69, 1u << 14); /* trimmed blocks read the same each time */
	command_sets(d);
	word(d, 93, 0x6001);
	word(d, 105, 1);
	if (d->physical_exp)
		word(d, 106, 0x6000u | d->physical_exp);
	for (unsigned i = 0; d->wwn && i < 4; i++)
		word(d, 108 + i, (uint16_t)(d->wwn >> (48 - 16 * i)));
	if (d->granularity)
		word(d, 169, 1);
	word(d, 217, d->rotation);
	ide_reply(d, IDE_SECTOR);
}

void ide_identify_packet(IdeDrive *d)
{
	common(d);
	word(d, 0, 0x85c0); /* packet device, CD-ROM, removable, DRQ within 50 us, 12 bytes */
	word(d, 20, 3);
	word(d, 21, 512);
	word(d, 22, 4);
	word(d, 49, 1u << 9 | 1u << 8);
	word(d, 53, 7);
	word(d, 65, 0xb4);
	word(d, 66, 0xb4);
	word(d, 67, 0x12c);
	word(d, 68, 0xb4);
	word(d, 71, 30);
	word(d, 72, 30);
	word(d, 80, 0x1e);
	if (d->wwn) {
		word(d, 84, 1u << 8);
		word(d, 87, 1u << 8);
		for (unsigned i = 0; i < 4; i++)
			word(d, 108 + i, (uint16_t)(d->wwn >> (48 - 16 * i)));
	}
	ide_reply(d, IDE_SECTOR);
}
