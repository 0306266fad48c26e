/*
 * control.c - control and debug registers, and the flag instructions that privilege guards.
 *
 * SDM vol. 3A: 2.5 (CR0 to CR4, CR8), 2.6 (XCR0), 4.10 (PCID, what each write
 * flushes), 9.8.5 (entering and leaving IA-32e mode), 17.2 (debug registers), 20.3.3 and 20.4 (VME,
 * PVI); vol. 2: MOV CR, MOV DR, XSETBV, INVPCID, POPF, PUSHF, CLI, STI.
 * CPL is the interpreter's to check, except where noted. Thread: the vcpu's own.
 */
#include "cpu/protect.h"
#include "cpu/features.h"

#define CR0_VALID \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR3_NO_FLUSH (UINT64_C(1) << 63)
#define DR6_BD (UINT64_C(1) << 13)
#define DR7_GD (UINT64_C(1) << 13)

static void enter_long_mode(Cpu *cpu)
{
	/* 9.8.5: PAE first; neither CS.L nor a 16-bit TSS. */
	unsigned tss = cpu->tr.attr & SEG_TYPE;
	if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[CS].attr & SEG_L) || tss == SYS_TSS16 ||
	    tss == SYS_TSS16_BUSY)
		cpu_gp0(cpu);
	cpu->efer |= EFER_LMA;
}

static void write_cr0(Cpu *cpu, uint64_t value)
{
	if (value >> 32)
		cpu_gp0(cpu);
	value = (value & CR0_VALID) | CR0_ET;
	uint64_t changed = value ^ cpu->cr0;
	if ((value & CR0_PG) && !(value & CR0_PE))
		cpu_gp0(cpu);
	if ((value & CR0_NW) && !(value & CR0_CD))
		cpu_gp0(cpu);
	if (!(value & CR0_PG) && (cpu->cr4 & CR4_PCIDE))
		cpu_gp0(cpu);

	if (changed & CR0_PG) {
		if (!(value & CR0_PG)) {
			if (cpu_code64(cpu))
				cpu_gp0(cpu);
			cpu->efer &= ~(uint64_t)EFER_LMA;
		} else if (cpu->efer & EFER_LME) {
			enter_long_mode(cpu);
		} else if ((cpu->cr4 & CR4_PAE) && !cpu_load_pdptes(cpu, cpu->cr3)) {
			cpu_gp0(cpu);
		}
	} else if ((changed & (CR0_CD | CR0_NW)) && (value & CR0_PG) && (cpu->cr4 & CR4_PAE) &&
		   !cpu_long_mode(cpu) && !cpu_load_pdptes(cpu, cpu->cr3)) {
		cpu_gp0(cpu); /* 4.4.1 lists these bits too */
	}
	cpu->cr0 = value;
	cpu_log_cr(cpu, 0, value ^ changed);
	if ((changed & CR0_PE) && !(value & CR0_PE))
		cpu->cpl = 0;
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		cpu_tlb_flush(cpu, true);
	cpu_update_mode(cpu);
}

static void write_cr3(Cpu *cpu, uint64_t value)
{
	bool keep = false;
	if (cpu_long_mode(cpu)) {
		if (cpu->cr4 & CR4_PCIDE) {
			keep = value & CR3_NO_FLUSH;
			value &= ~CR3_NO_FLUSH;
		}
		if (value >> cpu->phys_bits)
			cpu_gp0(cpu);
	} else {
		value = (uint32_t)value;
		if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !cpu_load_pdptes(cpu, value))
			cpu_gp0(cpu);
	}
	cpu->cr3 = value;
	cpu_log_cr(cpu, 3, 0);
	cpu_tlb_switch(cpu, keep);
}

static uint64_t cr4_offered(const Cpu *cpu)
{
	static const struct {
		uint32_t bit;
		uint16_t feature;
	} bits[] = {
		{ CR4_VME, FEAT_VME }, { CR4_PVI, FEAT_VME }, { CR4_TSD, FEAT_TSC },
		{ CR4_DE, FEAT_DE }, { CR4_PSE, FEAT_PSE }, { CR4_PAE, FEAT_PAE },
		{ CR4_MCE, FEAT_MCE }, { CR4_PGE, FEAT_PGE }, { CR4_OSFXSR, FEAT_FXSR },
		{ CR4_OSXMMEXCPT, FEAT_SSE }, { CR4_UMIP, FEAT_UMIP }, { CR4_LA57, FEAT_LA57 },
		{ CR4_FSGSBASE, FEAT_FSGSBASE }, { CR4_PCIDE, FEAT_PCID },
		{ CR4_OSXSAVE, FEAT_XSAVE }, { CR4_SMEP, FEAT_SMEP }, { CR4_SMAP, FEAT_SMAP },
		{ CR4_PKE, FEAT_PKU },
	};
	uint64_t offered = CR4_PCE; /* every P6 and later has RDPMC */
	for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
		if (cpu_has(cpu, bits[i].feature))
			offered |= bits[i].bit;
	return offered;
}

