/*
 * parallels.c - Parallels' expandable disk images, both generations of their table.
 *
 * Source: "Parallels Expandable Image File Format", as published with QEMU's documentation of
 * formats. A header of 64 bytes, a table of 32-bit places right behind it, clusters. Left out:
 * the extension with dirty bitmaps (kept, not read), bundles with an XML description. Threads:
 * see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	P_VERSION = 16, P_HEADS = 20, P_CYLS = 24, P_TRACKS = 28, P_ENTRIES = 32, P_SECTORS = 36,
	P_IN_USE = 44, P_DATA = 48, P_FLAGS = 52, P_EXTENSION = 56,
	HEADER = 64, ENTRIES_MAX = 1 << 26,
};
#define IN_USE 0x746f6e59u

static const char magic_old[] = "WithoutFreeSpace", magic_ext[] = "WithouFreSpacExt";

typedef struct Parallels {
	BlockMap map;
	bool ext;
	bool marked;            /* the header says that the image is in use */
	bool was_in_use;
	uint32_t tracks, entries;
	uint64_t data_at, end;  /* end: of the last cluster in use */
	uint8_t *table;
} Parallels;

static const BlockOption create_options[] = {
	{ "cluster_size", OPT_SIZE, 0, "1048576", "Parallels image cluster size" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ 0 }
};

static uint64_t cluster_of(const Parallels *s)
{
	return (uint64_t)s->tracks * SECTOR;
}

static uint64_t unit_of(const Parallels *s)
{
	return s->ext ? cluster_of(s) : SECTOR;
}

static uint64_t entry_host(const Parallels *s, uint64_t index)
{
	return le32(s->table + 4 * index) * unit_of(s);
}

/* ---- The table --------------------------------------------------------------------------------- */

static int parallels_find(Node *node, uint64_t offset, Place *out)
{
	Parallels *s = node->state;
	uint64_t index = offset / cluster_of(s);
	if (index >= s->entries) /* a table may be shorter than the disk */
		return -EIO;
	out->start = index * cluster_of(s);
	out->bytes = cluster_of(s);
	out->host = entry_host(s, index);
	out->kind = out->host ? PLACE_DATA : PLACE_NONE;
	return out->host && out->host < s->data_at ? -EIO : 0;
}

static int mark(Node *node, bool in_use)
{
	Parallels *s = node->state;
	uint8_t word[4];
	set_le32(word, in_use ? IN_USE : 0);
	int ret = node_pwrite(node->file, P_IN_USE, word, 4);
	if (ret >= 0)
		s->marked = in_use;
	return ret;
}

static int parallels_place(Node *node, Place *p)
{
	Parallels *s = node->state;
	uint64_t unit = unit_of(s), host = (s->end + unit - 1) / unit * unit;
	if (host / unit > UINT32_MAX)
		return -EFBIG;
	p->host = host;
	p->aux = host / unit;
	return s->marked ? 0 : mark(node, true);
}

static int parallels_enter(Node *node, Place *p)
{
	Parallels *s = node->state;
	uint64_t index = p->start / cluster_of(s);
	uint8_t entry[4];
	set_le32(entry, (uint32_t)p->aux);
	s->end = p->host + p->bytes;
	int ret = node_pwrite(node->file, HEADER + 4 * index, entry, 4);
	if (ret >= 0)
		memcpy(s->table + 4 * index, entry, 4);
	return ret;
}

static const BlockMapOps parallels_ops = {
	parallels_find, parallels_place, parallels_enter, NULL, NULL
};

/* ---- Opening ----------------------------------------------------------------------------------- */

static int parallels_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= HEADER && (!memcmp(head, magic_old, 16) || !memcmp(head, magic_ext, 16))
		&& le32(head + P_VERSION) == 2 ? 100 : 0;
}

