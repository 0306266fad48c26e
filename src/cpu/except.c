/*
 * except.c - raising and delivering exceptions and interrupts.
 *
 * SDM vol. 3A: ch. 6 (6.8.3, 6.12 protected mode, 6.13 error codes, 6.14 64-bit mode,
 * tables 6-4 and 6-5 for double faults), 17.3.1.1 (RF), 20.1.4 (real mode), 20.3
 * (V86, redirection bitmap); vol. 2A, INT n. A transfer reads and checks everything,
 * writes the stack, then commits registers, so that a fault leaves them as they were.
 * Thread: the vcpu's own.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/log.h"
#include "cpu/protect.h"

/* An event on its way to its handler. */
typedef struct Event {
	int vector;
	IntKind kind;
	bool has_error;
	uint32_t error;
	uint32_t flags;  /* RFLAGS to push */
	uint64_t next;   /* RIP to push */
} Event;

void cpu_exception(Cpu *cpu, int vector)
{
	cpu->exc_vector = vector;
	cpu->exc_error = 0;
	cpu->exc_has_error = false;
	longjmp(cpu->unwind, 1);
}

void cpu_exception_err(Cpu *cpu, int vector, uint32_t error)
{
	cpu->exc_vector = vector;
	cpu->exc_error = error;
	cpu->exc_has_error = true;
	longjmp(cpu->unwind, 1);
}

void cpu_page_fault(Cpu *cpu, uint64_t linear, uint32_t error)
{
	cpu->cr2 = linear;
	cpu_exception_err(cpu, EXC_PF, error);
}

static G_NORETURN void gate_fault(Cpu *cpu, int exception, int vector)
{
	/* The error code names an IDT entry: bit 1 (6.13). */
	cpu_exception_err(cpu, exception, (uint32_t)vector << 3 | 2 | cpu->exc_ext);
}

/* 20.1.4; `flags` as to be pushed, IF and TF are cleared by the caller's rules. */
static void push_real_frame(Cpu *cpu, const Event *ev, uint32_t flags, uint64_t table)
{
	uint32_t entry = (uint32_t)cpu_lin_read(cpu, (uint32_t)(table + ev->vector * 4), 4,
						MEM_READ | MEM_IMPLICIT);
	Stack stack = stack_current(cpu);
	stack_push(cpu, &stack, 2, flags & 0xffff);
	stack_push(cpu, &stack, 2, cpu->seg[CS].sel);
	stack_push(cpu, &stack, 2, ev->next & 0xffff);
	if ((entry & 0xffff) > cpu->seg[CS].limit)
		cpu_sel_fault(cpu, EXC_GP, 0);
	stack_commit_sp(cpu, &stack);
	cpu_set_real_segment(&cpu->seg[CS], (uint16_t)(entry >> 16));
	cpu->rip = entry & 0xffff;
}

static void deliver_real(Cpu *cpu, const Event *ev)
{
	if ((uint32_t)ev->vector * 4 + 3 > cpu->idtr.limit)
		gate_fault(cpu, EXC_GP, ev->vector);
	push_real_frame(cpu, ev, ev->flags, cpu->idtr.base);
	cpu_set_rflags(cpu, cpu_rflags(cpu) & ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF));
	cpu_update_mode(cpu);
}

/* An IDT entry in any width. */
typedef struct Gate {
	Desc d;
	unsigned size;    /* of a pushed item: 2, 4 or 8 */
	uint64_t offset;
	unsigned ist;
	bool clears_if;
} Gate;

static bool software(IntKind kind)
{
	return kind == INT_SOFT || kind == INT_BREAKPOINT;
}

