/*
 * specific.c - what `info` says about an image beyond its size. Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

void qcow2_info(Node *node, NodeInfo *out)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	out->cluster_size = s->cluster_size;
	out->subcluster_size = 1ull << s->subcluster_bits;
	out->vm_state_offset = qcow2_vmstate_offset(s);
	out->dirty = s->incompatible & QCOW2_INCOMPAT_DIRTY;
	out->compressed_clusters = false;
	out->encrypted = s->crypt_method != QCOW2_CRYPT_NONE;
}

/* A name from the file, which may have any bytes. */
static json_t *text_json(const char *text)
{
	char *valid = g_utf8_make_valid(text, -1);
	json_t *j = json_string(valid);
	g_free(valid);
	return j;
}

static json_t *bitmaps_json(const Qcow2 *s)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->nb_bitmaps; i++) {
		const Bitmap *b = &s->bitmaps[i];
		json_t *flags = json_array();
		if (b->flags & QCOW2_BITMAP_IN_USE)
			json_array_append_new(flags, json_string("in-use"));
		if (b->flags & QCOW2_BITMAP_AUTO)
			json_array_append_new(flags, json_string("auto"));
		json_t *one = json_object();
		json_object_set_new(one, "flags", flags);
		json_object_set_new(one, "name", text_json(b->name));
		json_object_set_new(
			one, "granularity", json_integer((json_int_t)1 << b->granularity_bits));
		json_array_append_new(list, one);
	}
	return list;
}

json_t *qcow2_specific(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	json_t *d = json_object();
	json_object_set_new(d, "compat", json_string(s->version < 3 ? "0.10" : "1.1"));
	json_object_set_new(d, "compression-type",
		json_string(s->compression == QCOW2_COMPRESS_ZSTD ? "zstd" : "zlib"));
	if (s->version >= 3) {
		json_object_set_new(
			d, "lazy-refcounts", json_boolean(s->compatible & QCOW2_COMPAT_LAZY));
		if (s->nb_bitmaps)
			json_object_set_new(d, "bitmaps", bitmaps_json(s));
	}
	json_object_set_new(d, "refcount-bits", json_integer((json_int_t)1 << s->refcount_order));
	if (s->crypt_method)
		json_object_set_new(d, "encrypt", qcow2_crypto_info(s));
	if (s->version >= 3) {
		json_object_set_new(
			d, "corrupt", json_boolean(s->incompatible & QCOW2_INCOMPAT_CORRUPT));
		json_object_set_new(d, "extended-l2", json_boolean(s->subclusters > 1));
	}
	if (s->external) {
		if (s->data_file_name)
			json_object_set_new(d, "data-file", text_json(s->data_file_name));
		json_object_set_new(d, "data-file-raw", json_boolean(q_raw_data(s)));
	}
	json_t *all = json_object();
	json_object_set_new(all, "type", json_string("qcow2"));
	json_object_set_new(all, "data", d);
	return all;
}
