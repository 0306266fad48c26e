/*
 * file.c - a character device that writes to a file; it never has input.
 *
 * Regular files do not block for long. What cannot be written (a full disk) is lost, as on a
 * line with nothing plugged in, and said once. Leaves out FIFOs. Main loop and vcpu
 * threads, machine lock held.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "chardev/backend.h"
#include "core/error.h"

typedef struct File {
	Chardev base;
	int fd;
	bool failed; /* said once */
} File;

static size_t file_write(Chardev *c, const uint8_t *buf, size_t len)
{
	File *f = (File *)c;
	for (size_t done = 0; done < len;) {
		ssize_t n = write(f->fd, buf + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!f->failed)
				g_printerr("chardev %s: writing failed: %s; output is lost\n",
					c->id, g_strerror(errno));
			f->failed = true;
			break;
		}
		done += (size_t)n;
	}
	return len;
}

static Chardev *file_open(const ChardevOptions *options, GError **error)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY |
		(options->append ? O_APPEND : O_TRUNC);
	int fd = open(options->path, flags, 0666);
	if (fd < 0) {
		fail(error, VIV_ERROR_FAILED, "Could not open '%s': %s", options->path,
			g_strerror(errno));
		return NULL;
	}
	File *f = chardev_alloc(&chardev_file, sizeof(File), options->id);
	f->fd = fd;
	return &f->base;
}

static void file_free(Chardev *c)
{
	close(((File *)c)->fd);
}

const ChardevClass chardev_file = { .name = "file", .open = file_open, .write = file_write,
	.free = file_free };
