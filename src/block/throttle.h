/*
 * throttle.h - leaky buckets that hold requests back. On the loop of the drive, in fibers.
 */
#ifndef VIV_BLOCK_THROTTLE_H
#define VIV_BLOCK_THROTTLE_H

#include "block/blk.h"

enum { BUCKET_TOTAL, BUCKET_READ, BUCKET_WRITE, BUCKETS };
typedef struct Throttle {
	BlkThrottle limits;
	bool on;
	double bytes[BUCKETS], ops[BUCKETS]; /* what is in each bucket: done and not yet leaked */
	int64_t leaked_at;                   /* host ns */
	FiberMutex turn[2];                  /* reads, writes: first come, first served */
} Throttle;

void throttle_set(Throttle *t, const BlkThrottle *limits);
/* Waits until a request of `bytes` may go, and counts it. */
void throttle_wait(Throttle *t, bool write, uint64_t bytes);

#endif
