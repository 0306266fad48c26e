/*
 * run.c - the code cache: where blocks are found, made, linked, and dropped.
 */
#include "cpu/jit/jit.h"

#include "core/error.h"
#include "core/log.h"
#include "cpu/interp/thunk.h"
#include "cpu/jit/translate.h"

#define HEAT_DEFAULT 12   /* runs in the interpreter before a block is worth translating */
#define LINK_PATCHES_MAX 2   /* under keys of one generation */
#define CODE_DEFAULT (128u << 20)

/* ---- memory ---- */

bool jit_init(Cpu *cpu, size_t code_bytes, GError **error)
{
	Jit *j = g_new0(Jit, 1);

	j->heat_needed = HEAT_DEFAULT;
	j->bmi2 = __builtin_cpu_supports("bmi2");
	if (!cache_open(j, code_bytes ? code_bytes : CODE_DEFAULT, error)) {
		g_free(j);
		return false;
	}
	j->trans = g_new0(Trans, 1);
	j->handled = g_new0(uint64_t, 2 * optab_row_count);
	j->detours = j->handled + optab_row_count;
	j->jumps = g_new0(JitJump, 1u << JIT_JUMP_BITS);
	Emit e = { j->write, (intptr_t)(j->run - j->write) };
	jit_emit_stubs(j, &e);
	j->stubs = (size_t)(e.p - j->write);
	cache_divide(j, (j->stubs + 63) & ~(size_t)63);
	perfmap_add_stubs(j->run, j->stubs);
	cpu->jit = j;
	cpu->jit_jumps = j->jumps;
	return true;
}

void jit_set_heat(Cpu *cpu, uint8_t runs)
{
	cpu->jit->heat_needed = runs;
}

void jit_free(Cpu *cpu)
{
	Jit *j = cpu->jit;

	if (!j)
		return;
	cache_close(j);
	g_free(j->jumps);
	g_free(j->trans);
	g_free(j->handled);
	g_free(j);
	cpu->jit = NULL;
}

void jit_forget_all(Cpu *cpu)
{
	Jit *j = cpu->jit;

	if (!j)
		return;
	cache_empty(j);
	interp_forget_jumps(cpu);
}

/* ---- finding ---- */

void jit_new_key(Cpu *cpu)
{
	unsigned code = jit_code_segment(cpu);

	cpu->jit_key = jump_key(cpu) | (uint64_t)code << JUMP_KEY_CODE_SHIFT;
}

void jit_forget_jumps(Cpu *cpu)
{
	if (cpu->jit)
		memset(cpu->jit->jumps, 0, sizeof(JitJump) << JIT_JUMP_BITS);
}

bool jit_suitable(const Cpu *cpu)
{
	return !(cpu->mode & MODE_STEP) && cpu->tlb != cpu->tlbs[TLB_SLOW];
}

static bool page_same(const JitBlock *b)
{
	return atomic_load_explicit(b->base.page, memory_order_acquire) == b->base.page_state;
}

/* Its page is as it was, and it is no loop that was watched for long enough. */
static bool valid(const JitBlock *b) { return page_same(b) && b->turns_left >= 0; }

static unsigned jump_slot(uint64_t rip)
{
	return (unsigned)((rip ^ rip >> JIT_JUMP_BITS) & ((1u << JIT_JUMP_BITS) - 1));
}

static unsigned hash_of(const uint8_t *host, uint64_t rip)
{
	return (unsigned)(((uintptr_t)host ^ (uintptr_t)host >> 13 ^ rip >> 12) & ((1u << JIT_HASH_BITS) - 1));
}

void jit_unfind(Jit *j, const JitBlock *b)
{
	JitBlock **at = &j->hash[hash_of(b->base.host, b->rip)];
	JitJump *jump = &j->jumps[jump_slot(b->rip)];

	while (*at && *at != b)
		at = &(*at)->next;
	if (*at)
		*at = b->next;
	if (jump->block == b)
		*jump = (JitJump){ 0 };
}

/* The latest entrance last, they may overlap. */
void jit_forward(Jit *j, const JitBlock *b, const uint8_t *to)
{
	const uint8_t *const entrances[] = { b->body, b->events_at, b->units_at, b->code };

	for (unsigned i = 0; i < G_N_ELEMENTS(entrances); i++) {
		Emit e = { j->write + (entrances[i] - j->run), (intptr_t)(j->run - j->write) };
		emit_jmp(&e, to);
	}
}

static bool is_for(const Cpu *cpu, const JitBlock *b, const uint8_t *host, bool plain)
{
	return b->base.host == host && b->rip == cpu->rip && b->base.mode == cpu->mode && b->tlb == cpu->tlb &&
	       b->plain == plain && jit_in_code_segment(cpu, b);
}

