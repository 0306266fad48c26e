/*
 * file.c - a character device that writes to a file, and may read another.
 *
 * Regular files do not block for long. What cannot be written (a full disk) is lost, as on a
 * line with nothing plugged in, and said once. Main loop and vcpu threads, machine lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "chardev/fdio.h"
#include "core/error.h"

typedef struct File {
	Chardev base;
	int out, in;
	FdIo io;       /* the input */
	bool failed;   /* said once */
} File;

static size_t file_write(Chardev *c, const uint8_t *buf, size_t len)
{
	File *f = (File *)c;

	if (fd_write_all(f->out, buf, len) < len && !f->failed) {
		g_printerr("chardev %s: writing failed: %s; output is lost\n", c->options->id,
			g_strerror(errno));
		f->failed = true;
	}
	return len;
}

static bool file_open(Chardev *c, GError **error)
{
	File *f = (File *)c;
	const ChardevOptions *o = c->options;
	if (!o->path)
		return fail(error, VIV_ERROR_INVALID, "chardev: file: no filename given (path=)");
	bool append = o->append == CHARDEV_ON;
	f->out = chardev_open_file(o->path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC),
		error);
	if (f->out < 0)
		return false;
	f->in = -1;
	if (!o->input_path)
		return true;
	f->in = chardev_open_file(o->input_path, O_RDONLY | O_NONBLOCK, error);
	if (f->in < 0) {
		close(f->out);
		return false;
	}
	fdio_start(&f->io, c, f->in, -1);
	return true;
}

static void file_accept_input(Chardev *c)
{
	File *f = (File *)c;
	if (f->in >= 0)
		fdio_accept_input(&f->io);
}

static void file_close(Chardev *c)
{
	File *f = (File *)c;
	fdio_free(&f->io);
	close(f->out);
	if (f->in >= 0)
		close(f->in);
}

static const ChardevKey keys[] = {
	{ "path", CHARDEV_TEXT, offsetof(ChardevOptions, path), "file that is written" },
	{ "input-path", CHARDEV_TEXT, offsetof(ChardevOptions, input_path), "file that is read" },
	{ "append", CHARDEV_SWITCH, offsetof(ChardevOptions, append), "keep what is in the file" },
	{ NULL },
};

static const ChardevClass file_class = {
	.name = "file", .desc = "writes to a file", .keys = keys, .open = file_open,
	.close = file_close, .write = file_write, .accept_input = file_accept_input,
};

const ChardevType chardev_type_file = { &file_class, sizeof(File) };
