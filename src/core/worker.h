/*
 * worker.h - jobs that block, on a pool of threads. For loop.c; others use loop_work().
 */
#ifndef VIV_CORE_WORKER_H
#define VIV_CORE_WORKER_H

typedef struct Job Job;
struct Job {
	int (*fn)(void *opaque); /* on a worker, no lock held */
	void *opaque;
	int result;
	void (*done)(Job *job);  /* on the worker, after fn; must be short */
	Job *next;
};

/* Queues it; the memory is the caller's and must last until done() has begun. Any thread. */
void worker_submit(Job *job);
/* Threads at most; 0: as many as host cpus, at least 4. Those already started stay. Any thread. */
void worker_limit(unsigned count);

#endif
