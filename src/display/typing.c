/*
 * typing.c - key combinations that are typed by themselves: `sendkey`, pasted text. Main thread, machine lock held.
 */
#include <string.h>

#include "core/lock.h"
#include "display/private.h"

#define WAITING_MAX 4096u

typedef struct Combo {
	uint8_t keys[INPUT_COMBO_MAX], count;
	unsigned hold_ms;
} Combo;

typedef struct Typing {
	GQueue combos;     /* Combo *; the first is being typed */
	bool down;         /* its keys are */
	guint timer;
} Typing;

static void advance(Display *d);

static gboolean tick(gpointer opaque)
{
	Display *d = opaque;

	machine_lock();
	d->typing->timer = 0;
	advance(d);
	machine_unlock();
	return G_SOURCE_REMOVE;
}

/* The first combination's keys go down, or up if they are. */
static void advance(Display *d)
{
	Typing *t = d->typing;
	Combo *c = g_queue_peek_head(&t->combos);

	if (!c)
		return;
	unsigned hold_ms = c->hold_ms;
	t->down = !t->down;
	for (unsigned i = 0; i < c->count; i++)
		input_key(d, t->down ? c->keys[i] : c->keys[c->count - 1 - i], t->down);
	if (!t->down)
		g_free(g_queue_pop_head(&t->combos));
	t->timer = g_timeout_add(hold_ms, tick, d);
}

bool input_type(Display *d, const uint8_t *keys, unsigned count, unsigned hold_ms)
{
	if (!d->typing)
		d->typing = g_new0(Typing, 1);
	Typing *t = d->typing;
	if (t->combos.length >= WAITING_MAX)
		return false;
	Combo *c = g_new(Combo, 1);
	*c = (Combo){ .count = (uint8_t)count, .hold_ms = hold_ms };
	memcpy(c->keys, keys, count);
	g_queue_push_tail(&t->combos, c);
	if (!t->timer)
		advance(d);
	return true;
}

void typing_free(Display *d)
{
	Typing *t = d->typing;

	if (!t)
		return;
	if (t->timer)
		g_source_remove(t->timer);
	g_queue_clear_full(&t->combos, g_free);
	g_free(t);
}
