/*
 * vector.c - MMX, SSE, AVX and x87 instructions: the checks, the memory operand, then the thunk.
 *
 * SDM vol. 2, 2.4 (exception classes), vol. 1, 8.6 and 11.5 (x87 and SIMD floating-point exceptions).
 * An x87 exception with CR0.NE clear raises #MF too: there is no FERR# line.
 */
#include "cpu/interp/interp.h"

#include "cpu/interp/thunk.h"
#include "cpu/interp/vector.h"

#define FSW_ES 0x80u

void vector_check_x87(Cpu *cpu, bool wait)
{
	if (cpu->cr0 & (CR0_EM | CR0_TS))
		cpu_exception(cpu, EXC_NM);
	if (wait && cpu->vec.fx[2] & FSW_ES)
		cpu_exception(cpu, EXC_MF);
}

static void check_unit(Cpu *cpu, const Thunk *t)
{
	if (t->vec & VEC_X87) {
		vector_check_x87(cpu, !(t->vec & VEC_NOWAIT));
		return;
	}
	if (t->enc != ENC_LEGACY) {
		uint64_t need = t->enc == ENC_EVEX ? 0xe6 : 6;
		if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & need) != need)
			cpu_exception(cpu, EXC_UD);
	} else {
		bool mmx_only = t->vec & VEC_MMX;
		if (cpu->cr0 & CR0_EM || (!mmx_only && !(cpu->cr4 & CR4_OSFXSR)))
			cpu_exception(cpu, EXC_UD);
	}
	if (cpu->cr0 & CR0_TS)
		cpu_exception(cpu, EXC_NM);
	if (t->vec & VEC_MMX && cpu->vec.fx[2] & FSW_ES)
		cpu_exception(cpu, EXC_MF);
}

/* The thunk itself. x87: the pointers of the last instruction (vol. 1, 8.1.8) are the guest's, not the thunk's. */
static void run_code(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r, uint64_t ea)
{
	static const uint32_t mxcsr = 0x1f80;
	uint64_t fip, fdp;

	if (!(t->vec & (VEC_X87 | VEC_MMX))) {
		t->code(&cpu->vec, mem, 0, 0, 0, r);
		return;
	}
	memcpy(&fip, cpu->vec.fx + 8, 8);
	memcpy(&fdp, cpu->vec.fx + 16, 8);
	memcpy(cpu->vec.fx + 24, &mxcsr, 4);
	t->code(&cpu->vec, mem, 0, 0, 0, r);
	if (!(t->vec & VEC_NOWAIT)) {
		fip = cpu->rip + i->end - i->len;
		if (i->flags & INSN_MEM)
			fdp = ea;
	}
	memcpy(cpu->vec.fx + 8, &fip, 8);
	memcpy(cpu->vec.fx + 16, &fdp, 8);
}

/*
 * SIMD floating point with some exception unmasked: run with all masked and a clean slate; if an
 * unmasked one came up, nothing is committed but the flags, and #XM (or #UD) is raised.
 */
static void run_unmasked(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r, uint64_t ea)
{
	uint32_t guest = cpu->vec.mxcsr, masks = guest >> 7 & 0x3f;
	CpuVector saved = cpu->vec;

	cpu->vec.mxcsr = (guest | 0x1f80) & ~0x3fu;
	run_code(cpu, i, t, mem, r, ea);
	uint32_t raised = cpu->vec.mxcsr & 0x3f, open = raised & ~masks;
	if (open & 7) /* found before the operation: its results' flags do not come */
		raised &= 7;
	if (open) {
		cpu->vec = saved;
		cpu->vec.mxcsr = guest | raised;
		if (t->vec & VEC_MMX)
			vector_enter_mmx(cpu);
		cpu_exception(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
	}
	cpu->vec.mxcsr = guest | raised;
}

void vector_run(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r, uint64_t ea)
{
	r->host_mxcsr = 0x1f80;
	r->arith = cpu->arith;
	if (unlikely(t->vec & VEC_FP && (cpu->vec.mxcsr & 0x1f80) != 0x1f80))
		run_unmasked(cpu, i, t, mem, r, ea);
	else
		run_code(cpu, i, t, mem, r, ea);
	if (t->vec & VEC_FLAGS)
		cpu->arith = (uint16_t)r->arith;
}

static const Insn *vec_reg(Cpu *cpu, const Insn *i)
{
	const Thunk *t = (const Thunk *)i->imm;
	ThunkRegs r = { .g = REG64(cpu, i->reg), .e = REG64(cpu, i->rm) };

	cpu->cur = i;
	check_unit(cpu, t);
	vector_run(cpu, i, t, NULL, &r, 0);
	switch (t->gpr_out) {
	case THUNK_OUT_G: REG64(cpu, i->reg) = r.g; break;
	case THUNK_OUT_E: REG64(cpu, i->rm) = r.e; break;
	case THUNK_OUT_AX: REG16(cpu, RAX * 8) = (uint16_t)r.g; break;
	}
	NEXT(cpu, i);
}

static const Insn *vec_mem(Cpu *cpu, const Insn *i)
{
	const Thunk *t = (const Thunk *)i->imm;
	ThunkRegs r = { .g = REG64(cpu, i->reg) };
	_Alignas(64) uint8_t buf[128];
	bool store = t->vec & VEC_STORE;

	cpu->cur = i;
	check_unit(cpu, t);
	uint64_t linear = linear_of(cpu, i, t->mem, store);
	if (t->vec & VEC_ALIGN && linear & (t->mem - 1u))
		cpu_gp0(cpu);
	void *p = store ? tlb_hit_write(cpu, linear, t->mem) : tlb_hit_read(cpu, linear, t->mem);
	void *mem = p;
	if (unlikely(!p)) {
		mem = buf;
		if (!store)
			cpu_lin_read_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
		else
			cpu_lin_probe(cpu, linear, t->mem, MEM_WRITE | cpu_data_access(cpu));
	}
	CpuVector *undo = unlikely(store && !p && t->vec & VEC_X87) ? g_memdup2(&cpu->vec, sizeof(cpu->vec)) : NULL;
	vector_run(cpu, i, t, mem, &r, linear);
	if (unlikely(store && !p)) {
		/* The store may unwind to be run alone (it hits this block): then the unit must be as before. */
		if (undo && interp_own_block_hit_linear(cpu, linear, t->mem)) {
			cpu->vec = *undo;
			g_free(undo);
			interp_retry_alone(cpu);
		}
		g_free(undo);
		cpu_lin_write_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
	}
	if (t->gpr_out == THUNK_OUT_G)
		REG64(cpu, i->reg) = r.g;
	NEXT(cpu, i);
}

static const Insn *fwait(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		cpu_exception(cpu, EXC_NM);
	if (cpu->vec.fx[2] & FSW_ES)
		cpu_exception(cpu, EXC_MF);
	NEXT(cpu, i);
}

InsnFn bind_vector(Binder *b)
{
	const Decoded *d = b->d;

	if (d->row->exec == X_FWAIT)
		return fwait;
	if (d->row->exec != X_VEC)
		return NULL;
	b->i->reg = (uint8_t)(d->reg * 8);
	b->i->rm = (uint8_t)(d->rm * 8);
	InsnFn special = d->row->vec & VEC_SPECIAL ? bind_vector_special(b) : NULL;
	if (special)
		return special;
	b->i->imm = (int64_t)(intptr_t)thunk_get(b->cpu->icache->thunks, d);
	return d->is_mem ? vec_mem : vec_reg;
}
