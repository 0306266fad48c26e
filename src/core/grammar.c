/*
 * grammar.c - the parser of option arguments; see grammar.h.
 *
 * Follows the rules that the manual of qemu 7.2 gives for its options. Leaves out JSON
 * arguments. Pure functions; any thread.
 */
#include "core/grammar.h"

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/suggest.h"

static void kv_clear(gpointer p)
{
	KeyValue *kv = p;
	g_free(kv->key);
	g_free(kv->value);
}

GArray *kv_list_new(void)
{
	GArray *list = g_array_new(FALSE, TRUE, sizeof(KeyValue));
	g_array_set_clear_func(list, kv_clear);
	return list;
}

void kv_list_free(GArray *list)
{
	if (list)
		g_array_free(list, TRUE);
}

void kv_list_add(GArray *list, const char *key, const char *value)
{
	KeyValue kv = { g_strdup(key), g_strdup(value) };
	g_array_append_val(list, kv);
}

const char *kv_list_get(const GArray *list, const char *key)
{
	const char *found = NULL;
	for (unsigned i = 0; i < list->len; i++)
		if (!strcmp(kv_at(list, i)->key, key))
			found = kv_at(list, i)->value;
	return found;
}

/* Text up to a single comma, doubled ones halved; advances *p to that comma or the end. */
static char *take_value(const char **p)
{
	GString *s = g_string_new(NULL);
	for (; **p; (*p)++) {
		if (**p == ',') {
			if ((*p)[1] != ',')
				break;
			(*p)++;
		}
		g_string_append_c(s, **p);
	}
	return g_string_free(s, FALSE);
}

bool kv_parse(const char *text, const char *implied, GArray *out, GError **error)
{
	const char *p = text;
	for (bool first = true; *p; first = false) {
		size_t n = strcspn(p, "=,");
		KeyValue kv = { NULL, NULL };
		if (p[n] == '=') {
			kv.key = g_strndup(p, n);
			p += n + 1;
			kv.value = take_value(&p);
		} else if (first && implied) {
			kv.value = take_value(&p);
			if (!strcmp(kv.value, "help") || !strcmp(kv.value, "?"))
				kv.key = g_strdup("help");
			else
				kv.key = g_strdup(implied);
		} else {
			kv.key = take_value(&p);
		}
		if (*p == ',')
			p++;
		g_array_append_val(out, kv);
		if (!*kv.key)
			return fail(error, VIV_ERROR_INVALID,
				"a key is missing near '%s'. Write key=value "
				"items with commas between them, and a comma inside a value twice.",
				p);
	}
	return true;
}

void kv_append_escaped(GString *out, const char *value)
{
	for (; *value; value++)
		g_string_append(out, *value == ',' ? ",," : (char[2]){ *value, 0 });
}

bool parse_on_off(const char *text, bool *out)
{
	static const char *const yes[] = { "on", "yes", "true", "y" };
	static const char *const no[] = { "off", "no", "false", "n" };
	for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
		if (!strcmp(text, yes[i]))
			return *out = true;
		if (!strcmp(text, no[i])) {
			*out = false;
			return true;
		}
	}
	return false;
}

bool parse_uint(const char *text, uint64_t *out)
{
	char *end;
	if (!g_ascii_isdigit(text[0]))
		return false;
	errno = 0;
	uint64_t n = g_ascii_strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16
		: 10);
	if (errno || *end)
		return false;
	*out = n;
	return true;
}

char *word_hint(const char *word, const char *const *valid)
{
	GString *s = g_string_new(NULL);
	const char *nearest = suggest_nearest(word, valid);
	if (nearest)
		g_string_append_printf(s, "Did you mean '%s'? ", nearest);
	g_string_append(s, "Valid: ");
	for (const char *const *v = valid; *v; v++)
		g_string_append_printf(s, "%s%s", v == valid ? "" : ", ", *v);
	return g_string_free(s, FALSE);
}
