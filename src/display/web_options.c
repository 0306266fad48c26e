/*
 * web_options.c - the words of -display web. Pure functions; any thread.
 */
#include <string.h>

#include "core/error.h"
#include "core/grammar.h"
#include "core/socket.h"
#include "display/web_private.h"

static bool set_word(const KeyValue *kv, WebOptions *o, GError **error)
{
	static const char *const valid[] = { "addr", "port", NULL };
	uint64_t port;

	if (!g_strv_contains(valid, kv->key)) {
		char *hint = word_hint(kv->key, valid);
		fail(error, VIV_ERROR_INVALID, "web has no '%s'. %s.", kv->key, hint);
		g_free(hint);
		return false;
	}
	if (!kv->value || !*kv->value)
		return fail(error, VIV_ERROR_INVALID, "%s= needs a value.", kv->key);
	if (!strcmp(kv->key, "addr")) {
		g_free(o->address);
		o->address = g_strdup(kv->value);
		return true;
	}
	if (!parse_uint(kv->value, &port) || port > SOCKET_PORT_MAX)
		return fail(error, VIV_ERROR_INVALID, "port is a number up to %u, not '%s'.",
			    SOCKET_PORT_MAX, kv->value);
	o->port = (unsigned)port;
	o->port_given = true;
	return true;
}

bool web_options_parse(const char *words, WebOptions *out, GError **error)
{
	GArray *list = kv_list_new();
	bool ok = kv_parse(words, "type", list, error);

	*out = (WebOptions){ .address = NULL };
	for (unsigned i = 1; ok && i < list->len; i++) /* the first is "web" */
		ok = set_word(kv_at(list, i), out, error);
	if (!ok)
		g_clear_pointer(&out->address, g_free);
	kv_list_free(list);
	return ok;
}
