/*
 * branch.c - near jumps, calls and returns, loops, and the doors to far transfers.
 *
 * SDM vol. 2; far transfers themselves are in cpu/far.c. Every handler here ends its block.
 */
#include "cpu/interp/interp.h"

/* Sets RIP to a near target; imposes operand size and the limit of CS (vol. 2, JMP: #GP(0)). */
static inline const Insn *go(Cpu *cpu, const Insn *i, uint64_t target)
{
	target &= i->amask;
	if (unlikely(i->seg & INSN_SEGCHECK) && target > cpu->seg[CS].limit) {
		cpu->cur = i;
		cpu_gp0(cpu);
	}
	cpu->rip = target;
	return NULL;
}

/* A target read from a register, memory or the stack may be non-canonical: #GP at the branch. */
static inline void check_target(Cpu *cpu, const Insn *i, uint64_t target)
{
	unsigned shift = cpu->cr4 & CR4_LA57 ? 7 : 16;

	if (i->amask == UINT64_MAX && unlikely((uint64_t)((int64_t)(target << shift) >> shift) != target)) {
		cpu->cur = i;
		cpu_gp0(cpu);
	}
}

/* A direct branch: on to the target's block at once where that is known. */
static inline const Insn *go_direct(Cpu *cpu, const Insn *i)
{
	uint64_t target = next_rip(cpu, i) + (uint64_t)i->imm;

	if (likely(i->flags & INSN_LINK)) {
		cpu->rip = target & i->amask;
		return icache_follow(cpu, i);
	}
	icache_left_early(cpu, i);
	return go(cpu, i, target);
}

/* Not taken, the block goes on. */
#define DEF_JCC(cc) \
	static const Insn *jcc_##cc(Cpu *cpu, const Insn *i) \
	{ \
		if (condition(cpu->arith, cc)) \
			return go_direct(cpu, i); \
		NEXT(cpu, i); \
	}
DEF_JCC(0) DEF_JCC(1) DEF_JCC(2) DEF_JCC(3) DEF_JCC(4) DEF_JCC(5) DEF_JCC(6) DEF_JCC(7)
DEF_JCC(8) DEF_JCC(9) DEF_JCC(10) DEF_JCC(11) DEF_JCC(12) DEF_JCC(13) DEF_JCC(14) DEF_JCC(15)
static const InsnFn jcc_fn[16] = {jcc_0, jcc_1, jcc_2, jcc_3, jcc_4, jcc_5, jcc_6, jcc_7,
				  jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15};

static const Insn *jmp_rel(Cpu *cpu, const Insn *i)
{
	return go_direct(cpu, i);
}
static const Insn *jmp_ea(Cpu *cpu, const Insn *i)
{
	uint64_t target = load_rm(cpu, i, i->opsize);
	check_target(cpu, i, target);
	return go(cpu, i, target);
}
static const Insn *call64_rel(Cpu *cpu, const Insn *i)
{
	uint64_t next = next_rip(cpu, i), sp = cpu->regs[RSP] - 8;
	cpu->cur = i;
	store_lin(cpu, sp, next, 8);
	cpu->regs[RSP] = sp;
	return go_direct(cpu, i);
}
static const Insn *call_to(Cpu *cpu, const Insn *i, uint64_t target)
{
	uint64_t old = cpu->regs[RSP];
	cpu->cur = i;
	push(cpu, next_rip(cpu, i) & i->amask, i->opsize);
	uint64_t sp = cpu->regs[RSP];
	if (unlikely(i->seg & INSN_SEGCHECK) && (target & i->amask) > cpu->seg[CS].limit) {
		cpu->regs[RSP] = old;
		cpu_gp0(cpu);
	}
	cpu->regs[RSP] = sp;
	cpu->rip = target & i->amask;
	return NULL;
}
static const Insn *call_rel(Cpu *cpu, const Insn *i)
{
	return call_to(cpu, i, next_rip(cpu, i) + (uint64_t)i->imm);
}
static const Insn *call_ea(Cpu *cpu, const Insn *i)
{
	uint64_t target = load_rm(cpu, i, i->opsize);
	check_target(cpu, i, target);
	return call_to(cpu, i, target);
}
static const Insn *ret64(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t target = load_lin(cpu, cpu->regs[RSP], 8);
	check_target(cpu, i, target);
	cpu->regs[RSP] += 8 + (uint64_t)i->imm;
	cpu->rip = target;
	return NULL;
}
static const Insn *ret(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t target = stack_top(cpu, 0, i->opsize) & i->amask;
	if (unlikely(i->seg & INSN_SEGCHECK) && target > cpu->seg[CS].limit)
		cpu_gp0(cpu);
	set_sp(cpu, cpu->regs[RSP] + i->opsize + (uint64_t)i->imm);
	cpu->rip = target;
	return NULL;
}

