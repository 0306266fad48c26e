/*
 * worker.c - a pool of threads that grows to a limit and is never torn down.
 *
 * POSIX threads (IEEE 1003.1-2017). Any thread enters. A worker starts when a job is queued
 * and none is idle, so a program that needs none has none.
 */
#include "core/worker.h"

#include <pthread.h>
#include <unistd.h>
#include <glib.h>

#include "core/thread.h"

/* The one pool of the process. */
static struct Pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	Job *head, **tail;
	unsigned threads, idle, limit;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static void *work(void *opaque)
{
	struct Pool *p = opaque;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->head) {
			p->idle++;
			pthread_cond_wait(&p->more, &p->lock);
			p->idle--;
		}
		Job *job = p->head;
		p->head = job->next;
		if (!p->head)
			p->tail = &p->head;
		pthread_mutex_unlock(&p->lock);
		job->result = job->fn(job->opaque);
		job->done(job);
		pthread_mutex_lock(&p->lock);
	}
	return NULL;
}

static unsigned default_limit(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	return cpus > 4 ? (unsigned)cpus : 4;
}

void worker_submit(Job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool.lock);
	if (!pool.head)
		pool.tail = &pool.head;
	*pool.tail = job;
	pool.tail = &job->next;
	if (!pool.limit)
		pool.limit = default_limit();
	bool start = !pool.idle && pool.threads < pool.limit;
	unsigned index = pool.threads;
	pool.threads += start;
	pthread_mutex_unlock(&pool.lock);
	/* Not under the lock, which the one that wakes takes first. */
	pthread_cond_signal(&pool.more);
	if (!start)
		return;
	pthread_t thread;
	GError *error = NULL;
	if (thread_start(THREAD_WORKER, index, work, &pool, &thread, &error)) {
		pthread_detach(thread);
		return;
	}
	pthread_mutex_lock(&pool.lock);
	bool others = --pool.threads > 0;
	pthread_mutex_unlock(&pool.lock);
	if (!others)
		g_error("%s", error->message);
	g_error_free(error);
}

void worker_limit(unsigned count)
{
	pthread_mutex_lock(&pool.lock);
	pool.limit = count ? count : default_limit();
	pthread_mutex_unlock(&pool.lock);
}
