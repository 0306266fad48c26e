/*
 * iov.c - views of scattered memory. Any thread.
 */
#include "block/iov.h"

#include <string.h>
#include <glib.h>

Iov iov_all(const struct iovec *v, unsigned n)
{
	size_t len = 0;
	for (unsigned i = 0; i < n; i++)
		len += v[i].iov_len;
	return (Iov){ v, n, 0, len };
}

Iov iov_part(Iov iov, size_t offset, size_t len)
{
	g_assert(offset <= iov.len && len <= iov.len - offset);
	iov.skip += offset;
	while (iov.n > 1 && iov.skip >= iov.v->iov_len) {
		iov.skip -= iov.v->iov_len;
		iov.v++;
		iov.n--;
	}
	iov.len = len;
	return iov;
}

unsigned iov_pieces(Iov iov, struct iovec *out, unsigned max)
{
	unsigned used = 0;
	size_t skip = iov.skip, left = iov.len;
	for (unsigned i = 0; i < iov.n && left; i++) {
		size_t len = iov.v[i].iov_len;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		size_t take = MIN(len - skip, left);
		if (used < max)
			out[used] = (struct iovec){ (char *)iov.v[i].iov_base + skip, take };
		used++;
		left -= take;
		skip = 0;
	}
	return used;
}

/* What to do with each piece of [offset, offset + len). */
typedef bool PieceFn(uint8_t *piece, size_t len, void *opaque);

static bool each_piece(Iov iov, size_t offset, size_t len, PieceFn *fn, void *opaque)
{
	Iov part = iov_part(iov, offset, len);
	size_t skip = part.skip;
	for (unsigned i = 0; len; i++) {
		size_t have = part.v[i].iov_len;
		if (skip >= have) {
			skip -= have;
			continue;
		}
		size_t take = MIN(have - skip, len);
		if (!fn((uint8_t *)part.v[i].iov_base + skip, take, opaque))
			return false;
		len -= take;
		skip = 0;
	}
	return true;
}

static bool piece_out(uint8_t *piece, size_t len, void *opaque)
{
	uint8_t **to = opaque;
	memcpy(*to, piece, len);
	*to += len;
	return true;
}

void iov_copy_out(Iov from, size_t offset, void *to, size_t len)
{
	each_piece(from, offset, len, piece_out, &to);
}

static bool piece_in(uint8_t *piece, size_t len, void *opaque)
{
	const uint8_t **from = opaque;
	memcpy(piece, *from, len);
	*from += len;
	return true;
}

void iov_copy_in(Iov to, size_t offset, const void *from, size_t len)
{
	each_piece(to, offset, len, piece_in, &from);
}

static bool piece_fill(uint8_t *piece, size_t len, void *opaque)
{
	memset(piece, *(uint8_t *)opaque, len);
	return true;
}

void iov_fill(Iov to, size_t offset, uint8_t byte, size_t len)
{
	each_piece(to, offset, len, piece_fill, &byte);
}

bool buffer_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;
	if (len < 16)
		return len == 0 || (p[0] == 0 && !memcmp(p, p + 1, len - 1));
	/* The usual non-zero buffer shows it in its first or last bytes. */
	static const uint8_t zero[16];
	if (memcmp(p, zero, 16) || memcmp(p + len - 16, zero, 16))
		return false;
	return !memcmp(p, p + 16, len - 16);
}

static bool piece_zero(uint8_t *piece, size_t len, void *opaque)
{
	return buffer_is_zero(piece, len);
}

bool iov_is_zero(Iov iov)
{
	return each_piece(iov, 0, iov.len, piece_zero, NULL);
}

void *iov_flat(Iov iov)
{
	Iov p = iov_part(iov, 0, iov.len);
	if (p.len == 0 || p.skip + p.len > p.v->iov_len)
		return NULL;
	return (char *)p.v->iov_base + p.skip;
}
