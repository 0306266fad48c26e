/*
 * display.c - where the machine's screen is seen: -display, -vnc, -k, and what is done without any
 * of them.
 *
 * Main thread.
 */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

#include "block/secret.h"
#include "core/error.h"
#include "display/vnc.h"

static const char *const built[] = { "none", "vnc", NULL };
static const char *const unbuilt[] = { "sdl", "gtk", "curses", "egl-headless", "dbus", "spice-app",
				       "cocoa", "default", NULL };

/* QEMU's default where it has no window system: the first port that is free. */
#define DEFAULT_VNC "localhost:0,to=99"

void list_displays(GString *out)
{
	g_string_append(out, "Available display backend types:\nnone\nvnc\n");
}

bool apply_vnc(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.display_given = true;
	g_ptr_array_add(cli->host.vncs, g_strdup(text));
	return true;
}

bool apply_display(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.display_given = true;
	if (!strcmp(text, "none"))
		return true;
	if (g_str_has_prefix(text, "vnc="))
		return apply_vnc(cli, def, text + 4, kv, error);
	char *type = g_strndup(text, strcspn(text, ",="));
	if (!strcmp(type, "vnc")) {
		fail(error, VIV_ERROR_INVALID, "VNC requires a display argument vnc=<display>");
	} else if (g_strv_contains(unbuilt, type)) {
		fail(error, VIV_ERROR_UNSUPPORTED,
		     "display '%s' is not built yet in this version; use -vnc, -display none or "
		     "-nographic.",
		     type);
	} else {
		char *hint = word_hint(type, built);
		fail(error, VIV_ERROR_INVALID, "there is no display '%s'. %s.", type, hint);
		g_free(hint);
	}
	g_free(type);
	return false;
}

void display_complete(HostConfig *h)
{
	if (!h->display_given && !h->nographic)
		g_ptr_array_add(h->vncs, g_strdup(DEFAULT_VNC));
	h->display_given = true;
}

static void powerdown(void *machine) { machine_request_powerdown(machine); }
static void reset(void *machine) { machine_request_reset(machine); }

bool displays_open(const Cli *cli, Machine *m, GError **error)
{
	VncHost host = { .name = cli->machine.name, .layout = cli->host.layout,
			 .secret = secret_lookup, .powerdown = powerdown,
			 .reset = reset, .opaque = m };

	for (unsigned i = 0; i < cli->host.vncs->len; i++) {
		const char *words = g_ptr_array_index(cli->host.vncs, i);
		char *running = NULL;
		if (!vnc_open(machine_board(m)->display, words, &host, &running, error)) {
			g_prefix_error(error, "-vnc %s: ", words);
			return false;
		}
		if (running) {
			printf("VNC server running on %s\n", running);
			fflush(stdout);
		}
		g_free(running);
	}
	return true;
}

void displays_close(Machine *m)
{
	vnc_close_all(machine_board(m)->display);
}
