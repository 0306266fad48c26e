/*
 * address.c - see address.h.
 *
 * POSIX sockets (IEEE 1003.1-2017, 2.10); Linux unix(7) for abstract names. Leaves out VSOCK.
 */
#include "chardev/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"
#include "core/grammar.h"

#define PORT_MAX 65535
#define BACKLOG 1 /* one peer at a time; the next waits */

char *address_text(const ChardevOptions *o)
{
	return o->path ? g_strdup(o->path) : g_strdup_printf("%s:%s", o->host, o->port);
}

/* ---- unix ---- */

/* Length of the address; 0 with *error. */
static socklen_t unix_address(const ChardevOptions *o, struct sockaddr_un *un, GError **error)
{
	bool abstract = o->abstract == CHARDEV_ON;
	size_t n = strlen(o->path), max = sizeof(un->sun_path) - (abstract ? 1 : 0);
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (n > max || (!abstract && n == max)) {
		fail(error, VIV_ERROR_INVALID,
			"UNIX socket path '%s' is too long. Path must be less "
			"than %zu bytes", o->path, sizeof(un->sun_path));
		return 0;
	}
	memcpy(un->sun_path + (abstract ? 1 : 0), o->path, n);
	if (!abstract || o->tight == CHARDEV_OFF)
		return sizeof(*un);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

static int unix_connect(const ChardevOptions *o, GError **error)
{
	struct sockaddr_un un;
	socklen_t len = unix_address(o, &un, error);
	if (!len)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&un, len))
		return fd;
	fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s': %s", o->path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool unix_listen(const ChardevOptions *o, GArray *fds, GError **error)
{
	struct sockaddr_un un;
	socklen_t len = unix_address(o, &un, error);
	if (!len)
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A name that an earlier run left behind is in the way. */
	if (o->abstract != CHARDEV_ON && unlink(o->path) && errno != ENOENT)
		fail(error, VIV_ERROR_FAILED, "Failed to unlink socket %s: %s", o->path,
			g_strerror(errno));
	else if (fd < 0 || bind(fd, (struct sockaddr *)&un, len) || listen(fd, BACKLOG))
		fail(error, VIV_ERROR_FAILED, "Failed to bind socket to %s: %s", o->path,
			g_strerror(errno));
	else
		return g_array_append_val(fds, fd);
	if (fd >= 0)
		close(fd);
	return false;
}

/* ---- internet ---- */

/* The family that ipv4= and ipv6= leave. */
static int family(const ChardevOptions *o)
{
	bool only4 = o->ipv6 == CHARDEV_OFF || (o->ipv4 == CHARDEV_ON && o->ipv6 == CHARDEV_UNSET);
	bool only6 = o->ipv4 == CHARDEV_OFF || (o->ipv6 == CHARDEV_ON && o->ipv4 == CHARDEV_UNSET);
	return only4 ? AF_INET : only6 ? AF_INET6 : AF_UNSPEC;
}

static struct addrinfo *resolve(const char *host, const char *port, int family, int type,
	bool passive, GError **error)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = type,
		.ai_flags = passive ? AI_PASSIVE : 0 }, *found = NULL;
	int rc = getaddrinfo(host && *host ? host : NULL, port, &hints, &found);
	if (!rc)
		return found;
	fail(error, VIV_ERROR_FAILED, "address resolution failed for %s:%s: %s",
		host ? host : "", port, gai_strerror(rc));
	return NULL;
}

static int inet_connect(const ChardevOptions *o, GError **error)
{
	struct addrinfo *all = resolve(o->host, o->port, family(o), SOCK_STREAM, false, error);
	int fd = -1, err = 0;
	if (!all)
		return -1;
	for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, a->ai_addr, a->ai_addrlen))
			break;
		err = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(all);
	if (fd < 0)
		fail(error, VIV_ERROR_FAILED, "Failed to connect to '%s:%s': %s", o->host, o->port,
			g_strerror(err));
	return fd;
}

static void set_port(struct sockaddr *a, uint16_t port)
{
	if (a->sa_family == AF_INET)
		((struct sockaddr_in *)a)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)a)->sin6_port = htons(port);
}

/* Bound and listening, or negative errno. */
static int listen_at(const struct addrinfo *a)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6) /* 0.0.0.0 has a socket of its own */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	int err = errno;
	close(fd);
	return -err;
}

