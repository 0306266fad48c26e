/*
 * info_pci.c - PCI functions, their identities, interrupts and BARs: query-pci and info pci.
 *
 * PCI Local Bus Specification 3.0, chapter 6. Main thread, machine lock not held.
 */
#include <inttypes.h>
#include <string.h>

#include "core/lock.h"
#include "hw/pci/pci.h"
#include "monitor/private.h"

static const char *class_name(unsigned class_code)
{
	static const struct { uint16_t code; const char *name; } names[] = {
		{ 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" }, { 0x0106, "SATA controller" },
		{ 0x0200, "Ethernet controller" }, { 0x0300, "VGA controller" }, { 0x0380, "Display controller" },
		{ 0x0600, "Host bridge" }, { 0x0601, "ISA bridge" }, { 0x0604, "PCI bridge" }, { 0x0680, "Bridge" },
		{ 0x0700, "Serial port" }, { 0x0c03, "USB controller" }, { 0x0c05, "SMBus" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (names[i].code == class_code)
			return names[i].name;
	return NULL;
}

/* Where the guest has put it; -1: nowhere yet. */
static json_int_t address_of(const PciDevice *d, unsigned n)
{
	unsigned reg = n == PCI_ROM_BAR ? PCI_ROM : PCI_BAR0 + 4 * n;
	uint64_t raw = pci_get32(&d->config[reg]), at;

	switch (d->bar[n].type) {
	case PCI_BAR_IO: at = raw & ~3ull; break;
	case PCI_BAR_MEM64:
	case PCI_BAR_MEM64_PREFETCH: at = (raw & ~0xfull) | (uint64_t)pci_get32(&d->config[reg + 4]) << 32; break;
	default: at = raw & (n == PCI_ROM_BAR ? ~0x7ffull : ~0xfull); break;
	}
	return at ? (json_int_t)at : -1;
}

static json_t *describe_bar(const PciDevice *d, unsigned n)
{
	PciBarType t = d->bar[n].type;
	json_t *bar = json_pack("{si ss sI sI}", "bar", n, "type", t == PCI_BAR_IO ? "io" : "memory", "address", address_of(d, n),
				"size", (json_int_t)d->bar[n].region->size);
	if (t != PCI_BAR_IO) {
		json_object_set_new(bar, "prefetch", json_boolean(t == PCI_BAR_MEM32_PREFETCH || t == PCI_BAR_MEM64_PREFETCH));
		json_object_set_new(bar, "mem_type_64", json_boolean(t == PCI_BAR_MEM64 || t == PCI_BAR_MEM64_PREFETCH));
	}
	return bar;
}

static void describe_function(PciDevice *d, void *opaque)
{
	unsigned code = pci_get16(&d->config[PCI_CLASS]), pin = d->config[PCI_INT_PIN];
	json_t *class_info = json_pack("{si}", "class", code), *bars = json_array();
	json_t *id = json_pack("{si si}", "device", pci_get16(&d->config[PCI_DEVICE]), "vendor", pci_get16(&d->config[PCI_VENDOR]));

	if (class_name(code))
		json_object_set_new(class_info, "desc", json_string(class_name(code)));
	if (pci_get16(&d->config[PCI_SUBVENDOR])) {
		json_object_set_new(id, "subsystem", json_integer(pci_get16(&d->config[PCI_SUBSYSTEM])));
		json_object_set_new(id, "subsystem-vendor", json_integer(pci_get16(&d->config[PCI_SUBVENDOR])));
	}
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (d->bar[n].type != PCI_BAR_NONE && d->bar[n].region)
			json_array_append_new(bars, describe_bar(d, n));
	json_t *f = json_pack("{si si si so so si ss so}", "bus", 0, "slot", d->devfn >> 3, "function", d->devfn & 7, "class_info",
			      class_info, "id", id, "irq_pin", pin, "qdev_id", d->dev.id ? d->dev.id : "", "regions", bars);
	if (pin)
		json_object_set_new(f, "irq", json_integer(d->config[PCI_INT_LINE]));
	json_array_append_new(opaque, f);
}

json_t *serve_pci(Monitor *mon, const json_t *args, GError **error)
{
	json_t *devices = json_array();

	machine_lock();
	if (machine_board(mon->m)->pci)
		pci_bus_each(machine_board(mon->m)->pci, describe_function, devices);
	machine_unlock();
	return json_pack("[{si so}]", "bus", 0, "devices", devices);
}

/* ---- in words ---- */

static void show_bar(const json_t *bar, GString *out)
{
	bool io = !strcmp(member_text(bar, "type"), "io");
	/* An unmapped one stands at the end of its 16, 32 or 64 bits, as QEMU's do. */
	uint64_t at = (uint64_t)member_number(bar, "address"), last = at + (uint64_t)member_number(bar, "size") - 1;

	if (io)
		g_string_append_printf(out, "      BAR%d: I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", (int)member_number(bar, "bar"), at, last);
	else
		g_string_append_printf(out, "      BAR%d: %d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n",
				       (int)member_number(bar, "bar"), member_is(bar, "mem_type_64") ? 64 : 32,
				       member_is(bar, "prefetch") ? " prefetchable" : "", at, last);
}

static void show_function(const json_t *f, GString *out)
{
	const json_t *id = json_object_get(f, "id"), *class_info = json_object_get(f, "class_info"), *bar;
	const char *desc = member_text(class_info, "desc");
	size_t i;

	g_string_append_printf(out, "  Bus %2d, device %3d, function %d:\n    ", (int)member_number(f, "bus"), (int)member_number(f, "slot"),
			       (int)member_number(f, "function"));
	if (desc)
		g_string_append(out, desc);
	else
		g_string_append_printf(out, "Class %04d", (int)member_number(class_info, "class"));
	g_string_append_printf(out, ": PCI device %04x:%04x\n", (unsigned)member_number(id, "vendor"), (unsigned)member_number(id, "device"));
	if (json_object_get(id, "subsystem"))
		g_string_append_printf(out, "      PCI subsystem %04x:%04x\n", (unsigned)member_number(id, "subsystem-vendor"),
				       (unsigned)member_number(id, "subsystem"));
	if (json_object_get(f, "irq"))
		g_string_append_printf(out, "      IRQ %d, pin %c\n", (int)member_number(f, "irq"), 'A' + (int)member_number(f, "irq_pin") - 1);
	json_array_foreach (json_object_get(f, "regions"), i, bar)
		show_bar(bar, out);
	g_string_append_printf(out, "      id \"%s\"\n", member_text(f, "qdev_id"));
}

void show_pci(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i, k;
	json_t *bus, *f;

	json_array_foreach (reply, i, bus)
		json_array_foreach (json_object_get(bus, "devices"), k, f)
			show_function(f, out);
}

/* ---- in the tree of devices ---- */

void pci_show_in_tree(const struct Device *dev, unsigned indent, GString *out)
{
	const PciDevice *d = (const PciDevice *)dev;
	unsigned code = pci_get16(&d->config[PCI_CLASS]);
	g_autofree char *unknown = g_strdup_printf("Class %04x", code);

	g_string_append_printf(out, "%*sclass %s, addr 00:%02x.%x, pci id %04x:%04x (sub %04x:%04x)\n", (int)indent, "",
			       class_name(code) ? class_name(code) : unknown, d->devfn >> 3, d->devfn & 7,
			       pci_get16(&d->config[PCI_VENDOR]), pci_get16(&d->config[PCI_DEVICE]),
			       pci_get16(&d->config[PCI_SUBVENDOR]), pci_get16(&d->config[PCI_SUBSYSTEM]));
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (d->bar[n].type == PCI_BAR_NONE || !d->bar[n].region)
			continue;
		uint64_t at = (uint64_t)address_of(d, n);
		g_string_append_printf(out, "%*sbar %u: %s at 0x%" PRIx64 " [0x%" PRIx64 "]\n", (int)indent, "", n,
				       d->bar[n].type == PCI_BAR_IO ? "i/o" : "mem", at, at + d->bar[n].region->size - 1);
	}
}
