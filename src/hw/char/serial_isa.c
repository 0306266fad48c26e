/*
 * serial_isa.c - a serial port on the ISA bus: COM1 to COM4.
 *
 * Ports and interrupts of the IBM PC/AT. Machine lock held.
 */
#include "core/board.h"
#include "core/error.h"
#include "hw/char/uart.h"
#include "hw/classes.h"

#define UNSET UINT32_MAX

typedef struct SerialIsa {
	Device dev;
	uint32_t index, iobase, irq_number;
	Uart uart;
} SerialIsa;

/* The lowest of COM1..COM4 that no port before this one has. */
static uint32_t free_index(const Device *dev)
{
	const GPtrArray *all = dev->board->devices;
	unsigned used = 0;
	for (guint i = 0; all && i < all->len; i++) {
		const Device *d = all->pdata[i];
		if (d->cls == dev->cls && ((const SerialIsa *)d)->index < 4)
			used |= 1u << ((const SerialIsa *)d)->index;
	}
	return (uint32_t)__builtin_ctz(~used);
}

static bool realize(Device *dev, GError **error)
{
	static const uint16_t bases[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
	static const uint8_t irqs[] = { 4, 3, 4, 3 };
	SerialIsa *s = (SerialIsa *)dev;

	if (s->index == UNSET)
		s->index = free_index(dev);
	if (s->index >= G_N_ELEMENTS(bases))
		return fail(error, VIV_ERROR_INVALID,
			"isa-serial: there are four ports, index 0 to 3.");
	if (s->iobase == UNSET)
		s->iobase = bases[s->index];
	if (s->irq_number == UNSET)
		s->irq_number = irqs[s->index];
	if (s->iobase > 0xfff8 || s->irq_number > 15)
		return fail(error, VIV_ERROR_INVALID,
			"isa-serial: iobase ends at 0xfff8 and irq at 15.");
	if (!uart_init(&s->uart, dev->board->clock, dev->board->gsi[s->irq_number], error))
		return false;
	as_map(dev->board->io, &s->uart.region, s->iobase, 0);
	return true;
}

static void reset(Device *dev)
{
	uart_reset(&((SerialIsa *)dev)->uart);
}

static void unrealize(Device *dev)
{
	SerialIsa *s = (SerialIsa *)dev;
	as_unmap(&s->uart.region);
	uart_exit(&s->uart);
}

static const Property props[] = {
	{ "index", PROP_U32, offsetof(SerialIsa, index), "0xffffffff",
		"0..3: COM1..COM4; the first free" },
	{ "iobase", PROP_U32, offsetof(SerialIsa, iobase), "0xffffffff", "first port; by index" },
	{ "irq", PROP_U32, offsetof(SerialIsa, irq_number), "0xffffffff",
		"ISA interrupt; by index" },
	{ "chardev", PROP_CHARDEV, offsetof(SerialIsa, uart.chardev), NULL,
		"the other end of the line" },
	{ 0 }
};

static const StateField state[] = { UART_STATE(SerialIsa, uart), { 0 } };

const DeviceClass serial_isa_class = {
	.name = "isa-serial", .desc = "16550A serial port", .bus = "isa", .category = DEVICE_INPUT,
	.size = sizeof(SerialIsa),
	.user_creatable = true, .version = 1, .props = props, .state = state,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
