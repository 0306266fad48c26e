/*
 * open.c - what a VMDK image says about itself: headers, the descriptor, extents. See vmdk.h.
 */
#include "block/vmdk/vmdk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The descriptor ---------------------------------------------------------------------------- */

char *vmdk_word(const char *desc, const char *key)
{
	size_t n = strlen(key);
	for (const char *line = desc; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *p = line + strspn(line, " \t");
		if (strncmp(p, key, n))
			continue;
		p += n;
		p += strspn(p, " \t");
		if (*p != '=')
			continue;
		p += 1 + strspn(p + 1, " \t");
		bool quoted = *p == '"';
		p += quoted;
		return g_strndup(p, strcspn(p, quoted ? "\"\r\n" : " \t\r\n"));
	}
	return NULL;
}

static bool read_descriptor(Node *node, uint64_t at, uint64_t room, GError **error)
{
	Vmdk *s = node->state;
	uint64_t len = room ? room : node->file->length;
	if (len > VMDK_DESC_MAX || at > node->file->length)
		return fail(error, VIV_ERROR_INVALID,
			"the VMDK descriptor is %" PRIu64 " bytes long; %d are the most", len, VMDK_DESC_MAX);
	s->desc = g_malloc0(len + 1);
	s->desc_at = at;
	s->desc_room = room;
	int ret = node_pread(node->file, at, s->desc, len);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read the VMDK descriptor: %s",
			g_strerror(-ret));
	g_autofree char *cid = vmdk_word(s->desc, "CID"), *parent = vmdk_word(s->desc, "parentCID"),
		*hint = vmdk_word(s->desc, "parentFileNameHint");
	s->create_type = vmdk_word(s->desc, "createType");
	if (!s->create_type || !cid)
		return fail(error, VIV_ERROR_INVALID, "invalid VMDK image descriptor: no %s",
			cid ? "createType" : "CID");
	s->cid = (uint32_t)strtoul(cid, NULL, 16);
	s->parent_cid = parent ? (uint32_t)strtoul(parent, NULL, 16) : VMDK_NO_PARENT;
	if (hint && s->parent_cid != VMDK_NO_PARENT) {
		node->backing_file = g_steal_pointer(&hint);
		node->backing_format = g_strdup("vmdk");
	}
	return true;
}

/* ---- A sparse extent --------------------------------------------------------------------------- */

/* A grain directory, in host order; NULL: *error. */
static uint32_t *read_directory(const VmdkExtent *e, uint64_t at, GError **error)
{
	size_t bytes = 4 * (size_t)e->gd_entries;
	uint32_t *gd = NULL;
	int ret = -EINVAL;
	if (at <= e->file->length && bytes <= e->file->length - at) {
		gd = g_try_malloc(MAX(bytes, 4));
		ret = gd ? node_pread(e->file, at, gd, bytes) : -ENOMEM;
	}
	for (uint32_t i = 0; i < e->gd_entries && ret >= 0; i++)
		gd[i] = GUINT32_FROM_LE(gd[i]);
	if (ret >= 0)
		return gd;
	g_free(gd);
	fail(error, VIV_ERROR_INVALID, "Could not read the VMDK grain directory at %" PRIu64 ": %s", at,
		g_strerror(-ret));
	return NULL;
}

static bool read_header(VmdkExtent *e, uint8_t *h, GError **error)
{
	int ret = node_pread(e->file, 0, h, SECTOR);
	/* A stream's directory is known at its end only: there is a second header. */
	if (ret >= 0 && le64(h + V_GD) == UINT64_MAX && e->file->length >= 3 * SECTOR)
		ret = node_pread(e->file, e->file->length - 2 * SECTOR, h, SECTOR);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read VMDK header: %s", g_strerror(-ret));
	if (le32(h) != VMDK_MAGIC)
		return fail(error, VIV_ERROR_INVALID, "Image not in VMDK format");
	if (le32(h + V_VERSION) > 3)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported VMDK version %" PRIu32,
			le32(h + V_VERSION));
	return true;
}

