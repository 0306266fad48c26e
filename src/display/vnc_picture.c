/*
 * vnc_picture.c - a VNC server as a viewer of its screen.
 *
 * What a refresh of the screen has changed is taken into VncServer.picture, and viewers' threads
 * copy from there (vnc_client.c). Main thread, machine lock held; damage may come from vcpu threads
 * too.
 */
#include <string.h>

#include "display/vnc_private.h"

#define TILE_WIDTH 64  /* what is compared, and sent if it differs */
#define TILE_HEIGHT 16

/* Server's lock held. */
static void picture_resize(VncServer *s)
{
	screen_size(s->screen, &s->width, &s->height);
	g_free(s->picture);
	s->picture = g_new0(uint32_t, (size_t)s->width * s->height);
	sraRgnDestroy(s->damage);
	s->damage = sraRgnCreateRect(0, 0, (int)s->width, (int)s->height);
}

/* Takes a tile over from the screen; true: it is another one now. */
static bool take_tile(VncServer *s, const sraRect *t)
{
	size_t bytes = (size_t)(t->x2 - t->x1) * sizeof(uint32_t);
	bool changed = false;

	for (int y = t->y1; y < t->y2; y++) {
		uint32_t *ours = s->picture + (size_t)y * s->width + t->x1;
		const uint32_t *theirs = screen_pixels(s->screen, (unsigned)y) + t->x1;
		if (!memcmp(ours, theirs, bytes))
			continue;
		memcpy(ours, theirs, bytes);
		changed = true;
	}
	return changed;
}

static void region_add(sraRegionPtr region, int x1, int y1, int x2, int y2)
{
	sraRegionPtr r = sraRgnCreateRect(x1, y1, x2, y2);

	sraRgnOr(region, r);
	sraRgnDestroy(r);
}

/* One row of tiles; neighbours that changed become one rectangle. */
static void take_row(VncServer *s, const sraRect *r, int y1, int y2, sraRegionPtr changed)
{
	int start = -1;

	for (int x = r->x1; x < r->x2; x += TILE_WIDTH) {
		sraRect tile = { x, y1, MIN(x + TILE_WIDTH, r->x2), y2 };
		bool differs = take_tile(s, &tile);
		if (differs && start < 0)
			start = x;
		if (!differs && start >= 0) {
			region_add(changed, start, y1, x, y2);
			start = -1;
		}
	}
	if (start >= 0)
		region_add(changed, start, y1, r->x2, y2);
}

/* What was damaged and is in fact another picture. Caller destroys it. Both locks held. */
static sraRegionPtr take_damage(VncServer *s)
{
	sraRegionPtr changed = sraRgnCreate();
	sraRectangleIterator *i = sraRgnGetIterator(s->damage);

	for (sraRect r; sraRgnIteratorNext(i, &r);)
		for (int y = r.y1; y < r.y2; y += TILE_HEIGHT)
			take_row(s, &r, y, MIN(y + TILE_HEIGHT, r.y2), changed);
	sraRgnReleaseIterator(i);
	sraRgnMakeEmpty(s->damage);
	return changed;
}

/* Server's lock held. */
static void wake_joined(VncServer *s)
{
	for (unsigned n = 0; n < s->clients->len; n++)
		if (client_at(s, n)->joined)
			vnc_client_wake(client_at(s, n));
}

/* ---- looking at the screen; machine lock held ---- */

static void on_resized(void *opaque)
{
	VncServer *s = opaque;

	pthread_mutex_lock(&s->lock);
	picture_resize(s);
	wake_joined(s);
	pthread_mutex_unlock(&s->lock);
}

static void on_damaged(void *opaque, const Rect *r)
{
	VncServer *s = opaque;

	pthread_mutex_lock(&s->lock);
	region_add(s->damage, (int)r->x, (int)r->y, (int)(r->x + r->width),
		   (int)(r->y + r->height));
	pthread_mutex_unlock(&s->lock);
}

static void on_refreshed(void *opaque)
{
	VncServer *s = opaque;

	pthread_mutex_lock(&s->lock);
	sraRegionPtr changed = take_damage(s);
	bool absolute = input_is_absolute(s->display),
	     wake = !sraRgnEmpty(changed) || absolute != s->absolute;
	s->absolute = absolute;
	for (unsigned n = 0; n < s->clients->len; n++)
		if (client_at(s, n)->joined)
			sraRgnOr(client_at(s, n)->damage, changed);
	if (wake)
		wake_joined(s);
	pthread_mutex_unlock(&s->lock);
	sraRgnDestroy(changed);
}

static void take_cursor(VncServer *s, bool changed)
{
	bool shown;
	int x, y;
	const ScreenCursor *cursor = screen_cursor(s->screen, &x, &y, &shown);

	pthread_mutex_lock(&s->lock);
	changed |= (s->cursor != NULL) != (cursor && shown);
	s->cursor_x = x;
	s->cursor_y = y;
	if (changed) {
		g_free(s->cursor);
		s->cursor = cursor && shown ? g_memdup2(cursor, sizeof(*cursor)) : NULL;
	}
	for (unsigned n = 0; n < s->clients->len; n++) {
		client_at(s, n)->cursor_changed |= changed;
		client_at(s, n)->cursor_moved = true;
	}
	wake_joined(s);
	pthread_mutex_unlock(&s->lock);
}

static void on_cursor(void *opaque) { take_cursor(opaque, true); }
static void on_cursor_moved(void *opaque) { take_cursor(opaque, false); }

static const ScreenViewer viewer = {
	.resized = on_resized, .damaged = on_damaged, .refreshed = on_refreshed,
	.cursor = on_cursor, .cursor_moved = on_cursor_moved,
};

static void on_leds(void *opaque, uint8_t leds)
{
	VncServer *s = opaque;

	pthread_mutex_lock(&s->lock);
	s->leds = s->locks = leds;
	wake_joined(s);
	pthread_mutex_unlock(&s->lock);
}

void vnc_begin_looking(VncServer *s)
{
	if (s->lookers++)
		return;
	pthread_mutex_lock(&s->lock);
	picture_resize(s);
	s->leds = s->locks = input_leds(s->display);
	pthread_mutex_unlock(&s->lock);
	screen_add_viewer(s->screen, &viewer, s);
	screen_refresh(s->screen);
	on_refreshed(s); /* also if the refresh found no change: the picture is empty */
	take_cursor(s, true);
	input_watch_leds(s->display, on_leds, s);
}

void vnc_end_looking(VncServer *s)
{
	if (--s->lookers)
		return;
	screen_remove_viewer(s->screen, s);
	input_unwatch_leds(s->display, s);
}
