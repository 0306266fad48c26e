/*
 * pipe.c - a character device on two FIFOs, PATH.in and PATH.out, or on PATH for both ways.
 *
 * Both are opened for reading and writing, so that opening does not wait for a peer and
 * its leaving is no end; what it does not read stays in the FIFO. Main loop and vcpu
 * threads, machine lock held.
 */
#include <fcntl.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "core/error.h"

typedef struct Pipe {
	Chardev base;
	FdIo io;
	int in, out;   /* may be the same */
} Pipe;

static bool pipe_open(Chardev *c, GError **error)
{
	Pipe *p = (Pipe *)c;
	const char *path = c->options->path;
	if (!path)
		return fail(error, VIV_ERROR_INVALID,
			"chardev: pipe: no device path given (path=)");
	char *in = g_strdup_printf("%s.in", path), *out = g_strdup_printf("%s.out", path);
	p->in = chardev_open_file(in, O_RDWR | O_NONBLOCK, NULL);
	p->out = chardev_open_file(out, O_RDWR | O_NONBLOCK, NULL);
	g_free(in);
	g_free(out);
	if (p->in < 0 || p->out < 0) {
		if (p->in >= 0)
			close(p->in);
		if (p->out >= 0)
			close(p->out);
		p->in = p->out = chardev_open_file(path, O_RDWR | O_NONBLOCK, error);
	}
	if (p->in < 0)
		return false;
	fdio_start(&p->io, c, p->in, p->out);
	return true;
}

static size_t pipe_write(Chardev *c, const uint8_t *buf, size_t len)
{
	return fdio_write(&((Pipe *)c)->io, buf, len);
}

static void pipe_accept_input(Chardev *c)
{
	fdio_accept_input(&((Pipe *)c)->io);
}

static void pipe_close(Chardev *c)
{
	Pipe *p = (Pipe *)c;
	fdio_free(&p->io);
	close(p->in);
	if (p->out != p->in)
		close(p->out);
}

static const ChardevKey keys[] = {
	{ "path", CHARDEV_TEXT, offsetof(ChardevOptions, path),
		"FIFOs PATH.in, PATH.out, or PATH" },
	{ NULL },
};

static const ChardevClass pipe_class = {
	.name = "pipe", .desc = "a pair of FIFOs", .keys = keys, .open = pipe_open,
	.close = pipe_close, .write = pipe_write, .accept_input = pipe_accept_input,
};

const ChardevType chardev_type_pipe = { &pipe_class, sizeof(Pipe) };
