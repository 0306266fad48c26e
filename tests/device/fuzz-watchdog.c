/*
 * fuzz-watchdog.c - writes to the i6300esb's registers at random, while time passes.
 *
 * Whatever a guest does, the watchdog bites no oftener than every two milliseconds, works again
 * after a reset, and nothing but RAM is written.
 */
#include "core/lock.h"
#include "fuzz.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define STEPS 2000u
#define SLOT 5
#define REGS 0xd0000000u
#define MS 1000000

static unsigned fired, fired_ever;

static void watchdog(Board *board)
{
	fired++;
	fired_ever++;
}

static void store(Harness *h, unsigned reg, uint32_t value, unsigned size)
{
	as_store(h->board.mem, REGS + reg, value, size);
}

static void unlock(Harness *h)
{
	store(h, 0xc, 0x80, 2);
	store(h, 0xc, 0x86, 2);
}

static void map(Harness *h)
{
	pci_out(h, SLOT, 0, PCI_BAR0, REGS, 4);
	pci_out(h, SLOT, 0, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static uint32_t value(GRand *g)
{
	static const uint32_t likely[] = { 0, 1, 2, 0x80, 0x86, 0x100, 0x200, 0xfffff };
	return below(g, 2) ? likely[below(g, G_N_ELEMENTS(likely))] : g_rand_int(g);
}

static void step(Harness *h, Device *dev, GRand *g)
{
	switch (below(g, 10)) {
	case 0:
		pci_out(h, SLOT, 0, 0x60 + below(g, 16), value(g), 1);
		break;
	case 1:
		pci_out(h, SLOT, 0, 0x60, below(g, 64), 2);
		break;
	case 2:
		pci_out(h, SLOT, 0, 0x68, below(g, 8) & (below(g, 8) ? 6 : 7), 1);
		break;
	case 3:
		as_load(h->board.mem, REGS + below(g, 16), 1u << below(g, 3));
		break;
	case 4:
	case 5:
		store(h, below(g, 16), value(g), 1u << below(g, 3));
		break;
	case 6:
	case 7:
		unlock(h);
		store(h, 4 * below(g, 4), below(g, 4) ? below(g, 300) : value(g), 4);
		break;
	case 8:
		if (!below(g, 20))
			device_reset(dev);
		map(h);
		break;
	default:
		clock_advance(h->board.clock, below(g, 10 * MS));
	}
}

/* From a reset on, a count that is left alone runs out. */
static bool alive(Harness *h, Device *dev)
{
	device_reset(dev);
	map(h);
	unsigned before = fired;
	pci_out(h, SLOT, 0, 0x60, 4, 2);
	pci_out(h, SLOT, 0, 0x68, 2, 1);
	clock_advance(h->board.clock, 3000 * (int64_t)MS);
	return fired == before + 1;
}

static bool run(GRand *g, uint32_t seed)
{
	Harness *h = harness_new();
	h->board.watchdog = watchdog;
	harness_add(h, &i440fx_pcihost_class);
	Device *dev = harness_make(h, &i6300esb_class);
	harness_set(dev, "addr", "5");
	harness_realize(dev);
	harness_freeze(h);
	machine_lock();
	fired = 0;
	map(h);
	int64_t begin = clock_now(h->board.clock);
	for (unsigned i = 0; i < STEPS; i++)
		step(h, dev, g);
	bool rarely = fired <= (clock_now(h->board.clock) - begin) / (2 * MS);
	bool ok = alive(h, dev) && rarely && fuzz_ram_only(h);
	machine_unlock();
	harness_free(h);
	return ok;
}

/* One bite a run is alive()'s. */
static bool finish(unsigned runs) { return fired_ever > runs; }

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { .what = "the watchdog's registers at random", .steps = STEPS,
		.run = run, .finish = finish };
	return fuzz_main(argc, argv, &fuzzer);
}
