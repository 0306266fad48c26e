/* test-paging.c - cpu_walk in every mode: rights, error codes, A and D (SDM vol. 3A, ch. 4). */
#include <string.h>

#include "cpu/features.h"
#include "flatworld.h"

#define RAM_SIZE (1u << 20)
static uint8_t ram[RAM_SIZE];

static Cpu *fresh(void)
{
	memset(ram, 0, sizeof(ram));
	return flat_cpu_new(ram, sizeof(ram));
}

static uint32_t walk_error(Cpu *cpu, uint64_t linear, unsigned access)
{
	PageWalk w;
	return cpu_walk(cpu, linear, access, &w) ? 0 : w.error | 0x100;
}

static void test_none(void)
{
	Cpu *cpu = fresh();
	PageWalk w;
	g_assert_true(cpu_walk(cpu, 0x12345678, MEM_WRITE, &w));
	g_assert_cmphex(w.gpa, ==, 0x12345678);
	flat_cpu_free(cpu);
}

static void test_32(void)
{
	Cpu *cpu = fresh();
	PageWalk w;
	flat_protected(cpu);
	flat_put(cpu, 0x10000, 0x11007, 4);         /* 0..4 MiB: table */
	flat_put(cpu, 0x10004, 0x00c00083, 4);      /* 4 MiB: large, supervisor */
	flat_put(cpu, 0x11000 + 4 * 5, 0x5001, 4);  /* 5000: read-only supervisor */
	flat_put(cpu, 0x11000 + 4 * 6, 0x6007, 4);  /* 6000: user */
	cpu_write_cr(cpu, 3, 0x10000);
	cpu_write_cr(cpu, 4, CR4_PSE);
	cpu_write_cr(cpu, 0, CR0_PE | CR0_PG | CR0_ET);

	g_assert_cmphex(walk_error(cpu, 0x4000, MEM_READ), ==, 0x100);
	g_assert_cmphex(walk_error(cpu, 0x4000, MEM_WRITE | MEM_USER), ==, 0x106);
	g_assert_cmphex(walk_error(cpu, 0x5000, MEM_READ | MEM_USER), ==, 0x105);
	g_assert_cmphex(flat_get(cpu, 0x11000 + 20, 4), ==, 0x5001); /* no A after a fault */
	g_assert_true(cpu_walk(cpu, 0x5123, MEM_WRITE, &w));         /* CR0.WP = 0 */
	g_assert_cmphex(flat_get(cpu, 0x11000 + 20, 4), ==, 0x5061);
	cpu_write_cr(cpu, 0, CR0_PE | CR0_PG | CR0_ET | CR0_WP);
	g_assert_cmphex(walk_error(cpu, 0x5123, MEM_WRITE), ==, 0x103);
	g_assert_true(cpu_walk(cpu, 0x6010, MEM_READ | MEM_USER, &w));
	g_assert_true(w.user && w.writable && !w.dirty);
	g_assert_cmphex(flat_get(cpu, 0x11000 + 24, 4), ==, 0x6027);
	g_assert_cmphex(flat_get(cpu, 0x10000, 4), ==, 0x11027);
	g_assert_true(cpu_walk(cpu, 0x00412345, MEM_WRITE, &w));
	g_assert_cmphex(w.gpa, ==, 0x00c12345);
	g_assert_cmpuint(w.page_bits, ==, 22);
	g_assert_cmphex(flat_get(cpu, 0x10004, 4), ==, 0x00c000e3);
	flat_cpu_free(cpu);
}

static void test_pae(void)
{
	Cpu *cpu = fresh();
	PageWalk w;
	int vector;
	flat_protected(cpu);
	flat_put(cpu, 0x10000, 0x11001, 8);
	flat_put(cpu, 0x11000, 0x83, 8);
	flat_put(cpu, 0x11008, 0x200087 | UINT64_C(1) << 63, 8);
	flat_put(cpu, 0x11010, 0x402083, 8); /* reserved bit 13 */
	cpu_write_cr(cpu, 3, 0x10000);
	cpu_write_cr(cpu, 4, CR4_PAE);
	cpu_wrmsr(cpu, 0xc0000080, EFER_NXE);
	cpu_write_cr(cpu, 0, CR0_PE | CR0_PG | CR0_ET);
	g_assert_true(cpu_walk(cpu, 0x1234, MEM_EXEC, &w));
	g_assert_cmpuint(w.page_bits, ==, 21);
	g_assert_cmphex(walk_error(cpu, 0x200000, MEM_EXEC), ==, 0x100 | PF_P | PF_I);
	g_assert_cmphex(walk_error(cpu, 0x400000, MEM_READ), ==, 0x100 | PF_P | PF_RSVD);
	g_assert_cmphex(walk_error(cpu, 0x40000000, MEM_READ), ==, 0x100);
	flat_put(cpu, 0x10008, 0x11007, 8); /* reserved in a PDPTE */
	FLAT_TRY(cpu, vector, cpu_write_cr(cpu, 3, 0x10000));
	g_assert_cmpint(vector, ==, EXC_GP);
	flat_cpu_free(cpu);
}

