/*
 * vpc.c - Virtual PC's and Hyper-V's first format, VHD: dynamic and fixed.
 *
 * Source: Microsoft's "Virtual Hard Disk Image Format Specification", 1.0. A dynamic image has
 * a copy of its footer in front, a table of blocks, and before each block a bitmap of its
 * sectors. Left out: differencing images, saved states; bitmaps are written (all sectors in
 * use) and not read, as without a parent both readings are zeroes. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	FOOTER = 512, DYNAMIC_HEADER = 1024,
	F_FEATURES = 8, F_VERSION = 12, F_DATA = 16, F_TIME = 24, F_APP = 28, F_APP_VERSION = 32,
	F_OS = 36, F_ORIGINAL = 40, F_SIZE = 48, F_CYLS = 56, F_HEADS = 58, F_SECS = 59, F_TYPE = 60,
	F_SUM = 64, F_UUID = 68,
	D_NEXT = 8, D_TABLE = 16, D_VERSION = 24, D_ENTRIES = 28, D_BLOCK = 32, D_SUM = 36,
	TYPE_FIXED = 2, TYPE_DYNAMIC = 3,
	BLOCK = 2 << 20,
	ENTRIES_MAX = 1 << 26,
};
#define ENTRY_NONE 0xffffffffu
#define CHS_MAX (65535ull * 16 * 255)
#define SECTORS_MAX 0xff000000ull

typedef struct Vpc {
	BlockMap map;
	int size_calc;              /* option */
	bool fixed;
	uint8_t footer[FOOTER];
	uint32_t entries, block, bitmap;
	uint64_t table_at, end;     /* end: where the footer is, and the next block will be */
	uint8_t *table;
} Vpc;

static const char *const size_calcs[] = { "auto", "current_size", "chs", NULL };
static const BlockOption options[] = {
	{ "force_size_calc", OPT_ENUM, offsetof(Vpc, size_calc), NULL,
		"Force disk size calculation to use either CHS geometry, or use the disk current_size "
		"specified in the VHD footer. {chs, current_size}", size_calcs },
	{ 0 }
};
static const char *const subformats[] = { "dynamic", "fixed", NULL };
static const BlockOption create_options[] = {
	{ "force_size", OPT_BOOL, 0, NULL, "Force disk size calculation to use the actual size "
		"specified, rather than using the nearest CHS-based calculation" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ "subformat", OPT_ENUM, 0, NULL,
		"Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} ",
		subformats },
	{ 0 }
};

static uint32_t checksum(const uint8_t *p, size_t len, size_t at)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum += i - at < 4 ? 0 : p[i];
	return ~sum;
}

/* ---- The table --------------------------------------------------------------------------------- */

static int vpc_find(Node *node, uint64_t offset, Place *out)
{
	Vpc *s = node->state;
	if (s->fixed) {
		*out = (Place){ PLACE_DATA, node->file, 0, node->length, 0, 0, 0 };
		return 0;
	}
	uint64_t index = offset / s->block;
	if (index >= s->entries)
		return -EIO;
	uint32_t entry = be32(s->table + 4 * index);
	out->start = index * s->block;
	out->bytes = s->block;
	out->kind = entry == ENTRY_NONE ? PLACE_NONE : PLACE_DATA;
	out->host = (uint64_t)entry * SECTOR + s->bitmap;
	return 0;
}

/* The bitmap in front, and the footer behind the new block before anything names it. */
static int vpc_place(Node *node, Place *p)
{
	Vpc *s = node->state;
	if (s->end / SECTOR >= ENTRY_NONE)
		return -EFBIG;
	g_autofree uint8_t *bits = g_try_malloc(s->bitmap);
	if (!bits)
		return -ENOMEM;
	memset(bits, 0xff, s->bitmap);
	p->aux = s->end / SECTOR;
	p->host = s->end + s->bitmap;
	int ret = node_pwrite(node->file, p->host + s->block, s->footer, FOOTER);
	/* Over the old footer, and whatever lies there: the block starts as zeroes. */
	if (ret >= 0)
		ret = node_pwrite(node->file, s->end, bits, s->bitmap);
	return ret;
}

