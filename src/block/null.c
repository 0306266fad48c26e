/*
 * null.c - null-co: a disk that holds nothing, for benchmarks and tests.
 *
 * As qemu's: reads leave the buffer alone unless read-zeroes=on. Threads: see node.h.
 */
#include "block/drivers.h"

typedef struct Null {
	char *filename;
	uint64_t size;
	int64_t latency;   /* ns each request takes */
	bool read_zeroes;
} Null;

static const BlockOption null_options[] = {
    {"filename", OPT_STRING, offsetof(Null, filename), NULL, "ignored"},
    {"size", OPT_SIZE, offsetof(Null, size), "1G", "size of the null block"},
    {"latency-ns", OPT_INT, offsetof(Null, latency), NULL,
     "nanoseconds to wait before completing a request"},
    {"read-zeroes", OPT_BOOL, offsetof(Null, read_zeroes), "off", "return zeroes when read"},
    {0}};

static bool null_open(Node *node, GError **error)
{
	Null *n = node->state;
	if (n->latency < 0)
		return fail(error, VIV_ERROR_INVALID, "latency-ns is invalid");
	node->length = n->size;
	node->filename = g_strdup("null-co://");
	return true;
}

static void null_close(Node *node)
{
}

static int null_wait(Node *node)
{
	Null *n = node->state;
	if (n->latency)
		loop_sleep(n->latency);
	return 0;
}

static int null_read(Node *node, uint64_t offset, Iov iov)
{
	if (NODE_STATE(node, Null)->read_zeroes)
		iov_fill(iov, 0, 0, iov.len);
	return null_wait(node);
}

static int null_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	return null_wait(node);
}

static int null_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	return null_wait(node);
}

static int null_flush(Node *node)
{
	return null_wait(node);
}

static int null_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	out->flags = STATUS_ALLOCATED | STATUS_OFFSET |
		     (NODE_STATE(node, Null)->read_zeroes ? STATUS_ZERO : STATUS_DATA);
	out->map = offset;
	out->file = node;
	return 0;
}

static bool null_set_writable(Node *node, bool writable, GError **error)
{
	return true;
}

const Driver null_co_driver = {
    .name = "null-co",
    .desc = "nothing",
    .protocol = true,
    .size = sizeof(Null),
    .options = null_options,
    .open = null_open,
    .close = null_close,
    .read = null_read,
    .write = null_write,
    .write_zeroes = null_zeroes,
    .flush = null_flush,
    .status = null_status,
    .set_writable = null_set_writable,
};
