/*
 * opts.c - options of nodes and of creation, typed by tables. Any thread.
 */
#include "block/opts.h"

#include <errno.h>
#include <string.h>

#include "core/suggest.h"
#include "core/units.h"

static char *text_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING: return g_strdup(json_string_value(v));
	case JSON_TRUE: return g_strdup("on");
	case JSON_FALSE: return g_strdup("off");
	case JSON_INTEGER: return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	default: return NULL;
	}
}

/* Takes `key` out if `wanted` says so; looks into objects for "a.b". The reference is the caller's.
 */
static json_t *take(json_t *opts, const char *key, bool (*wanted)(const json_t *v))
{
	json_t *v = json_object_get(opts, key);
	if (v && wanted(v)) {
		json_incref(v);
		json_object_del(opts, key);
		return v;
	}
	const char *dot = strchr(key, '.');
	char *group = dot ? g_strndup(key, dot - key) : NULL;
	json_t *in = group ? json_object_get(opts, group) : NULL;
	v = json_is_object(in) ? take(in, dot + 1, wanted) : NULL;
	if (v && !json_object_size(in))
		json_object_del(opts, group);
	g_free(group);
	return v;
}

static bool has_text(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v) && !json_is_null(v) && !json_is_real(v);
}

static bool names_child(const json_t *v)
{
	return json_is_string(v) || json_is_object(v);
}

char *opts_take_text(json_t *opts, const char *key)
{
	json_t *v = take(opts, key, has_text);
	char *text = v ? text_of(v) : NULL;
	json_decref(v);
	return text;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const on[] = { "on", "yes", "true", "y", NULL };
	static const char *const off[] = { "off", "no", "false", "n", NULL };
	if (g_strv_contains(on, text))
		return *out = true;
	if (!g_strv_contains(off, text))
		return false;
	*out = false;
	return true;
}

bool opts_take_bool(json_t *opts, const char *key, bool *out, GError **error)
{
	char *text = opts_take_text(opts, key);
	bool ok = !text || parse_bool(text, out) ||
		  fail(error, VIV_ERROR_INVALID, "Parameter '%s' expects 'on' or 'off', not '%s'.",
		       key, text);
	g_free(text);
	return ok;
}

static bool parse_enum(const char *text, const char *const *values, int *out)
{
	for (int i = 0; values[i]; i++)
		if (!strcmp(values[i], text)) {
			*out = i;
			return true;
		}
	return false;
}

static bool refuse_value(const BlockOption *o, const char *text, const char *driver, GError **error)
{
	static const char *const what[] = {
	    [OPT_CHILD] = "a node's name or its options",
	    [OPT_BOOL] = "'on' or 'off'",
	    [OPT_INT] = "a number",
	    [OPT_STRING] = "text",
	    [OPT_SIZE] = "a size: a number with an optional suffix k, M, G, T, P or E",
	};
	char *words =
	    o->type == OPT_ENUM ? g_strjoinv(", ", (char **)o->values) : g_strdup(what[o->type]);
	fail(error, VIV_ERROR_INVALID,
	     "Invalid parameter '%s' for '%s' of driver %s: expected %s%s.", text, o->name, driver,
	     o->type == OPT_ENUM ? "one of " : "", words);
	g_free(words);
	return false;
}

static bool store(const BlockOption *o, const char *text, void *at)
{
	switch (o->type) {
	case OPT_BOOL:
		return parse_bool(text, at);
	case OPT_ENUM:
		return parse_enum(text, o->values, at);
	case OPT_SIZE:
		return parse_size(text, 1, at);
	case OPT_INT: {
		char *end;
		errno = 0;
		*(int64_t *)at = g_ascii_strtoll(text, &end, 0);
		return !errno && end != text && !*end;
	}
	case OPT_STRING:
		*(char **)at = g_strdup(text);
		return true;
	case OPT_CHILD:
		break;
	}
	return false;
}

