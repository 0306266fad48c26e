/*
 * vnc_options.c - the words of -vnc.
 *
 * As QEMU 7.2's manual has them. Left out: TLS and SASL (LibVNCServer has them for viewers only)
 * and sound. Pure functions; any thread.
 */
#include <string.h>

#include "core/error.h"
#include "core/grammar.h"
#include "core/suggest.h"
#include "display/vnc_private.h"

#define CONNECTIONS_MAX 1000u /* threads and descriptors are not for nothing */

typedef enum WordType { WORD_TEXT, WORD_BOOL, WORD_TRI, WORD_NUMBER, WORD_REFUSED } WordType;

typedef struct Word {
	const char *name;
	WordType type;
	size_t at;
} Word;

#define AT(member) offsetof(VncOptions, member)
static const Word words_known[] = {
	{ "vnc", WORD_TEXT, AT(address) }, { "id", WORD_TEXT, AT(id) },
	{ "websocket", WORD_TEXT, AT(websocket) }, { "display", WORD_TEXT, AT(display) },
	{ "password-secret", WORD_TEXT, AT(secret) }, { "share", WORD_TEXT, AT(share_name) },
	{ "head", WORD_NUMBER, AT(head) }, { "connections", WORD_NUMBER, AT(connections) },
	{ "to", WORD_NUMBER, AT(to) }, { "key-delay-ms", WORD_NUMBER, AT(key_delay_ms) },
	{ "ipv4", WORD_TRI, AT(ipv4) }, { "ipv6", WORD_TRI, AT(ipv6) },
	{ "password", WORD_BOOL, AT(password) }, { "reverse", WORD_BOOL, AT(reverse) },
	{ "lossy", WORD_BOOL, AT(lossy) }, { "non-adaptive", WORD_BOOL, AT(non_adaptive) },
	{ "lock-key-sync", WORD_BOOL, AT(lock_key_sync) },
	{ "power-control", WORD_BOOL, AT(power_control) },
	{ "tls-creds", WORD_REFUSED }, { "tls-authz", WORD_REFUSED }, { "sasl", WORD_REFUSED },
	{ "sasl-authz", WORD_REFUSED }, { "audiodev", WORD_REFUSED },
};

static const Word *find_word(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words_known); i++)
		if (!strcmp(words_known[i].name, name))
			return &words_known[i];
	return NULL;
}

static bool unknown_word(const char *name, GError **error)
{
	const char *names[G_N_ELEMENTS(words_known) + 1];

	for (size_t i = 0; i < G_N_ELEMENTS(words_known); i++)
		names[i] = words_known[i].name;
	names[G_N_ELEMENTS(words_known)] = NULL;
	const char *near = suggest_nearest(name, names);
	return fail(error, VIV_ERROR_INVALID, "Invalid parameter '%s'%s%s%s", name,
		    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static bool set_switch(const Word *w, const char *value, VncOptions *o, GError **error)
{
	bool on = !strcmp(value, "on");

	if (!on && strcmp(value, "off"))
		return fail(error, VIV_ERROR_INVALID, "Parameter '%s' expects 'on' or 'off'",
			    w->name);
	if (w->type == WORD_BOOL)
		*(bool *)((char *)o + w->at) = on;
	else
		*(int *)((char *)o + w->at) = on;
	return true;
}

static bool set_number(const Word *w, const char *value, VncOptions *o, GError **error)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(value, 10, 0, UINT32_MAX, &n, NULL))
		return fail(error, VIV_ERROR_INVALID, "Parameter '%s' expects a number", w->name);
	*(unsigned *)((char *)o + w->at) = (unsigned)n;
	o->to_given |= w->at == AT(to);
	return true;
}

static bool set_word(const char *name, const char *value, VncOptions *o, GError **error)
{
	const Word *w = find_word(name);

	if (!w)
		return unknown_word(name, error);
	switch (w->type) {
	case WORD_TEXT:
		g_free(*(char **)((char *)o + w->at));
		*(char **)((char *)o + w->at) = g_strdup(value);
		return true;
	case WORD_BOOL:
	case WORD_TRI:
		return set_switch(w, value, o, error);
	case WORD_NUMBER:
		return set_number(w, value, o, error);
	case WORD_REFUSED:
		break;
	}
	if (!strcmp(name, "sasl") && !strcmp(value, "off"))
		return true;
	return fail(error, VIV_ERROR_UNSUPPORTED,
		    "%s is not built in this version; use password=on, or an encrypted tunnel to a "
		    "unix socket",
		    name);
}

static bool check(VncOptions *o, GError **error)
{
	static const char *const shares[] = { "allow-exclusive", "force-shared", "ignore" };
	unsigned n = 0;

	while (o->share_name && n < G_N_ELEMENTS(shares) && strcmp(shares[n], o->share_name))
		n++;
	if (n == G_N_ELEMENTS(shares))
		return fail(error, VIV_ERROR_INVALID, "unknown vnc share= option");
	o->share = (VncShare)n;
	if (o->password && o->secret)
		return fail(error, VIV_ERROR_INVALID,
			    "'password' flag is redundant with 'password-secret'");
	if (o->reverse && o->websocket)
		return fail(error, VIV_ERROR_INVALID, "Cannot use websockets in reverse mode");
	if (o->websocket && o->address && g_str_has_prefix(o->address, "unix:"))
		return fail(error, VIV_ERROR_INVALID, "Cannot use websockets with a unix socket");
	if (o->head)
		return fail(error, VIV_ERROR_INVALID, "head=%u: screens have one head, 0", o->head);
	o->connections = CLAMP(o->connections, 1, CONNECTIONS_MAX);
	o->key_delay_ms = MIN(o->key_delay_ms, 1000);
	return true;
}

bool vnc_options_parse(const char *words, VncOptions *o, GError **error)
{
	g_autoptr(GArray) items = kv_list_new();
	bool ok = kv_parse(words, "vnc", items, error);

	*o = (VncOptions){ .connections = 32, .key_delay_ms = 10, .lock_key_sync = true,
			   .ipv4 = VNC_TRI_UNSET, .ipv6 = VNC_TRI_UNSET };
	for (unsigned i = 0; ok && i < items->len; i++) {
		const KeyValue *item = kv_at(items, i);
		ok = set_word(item->key, item->value ? item->value : "on", o, error);
	}
	ok = ok && check(o, error);
	if (!ok)
		vnc_options_clear(o);
	return ok;
}

void vnc_options_clear(VncOptions *o)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words_known); i++)
		if (words_known[i].type == WORD_TEXT)
			g_clear_pointer((char **)((char *)o + words_known[i].at), g_free);
}
