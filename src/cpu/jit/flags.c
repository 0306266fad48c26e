/*
 * flags.c - where the guest's arithmetic flags are, and which of them are still of use.
 *
 * A flag that is overwritten before anything reads it is not kept: only the frame of an exception raised in
 * between could show it. At an exit of a block all flags are in Cpu.arith, unless the code it leads to, in the
 * same page, overwrites every one of them.
 */
#include "cpu/jit/translate.h"

#define ALL FLAGS_ARITH

static bool is_shift(unsigned exec)
{
	return exec == X_SHL || exec == X_SHR || exec == X_SAR || exec == X_ROL || exec == X_ROR || exec == X_RCL ||
	       exec == X_RCR || exec == X_SHLD || exec == X_SHRD;
}

static bool shifts_by_one(const Decoded *d) { return (d->opcode & 0xfe) == 0xd0; }

/* A shift by a constant that is not 0 after masking: it does write its flags. */
static bool shifts_for_sure(const Decoded *d)
{
	bool by_cl = d->row->exec == X_SHLD || d->row->exec == X_SHRD ? d->opcode & 1 : (d->opcode & 0xfe) == 0xd2;

	return !by_cl && (shifts_by_one(d) || d->imm & (d->opsize == 8 && operand_bytes(d, 0) == 8 ? 63 : 31));
}

uint16_t flags_read(const Decoded *d)
{
	unsigned exec = d->row->exec;

	if (!is_shift(exec) || !shifts_for_sure(d))
		return d->row->flags_read;
	return exec == X_RCL || exec == X_RCR ? FLAG_CF : 0;
}

uint16_t flags_written(const Decoded *d)
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
	if ((d->row->exec == X_RCL || d->row->exec == X_RCR) && !shifts_by_one(d)) /* of 9 or 17 bits: all the way round */
		return FLAG_CF;
	if (d->row->attrs & ATTR_REP && (d->rep || d->repne)) /* perhaps not once */
		return 0;
	return d->row->flags_written;
}

#define AHEAD_INSNS 6
#define AHEAD_BYTES 48u

/* The flags that code at `rip` reads before it writes them, as far as a look ahead shows. */
static uint16_t live_at(Trans *t, uint64_t rip)
{
	uint16_t live = 0, open = ALL;

	if (!same_page(t, rip))
		return ALL;
	const uint8_t *p = t->b->base.host + (int64_t)(rip - t->b->rip);
	unsigned left = MIN(AHEAD_BYTES, GUEST_PAGE_SIZE - (unsigned)((uintptr_t)p & (GUEST_PAGE_SIZE - 1)));
	/* A store there makes this block invalid as well. */
	icache_claim(t->cpu, p, left);
	for (unsigned n = 0; n < AHEAD_INSNS && open; n++) {
		Decoded d;
		if (decode(p, left, t->cpu->mode, t->cpu->features, &d) != DECODE_OK)
			break;
		if (d.row->attrs & (ATTR_END | ATTR_REP))
			break;
		live |= flags_read(&d) & open;
		open &= (uint16_t)~flags_written(&d);
		p += d.len;
		left -= d.len;
	}
	return live | open;
}

/* Direct branches know where they go; of other ends of a block nothing is known. */
static uint16_t live_behind(Trans *t, unsigned k)
{
	const Decoded *d = &t->d[k];
	unsigned exec = d->row->exec;
	uint16_t next = t->live[k + 1];

	if (exec == X_JCC || exec == X_JMP || exec == X_CALL)
		t->live_taken[k] = live_at(t, target_of(t, k));
	if (exec == X_JCC)
		return next | t->live_taken[k];
	if (exec == X_JMP || exec == X_CALL)
		return t->live_taken[k];
	return d->row->attrs & ATTR_END ? ALL : next;
}

void flags_find_live(Trans *t)
{
	t->live[t->count] = live_at(t, cut_rip(t, t->b->rip + t->end[t->count - 1]));
	for (unsigned k = t->count; k-- > 0;) {
		const Decoded *d = &t->d[k];
		uint16_t after = live_behind(t, k);
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

void flags_save_if(Trans *t, uint16_t live)
{
	if (live)
		flags_save_all(t);
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
