/*
 * chardev_add.c - chardev-add and chardev-change in QMP's words: nested objects become the items of -chardev.
 *
 * The types are QEMU 7.2's (ChardevBackend, SocketAddressLegacy). Main thread, machine lock not held.
 */
#include <string.h>

#include "chardev/set.h"
#include "core/error.h"
#include "core/grammar.h"
#include "core/lock.h"
#include "monitor/private.h"

#define PTY_PREFIX "pty:"

/* What -chardev calls otherwise; of an own address `local` has the keys. */
static const char *option_of(const char *member, bool local)
{
	static const char *const names[][2] = { { "out", "path" }, { "in", "input-path" }, { "device", "path" }, { "str", "fd" } };

	if (local)
		return !strcmp(member, "host") ? "localaddr" : !strcmp(member, "port") ? "localport" : member;

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(names[i][0], member))
			return names[i][1];
	return member;
}

static void add_scalar(GArray *items, const char *key, const json_t *value)
{
	if (json_is_integer(value)) {
		g_autofree char *text = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
		kv_list_add(items, key, text);
	} else {
		kv_list_add(items, key, json_is_boolean(value) ? (json_is_true(value) ? "on" : "off") : json_string_value(value));
	}
}

static void add_members(GArray *items, const json_t *object, bool local)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)object, name, value) {
		if (!json_is_object(value)) /* an address: {"type": ..., "data": {...}} */
			add_scalar(items, option_of(name, local), value);
		else
			add_members(items, json_object_get(value, "data"), !strcmp(name, "local"));
	}
}

/* Caller frees; NULL with *error. */
static ChardevOptions *options_of(const json_t *args, GError **error)
{
	const json_t *backend = json_object_get(args, "backend"), *data = json_object_get(backend, "data");
	const char *type = member_text(backend, "type");
	GArray *items = kv_list_new();

	kv_list_add(items, "backend", type);
	kv_list_add(items, "id", member_text(args, "id"));
	/* Other defaults than -chardev's. */
	if (!strcmp(type, "socket") && !json_object_get(data, "server"))
		kv_list_add(items, "server", "on");
	if (!strcmp(type, "socket") && !json_object_get(data, "wait") &&
	    (!json_object_get(data, "server") || member_is(data, "server")))
		kv_list_add(items, "wait", "off");
	add_members(items, data, false);
	ChardevOptions *o = chardev_options_from_items(items, error);
	kv_list_free(items);
	return o;
}

/* ChardevReturn: of a pty, where it is. */
static json_t *describe(const Chardev *c)
{
	g_autofree char *filename = chardev_filename(c);
	json_t *reply = json_object();

	if (g_str_has_prefix(filename, PTY_PREFIX))
		json_object_set_new(reply, "pty", json_string(filename + strlen(PTY_PREFIX)));
	return reply;
}

static json_t *with_options(Monitor *mon, const json_t *args, bool change, GError **error)
{
	ChardevSet *set = monitor_hold_chardevs(mon, error);
	ChardevOptions *o = set ? options_of(args, error) : NULL;
	json_t *reply = NULL;

	if (o && (change ? chardev_set_change(set, o, error) : chardev_set_open(set, o, error) != NULL))
		reply = describe(chardev_set_find(set, member_text(args, "id")));
	if (set)
		machine_unlock();
	return reply;
}

json_t *serve_chardev_add(Monitor *mon, const json_t *args, GError **error) { return with_options(mon, args, false, error); }

json_t *serve_chardev_change(Monitor *mon, const json_t *args, GError **error) { return with_options(mon, args, true, error); }
