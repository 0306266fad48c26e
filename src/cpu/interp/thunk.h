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
	uintptr_t resume;      /* where a SIMD exception goes on: behind the stores of registers, before MXCSR's */
	const OpRow *row;
	uint32_t vec;          /* VEC_* */
	uint16_t mem;          /* bytes of the memory operand */
	uint8_t enc;           /* whose state has to be enabled: ENC_EVEX for opmask instructions too */
	uint8_t gpr_out;       /* where g or e goes: THUNK_OUT_* */
	/*
	 * A memory operand under an EVEX mask: `lanes` bits of k[mask] stand for `step` bytes each; step 0: one
	 * element for all. lanes 0: not masked.
	 */
	uint8_t mask, lanes, step;
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

/*
 * Runs it with MXCSR's exceptions unmasked as the guest has them. True: one was raised; then MXCSR has its flags
 * and nothing else has changed.
 */
bool thunk_run_trapping(const Thunk *t, CpuVector *vec, void *mem, ThunkRegs *regs);

#endif
