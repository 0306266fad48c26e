/*
 * mem.c - guest memory by linear address: the soft TLB and everything behind its fast path.
 *
 * SDM vol. 3A, 4.10 (caching of translations), 6.15 (#GP of non-canonical addresses, #AC), and
 * vol. 3A, 8.1.3 (self-modifying code). A TLB entry exists only for plain memory whose rights were
 * checked; pages with decoded code have no write entry, so that stores to them come here. Not
 * modelled: #SS instead of #GP for a non-canonical stack address.
 *
 * The vcpu's own thread only.
 */
#include "cpu/cpu.h"

#include <string.h>

#include "cpu/debugger.h"
#include "cpu/features.h"
#include "cpu/mem.h"

#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))

static inline TlbEntry *tlb_slot(TlbEntry *tlb, uint64_t linear)
{
	return &tlb[linear >> GUEST_PAGE_BITS & (TLB_SIZE - 1)];
}

static bool canonical(const Cpu *cpu, uint64_t linear)
{
	unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;

	return (uint64_t)((int64_t)(linear << (64 - bits)) >> (64 - bits)) == linear;
}

/* Which TLB answers for such an access at this privilege. */
static TlbEntry *tlb_for(Cpu *cpu, unsigned access)
{
	if (cpu->tlb == cpu->tlbs[TLB_SLOW])
		return cpu->tlb;
	if (access & MEM_USER)
		return cpu->tlbs[TLB_USER];
	if (access & MEM_IMPLICIT || cpu->cpl == 3)
		return cpu->tlbs[TLB_KERNEL];
	return cpu->tlb;
}

#define APIC_BASE_X2 (1u << 10)
#define APIC_BASE_ENABLED (1u << 11)

/* The local APIC's page (vol. 3A, 11.4.1) is each cpu's own, and hides what else is there. */
static bool is_apic_page(const Cpu *cpu, uint64_t gpa)
{
	uint64_t base = cpu->apic_base_shadow;

	return cpu->apic && !((gpa ^ base) & PAGE_MASK) &&
	       (base & (APIC_BASE_ENABLED | APIC_BASE_X2)) == APIC_BASE_ENABLED;
}

static uint64_t mmio_read(Cpu *cpu, uint64_t gpa, unsigned size)
{
	if (!is_apic_page(cpu, gpa))
		return cpu->world->mmio_read(cpu->world_opaque, gpa, size);
	uint64_t v = cpu->apic_ops->mmio_read(cpu->apic, gpa & 0xffc);
	if (size == 8)
		v |= (uint64_t)cpu->apic_ops->mmio_read(cpu->apic, (gpa & 0xffc) + 4) << 32;
	return v >> (8 * (gpa & 3));
}

static void mmio_write(Cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
	if (!is_apic_page(cpu, gpa)) {
		cpu->world->mmio_write(cpu->world_opaque, gpa, value, size);
		/* A flash chip shows something else to the very next instruction. */
		if (atomic_load(&cpu->events) & CPU_EV_FLUSH) {
			cpu_clear(cpu, CPU_EV_FLUSH);
			cpu->region.size = 0;
			cpu_tlb_flush(cpu, true);
		}
		return;
	}
	cpu->apic_ops->mmio_write(cpu->apic, gpa & 0xfff, (uint32_t)value);
	if (size == 8)
		cpu->apic_ops->mmio_write(cpu->apic, (gpa & 0xfff) + 4, (uint32_t)(value >> 32));
}

bool cpu_translate(Cpu *cpu, uint64_t gpa, Translation *out)
{
	uint64_t at = gpa - cpu->region.start;

	if (at < cpu->region.size) {
		*out = (Translation){ cpu->region.t.host_read + at, cpu->region.t.host_write + at, cpu->region.size - at };
		return true;
	}
	if (!cpu->world->translate(cpu->world_opaque, gpa, out))
		return false;
	if (out->host_read && out->host_read == out->host_write) { /* plain RAM */
		cpu->region.start = gpa;
		cpu->region.size = out->contiguous;
		cpu->region.t = *out;
	}
	return true;
}

