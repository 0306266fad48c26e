/*
 * commit.c - moves what layers of a backing chain hold into one below.
 *
 * Threads: see node.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "block/node.h"

#define BUFFER (2u << 20)

/* Reads [offset, offset + len) of `from` and writes it to `to`; zeroes stay zeroes. */
static int move(Node *from, Node *to, uint64_t offset, uint64_t len, bool zero, uint8_t *buf)
{
	if (zero)
		return node_write_zeroes(to, offset, len, REQ_UNMAP);
	while (len) {
		size_t n = MIN(len, BUFFER);
		int err = node_pread(from, offset, buf, n);
		struct iovec v = { buf, n };
		if (err >= 0)
			err = node_write(to, offset, iov_one(&v), 0);
		if (err < 0)
			return err;
		offset += n;
		len -= n;
	}
	return 0;
}

int node_commit_data(Node *top, Node *base, CommitStep *step, void *opaque)
{
	uint8_t *buf;
	uint64_t written = 0;
	int err = 0;
	if (posix_memalign((void **)&buf, 4096, BUFFER))
		return -ENOMEM;
	for (uint64_t at = 0; at < top->length && err >= 0;) {
		NodeStatus s;
		err = node_status_above(top, base, at, top->length - at, true, &s, NULL);
		/* In steps, so that who is told can hold a rate inside of long extents too. */
		s.bytes = MIN(s.bytes, BUFFER);
		if (err >= 0 && s.flags & STATUS_ALLOCATED) {
			err = move(top, base, at, s.bytes, s.flags & STATUS_ZERO, buf);
			written += s.bytes;
		}
		at += s.bytes;
		if (step)
			step(opaque, written, at, top->length);
	}
	free(buf);
	return err < 0 ? err : node_flush(base);
}

bool node_commit(Node *top, Node *base, bool empty, CommitStep *step, void *opaque, GError **error)
{
	if (!node_set_writable(base, true, error))
		return false;
	bool ok = base->length >= top->length || node_truncate(base, top->length, false, PREALLOC_OFF, error);
	int err = ok ? node_commit_data(top, base, step, opaque) : 0;
	/* Only when the base is safe may the layer be emptied; and only if the base lies right below. */
	if (ok && err >= 0 && empty && base == top->backing && top->driver->make_empty) {
		err = top->driver->make_empty(top);
		if (err >= 0)
			err = node_flush(top);
	}
	node_set_writable(base, false, NULL);
	return ok && (err >= 0 || fail(error, VIV_ERROR_FAILED, "%s", g_strerror(-err)));
}
