/*
 * fuzz-sdhci.c - commands, transfers, descriptors and stray register accesses at random.
 *
 * Whatever a guest does, controller and card come back to life after a reset, the card's registers
 * stay within themselves, and nothing but RAM is written.
 */
#include <string.h>

#include "core/lock.h"
#include "fuzz.h"
#include "sd-rig.h"

#define STEPS 3000u
#define TABLE 0x8000u
#define RCA   0x45670000u

static void plain(SdRig *r, unsigned index, uint32_t arg, unsigned flags)
{
	store(r, SDHC_ARGUMENT, arg, 4);
	store(r, SDHC_COMMAND, index << 8 | flags, 2);
}

/* Straight to the transfer state, so that there is something to fuzz there. */
static void wake(SdRig *r)
{
	store(r, SDHC_POWER_CONTROL, 0x0f, 1);
	store(r, SDHC_CLOCK_CONTROL, CLOCK_INTERNAL | CLOCK_CARD, 2);
	store(r, SDHC_STATUS_ENABLE, 0x03ff01ff, 4);
	store(r, SDHC_SIGNAL_ENABLE, 0x03ff01ff, 4);
	plain(r, 0, 0, 0);
	plain(r, 8, 0x1aa, 0x1a);
	plain(r, 55, 0, 0x1a);
	plain(r, 41, SD_OCR_CCS | 0x300000, 0x02);
	plain(r, 2, 0, 0x09);
	plain(r, 3, 0, 0x1a);
	plain(r, 7, RCA, 0x1b);
}

static uint32_t address(SdRig *r, GRand *g)
{
	switch (below(g, 6)) {
	case 0:
		return g_rand_int(g);
	case 1:
		return RIG_REGS + below(g, SDHCI_REGS);
	case 2:
		return HARNESS_RAM - below(g, 2000);
	default:
		return below(g, HARNESS_RAM);
	}
}

static void table(SdRig *r, GRand *g)
{
	static const uint8_t likely[] = {0x21, 0x21, 0x23, 0x25, 0x01, 0x11, 0x20, 0x27};
	for (unsigned i = 0; i < 1 + below(g, 30); i++) {
		uint32_t attributes = below(g, 8) ? likely[below(g, sizeof(likely))] : below(g, 64);
		uint32_t len = below(g, 3) ? 512 * below(g, 20) : below(g, 0x10000);
		uint32_t words[2] = {attributes | len << 16, address(r, g)};
		if ((attributes & 0x30) == 0x30)
			words[1] = TABLE + 8 * below(g, 30);
		memcpy(r->h->board.ram + TABLE + 8 * i, words, 8);
	}
	store(r, SDHC_ADMA_ADDRESS, below(g, 20) ? TABLE : g_rand_int(g), 4);
	store(r, SDHC_HOST_CONTROL, 8 * below(g, 4), 1);
}

static void command(SdRig *r, GRand *g)
{
	static const uint8_t known[] = {6, 7, 8, 9, 10, 12, 13, 16, 23, 32, 33, 38, 41, 51, 55};
	unsigned index = below(g, 5) ? known[below(g, sizeof(known))] : below(g, 64);
	uint32_t arg = below(g, 3) ? (below(g, 2) ? RCA : 512 * below(g, 2100)) : g_rand_int(g);
	plain(r, index, arg, below(g, 4) ? 0x1a : below(g, 256));
}

static void transfer(SdRig *r, GRand *g)
{
	static const uint8_t known[] = {17, 18, 18, 24, 25, 25, 6, 13, 22, 51};
	unsigned index = known[below(g, sizeof(known))];
	uint32_t size = below(g, 4) ? 512 : below(g, 4096), count = below(g, 9) ? below(g, 200) : 0;
	if (index < 17 || index == 22 || index == 51) {
		plain(r, 55, RCA, 0x1a);
		size = below(g, 2) ? 64 : 8;
	}
	store(r, SDHC_SYSTEM_ADDRESS, address(r, g), 4);
	store(r, SDHC_BLOCK_SIZE, count << 16 | below(g, 8) << 12 | size, 4);
	store(r, SDHC_ARGUMENT, below(g, 6) ? 512 * below(g, 2050) : g_rand_int(g), 4);
	store(r, SDHC_TRANSFER_MODE, below(g, 64), 2);
	store(r, SDHC_COMMAND, index << 8 | 0x3a, 2);
}

