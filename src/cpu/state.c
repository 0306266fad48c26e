/*
 * state.c - making, resetting and waking a processor.
 *
 * SDM vol. 3A: 9.1.1 and table 9-1 (state after RESET and INIT), 8.4 (MP start-up:
 * INIT and SIPI), 2.3 (RFLAGS). System management mode is not there: SMIs are
 * left to the caller. Threads: the vcpu's own, but cpu_post and cpu_clear any.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "cpu/cpu.h"
#include "cpu/debugger.h"
#include "cpu/features.h"

#define RFLAGS_VALID 0x3f7fd5u
#define DR7_ENABLES 0xffu
#define CPUID_SIGNATURE_P6 0x00000600u

Cpu *cpu_new(unsigned index, const CpuWorld *world, void *opaque, RamArena *arena)
{
	Cpu *cpu = g_aligned_alloc0(1, sizeof(Cpu), 64);
	cpu->index = index;
	cpu->apic_id = index;
	cpu->world = world;
	cpu->world_opaque = opaque;
	cpu->arena = arena;
	cpu->phys_bits = 40;
	cpu->lin_bits = 48;
	cpu->xcr0_supported = 3;
	cpu->tsc_khz = 1000000;
	cpu_tlb_reset(cpu);
	cpu_reset(cpu);
	return cpu;
}

void cpu_free(Cpu *cpu)
{
	if (cpu)
		g_free(cpu->model);
	g_aligned_free(cpu);
}

static void reset_segment(Segment *s, uint32_t attr)
{
	*s = (Segment){ .limit = 0xffff, .attr = attr };
}

/* Family, model and stepping as CPUID.01H:EAX gives them: EDX after RESET (9.1.2). */
static uint32_t signature(const Cpu *cpu)
{
	for (unsigned i = 0; i < cpu->cpuid_count; i++)
		if (cpu->cpuid[i].leaf == 1)
			return cpu->cpuid[i].eax;
	return CPUID_SIGNATURE_P6;
}

/* What RESET and INIT do alike. */
static void reset_common(Cpu *cpu)
{
	memset(cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs[RDX] = signature(cpu);
	cpu->rip = 0xfff0;
	cpu->arith = 0;
	cpu->rflags = FLAGS_FIXED;
	cpu->cpl = 0;
	cpu->inhibit = 0;
	cpu->nmi_blocked = false;
	cpu->db_pending = 0;
	cpu->halted = cpu->wait_sipi = cpu->index > 0;

	for (int i = 0; i < SEG_COUNT; i++)
		reset_segment(&cpu->seg[i], SEG_P | SEG_S | SEG_W | SEG_A);
	cpu->seg[CS].sel = 0xf000;
	cpu->seg[CS].base = 0xffff0000;
	cpu->seg[CS].attr |= SEG_CODE;
	reset_segment(&cpu->ldtr, SEG_P | 2);
	reset_segment(&cpu->tr, SEG_P | 0xb);
	cpu->gdtr = cpu->idtr = (TableReg){ 0, 0xffff };

	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
	memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x400;
	/* Not SIPI: it may have been posted behind the INIT that is being served. */
	cpu_clear(cpu, CPU_EV_NMI | CPU_EV_INIT | CPU_EV_SMI);
}

static void log_reset(const Cpu *cpu, const char *what)
{
	if (!log_on(LOG_CPU_RESET))
		return;
	GString *out = g_string_new(NULL);
	g_string_append_printf(out, "CPU %s (CPU %u)\n", what, cpu->index);
	cpu_append_registers(cpu, REGISTERS_FPU | REGISTERS_CC, out);
	log_write(out->str);
	g_string_free(out, TRUE);
}

static void finish_reset(Cpu *cpu)
{
	cpu_update_mode(cpu);
	cpu_tlb_flush(cpu, true);
}

static void reset_vector(CpuVector *vec)
{
	memset(vec, 0, sizeof(*vec));
	vec->mxcsr = 0x1f80;
	vec->fx[0] = 0x40; /* FCW; all registers hold +0, so no tag is empty */
	vec->fx[4] = 0xff;
	vec->fx[24] = 0x80;
	vec->fx[25] = 0x1f;
	vec->fx[28] = 0xff;
	vec->fx[29] = 0xff;
}

void cpu_reset(Cpu *cpu)
{
	log_reset(cpu, "Reset");
	reset_common(cpu);
	cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
	cpu->xcr0 = 1;
	cpu->sipi_vector = 0;
	cpu_clear(cpu, CPU_EV_SIPI);
	reset_vector(&cpu->vec);

	cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->tsc_aux = cpu->tsc_adjust = cpu->xss = 0;
	cpu->pat = 0x0007040600070406;
	cpu->misc_enable = 1 | 1 << 11 | 1 << 12; /* fast strings; neither BTS nor PEBS */
	cpu->mtrr_def_type = 0;
	memset(cpu->mtrr_fixed, 0, sizeof(cpu->mtrr_fixed));
	memset(cpu->mtrr_var, 0, sizeof(cpu->mtrr_var));
	cpu->mcg_status = 0;
	cpu->mcg_ctl = UINT64_MAX;
	memset(cpu->mc_bank, 0, sizeof(cpu->mc_bank));
	for (int i = 0; i < 10; i++)
		cpu->mc_bank[4 * i] = UINT64_MAX;
	cpu->spec_ctrl = cpu->debugctl = cpu->feature_control = 0;
	cpu->bios_sign_id = 0;
	cpu->insn_count = 0;
	finish_reset(cpu);
}

void cpu_init_ipi(Cpu *cpu)
{
	/* The caching controls survive INIT; so do x87, vectors, MTRRs, PAT, TSC and most MSRs. */
	uint64_t caching = cpu->cr0 & (CR0_CD | CR0_NW);
	log_reset(cpu, "INIT");
	reset_common(cpu);
	cpu->cr0 = caching | CR0_ET;
	if (cpu->apic_ops && cpu->apic_ops->init)
		cpu->apic_ops->init(cpu->apic);
	finish_reset(cpu);
}

void cpu_sipi(Cpu *cpu, uint8_t vector)
{
	if (!cpu->wait_sipi)
		return; /* 8.4.4.1: only the first SIPI after INIT counts */
	cpu->seg[CS].sel = (uint16_t)(vector << 8);
	cpu->seg[CS].base = (uint64_t)vector << 12;
	cpu->rip = 0;
	cpu->sipi_vector = vector;
	cpu->wait_sipi = cpu->halted = false;
	cpu_update_mode(cpu);
}

static bool flat_segment(const Segment *s, uint32_t wanted, uint32_t refused)
{
	return s->base == 0 && s->limit == UINT32_MAX && (s->attr & wanted) == wanted &&
	       !(s->attr & (refused | SEG_NULL));
}

static bool flat_model(const Cpu *cpu)
{
	const uint32_t data = SEG_P | SEG_S | SEG_W, refused = SEG_E | SEG_CODE;
	return flat_segment(&cpu->seg[CS], SEG_P | SEG_W, 0) &&
	       flat_segment(&cpu->seg[SS], data, refused) &&
	       flat_segment(&cpu->seg[DS], data, refused) &&
	       flat_segment(&cpu->seg[ES], data, refused);
}

/* As interp_seg_linear() looks at it. */
static int64_t last_offset(const Cpu *cpu, const Segment *s, bool write)
{
	bool code = s->attr & SEG_CODE;
	bool allowed = write ? !code && s->attr & SEG_W : !code || s->attr & SEG_W;

	if (cpu->mode & MODE_PROT && (s->attr & SEG_NULL || !(s->attr & SEG_P) || !allowed))
		return -1;
	return (s->attr & (SEG_CODE | SEG_E)) == SEG_E ? -1 : (int64_t)s->limit;
}

static void update_segments(Cpu *cpu)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		for (unsigned write = 0; write < 2; write++)
			cpu->seg_last[i][write] = last_offset(cpu, &cpu->seg[i], write);
}

