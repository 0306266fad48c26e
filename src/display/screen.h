/*
 * screen.h - what a display adapter shows, and who looks at it.
 *
 * An adapter makes a Screen and keeps its picture; viewers (VNC, a terminal, screenshots) look at it.
 * While nobody looks nothing is done. While somebody does, the adapter is asked to bring its picture up to
 * date some thirty times a second, less often the longer nothing has changed.
 *
 * Main thread and vcpu threads, machine lock held; callbacks too. Refreshes come on the main thread.
 */
#ifndef VIV_DISPLAY_SCREEN_H
#define VIV_DISPLAY_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define SCREEN_WIDTH_MAX 8192u
#define SCREEN_HEIGHT_MAX 8192u

typedef struct Display Display;
typedef struct Screen Screen;

typedef struct Rect {
	unsigned x, y, width, height;
} Rect;

/* The pointer's picture: pixels are 0xAARRGGBB, width * height of them, the hot spot within. */
typedef struct ScreenCursor {
	unsigned width, height, hot_x, hot_y;
	uint32_t pixels[64 * 64];
} ScreenCursor;

/* Characters in text mode: glyph | attribute << 8, row by row, as in VGA memory (code page 437). */
typedef struct ScreenText {
	unsigned columns, rows;
	const uint16_t *cells;
	int cursor_x, cursor_y; /* -1: not shown */
} ScreenText;

/* The adapter's side. Any of them may be NULL but refresh. */
typedef struct ScreenSource {
	void (*refresh)(void *opaque);     /* changes since the last one: screen_resize, screen_line, screen_damage */
	void (*invalidate)(void *opaque);  /* the next refresh draws everything */
	bool (*text)(void *opaque, ScreenText *out); /* false: graphics. Good until the next refresh */
	void (*wish)(void *opaque, unsigned width, unsigned height); /* a viewer would like this size (EDID) */
} ScreenSource;

/* The viewer's side. Any may be NULL. */
typedef struct ScreenViewer {
	void (*resized)(void *opaque);                /* and all of it is damaged */
	void (*damaged)(void *opaque, const Rect *r); /* within the screen */
	void (*refreshed)(void *opaque);              /* after a refresh that changed something */
	void (*cursor)(void *opaque);                 /* its picture changed, or whether there is one */
	void (*cursor_moved)(void *opaque);
} ScreenViewer;

/* ---- of a machine ---- */
Display *display_new(void);
/* Screens and input handlers are gone by then. NULL is fine. */
void display_free(Display *d);
/* The n-th in order of creation; NULL: there are no more. */
Screen *display_screen(Display *d, unsigned n);

/* ---- adapters ---- */
/* Joins d's list, 640x480 and black; `name` is copied: the device's label. */
Screen *screen_new(Display *d, const char *name, const ScreenSource *source, void *opaque);
void screen_free(Screen *s); /* its viewers are told nothing and detached. NULL is fine */
/* Another size, 1 to the maximum each way (clamped); the picture is black then. Nothing if it is that size. */
void screen_resize(Screen *s, unsigned width, unsigned height);
/* Pixels of line y < height: 0x00RRGGBB, `width` of them. */
uint32_t *screen_line(Screen *s, unsigned y);
/* These have changed; clipped to the screen. */
void screen_damage(Screen *s, Rect r);
/* The adapter's own pointer; NULL: none, what is to be seen is in the picture. Copied. */
void screen_set_cursor(Screen *s, const ScreenCursor *cursor);
void screen_move_cursor(Screen *s, int x, int y, bool shown);

/* ---- viewers ---- */
void screen_add_viewer(Screen *s, const ScreenViewer *viewer, void *opaque); /* refreshes begin */
void screen_remove_viewer(Screen *s, void *opaque);
const char *screen_name(const Screen *s);
void screen_size(const Screen *s, unsigned *width, unsigned *height);
const uint32_t *screen_pixels(const Screen *s, unsigned y); /* of line y < height */
const ScreenCursor *screen_cursor(const Screen *s, int *x, int *y, bool *shown); /* NULL: none */
bool screen_text(Screen *s, ScreenText *out); /* false: graphics, or the adapter has no text */
/* Brings the picture up to date now. */
void screen_refresh(Screen *s);
/* Something is about to happen (a key was pressed): refreshes come fast again. */
void screen_wake(Screen *s);
/* False: the adapter takes no wishes. */
bool screen_wish(Screen *s, unsigned width, unsigned height);

#endif
