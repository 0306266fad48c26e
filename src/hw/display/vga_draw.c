/*
 * vga_draw.c - from registers and video memory to a picture: what kind it is, which lines changed, pixels.
 *
 * FreeVGA project, "CRT controller registers" and "Attribute controller registers"; sizes as QEMU shows them (a 320 dots mode
 * is 640 wide, lines that the CRT shows twice are there twice). Only lines whose memory was written to are drawn, unless a
 * register changed the whole. Main thread, machine lock held.
 */
#include <string.h>

#include "hw/display/vga.h"

#define PAN_UPPER_ONLY 0x20u /* attribute 10h: below the line compare nothing is panned */

/* ---- colours ---- */

static uint32_t dac_colour(const Vga *v, unsigned index)
{
	const uint8_t *e = &v->dac[3 * (index & v->dac_mask)];
	uint32_t out = 0;

	for (unsigned i = 0; i < 3; i++) {
		unsigned c = e[i];
		/* Six bits stand for eight: the lowest fills up. */
		out = out << 8 | (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? c : (c & 0x3f) << 2 | (c & 1 ? 3 : 0));
	}
	return out;
}

uint32_t vga_colour(const Vga *v, unsigned index)
{
	unsigned c = v->attr[index & 15];
	if (v->attr[0x10] & 0x80)
		c = (v->attr[0x14] & 0x0f) << 4 | (c & 0x0f);
	else
		c = (v->attr[0x14] & 0x0c) << 4 | (c & 0x3f);
	return dac_colour(v, c);
}

static void make_palette(Vga *v)
{
	bool packed = v->view.kind == VGA_PACKED;
	for (unsigned i = 0; i < (packed ? 256 : 16); i++)
		v->palette[i] = packed ? dac_colour(v, i) : vga_colour(v, i);
}

/* ---- what kind of picture ---- */

static uint32_t start_of(const Vga *v) { return (uint32_t)(v->crtc[0x0c] << 8 | v->crtc[0x0d]) * 4; }

static unsigned display_end(const Vga *v)
{
	return (v->crtc[0x12] | (v->crtc[7] >> 1 & 1u) << 8 | (v->crtc[7] >> 6 & 1u) << 9) + 1;
}

static unsigned line_compare(const Vga *v)
{
	return v->crtc[0x18] | (v->crtc[7] >> 4 & 1u) << 8 | (v->crtc[9] >> 6 & 1u) << 9;
}

static void look_at_text(const Vga *v, VgaView *w)
{
	w->kind = VGA_TEXT;
	w->cell_width = v->seq[1] & 8 ? 16 : v->seq[1] & 1 ? 8 : 9;
	w->cell_height = (v->crtc[9] & 0x1f) + 1u;
	w->columns = v->crtc[1] + 1u;
	w->rows = v->crtc[6] == 100 ? 100 : display_end(v) / w->cell_height; /* CGA's 160x100 is text */
	w->rows = MAX(w->rows, 1);
	w->cursor = (uint16_t)(v->crtc[0x0a] << 8 | v->crtc[0x0b]);
	w->width = w->columns * w->cell_width;
	w->height = w->rows * w->cell_height;
	/* Nine dots are panned from 8 (not at all) over 0 to 7. */
	unsigned pan = v->attr[0x13];
	w->pan = w->cell_width == 9 ? (pan >= 8 ? 0 : pan + 1) : pan & 7;
	w->lower_pan = v->attr[0x10] & PAN_UPPER_ONLY ? 0 : w->pan;
	w->scan = MIN(v->crtc[8] & 0x1f, w->cell_height - 1);
}

static void look_at_graphics(const Vga *v, VgaView *w)
{
	unsigned shift = v->gfx[5] >> 5 & 3, scan = (v->crtc[9] & 0x1f) + 1u, twice = v->crtc[9] >> 7;

	w->width = (v->crtc[1] + 1u) * 8;
	w->height = display_end(v);
	/* Where lines replace address bits, they are lines of one row, not one line repeated. */
	w->repeat = shift == 1 || !(v->crtc[0x17] & 1) ? 1u << twice : scan << twice;
	w->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_PACKED;
	w->bits = shift >= 2 ? 8 : 4;
	w->double_x = 1;
	if (shift >= 2) {
		w->double_x = 2;
	} else if (v->seq[1] & 8) { /* half the dot clock */
		w->double_x = 2;
		w->width *= 2;
	}
	w->pan = shift >= 2 ? v->attr[0x13] >> 1 & 3 : v->attr[0x13] & 7;
	w->scan = MIN((v->crtc[8] & 0x1fu) << twice, w->repeat - 1);
}

