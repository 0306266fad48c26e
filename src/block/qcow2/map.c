/*
 * map.c - from an offset in the guest's disk to a place in the file.
 *
 * Source: "QCOW2 disk image format", sections "Cluster mapping" and "Extended L2 Entries".
 * A lookup whose table is in memory neither waits nor locks. Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

ExtentType qcow2_entry_type(const Qcow2 *s, uint64_t entry, uint64_t bitmap, unsigned sub)
{
	uint64_t host = entry & QCOW2_L2_OFFSET;
	/* In a data file a cluster may lie at 0: there the flag says that it exists. */
	bool has_host = host || (s->external && entry & QCOW2_COPIED);
	if (entry & QCOW2_COMPRESSED)
		return s->external ? EXTENT_INVALID : EXTENT_COMPRESSED;
	if (q_inside(s, host))
		return EXTENT_INVALID;
	if (s->subclusters > 1) {
		bool data = bitmap >> sub & 1, zero = bitmap >> (32 + sub) & 1;
		if (data)
			return zero || !has_host ? EXTENT_INVALID : EXTENT_DATA;
		if (zero)
			return has_host ? EXTENT_ZERO_HOST : EXTENT_ZERO;
		return has_host ? EXTENT_UNALLOCATED_HOST : EXTENT_UNALLOCATED;
	}
	if (entry & QCOW2_ZERO) {
		if (s->version < 3)
			return EXTENT_INVALID;
		return has_host ? EXTENT_ZERO_HOST : EXTENT_ZERO;
	}
	return has_host ? EXTENT_DATA : EXTENT_UNALLOCATED;
}

void qcow2_compressed_place(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *bytes)
{
	unsigned bits = 62 - (s->cluster_bits - 8);
	uint64_t sectors = ((entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> bits) + 1;
	*offset = entry & ((1ull << bits) - 1);
	*bytes = sectors * SECTOR - (*offset & (SECTOR - 1));
}

/* The L2 slice for `offset`: pinned only if it had to be read. NULL with 0: no table there. */
static int find_slice(Qcow2 *s, uint64_t offset, Table **out)
{
	uint64_t index = offset >> q_l1_shift(s);
	*out = NULL;
	if (index >= s->l1_size)
		return 0;
	uint64_t l1 = s->l1[index], l2 = l1 & QCOW2_L1_OFFSET;
	if (!l2)
		return 0;
	if (q_inside(s, l2))
		return qcow2_corrupt(s, false,
			"the offset 0x%" PRIx64 " of an L2 table is not on a cluster"
			" (L1 index 0x%" PRIx64 ")",
			l2, index);
	uint64_t place = slice_place(s, l2, offset);
	*out = cache_peek(&s->l2, place);
	if (*out) {
		(*out)->pins++;
		return 0;
	}
	return cache_get(s, &s->l2, place, out);
}

/* How many subclusters from (i, sub) on have the type and follow the first one's place. */
static uint64_t run_length(
	const Qcow2 *s, const Table *t, unsigned i, unsigned sub, uint64_t max, const Extent *x)
{
	uint64_t n = 1, first = entry_get(s, t, i);
	uint64_t host = first & QCOW2_L2_OFFSET;
	unsigned end = 1u << s->slice_bits;
	if (x->type == EXTENT_COMPRESSED)
		return s->subclusters - sub;
	for (unsigned cluster = i;;) {
		uint64_t entry = entry_get(s, t, cluster), bitmap = bitmap_get(s, t, cluster);
		if (cluster != i) {
			if (extent_has_host(x->type)
				&& ((entry & QCOW2_L2_OFFSET)
						!= host
							+ ((uint64_t)(cluster - i)
								<< s->cluster_bits)
					|| !(entry & QCOW2_COPIED) != !x->copied))
				return n;
			if (qcow2_entry_type(s, entry, bitmap, 0) != x->type)
				return n;
			n++;
		}
		for (unsigned k = (cluster == i ? sub : 0) + 1; k < s->subclusters; k++, n++)
			if (qcow2_entry_type(s, entry, bitmap, k) != x->type)
				return n;
		if (++cluster == end || n >= max)
			return n;
	}
}

int qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Extent *out)
{
	Table *t;
	int ret = find_slice(s, offset, &t);
	if (ret < 0)
		return ret;
	uint64_t in_sub = offset & ((1ull << s->subcluster_bits) - 1);
	*out = (Extent){ .type = EXTENT_UNALLOCATED };
	if (!t) {
		uint64_t reach = 1ull << q_l1_shift(s);
		out->bytes = MIN(bytes, reach - (offset & (reach - 1)));
		return 0;
	}
	unsigned i = slice_index(s, offset);
	unsigned sub = q_inside(s, offset) >> s->subcluster_bits;
	uint64_t entry = entry_get(s, t, i);
	out->type = qcow2_entry_type(s, entry, bitmap_get(s, t, i), sub);
	out->copied = entry & QCOW2_COPIED;
	if (out->type == EXTENT_INVALID) {
		cache_put(t);
		return qcow2_corrupt(s, false,
			"the L2 entry 0x%" PRIx64 " for guest offset 0x%" PRIx64 " is invalid",
			entry, offset);
	}
	out->host = out->type == EXTENT_COMPRESSED
		? entry
		: (entry & QCOW2_L2_OFFSET) + q_inside(s, offset);
	uint64_t max = ((in_sub + bytes - 1) >> s->subcluster_bits) + 1;
	uint64_t n = run_length(s, t, i, sub, max, out);
	out->bytes = MIN(bytes, (n << s->subcluster_bits) - in_sub);
	cache_put(t);
	return 0;
}

