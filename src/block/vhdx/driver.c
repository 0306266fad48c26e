/*
 * driver.c - the VHDX driver: opening, the table of blocks, check. See vhdx.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/drivers.h"
#include "block/vhdx/vhdx.h"

/* ---- The table --------------------------------------------------------------------------------- */

static uint64_t bat_entry(const Vhdx *s, uint64_t block)
{
	return le64(s->bat + 8 * (block + block / s->chunk));
}

static int vhdx_find(Node *node, uint64_t offset, Place *out)
{
	Vhdx *s = node->state;
	uint64_t block = offset / s->block;
	if (block + block / s->chunk >= s->entries)
		return -EIO;
	uint64_t entry = bat_entry(s, block);
	out->start = block * s->block;
	out->bytes = s->block;
	out->host = BAT_OFFSET(entry);
	switch (BAT_STATE(entry)) {
	case BAT_NONE:
	case BAT_UNDEFINED:
		out->kind = PLACE_NONE;
		return 0;
	case BAT_ZERO:
	case BAT_UNMAPPED:
		out->kind = PLACE_ZERO;
		return 0;
	case BAT_PRESENT:
		out->kind = PLACE_DATA;
		return out->host >= X_MB ? 0 : -EIO;
	default:
		return -EIO;
	}
}

static void random_guid(uint8_t *guid)
{
	for (unsigned i = 0; i < 16; i += 4)
		set_le32(guid + i, g_random_int());
	guid[7] = (guid[7] & 0x0f) | 0x40;
	guid[8] = (guid[8] & 0x3f) | 0x80;
}

/* Before the first change the headers say that the file is another from now on. */
static int begin(Node *node)
{
	Vhdx *s = node->state;
	if (s->writing)
		return 0;
	random_guid(s->header + H_FILE_GUID);
	random_guid(s->header + H_DATA_GUID);
	int ret = vhdx_write_headers(node);
	s->writing = ret >= 0;
	return ret;
}

static int vhdx_place(Node *node, Place *p)
{
	Vhdx *s = node->state;
	p->host = s->end;
	s->end += s->block;
	return 0;
}

static int vhdx_enter(Node *node, Place *p)
{
	Vhdx *s = node->state;
	uint64_t block = p->start / s->block, at = 8 * (block + block / s->chunk);
	uint8_t word[8];
	set_le64(word, p->host | BAT_PRESENT);
	int ret = node_pwrite(node->file, s->bat_at + at, word, 8);
	if (ret >= 0)
		memcpy(s->bat + at, word, 8);
	return ret;
}

static const BlockMapOps vhdx_ops = { vhdx_find, vhdx_place, vhdx_enter, NULL, NULL };

static int vhdx_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	fiber_lock(&NODE_STATE(node, Vhdx)->map.lock);
	int ret = begin(node);
	fiber_unlock(&NODE_STATE(node, Vhdx)->map.lock);
	return ret < 0 ? ret : blockmap_write(node, offset, iov, flags);
}

static int vhdx_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	fiber_lock(&NODE_STATE(node, Vhdx)->map.lock);
	int ret = begin(node);
	fiber_unlock(&NODE_STATE(node, Vhdx)->map.lock);
	return ret < 0 ? ret : blockmap_write_zeroes(node, offset, bytes, flags);
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static int vhdx_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= 8 && !memcmp(head, "vhdxfile", 8) ? 100 : 0;
}

/* The valid header with the greater number. */
static bool read_headers(Node *node, GError **error)
{
	Vhdx *s = node->state;
	bool found = false;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t h[X_HEADER];
		int ret = node_pread(node->file, i ? X_HEADER2 : X_HEADER1, h, sizeof(h));
		if (ret < 0)
			return fail(error, VIV_ERROR_FAILED, "could not read a VHDX header: %s",
				g_strerror(-ret));
		if (memcmp(h, "head", 4) || vhdx_crc(h, X_HEADER, H_SUM) != le32(h + H_SUM)
			|| le16(h + H_VERSION) != 1)
			continue;
		if (found && le64(h + H_SEQUENCE) <= le64(s->header + H_SEQUENCE))
			continue;
		memcpy(s->header, h, X_HEADER);
		s->second = i;
		found = true;
	}
	return found || fail(error, VIV_ERROR_INVALID, "No valid VHDX header found");
}