/* One store of eight bytes, wherever they lie. */
typedef struct __attribute__((packed, may_alias)) Unaligned64 { uint64_t v; } Unaligned64;

typedef struct Page {
	uint64_t gpa;
	Translation t;
	bool mapped;
} Page;

/* The page as an earlier walk found it, if that is remembered. */
static bool recall(Cpu *cpu, unsigned view, uint64_t linear, unsigned access, Page *page)
{
	unsigned right = access & MEM_WRITE ? TLB_WRITE : access & MEM_EXEC ? TLB_EXEC : TLB_READ;
	uint8_t *host;

	if (!tlb_recall(cpu, view, linear, right, &host))
		return false;
	page->t = (Translation){ host, right == TLB_WRITE ? host : NULL, GUEST_PAGE_SIZE };
	page->mapped = true;
	return true;
}

/* Walks and, where it is plain memory, fills the entry. Raises #PF and #GP. */
static Page page_lookup(Cpu *cpu, uint64_t linear, unsigned access)
{
	Page page;
	PageWalk walk;
	TlbEntry *tlb = tlb_for(cpu, access);
	unsigned view = (unsigned)((tlb - cpu->tlbs[0]) / TLB_SIZE);

	if (cpu_long_mode(cpu) && !canonical(cpu, linear))
		cpu_gp0(cpu);
	if (view != TLB_SLOW && recall(cpu, view, linear, access, &page))
		return page;
	if (!cpu_walk(cpu, linear, access, &walk))
		cpu_page_fault(cpu, linear, walk.error);
	page.gpa = walk.gpa;
	page.mapped = !is_apic_page(cpu, walk.gpa) &&
		      cpu_translate(cpu, walk.gpa & PAGE_MASK, &page.t);
	if (!page.mapped)
		memset(&page.t, 0, sizeof(page.t));
	if (view == TLB_SLOW || page.t.contiguous < GUEST_PAGE_SIZE || !page.t.host_read)
		return page;
	if (walk.page_bits > GUEST_PAGE_BITS)
		tlb_note_large(cpu, linear, walk.page_bits);
	unsigned rights = (walk.readable ? TLB_READ : 0) | (walk.nx ? 0 : TLB_EXEC) | (walk.global ? TLB_GLOBAL : 0);
	if (walk.readable && walk.writable && walk.dirty && page.t.host_write == page.t.host_read)
		rights |= TLB_WRITE;
	tlb_remember(cpu, view, linear, page.t.host_read, rights);
	tlb_install(cpu, view, linear, page.t.host_read, rights);
	return page;
}

static inline void *hit(Cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
	TlbEntry *e = tlb_slot(tlb_for(cpu, access), linear);
	uint64_t want = (linear + size - 1) & PAGE_MASK;

	if ((access & MEM_WRITE ? e->write : access & MEM_EXEC ? e->exec : e->read) != want)
		return NULL;
	return e->page + (linear & ~PAGE_MASK);
}

static void check_access(Cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
	if (cpu->tlb != cpu->tlbs[TLB_SLOW] || access & (MEM_EXEC | MEM_IMPLICIT))
		return;
	if (access & MEM_USER && cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC &&
	    (linear & (size - 1)) && size <= 8)
		cpu_exception_err(cpu, EXC_AC, 0);
	cpu_check_watch(cpu, linear, size, access & MEM_WRITE);
	cpu_watch_access(cpu, linear, size, access & MEM_WRITE);
}

static uint64_t page_read(Cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
	Page page = page_lookup(cpu, linear, access);
	uint64_t v = 0;

	if (page.t.host_read && page.t.contiguous >= GUEST_PAGE_SIZE)
		memcpy(&v, page.t.host_read + (linear & ~PAGE_MASK), size);
	else
		v = mmio_read(cpu, page.gpa, size);
	return v;
}

