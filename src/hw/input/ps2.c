/*
 * ps2.c - PS/2 keyboard and mouse, as far as commands and their answers go.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboards" and "Mouse"; Microsoft's wheel
 * identification. Left out: keys and movement, which have no source yet. Machine lock held.
 */
#include "hw/input/ps2.h"

#include <string.h>

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_OK 0xaa

void ps2_put(Ps2Queue *q, uint8_t byte)
{
	if (q->count == PS2_QUEUE)
		return;
	q->data[(q->head + q->count++) % PS2_QUEUE] = byte;
}

int ps2_get(Ps2Queue *q)
{
	if (q->count == 0)
		return -1;
	uint8_t byte = q->data[q->head];
	q->head = (uint8_t)((q->head + 1) % PS2_QUEUE);
	q->count--;
	return byte;
}

/* ---- keyboard ---- */

static void keyboard_defaults(Ps2Keyboard *k)
{
	k->set = 2;
	k->command = 0;
}

void ps2_keyboard_reset(Ps2Keyboard *k)
{
	memset(k, 0, sizeof(*k));
	keyboard_defaults(k);
	k->scanning = true;
}

static void keyboard_parameter(Ps2Keyboard *k, uint8_t byte)
{
	uint8_t command = k->command;

	k->command = 0;
	ps2_put(&k->queue, ACK);
	switch (command) {
	case 0xed:
		k->leds = byte & 7;
		break;
	case 0xf0: /* scan code set; 0 asks for the present one */
		if (byte == 0)
			ps2_put(&k->queue, k->set);
		else if (byte <= 3)
			k->set = byte;
		break;
	default: /* F3 rate, FB..FD one key's type */
		break;
	}
}

void ps2_keyboard_write(Ps2Keyboard *k, uint8_t byte)
{
	if (k->command && byte < 0xed) {
		keyboard_parameter(k, byte);
		return;
	}
	k->command = 0;
	switch (byte) {
	case 0xee: /* echo */
		ps2_put(&k->queue, 0xee);
		break;
	case 0xed: case 0xf0: case 0xf3: case 0xfb: case 0xfc: case 0xfd:
		k->command = byte;
		ps2_put(&k->queue, ACK);
		break;
	case 0xf2: /* identify */
		ps2_put(&k->queue, ACK);
		ps2_put(&k->queue, 0xab);
		ps2_put(&k->queue, 0x83);
		break;
	case 0xf4:
	case 0xf5:
		if (byte == 0xf5)
			keyboard_defaults(k);
		k->scanning = byte == 0xf4;
		ps2_put(&k->queue, ACK);
		break;
	case 0xf6:
		keyboard_defaults(k);
		ps2_put(&k->queue, ACK);
		break;
	case 0xf7: case 0xf8: case 0xf9: case 0xfa:
		ps2_put(&k->queue, ACK);
		break;
	case 0xfe:
		ps2_put(&k->queue, k->last);
		return;
	case 0xff:
		ps2_keyboard_reset(k);
		ps2_put(&k->queue, ACK);
		ps2_put(&k->queue, SELF_TEST_OK);
		break;
	default:
		ps2_put(&k->queue, RESEND);
		break;
	}
	k->last = k->queue.count ? k->queue.data[(k->queue.head + k->queue.count - 1) % PS2_QUEUE] : 0;
}

/* ---- mouse ---- */

static void mouse_defaults(Ps2Mouse *m)
{
	m->rate = 100;
	m->resolution = 2;
	m->reporting = m->remote = m->wrap = m->scaling = false;
	m->command = m->knock = 0;
}

void ps2_mouse_reset(Ps2Mouse *m)
{
	memset(m, 0, sizeof(*m));
	mouse_defaults(m);
}

/* Rates 200, 100, 80 in a row ask for a wheel, 200, 200, 80 for five buttons. */
static void mouse_knock(Ps2Mouse *m, uint8_t rate)
{
	enum { NONE, FIRST, WHEEL, BUTTONS };
	if (m->knock == FIRST && (rate == 100 || rate == 200))
		m->knock = rate == 100 ? WHEEL : BUTTONS;
	else if (m->knock == WHEEL && rate == 80)
		m->id = 3;
	else if (m->knock == BUTTONS && rate == 80 && m->id == 3)
		m->id = 4;
	else
		m->knock = rate == 200 ? FIRST : NONE;
}

static void mouse_packet(Ps2Mouse *m)
{
	ps2_put(&m->queue, 0x08); /* nothing pressed, nothing moved */
	for (unsigned i = 1; i < (m->id ? 4u : 3u); i++)
		ps2_put(&m->queue, 0);
}

static void mouse_status(Ps2Mouse *m)
{
	ps2_put(&m->queue, (uint8_t)(m->remote << 6 | m->reporting << 5 | m->scaling << 4));
	ps2_put(&m->queue, m->resolution);
	ps2_put(&m->queue, m->rate);
}

static void mouse_command(Ps2Mouse *m, uint8_t byte)
{
	ps2_put(&m->queue, ACK);
	switch (byte) {
	case 0xe6: case 0xe7: m->scaling = byte & 1; break;
	case 0xe8: case 0xf3: m->command = byte; break;
	case 0xe9: mouse_status(m); break;
	case 0xea: m->remote = false; break;
	case 0xeb: mouse_packet(m); break;
	case 0xee: m->wrap = true; break;
	case 0xf0: m->remote = true; break;
	case 0xf2: ps2_put(&m->queue, m->id); break;
	case 0xf4: case 0xf5: m->reporting = byte == 0xf4; break;
	case 0xf6: mouse_defaults(m); break;
	case 0xff:
		ps2_mouse_reset(m);
		ps2_put(&m->queue, ACK);
		ps2_put(&m->queue, SELF_TEST_OK);
		ps2_put(&m->queue, 0);
		break;
	default: break;
	}
}

static bool mouse_knows(uint8_t byte)
{
	return (byte >= 0xe6 && byte <= 0xec) || byte == 0xee ||
	       byte == 0xf0 || (byte >= 0xf2 && byte <= 0xf6) || byte == 0xff;
}

void ps2_mouse_write(Ps2Mouse *m, uint8_t byte)
{
	uint8_t command = m->command;

	if (m->wrap && byte != 0xec && byte != 0xff) {
		ps2_put(&m->queue, byte);
		return;
	}
	m->wrap = false;
	m->command = 0;
	if (command && byte < 0xe6) {
		ps2_put(&m->queue, ACK);
		if (command == 0xe8) {
			m->resolution = byte & 3;
		} else {
			m->rate = byte;
			mouse_knock(m, byte);
		}
	} else if (byte == 0xfe) {
		ps2_put(&m->queue, m->last);
		return;
	} else if (mouse_knows(byte)) {
		mouse_command(m, byte);
	} else {
		ps2_put(&m->queue, RESEND);
	}
	m->last = m->queue.count ? m->queue.data[(m->queue.head + m->queue.count - 1) % PS2_QUEUE] : 0;
}
