/*
 * objects.c - -object, object-add, object-del: threads for disks, secrets.
 *
 * Main thread.
 */
#include <string.h>

#include "block/secret.h"
#include "core/error.h"
#include "core/grammar.h"
#include "core/lock.h"
#include "core/loop.h"
#include "machine/private.h"

static int find_object(const MachineConfig *c, const char *id)
{
	for (unsigned i = 0; i < c->objects->len; i++)
		if (!strcmp(((const DeviceConfig *)g_ptr_array_index(c->objects, i))->id, id))
			return (int)i;
	return -1;
}

/* Secrets are kept at once; drives and displays ask for them by id. */
static bool keep_secret(const DeviceConfig *o, GError **error)
{
	g_autoptr(GString) words = g_string_new("secret");

	g_string_append_printf(words, ",id=%s", o->id);
	for (unsigned i = 0; i < o->props->len; i++)
		g_string_append_printf(words, ",%s=%s", kv_at(o->props, i)->key, kv_at(o->props, i)->value);
	return secret_add(words->str, error);
}

/* Loops do not poll before they sleep: only "not at all" can be had. */
static bool check_iothread(const DeviceConfig *o, GError **error)
{
	static const char *const keys[] = { "poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch", NULL };

	for (unsigned i = 0; i < o->props->len; i++) {
		const char *key = kv_at(o->props, i)->key;
		if (!g_strv_contains(keys, key))
			return fail(error, VIV_ERROR_INVALID, "Property 'iothread.%s' not found", key);
		if (strcmp(kv_at(o->props, i)->value, "0"))
			return fail(error, VIV_ERROR_UNSUPPORTED, "iothread: %s is not built; leave it out, or say 0", key);
	}
	return true;
}

static bool check_type(const char *type, GError **error)
{
	return !strcmp(type, "iothread") || !strcmp(type, "secret") ||
		fail(error, VIV_ERROR_UNSUPPORTED, "invalid object type: %s. There are iothread and secret.", type);
}

bool machine_config_define(MachineConfig *c, DeviceConfig *o, GError **error)
{
	bool ok = check_type(o->driver, error);

	if (ok && find_object(c, o->id) >= 0)
		ok = fail(error, VIV_ERROR_INVALID, "attempt to add duplicate property '%s' to object (type 'container')", o->id);
	ok = ok && (strcmp(o->driver, "secret") ? check_iothread(o, error) : keep_secret(o, error));
	if (ok)
		g_ptr_array_add(c->objects, o);
	else
		device_config_free(o);
	return ok;
}

bool objects_start(Machine *m, const DeviceConfig *o, GError **error)
{
	if (strcmp(o->driver, "iothread"))
		return true;
	Loop *loop = loop_new(m->loops_made++, error);
	if (loop)
		g_hash_table_insert(m->board.iothreads, g_strdup(o->id), loop);
	return loop;
}

/* By a device's property "iothread". */
static bool loop_in_use(const Machine *m, const char *id)
{
	for (unsigned i = 0; i < m->board.devices->len; i++) {
		Device *d = g_ptr_array_index(m->board.devices, i);
		for (const Property *p = d->cls->props; p && p->name; p++)
			if (!strcmp(p->name, "iothread") && !g_strcmp0(*(char *const *)((const char *)d + p->offset), id))
				return true;
	}
	return false;
}

/* ---- while the machine exists ---- */

bool machine_add_object(Machine *m, DeviceConfig *o, GError **error)
{
	machine_lock();
	bool ok = machine_config_define(m->config, o, error);
	if (ok && !objects_start(m, o, error)) {
		g_ptr_array_remove(m->config->objects, o);
		ok = false;
	}
	machine_unlock();
	return ok;
}

bool machine_remove_object(Machine *m, const char *id, GError **error)
{
	Loop *loop = NULL;
	char *key = NULL;

	machine_lock();
	int i = find_object(m->config, id);
	bool ok = i >= 0 || fail(error, VIV_ERROR_INVALID, "object '%s' not found", id);
	if (ok && loop_in_use(m, id))
		ok = fail(error, VIV_ERROR_INVALID, "object '%s' is in use, can not be deleted", id);
	if (ok) {
		secret_remove(id);
		g_hash_table_steal_extended(m->board.iothreads, id, (gpointer *)&key, (gpointer *)&loop);
		g_ptr_array_remove_index(m->config->objects, (guint)i);
	}
	machine_unlock();
	g_free(key);
	if (loop) /* its thread may want the lock before it ends */
		loop_free(loop);
	return ok;
}
