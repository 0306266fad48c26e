/*
 * tlb.c - which translations are remembered, and when they are forgotten.
 *
 * SDM vol. 3A, 4.10: 4.10.1 (process-context identifiers), 4.10.2 (TLBs, global pages), 4.10.4 (invalidation).
 * Three layers hold translations: the direct-mapped arrays that code looks at (Cpu.tlbs), always of the
 * address space in force; behind them a larger set-associative one (TlbBack) that keeps several address
 * spaces apart by a number, the ASID; and the tables by which jumps find code (icache.c, jit/run.c), whose
 * key holds the ASID too. To forget an address space is to give it a new ASID. Global pages have an ASID of
 * their own. Large pages are kept in pieces of 4 KiB.
 *
 * The vcpu's own thread only.
 */
#include <string.h>

#include "cpu/mem.h"

#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define PCID_MASK 0xfffu
#define ASID_MAX UINT16_MAX

/* What is known of a slot of Cpu.tlbs. */
enum { SLOT_LISTED_LOCAL = 1, SLOT_LISTED_GLOBAL = 2, SLOT_GLOBAL = 4 };

static inline TlbEntry *all_slots(Cpu *cpu) { return (TlbEntry *)cpu->tlbs; }

/* What goes may have been written to unseen since somebody asked (core/memory.h, ram_take_dirty). */
static inline void touch_slot(const Cpu *cpu, const TlbEntry *e, unsigned slot)
{
	const RamArena *arena = cpu->arena;
	if (arena && atomic_load_explicit(&arena->watched, memory_order_relaxed) && e->write != tlb_none(slot % TLB_SIZE) &&
	    ram_arena_owns(arena, e->page))
		ram_touch(arena, e->page);
}

/* `slot` counts through all views. */
static inline void drop(Cpu *cpu, unsigned slot)
{
	TlbEntry *e = &all_slots(cpu)[slot];
	touch_slot(cpu, e, slot);
	e->read = e->write = e->exec = tlb_none(slot % TLB_SIZE);
}

static inline TlbEntry *slot_of(Cpu *cpu, unsigned view, uint64_t linear)
{
	return &cpu->tlbs[view][linear >> GUEST_PAGE_BITS & (TLB_SIZE - 1)];
}

static unsigned pcid_of(const Cpu *cpu)
{
	return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & PCID_MASK : 0;
}

/* ---- the arrays in front ---- */

static void list_slot(TlbBack *b, unsigned slot, bool global)
{
	uint8_t bit = global ? SLOT_LISTED_GLOBAL : SLOT_LISTED_LOCAL;
	TlbList *l = &b->list[global];

	b->slot[slot] = (uint8_t)((b->slot[slot] & ~SLOT_GLOBAL) | (global ? SLOT_GLOBAL : 0));
	if (b->slot[slot] & bit)
		return;
	b->slot[slot] |= bit;
	if (l->count < TLB_LIST_MAX)
		l->slot[l->count] = (uint16_t)slot;
	if (l->count <= TLB_LIST_MAX)
		l->count++;
}

/* Drops what was put in since the last time: the entries of one kind. */
static void drop_front(Cpu *cpu, bool global)
{
	TlbBack *b = &cpu->tlb_back;
	TlbList *l = &b->list[global];
	uint8_t bit = global ? SLOT_LISTED_GLOBAL : SLOT_LISTED_LOCAL;
	bool every = l->count > TLB_LIST_MAX;
	unsigned n = every ? TLB_MODES * TLB_SIZE : l->count;

	cpu->tlb_drops++;
	for (unsigned i = 0; i < n; i++) {
		unsigned slot = every ? i : l->slot[i];
		b->slot[slot] &= (uint8_t)~bit;
		if (!(b->slot[slot] & SLOT_GLOBAL) == !global)
			drop(cpu, slot);
	}
	l->count = 0;
}

void tlb_install(Cpu *cpu, unsigned view, uint64_t linear, uint8_t *host, unsigned rights)
{
	TlbEntry *e = slot_of(cpu, view, linear);
	uint64_t tag = linear & PAGE_MASK;
	bool owned = cpu->arena && ram_arena_owns(cpu->arena, host);
	bool code = owned && atomic_load(ram_page_state(cpu->arena, host)) & (PAGE_CODE | PAGE_TURNING);

	unsigned slot = (unsigned)(e - all_slots(cpu));
	uint64_t none = tlb_none(slot % TLB_SIZE);

	touch_slot(cpu, e, slot);
	if (rights & TLB_WRITE && owned)
		ram_touch(cpu->arena, host);
	list_slot(&cpu->tlb_back, slot, rights & TLB_GLOBAL);
	*e = (TlbEntry){
		.read = rights & TLB_READ ? tag : none,
		.write = rights & TLB_WRITE && !code ? tag : none,
		.exec = rights & TLB_EXEC ? tag : none,
		.page = host,
	};
}

