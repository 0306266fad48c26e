/*
 * file.c - the host's files and block devices: drivers file, host_device, host_cdrom.
 *
 * open(2), fallocate(2), lseek(2) SEEK_HOLE, ioctl_list BLK*. Threads: see node.h; what may
 * block goes to worker threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/drivers.h"
#include "block/filelock.h"

#define PIECES_MAX 1024u       /* IOV_MAX */
#define DIRECT_ALIGN_MAX 4096u
#define LOCK_TRIES 25          /* for half a second */
#define LOCK_WAIT_NS 20000000

typedef enum Aio { AIO_IO_URING, AIO_THREADS, AIO_NATIVE } Aio;
typedef enum Locking { LOCKING_AUTO, LOCKING_ON, LOCKING_OFF } Locking;

typedef struct File {
	char *filename;        /* options, these three */
	int aio, locking;
	int fd;
	bool device;           /* a block device: fixed length */
	unsigned lock_used, lock_unshared;
	bool no_zero_range, no_punch; /* the file system has them not */
} File;

static const char *const aio_values[] = { "io_uring", "threads", "native", NULL };
static const char *const locking_values[] = { "auto", "on", "off", NULL };
static const BlockOption file_options[] = {
    {"filename", OPT_STRING, offsetof(File, filename), NULL, "file name of the image"},
    {"aio", OPT_ENUM, offsetof(File, aio), "io_uring",
     "host AIO implementation (threads, native, io_uring)", aio_values},
    {"locking", OPT_ENUM, offsetof(File, locking), "auto",
     "file locking mode (on/off/auto, default: auto)", locking_values},
    {0}};

static const char *const prealloc_values[] = { "off", "falloc", "full", NULL };
const BlockOption file_create_options[] = {
    {"size", OPT_SIZE, 0, NULL, "Virtual disk size"},
    {"preallocation", OPT_ENUM, 0, NULL, "Preallocation mode (allowed values: off, falloc, full)",
     prealloc_values},
    {"extent_size_hint", OPT_SIZE, 0, NULL, "Extent size hint for the image file, 0 to disable"},
    {"nocow", OPT_BOOL, 0, NULL, "Turn off copy-on-write (valid only on btrfs)"},
    {0}};

/* ---- Opening ---- */

static int open_flags(unsigned flags)
{
	return O_CLOEXEC | (flags & NODE_WRITE ? O_RDWR : O_RDONLY) |
	       (flags & NODE_DIRECT ? O_DIRECT : 0);
}

static bool take_locks(Node *node, unsigned flags, GError **error)
{
	File *f = node->state;
	if (f->locking == LOCKING_OFF || flags & NODE_SHARE)
		return file_lock(f->fd, 0, 0, &f->lock_used, &f->lock_unshared, f->filename, NULL);
	if (!file_lock_works(f->fd))
		return f->locking == LOCKING_AUTO ||
		       fail(error, VIV_ERROR_FAILED,
			    "The file system of '%s' has no locks. Use locking=auto or off.",
			    f->filename);
	bool write = flags & NODE_WRITE, exclusive = flags & NODE_EXCLUSIVE;
	unsigned used = (flags & NODE_NO_IO ? 0 : IMAGE_READ) | (write ? IMAGE_WRITE : 0) |
		(write && exclusive ? IMAGE_RESIZE : 0);
	unsigned unshared = exclusive ? IMAGE_WRITE | IMAGE_RESIZE : 0;
	/* A process that was killed may hold its locks until the kernel has taken its ring apart.
	 */
	int tries = fiber_self() ? LOCK_TRIES : 1;
	for (int i = 1; i <= tries; i++) {
		GError *busy = NULL;
		if (file_lock(f->fd, used, unshared, &f->lock_used, &f->lock_unshared, f->filename,
			      &busy))
			return true;
		if (i == tries) {
			g_propagate_error(error, busy);
		} else {
			g_error_free(busy);
			loop_sleep(LOCK_WAIT_NS);
		}
	}
	return false;
}

/* The smallest block that direct requests of this file may have. */
static uint32_t direct_align(File *f)
{
	void *buf;
	int size = 0;
	if (f->device && ioctl(f->fd, BLKSSZGET, &size) == 0 && size >= 512 && size <= 65536 &&
	    !(size & (size - 1)))
		return (uint32_t)size;
	uint32_t align = 512;
	if (posix_memalign(&buf, DIRECT_ALIGN_MAX, DIRECT_ALIGN_MAX))
		return DIRECT_ALIGN_MAX;
	while (align < DIRECT_ALIGN_MAX && pread(f->fd, buf, align, 0) < 0 && errno == EINVAL)
		align *= 2;
	free(buf);
	return align;
}

