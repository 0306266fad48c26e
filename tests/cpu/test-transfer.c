/* test-transfer.c - segments, exceptions, far transfers, tasks (SDM vol. 3A, ch. 3, 5 to 7). */
#include <string.h>

#include "flatworld.h"

static uint8_t ram[1u << 20];

static Cpu *fresh(void)
{
	memset(ram, 0, sizeof(ram));
	return flat_cpu_new(ram, sizeof(ram));
}

#define EXPECT(cpu, vec, err, statement) \
	do { \
		int vector_; \
		FLAT_TRY(cpu, vector_, statement); \
		g_assert_cmpint(vector_, ==, vec); \
		g_assert_cmphex((cpu)->exc_error, ==, err); \
	} while (0)

/* To CPL 3, flat. */
static void to_user(Cpu *cpu)
{
	const uint32_t frame[] = { 0x7100, 0x1b, FLAG_IF | 2, 0x9800, 0x23 };
	cpu->regs[RSP] = 0x8f00;
	memcpy(ram + 0x8f00, frame, sizeof(frame));
	cpu_iret(cpu, 4, 0);
	g_assert_cmpuint(cpu->cpl, ==, 3);
	for (int i = 0; i < SEG_COUNT; i++)
		if (i != CS && i != SS)
			cpu_load_segment(cpu, i, 0x23);
}

static void test_real(void)
{
	Cpu *cpu = fresh();
	cpu_far_jmp(cpu, 0x100, 0x20, 2, 0);
	g_assert_cmphex(cpu->seg[CS].base + cpu->rip, ==, 0x1020);
	cpu_load_segment(cpu, SS, 0x800);
	cpu->regs[RSP] = 0x100;
	flat_put(cpu, 0x21 * 4, 0x02000300, 4);
	cpu_set_rflags(cpu, FLAG_IF | FLAG_CF);
	cpu_soft_int(cpu, 0x21, INT_SOFT, 0x22);
	g_assert_cmphex(cpu->seg[CS].sel, ==, 0x200);
	g_assert_cmphex(cpu->rip, ==, 0x300);
	g_assert_cmphex(flat_get(cpu, 0x80fa, 2), ==, 0x22);
	g_assert_cmphex(flat_get(cpu, 0x80fc, 2), ==, 0x100);
	g_assert_cmphex(flat_get(cpu, 0x80fe, 2), ==, 0x203);
	g_assert_false(cpu->rflags & FLAG_IF);
	cpu_iret(cpu, 2, 0);
	g_assert_cmphex(cpu_rflags(cpu), ==, 0x203);
	g_assert_cmphex(cpu->rip, ==, 0x22);
	cpu->idtr.limit = 0x3f;
	EXPECT(cpu, EXC_GP, 0x21 * 8 + 2, cpu_soft_int(cpu, 0x21, INT_SOFT, 0));
	flat_cpu_free(cpu);
}

static void test_segments(void)
{
	Cpu *cpu = fresh();
	flat_protected(cpu);
	EXPECT(cpu, EXC_GP, 0, cpu_load_segment(cpu, SS, 0));
	EXPECT(cpu, EXC_GP, 0x20, cpu_load_segment(cpu, SS, 0x20));
	EXPECT(cpu, EXC_SS, 0x38, cpu_load_segment(cpu, SS, 0x38));
	EXPECT(cpu, EXC_NP, 0x38, cpu_load_segment(cpu, DS, 0x38));
	EXPECT(cpu, EXC_GP, 0x100, cpu_load_segment(cpu, DS, 0x103));
	EXPECT(cpu, EXC_GP, 0x14, cpu_load_segment(cpu, DS, 0x14)); /* no LDT */
	cpu_load_segment(cpu, DS, 3);
	g_assert_true(cpu->seg[DS].attr & SEG_NULL);
	g_assert_false(cpu->mode & MODE_FLAT);
	cpu_load_segment(cpu, DS, 0x10);
	g_assert_true(cpu->mode & MODE_FLAT);
	flat_descriptor(cpu, FLAT_GDT + 0x70, 0x1234, 0xff, 0x0092);
	cpu_load_segment(cpu, ES, 0x70);
	g_assert_cmphex(flat_get(cpu, FLAT_GDT + 0x75, 1), ==, 0x93); /* accessed */
	uint32_t value;
	g_assert_true(cpu_lsl(cpu, 0x70, &value));
	g_assert_cmphex(value, ==, 0xff);
	g_assert_true(cpu_lar(cpu, 0x08, &value));
	g_assert_cmphex(value, ==, 0xc09b00);
	g_assert_true(cpu_ver(cpu, 0x10, true));
	g_assert_false(cpu_ver(cpu, 0x08, true));
	EXPECT(cpu, EXC_GP, 0x40, cpu_ltr(cpu, 0x40)); /* busy */
	flat_cpu_free(cpu);
}

