/* test-ports.c - serial port, keyboard controller, fw_cfg and the small ports. */
#include <string.h>

#include <linux/input-event-codes.h>

#include "chardev/backend.h"
#include "core/fw_cfg.h"
#include "core/lock.h"
#include "harness.h"
#include "display/input.h"
#include "hw/classes.h"

/* ---- a backend that takes as much as it is told to ---- */

typedef struct Sink {
	Chardev c;
	GString *got;
	size_t room;
} Sink;

static size_t sink_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Sink *s = (Sink *)c;
	size_t n = MIN(len, s->room);
	g_string_append_len(s->got, (const char *)buf, (gssize)n);
	s->room -= n;
	return n;
}

static const ChardevClass sink_class = { .name = "sink", .write = sink_write };

static Device *new_serial(Harness *h, Sink *sink)
{
	sink->c.cls = &sink_class;
	sink->c.log = -1;
	sink->got = g_string_new(NULL);
	sink->room = SIZE_MAX;
	Device *dev = harness_make(h, &serial_isa_class);
	device_set_ptr(dev, "chardev", &sink->c);
	harness_realize(dev);
	return dev;
}

static void push(Sink *sink, const char *text)
{
	machine_lock();
	g_assert_cmpuint(sink->c.handlers->can_read(sink->c.opaque), >=, strlen(text));
	sink->c.handlers->read(sink->c.opaque, (const uint8_t *)text, strlen(text));
	machine_unlock();
}

#define COM 0x3f8

static void test_serial_output(void)
{
	Harness *h = harness_new();
	Sink sink = { 0 };
	new_serial(h, &sink);

	g_assert_cmphex(inb(h, COM + 5), ==, 0x60);
	outb(h, COM + 1, 2);
	g_assert_cmpint(h->level[4], ==, 1);
	g_assert_cmphex(inb(h, COM + 2), ==, 0x02);
	g_assert_cmpint(h->level[4], ==, 0);
	outb(h, COM, 'a');
	g_assert_cmpuint(h->rises[4], ==, 2);
	g_assert_cmpstr(sink.got->str, ==, "a");
	/* a backend that is full: the transmitter is busy, and nothing is lost */
	outb(h, COM + 2, 0x01);
	inb(h, COM + 2);
	sink.room = 1;
	for (const char *p = "bcdefghijklmnop"; *p; p++)
		outb(h, COM, (uint8_t)*p);
	g_assert_cmphex(inb(h, COM + 5) & 0x60, ==, 0);
	g_assert_cmpint(h->level[4], ==, 0);
	g_assert_cmpstr(sink.got->str, ==, "ab");
	sink.room = SIZE_MAX;
	machine_lock();
	sink.c.handlers->writable(sink.c.opaque);
	machine_unlock();
	g_assert_cmpstr(sink.got->str, ==, "abcdefghijklmnop");
	g_assert_cmphex(inb(h, COM + 5) & 0x60, ==, 0x60);
	g_assert_cmpint(h->level[4], ==, 1);
	harness_free(h);
	g_string_free(sink.got, TRUE);
}

static void test_serial_input(void)
{
	Harness *h = harness_new();
	Sink sink = { 0 };
	new_serial(h, &sink);

	outb(h, COM + 1, 5);
	push(&sink, "x");
	g_assert_cmphex(inb(h, COM + 2), ==, 0x04);
	g_assert_cmphex(inb(h, COM + 5) & 1, ==, 1);
	g_assert_cmpuint(sink.c.handlers->can_read(sink.c.opaque), ==, 0);
	g_assert_cmphex(inb(h, COM), ==, 'x');
	g_assert_cmpint(h->level[4], ==, 0);
	/* trigger level 8: less is announced after a while */
	outb(h, COM + 2, 0x81);
	push(&sink, "12345");
	g_assert_cmpint(h->level[4], ==, 0);
	harness_run(h, 20000000);
	g_assert_cmphex(inb(h, COM + 2), ==, 0xcc);
	push(&sink, "678");
	g_assert_cmphex(inb(h, COM + 2), ==, 0xc4);
	for (int i = 0; i < 8; i++)
		g_assert_cmphex(inb(h, COM), ==, '1' + i);
	/* break */
	machine_lock();
	sink.c.handlers->event(sink.c.opaque, CHARDEV_BREAK);
	machine_unlock();
	g_assert_cmphex(inb(h, COM + 2) & 0xf, ==, 0x06);
	g_assert_cmphex(inb(h, COM + 5) & 0x11, ==, 0x11);
	g_assert_cmphex(inb(h, COM + 5) & 0x10, ==, 0);
	harness_free(h);
	g_string_free(sink.got, TRUE);
}

