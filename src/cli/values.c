/*
 * values.c - typed keys: text to value, value to text, and the refusals.
 *
 * Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/units.h"

const SubKey *key_find(const SubKey *keys, const char *name)
{
	for (const SubKey *k = keys; k && k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	/* '_' and '-' mean the same: both spellings are in use. */
	char *dashed = g_strdelimit(g_strdup(name), "_", '-');
	const SubKey *found = NULL;
	for (const SubKey *k = keys; !found && k && k->name; k++)
		if (!strcmp(k->name, dashed))
			found = k;
	g_free(dashed);
	return found;
}

bool refuse_key(const SubKey *keys, const char *name, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const SubKey *k = keys; k && k->name; k++)
		g_ptr_array_add(names, (gpointer)k->name);
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "there is no key '%s'. %s.", name, hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

static bool store_enum(const SubKey *key, const char *value, int *at, GError **error)
{
	for (int i = 0; key->values[i]; i++)
		if (!strcmp(key->values[i], value)) {
			if (at)
				*at = i;
			return true;
		}
	char *hint = word_hint(value, key->values);
	fail(error, VIV_ERROR_INVALID, "%s cannot be '%s'. %s.", key->name, value, hint);
	g_free(hint);
	return false;
}

static bool store_number(const SubKey *key, const char *value, void *at, GError **error)
{
	bool bounded = key->min || key->max, negative = *value == '-';
	uint64_t magnitude;
	bool ok = parse_uint(value + negative, &magnitude) && magnitude <= INT64_MAX;
	int64_t n = ok ? (negative ? -(int64_t)magnitude : (int64_t)magnitude) : 0;
	int64_t min = bounded ? key->min : 0;
	int64_t max = bounded ? key->max : key->type == KEY_UINT ? UINT32_MAX : INT64_MAX;
	if (!ok)
		return fail(error, VIV_ERROR_INVALID, "%s expects a whole number, not '%s'.",
			key->name, value);
	if (n < min || n > max)
		return fail(error, VIV_ERROR_INVALID,
			"%s lies between %" PRId64 " and %" PRId64 "; %s does not.",
			key->name, min, max, value);
	if (at && key->type == KEY_UINT)
		*(unsigned *)at = (unsigned)n;
	else if (at)
		*(int64_t *)at = n;
	return true;
}

static bool store(Cli *cli, const SubKey *key, const char *value, GError **error)
{
	void *at = key->at ? (char *)cli + key->at : NULL;
	bool on;
	uint64_t size;
	switch (key->type) {
	case KEY_STRING:
		if (at) {
			g_free(*(char **)at);
			*(char **)at = g_strdup(value);
		}
		return true;
	case KEY_TRI:
	case KEY_FLAG:
		if (!parse_on_off(value, &on))
			return fail(error, VIV_ERROR_INVALID, "%s is on or off, not '%s'.",
				key->name, value);
		if (at && key->type == KEY_TRI)
			*(Tri *)at = on ? TRI_ON : TRI_OFF;
		else if (at)
			*(bool *)at = on;
		return true;
	case KEY_SIZE:
		if (!parse_size(value, key->unit ? key->unit : 1, &size))
			return fail(error, VIV_ERROR_INVALID,
				"%s expects a size such as 512M or 2G, not '%s'. "
				"Suffixes: k, M, G, T, P, E, powers of 1024.", key->name, value);
		if (at)
			*(uint64_t *)at = size;
		return true;
	case KEY_UINT:
	case KEY_I64:
		return store_number(key, value, at, error);
	case KEY_ENUM:
		return store_enum(key, value, at, error);
	case KEY_SPECIAL:
		break;
	}
	return true;
}

/* "a=b" that this version cannot do, where it can do one other value. */
static bool check_only(const SubKey *key, const char *value, GError **error)
{
	bool want, have;
	if (!key->only || !strcmp(value, key->only))
		return true;
	if (parse_on_off(value, &want) && parse_on_off(key->only, &have) && want == have)
		return true;
	return fail(error, VIV_ERROR_UNSUPPORTED,
		"%s=%s is not built yet in this version; %s=%s is what there is.",
		key->name, value, key->name, key->only);
}

/* A bare word: KEY means on, noKEY means off. */
static void resolve_bare(const SubKey *keys, KeyValue *kv)
{
	const SubKey *key = key_find(keys, kv->key);
	if (key || strncmp(kv->key, "no", 2) || !key_find(keys, kv->key + 2)) {
		kv->value = g_strdup("on");
	} else {
		char *name = g_strdup(kv->key + 2);
		g_free(kv->key);
		kv->key = name;
		kv->value = g_strdup("off");
	}
}

bool keys_store(Cli *cli, const OptionDef *def, GArray *kv, GError **error)
{
	for (unsigned i = 0; i < kv->len; i++) {
		KeyValue *item = kv_at(kv, i);
		bool bare = !item->value;
		if (bare)
			resolve_bare(def->keys, item);
		const SubKey *key = key_find(def->keys, item->key);
		if (!key)
			return refuse_key(def->keys, item->key, error);
		if (bare && key->type != KEY_TRI && key->type != KEY_FLAG &&
			key->type != KEY_SPECIAL)
			return fail(error, VIV_ERROR_INVALID, "%s needs a value: %s=...", key->name,
			key->name);
		if (!check_only(key, item->value, error) || !store(cli, key, item->value, error))
			return false;
		if (strcmp(item->key, key->name)) {
			g_free(item->key);
			item->key = g_strdup(key->name);
		}
	}
	return true;
}

/* In the largest unit that divides it; at least KiB, as `bytes` is a multiple. */
static char *size_word(uint64_t bytes)
{
	static const char suffix[] = "KMGT";
	unsigned shift = 0;
	while (shift < 40 && !(bytes >> shift & 1023))
		shift += 10;
	return g_strdup_printf("%" PRIu64 "%c", bytes >> shift, suffix[shift / 10 - 1]);
}

char *key_text(const Cli *cli, const SubKey *key)
{
	const void *at = (const char *)cli + key->at;
	if (!key->at)
		return NULL;
	switch (key->type) {
	case KEY_STRING:
		return g_strdup(*(char *const *)at);
	case KEY_TRI:
		return *(const Tri *)at == TRI_AUTO ? NULL
			: g_strdup(*(const Tri *)at == TRI_ON ? "on" : "off");
	case KEY_FLAG:
		return *(const bool *)at ? g_strdup("on") : NULL;
	case KEY_UINT:
		return *(const unsigned *)at ? g_strdup_printf("%u", *(const unsigned *)at) : NULL;
	case KEY_I64:
		return *(const int64_t *)at == -1 ? NULL
			: g_strdup_printf("%" PRId64, *(const int64_t *)at);
	case KEY_SIZE: {
		uint64_t n = *(const uint64_t *)at;
		return n ? (n & 1023 ? g_strdup_printf("%" PRIu64 "B", n) : size_word(n)) : NULL;
	}
	case KEY_ENUM:
		return g_strdup(key->values[*(const int *)at]);
	case KEY_SPECIAL:
		break;
	}
	return NULL;
}