static uint64_t count_mask(const Insn *i)
{
	return i->flags & INSN_ASZ16 ? UINT16_MAX : i->flags & INSN_ASZ32 ? UINT32_MAX : UINT64_MAX;
}
static const Insn *loop(Cpu *cpu, const Insn *i) /* aux: 0 LOOPNE, 1 LOOPE, 2 LOOP, 3 JCXZ */
{
	uint64_t mask = count_mask(i), next = next_rip(cpu, i), count = cpu->regs[RCX] & mask;
	bool taken;

	if (i->aux == 3) {
		taken = count == 0;
	} else {
		count = (count - 1) & mask;
		taken = count && (i->aux == 2 || !!(cpu->arith & AR_ZF) == i->aux);
		if (taken && i->seg & INSN_SEGCHECK && ((next + (uint64_t)i->imm) & i->amask) > cpu->seg[CS].limit) {
			cpu->cur = i;
			cpu_gp0(cpu);
		}
		set_reg(cpu, RCX * 8, count, mask == UINT16_MAX ? 2 : mask == UINT32_MAX ? 4 : 8);
	}
	if (taken)
		return go(cpu, i, next + (uint64_t)i->imm);
	cpu->rip = next;
	return NULL;
}

/* ---- far ---- */
static const Insn *jmpf_imm(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu_far_jmp(cpu, i->imm2, (uint64_t)i->imm, i->opsize, next);
	return NULL;
}
static const Insn *callf_imm(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu_far_call(cpu, i->imm2, (uint64_t)i->imm, i->opsize, next);
	return NULL;
}
static void far_pointer(Cpu *cpu, const Insn *i, uint64_t *offset, uint16_t *sel)
{
	uint64_t linear = linear_of(cpu, i, i->opsize + 2u, false);
	*offset = load_lin(cpu, linear, i->opsize);
	*sel = (uint16_t)load_lin(cpu, linear + i->opsize, 2);
}
static const Insn *far_ea(Cpu *cpu, const Insn *i) /* aux: 1 CALL */
{
	uint64_t offset;
	uint16_t sel;
	cpu->cur = i;
	far_pointer(cpu, i, &offset, &sel);
	uint64_t next = sync_rip(cpu, i);
	if (i->aux)
		cpu_far_call(cpu, sel, offset, i->opsize, next);
	else
		cpu_far_jmp(cpu, sel, offset, i->opsize, next);
	return NULL;
}
static const Insn *retf(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu_far_ret(cpu, i->opsize, (uint16_t)i->imm, next);
	return NULL;
}
static const Insn *iret(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu_iret(cpu, i->opsize, next);
	return NULL;
}
static const Insn *lxs(Cpu *cpu, const Insn *i)
{
	uint64_t offset;
	uint16_t sel;
	cpu->cur = i;
	far_pointer(cpu, i, &offset, &sel);
	uint64_t next = sync_rip(cpu, i);
	cpu_load_segment(cpu, i->aux, sel);
	set_reg(cpu, i->reg, offset, i->opsize);
	cpu->rip = next;
	return NULL;
}

/* ---- software interrupts and fast calls ---- */
static const Insn *soft_int(Cpu *cpu, const Insn *i) /* aux: vector; imm2: IntKind */
{
	uint64_t next = sync_rip(cpu, i);
	cpu->icache->no_trap = true;
	cpu_soft_int(cpu, i->aux, (IntKind)i->imm2, next);
	return NULL;
}
static const Insn *into(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu->icache->no_trap = cpu->arith & AR_OF;
	if (cpu->arith & AR_OF)
		cpu_soft_int(cpu, EXC_OF, INT_BREAKPOINT, next);
	else
		cpu->rip = next;
	return NULL;
}
static const Insn *syscall_(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	cpu_syscall(cpu, next);
	return NULL;
}
static const Insn *sysret(Cpu *cpu, const Insn *i)
{
	sync_rip(cpu, i);
	cpu_sysret(cpu, i->opsize);
	return NULL;
}
static const Insn *sysenter(Cpu *cpu, const Insn *i)
{
	sync_rip(cpu, i);
	cpu_sysenter(cpu);
	return NULL;
}
static const Insn *sysexit(Cpu *cpu, const Insn *i)
{
	sync_rip(cpu, i);
	cpu_sysexit(cpu, i->opsize);
	return NULL;
}