static bool read_header(Node *node, GError **error)
{
	Parallels *s = node->state;
	uint8_t h[HEADER];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not read the header: %s", g_strerror(-ret));
	if (parallels_probe(h, sizeof(h), "") == 0)
		return fail(error, VIV_ERROR_INVALID, "Image not in Parallels format");
	s->ext = !memcmp(h, magic_ext, 16);
	s->tracks = le32(h + P_TRACKS);
	s->entries = le32(h + P_ENTRIES);
	uint64_t sectors = s->ext ? le64(h + P_SECTORS) : le32(h + P_SECTORS);
	if (!s->tracks || s->tracks > 1u << 21)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid image: clusters of %" PRIu32 " sectors", s->tracks);
	if (s->entries > ENTRIES_MAX || sectors > (uint64_t)s->entries * s->tracks)
		return fail(error, VIV_ERROR_INVALID, "Invalid image: a table of %" PRIu32
			" clusters for %" PRIu64 " sectors", s->entries, sectors);
	uint64_t table_end = HEADER + 4ull * s->entries;
	if (table_end > node->file->length)
		return fail(error, VIV_ERROR_INVALID, "Invalid image: the table lies past its end");
	s->data_at = (uint64_t)le32(h + P_DATA) * SECTOR;
	if (!s->data_at)
		s->data_at = (table_end + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	if (s->data_at < table_end || s->data_at > node->file->length)
		return fail(error, VIV_ERROR_INVALID, "Invalid image: data starts at byte %" PRIu64,
			s->data_at);
	s->was_in_use = le32(h + P_IN_USE) == IN_USE;
	if (le64(h + P_EXTENSION) && node->flags & NODE_WRITE)
		return fail(error, VIV_ERROR_UNSUPPORTED, "the image has a format extension, which is "
			"not supported for writing; it can be opened read-only");
	node->length = sectors * SECTOR;
	node->align = SECTOR;
	return true;
}

static bool parallels_open(Node *node, GError **error)
{
	Parallels *s = node->state;
	s->map.ops = &parallels_ops;
	if (!read_header(node, error))
		return false;
	s->table = g_try_malloc(MAX(4 * (size_t)s->entries, 4));
	int ret = s->table ? node_pread(node->file, HEADER, s->table, 4 * (size_t)s->entries) : -ENOMEM;
	if (ret < 0) {
		g_free(s->table);
		return fail(error, VIV_ERROR_FAILED, "could not read the table: %s", g_strerror(-ret));
	}
	s->end = MAX(s->data_at, node->file->length);
	for (uint32_t i = 0; i < s->entries; i++)
		if (entry_host(s, i))
			s->end = MAX(s->end, entry_host(s, i) + cluster_of(s));
	return true;
}

static void parallels_close(Node *node)
{
	Parallels *s = node->state;
	if (s->marked && node_flush(node->file) >= 0)
		mark(node, false);
	g_free(s->table);
}

static bool parallels_set_writable(Node *node, bool writable, GError **error)
{
	Parallels *s = node->state;
	int ret = !writable && s->marked ? mark(node, false) : 0;
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "could not write the header: %s",
		g_strerror(-ret));
}

/* ---- Check ------------------------------------------------------------------------------------- */

static int clear_entry(Node *node, CheckResult *r, uint32_t i)
{
	Parallels *s = node->state;
	memset(s->table + 4 * (size_t)i, 0, 4);
	int ret = node_pwrite(node->file, HEADER + 4 * (uint64_t)i, s->table + 4 * (size_t)i, 4);
	if (ret >= 0)
		r->corruptions_fixed++;
	return ret;
}

static void say(CheckResult *r, const char *format, uint64_t a, uint64_t b)
{
	if (r->report)
		g_string_append_printf(r->report, "%s %" PRIu64 " %" PRIu64 "\n", format, a, b);
}

