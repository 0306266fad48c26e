/*
 * jit.h - inside the JIT: translated blocks, the code cache, how a translator works.
 *
 * Hot blocks of the interpreter become host code. What the translator does not know runs through
 * the interpreter's handler, one instruction at a time, with the guest's state in struct Cpu.
 *
 * Registers, everywhere in translated code:
 *   guest RAX RCX RDX RBX RBP RSI RDI in the host registers of the same name, R12..R15 in R8..R11, RSP in
 *   R12; guest R8..R11, which compilers use least, in Cpu.regs; R15 is the Cpu; R13 and R14 are free between instructions.
 *   Arithmetic flags: in the host's (FLAGS_HOST) or in Cpu.arith (FLAGS_CPU), which at every
 *   entrance and exit.
 * The vcpu's own thread only.
 */
#ifndef VIV_CPU_JIT_JIT_H
#define VIV_CPU_JIT_JIT_H

#include "cpu/interp/interp.h"
#include "cpu/jit/emit.h"

enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_GUEST_RSP,
       H_T1, H_T2, H_CPU }; /* R12: the guest's RSP, R13, R14: scratch, R15 */

typedef struct Jit Jit;
typedef struct JitBlock JitBlock;

/* How much of the vector unit a block needs in the host's registers. */
enum { UNITS_NONE, UNITS_SSE /* XMM0..15, MXCSR */, UNITS_AVX /* YMM */, UNITS_AVX512 /* ZMM0..31, K0..7 */ };

/* An x87 instruction in a block, by which the guest's instruction pointer is found. */
typedef struct JitX87 {
	uint32_t host;           /* bytes from the block's code */
	uint16_t guest;          /* bytes from its first instruction */
} JitX87;

/* An instruction that goes through its handler: always, or when memory is not plain. */
typedef struct JitInsn {
	Insn insn[2];            /* the second one's handler comes back to the translated code */
	JitBlock *block;
	uint64_t next;           /* RIP of the instruction behind it */
	bool within;             /* that one is in the block too */
	uint64_t *runs;          /* counts them, by row of the opcode table */
} JitInsn;

/*
 * A way out of a block to a known RIP; patched to jump there once that is translated. Into another page it
 * jumps only while Cpu.jit_key is what it was then: what that page is may change without this one's knowing.
 * Within the page, which is the same in memory too, a way forward need not look at events: every loop has one backward.
 */
typedef struct JitLink {
	uint64_t rip;
	uint8_t *site;           /* the rel32; NULL: this exit is not to be patched (any more) */
	uint8_t *key;            /* where the key it is good for stands; NULL: to the same page, good for ever */
	uint8_t *hand_over;      /* the rel32 of the jump that hands the link over */
	uint32_t generation;     /* of the key's jumps, ICache.jump_generation, and how often in that one it was patched */
	uint8_t patches;
	bool forward;
	bool plain;              /* to the version that shares no checks */
	const struct JitBlock *from; /* of its mode, and its units are loaded */
	/* For when the target is dropped: the rel32 always, where it goes unpatched, the block's next link. */
	uint8_t *jump;
	const uint8_t *exit;
	struct JitLink *sibling;
} JitLink;

struct JitBlock {
	Block base;              /* where its bytes are, valid while; insns is NULL */
	uint64_t rip;
	uint32_t cs_base, cs_limit; /* of no meaning to 64-bit code */
	const TlbEntry *tlb;     /* in force when it was made */
	/*
	 * Where it can be entered, executable addresses in this order: `code` looks at everything; `units_at` not at the
	 * page, which is for branches within it; `events_at` takes the units for given, `body` events as well. The loop
	 * has seen all but the units: loop_at.
	 */
	const uint8_t *code, *units_at, *events_at, *body, *loop_at;
	JitBlock *next;          /* hash chain */
	JitLink *links;          /* its ways out that can be patched */
	const uint8_t *forwarded; /* the entrance of the block that has replaced it; NULL: none */
	const uint8_t *again_at; /* code that takes `again` */
	JitLink again;           /* back to the loop at the block's start: events, or the page changed */
	uint8_t units[2];        /* as Cpu.jit_units: needed throughout */
	bool plain;              /* shares no checks (share.c): taken up where another one could not go on */
	bool cooled;             /* its page changed, and its RIP has had to get hot again */
	uint16_t x87_count;
	JitX87 *x87;
	/* A loop that is watched (loop.c): how often it was entered, and turns left before that is looked at. */
	uint32_t entered;
	int32_t turns_left;
};

