/*
 * test-qcow2-crash.c - a power cut at every moment leaves at worst leaked clusters.
 *
 * Random requests go to an image on a file that records each write and flush. Then every
 * prefix of the record is turned into a file: whole, with a part of the writes since the last
 * flush lost, with torn writes. Each must open, have no corruptions, and hold in each sector
 * what the last acknowledged flush promised or something written since.
 */
#include <glib.h>
#include <string.h>

#include "memfile.h"

enum { DISK = 1 << 20, SECTORS = DISK / 512, ROUNDS = 24, BURST = 6 };

typedef struct Kind {
	const char *name;
	const char *options; /* of creation */
	const char *words[6];	/* of opening */
	bool snapshots, compress;
	unsigned flags;
} Kind;

/* What a sector may hold: numbers written to it, with the burst they came in. */
typedef struct Value {
	uint32_t number, burst;
} Value;

typedef struct World {
	const Kind *kind;
	GRand *rng;
	MemFile *m;
	Node *node;
	GArray *values[SECTORS];	 /* Value, oldest first */
	uint32_t number, burst, flushed; /* flushed: the burst up to which all is promised */
	GArray *promises;		 /* uint32_t: by mark number, the value of flushed */
	unsigned running;
	FiberQueue ended;
	unsigned snapshot;
} World;

typedef struct Request {
	World *w;
	unsigned what;
	uint64_t offset, len;
	uint32_t number;
} Request;
enum { DO_WRITE, DO_ZERO, DO_UNMAP, DO_DISCARD, DO_COMPRESS, DO_FUA };

/* ---- Requests ---- */

static void request_fiber(void *opaque)
{
	Request *r = opaque;
	World *w = r->w;
	uint32_t *buf = g_malloc0(r->len);
	for (uint64_t i = 0; i < r->len / 4; i++)
		buf[i] = r->number;
	struct iovec v = { buf, r->len };
	int ret = 0;
	switch (r->what) {
	case DO_WRITE: ret = node_write(w->node, r->offset, iov_one(&v), 0); break;
	case DO_FUA: ret = node_write(w->node, r->offset, iov_one(&v), REQ_FUA); break;
	case DO_ZERO: ret = node_write_zeroes(w->node, r->offset, r->len, 0); break;
	case DO_UNMAP: ret = node_write_zeroes(w->node, r->offset, r->len, REQ_UNMAP); break;
	case DO_DISCARD: ret = node_discard(w->node, r->offset, r->len); break;
	case DO_COMPRESS: ret = node_write_compressed(w->node, r->offset, iov_one(&v)); break;
	}
	g_assert_cmpint(ret, >=, 0);
	g_free(buf);
	g_free(r);
	w->running--;
	fiber_queue_wake_all(&w->ended);
}

static uint64_t cluster_of(World *w)
{
	NodeInfo info = { 0 };
	w->node->driver->info(w->node, &info);
	return info.cluster_size;
}

static void one_request(World *w, uint64_t slot, uint64_t slots)
{
	uint64_t cluster = cluster_of(w), area = DISK / slots / cluster * cluster;
	Request *r = g_new0(Request, 1);
	r->w = w;
	r->what = g_rand_int_range(w->rng, 0, 10);
	if (r->what > DO_FUA || (r->what == DO_COMPRESS && !w->kind->compress))
		r->what = DO_WRITE;
	if (r->what == DO_DISCARD && !(w->kind->flags & NODE_UNMAP))
		r->what = DO_ZERO; /* discards would do nothing */
	uint64_t unit = r->what == DO_DISCARD || r->what == DO_COMPRESS ? cluster : 512;
	uint64_t units = area / unit,
		 n = g_rand_int_range(w->rng, 1, g_rand_boolean(w->rng) ? 4 : 80);
	n = MIN(n, units);
	if (r->what == DO_COMPRESS)
		n = MIN(n, 3);
	r->len = n * unit;
	r->offset = slot * area + g_rand_int_range(w->rng, 0, units - n + 1) * unit;
	bool zero = r->what == DO_ZERO || r->what == DO_UNMAP || r->what == DO_DISCARD;
	r->number = zero ? 0 : ++w->number;
	Value v = { r->number, w->burst };
	for (uint64_t i = r->offset / 512; i < (r->offset + r->len) / 512; i++)
		g_array_append_val(w->values[i], v);
	w->running++;
	fiber_start(request_fiber, r);
}

