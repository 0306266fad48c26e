/*
 * sdhci_dma.c - the controller's own way to guest memory: SDMA, ADMA1, ADMA2.
 *
 * SDHC 1.4, 1.13 (ADMA2), 2.2.1 (boundaries). What no memory answers reads as ones and is dropped
 * when written, as on any PCI bus; ADMA calls it an error, SDMA has no word for that. ADMA1 is that
 * of the specification's first version: descriptors of 32 bits that move whole pages.
 */
#include <string.h>

#include "hw/sd/sdhci.h"

#define DESCRIPTORS_A_SLICE 1024u /* then others have their turn: tables may go in circles */
#define SLICE_NS	    50000

/* Attributes of a descriptor */
#define VALID	   0x01u
#define END	   0x02u
#define INTERRUPT  0x04u
#define ACTION	   0x30u
#define SET_LENGTH 0x10u
#define TRANSFER   0x20u
#define LINK	   0x30u
#define PAGE	   4096u

static bool from_guest(Sdhci *s, uint64_t addr, void *to, uint32_t len)
{
	if (pci_master(&s->pci))
		return guest_read(s->pci.dev.board->mem, addr, to, len);
	memset(to, 0xff, len);
	return false;
}

static bool to_guest(Sdhci *s, uint64_t addr, const void *from, uint32_t len)
{
	return pci_master(&s->pci) && guest_write(s->pci.dev.board->mem, addr, from, len);
}

static bool move(Sdhci *s, uint64_t addr, uint32_t len)
{
	uint8_t *p = s->slot.card->buf + s->at;
	s->at += len;
	return s->read ? to_guest(s, addr, p, len) : from_guest(s, addr, p, len);
}

static SdhciDma wait(Sdhci *s)
{
	s->step = STEP_DMA;
	return DMA_WAITS;
}

/* ---- SDMA ---- */

static SdhciDma sdma(Sdhci *s)
{
	uint32_t boundary = PAGE << (sdhci_get16(s, SDHC_BLOCK_SIZE) >> 12 & 7);
	if (s->boundary)
		return wait(s);
	while (s->at < s->have) {
		uint32_t addr = sdhci_get32(s, SDHC_SYSTEM_ADDRESS);
		uint32_t len = MIN(s->have - s->at, boundary - addr % boundary);
		move(s, addr, len);
		addr += len;
		sdhci_put32(s, SDHC_SYSTEM_ADDRESS, addr);
		bool more = s->at < s->have || s->endless || s->left > s->count;
		if (addr % boundary == 0 && more) {
			s->boundary = true;
			sdhci_raise(s, INT_DMA);
			return wait(s);
		}
	}
	return DMA_DONE;
}

/* ---- ADMA ---- */

static SdhciDma adma_fail(Sdhci *s, uint8_t why)
{
	s->reg[SDHC_ADMA_ERROR] = why;
	sdhci_transfer_fail(s, ERR_ADMA);
	return DMA_FAILED;
}

/* 00h is 64 KiB. */
static void begin_piece(Sdhci *s, uint64_t addr, uint32_t len)
{
	s->piece = true;
	s->piece_addr = addr;
	s->piece_left = len ? len : 0x10000;
}

static void act(Sdhci *s, uint32_t word, uint32_t address, bool adma1)
{
	uint32_t next = sdhci_get32(s, SDHC_ADMA_ADDRESS) + (adma1 ? 4 : 8);
	switch (word & ACTION) {
	case SET_LENGTH:
		if (adma1)
			s->adma1_length = word >> 12 & 0xffff;
		break;
	case TRANSFER:
		begin_piece(s, address, adma1 ? s->adma1_length : word >> 16);
		break;
	case LINK:
		next = address;
		break;
	default:
		break;
	}
	sdhci_put32(s, SDHC_ADMA_ADDRESS, next);
}

/* The next descriptor. False: it failed. */
static bool fetch(Sdhci *s)
{
	bool adma1 = (s->reg[SDHC_HOST_CONTROL] & HOST_DMA) == DMA_ADMA1;
	uint8_t raw[8] = {0};
	uint32_t where = sdhci_get32(s, SDHC_ADMA_ADDRESS);
	if (!from_guest(s, where, raw, adma1 ? 4 : 8) || !(raw[0] & VALID)) {
		adma_fail(s, ADMA_FETCH);
		return false;
	}
	uint32_t word = pci_get32(raw);
	s->last = word & END;
	act(s, word, adma1 ? word & ~(PAGE - 1) : pci_get32(raw + 4), adma1);
	s->interrupt = word & INTERRUPT;
	return true;
}

static SdhciDma adma(Sdhci *s)
{
	for (unsigned n = 0; s->at < s->have; n++) {
		if (!s->piece && s->last)
			return DMA_ENDED;
		if (n == DESCRIPTORS_A_SLICE) {
			timer_arm(&s->slice, clock_now(s->pci.dev.board->clock) + SLICE_NS);
			return wait(s);
		}
		if (!s->piece && !fetch(s))
			return DMA_FAILED;
		uint32_t len = s->piece ? MIN(s->have - s->at, s->piece_left) : 0;
		if (len && !move(s, s->piece_addr, len))
			return adma_fail(s, ADMA_TRANSFER);
		s->piece_addr += len;
		s->piece_left -= len;
		s->piece = s->piece && s->piece_left;
		if (!s->piece && s->interrupt) {
			s->interrupt = false;
			sdhci_raise(s, INT_DMA);
		}
	}
	return DMA_DONE;
}

/* ---- both ---- */

void sdhci_dma_start(Sdhci *s)
{
	s->boundary = s->piece = s->last = s->interrupt = false;
	s->piece_left = s->adma1_length = 0;
	if (s->dma && (s->reg[SDHC_HOST_CONTROL] & HOST_DMA) == DMA_ADMA2_64)
		adma_fail(s, ADMA_FETCH); /* 64-bit addresses are not offered */
}

bool sdhci_dma_ended(const Sdhci *s)
{
	return s->dma && s->last && !s->piece;
}

SdhciDma sdhci_dma_move(Sdhci *s)
{
	bool simple = (s->reg[SDHC_HOST_CONTROL] & HOST_DMA) == DMA_SDMA;
	SdhciDma result = simple ? sdma(s) : adma(s);
	if (result == DMA_ENDED && (s->at || !s->endless))
		return adma_fail(s, ADMA_TRANSFER | ADMA_LENGTH);
	return result;
}
