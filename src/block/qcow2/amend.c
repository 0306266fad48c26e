/*
 * amend.c - changes to an image that exists: version, width of counts, names, size.
 *
 * Options are those of `qemu-img amend`. Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/crypto.h"
#include "block/qcow2/qcow2.h"

const BlockOption qcow2_amend_options[] = {
	{ "backing_file", OPT_STRING, 0, NULL, "File name of a base image" },
	{ "backing_fmt", OPT_STRING, 0, NULL, "Image format of the base image" },
	{ "compat", OPT_STRING, 0, NULL, "Compatibility level (v2 [0.10] or v3 [1.1])" },
	{ "data_file", OPT_STRING, 0, NULL, "File name of an external data file" },
	{ "data_file_raw", OPT_BOOL, 0, NULL, "The external data file must stay valid as a raw image" },
	CRYPTO_AMEND_OPTIONS("encrypt."),
	{ "lazy_refcounts", OPT_BOOL, 0, NULL, "Postpone refcount updates" },
	{ "refcount_bits", OPT_INT, 0, NULL, "Width of a reference count entry in bits" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ 0 }
};

/* Writes the header, alone with the image; on failure says what could not be done. */
static bool commit(Qcow2 *s, const char *what, GError **error)
{
	qcow2_begin(s);
	int ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = qcow2_header_commit(s);
	qcow2_end(s);
	return ret >= 0
		|| fail(error, ret == -EFBIG ? VIV_ERROR_INVALID : VIV_ERROR_FAILED, "%s: %s", what,
			ret == -EFBIG ? "the names do not fit the header's cluster"
				      : g_strerror(-ret));
}

bool qcow2_set_backing(Node *node, const char *file, const char *format, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (file && q_raw_data(s))
		return fail(error, VIV_ERROR_INVALID,
			"Cannot set a backing file for an image with data-file-raw");
	if (file && strlen(file) > Q_MAX_BACKING_NAME)
		return fail(error, VIV_ERROR_INVALID,
			"Backing file name too long; %d bytes are the most", Q_MAX_BACKING_NAME);
	if (format && strlen(format) > 31)
		return fail(error, VIV_ERROR_INVALID,
			"Backing format name too long; 31 bytes are the most");
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the image cannot be written: %s",
			g_strerror(-ret));
	char *old_file = node->backing_file, *old_format = node->backing_format;
	node->backing_file = file && *file ? g_strdup(file) : NULL;
	node->backing_format = node->backing_file ? g_strdup(format) : NULL;
	bool ok = commit(s, "the name of the backing file could not be written", error);
	if (!ok) {
		g_free(node->backing_file);
		g_free(node->backing_format);
		node->backing_file = old_file;
		node->backing_format = old_format;
		return false;
	}
	g_free(old_file);
	g_free(old_format);
	return true;
}

/* ---- Down to version 2 ----------------------------------------------------------------------- */

static bool snapshots_fit_v2(Qcow2 *s, GError **error)
{
	for (uint32_t i = 0; i < s->nb_snapshots; i++) {
		const Snapshot *sn = &s->snapshots[i];
		uint64_t *l1;
		if (sn->disk_size != s->size || sn->vm_state_size > UINT32_MAX)
			return fail(error, VIV_ERROR_INVALID,
				"Internal snapshots prevent downgrade of image: snapshot '%s' has "
				"another disk size, or too large a VM state",
				sn->name);
		if (qcow2_read_l1(s, sn->l1_offset, sn->l1_size, &l1) < 0)
			return fail(error, VIV_ERROR_FAILED,
				"the L1 table of snapshot '%s' cannot be read", sn->name);
		bool zero = false;
		uint8_t *l2 = g_malloc(s->cluster_size);
		for (uint32_t k = 0; k < sn->l1_size && !zero; k++) {
			if (!(l1[k] & QCOW2_L1_OFFSET))
				continue;
			if (node_pread(s->node->file, l1[k] & QCOW2_L1_OFFSET, l2, s->cluster_size)
				< 0)
				zero = true;
			for (uint32_t j = 0; j < s->cluster_size / 8 && !zero; j++) {
				uint64_t e = be64_at(l2 + j * 8);
				zero = !(e & QCOW2_COMPRESSED) && e & QCOW2_ZERO;
			}
		}
		g_free(l2);
		g_free(l1);
		if (zero)
			return fail(error, VIV_ERROR_INVALID,
				"Internal snapshots prevent downgrade of image: snapshot '%s' has "
				"zero clusters, which version 2 does not know",
				sn->name);
	}
	return true;
}

