/*
 * mem.h - what mem.c and the interpreter's code cache owe each other.
 *
 * The vcpu's own thread only.
 */
#ifndef VIV_CPU_MEM_H
#define VIV_CPU_MEM_H

#include "cpu/cpu.h"

/*
 * Does it lie in two cache lines? A locked instruction of the host's must not: that locks the whole bus, for which
 * Linux holds a thread up or, with split_lock_detect=fatal, ends it.
 */
static inline bool mem_splits(const void *p, unsigned size)
{
	return ((uintptr_t)p & 63) + size > 64;
}

/* Stores to a page that may hold decoded code; drops the decoded code it hits. len <= 4096, one page. */
void cpu_code_store(Cpu *cpu, uint8_t *host, const void *buf, unsigned len);
/* Forgets write entries to the page at `host_page`, which now holds decoded code. */
void cpu_tlb_drop_writes(Cpu *cpu, const uint8_t *host_page);

/* interp/icache.c: does [host, host+len) overlap the block being run (of more than one instruction)? */
bool interp_own_block_hit(Cpu *cpu, const uint8_t *host, unsigned len);
/* Unwinds; the present instruction is run again by itself, not from a block. */
G_NORETURN void interp_retry_alone(Cpu *cpu);
/* A linear address may mean another page now: forget the jump cache. */
void interp_forget_jumps(Cpu *cpu);

#endif
