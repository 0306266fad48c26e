/*
 * translate.h - between the parts of the translator: one block on its way to host code.
 */
#ifndef VIV_CPU_JIT_TRANSLATE_H
#define VIV_CPU_JIT_TRANSLATE_H

#include "cpu/jit/jit.h"

enum { FLAGS_CPU, FLAGS_HOST };

/* Code off the straight way, emitted behind the block. */
typedef struct Detour {
	uint8_t *from[6];        /* jumps that lead here */
	unsigned froms;
	unsigned k;              /* the instruction */
	const uint8_t *back;
	bool want_flags;         /* the straight way comes back with FLAGS_HOST */
} Detour;

/* What happens to an operand. */
enum { NO = 0, RD = 1, WR = 2, RW = 3 };

/* Memory that an instruction touches, by the parts of its address: [disp, disp+size) from base + (index << scale). */
typedef struct Access {
	uint8_t base, index, scale;
	bool write;
	int64_t disp;
	unsigned size;
} Access;

/* Bytes checked at once (share.c), by their distance from the address's parts as they were then. */
typedef struct Stretch {
	Access a;
	int64_t low, high;
	int64_t moved;           /* the parts, since then */
	int64_t turn;            /* in a loop: by one turn */
	int64_t reach;           /* in a loop: how far the turns that are checked at once lead beyond it */
	unsigned align;          /* what lies at align_at is aligned to so many bytes; 0: not looked at */
	int64_t align_at;
	bool fixed;              /* in a loop: the base stands still and is in what is added already */
	bool live;
} Stretch;

/* A block that ends in a branch to its own start (loop.c). */
typedef struct Loop {
	enum { LOOP_NONE, LOOP_WATCHED, LOOP_CHECKED } kind;
	unsigned last;           /* the branch */
	unsigned counter;        /* LOOP_CHECKED: a register that moves `by` with each turn, if by is not 0 */
	int64_t by;
	unsigned turns;          /* that are checked at once; 0: as many as the pages have */
	const uint8_t *head;     /* executable: where a turn begins */
} Loop;

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
	bool code64, plain;
	uint32_t tlb;                    /* offset of its TLB in Cpu */
	Detour detour[2 * JIT_INSNS_MAX];
	unsigned detours;
	JitLink *link[2 * JIT_INSNS_MAX];
	uint8_t *link_site[2 * JIT_INSNS_MAX], *link_stale[2 * JIT_INSNS_MAX]; /* jumps to where the link is handed over */
	unsigned links;
	Stretch stretch[JIT_SHARES];
	unsigned stretches;
	unsigned aligned;                /* what shared_place gave is aligned to so many bytes, 1 if that is not known */
	Loop loop;
	uint8_t *again[4];               /* jumps back to the loop of run.c, at the block's start */
	unsigned agains;
	JitX87 x87[JIT_INSNS_MAX];
	unsigned x87_count;
	uint32_t host_at[JIT_INSNS_MAX + 1]; /* instruction k's code, in bytes from the block's; [count]: off the way */
};

/* ---- flags (flags.c) ---- */
void flags_find_live(Trans *t);
/* FLAG_*: what the instruction reads, at worst. */
uint16_t flags_read(const Decoded *d);
/* What it writes for sure; of what the manual leaves undefined, processors leave some as it was. */
uint16_t flags_written(const Decoded *d);
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
/*
 * The memory operand's place on the host, checked: at R13, perhaps with a guest register as the index, so it is good
 * until that changes. R14 is used; the flags are saved where they get lost.
 */
Place mem_place(Trans *t, unsigned size, bool write);
/* The same in R13 alone. */
Place mem_place_alone(Trans *t, unsigned size, bool write);
/* R13: linear address in, host address out, unless the jump given back is taken; then neither. Flags are lost. */
uint8_t *mem_check(Trans *t, unsigned size, bool write);
/* A locked access at R13: across cache lines the handler does it, alone. */
void mem_within_line(Trans *t, unsigned size);
/* As mem_place, on the stack: of RSP or RBP and disp. */
Place stack_place(Trans *t, unsigned base, int disp, unsigned size, bool write);
/*
 * The memory operand's effective address, `bytes` of it, zero-extended, in host register `to`; R13 and R14 are used.
 * Flags are kept.
 */
