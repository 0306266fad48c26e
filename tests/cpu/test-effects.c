/*
 * test-effects.c - what the translator believes of each instruction's effect on the general registers (jit/share.c) is true.
 *
 * Every row of the opcode table for which anything is believed, if only that some register stays as it is, runs many times
 * on the interpreter, one instruction at a time, with operands by chance. A row that never runs to its end is a failure too:
 * a new one must not go untested.
 */
#include <string.h>

#include "cpu/features.h"
#include "cpu/jit/translate.h"
#include "flatworld.h"
#include "sequence.h"

enum { CODE = 0x7000, DATA = 0x20000, RUNS = 40, TRIES = 4000 };

static uint8_t ram[1u << 20] __attribute__((aligned(4096)));

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

/* Registers by chance, those of addresses in the data; vectors are zero, for indices among them; nothing is unmasked. */
static void prepare(Cpu *cpu, const uint8_t *code, unsigned len)
{
	static const int pointers[] = {RBX, RSP, RBP, RSI, RDI, R11, R13, R14, R15};

	for (unsigned i = 0; i < 16; i++)
		cpu->regs[i] = below(2) ? rand64() : below(4096);
	for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
		cpu->regs[pointers[i]] = DATA + 0x400 + (below(0x8000) & ~(below(2) ? 63u : 0u));
	memset(&cpu->vec.zmm, 0, sizeof(cpu->vec.zmm));
	memset(cpu->vec.fx, 0, 160);
	memcpy(cpu->vec.fx, "\x7f\x03\0\0\xff", 5); /* control word; all registers in use */
	cpu->vec.mxcsr = 0x1f80;
	cpu_set_rflags(cpu, (rand32() & FLAGS_ARITH) | FLAGS_FIXED);
	cpu->rip = CODE;
	cpu->halted = false;
	cpu->exc_vector = -1;
	memcpy(ram + CODE, code, len);
	for (unsigned i = 0; i < 0x10000; i += 8 * (1 + below(64)))
		memcpy(ram + DATA + i, (uint64_t[]){ rand64() }, 8);
}

/* Runs it. False: an exception. */
static bool run(Cpu *cpu, const Decoded *d, uint64_t before[16])
{
	unsigned faults = flat_world(cpu)->triple_faults;

	prepare(cpu, d->bytes, d->len);
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

static void test_every_row(void)
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/effects/every-row", test_every_row);
	return g_test_run();
}
