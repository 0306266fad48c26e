/*
 * cpu.h - the architectural state of one x86 processor, and its view of the world.
 *
 * One struct serves the interpreter, the JIT and KVM. Section numbers in src/cpu/
 * are those of the Intel 64 and IA-32 Architectures Software Developer's Manual
 * ("SDM"), volumes 1 to 4, and of AMD's APM (24593, 24594) where it says so.
 *
 * A Cpu is touched by its own vcpu thread only, except `events`, which any
 * thread sets, and by others while the vcpu is stopped.
 */
#ifndef VIV_CPU_CPU_H
#define VIV_CPU_CPU_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "core/memory.h"

typedef struct Cpu Cpu;

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS, SEG_COUNT };

/* RFLAGS (vol. 1, 3.4.3) */
#define FLAG_CF (1u << 0)
#define FLAG_PF (1u << 2)
#define FLAG_AF (1u << 4)
#define FLAG_ZF (1u << 6)
#define FLAG_SF (1u << 7)
#define FLAG_TF (1u << 8)
#define FLAG_IF (1u << 9)
#define FLAG_DF (1u << 10)
#define FLAG_OF (1u << 11)
#define FLAG_IOPL (3u << 12)
#define FLAG_NT (1u << 14)
#define FLAG_RF (1u << 16)
#define FLAG_VM (1u << 17)
#define FLAG_AC (1u << 18)
#define FLAG_VIF (1u << 19)
#define FLAG_VIP (1u << 20)
#define FLAG_ID (1u << 21)
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FLAGS_FIXED 2u

/* Control registers (vol. 3A, 2.5) */
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_MCE (1u << 6)
#define CR4_PGE (1u << 7)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_LA57 (1u << 12)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

/* Exception vectors (vol. 3A, table 6-1) */
enum {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7,
	EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16,
	EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};
/* Page-fault error code (vol. 3A, 4.7) */
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_I 16u
#define PF_PK 32u

/* A segment register with its hidden part. attr: bits 8..23 of a descriptor's high dword, moved to bit 0. */
typedef struct Segment {
	uint64_t base;
	uint32_t limit; /* bytes - 1, granularity applied */
	uint32_t attr;
	uint16_t sel;
} Segment;
#define SEG_TYPE 0x000fu
#define SEG_A 0x0001u      /* accessed */
#define SEG_W 0x0002u      /* data: writable; code: readable */
#define SEG_E 0x0004u      /* data: expand down; code: conforming */
#define SEG_CODE 0x0008u
#define SEG_S 0x0010u      /* code or data, not system */
#define SEG_DPL(attr) ((attr) >> 5 & 3u)
#define SEG_P 0x0080u
#define SEG_AVL 0x1000u
#define SEG_L 0x2000u
#define SEG_DB 0x4000u
#define SEG_G 0x8000u
#define SEG_NULL 0x10000u  /* a null selector was loaded: not usable outside 64-bit mode */

typedef struct TableReg { uint64_t base; uint16_t limit; } TableReg;

/* Asynchronous events: bits of Cpu.events. */
enum {
	CPU_EV_INTR = 1 << 0,  /* level: the local APIC (or the 8259 through it) has a vector to deliver */
	CPU_EV_NMI = 1 << 1,
	CPU_EV_INIT = 1 << 2,
	CPU_EV_SIPI = 1 << 3,  /* vector in sipi_vector */
	CPU_EV_SMI = 1 << 4,
	CPU_EV_KICK = 1 << 5,  /* leave vcpu_run */
	CPU_EV_FLUSH = 1 << 6, /* the memory map changed: forget translations */
	CPU_EV_EXCLUSIVE = 1 << 7, /* another vcpu wants to run alone */
	CPU_EV_CODE = 1 << 8,  /* code was written over: look whether what runs is still what is there */
	CPU_EV_WRITES = 1 << 9, /* another vcpu decoded code: no page is known to be free of it */
};