bool opts_store(const BlockOption *table, json_t *opts, void *state, const char *driver,
		GError **error)
{
	for (const BlockOption *o = table; o && o->name; o++) {
		if (o->type == OPT_CHILD) {
			*(json_t **)((char *)state + o->offset) = take(opts, o->name, names_child);
			continue;
		}
		char *given = opts_take_text(opts, o->name);
		const char *text = given ? given : o->def;
		bool ok = !text || store(o, text, (char *)state + o->offset) ||
			refuse_value(o, text, driver, error);
		g_free(given);
		if (!ok)
			return false;
	}
	return true;
}

void opts_clear(const BlockOption *table, void *state)
{
	for (const BlockOption *o = table; o && o->name; o++) {
		void *at = (char *)state + o->offset;
		if (o->type == OPT_STRING)
			g_clear_pointer((char **)at, g_free);
		else if (o->type == OPT_CHILD)
			g_clear_pointer((json_t **)at, json_decref);
	}
}

static bool refuse(const BlockOption *table, const char *key, const char *driver, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const BlockOption *o = table; o && o->name; o++)
		g_ptr_array_add(names, (char *)o->name);
	g_ptr_array_add(names, NULL);
	char *list = g_strjoinv(", ", (char **)names->pdata);
	const char *near = suggest_nearest(key, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "Driver %s has no parameter '%s'; it has: %s.%s%s%s", driver,
	     key, *list ? list : "none", near ? " Did you mean '" : "", near ? near : "",
	     near ? "'?" : "");
	g_free(list);
	g_ptr_array_free(names, TRUE);
	return false;
}

bool opts_empty(const BlockOption *table, json_t *opts, const char *driver, GError **error)
{
	const char *key;
	json_t *value;
	json_object_foreach(opts, key, value)
		return refuse(table, key, driver, error);
	return true;
}

bool opts_check(const BlockOption *table, json_t *opts, const char *driver, GError **error)
{
	const char *key;
	json_t *value;
	json_object_foreach(opts, key, value) {
		const BlockOption *o = table;
		while (o && o->name && strcmp(o->name, key))
			o++;
		if (!o || !o->name)
			return refuse(table, key, driver, error);
		union { bool b; int e; int64_t i; uint64_t u; char *s; } scratch = { 0 };
		char *text = text_of(value);
		bool ok = text && (o->type == OPT_STRING || store(o, text, &scratch));
		if (!ok)
			refuse_value(o, text ? text : "(structure)", driver, error);
		g_free(text);
		if (!ok)
			return false;
	}
	return true;
}

bool opts_put(json_t *opts, const char *dotted, const char *value, GError **error)
{
	char **parts = g_strsplit(dotted, ".", -1);
	json_t *at = opts;
	bool ok = true;
	for (unsigned i = 0; ok && parts[i]; i++) {
		if (!parts[i + 1]) {
			json_object_set_new(at, parts[i], json_string(value));
			break;
		}
		json_t *next = json_object_get(at, parts[i]);
		if (next && !json_is_object(next))
			ok =
			    fail(error, VIV_ERROR_INVALID,
				 "'%s' is given both as a value and as a group of keys.", parts[i]);
		else if (!next)
			json_object_set_new(at, parts[i], next = json_object());
		at = next;
	}
	g_strfreev(parts);
	return ok;
}

/* ---- Creation options, already checked ---- */

const char *opt_text(json_t *opts, const char *name)
{
	return json_string_value(json_object_get(opts, name));
}

bool opt_has(json_t *opts, const char *name)
{
	return json_object_get(opts, name);
}

bool opt_bool(json_t *opts, const char *name, bool def)
{
	json_t *v = json_object_get(opts, name);
	char *text = v ? text_of(v) : NULL;
	if (text)
		parse_bool(text, &def);
	g_free(text);
	return def;
}

uint64_t opt_size(json_t *opts, const char *name, uint64_t def)
{
	json_t *v = json_object_get(opts, name);
	if (json_is_integer(v))
		return (uint64_t)json_integer_value(v);
	if (json_is_string(v))
		parse_size(json_string_value(v), 1, &def);
	return def;
}
