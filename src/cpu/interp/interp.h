/*
 * interp.h - inside the interpreter: bound instructions, handlers, blocks.
 *
 * A decoded instruction is bound to a handler with its operands as byte offsets
 * into Cpu.regs. Handlers of a block call each other in tail position; a handler
 * that ends the block stores Cpu.rip and returns NULL. While a block runs,
 * Cpu.rip is the RIP of its first instruction and Insn.end the distance to the
 * next one, so nothing has to be stored for each instruction. The vcpu's own thread only.
 */
#ifndef VIV_CPU_INTERP_H
#define VIV_CPU_INTERP_H

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/features.h"
#include "cpu/mem.h"

typedef struct Insn Insn;
typedef const Insn *(*InsnFn)(Cpu *cpu, const Insn *i);

struct Insn {
	InsnFn fn;
	int64_t disp;
	int64_t imm;      /* immediate, branch displacement, or a thunk's address */
	uint64_t amask;   /* address size; for near branches: mask of the new RIP */
	uint8_t base, index, scale;
	uint8_t seg;      /* index into Cpu.seg; or'ed with INSN_SEGCHECK where limits and rights count */
	uint8_t reg, rm;  /* byte offsets into Cpu.regs (AH..BH included); or raw numbers where the handler says so */
	uint8_t len, opsize;
	uint16_t end;     /* bytes from the block's start to the next instruction */
	uint16_t imm2;
	uint8_t aux;      /* condition, vector, segment number, ...: the handler's */
	uint8_t flags;    /* INSN_* */
};
#define INSN_SEGCHECK 0x80
/* flags; INSN_LINK: a near direct branch whose target is in the block's own page, in flat code */
enum { INSN_REP = 1, INSN_REPNE = 2, INSN_LOCK = 4, INSN_MEM = 8, INSN_ASZ16 = 16, INSN_ASZ32 = 32, INSN_REXW = 64, INSN_LINK = 128 };

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* What every memory handler does: a call would cost more than the work. */
#define HOT static inline __attribute__((always_inline))

#define NEXT(cpu, i) return (i)[1].fn((cpu), (i) + 1)

#define REG8(cpu, off) (*(uint8_t *)((char *)(cpu)->regs + (off)))
#define REG16(cpu, off) (*(uint16_t *)((char *)(cpu)->regs + (off)))
#define REG32(cpu, off) (*(uint32_t *)((char *)(cpu)->regs + (off)))
#define REG64(cpu, off) (*(uint64_t *)((char *)(cpu)->regs + (off)))

static inline void set_reg8(Cpu *cpu, unsigned off, uint8_t v) { REG8(cpu, off) = v; }
static inline void set_reg16(Cpu *cpu, unsigned off, uint16_t v) { REG16(cpu, off) = v; }
static inline void set_reg32(Cpu *cpu, unsigned off, uint32_t v) { REG64(cpu, off) = v; }
static inline void set_reg64(Cpu *cpu, unsigned off, uint64_t v) { REG64(cpu, off) = v; }

/* A register by size in bytes; 4 clears the upper half, 1 and 2 keep the rest. */
static inline uint64_t get_reg(Cpu *cpu, unsigned off, unsigned size)
{
	switch (size) {
	case 1: return REG8(cpu, off);
	case 2: return REG16(cpu, off);
	case 4: return REG32(cpu, off);
	default: return REG64(cpu, off);
	}
}
static inline void set_reg(Cpu *cpu, unsigned off, uint64_t v, unsigned size)
{
	switch (size) {
	case 1: REG8(cpu, off) = (uint8_t)v; break;
	case 2: REG16(cpu, off) = (uint16_t)v; break;
	case 4: REG64(cpu, off) = (uint32_t)v; break;
	default: REG64(cpu, off) = v;
	}
}

static inline uint64_t next_rip(const Cpu *cpu, const Insn *i)
{
	return cpu->rip + i->end;
}

/* Makes Cpu.rip exact: before anything that may raise or that reads RIP. The block must end after it. */
static inline uint64_t sync_rip(Cpu *cpu, const Insn *i)
{
	uint64_t next = (cpu->rip + i->end);

	cpu->rip = next - i->len;
	cpu->cur = NULL;
	if ((cpu->mode & MODE_CODE_MASK) != MODE_CODE64) {
		next = (uint32_t)next;
		cpu->rip = (uint32_t)cpu->rip;
	}
	return next;
}

/*
 * What holds for the next instruction only is settled where it makes no difference: without breakpoints armed RF
 * says nothing, and events that come from now on may as well come behind that instruction. False: run it alone.
 */
