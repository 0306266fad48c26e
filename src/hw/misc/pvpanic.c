/*
 * pvpanic.c - the guest says that it panicked.
 *
 * QEMU's published docs/specs/pvpanic: reading names the events understood, writing one
 * reports it. A crash kernel that takes over (bit 1) lets the machine go on. Vcpu
 * threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"

#define PANICKED 1u
#define CRASHLOADED 2u

typedef struct PvPanic {
	Device dev;
	uint16_t ioport;
	uint8_t events;
	Region region;
} PvPanic;

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((PvPanic *)opaque)->events;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	PvPanic *s = opaque;
	if (value & s->events & PANICKED)
		board_request(s->dev.board, RUN_PANICKED, 0);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	PvPanic *s = (PvPanic *)dev;
	region_init_io(&s->region, "pvpanic", &ops, s, 1);
	as_map(dev->board->io, &s->region, s->ioport, 0);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((PvPanic *)dev)->region);
}

static const Property props[] = {
	{ "ioport", PROP_U16, offsetof(PvPanic, ioport), "0x505", "port" },
	{ "events", PROP_U8, offsetof(PvPanic, events), "3", "1: panicked, 2: crash kernel loaded",
	  .max = PANICKED | CRASHLOADED },
	{ 0 }
};

const DeviceClass pvpanic_class = {
	.name = "pvpanic", .desc = "guest panic notifier", .bus = "isa", .size = sizeof(PvPanic),
	.user_creatable = true, .version = 1, .props = props, .realize = realize, .unrealize = unrealize,
};
