/*
 * integer.c - moves, arithmetic, logic, shifts, bits: the guest's instruction with the host's registers in it.
 */
#include "cpu/interp/recode.h"
#include "cpu/jit/translate.h"

int integer_access(unsigned exec)
{
	switch (exec) {
	case X_ADD: case X_OR: case X_ADC: case X_SBB: case X_AND: case X_SUB: case X_XOR:
	case X_INC: case X_DEC: case X_NEG: case X_NOT:
	case X_SHL: case X_SHR: case X_SAR: case X_ROL: case X_ROR: case X_RCL: case X_RCR: case X_SHLD: case X_SHRD:
	case X_IMUL2: case X_CMOVCC: case X_BSF: case X_BSR:
	case X_BTS_IMM: case X_BTR_IMM: case X_BTC_IMM:
	case X_CRC32: case X_CRC32_8: case X_XCHG: case X_XADD: case X_CMPXCHG:
	case X_ADCX: case X_ADOX:
		return RW;
	case X_CMP: case X_TEST: case X_BT_IMM:
		return RD;
	case X_MOV: case X_MOVZX8: case X_MOVZX16: case X_MOVSX8: case X_MOVSX16: case X_MOVSXD: case X_SETCC:
	case X_IMUL3: case X_POPCNT: case X_TZCNT: case X_LZCNT: case X_MOVBE_LOAD: case X_MOVBE_STORE: case X_MOVNTI:
		return WR;
	case X_MUL1: case X_IMUL1:
		return RD;
	/* with a register only: in memory the bit may lie anywhere */
	case X_BT: return RD;
	case X_BTS: case X_BTR: case X_BTC: return RW;
	default:
		return NO;
	}
}

static uint8_t mandatory(const Decoded *d)
{
	switch (d->row->pfx) {
	case PFX_66: return 0x66;
	case PFX_F3: return 0xf3;
	case PFX_F2: return 0xf2;
	default: return 0;
	}
}

static bool is_high(const Decoded *d, unsigned n, unsigned size)
{
	return size == 1 && !d->rex_present && n >= 4 && n < 8;
}

unsigned use_reg(Trans *t, unsigned guest, unsigned size, bool read, unsigned scratch)
{
	int host = host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	if (read || size < 4)
		emit_load(&t->e, 8, scratch, reg_at(guest));
	return scratch;
}

void done_reg(Trans *t, unsigned guest, unsigned scratch)
{
	if (host_of(guest) < 0)
		emit_store(&t->e, 8, scratch, reg_at(guest));
}

static void immediate(Trans *t, const Decoded *d)
{
	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++) {
		uint8_t o = d->row->operands[k];
		char letter = opnd_letter(o);
		if (letter != 'I' && letter != 's')
			continue;
		unsigned n = o == OPND_sIb || opnd_size(o) == 'b' ? 1 : opnd_size(o) == 'w' ? 2 : MIN(d->opsize, 4u);
		uint64_t v = (uint64_t)d->imm;
		for (unsigned i = 0; i < n; i++)
			e1(&t->e, (unsigned)(v >> (8 * i)));
	}
}

/* Is modrm.rm a register whose place in Cpu.regs may be the operand? The upper half has to be in no danger. */
static bool lives_in_memory(const Decoded *d, unsigned size, int access)
{
	switch (d->row->exec) {
	case X_BT: case X_BTS: case X_BTR: case X_BTC: /* in memory the bit may lie anywhere */
	case X_XCHG:                                   /* and this one locks */
	case X_XADD:                                   /* of a register and itself: the sum has to be stored last */
		return false;
	default:
		return host_of(d->rm) < 0 && (!(access & WR) || size == 8);
	}
}

/* XCHG AH, AL and the like: keeps flags. */
static void swap_halves(Trans *t, unsigned reg)
{
	emit_rr(&t->e, OP(0x86), 1, REG_AH + reg, reg);
}

