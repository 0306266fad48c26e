/*
 * socket.c - see socket.h. Leaves out VSOCK.
 */
#include "core/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"
#include "core/grammar.h"

static int stream_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Closes @fd if it is one; keeps errno. Always -1. */
static int give_up(int fd)
{
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

/* ---- unix ---- */

/* Length of the address; 0 with *error. */
static socklen_t unix_address(SocketPath p, struct sockaddr_un *un, GError **error)
{
	size_t n = strlen(p.path), max = sizeof(un->sun_path) - 1;

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (n > max) {
		fail(error, VIV_ERROR_INVALID,
			"UNIX socket path '%s' is too long. Path must be less than %zu bytes", p.path,
			sizeof(un->sun_path));
		return 0;
	}
	memcpy(un->sun_path + p.abstract, p.path, n);
	if (!p.abstract || p.padded)
		return sizeof(*un);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

int socket_connect_unix(SocketPath p, GError **error)
{
	struct sockaddr_un un;
	socklen_t len = unix_address(p, &un, error);

	if (!len)
		return -1;
	int fd = stream_socket(AF_UNIX);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&un, len))
		return fd;
	fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s': %s", p.path, g_strerror(errno));
	return give_up(fd);
}

int socket_listen_unix(SocketPath p, int backlog, GError **error)
{
	struct sockaddr_un un;
	socklen_t len = unix_address(p, &un, error);

	if (!len)
		return -1;
	if (!p.abstract && unlink(p.path) && errno != ENOENT && errno != ENOTDIR) {
		fail(error, VIV_ERROR_FAILED, "Failed to unlink socket %s: %s", p.path,
			g_strerror(errno));
		return -1;
	}
	int fd = stream_socket(AF_UNIX);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&un, len) && !listen(fd, backlog))
		return fd;
	fail(error, VIV_ERROR_FAILED, "Failed to bind socket to %s: %s", p.path, g_strerror(errno));
	return give_up(fd);
}

/* ---- internet ---- */

int socket_family(int ipv4, int ipv6)
{
	bool v4 = ipv4 > 0 || (ipv4 < 0 && ipv6 <= 0), v6 = ipv6 > 0 || (ipv6 < 0 && ipv4 <= 0);

	return v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

static struct addrinfo *resolve(SocketHost h, int type, bool passive, GError **error)
{
	struct addrinfo hints = { .ai_family = h.family, .ai_socktype = type,
				  .ai_flags = passive ? AI_PASSIVE : 0 }, *found = NULL;
	int rc = getaddrinfo(h.host && *h.host ? h.host : NULL, h.port, &hints, &found);

	if (!rc)
		return found;
	fail(error, VIV_ERROR_FAILED, "address resolution failed for %s:%s: %s",
		h.host ? h.host : "", h.port, gai_strerror(rc));
	return NULL;
}

int socket_connect_inet(SocketHost h, GError **error)
{
	struct addrinfo *all = resolve(h, SOCK_STREAM, false, error);
	int fd = -1;

	if (!all)
		return -1;
	for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
		fd = stream_socket(a->ai_family);
		if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen))
			fd = give_up(fd);
	}
	if (fd < 0)
		fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s:%s': %s",
			h.host ? h.host : "", h.port, g_strerror(errno));
	freeaddrinfo(all);
	return fd;
}

/* Where the port of an address of either family is, in network order. */
static in_port_t *port_of(struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)a)->sin6_port
					: &((struct sockaddr_in *)a)->sin_port;
}

/* Bound to @port of the address and listening; -1 with errno. */
static int listen_at(const struct addrinfo *a, unsigned port, int backlog)
{
	int on = 1, fd = stream_socket(a->ai_family);
	struct sockaddr_storage at = { 0 };

	if (fd < 0)
		return -1;
	memcpy(&at, a->ai_addr, a->ai_addrlen);
	*port_of(&at) = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6) /* 0.0.0.0 has a socket of its own */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, (struct sockaddr *)&at, a->ai_addrlen) && !listen(fd, backlog))
		return fd;
	return give_up(fd);
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);

	return getsockname(fd, (struct sockaddr *)&at, &len) ? 0 : ntohs(*port_of(&at));
}

