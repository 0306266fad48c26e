/*
 * screen.c - screens, their viewers, and when pictures are brought up to date.
 */
#include "display/screen.h"

#include <string.h>

#include "core/lock.h"
#include "display/private.h"

#define INTERVAL_MS 30        /* while the picture changes */
#define INTERVAL_STEP_MS 20   /* longer after each refresh that found nothing */
#define INTERVAL_MAX_MS 400

typedef struct Viewing {
	const ScreenViewer *viewer;
	void *opaque;
} Viewing;

struct Screen {
	Display *display;
	char *name;
	const ScreenSource *source;
	void *opaque;
	unsigned width, height;
	uint32_t *pixels;
	bool changed;          /* since the refresh began */
	GArray *viewings;      /* Viewing */
	unsigned interval;     /* ms */
	guint timer;           /* GLib source; 0: nobody looks */
	ScreenCursor *cursor;  /* NULL: none */
	int cursor_x, cursor_y;
	bool cursor_shown;
};

#define EACH_VIEWER(s, call, ...) \
	for (unsigned i_ = 0; i_ < (s)->viewings->len; i_++) { \
		const Viewing *v_ = &g_array_index((s)->viewings, Viewing, i_); \
		if (v_->viewer->call) \
			v_->viewer->call(v_->opaque __VA_OPT__(,) __VA_ARGS__); \
	}

Display *display_new(void)
{
	Display *d = g_new0(Display, 1);

	d->screens = g_ptr_array_new();
	d->handlers = g_ptr_array_new_with_free_func(g_free);
	d->led_watchers = g_ptr_array_new_with_free_func(g_free);
	return d;
}

void display_free(Display *d)
{
	if (!d)
		return;
	typing_free(d);
	g_ptr_array_free(d->screens, TRUE);
	g_ptr_array_free(d->handlers, TRUE);
	g_ptr_array_free(d->led_watchers, TRUE);
	g_free(d);
}

Screen *display_screen(Display *d, unsigned n)
{
	return n < d->screens->len ? g_ptr_array_index(d->screens, n) : NULL;
}

/* ---- refreshing ---- */

static gboolean tick(gpointer opaque);

static void arm(Screen *s, unsigned ms)
{
	if (s->timer)
		g_source_remove(s->timer);
	s->interval = ms;
	s->timer = g_timeout_add(ms, tick, s);
}

static gboolean tick(gpointer opaque)
{
	Screen *s = opaque;

	machine_lock();
	/* Another thread may have set it anew, or taken it away, while this one waited for the lock. */
	if (g_source_is_destroyed(g_main_current_source())) {
		machine_unlock();
		return G_SOURCE_REMOVE;
	}
	s->timer = 0;
	screen_refresh(s);
	if (s->viewings->len)
		arm(s, s->changed ? INTERVAL_MS : MIN(s->interval + INTERVAL_STEP_MS, INTERVAL_MAX_MS));
	machine_unlock();
	return G_SOURCE_REMOVE;
}

void screen_refresh(Screen *s)
{
	s->changed = false;
	s->source->refresh(s->opaque);
	if (s->changed)
		EACH_VIEWER(s, refreshed);
}

void screen_wake(Screen *s)
{
	if (s->timer && s->interval > INTERVAL_MS)
		arm(s, INTERVAL_MS);
}

/* ---- adapters ---- */

Screen *screen_new(Display *d, const char *name, const ScreenSource *source, void *opaque)
{
	Screen *s = g_new0(Screen, 1);

	*s = (Screen){ .display = d, .name = g_strdup(name), .source = source, .opaque = opaque,
		       .viewings = g_array_new(FALSE, FALSE, sizeof(Viewing)) };
	screen_resize(s, 640, 480);
	g_ptr_array_add(d->screens, s);
	return s;
}

void screen_free(Screen *s)
{
	if (!s)
		return;
	if (s->timer)
		g_source_remove(s->timer);
	g_ptr_array_remove(s->display->screens, s);
	g_array_free(s->viewings, TRUE);
	g_free(s->cursor);
	g_free(s->pixels);
	g_free(s->name);
	g_free(s);
}

void screen_resize(Screen *s, unsigned width, unsigned height)
{
	width = CLAMP(width, 1, SCREEN_WIDTH_MAX);
	height = CLAMP(height, 1, SCREEN_HEIGHT_MAX);
	if (s->width == width && s->height == height)
		return;
	g_free(s->pixels);
	s->pixels = g_new0(uint32_t, (size_t)width * height);
	s->width = width;
	s->height = height;
	s->changed = true;
	EACH_VIEWER(s, resized);
}

uint32_t *screen_line(Screen *s, unsigned y)
{
	return s->pixels + (size_t)y * s->width;
}

void screen_damage(Screen *s, Rect r)
{
	if (r.x >= s->width || r.y >= s->height || !r.width || !r.height)
		return;
	r.width = MIN(r.width, s->width - r.x);
	r.height = MIN(r.height, s->height - r.y);
	s->changed = true;
	EACH_VIEWER(s, damaged, &r);
}

void screen_set_cursor(Screen *s, const ScreenCursor *cursor)
{
	g_free(s->cursor);
	s->cursor = cursor ? g_memdup2(cursor, sizeof(*cursor)) : NULL;
	EACH_VIEWER(s, cursor);
}

void screen_move_cursor(Screen *s, int x, int y, bool shown)
{
	s->cursor_x = x;
	s->cursor_y = y;
	s->cursor_shown = shown;
	EACH_VIEWER(s, cursor_moved);
}

/* ---- viewers ---- */

void screen_add_viewer(Screen *s, const ScreenViewer *viewer, void *opaque)
{
	Viewing v = { viewer, opaque };

	g_array_append_val(s->viewings, v);
	if (s->source->invalidate)
		s->source->invalidate(s->opaque);
	arm(s, INTERVAL_MS);
}

void screen_remove_viewer(Screen *s, void *opaque)
{
	for (unsigned i = s->viewings->len; i-- > 0;)
		if (g_array_index(s->viewings, Viewing, i).opaque == opaque)
			g_array_remove_index(s->viewings, i);
	if (!s->viewings->len && s->timer) {
		g_source_remove(s->timer);
		s->timer = 0;
	}
}

const char *screen_name(const Screen *s) { return s->name; }

void screen_size(const Screen *s, unsigned *width, unsigned *height)
{
	*width = s->width;
	*height = s->height;
}

const uint32_t *screen_pixels(const Screen *s, unsigned y)
{
	return s->pixels + (size_t)y * s->width;
}

const ScreenCursor *screen_cursor(const Screen *s, int *x, int *y, bool *shown)
{
	*x = s->cursor_x;
	*y = s->cursor_y;
	*shown = s->cursor_shown;
	return s->cursor;
}

bool screen_text(Screen *s, ScreenText *out)
{
	return s->source->text && s->source->text(s->opaque, out);
}

bool screen_wish(Screen *s, unsigned width, unsigned height)
{
	if (s->source->wish)
		s->source->wish(s->opaque, width, height);
	return s->source->wish;
}
