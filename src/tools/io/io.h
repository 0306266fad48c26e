/*
 * io.h - what the files of viv-io share: the session and its commands.
 *
 * Everything runs in one fiber of the main loop; aio_* commands start fibers of their own.
 */
#ifndef VIV_TOOLS_IO_H
#define VIV_TOOLS_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "block/node.h"

typedef struct Session {
	Node *node;             /* NULL: nothing is open */
	bool write_cache;       /* false: each write goes to the medium */
	bool quit;
	bool misaligned;
	unsigned running;       /* aio requests */
	FiberQueue ended;
	int failed;             /* of any command: the exit status */
} Session;

typedef struct IoCommand {
	const char *name, *args, *help;
	unsigned min, max;      /* words after options and name; max 0: any number */
	bool needs_image;
	int (*run)(Session *s, int argc, char **argv); /* 0 or -errno, message printed */
} IoCommand;

extern const IoCommand io_commands[], io_transfer_commands[]; /* end with a NULL name */

/* transfer.c: read, write and their kin */
int io_open_image(Session *s, const char *name, const char *format, const char *cache,
		  const char *discard, bool image_opts, unsigned flags);
/* -C: the filter copy-on-read over the open image, unless that is read-only. */
int io_copy_on_read(Session *s);
/* A size; false: an error was printed. */
bool io_size(const char *text, uint64_t *out);
char *io_size_text(double bytes); /* "1.5 MiB"; caller frees */
int io_wait(Session *s);          /* for all aio requests */
/* One line. */
void io_line(Session *s, const char *line);

#endif
