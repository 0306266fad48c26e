/*
 * bochs.c - growing images of Bochs, read-only.
 *
 * Source: Bochs' documentation, "Growing disk image": a header of 512 bytes, a catalog of 32-bit
 * numbers, extents each of which begins with a bitmap of its sectors; numbers little-endian.
 * Left out: undoable and volatile images, which need another. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	B_TYPE = 32, B_SUBTYPE = 48, B_VERSION = 64, B_HEADER = 68, B_CATALOG = 72, B_BITMAP = 76,
	B_EXTENT = 80, B_DISK_V1 = 84, B_DISK = 88, CATALOG_MOST = 0x100000, EXTENT_LARGEST = 0x800000,
	VERSION_1 = 0x10000, VERSION_2 = 0x20000
};
#define NO_EXTENT 0xffffffffu
static const char magic[] = "Bochs Virtual HD Image";

typedef struct Bochs {
	BlockMap map;
	uint32_t entries, extent, bitmap_sectors;
	uint64_t data_at;
	uint8_t *catalog;
	TableCache bitmaps;
} Bochs;

static int bochs_probe(const uint8_t *h, size_t len, const char *filename)
{
	return len >= SECTOR && !memcmp(h, magic, sizeof(magic)) && !memcmp(h + B_TYPE, "Redolog", 8)
		&& !memcmp(h + B_SUBTYPE, "Growing", 8)
		&& (le32(h + B_VERSION) == VERSION_1 || le32(h + B_VERSION) == VERSION_2) ? 100 : 0;
}

/* One sector: its bit says whether it was ever written. */
static int bochs_find(Node *node, uint64_t offset, Place *out)
{
	Bochs *s = node->state;
	uint64_t index = offset / s->extent;
	uint32_t sector = offset % s->extent / SECTOR;
	const uint8_t *bitmap;
	out->start = offset & ~(uint64_t)(SECTOR - 1);
	out->bytes = SECTOR;
	out->kind = PLACE_NONE;
	uint32_t entry = index < s->entries ? le32(s->catalog + 4 * index) : NO_EXTENT;
	if (entry == NO_EXTENT) {
		out->start = index * s->extent;
		out->bytes = s->extent;
		return 0;
	}
	uint64_t at = s->data_at + entry * (uint64_t)(s->bitmap_sectors * SECTOR + s->extent);
	int ret = tables_get(&s->bitmaps, node->file, at, s->bitmap_sectors * SECTOR, &bitmap);
	if (ret < 0)
		return ret;
	if (bitmap[sector / 8] & 1 << sector % 8)
		out->kind = PLACE_DATA;
	out->host = at + (s->bitmap_sectors + (uint64_t)sector) * SECTOR;
	return 0;
}

static const BlockMapOps bochs_ops = { .find = bochs_find };

static bool read_header(Node *node, GError **error)
{
	Bochs *s = node->state;
	uint8_t h[SECTOR];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not read the header: %s", g_strerror(-ret));
	if (!bochs_probe(h, sizeof(h), ""))
		return fail(error, VIV_ERROR_INVALID, "Image not in Bochs format");
	uint64_t disk = le64(h + (le32(h + B_VERSION) == VERSION_1 ? B_DISK_V1 : B_DISK));
	uint32_t bitmap = le32(h + B_BITMAP);
	s->entries = le32(h + B_CATALOG);
	s->extent = le32(h + B_EXTENT);
	if (s->entries > CATALOG_MOST)
		return fail(error, VIV_ERROR_INVALID, "Catalog size is too large");
	if (s->extent < SECTOR || s->extent & (s->extent - 1) || s->extent > EXTENT_LARGEST)
		return fail(error, VIV_ERROR_INVALID, "Extent size must be a power of two between 512 and "
			"8 MiB, and is %" PRIu32, s->extent);
	if (bitmap > SECTOR * 8 || bitmap * 8ull < s->extent / SECTOR)
		return fail(error, VIV_ERROR_INVALID, "a bitmap of %" PRIu32
			" bytes does not fit an extent of %" PRIu32, bitmap, s->extent);
	s->bitmap_sectors = (bitmap + SECTOR - 1) / SECTOR;
	node->length = disk & ~(uint64_t)(SECTOR - 1);
	if (disk > (uint64_t)NODE_LENGTH_MAX || s->entries < node->length / s->extent)
		return fail(error, VIV_ERROR_INVALID, "Catalog size is too small for this disk size");
	s->data_at = le32(h + B_HEADER) + 4ull * s->entries;
	if (s->data_at > node->file->length)
		return fail(error, VIV_ERROR_INVALID, "the catalog lies past the image's end");
	s->catalog = g_malloc(MAX(4 * s->entries, 4));
	ret = node_pread(node->file, le32(h + B_HEADER), s->catalog, 4 * s->entries);
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "could not read the catalog: %s",
		g_strerror(-ret));
}

static bool bochs_open(Node *node, GError **error)
{
	Bochs *s = node->state;
	s->map.ops = &bochs_ops;
	node->read_only = true;
	node->align = SECTOR;
	if (read_header(node, error))
		return true;
	g_free(s->catalog);
	return false;
}

static void bochs_close(Node *node)
{
	Bochs *s = node->state;
	tables_free(&s->bitmaps);
	g_free(s->catalog);
}

const Driver bochs_driver = {
	.name = "bochs", .desc = "growing image of Bochs, read-only", .size = sizeof(Bochs),
	.probe = bochs_probe, .open = bochs_open, .close = bochs_close, .read = blockmap_read,
	.status = blockmap_status,
};
