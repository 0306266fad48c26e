/*
 * pci.c - a PCI function: configuration space, base addresses, interrupt pin, ROM.
 *
 * PCI Local Bus Specification 3.0, chapter 6. Left out: power management, parity and
 * system errors (their command bits are stored). Machine lock held.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/trace.h"
#include "hw/pci/bus.h"

#define ROM_MAX (16u << 20)
#define CAPABILITY_FIRST 0x40
#define IO_LIMIT 0x10000u

/* ---- base addresses (6.2.5) ---- */

static unsigned bar_offset(unsigned n)
{
	return n == PCI_ROM_BAR ? PCI_ROM : PCI_BAR0 + 4 * n;
}

static bool bar_64(const PciBar *bar)
{
	return bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREFETCH;
}

/* Where the BAR is to be mapped; false: nowhere. */
static bool bar_address(const PciDevice *dev, unsigned n, uint64_t *addr)
{
	const PciBar *bar = &dev->bar[n];
	uint32_t low = pci_get32(&dev->config[bar_offset(n)]);
	uint64_t mask = ~(bar->region->size - 1), base;

	if (bar->type == PCI_BAR_IO) {
		base = low & mask & 0xfffffffcu;
		*addr = base;
		return (dev->config[PCI_COMMAND] & PCI_COMMAND_IO) && base &&
		       base + bar->region->size <= IO_LIMIT;
	}
	if (n == PCI_ROM_BAR && !(low & 1))
		return false;
	base = low;
	if (bar_64(bar))
		base |= (uint64_t)pci_get32(&dev->config[bar_offset(n) + 4]) << 32;
	base &= mask & ~15ull;
	*addr = base;
	/* While a guest sizes the BAR, it holds all ones; and nothing belongs at 0. */
	bool sizing = base == (mask & (bar_64(bar) ? UINT64_MAX : UINT32_MAX));
	return (dev->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) && base && !sizing;
}

static void update_mapping(PciDevice *dev, unsigned n)
{
	Board *board = dev->dev.board;
	Region *r = dev->bar[n].region;
	uint64_t addr;
	bool mapped = bar_address(dev, n, &addr);

	if (r->as && !(mapped && addr == r->base))
		trace_pci_update_mappings_del(dev->dev.cls->name, dev->devfn, n, r->base, r->size);
	if (mapped && !(r->as && addr == r->base))
		trace_pci_update_mappings_add(dev->dev.cls->name, dev->devfn, n, addr, r->size);
	if (mapped)
		as_map(dev->bar[n].type == PCI_BAR_IO ? board->io : board->mem, r, addr, 1);
	else
		as_unmap(r);
}

static void update_mappings(PciDevice *dev)
{
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (dev->bar[n].type != PCI_BAR_NONE)
			update_mapping(dev, n);
}

static void set_writable(PciDevice *dev, unsigned offset, uint32_t mask)
{
	pci_put32(&dev->writable[offset], mask);
}

void pci_bar(PciDevice *dev, unsigned n, PciBarType type, Region *region)
{
	static const uint8_t flags[] = {
		[PCI_BAR_IO] = 1, [PCI_BAR_MEM32] = 0, [PCI_BAR_MEM64] = 4,
		[PCI_BAR_MEM64_PREFETCH] = 12, [PCI_BAR_MEM32_PREFETCH] = 8,
	};
	unsigned offset = bar_offset(n);
	uint64_t mask = ~(region->size - 1);

	dev->bar[n] = (PciBar){ type, region };
	if (n == PCI_ROM_BAR) {
		set_writable(dev, offset, ((uint32_t)mask & 0xfffff800u) | 1);
		return;
	}
	pci_put32(&dev->config[offset], flags[type]);
	set_writable(dev, offset, (uint32_t)mask & (type == PCI_BAR_IO ? 0xfffffffcu : 0xfffffff0u));
	if (bar_64(&dev->bar[n]))
		set_writable(dev, offset + 4, (uint32_t)(mask >> 32));
}

/* ---- interrupt pin (6.2.4, 6.2.2) ---- */

static void update_intx(PciDevice *dev, bool level, bool enabled_before)
{
	bool enabled = !(pci_get16(&dev->config[PCI_COMMAND]) & PCI_COMMAND_INTX_OFF);
	bool before = dev->intx && enabled_before, now = level && enabled;

	dev->intx = level;
	if (level)
		dev->config[PCI_STATUS] |= PCI_STATUS_INTX;
	else
		dev->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	if (before != now && dev->bus && dev->config[PCI_INT_PIN])
		pci_bus_intx(dev->bus, dev->devfn, dev->config[PCI_INT_PIN], now);
}

