/*
 * cache.c - tables of the image in memory: slices of L2 tables, refcount blocks.
 *
 * A hash table by file offset and a list by last use. Tables that changed stay until the
 * caller writes them (cache_write), clean ones give way to others. Memory: `max` tables, a few
 * more while all are pinned or dirty; buffers come as they are needed.
 * Threads: fibers of the node's loop. Loading needs no lock; changes and write-outs need it,
 * so that what is being written does not change.
 */
#include <stdlib.h>

#include "block/qcow2/qcow2.h"

enum { TABLE_ALIGN = 4096, MERGE_MAX = 256 };

void cache_init(Cache *c, size_t table_size, uint64_t bytes)
{
	memset(c, 0, sizeof(*c));
	c->table_size = table_size;
	c->max = CLAMP(bytes / table_size, 4, 1u << 22);
	c->buckets = 16;
	while (c->buckets < c->max && c->buckets < 1u << 16)
		c->buckets *= 2;
	c->bucket = g_new0(Table *, c->buckets);
}

static Table **bucket_of(Cache *c, uint64_t offset)
{
	uint64_t n = offset / c->table_size;
	return &c->bucket[(n ^ n >> 16) & (c->buckets - 1)];
}

static Table *find(Cache *c, uint64_t offset)
{
	Table *t = *bucket_of(c, offset);
	while (t && t->offset != offset)
		t = t->next;
	return t;
}

static void list_remove(Cache *c, Table *t)
{
	if (t->newer)
		t->newer->older = t->older;
	else
		c->newest = t->older;
	if (t->older)
		t->older->newer = t->newer;
	else
		c->oldest = t->newer;
}

static void list_newest(Cache *c, Table *t)
{
	t->newer = NULL;
	t->older = c->newest;
	if (c->newest)
		c->newest->newer = t;
	else
		c->oldest = t;
	c->newest = t;
}

static void touch(Cache *c, Table *t)
{
	if (c->newest != t) {
		list_remove(c, t);
		list_newest(c, t);
	}
}

/* Out of the hash table and the list; the memory goes if nobody holds it. */
static void forget(Cache *c, Table *t)
{
	Table **p = bucket_of(c, t->offset);
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	list_remove(c, t);
	c->count--;
	if (t->dirty)
		c->dirty--;
	t->dirty = false;
	t->offset = 0;
	if (!t->pins) {
		free(t->data);
		g_free(t);
	}
}

void cache_clear(Cache *c)
{
	while (c->oldest)
		forget(c, c->oldest);
}

void cache_free(Cache *c)
{
	cache_clear(c);
	g_clear_pointer(&c->bucket, g_free);
}

Table *cache_peek(Cache *c, uint64_t offset)
{
	Table *t = find(c, offset);
	if (!t || t->loading)
		return NULL;
	touch(c, t);
	return t;
}

/* Makes room for one more: drops the oldest clean table. 0, or an error of writing dirty ones. */
static int make_room(Qcow2 *s, Cache *c)
{
	if (c->count < c->max)
		return 0;
	for (Table *t = c->oldest; t; t = t->newer)
		if (!t->pins && !t->dirty && !t->loading) {
			forget(c, t);
			return 0;
		}
	if (!c->dirty)
		return 0; /* all are pinned: one more than planned */
	bool mine = qcow2_locked(s);
	if (!mine)
		qcow2_lock(s);
	int ret = c == &s->l2 ? qcow2_write_l2(s) : cache_write(s, c);
	if (!mine)
		qcow2_unlock(s);
	return ret;
}

static Table *insert(Cache *c, uint64_t offset)
{
	Table *t = g_new0(Table, 1);
	/*
	 * Aligned, so that direct I/O needs no copy; a multiple of the alignment, as C11 wants it.
	 */
	t->data = aligned_alloc(
		TABLE_ALIGN, (c->table_size + TABLE_ALIGN - 1) & ~(size_t)(TABLE_ALIGN - 1));
	if (!t->data) {
		g_free(t);
		return NULL;
	}
	t->offset = offset;
	Table **b = bucket_of(c, offset);
	t->next = *b;
	*b = t;
	list_newest(c, t);
	c->count++;
	t->pins = 1;
	return t;
}

