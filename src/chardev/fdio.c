/*
 * fdio.c - see fdio.h.
 *
 * While the front end has no room nothing is read, so that the peer is held back. Only its
 * hanging up is looked for then: the rest of what it said is kept, up to 64 KiB.
 */
#include "chardev/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "core/lock.h"

#define LATE_MAX 65536

static void watch_input(FdIo *io);

size_t fd_write_all(int fd, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, buf + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void fdio_start(FdIo *io, Chardev *c, int in, int out)
{
	io->c = c;
	io->in = in;
	io->out = out;
	io->ended = false;
	g_unix_set_fd_nonblocking(in, TRUE, NULL);
	g_unix_set_fd_nonblocking(out, TRUE, NULL);
	watch_input(io);
}

static void unwatch(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

void fdio_stop(FdIo *io)
{
	unwatch(&io->in_source);
	unwatch(&io->out_source);
	io->in = io->out = -1;
	io->ended = true;
}

void fdio_free(FdIo *io)
{
	fdio_stop(io);
	if (io->late)
		g_byte_array_free(io->late, TRUE);
	io->late = NULL;
}

static void hand_over(FdIo *io, const uint8_t *buf, size_t len)
{
	if (io->input)
		io->input(io->c, buf, len);
	else
		chardev_push(io->c, buf, len);
}

static void end(FdIo *io)
{
	io->ended = true;
	if (io->hangup)
		io->hangup(io->c);
}

/* The peer hung up while there was no room: what it said before waits here. */
static void keep_rest(FdIo *io)
{
	uint8_t buf[4096];
	ssize_t n;
	if (!io->late)
		io->late = g_byte_array_new();
	while (io->late->len < LATE_MAX && (n = read(io->in, buf, sizeof(buf))) > 0)
		g_byte_array_append(io->late, buf, (guint)n);
}

static void give_late(FdIo *io)
{
	while (io->late && io->late->len) {
		uint8_t buf[256];
		size_t n = MIN(MIN(chardev_room(io->c), io->late->len), sizeof(buf));
		if (!n)
			return;
		/* Taken out first: the front end may come back here. */
		memcpy(buf, io->late->data, n);
		g_byte_array_remove_range(io->late, 0, (guint)n);
		hand_over(io, buf, n);
	}
}

/* False: all that was there is read, and the end came. */
static bool take_input(FdIo *io)
{
	uint8_t buf[4096];
	give_late(io);
	size_t room = chardev_room(io->c);
	if (!room)
		return true;
	ssize_t n = read(io->in, buf, MIN(room, sizeof(buf)));
	if (n > 0)
		hand_over(io, buf, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Is this still the source that is being dispatched? A vcpu may have replaced it meanwhile. */
static bool current(guint source)
{
	return source && source == g_source_get_id(g_main_current_source());
}

static void handle_input(FdIo *io)
{
	bool more = !io->waiting_hangup && take_input(io);
	if (io->waiting_hangup)
		keep_rest(io);
	if (!current(io->in_source)) /* the handlers stopped it, or started it anew */
		return;
	if (more && chardev_room(io->c))
		return;
	unwatch(&io->in_source);
	if (more)
		watch_input(io);
	else
		end(io);
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
	FdIo *io = opaque;
	machine_lock();
	if (current(io->in_source))
		handle_input(io);
	bool go_on = current(io->in_source);
	machine_unlock();
	return go_on ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* Looks for input if there is room for it, else for the end. */
static void watch_input(FdIo *io)
{
	if (io->in_source || io->ended || io->in < 0)
		return;
	io->waiting_hangup = !chardev_room(io->c);
	io->in_source = g_unix_fd_add(io->in, io->waiting_hangup ? G_IO_HUP | G_IO_ERR :
		G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, io);
}

void fdio_accept_input(FdIo *io)
{
	if (!io->c) /* never started */
		return;
	give_late(io);
	if (io->in_source && io->waiting_hangup && chardev_room(io->c))
		unwatch(&io->in_source);
	watch_input(io);
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer opaque)
{
	FdIo *io = opaque;
	machine_lock();
	if (current(io->out_source)) {
		io->out_source = 0;
		chardev_writable(io->c);
	}
	machine_unlock();
	return G_SOURCE_REMOVE;
}

size_t fdio_write(FdIo *io, const uint8_t *buf, size_t len)
{
	ssize_t n;
	if (io->out < 0)
		return len;
	do {
		n = write(io->out, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return len;
	n = MAX(n, 0);
	if ((size_t)n < len && !io->out_source)
		io->out_source = g_unix_fd_add(io->out, G_IO_OUT | G_IO_ERR | G_IO_HUP, on_output,
			io);
	return (size_t)n;
}
