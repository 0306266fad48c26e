/*
 * icache.c - the cache of decoded instructions: blocks by host address and mode.
 *
 * A block is a straight run of instructions within one page. It is found by linear
 * RIP in a direct-mapped jump cache, else by the page's host address and the mode, and is
 * valid while its page's state word is what it was when it was decoded (core/memory.h).
 * The vcpu's own thread only; other vcpus' stores are seen through the state word.
 */
#include "cpu/interp/interp.h"

#include "cpu/debugger.h"
#include "cpu/interp/vector.h"
#include "cpu/log.h"

#define POOL_BYTES (24u << 20)
#define CROSSING_SLOTS 256
#define JUMP_SLOTS G_N_ELEMENTS(((ICache *)0)->jump)
#define HASH_SLOTS G_N_ELEMENTS(((ICache *)0)->hash)

bool interp_init(Cpu *cpu, GError **error)
{
	ICache *c = g_new0(ICache, 1);

	c->pool_size = POOL_BYTES;
	c->pool = g_malloc(c->pool_size);
	c->jump_generation = 1;
	c->block_max = BLOCK_MAX;
	c->crossing = g_new0(Crossing, CROSSING_SLOTS);
	cpu->icache = c;
	c->thunks = thunk_pool_new(error);
	return c->thunks != NULL;
}

void interp_one_insn_blocks(Cpu *cpu)
{
	cpu->icache->block_max = 1;
	icache_forget_all(cpu);
}

void interp_free(Cpu *cpu)
{
	jit_free(cpu);
	if (cpu->icache) {
		g_free(cpu->icache->pool);
		g_free(cpu->icache->crossing);
		thunk_pool_free(cpu->icache->thunks);
	}
	g_free(cpu->icache);
	cpu->icache = NULL;
}

void interp_forget_jumps(Cpu *cpu)
{
	ICache *c = cpu->icache;

	if (!c)
		return;
	if (++c->jump_generation == 0) { /* an entry of long ago must not come back to life */
		c->jump_generation = 1;
		memset(c->jump, 0, sizeof(c->jump));
		jit_forget_jumps(cpu);
	}
	c->local_kernel = false;
	memset(c->jump_pages, 0, sizeof(c->jump_pages));
	jit_new_key(cpu);
}

static unsigned page_hash(uint64_t linear)
{
	return (unsigned)((linear >> GUEST_PAGE_BITS) * 0x9e3779b97f4a7c15ull >> (64 - JUMP_PAGES_BITS));
}

void icache_note_jump(Cpu *cpu, uint64_t linear)
{
	ICache *c = cpu->icache;
	unsigned h = page_hash(linear);

	c->jump_pages[h / 64] |= 1ull << h % 64;
	if (cpu->mode & MODE_USER || c->local_kernel || tlb_is_global(cpu, linear))
		return;
	c->local_kernel = true;
	jit_new_key(cpu);
}

void interp_forget_jumps_to(Cpu *cpu, uint64_t linear)
{
	ICache *c = cpu->icache;
	unsigned h = page_hash(linear);

	if (c && c->jump_pages[h / 64] >> h % 64 & 1)
		interp_forget_jumps(cpu);
}

bool interp_in_own_page(const Cpu *cpu, const uint8_t *host)
{
	const Block *b = cpu->icache ? cpu->icache->running : NULL;

	/* A single instruction's block has no page; its count may be 2 nevertheless, if it is logged. */
	return b && b->page && b->count > 1 && !(((uintptr_t)host ^ (uintptr_t)b->host) & ~(uintptr_t)(GUEST_PAGE_SIZE - 1));
}

/* The interpreter's blocks only: translated code uses none of them. */
static void forget_blocks(Cpu *cpu)
{
	ICache *c = cpu->icache;

	memset(c->hash, 0, sizeof(c->hash));
	c->pool_used = 0;
	c->flushes++;
	interp_forget_jumps(cpu);
}

void icache_forget_all(Cpu *cpu)
{
	forget_blocks(cpu);
	thunk_pool_reset(cpu->icache->thunks); /* which translated code uses too */
	jit_forget_all(cpu);
}

static void *pool_take(ICache *c, size_t bytes)
{
	void *p = c->pool + c->pool_used;

	c->pool_used += (bytes + 15) & ~(size_t)15;
	return p;
}

/*
 * The page, whose state is no code, becomes code; or another vcpu does that and is waited for. The mark comes last: with it
 * in place a claim must be able to rely on every store's being noticed.
 */