static void test_serial_loop(void)
{
	Harness *h = harness_new();
	Sink sink = { 0 };
	new_serial(h, &sink);

	g_assert_cmphex(inb(h, COM + 6), ==, 0xb0);
	outb(h, COM + 4, 0x1f);
	g_assert_cmphex(inb(h, COM + 6) & 0xf0, ==, 0xf0);
	outb(h, COM + 4, 0x1a);
	g_assert_cmphex(inb(h, COM + 6), ==, 0x96); /* DSR changed, RI ended */
	outb(h, COM, 'q');
	g_assert_cmphex(inb(h, COM), ==, 'q');
	g_assert_cmpuint(sink.got->len, ==, 0);
	outb(h, COM + 3, 0x80);
	outb(h, COM, 0x34);
	outb(h, COM + 1, 0x12);
	g_assert_cmphex(inb(h, COM) | inb(h, COM + 1) << 8, ==, 0x1234);
	outb(h, COM + 3, 3);
	outb(h, COM + 7, 0x5a);
	g_assert_cmphex(inb(h, COM + 7), ==, 0x5a);
	harness_free(h);
	g_string_free(sink.got, TRUE);
}

static unsigned key_read(Harness *h)
{
	g_assert_true(inb(h, 0x64) & 1);
	return inb(h, 0x60);
}

static void test_i8042(void)
{
	Harness *h = harness_new();
	Device *kbc = harness_make(h, &i8042_class);
	device_connect(kbc, "kbd", 0, h->board.gsi[1]);
	device_connect(kbc, "mouse", 0, h->board.gsi[12]);
	harness_realize(kbc);

	outb(h, 0x64, 0xaa);
	g_assert_cmphex(key_read(h), ==, 0x55);
	outb(h, 0x64, 0xab);
	g_assert_cmphex(key_read(h), ==, 0);
	outb(h, 0x64, 0x60);
	outb(h, 0x60, 0x43);
	outb(h, 0x64, 0x20);
	g_assert_cmphex(key_read(h), ==, 0x43);
	outb(h, 0x60, 0xff);
	g_assert_cmpint(h->level[1], ==, 1);
	g_assert_cmphex(key_read(h), ==, 0xfa);
	g_assert_cmphex(key_read(h), ==, 0xaa);
	g_assert_cmpint(h->level[1], ==, 0);
	outb(h, 0x60, 0xf2);
	g_assert_cmphex(key_read(h), ==, 0xfa);
	g_assert_cmphex(key_read(h), ==, 0xab);
	g_assert_cmphex(key_read(h), ==, 0x41);
	/* the mouse; a wheel after the knock */
	outb(h, 0x64, 0xd4);
	outb(h, 0x60, 0xff);
	g_assert_cmpint(h->level[12], ==, 1);
	g_assert_cmphex(inb(h, 0x64) & 0x21, ==, 0x21);
	g_assert_cmphex(key_read(h), ==, 0xfa);
	g_assert_cmphex(key_read(h), ==, 0xaa);
	g_assert_cmphex(key_read(h), ==, 0x00);
	static const uint8_t knock[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2 };
	for (unsigned i = 0; i < sizeof(knock); i++) {
		outb(h, 0x64, 0xd4);
		outb(h, 0x60, knock[i]);
		g_assert_cmphex(key_read(h), ==, 0xfa);
	}
	g_assert_cmphex(key_read(h), ==, 3);
	g_assert_false(inb(h, 0x64) & 1);
	/* A20 and reset */
	outb(h, 0x64, 0xd1);
	outb(h, 0x60, 0xdd);
	g_assert_false(h->board.a20);
	outb(h, 0x64, 0xdf);
	g_assert_true(h->board.a20);
	g_assert_cmpuint(h->requests, ==, 0);
	outb(h, 0x64, 0xfe);
	g_assert_cmpint(h->requested, ==, RUN_RESET);
	harness_free(h);
}

