/*
 * socket.c - a character device on a stream socket: client or server, plain or telnet.
 *
 * A server has one peer at a time; the next waits in the kernel's queue. Without a peer
 * output is thrown away. Main loop and vcpu threads, machine lock held; a client that
 * connects again does so on a worker. Leaves out TLS, WebSocket and TN3270.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev/address.h"
#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "chardev/telnet.h"
#include "core/error.h"
#include "core/grammar.h"
#include "core/lock.h"
#include "core/worker.h"

#define PIECE_MAX 4096 /* bytes of output that telnet encodes at a time */

typedef struct Attempt Attempt;

typedef struct Socket {
	Chardev base;
	FdIo io;
	int fd;              /* the peer; -1: none */
	bool server;
	GArray *listeners;   /* int */
	GArray *sources;     /* guint, one for each listener; empty while there is a peer */
	char *name;          /* as `info chardev` has it */
	Telnet telnet;
	GByteArray *encoded; /* telnet: not yet taken by the kernel */
	guint timer;         /* until the next attempt */
	Attempt *attempt;    /* that is under way */
} Socket;

static void listen_again(Socket *s);
static void schedule(Socket *s);
static bool socket_flush(Socket *s);

/* ---- names ---- */

static const char *protocol(const ChardevOptions *o)
{
	return o->telnet == CHARDEV_ON ? "telnet" : "tcp";
}

static void append_unix(const Socket *s, GString *out)
{
	const ChardevOptions *o = s->base.options;
	g_string_append_printf(out, "unix:%s", o->path ? o->path : "");
	if (o->abstract == CHARDEV_ON) {
		g_string_append(out, ",abstract=on");
		if (o->tight != CHARDEV_OFF)
			g_string_append(out, ",tight=on");
	}
}

static void set_name(Socket *s)
{
	const ChardevOptions *o = s->base.options;
	GString *name = g_string_new(s->fd < 0 ? "disconnected:" : NULL);
	int fd = s->fd >= 0 ? s->fd : s->listeners->len ? g_array_index(s->listeners, int, 0) : -1;
	bool inet = fd >= 0 ? address_is_inet(fd) : o->host != NULL;
	if (!inet)
		append_unix(s, name);
	else
		g_string_append_printf(name, "%s:", protocol(o));
	if (inet && fd >= 0)
		address_append_name(name, fd, false);
	else if (inet)
		g_string_append_printf(name, "%s:%s", o->host, o->port);
	g_string_append(name, s->server ? ",server=on" : "");
	if (inet && s->fd >= 0) {
		g_string_append(name, " <-> ");
		address_append_name(name, s->fd, true);
	}
	g_free(s->name);
	s->name = g_string_free(name, FALSE);
}

static void socket_filename(const Chardev *c, GString *out)
{
	g_string_append(out, ((const Socket *)c)->name);
}

/* ---- with a peer ---- */

static void connected(Socket *s, int fd)
{
	const ChardevOptions *o = s->base.options;
	int on = 1;
	s->fd = fd;
	if (o->nodelay == CHARDEV_ON || o->delay == CHARDEV_OFF)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	memset(&s->telnet, 0, sizeof(s->telnet));
	g_byte_array_set_size(s->encoded, 0);
	set_name(s);
	fdio_start(&s->io, &s->base, fd, fd);
	if (o->telnet == CHARDEV_ON)
		g_byte_array_append(s->encoded, telnet_greeting, sizeof(telnet_greeting));
	chardev_event(&s->base, CHARDEV_OPENED);
	if (s->fd >= 0) {
		socket_flush(s);
		fdio_accept_input(&s->io);
	}
}

static void disconnected(Chardev *c)
{
	Socket *s = (Socket *)c;
	fdio_stop(&s->io);
	close(s->fd);
	s->fd = -1;
	set_name(s);
	if (s->server)
		listen_again(s);
	else
		schedule(s);
	chardev_event(c, CHARDEV_CLOSED);
	chardev_writable(c); /* what waits is thrown away */
}

