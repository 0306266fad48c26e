/*
 * far.c - far JMP, CALL and RET.
 *
 * SDM vol. 3A: 5.8 (code segments, call gates, stack switching), 5.8.3.1 (64-bit call
 * gates); vol. 2: CALL, JMP, RET. IRET is in iret.c, tasks in task.c. Every transfer
 * checks and writes the stack first and commits registers last.
 * Thread: the vcpu's own.
 */
#include "cpu/protect.h"

static uint64_t truncate_ip(uint64_t offset, unsigned opsize)
{
	return opsize == 2 ? offset & 0xffff : opsize == 4 ? (uint32_t)offset : offset;
}

static bool legacy(const Cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE) || cpu_v86(cpu);
}

/* #GP(0) unless `offset` lies in the code segment that `d` describes. */
static void check_target(Cpu *cpu, const Desc *d, uint64_t offset)
{
	bool wide = cpu_long_mode(cpu) && desc_is_long(d);
	if (wide ? !cpu_canonical(cpu, offset) : offset > desc_limit(d))
		cpu_gp0(cpu);
}

/* The common end: CS and RIP at `level`. */
static void commit_code(Cpu *cpu, Desc *d, uint16_t sel, unsigned level, uint64_t offset)
{
	cpu->seg[CS] = desc_segment(d, (uint16_t)((sel & 0xfffc) | level));
	cpu->cpl = (uint8_t)level;
	cpu->rip = offset;
	cpu_update_mode(cpu);
}

/* Direct transfer to a code segment at the same level (5.8.1). */
static void check_direct(Cpu *cpu, uint16_t sel, const Desc *d)
{
	bool bad = desc_is_conforming(d) ? desc_dpl(d) > cpu->cpl :
		   (sel & 3) > cpu->cpl || desc_dpl(d) != cpu->cpl;
	if (bad || (cpu_long_mode(cpu) && desc_is_long(d) && desc_is_big(d)))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(d))
		cpu_sel_fault(cpu, EXC_NP, sel);
}

static Desc read_target(Cpu *cpu, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel))
		cpu_sel_fault(cpu, EXC_GP, 0);
	if (!cpu_desc_read(cpu, sel, &d))
		cpu_sel_fault(cpu, EXC_GP, sel);
	return d;
}

/* Gates and TSSs: the descriptor's privilege rule, then presence. */
static void check_gate(Cpu *cpu, uint16_t sel, const Desc *d)
{
	if (desc_dpl(d) < MAX(sel & 3u, cpu->cpl))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(d))
		cpu_sel_fault(cpu, EXC_NP, sel);
}

/* A task gate or a TSS as the target. */
static void far_task(Cpu *cpu, uint16_t sel, const Desc *d, TaskSource source, uint64_t next)
{
	uint16_t tss = sel;
	check_gate(cpu, sel, d);
	if (desc_type(d) == SYS_TASK_GATE)
		tss = gate_selector(d);
	cpu_task_switch(cpu, tss, source, false, 0, next);
}

/* A call gate taken apart. */
typedef struct CallGate {
	unsigned size;    /* 2, 4 or 8 */
	unsigned params;
	uint16_t sel;
	uint64_t offset;
	Desc code;
	unsigned level;   /* CPL afterwards */
} CallGate;

static void read_call_gate(Cpu *cpu, uint16_t sel, const Desc *d, bool call, CallGate *g)
{
	bool wide = cpu_long_mode(cpu);
	check_gate(cpu, sel, d);
	g->size = wide ? 8 : desc_type(d) == SYS_CALL16 ? 2 : 4;
	g->params = wide ? 0 : d->hi & 31;
	g->sel = gate_selector(d);
	g->offset = gate_offset(d);
	if (g->size == 2)
		g->offset &= 0xffff;
	if (wide) {
		Desc upper;
		if (!cpu_desc_read_upper(cpu, sel, d, &upper) || (upper.hi & 0x1f00))
			cpu_sel_fault(cpu, EXC_GP, sel);
		g->offset |= (uint64_t)upper.lo << 32;
	}

	g->code = read_target(cpu, g->sel);
	bool conforming = desc_is_conforming(&g->code);
	unsigned dpl = desc_dpl(&g->code);
	if (!desc_is_code(&g->code) || dpl > cpu->cpl ||
	    (!call && !conforming && dpl != cpu->cpl) ||
	    (wide && (!desc_is_long(&g->code) || desc_is_big(&g->code))))
		cpu_sel_fault(cpu, EXC_GP, g->sel);
	if (!desc_present(&g->code))
		cpu_sel_fault(cpu, EXC_NP, g->sel);
	g->level = conforming ? cpu->cpl : dpl;
	check_target(cpu, &g->code, g->offset);
}

