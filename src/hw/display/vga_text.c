/*
 * vga_text.c - text modes: characters through the fonts of plane 2, the cursor.
 *
 * FreeVGA project, "VGA text mode operation". Bit 7 of an attribute is the background's intensity whatever attribute 10h says,
 * as QEMU shows it: blinking text would never let a viewer rest. Main thread, machine lock held.
 */
#include <string.h>

#include "core/clock.h"
#include "hw/display/vga.h"

#define BLINK_NS (16ll * NS_PER_SEC / 70) /* half a period: sixteen frames */
#define LINE_GRAPHICS 0x04u /* attribute 10h: dots 8 are repeated as dots 9 */

static unsigned cell_at(const Vga *v, uint32_t at)
{
	at &= v->vram_size - 4;
	return v->vram[at] | v->vram[at + 1] << 8;
}

/* Offset of a font's first byte in memory; attribute bit 3 chooses between two of eight places. */
static uint32_t font_base(const Vga *v, bool second)
{
	uint8_t s = v->seq[3];
	unsigned n = second ? (s >> 5 & 1) | (s >> 1 & 6) : (s >> 4 & 1) | (s << 1 & 6);
	return n * 8192 * 4 + 2;
}

/* True: the fonts are not what the picture was drawn with; *font is made up to date. */
static bool font_changed(Vga *v)
{
	bool changed = false;
	for (unsigned f = 0; f < 2; f++)
		for (unsigned i = 0; i < 256 * 32; i++) {
			uint8_t byte = v->vram[(font_base(v, f) + 4 * i) & (v->vram_size - 1)];
			changed |= v->font[f * 256 * 32 + i] != byte;
			v->font[f * 256 * 32 + i] = byte;
		}
	return changed;
}

static bool fonts_may_have_changed(const Vga *v)
{
	for (unsigned f = 0; f < 2; f++) {
		uint32_t page = font_base(v, f) >> GUEST_PAGE_BITS;
		for (unsigned i = 0; i < 8192 * 4 >> GUEST_PAGE_BITS; i++)
			if (v->dirty[(page + i) & ((v->vram_size >> GUEST_PAGE_BITS) - 1)])
				return true;
	}
	return false;
}

/* ---- a cell ---- */

static void draw_row(const VgaView *w, unsigned bits, bool ninth, uint32_t fg, uint32_t bg, int x, uint32_t *line)
{
	for (unsigned i = 0; i < w->cell_width; i++, x++) {
		unsigned dot = w->cell_width == 16 ? i / 2 : i;
		bool on = dot < 8 ? bits >> (7 - dot) & 1 : ninth && bits & 1;
		if (x >= 0 && x < (int)w->width)
			line[x] = on ? fg : bg;
	}
}

/* `panned`: dots to the left. */
static void draw_cell(Vga *v, unsigned column, unsigned row, unsigned cell, unsigned panned)
{
	const VgaView *w = &v->view;
	unsigned ch = cell & 0xff, attr = cell >> 8;
	const uint8_t *glyph = v->font + (attr >> 3 & 1) * 256 * 32 + ch * 32;
	bool ninth = ch >= 0xb0 && ch <= 0xdf && v->attr[0x10] & LINE_GRAPHICS;
	uint32_t fg = v->palette[attr & 15], bg = v->palette[attr >> 4];
	int x = (int)(column * w->cell_width) - (int)panned;

	for (unsigned y = 0; y < w->cell_height; y++)
		draw_row(w, glyph[y & 31], ninth, fg, bg, x, screen_line(v->screen, row * w->cell_height + y));
	screen_damage(v->screen, (Rect){ (unsigned)MAX(x, 0), row * w->cell_height, w->cell_width, w->cell_height });
}

/* ---- the cursor ---- */

static int cursor_cell(const Vga *v)
{
	const VgaView *w = &v->view;
	uint32_t at = (uint32_t)(v->crtc[0x0e] << 8 | v->crtc[0x0f]) * 4 - w->start;

	if (v->crtc[0x0a] & 0x20 || !w->pitch)
		return -1;
	unsigned row = at / w->pitch, column = at % w->pitch / 4;
	return row < w->rows && column < w->columns ? (int)(row * w->columns + column) : -1;
}

static bool cursor_lit(const Vga *v)
{
	return clock_now(v->dev->board->clock) / BLINK_NS % 2 == 0;
}

static void draw_cursor(Vga *v, int cell)
{
	const VgaView *w = &v->view;
	unsigned first = v->crtc[0x0a] & 31, last = MIN(v->crtc[0x0b] & 31u, w->cell_height - 1);
	unsigned row = (unsigned)cell / w->columns, column = (unsigned)cell % w->columns;
	uint32_t fg = v->palette[v->cells[cell] >> 8 & 15];

	for (unsigned y = first; y <= last && first < w->cell_height; y++)
		draw_row(w, 0xff, true, fg, fg, (int)(column * w->cell_width) - (int)w->pan,
			 screen_line(v->screen, row * w->cell_height + y));
	screen_damage(v->screen, (Rect){ column * w->cell_width, row * w->cell_height, w->cell_width, w->cell_height });
}

/* ---- all of it ---- */

/* Cells below the line compare come from the start of memory, in whole rows. */
static uint32_t row_address(const VgaView *w, unsigned row)
{
	unsigned split = w->compare == UINT32_MAX ? w->rows : (w->compare + 1) / w->cell_height;
	return row < split ? w->start + row * w->pitch : (row - split) * w->pitch;
}

void vga_draw_text(Vga *v)
{
	const VgaView *w = &v->view;
	unsigned count = w->columns * w->rows;
	bool all = v->cell_count != count;

	if (all) {
		v->cells = g_renew(uint16_t, v->cells, count);
		v->cell_count = count;
	}
	if (all || fonts_may_have_changed(v))
		all |= font_changed(v);
	int cursor = cursor_cell(v);
	bool lit = cursor >= 0 && cursor_lit(v), moved = cursor != v->cursor_cell || lit != v->cursor_on;
	int was = moved && v->cursor_on ? v->cursor_cell : -1;
	for (unsigned i = 0; i < count; i++) {
		unsigned row = i / w->columns, column = i % w->columns;
		unsigned cell = cell_at(v, row_address(w, row) + column * 4);
		if (!all && cell == v->cells[i] && (int)i != was)
			continue;
		v->cells[i] = (uint16_t)cell;
		moved |= (int)i == cursor;
		draw_cell(v, column, row, cell, w->pan);
		/* Panned, one more cell than fits begins to show at the right. */
		if (w->pan && column + 1 == w->columns)
			draw_cell(v, column + 1, row, cell_at(v, row_address(w, row) + (column + 1) * 4), w->pan);
	}
	if (lit && (moved || all))
		draw_cursor(v, cursor);
	v->cursor_cell = cursor;
	v->cursor_on = lit;
}

bool vga_text_cells(void *opaque, ScreenText *out)
{
	Vga *v = opaque;
	const VgaView *w = &v->view;

	if (w->kind != VGA_TEXT || !v->cell_count)
		return false;
	*out = (ScreenText){ .columns = w->columns, .rows = w->rows, .cells = v->cells, .cursor_x = -1, .cursor_y = -1 };
	if (v->cursor_cell >= 0) {
		out->cursor_x = v->cursor_cell % (int)w->columns;
		out->cursor_y = v->cursor_cell / (int)w->columns;
	}
	return true;
}
