/*
 * vector_move.c - the commonest vector instructions without a thunk: plain moves, zeroing, and the byte and
 * logical operations of string functions, all on the flat state.
 *
 * SDM vol. 1, 14.1.3: a legacy instruction keeps what lies above the XMM register, VEX and EVEX clear it.
 * In these handlers Insn.reg and Insn.rm are vector numbers, aux says whether memory must be aligned.
 */
#include "cpu/interp/vector.h"

/* Everything enabled and nothing to save: else the full check, which raises what is due. */
#define CHECK(cpu, i, enc, needed) do { \
	(cpu)->cur = (i); \
	if (unlikely((cpu)->cr0 & (CR0_EM | CR0_TS) || !((cpu)->cr4 & CR4_OSFXSR) || \
		     ((needed) && (!((cpu)->cr4 & CR4_OSXSAVE) || ((cpu)->xcr0 & (needed)) != (needed))))) \
		vector_check_unit((cpu), (enc), 0); \
} while (0)

static uint64_t aligned_linear(Cpu *cpu, const Insn *i, unsigned size, bool write)
{
	uint64_t linear = linear_of(cpu, i, size, write);

	if (i->aux && linear & (size - 1))
		cpu_gp0(cpu);
	return linear;
}

static void __attribute__((noinline)) load_slow(Cpu *cpu, uint64_t linear, uint8_t *to, unsigned size)
{
	uint8_t buf[64];

	cpu_lin_read_buf(cpu, linear, buf, size, cpu_data_access(cpu));
	memcpy(to, buf, size);
}

/* `upto`: the register's bytes from `size` to there become 0. */
#define LOAD(name, enc, needed, size, upto) \
static const Insn *name(Cpu *cpu, const Insn *i) \
{ \
	uint8_t *to = cpu->vec.zmm[i->reg]; \
	CHECK(cpu, i, enc, needed); \
	uint64_t linear = aligned_linear(cpu, i, size, false); \
	const void *p = tlb_hit_read(cpu, linear, size); \
	if (likely(p)) \
		memcpy(to, p, size); \
	else \
		load_slow(cpu, linear, to, size); \
	memset(to + (size), 0, (upto) - (size)); \
	NEXT(cpu, i); \
}
#define STORE(name, enc, needed, size) \
static const Insn *name(Cpu *cpu, const Insn *i) \
{ \
	const uint8_t *from = cpu->vec.zmm[i->reg]; \
	CHECK(cpu, i, enc, needed); \
	uint64_t linear = aligned_linear(cpu, i, size, true); \
	void *p = tlb_hit_write(cpu, linear, size); \
	if (likely(p)) \
		memcpy(p, from, size); \
	else \
		cpu_lin_write_buf(cpu, linear, from, size, cpu_data_access(cpu)); \
	NEXT(cpu, i); \
}
/* From rm to reg. */
#define COPY(name, enc, needed, size, upto) \
static const Insn *name(Cpu *cpu, const Insn *i) \
{ \
	uint8_t *to = cpu->vec.zmm[i->reg]; \
	CHECK(cpu, i, enc, needed); \
	memmove(to, cpu->vec.zmm[i->rm], size); \
	memset(to + (size), 0, (upto) - (size)); \
	NEXT(cpu, i); \
}

#define SSE_MOVES(e, n) \
	LOAD(sse_load4, e, n, 4, 16) LOAD(sse_load8, e, n, 8, 16) LOAD(sse_load16, e, n, 16, 16) \
	STORE(sse_store4, e, n, 4) STORE(sse_store8, e, n, 8) STORE(sse_store16, e, n, 16) \
	COPY(sse_copy8, e, n, 8, 16) COPY(sse_copy16, e, n, 16, 16)