/* The local APIC as its cpu calls it (hw/intc/lapic.c fills this in). Machine lock: taken inside. */
typedef struct CpuApicOps {
	uint32_t (*mmio_read)(void *apic, uint32_t offset);  /* offset 0..0xfff, 32-bit accesses */
	void (*mmio_write)(void *apic, uint32_t offset, uint32_t value);
	/* x2APIC MSRs 800h..8ffh, IA32_APIC_BASE (1bh), IA32_TSC_DEADLINE (6e0h). False: #GP(0). */
	bool (*msr_read)(void *apic, uint32_t msr, uint64_t *value);
	bool (*msr_write)(void *apic, uint32_t msr, uint64_t value);
	int (*ack)(void *apic);        /* takes the vector to deliver: 0..255, -1 if none is left (spurious) */
	uint8_t (*get_tpr)(void *apic);      /* CR8: task priority 0..15 */
	void (*set_tpr)(void *apic, uint8_t cr8);
	void (*init)(void *apic);      /* INIT reset of the APIC (keeps its base and id) */
} CpuApicOps;

/* How the cpu sees everything outside: a table of functions, so that it runs on a byte array in a test. */
typedef struct CpuWorld {
	/* What backs guest-physical `gpa`; false: nothing (open bus). Any thread. */
	bool (*translate)(void *opaque, uint64_t gpa, Translation *out);
	uint64_t (*mmio_read)(void *opaque, uint64_t gpa, unsigned size);
	void (*mmio_write)(void *opaque, uint64_t gpa, uint64_t value, unsigned size);
	uint32_t (*io_read)(void *opaque, uint16_t port, unsigned size);
	void (*io_write)(void *opaque, uint16_t port, uint32_t value, unsigned size);
	uint64_t (*tsc)(void *opaque);  /* guest TSC before IA32_TSC_ADJUST */
	void (*exclusive_begin)(void *opaque, Cpu *cpu); /* other vcpus stand between instructions */
	void (*exclusive_end)(void *opaque, Cpu *cpu);
	/* Returns once CPU_EV_WRITES is posted to every other vcpu, which stands between two instructions meanwhile. */
	void (*flush_others)(void *opaque, Cpu *cpu);
	void (*triple_fault)(void *opaque, Cpu *cpu);
	/* MSRs outside the processor itself (KVM paravirtual clock, ...). False: #GP(0). NULL: none. */
	bool (*msr_read)(void *opaque, Cpu *cpu, uint32_t msr, uint64_t *value);
	bool (*msr_write)(void *opaque, Cpu *cpu, uint32_t msr, uint64_t value);
	bool (*a20)(void *opaque); /* is address line 20 free? NULL: always; only shown */
} CpuWorld;

/* CPUID as the guest sees it (cpuid.c builds it from a model, the host and -cpu's features). */
typedef struct CpuidLeaf { uint32_t leaf, subleaf, eax, ebx, ecx, edx; bool indexed; } CpuidLeaf;
#define CPUID_LEAVES_MAX 96

/*
 * Soft TLB: one per privilege view. A tag is a linear page address: linear ^ tag is the offset in the page, and above
 * 4095 whenever the entry is another page's. Where there is none it is tlb_none(), an address that belongs into another
 * slot, so that no address looked up here, canonical or not, is taken for it.
 */
enum {
	TLB_KERNEL, TLB_USER,
	TLB_KERNEL_AC, /* SMAP off or suspended */
	TLB_SLOW,      /* never filled: alignment checks or data breakpoints want to see every access */
	TLB_MODES
};
#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)
static inline uint64_t tlb_none(unsigned slot) { return (uint64_t)(slot ^ TLB_SIZE / 2) << GUEST_PAGE_BITS | 1; }
typedef struct TlbEntry {
	uint64_t read, write, exec; /* tags; a page that is MMIO, watched or holds code has no write tag */
	uint8_t *page;              /* its first byte, where one of the tags is set */
} TlbEntry;

/* Behind it: translations of several address spaces (tlb.c). */
enum { TLB_READ = 1, TLB_WRITE = 2, TLB_EXEC = 4, TLB_GLOBAL = 8 };
#define TLB_BACK_BITS 10
#define TLB_BACK_SETS (1u << TLB_BACK_BITS)
#define TLB_BACK_WAYS 4
#define TLB_LIST_MAX 1024
#define TLB_LARGE_KINDS 3
typedef struct TlbBackEntry {
	uint64_t key;               /* linear page, view, ASID; 0: empty */
	uint64_t page;              /* host address | TLB_* */
} TlbBackEntry;
/* Slots of Cpu.tlbs that were filled, view << TLB_BITS | slot; a count above the maximum: more than are here. */
typedef struct TlbList {
	uint16_t slot[TLB_LIST_MAX];
	unsigned count;
} TlbList;
/* What `info jit` tells. */
typedef struct TlbCounts {
	uint64_t misses, recalled; /* of the front; of these, the one behind had it */
	uint64_t full, partial, pages, elided; /* flushes: with global pages, of an address space, of one page, avoided */
} TlbCounts;
typedef struct TlbBack {
	_Alignas(64) TlbBackEntry set[TLB_BACK_SETS][TLB_BACK_WAYS];
	uint16_t asid, global_asid; /* of what is in force, and of global pages; 1 and up */
	uint16_t last_asid;         /* given out */
	uint16_t floor;             /* older ones are not to be come back to */
	uint16_t of_pcid[4096];
	unsigned victim;
	TlbList list[2];            /* of entries that are not global, that are */
	uint8_t slot[TLB_MODES * TLB_SIZE];
	uint64_t large[TLB_LARGE_KINDS][64]; /* filters of 4096 bits */
} TlbBack;

