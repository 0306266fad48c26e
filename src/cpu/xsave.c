/*
 * xsave.c - saving and restoring x87, vector and PKRU state.
 *
 * SDM vol. 1: 10.5 (FXSAVE), ch. 13: 13.4 (area), 13.5 (components), 13.6 (XINUSE), 13.7 to 13.12
 * (XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS). CR0.TS, CR0.EM and CR4.OSXSAVE
 * are the interpreter's to check, CPL of XSAVES and XRSTORS too. The modified
 * optimisation is not made: XSAVEOPT and XSAVES may always write. FCS and FDS are
 * saved as 0 (CPUID.07H:EBX[13]). No supervisor component is offered.
 * Thread: the vcpu's own.
 */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/features.h"

#define LEGACY_SIZE 512u
#define HEADER_SIZE 64u
#define EXTENDED_BASE (LEGACY_SIZE + HEADER_SIZE)
#define COMPACTED (UINT64_C(1) << 63)
#define MXCSR_INIT 0x1f80u
#define MXCSR_MASK 0xffffu
#define COMPONENTS 10

enum { X87, SSE, AVX, BNDREGS, BNDCSR, OPMASK, ZMM_HI256, HI16_ZMM, PT, PKRU };

/* Where each component lies in the standard format, as CPUID.0DH tells (13.5). */
static const struct {
	uint16_t offset, size;
} layout[COMPONENTS] = {
	[AVX] = { 576, 256 },        [BNDREGS] = { 960, 64 },     [BNDCSR] = { 1024, 64 },
	[OPMASK] = { 1088, 64 },     [ZMM_HI256] = { 1152, 512 }, [HI16_ZMM] = { 1664, 1024 },
	[PKRU] = { 2688, 8 },
};
#define AREA_MAX 2816

static unsigned visible_regs(const Cpu *cpu) { return cpu_code64(cpu) ? 16 : 8; }

static bool all_zero(const void *p, size_t size)
{
	const uint8_t *b = p;
	return size == 0 || (b[0] == 0 && memcmp(b, b + 1, size - 1) == 0);
}

uint32_t cpu_xsave_size(const Cpu *cpu, uint64_t components, bool compacted)
{
	uint32_t size = EXTENDED_BASE;
	for (unsigned i = AVX; i < COMPONENTS; i++) {
		if (!(components >> i & 1))
			continue;
		if (compacted)
			size += layout[i].size;
		else
			size = MAX(size, (uint32_t)layout[i].offset + layout[i].size);
	}
	return size;
}

static uint32_t component_offset(unsigned i, uint64_t xcomp_bv)
{
	if (!(xcomp_bv & COMPACTED))
		return layout[i].offset;
	uint32_t offset = EXTENDED_BASE;
	for (unsigned j = AVX; j < i; j++)
		if (xcomp_bv >> j & 1)
			offset += layout[j].size;
	return offset;
}

/* Bytes 0..23 and 32..159 of the legacy region. */
static void pack_x87(const Cpu *cpu, uint8_t *area, bool rexw)
{
	memcpy(area, cpu->vec.fx, 24);
	area[5] = 0;
	if (!rexw) {
		memset(area + 12, 0, 4);
		memset(area + 20, 0, 4);
	}
	for (unsigned i = 0; i < 8; i++) {
		memcpy(area + 32 + 16 * i, cpu->vec.fx + 32 + 16 * i, 10);
		memset(area + 32 + 16 * i + 10, 0, 6);
	}
}

static void unpack_x87(Cpu *cpu, const uint8_t *area, bool rexw)
{
	memcpy(cpu->vec.fx, area, 24);
	cpu->vec.fx[5] = 0;
	if (!rexw) {
		memset(cpu->vec.fx + 12, 0, 4);
		memset(cpu->vec.fx + 20, 0, 4);
	}
	memcpy(cpu->vec.fx + 32, area + 32, 128);
}

static void init_x87(Cpu *cpu)
{
	memset(cpu->vec.fx, 0, 24);
	memset(cpu->vec.fx + 32, 0, 128);
	cpu->vec.fx[0] = 0x7f;
	cpu->vec.fx[1] = 0x03;
}

static bool x87_in_use(const Cpu *cpu)
{
	const uint8_t *fx = cpu->vec.fx;
	if (fx[0] != 0x7f || fx[1] != 0x03 || !all_zero(fx + 2, 22))
		return true;
	for (unsigned i = 0; i < 8; i++)
		if (!all_zero(fx + 32 + 16 * i, 10))
			return true;
	return false;
}

static void pack_mxcsr(const Cpu *cpu, uint8_t *area)
{
	const uint32_t words[2] = { cpu->vec.mxcsr, MXCSR_MASK };
	memcpy(area + 24, words, 8);
}

/* The component's part of every register: [from, from+size) of zmm[first..first+count). */
typedef struct Slice { unsigned first, count, from, size; } Slice;

