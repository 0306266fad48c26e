/*
 * header.c - the first cluster of an image: header, extensions, name of the backing file.
 *
 * Source: "QCOW2 disk image format", sections "Header", "Header extensions" and "Feature name
 * table". Everything is checked here against the bounds of qcow2.h before another file uses it.
 * Threads: fibers of the node's loop.
 */
#include <inttypes.h>

#include "block/qcow2/qcow2.h"

static const Qcow2RawFeature features[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

void qcow2_derive(Qcow2 *s)
{
	s->cluster_size = 1u << s->cluster_bits;
	s->subclusters = s->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 ? QCOW2_SUBCLUSTERS : 1;
	s->subcluster_bits = s->cluster_bits - (s->subclusters == 1 ? 0 : 5);
	s->l2_entry_size = s->subclusters == 1 ? 8 : 16;
	s->l2_bits = s->cluster_bits - (s->subclusters == 1 ? 3 : 4);
	s->refblock_bits = s->cluster_bits + 3 - s->refcount_order;
	s->refcount_max = s->refcount_order == 6 ? UINT64_MAX
						 : (1ull << (1u << s->refcount_order)) - 1;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool check_sizes(Qcow2 *s, uint64_t reftable_clusters, GError **error)
{
	if (s->cluster_bits < Q_MIN_CLUSTER_BITS || s->cluster_bits > Q_MAX_CLUSTER_BITS)
		return fail(error, VIV_ERROR_FAILED,
			"the qcow2 header says clusters of 2^%u bytes; 2^9 to 2^21 are possible: "
			"the image is damaged",
			s->cluster_bits);
	if (s->refcount_order > 6)
		return fail(error, VIV_ERROR_FAILED,
			"the qcow2 header says reference counts of 2^%u bits; "
			"64 bits are the most: the image is damaged",
			s->refcount_order);
	if (s->subclusters > 1 && s->cluster_bits < 14)
		return fail(error, VIV_ERROR_FAILED,
			"the image has extended L2 entries with clusters of %u bytes; "
			"they need 16384 bytes or more: the image is damaged",
			s->cluster_size);
	if (s->size > (uint64_t)NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_FAILED,
			"the qcow2 header says a disk of %" PRIu64
			" bytes, which is too large: the image is damaged",
			s->size);
	if (s->l1_size > Q_MAX_L1_BYTES / 8)
		return fail(error, VIV_ERROR_FAILED,
			"the active L1 table has %u entries; %u are the most: "
			"the image is damaged",
			s->l1_size, Q_MAX_L1_BYTES / 8);
	if (q_l1_needed(s, s->size) > s->l1_size)
		return fail(error, VIV_ERROR_FAILED,
			"the L1 table is too small for a disk of %" PRIu64
			" bytes: the image is damaged",
			s->size);
	if (s->l1_size && !q_place_ok(s, s->l1_offset, (uint64_t)s->l1_size * 8))
		return fail(error, VIV_ERROR_FAILED,
			"the offset of the L1 table (0x%" PRIx64
			") is invalid: the image is damaged",
			s->l1_offset);
	if (reftable_clusters > (uint64_t)Q_MAX_REFTABLE_BYTES >> s->cluster_bits)
		return fail(error, VIV_ERROR_FAILED,
			"the reference count table has %" PRIu64
			" clusters, which is too large: the image is damaged",
			reftable_clusters);
	if (!q_place_ok(s, s->reftable_offset, reftable_clusters << s->cluster_bits))
		return fail(error, VIV_ERROR_FAILED,
			"the offset of the reference count table (0x%" PRIx64
			") is invalid: the image is damaged",
			s->reftable_offset);
	if (!reftable_clusters && !(s->node->flags & NODE_CHECK))
		return fail(error, VIV_ERROR_FAILED,
			"the image does not contain a reference count table: "
			"`qemu-img check -r all` makes one");
	if (s->nb_snapshots > Q_MAX_SNAPSHOTS)
		return fail(error, VIV_ERROR_FAILED,
			"the image says it has %u snapshots; %u are the most: "
			"the image is damaged",
			s->nb_snapshots, Q_MAX_SNAPSHOTS);
	if (s->nb_snapshots && !q_place_ok(s, s->snapshots_offset, 0))
		return fail(error, VIV_ERROR_FAILED,
			"the offset of the snapshot table (0x%" PRIx64
			") is invalid: the image is damaged",
			s->snapshots_offset);
	return true;
}

static bool unknown_features(uint64_t unknown, const uint8_t *table, uint32_t size, GError **error)
{
	GString *names = g_string_new(NULL);
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(unknown >> bit & 1))
			continue;
		char name[47] = "";
		for (uint32_t i = 0; i + sizeof(Qcow2RawFeature) <= size;
			i += sizeof(Qcow2RawFeature))
			if (table[i] == 0 && table[i + 1] == bit)
				memcpy(name, table + i + 2, 46);
		for (char *p = name; *p; p++) /* goes to a terminal */
			if (*p < 32 || *p > 126)
				*p = '?';
		g_string_append(names, names->len ? ", " : "");
		if (*name)
			g_string_append(names, name);
		else
			g_string_append_printf(names, "unknown feature (bit %u)", bit);
	}
	fail(error, VIV_ERROR_UNSUPPORTED,
		"the image uses qcow2 features that this program does not know: %s", names->str);
	g_string_free(names, TRUE);
	return false;
}

