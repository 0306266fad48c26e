/*
 * serial_isa.c - a 16550A serial port on the ISA bus.
 *
 * National Semiconductor PC16550D data sheet (June 1995), section 8. Output is not paced:
 * a byte leaves as soon as the backend takes it, and until then the transmitter is busy.
 * Left out: DMA modes, parity and framing errors (no line produces them). Entered by vcpu
 * and main threads under the machine lock.
 */
#include <string.h>

#include "chardev/chardev.h"
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
#define FIFO_SIZE 16
#define UNSET UINT32_MAX
#define CLOCK_HZ 1843200

#define IER_RX 0x01u
#define IER_TX 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_TX 0x02u
#define IIR_RX 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u
#define LCR_DLAB 0x80u
#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_BREAK 0x10u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE 0x40u
#define LSR_ERRORS 0x1eu
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u

typedef struct Serial {
	Device dev;
	uint32_t index, iobase, irq_number;
	Chardev *chardev;
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t errors;          /* LSR_ERRORS since the last read */
	uint8_t msr_delta;       /* low half of MSR */
	uint8_t lines;           /* high half of MSR as last seen */
	uint16_t divisor;
	uint8_t rx[FIFO_SIZE], tx[FIFO_SIZE];
	uint8_t rx_head, rx_count, tx_head, tx_count;
	bool tx_interrupt;       /* the transmitter ran empty and nobody was told */
	bool rx_timeout;         /* characters wait below the trigger level */
	Timer timeout;
	Region region;
} Serial;

static bool fifos(const Serial *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned depth(const Serial *s)
{
	return fifos(s) ? FIFO_SIZE : 1;
}

static unsigned trigger(const Serial *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };
	return fifos(s) ? level[s->fcr >> 6] : 1;
}

static uint8_t line_status(const Serial *s)
{
	uint8_t v = s->errors;
	if (s->rx_count)
		v |= LSR_DATA;
	if (!s->tx_count)
		v |= LSR_THR_EMPTY | LSR_IDLE;
	return v;
}

