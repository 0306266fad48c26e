/*
 * placeholder.c - the screen of a machine that has none: a sentence in the middle, drawn once.
 */
#include "display/placeholder.h"

#include <string.h>

#include "core/lock.h"

#define WIDTH 640u
#define HEIGHT 480u
#define CELL_WIDTH 6u  /* of a letter; it is drawn at twice the size */
#define ROWS 8u
#define SCALE 2u
#define INK 0xaaaaaau

struct Placeholder {
	Screen *screen;
};

static const char sentence[] = "This VM has no graphic display device.";

/* The letters of the sentence, five dots wide, the topmost row first. */
static const struct { char letter; uint8_t rows[ROWS]; } font[] = {
	{ 'T', { 0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04 } },
	{ 'h', { 0x10, 0x10, 0x16, 0x19, 0x11, 0x11, 0x11 } },
	{ 'i', { 0x04, 0x00, 0x0c, 0x04, 0x04, 0x04, 0x0e } },
	{ 's', { 0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e } },
	{ 'V', { 0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04 } },
	{ 'M', { 0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11 } },
	{ 'a', { 0x00, 0x00, 0x0e, 0x01, 0x0f, 0x11, 0x0f } },
	{ 'n', { 0x00, 0x00, 0x16, 0x19, 0x11, 0x11, 0x11 } },
	{ 'o', { 0x00, 0x00, 0x0e, 0x11, 0x11, 0x11, 0x0e } },
	{ 'g', { 0x00, 0x00, 0x0f, 0x11, 0x11, 0x0f, 0x01, 0x0e } },
	{ 'r', { 0x00, 0x00, 0x16, 0x19, 0x10, 0x10, 0x10 } },
	{ 'p', { 0x00, 0x00, 0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10 } },
	{ 'c', { 0x00, 0x00, 0x0e, 0x11, 0x10, 0x11, 0x0e } },
	{ 'd', { 0x01, 0x01, 0x0d, 0x13, 0x11, 0x11, 0x0f } },
	{ 'l', { 0x0c, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e } },
	{ 'y', { 0x00, 0x00, 0x11, 0x11, 0x11, 0x0f, 0x01, 0x0e } },
	{ 'e', { 0x00, 0x00, 0x0e, 0x11, 0x1f, 0x10, 0x0e } },
	{ 'v', { 0x00, 0x00, 0x11, 0x11, 0x11, 0x0a, 0x04 } },
	{ '.', { 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c } },
};

static void draw_dot(Screen *s, unsigned x, unsigned y)
{
	for (unsigned dy = 0; dy < SCALE; dy++)
		for (unsigned dx = 0; dx < SCALE; dx++)
			screen_line(s, y + dy)[x + dx] = INK;
}

static void draw_letter(Screen *s, unsigned x, unsigned y, char letter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(font); i++)
		for (unsigned n = 0; font[i].letter == letter && n < ROWS * 5; n++)
			if (font[i].rows[n / 5] >> (4 - n % 5) & 1)
				draw_dot(s, x + n % 5 * SCALE, y + n / 5 * SCALE);
}

static void draw_sentence(Screen *s)
{
	unsigned x = (WIDTH - (unsigned)strlen(sentence) * CELL_WIDTH * SCALE) / 2;

	for (const char *c = sentence; *c; c++, x += CELL_WIDTH * SCALE)
		draw_letter(s, x, (HEIGHT - ROWS * SCALE) / 2, *c);
}

static void refresh(void *opaque) { } /* nothing changes */

static const ScreenSource source = { .refresh = refresh };

Placeholder *placeholder_new(Display *d)
{
	Placeholder *p = g_new(Placeholder, 1);

	machine_lock();
	p->screen = screen_new(d, "placeholder", &source, p);
	screen_resize(p->screen, WIDTH, HEIGHT);
	draw_sentence(p->screen);
	machine_unlock();
	return p;
}

void placeholder_free(Placeholder *p)
{
	if (!p)
		return;
	machine_lock();
	screen_free(p->screen);
	machine_unlock();
	g_free(p);
}

Screen *placeholder_screen(Placeholder *p) { return p->screen; }
