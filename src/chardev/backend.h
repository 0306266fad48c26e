/*
 * backend.h - the inside of a Chardev, for the files of src/chardev/ only.
 */
#ifndef VIV_CHARDEV_BACKEND_H
#define VIV_CHARDEV_BACKEND_H

#include "chardev/chardev.h"

typedef struct ChardevClass {
	const char *name;
	size_t (*write)(Chardev *c, const uint8_t *buf, size_t len); /* bytes taken; never blocks */
	void (*accept_input)(Chardev *c);  /* the front end has room. May be NULL */
	void (*free)(Chardev *c);          /* frees *c too */
} ChardevClass;

/* A backend's struct begins with this. */
struct Chardev {
	const ChardevClass *cls;
	char *id;
	const ChardevHandlers *handlers;   /* front end; NULL: none */
	void *opaque;
};

/* What the front end would take now; 0 without one. */
size_t chardev_room(Chardev *c);
/* Hands input over; len <= chardev_room(). */
void chardev_push(Chardev *c, const uint8_t *buf, size_t len);

#endif
