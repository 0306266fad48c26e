/*
 * bitmap.c - the directory of persistent dirty bitmaps, and the commands on it.
 *
 * Source: "QCOW2 disk image format", sections "Bitmaps extension", "Bitmaps". The contents of
 * bitmaps are bitmap_data.c's, recording of writes is bitmap_live.c's.
 * Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

static void bitmap_release(Bitmap *b)
{
	g_free(b->name);
	g_free(b->extra);
	g_free(b->bits);
	memset(b, 0, sizeof(*b));
}

void qcow2_bitmaps_free(Qcow2 *s)
{
	for (uint32_t i = 0; s->bitmaps && i < s->nb_bitmaps; i++)
		bitmap_release(&s->bitmaps[i]);
	g_clear_pointer(&s->bitmaps, g_free);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static const char *read_one(Qcow2 *s, const uint8_t *dir, uint64_t size, uint64_t *at, Bitmap *b)
{
	Qcow2RawBitmap raw;
	if (size - *at < sizeof(raw))
		return "it ends within an entry";
	memcpy(&raw, dir + *at, sizeof(raw));
	uint32_t name_len = g_ntohs(raw.name_size);
	b->table_offset = GUINT64_FROM_BE(raw.table_offset);
	b->table_size = g_ntohl(raw.table_size);
	b->flags = g_ntohl(raw.flags);
	b->granularity_bits = raw.granularity_bits;
	b->extra_size = g_ntohl(raw.extra_size);
	uint64_t room = size - *at - sizeof(raw);
	if (b->extra_size > room || name_len > room - b->extra_size)
		return "an entry is longer than the directory";
	if (!name_len || name_len > Q_MAX_BITMAP_NAME)
		return "a name has an invalid length";
	if (raw.type != QCOW2_BITMAP_DIRTY_TYPE)
		return "a bitmap has an unknown type";
	if (b->flags & ~(QCOW2_BITMAP_IN_USE | QCOW2_BITMAP_AUTO | QCOW2_BITMAP_EXTRA_OK))
		return "a bitmap has unknown flags";
	if (b->extra_size && !(b->flags & QCOW2_BITMAP_EXTRA_OK))
		return "a bitmap has extra data that is not known";
	if (b->granularity_bits < Q_MIN_GRANULARITY_BITS
		|| b->granularity_bits > Q_MAX_GRANULARITY_BITS)
		return "a granularity is out of range";
	if (!b->table_size || b->table_size > Q_MAX_BITMAP_TABLE || !b->table_offset
		|| !q_place_ok(s, b->table_offset, (uint64_t)b->table_size * 8))
		return "a bitmap's table has an invalid place or size";
	if (b->extra_size)
		b->extra = g_memdup2(dir + *at + sizeof(raw), b->extra_size);
	b->name = g_strndup((const char *)dir + *at + sizeof(raw) + b->extra_size, name_len);
	*at += (sizeof(raw) + b->extra_size + name_len + 7) & ~7ull;
	*at = MIN(*at, size);
	return NULL;
}

static const char *read_directory(Qcow2 *s)
{
	/* Not longer than the file: what is missing there would only be zeroes. */
	if (s->bitmaps_bytes > s->node->file->length)
		return "it is longer than the file";
	g_autofree uint8_t *dir = g_try_malloc(s->bitmaps_bytes);
	if (!dir || node_pread(s->node->file, s->bitmaps_offset, dir, s->bitmaps_bytes) < 0)
		return "it cannot be read";
	uint64_t at = 0;
	s->bitmaps = g_new0(Bitmap, s->nb_bitmaps);
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		const char *why = read_one(s, dir, s->bitmaps_bytes, &at, &s->bitmaps[i]);
		if (why)
			return why;
		for (uint32_t k = 0; k < i; k++)
			if (!strcmp(s->bitmaps[k].name, s->bitmaps[i].name))
				return "two bitmaps have the same name";
	}
	return NULL;
}