/* One extension of `len` bytes at data, all within the first cluster. */
static bool take_extension(
	Qcow2 *s, uint32_t type, const uint8_t *data, uint32_t len, GError **error)
{
	switch (type) {
	case QCOW2_EXT_BACKING_FORMAT:
		if (len > 31)
			return fail(error, VIV_ERROR_FAILED,
				"the name of the backing file's format is %u bytes long; "
				"31 are the most: the image is damaged",
				len);
		g_free(s->node->backing_format);
		s->node->backing_format = g_strndup((const char *)data, len);
		return true;
	case QCOW2_EXT_DATA_FILE:
		g_free(s->data_file_name);
		s->data_file_name = g_strndup((const char *)data, len);
		return true;
	case QCOW2_EXT_FEATURES: return true; /* ours is written anew */
	case QCOW2_EXT_CRYPTO:
		if (s->crypt_method != QCOW2_CRYPT_LUKS || len != sizeof(Qcow2RawCryptoExt))
			return fail(error, VIV_ERROR_FAILED,
				"the header's pointer to the encryption header is invalid: "
				"the image is damaged");
		s->crypto_offset = be64_at(data);
		s->crypto_length = be64_at(data + 8);
		if (!q_place_ok(s, s->crypto_offset, s->crypto_length)
			|| s->crypto_length > 512 << 20)
			return fail(error, VIV_ERROR_FAILED,
				"the encryption header has an invalid place: "
				"the image is damaged");
		return true;
	case QCOW2_EXT_BITMAPS:
		if (len != sizeof(Qcow2RawBitmapsExt))
			return fail(error, VIV_ERROR_FAILED,
				"the header extension of bitmaps has %u bytes instead of 24: "
				"the image is damaged",
				len);
		if (s->version < 3 || !(s->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
			/* written by a program that did not know them: they are stale */
			return true;
		s->nb_bitmaps = g_ntohl(((const Qcow2RawBitmapsExt *)data)->count);
		s->bitmaps_bytes = be64_at(data + 8);
		s->bitmaps_offset = be64_at(data + 16);
		if (!s->nb_bitmaps || s->nb_bitmaps > Q_MAX_BITMAPS || be64_at(data) & 0xffffffff
			|| !s->bitmaps_bytes || s->bitmaps_bytes > Q_MAX_BITMAP_DIR_BYTES
			|| !q_place_ok(s, s->bitmaps_offset, s->bitmaps_bytes)
			|| !s->bitmaps_offset)
			return fail(error, VIV_ERROR_FAILED,
				"the header extension of bitmaps is invalid: "
				"the image is damaged");
		return true;
	default: {
		Extension e = { type, len, g_memdup2(data, len) };
		g_array_append_val(s->extensions, e);
		return true;
	}
	}
}

static bool read_extensions(Qcow2 *s, const uint8_t *buf, uint32_t at, uint32_t end, GError **error)
{
	uint64_t unknown = s->incompatible & ~QCOW2_INCOMPAT_KNOWN;
	/* First the names of features: they explain why nothing else may be believed. */
	for (int pass = unknown ? 0 : 1; pass < 2; pass++) {
		for (uint32_t p = at; p + 8 <= end;) {
			uint32_t type = be64_at(buf + p) >> 32, len = (uint32_t)be64_at(buf + p);
			p += 8;
			if (type == QCOW2_EXT_END)
				break;
			if (len > end - p)
				return fail(error, VIV_ERROR_FAILED,
					"a header extension of %u bytes is longer than "
					"the header: the image is damaged",
					len);
			if (pass == 0 && type == QCOW2_EXT_FEATURES)
				return unknown_features(unknown, buf + p, len, error);
			if (pass == 1 && !take_extension(s, type, buf + p, len, error))
				return false;
			p += MIN((len + 7) & ~7u, end - p);
		}
		if (pass == 0)
			return unknown_features(unknown, NULL, 0, error);
	}
	return true;
}

static bool check_features(Qcow2 *s, GError **error)
{
	bool type_bit = s->incompatible & QCOW2_INCOMPAT_COMPRESSION;
	if (s->compression > QCOW2_COMPRESS_ZSTD)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the image uses compression type %u, which this program "
			"does not know",
			s->compression);
	if (type_bit != (s->compression != QCOW2_COMPRESS_ZLIB))
		return fail(error, VIV_ERROR_FAILED,
			"the header's compression type and its feature bit contradict "
			"each other: the image is damaged");
	if (s->crypt_method > QCOW2_CRYPT_LUKS)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the image uses encryption method %u, which this program "
			"does not know",
			s->crypt_method);
	if (s->version < 3)
		return true;
	if ((s->incompatible & QCOW2_INCOMPAT_CORRUPT) && (s->node->flags & NODE_WRITE)
		&& !(s->node->flags & NODE_CHECK))
		return fail(error, VIV_ERROR_FAILED,
			"the image is marked as corrupt; it can be opened read-only, "
			"or repaired with `qemu-img check -r all`");
	return true;
}