static bool find_length(Node *node, GError **error)
{
	File *f = node->state;
	struct stat st;
	uint64_t length = 0;
	if (fstat(f->fd, &st) < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not get the size of '%s': %s.",
			    f->filename, g_strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail(error, VIV_ERROR_INVALID, "'%s' is a directory, not an image.",
			    f->filename);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return fail(error, VIV_ERROR_INVALID,
			    "'%s' is neither a regular file nor a block device.", f->filename);
	f->device = S_ISBLK(st.st_mode);
	if (f->device && ioctl(f->fd, BLKGETSIZE64, &length) < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not get the size of device '%s': %s.",
			    f->filename, g_strerror(errno));
	node->length = f->device ? length : (uint64_t)st.st_size;
	return true;
}

static bool open_fd(Node *node, GError **error)
{
	File *f = node->state;
	f->fd = open(f->filename, open_flags(node->flags));
	if (f->fd >= 0)
		return true;
	if (errno == EINVAL && node->flags & NODE_DIRECT)
		return fail(error, VIV_ERROR_FAILED,
			    "Could not open '%s': filesystem does not support O_DIRECT. "
			    "Use another cache mode than none or directsync.",
			    f->filename);
	int err = errno;
	fail(error, VIV_ERROR_FAILED, "Could not open '%s': %s", f->filename, g_strerror(err));
	return false;
}

static bool check_options(Node *node, GError **error)
{
	File *f = node->state;
	if (!f->filename || !*f->filename)
		return fail(error, VIV_ERROR_INVALID, "The '%s' block driver requires a file name",
			    node->driver->name);
	if (f->aio == AIO_NATIVE && !(node->flags & NODE_DIRECT))
		return fail(error, VIV_ERROR_INVALID,
			    "aio=native was specified, but it requires cache.direct=on, which was "
			    "not specified.");
	if (f->aio == AIO_NATIVE && !loop_has_uring(loop_self()))
		f->aio = AIO_THREADS;
	return true;
}

static bool file_open(Node *node, GError **error)
{
	File *f = node->state;
	f->fd = -1;
	if (!check_options(node, error) || !open_fd(node, error))
		return false;
	node->filename = g_strdup(f->filename);
	if (!find_length(node, error) || !take_locks(node, node->flags, error)) {
		close(f->fd);
		return false;
	}
	if (node->flags & NODE_DIRECT)
		node->align = direct_align(f);
	node->grows = !f->device;
	return true;
}

static void file_close(Node *node)
{
	File *f = node->state;
	/* Not left to close(2): a ring that is being torn down may hold the file, and its locks, a
	 * little longer. */
	file_lock(f->fd, 0, 0, &f->lock_used, &f->lock_unshared, f->filename, NULL);
	close(f->fd);
}

static bool file_set_writable(Node *node, bool writable, GError **error)
{
	File *f = node->state;
	if ((fcntl(f->fd, F_GETFL) & O_ACCMODE) == (writable ? O_RDWR : O_RDONLY))
		return take_locks(node, node->flags, error); /* nothing else is new */
	int fd = open(f->filename, open_flags(node->flags));
	if (fd < 0) {
		int err = errno;
		return fail(error, VIV_ERROR_FAILED, "Could not reopen '%s': %s", f->filename,
			    g_strerror(err));
	}
	int old = f->fd;
	unsigned used = f->lock_used, unshared = f->lock_unshared;
	f->fd = fd;
	f->lock_used = f->lock_unshared = 0;
	/* Our own locks on the old descriptor would stand in the way. */
	file_lock(old, 0, 0, &used, &unshared, f->filename, NULL);
	if (!take_locks(node, node->flags, error)) {
		close(fd);
		f->fd = old;
		f->lock_used = f->lock_unshared = 0;
		take_locks(node, node->flags ^ NODE_WRITE, NULL);
		return false;
	}
	close(old);
	return true;
}

/* ---- Reading and writing ---- */

typedef struct Transfer {
	int fd;
	const struct iovec *v;
	unsigned n;
	uint64_t offset;
	bool write;
} Transfer;

static int transfer_job(void *opaque)
{
	Transfer *t = opaque;
	ssize_t n;
	do
		n = t->write ? pwritev(t->fd, t->v, (int)t->n, (off_t)t->offset)
			     : preadv(t->fd, t->v, (int)t->n, (off_t)t->offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

/*
 * What the page cache holds, io_uring copies at once on the thread that submits: best for small
 * requests, but several large ones are copied side by side on worker threads.
 */
#define LARGE (128u << 10)

static ssize_t transfer(Node *node, const struct iovec *v, unsigned n, uint64_t offset, bool write)
{
	File *f = node->state;
	size_t len = iov_all(v, n).len;
	if (f->aio == AIO_THREADS || (len >= LARGE && !(node->flags & NODE_DIRECT))) {
		Transfer t = { f->fd, v, n, offset, write };
		int done = loop_work(transfer_job, &t);
		/* A short one is rare: the other path finishes it. */
		if (done < 0 || (size_t)done == len || (!write && done == 0))
			return done;
	}
	return write ? loop_writev(f->fd, v, n, offset) : loop_readv(f->fd, v, n, offset);
}

typedef struct CopyJob { int from, to; uint64_t from_offset, to_offset, bytes; int64_t done; } CopyJob;

static int copy_job(void *opaque)
{
	CopyJob *j = opaque;
	loff_t from = (loff_t)j->from_offset, to = (loff_t)j->to_offset;
	do
		j->done = copy_file_range(j->from, &from, j->to, &to, j->bytes, 0);
	while (j->done < 0 && errno == EINTR);
	return j->done < 0 ? -errno : j->done == 0 ? -ENOTSUP : 0;
}

static int64_t file_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset,
	uint64_t bytes)
{
	CopyJob j = { NODE_STATE(from, File)->fd, NODE_STATE(to, File)->fd, from_offset, to_offset,
		MIN(bytes, 1u << 30), 0 };
	int ret = loop_work(copy_job, &j);
	return ret < 0 ? ret : j.done;
}

/* One host request: at most PIECES_MAX pieces. */
static int host_request(Node *node, uint64_t offset, Iov iov, bool write)
{
	struct iovec small[16], *v = small;
	unsigned n = iov_pieces(iov, small, G_N_ELEMENTS(small));
	if (n > G_N_ELEMENTS(small)) {
		v = g_new(struct iovec, n);
		iov_pieces(iov, v, n);
	}
	ssize_t done = transfer(node, v, n, offset, write);
	if (v != small)
		g_free(v);
	if (done >= 0 && !write && (size_t)done < iov.len)
		iov_fill(iov, (size_t)done, 0, iov.len - (size_t)done);
	return done < 0 ? (int)done : 0;
}

/* O_DIRECT wants aligned memory; others' buffers are copied. */
static bool memory_aligned(const Node *node, Iov iov)
{
	if (!(node->flags & NODE_DIRECT))
		return true;
	size_t skip = iov.skip, left = iov.len;
	for (unsigned i = 0; i < iov.n && left; i++) {
		size_t len = iov.v[i].iov_len;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		size_t take = MIN(len - skip, left);
		if (((uintptr_t)iov.v[i].iov_base + skip) & (node->align - 1) ||
		    take & (node->align - 1))
			return false;
		left -= take;
		skip = 0;
	}
	return true;
}

static int bounce(Node *node, uint64_t offset, Iov iov, bool write)
{
	void *buf;
	if (posix_memalign(&buf, DIRECT_ALIGN_MAX, iov.len))
		return -ENOMEM;
	struct iovec v = { buf, iov.len };
	if (write)
		iov_copy_out(iov, 0, buf, iov.len);
	int err = host_request(node, offset, iov_one(&v), write);
	if (!write && err >= 0)
		iov_copy_in(iov, 0, buf, iov.len);
	free(buf);
	return err;
}

static int request(Node *node, uint64_t offset, Iov iov, bool write)
{
	if (!memory_aligned(node, iov))
		return bounce(node, offset, iov, write);
	if (iov.n <= PIECES_MAX)
		return host_request(node, offset, iov, write);
	/* In parts of few enough pieces; a piece may be cut anywhere that is aligned. */
	size_t done = 0;
	int err = 0;
	while (done < iov.len && err >= 0) {
		Iov rest = iov_part(iov, done, iov.len - done);
		unsigned n = MIN(rest.n, PIECES_MAX);
		size_t len = MIN(iov_all(rest.v, n).len - rest.skip, rest.len);
		err = host_request(node, offset + done, iov_part(rest, 0, len), write);
		done += len;
	}
	return err;
}

static int file_read(Node *node, uint64_t offset, Iov iov)
{
	return request(node, offset, iov, false);
}

static int file_flush(Node *node)
{
	return loop_fdatasync(NODE_STATE(node, File)->fd);
}

static int file_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	int err = request(node, offset, iov, true);
	if (err >= 0 && flags & REQ_FUA && !(node->flags & NODE_NO_FLUSH))
		err = file_flush(node);
	return err;
}

/* ---- Holes ---- */

typedef struct Range { int fd; int mode; uint64_t offset, bytes; bool device; } Range;

static int fallocate_job(void *opaque)
{
	Range *r = opaque;
	int err;
	do
		err = fallocate(r->fd, r->mode, (off_t)r->offset, (off_t)r->bytes) < 0 ? -errno : 0;
	while (err == -EINTR);
	return err;
}

static bool not_supported(int err)
{
	return err == -ENOTSUP || err == -ENOSYS || err == -ENOTTY || err == -EINVAL ||
	       err == -ENODEV;
}

static int punch(Node *node, uint64_t offset, uint64_t bytes)
{
	File *f = node->state;
	if (f->no_punch)
		return -ENOTSUP;
	Range r = { f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes, f->device };
	int err = loop_work(fallocate_job, &r);
	if (!not_supported(err))
		return err;
	f->no_punch = true;
	return -ENOTSUP;
}

static int file_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	File *f = node->state;
	int err = flags & REQ_UNMAP ? punch(node, offset, bytes) : -ENOTSUP;
	if (err == -ENOTSUP && !f->no_zero_range) {
		Range r = {f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, bytes,
			   f->device};
		err = loop_work(fallocate_job, &r);
		if (not_supported(err)) {
			f->no_zero_range = true;
			err = -ENOTSUP;
		}
	}
	if (err >= 0 && flags & REQ_FUA && !(node->flags & NODE_NO_FLUSH))
		err = file_flush(node);
	return err;
}

