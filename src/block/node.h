/*
 * node.h - the block graph: what an image format or a protocol is, and how nodes call each other.
 *
 * A node is one opened image layer: a format (qcow2, raw, ...) reads and writes its `file`
 * child, a protocol (file, host_device, null-co, ...) the host. `backing` is what lies under a
 * format where it has no data of its own. A driver is a constant Driver, listed in drivers.c.
 *
 * Threads: all functions are called on a fiber of the node's loop (core/loop.h), unless they
 * say "any". Several requests of one node run interleaved wherever one of them waits; a driver
 * protects its metadata with FiberMutex/FiberRwLock. Results: 0 or -errno, GError for set-up.
 */
#ifndef VIV_BLOCK_NODE_H
#define VIV_BLOCK_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <jansson.h>

#include "block/iov.h"
#include "core/error.h"
#include "core/fiber.h"
#include "core/loop.h"

typedef struct Node Node;
typedef struct Driver Driver;

#define SECTOR 512u
/* No image is longer: leaves room for metadata in a file offset. */
#define NODE_LENGTH_MAX (INT64_MAX & ~(int64_t)4095)

/* How a node is opened; children inherit what is marked so. */
enum {
	NODE_WRITE = 1 << 0,	  /* writes and resizes are wanted (children of formats: inherited;
				     backing: never) */
	NODE_DIRECT = 1 << 1,	  /* cache.direct: past the host's page cache (inherited) */
	NODE_NO_FLUSH = 1 << 2,	  /* cache.no-flush: flushes do nothing (inherited) */
	NODE_UNMAP = 1 << 3,	  /* discard=unmap: discards reach the host (inherited) */
	NODE_NO_BACKING = 1 << 4, /* leave the backing chain closed */
	NODE_CHECK = 1 << 5,	  /* for `check` and repair: open what is dirty or marked corrupt */
	NODE_SHARE = 1 << 6,	  /* -U, force-share: others may write; read only (inherited) */
	NODE_PROBED = 1 << 7,	  /* raw was a guess: see node_open */
	NODE_NO_IO = 1 << 8, /* only metadata is asked for (info); no key is needed for encryption
				(inherited) */
	NODE_EXCLUSIVE =
	    1 << 9, /* nobody else may write or resize (file children of formats; guests' disks:
		       see node_claim) */
};

/* Flags of requests. */
enum {
	REQ_FUA      = 1 << 0, /* on the medium before the request ends */
	REQ_UNMAP    = 1 << 1, /* write_zeroes: deallocate if the result reads as zeroes */
	REQ_NO_FALLBACK = 1 << 2, /* write_zeroes: -ENOTSUP rather than writing buffers of zeroes */
};

