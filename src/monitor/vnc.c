/*
 * vnc.c - VNC's passwords, and what its servers and viewers are: set_password, expire_password,
 * change vnc, info vnc.
 *
 * Main thread, machine lock not held.
 */
#include "display/vnc.h"

#include <string.h>

#include "core/error.h"
#include "monitor/private.h"

/* ---- passwords ---- */

static bool check_protocol(const char *protocol, GError **error)
{
	if (!strcmp(protocol, "vnc"))
		return true;
	if (!strcmp(protocol, "spice"))
		return fail(error, VIV_ERROR_NOT_ACTIVE, "spice is not in use");
	return fail(error, VIV_ERROR_INVALID, "invalid parameter value: %s", protocol);
}

static bool set_password(Monitor *mon, const char *protocol, const char *password, const char *id,
			 const char *connected, GError **error)
{
	static const char *const actions[] = { "keep", "fail", "disconnect", NULL };

	if (!check_protocol(protocol, error))
		return false;
	if (connected && !g_strv_contains(actions, connected))
		return fail(error, VIV_ERROR_INVALID, "invalid parameter value: %s", connected);
	if (connected && strcmp(connected, "keep")) /* VNC's viewers stay, as in QEMU */
		return fail(error, VIV_ERROR_INVALID, "Invalid parameter 'connected'");
	return vnc_set_password(monitor_display(mon), id, password, error);
}

json_t *serve_set_password(Monitor *mon, const json_t *args, GError **error)
{
	return set_password(mon, member_text(args, "protocol"), member_text(args, "password"),
			    member_text(args, "display"), member_text(args, "connected"), error)
		   ? json_object()
		   : NULL;
}

json_t *serve_change_vnc_password(Monitor *mon, const json_t *args, GError **error)
{
	return vnc_set_password(monitor_display(mon), NULL, member_text(args, "password"), error)
		   ? json_object()
		   : NULL;
}

json_t *serve_expire_password(Monitor *mon, const json_t *args, GError **error)
{
	return check_protocol(member_text(args, "protocol"), error) &&
		       vnc_expire_password(monitor_display(mon), member_text(args, "display"),
					   member_text(args, "time"), error)
		   ? json_object()
		   : NULL;
}

/* "[-d display] [word]": what follows a person's command. */
static void split_rest(const char *rest, char **display, char **word)
{
	char **words = g_strsplit_set(rest ? rest : "", " \t", -1);
	bool named = false;

	*display = *word = NULL;
	for (char **w = words; *w; w++) {
		char **to = named ? display : word;
		if (!**w)
			continue;
		if (!named && !strcmp(*w, "-d")) {
			named = true;
			continue;
		}
		g_free(*to);
		*to = g_strdup(*w);
		named = false;
	}
	g_strfreev(words);
}

static void say_error(GError *error, GString *out)
{
	if (error && error->code == VIV_ERROR_UNSUPPORTED)
		g_string_append(out, "If you want use passwords please enable password auth using "
				     "'-vnc ${dpy},password'.\n");
	monitor_say_error(error, out);
}

void command_set_password(Monitor *mon, const Args *args, GString *out)
{
	char *display, *connected;
	GError *error = NULL;

	split_rest(args->given[2] ? args->text[2] : NULL, &display, &connected);
	set_password(mon, args->text[0], args->text[1], display, connected, &error);
	say_error(error, out);
	g_free(display);
	g_free(connected);
}

void command_expire_password(Monitor *mon, const Args *args, GString *out)
{
	char *display, *word;
	GError *error = NULL;

	split_rest(args->given[2] ? args->text[2] : NULL, &display, &word);
	if (check_protocol(args->text[0], &error))
		vnc_expire_password(monitor_display(mon), display, args->text[1], &error);
	say_error(error, out);
	g_free(display);
	g_free(word);
}

void change_vnc(Monitor *mon, const char *what, const char *password, GString *out)
{
	GError *error = NULL;

	if (!what || (strcmp(what, "password") && strcmp(what, "passwd"))) {
		g_string_append(out, "Expected 'password' after 'vnc'\n");
		return;
	}
	if (!password) {
		g_string_append(
		    out, "Error: Parameter 'arg' is missing: change vnc password PASSWORD\n");
		return;
	}
	vnc_set_password(monitor_display(mon), NULL, password, &error);
	say_error(error, out);
}

/* ---- servers and viewers ---- */

json_t *serve_vnc(Monitor *mon, const json_t *args, GError **error)
{
	return vnc_describe_first(monitor_display(mon));
}

json_t *serve_vnc_servers(Monitor *mon, const json_t *args, GError **error)
{
	return vnc_describe(monitor_display(mon));
}

static void show_end(const char *what, const json_t *end, GString *out)
{
	g_string_append_printf(out, "  %s: %s:%s (%s%s)\n", what, member_text(end, "host"),
			       member_text(end, "service"), member_text(end, "family"),
			       member_is(end, "websocket") ? " (Websocket)"
									       : "");
}

static void show_server(const json_t *server, GString *out)
{
	const json_t *end;
	size_t i;

	g_string_append_printf(out, "%s:\n", member_text(server, "id"));
	json_array_foreach (json_object_get(server, "server"), i, end) {
		show_end("Server", end, out);
		g_string_append_printf(out, "    Auth: %s (Sub: none)\n", member_text(end, "auth"));
	}
	json_array_foreach (json_object_get(server, "clients"), i, end) {
		show_end("Client", end, out);
		g_string_append(out, "    x509_dname: none\n    sasl_username: none\n");
	}
	if (!json_array_size(json_object_get(server, "server")))
		g_string_append_printf(out, "  Auth: %s (Sub: none)\n", member_text(server, "auth"));
}

void show_vnc_servers(Monitor *mon, const json_t *reply, GString *out)
{
	const json_t *server;
	size_t i;

	json_array_foreach (reply, i, server)
		show_server(server, out);
	if (!json_array_size(reply))
		g_string_append(out, "None\n");
}