static bool read_sparse(Node *node, VmdkExtent *e, const uint8_t *h, GError **error)
{
	uint32_t flags = le32(h + V_FLAGS);
	uint64_t capacity = le64(h + V_CAPACITY), grain = le64(h + V_GRAIN), most = INT64_MAX / SECTOR;
	e->gtes = le32(h + V_GTES);
	if (!grain || grain > VMDK_GRAIN_MAX / SECTOR || grain & (grain - 1))
		return fail(error, VIV_ERROR_INVALID, "Invalid granularity, image may be corrupt");
	if (!e->gtes || e->gtes > VMDK_GTES || capacity > most)
		return fail(error, VIV_ERROR_INVALID, "L2 table size too big, or an impossible capacity");
	e->grain = grain * SECTOR;
	uint64_t entries = capacity / (grain * e->gtes) + (capacity % (grain * e->gtes) != 0);
	if (entries > VMDK_GD_MAX || le64(h + V_GD) > most || le64(h + V_RGD) > most)
		return fail(error, VIV_ERROR_INVALID, "L1 size too big, or at an impossible place");
	e->gd_entries = (uint32_t)entries;
	e->gd_at = le64(h + V_GD) * SECTOR;
	e->rgd_at = flags & VF_RGD ? le64(h + V_RGD) * SECTOR : 0;
	e->packed = flags & VF_PACKED;
	e->markers = flags & VF_MARKERS;
	e->zero_grains = flags & VF_ZERO_GRAIN;
	if (e->packed && (h[V_COMPRESS] != 1 || h[V_COMPRESS + 1]))
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported compression algorithm in VMDK");
	if (!e->bytes)
		e->bytes = capacity * SECTOR;
	if (e->bytes > capacity * SECTOR)
		return fail(error, VIV_ERROR_INVALID, "a VMDK extent is shorter than its descriptor says");
	e->gd = read_directory(e, e->gd_at, error);
	if (!e->gd)
		return false;
	if (node->flags & NODE_WRITE && e->rgd_at && !(e->rgd = read_directory(e, e->rgd_at, error)))
		return false;
	uint64_t unit = e->packed ? SECTOR : e->grain;
	e->end = (e->file->length + unit - 1) & ~(unit - 1);
	return true;
}

/* ---- Extents ----------------------------------------------------------------------------------- */

static VmdkExtent *add_extent(Vmdk *s, uint64_t bytes, const char *name, const char *type)
{
	uint64_t start = 0;
	if (s->extents->len) {
		VmdkExtent *last = &g_array_index(s->extents, VmdkExtent, s->extents->len - 1);
		start = last->start + last->bytes;
	}
	VmdkExtent e = { .start = start, .bytes = bytes, .name = g_strdup(name),
		.type = g_strdup(type) };
	g_array_append_val(s->extents, e);
	return &g_array_index(s->extents, VmdkExtent, s->extents->len - 1);
}

static bool open_extent(Node *node, VmdkExtent *e, GError **error)
{
	g_autofree char *path = node_path(node->filename, e->name);
	unsigned flags = node->flags & (NODE_WRITE | NODE_DIRECT | NODE_NO_FLUSH | NODE_UNMAP
		| NODE_SHARE);
	uint8_t h[SECTOR];
	e->file = node_open_file(path, flags | (flags & NODE_SHARE ? 0 : NODE_EXCLUSIVE), error);
	if (!e->file) {
		g_prefix_error(error, "Could not open extent: ");
		return false;
	}
	g_ptr_array_add(node->children, e->file);
	if (!e->flat)
		return read_header(e, h, error) && read_sparse(node, e, h, error);
	return (e->flat_offset <= e->file->length && e->bytes <= e->file->length - e->flat_offset)
		|| fail(error, VIV_ERROR_INVALID, "the VMDK extent '%s' is shorter than its %" PRIu64
			" bytes", e->name, e->bytes);
}

