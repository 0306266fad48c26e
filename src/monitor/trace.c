/*
 * trace.c - trace-event, info trace-events and QMP's two commands for the same.
 *
 * Main thread.
 */
#include "core/trace.h"

#include <string.h>

#include "core/error.h"
#include "monitor/private.h"

/* Can the user mean something by `name`? No event of this version belongs to one vcpu. */
static bool check(Monitor *mon, const char *name, const json_t *vcpu, GError **error)
{
	bool found = trace_is_pattern(name);
	json_int_t n = json_integer_value(vcpu);

	if (vcpu && (n < 0 || n >= machine_board(mon->m)->cpu_count))
		return fail(error, VIV_ERROR_FAILED, "invalid vCPU index %d", (int)n);
	for (unsigned i = 0; i < TRACE_COUNT && !found; i++)
		found = trace_matches(i, name);
	if (!found)
		return fail(error, VIV_ERROR_FAILED, "unknown event \"%s\"", name);
	if (vcpu && !trace_is_pattern(name))
		return fail(error, VIV_ERROR_FAILED, "event \"%s\" is not vCPU-specific", name);
	return true;
}

static json_t *describe(TraceEvent event)
{
	return json_pack("{ss ss sb}", "name", trace_name(event), "state",
		trace_on(event) ? "enabled" : "disabled", "vcpu", false);
}

json_t *serve_trace_get(Monitor *mon, const json_t *args, GError **error)
{
	const char *name = member_text(args, "name");
	const json_t *vcpu = json_object_get(args, "vcpu");

	if (!check(mon, name, vcpu, error))
		return NULL;
	json_t *list = json_array();
	for (unsigned i = TRACE_COUNT; i-- && !vcpu;) /* the last comes first, as QEMU has it */
		if (trace_matches(i, name))
			json_array_append_new(list, describe(i));
	return list;
}

/* What a person's words ask for in QMP's; `vcpu`: which of them names one. */
static json_t *with_vcpu(json_t *asked, const Args *args, unsigned vcpu)
{
	if (args->given[vcpu])
		json_object_set_new(asked, "vcpu", json_integer(args->number[vcpu]));
	return asked;
}

void info_trace_events(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;
	const char *name = args->given[0] ? args->text[0] : "*";
	json_t *asked = with_vcpu(json_pack("{ss}", "name", name), args, 1);
	json_t *reply = serve_trace_get(mon, asked, &error);
	size_t i;
	const json_t *e;

	json_array_foreach(reply, i, e)
		g_string_append_printf(out, "%s : state %d\n", member_text(e, "name"),
			!strcmp(member_text(e, "state"), "enabled"));
	monitor_report(error, out);
	json_decref(reply);
	json_decref(asked);
}

json_t *serve_trace_set(Monitor *mon, const json_t *args, GError **error)
{
	const char *name = member_text(args, "name");
	const json_t *vcpu = json_object_get(args, "vcpu");

	if (!check(mon, name, vcpu, error))
		return NULL;
	if (!vcpu)
		trace_set(name, member_is(args, "enable"));
	return json_object();
}

void command_trace_event(Monitor *mon, const Args *args, GString *out)
{
	bool on = !strcmp(args->text[1], "on");

	if (!on && strcmp(args->text[1], "off")) {
		g_string_append(out,
			"Expected 'on' or 'off'\nTry \"help trace-event\" for more information\n");
		return;
	}
	GError *error = NULL;
	json_t *asked = json_pack("{ss sb}", "name", args->text[0], "enable", on);
	asked = with_vcpu(asked, args, 2);
	json_decref(serve_trace_set(mon, asked, &error));
	monitor_report(error, out);
	json_decref(asked);
}
