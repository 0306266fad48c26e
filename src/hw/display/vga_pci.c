/*
 * vga_pci.c - the PCI adapters: VGA (1234:1111) and bochs-display, which has no VGA but its linear modes.
 *
 * QEMU's docs/specs/standard-vga: BAR 0 video memory, BAR 2 registers as memory: EDID at 0, the VGA ports from 3C0h at 400h,
 * the Bochs VBE registers at 500h, byte order at 600h (little endian only). Machine lock held.
 */
#include <string.h>

#include "core/error.h"
#include "hw/classes.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"

#define MMIO_SIZE 4096
#define EDID_SIZE 0x100u
#define MMIO_PORTS 0x400u
#define MMIO_VBE 0x500u
#define MMIO_EXTENDED 0x600u
#define LITTLE_ENDIAN_WORD 0x1e1e1e1eu

typedef struct VgaPci {
	PciDevice pci;
	Vga vga;
	uint64_t vgamem;              /* bochs-display: bytes; VGA: MiB */
	uint32_t vgamem_mb;
	bool mmio_on, edid_on, extended, has_vga;
	uint32_t xres, yres, xmax, ymax, refresh;
	uint8_t edid[EDID_SIZE];
	Region vram, mmio;
} VgaPci;

/* ---- registers as memory: bytes for EDID and ports, 16-bit words for VBE ---- */

static uint8_t mmio_byte(VgaPci *s, unsigned at)
{
	static const uint8_t extended[8] = { 8, 0, 0, 0, 0x1e, 0x1e, 0x1e, 0x1e };

	if (at < EDID_SIZE)
		return s->edid_on ? s->edid[at] : 0xff;
	if (s->has_vga && at >= MMIO_PORTS && at < MMIO_PORTS + 0x20)
		return vga_port_read(&s->vga, at - MMIO_PORTS + 0x3c0);
	if (at >= MMIO_VBE && at < MMIO_VBE + 2 * VBE_REGS)
		return (uint8_t)(vga_vbe_read(&s->vga, (at - MMIO_VBE) / 2) >> 8 * (at & 1));
	if (s->extended && at >= MMIO_EXTENDED && at < MMIO_EXTENDED + sizeof(extended))
		return extended[at - MMIO_EXTENDED];
	return 0xff;
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)mmio_byte(opaque, (unsigned)offset + i) << 8 * i;
	return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	VgaPci *s = opaque;
	unsigned at = (unsigned)offset;

	if (at >= MMIO_VBE && at < MMIO_VBE + 2 * VBE_REGS) {
		unsigned index = (at - MMIO_VBE) / 2;
		if (size == 1) { /* half a register */
			uint16_t old = vga_vbe_read(&s->vga, index), shift = 8 * (at & 1);
			value = (old & ~(0xffu << shift)) | value << shift;
		}
		vga_vbe_write(&s->vga, index, (uint16_t)value);
		return;
	}
	for (unsigned i = 0; i < size && s->has_vga; i++)
		if (at + i >= MMIO_PORTS && at + i < MMIO_PORTS + 0x20)
			vga_port_write(&s->vga, at + i - MMIO_PORTS + 0x3c0, (uint8_t)(value >> 8 * i));
}

static const RegionOps mmio_ops = { mmio_read, mmio_write, 1, 2 };

/* ---- life ---- */

static bool realize_adapter(VgaPci *s, const PciIdentity *id, uint64_t vram, GError **error)
{
	if (vram & (vram - 1) || vram < 1u << 20 || vram > 256u << 20)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': video memory is a power of two, 1 to 256 MiB.",
			    s->pci.dev.cls->name);
	if (!pci_init(&s->pci, id, error))
		return false;
	if (!vga_init(&s->vga, &s->pci.dev, (uint32_t)vram, s->has_vga, error)) {
		pci_exit(&s->pci);
		return false;
	}
	region_init_ram(&s->vram, "vga.vram", s->vga.vram, vram, false);
	pci_bar(&s->pci, 0, PCI_BAR_MEM32_PREFETCH, &s->vram);
	if (s->mmio_on) {
		region_init_io(&s->mmio, "vga.mmio", &mmio_ops, s, MMIO_SIZE);
		pci_bar(&s->pci, 2, PCI_BAR_MEM32, &s->mmio);
	}
	memset(s->edid, 0xff, sizeof(s->edid));
	edid_make(s->edid, s->xres, s->yres, s->xmax, s->ymax, s->refresh ? s->refresh : 75000);
	return true;
}

