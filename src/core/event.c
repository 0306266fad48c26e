/*
 * event.c - hands events to the sink.
 *
 * Any thread. The lock is a leaf: a sink takes its own below it and calls nothing else.
 */
#include "core/event.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static EventSink current; /* lock */
static void *current_opaque;

void event_set_sink(EventSink sink, void *opaque)
{
	pthread_mutex_lock(&lock);
	current = sink;
	current_opaque = opaque;
	pthread_mutex_unlock(&lock);
}

void event_emit(const char *name, json_t *data)
{
	pthread_mutex_lock(&lock);
	if (current)
		current(current_opaque, name, data);
	else
		json_decref(data);
	pthread_mutex_unlock(&lock);
}
