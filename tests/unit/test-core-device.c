/* test-core-device.c - clock and timers, properties, lines, reset, sizes, suggestions, requests. */
#include <string.h>

#include "core/board.h"
#include "core/device.h"
#include "core/lock.h"
#include "core/suggest.h"
#include "core/units.h"

/* ---- clock ---- */

typedef struct Fired { Timer timer; int64_t at; unsigned *order; unsigned rank; } Fired;

static void fired(void *opaque)
{
	Fired *f = opaque;
	f->at = clock_now(f->timer.clock);
	f->rank = ++*f->order;
}

static void run_for(int ms)
{
	gint64 end = g_get_monotonic_time() + ms * 1000;
	while (g_get_monotonic_time() < end) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(200);
	}
}

static void test_clock(void)
{
	Clock *clock = clock_new();
	Fired f[20];
	unsigned order = 0;

	g_assert_cmpint(clock_now(clock), ==, 0);
	machine_lock();
	for (unsigned i = 0; i < 20; i++) {
		f[i] = (Fired){ .order = &order };
		timer_init(&f[i].timer, clock, fired, &f[i]);
		timer_arm(&f[i].timer, (i * 7 % 20 + 1) * 500000);
	}
	machine_unlock();
	run_for(5);
	g_assert_cmpuint(order, ==, 0); /* stopped */
	machine_lock();
	timer_cancel(&f[3].timer);
	clock_start(clock);
	machine_unlock();
	run_for(30);
	g_assert_cmpuint(order, ==, 19);
	g_assert_false(timer_armed(&f[0].timer));
	for (unsigned i = 0; i < 20; i++) {
		unsigned slot = i * 7 % 20 + 1;
		if (i == 3)
			continue;
		g_assert_cmpuint(f[i].rank, ==, slot > 3 * 7 % 20 + 1 ? slot - 1 : slot);
		g_assert_cmpint(f[i].at, >=, slot * 500000);
	}
	machine_lock();
	clock_stop(clock);
	int64_t then = clock_now(clock);
	timer_arm(&f[0].timer, -5); /* the past */
	machine_unlock();
	run_for(5);
	g_assert_cmpint(clock_now(clock), ==, then);
	g_assert_cmpuint(order, ==, 19);
	machine_lock();
	clock_start(clock);
	machine_unlock();
	run_for(5);
	g_assert_cmpuint(order, ==, 20);
	clock_free(clock);
}

/* ---- devices ---- */

typedef struct Thing {
	Device dev;
	bool flag;
	uint8_t small;
	uint64_t size;
	char *text;
	int mode;
	void *ptr;
	uint16_t regs[4];
	uint64_t kept;
	Irq out[2];
	unsigned got;
} Thing;

static const char *const modes[] = { "fast", "slow", NULL };
static const Property props[] = {
	{ "flag", PROP_BOOL, offsetof(Thing, flag), "on" },
	{ "small", PROP_U8, offsetof(Thing, small), "3", .min = 1, .max = 100 },
	{ "size", PROP_SIZE, offsetof(Thing, size), "2M" },
	{ "text", PROP_STRING, offsetof(Thing, text), "default" },
	{ "mode", PROP_ENUM, offsetof(Thing, mode), "slow", .values = modes },
	{ "ptr", PROP_PTR, offsetof(Thing, ptr) },
	{ 0 }
};
static const StateField state[] = {
	STATE_ARRAY(FIELD_U16, Thing, regs, 4, 0x1234),
	{ "kept", FIELD_U64, offsetof(Thing, kept), 1, 1, 9, .keep = true },
	{ 0 }
};
static void input(void *opaque, int n, int level) { ((Thing *)opaque)->got = (unsigned)(n * 2 + level); }
static const LineIn inputs[] = { { "in", input, 4 }, { 0 } };
static const LineOut outputs[] = { { "out", offsetof(Thing, out), 2 }, { 0 } };
static const DeviceClass thing_class = {
	.name = "thing", .bus = "system", .size = sizeof(Thing), .props = props, .state = state,
	.inputs = inputs, .outputs = outputs,
};

