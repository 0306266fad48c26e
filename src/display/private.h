/*
 * private.h - the inside of a Display, for screen.c and input.c.
 */
#ifndef VIV_DISPLAY_PRIVATE_H
#define VIV_DISPLAY_PRIVATE_H

#include "display/input.h"
#include "display/screen.h"

struct Display {
	GPtrArray *screens;    /* Screen *, in order of creation */
	GPtrArray *handlers;   /* Handler *: input devices, in order of creation */
	unsigned handler_numbers;  /* given so far */
	struct Typing *typing;     /* typing.c; NULL: nothing waits */
	struct Web *web;           /* web.c; NULL: none */
	struct VncList *vnc;       /* vnc.c; NULL: no server yet */
	GPtrArray *led_watchers; /* LedWatcher * */
	uint8_t leds;          /* LED_* of the keyboard in use */
	uint8_t held[INPUT_KEYS / 8]; /* keys that are down */
	uint8_t buttons;       /* 1 << InputButton: down */
};

/* typing.c: what waits is forgotten. */
void typing_free(Display *d);

#endif
