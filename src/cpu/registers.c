/*
 * registers.c - all registers as text, in the layout that scripts know: `info registers`, the log.
 *
 * The vcpu's own thread, or any while it is stopped.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/cpu.h"

#define X64 "%016" PRIx64

static void append_gprs(const Cpu *cpu, bool wide, GString *out)
{
	static const struct { const char *name; uint8_t reg; } order[] = {
		{ "AX", RAX }, { "BX", RBX }, { "CX", RCX }, { "DX", RDX }, { "SI", RSI },
		{ "DI", RDI }, { "BP", RBP },
		{ "SP", RSP },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
		uint64_t v = cpu->gpr[order[i].reg];
		char end = i % 4 == 3 ? '\n' : ' ';
		if (wide)
			g_string_append_printf(out, "R%s=" X64 "%c", order[i].name, v, end);
		else
			g_string_append_printf(out, "E%s=%08x%c", order[i].name, (uint32_t)v, end);
	}
	for (unsigned i = R8; wide && i <= R15; i++)
		g_string_append_printf(out, "R%-2u=" X64 "%c", i, cpu->gpr[i], i % 4 == 3 ? '\n'
			: ' ');
}

static void append_flags(const Cpu *cpu, bool wide, bool a20, GString *out)
{
	static const struct { uint32_t bit; char letter; } letters[] = {
		{ FLAG_DF, 'D' }, { FLAG_OF, 'O' }, { FLAG_SF, 'S' }, { FLAG_ZF, 'Z' },
		{ FLAG_AF, 'A' }, { FLAG_PF, 'P' },
		{ FLAG_CF, 'C' },
	};
	uint32_t flags = cpu_rflags(cpu);
	char text[8] = { 0 };
	for (unsigned i = 0; i < G_N_ELEMENTS(letters); i++)
		text[i] = flags & letters[i].bit ? letters[i].letter : '-';
	if (wide)
		g_string_append_printf(out, "RIP=" X64 " RFL=%08x", cpu->rip, flags);
	else
		g_string_append_printf(out, "EIP=%08x EFL=%08x", (uint32_t)cpu->rip, flags);
	g_string_append_printf(out, " [%s] CPL=%d II=%d A20=%d SMM=0 HLT=%d\n", text, cpu->cpl,
		cpu->inhibit != 0, a20,
		cpu->halted);
}

static void append_kind(const Cpu *cpu, const Segment *s, GString *out)
{
	static const char *const system32[16] = { "Reserved", "TSS16-avl", "LDT", "TSS16-busy",
		"CallGate16", "TaskGate",
		"IntGate16", "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy",
		"CallGate32", "Reserved",
		"IntGate32", "TrapGate32" };
	static const char *const system64[16] = { "<hiword>", "Reserved", "LDT", "Reserved",
		"Reserved", "Reserved",
		"Reserved", "Reserved", "Reserved", "TSS64-avl", "Reserved", "TSS64-busy",
		"CallGate64", "Reserved",
		"IntGate64", "TrapGate64" };
	uint32_t a = s->attr;
	if (!(cpu->cr0 & CR0_PE) || !(a & SEG_P))
		return;
	g_string_append_printf(out, " DPL=%u ", SEG_DPL(a));
	if (!(a & SEG_S)) {
		g_string_append(out, (cpu_long_mode(cpu) ? system64 : system32)[a & SEG_TYPE]);
		return;
	}
	if (a & SEG_CODE)
		g_string_append_printf(out, "%s [%c%c", a & SEG_L ? "CS64" : a & SEG_DB ? "CS32"
			: "CS16",
			a & SEG_E ? 'C' : '-', a & SEG_W ? 'R' : '-');
	else
		g_string_append_printf(out, "%s [%c%c", a & SEG_DB || cpu_long_mode(cpu) ? "DS  "
		: "DS16",
			a & SEG_E ? 'E' : '-', a & SEG_W ? 'W' : '-');
	g_string_append_printf(out, "%c]", a & SEG_A ? 'A' : '-');
}

static void append_segment(const Cpu *cpu, const char *name, const Segment *s, bool wide,
	GString *out)
{
	if (wide)
		g_string_append_printf(out, "%-3s=%04x " X64, name, s->sel, s->base);
	else
		g_string_append_printf(out, "%-3s=%04x %08x", name, s->sel, (uint32_t)s->base);
	g_string_append_printf(out, " %08x %08x", s->limit, (s->attr & 0xffff) << 8);
	append_kind(cpu, s, out);
	g_string_append_c(out, '\n');
}

static void append_system(const Cpu *cpu, bool wide, GString *out)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		append_segment(cpu, names[i], &cpu->seg[i], wide, out);
	append_segment(cpu, "LDT", &cpu->ldtr, wide, out);
	append_segment(cpu, "TR", &cpu->tr, wide, out);
	if (wide) {
		g_string_append_printf(out, "GDT=     " X64 " %08x\nIDT=     " X64 " %08x\n",
			cpu->gdtr.base, cpu->gdtr.limit,
			cpu->idtr.base, cpu->idtr.limit);
		g_string_append_printf(out, "CR0=%08x CR2=" X64 " CR3=" X64 " CR4=%08x\n",
			(uint32_t)cpu->cr0, cpu->cr2,
			cpu->cr3, (uint32_t)cpu->cr4);
	} else {
		g_string_append_printf(out, "GDT=     %08x %08x\nIDT=     %08x %08x\n",
			(uint32_t)cpu->gdtr.base,
			cpu->gdtr.limit, (uint32_t)cpu->idtr.base, cpu->idtr.limit);
		g_string_append_printf(out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n",
			(uint32_t)cpu->cr0, (uint32_t)cpu->cr2,
			(uint32_t)cpu->cr3, (uint32_t)cpu->cr4);
	}
	for (unsigned i = 0; i < 4; i++)
		g_string_append_printf(out, "DR%u=" X64 " ", i, cpu->dr[i]);
	g_string_append_printf(out, "\nDR6=" X64 " DR7=" X64 "\n", cpu->dr[6], cpu->dr[7]);
}

/* How the flags are kept: as flags, so that they are their own source. */
static void append_condition_codes(const Cpu *cpu, bool wide, GString *out)
{
	int digits = wide ? 16 : 8;
	g_string_append_printf(out, "CCS=%0*x CCD=%0*x CCO=EFLAGS\n", digits, cpu_rflags(cpu) & FLAGS_ARITH,
		digits, 0);
}

