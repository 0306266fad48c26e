/*
 * options.c - query-command-line-options: the options of the command line that have keys, by their table.
 *
 * Main thread.
 */
#include "cli/options.h"

#include <string.h>

#include "core/error.h"
#include "monitor/private.h"

/* QMP knows four types; what is read by the option's own function is text. */
static const char *type_of(const SubKey *k)
{
	switch (k->type) {
	case KEY_TRI:
	case KEY_FLAG: return "boolean";
	case KEY_UINT:
	case KEY_I64: return "number";
	case KEY_SIZE: return "size";
	default: return "string";
	}
}

static json_t *describe(const OptionDef *o)
{
	json_t *keys = json_array();
	for (const SubKey *k = o->keys; k && k->name; k++) {
		json_t *key = json_pack("{ss ss}", "name", k->name, "type", type_of(k));
		if (k->help)
			json_object_set_new(key, "help", json_string(k->help));
		if (k->def)
			json_object_set_new(key, "default", json_string(k->def));
		json_array_append_new(keys, key);
	}
	return json_pack("{ss so}", "option", o->group, "parameters", keys);
}

json_t *serve_command_line_options(Monitor *mon, const json_t *args, GError **error)
{
	const char *wanted = member_text(args, "option");
	json_t *list = json_array();

	for (const OptionDef *o = option_table; o->name; o++)
		if (o->group && !o->missing && (!wanted || !strcmp(wanted, o->group)))
			json_array_append_new(list, describe(o));
	if (wanted && !json_array_size(list)) {
		fail(error, VIV_ERROR_INVALID, "invalid option name: %s", wanted);
		json_decref(list);
		return NULL;
	}
	return list;
}
