/*
 * bind.c - from a decoded instruction to a handler with its operands in place.
 */
#include "cpu/interp/interp.h"

unsigned reg_offset(const Decoded *d, unsigned n, unsigned size)
{
	/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
	if (size == 1 && !d->rex_present && d->row->enc == ENC_LEGACY && n >= 4 && n < 8)
		return (n - 4) * 8 + 1;
	return n * 8;
}

unsigned operand_bytes(const Decoded *d, unsigned k)
{
	uint8_t o = d->row->operands[k];

	switch (o) {
	case OPND_al: return 1;
	case OPND_rax: return d->opsize;
	case OPND_sIb: return d->opsize;
	}
	switch (opnd_size(o)) {
	case 'b': return 1;
	case 'w': return 2;
	case 'd': return 4;
	case 'q': return 8;
	case 'y': return d->w ? 8 : 4;
	default: return d->opsize;
	}
}

static void bind_operand(const Decoded *d, unsigned k, Insn *i)
{
	uint8_t o = d->row->operands[k];
	unsigned size = operand_bytes(d, k);

	switch (opnd_letter(o)) {
	case 'E': case 'R':
		if (!d->is_mem)
			i->rm = (uint8_t)reg_offset(d, d->rm, size);
		break;
	case 'G': i->reg = (uint8_t)reg_offset(d, d->reg, size); break;
	case 'Z': {
		unsigned off = reg_offset(d, (d->opcode & 7) | (d->rex & 1 ? 8 : 0), size);
		i->rm = (uint8_t)off;
		break;
	}
	case 'a': case 'r': /* al, rax */
		if (o == OPND_al || o == OPND_rax) {
			if (k == 0)
				i->rm = RAX * 8;
			else
				i->reg = RAX * 8;
		}
		break;
	}
}

static void bind_address(const Cpu *cpu, const Decoded *d, Insn *i)
{
	bool code64 = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;

	i->base = (uint8_t)(d->base * 8);
	i->index = (uint8_t)(d->index * 8);
	i->scale = d->scale;
	i->disp = d->disp;
	if (d->base == SLOT_RIP && d->is_mem) /* relative to the block's start; disp holds the length already */
		i->disp += (int64_t)(i->end - d->len);
	i->amask = d->asize == 8 ? UINT64_MAX : d->asize == 4 ? UINT32_MAX : UINT16_MAX;
	i->seg = d->seg;
	/* Through CS nothing is written, however flat it is. */
	if (!code64 && (!(cpu->mode & MODE_FLAT) || d->seg == CS || d->seg == FS || d->seg == GS))
		i->seg |= INSN_SEGCHECK;
}

void bind_insn(const Cpu *cpu, const Decoded *d, unsigned end, Insn *i)
{
	Binder b = {cpu, d, i};

	memset(i, 0, sizeof(*i));
	i->end = (uint16_t)end;
	i->len = d->len;
	i->opsize = d->opsize;
	i->imm = d->imm;
	i->imm2 = d->imm2;
	i->flags = (uint8_t)((d->rep ? INSN_REP : 0) | (d->repne ? INSN_REPNE : 0) | (d->lock ? INSN_LOCK : 0) |
			     (d->is_mem ? INSN_MEM : 0) | (d->asize == 2 ? INSN_ASZ16 : 0) |
			     (d->asize == 4 ? INSN_ASZ32 : 0) | (d->w ? INSN_REXW : 0));
	bind_address(cpu, d, i);
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++)
		bind_operand(d, k, i);
	static InsnFn (*const binders[])(Binder *) = {bind_move, bind_alu, bind_branch, bind_shift,
						      bind_bits, bind_string, bind_system, bind_vector};
	for (unsigned k = 0; k < G_N_ELEMENTS(binders) && !i->fn; k++)
		i->fn = binders[k](&b);
	if (!i->fn)
		i->fn = x_ud;
}
