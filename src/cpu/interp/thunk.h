/*
 * thunk.h - one guest vector or x87 instruction as a small piece of host code.
 *
 * Guest and host share these units, so the host's own instruction is the exact
 * implementation: a thunk loads the registers the instruction names from CpuVector, runs it
 * with its memory operand at RSI, and stores them back. The vcpu's own thread only.
 */
#ifndef VIV_CPU_THUNK_H
#define VIV_CPU_THUNK_H

#include "cpu/interp/interp.h"

/* General registers and flags that go in and come out. */
typedef struct ThunkRegs {
	uint64_t g, e, dx;    /* modrm.reg, modrm.rm (or RCX of PCMPESTRI), RDX */
	uint64_t arith;       /* as Cpu.arith */
	uint32_t host_mxcsr;
} ThunkRegs;

typedef void (*ThunkCode)(CpuVector *vec, void *mem, uint64_t, uint64_t, uint64_t, ThunkRegs *regs);

typedef struct Thunk {
	ThunkCode code;
	const OpRow *row;
	uint32_t vec;          /* VEC_* */
	uint16_t mem;          /* bytes of the memory operand */
	uint8_t vl_bytes;      /* 16, 32, 64 */
	uint8_t elem;          /* bytes of a masked element in memory; 0: no masking by element */
	uint8_t mask;          /* EVEX.aaa, 0: unmasked */
	uint8_t enc;
	uint8_t gpr_out;       /* where g or e goes: THUNK_OUT_* */
	bool zeroing;
} Thunk;
enum { THUNK_OUT_NONE, THUNK_OUT_G, THUNK_OUT_E, THUNK_OUT_AX };

typedef struct ThunkPool ThunkPool;
ThunkPool *thunk_pool_new(GError **error);
void thunk_pool_free(ThunkPool *pool);
/* Is there room for `n` more? If not, the owner drops all its blocks and resets the pool. */
bool thunk_pool_room(const ThunkPool *pool, unsigned n);
void thunk_pool_reset(ThunkPool *pool);
/* Compiles d; the Thunk lives until the pool is reset. Equal instructions share one. */
const Thunk *thunk_get(ThunkPool *pool, const Decoded *d);

#endif
