/*
 * translate.c - one block: decode it, find its live flags, emit each instruction, then what lies off the way.
 */
#include "cpu/jit/translate.h"

#include "cpu/debugger.h"

/* R13 names the instruction; the shared routine runs its handler. */
static void emit_handler(Trans *t, unsigned k, uint64_t *runs)
{
	JitInsn *ji = jit_take(t->jit, sizeof(*ji));

	memset(ji, 0, sizeof(*ji));
	bind_insn(t->cpu, &t->d[k], t->end[k], &ji->insn[0]);
	ji->insn[0].flags &= (uint8_t)~INSN_LINK;
	ji->insn[1].fn = jit_stay;
	ji->block = t->b;
	ji->next = cut_rip(t, t->b->rip + t->end[k]);
	ji->within = k + 1 < t->count;
	ji->runs = &runs[t->d[k].row - optab_rows];
	emit_const(&t->e, H_T1, (uintptr_t)ji);
	emit_call(&t->e, t->jit->slow);
	emit_jcc(&t->e, CC_NE, t->jit->onward);
}

void by_handler(Trans *t)
{
	flags_save_all(t);
	share_end(t);
	emit_handler(t, t->k, t->jit->handled);
}

/* Is this a block's last instruction? Those that change nothing a block depends on are not: see jit_slow. */
static bool ends_block(const Decoded *d)
{
	switch (d->row->exec) {
	case X_JCC: case X_CLI: case X_STI: case X_POPF: case X_SWAPGS: case X_RDTSC: case X_RDTSCP: case X_RDMSR: case X_WRMSR:
	case X_MOV_FROM_CR: case X_CLTS: case X_CPUID: case X_IN: case X_OUT: case X_MOV_TO_SEG: case X_POP_SEG: case X_LXS:
	case X_MOVS: case X_STOS: case X_LODS: case X_SCAS: case X_CMPS:
		return false;
	default:
		return d->row->attrs & (ATTR_END | ATTR_REP);
	}
}

void emit_helper(Trans *t, InsnFn fn, uint64_t *runs)
{
	JitInsn *ji = jit_take(t->jit, sizeof(*ji));

	*ji = (JitInsn){ .insn = { { .fn = fn } }, .block = t->b, .next = t->b->rip, .runs = runs };
	emit_const(&t->e, H_T1, (uintptr_t)ji);
	emit_call(&t->e, t->jit->slow);
	emit_jcc(&t->e, CC_NE, t->jit->onward);
}

static bool decode_block(Trans *t, const uint8_t *p, unsigned left)
{
	Cpu *cpu = t->cpu;
	unsigned end = 0;

	t->count = 0;
	while (t->count < MIN(JIT_INSNS_MAX, cpu->icache->block_max) && end < left) {
		Decoded *d = &t->d[t->count];
		if (cpu_break_near(cpu, (uintptr_t)p + end))
			break; /* the interpreter looks */
		if (decode(p + end, left - end, cpu->mode, cpu->features, d) != DECODE_OK)
			break;
		if (!t->code64 && cpu->rip + end + d->len - 1 > t->b->cs_limit)
			break;
		end += d->len;
		t->end[t->count++] = (uint16_t)end;
		if (ends_block(d))
			break;
	}
	t->b->base.bytes = (uint16_t)end;
	t->b->base.count = (uint8_t)t->count;
	return t->count > 0;
}

/*
 * The bytes are claimed, and then decoded: another vcpu may have changed them before. If they were claimed all the time, as those are
 * that the interpreter has run, the page's state tells.
 */
static bool decode_claimed(Trans *t, const uint8_t *host, unsigned left)
{
	Block *b = &t->b->base;
	uint32_t state = atomic_load(b->page);
	uint64_t lines = atomic_load(ram_page_lines(t->cpu->arena, host)); /* of that state or later */

	if (!decode_block(t, host, left))
		return false;
	b->page_state = icache_claim(t->cpu, host, b->bytes);
	bool same = b->page_state == state && !(icache_lines(host, b->bytes) & ~lines);
	return same || decode_block(t, host, b->bytes);
}

/* Comes to the front of a block that needs a unit: jit_slow loads it afterwards. */
static const Insn *load_units(Cpu *cpu, const Insn *i)
{
	return i + 1;
}

/* The units that the block's instructions are going to use are in the host's registers, or come there. */
static void emit_units(Trans *t)
{
	Emit *e = &t->e;
	JitBlock *b = t->b;
	uint8_t *absent[2] = {0};

	for (unsigned u = 0; u < 2; u++) {
		if (!b->units[u])
			continue;
		emit_rm(e, OP(0x80), 1, 7, at(H_CPU, (int32_t)(offsetof(Cpu, jit_units) + u)));
		e1(e, b->units[u]);
		absent[u] = emit_jcc(e, CC_B, NULL);
	}
	if (!absent[0] && !absent[1])
		return;
	uint8_t *present = emit_jmp(e, NULL);
	for (unsigned u = 0; u < 2; u++)
		if (absent[u])
			emit_land(e, absent[u]);
	emit_helper(t, load_units, &t->jit->unit_loads);
	emit_land(e, present);
}

static void find_units(Trans *t)
{
	for (unsigned k = 0; k < t->count; k++) {
		uint8_t units[2];
		if (!vector_needs(&t->d[k], units))
			continue;
		for (unsigned u = 0; u < 2; u++)
			t->b->units[u] = MAX(t->b->units[u], units[u]);
	}
}

