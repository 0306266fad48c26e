/*
 * schema.c - reads the table of types, checks values against them, describes them.
 *
 * The wire protocol is QMP as QEMU 7.2 speaks it; the description that of its query-qmp-schema. Main thread.
 */
#include "monitor/schema.h"

#include <string.h>

#include "core/error.h"

typedef enum Kind { KIND_STRUCT, KIND_ENUM, KIND_UNION, KIND_ALTERNATE } Kind;

typedef struct Type {
	Kind kind;
	char *name;
	GArray *members;    /* SchemaMember; of an enum the names are values, of an alternate its choices */
	char *tag;          /* of a union: which member chooses */
	GArray *variants;   /* SchemaMember: value and its type; type NULL: nothing more */
} Type;

static const struct { const char *name, *json; json_type types[2]; const char *expected; } builtins[] = {
	{ "str", "string", { JSON_STRING, JSON_STRING }, "string" },
	{ "int", "int", { JSON_INTEGER, JSON_INTEGER }, "integer" },
	{ "number", "number", { JSON_INTEGER, JSON_REAL }, "number" },
	{ "bool", "boolean", { JSON_TRUE, JSON_FALSE }, "boolean" },
	{ "null", "null", { JSON_NULL, JSON_NULL }, "null" },
};

/* ---- reading the table ---- */

static void add_member(GArray *list, const char *word)
{
	char **parts = g_strsplit(word, ":", 2);
	size_t n = strlen(parts[0]);
	SchemaMember m = { .optional = n && parts[0][n - 1] == '?' };
	if (m.optional)
		parts[0][n - 1] = 0;
	m.name = g_strdup(parts[0]);
	m.type = g_strdup(parts[1]);
	g_array_append_val(list, m);
	g_strfreev(parts);
}

static void add_variant(GArray *list, const char *word)
{
	char **parts = g_strsplit(word, "=", 2);
	SchemaMember m = { g_strdup(parts[0]), *parts[1] ? g_strdup(parts[1]) : NULL, false };
	g_array_append_val(list, m);
	g_strfreev(parts);
}

/* "union NAME member:type member?:type @tag value=Type value=" */
static Type *read_type(const char *line)
{
	static const char *const kinds[] = { "struct", "enum", "union", "alternate" };
	char **words = g_strsplit_set(line, " \n\t", -1);
	Type *t = g_new0(Type, 1);
	while (strcmp(words[0], kinds[t->kind]))
		t->kind++;
	t->name = g_strdup(words[1]);
	t->members = g_array_new(TRUE, TRUE, sizeof(SchemaMember));
	t->variants = g_array_new(TRUE, TRUE, sizeof(SchemaMember));
	for (char **w = words + 2; *w; w++) {
		if (**w == '@')
			t->tag = g_strdup(*w + 1);
		else if (strchr(*w, '='))
			add_variant(t->variants, *w);
		else if (**w)
			add_member(t->members, *w);
	}
	g_strfreev(words);
	return t;
}

/* NULL: a builtin, or none. */
static const Type *find_type(const char *name)
{
	static GHashTable *all; /* read at the first look; main thread */
	if (!all) {
		all = g_hash_table_new(g_str_hash, g_str_equal);
		for (const char *const *line = schema_types; *line; line++) {
			Type *t = read_type(*line);
			g_hash_table_insert(all, t->name, t);
		}
	}
	return g_hash_table_lookup(all, name);
}

/* "[T]": T, to be freed; NULL: no list. */
static char *element_of(const char *type)
{
	size_t n = strlen(type);
	return *type == '[' ? g_strndup(type + 1, n - 2) : NULL;
}

/* ---- checking ---- */

static bool check(const char *type, const json_t *value, const char *path, GError **error);

static bool wrong(const char *path, const char *expected, GError **error)
{
	return fail(error, VIV_ERROR_INVALID, "Invalid parameter type for '%s', expected: %s", *path ? path : "arguments",
		    expected);
}

static char *join(const char *path, const char *name)
{
	return *path ? g_strdup_printf("%s.%s", path, name) : g_strdup(name);
}

static const SchemaMember *find_member(const SchemaMember *members, const char *name)
{
	for (; members->name; members++)
		if (!strcmp(members->name, name))
			return members;
	return NULL;
}

