/*
 * screendump.c - a screen as a file: screendump.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "core/error.h"
#include "core/lock.h"
#include "display/picture.h"
#include "monitor/private.h"

static Screen *find_screen(Monitor *mon, const json_t *args, GError **error)
{
	Display *d = monitor_display(mon);
	const char *device = member_text(args, "device");
	json_t *head = json_object_get(args, "head");

	if (head && (!device || json_integer_value(head))) {
		fail(error, VIV_ERROR_INVALID, device ? "device '%s' has no such head" : "'head' must be specified together with 'device'",
		     device);
		return NULL;
	}
	for (unsigned n = 0; display_screen(d, n); n++)
		if (!device || !strcmp(screen_name(display_screen(d, n)), device))
			return display_screen(d, n);
	if (device)
		fail(error, VIV_ERROR_NO_DEVICE, "Device '%s' not found", device);
	else
		fail(error, VIV_ERROR_FAILED, "There is no console to take a screendump from");
	return NULL;
}

json_t *serve_screendump(Monitor *mon, const json_t *args, GError **error)
{
	const char *format = member_text(args, "format");

	machine_lock();
	Screen *s = find_screen(mon, args, error);
	machine_unlock();
	bool ok = s && picture_write(s, member_text(args, "filename"),
				     !g_strcmp0(format, "png") ? PICTURE_PNG : PICTURE_PPM, error);
	return ok ? json_object() : NULL;
}

/* screendump FILE [-f FORMAT] [DEVICE] */
void command_screendump(Monitor *mon, const Args *args, GString *out)
{
	const char *format = args->given[1] && args->text[2] ? args->text[2] : "";

	if (args->given[1] && strcmp(format, "png") && strcmp(format, "ppm")) {
		g_string_append_printf(out, "Error: invalid parameter value: %s\n", format);
		return;
	}
	monitor_serve(mon, serve_screendump,
		      json_pack("{ss ss* ss*}", "filename", args->text[0], "format", args->given[1] ? format : NULL, "device",
				args->text[args->given[1] ? 3 : 2]), out);
}
