/*
 * rebuild.c - new refcount structures from counts in memory: for `check -r all`, and for amend
 * to another width.
 *
 * The new blocks and table lie in clusters that nothing names, or past the end of the file;
 * the header then changes in one write. Threads: fibers of the node's loop; alone.
 */
#include "block/qcow2/qcow2.h"

typedef struct Rebuild {
	Qcow2 *s;
	unsigned order; /* of the new counts */
	unsigned block_bits;
	GArray *counts;	   /* uint8_t: the counts, grown as clusters are taken */
	uint64_t clusters; /* entries of counts */
	uint64_t *table;   /* in host order */
	uint64_t table_size, table_offset;
	uint64_t next; /* where to look for a free cluster */
} Rebuild;

static void reach(Rebuild *b, uint64_t clusters)
{
	if (clusters <= b->clusters)
		return;
	uint64_t bytes = ((clusters << b->order) + 7) / 8 + 8;
	guint old = b->counts->len;
	if (bytes > old) {
		g_array_set_size(b->counts, MAX(bytes, old + old / 4));
		memset(b->counts->data + old, 0, b->counts->len - old);
	}
	b->clusters = clusters;
}

/* Takes `n` free clusters in a row. */
static uint64_t take(Rebuild *b, uint64_t n)
{
	uint64_t run = 0, at = b->next;
	for (; run < n; at++) {
		bool used = at < b->clusters && refcount_at(b->counts->data, b->order, at);
		run = used ? 0 : run + 1;
	}
	reach(b, at);
	for (uint64_t k = at - n; k < at; k++)
		refcount_put(b->counts->data, b->order, k, 1);
	b->next = at;
	return at - n;
}

static bool block_needed(const Rebuild *b, uint64_t n)
{
	uint64_t end = MIN((n + 1) << b->block_bits, b->clusters);
	for (uint64_t k = n << b->block_bits; k < end; k++)
		if (refcount_at(b->counts->data, b->order, k))
			return true;
	return false;
}

/* Chooses places for all blocks and the table, until nothing new is needed. */
static int place_all(Rebuild *b)
{
	Qcow2 *s = b->s;
	uint64_t per_cluster = s->cluster_size / 8;
	for (bool again = true; again;) {
		again = false;
		uint64_t blocks = (b->clusters + (1ull << b->block_bits) - 1) >> b->block_bits;
		uint64_t size = (MAX(blocks, 1) + per_cluster - 1) / per_cluster * per_cluster;
		if (size > Q_MAX_REFTABLE_BYTES / 8)
			return -EFBIG;
		if (size > b->table_size) {
			b->table = g_renew(uint64_t, b->table, size);
			memset(b->table + b->table_size, 0, (size - b->table_size) * 8);
			if (b->table_offset) /* the former place is free again */
				for (uint64_t k = 0; k < b->table_size / per_cluster; k++)
					refcount_put(b->counts->data, b->order,
						(b->table_offset >> s->cluster_bits) + k, 0);
			b->table_size = size;
			b->table_offset = take(b, size / per_cluster) << s->cluster_bits;
			again = true;
		}
		for (uint64_t n = 0; n < b->table_size; n++)
			if (!b->table[n] && block_needed(b, n)) {
				b->table[n] = take(b, 1) << s->cluster_bits;
				again = true;
			}
	}
	return 0;
}

static int write_all(Rebuild *b)
{
	Qcow2 *s = b->s;
	int ret = 0;
	uint8_t *buf = g_malloc(s->cluster_size);
	for (uint64_t n = 0; n < b->table_size && ret >= 0; n++) {
		if (!b->table[n])
			continue;
		uint64_t from = (n << b->block_bits << b->order) / 8, have = b->counts->len;
		memset(buf, 0, s->cluster_size);
		memcpy(buf, b->counts->data + from, MIN(s->cluster_size, have - MIN(have, from)));
		ret = node_pwrite(s->node->file, b->table[n], buf, s->cluster_size);
	}
	g_free(buf);
	if (ret < 0)
		return ret;
	g_autofree uint64_t *be = g_new(uint64_t, b->table_size);
	for (uint64_t n = 0; n < b->table_size; n++)
		be[n] = GUINT64_TO_BE(b->table[n]);
	return node_pwrite(s->node->file, b->table_offset, be, b->table_size * 8);
}

static int switch_to(Rebuild *b)
{
	Qcow2 *s = b->s;
	uint64_t old_offset = s->reftable_offset;
	uint32_t old_size = s->reftable_size;
	unsigned old_order = s->refcount_order;
	s->reftable_offset = b->table_offset;
	s->reftable_size = b->table_size;
	s->refcount_order = b->order;
	qcow2_derive(s);
	int ret = qcow2_header_commit(s);
	if (ret < 0) {
		s->reftable_offset = old_offset;
		s->reftable_size = old_size;
		s->refcount_order = old_order;
		qcow2_derive(s);
		return ret;
	}
	cache_clear(&s->refblocks);
	g_free(s->reftable);
	s->reftable = g_steal_pointer(&b->table);
	s->reftable_dirty_from = s->reftable_dirty_to = 0;
	s->free_hint = 0;
	s->byte_offset = 0;
	s->virgin_end = MAX(s->virgin_end, q_ceil(s, s->node->file->length));
	qcow2_meta_rebuild(s);
	return 0;
}

int qcow2_rebuild_counts(
	Qcow2 *s, const void *counts, uint64_t clusters, unsigned from_order, unsigned order)
{
	Rebuild b = { .s = s, .order = order, .block_bits = s->cluster_bits + 3 - order };
	uint64_t max = order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
	int ret = 0;
	b.counts = g_array_new(FALSE, TRUE, 1);
	reach(&b, clusters);
	for (uint64_t k = 0; k < clusters && ret >= 0; k++) {
		uint64_t n = refcount_at(counts, from_order, k);
		if (n > max)
			ret = -EOVERFLOW;
		else
			refcount_put(b.counts->data, order, k, n);
	}
	if (ret >= 0)
		ret = place_all(&b);
	if (ret >= 0)
		ret = write_all(&b);
	s->unsynced = true;
	if (ret >= 0)
		ret = switch_to(&b);
	g_array_free(b.counts, TRUE);
	g_free(b.table);
	return ret;
}

int qcow2_rebuild(Check *c)
{
	/* What is in memory of the old blocks is not to be written. */
	cache_clear(&c->s->refblocks);
	c->s->reftable_dirty_from = c->s->reftable_dirty_to = 0;
	return qcow2_rebuild_counts(
		c->s, c->counts, c->clusters, c->s->refcount_order, c->s->refcount_order);
}
