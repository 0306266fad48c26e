/*
 * branch.c - near jumps, calls and returns, and the ways out of a block.
 */
#include "cpu/jit/translate.h"

static JitLink *new_link(Trans *t, uint64_t rip)
{
	JitLink *l = jit_take(t->jit, sizeof(*l));

	*l = (JitLink){ .rip = rip, .from = t->b, .forward = rip > t->b->rip };
	t->link[t->links] = l;
	t->link_stale[t->links] = NULL;
	return l;
}

/* Its jump is at `site`. */
static void link_at(Trans *t, JitLink *l, uint8_t *site)
{
	l->site = site;
	t->link_site[t->links++] = site;
}

void link_from(Trans *t, uint64_t rip, uint8_t *site)
{
	link_at(t, new_link(t, rip), site);
}

/* To a known target, through a link. */
void exit_to(Trans *t, uint64_t rip, uint16_t live)
{
	Emit *e = &t->e;

	flags_save_if(t, live);
	JitLink *l = new_link(t, rip);
	if (!same_page(t, rip)) {
		emit_head(e, OP(0xb8 | (H_T1 & 7)), 8, 0, 0, H_T1, false); /* mov r13, key: none is 0 */
		l->key = e->p;
		e8(e, 0);
		emit_rm(e, OP(0x3b), 8, H_T1, CPU_AT(jit_key));
		t->link_stale[t->links] = emit_jcc(e, CC_NE, NULL);
	}
	link_at(t, l, emit_jmp(e, NULL));
}

void exit_indirect(Trans *t)
{
	jit_emit_lookup(t->jit, &t->e);
}

uint64_t target_of(const Trans *t, unsigned k)
{
	uint64_t rip = cut_rip(t, t->b->rip + t->end[k] + (uint64_t)t->d[k].imm);

	return t->code64 || t->d[k].opsize != 2 ? rip : (uint16_t)rip;
}

/* The direct branch leads to where CS ends or before; else the handler raises what is due. */
static bool within_limit(const Trans *t)
{
	return t->code64 || target_of(t, t->k) <= t->b->cs_limit;
}

/* Near branches of 64-bit code have 64-bit operands, whatever the prefixes. */
static bool size_known(const Trans *t) { return !t->code64 || now(t)->opsize == 8; }

static bool jcc(Trans *t)
{
	if (!within_limit(t))
		return false;
	unsigned cc = now(t)->opcode & 15;
	uint64_t target = target_of(t, t->k);
	uint16_t live = t->live_taken[t->k];
	flags_want(t);
	if (loop_turn(t, cc))
		return true;
	if (same_page(t, target) && !live) { /* the guest's branch is the link */
		link_from(t, target, emit_jcc(&t->e, cc, NULL));
		return true;
	}
	uint8_t *skip = emit_jcc(&t->e, cc ^ 1, NULL);
	int flags = t->flags;
	exit_to(t, target, live);
	emit_land(&t->e, skip);
	t->flags = flags;
	return true;
}

/* The new RIP in R13 is canonical, or within CS; or the handler raises what is due. Flags are saved. */
static void check_target(Trans *t)
{
	Emit *e = &t->e;

	if (!t->code64) {
		segment_check_target(t, now(t)->opsize);
		return;
	}
	emit_mov_rr(e, 8, H_T2, H_T1);
	emit_rr(e, OP(0xc1), 8, 7, H_T2); /* sar r14, 47: 0 or -1 */
	e1(e, 47);
	emit_rr(e, OP(0x83), 8, 0, H_T2); /* add r14, 1: 1 or 0 */
	e1(e, 1);
	emit_rr(e, OP(0x83), 8, 7, H_T2);
	e1(e, 1);
	detour(t, emit_jcc(e, CC_A, NULL));
}

/* R13: a target of the operand size, zero-extended. */
static void load_target(Trans *t, Place m)
{
	if (now(t)->opsize == 2)
		emit_rm(&t->e, OP0F(0xb7), 4, H_T1, m); /* movzx */
	else
		emit_load(&t->e, now(t)->opsize, H_T1, m);
}

