/*
 * test-floppy.c - DMA controllers, floppy controller and drives through their registers.
 */
#include <string.h>

#include "core/lock.h"
#include "harness.h"
#include "hw/block/floppy.h"
#include "hw/classes.h"

#define AT 0x23000u

typedef struct Rig { Harness *h; Blk *blk; } Rig;

static void rig_new(Rig *r, uint64_t length, bool read_only)
{
	Harness *h = r->h = harness_new();
	GError *error = NULL;
	char *size = g_strdup_printf("%" G_GUINT64_FORMAT, length);

	Device *dma = harness_add(h, &i8257_class);
	Device *fdc = harness_make(h, &isa_fdc_class);
	device_set_ptr(fdc, "dma", dma);
	device_connect(fdc, "irq", 0, h->board.gsi[6]);
	harness_realize(fdc);
	r->blk = blk_new("fd");
	blk_set_read_only(r->blk, read_only);
	if (length) {
		Node *node = node_open(loop_main(), NULL, json_pack("{s:s, s:s, s:b}", "driver", "null-co",
			"size", size, "read-zeroes", 1), NODE_WRITE, &error);
		g_assert_no_error(error);
		blk_insert(r->blk, node);
	}
	Device *floppy = harness_make(h, &floppy_class);
	device_set_ptr(floppy, "drive", r->blk);
	harness_realize(floppy);
	g_free(size);
}

static void rig_free(Rig *r)
{
	harness_free(r->h);
	machine_lock();
	blk_free(r->blk);
	machine_unlock();
}

static void send(Rig *r, const uint8_t *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		g_assert_cmphex(inb(r->h, 0x3f4) & 0xc0, ==, 0x80);
		outb(r->h, 0x3f5, bytes[i]);
	}
}
#define SEND(r, ...) send(r, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void expect(Rig *r, const uint8_t *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		g_assert_cmphex(inb(r->h, 0x3f4) & 0xd0, ==, 0xd0);
		g_assert_cmphex(inb(r->h, 0x3f5), ==, bytes[i]);
	}
	g_assert_cmphex(inb(r->h, 0x3f4) & 0xf0, ==, 0x80);
}
#define EXPECT(r, ...) expect(r, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void wait_irq(Rig *r)
{
	for (int i = 0; i < 1000 && !r->h->level[6]; i++)
		harness_run(r->h, 1000000);
	g_assert_cmpint(r->h->level[6], ==, 1);
}

/* Out of reset, four answers, rate for 1.44 MB. */
static void start(Rig *r)
{
	outb(r->h, 0x3f2, 0x00);
	outb(r->h, 0x3f2, 0x1c);
	wait_irq(r);
	for (uint8_t i = 0; i < 4; i++) {
		SEND(r, 0x08);
		EXPECT(r, 0xc0 | i, 0);
	}
	SEND(r, 0x08);
	EXPECT(r, 0x80);
	outb(r->h, 0x3f7, 0);
	SEND(r, 0x03, 0xdf, 0x02);
}

static void program_dma(Rig *r, uint8_t mode, uint32_t at, unsigned len)
{
	outb(r->h, 0x0a, 6);
	outb(r->h, 0x0c, 0);
	outb(r->h, 0x0b, mode | 2);
	outb(r->h, 0x04, at & 0xff);
	outb(r->h, 0x04, at >> 8 & 0xff);
	outb(r->h, 0x81, at >> 16);
	outb(r->h, 0x05, (len - 1) & 0xff);
	outb(r->h, 0x05, (len - 1) >> 8);
	outb(r->h, 0x0a, 2);
}