bool qcow2_bitmaps_read(Qcow2 *s, GError **error)
{
	const char *why = s->nb_bitmaps ? read_directory(s) : NULL;
	if (!why)
		return true;
	if (!(s->node->flags & NODE_CHECK))
		return fail(error, VIV_ERROR_FAILED,
			"the directory of bitmaps is damaged: %s. "
			"`qemu-img check -r all` removes it.",
			why);
	qcow2_bitmaps_free(s);
	s->nb_bitmaps = 0;
	s->bitmaps_bad = true;
	return true;
}

Bitmap *qcow2_bitmap_find(Qcow2 *s, const char *name)
{
	for (uint32_t i = 0; i < s->nb_bitmaps; i++)
		if (!strcmp(s->bitmaps[i].name, name))
			return &s->bitmaps[i];
	return NULL;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static GByteArray *build(Qcow2 *s)
{
	static const uint8_t zeroes[8];
	GByteArray *dir = g_byte_array_new();
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		const Bitmap *b = &s->bitmaps[i];
		Qcow2RawBitmap raw = {
			.table_offset = GUINT64_TO_BE(b->table_offset),
			.table_size = g_htonl(b->table_size),
			.flags = g_htonl(b->flags),
			.type = QCOW2_BITMAP_DIRTY_TYPE,
			.granularity_bits = b->granularity_bits,
			.name_size = g_htons(strlen(b->name)),
			.extra_size = g_htonl(b->extra_size),
		};
		g_byte_array_append(dir, (uint8_t *)&raw, sizeof(raw));
		if (b->extra_size)
			g_byte_array_append(dir, b->extra, b->extra_size);
		g_byte_array_append(dir, (uint8_t *)b->name, strlen(b->name));
		g_byte_array_append(dir, zeroes, -dir->len & 7);
	}
	return dir;
}

static int place_directory(Qcow2 *s, const GByteArray *dir, uint64_t *offset)
{
	*offset = 0;
	if (!dir->len)
		return 0;
	if (dir->len > Q_MAX_BITMAP_DIR_BYTES)
		return -EFBIG;
	int ret = refcount_alloc(s, dir->len, offset);
	if (ret >= 0)
		ret = qcow2_overlap(s, 0, *offset, dir->len);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, *offset, dir->data, dir->len);
	s->unsynced = true;
	return ret;
}

int qcow2_bitmaps_write(Qcow2 *s)
{
	uint64_t old_offset = s->bitmaps_offset, old_bytes = s->bitmaps_bytes,
		 old_autoclear = s->autoclear, offset;
	GByteArray *dir = build(s);
	int ret = place_directory(s, dir, &offset);
	if (ret >= 0)
		ret = qcow2_write_counts(s);
	if (ret >= 0) {
		s->bitmaps_offset = offset;
		s->bitmaps_bytes = dir->len;
		s->autoclear = (s->autoclear & ~QCOW2_AUTOCLEAR_BITMAPS)
			| (s->nb_bitmaps ? QCOW2_AUTOCLEAR_BITMAPS : 0);
		ret = qcow2_header_commit(s);
	}
	if (ret < 0) {
		s->bitmaps_offset = old_offset;
		s->bitmaps_bytes = old_bytes;
		s->autoclear = old_autoclear;
		if (offset)
			refcount_release(s, offset, dir->len, FREE_NEVER);
		/* The old directory stands: what it names must not be given up. */
		g_array_set_size(s->freed, 0);
		s->freed_bytes = 0;
	} else if (old_offset && old_bytes) {
		refcount_release(s, old_offset, old_bytes, FREE_OTHER);
	}
	g_byte_array_free(dir, TRUE);
	return ret;
}

