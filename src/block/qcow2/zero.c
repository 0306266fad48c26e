/*
 * zero.c - zeroes and discards: whole clusters (or subclusters) change in the L2 table only.
 *
 * Source: "QCOW2 disk image format", sections "Cluster mapping", "Extended L2 Entries".
 * Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

/* New entry and bitmap of one cluster; false: it stays. */
typedef bool EntryChange(
	Qcow2 *s, uint64_t *entry, uint64_t *bitmap, uint32_t subs, unsigned flags);

enum { DISCARD_FULL = 1 << 16 }; /* beside REQ_* */

static bool uses_host(uint64_t entry)
{
	return entry & (QCOW2_COMPRESSED | QCOW2_L2_OFFSET);
}

static bool to_zero(Qcow2 *s, uint64_t *entry, uint64_t *bitmap, uint32_t subs, unsigned flags)
{
	uint64_t e = *entry, b = *bitmap;
	bool all = s->subclusters == 1 || subs == UINT32_MAX;
	if (e & QCOW2_COMPRESSED)
		*entry = 0; /* the caller takes care that all of it goes */
	else if (all && flags & REQ_UNMAP && !s->external)
		*entry = 0;
	if (s->subclusters > 1)
		*bitmap = (b & ~(uint64_t)subs) | (uint64_t)subs << 32;
	else
		*entry |= QCOW2_ZERO;
	return *entry != e || *bitmap != b;
}

static bool to_nothing(Qcow2 *s, uint64_t *entry, uint64_t *bitmap, uint32_t subs, unsigned flags)
{
	uint64_t e = *entry, b = *bitmap;
	bool nothing_there = !uses_host(e) && !b && !(e & (QCOW2_ZERO | QCOW2_COPIED));
	if (flags & DISCARD_FULL) {
		*entry = *bitmap = 0;
	} else if (nothing_there && !s->node->backing) {
		return false;
	} else {
		/* Reads as zeroes, not as the backing file. */
		*entry = s->subclusters == 1 && s->version >= 3 ? QCOW2_ZERO : 0;
		*bitmap = s->subclusters == 1 ? 0 : (uint64_t)UINT32_MAX << 32;
	}
	return *entry != e || *bitmap != b;
}

/*
 * Clusters of [offset, end) within one L2 slice; subs: which of their subclusters (all but in
 * single ones).
 */
static int change_slice(Qcow2 *s, uint64_t offset, uint64_t end, uint32_t subs, EntryChange *change,
	unsigned flags, FreeKind kind)
{
	Table *t;
	int ret = qcow2_l2_for_change(s, offset, &t);
	if (ret < 0)
		return ret;
	for (uint64_t at = offset; at < end; at += s->cluster_size) {
		unsigned i = slice_index(s, at);
		uint64_t old = entry_get(s, t, i), entry = old, bitmap = bitmap_get(s, t, i);
		if (!change(s, &entry, &bitmap, subs, flags))
			continue;
		entry_set(s, t, i, entry, bitmap);
		cache_dirty(&s->l2, t);
		if (uses_host(old) && !uses_host(entry))
			qcow2_entry_drop(s, old, kind);
		if (s->external && old & QCOW2_COPIED && !(entry & QCOW2_COPIED)
			&& s->discard[kind])
			node_discard(s->data, old & QCOW2_L2_OFFSET, s->cluster_size);
	}
	cache_put(t);
	return 0;
}

static int change_range(Qcow2 *s, uint64_t offset, uint64_t bytes, EntryChange *change,
	unsigned flags, FreeKind kind)
{
	uint64_t end = offset + bytes, reach = (uint64_t)s->cluster_size << s->slice_bits;
	bool skip_empty = !s->node->backing || flags & DISCARD_FULL;
	int ret = 0;
	while (offset < end && ret >= 0) {
		uint64_t index = offset >> q_l1_shift(s);
		uint64_t stop = MIN(end, (offset & ~(reach - 1)) + reach);
		/* No table, and none needed: what it would say is so already. */
		if (skip_empty && (index >= s->l1_size || !(s->l1[index] & QCOW2_L1_OFFSET)))
			stop = MIN(end, (index + 1) << q_l1_shift(s));
		else
			ret = change_slice(s, offset, stop, UINT32_MAX, change, flags, kind);
		offset = stop;
	}
	return ret < 0 ? ret : qcow2_freed_limit(s);
}

int qcow2_zero_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned flags)
{
	if (q_raw_data(s)) {
		uint64_t end = MIN(offset + bytes, s->data->length);
		int ret = offset < end
			? node_write_zeroes(s->data, offset, end - offset, flags & REQ_UNMAP)
			: 0;
		if (ret < 0)
			return ret;
		s->unsynced = true;
	}
	return change_range(s, offset, bytes, to_zero, flags & REQ_UNMAP, FREE_REQUEST);
}

