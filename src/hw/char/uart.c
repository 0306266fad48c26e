/*
 * uart.c - a 16550A; see uart.h.
 *
 * National Semiconductor PC16550D data sheet (June 1995), section 8. Output is not paced:
 * a byte leaves as soon as the backend takes it, and until then the transmitter is busy.
 * Left out: DMA modes, parity and framing errors (no line produces them). Entered by vcpu
 * and main threads under the machine lock.
 */
#include "hw/char/uart.h"

#include <string.h>

#include "core/error.h"
#include "core/trace.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
#define CLOCK_HZ 1843200
#define MODEM_POLL_NS (10 * NS_PER_SEC / 1000)

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
#define LCR_STOP 0x04u
#define LCR_PARITY 0x08u
#define LCR_EVEN 0x10u
#define LCR_FORM 0x3fu
#define LCR_BREAK 0x40u
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

static bool fifos(const Uart *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned depth(const Uart *s)
{
	return fifos(s) ? UART_FIFO : 1;
}

static unsigned trigger(const Uart *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };
	return fifos(s) ? level[s->fcr >> 6] : 1;
}

/* The error bits of the line status; a break is told of when its zero is the next to be read. */
static uint8_t line_errors(const Uart *s)
{
	bool broken = s->rx_count && (s->rx_broken >> s->rx_head & 1);
	return s->errors | (broken ? LSR_BREAK : 0);
}

static uint8_t line_status(const Uart *s)
{
	uint8_t v = line_errors(s);
	if (s->rx_count)
		v |= LSR_DATA;
	if (!s->tx_count)
		v |= LSR_THR_EMPTY | LSR_IDLE;
	return v;
}

