/*
 * units.c - see units.h. Any thread enters.
 */
#include "core/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>

/* Bytes of a suffix; 0: not one. */
static uint64_t unit_of(char c)
{
	static const char units[] = "bkmgtpe";
	const char *at = c ? strchr(units, g_ascii_tolower(c)) : NULL;
	return at ? 1ull << (10 * (at - units)) : 0;
}

/* ".ddd" in units of 10^-18 (further digits are beyond what a size needs); advances *text. */
static uint64_t parse_fraction(const char **text)
{
	uint64_t value = 0, place = 100000000000000000ull;
	for (; g_ascii_isdigit(**text); (*text)++) {
		value += place * (uint64_t)(**text - '0');
		place /= 10;
	}
	return value;
}

bool parse_size(const char *text, uint64_t default_unit, uint64_t *out)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	const char *end = hex ? text + 2 : text;
	uint64_t whole, fraction = 0;

	if (hex ? !g_ascii_isxdigit(*end) : !g_ascii_isdigit(*end))
		return false;
	errno = 0;
	whole = g_ascii_strtoull(end, (char **)&end, hex ? 16 : 10);
	if (errno)
		return false;
	if (!hex && *end == '.') {
		end++;
		fraction = parse_fraction(&end);
	}
	uint64_t unit = *end ? unit_of(*end++) : default_unit;
	if (unit == 0 || *end || (fraction && unit == 1))
		return false;
	unsigned __int128 total = (unsigned __int128)whole * unit +
		(unsigned __int128)fraction * unit / 1000000000000000000ull;
	if (total > UINT64_MAX)
		return false;
	*out = (uint64_t)total;
	return true;
}

char *size_text(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 1000 && u < G_N_ELEMENTS(units) - 1) {
		v /= 1024;
		u++;
	}
	return g_strdup_printf("%.3g %s", v, units[u]);
}
