/*
 * fuzz-vga.c - nonsense in every register of the VGA, its VBE extensions and its window, looked at in between.
 *
 * Whatever a guest sets, drawing ends and stays within video memory and the screen; nothing but video memory is written.
 */
#include <string.h>

#include "core/lock.h"
#include "display/screen.h"
#include "fuzz.h"
#include "hw/classes.h"

#define STEPS 1500u
#define VRAM (2u << 20)
#define BAR0 0xe0000000u
#define BAR2 0xe8000000u
#define GUARD 65536u

typedef struct Rig {
	Harness *h;
	GRand *g;
	Screen *screen;
} Rig;

static const ScreenViewer viewer = { NULL };

static void plug(Rig *r)
{
	Device *dev = harness_make(r->h, &vga_class);
	harness_set(dev, "romfile", "");
	harness_set(dev, "vgamem_mb", "2");
	harness_realize(dev);
	pci_out(r->h, 0, 0, 0x10, BAR0, 4);
	pci_out(r->h, 0, 0, 0x18, BAR2, 4);
	pci_out(r->h, 0, 0, 0x04, 3, 2);
	r->screen = display_screen(r->h->board.display, 0);
	machine_lock();
	screen_add_viewer(r->screen, &viewer, r);
	machine_unlock();
}

static uint32_t value(Rig *r)
{
	static const uint32_t edges[] = { 0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 640, 480, 16000 };
	return below(r->g, 2) ? edges[below(r->g, G_N_ELEMENTS(edges))] : g_rand_int(r->g);
}

static void indexed(Rig *r, uint16_t port, unsigned count)
{
	outb(r->h, port, below(r->g, count));
	outb(r->h, (uint16_t)(port + 1), value(r) & 0xff);
}

static void attribute(Rig *r)
{
	inb(r->h, 0x3da);
	outb(r->h, 0x3c0, below(r->g, 0x15));
	outb(r->h, 0x3c0, value(r) & 0xff);
	if (below(r->g, 4))
		outb(r->h, 0x3c0, 0x20);
}

static void vbe(Rig *r)
{
	static const uint16_t depths[] = { 4, 8, 15, 16, 24, 32, 0, 5 };
	unsigned index = below(r->g, 12);
	uint16_t v = (uint16_t)(index == 3 ? depths[below(r->g, 8)] : index == 4 ? below(r->g, 256) : value(r));
	if (below(r->g, 2)) {
		outw(r->h, 0x1ce, index);
		outw(r->h, 0x1cf, v);
	} else {
		as_store(r->h->board.mem, BAR2 + 0x500 + 2 * index + below(r->g, 2), v, 1u << below(r->g, 2));
	}
}

static void access_memory(Rig *r)
{
	uint64_t at = below(r->g, 2) ? 0xa0000 + below(r->g, 0x20000 - 7) : BAR0 + below(r->g, VRAM - 7);
	unsigned size = 1u << below(r->g, 4);
	if (below(r->g, 4))
		as_store(r->h->board.mem, at, g_rand_int(r->g) * 0x100000001ull, size);
	else
		as_load(r->h->board.mem, at, size);
	if (at >= BAR0)
		ram_written(&r->h->board.arena, r->h->board.ram + HARNESS_RAM + (at - BAR0), size);
}

static void step(Rig *r)
{
	static const uint16_t ports[] = { 0x3c4, 0x3ce, 0x3d4, 0x3b4 };
	static const uint8_t counts[] = { 8, 16, 26, 26 };
	unsigned which = below(r->g, 4);

	switch (below(r->g, 12)) {
	case 0: case 1: case 2: indexed(r, ports[which], counts[which]); break;
	case 3: attribute(r); break;
	case 4: vbe(r); break;
	case 5: outb(r->h, (uint16_t)(0x3b0 + below(r->g, 0x30)), value(r) & 0xff); break;
	case 6: inb(r->h, (uint16_t)(0x3b0 + below(r->g, 0x30))); break;
	case 7: as_load(r->h->board.mem, BAR2 + below(r->g, 4096), 1u << below(r->g, 4)); break;
	case 8: as_store(r->h->board.mem, BAR2 + below(r->g, 4096), value(r), 1u << below(r->g, 4)); break;
	case 9: case 10: access_memory(r); break;
	default:
		if (below(r->g, 8) == 0) {
			machine_lock();
			screen_refresh(r->screen);
			machine_unlock();
		}
		break;
	}
}

static bool clean(const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (from[i])
			return false;
	return true;
}

static bool run(GRand *g, uint32_t seed)
{
	Rig r = { .h = harness_new(), .g = g };

	harness_add(r.h, &i440fx_pcihost_class);
	plug(&r);
	for (unsigned i = 0; i < STEPS; i++)
		step(&r);
	machine_lock();
	screen_refresh(r.screen);
	/* Video memory is what the arena gave out behind RAM. */
	bool good = clean(r.h->board.ram, HARNESS_RAM) && clean(r.h->board.ram + HARNESS_RAM + VRAM, GUARD);
	screen_remove_viewer(r.screen, &r);
	machine_unlock();
	harness_free(r.h);
	return good;
}

static const Fuzzer fuzzer = { "VGA registers, VBE, window, drawing", STEPS, run, NULL };

int main(int argc, char **argv) { return fuzz_main(argc, argv, &fuzzer); }
