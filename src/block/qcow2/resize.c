/*
 * resize.c - longer and shorter disks, longer L1 tables, preallocation, the end of the file.
 *
 * Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

/* ---- The L1 table ---------------------------------------------------------------------------- */

int qcow2_replace_l1(Qcow2 *s, uint64_t *l1, uint32_t entries)
{
	uint64_t offset, bytes = (uint64_t)entries * 8, room = q_ceil(s, bytes);
	uint64_t old_offset = s->l1_offset, old_bytes = (uint64_t)s->l1_size * 8;
	uint32_t old_size = s->l1_size;
	uint8_t *buf = g_try_malloc0(room);
	int ret = buf ? refcount_alloc(s, room, &offset) : -ENOMEM;
	if (ret < 0)
		goto out;
	for (uint32_t i = 0; i < entries; i++)
		put_be64(buf + (size_t)i * 8, l1[i]);
	ret = qcow2_overlap(s, 0, offset, room);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, buf, room);
	s->unsynced = true;
	/* What the table names, and the counts of all that, before the header names the table. */
	if (ret >= 0)
		ret = qcow2_write_l2(s);
	if (ret < 0)
		goto release;
	/* Lookups go on while the header is written: table and size change together. */
	uint64_t *old = s->l1;
	s->l1 = l1;
	s->l1_offset = offset;
	s->l1_size = entries;
	ret = qcow2_header_commit(s);
	if (ret < 0) {
		s->l1 = old;
		s->l1_offset = old_offset;
		s->l1_size = old_size;
		goto release;
	}
	g_free(old);
	s->l1_dirty_from = s->l1_dirty_to = 0;
	if (old_bytes)
		refcount_release(s, old_offset, old_bytes, FREE_OTHER);
	g_free(buf);
	return 0;
release:
	refcount_release(s, offset, room, FREE_NEVER);
out:
	g_free(buf);
	g_free(l1);
	return ret;
}

int qcow2_grow_l1(Qcow2 *s, uint64_t entries)
{
	if (entries <= s->l1_size)
		return 0;
	if (entries > Q_MAX_L1_BYTES / 8)
		return -EFBIG;
	uint64_t *l1 = g_new0(uint64_t, entries);
	memcpy(l1, s->l1, (size_t)s->l1_size * 8);
	/* With the changes that wait: they are on the medium before the header changes. */
	int ret = s->lazy ? 0 : qcow2_write_counts(s);
	if (ret < 0) {
		g_free(l1);
		return ret;
	}
	return qcow2_replace_l1(s, l1, entries);
}

/* ---- The end of the file --------------------------------------------------------------------- */

int qcow2_shrink_file(Qcow2 *s)
{
	uint64_t clusters;
	int ret = refcount_trim(s);
	for (int i = 0; i < 2 && ret >= 0;
		i++) /* blocks that were trimmed are counted down after the first */
		ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = qcow2_sync(s);
	if (ret >= 0)
		ret = refcount_last(s, &clusters);
	if (ret < 0)
		return ret;
	uint64_t end = clusters << s->cluster_bits;
	if (end >= s->node->file->length)
		return 0;
	GError *error = NULL;
	if (node_truncate(s->node->file, end, false, PREALLOC_OFF, &error))
		s->virgin_end = MIN(s->virgin_end, end);
	else
		g_error_free(error); /* a device keeps its length: nothing is lost */
	s->byte_offset = 0;
	return 0;
}

/* ---- Preallocation --------------------------------------------------------------------------- */

static bool extend(Node *file, uint64_t end, Prealloc mode)
{
	if (end <= file->length)
		return true;
	GError *error = NULL;
	bool ok = node_truncate(
		file, end, false, mode == PREALLOC_METADATA ? PREALLOC_OFF : mode, &error);
	g_clear_error(&error);
	return ok;
}

/* Enters one piece of clusters without writing them. */
static int preallocate_piece(Qcow2 *s, uint64_t at, uint64_t *bytes, Prealloc mode)
{
	Alloc a = { 0 };
	int ret = qcow2_alloc_prepare(s, at, bytes, &a);
	if (ret == 1) { /* has a cluster already */
		*bytes = MIN(*bytes, s->cluster_size - q_inside(s, at));
		return 0;
	}
	if (ret < 0)
		return ret;
	if (s->subclusters > 1) /* a place, and nothing in it: backing shows */
		a.cow_start = a.cow_end = a.guest;
	if (!a.keep_host && !s->external && !extend(s->node->file, a.host + a.bytes, mode))
		ret = -ENOSPC;
	return qcow2_alloc_finish(s, &a, ret);
}

int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to, Prealloc mode)
{
	int ret = 0;
	/* Clusters that were never written read as zeroes: none from holes in the file. */
	uint64_t hint = s->free_hint;
	s->free_hint = MAX(hint, s->virgin_end >> s->cluster_bits);
	if (s->external && !extend(s->data, to, mode))
		ret = -ENOSPC;
	for (uint64_t at = q_floor(s, from); at < to && ret >= 0;) {
		uint64_t bytes = MIN(to - at, 1ull << 30);
		ret = preallocate_piece(s, at, &bytes, mode);
		at = q_ceil(s, at + bytes);
	}
	s->free_hint = MIN(s->free_hint, hint);
	return ret;
}

/* ---- Length ---------------------------------------------------------------------------------- */

static int set_size(Qcow2 *s, uint64_t size)
{
	uint64_t old = s->size;
	s->size = size;
	int ret = qcow2_header_commit(s);
	if (ret < 0)
		s->size = old;
	else
		s->node->length = size;
	return ret;
}

