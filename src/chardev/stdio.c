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

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "core/error.h"

typedef struct Stdio {
	Chardev base;
	FdIo io;
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

static size_t stdio_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return fdio_write(&((Stdio *)c)->io, buf, len);
}

static void stdio_accept_input(Chardev *c)
{
	fdio_accept_input(&((Stdio *)c)->io);
}

static void stdio_close(Chardev *c)
{
	fdio_free(&((Stdio *)c)->io);
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

static bool stdio_open(Chardev *c, GError **error)
{
	if (atomic_load(&saved.armed))
		return fail(error, VIV_ERROR_INVALID,
			"cannot use stdio by multiple character devices. Use mon:stdio to share "
			"the terminal between a serial line and the monitor.");
	for (int fd = 0; fd < 2; fd++)
		saved.flags[fd] = fcntl(fd, F_GETFL);
	saved.terminal = !tcgetattr(STDIN_FILENO, &saved.old);
	if (saved.terminal)
		saved.raw = raw_modes(&saved.old, c->options->signal != CHARDEV_OFF);
	atomic_store(&saved.armed, true);
	arm_signals();
	if (saved.terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved.raw);
	fdio_start(&((Stdio *)c)->io, c, STDIN_FILENO, STDOUT_FILENO);
	return true;
}

static const ChardevKey keys[] = {
	{ "signal", CHARDEV_SWITCH, offsetof(ChardevOptions, signal),
	  "C-c, C-\\ and C-z act on viv, not on the guest (on)" },
	{ NULL },
};

static const ChardevClass stdio_class = {
	.name = "stdio", .desc = "standard input and output", .keys = keys, .open = stdio_open,
	.close = stdio_close, .write = stdio_write, .accept_input = stdio_accept_input,
};

const ChardevType chardev_type_stdio = { &stdio_class, sizeof(Stdio) };
