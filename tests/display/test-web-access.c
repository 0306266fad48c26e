/*
 * test-web-access.c - who may use the browser console, and text consoles: rules, and whatever may
 * come.
 */
#include <glib.h>
#include <string.h>

#include "chardev/console.h"
#include "chardev/set.h"
#include "display/web_access.h"

#define ROUNDS 50000

/* ---- tokens and sessions ---- */

static void test_sessions(void)
{
	WebAccess a;
	char first[WEB_SECRET_TEXT], session[WEB_SECRET_TEXT], token[WEB_SECRET_TEXT];

	g_assert_true(web_access_init(&a, 6080, NULL));
	g_assert_false(web_access_begin(&a, "", session));
	for (unsigned i = 0; i <= WEB_SESSIONS_MAX; i++) {
		memcpy(token, a.token, sizeof(token));
		g_assert_true(web_access_begin(&a, token, session));
		g_assert_false(web_access_begin(&a, token, session));
		g_assert_false(
		    web_access_begin(&a, "", session)); /* there is none: the empty one is not it */
		if (!i)
			memcpy(first, session, sizeof(first));
		char *cookie = g_strdup_printf("a=b; viv-6080=%s", session),
		     *other = g_strdup_printf("viv-6081=%s", session);
		g_assert_true(web_access_knows(&a, cookie));
		g_assert_false(web_access_knows(&a, other));
		g_free(cookie);
		g_free(other);
		g_assert_true(web_access_renew(&a, NULL));
		g_assert_cmpstr(a.token, !=, token);
	}
	char *cookie = g_strdup_printf("viv-6080=%s", first);
	g_assert_false(web_access_knows(&a, cookie)); /* one more came than are remembered */
	g_free(cookie);
	g_assert_cmpuint(web_access_sessions(&a), ==, WEB_SESSIONS_MAX);
}

/* Some text, often close to one that counts. */
static char *some_text(GRand *r, const char *near)
{
	static const char letters[] = "viv-6080=;: []/.http://localhost127\t\xff";
	GString *s = g_string_new(g_rand_boolean(r) ? near : "");

	for (int n = g_rand_int_range(r, 0, 12); n > 0; n--)
		g_string_insert_c(s, g_rand_int_range(r, 0, (int)s->len + 1),
				  letters[g_rand_int_range(r, 0, sizeof(letters) - 1)]);
	if (s->len && g_rand_boolean(r))
		g_string_truncate(s, (gsize)g_rand_int_range(r, 0, (int)s->len));
	return g_string_free(s, FALSE);
}

/* Whatever is changed in a cookie, it lets nobody in unless the secret stands there whole under its
 * name. */
static void test_any_cookie(void)
{
	GRand *r = g_rand_new_with_seed(7);
	WebAccess a;
	char session[WEB_SECRET_TEXT], token[WEB_SECRET_TEXT];

	g_assert_true(web_access_init(&a, 6080, NULL));
	memcpy(token, a.token, sizeof(token));
	g_assert_true(web_access_begin(&a, token, session));
	char *right = g_strdup_printf("viv-6080=%s", session);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char *cookie = some_text(r, right);
		if (web_access_knows(&a, cookie))
			g_assert_nonnull(strstr(cookie, right));
		g_free(cookie);
	}
	g_free(right);
	g_rand_free(r);
}

/* ---- names ---- */

