/*
 * chardev.h - the host side of serial lines, the monitor, and debug ports.
 *
 * One backend (stdio, file, null, ...), at most one front end unless it is a mux.
 * A backend never blocks and never drops: write takes what it can, and `writable`
 * says when there is room again. Input is pushed only while the front end can take it.
 * Main loop and vcpu threads, machine lock held.
 */
#ifndef VIV_CHARDEV_CHARDEV_H
#define VIV_CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef struct Chardev Chardev;

typedef enum ChardevEvent { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK, CHARDEV_MUX_IN,
	CHARDEV_MUX_OUT } ChardevEvent;

typedef struct ChardevHandlers {
	size_t (*can_read)(void *opaque);  /* bytes the front end would take now */
	void (*read)(void *opaque, const uint8_t *buf, size_t len); /* len <= can_read() */
	void (*event)(void *opaque, ChardevEvent event);  /* may be NULL */
	void (*writable)(void *opaque);    /* after a short write: there is room. May be NULL */
} ChardevHandlers;

/*
 * Attaches a front end, which hears CHARDEV_OPENED at once if somebody is at the other end. NULL handlers
 * detach. False: it has one already and is no mux.
 */
bool chardev_attach(Chardev *c, const ChardevHandlers *handlers, void *opaque, GError **error);
/* Bytes taken, 0..len. A NULL chardev takes all. */
size_t chardev_write(Chardev *c, const uint8_t *buf, size_t len);
/* The front end has room again: pending input is offered at once. */
void chardev_accept_input(Chardev *c);

#endif
