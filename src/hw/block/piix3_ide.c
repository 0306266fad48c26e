/*
 * piix3_ide.c - function 1 of the PIIX3: two IDE channels at the places that PCs have them.
 *
 * Intel 82371SB data sheet (290550-002), 2.3. Ports and interrupts are those of compatibility
 * mode always, as on QEMU's board, and do not follow the I/O bit or the IDETIM decode bits.
 * Timing registers are storage. Vcpu threads under the machine lock.
 */
#include "hw/block/ide.h"
#include "hw/classes.h"

#define CLASS_IDE 0x0101
#define BM_SIZE 8u

typedef struct Piix3Ide {
	PciDevice pci;
	IdeChannel channel[2];
	Irq irq[2];
	Region bus_master;
} Piix3Ide;

static uint64_t bm_read(void *opaque, uint64_t offset, unsigned size)
{
	Piix3Ide *s = opaque;
	return ide_bm_read(&s->channel[offset / BM_SIZE], offset % BM_SIZE, size);
}

static void bm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Piix3Ide *s = opaque;
	ide_bm_write(&s->channel[offset / BM_SIZE], offset % BM_SIZE, value, size);
}

/* Byte by byte: the table's address is the only wide register, and may be written in pieces. */
static const RegionOps bm_ops = { bm_read, bm_write, 1, 1 };

static void pass_irq(void *opaque, int n, int level)
{
	Piix3Ide *s = opaque;
	irq_set(&s->irq[n], level);
}

static void add_channel(Piix3Ide *s, unsigned n)
{
	static const uint16_t ports[2][2] = { { 0x1f0, 0x3f6 }, { 0x170, 0x376 } };
	IdeChannel *ch = &s->channel[n];
	AddressSpace *io = s->pci.dev.board->io;
	ide_channel_init(ch, &s->pci, n);
	ch->irq = (Irq){ pass_irq, s, (int)n };
	as_map(io, &ch->command_block, ports[n][0], 0);
	as_map(io, &ch->control_block, ports[n][1], 0);
	ch->bus = bus_new_of(&s->pci.dev, "ide", n, ch, 2);
}

static bool realize(Device *dev, GError **error)
{
	Piix3Ide *s = (Piix3Ide *)dev;
	static const PciIdentity id = { 0x8086, 0x7010, CLASS_IDE, .prog_if = 0x80 };

	if (!s->pci.addr)
		s->pci.addr = g_strdup("1.1");
	if (!pci_init(&s->pci, &id, error))
		return false;
	pci_put16(s->pci.config + PCI_STATUS, 0x0280);
	for (unsigned i = 0x40; i < 0x45; i++)
		s->pci.writable[i] = 0xff;
	region_init_io(&s->bus_master, "ide-bus-master", &bm_ops, s, 2 * BM_SIZE);
	pci_bar(&s->pci, 4, PCI_BAR_IO, &s->bus_master);
	for (unsigned n = 0; n < 2; n++)
		add_channel(s, n);
	return true;
}

static void quiesce(Device *dev)
{
	Piix3Ide *s = (Piix3Ide *)dev;
	for (unsigned i = 0; i < 4; i++)
		ide_cancel(&s->channel[i / 2].drive[i % 2]);
}

static void reset(Device *dev)
{
	Piix3Ide *s = (Piix3Ide *)dev;
	pci_reset(&s->pci);
	for (unsigned n = 0; n < 2; n++)
		ide_channel_reset(&s->channel[n]);
}

static void unrealize(Device *dev)
{
	Piix3Ide *s = (Piix3Ide *)dev;
	for (unsigned n = 0; n < 2; n++) {
		bus_free(s->channel[n].bus);
		as_unmap(&s->channel[n].command_block);
		as_unmap(&s->channel[n].control_block);
	}
	pci_exit(&s->pci);
}

static const Property props[] = { PCI_PROPERTIES, { 0 } };
static const StateField state[] = {
	PCI_STATE,
	STATE_STRUCT(Piix3Ide, channel[0], ide_channel_state),
	STATE_STRUCT(Piix3Ide, channel[1], ide_channel_state),
	{ 0 }
};
static const LineOut outputs[] = { { "irq", offsetof(Piix3Ide, irq), 2 }, { 0 } };

const DeviceClass piix3_ide_class = {
	.name = "piix3-ide", .desc = "PIIX3 IDE controller", .bus = "pci", .category = DEVICE_STORAGE,
	.size = sizeof(Piix3Ide), .version = 1,
	.props = props, .state = state, .outputs = outputs, .realize = realize, .quiesce = quiesce, .reset = reset,
	.unrealize = unrealize,
};
