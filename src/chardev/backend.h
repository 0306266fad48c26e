/*
 * backend.h - the inside of a Chardev, for the files of src/chardev/ only.
 */
#ifndef VIV_CHARDEV_BACKEND_H
#define VIV_CHARDEV_BACKEND_H

#include "chardev/chardev.h"
#include "chardev/options.h"

typedef struct ChardevClass {
	const char *name;
	const char *alias;          /* another name for it; NULL: none */
	const char *desc;           /* for -chardev help */
	const ChardevKey *keys;     /* beside those of every chardev; ends with a NULL name */
	bool closed;                /* nobody is there until chardev_event(CHARDEV_OPENED) */
	/* Fills the rest of the struct. On false, `close` is not called. May be NULL. */
	bool (*open)(Chardev *c, GError **error);
	void (*close)(Chardev *c);  /* what is the backend's own; NULL: nothing */
	size_t (*write)(Chardev *c, const uint8_t *buf, size_t len); /* bytes taken; never blocks */
	void (*accept_input)(Chardev *c);  /* the front end has room. May be NULL */
	/* Appends what `info chardev` shows; NULL: the class's name. */
	void (*filename)(const Chardev *c, GString *out);
	/* Front ends, for those that have several. NULL: one */
	bool (*attach)(Chardev *c, const ChardevHandlers *h, void *opaque, GError **error);
	void (*detach)(Chardev *c, void *opaque);
	/* see chardev.h; NULL where there is nothing of the kind */
	void (*set_params)(Chardev *c, const LineParams *params);
	void (*set_break)(Chardev *c, bool on);
	void (*set_modem)(Chardev *c, uint8_t mcr);
	bool (*get_modem)(Chardev *c, uint8_t *msr);
	bool (*parallel_read)(Chardev *c, ParallelReg reg, uint8_t *value);
	bool (*parallel_write)(Chardev *c, ParallelReg reg, uint8_t value);
} ChardevClass;

/* A backend's struct begins with this. */
struct Chardev {
	const ChardevClass *cls;
	ChardevOptions *options;           /* owned; id included */
	unsigned front_ends;
	const ChardevHandlers *handlers;   /* front end; NULL: none, or a mux's several */
	void *opaque;
	bool open;                         /* somebody is there */
	bool front_closed;                 /* chardev_set_front_open */
	int log;                           /* descriptor of logfile=, or -1 */
};

/* A class and the size of its struct. */
typedef struct ChardevType {
	const ChardevClass *cls;
	size_t size;
} ChardevType;
extern const ChardevType *const chardev_types[]; /* what users may open; ends with NULL */

extern const ChardevType chardev_type_file, chardev_type_mux, chardev_type_null,
	chardev_type_parallel, chardev_type_pipe, chardev_type_pty, chardev_type_ringbuf,
	chardev_type_serial, chardev_type_socket, chardev_type_stdio, chardev_type_udp,
	chardev_type_vc;

/* By name or alias; NULL: none. */
const ChardevType *chardev_type_find(const char *name);
/* Makes and opens one; takes the options over, on failure too. NULL with *error. */
Chardev *chardev_new(const ChardevType *type, ChardevOptions *options, GError **error);
/* Its front end must be gone. NULL is fine. */
void chardev_free(Chardev *c);

/* What the front end would take now; 0 without one. */
size_t chardev_room(Chardev *c);
/* Hands input over; len <= chardev_room(). */
void chardev_push(Chardev *c, const uint8_t *buf, size_t len);
/* Tells the front end; OPENED and CLOSED are noted. */
void chardev_event(Chardev *c, ChardevEvent event);
/* There is room for output again. */
void chardev_writable(Chardev *c);
/* Opens a file of the user's, O_CLOEXEC. Negative with *error. */
int chardev_open_file(const char *path, int flags, GError **error);

#endif
