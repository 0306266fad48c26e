/*
 * vector.h - what the files of the vector units share.
 */
#ifndef VIV_CPU_INTERP_VECTOR_H
#define VIV_CPU_INTERP_VECTOR_H

#include "cpu/interp/thunk.h"

/* #NM, and with `wait` #MF if an exception is pending. */
void vector_check_x87(Cpu *cpu, bool wait);
/* Runs a thunk with the unit's exceptions taken care of. `ea` is for the x87 data pointer. */
void vector_run(Cpu *cpu, const Insn *i, const Thunk *t, void *mem, ThunkRegs *r, uint64_t ea);
/* What every MMX instruction does to the x87 unit: TOP becomes 0, all registers valid (vol. 1, 9.5.1). */
void vector_enter_mmx(Cpu *cpu);
/* Rows marked vec=special (vector_special.c): their handler, or NULL if the plain thunk does. */
InsnFn bind_vector_special(Binder *b);
/* Would a store to [linear, linear+len) hit the block being run? Rights were checked. */
bool interp_own_block_hit_linear(Cpu *cpu, uint64_t linear, unsigned len);

#endif