/* Where an indirect branch looks for its target. */
typedef struct JitJump {
	uint64_t rip, key;
	const uint8_t *code;
	JitBlock *block;         /* NULL: there is nothing to translate here, code leads out */
} JitJump;

#define JIT_JUMP_BITS 15
#define JIT_HASH_BITS 17
#define JIT_HEAT_BITS 18
#define JIT_INSNS_MAX 32

/* Why translated code is left. */
typedef enum JitExit {
	EXIT_EVENT,     /* something to look at before the next block */
	EXIT_CHANGED,   /* the block's page is not what it was */
	EXIT_LINK,      /* a branch whose target is not linked yet */
	EXIT_INDIRECT,  /* a target that is not in the jump table */
	EXIT_HANDLER,   /* behind an instruction that its handler ran */
	EXIT_EXCEPTION,
	JIT_EXITS
} JitExit;
/* Why a block is the interpreter's. */
typedef enum JitRefusal {
	REFUSED_MODE, REFUSED_UNIT, REFUSED_COLD,
	REFUSED_CODE,   /* not RAM, or nothing decodes */
	JIT_REFUSALS
} JitRefusal;

/* Counted where it is slow anyway. */
typedef struct JitCounts {
	uint64_t entries, exits[JIT_EXITS], refused[JIT_REFUSALS];
	uint64_t made, replaced; /* blocks; of them for changed pages */
	uint64_t drops, evicted; /* of the whole cache; of regions */
	uint64_t links;          /* jumps patched */
} JitCounts;

/* A code segment that is not flat. */
typedef struct JitCodeSegment { uint32_t base, limit; } JitCodeSegment;
#define JIT_CODE_SEGMENTS 63 /* JUMP_KEY_CODE_BITS */

#define JIT_REGIONS 8
typedef struct JitRegion {
	size_t code, code_end, used;      /* bytes from the cache's start */
	size_t data, data_end, data_used;
	JitBlock **order;                 /* its blocks by address of their code, `ordered` of them, room for order_size */
	size_t ordered, order_size;
} JitRegion;

struct Jit {
	uint8_t *write;          /* the code cache, and */
	const uint8_t *run;      /* the same memory, executable */
	size_t size;
	void *space;             /* the address space of these and of data */
	size_t space_size, large; /* bytes; `large` of the code have gone into large pages */
	uint8_t *data;           /* blocks, instructions, links: dropped with the code */
	size_t data_size;
	JitRegion region[JIT_REGIONS];
	unsigned regions, at;    /* how many there are; the one that is being filled */
	JitBlock *hash[1u << JIT_HASH_BITS];
	JitJump *jumps;
	uint8_t heat_needed;
	uint8_t heat[1u << JIT_HEAT_BITS]; /* by RIP: runs in the interpreter */
	JitLink *pending;        /* the exit just taken; patched if its target is translated */
	uint64_t pending_key;
	/* routines all blocks share, at the start of the cache */
	const JitLink *(*enter)(Cpu *cpu, const uint8_t *code);
	const uint8_t *leave, *leave_none, *slow, *onward, *by_table, *save_units, *load_units;
	JitCodeSegment code_segment[JIT_CODE_SEGMENTS]; /* that have a number, less 1 */
	unsigned code_segments, code_segment_last;
	bool bmi2;               /* the host has it */
	bool by_handler;         /* translated code was left by jit_slow */
	bool cold;               /* what comes next is the interpreter's: a unit is not to be had */
	struct Trans *trans;     /* the translator's workspace */
	uint64_t *handled, *detours; /* [OPTAB_ROWS]: instructions run by their handlers: always; for their memory operand */
	JitCounts counts;
	uint64_t unit_loads, logged;
	size_t stubs;            /* bytes of the shared routines */
	bool prologue_logged;
};

