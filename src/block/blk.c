/*
 * blk.c - drives: requests as fibers, errors, the medium. Threads: see blk.h.
 */
#include "block/blk.h"

#include <errno.h>
#include <string.h>

#include "block/throttle.h"
#include "core/clock.h"
#include "core/event.h"
#include "core/lock.h"
#include "core/trace.h"

typedef struct Request Request;

struct Blk {
	char *id;
	Node *node;
	Loop *loop;
	bool read_only, write_cache;
	BlkErrorPolicy policy[2];     /* reads, writes */
	Throttle throttle;
	BlkDevice device;
	void *device_opaque;
	bool has_device;
	/* the loop's lock guards these */
	unsigned in_flight;
	Request *stopped, **stopped_tail; /* failed, to be tried again */
	int stopped_error;
	BlkStats stats;
};

struct Request {
	Blk *blk;
	BlkOp op;
	bool zeroes;
	uint64_t offset, bytes;
	const struct iovec *iov;
	unsigned count, flags;
	BlkDone *done;
	void *opaque;
	int64_t begun;
	int result;
	Request *next;
};

/* Every drive of the process and who is told of errors; guarded by the machine lock. */
static struct { GPtrArray *list; BlkErrorFn *error_fn; void *error_opaque; } drives;

Blk *blk_new(const char *id)
{
	Blk *blk = g_new0(Blk, 1);
	blk->id = g_strdup(id);
	blk->loop = loop_main();
	blk->write_cache = true;
	blk->stopped_tail = &blk->stopped;
	if (!drives.list)
		drives.list = g_ptr_array_new();
	g_ptr_array_add(drives.list, blk);
	return blk;
}

void blk_free(Blk *blk)
{
	if (!blk)
		return;
	blk_drain(blk);
	node_unref(blk->node);
	g_ptr_array_remove(drives.list, blk);
	g_free(blk->id);
	g_free(blk);
}

const char *blk_id(const Blk *blk) { return blk->id; }
Node *blk_node(const Blk *blk) { return blk->node; }
bool blk_inserted(const Blk *blk) { return blk->node; }
uint64_t blk_length(const Blk *blk) { return blk->node ? blk->node->length : 0; }
Loop *blk_loop(const Blk *blk) { return blk->loop; }
bool blk_write_cache(const Blk *blk) { return blk->write_cache; }
bool blk_attached(const Blk *blk) { return blk->has_device; }
unsigned blk_in_flight(const Blk *blk) { return blk->in_flight; }
int blk_stopped_error(const Blk *blk) { return blk->stopped_error; }
BlkStats blk_stats(const Blk *blk) { return blk->stats; }
const BlkThrottle *blk_throttle(const Blk *blk) { return &blk->throttle.limits; }
BlkErrorPolicy blk_error_policy(const Blk *blk, bool write) { return blk->policy[write]; }

bool blk_read_only(const Blk *blk)
{
	return blk->read_only || (blk->node && blk->node->read_only);
}

void blk_set_read_only(Blk *blk, bool read_only)
{
	blk->read_only = read_only;
}

Blk *blk_find(const char *id)
{
	for (unsigned i = 0; drives.list && i < drives.list->len; i++) {
		Blk *blk = g_ptr_array_index(drives.list, i);
		if (!strcmp(blk->id, id))
			return blk;
	}
	return NULL;
}

void blk_each(void (*fn)(Blk *blk, void *opaque), void *opaque)
{
	for (unsigned i = 0; drives.list && i < drives.list->len; i++)
		fn(g_ptr_array_index(drives.list, i), opaque);
}

void blk_set_write_cache(Blk *blk, bool enabled)
{
	blk->write_cache = enabled;
}

void blk_set_error_policy(Blk *blk, BlkErrorPolicy on_read, BlkErrorPolicy on_write)
{
	blk->policy[0] = on_read;
	blk->policy[1] = on_write;
}

void blk_set_throttle(Blk *blk, const BlkThrottle *limits)
{
	loop_enter(blk->loop);
	throttle_set(&blk->throttle, limits);
	loop_leave(blk->loop);
}

void blk_set_error_fn(BlkErrorFn *fn, void *opaque)
{
	drives.error_fn = fn;
	drives.error_opaque = opaque;
}

/* ---- Medium and device ---- */

