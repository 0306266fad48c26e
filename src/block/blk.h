/*
 * blk.h - a drive: what a disk, CD or floppy device reads and writes.
 *
 * A Blk is the slot, a node (node.h) the medium in it, which may be absent or change. It adds
 * what belongs to the slot: the write cache, what happens on errors (werror=, rerror=),
 * throttling, counters. Devices find theirs by a property of type PROP_DRIVE.
 *
 * Threads: requests may be made by any thread that does not hold another loop's lock; `done`
 * is called later, on the drive's loop, with that loop entered (main loop: the machine lock is
 * held), never from inside the call that made the request. All other functions: the machine lock.
 */
#ifndef VIV_BLOCK_BLK_H
#define VIV_BLOCK_BLK_H

#include "block/node.h"

typedef struct Blk Blk;

/* What -drive's werror= and rerror= ask for. */
typedef enum BlkErrorPolicy {
	ERROR_AUTO,
	ERROR_REPORT,
	ERROR_IGNORE,
	ERROR_STOP,
	ERROR_ENOSPC
} BlkErrorPolicy;

typedef enum BlkOp { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_UNMAP, BLK_OPS } BlkOp;

typedef struct BlkStats {
	uint64_t operations[BLK_OPS], bytes[BLK_OPS], failed[BLK_OPS];
	int64_t time_ns[BLK_OPS];
	uint64_t highest_offset;  /* end of the farthest write */
} BlkStats;

/* Limits a second; 0: none. `max` is the burst that may come at once (0: a tenth of a second's
 * worth). */
typedef struct BlkThrottle {
	uint64_t bps, bps_rd, bps_wr, iops, iops_rd, iops_wr;
	uint64_t bps_max, bps_rd_max, bps_wr_max, iops_max, iops_rd_max, iops_wr_max;
	uint64_t iops_size;  /* a longer request counts as several; 0: never */
} BlkThrottle;

/* The fields of BlkThrottle by their names, old and new; in the order that `info block` has. */
typedef struct BlkLimit {
	const char *name, *option;
	size_t at;
} BlkLimit;
#define BLK_LIMIT_COUNT 13
extern const BlkLimit blk_limits[BLK_LIMIT_COUNT];
uint64_t *blk_limit(BlkThrottle *t, const BlkLimit *limit);
/* A total excludes limits on one direction; none is above 10^15. False with *error. */
bool blk_throttle_check(const BlkThrottle *t, GError **error);

/* An empty drive. `id` is unique (as "ide0-hd0"); the creator owns it. */
Blk *blk_new(const char *id);
/* Waits for its requests. */
void blk_free(Blk *blk);
const char *blk_id(const Blk *blk);
Blk *blk_find(const char *id);
void blk_each(void (*fn)(Blk *blk, void *opaque), void *opaque); /* oldest first */

/* Puts a medium in (takes over the reference), or with NULL takes it out after its requests. The
 * device is told. If the device does not share it and another process has it, the drive stays empty. */
void blk_insert(Blk *blk, Node *node);
Node *blk_node(const Blk *blk);       /* borrowed; NULL: empty */
bool blk_inserted(const Blk *blk);
uint64_t blk_length(const Blk *blk);  /* bytes; 0: empty */
bool blk_read_only(const Blk *blk);   /* also when empty: of the slot */
void blk_set_read_only(Blk *blk, bool read_only); /* before a medium is in */

/* The loop that serves the drive; moved when no request is in flight. Default: the main loop. */
Loop *blk_loop(const Blk *blk);
void blk_set_loop(Blk *blk, Loop *loop);

/* The device of the drive, one at most: false if there is one already, or if the device does not
 * share the medium and another process has it. `name` is its id or path,
 * borrowed. */
