/*
 * text.c - numbers, bytes and threads as packets have them.
 */
#include "gdb/private.h"

bool gdb_take_char(const char **p, char c)
{
	bool there = **p == c;

	*p += there;
	return there;
}

bool gdb_take_number(const char **p, uint64_t *out)
{
	unsigned digits = 0;

	*out = 0;
	for (; g_ascii_isxdigit(**p); (*p)++, digits++)
		*out = *out << 4 | (unsigned)g_ascii_xdigit_value(**p);
	return digits && digits <= 16;
}

void gdb_append_hex(GString *out, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		g_string_append_printf(out, "%02x", ((const uint8_t *)bytes)[i]);
}

bool gdb_take_hex(const char **p, void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++, *p += 2) {
		if (!g_ascii_isxdigit((*p)[0]) || !g_ascii_isxdigit((*p)[1]))
			return false;
		((uint8_t *)bytes)[i] = (uint8_t)(g_ascii_xdigit_value((*p)[0]) << 4 | g_ascii_xdigit_value((*p)[1]));
	}
	return true;
}

/* -1: all; else a number from 1 on, 0 for any. */
static bool take_id(const char **p, int64_t *out)
{
	uint64_t n;

	if (**p == '-') {
		(*p)++;
		*out = -1;
		return gdb_take_char(p, '1');
	}
	bool ok = gdb_take_number(p, &n) && n <= INT32_MAX;
	*out = (int64_t)n;
	return ok;
}

bool gdb_take_thread(Gdb *g, const char **p, int *index)
{
	int64_t process = 1, thread = -1;

	if (gdb_take_char(p, 'p')) {
		if (!take_id(p, &process))
			return false;
		if (gdb_take_char(p, '.') && !take_id(p, &thread))
			return false;
	} else if (!take_id(p, &thread)) {
		return false;
	}
	if (process > 1 || thread > (int64_t)machine_board(g->m)->cpu_count)
		return false;
	*index = thread < 0 ? -1 : thread ? (int)thread - 1 : 0;
	return true;
}

void gdb_append_thread(const Gdb *g, unsigned index, GString *out)
{
	g_string_append_printf(out, g->multiprocess ? "p01.%02x" : "%02x", index + 1);
}