static InsnFn bind_int(Binder *b, uint8_t vector, IntKind kind)
{
	b->i->aux = vector;
	b->i->imm2 = (uint16_t)kind;
	return soft_int;
}

static InsnFn bind_far(Binder *b)
{
	const Decoded *d = b->d;

	switch (d->row->exec) {
	case X_JMPF_IMM: return jmpf_imm;
	case X_CALLF_IMM: return callf_imm;
	case X_JMPF_EA: return far_ea;
	case X_CALLF_EA: b->i->aux = 1; return far_ea;
	case X_RETF: return retf;
	case X_IRET: return iret;
	case X_LXS:
		b->i->aux = d->opcode == 0xc4 ? ES : d->opcode == 0xc5 ? DS : d->opcode == 0xb2 ? SS : d->opcode == 0xb4 ? FS : GS;
		return lxs;
	case X_INT: return bind_int(b, (uint8_t)d->imm, INT_SOFT);
	case X_INT3: return bind_int(b, EXC_BP, INT_BREAKPOINT);
	case X_INT1: return bind_int(b, EXC_DB, INT_ICEBP);
	case X_INTO: return into;
	case X_SYSCALL: return syscall_;
	case X_SYSRET: return sysret;
	case X_SYSENTER: return sysenter;
	case X_SYSEXIT: return sysexit;
	}
	return NULL;
}

/* Chained without a look at the TLB: the target must lie in the page that is being run, in flat code. */
static void link_branch(Binder *b)
{
	bool flat = (b->cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || b->cpu->mode & MODE_FLAT;
	uint64_t next = b->cpu->rip + b->i->end, target = (next + (uint64_t)b->i->imm) & b->i->amask;

	if (flat && !(b->cpu->mode & MODE_STEP) && !((target ^ b->cpu->rip) & ~0xfffull))
		b->i->flags |= INSN_LINK;
	b->i->disp = 0; /* the linked block (icache_follow) */
}

/* Near branches: amask becomes the mask of the new RIP, seg says whether CS has a limit to check. */
static void near_branch(Binder *b)
{
	const Decoded *d = b->d;

	if (d->is_mem)
		return; /* amask and seg belong to the address; the target is as wide as the operand */
	b->i->amask = d->opsize == 8 ? UINT64_MAX : d->opsize == 4 ? UINT32_MAX : UINT16_MAX;
	b->i->seg = (b->cpu->mode & MODE_CODE_MASK) != MODE_CODE64 && !(b->cpu->mode & MODE_FLAT) ? INSN_SEGCHECK : 0;
}

static const Insn *branch_mem(Cpu *cpu, const Insn *i) /* JMP and CALL through memory; aux: 1 CALL */
{
	uint64_t target = load_ea(cpu, i, i->opsize);
	Insn near = *i; /* the same instruction as a near branch to a known target */

	near.amask = i->opsize == 8 ? UINT64_MAX : i->opsize == 4 ? UINT32_MAX : UINT16_MAX;
	near.seg = i->opsize == 8 ? 0 : INSN_SEGCHECK;
	check_target(cpu, &near, target);
	if (!i->aux) {
		if (near.seg && target > cpu->seg[CS].limit)
			cpu_gp0(cpu);
		cpu->rip = target;
		return NULL;
	}
	if (near.seg && target > cpu->seg[CS].limit)
		cpu_gp0(cpu);
	push(cpu, next_rip(cpu, i) & near.amask, i->opsize);
	cpu->rip = target;
	return NULL;
}

InsnFn bind_branch(Binder *b)
{
	const Decoded *d = b->d;
	bool code64 = (b->cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
	InsnFn far = bind_far(b);

	if (far)
		return far;
	switch (d->row->exec) {
	case X_JCC: near_branch(b); link_branch(b); return jcc_fn[d->opcode & 15];
	case X_JMP: near_branch(b); link_branch(b); return jmp_rel;
	case X_CALL: near_branch(b); link_branch(b); return code64 ? call64_rel : call_rel;
	case X_JMP_EA: near_branch(b); return d->is_mem ? branch_mem : jmp_ea;
	case X_CALL_EA: near_branch(b); b->i->aux = 1; return d->is_mem ? branch_mem : call_ea;
	case X_RET: case X_RET_IMM: near_branch(b); return code64 ? ret64 : ret;
	case X_LOOPNE: case X_LOOPE: case X_LOOP: case X_JCXZ:
		near_branch(b);
		b->i->aux = d->opcode & 3;
		return loop;
	}
	return NULL;
}
