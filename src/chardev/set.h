/*
 * set.h - the character devices of a machine by id: made, listed, changed, removed.
 *
 * Main thread, machine lock held once there is a machine.
 */
#ifndef VIV_CHARDEV_SET_H
#define VIV_CHARDEV_SET_H

#include "chardev/chardev.h"
#include "chardev/options.h"

typedef struct ChardevSet ChardevSet;

ChardevSet *chardev_set_new(void);
/* Closes all; front ends must be gone. NULL is fine. */
void chardev_set_free(ChardevSet *set);
/* id -> Chardev *; belongs to the set and follows it. */
GHashTable *chardev_set_table(ChardevSet *set);
/* NULL: none. */
Chardev *chardev_set_find(ChardevSet *set, const char *id);
/*
 * Opens one and keeps it; takes the options over, on failure too. With mux=on it is a mux, and
 * the device behind it is called "ID-base". NULL with *error.
 */
Chardev *chardev_set_open(ChardevSet *set, ChardevOptions *options, GError **error);
/* False with *error: there is none, it is in use, or another stands on it. */
bool chardev_set_remove(ChardevSet *set, const char *id, GError **error);
/*
 * Puts a new one in the place of that with the same id; the front end stays. The old one is
 * there again if the new one cannot be opened. Takes the options over.
 */
bool chardev_set_change(ChardevSet *set, ChardevOptions *options, GError **error);
/* As if the line's other end had sent a break. */
bool chardev_set_break_in(ChardevSet *set, const char *id, GError **error);
/* Its place in the hands of ringbuf_read and ringbuf_write (ringbuf.h); NULL with *error. */
Chardev *chardev_set_ringbuf(ChardevSet *set, const char *id, GError **error);
/* Chardev *, sorted by id; free the array. */
GPtrArray *chardev_set_list(ChardevSet *set);
/* What C-a x calls, on every mux, machine lock held. */
void chardev_set_on_quit(ChardevSet *set, void (*quit)(void *opaque), void *opaque);

const char *chardev_id(const Chardev *c);
/* What `info chardev` shows behind "filename="; caller frees. */
char *chardev_filename(const Chardev *c);
bool chardev_has_front_end(const Chardev *c);
bool chardev_front_is_open(const Chardev *c); /* query-chardev's frontend-open */
bool chardev_is_mux(const Chardev *c);

/* ---- ringbuf.c: a device of class "ringbuf" ---- */

/* Takes up to `max` of the oldest bytes out; returns how many. */
size_t ringbuf_read(Chardev *c, uint8_t *buf, size_t max);
/* Writes over the oldest where it is full. */
void ringbuf_write(Chardev *c, const uint8_t *buf, size_t len);
size_t ringbuf_count(const Chardev *c);

#endif
