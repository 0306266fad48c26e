/*
 * qcow2.h - the inside of the qcow2 driver: its state, and what its files offer each other.
 *
 * The files in the order of a book: header.c and open.c (what an image says about itself),
 * cache.c (tables in memory), map.c (guest offset -> place), io.c (reading and writing),
 * alloc.c (new clusters for a write), refcount.c (which clusters are free), order.c (what goes
 * to the file before what), zero.c (zeroes and discards), compress.c, overlap.c, resize.c,
 * snapshot.c, bitmap*.c, check*.c, create.c, measure.c, amend.c, specific.c and driver.c.
 *
 * Waiting and locking. All of it runs on fibers of the node's loop, one at a time between
 * waits. Three things keep requests apart:
 *   gate  every request holds it for reading; what changes the image as a whole (snapshots,
 *         resize, check, amend) holds it for writing and is then alone;
 *   lock  whoever changes tables (L1, L2, reftable, refcounts) or writes them out holds it;
 *         a lookup of a table that is in memory needs no lock at all;
 *   users (users_enter/users_leave) those who read or write a host cluster they looked up;
 *         clusters are given up only after all who may still see the old mapping have left.
 *         Who is a user never waits for the lock.
 * Order: gate, then lock. node.h's calls to children happen with or without them.
 *
 * Order of writes (order.c): tables stay in memory until a flush. A crash, or a power cut with
 * the promises of flush, leaves at worst clusters that are counted and not used:
 * refcounts and data are on the medium before the L2 entry, the L2 table before the L1 entry,
 * and a count is lowered only once no table on the medium names the cluster any more.
 */
#ifndef VIV_BLOCK_QCOW2_H
#define VIV_BLOCK_QCOW2_H

#include <errno.h>
#include <string.h>
#include <glib.h>

#include "block/node.h"
#include "std/qcow2.h"

/* Bounds on what a header may ask us to keep in memory. */
enum {
	Q_MIN_CLUSTER_BITS = 9,
	Q_MAX_CLUSTER_BITS = 21,
	Q_MAX_L1_BYTES = 32 << 20,
	Q_MAX_REFTABLE_BYTES = 8 << 20,
	Q_MAX_SNAPSHOTS = 65536,
	Q_MAX_SNAPSHOT_BYTES = 64 << 20, /* of the whole table */
	Q_MAX_SNAPSHOT_EXTRA = 1024,
	Q_MAX_BACKING_NAME = 1023,
	Q_MAX_BITMAPS = 65535,
	Q_MAX_BITMAP_DIR_BYTES = 64 << 20,
	Q_MAX_BITMAP_TABLE = 0x8000000,  /* entries */
	Q_MAX_BITMAP_NAME = 1023,
	Q_MAX_BITMAP_BYTES = 0x20000000, /* of one bitmap's bits */
	Q_MIN_GRANULARITY_BITS = 9,
	Q_MAX_GRANULARITY_BITS = 31,
};

/* ---- Tables in memory (cache.c) -------------------------------------------------------------- */

typedef struct Table {
	uint64_t offset;            /* in the file; 0: none (cluster 0 is the header) */
	uint8_t *data;              /* as on disk */
	struct Table *next;         /* of the same bucket */
	struct Table *newer, *older;
	unsigned pins;              /* somebody holds `data` across a wait */
	bool dirty, loading;
	int64_t used_at;            /* for cache-clean-interval: monotonic microseconds */
	FiberQueue loaded;
} Table;

typedef struct Cache {
	size_t table_size;
	unsigned max, count;        /* tables; more than max only while all are pinned */
	unsigned dirty;
	unsigned buckets;           /* power of two */
	Table **bucket;
	Table *newest, *oldest;
} Cache;

/* A range of host clusters whose last reference is gone from the tables in memory. */
typedef enum FreeKind { FREE_ALWAYS, FREE_REQUEST, FREE_SNAPSHOT, FREE_OTHER, FREE_NEVER } FreeKind;
typedef struct Freed { uint64_t offset, bytes; FreeKind kind; } Freed;

/* A header extension that we do not know: kept as it is. */
typedef struct Extension { uint32_t type, length; uint8_t *data; } Extension;

typedef struct Snapshot {
	uint64_t l1_offset;
	uint32_t l1_size;           /* entries */
	char *id, *name;
	uint64_t disk_size, vm_state_size, vm_clock_ns, icount;
	uint32_t date_sec, date_nsec;
	uint32_t extra_size;        /* as it was in the file */
	uint8_t *unknown_extra;     /* extra data past what we know */
	uint32_t unknown_extra_size;
} Snapshot;