void mem_address(Trans *t, unsigned to, unsigned bytes);
/* In RSP of stack_width(t): what the base holds, plus disp. Flags are kept. */
void stack_move(Trans *t, unsigned base, int disp);
/* This instruction goes through its handler from here on, if the jump at `from` is taken. */
void detour(Trans *t, uint8_t *from);
/* Has this instruction one already, so that what is emitted now may be passed by? */
bool detour_open(Trans *t);
/* The straight way is over for this instruction: detours come back here. */
void detours_end(Trans *t);

/* ---- segments (segment.c) ---- */
/* R13: offset in the segment in, linear address out; the handler runs what is not within its limits. Flags are lost. */
void segment_add(Trans *t, unsigned seg, unsigned size, bool write);
/* The new RIP in R13, of the operand size, is within CS; else the handler raises what is due. Flags are lost. */
void segment_check_target(Trans *t, unsigned opsize);

/* ---- one check for several accesses (share.c) ---- */
/* False: it cannot share; else as what is needed for shared_place. */
bool access_of_operand(const Trans *t, const Decoded *d, unsigned size, bool write, Access *a);
bool access_of_stack(const Trans *t, unsigned base, int64_t disp, unsigned size, bool write, Access *a);
/* False: nobody to share with; nothing was emitted. */
bool shared_place(Trans *t, const Access *a, Place *m);
/* Takes the access that instruction d is going to make into s, if it fits; s is a stretch with the same parts, `moved` by then. */
bool share_extend(Stretch *s, const Decoded *d, const Access *b, int64_t moved);
bool share_foresee(const Trans *t, const Decoded *d, Access *a);
bool share_same_parts(const Access *a, const Access *b);
/* True: instruction d moves the address's parts by *by bytes, or leaves them alone. */
bool share_steady(const Decoded *d, const Access *a, int64_t *by);
/* Checks the stretch: on to the plain version, or R13 is the host's address of its lowest byte. Flags are lost. */
void share_check(Trans *t, const Stretch *s);
/* R13 as share_check left it: keeps what has to be added to the parts. R13 then holds it. */
void share_keep(Trans *t, const Stretch *s);
/* After each instruction: what it did to the registers. */
void share_behind(Trans *t);
/* Nothing that was checked holds any more. */
void share_end(Trans *t);

/* ---- loops (loop.c) ---- */
/* Is the block one? `before`: the version it replaces, if any, which has watched how often it turns. */
void loop_find(Trans *t, const JitBlock *before);
/* At the start of the block's body. */
void loop_begin(Trans *t);
/* The branch to the block's own start, with its condition in the host's flags. False: nothing special. */
bool loop_turn(Trans *t, unsigned cc);

/* ---- branch.c ---- */
/* A link whose jump is at `site`, for the instruction being translated. */
void link_from(Trans *t, uint64_t rip, uint8_t *site);

/* ---- translate.c ---- */
static inline const Decoded *now(const Trans *t) { return &t->d[t->k]; }
static inline uint64_t cut_rip(const Trans *t, uint64_t rip) { return t->code64 ? rip : (uint32_t)rip; }
static inline uint64_t next_of(const Trans *t) { return cut_rip(t, t->b->rip + t->end[t->k]); }
/* Bytes of the stack pointer that count. */
static inline unsigned stack_width(const Trans *t) { return t->code64 ? 8 : t->b->base.mode & MODE_SS32 ? 4 : 2; }
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
	/* The segment's base may be anywhere in a page. */
	uint64_t from = (uintptr_t)t->b->base.host & (GUEST_PAGE_SIZE - 1);
	return from + rip - t->b->rip < GUEST_PAGE_SIZE;
}
/* To the RIP in R13. */
void exit_indirect(Trans *t);

/* ---- log.c ---- */
/* At the front of a block: its entrances are logged, if that is wished. */
void trans_log_entered(Trans *t);
/* The block is translated: guest and host instructions. */
void trans_log_code(Trans *t);

/* ---- by class; false: nothing was emitted, the handler has to do it ---- */
bool trans_integer(Trans *t);   /* integer.c */
/* What happens to the first operand, while the others are read; NO: not known to integer.c's general form. */
int integer_access(unsigned exec);
bool trans_branch(Trans *t);    /* branch.c: *also* ends the block where the instruction does */
bool trans_system(Trans *t);    /* system.c */
bool trans_segment(Trans *t);   /* segment.c */
bool trans_vector(Trans *t);    /* vector.c */
/* vector.c: the units that the host's own instruction needs for d; false: its handler runs it. */
bool vector_needs(const Decoded *d, uint8_t units[2]);

#endif
