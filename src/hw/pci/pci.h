/*
 * pci.h - conventional PCI: a bus of 32 slots, and what every function on it has.
 *
 * PCI Local Bus Specification 3.0 ("PCI"). A device's struct begins with PciDevice;
 * its class has PCI_PROPERTIES and calls pci_init() first in realize, pci_reset() in
 * reset and pci_exit() in unrealize. Machine lock held in all functions.
 */
#ifndef VIV_HW_PCI_PCI_H
#define VIV_HW_PCI_PCI_H

#include "core/board.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/memory.h"

#define PCI_SLOTS 32
#define PCI_FUNCTIONS 8
#define PCI_DEVFN(slot, fn) ((uint8_t)((slot) << 3 | (fn)))
#define PCI_BARS 7       /* [6] is the expansion ROM */
#define PCI_ROM_BAR 6
#define PCI_CONFIG_SIZE 256

/* Configuration space (PCI 6.1) */
enum {
	PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
	PCI_PROG_IF = 0x09, PCI_CLASS = 0x0a, PCI_LATENCY = 0x0d, PCI_HEADER = 0x0e, PCI_BAR0 = 0x10,
	PCI_SUBVENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34,
	PCI_INT_LINE = 0x3c, PCI_INT_PIN = 0x3d,
};
#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_SERR 0x0100u
#define PCI_COMMAND_INTX_OFF 0x0400u
#define PCI_STATUS_INTX 0x0008u
#define PCI_STATUS_CAPABILITIES 0x0010u
#define PCI_SUBVENDOR_DEFAULT 0x1af4u /* what QEMU's devices carry */
#define PCI_SUBSYSTEM_DEFAULT 0x1100u

typedef enum PciBarType {
	PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_MEM64_PREFETCH, PCI_BAR_MEM32_PREFETCH,
} PciBarType;

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;

typedef struct PciBar {
	PciBarType type;
	Region *region; /* the device's; its size is a power of two, at least 4 (I/O) or 16 bytes */
} PciBar;

/* What a function is; for pci_init. */
typedef struct PciIdentity {
	uint16_t vendor, device;
	uint16_t class_code;   /* base class and sub-class, e.g. 0x0601 */
	uint8_t prog_if, revision;
	uint16_t subvendor, subsystem; /* both 0: QEMU's defaults; none for bridges: set PCI_NO_SUBSYSTEM */
	uint8_t int_pin;       /* 0 none, 1..4: INTA#..INTD# */
} PciIdentity;
#define PCI_NO_SUBSYSTEM 0xffffu

struct PciDevice {
	Device dev;
	PciBus *bus;
	char *addr;            /* property: "slot" or "slot.function", hexadecimal */
	bool multifunction;
	char *romfile;         /* property: expansion ROM image; "" for none */
	uint8_t devfn;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may write */
	uint8_t clear_on_one[PCI_CONFIG_SIZE]; /* bits that writing one clears */
	uint8_t initial[PCI_CONFIG_SIZE];  /* as realize left it: what reset restores */
	bool initial_taken;
	PciBar bar[PCI_BARS];
	Region rom;
	uint8_t next_capability; /* where the next one goes */
	bool intx;             /* level of the interrupt pin */
	/* After the guest wrote [offset, offset+len) of the space. May be NULL. */
	void (*config_written)(PciDevice *dev, unsigned offset, unsigned len);
	/* Before the guest reads it, for registers that live elsewhere. May be NULL. */
	void (*config_read)(PciDevice *dev, unsigned offset, unsigned len);
};

#define PCI_PROPERTIES \
	{ "addr", PROP_STRING, offsetof(PciDevice, addr), NULL, "slot[.function], hexadecimal" }, \
	{ "multifunction", PROP_BOOL, offsetof(PciDevice, multifunction), "off", "the slot has more functions" }, \
	{ "romfile", PROP_STRING, offsetof(PciDevice, romfile), NULL, "expansion ROM image" }
#define PCI_STATE \
	STATE_KEEP_ARRAY(FIELD_U8, PciDevice, config, PCI_CONFIG_SIZE)
#define STATE_KEEP_ARRAY(type_, struct_, member, n) \
	{ .name = #member, .type = type_, .offset = offsetof(struct_, member), .count = n, .version = 1, .keep = true }

/* Makes the bus and its configuration mechanism; owned by the host bridge. */
PciBus *pci_bus_new(struct Board *board);
void pci_bus_free(PciBus *bus);
/* Where INTA#..INTD# of the bus end (n 0..3), after swizzling by slot. */
void pci_bus_connect(PciBus *bus, unsigned n, Irq to);
/* The function at devfn, or NULL. */
PciDevice *pci_bus_find(PciBus *bus, uint8_t devfn);
/* Calls fn for each function, in order of devfn. */
void pci_bus_each(PciBus *bus, void (*fn)(PciDevice *dev, void *opaque), void *opaque);

/*
 * Puts the function on the board's bus (property "addr", or the first free slot) and
 * fills its configuration space. False with *error: the address is bad or taken, or the
 * ROM image cannot be read.
 */
bool pci_init(PciDevice *dev, const PciIdentity *id, GError **error);
void pci_exit(PciDevice *dev);  /* unmaps BARs and leaves the bus */
void pci_reset(PciDevice *dev); /* configuration as after realize; BARs unmapped, INTx low */
/* Announces BAR n (0..5), in realize after pci_init. MEM64 takes n and n + 1. */
void pci_bar(PciDevice *dev, unsigned n, PciBarType type, Region *region);
/*
 * Adds a capability of `size` bytes (id and next pointer included); the bytes after
 * these two are zero and read-only. Returns its offset, 0 if the space is full.
 */
uint8_t pci_add_capability(PciDevice *dev, uint8_t id, uint8_t size);
/* Level of the function's interrupt pin; the command register may hold it back. */
void pci_set_irq(PciDevice *dev, int level);
/* May the function reach guest memory (bus master enabled)? */
static inline bool pci_master(const PciDevice *dev)
{
	return dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* Little-endian fields of the configuration space. */
static inline uint16_t pci_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t pci_get32(const uint8_t *p) { return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16; }
static inline void pci_put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void pci_put32(uint8_t *p, uint32_t v) { pci_put16(p, (uint16_t)v); pci_put16(p + 2, (uint16_t)(v >> 16)); }

/* Configuration cycles of the guest, 1, 2 or 4 bytes within one dword. */
uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size);
void pci_config_write(PciDevice *dev, unsigned offset, uint32_t value, unsigned size);

#endif