/* The general form: opcode with ModRM, an operand in modrm.rm, perhaps one in modrm.reg, perhaps an immediate. */
static bool with_modrm(Trans *t, int access)
{
	const Decoded *d = now(t);
	int rm_access = NO, reg_access = NO;
	unsigned rm_size = 0, reg_size = 0;
	bool sized = false; /* whatever the operand size */

	for (unsigned k = 0; k < 3 && d->row->operands[k]; k++) {
		char letter = opnd_letter(d->row->operands[k]);
		int how = k == 0 ? access : RD;
		if (letter == 'E' || letter == 'M') {
			rm_access = how;
			rm_size = operand_bytes(d, k);
			sized = opnd_size(d->row->operands[k]) == 'y';
		} else if (letter == 'G') {
			bool exchanges = d->row->exec == X_XCHG || d->row->exec == X_XADD;
			reg_access = exchanges ? RW : how;
			reg_size = operand_bytes(d, k);
		}
	}
	if (!rm_access)
		return false;
	bool high_reg = reg_access && is_high(d, d->reg, reg_size), high_rm = !d->is_mem && is_high(d, d->rm, rm_size);
	int host_reg = reg_access ? host_of(d->reg) : 0, host_rm = d->is_mem ? H_T1 : host_of(d->rm);
	/* Beside a place in memory AH to BH change with AL to BL meanwhile; CMPXCHG has AL as an operand. */
	bool swapped = high_reg && d->is_mem && d->row->exec != X_CMPXCHG;
	if ((high_reg || high_rm) && !swapped && (d->is_mem || d->opsize == 8 || (!high_reg && reg_access && (host_reg < 0 || host_reg >= 8)) ||
				      (!high_rm && (host_rm < 0 || host_rm >= 8))))
		return false; /* no REX beside AH to BH */

	Op op = { d->opcode, d->row->map, mandatory(d) };
	if (d->row->map == 0 && d->opcode == 0x82) /* 80h's twin of 32-bit code */
		op.code = 0x80;
	/* A mandatory 66h is no operand size, and 16-bit code has others too. */
	unsigned size = rm_size == 1 && (!reg_access || reg_size == 1) ? 1 : d->row->pfx == PFX_66 || sized ? rm_size : d->opsize;
	Place m = {0};
	bool in_place = false;
	if (d->is_mem)
		m = swapped ? mem_place_alone(t, rm_size, rm_access & WR) : mem_place(t, rm_size, rm_access & WR);
	if (d->is_mem && (d->lock || d->row->exec == X_XCHG))
		mem_within_line(t, rm_size);
	flags_want(t);
	unsigned reg = d->row->reg >= 0 ? (unsigned)d->row->reg : 0;
	if (swapped)
		swap_halves(t, reg = d->reg - 4u);
	else if (reg_access)
		reg = high_reg ? REG_AH + d->reg - 4u : use_reg(t, d->reg, reg_size, reg_access & RD, H_T2);
	if (d->is_mem) {
		if (d->lock)
			e1(&t->e, 0xf0);
		emit_rm(&t->e, op, size, reg, m);
	} else if (lives_in_memory(d, rm_size, rm_access)) {
		emit_rm(&t->e, op, size, reg, reg_at(d->rm));
		in_place = true;
	} else {
		unsigned rm = high_rm ? REG_AH + d->rm - 4u : use_reg(t, d->rm, rm_size, rm_access & RD, H_T1);
		/* Byte forms of either operand want REX for SPL to DIL. */
		bool rex = (rm_size == 1 && low_byte_needs_rex(rm)) || (reg_access && reg_size == 1 && low_byte_needs_rex(reg));
		emit_head(&t->e, op, size, reg & 15, 0, rm & 15, rex);
		e1(&t->e, 0xc0 | (reg & 7) << 3 | (rm & 7));
	}
	immediate(t, d);
	if (swapped)
		swap_halves(t, d->reg - 4u);
	if (reg_access & WR && !high_reg)
		done_reg(t, d->reg, H_T2);
	if (!d->is_mem && rm_access & WR && !high_rm && !in_place)
		done_reg(t, d->rm, H_T1);
	detours_end(t);
	return true;
}

/* The accumulator forms: opcode and immediate only. */
static bool accumulator(Trans *t)
{
	const Decoded *d = now(t);
	uint8_t o = d->row->operands[0];

	flags_want(t);
	emit_head(&t->e, (Op){ d->opcode, 0, 0 }, o == OPND_al ? 1 : d->opsize, 0, 0, 0, false);
	immediate(t, d);
	return true;
}

