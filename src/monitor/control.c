/*
 * control.c - what the machine is told to do: stop, cont, reset, power, NMI, quit.
 *
 * Main thread, machine lock not held.
 */
#include "core/error.h"
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
