/*
 * recode.c - see recode.h.
 */
#include "cpu/interp/recode.h"

typedef struct Out {
	uint8_t *p;
	const Decoded *d;
	const Recode *with;
	unsigned reg, rm, vvvv; /* rm: the base of a memory operand */
	unsigned x;             /* the bit that extends its index, or rm as a register */
} Out;

static void b1(Out *o, unsigned v) { *o->p++ = (uint8_t)v; }
static void b4(Out *o, uint32_t v)
{
	memcpy(o->p, &v, 4);
	o->p += 4;
}

bool recode_names(const Decoded *d, char which)
{
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++) {
		char letter = opnd_letter(d->row->operands[k]);
		if (which == 'E' ? !d->is_mem && (letter == 'E' || letter == 'R') : letter == which)
			return true;
	}
	return false;
}

/* MMX and mask registers: the extension bits do not count. */
static bool only_eight(const Decoded *d, bool in_rm)
{
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++) {
		char o = opnd_letter(d->row->operands[k]);
		if (in_rm ? o == 'Q' || o == 'N' || (o == 'K' && opnd_size(d->row->operands[k]) == 'm') : o == 'P')
			return !(in_rm && d->is_mem);
	}
	return false;
}

static bool has_imm8(const Decoded *d)
{
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++)
		if (opnd_letter(d->row->operands[k]) == 'I' || opnd_letter(d->row->operands[k]) == 'L')
			return true;
	return false;
}

/* Mandatory prefixes, REX or VEX or EVEX, opcode. */
static void put_opcode(Out *o)
{
	const Decoded *d = o->d;
	static const uint8_t prefix[] = {0, 0, 0x66, 0xf3, 0xf2};
	static const uint8_t pp[] = {0, 0, 1, 2, 3};
	unsigned r = o->reg >> 3 & 1, b = o->rm >> 3 & 1;

	if (d->row->enc == ENC_LEGACY) {
		if (d->row->pfx > PFX_NP)
			b1(o, prefix[d->row->pfx]);
		if (d->w || r || o->x || b)
			b1(o, 0x40 | (unsigned)d->w << 3 | r << 2 | o->x << 1 | b);
		if (d->row->map)
			b1(o, 0x0f);
		if (d->row->map > 1)
			b1(o, d->row->map == 2 ? 0x38 : 0x3a);
	} else if (d->row->enc == ENC_VEX) {
		b1(o, 0xc4);
		b1(o, (!r << 7 | !o->x << 6 | !b << 5 | d->row->map));
		b1(o, (unsigned)d->w << 7 | (~o->vvvv & 15u) << 3 | (unsigned)d->vl << 2 | pp[d->row->pfx]);
	} else {
		b1(o, 0x62);
		b1(o, (!r << 7 | !o->x << 6 | !b << 5 | !(o->reg >> 4 & 1) << 4 | d->row->map));
		b1(o, (unsigned)d->w << 7 | (~o->vvvv & 15u) << 3 | 4 | pp[d->row->pfx]);
		b1(o, (unsigned)d->evex_z << 7 | (unsigned)d->vl << 5 | (unsigned)d->evex_b << 4 |
		      (unsigned)!d->evex_v_hi << 3 | d->evex_aaa);
	}
	b1(o, d->opcode);
}

/* ModRM, SIB, displacement. EVEX scales a short one, so it gets a long one; R13 and RBP need one to be a base. */
static void put_place(Out *o, unsigned reg)
{
	int32_t disp = o->with->disp;
	int index = o->with->index;
	bool sib = index >= 0 || (o->rm & 7) == 4, small = disp >= -128 && disp < 128 && (!disp || o->d->row->enc != ENC_EVEX);
	unsigned mod = !disp && (o->rm & 7) != 5 ? 0 : small ? 1 : 2;

	b1(o, mod << 6 | (reg & 7) << 3 | (sib ? 4 : o->rm & 7));
	if (sib)
		b1(o, (unsigned)o->with->scale << 6 | (index < 0 ? 4u : (unsigned)index & 7) << 3 | (o->rm & 7));
	if (mod == 1)
		b1(o, (unsigned)disp);
	else if (mod == 2)
		b4(o, (uint32_t)disp);
}

static uint8_t *recode_x87(Out *o)
{
	if (o->d->is_mem) {
		if (o->rm & 8 || o->x)
			b1(o, 0x40 | o->x << 1 | (o->rm >> 3 & 1));
		b1(o, o->d->opcode);
		put_place(o, o->d->modrm >> 3);
	} else {
		b1(o, o->d->opcode);
		b1(o, o->d->modrm);
	}
	return o->p;
}

uint8_t *recode(uint8_t *p, const Decoded *d, const Recode *with)
{
	bool evex = d->row->enc == ENC_EVEX;
	Out o = { .p = p, .d = d, .with = with };

	o.reg = recode_names(d, 'G') ? with->g : d->row->reg >= 0 ? (unsigned)d->row->reg :
		only_eight(d, false) ? d->reg & 7u : d->reg | (d->evex_reg_hi ? 16u : 0);
	o.rm = d->is_mem ? with->mem : recode_names(d, 'E') ? with->e :
	       only_eight(d, true) ? d->rm & 7u : d->rm | (evex && d->rex & 2 ? 16u : 0);
	o.x = !d->is_mem ? o.rm >> 4 & 1 : with->index >= 8;
	o.vvvv = recode_names(d, 'B') ? with->v : d->vvvv;
	if (d->row->vec & VEC_X87)
		return recode_x87(&o);
	put_opcode(&o);
	if (d->has_modrm && d->is_mem)
		put_place(&o, o.reg);
	else if (d->has_modrm)
		b1(&o, 0xc0u | (o.reg & 7) << 3 | (o.rm & 7));
	if (has_imm8(d)) /* the register in imm8[7:4]: its top bit counts in 64-bit mode only */
		b1(&o, (uint8_t)d->imm & (d->code64 || opnd_letter(d->row->operands[3]) != 'L' ? 0xff : 0x7f));
	return o.p;
}
