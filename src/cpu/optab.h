/*
 * optab.h - the rows of the opcode table, as scripts/opcodes.py generates them from *.tab.
 */
#ifndef VIV_CPU_OPTAB_H
#define VIV_CPU_OPTAB_H

#include <stdint.h>

#include "cpu/optab_gen.h"

enum { ENC_LEGACY, ENC_VEX, ENC_EVEX };
enum { PFX_ANY, PFX_NP, PFX_66, PFX_F3, PFX_F2, PFX_NO_REP /* 66 is the operand size, F3 and F2 are #UD */ };
enum { FORM_ANY, FORM_MEM, FORM_REG };
enum { LEN_ANY = -1, LEN_128, LEN_256, LEN_512, LEN_256UP, LEN_IGNORED };
enum {
	ATTR_I64 = 1 << 0, ATTR_O64 = 1 << 1, ATTR_D64 = 1 << 2, ATTR_F64 = 1 << 3, ATTR_LOCK = 1 << 4,
	ATTR_END = 1 << 5, ATTR_PROT = 1 << 6, ATTR_CPL0 = 1 << 7, ATTR_REP = 1 << 8,
};
/* Facts of rows that run on the host's vector or x87 unit (vector.h). */
enum {
	VEC_STORE = 1 << 0,  /* the memory operand is written only */
	VEC_RMW = 1 << 1,    /* the memory operand is read and written */
	VEC_FP = 1 << 2,     /* SIMD floating point: MXCSR matters, #XM possible */
	VEC_ALIGN = 1 << 3,  /* the memory operand must be aligned to its size */
	VEC_FLAGS = 1 << 4,  /* writes arithmetic flags */
	VEC_GPR = 1 << 5,    /* writes a general register (modrm.reg or r/m by the operand list) */
	VEC_X87 = 1 << 6,
	VEC_MMX = 1 << 7,
	VEC_NOWAIT = 1 << 8, /* x87 control: pending exceptions are not raised */
	VEC_VL = 1 << 9,     /* memory size scales with the vector length; mem= is the 128-bit size */
	VEC_BCST4 = 1 << 10, VEC_BCST8 = 1 << 11, VEC_BCST2 = 1 << 12, /* EVEX broadcast element */
	VEC_ELEM1 = 1 << 13, VEC_ELEM2 = 1 << 14, VEC_ELEM4 = 1 << 15, VEC_ELEM8 = 1 << 16, /* masking element */
	VEC_SPECIAL = 1 << 17, /* has its own code in vector*.c: gathers, scatters, maskmov, ... */
	VEC_VSIB = 1 << 18,    /* the index of the memory operand is a vector */
	VEC_NF = 1 << 19,      /* masked memory elements are accessed all the same */
	VEC_ER = 1 << 20, VEC_SAE = 1 << 21, /* EVEX.b with registers: rounding, suppressed exceptions */
};

typedef struct OpRow {
	const char *name;
	uint8_t enc, map, opcode, pfx;
	int8_t reg;        /* modrm.reg, or -1 for any */
	uint8_t form;
	uint8_t exact;     /* the whole modrm byte, or 0 */
	int8_t w, l;       /* VEX/EVEX W and vector length (0 1 2 or LEN_*), -1 for any */
	uint8_t operands[5];
	uint16_t attrs;
	uint32_t vec;
	uint16_t exec;     /* X_name */
	uint16_t feat;     /* FEAT_*, FEAT_NONE */
	uint16_t flags_written, flags_read;
	uint16_t mem;      /* bytes of the memory operand of vector rows */
} OpRow;

typedef struct OpSlot { uint16_t first, count; } OpSlot;

#define FEAT_NONE 0xffff
#define OPTAB_MAPS 7
extern const OpRow optab_rows[];
extern const unsigned optab_row_count;
extern const uint16_t optab_order[]; /* row numbers, grouped by slot */
extern const OpSlot optab_index[3][OPTAB_MAPS][256];
extern const char *const optab_operand_names[];

#endif
