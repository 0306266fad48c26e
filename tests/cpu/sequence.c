/*
 * sequence.c - see sequence.h.
 */
#include "sequence.h"

#include <string.h>

#include "cpu/features.h"

static GRand *rnd;
bool sequence_frame, sequence_looping, sequence_calling, sequence_segments, sequence_gs;
uint32_t sequence_data;
uint16_t sequence_counters;

void sequence_seed(uint32_t seed) { rnd = g_rand_new_with_seed(seed); }
uint32_t rand32(void) { return g_rand_int(rnd); }
uint32_t below(uint32_t n) { return rand32() % n; }
uint64_t rand64(void) { return (uint64_t)rand32() << 32 | rand32(); }

uint64_t edgy(void)
{
	static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
					 0x80000000, 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX, 0x3f, 0x40};
	switch (below(4)) {
	case 0: return edges[below(G_N_ELEMENTS(edges))];
	case 1: return below(256);
	default: return rand64();
	}
}

/* Rows this test cannot run on a host process: control transfers, system calls, anything privileged, TSC. */
static bool on_host(const OpRow *r, bool code32)
{
	static const uint16_t no[] = {X_RDTSC, X_RDTSCP, X_CPUID, X_RDRAND, X_RDSEED, X_RDPID, X_XGETBV, X_RDPKRU, X_WRPKRU,
		X_RDFSBASE, X_RDGSBASE, X_WRFSBASE, X_WRGSBASE, X_MOV_TO_SEG, X_MOV_FROM_SEG, X_POP_SEG, X_PUSH_SEG, X_LAR, X_LSL,
		X_VERR, X_VERW, X_SGDT, X_SIDT, X_SLDT, X_STR, X_SMSW, X_FXSAVE, X_FXRSTOR, X_XSAVE, X_XSAVEC, X_XSAVEOPT,
		X_XRSTOR, X_PUSHF, X_INS, X_OUTS, X_MONITOR, X_ENTER, X_XSAVES, X_XRSTORS, X_SERIALIZE, X_CLFLUSH, X_FXSAVE};
	if (r->attrs & (ATTR_END | ATTR_CPL0 | (code32 ? ATTR_O64 : ATTR_I64)))
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(no); i++)
		if (r->exec == no[i])
			return false;
	return true;
}

/* What a guest may do that this process may not, and that changes no more than its own registers and stack. */
static bool of_guests(const OpRow *r)
{
	static const uint16_t yes[] = {X_MOV_TO_SEG, X_MOV_FROM_SEG, X_POP_SEG, X_PUSH_SEG, X_LXS, X_PUSHF, X_POPF, X_CLI,
		X_STI, X_ENTER, X_LAR, X_LSL, X_VERR, X_VERW, X_SMSW};
	for (unsigned i = 0; i < G_N_ELEMENTS(yes); i++)
		if (r->exec == yes[i])
			return true;
	return false;
}

static bool testable(const OpRow *r, bool code32, bool guests)
{
	return on_host(r, code32) || (guests && of_guests(r) && !(code32 && r->attrs & ATTR_O64));
}

GPtrArray *rows_to_test(const char *only, bool code32, bool guests)
{
	GPtrArray *rows = g_ptr_array_new();

	for (unsigned enc = 0; enc < 3; enc++)
		for (unsigned map = 0; map < OPTAB_MAPS; map++)
			for (unsigned op = 0; op < 256; op++)
				for (unsigned k = 0; k < optab_index[enc][map][op].count; k++) {
					const OpRow *r = &optab_rows[optab_order[optab_index[enc][map][op].first + k]];
					if (testable(r, code32, guests) && (!only || !strcmp(only, r->name)))
						g_ptr_array_add(rows, (void *)r);
				}
	return rows;
}

uint8_t a_base(void)
{
	static const uint8_t bases[] = {3, 6, 7, 5};

	return sequence_frame && below(4) ? 3 : bases[below(4)];
}

bool frame_row(const OpRow *r)
{
	return r->exec == X_MOV || r->exec == X_ADD || r->exec == X_SUB || r->exec == X_LEA || r->exec == X_PUSH ||
	       r->exec == X_POP || r->exec == X_INC || r->exec == X_DEC || r->exec == X_CMP;
}

