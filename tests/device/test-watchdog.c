/* test-watchdog.c - the i6300esb: stages, locks, what a reset leaves; and pvpanic-pci. */
#include "core/lock.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define SLOT 5
#define REGS 0xd0000000u
#define CONFIG 0x60
#define LOCK 0x68
#define NO_INTERRUPT 3u
#define FAST 4u
#define NO_REBOOT 0x20u
#define LOCKED 1u
#define ENABLE 2u
#define FREE_RUN 4u
#define MS 1000000

static unsigned fired;

static void watchdog(Board *board)
{
	fired++;
}

static Device *new_device(Harness **h, const DeviceClass *cls)
{
	*h = harness_new();
	(*h)->board.watchdog = watchdog;
	fired = 0;
	harness_add(*h, &i440fx_pcihost_class);
	Device *dev = harness_make(*h, cls);
	harness_set(dev, "addr", "5");
	harness_realize(dev);
	pci_out(*h, SLOT, 0, PCI_BAR0, REGS, 4);
	pci_out(*h, SLOT, 0, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	harness_freeze(*h);
	return dev;
}

static Device *new_watchdog(Harness **h)
{
	return new_device(h, &i6300esb_class);
}

static void out16(Harness *h, unsigned reg, uint16_t value)
{
	as_store(h->board.mem, REGS + reg, value, 2);
}

static void unlock(Harness *h)
{
	out16(h, 0xc, 0x80);
	out16(h, 0xc, 0x86);
}

/* Stages of `first` and `second` milliseconds, as near as ticks of 32 clocks are. */
static void set_stages(Harness *h, unsigned first, unsigned second)
{
	unlock(h);
	writel(h, REGS, first * 33000 / 32);
	unlock(h);
	writel(h, REGS + 4, second * 33000 / 32);
}

static void test_stages(void)
{
	Harness *h;
	new_watchdog(&h);
	g_assert_cmphex(pci_in(h, SLOT, 0, 0, 4), ==, 0x25ab8086);
	g_assert_cmphex(pci_in(h, SLOT, 0, PCI_CLASS, 2), ==, 0x0880);
	set_stages(h, 10, 20);
	pci_out(h, SLOT, 0, CONFIG, FAST, 2);
	pci_out(h, SLOT, 0, LOCK, ENABLE, 1);
	harness_run(h, 9 * MS);
	g_assert_cmphex(readl(h, REGS + 8), ==, 0);
	harness_run(h, 2 * MS);
	g_assert_cmphex(readl(h, REGS + 8), ==, 1); /* the first stage's interrupt */
	writel(h, REGS + 8, 1);
	g_assert_cmphex(readl(h, REGS + 8), ==, 0);
	g_assert_cmpuint(fired, ==, 0);
	harness_run(h, 18 * MS);
	g_assert_cmpuint(fired, ==, 0);
	harness_run(h, 2 * MS);
	g_assert_cmpuint(fired, ==, 1);
	/* as after a reset, but for what tells that it was the watchdog */
	g_assert_cmphex(pci_in(h, SLOT, 0, LOCK, 1), ==, 0);
	g_assert_cmphex(readl(h, REGS), ==, 0xfffff);
	g_assert_cmphex(readl(h, REGS + 0xc), ==, 0x200);
	harness_run(h, 5000 * (int64_t)MS);
	g_assert_cmpuint(fired, ==, 1);
	harness_free(h);
}

static void test_reload(void)
{
	Harness *h;
	new_watchdog(&h);
	set_stages(h, 10, 10);
	pci_out(h, SLOT, 0, CONFIG, FAST | NO_INTERRUPT, 2);
	pci_out(h, SLOT, 0, LOCK, ENABLE, 1);
	for (unsigned i = 0; i < 10; i++) {
		harness_run(h, 15 * MS);
		unlock(h);
		out16(h, 0xc, 0x100);
	}
	g_assert_cmpuint(fired, ==, 0);
	g_assert_cmphex(readl(h, REGS + 8), ==, 0); /* it raises none */
	/* without the magic numbers a reload does nothing, and one write uses them up */
	harness_run(h, 15 * MS);
	unlock(h);
	writel(h, REGS, 1000 * 33000 / 32);
	out16(h, 0xc, 0x100);
	harness_run(h, 6 * MS);
	g_assert_cmpuint(fired, ==, 1);
	unlock(h);
	out16(h, 0xc, 0x200);
	g_assert_cmphex(readl(h, REGS + 0xc), ==, 0);
	harness_free(h);
}

static void test_unlock(void)
{
	Harness *h;
	new_watchdog(&h);
	writel(h, REGS, 1);
	out16(h, 0xc, 0x86);
	writel(h, REGS, 2);
	out16(h, 0xc, 0x80);
	writel(h, REGS, 3);
	out16(h, 0xc, 0x86);
	writel(h, REGS, 4);
	g_assert_cmphex(readl(h, REGS), ==, 0xfffff);
	unlock(h);
	writel(h, REGS, 0xffff1234);
	g_assert_cmphex(readl(h, REGS), ==, 0xf1234);
	unlock(h);
	out16(h, 4, 5); /* counts are written whole */
	g_assert_cmphex(readl(h, REGS + 4), ==, 0xfffff);
	harness_free(h);
}

static void test_lock(void)
{
	Harness *h;
	Device *dev = new_watchdog(&h);
	set_stages(h, 5, 5);
	pci_out(h, SLOT, 0, CONFIG, FAST, 2);
	pci_out(h, SLOT, 0, LOCK, ENABLE, 1);
	pci_out(h, SLOT, 0, LOCK, 0, 1);
	harness_run(h, 50 * MS);
	g_assert_cmpuint(fired, ==, 0);
	pci_out(h, SLOT, 0, LOCK, ENABLE | LOCKED, 1);
	pci_out(h, SLOT, 0, LOCK, 0, 1);
	g_assert_cmphex(pci_in(h, SLOT, 0, LOCK, 1), ==, ENABLE | LOCKED);
	harness_run(h, 6 * MS);
	machine_lock();
	device_reset(dev);
	machine_unlock();
	harness_run(h, 50 * MS);
	g_assert_cmpuint(fired, ==, 0);
	pci_out(h, SLOT, 0, LOCK, FREE_RUN, 1);
	g_assert_cmphex(pci_in(h, SLOT, 0, LOCK, 1), ==, FREE_RUN);
	harness_free(h);
}

/* Without effect outside, and as fast as it goes. */
static void test_free_run(void)
{
	Harness *h;
	new_watchdog(&h);
	unlock(h);
	writel(h, REGS, 0);
	unlock(h);
	writel(h, REGS + 4, 0);
	pci_out(h, SLOT, 0, CONFIG, FAST | NO_REBOOT, 2);
	pci_out(h, SLOT, 0, LOCK, ENABLE | FREE_RUN, 1);
	for (unsigned i = 0; i < 5; i++) {
		harness_run(h, 10 * MS);
		g_assert_cmphex(readl(h, REGS + 8), ==, 1);
		writel(h, REGS + 8, 1);
	}
	g_assert_cmpuint(fired, ==, 0);
	harness_free(h);
}

static void test_pvpanic(void)
{
	Harness *h;
	new_device(&h, &pvpanic_pci_class);
	g_assert_cmphex(pci_in(h, SLOT, 0, 0, 4), ==, 0x00111b36);
	g_assert_cmphex(as_load(h->board.mem, REGS, 1), ==, 3);
	as_store(h->board.mem, REGS + 1, 1, 1);
	as_store(h->board.mem, REGS, 4, 1);
	g_assert_cmpuint(h->requests, ==, 0);
	as_store(h->board.mem, REGS, 2, 1);
	g_assert_cmpint(h->requested, ==, RUN_CRASHLOADED);
	as_store(h->board.mem, REGS, 1, 1);
	g_assert_cmpint(h->requested, ==, RUN_PANICKED);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/watchdog/stages", test_stages);
	g_test_add_func("/watchdog/reload", test_reload);
	g_test_add_func("/watchdog/unlock", test_unlock);
	g_test_add_func("/watchdog/lock", test_lock);
	g_test_add_func("/watchdog/free-run", test_free_run);
	g_test_add_func("/watchdog/pvpanic-pci", test_pvpanic);
	return g_test_run();
}