typedef struct Bitmap {
	char *name;
	uint64_t table_offset;
	uint32_t table_size;        /* entries */
	uint32_t flags;
	uint8_t granularity_bits;
	uint8_t *extra;
	uint32_t extra_size;
	/*
	 * While guest writes are recorded (bitmap_live.c): one bit for each piece; NULL: not
	 * loaded.
	 */
	uint8_t *bits;
	uint64_t bits_bytes;
	bool live;                  /* writes set bits */
} Bitmap;

/* One write that gives clusters of the guest a new place, or completes the old one. */
typedef struct Alloc {
	uint64_t guest, bytes;      /* whole clusters */
	uint64_t host;              /* of `guest` */
	uint64_t cow_start, data_start, data_end, cow_end; /* guest offsets, in this order */
	bool keep_host;             /* the clusters are there; only the entries change */
	bool virgin;                /* never written since the file grew: reads as zeroes */
	FiberQueue waiters;
	struct Alloc *next, **link;
} Alloc;

/* A compressed cluster, unpacked. */
typedef struct Unpacked {
	uint64_t key;
	uint8_t *data;
	bool loading;
	uint64_t stamp;
	FiberQueue loaded;
} Unpacked;
enum { Q_UNPACKED = 16 };

enum { Q_DEFAULT, Q_ON, Q_OFF };

/* Q_DEFAULT, Q_ON, Q_OFF as text */
extern const char *const qcow2_switch[];

typedef struct Qcow2Options {
	int lazy_refcounts;         /* Q_DEFAULT, Q_ON, Q_OFF */
	int discard_request, discard_snapshot, discard_other;
	char *overlap, *overlap_template;
	int overlap_single[9];      /* Q_*, in order of the OVERLAP_ bits */
	uint64_t l2_cache, refcount_cache, cache, l2_entry;
	int64_t clean_interval;     /* s; 0: never */
	json_t *data_file;          /* a node's name or options; NULL: as the header says */
	char *encrypt_format, *encrypt_secret;
} Qcow2Options;

typedef struct Qcow2 {
	Qcow2Options opt;           /* first: filled by the node layer */
	Node *node;
	Node *data;                 /* where the guest's data lies: node->file, or the data file */
	bool external;              /* data is not node->file */

	/* the header */
	unsigned version;
	unsigned cluster_bits;
	uint32_t cluster_size;
	uint64_t size;              /* of the virtual disk */
	uint64_t incompatible, compatible, autoclear;
	unsigned crypt_method;
	unsigned compression;
	uint32_t header_length;     /* as found; what lies past our fields is kept */
	uint8_t *header_rest;
	uint32_t header_rest_size;
	char *data_file_name;       /* as the header says */
	GArray *extensions;         /* Extension */
	uint64_t crypto_offset, crypto_length;

	/* L1 and L2 */
	unsigned l2_bits;           /* entries of an L2 table */
	unsigned l2_entry_size;     /* 8, or 16 with subclusters */
	unsigned subclusters;       /* in a cluster: 1 or 32 */
	unsigned subcluster_bits;   /* of their size in bytes */
	unsigned slice_bits;        /* entries of a cached slice of an L2 table */
	uint64_t *l1;               /* in host order */
	uint64_t l1_offset;
	uint32_t l1_size;           /* entries */
	uint32_t l1_dirty_from, l1_dirty_to; /* entries; equal: clean */
	Cache l2;

	/* refcounts */
	unsigned refcount_order;    /* a count has 1 << order bits */
	unsigned refblock_bits;     /* counts in a block */
	uint64_t refcount_max;
	uint64_t *reftable;         /* in host order */
	uint64_t reftable_offset;
	uint32_t reftable_size;     /* entries in memory; on disk too unless it is growing */
	uint32_t reftable_dirty_from, reftable_dirty_to;
	bool reftable_growing;
	Cache refblocks;
	uint64_t free_hint;         /* no free cluster lies before this one, as far as we know */
	uint64_t virgin_end;        /* bytes; nothing at or after it was ever written */
	uint64_t byte_offset;       /* where the next compressed cluster may start; 0: nowhere */

	/* order */
	FiberRwLock gate;
	FiberMutex lock;
	Fiber *lock_owner;
	/* written and not flushed: refcounts, new tables, data of new clusters */
	bool unsynced;
	GArray *freed;              /* Freed: to be given up after the next flush of tables */
	uint64_t freed_bytes;
	unsigned users_epoch, users[2];
	FiberQueue users_gone;
	Alloc *allocs;              /* in flight */

	/* the header says that we write (autoclear bits, bitmaps, dirty bit) */
	bool writing;
	bool lazy;                  /* refcounts may lag behind */
	/* many clusters have no bytes in the file yet: ask it for holes */
	bool sparse, sparse_known;
	bool corrupt;               /* found so while running: no more writes */
	bool reported;
	bool discard[5];            /* by FreeKind: tell the file that clusters are free */
	int64_t clean_us, cleaned_at;

	/* metadata that must not be overwritten */
	unsigned overlap;           /* OVERLAP_* */
	uint64_t *meta;             /* set of clusters in use by L2 tables and refcount blocks */
	size_t meta_size, meta_used;

	Snapshot *snapshots;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset, snapshots_bytes;
	bool at_snapshot;           /* snapshot_load: what is read is not the active state */

	Bitmap *bitmaps;
	uint32_t nb_bitmaps;
	uint64_t bitmaps_offset, bitmaps_bytes;
	bool bitmaps_live;
	bool bitmaps_bad;           /* NODE_CHECK: the directory is damaged, and left out */

	Unpacked unpacked[Q_UNPACKED];
	unsigned nb_unpacked;
	uint64_t unpacked_stamp;

	struct BlockCrypto *crypto; /* NULL: not encrypted */
} Qcow2;