static void write_cr4(Cpu *cpu, uint64_t value)
{
	uint64_t changed = value ^ cpu->cr4;
	if (value & ~cr4_offered(cpu))
		cpu_gp0(cpu);
	if (cpu_long_mode(cpu) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
		cpu_gp0(cpu);
	if ((changed & value & CR4_PCIDE) && (!cpu_long_mode(cpu) || (cpu->cr3 & 0xfff)))
		cpu_gp0(cpu);
	if ((cpu->cr0 & CR0_PG) && (value & CR4_PAE) && !cpu_long_mode(cpu) &&
	    (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
	    !cpu_load_pdptes(cpu, cpu->cr3))
		cpu_gp0(cpu);
	cpu->cr4 = value;
	cpu_log_cr(cpu, 4, value ^ changed);
	if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE |
		       CR4_LA57))
		cpu_tlb_flush(cpu, true);
	cpu_update_mode(cpu);
}

static void write_cr8(Cpu *cpu, uint64_t value)
{
	if (value & ~UINT64_C(15))
		cpu_gp0(cpu);
	if (cpu->apic && cpu->apic_ops && cpu->apic_ops->set_tpr)
		cpu->apic_ops->set_tpr(cpu->apic, (uint8_t)value);
}

void cpu_write_cr(Cpu *cpu, int cr, uint64_t value)
{
	switch (cr) {
	case 0:
		write_cr0(cpu, value);
		break;
	case 2:
		cpu->cr2 = value;
		break;
	case 3:
		write_cr3(cpu, value);
		break;
	case 4:
		write_cr4(cpu, value);
		break;
	case 8:
		write_cr8(cpu, value);
		break;
	default:
		cpu_exception(cpu, EXC_UD);
	}
}

