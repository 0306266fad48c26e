/*
 * pvpanic.c - the guest says that it panicked: a port (pvpanic), or a register in memory
 * (pvpanic-pci, 1b36:0011).
 *
 * QEMU's published docs/specs/pvpanic: reading names the events understood, writing one
 * reports it. A crash kernel that takes over (bit 1) lets the machine go on. Vcpu
 * threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define PANICKED 1u
#define CRASHLOADED 2u
#define PCI_REGS 16u /* the least that a memory BAR can have */

/* What both have. */
typedef struct Notifier {
	Board *board;
	uint8_t events;
	Region region;
} Notifier;

typedef struct PvPanic {
	Device dev;
	uint16_t ioport;
	Notifier notifier;
} PvPanic;

typedef struct PvPanicPci {
	PciDevice pci;
	Notifier notifier;
} PvPanicPci;

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return offset ? UINT64_MAX : ((Notifier *)opaque)->events;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Notifier *n = opaque;
	uint8_t event = offset ? 0 : (uint8_t)value & n->events;
	if (event & PANICKED)
		board_request(n->board, RUN_PANICKED, 0);
	else if (event & CRASHLOADED)
		board_request(n->board, RUN_CRASHLOADED, 0);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static void notifier_init(Notifier *n, Board *board, uint64_t size)
{
	n->board = board;
	region_init_io(&n->region, "pvpanic", &ops, n, size);
}

static bool realize(Device *dev, GError **error)
{
	PvPanic *s = (PvPanic *)dev;
	notifier_init(&s->notifier, dev->board, 1);
	as_map(dev->board->io, &s->notifier.region, s->ioport, 0);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((PvPanic *)dev)->notifier.region);
}

static bool realize_pci(Device *dev, GError **error)
{
	static const PciIdentity id = { 0x1b36, 0x0011, 0x0880, .revision = 1 };
	PvPanicPci *s = (PvPanicPci *)dev;
	if (!pci_init(&s->pci, &id, error))
		return false;
	notifier_init(&s->notifier, dev->board, PCI_REGS);
	pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->notifier.region);
	return true;
}

static void reset_pci(Device *dev) { pci_reset(&((PvPanicPci *)dev)->pci); }
static void unrealize_pci(Device *dev) { pci_exit(&((PvPanicPci *)dev)->pci); }

#define EVENTS(struct_) \
	{ "events", PROP_U8, offsetof(struct_, notifier.events), "3", \
	  "1: panicked, 2: crash kernel loaded", \
	  .max = PANICKED | CRASHLOADED }

static const Property props[] = {
	{ "ioport", PROP_U16, offsetof(PvPanic, ioport), "0x505", "port" },
	EVENTS(PvPanic),
	{ 0 }
};
static const Property pci_props[] = { PCI_PROPERTIES, EVENTS(PvPanicPci), { 0 } };
static const StateField pci_state[] = { PCI_STATE, { 0 } };

const DeviceClass pvpanic_class = {
	.name = "pvpanic", .desc = "guest panic notifier", .bus = "isa", .category = DEVICE_MISC,
	.size = sizeof(PvPanic),
	.user_creatable = true, .version = 1, .props = props, .realize = realize,
	.unrealize = unrealize,
};

const DeviceClass pvpanic_pci_class = {
	.name = "pvpanic-pci", .desc = "guest panic notifier", .bus = "pci",
	.category = DEVICE_MISC,
	.size = sizeof(PvPanicPci), .user_creatable = true,
	.version = 1, .props = pci_props, .state = pci_state, .realize = realize_pci,
	.reset = reset_pci,
	.unrealize = unrealize_pci,
};