int qcow2_bitmaps_write_flags(Qcow2 *s)
{
	GByteArray *dir = build(s);
	int ret = dir->len != s->bitmaps_bytes ? -EINVAL : 0;
	if (ret == 0)
		ret = qcow2_overlap(s, OVERLAP_BITMAPS, s->bitmaps_offset, dir->len);
	if (ret == 0)
		ret = node_pwrite(s->node->file, s->bitmaps_offset, dir->data, dir->len);
	if (ret >= 0)
		ret = qcow2_sync(s);
	g_byte_array_free(dir, TRUE);
	return ret;
}

static void info_free(void *info)
{
	g_free(((BitmapInfo *)info)->name);
	g_free(info);
}

/* ---- Commands -------------------------------------------------------------------------------- */

GPtrArray *qcow2_bitmap_list(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	GPtrArray *list = g_ptr_array_new_with_free_func(info_free);
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		const Bitmap *b = &s->bitmaps[i];
		BitmapInfo *info = g_new0(BitmapInfo, 1);
		info->name = g_strdup(b->name);
		info->granularity = 1ull << b->granularity_bits;
		info->recording = b->flags & QCOW2_BITMAP_AUTO;
		info->in_use = b->flags & QCOW2_BITMAP_IN_USE && !b->live;
		g_ptr_array_add(list, info);
	}
	return list;
}

/* Lock and gate from here to end(); false: *error says why not. */
static bool begin(Qcow2 *s, GError **error)
{
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the image cannot be written: %s",
			g_strerror(-ret));
	qcow2_begin(s);
	return true;
}

static bool end(Qcow2 *s, int ret, GError **error)
{
	int r = qcow2_write_tables(s);
	qcow2_end(s);
	ret = ret < 0 ? ret : r;
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the bitmap could not be written: %s",
			g_strerror(-ret));
}

static Bitmap *find_or_fail(Qcow2 *s, const char *name, bool must_be_good, GError **error)
{
	Bitmap *b = qcow2_bitmap_find(s, name);
	if (!b) {
		fail(error, VIV_ERROR_INVALID, "Dirty bitmap '%s' not found", name);
		return NULL;
	}
	if (must_be_good && b->flags & QCOW2_BITMAP_IN_USE && !b->live) {
		fail(error, VIV_ERROR_FAILED,
			"Bitmap '%s' is inconsistent and cannot be used. "
			"Try block-dirty-bitmap-remove to delete this bitmap from disk",
			name);
		return NULL;
	}
	return b;
}

bool qcow2_bitmap_add(
	Node *node, const char *name, uint64_t granularity, bool disabled, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (s->version < 3)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Cannot store dirty bitmaps in qcow2 v2 files");
	if (!granularity)
		granularity = CLAMP(s->cluster_size, 4096, 65536);
	if (granularity & (granularity - 1) || granularity < 1ull << Q_MIN_GRANULARITY_BITS
		|| granularity > 1ull << Q_MAX_GRANULARITY_BITS)
		return fail(error, VIV_ERROR_INVALID,
			"Granularity must be a power of two between 512 and 2147483648");
	if (!*name || strlen(name) > Q_MAX_BITMAP_NAME)
		return fail(error, VIV_ERROR_INVALID,
			"Bitmap name is too long or empty; it may have up to %d bytes",
			Q_MAX_BITMAP_NAME);
	if (qcow2_bitmap_find(s, name))
		return fail(error, VIV_ERROR_INVALID, "Bitmap already exists: %s", name);
	if (s->nb_bitmaps >= Q_MAX_BITMAPS)
		return fail(error, VIV_ERROR_INVALID,
			"Maximum number of persistent bitmaps is already reached");
	unsigned bits = g_bit_nth_msf(granularity, -1);
	if (qcow2_bitmap_bytes(s->size, bits) > Q_MAX_BITMAP_BYTES)
		return fail(error, VIV_ERROR_INVALID,
			"Too much space will be occupied by the bitmap. Use larger granularity");
	if (!begin(s, error))
		return false;
	s->bitmaps = g_renew(Bitmap, s->bitmaps, s->nb_bitmaps + 1);
	Bitmap *b = &s->bitmaps[s->nb_bitmaps++];
	*b = (Bitmap){ .name = g_strdup(name),
		.granularity_bits = bits,
		.flags = disabled ? 0 : QCOW2_BITMAP_AUTO };
	uint64_t bytes = qcow2_bitmap_bytes(s->size, bits);
	int ret = qcow2_bitmap_store(s, b, NULL, bytes);
	if (ret >= 0)
		ret = qcow2_bitmaps_write(s);
	if (ret < 0)
		bitmap_release(&s->bitmaps[--s->nb_bitmaps]);
	else if (!disabled)
		ret = qcow2_bitmaps_go_live(s);
	return end(s, ret, error);
}