uint64_t cpu_lin_read(Cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
	uint64_t v = 0;
	void *p = hit(cpu, linear, size, access);

	if (p) {
		switch (size) {
		case 1: return *(uint8_t *)p;
		case 2: memcpy(&v, p, 2); return v;
		case 4: memcpy(&v, p, 4); return v;
		default: memcpy(&v, p, 8); return v;
		}
	}
	check_access(cpu, linear, size, access);
	if ((linear & ~PAGE_MASK) + size <= GUEST_PAGE_SIZE)
		return page_read(cpu, linear, size, access);
	cpu_lin_read_buf(cpu, linear, &v, size, access);
	return v;
}

/* Decoded code lies in the 64-byte lines that [offset, offset+len) of the page touches. */
static uint64_t line_mask(unsigned offset, unsigned len)
{
	unsigned first = offset >> 6, last = (offset + len - 1) >> 6;

	return (~0ull << first) & (~0ull >> (63 - last));
}

static bool holds_code(const Cpu *cpu, const uint8_t *host, unsigned len)
{
	return atomic_load(ram_page_state(cpu->arena, host)) & PAGE_CODE &&
	       atomic_load(ram_page_lines(cpu->arena, host)) & line_mask((uintptr_t)host & ~PAGE_MASK, len);
}

/*
 * Before anything is stored there: what changes code in the page of the running block is done by itself, wherever in the
 * page that is. The block would not learn of the next such store, as its page's state is no more what it was.
 */
static void leave_own_page(Cpu *cpu, const uint8_t *host, unsigned len)
{
	if (interp_in_own_page(cpu, host) && holds_code(cpu, host, len))
		interp_retry_alone(cpu);
}

void cpu_code_store(Cpu *cpu, uint8_t *host, const void *buf, unsigned len)
{
	if (!cpu->arena || !ram_arena_owns(cpu->arena, host)) {
		memcpy(host, buf, len);
		return;
	}
	leave_own_page(cpu, host, len);
	if (len == 8)
		((volatile Unaligned64 *)host)->v = ((const Unaligned64 *)buf)->v;
	else
		memcpy(host, buf, len);
	atomic_thread_fence(memory_order_seq_cst);
	if (holds_code(cpu, host, len))
		ram_written(cpu->arena, host, len);
}

static void page_write(Cpu *cpu, uint64_t linear, const void *buf, unsigned len, unsigned access)
{
	Page page = page_lookup(cpu, linear, access);

	if (page.t.host_write && page.t.contiguous >= GUEST_PAGE_SIZE) {
		cpu_code_store(cpu, page.t.host_write + (linear & ~PAGE_MASK), buf, len);
		return;
	}
	for (unsigned done = 0; done < len;) {
		unsigned n = len - done >= 8 ? 8 : len - done >= 4 ? 4 : len - done >= 2 ? 2 : 1;
		uint64_t v = 0;
		memcpy(&v, (const uint8_t *)buf + done, n);
		mmio_write(cpu, page.gpa + done, v, n);
		done += n;
	}
}

void cpu_lin_write(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size, unsigned access)
{
	access |= MEM_WRITE;
	void *p = hit(cpu, linear, size, access);

	if (p) {
		switch (size) {
		case 1: *(uint8_t *)p = (uint8_t)value; return;
		case 2: memcpy(p, &value, 2); return;
		case 4: memcpy(p, &value, 4); return;
		default: memcpy(p, &value, 8); return;
		}
	}
	check_access(cpu, linear, size, access);
	if ((linear & ~PAGE_MASK) + size <= GUEST_PAGE_SIZE)
		page_write(cpu, linear, &value, size, access);
	else
		cpu_lin_write_buf(cpu, linear, &value, size, access);
}

void cpu_lin_probe(Cpu *cpu, uint64_t linear, unsigned len, unsigned access)
{
	uint64_t last = linear + (len ? len - 1 : 0);

	for (uint64_t at = linear;; at = (at & PAGE_MASK) + GUEST_PAGE_SIZE) {
		if (!hit(cpu, at, 1, access))
			page_lookup(cpu, at, access);
		if ((at & PAGE_MASK) == (last & PAGE_MASK))
			return;
	}
}

