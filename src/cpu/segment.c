/*
 * segment.c - loading and inspecting segment registers; I/O permission.
 *
 * SDM vol. 3A: 3.4.4 and 3.5 (segments, system descriptors of 16 bytes in IA-32e
 * mode), 5.6 (privilege), 5.10 (LAR, LSL, VERR, VERW); vol. 1, 18.5 (I/O bitmap);
 * 20.1.1 (real mode). Where Intel and AMD differ (base of FS and GS when null is
 * loaded) this is Intel's. Thread: the vcpu's own.
 */
#include "cpu/protect.h"

void cpu_set_real_segment(Segment *s, uint16_t sel)
{
	s->sel = sel;
	s->base = (uint64_t)sel << 4;
	if (s->attr & SEG_NULL) {
		/* Left null by protected mode; the real-mode load makes it usable again. */
		s->limit = 0xffff;
		s->attr = SEG_P | SEG_S | SEG_W | SEG_A;
	}
}

static void set_v86_segment(Segment *s, uint16_t sel)
{
	*s = (Segment){ .sel = sel, .base = (uint64_t)sel << 4, .limit = 0xffff,
			.attr = SEG_P | SEG_S | SEG_W | SEG_A | 3u << 5 };
}

static void load_stack_segment(Cpu *cpu, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel)) {
		/* 5.4.1.1 */
		if (!cpu_code64(cpu) || cpu->cpl == 3 || (sel & 3) != cpu->cpl)
			cpu_sel_fault(cpu, EXC_GP, 0);
		cpu->seg[SS] = cpu_null_segment(sel, cpu->cpl);
		return;
	}
	if (!cpu_desc_read(cpu, sel, &d) || (sel & 3) != cpu->cpl || !desc_is_writable(&d) ||
	    desc_dpl(&d) != cpu->cpl)
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_SS, sel);
	cpu_desc_touch(cpu, &d);
	cpu->seg[SS] = desc_segment(&d, sel);
}

static void load_data_segment(Cpu *cpu, int seg, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel)) {
		cpu->seg[seg] = (Segment){ .sel = sel, .attr = SEG_NULL };
		return;
	}
	if (!cpu_desc_read(cpu, sel, &d) || desc_is_system(&d) ||
	    (desc_is_code(&d) && !(desc_attr(&d) & SEG_W)))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_is_conforming(&d) && desc_dpl(&d) < MAX(sel & 3u, cpu->cpl))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	cpu_desc_touch(cpu, &d);
	cpu->seg[seg] = desc_segment(&d, sel);
}

void cpu_load_segment(Cpu *cpu, int seg, uint16_t sel)
{
	if (cpu_v86(cpu))
		set_v86_segment(&cpu->seg[seg], sel);
	else if (!cpu_protected(cpu))
		cpu_set_real_segment(&cpu->seg[seg], sel);
	else if (seg == SS)
		load_stack_segment(cpu, sel);
	else
		load_data_segment(cpu, seg, sel);
	cpu_update_mode(cpu);
}

/* Base of an LDT or TSS; the 16-byte form in long mode. Raises #GP(sel). */
static uint64_t system_base(Cpu *cpu, uint16_t sel, const Desc *d)
{
	Desc upper;
	if (!cpu_long_mode(cpu))
		return desc_base(d);
	if (!cpu_desc_read_upper(cpu, sel, d, &upper) || (upper.hi & 0x1f00))
		cpu_sel_fault(cpu, EXC_GP, sel);
	uint64_t base = desc_base(d) | (uint64_t)upper.lo << 32;
	if (!cpu_canonical(cpu, base))
		cpu_sel_fault(cpu, EXC_GP, sel);
	return base;
}

void cpu_lldt(Cpu *cpu, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel)) {
		cpu->ldtr = (Segment){ .sel = sel, .attr = SEG_NULL };
		return;
	}
	if ((sel & 4) || !cpu_desc_read(cpu, sel, &d) || !desc_is_system(&d) ||
	    desc_type(&d) != SYS_LDT)
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	uint64_t base = system_base(cpu, sel, &d);
	cpu->ldtr = desc_segment(&d, sel);
	cpu->ldtr.base = base;
}