static void test_commands(void)
{
	Rig r;
	rig_new(&r, 1440 * 1024, false);
	start(&r);
	SEND(&r, 0x10);
	EXPECT(&r, 0x90);
	SEND(&r, 0x18);
	EXPECT(&r, 0x41);
	SEND(&r, 0x94);
	EXPECT(&r, 0x10);
	SEND(&r, 0x13, 0, 0x57, 0);
	SEND(&r, 0x0e);
	EXPECT(&r, 0, 0, 0, 0, 0xdf, 0x02, 0, 0x80, 0x57, 0);
	SEND(&r, 0xff);
	EXPECT(&r, 0x80);
	g_assert_cmphex(inb(r.h, 0x3f7) & 0x80, ==, 0x80); /* changed: it was put in */
	SEND(&r, 0x0f, 0, 5);
	wait_irq(&r);
	SEND(&r, 0x08);
	EXPECT(&r, 0x20, 5);
	g_assert_cmphex(inb(r.h, 0x3f7) & 0x80, ==, 0);
	SEND(&r, 0x8f, 0, 2);
	SEND(&r, 0x08);
	EXPECT(&r, 0x20, 3);
	SEND(&r, 0x07, 0);
	SEND(&r, 0x08);
	EXPECT(&r, 0x20, 0);
	SEND(&r, 0x04, 0x04);
	EXPECT(&r, 0x3c);
	SEND(&r, 0x07, 1); /* there is no B */
	SEND(&r, 0x08);
	EXPECT(&r, 0x71, 0);
	SEND(&r, 0x4a, 0x04);
	wait_irq(&r);
	EXPECT(&r, 0x04, 0, 0, 0, 1, 1, 2);
	g_assert_cmpint(r.h->level[6], ==, 0);
	rig_free(&r);
}