static void keep_x87(Trans *t)
{
	if (!t->x87_count)
		return;
	t->b->x87_count = (uint16_t)t->x87_count;
	t->b->x87 = jit_take(t->jit, t->x87_count * sizeof(JitX87));
	memcpy(t->b->x87, t->x87, t->x87_count * sizeof(JitX87));
}

/* The page is as it was, the units are loaded, no event is pending: else back to the loop. */
static void emit_entrance(Trans *t, uint8_t **events, uint8_t **changed)
{
	Emit *e = &t->e;

	emit_const(e, H_T1, (uintptr_t)t->b->base.page);
	emit_rm(e, OP(0x81), 4, 7, at(H_T1, 0));
	e4(e, t->b->base.page_state);
	*changed = emit_jcc(e, CC_NE, NULL);
	t->b->units_at = emit_here(e);
	emit_units(t);
	t->b->events_at = emit_here(e);
	emit_load(e, 4, H_T2, CPU_AT(heeded));
	emit_rm(e, OP(0x85), 4, H_T2, CPU_AT(events)); /* test */
	*events = emit_jcc(e, CC_NE, NULL);
	t->b->body = emit_here(e);
}

static void emit_detours(Trans *t)
{
	for (unsigned i = 0; i < t->detours; i++) {
		const Detour *x = &t->detour[i];
		for (unsigned k = 0; k < x->froms; k++)
			emit_land(&t->e, x->from[k]);
		emit_handler(t, x->k, t->jit->detours);
		if (x->want_flags)
			flags_load(&t->e);
		emit_jmp(&t->e, x->back + t->e.to_run);
	}
}

/* Until it is patched, a link's jump comes here. */
static void emit_link_exits(Trans *t)
{
	for (unsigned i = 0; i < t->links; i++) {
		emit_land(&t->e, t->link_site[i]);
		if (t->link_stale[i])
			emit_land(&t->e, t->link_stale[i]);
		JitLink *l = t->link[i];
		l->jump = t->link_site[i];
		l->exit = emit_here(&t->e);
		l->sibling = t->b->links;
		t->b->links = l;
		emit_const(&t->e, H_T1, (uintptr_t)l);
		l->hand_over = emit_jmp(&t->e, t->jit->leave);
	}
}

/* For the loop, which enters a block in spite of an event: an interrupt that is held off, say. */
static void emit_loop_entrance(Trans *t)
{
	JitBlock *b = t->b;

	b->loop_at = b->body;
	if (b->units_at == b->events_at)
		return;
	b->loop_at = emit_here(&t->e);
	emit_units(t);
	emit_jmp(&t->e, b->body);
}

static void emit_insn(Trans *t)
{
	if (!trans_branch(t) && !trans_integer(t) && !trans_vector(t) && !trans_system(t) && !trans_segment(t))
		by_handler(t);
}

static uint32_t code_bytes(const Trans *t) { return (uint32_t)(emit_here(&t->e) - t->b->code); }

JitBlock *jit_translate(Cpu *cpu, const uint8_t *host, unsigned left, bool plain, const JitBlock *before)
{
	Jit *j = cpu->jit;
	Trans *t = j->trans;
	uint8_t *events, *changed;

	*t = (Trans){ .cpu = cpu, .jit = j, .flags = FLAGS_CPU, .plain = plain };
	t->e = (Emit){ j->write + jit_region(j)->used, (intptr_t)(j->run - j->write) };
	t->code64 = cpu_code64(cpu);
	t->tlb = (uint32_t)((uint8_t *)cpu->tlb - (uint8_t *)cpu);
	JitBlock *b = t->b = jit_take(j, sizeof(*b));
	*b = (JitBlock){ .base = { .host = host, .page = ram_page_state(cpu->arena, host), .mode = cpu->mode },
			 .cs_base = (uint32_t)cpu->seg[CS].base, .cs_limit = cpu->seg[CS].limit, .rip = cpu->rip, .tlb = cpu->tlb, .plain = plain, .code = emit_here(&t->e) };
	if (!decode_claimed(t, host, left))
		return NULL;
	flags_find_live(t);
	find_units(t);
	loop_find(t, before);
	emit_entrance(t, &events, &changed);
	trans_log_entered(t);
	loop_begin(t);
	for (t->k = 0; t->k < t->count; t->k++) {
		t->host_at[t->k] = code_bytes(t);
		emit_insn(t);
		share_behind(t);
	}
	t->k = t->count - 1;
	exit_to(t, next_of(t), t->live[t->count]); /* not reached behind a branch */
	t->host_at[t->count] = code_bytes(t);
	emit_detours(t);
	emit_link_exits(t);
	emit_loop_entrance(t);
	emit_land(&t->e, events);
	emit_land(&t->e, changed);
	for (unsigned i = 0; i < t->agains; i++)
		emit_land(&t->e, t->again[i]);
	b->again_at = emit_here(&t->e);
	b->again = (JitLink){ .rip = b->rip, .from = b };
	emit_const(&t->e, H_T1, (uintptr_t)&b->again);
	emit_jmp(&t->e, j->leave);
	perfmap_add(b->code, code_bytes(t), code_linear(cpu), cpu->mode & MODE_USER);
	jit_region(j)->used = ((size_t)(t->e.p - j->write) + 15) & ~(size_t)15;
	j->counts.made++;
	keep_x87(t);
	trans_log_code(t);
	jit_region(j)->order[jit_region(j)->ordered++] = b;
	return b;
}
