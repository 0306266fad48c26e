/*
 * vnc_keymap.h - from the symbols that a viewer types (X keysyms) to keys of the guest's keyboard.
 *
 * Any thread; a Keymap does not change.
 */
#ifndef VIV_DISPLAY_VNC_KEYMAP_H
#define VIV_DISPLAY_VNC_KEYMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Keymap Keymap;

/* What is to be down on the guest's keyboard for a symbol to come out. */
typedef struct KeyChoice {
	uint8_t key;         /* linux/input-event-codes.h */
	bool shift, altgr;
	bool letter;         /* Caps Lock turns shift round */
	bool keypad, num;    /* Num Lock decides between digits and arrows; which of them it is */
} KeyChoice;

/* `layout` is one of QEMU's names ("en-us", "de"); NULL: en-us. NULL with *error: unknown. */
Keymap *keymap_new(const char *layout, GError **error);
void keymap_free(Keymap *k); /* NULL is fine */
/* Is it one of QEMU's names? */
bool keymap_knows(const char *layout);
/*
 * The choice that fits these modifiers, or else the one that needs the fewest. `caps`: Caps Lock is
 * on. False: no key has that symbol.
 */
bool keymap_find(const Keymap *k, uint32_t keysym, bool shift, bool altgr, bool caps,
		 KeyChoice *out);

#endif