static void test_dma(void)
{
	Rig r;
	rig_new(&r, 1440 * 1024, false);
	start(&r);
	memset(r.h->board.ram + AT, 0xaa, 8192);
	program_dma(&r, 0x44, AT, 1024);
	SEND(&r, 0xe6, 0, 0, 0, 18, 2, 18, 0x1b, 0xff); /* on to the second head */
	wait_irq(&r);
	EXPECT(&r, 0x04, 0, 0, 0, 1, 2, 2);
	g_assert_cmphex(readl(r.h, AT + 1020), ==, 0);
	g_assert_cmphex(readl(r.h, AT + 1024), ==, 0xaaaaaaaa);
	g_assert_cmphex(inb(r.h, 0x08), ==, 0x04); /* terminal count; reading clears */
	g_assert_cmphex(inb(r.h, 0x08), ==, 0);
	/* Masked: it waits. */
	program_dma(&r, 0x48, AT, 512);
	outb(r.h, 0x0a, 6);
	SEND(&r, 0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	g_assert_cmphex(inb(r.h, 0x3f4), ==, 0x10);
	outb(r.h, 0x0a, 2);
	wait_irq(&r);
	EXPECT(&r, 0, 0, 0, 0, 0, 2, 2);
	/* The track ends before the count does. */
	program_dma(&r, 0x44, AT, 2048);
	SEND(&r, 0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	wait_irq(&r);
	EXPECT(&r, 0x40, 0x80, 0, 1, 0, 1, 2);
	/* What is not there. */
	static const uint8_t bad[][4] = { { 1, 0, 1, 2 }, { 0, 0, 19, 2 }, { 0, 0, 0, 2 }, { 0, 0, 1, 3 }, { 0, 1, 1, 2 } };
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		SEND(&r, 0x46, 0, bad[i][0], bad[i][1], bad[i][2], bad[i][3], 18, 0x1b, 0xff);
		wait_irq(&r);
		g_assert_cmphex(inb(r.h, 0x3f5), ==, 0x40 | bad[i][1] << 2);
		g_assert_cmphex(inb(r.h, 0x3f5), ==, 0x04);
		while (inb(r.h, 0x3f4) & 0x40)
			inb(r.h, 0x3f5);
	}
	/* Another data rate than the medium's. */
	outb(r.h, 0x3f7, 2);
	SEND(&r, 0x4a, 0);
	wait_irq(&r);
	EXPECT(&r, 0x40, 0x01, 0, 0, 0, 1, 2);
	/* FORMAT TRACK, two sectors. */
	outb(r.h, 0x3f7, 0);
	memcpy(r.h->board.ram + AT, (uint8_t[]){ 0, 0, 1, 2, 0, 0, 2, 2 }, 8);
	program_dma(&r, 0x48, AT, 8);
	SEND(&r, 0x4d, 0, 2, 2, 0x50, 0xf6);
	wait_irq(&r);
	EXPECT(&r, 0, 0, 0, 0, 0, 2, 2);
	rig_free(&r);
}

static void test_without_dma(void)
{
	Rig r;
	rig_new(&r, 1440 * 1024, true);
	start(&r);
	SEND(&r, 0x03, 0xdf, 0x03);
	SEND(&r, 0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned sector = 0; sector < 2; sector++) {
		wait_irq(&r);
		for (unsigned i = 0; i < 512; i++) {
			g_assert_cmphex(inb(r.h, 0x3f4), ==, 0xf0);
			g_assert_cmphex(inb(r.h, 0x3f5), ==, 0);
		}
	}
	wait_irq(&r);
	EXPECT(&r, 0, 0, 0, 1, 0, 1, 2);
	SEND(&r, 0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff); /* protected */
	wait_irq(&r);
	EXPECT(&r, 0x40, 0x02, 0, 0, 0, 1, 2);
	rig_free(&r);
}

static void test_types(void)
{
	static const struct { uint64_t kib; uint8_t sectors, heads, cylinders; FloppyType type; } sizes[] = {
		{ 0, 0, 0, 0, FLOPPY_288 }, { 160, 8, 1, 40, FLOPPY_120 }, { 180, 9, 1, 40, FLOPPY_120 },
		{ 320, 8, 2, 40, FLOPPY_120 }, { 360, 9, 2, 40, FLOPPY_120 }, { 720, 9, 2, 80, FLOPPY_144 },
		{ 1200, 15, 2, 80, FLOPPY_120 }, { 1440, 18, 2, 80, FLOPPY_144 }, { 2880, 36, 2, 80, FLOPPY_288 },
		{ 4, 18, 2, 80, FLOPPY_144 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		Rig r;
		rig_new(&r, sizes[i].kib * 1024, false);
		Floppy *f = floppy_of_board(&r.h->board, 0);
		g_assert_cmpuint(f->format.sectors, ==, sizes[i].sectors);
		g_assert_cmpuint(f->format.heads, ==, sizes[i].heads);
		g_assert_cmpuint(f->format.cylinders, ==, sizes[i].cylinders);
		g_assert_cmpint(floppy_type(f), ==, sizes[i].type);
		rig_free(&r);
	}
}

static void test_noise(void)
{
	static const uint16_t ports[] = { 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f7, 0x0a, 0x0b, 0x04, 0x05, 0x0f, 0xd4, 0x81 };
	static const uint8_t starts[] = { 0xe6, 0xc5, 0x4d, 0x42, 0x56, 0x2e, 0x4e, 0x0f, 0x03, 0x4a, 0x08 };
	Rig r;
	rig_new(&r, 1440 * 1024, false);
	gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
	while (g_get_monotonic_time() < end) {
		for (unsigned i = 0; i < 200; i++) {
			uint16_t port = ports[g_test_rand_int_range(0, G_N_ELEMENTS(ports))];
			unsigned dice = (unsigned)g_test_rand_int_range(0, 16);
			uint8_t value = (uint8_t)g_test_rand_int();
			if (port == 0x3f2 && dice)
				value |= 0x0c;
			if (port == 0x3f5 && dice > 8)
				value = dice > 12 ? (uint8_t)(value % 3) : starts[value % G_N_ELEMENTS(starts)];
			if (dice == 7)
				inb(r.h, port);
			else
				outb(r.h, port, value);
		}
		machine_lock();
		for (unsigned i = 0; i < 5; i++)
			loop_poll(loop_main(), false);
		machine_unlock();
	}
	harness_reset(r.h);
	start(&r);
	SEND(&r, 0x10);
	EXPECT(&r, 0x90);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	g_test_add_func("/floppy/commands", test_commands);
	g_test_add_func("/floppy/dma", test_dma);
	g_test_add_func("/floppy/without-dma", test_without_dma);
	g_test_add_func("/floppy/types", test_types);
	g_test_add_func("/floppy/noise", test_noise);
	return g_test_run();
}
