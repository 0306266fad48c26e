/* test-msix.c - MSI-X: table, masks, pending bits, the pin that rests meanwhile. */
#include <string.h>

#include "core/lock.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/pci/msix.h"

#define VECTORS 5
#define BAR 0xe0000000u
#define PBA (BAR + 0x800)

typedef struct Probe {
	PciDevice pci;
	Msix msix;
	unsigned vectors;
} Probe;

static void config_written(PciDevice *pci, unsigned offset, unsigned len)
{
	msix_config_written(&((Probe *)pci)->msix, offset, len);
}

static bool realize(Device *dev, GError **error)
{
	Probe *s = (Probe *)dev;
	static const PciIdentity id = { 0x1234, 0x5678, 0x0200, .int_pin = 1 };
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.config_written = config_written;
	if (msix_init(&s->msix, &s->pci, s->vectors, 1, error))
		return true;
	pci_exit(&s->pci);
	return false;
}

static void reset(Device *dev)
{
	pci_reset(&((Probe *)dev)->pci);
	msix_reset(&((Probe *)dev)->msix);
}

static void unrealize(Device *dev)
{
	msix_exit(&((Probe *)dev)->msix);
	pci_exit(&((Probe *)dev)->pci);
}

static const Property props[] = { PCI_PROPERTIES,
	{ "vectors", PROP_U32, offsetof(Probe, vectors), "5" }, { 0 } };
static const StateField state[] = { PCI_STATE, STATE_STRUCT(Probe, msix, msix_state), { 0 } };
static const DeviceClass probe_class = {
	.name = "probe", .bus = "pci", .size = sizeof(Probe), .props = props, .state = state,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};

static Probe *add(Harness *h)
{
	harness_add(h, &i440fx_pcihost_class);
	Probe *p = (Probe *)harness_add(h, &probe_class);
	pci_out(h, 2, 0, 0x14, BAR, 4);
	pci_out(h, 2, 0, 0x04, 6, 2);
	for (unsigned i = 0; i < VECTORS; i++) {
		writel(h, BAR + 16 * i, 0xfee01000);
		writel(h, BAR + 16 * i + 8, 0x40 + i);
	}
	return p;
}

static void notify(Probe *p, unsigned vector)
{
	machine_lock();
	msix_notify(&p->msix, vector);
	machine_unlock();
}

static void test_layout(void)
{
	Harness *h = harness_new();
	Probe *p = add(h);
	unsigned cap = pci_in(h, 2, 0, 0x34, 1);

	g_assert_cmphex(pci_in(h, 2, 0, cap, 4), ==, 0x00040011);
	g_assert_cmphex(pci_in(h, 2, 0, cap + 4, 4), ==, 1);
	g_assert_cmphex(pci_in(h, 2, 0, cap + 8, 4), ==, 0x801);
	pci_out(h, 2, 0, cap, UINT32_MAX, 4);
	g_assert_cmphex(pci_in(h, 2, 0, cap, 4), ==, 0xc0040011);
	g_assert_cmphex(p->msix.region.size, ==, 4096);
	g_assert_cmphex(readl(h, BAR + 12), ==, 1); /* masked after reset */
	writel(h, BAR + 12, UINT32_MAX);
	g_assert_cmphex(readl(h, BAR + 12), ==, 1);
	g_assert_cmphex(readl(h, BAR + 16 + 8), ==, 0x41);
	g_assert_cmphex(as_load(h->board.mem, BAR + 16, 8), ==, 0xfee01000);
	writel(h, BAR + 16 * VECTORS, 7); /* behind the table: nothing */
	g_assert_cmphex(readl(h, BAR + 16 * VECTORS), ==, 0);
	writel(h, PBA, UINT32_MAX);
	g_assert_cmphex(readl(h, PBA), ==, 0);
	g_assert_cmphex(readl(h, BAR + 0xffc), ==, 0);
	harness_free(h);
}

