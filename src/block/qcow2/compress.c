/*
 * compress.c - compressed clusters: zlib (raw deflate, window of 2^12) or zstd.
 *
 * Source: "QCOW2 disk image format", sections "Compressed Clusters Descriptor", "Header"
 * (compression type). Packing and unpacking run on worker threads, so that several cores work;
 * a few unpacked clusters are kept for small sequential reads.
 * Threads: fibers of the node's loop; pack() and unpack() on workers, without any lock.
 */
#include <zlib.h>
#include <zstd.h>

#include "block/qcow2/qcow2.h"

enum { UNPACKED_BYTES = 4 << 20 };

typedef struct Job {
	unsigned type;
	uint32_t cluster_size;
	const uint8_t *from;
	size_t from_len;
	uint8_t *to;
} Job;

/* ---- On worker threads ----------------------------------------------------------------------- */

/* Each worker keeps what it compresses with: setting it up costs as much as a small cluster. */
static void free_deflater(gpointer z)
{
	deflateEnd(z);
	g_free(z);
}

static void free_zstd(gpointer ctx)
{
	ZSTD_freeCCtx(ctx);
}

static GPrivate own_deflater = G_PRIVATE_INIT(free_deflater);
static GPrivate own_zstd = G_PRIVATE_INIT(free_zstd);

/* This worker's, ready for a new stream; NULL: no memory. */
static z_stream *deflater(void)
{
	z_stream *z = g_private_get(&own_deflater);
	if (z) {
		deflateReset(z);
		return z;
	}
	z = g_new0(z_stream, 1);
	if (deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY)
		!= Z_OK) {
		g_free(z);
		return NULL;
	}
	g_private_set(&own_deflater, z);
	return z;
}

static int pack_zstd(const Job *job)
{
	ZSTD_CCtx *ctx = g_private_get(&own_zstd);
	if (!ctx) {
		ctx = ZSTD_createCCtx();
		if (!ctx)
			return -ENOMEM;
		g_private_set(&own_zstd, ctx);
	}
	size_t n = ZSTD_compressCCtx(ctx, job->to, job->cluster_size - 1, job->from,
		job->cluster_size, ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(n) ? 0 : (int)n;
}

/* Fills job->to (a cluster); bytes used, 0: it does not get smaller. */
static int pack(void *opaque)
{
	Job *job = opaque;
	if (job->type == QCOW2_COMPRESS_ZSTD)
		return pack_zstd(job);
	z_stream *z = deflater();
	if (!z)
		return -ENOMEM;
	z->next_in = (uint8_t *)job->from;
	z->avail_in = job->cluster_size;
	z->next_out = job->to;
	z->avail_out = job->cluster_size - 1;
	return deflate(z, Z_FINISH) == Z_STREAM_END ? (int)z->total_out : 0;
}

static int unpack_zstd(const Job *job)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	if (!ctx)
		return -ENOMEM;
	ZSTD_outBuffer out = { job->to, job->cluster_size, 0 };
	ZSTD_inBuffer in = { job->from, job->from_len, 0 };
	/* A stream, because what follows the frame up to a sector's end is not part of it. */
	while (out.pos < out.size) {
		size_t before = in.pos + out.pos;
		size_t ret = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(ret) || (out.pos < out.size && in.pos + out.pos == before))
			break;
	}
	ZSTD_freeDCtx(ctx);
	return out.pos == out.size ? 0 : -EIO;
}

