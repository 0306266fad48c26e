/*
 * throttle.c - limits on requests and bytes a second.
 *
 * A bucket leaks at the limit's rate; a request goes when every bucket that it falls into is
 * below its burst size, and then adds to it, so one request larger than the burst still passes.
 */
#include "block/throttle.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/error.h"

#define LIMIT_MAX UINT64_C(1000000000000000)
#define IDLE_BURST 10.0 /* the default burst is a tenth of a second's worth */

#define LIMIT(name, option) { #name, option, offsetof(BlkThrottle, name) }
const BlkLimit blk_limits[BLK_LIMIT_COUNT] = {
	LIMIT(bps, "bps-total"),
	LIMIT(bps_rd, "bps-read"),
	LIMIT(bps_wr, "bps-write"),
	LIMIT(bps_max, "bps-total-max"),
	LIMIT(bps_rd_max, "bps-read-max"),
	LIMIT(bps_wr_max, "bps-write-max"),
	LIMIT(iops, "iops-total"),
	LIMIT(iops_rd, "iops-read"),
	LIMIT(iops_wr, "iops-write"),
	LIMIT(iops_max, "iops-total-max"),
	LIMIT(iops_rd_max, "iops-read-max"),
	LIMIT(iops_wr_max, "iops-write-max"),
	LIMIT(iops_size, "iops-size"),
};

uint64_t *blk_limit(BlkThrottle *t, const BlkLimit *limit)
{
	return (uint64_t *)((char *)t + limit->at);
}

bool blk_throttle_check(const BlkThrottle *t, GError **error)
{
	BlkThrottle copy = *t;

	for (unsigned i = 0; i < BLK_LIMIT_COUNT; i++)
		if (*blk_limit(&copy, &blk_limits[i]) > LIMIT_MAX)
			return fail(error, VIV_ERROR_INVALID,
				"bps/iops/max values must be within [0, %" PRIu64 "]", LIMIT_MAX);
	if ((t->bps && (t->bps_rd || t->bps_wr)) || (t->iops && (t->iops_rd || t->iops_wr)) ||
	    (t->bps_max && (t->bps_rd_max || t->bps_wr_max)) ||
	    (t->iops_max && (t->iops_rd_max || t->iops_wr_max)))
		return fail(error, VIV_ERROR_INVALID,
			"bps/iops/max total values and read/write values cannot be used at the same time");
	return true;
}

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
