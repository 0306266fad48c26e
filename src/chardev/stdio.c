/*
 * stdio.c - a character device on standard input and output.
 *
 * POSIX termios (IEEE 1003.1-2017, chapter 11). Input is read only while the front end
 * has room; output that does not fit is left to the front end, which is told when
 * there is room. Descriptors are put in non-blocking mode while in use. The terminal
 * gets its modes back however the program ends, SIGKILL excepted. Main loop and vcpu
 * threads, machine lock held; handlers of fatal signals in any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev/backend.h"
#include "core/error.h"
#include "core/lock.h"

typedef struct Stdio {
	Chardev base;
	guint in_source, out_source; /* 0: not watched */
	bool eof;
} Stdio;

/*
 * What to put back. File scope, because signal handlers and atexit() functions get no
 * argument; written once before `armed`, then only read.
 */
static struct {
	_Atomic bool armed;   /* a device is open */
	bool terminal;
	int flags[2];
	struct termios old, raw;
} saved;

/* Only async-signal-safe calls. */
static void restore(void)
{
	if (!atomic_exchange(&saved.armed, false))
		return;
	if (saved.terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved.old);
	for (int fd = 0; fd < 2; fd++)
		if (saved.flags[fd] >= 0)
			fcntl(fd, F_SETFL, saved.flags[fd]);
}

/* SA_RESETHAND has put the default back: raised again, it ends the program. */
static void on_fatal(int sig)
{
	restore();
	raise(sig);
}

/* After a stop by ^Z the shell has set the terminal to its own taste. */
static void on_continue(int sig)
{
	int keep = errno;
	if (atomic_load(&saved.armed) && saved.terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved.raw);
	errno = keep;
}

static void arm_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS,
		SIGQUIT, SIGXCPU };
	struct sigaction action = { .sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_NODEFER };
	struct sigaction old;
	for (unsigned i = 0; i < G_N_ELEMENTS(fatal); i++)
		if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &action, NULL);
	struct sigaction go_on = { .sa_handler = on_continue, .sa_flags = SA_RESTART };
	sigaction(SIGCONT, &go_on, NULL);
	atexit(restore);
}

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
	chardev_writable(&s->base);
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
	restore();
}

static struct termios raw_modes(const struct termios *old, bool signals)
{
	struct termios raw = *old;
	raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_oflag |= OPOST;
	raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
	if (!signals)
		raw.c_lflag &= ~ISIG;
	raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

static Chardev *stdio_open(const ChardevOptions *options, GError **error)
{
	if (atomic_load(&saved.armed)) {
		fail(error, VIV_ERROR_INVALID,
			"cannot use stdio by multiple character devices. Use mon:stdio to share "
			"the terminal between a serial line and the monitor.");
		return NULL;
	}
	Stdio *s = chardev_alloc(&chardev_stdio, sizeof(Stdio), options->id);
	for (int fd = 0; fd < 2; fd++) {
		saved.flags[fd] = fcntl(fd, F_GETFL);
		if (saved.flags[fd] >= 0)
			fcntl(fd, F_SETFL, saved.flags[fd] | O_NONBLOCK);
	}
	saved.terminal = !tcgetattr(STDIN_FILENO, &saved.old);
	if (saved.terminal)
		saved.raw = raw_modes(&saved.old, options->signals);
	atomic_store(&saved.armed, true);
	arm_signals();
	if (saved.terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved.raw);
	return &s->base;
}

const ChardevClass chardev_stdio = {
	.name = "stdio", .open = stdio_open, .write = stdio_write,
		.accept_input = stdio_accept_input,
	.free = stdio_free,
};
