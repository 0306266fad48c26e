/*
 * units.h - sizes as users write them.
 */
#ifndef VIV_CORE_UNITS_H
#define VIV_CORE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Parses a size: decimal with an optional fraction, or 0x hexadecimal, then one of
 * b k m g t p e (either case; powers of 1024), or none for `default_unit` (bytes
 * in one unit, e.g. 1 or 1 MiB). The whole text must be used. False: not a size,
 * negative, part of a byte, or beyond 2^64-1; *out is untouched. Any thread.
 */
bool parse_size(const char *text, uint64_t default_unit, uint64_t *out);

/* "1.5 GiB", three digits. Caller frees (g_free). */
char *size_text(uint64_t bytes);

#endif
