/*
 * sequence.h - random instructions, made from the opcode table, so that a new row is tested without a new line here.
 *
 * One thread; the random numbers are those of one seed.
 */
#ifndef VIV_TEST_SEQUENCE_H
#define VIV_TEST_SEQUENCE_H

#include <glib.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"

/* In a frame sequence most memory operands are near one register, and it moves: what shared checks are about. */
extern bool sequence_frame;
/* In a loop's body some addresses have RDX as their index; */
extern bool sequence_looping;
/* and no instruction names these registers, a bit for each: they count the turns. */
extern uint16_t sequence_counters;
/* In a function's body RSP and the stack are left alone. */
extern bool sequence_calling;
/* Segment and address-size prefixes are put in front now and then. */
extern bool sequence_segments;
/* GS has a base that is known, and may be named. */
extern bool sequence_gs;

/* How far behind its code a sequence has data to name relative to RIP; 0: nothing there. */
extern uint32_t sequence_data;

void sequence_seed(uint32_t seed);
uint32_t rand32(void);
uint64_t rand64(void);
uint32_t below(uint32_t n);
/* Values that sit on edges more often than chance. */
uint64_t edgy(void);

/*
 * OpRows: what can run in a host process and ends there where it should; `guests`: and moves of selectors, POPF and the
 * like. `only`: those of one mnemonic, or NULL. The caller frees the array.
 */
GPtrArray *rows_to_test(const char *only, bool code32, bool guests);
/* RBX, RSI, RDI or RBP, of which memory operands are made. */
uint8_t a_base(void);
/* Those of which frame sequences are made. */
bool frame_row(const OpRow *r);
/* One of sequence_counters is an operand, or part of an address. */
bool names_counter(const Decoded *d);
/* Leaves flags undefined that the interpreter computes otherwise (shift by immediate and by CL differ on one host). */
bool blurs_flags(const OpRow *r);
/*
 * One instruction for cpu's mode that decodes as row r, or as none because of its prefixes; its bytes, at most 16 (one too
 * many, now and then), or 0: none came about.
 */
unsigned make(const OpRow *r, const Cpu *cpu, uint8_t *p);

#endif
