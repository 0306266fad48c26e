/*
 * share.c - one check for several accesses near each other.
 *
 * Most code reads and writes at small distances from registers that stand still for a while: a stack frame, the
 * fields of a structure. The first such access in a block checks the whole stretch that the ones behind it are
 * going to touch, and leaves in Cpu.jit_share what has to be added to a guest address there to get the host's.
 * The others need no check, no flags, and one load. If the stretch is not one page of the TLB, the block is left
 * for its plain version, which begins with this instruction and shares nothing. 64-bit code only.
 *
 * That a stretch was checked holds until the block is left: jit_slow leaves it when a translation was dropped.
 */
#include "cpu/jit/translate.h"

#define STRETCH_MAX 512

typedef enum Effect { KEPT, MOVED, LOST } Effect;

static bool names_z(const Decoded *d) { return d->row->operands[0] && opnd_letter(d->row->operands[0]) == 'Z'; }
static unsigned z_of(const Decoded *d) { return (d->opcode & 7) | (d->rex & 1 ? 8u : 0); }

/* The general register that operand k is; -1: none. AH to BH count as the whole register. */
static int register_of(const Decoded *d, unsigned k)
{
	char letter = d->row->operands[k] ? opnd_letter(d->row->operands[k]) : 0;
	bool high = letter && !d->rex_present && operand_bytes(d, k) == 1;
	unsigned n;

	switch (letter) {
	case 'G': n = d->reg; break;
	case 'E': case 'R':
		if (d->is_mem)
			return -1;
		n = d->rm;
		break;
	case 'Z': n = z_of(d); break;
	case 'a': case 'r': return RAX;
	default: return -1;
	}
	return (int)(high && n >= 4 && n < 8 ? n - 4 : n);
}

static Effect moved(int64_t *by, int64_t bytes)
{
	*by = bytes;
	return MOVED;
}

/* ADD, SUB, INC, DEC, LEA of 64 bits that move the register by a constant. */
static bool moves(const Decoded *d, unsigned reg, int64_t *by)
{
	bool constant = d->row->operands[1] && (opnd_letter(d->row->operands[1]) == 'I' || opnd_letter(d->row->operands[1]) == 's');

	if (d->opsize != 8 || operand_bytes(d, 0) != 8 || register_of(d, 0) != (int)reg)
		return false;
	switch (d->row->exec) {
	case X_ADD: *by = d->imm; return constant;
	case X_SUB: *by = -d->imm; return constant;
	case X_INC: *by = 1; return true;
	case X_DEC: *by = -1; return true;
	case X_LEA: *by = d->disp; return d->asize == 8 && d->base == reg && d->index == SLOT_ZERO;
	default: return false;
	}
}

static Effect vector_effect(const Decoded *d, unsigned reg)
{
	uint32_t vec = d->row->vec;

	if (vec & VEC_SPECIAL && vec & VEC_FLAGS) /* PCMPxSTRx */
		return reg == RCX ? LOST : KEPT;
	if (!(vec & VEC_GPR))
		return KEPT;
	if (vec & VEC_X87)
		return reg == RAX ? LOST : KEPT;
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++)
		if (register_of(d, k) == (int)reg)
			return LOST;
	return KEPT;
}

/* What the instruction does to a general register; MOVED: *by bytes. Unknown ones lose everything. */
static Effect effect(const Decoded *d, unsigned reg, int64_t *by)
{
	unsigned exec = d->row->exec;

	switch (exec) {
	case X_NOP: case X_PAUSE: case X_JCC: case X_FENCE: case X_FWAIT: case X_LDMXCSR: case X_STMXCSR:
	case X_CMP: case X_TEST: case X_BT: case X_BT_IMM:
		return KEPT;
	case X_PUSH:
		return reg == RSP ? moved(by, -(int64_t)d->opsize) : KEPT;
	case X_CALL: case X_CALL_EA:
		return reg == RSP ? moved(by, -8) : KEPT;
	case X_POP:
		return !names_z(d) || z_of(d) == reg ? LOST : reg == RSP ? moved(by, d->opsize) : KEPT;
	case X_DIV1: case X_IDIV1: case X_MUL1: case X_IMUL1: case X_CBW: case X_CWD:
		return reg == RAX || reg == RDX ? LOST : KEPT;
	case X_XCHG: case X_XADD: case X_CMPXCHG: case X_XCHG_ACC:
		return reg == RAX || register_of(d, 0) == (int)reg || register_of(d, 1) == (int)reg ||
		       (exec == X_XCHG_ACC && z_of(d) == reg) ? LOST : KEPT;
	case X_VEC:
		return vector_effect(d, reg);
	case X_LEA: case X_BSWAP:
		break;
	default:
		if (!integer_access(exec))
			return LOST;
	}
	if (moves(d, reg, by))
		return MOVED;
	return register_of(d, 0) == (int)reg ? LOST : KEPT;
}