void pci_set_irq(PciDevice *dev, int level)
{
	bool enabled = !(pci_get16(&dev->config[PCI_COMMAND]) & PCI_COMMAND_INTX_OFF);
	update_intx(dev, level, enabled);
}

/* ---- configuration cycles ---- */

uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size)
{
	uint32_t value = 0;
	if (offset + size > PCI_CONFIG_SIZE)
		return UINT32_MAX;
	if (dev->config_read)
		dev->config_read(dev, offset, size);
	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)dev->config[offset + i] << (8 * i);
	trace_pci_cfg_read(dev->dev.cls->name, dev->devfn, offset, value);
	return value;
}

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned last)
{
	return offset <= last && offset + size > first;
}

void pci_config_write(PciDevice *dev, unsigned offset, uint32_t value, unsigned size)
{
	if (offset + size > PCI_CONFIG_SIZE)
		return;
	trace_pci_cfg_write(dev->dev.cls->name, dev->devfn, offset, value);
	bool intx_enabled = !(pci_get16(&dev->config[PCI_COMMAND]) & PCI_COMMAND_INTX_OFF);
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i)), *at = &dev->config[offset + i];
		uint8_t writable = dev->writable[offset + i];
		*at = (uint8_t)((*at & ~writable) | (byte & writable));
		*at &= (uint8_t)~(byte & dev->clear_on_one[offset + i]);
	}
	if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1) ||
	    touches(offset, size, PCI_BAR0, PCI_BAR0 + 23) || touches(offset, size, PCI_ROM, PCI_ROM + 3)) {
		as_begin(dev->dev.board->mem);
		as_begin(dev->dev.board->io);
		update_mappings(dev);
		as_commit(dev->dev.board->io);
		as_commit(dev->dev.board->mem);
		update_intx(dev, dev->intx, intx_enabled);
	}
	if (dev->config_written)
		dev->config_written(dev, offset, size);
}

/* ---- capabilities (6.7) ---- */

uint8_t pci_add_capability(PciDevice *dev, uint8_t id, uint8_t size)
{
	unsigned at = dev->next_capability, end = at + ((size + 3u) & ~3u);
	if (end > PCI_CONFIG_SIZE)
		return 0;
	dev->config[at] = id;
	dev->config[at + 1] = dev->config[PCI_CAPABILITIES];
	dev->config[PCI_CAPABILITIES] = (uint8_t)at;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->next_capability = (uint8_t)(end == PCI_CONFIG_SIZE ? PCI_CONFIG_SIZE - 4 : end);
	return (uint8_t)at;
}

/* ---- life ---- */

/* "3", "0x3", "1f.2": false with *error if it is none. */
static bool parse_addr(PciDevice *dev, GError **error)
{
	char *end;
	unsigned long slot = strtoul(dev->addr, &end, 16), fn = 0;
	bool ok = end != dev->addr && slot < PCI_SLOTS;
	if (ok && *end == '.') {
		const char *text = end + 1;
		fn = strtoul(text, &end, 16);
		ok = end != text && fn < PCI_FUNCTIONS;
	}
	if (!ok || *end)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': '%s' is no PCI address. It is slot[.function] "
			"in hexadecimal, up to 1f.7.", dev->dev.cls->name, dev->addr);
	dev->devfn = PCI_DEVFN(slot, fn);
	return true;
}

static bool choose_addr(PciDevice *dev, GError **error)
{
	if (dev->addr) {
		if (!parse_addr(dev, error))
			return false;
	} else {
		int devfn = pci_bus_free_slot(dev->bus);
		if (devfn < 0)
			return fail(error, VIV_ERROR_INVALID, "Device '%s': all PCI slots are taken.",
				dev->dev.cls->name);
		dev->devfn = (uint8_t)devfn;
	}
	PciDevice *there = pci_bus_find(dev->bus, dev->devfn);
	if (there)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': PCI address %02x.%x is taken by '%s'.",
			dev->dev.cls->name, dev->devfn >> 3, dev->devfn & 7, there->dev.cls->name);
	PciDevice *first = pci_bus_find(dev->bus, dev->devfn & 0xf8);
	if ((dev->devfn & 7) && first && !(first->config[PCI_HEADER] & 0x80))
		return fail(error, VIV_ERROR_INVALID, "Device '%s': slot %02x holds '%s' alone. "
			"Give that device multifunction=on.", dev->dev.cls->name, dev->devfn >> 3,
			first->dev.cls->name);
	return true;
}

