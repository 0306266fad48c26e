/*
 * vdi.c - VirtualBox's disk images, dynamic and static.
 *
 * Source: the description "All about VDIs" of VirtualBox's forum: a header of one sector, a
 * table of 32-bit block numbers, blocks of 1 MiB in the order of their first write. Left out:
 * differencing images (a parent's UUID), other block sizes, snapshots. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	VDI_SIGNATURE = 0x40, VDI_VERSION = 0x44, VDI_HEADER_SIZE = 0x48, VDI_TYPE = 0x4c,
	VDI_TABLE = 0x154, VDI_DATA = 0x158, VDI_SECTOR = 0x168, VDI_SIZE = 0x170,
	VDI_BLOCK = 0x178, VDI_EXTRA = 0x17c, VDI_BLOCKS = 0x180, VDI_ALLOCATED = 0x184,
	VDI_UUID = 0x188, VDI_UUID_SNAP = 0x198, VDI_UUID_LINK = 0x1a8, VDI_UUID_PARENT = 0x1b8,
	TYPE_DYNAMIC = 1, TYPE_STATIC = 2,
	BLOCK = 1 << 20,
	BLOCKS_MAX = 1 << 26, /* 64 TiB: a table of 256 MiB */
};
#define VDI_MAGIC 0xbeda107fu
#define BLOCK_NONE 0xffffffffu
#define BLOCK_ZERO 0xfffffffeu

typedef struct Vdi {
	BlockMap map;
	uint32_t type, blocks, allocated;
	uint64_t table_at, data_at;
	uint8_t *table; /* as in the file */
} Vdi;

static const BlockOption create_options[] = {
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ "static", OPT_BOOL, 0, "off", "VDI static (pre-allocated) image" },
	{ 0 }
};

/* ---- The table --------------------------------------------------------------------------------- */

static int vdi_find(Node *node, uint64_t offset, Place *out)
{
	Vdi *s = node->state;
	uint64_t index = offset / BLOCK;
	if (index >= s->blocks)
		return -EIO;
	uint32_t entry = le32(s->table + 4 * index);
	out->start = index * BLOCK;
	out->bytes = BLOCK;
	out->kind = entry == BLOCK_NONE ? PLACE_NONE : entry == BLOCK_ZERO ? PLACE_ZERO : PLACE_DATA;
	out->host = s->data_at + (uint64_t)entry * BLOCK;
	return out->kind == PLACE_DATA && entry >= s->blocks ? -EIO : 0;
}

static int vdi_place(Node *node, Place *p)
{
	Vdi *s = node->state;
	if (s->allocated >= s->blocks)
		return -EIO;
	p->aux = s->allocated;
	p->host = s->data_at + (uint64_t)s->allocated * BLOCK;
	return 0;
}

static int vdi_enter(Node *node, Place *p)
{
	Vdi *s = node->state;
	uint64_t index = p->start / BLOCK;
	uint8_t entry[4], count[4];
	set_le32(entry, (uint32_t)p->aux);
	set_le32(count, s->allocated + 1);
	/* The number first: what a crash leaves is a block too many, not one used twice. */
	int ret = node_pwrite(node->file, VDI_ALLOCATED, count, 4);
	if (ret < 0)
		return ret;
	s->allocated++;
	ret = node_pwrite(node->file, s->table_at + 4 * index, entry, 4);
	if (ret >= 0)
		memcpy(s->table + 4 * index, entry, 4);
	return ret;
}

static const BlockMapOps vdi_ops = { vdi_find, vdi_place, vdi_enter, NULL, NULL };

/* ---- Opening ----------------------------------------------------------------------------------- */

static int vdi_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= SECTOR && le32(head + VDI_SIGNATURE) == VDI_MAGIC ? 100 : 0;
}

