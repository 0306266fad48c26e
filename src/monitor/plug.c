/*
 * plug.c - devices, objects and drives that come and go: device_add, object_add, drive_add and their opposites.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "block/drive.h"
#include "core/error.h"
#include "core/grammar.h"
#include "core/lock.h"
#include "monitor/private.h"

static char *text_of(const json_t *value)
{
	if (json_is_boolean(value))
		return g_strdup(json_is_true(value) ? "on" : "off");
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return g_strdup(json_string_value(value));
}

/* Members but those two, as text. False with *error. */
static bool set_members(DeviceConfig *d, const json_t *args, const char *type_member, GError **error)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)args, key, value) {
		g_autofree char *text = text_of(value);
		if (!text)
			return fail(error, VIV_ERROR_INVALID, "Invalid parameter type for '%s', expected: string", key);
		if (strcmp(key, type_member) && strcmp(key, "id"))
			device_config_set(d, key, text);
	}
	return true;
}

json_t *serve_device_add(Monitor *mon, const json_t *args, GError **error)
{
	DeviceConfig *d = device_config_new(member_text(args, "driver"), member_text(args, "id"));
	bool ok = set_members(d, args, "driver", error) && machine_plug(mon->m, d, error);

	device_config_free(d);
	return ok ? json_object() : NULL;
}

json_t *serve_device_del(Monitor *mon, const json_t *args, GError **error)
{
	return machine_unplug(mon->m, member_text(args, "id"), error) ? json_object() : NULL;
}

/* ---- the same for people ---- */

/* "TYPE,id=ID,property=value", as QMP has it; NULL with *error. */
static json_t *words_of(const char *text, const char *type_member, GError **error)
{
	GArray *items = kv_list_new();
	json_t *words = json_object();
	bool ok = kv_parse(text, type_member, items, error);

	if (ok && !kv_list_get(items, type_member))
		ok = fail(error, VIV_ERROR_INVALID, "Parameter '%s' is missing", type_member);
	for (unsigned i = 0; ok && i < items->len; i++)
		json_object_set_new(words, kv_at(items, i)->key, json_string(kv_at(items, i)->value ? kv_at(items, i)->value : "on"));
	kv_list_free(items);
	if (!ok)
		json_decref(words);
	return ok ? words : NULL;
}

static void serve_words(Monitor *mon, ServeFn *serve, const char *text, const char *type_member, GString *out)
{
	GError *error = NULL;
	json_t *words = words_of(text, type_member, &error);

	if (words)
		monitor_serve(mon, serve, words, out);
	monitor_say_error(error, out);
}

void command_device_add(Monitor *mon, const Args *args, GString *out)
{
	serve_words(mon, serve_device_add, args->text[0], "driver", out);
}

/* ---- objects ---- */

json_t *serve_object_add(Monitor *mon, const json_t *args, GError **error)
{
	const char *id = member_text(args, "id");

	if (!id) { /* a person may have left it out */
		fail(error, VIV_ERROR_INVALID, "Parameter 'id' is missing");
		return NULL;
	}
	DeviceConfig *o = device_config_new(member_text(args, "qom-type"), id);
	if (!set_members(o, args, "qom-type", error)) {
		device_config_free(o);
		return NULL;
	}
	return machine_add_object(mon->m, o, error) ? json_object() : NULL;
}

json_t *serve_object_del(Monitor *mon, const json_t *args, GError **error)
{
	return machine_remove_object(mon->m, member_text(args, "id"), error) ? json_object() : NULL;
}

void command_object_add(Monitor *mon, const Args *args, GString *out)
{
	serve_words(mon, serve_object_add, args->text[0], "qom-type", out);
}

/* ---- drives ---- */

/* Into a spec that is placed among the machine's. Machine lock held. */
static bool new_drive(Monitor *mon, const char *text, GError **error)
{
	GPtrArray *all = machine_config(mon->m)->drives;
	DriveSpec *s = drive_spec_new(DRIVE_IDE);
	GArray *items = kv_list_new();
	Blk *blk = NULL;
	bool ok = kv_parse(text, "file", items, error);

	for (unsigned i = 0; ok && i < items->len; i++)
		ok = drive_spec_set(s, kv_at(items, i)->key, kv_at(items, i)->value ? kv_at(items, i)->value : "on", error);
	if (ok && s->interface != DRIVE_NONE)
		ok = fail(error, VIV_ERROR_UNSUPPORTED, "Can't hot-add drive to type %s: give if=none,id=ID and add a device with "
			  "drive=ID by device_add", drive_if_names[s->interface]);
	if (ok && drive_place(s, all, error))
		blk = drive_open(s, NULL, error);
	if (blk) {
		machine_own_drive(mon->m, blk);
		g_ptr_array_add(all, s);
	} else {
		drive_spec_free(s);
	}
	kv_list_free(items);
	return blk;
}

/* drive_add [-n] ADDR OPTIONS: the address is not looked at, as only if=none can be added. */
void command_drive_add(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;

	machine_lock();
	bool ok = new_drive(mon, args->text[1], &error);
	machine_unlock();
	g_string_append_printf(out, "%s\n", ok ? "OK" : error->message);
	g_clear_error(&error);
}

/* The medium goes at once, what is left of the drive with its device. */
void command_drive_del(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	Blk *blk = blk_find(args->text[0]);
	if (!blk)
		g_string_append_printf(out, "Device '%s' not found\n", args->text[0]);
	else if (blk_attached(blk))
		blk_insert(blk, NULL);
	else
		machine_drop_drive(mon->m, blk);
	machine_unlock();
}
