/* test-vga.c - text modes line by line: smooth scrolling, the split screen, panning, the cursor. */
#include "core/lock.h"
#include "display/screen.h"
#include "harness.h"
#include "hw/classes.h"

#define ROWS 25u
#define COLUMNS 80u
#define CELL 16u
#define WINDOW 0xb8000u

typedef struct Rig {
	Harness *h;
	Screen *screen;
} Rig;

static const ScreenViewer viewer = { NULL };

static void indexed(Rig *r, uint16_t port, unsigned index, unsigned value)
{
	outb(r->h, port, index);
	outb(r->h, (uint16_t)(port + 1), value);
}

static void attribute(Rig *r, unsigned index, unsigned value)
{
	inb(r->h, 0x3da);
	outb(r->h, 0x3c0, index);
	outb(r->h, 0x3c0, value);
	outb(r->h, 0x3c0, 0x20);
}

static void crtc(Rig *r, unsigned index, unsigned value) { indexed(r, 0x3d4, index, value); }

/* Line n of character c has the bits of c * 16 + n: what a line shows tells where it comes from. */
static void load_font(Rig *r)
{
	indexed(r, 0x3c4, 2, 4);
	indexed(r, 0x3c4, 4, 6);
	indexed(r, 0x3ce, 5, 0);
	indexed(r, 0x3ce, 6, 4);
	indexed(r, 0x3ce, 8, 0xff);
	for (unsigned c = 0; c < 16; c++)
		for (unsigned n = 0; n < CELL; n++)
			as_store(r->h->board.mem, 0xa0000 + c * 32 + n, c * 16 + n, 1);
	indexed(r, 0x3c4, 2, 3);
	indexed(r, 0x3c4, 4, 2);
	indexed(r, 0x3ce, 5, 0x10);
	indexed(r, 0x3ce, 6, 0x0e);
}

/* 80 times 25 characters of 8 times 16 dots (mode 3 with eight dots), no cursor. */
static void set_mode(Rig *r)
{
	static const uint8_t timings[][2] = { { 0x11, 0 }, { 1, COLUMNS - 1 }, { 6, 0xbf }, { 7, 0x1f }, { 8, 0 }, { 9, 0x4f },
					      { 0x0a, 0x20 }, { 0x12, 0x8f }, { 0x13, COLUMNS / 2 }, { 0x17, 0xa3 }, { 0x18, 0xff } };
	outb(r->h, 0x3c2, 0x67);
	indexed(r, 0x3c4, 0, 3);
	indexed(r, 0x3c4, 1, 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(timings); i++)
		crtc(r, timings[i][0], timings[i][1]);
	for (unsigned i = 0; i < 16; i++) {
		attribute(r, i, i);
		outb(r->h, 0x3c8, i);
		for (unsigned k = 0; k < 3; k++)
			outb(r->h, 0x3c9, i == 15 ? 63 : i);
	}
	outb(r->h, 0x3c6, 0xff);
	attribute(r, 0x10, 0);
	attribute(r, 0x12, 15);
	load_font(r);
	for (unsigned at = 0; at < 2 * ROWS * COLUMNS; at++)
		as_store(r->h->board.mem, WINDOW + 2 * at, 0x0f00 | (at / COLUMNS & 15), 2);
}

static Rig rig_new(void)
{
	Rig r = { .h = harness_new() };

	harness_add(r.h, &i440fx_pcihost_class);
	Device *dev = harness_make(r.h, &vga_class);
	harness_set(dev, "romfile", "");
	harness_set(dev, "vgamem_mb", "2");
	harness_realize(dev);
	r.screen = display_screen(r.h->board.display, 0);
	machine_lock();
	screen_add_viewer(r.screen, &viewer, r.h);
	machine_unlock();
	set_mode(&r);
	return r;
}

static void rig_free(Rig *r)
{
	machine_lock();
	screen_remove_viewer(r->screen, r->h);
	machine_unlock();
	harness_free(r->h);
}