static inline uint64_t be64_at(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return GUINT64_FROM_BE(v);
}

static inline void put_be64(void *p, uint64_t v)
{
	v = GUINT64_TO_BE(v);
	memcpy(p, &v, 8);
}

static inline uint64_t q_floor(const Qcow2 *s, uint64_t x)
{
	return x & ~(uint64_t)(s->cluster_size - 1);
}
static inline uint64_t q_ceil(const Qcow2 *s, uint64_t x)
{
	return q_floor(s, x + s->cluster_size - 1);
}
static inline uint64_t q_inside(const Qcow2 *s, uint64_t x) { return x & (s->cluster_size - 1); }
static inline uint64_t q_clusters(const Qcow2 *s, uint64_t bytes)
{
	return (bytes >> s->cluster_bits) + (q_inside(s, bytes) != 0);
}
/* Bytes of the guest that one L2 table maps: 2^this. */
static inline unsigned q_l1_shift(const Qcow2 *s) { return s->cluster_bits + s->l2_bits; }
/* L1 entries that `size` bytes of guest need; no overflow for sizes up to 2^63. */
static inline uint64_t q_l1_needed(const Qcow2 *s, uint64_t size)
{
	unsigned shift = q_l1_shift(s);
	return (size >> shift) + ((size & (((uint64_t)1 << shift) - 1)) != 0);
}
static inline bool q_raw_data(const Qcow2 *s)
{
	return s->external && (s->autoclear & QCOW2_AUTOCLEAR_RAW);
}
/* [offset, offset + bytes) ends below 2^56, where table entries end, and starts on a cluster. */
static inline bool q_place_ok(const Qcow2 *s, uint64_t offset, uint64_t bytes)
{
	return !q_inside(s, offset) && offset <= QCOW2_L1_OFFSET
		&& bytes <= QCOW2_L1_OFFSET - offset;
}

/* ---- header.c: the header and its extensions ------------------------------------------------- */

/* Reads and checks the header of node->file into s. Only the header's fields are set. */
bool qcow2_header_read(Qcow2 *s, GError **error);
void qcow2_header_free(Qcow2 *s);
/* Writes the header as s has it, in one go, not flushed. -EFBIG: it does not fit a cluster. */
int qcow2_header_write(Qcow2 *s);
/* The same, flushed before (so that what it points to is there) and after. */
int qcow2_header_commit(Qcow2 *s);
/* The header in `buf` of a cluster's size: bytes used or -EFBIG. */
int qcow2_header_build(Qcow2 *s, uint8_t *buf);
/* Sizes that follow from cluster_bits, refcount_order and the feature bits. */
void qcow2_derive(Qcow2 *s);
/*
 * What must be in the header before the first change of the image: dirty, autoclear, bitmaps. Lock
 * not held.
 */