typedef enum Prealloc { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Prealloc;

typedef enum BlockOptType {
	OPT_BOOL,
	OPT_INT,
	OPT_SIZE,
	OPT_STRING,
	OPT_ENUM,
	OPT_CHILD
} BlockOptType;

/* A key of a driver, at open (stored at `offset` of the driver's state) or at creation (read by
 * opt_*()). */
typedef struct BlockOption {
	const char *name;
	/* C type at offset: bool, int64_t, uint64_t, char * (owned by the node), int, json_t *
	 * (owned; a node's name or the options to open it with). */
	BlockOptType type;
	size_t offset;
	const char *def;    /* as text; NULL: zero */
	const char *help;   /* as `-o help` prints it */
	const char *const *values; /* OPT_ENUM */
} BlockOption;

/* What lies at an offset; the words of `map`. */
enum {
	STATUS_DATA      = 1 << 0, /* reads come from a data area (may still be zeroes) */
	STATUS_ZERO      = 1 << 1, /* reads as zeroes */
	STATUS_ALLOCATED = 1 << 2, /* this layer decides, not the backing one */
	STATUS_OFFSET    = 1 << 3, /* `map` is the place in `file`, plain bytes */
	STATUS_COMPRESSED= 1 << 4,
	STATUS_RECURSE   = 1 << 5, /* the protocol below may know more (holes) */
	STATUS_EOF       = 1 << 6, /* ends at the end of the image */
};
typedef struct NodeStatus {
	unsigned flags;
	uint64_t bytes; /* how far from the offset it holds; > 0 unless at the end */
	uint64_t map;
	Node *file;     /* with STATUS_OFFSET: where `map` counts; node->file as a rule */
} NodeStatus;

typedef struct NodeInfo {
	uint64_t cluster_size;   /* bytes; 0: none */
	uint64_t subcluster_size;
	uint64_t vm_state_offset;
	bool dirty, compressed_clusters, encrypted;
} NodeInfo;

/* Result of a check; counts as `qemu-img check` has them. */
typedef struct CheckResult {
	uint64_t corruptions, leaks, check_errors;
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t image_end_offset;
	uint64_t total_clusters, allocated_clusters, fragmented_clusters,
	    compressed_clusters; /* 0: unknown */
	GString *report; /* one line for each finding ("Leaked cluster 5 refcount=1 reference=0"),
			    caller's; may be NULL */
} CheckResult;
enum { FIX_LEAKS = 1, FIX_ERRORS = 2 };

typedef struct SnapshotInfo {
	char id[128], name[256];
	uint64_t vm_state_size;
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_ns;
	uint64_t icount;       /* UINT64_MAX: not recorded */
	uint64_t disk_size;
} SnapshotInfo;
/* Lines of a list of snapshots as qemu-img prints it; `id` stands in the first column. Any thread. */
extern const char snapshot_heading[];
void snapshot_append_line(const SnapshotInfo *s, const char *id, GString *out);

typedef struct MeasureResult {
	uint64_t required, fully_allocated, bitmaps;
	bool has_bitmaps;
} MeasureResult;

/* done out of total, any units; called from time to time. */
typedef void ProgressFn(void *opaque, uint64_t done, uint64_t total);

/* A persistent dirty bitmap as a driver stores it. Names are unique in an image. */
typedef struct BitmapInfo {
	char *name;
	uint64_t granularity; /* bytes, a power of two */
	bool recording;       /* the "auto" flag */
	bool in_use;          /* not saved cleanly: contents cannot be trusted */
} BitmapInfo;

struct Driver {
	const char *name, *desc;
	bool protocol;                /* stands at the bottom; has no `file` */
	bool filter;                  /* hands requests on: its user decides who else may write */
	size_t size;                  /* of node->state */
	const BlockOption *options;   /* at open, end with a NULL name; NULL: none */
	const BlockOption *create_options; /* NULL: cannot create */
	const BlockOption *amend_options;  /* NULL: cannot amend */
	bool backing;                 /* images may name a backing file */
	/* 0: not this format .. 100: certainly. head has `len` bytes of the start. */
	int (*probe)(const uint8_t *head, size_t len, const char *filename);
	/* node->file is open, options are stored, state is zero. Sets length, align, read_only,
	 * backing_file. On failure close is not called: leave nothing behind. */
	bool (*open)(Node *node, GError **error);
	void (*close)(Node *node);    /* all requests have ended; flushes its metadata */
	/* opts: checked against create_options, "size" in bytes always there; see opt_*(). */
	bool (*create)(const char *filename, json_t *opts, GError **error);

	/* Within the length, aligned to node->align; iov.len is the length. */
	int (*read)(Node *node, uint64_t offset, Iov iov);
	int (*write)(Node *node, uint64_t offset, Iov iov, unsigned flags);
	/* The cluster(s) at offset, compressed; len 0 ends the stream. -ENOTSUP if NULL. */
	int (*write_compressed)(Node *node, uint64_t offset, Iov iov);
	int (*write_zeroes)(Node *node, uint64_t offset, uint64_t bytes,
			    unsigned flags); /* NULL or -ENOTSUP: buffers are written */
	int (*discard)(Node *node, uint64_t offset, uint64_t bytes); /* a hint; NULL: nothing */
	/* Formats: metadata to the file (the caller then flushes it). Protocols: the host's cache.
	 */
	int (*flush)(Node *node);
	/* Protocols: the host copies between files of two nodes that have this same function. Bytes
	 * copied or -errno. */
	int64_t (*copy_range)(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset,
			      uint64_t bytes);
	int64_t (*allocated)(Node *node); /* protocols: bytes the host keeps; NULL: unknown */
	/* out->bytes comes in as the length asked about. NULL: all data. want_zero false: only
	 * ALLOCATED matters. */
	int (*status)(Node *node, uint64_t offset, bool want_zero, NodeStatus *out);
	/* exact false: the protocol may stay longer. New bytes read as zeroes. Sets node->length.
	 */
	bool (*truncate)(Node *node, uint64_t length, bool exact, Prealloc prealloc,
			 GError **error);

	void (*info)(Node *node, NodeInfo *out);
	/* `format-specific` of info: {"type": ..., "data": {...}}, caller owns. NULL: none. */
	json_t *(*specific)(Node *node);
	int (*check)(Node *node, CheckResult *result, unsigned fix);
	bool (*measure)(json_t *opts, Node *source, MeasureResult *out,
			GError **error); /* source may be NULL: opts has size */
	bool (*amend)(Node *node, json_t *opts, bool force, ProgressFn *progress, void *opaque,
		      GError **error);
	bool (*set_backing)(Node *node, const char *file, const char *format,
			    GError **error); /* writes the header; NULL file: none */
	int (*make_empty)(Node *node); /* drops all data of this layer, so that backing shows */
	bool (*set_writable)(
	    Node *node, bool writable,
	    GError **error); /* for commit; children first. NULL: node_reopen fails */

	bool (*snapshot_create)(Node *node, SnapshotInfo *info, GError **error); /* id "": chosen */
	bool (*snapshot_apply)(Node *node, const char *id_or_name, GError **error);
	bool (*snapshot_delete)(Node *node, const char *id_or_name, GError **error);
	GArray *(*snapshot_list)(Node *node);    /* SnapshotInfo; NULL: none can be */
	bool (*snapshot_load)(Node *node, const char *id_or_name,
			      GError **error); /* read this one from now on (-l) */

	/* The state of a paused machine that a snapshot keeps, a file of its own. NULL: no place
	 * for it. */
	int (*vmstate_read)(Node *node, uint64_t offset, Iov iov);
	int (*vmstate_write)(Node *node, uint64_t offset, Iov iov);

	GPtrArray *(*bitmap_list)(Node *node);   /* BitmapInfo *, owned by the array */
	bool (*bitmap_add)(Node *node, const char *name, uint64_t granularity, bool disabled,
			   GError **error);
	bool (*bitmap_remove)(Node *node, const char *name, GError **error);
	bool (*bitmap_clear)(Node *node, const char *name, GError **error);
	bool (*bitmap_enable)(Node *node, const char *name, bool enable, GError **error);
	/* ORs `source`'s bitmap into this node's. */
	bool (*bitmap_merge)(Node *node, const char *name, Node *source, const char *source_name,
			     GError **error);
};

struct Node {
	const Driver *driver;
	void *state;
	char *name;              /* node-name, or generated "#block123" */
	char *filename; /* what the user or the header said: for messages, relative backing names,
			   info */
	unsigned flags;          /* NODE_* */
	unsigned refs;
	unsigned claims;         /* protocols: users that let nobody else write */
	Loop *loop;
	uint64_t length; /* bytes the guest sees; any multiple of 1 for protocols, of 512 for most
			    formats */
	uint32_t align;	 /* every request to the driver is a multiple (power of two, 1..64 KiB) */
	bool read_only;
	bool detect_zeroes, detect_unmap; /* detect-zeroes=on, unmap */
	bool locking_off;
	bool grows;              /* protocols: a write past the end makes the file longer */
	Node *file;              /* formats and filters */
	Node *backing;           /* may be NULL */
	GPtrArray *children;     /* further Node * (data file, extents), owned references */
	char *backing_file, *backing_format; /* as the header says; NULL: none */
	/* request.c */
	struct NodeRequest *requests; /* writes in flight, where align matters */
	FiberQueue request_ended;
	unsigned in_flight;
};

#define NODE_STATE(node, type) ((type *)(node)->state)

/* ---- Opening ---- */

/*
 * Opens an image. `opts` is an object of options in -blockdev's nested form, each value text,
 * number or bool ("driver", "node-name", "file": {...}|"name", "backing", "read-only",
 * "cache": {...}, "discard", the driver's own keys); consumed. filename may be NULL when opts
 * say all, and may be "json:{...}" or "PROTOCOL:rest". Without "driver" the format is probed;
 * a guess of raw sets NODE_PROBED (writes that would make sector 0 look like another format are
 * then refused). An unknown key is refused, named with the valid ones. The reference is the
 * caller's. Any thread; enters `loop`.
 */
Node *node_open(Loop *loop, const char *filename, json_t *opts, unsigned flags, GError **error);
/* For create() of formats: opens the protocol layer alone, for writing. */
Node *node_open_file(const char *filename, unsigned flags, GError **error);
/* Makes (or empties) the protocol's file, `length` bytes. */
bool node_create_file(const char *filename, uint64_t length, GError **error);
/* The same with all creation options that the protocol has ("size" in bytes and others). */
bool protocol_create(const char *filename, json_t *opts, GError **error);
/* The filter copy-on-read over `base`, whose reference is taken over. Any thread. NULL: *error. */
Node *node_open_copy_on_read(Node *base, unsigned flags, GError **error);
/* A temporary qcow2 over `base`, whose reference is taken over; gone when closed. Any thread. */
Node *node_open_overlay(Node *base, GError **error);
Node *node_ref(Node *node);
/* The last one flushes, closes and frees the node and its children. Any thread; NULL is fine. */
void node_unref(Node *node);
/* By node-name; NULL: none. Machine lock, or the only thread. */
Node *node_find(const char *name);
/* All that are open, oldest first. Machine lock, or the only thread. */
void node_each(void (*fn)(Node *node, void *opaque), void *opaque);
/* read-only <-> read-write, with its `file`. */
bool node_set_writable(Node *node, bool writable, GError **error);
/* The same by flags; `file` stays as it is. For open.c and drivers. */
bool node_set_flags(Node *node, unsigned flags, GError **error);
/*
 * Locks the files below against writers of other processes, for a user that does not share them;
 * node_unclaim() ends it. What is below a format was locked when the format was opened. On a fiber
 * of the node's loop. False: another process has one of them, and nothing is claimed.
 */
bool node_claim(Node *node, GError **error);
void node_unclaim(Node *node);
/* Takes it out of the list. For open.c. */
void node_forget(Node *node);
/* Waits until no request is in flight. */
void node_drain(Node *node);
/* The child's full name: `name` as the image `of` has it (relative to its directory). Caller frees.
 */
char *node_path(const char *of, const char *name);

/* ---- Requests, for drivers on their children, and for jobs ------------------------------------
 */

/* Any offset and length within node->length (writes: any, if the node grows); alignment is made
 * good here. */
int node_read(Node *node, uint64_t offset, Iov iov);
int node_write(Node *node, uint64_t offset, Iov iov, unsigned flags);
int node_write_compressed(Node *node, uint64_t offset, Iov iov);
int node_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags);
int node_discard(Node *node, uint64_t offset, uint64_t bytes);
int node_flush(Node *node); /* to the medium, through all layers (NODE_NO_FLUSH: metadata only) */
/*
 * Lets the host copy, without the bytes passing through here. Bytes done, which may be fewer;
 * -ENOTSUP and others where it cannot: read and write then. `to` is raw or a protocol, no write to
 * the same place may be in flight.
 */