static void test_masks(void)
{
	Harness *h = harness_new();
	Probe *p = add(h);
	unsigned cap = pci_in(h, 2, 0, 0x34, 1);

	notify(p, 0); /* not enabled: nothing, not even pending */
	g_assert_cmphex(readl(h, PBA), ==, 0);
	pci_out(h, 2, 0, cap + 2, 0xc000, 2);
	writel(h, BAR + 12, 0);
	notify(p, 0);
	notify(p, 3);
	notify(p, VECTORS);
	notify(p, UINT32_MAX);
	g_assert_cmpuint(h->msi_count, ==, 0);
	g_assert_cmphex(readl(h, PBA), ==, 9);
	pci_out(h, 2, 0, cap + 2, 0x8000, 2); /* function unmasked: vector 0 goes, 3 has its own mask */
	g_assert_cmpuint(h->msi_count, ==, 1);
	g_assert_cmphex(h->msi_data, ==, 0x40);
	g_assert_cmphex(h->msi_addr, ==, 0xfee01000);
	g_assert_cmphex(readl(h, PBA), ==, 8);
	writel(h, BAR + 16 * 3 + 12, 0);
	g_assert_cmpuint(h->msi_count, ==, 2);
	g_assert_cmphex(h->msi_data, ==, 0x43);
	notify(p, 3);
	g_assert_cmpuint(h->msi_count, ==, 3);
	writel(h, BAR + 16 * 3 + 12, 1);
	notify(p, 3);
	machine_lock();
	device_reset(&p->pci.dev);
	machine_unlock();
	g_assert_false(msix_enabled(&p->msix));
	g_assert_false(p->msix.vector[3].pending);
	g_assert_cmphex(p->msix.vector[0].control, ==, 1);
	g_assert_cmphex(p->msix.vector[0].addr_low, ==, 0);
	g_assert_cmpuint(h->msi_count, ==, 3);
	harness_free(h);
}

static void test_targets(void)
{
	Harness *h = harness_new();
	Probe *p = add(h);
	unsigned cap = pci_in(h, 2, 0, 0x34, 1);

	pci_out(h, 2, 0, cap + 2, 0x8000, 2);
	writel(h, BAR + 12, 0);
	writel(h, BAR, 0x1000); /* RAM: a plain write */
	notify(p, 0);
	g_assert_cmpuint(h->msi_count, ==, 0);
	g_assert_cmphex(readl(h, 0x1000), ==, 0x40);
	writel(h, BAR, BAR); /* its own table, through a write by the function: not reached */
	notify(p, 0);
	g_assert_cmphex(readl(h, BAR), ==, BAR);
	writel(h, BAR + 4, 0xffffffff); /* nothing there */
	notify(p, 0);
	writel(h, BAR, 0xfee00000); /* high half set: not a local APIC */
	notify(p, 0);
	writel(h, BAR + 4, 0);
	pci_out(h, 2, 0, 0x04, 2, 2); /* no bus master, no writes */
	notify(p, 0);
	g_assert_cmpuint(h->msi_count, ==, 0);
	pci_out(h, 2, 0, 0x04, 6, 2);
	notify(p, 0);
	g_assert_cmpuint(h->msi_count, ==, 1);
	harness_free(h);
}

static void test_pin(void)
{
	Harness *h = harness_new();
	Probe *p = add(h);
	unsigned cap = pci_in(h, 2, 0, 0x34, 1);

	machine_lock();
	pci_set_irq(&p->pci, 1);
	g_assert_true(p->pci.intx);
	pci_out(h, 2, 0, cap + 2, 0x8000, 2);
	g_assert_false(p->pci.intx);
	machine_unlock();
	harness_free(h);
}

static void test_many(void)
{
	Harness *h = harness_new();
	GError *error = NULL;
	harness_add(h, &i440fx_pcihost_class);
	Device *dev = harness_make(h, &probe_class);
	g_assert_true(device_set(dev, "vectors", "2048", &error));
	harness_realize(dev);
	Probe *p = (Probe *)dev;
	g_assert_cmphex(p->msix.region.size, ==, 65536);
	pci_out(h, 2, 0, 0x14, BAR, 4);
	pci_out(h, 2, 0, 0x04, 6, 2);
	pci_out(h, 2, 0, p->msix.cap + 2u, 0x8000, 2);
	notify(p, 2047);
	g_assert_cmphex(readl(h, BAR + 0x8000 + 252), ==, 0x80000000);
	dev = harness_make(h, &probe_class);
	g_assert_true(device_set(dev, "vectors", "2049", &error));
	machine_lock();
	g_assert_false(device_realize(dev, &error));
	machine_unlock();
	g_clear_error(&error);
	harness_free(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/msix/layout", test_layout);
	g_test_add_func("/msix/masks", test_masks);
	g_test_add_func("/msix/targets", test_targets);
	g_test_add_func("/msix/pin", test_pin);
	g_test_add_func("/msix/many", test_many);
	return g_test_run();
}