int qcow2_begin_writing(Qcow2 *s);
/* The dirty bit around steps that a crash must not leave half done; version 3. Lock held. */
int qcow2_mark_dirty(Qcow2 *s, bool dirty);
/* Says that the image is corrupt; fatal: marks it so, and writes end. Returns -EIO. */
int qcow2_corrupt(Qcow2 *s, bool fatal, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* ---- open.c ---------------------------------------------------------------------------------- */

bool qcow2_open(Node *node, GError **error);
void qcow2_close(Node *node);
bool qcow2_set_writable(Node *node, bool writable, GError **error);
/*
 * Reads the L1 table at `offset` (as the header or a snapshot says), in host order; caller frees.
 */
int qcow2_read_l1(Qcow2 *s, uint64_t offset, uint32_t entries, uint64_t **out);
/* Reads the refcount table again. */
int qcow2_read_reftable(Qcow2 *s, uint64_t offset, uint64_t clusters);

/* ---- cache.c: tables in memory --------------------------------------------------------------- */

void cache_init(Cache *c, size_t table_size, uint64_t bytes);
void cache_free(Cache *c);
/* In memory and usable now, else NULL. Never waits; not pinned. */
Table *cache_peek(Cache *c, uint64_t offset);
/* The table, pinned; reads it if need be. With or without the lock. */
int cache_get(Qcow2 *s, Cache *c, uint64_t offset, Table **out);
/* A table of zeroes for `offset`, dirty and pinned, without reading. Lock held. */
int cache_new(Qcow2 *s, Cache *c, uint64_t offset, Table **out);
void cache_put(Table *t);
/* Its data has changed. Lock held. */
void cache_dirty(Cache *c, Table *t);
/* Forgets what is cached of [offset, offset + bytes), even if dirty. */
void cache_drop(Cache *c, uint64_t offset, uint64_t bytes);
/* Forgets everything; nothing is pinned. */
void cache_clear(Cache *c);
/* Writes all dirty tables. The order among caches is the caller's. Lock held. */
int cache_write(Qcow2 *s, Cache *c);
/* Frees the memory of clean tables that nobody asked for since `before`. */
void cache_clean(Cache *c, int64_t before);

/* ---- map.c: where the guest's bytes are ------------------------------------------------------ */

typedef enum ExtentType {
	EXTENT_UNALLOCATED,      /* backing, or zeroes */
	EXTENT_UNALLOCATED_HOST, /* the same, in a cluster that has other subclusters */
	EXTENT_ZERO,
	EXTENT_ZERO_HOST,        /* zeroes, with a cluster set aside */
	EXTENT_DATA,
	EXTENT_COMPRESSED,
	EXTENT_INVALID,
} ExtentType;

typedef struct Extent {
	ExtentType type;
	uint64_t bytes;          /* as long as type and (for *_HOST, DATA) contiguity hold */
	uint64_t host;           /* of the asked offset; COMPRESSED: the L2 entry */
	bool copied;             /* DATA: may be written in place */
} Extent;

static inline bool extent_has_host(ExtentType t)
{
	return t == EXTENT_DATA || t == EXTENT_ZERO_HOST || t == EXTENT_UNALLOCATED_HOST;
}

/* Looks up [offset, offset + bytes), bytes > 0; the answer may be shorter. May wait for a table. */
int qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Extent *out);
/* The type of one subcluster from its entry and bitmap. */
ExtentType qcow2_entry_type(const Qcow2 *s, uint64_t entry, uint64_t bitmap, unsigned sub);
/* The place of a compressed cluster. */
void qcow2_compressed_place(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *bytes);

static inline unsigned l2_index(const Qcow2 *s, uint64_t offset)
{
	return (offset >> s->cluster_bits) & ((1u << s->l2_bits) - 1);
}
/* Index within the cached slice. */
static inline unsigned slice_index(const Qcow2 *s, uint64_t offset)
{
	return (offset >> s->cluster_bits) & ((1u << s->slice_bits) - 1);
}
static inline uint64_t slice_place(const Qcow2 *s, uint64_t l2_offset, uint64_t offset)
{
	uint64_t first = l2_index(s, offset) >> s->slice_bits << s->slice_bits;
	return l2_offset + first * s->l2_entry_size;
}
static inline uint64_t entry_get(const Qcow2 *s, const Table *t, unsigned i)
{
	return be64_at(t->data + (size_t)i * s->l2_entry_size);
}
static inline uint64_t bitmap_get(const Qcow2 *s, const Table *t, unsigned i)
{
	return s->l2_entry_size == 16 ? be64_at(t->data + (size_t)i * 16 + 8) : 0;
}
static inline void entry_set(const Qcow2 *s, Table *t, unsigned i, uint64_t entry, uint64_t bitmap)
{
	put_be64(t->data + (size_t)i * s->l2_entry_size, entry);
	if (s->l2_entry_size == 16)
		put_be64(t->data + (size_t)i * 16 + 8, bitmap);
}