/* Those of the list that are there are right, and none is missing. */
static bool check_present(const SchemaMember *members, const json_t *value, const char *path, GError **error)
{
	bool ok = true;
	for (const SchemaMember *m = members; ok && m->name; m++) {
		const json_t *v = json_object_get(value, m->name);
		char *inner = join(path, m->name);
		if (v)
			ok = check(m->type, v, inner, error);
		else if (!m->optional)
			ok = fail(error, VIV_ERROR_INVALID, "Parameter '%s' is missing", inner);
		g_free(inner);
	}
	return ok;
}

static bool check_unknown(const SchemaMember *members, const SchemaMember *more, const json_t *value, const char *path,
			  GError **error)
{
	static const SchemaMember none[] = { { NULL } };
	const char *key;
	json_t *v;
	json_object_foreach ((json_t *)value, key, v) {
		if (find_member(members, key) || find_member(more ? more : none, key))
			continue;
		char *inner = join(path, key);
		fail(error, VIV_ERROR_INVALID, "Parameter '%s' is unexpected", inner);
		g_free(inner);
		return false;
	}
	return true;
}

static const SchemaMember *members_of(const Type *t) { return (const SchemaMember *)(void *)t->members->data; }

static const SchemaMember *variant_of(const Type *t, const json_t *value)
{
	const char *chosen = json_string_value(json_object_get(value, t->tag));
	return chosen ? find_member((const SchemaMember *)(void *)t->variants->data, chosen) : NULL;
}

static bool check_object(const Type *t, const json_t *value, const char *path, GError **error)
{
	const SchemaMember *members = members_of(t), *more = NULL;

	if (!json_is_object(value))
		return wrong(path, "object", error);
	if (!check_present(members, value, path, error))
		return false;
	const SchemaMember *variant = t->tag ? variant_of(t, value) : NULL;
	if (variant && variant->type) {
		more = members_of(find_type(variant->type));
		if (!check_present(more, value, path, error))
			return false;
	}
	return check_unknown(members, more, value, path, error);
}

static bool check_enum(const Type *t, const json_t *value, const char *path, GError **error)
{
	if (!json_is_string(value))
		return wrong(path, "string", error);
	if (find_member(members_of(t), json_string_value(value)))
		return true;
	return fail(error, VIV_ERROR_INVALID, "Parameter '%s' does not accept value '%s'", path, json_string_value(value));
}

static bool check_alternate(const Type *t, const json_t *value, const char *path, GError **error)
{
	for (const SchemaMember *m = members_of(t); m->name; m++)
		if (check(m->type, value, path, NULL))
			return true;
	return wrong(path, t->name, error);
}

static bool check_builtin(const char *type, const json_t *value, const char *path, GError **error)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(builtins); i++)
		if (!strcmp(builtins[i].name, type))
			return json_typeof(value) == builtins[i].types[0] || json_typeof(value) == builtins[i].types[1] ||
			       wrong(path, builtins[i].expected, error);
	g_assert(!strcmp(type, "any"));
	return true;
}

static bool check_list(const char *element, const json_t *value, const char *path, GError **error)
{
	size_t i;
	json_t *v;

	if (!json_is_array(value))
		return wrong(path, "array", error);
	json_array_foreach ((json_t *)value, i, v) {
		char *inner = g_strdup_printf("%s[%zu]", path, i);
		bool ok = check(element, v, inner, error);
		g_free(inner);
		if (!ok)
			return false;
	}
	return true;
}

static bool check(const char *type, const json_t *value, const char *path, GError **error)
{
	char *element = element_of(type);
	if (element) {
		bool ok = check_list(element, value, path, error);
		g_free(element);
		return ok;
	}
	const Type *t = find_type(type);
	if (!t)
		return check_builtin(type, value, path, error);
	switch (t->kind) {
	case KIND_ENUM: return check_enum(t, value, path, error);
	case KIND_ALTERNATE: return check_alternate(t, value, path, error);
	case KIND_STRUCT:
	case KIND_UNION: break;
	}
	return check_object(t, value, path, error);
}

bool schema_check_members(const SchemaMember *members, bool open, const json_t *value, GError **error)
{
	return check_present(members, value, "", error) && (open || check_unknown(members, NULL, value, "", error));
}

/* ---- describing ---- */

struct SchemaList {
	json_t *array;
	GHashTable *seen; /* names, owned */
};

