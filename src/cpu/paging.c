/*
 * paging.c - from linear to guest-physical addresses.
 *
 * SDM vol. 3A, ch. 4: 4.3 (32-bit, PSE, PSE-36), 4.4 (PAE), 4.5 (4 and 5 levels),
 * 4.6 (rights, SMEP, SMAP, protection keys), 4.7 (error code), 4.8 (A and D bits).
 * Shadow stacks and supervisor keys (PKS) are left out: no model offers them.
 * A and D are set by compare and exchange when all checks have passed; an entry
 * that changed meanwhile starts the walk anew. Tables outside RAM read as ones.
 * Thread: the vcpu's own, or a debugger's while it stands.
 */
#include "cpu/cpu.h"
#include "cpu/features.h"

#define PTE_P 1u
#define PTE_RW 2u
#define PTE_US 4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_PS 0x80u
#define PTE_G 0x100u
#define PTE_NX (UINT64_C(1) << 63)
#define LEVELS_MAX 5
#define RESTARTS_MAX 1000

typedef struct Entry {
	void *host;     /* where it may be written; NULL: ROM or nothing */
	uint64_t value;
} Entry;

typedef struct Walk {
	Entry entry[LEVELS_MAX];
	unsigned count;
	bool wide;      /* entries of 8 bytes */
	bool rw, us, nx;
} Walk;

static void load_entry(Cpu *cpu, uint64_t gpa, bool wide, Entry *e)
{
	Translation tr;
	e->host = NULL;
	e->value = wide ? UINT64_MAX : UINT32_MAX;
	if (!cpu_translate(cpu, gpa, &tr) || !tr.host_read ||
	    tr.contiguous < (wide ? 8 : 4))
		return;
	e->host = tr.host_write;
	if (wide)
		e->value = __atomic_load_n((uint64_t *)tr.host_read, __ATOMIC_RELAXED);
	else
		e->value = __atomic_load_n((uint32_t *)tr.host_read, __ATOMIC_RELAXED);
}

