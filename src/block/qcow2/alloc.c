/*
 * alloc.c - new clusters for a write: chosen under the lock, written without it, then entered
 * in the L2 table. Meanwhile an Alloc stands in a list, and others who would change the same
 * clusters wait for it.
 *
 * Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

void qcow2_alloc_register(Qcow2 *s, Alloc *a)
{
	a->next = s->allocs;
	a->link = &s->allocs;
	if (a->next)
		a->next->link = &a->next;
	s->allocs = a;
}

void qcow2_alloc_remove(Alloc *a)
{
	*a->link = a->next;
	if (a->next)
		a->next->link = a->link;
	fiber_queue_wake_all(&a->waiters);
}

/* An allocation in flight that touches [from, to). */
static Alloc *in_flight(const Qcow2 *s, uint64_t from, uint64_t to)
{
	for (Alloc *a = s->allocs; a; a = a->next)
		if (a->guest < to && from < a->guest + a->bytes)
			return a;
	return NULL;
}

void qcow2_alloc_settle(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	uint64_t from = q_floor(s, offset), to = q_ceil(s, offset + bytes);
	while (in_flight(s, from, to)) {
		qcow2_unlock(s);
		Alloc *a = in_flight(s, from, to); /* the unlock may have let it end */
		if (a)
			fiber_queue_wait(&a->waiters);
		qcow2_lock(s);
	}
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* Subclusters that bytes [from, to) of a cluster touch, as a mask. */
static uint32_t sub_mask(const Qcow2 *s, uint64_t from, uint64_t to)
{
	unsigned first = from >> s->subcluster_bits, end = ((to - 1) >> s->subcluster_bits) + 1;
	return (uint32_t)((1ull << end) - (1ull << first));
}

typedef enum Need { NEED_NOTHING, NEED_ENTRY, NEED_CLUSTER, NEED_NO_MORE } Need;

/* What a write to [from, to) of the cluster of entry `i` takes. */
static Need need_of(const Qcow2 *s, const Table *t, unsigned i, uint64_t from, uint64_t to)
{
	uint64_t entry = entry_get(s, t, i), bitmap = bitmap_get(s, t, i);
	bool all_data = true;
	uint32_t subs = sub_mask(s, from, to);
	for (unsigned k = 0; k < s->subclusters; k++) {
		ExtentType type = qcow2_entry_type(s, entry, bitmap, k);
		if (type == EXTENT_INVALID)
			return NEED_NO_MORE;
		if (type == EXTENT_COMPRESSED || !extent_has_host(type) || !(entry & QCOW2_COPIED))
			return NEED_CLUSTER;
		if (subs >> k & 1 && type != EXTENT_DATA)
			all_data = false;
	}
	return all_data ? NEED_NOTHING : NEED_ENTRY;
}

/* How many clusters from entry i on, for [offset, end), need the same and can be one piece. */
static unsigned same_need(const Qcow2 *s, const Table *t, uint64_t offset, uint64_t end, Need need)
{
	unsigned first = slice_index(s, offset), n = 1, slice_end = 1u << s->slice_bits;
	uint64_t host = entry_get(s, t, first) & QCOW2_L2_OFFSET;
	uint64_t at = q_floor(s, offset) + s->cluster_size;
	for (; at < end && first + n < slice_end; at += s->cluster_size, n++) {
		if (need_of(s, t, first + n, 0, MIN(end - at, s->cluster_size)) != need)
			break;
		if (need == NEED_ENTRY
			&& (entry_get(s, t, first + n) & QCOW2_L2_OFFSET)
				!= host + ((uint64_t)n << s->cluster_bits))
			break;
	}
	return n;
}

/* Is there old contents that a new cluster must take over in full? */
static bool has_old(const Qcow2 *s, uint64_t entry)
{
	return entry & (QCOW2_COMPRESSED | QCOW2_L2_OFFSET);
}

/* Up to which bounds around the data the old contents must come along. */
static void cow_bounds(const Qcow2 *s, const Table *t, Alloc *a)
{
	uint64_t sub_size = 1ull << s->subcluster_bits, last = a->data_end - 1;
	unsigned i = slice_index(s, a->data_start), k = slice_index(s, last);
	unsigned sub_first = q_inside(s, a->data_start) >> s->subcluster_bits;
	unsigned sub_last = q_inside(s, last) >> s->subcluster_bits;
	uint64_t e = entry_get(s, t, i), f = entry_get(s, t, k);
	if (a->keep_host && qcow2_entry_type(s, e, bitmap_get(s, t, i), sub_first) == EXTENT_DATA)
		a->cow_start = a->data_start;
	else if (!a->keep_host && has_old(s, e))
		a->cow_start = q_floor(s, a->data_start);
	else
		a->cow_start = a->data_start & ~(sub_size - 1);
	if (a->keep_host && qcow2_entry_type(s, f, bitmap_get(s, t, k), sub_last) == EXTENT_DATA)
		a->cow_end = a->data_end;
	else if (!a->keep_host && has_old(s, f))
		a->cow_end = q_ceil(s, a->data_end);
	else
		a->cow_end = (a->data_end + sub_size - 1) & ~(sub_size - 1);
}

/* Fills in `a` for the entry's needs; takes clusters. */
static int choose(Qcow2 *s, Table *t, uint64_t offset, uint64_t bytes, Alloc *a)
{
	unsigned i = slice_index(s, offset);
	uint64_t inside = q_inside(s, offset), end = offset + bytes;
	Need need = need_of(s, t, i, inside, MIN(inside + bytes, s->cluster_size));
	if (need == NEED_NOTHING)
		return 1;
	if (need == NEED_NO_MORE)
		return qcow2_corrupt(s, true,
			"the L2 entry 0x%llx for guest offset 0x%llx is invalid",
			(unsigned long long)entry_get(s, t, i), (unsigned long long)offset);
	unsigned n = same_need(s, t, offset, end, need);
	a->guest = q_floor(s, offset);
	a->bytes = (uint64_t)n << s->cluster_bits;
	a->data_start = offset;
	a->data_end = MIN(end, a->guest + a->bytes);
	a->keep_host = need == NEED_ENTRY;
	cow_bounds(s, t, a);
	if (a->keep_host) {
		a->host = entry_get(s, t, i) & QCOW2_L2_OFFSET;
		return 0;
	}
	if (s->external) { /* the place in a data file is the guest's own */
		a->host = a->guest;
		return 0;
	}
	uint64_t virgin_end = s->virgin_end;
	int ret = refcount_alloc(s, a->bytes, &a->host);
	if (ret < 0)
		return ret;
	a->virgin = a->host >= virgin_end;
	if (a->host + a->bytes > QCOW2_L2_OFFSET) {
		refcount_release(s, a->host, a->bytes, FREE_NEVER);
		return -EFBIG;
	}
	return qcow2_overlap(s, 0, a->host, a->bytes);
}

int qcow2_alloc_prepare(Qcow2 *s, uint64_t offset, uint64_t *bytes, Alloc *a)
{
	if (s->corrupt)
		return -EIO;
	qcow2_lock(s);
	qcow2_alloc_settle(s, offset, 1);
	/* Others further on shorten this piece rather than make it wait. */
	for (const Alloc *o = s->allocs; o; o = o->next)
		if (o->guest > offset && o->guest < offset + *bytes)
			*bytes = o->guest - offset;
	Table *t;
	int ret = qcow2_l2_for_change(s, offset, &t);
	if (ret >= 0) {
		ret = choose(s, t, offset, *bytes, a);
		cache_put(t);
	}
	if (ret == 0) {
		*bytes = a->data_end - a->data_start;
		qcow2_alloc_register(s, a);
	}
	qcow2_unlock(s);
	return ret;
}

/* ---- Entering -------------------------------------------------------------------------------- */

void qcow2_entry_drop(Qcow2 *s, uint64_t entry, FreeKind kind)
{
	uint64_t host = entry & QCOW2_L2_OFFSET;
	if (s->external)
		return;
	if (entry & QCOW2_COMPRESSED) {
		uint32_t bytes;
		qcow2_compressed_place(s, entry, &host, &bytes);
		uint64_t from = host & ~(uint64_t)(SECTOR - 1);
		qcow2_free_later(s, from, host + bytes - from, kind);
	} else if (host && !q_inside(s, host)) {
		qcow2_free_later(s, host, s->cluster_size, kind);
	}
}

static int enter(Qcow2 *s, const Alloc *a)
{
	Table *t;
	int ret = qcow2_l2_for_change(s, a->guest, &t);
	if (ret < 0)
		return ret;
	s->unsynced = true; /* the data */
	unsigned i = slice_index(s, a->guest);
	for (uint64_t at = 0; at < a->bytes; at += s->cluster_size, i++) {
		uint64_t old = entry_get(s, t, i), bitmap = bitmap_get(s, t, i);
		uint64_t from = MAX(a->cow_start, a->guest + at), base = a->guest + at;
		uint64_t to = MIN(a->cow_end, base + s->cluster_size);
		uint64_t subs = s->subclusters > 1 && from < to
			? sub_mask(s, from - base, to - base)
			: 0;
		if (old & QCOW2_COMPRESSED)
			bitmap = 0;
		bitmap = (bitmap | subs) & ~(subs << 32);
		entry_set(s, t, i, (a->host + at) | QCOW2_COPIED, bitmap);
		if (!a->keep_host)
			qcow2_entry_drop(s, old, FREE_NEVER);
	}
	cache_dirty(&s->l2, t);
	cache_put(t);
	return 0;
}

int qcow2_alloc_finish(Qcow2 *s, Alloc *a, int result)
{
	qcow2_lock(s);
	if (result >= 0)
		result = enter(s, a);
	if (result < 0 && !a->keep_host && !s->external)
		refcount_release(s, a->host, a->bytes, FREE_ALWAYS);
	qcow2_alloc_remove(a);
	if (result >= 0)
		result = qcow2_freed_limit(s);
	qcow2_unlock(s);
	return result;
}
