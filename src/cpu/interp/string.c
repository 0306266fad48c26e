/*
 * string.c - MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS with and without REP.
 *
 * SDM vol. 2, REP: between iterations the instruction can be interrupted, and RCX,
 * RSI and RDI say how far it came. MOVS and STOS move whole stretches that lie in one
 * page of plain memory on both sides. Every handler ends its block, so that events are seen.
 */
#include "cpu/interp/interp.h"

typedef struct Str {
	uint64_t mask;   /* of RCX, RSI, RDI */
	unsigned size;   /* of an element */
	int64_t step;
	unsigned seg;    /* of the source, with INSN_SEGCHECK */
} Str;

static Str str_of(Cpu *cpu, const Insn *i)
{
	Str s = { .size = i->opsize, .seg = i->seg };

	s.mask = i->flags & INSN_ASZ16 ? UINT16_MAX : i->flags & INSN_ASZ32 ? UINT32_MAX : UINT64_MAX;
	s.step = cpu->rflags & FLAG_DF ? -(int64_t)s.size : s.size;
	return s;
}

static void advance(Cpu *cpu, const Str *s, int reg, int64_t by)
{
	uint64_t v = cpu->regs[reg] + (uint64_t)by;

	if (s->mask == UINT16_MAX)
		REG16(cpu, (unsigned)reg * 8) = (uint16_t)v;
	else
		cpu->regs[reg] = v & s->mask;
}

static uint64_t src_linear(Cpu *cpu, const Str *s)
{
	uint64_t ea = cpu->regs[RSI] & s->mask;

	if (s->seg & INSN_SEGCHECK)
		return interp_seg_linear(cpu, s->seg & 0x7f, ea, s->size, false);
	return cpu->seg[s->seg].base + ea;
}

static uint64_t dst_linear(Cpu *cpu, const Str *s, bool write)
{
	uint64_t ea = cpu->regs[RDI] & s->mask;

	if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->mode & MODE_FLAT)
		return ea;
	return interp_seg_linear(cpu, ES, ea, s->size, write);
}

/* ---- one iteration each ---- */
static void movs(Cpu *cpu, const Str *s)
{
	uint64_t v = load_lin(cpu, src_linear(cpu, s), s->size);
	store_lin(cpu, dst_linear(cpu, s, true), v, s->size);
	advance(cpu, s, RSI, s->step);
	advance(cpu, s, RDI, s->step);
}
static void stos(Cpu *cpu, const Str *s)
{
	store_lin(cpu, dst_linear(cpu, s, true), cpu->regs[RAX], s->size);
	advance(cpu, s, RDI, s->step);
}
static void lods(Cpu *cpu, const Str *s)
{
	uint64_t v = load_lin(cpu, src_linear(cpu, s), s->size);
	set_reg(cpu, RAX * 8, v, s->size);
	advance(cpu, s, RSI, s->step);
}
static void compare(Cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
	unsigned shift = 64 - 8 * size;
	uint16_t ar;
	uint64_t x = a << shift, y = b << shift;

	/* Shifted to the top, CF, ZF, SF and OF come out right; PF and AF look at the low byte. */
	asm("cmpq %2, %1\n\tlahf\n\tseto %%al" : "=&a"(ar) : "r"(x), "r"(y) : "cc");
	uint16_t low;
	asm("cmpb %2, %1\n\tlahf" : "=&a"(low) : "r"((uint8_t)a), "r"((uint8_t)b) : "cc");
	cpu->arith = (uint16_t)((ar & ~(AR_PF | AR_AF)) | (low & (AR_PF | AR_AF)));
}
static void cmps(Cpu *cpu, const Str *s)
{
	uint64_t a = load_lin(cpu, src_linear(cpu, s), s->size);
	uint64_t b = load_lin(cpu, dst_linear(cpu, s, false), s->size);
	compare(cpu, a, b, s->size);
	advance(cpu, s, RSI, s->step);
	advance(cpu, s, RDI, s->step);
}
static void scas(Cpu *cpu, const Str *s)
{
	uint64_t b = load_lin(cpu, dst_linear(cpu, s, false), s->size);
	compare(cpu, get_reg(cpu, RAX * 8, s->size), b, s->size);
	advance(cpu, s, RDI, s->step);
}
static void ins(Cpu *cpu, const Str *s)
{
	uint16_t port = REG16(cpu, RDX * 8);
	uint64_t to = dst_linear(cpu, s, true);
	unsigned access = cpu_data_access(cpu);

	cpu_check_io(cpu, port, s->size);
	/* The port is read once: everything that can fault comes first. */
	cpu_lin_probe(cpu, to, s->size, access | MEM_WRITE);
	if (((to ^ (to + s->size - 1)) & ~0xfffull))
		cpu_lin_probe(cpu, to + s->size - 1, 1, access | MEM_WRITE);
	cpu_check_io_watch(cpu, port, s->size);
	store_lin(cpu, to, cpu->world->io_read(cpu->world_opaque, port, s->size), s->size);
	advance(cpu, s, RDI, s->step);
}
static void outs(Cpu *cpu, const Str *s)
{
	uint16_t port = REG16(cpu, RDX * 8);

	cpu_check_io(cpu, port, s->size);
	uint64_t v = load_lin(cpu, src_linear(cpu, s), s->size);
	cpu_check_io_watch(cpu, port, s->size);
	cpu->world->io_write(cpu->world_opaque, port, (uint32_t)v, s->size);
	advance(cpu, s, RSI, s->step);
}