bool share_steady(const Decoded *d, const Access *a, int64_t *by)
{
	int64_t base_by = 0, index_by = 0;

	if (a->base != SLOT_ZERO && effect(d, a->base, &base_by) == LOST)
		return false;
	if (a->index != SLOT_ZERO && effect(d, a->index, &index_by) == LOST)
		return false;
	*by = base_by + index_by * (1 << a->scale);
	return true;
}

bool share_same_parts(const Access *a, const Access *b)
{
	return a->base == b->base && a->index == b->index && (a->scale == b->scale || a->index == SLOT_ZERO);
}

static bool shareable(const Trans *t, const Decoded *d) { return t->code64 && !t->plain && d->asize == 8; }

bool access_of_operand(const Trans *t, const Decoded *d, unsigned size, bool write, Access *a)
{
	*a = (Access){ d->base, d->index, d->scale, write, d->disp, size };
	return shareable(t, d) && d->seg == SEG_NONE && d->base != SLOT_RIP && !d->lock && d->row->exec != X_XCHG;
}

bool access_of_stack(const Trans *t, unsigned base, int64_t disp, unsigned size, bool write, Access *a)
{
	*a = (Access){ (uint8_t)base, SLOT_ZERO, 0, write, disp, size };
	return t->code64 && !t->plain;
}

/* What instruction d is going to access, as far as it matters for the size of a stretch. */
bool share_foresee(const Trans *t, const Decoded *d, Access *a)
{
	unsigned exec = d->row->exec;
	int access = integer_access(exec);

	switch (exec) {
	case X_PUSH: case X_CALL:
		return access_of_stack(t, RSP, -8, 8, true, a);
	case X_POP: case X_RET: case X_RET_IMM:
		return access_of_stack(t, RSP, 0, 8, false, a);
	case X_LEAVE:
		return access_of_stack(t, RBP, 0, 8, false, a);
	case X_CALL_EA:
		return !d->is_mem && access_of_stack(t, RSP, -8, 8, true, a);
	case X_VEC:
		return d->is_mem && access_of_operand(t, d, decoded_mem_bytes(d), d->row->vec & (VEC_STORE | VEC_RMW), a);
	}
	for (unsigned k = 0; d->is_mem && access && k < 3 && d->row->operands[k]; k++)
		if (opnd_letter(d->row->operands[k]) == 'E' || opnd_letter(d->row->operands[k]) == 'M')
			return access_of_operand(t, d, operand_bytes(d, k), k == 0 && access & WR, a);
	return false;
}

/* Vector operands that have to be aligned, as far as one look at the stretch can tell. */
static void extend_alignment(Stretch *s, const Decoded *d, int64_t disp, unsigned size)
{
	if (d->row->exec != X_VEC || !(d->row->vec & VEC_ALIGN) || (s->align && (disp - s->align_at) & (s->align - 1)))
		return;
	if (size > s->align) {
		s->align = size;
		s->align_at = disp;
	}
}

bool share_extend(Stretch *s, const Decoded *d, const Access *b, int64_t moved)
{
	int64_t disp = b->disp + moved, low = MIN(s->low, disp), high = MAX(s->high, disp + b->size);

	if (high - low > STRETCH_MAX || low != (int32_t)low || high != (int32_t)high)
		return false;
	s->low = low;
	s->high = high;
	s->a.write |= b->write;
	extend_alignment(s, d, disp, b->size);
	return true;
}

/* The stretch around access a that the instructions behind this one touch too. How many of them do. */
static unsigned plan(const Trans *t, const Access *a, Stretch *s)
{
	int64_t moved_by = 0, by;
	unsigned others = 0;

	*s = (Stretch){ .a = *a, .low = a->disp, .high = a->disp + a->size };
	extend_alignment(s, now(t), a->disp, a->size);
	for (unsigned k = t->k + 1; k < t->count && share_steady(&t->d[k - 1], a, &by); k++) {
		Access b;
		moved_by += by;
		if (share_foresee(t, &t->d[k], &b) && share_same_parts(a, &b))
			others += share_extend(s, &t->d[k], &b, moved_by);
	}
	return others;
}

static Stretch *covering(Trans *t, const Access *a)
{
	for (unsigned i = 0; i < t->stretches; i++) {
		Stretch *s = &t->stretch[i];
		if (s->live && share_same_parts(&s->a, a) && (s->a.write || !a->write) && a->disp + s->moved >= s->low &&
		    a->disp + s->moved + a->size <= s->high)
			return s;
	}
	return NULL;
}

/* Host register of an address's part, from Cpu.regs into R14 if it has none. */
static unsigned part(Trans *t, unsigned guest)
{
	int host = host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	emit_load(&t->e, 8, H_T2, reg_at(guest));
	return H_T2;
}

/* The parts that are added at each access: a loop's fixed base is not. */
static Access parts_of(const Stretch *s)
{
	Access a = s->a;

	if (s->fixed)
		a.base = SLOT_ZERO;
	return a;
}

