/*
 * qed.c - QEMU's enhanced disk format: two levels of tables, and a backing file.
 *
 * Source: "QED Image File Format", as published with QEMU's documentation of formats. New
 * clusters go to the end of the file; the header's need-check bit stands while tables change,
 * and an image found with it is checked and repaired when it is opened for writing. Threads:
 * see node.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blockmap.h"
#include "block/drivers.h"

enum {
	H_CLUSTER = 4, H_TABLE = 8, H_HEADER = 12, H_FEATURES = 16, H_COMPAT = 24, H_AUTOCLEAR = 32,
	H_L1 = 40, H_SIZE = 48, H_BACKING_AT = 56, H_BACKING_LEN = 60, HEADER = 64,
	F_BACKING = 1, F_NEED_CHECK = 2, F_BACKING_RAW = 4,
	CLUSTER_MIN = 4096, CLUSTER_MAX = 64 << 20, TABLE_MAX = 16, NAME_MAX_BYTES = 1023,
	TABLE_BYTES_MAX = 64 << 20,
};

typedef struct Qed {
	BlockMap map;
	uint32_t cluster, table_clusters, header_clusters;
	uint64_t features, l1_at, end;
	uint64_t per_table;         /* entries */
	uint32_t name_at, name_len;
	uint8_t *l1;
	TableCache l2;
} Qed;

static const BlockOption create_options[] = {
	{ "backing_file", OPT_STRING, 0, NULL, "File name of a base image" },
	{ "backing_fmt", OPT_STRING, 0, NULL, "Image format of the base image" },
	{ "cluster_size", OPT_SIZE, 0, "65536", "Cluster size (in bytes)" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ "table_size", OPT_SIZE, 0, NULL, "L1/L2 table size (in clusters)" },
	{ 0 }
};

static size_t table_bytes(const Qed *s)
{
	return (size_t)s->table_clusters * s->cluster;
}

/* Can `bytes` lie at `at`? */
static bool place_ok(const Node *node, uint64_t at, uint64_t bytes)
{
	const Qed *s = node->state;
	return at && !(at & (s->cluster - 1)) && at >= (uint64_t)s->header_clusters * s->cluster
		&& at <= node->file->length && bytes <= node->file->length - at;
}

/* The last cluster of a file may be cut short. */
static bool cluster_ok(const Node *node, uint64_t at)
{
	return place_ok(node, at, 1);
}

/* ---- Tables ------------------------------------------------------------------------------------ */

static uint64_t l1_entry(const Qed *s, uint64_t offset)
{
	uint64_t i = offset / s->cluster / s->per_table;
	return i < s->per_table ? le64(s->l1 + 8 * i) : 0;
}

static int qed_find(Node *node, uint64_t offset, Place *out)
{
	Qed *s = node->state;
	uint64_t index = offset / s->cluster, l2_at = l1_entry(s, offset);
	const uint8_t *l2;
	out->start = index * s->cluster;
	out->bytes = s->cluster;
	out->kind = PLACE_NONE;
	if (!l2_at)
		return 0;
	if (!place_ok(node, l2_at, table_bytes(s)))
		return -EIO;
	int ret = tables_get(&s->l2, node->file, l2_at, table_bytes(s), &l2);
	if (ret < 0)
		return ret;
	uint64_t entry = le64(l2 + 8 * (index % s->per_table));
	if (!entry)
		return 0;
	out->kind = entry == 1 ? PLACE_ZERO : PLACE_DATA;
	out->host = entry;
	return entry == 1 || cluster_ok(node, entry) ? 0 : -EIO;
}

static int write_header(Node *node)
{
	Qed *s = node->state;
	uint8_t word[8];
	set_le64(word, s->features);
	return node_pwrite_sync(node->file, H_FEATURES, word, 8);
}

static int begin(Node *node)
{
	Qed *s = node->state;
	if (s->features & F_NEED_CHECK)
		return 0;
	s->features |= F_NEED_CHECK;
	int ret = write_header(node);
	if (ret < 0)
		s->features &= ~(uint64_t)F_NEED_CHECK;
	return ret;
}