static void test_exceptions(void)
{
	Cpu *cpu = fresh();
	flat_protected(cpu);
	flat_gate(cpu, FLAT_IDT + 8 * EXC_GP, 0x08, 0xa000, 0x8e);
	flat_gate(cpu, FLAT_IDT + 8 * 0x80, 0x08, 0xb000, 0xef);
	to_user(cpu);
	EXPECT(cpu, EXC_GP, EXC_GP * 8 + 2, cpu_soft_int(cpu, EXC_GP, INT_SOFT, 0x7102));
	cpu_soft_int(cpu, 0x80, INT_SOFT, 0x7102);
	g_assert_cmpuint(cpu->cpl, ==, 0);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x8000 - 20);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 20, 4), ==, 0x7102);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 16, 4), ==, 0x1b);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 8, 4), ==, 0x9800);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 4, 4), ==, 0x23);
	g_assert_true(cpu->rflags & FLAG_IF); /* a trap gate */
	cpu_iret(cpu, 4, 0);
	g_assert_cmpuint(cpu->cpl, ==, 3);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x9800);

	cpu_deliver(cpu, EXC_GP, INT_EXCEPTION, true, 0x1234);
	g_assert_cmphex(cpu->rip, ==, 0xa000);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 24, 4), ==, 0x1234);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 12, 4), ==, FLAG_RF | FLAG_IF | 2);
	g_assert_false(cpu->rflags & FLAG_IF);

	/* #NP while #GP is delivered: #DF, which is there; then nothing is. */
	flat_gate(cpu, FLAT_IDT + 8 * EXC_GP, 0x08, 0xa000, 0x0e);
	flat_gate(cpu, FLAT_IDT + 8 * EXC_DF, 0x08, 0xdf00, 0x8e);
	cpu_deliver(cpu, EXC_GP, INT_EXCEPTION, true, 0);
	g_assert_cmphex(cpu->rip, ==, 0xdf00);
	g_assert_cmphex(flat_get(cpu, cpu->regs[RSP], 4), ==, 0);
	/* A hardware interrupt that finds no gate is #GP with EXT, in turn #DF. */
	cpu_deliver(cpu, 0x30, INT_HARDWARE, false, 0);
	g_assert_cmphex(cpu->rip, ==, 0xdf00);
	cpu->idtr.limit = 0;
	cpu_deliver(cpu, EXC_UD, INT_EXCEPTION, false, 0);
	g_assert_cmpuint(flat_world(cpu)->triple_faults, ==, 1);
	flat_cpu_free(cpu);
}

static void test_long(void)
{
	Cpu *cpu = fresh();
	flat_long(cpu);
	cpu->regs[RSP] = 0x9008;
	flat_gate(cpu, FLAT_IDT + 16 * 14, 0x28, 0xa000, 0x8e);
	flat_put(cpu, FLAT_IDT + 16 * 14 + 8, 0, 8);
	flat_gate(cpu, FLAT_IDT + 16 * 2, 0x28, 0xb000, 0x8e);
	flat_put(cpu, FLAT_IDT + 16 * 2 + 4, flat_get(cpu, FLAT_IDT + 16 * 2 + 4, 4) | 1, 4);
	cpu_deliver(cpu, EXC_PF, INT_EXCEPTION, true, 6);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x9000 - 48);
	g_assert_cmphex(flat_get(cpu, 0x9000 - 48, 8), ==, 6);
	g_assert_cmphex(flat_get(cpu, 0x9000 - 16, 8), ==, 0x9008);
	cpu_deliver(cpu, EXC_NMI, INT_HARDWARE, false, 0);
	g_assert_true(cpu->nmi_blocked);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x6000 - 40); /* IST1 */
	cpu_iret(cpu, 8, 0);
	g_assert_false(cpu->nmi_blocked);
	g_assert_cmphex(cpu->rip, ==, 0xa000);

	/* SYSRET to level 3 and SYSCALL back. */
	cpu_wrmsr(cpu, 0xc0000081, UINT64_C(0x004b0028) << 32);
	cpu_wrmsr(cpu, 0xc0000082, 0xc000);
	cpu_wrmsr(cpu, 0xc0000084, FLAG_IF | FLAG_DF);
	cpu->regs[RCX] = 0x7200;
	cpu->regs[R11] = FLAG_IF | FLAG_CF | 2;
	cpu_sysret(cpu, 8);
	g_assert_cmpuint(cpu->cpl, ==, 3);
	g_assert_cmphex(cpu->seg[CS].sel, ==, 0x5b);
	g_assert_cmphex(cpu->seg[SS].sel, ==, 0x53);
	g_assert_cmphex(cpu_rflags(cpu), ==, FLAG_IF | FLAG_CF | 2);
	cpu_syscall(cpu, 0x7202);
	g_assert_cmphex(cpu->rip, ==, 0xc000);
	g_assert_cmphex(cpu->regs[RCX], ==, 0x7202);
	g_assert_cmphex(cpu_rflags(cpu), ==, FLAG_CF | 2);
	g_assert_cmpuint(cpu->cpl, ==, 0);

	/* From level 3 the frame lies on RSP0. */
	cpu->regs[RCX] = 0x7200;
	cpu_sysret(cpu, 8);
	cpu_deliver(cpu, EXC_PF, INT_EXCEPTION, true, 4);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x8000 - 48);
	g_assert_true(cpu->seg[SS].attr & SEG_NULL);
	cpu->regs[RSP] += 8;
	cpu_iret(cpu, 8, 0);
	g_assert_cmpuint(cpu->cpl, ==, 3);
	EXPECT(cpu, EXC_GP, 0x30 * 8 + 2, cpu_soft_int(cpu, 0x30, INT_SOFT, 0));
	flat_cpu_free(cpu);
}

