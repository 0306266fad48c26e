/*
 * vga_vbe.c - Bochs VBE extensions: linear modes of any size in a few 16-bit registers.
 *
 * "Bochs VBE Display API" (dispi ids B0C0h to B0C5h). Machine lock held.
 */
#include <string.h>

#include "core/trace.h"
#include "hw/display/vga.h"

#define ID_FIRST 0xb0c0
#define ID_LAST 0xb0c5

bool vga_vbe_on(const Vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }

unsigned vga_vbe_bytes(const Vga *v, unsigned pixels)
{
	unsigned bpp = v->vbe[VBE_BPP];
	return bpp == 4 ? pixels / 2 : pixels * ((bpp + 7) / 8); /* 15 takes 16 */
}

/* Everything that a guest may have set so that it makes sense together and lies within video memory. */
static void clamp(Vga *v)
{
	uint16_t *r = v->vbe;
	unsigned xres = r[VBE_XRES], width = r[VBE_VIRT_WIDTH], yres = r[VBE_YRES];

	if (r[VBE_BPP] != 4 && r[VBE_BPP] != 8 && r[VBE_BPP] != 15 && r[VBE_BPP] != 16 && r[VBE_BPP] != 24 && r[VBE_BPP] != 32)
		r[VBE_BPP] = 8;
	xres = CLAMP(xres & ~7u, 8, VBE_XRES_MAX);
	width = CLAMP(width & ~7u, xres, VBE_XRES_MAX);
	unsigned line = MAX(vga_vbe_bytes(v, width), 1u), lines = v->vram_size / line;
	if (!lines) { /* even one is too long */
		width = xres = 8;
		line = vga_vbe_bytes(v, width);
		lines = v->vram_size / line;
	}
	yres = CLAMP(yres, 1, MIN(VBE_YRES_MAX, lines));
	r[VBE_XRES] = (uint16_t)xres;
	r[VBE_YRES] = (uint16_t)yres;
	r[VBE_VIRT_WIDTH] = (uint16_t)width;
	r[VBE_VIRT_HEIGHT] = (uint16_t)MIN(lines, 0xffffu);
	if (r[VBE_X_OFFSET] > width - xres)
		r[VBE_X_OFFSET] = (uint16_t)(width - xres);
	if ((uint64_t)r[VBE_Y_OFFSET] + yres > lines)
		r[VBE_Y_OFFSET] = (uint16_t)MIN(lines - yres, 0xffffu);
}

/* The registers of old are set too, as software that reads them expects of the mode. */
static void set_vga_registers(Vga *v)
{
	const uint16_t *r = v->vbe;
	unsigned height = r[VBE_YRES] - 1u;

	v->gfx[6] = (uint8_t)((v->gfx[6] & ~0x0cu) | 0x05); /* graphics, A0000h, 64 KiB */
	v->crtc[0x17] |= 3;
	v->crtc[0x01] = (uint8_t)(r[VBE_XRES] / 8 - 1);
	v->crtc[0x12] = (uint8_t)height;
	v->crtc[0x07] = (uint8_t)((v->crtc[0x07] & ~0x42u) | (height >> 7 & 2) | (height >> 3 & 0x40) | 0x10);
	v->crtc[0x13] = (uint8_t)(vga_vbe_bytes(v, r[VBE_VIRT_WIDTH]) / 8);
	v->crtc[0x18] = 0xff;
	v->crtc[0x09] = (uint8_t)((v->crtc[0x09] & ~0x9fu) | 0x40);
	v->seq[1] &= (uint8_t)~8u;
	v->gfx[5] = (uint8_t)(v->gfx[5] & ~0x60u);
	if (r[VBE_BPP] != 4) {
		v->seq[4] |= 8; /* chain 4 */
		v->seq[2] |= 15;
		v->gfx[5] |= 0x40;
	}
}

static void enable(Vga *v, uint16_t value)
{
	uint16_t *r = v->vbe;
	bool was = vga_vbe_on(v);

	if (value & VBE_ENABLED && !was) {
		r[VBE_VIRT_WIDTH] = 0;
		r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
		clamp(v);
		set_vga_registers(v);
		if (!(value & VBE_NO_CLEAR)) {
			size_t size = MIN((size_t)r[VBE_YRES] * vga_vbe_bytes(v, r[VBE_VIRT_WIDTH]), v->vram_size);
			memset(v->vram, 0, size);
			ram_written(&v->dev->board->arena, v->vram, size);
		}
	} else if (!(value & VBE_ENABLED)) {
		r[VBE_BANK] = 0;
	}
	r[VBE_ENABLE] = value;
	v->redraw = true;
}

static uint16_t read_index(const Vga *v, unsigned index)
{
	if (index == VBE_MEMORY)
		return (uint16_t)(v->vram_size >> 16);
	if (index >= VBE_REGS)
		return 0;
	if (v->vbe[VBE_ENABLE] & VBE_GET_CAPS && index >= VBE_XRES && index <= VBE_BPP)
		return index == VBE_XRES ? VBE_XRES_MAX : index == VBE_YRES ? VBE_YRES_MAX : 32;
	return v->vbe[index];
}

uint16_t vga_vbe_read(const Vga *v, unsigned index)
{
	uint16_t value = read_index(v, index);
	trace_vga_vbe_read(index, value);
	return value;
}

void vga_vbe_write(Vga *v, unsigned index, uint16_t value)
{
	trace_vga_vbe_write(index, value);
	switch (index) {
	case VBE_ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			v->vbe[VBE_ID] = value;
		return;
	case VBE_ENABLE:
		enable(v, value);
		return;
	case VBE_BANK:
		v->vbe[VBE_BANK] = (uint16_t)(value & ((v->vram_size >> 16) - 1));
		return;
	case VBE_XRES:
	case VBE_YRES:
	case VBE_BPP:
	case VBE_VIRT_WIDTH:
	case VBE_X_OFFSET:
	case VBE_Y_OFFSET:
		v->vbe[index] = value;
		if (vga_vbe_on(v)) {
			clamp(v);
			set_vga_registers(v);
		}
		v->redraw = true;
		return;
	default: /* virtual height and memory follow from the others */
		return;
	}
}

/* Port 1CEh: index, 16 bits; 1CFh and, for aligned words, 1D0h: data. */
static uint64_t read_port(void *opaque, uint64_t offset, unsigned size)
{
	Vga *v = opaque;
	return offset == 0 ? v->vbe_index : vga_vbe_read(v, v->vbe_index);
}

static void write_port(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Vga *v = opaque;
	if (offset == 0)
		v->vbe_index = (uint16_t)value;
	else
		vga_vbe_write(v, v->vbe_index, (uint16_t)value);
}

const RegionOps vga_vbe_port_ops = { read_port, write_port, 2, 2 };
