/*
 * copy_on_read.c - the filter copy-on-read: what is read from below the child's own layer is
 * written into that layer, so that it is at hand the next time.
 *
 * Left out: bottom=. Threads: see node.h. The lock is held alone while data move up, and shared
 * by the guest's writes, as an old copy must not land on a newer write.
 */
#include <errno.h>

#include "block/drivers.h"

enum { COPY_MOST = 1 << 20, UNIT = 64 << 10 };

typedef struct CopyOnRead {
	FiberRwLock lock;
} CopyOnRead;

static bool cor_open(Node *node, GError **error)
{
	node->length = node->file->length;
	node->align = node->file->align;
	node->read_only = node->file->read_only;
	return true;
}

static void cor_close(Node *node)
{
}

/* ---- Reading ---- */

/* Moves [start, end) of the child's chain into its top layer. Lock held alone. */
static int move_up(Node *file, uint64_t start, uint64_t end)
{
	g_autofree uint8_t *buf = g_try_malloc(MIN(end - start, COPY_MOST));
	int ret = buf ? 0 : -ENOMEM;
	for (uint64_t n; start < end && ret >= 0; start += n) {
		n = MIN(end - start, COPY_MOST);
		struct iovec v = { buf, n };
		ret = node_read(file, start, iov_one(&v));
		if (ret >= 0)
			ret = buffer_is_zero(buf, n) ? node_write_zeroes(file, start, n, 0)
				: node_write(file, start, iov_one(&v), 0);
	}
	return ret;
}

/* Whole clusters: the child would have to fill them up anyway. */
static uint64_t unit_of(Node *file)
{
	NodeInfo info = { 0 };
	if (file->driver->info)
		file->driver->info(file, &info);
	return info.cluster_size ? info.cluster_size : UNIT;
}

static int move_missing(Node *node, uint64_t offset, uint64_t bytes)
{
	Node *file = node->file;
	uint64_t unit = unit_of(file), end = offset + bytes;
	int ret = 0;
	for (NodeStatus st; offset < end && ret >= 0; offset += st.bytes) {
		ret = node_status(file, offset, end - offset, false, &st);
		if (ret < 0 || !st.bytes || st.flags & STATUS_ALLOCATED)
			continue;
		uint64_t from = offset / unit * unit, to = offset + st.bytes;
		ret = move_up(file, from, MIN((to + unit - 1) / unit * unit, file->length));
	}
	return ret;
}

static bool has_all(Node *file, uint64_t offset, uint64_t bytes)
{
	NodeStatus st;
	for (uint64_t end = offset + bytes; offset < end; offset += st.bytes)
		if (node_status(file, offset, end - offset, false, &st) < 0 || !st.bytes
			|| !(st.flags & STATUS_ALLOCATED))
			return false;
	return true;
}

static int cor_read(Node *node, uint64_t offset, Iov iov)
{
	CopyOnRead *s = node->state;
	if (!node->file->read_only && node->file->backing && !has_all(node->file, offset, iov.len)) {
		fiber_wrlock(&s->lock);
		int ret = move_missing(node, offset, iov.len);
		fiber_wrunlock(&s->lock);
		if (ret < 0)
			return ret;
	}
	return node_read(node->file, offset, iov);
}

/* ---- What goes through ---- */

static int cor_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	CopyOnRead *s = node->state;
	fiber_rdlock(&s->lock);
	int ret = node_write(node->file, offset, iov, flags);
	fiber_rdunlock(&s->lock);
	return ret;
}

static int cor_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	CopyOnRead *s = node->state;
	fiber_rdlock(&s->lock);
	int ret = node_write_zeroes(node->file, offset, bytes, flags);
	fiber_rdunlock(&s->lock);
	return ret;
}

static int cor_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	CopyOnRead *s = node->state;
	fiber_rdlock(&s->lock);
	int ret = node_discard(node->file, offset, bytes);
	fiber_rdunlock(&s->lock);
	return ret;
}

/* Of the whole chain: the filter has no layer of its own. */
static int cor_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	int ret = node_status_above(node->file, NULL, offset, out->bytes, want_zero, out, NULL);
	out->flags = (out->flags & (STATUS_DATA | STATUS_ZERO)) | STATUS_ALLOCATED;
	return ret;
}

static bool cor_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	if (!node_truncate(node->file, length, exact, prealloc, error))
		return false;
	node->length = node->file->length;
	return true;
}

static bool cor_set_writable(Node *node, bool writable, GError **error)
{
	return true;
}

const Driver copy_on_read_driver = {
	.name = "copy-on-read", .desc = "keeps what is read from backing files",
	.filter = true, .size = sizeof(CopyOnRead), .open = cor_open, .close = cor_close, .read = cor_read,
	.write = cor_write, .write_zeroes = cor_write_zeroes, .discard = cor_discard,
	.status = cor_status, .truncate = cor_truncate, .set_writable = cor_set_writable,
};

Node *node_open_copy_on_read(Node *base, unsigned flags, GError **error)
{
	json_t *opts = json_pack("{s:s, s:s}", "driver", "copy-on-read", "file", base->name);
	Node *node = node_open(base->loop, NULL, opts, flags, error);
	node_unref(base); /* the filter has one of its own */
	return node;
}
