/*
 * stubs.c - the routines that all translated blocks share.
 */
#include "cpu/jit/jit.h"

static void spill(Emit *e)
{
	for (unsigned g = 0; g < 12; g++)
		emit_store(e, 8, (unsigned)host_of(g), reg_at(g));
}

static void fill(Emit *e)
{
	for (unsigned g = 0; g < 12; g++)
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

/* leave: R13 is what enter() returns; leave_saved: RAX is, and the registers are in Cpu. */
static void emit_leave(Jit *j, Emit *e)
{
	j->leave = emit_here(e);
	spill(e);
	emit_mov_rr(e, 8, H_RAX, H_T1);
	j->leave_saved = emit_here(e);
	adjust_stack(e, 8);
	for (unsigned i = sizeof(saved); i-- > 0;)
		pop_host(e, saved[i]);
	e1(e, 0xc3);
}

/* slow: called with a JitInsn in R13; comes back, or leaves. Cpu.arith holds the flags before and after. */
static void emit_slow(Jit *j, Emit *e)
{
	j->slow = emit_here(e);
	adjust_stack(e, -8);
	spill(e);
	emit_mov_rr(e, 8, H_RDI, H_CPU);
	emit_mov_rr(e, 8, H_RSI, H_T1);
	emit_const(e, H_RAX, (uintptr_t)jit_slow);
	emit_rr(e, OP(0xff), 4, 2, H_RAX); /* call */
	adjust_stack(e, 8);
	emit_rr(e, OP(0x84), 1, H_RAX, H_RAX); /* test al, al */
	uint8_t *stays = emit_jcc(e, CC_E, NULL);
	adjust_stack(e, 8); /* the return address */
	emit_const(e, H_RAX, 0);
	emit_jmp(e, j->leave_saved);
	emit_land(e, stays);
	fill(e);
	e1(e, 0xc3);
}

/* indirect: on to the block at Cpu.rip (also in R13), if it is in the jump table. */
static void emit_indirect(Jit *j, Emit *e)
{
	G_STATIC_ASSERT(sizeof(JitJump) == 32);
	j->indirect = emit_here(e);
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
	emit_const(e, H_T1, 0);
	emit_jmp(e, j->leave);
}

void jit_emit_stubs(Jit *j, Emit *e)
{
	emit_enter(j, e);
	emit_leave(j, e);
	emit_slow(j, e);
	emit_indirect(j, e);
}