/* Where the chain names the block that was made of this code, valid or not. */
static JitBlock **made_before(Cpu *cpu, const uint8_t *host, bool plain)
{
	JitBlock **at = &cpu->jit->hash[hash_of(host, cpu->rip)];

	while (*at && !is_for(cpu, *at, host, plain))
		at = &(*at)->next;
	return at;
}

static JitBlock *find(Cpu *cpu, const uint8_t *host, unsigned left, bool plain)
{
	Jit *j = cpu->jit;
	unsigned h = hash_of(host, cpu->rip);
	JitBlock **at = made_before(cpu, host, plain), *stale = *at;

	if (stale && valid(stale))
		return stale;
	if (stale) {
		*at = stale->next;
		j->counts.replaced++;
		jit_forward(j, stale, stale->again_at);
	}
	if (!thunk_pool_room(cpu->icache->thunks, JIT_INSNS_MAX)) {
		icache_forget_all(cpu); /* and the code cache with it */
		stale = NULL;
	} else if (cache_make_room(j)) {
		stale = NULL; /* if it is still there, it leads back to the loop */
	}
	JitBlock *b = jit_translate(cpu, host, left, plain, stale);
	if (!b || !valid(b))
		return NULL;
	b->next = j->hash[h];
	j->hash[h] = b;
	if (stale) {
		jit_forward(j, stale, b->code);
		stale->forwarded = b->code;
	}
	return b;
}

static JitBlock *refuse(Jit *j, JitRefusal why)
{
	j->counts.refused[why]++;
	return NULL;
}

/*
 * A block whose page has changed has to get hot again: boot loaders patch the code that calls the BIOS before each call,
 * and others keep variables beside their code. To translate it costs more than what is gained by one run.
 */
static bool cools_down(Cpu *cpu, const uint8_t *host, uint8_t *heat)
{
	JitBlock *b = *made_before(cpu, host, false);

	if (!b || page_same(b) || b->cooled || !cpu->jit->heat_needed)
		return false;
	b->cooled = true;
	*heat = 0;
	return true;
}

/* The block at the present RIP; NULL: not hot, or nothing to translate. May raise the fetch's fault. */
static JitBlock *block_here(Cpu *cpu)
{
	Jit *j = cpu->jit;
	JitJump *jump = &j->jumps[jump_slot(cpu->rip)];
	bool plain = j->pending && j->pending->plain;
	unsigned left;

	if (!plain && jump->rip == cpu->rip && jump->key == cpu->jit_key && (!jump->block || valid(jump->block)))
		return jump->block;
	uint8_t *heat = &j->heat[cpu->rip * 0x9e3779b97f4a7c15ull >> (64 - JIT_HEAT_BITS)];
	if (!plain && *heat < j->heat_needed) {
		++*heat;
		return refuse(j, REFUSED_COLD);
	}
	if (!cpu_code64(cpu) && cpu->rip > cpu->seg[CS].limit)
		return refuse(j, REFUSED_CODE);
	const uint8_t *host = cpu_lin_fetch(cpu, code_linear(cpu), &left);
	if (!host || !cpu->arena || !ram_arena_owns(cpu->arena, host))
		return refuse(j, REFUSED_CODE);
	if (!plain && cools_down(cpu, host, heat))
		return refuse(j, REFUSED_COLD);
	/* After a change of address space it is mostly the same block again. */
	bool again = jump->rip == cpu->rip && jump->key >> 32 == cpu->jit_key >> 32 && jump->block &&
		     is_for(cpu, jump->block, host, plain) && valid(jump->block);
	JitBlock *b = again ? jump->block : find(cpu, host, left, plain);
	if (!b)
		refuse(j, REFUSED_CODE);
	if (!plain && !log_on(LOG_NOCHAIN)) {
		icache_note_jump(cpu, code_linear(cpu));
		*jump = (JitJump){ cpu->rip, cpu->jit_key, b ? b->code : j->leave_none, b };
	}
	return b;
}

/* ---- running ---- */

const Insn *jit_stay(Cpu *cpu, const Insn *i)
{
	cpu->cur = NULL;
	return i;
}

static const uint8_t *leave(Cpu *cpu)
{
	cpu->jit->by_handler = true;
	return cpu->jit->leave_none;
}

/* Is there anything for the loop to look at before the next instruction? */
static bool eventful(Cpu *cpu)
{
	jit_heed(cpu);
	return atomic_load_explicit(&cpu->events, memory_order_relaxed) & cpu->heeded || cpu->halted || cpu->db_pending ||
	       !interp_settle(cpu) || !jit_suitable(cpu);
}