static bool read_regions(Node *node, GError **error)
{
	Vhdx *s = node->state;
	g_autofree uint8_t *t = g_malloc(X_REGION);
	bool good = false;
	for (unsigned i = 0; i < 2 && !good; i++)
		good = node_pread(node->file, i ? X_REGION2 : X_REGION1, t, X_REGION) >= 0
			&& !memcmp(t, "regi", 4) && vhdx_crc(t, X_REGION, 4) == le32(t + 4)
			&& le32(t + 8) <= 2047;
	if (!good)
		return fail(error, VIV_ERROR_INVALID, "No valid VHDX region table found");
	for (uint32_t i = 0; i < le32(t + 8); i++) {
		const uint8_t *e = t + 16 + 32 * (size_t)i;
		uint64_t at = le64(e + 16), len = le32(e + 24);
		bool bat = !memcmp(e, vhdx_bat_guid, 16), meta = !memcmp(e, vhdx_metadata_guid, 16);
		if (!bat && !meta && le32(e + 28) & 1)
			return fail(error, VIV_ERROR_UNSUPPORTED, "the VHDX image requires an unknown region");
		if (!bat && !meta)
			continue;
		if (at % X_MB || len % X_MB || at < X_MB || at > node->file->length
			|| len > node->file->length - at)
			return fail(error, VIV_ERROR_INVALID, "a VHDX region lies past the image's end");
		*(bat ? &s->bat_at : &s->meta_at) = at;
		*(bat ? &s->bat_bytes : &s->meta_bytes) = len;
	}
	return (s->bat_at && s->meta_at && s->meta_bytes >= X_METADATA)
		|| fail(error, VIV_ERROR_INVALID, "the VHDX image has no table of blocks or no metadata");
}

/* A metadata item's first bytes; false: there is none. */
static bool item(Node *node, const uint8_t *t, const uint8_t *guid, void *out, uint32_t len)
{
	Vhdx *s = node->state;
	unsigned count = MIN(le16(t + 10), 2047);
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *e = t + 32 + 32 * (size_t)i;
		uint32_t at = le32(e + 16);
		if (memcmp(e, guid, 16))
			continue;
		return le32(e + 20) >= len && at >= X_METADATA && at <= s->meta_bytes - len
			&& node_pread(node->file, s->meta_at + at, out, len) >= 0;
	}
	return false;
}

static bool read_metadata(Node *node, GError **error)
{
	Vhdx *s = node->state;
	g_autofree uint8_t *t = g_malloc(X_METADATA);
	uint8_t params[8], size[8], logical[4];
	if (node_pread(node->file, s->meta_at, t, X_METADATA) < 0 || memcmp(t, "metadata", 8))
		return fail(error, VIV_ERROR_INVALID, "the VHDX image's metadata cannot be read");
	if (!item(node, t, vhdx_params_guid, params, 8) || !item(node, t, vhdx_size_guid, size, 8)
		|| !item(node, t, vhdx_logical_guid, logical, 4))
		return fail(error, VIV_ERROR_INVALID, "the VHDX image's metadata is not complete");
	s->block = le32(params);
	s->logical = le32(logical);
	node->length = le64(size);
	if (le32(params + 4) & 2)
		return fail(error, VIV_ERROR_UNSUPPORTED, "VHDX images with a parent are not supported");
	if (s->block < X_MB || s->block > X_BLOCK_MAX || s->block & (s->block - 1))
		return fail(error, VIV_ERROR_INVALID, "VHDX blocks of %" PRIu32 " bytes cannot be", s->block);
	if ((s->logical != 512 && s->logical != 4096) || node->length % s->logical
		|| node->length > X_SIZE_MAX)
		return fail(error, VIV_ERROR_INVALID, "a VHDX disk of %" PRIu64 " bytes in sectors of %"
			PRIu32 " cannot be", node->length, s->logical);
	return true;
}