/* Telnet: the protocol is taken out first. */
static void socket_input(Chardev *c, const uint8_t *buf, size_t len)
{
	Socket *s = (Socket *)c;
	uint8_t text[4096];
	if (c->options->telnet != CHARDEV_ON) {
		chardev_push(c, buf, len);
		return;
	}
	memcpy(text, buf, len); /* fdio reads no more at a time */
	for (size_t at = 0, used; at < len; at += used) {
		bool broken;
		size_t n = telnet_decode(&s->telnet, text + at, len - at, &used, &broken);
		chardev_push(c, text + at, n);
		if (broken)
			chardev_event(c, CHARDEV_BREAK);
	}
}

/* True: nothing encoded is left. */
static bool socket_flush(Socket *s)
{
	size_t n = s->encoded->len ? fdio_write(&s->io, s->encoded->data, s->encoded->len) : 0;
	g_byte_array_remove_range(s->encoded, 0, (guint)n);
	return !s->encoded->len;
}

static size_t socket_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Socket *s = (Socket *)c;
	if (s->fd < 0)
		return len;
	if (!socket_flush(s))
		return 0;
	if (c->options->telnet != CHARDEV_ON)
		return fdio_write(&s->io, buf, len);
	size_t n = MIN(len, PIECE_MAX);
	telnet_encode(s->encoded, buf, n);
	socket_flush(s);
	return n;
}

static void socket_accept_input(Chardev *c)
{
	fdio_accept_input(&((Socket *)c)->io);
}

/* ---- server ---- */

static void stop_listening(Socket *s)
{
	for (unsigned i = 0; i < s->sources->len; i++)
		g_source_remove(g_array_index(s->sources, guint, i));
	g_array_set_size(s->sources, 0);
}