static bool mov_const(Trans *t) /* b0+r, b8+r */
{
	const Decoded *d = now(t);
	unsigned guest = (d->opcode & 7) | (d->rex & 1 ? 8 : 0), size = operand_bytes(d, 0);

	if (size < 4) {
		if (is_high(d, guest, size)) {
			e1(&t->e, d->opcode);
			e1(&t->e, (unsigned)d->imm);
			return true;
		}
		unsigned r = use_reg(t, guest, size, true, H_T1);
		emit_head(&t->e, OP((size == 1 ? 0xb0 : 0xb8) | (r & 7)), size, 0, 0, r, size == 1 && low_byte_needs_rex(r));
		for (unsigned i = 0; i < size; i++)
			e1(&t->e, (unsigned)((uint64_t)d->imm >> (8 * i)));
		done_reg(t, guest, H_T1);
		return true;
	}
	emit_const(&t->e, use_reg(t, guest, 8, false, H_T1), size == 4 ? (uint32_t)d->imm : (uint64_t)d->imm);
	done_reg(t, guest, H_T1);
	return true;
}

/* a0 to a3: the address is in the instruction. */
static bool mov_offset(Trans *t, bool store)
{
	unsigned size = operand_bytes(now(t), 0);
	Place m = mem_place(t, size, store);

	if (store)
		emit_store(&t->e, size, H_RAX, m);
	else
		emit_rm(&t->e, OP(size == 1 ? 0x8a : 0x8b), size, H_RAX, m);
	detours_end(t);
	return true;
}

static bool lea(Trans *t)
{
	const Decoded *d = now(t);

	if (d->opsize == 2) {
		mem_address(t, H_T1, 4); /* R14 too: it may hold the rest of the register only behind this */
		emit_mov_rr(&t->e, 2, use_reg(t, d->reg, 2, true, H_T2), H_T1);
	} else {
		mem_address(t, use_reg(t, d->reg, d->opsize, false, H_T2), MIN(d->opsize, d->asize));
	}
	done_reg(t, d->reg, H_T2);
	return true;
}

static bool one_reg(Trans *t, unsigned exec) /* register in the opcode */
{
	const Decoded *d = now(t);
	unsigned guest = (d->opcode & 7) | (d->rex & 1 ? 8 : 0);

	flags_want(t);
	unsigned r = use_reg(t, guest, d->opsize, true, H_T1);
	switch (exec) {
	case X_INC: emit_rr(&t->e, OP(0xff), d->opsize, 0, r); break;
	case X_DEC: emit_rr(&t->e, OP(0xff), d->opsize, 1, r); break;
	case X_BSWAP: emit_head(&t->e, OP0F(0xc8 | (r & 7)), d->opsize, 0, 0, r, false); break;
	default: return false;
	}
	done_reg(t, guest, H_T1);
	return true;
}

static bool xchg_reg(Trans *t, unsigned a, unsigned b)
{
	unsigned size = now(t)->opsize, x = use_reg(t, a, size, true, H_T1), y = use_reg(t, b, size, true, H_T2);

	emit_rr(&t->e, OP(0x87), size, x, y);
	done_reg(t, a, H_T1);
	done_reg(t, b, H_T2);
	return true;
}

/*
 * DIV and IDIV of 16 bits and more, where the quotient certainly fits: the high half below the divisor; or, signed, a
 * dividend that is as wide as the divisor, which is neither 0 nor -1. Else the handler does it, and may raise #DE. The
 * divisor is read once: another vcpu may write it between the look at it and the division, which the host must survive.
 */
