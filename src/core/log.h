/*
 * log.h - the log of `-d ITEMS`: what is logged, where to, and for which addresses. One a process.
 *
 * Who logs asks log_on() first, and only where it is not hot. The items and the file are changed by the
 * main thread; any thread writes.
 */
#ifndef VIV_CORE_LOG_H
#define VIV_CORE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

enum {
	LOG_OUT_ASM = 1 << 0, LOG_IN_ASM = 1 << 1, LOG_INT = 1 << 2, LOG_EXEC = 1 << 3, LOG_CPU = 1 << 4,
	LOG_FPU = 1 << 5, LOG_MMU = 1 << 6, LOG_CPU_RESET = 1 << 7, LOG_UNIMP = 1 << 8, LOG_GUEST_ERRORS = 1 << 9,
	LOG_NOCHAIN = 1 << 10,
};
/* These are part of decoded and translated blocks: whoever changes them drops all blocks. */
#define LOG_IN_BLOCKS (LOG_OUT_ASM | LOG_IN_ASM | LOG_EXEC | LOG_CPU | LOG_NOCHAIN)

extern atomic_uint log_items_on;
static inline bool log_on(unsigned items)
{
	return atomic_load_explicit(&log_items_on, memory_order_relaxed) & items;
}
static inline void log_set_items(unsigned items) { atomic_store(&log_items_on, items); }

/* "int,exec" to LOG_* bits; "all", and "none" alone; "trace:PATTERN" is none and switches trace events on. False: *error names the word. */
bool log_parse_items(const char *text, unsigned *items, GError **error);
/* The words of these bits, comma between. */
char *log_items_text(unsigned items);
/* What `-d help` prints. */
void log_list_items(GString *out);

/* From now on the log goes to `path`, whose %d becomes the process's id; NULL: stderr. */
bool log_set_file(const char *path, GError **error);
/* "START+LENGTH", "END-LENGTH", "FIRST..LAST", comma between. NULL: all addresses are logged. */
bool log_set_filter(const char *text, GError **error);
/* Is `address` one whose blocks are logged? Before any other thread exists, or not changed. */
bool log_in_range(uint64_t address);

/* Whole lines: they are not torn apart by another thread's. */
void log_write(const char *text);
void log_printf(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
