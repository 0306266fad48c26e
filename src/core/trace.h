/*
 * trace.h - named events in the code, each switched on by itself (-trace, -d trace:, the monitor),
 * written to the log.
 *
 * The one table is trace_events.tab: to add an event, write a line there and call trace_NAME(). One
 * that is off costs a load and a branch; its arguments should cost nothing, or stand behind
 * trace_on(). Any thread traces; the main thread switches.
 */
#ifndef VIV_CORE_TRACE_H
#define VIV_CORE_TRACE_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <glib.h>

#include "core/thread.h"

typedef enum TraceEvent {
#define TRACE_EVENT(name, parameters, ...) TRACE_##name,
#include "core/trace_events.tab"
#undef TRACE_EVENT
	TRACE_COUNT
} TraceEvent;

extern atomic_bool trace_events_on[TRACE_COUNT];

static inline bool trace_on(TraceEvent event)
{
	return __builtin_expect(atomic_load_explicit(&trace_events_on[event], memory_order_relaxed),
		false);
}

/* A line of the log: the event's name and the text. */
void trace_write(TraceEvent event, const char *format, ...) G_GNUC_PRINTF(2, 3);

#define TRACE_EVENT(name, parameters, ...) \
	static inline void trace_##name parameters \
	{ \
		if (trace_on(TRACE_##name)) \
			trace_write(TRACE_##name, __VA_ARGS__); \
	}
#include "core/trace_events.tab"
#undef TRACE_EVENT

const char *trace_name(TraceEvent event);
/* With '*' in it, a word may mean many events, or none. */
bool trace_is_pattern(const char *word);
/* Does `word` mean this event? */
bool trace_matches(TraceEvent event, const char *word);
/* Switches what `word` means; false: it is no pattern, and no event has that name. */
bool trace_set(const char *word, bool on);
/*
 * As the user writes it: a '-' in front switches off. True also if there is no such event, which is
 * said on stderr behind `where` ("-trace nosuch: ").
 */
void trace_enable(const char *word, const char *where);
/* A word a line; empty lines and those that begin with # are none. */
bool trace_enable_file(const char *path, GError **error);
/* The names, a line each. */
void trace_list(GString *out);
/* From now on lines begin with thread and time (-msg timestamp=on). */
void trace_set_timestamps(bool on);

#endif
