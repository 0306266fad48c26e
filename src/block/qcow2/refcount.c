/*
 * refcount.c - which clusters of the file are in use, and how often.
 *
 * Source: "QCOW2 disk image format", section "Host cluster management". Counts change in memory
 * (cache.c); order.c writes them. Threads: fibers of the node's loop, which hold the lock.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

uint64_t refcount_at(const void *block, unsigned order, uint64_t i)
{
	const uint8_t *p = block;
	switch (order) {
	case 0: return p[i / 8] >> (i % 8) & 1;
	case 1: return p[i / 4] >> (2 * (i % 4)) & 3;
	case 2: return p[i / 2] >> (4 * (i % 2)) & 15;
	case 3: return p[i];
	case 4: return (uint64_t)p[i * 2] << 8 | p[i * 2 + 1];
	case 5: return be64_at(p + (i & ~1ull) * 4) >> (i & 1 ? 0 : 32) & 0xffffffff;
	default: return be64_at(p + i * 8);
	}
}

static void put_bits(uint8_t *p, unsigned shift, unsigned mask, uint64_t value)
{
	*p = (*p & ~(mask << shift)) | value << shift;
}

void refcount_put(void *block, unsigned order, uint64_t i, uint64_t value)
{
	uint8_t *p = block;
	switch (order) {
	case 0: put_bits(p + i / 8, i % 8, 1, value); break;
	case 1: put_bits(p + i / 4, 2 * (i % 4), 3, value); break;
	case 2: put_bits(p + i / 2, 4 * (i % 2), 15, value); break;
	case 3: p[i] = value; break;
	case 4:
		p[i * 2] = value >> 8;
		p[i * 2 + 1] = value;
		break;
	case 5: {
		uint32_t v = GUINT32_TO_BE((uint32_t)value);
		memcpy(p + i * 4, &v, 4);
		break;
	}
	default: put_be64(p + i * 8, value);
	}
}

/* The block that has the count of `cluster`, pinned; NULL with 0: there is none. */
static int find_block(Qcow2 *s, uint64_t cluster, Table **out)
{
	uint64_t n = cluster >> s->refblock_bits;
	*out = NULL;
	if (n >= s->reftable_size)
		return 0;
	uint64_t offset = s->reftable[n] & QCOW2_REFTABLE_OFFSET;
	if (!offset)
		return 0;
	if (q_inside(s, offset))
		return qcow2_corrupt(s, true,
			"the offset 0x%" PRIx64 " of a refcount block is not on a cluster "
			"(table index 0x%" PRIx64 ")",
			offset, n);
	return cache_get(s, &s->refblocks, offset, out);
}

int refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *out)
{
	Table *t;
	int ret = find_block(s, cluster, &t);
	*out = 0;
	if (ret >= 0 && t) {
		*out = refcount_at(
			t->data, s->refcount_order, cluster & ((1ull << s->refblock_bits) - 1));
		cache_put(t);
	}
	return ret;
}

/* ---- Finding free clusters ------------------------------------------------------------------- */

/* The first `n` free clusters in a row from free_hint on; none is taken. */
static int find_free(Qcow2 *s, uint64_t n, uint64_t *out)
{
	uint64_t per_block = 1ull << s->refblock_bits, limit = QCOW2_L2_OFFSET >> s->cluster_bits;
	uint64_t at = s->free_hint, run = 0;
	while (run < n) {
		if (at >= limit)
			return -EFBIG;
		Table *t;
		int ret = find_block(s, at, &t);
		if (ret < 0)
			return ret;
		uint64_t i = at & (per_block - 1);
		if (!t) {
			uint64_t take = MIN(per_block - i, n - run);
			run += take;
			at += take;
			continue;
		}
		for (; i < per_block && run < n; i++, at++)
			run = refcount_at(t->data, s->refcount_order, i) ? 0 : run + 1;
		cache_put(t);
	}
	*out = at - n;
	return 0;
}

/* ---- Blocks and the table -------------------------------------------------------------------- */

static void reftable_changed(Qcow2 *s, uint64_t n)
{
	if (s->reftable_dirty_from == s->reftable_dirty_to) {
		s->reftable_dirty_from = n;
		s->reftable_dirty_to = n + 1;
	}
	s->reftable_dirty_from = MIN(s->reftable_dirty_from, n);
	s->reftable_dirty_to = MAX(s->reftable_dirty_to, n + 1);
}