static bool check_header(Node *node, const uint8_t *h, GError **error)
{
	static const uint8_t none[16];
	Vdi *s = node->state;
	if (le32(h + VDI_SIGNATURE) != VDI_MAGIC)
		return fail(error, VIV_ERROR_INVALID, "Image not in VDI format (bad signature %08" PRIx32 ")",
			le32(h + VDI_SIGNATURE));
	if (le32(h + VDI_VERSION) != 0x00010001)
		return fail(error, VIV_ERROR_UNSUPPORTED, "unsupported VDI image (version %u.%u)",
			le32(h + VDI_VERSION) >> 16, le32(h + VDI_VERSION) & 0xffff);
	if (s->type != TYPE_DYNAMIC && s->type != TYPE_STATIC)
		return fail(error, VIV_ERROR_UNSUPPORTED, "unsupported VDI image (type %" PRIu32 ")", s->type);
	if (s->table_at % SECTOR || s->data_at % SECTOR || s->table_at < SECTOR)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"unsupported VDI image (block map or data at an odd offset)");
	if (le32(h + VDI_SECTOR) != SECTOR || le32(h + VDI_BLOCK) != BLOCK || le32(h + VDI_EXTRA))
		return fail(error, VIV_ERROR_UNSUPPORTED, "unsupported VDI image (sector size %" PRIu32
			", block size %" PRIu32 " and %" PRIu32 "; 512, 1048576 and 0 are supported)",
			le32(h + VDI_SECTOR), le32(h + VDI_BLOCK), le32(h + VDI_EXTRA));
	if (s->blocks > BLOCKS_MAX || node->length > (uint64_t)s->blocks * BLOCK)
		return fail(error, VIV_ERROR_INVALID, "unsupported VDI image (disk of %" PRIu64
			" bytes in %" PRIu32 " blocks)", node->length, s->blocks);
	if (memcmp(h + VDI_UUID_LINK, none, 16) || memcmp(h + VDI_UUID_PARENT, none, 16))
		return fail(error, VIV_ERROR_UNSUPPORTED, "unsupported VDI image (it has a parent image)");
	if (s->table_at > node->file->length || 4ull * s->blocks > node->file->length - s->table_at)
		return fail(error, VIV_ERROR_INVALID, "the VDI image's block map lies past its end");
	return true;
}

static bool vdi_open(Node *node, GError **error)
{
	Vdi *s = node->state;
	uint8_t h[SECTOR];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read VDI header: %s", g_strerror(-ret));
	s->map.ops = &vdi_ops;
	s->type = le32(h + VDI_TYPE);
	s->blocks = le32(h + VDI_BLOCKS);
	s->table_at = le32(h + VDI_TABLE);
	s->data_at = le32(h + VDI_DATA);
	node->align = SECTOR;
	uint64_t size = le64(h + VDI_SIZE);
	node->length = size > UINT64_MAX - SECTOR ? size : (size + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	if (!check_header(node, h, error))
		return false;
	s->table = g_try_malloc(MAX(4 * (size_t)s->blocks, 4));
	ret = s->table ? node_pread(node->file, s->table_at, s->table, 4 * (size_t)s->blocks) : -ENOMEM;
	if (ret < 0) {
		g_free(s->table);
		return fail(error, VIV_ERROR_FAILED, "Could not read VDI block map: %s", g_strerror(-ret));
	}
	/* New blocks go behind all that the table knows, whatever the header counts. */
	s->allocated = le32(h + VDI_ALLOCATED);
	for (uint32_t i = 0; i < s->blocks; i++) {
		uint32_t entry = le32(s->table + 4 * (size_t)i);
		if (entry < s->blocks && entry >= s->allocated)
			s->allocated = entry + 1;
	}
	return true;
}

static void vdi_close(Node *node)
{
	g_free(NODE_STATE(node, Vdi)->table);
}

static int vdi_check(Node *node, CheckResult *result, unsigned fix)
{
	Vdi *s = node->state;
	uint64_t found = 0;
	g_autofree uint8_t *seen = g_try_malloc0(s->blocks / 8 + 1);
	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->blocks; i++) {
		uint32_t entry = le32(s->table + 4 * (size_t)i);
		if (entry >= BLOCK_ZERO)
			continue;
		bool twice = entry < s->blocks && seen[entry / 8] & 1 << entry % 8;
		if (entry >= s->blocks || twice) {
			result->corruptions++;
			if (result->report)
				g_string_append_printf(result->report, "ERROR: block index %" PRIu32
					" %s %" PRIu32 "\n", i, twice ? "also used by another:" : "is out of range:",
					entry);
			continue;
		}
		seen[entry / 8] |= 1 << entry % 8;
		found++;
	}
	result->total_clusters = s->blocks;
	result->allocated_clusters = found;
	return 0;
}

