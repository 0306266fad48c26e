/*
 * qcow.c - the first version of qcow: read, written, created; backing files, compressed
 * clusters, AES.
 *
 * Source: the section "QCOW version 1" that Mark McLoughlin's "The QCOW Image Format" describes:
 * a header of 48 bytes, a first table of 64-bit places of second tables, whose entries name
 * clusters; all numbers big-endian. Clusters are added at the file's end and never given back.
 * Left out: nothing but a check, which the format has no counts for. Threads: see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "block/blockmap.h"
#include "block/crypto.h"
#include "block/drivers.h"

enum {
	Q_VERSION = 4, Q_BACKING = 8, Q_BACKING_LEN = 16, Q_SIZE = 24,
	Q_CLUSTER_BITS = 32, Q_L2_BITS = 33, Q_CRYPT = 36, Q_L1 = 40, HEADER = 48,
	NAME_MAX_LEN = 1023, CRYPT_AES = 1, WINDOW_BITS = 12,
	L1_MAX = 1 << 25 /* entries: 256 MiB */
};
#define PACKED (1ull << 63)
static const uint8_t magic[8] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 1 };

typedef struct Qcow {
	BlockMap map;
	char *encrypt_format, *encrypt_secret; /* options */
	unsigned cluster_bits, l2_bits;
	uint64_t l1_at, l1_entries;
	uint8_t *l1; /* as in the file */
	TableCache tables;
	BlockCrypto *crypto;
} Qcow;

