/*
 * blockmap.c - see blockmap.h.
 */
#include "block/blockmap.h"

#include <errno.h>
#include <string.h>

#define COPY_MAX (1u << 18)

static BlockMap *map_of(Node *node)
{
	return node->state;
}

/* The block at `offset`, and how many of `bytes` lie in it. */
static int find(Node *node, uint64_t offset, uint64_t bytes, Place *p, uint64_t *here)
{
	*p = (Place){ .file = node->file };
	int ret = map_of(node)->ops->find(node, offset, p);
	if (ret >= 0 && (offset < p->start || offset - p->start >= p->bytes))
		ret = -EIO;
	if (ret >= 0)
		*here = MIN(bytes, p->bytes - (offset - p->start));
	return ret;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

int blockmap_read_padded(Node *file, uint64_t offset, Iov iov)
{
	size_t have = offset >= file->length ? 0 : MIN(iov.len, file->length - offset);
	if (have < iov.len)
		iov_fill(iov, have, 0, iov.len - have);
	return have ? node_read(file, offset, iov_part(iov, 0, have)) : 0;
}

void blockmap_forget(BlockMap *map)
{
	g_clear_pointer(&map->last.data, g_free);
}

static int read_packed(Node *node, const Place *p, uint64_t inside, Iov iov)
{
	BlockMap *map = map_of(node);
	if (map->last.data && map->last.start == p->start && map->last.bytes == p->bytes
		&& map->last.host == p->host) {
		iov_copy_in(iov, 0, map->last.data + inside, iov.len);
		return 0;
	}
	uint8_t *buf = g_try_malloc(p->bytes);
	int ret = buf ? map->ops->unpack(node, p, buf) : -ENOMEM;
	if (ret < 0) {
		g_free(buf);
		return ret;
	}
	iov_copy_in(iov, 0, buf + inside, iov.len);
	g_free(map->last.data);
	map->last.data = buf;
	map->last.start = p->start;
	map->last.bytes = p->bytes;
	map->last.host = p->host;
	return 0;
}

static int read_data(Node *node, const Place *p, uint64_t offset, Iov iov)
{
	const BlockMapOps *ops = map_of(node)->ops;
	uint64_t inside = offset - p->start;
	if (p->host > (uint64_t)NODE_LENGTH_MAX - inside)
		return -EIO;
	int ret = blockmap_read_padded(p->file, p->host + inside, iov);
	return ret >= 0 && ops->decode ? ops->decode(node, offset, iov) : ret;
}

static int read_place(Node *node, const Place *p, uint64_t offset, Iov iov)
{
	uint64_t inside = offset - p->start;
	if (p->kind == PLACE_DATA)
		return read_data(node, p, offset, iov);
	if (p->kind == PLACE_PACKED)
		return read_packed(node, p, inside, iov);
	if (p->kind == PLACE_NONE && node->backing)
		return blockmap_read_padded(node->backing, offset, iov);
	iov_fill(iov, 0, 0, iov.len);
	return 0;
}

int blockmap_read(Node *node, uint64_t offset, Iov iov)
{
	uint64_t here;
	Place p;
	for (size_t done = 0; done < iov.len; done += here) {
		int ret = find(node, offset + done, iov.len - done, &p, &here);
		if (ret >= 0)
			ret = read_place(node, &p, offset + done, iov_part(iov, done, here));
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

/* Bytes of the disk into a block's place; encoded in a copy, as the buffer may be the guest's. */
static int write_data(Node *node, const Place *p, uint64_t offset, Iov iov, unsigned flags)
{
	const BlockMapOps *ops = map_of(node)->ops;
	uint64_t host = p->host + (offset - p->start);
	if (!ops->encode)
		return node_write(p->file, host, iov, flags);
	g_autofree uint8_t *buf = g_malloc(MIN(iov.len, COPY_MAX));
	int ret = 0;
	for (size_t done = 0; done < iov.len && ret >= 0; done += COPY_MAX) {
		struct iovec v = { buf, MIN(iov.len - done, COPY_MAX) };
		iov_copy_out(iov, done, buf, v.iov_len);
		ret = ops->encode(node, offset + done, iov_one(&v));
		if (ret >= 0)
			ret = node_write(p->file, host + done, iov_one(&v), flags);
	}
	return ret;
}

/* What a block that gets a place had before, for [from, to) of the disk. */
static int copy_old(Node *node, const Place *old, const Place *new, uint64_t from, uint64_t to)
{
	bool plain = old->kind == PLACE_ZERO || (old->kind == PLACE_NONE && !node->backing);
	if (from >= to)
		return 0;
	if (plain && !map_of(node)->ops->encode)
		return node_write_zeroes(new->file, new->host + (from - new->start), to - from, 0);
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	for (int ret; from < to; ) {
		struct iovec v = { buf, MIN(to - from, COPY_MAX) };
		ret = read_place(node, old, from, iov_one(&v));
		if (ret >= 0)
			ret = write_data(node, new, from, iov_one(&v), 0);
		if (ret < 0)
			return ret;
		from += v.iov_len;
	}
	return 0;
}

/* The file reaches to the block's end; *fresh: it read as zeroes all through. */
static int make_room(const Place *p, bool *fresh)
{
	*fresh = p->host >= p->file->length;
	if (p->host > (uint64_t)NODE_LENGTH_MAX - p->bytes)
		return -EFBIG;
	if (p->host + p->bytes <= p->file->length)
		return 0;
	return node_truncate(p->file, p->host + p->bytes, false, PREALLOC_OFF, NULL) ? 0 : -ENOSPC;
}

static int write_new(Node *node, const Place *old, uint64_t offset, Iov iov, unsigned flags)
{
	const BlockMapOps *ops = map_of(node)->ops;
	Place new = *old;
	bool fresh, zeroes = !ops->encode
		&& (old->kind == PLACE_ZERO || (old->kind == PLACE_NONE && !node->backing));
	int ret = old->kind == PLACE_PACKED && !ops->repack ? -EIO : ops->place(node, &new);
	if (ret < 0)
		return ret;
	new.kind = PLACE_DATA;
	ret = make_room(&new, &fresh);
	uint64_t end = offset + iov.len;
	if (ret >= 0 && !(fresh && zeroes)) {
		ret = copy_old(node, old, &new, new.start, offset);
		if (ret >= 0)
			ret = copy_old(node, old, &new, end, new.start + new.bytes);
	}
	if (ret >= 0)
		ret = write_data(node, &new, offset, iov, flags);
	if (ret >= 0)
		ret = ops->enter(node, &new);
	return ret >= 0 && flags & REQ_FUA ? node_flush(node->file) : ret;
}

static int write_block(Node *node, uint64_t offset, Iov iov, unsigned flags, uint64_t *here)
{
	Place p;
	int ret = find(node, offset, iov.len, &p, here);
	if (ret >= 0 && p.kind != PLACE_DATA) {
		fiber_lock(&map_of(node)->lock);
		ret = find(node, offset, iov.len, &p, here);
		if (ret >= 0 && p.kind != PLACE_DATA) {
			ret = write_new(node, &p, offset, iov_part(iov, 0, *here), flags);
			fiber_unlock(&map_of(node)->lock);
			return ret;
		}
		fiber_unlock(&map_of(node)->lock);
	}
	if (ret >= 0 && p.host > (uint64_t)NODE_LENGTH_MAX - p.bytes)
		ret = -EIO;
	return ret < 0 ? ret : write_data(node, &p, offset, iov_part(iov, 0, *here), flags);
}

int blockmap_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	uint64_t here;
	for (size_t done = 0; done < iov.len; done += here) {
		int ret = write_block(node, offset + done, iov_part(iov, done, iov.len - done), flags,
			&here);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int write_buffer(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	g_autofree uint8_t *buf = g_malloc0(MIN(bytes, COPY_MAX));
	while (bytes) {
		struct iovec v = { buf, MIN(bytes, COPY_MAX) };
		int ret = blockmap_write(node, offset, iov_one(&v), flags & REQ_FUA);
		if (ret < 0)
			return ret;
		offset += v.iov_len;
		bytes -= v.iov_len;
	}
	return 0;
}

static bool reads_zero(Node *node, const Place *p)
{
	return p->kind == PLACE_ZERO || (p->kind == PLACE_NONE && !node->backing);
}

/* One block's part of a range of zeroes. */
static int zero_block(Node *node, uint64_t offset, uint64_t bytes, unsigned flags, uint64_t *here)
{
	const BlockMapOps *ops = map_of(node)->ops;
	Place p;
	int ret = find(node, offset, bytes, &p, here);
	if (ret < 0 || reads_zero(node, &p))
		return ret;
	bool whole = offset == p.start && (*here == p.bytes || offset + *here == node->length);
	if (whole && ops->zero && (p.kind == PLACE_NONE || flags & REQ_UNMAP)) {
		fiber_lock(&map_of(node)->lock);
		ret = find(node, offset, bytes, &p, here);
		if (ret >= 0 && !reads_zero(node, &p))
			ret = ops->zero(node, &p);
		fiber_unlock(&map_of(node)->lock);
		if (ret != -ENOTSUP)
			return ret >= 0 && flags & REQ_FUA ? node_flush(node->file) : ret;
	}
	if (p.kind == PLACE_DATA && !ops->encode && p.host <= (uint64_t)NODE_LENGTH_MAX - p.bytes)
		return node_write_zeroes(p.file, p.host + (offset - p.start), *here, flags);
	return flags & REQ_NO_FALLBACK ? -ENOTSUP : write_buffer(node, offset, *here, flags);
}

int blockmap_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	uint64_t here;
	for (; bytes; offset += here, bytes -= here) {
		int ret = zero_block(node, offset, bytes, flags, &here);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- What lies where --------------------------------------------------------------------------- */

static unsigned status_flags(Node *node, const Place *p)
{
	switch (p->kind) {
	case PLACE_NONE: return 0;
	case PLACE_ZERO: return STATUS_ZERO | STATUS_ALLOCATED;
	case PLACE_PACKED: return STATUS_DATA | STATUS_ALLOCATED | STATUS_COMPRESSED;
	default:
		if (map_of(node)->ops->encode)
			return STATUS_DATA | STATUS_ALLOCATED;
		return STATUS_DATA | STATUS_ALLOCATED | STATUS_OFFSET | STATUS_RECURSE;
	}
}

int blockmap_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out)
{
	uint64_t asked = out->bytes, here, done = 0;
	Place first, p;
	int ret = find(node, offset, asked, &first, &here);
	if (ret < 0)
		return ret;
	if (first.kind == PLACE_DATA && first.host > (uint64_t)NODE_LENGTH_MAX - first.bytes)
		return -EIO;
	out->flags = status_flags(node, &first);
	out->file = first.file;
	out->map = first.host + (offset - first.start);
	/* So many blocks at most: a request must end. */
	for (unsigned n = 0; n < 65536 && done + here < asked; n++) {
		done += here;
		if (find(node, offset + done, asked - done, &p, &here) < 0 || p.kind != first.kind
			|| (p.kind == PLACE_DATA && (p.file != first.file || p.host != out->map + done)))
			break;
		if (done + here == asked) {
			out->bytes = asked;
			return 0;
		}
	}
	out->bytes = done ? done : here;
	return 0;
}

bool blockmap_set_writable(Node *node, bool writable, GError **error)
{
	return true;
}

/* ---- Tables ------------------------------------------------------------------------------------ */

static int slot_of(const TableCache *c, const Node *file, uint64_t offset, size_t size)
{
	for (unsigned i = 0; i < TABLES_MAX; i++)
		if (c->slot[i].data && c->slot[i].file == file && c->slot[i].offset == offset
			&& c->slot[i].size >= size)
			return i;
	return -1;
}

int tables_get(TableCache *c, Node *file, uint64_t offset, size_t size, const uint8_t **data)
{
	int i = slot_of(c, file, offset, size), ret = 0;
	if (i < 0) {
		fiber_lock(&c->lock);
		i = slot_of(c, file, offset, size);
	} else {
		c->slot[i].used = ++c->stamp;
		*data = c->slot[i].data;
		return 0;
	}
	uint8_t *buf = i < 0 ? g_try_malloc(size) : NULL;
	if (i < 0)
		ret = !buf ? -ENOMEM : offset > (uint64_t)NODE_LENGTH_MAX ? -EIO
			: node_pread(file, offset, buf, size);
	if (i < 0 && ret >= 0) {
		i = 0;
		for (unsigned k = 1; k < TABLES_MAX; k++)
			if (c->slot[k].used < c->slot[i].used)
				i = k;
		g_free(c->slot[i].data);
		c->slot[i].data = buf;
		c->slot[i].file = file;
		c->slot[i].offset = offset;
		c->slot[i].size = size;
		buf = NULL;
	}
	if (ret >= 0) {
		c->slot[i].used = ++c->stamp;
		*data = c->slot[i].data;
	}
	g_free(buf);
	/* Whoever waits for the lock runs now, and may take the slot: looked up again. */
	uint64_t stamp = c->stamp;
	fiber_unlock(&c->lock);
	if (ret < 0 || (stamp == c->stamp && c->slot[i].data == *data))
		return ret;
	return tables_get(c, file, offset, size, data);
}

int tables_put(TableCache *c, Node *file, uint64_t offset, size_t at, const void *part, size_t len)
{
	fiber_lock(&c->lock);
	int ret = node_pwrite(file, offset + at, part, len);
	int i = slot_of(c, file, offset, at + len);
	if (ret >= 0 && i >= 0)
		memcpy(c->slot[i].data + at, part, len);
	fiber_unlock(&c->lock);
	return ret;
}

void tables_free(TableCache *c)
{
	for (unsigned i = 0; i < TABLES_MAX; i++)
		g_free(c->slot[i].data);
	memset(c, 0, sizeof(*c));
}

/* ---- A new image ------------------------------------------------------------------------------- */

uint64_t blockmap_size(json_t *opts)
{
	return (opt_size(opts, "size", 0) + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
}

bool blockmap_create(const char *filename, json_t *opts, uint64_t length, const NewPart *parts,
	unsigned n, GError **error)
{
	if (length > (uint64_t)NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_INVALID, "The image size is too large for this format");
	if (!node_create_file(filename, length, error))
		return false;
	Node *file = node_open_file(filename, NODE_WRITE | NODE_EXCLUSIVE, error);
	if (!file)
		return false;
	int ret = 0;
	for (unsigned i = 0; i < n && ret >= 0; i++)
		ret = node_pwrite(file, parts[i].offset, parts[i].data, parts[i].len);
	node_unref(file);
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "Could not write '%s': %s", filename,
		g_strerror(-ret));
}
