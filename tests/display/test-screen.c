/*
 * test-screen.c - screens are refreshed only while somebody looks; keys and pointers find their device.
 */
#include <glib.h>
#include <string.h>

#include <linux/input-event-codes.h>

#include "display/input.h"
#include "display/keys.h"

/* ---- an adapter that draws one more pixel with each refresh, and a viewer that counts ---- */
typedef struct Adapter {
	Screen *screen;
	unsigned refreshes, invalidations;
	bool still;
} Adapter;

static void refresh(void *opaque)
{
	Adapter *a = opaque;

	a->refreshes++;
	if (a->still)
		return;
	screen_line(a->screen, 1)[a->refreshes % 100] = 0xff0000 + a->refreshes;
	screen_damage(a->screen, (Rect){ a->refreshes % 100, 1, 1, 1 });
}

static void invalidate(void *opaque) { ((Adapter *)opaque)->invalidations++; }

static const ScreenSource source = { .refresh = refresh, .invalidate = invalidate };

typedef struct Viewer {
	unsigned resized, damaged, refreshed;
	Rect last;
} Viewer;

static void resized(void *opaque) { ((Viewer *)opaque)->resized++; }
static void refreshed(void *opaque) { ((Viewer *)opaque)->refreshed++; }
static void damaged(void *opaque, const Rect *r)
{
	((Viewer *)opaque)->damaged++;
	((Viewer *)opaque)->last = *r;
}

static const ScreenViewer viewer_ops = { .resized = resized, .damaged = damaged, .refreshed = refreshed };

static gboolean timed_out(gpointer flag)
{
	*(bool *)flag = true;
	return G_SOURCE_REMOVE;
}

/* The main loop turns until the refreshes are `enough`, or ten seconds have passed. */
static void turn_until(const unsigned *refreshes, unsigned enough)
{
	bool over = false;
	guint timer = g_timeout_add(10000, timed_out, &over);

	while (*refreshes < enough && !over)
		g_main_context_iteration(NULL, TRUE);
	if (!over)
		g_source_remove(timer);
}

static void test_refresh(void)
{
	Display *d = display_new();
	Adapter a = {0};
	Viewer v = {0};

	a.screen = screen_new(d, "vga", &source, &a);
	g_assert_true(display_screen(d, 0) == a.screen);
	g_assert_null(display_screen(d, 1));
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(a.refreshes, ==, 0);
	screen_add_viewer(a.screen, &viewer_ops, &v);
	g_assert_cmpuint(a.invalidations, ==, 1);
	turn_until(&a.refreshes, 3);
	g_assert_cmpuint(a.refreshes, >=, 3);
	g_assert_cmpuint(v.damaged, ==, a.refreshes);
	g_assert_cmpuint(v.refreshed, ==, a.refreshes);
	g_assert_cmpuint(screen_pixels(a.screen, 1)[v.last.x], ==, 0xff0000 + a.refreshes);
	a.still = true;
	turn_until(&a.refreshes, a.refreshes + 2);
	g_assert_cmpuint(v.refreshed, <, a.refreshes);
	screen_remove_viewer(a.screen, &v);
	unsigned before = a.refreshes;
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(a.refreshes, ==, before);
	screen_free(a.screen);
	g_assert_null(display_screen(d, 0));
	display_free(d);
}

static void test_damage(void)
{
	Display *d = display_new();
	Adapter a = {0};
	Viewer v = {0};
	unsigned width, height;

	a.screen = screen_new(d, "vga", &source, &a);
	screen_add_viewer(a.screen, &viewer_ops, &v);
	screen_resize(a.screen, 640, 480);
	g_assert_cmpuint(v.resized, ==, 0);
	screen_resize(a.screen, 0, 100000);
	screen_size(a.screen, &width, &height);
	g_assert_cmpuint(v.resized, ==, 1);
	g_assert_cmpuint(width, ==, 1);
	g_assert_cmpuint(height, ==, SCREEN_HEIGHT_MAX);
	screen_resize(a.screen, 100, 50);
	screen_damage(a.screen, (Rect){ 90, 40, UINT32_MAX, 20 });
	g_assert_cmpuint(v.last.width, ==, 10);
	g_assert_cmpuint(v.last.height, ==, 10);
	v.damaged = 0;
	screen_damage(a.screen, (Rect){ 100, 0, 1, 1 });
	screen_damage(a.screen, (Rect){ 0, 0, 0, 1 });
	g_assert_cmpuint(v.damaged, ==, 0);
	screen_free(a.screen);
	display_free(d);
}

/* ---- devices that note what they get ---- */
typedef struct Noted {
	GString *text;
} Noted;

static void on_key(void *opaque, unsigned key, bool down) { g_string_append_printf(((Noted *)opaque)->text, "%u%c", key, down ? '+' : '-'); }
static void on_move(void *opaque, int dx, int dy) { g_string_append_printf(((Noted *)opaque)->text, "m%d,%d ", dx, dy); }
static void on_place(void *opaque, unsigned x, unsigned y) { g_string_append_printf(((Noted *)opaque)->text, "p%u,%u ", x, y); }
static void on_button(void *opaque, InputButton b, bool down) { g_string_append_printf(((Noted *)opaque)->text, "b%d%c", (int)b, down ? '+' : '-'); }

