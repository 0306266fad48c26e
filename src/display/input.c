/*
 * input.c - which device gets a key or a movement.
 */
#include "display/input.h"

#include <string.h>

#include "display/private.h"

typedef struct Handler {
	const InputHandler *ops;
	void *opaque;
	unsigned number;
} Handler;

typedef struct LedWatcher {
	void (*changed)(void *opaque, uint8_t leds);
	void *opaque;
} LedWatcher;

static Handler *handler_at(Display *d, unsigned n) { return g_ptr_array_index(d->handlers, n); }

static bool is_pointer(const InputHandler *ops) { return ops->move || ops->place; }

/* The last in the list wins. */
static Handler *keyboard(Display *d)
{
	for (unsigned n = d->handlers->len; n-- > 0;)
		if (handler_at(d, n)->ops->key)
			return handler_at(d, n);
	return NULL;
}

static Handler *pointer(Display *d)
{
	for (unsigned n = d->handlers->len; n-- > 0;)
		if (is_pointer(handler_at(d, n)->ops))
			return handler_at(d, n);
	return NULL;
}

void input_add(Display *d, const InputHandler *ops, void *opaque)
{
	Handler *h = g_new(Handler, 1);

	*h = (Handler){ ops, opaque, ++d->handler_numbers };
	g_ptr_array_add(d->handlers, h);
}

void input_remove(Display *d, void *opaque)
{
	for (unsigned n = d->handlers->len; n-- > 0;)
		if (handler_at(d, n)->opaque == opaque)
			g_ptr_array_remove_index(d->handlers, n);
}

void input_prefer(Display *d, void *opaque)
{
	for (unsigned n = 0; n < d->handlers->len; n++) {
		if (handler_at(d, n)->opaque != opaque)
			continue;
		g_ptr_array_add(d->handlers, g_ptr_array_steal_index(d->handlers, n));
		return;
	}
}

/* ---- keys ---- */

void input_key(Display *d, unsigned key, bool down)
{
	Handler *h = keyboard(d);

	if (!key || key >= INPUT_KEYS)
		return;
	if (down)
		d->held[key / 8] |= (uint8_t)(1u << key % 8);
	else
		d->held[key / 8] &= (uint8_t)~(1u << key % 8);
	if (h)
		h->ops->key(h->opaque, key, down);
	if (h && h->ops->sync) /* a key stands for itself */
		h->ops->sync(h->opaque);
	for (unsigned n = 0; n < d->screens->len; n++)
		screen_wake(g_ptr_array_index(d->screens, n));
}

void input_release_all(Display *d)
{
	for (unsigned key = 0; key < INPUT_KEYS; key++)
		if (d->held[key / 8] >> key % 8 & 1)
			input_key(d, key, false);
	for (unsigned b = 0; b < INPUT_BUTTONS; b++)
		if (d->buttons >> b & 1)
			input_button(d, (InputButton)b, false);
	input_sync(d);
}

void input_set_leds(Display *d, uint8_t leds)
{
	if (d->leds == leds)
		return;
	d->leds = leds;
	for (unsigned n = 0; n < d->led_watchers->len; n++) {
		LedWatcher *w = g_ptr_array_index(d->led_watchers, n);
		w->changed(w->opaque, leds);
	}
}

uint8_t input_leds(Display *d) { return d->leds; }

void input_watch_leds(Display *d, void (*changed)(void *opaque, uint8_t leds), void *opaque)
{
	LedWatcher *w = g_new(LedWatcher, 1);

	*w = (LedWatcher){ changed, opaque };
	g_ptr_array_add(d->led_watchers, w);
}

void input_unwatch_leds(Display *d, void *opaque)
{
	for (unsigned n = d->led_watchers->len; n-- > 0;)
		if (((LedWatcher *)g_ptr_array_index(d->led_watchers, n))->opaque == opaque)
			g_ptr_array_remove_index(d->led_watchers, n);
}

/* ---- pointers ---- */

void input_move(Display *d, int dx, int dy)
{
	Handler *h = pointer(d);

	if (h && h->ops->move)
		h->ops->move(h->opaque, dx, dy);
}

void input_place(Display *d, unsigned x, unsigned y)
{
	Handler *h = pointer(d);

	if (h && h->ops->place)
		h->ops->place(h->opaque, MIN(x, INPUT_ABS_MAX), MIN(y, INPUT_ABS_MAX));
}

void input_button(Display *d, InputButton button, bool down)
{
	Handler *h = pointer(d);

	if (down)
		d->buttons |= (uint8_t)(1u << button);
	else
		d->buttons &= (uint8_t)~(1u << button);
	if (h && h->ops->button)
		h->ops->button(h->opaque, button, down);
}

void input_sync(Display *d)
{
	Handler *h = pointer(d);

	if (h && h->ops->sync)
		h->ops->sync(h->opaque);
	for (unsigned n = 0; n < d->screens->len; n++)
		screen_wake(g_ptr_array_index(d->screens, n));
}

bool input_is_absolute(Display *d)
{
	Handler *h = pointer(d);

	return h && h->ops->place;
}

bool input_pointer(Display *d, unsigned n, InputPointer *out)
{
	for (unsigned i = 0; i < d->handlers->len; i++) {
		Handler *h = handler_at(d, i);
		if (!is_pointer(h->ops) || n--)
			continue;
		*out = (InputPointer){ h->ops->name, h->number, h->ops->place, h == pointer(d) };
		return true;
	}
	return false;
}

bool input_use_pointer(Display *d, unsigned number)
{
	for (unsigned i = 0; i < d->handlers->len; i++) {
		Handler *h = handler_at(d, i);
		if (h->number != number || !is_pointer(h->ops))
			continue;
		g_ptr_array_add(d->handlers, g_ptr_array_steal_index(d->handlers, i));
		return true;
	}
	return false;
}
