/*
 * log.c - see log.h. The words are QEMU's.
 *
 * `file_lock` protects the stream; items are atomic; ranges do not change once vcpus run.
 */
#include "core/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/suggest.h"
#include "core/trace.h"

atomic_uint log_items_on;

typedef struct Range {
	uint64_t first, last;
} Range;

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *file;          /* NULL: stderr */
static GArray *ranges;      /* Range; NULL: all addresses */

/* ---- items ---- */

static const struct { const char *name, *help; unsigned bit; } items_known[] = {
	{ "out_asm", "host code of each block that is translated", LOG_OUT_ASM },
	{ "in_asm", "guest instructions of each block that is decoded or translated", LOG_IN_ASM },
	{ "int", "interrupts and exceptions as they are delivered, with registers", LOG_INT },
	{ "exec", "a line for each block that is entered (very much)", LOG_EXEC },
	{ "cpu", "registers before each block (very much)", LOG_CPU },
	{ "fpu", "x87 and vector registers too with 'cpu'", LOG_FPU },
	{ "mmu", "writes of CR0, CR3 and CR4", LOG_MMU },
	{ "cpu_reset", "registers of vcpus before they are reset", LOG_CPU_RESET },
	{ "unimp", "what the guest wants and is not built", LOG_UNIMP },
	{ "guest_errors", "what the guest does that is of no sense, as access to nothing", LOG_GUEST_ERRORS },
	{ "nochain", "blocks do not jump to one another: each goes through the loop", LOG_NOCHAIN },
};

/* Known to others, and why not here. */
static const struct { const char *name, *why; } items_refused[] = {
	{ "op", "there is no intermediate form: guest instructions become host code; use in_asm and out_asm" },
	{ "op_opt", "there is no intermediate form; use out_asm" },
	{ "op_ind", "there is no intermediate form; use out_asm" },
	{ "pcall", "not built yet in this version; int shows exceptions" },
	{ "page", "it belongs to the emulation of single programs" },
	{ "strace", "it belongs to the emulation of single programs" },
	{ "plugin", "there are no plugins" },
	{ "tid", "not built yet in this version; %d in -D's file is the process's id" },
	{ "vpu", "an x86 has none" },
};

void log_list_items(GString *out)
{
	g_string_append(out, "Log items (comma separated):\n");
	for (unsigned i = 0; i < G_N_ELEMENTS(items_known); i++)
		g_string_append_printf(out, "%-15s %s\n", items_known[i].name, items_known[i].help);
	g_string_append(out, "trace:PATTERN   trace events whose names match; trace:help lists them\n");
}

char *log_items_text(unsigned items)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(items_known); i++)
		if (items & items_known[i].bit)
			g_string_append_printf(text, "%s%s", text->len ? "," : "", items_known[i].name);
	return g_string_free(text, FALSE);
}

static bool refuse_item(const char *word, GError **error)
{
	const char *names[G_N_ELEMENTS(items_known) + 1] = { NULL };

	for (unsigned i = 0; i < G_N_ELEMENTS(items_refused); i++)
		if (!strcmp(word, items_refused[i].name))
			return fail(error, VIV_ERROR_UNSUPPORTED, "log item '%s': %s.", word, items_refused[i].why);
	for (unsigned i = 0; i < G_N_ELEMENTS(items_known); i++)
		names[i] = items_known[i].name;
	const char *nearest = suggest_nearest(word, names);
	if (nearest)
		return fail(error, VIV_ERROR_INVALID, "there is no log item '%s'. Did you mean '%s'?", word, nearest);
	return fail(error, VIV_ERROR_INVALID, "there is no log item '%s'; 'help' lists them.", word);
}

static bool item_bits(const char *word, unsigned *bits, GError **error)
{
	bool all = !strcmp(word, "all");

	*bits = 0;
	if (g_str_has_prefix(word, "trace:") && word[6]) {
		trace_enable(word + 6, "");
		return true;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(items_known); i++)
		if (all || !strcmp(word, items_known[i].name))
			*bits |= items_known[i].bit;
	return *bits || refuse_item(word, error);
}