static void set_node_loop(Node *node, Loop *loop)
{
	if (!node)
		return;
	node->loop = loop;
	set_node_loop(node->file, loop);
	set_node_loop(node->backing, loop);
	for (unsigned i = 0; i < node->children->len; i++)
		set_node_loop(g_ptr_array_index(node->children, i), loop);
}

void blk_set_loop(Blk *blk, Loop *loop)
{
	blk_drain(blk);
	loop_enter(blk->loop);
	set_node_loop(blk->node, loop);
	Loop *old = blk->loop;
	blk->loop = loop;
	loop_leave(old);
}

/* ---- What other processes may do with the medium ---- */

typedef struct ClaimCall {
	Node *node;
	GError **error;
	bool ok;
} ClaimCall;

static void claim_fiber(void *opaque)
{
	ClaimCall *c = opaque;
	c->ok = node_claim(c->node, c->error);
}

static void unclaim_fiber(void *opaque)
{
	node_unclaim(opaque);
}

/* For a device that does not share the medium. */
static bool claim(Blk *blk, GError **error)
{
	ClaimCall c = { blk->node, error, true };
	if (blk->node && !blk->device.share_rw)
		loop_call(blk->loop, claim_fiber, &c);
	return c.ok;
}

static void unclaim(Blk *blk)
{
	if (blk->node && !blk->device.share_rw)
		loop_call(blk->loop, unclaim_fiber, blk->node);
}

void blk_insert(Blk *blk, Node *node)
{
	blk_drain(blk);
	if (blk->has_device)
		unclaim(blk);
	loop_enter(blk->loop);
	Node *old = blk->node;
	blk->node = node;
	set_node_loop(node, blk->loop);
	loop_leave(blk->loop);
	node_unref(old);
	if (blk->has_device && !claim(blk, NULL))
		node_unref(g_steal_pointer(&blk->node));
	if (blk->has_device && blk->device.changed)
		blk->device.changed(blk->device_opaque, blk->node);
}

bool blk_attach(Blk *blk, const BlkDevice *device, void *opaque, GError **error)
{
	if (blk->has_device)
		return fail(error, VIV_ERROR_INVALID,
			    "Drive '%s' is already in use by another device", blk->id);
	blk->device = *device;
	blk->device_opaque = opaque;
	return blk->has_device = claim(blk, error);
}

void blk_detach(Blk *blk, void *opaque)
{
	if (!blk->has_device || blk->device_opaque != opaque)
		return;
	blk_drain(blk);
	unclaim(blk);
	blk->has_device = false;
}

const BlkDevice *blk_device(const Blk *blk, void **opaque)
{
	if (!blk->has_device)
		return NULL;
	*opaque = blk->device_opaque;
	return &blk->device;
}

void blk_tray_moved(const Blk *blk, bool open)
{
	event_emit("DEVICE_TRAY_MOVED", json_pack("{ss ss sb}", "device", *blk->id == '#' ? "" : blk->id, "id",
						  blk->has_device ? blk->device.name : "", "tray-open", open));
}

typedef struct ResizeCall {
	Node *node;
	uint64_t bytes;
	GError **error;
	bool ok;
} ResizeCall;

static void resize_fiber(void *opaque)
{
	ResizeCall *c = opaque;
	c->ok = node_truncate(c->node, c->bytes, false, PREALLOC_OFF, c->error);
}

bool blk_resize(Blk *blk, uint64_t bytes, GError **error)
{
	if (!blk->node)
		return fail(error, VIV_ERROR_FAILED, "No medium inserted");
	if (blk->node->read_only)
		return fail(error, VIV_ERROR_FAILED, "The image of '%s' is read-only", blk->id);
	ResizeCall c = { blk->node, bytes, error, false };
	blk_drain(blk);
	loop_call(blk->loop, resize_fiber, &c);
	if (c.ok && blk->has_device && blk->device.resized)
		blk->device.resized(blk->device_opaque);
	return c.ok;
}

/* ---- Requests ---- */

