/*
 * serial.c - a character device on a serial port of the host, or another terminal.
 *
 * POSIX termios (IEEE 1003.1-2017, chapter 11); Linux ioctl_tty(2) for modem lines. The
 * guest's line parameters, break and modem lines become the port's. Main loop and vcpu
 * threads, machine lock held.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "core/error.h"

typedef struct SerialPort {
	Chardev base;
	FdIo io;
	int fd;
	bool terminal;        /* else termios has nothing to say to it */
	struct termios old;
} SerialPort;

/* The highest standard speed that is not above, or the lowest. */
static speed_t speed_code(unsigned speed)
{
	static const struct { unsigned speed; speed_t code; } table[] = {
		{ 50, B50 }, { 75, B75 }, { 110, B110 }, { 134, B134 }, { 150, B150 },
		{ 200, B200 }, { 300, B300 }, { 600, B600 }, { 1200, B1200 }, { 1800, B1800 },
		{ 2400, B2400 }, { 4800, B4800 }, { 9600, B9600 }, { 19200, B19200 },
		{ 38400, B38400 }, { 57600, B57600 }, { 115200, B115200 }, { 230400, B230400 },
		{ 460800, B460800 }, { 921600, B921600 },
	};
	unsigned i = 0;
	/* Divisors do not meet every standard speed exactly: a tenth is let pass. */
	while (i + 1 < G_N_ELEMENTS(table) && table[i + 1].speed <= speed + speed / 10)
		i++;
	return table[i].code;
}

static void serial_set_params(Chardev *c, const LineParams *params)
{
	static const tcflag_t sizes[] = { CS5, CS6, CS7, CS8 };
	SerialPort *p = (SerialPort *)c;
	struct termios t;
	if (!p->terminal || tcgetattr(p->fd, &t))
		return;
	cfmakeraw(&t);
	t.c_cflag &= ~(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
	t.c_cflag |= CREAD | CLOCAL | sizes[CLAMP(params->data_bits, 5, 8) - 5];
	if (params->parity != 'N')
		t.c_cflag |= PARENB | (params->parity == 'O' ? PARODD : 0);
	if (params->stop_bits == 2)
		t.c_cflag |= CSTOPB;
	cfsetispeed(&t, speed_code(params->speed));
	cfsetospeed(&t, speed_code(params->speed));
	tcsetattr(p->fd, TCSANOW, &t);
}

static void serial_set_break(Chardev *c, bool on)
{
	ioctl(((SerialPort *)c)->fd, on ? TIOCSBRK : TIOCCBRK);
}

static void serial_set_modem(Chardev *c, uint8_t mcr)
{
	int fd = ((SerialPort *)c)->fd, lines;
	if (ioctl(fd, TIOCMGET, &lines))
		return;
	lines &= ~(TIOCM_DTR | TIOCM_RTS);
	lines |= (mcr & 0x01 ? TIOCM_DTR : 0) | (mcr & 0x02 ? TIOCM_RTS : 0);
	ioctl(fd, TIOCMSET, &lines);
}

static bool serial_get_modem(Chardev *c, uint8_t *msr)
{
	int lines;
	if (ioctl(((SerialPort *)c)->fd, TIOCMGET, &lines))
		return false;
	*msr = (uint8_t)((lines & TIOCM_CTS ? 0x10 : 0) | (lines & TIOCM_DSR ? 0x20 : 0) |
		(lines & TIOCM_RI ? 0x40 : 0) | (lines & TIOCM_CAR ? 0x80 : 0));
	return true;
}

static size_t serial_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return fdio_write(&((SerialPort *)c)->io, buf, len);
}

static void serial_accept_input(Chardev *c)
{
	fdio_accept_input(&((SerialPort *)c)->io);
}

static bool serial_open(Chardev *c, GError **error)
{
	static const LineParams first = { 115200, 'N', 8, 1 };
	SerialPort *p = (SerialPort *)c;
	if (!c->options->path)
		return fail(error, VIV_ERROR_INVALID,
			"chardev: serial/tty: no device path given (path=)");
	p->fd = chardev_open_file(c->options->path, O_RDWR | O_NONBLOCK, error);
	if (p->fd < 0)
		return false;
	p->terminal = !tcgetattr(p->fd, &p->old);
	serial_set_params(c, &first);
	fdio_start(&p->io, c, p->fd, p->fd);
	return true;
}

static void serial_close(Chardev *c)
{
	SerialPort *p = (SerialPort *)c;
	fdio_free(&p->io);
	if (p->terminal)
		tcsetattr(p->fd, TCSANOW, &p->old);
	close(p->fd);
}

static const ChardevKey keys[] = {
	{ "path", CHARDEV_TEXT, offsetof(ChardevOptions, path), "the port, e.g. /dev/ttyS0" },
	{ NULL },
};

static const ChardevClass serial_class = {
	.name = "serial", .alias = "tty", .desc = "serial port of the host", .keys = keys,
	.open = serial_open, .close = serial_close, .write = serial_write,
	.accept_input = serial_accept_input, .set_params = serial_set_params,
	.set_break = serial_set_break, .set_modem = serial_set_modem,
	.get_modem = serial_get_modem,
};

const ChardevType chardev_type_serial = { &serial_class, sizeof(SerialPort) };
