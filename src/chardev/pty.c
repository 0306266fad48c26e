/*
 * pty.c - a character device on a new pseudo-terminal.
 *
 * POSIX pseudo-terminals and termios (IEEE 1003.1-2017, chapter 11). While no program has the
 * terminal open, output is thrown away, and the master is asked again every second and
 * with each output whether one has come. Main loop and vcpu threads, machine lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "core/error.h"
#include "core/lock.h"

#define LOOK_MS 1000

typedef struct Pty {
	Chardev base;
	FdIo io;
	int master;
	char *name;    /* of the terminal */
	guint timer;   /* while nobody is there */
} Pty;

static gboolean on_timer(gpointer opaque);

/* Nobody's terminal is hung up. */
static bool somebody(const Pty *p)
{
	struct pollfd f = { .fd = p->master, .events = POLLOUT };
	return poll(&f, 1, 0) >= 0 && !(f.revents & POLLHUP);
}

static void look(Pty *p)
{
	if (p->base.open || !somebody(p))
		return;
	if (p->timer)
		g_source_remove(p->timer);
	p->timer = 0;
	fdio_start(&p->io, &p->base, p->master, p->master);
	chardev_event(&p->base, CHARDEV_OPENED);
	fdio_accept_input(&p->io);
}

static gboolean on_timer(gpointer opaque)
{
	Pty *p = opaque;
	machine_lock();
	look(p);
	bool go_on = p->timer == g_source_get_id(g_main_current_source());
	machine_unlock();
	return go_on;
}

static void hung_up(Chardev *c)
{
	Pty *p = (Pty *)c;
	fdio_stop(&p->io);
	p->timer = g_timeout_add(LOOK_MS, on_timer, p);
	if (c->open) {
		chardev_event(c, CHARDEV_CLOSED);
		chardev_writable(c);
	}
}

static bool make_raw(int fd)
{
	struct termios t;
	if (tcgetattr(fd, &t))
		return false;
	cfmakeraw(&t);
	return !tcsetattr(fd, TCSAFLUSH, &t);
}

static bool pty_open(Chardev *c, GError **error)
{
	Pty *p = (Pty *)c;
	char name[128];
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int slave = -1;
	bool ok = p->master >= 0 && !grantpt(p->master) && !unlockpt(p->master) &&
		!ptsname_r(p->master, name, sizeof(name)) &&
		(slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0 && make_raw(slave);
	int err = errno;
	if (slave >= 0)
		close(slave);
	if (!ok) {
		if (p->master >= 0)
			close(p->master);
		return fail(error, VIV_ERROR_FAILED, "Failed to create PTY: %s", g_strerror(err));
	}
	p->name = g_strdup(name);
	p->io.hangup = hung_up;
	fcntl(p->master, F_SETFL, fcntl(p->master, F_GETFL) | O_NONBLOCK);
	hung_up(c);
	g_print("char device redirected to %s (label %s)\n", name, c->options->id);
	return true;
}

static size_t pty_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Pty *p = (Pty *)c;
	look(p);
	return c->open ? fdio_write(&p->io, buf, len) : len;
}

static void pty_accept_input(Chardev *c)
{
	fdio_accept_input(&((Pty *)c)->io);
}

static void pty_filename(const Chardev *c, GString *out)
{
	g_string_append_printf(out, "pty:%s", ((const Pty *)c)->name);
}

static void pty_close(Chardev *c)
{
	Pty *p = (Pty *)c;
	if (p->timer)
		g_source_remove(p->timer);
	fdio_free(&p->io);
	close(p->master);
	g_free(p->name);
}

static const ChardevClass pty_class = {
	.name = "pty", .desc = "a new pseudo-terminal", .closed = true, .open = pty_open,
	.close = pty_close, .write = pty_write, .accept_input = pty_accept_input,
	.filename = pty_filename,
};

const ChardevType chardev_type_pty = { &pty_class, sizeof(Pty) };
