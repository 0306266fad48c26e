/*
 * fuzz-virtio.c - random drivers against the echo device: rings with random content, registers
 * written in random order, elements held across resets. Nothing may abort, hang, or touch what is
 * not guest RAM.
 */
#include <stdio.h>

#include "core/lock.h"
#include "fuzz.h"
#include "hw/classes.h"
#include "virtio-driver.h"

#define STEPS 3000   /* for each machine */
#define IN_RING 0x10000u

static const char *const machines[] = {
	"", "packed=on", "disable-legacy=on,packed=on", "disable-modern=on", "vectors=0",
	"event_idx=off",
	"indirect_desc=off", "packed=on,event_idx=off,vectors=1",
};

static uint64_t any_address(GRand *r)
{
	switch (below(r, 10)) {
	case 0: return IN_RING + below(r, 0x20000);       /* the rings themselves */
	case 1: return HARNESS_RAM - below(r, 64);
	case 2: return UINT64_MAX - below(r, 64);
	case 3: return MODERN + below(r, 0x4000);
	case 4: return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
	default: return 0x80000 + below(r, HARNESS_RAM - 0x100000);
	}
}

static uint32_t any_length(GRand *r)
{
	switch (below(r, 8)) {
	case 0: return g_rand_int(r);
	case 1: return below(r, 2);
	case 2: return 16 * below(r, 40);
	default: return 1 + below(r, 5000);
	}
}

static uint16_t any_flags(GRand *r)
{
	return below(r, 8) ? (uint16_t)(below(r, 2) * VIRTQ_DESC_WRITE) : (uint16_t)g_rand_int(r);
}

static Part any_part(GRand *r)
{
	return (Part){ any_address(r), any_length(r), any_flags(r) };
}

static void add_something(VirtDriver *d, GRand *r)
{
	Part part[20];
	unsigned n = 1 + below(r, below(r, 4) ? 4 : 20);
	bool sane = below(r, 3);
	unsigned readable = below(r, n + 1);

	for (unsigned i = 0; i < n; i++)
		part[i] = !sane ? any_part(r) : (Part){ 0x80000 + below(r, 0x200000), 1 + below(r,
			3000),
			i >= readable ? VIRTQ_DESC_WRITE : 0 };
	if (below(r, 3))
		driver_add(d, part, n);
	else
		driver_add_indirect(d, 0x70000 + below(r, 0x8000), part, n);
}

static void poke(Harness *h, GRand *r)
{
	unsigned size = 1u << below(r, 3);
	uint64_t value = below(r, 2) ? below(r, 20) : g_rand_int(r);

	switch (below(r, 6)) {
	case 0: as_store(h->board.mem, MODERN + below(r, 0x40), value, size); break;
	case 1: as_store(h->board.mem, MODERN + below(r, 0x4000), value, size); break;
	case 2: as_store(h->board.io, PORTS + below(r, 64), value, size); break;
	case 3: as_store(h->board.mem, TABLE + below(r, 4096), value, size); break;
	case 4:
		pci_out(h, SLOT, 0, 0x40 + below(r, 0xc0) / size * size, (uint32_t)value, size);
		break;
	default:
		as_load(h->board.mem, MODERN + below(r, 0x4000), size);
		as_load(h->board.io, PORTS + below(r, 64), size);
		as_load(h->board.mem, TABLE + below(r, 4096), size);
		pci_in(h, SLOT, 0, below(r, 256) / size * size, size);
	}
}

static void corrupt(VirtDriver *d, GRand *r)
{
	uint64_t base[] = { d->desc, d->avail, d->used };
	uint64_t at = base[below(r, 3)] + below(r, 16 * ECHO_SIZE);
	if (d->desc)
		put16(d->h, at, below(r, 2) ? (uint16_t)g_rand_int(r) : (uint16_t)below(r, 40));
}

