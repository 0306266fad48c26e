/*
 * test-locked.c - locked instructions whose operand lies in two cache lines or is no memory (SDM vol. 3A, 8.1.2).
 *
 * Across a line the interpreter must not lock the host's bus: such an access runs while the other vcpus stand
 * still. Where no memory is, one instruction reads once and writes once.
 */
#include <string.h>

#include "flatworld.h"

enum { CODE = 0x7000, WITHIN = 0x9040, ACROSS = 0x903f, PAGES = 0x9fff, NO_MEMORY = 0x200040 };

static uint8_t ram[1u << 20] __attribute__((aligned(4096)));

/* All with a memory operand at [RBX]; what they make of 5 with RAX 5 and RCX 3, in memory and in RCX. */
static const struct Case {
	const char *name;
	uint8_t code[6];
	unsigned len;
	bool locked;
	uint64_t memory, rcx;
} table[] = {
	{"add word", {0x66, 0x01, 0x0b}, 3, false, 8, 3},
	{"lock add word", {0xf0, 0x66, 0x01, 0x0b}, 4, true, 8, 3},
	{"lock add dword, imm", {0xf0, 0x83, 0x03, 0x02}, 4, true, 7, 3},
	{"lock sub qword", {0xf0, 0x48, 0x29, 0x0b}, 4, true, 2, 3},
	{"inc dword", {0xff, 0x03}, 2, false, 6, 3},
	{"lock inc dword", {0xf0, 0xff, 0x03}, 3, true, 6, 3},
	{"xchg word", {0x66, 0x87, 0x0b}, 3, true, 3, 5},
	{"xchg dword", {0x87, 0x0b}, 2, true, 3, 5},
	{"lock xadd dword", {0xf0, 0x0f, 0xc1, 0x0b}, 4, true, 8, 5},
	{"lock cmpxchg dword", {0xf0, 0x0f, 0xb1, 0x0b}, 4, true, 3, 3},
	{"lock bts dword", {0xf0, 0x0f, 0xba, 0x2b, 0x01}, 5, true, 7, 3},
	{"lock cmpxchg8b", {0xf0, 0x0f, 0xc7, 0x0b}, 4, true, 0x300000000ull, 3},
};

static Cpu *fresh(void)
{
	GError *error = NULL;

	memset(ram, 0, sizeof(ram));
	Cpu *cpu = flat_cpu_new(ram, sizeof(ram));
	g_assert_true(interp_init(cpu, &error));
	flat_long(cpu);
	return cpu;
}

static void run(Cpu *cpu, const struct Case *c, uint64_t at)
{
	memcpy(ram + CODE, c->code, c->len);
	cpu->rip = CODE;
	cpu->regs[RBX] = at;
	cpu->regs[RCX] = 3;
	cpu->regs[RAX] = 5;
	cpu->regs[RDX] = 0;
	flat_world(cpu)->exclusives = 0;
	interp_step(cpu);
	g_assert_cmphex(cpu->rip, ==, CODE + c->len);
}

static void test_split(void)
{
	static const struct { uint64_t at; bool splits; } places[] = {{WITHIN, false}, {ACROSS, true}, {PAGES, true}};

	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		for (unsigned k = 0; k < G_N_ELEMENTS(places); k++)
			for (unsigned warm = 0; warm < 2; warm++) {
				const struct Case *c = &table[i];
				Cpu *cpu = fresh();
				if (warm) { /* a hit in the TLB takes another way */
					cpu_lin_write(cpu, places[k].at, 5, 8, 0);
					cpu_lin_write(cpu, places[k].at + 8, 0, 8, 0);
				}
				g_test_message("%s at %#" G_GINT64_MODIFIER "x", c->name, places[k].at);
				flat_put(cpu, places[k].at, 5, 8);
				run(cpu, c, places[k].at);
				g_assert_cmpuint(flat_world(cpu)->exclusives, ==, c->locked && places[k].splits);
				/* CMPXCHG8B puts ECX:EBX there */
				g_assert_cmphex(flat_get(cpu, places[k].at, 8), ==,
						c->memory + (c->memory >> 32 ? places[k].at : 0));
				g_assert_cmphex(cpu->regs[RCX], ==, c->rcx);
				interp_free(cpu);
				flat_cpu_free(cpu);
			}
}

static void test_no_memory(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
		Cpu *cpu = fresh();
		g_test_message("%s", table[i].name);
		run(cpu, &table[i], NO_MEMORY);
		g_assert_cmpuint(flat_world(cpu)->mmio_reads, ==, 1);
		g_assert_cmpuint(flat_world(cpu)->mmio_writes, ==, 1);
		interp_free(cpu);
		flat_cpu_free(cpu);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/locked/across a line", test_split);
	g_test_add_func("/cpu/locked/no memory", test_no_memory);
	return g_test_run();
}
