/*
 * grammar.h - "key=value,key=value": the one grammar of option arguments.
 *
 * A comma inside a value is written twice. The first item may leave its key out where
 * the option has an implied one. An item without '=' is a bare word: its value is NULL,
 * and the option's table says whether "word" means on and "noword" means off.
 * Pure functions; any thread.
 */
#ifndef VIV_CORE_GRAMMAR_H
#define VIV_CORE_GRAMMAR_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* One item of an option; both owned by the list. */
typedef struct KeyValue {
	char *key, *value;
} KeyValue;

/* A list of KeyValue that owns its strings. */
GArray *kv_list_new(void);
void kv_list_free(GArray *list);
void kv_list_add(GArray *list, const char *key, const char *value);
/* The last value of `key`; NULL if absent or bare. Borrowed. */
const char *kv_list_get(const GArray *list, const char *key);
static inline KeyValue *kv_at(const GArray *list, unsigned i) { return &g_array_index(list,
	KeyValue, i); }

/* Appends the items of `text` to `out`. `implied` may be NULL. False: an empty key. */
bool kv_parse(const char *text, const char *implied, GArray *out, GError **error);
/* Appends `value` with its commas doubled. */
void kv_append_escaped(GString *out, const char *value);

/* on, yes, true, y and off, no, false, n. */
bool parse_on_off(const char *text, bool *out);
/* Decimal, 0x hexadecimal; the whole text. */
bool parse_uint(const char *text, uint64_t *out);

/*
 * "Did you mean 'b'? Valid: a, b, c" for a word that is not in `valid` (ends with NULL). Caller
 * frees.
 */
char *word_hint(const char *word, const char *const *valid);

#endif