static void test_small_ports(void)
{
	Harness *h = harness_new();
	harness_add(h, &port92_class);
	harness_add(h, &debugexit_class);
	harness_add(h, &pvpanic_class);
	Sink sink = { .c.cls = &sink_class, .c.log = -1, .got = g_string_new(NULL), .room = 3 };
	Device *con = harness_make(h, &debugcon_class);
	device_set_ptr(con, "chardev", &sink.c);
	harness_realize(con);

	outb(h, 0x92, 2);
	g_assert_true(h->board.a20);
	g_assert_cmphex(inb(h, 0x92) & 2, ==, 2);
	outb(h, 0x92, 3);
	g_assert_cmpint(h->requested, ==, RUN_RESET);
	g_assert_cmphex(inb(h, 0x505), ==, 3);
	outb(h, 0x505, 1);
	g_assert_cmpint(h->requested, ==, RUN_PANICKED);
	outb(h, 0x501, 0x21);
	g_assert_cmpint(h->requested, ==, RUN_QUIT);
	g_assert_cmpint(atomic_load(&h->board.exit_status), ==, 0x43);
	g_assert_cmphex(inb(h, 0xe9), ==, 0xe9);
	for (const char *p = "hello"; *p; p++)
		outb(h, 0xe9, (uint8_t)*p);
	g_assert_cmpstr(sink.got->str, ==, "hel");
	sink.room = 100;
	machine_lock();
	sink.c.handlers->writable(sink.c.opaque);
	machine_unlock();
	g_assert_cmpstr(sink.got->str, ==, "hello");
	harness_free(h);
	g_string_free(sink.got, TRUE);
}

/* ---- fw_cfg ---- */

typedef struct Dma { uint32_t control, length; uint64_t address; } Dma;

static uint32_t fw_dma(Harness *h, uint32_t control, uint32_t length, uint64_t address)
{
	Dma d = { GUINT32_TO_BE(control), GUINT32_TO_BE(length), GUINT64_TO_BE(address) };
	guest_write(h->board.mem, 0x1000, &d, sizeof(d));
	outl(h, 0x514, 0);
	outl(h, 0x518, GUINT32_TO_BE(0x1000));
	guest_read(h->board.mem, 0x1000, &d, sizeof(d));
	return GUINT32_FROM_BE(d.control);
}

