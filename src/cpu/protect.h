/*
 * protect.h - descriptors and stacks, as control transfers use them.
 *
 * SDM vol. 3A: 3.4.5 (segment descriptors), 3.5 (system descriptors), 5.3 (limit
 * checks), 3.3.7.1 (canonical addresses). Shared by except.c, segment.c, far.c,
 * fastcall.c and task.c only; the vcpu's own thread.
 */
#ifndef VIV_CPU_PROTECT_H
#define VIV_CPU_PROTECT_H

#include "cpu/cpu.h"

/* An 8-byte table entry and where it lies. */
typedef struct Desc {
	uint64_t addr;
	uint32_t lo, hi;
} Desc;

/* System descriptor types (table 3-2) */
enum {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5,
	SYS_INT16 = 6, SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12,
	SYS_INT32 = 14, SYS_TRAP32 = 15,
};
#define SYS_TSS_BUSY_BIT 2u

static inline uint32_t desc_attr(const Desc *d) { return d->hi >> 8 & 0xf0ff; }
static inline unsigned desc_type(const Desc *d) { return d->hi >> 8 & 0xf; }
static inline unsigned desc_dpl(const Desc *d) { return d->hi >> 13 & 3; }
static inline bool desc_present(const Desc *d) { return d->hi & 0x8000; }
static inline bool desc_is_system(const Desc *d) { return !(d->hi & 0x1000); }
static inline bool desc_is_code(const Desc *d) { return (d->hi & 0x1800) == 0x1800; }
static inline bool desc_is_conforming(const Desc *d) { return (d->hi & 0x1c00) == 0x1c00; }
static inline bool desc_is_long(const Desc *d) { return d->hi & 0x200000; }
static inline bool desc_is_big(const Desc *d) { return d->hi & 0x400000; }
/* Data, not code, and writable. */
static inline bool desc_is_writable(const Desc *d) { return (d->hi & 0x1a00) == 0x1200; }
static inline uint16_t gate_selector(const Desc *d) { return (uint16_t)(d->lo >> 16); }
static inline uint32_t gate_offset(const Desc *d)
{
	return (d->hi & 0xffff0000) | (d->lo & 0xffff);
}

static inline uint32_t desc_base(const Desc *d)
{
	return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}

static inline uint32_t desc_limit(const Desc *d)
{
	uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);
	return d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
}

static inline Segment desc_segment(const Desc *d, uint16_t sel)
{
	return (Segment){ .base = desc_base(d), .limit = desc_limit(d), .attr = desc_attr(d),
			  .sel = sel };
}

static inline bool sel_is_null(uint16_t sel) { return (sel & 0xfffc) == 0; }

static inline bool cpu_canonical(const Cpu *cpu, uint64_t address)
{
	unsigned shift = cpu->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* Raises with an error code that names a selector; EXT is added while an event is delivered. */
G_NORETURN void cpu_sel_fault(Cpu *cpu, int vector, uint16_t sel);
/* Reads the entry `sel` names. False: beyond the table's limit, or no LDT. Null is the caller's. */
bool cpu_desc_read(Cpu *cpu, uint16_t sel, Desc *d);
/* The upper half of a 16-byte descriptor in long mode. False: beyond the limit. */
bool cpu_desc_read_upper(Cpu *cpu, uint16_t sel, const Desc *d, Desc *upper);
/* Sets the accessed bit in the table and in *d. */
void cpu_desc_touch(Cpu *cpu, Desc *d);
/* The null selector with hidden attributes as 64-bit SS has them at `cpl`. */
Segment cpu_null_segment(uint16_t sel, unsigned cpl);
/* DS, ES, FS and GS that an outer level may not see become null (5.8.2.1, RET/IRET). */
void cpu_drop_inner_segments(Cpu *cpu);
/* The rest of the segment is in reach: [offset, offset+size). */
bool cpu_segment_reaches(const Segment *s, uint64_t offset, unsigned size);
/* Checks an inner stack from the TSS and returns its descriptor: #TS, #SS with the selector. */
Desc cpu_check_stack_segment(Cpu *cpu, uint16_t sel, unsigned dpl);

/* A stack being pushed to or popped from before the transfer is committed. */
typedef struct Stack {
	Segment ss;
	uint64_t sp, mask; /* mask: 64, 32 or 16 bits of sp */
	unsigned access;
	uint16_t fault_sel; /* error code of #SS */
} Stack;

static inline uint64_t stack_mask(const Cpu *cpu, const Segment *ss)
{
	return cpu_code64(cpu) ? UINT64_MAX : ss->attr & SEG_DB ? UINT32_MAX : 0xffff;
}

Stack stack_current(Cpu *cpu);
void stack_push(Cpu *cpu, Stack *s, unsigned size, uint64_t value);
uint64_t stack_pop(Cpu *cpu, Stack *s, unsigned size);
/* The stack pointer register as it will be; upper bits of a 16-bit SP are kept. */
void stack_commit_sp(Cpu *cpu, const Stack *s);

/* RET and IRET: the code segment returned to (#GP, #NP), and its stack segment (#GP, #SS). */
Desc cpu_check_return_code(Cpu *cpu, uint16_t sel, uint64_t offset);
Segment cpu_check_return_stack(Cpu *cpu, uint16_t sel, const Desc *code, unsigned level);
/* CS:RIP, SS:RSP and CPL of the level returned to; inner data segments become null. */
void cpu_commit_return(Cpu *cpu, Desc *code, uint16_t sel, uint64_t offset, const Segment *ss,
		       uint64_t sp);

/* The inner stack pointer of `level` in the current TSS (7.2.1): raises #TS(TR). */
void cpu_tss_stack(Cpu *cpu, unsigned level, uint16_t *ss, uint32_t *esp);
/* The 64-bit TSS's RSP0..2 (slot 0..2) or IST1..7 (slot 4..10). */
uint64_t cpu_tss_rsp(Cpu *cpu, unsigned slot);

#endif