/* Several at once, each in its own part of the disk, so that the outcome is known. */
static void burst_fiber(void *opaque)
{
	World *w = opaque;
	unsigned n = g_rand_int_range(w->rng, 1, BURST + 1);
	w->burst++;
	memfile_mark(w->m, w->burst);
	for (unsigned i = 0; i < n; i++)
		one_request(w, i, n);
	while (w->running)
		fiber_queue_wait(&w->ended);
}

static void promise(World *w, uint32_t burst)
{
	w->flushed = burst;
	memfile_mark(w->m, (uint64_t)1 << 32 | burst);
}

static void flush_fiber(void *opaque)
{
	World *w = opaque;
	g_assert_cmpint(node_flush(w->node), >=, 0);
	promise(w, w->burst);
}

static void snapshot_fiber(void *opaque)
{
	World *w = opaque;
	GError *error = NULL;
	char name[16];
	if (g_rand_boolean(w->rng) && w->snapshot) {
		g_snprintf(name, sizeof(name), "s%u", w->snapshot--);
		w->node->driver->snapshot_delete(w->node, name, &error);
	} else if (w->snapshot < 3) {
		SnapshotInfo info = { .icount = UINT64_MAX };
		g_snprintf(info.name, sizeof(info.name), "s%u", ++w->snapshot);
		w->node->driver->snapshot_create(w->node, &info, &error);
	}
	g_assert_no_error(error);
}

static void record_run(World *w)
{
	GError *error = NULL;
	w->m->log = g_array_new(FALSE, FALSE, sizeof(Event));
	w->m->yields = 1;
	w->promises = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	w->node = memfile_format(
		w->m, "qcow2", w->kind->words, NODE_WRITE | w->kind->flags, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < ROUNDS; i++) {
		loop_call(loop_main(), burst_fiber, w);
		if (g_rand_boolean(w->rng))
			loop_call(loop_main(), flush_fiber, w);
		if (w->kind->snapshots && g_rand_int_range(w->rng, 0, 3) == 0)
			loop_call(loop_main(), snapshot_fiber, w);
	}
	node_unref(w->node);
	promise(w, w->burst);
}

/* ---- After the cut ---- */

typedef struct Look {
	Node *node;
	uint8_t *disk;
	CheckResult check;
	int ret;
} Look;

static void look_fiber(void *opaque)
{
	Look *l = opaque;
	struct iovec v = { l->disk, DISK };
	l->ret = l->node->driver->check(l->node, &l->check, 0);
	if (l->ret >= 0)
		l->ret = node_read(l->node, 0, iov_one(&v));
}

static void check_sector(World *w, const uint8_t *disk, unsigned sector, uint32_t promised,
	uint32_t begun, size_t at)
{
	uint32_t have[128];
	memcpy(have, disk + (size_t)sector * 512, 512);
	for (unsigned i = 1; i < 128; i++)
		if (have[i] != have[0])
			g_error("record %zu: sector %u is torn: %x %x", at, sector, have[0],
				have[i]);
	uint32_t base = 0;
	for (unsigned i = 0; i < w->values[sector]->len; i++) {
		Value v = g_array_index(w->values[sector], Value, i);
		if (v.burst <= promised)
			base = v.number;
		else if (v.burst <= begun && v.number == have[0])
			return;
	}
	if (base != have[0])
		g_error("%s: record %zu: sector %u has %u, promised was %u (burst %u)",
			w->kind->name, at, sector, have[0], base, promised);
}

static void look_at(World *w, const GByteArray *bytes, uint32_t promised, uint32_t begun, size_t at)
{
	GError *error = NULL;
	MemFile *m = memfile_new(bytes->data, bytes->len);
	/* The dirty bit: opening for writing repairs. */
	bool dirty = bytes->data[7] == 3 && bytes->data[79] & 1;
	static uint8_t disk[DISK];
	Look l = { memfile_format(m, "qcow2", NULL, dirty ? NODE_WRITE : 0, &error), disk,
		{ .report = g_string_new(NULL) }, 0 };
	g_assert_no_error(error);
	loop_call(loop_main(), look_fiber, &l);
	g_assert_cmpint(l.ret, >=, 0);
	if (l.check.corruptions || l.check.check_errors || (dirty && l.check.leaks))
		g_error("%s: record %zu: %s", w->kind->name, at, l.check.report->str);
	for (unsigned i = 0; i < SECTORS; i++)
		check_sector(w, disk, i, promised, begun, at);
	g_string_free(l.check.report, TRUE);
	node_unref(l.node);
	memfile_free(m);
}

