/*
 * native.h - runs a piece of 64-bit user code on the host's own CPU, in a child process, and says
 * what became of every register.
 *
 * The code and data areas lie at fixed addresses, shared between parent and child. State goes in
 * and comes out through signal frames, so that one run costs two signals.
 */
#ifndef VIV_TEST_NATIVE_H
#define VIV_TEST_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#define NATIVE_CODE 0x10000000ull
#define NATIVE_CODE_SIZE 0x1000u
#define NATIVE_DATA 0x20000000ull
#define NATIVE_DATA_SIZE 0x10000u

typedef struct NativeState {
	uint64_t regs[16], rip;
	uint32_t rflags;
	uint32_t mxcsr;
	uint8_t fx[160];      /* FXSAVE layout up to ST7 */
	uint8_t zmm[32][64];
	bool code32;          /* in: runs as 32-bit code */
	uint64_t k[8];
	int signal;           /* out: what ended the run */
	int trap;             /* out: exception vector, as the kernel tells */
} NativeState;

/* NULL where the host refuses. `has_avx512`: zmm16..31 and k are compared too. */
typedef struct Native Native;
Native *native_new(void);
void native_free(Native *n);
bool native_has(const Native *n, unsigned xfeature_bit);
/* Views of the shared areas in the parent. */
uint8_t *native_code(Native *n);
uint8_t *native_data(Native *n);
/* Runs from state->rip until the first exception. False: the child died (it is started anew). */
bool native_run(Native *n, NativeState *state);

#endif
