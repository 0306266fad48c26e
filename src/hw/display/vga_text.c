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

/* ---- rows ---- */

/* A row of characters: its cells in memory and the screen's lines [top, bottom) that show it, the first of its own at y. */
typedef struct TextRow {
	uint32_t at;
	int y;
	unsigned top, bottom, pan;
} TextRow;

/* Screen lines that come from the start address; those below the line compare come from the start of memory. */
static unsigned upper_lines(const VgaView *w) { return w->compare < w->height ? w->compare + 1 : w->height; }

/* Rows with a line above the line compare; the first one begins at the preset line of its own. */
static unsigned upper_rows(const VgaView *w) { return (upper_lines(w) + w->scan + w->cell_height - 1) / w->cell_height; }

static unsigned row_count(const VgaView *w)
{
	return upper_rows(w) + (w->height - upper_lines(w) + w->cell_height - 1) / w->cell_height;
}

static TextRow row_of(const VgaView *w, unsigned row)
{
	unsigned split = upper_lines(w), rows = upper_rows(w);
	TextRow r;

	if (row < rows)
		r = (TextRow){ .at = w->start + row * w->pitch, .y = (int)(row * w->cell_height) - (int)w->scan, .pan = w->pan };
	else
		r = (TextRow){ .at = (row - rows) * w->pitch, .y = (int)(split + (row - rows) * w->cell_height),
			       .pan = w->lower_pan };
	r.top = (unsigned)MAX(r.y, 0);
	r.bottom = MIN((unsigned)(r.y + (int)w->cell_height), row < rows ? split : w->height);
	return r;
}

static void damage_cell(Vga *v, const TextRow *r, int x)
{
	screen_damage(v->screen, (Rect){ (unsigned)MAX(x, 0), r->top, v->view.cell_width, r->bottom - r->top });
}

static void draw_cell(Vga *v, const TextRow *r, unsigned column, unsigned cell)
{
	const VgaView *w = &v->view;
	unsigned ch = cell & 0xff, attr = cell >> 8;
	const uint8_t *glyph = v->font + (attr >> 3 & 1) * 256 * 32 + ch * 32;
	bool ninth = ch >= 0xb0 && ch <= 0xdf && v->attr[0x10] & LINE_GRAPHICS;
	uint32_t fg = v->palette[attr & 15], bg = v->palette[attr >> 4];
	int x = (int)(column * w->cell_width) - (int)r->pan;

	for (unsigned y = r->top; y < r->bottom; y++)
		draw_row(w, glyph[((int)y - r->y) & 31], ninth, fg, bg, x, screen_line(v->screen, y));
	damage_cell(v, r, x);
}

/* ---- the cursor ---- */

static int cursor_cell(const Vga *v)
{
	const VgaView *w = &v->view;
	uint32_t at = (uint32_t)(v->crtc[0x0e] << 8 | v->crtc[0x0f]) * 4;

	if (v->crtc[0x0a] & 0x20)
		return -1;
	for (unsigned row = 0; row < row_count(w); row++) {
		uint32_t column = (at - row_of(w, row).at) / 4;
		if (column < w->columns)
			return (int)(row * w->columns + column);
	}
	return -1;
}

static bool cursor_lit(const Vga *v)
{
	return clock_now(v->dev->board->clock) / BLINK_NS % 2 == 0;
}

static void draw_cursor(Vga *v, int cell)
{
	const VgaView *w = &v->view;
	unsigned first = v->crtc[0x0a] & 31, last = MIN(v->crtc[0x0b] & 31u, w->cell_height - 1);
	TextRow r = row_of(w, (unsigned)cell / w->columns);
	int x = (int)((unsigned)cell % w->columns * w->cell_width) - (int)r.pan;
	uint32_t fg = v->palette[v->cells[cell] >> 8 & 15];

	for (unsigned line = first; line <= last && first < w->cell_height; line++) {
		unsigned y = (unsigned)(r.y + (int)line);
		if (y >= r.top && y < r.bottom)
			draw_row(w, 0xff, true, fg, fg, x, screen_line(v->screen, y));
	}
	damage_cell(v, &r, x);
}

/* ---- all of it ---- */

/* Cells that differ from what was drawn; `was`: one that has to be drawn in any case, -1: none. True: the cursor's was. */
static bool draw_text_row(Vga *v, unsigned row, bool all, int cursor, int was)
{
	const VgaView *w = &v->view;
	TextRow r = row_of(w, row);
	bool cursor_drawn = false;

	for (unsigned column = 0; column < w->columns; column++) {
		int i = (int)(row * w->columns + column);
		unsigned cell = cell_at(v, r.at + column * 4);
		if (!all && cell == v->cells[i] && i != was)
			continue;
		v->cells[i] = (uint16_t)cell;
		cursor_drawn |= i == cursor;
		draw_cell(v, &r, column, cell);
		/* Panned, one more cell than fits begins to show at the right. */
		if (r.pan && column + 1 == w->columns)
			draw_cell(v, &r, column + 1, cell_at(v, r.at + (column + 1) * 4));
	}
	return cursor_drawn;
}

void vga_draw_text(Vga *v)
{
	const VgaView *w = &v->view;
	unsigned rows = row_count(w), count = w->columns * rows;
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
	for (unsigned row = 0; row < rows; row++)
		moved |= draw_text_row(v, row, all, cursor, was);
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
	*out = (ScreenText){ .columns = w->columns, .rows = v->cell_count / w->columns, .cells = v->cells, .cursor_x = -1, .cursor_y = -1 };
	if (v->cursor_cell >= 0) {
		out->cursor_x = v->cursor_cell % (int)w->columns;
		out->cursor_y = v->cursor_cell / (int)w->columns;
	}
	return true;
}
