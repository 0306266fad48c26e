/*
 * create.c - new VMDK images. See vmdk.h.
 */
#include "block/vmdk/vmdk.h"

#include <inttypes.h>
#include <string.h>

enum { DESC_SECTORS = 20, GRAIN_SECTORS = 128 };
#define SPLIT (1ull << 31)

static const char *const adapters[] = { "ide", "lsilogic", "buslogic", "legacyESX", NULL };
static const char *const subformats[] = { "monolithicSparse", "monolithicFlat",
	"twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL };
const BlockOption vmdk_create_options[] = {
	{ "adapter_type", OPT_ENUM, 0, "ide",
		"Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX",
		adapters },
	{ "backing_file", OPT_STRING, 0, NULL, "File name of a base image" },
	{ "backing_fmt", OPT_STRING, 0, NULL, "Must be 'vmdk' if present" },
	{ "compat6", OPT_BOOL, 0, "off", "VMDK version 6 image" },
	{ "hwversion", OPT_STRING, 0, "undefined", "VMDK hardware version" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ "subformat", OPT_ENUM, 0, NULL, "VMDK flat extent format, can be one of {monolithicSparse "
		"(default) | monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | "
		"streamOptimized} ", subformats },
	{ "toolsversion", OPT_STRING, 0, NULL, "VMware guest tools version" },
	{ "zeroed_grain", OPT_BOOL, 0, "off",
		"Enable efficient zero writes using the zeroed-grain GTE feature" },
	{ 0 }
};

typedef struct Plan {
	uint64_t size;
	const char *subformat, *backing;
	bool flat, split, packed, zeroed;
	uint32_t parent_cid;
	GString *extents;
} Plan;

/* A sparse extent without a grain; `desc` is the descriptor within, or NULL. */
static bool create_sparse(const char *path, const Plan *p, uint64_t size, const char *desc,
	GError **error)
{
	uint64_t sectors = size / SECTOR, per_table = GRAIN_SECTORS * VMDK_GTES;
	uint64_t tables = (sectors + per_table - 1) / per_table, table = VMDK_GTES * 4 / SECTOR;
	uint64_t dir = (4 * tables + SECTOR - 1) / SECTOR, rgd = 1 + DESC_SECTORS,
		 gd = rgd + dir + tables * table, end = gd + dir + tables * table;
	uint8_t h[SECTOR] = { 0 };
	end = (end + GRAIN_SECTORS - 1) / GRAIN_SECTORS * GRAIN_SECTORS;
	if (tables > VMDK_GD_MAX || end > UINT32_MAX)
		return fail(error, VIV_ERROR_INVALID, "The image size is too large for this VMDK subformat");
	memcpy(h, "KDMV", 4);
	set_le32(h + V_VERSION, p->packed ? 3 : p->zeroed ? 2 : 1);
	set_le32(h + V_FLAGS, VF_NEWLINE | VF_RGD | (p->packed ? VF_PACKED | VF_MARKERS : 0)
		| (p->zeroed ? VF_ZERO_GRAIN : 0));
	set_le64(h + V_CAPACITY, sectors);
	set_le64(h + V_GRAIN, GRAIN_SECTORS);
	if (desc) {
		set_le64(h + V_DESC, 1);
		set_le64(h + V_DESC_SIZE, DESC_SECTORS);
	}
	set_le32(h + V_GTES, VMDK_GTES);
	set_le64(h + V_RGD, rgd);
	set_le64(h + V_GD, gd);
	set_le64(h + V_OVERHEAD, end);
	/* What a transfer as text would spoil. */
	memcpy(h + V_CHECK, "\n \r\n", 4);
	set_le16(h + V_COMPRESS, p->packed ? 1 : 0);
	g_autofree uint8_t *first = g_malloc0(MAX(dir * SECTOR, 1)), *second = g_malloc0(MAX(dir * SECTOR, 1));
	for (uint64_t i = 0; i < tables; i++) {
		set_le32(first + 4 * i, (uint32_t)(rgd + dir + i * table));
		set_le32(second + 4 * i, (uint32_t)(gd + dir + i * table));
	}
	NewPart parts[] = { { 0, h, SECTOR }, { rgd * SECTOR, first, dir * SECTOR },
		{ gd * SECTOR, second, dir * SECTOR }, { SECTOR, desc, desc ? strlen(desc) : 0 } };
	if (parts[3].len > DESC_SECTORS * SECTOR)
		return fail(error, VIV_ERROR_INVALID, "the VMDK descriptor is too long");
	return blockmap_create(path, NULL, end * SECTOR, parts, desc ? 4 : 3, error);
}

/* Extent number `i` of "dir/name.vmdk": "dir/name-s001.vmdk". */
static char *extent_path(const char *filename, const Plan *p, unsigned i)
{
	const char *slash = strrchr(filename, '/'), *dot = strrchr(filename, '.');
	if (!dot || (slash && dot < slash))
		dot = filename + strlen(filename);
	if (!p->split)
		return g_strdup_printf("%.*s-flat%s", (int)(dot - filename), filename, dot);
	return g_strdup_printf("%.*s-%c%03u%s", (int)(dot - filename), filename, p->flat ? 'f' : 's', i,
		dot);
}

static bool create_extents(const char *filename, Plan *p, GError **error)
{
	uint64_t left = p->size;
	for (unsigned i = 1; left || i == 1; i++) {
		uint64_t size = p->split ? MIN(left, SPLIT) : left;
		g_autofree char *path = extent_path(filename, p, i), *name = g_path_get_basename(path);
		bool ok = p->flat ? node_create_file(path, size, error)
			: create_sparse(path, p, size, NULL, error);
		if (!ok)
			return false;
		g_string_append_printf(p->extents, "RW %" PRIu64 " %s \"%s\"%s\n", size / SECTOR,
			p->flat ? "FLAT" : "SPARSE", name, p->flat ? " 0" : "");
		left -= size;
	}
	return true;
}

static char *descriptor(const Plan *p, json_t *opts)
{
	const char *adapter = opt_text(opts, "adapter_type"), *hw = opt_text(opts, "hwversion"),
		   *tools = opt_text(opts, "toolsversion");
	bool esx = adapter && !strcmp(adapter, "legacyESX");
	unsigned heads = adapter && strcmp(adapter, "ide") ? 255 : 16;
	if (!hw || !strcmp(hw, "undefined"))
		hw = opt_bool(opts, "compat6", false) ? "6" : "4";
	g_autofree char *parent = p->backing
		? g_strdup_printf("parentFileNameHint=\"%s\"\n", p->backing) : g_strdup("");
	return g_strdup_printf("# Disk DescriptorFile\nversion=1\nCID=%08" PRIx32 "\nparentCID=%08" PRIx32
		"\ncreateType=\"%s\"\n%s\n# Extent description\n%s\n# The Disk Data Base\n#DDB\n\n"
		"ddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		"ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"63\"\n"
		"ddb.adapterType = \"%s\"\nddb.toolsVersion = \"%s\"\n",
		(uint32_t)g_random_int_range(1, INT32_MAX), p->parent_cid, p->subformat, parent,
		p->extents->str, hw, p->size / SECTOR / 63 / heads, heads,
		esx ? "lsilogic" : adapter ? adapter : "ide", tools ? tools : "2147483647");
}

/* The parent's content id goes into the child. */
static bool look_at_parent(const char *filename, Plan *p, GError **error)
{
	g_autofree char *path = node_path(filename, p->backing);
	Node *node = node_open(loop_self(), path, NULL, NODE_NO_BACKING, error);
	if (!node)
		return false;
	bool ok = !strcmp(node->driver->name, "vmdk");
	if (ok)
		p->parent_cid = NODE_STATE(node, Vmdk)->cid;
	node_unref(node);
	return ok || fail(error, VIV_ERROR_INVALID,
		"Invalid backing file for VMDK image creation: '%s'. It must be a VMDK image too", path);
}

static bool check_words(const Plan *p, json_t *opts, GError **error)
{
	const char *hw = opt_text(opts, "hwversion"), *format = opt_text(opts, "backing_fmt"),
		   *tools = opt_text(opts, "toolsversion");
	if (hw && strcmp(hw, "undefined") && opt_bool(opts, "compat6", false))
		return fail(error, VIV_ERROR_INVALID, "compat6 cannot be enabled with hwversion set");
	if (format && strcmp(format, "vmdk"))
		return fail(error, VIV_ERROR_INVALID, "backing_file must be a vmdk image");
	if (p->backing && p->flat)
		return fail(error, VIV_ERROR_INVALID, "Flat image can't have backing file");
	if (p->zeroed && p->flat)
		return fail(error, VIV_ERROR_INVALID, "Flat image can't enable zeroed grain");
	if ((hw && strpbrk(hw, "\"\n")) || (tools && strpbrk(tools, "\"\n"))
		|| (p->backing && strpbrk(p->backing, "\"\n")))
		return fail(error, VIV_ERROR_INVALID, "a VMDK descriptor cannot hold quotes in its words");
	return true;
}

bool vmdk_create(const char *filename, json_t *opts, GError **error)
{
	const char *sub = opt_text(opts, "subformat");
	Plan p = { .size = blockmap_size(opts), .subformat = sub ? sub : "monolithicSparse",
		.backing = opt_text(opts, "backing_file"), .parent_cid = VMDK_NO_PARENT };
	p.flat = g_str_has_suffix(p.subformat, "Flat");
	p.split = g_str_has_prefix(p.subformat, "twoGb");
	p.packed = !strcmp(p.subformat, "streamOptimized");
	p.zeroed = opt_bool(opts, "zeroed_grain", false);
	if (p.size > INT64_MAX / 2)
		return fail(error, VIV_ERROR_INVALID, "The image size is too large for VMDK");
	if (!check_words(&p, opts, error) || (p.backing && !look_at_parent(filename, &p, error)))
		return false;
	p.extents = g_string_new(NULL);
	bool single = !p.flat && !p.split, ok = true;
	if (single) {
		g_autofree char *name = g_path_get_basename(filename);
		g_string_append_printf(p.extents, "RW %" PRIu64 " SPARSE \"%s\"\n", p.size / SECTOR, name);
	} else {
		ok = create_extents(filename, &p, error);
	}
	g_autofree char *text = descriptor(&p, opts);
	NewPart part = { 0, text, strlen(text) };
	ok = ok && (single ? create_sparse(filename, &p, p.size, text, error)
		: blockmap_create(filename, NULL, 0, &part, 1, error));
	g_string_free(p.extents, TRUE);
	return ok;
}