static void test_properties(void)
{
	Board board = { 0 };
	GError *error = NULL;
	Thing *t = (Thing *)device_new(&board, &thing_class, "t0");

	g_assert_true(t->flag);
	g_assert_cmpuint(t->small, ==, 3);
	g_assert_cmpuint(t->size, ==, 2 << 20);
	g_assert_cmpstr(t->text, ==, "default");
	g_assert_cmpint(t->mode, ==, 1);
	g_assert_true(device_set(&t->dev, "flag", "off", &error));
	g_assert_true(device_set(&t->dev, "small", "0x10", &error));
	g_assert_true(device_set(&t->dev, "mode", "fast", &error));
	g_assert_true(device_set(&t->dev, "text", "x,y", &error));
	g_assert_no_error(error);
	g_assert_false(t->flag);
	g_assert_cmpuint(t->small, ==, 16);
	char *shown = device_get(&t->dev, &props[4]);
	g_assert_cmpstr(shown, ==, "\"fast\"");
	g_free(shown);

	static const char *const bad[][3] = {
		{ "smal", "3", "Did you mean 'small'?" }, { "small", "0", "between 1 and 100" },
		{ "small", "101", "between" }, { "small", "-1", "number" }, { "small", "3x", "number" },
		{ "flag", "maybe", "on or off" }, { "mode", "slwo", "Did you mean 'slow'?" },
		{ "ptr", "1", "no property" }, { "size", "1q", "size" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_false(device_set(&t->dev, bad[i][0], bad[i][1], &error));
		g_assert_nonnull(strstr(error->message, bad[i][2]));
		g_clear_error(&error);
	}
	device_free(&t->dev);
}

/* ---- tables within tables ---- */

typedef struct Part { uint16_t a; uint8_t b; } Part;
typedef struct Whole {
	Device dev;
	Part inner, *parts;
	unsigned count, quiesced;
} Whole;

static const StateField part_state[] = {
	STATE(FIELD_U16, Part, a, 0x55aa),
	{ "b", FIELD_U8, offsetof(Part, b), 1, 1, 7, .keep = true },
	{ 0 }
};
static const StateField whole_state[] = {
	STATE_STRUCT(Whole, inner, part_state),
	STATE_GROUP(Whole, parts, count, part_state, Part),
	{ 0 }
};

/* Before the table's values are stored. */
static void whole_quiesce(Device *dev)
{
	Whole *w = (Whole *)dev;
	w->quiesced += w->parts && w->parts[1].a == 3;
}

static const DeviceClass whole_class = {
	.name = "whole", .bus = "system", .size = sizeof(Whole), .state = whole_state, .quiesce = whole_quiesce,
};

static void test_groups(void)
{
	Board board = { 0 };
	Whole *w = (Whole *)device_new(&board, &whole_class, NULL);

	device_reset(&w->dev); /* no parts yet */
	g_assert_cmphex(w->inner.a, ==, 0x55aa);
	w->parts = g_new0(Part, 2);
	w->count = 2;
	w->parts[1] = (Part){ 3, 4 };
	w->inner = (Part){ 5, 6 };
	device_reset(&w->dev);
	g_assert_cmpuint(w->quiesced, ==, 1);
	g_assert_cmphex(w->parts[0].a, ==, 0x55aa);
	g_assert_cmphex(w->parts[1].a, ==, 0x55aa);
	g_assert_cmphex(w->parts[1].b, ==, 4);
	g_assert_cmphex(w->inner.a, ==, 0x55aa);
	g_assert_cmphex(w->inner.b, ==, 6);
	g_free(w->parts);
	device_free(&w->dev);
}

static void test_life(void)
{
	Board board = { .devices = g_ptr_array_new() };
	GError *error = NULL;
	Thing *a = (Thing *)device_new(&board, &thing_class, NULL);
	Thing *b = (Thing *)device_new(&board, &thing_class, NULL);

	device_connect(&a->dev, "out", 1, device_input(&b->dev, "in", 3));
	g_assert_true(device_realize(&a->dev, &error));
	g_assert_true(device_realize(&b->dev, &error));
	g_assert_cmphex(a->regs[3], ==, 0x1234);
	a->regs[0] = 7;
	a->kept = 5;
	device_reset(&a->dev);
	g_assert_cmphex(a->regs[0], ==, 0x1234);
	g_assert_cmpuint(a->kept, ==, 5);
	irq_raise(&a->out[0]); /* not connected */
	irq_raise(&a->out[1]);
	g_assert_cmpuint(b->got, ==, 7);
	device_free(&a->dev);
	g_assert_cmpuint(board.devices->len, ==, 1);
	device_free(&b->dev);
	g_ptr_array_free(board.devices, TRUE);
}

/* ---- small things ---- */

static void test_sizes(void)
{
	static const struct { const char *text; uint64_t unit, value; } good[] = {
		{ "0", 1, 0 }, { "512", 1, 512 }, { "512", 1 << 20, 512ull << 20 }, { "1k", 1, 1024 },
		{ "1.5G", 1, 3ull << 29 }, { "4g", 1, 4ull << 30 }, { "0x10", 1, 16 }, { "15E", 1, 15ull << 60 },
		{ "10b", 1 << 20, 10 }, { "18446744073709551615", 1, UINT64_MAX }, { "2T", 1, 2ull << 40 },
	};
	static const char *const bad[] = { "", "x", "-1", "1kk", "1.5", "1.5b", "16E", "0x", "1 k", " 1", "1e3",
		"18446744073709551616", ".5G" };
	uint64_t v;
	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_true(parse_size(good[i].text, good[i].unit, &v));
		g_assert_cmpuint(v, ==, good[i].value);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(parse_size(bad[i], 1, &v));
}

static void test_suggest(void)
{
	static const char *const words[] = { "read-only", "chardev", "index", "iobase", NULL };
	g_assert_cmpstr(suggest_nearest("chardve", words), ==, "chardev");
	g_assert_cmpstr(suggest_nearest("readonly", words), ==, "read-only");
	g_assert_cmpstr(suggest_nearest("Read_Only", words), ==, "read-only");
	g_assert_null(suggest_nearest("banana", words));
	g_assert_null(suggest_nearest("", words));
}

static void test_requests(void)
{
	Board board = { 0 };
	board_request(&board, RUN_RESET, 0);
	board_request(&board, RUN_QUIT, 3);
	board_request(&board, RUN_SHUTDOWN, 0);
	board_request(&board, RUN_QUIT, 4);
	g_assert_cmpint(atomic_load(&board.request), ==, RUN_QUIT);
	g_assert_cmpint(atomic_load(&board.exit_status), ==, 3);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/core/clock", test_clock);
	g_test_add_func("/core/properties", test_properties);
	g_test_add_func("/core/life", test_life);
	g_test_add_func("/core/groups", test_groups);
	g_test_add_func("/core/sizes", test_sizes);
	g_test_add_func("/core/suggest", test_suggest);
	g_test_add_func("/core/requests", test_requests);
	return g_test_run();
}
