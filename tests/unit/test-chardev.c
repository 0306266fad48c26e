/* test-chardev.c - options, the set, mux, file, ringbuf; the mux on a backend made of a buffer. */
#include <string.h>

#include <glib/gstdio.h>

#include "chardev/backend.h"
#include "chardev/mux.h"
#include "chardev/set.h"

typedef struct Fake {
	Chardev base;
	GString *out;
	size_t room;  /* bytes that write takes */
} Fake;

static size_t fake_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Fake *f = (Fake *)c;
	size_t n = MIN(len, f->room);
	g_string_append_len(f->out, (const char *)buf, (gssize)n);
	f->room -= n;
	return n;
}

static const ChardevClass fake_class = { .name = "fake", .write = fake_write };
static const ChardevType fake_type = { &fake_class, sizeof(Fake) };

typedef struct Front {
	Chardev *c;
	GString *in;
	size_t room;
	unsigned breaks, ins, outs, writable;
} Front;

static size_t can_read(void *opaque) { return ((Front *)opaque)->room; }
static void on_read(void *opaque, const uint8_t *buf, size_t len)
{
	Front *f = opaque;
	g_assert_cmpuint(len, <=, f->room);
	g_string_append_len(f->in, (const char *)buf, (gssize)len);
	f->room -= len;
}
static void on_event(void *opaque, ChardevEvent event)
{
	Front *f = opaque;
	f->breaks += event == CHARDEV_BREAK;
	f->ins += event == CHARDEV_MUX_IN;
	f->outs += event == CHARDEV_MUX_OUT;
}
static void on_writable(void *opaque) { ((Front *)opaque)->writable++; }
static const ChardevHandlers handlers = { can_read, on_read, on_event, on_writable };

typedef struct World {
	Fake *back;
	Chardev *mux;
	Front a, b;
	unsigned quits;
} World;

static void on_quit(void *opaque) { ((World *)opaque)->quits++; }

static ChardevOptions *named(const char *id)
{
	ChardevOptions *o = g_new0(ChardevOptions, 1);
	o->id = g_strdup(id);
	return o;
}

/* `a` has the input: `b`, like a monitor, comes without asking for it. */
static void set_up(World *w)
{
	static const ChardevHandlers behind = { can_read, on_read, on_event, on_writable,
		.background = true };
	memset(w, 0, sizeof(*w));
	w->back = (Fake *)chardev_new(&fake_type, named("fake"), NULL);
	w->back->out = g_string_new(NULL);
	w->back->room = 100000;
	w->mux = mux_new("m", &w->back->base, NULL);
	g_assert_nonnull(w->mux);
	mux_on_quit(w->mux, on_quit, w);
	Front *fronts[] = { &w->a, &w->b };
	for (unsigned i = 0; i < 2; i++) {
		fronts[i]->c = w->mux;
		fronts[i]->in = g_string_new(NULL);
		fronts[i]->room = 1000;
		g_assert_true(chardev_attach(w->mux, i ? &behind : &handlers, fronts[i], NULL));
	}
	w->a.ins = 0;
}

static void tear_down(World *w)
{
	chardev_free(w->mux);
	g_string_free(w->back->out, TRUE);
	chardev_free(&w->back->base);
	g_string_free(w->a.in, TRUE);
	g_string_free(w->b.in, TRUE);
}

static void type(World *w, const char *keys)
{
	size_t n = strlen(keys);
	g_assert_cmpuint(chardev_room(&w->back->base), >=, n);
	chardev_push(&w->back->base, (const uint8_t *)keys, n);
}

static void test_keys(void)
{
	World w;
	set_up(&w);
	type(&w, "ab\001cde");
	g_assert_cmpstr(w.a.in->str, ==, "ab");
	g_assert_cmpstr(w.b.in->str, ==, "de");
	g_assert_cmpuint(w.a.outs, ==, 1);
	g_assert_cmpuint(w.b.ins, ==, 1);
	type(&w, "\001c\001\001\001b\001q!");
	g_assert_cmpstr(w.a.in->str, ==, "ab\001!");
	g_assert_cmpuint(w.a.breaks, ==, 1);
	type(&w, "\001h");
	g_assert_nonnull(strstr(w.back->out->str, "C-a h"));
	type(&w, "\001x");
	g_assert_cmpuint(w.quits, ==, 1);
	tear_down(&w);
}

