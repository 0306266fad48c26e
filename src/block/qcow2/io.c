/*
 * io.c - requests: the guest's bytes from and to the places that map.c and alloc.c name.
 *
 * A request that falls into several pieces runs them at once (Batch). Who reads or writes a
 * host cluster is a user of it (qcow2.h) from the lookup on. Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

/* Zeroes around a write are written with it up to here; more are asked of the file as a range. */
enum { ZERO_MERGE_MAX = 64 << 10 };

/* ---- Several steps at once ------------------------------------------------------------------- */

typedef struct Step {
	Batch *batch;
	int (*fn)(void *opaque);
	void *opaque;
} Step;

static void step_fiber(void *opaque)
{
	Step step = *(Step *)opaque; /* gone after the first wait */
	int ret = step.fn(step.opaque);
	Batch *b = step.batch;
	b->running--;
	if (ret < 0 && b->result >= 0)
		b->result = ret;
	fiber_queue_wake_all(&b->ended);
}

void batch_run(Batch *b, int (*fn)(void *opaque), void *opaque)
{
	while (b->running >= Q_BATCH_MAX)
		fiber_queue_wait(&b->ended);
	b->running++;
	Step step = { b, fn, opaque };
	fiber_start(step_fiber, &step);
}

int batch_wait(Batch *b)
{
	while (b->running)
		fiber_queue_wait(&b->ended);
	return b->result;
}

/* ---- The host's side ------------------------------------------------------------------------- */

int qcow2_read_host(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov)
{
	/* The last cluster need not be there in full; what is missing reads as zeroes. */
	uint64_t end = s->data->length;
	size_t n = host >= end ? 0 : MIN(iov.len, end - host);
	int ret = n ? node_read(s->data, host, iov_part(iov, 0, n)) : 0;
	if (n < iov.len)
		iov_fill(iov, n, 0, iov.len - n);
	return ret >= 0 && s->crypt_method ? qcow2_decrypt(s, host, guest, iov) : ret;
}

int qcow2_write_host(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov, unsigned flags)
{
	s->virgin_end = MAX(s->virgin_end, host + iov.len);
	if (!s->crypt_method)
		return node_write(s->data, host, iov, flags);
	uint8_t *buf = g_try_malloc(iov.len);
	if (!buf)
		return -ENOMEM;
	iov_copy_out(iov, 0, buf, iov.len);
	struct iovec v = { buf, iov.len };
	int ret = qcow2_encrypt(s, host, guest, iov_one(&v));
	if (ret >= 0)
		ret = node_write(s->data, host, iov_one(&v), flags);
	g_free(buf);
	return ret;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int read_backing(Qcow2 *s, uint64_t offset, Iov iov)
{
	Node *backing = s->node->backing;
	uint64_t end = backing ? backing->length : 0;
	size_t n = offset >= end ? 0 : MIN(iov.len, end - offset);
	if (n < iov.len)
		iov_fill(iov, n, 0, iov.len - n);
	return n ? node_read(backing, offset, iov_part(iov, 0, n)) : 0;
}

typedef struct Part {
	Qcow2 *s;
	uint64_t guest;
	Extent x;
	Iov iov;
	unsigned epoch;
	unsigned flags;
	Alloc *alloc;
} Part;

static int read_part(Part *p)
{
	Qcow2 *s = p->s;
	int ret = 0;
	switch (p->x.type) {
	case EXTENT_DATA: ret = qcow2_read_host(s, p->x.host, p->guest, p->iov); break;
	case EXTENT_COMPRESSED:
		ret = qcow2_read_compressed(s, p->x.host, q_inside(s, p->guest), p->iov);
		break;
	case EXTENT_ZERO:
	case EXTENT_ZERO_HOST: iov_fill(p->iov, 0, 0, p->iov.len); break;
	default: ret = read_backing(s, p->guest, p->iov);
	}
	users_leave(s, p->epoch);
	return ret;
}

static int read_part_step(void *opaque)
{
	Part *p = opaque;
	int ret = read_part(p);
	g_free(p);
	return ret;
}

int qcow2_read_inside(Qcow2 *s, uint64_t offset, Iov iov)
{
	Batch batch = { 0 };
	int ret = 0;
	for (size_t done = 0; done < iov.len;) {
		Part p = { .s = s, .guest = offset + done };
		ret = qcow2_lookup(s, p.guest, iov.len - done, &p.x);
		if (ret < 0)
			break;
		p.epoch = users_enter(s); /* no wait since the lookup */
		p.iov = iov_part(iov, done, p.x.bytes);
		done += p.x.bytes;
		bool waits = p.x.type != EXTENT_ZERO && p.x.type != EXTENT_ZERO_HOST;
		if (!waits || done == iov.len)
			ret = read_part(&p);
		else
			batch_run(&batch, read_part_step, g_memdup2(&p, sizeof(p)));
		if (ret < 0)
			break;
	}
	int others = batch_wait(&batch);
	return ret < 0 ? ret : others;
}

int qcow2_read(Node *node, uint64_t offset, Iov iov)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	fiber_rdlock(&s->gate);
	int ret = qcow2_read_inside(s, offset, iov);
	fiber_rdunlock(&s->gate);
	return ret;
}

