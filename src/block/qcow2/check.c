/*
 * check.c - compares the refcounts with what the tables really name, and repairs.
 *
 * Findings and their lines are those of `qemu-img check`, which scripts read. check_refs.c
 * counts; rebuild.c writes refcount structures anew where they are broken themselves.
 * Memory: one count, as wide as the image's, for each cluster of the file.
 * Threads: fibers of the node's loop; alone with the image.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

void check_say(Check *c, const char *format, ...)
{
	va_list args;
	if (!c->r->report)
		return;
	va_start(args, format);
	g_string_append_vprintf(c->r->report, format, args);
	va_end(args);
	g_string_append_c(c->r->report, '\n');
}

int check_count(Check *c, uint64_t offset, uint64_t bytes)
{
	Qcow2 *s = c->s;
	if (!bytes)
		return 0;
	if (offset > INT64_MAX - bytes
		|| (offset + bytes > c->file_length
			&& offset + bytes - c->file_length >= s->cluster_size)) {
		check_say(c,
			"ERROR: counting reference for region exceeding the end of the file by one "
			"cluster or more: "
			"offset 0x%" PRIx64 " size 0x%" PRIx64,
			offset, bytes);
		c->r->corruptions++;
		return 0;
	}
	uint64_t end = (offset + bytes - 1) >> s->cluster_bits;
	for (uint64_t k = offset >> s->cluster_bits; k <= end && k < c->clusters; k++) {
		uint64_t n = refcount_at(c->counts, s->refcount_order, k);
		if (n == s->refcount_max) {
			check_say(c, "ERROR: overflow cluster offset=0x%" PRIx64,
				k << s->cluster_bits);
			check_say(c,
				"Use qemu-img amend to increase the refcount entry width or "
				"qemu-img convert to create "
				"a clean copy if the image cannot be opened for writing");
			c->r->corruptions++;
			continue;
		}
		refcount_put(c->counts, s->refcount_order, k, n + 1);
	}
	return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Puts one count right in memory. */
static int set_count(Check *c, uint64_t cluster, uint64_t value)
{
	Qcow2 *s = c->s;
	Table *t;
	uint64_t block = s->reftable[cluster >> s->refblock_bits] & QCOW2_REFTABLE_OFFSET;
	int ret = cache_get(s, &s->refblocks, block, &t);
	if (ret < 0)
		return ret;
	refcount_put(t->data, s->refcount_order, cluster & ((1ull << s->refblock_bits) - 1), value);
	cache_dirty(&s->refblocks, t);
	cache_put(t);
	if (!value && cluster < s->free_hint)
		s->free_hint = cluster;
	return 0;
}

/* One cluster whose counts differ. */
static int differs(Check *c, uint64_t cluster, uint64_t have, uint64_t want, unsigned fix)
{
	bool leak = have > want, repair = leak ? fix & FIX_LEAKS : fix & FIX_ERRORS;
	if (have == 0 && want > 0
		&& (cluster >> c->s->refblock_bits >= c->s->reftable_size
			|| !(c->s->reftable[cluster >> c->s->refblock_bits]
				& QCOW2_REFTABLE_OFFSET)))
		c->rebuild = true; /* no block to put it right in */
	repair = repair && !c->rebuild;
	check_say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
		repair	       ? "Repairing"
			: leak ? "Leaked"
			       : "ERROR",
		cluster, have, want);
	if (repair) {
		int ret = set_count(c, cluster, want);
		if (ret < 0) {
			c->r->check_errors++;
			return 0;
		}
		if (leak)
			c->r->leaks_fixed++;
		else
			c->r->corruptions_fixed++;
		return 0;
	}
	if (leak)
		c->r->leaks++;
	else
		c->r->corruptions++;
	return 0;
}

/* Counts of the block for clusters [from, to). */
static void compare_block(Check *c, uint64_t n, unsigned fix, uint64_t *highest)
{
	Qcow2 *s = c->s;
	uint64_t from = n << s->refblock_bits, to = from + (1ull << s->refblock_bits);
	uint64_t offset = n < s->reftable_size ? s->reftable[n] & QCOW2_REFTABLE_OFFSET : 0;
	Table *t = NULL;
	if (offset && !q_inside(s, offset) && offset >> s->cluster_bits < c->clusters
		&& cache_get(s, &s->refblocks, offset, &t) < 0) {
		check_say(c, "Can't get refcount for cluster %" PRIu64, from);
		c->r->check_errors++;
		return;
	}
	for (uint64_t k = from; k < to; k++) {
		uint64_t have = t ? refcount_at(t->data, s->refcount_order, k - from) : 0;
		uint64_t want = k < c->clusters ? refcount_at(c->counts, s->refcount_order, k) : 0;
		/* past the end of the file: given back without a word, as QEMU has none */
		if (k >= c->clusters) {
			if (have && fix & FIX_LEAKS && !c->rebuild)
				set_count(c, k, 0);
			continue;
		}
		if (have || want)
			*highest = MAX(*highest, k + 1);
		if (have != want)
			differs(c, k, have, want, fix);
	}
	if (t)
		cache_put(t);
}

