/*
 * fuzz-ide.c - commands, packets, bus master tables and stray port accesses at random.
 *
 * Whatever a guest does, the controller comes back to life after a reset and writes to RAM only.
 */
#include <string.h>

#include "core/lock.h"
#include "fuzz.h"
#include "ide-rig.h"

#define STEPS 3000u

static uint8_t byte(GRand *g)
{
	return (uint8_t)g_rand_int(g);
}

static void table(IdeRig *r, GRand *g)
{
	for (unsigned i = 0; i < 1 + below(g, 40); i++) {
		uint32_t addr = below(g, 4) ? below(g, HARNESS_RAM) : g_rand_int(g);
		uint32_t len = below(g, 3) ? 512 * below(g, 9) : g_rand_int(g) & 0xffff;
		uint32_t words[2] = { addr, len | (below(g, 12) ? 0 : 0x80000000u) };
		memcpy(r->h->board.ram + RIG_TABLE + 8 * i, words, 8);
	}
}

static void command(IdeRig *r, GRand *g, uint16_t base)
{
	static const uint8_t known[] = { 0x06, 0x08, 0x20, 0x24, 0x25, 0x29, 0x27, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40,
		0x42, 0x90, 0x91, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xce, 0xe5, 0xe7, 0xec, 0xef, 0xf8 };
	for (uint16_t reg = 1; reg < 6; reg++)
		if (below(g, 3))
			outb(r->h, (uint16_t)(base + reg), below(g, 2) ? below(g, 8) : byte(g));
	if (below(g, 4) == 0) {
		outb(r->h, (uint16_t)(base + 4), 0x4f);
		outb(r->h, (uint16_t)(base + 5), 0xc2);
	}
	outb(r->h, (uint16_t)(base + 6), 0xa0 | (below(g, 2) ? 0x40 : 0) | (below(g, 10) ? 0 : byte(g)));
	outb(r->h, (uint16_t)(base + 7), below(g, 5) ? known[below(g, sizeof(known))] : byte(g));
}

static void packet(IdeRig *r, GRand *g)
{
	static const uint8_t known[] = { 0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46, 0x4a, 0x51,
		0x52, 0x55, 0x5a, 0x08, 0x15, 0xa8, 0xad, 0xbd, 0xbe };
	uint8_t cdb[12];
	outb(r->h, 0x171, below(g, 2));
	outb(r->h, 0x174, byte(g));
	outb(r->h, 0x175, below(g, 3) ? below(g, 9) : byte(g));
	outb(r->h, 0x176, 0xa0);
	outb(r->h, 0x177, 0xa0);
	for (unsigned i = 0; i < 12; i++)
		cdb[i] = below(g, 3) ? (uint8_t)below(g, 4) : byte(g);
	if (below(g, 8))
		cdb[0] = known[below(g, sizeof(known))];
	for (unsigned i = 0; i < 12; i += 2)
		outw(r->h, 0x170, cdb[i] | cdb[i + 1] << 8);
}

static void data(IdeRig *r, GRand *g, uint16_t base)
{
	unsigned n = below(g, 700);
	bool out = below(g, 2);
	for (unsigned i = 0; i < n; i++) {
		if (out)
			as_store(r->h->board.io, base, g_rand_int(g), 2u << below(g, 2));
		else
			as_load(r->h->board.io, base, 2u << below(g, 2));
	}
}

static void stray(IdeRig *r, GRand *g)
{
	static const uint16_t ports[] = { 0x1f0, 0x170, RIG_BM, RIG_BM + 8, 0x3f6, 0x376 };
	uint16_t port = (uint16_t)(ports[below(g, 6)]);
	port = (uint16_t)(port + (port < 0x300 || port >= RIG_BM ? below(g, 8) : 0));
	unsigned size = 1u << below(g, 3);
	if (below(g, 2))
		as_store(r->h->board.io, port, g_rand_int(g), size);
	else
		as_load(r->h->board.io, port, size);
}

static void medium(IdeRig *r, GRand *g)
{
	bool present = blk_inserted(r->disc);
	r->c->hold = r->m->hold = false;
	blk_insert(r->disc, present ? NULL : medium_node(r->c, "again"));
}

static void step(IdeRig *r, GRand *g)
{
	uint16_t base = below(g, 2) ? RIG_DISK : RIG_CD, bm = base == RIG_DISK ? RIG_BM : RIG_BM + 8;
	unsigned what = below(g, 24);
	switch (what) {
	case 0: table(r, g); break;
	case 1: case 2: case 3: case 4: command(r, g, base); break;
	case 5: case 6: case 7: packet(r, g); break;
	case 8: case 9: outl(r->h, (uint16_t)(bm + 4), below(g, 9) ? RIG_TABLE : g_rand_int(g)); break;
	case 10: case 11: outb(r->h, bm, 9); break;
	case 12: outb(r->h, bm, 0); break;
	case 13: case 14: case 15: data(r, g, base); break;
	case 16: stray(r, g); break;
	case 17: r->m->hold = r->c->hold = below(g, 4) == 0; break;
	case 18: r->m->error = r->c->error = below(g, 4) ? 0 : -5; break;
	case 19: if (!below(g, 8)) medium(r, g); break;
	case 20: pci_out(r->h, 1, 1, 4, below(g, 8) ? 5 : 1, 2); break;
	case 21: if (!below(g, 5)) outb(r->h, (uint16_t)(base + 0x206), below(g, 2) ? 4 : 0); break;
	case 22: if (!below(g, 30)) rig_reset(r); break;
	default: loop_poll(loop_main(), false);
	}
}

static bool alive(IdeRig *r)
{
	r->m->hold = r->c->hold = false;
	rig_reset(r);
	outb(r->h, 0x1f6, 0xe0);
	outb(r->h, 0x1f7, 0xec);
	return inb(r->h, 0x1f7) == 0x58;
}

static bool run(GRand *g, uint32_t seed)
{
	IdeRig r;
	rig_new(&r, true);
	r.m->patience = r.c->patience = 2;
	machine_lock();
	for (unsigned i = 0; i < STEPS; i++)
		step(&r, g);
	bool ok = alive(&r) && fuzz_ram_only(r.h);
	machine_unlock();
	rig_free(&r);
	return ok;
}

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { .what = "ports at random", .steps = STEPS, .run = run };
	return fuzz_main(argc, argv, &fuzzer);
}
