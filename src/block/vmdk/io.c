/*
 * io.c - reading and writing VMDK images: grains by their directory and tables. See vmdk.h.
 */
#include "block/vmdk/vmdk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

static VmdkExtent *extent_at(Vmdk *s, uint64_t offset)
{
	/* They lie one behind the other. */
	unsigned low = 0, high = s->extents->len;
	while (high - low > 1) {
		unsigned mid = (low + high) / 2;
		if (g_array_index(s->extents, VmdkExtent, mid).start <= offset)
			low = mid;
		else
			high = mid;
	}
	VmdkExtent *e = &g_array_index(s->extents, VmdkExtent, low);
	return offset - e->start < e->bytes ? e : NULL;
}

/* What lies on top of another image must not show a base that has changed. */
static int check_parent(Node *node)
{
	Vmdk *s = node->state;
	if (s->parent_checked || !node->backing)
		return 0;
	if (strcmp(node->backing->driver->name, "vmdk")
		|| NODE_STATE(node->backing, Vmdk)->cid != s->parent_cid)
		return -EINVAL;
	s->parent_checked = true;
	return 0;
}

static int vmdk_find(Node *node, uint64_t offset, Place *out)
{
	Vmdk *s = node->state;
	VmdkExtent *e = extent_at(s, offset);
	const uint8_t *table;
	if (!e)
		return -EIO;
	*out = (Place){ .kind = PLACE_ZERO, .file = e->file, .start = e->start, .bytes = e->bytes };
	if (!e->file)
		return 0;
	if (e->flat) {
		out->kind = PLACE_DATA;
		out->host = e->flat_offset;
		return 0;
	}
	uint64_t index = (offset - e->start) / e->grain;
	out->start = e->start + index * e->grain;
	/* The last grain of an extent is whole in its file, and ends with it in the disk. */
	out->bytes = MIN(e->grain, e->bytes - index * e->grain);
	out->kind = PLACE_NONE;
	uint64_t gt = index / e->gtes;
	if (gt >= e->gd_entries)
		return -EIO;
	int ret = check_parent(node);
	if (ret < 0 || !e->gd[gt])
		return ret;
	ret = tables_get(&s->tables, e->file, (uint64_t)e->gd[gt] * SECTOR, 4 * (size_t)e->gtes, &table);
	if (ret < 0)
		return ret;
	uint32_t entry = le32(table + 4 * (index % e->gtes));
	if (entry == 1 && e->zero_grains)
		out->kind = PLACE_ZERO;
	else if (entry)
		out->kind = e->packed ? PLACE_PACKED : PLACE_DATA;
	out->host = (uint64_t)entry * SECTOR;
	return 0;
}

/* ---- Tables ------------------------------------------------------------------------------------ */

/* An empty grain table at the extent's end, entered in a directory. */
static int new_table(VmdkExtent *e, uint64_t gd_at, uint32_t *gd, uint64_t index)
{
	size_t bytes = (4 * (size_t)e->gtes + SECTOR - 1) & ~(size_t)(SECTOR - 1);
	g_autofree uint8_t *zeroes = g_malloc0(bytes);
	uint64_t at = e->end, unit = e->packed ? SECTOR : e->grain;
	uint8_t word[4];
	if (at / SECTOR > UINT32_MAX)
		return -EFBIG;
	e->end = (at + bytes + unit - 1) & ~(unit - 1);
	set_le32(word, (uint32_t)(at / SECTOR));
	int ret = node_pwrite(e->file, at, zeroes, bytes);
	if (ret >= 0)
		ret = node_pwrite(e->file, gd_at + 4 * index, word, 4);
	if (ret >= 0)
		gd[index] = (uint32_t)(at / SECTOR);
	return ret;
}