/*
 * Cpu.heeded: an interrupt that is masked is none of translated code's business. A boot loader or a decompressor runs
 * for seconds with the timer's pending. Translated STI and POPF heed all; the loop finds out.
 */
static inline void jit_heed(Cpu *cpu)
{
	cpu->heeded = cpu->rflags & FLAG_IF ? UINT32_MAX : ~(uint32_t)CPU_EV_INTR;
}

/* ---- cache.c: where code and data lie ---- */
static inline JitRegion *jit_region(Jit *j) { return &j->region[j->at]; }
bool cache_open(Jit *j, size_t bytes, GError **error);
void cache_close(Jit *j);
/* What is behind the first `fixed` bytes of code is for blocks. */
void cache_divide(Jit *j, size_t fixed);
/* Data beside the code of the region that is being filled. */
void *jit_take(Jit *j, size_t bytes);
/* Room for a block of any size. True: that was at the expense of other blocks; pointers to blocks may be wild. */
bool cache_make_room(Jit *j);
/* Drops all blocks; the jump table is the caller's. */
void cache_empty(Jit *j);
/* run.c: b is no longer found by hash and jump table. */
void jit_unfind(Jit *j, const JitBlock *b);
/* run.c: whoever enters block b from now on comes to `to`. */
void jit_forward(Jit *j, const JitBlock *b, const uint8_t *to);

/* translate.c: NULL when there is nothing to translate. `before`: the version that this one replaces, or NULL. */
JitBlock *jit_translate(Cpu *cpu, const uint8_t *host, unsigned left, bool plain, const JitBlock *before);
/* perfmap.c: [code, code + size) is the block at `rip`; nothing if no map is open. */
void perfmap_add(const uint8_t *code, size_t size, uint64_t rip, bool user);
void perfmap_add_stubs(const uint8_t *code, size_t size);
/*
 * stubs.c: on to the block at the RIP in R13, if it is in the jump table. Each branch has a copy, so that the host's
 * predictor knows them apart.
 */
void jit_emit_lookup(const Jit *j, Emit *e);
/* stubs.c: emits the shared routines. */
void jit_emit_stubs(Jit *j, Emit *e);
/* run.c: what a slow exit calls. NULL: the block goes on; else where translated code goes on instead. */
const uint8_t *jit_slow(Cpu *cpu, JitInsn *ji);
/* The handler behind a JitInsn's. */
const Insn *jit_stay(Cpu *cpu, const Insn *i);

/* ---- segment.c ---- */
/* The number of the code segment in force, for keys of jumps. 0: flat, or 64-bit code. May forget all jumps. */
unsigned jit_code_segment(Cpu *cpu);
/* Was the block made for the code segment in force? */
bool jit_in_code_segment(const Cpu *cpu, const JitBlock *b);

/* ---- units.c: the vector and x87 units ---- */
/* What block b needs is to be loaded (jit_wanted). False: the guest may not use it as it is; the interpreter knows. */
bool units_want(Cpu *cpu, const JitBlock *b);
/* After an XSAVE of the x87 unit: the pointers name guest addresses. */
void units_x87_saved(Cpu *cpu);

#define CPU_AT(field) at(H_CPU, (int32_t)offsetof(Cpu, field))
static inline Place reg_at(unsigned guest) { return at(H_CPU, (int32_t)(offsetof(Cpu, regs) + 8 * guest)); }

/* The host register that holds a guest register; -1: Cpu.regs does. */
static inline int host_of(unsigned guest)
{
	return guest == RSP ? H_GUEST_RSP : guest < 8 ? (int)guest : guest >= 12 ? (int)guest - 4 : -1;
}

#endif
