/*
 * test-effects.c - what the translator believes of each instruction is true: of its effect on the general registers
 * (jit/share.c), and which flags it reads and writes (jit/flags.c).
 *
 * Every row of the opcode table for which anything is believed, if only that some register stays as it is, runs many times
 * on the interpreter, one instruction at a time, with operands by chance. A row that never runs to its end is a failure too:
 * a new one must not go untested. For the flags it runs twice, with other flags where it is said to read none: the result
 * must be the same.
 */
#include <string.h>

#include "cpu/features.h"
#include "cpu/jit/translate.h"
#include "flatworld.h"
#include "sequence.h"

enum { CODE = 0x7000, LOW = 0x8000, DATA = 0x20000, DATA_SIZE = 0x10000, RUNS = 40, TRIES = 4000 };

static uint8_t ram[DATA + DATA_SIZE] __attribute__((aligned(4096)));

static Cpu *fresh(void)
{
	GError *error = NULL;
	Cpu *cpu = flat_cpu_new(ram, sizeof(ram));

	g_assert_true(interp_init(cpu, &error));
	flat_long(cpu);
	cpu_write_cr(cpu, 4, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE);
	cpu->xcr0 = cpu->xcr0_supported ? cpu->xcr0_supported & 0xe7 : 7;
	cpu->idtr = (TableReg){ 0, 0 }; /* an exception ends in a triple fault, and changes no register on its way */
	cpu_update_mode(cpu);
	return cpu;
}

static bool steady(const Decoded *d, unsigned reg, int64_t *by)
{
	Access a = { .base = (uint8_t)reg, .index = SLOT_ZERO };

	return share_steady(d, &a, by);
}

static bool anything_believed(const Decoded *d)
{
	int64_t by;

	for (unsigned reg = 0; reg < 16; reg++)
		if (steady(d, reg, &by))
			return true;
	return false;
}

/* Vectors are zero, for indices are among them; no exception is unmasked. */
static void reset_units(Cpu *cpu)
{
	memset(&cpu->vec.zmm, 0, sizeof(cpu->vec.zmm));
	memset(cpu->vec.fx, 0, 160);
	memcpy(cpu->vec.fx, "\x7f\x03\0\0\xff", 5); /* control word; all registers in use */
	cpu->vec.mxcsr = 0x1f80;
	cpu->halted = false;
	cpu->exc_vector = -1;
}

/* Registers by chance, those of addresses in the data. */
static void prepare(Cpu *cpu, const Decoded *d)
{
	static const int pointers[] = {RBX, RSP, RBP, RSI, RDI, R11, R13, R14, R15};

	for (unsigned i = 0; i < 16; i++)
		cpu->regs[i] = below(2) ? rand64() : below(2048);
	for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
		cpu->regs[pointers[i]] = DATA + 0x400 + (below(0x8000) & ~(below(2) ? 63u : 0u));
	if (d->row->attrs & ATTR_REP)
		cpu->regs[RCX] = below(64);
	reset_units(cpu);
	cpu_set_rflags(cpu, (rand32() & FLAGS_ARITH) | FLAGS_FIXED);
	cpu->rip = CODE;
	memcpy(ram + CODE, d->bytes, d->len);
	for (unsigned i = 0; i < DATA_SIZE; i += 8 * (1 + below(64)))
		memcpy(ram + DATA + i, (uint64_t[]){ rand64() }, 8);
}

/* Runs it. False: an exception. */
static bool run(Cpu *cpu, const Decoded *d, uint64_t before[16])
{
	unsigned faults = flat_world(cpu)->triple_faults;

	prepare(cpu, d);
	memcpy(before, cpu->regs, 16 * 8);
	interp_step(cpu);
	return flat_world(cpu)->triple_faults == faults && cpu->exc_vector < 0;
}

static void check(const Cpu *cpu, const Decoded *d, const uint64_t before[16])
{
	GString *text = g_string_new(NULL);
	int64_t by;

	disassemble(d, CODE, text);
	for (unsigned reg = 0; reg < 16; reg++)
		if (steady(d, reg, &by) && cpu->regs[reg] != before[reg] + (uint64_t)by)
			g_error("%s: register %u went from %#" G_GINT64_MODIFIER "x to %#" G_GINT64_MODIFIER "x", text->str, reg,
				before[reg], cpu->regs[reg]);
	g_string_free(text, true);
}