static int perform(Request *r)
{
	Blk *blk = r->blk;
	Node *node = blk->node;
	if (!node)
		return -ENOMEDIUM;
	if (r->op != BLK_READ && r->op != BLK_FLUSH && blk_read_only(blk))
		return -EACCES;
	if (r->op != BLK_FLUSH)
		throttle_wait(&blk->throttle, r->op != BLK_READ, r->bytes);
	if (r->op == BLK_READ)
		trace_blk_co_preadv(blk, node, r->offset, r->bytes, r->flags);
	if (r->op == BLK_WRITE)
		trace_blk_co_pwritev(blk, node, r->offset, r->bytes, r->flags);
	if (r->op == BLK_READ)
		return node_read(node, r->offset, iov_all(r->iov, r->count));
	if (r->op == BLK_FLUSH)
		return node->read_only ? 0 : node_flush(node);
	unsigned flags = r->flags | (blk->write_cache ? 0 : REQ_FUA);
	int err;
	if (r->op == BLK_UNMAP)
		return node_discard(node, r->offset, r->bytes);
	if (r->zeroes)
		err = node_write_zeroes(node, r->offset, r->bytes, flags & ~(unsigned)REQ_FUA);
	else
		err = node_write(node, r->offset, iov_all(r->iov, r->count),
				 flags & ~(unsigned)REQ_FUA);
	/* Formats write data and tables: only a flush of the whole puts both on the medium. */
	if (err >= 0 && flags & REQ_FUA)
		err = node_flush(node);
	return err;
}

/* What becomes of a failed request. True: it is kept for later. */
static bool failed(Request *r)
{
	Blk *blk = r->blk;
	bool write = r->op != BLK_READ;
	BlkErrorPolicy policy = blk->policy[write];
	if (policy == ERROR_AUTO)
		policy = write ? ERROR_ENOSPC : ERROR_REPORT;
	if (policy == ERROR_ENOSPC)
		policy = r->result == -ENOSPC ? ERROR_STOP : ERROR_REPORT;
	/* Nothing to wait for: the guest asked for what cannot be. */
	if (r->result == -ENOMEDIUM || r->result == -EACCES || r->result == -EINVAL)
		policy = ERROR_REPORT;
	const char *word = policy == ERROR_STOP	    ? "stop"
			   : policy == ERROR_IGNORE ? "ignore"
						    : "report";
	if (policy == ERROR_STOP) {
		r->next = NULL;
		*blk->stopped_tail = r;
		blk->stopped_tail = &r->next;
		blk->stopped_error = r->result;
	}
	int err = -r->result;
	if (policy == ERROR_IGNORE)
		r->result = 0;
	if (drives.error_fn && err != ENOMEDIUM)
		drives.error_fn(drives.error_opaque, blk, write, err, word);
	return policy == ERROR_STOP;
}

static void account(Request *r)
{
	static const char *const names[BLK_OPS] = { "read", "write", "flush", "unmap" };
	BlkStats *s = &r->blk->stats;
	if (r->result < 0) {
		s->failed[r->op]++;
	} else {
		s->operations[r->op]++;
		s->bytes[r->op] += r->bytes;
		if (r->op == BLK_WRITE)
			s->highest_offset = MAX(s->highest_offset, r->offset + r->bytes);
	}
	int64_t ns = host_now() - r->begun;
	s->time_ns[r->op] += ns;
	trace_blk_request_done(r->blk, names[r->op], ns, r->result);
}

/* On the loop, on no fiber, so that a device may do anything in `done`. */
static void end(void *opaque)
{
	Request *r = opaque;
	Blk *blk = r->blk;
	BlkDone *done = r->done;
	void *done_opaque = r->opaque;
	int result = r->result;
	account(r);
	g_free(r);
	done(done_opaque, result);
	blk->in_flight--;
}

static void run(void *opaque)
{
	Request *r = opaque;
	r->result = perform(r);
	if (r->result >= 0 || !failed(r))
		loop_post(r->blk->loop, end, r);
}

static void begin(void *opaque)
{
	fiber_start(run, opaque);
}

static void submit(Request *r)
{
	Blk *blk = r->blk;
	r->begun = host_now();
	loop_enter(blk->loop);
	blk->in_flight++;
	/* Requests of a device wait behind those that an error holds back. */
	if (blk->stopped) {
		r->next = NULL;
		*blk->stopped_tail = r;
		blk->stopped_tail = &r->next;
	} else if (fiber_self()) {
		loop_post(blk->loop, begin, r);
	} else {
		begin(r);
	}
	loop_leave(blk->loop);
}

static Request *request_new(Blk *blk, BlkOp op, uint64_t offset, uint64_t bytes, BlkDone *done,
			    void *opaque)
{
	Request *r = g_new0(Request, 1);
	*r = (Request){
	    .blk = blk, .op = op, .offset = offset, .bytes = bytes, .done = done, .opaque = opaque};
	return r;
}

