/*
 * secret.c - the passphrases that the options name. See secret.h.
 */
#include "block/secret.h"

#include <string.h>

#include "core/error.h"

/* id -> GBytes; what the process was told at its start. */
static struct { GHashTable *table; } secrets;

static bool decode(const char *data, gsize len, const char *format, GBytes **out, GError **error)
{
	if (!format || !strcmp(format, "raw")) {
		char *copy = g_malloc(len + 1);
		memcpy(copy, data, len);
		copy[len] = 0;
		*out = g_bytes_new_take(copy, len);
		return true;
	}
	if (strcmp(format, "base64"))
		return fail(error, VIV_ERROR_INVALID,
			    "secret format '%s': there are raw and base64.", format);
	char *text = g_strndup(data, len);
	gsize n;
	guchar *bytes = g_base64_decode(text, &n);
	bytes = g_realloc(bytes, n + 1);
	bytes[n] = 0;
	*out = g_bytes_new_take(bytes, n);
	g_free(text);
	return true;
}

typedef struct Words { char *id, *data, *file, *format; } Words;

static bool parse(const char *words, Words *w, GError **error)
{
	char **items = g_strsplit(words, ",", -1);
	bool ok = items[0] && (!strcmp(items[0], "secret") || !strcmp(items[0], "qom-type=secret"));
	if (!ok)
		fail(error, VIV_ERROR_INVALID, "invalid object type '%s': there is: secret",
		     items[0] ? items[0] : "");
	const struct { const char *key; char **at;
	} keys[] = {
	    {"id=", &w->id},
	    {"data=", &w->data},
	    {"file=", &w->file},
	    {"format=", &w->format},
	};
	for (char **i = items + 1; ok && items[0] && *i; i++) {
		unsigned k = 0;
		while (k < G_N_ELEMENTS(keys) && !g_str_has_prefix(*i, keys[k].key))
			k++;
		if (k == G_N_ELEMENTS(keys)) {
			ok = fail(error, VIV_ERROR_INVALID,
				  "secret: '%s' is none of id=, data=, file=, format=. "
				  "Secrets that are themselves encrypted (keyid=) are not built.",
				  *i);
		} else {
			g_free(*keys[k].at);
			*keys[k].at = g_strdup(*i + strlen(keys[k].key));
		}
	}
	g_strfreev(items);
	return ok;
}

static bool store(const Words *w, GError **error)
{
	GBytes *bytes = NULL;
	char *text = NULL;
	gsize len;
	if (!w->id)
		return fail(error, VIV_ERROR_INVALID, "secret: id= is needed.");
	if (!w->data == !w->file)
		return fail(error, VIV_ERROR_INVALID,
			    "secret '%s': one of data= and file= is needed.", w->id);
	if (w->file && !g_file_get_contents(w->file, &text, &len, error))
		return false;
	bool ok =
	    decode(text ? text : w->data, text ? len : strlen(w->data), w->format, &bytes, error);
	g_free(text);
	if (!ok)
		return false;
	if (!secrets.table)
		secrets.table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						      (GDestroyNotify)g_bytes_unref);
	if (g_hash_table_contains(secrets.table, w->id)) {
		g_bytes_unref(bytes);
		return fail(error, VIV_ERROR_INVALID, "attempt to add duplicate secret '%s'",
			    w->id);
	}
	return g_hash_table_insert(secrets.table, g_strdup(w->id), bytes);
}

bool secret_add(const char *words, GError **error)
{
	Words w = { NULL };
	bool ok = parse(words, &w, error) && store(&w, error);
	g_free(w.id);
	g_free(w.data);
	g_free(w.file);
	g_free(w.format);
	return ok;
}

const uint8_t *secret_lookup(const char *id, size_t *len, GError **error)
{
	GBytes *bytes = secrets.table ? g_hash_table_lookup(secrets.table, id) : NULL;
	if (bytes)
		return g_bytes_get_data(bytes, len);
	fail(error, VIV_ERROR_INVALID,
	     "No secret with id '%s'. Define it with --object secret,id=%s,file=PATH.", id, id);
	return NULL;
}

void secret_remove(const char *id)
{
	if (secrets.table)
		g_hash_table_remove(secrets.table, id);
}