/* The interrupt of highest priority (table IV). */
static uint8_t pending(const Serial *s)
{
	if ((s->ier & IER_LINE) && s->errors)
		return IIR_LINE;
	if (s->ier & IER_RX) {
		if (s->rx_count >= trigger(s))
			return IIR_RX;
		if (s->rx_timeout)
			return IIR_TIMEOUT;
	}
	if ((s->ier & IER_TX) && s->tx_interrupt)
		return IIR_TX;
	if ((s->ier & IER_MODEM) && s->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(Serial *s)
{
	irq_set(&s->dev.board->gsi[s->irq_number], pending(s) != IIR_NONE);
}

/* ---- receiver ---- */

/* Four character times without a read or arrival: the FIFO's rest is announced. */
static void start_timeout(Serial *s)
{
	uint64_t divisor = s->divisor ? s->divisor : 1;
	s->rx_timeout = false;
	timer_cancel(&s->timeout);
	if (fifos(s) && s->rx_count)
		timer_arm(&s->timeout, clock_now(s->dev.board->clock) +
			(int64_t)muldiv64(4 * 10 * 16 * divisor, NS_PER_SEC, CLOCK_HZ));
}

static void timed_out(void *opaque)
{
	Serial *s = opaque;
	s->rx_timeout = s->rx_count > 0;
	update_irq(s);
}

static void receive(Serial *s, uint8_t byte)
{
	if (s->rx_count < depth(s)) {
		s->rx[(s->rx_head + s->rx_count++) % FIFO_SIZE] = byte;
	} else {
		s->errors |= LSR_OVERRUN;
		if (!fifos(s)) /* the holding register is overwritten, a FIFO is not */
			s->rx[s->rx_head] = byte;
	}
	start_timeout(s);
}

static uint8_t take(Serial *s)
{
	uint8_t byte = s->rx[s->rx_head];
	if (s->rx_count == 0)
		return 0;
	s->rx_head = (uint8_t)((s->rx_head + 1) % FIFO_SIZE);
	s->rx_count--;
	start_timeout(s);
	update_irq(s);
	if (s->chardev && !(s->mcr & MCR_LOOP))
		chardev_accept_input(s->chardev);
	return byte;
}

static size_t can_read(void *opaque)
{
	Serial *s = opaque;
	return s->mcr & MCR_LOOP ? 0 : depth(s) - MIN(depth(s), s->rx_count);
}

static void read_chars(void *opaque, const uint8_t *buf, size_t len)
{
	Serial *s = opaque;
	for (size_t i = 0; i < len; i++)
		receive(s, buf[i]);
	update_irq(s);
}

static void char_event(void *opaque, ChardevEvent event)
{
	Serial *s = opaque;
	if (event != CHARDEV_BREAK || (s->mcr & MCR_LOOP))
		return;
	receive(s, 0);
	s->errors |= LSR_BREAK;
	update_irq(s);
}

/* ---- transmitter ---- */

/* Hands on what the backend takes; the rest waits for `writable`. */
static void transmit(Serial *s)
{
	while (s->tx_count) {
		unsigned n = MIN(s->tx_count, FIFO_SIZE - s->tx_head);
		size_t taken = chardev_write(s->chardev, &s->tx[s->tx_head], n);
		taken = MIN(taken, n);
		s->tx_head = (uint8_t)((s->tx_head + taken) % FIFO_SIZE);
		s->tx_count = (uint8_t)(s->tx_count - taken);
		if (taken < n)
			return;
	}
	s->tx_interrupt = true;
}

static void writable(void *opaque)
{
	Serial *s = opaque;
	if (s->tx_count)
		transmit(s);
	update_irq(s);
}

static void write_thr(Serial *s, uint8_t byte)
{
	s->tx_interrupt = false;
	update_irq(s);
	if (s->mcr & MCR_LOOP) {
		receive(s, byte);
		s->tx_interrupt = true;
	} else if (s->tx_count < depth(s)) {
		bool waiting = s->tx_count > 0; /* the backend is full, and will call */
		s->tx[(s->tx_head + s->tx_count++) % FIFO_SIZE] = byte;
		if (!waiting)
			transmit(s);
	}
	update_irq(s);
}

/* ---- modem lines ---- */

static uint8_t modem_lines(const Serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS; /* somebody is there and ready */
	return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
		(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(Serial *s)
{
	uint8_t now = modem_lines(s), changed = now ^ s->lines;
	/* The ring indicator tells of its end only. */
	if (now & MSR_RI)
		changed &= (uint8_t)~MSR_RI;
	s->lines = now;
	s->msr_delta |= changed >> 4;
}

static void write_mcr(Serial *s, uint8_t value)
{
	bool looped = s->mcr & MCR_LOOP;
	s->mcr = value & 0x1f;
	update_modem(s);
	update_irq(s);
	if (looped && !(s->mcr & MCR_LOOP) && s->chardev)
		chardev_accept_input(s->chardev);
}

/* ---- registers ---- */

static void write_fcr(Serial *s, uint8_t value)
{
	/* Switching the FIFOs on or off empties them. */
	if ((value ^ s->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (value & FCR_CLEAR_RX) {
		s->rx_count = 0;
		s->rx_timeout = false;
		timer_cancel(&s->timeout);
	}
	if ((value & FCR_CLEAR_TX) && s->tx_count) {
		s->tx_count = 0;
		s->tx_interrupt = true;
	}
	s->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
	update_irq(s);
	if ((value & FCR_CLEAR_RX) && s->chardev)
		chardev_accept_input(s->chardev);
}

static void write_ier(Serial *s, uint8_t value)
{
	uint8_t raised = value & (uint8_t)~s->ier;
	s->ier = value & 0x0f;
	if ((raised & IER_TX) && s->tx_count == 0)
		s->tx_interrupt = true;
	update_irq(s);
}

static uint8_t read_iir(Serial *s)
{
	uint8_t v = pending(s);
	if (v == IIR_TX) {
		s->tx_interrupt = false;
		update_irq(s);
	}
	return (uint8_t)(v | (fifos(s) ? IIR_FIFOS : 0));
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Serial *s = opaque;
	uint8_t v;

	switch (offset) {
	case RBR_THR: return s->lcr & LCR_DLAB ? s->divisor & 0xff : take(s);
	case IER: return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
	case IIR_FCR: return read_iir(s);
	case LCR: return s->lcr;
	case MCR: return s->mcr;
	case LSR:
		v = line_status(s);
		s->errors = 0;
		update_irq(s);
		return v;
	case MSR:
		v = s->lines | s->msr_delta;
		s->msr_delta = 0;
		update_irq(s);
		return v;
	default: return s->scr;
	}
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Serial *s = opaque;
	uint8_t v = (uint8_t)value;

	switch (offset) {
	case RBR_THR:
		if (s->lcr & LCR_DLAB)
			s->divisor = (uint16_t)((s->divisor & 0xff00) | v);
		else
			write_thr(s, v);
		break;
	case IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (uint16_t)((s->divisor & 0xff) | v << 8);
		else
			write_ier(s, v);
		break;
	case IIR_FCR: write_fcr(s, v); break;
	case LCR: s->lcr = v; break;
	case MCR: write_mcr(s, v); break;
	case SCR: s->scr = v; break;
	default: break; /* LSR, MSR: factory tests */
	}
}

/* ---- life ---- */

/* The lowest of COM1..COM4 that no port before this one has. */
static uint32_t free_index(const Device *dev)
{
	const GPtrArray *all = dev->board->devices;
	unsigned used = 0;
	for (guint i = 0; all && i < all->len; i++) {
		const Device *d = all->pdata[i];
		if (d->cls == dev->cls && ((const Serial *)d)->index < 4)
			used |= 1u << ((const Serial *)d)->index;
	}
	return (uint32_t)__builtin_ctz(~used);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };
static const ChardevHandlers handlers = { can_read, read_chars, char_event, writable };

static bool realize(Device *dev, GError **error)
{
	static const uint16_t bases[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
	static const uint8_t irqs[] = { 4, 3, 4, 3 };
	Serial *s = (Serial *)dev;

	if (s->index == UNSET)
		s->index = free_index(dev);
	if (s->index >= G_N_ELEMENTS(bases))
		return fail(error, VIV_ERROR_INVALID, "isa-serial: there are four ports, index 0 to 3.");
	if (s->iobase == UNSET)
		s->iobase = bases[s->index];
	if (s->irq_number == UNSET)
		s->irq_number = irqs[s->index];
	if (s->iobase > 0xfff8 || s->irq_number > 15)
		return fail(error, VIV_ERROR_INVALID, "isa-serial: iobase ends at 0xfff8 and irq at 15.");
	if (s->chardev && !chardev_attach(s->chardev, &handlers, s, error))
		return false;
	timer_init(&s->timeout, dev->board->clock, timed_out, s);
	region_init_io(&s->region, "serial", &ops, s, 8);
	as_map(dev->board->io, &s->region, s->iobase, 0);
	return true;
}

static void reset(Device *dev)
{
	Serial *s = (Serial *)dev;
	s->lines = modem_lines(s);
	update_irq(s);
}

static void unrealize(Device *dev)
{
	Serial *s = (Serial *)dev;
	timer_cancel(&s->timeout);
	as_unmap(&s->region);
	chardev_detach(s->chardev, s);
}

static const Property props[] = {
	{ "index", PROP_U32, offsetof(Serial, index), "0xffffffff", "0..3: COM1..COM4; the first free" },
	{ "iobase", PROP_U32, offsetof(Serial, iobase), "0xffffffff", "first port; by index" },
	{ "irq", PROP_U32, offsetof(Serial, irq_number), "0xffffffff", "ISA interrupt; by index" },
	{ "chardev", PROP_CHARDEV, offsetof(Serial, chardev), NULL, "the other end of the line" },
	{ 0 }
};

static const StateField state[] = {
	STATE(FIELD_U8, Serial, ier, 0),
	STATE(FIELD_U8, Serial, fcr, 0),
	STATE(FIELD_U8, Serial, lcr, 0),
	STATE(FIELD_U8, Serial, mcr, MCR_OUT2),
	STATE(FIELD_U8, Serial, scr, 0),
	STATE(FIELD_U8, Serial, errors, 0),
	STATE(FIELD_U8, Serial, msr_delta, 0),
	STATE(FIELD_U8, Serial, lines, 0),
	STATE(FIELD_U16, Serial, divisor, 12),
	STATE_ARRAY(FIELD_U8, Serial, rx, FIFO_SIZE, 0),
	STATE(FIELD_U8, Serial, rx_head, 0),
	STATE(FIELD_U8, Serial, rx_count, 0),
	/* What the guest sent before the reset still leaves. */
	{ "tx", FIELD_U8, offsetof(Serial, tx), FIFO_SIZE, 1, 0, .keep = true },
	{ "tx_head", FIELD_U8, offsetof(Serial, tx_head), 1, 1, 0, .keep = true },
	{ "tx_count", FIELD_U8, offsetof(Serial, tx_count), 1, 1, 0, .keep = true },
	STATE(FIELD_BOOL, Serial, tx_interrupt, 0),
	STATE(FIELD_BOOL, Serial, rx_timeout, 0),
	STATE(FIELD_TIMER, Serial, timeout, 0),
	{ 0 }
};

const DeviceClass serial_isa_class = {
	.name = "isa-serial", .desc = "16550A serial port", .bus = "isa", .size = sizeof(Serial),
	.user_creatable = true, .version = 1, .props = props, .state = state,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
