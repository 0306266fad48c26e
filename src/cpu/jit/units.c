/*
 * units.c - when the guest's vector and x87 units may be in the host's, and what they look like when they come back.
 *
 * In the host's registers no exception of theirs may be unmasked, and the guest must be allowed to use them:
 * so translated code need not look at CR0, CR4, XCR0, or for pending exceptions. Whatever changes that runs by
 * a handler, which finds everything in Cpu.vec.
 */
#include "cpu/jit/jit.h"

#define MXCSR_MASKS 0x1f80u
#define FCW_MASKS 0x3fu
#define FSW_ES 0x80u
#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xe6u

/* The level that gives what `need` asks for: whoever writes YMM clears the rest of ZMM, so all of it has to be there. */
static unsigned level(const Cpu *cpu, unsigned need)
{
	uint64_t enabled = cpu->cr4 & CR4_OSXSAVE ? cpu->xcr0 : 0;

	if (!(cpu->cr4 & CR4_OSFXSR) || (cpu->vec.mxcsr & MXCSR_MASKS) != MXCSR_MASKS)
		return UNITS_NONE;
	if (need == UNITS_SSE)
		return UNITS_SSE;
	if ((enabled & XCR0_AVX512) == XCR0_AVX512)
		return UNITS_AVX512;
	return need == UNITS_AVX && (enabled & XCR0_AVX) == XCR0_AVX ? UNITS_AVX : UNITS_NONE;
}

static bool x87_masked(const Cpu *cpu)
{
	return (cpu->vec.fx[0] & FCW_MASKS) == FCW_MASKS && !(cpu->vec.fx[2] & FSW_ES);
}

bool units_want(Cpu *cpu, const JitBlock *b)
{
	cpu->jit_wanted[0] = cpu->jit_wanted[1] = 0;
	if (!b->units[0] && !b->units[1])
		return true;
	if (cpu->cr0 & (CR0_EM | CR0_TS))
		return false;
	unsigned vector = b->units[0] ? level(cpu, b->units[0]) : UNITS_NONE;
	if ((b->units[0] && !vector) || (b->units[1] && !x87_masked(cpu)))
		return false;
	cpu->jit_wanted[0] = (uint8_t)vector;
	cpu->jit_wanted[1] = b->units[1];
	if (b->units[1]) {
		memset(cpu->vec.xsave_header, 0, sizeof(cpu->vec.xsave_header));
		cpu->vec.xsave_header[0] = 1; /* XSTATE_BV: the x87 component is not in its initial state */
	}
	return true;
}

/* The block whose code the host address lies in. */
static const JitBlock *block_at(const Jit *j, const uint8_t *code)
{
	const JitRegion *r = j->region;

	while (r < &j->region[j->regions - 1] && code >= j->run + r->code_end)
		r++;
	size_t low = 0, high = r->ordered;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (r->order[middle]->code <= code)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? r->order[low - 1] : NULL;
}

/* FIP is that of the last x87 instruction; a host that keeps FDP without an exception would show its own address. */
void units_x87_saved(Cpu *cpu)
{
	const Jit *j = cpu->jit;
	uint64_t fip;

	memcpy(&fip, cpu->vec.fx + 8, 8);
	if (fip - (uintptr_t)j->run >= j->size)
		return;
	const uint8_t *code = (const uint8_t *)(uintptr_t)fip;
	const JitBlock *b = block_at(j, code);
	fip = 0;
	for (unsigned k = 0; b && k < b->x87_count; k++)
		if (b->code + b->x87[k].host == code)
			fip = b->rip + b->x87[k].guest;
	memcpy(cpu->vec.fx + 8, &fip, 8);
	memset(cpu->vec.fx + 16, 0, 8);
}
