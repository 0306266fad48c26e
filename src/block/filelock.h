/*
 * filelock.h - locks on image files that other programs of this kind honour. Any thread.
 *
 * Open file description locks (fcntl(2)) on single bytes, as qemu places them: byte 100 + p
 * says "I use permission p", byte 200 + p "I share permission p with nobody".
 */
#ifndef VIV_BLOCK_FILELOCK_H
#define VIV_BLOCK_FILELOCK_H

#include <stdbool.h>
#include <glib.h>

/* Permissions, as bits. */
enum { IMAGE_READ = 1 << 0, IMAGE_WRITE = 1 << 1, IMAGE_RESIZE = 1 << 3 };

/*
 * Changes the locks held on fd from (*held_used, *held_unshared) to the given sets and checks
 * them against those of others. False: another process is in the way; the locks are as before.
 */
bool file_lock(int fd, unsigned used, unsigned unshared, unsigned *held_used,
	       unsigned *held_unshared, const char *filename, GError **error);
/* Can this file be locked at all? */
bool file_lock_works(int fd);

#endif