/* Negative: none came, or it is gone already. */
static int accept_peer(int listener)
{
	int fd;
	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

static gboolean on_peer(gint listener, GIOCondition condition, gpointer opaque)
{
	Socket *s = opaque;
	machine_lock();
	int fd = s->fd < 0 ? accept_peer(listener) : -1;
	if (fd >= 0) {
		stop_listening(s);
		connected(s, fd);
	}
	machine_unlock();
	return G_SOURCE_CONTINUE;
}

static void listen_again(Socket *s)
{
	for (unsigned i = 0; i < s->listeners->len; i++) {
		guint source = g_unix_fd_add(g_array_index(s->listeners, int, i), G_IO_IN, on_peer,
			s);
		g_array_append_val(s->sources, source);
	}
}

static bool wait_for_peer(Socket *s, GError **error)
{
	g_printerr("info: QEMU waiting for connection on: %s\n", s->name);
	GArray *polled = g_array_new(FALSE, TRUE, sizeof(GPollFD));
	int fd = -1;
	for (unsigned i = 0; i < s->listeners->len; i++) {
		GPollFD p = { .fd = g_array_index(s->listeners, int, i), .events = G_IO_IN };
		g_array_append_val(polled, p);
	}
	while (fd < 0 && g_poll((GPollFD *)polled->data, polled->len, -1) >= 0)
		for (unsigned i = 0; fd < 0 && i < polled->len; i++)
			if (g_array_index(polled, GPollFD, i).revents)
				fd = accept_peer(g_array_index(polled, GPollFD, i).fd);
	g_array_free(polled, TRUE);
	if (fd < 0)
		return fail(error, VIV_ERROR_FAILED, "Waiting for a connection failed: %s",
			g_strerror(errno));
	connected(s, fd);
	return true;
}

/* ---- client that connects again ---- */

/* Belongs to the worker until done, then to the main loop. */
struct Attempt {
	Job job;
	Socket *socket;              /* NULL: it is gone. Machine lock */
	ChardevOptions *copy;        /* the address */
	int fd;
};

static ChardevOptions *copy_address(const ChardevOptions *o)
{
	ChardevOptions *copy = g_new0(ChardevOptions, 1);
	copy->path = g_strdup(o->path);
	copy->host = g_strdup(o->host);
	copy->port = g_strdup(o->port);
	copy->ipv4 = o->ipv4;
	copy->ipv6 = o->ipv6;
	copy->abstract = o->abstract;
	copy->tight = o->tight;
	return copy;
}

static int attempt_connect(void *opaque)
{
	Attempt *a = opaque;
	a->fd = address_connect(a->copy, NULL);
	return 0;
}

/* On the main loop. */
static gboolean attempt_over(gpointer opaque)
{
	Attempt *a = opaque;
	machine_lock();
	Socket *s = a->socket;
	if (s)
		s->attempt = NULL;
	if (s && a->fd >= 0)
		connected(s, a->fd);
	else if (s)
		schedule(s);
	else if (a->fd >= 0)
		close(a->fd);
	machine_unlock();
	chardev_options_free(a->copy);
	g_free(a);
	return G_SOURCE_REMOVE;
}

static void attempt_done(Job *job)
{
	g_idle_add_full(G_PRIORITY_DEFAULT, attempt_over, job->opaque, NULL);
}

static void try_again(Socket *s)
{
	Attempt *a = g_new0(Attempt, 1);
	a->socket = s;
	a->copy = copy_address(s->base.options);
	a->job = (Job){ .fn = attempt_connect, .opaque = a, .done = attempt_done };
	s->attempt = a;
	worker_submit(&a->job);
}

static gboolean on_timer(gpointer opaque)
{
	Socket *s = opaque;
	machine_lock();
	s->timer = 0;
	try_again(s);
	machine_unlock();
	return G_SOURCE_REMOVE;
}

static void schedule(Socket *s)
{
	uint64_t seconds = s->base.options->reconnect;
	if (seconds && !s->timer && !s->attempt)
		s->timer = g_timeout_add_seconds((guint)seconds, on_timer, s);
}

/* ---- life ---- */

static bool check(const ChardevOptions *o, GError **error)
{
	bool server = o->server == CHARDEV_ON;
	if (o->websocket == CHARDEV_ON || o->tn3270 == CHARDEV_ON)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"%s is not built in this version; plain TCP "
			"and telnet are.", o->tn3270 == CHARDEV_ON ? "TN3270" : "WebSocket");
	if (o->tls_creds || o->tls_authz)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"TLS is not built in this version; use an "
			"ssh tunnel or a UNIX socket.");
	if (!o->path + !o->host + !o->fd != 2)
		return fail(error, VIV_ERROR_INVALID,
			"chardev: socket: one of 'path', 'host' and 'fd' is needed.");
	if (o->host && !o->port)
		return fail(error, VIV_ERROR_INVALID, "chardev: socket: no port given");
	if (server && o->reconnect)
		return fail(error, VIV_ERROR_INVALID,
			"'reconnect' option is incompatible with socket in server listen mode");
	if (!server && o->wait != CHARDEV_UNSET)
		return fail(error, VIV_ERROR_INVALID,
			"'wait' option is incompatible with socket in client connect mode");
	if (o->reconnect > INT32_MAX)
		return fail(error, VIV_ERROR_INVALID, "'reconnect' is a number of seconds");
	if (o->fd && o->reconnect)
		return fail(error, VIV_ERROR_INVALID,
			"'reconnect' option is incompatible with 'fd'");
	return true;
}

/* A descriptor that whoever started the program left open. */
static int inherited(const ChardevOptions *o, GError **error)
{
	uint64_t number;
	int type;
	socklen_t len = sizeof(type);
	if (!parse_uint(o->fd, &number) || number > INT32_MAX) {
		fail(error, VIV_ERROR_INVALID, "Unable to parse FD number %s", o->fd);
	} else if (getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &len)) {
		fail(error, VIV_ERROR_INVALID, "File descriptor '%s' is not a socket", o->fd);
	} else {
		fcntl((int)number, F_SETFD, FD_CLOEXEC);
		return (int)number;
	}
	return -1;
}

