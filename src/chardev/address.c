/*
 * address.c - see address.h.
 */
#include "chardev/address.h"

#include "core/socket.h"

#define BACKLOG 1 /* one peer at a time; the next waits */

char *address_text(const ChardevOptions *o)
{
	return o->path ? g_strdup(o->path) : g_strdup_printf("%s:%s", o->host, o->port);
}

static SocketPath path_of(const ChardevOptions *o)
{
	return (SocketPath){ o->path, o->abstract == CHARDEV_ON, o->tight == CHARDEV_OFF };
}

/* 1, 0 or -1, as socket_family wants it. */
static int tristate(ChardevSwitch s)
{
	return s == CHARDEV_UNSET ? -1 : s == CHARDEV_ON;
}

static SocketHost host_of(const ChardevOptions *o)
{
	return (SocketHost){ o->host, o->port,
		socket_family(tristate(o->ipv4), tristate(o->ipv6)) };
}

int address_udp(const ChardevOptions *o, GError **error)
{
	SocketHost to = host_of(o);

	if (!to.host || !*to.host)
		to.host = "localhost";
	return socket_datagram((SocketHost){ o->localaddr, o->localport, AF_UNSPEC }, to, error);
}

int address_connect(const ChardevOptions *o, GError **error)
{
	return o->path ? socket_connect_unix(path_of(o), error)
		       : socket_connect_inet(host_of(o), error);
}

bool address_listen(const ChardevOptions *o, GArray *fds, GError **error)
{
	if (!o->path)
		return socket_listen_inet(host_of(o), o->to, BACKLOG, fds, error);
	int fd = socket_listen_unix(path_of(o), BACKLOG, error);
	return fd >= 0 && g_array_append_val(fds, fd);
}

bool address_is_inet(int fd)
{
	int family = socket_name(fd, false).family;

	return family == AF_INET || family == AF_INET6;
}

void address_append_name(GString *out, int fd, bool peer)
{
	SocketName name = socket_name(fd, peer);

	if (name.family == AF_UNIX)
		g_string_append(out, name.path);
	else if (name.family != AF_UNSPEC)
		g_string_append_printf(out, name.family == AF_INET6 ? "[%s]:%s" : "%s:%s", name.host,
			name.port);
}
