/*
 * log.c - `log` and `logfile`: -d and -D of a running machine.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "core/log.h"
#include "core/trace.h"
#include "monitor/private.h"

void monitor_report(GError *error, GString *out)
{
	if (!error)
		return;
	g_string_append_printf(out, "%s\n", error->message);
	g_error_free(error);
}

void command_log(Monitor *mon, const Args *args, GString *out)
{
	const Board *b = machine_board(mon->m);
	GError *error = NULL;
	unsigned items;

	if (!strcmp(args->text[0], "trace:help")) {
		trace_list(out);
		return;
	}
	if (!strcmp(args->text[0], "help")) {
		log_list_items(out);
		return;
	}
	if (!log_parse_items(args->text[0], &items, &error)) {
		monitor_report(error, out);
		return;
	}
	machine_hold_vcpus(mon->m);
	bool blocks = (items ^ atomic_load(&log_items_on)) & LOG_IN_BLOCKS;
	log_set_items(items);
	for (unsigned i = 0; blocks && i < b->cpu_count; i++)
		interp_log_changed(b->cpus[i]);
	machine_release_vcpus(mon->m);
}

void command_logfile(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;

	if (!log_set_file(args->text[0], &error))
		monitor_report(error, out);
}
