/* medium.c - see medium.h. */
#include "medium.h"

#include <errno.h>
#include <string.h>

#define TICK 100000 /* ns */
#define DISCARDED 0xdd

static Medium *medium(Node *node)
{
	return *(Medium **)node->state;
}

/* Every request comes by here: it waits, and learns whether it may. */
static int turn(Node *node, uint64_t end)
{
	Medium *m = medium(node);
	m->waiting++;
	for (unsigned i = 0; m->hold && i < m->patience; i++)
		loop_sleep(TICK);
	m->waiting--;
	return m->error ? m->error : end > m->bytes ? -EIO : 0;
}

static int medium_read(Node *node, uint64_t offset, Iov iov)
{
	int err = turn(node, offset + iov.len);
	if (!err)
		iov_copy_in(iov, 0, medium(node)->data + offset, iov.len);
	return err;
}

static int medium_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	int err = turn(node, offset + iov.len);
	if (!err)
		iov_copy_out(iov, 0, medium(node)->data + offset, iov.len);
	return err;
}

static int medium_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	int err = turn(node, offset + bytes);
	medium(node)->zeroes++;
	medium(node)->unmaps += !!(flags & REQ_UNMAP);
	if (!err)
		memset(medium(node)->data + offset, 0, bytes);
	return err;
}

static int medium_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	int err = turn(node, offset + bytes);
	medium(node)->discards++;
	if (!err)
		memset(medium(node)->data + offset, DISCARDED, bytes);
	return err;
}

static int medium_flush(Node *node)
{
	medium(node)->flushes++;
	return turn(node, 0);
}

static void medium_close(Node *node)
{
}

static const Driver medium_driver = {
	.name = "medium", .desc = "medium", .protocol = true, .size = sizeof(Medium *),
	.read = medium_read, .write = medium_write, .write_zeroes = medium_zeroes,
	.discard = medium_discard, .flush = medium_flush, .close = medium_close,
};

Medium *medium_new(uint64_t bytes, unsigned seed)
{
	Medium *m = g_new0(Medium, 1);
	m->data = g_malloc(bytes);
	m->bytes = m->shown = bytes;
	m->patience = 100000;
	for (uint64_t i = 0; i < bytes; i++)
		m->data[i] = (uint8_t)(i / 512 * 7 + i + seed);
	return m;
}

void medium_free(Medium *m)
{
	g_free(m->data);
	g_free(m);
}

/* A null-co node by birth, as drivers are looked up in a constant list. */
Node *medium_node(Medium *m, const char *name)
{
	GError *error = NULL;
	Node *node = node_open(loop_main(), NULL,
		json_pack("{s:s, s:s}", "driver", "null-co", "node-name", name),
		NODE_WRITE | NODE_UNMAP, &error);
	g_assert_no_error(error);
	node->driver = &medium_driver;
	*(Medium **)node->state = m;
	node->length = m->shown;
	return node;
}
