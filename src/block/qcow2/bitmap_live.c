/*
 * bitmap_live.c - bitmaps that record: while an image is written, bits are set in memory.
 *
 * Before the first write the bitmaps with the "auto" flag are read and marked "in use" in the
 * file; at the end they are stored. A crash leaves them marked, and nobody trusts them.
 * Memory: the bits, at most Q_MAX_BITMAP_BYTES each. Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

int qcow2_bitmaps_go_live(Qcow2 *s)
{
	bool changed = false;
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		Bitmap *b = &s->bitmaps[i];
		if (b->live || !(b->flags & QCOW2_BITMAP_AUTO) || b->flags & QCOW2_BITMAP_IN_USE)
			continue;
		/* One that cannot be read is marked all the same: it will miss writes. */
		b->live = qcow2_bitmap_load(s, b, &b->bits, &b->bits_bytes) >= 0;
		b->flags |= QCOW2_BITMAP_IN_USE;
		s->bitmaps_live |= b->live;
		changed = true;
	}
	return changed ? qcow2_bitmaps_write_flags(s) : 0;
}

int qcow2_bitmap_settle(Qcow2 *s, Bitmap *b)
{
	int ret = qcow2_bitmap_store(s, b, b->bits, b->bits_bytes);
	if (ret < 0)
		return ret;
	b->live = false;
	b->flags &= ~QCOW2_BITMAP_IN_USE;
	g_clear_pointer(&b->bits, g_free);
	return 0;
}

int qcow2_bitmaps_settle(Qcow2 *s)
{
	bool changed = false;
	int ret = 0;
	for (uint32_t i = 0; i < s->nb_bitmaps && ret >= 0; i++)
		if (s->bitmaps[i].live) {
			ret = qcow2_bitmap_settle(s, &s->bitmaps[i]);
			changed = true;
		}
	s->bitmaps_live = false;
	return ret < 0 || !changed ? ret : qcow2_bitmaps_write(s);
}

void qcow2_bitmaps_mark(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	if (!s->bitmaps_live || !bytes)
		return;
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		Bitmap *b = &s->bitmaps[i];
		if (!b->live || !(b->flags & QCOW2_BITMAP_AUTO))
			continue;
		uint64_t to = ((offset + bytes - 1) >> b->granularity_bits) + 1;
		bits_set(b->bits, offset >> b->granularity_bits, MIN(to, b->bits_bytes * 8));
	}
}

static int resize_one(Qcow2 *s, Bitmap *b, uint64_t size)
{
	uint8_t *bits = b->bits;
	uint64_t bytes = b->bits_bytes, want = qcow2_bitmap_bytes(size, b->granularity_bits);
	if (want > Q_MAX_BITMAP_BYTES)
		return -EFBIG;
	int ret = b->live ? 0 : qcow2_bitmap_load(s, b, &bits, &bytes);
	if (ret < 0)
		return ret;
	uint64_t old_pieces = (MIN(s->size, size) + (1ull << b->granularity_bits) - 1)
		>> b->granularity_bits;
	bits = g_realloc(bits, MAX(want, 1));
	if (want > bytes)
		memset(bits + bytes, 0, want - bytes);
	for (uint64_t n = old_pieces; n < want * 8 && n < (old_pieces | 7) + 1; n++)
		bits[n / 8] &= ~(1u << (n & 7));
	if (b->live) {
		b->bits = bits;
		b->bits_bytes = want;
		return 0;
	}
	ret = qcow2_bitmap_store(s, b, bits, want);
	g_free(bits);
	return ret;
}

bool qcow2_bitmaps_resize(Qcow2 *s, uint64_t size, GError **error)
{
	if (!s->nb_bitmaps)
		return true;
	for (uint32_t i = 0; i < s->nb_bitmaps; i++)
		if (s->bitmaps[i].flags & QCOW2_BITMAP_IN_USE && !s->bitmaps[i].live)
			return fail(error, VIV_ERROR_FAILED,
				"Cannot resize qcow2: bitmap '%s' is inconsistent. Remove it first "
				"with `qemu-img bitmap --remove`.",
				s->bitmaps[i].name);
	int ret = 0;
	for (uint32_t i = 0; i < s->nb_bitmaps && ret >= 0; i++)
		ret = resize_one(s, &s->bitmaps[i], size);
	if (ret >= 0)
		ret = qcow2_bitmaps_write(s);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the bitmaps could not be resized: %s",
			g_strerror(-ret));
}
