/*
 * request.c - requests on nodes: bounds, alignment, zeroes, and what drivers leave out.
 *
 * Threads: see node.h.
 */
#include "block/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BOUNCE_MAX (1u << 20)   /* buffers of zeroes and of copies */

/* A write in flight on a node whose driver wants aligned requests; lives on the fiber's stack. */
struct NodeRequest {
	uint64_t start, end;     /* widened to node->align */
	struct NodeRequest *next;
};
typedef struct NodeRequest Request;

static bool in_bounds(const Node *node, uint64_t offset, uint64_t bytes)
{
	return offset <= node->length && bytes <= node->length - offset;
}

static uint64_t align_down(uint64_t v, uint32_t align) { return v & ~(uint64_t)(align - 1); }
static uint64_t align_up(uint64_t v, uint32_t align)
{
	return (v + align - 1) & ~(uint64_t)(align - 1);
}

static void request_end(Node *node)
{
	if (--node->in_flight == 0)
		fiber_queue_wake_all(&node->request_ended);
}

void node_drain(Node *node)
{
	while (node->in_flight)
		fiber_queue_wait(&node->request_ended);
}

/*
 * Writes to blocks that another is reading, changing and writing back must wait, or their
 * bytes would be undone. Only nodes with an alignment have such writes.
 */
static void serialize_begin(Node *node, Request *r, uint64_t offset, uint64_t bytes)
{
	r->start = align_down(offset, node->align);
	r->end = align_up(offset + bytes, node->align);
again:
	for (Request *o = node->requests; o; o = o->next)
		if (o->start < r->end && r->start < o->end) {
			fiber_queue_wait(&node->request_ended);
			goto again;
		}
	r->next = node->requests;
	node->requests = r;
}

static void serialize_end(Node *node, Request *r)
{
	Request **at = &node->requests;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	fiber_queue_wake_all(&node->request_ended);
}

/* ---- Reading ---- */

static int read_unaligned(Node *node, uint64_t offset, Iov iov)
{
	uint64_t start = align_down(offset, node->align),
		 end = align_up(offset + iov.len, node->align);
	while (start < end) {
		size_t len = MIN(end - start, BOUNCE_MAX);
		void *buf;
		if (posix_memalign(&buf, MAX(node->align, 512), len))
			return -ENOMEM;
		struct iovec v = { buf, len };
		/* A last, broken block of the node reads as if filled up with zeroes. */
		int err = node->driver->read(node, start, iov_one(&v));
		if (err >= 0) {
			uint64_t from = MAX(offset, start), to = MIN(offset + iov.len, start + len);
			iov_copy_in(iov, from - offset, (char *)buf + (from - start), to - from);
		}
		free(buf);
		if (err < 0)
			return err;
		start += len;
	}
	return 0;
}

int node_read(Node *node, uint64_t offset, Iov iov)
{
	if (!in_bounds(node, offset, iov.len))
		return -EIO;
	if (!iov.len)
		return 0;
	node->in_flight++;
	int err = (offset | iov.len) & (node->align - 1) ? read_unaligned(node, offset, iov)
		: node->driver->read(node, offset, iov);
	request_end(node);
	return err;
}

/* ---- Writing ---- */

static int write_unaligned(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	uint64_t start = align_down(offset, node->align),
		 end = align_up(offset + iov.len, node->align);
	while (start < end) {
		size_t len = MIN(end - start, BOUNCE_MAX);
		uint64_t from = MAX(offset, start), to = MIN(offset + iov.len, start + len);
		void *buf;
		if (posix_memalign(&buf, MAX(node->align, 512), len))
			return -ENOMEM;
		struct iovec v = { buf, len };
		int err = 0;
		if (from != start || to != start + len)
			err = node->driver->read(node, start, iov_one(&v));
		if (err >= 0) {
			iov_copy_out(iov, from - offset, (char *)buf + (from - start), to - from);
			err = node->driver->write(node, start, iov_one(&v), flags);
		}
		free(buf);
		if (err < 0)
			return err;
		start += len;
	}
	return 0;
}

/* With zeroes looked for; the request is counted and serialized by the caller. */
static int write_data(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	if ((offset | iov.len) & (node->align - 1))
		return write_unaligned(node, offset, iov, flags);
	return node->driver->write(node, offset, iov, flags);
}

static bool may_write(const Node *node, uint64_t offset, uint64_t bytes, int *err)
{
	*err = node->read_only			 ? -EPERM
	       : !node->driver->write		 ? -ENOTSUP
	       : !in_bounds(node, offset, bytes) ? -EIO
						 : 0;
	return !*err;
}