static void test_fw_cfg(void)
{
	Harness *h = harness_new();
	FwCfgTable *table = g_new0(FwCfgTable, 1);
	uint8_t signature[] = "QEMU", file[] = "0123456789";
	uint8_t *ram = h->board.ram;
	table->generic[0] = (FwCfgEntry){ signature, 4, false };
	table->generic[0x20] = (FwCfgEntry){ file, 10, true };
	Device *fw = harness_make(h, &fw_cfg_class);
	device_set_ptr(fw, "table", table);
	harness_realize(fw);

	outw(h, 0x510, 0);
	for (int i = 0; i < 6; i++)
		g_assert_cmphex(inb(h, 0x511), ==, i < 4 ? signature[i] : 0);
	g_assert_cmphex(inl(h, 0x514), ==, GUINT32_TO_BE(0x51454d55));
	g_assert_cmphex(inl(h, 0x518), ==, GUINT32_TO_BE(0x20434647));
	outw(h, 0x510, 0x7777);
	g_assert_cmphex(inb(h, 0x511), ==, 0);
	/* read, skip, write */
	memset(ram + 0x2000, 0xee, 32);
	g_assert_cmphex(fw_dma(h, 0x20000a, 12, 0x2000), ==, 0);
	g_assert_cmpmem(ram + 0x2000, 13, "0123456789\0\0\xee", 13);
	g_assert_cmphex(fw_dma(h, 0x20000c, 4, 0), ==, 0);
	g_assert_cmphex(fw_dma(h, 2, 2, 0x2000), ==, 0);
	g_assert_cmpmem(ram + 0x2000, 2, "45", 2);
	g_assert_cmphex(fw_dma(h, 0x200018, 3, 0x2000), ==, 0);
	g_assert_cmpmem(file, 4, "4523", 4);
	/* out of bounds, read-only, not RAM */
	g_assert_cmphex(fw_dma(h, 0x200018, 11, 0x2000), ==, 1);
	g_assert_cmphex(fw_dma(h, 0x18, 1, 0x2000), ==, 1);
	g_assert_cmphex(fw_dma(h, 0x20000a, 4, 0xf0000000), ==, 1);
	g_assert_cmphex(fw_dma(h, 0x20000a, UINT32_MAX, 0x3000), ==, 1);
	harness_free(h);
	g_free(table);
}

/* The keyboard's bytes up to the last one, as text. */
static void expect_bytes(Harness *h, const char *bytes)
{
	GString *got = g_string_new(NULL);

	while (inb(h, 0x64) & 1)
		g_string_append_printf(got, "%02x ", inb(h, 0x60));
	g_assert_cmpstr(got->str, ==, bytes);
	g_string_free(got, TRUE);
}

static void tap(Harness *h, unsigned key)
{
	input_key(h->board.display, key, true);
	input_key(h->board.display, key, false);
}

static void keyboard_set(Harness *h, uint8_t set)
{
	outb(h, 0x60, 0xf0);
	outb(h, 0x60, set);
	expect_bytes(h, "fa fa ");
}

static Harness *with_keyboard(void)
{
	Harness *h = harness_new();

	Device *kbc = harness_make(h, &i8042_class);
	device_connect(kbc, "kbd", 0, h->board.gsi[1]);
	device_connect(kbc, "mouse", 0, h->board.gsi[12]);
	harness_realize(kbc);
	return h;
}

static void test_keys(void)
{
	Harness *h = with_keyboard();

	tap(h, KEY_A);
	g_assert_cmpint(h->level[1], ==, 1);
	expect_bytes(h, "1c f0 1c ");
	g_assert_cmpint(h->level[1], ==, 0);
	tap(h, KEY_F7);
	tap(h, KEY_DELETE);
	expect_bytes(h, "83 f0 83 e0 71 e0 f0 71 ");
	tap(h, KEY_PAUSE);
	expect_bytes(h, "e1 14 77 e1 f0 14 f0 77 ");
	tap(h, KEY_SYSRQ);
	expect_bytes(h, "e0 12 e0 7c e0 f0 7c e0 f0 12 ");
	input_key(h->board.display, KEY_LEFTALT, true);
	tap(h, KEY_SYSRQ);
	input_key(h->board.display, KEY_LEFTALT, false);
	expect_bytes(h, "11 84 f0 84 f0 11 ");
	input_key(h->board.display, KEY_RIGHTCTRL, true);
	tap(h, KEY_PAUSE);
	input_key(h->board.display, KEY_RIGHTCTRL, false);
	expect_bytes(h, "e0 14 e0 7e e0 f0 7e e0 f0 14 ");
	outb(h, 0x64, 0x60); /* the controller translates to set 1 */
	outb(h, 0x60, 0x43);
	tap(h, KEY_A);
	tap(h, KEY_F7);
	tap(h, KEY_DELETE);
	expect_bytes(h, "1e 9e 41 c1 e0 53 e0 d3 ");
	tap(h, KEY_PAUSE);
	expect_bytes(h, "e1 1d 45 e1 9d c5 ");
	outb(h, 0x64, 0x60);
	outb(h, 0x60, 0x03);
	keyboard_set(h, 1);
	tap(h, KEY_DELETE);
	tap(h, KEY_PAUSE);
	expect_bytes(h, "e0 53 e0 d3 e1 1d 45 e1 9d c5 ");
	keyboard_set(h, 3);
	tap(h, KEY_DELETE);
	tap(h, KEY_A);
	expect_bytes(h, "64 f0 64 1c f0 1c ");
	harness_free(h);
}