SchemaList *schema_list_new(void)
{
	SchemaList *l = g_new0(SchemaList, 1);
	l->array = json_array();
	l->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return l;
}

void schema_list_add(SchemaList *list, json_t *entity) { json_array_append_new(list->array, entity); }

json_t *schema_list_finish(SchemaList *list)
{
	json_t *array = list->array;
	g_hash_table_destroy(list->seen);
	g_free(list);
	return array;
}

/* The set's own copy; *fresh: it was not there. */
static const char *remember(SchemaList *list, const char *name, bool *fresh)
{
	gpointer key;
	*fresh = !g_hash_table_lookup_extended(list->seen, name, &key, NULL);
	if (*fresh) {
		key = g_strdup(name);
		g_hash_table_add(list->seen, key);
	}
	return key;
}

static json_t *describe_members(SchemaList *list, const SchemaMember *members)
{
	json_t *array = json_array();
	for (; members->name; members++) {
		json_t *m = json_pack("{ss ss}", "name", members->name, "type", schema_list_type(list, members->type));
		if (members->optional)
			json_object_set_new(m, "default", json_null());
		json_array_append_new(array, m);
	}
	return array;
}

static json_t *describe_enum(const Type *t)
{
	json_t *values = json_array(), *members = json_array();
	for (const SchemaMember *m = members_of(t); m->name; m++) {
		json_array_append_new(values, json_string(m->name));
		json_array_append_new(members, json_pack("{ss}", "name", m->name));
	}
	return json_pack("{ss ss so so}", "name", t->name, "meta-type", "enum", "values", values, "members", members);
}

static json_t *describe_object(SchemaList *list, const char *name, const SchemaMember *members)
{
	return json_pack("{ss ss so}", "name", name, "meta-type", "object", "members", describe_members(list, members));
}

static json_t *describe_union(SchemaList *list, const Type *t)
{
	json_t *object = describe_object(list, t->name, members_of(t)), *variants = json_array();
	for (guint i = 0; i < t->variants->len; i++) {
		const SchemaMember *v = &g_array_index(t->variants, SchemaMember, i);
		json_array_append_new(variants, json_pack("{ss ss}", "case", v->name, "type", schema_list_type(list, v->type)));
	}
	json_object_set_new(object, "tag", json_string(t->tag));
	json_object_set_new(object, "variants", variants);
	return object;
}

static json_t *describe_alternate(SchemaList *list, const Type *t)
{
	json_t *choices = json_array();
	for (const SchemaMember *m = members_of(t); m->name; m++)
		json_array_append_new(choices, json_pack("{ss}", "type", schema_list_type(list, m->type)));
	return json_pack("{ss ss so}", "name", t->name, "meta-type", "alternate", "members", choices);
}

static json_t *describe_builtin(const char *name)
{
	const char *json = "value";
	for (unsigned i = 0; i < G_N_ELEMENTS(builtins); i++)
		if (!strcmp(builtins[i].name, name))
			json = builtins[i].json;
	return json_pack("{ss ss ss}", "name", name, "meta-type", "builtin", "json-type", json);
}

static json_t *describe(SchemaList *list, const char *name)
{
	const Type *t = find_type(name);
	if (!t)
		return describe_builtin(name);
	switch (t->kind) {
	case KIND_ENUM: return describe_enum(t);
	case KIND_ALTERNATE: return describe_alternate(list, t);
	case KIND_UNION: return describe_union(list, t);
	case KIND_STRUCT: break;
	}
	return describe_object(list, name, members_of(t));
}

const char *schema_list_type(SchemaList *list, const char *type)
{
	bool fresh;
	if (!type) {
		static const SchemaMember none[] = { { NULL } };
		return schema_list_members(list, "q_empty", none);
	}
	const char *name = remember(list, type, &fresh);
	if (!fresh)
		return name;
	char *element = element_of(type);
	schema_list_add(list, element ? json_pack("{ss ss ss}", "name", type, "meta-type", "array", "element-type",
						  schema_list_type(list, element))
				      : describe(list, type));
	g_free(element);
	return name;
}

const char *schema_list_members(SchemaList *list, const char *name, const SchemaMember *members)
{
	bool fresh;
	name = remember(list, name, &fresh);
	if (fresh)
		schema_list_add(list, describe_object(list, name, members));
	return name;
}