static Slice slice_of(const Cpu *cpu, unsigned i)
{
	unsigned regs = visible_regs(cpu);
	switch (i) {
	case SSE:
		return (Slice){ 0, regs, 0, 16 };
	case AVX:
		return (Slice){ 0, regs, 16, 16 };
	case ZMM_HI256:
		return (Slice){ 0, regs, 32, 32 };
	case HI16_ZMM:
		/* Out of reach, and left alone, outside 64-bit mode (13.5.5). */
		return (Slice){ 16, regs == 16 ? 16 : 0, 0, 64 };
	default:
		return (Slice){ 0 };
	}
}

/* Packs an extended component or the XMM registers; returns the bytes to write. */
static unsigned pack(const Cpu *cpu, unsigned i, uint8_t *out)
{
	if (i == OPMASK) {
		memcpy(out, cpu->vec.k, 64);
		return 64;
	}
	if (i == PKRU) {
		memcpy(out, &cpu->vec.pkru, 4);
		memset(out + 4, 0, 4);
		return 8;
	}
	Slice s = slice_of(cpu, i);
	for (unsigned r = 0; r < s.count; r++)
		memcpy(out + r * s.size, cpu->vec.zmm[s.first + r] + s.from, s.size);
	return s.count * s.size;
}

static void unpack(Cpu *cpu, unsigned i, const uint8_t *in)
{
	if (i == OPMASK) {
		memcpy(cpu->vec.k, in, 64);
	} else if (i == PKRU) {
		memcpy(&cpu->vec.pkru, in, 4);
	} else {
		Slice s = slice_of(cpu, i);
		for (unsigned r = 0; r < s.count; r++)
			memcpy(cpu->vec.zmm[s.first + r] + s.from, in + r * s.size, s.size);
	}
}

static unsigned packed_size(const Cpu *cpu, unsigned i)
{
	if (i == OPMASK)
		return 64;
	if (i == PKRU)
		return 8;
	Slice s = slice_of(cpu, i);
	return s.count * s.size;
}

static bool in_use(const Cpu *cpu, unsigned i)
{
	if (i == X87)
		return x87_in_use(cpu);
	if (i == OPMASK)
		return !all_zero(cpu->vec.k, sizeof(cpu->vec.k));
	if (i == PKRU)
		return cpu->vec.pkru != 0;
	Slice s = slice_of(cpu, i);
	for (unsigned r = 0; r < s.count; r++)
		if (!all_zero(cpu->vec.zmm[s.first + r] + s.from, s.size))
			return true;
	return false;
}

/* PKRU changes what the TLB's entries allow. */
static void set_pkru(Cpu *cpu, uint32_t before)
{
	if (cpu->vec.pkru != before && (cpu->cr4 & CR4_PKE))
		cpu_tlb_flush(cpu, true);
}

void cpu_fxsave(Cpu *cpu, uint64_t linear, bool rexw)
{
	uint8_t area[LEGACY_SIZE];
	unsigned len = 160 + 16 * visible_regs(cpu);

	if (linear & 15)
		cpu_gp0(cpu);
	pack_x87(cpu, area, rexw);
	pack_mxcsr(cpu, area);
	if (cpu->cr4 & CR4_OSFXSR)
		pack(cpu, SSE, area + 160);
	else
		len = 160;
	cpu_lin_write_buf(cpu, linear, area, len, MEM_WRITE | cpu_data_access(cpu));
}

void cpu_fxrstor(Cpu *cpu, uint64_t linear, bool rexw)
{
	uint8_t area[LEGACY_SIZE];
	uint32_t mxcsr;

	if (linear & 15)
		cpu_gp0(cpu);
	cpu_lin_read_buf(cpu, linear, area, sizeof(area), MEM_READ | cpu_data_access(cpu));
	memcpy(&mxcsr, area + 24, 4);
	bool sse = cpu->cr4 & CR4_OSFXSR;
	if (sse && (mxcsr & ~MXCSR_MASK))
		cpu_gp0(cpu);
	unpack_x87(cpu, area, rexw);
	if (sse) {
		cpu->vec.mxcsr = mxcsr;
		unpack(cpu, SSE, area + 160);
	}
}

static void save_legacy(Cpu *cpu, uint64_t linear, uint64_t write, bool mxcsr, bool rexw)
{
	uint8_t area[LEGACY_SIZE];
	unsigned access = MEM_WRITE | cpu_data_access(cpu);
	if (write & 1 << X87) {
		pack_x87(cpu, area, rexw);
		cpu_lin_write_buf(cpu, linear, area, 24, access);
		cpu_lin_write_buf(cpu, linear + 32, area + 32, 128, access);
	}
	if (mxcsr) {
		pack_mxcsr(cpu, area);
		cpu_lin_write_buf(cpu, linear + 24, area + 24, 8, access);
	}
	if (write & 1 << SSE) {
		unsigned len = pack(cpu, SSE, area);
		cpu_lin_write_buf(cpu, linear + 160, area, len, access);
	}
}

