/*
 * blockmap.h - what formats share whose disk is cut into blocks and whose table says where
 * each one lies: walking a request along them, and giving a block its place at the first write.
 *
 * A driver puts a BlockMap first in its state and says by BlockMapOps how its table works; the
 * functions here then are its read, write, write_zeroes and status. Threads: fibers of the
 * node's loop. The lock is held while a block gets its place or loses it.
 */
#ifndef VIV_BLOCK_BLOCKMAP_H
#define VIV_BLOCK_BLOCKMAP_H

#include "block/node.h"

typedef enum PlaceKind {
	PLACE_NONE,   /* the backing file, or zeroes */
	PLACE_ZERO,
	PLACE_DATA,
	PLACE_PACKED, /* compressed: read by unpack(), never overwritten */
} PlaceKind;

typedef struct Place {
	PlaceKind kind;
	Node *file;             /* where `host` counts; comes in as node->file */
	uint64_t start, bytes;  /* the block, in the disk; its end may lie past the disk's */
	uint64_t host;          /* of `start` */
	uint64_t aux, aux2;     /* the driver's own, from find() to the others */
} Place;

typedef struct BlockMapOps {
	/* The block that `offset` lies in. 0 or -errno. May wait. */
	int (*find)(Node *node, uint64_t offset, Place *out);
	/* Sets p->host (and file) to room for the block, not in the table yet. Lock held. */
	int (*place)(Node *node, Place *p);
	/* The block's data is there: the table says so from now on. Lock held. */
	int (*enter)(Node *node, Place *p);
	/* The whole block reads as zeroes from now on. Lock held. NULL: zeroes are written. */
	int (*zero)(Node *node, Place *p);
	/* The whole of a packed block. */
	int (*unpack)(Node *node, const Place *p, uint8_t *buf);
	/* Encrypted disks: bytes in place, from and to what the file keeps; `offset` is the
	 * disk's. NULL: as they are. Packed blocks are not encrypted. */
	int (*decode)(Node *node, uint64_t offset, Iov iov);
	int (*encode)(Node *node, uint64_t offset, Iov iov);
	bool repack; /* a write to a packed block gives it another place */
} BlockMapOps;

typedef struct BlockMap {
	const BlockMapOps *ops;
	FiberMutex lock;
	/* The packed block that was read last, as small reads come in a row; see blockmap_forget. */
	struct { uint8_t *data; uint64_t start, bytes, host; } last;
} BlockMap;

/* Gives back what reads of packed blocks keep: at close, and when blocks move. */
void blockmap_forget(BlockMap *map);

int blockmap_read(Node *node, uint64_t offset, Iov iov);
int blockmap_write(Node *node, uint64_t offset, Iov iov, unsigned flags);
int blockmap_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags);
int blockmap_status(Node *node, uint64_t offset, bool want_zero, NodeStatus *out);

/* Reads from a child; what lies past its end is zeroes. */
int blockmap_read_padded(Node *file, uint64_t offset, Iov iov);
/* set_writable of drivers whose header says nothing about being open. */
bool blockmap_set_writable(Node *node, bool writable, GError **error);

/* ---- Tables that are read when they are needed ------------------------------------------------ */

enum { TABLES_MAX = 32 };
typedef struct TableCache {
	FiberMutex lock;
	uint64_t stamp;
	struct { Node *file; uint64_t offset, used; size_t size; uint8_t *data; } slot[TABLES_MAX];
} TableCache;

/* The table at `offset`; *data holds until the caller waits. */
int tables_get(TableCache *c, Node *file, uint64_t offset, size_t size, const uint8_t **data);
/* Changes a part of a table, in the file and in memory. */
int tables_put(TableCache *c, Node *file, uint64_t offset, size_t at, const void *part, size_t len);
void tables_free(TableCache *c);

/* ---- A new image -------------------------------------------------------------------------------- */

/* One piece of a new file. */
typedef struct NewPart { uint64_t offset; const void *data; size_t len; } NewPart;
/* Makes the file, `length` bytes, and writes `n` parts. */
bool blockmap_create(const char *filename, json_t *opts, uint64_t length, const NewPart *parts,
	unsigned n, GError **error);
/* The disk's size as creation options say it, rounded up to sectors. */
uint64_t blockmap_size(json_t *opts);

/* ---- Numbers in headers ---------------------------------------------------------------------------- */

#define GETTER(name, type, conv) \
	static inline type name(const void *p) { type v; __builtin_memcpy(&v, p, sizeof(v)); return conv(v); }
#define PUTTER(name, type, conv) \
	static inline void name(void *p, type v) { v = conv(v); __builtin_memcpy(p, &v, sizeof(v)); }
GETTER(le16, uint16_t, GUINT16_FROM_LE)
GETTER(le32, uint32_t, GUINT32_FROM_LE)
GETTER(le64, uint64_t, GUINT64_FROM_LE)
GETTER(be16, uint16_t, GUINT16_FROM_BE)
GETTER(be32, uint32_t, GUINT32_FROM_BE)
GETTER(be64, uint64_t, GUINT64_FROM_BE)
PUTTER(set_le16, uint16_t, GUINT16_TO_LE)
PUTTER(set_le32, uint32_t, GUINT32_TO_LE)
PUTTER(set_le64, uint64_t, GUINT64_TO_LE)
PUTTER(set_be16, uint16_t, GUINT16_TO_BE)
PUTTER(set_be32, uint32_t, GUINT32_TO_BE)
PUTTER(set_be64, uint64_t, GUINT64_TO_BE)
#undef GETTER
#undef PUTTER

#endif
