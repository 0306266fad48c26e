/*
 * chardev.h - the host side of serial lines, the monitor, and debug ports.
 *
 * One backend (socket, pty, file, ...), at most one front end unless it is a mux. A backend
 * never blocks: write takes what it can, and `writable` says when there is room again. What
 * nobody is there to read (a socket without a peer) is taken and thrown away. Input is
 * pushed only while the front end can take it. Main loop and vcpu threads, machine lock held.
 */
#ifndef VIV_CHARDEV_CHARDEV_H
#define VIV_CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef struct Chardev Chardev;

typedef enum ChardevEvent {
	CHARDEV_OPENED,  /* somebody is there; also told to a front end that comes later */
	CHARDEV_CLOSED, CHARDEV_BREAK, CHARDEV_MUX_IN, CHARDEV_MUX_OUT,
} ChardevEvent;

typedef struct ChardevHandlers {
	size_t (*can_read)(void *opaque);  /* bytes the front end would take now */
	void (*read)(void *opaque, const uint8_t *buf, size_t len); /* len <= can_read() */
	void (*event)(void *opaque, ChardevEvent event);  /* may be NULL */
	void (*writable)(void *opaque);    /* after a short write: there is room. May be NULL */
	/* Another chardev has taken the old one's place. NULL: it cannot be changed. */
	void (*changed)(void *opaque, Chardev *c);
	bool background; /* on a mux: gets the input when it is switched to, not when it comes */
} ChardevHandlers;

/* Attaches a front end. False: it has one already, or as many as a mux has places for. */
bool chardev_attach(Chardev *c, const ChardevHandlers *handlers, void *opaque, GError **error);
/* The front end that was attached with `opaque` goes. NULL is fine. */
void chardev_detach(Chardev *c, void *opaque);
/* Bytes taken, 0..len. A NULL chardev takes all. */
size_t chardev_write(Chardev *c, const uint8_t *buf, size_t len);
/* The front end has room again: pending input is offered at once. NULL is fine. */
void chardev_accept_input(Chardev *c);
/* Does anybody listen behind the front end? True from attaching on, unless it says otherwise. NULL is fine. */
void chardev_set_front_open(Chardev *c, bool open);
/* Is there a peer? What is no connection (a file) always has one. */
bool chardev_is_open(const Chardev *c);

/* ---- lines of a real port behind it; all do nothing where there is none ---- */

typedef struct LineParams {
	unsigned speed;      /* bits a second */
	char parity;         /* 'N', 'E', 'O' */
	unsigned data_bits, stop_bits;
} LineParams;

void chardev_set_params(Chardev *c, const LineParams *params);
void chardev_set_break(Chardev *c, bool on);
/* Bits of the 16550's MCR: DTR 01h, RTS 02h. */
void chardev_set_modem(Chardev *c, uint8_t mcr);
/* Bits of the 16550's MSR: CTS 10h, DSR 20h, RI 40h, DCD 80h. False: there are no such lines. */
bool chardev_get_modem(Chardev *c, uint8_t *msr);

/* A parallel port's registers, and its EPP cycles. */
typedef enum ParallelReg {
	PARALLEL_DATA, PARALLEL_STATUS, PARALLEL_CONTROL, PARALLEL_EPP_ADDRESS, PARALLEL_EPP_DATA,
} ParallelReg;
/* False: no parallel port is behind it, or the port refused. */
bool chardev_parallel_read(Chardev *c, ParallelReg reg, uint8_t *value);
bool chardev_parallel_write(Chardev *c, ParallelReg reg, uint8_t value);
bool chardev_is_parallel(const Chardev *c);

#endif