/* ---- Writing --------------------------------------------------------------------------------- */

bool qcow2_reads_zero(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	uint64_t backed = s->node->backing ? s->node->backing->length : 0;
	while (bytes) {
		Extent x;
		if (qcow2_lookup(s, offset, bytes, &x) < 0)
			return false;
		bool open = x.type == EXTENT_UNALLOCATED || x.type == EXTENT_UNALLOCATED_HOST;
		if (x.type != EXTENT_ZERO && x.type != EXTENT_ZERO_HOST
			&& (!open || offset < backed))
			return false;
		offset += x.bytes;
		bytes -= x.bytes;
	}
	return true;
}

/* What a new cluster gets besides the guest's bytes: the old contents before or after them. */
typedef struct Side {
	uint64_t from;
	size_t len;
	uint8_t *buf;
	bool zero;
} Side;

static int fill_side(Qcow2 *s, Side *side)
{
	if (!side->len)
		return 0;
	side->buf = g_try_malloc(side->len);
	if (!side->buf)
		return -ENOMEM;
	if (side->zero) {
		memset(side->buf, 0, side->len);
		return 0;
	}
	struct iovec v = { side->buf, side->len };
	return qcow2_read_inside(s, side->from, iov_one(&v));
}

/* Leaves out sides that are zeroes already where they go, or makes them so by a range. */
static void skip_zero_sides(Qcow2 *s, const Alloc *a, Side *head, Side *tail)
{
	head->zero = head->len && qcow2_reads_zero(s, head->from, head->len);
	tail->zero = tail->len && qcow2_reads_zero(s, tail->from, tail->len);
	size_t zeroes = (head->zero ? head->len : 0) + (tail->zero ? tail->len : 0);
	if (!zeroes || s->crypt_method)
		return;
	bool done = a->virgin;
	uint64_t from = a->host + (a->cow_start - a->guest), bytes = a->cow_end - a->cow_start;
	if (!done && zeroes > ZERO_MERGE_MAX && from + bytes <= s->data->length)
		done = node_write_zeroes(s->data, from, bytes, REQ_NO_FALLBACK | REQ_UNMAP) >= 0;
	if (done && head->zero)
		head->len = 0;
	if (done && tail->zero)
		tail->len = 0;
}

/* The guest's bytes to their new clusters, in one write with what surrounds them. */
static int write_new(Qcow2 *s, const Alloc *a, Iov iov)
{
	Side head = { .from = a->cow_start, .len = a->data_start - a->cow_start };
	Side tail = { .from = a->data_end, .len = a->cow_end - a->data_end };
	uint64_t host = a->host + (a->data_start - a->guest);
	if (!head.len && !tail.len)
		return qcow2_write_host(s, host, a->data_start, iov, 0);
	skip_zero_sides(s, a, &head, &tail);
	int ret = fill_side(s, &head);
	if (ret >= 0)
		ret = fill_side(s, &tail);
	if (ret >= 0) {
		unsigned n = iov_pieces(iov, NULL, 0), k = 0;
		g_autofree struct iovec *v = g_new(struct iovec, n + 2);
		if (head.len)
			v[k++] = (struct iovec){ head.buf, head.len };
		k += iov_pieces(iov, v + k, n);
		if (tail.len)
			v[k++] = (struct iovec){ tail.buf, tail.len };
		ret = qcow2_write_host(
			s, host - head.len, a->data_start - head.len, iov_all(v, k), 0);
	}
	g_free(head.buf);
	g_free(tail.buf);
	return ret;
}