/* Vector state (vol. 1, 10 to 15), flat: xmm and ymm are the low parts of zmm. */
typedef struct CpuVector {
	_Alignas(64) uint8_t zmm[32][64];
	uint64_t k[8];
	uint32_t mxcsr;
	/* x87 and MMX in FXSAVE layout (vol. 1, 10.5.1): FCW, FSW, FTW, FOP, FIP, FDP, ..., ST0..7 from byte 32. */
	_Alignas(64) uint8_t fx[512];
	uint64_t xsave_header[8]; /* behind it, so that XSAVE and XRSTOR can be used; of no meaning to the guest */
	uint32_t pkru;
} CpuVector;

#define JIT_SHARES 8

struct Cpu {
	/* What generated code touches most stands first. */
	union {
		uint64_t regs[18]; /* 16: rip, 17: always 0, so that an address needs no branch */
		struct {
			uint64_t gpr[16];
			uint64_t rip; /* of the current block while one runs (interp/); exact everywhere else */
			uint64_t zero;
		};
	};
	uint16_t arith;         /* arithmetic flags as LAHF and SETO leave them in AX: AH = SF ZF - AF - PF - CF, AL = OF */
	uint8_t cpl;
	uint8_t mode;           /* CpuMode: what the decoder and blocks are keyed by; cpu_update_mode() */
	uint32_t rflags;        /* all but the arithmetic flags, which are 0 here; bit 1 is set */
	TlbEntry *tlb;          /* tlbs[TLB_*] in force */
	_Atomic uint32_t events;
	uint32_t heeded;        /* events that translated code leaves for: jit_heed() */
	uint8_t inhibit;        /* interrupts held off for one instruction (STI, MOV SS): 1 = in the next one */
	bool halted;            /* HLT, or waiting for SIPI */
	bool wait_sipi;
	bool nmi_blocked;
	uint8_t sipi_vector;

	Segment seg[SEG_COUNT + 1], ldtr, tr; /* seg[6]: base 0, for 64-bit addresses */
	/*
	 * Outside 64-bit mode: the last offset that may be read [0] and written [1] through a segment. -1: none, or the
	 * segment expands down and each access has to be looked at. cpu_update_mode() keeps it.
	 */
	int64_t seg_last[SEG_COUNT][2];
	TableReg gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
	uint64_t dr[8];
	uint64_t pdpte[4];      /* PAE: loaded by MOV CR3 */

	/* MSRs */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux, tsc_adjust, xss, pat;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t misc_enable, mtrr_def_type, mtrr_fixed[11], mtrr_var[16], mcg_status, mcg_ctl, mc_bank[40];
	uint64_t spec_ctrl, debugctl, apic_base_shadow, feature_control, bios_sign_id;

	CpuVector vec;

	/* Identity */
	unsigned index;         /* 0 is the bootstrap processor */
	uint32_t apic_id;
	uint32_t features[32];  /* CPUID feature words in force, by FEAT_WORD_* (features.h) */
	CpuidLeaf cpuid[CPUID_LEAVES_MAX];
	unsigned cpuid_count;
	struct CpuIdentity *model; /* models.h; owned */
	uint8_t phys_bits, lin_bits;
	uint64_t xcr0_supported;
	uint64_t tsc_khz;

