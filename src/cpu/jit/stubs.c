/*
 * stubs.c - the routines that all translated blocks share.
 */
#include "cpu/jit/jit.h"

static void spill(Emit *e)
{
	for (unsigned g = 0; g < 16; g++)
		if (host_of(g) >= 0)
			emit_store(e, 8, (unsigned)host_of(g), reg_at(g));
}

static void fill(Emit *e)
{
	for (unsigned g = 0; g < 16; g++)
		if (host_of(g) >= 0)
			emit_load(e, 8, (unsigned)host_of(g), reg_at(g));
}

static const uint8_t saved[] = { H_RBX, H_RBP, 12, 13, 14, 15 };

static void push_host(Emit *e, unsigned reg)
{
	if (reg >= 8)
		e1(e, 0x41);
	e1(e, 0x50 | (reg & 7));
}

static void pop_host(Emit *e, unsigned reg)
{
	if (reg >= 8)
		e1(e, 0x41);
	e1(e, 0x58 | (reg & 7));
}

static void adjust_stack(Emit *e, int bytes)
{
	emit_rr(e, OP(0x83), 8, bytes < 0 ? 5 : 0, H_RSP);
	e1(e, (unsigned)(bytes < 0 ? -bytes : bytes));
}

/* ---- the vector and x87 units ---- */

#define UNITS_AT(n) at(H_CPU, (int32_t)(offsetof(Cpu, jit_units) + (n)))
#define WANTED_AT(n) at(H_CPU, (int32_t)(offsetof(Cpu, jit_wanted) + (n)))
#define HOST_MXCSR 0x1f80

static Place vector_at(unsigned reg) { return at(H_CPU, (int32_t)(offsetof(Cpu, vec.zmm) + 64 * reg)); }

static void emit_modrm32(Emit *e, unsigned reg, Place m)
{
	e1(e, 0x80 | (reg & 7) << 3 | (H_CPU & 7));
	e4(e, (uint32_t)m.disp);
}

/* MOVUPS, VMOVUPS of YMM, of ZMM; KMOVQ. */
static void move_xmm(Emit *e, unsigned reg, bool store)
{
	emit_rm(e, OP0F(store ? 0x11 : 0x10), 4, reg, vector_at(reg));
}

static void move_ymm(Emit *e, unsigned reg, bool store)
{
	e1(e, 0xc4);
	e1(e, (reg & 8 ? 0 : 0x80) | 0x41);
	e1(e, 0x7c);
	e1(e, store ? 0x11 : 0x10);
	emit_modrm32(e, reg, vector_at(reg));
}

static void move_zmm(Emit *e, unsigned reg, bool store)
{
	e1(e, 0x62);
	e1(e, (reg & 8 ? 0 : 0x80) | 0x41 | (reg & 16 ? 0 : 0x10));
	e1(e, 0x7c);
	e1(e, 0x48);
	e1(e, store ? 0x11 : 0x10);
	emit_modrm32(e, reg, vector_at(reg));
}

static void move_mask(Emit *e, unsigned k, bool store)
{
	e1(e, 0xc4);
	e1(e, 0xc1);
	e1(e, 0xf8);
	e1(e, store ? 0x91 : 0x90);
	emit_modrm32(e, k, at(H_CPU, (int32_t)(offsetof(Cpu, vec.k) + 8 * k)));
}

static uint8_t *unless(Emit *e, Place byte, unsigned value, unsigned cc)
{
	emit_rm(e, OP(0x80), 1, 7, byte);
	e1(e, value);
	return emit_jcc(e, cc, NULL);
}

/* The registers of the level that `level` holds, which is not 0. */
static void move_level(Emit *e, Place level, bool store)
{
	uint8_t *above_sse = unless(e, level, UNITS_SSE, CC_NE);
	for (unsigned i = 0; i < 16; i++)
		move_xmm(e, i, store);
	uint8_t *sse = emit_jmp(e, NULL);
	emit_land(e, above_sse);
	uint8_t *above_avx = unless(e, level, UNITS_AVX, CC_NE);
	for (unsigned i = 0; i < 16; i++)
		move_ymm(e, i, store);
	uint8_t *avx = emit_jmp(e, NULL);
	emit_land(e, above_avx);
	for (unsigned i = 0; i < 32; i++)
		move_zmm(e, i, store);
	for (unsigned i = 0; i < 8; i++)
		move_mask(e, i, store);
	emit_land(e, avx);
	if (store) { /* vzeroupper: C code is compiled for SSE */
		e1(e, 0xc5);
		e1(e, 0xf8);
		e1(e, 0x77);
	}
	emit_land(e, sse);
}