static void test_long(void)
{
	Cpu *cpu = fresh();
	PageWalk w;
	flat_long(cpu);
	cpu_write_cr(cpu, 4, cpu->cr4 | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PGE);
	/* Every page is a user page. */
	g_assert_cmphex(walk_error(cpu, 0x1000, MEM_READ), ==, 0x100 | PF_P);
	g_assert_cmphex(walk_error(cpu, 0x1000, MEM_EXEC), ==, 0x100 | PF_P | PF_I);
	cpu_set_rflags(cpu, FLAG_AC);
	g_assert_cmphex(walk_error(cpu, 0x1000, MEM_READ), ==, 0);
	g_assert_cmphex(walk_error(cpu, 0x1000, MEM_READ | MEM_IMPLICIT), ==, 0x100 | PF_P);
	g_assert_cmphex(walk_error(cpu, 0x1000, MEM_READ | MEM_USER), ==, 0);

	flat_put(cpu, 0x12008, 0x200187 | UINT64_C(3) << 59, 8); /* key 3, global */
	cpu->vec.pkru = 2u << 6;
	g_assert_true(cpu_walk(cpu, 0x200000, MEM_READ | MEM_USER, &w));
	g_assert_true(w.global && w.readable && !w.writable && w.pkey == 3);
	g_assert_cmphex(walk_error(cpu, 0x200000, MEM_WRITE | MEM_USER), ==,
			0x100 | PF_P | PF_W | PF_U | PF_PK);
	cpu->vec.pkru = 1u << 6;
	g_assert_cmphex(walk_error(cpu, 0x200000, MEM_READ | MEM_USER), ==,
			0x100 | PF_P | PF_U | PF_PK);
	g_assert_cmphex(walk_error(cpu, 0x200000, MEM_EXEC | MEM_USER), ==, 0);
	flat_put(cpu, 0x11008, 0x40000083, 8); /* a 1-GiB page */
	g_assert_true(cpu_walk(cpu, 0x40345678, MEM_READ, &w));
	g_assert_cmpuint(w.page_bits, ==, 30);
	g_assert_cmphex(w.gpa, ==, 0x40345678);
	flat_put(cpu, 0x11010, 0x80002083, 8);
	g_assert_cmphex(walk_error(cpu, 0x80000000, MEM_READ), ==, 0x100 | PF_P | PF_RSVD);
	flat_put(cpu, 0x10008, 0xfffff00001, 8); /* tables outside RAM read as ones */
	g_assert_cmphex(walk_error(cpu, UINT64_C(1) << 39, MEM_READ), ==, 0x100 | PF_P | PF_RSVD);
	flat_cpu_free(cpu);
}

static void test_5level(void)
{
	Cpu *cpu = fresh();
	PageWalk w;
	uint64_t gpa;
	flat_protected(cpu);
	flat_put(cpu, 0x20000 + 8 * 256, 0x10003, 8);
	flat_put(cpu, 0x10000, 0x11003, 8);
	flat_put(cpu, 0x11000, 0x12003, 8);
	flat_put(cpu, 0x12000, 0x13003, 8);
	flat_put(cpu, 0x13008, 0x5003, 8);
	cpu_write_cr(cpu, 4, CR4_PAE | CR4_LA57);
	cpu_write_cr(cpu, 3, 0x20000);
	cpu_wrmsr(cpu, 0xc0000080, EFER_LME);
	cpu->cr0 |= CR0_PG;
	cpu->efer |= EFER_LMA;
	g_assert_true(cpu_walk(cpu, 0xff00000000001abc, MEM_WRITE, &w));
	g_assert_cmphex(w.gpa, ==, 0x5abc);
	g_assert_true(cpu_walk_debug(cpu, 0xff00000000001abc, &gpa));
	g_assert_cmphex(gpa, ==, 0x5abc);
	g_assert_false(cpu_walk_debug(cpu, 0x1abc, &gpa));
	flat_cpu_free(cpu);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/paging/none", test_none);
	g_test_add_func("/cpu/paging/32-bit", test_32);
	g_test_add_func("/cpu/paging/pae", test_pae);
	g_test_add_func("/cpu/paging/4-level", test_long);
	g_test_add_func("/cpu/paging/5-level", test_5level);
	return g_test_run();
}