/* ---- whole stretches ---- */

/* How many elements lie in [linear, end of page), going up, where the element at `linear` does not cross. */
static uint64_t stretch(uint64_t linear, unsigned size)
{
	return (GUEST_PAGE_SIZE - (linear & 0xfff)) / size;
}

/* Limits are those of the whole stretch: only where there are none to check, and no address wrap near. */
static bool plain_strings(const Cpu *cpu, const Str *s, uint64_t bytes)
{
	bool flat = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->mode & MODE_FLAT;

	return flat && !(s->seg & INSN_SEGCHECK) && s->mask != UINT16_MAX && !(cpu->mode & MODE_STEP) && s->step > 0 &&
	       (cpu->regs[RDI] & s->mask) + bytes <= s->mask && (cpu->regs[RSI] & s->mask) + bytes <= s->mask;
}

/* Elements done at once, 0 if the slow way must be gone. */
static uint64_t movs_burst(Cpu *cpu, const Str *s, uint64_t count)
{
	if (!plain_strings(cpu, s, GUEST_PAGE_SIZE))
		return 0;
	uint64_t from = src_linear(cpu, s), to = dst_linear(cpu, s, true);
	uint64_t n = MIN(count, MIN(stretch(from, s->size), stretch(to, s->size)));
	if (n < 2)
		return 0;
	const uint8_t *p = tlb_hit_read(cpu, from, 1);
	uint8_t *q = tlb_hit_write(cpu, to, 1);
	uint64_t bytes = n * s->size;
	/* Pages that share a place in the array push each other out: the last element has left that of the target there. */
	if (!p && q)
		p = tlb_peek(cpu, from);
	if (!p || !q)
		return 0;
	if (q > p && q < p + bytes) { /* overlapping upward: a pattern fill, byte order matters */
		for (uint64_t k = 0; k < bytes; k += s->size)
			memmove(q + k, p + k, s->size);
	} else {
		memmove(q, p, bytes);
	}
	advance(cpu, s, RSI, (int64_t)bytes);
	advance(cpu, s, RDI, (int64_t)bytes);
	return n;
}