/* How often the row ran to its end; -1: nothing is believed of it, or none came about for this processor. */
static int try_row(Cpu *cpu, const OpRow *r)
{
	bool believed = false;
	int runs = 0;

	for (unsigned tries = 0; tries < TRIES && runs < RUNS && (believed || tries < 100); tries++) {
		uint8_t code[32];
		uint64_t before[16];
		Decoded d;
		unsigned len = make(r, cpu, code);
		if (!len || decode(code, len, cpu->mode, cpu->features, &d) != DECODE_OK || !anything_believed(&d))
			continue;
		believed = true;
		if (!run(cpu, &d, before))
			continue;
		check(cpu, &d, before);
		runs++;
	}
	return believed ? runs : -1;
}

static void test_registers(void)
{
	Cpu *cpu = fresh();
	unsigned believed = 0, silent = 0;

	sequence_seed(1);
	sequence_data = DATA - CODE;
	for (unsigned i = 0; i < optab_row_count; i++) {
		const OpRow *r = &optab_rows[i];
		int runs = try_row(cpu, r);
		believed += runs >= 0;
		if (!runs) {
			g_test_message("%s (map %u, opcode %02x) never ran to its end", r->name, r->map, r->opcode);
			silent++;
		}
	}
	g_test_message("something is believed of %u rows of %u", believed, optab_row_count);
	g_assert_cmpuint(believed, >, 100);
	g_assert_cmpuint(silent, ==, 0);
	flat_cpu_free(cpu);
}

/* ---- flags ---- */
typedef struct Result {
	uint64_t regs[16];
	uint32_t flags;
	uint8_t low[LOW], data[DATA_SIZE]; /* what is before and behind the page tables */
} Result;

static void save_memory(Result *r)
{
	memcpy(r->low, ram, LOW);
	memcpy(r->data, ram + DATA, DATA_SIZE);
}

static bool run_with(Cpu *cpu, const Decoded *d, const Result *from, uint32_t flags, Result *to)
{
	unsigned faults = flat_world(cpu)->triple_faults;

	memcpy(cpu->regs, from->regs, sizeof(from->regs));
	memcpy(ram, from->low, LOW);
	memcpy(ram + DATA, from->data, DATA_SIZE);
	reset_units(cpu);
	cpu_set_rflags(cpu, flags | FLAGS_FIXED);
	cpu->rip = CODE;
	interp_step(cpu);
	memcpy(to->regs, cpu->regs, sizeof(to->regs));
	to->flags = (uint32_t)cpu_rflags(cpu) & FLAGS_ARITH;
	save_memory(to);
	return flat_world(cpu)->triple_faults == faults && cpu->exc_vector < 0;
}

/* They leave no flag defined, and the interpreter leaves them alone. */
static bool divides(const Decoded *d) { return d->row->exec == X_DIV1 || d->row->exec == X_IDIV1; }

static void check_flags(Cpu *cpu, const Decoded *d)
{
	static Result from, a, b;
	uint32_t reads = flags_read(d), writes = flags_written(d), may_write = d->row->flags_written;
	uint32_t flags = rand32() & FLAGS_ARITH, others = flags ^ (rand32() & FLAGS_ARITH & ~reads);
	GString *text = g_string_new(NULL);

	prepare(cpu, d);
	memcpy(from.regs, cpu->regs, sizeof(from.regs));
	save_memory(&from);
	if (!run_with(cpu, d, &from, flags, &a) || !run_with(cpu, d, &from, others, &b))
		return;
	disassemble(d, CODE, text);
	if (memcmp(a.regs, b.regs, sizeof(a.regs)) || memcmp(a.low, b.low, LOW) || memcmp(a.data, b.data, DATA_SIZE))
		g_error("%s: the result depends on flags other than %#x", text->str, reads);
	if ((a.flags ^ b.flags) & writes && !divides(d))
		g_error("%s: flags %#x depend on flags other than %#x", text->str, (a.flags ^ b.flags) & writes, reads);
	if ((a.flags ^ flags) & ~may_write)
		g_error("%s: flags %#x are changed", text->str, (a.flags ^ flags) & ~may_write);
	g_string_free(text, true);
}

static void test_flags(void)
{
	Cpu *cpu = fresh();
	GPtrArray *rows = rows_to_test(NULL, false, false);

	sequence_seed(2);
	sequence_data = DATA - CODE;
	for (unsigned i = 0; i < rows->len * RUNS; i++) {
		const OpRow *r = rows->pdata[i / RUNS];
		uint8_t code[32];
		Decoded d;
		if (r->exec == X_VEC && i % 8) /* few have to do with flags */
			continue;
		unsigned len = make(r, cpu, code);
		if (len && decode(code, len, cpu->mode, cpu->features, &d) == DECODE_OK)
			check_flags(cpu, &d);
	}
	g_ptr_array_free(rows, true);
	flat_cpu_free(cpu);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/effects/registers", test_registers);
	g_test_add_func("/effects/flags", test_flags);
	return g_test_run();
}