static int write_part(Part *p)
{
	Qcow2 *s = p->s;
	if (p->alloc) {
		int ret = write_new(s, p->alloc, p->iov);
		ret = qcow2_alloc_finish(s, p->alloc, ret);
		g_free(p->alloc);
		return ret;
	}
	int ret = s->external ? 0 : qcow2_overlap(s, 0, p->x.host, p->iov.len);
	if (ret >= 0)
		ret = qcow2_write_host(s, p->x.host, p->guest, p->iov, p->flags);
	users_leave(s, p->epoch);
	return ret;
}

static int write_part_step(void *opaque)
{
	Part *p = opaque;
	int ret = write_part(p);
	g_free(p);
	return ret;
}

/* The next part of a write: where it goes, or what is to be allocated. */
static int next_write(Qcow2 *s, uint64_t offset, uint64_t bytes, Part *p)
{
	for (;;) {
		int ret = qcow2_lookup(s, offset, bytes, &p->x);
		if (ret < 0)
			return ret;
		if (p->x.type == EXTENT_DATA && p->x.copied) {
			p->epoch = users_enter(s);
			return 0;
		}
		p->x.bytes = bytes;
		p->alloc = g_new0(Alloc, 1);
		ret = qcow2_alloc_prepare(s, offset, &p->x.bytes, p->alloc);
		if (ret == 0)
			return 0;
		g_clear_pointer(&p->alloc, g_free);
		if (ret < 0)
			return ret;
	}
}

int qcow2_write_inside(Qcow2 *s, uint64_t offset, Iov iov, unsigned flags)
{
	Batch batch = { 0 };
	int ret = 0;
	for (size_t done = 0; done < iov.len && ret >= 0;) {
		Part p = { .s = s, .guest = offset + done, .flags = flags };
		ret = next_write(s, p.guest, iov.len - done, &p);
		if (ret < 0)
			break;
		p.iov = iov_part(iov, done, p.x.bytes);
		done += p.x.bytes;
		if (done == iov.len)
			ret = write_part(&p);
		else
			batch_run(&batch, write_part_step, g_memdup2(&p, sizeof(p)));
	}
	int others = batch_wait(&batch);
	return ret < 0 ? ret : others;
}

int qcow2_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	fiber_rdlock(&s->gate);
	int ret = qcow2_begin_writing(s);
	if (ret >= 0) {
		qcow2_bitmaps_mark(s, offset, iov.len);
		ret = qcow2_write_inside(s, offset, iov, flags & REQ_FUA);
	}
	if (ret >= 0 && flags & REQ_FUA && !qcow2_clean(s))
		ret = node_flush(node);
	fiber_rdunlock(&s->gate);
	return ret;
}

/* ---- Status ---------------------------------------------------------------------------------- */

int qcow2_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	fiber_rdlock(&s->gate);
	if (want_zero && !s->sparse_known) {
		s->sparse_known = true;
		s->sparse = refcount_sparse(s);
	}
	Extent x;
	int ret = qcow2_lookup(s, offset, out->bytes, &x);
	fiber_rdunlock(&s->gate);
	if (ret < 0)
		return ret;
	out->bytes = x.bytes;
	out->file = s->data;
	switch (x.type) {
	case EXTENT_DATA:
		out->flags = STATUS_DATA | STATUS_ALLOCATED | (s->sparse ? STATUS_RECURSE : 0);
		break;
	case EXTENT_COMPRESSED:
		out->flags = STATUS_DATA | STATUS_ALLOCATED | STATUS_COMPRESSED;
		break;
	case EXTENT_ZERO:
	case EXTENT_ZERO_HOST: out->flags = STATUS_ZERO | STATUS_ALLOCATED; break;
	default: out->flags = 0;
	}
	if (extent_has_host(x.type) && !s->crypt_method) {
		out->map = x.host;
		out->flags |= STATUS_OFFSET;
	}
	return 0;
}