/* The next piece of a buffer that stays in one page; linear addresses wrap at 4 GiB outside long mode. */
static unsigned piece(uint64_t linear, unsigned len)
{
	unsigned left = GUEST_PAGE_SIZE - (linear & ~PAGE_MASK);

	return MIN(left, len);
}

static uint64_t wrap(const Cpu *cpu, uint64_t linear)
{
	return cpu_long_mode(cpu) ? linear : (uint32_t)linear;
}

void cpu_lin_read_buf(Cpu *cpu, uint64_t linear, void *buf, unsigned len, unsigned access)
{
	uint8_t *to = buf;

	while (len) {
		unsigned n = piece(linear, len);
		void *p = hit(cpu, linear, n, access);
		if (p) {
			memcpy(to, p, n);
		} else {
			Page page = page_lookup(cpu, linear, access);
			if (page.t.host_read && page.t.contiguous >= GUEST_PAGE_SIZE)
				memcpy(to, page.t.host_read + (linear & ~PAGE_MASK), n);
			else
				for (unsigned i = 0; i < n; i++)
					to[i] = (uint8_t)mmio_read(cpu, page.gpa + i, 1);
		}
		to += n;
		len -= n;
		linear = wrap(cpu, linear + n);
	}
}

/* A store of which this is a part can be done, or unwinds before any part of it is. */
static void probe_store(Cpu *cpu, uint64_t linear, unsigned len, unsigned access)
{
	Page page = page_lookup(cpu, linear, access);
	const uint8_t *host = page.t.host_write ? page.t.host_write + (linear & ~PAGE_MASK) : NULL;

	if (host && page.t.contiguous >= GUEST_PAGE_SIZE && cpu->arena && ram_arena_owns(cpu->arena, host))
		leave_own_page(cpu, host, len);
}

void cpu_lin_write_buf(Cpu *cpu, uint64_t linear, const void *buf, unsigned len, unsigned access)
{
	const uint8_t *from = buf;

	access |= MEM_WRITE;
	if (piece(linear, len) < len)
		for (unsigned at = 0; at < len; at += piece(linear + at, len - at))
			probe_store(cpu, wrap(cpu, linear + at), piece(linear + at, len - at), access);
	while (len) {
		unsigned n = piece(linear, len);
		void *p = hit(cpu, linear, n, access);
		if (p)
			memcpy(p, from, n);
		else
			page_write(cpu, linear, from, n, access);
		from += n;
		len -= n;
		linear = wrap(cpu, linear + n);
	}
}

void *cpu_lin_rmw(Cpu *cpu, uint64_t linear, unsigned size)
{
	unsigned access = MEM_WRITE | cpu_data_access(cpu);
	void *p = hit(cpu, linear, size, access);

	if (!p) {
		check_access(cpu, linear, size, access);
		cpu_lin_probe(cpu, linear, 1, access);
		if ((linear & ~PAGE_MASK) + size > GUEST_PAGE_SIZE)
			cpu_lin_probe(cpu, wrap(cpu, linear + size - 1), 1, access);
		p = hit(cpu, linear, size, access);
	}
	return p && !mem_splits(p, size) ? p : NULL;
}

const uint8_t *cpu_lin_fetch(Cpu *cpu, uint64_t linear, unsigned *left)
{
	unsigned access = MEM_EXEC | cpu_data_access(cpu);
	const uint8_t *p = hit(cpu, linear, 1, access);

	*left = GUEST_PAGE_SIZE - (linear & ~PAGE_MASK);
	if (p)
		return p;
	Page page = page_lookup(cpu, linear, access);
	if (page.t.host_read && page.t.contiguous >= GUEST_PAGE_SIZE)
		return page.t.host_read + (linear & ~PAGE_MASK);
	return NULL;
}
