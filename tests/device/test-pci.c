/* test-pci.c - configuration space, BARs, shadow RAM, interrupt steering, power management. */
#include <string.h>

#include "core/lock.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

/* ---- a function to try the bus with ---- */

typedef struct Probe {
	PciDevice pci;
	Region io, mem;
	unsigned writes;
} Probe;

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
	return 0xa0 + offset;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	((Probe *)opaque)->writes++;
}

static const RegionOps probe_ops = { probe_read, probe_write, 1, 4 };

static bool probe_realize(Device *dev, GError **error)
{
	Probe *s = (Probe *)dev;
	static const PciIdentity id = { 0x1234, 0x5678, 0x0200, .revision = 7, .int_pin = 1 };
	if (!pci_init(&s->pci, &id, error))
		return false;
	region_init_io(&s->io, "probe-io", &probe_ops, s, 32);
	region_init_io(&s->mem, "probe-mem", &probe_ops, s, 0x4000);
	pci_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
	pci_bar(&s->pci, 2, PCI_BAR_MEM64_PREFETCH, &s->mem);
	pci_add_capability(&s->pci, 9, 20);
	return true;
}

static void probe_reset(Device *dev) { pci_reset(&((Probe *)dev)->pci); }
static void probe_unrealize(Device *dev) { pci_exit(&((Probe *)dev)->pci); }

static const Property probe_props[] = { PCI_PROPERTIES, { 0 } };
static const DeviceClass probe_class = {
	.name = "probe", .bus = "pci", .size = sizeof(Probe), .props = probe_props,
	.realize = probe_realize, .reset = probe_reset, .unrealize = probe_unrealize,
};

static Harness *new_pc(Device **pm)
{
	Harness *h = harness_new();
	harness_add(h, &i440fx_pcihost_class);
	Device *nb = harness_make(h, &i440fx_class);
	GError *error = NULL;
	uint8_t *bios = ram_arena_alloc(&h->board.arena, 0x20000, &error);
	memset(bios, 0xb1, 0x20000);
	device_set_ptr(nb, "bios", bios);
	harness_realize(nb);
	Device *isa = harness_make(h, &piix3_class);
	for (unsigned i = 0; i < 16; i++)
		device_connect(isa, "gsi", i, h->board.gsi[i]);
	harness_realize(isa);
	Device *acpi = harness_make(h, &piix4pm_class);
	device_connect(acpi, "sci", 0, h->board.gsi[9]);
	harness_realize(acpi);
	if (pm)
		*pm = acpi;
	return h;
}

static void test_config(void)
{
	Harness *h = new_pc(NULL);

	g_assert_cmphex(pci_in(h, 0, 0, 0, 4), ==, 0x12378086);
	g_assert_cmphex(pci_in(h, 1, 0, 0, 4), ==, 0x70008086);
	g_assert_cmphex(pci_in(h, 1, 0, 0x0e, 1), ==, 0x80);
	g_assert_cmphex(pci_in(h, 1, 3, 0, 4), ==, 0x71138086);
	g_assert_cmphex(pci_in(h, 5, 0, 0, 4), ==, UINT32_MAX);
	pci_out(h, 0, 0, 0, 0, 4); /* read-only */
	g_assert_cmphex(pci_in(h, 0, 0, 2, 2), ==, 0x1237);
	g_assert_cmphex(inl(h, 0xcf8), ==, 0x80000000);
	/* the reset port inside the address register */
	outb(h, 0xcf9, 0x02);
	g_assert_cmpuint(h->requests, ==, 0);
	outb(h, 0xcf9, 0x06);
	g_assert_cmpint(h->requested, ==, RUN_RESET);
	g_assert_cmphex(inl(h, 0xcf8), ==, 0x80000000);
	harness_free(h);
}

