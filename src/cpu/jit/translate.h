/*
 * translate.h - between the parts of the translator: one block on its way to host code.
 */
#ifndef VIV_CPU_JIT_TRANSLATE_H
#define VIV_CPU_JIT_TRANSLATE_H

#include "cpu/jit/jit.h"

enum { FLAGS_CPU, FLAGS_HOST };

/* Code off the straight way, emitted behind the block. */
typedef struct Detour {
	uint8_t *from[3];        /* jumps that lead here */
	unsigned froms;
	unsigned k;              /* the instruction */
	const uint8_t *back;
	bool want_flags;         /* the straight way comes back with FLAGS_HOST */
} Detour;

typedef struct Trans Trans;
struct Trans {
	Cpu *cpu;
	Jit *jit;
	JitBlock *b;
	Emit e;
	Decoded d[JIT_INSNS_MAX];
	uint16_t end[JIT_INSNS_MAX];     /* bytes from the block's start */
	uint16_t live[JIT_INSNS_MAX + 1]; /* FLAG_*: read before written, from instruction k on */
	uint16_t live_taken[JIT_INSNS_MAX]; /* where a direct branch leads to */
	unsigned count, k;               /* k: the one being translated */
	int flags;                       /* FLAGS_* */
	bool code64;
	uint32_t tlb;                    /* offset of its TLB in Cpu */
	Detour detour[2 * JIT_INSNS_MAX];
	unsigned detours;
	JitLink *link[2 * JIT_INSNS_MAX];
	uint8_t *link_site[2 * JIT_INSNS_MAX], *link_stale[2 * JIT_INSNS_MAX]; /* jumps to where the link is handed over */
	unsigned links;
	JitX87 x87[JIT_INSNS_MAX];
	unsigned x87_count;
	uint32_t host_at[JIT_INSNS_MAX + 1]; /* instruction k's code, in bytes from the block's; [count]: off the way */
};

/* ---- flags (flags.c) ---- */
void flags_find_live(Trans *t);
/* Before code that destroys the host's flags: they are in Cpu.arith if anything still reads them. */
void flags_save(Trans *t);
/* Before the instruction itself: what it reads, or must leave as it was, is in the host's flags. */
void flags_want(Trans *t);
/* Host flags from Cpu.arith, unconditionally; R13 is used. */
void flags_load(Emit *e);
/* At an exit: all of them, or none if those of `live` are none. */
void flags_save_all(Trans *t);
void flags_save_if(Trans *t, uint16_t live);

/* ---- memory (memory.c) ---- */
/* Is the memory operand one that `mem_place` knows? */
bool mem_known(const Trans *t);
/* The memory operand's host address in R13, checked; flags are saved before. R14 is used. */
void mem_place(Trans *t, unsigned size, bool write);
/* A locked access at R13: across cache lines the handler does it, alone. */
void mem_within_line(Trans *t, unsigned size);
/* The same on the stack, of a host register and disp. */
void stack_place(Trans *t, unsigned base, int disp, unsigned size, bool write);
/* The linear address in R13, without a check (LEA's too with seg false). */
void mem_address(Trans *t, bool seg);
/* This instruction goes through its handler from here on, if the jump at `from` is taken. */
void detour(Trans *t, uint8_t *from);
/* The straight way is over for this instruction: detours come back here. */
void detours_end(Trans *t);

/* ---- translate.c ---- */
static inline const Decoded *now(const Trans *t) { return &t->d[t->k]; }
static inline uint64_t next_of(const Trans *t) { return t->b->rip + t->end[t->k]; }
/* The handler runs it. */
void by_handler(Trans *t);
/* At the front of a block, calls fn with the guest's state in Cpu; it returns i + 1. `runs` counts the calls. */
void emit_helper(Trans *t, InsnFn fn, uint64_t *runs);
/* The guest register's host register: its own, or `scratch`, loaded if `read`. */
unsigned use_reg(Trans *t, unsigned guest, unsigned size, bool read, unsigned scratch);
/* Stores it if it was a scratch register. */
void done_reg(Trans *t, unsigned guest, unsigned scratch);
/* To a known RIP, where the flags of `live` are of use. */
void exit_to(Trans *t, uint64_t rip, uint16_t live);
/* Where the direct branch k leads to. */
uint64_t target_of(const Trans *t, unsigned k);
static inline bool same_page(const Trans *t, uint64_t rip)
{
	return !((rip ^ t->b->rip) & ~(uint64_t)(GUEST_PAGE_SIZE - 1));
}
/* To the RIP in R13, which is in Cpu.rip as well. */
void exit_indirect(Trans *t);

/* ---- log.c ---- */
/* At the front of a block: its entrances are logged, if that is wished. */
void trans_log_entered(Trans *t);
/* The block is translated: guest and host instructions. */
void trans_log_code(Trans *t);

/* ---- by class; false: nothing was emitted, the handler has to do it ---- */
bool trans_integer(Trans *t);   /* integer.c */
bool trans_branch(Trans *t);    /* branch.c: *also* ends the block where the instruction does */
bool trans_system(Trans *t);    /* system.c */
bool trans_vector(Trans *t);    /* vector.c */
/* vector.c: the units that the host's own instruction needs for d; false: its handler runs it. */
bool vector_needs(const Decoded *d, uint8_t units[2]);

#endif
