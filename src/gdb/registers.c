/*
 * registers.c - a vcpu's registers as GDB numbers them, and the description that tells it so.
 *
 * "Debugging with GDB", G.5.8 (i386 features), with the control registers and base addresses where QEMU 7.2 has them, so that
 * numbers and the layout of `g` are the same; the upper halves of YMM come last. A peer that never asks for the description
 * gets, outside 64-bit mode, the 32-bit layout.
 */
#include <setjmp.h>
#include <string.h>

#include "cpu/features.h"
#include "gdb/private.h"

typedef enum Kind {
	REG_GENERAL, REG_IP, REG_FLAGS, REG_SELECTOR, REG_BASE, REG_KERNEL_GS, REG_CONTROL, REG_EFER, REG_ST, REG_FPU, REG_XMM, REG_MXCSR,
	REG_YMM_HIGH
} Kind;

typedef enum Feature { FEATURE_CORE, FEATURE_SEGMENTS, FEATURE_CONTROL, FEATURE_SSE, FEATURE_AVX, FEATURES } Feature;

typedef struct Register {
	const char *name;
	Kind kind;
	uint8_t index, bits;     /* bits in the 64-bit layout */
	uint8_t bits32;          /* in the 32-bit one; 0: it is not there */
	Feature feature;
	const char *type;
} Register;

enum { FPU_CONTROL, FPU_STATUS, FPU_TAG, FPU_ISEG, FPU_IOFF, FPU_OSEG, FPU_OOFF, FPU_OP };

#define GENERAL(name, i, old) { name, REG_GENERAL, i, 64, old, FEATURE_CORE, "int64" }
#define SELECTOR(name, i) { name, REG_SELECTOR, i, 32, 32, FEATURE_CORE, "int32" }
#define CONTROL(name, i) { name, REG_CONTROL, i, 64, 0, FEATURE_CONTROL, "int64" }
#define ST(name, i) { name, REG_ST, i, 80, 80, FEATURE_CORE, "i387_ext" }
#define FPU(name, i) { name, REG_FPU, i, 32, 32, FEATURE_CORE, "int" }
#define XMM(name, i) { name, REG_XMM, i, 128, i < 8 ? 128 : 0, FEATURE_SSE, "vec128" }
#define YMM(name, i) { name, REG_YMM_HIGH, i, 128, 0, FEATURE_AVX, "uint128" }
static const Register registers[] = {
	GENERAL("rax", RAX, 32), GENERAL("rbx", RBX, 32), GENERAL("rcx", RCX, 32), GENERAL("rdx", RDX, 32),
	GENERAL("rsi", RSI, 32), GENERAL("rdi", RDI, 32), GENERAL("rbp", RBP, 32), GENERAL("rsp", RSP, 32),
	GENERAL("r8", R8, 0), GENERAL("r9", R9, 0), GENERAL("r10", R10, 0), GENERAL("r11", R11, 0),
	GENERAL("r12", R12, 0), GENERAL("r13", R13, 0), GENERAL("r14", R14, 0), GENERAL("r15", R15, 0),
	{ "rip", REG_IP, 0, 64, 32, FEATURE_CORE, "code_ptr" }, { "eflags", REG_FLAGS, 0, 32, 32, FEATURE_CORE, "i386_eflags" },
	SELECTOR("cs", CS), SELECTOR("ss", SS), SELECTOR("ds", DS), SELECTOR("es", ES), SELECTOR("fs", FS), SELECTOR("gs", GS),
	{ "fs_base", REG_BASE, FS, 64, 0, FEATURE_SEGMENTS, "int64" }, { "gs_base", REG_BASE, GS, 64, 0, FEATURE_SEGMENTS, "int64" },
	{ "k_gs_base", REG_KERNEL_GS, 0, 64, 0, FEATURE_CONTROL, "int64" },
	CONTROL("cr0", 0), CONTROL("cr2", 2), CONTROL("cr3", 3), CONTROL("cr4", 4), CONTROL("cr8", 8),
	{ "efer", REG_EFER, 0, 64, 0, FEATURE_CONTROL, "int64" },
	ST("st0", 0), ST("st1", 1), ST("st2", 2), ST("st3", 3), ST("st4", 4), ST("st5", 5), ST("st6", 6), ST("st7", 7),
	FPU("fctrl", FPU_CONTROL), FPU("fstat", FPU_STATUS), FPU("ftag", FPU_TAG), FPU("fiseg", FPU_ISEG),
	FPU("fioff", FPU_IOFF), FPU("foseg", FPU_OSEG), FPU("fooff", FPU_OOFF), FPU("fop", FPU_OP),
	XMM("xmm0", 0), XMM("xmm1", 1), XMM("xmm2", 2), XMM("xmm3", 3), XMM("xmm4", 4), XMM("xmm5", 5), XMM("xmm6", 6),
	XMM("xmm7", 7), XMM("xmm8", 8), XMM("xmm9", 9), XMM("xmm10", 10), XMM("xmm11", 11), XMM("xmm12", 12), XMM("xmm13", 13),
	XMM("xmm14", 14), XMM("xmm15", 15), { "mxcsr", REG_MXCSR, 0, 32, 32, FEATURE_SSE, "int" },
	YMM("ymm0h", 0), YMM("ymm1h", 1), YMM("ymm2h", 2), YMM("ymm3h", 3), YMM("ymm4h", 4), YMM("ymm5h", 5), YMM("ymm6h", 6),
	YMM("ymm7h", 7), YMM("ymm8h", 8), YMM("ymm9h", 9), YMM("ymm10h", 10), YMM("ymm11h", 11), YMM("ymm12h", 12),
	YMM("ymm13h", 13), YMM("ymm14h", 14), YMM("ymm15h", 15),
};

