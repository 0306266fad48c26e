/*
 * loop.c - blocks that branch to their own start: memory is checked once for many turns.
 *
 * The addresses of most loops move by a constant with each turn. At the head, before the first turn, each such stretch
 * (share.c) is checked, and it is reckoned how many turns can be made until one of them leaves its page; one register that
 * moves says when that is. Until then a turn checks nothing but that register, events neither: at most a page's bytes of
 * turns, and with nothing that moves the events are looked at each time. Then the head has its next look.
 *
 * That costs more than it gives for loops of few turns. So a loop is watched first, and translated anew when it has turned
 * often enough to tell. If it makes a few turns each time, just so many are checked, and nothing is reckoned.
 */
#include "cpu/jit/translate.h"

#include "cpu/log.h"

#define WATCHED_TURNS 80         /* times the heat that a block needs */
#define MANY_TURNS 5             /* behind the first, on average: as many as fit are checked */
#define TURN_BYTES_MAX 256       /* that an address moves with one turn */
#define STEP_MAX 4096            /* of each of its registers: a few turns of them have to fit an instruction's operand */
#define LOOP_STRETCHES (JIT_SHARES - 2)

static unsigned watched_turns(const Trans *t) { return WATCHED_TURNS * t->jit->heat_needed + 2 * MANY_TURNS; }

/* The branch that closes the loop; count: none. Flags that the start still reads would have to be kept. */
static unsigned closing_branch(const Trans *t)
{
	unsigned k = 0;

	if (!t->code64 || t->plain || log_wants_block(t->cpu, LOG_EXEC | LOG_CPU))
		return t->count;
	while (k < t->count && (t->d[k].row->exec != X_JCC || target_of(t, k) != t->b->rip))
		k++;
	return k < t->count && t->live_taken[k] ? t->count : k;
}

/* How far instructions [from, to) move the address's parts. False: they change in other ways. */
static bool travel(const Trans *t, const Access *a, unsigned from, unsigned to, int64_t *by)
{
	int64_t step;

	*by = 0;
	for (unsigned k = from; k < to; k++) {
		if (!share_steady(&t->d[k], a, &step))
			return false;
		*by += step;
	}
	return true;
}

static bool strolls(const Trans *t, uint8_t reg)
{
	Access a = { .base = reg, .index = SLOT_ZERO };
	int64_t by;

	return travel(t, &a, 0, t->loop.last + 1, &by) && ABS(by) <= STEP_MAX;
}

/* The access that instruction k makes becomes part of a stretch, if its address moves evenly. */
static void include(Trans *t, unsigned k)
{
	Access a;
	int64_t moved, turn;

	if (!share_foresee(t, &t->d[k], &a) || !travel(t, &a, 0, t->loop.last + 1, &turn) || ABS(turn) > TURN_BYTES_MAX ||
	    !strolls(t, a.base) || !strolls(t, a.index) || !travel(t, &a, 0, k, &moved))
		return;
	for (unsigned i = 0; i < t->stretches; i++)
		if (share_same_parts(&t->stretch[i].a, &a) && share_extend(&t->stretch[i], &t->d[k], &a, moved))
			return;
	if (t->stretches == LOOP_STRETCHES)
		return;
	Stretch s = { .a = a, .low = a.disp + moved, .high = a.disp + moved, .turn = turn };
	if (share_extend(&s, &t->d[k], &a, moved))
		t->stretch[t->stretches++] = s;
}

static bool stands_still(const Trans *t, const Access *a)
{
	int64_t step;

	for (unsigned k = 0; k <= t->loop.last; k++)
		if (!share_steady(&t->d[k], a, &step) || step)
			return false;
	return true;
}

/* With each turn an aligned address stays aligned, a base that stands still is added once. */
static void settle(Trans *t, Stretch *s)
{
	Access base = { .base = s->a.base, .index = SLOT_ZERO }, index = { .base = s->a.index, .index = SLOT_ZERO };
	if (s->align && s->turn & (s->align - 1))
		s->align = 0;
	s->fixed = s->a.base != SLOT_ZERO && stands_still(t, &base);
	if (!s->turn)
		return;
	s->reach = t->loop.turns ? s->turn * (t->loop.turns - 1) : 0;
	/* A base that comes back to where it was says nothing: then it is the index that moves. */
	t->loop.counter = s->a.base;
	travel(t, &base, 0, t->loop.last + 1, &t->loop.by);
	if (t->loop.by)
		return;
	t->loop.counter = s->a.index;
	travel(t, &index, 0, t->loop.last + 1, &t->loop.by);
}

/* From what was seen of it. False: it hardly ever turns. */
static bool choose_turns(Trans *t, const JitBlock *before)
{
	unsigned turned = watched_turns(t), entered = before->entered;

	if (turned < entered)
		return false;
	t->loop.turns = turned >= MANY_TURNS * entered ? 0 : (turned + entered / 2) / entered + 1;
	return true;
}

void loop_find(Trans *t, const JitBlock *before)
{
	t->loop.last = closing_branch(t);
	if (t->loop.last == t->count)
		return;
	bool known = before && before->turns_left < 0;
	if (known && !choose_turns(t, before))
		return;
	for (unsigned k = 0; k < t->loop.last; k++)
		include(t, k);
	if (!t->stretches)
		return;
	t->loop.kind = known ? LOOP_CHECKED : LOOP_WATCHED;
	if (!known)
		t->stretches = 0;
	for (unsigned i = 0; i < t->stretches; i++)
		settle(t, &t->stretch[i]);
}

