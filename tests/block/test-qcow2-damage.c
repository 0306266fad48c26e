/*
 * test-qcow2-damage.c - damaged images: whatever a file says, the driver refuses it or copes.
 *
 * Images of several kinds are damaged at random, mostly in header and tables; then everything
 * is done to them that can be done. Nothing may crash, hang or ask for memory without bound
 * (the sanitizer build looks on), and what a repair called sound must be found sound.
 * DAMAGE_ROUNDS sets how many; --seed repeats a run.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "memfile.h"

enum { DISK = 1 << 20, FILE_MAX = 16 << 20 };

typedef struct Job {
	Node *node;
	GRand *rng;
	unsigned what;
	CheckResult check;
	unsigned fix;
	int ret;
} Job;

static void quiet(const char *text)
{
}

/* ---- Sound images ---- */

static void write_some(Node *node, GRand *rng, unsigned n)
{
	uint8_t *buf = g_malloc(1 << 16);
	memset(buf, g_rand_int(rng), 1 << 16);
	for (unsigned i = 0; i < n; i++) {
		uint64_t room = MIN(node->length, DISK) & ~511ull;
		if (!room)
			break;
		uint64_t offset = (uint64_t)g_rand_int_range(rng, 0, room / 512) * 512;
		uint64_t len = MIN(room - offset, (uint64_t)g_rand_int_range(rng, 1, 128) * 512);
		struct iovec v = { buf, len };
		switch (g_rand_int_range(rng, 0, 6)) {
		case 0: node_write_zeroes(node, offset, len, 0); break;
		case 1: node_write_zeroes(node, offset, len, REQ_UNMAP); break;
		case 2: node_discard(node, offset, len); break;
		case 3:
			v.iov_len = MIN(room - (offset & ~65535ull), 65536);
			node_write_compressed(node, offset & ~65535ull, iov_one(&v));
			break;
		default: node_write(node, offset, iov_one(&v), 0); break;
		}
	}
	node_flush(node);
	g_free(buf);
}

static void populate_fiber(void *opaque)
{
	Job *j = opaque;
	const Driver *d = j->node->driver;
	SnapshotInfo info = { .name = "one", .icount = UINT64_MAX };
	write_some(j->node, j->rng, 12);
	if (j->what & 1)
		d->snapshot_create(j->node, &info, NULL);
	if (j->what & 2) {
		d->bitmap_add(j->node, "b1", 512, false, NULL);
		d->bitmap_add(j->node, "b2", 65536, true, NULL);
	}
	write_some(j->node, j->rng, 12);
}

static MemFile *make_image(const char *options, unsigned what, GRand *rng)
{
	MemFile *file = memfile_qcow2(options, DISK);
	GError *error = NULL;
	Job j = { memfile_format(file, "qcow2", NULL, NODE_WRITE | NODE_UNMAP, &error), rng, what,
		{ 0 }, 0, 0 };
	g_assert_no_error(error);
	loop_call(loop_main(), populate_fiber, &j);
	node_unref(j.node);
	return file;
}

/* ---- Damage ---- */

static void damage_once(GByteArray *b, GRand *rng)
{
	static const uint64_t odd[] = { 0, 1, UINT64_MAX, INT64_MAX, 1ull << 63, 0x8000000000010000,
		0x200, 0x10000, 0x20000, 0x00fffffffffffe00, 0x4000000000000000, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000 };
	unsigned where = g_rand_int_range(rng, 0, 6);
	/* The header, the first clusters (where tables lie), anywhere. */
	uint64_t area = where < 2 ? 112
		: where < 3	  ? 512
		: where < 5	  ? MIN(b->len, 0x60000)
				  : b->len;
	uint64_t at = g_rand_int_range(rng, 0, MAX(area, 8) - 7);
	if (g_rand_int_range(rng, 0, 4))
		at &= ~7ull;
	uint64_t v;
	memcpy(&v, b->data + at, 8);
	v = GUINT64_FROM_BE(v);
	switch (g_rand_int_range(rng, 0, 7)) {
	case 0: v = odd[g_rand_int_range(rng, 0, G_N_ELEMENTS(odd))]; break;
	case 1: v ^= 1ull << g_rand_int_range(rng, 0, 64); break;
	case 2: v += g_rand_int_range(rng, -512, 512); break;
	case 3: v = (uint64_t)g_rand_int_range(rng, 0, b->len) & ~511ull; break;
	case 4: v = ((uint64_t)g_rand_int_range(rng, 0, b->len) & ~511ull) | 1ull << 63; break;
	case 5: b->data[at] = g_rand_int(rng); return;
	case 6: { /* another entry's value: tables that share what they name */
		uint64_t from = (uint64_t)g_rand_int_range(rng, 0, b->len - 8) & ~7ull;
		memmove(b->data + at, b->data + from, 8);
		return;
	}
	}
	v = GUINT64_TO_BE(v);
	memcpy(b->data + at, &v, 8);
}

