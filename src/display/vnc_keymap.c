/*
 * vnc_keymap.c - keyboard layouts, compiled from the X keyboard database by libxkbcommon.
 *
 * Left out: dead keys and compositions, which a viewer's side has done already.
 */
#include "display/vnc_keymap.h"

#include <string.h>

#include <linux/input-event-codes.h>
#include <xkbcommon/xkbcommon.h>

#include "core/error.h"
#include "display/keys.h"

#define XKB_KEY_OFFSET 8u /* X numbers keys from 8 on, Linux from 0 */

struct Keymap {
	GHashTable *choices; /* keysym -> GArray of KeyChoice, the fewest modifiers first */
};

/* QEMU's names and those of the database. */
static const struct { const char *name, *layout, *variant; } layouts[] = {
	{ "ar", "ara", "" }, { "bepo", "fr", "bepo" }, { "cz", "cz", "" }, { "da", "dk", "" },
	{ "de", "de", "" },
	{ "de-ch", "ch", "" }, { "en-gb", "gb", "" }, { "en-us", "us", "" }, { "es", "es", "" },
	{ "et", "ee", "" },
	{ "fi", "fi", "" }, { "fo", "fo", "" }, { "fr", "fr", "" }, { "fr-be", "be", "" },
	{ "fr-ca", "ca", "" },
	{ "fr-ch", "ch", "fr" }, { "hr", "hr", "" }, { "hu", "hu", "" }, { "is", "is", "" },
	{ "it", "it", "" },
	{ "ja", "jp", "" }, { "lt", "lt", "" }, { "lv", "lv", "" }, { "mk", "mk", "" },
	{ "nl", "nl", "" },
	{ "no", "no", "" }, { "pl", "pl", "" }, { "pt", "pt", "" }, { "pt-br", "br", "" },
	{ "ru", "ru", "" },
	{ "sl", "si", "" }, { "sv", "se", "" }, { "th", "th", "" }, { "tr", "tr", "" },
};

/* Symbols that viewers send and that a layout may not have: modifiers under other names. */
static const struct { uint32_t keysym; uint8_t key; } extras[] = {
	{ XKB_KEY_Shift_L, KEY_LEFTSHIFT }, { XKB_KEY_Shift_R, KEY_RIGHTSHIFT },
	{ XKB_KEY_Control_L, KEY_LEFTCTRL }, { XKB_KEY_Control_R, KEY_RIGHTCTRL },
	{ XKB_KEY_Alt_L, KEY_LEFTALT }, { XKB_KEY_Alt_R, KEY_RIGHTALT },
	{ XKB_KEY_Meta_L, KEY_LEFTALT }, { XKB_KEY_Meta_R, KEY_RIGHTALT },
	{ XKB_KEY_ISO_Level3_Shift, KEY_RIGHTALT }, { XKB_KEY_Mode_switch, KEY_RIGHTALT },
	{ XKB_KEY_Super_L, KEY_LEFTMETA }, { XKB_KEY_Super_R, KEY_RIGHTMETA },
	{ XKB_KEY_Hyper_L, KEY_LEFTMETA }, { XKB_KEY_Hyper_R, KEY_RIGHTMETA },
	{ XKB_KEY_Menu, KEY_COMPOSE }, { XKB_KEY_Print, KEY_SYSRQ }, { XKB_KEY_Sys_Req, KEY_SYSRQ },
	{ XKB_KEY_Execute, KEY_SYSRQ }, { XKB_KEY_Pause, KEY_PAUSE }, { XKB_KEY_Break, KEY_PAUSE },
	{ XKB_KEY_ISO_Left_Tab, KEY_TAB }, { XKB_KEY_Linefeed, KEY_ENTER },
};

static void array_free(gpointer array) { g_array_free(array, TRUE); }

static void add(Keymap *k, uint32_t keysym, KeyChoice choice)
{
	GArray *list = g_hash_table_lookup(k->choices, GUINT_TO_POINTER(keysym));

	if (!list) {
		list = g_array_new(FALSE, FALSE, sizeof(KeyChoice));
		g_hash_table_insert(k->choices, GUINT_TO_POINTER(keysym), list);
	}
	g_array_append_val(list, choice);
}

static uint32_t symbol(struct xkb_state *state, unsigned key, xkb_mod_mask_t mods)
{
	xkb_state_update_mask(state, mods, 0, 0, 0, 0, 0);
	return xkb_state_key_get_one_sym(state, key + XKB_KEY_OFFSET);
}