static const InputHandler keyboard_ops = { .name = "keyboard", .key = on_key };
static const InputHandler mouse_ops = { .name = "mouse", .move = on_move, .button = on_button };
static const InputHandler tablet_ops = { .name = "tablet", .place = on_place, .button = on_button };

static void expect(Noted *n, const char *text)
{
	g_assert_cmpstr(n->text->str, ==, text);
	g_string_truncate(n->text, 0);
}

static void test_input(void)
{
	Display *d = display_new();
	Noted keyboard = { g_string_new(NULL) }, mouse = { g_string_new(NULL) }, tablet = { g_string_new(NULL) };
	InputPointer p;

	input_key(d, KEY_A, true); /* nobody is there */
	input_move(d, 1, 1);
	input_release_all(d);
	input_add(d, &keyboard_ops, &keyboard);
	input_add(d, &mouse_ops, &mouse);
	g_assert_false(input_is_absolute(d));
	input_key(d, KEY_A, true);
	input_key(d, KEY_A, true);
	input_key(d, 0, true);
	input_key(d, INPUT_KEYS, true);
	expect(&keyboard, "30+30+");
	input_move(d, -3, 4);
	input_button(d, BUTTON_LEFT, true);
	expect(&mouse, "m-3,4 b0+");
	input_release_all(d);
	expect(&keyboard, "30-");
	expect(&mouse, "b0-");
	input_add(d, &tablet_ops, &tablet);
	g_assert_true(input_is_absolute(d));
	input_place(d, 70000, 5);
	expect(&tablet, "p32767,5 ");
	g_assert_true(input_pointer(d, 0, &p) && !strcmp(p.name, "mouse") && p.number == 2 && !p.absolute && !p.in_use);
	g_assert_true(input_pointer(d, 1, &p) && !strcmp(p.name, "tablet") && p.number == 3 && p.absolute && p.in_use);
	g_assert_false(input_pointer(d, 2, &p));
	g_assert_false(input_use_pointer(d, 1)); /* the keyboard */
	g_assert_true(input_use_pointer(d, 2));
	g_assert_false(input_is_absolute(d));
	input_prefer(d, &tablet);
	g_assert_true(input_is_absolute(d));
	input_remove(d, &mouse);
	input_remove(d, &tablet);
	input_remove(d, &keyboard);
	g_string_free(keyboard.text, TRUE);
	g_string_free(mouse.text, TRUE);
	g_string_free(tablet.text, TRUE);
	display_free(d);
}

static void test_typing(void)
{
	static const uint8_t combo[] = { KEY_LEFTCTRL, KEY_C }, key[] = { KEY_Q };
	Display *d = display_new();
	Noted keyboard = { g_string_new(NULL) };
	bool over = false;

	input_add(d, &keyboard_ops, &keyboard);
	g_assert_true(input_type(d, combo, 2, 20));
	g_assert_true(input_type(d, key, 1, 20));
	g_assert_cmpstr(keyboard.text->str, ==, "29+46+");
	guint timer = g_timeout_add(10000, timed_out, &over);
	while (strcmp(keyboard.text->str, "29+46+46-29-16+16-") && !over)
		g_main_context_iteration(NULL, TRUE);
	expect(&keyboard, "29+46+46-29-16+16-");
	g_source_remove(timer);
	unsigned taken = 0;
	while (input_type(d, key, 1, 1000))
		taken++;
	g_assert_cmpuint(taken, ==, 4096);
	input_remove(d, &keyboard);
	g_string_free(keyboard.text, TRUE);
	display_free(d);
}

static void on_leds(void *opaque, uint8_t leds) { *(unsigned *)opaque = *(unsigned *)opaque * 10 + leds; }

static void test_leds(void)
{
	Display *d = display_new();
	unsigned told = 0;

	input_watch_leds(d, on_leds, &told);
	input_set_leds(d, LED_CAPS);
	input_set_leds(d, LED_CAPS);
	input_set_leds(d, LED_NUM);
	g_assert_cmpuint(told, ==, 42);
	g_assert_cmpuint(input_leds(d), ==, LED_NUM);
	input_unwatch_leds(d, &told);
	input_set_leds(d, 0);
	g_assert_cmpuint(told, ==, 42);
	display_free(d);
}

static void test_keys(void)
{
	for (const KeyName *k = key_names; k->key; k++) {
		g_assert_true(key_by_number(k->key) == k);
		g_assert_true(key_by_name(k->name) == k);
		g_assert_cmpuint(key_by_set1((k->set1 & 0x7fu) | (k->set1 >= 0xe000 ? 0x80u : 0)), ==, k->key);
	}
	g_assert_cmpuint(key_by_name("ret")->key, ==, KEY_ENTER);
	g_assert_cmpuint(key_by_name("delete")->set1, ==, 0xe053);
	g_assert_cmpuint(key_by_name("asterisk")->key, ==, KEY_KPASTERISK);
	g_assert_null(key_by_name("nothing"));
	g_assert_null(key_by_number(0xff));
	g_assert_cmpuint(key_by_set1(0x54), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/display/refresh", test_refresh);
	g_test_add_func("/display/damage", test_damage);
	g_test_add_func("/display/input", test_input);
	g_test_add_func("/display/typing", test_typing);
	g_test_add_func("/display/leds", test_leds);
	g_test_add_func("/display/keys", test_keys);
	return g_test_run();
}
