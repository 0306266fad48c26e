/*
 * vector.h - what the files of the vector units share.
 */
#ifndef VIV_CPU_INTERP_VECTOR_H
#define VIV_CPU_INTERP_VECTOR_H

#include "cpu/interp/thunk.h"

/* #UD, #NM and #MF as the state components of `enc` and the row's facts (VEC_*) want them. */
void vector_check_unit(Cpu *cpu, unsigned enc, uint32_t vec);
/* #NM, and with `wait` #MF if an exception is pending. */
void vector_check_x87(Cpu *cpu, bool wait);
/* Runs a thunk with the unit's exceptions taken care of. */
void vector_run(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r);
/* What every MMX instruction does to the x87 unit: TOP becomes 0, all registers valid (vol. 1, 9.5.1). */
void vector_enter_mmx(Cpu *cpu);
/* Rows marked vec=special: their handler, or NULL if the plain thunk does (vector_special.c). */
InsnFn bind_vector_special(Binder *b);
/* Gathers, scatters, masked moves, compress and expand; NULL for others (vector_mask.c). */
InsnFn bind_vector_mask(Binder *b);
/* Plain moves without a thunk, NULL for others (vector_move.c). */
InsnFn bind_vector_move(Binder *b);

#endif
