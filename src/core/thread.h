/*
 * thread.h - the one way to start a thread.
 *
 * Every thread of the program has a kind; the kind gives its name (as in
 * /proc/PID/task/TID/comm), and says in docs/threads.md what it may do.
 */
#ifndef VIV_CORE_THREAD_H
#define VIV_CORE_THREAD_H

#include <stdbool.h>
#include <pthread.h>
#include <glib.h>

typedef enum ThreadKind {
	THREAD_MAIN,   /* runs the GMainLoop; never started, only named */
	THREAD_VCPU,   /* one a virtual cpu: runs guest code and device callbacks */
	THREAD_IO,     /* disk and network input and output */
	THREAD_WORKER, /* short jobs that block: compression, host file calls */
	THREAD_WEB,    /* the browser console's server */
	THREAD_VIEWER, /* one a VNC viewer: encodes and sends pictures, reads what is typed */
	THREAD_KINDS
} ThreadKind;

/*
 * Starts fn(opaque) on a joinable thread with all signals blocked but those in
 * which the accelerator delivers kicks (it unblocks its own). `index` is shown in
 * the name ("viv-cpu3"). Any thread.
 */
bool thread_start(ThreadKind kind, unsigned index, void *(*fn)(void *), void *opaque,
	pthread_t *out, GError **error);
/* Waits for its end. */
void thread_join(pthread_t thread);
/* The number of the vcpu whose thread calls; -1: it is none. */
int thread_vcpu(void);
/* The kind of the calling thread; THREAD_MAIN unless thread_start() made it. */
ThreadKind thread_kind(void);

#endif