static const BlockOption options[] = {
	{ "encrypt.format", OPT_STRING, offsetof(Qcow, encrypt_format), NULL,
		"Encrypt the image, format choices: 'aes'" },
	{ "encrypt.key-secret", OPT_STRING, offsetof(Qcow, encrypt_secret), NULL,
		"ID of the secret that provides the AES encryption key" },
	{ 0 }
};
static const BlockOption create_options[] = {
	{ "backing_file", OPT_STRING, 0, NULL, "File name of a base image" },
	{ "backing_fmt", OPT_STRING, 0, NULL, "Format of the backing image" },
	{ "encrypt.format", OPT_STRING, 0, NULL, "Encrypt the image, format choices: 'aes'" },
	{ "encrypt.key-secret", OPT_STRING, 0, NULL,
		"ID of the secret that provides the AES encryption key" },
	{ "encryption", OPT_BOOL, 0, NULL,
		"Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ 0 }
};

static uint64_t cluster_of(const Qcow *s)
{
	return 1ull << s->cluster_bits;
}

static size_t l2_bytes(const Qcow *s)
{
	return (size_t)8 << s->l2_bits;
}

/* ---- Tables ---------------------------------------- */

static uint64_t l1_index(const Qcow *s, uint64_t offset)
{
	return offset >> (s->cluster_bits + s->l2_bits);
}

static size_t l2_index(const Qcow *s, uint64_t offset)
{
	return (offset >> s->cluster_bits) & ((1u << s->l2_bits) - 1);
}

static uint64_t l2_at(const Qcow *s, uint64_t offset)
{
	return be64(s->l1 + 8 * l1_index(s, offset));
}

static uint64_t packed_host(const Qcow *s, uint64_t entry)
{
	return entry & ((1ull << (63 - s->cluster_bits)) - 1);
}

static int qcow_find(Node *node, uint64_t offset, Place *out)
{
	Qcow *s = node->state;
	const uint8_t *table = NULL;
	out->start = offset & ~(cluster_of(s) - 1);
	out->bytes = cluster_of(s);
	if (l1_index(s, offset) >= s->l1_entries)
		return -EIO;
	uint64_t at = l2_at(s, offset);
	int ret = at ? tables_get(&s->tables, node->file, at, l2_bytes(s), &table) : 0;
	if (ret < 0)
		return ret;
	uint64_t entry = table ? be64(table + 8 * l2_index(s, offset)) : 0;
	out->kind = entry & PACKED ? PLACE_PACKED : entry ? PLACE_DATA : PLACE_NONE;
	out->host = entry & PACKED ? packed_host(s, entry) : entry;
	out->aux2 = entry;
	return 0;
}

static uint64_t file_end(Node *node)
{
	uint64_t unit = cluster_of(node->state);
	return (node->file->length + unit - 1) & ~(unit - 1);
}

/* The second table for `offset` exists. Lock held. */
static int need_l2(Node *node, uint64_t offset)
{
	Qcow *s = node->state;
	uint64_t at = file_end(node), index = l1_index(s, offset);
	uint8_t entry[8];
	if (l2_at(s, offset))
		return 0;
	if (at >= PACKED - l2_bytes(s))
		return -EFBIG;
	g_autofree uint8_t *zeroes = g_malloc0(l2_bytes(s));
	int ret = node_pwrite(node->file, at, zeroes, l2_bytes(s));
	set_be64(entry, at);
	if (ret >= 0)
		ret = node_pwrite(node->file, s->l1_at + 8 * index, entry, 8);
	if (ret >= 0)
		memcpy(s->l1 + 8 * index, entry, 8);
	return ret;
}

static int set_entry(Node *node, uint64_t offset, uint64_t value)
{
	Qcow *s = node->state;
	uint8_t entry[8];
	set_be64(entry, value);
	return tables_put(&s->tables, node->file, l2_at(s, offset), 8 * l2_index(s, offset), entry, 8);
}

static int qcow_place(Node *node, Place *p)
{
	int ret = need_l2(node, p->start);
	p->host = file_end(node);
	p->file = node->file;
	return ret >= 0 && p->host >= PACKED - p->bytes ? -EFBIG : ret;
}

static int qcow_enter(Node *node, Place *p)
{
	return set_entry(node, p->start, p->host);
}

/* ---- Compressed clusters ---------------------------------------- */

static int inflate_cluster(uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	z_stream z = { .next_in = in, .avail_in = (uInt)in_len, .next_out = out,
		.avail_out = (uInt)out_len };
	if (inflateInit2(&z, -WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	int how = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (how == Z_STREAM_END || how == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int qcow_unpack(Node *node, const Place *p, uint8_t *buf)
{
	Qcow *s = node->state;
	size_t len = (p->aux2 >> (63 - s->cluster_bits)) & (cluster_of(s) - 1);
	g_autofree uint8_t *packed = g_malloc(MAX(len, 1));
	int ret = node_pread(node->file, p->host, packed, len);
	return ret < 0 ? ret : inflate_cluster(packed, len, buf, p->bytes);
}

/* Bytes written to `out`, or 0: it does not get smaller. */
static size_t deflate_cluster(uint8_t *in, size_t len, uint8_t *out)
{
	z_stream z = { .next_in = in, .avail_in = (uInt)len, .next_out = out,
		.avail_out = (uInt)len - 1 };
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, 9,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	int how = deflate(&z, Z_FINISH);
	size_t done = how == Z_STREAM_END ? len - 1 - z.avail_out : 0;
	deflateEnd(&z);
	return done;
}

static int put_packed(Node *node, uint64_t offset, const uint8_t *packed, size_t len)
{
	Qcow *s = node->state;
	fiber_lock(&s->map.lock);
	int ret = need_l2(node, offset);
	uint64_t at = node->file->length;
	if (ret >= 0 && at >> (63 - s->cluster_bits))
		ret = -EFBIG;
	if (ret >= 0)
		ret = node_pwrite(node->file, at, packed, len);
	if (ret >= 0)
		ret = set_entry(node, offset, PACKED | (uint64_t)len << (63 - s->cluster_bits) | at);
	fiber_unlock(&s->map.lock);
	return ret;
}

static int qcow_write_compressed(Node *node, uint64_t offset, Iov iov)
{
	uint64_t unit = cluster_of(node->state);
	g_autofree uint8_t *whole = g_malloc(unit), *packed = g_malloc(unit);
	int ret = 0;
	if (offset % unit)
		return -EINVAL;
	for (size_t done = 0, len; done < iov.len && ret >= 0; done += unit) {
		size_t here = MIN(iov.len - done, unit);
		if (here < unit && offset + done + here != node->length)
			return -EINVAL;
		memset(whole, 0, unit);
		iov_copy_out(iov, done, whole, here);
		len = deflate_cluster(whole, unit, packed);
		ret = len ? put_packed(node, offset + done, packed, len)
			: blockmap_write(node, offset + done, iov_part(iov, done, here), 0);
	}
	return ret;
}

/* ---- Encryption ---------------------------------------- */

static int qcow_decode(Node *node, uint64_t offset, Iov iov)
{
	Qcow *s = node->state;
	return s->crypto ? crypto_decrypt(s->crypto, offset, iov) : -ENOKEY;
}

static int qcow_encode(Node *node, uint64_t offset, Iov iov)
{
	Qcow *s = node->state;
	return s->crypto ? crypto_encrypt(s->crypto, offset, iov) : -ENOKEY;
}

static const BlockMapOps plain_ops = {
	.find = qcow_find, .place = qcow_place, .enter = qcow_enter, .unpack = qcow_unpack,
	.repack = true,
};
static const BlockMapOps aes_ops = {
	.find = qcow_find, .place = qcow_place, .enter = qcow_enter, .unpack = qcow_unpack,
	.decode = qcow_decode, .encode = qcow_encode, .repack = true,
};

static bool open_crypto(Node *node, uint32_t method, GError **error)
{
	Qcow *s = node->state;
	s->map.ops = method == CRYPT_AES ? &aes_ops : &plain_ops;
	if (s->encrypt_format && (method != CRYPT_AES || strcmp(s->encrypt_format, "aes")))
		return fail(error, VIV_ERROR_INVALID, "Header reported '%s' encryption format but options "
			"specify '%s'", method == CRYPT_AES ? "aes" : "no", s->encrypt_format);
	if (method != CRYPT_AES)
		return true;
	s->crypto = crypto_open("aes", s->encrypt_secret, NULL, node->flags & NODE_NO_IO, error);
	return s->crypto != NULL;
}

/* ---- Opening ---------------------------------------- */

static int qcow_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= HEADER && !memcmp(head, magic, 8) ? 100 : 0;
}

static bool check_header(Node *node, const uint8_t *h, GError **error)
{
	Qcow *s = node->state;
	uint64_t size = be64(h + Q_SIZE);
	if (memcmp(h, magic, 4))
		return fail(error, VIV_ERROR_INVALID, "Image not in qcow format");
	if (memcmp(h, magic, 8))
		return fail(error, VIV_ERROR_UNSUPPORTED, "qcow (v%" PRIu32
			") does not support qcow version %" PRIu32, 1u, be32(h + Q_VERSION));
	if (size <= 1)
		return fail(error, VIV_ERROR_INVALID, "Image size is too small (must be at least 2 bytes)");
	if (s->cluster_bits < 9 || s->cluster_bits > 16)
		return fail(error, VIV_ERROR_INVALID, "Cluster size must be between 512 and 64k");
	if (s->l2_bits < 6 || s->l2_bits > 13)
		return fail(error, VIV_ERROR_INVALID, "L2 table size must be between 512 and 64k");
	if (be32(h + Q_CRYPT) > CRYPT_AES)
		return fail(error, VIV_ERROR_INVALID, "invalid encryption method in qcow header");
	unsigned shift = s->cluster_bits + s->l2_bits;
	s->l1_entries = (size >> shift) + (size & ((1ull << shift) - 1) ? 1 : 0);
	if (s->l1_entries > L1_MAX || size > (uint64_t)NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_INVALID, "Image too large");
	s->l1_at = be64(h + Q_L1);
	if (s->l1_at > node->file->length || 8 * s->l1_entries > node->file->length - s->l1_at)
		return fail(error, VIV_ERROR_INVALID, "the qcow image's L1 table lies past its end");
	node->length = size & ~(uint64_t)(SECTOR - 1);
	node->align = SECTOR;
	return true;
}

static bool read_backing_name(Node *node, const uint8_t *h, GError **error)
{
	uint32_t len = be32(h + Q_BACKING_LEN);
	if (!be64(h + Q_BACKING))
		return true;
	if (len > NAME_MAX_LEN)
		return fail(error, VIV_ERROR_INVALID, "Backing file name too long");
	char name[NAME_MAX_LEN + 1] = "";
	int ret = be64(h + Q_BACKING) > (uint64_t)NODE_LENGTH_MAX ? -EIO
		: node_pread(node->file, be64(h + Q_BACKING), name, len);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read the backing file's name: %s",
			g_strerror(-ret));
	node->backing_file = *name ? g_strdup(name) : NULL;
	return true;
}

static void release(Qcow *s)
{
	crypto_free(s->crypto);
	blockmap_forget(&s->map);
	tables_free(&s->tables);
	g_free(s->l1);
}

static bool qcow_open(Node *node, GError **error)
{
	Qcow *s = node->state;
	uint8_t h[HEADER];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read qcow header: %s", g_strerror(-ret));
	s->cluster_bits = h[Q_CLUSTER_BITS];
	s->l2_bits = h[Q_L2_BITS];
	if (!check_header(node, h, error))
		return false;
	s->l1 = g_try_malloc(8 * s->l1_entries);
	ret = s->l1 ? node_pread(node->file, s->l1_at, s->l1, 8 * s->l1_entries) : -ENOMEM;
	if (ret < 0)
		fail(error, VIV_ERROR_FAILED, "Could not read L1 table: %s", g_strerror(-ret));
	if (ret >= 0 && read_backing_name(node, h, error) && open_crypto(node, be32(h + Q_CRYPT), error))
		return true;
	g_clear_pointer(&node->backing_file, g_free);
	release(s);
	return false;
}

static void qcow_close(Node *node)
{
	release(node->state);
}

/* The table of tables is all that says what there is. */
static int qcow_make_empty(Node *node)
{
	Qcow *s = node->state;
	size_t len = 8 * s->l1_entries;
	fiber_lock(&s->map.lock);
	memset(s->l1, 0, len);
	int ret = node_pwrite_sync(node->file, s->l1_at, s->l1, len);
	if (ret >= 0 && !node_truncate(node->file, s->l1_at + len, true, PREALLOC_OFF, NULL))
		ret = -EIO;
	tables_free(&s->tables);
	blockmap_forget(&s->map);
	fiber_unlock(&s->map.lock);
	return ret;
}

/* ---- Creating ---------------------------------------- */

static bool plan_encryption(json_t *opts, bool *aes, GError **error)
{
	const char *format = opt_text(opts, "encrypt.format");
	if (format && opt_has(opts, "encryption"))
		return fail(error, VIV_ERROR_INVALID,
			"Options encryption and encrypt.format are mutually exclusive");
	*aes = format || opt_bool(opts, "encryption", false);
	if (format && strcmp(format, "aes"))
		return fail(error, VIV_ERROR_INVALID, "Unsupported encryption format");
	BlockCrypto *crypto = *aes ? crypto_create("aes", opts, NULL, error) : NULL;
	crypto_free(crypto);
	return !*aes || crypto;
}

static bool qcow_create(const char *filename, json_t *opts, GError **error)
{
	uint64_t size = blockmap_size(opts);
	const char *backing = opt_text(opts, "backing_file");
	size_t name_len = backing && strcmp(backing, "fat:") ? strlen(backing) : 0;
	unsigned cluster_bits = name_len ? 9 : 12, l2_bits = name_len ? 12 : 9;
	unsigned shift = cluster_bits + l2_bits;
	uint64_t entries = (size >> shift) + (size & ((1ull << shift) - 1) ? 1 : 0);
	bool aes;
	if (!size)
		return fail(error, VIV_ERROR_INVALID, "Image size is too small, cannot be zero length");
	if (entries > L1_MAX || size > (uint64_t)NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_INVALID, "Image too large");
	if (name_len > NAME_MAX_LEN)
		return fail(error, VIV_ERROR_INVALID, "Backing file name too long");
	if (!plan_encryption(opts, &aes, error))
		return false;
	size_t l1_at = (HEADER + name_len + 7) & ~(size_t)7;
	g_autofree uint8_t *h = g_malloc0(l1_at);
	memcpy(h, magic, 8);
	if (name_len) {
		set_be64(h + Q_BACKING, HEADER);
		set_be32(h + Q_BACKING_LEN, (uint32_t)name_len);
		memcpy(h + HEADER, backing, name_len);
	}
	set_be64(h + Q_SIZE, size);
	h[Q_CLUSTER_BITS] = cluster_bits;
	h[Q_L2_BITS] = l2_bits;
	set_be32(h + Q_CRYPT, aes ? CRYPT_AES : 0);
	set_be64(h + Q_L1, l1_at);
	NewPart part = { 0, h, l1_at };
	/* Whole sectors, as a table that a program reads in sectors must be there. */
	uint64_t end = (l1_at + 8 * entries + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	return blockmap_create(filename, opts, end, &part, 1, error);
}

static void qcow_info(Node *node, NodeInfo *out)
{
	out->cluster_size = cluster_of(node->state);
	out->encrypted = NODE_STATE(node, Qcow)->crypto != NULL;
}

const Driver qcow_driver = {
	.name = "qcow", .desc = "the first version of qcow", .size = sizeof(Qcow), .backing = true,
	.options = options, .create_options = create_options, .probe = qcow_probe, .open = qcow_open,
	.close = qcow_close, .create = qcow_create, .read = blockmap_read, .write = blockmap_write,
	.write_compressed = qcow_write_compressed, .write_zeroes = blockmap_write_zeroes,
	.status = blockmap_status, .info = qcow_info,
	.make_empty = qcow_make_empty, .set_writable = blockmap_set_writable,
};