/* XSAVE64 or XRSTOR64 of the x87 component alone. */
static void move_x87(Emit *e, bool store)
{
	emit_const(e, H_RAX, 1);
	emit_const(e, H_RDX, 0);
	emit_rm(e, OP0F(0xae), 8, store ? 4 : 5, CPU_AT(vec.fx));
}

static void call_c(Emit *e, uintptr_t fn)
{
	emit_mov_rr(e, 8, H_RDI, H_CPU);
	emit_const(e, H_RAX, fn);
	emit_rr(e, OP(0xff), 4, 2, H_RAX);
}

/* save_units: into Cpu.vec what is in the host's registers. The general ones are spilled, and lost here. */
static void emit_save_units(Jit *j, Emit *e)
{
	j->save_units = emit_here(e);
	adjust_stack(e, -8);
	uint8_t *no_vector = unless(e, UNITS_AT(0), UNITS_NONE, CC_E);
	move_level(e, UNITS_AT(0), true);
	emit_rm(e, OP0F(0xae), 4, 3, CPU_AT(vec.mxcsr)); /* stmxcsr */
	emit_rm(e, OP(0xc7), 4, 0, at(H_RSP, 0));
	e4(e, HOST_MXCSR);
	emit_rm(e, OP0F(0xae), 4, 2, at(H_RSP, 0)); /* ldmxcsr */
	emit_land(e, no_vector);
	uint8_t *no_x87 = unless(e, UNITS_AT(1), 0, CC_E);
	move_x87(e, true);
	e1(e, 0xdb); /* fninit: C code finds an empty unit */
	e1(e, 0xe3);
	call_c(e, (uintptr_t)units_x87_saved);
	emit_land(e, no_x87);
	emit_rm(e, OP(0xc7), 2, 0, UNITS_AT(0));
	e1(e, 0);
	e1(e, 0);
	adjust_stack(e, 8);
	e1(e, 0xc3);
}

/* load_units: what Cpu.jit_wanted says, from Cpu.vec. RAX and RDX are lost. */
static void emit_load_units(Jit *j, Emit *e)
{
	j->load_units = emit_here(e);
	uint8_t *no_vector = unless(e, WANTED_AT(0), UNITS_NONE, CC_E);
	move_level(e, WANTED_AT(0), false);
	emit_rm(e, OP0F(0xae), 4, 2, CPU_AT(vec.mxcsr)); /* ldmxcsr */
	emit_land(e, no_vector);
	uint8_t *no_x87 = unless(e, WANTED_AT(1), 0, CC_E);
	move_x87(e, false);
	emit_land(e, no_x87);
	emit_load(e, 2, H_RAX, WANTED_AT(0));
	emit_store(e, 2, H_RAX, UNITS_AT(0));
	e1(e, 0xc3);
}

/* Calls `routine` if the two bytes at `flags` are not 0. */
static void call_if(Emit *e, Place flags, const uint8_t *routine)
{
	emit_rm(e, OP(0x83), 2, 7, flags);
	e1(e, 0);
	uint8_t *none = emit_jcc(e, CC_E, NULL);
	emit_call(e, routine);
	emit_land(e, none);
}

/* ---- doors ---- */

/* enter(cpu, code): the ABI's side of the door. */
static void emit_enter(Jit *j, Emit *e)
{
	j->enter = (const JitLink *(*)(Cpu *, const uint8_t *))(uintptr_t)emit_here(e);
	for (unsigned i = 0; i < sizeof(saved); i++)
		push_host(e, saved[i]);
	adjust_stack(e, -8); /* calls from translated code find the stack as the ABI wants it */
	emit_mov_rr(e, 8, H_CPU, H_RDI);
	emit_mov_rr(e, 8, H_T1, H_RSI);
	fill(e);
	emit_rr(e, OP(0xff), 4, 4, H_T1); /* jmp */
}