/*
 * The L2 slice of `offset`, of which nobody else has a copy, pinned; makes one if need be. Lock
 * held.
 */
int qcow2_l2_for_change(Qcow2 *s, uint64_t offset, Table **out);
/* Marks an L1 entry as changed. */
void qcow2_l1_dirty(Qcow2 *s, uint32_t index);

/* ---- io.c: reading and writing --------------------------------------------------------------- */

int qcow2_read(Node *node, uint64_t offset, Iov iov);
int qcow2_write(Node *node, uint64_t offset, Iov iov, unsigned flags);
/*
 * qcow2_read for those inside: no gate, any length up to the L1's reach (the VM state lies past the
 * disk).
 */
int qcow2_read_inside(Qcow2 *s, uint64_t offset, Iov iov);
int qcow2_write_inside(Qcow2 *s, uint64_t offset, Iov iov, unsigned flags);
/* To clusters of the data file, encrypted if the image is. The caller sees to the tables. */
int qcow2_write_host(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov, unsigned flags);
int qcow2_read_host(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov);
int qcow2_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out);
/* Does the range read as zeroes, as far as the tables say? Not the contents. */
bool qcow2_reads_zero(Qcow2 *s, uint64_t offset, uint64_t bytes);

/* Several steps of one request at once. */
typedef struct Batch { unsigned running; int result; FiberQueue ended; } Batch;
enum { Q_BATCH_MAX = 16 };
/* Runs fn(opaque) in a fiber of its own; waits first if Q_BATCH_MAX run. */
void batch_run(Batch *b, int (*fn)(void *opaque), void *opaque);
int batch_wait(Batch *b);

/* ---- alloc.c: new clusters for a write ------------------------------------------------------- */

/*
 * Prepares a write to [offset, offset + *bytes): *a describes the new clusters for as much as
 * fits one piece, *bytes is shortened to it. 1: nothing is to be allocated, look again. Waits for
 * others who allocate the same clusters. Lock not held.
 */
int qcow2_alloc_prepare(Qcow2 *s, uint64_t offset, uint64_t *bytes, Alloc *a);
/*
 * The data is written: enters the clusters in the tables. On an earlier `result` < 0 gives them
 * back.
 */
int qcow2_alloc_finish(Qcow2 *s, Alloc *a, int result);
/*
 * Waits until no allocation touches the clusters of the range. Lock held; given up while waiting.
 */
void qcow2_alloc_settle(Qcow2 *s, uint64_t offset, uint64_t bytes);
/* Gives up what an L2 entry names, once the tables are on the medium. Lock held. */
void qcow2_entry_drop(Qcow2 *s, uint64_t entry, FreeKind kind);
void qcow2_alloc_register(Qcow2 *s, Alloc *a);
void qcow2_alloc_remove(Alloc *a);
/* Writes the tables if too many clusters wait to be given up. Lock held. */
int qcow2_freed_limit(Qcow2 *s);

/* ---- refcount.c: which clusters are free. Lock held throughout. ------------------------------ */

uint64_t refcount_at(const void *block, unsigned order, uint64_t index);
void refcount_put(void *block, unsigned order, uint64_t index, uint64_t value);
int refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *out);
/*
 * Adds `by` (1 or -1) to every cluster that [offset, offset + bytes) touches. What reaches 0 is
 * free at once.
 */