static uint64_t stos_burst(Cpu *cpu, const Str *s, uint64_t count)
{
	Str t = *s;

	t.seg = SEG_NONE; /* there is no source */
	if ((cpu->regs[RDI] & s->mask) + GUEST_PAGE_SIZE > s->mask || s->mask == UINT16_MAX || s->step < 0 ||
	    cpu->mode & MODE_STEP || !((cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->mode & MODE_FLAT))
		return 0;
	uint64_t to = dst_linear(cpu, &t, true), n = MIN(count, stretch(to, s->size));
	uint8_t *q = n < 2 ? NULL : tlb_hit_write(cpu, to, 1);
	if (!q)
		return 0;
	uint64_t v = cpu->regs[RAX];
	switch (s->size) {
	case 1: memset(q, (int)v, n); break;
	case 2: for (uint64_t k = 0; k < n; k++) memcpy(q + 2 * k, &v, 2); break;
	case 4: for (uint64_t k = 0; k < n; k++) memcpy(q + 4 * k, &v, 4); break;
	default: for (uint64_t k = 0; k < n; k++) memcpy(q + 8 * k, &v, 8);
	}
	advance(cpu, s, RDI, (int64_t)(n * s->size));
	return n;
}

typedef void (*StrFn)(Cpu *cpu, const Str *s);
typedef uint64_t (*BurstFn)(Cpu *cpu, const Str *s, uint64_t count);

/*
 * 32-bit addresses: the upper half of the count is cleared even if nothing is done, or the first element faults; with MOVS
 * and STOS those of the pointers too. The manuals do not say so; Intel's processors do it.
 */
static void settle_upper_halves(Cpu *cpu, const Str *s, StrFn fn)
{
	advance(cpu, s, RCX, 0);
	if (fn == movs)
		advance(cpu, s, RSI, 0);
	if (fn == movs || fn == stos)
		advance(cpu, s, RDI, 0);
}

/* Does what is stored at RDI, [to, to + bytes), change the instruction itself? Then it is fetched again before it goes on. */
static bool over_itself(const Cpu *cpu, const Insn *i, uint64_t to, unsigned bytes)
{
	uint64_t code = code_linear(cpu);

	return to < code + i->len && to + bytes > code;
}

static uint64_t target(const Cpu *cpu, const Str *s)
{
	return (cpu_code64(cpu) ? 0 : cpu->seg[ES].base) + (cpu->regs[RDI] & s->mask);
}

static bool wanted_elsewhere(const Cpu *cpu)
{
	return cpu->mode & MODE_STEP || cpu->db_pending || atomic_load_explicit(&cpu->events, memory_order_relaxed);
}

/* compare_ends: CMPS and SCAS stop on ZF too. */
static const Insn *repeat(Cpu *cpu, const Insn *i, StrFn fn, BurstFn burst, bool compare_ends)
{
	Str s = str_of(cpu, i);
	uint64_t next = sync_rip(cpu, i);

	if (!(i->flags & (INSN_REP | INSN_REPNE))) {
		fn(cpu, &s);
		cpu->rip = next;
		return NULL;
	}
	uint16_t before = cpu->arith, after = before;
	bool stores = fn == movs || fn == stos || fn == ins;
	settle_upper_halves(cpu, &s, fn);
	while (cpu->regs[RCX] & s.mask) {
		uint64_t to = stores ? target(cpu, &s) : 0;
		bool near = stores && over_itself(cpu, i, to, GUEST_PAGE_SIZE);
		uint64_t done = burst && !near ? burst(cpu, &s, cpu->regs[RCX] & s.mask) : 0;
		if (!done) {
			cpu->arith = before; /* a fault leaves the flags as they were before the instruction */
			fn(cpu, &s);
			after = cpu->arith;
			done = 1;
		}
		cpu->arith = after;
		advance(cpu, &s, RCX, -(int64_t)done);
		if ((compare_ends && !!(cpu->arith & AR_ZF) != !!(i->flags & INSN_REP)) || !(cpu->regs[RCX] & s.mask))
			break;
		if (wanted_elsewhere(cpu) || (near && over_itself(cpu, i, to, s.size)))
			return NULL; /* RIP stays: the instruction goes on later */
	}
	cpu->rip = next;
	return NULL;
}

static const Insn *x_movs(Cpu *cpu, const Insn *i) { return repeat(cpu, i, movs, movs_burst, false); }
static const Insn *x_stos(Cpu *cpu, const Insn *i) { return repeat(cpu, i, stos, stos_burst, false); }
static const Insn *x_lods(Cpu *cpu, const Insn *i) { return repeat(cpu, i, lods, NULL, false); }
static const Insn *x_cmps(Cpu *cpu, const Insn *i) { return repeat(cpu, i, cmps, NULL, true); }
static const Insn *x_scas(Cpu *cpu, const Insn *i) { return repeat(cpu, i, scas, NULL, true); }
static const Insn *x_ins(Cpu *cpu, const Insn *i) { return repeat(cpu, i, ins, NULL, false); }
static const Insn *x_outs(Cpu *cpu, const Insn *i) { return repeat(cpu, i, outs, NULL, false); }

InsnFn bind_string(Binder *b)
{
	const Decoded *d = b->d;
	InsnFn fn = NULL;

	switch (d->row->exec) {
	case X_MOVS: fn = x_movs; break;
	case X_STOS: fn = x_stos; break;
	case X_LODS: fn = x_lods; break;
	case X_CMPS: fn = x_cmps; break;
	case X_SCAS: fn = x_scas; break;
	case X_INS: fn = x_ins; break;
	case X_OUTS: fn = x_outs; break;
	default: return NULL;
	}
	unsigned size = d->row->operands[0] == OPND_b ? 1 : d->opsize;
	if (size == 8 && (fn == x_ins || fn == x_outs))
		size = 4;
	b->i->opsize = (uint8_t)size;
	return fn;
}
