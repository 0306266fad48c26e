/*
 * segment.c - segments in translated code, and the instructions that move selectors.
 *
 * In 64-bit code only FS and GS have a base, and nothing has a limit. Elsewhere:
 *   - Data segments are looked at when they are used: base and last offset are in Cpu (seg, seg_last), so loading a segment
 *     register changes no block. Only in the flat model (MODE_FLAT, a part of the block's key) nothing is looked at.
 *   - CS is a part of the key, base and limit: a block lies within the limit, a direct branch knows whether its target does.
 *     Jumps between blocks carry its number in Cpu.jit_key.
 * An access that is not within the limits is the handler's, and so are segments that expand down.
 */
#include "cpu/jit/translate.h"

/* ---- CS ---- */

static bool segmented(const Cpu *cpu) { return !cpu_code64(cpu) && !(cpu->mode & MODE_FLAT); }

unsigned jit_code_segment(Cpu *cpu)
{
	Jit *j = cpu->jit;
	const Segment *cs = &cpu->seg[CS];
	JitCodeSegment here = { (uint32_t)cs->base, cs->limit };

	if (!j || !segmented(cpu))
		return 0;
	for (unsigned i = 0; i < j->code_segments; i++) {
		unsigned n = (j->code_segment_last + i) % j->code_segments;
		if (j->code_segment[n].base == here.base && j->code_segment[n].limit == here.limit) {
			j->code_segment_last = n;
			return n + 1;
		}
	}
	bool full = j->code_segments == JIT_CODE_SEGMENTS;
	unsigned n = full ? 0 : j->code_segments;
	j->code_segments = n + 1;
	j->code_segment[n] = here;
	j->code_segment_last = n;
	if (full) /* other numbers mean other segments from now on */
		interp_forget_jumps(cpu);
	return n + 1;
}

bool jit_in_code_segment(const Cpu *cpu, const JitBlock *b)
{
	return !segmented(cpu) || (b->cs_base == (uint32_t)cpu->seg[CS].base && b->cs_limit == cpu->seg[CS].limit);
}

/* ---- addresses ---- */

static Place segment_at(unsigned seg, size_t field)
{
	return at(H_CPU, (int32_t)(offsetof(Cpu, seg) + seg * sizeof(Segment) + field));
}

static bool is_flat(const Trans *t, unsigned seg)
{
	return t->b->base.mode & MODE_FLAT && (seg == DS || seg == SS || seg == ES);
}

void segment_add(Trans *t, unsigned seg, unsigned size, bool write)
{
	Emit *e = &t->e;

	if (t->code64 ? seg == SEG_NONE : is_flat(t, seg))
		return;
	if (t->code64) {
		emit_rm(e, OP(0x03), 8, H_T1, segment_at(seg, offsetof(Segment, base)));
		return;
	}
	unsigned last = size > 1 ? H_T2 : H_T1;
	if (size > 1)
		emit_lea(e, 8, last, at(H_T1, (int32_t)size - 1));
	emit_rm(e, OP(0x3b), 8, last, at(H_CPU, (int32_t)(offsetof(Cpu, seg_last) + 16 * seg + (write ? 8 : 0))));
	detour(t, emit_jcc(e, CC_G, NULL));
	emit_rm(e, OP(0x03), 4, H_T1, segment_at(seg, offsetof(Segment, base)));
}

void segment_check_target(Trans *t, unsigned opsize)
{
	if (t->code64 || t->b->cs_limit >= (opsize == 2 ? UINT16_MAX : UINT32_MAX))
		return;
	emit_rr(&t->e, OP(0x81), 4, 7, H_T1); /* cmp */
	e4(&t->e, t->b->cs_limit);
	detour(t, emit_jcc(&t->e, CC_A, NULL));
}

/* ---- selectors ---- */

/* The segment register that an instruction names by its opcode. */
static unsigned named_segment(const Decoded *d)
{
	switch (d->row->operands[0]) {
	case OPND_es: return ES;
	case OPND_cs: return CS;
	case OPND_ss: return SS;
	case OPND_ds: return DS;
	case OPND_fs: return FS;
	default: return GS;
	}
}

