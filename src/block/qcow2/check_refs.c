/*
 * check_refs.c - counts what the tables of an image name, and looks at the tables on the way.
 *
 * Source: "QCOW2 disk image format". Every entry of every table is looked at once for each way
 * to it. Threads: fibers of the node's loop; alone with the image.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

/* What is being walked: the active tables may be repaired and are measured for fragmentation. */
typedef struct Walk {
	Check *c;
	bool active;
	uint8_t *l2;
	bool changed;
} Walk;

static const char *word(const Check *c)
{
	return c->fix & FIX_ERRORS ? "Repairing" : "ERROR";
}

static void found(Check *c)
{
	if (c->fix & FIX_ERRORS)
		c->r->corruptions_fixed++;
	else
		c->r->corruptions++;
}

static int count_compressed(Walk *w, uint64_t entry, uint64_t bitmap)
{
	Check *c = w->c;
	uint64_t offset;
	uint32_t bytes;
	if (entry & QCOW2_COPIED) {
		check_say(c,
			"ERROR: coffset=0x%" PRIx64
			": copied flag must never be set for compressed clusters",
			(uint64_t)(entry & ~QCOW2_COPIED));
		c->r->corruptions++;
	}
	if (c->s->external) {
		check_say(c, "ERROR compressed cluster with data file, entry=0x%" PRIx64, entry);
		c->r->corruptions++;
		return 0;
	}
	if (bitmap) {
		check_say(c,
			"ERROR compressed cluster with non-zero subcluster allocation bitmap, "
			"entry=0x%" PRIx64,
			entry);
		c->r->corruptions++;
	}
	qcow2_compressed_place(c->s, entry, &offset, &bytes);
	uint64_t from = offset & ~(uint64_t)(SECTOR - 1);
	if (w->active) {
		c->r->allocated_clusters++;
		c->r->compressed_clusters++;
		c->r->fragmented_clusters++; /* by their nature */
	}
	return check_count(c, from, offset + bytes - from);
}

static int count_entry(Walk *w, unsigned i)
{
	Check *c = w->c;
	Qcow2 *s = c->s;
	uint8_t *p = w->l2 + (size_t)i * s->l2_entry_size;
	uint64_t entry = be64_at(p), bitmap = s->l2_entry_size == 16 ? be64_at(p + 8) : 0;
	if (!entry && !bitmap)
		return 0;
	if (entry & QCOW2_COMPRESSED)
		return count_compressed(w, entry, bitmap);
	if (entry & QCOW2_L2_RESERVED) {
		check_say(c, "%s found l2 entry with reserved bits set: %" PRIx64, word(c), entry);
		found(c);
		if (c->fix & FIX_ERRORS) {
			put_be64(p, entry &= ~QCOW2_L2_RESERVED);
			w->changed = true;
		}
	}
	uint64_t host = entry & QCOW2_L2_OFFSET;
	if (s->subclusters > 1
		&& (bitmap & bitmap >> 32 & UINT32_MAX
			|| (!host && !s->external && bitmap & UINT32_MAX))) {
		check_say(c,
			"ERROR offset=%" PRIx64 ": Allocation bitmap is invalid (0x%" PRIx64 ")",
			host, bitmap);
		c->r->corruptions++;
	}
	if (!host)
		return 0;
	if (q_inside(s, host)) {
		bool zero = s->subclusters == 1 && entry & QCOW2_ZERO;
		check_say(c,
			"%s offset=%" PRIx64 ": %s is not properly aligned; L2 entry corrupted.",
			zero ? word(c) : "ERROR", host,
			zero ? "Preallocated zero cluster" : "Data cluster");
		if (zero && c->fix & FIX_ERRORS) { /* its contents are known without it */
			put_be64(p, QCOW2_ZERO);
			w->changed = true;
			c->r->corruptions_fixed++;
			return 0;
		}
		c->r->corruptions++; /* what it touches counts as used all the same */
	}
	if (w->active) {
		c->r->allocated_clusters++;
		c->r->fragmented_clusters += c->next_contiguous && host != c->next_contiguous;
		c->next_contiguous = host + s->cluster_size;
	}
	return s->external ? 0 : check_count(c, host, s->cluster_size);
}

static int count_l2(Walk *w, uint64_t offset)
{
	Check *c = w->c;
	Qcow2 *s = c->s;
	int ret = node_pread(s->node->file, offset, w->l2, s->cluster_size);
	if (ret < 0) {
		check_say(c, "ERROR: I/O error in check_refcounts_l2");
		c->r->check_errors++;
		return 0;
	}
	w->changed = false;
	for (unsigned i = 0; i < 1u << s->l2_bits && ret >= 0; i++)
		ret = count_entry(w, i);
	if (ret < 0 || !w->changed || q_inside(s, offset))
		return ret;
	ret = qcow2_overlap(s, OVERLAP_L2, offset, s->cluster_size);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, w->l2, s->cluster_size);
	cache_drop(&s->l2, offset, s->cluster_size);
	if (ret < 0)
		c->r->check_errors++;
	return ret;
}

