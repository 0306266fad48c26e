/*
 * serial_pci.c - one, two or four serial ports on a PCI card, as QEMU's pci-serial cards are.
 *
 * QEMU's docs/specs/pci-serial.rst: vendor 1b36h, device 0002h to 0004h, class 0700h with the
 * 16550's programming interface 02h; BAR 0 holds the ports, eight each; INTA# is shared.
 * Machine lock held.
 */
#include "core/error.h"
#include "hw/char/uart.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define PORTS_MAX 4
#define CLASS_SERIAL 0x0700
#define PROG_16550 2

typedef struct SerialPci {
	PciDevice pci;
	Uart uart[PORTS_MAX];
	unsigned levels;         /* interrupt of each */
	unsigned count;
	Region container;        /* several: their ports in a row */
} SerialPci;

static void set_level(void *opaque, int n, int level)
{
	SerialPci *s = opaque;
	s->levels = (s->levels & ~(1u << n)) | (level ? 1u << n : 0);
	pci_set_irq(&s->pci, s->levels != 0);
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
	SerialPci *s = opaque;
	Region *r = &s->uart[offset / UART_PORTS].region;
	return r->ops->read(r->opaque, offset % UART_PORTS, size);
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	SerialPci *s = opaque;
	Region *r = &s->uart[offset / UART_PORTS].region;
	r->ops->write(r->opaque, offset % UART_PORTS, value, size);
}

static const RegionOps ops = { ports_read, ports_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	SerialPci *s = (SerialPci *)dev;
	s->count = dev->cls == &serial_pci4_class ? 4 : dev->cls == &serial_pci2_class ? 2 : 1;
	PciIdentity id = { .vendor = 0x1b36, .device = (uint16_t)(s->count == 4 ? 4 : s->count + 1),
		.class_code = CLASS_SERIAL, .prog_if = PROG_16550, .revision = 1, .int_pin = 1 };
	if (!pci_init(&s->pci, &id, error))
		return false;
	for (unsigned i = 0; i < s->count; i++) {
		if (uart_init(&s->uart[i], dev->board->clock, (Irq){ set_level, s, (int)i }, error))
			continue;
		while (i-- > 0)
			uart_exit(&s->uart[i]);
		pci_exit(&s->pci);
		return false;
	}
	region_init_io(&s->container, "pci-serial", &ops, s, s->count * UART_PORTS);
	pci_bar(&s->pci, 0, PCI_BAR_IO, &s->container);
	return true;
}

static void reset(Device *dev)
{
	SerialPci *s = (SerialPci *)dev;
	pci_reset(&s->pci);
	for (unsigned i = 0; i < s->count; i++)
		uart_reset(&s->uart[i]);
}

static void unrealize(Device *dev)
{
	SerialPci *s = (SerialPci *)dev;
	pci_exit(&s->pci);
	for (unsigned i = 0; i < s->count; i++)
		uart_exit(&s->uart[i]);
}

#define LINE(name_, n) \
	{ name_, PROP_CHARDEV, offsetof(SerialPci, uart[n].chardev), NULL, "other end" }
static const Property props[] = { PCI_PROPERTIES, LINE("chardev", 0), { 0 } };
static const Property props2[] = { PCI_PROPERTIES, LINE("chardev1", 0), LINE("chardev2", 1),
	{ 0 } };
static const Property props4[] = {
	PCI_PROPERTIES, LINE("chardev1", 0), LINE("chardev2", 1), LINE("chardev3", 2),
		LINE("chardev4", 3),
	{ 0 }
};
static const StateField state[] = {
	PCI_STATE, UART_STATE(SerialPci, uart[0]), UART_STATE(SerialPci, uart[1]),
	UART_STATE(SerialPci, uart[2]), UART_STATE(SerialPci, uart[3]), { 0 }
};

#define CARD(name_, desc_, props_) { \
	.name = name_, .desc = desc_, .bus = "pci", .category = DEVICE_INPUT, .size = sizeof(SerialPci), \
	.user_creatable = true, .version = 1, .props = props_, .state = state, \
	.realize = realize, .reset = reset, .unrealize = unrealize, \
}
const DeviceClass serial_pci_class = CARD("pci-serial", "16550A serial port on PCI", props);
const DeviceClass serial_pci2_class = CARD("pci-serial-2x", "two 16550A serial ports on PCI",
	props2);
const DeviceClass serial_pci4_class = CARD("pci-serial-4x", "four 16550A serial ports on PCI",
	props4);