static void release_held(Echo *dev, GRand *r)
{
	VirtQueue *q = &dev->vp.vdev.queue[0];
	while (dev->held->len && below(r, 8)) {
		VirtElement *e = g_ptr_array_remove_index_fast(dev->held, below(r, dev->held->len));
		uint64_t fits = MIN(e->in_bytes, 100000);
		if (below(r, 10))
			virtq_push(q, e, below(r, (uint32_t)fits + 1));
		else
			virtq_drop(q, e);
	}
	virtq_notify(q);
}

static void board_reset(Harness *h, Echo *dev)
{
	device_reset(&dev->vp.pci.dev);
	driver_map(h);
}

/* A driver that begins as it should, with what the machine offers. */
static void begin(VirtDriver *d, Harness *h, Echo *dev, GRand *r)
{
	VirtioPci *p = &dev->vp;
	bool packed = p->packed && p->has_modern && below(r, 3);
	Kind kind = packed ? KIND_PACKED : !p->has_modern || (p->has_legacy && below(r, 2)) ?
		KIND_LEGACY : KIND_MODERN;
	uint64_t some = below(r, 2) ? VIRTIO_F_EVENT_IDX : 0;

	board_reset(h, dev);
	some |= below(r, 2) ? VIRTIO_F_INDIRECT_DESC : 0;
	some |= below(r, 2) ? VIRTIO_F_RING_RESET : 0;
	some &= p->vdev.features;
	driver_start(d, h, dev, kind, below(r, ECHO_QUEUES),
		kind == KIND_LEGACY ? (uint32_t)some : some);
	if (p->msix.vectors && below(r, 2))
		driver_msix(d);
}

static void step(VirtDriver *d, Harness *h, Echo *dev, GRand *r)
{
	switch (below(r, 40)) {
	case 0: begin(d, h, dev, r); break;
	case 1: case 2: poke(h, r); break;
	case 3: case 4: corrupt(d, r); break;
	case 5: dev->hold = !dev->hold; break;
	case 6: release_held(dev, r); break;
	case 7: virtio_config_changed(&dev->vp.vdev); break;
	case 8: driver_wish_event(d, below(r, 40)); break;
	case 9: driver_wish_flag(d, below(r, 2)); break;
	case 10: virtq_set_kicks(&dev->vp.vdev.queue[below(r, ECHO_QUEUES)], below(r, 2)); break;
	case 11: virtq_kick_fd(&dev->vp.vdev.queue[1]); break;
	case 12: virtq_close_kick_fd(&dev->vp.vdev.queue[1]); break;
	case 13: pci_out(h, SLOT, 0, 0x04, below(r, 8), 2); pci_out(h, SLOT, 0, 0x04, 7, 2); break;
	case 14: d->q = below(r, ECHO_QUEUES); break;
	case 15: if (below(r, 20) == 0) board_reset(h, dev); break;
	default:
		if (d->num)
			add_something(d, r);
		if (below(r, 2))
			driver_kick(d);
	}
	if (atomic_load(&dev->vp.vdev.broken) && below(r, 4) == 0)
		begin(d, h, dev, r);
}

static uint64_t popped; /* buffers, in all runs */

static bool run(GRand *r, uint32_t seed)
{
	Echo *dev;
	Harness *h = echo_machine(machines[seed % G_N_ELEMENTS(machines)], &dev);
	VirtDriver d = { .h = h, .dev = dev, .num = ECHO_SIZE };

	machine_lock();
	begin(&d, h, dev, r);
	for (unsigned i = 0; i < STEPS; i++)
		step(&d, h, dev, r);
	popped += dev->popped;
	bool ok = fuzz_ram_only(h);
	machine_unlock();
	harness_free(h);
	return ok;
}

static bool some_taken(unsigned runs)
{
	printf("# %llu buffers taken\n", (unsigned long long)popped);
	return popped > runs;
}

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { .what = "rings and registers at random", .steps = STEPS, .run = run,
		.finish = some_taken };
	return fuzz_main(argc, argv, &fuzzer);
}
