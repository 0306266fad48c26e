/*
 * debug.c - breakpoints of the debug registers.
 *
 * SDM vol. 3A, 17.2.4 to 17.2.6 (DR7, lengths and alignment) and 17.3.1. Data and I/O
 * matches are left in db_pending, in DR6's places, instruction breakpoints in DR6; the
 * run loop raises #DB. Thread: the vcpu's own.
 */
#include "cpu/cpu.h"

enum { BREAK_EXEC, BREAK_WRITE, BREAK_IO, BREAK_READ_WRITE };

static unsigned kind_of(const Cpu *cpu, unsigned i) { return cpu->dr[7] >> (16 + 4 * i) & 3; }
static bool enabled(const Cpu *cpu, unsigned i) { return cpu->dr[7] >> (2 * i) & 3; }

static uint64_t length_of(const Cpu *cpu, unsigned i)
{
	static const uint8_t lengths[] = { 1, 2, 8, 4 };
	return lengths[cpu->dr[7] >> (18 + 4 * i) & 3];
}

static void match(Cpu *cpu, unsigned i, uint64_t address, unsigned size)
{
	uint64_t length = length_of(cpu, i);
	uint64_t first = cpu->dr[i] & ~(length - 1);
	/* Differences, since either range may end at the top of the address space. */
	if (address - first < length || first - address < size)
		cpu->db_pending |= 1u << i;
}

void cpu_check_watch(Cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned kind = kind_of(cpu, i);
		if (enabled(cpu, i) &&
		    (kind == BREAK_READ_WRITE || (kind == BREAK_WRITE && write)))
			match(cpu, i, linear, size);
	}
}

void cpu_check_io_watch(Cpu *cpu, uint16_t port, unsigned size)
{
	if (!(cpu->cr4 & CR4_DE))
		return;
	for (unsigned i = 0; i < 4; i++)
		if (enabled(cpu, i) && kind_of(cpu, i) == BREAK_IO)
			match(cpu, i, port, size);
}

bool cpu_insn_breakpoint(Cpu *cpu, uint64_t linear)
{
	uint32_t hit = 0;
	if (cpu->rflags & FLAG_RF)
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (enabled(cpu, i) && kind_of(cpu, i) == BREAK_EXEC && cpu->dr[i] == linear)
			hit |= 1u << i;
	cpu->dr[6] |= hit; /* at once: the fault comes before the instruction */
	return hit;
}
