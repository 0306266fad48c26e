/*
 * driver.c - the VMDK driver as the block layer sees it. See vmdk.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/drivers.h"
#include "block/vmdk/vmdk.h"

/* A header of its own, or a descriptor: comments and empty lines, then a version. */
static int vmdk_probe(const uint8_t *head, size_t len, const char *filename)
{
	static const char *const versions[] = { "version=1", "version=2", "version=3" };
	if (len >= 4 && (!memcmp(head, "KDMV", 4) || !memcmp(head, "COWD", 4)))
		return 100;
	size_t at = 0;
	while (at < len) {
		const uint8_t *end = memchr(head + at, '\n', len - at);
		size_t n = end ? (size_t)(end - head) - at : len - at;
		n -= n && head[at + n - 1] == '\r';
		for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++)
			if (n == 9 && !memcmp(head + at, versions[i], 9))
				return 100;
		if (n && head[at] != '#' && head[at] != ' ')
			return 0;
		at = end ? (size_t)(end - head) + 1 : len;
	}
	return 0;
}

static void vmdk_info(Node *node, NodeInfo *out)
{
	Vmdk *s = node->state;
	for (unsigned i = 0; i < s->extents->len; i++) {
		VmdkExtent *e = &g_array_index(s->extents, VmdkExtent, i);
		if (i && e->grain != out->cluster_size) {
			out->cluster_size = 0;
			return;
		}
		out->cluster_size = e->grain;
	}
}

static json_t *vmdk_specific(Node *node)
{
	Vmdk *s = node->state;
	json_t *extents = json_array();
	for (unsigned i = 0; i < s->extents->len; i++) {
		VmdkExtent *e = &g_array_index(s->extents, VmdkExtent, i);
		json_t *o = json_object();
		if (e->packed)
			json_object_set_new(o, "compressed", json_true());
		json_object_set_new(o, "virtual-size", json_integer((json_int_t)e->bytes));
		json_object_set_new(o, "filename",
			json_string(e->file && e->file->filename ? e->file->filename : e->name));
		if (e->grain)
			json_object_set_new(o, "cluster-size", json_integer((json_int_t)e->grain));
		json_object_set_new(o, "format", json_string(e->type));
		json_array_append_new(extents, o);
	}
	json_t *create_type = json_string(s->create_type);
	return json_pack("{s:s, s:{s:I, s:I, s:o, s:o}}", "type", "vmdk", "data", "cid",
		(json_int_t)s->cid, "parent-cid", (json_int_t)s->parent_cid, "create-type",
		create_type ? create_type : json_string("?"), "extents", extents);
}

static int vmdk_check(Node *node, CheckResult *r, unsigned fix)
{
	Vmdk *s = node->state;
	for (uint64_t at = 0; at < node->length;) {
		Place p = { .file = node->file };
		int ret = s->map.ops->find(node, at, &p);
		if (ret < 0) {
			r->check_errors++;
			return ret;
		}
		bool data = p.kind == PLACE_DATA || p.kind == PLACE_PACKED;
		r->total_clusters++;
		r->allocated_clusters += data;
		if (data && p.host >= p.file->length) {
			r->corruptions++;
			if (r->report)
				g_string_append_printf(r->report, "ERROR: the grain at %" PRIu64
					" lies past the end of its file, at %" PRIu64 "\n", at, p.host);
		}
		at = p.start + p.bytes;
	}
	return 0;
}

static bool vmdk_set_writable(Node *node, bool writable, GError **error)
{
	for (unsigned i = 0; i < node->children->len; i++)
		if (!node_set_writable(g_ptr_array_index(node->children, i), writable, error))
			return false;
	return true;
}

const Driver vmdk_driver = {
	.name = "vmdk", .desc = "VMware's disk image", .size = sizeof(Vmdk),
	.create_options = vmdk_create_options, .backing = true, .probe = vmdk_probe, .open = vmdk_open,
	.close = vmdk_close, .create = vmdk_create, .read = blockmap_read, .write = vmdk_write,
	.write_compressed = vmdk_write_compressed, .write_zeroes = vmdk_write_zeroes,
	.status = blockmap_status, .info = vmdk_info, .specific = vmdk_specific, .check = vmdk_check,
	.set_writable = vmdk_set_writable,
};
