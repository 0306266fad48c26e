/*
 * decode.h - from bytes to one decoded instruction (SDM vol. 2, chapter 2).
 *
 * Pure functions; any thread.
 */
#ifndef VIV_CPU_DECODE_H
#define VIV_CPU_DECODE_H

#include "cpu/cpu.h"
#include "cpu/optab.h"

#define INSN_MAX 15
/* Register numbers of an address: 0..15, or these slots of Cpu.regs. */
enum { SLOT_RIP = 16, SLOT_ZERO = 17 };
enum { SEG_NONE = 6 };

typedef struct Decoded {
	const OpRow *row;
	uint8_t len;
	uint8_t bytes[INSN_MAX + 1];
	uint8_t opcode_at, modrm_at;       /* positions in bytes */
	uint8_t opcode;
	uint8_t opsize;                    /* 2, 4, 8: size of v operands */
	uint8_t asize;                     /* 2, 4, 8 */
	bool code64;
	bool lock, rep, repne, opsz66, rex_present, has_modrm, is_mem, has_seg_prefix;
	uint8_t rex;                       /* W R X B in bits 3..0, for VEX and EVEX too */
	uint8_t modrm, mod, reg, rm;       /* reg and rm extended by REX/VEX (0..15) */
	uint8_t base, index, scale, seg;   /* memory operand; seg is SEG_NONE where the base is 0 in 64-bit mode */
	int64_t disp;
	int64_t imm;                       /* sign-extended; far pointers: the offset */
	uint16_t imm2;                     /* far pointers: the selector; ENTER: the level */
	uint8_t vvvv, vl, w;               /* VEX/EVEX; vl 0 1 2 = 128 256 512 */
	uint8_t evex_aaa, evex_reg_hi, evex_v_hi; /* mask register; bit 4 of reg and vvvv */
	bool evex_z, evex_b;
} Decoded;

typedef enum DecodeResult {
	DECODE_OK,
	DECODE_MORE,     /* the bytes given end inside the instruction */
	DECODE_UD,       /* #UD */
	DECODE_TOO_LONG, /* #GP(0): more than 15 bytes */
} DecodeResult;

/*
 * Decodes at most `avail` bytes. `mode`: CpuMode. `features`: Cpu.features (rows whose feature
 * is missing do not exist), or NULL for all. On DECODE_UD `len` is what was looked at.
 */
DecodeResult decode(const uint8_t *bytes, unsigned avail, unsigned mode, const uint32_t *features,
		    Decoded *out);

/* Bytes of the memory operand of a vector row: by vector length, broadcast and W. */
unsigned decoded_mem_bytes(const Decoded *d);

/* One line of AT&T-free, Intel-syntax text; `rip` of the instruction. Appends to out. */
void disassemble(const Decoded *d, uint64_t rip, GString *out);

/* The operand kind's letter ('E', 'G', ...) and size letter. */
static inline char opnd_letter(uint8_t opnd) { return optab_operand_names[opnd][0]; }
static inline char opnd_size(uint8_t opnd) { return optab_operand_names[opnd][1]; }

#endif