/* Is this a write past the end that makes the file longer? */
static bool may_grow(const Node *node, uint64_t offset, uint64_t bytes)
{
	return node->grows && !node->read_only && offset <= NODE_LENGTH_MAX &&
	       bytes <= NODE_LENGTH_MAX - offset;
}

/* Runs fn as one write of the node. */
#define AS_WRITE(node, offset, bytes, call) ({ \
	Request r_; \
	(node)->in_flight++; \
	bool track_ = (node)->align > 1; \
	if (track_) \
		serialize_begin(node, &r_, offset, bytes); \
	int err_ = (call); \
	if (track_) \
		serialize_end(node, &r_); \
	request_end(node); \
	err_; })

int node_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	int err;
	bool inside = may_write(node, offset, iov.len, &err);
	if ((!inside && !may_grow(node, offset, iov.len)) || !iov.len)
		return err;
	if (inside && node->detect_zeroes && iov_is_zero(iov))
		return node_write_zeroes(node, offset, iov.len,
					 flags | (node->detect_unmap ? REQ_UNMAP : 0));
	err = AS_WRITE(node, offset, iov.len, write_data(node, offset, iov, flags));
	if (err >= 0 && !inside)
		node->length = MAX(node->length, align_up(offset + iov.len, node->align));
	return err;
}

int node_write_compressed(Node *node, uint64_t offset, Iov iov)
{
	if (node->read_only)
		return -EPERM;
	if (!node->driver->write_compressed)
		return -ENOTSUP;
	if (!in_bounds(node, offset, iov.len))
		return -EIO;
	return AS_WRITE(node, offset, iov.len, node->driver->write_compressed(node, offset, iov));
}

/* Where the driver cannot: buffers of zeroes. */
static int write_zero_buffers(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	size_t size = MIN(align_up(bytes, 4096), BOUNCE_MAX);
	void *zeroes;
	if (posix_memalign(&zeroes, 4096, size))
		return -ENOMEM;
	memset(zeroes, 0, size);
	int err = 0;
	while (bytes && err >= 0) {
		struct iovec v = { zeroes, MIN(bytes, size) };
		err = write_data(node, offset, iov_one(&v), flags & REQ_FUA);
		offset += v.iov_len;
		bytes -= v.iov_len;
	}
	free(zeroes);
	return err;
}

static int zero_range(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	uint64_t start = align_up(offset, node->align),
		 end = align_down(offset + bytes, node->align);
	int err = node->driver->write_zeroes && start < end
		? node->driver->write_zeroes(node, start, end - start, flags) : -ENOTSUP;
	if (err == -ENOTSUP && !(flags & REQ_NO_FALLBACK))
		return write_zero_buffers(node, offset, bytes, flags);
	if (err >= 0 && offset < start)
		err = write_zero_buffers(node, offset, start - offset, flags);
	if (err >= 0 && end < offset + bytes)
		err = write_zero_buffers(node, end, offset + bytes - end, flags);
	return err;
}

int node_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	int err;
	if (!may_write(node, offset, bytes, &err) || !bytes)
		return err;
	if (!(node->flags & NODE_UNMAP))
		flags &= ~(unsigned)REQ_UNMAP;
	return AS_WRITE(node, offset, bytes, zero_range(node, offset, bytes, flags));
}

int node_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	int err;
	if (!may_write(node, offset, bytes, &err))
		return err;
	/* Only whole blocks: a hint need not be followed. */
	uint64_t start = align_up(offset, node->align),
		 end = align_down(offset + bytes, node->align);
	if (!(node->flags & NODE_UNMAP) || !node->driver->discard || start >= end)
		return 0;
	err = AS_WRITE(node, start, end - start, node->driver->discard(node, start, end - start));
	return err == -ENOTSUP ? 0 : err;
}

int node_flush(Node *node)
{
	int err = 0;
	node->in_flight++;
	if (node->driver->flush && !(node->driver->protocol && node->flags & NODE_NO_FLUSH))
		err = node->driver->flush(node);
	if (err >= 0 && node->file && !node->file->read_only)
		err = node_flush(node->file);
	for (unsigned i = 0; err >= 0 && i < node->children->len; i++) {
		Node *child = g_ptr_array_index(node->children, i);
		if (!child->read_only)
			err = node_flush(child);
	}
	request_end(node);
	return err;
}

int node_pread(Node *node, uint64_t offset, void *buf, size_t len)
{
	size_t have = offset >= node->length ? 0 : MIN(len, node->length - offset);
	struct iovec v = { buf, have };
	memset((char *)buf + have, 0, len - have);
	return have ? node_read(node, offset, iov_one(&v)) : 0;
}