static int count_l1(Check *c, uint64_t offset, uint64_t *l1, uint32_t size, bool active)
{
	Qcow2 *s = c->s;
	Walk w = { .c = c, .active = active, .l2 = g_malloc(s->cluster_size) };
	int ret = check_count(c, offset, (uint64_t)size * 8);
	for (uint32_t i = 0; i < size && ret >= 0; i++) {
		uint64_t l2 = l1[i] & QCOW2_L1_OFFSET;
		if (l1[i] & QCOW2_L1_RESERVED) {
			check_say(c, "%s found L1 entry with reserved bits set: %" PRIx64,
				active ? word(c) : "ERROR", l1[i]);
			if (active && c->fix & FIX_ERRORS) {
				l1[i] &= ~QCOW2_L1_RESERVED;
				qcow2_l1_dirty(s, i);
				c->r->corruptions_fixed++;
			} else {
				c->r->corruptions++;
			}
		}
		if (!l2)
			continue;
		if (q_inside(s, l2)) {
			/* Looked at all the same: what it names is not to be given away. */
			check_say(c,
				"ERROR l2_offset=%" PRIx64
				": Table is not cluster aligned; L1 entry corrupted",
				l2);
			c->r->corruptions++;
		}
		ret = check_count(c, l2, s->cluster_size);
		unsigned fix = c->fix;
		c->fix = q_inside(s, l2) ? 0 : fix; /* no table, whose entries could be put right */
		if (ret >= 0 && l2 >> s->cluster_bits < c->clusters)
			ret = count_l2(&w, l2);
		c->fix = fix;
	}
	g_free(w.l2);
	return ret;
}

static int count_snapshots(Check *c)
{
	Qcow2 *s = c->s;
	int ret = 0;
	for (uint32_t i = 0; i < s->nb_snapshots && ret >= 0; i++) {
		Snapshot *sn = &s->snapshots[i];
		uint64_t *l1;
		if (s->version >= 3 && sn->extra_size < 16) {
			check_say(c, "%s snapshot table entry %u is incomplete", word(c), i);
			found(c);
			c->snapshots_short = true;
		}
		ret = qcow2_read_l1(s, sn->l1_offset, sn->l1_size, &l1);
		if (ret < 0) {
			check_say(c, "ERROR: the L1 table of snapshot %s cannot be read", sn->id);
			c->r->check_errors++;
			return 0;
		}
		ret = count_l1(c, sn->l1_offset, l1, sn->l1_size, false);
		g_free(l1);
	}
	if (ret >= 0 && s->nb_snapshots)
		ret = check_count(c, s->snapshots_offset, s->snapshots_bytes);
	return ret;
}

static int count_bitmaps(Check *c)
{
	Qcow2 *s = c->s;
	if (s->bitmaps_bad) {
		check_say(c, "%s directory of bitmaps is invalid", word(c));
		found(c);
	}
	if (!s->nb_bitmaps)
		return 0;
	int ret = check_count(c, s->bitmaps_offset, s->bitmaps_bytes);
	for (uint32_t i = 0; i < s->nb_bitmaps && ret >= 0; i++) {
		const Bitmap *b = &s->bitmaps[i];
		uint64_t *table;
		if (!b->table_offset)
			continue;
		ret = check_count(c, b->table_offset, (uint64_t)b->table_size * 8);
		if (ret < 0 || b->table_offset > c->file_length)
			continue;
		ret = qcow2_read_l1(
			s, b->table_offset, MIN(b->table_size, c->file_length / 8), &table);
		if (ret < 0) {
			c->r->check_errors++;
			return 0;
		}
		for (uint32_t k = 0; k < MIN(b->table_size, c->file_length / 8) && ret >= 0; k++) {
			uint64_t place = table[k] & QCOW2_BITMAP_OFFSET;
			if (table[k] & QCOW2_BITMAP_ENTRY_RESERVED || q_inside(s, place)
				|| (place && table[k] & 1)) {
				check_say(c, "ERROR: bitmap '%s' has an invalid table entry",
					b->name);
				c->r->corruptions++;
			} else if (place) {
				ret = check_count(c, place, s->cluster_size);
			}
		}
		g_free(table);
	}
	return ret;
}

