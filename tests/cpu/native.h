/*
 * native.h - runs a piece of 64-bit user code on the host's own CPU, in a child process
 * (native-child.c), and says what became of every register.
 *
 * The code and data areas lie at fixed addresses, shared between parent and child. State goes in
 * and comes out through signal frames, so that one run costs two signals.
 */
#ifndef VIV_TEST_NATIVE_H
#define VIV_TEST_NATIVE_H

#include <cpuid.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NATIVE_CODE 0x10000000ull
#define NATIVE_CODE_SIZE 0x2000u
#define NATIVE_DATA 0x20000000ull
#define NATIVE_DATA_SIZE 0x10000u
#define NATIVE_GS 0x118ull /* the base of GS in 64-bit code */

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

/* What parent and child share. */
typedef struct NativeShared {
	_Atomic int turn; /* 0: parent, 1: child */
	NativeState state;
} NativeShared;

static inline void native_hand_over(NativeShared *shared, int turn)
{
	atomic_store(&shared->turn, turn);
	syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline uint64_t native_host_xcr0(void)
{
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & (1u << 27)))
		return 3;
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

/* NULL where the host refuses. `has_avx512`: zmm16..31 and k are compared too. */
typedef struct Native Native;
Native *native_new(void);
void native_free(Native *n);
bool native_has(const Native *n, unsigned xfeature_bit);
/* Views of the shared areas in the parent. */
uint8_t *native_code(Native *n);
uint8_t *native_data(Native *n);
/* Runs from state->rip until the first exception. False: the child died, or ran for half a second (it is started anew). */
bool native_run(Native *n, NativeState *state);

#endif
