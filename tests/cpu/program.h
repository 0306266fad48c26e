/*
 * program.h - whole random programs of user code for native.h's areas: straight ones, loops, calls, some that change
 * themselves; each ends in INT3. sequence.h makes the instructions.
 */
#ifndef VIV_TEST_PROGRAM_H
#define VIV_TEST_PROGRAM_H

#include <glib.h>

#include "cpu/cpu.h"

#define PROGRAM_SIZE 1024
#define PROGRAM_AT_MAX 4096
#define PATCHES 16
#define PROGRAM_CALLS 8

typedef struct Program {
	const Cpu *cpu;                  /* in the mode it is made for */
	GPtrArray *rows, *frame_rows;    /* OpRows it is made of */
	unsigned length;                 /* instructions of a straight one, at most */
	bool code32;
	unsigned at;                     /* where in the code's area it begins, up to PROGRAM_AT_MAX */
	uint32_t families;               /* of instructions: integer, x87 and so on; a bit for each */
	bool controls, strings, jumps;   /* some of these are in it */
	unsigned functions;              /* that are still to be made */
	uint8_t *call[PROGRAM_CALLS];    /* the address fields of their calls */
	unsigned calls;
	/* One that changes itself: constants that can be changed, stores whose target is not made yet. */
	bool patching;
	uint8_t *start, *constant[PATCHES], *forward[PATCHES];
	unsigned constants, forwards;
} Program;

/* `only`: of one mnemonic, or NULL. p is never freed. */
void program_init(Program *p, const Cpu *cpu, const char *only, unsigned length);
/* A new program; its bytes, at most `room`, which is at least PROGRAM_SIZE. */
unsigned program_make(Program *p, uint8_t *code, unsigned room);

#endif