void cpu_far_jmp(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned opsize, uint64_t next)
{
	offset = truncate_ip(offset, opsize);
	if (legacy(cpu)) {
		if (offset > cpu->seg[CS].limit)
			cpu_gp0(cpu);
		cpu_load_segment(cpu, CS, sel);
		cpu->rip = offset;
		cpu_update_mode(cpu);
		return;
	}
	Desc d = read_target(cpu, sel);
	if (desc_is_code(&d)) {
		check_direct(cpu, sel, &d);
		check_target(cpu, &d, offset);
		cpu_desc_touch(cpu, &d);
		commit_code(cpu, &d, sel, cpu->cpl, offset);
		return;
	}
	unsigned type = desc_is_system(&d) ? desc_type(&d) : 0;
	bool wide = cpu_long_mode(cpu);
	if (type == SYS_CALL32 || (type == SYS_CALL16 && !wide)) {
		CallGate g;
		read_call_gate(cpu, sel, &d, false, &g);
		cpu_desc_touch(cpu, &g.code);
		commit_code(cpu, &g.code, g.sel, g.level, g.offset);
	} else if (!wide && (type == SYS_TASK_GATE || type == SYS_TSS16 || type == SYS_TSS32)) {
		far_task(cpu, sel, &d, TASK_JMP, next);
	} else {
		cpu_sel_fault(cpu, EXC_GP, sel);
	}
}

static void push_return(Cpu *cpu, Stack *stack, unsigned size, uint64_t next)
{
	stack_push(cpu, stack, size, cpu->seg[CS].sel);
	stack_push(cpu, stack, size, next);
}

/* The inner stack of a call gate, with the caller's SS:SP and parameters on it. */
static Stack inner_stack(Cpu *cpu, const CallGate *g)
{
	Stack stack = { .access = g->level == 3 ? MEM_USER : 0 };
	uint64_t params[31];

	if (g->size == 8) {
		stack.ss = cpu_null_segment((uint16_t)g->level, g->level);
		stack.sp = cpu_tss_rsp(cpu, g->level);
		stack.mask = UINT64_MAX;
	} else {
		uint16_t sel;
		uint32_t esp;
		cpu_tss_stack(cpu, g->level, &sel, &esp);
		Desc d = cpu_check_stack_segment(cpu, sel, g->level);
		stack.ss = desc_segment(&d, sel);
		stack.fault_sel = sel;
		stack.mask = desc_is_big(&d) ? UINT32_MAX : 0xffff;
		stack.sp = esp & stack.mask;
	}
	Stack old = stack_current(cpu);
	for (unsigned i = 0; i < g->params; i++)
		params[i] = stack_pop(cpu, &old, g->size);
	stack_push(cpu, &stack, g->size, cpu->seg[SS].sel);
	stack_push(cpu, &stack, g->size, cpu->regs[RSP]);
	for (unsigned i = g->params; i-- > 0;)
		stack_push(cpu, &stack, g->size, params[i]);
	return stack;
}

static void call_through_gate(Cpu *cpu, uint16_t sel, const Desc *d, uint64_t next)
{
	CallGate g;
	Stack stack;
	read_call_gate(cpu, sel, d, true, &g);
	bool inner = g.level != cpu->cpl;
	if (inner) {
		stack = inner_stack(cpu, &g);
	} else {
		stack = stack_current(cpu);
		if (g.size == 8)
			stack.mask = UINT64_MAX, stack.sp = cpu->regs[RSP];
	}
	push_return(cpu, &stack, g.size, next);
	cpu_desc_touch(cpu, &g.code);
	if (inner)
		cpu->seg[SS] = stack.ss;
	stack_commit_sp(cpu, &stack);
	commit_code(cpu, &g.code, g.sel, g.level, g.offset);
}

