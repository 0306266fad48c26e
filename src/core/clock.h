/*
 * clock.h - the guest's clock and timers on it.
 *
 * One Clock a machine: nanoseconds that pass only while the machine runs. Timers
 * fire from the main loop (one timerfd in the default GMainContext) with the
 * machine lock held. Resolution is that of timerfd, not of poll.
 */
#ifndef VIV_CORE_CLOCK_H
#define VIV_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_SEC 1000000000LL
#define TIMER_IDLE INT64_MAX

typedef struct Clock Clock;
typedef void (*TimerFn)(void *opaque);

typedef struct Timer {
	Clock *clock;
	TimerFn fn;
	void *opaque;
	int64_t deadline; /* ns on the clock; TIMER_IDLE when not armed */
	unsigned slot;    /* place in the clock's heap, private */
} Timer;

Clock *clock_new(void); /* stopped, at 0 */
void clock_free(Clock *clock);
void clock_start(Clock *clock); /* machine lock held, these three */
void clock_stop(Clock *clock);
/* A stopped clock goes on by `ns` at once; timers due by then fire in turn, each at its time. */
void clock_advance(Clock *clock, int64_t ns);
int64_t clock_now(Clock *clock); /* ns; any thread, no lock */

/* Host nanoseconds (CLOCK_MONOTONIC), never stopped. Any thread. */
int64_t host_now(void);

/* All with the machine lock held. The Timer's memory is the caller's; cancel before freeing. */
void timer_init(Timer *t, Clock *clock, TimerFn fn, void *opaque);
void timer_arm(Timer *t, int64_t deadline_ns); /* re-arms if armed; the past fires at once */
void timer_cancel(Timer *t);
static inline bool timer_armed(const Timer *t) { return t->deadline != TIMER_IDLE; }

/* a * b / c without overflow of the product; c != 0, result must fit 64 bits. */
static inline uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