	/* World */
	const CpuWorld *world;
	void *world_opaque;
	RamArena *arena;        /* page states; NULL: no code cache coherence needed (tests on byte arrays) */
	const CpuApicOps *apic_ops;
	void *apic;             /* NULL: none */
	struct {
		uint64_t start, size;   /* guest-physical; size 0: empty */
		Translation t;
	} region;               /* the last one asked for: page walks ask for the same all the time */
	void (*ops_kick)(Cpu *cpu); /* makes vcpu_run look at events soon; any thread; NULL before the thread runs */
	void *accel_data;

	/* A debugger outside (debugger.h); written while the vcpu stands, `stop` and `address` by its thread. */
	struct {
		const struct CpuDebugger *set; /* breakpoints and watchpoints; NULL: none */
		uint8_t step;                  /* CPU_STEP_*; 0: run on */
		uint8_t stop;                  /* CpuStop */
		uint64_t address;              /* of what was hit */
		bool armed;                    /* `made` is not all zeros */
		uint64_t made[64];             /* CpuDebugger.offsets that code was made with */
	} debug;

	/* Exceptions in flight */
	jmp_buf unwind;         /* cpu_exception() lands here */
	int exc_vector;         /* the exception being raised */
	uint32_t exc_error;
	bool exc_has_error;
	uint8_t exc_ext;        /* EXT bit of error codes: an event not caused by INT n is being delivered */
	uint32_t db_pending;    /* DR6 bits to raise #DB with after this instruction */

	/* Execution (interp) */
	struct Jit *jit;        /* translated code (jit/); NULL: everything is interpreted */
	struct JitJump *jit_jumps; /* where indirect branches look, with */
	uint64_t jit_key;       /* what an entry there must carry to be of use now */
	uint64_t jit_scratch;   /* translated code's, within one instruction */
	/*
	 * Which of the guest's units are in the host's registers while translated code runs: [0] a UNITS_* level of the
	 * vector unit, [1] x87 and MMX. Elsewhere 0 and 0, and `vec` is true. jit_wanted: what is to be loaded next.
	 */
	_Alignas(2) uint8_t jit_units[2], jit_wanted[2];
	uint64_t jit_limit;     /* a loop's register, when its checks have to be made anew (jit/loop.c) */
	uint64_t jit_share[JIT_SHARES]; /* what to add to guest addresses of a stretch that was checked (jit/share.c) */
	uint64_t tlb_drops;     /* counts what makes translations in use wrong */
	struct ICache *icache;  /* decoded instructions; interp/ owns it */
	const void *cur;        /* the decoded instruction that may fault; NULL: rip is exact */
	uint64_t insn_count;    /* instructions retired, for `info` and tests */
	TlbEntry tlbs[TLB_MODES][TLB_SIZE];
	TlbBack tlb_back;
	TlbCounts tlb_counts;
};

/* The execution mode as decoding sees it. Bit set, so that a block's key is one byte. */
typedef enum CpuMode {
	MODE_CODE16 = 0,
	MODE_CODE32 = 1,   /* CS.D */
	MODE_CODE64 = 2,
	MODE_CODE_MASK = 3,
	MODE_SS32 = 4,     /* SS.B: stack pointer is ESP (16/32-bit code) */
	MODE_PROT = 8,     /* CR0.PE and not VM */
	MODE_V86 = 16,
	MODE_FLAT = 32,    /* 16/32-bit: CS, DS, ES, SS bases are 0 and limits 4 GiB: checks vanish */
	MODE_USER = 64,    /* CPL 3 */
	MODE_STEP = 128,   /* TF, or data/IO breakpoints are armed: one instruction at a time */
} CpuMode;

/* ---- state (state.c) ---- */
Cpu *cpu_new(unsigned index, const CpuWorld *world, void *opaque, RamArena *arena); /* zeroed, then cpu_reset */
void cpu_free(Cpu *cpu);
void cpu_reset(Cpu *cpu);  /* RESET (vol. 3A, table 9-1) */
void cpu_init_ipi(Cpu *cpu); /* INIT: as reset, but keeps x87/vector state, MTRRs, TSC */
void cpu_sipi(Cpu *cpu, uint8_t vector);
/* Recomputes mode, tlb and seg_last from CPL, segments, CR0, EFER, RFLAGS. After any change of them. */
void cpu_update_mode(Cpu *cpu);
/* Sets event bits and kicks the vcpu; any thread. */
void cpu_post(Cpu *cpu, uint32_t events);
void cpu_clear(Cpu *cpu, uint32_t events);