/* ---- before the first turn ---- */

static unsigned log2_above(uint64_t v) { return v <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(v - 1); }

/* R13 is the lowest byte's place: turns that can follow the first, the least of all stretches' so far, go to jit_scratch. */
static void count_turns(Trans *t, const Stretch *s, bool first)
{
	Emit *e = &t->e;

	emit_mov_rr(e, 4, H_T2, H_T1);
	emit_rr(e, OP(0x81), 4, 4, H_T2); /* and */
	e4(e, GUEST_PAGE_SIZE - 1);
	if (s->turn > 0) {
		emit_rr(e, OP(0xf7), 4, 3, H_T2); /* neg */
		emit_rr(e, OP(0x81), 4, 0, H_T2); /* add */
		e4(e, GUEST_PAGE_SIZE - (uint32_t)(s->high - s->low));
	}
	emit_rr(e, OP(0xc1), 4, 5, H_T2); /* shr */
	e1(e, log2_above((uint64_t)ABS(s->turn)));
	if (!first) {
		emit_rm(e, OP(0x3b), 8, H_T2, CPU_AT(jit_scratch));
		emit_rm(e, OP0F(0x40 | CC_A), 8, H_T2, CPU_AT(jit_scratch));
	}
	emit_store(e, 8, H_T2, CPU_AT(jit_scratch));
}

/* jit_limit: the counter's value when the turns are over. */
static void keep_limit(Trans *t)
{
	Emit *e = &t->e;
	int host = host_of(t->loop.counter);

	if (host < 0)
		emit_load(e, 8, H_T1, reg_at(t->loop.counter));
	int8_t counter = (int8_t)(host < 0 ? H_T1 : host);
	if (t->loop.turns) {
		emit_lea(e, 8, H_T2, (Place){ counter, -1, 0, (int32_t)(t->loop.by * t->loop.turns) });
	} else {
		emit_rm(e, OP(0x69), 8, H_T2, CPU_AT(jit_scratch)); /* imul */
		e4(e, (uint32_t)t->loop.by);
		emit_lea(e, 8, H_T2, (Place){ H_T2, counter, 0, (int32_t)t->loop.by });
	}
	emit_store(e, 8, H_T2, CPU_AT(jit_limit));
}

static void check_all(Trans *t)
{
	bool first = true;

	for (unsigned i = 0; i < t->stretches; i++) {
		Stretch *s = &t->stretch[i];
		share_check(t, s);
		if (s->turn && !t->loop.turns) {
			count_turns(t, s, first);
			first = false;
		}
		share_keep(t, s);
		s->live = true;
	}
	if (t->loop.by)
		keep_limit(t);
}

/* R13: where a count of the block's is. */
static Place count_at(Trans *t, void *count)
{
	emit_const(&t->e, H_T1, (uintptr_t)count);
	return at(H_T1, 0);
}

void loop_begin(Trans *t)
{
	if (t->loop.kind == LOOP_WATCHED) {
		t->b->turns_left = (int32_t)watched_turns(t);
		emit_rm(&t->e, OP(0x83), 4, 0, count_at(t, &t->b->entered)); /* add, 1 */
		e1(&t->e, 1);
	} else if (t->loop.kind == LOOP_CHECKED) {
		check_all(t);
	}
	t->loop.head = emit_here(&t->e);
}

/* ---- at the end of each ---- */

static void again(Trans *t, uint8_t *site) { t->again[t->agains++] = site; }

static void turn_if_quiet(Trans *t)
{
	emit_load(&t->e, 4, H_T2, CPU_AT(heeded));
	emit_rm(&t->e, OP(0x85), 4, H_T2, CPU_AT(events)); /* test */
	emit_jcc(&t->e, CC_E, t->loop.head);
	again(t, emit_jmp(&t->e, NULL));
}

static void turn_watched(Trans *t)
{
	emit_rm(&t->e, OP(0x83), 4, 5, count_at(t, &t->b->turns_left)); /* sub, 1 */
	e1(&t->e, 1);
	again(t, emit_jcc(&t->e, CC_S, NULL));
	turn_if_quiet(t);
}

static void turn_checked(Trans *t)
{
	Emit *e = &t->e;
	int host = host_of(t->loop.counter);

	if (!t->loop.by) {
		turn_if_quiet(t);
		return;
	}
	if (host < 0)
		emit_load(e, 8, H_T1, reg_at(t->loop.counter));
	emit_rm(e, OP(0x3b), 8, host < 0 ? H_T1 : (unsigned)host, CPU_AT(jit_limit));
	emit_jcc(e, CC_NE, t->loop.head);
	link_from(t, t->b->rip, emit_jmp(e, NULL));
}

/* Behind the loop a fixed base may move. */
static void end_fixed(Trans *t)
{
	for (unsigned i = 0; i < t->stretches; i++)
		t->stretch[i].live &= !t->stretch[i].fixed;
}

bool loop_turn(Trans *t, unsigned cc)
{
	if (t->loop.kind == LOOP_NONE || t->k != t->loop.last)
		return false;
	uint8_t *skip = emit_jcc(&t->e, cc ^ 1, NULL);
	if (t->loop.kind == LOOP_WATCHED)
		turn_watched(t);
	else
		turn_checked(t);
	emit_land(&t->e, skip);
	end_fixed(t);
	return true;
}
