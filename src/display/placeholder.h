/*
 * placeholder.h - the screen of a machine that has none: it says so.
 *
 * Main thread, machine lock not held.
 */
#ifndef VIV_DISPLAY_PLACEHOLDER_H
#define VIV_DISPLAY_PLACEHOLDER_H

#include "display/screen.h"

typedef struct Placeholder Placeholder;

Placeholder *placeholder_new(Display *d);
void placeholder_free(Placeholder *p); /* NULL is fine */
Screen *placeholder_screen(Placeholder *p);

#endif
