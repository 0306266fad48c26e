/*
 * open.c - opening and closing an image: options, tables, data file, repair of what a crash left.
 *
 * Options are those of QEMU's qcow2 driver. Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

/* QEMU's defaults. */
#define L2_CACHE_DEFAULT (32ull << 20)
enum { L2_ENTRY_DEFAULT = 65536, REFCOUNT_CACHE_CLUSTERS = 4 };

const char *const qcow2_switch[] = { "default", "on", "off", NULL };

/* ---- Options --------------------------------------------------------------------------------- */

static bool cache_sizes(Qcow2 *s, uint64_t *l2, uint64_t *counts, GError **error)
{
	const Qcow2Options *o = &s->opt;
	uint64_t all_l2 = q_clusters(s, s->size) * s->l2_entry_size;
	uint64_t min_counts = (uint64_t)REFCOUNT_CACHE_CLUSTERS << s->cluster_bits;
	if (o->cache && o->l2_cache && o->refcount_cache)
		return fail(error, VIV_ERROR_INVALID,
			"cache-size, l2-cache-size and refcount-cache-size may not be set "
			"at the same time");
	if (o->cache && o->l2_cache > o->cache)
		return fail(error, VIV_ERROR_INVALID, "l2-cache-size may not exceed cache-size");
	if (o->cache && o->refcount_cache > o->cache)
		return fail(
			error, VIV_ERROR_INVALID, "refcount-cache-size may not exceed cache-size");
	*l2 = o->l2_cache ? o->l2_cache : MIN(L2_CACHE_DEFAULT, all_l2);
	*counts = o->refcount_cache ? o->refcount_cache : min_counts;
	if (o->cache && o->l2_cache) {
		*counts = o->cache - o->l2_cache;
	} else if (o->cache && o->refcount_cache) {
		*l2 = o->cache - o->refcount_cache;
	} else if (o->cache) {
		*counts = o->cache >= all_l2 + min_counts ? o->cache - all_l2
							  : MIN(o->cache, min_counts);
		*l2 = o->cache - *counts;
	}
	return true;
}

static bool set_caches(Qcow2 *s, GError **error)
{
	uint64_t l2 = 0, counts = 0,
		 entry = s->opt.l2_entry ? s->opt.l2_entry : MIN(L2_ENTRY_DEFAULT, s->cluster_size);
	if (entry < 512 || entry > s->cluster_size || entry & (entry - 1))
		return fail(error, VIV_ERROR_INVALID,
			"l2-cache-entry-size must be a power of two between 512 and the "
			"cluster size (%u)",
			s->cluster_size);
	if (s->opt.clean_interval < 0 || s->opt.clean_interval > UINT32_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"cache-clean-interval is a number of seconds, 0 for never");
	if (!cache_sizes(s, &l2, &counts, error))
		return false;
	s->slice_bits = g_bit_nth_msf(entry / s->l2_entry_size, -1);
	cache_init(&s->l2, entry, l2);
	cache_init(&s->refblocks, s->cluster_size, counts);
	s->clean_us = s->opt.clean_interval * G_USEC_PER_SEC;
	s->cleaned_at = g_get_monotonic_time();
	return true;
}

static bool set_overlap(Qcow2 *s, GError **error)
{
	static const char *const names[] = { "none", "constant", "cached", "all" };
	static const unsigned levels[] = { 0,
		OVERLAP_HEADER | OVERLAP_L1 | OVERLAP_REFTABLE | OVERLAP_SNAPSHOTS
			| OVERLAP_BITMAPS,
		0x1ff & ~OVERLAP_INACTIVE_L2, 0x1ff };
	const char *a = s->opt.overlap, *b = s->opt.overlap_template;
	if (a && b && strcmp(a, b))
		return fail(error, VIV_ERROR_INVALID,
			"Conflicting values for qcow2 options 'overlap-check' ('%s') and "
			"'overlap-check.template' ('%s')",
			a, b);
	a = a ? a : b ? b : "cached";
	unsigned i = 0;
	while (i < G_N_ELEMENTS(names) && strcmp(a, names[i]))
		i++;
	if (i == G_N_ELEMENTS(names))
		return fail(error, VIV_ERROR_INVALID,
			"Unsupported value '%s' for qcow2 option 'overlap-check'. Allowed are "
			"any of the following: none, constant, cached, all",
			a);
	s->overlap = levels[i];
	for (i = 0; i < G_N_ELEMENTS(s->opt.overlap_single); i++)
		if (s->opt.overlap_single[i])
			s->overlap = s->opt.overlap_single[i] == Q_ON ? s->overlap | 1u << i
								      : s->overlap & ~(1u << i);
	return true;
}

