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

void vector_check_unit(Cpu *cpu, unsigned enc, uint32_t vec)
{
	if (vec & VEC_X87) {
		vector_check_x87(cpu, !(vec & VEC_NOWAIT));
		return;
	}
	if (enc != ENC_LEGACY) {
		uint64_t need = enc == ENC_EVEX ? 0xe6 : 6;
		if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & need) != need)
			cpu_exception(cpu, EXC_UD);
	} else {
		bool mmx_only = vec & VEC_MMX;
		if (cpu->cr0 & CR0_EM || (!mmx_only && !(cpu->cr4 & CR4_OSFXSR)))
			cpu_exception(cpu, EXC_UD);
	}
	if (cpu->cr0 & CR0_TS)
		cpu_exception(cpu, EXC_NM);
	if (vec & VEC_MMX && cpu->vec.fx[2] & FSW_ES)
		cpu_exception(cpu, EXC_MF);
}

/*
 * What the thunk's own address and operand left in the x87 pointers (vol. 1, 8.1.8) becomes the guest's. Whether an
 * instruction writes them at all, and FDP and FOP only with an unmasked exception, is as the host has it.
 */
static void guest_pointers(Cpu *cpu, const Insn *i, uint64_t fip, uint64_t fdp)
{
	uint64_t now;

	memcpy(&now, cpu->vec.fx + 16, 8);
	if (now != fdp && i->flags & INSN_MEM) {
		now = ea_of(cpu, i);
		memcpy(cpu->vec.fx + 16, &now, 8);
	}
	memcpy(&now, cpu->vec.fx + 8, 8);
	if (now == fip)
		return;
	if (cpu->vec.fx[2] & FSW_ES)
		memcpy(cpu->vec.fx + 6, &i->imm2, 2);
	now = cpu->rip + i->end - i->len;
	memcpy(cpu->vec.fx + 8, &now, 8);
}

static void run_x87(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r)
{
	static const uint32_t mxcsr = 0x1f80;
	uint64_t fip, fdp;

	memcpy(&fip, cpu->vec.fx + 8, 8);
	memcpy(&fdp, cpu->vec.fx + 16, 8);
	memcpy(cpu->vec.fx + 24, &mxcsr, 4);
	t->code(&cpu->vec, mem, 0, 0, 0, r);
	if (!(t->vec & VEC_NOWAIT))
		guest_pointers(cpu, i, fip, fdp);
}

