/*
 * system.c - privileged and system instructions: their checks, then the helpers of cpu/.
 *
 * SDM vol. 2 and vol. 3A, 2.8. Every handler here makes RIP exact first and ends its block.
 */
#include "cpu/interp/interp.h"

/* Runs the body with an exact RIP; afterwards RIP is the next instruction. */
#define SYSTEM(name, body) \
	static const Insn *name(Cpu *cpu, const Insn *i) \
	{ \
		uint64_t next = sync_rip(cpu, i); \
		body; \
		cpu->rip = next; \
		return NULL; \
	}

/* linear_of() reads SLOT_RIP, which sync_rip() has changed: the address is computed before. */
#define SYSTEM_MEM(name, bytes, write, body) \
	static const Insn *name(Cpu *cpu, const Insn *i) \
	{ \
		cpu->cur = i; \
		uint64_t linear = linear_of(cpu, i, bytes, write); \
		uint64_t next = sync_rip(cpu, i); \
		body; \
		cpu->rip = next; \
		return NULL; \
	}

static void need_cpl0(Cpu *cpu)
{
	if (cpu->cpl != 0)
		cpu_gp0(cpu);
}

/* UMIP (vol. 3A, 2.5): SGDT, SIDT, SLDT, SMSW, STR fault outside CPL 0. */
static void check_umip(Cpu *cpu)
{
	if (cpu->cr4 & CR4_UMIP && cpu->cpl != 0)
		cpu_gp0(cpu);
}

static void check_fpu(Cpu *cpu) /* FXSAVE and kin: #NM when TS or EM */
{
	if (cpu->cr0 & (CR0_TS | CR0_EM))
		cpu_exception(cpu, EXC_NM);
}

static void check_xsave(Cpu *cpu)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		cpu_exception(cpu, EXC_UD);
	if (cpu->cr0 & CR0_TS)
		cpu_exception(cpu, EXC_NM);
}

static uint64_t edx_eax(const Cpu *cpu)
{
	return cpu->regs[RDX] << 32 | (uint32_t)cpu->regs[RAX];
}
static void set_edx_eax(Cpu *cpu, uint64_t v)
{
	cpu->regs[RAX] = (uint32_t)v;
	cpu->regs[RDX] = v >> 32;
}

/* ---- I/O ---- */
static uint16_t port_of(Cpu *cpu, const Insn *i)
{
	return i->aux ? REG16(cpu, RDX * 8) : (uint8_t)i->imm;
}
SYSTEM(in, {
	uint16_t port = port_of(cpu, i);
	cpu_check_io(cpu, port, i->opsize);
	cpu_check_io_watch(cpu, port, i->opsize);
	set_reg(cpu, RAX * 8, cpu->world->io_read(cpu->world_opaque, port, i->opsize), i->opsize);
})
SYSTEM(out, {
	uint16_t port = port_of(cpu, i);
	cpu_check_io(cpu, port, i->opsize);
	cpu_check_io_watch(cpu, port, i->opsize);
	cpu->world->io_write(cpu->world_opaque, port, (uint32_t)get_reg(cpu, RAX * 8, i->opsize), i->opsize);
})

/* ---- flags, halt ---- */
SYSTEM(cli, cpu_cli(cpu))
SYSTEM(sti, cpu_sti(cpu))
static const Insn *pushf(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	push(cpu, cpu_pushf(cpu, i->opsize), i->opsize);
	cpu->rip = next;
	return NULL;
}
static const Insn *popf(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i), old = cpu->regs[RSP];
	uint64_t v = stack_top(cpu, 0, i->opsize);
	cpu_popf(cpu, v, i->opsize);
	set_sp(cpu, old + i->opsize);
	cpu->rip = next;
	return NULL;
}
static const Insn *hlt(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	need_cpl0(cpu);
	cpu->rip = next;
	cpu->halted = true;
	return NULL;
}

