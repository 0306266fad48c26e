/*
 * sd_register.c - the card's registers as its host reads them: CID, CSD, SCR, SD status, functions.
 *
 * SD 5 and 4.10.2; names and numbers in the CID as QEMU's card has them. Bits are numbered as in
 * the specification, the highest first.
 */
#include <string.h>

#include "hw/sd/sd.h"

#define TRAN_SPEED_25MHZ 0x32
#define TRAN_SPEED_50MHZ 0x5a
/* Command classes: basic, block read, block write, erase, application-specific, switch */
#define CLASSES	       (1u << 0 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 10)
#define MAX_CURRENT_MA 100

/* Bits high..low of a register of `bytes` bytes. */
static void field(uint8_t *reg, unsigned bytes, unsigned high, unsigned low, uint64_t value)
{
	for (unsigned bit = low; bit <= high; bit++, value >>= 1)
		if (value & 1)
			reg[bytes - 1 - bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* SD 4.5: x^7 + x^3 + 1, over all bytes but the last. */
static void seal(uint8_t reg[16])
{
	unsigned crc = 0;
	for (unsigned bit = 0; bit < 15 * 8; bit++) {
		unsigned in = (reg[bit / 8] >> (7 - bit % 8)) & 1;
		unsigned out = (crc >> 6) & 1;
		crc = (crc << 1) & 0x7f;
		if (in ^ out)
			crc ^= 0x09;
	}
	reg[15] = (uint8_t)(crc << 1 | 1);
}

void sd_get_cid(const SdCard *c, uint8_t out[16])
{
	memset(out, 0, 16);
	out[0] = 0xaa;
	memcpy(out + 1,
	       "XY"
	       "QEMU!",
	       7);
	out[8] = 0x01;
	field(out, 16, 55, 24, 0xdeadbeef);
	field(out, 16, 19, 12, 6); /* years since 2000 */
	field(out, 16, 11, 8, 2);
	seal(out);
}

/* C_SIZE, C_SIZE_MULT and READ_BL_LEN of version 1 (SD 5.3.2): (c + 1) << (mult + 2) blocks. */
static void small_size(uint8_t csd[16], uint64_t bytes)
{
	unsigned block_exp = bytes > SD_SDSC_MAX / 2 ? 10 : 9, mult = 0;
	uint64_t blocks = bytes >> block_exp;
	while (mult < 7 && blocks >> (mult + 2) > 4096)
		mult++;
	field(csd, 16, 83, 80, block_exp);
	field(csd, 16, 73, 62, (blocks >> (mult + 2)) - 1);
	field(csd, 16, 49, 47, mult);
	field(csd, 16, 25, 22, block_exp);
}

void sd_get_csd(const SdCard *c, uint8_t out[16])
{
	memset(out, 0, 16);
	field(out, 16, 103, 96, c->high_speed ? TRAN_SPEED_50MHZ : TRAN_SPEED_25MHZ);
	field(out, 16, 95, 84, CLASSES);
	field(out, 16, 46, 46, 1);    /* ERASE_BLK_EN */
	field(out, 16, 45, 39, 0x7f); /* SECTOR_SIZE: 64 KiB */
	field(out, 16, 28, 26, 2);    /* R2W_FACTOR */
	field(out, 16, 12, 12, !sd_card_writable(c));
	if (sd_is_sdhc(c)) {
		field(out, 16, 127, 126, 1);
		field(out, 16, 119, 112, 0x0e);
		field(out, 16, 83, 80, 9);
		field(out, 16, 69, 48, (c->size >> 19) - 1);
		field(out, 16, 25, 22, 9);
	} else {
		field(out, 16, 119, 112, 0x26);
		field(out, 16, 79, 79, 1);     /* READ_BL_PARTIAL */
		field(out, 16, 61, 50, 0xfff); /* currents: the highest class of each */
		small_size(out, c->size);
	}
	seal(out);
}

void sd_get_scr(const SdCard *c, uint8_t out[8])
{
	memset(out, 0, 8);
	field(out, 8, 59, 56, c->spec_version == 1 ? 1 : 2); /* SD_SPEC */
	field(out, 8, 51, 48, 0x5);			     /* 1 and 4 data lines */
	if (c->spec_version >= 3) {
		field(out, 8, 47, 47, 1); /* SD_SPEC3 */
		field(out, 8, 33, 33, 1); /* CMD23 */
	}
}

void sd_get_ssr(const SdCard *c, uint8_t out[SD_STATUS_BYTES])
{
	memset(out, 0, SD_STATUS_BYTES);
	field(out, SD_STATUS_BYTES, 511, 510, c->bus_width);
}

/* Group 1 has the default and high speed, the others their default only. */
void sd_switch_function(SdCard *c, uint32_t arg, uint8_t out[SD_STATUS_BYTES])
{
	uint8_t chosen[6] = {c->high_speed};
	bool possible = true;

	memset(out, 0, SD_STATUS_BYTES);
	for (unsigned group = 0; group < 6; group++) {
		uint8_t wish = (arg >> (4 * group)) & 15, last = group == 0;
		field(out, SD_STATUS_BYTES, 415 + 16 * group, 400 + 16 * group, 0x8001 | last << 1);
		if (wish == 15)
			continue;
		possible = possible && wish <= last;
		chosen[group] = wish <= last ? wish : 15;
	}
	field(out, SD_STATUS_BYTES, 511, 496, possible ? MAX_CURRENT_MA : 0);
	for (unsigned group = 0; group < 6; group++)
		field(out, SD_STATUS_BYTES, 379 + 4 * group, 376 + 4 * group, chosen[group]);
	if (possible && arg >> 31)
		c->high_speed = chosen[0];
}
