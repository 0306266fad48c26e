/*
 * test-tlb.c - what of the TLB survives what (SDM vol. 3A, 4.10).
 *
 * Each page shows the byte of the frame it was found in. Page tables are changed behind the processor's back, so that
 * a page that still shows the old frame was remembered, and one that shows the new frame was forgotten. The manual
 * allows to forget more than it asks for; where survival is checked it is this processor's promise.
 */
#include <string.h>

#include "cpu/interp/interp.h"
#include "flatworld.h"

#define RAM_SIZE (8u << 20)
#define PML4 0x10000
#define PD 0x12000
#define PT 0x20000        /* of LOW: 200000h..3fffffh */
#define FRAME_A 0x30000
#define FRAME_B 0x31000
#define LOW UINT64_C(0x200000)
#define LOCAL 7u          /* present, writable, user */
#define GLOBAL 0x107u
#define NO_FLUSH (UINT64_C(1) << 63)

static uint8_t *ram;

static Cpu *fresh(void)
{
	ram = g_aligned_alloc0(1, RAM_SIZE, 4096);
	Cpu *cpu = flat_cpu_new(ram, RAM_SIZE);
	flat_long(cpu);
	flat_put(cpu, PD + 8, PT + 7, 8);
	memset(ram + FRAME_A, 0xaa, 4096);
	memset(ram + FRAME_B, 0xbb, 4096);
	cpu_write_cr(cpu, 4, cpu->cr4 | CR4_PGE | CR4_PCIDE);
	return cpu;
}

static void done(Cpu *cpu)
{
	flat_cpu_free(cpu);
	g_aligned_free(ram);
}

static uint64_t page(unsigned n) { return LOW + 4096 * n; }

static void map(Cpu *cpu, unsigned n, uint64_t frame, unsigned flags)
{
	flat_put(cpu, PT + 8 * n, frame | flags, 8);
}

static unsigned seen(Cpu *cpu, unsigned n)
{
	return (unsigned)cpu_lin_read(cpu, page(n), 1, MEM_READ);
}

/* Page 0 is local, page 1 global; both are looked at in A, then moved to B. */
static void move_both(Cpu *cpu)
{
	map(cpu, 0, FRAME_A, LOCAL);
	map(cpu, 1, FRAME_A, GLOBAL);
	cpu_tlb_flush_page(cpu, page(0));
	cpu_tlb_flush_page(cpu, page(1));
	g_assert_cmphex(seen(cpu, 0), ==, 0xaa);
	g_assert_cmphex(seen(cpu, 1), ==, 0xaa);
	map(cpu, 0, FRAME_B, LOCAL);
	map(cpu, 1, FRAME_B, GLOBAL);
	g_assert_cmphex(seen(cpu, 0), ==, 0xaa);
	g_assert_cmphex(seen(cpu, 1), ==, 0xaa);
}

static void expect(Cpu *cpu, unsigned local, unsigned global)
{
	g_assert_cmphex(seen(cpu, 0), ==, local);
	g_assert_cmphex(seen(cpu, 1), ==, global);
}

static void test_cr3(void)
{
	Cpu *cpu = fresh();
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4); /* global pages stay */
	expect(cpu, 0xbb, 0xaa);
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4 | NO_FLUSH);
	expect(cpu, 0xaa, 0xaa);
	cpu_write_cr(cpu, 4, cpu->cr4 & ~(uint64_t)CR4_PCIDE); /* takes all with it */
	expect(cpu, 0xbb, 0xbb);
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4);
	expect(cpu, 0xbb, 0xaa);
	done(cpu);
}

static void test_pge(void)
{
	Cpu *cpu = fresh();
	move_both(cpu);
	cpu_write_cr(cpu, 4, cpu->cr4 & ~(uint64_t)CR4_PGE);
	expect(cpu, 0xbb, 0xbb);
	move_both(cpu); /* G means nothing now */
	cpu_write_cr(cpu, 3, PML4);
	expect(cpu, 0xbb, 0xbb);
	move_both(cpu);
	cpu_write_cr(cpu, 4, cpu->cr4 | CR4_PGE);
	expect(cpu, 0xbb, 0xbb);
	done(cpu);
}