void vector_run(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r)
{
	r->host_mxcsr = 0x1f80;
	r->arith = cpu->arith;
	if (t->vec & VEC_X87)
		run_x87(cpu, i, t, mem, r);
	else if (likely(!(t->vec & VEC_FP) || (cpu->vec.mxcsr & 0x1f80) == 0x1f80))
		t->code(&cpu->vec, mem, 0, 0, 0, r);
	else if (thunk_run_trapping(t, &cpu->vec, mem, r))
		cpu_exception(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
	if (t->vec & VEC_FLAGS)
		cpu->arith = (uint16_t)r->arith;
}

static const Insn *vec_reg(Cpu *cpu, const Insn *i)
{
	const Thunk *t = (const Thunk *)i->imm;
	ThunkRegs r = { .g = REG64(cpu, i->reg), .e = REG64(cpu, i->rm) };

	cpu->cur = i;
	vector_check_unit(cpu, t->enc, t->vec);
	vector_run(cpu, i, t, NULL, &r);
	switch (t->gpr_out) {
	case THUNK_OUT_G: REG64(cpu, i->reg) = r.g; break;
	case THUNK_OUT_E: REG64(cpu, i->rm) = r.e; break;
	case THUNK_OUT_AX: REG16(cpu, RAX * 8) = (uint16_t)r.g; break;
	}
	NEXT(cpu, i);
}

/* The elements of a masked operand that count, one after the other (vol. 2A, 2.7.8: the others cannot fault). */
static uint64_t live_lanes(const Cpu *cpu, const Thunk *t)
{
	return cpu->vec.k[t->mask] & (t->lanes == 64 ? UINT64_MAX : (1ull << t->lanes) - 1);
}

static void read_masked(Cpu *cpu, const Thunk *t, uint64_t linear, uint8_t *buf)
{
	uint64_t live = live_lanes(cpu, t);

	memset(buf, 0, t->mem);
	if (!t->step) {
		if (live)
			cpu_lin_read_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
		return;
	}
	for (; live; live &= live - 1) {
		unsigned at = (unsigned)__builtin_ctzll(live) * t->step;
		cpu_lin_read_buf(cpu, linear + at, buf + at, t->step, cpu_data_access(cpu));
	}
}

static void write_masked(Cpu *cpu, const Thunk *t, uint64_t linear, const uint8_t *buf)
{
	unsigned access = MEM_WRITE | cpu_data_access(cpu);

	if (t->vec & VEC_NF)
		cpu_lin_probe(cpu, linear, t->mem, access);
	for (uint64_t live = live_lanes(cpu, t); live; live &= live - 1)
		cpu_lin_probe(cpu, linear + (unsigned)__builtin_ctzll(live) * t->step, t->step, access);
	for (uint64_t live = live_lanes(cpu, t); live; live &= live - 1) {
		unsigned at = (unsigned)__builtin_ctzll(live) * t->step;
		cpu_lin_write_buf(cpu, linear + at, buf + at, t->step, cpu_data_access(cpu));
	}
}

/* The operand is no plain memory at hand, or crosses pages: by way of a buffer. */
static void load_slow(Cpu *cpu, const Insn *i, const Thunk *t, uint64_t linear, ThunkRegs *r)
{
	_Alignas(64) uint8_t buf[64];

	if (t->lanes)
		read_masked(cpu, t, linear, buf);
	else
		cpu_lin_read_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
	vector_run(cpu, i, t, buf, r);
}

/*
 * An x87 store that raises an unmasked exception other than precision stores nothing, so its operand cannot
 * fault; else the unit is as before if it does.
 */
static void store_x87(Cpu *cpu, const Insn *i, const Thunk *t, uint64_t linear, ThunkRegs *r)
{
	uint8_t before[160], after[160], buf[16];

	memcpy(before, cpu->vec.fx, sizeof(before));
	vector_run(cpu, i, t, buf, r);
	if (cpu->vec.fx[2] & ~cpu->vec.fx[0] & 0x1f && !(t->vec & VEC_NOWAIT))
		return;
	memcpy(after, cpu->vec.fx, sizeof(after));
	memcpy(cpu->vec.fx, before, sizeof(before));
	cpu_lin_write_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
	memcpy(cpu->vec.fx, after, sizeof(after));
}

static void store_slow(Cpu *cpu, const Insn *i, const Thunk *t, uint64_t linear, ThunkRegs *r)
{
	_Alignas(64) uint8_t buf[64];

	if (t->vec & VEC_X87) {
		store_x87(cpu, i, t, linear, r);
		return;
	}
	vector_run(cpu, i, t, buf, r); /* as on hardware, MXCSR's flags stay if the store of VCVTPS2PH faults */
	if (t->lanes)
		write_masked(cpu, t, linear, buf);
	else
		cpu_lin_write_buf(cpu, linear, buf, t->mem, cpu_data_access(cpu));
}

static const Insn *vec_mem(Cpu *cpu, const Insn *i)
{
	const Thunk *t = (const Thunk *)i->imm;
	ThunkRegs r = { .g = REG64(cpu, i->reg) };
	bool store = t->vec & VEC_STORE;

	cpu->cur = i;
	vector_check_unit(cpu, t->enc, t->vec);
	uint64_t linear = linear_of(cpu, i, t->mem, store);
	if (t->vec & VEC_ALIGN && linear & (t->mem - 1u) && (!t->lanes || live_lanes(cpu, t)))
		cpu_gp0(cpu);
	void *p = store ? tlb_hit_write(cpu, linear, t->mem) : tlb_hit_read(cpu, linear, t->mem);
	if (likely(p))
		vector_run(cpu, i, t, p, &r);
	else if (store)
		store_slow(cpu, i, t, linear, &r);
	else
		load_slow(cpu, i, t, linear, &r);
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
	b->i->imm2 = (uint16_t)((d->opcode & 7) << 8 | d->modrm); /* for FOP */
	InsnFn special = d->row->vec & VEC_SPECIAL ? bind_vector_special(b) : NULL;
	if (special)
		return special;
	Insn plain = *b->i;
	InsnFn move = bind_vector_move(b);
	if (move)
		return move;
	*b->i = plain;
	b->i->imm = (int64_t)(intptr_t)thunk_get(b->cpu->icache->thunks, d);
	return d->is_mem ? vec_mem : vec_reg;
}