static void test_bars(void)
{
	Harness *h = new_pc(NULL);
	Probe *p = (Probe *)harness_add(h, &probe_class);

	g_assert_cmphex(p->pci.devfn, ==, PCI_DEVFN(2, 0));
	g_assert_cmphex(pci_in(h, 2, 0, 0x10, 4), ==, 1);
	pci_out(h, 2, 0, 0x10, UINT32_MAX, 4);
	g_assert_cmphex(pci_in(h, 2, 0, 0x10, 4), ==, 0xffffffe1);
	pci_out(h, 2, 0, 0x18, UINT32_MAX, 4);
	pci_out(h, 2, 0, 0x1c, UINT32_MAX, 4);
	g_assert_cmphex(pci_in(h, 2, 0, 0x18, 4), ==, 0xffffc00c);
	g_assert_cmphex(pci_in(h, 2, 0, 0x1c, 4), ==, UINT32_MAX);
	pci_out(h, 2, 0, 0x04, 3, 2); /* while sized, nothing is mapped */
	g_assert_null(p->mem.as);
	pci_out(h, 2, 0, 0x10, 0xc000, 4);
	g_assert_cmphex(inb(h, 0xc005), ==, 0xa5);
	pci_out(h, 2, 0, 0x18, 0xd0000000, 4);
	pci_out(h, 2, 0, 0x1c, 0x8, 4);
	g_assert_cmphex(readl(h, 0x8d0000004ull), ==, 0xa4);
	pci_out(h, 2, 0, 0x18, 0xd1000000, 4);
	g_assert_cmphex(readl(h, 0x8d0000004ull), ==, UINT32_MAX);
	g_assert_cmphex(readl(h, 0x8d1000004ull), ==, 0xa4);
	pci_out(h, 2, 0, 0x04, 0, 2);
	g_assert_cmphex(inb(h, 0xc005), ==, 0xff);
	/* capability list */
	g_assert_cmphex(pci_in(h, 2, 0, 6, 2) & 0x10, ==, 0x10);
	g_assert_cmphex(pci_in(h, 2, 0, pci_in(h, 2, 0, 0x34, 1), 1), ==, 9);
	machine_lock();
	pci_out(h, 2, 0, 0x04, 3, 2);
	device_reset(&p->pci.dev);
	machine_unlock();
	g_assert_null(p->io.as);
	g_assert_cmphex(pci_in(h, 2, 0, 0x10, 4), ==, 1);
	harness_free(h);
}

static void test_addresses(void)
{
	Harness *h = new_pc(NULL);
	GError *error = NULL;
	static const char *const bad[] = { "20", "3.8", "zz", "", "1.0", "0.1" };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		Device *dev = harness_make(h, &probe_class);
		g_assert_true(device_set(dev, "addr", bad[i], &error));
		g_assert_false(device_realize(dev, &error));
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
	Device *dev = harness_make(h, &probe_class);
	g_assert_true(device_set(dev, "addr", "1f.0", &error));
	harness_realize(dev);
	g_assert_cmphex(pci_in(h, 31, 0, 0, 4), ==, 0x56781234);
	harness_free(h);
}

static void test_intx(void)
{
	Harness *h = new_pc(NULL);
	Probe *a = (Probe *)harness_add(h, &probe_class), *b = NULL;
	GError *error = NULL;
	Device *dev = harness_make(h, &probe_class);
	device_set(dev, "addr", "6", &error); /* the same line as slot 2 */
	harness_realize(dev);
	b = (Probe *)dev;

	machine_lock();
	pci_set_irq(&a->pci, 1);
	g_assert_cmpint(h->level[11], ==, 0); /* not routed */
	pci_out(h, 1, 0, 0x61, 11, 1); /* slot 2 INTA# is PIRQB */
	g_assert_cmpint(h->level[11], ==, 1);
	pci_set_irq(&b->pci, 1);
	pci_set_irq(&a->pci, 0);
	g_assert_cmpint(h->level[11], ==, 1);
	pci_out(h, 6, 0, 0x04, 0x400, 2); /* interrupt disable */
	g_assert_cmpint(h->level[11], ==, 0);
	g_assert_cmphex(pci_in(h, 6, 0, 0x06, 2) & 8, ==, 8);
	pci_out(h, 6, 0, 0x04, 0, 2);
	pci_out(h, 1, 0, 0x61, 10, 1);
	g_assert_cmpint(h->level[11], ==, 0);
	g_assert_cmpint(h->level[10], ==, 1);
	device_reset(dev);
	g_assert_cmpint(h->level[10], ==, 0);
	machine_unlock();
	harness_free(h);
}

