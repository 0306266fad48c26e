/*
 * clock.c - the guest's clock: a heap of timers and one timerfd.
 *
 * timerfd_create(2). Timers are armed by any thread that holds the machine lock
 * and fire on the main thread. The timerfd is only moved when an earlier deadline
 * appears: a timer that is put off costs no system call, but one idle wake-up.
 */
#include "core/clock.h"

#include <stdatomic.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <glib.h>
#include <glib-unix.h>

#include "core/lock.h"

#define NOT_FROZEN INT64_MIN
/* Timers fired in one turn of the main loop: one that re-arms in the past must not starve the rest. */
#define BURST_MAX 256

struct Clock {
	_Atomic int64_t frozen;  /* the time while stopped; NOT_FROZEN: it runs */
	_Atomic int64_t offset;  /* clock - host while it runs */
	Timer **heap;            /* [0, count), earliest first; guarded by the machine lock */
	unsigned count, capacity;
	int fd;
	int64_t programmed;      /* clock ns for which fd is set; TIMER_IDLE: not set */
	GSource *source;
};

int64_t host_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t clock_now(Clock *clock)
{
	int64_t frozen = atomic_load(&clock->frozen);
	return frozen != NOT_FROZEN ? frozen : host_now() + atomic_load(&clock->offset);
}

static void program(Clock *clock, int64_t deadline)
{
	struct itimerspec spec = { 0 };
	if (deadline != TIMER_IDLE) {
		int64_t host;
		/* Zero would disarm, and a sum out of range is as good as never. */
		if (__builtin_sub_overflow(deadline, atomic_load(&clock->offset), &host))
			host = deadline < 0 ? 1 : INT64_MAX;
		if (host < 1)
			host = 1;
		spec.it_value.tv_sec = host / NS_PER_SEC;
		spec.it_value.tv_nsec = host % NS_PER_SEC;
	}
	timerfd_settime(clock->fd, TFD_TIMER_ABSTIME, &spec, NULL);
	clock->programmed = deadline;
}

/* Makes sure that the timerfd fires no later than the earliest timer. */
static void update(Clock *clock)
{
	if (atomic_load(&clock->frozen) != NOT_FROZEN || clock->count == 0)
		return;
	if (clock->heap[0]->deadline < clock->programmed)
		program(clock, clock->heap[0]->deadline);
}

static void put(Clock *clock, unsigned slot, Timer *t)
{
	clock->heap[slot] = t;
	t->slot = slot;
}

static void sift_up(Clock *clock, Timer *t, unsigned slot)
{
	while (slot > 0) {
		unsigned parent = (slot - 1) / 2;
		if (clock->heap[parent]->deadline <= t->deadline)
			break;
		put(clock, slot, clock->heap[parent]);
		slot = parent;
	}
	put(clock, slot, t);
}

static void sift_down(Clock *clock, Timer *t, unsigned slot)
{
	for (;;) {
		unsigned child = 2 * slot + 1;
		if (child >= clock->count)
			break;
		if (child + 1 < clock->count &&
		    clock->heap[child + 1]->deadline < clock->heap[child]->deadline)
			child++;
		if (t->deadline <= clock->heap[child]->deadline)
			break;
		put(clock, slot, clock->heap[child]);
		slot = child;
	}
	put(clock, slot, t);
}

static void heap_remove(Timer *t)
{
	Clock *clock = t->clock;
	unsigned slot = t->slot;
	Timer *last = clock->heap[--clock->count];
	if (last == t)
		return;
	sift_down(clock, last, slot);
	sift_up(clock, last, last->slot);
}

void timer_init(Timer *t, Clock *clock, TimerFn fn, void *opaque)
{
	*t = (Timer){ .clock = clock, .fn = fn, .opaque = opaque, .deadline = TIMER_IDLE };
}

void timer_cancel(Timer *t)
{
	if (!timer_armed(t))
		return;
	heap_remove(t);
	t->deadline = TIMER_IDLE;
}

void timer_arm(Timer *t, int64_t deadline_ns)
{
	Clock *clock = t->clock;

	timer_cancel(t);
	t->deadline = deadline_ns == TIMER_IDLE ? TIMER_IDLE - 1 : deadline_ns;
	if (clock->count == clock->capacity) {
		clock->capacity = clock->capacity ? 2 * clock->capacity : 16;
		clock->heap = g_renew(Timer *, clock->heap, clock->capacity);
	}
	sift_up(clock, t, clock->count++);
	update(clock);
}

/* Fires the earliest timer if it is due by `now`. */
static bool fire_one(Clock *clock, int64_t now)
{
	Timer *t = clock->count ? clock->heap[0] : NULL;

	if (!t || t->deadline > now)
		return false;
	timer_cancel(t);
	t->fn(t->opaque);
	return true;
}

static gboolean fire(gint fd, GIOCondition condition, gpointer opaque)
{
	Clock *clock = opaque;
	uint64_t expirations;

	machine_lock();
	if (read(fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		clock->programmed = TIMER_IDLE;
	for (int n = 0; n < BURST_MAX && atomic_load(&clock->frozen) == NOT_FROZEN; n++)
		if (!fire_one(clock, clock_now(clock)))
			break;
	update(clock);
	machine_unlock();
	return G_SOURCE_CONTINUE;
}

Clock *clock_new(void)
{
	Clock *clock = g_new0(Clock, 1);
	clock->programmed = TIMER_IDLE;
	clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (clock->fd < 0)
		g_error("timerfd_create: %s", g_strerror(errno));
	clock->source = g_unix_fd_source_new(clock->fd, G_IO_IN);
	/* Guest time is late when other sources are served first. */
	g_source_set_priority(clock->source, G_PRIORITY_HIGH);
	g_source_set_callback(clock->source, G_SOURCE_FUNC(fire), clock, NULL);
	g_source_attach(clock->source, NULL);
	return clock;
}

void clock_free(Clock *clock)
{
	if (!clock)
		return;
	while (clock->count)
		timer_cancel(clock->heap[0]);
	g_source_destroy(clock->source);
	g_source_unref(clock->source);
	close(clock->fd);
	g_free(clock->heap);
	g_free(clock);
}

void clock_start(Clock *clock)
{
	int64_t frozen = atomic_load(&clock->frozen);
	if (frozen == NOT_FROZEN)
		return;
	atomic_store(&clock->offset, frozen - host_now());
	atomic_store(&clock->frozen, NOT_FROZEN);
	update(clock);
}

void clock_stop(Clock *clock)
{
	if (atomic_load(&clock->frozen) != NOT_FROZEN)
		return;
	atomic_store(&clock->frozen, host_now() + atomic_load(&clock->offset));
	program(clock, TIMER_IDLE);
}

void clock_advance(Clock *clock, int64_t ns)
{
	int64_t now = atomic_load(&clock->frozen), end = now + ns;

	g_return_if_fail(now != NOT_FROZEN);
	while (clock->count && clock->heap[0]->deadline <= end) {
		now = MAX(now, clock->heap[0]->deadline);
		atomic_store(&clock->frozen, now);
		fire_one(clock, now);
	}
	atomic_store(&clock->frozen, end);
}