int64_t node_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset,
			uint64_t bytes);
/* Plain buffers. Reading past the end of a protocol's file gives zeroes with node_pread. */
int node_pread(Node *node, uint64_t offset, void *buf, size_t len);
int node_pwrite(Node *node, uint64_t offset, const void *buf, size_t len);
/* The same, and node_flush. */
int node_pwrite_sync(Node *node, uint64_t offset, const void *buf, size_t len);
/* Of this layer (ALLOCATED says whether backing shows), with the protocol's holes if want_zero. */
int node_status(Node *node, uint64_t offset, uint64_t bytes, bool want_zero, NodeStatus *out);
/* Of the chain from `node` down to, not including, `base` (NULL: all). *depth: the layer that has
 * it. */
int node_status_above(Node *node, Node *base, uint64_t offset, uint64_t bytes, bool want_zero,
	NodeStatus *out, unsigned *depth);
bool node_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error);
/* Bytes the host keeps for the file of this node and its extents; negative: unknown. */
int64_t node_allocated(Node *node);

/* describe.c: what the image is and holds, as QMP's ImageInfo; the caller's. */
json_t *node_describe(Node *node, const char *filename);
/*
 * commit.c: writes all that the layers above `base` hold into it, which is long enough and writable, and flushes it. `step`
 * (NULL: nobody) hears of it from time to time: bytes written, and how far of `total` it is. 0 or -errno.
 */
typedef void CommitStep(void *opaque, uint64_t written, uint64_t at, uint64_t total);
int node_commit_data(Node *top, Node *base, CommitStep *step, void *opaque);
/* The whole of `commit`: makes `base` writable and longer, writes, empties `top` if base lies right below and `empty`. */
bool node_commit(Node *top, Node *base, bool empty, CommitStep *step, void *opaque, GError **error);

/* ---- Options of creation ---- */

const char *opt_text(json_t *opts, const char *name);          /* NULL: unset */
bool opt_bool(json_t *opts, const char *name, bool def);
uint64_t opt_size(json_t *opts, const char *name, uint64_t def); /* checked before: never fails */
bool opt_has(json_t *opts, const char *name);

/* ---- Drivers ---- */

extern const Driver *const block_drivers[]; /* ends with NULL */
const Driver *driver_find(const char *name);
/* The best probe; raw if none. */
const Driver *driver_probe(const uint8_t *head, size_t len, const char *filename);

#endif