/* Tables for more than `size` bytes of the disk are given up. Lock held. */
static int drop_l2_after(Qcow2 *s, uint64_t size)
{
	for (uint64_t i = q_l1_needed(s, size); i < s->l1_size; i++) {
		uint64_t l2 = s->l1[i] & QCOW2_L1_OFFSET;
		if (!l2)
			continue;
		s->l1[i] = 0;
		qcow2_l1_dirty(s, i);
		qcow2_free_later(s, l2, s->cluster_size, FREE_ALWAYS);
	}
	return qcow2_write_tables(s);
}

static bool shrink(Qcow2 *s, uint64_t length, GError **error)
{
	uint64_t from = q_ceil(s, length), to = q_ceil(s, s->size);
	qcow2_lock(s);
	int ret = from < to ? qcow2_discard_clusters(s, from, to - from, true, FREE_ALWAYS) : 0;
	if (ret >= 0)
		ret = qcow2_write_tables(s);
	if (ret >= 0)
		ret = drop_l2_after(s, length);
	if (ret >= 0)
		ret = set_size(s, length);
	if (ret >= 0)
		ret = qcow2_shrink_file(s);
	GError *e = NULL;
	if (ret >= 0 && q_raw_data(s) && !node_truncate(s->data, length, false, PREALLOC_OFF, &e))
		ret = -EIO;
	g_clear_error(&e);
	qcow2_unlock(s);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the image could not be made smaller: %s",
			g_strerror(-ret));
}

/*
 * New bytes must read as zeroes: the rest of the last cluster, and what a longer backing file
 * shows.
 */
static int zero_new(Qcow2 *s, uint64_t old, uint64_t length)
{
	uint64_t edge = MIN(q_ceil(s, old), length),
		 backed = s->node->backing ? s->node->backing->length : 0;
	int ret = 0;
	if (edge > old && !qcow2_reads_zero(s, old, edge - old)) {
		uint8_t *buf = g_try_malloc0(edge - old);
		struct iovec v = { buf, edge - old };
		ret = buf ? qcow2_write_inside(s, old, iov_one(&v), 0) : -ENOMEM;
		g_free(buf);
	}
	if (ret < 0 || backed <= q_ceil(s, old) || length <= q_ceil(s, old))
		return ret;
	if (s->version < 3)
		return -ENOTSUP;
	uint64_t from = q_ceil(s, old), to = MIN(q_ceil(s, backed), q_ceil(s, length));
	qcow2_lock(s);
	ret = qcow2_zero_clusters(s, from, to - from, 0);
	qcow2_unlock(s);
	return ret;
}

static bool grow(Qcow2 *s, uint64_t length, Prealloc prealloc, GError **error)
{
	uint64_t old = s->size;
	qcow2_lock(s);
	int ret = qcow2_grow_l1(s, q_l1_needed(s, length));
	qcow2_unlock(s);
	if (ret == -EFBIG)
		return fail(error, VIV_ERROR_INVALID,
			"the L1 table of a disk of %" PRIu64 " bytes would be too large; "
			"larger clusters (cluster_size=) allow larger disks",
			length);
	if (ret >= 0)
		ret = zero_new(s, old, length);
	if (ret == -ENOTSUP)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the backing file is longer than the image, and compat=0.10 "
			"cannot hide what it has there");
	if (ret >= 0 && prealloc != PREALLOC_OFF)
		ret = qcow2_preallocate(s, q_ceil(s, old), length, prealloc);
	GError *e = NULL;
	if (ret >= 0 && s->external && s->data->length < length
		&& !node_truncate(s->data, length, false, PREALLOC_OFF, &e))
		ret = -EIO;
	g_clear_error(&e);
	qcow2_lock(s);
	if (ret >= 0)
		ret = qcow2_write_tables(s);
	if (ret >= 0)
		ret = set_size(s, length);
	qcow2_unlock(s);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the image could not be made larger: %s",
			g_strerror(-ret));
}

static bool check_resize(Qcow2 *s, uint64_t length, Prealloc prealloc, GError **error)
{
	static const char *const modes[] = { "off", "metadata", "falloc", "full" };
	if (length & (SECTOR - 1))
		return fail(
			error, VIV_ERROR_INVALID, "The new size must be a multiple of %u", SECTOR);
	if (s->nb_snapshots && s->version < 3)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Can't resize a v2 image which has snapshots");
	if (prealloc != PREALLOC_OFF && length < s->size)
		return fail(error, VIV_ERROR_INVALID,
			"Preallocation can't be used for shrinking an image");
	if (prealloc != PREALLOC_OFF && s->node->backing_file && s->subclusters == 1)
		return fail(error, VIV_ERROR_INVALID,
			"preallocation '%s' would hide the backing file; "
			"extended_l2=on images can have both",
			modes[prealloc]);
	return true;
}

bool qcow2_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (!check_resize(s, length, prealloc, error))
		return false;
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the image cannot be written: %s",
			g_strerror(-ret));
	fiber_wrlock(&s->gate);
	qcow2_lock(s);
	bool ok = qcow2_bitmaps_resize(s, length, error);
	qcow2_unlock(s);
	if (ok && length < s->size)
		ok = shrink(s, length, error);
	else if (ok && length > s->size)
		ok = grow(s, length, prealloc, error);
	fiber_wrunlock(&s->gate);
	return ok;
}