static int file_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	return punch(node, offset, bytes);
}

static int file_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	File *f = node->state;
	out->flags = STATUS_ALLOCATED | STATUS_DATA | STATUS_OFFSET;
	out->map = offset;
	out->file = node;
	if (!want_zero || f->device)
		return 0;
	off_t data = lseek(f->fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		return 0;
	if (data < 0 || (uint64_t)data > offset) {
		/* A hole, up to data or the end. */
		out->flags = STATUS_ALLOCATED | STATUS_ZERO | STATUS_OFFSET;
		if (data >= 0)
			out->bytes = MIN(out->bytes, (uint64_t)data - offset);
		out->bytes = MAX(out->bytes & ~(uint64_t)(node->align - 1), node->align);
		return 0;
	}
	off_t hole = lseek(f->fd, (off_t)offset, SEEK_HOLE);
	if (hole > (off_t)offset)
		out->bytes = MIN(out->bytes, ((uint64_t)hole - offset + node->align - 1) &
						 ~(uint64_t)(node->align - 1));
	return 0;
}

/* ---- Length ---- */

typedef struct Resize { int fd; uint64_t from, to; Prealloc prealloc; } Resize;

static int write_zero_file(int fd, uint64_t from, uint64_t to)
{
	size_t size = 1 << 20;
	void *buf = g_malloc0(size);
	int err = 0;
	while (from < to && !err) {
		ssize_t n = pwrite(fd, buf, MIN(size, to - from), (off_t)from);
		if (n > 0) {
			/* The medium works beside us rather than after us; fsync tells of errors. */
			sync_file_range(fd, (off_t)from, n, SYNC_FILE_RANGE_WRITE);
			from += (uint64_t)n;
		} else if (n == 0 || errno != EINTR) {
			err = n == 0 ? -EIO : -errno;
		}
	}
	g_free(buf);
	return err ? err : fsync(fd) < 0 ? -errno : 0;
}

