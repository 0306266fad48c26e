/*
 * loop.h - input and output for fibers: an io_uring, jobs on worker threads, timers.
 *
 * One loop for the main thread, one for each `-object iothread`. A loop has a lock (the
 * main one's is the machine lock); whoever holds it may start and resume the loop's fibers
 * and wait for its events, so a vcpu that holds the machine lock may drain a disk itself.
 *
 * io_uring(7) through liburing; where the kernel has none (or forbids it) every request
 * becomes a job on a worker thread.
 */
#ifndef VIV_CORE_LOOP_H
#define VIV_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <glib.h>

#include "core/fiber.h"

typedef struct Loop Loop;

/* The loop of the main thread, made at the first call; never freed. Any thread. */
Loop *loop_main(void);
/* A loop with a thread of its own, named by `index`. loop_free ends and joins it; no request may be
 * left. */
Loop *loop_new(unsigned index, GError **error);
void loop_free(Loop *loop);
/* Hooks the main loop into the default GMainContext, under the machine lock. Once, by a program
 * that runs one. */
void loop_attach_main(void);

/* The host's id of its thread (gettid); 0: it is the main one. Any thread. */
int loop_thread_id(const Loop *loop);

void loop_enter(Loop *loop); /* takes its lock; nests */
void loop_leave(Loop *loop); /* also hands collected requests to the kernel */
/* The innermost loop this thread has entered; loop_main() if none. */
Loop *loop_self(void);

/* Runs fn(opaque) soon, on the loop, in no fiber. Any thread, no lock needed. */
void loop_post(Loop *loop, void (*fn)(void *opaque), void *opaque);
/* Handles what is ready; with `wait`, waits for something first. Loop entered, not on a fiber.
 * True: something happened. */
bool loop_poll(Loop *loop, bool wait);
/* Runs fn(opaque) in a fiber of the loop and waits for its end. Enters the loop. On a fiber of it:
 * a plain call. */
void loop_call(Loop *loop, FiberFn *fn, void *opaque);
/* While readable, fn(opaque) is called on the loop, which must not wait there. fn NULL removes.
 * Loop entered. */
void loop_watch(Loop *loop, int fd, void (*fn)(void *opaque), void *opaque);

/*
 * The rest is for fibers; each waits and gives a result or -errno. Short transfers happen
 * at the end of a file only (for reads); writes are complete or failed.
 */
ssize_t loop_readv(int fd, const struct iovec *iov, unsigned count, uint64_t offset);
ssize_t loop_writev(int fd, const struct iovec *iov, unsigned count, uint64_t offset);
int loop_fdatasync(int fd);
/* fn(opaque) on a worker thread, without any lock; its result. */
int loop_work(int (*fn)(void *opaque), void *opaque);
void loop_sleep(int64_t ns);
/* Lets others of the loop go on first. */
void loop_yield(void);

/* Is there an io_uring behind this loop? For `info` and aio=. */
bool loop_has_uring(Loop *loop);
/* Worker threads at most; 0 keeps the number of host cpus (at least 4). Before the first job. */
void loop_set_workers(unsigned count);

#endif
