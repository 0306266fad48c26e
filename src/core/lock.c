/*
 * lock.c - the machine lock: one mutex and a depth a thread.
 *
 * POSIX threads (IEEE 1003.1-2017). Any thread enters.
 */
#include "core/lock.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local unsigned depth; /* how often this thread has taken it */

void machine_lock(void)
{
	if (depth++ == 0)
		pthread_mutex_lock(&mutex);
}

bool machine_trylock(void)
{
	if (depth == 0 && pthread_mutex_trylock(&mutex))
		return false;
	depth++;
	return true;
}

void machine_unlock(void)
{
	if (--depth == 0)
		pthread_mutex_unlock(&mutex);
}

bool machine_lock_held(void)
{
	return depth > 0;
}