/* Makes refcount block `n`, which does not exist and lies within the table. It may count itself. */
static int new_block(Qcow2 *s, uint64_t n)
{
	uint64_t at;
	int ret = find_free(s, 1, &at);
	if (ret < 0)
		return ret;
	uint64_t home = at >> s->refblock_bits, mask = (1ull << s->refblock_bits) - 1;
	if (home >= s->reftable_size) {
		ret = refcount_grow(s, at + 1);
		return ret < 0 ? ret : -EAGAIN;
	}
	if (home != n && !(s->reftable[home] & QCOW2_REFTABLE_OFFSET)) {
		ret = new_block(s, home); /* finds the same cluster, its own home: no deeper */
		return ret < 0 ? ret : -EAGAIN;
	}
	uint64_t offset = at << s->cluster_bits;
	ret = qcow2_overlap(s, 0, offset, s->cluster_size);
	if (ret < 0)
		return ret;
	Table *t;
	if (home != n) {
		ret = find_block(s, at, &t);
		if (ret < 0)
			return ret;
		refcount_put(t->data, s->refcount_order, at & mask, 1);
		cache_dirty(&s->refblocks, t);
		cache_put(t);
	}
	ret = cache_new(s, &s->refblocks, offset, &t);
	if (ret < 0)
		return ret; /* the cluster leaks */
	if (home == n)
		refcount_put(t->data, s->refcount_order, at & mask, 1);
	cache_put(t);
	s->reftable[n] = offset;
	reftable_changed(s, n);
	qcow2_meta_add(s, offset, OVERLAP_REFBLOCK);
	s->free_hint = at + 1;
	s->virgin_end = MAX(s->virgin_end, offset + s->cluster_size);
	return 0;
}

/* 1: blocks for [from, to) were made, so what was free may be taken; 0: all were there. */
static int ensure_blocks(Qcow2 *s, uint64_t from, uint64_t to)
{
	if (((to - 1) >> s->refblock_bits) >= s->reftable_size) {
		int ret = refcount_grow(s, to);
		return ret < 0 ? ret : 1;
	}
	int made = 0;
	for (uint64_t n = from >> s->refblock_bits; n <= (to - 1) >> s->refblock_bits; n++)
		if (!(s->reftable[n] & QCOW2_REFTABLE_OFFSET)) {
			int ret = new_block(s, n);
			if (ret < 0 && ret != -EAGAIN)
				return ret;
			if (ret == -EAGAIN)
				return 1;
			made = 1;
		}
	return made;
}

int refcount_grow(Qcow2 *s, uint64_t clusters)
{
	uint64_t per_cluster = s->cluster_size / 8;
	uint64_t blocks = (clusters >> s->refblock_bits) + 1, old_size = s->reftable_size;
	/* Half as much again, and room to count the table itself. */
	uint64_t size = MAX(blocks + blocks / 8 + 8, old_size + old_size / 2);
	size += (size / per_cluster >> s->refblock_bits) + 1;
	size = (size + per_cluster - 1) / per_cluster * per_cluster;
	if (blocks > Q_MAX_REFTABLE_BYTES / 8 || s->reftable_growing)
		return -EFBIG;
	size = MIN(size, Q_MAX_REFTABLE_BYTES / 8);
	s->reftable = g_renew(uint64_t, s->reftable, size);
	memset(s->reftable + old_size, 0, (size - old_size) * 8);
	s->reftable_size = size;
	s->reftable_growing = true;
	uint64_t offset, old_offset = s->reftable_offset;
	int ret = refcount_alloc(s, size * 8, &offset);
	if (ret >= 0)
		ret = cache_write(s, &s->refblocks);
	if (ret >= 0)
		ret = qcow2_sync(s);
	if (ret >= 0)
		ret = qcow2_overlap(s, 0, offset, size * 8);
	if (ret >= 0) {
		g_autofree uint64_t *buf = g_new(uint64_t, size);
		for (uint64_t i = 0; i < size; i++)
			buf[i] = GUINT64_TO_BE(s->reftable[i]);
		ret = node_pwrite(s->node->file, offset, buf, size * 8);
	}
	if (ret >= 0) {
		s->reftable_offset = offset;
		ret = qcow2_header_commit(s);
	}
	s->reftable_growing = false;
	if (ret < 0) {
		/*
		 * The table stays as it was; blocks made for its new part leak, and are not
		 * written.
		 */
		for (uint64_t i = old_size; i < size; i++)
			if (s->reftable[i]) {
				cache_drop(&s->refblocks, s->reftable[i], s->cluster_size);
				qcow2_meta_remove(s, s->reftable[i], s->cluster_size);
			}
		s->reftable_offset = old_offset;
		s->reftable_size = old_size;
		s->reftable_dirty_to = MIN(s->reftable_dirty_to, old_size);
		s->reftable_dirty_from = MIN(s->reftable_dirty_from, s->reftable_dirty_to);
		return ret;
	}
	s->reftable_dirty_from = s->reftable_dirty_to = 0;
	if (old_size)
		refcount_release(s, old_offset, old_size * 8, FREE_OTHER);
	return 0;
}

