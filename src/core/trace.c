/*
 * trace.c - see trace.h. Lines look as those of QEMU's log backend.
 */
#include "core/trace.h"

#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"

atomic_bool trace_events_on[TRACE_COUNT];
static atomic_bool timestamps;

static const char *const names[TRACE_COUNT] = {
#define TRACE_EVENT(name, parameters, ...) #name,
#include "core/trace_events.tab"
#undef TRACE_EVENT
};

void trace_write(TraceEvent event, const char *format, ...)
{
	GString *line = g_string_new(NULL);
	va_list args;

	if (atomic_load(&timestamps)) {
		gint64 now = g_get_real_time();
		g_string_printf(line, "%d@%" PRId64 ".%06d:", (int)gettid(), now / G_USEC_PER_SEC,
			(int)(now % G_USEC_PER_SEC));
	}
	g_string_append_printf(line, "%s ", names[event]);
	va_start(args, format);
	g_string_append_vprintf(line, format, args);
	va_end(args);
	g_string_append_c(line, '\n');
	log_write(line->str);
	g_string_free(line, TRUE);
}

void trace_set_timestamps(bool on) { atomic_store(&timestamps, on); }
const char *trace_name(TraceEvent event) { return names[event]; }
bool trace_is_pattern(const char *word) { return strchr(word, '*'); }

bool trace_matches(TraceEvent event, const char *word)
{
	return trace_is_pattern(word) ? g_pattern_match_simple(word, names[event])
		: !strcmp(word, names[event]);
}

bool trace_set(const char *word, bool on)
{
	bool any = trace_is_pattern(word);

	for (unsigned i = 0; i < TRACE_COUNT; i++)
		if (trace_matches(i, word)) {
			atomic_store(&trace_events_on[i], on);
			any = true;
		}
	return any;
}

void trace_enable(const char *word, const char *where)
{
	bool off = *word == '-';

	if (!trace_set(word + off, !off))
		g_printerr("%swarning: trace event '%s' does not exist\n", where, word + off);
}

bool trace_enable_file(const char *path, GError **error)
{
	char *text;
	GError *why = NULL;

	if (!g_file_get_contents(path, &text, NULL, &why)) {
		fail(error, VIV_ERROR_FAILED, "%s", why->message);
		g_error_free(why);
		return false;
	}
	char **lines = g_strsplit(text, "\n", 0);
	for (unsigned i = 0; lines[i]; i++) {
		char *where = g_strdup_printf("%s:%u: ", path, i + 1);
		g_strchomp(lines[i]);
		if (*lines[i] && *lines[i] != '#')
			trace_enable(lines[i], where);
		g_free(where);
	}
	g_strfreev(lines);
	g_free(text);
	return true;
}

void trace_list(GString *out)
{
	for (unsigned i = 0; i < TRACE_COUNT; i++)
		g_string_append_printf(out, "%s\n", names[i]);
}
