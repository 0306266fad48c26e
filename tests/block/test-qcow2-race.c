/*
 * test-qcow2-race.c - many requests at once on neighbouring sectors.
 *
 * Each fiber owns every n-th sector of a small disk; it writes, zeroes and reads back its own
 * while the others do the same in the same clusters, a further one flushes, takes and drops
 * snapshots, and the file lets requests overtake each other. Each read must find what its
 * owner wrote last.
 */
#include <glib.h>
#include <string.h>

#include "memfile.h"

enum { DISK = 512 << 10, SECTORS = DISK / 512, OWNERS = 12, STEPS = 2000 };

typedef struct Race {
	GRand *rng;
	Node *node;
	uint32_t is[SECTORS];
	unsigned running, owners;
	bool snapshots;
	uint32_t number; /* begins past what fill_packed writes */
	FiberQueue ended;
} Race;

typedef struct Owner {
	Race *r;
	unsigned first;
} Owner;

static void check_own(Race *r, unsigned sector)
{
	uint32_t have[128];
	struct iovec v = { have, sizeof(have) };
	g_assert_cmpint(node_read(r->node, (uint64_t)sector * 512, iov_one(&v)), ==, 0);
	for (unsigned i = 0; i < 128; i++)
		if (have[i] != r->is[sector])
			g_error("sector %u has %u, not %u", sector, have[i], r->is[sector]);
}

/*
 * Reads over others' sectors, whose owners are at work: each has what was meant for it, old or new.
 */
static void check_wide(Race *r, unsigned sector)
{
	static const unsigned n = 64;
	unsigned start = MIN(sector, SECTORS - n);
	uint32_t *buf = g_malloc(n * 512);
	struct iovec v = { buf, n * 512 };
	g_assert_cmpint(node_read(r->node, (uint64_t)start * 512, iov_one(&v)), ==, 0);
	if (buf[(sector - start) * 128] != r->is[sector])
		g_error("sector %u has %u, not %u", sector, buf[(sector - start) * 128],
			r->is[sector]);
	for (unsigned i = 0; i < n * 128; i++)
		if (buf[i] && (buf[i] & 1023) != start + i / 128)
			g_error("sector %u has what belongs to sector %u", start + i / 128,
				buf[i] & 1023);
	g_free(buf);
}

static void owner_fiber(void *opaque)
{
	Owner *o = opaque;
	Race *r = o->r;
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned sector = g_rand_int_range(r->rng, 0, SECTORS / OWNERS) * OWNERS + o->first;
		unsigned what = g_rand_int_range(r->rng, 0, 8);
		uint64_t offset = (uint64_t)sector * 512;
		uint32_t buf[128];
		struct iovec v = { buf, sizeof(buf) };
		if (what < 4) {
			uint32_t number = (++r->number << 10) + sector; /* says whose it is */
			for (unsigned k = 0; k < 128; k++)
				buf[k] = number;
			g_assert_cmpint(
				node_write(r->node, offset, iov_one(&v), what ? 0 : REQ_FUA), ==,
				0);
			r->is[sector] = number;
		} else if (what < 6) {
			g_assert_cmpint(
				node_write_zeroes(r->node, offset, 512, what & 1 ? REQ_UNMAP : 0),
				==, 0);
			r->is[sector] = 0;
		} else if (what < 7) {
			check_own(r, sector);
		} else {
			check_wide(r, sector);
		}
	}
	r->owners--;
	r->running--;
	fiber_queue_wake_all(&r->ended);
	g_free(o);
}

static void disturb_fiber(void *opaque)
{
	Race *r = opaque;
	const Driver *d = r->node->driver;
	GError *error = NULL;
	bool have = false;
	while (r->owners) {
		unsigned what = g_rand_int_range(r->rng, 0, 4);
		if (what < 3 || !r->snapshots) {
			g_assert_cmpint(node_flush(r->node), ==, 0);
		} else if (have) {
			g_assert_true(d->snapshot_delete(r->node, "s", &error));
			have = false;
		} else {
			SnapshotInfo info = { .name = "s", .icount = UINT64_MAX };
			g_assert_true(d->snapshot_create(r->node, &info, &error));
			have = true;
		}
		g_assert_no_error(error);
		for (unsigned i = 0; i < 20; i++)
			loop_yield();
	}
	r->running--;
	fiber_queue_wake_all(&r->ended);
}

/* Packed clusters, which every first write replaces and gives up while others read them. */
static void fill_packed(Race *r)
{
	uint32_t *buf = g_malloc(DISK);
	struct iovec v = { buf, DISK };
	for (unsigned i = 0; i < DISK / 4; i++)
		buf[i] = 1024 + i / 128;
	for (unsigned i = 0; i < SECTORS; i++)
		r->is[i] = 1024 + i;
	g_assert_cmpint(node_write_compressed(r->node, 0, iov_one(&v)), ==, 0);
	g_free(buf);
}

static void race_fiber(void *opaque)
{
	Race *r = opaque;
	fill_packed(r);
	r->owners = OWNERS;
	r->running = OWNERS + 1;
	for (unsigned i = 0; i < OWNERS; i++) {
		Owner *o = g_new(Owner, 1);
		*o = (Owner){ r, i };
		fiber_start(owner_fiber, o);
	}
	fiber_start(disturb_fiber, r);
	while (r->running)
		fiber_queue_wait(&r->ended);
	for (unsigned i = 0; i < SECTORS; i++)
		check_own(r, i);
}

static void check_fiber(void *opaque)
{
	Race *r = opaque;
	CheckResult result = { .report = g_string_new(NULL) };
	g_assert_cmpint(r->node->driver->check(r->node, &result, 0), ==, 0);
	if (result.corruptions || result.leaks || result.check_errors)
		g_error("%s", result.report->str);
	g_string_free(result.report, TRUE);
	for (unsigned i = 0; i < SECTORS; i++)
		check_own(r, i);
}

static void race(gconstpointer opaque)
{
	static const char *const small[] = { "l2-cache-size=2048", "l2-cache-entry-size=512",
		"refcount-cache-size=2048", NULL };
	Race *r = g_new0(Race, 1);
	GError *error = NULL;
	MemFile *m = memfile_qcow2(opaque, DISK);
	m->yields = 1;
	r->number = 1;
	r->rng = g_rand_new_with_seed(g_test_rand_int());
	r->snapshots = !strstr(opaque, "refcount_bits=1");
	r->node = memfile_format(
		m, "qcow2", strstr(opaque, "=512") ? small : NULL, NODE_WRITE | NODE_UNMAP, &error);
	g_assert_no_error(error);
	loop_call(loop_main(), race_fiber, r);
	node_unref(r->node);
	r->node = memfile_format(m, "qcow2", NULL, 0, &error);
	g_assert_no_error(error);
	loop_call(loop_main(), check_fiber, r);
	node_unref(r->node);
	memfile_free(m);
	g_rand_free(r->rng);
	g_free(r);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "cluster_size=65536", "cluster_size=4096",
		"cluster_size=512", "cluster_size=2097152", "cluster_size=16384,extended_l2=on",
		"cluster_size=8192,lazy_refcounts=on", "cluster_size=1024,refcount_bits=1" };
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		char *path = g_strdup_printf("/qcow2/race/%s", kinds[i]);
		g_test_add_data_func(path, kinds[i], race);
		g_free(path);
	}
	return g_test_run();
}