/* A keyboard that nobody reads from drops whole keys, and has room for answers. */
static void test_key_overflow(void)
{
	Harness *h = with_keyboard();

	for (unsigned i = 0; i < 100; i++)
		tap(h, KEY_A);
	unsigned bytes = 0;
	while (inb(h, 0x64) & 1) {
		uint32_t byte = inb(h, 0x60);
		g_assert_cmphex(byte, ==, bytes % 3 == 1 ? 0xf0 : 0x1c);
		bytes++;
	}
	g_assert_cmpuint(bytes, ==, 6 * 3);
	outb(h, 0x60, 0xed);
	outb(h, 0x60, 0x06);
	expect_bytes(h, "fa fa ");
	g_assert_cmpuint(input_leds(h->board.display), ==, LED_NUM | LED_CAPS);
	outb(h, 0x60, 0xf5); /* off: nothing is said */
	tap(h, KEY_A);
	expect_bytes(h, "fa ");
	harness_free(h);
}

static void mouse_command(Harness *h, uint8_t byte)
{
	outb(h, 0x64, 0xd4);
	outb(h, 0x60, byte);
}

static void test_mouse(void)
{
	Harness *h = with_keyboard();
	Display *d = h->board.display;

	input_move(d, 5, 5);
	input_sync(d);
	expect_bytes(h, ""); /* not asked for yet */
	mouse_command(h, 0xf4);
	expect_bytes(h, "fa ");
	input_move(d, 5, -3);
	input_button(d, BUTTON_RIGHT, true);
	input_sync(d);
	g_assert_cmpint(h->level[12], ==, 1);
	expect_bytes(h, "0a 05 03 ");
	input_move(d, -300, 0);
	input_button(d, BUTTON_RIGHT, false);
	input_sync(d);
	expect_bytes(h, "18 01 00 18 d3 00 ");
	mouse_command(h, 0xe9);
	expect_bytes(h, "fa 20 02 64 ");
	static const uint8_t knock[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf3, 200, 0xf3, 200, 0xf3, 80 };
	for (unsigned i = 0; i < sizeof(knock); i++)
		mouse_command(h, knock[i]);
	while (inb(h, 0x64) & 1)
		inb(h, 0x60);
	input_button(d, BUTTON_WHEEL_DOWN, true);
	input_button(d, BUTTON_SIDE, true);
	input_sync(d);
	expect_bytes(h, "08 00 00 11 ");
	for (unsigned i = 0; i < 1000; i++) { /* nobody reads: one movement, not a thousand */
		input_move(d, 1, 1);
		input_sync(d);
	}
	int x = 0, y = 0;
	while (inb(h, 0x64) & 1) {
		uint32_t flags = inb(h, 0x60);
		x += (int)inb(h, 0x60) - (flags & 0x10 ? 256 : 0);
		y += (int)inb(h, 0x60) - (flags & 0x20 ? 256 : 0);
		inb(h, 0x60);
	}
	g_assert_cmpint(x, ==, 1000);
	g_assert_cmpint(y, ==, -1000);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ports/serial/output", test_serial_output);
	g_test_add_func("/ports/serial/input", test_serial_input);
	g_test_add_func("/ports/serial/loop", test_serial_loop);
	g_test_add_func("/ports/i8042", test_i8042);
	g_test_add_func("/ports/keys", test_keys);
	g_test_add_func("/ports/key-overflow", test_key_overflow);
	g_test_add_func("/ports/mouse", test_mouse);
	g_test_add_func("/ports/small", test_small_ports);
	g_test_add_func("/ports/fw_cfg", test_fw_cfg);
	return g_test_run();
}
