/*
 * throttle.c - limits on requests and bytes a second.
 *
 * A bucket leaks at the limit's rate; a request goes when every bucket that it falls into is
 * below its burst size, and then adds to it, so one request larger than the burst still passes.
 */
#include "block/throttle.h"

#include "core/clock.h"

#define IDLE_BURST 10.0 /* the default burst is a tenth of a second's worth */

void throttle_set(Throttle *t, const BlkThrottle *limits)
{
	t->limits = *limits;
	const BlkThrottle *l = limits;
	t->on = l->bps || l->bps_rd || l->bps_wr || l->iops || l->iops_rd || l->iops_wr;
	for (int i = 0; i < BUCKETS; i++)
		t->bytes[i] = t->ops[i] = 0;
	t->leaked_at = host_now();
}

static void leak(double *level, uint64_t rate, double seconds)
{
	*level = *level > (double)rate * seconds ? *level - (double)rate * seconds : 0;
}

/* Seconds until the level is below the burst. */
static double excess(double level, uint64_t rate, uint64_t max)
{
	double burst = max ? (double)max : (double)rate / IDLE_BURST;
	return rate && level > burst ? (level - burst) / (double)rate : 0;
}

typedef struct Rates {
	uint64_t bps[BUCKETS], bps_max[BUCKETS], iops[BUCKETS], iops_max[BUCKETS];
} Rates;

static Rates rates_of(const BlkThrottle *l)
{
	return (Rates){
	    .bps = {l->bps, l->bps_rd, l->bps_wr},
	    .bps_max = {l->bps_max, l->bps_rd_max, l->bps_wr_max},
	    .iops = {l->iops, l->iops_rd, l->iops_wr},
	    .iops_max = {l->iops_max, l->iops_rd_max, l->iops_wr_max},
	};
}

static double wait_seconds(Throttle *t, const Rates *r, int direction)
{
	int64_t now = host_now();
	double seconds = (double)(now - t->leaked_at) / NS_PER_SEC, longest = 0;
	t->leaked_at = now;
	for (int i = 0; i < BUCKETS; i++) {
		leak(&t->bytes[i], r->bps[i], seconds);
		leak(&t->ops[i], r->iops[i], seconds);
		if (i != BUCKET_TOTAL && i != direction)
			continue;
		longest = MAX(longest, excess(t->bytes[i], r->bps[i], r->bps_max[i]));
		longest = MAX(longest, excess(t->ops[i], r->iops[i], r->iops_max[i]));
	}
	return longest;
}

void throttle_wait(Throttle *t, bool write, uint64_t bytes)
{
	if (!t->on)
		return;
	int direction = write ? BUCKET_WRITE : BUCKET_READ;
	fiber_lock(&t->turn[write]);
	for (;;) {
		Rates r = rates_of(&t->limits);
		double seconds = wait_seconds(t, &r, direction);
		if (seconds <= 0)
			break;
		loop_sleep((int64_t)(seconds * NS_PER_SEC) + 1000);
	}
	double ops =
	    t->limits.iops_size ? MAX(1.0, (double)bytes / (double)t->limits.iops_size) : 1.0;
	int into[] = { BUCKET_TOTAL, direction };
	for (int i = 0; i < 2; i++) {
		t->bytes[into[i]] += (double)bytes;
		t->ops[into[i]] += ops;
	}
	fiber_unlock(&t->turn[write]);
}