/* Zero clusters become none (nothing shows through) or clusters of zeroes. */
static int expand_zeroes(Qcow2 *s, ProgressFn *progress, void *opaque)
{
	uint8_t *zeroes = g_malloc0(s->cluster_size);
	int ret = 0;
	for (uint64_t at = 0; at < s->size && ret >= 0;) {
		Extent x;
		ret = qcow2_lookup(s, at, s->size - at, &x);
		if (ret < 0)
			break;
		bool zero = x.type == EXTENT_ZERO || x.type == EXTENT_ZERO_HOST;
		if (zero && !s->node->backing_file) {
			qcow2_lock(s);
			ret = qcow2_discard_clusters(s, at, q_ceil(s, x.bytes), true, FREE_OTHER);
			qcow2_unlock(s);
		}
		for (uint64_t k = 0; zero && s->node->backing_file && k < x.bytes && ret >= 0;
			k += s->cluster_size) {
			struct iovec v = { zeroes, MIN(s->cluster_size, x.bytes - k) };
			ret = qcow2_write_inside(s, at + k, iov_one(&v), 0);
		}
		at += x.bytes;
		if (progress)
			progress(opaque, at, s->size);
	}
	g_free(zeroes);
	return ret;
}

static bool downgrade(Qcow2 *s, ProgressFn *progress, void *opaque, GError **error)
{
	if (s->refcount_order != 4)
		return fail(error, VIV_ERROR_INVALID, "compat=0.10 requires refcount_bits=16");
	if (s->external)
		return fail(error, VIV_ERROR_INVALID, "Cannot downgrade an image with a data file");
	if (s->compression != QCOW2_COMPRESS_ZLIB)
		return fail(error, VIV_ERROR_INVALID,
			"Cannot downgrade an image with zstd compression type");
	if (s->subclusters > 1)
		return fail(error, VIV_ERROR_INVALID,
			"Cannot downgrade an image with extended L2 entries");
	if (s->nb_bitmaps)
		return fail(error, VIV_ERROR_INVALID,
			"Cannot downgrade an image with bitmaps. Remove them first");
	if (!snapshots_fit_v2(s, error))
		return false;
	fiber_wrlock(&s->gate);
	int ret = expand_zeroes(s, progress, opaque);
	qcow2_lock(s);
	if (ret >= 0)
		ret = qcow2_write_all(s);
	uint64_t old[3] = { s->incompatible, s->compatible, s->autoclear };
	bool lazy = s->lazy;
	if (ret >= 0) {
		s->version = 2;
		s->lazy = false;
		s->incompatible = s->compatible = s->autoclear = 0;
		ret = qcow2_header_commit(s);
	}
	if (ret < 0) {
		s->version = 3;
		s->lazy = lazy;
		s->incompatible = old[0];
		s->compatible = old[1];
		s->autoclear = old[2];
	}
	qcow2_unlock(s);
	fiber_wrunlock(&s->gate);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED,
			"the image could not be changed to compat=0.10: %s", g_strerror(-ret));
}

/* ---- Width of counts ------------------------------------------------------------------------- */

static int change_width(Qcow2 *s, unsigned order)
{
	uint64_t old_offset = s->reftable_offset;
	uint32_t old_size = s->reftable_size;
	uint64_t *old = g_memdup2(s->reftable, (size_t)old_size * 8), clusters;
	unsigned old_order = s->refcount_order;
	void *counts = NULL;
	int ret = refcount_last(s, &clusters);
	if (ret >= 0)
		counts = g_try_malloc0(((clusters << old_order) + 7) / 8 + 8);
	if (ret >= 0 && !counts)
		ret = -ENOMEM;
	for (uint64_t k = 0; k < clusters && ret >= 0; k++) {
		uint64_t n;
		ret = refcount_get(s, k, &n);
		if (ret >= 0)
			refcount_put(counts, old_order, k, n);
	}
	if (ret >= 0)
		ret = qcow2_rebuild_counts(s, counts, clusters, old_order, order);
	/* The old structures are counted still. */
	for (uint32_t i = 0; i < old_size && ret >= 0; i++)
		if (old[i] & QCOW2_REFTABLE_OFFSET)
			refcount_release(
				s, old[i] & QCOW2_REFTABLE_OFFSET, s->cluster_size, FREE_OTHER);
	if (ret >= 0)
		refcount_release(s, old_offset, (uint64_t)old_size * 8, FREE_OTHER);
	g_free(counts);
	g_free(old);
	return ret;
}

