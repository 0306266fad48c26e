/*
 * parallel.c - a character device on a parallel port of the host.
 *
 * Linux' ppdev (linux/ppdev.h). The guest's registers are the port's; bytes that are written
 * as a stream are lost, as the port is no stream. Main loop and vcpu threads, machine lock
 * held; an EPP cycle lasts as long as the peripheral takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "core/error.h"

#define CONTROL_REVERSE 0x20u

typedef struct ParallelPort {
	Chardev base;
	int fd;
	int mode;       /* IEEE1284_MODE_* that is set */
	bool reverse;   /* the data lines are inputs */
} ParallelPort;

static bool set_mode(ParallelPort *p, int mode)
{
	if (p->mode != mode && ioctl(p->fd, PPSETMODE, &mode))
		return false;
	p->mode = mode;
	return true;
}

static int epp_mode(ParallelReg reg)
{
	return IEEE1284_MODE_EPP | (reg == PARALLEL_EPP_ADDRESS ? IEEE1284_ADDR : IEEE1284_DATA);
}

static bool parallel_read(Chardev *c, ParallelReg reg, uint8_t *value)
{
	ParallelPort *p = (ParallelPort *)c;
	switch (reg) {
	case PARALLEL_DATA:
		return !ioctl(p->fd, PPRDATA, value);
	case PARALLEL_STATUS:
		return !ioctl(p->fd, PPRSTATUS, value);
	case PARALLEL_CONTROL:
		if (ioctl(p->fd, PPRCONTROL, value))
			return false;
		*value = (uint8_t)(*value & 0x1f) | (p->reverse ? CONTROL_REVERSE : 0);
		return true;
	case PARALLEL_EPP_ADDRESS:
	case PARALLEL_EPP_DATA:
		return set_mode(p, epp_mode(reg)) && read(p->fd, value, 1) == 1;
	}
	return false;
}

static bool set_control(ParallelPort *p, uint8_t value)
{
	int reverse = value & CONTROL_REVERSE ? 1 : 0;
	uint8_t lines = value & 0x0f;
	if (reverse != p->reverse && ioctl(p->fd, PPDATADIR, &reverse))
		return false;
	p->reverse = reverse;
	return !ioctl(p->fd, PPWCONTROL, &lines);
}

static bool parallel_write(Chardev *c, ParallelReg reg, uint8_t value)
{
	ParallelPort *p = (ParallelPort *)c;
	switch (reg) {
	case PARALLEL_DATA:
		return !ioctl(p->fd, PPWDATA, &value);
	case PARALLEL_CONTROL:
		return set_control(p, value);
	case PARALLEL_EPP_ADDRESS:
	case PARALLEL_EPP_DATA:
		return set_mode(p, epp_mode(reg)) && write(p->fd, &value, 1) == 1;
	default:
		return false; /* status is the peripheral's */
	}
}

static size_t stream_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return len;
}

static bool parallel_open(Chardev *c, GError **error)
{
	ParallelPort *p = (ParallelPort *)c;
	if (!c->options->path)
		return fail(error, VIV_ERROR_INVALID,
			"chardev: parallel: no device path given (path=)");
	p->fd = chardev_open_file(c->options->path, O_RDWR, error);
	if (p->fd < 0)
		return false;
	if (ioctl(p->fd, PPCLAIM)) {
		int err = errno;
		close(p->fd);
		return fail(error, VIV_ERROR_FAILED, "not a parallel port: %s", g_strerror(err));
	}
	p->mode = IEEE1284_MODE_COMPAT;
	return true;
}

static void parallel_close(Chardev *c)
{
	ParallelPort *p = (ParallelPort *)c;
	set_mode(p, IEEE1284_MODE_COMPAT);
	ioctl(p->fd, PPRELEASE);
	close(p->fd);
}

static const ChardevKey keys[] = {
	{ "path", CHARDEV_TEXT, offsetof(ChardevOptions, path), "the port, e.g. /dev/parport0" },
	{ NULL },
};

static const ChardevClass parallel_class = {
	.name = "parallel", .alias = "parport", .desc = "parallel port of the host", .keys = keys,
	.open = parallel_open, .close = parallel_close, .write = stream_write,
	.parallel_read = parallel_read, .parallel_write = parallel_write,
};

const ChardevType chardev_type_parallel = { &parallel_class, sizeof(ParallelPort) };
