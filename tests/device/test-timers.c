/* test-timers.c - PIT, port 61h, RTC, HPET and the ACPI timer through their registers. */
#include "core/lock.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/timer/rtc.h"

/* Guest time passes only where a test says so: what is counted is exact. */
static Harness *still_new(void)
{
	Harness *h = harness_new();
	harness_freeze(h);
	return h;
}

static void test_pit(void)
{
	Harness *h = still_new();
	Device *pit = harness_make(h, &i8254_class);
	device_connect(pit, "irq", 0, h->board.gsi[0]);
	harness_realize(pit);

	outb(h, 0x43, 0x34); /* channel 0, mode 2, 1 kHz */
	outb(h, 0x40, 1193 & 0xff);
	outb(h, 0x40, 1193 >> 8);
	harness_run(h, 20000000);
	g_assert_cmpuint(h->rises[0], ==, 20);
	/* the count runs downwards, in range, low byte first when latched */
	for (int i = 0; i < 50; i++) {
		harness_run(h, 37000);
		outb(h, 0x43, 0x00);
		unsigned count = inb(h, 0x40);
		count |= inb(h, 0x40) << 8;
		g_assert_cmpuint(count, >=, 1);
		g_assert_cmpuint(count, <=, 1193);
	}
	outb(h, 0x43, 0xe2); /* read back status of channel 0 */
	g_assert_cmphex(inb(h, 0x40) & 0x3f, ==, 0x34);
	/* mode 0: one edge */
	outb(h, 0x43, 0x30);
	outb(h, 0x40, 0x00);
	outb(h, 0x40, 0x08);
	h->rises[0] = 0;
	harness_run(h, 10000000);
	g_assert_cmpuint(h->rises[0], ==, 1);
	harness_free(h);
}

static void test_speaker_channel(void)
{
	Harness *h = still_new();
	Device *pit = harness_add(h, &i8254_class);
	Device *port = harness_make(h, &port61_class);
	device_set_ptr(port, "pit", pit);
	harness_realize(port);

	/* as Linux calibrates the TSC */
	outb(h, 0x61, (inb(h, 0x61) & ~2u) | 1);
	outb(h, 0x43, 0xb0);
	outb(h, 0x42, 0x00);
	outb(h, 0x42, 0x10);
	g_assert_false(inb(h, 0x61) & 0x20);
	harness_run(h, 2000000);
	outb(h, 0x61, 0); /* the gate holds it */
	harness_run(h, 5000000);
	g_assert_false(inb(h, 0x61) & 0x20);
	outb(h, 0x61, 1);
	harness_run(h, 4000000);
	g_assert_true(inb(h, 0x61) & 0x20);
	unsigned toggles = 0;
	for (int i = 0; i < 20; i++) {
		toggles |= 1u << (inb(h, 0x61) >> 4 & 1);
		harness_run(h, 16000);
	}
	g_assert_cmphex(toggles, ==, 3);
	harness_free(h);
}

static unsigned cmos(Harness *h, unsigned reg)
{
	outb(h, 0x70, reg);
	return inb(h, 0x71);
}

static void set_cmos(Harness *h, unsigned reg, unsigned value)
{
	outb(h, 0x70, reg);
	outb(h, 0x71, value);
}

static Device *new_rtc(Harness *h, const char *base)
{
	GError *error = NULL;
	Device *rtc = harness_make(h, &rtc_class);
	device_set(rtc, "base", base, &error);
	device_set(rtc, "clock", "vm", &error);
	g_assert_no_error(error);
	device_connect(rtc, "irq", 0, h->board.gsi[8]);
	harness_realize(rtc);
	return rtc;
}

static void test_rtc_time(void)
{
	Harness *h = still_new();
	Device *rtc = new_rtc(h, "2024-02-29T23:59:10");

	g_assert_cmphex(cmos(h, 0), ==, 0x10);
	g_assert_cmphex(cmos(h, 2), ==, 0x59);
	g_assert_cmphex(cmos(h, 4), ==, 0x23);
	g_assert_cmphex(cmos(h, 6), ==, 5); /* a Thursday */
	g_assert_cmphex(cmos(h, 7), ==, 0x29);
	g_assert_cmphex(cmos(h, 8), ==, 0x02);
	g_assert_cmphex(cmos(h, 9), ==, 0x24);
	g_assert_cmphex(cmos(h, 0x32), ==, 0x20);
	g_assert_cmphex(cmos(h, 13), ==, 0x80);
	/* set it as a guest does, in binary, 12 hours */
	set_cmos(h, 11, 0x84);
	set_cmos(h, 0, 30);
	set_cmos(h, 2, 15);
	set_cmos(h, 4, 0x80 | 3); /* 3 pm */
	set_cmos(h, 7, 1);
	set_cmos(h, 8, 12);
	set_cmos(h, 9, 99);
	set_cmos(h, 0x32, 20);
	g_assert_cmpuint(cmos(h, 0), ==, 30);
	set_cmos(h, 11, 0x04);
	set_cmos(h, 11, 0x02); /* BCD, 24 hours */
	g_assert_cmphex(cmos(h, 4), ==, 0x15);
	g_assert_cmphex(cmos(h, 9), ==, 0x99);
	/* nonsense stays within what can be counted */
	set_cmos(h, 0x32, 0xff);
	set_cmos(h, 9, 0xff);
	set_cmos(h, 8, 0xff);
	g_assert_cmphex(cmos(h, 0), <=, 0x59);
	rtc_set_cmos(rtc, 0x5b, 0xa5);
	machine_lock();
	device_reset(rtc);
	machine_unlock();
	g_assert_cmphex(cmos(h, 0x5b), ==, 0xa5);
	harness_free(h);
}