bool log_parse_items(const char *text, unsigned *items, GError **error)
{
	unsigned sum = 0, bits;
	bool ok = true;

	if (!strcmp(text, "none")) {
		*items = 0;
		return true;
	}
	char **words = g_strsplit(text, ",", 0);
	if (!words[0])
		ok = fail(error, VIV_ERROR_INVALID, "log items are missing; 'help' lists them.");
	for (unsigned i = 0; ok && words[i]; i++) {
		ok = item_bits(words[i], &bits, error);
		sum |= bits;
	}
	g_strfreev(words);
	if (ok)
		*items = sum;
	return ok;
}

/* ---- where to ---- */

/* The name with its one %d replaced; NULL: another % is in it. */
static char *expand(const char *path)
{
	const char *percent = strchr(path, '%');

	if (!percent)
		return g_strdup(path);
	if (percent[1] != 'd' || strchr(percent + 2, '%'))
		return NULL;
	return g_strdup_printf("%.*s%d%s", (int)(percent - path), path, (int)getpid(), percent + 2);
}

bool log_set_file(const char *path, GError **error)
{
	FILE *next = NULL;

	if (path) {
		char *name = expand(path);
		if (!name)
			return fail(error, VIV_ERROR_INVALID, "Bad logfile template: %s", path);
		next = fopen(name, "we");
		int err = errno;
		if (!next)
			fail(error, VIV_ERROR_FAILED, "Error opening logfile %s: %s", name, g_strerror(err));
		g_free(name);
		if (!next)
			return false;
	}
	pthread_mutex_lock(&file_lock);
	FILE *last = file;
	file = next;
	pthread_mutex_unlock(&file_lock);
	if (last)
		fclose(last);
	return true;
}

void log_write(const char *text)
{
	pthread_mutex_lock(&file_lock);
	FILE *out = file ? file : stderr;
	fputs(text, out);
	fflush(out);
	pthread_mutex_unlock(&file_lock);
}

void log_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	log_write(text);
	g_free(text);
}

/* ---- which addresses ---- */

static bool number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return g_ascii_isdigit(*text) && !*end && !errno;
}

/* `left` and `right` of the operator, which is '+', '-' or '.' (for ..). False: an empty or wrapping range. */
static bool range_of(char op, uint64_t left, uint64_t right, Range *r)
{
	if (op == '.') {
		*r = (Range){ left, right };
		return left <= right;
	}
	if (right == 0)
		return false;
	*r = op == '+' ? (Range){ left, left + (right - 1) } : (Range){ left - (right - 1), left };
	return r->first <= r->last;
}

static bool parse_range(const char *text, Range *r, GError **error)
{
	const char *op = text + strcspn(text, "+-.");
	size_t width = *op == '.' ? 2 : 1;
	uint64_t left, right;

	if (!*op || (*op == '.' && op[1] != '.'))
		return fail(error, VIV_ERROR_INVALID, "%s: Bad range specifier: START+LENGTH, END-LENGTH or FIRST..LAST "
			"is expected", text);
	char *head = g_strndup(text, (size_t)(op - text));
	bool left_ok = number(head, &left), right_ok = number(op + width, &right);
	g_free(head);
	if (!left_ok || !right_ok)
		return fail(error, VIV_ERROR_INVALID, "%s: Invalid number to the %s of %.*s", text,
			left_ok ? "right" : "left", (int)width, op);
	return range_of(*op, left, right, r) || fail(error, VIV_ERROR_INVALID, "%s: Invalid range", text);
}

bool log_set_filter(const char *text, GError **error)
{
	GArray *next = text ? g_array_new(FALSE, FALSE, sizeof(Range)) : NULL;
	char **words = g_strsplit(text ? text : "", ",", 0);
	bool ok = true;

	for (unsigned i = 0; ok && words[i]; i++) {
		Range r;
		ok = parse_range(words[i], &r, error);
		if (ok)
			g_array_append_val(next, r);
	}
	g_strfreev(words);
	if (ranges)
		g_array_free(ranges, TRUE);
	ranges = ok ? next : NULL;
	if (!ok)
		g_array_free(next, TRUE);
	return ok;
}

bool log_in_range(uint64_t address)
{
	for (unsigned i = 0; ranges && i < ranges->len; i++) {
		const Range *r = &g_array_index(ranges, Range, i);
		if (r->first <= address && address <= r->last)
			return true;
	}
	return !ranges;
}
