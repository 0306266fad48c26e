/*
 * stack.c - descriptor table reads and stack accesses of control transfers.
 *
 * SDM vol. 3A: 3.4.2, 3.5.1 (descriptor tables), 5.3 (limit checks), 5.7 (checks of a
 * new stack), 7.2.1 and 7.7 (TSS). Nothing here changes registers except
 * stack_commit_sp. Thread: the vcpu's own.
 */
#include "cpu/protect.h"

void cpu_sel_fault(Cpu *cpu, int vector, uint16_t sel)
{
	cpu_exception_err(cpu, vector, (sel & 0xfffcu) | cpu->exc_ext);
}

static bool table_of(const Cpu *cpu, uint16_t sel, uint64_t *base, uint32_t *limit)
{
	if (!(sel & 4)) {
		*base = cpu->gdtr.base;
		*limit = cpu->gdtr.limit;
		return true;
	}
	if (cpu->ldtr.attr & SEG_NULL || sel_is_null(cpu->ldtr.sel))
		return false;
	*base = cpu->ldtr.base;
	*limit = cpu->ldtr.limit;
	return true;
}

static uint64_t wrap(const Cpu *cpu, uint64_t linear)
{
	return cpu_long_mode(cpu) ? linear : (uint32_t)linear;
}

bool cpu_desc_read(Cpu *cpu, uint16_t sel, Desc *d)
{
	uint64_t base;
	uint32_t limit;
	if (!table_of(cpu, sel, &base, &limit) || (sel | 7u) > limit)
		return false;
	d->addr = wrap(cpu, base + (sel & 0xfff8u));
	uint64_t raw = cpu_lin_read(cpu, d->addr, 8, MEM_READ | MEM_IMPLICIT);
	d->lo = (uint32_t)raw;
	d->hi = (uint32_t)(raw >> 32);
	return true;
}

bool cpu_desc_read_upper(Cpu *cpu, uint16_t sel, const Desc *d, Desc *upper)
{
	uint64_t base;
	uint32_t limit;
	if (!table_of(cpu, sel, &base, &limit) || (sel | 7u) + 8 > limit)
		return false;
	upper->addr = wrap(cpu, d->addr + 8);
	uint64_t raw = cpu_lin_read(cpu, upper->addr, 8, MEM_READ | MEM_IMPLICIT);
	upper->lo = (uint32_t)raw;
	upper->hi = (uint32_t)(raw >> 32);
	return true;
}

void cpu_desc_touch(Cpu *cpu, Desc *d)
{
	if (d->hi & 0x100)
		return;
	d->hi |= 0x100;
	cpu_lin_write(cpu, wrap(cpu, d->addr + 5), d->hi >> 8 & 0xff, 1, MEM_WRITE | MEM_IMPLICIT);
}

Segment cpu_null_segment(uint16_t sel, unsigned cpl)
{
	return (Segment){ .sel = sel, .limit = UINT32_MAX,
			  .attr = SEG_NULL | SEG_P | SEG_S | SEG_W | SEG_A | SEG_DB | SEG_G |
				  cpl << 5 };
}

void cpu_drop_inner_segments(Cpu *cpu)
{
	static const int outer[] = { ES, FS, GS, DS };
	for (unsigned i = 0; i < G_N_ELEMENTS(outer); i++) {
		Segment *s = &cpu->seg[outer[i]];
		bool conforming = (s->attr & (SEG_CODE | SEG_E)) == (SEG_CODE | SEG_E);
		if ((s->attr & SEG_NULL) || conforming || SEG_DPL(s->attr) >= cpu->cpl)
			continue;
		/* FS and GS bases live on in long mode; Intel clears the selector and marks it null. */
		s->sel = 0;
		s->attr |= SEG_NULL;
		if (!cpu_long_mode(cpu))
			s->base = 0;
	}
	cpu_update_mode(cpu);
}

