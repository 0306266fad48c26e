/*
 * vector_special.c - vector and x87 instructions whose operands a plain thunk cannot serve:
 * x87 environments, string compares with implicit registers, masked stores.
 *
 * SDM vol. 1, 8.1.10 (environment images); vol. 2.
 */
#include "cpu/interp/vector.h"

/* ---- x87 environment ---- */
static uint16_t fx16(const Cpu *cpu, unsigned at)
{
	uint16_t v;
	memcpy(&v, cpu->vec.fx + at, 2);
	return v;
}

/* The image holds ST(0) first: when TOP changes, the registers stay and the image turns. */
static void set_top(Cpu *cpu, unsigned top)
{
	unsigned old = fx16(cpu, 2) >> 11 & 7;
	uint8_t regs[128];

	for (unsigned k = 0; k < 8; k++)
		memcpy(regs + 16 * k, cpu->vec.fx + 32 + 16 * ((k + top - old) & 7), 16);
	memcpy(cpu->vec.fx + 32, regs, 128);
	cpu->vec.fx[3] = (uint8_t)((cpu->vec.fx[3] & ~0x38u) | top << 3);
}

void vector_enter_mmx(Cpu *cpu)
{
	set_top(cpu, 0);
	cpu->vec.fx[4] = 0xff;
}

/* The two-bit tags from the abridged ones and the registers' contents (vol. 1, 8.1.7). */
static uint16_t full_tags(const Cpu *cpu)
{
	unsigned top = fx16(cpu, 2) >> 11 & 7;
	uint16_t tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		const uint8_t *r = cpu->vec.fx + 32 + 16 * ((phys - top) & 7);
		uint64_t m;
		uint16_t e;
		memcpy(&m, r, 8);
		memcpy(&e, r + 8, 2);
		e &= 0x7fff;
		unsigned tag = !(cpu->vec.fx[4] >> phys & 1) ? 3 : e == 0 && m == 0 ? 1 :
			       e == 0 || e == 0x7fff || !(m >> 63) ? 2 : 0;
		tags |= (uint16_t)(tag << (2 * phys));
	}
	return tags;
}

static unsigned env_bytes(const Insn *i) { return i->opsize == 2 ? 14 : 28; }

/* Real-address and V86 mode images hold linear pointers, protected mode ones selector and offset. */
static void build_env(const Cpu *cpu, const Insn *i, uint8_t *out)
{
	uint32_t fip, fdp;
	uint16_t fop = fx16(cpu, 6) & 0x7ff;
	bool linear = !(cpu->mode & MODE_PROT);

	memcpy(&fip, cpu->vec.fx + 8, 4);
	memcpy(&fdp, cpu->vec.fx + 16, 4);
	uint16_t words[3] = {fx16(cpu, 0), fx16(cpu, 2), full_tags(cpu)};
	if (i->opsize == 2) {
		uint16_t w[7] = {words[0], words[1], words[2], (uint16_t)fip, 0, (uint16_t)fdp, 0};
		if (linear) {
			w[4] = (uint16_t)((fip >> 4 & 0xf000) | fop);
			w[6] = fdp >> 4 & 0xf000;
		}
		memcpy(out, w, 14);
		return;
	}
	uint32_t d[7] = {0xffff0000u | words[0], 0xffff0000u | words[1], 0xffff0000u | words[2], fip,
			 (uint32_t)fop << 16, fdp, 0xffff0000u};
	if (linear) {
		d[3] = 0xffff0000u | (uint16_t)fip;
		d[4] = (fip >> 4 & 0x0ffff000) | fop;
		d[5] = 0xffff0000u | (uint16_t)fdp;
		d[6] = fdp >> 4 & 0x0ffff000;
	}
	memcpy(out, d, 28);
}

/* The pointers and the opcode of an image; the 16-bit protected one has no opcode. */
static void load_pointers(Cpu *cpu, const uint8_t *in, unsigned step)
{
	uint32_t w[4] = {0};
	uint64_t fip, fdp;
	uint16_t fop = fx16(cpu, 6);

	for (unsigned k = 0; k < 4; k++)
		memcpy(&w[k], in + (3 + k) * step, step);
	fip = w[0];
	fdp = w[2];
	if (!(cpu->mode & MODE_PROT)) {
		fip = (w[0] & 0xffff) | (uint64_t)(w[1] & 0x0ffff000) << 4;
		fdp = (w[2] & 0xffff) | (uint64_t)(w[3] & 0x0ffff000) << 4;
		fop = w[1] & 0x7ff;
	} else if (step == 4) {
		fop = w[1] >> 16 & 0x7ff;
	}
	memcpy(cpu->vec.fx + 6, &fop, 2);
	memcpy(cpu->vec.fx + 8, &fip, 8);
	memcpy(cpu->vec.fx + 16, &fdp, 8);
}