int cache_get(Qcow2 *s, Cache *c, uint64_t offset, Table **out)
{
	for (;;) {
		Table *t = find(c, offset);
		if (t && t->loading) {
			fiber_queue_wait(&t->loaded);
			continue; /* t may be gone */
		}
		if (t) {
			touch(c, t);
			t->pins++;
			t->used_at = s->clean_us ? g_get_monotonic_time() : 0;
			*out = t;
			return 0;
		}
		bool full = c->count >= c->max;
		int ret = make_room(s, c);
		if (ret < 0)
			return ret;
		if (full && find(c, offset))
			continue; /* came while we waited */
		t = insert(c, offset);
		if (!t)
			return -ENOMEM;
		t->loading = true;
		ret = node_pread(s->node->file, offset, t->data, c->table_size);
		t->loading = false;
		t->used_at = s->clean_us ? g_get_monotonic_time() : 0;
		if (ret < 0)
			forget(c, t); /* before others wake and would find it */
		fiber_queue_wake_all(&t->loaded);
		if (ret < 0) {
			cache_put(t);
			return ret;
		}
		*out = t;
		return 0;
	}
}

int cache_new(Qcow2 *s, Cache *c, uint64_t offset, Table **out)
{
	cache_drop(c, offset, c->table_size);
	int ret = make_room(s, c);
	if (ret < 0)
		return ret;
	Table *t = insert(c, offset);
	if (!t)
		return -ENOMEM;
	memset(t->data, 0, c->table_size);
	cache_dirty(c, t);
	*out = t;
	return 0;
}

void cache_put(Table *t)
{
	t->pins--;
	if (!t->pins && !t->offset) {
		free(t->data);
		g_free(t);
	}
}

void cache_dirty(Cache *c, Table *t)
{
	if (!t->dirty && t->offset) {
		t->dirty = true;
		c->dirty++;
	}
}

void cache_drop(Cache *c, uint64_t offset, uint64_t bytes)
{
	if (bytes / c->table_size > c->count) {
		for (Table *t = c->oldest, *newer; t; t = newer) {
			newer = t->newer;
			if (t->offset >= offset && t->offset - offset < bytes && !t->loading)
				forget(c, t);
		}
		return;
	}
	for (uint64_t o = offset; o < offset + bytes; o += c->table_size) {
		Table *t = find(c, o);
		if (t && !t->loading)
			forget(c, t);
	}
}

static int by_offset(const void *a, const void *b)
{
	const Table *x = *(Table *const *)a, *y = *(Table *const *)b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Writes tables t[0, n) that lie one after the other. */
static int write_run(Qcow2 *s, Cache *c, Table **t, unsigned n)
{
	struct iovec v[MERGE_MAX];
	for (unsigned i = 0; i < n; i++)
		v[i] = (struct iovec){ t[i]->data, c->table_size };
	unsigned self = c == &s->l2 ? OVERLAP_L2 : OVERLAP_REFBLOCK;
	int ret = qcow2_overlap(s, self, t[0]->offset, (uint64_t)n * c->table_size);
	if (ret >= 0)
		ret = node_write(s->node->file, t[0]->offset, iov_all(v, n), 0);
	for (unsigned i = 0; ret >= 0 && i < n; i++)
		if (t[i]->dirty) {
			t[i]->dirty = false;
			c->dirty--;
		}
	return ret;
}

int cache_write(Qcow2 *s, Cache *c)
{
	if (!c->dirty)
		return 0;
	unsigned n = 0, total = c->dirty;
	Table **all = g_new(Table *, total);
	for (Table *t = c->oldest; t && n < total; t = t->newer)
		if (t->dirty) {
			t->pins++;
			all[n++] = t;
		}
	qsort(all, n, sizeof(*all), by_offset);
	int ret = 0;
	s->unsynced = true;
	for (unsigned i = 0; i < n && ret >= 0;) {
		unsigned k = 1;
		while (i + k < n && k < MERGE_MAX
			&& all[i + k]->offset == all[i]->offset + k * c->table_size)
			k++;
		ret = write_run(s, c, all + i, k);
		i += k;
	}
	for (unsigned i = 0; i < n; i++)
		cache_put(all[i]);
	g_free(all);
	return ret;
}

void cache_clean(Cache *c, int64_t before)
{
	for (Table *t = c->oldest, *newer; t; t = newer) {
		newer = t->newer;
		if (!t->dirty && !t->pins && !t->loading && t->used_at < before)
			forget(c, t);
	}
}