static void look_at_vbe(const Vga *v, VgaView *w)
{
	const uint16_t *r = v->vbe;
	unsigned bits = r[VBE_BPP] == 15 ? 16 : r[VBE_BPP];

	w->kind = bits == 4 ? VGA_PLANAR : bits == 8 ? VGA_PACKED : VGA_DIRECT;
	w->bits = r[VBE_BPP];
	w->width = MIN(r[VBE_XRES], SCREEN_WIDTH_MAX);
	w->height = MIN(r[VBE_YRES], SCREEN_HEIGHT_MAX);
	w->repeat = w->double_x = 1;
	w->pitch = vga_vbe_bytes(v, r[VBE_VIRT_WIDTH]);
	w->start = r[VBE_Y_OFFSET] * w->pitch + vga_vbe_bytes(v, r[VBE_X_OFFSET]);
	w->compare = UINT32_MAX;
	w->crtc_mode = 3;
	w->planes = bits == 4 ? v->attr[0x12] & 15 : 15;
}

static VgaView look(const Vga *v)
{
	VgaView w;
	memset(&w, 0, sizeof(w)); /* compared as bytes */
	if (!(v->attr_index & 0x20)) { /* the palette is being written: nothing is shown */
		w = v->view;
		w.kind = VGA_BLANK;
		return w;
	}
	if (vga_vbe_on(v)) {
		look_at_vbe(v, &w);
		return w;
	}
	w.start = start_of(v);
	w.pitch = v->crtc[0x13] * 8u;
	w.compare = line_compare(v);
	w.crtc_mode = v->crtc[0x17] & 0x43;
	w.planes = v->attr[0x12] & 15;
	if (v->gfx[6] & 1)
		look_at_graphics(v, &w);
	else
		look_at_text(v, &w);
	return w;
}

/* ---- pixels of a line ---- */

static inline uint8_t byte_at(const Vga *v, uint32_t at) { return v->vram[at & (v->vram_size - 1)]; }

static uint32_t planes_at(const Vga *v, uint32_t at)
{
	return *(const uint32_t *)(const void *)(v->vram + (at & (v->vram_size - 4)));
}

/* The index of dot n (0 leftmost) of eight in four planes. */
static unsigned planar_dot(uint32_t four, unsigned n)
{
	uint32_t bits = four >> (7 - n);
	return (bits & 1) | (bits >> 7 & 2) | (bits >> 14 & 4) | (bits >> 21 & 8);
}

/* CGA: pairs of bits; even addresses in planes 0 and 2, odd ones in 1 and 3. */
static unsigned cga_dot(uint32_t four, unsigned n)
{
	unsigned odd = n >> 2, shift = 6 - 2 * (n & 3);
	return (four >> 8 * odd >> shift & 3) | (four >> 8 * (odd + 2) >> shift & 3) << 2;
}

static void draw_indexed(const Vga *v, uint32_t at, uint32_t *out)
{
	const VgaView *w = &v->view;
	unsigned last = w->pan + w->width / w->double_x;
	uint32_t enabled = vga_spread(w->planes), four = 0;

	for (unsigned dot = w->pan; dot < last; dot++) {
		if (dot == w->pan || dot % 8 == 0)
			four = planes_at(v, at + dot / 8 * 4) & enabled;
		uint32_t c = v->palette[w->kind == VGA_CGA ? cga_dot(four, dot % 8) : planar_dot(four, dot % 8)];
		for (unsigned k = 0; k < w->double_x; k++)
			*out++ = c;
	}
}

static void draw_packed(const Vga *v, uint32_t at, uint32_t *out)
{
	const VgaView *w = &v->view;
	unsigned dots = w->width / w->double_x;

	for (unsigned x = 0; x < dots; x++)
		for (unsigned k = 0; k < w->double_x; k++)
			*out++ = v->palette[byte_at(v, at + x + w->pan)];
}

