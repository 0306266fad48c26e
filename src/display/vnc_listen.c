/*
 * vnc_listen.c - where viewers come from: TCP over IPv4 and IPv6, unix sockets, connections that we
 * make (reverse=on).
 *
 * Main thread. A display number N is port 5900 + N, for websockets 5700 + N.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include "core/error.h"
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
	if (n + base > 65535)
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

static int family_of(const VncOptions *o)
{
	bool v4 = o->ipv4 == 1 || (o->ipv4 == VNC_TRI_UNSET && o->ipv6 != 1);
	bool v6 = o->ipv6 == 1 || (o->ipv6 == VNC_TRI_UNSET && o->ipv4 != 1);

	return v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

static struct addrinfo *resolve(const VncOptions *o, const Place *p, bool passive, GError **error)
{
	struct addrinfo hints = { .ai_family = family_of(o), .ai_socktype = SOCK_STREAM,
				  .ai_flags = passive ? AI_PASSIVE : 0 }, *found = NULL;
	char port[8];

	g_snprintf(port, sizeof(port), "%u", p->port);
	int err = getaddrinfo(*p->host || !passive ? p->host : NULL, port, &hints, &found);
	if (err)
		fail(error, VIV_ERROR_FAILED, "address resolution failed for %s:%s: %s", p->host,
		     port, gai_strerror(err));
	return err ? NULL : found;
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

/* -1 with errno. */
static int open_listener(const struct addrinfo *a)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void set_port(struct addrinfo *a, unsigned port)
{
	if (a->ai_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)(void *)a->ai_addr)->sin_port = htons((uint16_t)port);
}

/* All addresses at one port, or none: -errno. Addresses of families that the host has not are left
 * out. */
static int listen_at(VncServer *s, struct addrinfo *list, unsigned port, bool websocket)
{
	unsigned before = s->listeners->len;
	int err = -EADDRNOTAVAIL;

	for (struct addrinfo *a = list; a; a = a->ai_next) {
		set_port(a, port);
		int fd = open_listener(a);
		if (fd >= 0) {
			add_listener(s, fd, websocket, NULL);
			err = 0;
		} else if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) {
			err = -errno;
			break;
		}
	}
	if (err)
		g_ptr_array_set_size(s->listeners, (gint)before);
	return err;
}

static bool listen_tcp(VncServer *s, const Place *p, unsigned to, bool websocket, GError **error)
{
	struct addrinfo *list = resolve(&s->options, p, true, error);
	int err = 0;

	if (!list)
		return false;
	for (unsigned port = p->port; port <= MIN(MAX(p->port, to), 65535); port++) {
		err = listen_at(s, list, port, websocket);
		if (err != -EADDRINUSE)
			break;
	}
	freeaddrinfo(list);
	if (err == -EADDRINUSE)
		return fail(error, VIV_ERROR_FAILED, "Failed to find an available port: %s",
			    g_strerror(-err));
	if (err)
		return fail(error, VIV_ERROR_FAILED, "Failed to listen on %s:%u: %s", p->host,
			    p->port, g_strerror(-err));
	return true;
}

static bool unix_address(const char *path, struct sockaddr_un *out, GError **error)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(out->sun_path))
		return fail(error, VIV_ERROR_INVALID, "UNIX socket path '%s' is too long", path);
	g_strlcpy(out->sun_path, path, sizeof(out->sun_path));
	return true;
}

static bool listen_unix(VncServer *s, const char *path, GError **error)
{
	struct sockaddr_un address;

	if (!unix_address(path, &address, error))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path); /* what a former process left */
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !listen(fd, BACKLOG)) {
		add_listener(s, fd, false, path);
		return true;
	}
	fail(error, VIV_ERROR_FAILED, "Failed to bind socket to %s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return false;
}

/* ---- connecting to a viewer that listens ---- */

static int connect_unix(const char *path, GError **error)
{
	struct sockaddr_un address;

	if (!unix_address(path, &address, error))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s': %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_tcp(const VncOptions *o, const Place *p, GError **error)
{
	struct addrinfo *list = resolve(o, p, false, error);
	int fd = -1, err = 0;

	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
			err = errno;
			close(fd);
			fd = -1;
		}
	}
	if (list && fd < 0)
		fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s:%u': %s", p->host, p->port,
		     g_strerror(err));
	if (list)
		freeaddrinfo(list);
	return fd;
}

static bool reverse(VncServer *s, GError **error)
{
	const char *address = s->options.address;
	Place p = { NULL, 0 };
	int fd = -1;

	if (g_str_has_prefix(address, "unix:"))
		fd = connect_unix(address + 5, error);
	else if (parse_place(address, 0, &p, error))
		fd = connect_tcp(&s->options, &p, error);
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

void vnc_describe_peer(int fd, bool websocket, bool peer, json_t *out)
{
	struct sockaddr_storage a = { 0 };
	socklen_t length = sizeof(a);
	char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";
	const char *path = NULL;

	if (peer ? getpeername(fd, (struct sockaddr *)&a, &length)
		 : getsockname(fd, (struct sockaddr *)&a, &length))
		a.ss_family = AF_UNSPEC;
	if (a.ss_family == AF_UNIX)
		path = ((struct sockaddr_un *)(void *)&a)->sun_path;
	else if (a.ss_family != AF_UNSPEC)
		getnameinfo((struct sockaddr *)&a, length, host, sizeof(host), service,
			    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
	json_object_set_new(out, "host", json_string(host));
	json_object_set_new(out, "service", json_string(path ? path : service));
	json_object_set_new(out, "family",
			    json_string(a.ss_family == AF_INET	  ? "ipv4"
					: a.ss_family == AF_INET6 ? "ipv6"
					: a.ss_family == AF_UNIX  ? "unix"
								  : "unknown"));
	json_object_set_new(out, "websocket", json_boolean(websocket));
}

char *vnc_listen_address(VncServer *s)
{
	json_t *d = json_object();

	if (s->listeners->len)
		vnc_describe_peer(((VncListener *)s->listeners->pdata[0])->fd, false, false, d);
	char *text = s->listeners->len
			 ? g_strdup_printf("%s:%s", json_string_value(json_object_get(d, "host")),
					   json_string_value(json_object_get(d, "service")))
			 : NULL;
	json_decref(d);
	return text;
}