static bool load_rom(PciDevice *dev, GError **error)
{
	char *data;
	gsize len;
	if (!dev->romfile || !*dev->romfile)
		return true;
	Board *board = dev->dev.board;
	char *path = board->find_file ? board->find_file(board, dev->romfile) : g_strdup(dev->romfile);
	if (!path)
		return fail(error, VIV_ERROR_FAILED, "Device '%s': the ROM image '%s' was not found. Install the package that has it "
			"(seabios for display adapters), name its folder with -L, or give romfile= a path or nothing.",
			dev->dev.cls->name, dev->romfile);
	bool read = g_file_get_contents(path, &data, &len, error);
	g_free(path);
	if (!read)
		return false;
	uint64_t size = 2048;
	while (size < len)
		size *= 2;
	bool fits = len > 0 && len <= ROM_MAX;
	uint8_t *host = fits ? ram_arena_alloc(&dev->dev.board->arena, size, error) : NULL;
	if (!fits)
		fail(error, VIV_ERROR_INVALID, "ROM image '%s' is empty or larger than 16 MiB.", dev->romfile);
	if (host) {
		memcpy(host, data, len);
		region_init_ram(&dev->rom, "pci-rom", host, size, true);
		pci_bar(dev, PCI_ROM_BAR, PCI_BAR_MEM32, &dev->rom);
	}
	g_free(data);
	return host != NULL;
}

bool pci_init(PciDevice *dev, const PciIdentity *id, GError **error)
{
	uint8_t *c = dev->config;

	dev->bus = dev->dev.board->pci;
	if (!dev->bus)
		return fail(error, VIV_ERROR_INVALID, "Device '%s' needs a PCI bus, and this machine has none.",
			dev->dev.cls->name);
	if (!choose_addr(dev, error))
		return false;
	g_free(dev->addr);
	dev->addr = g_strdup_printf("%02x.%x", dev->devfn >> 3, dev->devfn & 7);
	dev->next_capability = CAPABILITY_FIRST;
	pci_put16(c + PCI_VENDOR, id->vendor);
	pci_put16(c + PCI_DEVICE, id->device);
	pci_put16(c + PCI_CLASS, id->class_code);
	c[PCI_PROG_IF] = id->prog_if;
	c[PCI_REVISION] = id->revision;
	c[PCI_INT_PIN] = id->int_pin;
	c[PCI_HEADER] = dev->multifunction ? 0x80 : 0;
	if (id->subvendor != PCI_NO_SUBSYSTEM) {
		bool given = id->subvendor || id->subsystem;
		pci_put16(c + PCI_SUBVENDOR, given ? id->subvendor : PCI_SUBVENDOR_DEFAULT);
		pci_put16(c + PCI_SUBSYSTEM, given ? id->subsystem : PCI_SUBSYSTEM_DEFAULT);
	}
	pci_put16(dev->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF);
	pci_put16(dev->clear_on_one + PCI_STATUS, 0xf900);
	dev->writable[0x0c] = 0xff; /* cache line size */
	dev->writable[PCI_LATENCY] = 0xff;
	dev->writable[PCI_INT_LINE] = 0xff;
	if (!load_rom(dev, error))
		return false;
	pci_bus_set(dev->bus, dev->devfn, dev);
	return true;
}

void pci_reset(PciDevice *dev)
{
	bool enabled = !(pci_get16(&dev->config[PCI_COMMAND]) & PCI_COMMAND_INTX_OFF);
	update_intx(dev, false, enabled);
	if (!dev->initial_taken) {
		memcpy(dev->initial, dev->config, sizeof(dev->initial));
		dev->initial_taken = true;
	}
	memcpy(dev->config, dev->initial, sizeof(dev->config));
	update_mappings(dev);
}

void pci_exit(PciDevice *dev)
{
	pci_set_irq(dev, 0);
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (dev->bar[n].type != PCI_BAR_NONE)
			as_unmap(dev->bar[n].region);
	if (dev->bus)
		pci_bus_set(dev->bus, dev->devfn, NULL);
}
