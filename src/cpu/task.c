/*
 * task.c - the hardware task switch.
 *
 * SDM vol. 3A, ch. 7: 7.2 (TSS), 7.3 (switch, checks in the order of table 7-1), 7.4
 * (linking), 7.6 (16-bit TSS). Faults up to the commit belong to the old task, later
 * ones to the new one. Not entered in IA-32e mode. Thread: the vcpu's own.
 */
#include "cpu/protect.h"

#define TSS32_LIMIT 0x67u
#define TSS16_LIMIT 0x2bu
#define DR6_BT (1u << 15)
#define DR7_LOCAL 0x155u
#define TABLE (MEM_IMPLICIT)

/* What a TSS holds, without the inner stacks. */
typedef struct Task {
	bool wide;
	uint32_t cr3, eip, eflags, regs[8];
	uint16_t sel[SEG_COUNT], ldt;
	bool trap;
} Task;

static uint32_t get(Cpu *cpu, uint64_t base, uint32_t offset, unsigned size)
{
	return (uint32_t)cpu_lin_read(cpu, (uint32_t)(base + offset), size, MEM_READ | TABLE);
}

static void put(Cpu *cpu, uint64_t base, uint32_t offset, unsigned size, uint32_t value)
{
	cpu_lin_write(cpu, (uint32_t)(base + offset), value, size, MEM_WRITE | TABLE);
}

static bool is_wide(unsigned type) { return type >= SYS_TSS32; }

