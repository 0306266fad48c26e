/*
 * fastcall.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT.
 *
 * SDM vol. 3A, 5.8.7 and 5.8.8; vol. 2, the instructions; AMD APM vol. 2, 6.1. The
 * vendors differ outside 64-bit mode: Intel has SYSCALL in 64-bit mode only, AMD has
 * SYSENTER in legacy mode only. The model's vendor decides. Thread: the vcpu's own.
 */
#include "cpu/protect.h"

#define SYSRET_FLAGS 0x3c7fd7u
#define AMD_EBX 0x68747541u /* "Auth" */

static bool is_amd(const Cpu *cpu)
{
	/* Leaf 0 is the first one of every model. */
	return cpu->cpuid_count && cpu->cpuid[0].leaf == 0 && cpu->cpuid[0].ebx == AMD_EBX;
}

/* Field by field: a struct built and then copied waits for its own stores. */
static inline void set_flat(Segment *s, uint16_t sel, uint32_t attr)
{
	s->base = 0;
	s->limit = UINT32_MAX;
	s->attr = attr | SEG_P | SEG_S | SEG_W | SEG_A | SEG_G;
	s->sel = sel;
}

static void flat_code_and_stack(Cpu *cpu, uint16_t cs, uint16_t ss, unsigned level, bool wide)
{
	set_flat(&cpu->seg[CS], (uint16_t)((cs & 0xfffc) | level),
		 SEG_CODE | (wide ? SEG_L : SEG_DB) | level << 5);
	set_flat(&cpu->seg[SS], (uint16_t)((ss & 0xfffc) | level), SEG_DB | level << 5);
	cpu->cpl = (uint8_t)level;
}

static void check_syscall(Cpu *cpu)
{
	bool allowed = is_amd(cpu) ? (cpu->cr0 & CR0_PE) != 0 : cpu_code64(cpu);
	if (!(cpu->efer & EFER_SCE) || !allowed)
		cpu_exception(cpu, EXC_UD);
}

void cpu_syscall(Cpu *cpu, uint64_t next)
{
	uint16_t sel = (uint16_t)(cpu->star >> 32);
	uint32_t flags = cpu_rflags(cpu);

	check_syscall(cpu);
	if (cpu_long_mode(cpu)) {
		cpu->regs[RCX] = next;
		cpu->regs[R11] = flags & ~FLAG_RF;
		cpu->rip = cpu_code64(cpu) ? cpu->lstar : cpu->cstar;
		flat_code_and_stack(cpu, sel & 0xfffc, (uint16_t)((sel & 0xfffc) + 8), 0, true);
		cpu_set_rflags(cpu, flags & ~((uint32_t)cpu->sfmask | FLAG_RF));
	} else {
		cpu->regs[RCX] = (uint32_t)next;
		cpu->rip = (uint32_t)cpu->star;
		flat_code_and_stack(cpu, sel & 0xfffc, (uint16_t)((sel & 0xfffc) + 8), 0, false);
		cpu_set_rflags(cpu, flags & ~(FLAG_VM | FLAG_IF | FLAG_RF));
	}
	cpu_update_mode(cpu);
}

void cpu_sysret(Cpu *cpu, unsigned opsize)
{
	uint16_t sel = (uint16_t)(cpu->star >> 48);
	bool wide = opsize == 8;

	check_syscall(cpu);
	if (cpu->cpl != 0)
		cpu_gp0(cpu);
	if (wide && !cpu_canonical(cpu, cpu->regs[RCX]))
		cpu_gp0(cpu);
	cpu->rip = wide ? cpu->regs[RCX] : (uint32_t)cpu->regs[RCX];
	flat_code_and_stack(cpu, (uint16_t)(wide ? sel + 16 : sel), (uint16_t)(sel + 8), 3, wide);
	if (cpu_long_mode(cpu))
		cpu_set_rflags(cpu, (uint32_t)cpu->regs[R11] & SYSRET_FLAGS);
	else
		cpu_set_rflags(cpu, cpu_rflags(cpu) | FLAG_IF);
	cpu_update_mode(cpu);
}

static void check_sysenter(Cpu *cpu)
{
	if (cpu_long_mode(cpu) && is_amd(cpu))
		cpu_exception(cpu, EXC_UD);
	if (!(cpu->cr0 & CR0_PE) || sel_is_null((uint16_t)cpu->sysenter_cs))
		cpu_gp0(cpu);
}

void cpu_sysenter(Cpu *cpu)
{
	check_sysenter(cpu);
	bool wide = cpu_long_mode(cpu);
	uint16_t sel = (uint16_t)cpu->sysenter_cs & 0xfffc;
	cpu->regs[RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
	cpu->rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
	flat_code_and_stack(cpu, sel, (uint16_t)(sel + 8), 0, wide);
	cpu_set_rflags(cpu, cpu_rflags(cpu) & ~(FLAG_VM | FLAG_IF | FLAG_RF));
	cpu_update_mode(cpu);
}

void cpu_sysexit(Cpu *cpu, unsigned opsize)
{
	bool wide = opsize == 8;
	uint16_t sel = (uint16_t)((cpu->sysenter_cs & 0xfffc) + (wide ? 32 : 16));

	check_sysenter(cpu);
	if (cpu->cpl != 0)
		cpu_gp0(cpu);
	uint64_t rip = cpu->regs[RDX], rsp = cpu->regs[RCX];
	if (wide && (!cpu_canonical(cpu, rip) || !cpu_canonical(cpu, rsp)))
		cpu_gp0(cpu);
	cpu->rip = wide ? rip : (uint32_t)rip;
	cpu->regs[RSP] = wide ? rsp : (uint32_t)rsp;
	flat_code_and_stack(cpu, sel, (uint16_t)(sel + 8), 3, wide);
	cpu_update_mode(cpu);
}
