/*
 * system.c - what kernels do all the time: CLI, STI, PUSHF, POPF, SWAPGS, reads of control registers.
 *
 * Only what is done at CPL 0 and needs no decision; everything else is left to the handlers.
 */
#include "cpu/jit/translate.h"

#define FLAGS_SIMPLE (FLAGS_ARITH | FLAG_IF | FLAG_DF)

/* dword [place] op= mask: 1 OR, 4 AND. */
static void emit_mask(Emit *e, unsigned op, Place place, uint32_t mask)
{
	emit_rm(e, OP(0x81), 4, op, place);
	e4(e, mask);
}

/* The handler does it in outer rings. */
static void need_cpl0(Trans *t)
{
	emit_rm(&t->e, OP(0x80), 1, 7, CPU_AT(cpl));
	e1(&t->e, 0);
	detour(t, emit_jcc(&t->e, CC_NE, NULL));
}

/* And where something waits for interrupts to be allowed; then it leaves the block. R14 is used. */
static void need_cpl0_and_quiet(Trans *t)
{
	emit_load(&t->e, 4, H_T2, CPU_AT(events));
	emit_rm(&t->e, OP(0x0a), 1, H_T2, CPU_AT(cpl)); /* or */
	emit_rr(&t->e, OP(0x85), 4, H_T2, H_T2);
	detour(t, emit_jcc(&t->e, CC_NE, NULL));
}

static bool cli(Trans *t)
{
	flags_save(t);
	need_cpl0(t);
	emit_mask(&t->e, 4, CPU_AT(rflags), ~FLAG_IF);
	detours_end(t);
	return true;
}

static void emit_heed_all(Emit *e)
{
	emit_rm(e, OP(0xc7), 4, 0, CPU_AT(heeded));
	e4(e, UINT32_MAX);
}

/*
 * With nothing pending there is nothing to be held off for one instruction, if that is in the block: events are not looked
 * at before it. "STI; HLT" must not be parted, or the wakeup comes before the sleep.
 */
static bool sti(Trans *t)
{
	if (t->k + 1 == t->count)
		return false;
	flags_save(t);
	need_cpl0_and_quiet(t);
	emit_mask(&t->e, 1, CPU_AT(rflags), FLAG_IF);
	emit_heed_all(&t->e);
	detours_end(t);
	return true;
}

static bool direction(Trans *t, bool down)
{
	flags_save(t);
	emit_mask(&t->e, down ? 1 : 4, CPU_AT(rflags), down ? FLAG_DF : ~FLAG_DF);
	return true;
}

static bool pushf(Trans *t)
{
	Emit *e = &t->e;
	unsigned width = now(t)->opsize;
	Place of = CPU_AT(arith), ah = of;

	if (t->code64 && width != 8)
		return false;
	ah.disp++;
	flags_save(t);
	emit_rm(e, OP0F(0xb6), 4, H_T1, ah); /* movzx */
	emit_rr(e, OP(0x81), 4, 4, H_T1);
	e4(e, FLAGS_ARITH & 0xff);
	emit_rm(e, OP0F(0xb6), 4, H_T2, of);
	emit_rr(e, OP(0xc1), 4, 4, H_T2); /* shl */
	e1(e, 11);
	emit_rr(e, OP(0x0b), 4, H_T1, H_T2);
	emit_load(e, 4, H_T2, CPU_AT(rflags));
	emit_rr(e, OP(0x81), 4, 4, H_T2);
	e4(e, ~(FLAG_RF | FLAG_VM));
	emit_rr(e, OP(0x0b), 4, H_T1, H_T2);
	emit_store(e, 8, H_T1, CPU_AT(jit_scratch));
	Place m = stack_place(t, RSP, -(int)width, width, true);
	emit_load(e, 8, H_T2, CPU_AT(jit_scratch));
	emit_store(e, width, H_T2, m);
	stack_move(t, RSP, -(int)width);
	detours_end(t);
	return true;
}

/* Where no flag changes but the arithmetic ones, IF and DF. */
static bool popf(Trans *t)
{
	Emit *e = &t->e;
	unsigned width = now(t)->opsize;
	uint32_t looked_at = 0x3f7fd5u & ~FLAGS_SIMPLE & (width == 2 ? UINT16_MAX : UINT32_MAX);
	Place of = CPU_AT(arith), ah = of;

	if (t->code64 && width != 8)
		return false;
	ah.disp++;
	Place m = stack_place(t, RSP, 0, width, false);
	flags_save(t);
	if (width == 2)
		emit_rm(e, OP0F(0xb7), 4, H_T1, m); /* movzx */
	else
		emit_load(e, 4, H_T1, m);
	need_cpl0_and_quiet(t);
	emit_mov_rr(e, 4, H_T2, H_T1);
	emit_rm(e, OP(0x33), 4, H_T2, CPU_AT(rflags));
	emit_rr(e, OP(0xf7), 4, 0, H_T2); /* test; bit 1 is ignored, and set in Cpu.rflags */
	e4(e, looked_at);
	detour(t, emit_jcc(e, CC_NE, NULL));
	emit_rr(e, OP(0x81), 4, 4, H_T2);
	e4(e, FLAG_IF | FLAG_DF);
	emit_rm(e, OP(0x31), 4, H_T2, CPU_AT(rflags)); /* xor: those that differ */
	emit_heed_all(e);
	emit_store(e, 1, H_T1, ah);
	emit_rr(e, OP(0xc1), 4, 5, H_T1); /* shr */
	e1(e, 11);
	emit_rr(e, OP(0x83), 4, 4, H_T1);
	e1(e, 1);
	emit_store(e, 1, H_T1, of);
	stack_move(t, RSP, (int)width);
	detours_end(t);
	return true;
}

static bool swapgs(Trans *t)
{
	Emit *e = &t->e;
	Place gs = at(H_CPU, (int32_t)(offsetof(Cpu, seg) + GS * sizeof(Segment) + offsetof(Segment, base)));

	flags_save(t);
	need_cpl0(t);
	emit_load(e, 8, H_T1, gs);
	emit_load(e, 8, H_T2, CPU_AT(kernel_gs_base));
	emit_store(e, 8, H_T2, gs);
	emit_store(e, 8, H_T1, CPU_AT(kernel_gs_base));
	detours_end(t);
	return true;
}

static bool mov_from_cr(Trans *t)
{
	const Decoded *d = now(t);
	Place cr;

	if (d->lock)
		return false;
	switch (d->reg) {
	case 0: cr = CPU_AT(cr0); break;
	case 2: cr = CPU_AT(cr2); break;
	case 3: cr = CPU_AT(cr3); break;
	case 4: cr = CPU_AT(cr4); break;
	default: return false;
	}
	flags_save(t);
	need_cpl0(t);
	emit_load(&t->e, t->code64 ? 8 : 4, use_reg(t, d->rm, 8, false, H_T1), cr);
	done_reg(t, d->rm, H_T1);
	detours_end(t);
	return true;
}

bool trans_system(Trans *t)
{
	switch (now(t)->row->exec) {
	case X_CLD: return direction(t, false);
	case X_STD: return direction(t, true);
	}
	if (t->b->base.mode & MODE_USER)
		return false;
	switch (now(t)->row->exec) {
	case X_CLI: return cli(t);
	case X_STI: return sti(t);
	case X_PUSHF: return pushf(t);
	case X_POPF: return popf(t);
	case X_SWAPGS: return swapgs(t);
	case X_MOV_FROM_CR: return mov_from_cr(t);
	}
	return false;
}
