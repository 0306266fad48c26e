/*
 * overlap.c - keeps writes off the image's own tables.
 *
 * A damaged image may call a table's cluster free, or map it for the guest. Before anything is
 * written its place is compared with the tables we know: a few ranges, and a set of the
 * clusters that active L2 tables and refcount blocks occupy. That is QEMU's "cached" level.
 * Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

/*
 * An element: cluster number and whether it is a refcount block; 0: empty place, 1: a removed one.
 */
enum { SET_MIN = 64 };
#define REMOVED 1ull

static uint64_t element(const Qcow2 *s, uint64_t offset, unsigned kind)
{
	return (offset >> s->cluster_bits) << 1 | (kind == OVERLAP_REFBLOCK);
}

static size_t slot_of(const Qcow2 *s, uint64_t cluster)
{
	return (size_t)((cluster * 0x9e3779b97f4a7c15ull) >> 20) & (s->meta_size - 1);
}

static void insert(Qcow2 *s, uint64_t e)
{
	size_t i = slot_of(s, e >> 1);
	while (s->meta[i] > REMOVED && s->meta[i] != e)
		i = (i + 1) & (s->meta_size - 1);
	if (!s->meta[i])
		s->meta_used++;
	s->meta[i] = e;
}

void qcow2_meta_add(Qcow2 *s, uint64_t offset, unsigned kind)
{
	if (s->meta_used * 2 >= s->meta_size) {
		uint64_t *old = s->meta;
		size_t size = s->meta_size, live = 0;
		for (size_t i = 0; i < size; i++)
			live += old[i] > REMOVED;
		for (s->meta_size = SET_MIN; s->meta_size < live * 4;)
			s->meta_size *= 2;
		s->meta = g_new0(uint64_t, s->meta_size);
		s->meta_used = 0;
		for (size_t i = 0; i < size; i++)
			if (old[i] > REMOVED)
				insert(s, old[i]);
		g_free(old);
	}
	if (offset >> s->cluster_bits)
		insert(s, element(s, offset, kind));
}

void qcow2_meta_remove(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	for (uint64_t o = offset; s->meta_used && o < offset + bytes; o += s->cluster_size)
		for (size_t i = slot_of(s, o >> s->cluster_bits); s->meta[i];
			i = (i + 1) & (s->meta_size - 1))
			if (s->meta[i] >> 1 == o >> s->cluster_bits && s->meta[i] > REMOVED)
				s->meta[i] = REMOVED;
}

void qcow2_meta_rebuild(Qcow2 *s)
{
	qcow2_meta_free(s);
	for (uint32_t i = 0; i < s->l1_size; i++)
		qcow2_meta_add(s, s->l1[i] & QCOW2_L1_OFFSET, OVERLAP_L2);
	for (uint32_t i = 0; i < s->reftable_size; i++)
		qcow2_meta_add(s, s->reftable[i] & QCOW2_REFTABLE_OFFSET, OVERLAP_REFBLOCK);
}

void qcow2_meta_free(Qcow2 *s)
{
	g_clear_pointer(&s->meta, g_free);
	s->meta_size = s->meta_used = 0;
}

static bool hits(uint64_t offset, uint64_t bytes, uint64_t start, uint64_t size)
{
	return size && offset < start + size && start < offset + bytes;
}

static unsigned fixed_tables(const Qcow2 *s, unsigned want, uint64_t offset, uint64_t bytes)
{
	if (want & OVERLAP_HEADER && offset < s->cluster_size)
		return OVERLAP_HEADER;
	if (want & OVERLAP_L1 && hits(offset, bytes, s->l1_offset, (uint64_t)s->l1_size * 8))
		return OVERLAP_L1;
	if (want & OVERLAP_REFTABLE && !s->reftable_growing
		&& hits(offset, bytes, s->reftable_offset, (uint64_t)s->reftable_size * 8))
		return OVERLAP_REFTABLE;
	if (want & OVERLAP_SNAPSHOTS
		&& hits(offset, bytes, s->snapshots_offset, s->snapshots_bytes))
		return OVERLAP_SNAPSHOTS;
	if (want & OVERLAP_BITMAPS && s->nb_bitmaps
		&& hits(offset, bytes, s->bitmaps_offset, s->bitmaps_bytes))
		return OVERLAP_BITMAPS;
	for (uint32_t i = 0; want & OVERLAP_INACTIVE_L1 && i < s->nb_snapshots && s->snapshots; i++)
		if (hits(offset, bytes, s->snapshots[i].l1_offset,
			    (uint64_t)s->snapshots[i].l1_size * 8))
			return OVERLAP_INACTIVE_L1;
	return 0;
}

static unsigned set_tables(const Qcow2 *s, unsigned want, uint64_t offset, uint64_t bytes)
{
	uint64_t end = (offset + bytes - 1) >> s->cluster_bits;
	for (uint64_t c = offset >> s->cluster_bits; s->meta_used && c <= end; c++)
		for (size_t i = slot_of(s, c); s->meta[i]; i = (i + 1) & (s->meta_size - 1)) {
			unsigned kind = s->meta[i] & 1 ? OVERLAP_REFBLOCK : OVERLAP_L2;
			if (s->meta[i] > REMOVED && s->meta[i] >> 1 == c && want & kind)
				return kind;
		}
	return 0;
}

int qcow2_overlap(Qcow2 *s, unsigned ignore, uint64_t offset, uint64_t bytes)
{
	static const char *const names[] = { "the header", "the active L1 table",
		"an active L2 table", "the refcount table", "a refcount block",
		"the snapshot table", "a snapshot's L1 table", "a snapshot's L2 table",
		"the directory of bitmaps" };
	unsigned want = s->overlap & ~ignore;
	if (!want || !bytes)
		return 0;
	unsigned hit = fixed_tables(s, want, offset, bytes);
	if (!hit)
		hit = set_tables(s, want, offset, bytes);
	if (!hit)
		return 0;
	return qcow2_corrupt(s, true,
		"a write to file offset 0x%" PRIx64 " (0x%" PRIx64 " bytes) would overwrite %s",
		offset, bytes, names[g_bit_nth_lsf(hit, -1)]);
}