/* Fixed fields. `h` has a cluster's first 512 bytes or more. */
static bool take_header(Qcow2 *s, const Qcow2RawHeader *h, GError **error)
{
	s->version = g_ntohl(h->version);
	if (g_ntohl(h->magic) != QCOW2_MAGIC)
		return fail(error, VIV_ERROR_FAILED, "the image is not in qcow2 format");
	if (s->version != 2 && s->version != 3)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"the image is of qcow2 version %u; 2 and 3 are known", s->version);
	s->cluster_bits = g_ntohl(h->cluster_bits);
	s->size = GUINT64_FROM_BE(h->size);
	s->crypt_method = g_ntohl(h->crypt_method);
	s->l1_size = g_ntohl(h->l1_size);
	s->l1_offset = GUINT64_FROM_BE(h->l1_offset);
	s->reftable_offset = GUINT64_FROM_BE(h->reftable_offset);
	s->nb_snapshots = g_ntohl(h->nb_snapshots);
	s->snapshots_offset = GUINT64_FROM_BE(h->snapshots_offset);
	s->refcount_order = 4;
	s->header_length = QCOW2_V2_HEADER;
	if (s->version == 3) {
		s->incompatible = GUINT64_FROM_BE(h->incompatible);
		s->compatible = GUINT64_FROM_BE(h->compatible);
		s->autoclear = GUINT64_FROM_BE(h->autoclear);
		s->refcount_order = g_ntohl(h->refcount_order);
		s->header_length = g_ntohl(h->header_length);
		if (s->header_length < QCOW2_V3_HEADER || s->header_length & 7)
			return fail(error, VIV_ERROR_FAILED,
				"the qcow2 header says it is %u bytes long: "
				"the image is damaged",
				s->header_length);
		if (s->header_length > QCOW2_V3_HEADER)
			s->compression = h->compression_type;
	}
	if (s->cluster_bits >= Q_MIN_CLUSTER_BITS && s->cluster_bits <= Q_MAX_CLUSTER_BITS
		&& s->refcount_order <= 6)
		qcow2_derive(s);
	return check_sizes(s, g_ntohl(h->reftable_clusters), error);
}

static bool take_backing(
	Qcow2 *s, const uint8_t *buf, uint64_t offset, uint32_t len, GError **error)
{
	if (!offset || !len)
		return true;
	if (len > Q_MAX_BACKING_NAME || offset > s->cluster_size || len > s->cluster_size - offset
		|| offset < s->header_length)
		return fail(error, VIV_ERROR_FAILED,
			"the name of the backing file has an invalid place in the header: "
			"the image is damaged");
	s->node->backing_file = g_strndup((const char *)buf + offset, len);
	return true;
}

