/*
 * input.c - keys and pointers from the monitor: sendkey, mouse_move, mouse_button, mouse_set, info mice.
 */
#include <stdlib.h>
#include <string.h>

#include "core/lock.h"
#include "core/suggest.h"
#include "display/input.h"
#include "display/keys.h"
#include "monitor/private.h"

#define HOLD_MS 100

static Display *display_of(Monitor *mon) { return machine_board(mon->m)->display; }

/* A name, a letter, or a scan code "0x1e". 0: no key. */
static unsigned key_from(const char *text)
{
	const KeyName *k = key_by_name(strcmp(text, "<") ? text : "less");

	if (k)
		return k->key;
	if (!g_str_has_prefix(text, "0x"))
		return 0;
	char *end;
	unsigned long code = strtoul(text, &end, 16);
	return *end || code > 0xff ? 0 : key_by_set1((unsigned)code);
}

static void unknown_key(const char *text, GString *out)
{
	GPtrArray *names = g_ptr_array_new();

	for (const KeyName *k = key_names; k->key; k++)
		g_ptr_array_add(names, (void *)k->name);
	g_ptr_array_add(names, NULL);
	const char *near = suggest_nearest(text, (const char *const *)names->pdata);
	g_string_append_printf(out, "invalid parameter: %s", text);
	if (near)
		g_string_append_printf(out, " (did you mean %s?)", near);
	g_string_append_c(out, '\n');
	g_ptr_array_free(names, TRUE);
}

void command_sendkey(Monitor *mon, const Args *args, GString *out)
{
	gchar **names = g_strsplit(args->text[0], "-", -1);
	uint8_t keys[INPUT_COMBO_MAX];
	unsigned count = 0, hold = args->given[1] ? (unsigned)CLAMP(args->number[1], 1, 60000) : HOLD_MS;
	bool good = true;

	for (gchar **n = names; *n && good; n++) {
		unsigned key = count < INPUT_COMBO_MAX ? key_from(*n) : 0;
		if (count == INPUT_COMBO_MAX)
			g_string_append(out, "too many keys\n");
		else if (!key)
			unknown_key(*n, out);
		good = key;
		if (good)
			keys[count++] = (uint8_t)key;
	}
	g_strfreev(names);
	if (!good || !count)
		return;
	machine_lock();
	good = input_type(display_of(mon), keys, count, hold);
	machine_unlock();
	if (!good)
		g_string_append(out, "too many keys wait to be typed already\n");
}

void command_mouse_move(Monitor *mon, const Args *args, GString *out)
{
	Display *d = display_of(mon);

	machine_lock();
	input_move(d, (int)args->number[0], (int)args->number[1]);
	if (args->given[2] && args->number[2]) {
		InputButton wheel = args->number[2] > 0 ? BUTTON_WHEEL_UP : BUTTON_WHEEL_DOWN;
		input_button(d, wheel, true);
		input_button(d, wheel, false);
	}
	input_sync(d);
	machine_unlock();
}

void command_mouse_button(Monitor *mon, const Args *args, GString *out)
{
	static const InputButton buttons[] = { BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT };
	Display *d = display_of(mon);

	machine_lock();
	for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++)
		input_button(d, buttons[i], args->number[0] >> i & 1);
	input_sync(d);
	machine_unlock();
}

void command_mouse_set(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	bool found = args->number[0] > 0 && input_use_pointer(display_of(mon), (unsigned)args->number[0]);
	machine_unlock();
	if (!found)
		g_string_append_printf(out, "Mouse at index '%" G_GINT64_FORMAT "' not found\n", args->number[0]);
}

void info_mice(Monitor *mon, const Args *args, GString *out)
{
	InputPointer p;
	unsigned n = 0;

	machine_lock();
	for (; input_pointer(display_of(mon), n, &p); n++)
		g_string_append_printf(out, "%c Mouse #%u: %s%s\n", p.in_use ? '*' : ' ', p.number, p.name,
				       p.absolute ? " (absolute)" : "");
	machine_unlock();
	if (!n)
		g_string_append(out, "No mouse devices connected\n");
}