void blk_read(Blk *blk, uint64_t offset, const struct iovec *iov, unsigned count, BlkDone *done,
	      void *opaque)
{
	Request *r = request_new(blk, BLK_READ, offset, iov_all(iov, count).len, done, opaque);
	r->iov = iov;
	r->count = count;
	submit(r);
}

void blk_write(Blk *blk, uint64_t offset, const struct iovec *iov, unsigned count, unsigned flags,
	BlkDone *done, void *opaque)
{
	Request *r = request_new(blk, BLK_WRITE, offset, iov_all(iov, count).len, done, opaque);
	r->iov = iov;
	r->count = count;
	r->flags = flags;
	submit(r);
}

void blk_write_zeroes(Blk *blk, uint64_t offset, uint64_t bytes, unsigned flags, BlkDone *done,
		      void *opaque)
{
	Request *r = request_new(blk, BLK_WRITE, offset, bytes, done, opaque);
	r->zeroes = true;
	r->flags = flags;
	submit(r);
}

void blk_discard(Blk *blk, uint64_t offset, uint64_t bytes, BlkDone *done, void *opaque)
{
	submit(request_new(blk, BLK_UNMAP, offset, bytes, done, opaque));
}

void blk_flush(Blk *blk, BlkDone *done, void *opaque)
{
	submit(request_new(blk, BLK_FLUSH, 0, 0, done, opaque));
}

/* Takes the requests that an error holds back. Loop entered. */
static Request *take_stopped(Blk *blk)
{
	Request *list = blk->stopped;
	blk->stopped = NULL;
	blk->stopped_tail = &blk->stopped;
	blk->stopped_error = 0;
	return list;
}

void blk_drain(Blk *blk)
{
	loop_enter(blk->loop);
	while (blk->in_flight) {
		for (Request *r = take_stopped(blk), *next; r; r = next) {
			next = r->next;
			r->result = -ECANCELED;
			loop_post(blk->loop, end, r);
		}
		loop_poll(blk->loop, true);
	}
	loop_leave(blk->loop);
}

void blk_retry_all(void)
{
	for (unsigned i = 0; drives.list && i < drives.list->len; i++) {
		Blk *blk = g_ptr_array_index(drives.list, i);
		loop_enter(blk->loop);
		for (Request *r = take_stopped(blk), *next; r; r = next) {
			next = r->next;
			begin(r);
		}
		loop_leave(blk->loop);
	}
}

/* ---- Waiting for it ---- */

typedef struct Now { bool done; int result; } Now;

static void now_done(void *opaque, int result)
{
	*(Now *)opaque = (Now){ true, result };
}

static int wait_for(Blk *blk, Now *now)
{
	loop_enter(blk->loop);
	while (!now->done)
		loop_poll(blk->loop, true);
	loop_leave(blk->loop);
	return now->result;
}

int blk_read_now(Blk *blk, uint64_t offset, void *buf, size_t len)
{
	Now now = { 0 };
	struct iovec v = { buf, len };
	blk_read(blk, offset, &v, 1, now_done, &now);
	return wait_for(blk, &now);
}

int blk_write_now(Blk *blk, uint64_t offset, const void *buf, size_t len)
{
	Now now = { 0 };
	struct iovec v = { (void *)buf, len };
	blk_write(blk, offset, &v, 1, 0, now_done, &now);
	return wait_for(blk, &now);
}

/* Waits for all but the requests that an error holds back, which are for blk_retry_all(). */
static void settle(Blk *blk)
{
	loop_enter(blk->loop);
	for (;;) {
		unsigned held = 0;
		for (const Request *r = blk->stopped; r; r = r->next)
			held++;
		if (blk->in_flight == held && !loop_poll(blk->loop, false))
			break;
		if (blk->in_flight > held)
			loop_poll(blk->loop, true);
	}
	loop_leave(blk->loop);
}

int blk_flush_all(void)
{
	int first = 0;
	for (unsigned i = 0; drives.list && i < drives.list->len; i++) {
		Blk *blk = g_ptr_array_index(drives.list, i);
		settle(blk);
		if (!blk->node || blk->stopped)
			continue;
		Now now = { 0 };
		blk_flush(blk, now_done, &now);
		int err = wait_for(blk, &now);
		first = first ? first : err;
	}
	return first;
}
