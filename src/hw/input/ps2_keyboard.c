/*
 * ps2_keyboard.c - the PS/2 keyboard.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboards"; Microsoft, Keyboard Scan Code Specification 1.3a. Left
 * out: typematic repeat by itself (whoever types sends repeats), key types of set 3. Machine lock held.
 */
#include "hw/input/ps2.h"

#include <linux/input-event-codes.h>

#include "display/keys.h"

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_OK 0xaa

/*
 * What the keyboard controller makes of a code of set 2 (8042 in its PC mode): one of set 1. Both sets are so the same
 * table; codes above are their own, but F7 and SysRq.
 */
static const uint8_t set1_of_set2[0x80] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t ps2_set1_of_set2(uint8_t code)
{
	return code < 0x80 ? set1_of_set2[code] : code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

static uint8_t set2_of_set1(uint8_t code)
{
	uint8_t set2 = 0;

	if (code == 0x41)
		return 0x83;
	while (set2 < 0x80 && set1_of_set2[set2] != code)
		set2++;
	return set2;
}

/* Keys whose code of set 3 is not their code of set 2; every key has one byte. */
static const uint8_t set3[][2] = {
	{ KEY_F1, 0x07 }, { KEY_F2, 0x0f }, { KEY_F3, 0x17 }, { KEY_F4, 0x1f }, { KEY_F5, 0x27 }, { KEY_F6, 0x2f },
	{ KEY_F7, 0x37 }, { KEY_F8, 0x3f }, { KEY_F9, 0x47 }, { KEY_F10, 0x4f }, { KEY_F11, 0x56 }, { KEY_F12, 0x5e },
	{ KEY_ESC, 0x08 }, { KEY_SYSRQ, 0x57 }, { KEY_SCROLLLOCK, 0x5f }, { KEY_PAUSE, 0x62 }, { KEY_LEFTCTRL, 0x11 },
	{ KEY_CAPSLOCK, 0x14 }, { KEY_LEFTALT, 0x19 }, { KEY_RIGHTALT, 0x39 }, { KEY_RIGHTCTRL, 0x58 },
	{ KEY_BACKSLASH, 0x5c }, { KEY_102ND, 0x13 }, { KEY_INSERT, 0x67 }, { KEY_DELETE, 0x64 }, { KEY_LEFT, 0x61 },
	{ KEY_HOME, 0x6e }, { KEY_END, 0x65 }, { KEY_UP, 0x63 }, { KEY_DOWN, 0x60 }, { KEY_PAGEUP, 0x6f },
	{ KEY_PAGEDOWN, 0x6d }, { KEY_RIGHT, 0x6a }, { KEY_NUMLOCK, 0x76 }, { KEY_KPSLASH, 0x4a },
	{ KEY_KPASTERISK, 0x7e }, { KEY_KPMINUS, 0x4e }, { KEY_KPENTER, 0x79 }, { KEY_KPPLUS, 0x7c },
	{ KEY_LEFTMETA, 0x8b }, { KEY_RIGHTMETA, 0x8c }, { KEY_COMPOSE, 0x8d },
};

static uint8_t set3_of(const KeyName *k)
{
	for (unsigned i = 0; i < sizeof(set3) / sizeof(set3[0]); i++)
		if (set3[i][0] == k->key)
			return set3[i][1];
	return set2_of_set1(k->set1 & 0x7f);
}

/* ---- keys ---- */

/* The bytes of one key going down or up; all of them find room, or none is sent. */
typedef struct Sequence {
	uint8_t bytes[8];
	unsigned count;
} Sequence;

static void add(Sequence *q, uint8_t byte) { q->bytes[q->count++] = byte; }

/* A code of the set in use, behind E0 if `extended`. */
static void add_code(const Ps2Keyboard *k, Sequence *q, bool extended, uint8_t set1, bool down)
{
	if (extended)
		add(q, 0xe0);
	if (k->set == 1) {
		add(q, set1 | (down ? 0 : 0x80));
		return;
	}
	if (!down)
		add(q, 0xf0);
	add(q, set2_of_set1(set1));
}

static bool held(const Ps2Keyboard *k, unsigned key) { return k->modifiers & key; }

enum { ALT_L = 1, ALT_R = 2, CTRL_L = 4, CTRL_R = 8, SHIFT_L = 16, SHIFT_R = 32 };

static unsigned modifier(unsigned key)
{
	switch (key) {
	case KEY_LEFTALT: return ALT_L;
	case KEY_RIGHTALT: return ALT_R;
	case KEY_LEFTCTRL: return CTRL_L;
	case KEY_RIGHTCTRL: return CTRL_R;
	case KEY_LEFTSHIFT: return SHIFT_L;
	case KEY_RIGHTSHIFT: return SHIFT_R;
	default: return 0;
	}
}

/* Print Screen comes with a shift of its own, unless one is held; with Alt it is SysRq. */
static void add_print(const Ps2Keyboard *k, Sequence *q, bool down)
{
	bool shifted = held(k, CTRL_L | CTRL_R | SHIFT_L | SHIFT_R);

	if (held(k, ALT_L | ALT_R)) {
		if (k->set == 1) {
			add(q, down ? 0x54 : 0xd4);
		} else {
			if (!down)
				add(q, 0xf0);
			add(q, 0x84);
		}
		return;
	}
	if (down && !shifted)
		add_code(k, q, true, 0x2a, true);
	add_code(k, q, true, 0x37, down);
	if (!down && !shifted)
		add_code(k, q, true, 0x2a, false);
}

/* Pause says all of it when it goes down: it cannot be held. With Ctrl it is Break. */
static void add_pause(const Ps2Keyboard *k, Sequence *q, bool down)
{
	if (!down)
		return;
	if (held(k, CTRL_L | CTRL_R)) {
		add_code(k, q, true, 0x46, true);
		add_code(k, q, true, 0x46, false);
	} else if (k->set == 1) {
		static const uint8_t bytes[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
		for (unsigned i = 0; i < sizeof(bytes); i++)
			add(q, bytes[i]);
	} else {
		static const uint8_t bytes[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
		for (unsigned i = 0; i < sizeof(bytes); i++)
			add(q, bytes[i]);
	}
}

bool ps2_keyboard_key(Ps2Keyboard *k, unsigned key, bool down)
{
	const KeyName *name = key_by_number(key);
	unsigned bit = modifier(key);
	Sequence q = { .count = 0 };

	if (down)
		k->modifiers |= (uint8_t)bit;
	else
		k->modifiers &= (uint8_t)~bit;
	if (!name || !k->scanning || (!down && !(k->down[key / 8] >> key % 8 & 1)))
		return false;
	if (k->set == 3) {
		if (!down)
			add(&q, 0xf0);
		add(&q, set3_of(name));
	} else if (key == KEY_SYSRQ) {
		add_print(k, &q, down);
	} else if (key == KEY_PAUSE) {
		add_pause(k, &q, down);
	} else {
		add_code(k, &q, name->set1 >= 0xe000, name->set1 & 0x7f, down);
	}
	/* A key that went down goes up, or it would repeat for ever: there is room for that. */
	if (k->queue.count + q.count > (down ? PS2_KEYS_MAX : PS2_RELEASES_MAX))
		return false;
	if (down)
		k->down[key / 8] |= (uint8_t)(1u << key % 8);
	else
		k->down[key / 8] &= (uint8_t)~(1u << key % 8);
	for (unsigned i = 0; i < q.count; i++)
		ps2_put(&k->queue, q.bytes[i]);
	return true;
}

/* ---- commands ---- */

static void keyboard_defaults(Ps2Keyboard *k)
{
	k->set = 2;
	k->command = 0;
}

void ps2_keyboard_reset(Ps2Keyboard *k)
{
	*k = (Ps2Keyboard){ .display = k->display, .scanning = true };
	keyboard_defaults(k);
	if (k->display)
		input_set_leds(k->display, 0);
}

static void keyboard_parameter(Ps2Keyboard *k, uint8_t byte)
{
	uint8_t command = k->command;

	k->command = 0;
	ps2_put(&k->queue, ACK);
	switch (command) {
	case 0xed:
		k->leds = byte & 7;
		if (k->display)
			input_set_leds(k->display, k->leds);
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