static void look(Rig *r)
{
	unsigned width, height;

	machine_lock();
	screen_refresh(r->screen);
	screen_size(r->screen, &width, &height);
	machine_unlock();
	g_assert_cmpuint(width, ==, COLUMNS * 8);
	g_assert_cmpuint(height, ==, ROWS * CELL);
}

/* Eight dots of a line. */
static unsigned dots(Rig *r, unsigned y, unsigned x)
{
	const uint32_t *line = screen_line(r->screen, y);
	unsigned bits = 0;

	for (unsigned i = 0; i < 8; i++)
		bits = bits << 1 | (line[x + i] == 0xffffff);
	return bits;
}

/* What line n of the text from cell row `first` on shows. */
static unsigned text_line(unsigned first, unsigned n) { return ((first + n / CELL) & 15) * 16 + n % CELL; }

static void test_scan(void)
{
	Rig r = rig_new();

	for (unsigned scan = 0; scan < CELL; scan += 5) {
		crtc(&r, 8, scan);
		look(&r);
		for (unsigned y = 0; y < ROWS * CELL; y++)
			g_assert_cmphex(dots(&r, y, 8 * (y % COLUMNS)), ==, text_line(0, y + scan));
	}
	/* a change of one cell is drawn where it is now */
	as_store(r.h->board.mem, WINDOW + 2 * (3 * COLUMNS + 2), 0x0f09, 2);
	look(&r);
	g_assert_cmphex(dots(&r, 3 * CELL - 15, 16), ==, 0x90);
	g_assert_cmphex(dots(&r, 4 * CELL - 16, 16), ==, 0x9f);
	g_assert_cmphex(dots(&r, 4 * CELL - 15, 16), ==, 0x40);
	rig_free(&r);
}

static void test_split(void)
{
	Rig r = rig_new();
	unsigned split = 203, start = 4;

	crtc(&r, 0x0c, start * COLUMNS >> 8);
	crtc(&r, 0x0d, start * COLUMNS & 0xff);
	crtc(&r, 0x18, split - 1);
	crtc(&r, 7, 0x0f); /* bit 8 of the line compare is clear now */
	crtc(&r, 9, 0x0f);
	crtc(&r, 8, 3);
	attribute(&r, 0x13, 2);
	look(&r);
	for (unsigned y = 0; y < ROWS * CELL; y++) {
		unsigned want = y < split ? text_line(start, y + 3) : text_line(0, y - split);
		g_assert_cmphex(dots(&r, y, 8 - 2), ==, want);
	}
	attribute(&r, 0x10, 0x20); /* only above the split */
	look(&r);
	g_assert_cmphex(dots(&r, split - 1, 8 - 2), ==, text_line(start, split + 2));
	g_assert_cmphex(dots(&r, split, 8), ==, 0);
	g_assert_cmphex(dots(&r, split + 21, 8), ==, text_line(0, 21));
	rig_free(&r);
}

static void test_cursor(void)
{
	Rig r = rig_new();

	harness_freeze(r.h);
	harness_run(r.h, NS_PER_SEC - clock_now(r.h->board.clock));
	crtc(&r, 0x0a, 14);
	crtc(&r, 0x0b, 15);
	crtc(&r, 0x0f, 2 * COLUMNS + 7);
	crtc(&r, 8, 4);
	unsigned lit = 0;
	for (unsigned i = 0; i < 2; i++) {
		look(&r);
		g_assert_cmphex(dots(&r, 2 * CELL + 13 - 4, 56), ==, text_line(2, 13));
		if (dots(&r, 2 * CELL + 14 - 4, 56) == 0xff && dots(&r, 2 * CELL + 15 - 4, 56) == 0xff)
			lit++;
		else
			g_assert_cmphex(dots(&r, 2 * CELL + 14 - 4, 56), ==, text_line(2, 14));
		harness_run(r.h, NS_PER_SEC * 16 / 70);
	}
	g_assert_cmpuint(lit, ==, 1); /* it blinks */
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga/text/preset-row-scan", test_scan);
	g_test_add_func("/vga/text/line-compare", test_split);
	g_test_add_func("/vga/text/cursor", test_cursor);
	return g_test_run();
}