static void turn_into_code(Cpu *cpu, const uint8_t *host, uint32_t state)
{
	_Atomic uint32_t *page = ram_page_state(cpu->arena, host);
	bool mine = !(state & PAGE_TURNING) && atomic_compare_exchange_strong(page, &state, state | PAGE_TURNING);

	if (mine) {
		atomic_store(ram_page_lines(cpu->arena, host), 0);
		cpu_tlb_drop_writes(cpu, (const uint8_t *)((uintptr_t)host & ~(uintptr_t)0xfff));
	}
	if (cpu->world->flush_others)
		cpu->world->flush_others(cpu->world_opaque, cpu);
	/* Others may have asked the same of this vcpu, which is not between two instructions for long. */
	if (atomic_load(&cpu->events) & (CPU_EV_WRITES | CPU_EV_FLUSH))
		cpu_tlb_drop_writes(cpu, NULL);
	if (mine)
		atomic_fetch_xor(page, PAGE_TURNING | PAGE_CODE);
}

uint64_t icache_lines(const uint8_t *host, unsigned len)
{
	unsigned first = ((uintptr_t)host & 0xfff) >> 6, last = (((uintptr_t)host & 0xfff) + len - 1) >> 6;

	return (~0ull << first) & (~0ull >> (63 - last));
}

/*
 * cpu_code_store is the other half. Lines are only added while a generation lasts, so those that were added in this one
 * are there until the page's state changes.
 */
uint32_t icache_claim(Cpu *cpu, const uint8_t *host, unsigned len)
{
	for (;;) {
		uint32_t state = atomic_load(ram_page_state(cpu->arena, host));
		if (!(state & PAGE_CODE)) {
			turn_into_code(cpu, host, state);
			continue;
		}
		atomic_fetch_or(ram_page_lines(cpu->arena, host), icache_lines(host, len));
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(ram_page_state(cpu->arena, host)) == state)
			return state;
	}
}

/* Decodes one instruction at `linear`; bytes may continue on the next page. */
static DecodeResult decode_at(Cpu *cpu, const uint8_t *p, unsigned left, uint64_t linear, Decoded *d)
{
	DecodeResult r = p ? decode(p, left, cpu->mode, cpu->features, d) : DECODE_MORE;
	uint8_t buf[INSN_MAX];
	unsigned n = 0;

	if (r != DECODE_MORE)
		return r;
	/* Byte by byte, so that nothing beyond the instruction is fetched. */
	if (p) {
		n = MIN(left, INSN_MAX);
		memcpy(buf, p, n);
	}
	while (n < INSN_MAX) {
		uint64_t at = linear + n;
		if (!cpu_long_mode(cpu))
			at = (uint32_t)at;
		buf[n++] = (uint8_t)cpu_lin_read(cpu, at, 1, MEM_EXEC | cpu_data_access(cpu));
		r = decode(buf, n, cpu->mode, cpu->features, d);
		if (r != DECODE_MORE)
			return r;
	}
	return DECODE_TOO_LONG;
}

static void bind_result(Cpu *cpu, DecodeResult r, const Decoded *d, unsigned end, Insn *i)
{
	if (r == DECODE_OK) {
		bind_insn(cpu, d, end, i);
		return;
	}
	memset(i, 0, sizeof(*i));
	i->len = d->len;
	i->end = (uint16_t)end;
	i->fn = r == DECODE_UD ? x_ud : x_gp;
}

/* Counted with its block's instructions, and not one of them. */
static const Insn *entered(Cpu *cpu, const Insn *i)
{
	cpu->insn_count--;
	log_entered(cpu, i);
	NEXT(cpu, i);
}

/* At insns[0], if entrances of the block at RIP are logged: gives the place of the block's own first instruction. */
static unsigned bind_log(const Cpu *cpu, Insn *insns)
{
	if (!log_wants_block(cpu, LOG_EXEC | LOG_CPU))
		return 0;
	insns[0] = (Insn){ .fn = entered };
	return 1;
}

/* Comes before an instruction where a breakpoint may be. */
static const Insn *breakpoint(Cpu *cpu, const Insn *i)
{
	if (cpu_break_here(cpu, code_linear(cpu))) {
		icache_left_early(cpu, i);
		cpu->insn_count--;
		return NULL;
	}
	cpu->insn_count--;
	NEXT(cpu, i);
}

/* What comes before the block's own first instruction; `place`: an address with the page offset of that. How many. */
static unsigned bind_front(const Cpu *cpu, Insn *insns, uintptr_t place)
{
	unsigned n = bind_log(cpu, insns);

	if (cpu_break_near(cpu, place))
		insns[n++] = (Insn){ .fn = breakpoint };
	return n;
}

static void terminate(Insn *i, unsigned end)
{
	memset(i, 0, sizeof(*i));
	i->fn = x_fallthrough;
	i->end = (uint16_t)end;
}

