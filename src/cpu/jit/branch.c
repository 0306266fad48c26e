/*
 * branch.c - near jumps, calls and returns, and the ways out of a block.
 */
#include "cpu/jit/translate.h"

static JitLink *new_link(Trans *t, uint64_t rip)
{
	JitLink *l = jit_take(t->jit, sizeof(*l));

	*l = (JitLink){ .rip = rip, .mode = t->b->base.mode, .forward = rip > t->b->rip,
			.units = { t->b->units[0], t->b->units[1] } };
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
	uint64_t rip = t->b->rip + t->end[k] + (uint64_t)t->d[k].imm;

	return t->code64 ? rip : (uint32_t)rip;
}

static bool jcc(Trans *t)
{
	if (!t->code64 && now(t)->opsize == 2)
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

/* The new RIP in R13 is canonical, or the handler raises what is due. Flags are saved. */
static void check_canonical(Trans *t)
{
	Emit *e = &t->e;

	if (!t->code64)
		return;
	emit_mov_rr(e, 8, H_T2, H_T1);
	emit_rr(e, OP(0xc1), 8, 7, H_T2); /* sar r14, 47: 0 or -1 */
	e1(e, 47);
	emit_rr(e, OP(0x83), 8, 0, H_T2); /* add r14, 1: 1 or 0 */
	e1(e, 1);
	emit_rr(e, OP(0x83), 8, 7, H_T2);
	e1(e, 1);
	detour(t, emit_jcc(e, CC_A, NULL));
}

static bool ret(Trans *t)
{
	Emit *e = &t->e;
	unsigned size = now(t)->opsize, width = t->code64 ? 8 : 4;

	if (size != width)
		return false;
	flags_save_all(t);
	emit_load(e, size, H_T1, stack_place(t, RSP, 0, size, false));
	check_canonical(t);
	emit_lea(e, width, H_GUEST_RSP, at(H_GUEST_RSP, (int)(size + (unsigned)now(t)->imm)));
	exit_indirect(t);
	detours_end(t);
	return true;
}

/* Pushes the next RIP; the target, if it is not known, waits in Cpu.jit_scratch. */
static void push_next(Trans *t)
{
	Emit *e = &t->e;
	unsigned width = t->code64 ? 8 : 4;
	uint64_t next = next_of(t);

	Place m = stack_place(t, RSP, -(int)width, width, true);
	if (width == 8 && (uint64_t)(int32_t)next != next) {
		emit_const(e, H_T2, next);
		emit_store(e, 8, H_T2, m);
	} else {
		emit_rm(e, OP(0xc7), width, 0, m);
		e4(e, (uint32_t)next);
	}
	emit_lea(e, width, H_GUEST_RSP, at(H_GUEST_RSP, -(int)width));
}

static bool call(Trans *t)
{
	if (!t->code64 && now(t)->opsize != 4)
		return false;
	flags_save_if(t, t->live_taken[t->k]);
	push_next(t);
	exit_to(t, target_of(t, t->k), 0);
	detours_end(t);
	return true;
}

/* R13: the target that a register or memory holds. */
static void load_target(Trans *t)
{
	Emit *e = &t->e;
	const Decoded *d = now(t);

	if (d->is_mem) {
		emit_load(e, d->opsize, H_T1, mem_place(t, d->opsize, false));
	} else {
		emit_mov_rr(e, d->opsize, H_T1, use_reg(t, d->rm, d->opsize, true, H_T1));
	}
	check_canonical(t);
}

static bool by_operand(Trans *t, bool calls)
{
	const Decoded *d = now(t);

	if (d->opsize != (t->code64 ? 8 : 4) || (d->is_mem && !mem_known(t)))
		return false;
	flags_save_all(t);
	load_target(t);
	if (calls) {
		emit_store(&t->e, 8, H_T1, CPU_AT(jit_scratch));
		push_next(t);
		emit_load(&t->e, 8, H_T1, CPU_AT(jit_scratch));
	}
	exit_indirect(t);
	detours_end(t);
	return true;
}

static bool loops(Trans *t) /* LOOP and JCXZ, with the full width of RCX */
{
	const Decoded *d = now(t);
	Emit *e = &t->e;
	unsigned kind = d->opcode & 3, width = t->code64 ? 8 : 4;

	if (d->asize != width || kind < 2)
		return false;
	flags_save_all(t);
	if (kind == 2)
		emit_lea(e, width, H_RCX, at(H_RCX, -1));
	emit_rr(e, OP(0x85), width, H_RCX, H_RCX);
	uint8_t *skip = emit_jcc(e, kind == 2 ? CC_E : CC_NE, NULL);
	exit_to(t, target_of(t, t->k), 0);
	emit_land(e, skip);
	exit_to(t, next_of(t), 0);
	return true;
}

bool trans_branch(Trans *t)
{
	switch (now(t)->row->exec) {
	case X_JCC: return jcc(t);
	case X_JMP:
		if (!t->code64 && now(t)->opsize == 2)
			return false;
		exit_to(t, target_of(t, t->k), t->live_taken[t->k]);
		return true;
	case X_CALL: return call(t);
	case X_RET: case X_RET_IMM: return ret(t);
	case X_JMP_EA: return by_operand(t, false);
	case X_CALL_EA: return by_operand(t, true);
	case X_LOOP: case X_JCXZ: return loops(t);
	}
	return false;
}