static void test_rights(void)
{
	Cpu *cpu = fresh();
	int vector;

	cpu_write_cr(cpu, 4, cpu->cr4 & ~(uint64_t)CR4_SMAP);
	map(cpu, 0, FRAME_A, 5); /* read only */
	cpu_write_cr(cpu, 0, cpu->cr0 & ~(uint64_t)CR0_WP);
	cpu_lin_write(cpu, page(0), 0xaa, 1, 0);
	cpu_write_cr(cpu, 0, cpu->cr0 | CR0_WP);
	FLAT_TRY(cpu, vector, cpu_lin_write(cpu, page(0), 1, 1, 0));
	g_assert_cmpint(vector, ==, EXC_PF);
	/* What was read may not be known as written to: D is set by the first store. */
	map(cpu, 1, FRAME_A, LOCAL);
	g_assert_cmphex(seen(cpu, 1), ==, 0xaa);
	g_assert_cmphex(flat_get(cpu, PT + 8, 1), ==, LOCAL | 0x20);
	cpu_lin_write(cpu, page(1), 0xaa, 1, 0);
	g_assert_cmphex(flat_get(cpu, PT + 8, 1), ==, LOCAL | 0x60);
	/* Kernel and user do not share what they may do. */
	map(cpu, 2, FRAME_A, 3);
	g_assert_cmphex(seen(cpu, 2), ==, 0xaa);
	FLAT_TRY(cpu, vector, cpu_lin_read(cpu, page(2), 1, MEM_USER));
	g_assert_cmpint(vector, ==, EXC_PF);
	/* Nor do addresses that differ in bits which no translation has. */
	FLAT_TRY(cpu, vector, cpu_lin_read(cpu, page(2) | UINT64_C(1) << 60, 1, 0));
	g_assert_cmpint(vector, ==, EXC_GP);
	done(cpu);
}

/* Slots that hold nothing are not taken for a page, whatever stands in them. */
static void test_empty(void)
{
	Cpu *cpu = fresh();
	int vector;

	for (unsigned slot = 0; slot < TLB_SIZE; slot++) {
		FLAT_TRY(cpu, vector, cpu_lin_read(cpu, (UINT64_C(1) << 62) + slot * UINT64_C(4096), 1, 0));
		g_assert_cmpint(vector, ==, EXC_GP);
	}
	done(cpu);
}

static void test_invlpg(void)
{
	Cpu *cpu = fresh();
	move_both(cpu);
	cpu_tlb_flush_page(cpu, page(0) + 0x123);
	expect(cpu, 0xbb, 0xaa);
	cpu_tlb_flush_page(cpu, page(1) + 0xfff); /* global or not */
	expect(cpu, 0xbb, 0xbb);
	/* A page that was pushed out of its slot is remembered behind it, and forgotten there too. */
	move_both(cpu);
	map(cpu, 2, FRAME_B, LOCAL);
	uint64_t other = page(0) + (uint64_t)TLB_SIZE * 4096; /* 600000h: a large page */
	cpu_lin_read(cpu, other, 1, MEM_READ);
	g_assert_cmphex(seen(cpu, 0), ==, 0xaa);
	cpu_lin_read(cpu, other, 1, MEM_READ);
	cpu_tlb_flush_page(cpu, page(0));
	g_assert_cmphex(seen(cpu, 0), ==, 0xbb);
	done(cpu);
}