static inline uint32_t cpu_arith_to_flags(uint16_t arith)
{
	return (arith >> 8 & 0xd5u) | (uint32_t)(arith & 1) << 11;
}
static inline uint16_t cpu_flags_to_arith(uint32_t flags)
{
	return (uint16_t)((flags & 0xd5u) << 8 | (flags >> 11 & 1));
}
static inline uint32_t cpu_rflags(const Cpu *cpu) { return cpu->rflags | cpu_arith_to_flags(cpu->arith); }
/* Stores all of RFLAGS as given (no privilege checks); updates mode if TF, VM or AC changed. */
void cpu_set_rflags(Cpu *cpu, uint32_t flags);

static inline bool cpu_long_mode(const Cpu *cpu) { return cpu->efer & EFER_LMA; }
static inline bool cpu_code64(const Cpu *cpu) { return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64; }
static inline bool cpu_protected(const Cpu *cpu) { return cpu->mode & MODE_PROT; }
static inline bool cpu_v86(const Cpu *cpu) { return cpu->mode & MODE_V86; }

/* ---- text (registers.c, log.c) ---- */
enum { REGISTERS_FPU = 1, REGISTERS_CC = 2 /* how flags are kept */ };
/* Appends lines; x87 and vector registers only if asked for. */
void cpu_append_registers(const Cpu *cpu, unsigned what, GString *out);
/* `-d mmu`: what a control register has become. */
void cpu_log_cr(const Cpu *cpu, int cr, uint64_t before);
/*
 * What is logged of blocks (LOG_IN_BLOCKS) has changed: they are made anew when they are next entered. The vcpu stands
 * still outside of interp_run.
 */
void interp_log_changed(Cpu *cpu);

/* ---- exceptions (except.c) ---- */
/* Raises: unwinds to the run loop, which delivers it. RIP must be the faulting instruction's. */
G_NORETURN void cpu_exception(Cpu *cpu, int vector);
G_NORETURN void cpu_exception_err(Cpu *cpu, int vector, uint32_t error);
G_NORETURN void cpu_page_fault(Cpu *cpu, uint64_t linear, uint32_t error);
#define cpu_gp0(cpu) cpu_exception_err(cpu, EXC_GP, 0)
typedef enum IntKind { INT_HARDWARE, INT_EXCEPTION, INT_SOFT /* INT n */, INT_BREAKPOINT /* INT3, INTO */, INT_ICEBP } IntKind;
/*
 * Delivers through IVT, IDT or task gate. May itself fault: contributory faults
 * become #DF and a triple fault calls world->triple_fault and leaves the cpu
 * halted. RIP: of the instruction to return to. Never unwinds to its caller's
 * cpu->unwind: it sets its own.
 */
void cpu_deliver(Cpu *cpu, int vector, IntKind kind, bool has_error, uint32_t error);
/* INT n as an instruction: V86/IOPL checks, then delivery that raises faults normally. `next` is the RIP to return to. */
void cpu_soft_int(Cpu *cpu, int vector, IntKind kind, uint64_t next);

/* ---- paging (paging.c) ---- */
typedef enum MemAccess {
	MEM_READ = 0, MEM_WRITE = 1, MEM_EXEC = 2,
	MEM_USER = 4,     /* as CPL 3 */
	MEM_IMPLICIT = 8, /* implicit supervisor access (descriptor tables, TSS): SMAP applies whatever EFLAGS.AC */
} MemAccess;
typedef struct PageWalk {
	uint64_t gpa;        /* of the address asked for */
	uint8_t page_bits;   /* 12, 21, 22 or 30 */
	/* What the view asked for (user or supervisor) may do, keys, WP, SMEP and SMAP counted in. */
	bool readable, writable, nx;
	bool global, user;   /* as the tables say */
	bool dirty;          /* D is set, so a write needs no walk */
	uint8_t pkey;
	uint32_t error;      /* when false is returned: the page-fault error code */
} PageWalk;
/* Walks, checks, sets A and D bits (atomically). Does not raise. Paging off: identity. Handles A20 nowhere: see translate. */
bool cpu_walk(Cpu *cpu, uint64_t linear, unsigned access, PageWalk *out);
/* For debuggers: no rights checks, no A/D. False: not mapped. */
bool cpu_walk_debug(Cpu *cpu, uint64_t linear, uint64_t *gpa);
/* Loads and checks the four PDPTEs at CR3 in PAE mode. False: #GP(0). */
bool cpu_load_pdptes(Cpu *cpu, uint64_t cr3);