void cpu_ltr(Cpu *cpu, uint16_t sel)
{
	Desc d;
	if (sel_is_null(sel))
		cpu_sel_fault(cpu, EXC_GP, 0);
	if ((sel & 4) || !cpu_desc_read(cpu, sel, &d) || !desc_is_system(&d))
		cpu_sel_fault(cpu, EXC_GP, sel);
	unsigned type = desc_type(&d);
	if (type != SYS_TSS32 && (type != SYS_TSS16 || cpu_long_mode(cpu)))
		cpu_sel_fault(cpu, EXC_GP, sel);
	if (!desc_present(&d))
		cpu_sel_fault(cpu, EXC_NP, sel);
	uint64_t base = system_base(cpu, sel, &d);
	d.hi |= SYS_TSS_BUSY_BIT << 8;
	cpu_lin_write(cpu, d.addr + 5, d.hi >> 8 & 0xff, 1, MEM_WRITE | MEM_IMPLICIT);
	cpu->tr = desc_segment(&d, sel);
	cpu->tr.base = base;
}

static bool reaches_by_privilege(const Cpu *cpu, const Desc *d, uint16_t sel)
{
	return desc_is_conforming(d) || desc_dpl(d) >= MAX(sel & 3u, cpu->cpl);
}

bool cpu_lar(Cpu *cpu, uint16_t sel, uint32_t *value)
{
	const unsigned legacy = 1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY |
				1u << SYS_CALL16 | 1u << SYS_TASK_GATE | 1u << SYS_TSS32 |
				1u << SYS_TSS32_BUSY | 1u << SYS_CALL32;
	const unsigned wide = 1u << SYS_LDT | 1u << SYS_TSS32 | 1u << SYS_TSS32_BUSY |
			      1u << SYS_CALL32;
	Desc d;
	if (sel_is_null(sel) || !cpu_desc_read(cpu, sel, &d))
		return false;
	if (desc_is_system(&d) &&
	    !((cpu_long_mode(cpu) ? wide : legacy) >> desc_type(&d) & 1))
		return false;
	if (!reaches_by_privilege(cpu, &d, sel))
		return false;
	*value = d.hi & 0x00f0ff00;
	return true;
}

bool cpu_lsl(Cpu *cpu, uint16_t sel, uint32_t *value)
{
	const unsigned wide = 1u << SYS_LDT | 1u << SYS_TSS32 | 1u << SYS_TSS32_BUSY;
	const unsigned legacy = wide | 1u << SYS_TSS16 | 1u << SYS_TSS16_BUSY;
	Desc d;
	if (sel_is_null(sel) || !cpu_desc_read(cpu, sel, &d))
		return false;
	if (desc_is_system(&d) &&
	    !((cpu_long_mode(cpu) ? wide : legacy) >> desc_type(&d) & 1))
		return false;
	if (!reaches_by_privilege(cpu, &d, sel))
		return false;
	*value = desc_limit(&d);
	return true;
}

bool cpu_ver(Cpu *cpu, uint16_t sel, bool write)
{
	Desc d;
	if (sel_is_null(sel) || !cpu_desc_read(cpu, sel, &d) || desc_is_system(&d))
		return false;
	if (!reaches_by_privilege(cpu, &d, sel))
		return false;
	if (write)
		return desc_is_writable(&d);
	return !desc_is_code(&d) || (desc_attr(&d) & SEG_W);
}

void cpu_check_io(Cpu *cpu, uint16_t port, unsigned size)
{
	unsigned iopl = cpu->rflags >> 12 & 3;
	if (!(cpu->cr0 & CR0_PE) || (!cpu_v86(cpu) && cpu->cpl <= iopl))
		return;
	if ((cpu->tr.attr & SEG_NULL) || (cpu->tr.attr & SEG_TYPE) < SYS_TSS32 ||
	    cpu->tr.limit < 0x67)
		cpu_gp0(cpu);
	uint64_t map = cpu_lin_read(cpu, cpu->tr.base + 0x66, 2, MEM_READ | MEM_IMPLICIT);
	uint64_t byte = map + port / 8;
	/* Two bytes are read whatever the port, so the last one must have a successor. */
	if (byte + 1 > cpu->tr.limit)
		cpu_gp0(cpu);
	uint64_t denied = cpu_lin_read(cpu, cpu->tr.base + byte, 2, MEM_READ | MEM_IMPLICIT);
	if (denied >> (port & 7) & ((1u << size) - 1))
		cpu_gp0(cpu);
}
