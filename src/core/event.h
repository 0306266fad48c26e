/*
 * event.h - what happens in the machine, told to whoever drives it (QMP's events).
 *
 * A process has one machine, and one sink for its events: the monitor. What is emitted without one is dropped.
 */
#ifndef VIV_CORE_EVENT_H
#define VIV_CORE_EVENT_H

#include <jansson.h>

/* `data` belongs to the sink. Called on the emitting thread, whatever locks that holds. */
typedef void (*EventSink)(void *opaque, const char *name, json_t *data);

/* Main thread. NULL: none; on return the former one is not running any more. */
void event_set_sink(EventSink sink, void *opaque);
/* `name` is QMP's ("DEVICE_TRAY_MOVED"); `data`, taken over, may be NULL. Any thread, any lock. */
void event_emit(const char *name, json_t *data);

#endif
