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
#include "core/lock.h"
#include "chardev/console.h"
#include "display/vnc.h"
#include "display/web.h"

static const char *const built[] = { "none", "vnc", "web", NULL };
static const char *const unbuilt[] = { "sdl", "gtk", "curses", "egl-headless", "dbus", "spice-app",
				       "cocoa", "default", NULL };

/* QEMU's default where it has no window system: the first port that is free. */
#define DEFAULT_VNC "localhost:0,to=99"

void list_displays(GString *out)
{
	g_string_append(out, "Available display backend types:\nnone\nvnc\nweb\n");
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
	bool ok = !strcmp(type, "web");
	if (ok) {
		g_free(cli->host.web);
		cli->host.web = g_strdup(text);
	} else if (!strcmp(type, "vnc")) {
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
	return ok;
}

void display_complete(HostConfig *h)
{
	if (!h->display_given && !h->nographic)
		g_ptr_array_add(h->vncs, g_strdup(DEFAULT_VNC));
	h->display_given = true;
}

static void powerdown(void *machine) { machine_request_powerdown(machine); }
static void reset(void *machine) { machine_request_reset(machine); }

/* ---- in a browser ---- */

static const char *state(void *machine) { return machine_state_name(machine_state(machine)); }

static void act(void *machine, WebAction action)
{
	switch (action) {
	case WEB_CONT:
		machine_start(machine, NULL); /* the page shows what state it is in */
		break;
	case WEB_STOP:
		machine_stop(machine, STATE_PAUSED);
		break;
	case WEB_POWERDOWN:
		machine_request_powerdown(machine);
		break;
	case WEB_RESET:
		machine_request_reset(machine);
		break;
	case WEB_QUIT:
		machine_request_quit(machine, 0);
		break;
	case WEB_ACTIONS:
		break;
	}
}

/* Serial lines come first, parallel ports last. */
static int rank(const Console *c)
{
	const char *id = console_id(c);

	return g_str_has_prefix(id, "parallel") ? 2 : !g_str_has_prefix(id, "serial");
}

static int by_use(gconstpointer a, gconstpointer b)
{
	const Console *first = *(Console *const *)a, *second = *(Console *const *)b;
	int difference = rank(first) - rank(second);

	return difference ? difference : strcmp(console_id(first), console_id(second));
}

static GPtrArray *consoles(void *machine)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)console_unref);

	machine_lock();
	GPtrArray *chardevs = chardev_set_list(machine_config(machine)->chardev_set);
	for (unsigned i = 0; i < chardevs->len; i++) {
		Console *c = chardev_console(chardevs->pdata[i]);
		if (c)
			g_ptr_array_add(all, c);
	}
	machine_unlock();
	g_ptr_array_free(chardevs, TRUE);
	g_ptr_array_sort(all, by_use);
	return all;
}

static void on_machine_event(void *display, MachineEvent event, const char *detail)
{
	web_changed(display);
}

static bool open_web(const Cli *cli, Machine *m, GError **error)
{
	WebHost host = { .name = cli->machine.name, .layout = cli->host.layout, .state = state,
			 .act = act, .consoles = consoles, .opaque = m };
	Display *d = machine_board(m)->display;

	if (!web_open(d, cli->host.web, &host, error)) {
		g_prefix_error(error, "-display %s: ", cli->host.web);
		return false;
	}
	machine_add_listener(m, on_machine_event, d);
	char *address = web_new_address(d, error);
	if (address)
		g_printerr("console in the browser: %s\n", address);
	g_free(address);
	return address;
}

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
	return !cli->host.web || open_web(cli, m, error);
}

void displays_close(Machine *m)
{
	web_close(machine_board(m)->display); /* its screen is a VNC server's */
	vnc_close_all(machine_board(m)->display);
}
