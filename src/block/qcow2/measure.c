/*
 * measure.c - how long the file of an image will be. The figures are qemu-img's.
 */
#include "block/crypto.h"
#include "block/qcow2/qcow2.h"

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* Bytes of refcount table and blocks that count `clusters` and themselves. */
static uint64_t refcount_bytes(const Qcow2Plan *p, uint64_t clusters)
{
	uint64_t per_block = 8ull << p->cluster_bits >> p->refcount_order,
		 per_table = 1ull << p->cluster_bits >> 3;
	uint64_t blocks = 0, table = 0, last;
	do {
		last = blocks + table;
		blocks = div_up(clusters + last, per_block);
		table = div_up(blocks, per_table);
	} while (blocks + table != last);
	return (blocks + table) << p->cluster_bits;
}

uint64_t qcow2_file_size(const Qcow2Plan *p, uint64_t length)
{
	uint64_t cluster = 1ull << p->cluster_bits, entry = p->extended_l2 ? 16 : 8;
	uint64_t data = div_up(length, cluster) << p->cluster_bits;
	uint64_t l2 = div_up(data >> p->cluster_bits, cluster / entry) << p->cluster_bits;
	uint64_t l1 = div_up(l2 >> p->cluster_bits, cluster / 8) << p->cluster_bits;
	uint64_t all = cluster + l2 + l1;
	return all + refcount_bytes(p, (all + data) >> p->cluster_bits) + data;
}

/* Bytes of clusters that `source` has data in. */
static bool used_bytes(Node *source, uint64_t size, uint64_t cluster, uint64_t *out, GError **error)
{
	for (uint64_t at = 0; at < size;) {
		NodeStatus st;
		int ret = node_status_above(source, NULL, at, size - at, true, &st, NULL);
		if (ret < 0)
			return fail(error, VIV_ERROR_FAILED, "Unable to get block status: %s",
				g_strerror(-ret));
		uint64_t bytes = st.bytes ? st.bytes : size - at;
		if (!(st.flags & STATUS_ZERO) && st.flags & STATUS_DATA
			&& st.flags & STATUS_ALLOCATED) {
			bytes = (div_up(at + bytes, cluster) * cluster) - at;
			*out += at % cluster + bytes;
		}
		at += bytes;
	}
	return true;
}

/* Room for copies of the source's bitmaps. */
static uint64_t bitmap_bytes(Node *source, uint64_t cluster)
{
	GPtrArray *list = source->driver->bitmap_list(source);
	uint64_t bytes = 0, directory = 0;
	for (unsigned i = 0; i < list->len; i++) {
		const BitmapInfo *b = g_ptr_array_index(list, i);
		if (b->in_use)
			continue;
		uint64_t data = div_up(div_up(source->length, b->granularity), 8),
			 clusters = div_up(data, cluster);
		bytes += clusters * cluster + div_up(clusters * 8, cluster) * cluster;
		directory += (sizeof(Qcow2RawBitmap) + strlen(b->name) + 7) & ~7ull;
	}
	g_ptr_array_free(list, TRUE);
	return bytes + div_up(directory, cluster) * cluster;
}

bool qcow2_measure(json_t *opts, Node *source, MeasureResult *out, GError **error)
{
	Qcow2Plan p;
	memset(out, 0, sizeof(*out));
	if (!qcow2_plan(opts, &p, error))
		return false;
	uint64_t cluster = 1ull << p.cluster_bits, size = p.size;
	if (source)
		size = (source->length + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	if (size > (uint64_t)NODE_LENGTH_MAX / 2)
		return fail(error, VIV_ERROR_INVALID,
			"The image size is too large for file format 'qcow2' "
			"(try using a larger cluster size)");
	uint64_t key = 0;
	if (p.encrypt_format && !strcmp(p.encrypt_format, "luks")
		&& !crypto_header_size(p.encrypt_format, opts, &key, error))
		return false;
	uint64_t required = 0, whole = div_up(size, cluster) * cluster;
	if (p.prealloc == PREALLOC_FULL || p.prealloc == PREALLOC_FALLOC
		|| (source && p.backing_file))
		required = whole; /* how much a backing file would share is not known */
	else if (source && !used_bytes(source, size, cluster, &required, error))
		return false;
	out->fully_allocated = qcow2_file_size(&p, size) + div_up(key, cluster) * cluster;
	/* Cut at the end: the last cluster of the source counts as whole. */
	out->required = out->fully_allocated - whole + MIN(required, whole);
	out->has_bitmaps = p.version >= 3 && source && source->driver->bitmap_list;
	if (out->has_bitmaps)
		out->bitmaps = bitmap_bytes(source, cluster);
	return true;
}
