/*
 * web.c - the browser console for the monitor: info web, web_address.
 *
 * Main thread, machine lock not held.
 */
#include "display/web.h"

#include "monitor/private.h"

void info_web(Monitor *mon, const Args *args, GString *out)
{
	char *text = web_describe(monitor_display(mon));

	g_string_append(out, text);
	g_free(text);
}

void command_web_address(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;
	char *address = web_new_address(monitor_display(mon), &error);

	if (address)
		g_string_append_printf(out, "%s\n", address);
	else
		monitor_say_error(error, out);
	g_free(address);
}