bool tlb_is_global(Cpu *cpu, uint64_t linear)
{
	unsigned view = cpu->cpl == 3 ? TLB_USER : TLB_KERNEL;

	for (; view < TLB_SLOW; view += 2) { /* TLB_KERNEL, TLB_KERNEL_AC; or TLB_USER */
		TlbEntry *e = slot_of(cpu, view, linear);
		if (e->exec == (linear & PAGE_MASK))
			return cpu->tlb_back.slot[e - all_slots(cpu)] & SLOT_GLOBAL;
	}
	return false;
}

/* ---- the one behind ---- */

/* Page number, view and ASID in one word; never 0. */
static inline uint64_t key_of(uint64_t linear, unsigned view, uint16_t asid)
{
	return linear >> GUEST_PAGE_BITS << 18 | (uint64_t)view << 16 | asid;
}

static inline TlbBackEntry *set_of(TlbBack *b, uint64_t linear)
{
	uint64_t page = linear >> GUEST_PAGE_BITS;

	return b->set[(page ^ page >> TLB_BACK_BITS) & (TLB_BACK_SETS - 1)];
}

void tlb_remember(Cpu *cpu, unsigned view, uint64_t linear, uint8_t *host, unsigned rights)
{
	TlbBack *b = &cpu->tlb_back;
	uint64_t key = key_of(linear, view, rights & TLB_GLOBAL ? b->global_asid : b->asid);
	TlbBackEntry *set = set_of(b, linear), *e = NULL;

	for (unsigned i = 0; i < TLB_BACK_WAYS; i++)
		if (set[i].key == key)
			e = &set[i];
	if ((uintptr_t)host & ~PAGE_MASK) /* rights stand in these bits; a machine's RAM lies on pages */
		return;
	if (!e)
		e = &set[b->victim++ % TLB_BACK_WAYS];
	*e = (TlbBackEntry){ key, (uintptr_t)host | rights };
}

bool tlb_recall(Cpu *cpu, unsigned view, uint64_t linear, unsigned right, uint8_t **host)
{
	TlbBack *b = &cpu->tlb_back;
	uint64_t local = key_of(linear, view, b->asid), global = key_of(linear, view, b->global_asid);
	const TlbBackEntry *set = set_of(b, linear);

	cpu->tlb_counts.misses++;
	for (unsigned i = 0; i < TLB_BACK_WAYS; i++) {
		if ((set[i].key != local && set[i].key != global) || !(set[i].page & right))
			continue;
		cpu->tlb_counts.recalled++;
		*host = (uint8_t *)(uintptr_t)(set[i].page & PAGE_MASK);
		tlb_install(cpu, view, linear, *host, set[i].page & ~PAGE_MASK);
		return true;
	}
	return false;
}

/* Bits that a key has no room for must say nothing: no canonical address is another's alias then. */
static bool fits_key(uint64_t linear) { return (uint64_t)((int64_t)(linear << 6) >> 6) == linear; }

const uint8_t *tlb_peek(const Cpu *cpu, uint64_t linear)
{
	const TlbBack *b = &cpu->tlb_back;
	unsigned view = (unsigned)((cpu->tlb - cpu->tlbs[0]) / TLB_SIZE);
	uint64_t local = key_of(linear, view, b->asid), global = key_of(linear, view, b->global_asid);
	const TlbBackEntry *set = set_of((TlbBack *)b, linear);

	if (view == TLB_SLOW || !fits_key(linear))
		return NULL;
	for (unsigned i = 0; i < TLB_BACK_WAYS; i++)
		if ((set[i].key == local || set[i].key == global) && set[i].page & TLB_READ)
			return (const uint8_t *)(uintptr_t)(set[i].page & PAGE_MASK) + (linear & ~PAGE_MASK);
	return NULL;
}

/* ---- address spaces ---- */

static void start_anew(Cpu *cpu)
{
	TlbBack *b = &cpu->tlb_back;

	memset(b->set, 0, sizeof(b->set));
	memset(b->of_pcid, 0, sizeof(b->of_pcid));
	b->last_asid = b->floor = 0;
	b->global_asid = ++b->last_asid;
	b->asid = b->of_pcid[pcid_of(cpu)] = ++b->last_asid;
	memset(b->large, 0, sizeof(b->large));
	drop_front(cpu, false);
	drop_front(cpu, true);
	interp_forget_jumps(cpu);
}

void cpu_tlb_reset(Cpu *cpu)
{
	for (unsigned i = 0; i < TLB_MODES * TLB_SIZE; i++)
		drop(cpu, i);
	start_anew(cpu);
}

static uint16_t new_asid(Cpu *cpu)
{
	if (cpu->tlb_back.last_asid == ASID_MAX)
		start_anew(cpu);
	return ++cpu->tlb_back.last_asid;
}

static void enter(Cpu *cpu, uint16_t asid)
{
	TlbBack *b = &cpu->tlb_back;

	b->of_pcid[pcid_of(cpu)] = asid;
	if (asid == b->asid)
		return;
	b->asid = asid;
	drop_front(cpu, false);
}