static bool set_options(Qcow2 *s, GError **error)
{
	bool on = s->opt.lazy_refcounts == Q_DEFAULT ? s->compatible & QCOW2_COMPAT_LAZY
						     : s->opt.lazy_refcounts == Q_ON;
	if (on && s->version < 3)
		return fail(error, VIV_ERROR_INVALID,
			"Lazy refcounts require a qcow2 image with at least qemu 1.1 "
			"compatibility level");
	s->lazy = on;
	s->discard[FREE_ALWAYS] = true;
	s->discard[FREE_REQUEST] = s->opt.discard_request == Q_DEFAULT
		? s->node->flags & NODE_UNMAP
		: s->opt.discard_request == Q_ON;
	s->discard[FREE_SNAPSHOT] = s->opt.discard_snapshot != Q_OFF;
	s->discard[FREE_OTHER] = s->opt.discard_other == Q_ON;
	const char *format = s->opt.encrypt_format;
	static const char *const methods[] = { NULL, "aes", "luks" };
	if (format && s->crypt_method == QCOW2_CRYPT_NONE)
		return fail(error, VIV_ERROR_INVALID,
			"No encryption in image header, but options specified format '%s'", format);
	if (format && strcmp(format, methods[s->crypt_method]))
		return fail(error, VIV_ERROR_INVALID,
			"Header reported '%s' encryption format but options specify '%s'",
			methods[s->crypt_method], format);
	return set_caches(s, error) && set_overlap(s, error);
}

/* ---- Tables and files ------------------------------------------------------------------------ */

int qcow2_read_l1(Qcow2 *s, uint64_t offset, uint32_t entries, uint64_t **out)
{
	uint64_t *l1 = g_try_new0(uint64_t, MAX(entries, 1));
	if (!l1)
		return -ENOMEM;
	int ret = node_pread(s->node->file, offset, l1, (size_t)entries * 8);
	if (ret < 0) {
		g_free(l1);
		return ret;
	}
	for (uint32_t i = 0; i < entries; i++)
		l1[i] = GUINT64_FROM_BE(l1[i]);
	*out = l1;
	return 0;
}

int qcow2_read_reftable(Qcow2 *s, uint64_t offset, uint64_t clusters)
{
	uint64_t *table;
	uint32_t entries = clusters << (s->cluster_bits - 3);
	int ret = qcow2_read_l1(s, offset, entries, &table);
	if (ret < 0)
		return ret;
	g_free(s->reftable);
	s->reftable = table;
	s->reftable_offset = offset;
	s->reftable_size = entries;
	return 0;
}

static Node *open_given_data(Qcow2 *s, unsigned flags, GError **error)
{
	json_t *given = s->opt.data_file;
	if (json_is_string(given)) {
		Node *node = node_find(json_string_value(given));
		if (!node)
			fail(error, VIV_ERROR_INVALID, "Cannot find device='' nor node-name='%s'",
				json_string_value(given));
		return node ? node_ref(node) : NULL;
	}
	json_t *opts = json_deep_copy(given);
	if (!json_object_get(opts, "driver"))
		json_object_set_new(opts, "driver", json_string("file"));
	return node_open(s->node->loop, NULL, opts, flags, error);
}

static bool open_data_file(Qcow2 *s, GError **error)
{
	Node *node = s->node;
	s->data = node->file;
	s->external = s->incompatible & QCOW2_INCOMPAT_DATA_FILE;
	if (!s->external)
		return !s->opt.data_file
			|| fail(error, VIV_ERROR_INVALID,
				"'data-file' can only be set for images with an external data "
				"file");
	unsigned flags = node->flags
		& (NODE_WRITE | NODE_DIRECT | NODE_NO_FLUSH | NODE_UNMAP | NODE_SHARE | NODE_NO_IO);
	Node *data = NULL;
	if (s->opt.data_file) {
		data = open_given_data(s, flags, error);
	} else if (!s->data_file_name || !*s->data_file_name) {
		return fail(error, VIV_ERROR_INVALID, "'data-file' is required for this image");
	} else {
		/* As QEMU has it: relative to where the program runs, not to the image. */
		data = node_open_file(s->data_file_name, flags, error);
	}
	if (data) {
		g_ptr_array_add(node->children, data);
		s->data = data;
		return true;
	}
	if (!(node->flags & NODE_NO_IO)) {
		g_prefix_error(error, "Could not open the data file: ");
		return false;
	}
	g_clear_error(error); /* for information the header is enough */
	return true;
}