static int resize_job(void *opaque)
{
	Resize *r = opaque;
	int err = 0;
	if (r->prealloc == PREALLOC_FALLOC && r->to > r->from) {
		/* posix_fallocate gives an error number; it writes where the file system cannot. */
		err = -posix_fallocate(r->fd, (off_t)r->from, (off_t)(r->to - r->from));
	} else {
		err = ftruncate(r->fd, (off_t)r->to) < 0 ? -errno : 0;
		if (!err && r->prealloc == PREALLOC_FULL && r->to > r->from)
			err = write_zero_file(r->fd, r->from, r->to);
	}
	if (err && r->to > r->from && ftruncate(r->fd, (off_t)r->from) < 0)
		return err; /* the file stays longer: harmless, the error is told */
	return err;
}

static bool file_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc,
			  GError **error)
{
	File *f = node->state;
	if (f->device) {
		if (length == node->length || (!exact && length < node->length))
			return true;
		return fail(error, VIV_ERROR_UNSUPPORTED, "Cannot resize device files");
	}
	if (prealloc == PREALLOC_METADATA)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported preallocation mode '%s'",
			    "metadata");
	if (prealloc != PREALLOC_OFF && length < node->length)
		return fail(error, VIV_ERROR_INVALID,
			    "Preallocation can't be used for shrinking files");
	Resize r = { f->fd, node->length, length, prealloc };
	int err = loop_work(resize_job, &r);
	if (err < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not resize '%s': %s", f->filename,
			    g_strerror(-err));
	node->length = length;
	return true;
}