/* C-a is seen although the guest does not read; what it did not read comes later. */
static void test_input_waits(void)
{
	World w;
	set_up(&w);
	w.a.room = 2;
	type(&w, "hello");
	g_assert_cmpstr(w.a.in->str, ==, "he");
	type(&w, "\001x");
	g_assert_cmpuint(w.quits, ==, 1);
	w.a.room = 100;
	chardev_accept_input(w.a.c);
	g_assert_cmpstr(w.a.in->str, ==, "hello");
	tear_down(&w);
}

static void test_output_waits(void)
{
	World w;
	set_up(&w);
	w.back->room = 3;
	g_assert_cmpuint(chardev_write(w.a.c, (const uint8_t *)"hello", 5), ==, 3);
	type(&w, "\001h");
	g_assert_cmpuint(chardev_write(w.a.c, (const uint8_t *)"lo", 2), ==, 0);
	w.back->room = 100000;
	chardev_writable(&w.back->base);
	g_assert_cmpuint(w.a.writable, ==, 1);
	g_assert_cmpuint(chardev_write(w.a.c, (const uint8_t *)"lo", 2), ==, 2);
	g_assert_true(g_str_has_prefix(w.back->out->str, "hel\r\nC-a h"));
	g_assert_true(g_str_has_suffix(w.back->out->str, "lo"));
	tear_down(&w);
}

static void test_stamps(void)
{
	World w;
	set_up(&w);
	type(&w, "\001t");
	g_assert_cmpuint(chardev_write(w.a.c, (const uint8_t *)"x\ny\n", 4), ==, 4);
	g_assert_true(g_str_has_prefix(w.back->out->str, "x\n[00:00:00."));
	g_assert_true(g_str_has_suffix(w.back->out->str, "] y\n"));
	tear_down(&w);
}

/* A mux has four places, others one; input waits for whoever comes next to a place. */
static void test_attach(void)
{
	World w;
	Front more[2] = { { .in = g_string_new(NULL), .room = 100 }, { .in = g_string_new(NULL) } };
	GError *error = NULL;
	set_up(&w);
	for (unsigned i = 0; i < 2; i++)
		g_assert_true(chardev_attach(w.mux, &handlers, &more[i], NULL));
	g_assert_false(chardev_attach(w.mux, &handlers, &w, &error));
	g_assert_nonnull(strstr(error->message, "maximum is 4"));
	g_clear_error(&error);
	g_assert_false(chardev_attach(&w.back->base, &handlers, &w, &error));
	g_assert_nonnull(strstr(error->message, "in use"));
	g_clear_error(&error);
	g_assert_cmpuint(more[1].ins, ==, 1);
	chardev_detach(w.mux, &more[1]); /* the input goes round to `a` */
	type(&w, "x");
	g_assert_cmpstr(w.a.in->str, ==, "x");
	chardev_detach(w.mux, &more[0]);
	for (unsigned i = 0; i < 2; i++)
		g_string_free(more[i].in, TRUE);
	tear_down(&w);
}

/* A peer that asks for help and does not read it costs no memory. */
static void test_keys_are_bounded(void)
{
	World w;
	set_up(&w);
	w.back->room = 0;
	for (unsigned i = 0; i < 100000; i++)
		type(&w, "\001h");
	w.back->room = 1000000;
	chardev_writable(&w.back->base);
	g_assert_cmpuint(w.back->out->len, <, 8192);
	tear_down(&w);
}

static Chardev *open_text(ChardevSet *set, const char *text, GError **error)
{
	ChardevOptions *o = chardev_options_parse(text, error);
	return o ? chardev_set_open(set, o, error) : NULL;
}

static void test_file(void)
{
	char *dir = g_dir_make_tmp("viv-XXXXXX", NULL), *path = g_build_filename(dir, "out", NULL),
		*log = g_build_filename(dir, "log", NULL), *text;
	for (unsigned i = 0; i < 3; i++) {
		ChardevSet *set = chardev_set_new();
		char *words = g_strdup_printf("file,id=f,path=%s,append=%s,logfile=%s,logappend",
			path,
			i == 1 ? "on" : "off", log);
		Chardev *c = open_text(set, words, NULL);
		g_assert_nonnull(c);
		g_assert_cmpuint(chardev_write(c, (const uint8_t *)"abc", 3), ==, 3);
		chardev_set_free(set);
		g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, i == 1 ? "abcabc" : "abc");
		g_free(text);
		g_free(words);
	}
	g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "abcabcabc");
	g_free(text);
	g_unlink(path);
	g_unlink(log);
	g_rmdir(dir);
	g_free(path);
	g_free(log);
	g_free(dir);
}