/* What keys give with these modifiers; all but one that the layout's keyboards lack (0: none). */
static void add_level(Keymap *k, struct xkb_keymap *map, struct xkb_state *state, unsigned absent,
		      bool shift, bool altgr)
{
	xkb_mod_mask_t mods =
	    (shift ? 1u << xkb_keymap_mod_get_index(map, XKB_MOD_NAME_SHIFT) : 0) |
	    (altgr ? 1u << xkb_keymap_mod_get_index(map, "Mod5") : 0);
	xkb_mod_mask_t num = 1u << xkb_keymap_mod_get_index(map, XKB_MOD_NAME_NUM);

	for (const KeyName *n = key_names; n->key; n++) {
		if (n->key == absent)
			continue;
		uint32_t plain = symbol(state, n->key, mods);
		uint32_t with_num = symbol(state, n->key, mods | num);
		bool keypad = plain != with_num;
		bool letter = xkb_keysym_to_upper(plain) != xkb_keysym_to_lower(plain);
		KeyChoice choice = { n->key, shift, altgr, letter, keypad };
		if (plain != XKB_KEY_NoSymbol)
			add(k, plain, choice);
		choice.num = true;
		if (keypad && with_num != XKB_KEY_NoSymbol && !shift)
			add(k, with_num, choice);
	}
}

static bool add_layout(Keymap *k, const char *layout, const char *variant)
{
	struct xkb_rule_names names = { .rules = "evdev", .model = "pc105", .layout = layout,
					.variant = variant, .options = "" };
	struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
	struct xkb_keymap *map = NULL;
	struct xkb_state *state = NULL;
	/* The key between Shift and Z: the database has < and > there, guests see a backslash. */
	unsigned absent = strcmp(layout, "us") ? 0 : KEY_102ND;

	if (context)
		map = xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
	if (map)
		state = xkb_state_new(map);
	for (unsigned level = 0; state && level < 4; level++)
		add_level(k, map, state, absent, level & 1, level & 2);
	xkb_state_unref(state);
	xkb_keymap_unref(map);
	xkb_context_unref(context);
	return state;
}

/* What this layout lacks and that one has: Latin letters of a Cyrillic keyboard. */
static void add_missing(Keymap *k, Keymap *from)
{
	GHashTableIter i;
	gpointer keysym, list;

	g_hash_table_iter_init(&i, from->choices);
	while (g_hash_table_iter_next(&i, &keysym, &list)) {
		if (g_hash_table_contains(k->choices, keysym))
			continue;
		g_hash_table_iter_steal(&i);
		g_hash_table_insert(k->choices, keysym, list);
	}
}

static Keymap *empty(void)
{
	Keymap *k = g_new0(Keymap, 1);

	k->choices = g_hash_table_new_full(NULL, NULL, NULL, array_free);
	return k;
}

static int find_layout(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
		if (!strcmp(layouts[i].name, name))
			return (int)i;
	return -1;
}

bool keymap_knows(const char *layout) { return find_layout(layout) >= 0; }

Keymap *keymap_new(const char *layout, GError **error)
{
	int n = find_layout(layout ? layout : "en-us");
	Keymap *k = empty(), *us = empty();

	if (n < 0 || !add_layout(k, layouts[n].layout, layouts[n].variant)) {
		fail(error, VIV_ERROR_INVALID, "could not read keymap file: '%s'",
		     layout ? layout : "en-us");
		keymap_free(us);
		keymap_free(k);
		return NULL;
	}
	if (strcmp(layouts[n].layout, "us") && add_layout(us, "us", ""))
		add_missing(k, us);
	keymap_free(us);
	for (size_t i = 0; i < G_N_ELEMENTS(extras); i++)
		if (!g_hash_table_contains(k->choices, GUINT_TO_POINTER(extras[i].keysym)))
			add(k, extras[i].keysym, (KeyChoice){ .key = extras[i].key });
	return k;
}

void keymap_free(Keymap *k)
{
	if (!k)
		return;
	g_hash_table_destroy(k->choices);
	g_free(k);
}

bool keymap_find(const Keymap *k, uint32_t keysym, bool shift, bool altgr, bool caps,
		 KeyChoice *out)
{
	GArray *list = g_hash_table_lookup(k->choices, GUINT_TO_POINTER(keysym));

	/* Unicode's number of a character that has a symbol of its own. */
	if (!list && keysym >> 24 == 1)
		list = g_hash_table_lookup(
		    k->choices, GUINT_TO_POINTER(xkb_utf32_to_keysym(keysym & 0xffffff)));
	if (!list)
		return false;
	for (unsigned i = 0; i < list->len; i++) {
		KeyChoice c = g_array_index(list, KeyChoice, i);
		c.shift ^= c.letter && caps;
		if (!i || (c.shift == shift && c.altgr == altgr))
			*out = c;
		if (c.shift == shift && c.altgr == altgr)
			break;
	}
	return true;
}
