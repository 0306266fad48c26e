/*
 * sdhci_command.c - commands to the card and its responses.
 *
 * SDHC 2.2.5, 2.2.6 (modes and commands), 2.2.7 (responses), 3.7.1. Main loop and vcpu threads,
 * machine lock held.
 */
#include <string.h>

#include "core/trace.h"
#include "hw/sd/sdhci.h"

#define STOP_TRANSMISSION 12
#define SET_BLOCK_COUNT	  23
#define AUTO_RESPONSE	  (SDHC_RESPONSE + 12)

/* A card without power or clock is as none. */
static SdCard *reachable(Sdhci *s)
{
	bool on = s->reg[SDHC_POWER_CONTROL] & POWER_ON;
	return on && sd_card_present(s->slot.card) ? s->slot.card : NULL;
}

static bool clock_runs(const Sdhci *s)
{
	const uint8_t needed = CLOCK_INTERNAL | CLOCK_STABLE | CLOCK_CARD;
	return (s->reg[SDHC_CLOCK_CONTROL] & needed) == needed;
}

static uint32_t big32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- commands of the controller's own ---- */

/* Bits of SDHC_AUTO_ERROR, 0: it was answered. */
static uint8_t automatic(Sdhci *s, uint8_t index, uint32_t arg)
{
	uint8_t answer[16];
	SdCard *c = reachable(s);
	if (!c || sd_card_command(c, index, arg, answer) != 4)
		return AUTO_TIMEOUT;
	sdhci_put32(s, AUTO_RESPONSE, big32(answer));
	return 0;
}

static bool auto_failed(Sdhci *s, uint8_t why)
{
	s->reg[SDHC_AUTO_ERROR] = why;
	if (why)
		sdhci_raise(s, ERR_AUTO);
	return why;
}

void sdhci_auto_stop(Sdhci *s)
{
	auto_failed(s, automatic(s, STOP_TRANSMISSION, 0));
}

/* ---- commands of the guest ---- */

/* What must wait for the DAT lines may not be sent while they are in use. */
static bool may_send(const Sdhci *s, uint16_t command)
{
	bool needs_data = command & COMMAND_DATA || (command & COMMAND_RESPONSE) == RESPONSE_BUSY;
	bool aborts =
	    (command & COMMAND_TYPE) == COMMAND_ABORT || command >> 8 == STOP_TRANSMISSION;
	if (!clock_runs(s))
		return false;
	return aborts || !needs_data || (s->step == STEP_NONE && !s->card_waits);
}

static void store_response(Sdhci *s, const uint8_t *answer, unsigned len)
{
	if (len == 4)
		sdhci_put32(s, SDHC_RESPONSE, big32(answer));
	for (unsigned i = 0; len == 15 && i < 16; i++) /* without its CRC */
		s->reg[SDHC_RESPONSE + i] = i < 15 ? answer[14 - i] : 0;
}

/* ERR_* bits; 0: it is as it should be. */
static uint32_t wrong_response(uint16_t command, unsigned len)
{
	unsigned kind = command & COMMAND_RESPONSE;
	if (kind == RESPONSE_NONE)
		return 0;
	if (!len)
		return ERR_COMMAND_TIMEOUT;
	return len == (kind == RESPONSE_136 ? 15 : 4) ? 0 : ERR_COMMAND_END;
}

/* The card's busy signal after the response; its end completes the command. */
static void watch_busy(Sdhci *s)
{
	s->card_waits = sd_card_programming(s->slot.card);
	if (!s->card_waits)
		sdhci_raise(s, INT_TRANSFER);
}

void sdhci_command(Sdhci *s)
{
	uint16_t command = sdhci_get16(s, SDHC_COMMAND);
	uint8_t index = (uint8_t)(command >> 8), answer[16];
	SdCard *c = reachable(s);
	if (!may_send(s, command))
		return;
	trace_sdhci_send_command(index, sdhci_get32(s, SDHC_ARGUMENT));
	if ((command & COMMAND_TYPE) == COMMAND_ABORT || index == STOP_TRANSMISSION)
		sdhci_transfer_stop(s);
	if (command & COMMAND_DATA && s->reg[SDHC_TRANSFER_MODE] & MODE_AUTO23 &&
	    auto_failed(s, automatic(s, SET_BLOCK_COUNT, sdhci_get32(s, SDHC_SYSTEM_ADDRESS))))
		return;
	unsigned len = c ? sd_card_command(c, index, sdhci_get32(s, SDHC_ARGUMENT), answer) : 0;
	uint32_t wrong = wrong_response(command, len);
	if (wrong) {
		sdhci_raise(s, wrong);
		return;
	}
	store_response(s, answer, len);
	sdhci_raise(s, INT_COMMAND);
	if (!c)
		return;
	if (command & COMMAND_DATA && sdhci_get16(s, SDHC_BLOCK_SIZE) & 0xfff)
		sdhci_transfer_start(s);
	else if ((command & COMMAND_RESPONSE) == RESPONSE_BUSY)
		watch_busy(s);
}