static inline bool interp_settle(Cpu *cpu)
{
	if (cpu->mode & MODE_STEP)
		return false;
	cpu->rflags &= ~FLAG_RF;
	if (cpu->inhibit && !atomic_load_explicit(&cpu->events, memory_order_relaxed))
		cpu->inhibit = 0;
	return !cpu->inhibit;
}

/* Around what must look atomic to other vcpus; what is raised in between ends it as well. */
void interp_alone_begin(Cpu *cpu);
void interp_alone_end(Cpu *cpu);

/* ---- memory ---- */

/* Checks of vol. 3A, 5.3 for segments that are not flat; gives the linear address. Raises #GP or #SS. */
uint64_t interp_seg_linear(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, bool write);

HOT uint64_t ea_of(Cpu *cpu, const Insn *i)
{
	return (REG64(cpu, i->base) + (REG64(cpu, i->index) << i->scale) + (uint64_t)i->disp) & i->amask;
}

/* The commonest address: base and displacement, no limit to check, all 64 bits (INSN_PLAIN). */
HOT uint64_t plain_linear(Cpu *cpu, const Insn *i)
{
	return REG64(cpu, i->base) + (uint64_t)i->disp;
}

HOT uint64_t linear_of(Cpu *cpu, const Insn *i, unsigned size, bool write)
{
	uint64_t ea = ea_of(cpu, i);

	if (unlikely(i->seg & INSN_SEGCHECK))
		return interp_seg_linear(cpu, i->seg & 0x7f, ea, size, write);
	return cpu->seg[i->seg].base + ea;
}

HOT void *tlb_hit_read(Cpu *cpu, uint64_t linear, unsigned size)
{
	TlbEntry *e = &cpu->tlb[linear >> GUEST_PAGE_BITS & (TLB_SIZE - 1)];

	if (likely(e->read == ((linear + size - 1) & ~0xfffull)))
		return e->page + (linear & 0xfff);
	return NULL;
}

HOT void *tlb_hit_write(Cpu *cpu, uint64_t linear, unsigned size)
{
	TlbEntry *e = &cpu->tlb[linear >> GUEST_PAGE_BITS & (TLB_SIZE - 1)];

	if (likely(e->write == ((linear + size - 1) & ~0xfffull)))
		return e->page + (linear & 0xfff);
	return NULL;
}

/*
 * The slow paths keep every register but RAX (slow.c), so that handlers stay leaf functions
 * without a frame: a call that is hardly ever made must not cost on the way that always is.
 */
#define SLOW_CLOBBERS "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
	"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

HOT uint64_t load_lin(Cpu *cpu, uint64_t linear, unsigned size)
{
	void *p = tlb_hit_read(cpu, linear, size);
	uint64_t v = 0;

	if (unlikely(!p)) {
		asm volatile("call interp_slow_read" : "+a"(linear) : "D"(cpu), "d"(size) : SLOW_CLOBBERS);
		return linear;
	}
	memcpy(&v, p, size);
	return v;
}

HOT void store_lin(Cpu *cpu, uint64_t linear, uint64_t v, unsigned size)
{
	void *p = tlb_hit_write(cpu, linear, size);

	if (unlikely(!p))
		asm volatile("call interp_slow_write" : "+a"(linear) : "D"(cpu), "d"(size), "c"(v) : SLOW_CLOBBERS);
	else
		memcpy(p, &v, size);
}

HOT uint64_t load_ea(Cpu *cpu, const Insn *i, unsigned size)
{
	cpu->cur = i;
	return load_lin(cpu, linear_of(cpu, i, size, false), size);
}

HOT uint64_t load_plain(Cpu *cpu, const Insn *i, unsigned size)
{
	cpu->cur = i;
	return load_lin(cpu, plain_linear(cpu, i), size);
}
HOT void store_plain(Cpu *cpu, const Insn *i, uint64_t v, unsigned size)
{
	cpu->cur = i;
	store_lin(cpu, plain_linear(cpu, i), v, size);
}

HOT void store_ea(Cpu *cpu, const Insn *i, uint64_t v, unsigned size)
{
	cpu->cur = i;
	store_lin(cpu, linear_of(cpu, i, size, true), v, size);
}

/* r/m by size: register or memory. */
static inline uint64_t load_rm(Cpu *cpu, const Insn *i, unsigned size)
{
	return i->flags & INSN_MEM ? load_ea(cpu, i, size) : get_reg(cpu, i->rm, size);
}
static inline void store_rm(Cpu *cpu, const Insn *i, uint64_t v, unsigned size)
{
	if (i->flags & INSN_MEM)
		store_ea(cpu, i, v, size);
	else
		set_reg(cpu, i->rm, v, size);
}