/* R13 holds what is to be added: the place of what is at `disp`. */
static Place behind(Trans *t, const Stretch *s, int64_t disp)
{
	Emit *e = &t->e;
	Place m = at(H_T1, (int32_t)disp);
	Access a = parts_of(s);
	bool base = a.base != SLOT_ZERO, index = a.index != SLOT_ZERO;

	/* A second register, or one that waits in R14, goes into R13: R14 has to be free for the other operand. */
	if (base && (index || host_of(a.base) < 0))
		emit_lea(e, 8, H_T1, (Place){ H_T1, (int8_t)part(t, a.base), 0, 0 });
	else if (base)
		m.index = (int8_t)part(t, a.base);
	if (index && host_of(a.index) < 0) {
		emit_lea(e, 8, H_T1, (Place){ H_T1, (int8_t)part(t, a.index), a.scale, 0 });
	} else if (index) {
		m.index = (int8_t)part(t, a.index);
		m.scale = a.scale;
	}
	return m;
}

/* The parts' sum and `low`, in `to`. */
static void sum_of(Trans *t, const Access *a, int64_t low, unsigned to)
{
	Emit *e = &t->e;

	if (a->base == SLOT_ZERO) {
		emit_const(e, to, (uint64_t)low);
	} else {
		int host = host_of(a->base);
		if (host < 0)
			emit_load(e, 8, to, reg_at(a->base));
		emit_lea(e, 8, to, at(host < 0 ? to : (unsigned)host, (int32_t)low));
	}
	if (a->index != SLOT_ZERO)
		emit_lea(e, 8, to, (Place){ (int8_t)to, (int8_t)part(t, a->index), a->scale, 0 });
}

static Place slot_of(const Trans *t, const Stretch *s)
{
	return at(H_CPU, (int32_t)(offsetof(Cpu, jit_share) + 8 * (size_t)(s - t->stretch)));
}

/* The plain version takes over before this instruction has done anything, if the jump at `site` is taken. */
static void leave_for_plain(Trans *t, uint8_t *site)
{
	JitLink *l = jit_take(t->jit, sizeof(*l));

	*l = (JitLink){ .rip = next_of(t) - now(t)->len, .site = site, .from = t->b, .forward = true, .plain = true };
	t->link[t->links] = l;
	t->link_stale[t->links] = NULL;
	t->link_site[t->links++] = site;
}

static int64_t lowest(const Stretch *s) { return s->low + MIN(s->reach, 0); }

void share_check(Trans *t, const Stretch *s)
{
	Emit *e = &t->e;
	int64_t low = lowest(s);

	sum_of(t, &s->a, low, H_T1);
	leave_for_plain(t, mem_check(t, (unsigned)(s->high + MAX(s->reach, 0) - low), s->a.write));
	if (!s->align)
		return;
	int64_t rest = (s->align_at - low) & (s->align - 1);
	if (rest)
		emit_lea(e, 8, H_T2, at(H_T1, (int32_t)rest));
	emit_rr(e, OP(0xf6), 1, 0, rest ? H_T2 : H_T1); /* test */
	e1(e, s->align - 1);
	leave_for_plain(t, emit_jcc(e, CC_NE, NULL));
}

void share_keep(Trans *t, const Stretch *s)
{
	Emit *e = &t->e;
	Access a = parts_of(s);
	int64_t low = lowest(s);

	if (a.index != SLOT_ZERO && host_of(a.index) < 0) { /* R14 is needed for it: subtract by halves */
		emit_store(e, 8, H_T1, slot_of(t, s));
		sum_of(t, &a, low, H_T1);
		emit_rm(e, OP(0x29), 8, H_T1, slot_of(t, s));
		emit_load(e, 8, H_T1, slot_of(t, s));
	} else {
		sum_of(t, &a, low, H_T2);
		emit_rr(e, OP(0x2b), 8, H_T1, H_T2);
		emit_store(e, 8, H_T1, slot_of(t, s));
	}
}

/* The stretch's check says so of the access too. */
static unsigned alignment_in(const Stretch *s, const Access *a)
{
	return s->align && !((a->disp + s->moved - s->align_at) & (s->align - 1)) ? s->align : 1;
}

bool shared_place(Trans *t, const Access *a, Place *m)
{
	Stretch *s = covering(t, a);

	if (s) {
		emit_load(&t->e, 8, H_T1, slot_of(t, s));
	} else {
		/* Behind a detour of this very instruction a stretch would not have been checked in every case. */
		if (t->stretches == JIT_SHARES || a->disp != (int32_t)a->disp || detour_open(t) || !plan(t, a, &t->stretch[t->stretches]))
			return false;
		s = &t->stretch[t->stretches++];
		s->live = true;
		flags_save(t);
		share_check(t, s);
		share_keep(t, s);
	}
	t->aligned = alignment_in(s, a);
	*m = behind(t, s, a->disp);
	return true;
}

void share_behind(Trans *t)
{
	const Decoded *d = now(t);

	for (unsigned i = 0; i < t->stretches; i++) {
		int64_t by;
		Stretch *s = &t->stretch[i];
		s->live = s->live && share_steady(d, &s->a, &by);
		s->moved += s->live ? by : 0;
	}
}

void share_end(Trans *t)
{
	for (unsigned i = 0; i < t->stretches; i++)
		t->stretch[i].live = false;
}
