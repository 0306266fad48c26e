/*
 * introspect.c - what QMP has: its version, its commands, their types; and a person's commands through it.
 *
 * Main thread.
 */
#include <string.h>

#include "core/error.h"
#include "core/version.h"
#include "monitor/events.h"
#include "monitor/private.h"

json_t *qmp_version(void)
{
	return json_pack("{s{sisisi}ss}", "qemu", "micro", QEMU_MICRO, "minor", QEMU_MINOR, "major", QEMU_MAJOR, "package",
			 "Vivarium " VIV_VERSION);
}

json_t *serve_version(Monitor *mon, const json_t *args, GError **error) { return qmp_version(); }

void show_version(Monitor *mon, const json_t *reply, GString *out)
{
	g_string_append(out, VIV_VERSION " (Vivarium)\n");
}

static const Command *const tables[] = { monitor_commands, monitor_info_commands };

void command_each_qmp(void (*fn)(const Command *c, void *opaque), void *opaque)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++)
		for (const Command *c = tables[i]; c->name || c->qmp; c++)
			if (c->qmp)
				fn(c, opaque);
}

const Command *command_find_qmp(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++)
		for (const Command *c = tables[i]; c->name || c->qmp; c++)
			if (c->qmp && !strcmp(c->qmp, name))
				return c;
	return NULL;
}

static void append_name(const Command *c, void *opaque)
{
	json_array_append_new(opaque, json_pack("{ss}", "name", c->qmp));
}

json_t *serve_commands(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	command_each_qmp(append_name, list);
	return list;
}

/* ---- query-qmp-schema ---- */

static void describe_command(const Command *c, void *opaque)
{
	SchemaList *list = opaque;
	SchemaMember *members = command_members(c);
	char *name = g_strdup_printf("q_obj_%s-arg", c->qmp);
	const char *takes = members->name ? schema_list_members(list, name, members) : schema_list_type(list, NULL);

	schema_list_add(list, json_pack("{ss ss ss ss sb}", "name", c->qmp, "meta-type", "command", "arg-type", takes, "ret-type",
					schema_list_type(list, c->returns), "allow-oob", (c->flags & COMMAND_OOB) != 0));
	g_free(name);
	g_free(members);
}

static void describe_event(SchemaList *list, const EventDef *e)
{
	char *name = g_strdup_printf("q_obj_%s-arg", e->name);
	const char *data = e->data[0].name ? schema_list_members(list, name, e->data) : schema_list_type(list, NULL);
	schema_list_add(list, json_pack("{ss ss ss}", "name", e->name, "meta-type", "event", "arg-type", data));
	g_free(name);
}

json_t *serve_schema(Monitor *mon, const json_t *args, GError **error)
{
	SchemaList *list = schema_list_new();
	command_each_qmp(describe_command, list);
	for (const EventDef *e = event_table; e->name; e++)
		describe_event(list, e);
	return schema_list_finish(list);
}

/* ---- human-monitor-command ---- */

json_t *serve_human(Monitor *mon, const json_t *args, GError **error)
{
	const json_t *index = json_object_get(args, "cpu-index");
	unsigned before = mon->cpu;
	GString *out = g_string_new(NULL);

	if (index && (json_integer_value(index) < 0 || json_integer_value(index) >= machine_board(mon->m)->cpu_count)) {
		fail(error, VIV_ERROR_INVALID, "Parameter 'cpu-index' expects a CPU number");
		g_string_free(out, TRUE);
		return NULL;
	}
	if (index)
		mon->cpu = (unsigned)json_integer_value(index);
	monitor_execute(mon, member_text(args, "command-line"), out);
	mon->cpu = before;
	/* QEMU's words end their lines as a terminal wants it. */
	char **lines = g_strsplit(out->str, "\n", -1), *text = g_strjoinv("\r\n", lines);
	json_t *reply = json_string(text);
	if (!reply) /* what memory holds may be no UTF-8 */
		fail(error, VIV_ERROR_FAILED, "What '%s' says is not text", member_text(args, "command-line"));
	g_strfreev(lines);
	g_free(text);
	g_string_free(out, TRUE);
	return reply;
}
