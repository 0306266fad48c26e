/*
 * open.h - making character devices by name, and sharing one between front ends.
 *
 * Main thread.
 */
#ifndef VIV_CHARDEV_OPEN_H
#define VIV_CHARDEV_OPEN_H

#include "chardev/chardev.h"

typedef struct ChardevOptions {
	const char *id;
	const char *path;   /* file */
	bool append;        /* file: keep what is in it */
	bool signals;       /* stdio: ^C, ^\ and ^Z act on viv, not on the guest */
} ChardevOptions;

/* Opens a device of class "stdio", "null" or "file". NULL with *error. */
Chardev *chardev_open(const char *type, const ChardevOptions *options, GError **error);
/* Its front end must be gone. NULL is fine. */
void chardev_free(Chardev *c);
const char *chardev_id(const Chardev *c);
/* Class names; ends with NULL. */
const char *const *chardev_type_names(void);

/*
 * A mux: one device, several front ends that write at will, and one of them that gets
 * the input. C-a c passes the input on to the next.
 */
typedef struct ChardevMux ChardevMux;
#define CHARDEV_MUX_PORTS 4

/* Takes `backend` over: it is freed with the mux. */
ChardevMux *chardev_mux_new(Chardev *backend);
/*
 * A port for one front end, owned by the mux; the first has the input. NULL: there are 4
 * already.
 */
Chardev *chardev_mux_port(ChardevMux *mux, const char *id);
/* Is this a mux's port? */
bool chardev_is_mux_port(const Chardev *c);
/* What C-a x calls, machine lock held. */
void chardev_mux_set_quit(ChardevMux *mux, void (*quit)(void *opaque), void *opaque);
void chardev_mux_free(ChardevMux *mux);

#endif