static void test_ringbuf(void)
{
	ChardevSet *set = chardev_set_new();
	GError *error = NULL;
	uint8_t buf[32];
	Chardev *c = open_text(set, "ringbuf,id=r,size=8", NULL);
	g_assert_true(chardev_set_ringbuf(set, "r", NULL) == c);
	g_assert_cmpuint(chardev_write(c, (const uint8_t *)"0123456789ab", 12), ==, 12);
	g_assert_cmpuint(ringbuf_count(c), ==, 8);
	g_assert_cmpuint(ringbuf_read(c, buf, 3), ==, 3);
	g_assert_cmpint(memcmp(buf, "456", 3), ==, 0);
	ringbuf_write(c, (const uint8_t *)"X", 1);
	g_assert_cmpuint(ringbuf_read(c, buf, sizeof(buf)), ==, 6);
	g_assert_cmpint(memcmp(buf, "789abX", 6), ==, 0);
	g_assert_nonnull(open_text(set, "null,id=n", NULL));
	g_assert_null(chardev_set_ringbuf(set, "n", &error));
	g_assert_nonnull(strstr(error->message, "not a ringbuf"));
	g_clear_error(&error);
	chardev_set_free(set);
}

/* What is refused, and a word of why. */
static void test_refusals(void)
{
	static const struct { const char *text, *why; } cases[] = {
		{ "nosuch,id=x", "not a valid char driver name" }, { "sockt,id=x",
			"Did you mean 'socket'" },
		{ "null", "no id specified" }, { "null,id=1x", "expects an identifier" },
		{ "null,id=x,path=/x", "Invalid parameter 'path'" },
		{ "socket,id=x,hots=y", "Did you mean 'host'" },
		{ "null,id=x,mux=maybe", "expects 'on' or 'off'" },
		{ "socket,id=x,host=localhost", "no port given" },
		{ "socket,id=x,path=/tmp/x,reconnect=1,server=on",
			"'reconnect' option is incompatible" },
		{ "socket,id=x,path=/tmp/x,wait=on", "'wait' option is incompatible" },
		{ "socket,id=x,path=/tmp/x,host=h,port=1", "one of" },
		{ "socket,id=x,fd=abc", "Unable to parse FD number" },
		{ "socket,id=x,fd=0", "is not a socket" },
		{ "socket,id=x,path=/tmp/x,websocket=on", "not built" },
		{ "socket,id=x,path=/nonexistent/s,server=on,wait=off", "Failed to bind" },
		{ "socket,id=x,host=localhost,port=http,server=on,wait=off", "a port is a number" },
		{ "udp,id=x", "remote port not specified" }, { "pipe,id=x", "no device path" },
		{ "pipe,id=x,path=/nonexistent/p", "Could not open" }, { "file,id=x",
			"no filename" },
		{ "ringbuf,id=x,size=1000", "power of two" }, { "serial,id=x", "no device path" },
		{ "parallel,id=x,path=/dev/null", "not a parallel port" },
		{ "vc,id=x,cols=99999", "at most" }, { "null,id=x,logfile=/nonexistent/l",
			"Could not open" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		ChardevSet *set = chardev_set_new();
		GError *error = NULL;
		g_assert_null(open_text(set, cases[i].text, &error));
		g_assert_nonnull(error);
		if (!strstr(error->message, cases[i].why))
			g_error("%s: %s", cases[i].text, error->message);
		g_error_free(error);
		g_assert_null(chardev_set_find(set, "x"));
		chardev_set_free(set);
	}
}

static void test_words(void)
{
	static const struct { const char *words, *backend, *host, *port, *path; } cases[] = {
		{ "null", "null", NULL, NULL, NULL }, { "mon:stdio", "stdio", NULL, NULL, NULL },
		{ "tcp:h:1,server=on,wait=off", "socket", "h", "1", NULL },
		{ "tcp::1", "socket", "", "1", NULL }, { "telnet:[::1]:23", "socket", "::1", "23",
			NULL },
		{ "unix:/a/b,server,nowait", "socket", NULL, NULL, "/a/b" },
		{ "udp:h:1@:2", "udp", "h", "1", NULL }, { "file:a,b", "file", NULL, NULL, "a,b" },
		{ "/dev/ttyS0", "serial", NULL, NULL, "/dev/ttyS0" },
		{ "/dev/parport0", "parallel", NULL, NULL, "/dev/parport0" },
		{ "vc:80Cx24C", "vc", NULL, NULL, NULL }, { "pipe:/p", "pipe", NULL, NULL, "/p" },
	};
	static const char *const bad[] = { "foo", "tcp:", "tcp:h", "udp:", "vc:foo", "con:",
		"tcp:h:1,foo=1",
		"mon:", "chardev:x" };
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		ChardevOptions *o = chardev_options_from_words(cases[i].words, "x", NULL);
		g_assert_nonnull(o);
		g_assert_cmpstr(o->id, ==, "x");
		g_assert_cmpstr(o->backend, ==, cases[i].backend);
		g_assert_cmpstr(o->host, ==, cases[i].host);
		g_assert_cmpstr(o->port, ==, cases[i].port);
		g_assert_cmpstr(o->path, ==, cases[i].path);
		g_assert_cmpint(o->mux == CHARDEV_ON, ==, g_str_has_prefix(cases[i].words, "mon:"));
		chardev_options_free(o);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		GError *error = NULL;
		g_assert_null(chardev_options_from_words(bad[i], "x", &error));
		g_assert_nonnull(error);
		g_error_free(error);
	}
}

