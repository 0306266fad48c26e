/*
 * info_tlb.c - info tlb and info mem: what the guest's page tables map.
 *
 * SDM vol. 3A, 4.3 to 4.5. The tables are the guest's and may be anything, as one that maps itself
 * everywhere: a walk ends after TABLES_MAX of them, and with TEXT_MAX of text. Main thread; vcpus
 * stand still.
 */
#include <inttypes.h>

#include "core/lock.h"
#include "monitor/private.h"

#define TABLES_MAX 65536u
#define TEXT_MAX (16u << 20)

#define ENTRY_P (1ull << 0)
#define ENTRY_W (1ull << 1)
#define ENTRY_U (1ull << 2)
#define ENTRY_PS (1ull << 7)
#define ENTRY_ADDRESS 0x3fffffffff000ull
#define RIGHTS (ENTRY_P | ENTRY_W | ENTRY_U)

/* A way of paging: of each level the lowest bit of the address that it decodes, and how many. */
typedef struct Paging {
	unsigned levels, entry_bytes;
	uint8_t shift[5], bits[5];
} Paging;

static const Paging paging_32 = { 2, 4, { 22, 12 }, { 10, 10 } };
static const Paging paging_pae = { 3, 8, { 30, 21, 12 }, { 2, 9, 9 } };
static const Paging paging_4 = { 4, 8, { 39, 30, 21, 12 }, { 9, 9, 9, 9 } };
static const Paging paging_5 = { 5, 8, { 48, 39, 30, 21, 12 }, { 9, 9, 9, 9, 9 } };

typedef struct TableWalk TableWalk;
/* A page of 1 << shift bytes; `rights`: of all levels. In ascending order of addresses. */
typedef void PageFn(TableWalk *w, uint64_t linear, unsigned shift, uint64_t entry, uint64_t rights);

struct TableWalk {
	const Cpu *cpu;
	AddressSpace *mem;
	const Paging *paging;
	PageFn *page;
	GString *out;
	unsigned tables;         /* read so far */
	/* info mem: the stretch that is not written yet; rights 0: none */
	uint64_t start, end, rights;
};

static const Paging *paging_of(const Cpu *cpu)
{
	if (cpu_long_mode(cpu))
		return cpu->cr4 & CR4_LA57 ? &paging_5 : &paging_4;
	return cpu->cr4 & CR4_PAE ? &paging_pae : &paging_32;
}

static bool too_much(const TableWalk *w)
{
	return w->tables >= TABLES_MAX || w->out->len >= TEXT_MAX;
}

static bool is_page(const TableWalk *w, unsigned shift, uint64_t entry)
{
	if (shift == 12)
		return true;
	if (!(entry & ENTRY_PS))
		return false;
	if (shift == 22)
		return w->cpu->cr4 & CR4_PSE;
	return shift == 21 || (shift == 30 && cpu_long_mode(w->cpu));
}

/* PAE's uppermost entries have no rights of their own (4.4.1). */
static uint64_t rights_of(const TableWalk *w, unsigned shift, uint64_t entry)
{
	return shift == 30 && w->paging == &paging_pae ? RIGHTS : entry & RIGHTS;
}

static uint64_t load_entry(const uint8_t *table, unsigned index, unsigned bytes)
{
	uint64_t entry = 0;
	for (unsigned i = 0; i < bytes; i++)
		entry |= (uint64_t)table[index * bytes + i] << 8 * i;
	return entry;
}

static void walk_table(TableWalk *w, unsigned level, uint64_t table, uint64_t linear,
	uint64_t rights)
{
	const Paging *p = w->paging;
	unsigned shift = p->shift[level], count = 1u << p->bits[level];
	uint8_t entries[GUEST_PAGE_SIZE];

	w->tables++;
	if (!guest_read(w->mem, table, entries, (uint64_t)count * p->entry_bytes))
		return;
	for (unsigned i = 0; i < count && !too_much(w); i++) {
		uint64_t entry = load_entry(entries, i, p->entry_bytes);
		uint64_t at = linear | (uint64_t)i << shift;
		uint64_t both = rights & rights_of(w, shift, entry);
		if (!(entry & ENTRY_P))
			continue;
		if (is_page(w, shift, entry))
			w->page(w, at, shift, entry, both);
		else
			walk_table(w, level + 1, entry & ENTRY_ADDRESS, at, both);
	}
}

/* Walks what the chosen vcpu has, or says that it has none. The caller releases the vcpus. */
static void walk(Monitor *mon, TableWalk *w)
{
	const Cpu *cpu = monitor_hold(mon);

	w->cpu = cpu;
	w->mem = machine_board(mon->m)->mem;
	w->paging = paging_of(cpu);
	uint64_t first = cpu->cr3 & (w->paging == &paging_pae ? 0xffffffe0u : ENTRY_ADDRESS);
	machine_lock();
	if (cpu->cr0 & CR0_PG)
		walk_table(w, 0, first, 0, RIGHTS);
	else
		g_string_append(w->out, "PG disabled\n");
	machine_unlock();
}

/* As the processor writes it: the uppermost bit that is decoded is repeated above. */
static uint64_t canonical(const TableWalk *w, uint64_t linear)
{
	if (!cpu_long_mode(w->cpu))
		return linear;
	unsigned top = w->paging == &paging_5 ? 56 : 47;
	return linear >> top & 1 ? linear | ~0ull << top : linear;
}

static void say_rest(const TableWalk *w)
{
	if (too_much(w))
		g_string_append(w->out, "(there is more, which is not shown)\n");
}

/* ---- info tlb ---- */

static void tlb_line(TableWalk *w, uint64_t linear, unsigned shift, uint64_t entry, uint64_t rights)
{
	/* Bit 7 of a page table's own entry is PAT. */
	static const struct { unsigned bit; char letter; } flags[] = {
		{ 63, 'X' }, { 8, 'G' }, { 7, 'P' }, { 6, 'D' }, { 5, 'A' }, { 4, 'C' }, { 3, 'T' },
		{ 2, 'U' }, { 1, 'W' },
	};
	uint64_t address = entry & ENTRY_ADDRESS & ~0ull << shift;

	g_string_append_printf(w->out, "%016" PRIx64 ": %016" PRIx64 " ", canonical(w, linear),
		address);
	for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
		bool set = entry >> flags[i].bit & 1 && !(flags[i].bit == 7 && shift == 12);
		g_string_append_c(w->out, set ? flags[i].letter : '-');
	}
	g_string_append_c(w->out, '\n');
}

void info_tlb(Monitor *mon, const Args *args, GString *out)
{
	TableWalk w = { .page = tlb_line, .out = out };
	walk(mon, &w);
	say_rest(&w);
	monitor_release(mon);
}

/* ---- info mem ---- */

static void write_stretch(TableWalk *w)
{
	if (w->rights)
		g_string_append_printf(w->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n",
			canonical(w, w->start), canonical(w, w->end), w->end - w->start,
			w->rights & ENTRY_U ? 'u' : '-', w->rights & ENTRY_W ? 'w' : '-');
	w->rights = 0;
}

static void mem_page(TableWalk *w, uint64_t linear, unsigned shift, uint64_t entry, uint64_t rights)
{
	if (rights != w->rights || linear != w->end) {
		write_stretch(w);
		w->start = linear;
		w->rights = rights;
	}
	w->end = linear + (1ull << shift);
}

void info_mem(Monitor *mon, const Args *args, GString *out)
{
	TableWalk w = { .page = mem_page, .out = out };
	walk(mon, &w);
	write_stretch(&w);
	say_rest(&w);
	monitor_release(mon);
}