/*
 * world->translate with the last answer kept (until CPU_EV_FLUSH is served). Vcpu thread only.
 */
bool cpu_translate(Cpu *cpu, uint64_t gpa, Translation *out);

/* ---- memory (mem.c): linear addresses, TLB, faults raised ---- */
/* size 1, 2, 4 or 8. access: MEM_READ/WRITE or'ed with USER or IMPLICIT as needed; pages crossed are both checked first. */
uint64_t cpu_lin_read(Cpu *cpu, uint64_t linear, unsigned size, unsigned access);
void cpu_lin_write(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size, unsigned access);
/* Any length; all pages are checked before the first byte is written. */
void cpu_lin_read_buf(Cpu *cpu, uint64_t linear, void *buf, unsigned len, unsigned access);
void cpu_lin_write_buf(Cpu *cpu, uint64_t linear, const void *buf, unsigned len, unsigned access);
/* Raises #PF if [linear, linear+len) may not be accessed so. */
void cpu_lin_probe(Cpu *cpu, uint64_t linear, unsigned len, unsigned access);
/* ---- the TLB (tlb.c) ---- */
void cpu_tlb_reset(Cpu *cpu);                  /* for cpu_new */
/* What the address space in force has but its global pages; with `global` everything of all address spaces. */
void cpu_tlb_flush(Cpu *cpu, bool global);
/* INVLPG: one page, 4 KiB or larger, of the address space in force, global or not. */
void cpu_tlb_flush_page(Cpu *cpu, uint64_t linear);
/* CR3 was written. `keep`: what is remembered of its PCID is still good. */
void cpu_tlb_switch(Cpu *cpu, bool keep);
void cpu_tlb_flush_pcid(Cpu *cpu, unsigned pcid); /* all of one PCID but global pages */
void cpu_tlb_flush_pcids(Cpu *cpu);               /* all of all PCIDs but global pages */
/*
 * For locked instructions: the host address of [linear, linear+size), write rights checked; NULL where
 * it is no plain memory, crosses a cache line or holds decoded code (then: exclusive section, read, write).
 */
void *cpu_lin_rmw(Cpu *cpu, uint64_t linear, unsigned size);
/* Instruction fetch: host address and the bytes left in the page (at most 4096). NULL: not plain memory. Raises #PF. */
const uint8_t *cpu_lin_fetch(Cpu *cpu, uint64_t linear, unsigned *left);
/* Access with the present CPL's rights (user or supervisor by cpu->cpl). */
static inline unsigned cpu_data_access(const Cpu *cpu) { return cpu->cpl == 3 ? MEM_USER : 0; }

/* ---- segments and control transfer (segment.c, far.c, task.c) ---- */
void cpu_load_segment(Cpu *cpu, int seg, uint16_t sel);   /* MOV/POP/LxS; raises; handles real, V86, protected, long */
void cpu_set_real_segment(Segment *s, uint16_t sel);      /* real/V86 load: base only in real mode */
/* opsize: 2, 4 or 8. They set RIP, CS, SS, RSP, CPL as due. `next` is the RIP after the instruction. */
void cpu_far_jmp(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned opsize, uint64_t next);
void cpu_far_call(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned opsize, uint64_t next);
void cpu_far_ret(Cpu *cpu, unsigned opsize, unsigned pop_bytes, uint64_t next);
void cpu_iret(Cpu *cpu, unsigned opsize, uint64_t next);
void cpu_syscall(Cpu *cpu, uint64_t next);
void cpu_sysret(Cpu *cpu, unsigned opsize);
void cpu_sysenter(Cpu *cpu);
void cpu_sysexit(Cpu *cpu, unsigned opsize);
void cpu_lldt(Cpu *cpu, uint16_t sel);
void cpu_ltr(Cpu *cpu, uint16_t sel);
/* LAR, LSL, VERR, VERW: true and *value on success (ZF). */
bool cpu_lar(Cpu *cpu, uint16_t sel, uint32_t *value);
bool cpu_lsl(Cpu *cpu, uint16_t sel, uint32_t *value);
bool cpu_ver(Cpu *cpu, uint16_t sel, bool write);
/* Task switch (vol. 3A, 7.3). */
typedef enum TaskSource { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE_INT } TaskSource;
void cpu_task_switch(Cpu *cpu, uint16_t tss_sel, TaskSource source, bool has_error, uint32_t error, uint64_t next);
/* I/O permission (vol. 1, 18.5): raises #GP(0) unless CPL <= IOPL or the bitmap allows [port, port+size). */
void cpu_check_io(Cpu *cpu, uint16_t port, unsigned size);

