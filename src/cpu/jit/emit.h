/*
 * emit.h - x86-64 host code, byte by byte (SDM vol. 2, 2.1 to 2.2).
 *
 * No checks of sense, and of room only by the caller: who emits for one guest instruction leaves
 * EMIT_ROOM bytes. The vcpu's own thread.
 */
#ifndef VIV_CPU_JIT_EMIT_H
#define VIV_CPU_JIT_EMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EMIT_ROOM 512

typedef struct Emit {
	uint8_t *p;          /* where the next byte is written */
	intptr_t to_run;     /* from the writable mapping to the executable one */
} Emit;

/* Byte registers AH, CH, DH, BH; every other register is its number, 0..15. */
enum { HIGH_BYTE = 0x10, REG_AH = 0x14, REG_CH, REG_DH, REG_BH };

/* Condition codes (vol. 2, appendix B.1.4.7) */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* An opcode: the byte, its map (0: one byte, 1: 0F, 2: 0F38, 3: 0F3A), a mandatory prefix or 0. */
typedef struct Op {
	uint8_t code, map, prefix;
} Op;
#define OP(c) ((Op){ (c), 0, 0 })
#define OP0F(c) ((Op){ (c), 1, 0 })

/* A memory operand of the host's; index -1: none. */
typedef struct Place {
	int8_t base, index;
	uint8_t scale;
	int32_t disp;
} Place;

static inline void e1(Emit *e, unsigned v) { *e->p++ = (uint8_t)v; }
static inline void e4(Emit *e, uint32_t v)
{
	memcpy(e->p, &v, 4);
	e->p += 4;
}
static inline void emit_bytes(Emit *e, const uint8_t *bytes, unsigned n)
{
	memcpy(e->p, bytes, n);
	e->p += n;
}
static inline void e8(Emit *e, uint64_t v)
{
	memcpy(e->p, &v, 8);
	e->p += 8;
}

/* Prefixes, REX and opcode. `byte_regs`: numbers 4..7 of byte operands need REX to be SPL..DIL. */
static inline void emit_head(Emit *e, Op op, unsigned size, unsigned reg, unsigned index, unsigned base, bool rex_byte)
{
	unsigned rex = (size == 8) << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);

	if (size == 2)
		e1(e, 0x66);
	if (op.prefix)
		e1(e, op.prefix);
	if (rex || rex_byte)
		e1(e, 0x40 | rex);
	if (op.map)
		e1(e, 0x0f);
	if (op.map >= 2)
		e1(e, op.map == 2 ? 0x38 : 0x3a);
	e1(e, op.code);
}

static inline bool low_byte_needs_rex(unsigned reg) { return reg >= 4 && reg < 8; }

/* op reg, rm of registers. size 1: byte registers, AH to BH among them (then neither may need REX). */
static inline void emit_rr(Emit *e, Op op, unsigned size, unsigned reg, unsigned rm)
{
	bool rex = size == 1 && (low_byte_needs_rex(reg) || low_byte_needs_rex(rm));

	emit_head(e, op, size, reg & 0xf, 0, rm & 0xf, rex);
	e1(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* op reg, [place]; reg may be an opcode extension. */
static inline void emit_rm(Emit *e, Op op, unsigned size, unsigned reg, Place m)
{
	unsigned base = (unsigned)m.base, index = m.index < 0 ? 4 : (unsigned)m.index;
	bool sib = m.index >= 0 || (base & 7) == 4, short_disp = m.disp >= -128 && m.disp < 128;
	unsigned mod = m.disp == 0 && (base & 7) != 5 ? 0 : short_disp ? 1 : 2;

	emit_head(e, op, size, reg & 0xf, m.index < 0 ? 0 : index, base, size == 1 && low_byte_needs_rex(reg));
	e1(e, mod << 6 | (reg & 7) << 3 | (sib ? 4 : (base & 7)));
	if (sib)
		e1(e, (unsigned)m.scale << 6 | (index & 7) << 3 | (base & 7));
	if (mod == 1)
		e1(e, (unsigned)m.disp);
	else if (mod == 2)
		e4(e, (uint32_t)m.disp);
}

static inline Place at(unsigned base, int32_t disp) { return (Place){ (int8_t)base, -1, 0, disp }; }

static inline void emit_mov_rr(Emit *e, unsigned size, unsigned to, unsigned from)
{
	emit_rr(e, OP(0x8b), size, to, from);
}
static inline void emit_load(Emit *e, unsigned size, unsigned to, Place m) { emit_rm(e, OP(0x8b), size, to, m); }
static inline void emit_store(Emit *e, unsigned size, unsigned from, Place m)
{
	emit_rm(e, OP(size == 1 ? 0x88 : 0x89), size, from, m);
}
static inline void emit_lea(Emit *e, unsigned size, unsigned to, Place m) { emit_rm(e, OP(0x8d), size, to, m); }

/* The shortest move of a constant that leaves flags alone. */
static inline void emit_const(Emit *e, unsigned to, uint64_t v)
{
	if (v <= UINT32_MAX) {
		emit_head(e, OP(0xb8 + (to & 7)), 4, 0, 0, to, false);
		e4(e, (uint32_t)v);
	} else if ((uint64_t)(int32_t)v == v) {
		emit_rr(e, OP(0xc7), 8, 0, to);
		e4(e, (uint32_t)v);
	} else {
		emit_head(e, OP(0xb8 + (to & 7)), 8, 0, 0, to, false);
		e8(e, v);
	}
}

/* Jumps to `target`, an address of the executable mapping within 2 GiB; 0: patched later. Gives the rel32's place. */
static inline uint8_t *emit_rel(Emit *e, const uint8_t *target)
{
	uint8_t *site = e->p;
	e4(e, target ? (uint32_t)(target - (site + e->to_run + 4)) : 0);
	return site;
}
static inline uint8_t *emit_jmp(Emit *e, const uint8_t *target)
{
	e1(e, 0xe9);
	return emit_rel(e, target);
}
static inline uint8_t *emit_call(Emit *e, const uint8_t *target)
{
	e1(e, 0xe8);
	return emit_rel(e, target);
}
static inline uint8_t *emit_jcc(Emit *e, unsigned cc, const uint8_t *target)
{
	e1(e, 0x0f);
	e1(e, 0x80 | cc);
	return emit_rel(e, target);
}
/* Makes the jump at `site` go to the next byte emitted. */
static inline void emit_land(Emit *e, uint8_t *site)
{
	uint32_t rel = (uint32_t)(e->p - (site + 4));
	memcpy(site, &rel, 4);
}
static inline const uint8_t *emit_here(const Emit *e) { return e->p + e->to_run; }

#endif