static bool mov_from_segment(Trans *t)
{
	const Decoded *d = now(t);
	unsigned seg = d->modrm >> 3 & 7;
	Place m = at(H_T1, 0);

	if (seg >= SEG_COUNT)
		return false;
	if (d->is_mem)
		m = mem_place(t, 2, true);
	emit_rm(&t->e, OP0F(0xb7), 4, H_T2, segment_at(seg, offsetof(Segment, sel))); /* movzx */
	if (d->is_mem) {
		emit_store(&t->e, 2, H_T2, m);
	} else {
		emit_mov_rr(&t->e, d->opsize, use_reg(t, d->rm, d->opsize, true, H_T1), H_T2);
		done_reg(t, d->rm, H_T1);
	}
	detours_end(t);
	return true;
}

/* A 32-bit push of a selector writes 16 bits only. */
static bool push_segment(Trans *t)
{
	const Decoded *d = now(t);
	unsigned size = d->opsize;

	if (t->code64 && size != 8)
		return false;
	Place m = stack_place(t, RSP, -(int)size, size == 4 ? 2 : size, true);
	emit_rm(&t->e, OP0F(0xb7), 4, H_T2, segment_at(named_segment(d), offsetof(Segment, sel)));
	emit_store(&t->e, size == 4 ? 2 : size, H_T2, m);
	stack_move(t, RSP, -(int)size);
	detours_end(t);
	return true;
}

/*
 * Real and V86 mode: a selector is a paragraph. Not SS, which holds interrupts off, and not where the model may become
 * flat by it.
 */
static bool loads_paragraph(const Trans *t, unsigned seg)
{
	const JitBlock *b = t->b;

	return !(b->base.mode & (MODE_PROT | MODE_CODE64)) && seg < SEG_COUNT && seg != CS && seg != SS &&
	       (b->cs_base || b->cs_limit != UINT32_MAX);
}

/* From R13, zero-extended. A segment that protected mode left null is the handler's. */
static void load_paragraph(Trans *t, unsigned seg)
{
	Emit *e = &t->e;

	emit_store(e, 2, H_T1, segment_at(seg, offsetof(Segment, sel)));
	emit_rr(e, OP(0xc1), 4, 4, H_T1); /* shl */
	e1(e, 4);
	emit_store(e, 8, H_T1, segment_at(seg, offsetof(Segment, base)));
}

static void need_not_null(Trans *t, unsigned seg)
{
	flags_save(t);
	emit_rm(&t->e, OP(0xf7), 4, 0, segment_at(seg, offsetof(Segment, attr))); /* test */
	e4(&t->e, SEG_NULL);
	detour(t, emit_jcc(&t->e, CC_NE, NULL));
}

static bool mov_to_segment(Trans *t)
{
	const Decoded *d = now(t);
	unsigned seg = d->modrm >> 3 & 7;

	if (!loads_paragraph(t, seg))
		return false;
	need_not_null(t, seg);
	if (d->is_mem)
		emit_rm(&t->e, OP0F(0xb7), 4, H_T1, mem_place(t, 2, false));
	else
		emit_rr(&t->e, OP0F(0xb7), 4, H_T1, (unsigned)host_of(d->rm));
	load_paragraph(t, seg);
	detours_end(t);
	return true;
}

static bool pop_segment(Trans *t)
{
	const Decoded *d = now(t);
	unsigned seg = named_segment(d);

	if (!loads_paragraph(t, seg))
		return false;
	need_not_null(t, seg);
	emit_rm(&t->e, OP0F(0xb7), 4, H_T1, stack_place(t, RSP, 0, 2, false));
	load_paragraph(t, seg);
	stack_move(t, RSP, d->opsize);
	detours_end(t);
	return true;
}

bool trans_segment(Trans *t)
{
	switch (now(t)->row->exec) {
	case X_MOV_FROM_SEG: return mov_from_segment(t);
	case X_MOV_TO_SEG: return mov_to_segment(t);
	case X_PUSH_SEG: return push_segment(t);
	case X_POP_SEG: return pop_segment(t);
	}
	return false;
}
