/*
 * ps2.h - the two devices behind the keyboard controller. Machine lock held.
 */
#ifndef VIV_HW_INPUT_PS2_H
#define VIV_HW_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "display/input.h"

#define PS2_QUEUE 64
/* Of these, answers to commands find room when keys or movements do not. */
#define PS2_KEYS_MAX 16
#define PS2_RELEASES_MAX 48
#define PS2_PACKETS_MAX 32
#define PS2_MOVE_MAX 8192

/* Bytes on the way to the controller. A full queue drops the newest, as the devices do. */
typedef struct Ps2Queue {
	uint8_t data[PS2_QUEUE];
	uint8_t head, count;
} Ps2Queue;

typedef struct Ps2Keyboard {
	Ps2Queue queue;
	uint8_t command;   /* awaits its parameter; 0: none */
	uint8_t set;       /* scan code set, 1..3 */
	uint8_t leds, last;
	bool scanning;
	uint8_t modifiers; /* held down */
	uint8_t down[INPUT_KEYS / 8]; /* as far as the guest was told */
	Display *display;  /* hears of the lights; NULL: nobody */
} Ps2Keyboard;

typedef struct Ps2Mouse {
	Ps2Queue queue;
	uint8_t command;
	uint8_t id;        /* 0; 3 with a wheel, 4 with five buttons, once the guest knocked */
	uint8_t knock;     /* steps of the sample-rate sequence seen */
	uint8_t rate, resolution, last;
	bool reporting, remote, wrap, scaling;
	uint8_t buttons, told; /* down now, and in the last packet: 1 left, 2 right, 4 middle, 8 and 16 the others */
	int dx, dy, dz;    /* not yet told; up and towards the user are positive */
} Ps2Mouse;

void ps2_put(Ps2Queue *q, uint8_t byte);
/* The next byte; -1: none. */
int ps2_get(Ps2Queue *q);

/* Power-on state; the queue holds nothing. */
void ps2_keyboard_reset(Ps2Keyboard *k);
void ps2_mouse_reset(Ps2Mouse *m);
/* A byte from the host; answers go to the queue. */
void ps2_keyboard_write(Ps2Keyboard *k, uint8_t byte);
void ps2_mouse_write(Ps2Mouse *m, uint8_t byte);

/* Of set 2 to set 1, as the controller translates. */
uint8_t ps2_set1_of_set2(uint8_t code);
/*
 * A key (linux/input-event-codes.h, below INPUT_KEYS) goes down, again if it is down, or up. False: no room, or nobody wants
 * to know.
 */
bool ps2_keyboard_key(Ps2Keyboard *k, unsigned key, bool down);
/* Movement, right and down positive, and of the wheel, towards the user; `button` by the packet's bit, 0..4. */
void ps2_mouse_move(Ps2Mouse *m, int dx, int dy, int dz);
void ps2_mouse_button(Ps2Mouse *m, unsigned button, bool down);
/* Packets of what has not been told, as far as the queue has room: after the two above, and when a byte was taken. */
void ps2_mouse_report(Ps2Mouse *m);

#endif