static void test_gates(void)
{
	Cpu *cpu = fresh();
	flat_protected(cpu);
	/* Call gate at 70h: to CPL 0 with two parameters. */
	flat_gate(cpu, FLAT_GDT + 0x70, 0x08, 0xc000, 0xec);
	flat_put(cpu, FLAT_GDT + 0x74, flat_get(cpu, FLAT_GDT + 0x74, 4) | 2, 4);
	to_user(cpu);
	EXPECT(cpu, EXC_GP, 0x08, cpu_far_call(cpu, 0x08, 0, 4, 0));
	flat_put(cpu, 0x9800, 0x1111, 4);
	flat_put(cpu, 0x9804, 0x2222, 4);
	cpu_far_call(cpu, 0x73, 0, 4, 0x7107);
	g_assert_cmpuint(cpu->cpl, ==, 0);
	g_assert_cmphex(cpu->rip, ==, 0xc000);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x8000 - 24);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 16, 4), ==, 0x1111);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 12, 4), ==, 0x2222);
	cpu_far_ret(cpu, 4, 8, 0);
	g_assert_cmpuint(cpu->cpl, ==, 3);
	g_assert_cmphex(cpu->rip, ==, 0x7107);
	g_assert_cmphex(cpu->regs[RSP], ==, 0x9808);
	cpu_far_jmp(cpu, 0x30, 0x7300, 4, 0); /* conforming: the level stays */
	g_assert_cmphex(cpu->seg[CS].sel, ==, 0x33);
	flat_cpu_free(cpu);
}

static void fill_task(Cpu *cpu, uint32_t eip, uint32_t eflags)
{
	static const uint16_t sels[] = { 0x10, 0x08, 0x10, 0x10, 0, 0 };
	flat_put(cpu, FLAT_TSS2 + 0x20, eip, 4);
	flat_put(cpu, FLAT_TSS2 + 0x24, eflags, 4);
	flat_put(cpu, FLAT_TSS2 + 0x28, 0xaaaa, 4);
	flat_put(cpu, FLAT_TSS2 + 0x38, 0xa800, 4);
	for (int i = 0; i < 6; i++)
		flat_put(cpu, FLAT_TSS2 + 0x48 + 4 * i, sels[i], 4);
}

static void test_tasks(void)
{
	Cpu *cpu = fresh();
	flat_protected(cpu);
	fill_task(cpu, 0xe000, 2);
	cpu->regs[RAX] = 0x5555;
	cpu_far_call(cpu, 0x60, 0, 4, 0x7005);
	g_assert_cmphex(cpu->rip, ==, 0xe000);
	g_assert_cmphex(cpu->regs[RAX], ==, 0xaaaa);
	g_assert_true(cpu->rflags & FLAG_NT);
	g_assert_true(cpu->cr0 & CR0_TS);
	g_assert_cmphex(flat_get(cpu, FLAT_TSS2, 2), ==, 0x40);
	g_assert_cmphex(flat_get(cpu, FLAT_TSS + 0x20, 4), ==, 0x7005);
	g_assert_cmphex(flat_get(cpu, FLAT_GDT + 0x65, 1), ==, 0x8b);
	g_assert_cmphex(flat_get(cpu, FLAT_GDT + 0x45, 1), ==, 0x8b);
	EXPECT(cpu, EXC_GP, 0x40, cpu_far_jmp(cpu, 0x40, 0, 4, 0)); /* busy */
	cpu_iret(cpu, 4, 0xe001);
	g_assert_cmphex(cpu->rip, ==, 0x7005);
	g_assert_cmphex(cpu->regs[RAX], ==, 0x5555);
	g_assert_cmphex(flat_get(cpu, FLAT_GDT + 0x65, 1), ==, 0x89);
	g_assert_false(cpu->rflags & FLAG_NT);

	/* #GP through a task gate: the error code is on the new task's stack. */
	fill_task(cpu, 0xe100, 2);
	flat_gate(cpu, FLAT_IDT + 8 * EXC_GP, 0x60, 0, 0x85);
	cpu_deliver(cpu, EXC_GP, INT_EXCEPTION, true, 0x77);
	g_assert_cmphex(cpu->rip, ==, 0xe100);
	g_assert_cmphex(cpu->regs[RSP], ==, 0xa800 - 4);
	g_assert_cmphex(flat_get(cpu, 0xa800 - 4, 4), ==, 0x77);
	flat_cpu_free(cpu);
}

