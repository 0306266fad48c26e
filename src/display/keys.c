/*
 * keys.c - the table of keys.
 *
 * Linux input-event-codes.h; IBM Personal Computer AT Technical Reference, "Keyboard" (scan code set 1);
 * Microsoft, Keyboard Scan Code Specification 1.3a (keys behind E0).
 */
#include "display/keys.h"

#include <stddef.h>
#include <string.h>

#include <linux/input-event-codes.h>

const KeyName key_names[] = {
	{ KEY_ESC, "esc", 0x01 },
	{ KEY_1, "1", 0x02 },
	{ KEY_2, "2", 0x03 },
	{ KEY_3, "3", 0x04 },
	{ KEY_4, "4", 0x05 },
	{ KEY_5, "5", 0x06 },
	{ KEY_6, "6", 0x07 },
	{ KEY_7, "7", 0x08 },
	{ KEY_8, "8", 0x09 },
	{ KEY_9, "9", 0x0a },
	{ KEY_0, "0", 0x0b },
	{ KEY_MINUS, "minus", 0x0c },
	{ KEY_EQUAL, "equal", 0x0d },
	{ KEY_BACKSPACE, "backspace", 0x0e },
	{ KEY_TAB, "tab", 0x0f },
	{ KEY_Q, "q", 0x10 },
	{ KEY_W, "w", 0x11 },
	{ KEY_E, "e", 0x12 },
	{ KEY_R, "r", 0x13 },
	{ KEY_T, "t", 0x14 },
	{ KEY_Y, "y", 0x15 },
	{ KEY_U, "u", 0x16 },
	{ KEY_I, "i", 0x17 },
	{ KEY_O, "o", 0x18 },
	{ KEY_P, "p", 0x19 },
	{ KEY_LEFTBRACE, "bracket_left", 0x1a },
	{ KEY_RIGHTBRACE, "bracket_right", 0x1b },
	{ KEY_ENTER, "ret", 0x1c },
	{ KEY_LEFTCTRL, "ctrl", 0x1d },
	{ KEY_A, "a", 0x1e },
	{ KEY_S, "s", 0x1f },
	{ KEY_D, "d", 0x20 },
	{ KEY_F, "f", 0x21 },
	{ KEY_G, "g", 0x22 },
	{ KEY_H, "h", 0x23 },
	{ KEY_J, "j", 0x24 },
	{ KEY_K, "k", 0x25 },
	{ KEY_L, "l", 0x26 },
	{ KEY_SEMICOLON, "semicolon", 0x27 },
	{ KEY_APOSTROPHE, "apostrophe", 0x28 },
	{ KEY_GRAVE, "grave_accent", 0x29 },
	{ KEY_LEFTSHIFT, "shift", 0x2a },
	{ KEY_BACKSLASH, "backslash", 0x2b },
	{ KEY_Z, "z", 0x2c },
	{ KEY_X, "x", 0x2d },
	{ KEY_C, "c", 0x2e },
	{ KEY_V, "v", 0x2f },
	{ KEY_B, "b", 0x30 },
	{ KEY_N, "n", 0x31 },
	{ KEY_M, "m", 0x32 },
	{ KEY_COMMA, "comma", 0x33 },
	{ KEY_DOT, "dot", 0x34 },
	{ KEY_SLASH, "slash", 0x35 },
	{ KEY_RIGHTSHIFT, "shift_r", 0x36 },
	{ KEY_KPASTERISK, "kp_multiply", 0x37 },
	{ KEY_LEFTALT, "alt", 0x38 },
	{ KEY_SPACE, "spc", 0x39 },
	{ KEY_CAPSLOCK, "caps_lock", 0x3a },
	{ KEY_F1, "f1", 0x3b },
	{ KEY_F2, "f2", 0x3c },
	{ KEY_F3, "f3", 0x3d },
	{ KEY_F4, "f4", 0x3e },
	{ KEY_F5, "f5", 0x3f },
	{ KEY_F6, "f6", 0x40 },
	{ KEY_F7, "f7", 0x41 },
	{ KEY_F8, "f8", 0x42 },
	{ KEY_F9, "f9", 0x43 },
	{ KEY_F10, "f10", 0x44 },
	{ KEY_NUMLOCK, "num_lock", 0x45 },
	{ KEY_SCROLLLOCK, "scroll_lock", 0x46 },
	{ KEY_KP7, "kp_7", 0x47 },
	{ KEY_KP8, "kp_8", 0x48 },
	{ KEY_KP9, "kp_9", 0x49 },
	{ KEY_KPMINUS, "kp_subtract", 0x4a },
	{ KEY_KP4, "kp_4", 0x4b },
	{ KEY_KP5, "kp_5", 0x4c },
	{ KEY_KP6, "kp_6", 0x4d },
	{ KEY_KPPLUS, "kp_add", 0x4e },
	{ KEY_KP1, "kp_1", 0x4f },
	{ KEY_KP2, "kp_2", 0x50 },
	{ KEY_KP3, "kp_3", 0x51 },
	{ KEY_KP0, "kp_0", 0x52 },
	{ KEY_KPDOT, "kp_decimal", 0x53 },
	{ KEY_102ND, "less", 0x56 },
	{ KEY_F11, "f11", 0x57 },
	{ KEY_F12, "f12", 0x58 },
	{ KEY_KPEQUAL, "kp_equals", 0x59 },
	{ KEY_F13, "f13", 0x5d },
	{ KEY_F14, "f14", 0x5e },
	{ KEY_F15, "f15", 0x5f },
	{ KEY_KATAKANAHIRAGANA, "katakanahiragana", 0x70 },
	{ KEY_HANJA, "lang2", 0x71 },
	{ KEY_HANGEUL, "lang1", 0x72 },
	{ KEY_RO, "ro", 0x73 },
	{ KEY_HENKAN, "henkan", 0x79 },
	{ KEY_MUHENKAN, "muhenkan", 0x7b },
	{ KEY_YEN, "yen", 0x7d },
	{ KEY_KPCOMMA, "kp_comma", 0x7e },
	{ KEY_PREVIOUSSONG, "audioprev", 0xe010 },
	{ KEY_NEXTSONG, "audionext", 0xe019 },
	{ KEY_KPENTER, "kp_enter", 0xe01c },
	{ KEY_RIGHTCTRL, "ctrl_r", 0xe01d },
	{ KEY_MUTE, "audiomute", 0xe020 },
	{ KEY_CALC, "calculator", 0xe021 },
	{ KEY_PLAYPAUSE, "audioplay", 0xe022 },
	{ KEY_STOPCD, "audiostop", 0xe024 },
	{ KEY_VOLUMEDOWN, "volumedown", 0xe02e },
	{ KEY_VOLUMEUP, "volumeup", 0xe030 },
	{ KEY_HOMEPAGE, "ac_home", 0xe032 },
	{ KEY_KPSLASH, "kp_divide", 0xe035 },
	{ KEY_SYSRQ, "print", 0xe037 },
	{ KEY_RIGHTALT, "alt_r", 0xe038 },
	{ KEY_PAUSE, "pause", 0xe046 },
	{ KEY_HOME, "home", 0xe047 },
	{ KEY_UP, "up", 0xe048 },
	{ KEY_PAGEUP, "pgup", 0xe049 },
	{ KEY_LEFT, "left", 0xe04b },
	{ KEY_RIGHT, "right", 0xe04d },
	{ KEY_END, "end", 0xe04f },
	{ KEY_DOWN, "down", 0xe050 },
	{ KEY_PAGEDOWN, "pgdn", 0xe051 },
	{ KEY_INSERT, "insert", 0xe052 },
	{ KEY_DELETE, "delete", 0xe053 },
	{ KEY_LEFTMETA, "meta_l", 0xe05b },
	{ KEY_RIGHTMETA, "meta_r", 0xe05c },
	{ KEY_COMPOSE, "compose", 0xe05d },
	{ KEY_POWER, "power", 0xe05e },
	{ KEY_SLEEP, "sleep", 0xe05f },
	{ KEY_WAKEUP, "wake", 0xe063 },
	{ KEY_BOOKMARKS, "ac_bookmarks", 0xe066 },
	{ KEY_REFRESH, "ac_refresh", 0xe067 },
	{ KEY_STOP, "stop", 0xe068 },
	{ KEY_FORWARD, "ac_forward", 0xe069 },
	{ KEY_BACK, "ac_back", 0xe06a },
	{ KEY_COMPUTER, "computer", 0xe06b },
	{ KEY_MAIL, "mail", 0xe06c },
	{ KEY_MEDIA, "mediaselect", 0xe06d },
	{ 0, NULL, 0 },
};

/* Other names that users know. */
static const struct { const char *alias, *name; } aliases[] = {
	{ "asterisk", "kp_multiply" }, { "sysrq", "print" }, { "menu", "compose" }, { "ctrl_l", "ctrl" },
	{ "shift_l", "shift" }, { "alt_l", "alt" },
};

const KeyName *key_by_number(unsigned key)
{
	for (const KeyName *k = key_names; k->key; k++)
		if (k->key == key)
			return k;
	return NULL;
}

const KeyName *key_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcmp(aliases[i].alias, name))
			name = aliases[i].name;
	for (const KeyName *k = key_names; k->key; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

unsigned key_by_set1(unsigned code)
{
	unsigned set1 = code & 0x80 ? 0xe000 | (code & 0x7f) : code;

	for (const KeyName *k = key_names; k->key; k++)
		if (k->set1 == set1)
			return k->key;
	return 0;
}