static bool has_avx(const Cpu *cpu) { return cpu->features[FEAT_WORD_1_ECX] >> 28 & 1; }

static Cpu *first_cpu(const Gdb *g) { return machine_board(g->m)->cpus[0]; }

/* ---- which there are ---- */

static bool is_there(const Register *r, const Cpu *cpu, bool wide)
{
	return wide ? r->feature != FEATURE_AVX || has_avx(cpu) : r->bits32 != 0;
}

static bool is_wide(const Gdb *g, const Cpu *cpu) { return g->long_registers || cpu_code64(cpu); }

/* The n-th of a layout; NULL: there is none. */
static const Register *nth(const Cpu *cpu, unsigned number, bool wide)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
		if (is_there(&registers[i], cpu, wide) && !number--)
			return &registers[i];
	return NULL;
}

unsigned gdb_register_count(const Gdb *g)
{
	const Cpu *cpu = machine_board(g->m)->cpus[g->cpu_g];
	unsigned n = 0;

	while (nth(cpu, n, is_wide(g, cpu)))
		n++;
	return n;
}

/* ---- x87, in FXSAVE's layout ---- */

static uint16_t word_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static void put_word(uint8_t *p, uint32_t value) { p[0] = (uint8_t)value, p[1] = (uint8_t)(value >> 8); }
static uint8_t *st_at(Cpu *cpu, unsigned i) { return cpu->vec.fx + 32 + 16 * i; }

/* Two bits a register, by its place on the chip: valid, zero, special, empty (SDM vol. 1, 8.1.7). */
static uint16_t full_tags(Cpu *cpu)
{
	unsigned top = word_at(cpu->vec.fx + 2) >> 11 & 7, tags = 0;

	for (unsigned place = 0; place < 8; place++) {
		const uint8_t *st = st_at(cpu, (place - top) & 7);
		unsigned exponent = word_at(st + 8) & 0x7fff, tag;
		uint64_t mantissa;
		memcpy(&mantissa, st, sizeof(mantissa));
		if (!(cpu->vec.fx[4] >> place & 1))
			tag = 3;
		else if (exponent == 0x7fff || (exponent && !(mantissa >> 63)) || (!exponent && mantissa))
			tag = 2;
		else
			tag = !exponent;
		tags |= tag << 2 * place;
	}
	return (uint16_t)tags;
}

