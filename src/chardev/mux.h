/*
 * mux.h - several front ends on one character device; for set.c and tests.
 *
 * Machine lock held.
 */
#ifndef VIV_CHARDEV_MUX_H
#define VIV_CHARDEV_MUX_H

#include "chardev/chardev.h"

#define MUX_PLACES 4

/*
 * Puts a mux called `id` on `base`, which has no front end yet and must outlive it. NULL
 * with *error.
 */
Chardev *mux_new(const char *id, Chardev *base, GError **error);
/* What C-a x calls. */
void mux_on_quit(Chardev *mux, void (*quit)(void *opaque), void *opaque);
/* A break for the front end that has the input. */
void mux_break(Chardev *mux);

#endif