static void read_gate(Cpu *cpu, const Event *ev, Gate *gate)
{
	bool wide = cpu_long_mode(cpu);
	uint32_t offset = (uint32_t)ev->vector * (wide ? 16 : 8);
	if (offset + (wide ? 15u : 7u) > cpu->idtr.limit)
		gate_fault(cpu, EXC_GP, ev->vector);

	uint64_t addr = cpu->idtr.base + offset;
	if (!wide)
		addr = (uint32_t)addr;
	uint64_t raw = cpu_lin_read(cpu, addr, 8, MEM_READ | MEM_IMPLICIT);
	gate->d = (Desc){ addr, (uint32_t)raw, (uint32_t)(raw >> 32) };
	unsigned type = desc_type(&gate->d);
	bool known = desc_is_system(&gate->d) &&
		     (type == SYS_INT32 || type == SYS_TRAP32 ||
		      (!wide && (type == SYS_INT16 || type == SYS_TRAP16 ||
				 type == SYS_TASK_GATE)));
	if (!known || (software(ev->kind) && desc_dpl(&gate->d) < cpu->cpl))
		gate_fault(cpu, EXC_GP, ev->vector);
	if (!desc_present(&gate->d))
		gate_fault(cpu, EXC_NP, ev->vector);

	gate->clears_if = type == SYS_INT16 || type == SYS_INT32;
	gate->offset = gate_offset(&gate->d);
	gate->size = type == SYS_INT16 || type == SYS_TRAP16 ? 2 : 4;
	if (gate->size == 2)
		gate->offset &= 0xffff;
	if (wide) {
		gate->offset |= cpu_lin_read(cpu, addr + 8, 4, MEM_READ | MEM_IMPLICIT) << 32;
		gate->ist = gate->d.hi & 7;
		gate->size = 8;
	}
}

/* The handler's code segment, and the level it runs at. */
static Desc check_handler(Cpu *cpu, uint16_t sel, unsigned *level)
{
	Desc d;
	if (sel_is_null(sel))
		cpu_sel_fault(cpu, EXC_GP, 0);
	if (!cpu_desc_read(cpu, sel, &d) || !desc_is_code(&d) || desc_dpl(&d) > cpu->cpl)
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (cpu_long_mode(cpu) && (!desc_is_long(&d) || desc_is_big(&d)))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	*level = desc_is_conforming(&d) ? cpu->cpl : desc_dpl(&d);
	if (cpu_v86(cpu) && *level != 0)
		cpu_sel_fault(cpu, EXC_GP, sel);
	return d;
}

/* The stack the handler starts on. Fills in *ss if it is a new one. */
static Stack handler_stack(Cpu *cpu, const Gate *gate, unsigned level)
{
	Stack stack;
	bool inner = level != cpu->cpl;

	if (cpu_long_mode(cpu)) {
		stack = (Stack){ .ss = cpu->seg[SS], .sp = cpu->regs[RSP], .mask = UINT64_MAX };
		if (gate->ist)
			stack.sp = cpu_tss_rsp(cpu, gate->ist + 3);
		else if (inner)
			stack.sp = cpu_tss_rsp(cpu, level);
		if (inner)
			stack.ss = cpu_null_segment((uint16_t)level, level);
		stack.sp &= ~UINT64_C(15); /* 6.14.2 */
	} else if (inner) {
		uint16_t sel;
		uint32_t esp;
		cpu_tss_stack(cpu, level, &sel, &esp);
		Desc d = cpu_check_stack_segment(cpu, sel, level);
		stack = (Stack){ .ss = desc_segment(&d, sel), .fault_sel = sel };
		stack.mask = stack.ss.attr & SEG_DB ? UINT32_MAX : 0xffff;
		stack.sp = esp & stack.mask;
	} else {
		stack = stack_current(cpu);
	}
	stack.access = level == 3 ? MEM_USER : 0;
	return stack;
}

static void push_frame(Cpu *cpu, const Event *ev, Stack *stack, unsigned size, bool with_stack)
{
	if (cpu_v86(cpu)) {
		static const int order[] = { GS, FS, DS, ES };
		for (int i = 0; i < 4; i++)
			stack_push(cpu, stack, size, cpu->seg[order[i]].sel);
	}
	if (with_stack) {
		stack_push(cpu, stack, size, cpu->seg[SS].sel);
		stack_push(cpu, stack, size, cpu->regs[RSP]);
	}
	stack_push(cpu, stack, size, ev->flags);
	stack_push(cpu, stack, size, cpu->seg[CS].sel);
	stack_push(cpu, stack, size, ev->next);
	if (ev->has_error)
		stack_push(cpu, stack, size, ev->error);
}