static uint64_t take(Qed *s, uint64_t bytes)
{
	uint64_t at = s->end;
	s->end += bytes;
	return at;
}

static int qed_place(Node *node, Place *p)
{
	Qed *s = node->state;
	p->host = take(s, s->cluster);
	return begin(node);
}

/* A new L2 table for `offset`, with one entry set. */
static int new_l2(Node *node, uint64_t offset, uint64_t entry)
{
	Qed *s = node->state;
	uint64_t l1_index = offset / s->cluster / s->per_table, at = take(s, table_bytes(s));
	g_autofree uint8_t *table = g_try_malloc0(table_bytes(s));
	uint8_t word[8];
	if (!table)
		return -ENOMEM;
	if (l1_index >= s->per_table)
		return -EIO;
	set_le64(table + 8 * (offset / s->cluster % s->per_table), entry);
	set_le64(word, at);
	int ret = node_pwrite(node->file, at, table, table_bytes(s));
	if (ret >= 0)
		ret = node_flush(node->file);
	if (ret >= 0)
		ret = node_pwrite(node->file, s->l1_at + 8 * l1_index, word, 8);
	if (ret >= 0)
		memcpy(s->l1 + 8 * l1_index, word, 8);
	return ret;
}

static int set_entry(Node *node, uint64_t offset, uint64_t entry)
{
	Qed *s = node->state;
	uint64_t l2_at = l1_entry(s, offset);
	uint8_t word[8];
	set_le64(word, entry);
	return l2_at ? tables_put(&s->l2, node->file, l2_at, 8 * (offset / s->cluster % s->per_table),
			word, 8)
		: new_l2(node, offset, entry);
}

static int qed_enter(Node *node, Place *p)
{
	return set_entry(node, p->start, p->host);
}

static int qed_zero(Node *node, Place *p)
{
	int ret = p->kind == PLACE_DATA ? -ENOTSUP : begin(node);
	return ret < 0 ? ret : set_entry(node, p->start, 1);
}

static const BlockMapOps qed_ops = { qed_find, qed_place, qed_enter, qed_zero, NULL };

/* ---- Check ------------------------------------------------------------------------------------- */

typedef struct Check {
	Node *node;
	CheckResult *r;
	bool fix;
	uint8_t *used;
	uint64_t clusters;
} Check;

static bool claim(Check *c, uint64_t at, uint64_t bytes, bool table)
{
	Qed *s = c->node->state;
	if (!(table ? place_ok(c->node, at, bytes) : cluster_ok(c->node, at)))
		return false;
	bool fresh = true;
	for (uint64_t i = at / s->cluster; i < (at + bytes + s->cluster - 1) / s->cluster
		&& i < c->clusters; i++) {
		fresh = fresh && !(c->used[i / 8] & 1 << i % 8);
		c->used[i / 8] |= 1 << i % 8;
	}
	return fresh;
}

static void bad(Check *c, const char *what, uint64_t index, uint64_t at)
{
	c->r->corruptions++;
	if (c->r->report)
		g_string_append_printf(c->r->report, "ERROR: %s %" PRIu64 " names offset %" PRIu64
			"\n", what, index, at);
}

static int check_l2(Check *c, uint64_t l1_index, uint64_t at, uint64_t *last)
{
	Qed *s = c->node->state;
	g_autofree uint8_t *t = g_try_malloc(table_bytes(s));
	int ret = t ? node_pread(c->node->file, at, t, table_bytes(s)) : -ENOMEM;
	for (uint64_t i = 0; i < s->per_table && ret >= 0; i++) {
		uint64_t entry = le64(t + 8 * i);
		if (entry <= 1)
			continue;
		if (claim(c, entry, s->cluster, false)) {
			c->r->allocated_clusters++;
			c->r->fragmented_clusters += *last && *last + s->cluster != entry;
			*last = entry;
			continue;
		}
		bad(c, "entry of cluster", l1_index * s->per_table + i, entry);
		if (!c->fix)
			continue;
		static const uint8_t none[8];
		ret = tables_put(&s->l2, c->node->file, at, 8 * i, none, 8);
		c->r->corruptions_fixed += ret >= 0;
	}
	return ret;
}