static uint32_t fpu_get(Cpu *cpu, unsigned which)
{
	const uint8_t *fx = cpu->vec.fx;

	switch (which) {
	case FPU_CONTROL: return word_at(fx);
	case FPU_STATUS: return word_at(fx + 2);
	case FPU_TAG: return full_tags(cpu);
	case FPU_OP: return word_at(fx + 6);
	case FPU_IOFF: return word_at(fx + 8) | (uint32_t)word_at(fx + 10) << 16;
	case FPU_OOFF: return word_at(fx + 16) | (uint32_t)word_at(fx + 18) << 16;
	default: return 0; /* selectors are not kept */
	}
}

static void fpu_set(Cpu *cpu, unsigned which, uint32_t value)
{
	uint8_t *fx = cpu->vec.fx;

	switch (which) {
	case FPU_CONTROL: put_word(fx, value | 0x40); break;
	case FPU_STATUS: put_word(fx + 2, value); break;
	case FPU_TAG:
		fx[4] = 0;
		for (unsigned place = 0; place < 8; place++)
			fx[4] |= (uint8_t)(((value >> 2 * place & 3) != 3) << place);
		break;
	case FPU_OP: put_word(fx + 6, value & 0x7ff); break;
	case FPU_IOFF: put_word(fx + 8, value), put_word(fx + 10, value >> 16); break;
	case FPU_OOFF: put_word(fx + 16, value), put_word(fx + 18, value >> 16); break;
	default: break;
	}
}

/* ---- one register ---- */

static uint64_t number_of(Cpu *cpu, const Register *r)
{
	switch (r->kind) {
	case REG_GENERAL: return cpu->gpr[r->index];
	case REG_IP: return cpu->rip;
	case REG_FLAGS: return cpu_rflags(cpu);
	case REG_SELECTOR: return cpu->seg[r->index].sel;
	case REG_BASE: return cpu->seg[r->index].base;
	case REG_KERNEL_GS: return cpu->kernel_gs_base;
	case REG_CONTROL: return cpu_read_cr(cpu, r->index);
	case REG_EFER: return cpu->efer;
	case REG_FPU: return fpu_get(cpu, r->index);
	case REG_MXCSR: return cpu->vec.mxcsr;
	default: return 0;
	}
}

/* Where the bytes of a wide one are; NULL: it is a number. */
static uint8_t *bytes_of(Cpu *cpu, const Register *r)
{
	switch (r->kind) {
	case REG_ST: return st_at(cpu, r->index);
	case REG_XMM: return cpu->vec.zmm[r->index];
	case REG_YMM_HIGH: return cpu->vec.zmm[r->index] + 16;
	default: return NULL;
	}
}

static unsigned size_of(const Register *r, bool wide) { return (wide ? r->bits : r->bits32) / 8u; }

bool gdb_append_register(Gdb *g, Cpu *cpu, unsigned number, GString *out)
{
	bool wide = is_wide(g, cpu);
	const Register *r = nth(cpu, number, wide);

	if (!r)
		return false;
	uint64_t value = number_of(cpu, r);
	const uint8_t *bytes = bytes_of(cpu, r);
	gdb_append_hex(out, bytes ? (const void *)bytes : &value, size_of(r, wide));
	return true;
}

/* A control register is written by its rules: what would raise #GP is refused. */
static bool set_control(Cpu *cpu, unsigned n, uint64_t value)
{
	if (cpu_read_cr(cpu, (int)n) == value)
		return true;
	if (n == 2) {
		cpu->cr2 = value;
		return true;
	}
	if (setjmp(cpu->unwind))
		return false;
	cpu_write_cr(cpu, (int)n, value);
	return true;
}