/* The interrupt of highest priority (table IV). */
static uint8_t pending(const Uart *s)
{
	if ((s->ier & IER_LINE) && line_errors(s))
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

static void update_irq(Uart *s)
{
	irq_set(&s->irq, pending(s) != IIR_NONE);
}

/* ---- receiver ---- */

/* Four character times without a read or arrival: the FIFO's rest is announced. */
static void start_timeout(Uart *s)
{
	uint64_t divisor = s->divisor ? s->divisor : 1;
	s->rx_timeout = false;
	timer_cancel(&s->timeout);
	if (fifos(s) && s->rx_count)
		timer_arm(&s->timeout, clock_now(s->clock) +
			(int64_t)muldiv64(4 * 10 * 16 * divisor, NS_PER_SEC, CLOCK_HZ));
}

static void timed_out(void *opaque)
{
	Uart *s = opaque;
	s->rx_timeout = s->rx_count > 0;
	update_irq(s);
}

static void store(Uart *s, unsigned place, uint8_t byte, bool broken)
{
	s->rx[place] = byte;
	s->rx_broken = (uint16_t)((s->rx_broken & ~(1u << place)) | (unsigned)broken << place);
}

static void receive(Uart *s, uint8_t byte, bool broken)
{
	if (s->rx_count < depth(s)) {
		store(s, (s->rx_head + s->rx_count++) % UART_FIFO, byte, broken);
	} else {
		s->errors |= LSR_OVERRUN;
		if (!fifos(s)) /* the holding register is overwritten, a FIFO is not */
			store(s, s->rx_head, byte, broken);
	}
	start_timeout(s);
}

static uint8_t take(Uart *s)
{
	uint8_t byte = s->rx[s->rx_head];
	if (s->rx_count == 0)
		return 0;
	s->rx_head = (uint8_t)((s->rx_head + 1) % UART_FIFO);
	s->rx_count--;
	start_timeout(s);
	update_irq(s);
	if (s->chardev && !(s->mcr & MCR_LOOP))
		chardev_accept_input(s->chardev);
	return byte;
}

static size_t can_read(void *opaque)
{
	Uart *s = opaque;
	return s->mcr & MCR_LOOP ? 0 : depth(s) - MIN(depth(s), s->rx_count);
}

static void read_chars(void *opaque, const uint8_t *buf, size_t len)
{
	Uart *s = opaque;
	for (size_t i = 0; i < len; i++)
		receive(s, buf[i], false);
	update_irq(s);
}

static void char_event(void *opaque, ChardevEvent event)
{
	Uart *s = opaque;
	if (event != CHARDEV_BREAK || (s->mcr & MCR_LOOP))
		return;
	receive(s, 0, true);
	update_irq(s);
}

/* ---- transmitter ---- */

/* Hands on what the backend takes; the rest waits for `writable`. */
static void transmit(Uart *s)
{
	while (s->tx_count) {
		unsigned n = MIN(s->tx_count, UART_FIFO - s->tx_head);
		size_t taken = chardev_write(s->chardev, &s->tx[s->tx_head], n);
		taken = MIN(taken, n);
		s->tx_head = (uint8_t)((s->tx_head + taken) % UART_FIFO);
		s->tx_count = (uint8_t)(s->tx_count - taken);
		if (taken < n)
			return;
	}
	s->tx_interrupt = true;
}

static void writable(void *opaque)
{
	Uart *s = opaque;
	if (s->tx_count)
		transmit(s);
	update_irq(s);
}

static void write_thr(Uart *s, uint8_t byte)
{
	s->tx_interrupt = false;
	update_irq(s);
	if (s->mcr & MCR_LOOP) {
		receive(s, byte, false);
		s->tx_interrupt = true;
	} else if (s->tx_count < depth(s)) {
		bool waiting = s->tx_count > 0; /* the backend is full, and will call */
		s->tx[(s->tx_head + s->tx_count++) % UART_FIFO] = byte;
		if (!waiting)
			transmit(s);
	}
	update_irq(s);
}

/* ---- modem lines ---- */

static uint8_t modem_lines(Uart *s)
{
	uint8_t lines;
	if (!(s->mcr & MCR_LOOP) && chardev_get_modem(s->chardev, &lines))
		return lines;
	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS; /* somebody is there and ready */
	return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
		(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(Uart *s)
{
	uint8_t now = modem_lines(s), changed = now ^ s->lines;
	/* The ring indicator tells of its end only. */
	if (now & MSR_RI)
		changed &= (uint8_t)~MSR_RI;
	s->lines = now;
	s->msr_delta |= changed >> 4;
}

/* A real port's lines change by themselves, and it does not call. */
static void poll_modem(void *opaque)
{
	Uart *s = opaque;
	uint8_t lines;
	if (!(s->ier & IER_MODEM) || !chardev_get_modem(s->chardev, &lines))
		return;
	update_modem(s);
	update_irq(s);
	timer_arm(&s->poll, clock_now(s->clock) + MODEM_POLL_NS);
}

static void write_mcr(Uart *s, uint8_t value)
{
	bool looped = s->mcr & MCR_LOOP;
	s->mcr = value & 0x1f;
	if (!(s->mcr & MCR_LOOP))
		chardev_set_modem(s->chardev, s->mcr);
	update_modem(s);
	update_irq(s);
	if (looped && !(s->mcr & MCR_LOOP) && s->chardev)
		chardev_accept_input(s->chardev);
}

/* ---- registers ---- */

/* The real port's speed and form of a character follow the guest's. */
static void update_params(Uart *s)
{
	LineParams p = {
		.speed = s->divisor ? CLOCK_HZ / 16 / s->divisor : 0,
		.parity = !(s->lcr & LCR_PARITY) ? 'N' : s->lcr & LCR_EVEN ? 'E' : 'O',
		.data_bits = 5 + (s->lcr & 3), .stop_bits = s->lcr & LCR_STOP ? 2 : 1,
	};
	if (p.speed)
		chardev_set_params(s->chardev, &p);
}

static void write_lcr(Uart *s, uint8_t value)
{
	uint8_t changed = s->lcr ^ value;
	s->lcr = value;
	if (changed & LCR_FORM)
		update_params(s);
	if (changed & LCR_BREAK)
		chardev_set_break(s->chardev, value & LCR_BREAK);
}

static void write_divisor(Uart *s, uint16_t value)
{
	s->divisor = value;
	update_params(s);
}

static void write_fcr(Uart *s, uint8_t value)
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

static void write_ier(Uart *s, uint8_t value)
{
	uint8_t raised = value & (uint8_t)~s->ier;
	s->ier = value & 0x0f;
	if ((raised & IER_TX) && s->tx_count == 0)
		s->tx_interrupt = true;
	if (raised & IER_MODEM)
		poll_modem(s);
	update_irq(s);
}

static uint8_t read_iir(Uart *s)
{
	uint8_t v = pending(s);
	if (v == IIR_TX) {
		s->tx_interrupt = false;
		update_irq(s);
	}
	return (uint8_t)(v | (fifos(s) ? IIR_FIFOS : 0));
}

static uint8_t read_register(Uart *s, uint64_t offset)
{
	uint8_t v;

	switch (offset) {
	case RBR_THR: return s->lcr & LCR_DLAB ? s->divisor & 0xff : take(s);
	case IER: return s->lcr & LCR_DLAB ? (uint8_t)(s->divisor >> 8) : s->ier;
	case IIR_FCR: return read_iir(s);
	case LCR: return s->lcr;
	case MCR: return s->mcr;
	case LSR:
		v = line_status(s);
		s->errors = 0;
		s->rx_broken &= (uint16_t)~(1u << s->rx_head);
		update_irq(s);
		return v;
	case MSR:
		update_modem(s);
		v = s->lines | s->msr_delta;
		s->msr_delta = 0;
		update_irq(s);
		return v;
	default: return s->scr;
	}
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	uint8_t value = read_register(opaque, offset);
	trace_serial_read((unsigned)offset, value);
	return value;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Uart *s = opaque;
	uint8_t v = (uint8_t)value;

	trace_serial_write((unsigned)offset, v);
	switch (offset) {
	case RBR_THR:
		if (s->lcr & LCR_DLAB)
			write_divisor(s, (uint16_t)((s->divisor & 0xff00) | v));
		else
			write_thr(s, v);
		break;
	case IER:
		if (s->lcr & LCR_DLAB)
			write_divisor(s, (uint16_t)((s->divisor & 0xff) | v << 8));
		else
			write_ier(s, v);
		break;
	case IIR_FCR: write_fcr(s, v); break;
	case LCR: write_lcr(s, v); break;
	case MCR: write_mcr(s, v); break;
	case SCR: s->scr = v; break;
	default: break; /* LSR, MSR: factory tests */
	}
}

/* ---- life ---- */

static void changed(void *opaque, Chardev *c)
{
	Uart *s = opaque;
	s->chardev = c;
	update_params(s);
	chardev_set_break(c, s->lcr & LCR_BREAK);
	chardev_set_modem(c, s->mcr);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };
static const ChardevHandlers handlers = { can_read, read_chars, char_event, writable, changed };

bool uart_init(Uart *s, Clock *clock, Irq irq, GError **error)
{
	if (s->chardev && !chardev_attach(s->chardev, &handlers, s, error))
		return false;
	s->clock = clock;
	s->irq = irq;
	timer_init(&s->timeout, clock, timed_out, s);
	timer_init(&s->poll, clock, poll_modem, s);
	region_init_io(&s->region, "serial", &ops, s, UART_PORTS);
	return true;
}

void uart_reset(Uart *s)
{
	s->lines = modem_lines(s);
	update_irq(s);
}

void uart_exit(Uart *s)
{
	timer_cancel(&s->timeout);
	timer_cancel(&s->poll);
	chardev_detach(s->chardev, s);
}
