/*
 * raw.c - the format that is none: the bytes of the file are the bytes of the disk.
 *
 * Options offset= and size= show a part of the file. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/drivers.h"

typedef struct Raw {
	uint64_t offset, size;  /* options; size 0: to the end */
	bool partial;           /* one of them was given: the length is fixed */
} Raw;

static const BlockOption raw_options[] = {
    {"offset", OPT_SIZE, offsetof(Raw, offset), NULL, "offset in the disk where the image starts"},
    {"size", OPT_SIZE, offsetof(Raw, size), NULL, "virtual disk size"},
    {0}};

static bool raw_open(Node *node, GError **error)
{
	Raw *raw = node->state;
	uint64_t below = node->file->length;
	raw->partial = raw->offset || raw->size;
	if (raw->offset > below)
		return fail(error, VIV_ERROR_INVALID,
			    "Offset (%" PRIu64
			    ") cannot be greater than size of the containing file (%" PRIu64 ")",
			    raw->offset, below);
	if (raw->size > below - raw->offset)
		return fail(error, VIV_ERROR_INVALID,
			    "The sum of offset (%" PRIu64 ") and size (%" PRIu64
			    ") has to be smaller or equal to the actual size of the containing "
			    "file (%" PRIu64 ")",
			    raw->offset, raw->size, below);
	node->length = raw->size ? raw->size : below - raw->offset;
	node->read_only = node->file->read_only;
	return true;
}

static void raw_close(Node *node)
{
}

static int raw_read(Node *node, uint64_t offset, Iov iov)
{
	return node_read(node->file, offset + NODE_STATE(node, Raw)->offset, iov);
}

/* The first sector of a guessed raw image must not turn it into another format under our hands. */
static bool disguises(Node *node, uint64_t offset, Iov iov)
{
	uint8_t head[SECTOR] = { 0 };
	if (!(node->flags & NODE_PROBED) || offset >= SECTOR)
		return false;
	struct iovec v = { head, sizeof(head) };
	if (offset && node_read(node->file, 0, iov_one(&v)) < 0)
		return true;
	iov_copy_out(iov, 0, head + offset, MIN(iov.len, SECTOR - offset));
	return strcmp(driver_probe(head, sizeof(head), "")->name, "raw");
}

static int raw_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	if (disguises(node, offset, iov))
		return -EPERM;
	return node_write(node->file, offset + NODE_STATE(node, Raw)->offset, iov, flags);
}

static int raw_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	return node_write_zeroes(node->file, offset + NODE_STATE(node, Raw)->offset, bytes, flags);
}

static int raw_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	return node_discard(node->file, offset + NODE_STATE(node, Raw)->offset, bytes);
}

static int raw_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	out->flags = STATUS_DATA | STATUS_ALLOCATED | STATUS_OFFSET | STATUS_RECURSE;
	out->map = offset + NODE_STATE(node, Raw)->offset;
	return 0;
}

static bool raw_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	Raw *raw = node->state;
	if (raw->partial)
		return fail(error, VIV_ERROR_INVALID, "Cannot resize fixed-size raw disks");
	if (!node_truncate(node->file, length, exact, prealloc, error))
		return false;
	node->length = node->file->length;
	return true;
}

static bool raw_set_writable(Node *node, bool writable, GError **error)
{
	return true;
}

static bool raw_create(const char *filename, json_t *opts, GError **error)
{
	/* The protocol knows these words. */
	return protocol_create(filename, opts, error);
}

static bool raw_measure(json_t *opts, Node *source, MeasureResult *out, GError **error)
{
	uint64_t size = source ? source->length : opt_size(opts, "size", 0);
	size = (size + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	*out = (MeasureResult){ .required = size, .fully_allocated = size };
	return true;
}

static void raw_info(Node *node, NodeInfo *out)
{
	if (node->file->driver->info)
		node->file->driver->info(node->file, out);
}

static int raw_probe(const uint8_t *head, size_t len, const char *filename)
{
	return 1;
}

const Driver raw_driver = {
    .name = "raw",
    .desc = "no format: the file's bytes",
    .filter = true,
    .size = sizeof(Raw),
    .options = raw_options,
    .create_options = file_create_options,
    .probe = raw_probe,
    .open = raw_open,
    .close = raw_close,
    .create = raw_create,
    .read = raw_read,
    .write = raw_write,
    .write_zeroes = raw_write_zeroes,
    .discard = raw_discard,
    .status = raw_status,
    .truncate = raw_truncate,
    .info = raw_info,
    .measure = raw_measure,
    .set_writable = raw_set_writable,
};
