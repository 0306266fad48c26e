/*
 * interp.h - what the machine's CpuWorld needs of the interpreter's accelerator.
 */
#ifndef VIV_ACCEL_INTERP_H
#define VIV_ACCEL_INTERP_H

#include "accel/accel.h"

/*
 * Between begin and end the calling vcpu runs alone: every other vcpu stands between two
 * instructions or waits. Vcpu threads, machine lock not held. The interpreter ends it when an
 * exception unwinds in between (interp_alone_begin).
 */
void interp_exclusive_begin(Accel *accel, Cpu *cpu);
void interp_exclusive_end(Accel *accel, Cpu *cpu);
/* Returns once every other vcpu has dropped its translations, or will before its next instruction. */
void interp_flush_others(Accel *accel, Cpu *cpu);

#endif