static int set_entry(Node *node, uint64_t offset, uint32_t entry)
{
	Vmdk *s = node->state;
	VmdkExtent *e = extent_at(s, offset);
	uint64_t index = (offset - e->start) / e->grain, gt = index / e->gtes;
	uint8_t word[4];
	int ret = 0;
	set_le32(word, entry);
	if (!e->gd[gt])
		ret = new_table(e, e->gd_at, e->gd, gt);
	if (ret >= 0 && e->rgd && !e->rgd[gt])
		ret = new_table(e, e->rgd_at, e->rgd, gt);
	if (ret >= 0)
		ret = tables_put(&s->tables, e->file, (uint64_t)e->gd[gt] * SECTOR,
			4 * (index % e->gtes), word, 4);
	if (ret >= 0 && e->rgd)
		ret = node_pwrite(e->file, (uint64_t)e->rgd[gt] * SECTOR + 4 * (index % e->gtes), word, 4);
	return ret;
}

static int vmdk_place(Node *node, Place *p)
{
	VmdkExtent *e = extent_at(node->state, p->start);
	if (!e->file)
		return -EPERM;
	if (e->end / SECTOR > UINT32_MAX)
		return -EFBIG;
	p->host = e->end;
	e->end += e->grain;
	/* The whole grain is there, also where the disk ends within. */
	if (p->bytes < e->grain && !node_truncate(e->file, e->end, false, PREALLOC_OFF, NULL))
		return -ENOSPC;
	return 0;
}

static int vmdk_enter(Node *node, Place *p)
{
	return set_entry(node, p->start, (uint32_t)(p->host / SECTOR));
}

static int vmdk_zero(Node *node, Place *p)
{
	VmdkExtent *e = extent_at(node->state, p->start);
	return e->zero_grains && p->kind == PLACE_NONE ? set_entry(node, p->start, 1) : -ENOTSUP;
}

/* ---- Compressed grains ------------------------------------------------------------------------- */

static int vmdk_unpack(Node *node, const Place *p, uint8_t *buf)
{
	VmdkExtent *e = extent_at(node->state, p->start);
	uint8_t header[VMDK_GRAIN_HEADER];
	uint64_t len = 2 * e->grain, skip = e->markers ? VMDK_GRAIN_HEADER : 0;
	if (p->host >= e->file->length)
		return -EIO;
	int ret = e->markers ? node_pread(e->file, p->host, header, sizeof(header)) : 0;
	if (ret < 0)
		return ret;
	if (e->markers)
		len = le32(header + 8);
	if (!len || len > 2 * e->grain)
		return -EIO;
	g_autofree uint8_t *packed = g_try_malloc(len), *whole = g_try_malloc0(e->grain);
	if (!packed || !whole)
		return -ENOMEM;
	ret = node_pread(e->file, p->host + skip, packed, len);
	if (ret < 0)
		return ret;
	z_stream z = { .next_in = packed, .avail_in = (uInt)len, .next_out = whole,
		.avail_out = (uInt)e->grain };
	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	int how = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* A last grain may be shorter than the others. */
	if (how != Z_STREAM_END && !(how == Z_BUF_ERROR && !z.avail_out))
		return -EIO;
	memcpy(buf, whole, p->bytes);
	return 0;
}

const BlockMapOps vmdk_ops = { vmdk_find, vmdk_place, vmdk_enter, vmdk_zero, vmdk_unpack };

/* The grain `data` compressed to the extent's end, and its entry. */
static int pack(Node *node, VmdkExtent *e, const Place *p, const uint8_t *data)
{
	uLongf len = compressBound(e->grain);
	size_t head = e->markers ? VMDK_GRAIN_HEADER : 0;
	g_autofree uint8_t *buf = g_try_malloc0(head + len + SECTOR);
	if (!buf)
		return -ENOMEM;
	if (compress(buf + head, &len, data, e->grain) != Z_OK)
		return -EIO;
	if (head) {
		set_le64(buf, p->start / SECTOR);
		set_le32(buf + 8, (uint32_t)len);
	}
	size_t whole = (head + len + SECTOR - 1) & ~(size_t)(SECTOR - 1);
	uint64_t at = e->end;
	if (at / SECTOR > UINT32_MAX)
		return -EFBIG;
	memset(buf + head + len, 0, whole - head - len);
	e->end += whole;
	int ret = node_pwrite(e->file, at, buf, whole);
	return ret < 0 ? ret : set_entry(node, p->start, (uint32_t)(at / SECTOR));
}

