/*
 * set.c - see set.h.
 */
#include "chardev/set.h"

#include <string.h>

#include "chardev/backend.h"
#include "chardev/mux.h"
#include "core/error.h"

struct ChardevSet {
	GHashTable *table;  /* id -> Chardev *, owned */
	void (*quit)(void *opaque);
	void *quit_opaque;
};

ChardevSet *chardev_set_new(void)
{
	ChardevSet *set = g_new0(ChardevSet, 1);
	set->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return set;
}

/* What stands on another goes first. */
static void free_all(ChardevSet *set, bool muxes)
{
	GHashTableIter iter;
	gpointer c;
	g_hash_table_iter_init(&iter, set->table);
	while (g_hash_table_iter_next(&iter, NULL, &c))
		if (chardev_is_mux(c) == muxes) {
			g_hash_table_iter_remove(&iter);
			chardev_free(c);
		}
}

void chardev_set_free(ChardevSet *set)
{
	if (!set)
		return;
	free_all(set, true);
	free_all(set, false);
	g_hash_table_unref(set->table);
	g_free(set);
}

GHashTable *chardev_set_table(ChardevSet *set)
{
	return set->table;
}

Chardev *chardev_set_find(ChardevSet *set, const char *id)
{
	return g_hash_table_lookup(set->table, id);
}

static Chardev *find(ChardevSet *set, const char *id, GError **error)
{
	Chardev *c = chardev_set_find(set, id);
	if (!c)
		fail(error, VIV_ERROR_INVALID, "Chardev '%s' not found", id);
	return c;
}

static Chardev *keep(ChardevSet *set, Chardev *c)
{
	if (c)
		g_hash_table_insert(set->table, g_strdup(chardev_id(c)), c);
	return c;
}

static void drop(ChardevSet *set, Chardev *c)
{
	g_hash_table_remove(set->table, chardev_id(c));
	chardev_free(c);
}

/* ID is a mux on "ID-base". */
static Chardev *open_mux(ChardevSet *set, const ChardevType *type, ChardevOptions *options,
	GError **error)
{
	char *id = options->id;
	options->id = g_strdup_printf("%s-base", id);
	Chardev *base = NULL, *mux = NULL;
	if (chardev_set_find(set, options->id)) {
		fail(error, VIV_ERROR_INVALID, "Chardev with id '%s' already exists", options->id);
		chardev_options_free(options);
	} else {
		base = keep(set, chardev_new(type, options, error));
	}
	if (base && !(mux = keep(set, mux_new(id, base, error))))
		drop(set, base);
	if (mux)
		mux_on_quit(mux, set->quit, set->quit_opaque);
	g_free(id);
	return mux;
}

Chardev *chardev_set_open(ChardevSet *set, ChardevOptions *options, GError **error)
{
	const ChardevType *type = chardev_type_find(options->backend);
	if (chardev_set_find(set, options->id)) {
		fail(error, VIV_ERROR_INVALID, "Duplicate ID '%s' for chardev.", options->id);
		chardev_options_free(options);
		return NULL;
	}
	if (options->mux == CHARDEV_ON)
		return open_mux(set, type, options, error);
	return keep(set, chardev_new(type, options, error));
}

bool chardev_set_remove(ChardevSet *set, const char *id, GError **error)
{
	Chardev *c = find(set, id, error);
	if (!c)
		return false;
	if (chardev_has_front_end(c))
		return fail(error, VIV_ERROR_INVALID, "Chardev '%s' is busy", id);
	drop(set, c);
	return true;
}

/* Opens the new one while the old keeps its name but is no longer found by it. */
static bool replace(ChardevSet *set, Chardev *old, ChardevOptions *options, GError **error)
{
	const ChardevHandlers *handlers = old->handlers;
	void *opaque = old->opaque;
	g_hash_table_remove(set->table, chardev_id(old));
	Chardev *c = chardev_set_open(set, options, error);
	if (!c) {
		keep(set, old);
		return false;
	}
	if (handlers) {
		chardev_detach(old, opaque);
		handlers->changed(opaque, c);
		chardev_attach(c, handlers, opaque, NULL); /* new, so it has no front end */
	}
	chardev_free(old);
	return true;
}

bool chardev_set_change(ChardevSet *set, ChardevOptions *options, GError **error)
{
	Chardev *old = chardev_set_find(set, options->id);
	bool ok = false;
	if (!old)
		fail(error, VIV_ERROR_INVALID, "Chardev '%s' does not exist", options->id);
	else if (chardev_is_mux(old) || options->mux == CHARDEV_ON)
		fail(error, VIV_ERROR_UNSUPPORTED, "Mux device hotswap not supported yet");
	else if (old->handlers && !old->handlers->changed)
		fail(error, VIV_ERROR_UNSUPPORTED, "Chardev user does not support chardev hotswap");
	else
		ok = true;
	if (ok)
		return replace(set, old, options, error);
	chardev_options_free(options);
	return false;
}

bool chardev_set_break_in(ChardevSet *set, const char *id, GError **error)
{
	Chardev *c = find(set, id, error);
	if (!c)
		return false;
	if (chardev_is_mux(c))
		mux_break(c);
	else
		chardev_event(c, CHARDEV_BREAK);
	return true;
}

Chardev *chardev_set_ringbuf(ChardevSet *set, const char *id, GError **error)
{
	Chardev *c = chardev_set_find(set, id);
	if (!c)
		fail(error, VIV_ERROR_INVALID, "Device '%s' not found", id);
	else if (c->cls != chardev_type_ringbuf.cls)
		fail(error, VIV_ERROR_INVALID, "%s is not a ringbuf device", id);
	else
		return c;
	return NULL;
}

static int by_id(gconstpointer a, gconstpointer b)
{
	return strcmp(chardev_id(*(Chardev *const *)a), chardev_id(*(Chardev *const *)b));
}

GPtrArray *chardev_set_list(ChardevSet *set)
{
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter iter;
	gpointer c;
	g_hash_table_iter_init(&iter, set->table);
	while (g_hash_table_iter_next(&iter, NULL, &c))
		g_ptr_array_add(list, c);
	g_ptr_array_sort(list, by_id);
	return list;
}

void chardev_set_on_quit(ChardevSet *set, void (*quit)(void *opaque), void *opaque)
{
	GHashTableIter iter;
	gpointer c;
	set->quit = quit;
	set->quit_opaque = opaque;
	g_hash_table_iter_init(&iter, set->table);
	while (g_hash_table_iter_next(&iter, NULL, &c))
		if (chardev_is_mux(c))
			mux_on_quit(c, quit, opaque);
}