/* ---- Counting -------------------------------------------------------------------------------- */

/* A count went to 0: nobody may find the old contents any more, and the file may forget them. */
static void freed_cluster(Qcow2 *s, uint64_t from, uint64_t bytes, FreeKind kind)
{
	if (from >> s->cluster_bits < s->free_hint)
		s->free_hint = from >> s->cluster_bits;
	if (s->byte_offset && s->byte_offset >= from && s->byte_offset < from + bytes)
		s->byte_offset = 0;
	cache_drop(&s->l2, from, bytes);
	cache_drop(&s->refblocks, from, bytes);
	qcow2_meta_remove(s, from, bytes);
	qcow2_unpacked_drop(s, from, bytes);
	if (s->discard[kind])
		node_discard(s->node->file, from, bytes); /* a hint: its failure changes nothing */
}

/* Counts of clusters [from, to), all in one block. */
static int add_in_block(Qcow2 *s, uint64_t from, uint64_t to, int by, FreeKind kind)
{
	Table *t;
	int ret = find_block(s, from, &t);
	if (ret < 0)
		return ret;
	uint64_t mask = (1ull << s->refblock_bits) - 1, zero_from = 0, zero_n = 0;
	if (!t)
		return qcow2_corrupt(
			s, false, "cluster 0x%" PRIx64 " is in use and not counted", from);
	for (uint64_t c = from; c < to; c++) {
		uint64_t v = refcount_at(t->data, s->refcount_order, c & mask);
		if (by > 0 && v == s->refcount_max) {
			for (uint64_t k = from; k < c; k++) /* all or nothing */
				refcount_put(t->data, s->refcount_order, k & mask,
					refcount_at(t->data, s->refcount_order, k & mask) - 1);
			ret = -EOVERFLOW;
			break;
		}
		if (by < 0 && v == 0) {
			ret = qcow2_corrupt(
				s, false, "cluster 0x%" PRIx64 " is in use and not counted", c);
			continue;
		}
		v += by;
		refcount_put(t->data, s->refcount_order, c & mask, v);
		if (v == 0) {
			if (zero_n && zero_from + zero_n != c) {
				freed_cluster(s, zero_from << s->cluster_bits,
					zero_n << s->cluster_bits, kind);
				zero_n = 0;
			}
			zero_from = zero_n ? zero_from : c;
			zero_n++;
		}
	}
	cache_dirty(&s->refblocks, t);
	cache_put(t);
	if (zero_n)
		freed_cluster(s, zero_from << s->cluster_bits, zero_n << s->cluster_bits, kind);
	return ret;
}

int refcount_add(Qcow2 *s, uint64_t offset, uint64_t bytes, int by, FreeKind kind)
{
	if (!bytes)
		return 0;
	uint64_t first = offset >> s->cluster_bits,
		 end = ((offset + bytes - 1) >> s->cluster_bits) + 1;
	int ret = 0;
	if (by > 0)
		do
			ret = ensure_blocks(s, first, end);
		while (ret > 0);
	if (ret < 0)
		return ret;
	for (uint64_t at = first; at < end;) {
		uint64_t stop = MIN(end, ((at >> s->refblock_bits) + 1) << s->refblock_bits);
		int r = add_in_block(s, at, stop, by, kind);
		if (r < 0 && by > 0) {
			if (at > first) /* what this call added */
				refcount_add(s, first << s->cluster_bits,
					(at - first) << s->cluster_bits, -1, FREE_NEVER);
			return r;
		}
		ret = r < 0 ? r : ret;
		at = stop;
	}
	return ret;
}