static void to_v86(Cpu *cpu, uint32_t iopl)
{
	const uint32_t frame[] = { 0x10, 0x700, FLAG_VM | FLAG_IF | iopl << 12 | 2, 0x200, 0x900,
				   0x111, 0x222, 0x333, 0x444 };
	cpu->regs[RSP] = 0x8f00;
	memcpy(ram + 0x8f00, frame, sizeof(frame));
	cpu_iret(cpu, 4, 0);
	g_assert_true(cpu_v86(cpu));
	g_assert_cmphex(cpu->seg[GS].base, ==, 0x4440);
}

static void test_v86(void)
{
	Cpu *cpu = fresh();
	flat_protected(cpu);
	flat_gate(cpu, FLAT_IDT + 8 * EXC_GP, 0x08, 0xa000, 0x8e);
	to_v86(cpu, 0);
	EXPECT(cpu, EXC_GP, 0, cpu_soft_int(cpu, 0x21, INT_SOFT, 0x12));
	EXPECT(cpu, EXC_GP, 0, cpu_cli(cpu));
	EXPECT(cpu, EXC_GP, 0, cpu_popf(cpu, 0, 2));
	cpu_deliver(cpu, EXC_GP, INT_EXCEPTION, true, 0);
	g_assert_false(cpu_v86(cpu));
	g_assert_cmphex(cpu->regs[RSP], ==, 0x8000 - 40);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 4, 4), ==, 0x444);
	g_assert_cmphex(flat_get(cpu, 0x8000 - 16, 4), ==, 0x111);
	g_assert_true(cpu->seg[DS].attr & SEG_NULL);
	cpu->regs[RSP] += 4;
	cpu_iret(cpu, 4, 0);
	g_assert_true(cpu_v86(cpu));

	/* VME: INT 21h redirected to the 8086 handler with a virtual IF. */
	cpu->cr4 |= CR4_VME;
	flat_put(cpu, FLAT_TSS + 0x66, 0x88, 2);
	flat_put(cpu, 0x21 * 4, 0x05000060, 4);
	cpu_sti(cpu);
	g_assert_true(cpu->rflags & FLAG_VIF);
	cpu_soft_int(cpu, 0x21, INT_SOFT, 0x12);
	g_assert_cmphex(cpu->rip, ==, 0x60);
	g_assert_cmphex(flat_get(cpu, 0x9000 + 0x200 - 2, 2), ==, 0x3202);
	g_assert_false(cpu->rflags & FLAG_VIF);
	cpu_iret(cpu, 2, 0);
	g_assert_true(cpu->rflags & FLAG_VIF);
	g_assert_cmphex(cpu_pushf(cpu, 2) & 0xffff, ==, 0x3202);
	cpu->rflags |= FLAG_VIP;
	EXPECT(cpu, EXC_GP, 0, cpu_popf(cpu, FLAG_IF, 2));

	/* The I/O bitmap starts at 88h: all open but port 9. */
	flat_put(cpu, FLAT_TSS + 0x89, 2, 1);
	cpu_check_io(cpu, 8, 1);
	EXPECT(cpu, EXC_GP, 0, cpu_check_io(cpu, 8, 2));
	EXPECT(cpu, EXC_GP, 0, cpu_check_io(cpu, 0xffff, 1));
	flat_cpu_free(cpu);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpu/transfer/real", test_real);
	g_test_add_func("/cpu/transfer/segments", test_segments);
	g_test_add_func("/cpu/transfer/exceptions", test_exceptions);
	g_test_add_func("/cpu/transfer/long", test_long);
	g_test_add_func("/cpu/transfer/gates", test_gates);
	g_test_add_func("/cpu/transfer/tasks", test_tasks);
	g_test_add_func("/cpu/transfer/v86", test_v86);
	return g_test_run();
}
