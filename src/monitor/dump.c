/*
 * dump.c - x, xp, print, memsave, pmemsave: memory and numbers.
 *
 * Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/lock.h"
#include "cpu/decode.h"
#include "monitor/private.h"

#define COUNT_MAX 65536

/* Columns so that all values of a size line up. */
void append_value(GString *out, char format, unsigned size, uint64_t value)
{
	unsigned bits = size * 8;
	int64_t wide = bits < 64 ? (int64_t)(value << (64 - bits)) >> (64 - bits) : (int64_t)value;
	int decimals = (int)((bits * 10 + 32) / 33);
	value = bits < 64 ? value & ((1ull << bits) - 1) : value;
	switch (format) {
	case 'd':
		g_string_append_printf(out, "%*" PRId64, decimals, wide);
		break;
	case 'u':
		g_string_append_printf(out, "%*" PRIu64, decimals, value);
		break;
	case 'o':
		g_string_append_printf(out, "0%0*" PRIo64, (int)((bits + 2) / 3), value);
		break;
	case 'c':
		if (value == '\'' || value == '\\')
			g_string_append_printf(out, "'\\%c'", (char)value);
		else if (value >= 32 && value < 127)
			g_string_append_printf(out, "'%c'", (char)value);
		else
			g_string_append_printf(out, "'\\x%02" PRIx64 "'", value);
		break;
	default:
		g_string_append_printf(out, "0x%0*" PRIx64, (int)size * 2, value);
		break;
	}
}

/* Guest bytes by linear or physical address. Machine lock held, vcpu stopped. */
static bool fetch(Monitor *mon, Cpu *cpu, bool physical, uint64_t addr, uint8_t *buf, size_t len)
{
	while (len) {
		size_t n = MIN(len, GUEST_PAGE_SIZE - (addr & (GUEST_PAGE_SIZE - 1)));
		uint64_t gpa = addr;
		if ((!physical && !cpu_walk_debug(cpu, addr, &gpa)) ||
			!guest_read(machine_board(mon->m)->mem, gpa, buf, n))
			return false;
		addr += n;
		buf += n;
		len -= n;
	}
	return true;
}

static void dump_code(Monitor *mon, Cpu *cpu, bool physical, uint64_t addr, unsigned count,
	GString *out)
{
	unsigned mode = cpu->mode & (MODE_CODE_MASK | MODE_PROT);
	for (unsigned i = 0; i < count; i++) {
		uint8_t bytes[INSN_MAX];
		unsigned avail = 0;
		while (avail < INSN_MAX && fetch(mon, cpu, physical, addr + avail, bytes + avail,
			1))
			avail++;
		g_string_append_printf(out, "0x%08" PRIx64 ": ", addr);
		Decoded d;
		DecodeResult result = avail ? decode(bytes, avail, mode, NULL, &d) : DECODE_MORE;
		if (result == DECODE_MORE) {
			g_string_append(out, "Cannot access memory\n");
			return;
		}
		unsigned len = result == DECODE_OK ? d.len : 1;
		for (unsigned k = 0; k < MAX(len, 8); k++)
			if (k < len)
				g_string_append_printf(out, " %02x", bytes[k]);
			else
				g_string_append(out, "   ");
		g_string_append(out, "  ");
		/* Branch targets are shown as linear addresses, like the line's own. */
		if (result == DECODE_OK)
			disassemble(&d, addr, out);
		else
			g_string_append_printf(out, "(bad)");
		g_string_append_c(out, '\n');
		addr += len;
	}
}

static void dump_strings(Monitor *mon, Cpu *cpu, bool physical, uint64_t addr, unsigned count,
	GString *out)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = 1;
		g_string_append_printf(out, "%016" PRIx64 ": \"", addr);
		for (unsigned n = 0; n < 4096 && byte; n++, addr++) {
			if (!fetch(mon, cpu, physical, addr, &byte, 1)) {
				g_string_append(out, "\" Cannot access memory\n");
				return;
			}
			if (byte == '"' || byte == '\\')
				g_string_append_printf(out, "\\%c", byte);
			else if (byte >= 32 && byte < 127)
				g_string_append_c(out, (char)byte);
			else if (byte)
				g_string_append_printf(out, "\\x%02x", byte);
		}
		g_string_append(out, "\"\n");
	}
}

