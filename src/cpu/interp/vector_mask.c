/*
 * vector_mask.c - vector instructions that touch memory element by element: gathers and scatters, AVX masked
 * moves, compress and expand.
 *
 * SDM vol. 2: VPGATHERDD, VPSCATTERDD, VMASKMOV, VPCOMPRESSD, VPEXPANDD and their kin. Elements are taken from
 * the lowest up, so that whatever faults, all below it are done and their mask bits clear.
 */
#include "cpu/interp/vector.h"

/* Packed into Insn.imm: everything but the address, which is Insn's. */
typedef union MaskOp {
	struct {
		uint8_t reg;      /* the vector loaded or stored */
		uint8_t mask;     /* vector register or, EVEX, k register; 0xff: none */
		uint8_t index;    /* vector of indices */
		uint8_t elem, index_elem;
		uint8_t lanes;
		uint8_t vl;       /* bytes */
		uint8_t zeroing : 1, scatter : 1, evex : 1;
	};
	int64_t raw;
} MaskOp;
G_STATIC_ASSERT(sizeof(MaskOp) == 8);

static MaskOp op_of(const Insn *i) { return (MaskOp){ .raw = i->imm }; }

static void check(Cpu *cpu, const Insn *i, MaskOp op)
{
	cpu->cur = i;
	vector_check_unit(cpu, op.evex ? ENC_EVEX : ENC_VEX, 0);
}

/* The linear address of an operand part `offset` bytes from the effective address. */
static uint64_t part(Cpu *cpu, const Insn *i, uint64_t ea, unsigned size, bool write)
{
	ea &= i->amask;
	if (unlikely(i->seg & INSN_SEGCHECK))
		return interp_seg_linear(cpu, i->seg & 0x7f, ea, size, write);
	return cpu->seg[i->seg].base + ea;
}

static bool sign_of(const uint8_t *element, unsigned size) { return element[size - 1] >> 7; }

static void zero_from(Cpu *cpu, unsigned reg, unsigned at)
{
	if (at < 64)
		memset(cpu->vec.zmm[reg] + at, 0, 64 - at);
}

/* ---- gathers and scatters ---- */
static uint64_t element_ea(Cpu *cpu, const Insn *i, MaskOp op, unsigned k)
{
	const uint8_t *at = cpu->vec.zmm[op.index] + k * op.index_elem;
	int64_t v;

	if (op.index_elem == 4) {
		int32_t narrow;
		memcpy(&narrow, at, 4);
		v = narrow;
	} else {
		memcpy(&v, at, 8);
	}
	return REG64(cpu, i->base) + ((uint64_t)v << i->scale) + (uint64_t)i->disp;
}

static const Insn *gather_evex(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	uint64_t *k = &cpu->vec.k[op.mask];
	uint8_t *reg = cpu->vec.zmm[op.reg];

	check(cpu, i, op);
	for (unsigned n = 0; n < op.lanes; n++) {
		if (!(*k >> n & 1))
			continue;
		uint64_t linear = part(cpu, i, element_ea(cpu, i, op, n), op.elem, op.scatter);
		if (op.scatter) {
			uint64_t v = 0;
			memcpy(&v, reg + n * op.elem, op.elem);
			store_lin(cpu, linear, v, op.elem);
		} else {
			uint64_t v = load_lin(cpu, linear, op.elem);
			memcpy(reg + n * op.elem, &v, op.elem);
			zero_from(cpu, op.reg, op.vl);
		}
		*k &= ~(1ull << n);
	}
	*k = 0;
	if (!op.scatter)
		zero_from(cpu, op.reg, op.lanes * op.elem);
	NEXT(cpu, i);
}

static const Insn *gather_vex(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	uint8_t *mask = cpu->vec.zmm[op.mask], *reg = cpu->vec.zmm[op.reg];

	check(cpu, i, op);
	for (unsigned n = 0; n < op.vl / op.elem; n++)
		memset(mask + n * op.elem, sign_of(mask + n * op.elem, op.elem) ? 0xff : 0, op.elem);
	zero_from(cpu, op.mask, op.vl);
	for (unsigned n = 0; n < op.lanes; n++) {
		if (!mask[n * op.elem])
			continue;
		uint64_t v = load_lin(cpu, part(cpu, i, element_ea(cpu, i, op, n), op.elem, false), op.elem);
		memcpy(reg + n * op.elem, &v, op.elem);
		memset(mask + n * op.elem, 0, op.elem);
		zero_from(cpu, op.reg, op.vl);
	}
	zero_from(cpu, op.mask, 0);
	zero_from(cpu, op.reg, op.lanes * op.elem);
	NEXT(cpu, i);
}

