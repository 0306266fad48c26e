/*
 * shift.c - shifts and rotates, double shifts, multiply and divide.
 *
 * SDM vol. 2. The host's own instruction computes value and flags; a masked count of
 * zero leaves the flags alone, which is why they go in as well as out.
 */
#include "cpu/interp/interp.h"

typedef uint64_t (*ShiftFn)(uint64_t value, uint8_t count, uint16_t *arith);

/* AX <-> flags around one instruction: ADD AL,127 sets OF from AL bit 0, SAHF the rest. */
#define FLAGS_IN "add $127, %%al\n\tsahf\n\t"
#define FLAGS_OUT "\n\tlahf\n\tseto %%al"

#define DEF_SHIFT(op, n, s) \
	static uint64_t op##n(uint64_t value, uint8_t count, uint16_t *arith) \
	{ \
		uint##n##_t v = (uint##n##_t)value; \
		uint16_t ar = *arith; \
		asm(FLAGS_IN #op s " %%cl, %0" FLAGS_OUT : "+&r"(v), "+&a"(ar) : "c"(count) : "cc"); \
		*arith = ar & 0xd501; \
		return v; \
	}
#define SHIFT_ALL(op) DEF_SHIFT(op, 8, "b") DEF_SHIFT(op, 16, "w") DEF_SHIFT(op, 32, "l") DEF_SHIFT(op, 64, "q")
SHIFT_ALL(rol)
SHIFT_ALL(ror)
SHIFT_ALL(rcl)
SHIFT_ALL(rcr)
SHIFT_ALL(shl)
SHIFT_ALL(shr)
SHIFT_ALL(sar)
#define SHIFT_ROW(op) {op##8, op##16, op##32, op##64}
static const ShiftFn shift_fn[8][4] = {SHIFT_ROW(rol), SHIFT_ROW(ror), SHIFT_ROW(rcl), SHIFT_ROW(rcr),
				       SHIFT_ROW(shl), SHIFT_ROW(shr), SHIFT_ROW(shl), SHIFT_ROW(sar)};

static inline unsigned log2_size(unsigned size) { return size == 8 ? 3 : size >> 1; }

/* aux: operation; opsize: size; count: CL or immediate. */
static inline const Insn *shift(Cpu *cpu, const Insn *i, uint8_t count)
{
	unsigned size = i->opsize;
	uint16_t arith = cpu->arith;

	if (i->flags & INSN_MEM) {
		cpu->cur = i;
		uint64_t linear = linear_of(cpu, i, size, true);
		cpu_lin_rmw(cpu, linear, size); /* a fault is a write fault */
		uint64_t v = shift_fn[i->aux][log2_size(size)](load_lin(cpu, linear, size), count, &arith);
		store_lin(cpu, linear, v, size);
	} else {
		uint64_t v = shift_fn[i->aux][log2_size(size)](get_reg(cpu, i->rm, size), count, &arith);
		set_reg(cpu, i->rm, v, size);
	}
	cpu->arith = arith;
	NEXT(cpu, i);
}
static const Insn *shift_imm(Cpu *cpu, const Insn *i) { return shift(cpu, i, (uint8_t)i->imm); }
static const Insn *shift_cl(Cpu *cpu, const Insn *i) { return shift(cpu, i, REG8(cpu, RCX * 8)); }

/* The hot ones: SHL, SHR, SAR of a 32- or 64-bit register by an immediate that is not 0 when masked. */
#define DEF_HOT(op, n, s) \
	static const Insn *op##n##_hot(Cpu *cpu, const Insn *i) \
	{ \
		uint##n##_t v = REG##n(cpu, i->rm); \
		uint16_t ar; \
		asm(#op s " %%cl, %0" FLAGS_OUT : "+&r"(v), "=&a"(ar) : "c"((uint8_t)i->imm) : "cc"); \
		cpu->arith = ar; \
		set_reg##n(cpu, i->rm, v); \
		NEXT(cpu, i); \
	}
DEF_HOT(shl, 32, "l")
DEF_HOT(shl, 64, "q")
DEF_HOT(shr, 32, "l")
DEF_HOT(shr, 64, "q")
DEF_HOT(sar, 32, "l")
DEF_HOT(sar, 64, "q")

#define DEF_DOUBLE(op, n, s) \
	static uint64_t op##n(uint64_t value, uint64_t fill, uint8_t count, uint16_t *arith) \
	{ \
		uint##n##_t v = (uint##n##_t)value; \
		uint16_t ar = *arith; \
		asm(FLAGS_IN #op s " %%cl, %3, %0" FLAGS_OUT : "+&r"(v), "+&a"(ar) : "c"(count), "r"((uint##n##_t)fill) : "cc"); \
		*arith = ar & 0xd501; \
		return v; \
	}
DEF_DOUBLE(shld, 16, "w")
DEF_DOUBLE(shld, 32, "l")
DEF_DOUBLE(shld, 64, "q")
DEF_DOUBLE(shrd, 16, "w")
DEF_DOUBLE(shrd, 32, "l")
DEF_DOUBLE(shrd, 64, "q")

static const Insn *double_shift(Cpu *cpu, const Insn *i)
{
	static uint64_t (*const fn[2][3])(uint64_t, uint64_t, uint8_t, uint16_t *) = {
		{shld16, shld32, shld64}, {shrd16, shrd32, shrd64}};
	unsigned size = i->opsize;
	uint8_t count = i->imm2 ? REG8(cpu, RCX * 8) : (uint8_t)i->imm;
	uint64_t fill = get_reg(cpu, i->reg, size), linear = 0, v;
	uint16_t arith = cpu->arith;

	cpu->cur = i;
	if (i->flags & INSN_MEM) {
		linear = linear_of(cpu, i, size, true);
		cpu_lin_rmw(cpu, linear, size);
		v = load_lin(cpu, linear, size);
	} else {
		v = get_reg(cpu, i->rm, size);
	}
	v = fn[i->aux][log2_size(size) - 1](v, fill, count, &arith);
	if (i->flags & INSN_MEM)
		store_lin(cpu, linear, v, size);
	else
		set_reg(cpu, i->rm, v, size);
	cpu->arith = arith;
	NEXT(cpu, i);
}

/* ---- multiply ---- */
#define DEF_IMUL(n, s) \
	static uint64_t imul2_##n(Cpu *cpu, uint64_t a, uint64_t b) \
	{ \
		uint##n##_t v = (uint##n##_t)a; \
		uint16_t ar; \
		asm("imul" s " %2, %0" FLAGS_OUT : "+&r"(v), "=&a"(ar) : "r"((uint##n##_t)b) : "cc"); \
		cpu->arith = ar; \
		return v; \
	}
DEF_IMUL(16, "w")
DEF_IMUL(32, "l")
DEF_IMUL(64, "q")
static uint64_t (*const imul_fn[3])(Cpu *, uint64_t, uint64_t) = {imul2_16, imul2_32, imul2_64};

static const Insn *imul2(Cpu *cpu, const Insn *i)
{
	uint64_t b = load_rm(cpu, i, i->opsize);
	set_reg(cpu, i->reg, imul_fn[log2_size(i->opsize) - 1](cpu, get_reg(cpu, i->reg, i->opsize), b), i->opsize);
	NEXT(cpu, i);
}
static const Insn *imul3(Cpu *cpu, const Insn *i)
{
	uint64_t a = load_rm(cpu, i, i->opsize);
	set_reg(cpu, i->reg, imul_fn[log2_size(i->opsize) - 1](cpu, a, (uint64_t)i->imm), i->opsize);
	NEXT(cpu, i);
}

/* MUL and IMUL of one operand; flags come out through memory, since AX is a result. */
#define DEF_MUL(op, n, s) \
	static void op##_##n(uint64_t *lo, uint64_t *hi, uint64_t b, uint16_t *arith) \
	{ \
		uint##n##_t a = (uint##n##_t)*lo, d = (uint##n##_t)*hi; \
		uint64_t flags; \
		asm(#op s " %3\n\tpushfq\n\tpopq %2" : "+&a"(a), "+&d"(d), "=&r"(flags) : "r"((uint##n##_t)b) : "cc", "memory"); \
		*lo = a; \
		*hi = d; \
		*arith = cpu_flags_to_arith((uint32_t)flags); \
	}
DEF_MUL(mul, 16, "w")
DEF_MUL(mul, 32, "l")
DEF_MUL(mul, 64, "q")
DEF_MUL(imul, 16, "w")
DEF_MUL(imul, 32, "l")
DEF_MUL(imul, 64, "q")

static void mul_8(uint64_t *ax, uint64_t b, bool sign, uint16_t *arith)
{
	uint16_t a = (uint8_t)*ax;
	uint64_t flags;

	if (sign)
		asm("imulb %2\n\tpushfq\n\tpopq %1" : "+&a"(a), "=&r"(flags) : "r"((uint8_t)b) : "cc", "memory");
	else
		asm("mulb %2\n\tpushfq\n\tpopq %1" : "+&a"(a), "=&r"(flags) : "r"((uint8_t)b) : "cc", "memory");
	*ax = a;
	*arith = cpu_flags_to_arith((uint32_t)flags);
}

static const Insn *mul1(Cpu *cpu, const Insn *i)
{
	static void (*const fn[2][3])(uint64_t *, uint64_t *, uint64_t, uint16_t *) = {
		{mul_16, mul_32, mul_64}, {imul_16, imul_32, imul_64}};
	unsigned size = i->opsize;
	uint64_t b = load_rm(cpu, i, size), lo = cpu->regs[RAX], hi = cpu->regs[RDX];

	if (size == 1) {
		mul_8(&lo, b, i->aux, &cpu->arith);
		set_reg16(cpu, RAX * 8, (uint16_t)lo);
	} else {
		fn[i->aux][log2_size(size) - 1](&lo, &hi, b, &cpu->arith);
		set_reg(cpu, RAX * 8, lo, size);
		set_reg(cpu, RDX * 8, hi, size);
	}
	NEXT(cpu, i);
}

/* ---- divide: #DE is found before the host would raise it ---- */
static const Insn *div1(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize, bits = size * 8;
	uint64_t b = load_rm(cpu, i, size);
	uint64_t max = ~0ull >> (64 - bits);
	unsigned __int128 n;

	cpu->cur = i;
	if (size == 1)
		n = REG16(cpu, RAX * 8);
	else
		n = (unsigned __int128)get_reg(cpu, RDX * 8, size) << bits | get_reg(cpu, RAX * 8, size);
	if (b == 0 || n / b > max)
		cpu_exception(cpu, EXC_DE);
	uint64_t q = (uint64_t)(n / b), r = (uint64_t)(n % b);
	if (size == 1) {
		set_reg16(cpu, RAX * 8, (uint16_t)(q | r << 8));
	} else {
		set_reg(cpu, RAX * 8, q, size);
		set_reg(cpu, RDX * 8, r, size);
	}
	NEXT(cpu, i);
}

static __int128 sign_extend(unsigned __int128 v, unsigned bits)
{
	return (__int128)(v << (128 - bits)) >> (128 - bits);
}

static const Insn *idiv1(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize, bits = size * 8;
	__int128 b = sign_extend(load_rm(cpu, i, size), bits), n;

	cpu->cur = i;
	if (size == 1)
		n = (int16_t)REG16(cpu, RAX * 8);
	else
		n = sign_extend((unsigned __int128)get_reg(cpu, RDX * 8, size) << bits | get_reg(cpu, RAX * 8, size), 2 * bits);
	/* The most negative dividend over -1 does not fit __int128 for size 8. */
	if (b == 0 || (b == -1 && n == (__int128)((unsigned __int128)1 << 127)))
		cpu_exception(cpu, EXC_DE);
	__int128 q = n / b, r = n % b;
	if (q != sign_extend((unsigned __int128)q, bits))
		cpu_exception(cpu, EXC_DE);
	if (size == 1) {
		set_reg16(cpu, RAX * 8, (uint16_t)((uint8_t)q | (uint16_t)(uint8_t)r << 8));
	} else {
		set_reg(cpu, RAX * 8, (uint64_t)q, size);
		set_reg(cpu, RDX * 8, (uint64_t)r, size);
	}
	NEXT(cpu, i);
}

static InsnFn hot_shift(unsigned exec, unsigned size)
{
	switch (exec) {
	case X_SHL: return size == 4 ? shl32_hot : shl64_hot;
	case X_SHR: return size == 4 ? shr32_hot : shr64_hot;
	case X_SAR: return size == 4 ? sar32_hot : sar64_hot;
	}
	return NULL;
}

static InsnFn bind_shift_op(Binder *b, unsigned op)
{
	const Decoded *d = b->d;
	unsigned size = operand_bytes(d, 0);

	b->i->aux = (uint8_t)op;
	b->i->opsize = (uint8_t)size;
	if (d->row->operands[1] == OPND_cl)
		return shift_cl;
	if (d->row->operands[1] == OPND_1)
		b->i->imm = 1;
	bool nonzero = b->i->imm & (size == 8 ? 63 : 31);
	if (size >= 4 && !d->is_mem && nonzero && hot_shift(d->row->exec, size))
		return hot_shift(d->row->exec, size);
	return shift_imm;
}

InsnFn bind_shift(Binder *b)
{
	static const uint16_t ops[8] = {X_ROL, X_ROR, X_RCL, X_RCR, X_SHL, X_SHR, X_SHL, X_SAR};
	const Decoded *d = b->d;
	unsigned exec = d->row->exec;

	for (unsigned op = 0; op < 8; op++)
		if (ops[op] == exec)
			return bind_shift_op(b, op);
	switch (exec) {
	case X_SHLD: case X_SHRD:
		b->i->aux = exec == X_SHRD;
		b->i->imm2 = d->row->operands[2] == OPND_cl;
		return double_shift;
	case X_IMUL2: return imul2;
	case X_IMUL3: return imul3;
	case X_MUL1: case X_IMUL1:
		b->i->opsize = (uint8_t)operand_bytes(d, 0);
		b->i->aux = exec == X_IMUL1;
		return mul1;
	case X_DIV1: b->i->opsize = (uint8_t)operand_bytes(d, 0); return div1;
	case X_IDIV1: b->i->opsize = (uint8_t)operand_bytes(d, 0); return idiv1;
	}
	return NULL;
}