bool cpu_segment_reaches(const Segment *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;
	bool expand_down = (s->attr & (SEG_CODE | SEG_E)) == SEG_E;
	if (!expand_down)
		return last <= s->limit;
	return offset > s->limit && last <= (s->attr & SEG_DB ? UINT32_MAX : 0xffffu);
}

Desc cpu_check_stack_segment(Cpu *cpu, uint16_t sel, unsigned dpl)
{
	Desc d;
	if (sel_is_null(sel))
		cpu_sel_fault(cpu, EXC_TS, 0);
	if (!cpu_desc_read(cpu, sel, &d) || (sel & 3u) != dpl || desc_dpl(&d) != dpl ||
	    !desc_is_writable(&d))
		cpu_sel_fault(cpu, EXC_TS, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_SS, sel);
	cpu_desc_touch(cpu, &d);
	return d;
}

Stack stack_current(Cpu *cpu)
{
	Stack s = { .ss = cpu->seg[SS], .access = cpu_data_access(cpu) };
	s.mask = stack_mask(cpu, &s.ss);
	s.sp = cpu->regs[RSP] & s.mask;
	return s;
}

/* The linear address of [sp, sp+size), or #SS. */
static uint64_t stack_linear(Cpu *cpu, const Stack *s, unsigned size)
{
	if (s->mask == UINT64_MAX) {
		if (!cpu_canonical(cpu, s->sp) || !cpu_canonical(cpu, s->sp + size - 1))
			cpu_sel_fault(cpu, EXC_SS, s->fault_sel);
		return s->sp;
	}
	if (!cpu_segment_reaches(&s->ss, s->sp, size))
		cpu_sel_fault(cpu, EXC_SS, s->fault_sel);
	return (uint32_t)(s->ss.base + s->sp);
}

void stack_push(Cpu *cpu, Stack *s, unsigned size, uint64_t value)
{
	s->sp = (s->sp - size) & s->mask;
	cpu_lin_write(cpu, stack_linear(cpu, s, size), value, size, MEM_WRITE | s->access);
}

uint64_t stack_pop(Cpu *cpu, Stack *s, unsigned size)
{
	uint64_t value = cpu_lin_read(cpu, stack_linear(cpu, s, size), size, MEM_READ | s->access);
	s->sp = (s->sp + size) & s->mask;
	return value;
}

void stack_commit_sp(Cpu *cpu, const Stack *s)
{
	if (s->mask == 0xffff)
		cpu->regs[RSP] = (cpu->regs[RSP] & ~UINT64_C(0xffff)) | s->sp;
	else
		cpu->regs[RSP] = s->sp;
}

void cpu_tss_stack(Cpu *cpu, unsigned level, uint16_t *ss, uint32_t *esp)
{
	bool wide = (cpu->tr.attr & SEG_TYPE) >= SYS_TSS32;
	uint32_t offset = wide ? level * 8 + 4 : level * 4 + 2;
	/* Of a 32-bit slot the upper half of SS is not read: 6 bytes count. */
	if (offset + (wide ? 5 : 3) > cpu->tr.limit)
		cpu_sel_fault(cpu, EXC_TS, cpu->tr.sel);
	uint64_t addr = cpu->tr.base + offset;
	unsigned size = wide ? 4 : 2;
	*esp = (uint32_t)cpu_lin_read(cpu, wrap(cpu, addr), size, MEM_READ | MEM_IMPLICIT);
	*ss = (uint16_t)cpu_lin_read(cpu, wrap(cpu, addr + size), 2, MEM_READ | MEM_IMPLICIT);
}

uint64_t cpu_tss_rsp(Cpu *cpu, unsigned slot)
{
	uint32_t offset = slot * 8 + 4;
	if (offset + 7 > cpu->tr.limit)
		cpu_sel_fault(cpu, EXC_TS, cpu->tr.sel);
	uint64_t rsp = cpu_lin_read(cpu, cpu->tr.base + offset, 8, MEM_READ | MEM_IMPLICIT);
	if (!cpu_canonical(cpu, rsp))
		cpu_sel_fault(cpu, EXC_SS, 0);
	return rsp;
}
