/*
 * udp.c - a character device on a connected UDP socket: each write is a datagram.
 *
 * Nothing tells whether there is a peer. Output that the kernel has no room for is lost, as
 * datagrams are. Main loop and vcpu threads, machine lock held.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev/address.h"
#include "chardev/backend.h"
#include "core/error.h"
#include "core/lock.h"

#define DATAGRAM_MAX 65536

typedef struct Udp {
	Chardev base;
	int fd;
	guint source;             /* 0: not watched, as there is no room */
	size_t at, len;           /* of `datagram` that the front end has not taken */
	uint8_t datagram[DATAGRAM_MAX];
} Udp;

static void deliver(Udp *u)
{
	size_t n;
	while (u->at < u->len && (n = MIN(chardev_room(&u->base), u->len - u->at))) {
		u->at += n;
		chardev_push(&u->base, &u->datagram[u->at - n], n);
	}
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
	Udp *u = opaque;
	machine_lock();
	deliver(u);
	if (u->at == u->len) {
		/* An error is that of an earlier datagram which nobody took. */
		ssize_t n = recv(fd, u->datagram, sizeof(u->datagram), MSG_DONTWAIT);
		u->at = 0;
		u->len = (size_t)MAX(n, 0);
		deliver(u);
	}
	bool go_on = u->at == u->len;
	if (!go_on)
		u->source = 0;
	machine_unlock();
	return go_on;
}

static void udp_accept_input(Chardev *c)
{
	Udp *u = (Udp *)c;
	deliver(u);
	if (!u->source && u->at == u->len)
		u->source = g_unix_fd_add(u->fd, G_IO_IN | G_IO_ERR, on_input, u);
}

static size_t udp_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Udp *u = (Udp *)c;
	for (size_t done = 0; done < len; done += MIN(len - done, 4096))
		while (send(u->fd, buf + done, MIN(len - done, 4096),
			MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
			errno == EINTR)
			continue;
	return len;
}

static bool udp_open(Chardev *c, GError **error)
{
	Udp *u = (Udp *)c;
	if (!c->options->port)
		return fail(error, VIV_ERROR_INVALID, "chardev: udp: remote port not specified");
	u->fd = address_udp(c->options, error);
	if (u->fd >= 0)
		udp_accept_input(c);
	return u->fd >= 0;
}

static void udp_close(Chardev *c)
{
	Udp *u = (Udp *)c;
	if (u->source)
		g_source_remove(u->source);
	close(u->fd);
}

static const ChardevKey keys[] = {
	{ "host", CHARDEV_TEXT, offsetof(ChardevOptions, host), "where to send (localhost)" },
	{ "port", CHARDEV_TEXT, offsetof(ChardevOptions, port), "its port" },
	{ "localaddr", CHARDEV_TEXT, offsetof(ChardevOptions, localaddr), "own address (any)" },
	{ "localport", CHARDEV_TEXT, offsetof(ChardevOptions, localport), "own port (any)" },
	{ "ipv4", CHARDEV_SWITCH, offsetof(ChardevOptions, ipv4), "use IPv4" },
	{ "ipv6", CHARDEV_SWITCH, offsetof(ChardevOptions, ipv6), "use IPv6" },
	{ NULL },
};

static const ChardevClass udp_class = {
	.name = "udp", .desc = "UDP datagrams", .keys = keys, .open = udp_open, .close = udp_close,
	.write = udp_write, .accept_input = udp_accept_input,
};

const ChardevType chardev_type_udp = { &udp_class, sizeof(Udp) };