#define AVX_MOVES(p, e, n) \
	LOAD(p##_load4, e, n, 4, 64) LOAD(p##_load8, e, n, 8, 64) LOAD(p##_load16, e, n, 16, 64) \
	LOAD(p##_load32, e, n, 32, 64) \
	STORE(p##_store4, e, n, 4) STORE(p##_store8, e, n, 8) STORE(p##_store16, e, n, 16) \
	STORE(p##_store32, e, n, 32) \
	COPY(p##_copy8, e, n, 8, 64) COPY(p##_copy16, e, n, 16, 64) COPY(p##_copy32, e, n, 32, 64)
SSE_MOVES(ENC_LEGACY, 0u)
AVX_MOVES(avx, ENC_VEX, 6u)
AVX_MOVES(evex, ENC_EVEX, 0xe6u)
LOAD(evex_load64, ENC_EVEX, 0xe6u, 64, 64)
STORE(evex_store64, ENC_EVEX, 0xe6u, 64)
COPY(evex_copy64, ENC_EVEX, 0xe6u, 64, 64)

/* ---- [V]MOVD and [V]MOVQ with general registers: opsize 4 or 8; rm is an offset into Cpu.regs; aux: bytes kept ---- */
static const Insn *from_gpr(Cpu *cpu, const Insn *i)
{
	uint8_t *to = cpu->vec.zmm[i->reg];
	uint64_t v = i->opsize == 8 ? REG64(cpu, i->rm) : REG32(cpu, i->rm);

	cpu->cur = i;
	vector_check_unit(cpu, i->imm2, 0);
	memcpy(to, &v, 8);
	memset(to + 8, 0, i->aux - 8u);
	NEXT(cpu, i);
}

static const Insn *to_gpr(Cpu *cpu, const Insn *i)
{
	uint64_t v = 0;

	cpu->cur = i;
	vector_check_unit(cpu, i->imm2, 0);
	memcpy(&v, cpu->vec.zmm[i->reg], i->opsize);
	REG64(cpu, i->rm) = v;
	NEXT(cpu, i);
}

/* ---- legacy integer and logical operations on 16 bytes ---- */
typedef uint64_t V2 __attribute__((vector_size(16)));
typedef uint32_t V4 __attribute__((vector_size(16)));
typedef uint8_t V16 __attribute__((vector_size(16)));

#define BINARY(name, type, expression) \
static const Insn *name(Cpu *cpu, const Insn *i) \
{ \
	type a, b; \
	CHECK(cpu, i, ENC_LEGACY, 0u); \
	if (i->flags & INSN_MEM) { \
		uint64_t linear = aligned_linear(cpu, i, 16, false); \
		const void *p = tlb_hit_read(cpu, linear, 16); \
		if (likely(p)) \
			memcpy(&b, p, 16); \
		else \
			load_slow(cpu, linear, (uint8_t *)&b, 16); \
	} else { \
		memcpy(&b, cpu->vec.zmm[i->rm], 16); \
	} \
	memcpy(&a, cpu->vec.zmm[i->reg], 16); \
	a = (type)(expression); \
	memcpy(cpu->vec.zmm[i->reg], &a, 16); \
	NEXT(cpu, i); \
}
BINARY(op_xor, V2, a ^ b)
BINARY(op_or, V2, a | b)
BINARY(op_and, V2, a & b)
BINARY(op_andn, V2, ~a & b)
BINARY(op_eqb, V16, a == b)
BINARY(op_eqd, V4, a == b)
BINARY(op_addd, V4, a + b)
BINARY(op_addq, V2, a + b)
BINARY(op_subb, V16, a - b)
BINARY(op_minub, V16, (a & (V16)(a < b)) | (b & ~(V16)(a < b)))

static const Insn *op_movmskb(Cpu *cpu, const Insn *i) /* reg: offset into Cpu.regs */
{
	uint64_t half[2];

	CHECK(cpu, i, ENC_LEGACY, 0u);
	memcpy(half, cpu->vec.zmm[i->rm], 16);
	/* The product brings the eight top bits, 8 apart, side by side. */
	for (int k = 0; k < 2; k++)
		half[k] = ((half[k] >> 7 & 0x0101010101010101ull) * 0x0102040810204080ull) >> 56;
	REG64(cpu, i->reg) = half[0] | half[1] << 8;
	NEXT(cpu, i);
}

/* ---- binding ---- */
static InsnFn pick(unsigned enc, InsnFn sse, InsnFn avx, InsnFn evex)
{
	return enc == ENC_LEGACY ? sse : enc == ENC_VEX ? avx : evex;
}

static InsnFn load_of(unsigned enc, unsigned size)
{
	switch (size) {
	case 4: return pick(enc, sse_load4, avx_load4, evex_load4);
	case 8: return pick(enc, sse_load8, avx_load8, evex_load8);
	case 16: return pick(enc, sse_load16, avx_load16, evex_load16);
	case 32: return pick(enc, NULL, avx_load32, evex_load32);
	default: return pick(enc, NULL, NULL, evex_load64);
	}
}

static InsnFn store_of(unsigned enc, unsigned size)
{
	switch (size) {
	case 4: return pick(enc, sse_store4, avx_store4, evex_store4);
	case 8: return pick(enc, sse_store8, avx_store8, evex_store8);
	case 16: return pick(enc, sse_store16, avx_store16, evex_store16);
	case 32: return pick(enc, NULL, avx_store32, evex_store32);
	default: return pick(enc, NULL, NULL, evex_store64);
	}
}

static InsnFn copy_of(unsigned enc, unsigned size)
{
	switch (size) {
	case 8: return pick(enc, sse_copy8, avx_copy8, evex_copy8);
	case 16: return pick(enc, sse_copy16, avx_copy16, evex_copy16);
	case 32: return pick(enc, NULL, avx_copy32, evex_copy32);
	default: return pick(enc, NULL, NULL, evex_copy64);
	}
}

/* Is it a whole-vector or scalar move between a vector register and r/m? */
static bool plain_move(const OpRow *r)
{
	if (r->map == 2)
		return r->opcode == 0x2a && r->pfx == PFX_66; /* MOVNTDQA */
	if (r->map != 1)
		return false;
	switch (r->opcode) {
	case 0x10: case 0x11: /* the register forms of the scalars merge */
		return r->pfx <= PFX_66 || r->form == FORM_MEM || (r->enc == ENC_LEGACY);
	case 0x28: case 0x29: case 0x2b: case 0xe7: case 0xd6: return r->pfx <= PFX_66;
	case 0x6f: case 0x7f: return r->pfx != PFX_NP;
	case 0x7e: return r->pfx == PFX_F3;
	case 0xf0: return true; /* LDDQU */
	default: return false;
	}
}

static InsnFn bind_move_of(Binder *b, unsigned reg, unsigned rm)
{
	const Decoded *d = b->d;
	const OpRow *r = d->row;
	bool store = r->vec & VEC_STORE;
	unsigned size = decoded_mem_bytes(d);

	b->i->aux = !!(r->vec & VEC_ALIGN);
	b->i->reg = (uint8_t)reg;
	b->i->rm = (uint8_t)rm;
	if (d->is_mem)
		return store ? store_of(r->enc, size) : load_of(r->enc, size);
	if (r->map == 1 && (r->opcode | 1) == 0x11 && r->pfx > PFX_66)
		return NULL;
	if (store) {
		b->i->reg = (uint8_t)rm;
		b->i->rm = (uint8_t)reg;
	}
	return copy_of(r->enc, size);
}

static InsnFn bind_gpr_move(Binder *b, unsigned reg)
{
	const Decoded *d = b->d;

	b->i->reg = (uint8_t)reg;
	b->i->rm = (uint8_t)(d->rm * 8);
	b->i->opsize = d->w ? 8 : 4;
	b->i->aux = d->row->enc == ENC_LEGACY ? 16 : 64;
	b->i->imm2 = d->row->enc;
	return d->opcode == 0x6e ? from_gpr : to_gpr;
}

static InsnFn binary_of(const OpRow *r)
{
	if (r->enc != ENC_LEGACY || r->map != 1)
		return NULL;
	if (r->pfx <= PFX_66 && r->pfx != PFX_ANY)
		switch (r->opcode) {
		case 0x54: return op_and;
		case 0x55: return op_andn;
		case 0x56: return op_or;
		case 0x57: return op_xor;
		}
	if (r->pfx != PFX_66)
		return NULL;
	switch (r->opcode) {
	case 0x74: return op_eqb;
	case 0x76: return op_eqd;
	case 0xd4: return op_addq;
	case 0xda: return op_minub;
	case 0xdb: return op_and;
	case 0xdf: return op_andn;
	case 0xeb: return op_or;
	case 0xef: return op_xor;
	case 0xf8: return op_subb;
	case 0xfe: return op_addd;
	default: return NULL;
	}
}

InsnFn bind_vector_move(Binder *b)
{
	const Decoded *d = b->d;
	const OpRow *r = d->row;
	unsigned reg = d->reg | (d->evex_reg_hi ? 16u : 0);
	unsigned rm = d->rm | (r->enc == ENC_EVEX && d->rex & 2 ? 16u : 0);

	if (r->vec & (VEC_MMX | VEC_X87 | VEC_FP | VEC_SPECIAL) || d->evex_aaa)
		return NULL;
	if (r->map == 1 && r->pfx == PFX_66 && (r->opcode == 0x6e || r->opcode == 0x7e) && !d->is_mem)
		return bind_gpr_move(b, reg);
	if (plain_move(r))
		return bind_move_of(b, reg, rm);
	InsnFn fn = binary_of(r);
	if (fn) {
		b->i->aux = 1;
		b->i->reg = (uint8_t)reg;
		b->i->rm = (uint8_t)rm;
	} else if (r->enc == ENC_LEGACY && r->map == 1 && r->opcode == 0xd7 && r->pfx == PFX_66) {
		fn = op_movmskb;
		b->i->reg = (uint8_t)(d->reg * 8);
		b->i->rm = (uint8_t)rm;
	}
	return fn;
}