static bool divide(Trans *t, bool is_signed)
{
	const Decoded *d = now(t);
	Emit *e = &t->e;
	unsigned size = operand_bytes(d, 0);

	if (size < 2)
		return false;
	flags_save(t);
	unsigned divisor = H_T1;
	if (d->is_mem)
		emit_load(e, size, H_T1, mem_place(t, size, false));
	else
		divisor = use_reg(t, d->rm, size, true, H_T1);
	if (is_signed) {
		emit_mov_rr(e, size, H_T2, H_RAX);
		emit_rr(e, OP(0xc1), size, 7, H_T2); /* sar */
		e1(e, size * 8 - 1);
		emit_rr(e, OP(0x3b), size, H_T2, H_RDX);
		detour(t, emit_jcc(e, CC_NE, NULL));
		emit_mov_rr(e, size, H_T2, divisor);
		emit_rr(e, OP(0x83), size, 0, H_T2); /* add, 1: 0 and -1 are now 1 and 0 */
		e1(e, 1);
		emit_rr(e, OP(0x83), size, 7, H_T2);
		e1(e, 1);
		detour(t, emit_jcc(e, CC_BE, NULL));
	} else {
		emit_rr(e, OP(0x3b), size, H_RDX, divisor);
		detour(t, emit_jcc(e, CC_AE, NULL));
	}
	emit_rr(e, OP(0xf7), size, is_signed ? 7 : 6, divisor);
	t->flags = FLAGS_HOST; /* undefined ones */
	detours_end(t);
	return true;
}

/* ---- stack ---- */

static bool push_value(Trans *t, int guest, uint64_t imm)
{
	unsigned size = now(t)->opsize;

	if (t->code64 && size != 8)
		return false;
	Place m = stack_place(t, RSP, -(int)size, size, true);
	if (guest >= 0) {
		emit_store(&t->e, size, use_reg(t, (unsigned)guest, size, true, H_T2), m);
	} else if (size == 2) {
		emit_const(&t->e, H_T2, (uint16_t)imm);
		emit_store(&t->e, 2, H_T2, m);
	} else {
		emit_rm(&t->e, OP(0xc7), size, 0, m);
		e4(&t->e, (uint32_t)imm);
	}
	stack_move(t, RSP, -(int)size);
	detours_end(t);
	return true;
}

static bool push_mem(Trans *t)
{
	unsigned size = now(t)->opsize;

	if (t->code64 && size != 8)
		return false;
	Place m = mem_place(t, size, false);
	emit_load(&t->e, size, H_T1, m);
	emit_store(&t->e, 8, H_T1, CPU_AT(jit_scratch));
	m = stack_place(t, RSP, -(int)size, size, true);
	emit_load(&t->e, size, H_T2, CPU_AT(jit_scratch));
	emit_store(&t->e, size, H_T2, m);
	stack_move(t, RSP, -(int)size);
	detours_end(t);
	return true;
}

static bool pop_reg(Trans *t, unsigned guest)
{
	unsigned size = now(t)->opsize;

	/* A part of ESP is popped into what ESP is after the pop. */
	if ((t->code64 && size != 8) || (guest == RSP && size < stack_width(t)))
		return false;
	Place m = stack_place(t, RSP, 0, size, false);
	emit_load(&t->e, size, use_reg(t, guest, size, false, H_T2), m);
	if (guest != RSP)
		stack_move(t, RSP, (int)size);
	done_reg(t, guest, H_T2);
	detours_end(t);
	return true;
}

static bool leave(Trans *t)
{
	unsigned size = now(t)->opsize;

	if (t->code64 && size != 8)
		return false;
	Place m = stack_place(t, RBP, 0, size, false);
	stack_move(t, RBP, (int)size);
	emit_load(&t->e, size, H_RBP, m);
	detours_end(t);
	return true;
}

/*
 * BMI1 and BMI2: modrm.reg and VEX.vvvv beside modrm.rm. Two scratch registers are too few for three guest registers that
 * live in memory: then the handler runs it.
 */
