/*
 * port61.c - NMI status and control: the PIT's speaker channel and the refresh toggle.
 *
 * 82371SB (PIIX3) data sheet (290550-002), 2.5.4.1. Left out: parity and IOCHK NMIs (no
 * source exists), the speaker's sound. Vcpu threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"
#include "hw/timer/i8254.h"

#define GATE 0x01u
#define WRITABLE 0x0fu
#define REFRESH 0x10u
#define OUTPUT 0x20u
#define REFRESH_NS 15085 /* DRAM refresh request period */

typedef struct Port61 {
	Device dev;
	Device *pit;
	uint8_t control;
	Region region;
} Port61;

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Port61 *s = opaque;
	uint8_t value = s->control;
	if (clock_now(s->dev.board->clock) / REFRESH_NS & 1)
		value |= REFRESH;
	if (s->pit && i8254_output(s->pit))
		value |= OUTPUT;
	return value;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Port61 *s = opaque;
	s->control = value & WRITABLE;
	if (s->pit)
		i8254_set_gate(s->pit, value & GATE);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	Port61 *s = (Port61 *)dev;
	region_init_io(&s->region, "port61", &ops, s, 1);
	as_map(dev->board->io, &s->region, 0x61, 0);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((Port61 *)dev)->region);
}

static const Property props[] = { { "pit", PROP_PTR, offsetof(Port61, pit) }, { 0 } };
static const StateField state[] = { STATE(FIELD_U8, Port61, control, 0), { 0 } };

const DeviceClass port61_class = {
	.name = "isa-port61", .desc = "speaker control port", .bus = "isa", .size = sizeof(Port61),
	.version = 1, .props = props, .state = state, .realize = realize, .unrealize = unrealize,
};