static int check_l1(Check *c)
{
	Qed *s = c->node->state;
	uint64_t last = 0;
	int ret = 0;
	claim(c, s->l1_at, table_bytes(s), true);
	for (uint64_t i = 0; i < s->per_table && ret >= 0; i++) {
		uint64_t at = le64(s->l1 + 8 * i);
		if (!at)
			continue;
		if (claim(c, at, table_bytes(s), true)) {
			ret = check_l2(c, i, at, &last);
			continue;
		}
		bad(c, "L1 entry", i, at);
		if (!c->fix)
			continue;
		memset(s->l1 + 8 * i, 0, 8);
		ret = node_pwrite(c->node->file, s->l1_at + 8 * i, s->l1 + 8 * i, 8);
		c->r->corruptions_fixed += ret >= 0;
	}
	return ret;
}

static int qed_check(Node *node, CheckResult *r, unsigned fix)
{
	Qed *s = node->state;
	Check c = { node, r, fix & FIX_ERRORS, NULL, node->file->length / s->cluster + 1 };
	if (c.clusters > (uint64_t)1 << 33 || !(c.used = g_try_malloc0(c.clusters / 8 + 1)))
		return -ENOMEM;
	int ret = check_l1(&c);
	for (uint64_t i = s->header_clusters; i < c.clusters - 1 && ret >= 0; i++)
		r->leaks += !(c.used[i / 8] & 1 << i % 8);
	g_free(c.used);
	r->total_clusters = (node->length + s->cluster - 1) / s->cluster;
	r->image_end_offset = node->file->length;
	/* Bad entries are gone: what was left half done cannot be seen any more. */
	if (ret >= 0 && c.fix && s->features & F_NEED_CHECK) {
		s->features &= ~(uint64_t)F_NEED_CHECK;
		ret = node_flush(node->file);
		if (ret >= 0)
			ret = write_header(node);
	}
	return ret;
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static int qed_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= HEADER && !memcmp(head, "QED", 4) ? 100 : 0;
}

/* Bytes that tables of this form can map; 0: the form is not allowed. */
static uint64_t reach(uint64_t cluster, uint64_t table)
{
	if (cluster < CLUSTER_MIN || cluster > CLUSTER_MAX || cluster & (cluster - 1) || !table
		|| table > TABLE_MAX || table & (table - 1))
		return 0;
	uint64_t entries = table * cluster / 8, most = (uint64_t)NODE_LENGTH_MAX;
	return entries > most / cluster / entries ? most : entries * entries * cluster;
}

static bool check_header(Node *node, const uint8_t *h, GError **error)
{
	Qed *s = node->state;
	if (!qed_probe(h, HEADER, ""))
		return fail(error, VIV_ERROR_INVALID, "Image not in QED format");
	if (s->features & ~(uint64_t)(F_BACKING | F_NEED_CHECK | F_BACKING_RAW))
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported QED features: %" PRIx64, s->features
			& ~(uint64_t)(F_BACKING | F_NEED_CHECK | F_BACKING_RAW));
	uint64_t most = reach(s->cluster, s->table_clusters);
	if (!most || table_bytes(s) > TABLE_BYTES_MAX)
		return fail(error, VIV_ERROR_INVALID, "QED image with clusters of %" PRIu32
			" bytes and tables of %" PRIu32 " clusters: that cannot be", s->cluster,
			s->table_clusters);
	if (node->length > most || node->length % SECTOR)
		return fail(error, VIV_ERROR_INVALID, "QED image with a disk of %" PRIu64 " bytes: "
			"its tables cannot hold that", node->length);
	if (!s->header_clusters || s->header_clusters > CLUSTER_MAX / CLUSTER_MIN)
		return fail(error, VIV_ERROR_INVALID, "QED image with a header of %" PRIu32 " clusters",
			s->header_clusters);
	return place_ok(node, s->l1_at, table_bytes(s))
		|| fail(error, VIV_ERROR_INVALID, "the QED image's L1 table lies past its end");
}

