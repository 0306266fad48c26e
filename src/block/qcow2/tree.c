/*
 * tree.c - counts of all that an L1 table names, for snapshots; the state of a paused machine.
 *
 * A cluster's count is the number of ways to it: a data cluster that three L1 tables reach has
 * 3, whether or not they share the L2 table. COPIED says in the active tables: exactly 1.
 * Threads: fibers of the node's loop; alone with the image.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

/* Neighbouring clusters are counted in one step. */
typedef struct Run {
	Qcow2 *s;
	uint64_t start, end;
	int by;
	int ret;
} Run;

static void run_flush(Run *r)
{
	if (r->end > r->start) {
		int ret = refcount_add(r->s, r->start, r->end - r->start, r->by, FREE_SNAPSHOT);
		r->ret = r->ret < 0 ? r->ret : ret;
	}
	r->start = r->end = 0;
}

static void run_add(Run *r, uint64_t offset, uint64_t bytes)
{
	if (!r->by)
		return;
	if (r->end != offset || offset & (r->s->cluster_size - 1))
		run_flush(r);
	if (r->start == r->end)
		r->start = offset;
	r->end = offset + bytes;
}

/* The clusters of one L2 entry. */
static int count_entry(Run *r, uint64_t entry)
{
	Qcow2 *s = r->s;
	uint64_t host = entry & QCOW2_L2_OFFSET;
	if (entry & QCOW2_COMPRESSED) {
		uint32_t bytes;
		qcow2_compressed_place(s, entry, &host, &bytes);
		uint64_t from = host & ~(uint64_t)(SECTOR - 1);
		run_add(r, from, host + bytes - from);
		if (q_inside(s, r->end))
			run_flush(
				r); /* the next may begin in the same cluster, which counts again */
	} else if (host) {
		if (q_inside(s, host))
			return qcow2_corrupt(
				s, false, "the L2 entry 0x%" PRIx64 " is invalid", entry);
		run_add(r, host, s->cluster_size);
	}
	return 0;
}

/* COPIED of an active entry as the count says; for compressed ones never. */
static int set_flag(Qcow2 *s, uint64_t *entry, uint64_t offset)
{
	uint64_t count = 0;
	int ret = 0;
	if (offset && !(*entry & QCOW2_COMPRESSED))
		ret = refcount_get(s, offset >> s->cluster_bits, &count);
	*entry = (*entry & ~QCOW2_COPIED) | (count == 1 ? QCOW2_COPIED : 0);
	return ret;
}

static int walk_slice(Qcow2 *s, uint64_t place, Run *r, bool active)
{
	Table *t;
	int ret = cache_get(s, &s->l2, place, &t);
	if (ret < 0)
		return ret;
	unsigned n = 1u << s->slice_bits;
	for (unsigned i = 0; i < n && ret >= 0 && r->by; i++)
		ret = count_entry(r, entry_get(s, t, i));
	run_flush(r);
	ret = ret < 0 ? ret : r->ret;
	for (unsigned i = 0; i < n && ret >= 0 && active; i++) {
		uint64_t old = entry_get(s, t, i), entry = old;
		ret = set_flag(s, &entry, entry & QCOW2_L2_OFFSET);
		if (ret >= 0 && entry != old) {
			put_be64(t->data + (size_t)i * s->l2_entry_size, entry);
			cache_dirty(&s->l2, t);
		}
	}
	cache_put(t);
	return ret;
}

int qcow2_add_tree(Qcow2 *s, uint64_t *l1, uint32_t l1_size, int by, bool active)
{
	Run r = { .s = s, .by = by };
	int ret = 0;
	for (uint32_t i = 0; i < l1_size && ret >= 0; i++) {
		uint64_t l2 = l1[i] & QCOW2_L1_OFFSET;
		if (!l2)
			continue;
		if (q_inside(s, l2))
			return qcow2_corrupt(s, false,
				"the offset 0x%" PRIx64 " of an L2 table is not on a cluster", l2);
		for (uint64_t k = 0; k < s->cluster_size && ret >= 0; k += s->l2.table_size)
			ret = walk_slice(s, l2 + k, &r, active);
		if (ret >= 0 && by)
			ret = refcount_add(s, l2, s->cluster_size, by, FREE_SNAPSHOT);
		if (ret >= 0 && active) {
			uint64_t old = l1[i];
			ret = set_flag(s, &l1[i], l2);
			if (l1[i] != old)
				qcow2_l1_dirty(s, i);
		}
	}
	return ret;
}

/* ---- The state of a paused machine lies past the end of the disk ----------------------------- */

uint64_t qcow2_vmstate_offset(const Qcow2 *s)
{
	return q_l1_needed(s, s->size) << q_l1_shift(s);
}

int qcow2_vmstate_read(Node *node, uint64_t offset, Iov iov)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	fiber_rdlock(&s->gate);
	int ret = qcow2_read_inside(s, qcow2_vmstate_offset(s) + offset, iov);
	fiber_rdunlock(&s->gate);
	return ret;
}

int qcow2_vmstate_write(Node *node, uint64_t offset, Iov iov)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (offset > NODE_LENGTH_MAX - qcow2_vmstate_offset(s) - iov.len)
		return -EFBIG;
	fiber_rdlock(&s->gate);
	int ret = qcow2_begin_writing(s);
	if (ret >= 0)
		ret = qcow2_write_inside(s, qcow2_vmstate_offset(s) + offset, iov, 0);
	fiber_rdunlock(&s->gate);
	return ret;
}