static int count_refblocks(Check *c)
{
	Qcow2 *s = c->s;
	int ret = check_count(c, s->reftable_offset, (uint64_t)s->reftable_size * 8);
	for (uint32_t i = 0; i < s->reftable_size && ret >= 0; i++) {
		uint64_t offset = s->reftable[i] & QCOW2_REFTABLE_OFFSET,
			 n = offset >> s->cluster_bits;
		if (!s->reftable[i])
			continue;
		if (q_inside(s, offset) || s->reftable[i] & ~QCOW2_REFTABLE_OFFSET) {
			check_say(c,
				"ERROR refcount block %u is not cluster aligned; refcount table "
				"entry corrupted",
				i);
			c->r->corruptions++;
			c->rebuild = true;
			continue;
		}
		if (n >= c->clusters) {
			check_say(c, "ERROR refcount block %u is outside image", i);
			c->r->corruptions++;
			c->rebuild = true;
			continue;
		}
		ret = check_count(c, offset, s->cluster_size);
		uint64_t count = refcount_at(c->counts, s->refcount_order, n);
		if (count != 1) {
			check_say(c, "ERROR refcount block %u refcount=%" PRIu64, i, count);
			c->r->corruptions++;
			c->rebuild = true;
		}
	}
	return ret;
}

int check_count_all(Check *c)
{
	Qcow2 *s = c->s;
	c->next_contiguous = 0;
	int ret = check_count(c, 0, s->cluster_size);
	if (ret >= 0)
		ret = count_l1(c, s->l1_offset, s->l1, s->l1_size, true);
	if (ret >= 0)
		ret = count_snapshots(c);
	if (ret >= 0 && s->crypto_length)
		ret = check_count(c, s->crypto_offset, s->crypto_length);
	if (ret >= 0)
		ret = count_bitmaps(c);
	return ret < 0 ? ret : count_refblocks(c);
}

/* ---- COPIED flags ---------------------------------------------------------------------------- */

/* Puts the flag of *entry right, for a cluster at `offset`; true: it was wrong. */
static bool wrong_flag(Check *c, uint64_t *entry, uint64_t offset, int *ret)
{
	Qcow2 *s = c->s;
	uint64_t count = 1;
	if (!s->external)
		*ret = refcount_get(s, offset >> s->cluster_bits, &count);
	if (*ret < 0 || (count == 1) == !!(*entry & QCOW2_COPIED))
		return false;
	*entry ^= QCOW2_COPIED;
	return true;
}

static int copied_l2(Check *c, uint64_t offset, uint8_t *l2)
{
	Qcow2 *s = c->s;
	bool changed = false;
	int ret = node_pread(s->node->file, offset, l2, s->cluster_size);
	if (ret < 0) {
		c->r->check_errors++;
		return 0;
	}
	for (unsigned i = 0; i < 1u << s->l2_bits && ret >= 0; i++) {
		uint8_t *p = l2 + (size_t)i * s->l2_entry_size;
		uint64_t entry = be64_at(p), host = entry & QCOW2_L2_OFFSET, old = entry;
		if (entry & QCOW2_COMPRESSED || !host || q_inside(s, host)
			|| !wrong_flag(c, &entry, host, &ret))
			continue;
		uint64_t count = 1;
		if (!s->external)
			refcount_get(s, host >> s->cluster_bits, &count);
		check_say(c, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
			word(c), old, count);
		found(c);
		put_be64(p, entry);
		changed = true;
	}
	if (ret < 0 || !changed || !(c->fix & FIX_ERRORS))
		return ret;
	ret = qcow2_overlap(s, OVERLAP_L2, offset, s->cluster_size);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, l2, s->cluster_size);
	cache_drop(&s->l2, offset, s->cluster_size);
	if (ret < 0)
		c->r->check_errors++;
	return ret;
}

int check_copied(Check *c)
{
	Qcow2 *s = c->s;
	int ret = 0;
	if (c->rebuild) /* no count can be believed */
		return 0;
	uint8_t *l2 = g_malloc(s->cluster_size);
	for (uint32_t i = 0; i < s->l1_size && ret >= 0; i++) {
		uint64_t offset = s->l1[i] & QCOW2_L1_OFFSET, entry = s->l1[i];
		if (!offset || q_inside(s, offset) || offset >> s->cluster_bits >= c->clusters)
			continue;
		uint64_t count;
		ret = refcount_get(s, offset >> s->cluster_bits, &count);
		if (ret >= 0 && (count == 1) != !!(entry & QCOW2_COPIED)) {
			check_say(c,
				"%s OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%" PRIx64
				" refcount=%" PRIu64,
				word(c), i, entry, count);
			found(c);
			if (c->fix & FIX_ERRORS) {
				s->l1[i] = entry ^ QCOW2_COPIED;
				qcow2_l1_dirty(s, i);
			}
		}
		if (ret >= 0)
			ret = copied_l2(c, offset, l2);
	}
	g_free(l2);
	return ret;
}
