/*
 * events.h - what happens in the machine, on its way to QMP's clients.
 *
 * Events come from any thread (core/event.h, the machine's listener) and are told on the main thread, in their order.
 */
#ifndef VIV_MONITOR_EVENTS_H
#define VIV_MONITOR_EVENTS_H

#include "machine/machine.h"
#include "monitor/schema.h"

typedef struct EventDef {
	const char *name;  /* "DEVICE_TRAY_MOVED" */
	SchemaMember data[8];
	unsigned interval_ms; /* told at most once in that time for the same `key`, the last one wins; 0: always */
	const char *key;      /* a string member of the data that tells one from another; NULL: none */
} EventDef;

/* Ends with a NULL name. */
extern const EventDef event_table[];

/* `event` is the whole message, borrowed. Main thread, machine lock not held. */
typedef void (*EventClientFn)(void *opaque, const json_t *event);

/* The first of them starts listening to `m`, which outlives them all. Main thread. */
void events_add_client(Machine *m, EventClientFn fn, void *opaque);
void events_remove_client(void *opaque);
/* What has happened so far is told now: a command's events come before its reply. Main thread, machine lock not held. */
void events_flush(void);

#endif
