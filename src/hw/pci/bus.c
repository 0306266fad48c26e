/*
 * bus.c - the PCI bus: slots, interrupt swizzle, configuration mechanism #1.
 *
 * PCI Local Bus Specification 3.0, 3.2.2.3 (CF8h, CFCh); PCI-to-PCI bridge swizzle as the
 * PIIX boards route it: pin of slot n goes to line (n + pin - 1) mod 4, where slot
 * numbers count from the south bridge's. Left out: bridges and further buses.
 * Vcpu threads under the machine lock.
 */
#include "hw/pci/bus.h"

struct PciBus {
	Board *board;
	PciDevice *slot[PCI_SLOTS * PCI_FUNCTIONS];
	Irq line[4];
	unsigned raised[4];    /* functions that hold each line up */
	uint32_t address;      /* CF8h */
	const Region *reset_port; /* CF9h, which lies within the address register; NULL: none */
	Region address_region, data_region;
};

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_VALID 0x80fffffcu

static PciDevice *addressed(const PciBus *bus)
{
	if (!(bus->address & ADDRESS_ENABLE) || (bus->address >> 16 & 0xff))
		return NULL;
	return bus->slot[bus->address >> 8 & 0xff];
}

static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
	const PciBus *bus = opaque;
	if (size == 1 && offset == 1 && bus->reset_port)
		return bus->reset_port->ops->read(bus->reset_port->opaque, 0, 1);
	/* Only a dword at CF8h itself is the address register. */
	return size == 4 ? bus->address : UINT32_MAX;
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	PciBus *bus = opaque;
	if (size == 4 && offset == 0)
		bus->address = value & ADDRESS_VALID;
	else if (size == 1 && offset == 1 && bus->reset_port)
		bus->reset_port->ops->write(bus->reset_port->opaque, 0, value, 1);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
	const PciBus *bus = opaque;
	PciDevice *dev = addressed(bus);
	if (!dev)
		return UINT32_MAX;
	return pci_config_read(dev, (bus->address & 0xfc) + (unsigned)offset, size);
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	const PciBus *bus = opaque;
	PciDevice *dev = addressed(bus);
	if (dev)
		pci_config_write(dev, (bus->address & 0xfc) + (unsigned)offset, (uint32_t)value, size);
}

static const RegionOps address_ops = { address_read, address_write, 1, 4 };
static const RegionOps data_ops = { data_read, data_write, 1, 4 };

PciBus *pci_bus_new(Board *board)
{
	PciBus *bus = g_new0(PciBus, 1);
	bus->board = board;
	region_init_io(&bus->address_region, "pci-conf-idx", &address_ops, bus, 4);
	region_init_io(&bus->data_region, "pci-conf-data", &data_ops, bus, 4);
	as_map(board->io, &bus->address_region, 0xcf8, 0);
	as_map(board->io, &bus->data_region, 0xcfc, 0);
	return bus;
}

void pci_bus_free(PciBus *bus)
{
	if (!bus)
		return;
	/* Devices that outlive the bus must not reach for it. */
	for (unsigned i = 0; i < G_N_ELEMENTS(bus->slot); i++)
		if (bus->slot[i])
			bus->slot[i]->bus = NULL;
	as_unmap(&bus->address_region);
	as_unmap(&bus->data_region);
	g_free(bus);
}

void pci_bus_reset(PciBus *bus)
{
	bus->address = 0;
}

void pci_bus_connect(PciBus *bus, unsigned n, Irq to)
{
	bus->line[n & 3] = to;
}

void pci_bus_set_reset_port(PciBus *bus, const Region *region)
{
	bus->reset_port = region;
}

PciDevice *pci_bus_find(PciBus *bus, uint8_t devfn)
{
	return bus->slot[devfn];
}

void pci_bus_each(PciBus *bus, void (*fn)(PciDevice *dev, void *opaque), void *opaque)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(bus->slot); i++)
		if (bus->slot[i])
			fn(bus->slot[i], opaque);
}

void pci_bus_set(PciBus *bus, uint8_t devfn, PciDevice *dev)
{
	bus->slot[devfn] = dev;
}

int pci_bus_free_slot(PciBus *bus)
{
	for (int slot = 2; slot < PCI_SLOTS; slot++) /* 0 and 1 are the chip set's */
		if (!bus->slot[PCI_DEVFN(slot, 0)])
			return PCI_DEVFN(slot, 0);
	return -1;
}

void pci_bus_intx(PciBus *bus, uint8_t devfn, unsigned pin, bool level)
{
	unsigned n = ((devfn >> 3) + pin - 1 + 3) & 3; /* slot 1 INTA# is line 0 */
	unsigned before = bus->raised[n];

	if (level)
		bus->raised[n]++;
	else if (bus->raised[n])
		bus->raised[n]--;
	if (!before != !bus->raised[n])
		irq_set(&bus->line[n], bus->raised[n] > 0);
}