static bool bit_manipulation(Trans *t)
{
	const Decoded *d = now(t);
	unsigned exec = d->row->exec, size = operand_bytes(d, 0);
	bool g = recode_names(d, 'G'), v = recode_names(d, 'B'), rm_in_t1 = d->is_mem || host_of(d->rm) < 0;
	bool g_in_t2 = g && host_of(d->reg) < 0, v_elsewhere = v && host_of(d->vvvv) < 0;

	if (v_elsewhere && g_in_t2 && rm_in_t1)
		return false;
	Place m = at(H_T1, 0);
	if (d->is_mem)
		m = mem_place(t, size, false);
	flags_want(t);
	Recode with = { .mem = (uint8_t)m.base, .index = m.index, .scale = m.scale, .disp = m.disp };
	unsigned v_scratch = g_in_t2 ? H_T1 : H_T2;
	if (!d->is_mem)
		with.e = (uint8_t)use_reg(t, d->rm, size, true, H_T1);
	if (v)
		with.v = (uint8_t)use_reg(t, d->vvvv, size, true, v_scratch);
	if (g)
		with.g = (uint8_t)use_reg(t, d->reg, size, false, H_T2);
	t->e.p = recode(t->e.p, d, &with);
	if (v && (!g || exec == X_MULX))
		done_reg(t, d->vvvv, v_scratch);
	if (g)
		done_reg(t, d->reg, H_T2);
	detours_end(t);
	return true;
}

static bool fence(Trans *t) /* LFENCE, MFENCE, SFENCE */
{
	e1(&t->e, 0x0f);
	e1(&t->e, 0xae);
	e1(&t->e, now(t)->modrm);
	return true;
}

bool trans_integer(Trans *t)
{
	const Decoded *d = now(t);
	unsigned exec = d->row->exec;
	char first = d->row->operands[0] ? opnd_letter(d->row->operands[0]) : 0;
	unsigned z = (d->opcode & 7) | (d->rex & 1 ? 8 : 0);

	bool ignores_rep = exec == X_BSF || exec == X_BSR; /* TZCNT and LZCNT to processors that have them */

	switch (exec) {
	case X_ANDN: case X_BLSR: case X_BLSMSK: case X_BLSI: case X_BZHI: case X_BEXTR: case X_MULX: case X_PDEP: case X_PEXT:
	case X_SARX: case X_SHLX: case X_SHRX: case X_RORX:
		return bit_manipulation(t);
	}
	if (d->row->enc != ENC_LEGACY || ((d->rep || d->repne) && !mandatory(d) && !ignores_rep))
		return false;
	switch (exec) {
	case X_NOP: case X_PAUSE: return true;
	case X_FENCE: return fence(t);
	case X_MOV:
		if (first == 'Z')
			return mov_const(t);
		if (first == 'O' || d->row->operands[1] == OPND_Ob || d->row->operands[1] == OPND_Ov)
			return mov_offset(t, first == 'O');
		break;
	case X_DIV1: return divide(t, false);
	case X_IDIV1: return divide(t, true);
	case X_LEA: return lea(t);
	case X_LEAVE: return leave(t);
	case X_CRC32: case X_CRC32_8: case X_MOVNTI:
		if (d->opsz66)
			return false;
		break;
	case X_INC: case X_DEC: case X_BSWAP:
		if (first == 'Z')
			return one_reg(t, exec);
		break;
	case X_XCHG_ACC:
		return d->opcode == 0x90 && !(d->rex & 1) ? true : xchg_reg(t, z, RAX);
	case X_PUSH:
		return first == 'Z' ? push_value(t, (int)z, 0) : first == 'I' || first == 's' ? push_value(t, -1, (uint64_t)d->imm) :
		       first != 'E' ? false : d->is_mem ? push_mem(t) : push_value(t, d->rm, 0);
	case X_POP:
		return first == 'Z' && pop_reg(t, z);
	case X_CLC: case X_STC: case X_CMC: case X_LAHF: case X_SAHF:
		flags_want(t);
		e1(&t->e, d->opcode);
		return true;
	case X_CBW: case X_CWD:
		emit_head(&t->e, (Op){ d->opcode, 0, 0 }, d->opsize, 0, 0, 0, false);
		return true;
	case X_ADD: case X_OR: case X_ADC: case X_SBB: case X_AND: case X_SUB: case X_XOR: case X_CMP: case X_TEST:
		if (first == 'a' || first == 'r')
			return accumulator(t);
		break;
	case X_BT: case X_BTS: case X_BTR: case X_BTC:
		if (d->is_mem)
			return false;
		break;
	}
	int access = integer_access(exec);
	return access && with_modrm(t, access);
}