int qcow2_discard_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, bool full, FreeKind kind)
{
	if (q_raw_data(s) && !full)
		return qcow2_zero_clusters(s, offset, bytes, REQ_UNMAP);
	return change_range(s, offset, bytes, to_nothing, full ? DISCARD_FULL : 0, kind);
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* Part of a cluster: whole subclusters by the table if that can be, else zeroes are written. */
static int zero_part(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	if (!bytes || (!s->external && qcow2_reads_zero(s, offset, bytes)))
		return 0;
	uint64_t sub = 1ull << s->subcluster_bits;
	uint64_t from = (offset + sub - 1) & ~(sub - 1), to = (offset + bytes) & ~(sub - 1);
	if (s->subclusters > 1 && from < to && !q_raw_data(s)) {
		qcow2_lock(s);
		qcow2_alloc_settle(s, from, to - from);
		Table *t;
		int ret = qcow2_l2_for_change(s, from, &t);
		bool compressed = ret >= 0
			&& entry_get(s, t, slice_index(s, from)) & QCOW2_COMPRESSED;
		if (ret >= 0)
			cache_put(t);
		unsigned first = q_inside(s, from) >> s->subcluster_bits;
		unsigned n = (to - from) >> s->subcluster_bits;
		uint32_t subs = (uint32_t)(((1ull << n) - 1) << first);
		if (ret >= 0 && !compressed)
			ret = change_slice(s, q_floor(s, from), q_floor(s, from) + 1, subs, to_zero,
				0, FREE_REQUEST);
		qcow2_unlock(s);
		if (ret < 0)
			return ret;
		if (!compressed) {
			ret = zero_part(s, offset, from - offset);
			return ret < 0 ? ret : zero_part(s, to, offset + bytes - to);
		}
	}
	uint8_t *buf = g_try_malloc0(bytes);
	struct iovec v = { buf, bytes };
	int ret = buf ? qcow2_write_inside(s, offset, iov_one(&v), 0) : -ENOMEM;
	g_free(buf);
	return ret;
}

static int zero_range(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned flags)
{
	uint64_t end = offset + bytes;
	/* Past the end of the disk nothing is lost: its last cluster counts as whole. */
	uint64_t to = end == s->node->length ? q_ceil(s, end) : q_floor(s, end),
		 from = q_ceil(s, offset);
	if (from >= to) {
		uint64_t cut = MIN(q_ceil(s, offset + 1), end);
		int ret = zero_part(s, offset, cut - offset);
		return ret < 0 ? ret : zero_part(s, cut, end - cut);
	}
	int ret = zero_part(s, offset, from - offset);
	if (ret >= 0 && to < end)
		ret = zero_part(s, to, end - to);
	if (ret < 0)
		return ret;
	qcow2_lock(s);
	qcow2_alloc_settle(s, from, to - from);
	ret = s->version >= 3 ? qcow2_zero_clusters(s, from, to - from, flags)
			      : qcow2_discard_clusters(s, from, to - from, false, FREE_REQUEST);
	qcow2_unlock(s);
	return ret;
}

int qcow2_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	fiber_rdlock(&s->gate);
	int ret = 0;
	/* Version 2 has no zero clusters: dropped ones do, if nothing shows through. */
	if (s->version < 3 && (node->backing || !(flags & REQ_UNMAP)))
		ret = qcow2_reads_zero(s, offset, bytes) ? 1 : -ENOTSUP;
	if (ret == 0)
		ret = qcow2_begin_writing(s);
	if (ret == 0) {
		qcow2_bitmaps_mark(s, offset, bytes);
		ret = zero_range(s, offset, bytes, flags);
	}
	if (ret >= 0 && flags & REQ_FUA)
		ret = node_flush(node);
	fiber_rdunlock(&s->gate);
	return MIN(ret, 0);
}

int qcow2_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	uint64_t end = offset + bytes;
	uint64_t from = q_ceil(s, offset),
		 to = end == node->length ? q_ceil(s, end) : q_floor(s, end);
	/* Without zero clusters the backing file would come back. */
	if (s->version < 3 && node->backing)
		return -ENOTSUP;
	if (from >= to)
		return 0;
	fiber_rdlock(&s->gate);
	int ret = qcow2_begin_writing(s);
	if (ret >= 0) {
		qcow2_bitmaps_mark(s, from, to - from);
		qcow2_lock(s);
		qcow2_alloc_settle(s, from, to - from);
		ret = qcow2_discard_clusters(s, from, to - from, false, FREE_REQUEST);
		qcow2_unlock(s);
	}
	fiber_rdunlock(&s->gate);
	return ret;
}

int qcow2_make_empty(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return ret;
	qcow2_begin(s);
	qcow2_bitmaps_mark(s, 0, node->length);
	ret = qcow2_discard_clusters(s, 0, q_ceil(s, s->size), true, FREE_SNAPSHOT);
	if (ret >= 0)
		ret = qcow2_write_tables(s);
	/* Empty tables go as well: they are ours alone unless a snapshot has them. */
	uint64_t used = q_l1_needed(s, s->size);
	for (uint32_t i = 0; ret >= 0 && i < used; i++) {
		uint64_t l2 = s->l1[i] & QCOW2_L1_OFFSET;
		if (!l2)
			continue;
		s->l1[i] = 0;
		qcow2_l1_dirty(s, i);
		qcow2_free_later(s, l2, s->cluster_size, FREE_ALWAYS);
	}
	if (ret >= 0)
		ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = qcow2_shrink_file(s);
	qcow2_end(s);
	return ret;
}
