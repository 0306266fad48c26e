/*
 * fdio.h - descriptors that a backend reads while its front end has room, and writes
 * without waiting.
 *
 * Main loop and vcpu threads, machine lock held; sources run on the main loop.
 */
#ifndef VIV_CHARDEV_FDIO_H
#define VIV_CHARDEV_FDIO_H

#include "chardev/backend.h"

typedef struct FdIo {
	Chardev *c;
	int in, out;                       /* -1: none. The backend's to close */
	guint in_source, out_source;       /* 0: not watched */
	bool waiting_hangup;               /* in_source sees the end only: there is no room */
	bool ended;                        /* the other end is gone */
	GByteArray *late;                  /* came before the end, not yet taken */
	/* What was read, if it is not for the front end as it is. May make it less. */
	void (*input)(Chardev *c, const uint8_t *buf, size_t len);
	/* The end of what can be read; called once. May be NULL. */
	void (*hangup)(Chardev *c);
} FdIo;

/* Takes descriptors (which may be one) into use; they become non-blocking. */
void fdio_start(FdIo *io, Chardev *c, int in, int out);
/* Stops watching; what the peer said before is still handed over. Harmless twice or unstarted. */
void fdio_stop(FdIo *io);
/* Stops, and forgets that too. */
void fdio_free(FdIo *io);
/* The front end has room, or may have. */
void fdio_accept_input(FdIo *io);
/*
 * Bytes taken; after fewer than `len` the front end is told when there is room. What
 * cannot be written because nobody reads any more counts as taken.
 */
size_t fdio_write(FdIo *io, const uint8_t *buf, size_t len);

/* Waits until all is written. Bytes written; fewer than `len` with errno. Any thread. */
size_t fd_write_all(int fd, const uint8_t *buf, size_t len);

#endif