static void load_env(Cpu *cpu, const Insn *i, const uint8_t *in)
{
	unsigned step = i->opsize == 2 ? 2 : 4;
	uint16_t cw, sw, tw;
	uint8_t abridged = 0;

	memcpy(&cw, in, 2);
	memcpy(&sw, in + step, 2);
	memcpy(&tw, in + 2 * step, 2);
	for (unsigned k = 0; k < 8; k++)
		if ((tw >> (2 * k) & 3) != 3)
			abridged |= (uint8_t)(1u << k);
	cw = (cw & 0x1f3f) | 0x40;
	/* ES and B follow from flags and masks. */
	sw = (uint16_t)(sw & 0x7f7f);
	if (sw & ~cw & 0x3f)
		sw |= 0x8080;
	set_top(cpu, sw >> 11 & 7);
	memcpy(cpu->vec.fx, &cw, 2);
	memcpy(cpu->vec.fx + 2, &sw, 2);
	cpu->vec.fx[4] = abridged;
	load_pointers(cpu, in, step);
}

static const Insn *fnstenv(Cpu *cpu, const Insn *i)
{
	uint8_t buf[28];
	cpu->cur = i;
	vector_check_x87(cpu, false);
	build_env(cpu, i, buf);
	cpu_lin_write_buf(cpu, linear_of(cpu, i, env_bytes(i), true), buf, env_bytes(i), cpu_data_access(cpu));
	uint16_t cw = fx16(cpu, 0) | 0x3f, sw = fx16(cpu, 2) & 0x7f7f; /* it masks all exceptions afterwards */
	memcpy(cpu->vec.fx, &cw, 2);
	memcpy(cpu->vec.fx + 2, &sw, 2);
	NEXT(cpu, i);
}
static const Insn *fldenv(Cpu *cpu, const Insn *i)
{
	uint8_t buf[28];
	cpu->cur = i;
	vector_check_x87(cpu, true);
	cpu_lin_read_buf(cpu, linear_of(cpu, i, env_bytes(i), false), buf, env_bytes(i), cpu_data_access(cpu));
	load_env(cpu, i, buf);
	NEXT(cpu, i);
}
static const Insn *fnsave(Cpu *cpu, const Insn *i)
{
	uint8_t buf[108];
	unsigned env = env_bytes(i);
	cpu->cur = i;
	vector_check_x87(cpu, false);
	build_env(cpu, i, buf);
	for (unsigned k = 0; k < 8; k++)
		memcpy(buf + env + 10 * k, cpu->vec.fx + 32 + 16 * k, 10);
	cpu_lin_write_buf(cpu, linear_of(cpu, i, env + 80, true), buf, env + 80, cpu_data_access(cpu));
	set_top(cpu, 0);
	memset(cpu->vec.fx, 0, 24); /* as FNINIT */
	cpu->vec.fx[0] = 0x7f;
	cpu->vec.fx[1] = 0x03;
	NEXT(cpu, i);
}
static const Insn *frstor(Cpu *cpu, const Insn *i)
{
	uint8_t buf[108];
	unsigned env = env_bytes(i);
	cpu->cur = i;
	vector_check_x87(cpu, true);
	cpu_lin_read_buf(cpu, linear_of(cpu, i, env + 80, false), buf, env + 80, cpu_data_access(cpu));
	load_env(cpu, i, buf);
	for (unsigned k = 0; k < 8; k++)
		memcpy(cpu->vec.fx + 32 + 16 * k, buf + env + 10 * k, 10);
	NEXT(cpu, i);
}