/* ---- registers that have rules (control.c, msr.c, cpuid.c, xsave.c) ---- */
void cpu_write_cr(Cpu *cpu, int cr, uint64_t value); /* raises #GP; flushes TLB, updates mode. CR8 too */
uint64_t cpu_read_cr(Cpu *cpu, int cr);
void cpu_write_dr(Cpu *cpu, int dr, uint64_t value);
uint64_t cpu_read_dr(Cpu *cpu, int dr);
uint64_t cpu_rdmsr(Cpu *cpu, uint32_t msr);          /* raises #GP(0) */
void cpu_wrmsr(Cpu *cpu, uint32_t msr, uint64_t value);
void cpu_write_xcr(Cpu *cpu, uint32_t index, uint64_t value);
uint64_t cpu_tsc(Cpu *cpu);
void cpu_do_cpuid(Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* EAX EBX ECX EDX */
void cpu_invpcid(Cpu *cpu, uint64_t type, uint64_t pcid, uint64_t linear);
/* POPF/PUSHF/CLI/STI with IOPL, VME, PVI rules. */
void cpu_popf(Cpu *cpu, uint64_t value, unsigned opsize);
uint64_t cpu_pushf(Cpu *cpu, unsigned opsize);
void cpu_cli(Cpu *cpu);
void cpu_sti(Cpu *cpu);   /* sets inhibit when IF was 0 */
/* FXSAVE/FXRSTOR/XSAVE*: linear address already segment-checked; rexw: the 64-bit form. They raise #GP on misalignment etc. */
void cpu_fxsave(Cpu *cpu, uint64_t linear, bool rexw);
void cpu_fxrstor(Cpu *cpu, uint64_t linear, bool rexw);
typedef enum XsaveForm { XSAVE, XSAVEOPT, XSAVEC, XSAVES } XsaveForm;
void cpu_xsave(Cpu *cpu, uint64_t linear, uint64_t mask, XsaveForm form, bool rexw);
void cpu_xrstor(Cpu *cpu, uint64_t linear, uint64_t mask, bool supervisor, bool rexw);
uint32_t cpu_xsave_size(const Cpu *cpu, uint64_t components, bool compacted); /* bytes */
/* Data breakpoints: called by mem.c's slow path while MODE_STEP; sets db_pending. */
void cpu_check_watch(Cpu *cpu, uint64_t linear, unsigned size, bool write);
void cpu_check_io_watch(Cpu *cpu, uint16_t port, unsigned size);
bool cpu_insn_breakpoint(Cpu *cpu, uint64_t linear); /* DR7 instruction breakpoint matches (RF clear) */

/* ---- running (interp/) ---- */
/* Runs until an event needs the caller. True: halted (HLT/wait for SIPI) with nothing pending. */
bool interp_run(Cpu *cpu);
/* One instruction for a debugger (Cpu.debug.step), or the delivery of what it raises. False: halted, nothing was done. */
bool interp_debug_step(Cpu *cpu);
/* Executes exactly one instruction (for KVM's emulation failures and tests); exceptions are delivered. */
void interp_step(Cpu *cpu);
bool interp_init(Cpu *cpu, GError **error);
void interp_free(Cpu *cpu);
/* From now on each block has one instruction, translated ones too. The vcpu stands still. */
void interp_one_insn_blocks(Cpu *cpu);
/*
 * From now on hot blocks are translated to host code; code_bytes: of the cache, 0 for the default. False: the host
 * allows no executable memory. After interp_init.
 */
bool jit_init(Cpu *cpu, size_t code_bytes, GError **error);
/* How often a block runs in the interpreter before it is translated. */
void jit_set_heat(Cpu *cpu, uint8_t runs);
/* Counts of each vcpu and their sum, for `info jit`; the vcpus stand still. */
void jit_info(Cpu *const *cpus, unsigned count, GString *out);
/*
 * /tmp/perf-PID.map: from now on each block that any vcpu translates has a line there. Main thread, no vcpu runs; once,
 * until it is closed.
 */
bool jit_perfmap_open(GError **error);
void jit_perfmap_close(void);
void jit_free(Cpu *cpu);

#endif