int refcount_alloc(Qcow2 *s, uint64_t bytes, uint64_t *offset)
{
	uint64_t n = q_clusters(s, bytes), at;
	int ret;
	/* Each round makes at least one block, and there are not many to make. */
	do {
		ret = find_free(s, n, &at);
		if (ret >= 0)
			ret = ensure_blocks(s, at, at + n);
	} while (ret > 0);
	if (ret >= 0)
		ret = refcount_add(s, at << s->cluster_bits, n << s->cluster_bits, 1, FREE_NEVER);
	if (ret < 0)
		return ret;
	s->free_hint = at + n;
	s->virgin_end = MAX(s->virgin_end, (at + n) << s->cluster_bits);
	*offset = at << s->cluster_bits;
	return 0;
}

int refcount_alloc_bytes(Qcow2 *s, uint32_t bytes, uint64_t *offset)
{
	uint64_t at = s->byte_offset, count = 0, next = 0;
	int ret;
	if (at && q_inside(s, at)) {
		ret = refcount_get(s, at >> s->cluster_bits, &count);
		if (ret < 0)
			return ret;
		if (count == 0 || count == s->refcount_max)
			at = 0;
	} else {
		at = 0;
	}
	uint64_t room = at ? s->cluster_size - q_inside(s, at) : 0;
	if (room < bytes) {
		ret = refcount_alloc(s, s->cluster_size, &next);
		if (ret < 0)
			return ret;
		if (!at || next != q_ceil(s, at))
			at = next; /* not behind it: the rest of the old cluster stays empty */
		else if (bytes > room)
			room += s->cluster_size;
	}
	/* Counts: a cluster just taken has its 1 already; one that is shared gets one more. */
	if (at != next) {
		ret = refcount_add(s, q_floor(s, at), s->cluster_size, 1, FREE_NEVER);
		if (ret < 0) {
			if (next)
				refcount_release(s, next, s->cluster_size, FREE_NEVER);
			return ret;
		}
	}
	*offset = at;
	s->byte_offset = at + bytes;
	if (!q_inside(s, s->byte_offset))
		s->byte_offset = 0;
	return 0;
}

void refcount_release(Qcow2 *s, uint64_t offset, uint64_t bytes, FreeKind kind)
{
	refcount_add(s, offset, bytes, -1, kind); /* on failure they leak */
}

int refcount_last(Qcow2 *s, uint64_t *clusters)
{
	uint64_t per_block = 1ull << s->refblock_bits;
	*clusters = 0;
	for (uint64_t n = s->reftable_size; n-- > 0;) {
		Table *t;
		int ret = find_block(s, n << s->refblock_bits, &t);
		if (ret < 0)
			return ret;
		if (!t)
			continue;
		for (uint64_t i = per_block; i-- > 0;)
			if (refcount_at(t->data, s->refcount_order, i)) {
				*clusters = (n << s->refblock_bits) + i + 1;
				cache_put(t);
				return 0;
			}
		cache_put(t);
	}
	return 0;
}

int refcount_trim(Qcow2 *s)
{
	uint64_t per_block = 1ull << s->refblock_bits;
	for (uint64_t n = 0; n < s->reftable_size; n++) {
		Table *t;
		int ret = find_block(s, n << s->refblock_bits, &t);
		if (ret < 0)
			return ret;
		if (!t)
			continue;
		uint64_t offset = t->offset, self = offset >> s->cluster_bits, used = 0;
		for (uint64_t i = 0; i < per_block && !used; i++)
			if (refcount_at(t->data, s->refcount_order, i)
				&& (n << s->refblock_bits) + i != self)
				used++;
		cache_put(t);
		if (used)
			continue;
		s->reftable[n] = 0;
		reftable_changed(s, n);
		if (self >> s->refblock_bits != n)
			qcow2_free_later(s, offset, s->cluster_size, FREE_ALWAYS);
		else
			s->free_hint = MIN(s->free_hint, self);
		cache_drop(&s->refblocks, offset, s->cluster_size);
		qcow2_meta_remove(s, offset, s->cluster_size);
	}
	return 0;
}

bool refcount_sparse(Qcow2 *s)
{
	int64_t bytes = node_allocated(s->node->file);
	if (bytes < 0)
		return false;
	uint64_t real = (uint64_t)bytes >> s->cluster_bits, used = 0;
	uint64_t enough = MAX(real * 10 / 9, real + 2);
	for (uint64_t n = 0; n < s->reftable_size && used <= enough; n++) {
		Table *t;
		if (find_block(s, n << s->refblock_bits, &t) < 0)
			return false;
		for (uint64_t i = 0; t && i < 1ull << s->refblock_bits; i++)
			used += refcount_at(t->data, s->refcount_order, i) != 0;
		if (t)
			cache_put(t);
	}
	return used > enough;
}
