/*
 * move.c - MOV and its relatives, LEA, PUSH, POP, CMOVcc, SETcc, conversions, ENTER and LEAVE.
 *
 * SDM vol. 2. The common 32- and 64-bit forms have handlers of their own; the rest
 * shares handlers that ask for the size.
 */
#include "cpu/interp/interp.h"

#define DEF_MOV(n) \
	static const Insn *mov##n##_rr(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->rm, REG##n(cpu, i->reg)); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_ri(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->rm, (uint##n##_t)i->imm); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_rm(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->reg, (uint##n##_t)load_ea(cpu, i, n / 8)); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_mr(Cpu *cpu, const Insn *i) \
	{ \
		store_ea(cpu, i, REG##n(cpu, i->reg), n / 8); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_rp(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->reg, (uint##n##_t)load_plain(cpu, i, n / 8)); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_pr(Cpu *cpu, const Insn *i) \
	{ \
		store_plain(cpu, i, REG##n(cpu, i->reg), n / 8); \
		NEXT(cpu, i); \
	} \
	static const Insn *mov##n##_mi(Cpu *cpu, const Insn *i) \
	{ \
		store_ea(cpu, i, (uint64_t)i->imm, n / 8); \
		NEXT(cpu, i); \
	}
DEF_MOV(8)
DEF_MOV(16)
DEF_MOV(32)
DEF_MOV(64)

enum { F_RR, F_RI, F_RM, F_MR, F_MI, F_RP, F_PR }; /* P: a plain memory operand */
#define FORMS_OF(n) {mov##n##_rr, mov##n##_ri, mov##n##_rm, mov##n##_mr, mov##n##_mi, mov##n##_rp, mov##n##_pr}
static const InsnFn mov_fn[4][7] = {FORMS_OF(8), FORMS_OF(16), FORMS_OF(32), FORMS_OF(64)};

/* The register form whose source is r/m: the same handler with the registers exchanged. */
static InsnFn from_rm(Binder *b, InsnFn fn)
{
	uint8_t t = b->i->reg;

	b->i->reg = b->i->rm;
	b->i->rm = t;
	return fn;
}

static InsnFn bind_mov(Binder *b)
{
	const Decoded *d = b->d;
	unsigned size = operand_bytes(d, 0), log = size == 8 ? 3 : size >> 1;
	char dst = opnd_letter(d->row->operands[0]), src = opnd_letter(d->row->operands[1]);

	if (src == 'I')
		return mov_fn[log][d->is_mem ? F_MI : F_RI];
	if (d->is_mem) {
		if (dst == 'O') {
			b->i->reg = (uint8_t)reg_offset(d, RAX, size);
			return mov_fn[log][F_MR];
		}
		if (src == 'O')
			b->i->reg = (uint8_t)reg_offset(d, RAX, size);
		if (is_plain(d))
			return mov_fn[log][src == 'G' ? F_PR : F_RP];
		return mov_fn[log][src == 'G' ? F_MR : F_RM];
	}
	return dst == 'G' ? from_rm(b, mov_fn[log][F_RR]) : mov_fn[log][F_RR];
}

/* MOVZX, MOVSX, MOVSXD: source type, destination size. */
#define DEF_EXTEND(name, S, n) \
	static const Insn *name##_r(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->reg, (uint##n##_t)*(S *)((char *)cpu->regs + i->rm)); \
		NEXT(cpu, i); \
	} \
	static const Insn *name##_m(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->reg, (uint##n##_t)(S)load_ea(cpu, i, sizeof(S))); \
		NEXT(cpu, i); \
	} \
	static const Insn *name##_p(Cpu *cpu, const Insn *i) \
	{ \
		set_reg##n(cpu, i->reg, (uint##n##_t)(S)load_plain(cpu, i, sizeof(S))); \
		NEXT(cpu, i); \
	}
#define EXTEND_ALL(name, S) DEF_EXTEND(name##_16, S, 16) DEF_EXTEND(name##_32, S, 32) DEF_EXTEND(name##_64, S, 64)
EXTEND_ALL(zx8, uint8_t)
EXTEND_ALL(zx16, uint16_t)
EXTEND_ALL(sx8, int8_t)
EXTEND_ALL(sx16, int16_t)
EXTEND_ALL(sx32, int32_t)
#define EXT(name) {{name##_16_r, name##_16_m, name##_16_p}, {name##_32_r, name##_32_m, name##_32_p}, {name##_64_r, name##_64_m, name##_64_p}}
static const InsnFn extend_fn[5][3][3] = {EXT(zx8), EXT(zx16), EXT(sx8), EXT(sx16), EXT(sx32)};

static const Insn *lea16(Cpu *cpu, const Insn *i)
{
	set_reg16(cpu, i->reg, (uint16_t)ea_of(cpu, i));
	NEXT(cpu, i);
}
static const Insn *lea32(Cpu *cpu, const Insn *i)
{
	set_reg32(cpu, i->reg, (uint32_t)ea_of(cpu, i));
	NEXT(cpu, i);
}
static const Insn *lea64(Cpu *cpu, const Insn *i)
{
	set_reg64(cpu, i->reg, ea_of(cpu, i));
	NEXT(cpu, i);
}

/* ---- stack ---- */
static const Insn *push64_r(Cpu *cpu, const Insn *i)
{
	uint64_t sp = cpu->regs[RSP] - 8;
	cpu->cur = i;
	store_lin(cpu, sp, REG64(cpu, i->rm), 8);
	cpu->regs[RSP] = sp;
	NEXT(cpu, i);
}
static const Insn *pop64_r(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t v = load_lin(cpu, cpu->regs[RSP], 8);
	cpu->regs[RSP] += 8;
	REG64(cpu, i->rm) = v;
	NEXT(cpu, i);
}
static const Insn *push_r(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	push(cpu, get_reg(cpu, i->rm, i->opsize), i->opsize);
	NEXT(cpu, i);
}
static const Insn *push_m(Cpu *cpu, const Insn *i)
{
	push(cpu, load_ea(cpu, i, i->opsize), i->opsize);
	NEXT(cpu, i);
}
static const Insn *push_i(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	push(cpu, (uint64_t)i->imm, i->opsize);
	NEXT(cpu, i);
}
static const Insn *push_seg(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint16_t sel = cpu->seg[i->aux].sel;
	if (i->opsize == 4) { /* a 32-bit push of a selector writes 16 bits only (vol. 2, PUSH) */
		uint64_t sp = cpu->regs[RSP] - 4;
		store_lin(cpu, stack_linear(cpu, sp, 2, true), sel, 2);
		set_sp(cpu, sp);
	} else {
		push(cpu, sel, i->opsize);
	}
	NEXT(cpu, i);
}
static const Insn *pop_r(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t v = pop(cpu, i->opsize);
	set_reg(cpu, i->rm, v, i->opsize);
	NEXT(cpu, i);
}
/* POP to memory: an address that uses RSP sees it after the pop. */
static const Insn *pop_m(Cpu *cpu, const Insn *i)
{
	uint64_t old = cpu->regs[RSP];
	cpu->cur = i;
	uint64_t v = stack_top(cpu, 0, i->opsize);
	if (i->base == RSP * 8)
		cpu->regs[RSP] += i->opsize;
	uint64_t linear = linear_of(cpu, i, i->opsize, true);
	cpu->regs[RSP] = old;
	store_lin(cpu, linear, v, i->opsize);
	set_sp(cpu, old + i->opsize);
	NEXT(cpu, i);
}
static const Insn *pusha(Cpu *cpu, const Insn *i)
{
	uint64_t old = cpu->regs[RSP], sp = old;
	cpu->cur = i;
	for (int r = RAX; r <= RDI; r++) {
		sp -= i->opsize;
		store_lin(cpu, stack_linear(cpu, sp, i->opsize, true), cpu->regs[r], i->opsize);
	}
	set_sp(cpu, sp);
	NEXT(cpu, i);
}
static const Insn *popa(Cpu *cpu, const Insn *i)
{
	uint64_t v[8];
	cpu->cur = i;
	for (int r = 0; r < 8; r++)
		v[r] = stack_top(cpu, (unsigned)r * i->opsize, i->opsize);
	for (int r = 0; r < 8; r++)
		if (7 - r != RSP)
			set_reg(cpu, (unsigned)(7 - r) * 8, v[r], i->opsize);
	set_sp(cpu, cpu->regs[RSP] + 8u * i->opsize);
	NEXT(cpu, i);
}
static const Insn *leave(Cpu *cpu, const Insn *i)
{
	uint64_t mask = stack_mask(cpu), bp = cpu->regs[RBP];
	cpu->cur = i;
	uint64_t v = load_lin(cpu, stack_linear(cpu, bp, i->opsize, false), i->opsize);
	if (mask == UINT16_MAX)
		REG16(cpu, RSP * 8) = (uint16_t)(bp + i->opsize);
	else
		cpu->regs[RSP] = (bp + i->opsize) & mask;
	set_reg(cpu, RBP * 8, v, i->opsize);
	NEXT(cpu, i);
}
static const Insn *enter(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize, level = i->imm2 & 31;
	uint64_t sp = cpu->regs[RSP] - size, bp = cpu->regs[RBP], frame = sp;

	cpu->cur = i;
	store_lin(cpu, stack_linear(cpu, sp, size, true), bp, size);
	for (unsigned k = 1; k < level; k++) {
		bp -= size;
		uint64_t v = load_lin(cpu, stack_linear(cpu, bp, size, false), size);
		sp -= size;
		store_lin(cpu, stack_linear(cpu, sp, size, true), v, size);
	}
	if (level) {
		sp -= size;
		store_lin(cpu, stack_linear(cpu, sp, size, true), frame, size);
	}
	sp -= (uint16_t)i->imm;
	/* The final stack top must be writable (vol. 2, ENTER). */
	cpu_lin_probe(cpu, stack_linear(cpu, sp, 1, true), 1, MEM_WRITE | cpu_data_access(cpu));
	set_reg(cpu, RBP * 8, frame, size);
	set_sp(cpu, sp);
	NEXT(cpu, i);
}

/* ---- conditions ---- */
static const Insn *cmov_r32(Cpu *cpu, const Insn *i)
{
	uint32_t v = REG32(cpu, condition(cpu->arith, i->aux) ? i->rm : i->reg);
	REG64(cpu, i->reg) = v;
	NEXT(cpu, i);
}
static const Insn *cmov_r64(Cpu *cpu, const Insn *i)
{
	REG64(cpu, i->reg) = REG64(cpu, condition(cpu->arith, i->aux) ? i->rm : i->reg);
	NEXT(cpu, i);
}
static const Insn *cmov(Cpu *cpu, const Insn *i)
{
	uint64_t v = load_rm(cpu, i, i->opsize);
	if (!condition(cpu->arith, i->aux))
		v = get_reg(cpu, i->reg, i->opsize);
	set_reg(cpu, i->reg, v, i->opsize);
	NEXT(cpu, i);
}
static const Insn *setcc(Cpu *cpu, const Insn *i)
{
	store_rm(cpu, i, condition(cpu->arith, i->aux), 1);
	NEXT(cpu, i);
}

/* ---- conversions and odd ones ---- */
static const Insn *cbw(Cpu *cpu, const Insn *i)
{
	if (i->opsize == 2)
		set_reg16(cpu, RAX * 8, (uint16_t)(int8_t)cpu->regs[RAX]);
	else if (i->opsize == 4)
		set_reg32(cpu, RAX * 8, (uint32_t)(int16_t)cpu->regs[RAX]);
	else
		cpu->regs[RAX] = (uint64_t)(int32_t)cpu->regs[RAX];
	NEXT(cpu, i);
}
static const Insn *cwd(Cpu *cpu, const Insn *i)
{
	if (i->opsize == 2)
		set_reg16(cpu, RDX * 8, (uint16_t)((int16_t)cpu->regs[RAX] >> 15));
	else if (i->opsize == 4)
		set_reg32(cpu, RDX * 8, (uint32_t)((int32_t)cpu->regs[RAX] >> 31));
	else
		cpu->regs[RDX] = (uint64_t)((int64_t)cpu->regs[RAX] >> 63);
	NEXT(cpu, i);
}
static const Insn *bswap(Cpu *cpu, const Insn *i)
{
	if (i->opsize == 8)
		REG64(cpu, i->rm) = __builtin_bswap64(REG64(cpu, i->rm));
	else if (i->opsize == 4)
		set_reg32(cpu, i->rm, __builtin_bswap32(REG32(cpu, i->rm)));
	else
		set_reg16(cpu, i->rm, 0); /* undefined by the manual; processors store zero */
	NEXT(cpu, i);
}
static uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}
static const Insn *movbe_load(Cpu *cpu, const Insn *i)
{
	set_reg(cpu, i->reg, swap_bytes(load_ea(cpu, i, i->opsize), i->opsize), i->opsize);
	NEXT(cpu, i);
}
static const Insn *movbe_store(Cpu *cpu, const Insn *i)
{
	store_ea(cpu, i, swap_bytes(get_reg(cpu, i->reg, i->opsize), i->opsize), i->opsize);
	NEXT(cpu, i);
}
static const Insn *mov_direct(Cpu *cpu, const Insn *i) /* MOVNTI, MOVDIRI: 4 or 8 bytes */
{
	unsigned size = i->flags & INSN_REXW ? 8 : 4;
	store_ea(cpu, i, get_reg(cpu, i->reg, size), size);
	NEXT(cpu, i);
}
static const Insn *movdir64b(Cpu *cpu, const Insn *i)
{
	uint8_t buf[64];
	cpu->cur = i;
	cpu_lin_read_buf(cpu, linear_of(cpu, i, 64, false), buf, 64, cpu_data_access(cpu));
	uint64_t to = REG64(cpu, i->reg) & i->amask;
	if (to & 63)
		cpu_gp0(cpu);
	if (!cpu_code64(cpu))
		to = interp_seg_linear(cpu, ES, to, 64, true);
	cpu_lin_write_buf(cpu, to, buf, 64, cpu_data_access(cpu));
	NEXT(cpu, i);
}
static const Insn *xlat(Cpu *cpu, const Insn *i)
{
	uint64_t ea = (cpu->regs[RBX] + REG8(cpu, RAX * 8)) & i->amask;
	cpu->cur = i;
	uint64_t linear = i->seg & INSN_SEGCHECK ? interp_seg_linear(cpu, i->seg & 0x7f, ea, 1, false) :
						     cpu->seg[i->seg].base + ea;
	REG8(cpu, RAX * 8) = (uint8_t)load_lin(cpu, linear, 1);
	NEXT(cpu, i);
}
static const Insn *lahf(Cpu *cpu, const Insn *i)
{
	REG8(cpu, RAX * 8 + 1) = (uint8_t)((cpu->arith >> 8 & 0xd5) | 2);
	NEXT(cpu, i);
}
static const Insn *sahf(Cpu *cpu, const Insn *i)
{
	cpu->arith = (uint16_t)((cpu->arith & AR_OF) | (REG8(cpu, RAX * 8 + 1) & 0xd5) << 8);
	NEXT(cpu, i);
}
static const Insn *nop(Cpu *cpu, const Insn *i)
{
	NEXT(cpu, i);
}
/* A store that waits in the host's store buffer is behind a later load, for the other vcpus: the host has to fence, too. */
static const Insn *lfence(Cpu *cpu, const Insn *i)
{
	__builtin_ia32_lfence();
	NEXT(cpu, i);
}
static const Insn *sfence(Cpu *cpu, const Insn *i)
{
	__builtin_ia32_sfence();
	NEXT(cpu, i);
}
static const Insn *mfence(Cpu *cpu, const Insn *i)
{
	__builtin_ia32_mfence();
	NEXT(cpu, i);
}
static const Insn *pause_hint(Cpu *cpu, const Insn *i)
{
	__builtin_ia32_pause();
	NEXT(cpu, i);
}
static const Insn *salc(Cpu *cpu, const Insn *i)
{
	REG8(cpu, RAX * 8) = cpu->arith & AR_CF ? 0xff : 0;
	NEXT(cpu, i);
}