bool qcow2_header_read(Qcow2 *s, GError **error)
{
	uint8_t first[512] = { 0 };
	int ret = node_pread(s->node->file, 0, first, sizeof(first));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the qcow2 header cannot be read: %s",
			g_strerror(-ret));
	s->extensions = g_array_new(FALSE, FALSE, sizeof(Extension));
	const Qcow2RawHeader *h = (const Qcow2RawHeader *)first;
	if (!take_header(s, h, error))
		return false;
	s->reftable_size = g_ntohl(h->reftable_clusters) << (s->cluster_bits - 3);
	if (s->header_length > s->cluster_size)
		return fail(error, VIV_ERROR_FAILED,
			"the qcow2 header says it is longer than a cluster: "
			"the image is damaged");
	g_autofree uint8_t *buf = g_malloc0(s->cluster_size);
	ret = node_pread(s->node->file, 0, buf, s->cluster_size);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the qcow2 header cannot be read: %s",
			g_strerror(-ret));
	if (s->header_length > sizeof(Qcow2RawHeader)) {
		s->header_rest_size = s->header_length - sizeof(Qcow2RawHeader);
		s->header_rest = g_memdup2(buf + sizeof(Qcow2RawHeader), s->header_rest_size);
	}
	uint64_t backing = GUINT64_FROM_BE(h->backing_offset);
	uint32_t end = backing && backing < s->cluster_size ? backing : s->cluster_size;
	return take_backing(s, buf, backing, g_ntohl(h->backing_size), error)
		&& read_extensions(s, buf, s->header_length, end, error)
		&& check_features(s, error);
}

void qcow2_header_free(Qcow2 *s)
{
	for (unsigned i = 0; s->extensions && i < s->extensions->len; i++)
		g_free(g_array_index(s->extensions, Extension, i).data);
	if (s->extensions)
		g_array_free(s->extensions, TRUE);
	s->extensions = NULL;
	g_clear_pointer(&s->header_rest, g_free);
	g_clear_pointer(&s->data_file_name, g_free);
}

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct Out {
	uint8_t *buf;
	uint32_t at, size;
} Out;

static bool put_extension(Out *o, uint32_t type, const void *data, uint32_t len)
{
	uint32_t padded = (len + 7) & ~7u;
	if (o->size - o->at < 8 + padded)
		return false;
	put_be64(o->buf + o->at, (uint64_t)type << 32 | len);
	if (len)
		memcpy(o->buf + o->at + 8, data, len);
	o->at += 8 + padded;
	return true;
}

static bool put_extensions(Qcow2 *s, Out *o, bool with_features)
{
	const Node *node = s->node;
	bool ok = true;
	if (node->backing_file && node->backing_format && *node->backing_format)
		ok = put_extension(o, QCOW2_EXT_BACKING_FORMAT, node->backing_format,
			strlen(node->backing_format));
	if (ok && s->external && s->data_file_name)
		ok = put_extension(
			o, QCOW2_EXT_DATA_FILE, s->data_file_name, strlen(s->data_file_name));
	if (ok && s->crypto_length) {
		uint64_t place[2] = { GUINT64_TO_BE(s->crypto_offset),
			GUINT64_TO_BE(s->crypto_length) };
		ok = put_extension(o, QCOW2_EXT_CRYPTO, place, sizeof(place));
	}
	if (ok && s->version >= 3 && with_features)
		ok = put_extension(o, QCOW2_EXT_FEATURES, features, sizeof(features));
	if (ok && s->nb_bitmaps) {
		Qcow2RawBitmapsExt b = { g_htonl(s->nb_bitmaps), 0, GUINT64_TO_BE(s->bitmaps_bytes),
			GUINT64_TO_BE(s->bitmaps_offset) };
		ok = put_extension(o, QCOW2_EXT_BITMAPS, &b, sizeof(b));
	}
	for (unsigned i = 0; ok && i < s->extensions->len; i++) {
		const Extension *e = &g_array_index(s->extensions, Extension, i);
		ok = put_extension(o, e->type, e->data, e->length);
	}
	return ok && put_extension(o, QCOW2_EXT_END, NULL, 0);
}

static void put_fields(Qcow2 *s, Qcow2RawHeader *h)
{
	h->magic = g_htonl(QCOW2_MAGIC);
	h->version = g_htonl(s->version);
	h->cluster_bits = g_htonl(s->cluster_bits);
	h->size = GUINT64_TO_BE(s->size);
	h->crypt_method = g_htonl(s->crypt_method);
	h->l1_size = g_htonl(s->l1_size);
	h->l1_offset = GUINT64_TO_BE(s->l1_offset);
	h->reftable_offset = GUINT64_TO_BE(s->reftable_offset);
	h->reftable_clusters = g_htonl(s->reftable_size >> (s->cluster_bits - 3));
	h->nb_snapshots = g_htonl(s->nb_snapshots);
	h->snapshots_offset = GUINT64_TO_BE(s->snapshots_offset);
	if (s->version < 3)
		return;
	h->incompatible = GUINT64_TO_BE(s->incompatible);
	h->compatible = GUINT64_TO_BE(s->compatible);
	h->autoclear = GUINT64_TO_BE(s->autoclear);
	h->refcount_order = g_htonl(s->refcount_order);
	h->header_length = g_htonl(sizeof(*h) + s->header_rest_size);
	h->compression_type = s->compression;
}

