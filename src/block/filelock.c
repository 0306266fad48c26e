/*
 * filelock.c - image locks. fcntl(2), F_OFD_SETLK. Any thread.
 */
#include "block/filelock.h"

#include <errno.h>
#include <fcntl.h>

#include "core/error.h"

#define USED_BASE 100
#define UNSHARED_BASE 200
#define BITS 4

static const char *const permission_names[BITS] = {"consistent read", "write", "write unchanged",
						   "resize"};

static int set_lock(int fd, int byte, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int err;
	do
		err = fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
	while (err == -EINTR);
	return err;
}

/* Does someone else hold the byte? */
static bool is_locked(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

bool file_lock_works(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	return fcntl(fd, F_OFD_GETLK, &l) == 0;
}

/* Takes the bytes of `want` that are not in `have`, or with drop those of `have` not in `want`. */
static int apply(int fd, int base, unsigned have, unsigned want, bool drop)
{
	for (int i = 0; i < BITS; i++) {
		unsigned bit = 1u << i;
		int err = 0;
		if (!drop && (want & bit) && !(have & bit))
			err = set_lock(fd, base + i, F_RDLCK);
		else if (drop && (have & bit) && !(want & bit))
			set_lock(fd, base + i, F_UNLCK);
		if (err)
			return err;
	}
	return 0;
}

/* Is a permission that we use unshared by another, or one that we do not share used? */
static bool conflict(int fd, unsigned used, unsigned unshared, const char *filename, GError **error)
{
	for (int i = 0; i < BITS; i++) {
		bool taken = (used & 1u << i) && is_locked(fd, UNSHARED_BASE + i);
		bool shared = !taken && (unshared & 1u << i) && is_locked(fd, USED_BASE + i);
		if (!taken && !shared)
			continue;
		fail(error, VIV_ERROR_FAILED,
		     "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?",
		     shared ? "shared " : "", permission_names[i], filename);
		return true;
	}
	return false;
}

bool file_lock(int fd, unsigned used, unsigned unshared, unsigned *held_used,
	       unsigned *held_unshared, const char *filename, GError **error)
{
	int err = apply(fd, USED_BASE, *held_used, used, false);
	if (!err)
		err = apply(fd, UNSHARED_BASE, *held_unshared, unshared, false);
	bool ok = !err && !conflict(fd, used, unshared, filename, error);
	if (err)
		fail(error, VIV_ERROR_FAILED,
		     "Locking '%s' failed: %s. Use locking=off where the file system has no locks.",
		     filename, g_strerror(-err));
	if (ok) {
		apply(fd, USED_BASE, *held_used, used, true);
		apply(fd, UNSHARED_BASE, *held_unshared, unshared, true);
		*held_used = used;
		*held_unshared = unshared;
	} else {
		apply(fd, USED_BASE, used, *held_used, true);
		apply(fd, UNSHARED_BASE, unshared, *held_unshared, true);
	}
	return ok;
}