/* Behind an instruction that ended its block: the code of the block at the new RIP, or the way out. */
static const uint8_t *onward(Cpu *cpu)
{
	const JitJump *jump = &cpu->jit->jumps[jump_slot(cpu->rip)];

	if (jump->rip == cpu->rip && jump->key == cpu->jit_key && jump->block && valid(jump->block))
		return jump->block->loop_at;
	return leave(cpu);
}

const uint8_t *jit_slow(Cpu *cpu, JitInsn *ji)
{
	ICache *c = cpu->icache;
	uint64_t key = cpu->jit_key, drops = cpu->tlb_drops;

	cpu->rip = ji->block->rip;
	c->running = &ji->block->base;
	++*ji->runs;
	const Insn *i = ji->insn[0].fn(cpu, &ji->insn[0]);
	c->running = NULL;
	cpu->cur = NULL;
	cpu->jit_wanted[0] = cpu->jit_wanted[1] = 0;
	if (i != &ji->insn[1]) {
		/* The loop knows how to run the next instruction before anything that comes in from now on. */
		if ((cpu->inhibit && !ji->within) || eventful(cpu))
			return leave(cpu);
		jit_new_key(cpu);
		/* A system instruction that changed nothing a block depends on stays in it. */
		if (!ji->within || cpu->rip != ji->next || cpu->jit_key != key)
			return onward(cpu);
	}
	/* What a block takes for granted on its way: its own bytes, translations it has checked, and units. */
	bool same = valid(ji->block) && cpu->tlb_drops == drops;
	if (same && units_want(cpu, ji->block))
		return NULL;
	cpu->rip = ji->next;
	cpu->jit->cold = same;
	return leave(cpu);
}

/*
 * Good under the present key. A link that serves several address spaces in turn is left to the table of jumps:
 * to write code that is being run costs the host far more than a look there.
 */
static void patch_key(Cpu *cpu, JitLink *l)
{
	Jit *j = cpu->jit;
	uint64_t key = cpu->jit_key;

	if (l->generation != cpu->icache->jump_generation)
		l->patches = 0;
	l->generation = cpu->icache->jump_generation;
	if (++l->patches > LINK_PATCHES_MAX) {
		Emit e = { l->hand_over, (intptr_t)(j->run - j->write) };
		emit_rel(&e, j->by_table);
		key = 0;
		l->site = NULL;
	}
	memcpy(l->key, &key, sizeof(key));
}

/* A link goes straight to the block from now on, if nothing was dropped since it was left. */
static void patch(Cpu *cpu, JitBlock *b)
{
	Jit *j = cpu->jit;
	JitLink *l = j->pending;

	j->pending = NULL;
	if (!l || !l->site || log_on(LOG_NOCHAIN) || l->rip != b->rip || l->plain != b->plain || j->pending_key != cpu->jit_key)
		return;
	const JitBlock *from = l->from;
	/* The page may be found elsewhere by now, though nobody has invalidated it: such a way is not for ever. */
	if (from->base.mode != b->base.mode || (!l->key && from->base.page != b->base.page))
		return;
	Emit e = { l->site, (intptr_t)(j->run - j->write) };
	bool loaded = from->units[0] >= b->units[0] && from->units[1] >= b->units[1];
	if (l->key) {
		emit_rel(&e, b->code);
		patch_key(cpu, l);
	} else {
		emit_rel(&e, !loaded ? b->units_at : l->forward ? b->body : b->events_at);
		l->site = NULL;
	}
	j->counts.links++;
}

/* Why the code that gave back `l` was left. A link that nobody may patch leads to its own block's start. */
static JitExit reason(Cpu *cpu, const JitLink *l)
{
	if (!l)
		return cpu->jit->by_handler ? EXIT_HANDLER : EXIT_INDIRECT;
	if (l->site)
		return EXIT_LINK;
	return atomic_load_explicit(&cpu->events, memory_order_relaxed) ? EXIT_EVENT : EXIT_CHANGED;
}

bool jit_run_here(Cpu *cpu)
{
	Jit *j = cpu->jit;

	if (!jit_suitable(cpu)) {
		refuse(j, REFUSED_MODE);
		return false;
	}
	if (j->cold) {
		refuse(j, REFUSED_UNIT);
		j->cold = false;
		j->pending = NULL;
		return false;
	}
	jit_heed(cpu);
	jit_new_key(cpu);
	JitBlock *b = block_here(cpu);
	if (!b) {
		j->pending = NULL;
		return false;
	}
	patch(cpu, b);
	j->counts.entries++;
	j->by_handler = false;
	const JitLink *l = j->enter(cpu, b->loop_at);
	j->counts.exits[reason(cpu, l)]++;
	if (l) {
		cpu->rip = l->rip;
		j->pending = (JitLink *)l;
		j->pending_key = cpu->jit_key;
	}
	return true;
}