static bool read_tables(Qcow2 *s, GError **error)
{
	int ret = qcow2_read_l1(s, s->l1_offset, s->l1_size, &s->l1);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the L1 table cannot be read: %s",
			g_strerror(-ret));
	ret = qcow2_read_reftable(s, s->reftable_offset, s->reftable_size >> (s->cluster_bits - 3));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the refcount table cannot be read: %s",
			g_strerror(-ret));
	s->virgin_end = q_ceil(s, s->node->file->length);
	s->freed = g_array_new(FALSE, FALSE, sizeof(Freed));
	qcow2_meta_rebuild(s);
	return true;
}

static void release(Qcow2 *s)
{
	qcow2_crypto_close(s);
	qcow2_bitmaps_free(s);
	qcow2_snapshots_free(s);
	qcow2_unpacked_free(s);
	qcow2_meta_free(s);
	cache_free(&s->l2);
	cache_free(&s->refblocks);
	if (s->freed)
		g_array_free(s->freed, TRUE);
	g_free(s->l1);
	g_free(s->reftable);
	qcow2_header_free(s);
}

/* A crash left the dirty bit: counts are made anew. */
static bool repair_dirty(Qcow2 *s, GError **error)
{
	if (!(s->incompatible & QCOW2_INCOMPAT_DIRTY) || s->node->read_only
		|| s->node->flags & NODE_CHECK)
		return true;
	CheckResult result = { 0 };
	int ret = qcow2_check(s->node, &result, FIX_ERRORS | FIX_LEAKS);
	if (ret >= 0 && result.check_errors)
		ret = -EIO;
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED,
			"the image was not closed cleanly and cannot be repaired: %s. "
			"Try `qemu-img check -r all`.",
			g_strerror(-ret));
	return true;
}

bool qcow2_open(Node *node, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	s->node = node;
	node->read_only = !(node->flags & NODE_WRITE) || node->file->read_only;
	if (!qcow2_header_read(s, error) || !open_data_file(s, error) || !set_options(s, error)
		|| !read_tables(s, error) || !qcow2_snapshots_read(s, error)
		|| !qcow2_bitmaps_read(s, error) || !qcow2_crypto_open(s, error))
		goto out;
	node->length = s->size & ~(uint64_t)(SECTOR - 1);
	node->align = s->crypt_method ? SECTOR : 1;
	if (repair_dirty(s, error))
		return true;
out:
	release(s);
	return false;
}

/* Leaves the image as if nobody had it open. */
static int finish(Qcow2 *s)
{
	if (!s->writing)
		return 0;
	qcow2_begin(s);
	int ret = s->corrupt ? -EIO : qcow2_bitmaps_settle(s);
	if (!s->corrupt) {
		int r = qcow2_write_all(s);
		ret = ret < 0 ? ret : r;
	}
	if (ret >= 0 && s->incompatible & QCOW2_INCOMPAT_DIRTY) {
		s->incompatible &= ~QCOW2_INCOMPAT_DIRTY;
		ret = qcow2_header_commit(s);
	}
	if (ret >= 0)
		ret = qcow2_sync(s);
	if (ret >= 0)
		s->writing = false;
	qcow2_end(s);
	return ret;
}

void qcow2_close(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	int ret = finish(s);
	if (ret < 0 && !s->corrupt)
		g_printerr("%s: the tables of the image could not be written: %s. Run `qemu-img "
			   "check` on it.\n",
			node->filename ? node->filename : "image", g_strerror(-ret));
	release(s);
}

bool qcow2_set_writable(Node *node, bool writable, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (!writable) {
		int ret = finish(s);
		if (ret < 0)
			return fail(error, VIV_ERROR_FAILED,
				"the tables of the image could not be written: %s",
				g_strerror(-ret));
		return !s->external || node_set_writable(s->data, false, error);
	}
	if (s->incompatible & QCOW2_INCOMPAT_CORRUPT && !(node->flags & NODE_CHECK))
		return fail(error, VIV_ERROR_FAILED,
			"the image is marked as corrupt; it can be opened read-only, "
			"or repaired with `qemu-img check -r all`");
	if (s->at_snapshot)
		return fail(error, VIV_ERROR_INVALID,
			"a snapshot of the image is shown, which cannot be written");
	return !s->external || node_set_writable(s->data, true, error);
}
