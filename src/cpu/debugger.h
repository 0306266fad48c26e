/*
 * debugger.h - what a debugger outside the guest asks of the processors: to stop at addresses, at accesses, after one instruction.
 *
 * The guest sees nothing of it: no byte of its memory and none of its debug registers are used. Breakpoints cost nothing but where
 * code has the same place in its page as one of them: blocks of decoded and translated code end before it. While
 * there are watchpoints, instructions run one at a time.
 *
 * A set is shared by all vcpus and changed only while they stand; then cpu_debugger_set() for each.
 */
#ifndef VIV_CPU_DEBUGGER_H
#define VIV_CPU_DEBUGGER_H

#include "cpu/cpu.h"

enum { CPU_WATCH_WRITE = 1, CPU_WATCH_READ = 2 };
typedef struct CpuWatchpoint {
	uint64_t address, length; /* linear; length at least 1 */
	unsigned kinds;           /* CPU_WATCH_*, or'ed */
} CpuWatchpoint;

typedef struct CpuDebugger {
	GArray *breaks;           /* uint64_t, linear */
	GArray *watches;          /* CpuWatchpoint */
	uint64_t offsets[64];     /* bits: there are breakpoints at such places in a page */
} CpuDebugger;

/* Cpu.debug.step: one instruction, and how. As QEMU's sstep bits. */
enum { CPU_STEP_ON = 1, CPU_STEP_NO_INTERRUPTS = 2, CPU_STEP_NO_TIMERS = 4 };
/* Cpu.debug.stop: why vcpu_run gave RUN_DEBUG. */
typedef enum CpuStop { CPU_STOP_NONE, CPU_STOP_BREAK, CPU_STOP_STEP, CPU_STOP_WATCH } CpuStop;

CpuDebugger *cpu_debugger_new(void);
void cpu_debugger_free(CpuDebugger *d); /* NULL is fine; no Cpu has it any more */
/* Adding what is there and removing what is not say false. */
bool cpu_debugger_add_break(CpuDebugger *d, uint64_t linear);
bool cpu_debugger_remove_break(CpuDebugger *d, uint64_t linear);
bool cpu_debugger_add_watch(CpuDebugger *d, CpuWatchpoint w);
bool cpu_debugger_remove_watch(CpuDebugger *d, CpuWatchpoint w);
void cpu_debugger_clear(CpuDebugger *d);

/* The vcpu has `d` from now on (NULL: none), or d's watchpoints changed. It stands. */
void cpu_debugger_set(Cpu *cpu, const CpuDebugger *d);
/* Before the software CPU runs on: code that was made with other breakpoints is made anew. The vcpu's own thread. */
void cpu_debugger_settle(Cpu *cpu);

/* May there be a breakpoint? By the low 12 bits of an address, host or linear. */
static inline bool cpu_break_near(const Cpu *cpu, uintptr_t address)
{
	const CpuDebugger *d = cpu->debug.set;

	return d && d->offsets[address >> 6 & 63] >> (address & 63) & 1;
}
/* Is there one? Notes it as the reason to stop. */
bool cpu_break_here(Cpu *cpu, uint64_t linear);
/* An access of the guest. */
void cpu_watch_access(Cpu *cpu, uint64_t linear, unsigned size, bool write);

#endif