int node_pwrite(Node *node, uint64_t offset, const void *buf, size_t len)
{
	struct iovec v = { (void *)buf, len };
	return node_write(node, offset, iov_one(&v), 0);
}

int node_pwrite_sync(Node *node, uint64_t offset, const void *buf, size_t len)
{
	int err = node_pwrite(node, offset, buf, len);
	return err < 0 ? err : node_flush(node);
}

/* ---- What lies where ---- */

int node_status(Node *node, uint64_t offset, uint64_t bytes, bool want_zero, NodeStatus *out)
{
	*out = (NodeStatus){ .file = node->file };
	if (offset >= node->length) {
		out->flags = STATUS_EOF;
		return 0;
	}
	bytes = out->bytes = MIN(bytes, node->length - offset);
	if (!node->driver->status) {
		out->flags = STATUS_DATA | STATUS_ALLOCATED;
	} else {
		/* Drivers are asked about whole blocks. */
		uint64_t start = align_down(offset, node->align);
		out->bytes = align_up(offset + bytes, node->align) - start;
		node->in_flight++;
		int err = node->driver->status(node, start, want_zero, out);
		request_end(node);
		if (err < 0)
			return err;
		if (out->flags & STATUS_OFFSET)
			out->map += offset - start;
		out->bytes = MIN(out->bytes - (offset - start), bytes);
	}
	if (out->flags & STATUS_RECURSE && want_zero && out->flags & STATUS_DATA &&
	    out->flags & STATUS_OFFSET && out->file) {
		NodeStatus below;
		if (node_status(out->file, out->map, out->bytes, true, &below) >= 0 &&
		    below.bytes) {
			if (below.flags & STATUS_ZERO)
				out->flags |= STATUS_ZERO;
			if (!(below.flags & STATUS_DATA) && !strcmp(node->driver->name, "raw"))
				out->flags &= ~(unsigned)STATUS_DATA;
			out->bytes = MIN(out->bytes, below.bytes);
		} else {
			/* The table points past the end of the file: that reads as zeroes. */
			out->flags |= STATUS_ZERO;
		}
	}
	out->flags &= ~(unsigned)STATUS_RECURSE;
	if (offset + out->bytes >= node->length)
		out->flags |= STATUS_EOF;
	return 0;
}

int node_status_above(Node *node, Node *base, uint64_t offset, uint64_t bytes, bool want_zero,
	NodeStatus *out, unsigned *depth)
{
	unsigned layer = 0;
	uint64_t end = offset + bytes;
	*out = (NodeStatus){ .bytes = bytes };
	for (Node *n = node; n && n != base; n = n->backing, layer++) {
		int err = node_status(n, offset, end - offset, want_zero, out);
		if (err < 0)
			return err;
		if (n != node && offset >= n->length) {
			/* Past the end of a shorter backing file there are zeroes. */
			*out = (NodeStatus){.flags = STATUS_ZERO | STATUS_ALLOCATED,
					    .bytes = end - offset};
			break;
		}
		if (out->flags & STATUS_ALLOCATED)
			break;
		end = offset + out->bytes;
	}
	if (!(out->flags & STATUS_ALLOCATED)) {
		out->bytes = end - offset;
		if (!base)
			out->flags |= STATUS_ZERO;
	}
	out->flags &= ~(unsigned)STATUS_EOF;
	if (offset + out->bytes >= node->length)
		out->flags |= STATUS_EOF;
	if (depth)
		*depth = layer;
	return 0;
}

/* ---- Length ---- */

bool node_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	if (node->read_only)
		return fail(error, VIV_ERROR_FAILED, "Image is read-only");
	if (length > NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_INVALID,
			    "Image size too large; the largest is %" G_GINT64_FORMAT " bytes.",
			    (gint64)NODE_LENGTH_MAX);
	if (!node->driver->truncate)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			    "Image format driver does not support resize");
	node->in_flight++;
	bool ok = node->driver->truncate(node, length, exact, prealloc, error);
	request_end(node);
	return ok;
}

int64_t node_allocated(Node *node)
{
	if (node->driver->protocol)
		return node->driver->allocated ? node->driver->allocated(node) : -1;
	int64_t sum = node->file ? node_allocated(node->file) : -1;
	for (unsigned i = 0; i < node->children->len; i++) {
		int64_t n = node_allocated(g_ptr_array_index(node->children, i));
		if (n > 0)
			sum = (sum > 0 ? sum : 0) + n;
	}
	return sum;
}