void qcow2_l1_dirty(Qcow2 *s, uint32_t index)
{
	if (s->l1_dirty_from == s->l1_dirty_to) {
		s->l1_dirty_from = index;
		s->l1_dirty_to = index + 1;
	}
	s->l1_dirty_from = MIN(s->l1_dirty_from, index);
	s->l1_dirty_to = MAX(s->l1_dirty_to, index + 1);
}

/* A new L2 table for L1 entry `index`, with the contents of the present one if there is any. */
static int new_l2(Qcow2 *s, uint32_t index)
{
	uint64_t old = s->l1[index] & QCOW2_L1_OFFSET, offset;
	g_autofree uint8_t *buf = g_malloc0(s->cluster_size);
	int ret = refcount_alloc(s, s->cluster_size, &offset);
	if (ret < 0)
		return ret;
	if (offset > QCOW2_L1_OFFSET) {
		ret = -EFBIG;
		goto out;
	}
	if (old) /* shared with a snapshot: unchanged in memory since it was written */
		ret = node_pread(s->node->file, old, buf, s->cluster_size);
	if (ret >= 0)
		ret = qcow2_overlap(s, 0, offset, s->cluster_size);
	s->unsynced = true;
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, buf, s->cluster_size);
	if (ret < 0)
		goto out;
	cache_drop(&s->l2, offset, s->cluster_size);
	s->l1[index] = offset | QCOW2_COPIED;
	qcow2_l1_dirty(s, index);
	qcow2_meta_add(s, offset, OVERLAP_L2);
	if (old)
		qcow2_free_later(s, old, s->cluster_size, FREE_OTHER);
	return 0;
out:
	refcount_release(s, offset, s->cluster_size, FREE_OTHER);
	return ret;
}

int qcow2_l2_for_change(Qcow2 *s, uint64_t offset, Table **out)
{
	uint64_t index = offset >> q_l1_shift(s);
	if (index >= s->l1_size) {
		int ret = qcow2_grow_l1(s, index + 1);
		if (ret < 0)
			return ret;
	}
	uint64_t l1 = s->l1[index];
	if (q_inside(s, l1 & QCOW2_L1_OFFSET))
		return qcow2_corrupt(s, true,
			"the offset 0x%" PRIx64
			" of an L2 table is not on a cluster (L1 index 0x%" PRIx64 ")",
			(uint64_t)(l1 & QCOW2_L1_OFFSET), index);
	if (!(l1 & QCOW2_L1_OFFSET) || !(l1 & QCOW2_COPIED)) {
		int ret = new_l2(s, index);
		if (ret < 0)
			return ret;
	}
	return cache_get(s, &s->l2, slice_place(s, s->l1[index] & QCOW2_L1_OFFSET, offset), out);
}