/* Entries that cannot be, or that share what another has. */
static int check_entries(Node *node, CheckResult *r, unsigned fix, uint64_t *high)
{
	Parallels *s = node->state;
	uint64_t cluster = cluster_of(s), last = 0;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	*high = s->data_at;
	for (uint32_t i = 0; i < s->entries; i++) {
		uint64_t host = entry_host(s, i);
		if (!host)
			continue;
		bool outside = host < s->data_at || host > node->file->length
			|| host + cluster > node->file->length + cluster - SECTOR;
		if (outside || !g_hash_table_add(seen, g_memdup2(&host, sizeof(host)))) {
			say(r, outside ? "cluster outside the image, index and offset:"
				: "cluster used twice, index and offset:", i, host);
			r->corruptions++;
			int ret = fix & FIX_ERRORS ? clear_entry(node, r, i) : 0;
			if (ret < 0)
				return ret;
			continue;
		}
		r->allocated_clusters++;
		r->fragmented_clusters += last && host != last + cluster;
		last = host;
		*high = MAX(*high, host + cluster);
	}
	return 0;
}

static int parallels_check(Node *node, CheckResult *r, unsigned fix)
{
	Parallels *s = node->state;
	uint64_t cluster = cluster_of(s), high;
	if (s->was_in_use) {
		say(r, "image was not closed correctly, entries and clusters of bytes:", s->entries, cluster);
		r->corruptions++;
		int ret = fix & FIX_ERRORS ? mark(node, true) : 0; /* close ends it */
		if (ret >= 0 && fix & FIX_ERRORS) {
			r->corruptions_fixed++;
			s->was_in_use = false;
		}
		if (ret < 0)
			return ret;
	}
	int ret = check_entries(node, r, fix, &high);
	r->total_clusters = s->entries;
	r->image_end_offset = high;
	if (ret >= 0 && high < node->file->length) {
		r->leaks += (node->file->length - high + cluster - 1) / cluster;
		say(r, "space leaked at the end of the image, offset and bytes:", high,
			node->file->length - high);
		if (fix & FIX_LEAKS && node_truncate(node->file, high, true, PREALLOC_OFF, NULL)) {
			r->leaks_fixed = r->leaks;
			s->end = high;
		}
	}
	return ret;
}

/* ---- Creating ---------------------------------------------------------------------------------- */

static bool parallels_create(const char *filename, json_t *opts, GError **error)
{
	uint64_t size = blockmap_size(opts), cluster = opt_size(opts, "cluster_size", 1 << 20);
	if (cluster < SECTOR || cluster % SECTOR || cluster > 1u << 30)
		return fail(error, VIV_ERROR_INVALID, "Cluster size must be a multiple of 512 up to 1 GiB");
	uint64_t entries = size / cluster + (size % cluster != 0);
	if (entries > ENTRIES_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"Image size is too large for this cluster size (try a larger cluster_size)");
	uint8_t h[HEADER] = { 0 };
	uint64_t data = (HEADER + 4 * entries + cluster - 1) / cluster * cluster;
	memcpy(h, magic_ext, 16);
	set_le32(h + P_VERSION, 2);
	set_le32(h + P_HEADS, 16);
	set_le32(h + P_CYLS, (uint32_t)(size / SECTOR / 16 / 32));
	set_le32(h + P_TRACKS, cluster / SECTOR);
	set_le32(h + P_ENTRIES, (uint32_t)entries);
	set_le64(h + P_SECTORS, size / SECTOR);
	set_le32(h + P_DATA, (uint32_t)(data / SECTOR));
	NewPart part = { 0, h, HEADER };
	return blockmap_create(filename, opts, data, &part, 1, error);
}

const Driver parallels_driver = {
	.name = "parallels", .desc = "Parallels' expandable disk image", .size = sizeof(Parallels),
	.create_options = create_options, .probe = parallels_probe, .open = parallels_open,
	.close = parallels_close, .create = parallels_create, .read = blockmap_read,
	.write = blockmap_write, .write_zeroes = blockmap_write_zeroes, .status = blockmap_status,
	.check = parallels_check, .set_writable = parallels_set_writable,
};