static bool ret(Trans *t)
{
	unsigned size = now(t)->opsize;

	if (!size_known(t))
		return false;
	flags_save_all(t);
	load_target(t, stack_place(t, RSP, 0, size, false));
	check_target(t);
	stack_move(t, RSP, (int)(size + (unsigned)now(t)->imm));
	exit_indirect(t);
	detours_end(t);
	return true;
}

/* Pushes the next RIP; the target, if it is not known, waits in Cpu.jit_scratch. */
static void push_next(Trans *t)
{
	Emit *e = &t->e;
	unsigned size = now(t)->opsize;
	uint64_t next = next_of(t);

	Place m = stack_place(t, RSP, -(int)size, size, true);
	if (size == 2 || (size == 8 && (uint64_t)(int32_t)next != next)) {
		emit_const(e, H_T2, next);
		emit_store(e, size, H_T2, m);
	} else {
		emit_rm(e, OP(0xc7), size, 0, m);
		e4(e, (uint32_t)next);
	}
	stack_move(t, RSP, -(int)size);
}

static bool call(Trans *t)
{
	if (!size_known(t) || !within_limit(t))
		return false;
	flags_save_if(t, t->live_taken[t->k]);
	push_next(t);
	exit_to(t, target_of(t, t->k), 0);
	detours_end(t);
	return true;
}

/* R13: the target that a register or memory holds. */
static void operand_target(Trans *t)
{
	const Decoded *d = now(t);

	if (d->is_mem)
		load_target(t, mem_place(t, d->opsize, false));
	else if (d->opsize == 2)
		emit_rr(&t->e, OP0F(0xb7), 4, H_T1, (unsigned)host_of(d->rm)); /* movzx */
	else
		emit_mov_rr(&t->e, d->opsize, H_T1, use_reg(t, d->rm, d->opsize, true, H_T1));
	check_target(t);
}

static bool by_operand(Trans *t, bool calls)
{
	if (!size_known(t))
		return false;
	flags_save_all(t);
	operand_target(t);
	if (calls) {
		emit_store(&t->e, 8, H_T1, CPU_AT(jit_scratch));
		push_next(t);
		emit_load(&t->e, 8, H_T1, CPU_AT(jit_scratch));
	}
	exit_indirect(t);
	detours_end(t);
	return true;
}

enum { LOOPNE, LOOPE, LOOP, JCXZ };

static bool loops(Trans *t) /* the address size is that of RCX */
{
	const Decoded *d = now(t);
	Emit *e = &t->e;
	unsigned kind = d->opcode & 3;
	Place zf = CPU_AT(arith);
	uint8_t *other_zf = NULL;

	if (!within_limit(t))
		return false;
	flags_save_all(t);
	if (kind != JCXZ)
		emit_lea(e, d->asize, H_RCX, at(H_RCX, -1));
	if (kind == LOOPNE || kind == LOOPE) {
		zf.disp++;
		emit_rm(e, OP(0xf6), 1, 0, zf); /* test */
		e1(e, FLAG_ZF);
		other_zf = emit_jcc(e, kind == LOOPE ? CC_E : CC_NE, NULL);
	}
	emit_rr(e, OP(0x85), d->asize, H_RCX, H_RCX);
	uint8_t *skip = emit_jcc(e, kind == JCXZ ? CC_NE : CC_E, NULL);
	exit_to(t, target_of(t, t->k), 0);
	emit_land(e, skip);
	if (other_zf)
		emit_land(e, other_zf);
	exit_to(t, next_of(t), 0);
	return true;
}

bool trans_branch(Trans *t)
{
	switch (now(t)->row->exec) {
	case X_JCC: return jcc(t);
	case X_JMP:
		if (!within_limit(t))
			return false;
		exit_to(t, target_of(t, t->k), t->live_taken[t->k]);
		return true;
	case X_CALL: return call(t);
	case X_RET: case X_RET_IMM: return ret(t);
	case X_JMP_EA: return by_operand(t, false);
	case X_CALL_EA: return by_operand(t, true);
	case X_LOOPNE: case X_LOOPE: case X_LOOP: case X_JCXZ: return loops(t);
	}
	return false;
}
