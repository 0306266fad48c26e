/* test-chardev.c - mux and file, with a backend made of two buffers. */
#include <string.h>

#include <glib/gstdio.h>

#include "chardev/backend.h"

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
	ChardevMux *mux;
	Front a, b;
	unsigned quits;
} World;

static void on_quit(void *opaque) { ((World *)opaque)->quits++; }

static void set_up(World *w)
{
	memset(w, 0, sizeof(*w));
	w->back = chardev_alloc(&fake_class, sizeof(Fake), "fake");
	w->back->out = g_string_new(NULL);
	w->back->room = 100000;
	w->mux = chardev_mux_new(&w->back->base);
	chardev_mux_set_quit(w->mux, on_quit, w);
	Front *fronts[] = { &w->a, &w->b };
	for (unsigned i = 0; i < 2; i++) {
		fronts[i]->c = chardev_mux_port(w->mux, i ? "b" : "a");
		fronts[i]->in = g_string_new(NULL);
		fronts[i]->room = 1000;
		g_assert_true(chardev_attach(fronts[i]->c, &handlers, fronts[i], NULL));
	}
}

static void tear_down(World *w)
{
	GString *out = w->back->out;
	chardev_mux_free(w->mux);
	g_string_free(out, TRUE);
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

static void test_attach(void)
{
	World w;
	GError *error = NULL;
	set_up(&w);
	g_assert_false(chardev_attach(w.a.c, &handlers, &w.b, &error));
	g_assert_nonnull(strstr(error->message, "in use"));
	g_error_free(error);
	g_assert_true(chardev_attach(w.a.c, NULL, NULL, NULL));
	type(&w, "lost?");
	g_assert_true(chardev_attach(w.a.c, &handlers, &w.a, NULL));
	g_assert_cmpstr(w.a.in->str, ==, "lost?");
	tear_down(&w);
}

static void test_file(void)
{
	char *dir = g_dir_make_tmp("viv-XXXXXX", NULL), *path = g_build_filename(dir, "out", NULL),
		*text;
	for (unsigned i = 0; i < 3; i++) {
		ChardevOptions o = { .id = "f", .path = path, .append = i == 1 };
		Chardev *c = chardev_open("file", &o, NULL);
		g_assert_nonnull(c);
		g_assert_cmpuint(chardev_write(c, (const uint8_t *)"abc", 3), ==, 3);
		chardev_free(c);
		g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, i == 1 ? "abcabc" : "abc");
		g_free(text);
	}
	GError *error = NULL;
	ChardevOptions none = { .id = "x" };
	g_assert_null(chardev_open("nosuch", &none, &error));
	g_assert_nonnull(error);
	g_error_free(error);
	g_unlink(path);
	g_rmdir(dir);
	g_free(path);
	g_free(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/chardev/mux/keys", test_keys);
	g_test_add_func("/chardev/mux/input", test_input_waits);
	g_test_add_func("/chardev/mux/output", test_output_waits);
	g_test_add_func("/chardev/mux/stamps", test_stamps);
	g_test_add_func("/chardev/attach", test_attach);
	g_test_add_func("/chardev/file", test_file);
	return g_test_run();
}