int refcount_add(Qcow2 *s, uint64_t offset, uint64_t bytes, int by, FreeKind kind);
/* Contiguous clusters with a count of 1; -ENOSPC, -EFBIG. */
int refcount_alloc(Qcow2 *s, uint64_t bytes, uint64_t *offset);
/* For compressed data: any byte offset; counts of what it touches go up. */
int refcount_alloc_bytes(Qcow2 *s, uint32_t bytes, uint64_t *offset);
/* Gives clusters back that no table ever named. */
void refcount_release(Qcow2 *s, uint64_t offset, uint64_t bytes, FreeKind kind);
/* Makes the refcount table reach `clusters` (in all). */
int refcount_grow(Qcow2 *s, uint64_t clusters);
/* The cluster after the last one with a count. */
int refcount_last(Qcow2 *s, uint64_t *clusters);
/* Gives up blocks that count nothing but perhaps themselves. */
int refcount_trim(Qcow2 *s);
/*
 * Are more than nine tenths of the counted clusters missing in the file (metadata preallocation)?
 */
bool refcount_sparse(Qcow2 *s);

/* ---- order.c: what is written when ----------------------------------------------------------- */

void qcow2_lock(Qcow2 *s);
void qcow2_unlock(Qcow2 *s);
static inline bool qcow2_locked(const Qcow2 *s)
{
	return s->lock_owner && s->lock_owner == fiber_self();
}
static inline unsigned users_enter(Qcow2 *s) { s->users[s->users_epoch]++; return s->users_epoch; }
void users_leave(Qcow2 *s, unsigned epoch);
/* Waits for all users who entered before. Lock held. */
void users_settle(Qcow2 *s);
/* Flushes the file and the data file. Lock held. */
int qcow2_sync(Qcow2 *s);
/* Everything that an L2 table may name is on the medium. Lock held. */
int qcow2_write_counts(Qcow2 *s);
/*
 * All tables to the file, in order; then gives up freed clusters. Lock held. The last step is not
 * flushed.
 */
int qcow2_write_tables(Qcow2 *s);
/* Writes L2 tables, to make room in the cache. Lock held. */
int qcow2_write_l2(Qcow2 *s);
/* For the ends of an image's life: also the counts that only went down. Lock held. */
int qcow2_write_all(Qcow2 *s);
/* Gives up clusters once no table on the medium names them. Lock held. */
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes, FreeKind kind);
int qcow2_flush(Node *node);
bool qcow2_clean(const Qcow2 *s); /* nothing waits to be written */
/* Alone with the image: gate for writing, lock; qcow2_end releases. */
void qcow2_begin(Qcow2 *s);
void qcow2_end(Qcow2 *s);

/* ---- zero.c ---------------------------------------------------------------------------------- */

int qcow2_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags);
int qcow2_discard(Node *node, uint64_t offset, uint64_t bytes);
int qcow2_make_empty(Node *node);
/*
 * Whole clusters; lock held, no allocation in flight there. `full`: drops them so that backing
 * shows.
 */
int qcow2_discard_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, bool full, FreeKind kind);
/* Whole clusters (the end of the disk counts as one) read as zeroes. Lock held, as above. */
int qcow2_zero_clusters(Qcow2 *s, uint64_t offset, uint64_t bytes, unsigned flags);

/* ---- compress.c ------------------------------------------------------------------------------ */

int qcow2_write_compressed(Node *node, uint64_t offset, Iov iov);
/* Part of the compressed cluster of L2 entry `entry`, from `skip` bytes into it. */
int qcow2_read_compressed(Qcow2 *s, uint64_t entry, uint64_t skip, Iov to);
/* What is cached of these host bytes is stale. */
void qcow2_unpacked_drop(Qcow2 *s, uint64_t offset, uint64_t bytes);
void qcow2_unpacked_free(Qcow2 *s);

/* ---- crypt.c: encrypted images --------------------------------------------------------------- */

/* Sets s->crypto as the header says (NODE_NO_IO: not needed, no key). */
bool qcow2_crypto_open(Qcow2 *s, GError **error);
void qcow2_crypto_close(Qcow2 *s);
/* A new image becomes an encrypted one; opts: "encrypt.*" as for creation. */
bool qcow2_crypto_create(Qcow2 *s, const char *format, json_t *opts, GError **error);
bool qcow2_crypto_amend(Qcow2 *s, json_t *opts, bool force, GError **error);
json_t *qcow2_crypto_info(const Qcow2 *s);
/* Whole sectors, in place. `host` is the place in the data file. */
int qcow2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov);
int qcow2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov);

/* ---- overlap.c ------------------------------------------------------------------------------- */