/* Behind the ModRM byte p[0], whose mod and rm are 0: no displacement, a long one, SIB, or an address without registers. */
static unsigned put_rare_place(const Cpu *cpu, uint8_t *p)
{
	uint32_t disp = below(256);
	unsigned base = a_base(), index = sequence_looping && below(2) ? RDX : below(8) ? 4 : below(8); /* 4: none, or R12 */

	switch (below(cpu_code64(cpu) ? 5 : 2)) {
	case 0: case 1:
		p[0] |= 0x44;
		p[1] = (uint8_t)(below(4) << 6 | index << 3 | (below(6) ? base : RSP));
		p[2] = (uint8_t)rand32();
		return 3;
	case 2:
		p[0] |= (uint8_t)(0x80 | base);
		break;
	case 3:
		p[0] |= (uint8_t)(base == RBP ? RBX : base);
		return 1;
	default:
		if (!sequence_data)
			return 0;
		p[0] |= 5;
		disp = sequence_data + below(0xe000);
	}
	memcpy(p + 1, &disp, 4);
	return 5;
}

/* ModRM and what follows; memory operands point into the data area, most through a_base(). */
static unsigned put_modrm(const OpRow *r, const Cpu *cpu, uint8_t *p)
{
	unsigned reg = r->reg >= 0 ? (unsigned)r->reg : below(8);
	bool mem = r->form == FORM_MEM || (r->form == FORM_ANY && below(2));

	if (r->exact) {
		p[0] = r->exact;
		return 1;
	}
	p[0] = (uint8_t)(reg << 3);
	if (!mem) {
		p[0] |= (uint8_t)(0xc0 | (below(4) ? below(8) : reg)); /* often both the same */
		return 1;
	}
	if (below(3) == 0)
		return put_rare_place(cpu, p);
	p[0] |= (uint8_t)(0x40 | a_base());
	p[1] = (uint8_t)rand32();
	return 2;
}

/* Prefixes that are of no effect, or that this instruction must not have. */
static unsigned put_odd_prefixes(uint8_t *p)
{
	static const uint8_t odd[] = {0x26, 0x2e, 0x36, 0x3e, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x4f};
	unsigned n = 1 + below(3);

	for (unsigned i = 0; i < n; i++)
		p[i] = odd[below(G_N_ELEMENTS(odd))];
	return n;
}

static unsigned put_vex(const OpRow *r, uint8_t *p)
{
	static const uint8_t pp[] = {0, 0, 1, 3, 2}; /* by PFX_* */
	unsigned l = r->l >= 0 ? (unsigned)r->l : below(r->enc == ENC_EVEX ? 3 : 2);
	unsigned w = r->w >= 0 ? (unsigned)r->w : below(2), v = below(16);

	if (r->enc == ENC_VEX) {
		p[0] = 0xc4;
		p[1] = (uint8_t)((below(2) ? 0xe0 : below(8) << 5) | r->map); /* R, X, B */
		if (below(4) == 0)
			v = 15;
		p[2] = (uint8_t)(w << 7 | v << 3 | l << 2 | pp[r->pfx]);
		return 3;
	}
	p[0] = 0x62;
	p[1] = (uint8_t)(0xf0 | r->map);
	if (below(2))
		p[1] ^= (uint8_t)(1u << (4 + below(4)));
	if (below(3) == 0)
		v = 15;
	p[2] = (uint8_t)(w << 7 | v << 3 | 4 | pp[r->pfx]);
	p[3] = (uint8_t)((below(3) == 0) << 7 | l << 5 | (below(4) == 0) << 4 | (below(8) ? 8 : 0) | (below(2) ? below(8) : 0));
	return 4;
}