/* Values in tables, where they are used: pick an 8-byte word that is not zero. */
static void damage_entry(GByteArray *b, GRand *rng)
{
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t at = (uint64_t)g_rand_int_range(rng, 0, b->len - 8) & ~7ull, v;
		memcpy(&v, b->data + at, 8);
		v = GUINT64_FROM_BE(v);
		if (!v || (v & 0x00ffffffffffffff) > 4ull * b->len || v & 0x1fe)
			continue;
		switch (g_rand_int_range(rng, 0, 4)) {
		case 0: v ^= 1ull << g_rand_int_range(rng, 0, 64); break;
		case 1:
			v = (v & ~0x00fffffffffffe00ull)
				| (g_rand_int_range(rng, 0, b->len) & ~511ull);
			break;
		case 2: v = 0; break;
		case 3: v += 512 * g_rand_int_range(rng, -200, 200); break;
		}
		v = GUINT64_TO_BE(v);
		memcpy(b->data + at, &v, 8);
		return;
	}
}

static MemFile *damaged(const MemFile *sound, GRand *rng)
{
	MemFile *m = memfile_new(sound->data->data, sound->data->len);
	m->longest = FILE_MAX;
	unsigned n = g_rand_int_range(rng, 1, 5);
	for (unsigned i = 0; i < n; i++)
		if (g_rand_boolean(rng))
			damage_once(m->data, rng);
		else
			damage_entry(m->data, rng);
	if (g_rand_int_range(rng, 0, 12) == 0) /* cut short */
		g_byte_array_set_size(m->data, g_rand_int_range(rng, 0, m->data->len));
	return m;
}

/* ---- Everything that can be done ---- */

static void read_some(Node *node)
{
	uint8_t *buf = g_malloc(1 << 18);
	for (uint64_t at = 0, n = 0; at < node->length && n < 8; at += 1 << 18, n++) {
		struct iovec v = { buf, MIN(1 << 18, node->length - at) };
		node_read(node, at, iov_one(&v));
	}
	g_free(buf);
}

static void look_fiber(void *opaque)
{
	Job *j = opaque;
	const Driver *d = j->node->driver;
	NodeInfo info = { 0 };
	d->info(j->node, &info);
	json_decref(d->specific(j->node));
	GArray *snapshots = d->snapshot_list(j->node);
	g_ptr_array_free(d->bitmap_list(j->node), TRUE);
	for (uint64_t at = 0, n = 0; at < j->node->length && n < 3000; n++) {
		NodeStatus st;
		if (node_status(j->node, at, j->node->length - at, true, &st) < 0 || !st.bytes)
			break;
		at += st.bytes;
	}
	read_some(j->node);
	d->check(j->node, &j->check, 0);
	if (snapshots->len
		&& d->snapshot_load(j->node, g_array_index(snapshots, SnapshotInfo, 0).id, NULL))
		read_some(j->node);
	g_array_free(snapshots, TRUE);
}

