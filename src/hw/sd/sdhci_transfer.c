/*
 * sdhci_transfer.c - a data transfer: blocks from the card to the guest or the other way, by the
 * data port or by DMA.
 *
 * SDHC 1.5 (buffer), 3.7.2 (transfers), 3.8 (abort), 3.9 (errors). The steps are SdhciStep's;
 * whoever makes one possible (guest, card, timer) calls sdhci_transfer_run().
 */
#include <string.h>

#include "hw/sd/sdhci.h"

/* ---- ends ---- */

void sdhci_transfer_stop(Sdhci *s)
{
	s->step = STEP_NONE;
	s->at = s->have = 0;
	s->boundary = false;
	timer_cancel(&s->slice);
}

void sdhci_transfer_fail(Sdhci *s, uint32_t errors)
{
	sdhci_transfer_stop(s);
	sdhci_raise(s, errors);
}

static void complete(Sdhci *s)
{
	sdhci_transfer_stop(s);
	if (s->reg[SDHC_TRANSFER_MODE] & MODE_MULTIPLE && s->reg[SDHC_TRANSFER_MODE] & MODE_AUTO12)
		sdhci_auto_stop(s);
	sdhci_raise(s, INT_TRANSFER);
}

/* ---- steps; true: the next one is possible ---- */

/* The buffer has moved on both sides. */
static bool blocks_done(Sdhci *s)
{
	s->step = STEP_BLOCK;
	s->at = s->have = 0;
	if (s->endless)
		return true;
	s->left -= s->count;
	if (s->reg[SDHC_TRANSFER_MODE] & MODE_COUNT)
		sdhci_put16(s, SDHC_BLOCK_COUNT, (uint16_t)s->left);
	if (s->left)
		return true;
	complete(s);
	return false;
}

static bool write_to_card(Sdhci *s)
{
	if (sd_card_write(s->slot.card, s->block, s->count) == SD_MOVE_NONE) {
		sdhci_transfer_fail(s, ERR_DATA_TIMEOUT);
		return false;
	}
	s->step = STEP_CARD;
	return true;
}

static bool wait_for_port(Sdhci *s)
{
	s->step = STEP_PORT;
	sdhci_raise(s, s->read ? INT_CAN_READ : INT_CAN_WRITE);
	return false;
}

static bool by_dma(Sdhci *s)
{
	s->step = STEP_DMA;
	SdhciDma result = sdhci_dma_move(s);
	if (result == DMA_ENDED)
		complete(s);
	if (result != DMA_DONE)
		return false;
	return s->read ? blocks_done(s) : write_to_card(s);
}

static bool stopped_at_gap(Sdhci *s)
{
	if (!(s->reg[SDHC_BLOCK_GAP] & GAP_STOP))
		return false;
	s->step = STEP_GAP;
	sdhci_raise(s, INT_BLOCK_GAP | INT_TRANSFER);
	return true;
}

static bool begin_blocks(Sdhci *s)
{
	SdCard *c = s->slot.card;
	if (sd_card_busy(c)) /* with what was given up before */
		return false;
	if (stopped_at_gap(s))
		return false;
	if (s->endless && sdhci_dma_ended(s)) {
		complete(s);
		return false;
	}
	/* A transfer without an end goes block by block: nobody knows which is the last. */
	uint32_t wanted = s->dma && !s->endless ? s->left : 1;
	s->count = MIN(wanted, MAX(sd_card_room(c, !s->read, s->block), 1));
	s->at = 0;
	s->have = s->count * s->block;
	if (!s->read)
		return s->dma ? by_dma(s) : wait_for_port(s);
	if (sd_card_read(c, s->block, s->count) == SD_MOVE_NONE) {
		sdhci_transfer_fail(s, ERR_DATA_TIMEOUT);
		return false;
	}
	s->step = STEP_CARD;
	return true;
}

static bool card_done(Sdhci *s)
{
	if (sd_card_busy(s->slot.card))
		return false;
	if (sd_card_failed(s->slot.card)) {
		sdhci_transfer_fail(s, s->read ? ERR_DATA_TIMEOUT : ERR_DATA_CRC);
		return false;
	}
	if (!s->read)
		return blocks_done(s);
	return s->dma ? by_dma(s) : wait_for_port(s);
}

static bool step(Sdhci *s)
{
	switch (s->step) {
	case STEP_BLOCK:
		return begin_blocks(s);
	case STEP_CARD:
		return card_done(s);
	case STEP_DMA:
		return by_dma(s);
	default:
		return false;
	}
}

/* Ends: between two blocks the card works for a while, and a card's register is one block. */
void sdhci_transfer_run(Sdhci *s)
{
	while (s->slot.card && step(s))
		;
}

void sdhci_transfer_start(Sdhci *s)
{
	uint8_t mode = s->reg[SDHC_TRANSFER_MODE];
	s->block = MIN(sdhci_get16(s, SDHC_BLOCK_SIZE) & 0xfff, SD_BLOCK);
	s->read = mode & MODE_READ;
	s->dma = mode & MODE_DMA;
	s->endless = mode & MODE_MULTIPLE && !(mode & MODE_COUNT);
	s->left = mode & MODE_MULTIPLE ? sdhci_get16(s, SDHC_BLOCK_COUNT) : 1;
	s->step = STEP_BLOCK;
	s->at = s->have = 0;
	sdhci_dma_start(s);
	if (s->step == STEP_BLOCK && !s->endless && !s->left)
		complete(s);
	sdhci_transfer_run(s);
}

/* ---- the data port ---- */

static void port_moved(Sdhci *s, uint32_t bytes)
{
	s->at += bytes;
	if (s->at < s->have)
		return;
	if (s->read ? blocks_done(s) : write_to_card(s))
		sdhci_transfer_run(s);
}

uint32_t sdhci_port_read(Sdhci *s, unsigned size)
{
	uint32_t value = 0;
	if (s->step != STEP_PORT || !s->read)
		return 0;
	uint32_t bytes = MIN(size, s->have - s->at);
	memcpy(&value, s->slot.card->buf + s->at, bytes); /* the host is little-endian */
	port_moved(s, bytes);
	return value;
}

void sdhci_port_write(Sdhci *s, uint32_t value, unsigned size)
{
	if (s->step != STEP_PORT || s->read)
		return;
	uint32_t bytes = MIN(size, s->have - s->at);
	memcpy(s->slot.card->buf + s->at, &value, bytes);
	port_moved(s, bytes);
}
