/*
 * vga_memory.c - what a guest sees at A0000h: planes, latches, write modes, chains, VBE's banks.
 *
 * FreeVGA project, "Accessing the VGA display memory". Chained and odd/even addresses are kept where the same picture's other
 * addressing finds them (vga.h), so that programs that change from one to the other see what they expect. Machine lock held.
 */
#include "hw/display/vga.h"

enum { ARITHMETIC_NONE, ARITHMETIC_AND, ARITHMETIC_OR, ARITHMETIC_XOR };

uint32_t vga_spread(unsigned planes)
{
	return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) | (planes & 4 ? 0xff0000u : 0) | (planes & 8 ? 0xff000000u : 0);
}

/* Offset in the window to one in memory, before planes; false: the window is elsewhere. */
static bool place(const Vga *v, uint64_t offset, uint32_t *at)
{
	switch (v->gfx[6] >> 2 & 3) {
	case 0: break;
	case 1:
		if (offset >= 0x10000)
			return false;
		offset += vga_vbe_on(v) ? (uint64_t)v->vbe[VBE_BANK] << 16 : 0;
		break;
	case 2:
		if (offset < 0x10000 || offset >= 0x18000)
			return false;
		offset -= 0x10000;
		break;
	default:
		if (offset < 0x18000)
			return false;
		offset -= 0x18000;
		break;
	}
	*at = (uint32_t)offset;
	return true;
}

static bool chain4(const Vga *v) { return v->seq[4] & 8; }
static bool odd_even(const Vga *v) { return v->gfx[5] & 0x10; }

static uint32_t *planes_at(Vga *v, uint32_t at)
{
	return (uint32_t *)(void *)v->vram + (at & (v->vram_size / 4 - 1));
}

static uint8_t read_byte(void *opaque, uint64_t offset)
{
	Vga *v = opaque;
	uint32_t at;

	if (!place(v, offset, &at))
		return 0xff;
	if (chain4(v)) {
		v->latch = *planes_at(v, at >> 2);
		return (uint8_t)(v->latch >> 8 * (at & 3));
	}
	if (odd_even(v)) {
		v->latch = *planes_at(v, at >> 1);
		return (uint8_t)(v->latch >> 8 * ((v->gfx[4] & 2) | (at & 1)));
	}
	v->latch = *planes_at(v, at);
	if (!(v->gfx[5] & 8))
		return (uint8_t)(v->latch >> 8 * v->gfx[4]);
	/* Read mode 1: which pixels have the colour compared with, in the planes that count. */
	uint32_t differ = (v->latch ^ vga_spread(v->gfx[2])) & vga_spread(v->gfx[7]);
	differ |= differ >> 16;
	differ |= differ >> 8;
	return (uint8_t)~differ;
}

static uint32_t combine(const Vga *v, uint32_t value)
{
	switch (v->gfx[3] >> 3 & 3) {
	case ARITHMETIC_AND: return value & v->latch;
	case ARITHMETIC_OR: return value | v->latch;
	case ARITHMETIC_XOR: return value ^ v->latch;
	default: return value;
	}
}

/* What the graphics controller makes of a byte for all four planes. */
static uint32_t write_value(const Vga *v, uint8_t byte)
{
	unsigned turn = v->gfx[3] & 7;
	uint8_t turned = (uint8_t)(byte >> turn | byte << (8 - turn));
	uint32_t mask = v->gfx[8] * 0x01010101u, value, set;

	switch (v->gfx[5] & 3) {
	case 1: return v->latch;
	case 2: value = vga_spread(byte & 15); break;
	case 3:
		mask &= turned * 0x01010101u;
		value = vga_spread(v->gfx[0]);
		return (value & mask) | (v->latch & ~mask);
	default:
		set = vga_spread(v->gfx[1]);
		value = (turned * 0x01010101u & ~set) | (vga_spread(v->gfx[0]) & set);
		break;
	}
	return (combine(v, value) & mask) | (v->latch & ~mask);
}

static void store(Vga *v, uint32_t *to, uint32_t value, uint32_t mask)
{
	*to = (*to & ~mask) | (value & mask);
	ram_touch(&v->dev->board->arena, to);
}

static void write_byte(void *opaque, uint64_t offset, uint8_t byte)
{
	Vga *v = opaque;
	uint32_t at, enabled = vga_spread(v->seq[2]);

	if (!place(v, offset, &at))
		return;
	if (chain4(v))
		store(v, planes_at(v, at >> 2), byte * 0x01010101u, enabled & 0xffu << 8 * (at & 3));
	else if (odd_even(v))
		store(v, planes_at(v, at >> 1), byte * 0x01010101u, enabled & 0x00ff00ffu << 8 * (at & 1));
	else
		store(v, planes_at(v, at), write_value(v, byte), enabled);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
	return read_byte(opaque, offset);
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	write_byte(opaque, offset, (uint8_t)value);
}

const RegionOps vga_window_ops = { window_read, window_write, 1, 1 };
