/*
 * input.h - keys and pointers: from viewers and the monitor to the devices of the machine.
 *
 * Keys are numbered as in Linux's input-event-codes.h (KEY_ESC is 1); keys.h has their other names.
 * The keyboard and the pointer that were plugged in or preferred last get what is typed and pointed.
 * What a viewer holds down when it leaves is released by input_release_all.
 *
 * Any thread, machine lock held; the devices' callbacks too.
 */
#ifndef VIV_DISPLAY_INPUT_H
#define VIV_DISPLAY_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "display/screen.h"

#define INPUT_KEYS 256u
#define INPUT_ABS_MAX 0x7fff /* of absolute coordinates: the last column or line */

typedef enum InputButton {
	BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT, BUTTON_WHEEL_UP, BUTTON_WHEEL_DOWN, BUTTON_SIDE, BUTTON_EXTRA,
	BUTTON_WHEEL_LEFT, INPUT_BUTTONS,
} InputButton;

enum { LED_SCROLL = 1, LED_NUM = 2, LED_CAPS = 4 };

/* A device that takes input; what it does not take is NULL. */
typedef struct InputHandler {
	const char *name;    /* as `info mice` prints it: "QEMU PS/2 Mouse" */
	void (*key)(void *opaque, unsigned key, bool down);
	void (*move)(void *opaque, int dx, int dy);           /* right and down are positive */
	void (*place)(void *opaque, unsigned x, unsigned y);  /* 0..INPUT_ABS_MAX */
	void (*button)(void *opaque, InputButton button, bool down);
	void (*sync)(void *opaque);  /* what came since the last one belongs together */
} InputHandler;

void input_add(Display *d, const InputHandler *handler, void *opaque);
void input_remove(Display *d, void *opaque); /* none is fine */
/* Makes it the one in use: the guest has started to use it, or `mouse_set`. */
void input_prefer(Display *d, void *opaque);
/* A keyboard's lights, LED_*: viewers are told. */
void input_set_leds(Display *d, uint8_t leds);

/* A key that is held down already is sent again: the guest's keyboard repeats. Unknown ones are ignored. */
void input_key(Display *d, unsigned key, bool down);
void input_move(Display *d, int dx, int dy);
void input_place(Display *d, unsigned x, unsigned y);
void input_button(Display *d, InputButton button, bool down);
void input_sync(Display *d);
/* Keys and buttons that are down go up. */
void input_release_all(Display *d);
/* Does the pointer in use take places, not movements? */
bool input_is_absolute(Display *d);
uint8_t input_leds(Display *d);
void input_watch_leds(Display *d, void (*changed)(void *opaque, uint8_t leds), void *opaque);
void input_unwatch_leds(Display *d, void *opaque);
/* A pointer as `info mice` shows it; its number stays the same while others come and go. */
typedef struct InputPointer {
	const char *name;
	unsigned number;
	bool absolute, in_use;
} InputPointer;
/* The n-th; false: there are no more. */
bool input_pointer(Display *d, unsigned n, InputPointer *out);
/* Makes the one of that number the one in use; false: there is none. */
bool input_use_pointer(Display *d, unsigned number);

/* ---- typing.c, main thread ---- */
#define INPUT_COMBO_MAX 16u
/*
 * Keys of a combination go down, in order, stay for hold_ms and go up in reverse, after those that were
 * asked for before; another hold_ms later the next may come. `count` is 1 to INPUT_COMBO_MAX. False: too
 * many wait already.
 */
bool input_type(Display *d, const uint8_t *keys, unsigned count, unsigned hold_ms);

#endif
