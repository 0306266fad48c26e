/*
 * input.c - keys and pointers from the monitor: sendkey, mouse_move, mouse_button, mouse_set, info mice.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/lock.h"
#include "core/suggest.h"
#include "display/input.h"
#include "display/keys.h"
#include "monitor/private.h"

#define HOLD_MS 100

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

static unsigned hold_time(json_int_t ms) { return (unsigned)CLAMP(ms, 1, 60000); }

void command_sendkey(Monitor *mon, const Args *args, GString *out)
{
	gchar **names = g_strsplit(args->text[0], "-", -1);
	uint8_t keys[INPUT_COMBO_MAX];
	unsigned count = 0, hold = args->given[1] ? hold_time(args->number[1]) : HOLD_MS;
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
	good = input_type(monitor_display(mon), keys, count, hold);
	machine_unlock();
	if (!good)
		g_string_append(out, "too many keys wait to be typed already\n");
}

/* ---- QMP ---- */

/* {"type": "qcode", "data": "a"} or {"type": "number", "data": 30}; checked by its type. 0 with *error: no such key. */
static unsigned key_of(const json_t *value, GError **error)
{
	const json_t *data = json_object_get(value, "data");
	unsigned key = 0;

	if (json_is_integer(data)) {
		key = key_by_set1((unsigned)CLAMP(json_integer_value(data), 0, 0xff));
		if (!key)
			fail(error, VIV_ERROR_INVALID, "There is no key %" JSON_INTEGER_FORMAT, json_integer_value(data));
	} else {
		const KeyName *k = key_by_name(json_string_value(data));
		key = k ? k->key : 0;
		if (!k)
			fail(error, VIV_ERROR_INVALID, "Parameter 'data' does not accept value '%s'", json_string_value(data));
	}
	return key;
}

json_t *serve_send_key(Monitor *mon, const json_t *args, GError **error)
{
	const json_t *list = json_object_get(args, "keys"), *hold = json_object_get(args, "hold-time");
	uint8_t keys[INPUT_COMBO_MAX];
	size_t count = json_array_size(list);

	if (!count || count > INPUT_COMBO_MAX) {
		fail(error, VIV_ERROR_INVALID, "'keys' has 1 to %u keys", INPUT_COMBO_MAX);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		keys[i] = (uint8_t)key_of(json_array_get(list, i), error);
		if (!keys[i])
			return NULL;
	}
	machine_lock();
	bool good = input_type(monitor_display(mon), keys, (unsigned)count, hold ? hold_time(json_integer_value(hold)) : HOLD_MS);
	machine_unlock();
	if (!good)
		fail(error, VIV_ERROR_FAILED, "Too many keys wait to be typed already");
	return good ? json_object() : NULL;
}

/* Where a pointer goes: both axes of the events that follow one another count together. */
typedef struct Motion { int by[2]; json_int_t to[2]; bool moved, placed; } Motion;

static void send_motion(Display *d, Motion *m)
{
	if (m->moved)
		input_move(d, m->by[0], m->by[1]);
	if (m->placed)
		input_place(d, (unsigned)m->to[0], (unsigned)m->to[1]);
	*m = (Motion){ .to = { m->to[0], m->to[1] } };
}

static void send_button(Display *d, const json_t *data)
{
	static const struct { const char *name; InputButton button; } names[] = {
		{ "left", BUTTON_LEFT }, { "middle", BUTTON_MIDDLE }, { "right", BUTTON_RIGHT }, { "wheel-up", BUTTON_WHEEL_UP },
		{ "wheel-down", BUTTON_WHEEL_DOWN }, { "side", BUTTON_SIDE }, { "extra", BUTTON_EXTRA },
		{ "wheel-left", BUTTON_WHEEL_LEFT },
	};
	const char *name = member_text(data, "button");
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(names[i].name, name))
			input_button(d, names[i].button, member_is(data, "down"));
}

/* Machine lock held. */
static bool send_event(Display *d, const json_t *event, Motion *m, GError **error)
{
	const char *type = member_text(event, "type");
	const json_t *data = json_object_get(event, "data");

	if (!strcmp(type, "rel") || !strcmp(type, "abs")) {
		unsigned axis = !strcmp(member_text(data, "axis"), "y");
		json_int_t value = member_number(data, "value");
		if (*type == 'r')
			m->by[axis] += (int)CLAMP(value, -INPUT_ABS_MAX, INPUT_ABS_MAX);
		else
			m->to[axis] = CLAMP(value, 0, INPUT_ABS_MAX);
		m->moved |= *type == 'r';
		m->placed |= *type == 'a';
		return true;
	}
	send_motion(d, m);
	if (!strcmp(type, "btn")) {
		send_button(d, data);
		return true;
	}
	unsigned key = key_of(json_object_get(data, "key"), error);
	if (key)
		input_key(d, key, member_is(data, "down"));
	return key;
}

json_t *serve_input_event(Monitor *mon, const json_t *args, GError **error)
{
	Display *d = monitor_display(mon);
	Motion m = { .to = { INPUT_ABS_MAX / 2, INPUT_ABS_MAX / 2 } };
	size_t i;
	json_t *event;
	bool good = true;

	machine_lock();
	json_array_foreach (json_object_get(args, "events"), i, event)
		good = good && send_event(d, event, &m, error);
	send_motion(d, &m);
	input_sync(d);
	machine_unlock();
	return good ? json_object() : NULL;
}

/* ---- pointers ---- */

void command_mouse_move(Monitor *mon, const Args *args, GString *out)
{
	Display *d = monitor_display(mon);

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
	Display *d = monitor_display(mon);

	machine_lock();
	for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++)
		input_button(d, buttons[i], args->number[0] >> i & 1);
	input_sync(d);
	machine_unlock();
}

void command_mouse_set(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	bool found = args->number[0] > 0 && input_use_pointer(monitor_display(mon), (unsigned)args->number[0]);
	machine_unlock();
	if (!found)
		g_string_append_printf(out, "Mouse at index '%" G_GINT64_FORMAT "' not found\n", args->number[0]);
}

json_t *serve_mice(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	InputPointer p;

	machine_lock();
	for (unsigned n = 0; input_pointer(monitor_display(mon), n, &p); n++)
		json_array_append_new(list, json_pack("{ss si sb sb}", "name", p.name, "index", (int)p.number, "current", p.in_use,
						      "absolute", p.absolute));
	machine_unlock();
	return list;
}

void show_mice(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *p;

	json_array_foreach (reply, i, p)
		g_string_append_printf(out, "%c Mouse #%d: %s%s\n", member_is(p, "current") ? '*' : ' ', (int)member_number(p, "index"),
				       member_text(p, "name"), member_is(p, "absolute") ? " (absolute)" : "");
	if (!json_array_size(reply))
		g_string_append(out, "No mouse devices connected\n");
}
