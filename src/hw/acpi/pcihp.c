/*
 * pcihp.c - ACPI hot plug of PCI slots: what the firmware's tables ask when GPE 1 says that something came or is to go.
 *
 * Ports as QEMU's PC has them at AE00h (docs/specs/acpi_pci_hotplug): slots that came, slots whose device is wanted back, eject,
 * which slots can be emptied. The tables (machine/acpi/dsdt.c) read and write bytes; reading a byte of the first two clears it.
 * Left out: bridges (bus select), ACPI indices. Entered by vcpu and main threads under the machine lock.
 */
#include "hw/acpi/pcihp.h"

#include <string.h>

#include "core/board.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define PCIHP_SIZE 0x14

typedef struct PciHotplug {
	Device dev;
	uint32_t up, down;   /* bit n: slot n */
	Irq gpe;
	Region region;
	PciEjectFn *ejected;
	void *opaque;
} PciHotplug;

static uint32_t removable(const PciHotplug *s)
{
	uint32_t mask = 0;
	for (unsigned slot = 0; slot < 32; slot++) {
		const PciDevice *d = pci_bus_find(s->dev.board->pci, PCI_DEVFN(slot, 0));
		mask |= (uint32_t)(!d || pcihp_can_unplug(&d->dev)) << slot;
	}
	return mask;
}

static uint8_t take_byte(uint32_t *reg, unsigned shift)
{
	uint8_t value = (uint8_t)(*reg >> shift);
	*reg &= ~(0xffu << shift);
	return value;
}

static uint64_t read_port(void *opaque, uint64_t offset, unsigned size)
{
	PciHotplug *s = opaque;
	unsigned shift = 8 * (offset & 3);

	switch (offset >> 2) {
	case 0: return take_byte(&s->up, shift);
	case 1: return take_byte(&s->down, shift);
	case 3: return removable(s) >> shift & 0xff;
	default: return 0;
	}
}

static void write_port(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	PciHotplug *s = opaque;
	uint32_t slots = (uint32_t)value << 8 * (offset & 3) & removable(s);

	if (offset >> 2 == 2 && slots && s->ejected)
		s->ejected(s->opaque, slots);
}

static const RegionOps ops = { read_port, write_port, 1, 1 };

bool pcihp_can_unplug(const Device *dev)
{
	return dev->path && !strcmp(dev->cls->bus, "pci");
}

static void tell(PciHotplug *s, uint32_t *reg, const Device *dev)
{
	*reg |= 1u << (((const PciDevice *)dev)->devfn >> 3);
	irq_pulse(&s->gpe);
}

void pcihp_plugged(Device *hp, const Device *dev)
{
	PciHotplug *s = (PciHotplug *)hp;
	tell(s, &s->up, dev);
}

void pcihp_unplug_request(Device *hp, const Device *dev)
{
	PciHotplug *s = (PciHotplug *)hp;
	tell(s, &s->down, dev);
}

void pcihp_on_eject(Device *hp, PciEjectFn *fn, void *opaque)
{
	PciHotplug *s = (PciHotplug *)hp;
	s->ejected = fn;
	s->opaque = opaque;
}

static bool realize(Device *dev, GError **error)
{
	PciHotplug *s = (PciHotplug *)dev;
	region_init_io(&s->region, "acpi-pci-hotplug", &ops, s, PCIHP_SIZE);
	as_map(dev->board->io, &s->region, PCIHP_BASE, 0);
	return true;
}

static void unrealize(Device *dev) { as_unmap(&((PciHotplug *)dev)->region); }

static const StateField state[] = {
	STATE(FIELD_U32, PciHotplug, up, 0),
	STATE(FIELD_U32, PciHotplug, down, 0),
	{ 0 }
};

static const LineOut outputs[] = { { "gpe", offsetof(PciHotplug, gpe), 1 }, { 0 } };

const DeviceClass pcihp_class = {
	.name = "acpi-pci-hotplug", .desc = "ACPI hot plug of PCI slots", .bus = "system", .size = sizeof(PciHotplug), .version = 1,
	.state = state, .outputs = outputs, .realize = realize, .unrealize = unrealize,
};