static void compare(Check *c, unsigned fix)
{
	Qcow2 *s = c->s;
	uint64_t blocks = MAX(s->reftable_size, (c->clusters >> s->refblock_bits) + 1), highest = 0;
	for (uint64_t n = 0; n < blocks; n++)
		if (n << s->refblock_bits < c->clusters
			|| (n < s->reftable_size && s->reftable[n] & QCOW2_REFTABLE_OFFSET))
			compare_block(c, n, fix, &highest);
	c->r->image_end_offset = highest << c->s->cluster_bits;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int prepare_counts(Check *c)
{
	Qcow2 *s = c->s;
	g_free(c->counts);
	c->file_length = s->node->file->length;
	c->clusters = q_clusters(s, c->file_length);
	uint64_t bytes = ((c->clusters << s->refcount_order) + 7) / 8 + 8;
	c->counts = g_try_malloc0(bytes);
	return c->counts ? 0 : -ENOMEM;
}

/* New structures, and what leaked by that. */
static int rebuild(Check *c)
{
	CheckResult *r = c->r, old = *r;
	check_say(c, "Rebuilding refcount structure");
	int ret = qcow2_rebuild(c);
	if (ret < 0) {
		check_say(c, "ERROR: the refcount structure could not be written: %s",
			g_strerror(-ret));
		return ret;
	}
	/* The old structures may be leaked now: count again. */
	r->corruptions = r->leaks = 0;
	c->rebuild = false;
	ret = prepare_counts(c);
	GString *report = r->report;
	r->report = NULL;
	if (ret >= 0)
		ret = check_count_all(c);
	if (ret >= 0)
		compare(c, FIX_LEAKS);
	r->report = report;
	r->leaks_fixed = old.leaks_fixed;
	r->allocated_clusters = old.allocated_clusters;
	r->fragmented_clusters = old.fragmented_clusters;
	r->compressed_clusters = old.compressed_clusters;
	r->corruptions_fixed += old.corruptions > r->corruptions ? old.corruptions - r->corruptions
								 : 0;
	r->leaks_fixed += old.leaks > r->leaks ? old.leaks - r->leaks : 0;
	return c->rebuild ? -EIO : ret;
}

static int check_image(Check *c)
{
	CheckResult *r = c->r;
	int ret = prepare_counts(c);
	if (ret < 0) {
		check_say(c, "ERROR: not enough memory for the counts of %" PRIu64 " clusters",
			c->clusters);
		return ret;
	}
	r->total_clusters = q_clusters(c->s, c->s->size);
	ret = check_count_all(c);
	if (ret < 0)
		return ret;
	uint64_t corruptions = r->corruptions;
	/* Findings are put in words once: as repaired ones, if they will be. */
	bool dry = c->fix != 0;
	GString *report = r->report;
	size_t len = report ? report->len : 0;
	compare(c, 0);
	if (c->rebuild && c->fix & FIX_ERRORS) {
		ret = rebuild(c);
	} else if (dry && !c->rebuild) {
		if (report)
			g_string_truncate(report, len);
		r->leaks = 0;
		r->corruptions = corruptions;
		compare(c, c->fix);
	} else if (c->rebuild) {
		check_say(c, "ERROR need to rebuild refcount structures");
	}
	return ret < 0 ? ret : check_copied(c);
}

/* Snapshots as version 3 has them, which our writer always writes. */
static int complete_snapshots(Check *c)
{
	Qcow2 *s = c->s;
	if (!c->snapshots_short || !(c->fix & FIX_ERRORS) || c->rebuild)
		return 0;
	int ret = qcow2_snapshots_write(s);
	for (uint32_t i = 0; ret >= 0 && i < s->nb_snapshots; i++)
		s->snapshots[i].extra_size = MAX(s->snapshots[i].extra_size, 16);
	if (ret >= 0) /* the old table may have lain on somebody's cluster */
		ret = check_copied(c);
	return ret < 0 ? ret : qcow2_write_all(s);
}

/* What the header says of the image's health after a repair. */
static int clean_bits(Check *c)
{
	Qcow2 *s = c->s;
	uint64_t old = s->incompatible;
	if (c->fix & FIX_ERRORS && c->fix & FIX_LEAKS && !c->r->corruptions && !c->r->check_errors
		&& !s->writing)
		s->incompatible &= ~(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
	else if (c->fix & FIX_ERRORS && !c->r->corruptions && !c->r->check_errors)
		s->incompatible &= ~QCOW2_INCOMPAT_CORRUPT;
	if (!c->r->check_errors && !c->r->corruptions)
		s->corrupt = false;
	bool drop = s->bitmaps_bad && c->fix & FIX_ERRORS;
	if (drop) {
		s->bitmaps_bad = false;
		s->autoclear &= ~QCOW2_AUTOCLEAR_BITMAPS;
	}
	return s->incompatible == old && !drop ? 0 : qcow2_header_commit(s);
}

int qcow2_repair(Qcow2 *s)
{
	CheckResult result = { 0 };
	Check c = { .s = s, .r = &result, .fix = FIX_LEAKS | FIX_ERRORS };
	int ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = check_image(&c);
	g_free(c.counts);
	return ret < 0 ? ret : qcow2_write_all(s);
}

int qcow2_check(Node *node, CheckResult *result, unsigned fix)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Check c = { .s = s, .r = result, .fix = node->read_only ? 0 : fix };
	qcow2_begin(s);
	int ret = node->read_only || s->corrupt ? 0 : qcow2_write_all(s);
	if (ret >= 0)
		ret = check_image(&c);
	if (ret >= 0 && c.fix) {
		ret = qcow2_write_all(s);
		if (ret >= 0)
			ret = complete_snapshots(&c);
		if (ret >= 0)
			ret = qcow2_sync(s);
		if (ret >= 0)
			ret = clean_bits(&c);
	}
	g_free(c.counts);
	qcow2_end(s);
	return ret;
}