static int vpc_enter(Node *node, Place *p)
{
	Vpc *s = node->state;
	uint64_t index = p->start / s->block;
	uint8_t entry[4];
	set_be32(entry, (uint32_t)p->aux);
	s->end = p->host + s->block;
	int ret = node_pwrite(node->file, s->table_at + 4 * index, entry, 4);
	if (ret >= 0)
		memcpy(s->table + 4 * index, entry, 4);
	return ret;
}

static const BlockMapOps vpc_ops = { vpc_find, vpc_place, vpc_enter, NULL, NULL };

/* ---- Opening ----------------------------------------------------------------------------------- */

static int vpc_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= 8 && !memcmp(head, "conectix", 8) ? 100 : 0;
}

/* Virtual PC itself goes by the geometry; those who name themselves so by the size. */
static uint64_t size_of(const Vpc *s)
{
	static const char *const by_size[] = { "win ", "qem2", "d2v ", "tap", "CTXS", "wa" };
	const uint8_t *f = s->footer;
	uint64_t chs = (uint64_t)be16(f + F_CYLS) * f[F_HEADS] * f[F_SECS];
	bool use_chs = s->size_calc != 1;
	for (unsigned i = 0; i < G_N_ELEMENTS(by_size) && !s->size_calc; i++)
		if (!strncmp((const char *)f + F_APP, by_size[i], MIN(strlen(by_size[i]) + 1, 4)))
			use_chs = false;
	return use_chs && (chs != CHS_MAX || s->size_calc == 2) ? chs : be64(f + F_SIZE) / SECTOR;
}

/* The footer: in front, or of fixed images only behind. */
static bool read_footer(Node *node, GError **error)
{
	Vpc *s = node->state;
	uint8_t *f = s->footer;
	int ret = node_pread(node->file, 0, f, FOOTER);
	bool front = ret >= 0 && !memcmp(f, "conectix", 8) && be32(f + F_TYPE) != TYPE_FIXED;
	if (ret >= 0 && !front && node->file->length >= FOOTER)
		ret = node_pread(node->file, node->file->length - FOOTER, f, FOOTER);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Unable to read VHD header: %s", g_strerror(-ret));
	if (memcmp(f, "conectix", 8))
		return fail(error, VIV_ERROR_INVALID, "invalid VPC image (no 'conectix' at its start or end)");
	if (checksum(f, FOOTER, F_SUM) != be32(f + F_SUM))
		return fail(error, VIV_ERROR_INVALID, "Incorrect header checksum: the VPC image is damaged");
	s->fixed = be32(f + F_TYPE) == TYPE_FIXED;
	if (!s->fixed && (be32(f + F_TYPE) != TYPE_DYNAMIC || !front))
		return fail(error, VIV_ERROR_UNSUPPORTED, "VPC image of type %" PRIu32
			" (2, fixed, and 3, dynamic, are supported)", be32(f + F_TYPE));
	return true;
}

