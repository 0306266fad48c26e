/*
 * dmg.c - Apple's disk images (UDIF), read-only: raw, zero, zlib and bzip2 chunks.
 *
 * Source: Apple's property lists and the published descriptions of UDIF: a trailer "koly" of 512
 * bytes names a property list (or a resource fork) whose "blkx" entries are tables "mish" of
 * chunks; all numbers big-endian. Left out: ADC, LZFSE and LZMA chunks, images in segments,
 * encrypted ones. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_BZIP2
#include <bzlib.h>
#endif

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	TRAILER = 512, T_DATA_FORK = 0x18, T_RSRC = 0x28, T_RSRC_LEN = 0x30, T_XML = 0xd8,
	T_XML_LEN = 0xe0, T_SECTORS = 0x1ec,
	M_SECTOR = 8, M_OFFSET = 0x18, M_CHUNKS = 204, CHUNK = 40,
	R_DATA = 0, R_DATA_LEN = 8, XML_LONGEST = 16 << 20, CHUNK_LONGEST = 64 << 20,
	CHUNKS_MOST = 1 << 22
};
typedef enum ChunkKind {
	CHUNK_ZERO = 0, CHUNK_RAW = 1, CHUNK_IGNORE = 2, CHUNK_COMMENT = 0x7ffffffe,
	CHUNK_ZLIB = (int)0x80000005, CHUNK_BZIP2 = (int)0x80000006, CHUNK_END = (int)0xffffffff
} ChunkKind;

/* A run of sectors; all in bytes. */
typedef struct Chunk {
	ChunkKind kind;
	uint64_t start, bytes, host, len;
} Chunk;

typedef struct Dmg {
	BlockMap map;
	GArray *chunks; /* Chunk, by start */
} Dmg;

static int dmg_probe(const uint8_t *head, size_t len, const char *filename)
{
	return filename && g_str_has_suffix(filename, ".dmg") ? 2 : 0;
}

/* ---- Chunks ---------------------------------------- */

static int dmg_find(Node *node, uint64_t offset, Place *out)
{
	GArray *chunks = NODE_STATE(node, Dmg)->chunks;
	guint low = 0, high = chunks->len;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		const Chunk *c = &g_array_index(chunks, Chunk, middle);
		if (offset < c->start)
			high = middle;
		else if (offset - c->start >= c->bytes)
			low = middle + 1;
		else
			low = high = middle;
	}
	const Chunk *c = low < chunks->len ? &g_array_index(chunks, Chunk, low) : NULL;
	if (!c || offset < c->start || offset - c->start >= c->bytes)
		return -EIO;
	out->start = c->start;
	out->bytes = c->bytes;
	out->host = c->host;
	out->aux = c->len;
	out->aux2 = (uint32_t)c->kind;
	out->kind = c->kind == CHUNK_RAW ? PLACE_DATA
		: c->kind == CHUNK_ZERO || c->kind == CHUNK_IGNORE ? PLACE_ZERO : PLACE_PACKED;
	return 0;
}

typedef struct Unpack { bool bzip2; uint8_t *in, *out; size_t in_len, out_len; } Unpack;

static int unpack_job(void *opaque)
{
	Unpack *u = opaque;
#ifdef HAVE_BZIP2
	unsigned n = (unsigned)u->out_len;
	if (u->bzip2)
		return BZ2_bzBuffToBuffDecompress((char *)u->out, &n, (char *)u->in, (unsigned)u->in_len, 0,
			0) == BZ_OK && n == u->out_len ? 0 : -EIO;
#endif
	uLongf len = u->out_len;
	return uncompress(u->out, &len, u->in, u->in_len) == Z_OK && len == u->out_len ? 0 : -EIO;
}