static int unpack(void *opaque)
{
	Job *job = opaque;
	if (job->type == QCOW2_COMPRESS_ZSTD)
		return unpack_zstd(job);
	z_stream z = { 0 };
	z.next_in = (uint8_t *)job->from;
	z.avail_in = job->from_len;
	z.next_out = job->to;
	z.avail_out = job->cluster_size;
	if (inflateInit2(&z, -12) != Z_OK)
		return -ENOMEM;
	int ret = inflate(&z, Z_FINISH);
	bool full = (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && z.avail_out == 0;
	inflateEnd(&z);
	return full ? 0 : -EIO;
}

/* ---- Reading --------------------------------------------------------------------------------- */

void qcow2_unpacked_drop(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	for (unsigned i = 0; i < s->nb_unpacked; i++) {
		uint64_t at;
		uint32_t len;
		qcow2_compressed_place(s, s->unpacked[i].key, &at, &len);
		if (s->unpacked[i].key && !s->unpacked[i].loading && at < offset + bytes
			&& offset < at + len)
			s->unpacked[i].key = 0;
	}
}

void qcow2_unpacked_free(Qcow2 *s)
{
	for (unsigned i = 0; i < s->nb_unpacked; i++)
		g_free(s->unpacked[i].data);
	s->nb_unpacked = 0;
}

/* The one that has `key`, or the one to use for it; NULL: all are busy. */
static Unpacked *choose_slot(Qcow2 *s, uint64_t key)
{
	Unpacked *best = NULL;
	for (unsigned i = 0; i < s->nb_unpacked; i++) {
		Unpacked *u = &s->unpacked[i];
		if (u->key == key)
			return u;
		if (!u->loading && (!best || u->stamp < best->stamp))
			best = u;
	}
	if (s->nb_unpacked < (unsigned)CLAMP(UNPACKED_BYTES >> s->cluster_bits, 2, Q_UNPACKED)) {
		Unpacked *u = &s->unpacked[s->nb_unpacked];
		*u = (Unpacked){ .data = g_try_malloc(s->cluster_size) };
		if (!u->data)
			return best;
		s->nb_unpacked++;
		return u;
	}
	return best;
}

static int load(Qcow2 *s, uint64_t entry, uint8_t *to)
{
	uint64_t offset;
	uint32_t bytes;
	qcow2_compressed_place(s, entry, &offset, &bytes);
	uint8_t *packed = g_try_malloc(bytes);
	if (!packed)
		return -ENOMEM;
	int ret = node_pread(s->node->file, offset, packed, bytes);
	Job job = { s->compression, s->cluster_size, packed, bytes, to };
	if (ret >= 0)
		ret = loop_work(unpack, &job);
	g_free(packed);
	return ret;
}

int qcow2_read_compressed(Qcow2 *s, uint64_t entry, uint64_t skip, Iov to)
{
	uint64_t key = entry & ~QCOW2_COPIED;
	Unpacked *u = choose_slot(s, key);
	while (u && u->key == key && u->loading) {
		fiber_queue_wait(&u->loaded);
		u = choose_slot(s, key);
	}
	if (!u) {
		uint8_t *buf = g_try_malloc(s->cluster_size);
		int ret = buf ? load(s, entry, buf) : -ENOMEM;
		if (ret >= 0)
			iov_copy_in(to, 0, buf + skip, to.len);
		g_free(buf);
		return ret;
	}
	u->stamp = ++s->unpacked_stamp;
	int ret = 0;
	if (u->key != key) {
		u->key = key;
		u->loading = true;
		ret = load(s, entry, u->data);
		u->loading = false;
		if (ret < 0)
			u->key = 0;
	}
	if (ret >= 0)
		iov_copy_in(to, 0, u->data + skip, to.len);
	fiber_queue_wake_all(&u->loaded);
	return ret;
}

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct Pack {
	Qcow2 *s;
	uint64_t guest;
	Iov iov; /* a cluster, or less at the end of the disk */
} Pack;

/* Enters the compressed cluster at `host`; drops what was there. Lock held. */
static int enter_packed(Qcow2 *s, uint64_t guest, uint64_t host, uint32_t bytes)
{
	Table *t;
	int ret = qcow2_l2_for_change(s, guest, &t);
	if (ret < 0)
		return ret;
	unsigned i = slice_index(s, guest);
	uint64_t old = entry_get(s, t, i);
	uint64_t more_sectors = ((host + bytes - 1) >> 9) - (host >> 9);
	uint64_t entry = host | QCOW2_COMPRESSED | more_sectors << (62 - (s->cluster_bits - 8));
	s->unsynced = true;
	entry_set(s, t, i, entry, 0);
	cache_dirty(&s->l2, t);
	cache_put(t);
	qcow2_entry_drop(s, old, FREE_REQUEST);
	return 0;
}

/* Puts `bytes` of packed data somewhere and enters it. */
static int store_packed(Qcow2 *s, uint64_t guest, const uint8_t *packed, uint32_t bytes)
{
	Alloc a = { .guest = guest, .bytes = s->cluster_size };
	uint64_t host;
	qcow2_lock(s);
	qcow2_alloc_settle(s, guest, s->cluster_size);
	int ret = refcount_alloc_bytes(s, bytes, &host);
	if (ret >= 0 && host + bytes > 1ull << (62 - (s->cluster_bits - 8)))
		ret = -EFBIG; /* the clusters leak: the file is full for this kind */
	if (ret >= 0)
		ret = qcow2_overlap(s, 0, host, bytes);
	if (ret < 0) {
		qcow2_unlock(s);
		return ret;
	}
	qcow2_alloc_register(s, &a);
	qcow2_unlock(s);
	s->virgin_end = MAX(s->virgin_end, host + bytes);
	ret = node_pwrite(s->node->file, host, packed, bytes);
	qcow2_lock(s);
	if (ret >= 0)
		ret = enter_packed(s, guest, host, bytes);
	if (ret < 0)
		refcount_release(s, host, bytes, FREE_NEVER);
	qcow2_alloc_remove(&a);
	if (ret >= 0)
		ret = qcow2_freed_limit(s);
	qcow2_unlock(s);
	return ret;
}

static int pack_step(void *opaque)
{
	Pack *p = opaque;
	Qcow2 *s = p->s;
	uint8_t *buf = g_try_malloc((size_t)s->cluster_size * 2);
	int ret = -ENOMEM;
	if (buf) {
		uint8_t *packed = buf + s->cluster_size;
		iov_copy_out(p->iov, 0, buf, p->iov.len);
		memset(buf + p->iov.len, 0, s->cluster_size - p->iov.len);
		Job job = { s->compression, s->cluster_size, buf, s->cluster_size, packed };
		ret = loop_work(pack, &job);
		if (ret > 0)
			ret = store_packed(s, p->guest, packed, ret);
		else if (ret == 0)
			ret = qcow2_write_inside(s, p->guest, p->iov, 0);
	}
	g_free(buf);
	g_free(p);
	return ret;
}

int qcow2_write_compressed(Node *node, uint64_t offset, Iov iov)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (s->external || s->crypt_method)
		return -ENOTSUP;
	if (!iov.len)
		return 0;
	if (q_inside(s, offset) || (q_inside(s, iov.len) && offset + iov.len != node->length))
		return -EINVAL;
	fiber_rdlock(&s->gate);
	int ret = qcow2_begin_writing(s);
	if (ret >= 0) {
		Batch batch = { 0 };
		qcow2_bitmaps_mark(s, offset, iov.len);
		for (size_t done = 0; done < iov.len && batch.result >= 0;
			done += s->cluster_size) {
			Pack p = { s, offset + done,
				iov_part(iov, done, MIN(s->cluster_size, iov.len - done)) };
			batch_run(&batch, pack_step, g_memdup2(&p, sizeof(p)));
		}
		ret = batch_wait(&batch);
	}
	fiber_rdunlock(&s->gate);
	return ret;
}
