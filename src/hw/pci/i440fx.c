/*
 * i440fx.c - the 440FX host bridge: the bus's root, shadow RAM switches, SMRAM.
 *
 * Intel 82441FX (PMC) data sheet, 290549-001, 3.2. Left out: DRAM timing and error
 * registers (plain storage), SMM itself: SMRAM shows only when opened by D_OPEN.
 * Vcpu threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"
#include "hw/pci/bus.h"

#define PAM0 0x59       /* 3.2.18: seven registers */
#define PAM_COUNT 13
#define PAM_READ 1u     /* reads are from DRAM */
#define PAM_WRITE 2u
#define SMRAMC 0x72     /* 3.2.22 */
#define SMRAM_OPEN 0x40u
#define SMRAM_LOCK 0x10u
#define SMRAM_ENABLE 0x08u
#define SMRAM_BASE 0xa0000u
#define SMRAM_SIZE 0x20000u
#define BIOS_BASE 0xe0000u

typedef struct I440fx {
	PciDevice pci;
	uint8_t *bios;          /* 128 KiB shown at E0000h when shadow RAM is off; NULL: open bus */
	Region pam[PAM_COUNT];
	Region smram;
} I440fx;

/* Region 0 is F0000h..FFFFFh; 1..12 are 16 KiB each from C0000h. */
static uint32_t pam_base(unsigned i)
{
	return i == 0 ? 0xf0000 : 0xc0000 + (i - 1) * 0x4000;
}

static unsigned pam_bits(const I440fx *s, unsigned i)
{
	if (i == 0)
		return s->pci.config[PAM0] >> 4 & 3;
	return s->pci.config[PAM0 + (i + 1) / 2] >> (i & 1 ? 0 : 4) & 3;
}

static void update_pam(I440fx *s)
{
	uint8_t *ram = s->pci.dev.board->ram;

	for (unsigned i = 0; i < PAM_COUNT; i++) {
		uint32_t base = pam_base(i);
		unsigned bits = pam_bits(s, i);
		uint8_t *rom = s->bios && base >= BIOS_BASE ? s->bios + (base - BIOS_BASE) : NULL;
		as_set_host(&s->pam[i], bits & PAM_READ ? ram + base : rom,
			bits & PAM_WRITE ? ram + base : NULL);
	}
}

static void update_smram(I440fx *s)
{
	uint8_t control = s->pci.config[SMRAMC];
	if ((control & SMRAM_OPEN) && (control & SMRAM_ENABLE))
		as_map(s->pci.dev.board->mem, &s->smram, SMRAM_BASE, 2);
	else
		as_unmap(&s->smram);
}

static void config_written(PciDevice *dev, unsigned offset, unsigned len)
{
	I440fx *s = (I440fx *)dev;
	AddressSpace *mem = dev->dev.board->mem;

	if (offset + len <= PAM0 || offset > SMRAMC)
		return;
	if (dev->config[SMRAMC] & SMRAM_LOCK) { /* D_LCK: closed, and read-only until reset */
		dev->config[SMRAMC] &= (uint8_t)~SMRAM_OPEN;
		dev->writable[SMRAMC] = 0;
	}
	as_begin(mem);
	update_pam(s);
	update_smram(s);
	as_commit(mem);
}

static bool realize(Device *dev, GError **error)
{
	I440fx *s = (I440fx *)dev;
	Board *board = dev->board;
	static const PciIdentity id = { 0x8086, 0x1237, 0x0600, .revision = 2 };

	if (!s->pci.addr)
		s->pci.addr = g_strdup("0.0");
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.config_written = config_written;
	/* Registers of the memory controller that firmware sets and reads back. */
	for (unsigned i = 0x50; i < 0x74; i++)
		s->pci.writable[i] = 0xff;
	for (unsigned i = PAM0; i < PAM0 + 7; i++)
		s->pci.writable[i] = 0x33;
	s->pci.writable[SMRAMC] = 0x78;
	s->pci.config[SMRAMC] = 0x02;
	as_begin(board->mem);
	for (unsigned i = 0; i < PAM_COUNT; i++) {
		region_init_io(&s->pam[i], "pam", NULL, s, i == 0 ? 0x10000 : 0x4000);
		as_map(board->mem, &s->pam[i], pam_base(i), 1);
	}
	region_init_ram(&s->smram, "smram", board->ram + SMRAM_BASE, SMRAM_SIZE, false);
	as_commit(board->mem);
	return true;
}

static void reset(Device *dev)
{
	I440fx *s = (I440fx *)dev;
	pci_reset(&s->pci);
	s->pci.writable[SMRAMC] = 0x78;
	as_begin(dev->board->mem);
	update_pam(s);
	update_smram(s);
	as_commit(dev->board->mem);
}

static void unrealize(Device *dev)
{
	I440fx *s = (I440fx *)dev;
	for (unsigned i = 0; i < PAM_COUNT; i++)
		as_unmap(&s->pam[i]);
	as_unmap(&s->smram);
	pci_exit(&s->pci);
}

static const Property props[] = { PCI_PROPERTIES, { "bios", PROP_PTR, offsetof(I440fx, bios) }, { 0 } };
static const StateField state[] = { PCI_STATE, { 0 } };

const DeviceClass i440fx_class = {
	.name = "i440FX", .desc = "440FX host bridge", .bus = "pci", .size = sizeof(I440fx), .version = 1,
	.props = props, .state = state, .realize = realize, .reset = reset, .unrealize = unrealize,
};

/* ---- the bus's root: configuration ports ---- */

typedef struct HostBridge { Device dev; PciBus *bus; } HostBridge;

static bool host_realize(Device *dev, GError **error)
{
	HostBridge *s = (HostBridge *)dev;
	s->bus = dev->board->pci = pci_bus_new(dev->board);
	return true;
}

static void host_reset(Device *dev)
{
	pci_bus_reset(((HostBridge *)dev)->bus);
}

static void host_unrealize(Device *dev)
{
	HostBridge *s = (HostBridge *)dev;
	pci_bus_free(s->bus);
	dev->board->pci = NULL;
}

const DeviceClass i440fx_pcihost_class = {
	.name = "i440FX-pcihost", .desc = "PCI configuration ports", .bus = "system",
	.size = sizeof(HostBridge), .version = 1,
	.realize = host_realize, .reset = host_reset, .unrealize = host_unrealize,
};