/* Removal, what is in use, muxes and what they stand on. */
static void test_set(void)
{
	ChardevSet *set = chardev_set_new();
	Front f = { .in = g_string_new(NULL) };
	GError *error = NULL;
	Chardev *mux = open_text(set, "null,id=a,mux=on", NULL);
	g_assert_true(chardev_is_mux(mux));
	char *name = chardev_filename(mux), *base = chardev_filename(chardev_set_find(set,
		"a-base"));
	g_assert_cmpstr(name, ==, "mux");
	g_assert_cmpstr(base, ==, "null");
	g_free(name);
	g_free(base);
	g_assert_null(open_text(set, "null,id=a", &error));
	g_assert_nonnull(strstr(error->message, "Duplicate ID"));
	g_clear_error(&error);
	g_assert_false(chardev_set_remove(set, "a-base", &error));
	g_assert_nonnull(strstr(error->message, "busy"));
	g_clear_error(&error);
	g_assert_true(chardev_attach(mux, &handlers, &f, NULL));
	g_assert_false(chardev_set_remove(set, "a", NULL));
	g_assert_true(chardev_set_break_in(set, "a", NULL));
	g_assert_cmpuint(f.breaks, ==, 1);
	chardev_detach(mux, &f);
	g_assert_true(chardev_set_remove(set, "a", NULL));
	g_assert_true(chardev_set_remove(set, "a-base", NULL));
	g_assert_false(chardev_set_remove(set, "a", NULL));
	chardev_set_free(set);
	g_string_free(f.in, TRUE);
}

static void note_change(void *opaque, Chardev *c) { ((Front *)opaque)->c = c; }

static void test_change(void)
{
	static const ChardevHandlers movable = { can_read, on_read, on_event, on_writable,
		note_change };
	ChardevSet *set = chardev_set_new();
	Front f = { .in = g_string_new(NULL) };
	GError *error = NULL;
	f.c = open_text(set, "null,id=a", NULL);
	g_assert_true(chardev_attach(f.c, &movable, &f, NULL));
	g_assert_false(chardev_set_change(set,
		chardev_options_parse("file,id=a,path=/nonexistent/x", NULL),
		&error));
	g_assert_nonnull(strstr(error->message, "Could not open"));
	g_clear_error(&error);
	g_assert_true(chardev_set_find(set, "a") == f.c);
	g_assert_true(chardev_set_change(set, chardev_options_parse("ringbuf,id=a", NULL), NULL));
	g_assert_true(chardev_set_find(set, "a") == f.c);
	chardev_write(f.c, (const uint8_t *)"hi", 2);
	g_assert_cmpuint(ringbuf_count(chardev_set_ringbuf(set, "a", NULL)), ==, 2);
	g_assert_false(chardev_set_change(set, chardev_options_parse("null,id=b", NULL), &error));
	g_assert_nonnull(strstr(error->message, "does not exist"));
	g_clear_error(&error);
	chardev_detach(f.c, &f);
	chardev_set_free(set);
	g_string_free(f.in, TRUE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/chardev/mux/keys", test_keys);
	g_test_add_func("/chardev/mux/input", test_input_waits);
	g_test_add_func("/chardev/mux/output", test_output_waits);
	g_test_add_func("/chardev/mux/stamps", test_stamps);
	g_test_add_func("/chardev/mux/bounds", test_keys_are_bounded);
	g_test_add_func("/chardev/attach", test_attach);
	g_test_add_func("/chardev/file", test_file);
	g_test_add_func("/chardev/ringbuf", test_ringbuf);
	g_test_add_func("/chardev/refusals", test_refusals);
	g_test_add_func("/chardev/words", test_words);
	g_test_add_func("/chardev/set", test_set);
	g_test_add_func("/chardev/change", test_change);
	return g_test_run();
}