/* ---- control, debug and model-specific registers ---- */
SYSTEM(mov_from_cr, {
	need_cpl0(cpu);
	uint64_t v = cpu_read_cr(cpu, i->aux);
	set_reg(cpu, i->rm, v, cpu_code64(cpu) ? 8 : 4);
})
SYSTEM(mov_to_cr, {
	need_cpl0(cpu);
	cpu_write_cr(cpu, i->aux, get_reg(cpu, i->rm, cpu_code64(cpu) ? 8 : 4));
})
SYSTEM(mov_from_dr, {
	need_cpl0(cpu);
	set_reg(cpu, i->rm, cpu_read_dr(cpu, i->aux), cpu_code64(cpu) ? 8 : 4);
})
SYSTEM(mov_to_dr, {
	need_cpl0(cpu);
	cpu_write_dr(cpu, i->aux, get_reg(cpu, i->rm, cpu_code64(cpu) ? 8 : 4));
})
SYSTEM(clts, {
	need_cpl0(cpu);
	cpu->cr0 &= ~(uint64_t)CR0_TS;
})
static const Insn *smsw(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	check_umip(cpu);
	if (i->flags & INSN_MEM)
		store_ea(cpu, i, cpu->cr0, 2);
	else
		set_reg(cpu, i->rm, cpu->cr0, i->opsize);
	NEXT(cpu, i);
}
static const Insn *lmsw(Cpu *cpu, const Insn *i)
{
	uint64_t v = load_rm(cpu, i, 2), next = sync_rip(cpu, i);
	need_cpl0(cpu);
	v = (cpu->cr0 & ~(uint64_t)0xe) | (v & 0xf); /* PE can be set, not cleared */
	cpu_write_cr(cpu, 0, v | (cpu->cr0 & CR0_PE));
	cpu->rip = next;
	return NULL;
}
SYSTEM(rdmsr, {
	need_cpl0(cpu);
	set_edx_eax(cpu, cpu_rdmsr(cpu, (uint32_t)cpu->regs[RCX]));
})
SYSTEM(wrmsr, {
	need_cpl0(cpu);
	cpu_wrmsr(cpu, (uint32_t)cpu->regs[RCX], edx_eax(cpu));
})
SYSTEM(rdtsc, {
	if (cpu->cr4 & CR4_TSD && cpu->cpl != 0)
		cpu_gp0(cpu);
	set_edx_eax(cpu, cpu_tsc(cpu));
	if (i->aux)
		cpu->regs[RCX] = (uint32_t)cpu->tsc_aux;
})
SYSTEM(rdpmc, cpu_gp0(cpu)) /* there are no counters: every index is invalid */
SYSTEM(rdpid, set_reg(cpu, i->rm, cpu->tsc_aux, cpu_code64(cpu) ? 8 : 4))
SYSTEM(cpuid, {
	uint32_t out[4];
	__builtin_ia32_mfence(); /* it serializes */
	cpu_do_cpuid(cpu, (uint32_t)cpu->regs[RAX], (uint32_t)cpu->regs[RCX], out);
	cpu->regs[RAX] = out[0];
	cpu->regs[RBX] = out[1];
	cpu->regs[RCX] = out[2];
	cpu->regs[RDX] = out[3];
})
SYSTEM(xgetbv, {
	uint32_t n = (uint32_t)cpu->regs[RCX];
	if (!(cpu->cr4 & CR4_OSXSAVE))
		cpu_exception(cpu, EXC_UD);
	if (n > 1 || (n == 1 && !cpu_has(cpu, FEAT_XGETBV1)))
		cpu_gp0(cpu);
	set_edx_eax(cpu, cpu->xcr0); /* XCR0 & XINUSE: everything counts as in use */
})
SYSTEM(xsetbv, {
	if (!(cpu->cr4 & CR4_OSXSAVE))
		cpu_exception(cpu, EXC_UD);
	need_cpl0(cpu);
	cpu_write_xcr(cpu, (uint32_t)cpu->regs[RCX], edx_eax(cpu));
})
SYSTEM(rdpkru, {
	if (!(cpu->cr4 & CR4_PKE))
		cpu_exception(cpu, EXC_UD);
	if ((uint32_t)cpu->regs[RCX])
		cpu_gp0(cpu);
	set_edx_eax(cpu, cpu->vec.pkru);
})
SYSTEM(wrpkru, {
	if (!(cpu->cr4 & CR4_PKE))
		cpu_exception(cpu, EXC_UD);
	if ((uint32_t)cpu->regs[RCX] || (uint32_t)cpu->regs[RDX])
		cpu_gp0(cpu);
	cpu->vec.pkru = (uint32_t)cpu->regs[RAX];
	cpu_tlb_flush(cpu, true);
})
SYSTEM(swapgs, {
	need_cpl0(cpu);
	uint64_t t = cpu->seg[GS].base;
	cpu->seg[GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = t;
})
SYSTEM(stac_clac, {
	if (cpu->cpl != 0)
		cpu_exception(cpu, EXC_UD);
	cpu->rflags = i->aux ? cpu->rflags | FLAG_AC : cpu->rflags & ~FLAG_AC;
	cpu_update_mode(cpu);
})
SYSTEM(fsgsbase, {
	if (!(cpu->cr4 & CR4_FSGSBASE))
		cpu_exception(cpu, EXC_UD);
	Segment *s = &cpu->seg[i->aux & 1 ? GS : FS];
	unsigned size = i->flags & INSN_REXW ? 8 : 4;
	if (i->aux & 2) {
		uint64_t v = get_reg(cpu, i->rm, size);
		unsigned shift = cpu->cr4 & CR4_LA57 ? 7 : 16;
		if ((uint64_t)((int64_t)(v << shift) >> shift) != v)
			cpu_gp0(cpu);
		s->base = v;
	} else {
		set_reg(cpu, i->rm, s->base, size);
	}
})

/* ---- descriptor tables ---- */
static const Insn *store_table(Cpu *cpu, const Insn *i) /* aux: 1 SIDT */
{
	cpu->cur = i;
	check_umip(cpu);
	bool code64 = cpu_code64(cpu);
	uint64_t linear = linear_of(cpu, i, code64 ? 10 : 6, true);
	const TableReg *t = i->aux ? &cpu->idtr : &cpu->gdtr;
	uint8_t buf[10];
	memcpy(buf, &t->limit, 2);
	memcpy(buf + 2, &t->base, 8);
	cpu_lin_write_buf(cpu, linear, buf, code64 ? 10 : 6, cpu_data_access(cpu));
	NEXT(cpu, i);
}
SYSTEM_MEM(load_table, cpu_code64(cpu) ? 10 : 6, false, {
	need_cpl0(cpu);
	uint8_t buf[10];
	memset(buf, 0, sizeof(buf));
	cpu_lin_read_buf(cpu, linear, buf, cpu_code64(cpu) ? 10 : 6, cpu_data_access(cpu));
	TableReg t;
	memcpy(&t.limit, buf, 2);
	memcpy(&t.base, buf + 2, 8);
	if (!cpu_code64(cpu) && i->opsize == 2)
		t.base &= 0xffffff;
	unsigned shift = cpu->cr4 & CR4_LA57 ? 7 : 16;
	if (cpu_code64(cpu) && (uint64_t)((int64_t)(t.base << shift) >> shift) != t.base)
		cpu_gp0(cpu);
	*(i->aux ? &cpu->idtr : &cpu->gdtr) = t;
})
static const Insn *sldt_str(Cpu *cpu, const Insn *i) /* aux: 1 STR */
{
	cpu->cur = i;
	check_umip(cpu);
	uint16_t sel = i->aux ? cpu->tr.sel : cpu->ldtr.sel;
	if (i->flags & INSN_MEM)
		store_ea(cpu, i, sel, 2);
	else
		set_reg(cpu, i->rm, sel, i->opsize);
	NEXT(cpu, i);
}
/* LLDT, LTR, VERR, VERW, LAR, LSL, MOV to segment: 16-bit source, then a helper. */
static const Insn *selector_op(Cpu *cpu, const Insn *i)
{
	uint16_t sel = (uint16_t)load_rm(cpu, i, 2);
	uint64_t next = sync_rip(cpu, i);
	uint32_t v = 0;
	bool zf = false, flag = false;

	switch (i->imm2) {
	case X_LLDT: need_cpl0(cpu); cpu_lldt(cpu, sel); break;
	case X_LTR: need_cpl0(cpu); cpu_ltr(cpu, sel); break;
	case X_VERR: zf = cpu_ver(cpu, sel, false); flag = true; break;
	case X_VERW: zf = cpu_ver(cpu, sel, true); flag = true; break;
	case X_LAR: zf = cpu_lar(cpu, sel, &v); flag = true; break;
	case X_LSL: zf = cpu_lsl(cpu, sel, &v); flag = true; break;
	case X_MOV_TO_SEG:
		cpu_load_segment(cpu, i->aux, sel);
		if (i->aux == SS)
			cpu->inhibit = 1;
		break;
	}
	if (flag)
		cpu->arith = (uint16_t)((cpu->arith & ~AR_ZF) | (zf ? AR_ZF : 0));
	if (zf && (i->imm2 == X_LAR || i->imm2 == X_LSL))
		set_reg(cpu, i->reg, v, i->opsize);
	cpu->rip = next;
	return NULL;
}
static const Insn *mov_from_seg(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint16_t sel = cpu->seg[i->aux].sel;
	if (i->flags & INSN_MEM)
		store_ea(cpu, i, sel, 2);
	else
		set_reg(cpu, i->rm, sel, i->opsize);
	NEXT(cpu, i);
}
static const Insn *pop_seg(Cpu *cpu, const Insn *i)
{
	uint64_t next = sync_rip(cpu, i);
	uint16_t sel = (uint16_t)stack_top(cpu, 0, 2);
	uint64_t old = cpu->regs[RSP];

	/* The pointer moves by the stack size in force before SS changes. */
	cpu_load_segment(cpu, i->aux, sel);
	set_sp(cpu, old + i->opsize);
	if (i->aux == SS)
		cpu->inhibit = 1;
	cpu->rip = next;
	return NULL;
}
static const Insn *arpl(Cpu *cpu, const Insn *i)
{
	uint16_t dst = (uint16_t)load_rm(cpu, i, 2), src = REG16(cpu, i->reg);
	bool lower = (dst & 3) < (src & 3);
	if (lower)
		store_rm(cpu, i, (dst & ~3u) | (src & 3), 2);
	cpu->arith = (uint16_t)((cpu->arith & ~AR_ZF) | (lower ? AR_ZF : 0));
	NEXT(cpu, i);
}
static const Insn *bound(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	unsigned size = i->opsize, shift = 64 - 8 * size;
	uint64_t linear = linear_of(cpu, i, 2 * size, false);
	int64_t lo = (int64_t)(load_lin(cpu, linear, size) << shift) >> shift;
	int64_t hi = (int64_t)(load_lin(cpu, linear + size, size) << shift) >> shift;
	int64_t v = (int64_t)(get_reg(cpu, i->reg, size) << shift) >> shift;
	if (v < lo || v > hi)
		cpu_exception(cpu, EXC_BR);
	NEXT(cpu, i);
}

/* ---- TLB and caches ---- */
SYSTEM_MEM(invlpg, 1, false, {
	need_cpl0(cpu);
	cpu_tlb_flush_page(cpu, linear);
})
SYSTEM_MEM(invpcid, 16, false, {
	need_cpl0(cpu);
	uint64_t pcid = cpu_lin_read(cpu, linear, 8, cpu_data_access(cpu));
	uint64_t address = cpu_lin_read(cpu, linear + 8, 8, cpu_data_access(cpu));
	cpu_invpcid(cpu, get_reg(cpu, i->reg, cpu_code64(cpu) ? 8 : 4), pcid, address);
})
SYSTEM(wbinvd, need_cpl0(cpu)) /* caches are not modelled: memory is always coherent */
static const Insn *clflush(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	cpu_lin_probe(cpu, linear_of(cpu, i, 1, false), 1, cpu_data_access(cpu));
	NEXT(cpu, i);
}
SYSTEM(serialize, __builtin_ia32_mfence()) /* stores too (SDM vol. 3A, 8.3) */
SYSTEM(monitor, need_cpl0(cpu))
static const Insn *mwait(Cpu *cpu, const Insn *i) /* ends the wait at once: always allowed (vol. 2, MWAIT) */
{
	uint64_t next = sync_rip(cpu, i);
	need_cpl0(cpu);
	cpu->rip = next;
	return NULL;
}

/* ---- state images ---- */
SYSTEM_MEM(fxsave, 512, true, { check_fpu(cpu); cpu_fxsave(cpu, linear, i->flags & INSN_REXW); })
SYSTEM_MEM(fxrstor, 512, false, { check_fpu(cpu); cpu_fxrstor(cpu, linear, i->flags & INSN_REXW); })
SYSTEM_MEM(xsave, 1, true, {
	check_xsave(cpu);
	if (i->aux == XSAVES)
		need_cpl0(cpu);
	cpu_xsave(cpu, linear, edx_eax(cpu), (XsaveForm)i->aux, i->flags & INSN_REXW);
})
SYSTEM_MEM(xrstor, 1, false, {
	check_xsave(cpu);
	if (i->aux)
		need_cpl0(cpu);
	cpu_xrstor(cpu, linear, edx_eax(cpu), i->aux, i->flags & INSN_REXW);
})
static void check_sse(Cpu *cpu)
{
	if (cpu->cr0 & CR0_EM || !(cpu->cr4 & CR4_OSFXSR))
		cpu_exception(cpu, EXC_UD);
	if (cpu->cr0 & CR0_TS)
		cpu_exception(cpu, EXC_NM);
}
SYSTEM_MEM(ldmxcsr, 4, false, {
	check_sse(cpu);
	uint32_t v = (uint32_t)cpu_lin_read(cpu, linear, 4, cpu_data_access(cpu));
	if (v & ~0xffffu)
		cpu_gp0(cpu);
	cpu->vec.mxcsr = v;
})
SYSTEM_MEM(stmxcsr, 4, true, {
	check_sse(cpu);
	cpu_lin_write(cpu, linear, cpu->vec.mxcsr, 4, cpu_data_access(cpu));
})

/* ---- wide compare and exchange, random numbers ---- */
static const Insn *cmpxchg16b(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t linear = linear_of(cpu, i, 16, true);
	if (linear & 15)
		cpu_gp0(cpu);
	void *p = cpu_lin_rmw(cpu, linear, 8);
	uint64_t lo = cpu->regs[RAX], hi = cpu->regs[RDX];
	bool equal;
	if (p) {
		asm volatile("lock; cmpxchg16b %1\n\tsetz %0" : "=q"(equal), "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi)
			     : "b"(cpu->regs[RBX]), "c"(cpu->regs[RCX]) : "memory", "cc");
	} else {
		interp_alone_begin(cpu);
		uint64_t mlo = load_lin(cpu, linear, 8), mhi = load_lin(cpu, linear + 8, 8);
		equal = mlo == lo && mhi == hi;
		uint64_t out[2] = {equal ? cpu->regs[RBX] : mlo, equal ? cpu->regs[RCX] : mhi};
		cpu_lin_write_buf(cpu, linear, out, 16, cpu_data_access(cpu));
		lo = mlo;
		hi = mhi;
		interp_alone_end(cpu);
	}
	if (!equal) {
		cpu->regs[RAX] = lo;
		cpu->regs[RDX] = hi;
	}
	cpu->arith = (uint16_t)((cpu->arith & ~AR_ZF) | (equal ? AR_ZF : 0));
	NEXT(cpu, i);
}
static const Insn *cmpxchg8b(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	uint64_t linear = linear_of(cpu, i, 8, true);
	uint64_t *p = cpu_lin_rmw(cpu, linear, 8);
	uint64_t want = edx_eax(cpu), old, fresh = cpu->regs[RCX] << 32 | (uint32_t)cpu->regs[RBX];
	bool equal;
	if (p) {
		old = want;
		equal = __atomic_compare_exchange_n(p, &old, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else {
		bool alone = i->flags & INSN_LOCK;
		if (alone)
			interp_alone_begin(cpu);
		old = load_lin(cpu, linear, 8);
		equal = old == want;
		store_lin(cpu, linear, equal ? fresh : old, 8);
		if (alone)
			interp_alone_end(cpu);
	}
	if (!equal)
		set_edx_eax(cpu, old);
	cpu->arith = (uint16_t)((cpu->arith & ~AR_ZF) | (equal ? AR_ZF : 0));
	NEXT(cpu, i);
}
static const Insn *rdrand(Cpu *cpu, const Insn *i)
{
	uint64_t v = (uint64_t)g_random_int() << 32 | g_random_int();
	set_reg(cpu, i->rm, v, i->opsize);
	cpu->arith = AR_CF;
	NEXT(cpu, i);
}

static uint8_t segment_number(const Decoded *d)
{
	switch (d->row->operands[0]) {
	case OPND_es: return ES;
	case OPND_ss: return SS;
	case OPND_ds: return DS;
	case OPND_fs: return FS;
	default: return GS;
	}
}

static InsnFn with_aux(Binder *b, uint8_t aux, InsnFn fn)
{
	b->i->aux = aux;
	return fn;
}

static InsnFn bind_cr(Binder *b, bool debug, InsnFn fn)
{
	unsigned n = b->d->reg;

	b->i->rm = (uint8_t)(b->d->rm * 8);
	if (!debug && b->d->lock && n == 0)
		n = 8; /* AMD's LOCK MOV CR0 is MOV CR8 where REX cannot be used; refused by the decoder elsewhere */
	if (debug ? n > 7 : (n != 0 && n != 2 && n != 3 && n != 4 && n != 8))
		return x_ud;
	if (debug && (n == 4 || n == 5))
		n += b->cpu->cr4 & CR4_DE ? 8 : 2; /* aliases of DR6 and DR7; 12 and 13 are #UD */
	if (n >= 12)
		return x_ud;
	return with_aux(b, (uint8_t)n, fn);
}

static InsnFn bind_selector(Binder *b)
{
	const Decoded *d = b->d;

	b->i->imm2 = d->row->exec;
	if (d->row->exec == X_MOV_TO_SEG) {
		unsigned n = d->modrm >> 3 & 7;
		if (n == CS || n > GS)
			return x_ud;
		b->i->aux = (uint8_t)n;
	}
	return selector_op;
}

static InsnFn bind_io(Binder *b, InsnFn fn)
{
	const Decoded *d = b->d;
	bool byte = !(d->opcode & 1);

	b->i->opsize = byte ? 1 : d->opsize == 2 ? 2 : 4;
	b->i->imm &= 0xff;
	return with_aux(b, d->opcode >= 0xec, fn);
}

static InsnFn bind_state(Binder *b)
{
	switch (b->d->row->exec) {
	case X_FXSAVE: return fxsave;
	case X_FXRSTOR: return fxrstor;
	case X_XSAVE: return with_aux(b, XSAVE, xsave);
	case X_XSAVEOPT: return with_aux(b, XSAVEOPT, xsave);
	case X_XSAVEC: return with_aux(b, XSAVEC, xsave);
	case X_XSAVES: return with_aux(b, XSAVES, xsave);
	case X_XRSTOR: return xrstor;
	case X_XRSTORS: return with_aux(b, 1, xrstor);
	case X_LDMXCSR: return ldmxcsr;
	case X_STMXCSR: return stmxcsr;
	case X_CMPXCHG8B: return b->i->flags & INSN_REXW ? (cpu_has(b->cpu, FEAT_CX16) ? cmpxchg16b : x_ud) : cmpxchg8b;
	case X_RDRAND: case X_RDSEED: return rdrand;
	case X_RDFSBASE: return with_aux(b, 0, fsgsbase);
	case X_RDGSBASE: return with_aux(b, 1, fsgsbase);
	case X_WRFSBASE: return with_aux(b, 2, fsgsbase);
	case X_WRGSBASE: return with_aux(b, 3, fsgsbase);
	case X_CLFLUSH: return clflush;
	case X_MONITOR: return monitor;
	case X_MWAIT: return mwait;
	case X_SERIALIZE: return serialize;
	case X_RDPKRU: return rdpkru;
	case X_WRPKRU: return wrpkru;
	case X_XGETBV: return xgetbv;
	case X_XSETBV: return xsetbv;
	case X_STAC: return with_aux(b, 1, stac_clac);
	case X_CLAC: return with_aux(b, 0, stac_clac);
	}
	return NULL;
}

InsnFn bind_system(Binder *b)
{
	switch (b->d->row->exec) {
	case X_IN: return bind_io(b, in);
	case X_OUT: return bind_io(b, out);
	case X_CLI: return cli;
	case X_STI: return sti;
	case X_PUSHF: return pushf;
	case X_POPF: return popf;
	case X_HLT: return hlt;
	case X_MOV_FROM_CR: return bind_cr(b, false, mov_from_cr);
	case X_MOV_TO_CR: return bind_cr(b, false, mov_to_cr);
	case X_MOV_FROM_DR: return bind_cr(b, true, mov_from_dr);
	case X_MOV_TO_DR: return bind_cr(b, true, mov_to_dr);
	case X_CLTS: return clts;
	case X_SMSW: return smsw;
	case X_LMSW: return lmsw;
	case X_RDMSR: return rdmsr;
	case X_WRMSR: return wrmsr;
	case X_RDTSC: return with_aux(b, 0, rdtsc);
	case X_RDTSCP: return with_aux(b, 1, rdtsc);
	case X_RDPMC: return rdpmc;
	case X_RDPID: b->i->rm = (uint8_t)(b->d->rm * 8); return rdpid;
	case X_CPUID: return cpuid;
	case X_SWAPGS: return swapgs;
	case X_SGDT: return with_aux(b, 0, store_table);
	case X_SIDT: return with_aux(b, 1, store_table);
	case X_LGDT: return with_aux(b, 0, load_table);
	case X_LIDT: return with_aux(b, 1, load_table);
	case X_SLDT: return with_aux(b, 0, sldt_str);
	case X_STR: return with_aux(b, 1, sldt_str);
	case X_LLDT: case X_LTR: case X_VERR: case X_VERW: case X_LAR: case X_LSL: case X_MOV_TO_SEG: return bind_selector(b);
	case X_MOV_FROM_SEG:
		if ((b->d->modrm >> 3 & 7) > GS)
			return x_ud;
		return with_aux(b, b->d->modrm >> 3 & 7, mov_from_seg);
	case X_POP_SEG: return with_aux(b, segment_number(b->d), pop_seg);
	case X_ARPL: return arpl;
	case X_BOUND: return bound;
	case X_INVLPG: return invlpg;
	case X_INVPCID: return invpcid;
	case X_INVD: case X_WBINVD: return wbinvd;
	case X_UD: return x_ud;
	}
	return bind_state(b);
}
