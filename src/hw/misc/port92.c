/*
 * port92.c - system control port A: fast A20 gate and fast reset.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "System Control Port A". Left out: disk
 * lights, password lock. Vcpu threads under the machine lock.
 */
#include "core/board.h"
#include "core/trace.h"
#include "hw/classes.h"

#define RESET 0x01u
#define A20 0x02u

typedef struct Port92 {
	Device dev;
	uint8_t control;
	Region region;
} Port92;

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Port92 *s = opaque;
	unsigned value = (s->control & ~A20) | (s->dev.board->a20 ? A20 : 0);
	trace_port92_read(value);
	return value;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Port92 *s = opaque;
	Board *board = s->dev.board;
	bool reset = (value & RESET) && !(s->control & RESET);

	trace_port92_write((unsigned)value);
	s->control = (uint8_t)value;
	if (board->set_a20)
		board->set_a20(board, value & A20);
	if (reset)
		board_request(board, RUN_RESET, 0);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	Port92 *s = (Port92 *)dev;
	region_init_io(&s->region, "port92", &ops, s, 1);
	as_map(dev->board->io, &s->region, 0x92, 0);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((Port92 *)dev)->region);
}

static const StateField state[] = { STATE(FIELD_U8, Port92, control, 0), { 0 } };

const DeviceClass port92_class = {
	.name = "port92", .desc = "fast A20 and reset", .bus = "isa", .size = sizeof(Port92), .version = 1,
	.state = state, .realize = realize, .unrealize = unrealize,
};