static bool set_width(Qcow2 *s, unsigned order, GError **error)
{
	if (s->version < 3 && order != 4)
		return fail(error, VIV_ERROR_INVALID, "refcount_bits=%u requires compat=1.1 (v3)",
			1u << order);
	if (order == s->refcount_order)
		return true;
	qcow2_begin(s);
	int ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = change_width(s, order);
	if (ret >= 0)
		ret = qcow2_write_all(s);
	qcow2_end(s);
	if (ret == -EOVERFLOW)
		return fail(error, VIV_ERROR_INVALID,
			"Cannot decrease refcount entry width to %u bits: "
			"a cluster has a larger refcount",
			1u << order);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the refcounts could not be rewritten: %s",
			g_strerror(-ret));
}

/* ---- The rest -------------------------------------------------------------------------------- */

static bool set_lazy(Qcow2 *s, bool on, GError **error)
{
	if (on && s->version < 3)
		return fail(error, VIV_ERROR_INVALID,
			"Lazy refcounts only supported with compatibility level 1.1 and above "
			"(use compat=1.1 or greater)");
	uint64_t old = s->compatible;
	s->compatible = on ? old | QCOW2_COMPAT_LAZY : old & ~QCOW2_COMPAT_LAZY;
	if (s->compatible == old)
		return true;
	if (!on) {
		qcow2_begin(s);
		int ret = qcow2_write_all(s);
		s->lazy = ret < 0;
		if (ret >= 0)
			s->incompatible &= ~QCOW2_INCOMPAT_DIRTY;
		qcow2_end(s);
	}
	return commit(s, "lazy_refcounts could not be changed", error);
}

static bool set_data_file(Qcow2 *s, json_t *opts, GError **error)
{
	const char *name = opt_text(opts, "data_file");
	bool raw = opt_bool(opts, "data_file_raw", q_raw_data(s));
	if (name && !s->external)
		return fail(error, VIV_ERROR_INVALID,
			"data-file can only be set for images that use an external data file");
	if (raw && !q_raw_data(s))
		return fail(
			error, VIV_ERROR_INVALID, "data-file-raw cannot be set on existing images");
	if (!raw)
		s->autoclear &= ~QCOW2_AUTOCLEAR_RAW;
	if (name) {
		g_free(s->data_file_name);
		s->data_file_name = *name ? g_strdup(name) : NULL;
	}
	return commit(s, "the name of the data file could not be written", error);
}

static bool has_crypto_options(json_t *opts)
{
	const char *key;
	json_t *value;
	json_object_foreach(opts, key, value)
		if (g_str_has_prefix(key, "encrypt."))
			return true;
	return false;
}

static bool check_amend(Qcow2 *s, json_t *opts, unsigned *version, unsigned *order, GError **error)
{
	*version = s->version;
	*order = s->refcount_order;
	if (opt_has(opts, "compat")
		&& !qcow2_parse_compat(opt_text(opts, "compat"), version, error))
		return false;
	if (opt_has(opts, "refcount_bits")
		&& !qcow2_parse_refcount_bits(opt_size(opts, "refcount_bits", 16), order, error))
		return false;
	if (has_crypto_options(opts) && s->crypt_method != QCOW2_CRYPT_LUKS)
		return fail(error, VIV_ERROR_INVALID,
			"Only LUKS encryption options can be amended for qcow2, "
			"and the image is not encrypted with it");
	return true;
}

bool qcow2_amend(
	Node *node, json_t *opts, bool force, ProgressFn *progress, void *opaque, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	unsigned version, order;
	if (!check_amend(s, opts, &version, &order, error))
		return false;
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the image cannot be written: %s",
			g_strerror(-ret));
	if (version > s->version) {
		s->version = version;
		if (!commit(s, "the image could not be changed to compat=1.1", error)) {
			s->version = 2;
			return false;
		}
	}
	if (!set_width(s, order, error))
		return false;
	if (has_crypto_options(opts) && !qcow2_crypto_amend(s, opts, force, error))
		return false;
	if ((opt_has(opts, "data_file") || opt_has(opts, "data_file_raw"))
		&& !set_data_file(s, opts, error))
		return false;
	if (opt_has(opts, "backing_file") || opt_has(opts, "backing_fmt")) {
		g_autofree char *file = g_strdup(opt_has(opts, "backing_file")
				? opt_text(opts, "backing_file")
				: node->backing_file);
		g_autofree char *fmt = g_strdup(opt_has(opts, "backing_fmt")
				? opt_text(opts, "backing_fmt")
				: node->backing_format);
		if (!qcow2_set_backing(node, file, fmt, error))
			return false;
	}
	if (opt_has(opts, "lazy_refcounts")
		&& !set_lazy(s, opt_bool(opts, "lazy_refcounts", false), error))
		return false;
	if (opt_has(opts, "size")
		&& !node_truncate(
			node, opt_size(opts, "size", s->size), false, PREALLOC_OFF, error))
		return false;
	return version >= s->version || downgrade(s, progress, opaque, error);
}