static bool realize_vga(Device *dev, GError **error)
{
	static const PciIdentity id = { 0x1234, 0x1111, 0x0300, .revision = 2 };
	VgaPci *s = (VgaPci *)dev;
	s->has_vga = true;
	if (!s->pci.romfile)
		s->pci.romfile = g_strdup("vgabios-stdvga.bin");
	return realize_adapter(s, &id, (uint64_t)s->vgamem_mb << 20, error);
}

static bool realize_bochs(Device *dev, GError **error)
{
	static const PciIdentity id = { 0x1234, 0x1111, 0x0380, .revision = 2 };
	VgaPci *s = (VgaPci *)dev;
	s->mmio_on = true;
	if (!s->pci.romfile)
		s->pci.romfile = g_strdup("vgabios-bochs-display.bin");
	return realize_adapter(s, &id, s->vgamem, error);
}

static void reset(Device *dev)
{
	VgaPci *s = (VgaPci *)dev;
	pci_reset(&s->pci);
	vga_reset(&s->vga);
	if (!s->has_vga) /* nothing else turns the screen on */
		s->vga.attr_index = 0x20;
}

static void unrealize(Device *dev)
{
	VgaPci *s = (VgaPci *)dev;
	pci_exit(&s->pci);
	vga_exit(&s->vga);
}

#define SIZE_PROPERTIES \
	{ "edid", PROP_BOOL, offsetof(VgaPci, edid_on), "on", "tell the guest what sizes the monitor has" }, \
	{ "xres", PROP_U32, offsetof(VgaPci, xres), "1280", "preferred width", .max = 4095 }, \
	{ "yres", PROP_U32, offsetof(VgaPci, yres), "800", "preferred height", .max = 4095 }, \
	{ "xmax", PROP_U32, offsetof(VgaPci, xmax), "0", "greatest width; 0: any" }, \
	{ "ymax", PROP_U32, offsetof(VgaPci, ymax), "0", "greatest height; 0: any" }, \
	{ "refresh_rate", PROP_U32, offsetof(VgaPci, refresh), "0", "millihertz; 0: 75000", .max = 1000000 }

static const Property vga_props[] = {
	PCI_PROPERTIES,
	{ "vgamem_mb", PROP_U32, offsetof(VgaPci, vgamem_mb), "16", "video memory, MiB", .min = 1, .max = 256 },
	{ "mmio", PROP_BOOL, offsetof(VgaPci, mmio_on), "on", "registers as memory too (BAR 2)" },
	{ "qemu-extended-regs", PROP_BOOL, offsetof(VgaPci, extended), "on", "byte order register" },
	SIZE_PROPERTIES,
	{ 0 }
};

static const Property bochs_props[] = {
	PCI_PROPERTIES,
	{ "vgamem", PROP_SIZE, offsetof(VgaPci, vgamem), "16M", "video memory" },
	SIZE_PROPERTIES,
	{ 0 }
};

static const StateField state[] = {
	PCI_STATE,
	STATE_STRUCT(VgaPci, vga, vga_state),
	{ 0 }
};

const DeviceClass vga_class = {
	.name = "VGA", .desc = "standard VGA with Bochs VBE", .bus = "pci", .category = DEVICE_DISPLAY,
	.size = sizeof(VgaPci), .user_creatable = true,
	.version = 1, .props = vga_props, .state = state, .realize = realize_vga, .reset = reset, .unrealize = unrealize,
};

const DeviceClass bochs_display_class = {
	.name = "bochs-display", .desc = "linear frame buffer without VGA", .bus = "pci", .category = DEVICE_DISPLAY,
	.size = sizeof(VgaPci),
	.user_creatable = true, .version = 1, .props = bochs_props, .state = state, .realize = realize_bochs, .reset = reset,
	.unrealize = unrealize,
};