static void test_rtc_interrupts(void)
{
	Harness *h = still_new();
	new_rtc(h, "2024-01-01T00:00:00");

	set_cmos(h, 10, 0x26); /* 1024 Hz */
	set_cmos(h, 11, 0x42);
	harness_run(h, 5000000);
	g_assert_true(h->level[8]);
	g_assert_cmphex(cmos(h, 12) & 0xc0, ==, 0xc0);
	g_assert_false(h->level[8]);
	harness_run(h, 5000000);
	g_assert_true(h->level[8]);
	set_cmos(h, 11, 0x02);
	cmos(h, 12);
	g_assert_false(h->level[8]);
	/* alarm at any second */
	set_cmos(h, 1, 0xff);
	set_cmos(h, 3, 0xff);
	set_cmos(h, 5, 0xff);
	h->rises[8] = 0;
	set_cmos(h, 11, 0x22);
	harness_run(h, 1100000000);
	g_assert_cmpuint(h->rises[8], ==, 1);
	g_assert_cmphex(cmos(h, 12) & 0xb0, ==, 0xb0);
	harness_free(h);
}

static void test_rtc_bad_base(void)
{
	Harness *h = still_new();
	GError *error = NULL;
	Device *rtc = harness_make(h, &rtc_class);
	device_set(rtc, "base", "yesterday", &error);
	g_assert_false(device_realize(rtc, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	harness_free(h);
}

#define HPET 0xfed00000ull

static Device *new_hpet(Harness *h)
{
	Device *hpet = harness_make(h, &hpet_class);
	for (unsigned i = 0; i < BOARD_GSI_COUNT; i++)
		device_connect(hpet, "gsi", i, h->board.gsi[i]);
	harness_realize(hpet);
	return hpet;
}

static void test_hpet(void)
{
	Harness *h = still_new();
	new_hpet(h);

	g_assert_cmphex(readl(h, HPET), ==, 0x8086a201);
	g_assert_cmpuint(readl(h, HPET + 4), ==, 10000000);
	g_assert_cmpuint(readl(h, HPET + 0xf0), ==, 0);
	writel(h, HPET + 0x10, 1);
	harness_run(h, 1000000);
	g_assert_cmpuint(readl(h, HPET + 0xf0), ==, 100000);
	/* one-shot on timer 1, routed to gsi 2 */
	writel(h, HPET + 0x120, 2u << 9 | 0x104);
	writel(h, HPET + 0x128, readl(h, HPET + 0xf0) + 200000);
	harness_run(h, 5000000);
	g_assert_cmpuint(h->rises[2], ==, 1);
	/* periodic on timer 0, level */
	writel(h, HPET + 0x100, 2u << 9 | 0x14e);
	writel(h, HPET + 0x108, readl(h, HPET + 0xf0) + 100000);
	writel(h, HPET + 0x108, 100000);
	for (int i = 0; i < 3; i++) {
		harness_run(h, 3000000);
		g_assert_true(h->level[2]);
		g_assert_cmphex(readl(h, HPET + 0x20), ==, 1);
		writel(h, HPET + 0x20, 1);
		g_assert_false(h->level[2]);
	}
	/* by message */
	writel(h, HPET + 0x140, 0x4104);
	writel(h, HPET + 0x150, 0x55);
	writel(h, HPET + 0x154, 0xfee00000);
	writel(h, HPET + 0x148, readl(h, HPET + 0xf0) + 1000);
	harness_run(h, 10000);
	g_assert_cmpuint(h->msi_count, ==, 1);
	g_assert_cmphex(h->msi_data, ==, 0x55);
	harness_free(h);
}

static void test_hpet_legacy(void)
{
	Harness *h = still_new();
	Device *hpet = new_hpet(h);
	Irq pit = device_input(hpet, "pit", 0), rtc = device_input(hpet, "rtc", 0);

	irq_pulse(&pit);
	g_assert_cmpuint(h->rises[0], ==, 1);
	writel(h, HPET + 0x10, 3);
	irq_pulse(&pit);
	irq_pulse(&rtc);
	g_assert_cmpuint(h->rises[0] + h->rises[8], ==, 1);
	writel(h, HPET + 0x100, 0x104);
	writel(h, HPET + 0x108, readl(h, HPET + 0xf0) + 10000);
	harness_run(h, 3000000);
	g_assert_cmpuint(h->rises[0], ==, 2);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/timers/pit", test_pit);
	g_test_add_func("/timers/speaker-channel", test_speaker_channel);
	g_test_add_func("/timers/rtc/time", test_rtc_time);
	g_test_add_func("/timers/rtc/interrupts", test_rtc_interrupts);
	g_test_add_func("/timers/rtc/bad-base", test_rtc_bad_base);
	g_test_add_func("/timers/hpet", test_hpet);
	g_test_add_func("/timers/hpet/legacy", test_hpet_legacy);
	return g_test_run();
}