static bool read_backing(Node *node, GError **error)
{
	Qed *s = node->state;
	char name[NAME_MAX_BYTES + 1] = "";
	if (!(s->features & F_BACKING))
		return true;
	uint64_t room = (uint64_t)s->header_clusters * s->cluster;
	if (s->name_len > NAME_MAX_BYTES || (uint64_t)s->name_at + s->name_len > room)
		return fail(error, VIV_ERROR_INVALID, "the backing file's name does not lie in the header");
	int ret = node_pread(node->file, s->name_at, name, s->name_len);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read the backing file's name: %s",
			g_strerror(-ret));
	node->backing_file = g_strdup(name);
	node->backing_format = s->features & F_BACKING_RAW ? g_strdup("raw") : NULL;
	return true;
}

static bool read_all(Node *node, GError **error)
{
	Qed *s = node->state;
	s->l1 = g_try_malloc(table_bytes(s));
	int ret = s->l1 ? node_pread(node->file, s->l1_at, s->l1, table_bytes(s)) : -ENOMEM;
	s->end = (node->file->length + s->cluster - 1) & ~(uint64_t)(s->cluster - 1);
	if (ret >= 0 && node->flags & NODE_WRITE && !(node->flags & NODE_CHECK)) {
		uint8_t none[8] = { 0 };
		CheckResult r = { 0 };
		/* Nobody's optional features survive our writes. */
		ret = node_pwrite(node->file, H_AUTOCLEAR, none, 8);
		if (ret >= 0 && s->features & F_NEED_CHECK)
			ret = qed_check(node, &r, FIX_ERRORS);
	}
	if (ret < 0) {
		tables_free(&s->l2);
		g_free(s->l1);
		return fail(error, VIV_ERROR_FAILED, "Could not read the QED image's tables: %s",
			g_strerror(-ret));
	}
	return true;
}

static bool qed_open(Node *node, GError **error)
{
	Qed *s = node->state;
	uint8_t h[HEADER];
	int ret = node_pread(node->file, 0, h, sizeof(h));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Failed to read QED header: %s", g_strerror(-ret));
	s->map.ops = &qed_ops;
	s->cluster = le32(h + H_CLUSTER);
	s->table_clusters = le32(h + H_TABLE);
	s->header_clusters = le32(h + H_HEADER);
	s->features = le64(h + H_FEATURES);
	s->l1_at = le64(h + H_L1);
	s->name_at = le32(h + H_BACKING_AT);
	s->name_len = le32(h + H_BACKING_LEN);
	s->per_table = (uint64_t)s->table_clusters * s->cluster / 8;
	node->length = le64(h + H_SIZE);
	node->align = SECTOR;
	return check_header(node, h, error) && read_backing(node, error) && read_all(node, error);
}

/* All is written: the next one who opens it need not check. */
static int settle(Node *node)
{
	Qed *s = node->state;
	if (node->read_only || !(s->features & F_NEED_CHECK) || node->flags & NODE_CHECK)
		return 0;
	int ret = node_flush(node->file);
	s->features &= ~(uint64_t)F_NEED_CHECK;
	return ret < 0 ? ret : write_header(node);
}

static void qed_close(Node *node)
{
	Qed *s = node->state;
	settle(node);
	tables_free(&s->l2);
	g_free(s->l1);
}

static bool qed_set_writable(Node *node, bool writable, GError **error)
{
	int ret = writable ? 0 : settle(node);
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "could not write the QED header: %s",
		g_strerror(-ret));
}

static void qed_info(Node *node, NodeInfo *out)
{
	Qed *s = node->state;
	out->cluster_size = s->cluster;
	out->dirty = s->features & F_NEED_CHECK;
}

