/*
 * iret.c - return from interrupt in every mode.
 *
 * SDM vol. 2A, IRET; vol. 3A: 6.14.3 (64-bit mode pops SS:RSP always), 7.4 (nested tasks),
 * 20.2.3 (leaving to V86), 20.3.3 (IRET in V86 with VME), 6.7.1 (NMIs are
 * unblocked). Thread: the vcpu's own.
 */
#include "cpu/protect.h"

#define FLAGS_POPPED (FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT)

static void merge_flags(Cpu *cpu, uint32_t flags, uint32_t mask)
{
	cpu_set_rflags(cpu, (flags & mask) | (cpu_rflags(cpu) & ~mask));
}

/* Real mode, and V86 with IOPL 3 or VME. */
static void iret_8086(Cpu *cpu, unsigned opsize, bool vme)
{
	Stack stack = stack_current(cpu);
	uint64_t ip = stack_pop(cpu, &stack, opsize);
	uint16_t sel = (uint16_t)stack_pop(cpu, &stack, opsize);
	uint32_t flags = (uint32_t)stack_pop(cpu, &stack, opsize);
	uint32_t mask = FLAGS_POPPED;

	if (ip > cpu->seg[CS].limit)
		cpu_gp0(cpu);
	if (opsize > 2)
		mask |= FLAG_RF | FLAG_AC | FLAG_ID;
	if (vme) {
		if ((flags & FLAG_TF) || ((flags & FLAG_IF) && (cpu->rflags & FLAG_VIP)))
			cpu_gp0(cpu);
		mask |= FLAG_VIF;
		flags = flags & FLAG_IF ? flags | FLAG_VIF : flags & ~FLAG_VIF;
	} else {
		mask |= FLAG_IF;
		if (!cpu_v86(cpu))
			mask |= FLAG_IOPL;
	}
	stack_commit_sp(cpu, &stack);
	cpu_load_segment(cpu, CS, sel);
	cpu->rip = ip;
	merge_flags(cpu, flags, mask);
	cpu_update_mode(cpu);
}

static void iret_v86(Cpu *cpu, unsigned opsize)
{
	if ((cpu->rflags & FLAG_IOPL) == FLAG_IOPL)
		iret_8086(cpu, opsize, false);
	else if (opsize == 2 && (cpu->cr4 & CR4_VME))
		iret_8086(cpu, opsize, true);
	else
		cpu_gp0(cpu);
}

/* NT: back to the task that called (7.4). */
static void iret_task(Cpu *cpu, uint64_t next)
{
	if (cpu_long_mode(cpu))
		cpu_gp0(cpu);
	uint16_t link = (uint16_t)cpu_lin_read(cpu, (uint32_t)cpu->tr.base, 2,
					       MEM_READ | MEM_IMPLICIT);
	cpu_task_switch(cpu, link, TASK_IRET, false, 0, next);
}

static void iret_to_v86(Cpu *cpu, Stack *stack, uint64_t ip, uint16_t sel, uint32_t flags)
{
	static const int order[] = { SS, ES, DS, FS, GS };
	uint16_t sels[5];
	uint64_t sp = stack_pop(cpu, stack, 4);
	for (int i = 0; i < 5; i++)
		sels[i] = (uint16_t)stack_pop(cpu, stack, 4);
	if (ip > 0xffff)
		cpu_gp0(cpu);

	cpu_set_rflags(cpu, flags); /* at CPL 0: all of it */
	cpu->cpl = 3;
	cpu_update_mode(cpu);       /* V86 now, and loads are V86 loads */
	cpu_load_segment(cpu, CS, sel);
	for (int i = 0; i < 5; i++)
		cpu_load_segment(cpu, order[i], sels[i]);
	cpu->regs[RSP] = sp;
	cpu->rip = ip;
	cpu_update_mode(cpu);
}

static void iret_protected(Cpu *cpu, unsigned opsize)
{
	Stack stack = stack_current(cpu);
	uint64_t ip = stack_pop(cpu, &stack, opsize);
	uint16_t sel = (uint16_t)stack_pop(cpu, &stack, opsize);
	uint32_t flags = (uint32_t)stack_pop(cpu, &stack, opsize);

	if ((flags & FLAG_VM) && opsize == 4 && cpu->cpl == 0 && !cpu_long_mode(cpu)) {
		iret_to_v86(cpu, &stack, ip, sel, flags);
		return;
	}
	uint32_t mask = FLAGS_POPPED;
	if (opsize > 2)
		mask |= FLAG_RF | FLAG_AC | FLAG_ID;
	if (cpu->cpl <= (cpu->rflags >> 12 & 3))
		mask |= FLAG_IF;
	if (cpu->cpl == 0) {
		mask |= FLAG_IOPL;
		if (opsize > 2)
			mask |= FLAG_VIF | FLAG_VIP;
	}

	Desc code = cpu_check_return_code(cpu, sel, ip);
	if ((sel & 3) != cpu->cpl || cpu_code64(cpu)) {
		uint64_t sp = stack_pop(cpu, &stack, opsize);
		uint16_t ss_sel = (uint16_t)stack_pop(cpu, &stack, opsize);
		Segment ss = cpu_check_return_stack(cpu, ss_sel, &code, sel & 3);
		cpu_commit_return(cpu, &code, sel, ip, &ss, sp);
	} else {
		Segment ss = cpu->seg[SS];
		stack_commit_sp(cpu, &stack);
		cpu_commit_return(cpu, &code, sel, ip, &ss, cpu->regs[RSP]);
	}
	merge_flags(cpu, flags, mask);
}

void cpu_iret(Cpu *cpu, unsigned opsize, uint64_t next)
{
	cpu->nmi_blocked = false;
	if (!(cpu->cr0 & CR0_PE))
		iret_8086(cpu, opsize, false);
	else if (cpu_v86(cpu))
		iret_v86(cpu, opsize);
	else if (cpu->rflags & FLAG_NT)
		iret_task(cpu, next);
	else
		iret_protected(cpu, opsize);
}