void cpu_xsave(Cpu *cpu, uint64_t linear, uint64_t mask, XsaveForm form, bool rexw)
{
	bool compact = form == XSAVEC || form == XSAVES;
	uint64_t rfbm = mask & (cpu->xcr0 | (form == XSAVES ? cpu->xss : 0));
	unsigned access = cpu_data_access(cpu);
	uint64_t used = 0;
	uint8_t part[1024];

	if (linear & 63)
		cpu_gp0(cpu);
	for (unsigned i = 0; i < COMPONENTS; i++)
		if ((rfbm >> i & 1) && in_use(cpu, i))
			used |= 1u << i;
	/* 13.10: with compaction a changed MXCSR counts as SSE in use. */
	if (compact && (rfbm & 1 << SSE) && cpu->vec.mxcsr != MXCSR_INIT)
		used |= 1 << SSE;

	uint64_t write = form == XSAVE ? rfbm : used;
	bool mxcsr = compact ? (write & 1 << SSE) : (rfbm & (1 << SSE | 1 << AVX)) != 0;
	uint64_t header[2] = { used, rfbm | COMPACTED };
	if (!compact)
		header[0] |= cpu_lin_read(cpu, linear + LEGACY_SIZE, 8, MEM_READ | access) & ~rfbm;
	save_legacy(cpu, linear, write, mxcsr, rexw);
	for (unsigned i = AVX; i < COMPONENTS; i++) {
		if (!(write >> i & 1))
			continue;
		unsigned len = pack(cpu, i, part);
		if (len)
			cpu_lin_write_buf(cpu,
					  linear + component_offset(i, compact ? header[1] : 0),
					  part, len, MEM_WRITE | access);
	}
	cpu_lin_write_buf(cpu, linear + LEGACY_SIZE, header, compact ? 16 : 8, MEM_WRITE | access);
}

/* 13.8.1, 13.8.2, 13.12: may this header be restored from? */
static bool header_valid(const Cpu *cpu, const uint64_t h[8], bool supervisor)
{
	uint64_t allowed = cpu->xcr0 | (supervisor ? cpu->xss : 0);
	if (!(h[1] & COMPACTED))
		return !supervisor && !(h[0] & ~allowed) && h[1] == 0 && h[2] == 0;
	if (!cpu_has(cpu, FEAT_XSAVEC))
		return false;
	return !(h[1] & ~(allowed | COMPACTED)) && !(h[0] & ~h[1]) && all_zero(&h[2], 48);
}

void cpu_xrstor(Cpu *cpu, uint64_t linear, uint64_t mask, bool supervisor, bool rexw)
{
	uint64_t rfbm = mask & (cpu->xcr0 | (supervisor ? cpu->xss : 0));
	unsigned access = MEM_READ | cpu_data_access(cpu);
	uint64_t header[8];
	uint8_t legacy[LEGACY_SIZE], area[AREA_MAX];
	static const uint8_t zeros[1024];
	uint32_t mxcsr = MXCSR_INIT, pkru = cpu->vec.pkru;

	if (linear & 63)
		cpu_gp0(cpu);
	cpu_lin_read_buf(cpu, linear + LEGACY_SIZE, header, sizeof(header), access);
	if (!header_valid(cpu, header, supervisor))
		cpu_gp0(cpu);
	bool compact = header[1] & COMPACTED;
	uint64_t load = rfbm & header[0];
	bool set_mxcsr = rfbm & (compact ? 1 << SSE : 1 << SSE | 1 << AVX);

	/* Everything is read before anything is changed. */
	if ((load & 3) || (set_mxcsr && !compact)) {
		cpu_lin_read_buf(cpu, linear, legacy, sizeof(legacy), access);
		if (!compact || (load & 1 << SSE))
			memcpy(&mxcsr, legacy + 24, 4);
		if (set_mxcsr && (mxcsr & ~MXCSR_MASK))
			cpu_gp0(cpu);
	}
	for (unsigned i = AVX; i < COMPONENTS; i++) {
		unsigned len = packed_size(cpu, i);
		if ((load >> i & 1) && len)
			cpu_lin_read_buf(cpu, linear + component_offset(i, header[1]),
					 area + layout[i].offset, len, access);
	}

	if (rfbm & 1 << X87) {
		if (load & 1 << X87)
			unpack_x87(cpu, legacy, rexw);
		else
			init_x87(cpu);
	}
	if (set_mxcsr)
		cpu->vec.mxcsr = mxcsr;
	if (rfbm & 1 << SSE)
		unpack(cpu, SSE, load & 1 << SSE ? legacy + 160 : zeros);
	for (unsigned i = AVX; i < COMPONENTS; i++)
		if (rfbm >> i & 1)
			unpack(cpu, i, load >> i & 1 ? area + layout[i].offset : zeros);
	set_pkru(cpu, pkru);
}