static int64_t file_allocated(Node *node)
{
	struct stat st;
	return fstat(NODE_STATE(node, File)->fd, &st) < 0 ? -1 : (int64_t)st.st_blocks * 512;
}

/* ---- Creating ---- */

static bool create_resize(int fd, uint64_t size, Prealloc prealloc, const char *filename,
			  GError **error)
{
	struct stat st;
	uint64_t have = 0;
	if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &have) < 0 || have < size)
			return fail(error, VIV_ERROR_FAILED,
				    "Device '%s' is smaller than %" PRIu64 " bytes.", filename,
				    size);
		return true;
	}
	Resize r = { fd, 0, size, prealloc };
	int err = loop_work(resize_job, &r);
	return err >= 0 || fail(error, VIV_ERROR_FAILED, "%s: Could not resize file: %s", filename,
				g_strerror(-err));
}

static bool file_create(const char *filename, json_t *opts, GError **error)
{
	static const Prealloc modes[] = { PREALLOC_OFF, PREALLOC_FALLOC, PREALLOC_FULL };
	const char *word = opt_text(opts, "preallocation");
	Prealloc prealloc = PREALLOC_OFF;
	for (unsigned i = 0; word && prealloc_values[i]; i++)
		if (!strcmp(word, prealloc_values[i]))
			prealloc = modes[i];
	int fd = open(filename, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		int err = errno;
		return fail(error, VIV_ERROR_FAILED, "Could not create '%s': %s", filename,
			    g_strerror(err));
	}
	unsigned used = 0, unshared = 0;
	unsigned all = IMAGE_WRITE | IMAGE_RESIZE;
	bool ok =
	    !file_lock_works(fd) || file_lock(fd, all, all, &used, &unshared, filename, error);
	struct stat st;
	/* Emptied only once it is ours. */
	if (ok && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
		ok = fail(error, VIV_ERROR_FAILED, "Could not empty '%s': %s", filename,
			  g_strerror(errno));
	int on = 0;
	if (ok && opt_bool(opts, "nocow", false) && ioctl(fd, FS_IOC_GETFLAGS, &on) == 0) {
		on |= FS_NOCOW_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &on); /* as documented: other file systems ignore it */
	}
	ok = ok && create_resize(fd, opt_size(opts, "size", 0), prealloc, filename, error);
	close(fd);
	return ok;
}

/* ---- Devices ---- */

static int device_probe(const uint8_t *head, size_t len, const char *filename)
{
	return 0; /* named by users; `file` opens devices too */
}

#define FILE_CALLBACKS                                                                             \
	.protocol = true, .size = sizeof(File), .options = file_options, .open = file_open,        \
	.close = file_close, .read = file_read, .write = file_write,                               \
	.write_zeroes = file_write_zeroes, .discard = file_discard, .flush = file_flush,           \
	.copy_range = file_copy_range,                                                             \
	.status = file_status, .truncate = file_truncate, .allocated = file_allocated,             \
	.set_writable = file_set_writable, .probe = device_probe

const Driver file_driver = {
    .name = "file",
    .desc = "a file of the host",
    .create_options = file_create_options,
    .create = file_create,
    FILE_CALLBACKS,
};

const Driver host_device_driver = {
    .name = "host_device",
    .desc = "a block device of the host",
    .create_options = file_create_options,
    .create = file_create,
    FILE_CALLBACKS,
};

const Driver host_cdrom_driver = {
    .name = "host_cdrom", .desc = "a CD drive of the host", FILE_CALLBACKS};