void cpu_update_mode(Cpu *cpu)
{
	unsigned mode = 0;
	uint32_t cs = cpu->seg[CS].attr;

	if (cpu_long_mode(cpu) && (cs & SEG_L))
		mode = MODE_CODE64;
	else if (cs & SEG_DB)
		mode = MODE_CODE32;
	if (mode != MODE_CODE64) {
		if (cpu->seg[SS].attr & SEG_DB)
			mode |= MODE_SS32;
		if (flat_model(cpu))
			mode |= MODE_FLAT;
	}
	if (cpu->cr0 & CR0_PE)
		mode |= cpu->rflags & FLAG_VM ? MODE_V86 : MODE_PROT;
	if (cpu->cpl == 3)
		mode |= MODE_USER;
	bool watched = cpu->dr[7] & DR7_ENABLES || (cpu->debug.set && cpu->debug.set->watches->len);
	if (cpu->rflags & FLAG_TF || watched)
		mode |= MODE_STEP;
	cpu->mode = (uint8_t)mode;
	if (!cpu_code64(cpu))
		update_segments(cpu);

	if (watched ||
	    (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & FLAG_AC)))
		cpu->tlb = cpu->tlbs[TLB_SLOW];
	else if (cpu->cpl == 3)
		cpu->tlb = cpu->tlbs[TLB_USER];
	else if (!(cpu->cr4 & CR4_SMAP) || (cpu->rflags & FLAG_AC))
		cpu->tlb = cpu->tlbs[TLB_KERNEL_AC];
	else
		cpu->tlb = cpu->tlbs[TLB_KERNEL];
}

void cpu_set_rflags(Cpu *cpu, uint32_t flags)
{
	uint32_t kept = (flags & RFLAGS_VALID & ~FLAGS_ARITH) | FLAGS_FIXED;
	uint32_t changed = kept ^ cpu->rflags;
	cpu->rflags = kept;
	cpu->arith = cpu_flags_to_arith(flags);
	if (changed & (FLAG_TF | FLAG_VM | FLAG_AC))
		cpu_update_mode(cpu);
}

void cpu_post(Cpu *cpu, uint32_t events)
{
	atomic_fetch_or_explicit(&cpu->events, events, memory_order_seq_cst);
	void (*kick)(Cpu *) = cpu->ops_kick;
	if (kick)
		kick(cpu);
}

void cpu_clear(Cpu *cpu, uint32_t events)
{
	atomic_fetch_and_explicit(&cpu->events, ~events, memory_order_seq_cst);
}