static bool read_bat(Node *node, GError **error)
{
	Vhdx *s = node->state;
	uint64_t blocks = (node->length + s->block - 1) / s->block;
	s->chunk = ((uint64_t)s->logical << 23) / s->block;
	s->entries = blocks ? blocks + (blocks - 1) / s->chunk : 0;
	if (s->entries > X_BAT_MAX / 8 || 8 * s->entries > s->bat_bytes)
		return fail(error, VIV_ERROR_INVALID, "the VHDX image's table of blocks is too small or too "
			"large for its disk");
	s->bat = g_try_malloc(MAX(8 * s->entries, 8));
	int ret = s->bat ? node_pread(node->file, s->bat_at, s->bat, 8 * s->entries) : -ENOMEM;
	if (ret < 0) {
		g_free(s->bat);
		return fail(error, VIV_ERROR_FAILED, "could not read the table of blocks: %s",
			g_strerror(-ret));
	}
	s->end = node->file->length;
	for (uint64_t i = 0; i < blocks; i++) {
		uint64_t entry = bat_entry(s, i);
		if (BAT_STATE(entry) == BAT_PRESENT && BAT_OFFSET(entry) < (uint64_t)NODE_LENGTH_MAX)
			s->end = MAX(s->end, BAT_OFFSET(entry) + s->block);
	}
	s->end = (s->end + X_MB - 1) & ~(uint64_t)(X_MB - 1);
	return true;
}

static bool vhdx_open(Node *node, GError **error)
{
	Vhdx *s = node->state;
	uint8_t magic[8];
	int ret = node_pread(node->file, 0, magic, 8);
	if (ret < 0 || memcmp(magic, "vhdxfile", 8))
		return fail(error, VIV_ERROR_INVALID, "Image not in VHDX format");
	s->map.ops = &vhdx_ops;
	node->align = SECTOR;
	return read_headers(node, error) && vhdx_replay(node, error) && read_regions(node, error)
		&& read_metadata(node, error) && read_bat(node, error);
}

static void vhdx_close(Node *node)
{
	g_free(NODE_STATE(node, Vhdx)->bat);
}

static void vhdx_info(Node *node, NodeInfo *out)
{
	out->cluster_size = NODE_STATE(node, Vhdx)->block;
}

static int vhdx_check(Node *node, CheckResult *r, unsigned fix)
{
	Vhdx *s = node->state;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	r->total_clusters = (node->length + s->block - 1) / s->block;
	for (uint64_t i = 0; i < r->total_clusters; i++) {
		uint64_t entry = bat_entry(s, i);
		if (BAT_STATE(entry) != BAT_PRESENT)
			continue;
		r->allocated_clusters++;
		int64_t *key = g_new(int64_t, 1);
		*key = (int64_t)BAT_OFFSET(entry);
		if (g_hash_table_add(seen, key) && BAT_OFFSET(entry) >= X_MB
			&& BAT_OFFSET(entry) < node->file->length)
			continue;
		r->corruptions++;
		if (r->report)
			g_string_append_printf(r->report, "ERROR: block %" PRIu64 " lies at %" PRIu64
				", outside the image or where another is\n", i, BAT_OFFSET(entry));
	}
	return 0;
}

const Driver vhdx_driver = {
	.name = "vhdx", .desc = "Hyper-V's disk image", .size = sizeof(Vhdx),
	.create_options = vhdx_create_options, .probe = vhdx_probe, .open = vhdx_open,
	.close = vhdx_close, .create = vhdx_create, .read = blockmap_read, .write = vhdx_write,
	.write_zeroes = vhdx_write_zeroes, .status = blockmap_status, .info = vhdx_info,
	.check = vhdx_check, .set_writable = blockmap_set_writable,
};
