/*
 * cloop.c - compressed loop images (Knoppix), read-only.
 *
 * Source: the header of the kernel module cloop 2.x: 128 bytes of shell script, the block size,
 * the number of blocks, then one more offset than blocks, all big-endian; each block is a zlib
 * stream. Left out: version 0.68 and 4. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	C_BLOCK = 128, C_BLOCKS = 132, C_TABLE = 136,
	BLOCK_LARGEST = 64 << 20, BLOCKS_MOST = (512 << 20) / 8
};
static const char magic[] = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 "
	"/dev/cloop $1\n";

typedef struct Cloop {
	BlockMap map;
	uint32_t block, blocks;
	uint8_t *table;
} Cloop;

static int cloop_probe(const uint8_t *head, size_t len, const char *filename)
{
	return !memcmp(head, magic, MIN(len, sizeof(magic) - 1)) && len >= SECTOR ? 2 : 0;
}

static int cloop_find(Node *node, uint64_t offset, Place *out)
{
	Cloop *s = node->state;
	uint64_t index = offset / s->block;
	out->start = index * s->block;
	out->bytes = s->block;
	out->kind = PLACE_PACKED;
	out->host = be64(s->table + 8 * index);
	out->aux = be64(s->table + 8 * (index + 1)) - out->host;
	return 0;
}

typedef struct Inflate { uint8_t *in, *out; size_t in_len, out_len; } Inflate;

static int inflate_job(void *opaque)
{
	Inflate *i = opaque;
	uLongf len = i->out_len;
	return uncompress(i->out, &len, i->in, i->in_len) == Z_OK && len == i->out_len ? 0 : -EIO;
}

static int cloop_unpack(Node *node, const Place *p, uint8_t *buf)
{
	g_autofree uint8_t *packed = g_try_malloc(MAX(p->aux, 1));
	Inflate i = { packed, buf, p->aux, p->bytes };
	int ret = packed ? node_pread(node->file, p->host, packed, p->aux) : -ENOMEM;
	return ret < 0 ? ret : loop_work(inflate_job, &i);
}

static const BlockMapOps cloop_ops = { .find = cloop_find, .unpack = cloop_unpack };

static bool check_table(Node *node, GError **error)
{
	Cloop *s = node->state;
	for (uint32_t i = 0; i < s->blocks; i++) {
		uint64_t from = be64(s->table + 8 * (size_t)i), to = be64(s->table + 8 * (size_t)(i + 1));
		if (to < from || to > node->file->length)
			return fail(error, VIV_ERROR_INVALID, "offsets not monotonically increasing at index %"
				PRIu32 ", image file is corrupt", i + 1);
		if (to - from > 2ull * s->block)
			return fail(error, VIV_ERROR_INVALID, "invalid compressed block size at index %" PRIu32
				", image file is corrupt", i + 1);
	}
	return true;
}

static bool read_table(Node *node, GError **error)
{
	Cloop *s = node->state;
	uint8_t h[C_TABLE];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not read the header: %s", g_strerror(-ret));
	s->block = be32(h + C_BLOCK);
	s->blocks = be32(h + C_BLOCKS);
	if (!s->block || s->block % SECTOR || s->block > BLOCK_LARGEST)
		return fail(error, VIV_ERROR_INVALID,
			"block_size %" PRIu32 " must be a multiple of 512, and 64 MB or less", s->block);
	size_t bytes = 8 * ((size_t)s->blocks + 1);
	if (s->blocks > BLOCKS_MOST || bytes > node->file->length)
		return fail(error, VIV_ERROR_INVALID, "image requires too many offsets, try increasing "
			"block size");
	s->table = g_try_malloc(bytes);
	ret = s->table ? node_pread(node->file, C_TABLE, s->table, bytes) : -ENOMEM;
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not read the table: %s", g_strerror(-ret));
	return check_table(node, error);
}

static bool cloop_open(Node *node, GError **error)
{
	Cloop *s = node->state;
	s->map.ops = &cloop_ops;
	node->read_only = true;
	node->align = SECTOR;
	if (!read_table(node, error)) {
		g_free(s->table);
		return false;
	}
	node->length = (uint64_t)s->blocks * s->block;
	return true;
}

static void cloop_close(Node *node)
{
	Cloop *s = node->state;
	blockmap_forget(&s->map);
	g_free(s->table);
}

const Driver cloop_driver = {
	.name = "cloop", .desc = "compressed loop image, read-only", .size = sizeof(Cloop),
	.probe = cloop_probe, .open = cloop_open, .close = cloop_close, .read = blockmap_read,
};