static bool start_server(Socket *s, GError **error)
{
	const ChardevOptions *o = s->base.options;
	int fd;
	if (o->fd) {
		if ((fd = inherited(o, error)) < 0)
			return false;
		g_array_append_val(s->listeners, fd);
	} else if (!address_listen(o, s->listeners, error)) {
		return false;
	}
	for (unsigned i = 0; i < s->listeners->len; i++) {
		fd = g_array_index(s->listeners, int, i);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
	set_name(s);
	if (o->wait != CHARDEV_OFF)
		return wait_for_peer(s, error);
	listen_again(s);
	return true;
}

static bool start_client(Socket *s, GError **error)
{
	const ChardevOptions *o = s->base.options;
	if (o->reconnect) {
		set_name(s);
		try_again(s);
		return true;
	}
	int fd = o->fd ? inherited(o, error) : address_connect(o, error);
	if (fd >= 0)
		connected(s, fd);
	return fd >= 0;
}

static void release(Socket *s)
{
	stop_listening(s);
	if (s->timer)
		g_source_remove(s->timer);
	if (s->attempt)
		s->attempt->socket = NULL;
	fdio_free(&s->io);
	if (s->fd >= 0)
		close(s->fd);
	for (unsigned i = 0; i < s->listeners->len; i++)
		close(g_array_index(s->listeners, int, i));
	g_array_free(s->listeners, TRUE);
	g_array_free(s->sources, TRUE);
	g_byte_array_free(s->encoded, TRUE);
	g_free(s->name);
}

static bool socket_open(Chardev *c, GError **error)
{
	Socket *s = (Socket *)c;
	if (!check(c->options, error))
		return false;
	s->fd = -1;
	s->server = c->options->server == CHARDEV_ON;
	s->listeners = g_array_new(FALSE, FALSE, sizeof(int));
	s->sources = g_array_new(FALSE, FALSE, sizeof(guint));
	s->encoded = g_byte_array_new();
	s->io.input = socket_input;
	s->io.hangup = disconnected;
	if (s->server ? start_server(s, error) : start_client(s, error))
		return true;
	release(s);
	return false;
}

static void socket_close(Chardev *c)
{
	Socket *s = (Socket *)c;
	const ChardevOptions *o = c->options;
	if (s->server && o->path && o->abstract != CHARDEV_ON)
		unlink(o->path);
	release(s);
}

#define AT(member) offsetof(ChardevOptions, member)
static const ChardevKey keys[] = {
	{ "host", CHARDEV_TEXT, AT(host), "name or address" },
	{ "port", CHARDEV_TEXT, AT(port), "port" },
	{ "to", CHARDEV_NUMBER, AT(to), "server: last port that is tried" },
	{ "ipv4", CHARDEV_SWITCH, AT(ipv4), "use IPv4" },
	{ "ipv6", CHARDEV_SWITCH, AT(ipv6), "use IPv6" },
	{ "path", CHARDEV_TEXT, AT(path), "UNIX socket" },
	{ "abstract", CHARDEV_SWITCH, AT(abstract), "the path is a name without a file" },
	{ "tight", CHARDEV_SWITCH, AT(tight), "abstract: no zeros behind the name (on)" },
	{ "fd", CHARDEV_TEXT, AT(fd), "descriptor that is open already" },
	{ "server", CHARDEV_SWITCH, AT(server), "listen" },
	{ "wait", CHARDEV_SWITCH, AT(wait), "server: start when somebody came (on)" },
	{ "telnet", CHARDEV_SWITCH, AT(telnet), "speak telnet" },
	{ "nodelay", CHARDEV_SWITCH, AT(nodelay), "send small packets at once" },
	{ "delay", CHARDEV_SWITCH, AT(delay), "off is nodelay=on" },
	{ "reconnect", CHARDEV_NUMBER, AT(reconnect), "client: seconds until it tries again" },
	{ "websocket", CHARDEV_SWITCH, AT(websocket), "not built" },
	{ "tn3270", CHARDEV_SWITCH, AT(tn3270), "not built" },
	{ "tls-creds", CHARDEV_TEXT, AT(tls_creds), "not built" },
	{ "tls-authz", CHARDEV_TEXT, AT(tls_authz), "not built" },
	{ NULL },
};

static const ChardevClass socket_class = {
	.name = "socket", .desc = "TCP or UNIX stream socket, also with telnet", .keys = keys,
	.closed = true, .open = socket_open, .close = socket_close, .write = socket_write,
	.accept_input = socket_accept_input, .filename = socket_filename,
};

const ChardevType chardev_type_socket = { &socket_class, sizeof(Socket) };