/* ---- stack: sizes and wrap by mode; the pointer is stored by the caller when all is done ---- */
static inline uint64_t stack_mask(const Cpu *cpu)
{
	if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64)
		return UINT64_MAX;
	return cpu->mode & MODE_SS32 ? UINT32_MAX : UINT16_MAX;
}
static inline void set_sp(Cpu *cpu, uint64_t sp)
{
	uint64_t mask = stack_mask(cpu);

	if (mask == UINT16_MAX)
		REG16(cpu, RSP * 8) = (uint16_t)sp;
	else
		cpu->regs[RSP] = sp & mask;
}
static inline uint64_t stack_linear(Cpu *cpu, uint64_t sp, unsigned size, bool write)
{
	sp &= stack_mask(cpu);
	if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->mode & MODE_FLAT)
		return sp;
	return interp_seg_linear(cpu, SS, sp, size, write);
}
static inline void push(Cpu *cpu, uint64_t v, unsigned size)
{
	uint64_t sp = cpu->regs[RSP] - size;

	store_lin(cpu, stack_linear(cpu, sp, size, true), v, size);
	set_sp(cpu, sp);
}
/* Reads the top; the caller advances the pointer by pop_done(). */
static inline uint64_t stack_top(Cpu *cpu, unsigned at, unsigned size)
{
	return load_lin(cpu, stack_linear(cpu, cpu->regs[RSP] + at, size, false), size);
}
static inline uint64_t pop(Cpu *cpu, unsigned size)
{
	uint64_t v = stack_top(cpu, 0, size);

	set_sp(cpu, cpu->regs[RSP] + size);
	return v;
}

/* ---- flags ---- */
#define AR_CF 0x0100u
#define AR_PF 0x0400u
#define AR_AF 0x1000u
#define AR_ZF 0x4000u
#define AR_SF 0x8000u
#define AR_OF 0x0001u

/* The 16 conditions of Jcc, SETcc, CMOVcc. */
static inline bool condition(uint16_t ar, unsigned cc)
{
	bool v;

	switch (cc >> 1) {
	case 0: v = ar & AR_OF; break;
	case 1: v = ar & AR_CF; break;
	case 2: v = ar & AR_ZF; break;
	case 3: v = ar & (AR_CF | AR_ZF); break;
	case 4: v = ar & AR_SF; break;
	case 5: v = ar & AR_PF; break;
	case 6: v = (ar >> 15) != (ar & 1); break;
	default: v = (ar & AR_ZF) || (ar >> 15) != (ar & 1);
	}
	return v != (cc & 1);
}

/* ---- binding (bind*.c): from Decoded to Insn ---- */
typedef struct Binder {
	const Cpu *cpu;
	const Decoded *d;
	Insn *i;
} Binder;
/* Each returns the handler for exec class X_*, or NULL if it is not its own. */
InsnFn bind_alu(Binder *b);
InsnFn bind_move(Binder *b);
InsnFn bind_shift(Binder *b);
InsnFn bind_branch(Binder *b);
InsnFn bind_string(Binder *b);
InsnFn bind_bits(Binder *b);
InsnFn bind_system(Binder *b);
InsnFn bind_vector(Binder *b);
/* Binds d into *i; `end` is the distance from the block's start to the next instruction. */
void bind_insn(const Cpu *cpu, const Decoded *d, unsigned end, Insn *i);
/* Byte offset into Cpu.regs of register n accessed as `size` bytes. */
unsigned reg_offset(const Decoded *d, unsigned n, unsigned size);
/* The memory operand is [base + disp], 64-bit, without a segment base. */
static inline bool is_plain(const Decoded *d)
{
	return d->is_mem && d->asize == 8 && d->index == SLOT_ZERO && d->seg == SEG_NONE;
}
/* Size in bytes of operand k of the row. */
unsigned operand_bytes(const Decoded *d, unsigned k);

/* Handlers used by several files. */
const Insn *x_ud(Cpu *cpu, const Insn *i);          /* #UD */
const Insn *x_gp(Cpu *cpu, const Insn *i);          /* #GP(0) */
const Insn *x_fallthrough(Cpu *cpu, const Insn *i); /* ends a block that has no branch */

/* ---- code cache (icache.c) ---- */
#define BLOCK_MAX 32 /* instructions */
typedef struct Block {
	const uint8_t *host;         /* first byte */
	_Atomic uint32_t *page;      /* state word of its page; NULL: not to be reused */
	uint32_t page_state;         /* valid while *page is this */
	uint16_t bytes;
	uint8_t mode;
	uint8_t count;
	struct Block *next;          /* hash chain */
	Insn *insns;                 /* count + 1; the first may be the log's own */
} Block;