static int dmg_unpack(Node *node, const Place *p, uint8_t *buf)
{
	g_autofree uint8_t *packed = g_try_malloc(MAX(p->aux, 1));
	Unpack u = { (ChunkKind)p->aux2 == CHUNK_BZIP2, packed, buf, p->aux, p->bytes };
	int ret = packed ? node_pread(node->file, p->host, packed, p->aux) : -ENOMEM;
	return ret < 0 ? ret : loop_work(unpack_job, &u);
}

static const BlockMapOps dmg_ops = { .find = dmg_find, .unpack = dmg_unpack };

static bool known_kind(ChunkKind kind, GError **error)
{
	switch ((uint32_t)kind) {
	case CHUNK_ZERO: case CHUNK_RAW: case CHUNK_IGNORE: case (uint32_t)CHUNK_ZLIB:
		return true;
	case (uint32_t)CHUNK_BZIP2:
#ifdef HAVE_BZIP2
		return true;
#else
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the image has chunks compressed by bzip2, which this build lacks");
#endif
	default:
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the image has chunks of type 0x%08" PRIx32 ", which is not supported", (uint32_t)kind);
	}
}

/* One table "mish", `len` bytes. fork: where its offsets count from. */
static bool read_table(Node *node, const uint8_t *m, size_t len, uint64_t fork, GError **error)
{
	Dmg *s = node->state;
	uint64_t first = be64(m + M_SECTOR), base = fork + be64(m + M_OFFSET);
	for (size_t at = M_CHUNKS; at + CHUNK <= len; at += CHUNK) {
		Chunk c = { .kind = (ChunkKind)be32(m + at) };
		uint64_t sector = be64(m + at + 8) + first, count = be64(m + at + 16);
		if (c.kind == CHUNK_COMMENT || c.kind == CHUNK_END)
			continue;
		if (!known_kind(c.kind, error))
			return false;
		c.host = base + be64(m + at + 24);
		c.len = be64(m + at + 32);
		c.start = sector * SECTOR;
		c.bytes = count * SECTOR;
		bool packed = c.kind == CHUNK_ZLIB || c.kind == CHUNK_BZIP2;
		if (sector > (uint64_t)NODE_LENGTH_MAX / SECTOR || count > (uint64_t)NODE_LENGTH_MAX / SECTOR
			|| (packed && (c.bytes > CHUNK_LONGEST || c.len > CHUNK_LONGEST))
			|| c.host > (uint64_t)NODE_LENGTH_MAX || s->chunks->len >= CHUNKS_MOST)
			return fail(error, VIV_ERROR_INVALID, "sector count %" PRIu64 " for chunk %u is larger "
				"than max, or its place is impossible", count, s->chunks->len);
		if (count)
			g_array_append_val(s->chunks, c);
	}
	return true;
}

static bool is_table(const uint8_t *data, size_t len)
{
	return len >= M_CHUNKS && !memcmp(data, "mish", 4);
}

/* ---- Where tables are ---------------------------------------- */

static uint8_t *read_part(Node *node, uint64_t offset, uint64_t len, GError **error)
{
	if (!len || len > XML_LONGEST || offset > node->file->length || len > node->file->length - offset) {
		fail(error, VIV_ERROR_INVALID, "the image's tables lie past its end");
		return NULL;
	}
	uint8_t *data = g_malloc0(len + 1);
	int ret = node_pread(node->file, offset, data, len);
	if (ret >= 0)
		return data;
	g_free(data);
	fail(error, VIV_ERROR_FAILED, "the image's tables could not be read: %s", g_strerror(-ret));
	return NULL;
}

/* Every <data> of the property list that is a table. */
static bool read_xml(Node *node, uint64_t offset, uint64_t len, uint64_t fork, GError **error)
{
	g_autofree char *xml = (char *)read_part(node, offset, len, error);
	for (char *at = xml; at && (at = strstr(at, "<data>")); ) {
		char *text = at + strlen("<data>"), *end = strstr(text, "</data>");
		gsize bytes;
		if (!end)
			return fail(error, VIV_ERROR_INVALID, "the image's property list is damaged");
		*end = 0;
		g_autofree guchar *data = g_base64_decode(text, &bytes);
		if (is_table(data, bytes) && !read_table(node, data, bytes, fork, error))
			return false;
		at = end + 1;
	}
	return xml != NULL;
}