/* CS limit (vol. 3A, 5.3): the instruction must lie within it. */
static void check_limit(Cpu *cpu, unsigned len)
{
	if ((cpu->mode & MODE_CODE_MASK) != MODE_CODE64 && cpu->rip + len - 1 > cpu->seg[CS].limit)
		cpu_gp0(cpu);
}

/*
 * An instruction of which `left` bytes, too few, are in the first page; what was decoded before serves again if the
 * bytes are still those. NULL: it has to be decoded. Raises the second page's fault.
 */
static const Block *crossing_block(Cpu *cpu, const uint8_t *p, unsigned left, uint64_t linear)
{
	ICache *c = cpu->icache;
	Crossing *x = &c->crossing[cpu->rip % CROSSING_SLOTS];
	unsigned more;

	if (x->rip != cpu->rip || x->mode != cpu->mode || x->flushes != c->flushes || x->split != left ||
	    memcmp(x->bytes, p, left) != 0)
		return NULL;
	const uint8_t *q = cpu_lin_fetch(cpu, cpu_long_mode(cpu) ? linear + left : (uint32_t)(linear + left), &more);
	return q && !memcmp(x->bytes + left, q, x->b.bytes - left) ? &x->b : NULL;
}

static void keep_crossing(Cpu *cpu, const uint8_t *p, unsigned left, uint64_t linear)
{
	ICache *c = cpu->icache;
	const Block *b = &c->single.b;
	Crossing *x = &c->crossing[cpu->rip % CROSSING_SLOTS];
	unsigned more;

	if (!p || left >= b->bytes || !b->bytes)
		return;
	const uint8_t *q = cpu_lin_fetch(cpu, cpu_long_mode(cpu) ? linear + left : (uint32_t)(linear + left), &more);
	if (!q)
		return;
	*x = (Crossing){ .rip = cpu->rip, .flushes = c->flushes, .mode = cpu->mode, .split = (uint8_t)left, .b = *b };
	memcpy(x->bytes, p, left);
	memcpy(x->bytes + left, q, b->bytes - left);
	memcpy(x->insns, c->single.insns, sizeof(x->insns));
	x->b.insns = x->insns;
}

static const Block *single_block(Cpu *cpu, const uint8_t *p, unsigned left, uint64_t linear)
{
	ICache *c = cpu->icache;
	Decoded d;

	check_limit(cpu, 1);
	DecodeResult r = decode_at(cpu, p, left, linear, &d);
	check_limit(cpu, d.len);
	if (!thunk_pool_room(c->thunks, 1))
		icache_forget_all(cpu);
	unsigned first = bind_front(cpu, c->single.insns, linear);
	bind_result(cpu, r, &d, d.len, &c->single.insns[first]);
	terminate(&c->single.insns[first + 1], d.len);
	log_in_asm(cpu, d.bytes, d.len);
	c->single.b = (Block){ .host = p, .bytes = d.len, .mode = cpu->mode, .count = (uint8_t)(first + 1),
			       .insns = c->single.insns };
	return &c->single.b;
}

static unsigned hash_of(const uint8_t *host, unsigned mode)
{
	return (unsigned)(((uintptr_t)host ^ (uintptr_t)host >> 15 ^ mode << 7) & (HASH_SLOTS - 1));
}

/* Decodes the run of instructions that starts at p and stays within `left` bytes. NULL: the first one crosses. */
static Block *build(Cpu *cpu, const uint8_t *p, unsigned left)
{
	ICache *c = cpu->icache;
	Decoded d;
	unsigned end = 0;
	uint64_t limit = cpu->seg[CS].limit;
	bool code64 = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;

	if (!thunk_pool_room(c->thunks, BLOCK_MAX))
		icache_forget_all(cpu);
	else if (c->pool_used + sizeof(Block) + (BLOCK_MAX + 3) * sizeof(Insn) + 64 > c->pool_size)
		forget_blocks(cpu);
	Block *b = pool_take(c, sizeof(Block));
	size_t mark = c->pool_used;
	Insn *insns = (Insn *)(c->pool + c->pool_used);
	unsigned first = bind_front(cpu, insns, (uintptr_t)p), n = first;
	/* The claim covers the longest the block can be; lines it does not use cost a slow store at worst. */
	uint32_t state = icache_claim(cpu, p, MIN(left, 64));
	while (n - first < c->block_max && end < left) {
		if (end && cpu_break_near(cpu, (uintptr_t)p + end))
			break;
		if (end + INSN_MAX > 64)
			state = icache_claim(cpu, p + end, MIN(left - end, INSN_MAX)) == state ? state : 0;
		DecodeResult r = decode(p + end, left - end, cpu->mode, cpu->features, &d);
		if (r == DECODE_MORE || (!code64 && cpu->rip + end + d.len - 1 > limit))
			break;
		end += d.len;
		bind_result(cpu, r, &d, end, &insns[n]);
		if (log_on(LOG_NOCHAIN))
			insns[n].flags &= (uint8_t)~INSN_LINK;
		n++;
		if (r != DECODE_OK || (d.row->attrs & ATTR_END && d.row->exec != X_JCC) || d.row->attrs & ATTR_REP)
			break;
	}
	if (n == first) {
		c->pool_used = mark - ((sizeof(Block) + 15) & ~(size_t)15);
		return NULL;
	}
	terminate(&insns[n], end);
	pool_take(c, (n + 1) * sizeof(Insn));
	*b = (Block){ .host = p, .page = ram_page_state(cpu->arena, p), .page_state = state, .bytes = (uint16_t)end,
		      .mode = cpu->mode, .count = (uint8_t)n, .insns = insns };
	c->blocks_built++;
	log_in_asm(cpu, p, end);
	return b;
}