static bool qed_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	Qed *s = node->state;
	uint8_t word[8];
	if (prealloc != PREALLOC_OFF)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported preallocation mode for QED");
	if (length % SECTOR || length > reach(s->cluster, s->table_clusters))
		return fail(error, VIV_ERROR_INVALID, "Invalid image size specified");
	if (length < node->length)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Shrinking images is currently not supported");
	set_le64(word, length);
	int ret = node_pwrite(node->file, H_SIZE, word, 8);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not write the QED header: %s", g_strerror(-ret));
	node->length = length;
	return true;
}

static bool qed_set_backing(Node *node, const char *name, const char *format, GError **error)
{
	Qed *s = node->state;
	uint64_t room = (uint64_t)s->header_clusters * s->cluster;
	size_t len = name ? strlen(name) : 0;
	uint8_t words[8] = { 0 };
	if (len > NAME_MAX_BYTES || HEADER + len > room)
		return fail(error, VIV_ERROR_INVALID, "Backing file name too long");
	s->features &= ~(uint64_t)(F_BACKING | F_BACKING_RAW);
	if (name)
		s->features |= F_BACKING | (format && !strcmp(format, "raw") ? F_BACKING_RAW : 0);
	set_le32(words, name ? HEADER : 0);
	set_le32(words + 4, (uint32_t)len);
	int ret = len ? node_pwrite(node->file, HEADER, name, len) : 0;
	if (ret >= 0)
		ret = node_pwrite(node->file, H_BACKING_AT, words, 8);
	if (ret >= 0)
		ret = write_header(node);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "could not write the QED header: %s", g_strerror(-ret));
	char *copy = g_strdup(name), *format_copy = name ? g_strdup(format) : NULL;
	g_free(node->backing_file);
	g_free(node->backing_format);
	node->backing_file = copy;
	node->backing_format = format_copy;
	return true;
}

/* ---- Creating ---------------------------------------------------------------------------------- */

static bool qed_create(const char *filename, json_t *opts, GError **error)
{
	uint64_t size = blockmap_size(opts), cluster = opt_size(opts, "cluster_size", 65536);
	uint64_t tables = opt_size(opts, "table_size", 4), most;
	const char *backing = opt_text(opts, "backing_file"), *format = opt_text(opts, "backing_fmt");
	if (!tables)
		tables = 4;
	most = reach(cluster, tables);
	if (!most || tables * cluster > TABLE_BYTES_MAX)
		return fail(error, VIV_ERROR_INVALID, "QED cluster size must be within range [4096, "
			"67108864], table size within [1, 16], both powers of 2");
	if (size > most)
		return fail(error, VIV_ERROR_INVALID, "QED image size must be less than %" PRIu64 " bytes",
			most);
	size_t len = backing ? strlen(backing) : 0;
	if (len > NAME_MAX_BYTES)
		return fail(error, VIV_ERROR_INVALID, "Backing file name too long");
	uint8_t h[HEADER + NAME_MAX_BYTES + 1] = "QED";
	set_le32(h + H_CLUSTER, (uint32_t)cluster);
	set_le32(h + H_TABLE, (uint32_t)tables);
	set_le32(h + H_HEADER, 1);
	set_le64(h + H_L1, cluster);
	set_le64(h + H_SIZE, size);
	if (backing) {
		set_le64(h + H_FEATURES, F_BACKING
			| (format && !strcmp(format, "raw") ? F_BACKING_RAW : 0));
		set_le32(h + H_BACKING_AT, HEADER);
		set_le32(h + H_BACKING_LEN, (uint32_t)len);
		memcpy(h + HEADER, backing, len);
	}
	NewPart part = { 0, h, sizeof(h) };
	return blockmap_create(filename, opts, cluster * (1 + tables), &part, 1, error);
}

const Driver qed_driver = {
	.name = "qed", .desc = "QEMU's enhanced disk format", .size = sizeof(Qed),
	.create_options = create_options, .backing = true, .probe = qed_probe, .open = qed_open,
	.close = qed_close, .create = qed_create, .read = blockmap_read, .write = blockmap_write,
	.write_zeroes = blockmap_write_zeroes, .status = blockmap_status, .info = qed_info,
	.truncate = qed_truncate, .check = qed_check, .set_backing = qed_set_backing,
	.set_writable = qed_set_writable,
};
