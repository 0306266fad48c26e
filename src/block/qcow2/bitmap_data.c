/*
 * bitmap_data.c - the contents of bitmaps: tables of clusters, or one recorded in memory.
 *
 * Source: "QCOW2 disk image format", section "Bitmap table", "Bitmap data". Bit n, lowest bit
 * of a byte first, stands for the n-th piece of the disk.
 * Threads: fibers of the node's loop; changes hold the lock.
 */
#include "block/qcow2/qcow2.h"

uint64_t qcow2_bitmap_bytes(uint64_t size, unsigned granularity_bits)
{
	uint64_t pieces = (size >> granularity_bits)
		+ ((size & ((1ull << granularity_bits) - 1)) != 0);
	return (pieces + 7) / 8;
}

static bool bad_entry(const Qcow2 *s, uint64_t entry)
{
	uint64_t place = entry & QCOW2_BITMAP_OFFSET;
	return entry & QCOW2_BITMAP_ENTRY_RESERVED || q_inside(s, place)
		|| (place && entry & QCOW2_BITMAP_ONES);
}

int qcow2_bitmap_load(Qcow2 *s, const Bitmap *b, uint8_t **bits, uint64_t *bytes)
{
	uint64_t *table, want = qcow2_bitmap_bytes(s->size, b->granularity_bits);
	if (want > Q_MAX_BITMAP_BYTES || b->table_size != q_clusters(s, want))
		return -EINVAL;
	int ret = qcow2_read_l1(s, b->table_offset, b->table_size, &table);
	if (ret < 0)
		return ret;
	uint8_t *out = g_try_malloc0(MAX(want, 1));
	if (!out)
		ret = -ENOMEM;
	for (uint32_t i = 0; i < b->table_size && ret >= 0; i++) {
		uint64_t at = (uint64_t)i << s->cluster_bits, n = MIN(want - at, s->cluster_size);
		uint64_t place = table[i] & QCOW2_BITMAP_OFFSET;
		if (bad_entry(s, table[i]))
			ret = -EINVAL;
		else if (place)
			ret = node_pread(s->node->file, place, out + at, n);
		else if (table[i] & QCOW2_BITMAP_ONES)
			memset(out + at, 0xff, n);
	}
	g_free(table);
	if (ret < 0) {
		g_free(out);
		return ret;
	}
	*bits = out;
	*bytes = want;
	return 0;
}

int qcow2_bitmap_drop_data(Qcow2 *s, Bitmap *b)
{
	uint64_t *table;
	if (!b->table_offset)
		return 0;
	/* A table that cannot be: it is let go, and `check` finds what leaks. */
	if (b->table_size > s->node->file->length / 8)
		return 0;
	int ret = qcow2_read_l1(s, b->table_offset, b->table_size, &table);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < b->table_size; i++)
		if (table[i] & QCOW2_BITMAP_OFFSET && !bad_entry(s, table[i]))
			qcow2_free_later(
				s, table[i] & QCOW2_BITMAP_OFFSET, s->cluster_size, FREE_OTHER);
	qcow2_free_later(s, b->table_offset, q_ceil(s, (uint64_t)b->table_size * 8), FREE_OTHER);
	g_free(table);
	return 0;
}

/* One cluster of bits to the file; its table entry. */
static int store_cluster(Qcow2 *s, const uint8_t *bits, uint64_t n, uint8_t *buf, uint64_t *entry)
{
	uint64_t offset;
	*entry = 0;
	if (buffer_is_zero(bits, n))
		return 0;
	int ret = refcount_alloc(s, s->cluster_size, &offset);
	if (ret < 0)
		return ret;
	memcpy(buf, bits, n);
	memset(buf + n, 0, s->cluster_size - n);
	ret = qcow2_overlap(s, 0, offset, s->cluster_size);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, buf, s->cluster_size);
	if (ret < 0)
		refcount_release(s, offset, s->cluster_size, FREE_NEVER);
	else
		*entry = offset;
	return ret;
}

int qcow2_bitmap_store(Qcow2 *s, Bitmap *b, const uint8_t *bits, uint64_t bytes)
{
	uint32_t entries = MAX(q_clusters(s, bytes), 1);
	uint64_t room = q_ceil(s, (uint64_t)entries * 8), offset = 0;
	uint64_t *table = g_malloc0(room);
	uint8_t *buf = g_malloc(s->cluster_size);
	int ret = 0;
	s->unsynced = true;
	for (uint32_t i = 0; bits && i < entries && ret >= 0; i++) {
		uint64_t at = (uint64_t)i << s->cluster_bits, entry = 0;
		ret = store_cluster(s, bits + at, MIN(bytes - at, s->cluster_size), buf, &entry);
		table[i] = GUINT64_TO_BE(entry);
	}
	if (ret >= 0)
		ret = refcount_alloc(s, room, &offset);
	if (ret >= 0)
		ret = qcow2_overlap(s, 0, offset, room);
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, table, room);
	if (ret >= 0)
		ret = qcow2_bitmap_drop_data(s, b);
	if (ret < 0) {
		for (uint32_t i = 0; i < entries; i++)
			if (table[i])
				refcount_release(
					s, GUINT64_FROM_BE(table[i]), s->cluster_size, FREE_NEVER);
		if (offset)
			refcount_release(s, offset, room, FREE_NEVER);
	} else {
		b->table_offset = offset;
		b->table_size = entries;
	}
	g_free(table);
	g_free(buf);
	return ret;
}

/* ---- Single bits ----------------------------------------------------------------------------- */

void bits_set(uint8_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to && from & 7; from++)
		bits[from / 8] |= 1u << (from & 7);
	if (from < to) {
		memset(bits + from / 8, 0xff, to / 8 - from / 8);
		from = MAX(from, to & ~7ull);
	}
	for (; from < to; from++)
		bits[from / 8] |= 1u << (from & 7);
}

static void or_bits(Qcow2 *s, uint8_t *to, unsigned to_bits, const uint8_t *add, uint64_t add_bytes,
	unsigned add_bits)
{
	uint64_t pieces = (s->size + (1ull << to_bits) - 1) >> to_bits;
	for (uint64_t i = 0; i < add_bytes; i++) {
		for (unsigned k = 0; add[i] && k < 8; k++) {
			if (!(add[i] >> k & 1))
				continue;
			uint64_t n = i * 8 + k;
			uint64_t from = n << add_bits >> to_bits,
				 end = (((n + 1) << add_bits) - 1) >> to_bits;
			bits_set(to, MIN(from, pieces), MIN(end + 1, pieces));
		}
	}
}

int qcow2_bitmap_or(Qcow2 *s, Bitmap *b, const uint8_t *add, uint64_t add_bytes, unsigned add_bits)
{
	if (b->live) {
		or_bits(s, b->bits, b->granularity_bits, add, add_bytes, add_bits);
		return 0;
	}
	uint8_t *bits;
	uint64_t bytes;
	int ret = qcow2_bitmap_load(s, b, &bits, &bytes);
	if (ret < 0)
		return ret;
	or_bits(s, bits, b->granularity_bits, add, add_bytes, add_bits);
	ret = qcow2_bitmap_store(s, b, bits, bytes);
	g_free(bits);
	return ret < 0 ? ret : qcow2_bitmaps_write(s);
}