uint64_t cpu_read_cr(Cpu *cpu, int cr)
{
	switch (cr) {
	case 0:
		return cpu->cr0;
	case 2:
		return cpu->cr2;
	case 3:
		return cpu->cr3;
	case 4:
		return cpu->cr4;
	case 8:
		if (cpu->apic && cpu->apic_ops && cpu->apic_ops->get_tpr)
			return cpu->apic_ops->get_tpr(cpu->apic);
		return 0;
	default:
		cpu_exception(cpu, EXC_UD);
	}
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE (17.2.2); GD traps every access (17.2.4). */
static int debug_register(Cpu *cpu, int dr)
{
	if (dr < 0 || dr > 7)
		cpu_exception(cpu, EXC_UD);
	if (dr == 4 || dr == 5) {
		if (cpu->cr4 & CR4_DE)
			cpu_exception(cpu, EXC_UD);
		dr += 2;
	}
	if (cpu->dr[7] & DR7_GD) {
		cpu->dr[6] |= DR6_BD;
		cpu_exception(cpu, EXC_DB);
	}
	return dr;
}

void cpu_write_dr(Cpu *cpu, int dr, uint64_t value)
{
	dr = debug_register(cpu, dr);
	switch (dr) {
	case 6:
		if (value >> 32)
			cpu_gp0(cpu);
		/* Bits 11 (bus lock) and 16 (RTM) are of features no model offers: fixed at 1. */
		cpu->dr[6] = (value & 0xe00f) | 0xffff0ff0;
		break;
	case 7:
		if (value >> 32)
			cpu_gp0(cpu);
		cpu->dr[7] = (value & 0xffff23ff) | 0x400;
		cpu_update_mode(cpu);
		break;
	default:
		if (cpu_long_mode(cpu) ? !cpu_canonical(cpu, value) : value >> 32)
			cpu_gp0(cpu);
		cpu->dr[dr] = value;
	}
}

uint64_t cpu_read_dr(Cpu *cpu, int dr)
{
	return cpu->dr[debug_register(cpu, dr)];
}

void cpu_write_xcr(Cpu *cpu, uint32_t index, uint64_t value)
{
	const uint64_t avx512 = 7u << 5;
	bool valid = index == 0 && (value & 1) && !(value & ~cpu->xcr0_supported);
	if ((value & 6) == 4)
		valid = false; /* AVX needs SSE (vol. 1, 13.3) */
	if ((value & avx512) && ((value & avx512) != avx512 || (value & 6) != 6))
		valid = false;
	if (((value >> 3 & 1) ^ (value >> 4 & 1)))
		valid = false; /* both MPX parts or none */
	if (!valid || cpu->cpl != 0)
		cpu_gp0(cpu);
	cpu->xcr0 = value;
}

void cpu_invpcid(Cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear)
{
	bool individual = type == 0 || type == 1;
	if (type > 3 || (individual && pcid >> 12))
		cpu_gp0(cpu);
	if (individual && pcid && !(cpu->cr4 & CR4_PCIDE))
		cpu_gp0(cpu);
	if (type == 0 && !cpu_canonical(cpu, linear))
		cpu_gp0(cpu);
	uint64_t current = cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
	if (type == 0 && pcid == current)
		cpu_tlb_flush_page(cpu, linear);
	else if (type <= 1)
		cpu_tlb_flush_pcid(cpu, (unsigned)pcid); /* of one page too: more than was asked for, as 4.10.4.1 allows */
	else if (type == 2)
		cpu_tlb_flush(cpu, true);
	else
		cpu_tlb_flush_pcids(cpu);
}

static unsigned iopl_of(const Cpu *cpu) { return cpu->rflags >> 12 & 3; }

static bool virtual_if(const Cpu *cpu)
{
	/* PVI: CPL 3 outside V86 (20.4) */
	return cpu_v86(cpu) ? cpu->cr4 & CR4_VME : (cpu->cr4 & CR4_PVI) && cpu->cpl == 3;
}

void cpu_popf(Cpu *cpu, uint64_t value, unsigned opsize)
{
	uint32_t old = cpu_rflags(cpu);
	uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
	uint32_t flags = (uint32_t)value;

	if (cpu_v86(cpu) && iopl_of(cpu) < 3) {
		/* Table 20-2's companion in POPF: VME lends IF to VIF, 16-bit operands only. */
		if (opsize != 2 || !(cpu->cr4 & CR4_VME) || (flags & FLAG_TF) ||
		    ((flags & FLAG_IF) && (old & FLAG_VIP)))
			cpu_gp0(cpu);
		old = flags & FLAG_IF ? old | FLAG_VIF : old & ~FLAG_VIF;
	} else {
		if (opsize > 2)
			mask |= FLAG_AC | FLAG_ID;
		if (!(cpu->cr0 & CR0_PE) || cpu->cpl == 0)
			mask |= FLAG_IOPL;
		if (cpu_v86(cpu))
			mask &= ~FLAG_IOPL;
		if (cpu_v86(cpu) || cpu->cpl <= iopl_of(cpu))
			mask |= FLAG_IF;
	}
	uint32_t result = (flags & mask) | (old & ~mask);
	cpu_set_rflags(cpu, result & ~FLAG_RF);
}

uint64_t cpu_pushf(Cpu *cpu, unsigned opsize)
{
	uint32_t flags = cpu_rflags(cpu) & ~(FLAG_RF | FLAG_VM);
	if (cpu_v86(cpu) && iopl_of(cpu) < 3) {
		if (opsize != 2 || !(cpu->cr4 & CR4_VME))
			cpu_gp0(cpu);
		flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
	}
	return flags;
}

void cpu_cli(Cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || iopl_of(cpu) >= cpu->cpl)
		cpu->rflags &= ~FLAG_IF;
	else if (virtual_if(cpu))
		cpu->rflags &= ~FLAG_VIF;
	else
		cpu_gp0(cpu);
}

void cpu_sti(Cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || iopl_of(cpu) >= cpu->cpl) {
		if (!(cpu->rflags & FLAG_IF))
			cpu->inhibit = 1;
		cpu->rflags |= FLAG_IF;
	} else if (virtual_if(cpu) && !(cpu->rflags & FLAG_VIP)) {
		cpu->rflags |= FLAG_VIF;
	} else {
		cpu_gp0(cpu);
	}
}