/* ---- VMASKMOVPS, VPMASKMOVD and the like: the mask is the elements' signs ---- */
static const Insn *maskmov_load(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	const uint8_t *mask = cpu->vec.zmm[op.mask];
	uint64_t ea = ea_of(cpu, i);
	uint8_t out[32] = {0};

	check(cpu, i, op);
	for (unsigned n = 0; n < op.lanes; n++)
		if (sign_of(mask + n * op.elem, op.elem)) {
			uint64_t v = load_lin(cpu, part(cpu, i, ea + n * op.elem, op.elem, false), op.elem);
			memcpy(out + n * op.elem, &v, op.elem);
		}
	memcpy(cpu->vec.zmm[op.reg], out, 32);
	zero_from(cpu, op.reg, 32);
	NEXT(cpu, i);
}

static const Insn *maskmov_store(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	const uint8_t *mask = cpu->vec.zmm[op.mask], *reg = cpu->vec.zmm[op.reg];
	unsigned access = MEM_WRITE | cpu_data_access(cpu);
	uint64_t ea = ea_of(cpu, i);

	check(cpu, i, op);
	for (unsigned n = 0; n < op.lanes; n++)
		if (sign_of(mask + n * op.elem, op.elem))
			cpu_lin_probe(cpu, part(cpu, i, ea + n * op.elem, op.elem, true), op.elem, access);
	for (unsigned n = 0; n < op.lanes; n++)
		if (sign_of(mask + n * op.elem, op.elem)) {
			uint64_t v = 0;
			memcpy(&v, reg + n * op.elem, op.elem);
			store_lin(cpu, part(cpu, i, ea + n * op.elem, op.elem, true), v, op.elem);
		}
	NEXT(cpu, i);
}

/* ---- compress to memory, expand from memory: only the bytes of live elements are touched ---- */
static uint64_t live(const Cpu *cpu, MaskOp op)
{
	uint64_t all = op.lanes == 64 ? UINT64_MAX : (1ull << op.lanes) - 1;

	return op.mask ? cpu->vec.k[op.mask] & all : all;
}

static const Insn *compress(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	uint8_t out[64];
	unsigned len = 0;

	check(cpu, i, op);
	for (uint64_t k = live(cpu, op); k; k &= k - 1, len += op.elem)
		memcpy(out + len, cpu->vec.zmm[op.reg] + (unsigned)__builtin_ctzll(k) * op.elem, op.elem);
	if (len)
		cpu_lin_write_buf(cpu, part(cpu, i, ea_of(cpu, i), len, true), out, len, cpu_data_access(cpu));
	NEXT(cpu, i);
}

static const Insn *expand(Cpu *cpu, const Insn *i)
{
	MaskOp op = op_of(i);
	uint64_t k = live(cpu, op);
	unsigned len = (unsigned)__builtin_popcountll(k) * op.elem;
	uint8_t in[64], *reg = cpu->vec.zmm[op.reg];

	check(cpu, i, op);
	if (len)
		cpu_lin_read_buf(cpu, part(cpu, i, ea_of(cpu, i), len, false), in, len, cpu_data_access(cpu));
	if (op.zeroing)
		zero_from(cpu, op.reg, 0);
	else
		zero_from(cpu, op.reg, op.vl);
	for (unsigned at = 0; k; k &= k - 1, at += op.elem)
		memcpy(reg + (unsigned)__builtin_ctzll(k) * op.elem, in + at, op.elem);
	NEXT(cpu, i);
}

/* ---- binding ---- */
static InsnFn bind_gather(Binder *b, MaskOp *op)
{
	const Decoded *d = b->d;

	op->index = d->index;
	op->index_elem = d->opcode & 1 ? 8 : 4;
	op->lanes = (uint8_t)(op->vl / MAX(op->elem, op->index_elem));
	op->scatter = !!(d->row->vec & VEC_STORE);
	b->i->index = SLOT_ZERO * 8;
	if (op->evex)
		return gather_evex;
	op->mask = d->vvvv;
	return gather_vex;
}

InsnFn bind_vector_mask(Binder *b)
{
	const Decoded *d = b->d;
	uint32_t vec = d->row->vec;
	MaskOp op = { .reg = (uint8_t)(d->reg | (d->evex_reg_hi ? 16 : 0)), .mask = d->evex_aaa,
		      .elem = vec & VEC_ELEM1 ? 1 : vec & VEC_ELEM2 ? 2 : vec & VEC_ELEM4 ? 4 : 8,
		      .vl = (uint8_t)(16u << d->vl), .zeroing = d->evex_z, .evex = d->row->enc == ENC_EVEX };
	InsnFn fn;

	if (d->row->enc == ENC_LEGACY || !d->is_mem)
		return NULL;
	op.lanes = op.vl / op.elem;
	if (vec & VEC_VSIB) {
		fn = bind_gather(b, &op);
	} else if (op.evex) {
		fn = vec & VEC_STORE ? compress : expand;
	} else {
		op.mask = d->vvvv;
		fn = vec & VEC_STORE ? maskmov_store : maskmov_load;
	}
	b->i->imm = op.raw;
	return fn;
}