/* The older way: a resource fork, whose data are lengths and bytes in a row. */
static bool read_fork(Node *node, uint64_t offset, uint64_t len, uint64_t fork, GError **error)
{
	g_autofree uint8_t *data = read_part(node, offset, len, error);
	if (!data)
		return false;
	uint64_t at = len >= 16 ? be32(data + R_DATA) : len, end = len >= 16 ? at + be32(data + R_DATA_LEN) : 0;
	if (end > len || at > end)
		return fail(error, VIV_ERROR_INVALID, "the image's resource fork is damaged");
	while (at + 4 <= end) {
		uint64_t bytes = be32(data + at);
		at += 4;
		if (!bytes || bytes > end - at)
			return fail(error, VIV_ERROR_INVALID, "the image's resource fork is damaged");
		if (is_table(data + at, bytes) && !read_table(node, data + at, bytes, fork, error))
			return false;
		at += bytes;
	}
	return true;
}

/* ---- Opening ---------------------------------------- */

/* The trailer is the last sector, or ends in it. */
static bool find_trailer(Node *node, uint8_t *trailer, GError **error)
{
	uint8_t tail[2 * TRAILER - 1];
	size_t len = MIN(node->file->length, sizeof(tail));
	int ret = node_pread(node->file, node->file->length - len, tail, len);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not read the trailer: %s", g_strerror(-ret));
	for (size_t at = 0; at + TRAILER <= len; at++)
		if (!memcmp(tail + at, "koly\0\0\0\4", 8)) {
			memcpy(trailer, tail + at, TRAILER);
			return true;
		}
	return fail(error, VIV_ERROR_INVALID,
		len < TRAILER ? "image file must be at least 512 bytes"
			: "Could not locate UDIF trailer in dmg file");
}

static gint by_start(gconstpointer a, gconstpointer b)
{
	const Chunk *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static bool read_tables(Node *node, GError **error)
{
	Dmg *s = node->state;
	uint8_t t[TRAILER] = { 0 };
	if (!find_trailer(node, t, error))
		return false;
	uint64_t fork = be64(t + T_DATA_FORK);
	if (be64(t + T_RSRC_LEN) ? !read_fork(node, be64(t + T_RSRC), be64(t + T_RSRC_LEN), fork, error)
		: !read_xml(node, be64(t + T_XML), be64(t + T_XML_LEN), fork, error))
		return false;
	g_array_sort(s->chunks, by_start);
	for (guint i = 0; i < s->chunks->len; i++) {
		const Chunk *c = &g_array_index(s->chunks, Chunk, i);
		if (c->start < node->length)
			return fail(error, VIV_ERROR_INVALID, "chunks %u and %u of the image overlap", i - 1, i);
		node->length = c->start + c->bytes;
	}
	return node->length <= (uint64_t)NODE_LENGTH_MAX
		|| fail(error, VIV_ERROR_INVALID, "Image too large");
}

static bool dmg_open(Node *node, GError **error)
{
	Dmg *s = node->state;
	s->map.ops = &dmg_ops;
	s->chunks = g_array_new(FALSE, FALSE, sizeof(Chunk));
	node->read_only = true;
	node->align = SECTOR;
	if (read_tables(node, error))
		return true;
	g_array_free(s->chunks, TRUE);
	return false;
}

static void dmg_close(Node *node)
{
	Dmg *s = node->state;
	blockmap_forget(&s->map);
	g_array_free(s->chunks, TRUE);
}

const Driver dmg_driver = {
	.name = "dmg", .desc = "Apple's disk image, read-only", .size = sizeof(Dmg), .probe = dmg_probe,
	.open = dmg_open, .close = dmg_close, .read = blockmap_read,
};