bool qcow2_bitmap_remove(Node *node, const char *name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Bitmap *b = find_or_fail(s, name, false, error);
	if (!b || !begin(s, error))
		return false;
	Bitmap gone = *b;
	uint32_t i = b - s->bitmaps;
	int ret = qcow2_bitmap_drop_data(s, b);
	memmove(b, b + 1, (s->nb_bitmaps - i - 1) * sizeof(*b));
	s->nb_bitmaps--;
	if (ret >= 0)
		ret = qcow2_bitmaps_write(s);
	if (ret < 0) {
		memmove(s->bitmaps + i + 1, s->bitmaps + i, (s->nb_bitmaps - i) * sizeof(*b));
		s->bitmaps[i] = gone;
		s->nb_bitmaps++;
	} else {
		bitmap_release(&gone);
	}
	return end(s, ret, error);
}

bool qcow2_bitmap_clear(Node *node, const char *name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Bitmap *b = find_or_fail(s, name, true, error);
	if (!b || !begin(s, error))
		return false;
	int ret = 0;
	if (b->live) {
		memset(b->bits, 0, b->bits_bytes);
	} else {
		ret = qcow2_bitmap_store(
			s, b, NULL, qcow2_bitmap_bytes(s->size, b->granularity_bits));
		if (ret >= 0)
			ret = qcow2_bitmaps_write(s);
	}
	return end(s, ret, error);
}

bool qcow2_bitmap_enable(Node *node, const char *name, bool enable, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Bitmap *b = find_or_fail(s, name, true, error);
	if (!b || !begin(s, error))
		return false;
	b->flags = (b->flags & ~QCOW2_BITMAP_AUTO) | (enable ? QCOW2_BITMAP_AUTO : 0);
	int ret = enable ? qcow2_bitmaps_go_live(s) : b->live ? qcow2_bitmap_settle(s, b) : 0;
	if (ret >= 0 && !enable)
		ret = qcow2_bitmaps_write(s);
	return end(s, ret, error);
}

bool qcow2_bitmap_merge(
	Node *node, const char *name, Node *source, const char *source_name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (source->driver != node->driver)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Bitmaps can be merged from qcow2 images only");
	Qcow2 *from = NODE_STATE(source, Qcow2);
	Bitmap *src = find_or_fail(from, source_name, true, error);
	Bitmap *b = src ? find_or_fail(s, name, true, error) : NULL;
	if (!b)
		return false;
	uint8_t *add = NULL;
	uint64_t add_bytes = src->bits_bytes;
	int ret = 0;
	if (src->live)
		add = g_memdup2(src->bits, src->bits_bytes);
	else
		ret = qcow2_bitmap_load(from, src, &add, &add_bytes);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Bitmap '%s' cannot be read: %s", source_name,
			g_strerror(-ret));
	unsigned src_bits = src->granularity_bits;
	bool ok = begin(s, error);
	if (ok) {
		b = qcow2_bitmap_find(s, name);
		ret = qcow2_bitmap_or(s, b, add, add_bytes, src_bits);
		ok = end(s, ret, error);
	}
	g_free(add);
	return ok;
}