/* leave: R13 is what enter() returns; leave_none: NULL is. */
static void emit_leave(Jit *j, Emit *e)
{
	j->leave_none = emit_here(e);
	emit_const(e, H_T1, 0);
	j->leave = emit_here(e);
	spill(e);
	call_if(e, UNITS_AT(0), j->save_units);
	emit_mov_rr(e, 8, H_RAX, H_T1);
	adjust_stack(e, 8);
	for (unsigned i = sizeof(saved); i-- > 0;)
		pop_host(e, saved[i]);
	e1(e, 0xc3);
}

/*
 * slow: called with a JitInsn in R13; comes back in every case, or the host would mispredict all returns that follow.
 * ZF set: the block goes on; clear: on to `onward`. Cpu.arith holds the flags before and after.
 */
static void emit_slow(Jit *j, Emit *e)
{
	j->slow = emit_here(e);
	adjust_stack(e, -8);
	spill(e);
	call_if(e, UNITS_AT(0), j->save_units);
	emit_mov_rr(e, 8, H_RSI, H_T1);
	call_c(e, (uintptr_t)jit_slow);
	adjust_stack(e, 8);
	emit_store(e, 8, H_RAX, CPU_AT(jit_scratch));
	call_if(e, WANTED_AT(0), j->load_units);
	emit_rm(e, OP(0x83), 8, 7, CPU_AT(jit_scratch)); /* cmp; what follows keeps flags */
	e1(e, 0);
	fill(e);
	e1(e, 0xc3);
}

/* onward: where jit_slow said. */
static void emit_onward(Jit *j, Emit *e)
{
	j->onward = emit_here(e);
	emit_rm(e, OP(0xff), 4, 4, CPU_AT(jit_scratch)); /* jmp */
}

void jit_emit_lookup(const Jit *j, Emit *e)
{
	G_STATIC_ASSERT(sizeof(JitJump) == 32);
	emit_store(e, 8, H_T1, CPU_AT(rip));
	emit_mov_rr(e, 8, H_T2, H_T1);
	emit_rr(e, OP(0xc1), 8, 5, H_T2); /* shr r14, 12 */
	e1(e, JIT_JUMP_BITS);
	emit_rr(e, OP(0x33), 8, H_T2, H_T1);
	emit_rr(e, OP(0x81), 4, 4, H_T2); /* and */
	e4(e, (1u << JIT_JUMP_BITS) - 1);
	emit_rr(e, OP(0xc1), 4, 4, H_T2); /* shl: 32 bytes each */
	e1(e, 5);
	emit_rm(e, OP(0x03), 8, H_T2, CPU_AT(jit_jumps));
	emit_rm(e, OP(0x3b), 8, H_T1, at(H_T2, offsetof(JitJump, rip)));
	uint8_t *other = emit_jcc(e, CC_NE, NULL);
	emit_load(e, 8, H_T1, CPU_AT(jit_key));
	emit_rm(e, OP(0x3b), 8, H_T1, at(H_T2, offsetof(JitJump, key)));
	uint8_t *stale = emit_jcc(e, CC_NE, NULL);
	emit_rm(e, OP(0xff), 4, 4, at(H_T2, offsetof(JitJump, code))); /* jmp */
	emit_land(e, other);
	emit_land(e, stale);
	emit_jmp(e, j->leave_none);
}

/* by_table: as a link that is not patched any more goes on; R13 is the link. */
static void emit_by_table(Jit *j, Emit *e)
{
	j->by_table = emit_here(e);
	emit_load(e, 8, H_T1, at(H_T1, offsetof(JitLink, rip)));
	jit_emit_lookup(j, e);
}

void jit_emit_stubs(Jit *j, Emit *e)
{
	emit_save_units(j, e);
	emit_load_units(j, e);
	emit_enter(j, e);
	emit_leave(j, e);
	emit_slow(j, e);
	emit_onward(j, e);
	emit_by_table(j, e);
}