static unsigned put_legacy(const OpRow *r, const Cpu *cpu, uint8_t *p)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned n = 0;

	if (sequence_segments && below(5) == 0)
		p[n++] = segments[below(6)];
	if (sequence_segments && below(6) == 0)
		p[n++] = 0x67;
	if ((r->pfx == PFX_ANY || r->pfx == PFX_NO_REP) && below(4) == 0)
		p[n++] = 0x66;
	if (r->pfx == PFX_66)
		p[n++] = 0x66;
	if (r->pfx == PFX_F3 || (r->attrs & ATTR_REP && below(2)))
		p[n++] = 0xf3;
	else if (r->pfx == PFX_F2)
		p[n++] = 0xf2;
	if (r->attrs & ATTR_LOCK && below(4) == 0)
		p[n++] = 0xf0;
	if (cpu_code64(cpu) && below(2))
		p[n++] = (uint8_t)(0x40 | (below(2) ? below(16) & (below(4) ? 13 : 15) : below(2) << 3));
	if (r->map) {
		p[n++] = 0x0f;
		if (r->map > 1)
			p[n++] = r->map == 2 ? 0x38 : 0x3a;
	}
	return n;
}

bool names_counter(const Decoded *d)
{
	bool z = d->row->operands[0] && opnd_letter(d->row->operands[0]) == 'Z';
	uint32_t named = 1u << d->reg | 1u << d->rm | 1u << d->vvvv;

	if (d->is_mem)
		named |= 1u << d->base | 1u << d->index;
	if (z)
		named |= 1u << ((d->opcode & 7) | (d->rex & 1) << 3);
	return named & sequence_counters;
}

static bool touches_stack(const Decoded *d)
{
	bool z = d->row->operands[0] && opnd_letter(d->row->operands[0]) == 'Z';

	switch (d->row->exec) {
	case X_PUSH: case X_POP: case X_LEAVE: case X_POPA: case X_PUSHA: case X_POPF:
		return true;
	default:
		return d->reg == RSP || (!d->is_mem && d->rm == RSP) || d->vvvv == RSP || (z && (d->opcode & 7) == RSP);
	}
}

/* Is it of the kind that is wanted now? */
static bool welcome(const Decoded *d)
{
	bool flat = d->seg == SEG_NONE || (!d->code64 && d->seg != FS && d->seg != GS) || (sequence_gs && d->seg == GS);

	return (flat || sequence_segments) && !names_counter(d) && !(sequence_calling && touches_stack(d));
}

/* As it is, or in 64-bit code as long as can be, or longer by one. */
static unsigned copy_out(const Decoded *d, const uint8_t *b, uint8_t *p)
{
	unsigned pad = d->code64 && below(100) == 0 ? 15 + (below(4) == 0) - d->len : 0;

	memset(p, 0x3e, pad);
	memcpy(p + pad, b, d->len);
	return pad + d->len;
}

unsigned make(const OpRow *r, const Cpu *cpu, uint8_t *p)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		uint8_t b[32];
		Decoded d;
		unsigned n = cpu_code64(cpu) && below(24) == 0 ? put_odd_prefixes(b) : 0;
		bool odd = n;
		n += r->enc == ENC_LEGACY ? put_legacy(r, cpu, b + n) : put_vex(r, b + n);
		bool plus = r->operands[0] && opnd_letter(r->operands[0]) == 'Z';
		b[n++] = (uint8_t)(r->opcode + (plus ? below(8) : 0));
		n += plus ? 0 : put_modrm(r, cpu, b + n);
		for (unsigned k = n; k < sizeof(b); k++)
			b[k] = (uint8_t)(below(2) ? rand32() : below(72));
		DecodeResult result = decode(b, 15, cpu->mode, cpu->features, &d);
		if (result == DECODE_OK && d.row == r && welcome(&d))
			return copy_out(&d, b, p);
		/* What is #UD here has to be so on the host. */
		bool forbidden = r->enc != ENC_LEGACY || (odd && d.lock && d.row == r);
		if (result == DECODE_UD && forbidden && below(odd ? 2 : 16) == 0) {
			memcpy(p, b, 15);
			return 15;
		}
	}
	return 0;
}

bool blurs_flags(const OpRow *r)
{
	switch (r->exec) {
	case X_DIV1: case X_IDIV1: case X_ROL: case X_ROR: case X_RCL: case X_RCR: case X_SHL: case X_SHR: case X_SAR:
	case X_SHLD: case X_SHRD: case X_AAD:
		return true;
	default:
		return false;
	}
}
