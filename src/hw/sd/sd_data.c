/*
 * sd_data.c - blocks between the card's buffer and its drive, and erasing.
 *
 * SD 4.3.3, 4.3.4, 4.3.5. One request to the drive at a time. What was given up goes on unseen, and
 * the card stays busy until it ends, so that a guest cannot pile requests up.
 */
#include <errno.h>
#include <string.h>

#include "hw/sd/sd.h"

/* ---- the end of a request ---- */

static uint32_t block_bytes(const SdCard *c)
{
	return sd_is_sdhc(c) ? SD_BLOCK : c->block_len;
}

static void after_blocks(SdCard *c)
{
	uint32_t count = c->moving / block_bytes(c);
	c->address += c->moving;
	if (c->state == SD_RCV)
		c->written += count;
	if (c->counted)
		c->blocks -= MIN(count, c->blocks);
	if (!c->multiple || (c->counted && !c->blocks))
		sd_end_data(c);
}

static void done(void *opaque, int result)
{
	SdCard *c = opaque;
	bool wrote = c->programming, stale = c->stale;

	c->busy = c->stale = c->programming = false;
	if (result < 0) /* also of what nobody waits for: the next R1 tells */
		c->status |= wrote ? SD_ERROR : SD_CARD_ECC_FAILED;
	c->failed = result < 0;
	if (!stale && c->moving && !c->failed)
		after_blocks(c);
	else if (!stale && c->moving && !c->multiple)
		sd_end_data(c);
	if (c->erase_waits)
		sd_erase(c);
	else
		c->slot->ready(c->slot);
}

static void begin(SdCard *c, bool write, uint32_t bytes)
{
	c->vec = (struct iovec){c->buf, bytes};
	c->moving = bytes;
	c->busy = true;
	c->programming = write;
	c->failed = false;
	if (write)
		blk_write(c->blk, c->address, &c->vec, 1, 0, done, c);
	else
		blk_read(c->blk, c->address, &c->vec, 1, done, c);
}

/* ---- data phases ---- */

void sd_begin_medium(SdCard *c, bool write, bool multiple, uint64_t address)
{
	c->state = write ? SD_RCV : SD_DATA;
	c->source = SD_FROM_MEDIUM;
	c->multiple = multiple;
	c->counted = multiple && c->set_blocks;
	c->blocks = c->set_blocks;
	c->address = address;
	if (write)
		c->written = 0;
}

void sd_begin_register(SdCard *c, const uint8_t *bytes, unsigned len)
{
	c->state = SD_DATA;
	c->source = SD_FROM_REGISTER;
	c->multiple = c->counted = false;
	memcpy(c->reg, bytes, len);
	c->reg_bytes = (uint8_t)len;
}

void sd_end_data(SdCard *c)
{
	if (c->state == SD_DATA || c->state == SD_RCV)
		c->state = SD_TRAN;
	c->source = SD_FROM_NOTHING;
	c->stale = c->busy;
}

uint32_t sd_card_room(const SdCard *c, bool write, uint32_t len)
{
	if (c->state != (write ? SD_RCV : SD_DATA))
		return 0;
	if (c->source == SD_FROM_REGISTER)
		return len == c->reg_bytes;
	if (c->source != SD_FROM_MEDIUM || len != block_bytes(c) || c->address >= c->size)
		return 0;
	uint64_t most = MIN((c->size - c->address) / len, SD_BUFFER / len);
	if (c->counted)
		most = MIN(most, c->blocks);
	return (uint32_t)(c->multiple ? most : MIN(most, 1));
}

/* More than there is room for: at the end of the medium the status says so. */
static bool fits(SdCard *c, bool write, uint32_t len, uint32_t count)
{
	c->failed = false;
	if (count && count <= sd_card_room(c, write, len))
		return true;
	if (c->source == SD_FROM_MEDIUM && c->address >= c->size)
		c->status |= SD_OUT_OF_RANGE;
	return false;
}

SdMove sd_card_read(SdCard *c, uint32_t len, uint32_t count)
{
	if (!fits(c, false, len, count))
		return SD_MOVE_NONE;
	if (c->source == SD_FROM_REGISTER) {
		memcpy(c->buf, c->reg, len);
		sd_end_data(c);
		return SD_MOVE_DONE;
	}
	begin(c, false, len * count);
	return SD_MOVE_LATER;
}

SdMove sd_card_write(SdCard *c, uint32_t len, uint32_t count)
{
	if (!fits(c, true, len, count))
		return SD_MOVE_NONE;
	begin(c, true, len * count);
	return SD_MOVE_LATER;
}

/* ---- erase ---- */

/* DATA_STAT_AFTER_ERASE is 0 in the SCR: what was erased reads as zeroes. */
void sd_erase(SdCard *c)
{
	uint64_t start = c->erase_start, end = c->erase_end + SD_BLOCK;
	c->erase_waits = c->busy; /* for a read that was given up */
	if (c->busy)
		return;
	c->busy = c->programming = true;
	c->failed = false;
	c->moving = 0;
	blk_write_zeroes(c->blk, start, end - start, REQ_UNMAP, done, c);
}
