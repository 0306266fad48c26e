/*
 * stdio.c - a character device on standard input and output.
 *
 * POSIX termios (IEEE 1003.1-2017, chapter 11). Input is read only while the front end
 * has room; output that does not fit is left to the front end, which is told when
 * there is room. Descriptors are put in non-blocking mode while in use. Main
 * loop and vcpu threads, machine lock held.
 */
#include "chardev/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev/backend.h"
#include "core/lock.h"

typedef struct Stdio {
	Chardev base;
	guint in_source, out_source; /* 0: not watched */
	bool eof, was_terminal;
	int old_flags[2];
	struct termios old;
} Stdio;

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
	Stdio *s = opaque;
	uint8_t buf[256];
	gboolean go_on = G_SOURCE_CONTINUE;
	machine_lock();
	size_t room = chardev_room(&s->base);
	ssize_t n = room ? read(fd, buf, MIN(room, sizeof(buf))) : 0;
	if (room && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)))
		s->eof = true;
	if (n > 0)
		chardev_push(&s->base, buf, n);
	if (!room || s->eof) {
		s->in_source = 0;
		go_on = G_SOURCE_REMOVE;
	}
	machine_unlock();
	return go_on;
}

static void stdio_accept_input(Chardev *c)
{
	Stdio *s = (Stdio *)c;
	if (!s->in_source && !s->eof && chardev_room(c))
		s->in_source = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, s);
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer opaque)
{
	Stdio *s = opaque;
	machine_lock();
	s->out_source = 0;
	if (s->base.handlers && s->base.handlers->writable)
		s->base.handlers->writable(s->base.opaque);
	machine_unlock();
	return G_SOURCE_REMOVE;
}

static size_t stdio_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Stdio *s = (Stdio *)c;
	ssize_t n;
	do {
		n = write(STDOUT_FILENO, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return len; /* nobody reads any more: the line is open, and the guest goes on */
	n = MAX(n, 0);
	if ((size_t)n < len && !s->out_source)
		s->out_source = g_unix_fd_add(STDOUT_FILENO, G_IO_OUT | G_IO_ERR, on_output, s);
	return n;
}

static void stdio_free(Chardev *c)
{
	Stdio *s = (Stdio *)c;
	if (s->in_source)
		g_source_remove(s->in_source);
	if (s->out_source)
		g_source_remove(s->out_source);
	if (s->was_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->old);
	for (int fd = 0; fd < 2; fd++)
		if (s->old_flags[fd] >= 0)
			fcntl(fd, F_SETFL, s->old_flags[fd]);
	g_free(s->base.id);
	g_free(s);
}

static const ChardevClass stdio_class = { "stdio", stdio_write, stdio_accept_input, stdio_free };

Chardev *chardev_stdio_new(const char *id, bool signals)
{
	Stdio *s = g_new0(Stdio, 1);
	s->base.cls = &stdio_class;
	s->base.id = g_strdup(id);
	for (int fd = 0; fd < 2; fd++) {
		s->old_flags[fd] = fcntl(fd, F_GETFL);
		if (s->old_flags[fd] >= 0)
			fcntl(fd, F_SETFL, s->old_flags[fd] | O_NONBLOCK);
	}
	if (!tcgetattr(STDIN_FILENO, &s->old)) {
		struct termios raw = s->old;
		s->was_terminal = true;
		raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
		raw.c_oflag |= OPOST;
		raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
		if (!signals)
			raw.c_lflag &= ~ISIG;
		raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	return &s->base;
}

void chardev_stdio_free(Chardev *c)
{
	c->cls->free(c);
}