static void dump_values(Monitor *mon, Cpu *cpu, bool physical, uint64_t addr, const Format *f,
	GString *out)
{
	unsigned size = f->format == 'c' ? 1 : (unsigned)f->size, line = f->format == 'c' ? 8 : 16;
	for (unsigned i = 0; i < f->count; i++, addr += size) {
		uint64_t value = 0;
		if (i % (line / size) == 0)
			g_string_append_printf(out, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
		if (!fetch(mon, cpu, physical, addr, (uint8_t *)&value, size)) {
			g_string_append(out, " Cannot access memory");
			break;
		}
		g_string_append_c(out, ' ');
		append_value(out, f->format, size, value);
	}
	g_string_append_c(out, '\n');
}

static void dump(Monitor *mon, const Args *args, bool physical, GString *out)
{
	Format f = args->format;
	uint64_t addr = (uint64_t)args->number[1];
	f.count = MIN(f.count, COUNT_MAX);
	Cpu *cpu = monitor_hold(mon);
	machine_lock();
	if (!physical && !cpu_code64(cpu))
		addr = (uint32_t)addr;
	if (f.format == 'i')
		dump_code(mon, cpu, physical, addr, f.count, out);
	else if (f.format == 's')
		dump_strings(mon, cpu, physical, addr, f.count, out);
	else
		dump_values(mon, cpu, physical, addr, &f, out);
	machine_unlock();
	monitor_release(mon);
}

void command_x(Monitor *mon, const Args *args, GString *out)
{
	dump(mon, args, false, out);
}

void command_xp(Monitor *mon, const Args *args, GString *out)
{
	dump(mon, args, true, out);
}

void command_print(Monitor *mon, const Args *args, GString *out)
{
	uint64_t value = (uint64_t)args->number[1];
	switch (args->format.format) {
	case 'd': g_string_append_printf(out, "%" PRId64, (int64_t)value); break;
	case 'u': g_string_append_printf(out, "%" PRIu64, value); break;
	case 'o': g_string_append_printf(out, "0%" PRIo64, value); break;
	case 'c': append_value(out, 'c', 8, value); break;
	default: g_string_append_printf(out, "0x%" PRIx64, value); break;
	}
	g_string_append_c(out, '\n');
}

static json_t *save(Monitor *mon, const json_t *args, bool physical, GError **error)
{
	uint64_t addr = (uint64_t)member_number(args, "val");
	uint64_t size = (uint64_t)member_number(args, "size");
	const char *path = member_text(args, "filename");
	json_t *index = json_object_get(args, "cpu-index");
	unsigned chosen = mon->cpu;

	if (index && (json_integer_value(index) < 0 || json_integer_value(index) >= machine_board(mon->m)->cpu_count)) {
		fail(error, VIV_ERROR_INVALID, "Parameter 'cpu-index' expects a CPU number");
		return NULL;
	}
	FILE *file = fopen(path, "we");
	if (!file) {
		fail(error, VIV_ERROR_FAILED, "Could not open '%s': %s", path, g_strerror(errno));
		return NULL;
	}
	mon->cpu = index ? (unsigned)json_integer_value(index) : chosen;
	Cpu *cpu = monitor_hold(mon);
	bool readable = true, written = true;
	while (size && readable && written) {
		uint8_t page[GUEST_PAGE_SIZE];
		size_t n = (size_t)MIN(size, sizeof(page));
		machine_lock();
		readable = fetch(mon, cpu, physical, addr, page, n);
		machine_unlock();
		written = !readable || fwrite(page, 1, n, file) == n;
		addr += readable ? n : 0;
		size -= readable ? n : 0;
	}
	monitor_release(mon);
	mon->cpu = chosen;
	if (fclose(file))
		written = false;
	if (!written)
		fail(error, VIV_ERROR_FAILED, "Writing '%s' failed: %s", path, g_strerror(errno));
	else if (!readable)
		fail(error, VIV_ERROR_FAILED, "Invalid addr 0x%016" PRIx64 "/size %" PRIu64 " specified", addr, size);
	return readable && written ? json_object() : NULL;
}

json_t *serve_memsave(Monitor *mon, const json_t *args, GError **error) { return save(mon, args, false, error); }

json_t *serve_pmemsave(Monitor *mon, const json_t *args, GError **error) { return save(mon, args, true, error); }