static bool add_flags(const Entry *e, bool wide, uint32_t flags)
{
	if ((e->value & flags) == flags || !e->host)
		return true;
	if (wide) {
		uint64_t old = e->value;
		return __atomic_compare_exchange_n((uint64_t *)e->host, &old, old | flags, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	uint32_t old = (uint32_t)e->value;
	return __atomic_compare_exchange_n((uint32_t *)e->host, &old, old | flags, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Bits [from, to] set. */
static uint64_t bits(unsigned from, unsigned to)
{
	return from > to ? 0 : (UINT64_MAX >> (63 - to)) & (UINT64_MAX << from);
}

static uint64_t phys_mask(const Cpu *cpu)
{
	return bits(12, cpu->phys_bits - 1u);
}

/* Tables 4-4 to 4-20: what must be 0 in an entry that maps at `shift`. */
static uint64_t reserved_bits(const Cpu *cpu, bool wide, unsigned shift, bool leaf)
{
	uint64_t mask;
	if (!wide) {
		if (!leaf || shift == 12)
			return 0;
		/* 4.3: PSE-36 puts address bits 39..32 into bits 20..13. */
		unsigned top = cpu_has(cpu, FEAT_PSE36) ? MIN(cpu->phys_bits, 40u) : 32;
		return bits(top - 19, 21);
	}
	mask = bits(cpu->phys_bits, cpu_long_mode(cpu) ? 51 : 62);
	if (!(cpu->efer & EFER_NXE))
		mask |= PTE_NX;
	if (leaf && shift > 12)
		mask |= bits(13, shift - 1);
	if (!leaf && (shift >= 39 || shift == 30))
		mask |= PTE_PS; /* a 1-GiB page where there are none, or an upper level */
	return mask;
}

static bool is_leaf(const Cpu *cpu, bool wide, unsigned shift, uint64_t value)
{
	if (shift == 12)
		return true;
	if (!(value & PTE_PS))
		return false;
	if (!wide)
		return cpu->cr4 & CR4_PSE;
	return shift == 21 || (shift == 30 && cpu_long_mode(cpu) && cpu_has(cpu, FEAT_PDPE1GB));
}

static uint64_t leaf_address(const Cpu *cpu, bool wide, unsigned shift, uint64_t value)
{
	if (wide)
		return value & phys_mask(cpu) & (UINT64_MAX << shift);
	uint64_t base = value & (UINT32_MAX << shift);
	if (shift == 22 && cpu_has(cpu, FEAT_PSE36))
		base |= (value & 0x1fe000) << 19;
	return base;
}

/* The first table, and the shift of its index. False: a PAE PDPTE is not present. */
static bool first_table(Cpu *cpu, uint64_t linear, uint64_t *table, unsigned *shift)
{
	if (cpu_long_mode(cpu)) {
		*table = cpu->cr3 & phys_mask(cpu);
		*shift = cpu->cr4 & CR4_LA57 ? 48 : 39;
	} else if (cpu->cr4 & CR4_PAE) {
		uint64_t pdpte = cpu->pdpte[linear >> 30 & 3];
		*table = pdpte & phys_mask(cpu);
		*shift = 21;
		return pdpte & PTE_P;
	} else {
		*table = cpu->cr3 & 0xfffff000;
		*shift = 22;
	}
	return true;
}

/*
 * Goes down to the page. Fills in gpa and page_bits of *out. False: *error is the
 * fault's own bits (0: not present, PF_P | PF_RSVD).
 */
static bool descend(Cpu *cpu, uint64_t linear, Walk *w, PageWalk *out, uint32_t *error)
{
	uint64_t table;
	unsigned shift;

	*error = 0;
	w->count = 0;
	w->wide = cpu->cr4 & CR4_PAE;
	w->rw = w->us = true;
	w->nx = false;
	if (!first_table(cpu, linear, &table, &shift))
		return false;
	for (;; shift -= w->wide ? 9 : 10) {
		Entry *e = &w->entry[w->count++];
		uint64_t index = linear >> shift & (w->wide ? 511 : 1023);
		load_entry(cpu, table + index * (w->wide ? 8 : 4), w->wide, e);
		if (!(e->value & PTE_P))
			return false;
		bool leaf = is_leaf(cpu, w->wide, shift, e->value);
		if (e->value & reserved_bits(cpu, w->wide, shift, leaf)) {
			*error = PF_P | PF_RSVD;
			return false;
		}
		w->rw &= !!(e->value & PTE_RW);
		w->us &= !!(e->value & PTE_US);
		w->nx |= !!(e->value & PTE_NX);
		if (leaf)
			break;
		table = e->value & (w->wide ? phys_mask(cpu) : 0xfffff000);
	}
	out->page_bits = (uint8_t)shift;
	out->gpa = leaf_address(cpu, w->wide, shift, w->entry[w->count - 1].value) |
		   (linear & bits(0, shift - 1));
	return true;
}

/* 4.6.2: does the page's key refuse? */
static bool key_refuses(const Cpu *cpu, const Walk *w, unsigned key, bool write, bool user)
{
	if (!(cpu->cr4 & CR4_PKE) || !cpu_long_mode(cpu) || !w->us)
		return false;
	uint32_t rights = cpu->vec.pkru >> (2 * key);
	return (rights & 1) || ((rights & 2) && write && (user || (cpu->cr0 & CR0_WP)));
}

/* What this view (user or supervisor, as `access` says) may do: 4.6.1. */
static void effective_rights(const Cpu *cpu, const Walk *w, unsigned access, PageWalk *out)
{
	bool user = access & MEM_USER;
	out->user = w->us;
	if (user) {
		out->readable = w->us;
		out->writable = w->us && w->rw;
		out->nx = w->nx || !w->us;
	} else {
		bool smap = (cpu->cr4 & CR4_SMAP) && w->us &&
			    ((access & MEM_IMPLICIT) || !(cpu->rflags & FLAG_AC));
		out->readable = !smap;
		out->writable = !smap && (w->rw || !(cpu->cr0 & CR0_WP));
		out->nx = w->nx || ((cpu->cr4 & CR4_SMEP) && w->us);
	}
}

static uint32_t fault_code(const Cpu *cpu, unsigned access, uint32_t error)
{
	if (access & MEM_WRITE)
		error |= PF_W;
	if (access & MEM_USER)
		error |= PF_U;
	if ((access & MEM_EXEC) && ((cpu->cr4 & CR4_SMEP) ||
				    ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE))))
		error |= PF_I;
	return error;
}

static void identity(uint64_t linear, PageWalk *out)
{
	*out = (PageWalk){ .gpa = linear, .page_bits = 12, .readable = true, .writable = true,
			   .user = true, .dirty = true };
}

/* Checks rights; 0 or the fault's error bits. */
static uint32_t check(const Cpu *cpu, const Walk *w, unsigned access, PageWalk *out)
{
	bool user = access & MEM_USER;
	effective_rights(cpu, w, access, out);
	bool granted = access & MEM_EXEC ? !out->nx :
		       access & MEM_WRITE ? out->writable : out->readable;
	uint32_t error = granted ? 0 : PF_P;
	bool key_read = key_refuses(cpu, w, out->pkey, false, user);
	bool key_write = key_refuses(cpu, w, out->pkey, true, user);
	if (!(access & MEM_EXEC) && (access & MEM_WRITE ? key_write : key_read))
		error |= PF_P | PF_PK;
	out->readable &= !key_read;
	out->writable &= !key_write;
	return error;
}

/* True: done; false: an entry changed under the walk. */
static bool mark_used(const Walk *w, bool write)
{
	for (unsigned i = 0; i < w->count; i++) {
		bool leaf = i == w->count - 1;
		if (!add_flags(&w->entry[i], w->wide, leaf && write ? PTE_A | PTE_D : PTE_A))
			return false;
	}
	return true;
}

bool cpu_walk(Cpu *cpu, uint64_t linear, unsigned access, PageWalk *out)
{
	Walk w;
	uint32_t error = 0;

	if (!cpu_long_mode(cpu))
		linear = (uint32_t)linear;
	if (!(cpu->cr0 & CR0_PG)) {
		identity(linear, out);
		return true;
	}
	for (unsigned tries = 0; tries < RESTARTS_MAX; tries++) {
		*out = (PageWalk){ 0 };
		if (!descend(cpu, linear, &w, out, &error))
			break;
		uint64_t leaf = w.entry[w.count - 1].value;
		out->pkey = cpu_long_mode(cpu) ? leaf >> 59 & 15 : 0;
		out->global = (leaf & PTE_G) && (cpu->cr4 & CR4_PGE);
		error = check(cpu, &w, access, out);
		if (error)
			break;
		if (mark_used(&w, access & MEM_WRITE)) {
			out->dirty = (leaf & PTE_D) || (access & MEM_WRITE);
			return true;
		}
	}
	out->error = fault_code(cpu, access, error);
	return false;
}

bool cpu_walk_debug(Cpu *cpu, uint64_t linear, uint64_t *gpa)
{
	Walk w;
	PageWalk out;
	uint32_t error;

	if (!cpu_long_mode(cpu))
		linear = (uint32_t)linear;
	if (!(cpu->cr0 & CR0_PG)) {
		*gpa = linear;
		return true;
	}
	if (!descend(cpu, linear, &w, &out, &error))
		return false;
	*gpa = out.gpa;
	return true;
}

bool cpu_load_pdptes(Cpu *cpu, uint64_t cr3)
{
	uint64_t pdpte[4];
	uint64_t reserved = bits(cpu->phys_bits, 63) | 0x1e6; /* table 4-8 */
	for (unsigned i = 0; i < 4; i++) {
		Entry e;
		load_entry(cpu, (cr3 & 0xffffffe0) + i * 8, true, &e);
		if ((e.value & PTE_P) && (e.value & reserved))
			return false;
		pdpte[i] = e.value;
	}
	for (unsigned i = 0; i < 4; i++)
		cpu->pdpte[i] = pdpte[i];
	return true;
}