static bool read_dynamic(Node *node, uint64_t sectors, GError **error)
{
	Vpc *s = node->state;
	uint8_t d[DYNAMIC_HEADER];
	uint64_t at = be64(s->footer + F_DATA);
	int ret = at > node->file->length ? -EINVAL : node_pread(node->file, at, d, sizeof(d));
	if (ret < 0)
		return fail(error, VIV_ERROR_INVALID, "Unable to read dynamic VHD header: %s",
			g_strerror(-ret));
	if (memcmp(d, "cxsparse", 8))
		return fail(error, VIV_ERROR_INVALID, "Invalid header magic: no 'cxsparse'");
	s->block = be32(d + D_BLOCK);
	s->entries = be32(d + D_ENTRIES);
	s->table_at = be64(d + D_TABLE);
	if (s->block < SECTOR || s->block > 1u << 30 || s->block & (s->block - 1))
		return fail(error, VIV_ERROR_INVALID, "Invalid block size %" PRIu32, s->block);
	s->bitmap = (s->block / SECTOR / 8 + SECTOR - 1) & ~(SECTOR - 1);
	if (s->entries > ENTRIES_MAX || (uint64_t)s->entries * (s->block / SECTOR) < sectors)
		return fail(error, VIV_ERROR_INVALID,
			"the VPC image's table of %" PRIu32 " blocks does not fit its size", s->entries);
	if (s->table_at > node->file->length || 4ull * s->entries > node->file->length - s->table_at)
		return fail(error, VIV_ERROR_INVALID, "the VPC image's table lies past its end");
	s->table = g_try_malloc(MAX(4 * (size_t)s->entries, 4));
	ret = s->table ? node_pread(node->file, s->table_at, s->table, 4 * (size_t)s->entries) : -ENOMEM;
	if (ret < 0) {
		g_free(s->table);
		return fail(error, VIV_ERROR_FAILED, "could not read the table of blocks: %s",
			g_strerror(-ret));
	}
	s->end = (s->table_at + 4ull * s->entries + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	for (uint32_t i = 0; i < s->entries; i++) {
		uint32_t entry = be32(s->table + 4 * (size_t)i);
		if (entry != ENTRY_NONE)
			s->end = MAX(s->end, (uint64_t)entry * SECTOR + s->bitmap + s->block);
	}
	return true;
}

static bool vpc_open(Node *node, GError **error)
{
	Vpc *s = node->state;
	s->map.ops = &vpc_ops;
	if (!read_footer(node, error))
		return false;
	uint64_t sectors = size_of(s);
	node->align = SECTOR;
	if (sectors > SECTORS_MAX)
		return fail(error, VIV_ERROR_INVALID, "the VPC image's disk is larger than 2040 GiB");
	if (s->fixed && sectors > (node->file->length - FOOTER) / SECTOR)
		return fail(error, VIV_ERROR_INVALID, "the fixed VPC image is shorter than its disk");
	node->length = sectors * SECTOR;
	return s->fixed || read_dynamic(node, sectors, error);
}

static void vpc_close(Node *node)
{
	g_free(NODE_STATE(node, Vpc)->table);
}

static void vpc_info(Node *node, NodeInfo *out)
{
	Vpc *s = node->state;
	out->cluster_size = s->fixed ? 0 : s->block;
}

/* ---- Creating ---------------------------------------------------------------------------------- */

/* The specification's appendix: cylinders, heads and sectors for a number of sectors. */
static void geometry(uint64_t sectors, uint8_t *f)
{
	uint32_t secs, heads, tracks;
	sectors = MIN(sectors, CHS_MAX);
	if (sectors >= 65535 * 16 * 63) {
		secs = 255;
		heads = 16;
		tracks = sectors / secs;
	} else {
		secs = 17;
		tracks = sectors / secs;
		heads = MAX((tracks + 1023) / 1024, 4);
		if (tracks >= heads * 1024 || heads > 16) {
			secs = 31;
			heads = 16;
			tracks = sectors / secs;
		}
		if (tracks >= heads * 1024) {
			secs = 63;
			heads = 16;
			tracks = sectors / secs;
		}
	}
	set_be16(f + F_CYLS, tracks / heads);
	f[F_HEADS] = heads;
	f[F_SECS] = secs;
}

/* A geometry that holds the disk; its size is then the disk's, or the disk's is kept. */
static uint64_t choose_size(uint64_t sectors, bool force, uint8_t *f)
{
	uint64_t goal = MIN(sectors, CHS_MAX), chs = 0;
	geometry(goal, f);
	if (force)
		return sectors;
	for (uint64_t i = 0; i < 65536 * 16 && chs < goal; i++) {
		geometry(goal + i, f);
		chs = (uint64_t)be16(f + F_CYLS) * f[F_HEADS] * f[F_SECS];
	}
	return chs == CHS_MAX ? sectors : chs;
}

static void build_footer(uint8_t *f, uint64_t sectors, bool fixed, bool force)
{
	memcpy(f, "conectix", 8);
	set_be32(f + F_FEATURES, 2);
	set_be32(f + F_VERSION, 0x00010000);
	set_be64(f + F_DATA, fixed ? UINT64_MAX : FOOTER);
	/* Seconds since 2000. */
	set_be32(f + F_TIME, (uint32_t)(time(NULL) - 946684800));
	/* Readers know by this name whether geometry or size decides. */
	memcpy(f + F_APP, force ? "qem2" : "qemu", 4);
	set_be32(f + F_APP_VERSION, 0x00050003);
	memcpy(f + F_OS, "Wi2k", 4);
	set_be64(f + F_ORIGINAL, sectors * SECTOR);
	set_be64(f + F_SIZE, sectors * SECTOR);
	set_be32(f + F_TYPE, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
	for (unsigned i = 0; i < 16; i += 4)
		set_be32(f + F_UUID + i, g_random_int());
	set_be32(f + F_SUM, checksum(f, FOOTER, F_SUM));
}

static bool create_dynamic(const char *filename, json_t *opts, uint64_t sectors, const uint8_t *f,
	GError **error)
{
	uint8_t d[DYNAMIC_HEADER] = { 0 };
	uint32_t entries = (sectors + BLOCK / SECTOR - 1) / (BLOCK / SECTOR);
	size_t bytes = (4 * (size_t)entries + SECTOR - 1) & ~(size_t)(SECTOR - 1);
	g_autofree uint8_t *table = g_malloc(MAX(bytes, 1));
	memset(table, 0xff, bytes);
	memcpy(d, "cxsparse", 8);
	set_be64(d + D_NEXT, UINT64_MAX);
	set_be64(d + D_TABLE, FOOTER + DYNAMIC_HEADER);
	set_be32(d + D_VERSION, 0x00010000);
	set_be32(d + D_ENTRIES, entries);
	set_be32(d + D_BLOCK, BLOCK);
	set_be32(d + D_SUM, checksum(d, DYNAMIC_HEADER, D_SUM));
	uint64_t end = FOOTER + DYNAMIC_HEADER + bytes;
	NewPart parts[] = { { 0, f, FOOTER }, { FOOTER, d, sizeof(d) },
		{ FOOTER + DYNAMIC_HEADER, table, bytes }, { end, f, FOOTER } };
	return blockmap_create(filename, opts, end + FOOTER, parts, 4, error);
}

static bool vpc_create(const char *filename, json_t *opts, GError **error)
{
	uint64_t sectors = blockmap_size(opts) / SECTOR;
	uint8_t f[FOOTER] = { 0 };
	const char *sub = opt_text(opts, "subformat");
	bool fixed = sub && !strcmp(sub, "fixed"), force = opt_bool(opts, "force_size", false);
	if (sectors <= SECTORS_MAX)
		sectors = choose_size(sectors, force, f);
	if (sectors > SECTORS_MAX)
		return fail(error, VIV_ERROR_INVALID, "Disk size is too large, max size is 2040 GiB");
	build_footer(f, sectors, fixed, force);
	if (!fixed)
		return create_dynamic(filename, opts, sectors, f, error);
	NewPart part = { sectors * SECTOR, f, FOOTER };
	return blockmap_create(filename, opts, sectors * SECTOR + FOOTER, &part, 1, error);
}

const Driver vpc_driver = {
	.name = "vpc", .desc = "Virtual PC's disk image (VHD)", .size = sizeof(Vpc), .options = options,
	.create_options = create_options, .probe = vpc_probe, .open = vpc_open, .close = vpc_close,
	.create = vpc_create, .read = blockmap_read, .write = blockmap_write,
	.write_zeroes = blockmap_write_zeroes, .status = blockmap_status, .info = vpc_info,
	.set_writable = blockmap_set_writable,
};