static void change_fiber(void *opaque)
{
	Job *j = opaque;
	Node *node = j->node;
	const Driver *d = node->driver;
	SnapshotInfo info = { .name = "new", .icount = UINT64_MAX };
	MeasureResult measure;
	json_t *opts = json_object();
	if (node->length <= 1 << 30)
		d->measure(opts, node, &measure, NULL);
	json_decref(opts);
	write_some(node, j->rng, 8);
	switch (g_rand_int_range(j->rng, 0, 9)) {
	case 0: d->snapshot_create(node, &info, NULL); break;
	case 1: d->snapshot_apply(node, "1", NULL); break;
	case 2: d->snapshot_delete(node, "1", NULL); break;
	case 3: d->bitmap_merge(node, "b2", node, "b1", NULL); break;
	case 4: d->bitmap_remove(node, "b1", NULL); break;
	case 5: node_truncate(node, DISK * 2, false, PREALLOC_METADATA, NULL); break;
	case 6: node_truncate(node, DISK / 2, false, PREALLOC_OFF, NULL); break;
	case 7:
		opts = json_pack("{s:s}", "refcount_bits", g_rand_boolean(j->rng) ? "64" : "1");
		d->amend(node, opts, false, NULL, NULL, NULL);
		json_decref(opts);
		break;
	case 8:
		if (node->length <= 1 << 30)
			d->make_empty(node);
		break;
	}
	write_some(node, j->rng, 4);
}

static void check_fiber(void *opaque)
{
	Job *j = opaque;
	j->ret = j->node->driver->check(j->node, &j->check, j->fix);
}

static bool with_image(MemFile *m, GRand *rng, unsigned flags, FiberFn *fn, Job *j)
{
	GError *error = NULL;
	j->rng = rng;
	j->node = memfile_format(m, "qcow2", NULL, flags, &error);
	if (!j->node) {
		g_assert_nonnull(error);
		g_assert_cmpuint(strlen(error->message), >, 10);
		g_error_free(error);
		return false;
	}
	loop_call(loop_main(), fn, j);
	node_unref(j->node);
	return true;
}

/* A repair that leaves nothing must leave nothing. */
static void repair(MemFile *m, GRand *rng)
{
	Job first = { .fix = FIX_LEAKS | FIX_ERRORS, .check.report = g_string_new(NULL) },
	    second = { 0 };
	if (!with_image(m, rng, NODE_WRITE | NODE_CHECK, check_fiber, &first))
		return;
	if (first.ret < 0 || first.check.corruptions || first.check.check_errors)
		return;
	second.check.report = g_string_new(NULL);
	g_assert_true(with_image(m, rng, NODE_CHECK, check_fiber, &second));
	if (second.ret < 0 || second.check.corruptions || second.check.leaks)
		g_error("after a repair: %s\n--\n%s", second.check.report->str,
			first.check.report->str);
	g_string_free(second.check.report, TRUE);
}

static void one_round(const MemFile *sound, GRand *rng)
{
	MemFile *m = damaged(sound, rng);
	Job j = { 0 };
	with_image(m, rng, 0, look_fiber, &j);
	unsigned way = g_rand_int_range(rng, 0, 3);
	if (way)
		with_image(m, rng, NODE_WRITE | NODE_UNMAP, change_fiber, &j);
	if (way != 1)
		repair(m, rng);
	memfile_free(m);
}

static void damage(gconstpointer opaque)
{
	const char *text = g_getenv("DAMAGE_ROUNDS");
	unsigned rounds = text ? strtoul(text, NULL, 10) : 400;
	GRand *rng = g_rand_new_with_seed(g_test_rand_int());
	g_set_printerr_handler(quiet);
	for (unsigned what = 0; what < 4; what++) {
		bool v2 = strstr(opaque, "0.10");
		MemFile *sound = make_image(opaque, v2 ? what & 1 : what, rng);
		for (unsigned i = 0; i < rounds / 4; i++)
			one_round(sound, rng);
		memfile_free(sound);
	}
	g_rand_free(rng);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "cluster_size=65536", "cluster_size=512",
		"cluster_size=4096,compat=0.10", "cluster_size=16384,extended_l2=on",
		"cluster_size=4096,refcount_bits=64", "cluster_size=1024,refcount_bits=2",
		"cluster_size=4096,compression_type=zstd,lazy_refcounts=on" };
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		char *path = g_strdup_printf("/qcow2/damage/%s", kinds[i]);
		g_test_add_data_func(path, kinds[i], damage);
		g_free(path);
	}
	return g_test_run();
}