/* Every address at one port. A family that the host does not have is left out. */
static int listen_on_port(struct addrinfo *all, uint16_t port, GArray *fds)
{
	int err = 0;
	for (struct addrinfo *a = all; a; a = a->ai_next) {
		set_port(a->ai_addr, port);
		int fd = listen_at(a);
		if (fd >= 0)
			g_array_append_val(fds, fd);
		else if (!err)
			err = fd;
		if (fd == -EADDRINUSE)
			break;
		/* Port 0 was any for the first; the others take the same. */
		if (fd >= 0 && !port) {
			struct sockaddr_storage name;
			socklen_t len = sizeof(name);
			if (!getsockname(fd, (struct sockaddr *)&name, &len))
				port = ntohs(name.ss_family == AF_INET ?
					((struct sockaddr_in *)&name)->sin_port :
					((struct sockaddr_in6 *)&name)->sin6_port);
		}
	}
	if (err != -EADDRINUSE)
		return fds->len ? 0 : err;
	for (unsigned i = 0; i < fds->len; i++)
		close(g_array_index(fds, int, i));
	g_array_set_size(fds, 0);
	return err;
}

static bool inet_listen(const ChardevOptions *o, GArray *fds, GError **error)
{
	uint64_t port, last;
	if (!parse_uint(o->port, &port) || port > PORT_MAX || o->to > PORT_MAX)
		return fail(error, VIV_ERROR_INVALID, "a port is a number up to %u, not '%s'.",
			PORT_MAX,
			o->port);
	struct addrinfo *all = resolve(o->host, o->port, family(o), SOCK_STREAM, true, error);
	if (!all)
		return false;
	last = MAX(o->to, port);
	int rc;
	for (rc = -EADDRINUSE; rc == -EADDRINUSE && port <= last; port++)
		rc = listen_on_port(all, (uint16_t)port, fds);
	freeaddrinfo(all);
	return !rc || fail(error, VIV_ERROR_FAILED, "Failed to bind socket to %s:%s: %s", o->host,
		o->port, g_strerror(-rc));
}

int address_udp(const ChardevOptions *o, GError **error)
{
	const char *host = o->host && *o->host ? o->host : "localhost";
	struct addrinfo *to = resolve(host, o->port, family(o), SOCK_DGRAM, false, error);
	if (!to)
		return -1;
	struct addrinfo *from = resolve(o->localaddr, o->localport ? o->localport : "0",
		to->ai_family, SOCK_DGRAM, true, error);
	int on = 1, fd = -1;
	if (from) {
		fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (fd < 0 || bind(fd, from->ai_addr, from->ai_addrlen) ||
		    connect(fd, to->ai_addr, to->ai_addrlen)) {
			fail(error, VIV_ERROR_FAILED, "Failed to use a UDP socket for %s:%s: %s",
				host,
				o->port, g_strerror(errno));
			if (fd >= 0)
				close(fd);
			fd = -1;
		}
		freeaddrinfo(from);
	}
	freeaddrinfo(to);
	return fd;
}

/* ---- either ---- */

int address_connect(const ChardevOptions *o, GError **error)
{
	return o->path ? unix_connect(o, error) : inet_connect(o, error);
}

bool address_listen(const ChardevOptions *o, GArray *fds, GError **error)
{
	return o->path ? unix_listen(o, fds, error) : inet_listen(o, fds, error);
}

static bool name_of(int fd, bool peer, struct sockaddr_storage *name, socklen_t *len)
{
	*len = sizeof(*name);
	memset(name, 0, sizeof(*name));
	return !(peer ? getpeername : getsockname)(fd, (struct sockaddr *)name, len);
}

bool address_is_inet(int fd)
{
	struct sockaddr_storage name;
	socklen_t len;
	return name_of(fd, false, &name, &len) &&
		(name.ss_family == AF_INET || name.ss_family == AF_INET6);
}

void address_append_name(GString *out, int fd, bool peer)
{
	struct sockaddr_storage name;
	socklen_t len;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	if (!name_of(fd, peer, &name, &len))
		return;
	if (name.ss_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)&name;
		if (len > offsetof(struct sockaddr_un, sun_path))
			g_string_append_len(out, un->sun_path + !un->sun_path[0],
				(gssize)strnlen(un->sun_path + !un->sun_path[0],
					sizeof(un->sun_path) - 1));
		return;
	}
	if (getnameinfo((struct sockaddr *)&name, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	bool v6 = name.ss_family == AF_INET6;
	g_string_append_printf(out, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}
