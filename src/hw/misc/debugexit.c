/*
 * debugexit.c - a port that ends the program: the exit status is (value << 1) | 1.
 *
 * QEMU's isa-debug-exit, as test guests use it. Vcpu threads under the machine lock.
 */
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

typedef struct DebugExit {
	Device dev;
	uint32_t iobase, iosize;
	Region region;
} DebugExit;

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return 0;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	DebugExit *s = opaque;
	board_request(s->dev.board, RUN_QUIT, (int)((uint32_t)value << 1 | 1));
}

static const RegionOps ops = { region_read, region_write, 1, 4 };

static bool realize(Device *dev, GError **error)
{
	DebugExit *s = (DebugExit *)dev;
	if (s->iobase + s->iosize > 0x10000)
		return fail(error, VIV_ERROR_INVALID, "isa-debug-exit: ports end at 0xffff.");
	region_init_io(&s->region, "isa-debug-exit", &ops, s, s->iosize);
	as_map(dev->board->io, &s->region, s->iobase, 0);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((DebugExit *)dev)->region);
}

static const Property props[] = {
	{ "iobase", PROP_U32, offsetof(DebugExit, iobase), "0x501", "first port", .max = 0xffff },
	{ "iosize", PROP_U32, offsetof(DebugExit, iosize), "2", "number of ports", .min = 1, .max = 8 },
	{ 0 }
};

const DeviceClass debugexit_class = {
	.name = "isa-debug-exit", .desc = "port that ends the program", .bus = "isa", .category = DEVICE_MISC,
	.size = sizeof(DebugExit), .user_creatable = true, .version = 1, .props = props,
	.realize = realize, .unrealize = unrealize,
};