/* In real and V86 mode with its base; elsewhere the selector alone is what the guest would see. */
static bool set_selector(Cpu *cpu, unsigned seg, uint16_t sel)
{
	if (cpu->seg[seg].sel == sel)
		return true;
	if (cpu_protected(cpu))
		return false;
	cpu_set_real_segment(&cpu->seg[seg], sel);
	cpu_update_mode(cpu);
	return true;
}

static bool set_number(Cpu *cpu, const Register *r, uint64_t value)
{
	switch (r->kind) {
	case REG_GENERAL: cpu->gpr[r->index] = value; return true;
	case REG_IP: cpu->rip = value; return true;
	case REG_FLAGS:
		/* Not the mode; that is a control register's matter, and IRET's. */
		if ((value ^ cpu_rflags(cpu)) & FLAG_VM)
			return false;
		cpu_set_rflags(cpu, (uint32_t)value);
		return true;
	case REG_SELECTOR: return set_selector(cpu, r->index, (uint16_t)value);
	case REG_BASE:
		cpu->seg[r->index].base = value;
		cpu_update_mode(cpu);
		return true;
	case REG_KERNEL_GS: cpu->kernel_gs_base = value; return true;
	case REG_CONTROL: return set_control(cpu, r->index, value);
	case REG_EFER: return cpu->efer == value;
	case REG_FPU: fpu_set(cpu, r->index, (uint32_t)value); return true;
	case REG_MXCSR: cpu->vec.mxcsr = (uint32_t)value & 0xffff; return true;
	default: return false;
	}
}

bool gdb_set_register(Gdb *g, Cpu *cpu, unsigned number, const char **hex)
{
	bool wide = is_wide(g, cpu);
	const Register *r = nth(cpu, number, wide);
	uint64_t value = 0;

	if (!r)
		return false;
	uint8_t *bytes = bytes_of(cpu, r);
	if (bytes)
		return gdb_take_hex(hex, bytes, size_of(r, wide));
	return gdb_take_hex(hex, &value, size_of(r, wide)) && set_number(cpu, r, value);
}

/* ---- the description ---- */

static const struct { const char *name, *types; } features[FEATURES] = {
	[FEATURE_CORE] = { "org.gnu.gdb.i386.core",
		"<flags id=\"i386_eflags\" size=\"4\">"
		"<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
		"<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
		"<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
		"<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
		"<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
		"<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
		"<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
		"<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
		"<field name=\"ID\" start=\"21\" end=\"21\"/></flags>" },
	[FEATURE_SEGMENTS] = { "org.gnu.gdb.i386.segments", "" },
	[FEATURE_CONTROL] = { "org.qemu.gdb.i386.control", "" },
	[FEATURE_SSE] = { "org.gnu.gdb.i386.sse",
		"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
		"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
		"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
		"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
		"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
		"<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
		"<field name=\"uint128\" type=\"uint128\"/></union>" },
	[FEATURE_AVX] = { "org.gnu.gdb.i386.avx", "" },
};

/* Numbers are given, as features and layout have other orders. */
static void describe_feature(const Cpu *cpu, Feature f, GString *out)
{
	const Register *r;

	g_string_append_printf(out, "<feature name=\"%s\">%s", features[f].name, features[f].types);
	for (unsigned n = 0; (r = nth(cpu, n, true)); n++)
		if (r->feature == f)
			g_string_append_printf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>", r->name, r->bits,
					       r->type, n);
	g_string_append(out, "</feature>");
}

char *gdb_describe_target(Gdb *g)
{
	const Cpu *cpu = first_cpu(g);
	GString *out = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
				    "<architecture>i386:x86-64</architecture>");

	for (Feature f = 0; f < FEATURES; f++)
		if (f != FEATURE_AVX || has_avx(cpu))
			describe_feature(cpu, f, out);
	g_string_append(out, "</target>");
	return g_string_free(out, FALSE);
}
