/*
 * iov.h - a view of scattered memory: where the bytes of a request are. Any thread.
 */
#ifndef VIV_BLOCK_IOV_H
#define VIV_BLOCK_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* [skip, skip + len) of the pieces v[0, n); a value, owns nothing. */
typedef struct Iov {
	const struct iovec *v;
	unsigned n;
	size_t skip, len;
} Iov;

/* One piece; `v` is the caller's and must live as long as the view. */
static inline Iov iov_one(const struct iovec *v) { return (Iov){ v, 1, 0, v->iov_len }; }
Iov iov_all(const struct iovec *v, unsigned n);
/* The part [offset, offset + len) of the view; must lie within it. */
Iov iov_part(Iov iov, size_t offset, size_t len);
/* Pieces of the view as plain iovecs: their number; at most `max` are stored. */
unsigned iov_pieces(Iov iov, struct iovec *out, unsigned max);
/* Copies; both sides must have len bytes. */
void iov_copy_out(Iov from, size_t offset, void *to, size_t len);
void iov_copy_in(Iov to, size_t offset, const void *from, size_t len);
void iov_fill(Iov to, size_t offset, uint8_t byte, size_t len);
bool iov_is_zero(Iov iov);
bool buffer_is_zero(const void *buf, size_t len);
/* A pointer to the whole view if it is one piece, else NULL. */
void *iov_flat(Iov iov);

#endif