static void deliver_protected(Cpu *cpu, const Event *ev)
{
	Gate gate = { 0 };
	unsigned level;
	read_gate(cpu, ev, &gate);
	uint16_t sel = gate_selector(&gate.d);
	if (desc_type(&gate.d) == SYS_TASK_GATE) {
		cpu->rflags |= ev->flags & FLAG_RF; /* saved with the old task */
		cpu_task_switch(cpu, sel, TASK_GATE_INT, ev->has_error, ev->error, ev->next);
		return;
	}

	Desc code = check_handler(cpu, sel, &level);
	bool wide = cpu_long_mode(cpu), inner = level != cpu->cpl;
	if (wide ? !cpu_canonical(cpu, gate.offset) : gate.offset > desc_limit(&code))
		cpu_sel_fault(cpu, EXC_GP, 0);
	Stack stack = handler_stack(cpu, &gate, level);
	push_frame(cpu, ev, &stack, gate.size, inner || wide);
	cpu_desc_touch(cpu, &code);

	if (cpu_v86(cpu)) {
		static const int data[] = { ES, DS, FS, GS };
		for (int i = 0; i < 4; i++)
			cpu->seg[data[i]] = (Segment){ .attr = SEG_NULL };
	}
	if (inner)
		cpu->seg[SS] = stack.ss;
	stack_commit_sp(cpu, &stack);
	cpu->seg[CS] = desc_segment(&code, (uint16_t)((sel & 0xfffc) | level));
	cpu->rip = gate.offset;
	cpu->cpl = (uint8_t)level;
	uint32_t cleared = FLAG_TF | FLAG_NT | FLAG_VM | FLAG_RF;
	if (gate.clears_if)
		cleared |= FLAG_IF;
	cpu_set_rflags(cpu, cpu_rflags(cpu) & ~cleared);
	cpu_update_mode(cpu);
}

static void deliver_once(Cpu *cpu, const Event *ev)
{
	if (cpu->cr0 & CR0_PE)
		deliver_protected(cpu, ev);
	else
		deliver_real(cpu, ev);
}

/* 17.3.1.1: faults resume with RF set; traps, aborts and interrupts push it as it is. */
static bool pushes_rf(const Event *ev)
{
	if (ev->kind != INT_EXCEPTION)
		return false;
	switch (ev->vector) {
	case EXC_DB: case EXC_NMI: case EXC_BP: case EXC_OF: case EXC_DF: case EXC_MC:
		return false;
	default:
		return true;
	}
}

#define X64 "%016" PRIx64
/* The number of events logged, whichever vcpu took them. */
static atomic_uint logged;

static void log_event(Cpu *cpu, const Event *ev)
{
	if (!log_on(LOG_INT))
		return;
	GString *out = g_string_new(NULL);
	g_string_append_printf(out, "%6u: v=%02x e=%04x i=%d cpl=%d", atomic_fetch_add(&logged, 1), ev->vector, ev->error,
		software(ev->kind), cpu->cpl);
	g_string_append_printf(out, " IP=%04x:" X64 " pc=" X64 " SP=%04x:" X64, cpu->seg[CS].sel, ev->next,
		cpu_pc(cpu, ev->next), cpu->seg[SS].sel, cpu->regs[RSP]);
	if (ev->vector == EXC_PF)
		g_string_append_printf(out, " CR2=" X64 "\n", cpu->cr2);
	else
		g_string_append_printf(out, " env->regs[R_EAX]=" X64 "\n", cpu->regs[RAX]);
	cpu_append_registers(cpu, REGISTERS_CC, out);
	log_write(out->str);
	g_string_free(out, TRUE);
}

/* One attempt. False: it raised; cpu->exc_* says what. */
static bool try_deliver(Cpu *cpu, const Event *ev)
{
	if (setjmp(cpu->unwind))
		return false;
	deliver_once(cpu, ev);
	return true;
}

enum { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE };

/* Table 6-4. */
static int class_of(const Event *ev)
{
	if (ev->kind != INT_EXCEPTION)
		return CLASS_BENIGN;
	switch (ev->vector) {
	case EXC_DE: case EXC_TS: case EXC_NP: case EXC_SS: case EXC_GP:
		return CLASS_CONTRIBUTORY;
	case EXC_PF:
		return CLASS_PAGE_FAULT;
	case EXC_DF:
		return CLASS_DOUBLE;
	default:
		return CLASS_BENIGN;
	}
}

/* Table 6-5: what follows when `raised` meets the delivery of `first`. False: shutdown. */
static bool escalate(Cpu *cpu, Event *ev)
{
	Event raised = { .vector = cpu->exc_vector, .kind = INT_EXCEPTION,
			 .has_error = cpu->exc_has_error, .error = cpu->exc_error };
	int first = class_of(ev), second = class_of(&raised);

	if (second != CLASS_BENIGN) {
		if (first == CLASS_DOUBLE)
			return false;
		if (first == CLASS_PAGE_FAULT ||
		    (first == CLASS_CONTRIBUTORY && second == CLASS_CONTRIBUTORY))
			raised = (Event){ .vector = EXC_DF, .kind = INT_EXCEPTION,
					  .has_error = true };
	}
	*ev = raised;
	return true;
}