typedef struct BlkDevice {
	void (*changed)(void *opaque,
			bool inserted); /* medium in or out; NULL: the device has a fixed one */
	void (*resized)(void *opaque);               /* block_resize; may be NULL */
	bool (*locked)(void *opaque); /* the guest forbids taking it out; may be NULL */
	bool (*tray_open)(void *opaque); /* NULL: it has no tray */
	void (*move_tray)(void *opaque, bool open); /* by the user's hand; NULL: it has no tray */
	void (*eject_request)(void *opaque,
			      bool force); /* asks the guest to let it go; may be NULL */
	const char *name;
	bool share_rw; /* other processes may write to the medium: it is not locked against them */
} BlkDevice;
bool blk_attach(Blk *blk, const BlkDevice *device, void *opaque, GError **error);
void blk_detach(Blk *blk, void *opaque);
bool blk_attached(const Blk *blk);
const BlkDevice *blk_device(const Blk *blk, void **opaque);
/* May the medium of a drive with this device (NULL: none) be changed? */
static inline bool blk_removable(const BlkDevice *device) { return !device || device->changed; }
/* The device's: its tray is open now, or closed; programs are told (DEVICE_TRAY_MOVED). */
void blk_tray_moved(const Blk *blk, bool open);
/* Makes the medium that long and tells the device. Enters the drive's loop. */
bool blk_resize(Blk *blk, uint64_t bytes, GError **error);

/* ---- Requests ---- */

typedef void BlkDone(void *opaque, int result); /* 0 or -errno */
/*
 * `iov` (the array and the memory) must stay until done. Any alignment of offsets and memory.
 * -ENOMEDIUM: empty; -EIO: outside; -EPERM, -EACCES: read-only.
 */
void blk_read(Blk *blk, uint64_t offset, const struct iovec *iov, unsigned count, BlkDone *done,
	      void *opaque);
void blk_write(Blk *blk, uint64_t offset, const struct iovec *iov, unsigned count, unsigned flags,
	       BlkDone *done, void *opaque);
void blk_write_zeroes(Blk *blk, uint64_t offset, uint64_t bytes, unsigned flags, BlkDone *done,
		      void *opaque);
void blk_discard(Blk *blk, uint64_t offset, uint64_t bytes, BlkDone *done, void *opaque);
void blk_flush(Blk *blk, BlkDone *done, void *opaque);
/*
 * Waits until every request has ended and its `done` was called; those held back by an error
 * end with -ECANCELED. Enters the drive's loop. Not from inside a `done`.
 */
void blk_drain(Blk *blk);
/* Requests not yet ended. */
unsigned blk_in_flight(const Blk *blk);
/* Makes reads and writes plain: blocks the calling thread. For set-up, loaders and pflash. */
int blk_read_now(Blk *blk, uint64_t offset, void *buf, size_t len);
int blk_write_now(Blk *blk, uint64_t offset, const void *buf, size_t len);

/* ---- Policy ---- */

/* Writes are done when in the cache (true), or each only on the medium. The guest may change it. */
bool blk_write_cache(const Blk *blk);
void blk_set_write_cache(Blk *blk, bool enabled);
void blk_set_error_policy(Blk *blk, BlkErrorPolicy on_read, BlkErrorPolicy on_write);
BlkErrorPolicy blk_error_policy(const Blk *blk, bool write);
void blk_set_throttle(Blk *blk, const BlkThrottle *limits);
const BlkThrottle *blk_throttle(const Blk *blk);
/* 0, or the last error that stopped the machine and was not yet retried. */
int blk_stopped_error(const Blk *blk);
BlkStats blk_stats(const Blk *blk);

/*
 * Told when a request fails: what was done ("report", "ignore", "stop"). With "stop" the request
 * is kept and the machine must pause; blk_retry_all() begins such requests again.
 */
typedef void BlkErrorFn(void *opaque, Blk *blk, bool write, int err, const char *action);
void blk_set_error_fn(BlkErrorFn *fn, void *opaque);
void blk_retry_all(void);
/* Drains and flushes every drive: before the machine stays stopped, and at the end. First error or
 * 0. */
int blk_flush_all(void);

#endif