static void port(SdRig *r, GRand *g)
{
	bool out = below(g, 2);
	for (unsigned n = below(g, 600); n > 0; n--) {
		if (out)
			store(r, SDHC_DATA_PORT + below(g, 2), g_rand_int(g), 1u << below(g, 3));
		else
			load(r, SDHC_DATA_PORT, 1u << below(g, 3));
	}
}

static void stray(SdRig *r, GRand *g)
{
	unsigned reg = below(g, SDHCI_REGS), size = 1u << below(g, 3);
	if (below(g, 3))
		store(r, reg, g_rand_int(g), size);
	else
		load(r, reg, size);
}

static void medium(SdRig *r)
{
	bool present = blk_inserted(r->blk);
	r->m->hold = false;
	blk_insert(r->blk, present ? NULL : medium_node(r->m, "again"));
}

static void step(SdRig *r, GRand *g)
{
	switch (below(g, 24)) {
	case 0:
	case 1:
		table(r, g);
		break;
	case 2:
	case 3:
	case 4:
		command(r, g);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		transfer(r, g);
		break;
	case 9:
	case 10:
		port(r, g);
		break;
	case 11:
		stray(r, g);
		break;
	case 12:
		store(r, SDHC_SYSTEM_ADDRESS, address(r, g), 4);
		break;
	case 13:
		store(r, SDHC_SOFTWARE_RESET, below(g, 8), 1);
		break;
	case 14:
		r->m->hold = below(g, 4) == 0;
		break;
	case 15:
		r->m->error = below(g, 5) ? 0 : -5;
		break;
	case 16:
		if (!below(g, 10))
			medium(r);
		break;
	case 17:
		plain(r, 12, 0, 0xdb);
		break;
	case 18:
		if (!below(g, 6))
			pci_out(r->h, RIG_SLOT, 0, PCI_COMMAND, below(g, 8), 2);
		break;
	case 19:
		pci_out(r->h, RIG_SLOT, 0, PCI_COMMAND, 6, 2);
		break;
	case 20:
	case 21:
		wake(r);
		break;
	case 22:
		if (!below(g, 30))
			rig_reset(r);
		break;
	default:
		loop_poll(loop_main(), false);
	}
}

/* After a reset: the first block, by the data port. */
static bool alive(SdRig *r)
{
	r->m->hold = false;
	r->m->error = 0;
	if (!blk_inserted(r->blk))
		medium(r);
	rig_reset(r);
	wake(r);
	store(r, SDHC_BLOCK_SIZE, 512, 4);
	store(r, SDHC_TRANSFER_MODE, MODE_READ, 2);
	plain(r, 17, 0, 0x3a);
	for (unsigned i = 0; i < 1000 && !(load(r, SDHC_STATUS, 4) & INT_CAN_READ); i++)
		loop_poll(loop_main(), true);
	uint32_t first = load(r, SDHC_DATA_PORT, 4);
	return !memcmp(&first, r->m->data, 4);
}

static bool run(GRand *g, uint32_t seed)
{
	SdRig r;
	rig_new(&r, RIG_BYTES, seed % 8 == 0, seed % 2 ? "3" : "2");
	r.m->patience = 2;
	machine_lock();
	wake(&r);
	for (unsigned i = 0; i < STEPS; i++)
		step(&r, g);
	bool ok = alive(&r) && fuzz_ram_only(r.h);
	machine_unlock();
	rig_free(&r);
	return ok;
}

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { .what = "registers at random", .steps = STEPS, .run = run };
	return fuzz_main(argc, argv, &fuzzer);
}
