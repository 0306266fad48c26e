/*
 * vnc_listen.c - where viewers come from: TCP over IPv4 and IPv6, unix sockets, connections that we
 * make (reverse=on).
 *
 * Main thread. A display number N is port 5900 + N, for websockets 5700 + N.
 */
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "core/error.h"
#include "core/socket.h"
#include "display/vnc_private.h"

#define PORT_BASE 5900u
#define WEBSOCKET_BASE 5700u
#define BACKLOG 16

/* ---- addresses ---- */

typedef struct Place { char *host; unsigned port; } Place;

static bool parse_port(const char *text, unsigned base, unsigned *out, GError **error)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &n, NULL))
		return fail(error, VIV_ERROR_INVALID, "can't convert to a number: %s", text);
	if (n + base > SOCKET_PORT_MAX)
		return fail(error, VIV_ERROR_INVALID, "port %s out of range", text);
	*out = (unsigned)n + base;
	return true;
}

/* "host:N", "[::1]:N", ":N". */
static bool parse_place(const char *text, unsigned base, Place *out, GError **error)
{
	const char *colon = strrchr(text, ':');

	if (!colon)
		return fail(error, VIV_ERROR_INVALID, "no vnc port specified");
	if (!parse_port(colon + 1, base, &out->port, error))
		return false;
	size_t length = (size_t)(colon - text);
	bool brackets = length > 1 && text[0] == '[' && text[length - 1] == ']';
	out->host = brackets ? g_strndup(text + 1, length - 2) : g_strndup(text, length);
	return true;
}

/* websocket=on, PORT or host:PORT; "on" takes host and number of the plain server. */
static bool websocket_place(const VncOptions *o, const Place *plain, Place *out, GError **error)
{
	if (!strcmp(o->websocket, "on")) {
		*out = (Place){ g_strdup(plain->host), plain->port - PORT_BASE + WEBSOCKET_BASE };
		return true;
	}
	if (strchr(o->websocket, ':'))
		return parse_place(o->websocket, 0, out, error);
	out->host = g_strdup(plain->host);
	return parse_port(o->websocket, 0, &out->port, error);
}

/* ---- listening ---- */

static gboolean on_connection(gint fd, GIOCondition condition, gpointer opaque)
{
	VncListener *l = opaque;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (connection >= 0)
		vnc_server_add_client(l->server, connection,
				      (VncClient){ .websocket = l->websocket }, NULL);
	return G_SOURCE_CONTINUE;
}

static void add_listener(VncServer *s, int fd, bool websocket, const char *path)
{
	VncListener *l = g_new0(VncListener, 1);

	*l = (VncListener){ .server = s, .fd = fd, .websocket = websocket, .path = g_strdup(path) };
	g_unix_set_fd_nonblocking(fd, TRUE, NULL);
	l->source = g_unix_fd_add(fd, G_IO_IN, on_connection, l);
	g_ptr_array_add(s->listeners, l);
}

void vnc_listener_free(VncListener *l)
{
	g_source_remove(l->source);
	close(l->fd);
	if (l->path)
		unlink(l->path);
	g_free(l->path);
	g_free(l);
}

/* The text of the port is for the caller's printing room. */
static SocketHost host_of(const VncOptions *o, const Place *p, char port[8])
{
	g_snprintf(port, 8, "%u", p->port);
	return (SocketHost){ p->host, port, socket_family(o->ipv4, o->ipv6) };
}

static bool listen_tcp(VncServer *s, const Place *p, unsigned to, bool websocket, GError **error)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	char port[8];
	bool ok = socket_listen_inet(host_of(&s->options, p, port), MIN(to, SOCKET_PORT_MAX), BACKLOG,
				     fds, error);

	for (guint i = 0; i < fds->len; i++)
		add_listener(s, g_array_index(fds, int, i), websocket, NULL);
	return ok;
}

static bool listen_unix(VncServer *s, const char *path, GError **error)
{
	int fd = socket_listen_unix((SocketPath){ .path = path }, BACKLOG, error);

	if (fd >= 0)
		add_listener(s, fd, false, path);
	return fd >= 0;
}

/* ---- connecting to a viewer that listens ---- */

static bool reverse(VncServer *s, GError **error)
{
	const char *address = s->options.address;
	Place p = { NULL, 0 };
	char port[8];
	int fd = -1;

	if (g_str_has_prefix(address, "unix:"))
		fd = socket_connect_unix((SocketPath){ .path = address + 5 }, error);
	else if (parse_place(address, 0, &p, error))
		fd = socket_connect_inet(host_of(&s->options, &p, port), error);
	g_free(p.host);
	return fd >= 0 && vnc_server_add_client(s, fd, (VncClient){ .reverse = true }, error);
}

bool vnc_listen(VncServer *s, GError **error)
{
	const VncOptions *o = &s->options;
	Place p = { NULL, 0 }, w = { NULL, 0 };

	if (!o->address || !*o->address || !strcmp(o->address, "none"))
		return true;
	if (o->reverse)
		return reverse(s, error);
	if (g_str_has_prefix(o->address, "unix:"))
		return listen_unix(s, o->address + 5, error);
	bool ok = parse_place(o->address, PORT_BASE, &p, error) &&
		listen_tcp(s, &p, o->to_given ? o->to + PORT_BASE : 0, false, error);
	if (ok && o->websocket)
		ok = websocket_place(o, &p, &w, error) && listen_tcp(s, &w, 0, true, error);
	g_free(p.host);
	g_free(w.host);
	return ok;
}

/* ---- what is said of them ---- */

json_t *vnc_describe_end(int fd, bool websocket, bool peer)
{
	SocketName name = socket_name(fd, peer);
	const char *family = name.family == AF_INET    ? "ipv4"
			     : name.family == AF_INET6 ? "ipv6"
			     : name.family == AF_UNIX  ? "unix"
						       : "unknown";

	return json_pack("{s:s,s:s,s:s,s:b}", "host", name.host, "service",
			 name.family == AF_UNIX ? name.path : name.port, "family", family,
			 "websocket", websocket);
}

char *vnc_listen_address(VncServer *s)
{
	if (!s->listeners->len)
		return NULL;
	SocketName name = socket_name(((VncListener *)s->listeners->pdata[0])->fd, false);
	return g_strdup_printf("%s:%s", name.host, name.family == AF_UNIX ? name.path : name.port);
}