static bool valid(const Block *b)
{
	return atomic_load_explicit(b->page, memory_order_acquire) == b->page_state;
}

static Block *find(Cpu *cpu, const uint8_t *p, unsigned left)
{
	ICache *c = cpu->icache;
	unsigned h = hash_of(p, cpu->mode);
	uint64_t limit = cpu->seg[CS].limit;

	for (Block **at = &c->hash[h]; *at; ) {
		Block *b = *at;
		if (!valid(b)) {
			*at = b->next; /* its memory comes back when the pool is dropped */
			continue;
		}
		if (b->host == p && b->mode == cpu->mode)
			return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->rip + b->bytes - 1 <= limit ? b : NULL;
		at = &b->next;
	}
	uint64_t flushes = c->flushes;
	Block *b = build(cpu, p, left);
	if (!b || !valid(b))
		return NULL;
	(void)flushes;
	b->next = c->hash[h];
	c->hash[h] = b;
	return b;
}

const Block *icache_block(Cpu *cpu, bool single)
{
	ICache *c = cpu->icache;
	uint64_t rip = cpu->rip;
	unsigned slot = (unsigned)((rip ^ rip >> 12) & (JUMP_SLOTS - 1));
	bool plain = (cpu->mode & (MODE_STEP)) == 0 &&
		     ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64 || cpu->mode & MODE_FLAT);

	if (likely(!single && plain && c->jump[slot].rip == rip && c->jump[slot].key == jump_key(cpu))) {
		Block *b = c->jump[slot].block;
		if (likely(valid(b)))
			return b;
	}
	uint64_t linear = code_linear(cpu);
	unsigned left;
	check_limit(cpu, 1);
	const uint8_t *p = cpu_lin_fetch(cpu, linear, &left);
	if (single || !p || !cpu->arena || !ram_arena_owns(cpu->arena, p))
		return single_block(cpu, p, left, linear);
	bool crosses = left < INSN_MAX && (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
	if (crosses) {
		const Block *x = crossing_block(cpu, p, left, linear);
		if (x)
			return x;
	}
	Block *b = find(cpu, p, left);
	if (!b) {
		const Block *one = single_block(cpu, p, left, linear);
		if (crosses)
			keep_crossing(cpu, p, left, linear);
		return one;
	}
	if (plain) {
		icache_note_jump(cpu, rip);
		c->jump[slot].rip = rip;
		c->jump[slot].key = jump_key(cpu);
		c->jump[slot].block = b;
	}
	return b;
}

const Insn *icache_follow(Cpu *cpu, const Insn *from)
{
	ICache *c = cpu->icache;
	Block *b = (Block *)(intptr_t)from->disp;

	icache_left_early(cpu, from);
	if (unlikely(atomic_load_explicit(&cpu->events, memory_order_relaxed)))
		return NULL;
	if (cpu->jit && jit_suitable(cpu)) /* it counts how often a block runs */
		return NULL;
	if (unlikely(!b || !valid(b))) {
		/* The loop finds or builds it; the next time round the link is there. */
		unsigned slot = (unsigned)((cpu->rip ^ cpu->rip >> 12) & (JUMP_SLOTS - 1));
		if (!c->running->page || c->jump[slot].rip != cpu->rip || c->jump[slot].key != jump_key(cpu))
			return NULL;
		b = c->jump[slot].block;
		/* The page may be found elsewhere by now, though nobody has invalidated it; the link is for ever. */
		if (!valid(b) || b->page != c->running->page)
			return NULL;
		((Insn *)from)->disp = (int64_t)(intptr_t)b;
	}
	c->running = b;
	cpu->insn_count += b->count;
	return b->insns;
}