static InsnFn bind_stack(Binder *b)
{
	const Decoded *d = b->d;
	bool code64 = (b->cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
	char o = opnd_letter(d->row->operands[0]);

	switch (d->row->exec) {
	case X_PUSH:
		if (o == 'I' || o == 's')
			return push_i;
		return d->is_mem ? push_m : code64 && d->opsize == 8 ? push64_r : push_r;
	case X_POP: return code64 && d->opsize == 8 ? pop64_r : pop_r;
	case X_POP_EA: return d->is_mem ? pop_m : pop_r;
	case X_PUSH_SEG:
		switch (d->row->operands[0]) {
		case OPND_es: b->i->aux = ES; break;
		case OPND_cs: b->i->aux = CS; break;
		case OPND_ss: b->i->aux = SS; break;
		case OPND_ds: b->i->aux = DS; break;
		case OPND_fs: b->i->aux = FS; break;
		default: b->i->aux = GS;
		}
		return push_seg;
	case X_PUSHA: return pusha;
	case X_POPA: return popa;
	case X_LEAVE: return leave;
	case X_ENTER: return enter;
	}
	return NULL;
}

InsnFn bind_move(Binder *b)
{
	const Decoded *d = b->d;
	unsigned log = d->opsize == 8 ? 2 : d->opsize == 4 ? 1 : 0, form = is_plain(d) ? 2 : d->is_mem;

	switch (d->row->exec) {
	case X_MOV: return bind_mov(b);
	case X_LEA: return d->opsize == 8 ? lea64 : d->opsize == 4 ? lea32 : lea16;
	case X_MOVZX8: return extend_fn[0][log][form];
	case X_MOVZX16: return extend_fn[1][log][form];
	case X_MOVSX8: return extend_fn[2][log][form];
	case X_MOVSX16: return extend_fn[3][log][form];
	case X_MOVSXD:
		if (d->opsize == 8)
			return extend_fn[4][2][form];
		return d->is_mem ? mov_fn[log + 1][F_RM] : from_rm(b, mov_fn[log + 1][F_RR]);
	case X_CMOVCC:
		b->i->aux = d->opcode & 15;
		return d->is_mem || d->opsize == 2 ? cmov : d->opsize == 4 ? cmov_r32 : cmov_r64;
	case X_SETCC: b->i->aux = d->opcode & 15; return setcc;
	case X_CBW: return cbw;
	case X_CWD: return cwd;
	case X_BSWAP: return bswap;
	case X_MOVBE_LOAD: return movbe_load;
	case X_MOVBE_STORE: return movbe_store;
	case X_MOVNTI: case X_MOVDIRI: return mov_direct;
	case X_MOVDIR64B: return movdir64b;
	case X_XLAT: return xlat;
	case X_LAHF: return lahf;
	case X_SAHF: return sahf;
	case X_NOP: return nop;
	case X_FENCE: return d->row->reg == 5 ? lfence : d->row->reg == 6 ? mfence : sfence;
	case X_PAUSE: return pause_hint;
	case X_SALC: return salc;
	}
	return bind_stack(b);
}
