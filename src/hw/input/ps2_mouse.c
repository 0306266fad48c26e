/*
 * ps2_mouse.c - the PS/2 mouse, with a wheel or five buttons for who knocks.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft's wheel and button identification. Left out:
 * sample rate and 2:1 scaling, which have no effect on what is reported. Machine lock held.
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

/* What does not fit into a packet comes with the next one. */
static int take(int *from, int least, int most)
{
	int v = *from < least ? least : *from > most ? most : *from;

	*from -= v;
	return v;
}

static void mouse_packet(Ps2Mouse *m)
{
	int dx = take(&m->dx, -255, 255), dy = take(&m->dy, -255, 255);

	ps2_put(&m->queue, (uint8_t)(0x08 | (m->buttons & 7) | (dx < 0) << 4 | (dy < 0) << 5));
	ps2_put(&m->queue, (uint8_t)dx);
	ps2_put(&m->queue, (uint8_t)dy);
	if (m->id == 3)
		ps2_put(&m->queue, (uint8_t)take(&m->dz, -127, 127));
	else if (m->id == 4)
		ps2_put(&m->queue, (uint8_t)((take(&m->dz, -7, 7) & 15) | (m->buttons & 0x18) << 1));
	m->told = m->buttons;
}

void ps2_mouse_report(Ps2Mouse *m)
{
	while (m->reporting && !m->remote && m->queue.count + 4u <= PS2_PACKETS_MAX &&
	       (m->dx || m->dy || (m->id && m->dz) || m->buttons != m->told))
		mouse_packet(m);
}

static int clamp(int v) { return v < -PS2_MOVE_MAX ? -PS2_MOVE_MAX : v > PS2_MOVE_MAX ? PS2_MOVE_MAX : v; }

void ps2_mouse_move(Ps2Mouse *m, int dx, int dy, int dz)
{
	if (!m->reporting && !m->remote)
		return;
	m->dx = clamp(m->dx + clamp(dx));
	m->dy = clamp(m->dy - clamp(dy));
	m->dz = clamp(m->dz + clamp(dz));
}

void ps2_mouse_button(Ps2Mouse *m, unsigned button, bool down)
{
	if (down)
		m->buttons |= (uint8_t)(1u << button);
	else
		m->buttons &= (uint8_t)~(1u << button);
}

static void mouse_status(Ps2Mouse *m)
{
	/* left, middle, right from bit 2 down */
	unsigned buttons = (m->buttons & 1u) << 2 | (m->buttons & 4u) >> 1 | (m->buttons & 2u) >> 1;

	ps2_put(&m->queue, (uint8_t)(m->remote << 6 | m->reporting << 5 | m->scaling << 4 | buttons));
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
