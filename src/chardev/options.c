/*
 * options.c - -chardev's keys by the tables of the backends.
 *
 * The keys are those of qemu 7.2's manual. Any thread.
 */
#include "chardev/options.h"

#include <string.h>

#include "chardev/backend.h"
#include "core/error.h"
#include "core/grammar.h"
#include "core/units.h"

#define AT(member) offsetof(ChardevOptions, member)

static const ChardevKey common_keys[] = {
	{ "id", CHARDEV_TEXT, AT(id), "its name" },
	{ "mux", CHARDEV_SWITCH, AT(mux), "up to four front ends, switched by C-a c" },
	{ "logfile", CHARDEV_TEXT, AT(logfile), "output is written to this file too" },
	{ "logappend", CHARDEV_SWITCH, AT(logappend), "keep what is in the log file" },
	{ NULL },
};

void chardev_options_free(ChardevOptions *o)
{
	if (!o)
		return;
	char *const texts[] = { o->id, o->backend, o->logfile, o->path, o->input_path, o->host,
		o->port, o->localaddr, o->localport, o->fd, o->tls_creds, o->tls_authz };
	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
	g_free(o);
}

static const ChardevKey *find_in(const ChardevKey *keys, const char *name)
{
	for (; keys && keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

static const ChardevKey *find_key(const ChardevClass *cls, const char *name)
{
	const ChardevKey *key = find_in(common_keys, name);
	return key ? key : find_in(cls->keys, name);
}

static bool refuse_key(const ChardevClass *cls, const char *name, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	const ChardevKey *const tables[] = { common_keys, cls->keys };
	for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++)
		for (const ChardevKey *k = tables[i]; k && k->name; k++)
			g_ptr_array_add(names, (gpointer)k->name);
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "Invalid parameter '%s' for %s. %s.", name, cls->name, hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

static bool store(ChardevOptions *o, const ChardevKey *key, const char *value, GError **error)
{
	void *at = (char *)o + key->at;
	bool on;
	switch (key->type) {
	case CHARDEV_TEXT:
		g_free(*(char **)at);
		*(char **)at = g_strdup(value);
		return true;
	case CHARDEV_SWITCH:
		if (!parse_on_off(value, &on))
			return fail(error, VIV_ERROR_INVALID,
				"Parameter '%s' expects 'on' or 'off'",
				key->name);
		*(ChardevSwitch *)at = on ? CHARDEV_ON : CHARDEV_OFF;
		return true;
	case CHARDEV_NUMBER:
		return parse_uint(value, at) ||
			fail(error, VIV_ERROR_INVALID, "Parameter '%s' expects a number",
				key->name);
	case CHARDEV_SIZE:
		return parse_size(value, 1, at) ||
			fail(error, VIV_ERROR_INVALID, "Parameter '%s' expects a size", key->name);
	}
	return false;
}

/* A bare word: KEY means on, noKEY means off. The item is left with a value. */
static bool store_item(ChardevOptions *o, const ChardevClass *cls, KeyValue *kv, GError **error)
{
	const ChardevKey *key = find_key(cls, kv->key);
	bool bare = !kv->value, off = !key && bare && g_str_has_prefix(kv->key, "no");
	if (off)
		key = find_key(cls, kv->key + 2);
	if (!key)
		return refuse_key(cls, kv->key, error);
	if (bare && key->type != CHARDEV_SWITCH)
		return fail(error, VIV_ERROR_INVALID, "Parameter '%s' needs a value", key->name);
	if (bare) {
		g_free(kv->key);
		kv->key = g_strdup(key->name);
		kv->value = g_strdup(off ? "off" : "on");
	}
	return store(o, key, kv->value, error);
}

static const ChardevType *find_type(const char *name, GError **error)
{
	const ChardevType *type = name ? chardev_type_find(name) : NULL;
	if (type)
		return type;
	if (!name) {
		fail(error, VIV_ERROR_INVALID, "chardev: \"%s\" missing", "backend");
		return NULL;
	}
	char *hint = word_hint(name, chardev_type_names());
	fail(error, VIV_ERROR_INVALID, "'%s' is not a valid char driver name. %s.", name, hint);
	g_free(hint);
	return NULL;
}

/* Letters, digits, '-', '.', '_', the first a letter: ids stand in paths and in commands. */
static bool check_id(const char *id, GError **error)
{
	if (!id)
		return fail(error, VIV_ERROR_INVALID, "chardev: no id specified");
	bool ok = g_ascii_isalpha(*id);
	for (const char *p = id; ok && *p; p++)
		ok = g_ascii_isalnum(*p) || strchr("-._", *p);
	return ok || fail(error, VIV_ERROR_INVALID, "Parameter 'id' expects an identifier. "
		"Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
}

ChardevOptions *chardev_options_from_items(GArray *items, GError **error)
{
	if (items->len && !kv_at(items, 0)->value) { /* the backend comes first, bare */
		kv_at(items, 0)->value = kv_at(items, 0)->key;
		kv_at(items, 0)->key = g_strdup("backend");
	}
	const ChardevType *type = find_type(kv_list_get(items, "backend"), error);
	if (!type)
		return NULL;
	ChardevOptions *o = g_new0(ChardevOptions, 1);
	o->backend = g_strdup(type->cls->name);
	bool ok = true;
	for (unsigned i = 0; ok && i < items->len; i++)
		ok = !strcmp(kv_at(items, i)->key, "backend") ||
			store_item(o, type->cls, kv_at(items, i), error);
	if (ok && check_id(o->id, error))
		return o;
	chardev_options_free(o);
	return NULL;
}

ChardevOptions *chardev_options_parse(const char *text, GError **error)
{
	GArray *items = kv_list_new();
	ChardevOptions *o = kv_parse(text, "backend", items, error) ?
		chardev_options_from_items(items, error) : NULL;
	kv_list_free(items);
	return o;
}

void chardev_list_types(GString *out)
{
	g_string_append(out, "Available chardev backend types:\n");
	for (const char *const *name = chardev_type_names(); *name; name++)
		g_string_append_printf(out, "  %s\n", *name);
}

static void list_table(const ChardevKey *keys, GString *out)
{
	static const char *const types[] = { "<str>", "<on|off>", "<num>", "<size>" };
	for (; keys && keys->name; keys++) {
		char *head = g_strdup_printf("%s=%s", keys->name, types[keys->type]);
		g_string_append_printf(out, "    %-20s - %s\n", head, keys->help);
		g_free(head);
	}
}

void chardev_list_keys(GString *out)
{
	g_string_append(out, "\nEvery type has:\n");
	list_table(common_keys, out);
	for (const ChardevType *const *t = chardev_types; *t; t++) {
		g_string_append_printf(out, "\n%s - %s\n", (*t)->cls->name, (*t)->cls->desc);
		list_table((*t)->cls->keys, out);
	}
}
