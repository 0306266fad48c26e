/*
 * memory.c - guest addresses, and the check that finds them in the TLB.
 *
 * linear ^ tag is the offset in the page if the entry is right, and larger if not; so one compare checks
 * the page, the rights and that the access does not cross into the next page.
 */
#include "cpu/jit/translate.h"

/* Host register of an address's part; the four that have none are loaded. */
static unsigned part(Trans *t, unsigned guest, unsigned scratch)
{
	int host = host_of(guest);

	if (host >= 0)
		return (unsigned)host;
	emit_load(&t->e, 8, scratch, reg_at(guest));
	return scratch;
}

void mem_address(Trans *t, unsigned to, unsigned bytes)
{
	Emit *e = &t->e;
	const Decoded *d = now(t);
	unsigned width = MAX(bytes, 4);
	bool base = d->base != SLOT_ZERO, index = d->index != SLOT_ZERO;
	uint64_t disp = (uint64_t)d->disp;

	if (d->base == SLOT_RIP) { /* the displacement counts from the instruction's start */
		disp += next_of(t) - d->len;
		base = false;
	}
	if (!base && !index) {
		emit_const(e, to, bytes == 2 ? (uint16_t)disp : bytes == 4 ? (uint32_t)disp : disp);
	} else if (!base && !d->scale) {
		emit_lea(e, width, to, at(part(t, d->index, H_T1), (int32_t)disp));
	} else if (!base) { /* an index without a base needs a long form: a base of 0 */
		emit_mov_rr(e, width, H_T1, part(t, d->index, H_T1));
		emit_const(e, H_T2, 0);
		emit_lea(e, width, to, (Place){ H_T2, H_T1, d->scale, (int32_t)disp });
	} else {
		Place m = at(part(t, d->base, H_T1), (int32_t)disp);
		if (index) {
			m.index = (int8_t)part(t, d->index, H_T2);
			m.scale = d->scale;
		}
		emit_lea(e, width, to, m);
	}
	if (bytes == 2)
		emit_rr(e, OP0F(0xb7), 4, to, to); /* movzx */
}

static Detour *open_detour(Trans *t)
{
	Detour *x = t->detours ? &t->detour[t->detours - 1] : NULL;

	return x && !x->back ? x : NULL;
}

bool detour_open(Trans *t) { return open_detour(t); }

void detour(Trans *t, uint8_t *from)
{
	Detour *x = open_detour(t);

	if (!x || x->froms == G_N_ELEMENTS(x->from)) {
		x = &t->detour[t->detours++];
		*x = (Detour){ .k = t->k };
	}
	x->from[x->froms++] = from;
}

void detours_end(Trans *t)
{
	Detour *x = open_detour(t);

	if (!x)
		return;
	x->back = t->e.p;
	x->want_flags = t->flags == FLAGS_HOST && t->live[t->k + 1];
}

uint8_t *mem_check(Trans *t, unsigned size, bool write)
{
	Emit *e = &t->e;
	int32_t tag = (int32_t)(t->tlb + (write ? offsetof(TlbEntry, write) : offsetof(TlbEntry, read)));
	Place entry = { H_CPU, H_T2, 0, tag };

	/* r14 = r13 >> 7: a page's number times 32 */
	if (t->jit->bmi2) {
		static const uint8_t rorx[] = { 0xc4, 0x43, 0xfb, 0xf0, 0xf5 }; /* r14, r13 */
		emit_bytes(e, rorx, sizeof(rorx));
		e1(e, GUEST_PAGE_BITS - 5);
	} else {
		emit_mov_rr(e, 8, H_T2, H_T1);
		emit_rr(e, OP(0xc1), 8, 5, H_T2); /* shr */
		e1(e, GUEST_PAGE_BITS - 5);
	}
	emit_rr(e, OP(0x81), 4, 4, H_T2); /* and */
	e4(e, (TLB_SIZE - 1) << 5);
	emit_rm(e, OP(0x33), 8, H_T1, entry);
	emit_rr(e, OP(0x81), 8, 7, H_T1); /* cmp */
	e4(e, GUEST_PAGE_SIZE - size);
	uint8_t *miss = emit_jcc(e, CC_A, NULL);
	entry.disp = (int32_t)(t->tlb + offsetof(TlbEntry, page));
	emit_rm(e, OP(0x03), 8, H_T1, entry);
	return miss;
}

void mem_within_line(Trans *t, unsigned size)
{
	Emit *e = &t->e;

	if (size == 1)
		return;
	emit_mov_rr(e, 4, H_T2, H_T1);
	emit_rr(e, OP(0x83), 4, 4, H_T2); /* and r14d, 63 */
	e1(e, 63);
	emit_rr(e, OP(0x83), 4, 7, H_T2); /* cmp */
	e1(e, 64 - size);
	detour(t, emit_jcc(e, CC_A, NULL));
}

Place mem_place_alone(Trans *t, unsigned size, bool write)
{
	flags_save(t);
	mem_address(t, H_T1, now(t)->asize);
	segment_add(t, now(t)->seg, size, write);
	detour(t, mem_check(t, size, write));
	return at(H_T1, 0);
}

Place mem_place(Trans *t, unsigned size, bool write)
{
	Access a;
	Place m;

	t->aligned = 1;
	if (access_of_operand(t, now(t), size, write, &a) && shared_place(t, &a, &m))
		return m;
	return mem_place_alone(t, size, write);
}

Place stack_place(Trans *t, unsigned base, int disp, unsigned size, bool write)
{
	Access a;
	Place m;

	if (access_of_stack(t, base, disp, size, write, &a) && shared_place(t, &a, &m))
		return m;
	flags_save(t);
	emit_lea(&t->e, MAX(stack_width(t), 4), H_T1, at((unsigned)host_of(base), disp));
	if (stack_width(t) == 2)
		emit_rr(&t->e, OP0F(0xb7), 4, H_T1, H_T1); /* movzx */
	segment_add(t, t->code64 ? SEG_NONE : SS, size, write);
	detour(t, mem_check(t, size, write));
	return at(H_T1, 0);
}

void stack_move(Trans *t, unsigned base, int disp)
{
	emit_lea(&t->e, stack_width(t), H_GUEST_RSP, at((unsigned)host_of(base), disp));
}