/* ---- MASKMOVQ, MASKMOVDQU: bytes chosen by a mask go to [RDI] ---- */
static const Insn *maskmov(Cpu *cpu, const Insn *i) /* aux: 1 MMX; opsize: ENC_* */
{
	unsigned bytes = i->aux ? 8 : 16;
	const uint8_t *src, *mask;
	uint64_t ea = cpu->regs[RDI] & i->amask, linear = cpu->seg[i->seg & 0x7f].base + ea;

	cpu->cur = i;
	vector_check_unit(cpu, i->opsize, i->aux ? VEC_MMX : 0);
	if (i->aux) {
		unsigned top = cpu->vec.fx[3] >> 3 & 7;
		src = cpu->vec.fx + 32 + 16 * ((i->reg / 8 - top) & 7);
		mask = cpu->vec.fx + 32 + 16 * ((i->rm / 8 - top) & 7);
	} else {
		src = cpu->vec.zmm[i->reg / 8];
		mask = cpu->vec.zmm[i->rm / 8];
	}
	if (i->seg & INSN_SEGCHECK)
		linear = interp_seg_linear(cpu, i->seg & 0x7f, ea, bytes, true);
	/* Which bytes can fault is left to the implementation (vol. 2, MASKMOVDQU): all; of MMX, if one is written. */
	bool any = !i->aux;
	for (unsigned k = 0; k < bytes; k++)
		any |= mask[k] >> 7;
	if (any)
		cpu_lin_probe(cpu, linear, bytes, MEM_WRITE | cpu_data_access(cpu));
	for (unsigned k = 0; k < bytes; k++)
		if (mask[k] & 0x80)
			store_lin(cpu, linear + k, src[k], 1);
	if (i->aux)
		vector_enter_mmx(cpu);
	NEXT(cpu, i);
}

/* ---- PCMPxSTRx: RAX and RDX in, RCX or XMM0 out; the memory operand need not be aligned ---- */
static const Insn *pcmpstr(Cpu *cpu, const Insn *i)
{
	const Thunk *t = (const Thunk *)i->imm;
	ThunkRegs r = { .g = cpu->regs[RAX], .dx = cpu->regs[RDX], .e = cpu->regs[RCX] };
	uint8_t buf[16];

	cpu->cur = i;
	vector_check_unit(cpu, t->enc, t->vec);
	if (i->flags & INSN_MEM)
		cpu_lin_read_buf(cpu, linear_of(cpu, i, 16, false), buf, 16, cpu_data_access(cpu));
	vector_run(cpu, i, t, buf, &r);
	if (i->aux)
		cpu->regs[RCX] = r.e;
	NEXT(cpu, i);
}

/* ---- the VEX forms without a vector operand ---- */
static const Insn *vzero(Cpu *cpu, const Insn *i) /* aux: 0 VZEROUPPER, 1 VZEROALL */
{
	unsigned from = i->aux ? 0 : 16;

	cpu->cur = i;
	vector_check_unit(cpu, ENC_VEX, 0);
	for (unsigned k = 0; k < (cpu_code64(cpu) ? 16u : 8u); k++)
		memset(cpu->vec.zmm[k] + from, 0, 64 - from);
	NEXT(cpu, i);
}

static const Insn *vldmxcsr(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	vector_check_unit(cpu, ENC_VEX, 0);
	uint32_t v = (uint32_t)load_ea(cpu, i, 4);
	if (v & ~0xffffu)
		cpu_gp0(cpu);
	cpu->vec.mxcsr = v;
	NEXT(cpu, i);
}

static const Insn *vstmxcsr(Cpu *cpu, const Insn *i)
{
	cpu->cur = i;
	vector_check_unit(cpu, ENC_VEX, 0);
	store_ea(cpu, i, cpu->vec.mxcsr, 4);
	NEXT(cpu, i);
}

static InsnFn bind_x87(Binder *b)
{
	const Decoded *d = b->d;

	if (d->opcode == 0xd9)
		return d->row->reg == 4 ? fldenv : fnstenv;
	return d->row->reg == 4 ? frstor : fnsave;
}

InsnFn bind_vector_special(Binder *b)
{
	const Decoded *d = b->d;

	if (d->row->vec & VEC_X87)
		return bind_x87(b);
	if (d->row->enc != ENC_LEGACY && d->row->map == 1 && d->opcode == 0x77) {
		b->i->aux = d->vl;
		return vzero;
	}
	if (d->row->map == 1 && d->opcode == 0xae)
		return d->row->vec & VEC_STORE ? vstmxcsr : vldmxcsr;
	if (d->row->map == 1 && d->opcode == 0xf7) {
		b->i->opsize = d->row->enc;
		b->i->aux = !!(d->row->vec & VEC_MMX);
		if (!(b->cpu->mode & MODE_FLAT) && (b->cpu->mode & MODE_CODE_MASK) != MODE_CODE64)
			b->i->seg |= INSN_SEGCHECK;
		b->i->reg = (uint8_t)((b->i->aux ? d->reg & 7 : d->reg) * 8);
		b->i->rm = (uint8_t)((b->i->aux ? d->rm & 7 : d->rm) * 8);
		return maskmov;
	}
	if (d->row->map == 3 && d->opcode >= 0x60 && d->opcode <= 0x63) {
		b->i->imm = (int64_t)(intptr_t)thunk_get(b->cpu->icache->thunks, d);
		b->i->aux = d->opcode & 1;
		return pcmpstr;
	}
	return bind_vector_mask(b);
}