/* One line: ACCESS SECTORS TYPE "NAME" [OFFSET]. */
static bool parse_extent(Node *node, const char *line, GError **error)
{
	char access[16], type[16], name[1024] = "";
	uint64_t sectors = 0, offset = 0;
	Vmdk *s = node->state;
	int n = sscanf(line, "%15s %" SCNu64 " %15s \"%1023[^\"\n]\" %" SCNu64, access, &sectors, type, name,
		&offset);
	bool zero = n >= 3 && !strcmp(type, "ZERO");
	bool flat = n >= 4 && (!strcmp(type, "FLAT") || !strcmp(type, "VMFS"));
	if (n < 3 || (!zero && n < 4) || (flat && n < 5 && strcmp(type, "VMFS")))
		return fail(error, VIV_ERROR_INVALID, "Invalid extent line: %.60s", line);
	if (!zero && !flat && strcmp(type, "SPARSE"))
		return fail(error, VIV_ERROR_UNSUPPORTED, "Unsupported extent type '%s'", type);
	if (!sectors || sectors > INT64_MAX / SECTOR || offset > INT64_MAX / SECTOR
		|| s->extents->len >= VMDK_EXTENTS_MAX)
		return fail(error, VIV_ERROR_INVALID, "Invalid extent line: %.60s", line);
	if (!strcmp(access, "NOACCESS"))
		return true;
	VmdkExtent *e = add_extent(s, sectors * SECTOR, name, type);
	e->flat = flat;
	e->flat_offset = offset * SECTOR;
	if (e->start > (uint64_t)NODE_LENGTH_MAX - e->bytes)
		return fail(error, VIV_ERROR_INVALID, "the VMDK extents are too large together");
	if (!strcmp(access, "RDONLY"))
		node->read_only = true;
	return zero || open_extent(node, e, error);
}

static bool parse_extents(Node *node, GError **error)
{
	Vmdk *s = node->state;
	for (const char *line = s->desc; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "RW ", 3) || !strncmp(line, "RDONLY ", 7)
			|| !strncmp(line, "NOACCESS ", 9)) {
			if (!parse_extent(node, line, error))
				return false;
		}
	}
	return s->extents->len || fail(error, VIV_ERROR_INVALID, "the VMDK descriptor names no extent");
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static bool open_single(Node *node, GError **error)
{
	Vmdk *s = node->state;
	uint8_t h[SECTOR];
	VmdkExtent *e = add_extent(s, 0, node->file->filename ? node->file->filename : "", "");
	e->file = node->file;
	if (!read_header(e, h, error) || !read_sparse(node, e, h, error))
		return false;
	uint64_t at = le64(h + V_DESC), room = le64(h + V_DESC_SIZE);
	/* The last header of a stream may leave this out. */
	if (!at && node_pread(node->file, 0, h, SECTOR) >= 0) {
		at = le64(h + V_DESC);
		room = le64(h + V_DESC_SIZE);
	}
	if (!at || at > INT64_MAX / SECTOR || !room || room > VMDK_DESC_MAX / SECTOR)
		return fail(error, VIV_ERROR_INVALID, "the VMDK image has no descriptor: it is an extent "
			"of another, or damaged");
	return read_descriptor(node, at * SECTOR, room * SECTOR, error);
}

void vmdk_close(Node *node)
{
	Vmdk *s = node->state;
	for (unsigned i = 0; i < s->extents->len; i++) {
		VmdkExtent *e = &g_array_index(s->extents, VmdkExtent, i);
		g_free(e->name);
		g_free(e->type);
		g_free(e->gd);
		g_free(e->rgd);
	}
	g_array_free(s->extents, TRUE);
	blockmap_forget(&s->map);
	tables_free(&s->tables);
	g_free(s->desc);
	g_free(s->create_type);
}

bool vmdk_open(Node *node, GError **error)
{
	Vmdk *s = node->state;
	uint8_t magic[4];
	int ret = node_pread(node->file, 0, magic, 4);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Could not read VMDK header: %s", g_strerror(-ret));
	s->map.ops = &vmdk_ops;
	s->extents = g_array_new(FALSE, TRUE, sizeof(VmdkExtent));
	node->align = SECTOR;
	bool ok = !memcmp(magic, "KDMV", 4) ? open_single(node, error)
		: read_descriptor(node, 0, 0, error) && parse_extents(node, error);
	if (!ok) {
		vmdk_close(node);
		return false;
	}
	VmdkExtent *last = &g_array_index(s->extents, VmdkExtent, s->extents->len - 1);
	node->length = last->start + last->bytes;
	return true;
}