/* ---- Creating ---------------------------------------------------------------------------------- */

static void build_header(uint8_t *h, uint64_t size, uint32_t blocks, bool is_static, uint32_t data_at)
{
	memset(h, 0, SECTOR);
	strcpy((char *)h, "<<< VirtualBox Disk Image, made by Vivarium >>>\n");
	set_le32(h + VDI_SIGNATURE, VDI_MAGIC);
	set_le32(h + VDI_VERSION, 0x00010001);
	set_le32(h + VDI_HEADER_SIZE, 0x180);
	set_le32(h + VDI_TYPE, is_static ? TYPE_STATIC : TYPE_DYNAMIC);
	set_le32(h + VDI_TABLE, SECTOR);
	set_le32(h + VDI_DATA, data_at);
	set_le32(h + VDI_SECTOR, SECTOR);
	set_le64(h + VDI_SIZE, size);
	set_le32(h + VDI_BLOCK, BLOCK);
	set_le32(h + VDI_BLOCKS, blocks);
	set_le32(h + VDI_ALLOCATED, is_static ? blocks : 0);
	for (unsigned i = 0; i < 32; i += 4)
		set_le32(h + VDI_UUID + i, g_random_int());
	/* Version 4, as random ones are called; bytes as Microsoft orders them. */
	for (unsigned at = VDI_UUID; at <= VDI_UUID_SNAP; at += 16) {
		h[at + 7] = (h[at + 7] & 0x0f) | 0x40;
		h[at + 8] = (h[at + 8] & 0x3f) | 0x80;
	}
}

static bool vdi_create(const char *filename, json_t *opts, GError **error)
{
	uint64_t size = blockmap_size(opts), blocks = size / BLOCK + (size % BLOCK != 0);
	bool is_static = opt_bool(opts, "static", false);
	uint8_t header[SECTOR];
	if (blocks > BLOCKS_MAX)
		return fail(error, VIV_ERROR_INVALID, "Unsupported VDI image size (size is 0x%" PRIx64
			", max supported is 0x%" PRIx64 ")", size, (uint64_t)BLOCKS_MAX * BLOCK);
	size_t table_bytes = (4 * blocks + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	g_autofree uint8_t *table = g_try_malloc0(MAX(table_bytes, 1));
	if (!table)
		return fail(error, VIV_ERROR_FAILED, "not enough memory for the block map");
	for (uint64_t i = 0; i < blocks; i++)
		set_le32(table + 4 * i, is_static ? (uint32_t)i : BLOCK_NONE);
	uint64_t data_at = SECTOR + table_bytes;
	build_header(header, size, blocks, is_static, data_at);
	NewPart parts[] = { { 0, header, SECTOR }, { SECTOR, table, table_bytes } };
	return blockmap_create(filename, opts, data_at + (is_static ? blocks * BLOCK : 0), parts, 2, error);
}

static void vdi_info(Node *node, NodeInfo *out)
{
	out->cluster_size = BLOCK;
}

const Driver vdi_driver = {
	.name = "vdi", .desc = "VirtualBox's disk image", .size = sizeof(Vdi),
	.create_options = create_options, .probe = vdi_probe, .open = vdi_open, .close = vdi_close,
	.create = vdi_create, .read = blockmap_read, .write = blockmap_write,
	.write_zeroes = blockmap_write_zeroes, .status = blockmap_status, .info = vdi_info,
	.check = vdi_check, .set_writable = blockmap_set_writable,
};
