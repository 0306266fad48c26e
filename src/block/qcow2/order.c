/*
 * order.c - what goes to the file before what, so that a crash leaves at worst leaked clusters.
 *
 * The chain, from first to last, with a flush of the medium at each arrow that is needed:
 *
 *   refcount blocks, data of new clusters -> refcount table -> L2 tables -> L1 table
 *     -> clusters whose last reference is gone are counted down
 *
 * With lazy refcounts the first link is left out: the dirty bit in the header stands for it.
 * Threads: fibers of the node's loop, which hold the lock (except qcow2_flush).
 */
#include "block/qcow2/qcow2.h"

/*
 * Freed clusters that wait for a flush; more force one, so that the file does not grow for nothing.
 */
enum { FREED_MAX = 4096 };
#define FREED_BYTES_MAX (256ull << 20)

void qcow2_lock(Qcow2 *s)
{
	fiber_lock(&s->lock);
	s->lock_owner = fiber_self();
}

void qcow2_unlock(Qcow2 *s)
{
	s->lock_owner = NULL;
	fiber_unlock(&s->lock);
}

void qcow2_begin(Qcow2 *s)
{
	fiber_wrlock(&s->gate);
	qcow2_lock(s);
}

void qcow2_end(Qcow2 *s)
{
	qcow2_unlock(s);
	fiber_wrunlock(&s->gate);
}

void users_leave(Qcow2 *s, unsigned epoch)
{
	if (!--s->users[epoch])
		fiber_queue_wake_all(&s->users_gone);
}

void users_settle(Qcow2 *s)
{
	/* Only one settles at a time (the lock), so the other epoch is empty when this one ends. */
	unsigned old = s->users_epoch;
	s->users_epoch = !old;
	while (s->users[old])
		fiber_queue_wait(&s->users_gone);
}

int qcow2_sync(Qcow2 *s)
{
	s->unsynced = false;
	int ret = s->external ? node_flush(s->data) : 0;
	if (ret >= 0)
		ret = node_flush(s->node->file);
	if (ret < 0)
		s->unsynced = true;
	return ret;
}

/* Entries [from, to) of a table of 64-bit numbers at `place`, widened to whole sectors. */
static int write_entries(Qcow2 *s, unsigned ignore, uint64_t place, const uint64_t *entries,
	uint32_t size, uint32_t from, uint32_t to)
{
	from &= ~63u;
	to = MIN((to + 63) & ~63u, size);
	g_autofree uint64_t *buf = g_new(uint64_t, to - from);
	for (uint32_t i = from; i < to; i++)
		buf[i - from] = GUINT64_TO_BE(entries[i]);
	int ret = qcow2_overlap(s, ignore, place + (uint64_t)from * 8, (uint64_t)(to - from) * 8);
	return ret < 0 ? ret
		       : node_pwrite(s->node->file, place + (uint64_t)from * 8, buf,
			       (size_t)(to - from) * 8);
}

static int write_reftable(Qcow2 *s)
{
	uint32_t from = s->reftable_dirty_from, to = s->reftable_dirty_to;
	if (from == to || s->reftable_growing)
		return 0;
	int ret = s->unsynced ? qcow2_sync(s) : 0;
	if (ret < 0)
		return ret;
	s->unsynced = true;
	ret = write_entries(
		s, OVERLAP_REFTABLE, s->reftable_offset, s->reftable, s->reftable_size, from, to);
	if (ret >= 0)
		s->reftable_dirty_from = s->reftable_dirty_to = 0;
	return ret;
}

int qcow2_write_counts(Qcow2 *s)
{
	int ret = cache_write(s, &s->refblocks);
	return ret < 0 ? ret : write_reftable(s);
}

int qcow2_write_l2(Qcow2 *s)
{
	int ret = s->lazy ? 0 : qcow2_write_counts(s);
	if (ret >= 0 && s->unsynced && s->l2.dirty)
		ret = qcow2_sync(s);
	return ret < 0 ? ret : cache_write(s, &s->l2);
}

static int write_l1(Qcow2 *s)
{
	if (s->l1_dirty_from == s->l1_dirty_to)
		return 0;
	int ret = s->unsynced ? qcow2_sync(s) : 0;
	if (ret < 0)
		return ret;
	s->unsynced = true;
	ret = write_entries(
		s, OVERLAP_L1, s->l1_offset, s->l1, s->l1_size, s->l1_dirty_from, s->l1_dirty_to);
	if (ret >= 0)
		s->l1_dirty_from = s->l1_dirty_to = 0;
	return ret;
}

static int give_up(Qcow2 *s)
{
	if (!s->freed->len)
		return 0;
	int ret = s->unsynced ? qcow2_sync(s) : 0;
	if (ret < 0)
		return ret;
	users_settle(s);
	/* Others may add to a new list while these are counted down. */
	GArray *freed = s->freed;
	s->freed = g_array_new(FALSE, FALSE, sizeof(Freed));
	s->freed_bytes = 0;
	for (unsigned i = 0; i < freed->len; i++) {
		const Freed *f = &g_array_index(freed, Freed, i);
		int r = refcount_add(s, f->offset, f->bytes, -1, f->kind);
		ret = ret < 0 ? ret : r;
	}
	g_array_free(freed, TRUE);
	return ret;
}

bool qcow2_clean(const Qcow2 *s)
{
	return !s->l2.dirty && s->l1_dirty_from == s->l1_dirty_to && !s->freed->len
		&& (s->lazy
			|| (!s->refblocks.dirty && s->reftable_dirty_from == s->reftable_dirty_to));
}

int qcow2_write_tables(Qcow2 *s)
{
	if (qcow2_clean(s))
		return 0;
	int ret = qcow2_write_l2(s);
	if (ret >= 0)
		ret = write_l1(s);
	if (ret >= 0)
		ret = give_up(s);
	return ret;
}

int qcow2_write_all(Qcow2 *s)
{
	int ret = qcow2_write_tables(s);
	if (ret >= 0)
		ret = qcow2_write_counts(s);
	return ret;
}

void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes, FreeKind kind)
{
	Freed *last = s->freed->len ? &g_array_index(s->freed, Freed, s->freed->len - 1) : NULL;
	s->freed_bytes += bytes;
	/*
	 * Only whole clusters may be joined: the ends of compressed ones share a cluster and count
	 * twice.
	 */
	if (last && last->kind == kind && last->offset + last->bytes == offset
		&& !q_inside(s, offset)) {
		last->bytes += bytes;
		return;
	}
	Freed f = { offset, bytes, kind };
	g_array_append_val(s->freed, f);
}

int qcow2_freed_limit(Qcow2 *s)
{
	return s->freed->len < FREED_MAX && s->freed_bytes < FREED_BYTES_MAX
		? 0
		: qcow2_write_tables(s);
}

static void clean_now_and_then(Qcow2 *s)
{
	int64_t now = s->clean_us ? g_get_monotonic_time() : 0;
	if (!s->clean_us || now - s->cleaned_at < s->clean_us)
		return;
	cache_clean(&s->l2, s->cleaned_at);
	cache_clean(&s->refblocks, s->cleaned_at);
	s->cleaned_at = now;
}

int qcow2_flush(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (s->corrupt)
		return -EIO;
	clean_now_and_then(s);
	if (qcow2_clean(s))
		return 0;
	qcow2_lock(s);
	int ret = qcow2_write_tables(s);
	qcow2_unlock(s);
	return ret;
}
