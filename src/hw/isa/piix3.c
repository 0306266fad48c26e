/*
 * piix3.c - the PIIX3 south bridge's ISA function: PCI interrupt steering, reset control.
 *
 * Intel 82371SB data sheet (290550-002), 2.2. The ELCR is i8259.c's. Left out: DMA aliasing,
 * X-bus chip selects, MB DMA (registers are plain storage). Vcpu threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"
#include "hw/pci/bus.h"

#define PIRQRC 0x60        /* 2.2.11: four route registers */
#define PIRQ_OFF 0x80u
#define PIRQ_ROUTABLE 0xdef8u /* IRQs that the field may name */
#define ISA_LINES 16
#define RESET_CPU 0x04u    /* CF9h (2.5.4.3): a rising edge resets */
#define RESET_WRITABLE 0x02u

typedef struct Piix3 {
	PciDevice pci;
	bool pirq[4];
	uint8_t reset_control;
	bool level[ISA_LINES];  /* what this function last put on each line */
	Irq gsi[ISA_LINES];
	Region region;
} Piix3;

static int route(const Piix3 *s, unsigned n)
{
	uint8_t r = s->pci.config[PIRQRC + n];
	return !(r & PIRQ_OFF) && (PIRQ_ROUTABLE >> (r & 15) & 1) ? r & 15 : -1;
}

/* Several PIRQs may share a line: it is up while one of them is. */
static void update_lines(Piix3 *s)
{
	bool level[ISA_LINES] = { false };

	for (unsigned n = 0; n < 4; n++)
		if (s->pirq[n] && route(s, n) >= 0)
			level[route(s, n)] = true;
	for (unsigned i = 0; i < ISA_LINES; i++) {
		if (level[i] == s->level[i])
			continue;
		s->level[i] = level[i];
		irq_set(&s->gsi[i], level[i]);
	}
}

static void input_pirq(void *opaque, int n, int level)
{
	Piix3 *s = opaque;
	s->pirq[n] = level;
	update_lines(s);
}

static void config_written(PciDevice *dev, unsigned offset, unsigned len)
{
	if (offset < PIRQRC + 4 && offset + len > PIRQRC)
		update_lines((Piix3 *)dev);
}

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((Piix3 *)opaque)->reset_control;
}

static void reset_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Piix3 *s = opaque;
	if (value & RESET_CPU)
		board_request(s->pci.dev.board, RUN_RESET, 0);
	s->reset_control = value & RESET_WRITABLE;
}

static const RegionOps reset_ops = { reset_read, reset_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	Piix3 *s = (Piix3 *)dev;
	static const PciIdentity id = { 0x8086, 0x7000, 0x0601, .subvendor = 0x1af4, .subsystem = 0x1100 };

	if (!s->pci.addr)
		s->pci.addr = g_strdup("1.0");
	s->pci.multifunction = true;
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.config_written = config_written;
	pci_put16(s->pci.config + PCI_COMMAND, 7); /* decodes and masters, always */
	pci_put16(s->pci.config + PCI_STATUS, 0x0200);
	s->pci.config[0x4c] = 0x4d; /* I/O recovery timer */
	s->pci.config[0x4e] = 0x03; /* X-bus chip select */
	s->pci.config[0x69] = 0x02; /* top of memory */
	s->pci.config[0x70] = 0x80;
	s->pci.config[0x76] = s->pci.config[0x77] = 0x0c;
	s->pci.config[0x78] = 0x02;
	s->pci.config[0x82] = 0;
	for (unsigned i = 0; i < 4; i++) {
		s->pci.config[PIRQRC + i] = PIRQ_OFF;
		pci_bus_connect(s->pci.bus, i, device_input(dev, "pirq", i));
	}
	for (unsigned i = 0x40; i < 0xb0; i++)
		s->pci.writable[i] = 0xff;
	for (unsigned i = 0; i < 4; i++)
		s->pci.writable[PIRQRC + i] = 0x8f;
	region_init_io(&s->region, "reset-control", &reset_ops, s, 1);
	pci_bus_set_reset_port(s->pci.bus, &s->region);
	return true;
}

static void reset(Device *dev)
{
	Piix3 *s = (Piix3 *)dev;
	pci_reset(&s->pci);
	update_lines(s);
}

static void unrealize(Device *dev)
{
	Piix3 *s = (Piix3 *)dev;
	if (s->pci.bus)
		pci_bus_set_reset_port(s->pci.bus, NULL);
	for (unsigned i = 0; s->pci.bus && i < 4; i++)
		pci_bus_connect(s->pci.bus, i, (Irq){ 0 });
	pci_exit(&s->pci);
}

static const Property props[] = { PCI_PROPERTIES, { 0 } };
static const StateField state[] = {
	PCI_STATE,
	STATE_KEEP_ARRAY(FIELD_BOOL, Piix3, pirq, 4),
	STATE_KEEP_ARRAY(FIELD_BOOL, Piix3, level, ISA_LINES),
	STATE(FIELD_U8, Piix3, reset_control, 0),
	{ 0 }
};
static const LineOut outputs[] = { { "gsi", offsetof(Piix3, gsi), ISA_LINES }, { 0 } };
static const LineIn inputs[] = { { "pirq", input_pirq, 4 }, { 0 } };

const DeviceClass piix3_class = {
	.name = "PIIX3", .desc = "PIIX3 PCI to ISA bridge", .bus = "pci", .size = sizeof(Piix3), .version = 1,
	.props = props, .state = state, .outputs = outputs, .inputs = inputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