int qcow2_header_build(Qcow2 *s, uint8_t *buf)
{
	const char *name = s->node->backing_file;
	uint32_t fixed = s->version < 3 ? (uint32_t)QCOW2_V2_HEADER
					: sizeof(Qcow2RawHeader) + s->header_rest_size;
	uint32_t len = name ? strlen(name) : 0;
	if (len > Q_MAX_BACKING_NAME)
		return -EINVAL;
	/* Names of features are a courtesy: they go first where room is short. */
	for (int with_features = 1; with_features >= 0; with_features--) {
		memset(buf, 0, s->cluster_size);
		Out o = { buf, fixed, s->cluster_size };
		if (fixed > s->cluster_size || !put_extensions(s, &o, with_features)
			|| o.size - o.at < len)
			continue;
		Qcow2RawHeader *h = (Qcow2RawHeader *)buf;
		put_fields(s, h);
		if (s->version >= 3 && s->header_rest_size)
			memcpy(buf + sizeof(*h), s->header_rest, s->header_rest_size);
		if (len) {
			h->backing_offset = GUINT64_TO_BE((uint64_t)o.at);
			h->backing_size = g_htonl(len);
			memcpy(buf + o.at, name, len);
		}
		return o.at + len;
	}
	return -EFBIG;
}

int qcow2_header_write(Qcow2 *s)
{
	g_autofree uint8_t *buf = g_malloc(s->cluster_size);
	int used = qcow2_header_build(s, buf);
	if (used < 0)
		return used;
	/* Whole sectors: a shorter extension list must not leave the old one's tail to be read. */
	return node_pwrite(
		s->node->file, 0, buf, MIN((uint32_t)(used + 511) & ~511u, s->cluster_size));
}

int qcow2_header_commit(Qcow2 *s)
{
	int ret = qcow2_sync(s);
	if (ret >= 0)
		ret = qcow2_header_write(s);
	return ret < 0 ? ret : qcow2_sync(s);
}

int qcow2_mark_dirty(Qcow2 *s, bool dirty)
{
	uint64_t bits = (s->incompatible & ~QCOW2_INCOMPAT_DIRTY)
		| (dirty || s->lazy ? QCOW2_INCOMPAT_DIRTY : 0);
	if (s->version < 3 || bits == s->incompatible)
		return 0;
	s->incompatible = bits;
	return qcow2_header_commit(s);
}

static int begin_writing_locked(Qcow2 *s)
{
	if (s->writing)
		return 0;
	if (s->at_snapshot)
		return -EROFS;
	uint64_t autoclear = s->autoclear, incompatible = s->incompatible;
	s->autoclear &= QCOW2_AUTOCLEAR_KNOWN;
	if (s->lazy)
		s->incompatible |= QCOW2_INCOMPAT_DIRTY;
	int ret = 0;
	if (s->autoclear != autoclear || s->incompatible != incompatible)
		ret = qcow2_header_commit(s);
	if (ret >= 0)
		ret = qcow2_bitmaps_go_live(s);
	if (ret < 0) {
		s->autoclear = autoclear;
		s->incompatible = incompatible;
		return ret;
	}
	s->writing = true;
	return 0;
}

int qcow2_begin_writing(Qcow2 *s)
{
	if (s->corrupt)
		return -EIO;
	if (s->writing)
		return 0;
	bool mine = qcow2_locked(s);
	if (!mine)
		qcow2_lock(s);
	int ret = begin_writing_locked(s);
	if (!mine)
		qcow2_unlock(s);
	return ret;
}

int qcow2_corrupt(Qcow2 *s, bool fatal, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	if (!s->reported)
		g_printerr("%s: the qcow2 image is corrupt: %s. %s, and repair it with `qemu-img "
			   "check -r all`.\n",
			s->node->filename ? s->node->filename : "image", what,
			fatal ? "Nothing more is written to it: stop using it" : "Make a copy");
	s->reported = true;
	if (!fatal)
		return -EIO;
	s->corrupt = true;
	if (s->version >= 3 && !s->node->read_only && !(s->incompatible & QCOW2_INCOMPAT_CORRUPT)) {
		/* One field, past all tables in memory: they may be what is wrong. */
		s->incompatible |= QCOW2_INCOMPAT_CORRUPT;
		uint64_t bits = GUINT64_TO_BE(s->incompatible);
		node_pwrite_sync(
			s->node->file, G_STRUCT_OFFSET(Qcow2RawHeader, incompatible), &bits, 8);
	}
	return -EIO;
}