/* All addresses at one port, or none: negative errno. */
static int listen_on_port(const struct addrinfo *all, unsigned port, int backlog, GArray *fds)
{
	guint before = fds->len;
	int err = -EADDRNOTAVAIL;

	for (const struct addrinfo *a = all; a; a = a->ai_next) {
		int fd = listen_at(a, port, backlog);
		if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			continue;
		err = fd < 0 ? -errno : 0;
		if (err)
			break;
		g_array_append_val(fds, fd);
		if (!port) /* it was any for the first; the others take the same */
			port = bound_port(fd);
	}
	for (guint i = before; err && i < fds->len; i++)
		close(g_array_index(fds, int, i));
	if (err)
		g_array_set_size(fds, before);
	return err;
}

bool socket_listen_inet(SocketHost h, unsigned last_port, int backlog, GArray *fds, GError **error)
{
	uint64_t port;

	if (!parse_uint(h.port, &port) || MAX(port, last_port) > SOCKET_PORT_MAX)
		return fail(error, VIV_ERROR_INVALID, "a port is a number up to %u, not '%s'.",
			SOCKET_PORT_MAX, h.port);
	struct addrinfo *all = resolve(h, SOCK_STREAM, true, error);
	if (!all)
		return false;
	int err = -EADDRINUSE;
	for (uint64_t last = MAX(port, last_port); err == -EADDRINUSE && port <= last; port++)
		err = listen_on_port(all, (unsigned)port, backlog, fds);
	freeaddrinfo(all);
	if (err == -EADDRINUSE)
		return fail(error, VIV_ERROR_FAILED, "Failed to find an available port: %s",
			g_strerror(-err));
	return !err || fail(error, VIV_ERROR_FAILED, "Failed to bind socket to %s:%s: %s",
		h.host ? h.host : "", h.port, g_strerror(-err));
}

/* Bound to the one, connected to the other; -1 with errno. */
static int datagram_between(const struct addrinfo *from, const struct addrinfo *to)
{
	int on = 1, fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, from->ai_addr, from->ai_addrlen) || connect(fd, to->ai_addr, to->ai_addrlen))
		return give_up(fd);
	return fd;
}

int socket_datagram(SocketHost from, SocketHost to, GError **error)
{
	struct addrinfo *peer = resolve(to, SOCK_DGRAM, false, error), *own = NULL;
	int fd = -1;

	if (!peer)
		return -1;
	own = resolve((SocketHost){ from.host, from.port ? from.port : "0", peer->ai_family },
		SOCK_DGRAM, true, error);
	if (own && (fd = datagram_between(own, peer)) < 0)
		fail(error, VIV_ERROR_FAILED, "Failed to use a UDP socket for %s:%s: %s",
			to.host ? to.host : "", to.port, g_strerror(errno));
	if (own)
		freeaddrinfo(own);
	freeaddrinfo(peer);
	return fd;
}

/* ---- names ---- */

SocketName socket_name(int fd, bool peer)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	SocketName name = { .family = AF_UNSPEC };

	if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&at, &len))
		return name;
	name.family = at.ss_family;
	if (at.ss_family == AF_UNIX) {
		/* An abstract name begins behind a zero. */
		const char *path = ((const struct sockaddr_un *)&at)->sun_path;
		g_strlcpy(name.path, path + !path[0], sizeof(((struct sockaddr_un *)0)->sun_path));
	} else if (getnameinfo((struct sockaddr *)&at, len, name.host, sizeof(name.host), name.port,
			sizeof(name.port), NI_NUMERICHOST | NI_NUMERICSERV)) {
		return (SocketName){ .family = AF_UNSPEC };
	}
	return name;
}