enum {
	OVERLAP_HEADER       = 1 << 0,
	OVERLAP_L1           = 1 << 1,
	OVERLAP_L2           = 1 << 2,
	OVERLAP_REFTABLE     = 1 << 3,
	OVERLAP_REFBLOCK     = 1 << 4,
	OVERLAP_SNAPSHOTS    = 1 << 5,
	OVERLAP_INACTIVE_L1  = 1 << 6,
	/* accepted; the check of snapshots' L2 tables is `check`'s */
	OVERLAP_INACTIVE_L2  = 1 << 7,
	OVERLAP_BITMAPS      = 1 << 8,
};
/*
 * 0, or -EIO (and the image is marked corrupt) if a write there would hit metadata not in `ignore`.
 */
int qcow2_overlap(Qcow2 *s, unsigned ignore, uint64_t offset, uint64_t bytes);
/* kind: OVERLAP_L2 or OVERLAP_REFBLOCK. */
void qcow2_meta_add(Qcow2 *s, uint64_t offset, unsigned kind);
void qcow2_meta_remove(Qcow2 *s, uint64_t offset, uint64_t bytes);
/* From L1 and reftable anew; after either was replaced. */
void qcow2_meta_rebuild(Qcow2 *s);
void qcow2_meta_free(Qcow2 *s);

/* ---- resize.c -------------------------------------------------------------------------------- */

bool qcow2_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error);
/* A longer L1 table, at least `entries`. Lock held. */
int qcow2_grow_l1(Qcow2 *s, uint64_t entries);
/* Another L1 table of `entries`, given in host order, becomes the active one. Takes `l1`. Alone. */
int qcow2_replace_l1(Qcow2 *s, uint64_t *l1, uint32_t entries);
/* Cuts the file after its last cluster in use. Alone. */
int qcow2_shrink_file(Qcow2 *s);
/*
 * Gives [from, to) of the guest clusters, counted and mapped (reading as zeroes where virgin).
 * Alone.
 */
int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to, Prealloc mode);

/* ---- snapshot.c ------------------------------------------------------------------------------ */

bool qcow2_snapshots_read(Qcow2 *s, GError **error);
void qcow2_snapshots_free(Qcow2 *s);
/* The table anew at another place, and the header; the old one is freed. Alone. */
int qcow2_snapshots_write(Qcow2 *s);
Snapshot *qcow2_snapshot_find(Qcow2 *s, const char *id_or_name);
bool qcow2_snapshot_create(Node *node, SnapshotInfo *info, GError **error);
bool qcow2_snapshot_apply(Node *node, const char *id_or_name, GError **error);
bool qcow2_snapshot_delete(Node *node, const char *id_or_name, GError **error);
GArray *qcow2_snapshot_list(Node *node);
bool qcow2_snapshot_load(Node *node, const char *id_or_name, GError **error);
/*
 * Adds `by` (-1, 0, 1) to the counts of all that an L1 table names; `active`: it is s->l1, whose
 * COPIED flags (and those of its L2 tables) are then set as the counts say. Alone.
 */
int qcow2_add_tree(Qcow2 *s, uint64_t *l1, uint32_t l1_size, int by, bool active);
uint64_t qcow2_vmstate_offset(const Qcow2 *s);
int qcow2_vmstate_read(Node *node, uint64_t offset, Iov iov);
int qcow2_vmstate_write(Node *node, uint64_t offset, Iov iov);

/* ---- bitmap.c, bitmap_data.c, bitmap_live.c -------------------------------------------------- */

bool qcow2_bitmaps_read(Qcow2 *s, GError **error);
void qcow2_bitmaps_free(Qcow2 *s);
int qcow2_bitmaps_write(Qcow2 *s); /* the directory anew, and the header. Alone, or lock held. */
int qcow2_bitmaps_write_flags(Qcow2 *s); /* the directory where it is: only flags have changed */
Bitmap *qcow2_bitmap_find(Qcow2 *s, const char *name);
/* Bytes of a bitmap's bits for a disk of `size`. */
uint64_t qcow2_bitmap_bytes(uint64_t size, unsigned granularity_bits);
int qcow2_bitmap_load(Qcow2 *s, const Bitmap *b, uint8_t **bits, uint64_t *bytes);
/* Writes bits to new clusters and frees the old ones; the directory is the caller's. Lock held. */
/* bits NULL: all zero */
int qcow2_bitmap_store(Qcow2 *s, Bitmap *b, const uint8_t *bits, uint64_t bytes);
/* ORs bits of granularity 2^add_bits into b, wherever it is. Lock held. */
int qcow2_bitmap_or(Qcow2 *s, Bitmap *b, const uint8_t *add, uint64_t add_bytes, unsigned add_bits);
void bits_set(uint8_t *bits, uint64_t from, uint64_t to);
/* stores one that is live; the directory is the caller's */
int qcow2_bitmap_settle(Qcow2 *s, Bitmap *b);
int qcow2_bitmap_drop_data(Qcow2 *s, Bitmap *b);
int qcow2_bitmaps_go_live(Qcow2 *s);   /* before the first guest write. Lock held. */
int qcow2_bitmaps_settle(Qcow2 *s);    /* at the end: stores what was recorded. Lock held. */
/* The disk is to become `size` bytes long: false if a bitmap cannot follow. Lock held. */
bool qcow2_bitmaps_resize(Qcow2 *s, uint64_t size, GError **error);
void qcow2_bitmaps_mark(Qcow2 *s, uint64_t offset, uint64_t bytes);
GPtrArray *qcow2_bitmap_list(Node *node);
bool qcow2_bitmap_add(Node *node, const char *name, uint64_t granularity, bool disabled,
	GError **error);