void cpu_far_call(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned opsize, uint64_t next)
{
	Stack stack = stack_current(cpu);
	offset = truncate_ip(offset, opsize);
	if (legacy(cpu)) {
		if (offset > cpu->seg[CS].limit)
			cpu_gp0(cpu);
		push_return(cpu, &stack, opsize, next);
		stack_commit_sp(cpu, &stack);
		cpu_load_segment(cpu, CS, sel);
		cpu->rip = offset;
		cpu_update_mode(cpu);
		return;
	}
	Desc d = read_target(cpu, sel);
	if (desc_is_code(&d)) {
		check_direct(cpu, sel, &d);
		check_target(cpu, &d, offset);
		push_return(cpu, &stack, opsize, next);
		cpu_desc_touch(cpu, &d);
		stack_commit_sp(cpu, &stack);
		commit_code(cpu, &d, sel, cpu->cpl, offset);
		return;
	}
	unsigned type = desc_is_system(&d) ? desc_type(&d) : 0;
	bool wide = cpu_long_mode(cpu);
	if (type == SYS_CALL32 || (type == SYS_CALL16 && !wide))
		call_through_gate(cpu, sel, &d, next);
	else if (!wide && (type == SYS_TASK_GATE || type == SYS_TSS16 || type == SYS_TSS32))
		far_task(cpu, sel, &d, TASK_CALL, next);
	else
		cpu_sel_fault(cpu, EXC_GP, sel);
}

Desc cpu_check_return_code(Cpu *cpu, uint16_t sel, uint64_t offset)
{
	Desc d = read_target(cpu, sel);
	unsigned rpl = sel & 3;
	if (!desc_is_code(&d) || rpl < cpu->cpl ||
	    (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl) ||
	    (cpu_long_mode(cpu) && desc_is_long(&d) && desc_is_big(&d)))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	check_target(cpu, &d, offset);
	return d;
}

Segment cpu_check_return_stack(Cpu *cpu, uint16_t sel, const Desc *code, unsigned level)
{
	Desc d;
	if (sel_is_null(sel)) {
		/* Only 64-bit code above level 3 runs without a stack segment. */
		if (!cpu_long_mode(cpu) || !desc_is_long(code) || level == 3 || (sel & 3) != level)
			cpu_gp0(cpu);
		return cpu_null_segment(sel, level);
	}
	if (!cpu_desc_read(cpu, sel, &d) || (sel & 3) != level || !desc_is_writable(&d) ||
	    desc_dpl(&d) != level)
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_SS, sel);
	cpu_desc_touch(cpu, &d);
	return desc_segment(&d, sel);
}

void cpu_commit_return(Cpu *cpu, Desc *code, uint16_t sel, uint64_t offset, const Segment *ss,
		       uint64_t sp)
{
	cpu_desc_touch(cpu, code);
	cpu->seg[SS] = *ss;
	commit_code(cpu, code, sel, sel & 3, offset);
	Stack stack = { .ss = *ss, .mask = stack_mask(cpu, ss) };
	/* In long mode a 32-bit stack takes all that was popped. */
	if (stack.mask != 0xffff && cpu_long_mode(cpu))
		stack.mask = UINT64_MAX;
	stack.sp = sp & stack.mask;
	stack_commit_sp(cpu, &stack);
	cpu_drop_inner_segments(cpu);
}

static void far_ret_legacy(Cpu *cpu, unsigned opsize, unsigned pop_bytes)
{
	Stack stack = stack_current(cpu);
	uint64_t ip = stack_pop(cpu, &stack, opsize);
	uint16_t sel = (uint16_t)stack_pop(cpu, &stack, opsize);
	if (ip > cpu->seg[CS].limit)
		cpu_gp0(cpu);
	stack.sp = (stack.sp + pop_bytes) & stack.mask;
	stack_commit_sp(cpu, &stack);
	cpu_load_segment(cpu, CS, sel);
	cpu->rip = ip;
	cpu_update_mode(cpu);
}

void cpu_far_ret(Cpu *cpu, unsigned opsize, unsigned pop_bytes, uint64_t next)
{
	if (legacy(cpu)) {
		far_ret_legacy(cpu, opsize, pop_bytes);
		return;
	}
	Stack stack = stack_current(cpu);
	uint64_t ip = stack_pop(cpu, &stack, opsize);
	uint16_t sel = (uint16_t)stack_pop(cpu, &stack, opsize);
	Desc code = cpu_check_return_code(cpu, sel, ip);
	stack.sp = (stack.sp + pop_bytes) & stack.mask;
	if ((sel & 3) == cpu->cpl) {
		cpu_desc_touch(cpu, &code);
		stack_commit_sp(cpu, &stack);
		commit_code(cpu, &code, sel, cpu->cpl, ip);
		return;
	}
	uint64_t sp = stack_pop(cpu, &stack, opsize);
	uint16_t ss_sel = (uint16_t)stack_pop(cpu, &stack, opsize);
	Segment ss = cpu_check_return_stack(cpu, ss_sel, &code, sel & 3);
	/* The outer stack holds the parameters as well. */
	cpu_commit_return(cpu, &code, sel, ip, &ss, sp + pop_bytes);
}
