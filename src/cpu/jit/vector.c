/*
 * vector.c - MMX, SSE, AVX, AVX-512 and x87: the guest's instruction on the host's units (units.c).
 */
#include "cpu/interp/recode.h"
#include "cpu/jit/translate.h"

#define FCW_MASKS 0x3f
#define MXCSR_MASKS 0x1f80u
#define MXCSR_MAY_SET 0xffffu

static bool is_fldcw(const Decoded *d) { return d->row->vec & VEC_X87 && d->opcode == 0xd9 && d->row->reg == 5; }

/* MASKMOVQ, MASKMOVDQU: their memory operand is at RDI, and no ModRM says so. */
static bool hidden_operand(const OpRow *r) { return r->map == 1 && r->opcode == 0xf7; }

/* Rows with code of their own in interp/ that are plain instructions here all the same. */
static bool special_known(const Decoded *d)
{
	const OpRow *r = d->row;

	if (r->vec & (VEC_X87 | VEC_VSIB) || hidden_operand(r))
		return false;
	if (r->map == 1 && r->opcode == 0x77) /* VZEROUPPER in 32-bit code spares registers 8 to 15 */
		return d->code64;
	if (r->map == 1 && r->opcode == 0xae) /* VLDMXCSR, VSTMXCSR */
		return false;
	return !(d->row->enc == ENC_EVEX && d->is_mem); /* compress, expand: as much memory as the mask has bits */
}

bool vector_needs(const Decoded *d, uint8_t units[2])
{
	const OpRow *r = d->row;
	bool masks = false;

	units[0] = units[1] = 0;
	if (r->exec == X_LDMXCSR || r->exec == X_STMXCSR) {
		units[0] = UNITS_SSE;
		return r->enc == ENC_LEGACY;
	}
	if (r->exec == X_FWAIT) {
		units[1] = 1;
		return true;
	}
	if (r->exec != X_VEC || (r->vec & VEC_SPECIAL && !special_known(d)) || hidden_operand(r))
		return false;
	for (unsigned k = 0; k < 5 && r->operands[k]; k++)
		masks |= opnd_letter(r->operands[k]) == 'K';
	units[1] = !!(r->vec & (VEC_X87 | VEC_MMX));
	if (r->vec & VEC_X87)
		return true;
	units[0] = r->enc == ENC_EVEX || masks ? UNITS_AVX512 : r->enc == ENC_VEX ? UNITS_AVX : UNITS_SSE;
	return true;
}

/* The operand is aligned, or the handler raises what is due. */
static void check_alignment(Trans *t, Place m, unsigned size)
{
	bool at_base = m.index < 0 && !m.disp;

	flags_save(t);
	if (!at_base)
		emit_lea(&t->e, 8, H_T2, m);
	emit_rr(&t->e, OP(0xf6), 1, 0, at_base ? (unsigned)m.base : H_T2); /* test */
	e1(&t->e, size - 1);
	detour(t, emit_jcc(&t->e, CC_NE, NULL));
}

/*
 * R14 is the value to load, of which `looked_at` are the bits that matter: it masks every exception, or the handler loads
 * it. Gives its place, where no other vcpu can change it before the host reads it.
 */
static Place masked_value(Trans *t, uint32_t looked_at, uint32_t masks)
{
	emit_store(&t->e, 4, H_T2, CPU_AT(jit_scratch));
	emit_rr(&t->e, OP(0x81), 4, 4, H_T2); /* and */
	e4(&t->e, looked_at);
	emit_rr(&t->e, OP(0x81), 4, 7, H_T2); /* cmp */
	e4(&t->e, masks);
	detour(t, emit_jcc(&t->e, CC_NE, NULL));
	return CPU_AT(jit_scratch);
}

static bool mxcsr(Trans *t, bool load)
{
	Place m = mem_place(t, 4, !load);
	if (load) {
		flags_save(t);
		emit_load(&t->e, 4, H_T2, m);
		m = masked_value(t, ~MXCSR_MAY_SET | MXCSR_MASKS, MXCSR_MASKS);
	}
	emit_rm(&t->e, OP0F(0xae), 4, load ? 2 : 3, m);
	detours_end(t);
	return true;
}

static bool host_instruction(Trans *t)
{
	const Decoded *d = now(t);
	uint32_t vec = d->row->vec;
	unsigned size = d->is_mem ? decoded_mem_bytes(d) : 0;
	bool g = recode_names(d, 'G'), e = recode_names(d, 'E');

	if (d->is_mem && !size)
		return false;
	Place m = at(H_T1, 0);
	if (d->is_mem)
		m = mem_place(t, size, vec & (VEC_STORE | VEC_RMW));
	if (d->is_mem && vec & VEC_ALIGN && t->aligned < size)
		check_alignment(t, m, size);
	if (is_fldcw(d)) {
		flags_save(t);
		emit_rm(&t->e, OP0F(0xb7), 4, H_T2, m); /* movzx */
		m = masked_value(t, FCW_MASKS, FCW_MASKS);
	}
	flags_want(t);
	Recode with = { .mem = (uint8_t)m.base, .index = m.index, .scale = m.scale, .disp = m.disp };
	if (g)
		with.g = (uint8_t)use_reg(t, d->reg, 8, true, H_T2);
	if (e)
		with.e = (uint8_t)use_reg(t, d->rm, 8, true, H_T1);
	if (vec & VEC_X87)
		t->x87[t->x87_count++] = (JitX87){ (uint32_t)(emit_here(&t->e) - t->b->code),
						   (uint16_t)(t->end[t->k] - d->len) };
	t->e.p = recode(t->e.p, d, &with);
	if (vec & VEC_GPR && g)
		done_reg(t, d->reg, H_T2);
	else if (vec & VEC_GPR && e)
		done_reg(t, d->rm, H_T1);
	detours_end(t);
	return true;
}

bool trans_vector(Trans *t)
{
	const Decoded *d = now(t);
	uint8_t units[2];

	if (!vector_needs(d, units))
		return false;
	switch (d->row->exec) {
	case X_FWAIT: return true;
	case X_LDMXCSR: return mxcsr(t, true);
	case X_STMXCSR: return mxcsr(t, false);
	default: return host_instruction(t);
	}
}