static void test_pam(void)
{
	Harness *h = new_pc(NULL);

	g_assert_cmphex(readl(h, 0xffff0), ==, 0xb1b1b1b1);
	g_assert_cmphex(readl(h, 0xc0000), ==, UINT32_MAX);
	writel(h, 0xf0000, 1);
	g_assert_cmphex(readl(h, 0xf0000), ==, 0xb1b1b1b1);
	pci_out(h, 0, 0, 0x59, 0x20, 1); /* write to RAM, read the ROM: how firmware copies itself */
	writel(h, 0xf0000, 0x12345678);
	g_assert_cmphex(readl(h, 0xf0000), ==, 0xb1b1b1b1);
	pci_out(h, 0, 0, 0x59, 0x10, 1);
	g_assert_cmphex(readl(h, 0xf0000), ==, 0x12345678);
	writel(h, 0xf0000, 0);
	g_assert_cmphex(readl(h, 0xf0000), ==, 0x12345678);
	pci_out(h, 0, 0, 0x5a, 0x30, 1); /* C4000h..C7FFFh */
	writel(h, 0xc4000, 7);
	g_assert_cmphex(readl(h, 0xc4000), ==, 7);
	g_assert_cmphex(readl(h, 0xc0000), ==, UINT32_MAX);
	g_assert_cmphex(readl(h, 0xc8000), ==, UINT32_MAX);
	pci_out(h, 0, 0, 0x5f, 0x03, 1); /* E8000h */
	writel(h, 0xe8000, 9);
	g_assert_cmphex(readl(h, 0xe8000), ==, 9);
	g_assert_cmphex(readl(h, 0xec000), ==, 0xb1b1b1b1);
	harness_free(h);
}

static void pm_enable(Harness *h)
{
	pci_out(h, 1, 3, 0x40, 0x601, 4);
	pci_out(h, 1, 3, 0x80, 1, 1);
	outb(h, 0xb2, 0xf1);
}

static void test_pm(void)
{
	Device *pm;
	Harness *h = new_pc(&pm);

	g_assert_cmphex(inl(h, 0x608), ==, UINT32_MAX);
	pm_enable(h);
	g_assert_cmphex(inw(h, 0x604) & 1, ==, 1);
	uint32_t before = inl(h, 0x608);
	harness_run(h, 2000000);
	uint32_t passed = (inl(h, 0x608) - before) & 0xffffff;
	g_assert_cmpuint(passed, >=, 7159);
	g_assert_cmpuint(passed, <, 3579545);
	/* the power button */
	Irq button = device_input(pm, "powerdown", 0);
	machine_lock();
	irq_pulse(&button);
	machine_unlock();
	g_assert_cmphex(inw(h, 0x600) & 0x100, ==, 0x100);
	g_assert_cmpint(h->level[9], ==, 0);
	outw(h, 0x602, 0x100);
	g_assert_cmpint(h->level[9], ==, 1);
	outw(h, 0x600, 0x100);
	g_assert_cmpint(h->level[9], ==, 0);
	/* S3 is not there, S5 is */
	outw(h, 0x604, 0x2401);
	g_assert_cmpuint(h->requests, ==, 0);
	outw(h, 0x604, 0x2001);
	g_assert_cmpint(h->requested, ==, RUN_SHUTDOWN);
	/* GPE0 */
	outw(h, 0xafe2, 0x1234);
	g_assert_cmphex(inw(h, 0xafe2), ==, 0x1234);
	harness_free(h);
}

static void test_pm_properties(void)
{
	Harness *h = new_pc(NULL);
	GError *error = NULL;
	Device *dev = harness_make(h, &piix4pm_class);
	g_assert_true(device_set(dev, "disable_s3", "0", &error));
	g_assert_false(device_realize(dev, &error));
	g_clear_error(&error);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pci/config", test_config);
	g_test_add_func("/pci/bars", test_bars);
	g_test_add_func("/pci/addresses", test_addresses);
	g_test_add_func("/pci/intx", test_intx);
	g_test_add_func("/pci/pam", test_pam);
	g_test_add_func("/pci/pm", test_pm);
	g_test_add_func("/pci/pm-properties", test_pm_properties);
	return g_test_run();
}