static void test_names(void)
{
	static const struct {
		const char *host, *name;
		bool ours;
	} hosts[] = {
		{ "localhost", NULL, true },	  { "LocalHost:1", NULL, true },
		{ "127.0.0.1:6080", NULL, true }, { "[::1]:6080", NULL, true },
		{ "[fe80::1]", NULL, true },	  { "box.lan:6080", "box.lan", true },
		{ "box.lan:6080", NULL, false },  { "", NULL, false },
		{ ":6080", NULL, false },	  { "::1", NULL, false },
		{ "[localhost]", NULL, false },	  { "[127.0.0.1]", NULL, false },
		{ "localhost:", NULL, false },	  { "localhost:80:80", NULL, false },
		{ "localhost@x", NULL, false },	  { "127.1", NULL, false },
		{ "localhost.", NULL, false },	  { "[::1]x", NULL, false },
		{ "[::1", NULL, false },
	};
	static const struct {
		const char *origin, *host;
		bool ours;
	} origins[] = {
		{ "http://localhost:1", "localhost:1", true },
		{ "https://h", "h", true },
		{ "http://LOCALHOST", "localhost", true },
		{ "http://localhost:2", "localhost:1", false },
		{ "http://localhost", "localhost:1", false },
		{ "ftp://h", "h", false },
		{ "null", "null", false },
		{ "", "", false },
		{ "http://", "h", false },
		{ "http://h/", "h", false },
		{ "http://x@h", "h", false },
		{ "xhttp://h", "h", false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(hosts); i++)
		g_assert_cmpint(web_host_is_ours(hosts[i].host, hosts[i].name), ==, hosts[i].ours);
	for (unsigned i = 0; i < G_N_ELEMENTS(origins); i++)
		g_assert_cmpint(web_origin_is_ours(origins[i].origin, origins[i].host), ==,
				origins[i].ours);
}

/* A name that is taken for ours has no letters but localhost's and those of numbers. */
static void test_any_name(void)
{
	GRand *r = g_rand_new_with_seed(11);

	for (unsigned i = 0; i < ROUNDS; i++) {
		char *host = some_text(r, "localhost:6080");
		if (web_host_is_ours(host, NULL) && g_ascii_strncasecmp(host, "localhost", 9))
			g_assert_cmpuint(strspn(host, "0123456789.:[]abcdefABCDEF"), ==,
					 strlen(host));
		if (web_origin_is_ours(host, "localhost:6080"))
			g_assert_true(g_str_has_suffix(host, "://localhost:6080"));
		g_free(host);
	}
	g_rand_free(r);
}

/* ---- text consoles ---- */

typedef struct Front {
	GString *in;
	size_t room;
} Front;

static size_t can_read(void *opaque) { return ((Front *)opaque)->room; }

static void on_read(void *opaque, const uint8_t *buf, size_t len)
{
	Front *f = opaque;

	g_assert_cmpuint(len, <=, f->room);
	f->room -= len;
	g_string_append_len(f->in, (const char *)buf, (gssize)len);
}

static const ChardevHandlers front_handlers = { .can_read = can_read, .read = on_read };

static void count_change(void *opaque) { ++*(unsigned *)opaque; }

static Chardev *open_vc(ChardevSet *set)
{
	ChardevOptions *o = chardev_options_from_words("vc:100Cx30C", "c0", NULL);

	return chardev_set_open(set, o, NULL);
}

/* Every reader gets all that is kept, from the oldest byte on, whatever is written and read at a
 * time. */
static void test_console_output(void)
{
	ChardevSet *set = chardev_set_new();
	Chardev *device = open_vc(set);
	Console *c = chardev_console(device);
	GRand *r = g_rand_new_with_seed(3);
	unsigned columns, rows, changes = 0;
	uint64_t written = 0, position = 0;
	static uint8_t piece[3 * CONSOLE_SCROLLBACK];

	console_size(c, &columns, &rows);
	g_assert_true(columns == 100 && rows == 30);
	console_watch(c, count_change, &changes);
	for (unsigned turn = 0; turn < 2000; turn++) {
		size_t n = (size_t)g_rand_int_range(r, 0, turn % 100 ? 500 : (int)sizeof(piece)),
		       was = changes;
		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)((written + i) * 7 >> 3);
		g_assert_cmpuint(chardev_write(device, piece, n), ==, n);
		written += n;
		g_assert_cmpuint(changes, <=, was + 1);
		size_t got =
		    console_read(c, &position, piece, (size_t)g_rand_int_range(r, 1, 2000));
		g_assert_true(position <= written &&
			      position + CONSOLE_SCROLLBACK + 2000 >= written);
		for (size_t i = 0; i < got; i++)
			g_assert_cmpuint(piece[i], ==, (uint8_t)((position - got + i) * 7 >> 3));
		g_assert_true(console_has(c, position) == (position < written));
	}
	position = UINT64_MAX; /* of another life */
	g_assert_cmpuint(console_read(c, &position, piece, 1), ==, 0);
	g_assert_cmpuint(position, ==, written);
	g_rand_free(r);
	g_assert_true(chardev_set_remove(set, "c0", NULL));
	g_assert_true(console_closed(c));
	g_assert_cmpuint(console_type(c, piece, 10), ==, 10); /* to nobody */
	console_unref(c);
	chardev_set_free(set);
}

/* What is typed arrives in order, as fast as the front end takes it; more than a little waits with
 * the typist. */
static void test_console_input(void)
{
	ChardevSet *set = chardev_set_new();
	Chardev *device = open_vc(set);
	Console *c = chardev_console(device);
	Front front = { g_string_new(NULL), 0 };
	GString *typed = g_string_new(NULL);
	unsigned changes = 0;

	g_assert_true(chardev_attach(device, &front_handlers, &front, NULL));
	for (unsigned i = 0; i < 3000; i++)
		g_string_append_printf(typed, "%u ", i);
	size_t sent = console_type(c, (const uint8_t *)typed->str, typed->len);
	g_assert_cmpuint(sent, <, typed->len);
	console_watch(c, count_change, &changes);
	while (front.in->len < typed->len) {
		front.room = 100;
		chardev_accept_input(device);
		while (g_main_context_iteration(NULL, FALSE))
			;
		sent += console_type(c, (const uint8_t *)typed->str + sent, typed->len - sent);
	}
	g_assert_cmpuint(changes, >, 0);
	g_assert_cmpstr(front.in->str, ==, typed->str);
	chardev_detach(device, &front);
	console_watch(c, NULL, NULL);
	console_unref(c);
	chardev_set_free(set);
	g_string_free(front.in, TRUE);
	g_string_free(typed, TRUE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/web/sessions", test_sessions);
	g_test_add_func("/web/any-cookie", test_any_cookie);
	g_test_add_func("/web/names", test_names);
	g_test_add_func("/web/any-name", test_any_name);
	g_test_add_func("/console/output", test_console_output);
	g_test_add_func("/console/input", test_console_input);
	return g_test_run();
}