/* FXSAVE keeps ST(i); shown are the physical registers (SDM vol. 1, 8.1.2 and 10.5.1). */
static void append_fpu(const Cpu *cpu, bool wide, GString *out)
{
	const uint8_t *fx = cpu->vec.fx;
	unsigned fcw = fx[0] | fx[1] << 8, fsw = fx[2] | fx[3] << 8, top = fsw >> 11 & 7;
	g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", fcw,
		fsw & ~0x3800u, top, fx[4],
		cpu->vec.mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t mantissa;
		uint16_t exponent;
		memcpy(&mantissa, fx + 32 + 16 * ((i - top) & 7), 8);
		memcpy(&exponent, fx + 40 + 16 * ((i - top) & 7), 2);
		g_string_append_printf(out, "FPR%u=" X64 " %04x%c", i, mantissa, exponent, i & 1
			? '\n' : ' ');
	}
	for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
		uint64_t part[2];
		memcpy(part, cpu->vec.zmm[i], 16);
		g_string_append_printf(out, "XMM%02u=" X64 " " X64 "%c", i, part[1], part[0], i & 1
			? '\n' : ' ');
	}
}

void cpu_append_registers(const Cpu *cpu, unsigned what, GString *out)
{
	bool wide = cpu_code64(cpu);
	bool a20 = !cpu->world || !cpu->world->a20 || cpu->world->a20(cpu->world_opaque);
	append_gprs(cpu, wide, out);
	append_flags(cpu, wide, a20, out);
	append_system(cpu, wide, out);
	if (what & REGISTERS_CC)
		append_condition_codes(cpu, wide, out);
	g_string_append_printf(out, "EFER=" X64 "\n", cpu->efer);
	if (what & REGISTERS_FPU)
		append_fpu(cpu, wide, out);
}