/* What #DB leaves behind in the debug registers (17.2.3, 17.2.4). */
static void enter_debug_exception(Cpu *cpu)
{
	if (cpu->db_pending) {
		cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(0xf)) | cpu->db_pending;
		cpu->db_pending = 0;
	}
	cpu->dr[7] &= ~(UINT64_C(1) << 13);
}

void cpu_deliver(Cpu *cpu, int vector, IntKind kind, bool has_error, uint32_t error)
{
	Event ev = { .vector = vector, .kind = kind, .has_error = has_error, .error = error };
	jmp_buf outer;
	bool shutdown = true;

	memcpy(&outer, &cpu->unwind, sizeof(outer));
	cpu->halted = false;
	cpu->inhibit = 0;
	if (kind == INT_HARDWARE && vector == EXC_NMI)
		cpu->nmi_blocked = true;
	/*
	 * Each fault makes the event graver, or benign once more: 8 tries outlast
	 * every chain the tables allow, and bound what a hostile IDT can ask for.
	 */
	for (int tries = 0; tries < 8; tries++) {
		ev.next = cpu->rip;
		ev.flags = cpu_rflags(cpu);
		if (pushes_rf(&ev))
			ev.flags |= FLAG_RF;
		if (ev.vector == EXC_DB && (ev.kind == INT_EXCEPTION || ev.kind == INT_ICEBP))
			enter_debug_exception(cpu);
		cpu->exc_ext = !software(ev.kind);
		log_event(cpu, &ev);
		if (try_deliver(cpu, &ev)) {
			shutdown = false;
			break;
		}
		if (!escalate(cpu, &ev))
			break;
	}
	cpu->exc_ext = 0;
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	if (shutdown) {
		cpu->halted = true;
		if (log_on(LOG_CPU_RESET))
			log_write("Triple fault\n");
		if (cpu->world && cpu->world->triple_fault)
			cpu->world->triple_fault(cpu->world_opaque, cpu);
	}
}

/* 20.3.3, table 20-2: may INT n go straight to the 8086 program's handler? */
static bool redirected(Cpu *cpu, int vector)
{
	if ((cpu->tr.attr & SEG_TYPE) < SYS_TSS32 || cpu->tr.limit < 0x67)
		cpu_gp0(cpu);
	uint32_t map = (uint32_t)cpu_lin_read(cpu, (uint32_t)(cpu->tr.base + 0x66), 2,
					      MEM_READ | MEM_IMPLICIT);
	uint32_t byte = map - 32 + (uint32_t)vector / 8;
	if (map < 32 || byte > cpu->tr.limit)
		cpu_gp0(cpu);
	uint64_t bits = cpu_lin_read(cpu, (uint32_t)(cpu->tr.base + byte), 1,
				     MEM_READ | MEM_IMPLICIT);
	return !(bits >> (vector & 7) & 1);
}

/* Methods 5 and 6 of table 20-2. */
static void v86_soft_int(Cpu *cpu, const Event *ev)
{
	uint32_t flags = ev->flags, cleared = FLAG_TF | FLAG_RF | FLAG_NT;
	if ((flags & FLAG_IOPL) == FLAG_IOPL) {
		cleared |= FLAG_IF;
	} else {
		flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
		cleared |= FLAG_VIF;
	}
	push_real_frame(cpu, ev, flags, 0);
	cpu_set_rflags(cpu, cpu_rflags(cpu) & ~cleared);
	cpu_update_mode(cpu);
}

void cpu_soft_int(Cpu *cpu, int vector, IntKind kind, uint64_t next)
{
	Event ev = { .vector = vector, .kind = kind, .flags = cpu_rflags(cpu), .next = next };

	if (cpu_v86(cpu) && kind == INT_SOFT) {
		if ((cpu->cr4 & CR4_VME) && redirected(cpu, vector)) {
			v86_soft_int(cpu, &ev);
			return;
		}
		if ((cpu->rflags & FLAG_IOPL) != FLAG_IOPL)
			cpu_gp0(cpu);
	}
	if (kind == INT_ICEBP) {
		enter_debug_exception(cpu);
		cpu->exc_ext = 1; /* INT1 counts as an external event (6.13) */
	}
	log_event(cpu, &ev);
	deliver_once(cpu, &ev);
	cpu->exc_ext = 0;
}
