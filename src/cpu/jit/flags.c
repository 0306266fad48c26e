/*
 * flags.c - where the guest's arithmetic flags are, and which of them are still of use.
 *
 * A flag that is overwritten before anything reads it is not kept: only the frame of an exception raised in
 * between could show it. At every exit of a block all flags are in Cpu.arith.
 */
#include "cpu/jit/translate.h"

#define ALL FLAGS_ARITH

static bool is_shift(unsigned exec)
{
	return exec == X_SHL || exec == X_SHR || exec == X_SAR || exec == X_ROL || exec == X_ROR || exec == X_RCL ||
	       exec == X_RCR || exec == X_SHLD || exec == X_SHRD;
}

/* A shift by a constant that is not 0 after masking: it does write its flags. */
static bool shifts_for_sure(const Decoded *d)
{
	bool by_cl = d->row->exec == X_SHLD || d->row->exec == X_SHRD ? d->opcode & 1 : (d->opcode & 0xfe) == 0xd2;
	bool by_one = (d->opcode & 0xfe) == 0xd0;

	return !by_cl && (by_one || d->imm & (d->opsize == 8 && operand_bytes(d, 0) == 8 ? 63 : 31));
}

/* What the instruction reads; the table says it of the worst case. */
static uint16_t flags_read(const Decoded *d)
{
	unsigned exec = d->row->exec;

	if (!is_shift(exec) || !shifts_for_sure(d))
		return d->row->flags_read;
	return exec == X_RCL || exec == X_RCR ? FLAG_CF : 0;
}

/* What it writes for sure; of what the manual leaves undefined, processors leave some as it was. */
static uint16_t flags_written(const Decoded *d)
{
	switch (d->row->exec) {
	case X_BT: case X_BTS: case X_BTR: case X_BTC:
	case X_BT_IMM: case X_BTS_IMM: case X_BTR_IMM: case X_BTC_IMM:
		return FLAG_CF;
	case X_BSF: case X_BSR:
		return FLAG_ZF;
	}
	if (is_shift(d->row->exec) && !shifts_for_sure(d))
		return 0;
	if (d->row->attrs & ATTR_REP && (d->rep || d->repne)) /* perhaps not once */
		return 0;
	return d->row->flags_written;
}

void flags_find_live(Trans *t)
{
	t->live[t->count] = ALL;
	for (unsigned k = t->count; k-- > 0;) {
		const Decoded *d = &t->d[k];
		/* a conditional jump has another way out */
		uint16_t after = d->row->exec == X_JCC ? ALL : t->live[k + 1];
		t->live[k] = (uint16_t)((after & ~flags_written(d)) | flags_read(d));
	}
}

/* RAX rests in R14 meanwhile. */
static void save(Emit *e)
{
	emit_mov_rr(e, 8, H_T2, H_RAX);
	e1(e, 0x9f); /* lahf */
	emit_rr(e, OP0F(0x90 | CC_O), 1, 0, H_RAX);
	emit_store(e, 2, H_RAX, CPU_AT(arith));
	emit_mov_rr(e, 8, H_RAX, H_T2);
}

void flags_load(Emit *e)
{
	emit_mov_rr(e, 8, H_T2, H_RAX);
	emit_rm(e, OP0F(0xb7), 4, H_RAX, CPU_AT(arith));
	e1(e, 0x04); /* add al, 127: overflows if AL was 1 */
	e1(e, 127);
	e1(e, 0x9e); /* sahf */
	emit_mov_rr(e, 8, H_RAX, H_T2);
}

void flags_save(Trans *t)
{
	if (t->flags == FLAGS_HOST && t->live[t->k])
		save(&t->e);
	t->flags = FLAGS_CPU;
}

void flags_save_all(Trans *t)
{
	if (t->flags == FLAGS_HOST)
		save(&t->e);
	t->flags = FLAGS_CPU;
}

void flags_want(Trans *t)
{
	const Decoded *d = now(t);
	bool touches = d->row->flags_written | d->row->flags_read;
	uint16_t kept = d->row->flags_written ? t->live[t->k + 1] & ~flags_written(d) : 0;

	if (t->flags == FLAGS_CPU && (flags_read(d) | kept))
		flags_load(&t->e);
	if (touches)
		t->flags = FLAGS_HOST;
}
