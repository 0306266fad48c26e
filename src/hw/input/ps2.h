/*
 * ps2.h - the two devices behind the keyboard controller. Machine lock held.
 */
#ifndef VIV_HW_INPUT_PS2_H
#define VIV_HW_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE 64

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
} Ps2Keyboard;

typedef struct Ps2Mouse {
	Ps2Queue queue;
	uint8_t command;
	uint8_t id;        /* 0; 3 with a wheel, 4 with five buttons, once the guest knocked */
	uint8_t knock;     /* steps of the sample-rate sequence seen */
	uint8_t rate, resolution, last;
	bool reporting, remote, wrap, scaling;
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

#endif