/* Events [from, to) on top of what is durable; in variants some are lost or torn. */
static void cut(World *w, const GByteArray *durable, size_t from, size_t to, unsigned variant,
	uint32_t promised, uint32_t begun)
{
	GByteArray *file = g_byte_array_sized_new(durable->len + (1 << 16));
	g_byte_array_append(file, durable->data, durable->len);
	for (size_t i = from; i < to; i++) {
		const Event *e = &g_array_index(w->m->log, Event, i);
		uint64_t part = e->len;
		if (variant && g_rand_int_range(w->rng, 0, 1 + variant))
			continue;
		if (variant && e->kind == EVENT_WRITE && g_rand_int_range(w->rng, 0, 3) == 0)
			part = g_rand_int_range(w->rng, 0, e->len / 512 + 1) * 512;
		memfile_apply(file, e, part);
	}
	look_at(w, file, promised, begun, to);
	g_byte_array_free(file, TRUE);
}

static void replay(World *w, const GByteArray *start)
{
	GByteArray *durable = g_byte_array_new();
	g_byte_array_append(durable, start->data, start->len);
	size_t from = 0;
	uint32_t promised = 0, begun = 0;
	for (size_t i = 0; i < w->m->log->len; i++) {
		const Event *e = &g_array_index(w->m->log, Event, i);
		if (e->kind == EVENT_MARK) {
			if (e->offset >> 32)
				promised = (uint32_t)e->offset;
			else
				begun = e->offset;
			continue;
		}
		if (e->kind == EVENT_FLUSH) {
			for (; from < i; from++)
				memfile_apply(durable, &g_array_index(w->m->log, Event, from),
					UINT64_MAX);
			continue;
		}
		for (unsigned variant = 0; variant < 4; variant++)
			cut(w, durable, from, i + 1, variant, promised, begun);
	}
	g_byte_array_free(durable, TRUE);
}

static void crash(gconstpointer opaque)
{
	World *w = g_new0(World, 1);
	w->kind = opaque;
	w->rng = g_rand_new_with_seed(g_test_rand_int());
	w->m = memfile_qcow2(w->kind->options, DISK);
	for (unsigned i = 0; i < SECTORS; i++)
		w->values[i] = g_array_new(FALSE, FALSE, sizeof(Value));
	GByteArray *start = g_byte_array_new();
	g_byte_array_append(start, w->m->data->data, w->m->data->len);
	record_run(w);
	replay(w, start);
	look_at(w, w->m->data, w->burst, w->burst, w->m->log->len);
	g_test_message("%u records", w->m->log->len);
	g_byte_array_free(start, TRUE);
	memfile_free(w->m);
	for (unsigned i = 0; i < SECTORS; i++)
		g_array_free(w->values[i], TRUE);
	g_array_free(w->promises, TRUE);
	g_rand_free(w->rng);
	g_free(w);
}

static const Kind kinds[] = {
	{ .name = "plain", .options = "cluster_size=4096", .compress = true, .flags = NODE_UNMAP },
	{ .name = "large", .options = "cluster_size=65536", .flags = NODE_UNMAP },
	{ .name = "small", .options = "cluster_size=512", .compress = true, .flags = NODE_UNMAP },
	{ .name = "v2", .options = "cluster_size=1024,compat=0.10",
		.compress = true, .flags = NODE_UNMAP },
	{ .name = "wide", .options = "cluster_size=512,refcount_bits=64", .compress = true },
	{ .name = "narrow", .options = "cluster_size=1024,refcount_bits=1", .compress = true },
	{ .name = "lazy", .options = "cluster_size=4096,lazy_refcounts=on",
		.compress = true, .flags = NODE_UNMAP },
	{ .name = "subclusters", .options = "cluster_size=16384,extended_l2=on",
		.compress = true, .flags = NODE_UNMAP },
	{ .name = "small-cache", .options = "cluster_size=512",
		.words = { "l2-cache-size=2048", "refcount-cache-size=2048" },
	  .compress = true, .flags = NODE_UNMAP },
	{ .name = "snapshots", .options = "cluster_size=4096",
		.compress = true, .snapshots = true, .flags = NODE_UNMAP },
	{ .name = "snapshots-small", .options = "cluster_size=512",
		.compress = true, .snapshots = true },
};

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		char *path = g_strdup_printf("/qcow2/crash/%s", kinds[i].name);
		g_test_add_data_func(path, &kinds[i], crash);
		g_free(path);
	}
	return g_test_run();
}