/*
 * Where a direct branch to a target in the same page goes on: at the block's first instruction, or NULL
 * when the loop has to look (events, another page, no block yet). Cpu.rip is the target already.
 */
const Insn *icache_follow(Cpu *cpu, const Insn *from);
/* The block is left behind instruction i: those that follow it in the block were counted, but not run. */
static inline void icache_left_early(Cpu *cpu, const Insn *i);

/* Marks the lines as holding code, before they are read; the page's state from then on. len <= 4096, one page. */
uint32_t icache_claim(Cpu *cpu, const uint8_t *host, unsigned len);
/* The bits of ram_page_lines() for [host, host + len), within a page. */
uint64_t icache_lines(const uint8_t *host, unsigned len);
/* Drops all decoded blocks, their thunks, and translated code. */
void icache_forget_all(Cpu *cpu);
/* ---- the JIT (jit/run.c) ---- */
/* Runs translated code at the present RIP. False: there is none. */
bool jit_run_here(Cpu *cpu);
/* May the present mode's code be translated? */
bool jit_suitable(const Cpu *cpu);
void jit_forget_all(Cpu *cpu);
/* An exception unwinds to the loop: it may have come from translated code. */
void jit_note_exception(Cpu *cpu);
void jit_new_key(Cpu *cpu);
void jit_forget_jumps(Cpu *cpu);

/* The block at the present RIP. Raises #PF, #GP of the fetch. `single`: one instruction, not cached. */
const Block *icache_block(Cpu *cpu, bool single);
#define JUMP_PAGES_BITS 18
/* An instruction that lies in two pages, or outside RAM: good as long as its bytes are the same. */
typedef struct Crossing {
	uint64_t rip, flushes;       /* of the thunks it may use */
	uint8_t bytes[INSN_MAX], mode, split;
	Block b;
	Insn insns[4];
} Crossing;
typedef struct ICache ICache;
struct ICache {
	struct { uint64_t rip, key; Block *block; } jump[4096];
	uint32_t jump_generation;    /* changes when all jumps are forgotten */
	bool local_kernel;           /* the kernel runs code in pages that are not global */
	uint64_t jump_pages[(1u << JUMP_PAGES_BITS) / 64]; /* a filter: pages that the tables of jumps lead to */
	Block *hash[16384];
	uint8_t *pool;               /* blocks and instructions, filled from the front; all dropped when full */
	size_t pool_used, pool_size;
	const Block *running;
	bool retry_alone;
	bool alone;                  /* the other vcpus stand still (interp_alone_begin) */
	bool no_trap;                /* the instruction was INT n or its like: no single-step trap after it */
	struct { Block b; Insn insns[4]; } single;
	unsigned block_max;          /* instructions in a block: BLOCK_MAX, or 1 if that is wished */
	Crossing *crossing;          /* CROSSING_SLOTS, by RIP */
	struct ThunkPool *thunks;    /* host code of vector and x87 instructions (thunk.h) */
	uint64_t blocks_built, flushes;
};

static inline void icache_left_early(Cpu *cpu, const Insn *i)
{
	const Block *b = cpu->icache->running;

	if (b->insns) /* translated code does not count */
		cpu->insn_count -= (uint64_t)(b->insns + b->count - 1 - i);
}

static inline uint64_t code_linear(const Cpu *cpu)
{
	return cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
}

/* Between view and mode in the key there is room for the number of a code segment, which the JIT gives (jit/segment.c). */
#define JUMP_KEY_CODE_SHIFT 2
#define JUMP_KEY_CODE_BITS 6

/*
 * What an entry of the tables of jumps (ICache.jump, Jit.jumps) must carry to be of use now: they go by linear
 * address, so user code's are of one address space. The kernel's are of all while it runs in global pages only.
 */
static inline uint64_t jump_key(const Cpu *cpu)
{
	const ICache *c = cpu->icache;
	uint64_t asid = cpu->mode & MODE_USER || c->local_kernel ? cpu->tlb_back.asid : 0;

	/* The TLB in force is part of a translated block: its address is in the code. */
	return (uint64_t)c->jump_generation << 32 | asid << 16 | (uint64_t)cpu->mode << 8 |
	       (uint64_t)((cpu->tlb - cpu->tlbs[0]) / TLB_SIZE);
}
/* An entry for the page at `linear`, which was just fetched from, is going to be made. Before its key is asked for. */
void icache_note_jump(Cpu *cpu, uint64_t linear);

#endif