/* A part of a grain; what was packed before is packed anew, elsewhere. */
static int write_packed(Node *node, uint64_t offset, Iov iov, uint64_t *here)
{
	VmdkExtent *e = extent_at(node->state, offset);
	Place p = { 0 };
	int ret = vmdk_find(node, offset, &p);
	if (ret < 0)
		return ret;
	*here = MIN(iov.len, p.bytes - (offset - p.start));
	Iov part = iov_part(iov, 0, *here);
	if (p.kind != PLACE_PACKED && !node->backing && iov_is_zero(part))
		return 0;
	g_autofree uint8_t *buf = g_try_malloc0(e->grain);
	if (!buf)
		return -ENOMEM;
	if (*here < p.bytes) {
		struct iovec v = { buf, p.bytes };
		ret = p.kind == PLACE_PACKED ? vmdk_unpack(node, &p, buf)
			: p.kind == PLACE_NONE && node->backing
				? blockmap_read_padded(node->backing, p.start, iov_one(&v)) : 0;
	}
	iov_copy_out(part, 0, buf + (offset - p.start), *here);
	return ret < 0 ? ret : pack(node, e, &p, buf);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

int vmdk_new_cid(Node *node)
{
	Vmdk *s = node->state;
	if (s->cid_written)
		return 0;
	const char *at = g_str_has_prefix(s->desc, "CID=") ? s->desc : strstr(s->desc, "\nCID=");
	if (!at)
		return 0;
	at += *at == '\n';
	uint32_t cid = g_random_int_range(1, INT32_MAX);
	g_autofree char *text = g_strdup_printf("%.*sCID=%08" PRIx32 "%s", (int)(at - s->desc), s->desc, cid,
		at + strcspn(at, "\r\n"));
	size_t len = strlen(text), room = s->desc_room ? s->desc_room : len;
	if (len > room)
		return 0;
	g_autofree char *all = g_malloc0(room);
	memcpy(all, text, len);
	s->cid_written = true;
	s->cid = cid;
	int ret = node_pwrite(node->file, s->desc_at, all, room);
	if (ret >= 0 && !s->desc_room && len < node->file->length
		&& !node_truncate(node->file, len, true, PREALLOC_OFF, NULL))
		ret = -EIO;
	g_free(s->desc);
	s->desc = g_steal_pointer(&text);
	return ret;
}

static bool is_packed(Vmdk *s, uint64_t offset)
{
	VmdkExtent *e = extent_at(s, offset);
	return e && e->packed;
}

int vmdk_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	Vmdk *s = node->state;
	uint64_t here;
	int ret = vmdk_new_cid(node);
	if (ret < 0 || !is_packed(s, offset))
		return ret < 0 ? ret : blockmap_write(node, offset, iov, flags);
	for (size_t done = 0; done < iov.len && ret >= 0; done += here) {
		fiber_lock(&s->map.lock);
		here = 0;
		ret = is_packed(s, offset + done)
			? write_packed(node, offset + done, iov_part(iov, done, iov.len - done), &here)
			: -EIO;
		fiber_unlock(&s->map.lock);
	}
	return ret >= 0 && flags & REQ_FUA ? node_flush(node->file) : ret;
}

int vmdk_write_compressed(Node *node, uint64_t offset, Iov iov)
{
	if (!is_packed(node->state, MIN(offset, node->length - 1)))
		return -ENOTSUP;
	return iov.len ? vmdk_write(node, offset, iov, 0) : 0;
}

int vmdk_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	int ret = is_packed(node->state, offset) ? -ENOTSUP : vmdk_new_cid(node);
	return ret < 0 ? ret : blockmap_write_zeroes(node, offset, bytes, flags);
}
