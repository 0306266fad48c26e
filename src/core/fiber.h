/*
 * fiber.h - functions that can wait without blocking their thread.
 *
 * A fiber is a stack of its own. Code that needs several steps of input and output (an
 * image format that reads a table before the data) is written as straight lines: where it
 * has to wait it suspends itself, and whoever learns that the wait is over resumes it.
 *
 * Fibers of one loop (loop.h) run one at a time, under that loop's lock, on whichever
 * thread holds it; nothing else happens to their data between two waits. Since a fiber may
 * go on on another thread, do not keep errno or a thread-local address across a wait.
 */
#ifndef VIV_CORE_FIBER_H
#define VIV_CORE_FIBER_H

#include <stdbool.h>

typedef struct Fiber Fiber;
typedef void FiberFn(void *opaque);

/* Runs fn(opaque) on a new fiber, at once, until it waits or ends. May itself be called on a fiber.
 */
void fiber_start(FiberFn *fn, void *opaque);
/* The running fiber; NULL on a thread's own stack. */
Fiber *fiber_self(void);
/* Waits: goes back to whoever started or resumed this fiber. Only on a fiber. */
void fiber_suspend(void);
/* Goes on with a suspended one until it waits again or ends. */
void fiber_resume(Fiber *fiber);

/* Fibers that wait for something, in order. Zero is an empty one. */
typedef struct FiberQueue { struct FiberWaiter *head, **tail; } FiberQueue;
void fiber_queue_wait(FiberQueue *queue);  /* suspends until woken */
bool fiber_queue_wake(FiberQueue *queue);  /* resumes the first; false: none waits */
void fiber_queue_wake_all(FiberQueue *queue); /* those who wait now, not who come meanwhile */

/* A lock between fibers of one loop; first come, first served. Zero is an open one. */
typedef struct FiberMutex { bool locked; FiberQueue waiters; } FiberMutex;
void fiber_lock(FiberMutex *mutex);
void fiber_unlock(FiberMutex *mutex);

/* Many readers or one writer; a waiting writer holds back new readers. Zero is an open one. */
typedef struct FiberRwLock {
	unsigned readers;
	bool writer;
	FiberQueue waiters;
	unsigned writers_waiting;
} FiberRwLock;
void fiber_rdlock(FiberRwLock *lock);
void fiber_rdunlock(FiberRwLock *lock);
void fiber_wrlock(FiberRwLock *lock);
void fiber_wrunlock(FiberRwLock *lock);

#endif
