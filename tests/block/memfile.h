/*
 * memfile.h - a file in memory as a protocol node, for tests: it can record what is done to it.
 * The thread of the main loop.
 */
#ifndef TESTS_BLOCK_MEMFILE_H
#define TESTS_BLOCK_MEMFILE_H

#include "block/node.h"

typedef enum EventKind {
	EVENT_WRITE,
	EVENT_ZERO,
	EVENT_TRUNCATE,
	EVENT_FLUSH,
	EVENT_MARK,
} EventKind;
typedef struct Event {
	EventKind kind;
	uint64_t offset, len; /* TRUNCATE: the new length; MARK: the caller's number */
	uint8_t *data;        /* WRITE */
} Event;

typedef struct MemFile {
	GByteArray *data;
	GArray *log;          /* Event; NULL: not recorded */
	uint64_t longest;     /* a write past it fails with -ENOSPC; 0: no bound */
	unsigned yields;      /* requests let others go on first, in turns */
} MemFile;

MemFile *memfile_new(const void *data, size_t len);
void memfile_free(MemFile *m);
/* A new qcow2 image; options as "key=value,key=value", the disk's size apart. */
MemFile *memfile_qcow2(const char *options, uint64_t size);
/* A node of that name; `m` must live longer. */
Node *memfile_node(MemFile *m, const char *name, unsigned flags);
/* A format's node on it: file=NAME. Further words as in -blockdev, flat. NULL: *error. */
Node *memfile_format(MemFile *m, const char *driver, const char *const *words, unsigned flags,
	GError **error);
void memfile_mark(MemFile *m, uint64_t number);
/* Does to `data` what the event says; `part` < len: only so many bytes of a write arrive. */
void memfile_apply(GByteArray *data, const Event *e, uint64_t part);

#endif
