/*
 * schema.h - the types of QMP: what arguments and replies look like, and how query-qmp-schema says it.
 *
 * Types are written as text in types.c, one line each, and read once. A type is named "str", "int" (any integer),
 * "number", "bool", "any", "null", "[T]" for a list of T, or as in types.c.
 * Main thread.
 */
#ifndef VIV_MONITOR_SCHEMA_H
#define VIV_MONITOR_SCHEMA_H

#include <stdbool.h>
#include <glib.h>
#include <jansson.h>

/* A member of an object, or an argument of a command; the last has a NULL name. */
typedef struct SchemaMember {
	const char *name, *type;
	bool optional;
} SchemaMember;

/*
 * Is `value` an object with these members, each of its type, and nothing unknown? `open`: unknown ones are let through. The
 * error names the member by its path ("backend.data.addr").
 */
bool schema_check_members(const SchemaMember *members, bool open, const json_t *value, GError **error);

/* Members of an object: NULL, 0 and false where there is none. */
static inline const char *member_text(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }
static inline json_int_t member_number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }
static inline bool member_is(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

/* Entities of query-qmp-schema, each once, with all they refer to. */
typedef struct SchemaList SchemaList;
SchemaList *schema_list_new(void);
/* `type` NULL: none, an empty object. Returns the entity's name, borrowed. */
const char *schema_list_type(SchemaList *list, const char *type);
/* An object type of its own for arguments. */
const char *schema_list_members(SchemaList *list, const char *name, const SchemaMember *members);
/* An entity as it is; taken over. */
void schema_list_add(SchemaList *list, json_t *entity);
/* The array; frees the list. */
json_t *schema_list_finish(SchemaList *list);
/* types.c: lines of "struct", "enum", "union", "alternate"; ends with NULL. */
extern const char *const schema_types[];

#endif