/* A large page is gone as a whole, whichever address names it, and in both halves of the address space. */
static void test_large(void)
{
	static const uint64_t at[] = { 0x400000, 0xffffff8000400000 };
	Cpu *cpu = fresh();

	flat_put(cpu, PML4 + 8 * 511, 0x11007, 8);
	memset(ram + 0x401000, 0xaa, 4096);
	memset(ram + 0x601000, 0xbb, 4096);
	for (unsigned flags = 0x87; flags <= 0x187; flags += 0x100)
		for (unsigned i = 0; i < 2; i++) {
			flat_put(cpu, PD + 16, 0x400000 | flags, 8);
			cpu_tlb_flush(cpu, true);
			for (unsigned k = 0; k < 2; k++)
				g_assert_cmphex(cpu_lin_read(cpu, at[k] + 0x1000, 1, 0), ==, 0xaa);
			flat_put(cpu, PD + 16, 0x600000 | flags, 8);
			cpu_tlb_flush_page(cpu, at[i] + 0x123456);
			g_assert_cmphex(cpu_lin_read(cpu, at[i] + 0x1000, 1, 0), ==, 0xbb);
		}
	/* 1 GiB */
	flat_put(cpu, 0x11008, 0x87, 8);
	g_assert_cmphex(cpu_lin_read(cpu, 0x40000000 + FRAME_A, 1, 0), ==, 0xaa);
	flat_put(cpu, 0x11008, 0, 8);
	cpu_tlb_flush_page(cpu, 0x7fffffff);
	int vector;
	FLAT_TRY(cpu, vector, cpu_lin_read(cpu, 0x40000000 + FRAME_A, 1, 0));
	g_assert_cmpint(vector, ==, EXC_PF);
	done(cpu);
}

static void test_pcid(void)
{
	Cpu *cpu = fresh();

	cpu_write_cr(cpu, 3, PML4 | 1);
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4 | 2 | NO_FLUSH);
	expect(cpu, 0xbb, 0xaa); /* PCID 1's is not PCID 2's; a global one is */
	map(cpu, 0, FRAME_A, LOCAL);
	g_assert_cmphex(seen(cpu, 0), ==, 0xbb);
	cpu_write_cr(cpu, 3, PML4 | 1 | NO_FLUSH);
	expect(cpu, 0xaa, 0xaa); /* as it was left */
	cpu_write_cr(cpu, 3, PML4 | 2 | NO_FLUSH);
	expect(cpu, 0xbb, 0xaa);
	cpu_write_cr(cpu, 3, PML4 | 2); /* PCID 2 anew; PCID 1 untouched */
	expect(cpu, 0xaa, 0xaa);
	map(cpu, 0, FRAME_B, LOCAL);
	cpu_write_cr(cpu, 3, PML4 | 1 | NO_FLUSH);
	expect(cpu, 0xaa, 0xaa);
	cpu_write_cr(cpu, 3, PML4 | 1);
	expect(cpu, 0xbb, 0xaa);
	/* INVLPG is of the PCID in force, but for global pages. */
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4 | 2 | NO_FLUSH);
	cpu_tlb_flush_page(cpu, page(1));
	cpu_write_cr(cpu, 3, PML4 | 1 | NO_FLUSH);
	g_assert_cmphex(seen(cpu, 1), ==, 0xbb);
	/* Toggling PGE takes every PCID's along. */
	move_both(cpu);
	cpu_write_cr(cpu, 3, PML4 | 2);
	cpu_write_cr(cpu, 4, cpu->cr4 & ~(uint64_t)CR4_PGE);
	cpu_write_cr(cpu, 3, PML4 | 1 | NO_FLUSH);
	expect(cpu, 0xbb, 0xbb);
	done(cpu);
}

static void test_invpcid(void)
{
	static const struct {
		unsigned type, pcid, at;
		unsigned local1, global, local2; /* what is to be seen then: A was remembered under PCIDs 1 (in force) and 2 */
	} rows[] = {
		{ 0, 1, 0, 0xbb, 0xaa, 0xaa }, { 0, 2, 0, 0xaa, 0xaa, 0xbb },
		{ 1, 1, 0, 0xbb, 0xaa, 0xaa }, { 1, 2, 0, 0xaa, 0xaa, 0xbb }, { 1, 3, 0, 0xaa, 0xaa, 0xaa },
		{ 2, 0, 0, 0xbb, 0xbb, 0xbb }, { 3, 0, 0, 0xbb, 0xaa, 0xbb },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		Cpu *cpu = fresh();
		map(cpu, 0, FRAME_A, LOCAL);
		cpu_write_cr(cpu, 3, PML4 | 2);
		g_assert_cmphex(seen(cpu, 0), ==, 0xaa);
		cpu_write_cr(cpu, 3, PML4 | 1);
		move_both(cpu);
		cpu_invpcid(cpu, rows[i].type, rows[i].pcid, page(rows[i].at));
		expect(cpu, rows[i].local1, rows[i].global);
		cpu_write_cr(cpu, 3, PML4 | 2 | NO_FLUSH);
		expect(cpu, rows[i].local2, rows[i].global);
		done(cpu);
	}
}

