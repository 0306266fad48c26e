/*
 * create.c - new images. Options and their help are qemu-img's. Threads: fibers of a loop.
 */
#include <inttypes.h>

#include "block/crypto.h"
#include "block/qcow2/qcow2.h"

static const char *const prealloc_values[] = { "off", "metadata", "falloc", "full", NULL };
static const char *const compression_values[] = { "zlib", "zstd", NULL };

const BlockOption qcow2_create_options[] = {
	{ "backing_file", OPT_STRING, 0, NULL, "File name of a base image" },
	{ "backing_fmt", OPT_STRING, 0, NULL, "Image format of the base image" },
	{ "cluster_size", OPT_SIZE, 0, "65536", "qcow2 cluster size" },
	{ "compat", OPT_STRING, 0, NULL, "Compatibility level (v2 [0.10] or v3 [1.1])" },
	{ "compression_type", OPT_ENUM, 0, "zlib",
		"Compression method used for image cluster compression", compression_values },
	{ "data_file", OPT_STRING, 0, NULL, "File name of an external data file" },
	{ "data_file_raw", OPT_BOOL, 0, NULL, "The external data file must stay valid as a raw image" },
	CRYPTO_CIPHER_OPTIONS("encrypt."),
	{ "encrypt.format", OPT_STRING, 0, NULL, "Encrypt the image, format choices: 'aes', 'luks'" },
	CRYPTO_KEY_OPTIONS("encrypt."),
	{ "encrypt.key-secret", OPT_STRING, 0, NULL,
		"ID of secret providing qcow AES key or LUKS passphrase" },
	{ "encryption", OPT_BOOL, 0, NULL,
		"Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
	{ "extended_l2", OPT_BOOL, 0, "off", "Extended L2 tables" },
	{ "extent_size_hint", OPT_SIZE, 0, NULL, "Extent size hint for the image file, 0 to disable" },
	{ "lazy_refcounts", OPT_BOOL, 0, "off", "Postpone refcount updates" },
	{ "nocow", OPT_BOOL, 0, NULL, "Turn off copy-on-write (valid only on btrfs)" },
	{ "preallocation", OPT_ENUM, 0, NULL,
		"Preallocation mode (allowed values: off, metadata, falloc, full)", prealloc_values },
	{ "refcount_bits", OPT_INT, 0, "16", "Width of a reference count entry in bits" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ 0 }
};

/* ---- The plan -------------------------------------------------------------------------------- */

bool qcow2_parse_compat(const char *text, unsigned *version, GError **error)
{
	if (!text || !strcmp(text, "1.1") || !strcmp(text, "v3"))
		*version = 3;
	else if (!strcmp(text, "0.10") || !strcmp(text, "v2"))
		*version = 2;
	else
		return fail(error, VIV_ERROR_INVALID,
			"Invalid compatibility level '%s': 0.10 (v2) and 1.1 (v3) are known", text);
	return true;
}

bool qcow2_parse_refcount_bits(uint64_t bits, unsigned *order, GError **error)
{
	if (!bits || bits > 64 || bits & (bits - 1))
		return fail(error, VIV_ERROR_INVALID,
			"Refcount width must be a power of two and may not exceed 64 bits");
	*order = g_bit_nth_msf(bits, -1);
	return true;
}

static bool check_plan(const Qcow2Plan *p, GError **error)
{
	if (p->version < 3 && p->lazy)
		return fail(error, VIV_ERROR_INVALID,
			"Lazy refcounts only supported with compatibility level 1.1 and above "
			"(use version=v3 or greater)");
	if (p->version < 3 && p->refcount_order != 4)
		return fail(error, VIV_ERROR_INVALID,
			"Different refcount widths than 16 bits require compatibility level 1.1 "
			"or above (use version=v3 or greater)");
	if (p->version < 3 && p->compression != QCOW2_COMPRESS_ZLIB)
		return fail(error, VIV_ERROR_INVALID,
			"Non-zlib compression type is only supported with compatibility level 1.1 "
			"and above (use version=v3 or greater)");
	if (p->version < 3 && p->extended_l2)
		return fail(error, VIV_ERROR_INVALID,
			"Extended L2 entries are only supported with compatibility level 1.1 "
			"and above (use version=v3 or greater)");
	if (p->version < 3 && p->data_file)
		return fail(error, VIV_ERROR_INVALID,
			"External data files are only supported with compatibility level 1.1 "
			"and above (use version=v3 or greater)");
	if (p->extended_l2 && p->cluster_bits < 14)
		return fail(error, VIV_ERROR_INVALID,
			"Extended L2 entries are only supported with cluster sizes of at least "
			"16384 bytes");
	if (p->encrypt_format && strcmp(p->encrypt_format, "aes") && strcmp(p->encrypt_format, "luks"))
		return fail(error, VIV_ERROR_INVALID,
			"Unknown encryption format '%s': luks and aes are known", p->encrypt_format);
	if (p->data_raw && !p->data_file)
		return fail(error, VIV_ERROR_INVALID, "data-file-raw requires data-file");
	if (p->data_raw && p->backing_file)
		return fail(error, VIV_ERROR_INVALID,
			"Backing file and data-file-raw cannot be used at the same time");
	if (p->backing_format && !p->backing_file)
		return fail(error, VIV_ERROR_INVALID,
			"Backing format cannot be used without backing file");
	if (p->backing_file && p->prealloc != PREALLOC_OFF && !p->extended_l2)
		return fail(error, VIV_ERROR_INVALID,
			"Backing file and preallocation can only be used at the same time if "
			"extended_l2 is enabled");
	if (p->backing_file && strlen(p->backing_file) > Q_MAX_BACKING_NAME)
		return fail(error, VIV_ERROR_INVALID,
			"Backing file name too long; %d bytes are the most", Q_MAX_BACKING_NAME);
	if (p->backing_format && strlen(p->backing_format) > 31)
		return fail(error, VIV_ERROR_INVALID,
			"Backing format name too long; 31 bytes are the most");
	unsigned reach = p->cluster_bits + p->cluster_bits - (p->extended_l2 ? 4 : 3);
	if (p->size > (uint64_t)NODE_LENGTH_MAX
		|| (reach < 63 && p->size >> reach >= Q_MAX_L1_BYTES / 8))
		return fail(error, VIV_ERROR_INVALID,
			"The image size is too large for file format 'qcow2' "
			"(try using a larger cluster size)");
	return true;
}

bool qcow2_plan(json_t *opts, Qcow2Plan *p, GError **error)
{
	uint64_t cluster = opt_size(opts, "cluster_size", 65536);
	const char *type = opt_text(opts, "compression_type"),
		   *prealloc = opt_text(opts, "preallocation");
	memset(p, 0, sizeof(*p));
	if (cluster < 1u << Q_MIN_CLUSTER_BITS || cluster > 1u << Q_MAX_CLUSTER_BITS
		|| cluster & (cluster - 1))
		return fail(error, VIV_ERROR_INVALID,
			"Cluster size must be a power of two between 512 and 2048k");
	p->cluster_bits = g_bit_nth_msf(cluster, -1);
	if (!qcow2_parse_compat(opt_text(opts, "compat"), &p->version, error)
		|| !qcow2_parse_refcount_bits(
			opt_size(opts, "refcount_bits", 16), &p->refcount_order, error))
		return false;
	p->size = (opt_size(opts, "size", 0) + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	p->compression = type && !strcmp(type, "zstd") ? QCOW2_COMPRESS_ZSTD : QCOW2_COMPRESS_ZLIB;
	p->lazy = opt_bool(opts, "lazy_refcounts", false);
	p->extended_l2 = opt_bool(opts, "extended_l2", false);
	p->data_file = opt_text(opts, "data_file");
	p->data_raw = opt_bool(opts, "data_file_raw", false);
	p->backing_file = opt_text(opts, "backing_file");
	p->backing_format = opt_text(opts, "backing_fmt");
	while (prealloc && prealloc_values[p->prealloc]
		&& strcmp(prealloc, prealloc_values[p->prealloc]))
		p->prealloc++;
	if (p->data_raw && p->prealloc == PREALLOC_OFF)
		p->prealloc =
			/* so that both files name the same clusters from the start */
			PREALLOC_METADATA;
	p->encrypt_format = opt_text(opts, "encrypt.format");
	p->encrypt_secret = opt_text(opts, "encrypt.key-secret");
	if (opt_bool(opts, "encryption", false) && !p->encrypt_format)
		p->encrypt_format = "aes";
	return check_plan(p, error);
}

/* ---- Writing the first clusters -------------------------------------------------------------- */

enum { FIRST_CLUSTERS = 3 }; /* header, refcount table, refcount block */

/* An image of size 0 in `buf`, which has room for FIRST_CLUSTERS. */
static bool build_first(const Qcow2Plan *p, uint8_t *buf, GError **error)
{
	Node node = { .backing_file = (char *)p->backing_file,
		.backing_format = (char *)p->backing_format };
	Qcow2 s = { .node = &node,
		.version = p->version,
		.cluster_bits = p->cluster_bits,
		.refcount_order = p->refcount_order,
		.compression = p->compression,
		.external = p->data_file,
		.data_file_name = (char *)p->data_file };
	s.incompatible = (p->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0)
		| (p->extended_l2 ? QCOW2_INCOMPAT_EXTENDED_L2 : 0)
		| (p->compression ? QCOW2_INCOMPAT_COMPRESSION : 0);
	s.compatible = p->lazy ? QCOW2_COMPAT_LAZY : 0;
	s.autoclear = p->data_raw ? QCOW2_AUTOCLEAR_RAW : 0;
	s.extensions = g_array_new(FALSE, FALSE, sizeof(Extension));
	qcow2_derive(&s);
	s.reftable_offset = s.cluster_size;
	s.reftable_size = s.cluster_size / 8;
	int used = qcow2_header_build(&s, buf);
	g_array_free(s.extensions, TRUE);
	if (used < 0)
		return fail(error, VIV_ERROR_INVALID,
			"the names of the backing file and its format do not fit a header of "
			"%u bytes; larger clusters (cluster_size=) have more room",
			s.cluster_size);
	put_be64(buf + s.cluster_size, 2 * s.cluster_size);
	for (unsigned i = 0; i < FIRST_CLUSTERS; i++)
		refcount_put(buf + 2 * s.cluster_size, p->refcount_order, i, 1);
	return true;
}

static bool write_first(const char *filename, const Qcow2Plan *p, GError **error)
{
	size_t len = (size_t)FIRST_CLUSTERS << p->cluster_bits;
	g_autofree uint8_t *buf = g_malloc0(len);
	if (!build_first(p, buf, error))
		return false;
	Node *file = node_open_file(filename, NODE_WRITE | NODE_EXCLUSIVE, error);
	if (!file)
		return false;
	int ret = node_pwrite(file, 0, buf, len);
	node_unref(file);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "Could not write '%s': %s", filename,
			g_strerror(-ret));
}

static bool create_files(const char *filename, const Qcow2Plan *p, json_t *opts, GError **error)
{
	json_t *below = json_pack("{s:i}", "size", 0);
	if (opt_has(opts, "nocow"))
		json_object_set(below, "nocow", json_object_get(opts, "nocow"));
	if (opt_has(opts, "extent_size_hint"))
		json_object_set(
			below, "extent_size_hint", json_object_get(opts, "extent_size_hint"));
	bool ok = protocol_create(filename, below, error);
	json_decref(below);
	if (ok && p->data_file) {
		ok = node_create_file(p->data_file, 0, error);
	}
	return ok;
}

bool qcow2_create(const char *filename, json_t *opts, GError **error)
{
	Qcow2Plan plan;
	if (!qcow2_plan(opts, &plan, error))
		return false;
	if (!create_files(filename, &plan, opts, error) || !write_first(filename, &plan, error))
		return false;
	json_t *words = json_pack("{s:s, s:s}", "driver", "qcow2", "lazy-refcounts", "off");
	/* The backing file is not needed, and may not exist. */
	Node *node = node_open(loop_self(), filename, words, NODE_WRITE | NODE_NO_BACKING, error);
	if (!node)
		return false;
	Qcow2 *s = NODE_STATE(node, Qcow2);
	bool ok = !plan.encrypt_format
		|| qcow2_crypto_create(s, plan.encrypt_format, opts, error);
	ok = ok && (!plan.size || node_truncate(node, plan.size, false, plan.prealloc, error));
	node_unref(node);
	return ok;
}
