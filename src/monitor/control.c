/*
 * control.c - what the machine is told to do: stop, cont, reset, power, NMI, quit, and what events lead to.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "core/error.h"
#include "gdb/gdb.h"
#include "monitor/private.h"

json_t *serve_stop(Monitor *mon, const json_t *args, GError **error)
{
	machine_stop(mon->m, STATE_PAUSED);
	return json_object();
}

json_t *serve_cont(Monitor *mon, const json_t *args, GError **error)
{
	return machine_start(mon->m, error) ? json_object() : NULL;
}

json_t *serve_quit(Monitor *mon, const json_t *args, GError **error)
{
	machine_request_quit(mon->m, 0);
	return json_object();
}

json_t *serve_reset(Monitor *mon, const json_t *args, GError **error)
{
	machine_request_reset(mon->m);
	return json_object();
}

json_t *serve_powerdown(Monitor *mon, const json_t *args, GError **error)
{
	machine_request_powerdown(mon->m);
	return json_object();
}

json_t *serve_wakeup(Monitor *mon, const json_t *args, GError **error)
{
	/* Machines of this version have no S3. */
	fail(error, VIV_ERROR_FAILED, "Unable to wake up: guest is not in suspended state");
	return NULL;
}

json_t *serve_nmi(Monitor *mon, const json_t *args, GError **error)
{
	machine_inject_nmi(mon->m);
	return json_object();
}

/* ---- what follows on what the guest does ---- */

/* Sets *action to the place of `word` in `words`; NULL: leaves it. False: it is none of them. */
static bool set_action(int *action, const char *const *words, const char *word)
{
	for (int i = 0; word && words[i]; i++)
		if (!strcmp(words[i], word)) {
			*action = i;
			return true;
		}
	return !word;
}

json_t *serve_set_action(Monitor *mon, const json_t *args, GError **error)
{
	MachineActions *a = machine_actions(mon->m);

	/* The words were checked against QMP's types. */
	set_action(&a->reboot, reboot_actions, member_text(args, "reboot"));
	set_action(&a->shutdown, shutdown_actions, member_text(args, "shutdown"));
	set_action(&a->panic, panic_actions, member_text(args, "panic"));
	set_action(&a->watchdog, watchdog_actions, member_text(args, "watchdog"));
	return json_object();
}

json_t *serve_watchdog_set_action(Monitor *mon, const json_t *args, GError **error)
{
	set_action(&machine_actions(mon->m)->watchdog, watchdog_actions, member_text(args, "action"));
	return json_object();
}

void command_watchdog_action(Monitor *mon, const Args *args, GString *out)
{
	if (!set_action(&machine_actions(mon->m)->watchdog, watchdog_actions, args->text[0]))
		g_string_append_printf(out, "Error: invalid parameter value: %s\n", args->text[0]);
}

void command_boot_set(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;

	if (machine_set_boot_order(mon->m, args->text[0], &error))
		g_string_append_printf(out, "boot device list now set to %s\n", args->text[0]);
	monitor_report(error, out);
}

/* ---- debuggers ---- */

/* In QEMU's words. */
void command_gdbserver(Monitor *mon, const Args *args, GString *out)
{
	const char *device = args->given[0] ? args->text[0] : GDB_DEFAULT;
	struct Gdb *gdb = machine_config(mon->m)->gdb;
	GError *error = NULL;

	if (!gdb || !gdb_serve(gdb, device, &error))
		g_string_append_printf(out, "Could not open gdbserver on device '%s'%s%s\n", device, error ? ": " : "",
				       error ? error->message : "");
	else if (!strcmp(device, "none"))
		g_string_append(out, "Disabled gdbserver\n");
	else
		g_string_append_printf(out, "Waiting for gdb connection on device '%s'\n", device);
	g_clear_error(&error);
}
