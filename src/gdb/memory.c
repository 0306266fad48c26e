/*
 * memory.c - what a debugger reads and writes: by the vcpu's linear addresses, or by physical ones.
 *
 * Without rights: read-only pages and ROM are written to. What is mapped to registers of devices is read and written like
 * them. Machine lock not held.
 */
#include "core/lock.h"
#include "gdb/private.h"

/* Bytes that one access may take: a power of two, aligned, up to eight. */
static unsigned width_of(uint64_t address, size_t count)
{
	unsigned n = 8;

	while (n > count || address % n)
		n /= 2;
	return n;
}

/* False: no page is mapped there. */
static bool place_of(const Gdb *g, Cpu *cpu, uint64_t address, uint64_t *gpa)
{
	*gpa = address;
	return g->physical || cpu_walk_debug(cpu, address, gpa);
}

/* Calls fn for aligned pieces, none across pages. */
static bool each_piece(const Gdb *g, Cpu *cpu, uint64_t address, size_t count, uint8_t *bytes,
		       void (*fn)(AddressSpace *mem, uint64_t gpa, uint8_t *bytes, unsigned width))
{
	AddressSpace *mem = machine_board(g->m)->mem;
	bool ok = true;

	machine_lock();
	while (count && ok) {
		uint64_t gpa;
		unsigned n = width_of(address, count);
		ok = place_of(g, cpu, address, &gpa);
		if (ok)
			fn(mem, gpa, bytes, n);
		address += n;
		bytes += n;
		count -= n;
	}
	machine_unlock();
	return ok;
}

static void read_piece(AddressSpace *mem, uint64_t gpa, uint8_t *bytes, unsigned width)
{
	uint64_t value = as_load(mem, gpa, width);

	for (unsigned i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static void write_piece(AddressSpace *mem, uint64_t gpa, uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	if (guest_write_rom(mem, gpa, bytes, width))
		return;
	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	as_store(mem, gpa, value, width);
}

bool gdb_read_memory(Gdb *g, Cpu *cpu, uint64_t address, uint8_t *out, size_t count)
{
	return each_piece(g, cpu, address, count, out, read_piece);
}

bool gdb_write_memory(Gdb *g, Cpu *cpu, uint64_t address, const uint8_t *bytes, size_t count)
{
	return each_piece(g, cpu, address, count, (uint8_t *)bytes, write_piece);
}