bool qcow2_bitmap_remove(Node *node, const char *name, GError **error);
bool qcow2_bitmap_clear(Node *node, const char *name, GError **error);
bool qcow2_bitmap_enable(Node *node, const char *name, bool enable, GError **error);
bool qcow2_bitmap_merge(Node *node, const char *name, Node *source, const char *source_name,
	GError **error);

/* ---- check.c, check_refs.c, rebuild.c -------------------------------------------------------- */

int qcow2_check(Node *node, CheckResult *result, unsigned fix);
/* After a change of many counts failed half way: makes them right again. Alone. */
int qcow2_repair(Qcow2 *s);

typedef struct Check {
	Qcow2 *s;
	CheckResult *r;
	unsigned fix;
	void *counts;            /* what we counted, as wide as the image's own */
	uint64_t clusters;       /* entries of counts; bounded by the length of the file */
	uint64_t file_length;
	bool rebuild;            /* the refcount structures themselves are broken */
	/* entries lack fields that version 3 wants: the table is to be rewritten */
	bool snapshots_short;
	uint64_t next_contiguous;
} Check;

void check_say(Check *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
/*
 * Counts a reference to each cluster of the range; a finding if it lies past the end of the file.
 */
int check_count(Check *c, uint64_t offset, uint64_t bytes);
/* Counts what all tables name (check_refs.c). */
int check_count_all(Check *c);
/* COPIED flags against the counts. */
int check_copied(Check *c);
/* Writes new refcount structures from the counts (rebuild.c). */
int qcow2_rebuild(Check *c);
/*
 * The same from `clusters` counts of width `from_order`, to counts of width `order`. -EOVERFLOW:
 * one is too large.
 */
int qcow2_rebuild_counts(Qcow2 *s, const void *counts, uint64_t clusters, unsigned from_order,
	unsigned order);

/* ---- create.c, measure.c, amend.c, specific.c ------------------------------------------------ */

extern const BlockOption qcow2_create_options[], qcow2_amend_options[];
bool qcow2_create(const char *filename, json_t *opts, GError **error);
bool qcow2_measure(json_t *opts, Node *source, MeasureResult *out, GError **error);
bool qcow2_amend(Node *node, json_t *opts, bool force, ProgressFn *progress, void *opaque,
	GError **error);
bool qcow2_set_backing(Node *node, const char *file, const char *format, GError **error);
void qcow2_info(Node *node, NodeInfo *out);
json_t *qcow2_specific(Node *node);
/* Cluster size, version, refcount order, ... from creation options, checked against each other. */
typedef struct Qcow2Plan {
	uint64_t size;
	unsigned version, cluster_bits, refcount_order, compression;
	bool lazy, extended_l2, data_raw;
	const char *data_file, *backing_file, *backing_format;
	Prealloc prealloc;
	const char *encrypt_format, *encrypt_secret;
} Qcow2Plan;
bool qcow2_plan(json_t *opts, Qcow2Plan *plan, GError **error);
/* "0.10", "v2", "1.1", "v3"; NULL: 3. */
bool qcow2_parse_compat(const char *text, unsigned *version, GError **error);
bool qcow2_parse_refcount_bits(uint64_t bits, unsigned *order, GError **error);
/* Bytes of the file of a fully allocated image of `length`: tables included. */
uint64_t qcow2_file_size(const Qcow2Plan *plan, uint64_t length);

#endif
