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
/* ---- tlb.c: rights are a set of TLB_*, view is TLB_KERNEL, TLB_USER or TLB_KERNEL_AC ---- */
/* Cpu.tlbs answers for this page from now on; write entries only to pages without code. */
void tlb_install(Cpu *cpu, unsigned view, uint64_t linear, uint8_t *host, unsigned rights);
/* The same, for when it was pushed out there. */
void tlb_remember(Cpu *cpu, unsigned view, uint64_t linear, uint8_t *host, unsigned rights);
/* A page that was remembered with this right is installed, and *host set. False: walk the tables. */
bool tlb_recall(Cpu *cpu, unsigned view, uint64_t linear, unsigned right, uint8_t **host);
/* The byte at `linear`, if its page is remembered for reading in the view in force; nothing is installed. NULL: it is not. */
const uint8_t *tlb_peek(const Cpu *cpu, uint64_t linear);
/* A page of 1 << page_bits bytes, above 4 KiB, is about to be remembered in part. */
void tlb_note_large(Cpu *cpu, uint64_t linear, unsigned page_bits);
/* Is the page that was just fetched from global? False if that is not known. */
bool tlb_is_global(Cpu *cpu, uint64_t linear);
/* Forgets write entries to the page at `host_page`, which now holds decoded code; NULL: to whatever page. */
void cpu_tlb_drop_writes(Cpu *cpu, const uint8_t *host_page);

/* interp/icache.c: is that in the page of the block being run (of more than one instruction)? */
bool interp_in_own_page(const Cpu *cpu, const uint8_t *host);
/* Unwinds; the present instruction is run again by itself, not from a block. */
G_NORETURN void interp_retry_alone(Cpu *cpu);
/* Linear addresses may mean other pages now: forget where jumps lead, all of them or to one page. */
void interp_forget_jumps(Cpu *cpu);
void interp_forget_jumps_to(Cpu *cpu, uint64_t linear);

#endif
