/*
 * alu.c - two-operand arithmetic and logic, INC, DEC, NEG, NOT, XCHG, XADD, CMPXCHG.
 *
 * Guest and host are the same architecture: each operation is the host's own
 * instruction, and its flags are what LAHF and SETO leave in AX, so that even the
 * undefined ones are the host's. Plain memory operands are operated on in place;
 * what has no host address (MMIO, a page crossing, pages with code) is read,
 * computed and written, under LOCK in an exclusive section.
 */
#include "cpu/interp/interp.h"

#define FLAGS_OUT "\n\tlahf\n\tseto %%al"

#define DEF_OP(op, T, s) \
	static inline T op##_##T(Cpu *cpu, T a, T b) \
	{ \
		uint16_t ar; \
		asm(#op s " %2, %0" FLAGS_OUT : "+&r"(a), "=&a"(ar) : "r"(b) : "cc"); \
		cpu->arith = ar; \
		return a; \
	} \
	static inline void op##_mem_##T(Cpu *cpu, void *p, T b, bool lock) \
	{ \
		uint16_t ar; \
		if (lock) \
			asm volatile("lock; " #op s " %2, %0" FLAGS_OUT : "+m"(*(T *)p), "=&a"(ar) : "r"(b) : "cc", "memory"); \
		else \
			asm volatile(#op s " %2, %0" FLAGS_OUT : "+m"(*(T *)p), "=&a"(ar) : "r"(b) : "cc", "memory"); \
		cpu->arith = ar; \
	}
/* The same for ADC and SBB, which take CF in. */
#define DEF_OP_CARRY(op, T, s) \
	static inline T op##_##T(Cpu *cpu, T a, T b) \
	{ \
		uint16_t ar = cpu->arith; \
		asm("btw $8, %1\n\t" #op s " %2, %0" FLAGS_OUT : "+&r"(a), "+&a"(ar) : "r"(b) : "cc"); \
		cpu->arith = ar; \
		return a; \
	} \
	static inline void op##_mem_##T(Cpu *cpu, void *p, T b, bool lock) \
	{ \
		uint16_t ar = cpu->arith; \
		if (lock) \
			asm volatile("btw $8, %1\n\tlock; " #op s " %2, %0" FLAGS_OUT : "+m"(*(T *)p), "+&a"(ar) : "r"(b) : "cc", "memory"); \
		else \
			asm volatile("btw $8, %1\n\t" #op s " %2, %0" FLAGS_OUT : "+m"(*(T *)p), "+&a"(ar) : "r"(b) : "cc", "memory"); \
		cpu->arith = ar; \
	}
/* CMP and TEST write flags only. */
#define DEF_OP_FLAGS(op, T, s) \
	static inline void op##_##T(Cpu *cpu, T a, T b) \
	{ \
		uint16_t ar; \
		asm(#op s " %2, %1" FLAGS_OUT : "=&a"(ar) : "r"(a), "r"(b) : "cc"); \
		cpu->arith = ar; \
	}
/* INC, DEC keep CF; NEG writes all; NOT none. */
#define DEF_UNARY(op, T, s, keep) \
	static inline T op##_##T(Cpu *cpu, T a) \
	{ \
		uint16_t ar; \
		asm(#op s " %0" FLAGS_OUT : "+&r"(a), "=&a"(ar) : : "cc"); \
		cpu->arith = (uint16_t)((cpu->arith & (keep)) | (ar & ~(keep))); \
		return a; \
	} \
	static inline void op##_mem_##T(Cpu *cpu, void *p, bool lock) \
	{ \
		uint16_t ar; \
		if (lock) \
			asm volatile("lock; " #op s " %0" FLAGS_OUT : "+m"(*(T *)p), "=&a"(ar) : : "cc", "memory"); \
		else \
			asm volatile(#op s " %0" FLAGS_OUT : "+m"(*(T *)p), "=&a"(ar) : : "cc", "memory"); \
		cpu->arith = (uint16_t)((cpu->arith & (keep)) | (ar & ~(keep))); \
	}

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define SIZES(M, ...) M(__VA_ARGS__, u8, 8, "b") M(__VA_ARGS__, u16, 16, "w") M(__VA_ARGS__, u32, 32, "l") M(__VA_ARGS__, u64, 64, "q")

/* A read-modify-write that found no host address; what was there. cpu_lin_rmw's probe has checked the rights. */
typedef uint64_t (*SlowOp)(Cpu *cpu, uint64_t old, uint64_t operand);
static uint64_t slow_rmw(Cpu *cpu, const Insn *i, uint64_t linear, unsigned size, uint64_t operand, SlowOp op)
{
	bool alone = i->flags & INSN_LOCK;
	uint16_t arith = cpu->arith;
	unsigned access = cpu_data_access(cpu);

	if (alone)
		interp_alone_begin(cpu);
	uint64_t old = cpu_lin_read(cpu, linear, size, access);
	uint64_t result = op(cpu, old, operand);
	uint16_t after = cpu->arith;
	cpu->arith = arith; /* the write may still unwind, to be run again alone */
	cpu_lin_write(cpu, linear, result, size, access);
	cpu->arith = after;
	if (alone)
		interp_alone_end(cpu);
	return old;
}

#define DEF_ALU(op, T, n, s) \
	static uint64_t op##_slow##n(Cpu *cpu, uint64_t a, uint64_t b) { return op##_##T(cpu, (T)a, (T)b); } \
	static const Insn *op##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->rm, op##_##T(cpu, REG##n(cpu, i->rm), REG##n(cpu, i->reg))); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_ri(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->rm, op##_##T(cpu, REG##n(cpu, i->rm), (T)i->imm)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_rm(Cpu *cpu, const Insn *i) \
	{ \
		T b = (T)load_ea(cpu, i, sizeof(T)); \
		set_reg##n(cpu, i->reg, op##_##T(cpu, REG##n(cpu, i->reg), b)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_rp(Cpu *cpu, const Insn *i) \
	{ \
		T b = (T)load_plain(cpu, i, sizeof(T)); \
		set_reg##n(cpu, i->reg, op##_##T(cpu, REG##n(cpu, i->reg), b)); \
		NEXT(cpu, i); \
	} \
	static inline void op##n##_mem(Cpu *cpu, const Insn *i, T b) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, sizeof(T), true); \
		void *p = tlb_hit_write(cpu, linear, sizeof(T)); \
		if (unlikely(!p || (i->flags & INSN_LOCK && mem_splits(p, sizeof(T))))) \
			p = cpu_lin_rmw(cpu, linear, sizeof(T)); \
		if (likely(p != NULL)) \
			op##_mem_##T(cpu, p, b, i->flags & INSN_LOCK); \
		else \
			slow_rmw(cpu, i, linear, sizeof(T), b, op##_slow##n); \
	} \
	static const Insn *op##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		op##n##_mem(cpu, i, REG##n(cpu, i->reg)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_mi(Cpu *cpu, const Insn *i) \
	{ \
		op##n##_mem(cpu, i, (T)i->imm); \
		NEXT(cpu, i); \
	}
#define DEF_COMPARE(op, T, n, s) \
	static const Insn *op##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		op##_##T(cpu, REG##n(cpu, i->rm), REG##n(cpu, i->reg)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_ri(Cpu *cpu, const Insn *i) \
	{ \
		op##_##T(cpu, REG##n(cpu, i->rm), (T)i->imm); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_rm(Cpu *cpu, const Insn *i) \
	{ \
		T b = (T)load_ea(cpu, i, sizeof(T)); \
		op##_##T(cpu, REG##n(cpu, i->reg), b); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		T a = (T)load_ea(cpu, i, sizeof(T)); \
		op##_##T(cpu, a, REG##n(cpu, i->reg)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_mi(Cpu *cpu, const Insn *i) \
	{ \
		T a = (T)load_ea(cpu, i, sizeof(T)); \
		op##_##T(cpu, a, (T)i->imm); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_rp(Cpu *cpu, const Insn *i) \
	{ \
		T b = (T)load_plain(cpu, i, sizeof(T)); \
		op##_##T(cpu, REG##n(cpu, i->reg), b); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_pr(Cpu *cpu, const Insn *i) \
	{ \
		T a = (T)load_plain(cpu, i, sizeof(T)); \
		op##_##T(cpu, a, REG##n(cpu, i->reg)); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_pi(Cpu *cpu, const Insn *i) \
	{ \
		T a = (T)load_plain(cpu, i, sizeof(T)); \
		op##_##T(cpu, a, (T)i->imm); \
		NEXT(cpu, i); \
	}
#define DEF_ONE(op, T, n, s) \
	static uint64_t op##_slow##n(Cpu *cpu, uint64_t a, uint64_t b) { return op##_##T(cpu, (T)a); } \
	static const Insn *op##n##_r(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->rm, op##_##T(cpu, REG##n(cpu, i->rm))); \
		NEXT(cpu, i); \
	} \
	static const Insn *op##n##_m(Cpu *cpu, const Insn *i) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, sizeof(T), true); \
		void *p = cpu_lin_rmw(cpu, linear, sizeof(T)); \
		if (likely(p != NULL)) \
			op##_mem_##T(cpu, p, i->flags & INSN_LOCK); \
		else \
			slow_rmw(cpu, i, linear, sizeof(T), 0, op##_slow##n); \
		NEXT(cpu, i); \
	}

#define OP_ALL(op, T, n, s) DEF_OP(op, T, s) DEF_ALU(op, T, n, s)
#define OP_CARRY_ALL(op, T, n, s) DEF_OP_CARRY(op, T, s) DEF_ALU(op, T, n, s)
#define OP_FLAGS_ALL(op, T, n, s) DEF_OP_FLAGS(op, T, s) DEF_COMPARE(op, T, n, s)
#define UNARY_CF(op, T, n, s) DEF_UNARY(op, T, s, AR_CF) DEF_ONE(op, T, n, s)
#define UNARY_ALL(op, T, n, s) DEF_UNARY(op, T, s, 0u) DEF_ONE(op, T, n, s)
#define UNARY_NONE(op, T, n, s) DEF_UNARY(op, T, s, 0xffffu) DEF_ONE(op, T, n, s)

SIZES(OP_ALL, add)
SIZES(OP_ALL, or)
SIZES(OP_CARRY_ALL, adc)
SIZES(OP_CARRY_ALL, sbb)
SIZES(OP_ALL, and)
SIZES(OP_ALL, sub)
SIZES(OP_ALL, xor)
SIZES(OP_FLAGS_ALL, cmp)
SIZES(OP_FLAGS_ALL, test)
SIZES(UNARY_CF, inc)
SIZES(UNARY_CF, dec)
SIZES(UNARY_ALL, neg)
SIZES(UNARY_NONE, not)

/* XCHG, XADD and CMPXCHG with memory: always on the host address, or alone. */
static uint64_t slow_xchg(Cpu *cpu, uint64_t old, uint64_t operand) { return operand; }
#define DEF_XCHG(T, n, s) \
	static const Insn *xchg##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		T a = REG##n(cpu, i->rm), b = REG##n(cpu, i->reg); \
		set_reg##n(cpu, i->rm, b); \
		set_reg##n(cpu, i->reg, a); \
		NEXT(cpu, i); \
	} \
	static const Insn *xchg##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, sizeof(T), true); \
		T *p = cpu_lin_rmw(cpu, linear, sizeof(T)), old = REG##n(cpu, i->reg); \
		if (likely(p != NULL)) { \
			asm volatile("xchg" s " %0, %1" : "+r"(old), "+m"(*p) : : "memory"); \
		} else { \
			old = (T)slow_rmw(cpu, i, linear, sizeof(T), old, slow_xchg); \
		} \
		set_reg##n(cpu, i->reg, old); \
		NEXT(cpu, i); \
	} \
	static const Insn *xadd##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		T a = REG##n(cpu, i->rm), b = REG##n(cpu, i->reg); \
		T sum = add_##T(cpu, a, b); \
		set_reg##n(cpu, i->reg, a); \
		set_reg##n(cpu, i->rm, sum); \
		NEXT(cpu, i); \
	} \
	static const Insn *xadd##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, sizeof(T), true); \
		T *p = cpu_lin_rmw(cpu, linear, sizeof(T)), v = REG##n(cpu, i->reg); \
		if (likely(p != NULL)) { \
			uint16_t ar; \
			asm volatile("lock; xadd" s " %0, %1" FLAGS_OUT : "+&r"(v), "+m"(*p), "=&a"(ar) : : "memory", "cc"); \
			cpu->arith = ar; \
		} else { \
			v = (T)slow_rmw(cpu, i, linear, sizeof(T), v, add_slow##n); \
		} \
		set_reg##n(cpu, i->reg, v); \
		NEXT(cpu, i); \
	} \
	static const Insn *cmpxchg##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		T old = REG##n(cpu, i->rm); \
		cmp_##T(cpu, REG##n(cpu, RAX * 8), old); \
		if (cpu->arith & AR_ZF) \
			set_reg##n(cpu, i->rm, REG##n(cpu, i->reg)); \
		else \
			set_reg##n(cpu, RAX * 8, old); \
		NEXT(cpu, i); \
	} \
	static uint64_t slow_cmpxchg##n(Cpu *cpu, uint64_t old, uint64_t operand) \
	{ \
		cmp_##T(cpu, REG##n(cpu, RAX * 8), (T)old); \
		return cpu->arith & AR_ZF ? operand : old; \
	} \
	static const Insn *cmpxchg##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, sizeof(T), true); \
		T *p = cpu_lin_rmw(cpu, linear, sizeof(T)), acc = REG##n(cpu, RAX * 8); \
		if (likely(p != NULL)) { \
			uint64_t rax = acc; \
			uint8_t of; \
			asm volatile("lock; cmpxchg" s " %3, %1\n\tseto %2" : "+&a"(rax), "+m"(*p), "=&q"(of) : "r"(REG##n(cpu, i->reg)) : "memory", "cc"); \
			/* LAHF would overwrite the accumulator: compute the flags of acc - old, old being rax now. */ \
			cmp_##T(cpu, acc, (T)rax); \
			acc = (T)rax; \
		} else { \
			acc = (T)slow_rmw(cpu, i, linear, sizeof(T), REG##n(cpu, i->reg), slow_cmpxchg##n); \
		} \
		if (!(cpu->arith & AR_ZF)) \
			set_reg##n(cpu, RAX * 8, acc); \
		NEXT(cpu, i); \
	}
DEF_XCHG(u8, 8, "b")
DEF_XCHG(u16, 16, "w")
DEF_XCHG(u32, 32, "l")
DEF_XCHG(u64, 64, "q")

enum { F_RR, F_RI, F_RM, F_MR, F_MI, F_RP, F_PR, F_PI, FORMS }; /* P: a plain memory operand */
#define FORMS_OF(op, n) {op##n##_rr, op##n##_ri, op##n##_rm, op##n##_mr, op##n##_mi, op##n##_rp, op##n##_mr, op##n##_mi}
#define FORMS_CMP(op, n) {op##n##_rr, op##n##_ri, op##n##_rm, op##n##_mr, op##n##_mi, op##n##_rp, op##n##_pr, op##n##_pi}
#define ROWC(op) {FORMS_CMP(op, 8), FORMS_CMP(op, 16), FORMS_CMP(op, 32), FORMS_CMP(op, 64)}
#define ROW(op) {FORMS_OF(op, 8), FORMS_OF(op, 16), FORMS_OF(op, 32), FORMS_OF(op, 64)}
#define PAIR(op, n) {op##n##_r, op##n##_m}
#define ROW1(op) {PAIR(op, 8), PAIR(op, 16), PAIR(op, 32), PAIR(op, 64)}
#define PAIRX(op, n) {op##n##_rr, op##n##_mr}
#define ROWX(op) {PAIRX(op, 8), PAIRX(op, 16), PAIRX(op, 32), PAIRX(op, 64)}

static const struct { uint16_t exec; InsnFn fn[4][FORMS]; } two[] = {
	{X_ADD, ROW(add)}, {X_OR, ROW(or)}, {X_ADC, ROW(adc)}, {X_SBB, ROW(sbb)}, {X_AND, ROW(and)},
	{X_SUB, ROW(sub)}, {X_XOR, ROW(xor)}, {X_CMP, ROWC(cmp)}, {X_TEST, ROWC(test)},
};
static const struct { uint16_t exec; InsnFn fn[4][2]; } one[] = {
	{X_INC, ROW1(inc)}, {X_DEC, ROW1(dec)}, {X_NEG, ROW1(neg)}, {X_NOT, ROW1(not)},
	{X_XCHG, ROWX(xchg)}, {X_XADD, ROWX(xadd)}, {X_CMPXCHG, ROWX(cmpxchg)},
};

static const Insn *nop(Cpu *cpu, const Insn *i)
{
	NEXT(cpu, i);
}

static unsigned log2_size(unsigned size) { return size == 8 ? 3 : size >> 1; }

InsnFn bind_alu(Binder *b)
{
	const Decoded *d = b->d;
	unsigned exec = d->row->exec, size = operand_bytes(d, 0), log = log2_size(size);

	if (exec == X_XCHG_ACC && d->opcode == 0x90 && !(d->rex & 1))
		return nop; /* not an exchange: the upper half of RAX stays */
	if (exec == X_XCHG_ACC) {
		b->i->reg = (uint8_t)reg_offset(d, RAX, size);
		return one[4].fn[log][0];
	}
	if (exec == X_XCHG && d->is_mem)
		b->i->flags |= INSN_LOCK;
	for (unsigned k = 0; k < G_N_ELEMENTS(one); k++)
		if (one[k].exec == exec)
			return one[k].fn[log][d->is_mem];
	for (unsigned k = 0; k < G_N_ELEMENTS(two); k++) {
		if (two[k].exec != exec)
			continue;
		char src = opnd_letter(d->row->operands[1]), dst = opnd_letter(d->row->operands[0]);
		bool plain = is_plain(d);
		if (src == 'I' || src == 's')
			return two[k].fn[log][plain ? F_PI : d->is_mem ? F_MI : F_RI];
		if (d->is_mem)
			return two[k].fn[log][dst == 'G' ? (plain ? F_RP : F_RM) : plain ? F_PR : F_MR];
		if (dst == 'G') { /* the same, with r/m as the source */
			uint8_t t = b->i->reg;
			b->i->reg = b->i->rm;
			b->i->rm = t;
		}
		return two[k].fn[log][F_RR];
	}
	return NULL;
}
