/*
 * backend.h - the inside of a Chardev, for the files of src/chardev/ only.
 */
#ifndef VIV_CHARDEV_BACKEND_H
#define VIV_CHARDEV_BACKEND_H

#include "chardev/chardev.h"
#include "chardev/open.h"

typedef struct ChardevClass {
	const char *name;
	size_t (*write)(Chardev *c, const uint8_t *buf, size_t len); /* bytes taken; never blocks */
	void (*accept_input)(Chardev *c);  /* the front end has room. May be NULL */
	void (*free)(Chardev *c);          /* what is the backend's own; NULL: nothing */
	/* NULL with *error. Absent for what no user opens by name. */
	Chardev *(*open)(const ChardevOptions *options, GError **error);
} ChardevClass;

/* A backend's struct begins with this. */
struct Chardev {
	const ChardevClass *cls;
	char *id;
	bool closed;                       /* nobody is at the other end; chardev_event() follows it */
	const ChardevHandlers *handlers;   /* front end; NULL: none */
	void *opaque;
};

extern const ChardevClass chardev_stdio, chardev_null, chardev_file;

/* Zeroed memory of `size` bytes with class and id filled in. */
void *chardev_alloc(const ChardevClass *cls, size_t size, const char *id);
/* What the front end would take now; 0 without one. */
size_t chardev_room(Chardev *c);
/* Hands input over; len <= chardev_room(). */
void chardev_push(Chardev *c, const uint8_t *buf, size_t len);
void chardev_event(Chardev *c, ChardevEvent event);
/* There is room for output again. */
void chardev_writable(Chardev *c);

#endif
