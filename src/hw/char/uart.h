/*
 * uart.h - the 16550A that serial ports on ISA and PCI are made of.
 *
 * Machine lock held.
 */
#ifndef VIV_HW_CHAR_UART_H
#define VIV_HW_CHAR_UART_H

#include "chardev/chardev.h"
#include "core/board.h"
#include "core/device.h"

#define UART_FIFO 16
#define UART_PORTS 8

typedef struct Uart {
	Chardev *chardev;        /* a property of the device that it is in */
	Clock *clock;
	Irq irq;
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t errors;          /* overrun since the last read of LSR */
	uint8_t msr_delta;       /* low half of MSR */
	uint8_t lines;           /* high half of MSR as last seen */
	uint16_t divisor;
	uint8_t rx[UART_FIFO], tx[UART_FIFO];
	uint16_t rx_broken;      /* bit N: rx[N] is a break, of which nobody was told */
	uint8_t rx_head, rx_count, tx_head, tx_count;
	bool tx_interrupt;       /* the transmitter ran empty and nobody was told */
	bool rx_timeout;         /* characters wait below the trigger level */
	Timer timeout, poll;
	Region region;           /* its eight ports; mapped by the device */
} Uart;

/* Takes the chardev; the region is ready for mapping. False with *error: it is in use. */
bool uart_init(Uart *s, Clock *clock, Irq irq, GError **error);
/* After the state table's values were stored. */
void uart_reset(Uart *s);
void uart_exit(Uart *s); /* the region is unmapped before */

#define UART_KEEP(type_, struct_, member, n) \
	{ .name = #member, .type = type_, .offset = offsetof(struct_, member), .count = n, \
	  .version = 1, .keep = true }
/* The state of the Uart `m` of a struct; what the guest sent before a reset still leaves. */
#define UART_STATE(struct_, m) \
	STATE(FIELD_U8, struct_, m.ier, 0), STATE(FIELD_U8, struct_, m.fcr, 0), \
	STATE(FIELD_U8, struct_, m.lcr, 0), STATE(FIELD_U8, struct_, m.mcr, 0x08), \
	STATE(FIELD_U8, struct_, m.scr, 0), STATE(FIELD_U8, struct_, m.errors, 0), \
	STATE(FIELD_U8, struct_, m.msr_delta, 0), STATE(FIELD_U8, struct_, m.lines, 0), \
	STATE(FIELD_U16, struct_, m.divisor, 12), \
	STATE_ARRAY(FIELD_U8, struct_, m.rx, UART_FIFO, 0), \
	STATE(FIELD_U16, struct_, m.rx_broken, 0), \
	STATE(FIELD_U8, struct_, m.rx_head, 0), STATE(FIELD_U8, struct_, m.rx_count, 0), \
	UART_KEEP(FIELD_U8, struct_, m.tx, UART_FIFO), \
	UART_KEEP(FIELD_U8, struct_, m.tx_head, 1), UART_KEEP(FIELD_U8, struct_, m.tx_count, 1), \
	STATE(FIELD_BOOL, struct_, m.tx_interrupt, 0), \
	STATE(FIELD_BOOL, struct_, m.rx_timeout, 0), \
	STATE(FIELD_TIMER, struct_, m.timeout, 0), STATE(FIELD_TIMER, struct_, m.poll, 0)

#endif