static Desc check_tss(Cpu *cpu, uint16_t sel, TaskSource source)
{
	Desc d;
	int fault = source == TASK_IRET ? EXC_TS : EXC_GP;
	unsigned busy = source == TASK_IRET ? SYS_TSS_BUSY_BIT : 0;
	if (sel_is_null(sel) || (sel & 4) || !cpu_desc_read(cpu, sel, &d) || !desc_is_system(&d))
		cpu_sel_fault(cpu, fault, sel);
	unsigned type = desc_type(&d);
	if (type != (SYS_TSS16 | busy) && type != (SYS_TSS32 | busy))
		cpu_sel_fault(cpu, fault, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	if (desc_limit(&d) < (is_wide(type) ? TSS32_LIMIT : TSS16_LIMIT))
		cpu_sel_fault(cpu, EXC_TS, sel);
	return d;
}

static void read_task(Cpu *cpu, const Desc *d, Task *t)
{
	uint64_t base = desc_base(d);
	*t = (Task){ .wide = is_wide(desc_type(d)) };
	unsigned reg = t->wide ? 4 : 2;
	uint32_t first = t->wide ? 0x20 : 0x0e;
	uint32_t segs = t->wide ? 0x48 : 0x22;

	cpu_lin_probe(cpu, (uint32_t)base, (t->wide ? TSS32_LIMIT : TSS16_LIMIT) + 1,
		      MEM_READ | TABLE);
	t->eip = get(cpu, base, first, reg);
	t->eflags = get(cpu, base, first + reg, reg);
	for (unsigned i = 0; i < 8; i++)
		t->regs[i] = get(cpu, base, first + (2 + i) * reg, reg);
	for (unsigned i = 0; i < (t->wide ? 6u : 4u); i++)
		t->sel[i] = (uint16_t)get(cpu, base, segs + i * reg, 2);
	t->ldt = (uint16_t)get(cpu, base, t->wide ? 0x60 : 0x2a, 2);
	if (t->wide) {
		t->cr3 = get(cpu, base, 0x1c, 4);
		t->trap = get(cpu, base, 0x64, 2) & 1;
	}
}

/* Only what a switch writes: EIP, EFLAGS, general and segment registers. */
static void save_task(Cpu *cpu, uint64_t next, uint32_t flags)
{
	uint64_t base = cpu->tr.base;
	bool wide = is_wide(cpu->tr.attr & SEG_TYPE);
	unsigned reg = wide ? 4 : 2;
	uint32_t first = wide ? 0x20 : 0x0e;
	uint32_t segs = wide ? 0x48 : 0x22;

	put(cpu, base, first, reg, (uint32_t)next);
	put(cpu, base, first + reg, reg, flags);
	for (unsigned i = 0; i < 8; i++)
		put(cpu, base, first + (2 + i) * reg, reg, (uint32_t)cpu->regs[i]);
	for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
		put(cpu, base, segs + i * reg, 2, cpu->seg[i].sel);
}

static void set_busy(Cpu *cpu, uint16_t sel, bool busy)
{
	Desc d;
	if (!cpu_desc_read(cpu, sel, &d))
		return; /* the guest shrank its GDT: nothing to mark */
	uint32_t type = d.hi >> 8 & 0xff;
	type = busy ? type | SYS_TSS_BUSY_BIT : type & ~SYS_TSS_BUSY_BIT;
	cpu_lin_write(cpu, (uint32_t)(d.addr + 5), type, 1, MEM_WRITE | TABLE);
}

static void load_ldt(Cpu *cpu, uint16_t sel)
{
	Desc d;
	cpu->ldtr = (Segment){ .sel = sel, .attr = SEG_NULL };
	if (sel_is_null(sel))
		return;
	if ((sel & 4) || !cpu_desc_read(cpu, sel, &d) || !desc_is_system(&d) ||
	    desc_type(&d) != SYS_LDT || !desc_present(&d))
		cpu_sel_fault(cpu, EXC_TS, sel);
	cpu->ldtr = desc_segment(&d, sel);
}

static void load_code(Cpu *cpu, uint16_t sel)
{
	Desc d;
	unsigned rpl = sel & 3;
	if (sel_is_null(sel) || !cpu_desc_read(cpu, sel, &d) || !desc_is_code(&d) ||
	    (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
		cpu_sel_fault(cpu, EXC_TS, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	cpu_desc_touch(cpu, &d);
	cpu->seg[CS] = desc_segment(&d, sel);
}

static void load_data(Cpu *cpu, int seg, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel))
		return;
	if (!cpu_desc_read(cpu, sel, &d) || desc_is_system(&d) ||
	    (desc_is_code(&d) && !(desc_attr(&d) & SEG_W)) ||
	    (!desc_is_conforming(&d) && desc_dpl(&d) < MAX(sel & 3u, cpu->cpl)))
		cpu_sel_fault(cpu, EXC_TS, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	cpu_desc_touch(cpu, &d);
	cpu->seg[seg] = desc_segment(&d, sel);
}

static void load_segments(Cpu *cpu, const Task *t)
{
	load_ldt(cpu, t->ldt);
	if (t->eflags & FLAG_VM) {
		for (int i = 0; i < SEG_COUNT; i++)
			cpu_load_segment(cpu, i, t->sel[i]);
		return;
	}
	load_code(cpu, t->sel[CS]);
	cpu_update_mode(cpu);
	Desc d = cpu_check_stack_segment(cpu, t->sel[SS], cpu->cpl);
	cpu->seg[SS] = desc_segment(&d, t->sel[SS]);
	static const int data[] = { DS, ES, FS, GS };
	for (int i = 0; i < 4; i++)
		load_data(cpu, data[i], t->sel[data[i]]);
}

/* Registers of the new task; segments only as selectors, so that a fault in them is its own. */
static void commit(Cpu *cpu, uint16_t sel, const Desc *d, const Task *t, uint32_t flags)
{
	cpu->tr = desc_segment(d, sel);
	cpu->tr.attr |= SYS_TSS_BUSY_BIT;
	cpu->cr0 |= CR0_TS;
	cpu->rip = t->eip;
	for (int i = 0; i < 8; i++)
		cpu->regs[i] = t->regs[i];
	for (int i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (Segment){ .sel = t->sel[i], .attr = SEG_NULL };
	cpu->dr[7] &= ~(uint64_t)DR7_LOCAL;
	cpu->cpl = flags & FLAG_VM ? 3 : t->sel[CS] & 3;
	cpu_set_rflags(cpu, flags);
	cpu_update_mode(cpu);
	if (t->wide && (cpu->cr0 & CR0_PG) && t->cr3 != cpu->cr3) {
		if ((cpu->cr4 & CR4_PAE) && !cpu_load_pdptes(cpu, t->cr3))
			cpu_sel_fault(cpu, EXC_TS, sel);
		cpu->cr3 = t->cr3;
		cpu_tlb_flush(cpu, false);
	}
}

void cpu_task_switch(Cpu *cpu, uint16_t tss_sel, TaskSource source, bool has_error,
		     uint32_t error, uint64_t next)
{
	Task t;
	bool nested = source == TASK_CALL || source == TASK_GATE_INT;
	uint16_t old_sel = cpu->tr.sel;
	uint32_t old_flags = cpu_rflags(cpu);
	bool old_wide = is_wide(cpu->tr.attr & SEG_TYPE);

	/* All that may fault in the old task. */
	Desc d = check_tss(cpu, tss_sel, source);
	cpu_lin_probe(cpu, (uint32_t)cpu->tr.base, (old_wide ? TSS32_LIMIT : TSS16_LIMIT) + 1,
		      MEM_WRITE | TABLE);
	cpu_lin_probe(cpu, (uint32_t)desc_base(&d), 2, (nested ? MEM_WRITE : MEM_READ) | TABLE);
	cpu_lin_probe(cpu, (uint32_t)(d.addr + 5), 1, MEM_WRITE | TABLE);

	if (!nested)
		set_busy(cpu, old_sel, false);
	if (source == TASK_IRET)
		old_flags &= ~FLAG_NT;
	save_task(cpu, next, old_flags);
	/* After the save: a task may return to itself. */
	read_task(cpu, &d, &t);
	uint32_t flags = t.wide ? t.eflags : t.eflags & 0xffff;
	if (nested) {
		put(cpu, desc_base(&d), 0, 2, old_sel);
		flags |= FLAG_NT;
	}
	set_busy(cpu, tss_sel, true);

	commit(cpu, tss_sel, &d, &t, flags);
	load_segments(cpu, &t);
	cpu_update_mode(cpu);
	if (cpu->rip > cpu->seg[CS].limit)
		cpu_sel_fault(cpu, EXC_GP, 0);
	if (has_error) {
		Stack stack = stack_current(cpu);
		stack_push(cpu, &stack, t.wide ? 4 : 2, error);
		stack_commit_sp(cpu, &stack);
	}
	if (t.trap)
		cpu->db_pending |= DR6_BT;
}