void cpu_tlb_flush(Cpu *cpu, bool global)
{
	TlbBack *b = &cpu->tlb_back;

	if (!global) {
		cpu->tlb_counts.partial++;
		enter(cpu, new_asid(cpu));
		return;
	}
	cpu->tlb_counts.full++;
	uint16_t fresh = new_asid(cpu);
	b->floor = fresh - 1; /* no PCID keeps anything */
	b->global_asid = fresh;
	enter(cpu, new_asid(cpu));
	drop_front(cpu, true);
	memset(b->large, 0, sizeof(b->large));
	interp_forget_jumps(cpu);
}

void cpu_tlb_switch(Cpu *cpu, bool keep)
{
	TlbBack *b = &cpu->tlb_back;
	uint16_t asid = b->of_pcid[pcid_of(cpu)];

	bool kept = keep && asid > b->floor;

	*(kept ? &cpu->tlb_counts.elided : &cpu->tlb_counts.partial) += 1;
	enter(cpu, kept ? asid : new_asid(cpu));
}

void cpu_tlb_flush_pcid(Cpu *cpu, unsigned pcid)
{
	if (pcid == pcid_of(cpu))
		cpu_tlb_flush(cpu, false);
	else
		cpu->tlb_back.of_pcid[pcid] = 0;
}

void cpu_tlb_flush_pcids(Cpu *cpu)
{
	uint16_t fresh = new_asid(cpu);

	cpu->tlb_counts.partial++;
	cpu->tlb_back.floor = fresh - 1;
	enter(cpu, fresh);
}

/* ---- single pages ---- */

/* Page sizes above 4 KiB; a filter tells for each which stretches of that size have pieces here. */
static const uint8_t large_bits[TLB_LARGE_KINDS] = { 21, 22, 30 };

static unsigned large_hash(uint64_t linear, unsigned bits)
{
	return (unsigned)((linear >> bits) * 0x9e3779b97f4a7c15ull >> 52);
}

void tlb_note_large(Cpu *cpu, uint64_t linear, unsigned page_bits)
{
	for (unsigned i = 0; i < TLB_LARGE_KINDS; i++) {
		unsigned h = large_hash(linear, page_bits);
		if (large_bits[i] == page_bits)
			cpu->tlb_back.large[i][h / 64] |= 1ull << h % 64;
	}
}

static bool perhaps_large(const Cpu *cpu, uint64_t linear)
{
	for (unsigned i = 0; i < TLB_LARGE_KINDS; i++) {
		unsigned h = large_hash(linear, large_bits[i]);
		if (cpu->tlb_back.large[i][h / 64] >> h % 64 & 1)
			return true;
	}
	return false;
}

void cpu_tlb_flush_page(Cpu *cpu, uint64_t linear)
{
	TlbBack *b = &cpu->tlb_back;
	TlbBackEntry *set = set_of(b, linear);
	uint64_t tag = linear & PAGE_MASK;

	cpu->tlb_drops++;
	if (perhaps_large(cpu, linear)) {
		cpu_tlb_flush(cpu, true);
		return;
	}
	cpu->tlb_counts.pages++;
	for (unsigned view = 0; view < TLB_SLOW; view++) {
		TlbEntry *e = slot_of(cpu, view, linear);
		if (e->read == tag || e->exec == tag || e->write == tag)
			drop(cpu, (unsigned)(e - all_slots(cpu)));
		for (unsigned i = 0; i < TLB_BACK_WAYS; i++)
			if (set[i].key == key_of(linear, view, b->asid) || set[i].key == key_of(linear, view, b->global_asid))
				set[i].key = 0;
	}
	interp_forget_jumps_to(cpu, linear);
}

/* ---- pages that hold code, pages that are watched ---- */

static void touch_writable(const Cpu *cpu)
{
	for (unsigned i = 0; i < TLB_MODES * TLB_SIZE; i++)
		touch_slot(cpu, &all_slots((Cpu *)cpu)[i], i);
}

void cpu_tlb_drop_writes(Cpu *cpu, const uint8_t *host_page)
{
	const uint8_t *used = cpu->tlb_back.slot;

	cpu->tlb_drops++;
	if (!host_page && cpu->arena && atomic_load(&cpu->arena->watched))
		touch_writable(cpu);
	/* What lies behind asks for the page's state before it gives a write entry. */
	for (unsigned i = 0; i < TLB_SLOW * TLB_SIZE; i += 8) {
		uint64_t eight;
		memcpy(&eight, used + i, 8);
		for (unsigned k = i; eight; eight >>= 8, k++) {
			TlbEntry *e = &all_slots(cpu)[k];
			if (host_page && e->page == host_page)
				touch_slot(cpu, e, k);
			if (!host_page || e->page == host_page)
				e->write = tlb_none(k % TLB_SIZE);
		}
	}
}