/* More flushes than there are numbers to tell address spaces apart. */
static void test_many(void)
{
	Cpu *cpu = fresh();

	for (unsigned i = 0; i < 140000; i++) {
		bool odd = i & 1;
		map(cpu, 0, odd ? FRAME_A : FRAME_B, LOCAL);
		cpu_write_cr(cpu, 3, PML4 | (i % 7 == 0) | (i % 3 ? 0 : 4));
		g_assert_cmphex(seen(cpu, 0), ==, odd ? 0xaa : 0xbb);
	}
	done(cpu);
}

/* More entries than the lists of what to drop hold. */
static void test_lists(void)
{
	Cpu *cpu = fresh();

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 512; i++)
			map(cpu, i, FRAME_A, i & 1 ? GLOBAL : LOCAL);
		cpu_tlb_flush(cpu, true);
		for (unsigned k = 0; k < 3; k++) /* entries of three views */
			for (unsigned i = 0; i < 512; i++)
				g_assert_cmphex(cpu_lin_read(cpu, page(i), 1, k == 1 ? MEM_USER : k == 2 ? MEM_IMPLICIT : 0),
						==, 0xaa);
		for (unsigned i = 0; i < 512; i++)
			map(cpu, i, FRAME_B, i & 1 ? GLOBAL : LOCAL);
		cpu_write_cr(cpu, 3, PML4);
		for (unsigned i = 0; i < 512; i++)
			g_assert_cmphex(seen(cpu, i), ==, i & 1 ? 0xaa : 0xbb);
		cpu_tlb_flush(cpu, true);
		for (unsigned i = 0; i < 512; i++)
			g_assert_cmphex(seen(cpu, i), ==, 0xbb);
	}
	done(cpu);
}

/* Source and target of a copy have the same place in the array in front: the copy goes by the page all the same. */
static void test_conflict(void)
{
	enum { FROM = 0x100000, BYTES = 0x20000, CODE = 0x40000, RAM = 2 * TLB_SIZE * 4096 };
	const uint64_t to = FROM + TLB_SIZE * 4096ull;
	ram = g_aligned_alloc0(1, RAM, 4096);
	Cpu *cpu = flat_cpu_new(ram, RAM);
	flat_long(cpu);
	flat_put(cpu, CODE, 0xf4a548f3, 4); /* rep movsq; hlt */
	for (unsigned i = 0; i < BYTES; i++)
		ram[FROM + i] = (uint8_t)(i * 7 + i / 4096);
	g_assert_true(interp_init(cpu, NULL));
	cpu->rip = CODE;
	cpu->regs[RSI] = FROM;
	cpu->regs[RDI] = to;
	cpu->regs[RCX] = BYTES / 8;
	while (!cpu->halted)
		interp_step(cpu);
	g_assert_cmpuint(cpu->regs[RCX], ==, 0);
	g_assert_cmpmem(ram + FROM, BYTES, ram + to, BYTES);
	/* A few for each of the pages, not two for each of the elements. */
	g_assert_cmpuint(cpu->tlb_counts.misses, <, 8 * (BYTES / 4096));
	done(cpu);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/tlb/cr3", test_cr3);
	g_test_add_func("/cpu/tlb/pge", test_pge);
	g_test_add_func("/cpu/tlb/rights", test_rights);
	g_test_add_func("/cpu/tlb/empty", test_empty);
	g_test_add_func("/cpu/tlb/invlpg", test_invlpg);
	g_test_add_func("/cpu/tlb/large", test_large);
	g_test_add_func("/cpu/tlb/pcid", test_pcid);
	g_test_add_func("/cpu/tlb/invpcid", test_invpcid);
	g_test_add_func("/cpu/tlb/many", test_many);
	g_test_add_func("/cpu/tlb/lists", test_lists);
	g_test_add_func("/cpu/tlb/conflict", test_conflict);
	return g_test_run();
}
