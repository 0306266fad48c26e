/*
 * vga.c - the VGA core's life: memory, regions, screen, reset; its state.
 *
 * See vga.h for what it follows. Machine lock held.
 */
#include "hw/display/vga.h"

#include <string.h>

#define STATE_AT(type_, member, n) \
	{ .name = #member, .type = type_, .offset = offsetof(Vga, member), .count = n, .version = 1 }

const StateField vga_state[] = {
	STATE_AT(FIELD_U8, misc, 1), STATE_AT(FIELD_U8, feature, 1), STATE_AT(FIELD_U8, status, 1),
	STATE_AT(FIELD_U8, seq_index, 1), STATE_AT(FIELD_U8, seq, 8), STATE_AT(FIELD_U8, gfx_index, 1), STATE_AT(FIELD_U8, gfx, 16),
	STATE_AT(FIELD_U8, crtc_index, 1), STATE_AT(FIELD_U8, crtc, 256), STATE_AT(FIELD_U8, attr_index, 1),
	STATE_AT(FIELD_U8, attr, 32), STATE_AT(FIELD_BOOL, attr_data, 1), STATE_AT(FIELD_U8, dac_mask, 1),
	STATE_AT(FIELD_U8, dac_read, 1), STATE_AT(FIELD_U8, dac_write, 1), STATE_AT(FIELD_U8, dac_part, 1),
	STATE_AT(FIELD_U8, dac_entry, 3), STATE_AT(FIELD_U8, dac_state, 1), STATE_AT(FIELD_U8, dac, 768),
	STATE_AT(FIELD_U32, latch, 1), STATE_AT(FIELD_U16, vbe_index, 1), STATE_AT(FIELD_U16, vbe, VBE_REGS), { 0 }
};

static uint64_t read_port(void *opaque, uint64_t offset, unsigned size)
{
	return vga_port_read(opaque, 0x3b0 + (unsigned)offset);
}

static void write_port(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	vga_port_write(opaque, 0x3b0 + (unsigned)offset, (uint8_t)value);
}

static const RegionOps port_ops = { read_port, write_port, 1, 1 };

bool vga_init(Vga *v, Device *dev, uint32_t vram_size, bool legacy, GError **error)
{
	Board *b = dev->board;

	v->dev = dev;
	v->vram_size = vram_size;
	if (!(v->vram = ram_arena_alloc(&b->arena, vram_size, error)))
		return false;
	v->dirty = g_new0(bool, vram_size >> GUEST_PAGE_BITS);
	v->font = g_malloc0(VGA_FONT_BYTES);
	v->cursor_cell = -1;
	v->screen = screen_new(b->display, device_label(dev), &vga_screen_source, v);
	region_init_io(&v->window, "vga-lowmem", &vga_window_ops, v, 0x20000);
	region_init_io(&v->ports, "vga", &port_ops, v, 0x30);
	region_init_io(&v->vbe_ports, "vbe", &vga_vbe_port_ops, v, 4);
	if (!legacy)
		return true;
	as_map(b->mem, &v->window, 0xa0000, 1);
	as_map(b->io, &v->ports, 0x3b0, 0);
	as_map(b->io, &v->vbe_ports, 0x1ce, 0);
	return true;
}

void vga_exit(Vga *v)
{
	Region *regions[] = { &v->window, &v->ports, &v->vbe_ports };

	for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++)
		if (regions[i]->as)
			as_unmap(regions[i]);
	if (v->looked_at)
		ram_unwatch(&v->dev->board->arena, v->vram, v->vram_size);
	screen_free(v->screen);
	g_free(v->dirty);
	g_free(v->font);
	g_free(v->cells);
}

void vga_reset(Vga *v)
{
	v->dac_mask = 0xff;
	v->vbe[VBE_ID] = 0xb0c5;
	v->redraw = true;
}
