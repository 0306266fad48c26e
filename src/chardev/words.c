/*
 * words.c - the short words for character devices: "tcp:HOST:PORT,server=on", "pty".
 *
 * The grammar that qemu 7.2's manual gives for -serial. Any thread.
 */
#include <stdio.h>
#include <string.h>

#include "chardev/options.h"
#include "core/error.h"
#include "core/grammar.h"

static bool invalid(const char *words, GError **error)
{
	static const char *const valid[] = { "none", "null", "stdio", "pty", "vc", "chardev:",
		"file:",
		"pipe:", "tcp:", "telnet:", "unix:", "udp:", "mon:", "/dev/", NULL };
	char *hint = word_hint(words, valid);
	fail(error, VIV_ERROR_INVALID, "'%s' is not a valid char driver. %s.", words, hint);
	g_free(hint);
	return false;
}

/* The text up to `end` or the first comma, which *p is then at; NULL if it is empty. */
static char *take(const char **p, const char *ends)
{
	size_t n = strcspn(*p, ends);
	char *text = n ? g_strndup(*p, n) : NULL;
	*p += n;
	return text;
}

/* [HOST]:PORT, HOST of IPv6 in brackets; *p is behind it. */
static bool take_address(const char **p, const char *ends, char **host, char **port)
{
	if (**p == '[') {
		(*p)++;
		*host = take(p, "]");
		if (**p == ']')
			(*p)++;
	} else {
		*host = take(p, ":,");
	}
	if (**p != ':')
		return false;
	(*p)++;
	*port = take(p, ends);
	return *port;
}

static void add(GArray *items, const char *key, char *value)
{
	if (value)
		kv_list_add(items, key, value);
	g_free(value);
}

/* HOST:PORT[@LOCALHOST:LOCALPORT] */
static bool udp_words(const char *p, GArray *items)
{
	char *host = NULL, *port = NULL, *local = NULL, *local_port = NULL;
	bool ok = take_address(&p, "@,", &host, &port);
	if (ok && *p == '@') {
		p++;
		ok = take_address(&p, ",", &local, &local_port);
	}
	add(items, "host", host);
	add(items, "port", port);
	add(items, "localaddr", local);
	add(items, "localport", local_port);
	return ok && !*p;
}

/* HOST:PORT[,KEY=VALUE...] */
static bool tcp_words(const char *p, GArray *items, const char *protocol, GError **error)
{
	char *host = NULL, *port = NULL;
	bool ok = take_address(&p, ",", &host, &port);
	kv_list_add(items, "host", host ? host : "");
	g_free(host);
	add(items, "port", port);
	if (strcmp(protocol, "tcp"))
		kv_list_add(items, protocol, "on");
	return ok && (*p != ',' || kv_parse(p + 1, NULL, items, error));
}

/* PATH[,KEY=VALUE...] */
static bool unix_words(const char *p, GArray *items, GError **error)
{
	add(items, "path", take(&p, ","));
	return *p != ',' || kv_parse(p + 1, NULL, items, error);
}

/* WIDTHxHEIGHT in pixels or COLSCxROWSC in characters */
static bool vc_words(const char *p, GArray *items)
{
	unsigned w, h;
	char c1, c2, rest;
	bool cells = sscanf(p, "%7u%c%*[x]%7u%c%c", &w, &c1, &h, &c2, &rest) == 4 && c1 == 'C' &&
		c2 == 'C';
	if (!cells && sscanf(p, "%7ux%7u%c", &w, &h, &rest) != 2)
		return false;
	add(items, cells ? "cols" : "width", g_strdup_printf("%u", w));
	add(items, cells ? "rows" : "height", g_strdup_printf("%u", h));
	return true;
}

/* Fills `items`, without the id. */
static bool split(const char *words, GArray *items, GError **error)
{
	static const char *const plain[] = { "null", "pty", "stdio", "vc", NULL };
	static const struct { const char *prefix, *backend; bool whole; } paths[] = {
		{ "file:", "file" }, { "pipe:", "pipe" }, { "/dev/parport", "parallel", true },
		{ "/dev/", "serial", true },
	};
	static const char *const streams[] = { "tcp", "telnet", "tn3270", "websocket" };
	if (g_strv_contains(plain, words)) {
		kv_list_add(items, "backend", words);
		return true;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
		if (!g_str_has_prefix(words, paths[i].prefix))
			continue;
		kv_list_add(items, "backend", paths[i].backend);
		kv_list_add(items, "path", words + (paths[i].whole ? 0 : strlen(paths[i].prefix)));
		return true;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(streams); i++) {
		size_t n = strlen(streams[i]);
		if (strncmp(words, streams[i], n) || words[n] != ':')
			continue;
		kv_list_add(items, "backend", "socket");
		return tcp_words(words + n + 1, items, streams[i], error) || (error && *error) ||
			fail(error, VIV_ERROR_INVALID, "'%s': write %s:[HOST]:PORT", words,
				streams[i]);
	}
	if (g_str_has_prefix(words, "unix:")) {
		kv_list_add(items, "backend", "socket");
		return unix_words(words + 5, items, error);
	}
	if (g_str_has_prefix(words, "udp:")) {
		kv_list_add(items, "backend", "udp");
		return udp_words(words + 4, items) || fail(error, VIV_ERROR_INVALID,
			"'%s': write udp:[HOST]:PORT[@[LOCALHOST]:LOCALPORT]", words);
	}
	if (g_str_has_prefix(words, "vc:")) {
		kv_list_add(items, "backend", "vc");
		return vc_words(words + 3, items) || fail(error, VIV_ERROR_INVALID,
			"'%s': write vc:WIDTHxHEIGHT or vc:COLUMNSCxROWSC", words);
	}
	return invalid(words, error);
}

ChardevOptions *chardev_options_from_words(const char *words, const char *id, GError **error)
{
	GArray *items = kv_list_new();
	ChardevOptions *o = NULL;
	bool shared = g_str_has_prefix(words, "mon:");
	const char *what = words + (shared ? 4 : 0);
	if (split(what, items, error)) {
		kv_list_add(items, "id", id);
		if (shared)
			kv_list_add(items, "mux", "on");
		if (shared && !strcmp(what, "stdio"))
			kv_list_add(items, "signal", "off"); /* C-c is for the guest */
		o = chardev_options_from_items(items, error);
	}
	kv_list_free(items);
	return o;
}