static uint32_t from_565(uint32_t p)
{
	uint32_t r = p >> 11 & 31, g = p >> 5 & 63, b = p & 31;
	return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

/* These stay below full white, as in QEMU. */
static uint32_t from_555(uint32_t p) { return (p >> 10 & 31) << 19 | (p >> 5 & 31) << 11 | (p & 31) << 3; }

static void draw_direct(const Vga *v, uint32_t at, uint32_t *out)
{
	const VgaView *w = &v->view;
	unsigned bytes = (w->bits + 7) / 8;

	if (bytes == 4 && at % 4 == 0 && (uint64_t)at + w->width * 4ull <= v->vram_size) {
		const uint32_t *in = (const uint32_t *)(const void *)(v->vram + at);
		for (unsigned x = 0; x < w->width; x++)
			out[x] = in[x] & 0xffffff;
		return;
	}
	for (unsigned x = 0; x < w->width; x++) {
		uint32_t p = 0;
		for (unsigned k = 0; k < bytes; k++)
			p |= (uint32_t)byte_at(v, at + x * bytes + k) << 8 * k;
		out[x] = w->bits == 15 ? from_555(p) : w->bits == 16 ? from_565(p) : p & 0xffffff;
	}
}

static void draw_line(const Vga *v, uint32_t at, uint32_t *out)
{
	switch (v->view.kind) {
	case VGA_PACKED: draw_packed(v, at, out); break;
	case VGA_DIRECT: draw_direct(v, at, out); break;
	default: draw_indexed(v, at, out); break;
	}
}

/* ---- which lines ---- */

/* Bytes of memory that a line is made of. */
static uint32_t line_bytes(const VgaView *w)
{
	switch (w->kind) {
	case VGA_PACKED: return w->width / w->double_x + 4;
	case VGA_DIRECT: return w->width * ((w->bits + 7) / 8);
	default: return (w->width / w->double_x / 8 + 1) * 4;
	}
}

static bool touched(const Vga *v, uint32_t at, uint32_t bytes)
{
	for (uint32_t page = at >> GUEST_PAGE_BITS; page <= (at + bytes - 1) >> GUEST_PAGE_BITS; page++)
		if (v->dirty[page & ((v->vram_size >> GUEST_PAGE_BITS) - 1)])
			return true;
	return false;
}

/* CRTC 17h has lines replace bits of the address, as the CGA's and Hercules' interleaved memory wants it. */
static uint32_t line_address(const VgaView *w, uint32_t at, unsigned row)
{
	unsigned bit = 14 + (w->crtc_mode >> 6);
	if (!(w->crtc_mode & 1))
		at = (at & ~(1u << bit)) | (row & 1) << bit;
	if (!(w->crtc_mode & 2))
		at = (at & ~0x8000u) | (row & 2) << 14;
	return at;
}

static void draw_graphics(Vga *v, bool all)
{
	const VgaView *w = &v->view;
	unsigned skip = (w->crtc_mode & 3) ^ 3, row = 0, repeat = w->repeat - w->scan, first = 0, count = 0;
	uint32_t at = w->start, bytes = line_bytes(w);

	for (unsigned y = 0; y < w->height; y++) {
		uint32_t from = line_address(w, at, row);
		bool draw = all || touched(v, from, bytes);
		if (draw) {
			draw_line(v, from, screen_line(v->screen, y));
			first = count++ ? first : y;
		} else if (count) {
			screen_damage(v->screen, (Rect){ 0, first, w->width, count });
			count = 0;
		}
		if (--repeat == 0) {
			if ((row & skip) == skip)
				at += w->pitch;
			row++;
			repeat = w->repeat;
		}
		if (y == w->compare)
			at = 0;
	}
	if (count)
		screen_damage(v->screen, (Rect){ 0, first, w->width, count });
}

static void draw_blank(Vga *v)
{
	unsigned width, height;
	screen_size(v->screen, &width, &height);
	for (unsigned y = 0; y < height; y++)
		memset(screen_line(v->screen, y), 0, width * sizeof(uint32_t));
	screen_damage(v->screen, (Rect){ 0, 0, width, height });
}

/* ---- refreshing ---- */

/* From the first look on; what nobody takes is marked once and costs nothing more. */
static void watch(Vga *v)
{
	if (v->looked_at)
		return;
	v->looked_at = v->redraw = true;
	ram_watch(&v->dev->board->arena, v->vram, v->vram_size);
}

static void refresh(void *opaque)
{
	Vga *v = opaque;

	watch(v);
	VgaView now = look(v);
	bool all = v->redraw || memcmp(&now, &v->view, sizeof(now));
	bool any = ram_take_dirty(&v->dev->board->arena, v->vram, v->vram_size, v->dirty);
	v->view = now;
	v->redraw = false;
	if (all)
		make_palette(v);
	if (all && now.kind != VGA_BLANK)
		screen_resize(v->screen, now.width, now.height);
	if (now.kind == VGA_TEXT) {
		if (all)
			v->cell_count = 0;
		vga_draw_text(v); /* the cursor blinks without anybody's writing */
	} else if (now.kind == VGA_BLANK) {
		if (all)
			draw_blank(v);
	} else if (all || any) {
		draw_graphics(v, all);
	}
}

static void invalidate(void *opaque) { ((Vga *)opaque)->redraw = true; }

const ScreenSource vga_screen_source = { .refresh = refresh, .invalidate = invalidate, .text = vga_text_cells };
