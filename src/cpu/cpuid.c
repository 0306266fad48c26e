/*
 * cpuid.c - the CPUID instruction.
 *
 * SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E. Leaves are built once from feature
 * words, identity and topology; bits that follow control registers are put in when
 * the guest asks. Building: main thread; asking: the vcpu's own.
 */
#include <cpuid.h>
#include <string.h>

#include "cpu/models.h"

#define AMD_EBX 0x68747541u /* "Auth" */
#define EDX_SHARED_WITH_AMD 0x0183f3ffu /* 80000001H EDX repeats these of 01H on AMD */

void cpu_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	uint32_t max = 0;
	memset(out, 0, 16);
	max = __get_cpuid_max(leaf & 0xf0000000, NULL);
	if (max >= leaf)
		__cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

void cpu_host_features(uint32_t words[FEAT_WORD_COUNT])
{
	uint32_t r[4];
	memset(words, 0, FEAT_WORD_COUNT * sizeof(words[0]));
	cpu_host_cpuid(1, 0, r);
	words[FEAT_WORD_1_EDX] = r[3];
	words[FEAT_WORD_1_ECX] = r[2];
	cpu_host_cpuid(6, 0, r);
	words[FEAT_WORD_6_EAX] = r[0];
	cpu_host_cpuid(7, 0, r);
	words[FEAT_WORD_7_EBX] = r[1];
	words[FEAT_WORD_7_ECX] = r[2];
	words[FEAT_WORD_7_EDX] = r[3];
	cpu_host_cpuid(7, 1, r);
	words[FEAT_WORD_7_1_EAX] = r[0];
	cpu_host_cpuid(0xd, 1, r);
	words[FEAT_WORD_D_1_EAX] = r[0];
	cpu_host_cpuid(0x80000001, 0, r);
	words[FEAT_WORD_8001_EDX] = r[3];
	words[FEAT_WORD_8001_ECX] = r[2];
	cpu_host_cpuid(0x80000007, 0, r);
	words[FEAT_WORD_8007_EDX] = r[3];
	cpu_host_cpuid(0x80000008, 0, r);
	words[FEAT_WORD_8008_EBX] = r[1];
	cpu_host_cpuid(0x8000000a, 0, r);
	words[FEAT_WORD_SVM] = r[3];
}

static void put(Cpu *cpu, uint32_t leaf, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	if (cpu->cpuid_count < CPUID_LEAVES_MAX)
		cpu->cpuid[cpu->cpuid_count++] = (CpuidLeaf){ leaf, 0, a, b, c, d, false };
}

static void put_sub(Cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t a, uint32_t b, uint32_t c,
		    uint32_t d)
{
	if (cpu->cpuid_count < CPUID_LEAVES_MAX)
		cpu->cpuid[cpu->cpuid_count++] = (CpuidLeaf){ leaf, sub, a, b, c, d, true };
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;
	while (bits < 31 && 1u << bits < count)
		bits++;
	return bits;
}

uint32_t cpu_topology_apic_id(const CpuTopology *topo, unsigned index)
{
	unsigned threads = MAX(topo->threads, 1u), cores = MAX(topo->cores, 1u);
	unsigned thread = index % threads, core = index / threads % cores;
	unsigned socket = index / (threads * cores);
	unsigned core_shift = bits_for(threads), socket_shift = core_shift + bits_for(cores);
	return socket << socket_shift | core << core_shift | thread;
}

static uint32_t signature(const CpuIdentity *id)
{
	unsigned base = MIN(id->family, 15u);
	return id->stepping | (id->model & 15) << 4 | base << 8 | (id->model >> 4 & 15) << 16 |
	       (id->family - base) << 20;
}

static uint32_t text(const char *s)
{
	uint32_t v;
	memcpy(&v, s, 4);
	return v;
}

/* A data, instruction or unified cache of leaf 4 and 8000001DH. */
typedef struct Cache {
	uint8_t type, level, ways;
	uint32_t sets;
	bool inclusive;
} Cache;

static void put_cache(Cpu *cpu, uint32_t leaf, unsigned sub, const Cache *c, unsigned sharing,
		      unsigned cores)
{
	uint32_t ids = (1u << bits_for(sharing)) - 1, packages = (1u << bits_for(cores)) - 1;
	put_sub(cpu, leaf, sub,
		c->type | (uint32_t)c->level << 5 | 1u << 8 | ids << 14 |
			(leaf == 4 ? packages << 26 : 0),
		63u | (c->ways - 1u) << 22, c->sets - 1, c->inclusive ? 2 : 0);
}

/* L1 32 KiB each, L2 2 MiB a core; L3 16 MiB for all cores of a socket. */
static void put_caches(Cpu *cpu, uint32_t leaf, const CpuIdentity *id)
{
	static const Cache caches[] = {
		{ 1, 1, 8, 64, false }, { 2, 1, 8, 64, false }, { 3, 2, 16, 2048, false },
		{ 3, 3, 16, 16384, true },
	};
	unsigned threads = id->topo.threads, cores = id->topo.cores, n = id->l3_cache ? 4 : 3;
	for (unsigned i = 0; i < n; i++)
		put_cache(cpu, leaf, i, &caches[i], i == 3 ? threads * cores : threads, cores);
	put_sub(cpu, leaf, n, 0, 0, 0, 0);
}

static void put_topology(Cpu *cpu, const CpuIdentity *id)
{
	unsigned threads = id->topo.threads, all = threads * id->topo.cores;
	unsigned core_shift = bits_for(threads);
	unsigned socket_shift = core_shift + bits_for(id->topo.cores);
	put_sub(cpu, 0xb, 0, core_shift, threads, 0 | 1 << 8, cpu->apic_id);
	put_sub(cpu, 0xb, 1, socket_shift, all, 1 | 2 << 8, cpu->apic_id);
	put_sub(cpu, 0xb, 2, 0, 0, 2, cpu->apic_id);
}

static uint64_t xcr0_of(const Cpu *cpu)
{
	uint64_t mask = 3;
	if (!cpu_has(cpu, FEAT_XSAVE))
		return 1;
	if (cpu_has(cpu, FEAT_AVX))
		mask |= 4;
	if (cpu_has(cpu, FEAT(7_EBX, 14)))
		mask |= 0x18; /* MPX */
	if (cpu_has(cpu, FEAT_AVX512F))
		mask |= 0xe0;
	if (cpu_has(cpu, FEAT_PKU))
		mask |= 0x200;
	if (cpu_has(cpu, FEAT(7_EDX, 24)))
		mask |= 0x60000; /* AMX */
	return mask;
}

/* Under KVM the area is the host's own, so its layout is asked for; ours is Intel's. */
static void put_xsave(Cpu *cpu, const CpuIdentity *id)
{
	uint64_t mask = cpu->xcr0_supported;
	uint32_t size = cpu_xsave_size(cpu, mask, false), r[4];

	if (!cpu_has(cpu, FEAT_XSAVE))
		return;
	for (unsigned i = 2; id->kvm && i < 63; i++) {
		if (!(mask >> i & 1))
			continue;
		cpu_host_cpuid(0xd, i, r);
		size = MAX(size, r[0] + r[1]);
	}
	put_sub(cpu, 0xd, 0, (uint32_t)mask, size, size, (uint32_t)(mask >> 32));
	put_sub(cpu, 0xd, 1, cpu->features[FEAT_WORD_D_1_EAX], cpu_xsave_size(cpu, mask, true), 0,
		0);
	for (unsigned i = 2; i < 63; i++) {
		if (!(mask >> i & 1))
			continue;
		uint64_t one = UINT64_C(1) << i;
		r[0] = cpu_xsave_size(cpu, one, true) - 576;
		r[1] = cpu_xsave_size(cpu, one, false) - r[0];
		r[2] = 0;
		if (id->kvm)
			cpu_host_cpuid(0xd, i, r);
		put_sub(cpu, 0xd, i, r[0], r[1], r[2] & ~1u, 0);
	}
}

static void put_basic(Cpu *cpu, const CpuIdentity *id, bool amd)
{
	const uint32_t *f = cpu->features;
	unsigned logical = id->topo.threads * id->topo.cores;
	uint32_t edx = f[FEAT_WORD_1_EDX];

	put(cpu, 0, id->level, text(id->vendor), text(id->vendor + 8), text(id->vendor + 4));
	if (logical > 1)
		edx |= 1u << (FEAT_HT & 31);
	put(cpu, 1, signature(id), (cpu->apic_id & 0xff) << 24 | MIN(logical, 255u) << 16 | 8 << 8,
	    f[FEAT_WORD_1_ECX], edx);
	/* Descriptors of the caches that put_caches tells of (table 3-12). */
	put(cpu, 2, 1, 0, id->l3_cache ? 0x4d : 0, 0x2c307d);
	if (amd)
		put_sub(cpu, 4, 0, 0, 0, 0, 0);
	else
		put_caches(cpu, 4, id);
	put(cpu, 5, 0, 0, 0, 0);
	put(cpu, 6, f[FEAT_WORD_6_EAX], 0, 0, 0);
	put_sub(cpu, 7, 0, f[FEAT_WORD_7_1_EAX] ? 1 : 0, f[FEAT_WORD_7_EBX], f[FEAT_WORD_7_ECX],
		f[FEAT_WORD_7_EDX]);
	put_sub(cpu, 7, 1, f[FEAT_WORD_7_1_EAX], 0, 0, 0);
	put(cpu, 0xa, 0, 0, 0, 0);
	put_topology(cpu, id);
	put_xsave(cpu, id);
}

static void put_hypervisor(Cpu *cpu, const CpuIdentity *id)
{
	if (!cpu_has(cpu, FEAT_HYPERVISOR) || !id->signature)
		return;
	const char *name = id->kvm ? "KVMKVMKVM\0\0" : "VivariumVIV";
	put(cpu, 0x40000000, 0x40000001, text(name), text(name + 4), text(name + 8));
	put(cpu, 0x40000001, id->kvm ? cpu->features[FEAT_WORD_KVM] : 0, 0, 0, 0);
}

static void put_extended(Cpu *cpu, const CpuIdentity *id, bool amd)
{
	const uint32_t *f = cpu->features;
	unsigned logical = id->topo.threads * id->topo.cores;
	uint32_t ecx = f[FEAT_WORD_8001_ECX], edx = f[FEAT_WORD_8001_EDX];

	put(cpu, 0x80000000, id->xlevel, amd ? text(id->vendor) : 0,
	    amd ? text(id->vendor + 8) : 0, amd ? text(id->vendor + 4) : 0);
	if (amd) {
		edx |= f[FEAT_WORD_1_EDX] & EDX_SHARED_WITH_AMD;
		if (logical > 1)
			ecx |= 1u << (FEAT_CMP_LEGACY & 31);
	}
	put(cpu, 0x80000001, amd ? signature(id) : 0, 0, ecx, edx);
	for (unsigned i = 0; i < 3; i++) {
		const char *s = id->model_id + 16 * i;
		put(cpu, 0x80000002 + i, text(s), text(s + 4), text(s + 8), text(s + 12));
	}
	/* AMD's own form: L1 32 KiB 8-way, TLBs; L2 2 MiB 16-way, L3 in units of 512 KiB. */
	put(cpu, 0x80000005, amd ? 0x01ff01ff : 0, amd ? 0x01ff01ff : 0, amd ? 0x20080140 : 0,
	    amd ? 0x20080140 : 0);
	put(cpu, 0x80000006, 0, amd ? 0x42004200 : 0, 2048u << 16 | 8u << 12 | 1u << 8 | 64,
	    amd && id->l3_cache ? 32u << 18 | 8u << 12 | 1u << 8 | 64 : 0);
	put(cpu, 0x80000007, 0, 0, 0, f[FEAT_WORD_8007_EDX]);
	uint32_t sizes = cpu->phys_bits;
	if (cpu_has(cpu, FEAT_LM))
		sizes |= (uint32_t)cpu->lin_bits << 8;
	put(cpu, 0x80000008, sizes, f[FEAT_WORD_8008_EBX],
	    logical > 1 ? bits_for(logical) << 12 | (logical - 1) : 0, 0);
	if (cpu_has(cpu, FEAT_SVM))
		put(cpu, 0x8000000a, 1, 16, 0, f[FEAT_WORD_SVM]);
	if (amd && cpu_has(cpu, FEAT_TOPOEXT)) {
		put_caches(cpu, 0x8000001d, id);
		put(cpu, 0x8000001e, cpu->apic_id,
		    (id->topo.threads - 1) << 8 |
			    (cpu->index / id->topo.threads % id->topo.cores),
		    cpu->index / logical, 0);
	}
}

void cpu_build_cpuid(Cpu *cpu, const CpuIdentity *id)
{
	bool amd = text(id->vendor) == AMD_EBX;
	cpu->lin_bits = cpu_has(cpu, FEAT_LA57) ? 57 : 48;
	cpu->xcr0_supported = xcr0_of(cpu);
	cpu->cpuid_count = 0;
	memset(cpu->cpuid, 0, sizeof(cpu->cpuid));
	put_basic(cpu, id, amd);
	put_hypervisor(cpu, id);
	if (id->xlevel)
		put_extended(cpu, id, amd);
}

static const CpuidLeaf *find(const Cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < cpu->cpuid_count; i++) {
		const CpuidLeaf *l = &cpu->cpuid[i];
		if (l->leaf == leaf && (!l->indexed || l->subleaf == subleaf))
			return l;
	}
	return NULL;
}

static uint32_t highest(const Cpu *cpu, uint32_t range)
{
	const CpuidLeaf *l = find(cpu, range, 0);
	return l ? l->eax : 0;
}

static bool apic_enabled(Cpu *cpu)
{
	uint64_t base;
	if (!cpu->apic || !cpu->apic_ops || !cpu->apic_ops->msr_read(cpu->apic, 0x1b, &base))
		return true;
	return base & 1 << 11;
}

/* What follows control registers. */
static void dynamic_bits(Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	switch (leaf) {
	case 1:
		if (cpu->cr4 & CR4_OSXSAVE)
			out[2] |= 1u << (FEAT_OSXSAVE & 31);
		if (!apic_enabled(cpu))
			out[3] &= ~(1u << (FEAT_APIC & 31));
		break;
	case 7:
		if (subleaf == 0 && (cpu->cr4 & CR4_PKE))
			out[2] |= 1u << (FEAT_OSPKE & 31);
		break;
	case 0xb:
		if (subleaf > 1)
			out[2] = subleaf & 0xff;
		out[3] = cpu->apic_id;
		break;
	case 0xd:
		if (subleaf == 0 && cpu_has(cpu, FEAT_XSAVE))
			out[1] = cpu_xsave_size(cpu, cpu->xcr0, false);
		else if (subleaf == 1 && cpu_has(cpu, FEAT_XSAVEC))
			out[1] = cpu_xsave_size(cpu, cpu->xcr0 | cpu->xss, true);
		break;
	case 0x80000001: {
		bool amd = cpu->cpuid[0].ebx == AMD_EBX;
		if (!amd && !cpu_code64(cpu))
			out[3] &= ~(1u << (FEAT_SYSCALL & 31)); /* Intel: only seen in 64-bit mode */
		if (amd && !apic_enabled(cpu))
			out[3] &= ~(1u << (FEAT_APIC & 31));
		break;
	}
	}
}

void cpu_do_cpuid(Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	uint32_t range = leaf >> 16 == 0x4000 ? 0x40000000 : leaf & 0x80000000;
	/* Beyond a range's end the highest basic leaf answers (Intel). */
	if (leaf > highest(cpu, range))
		leaf = highest(cpu, 0);
	const CpuidLeaf *l = find(cpu, leaf, subleaf);
	memset(out, 0, 16);
	if (l) {
		out[0] = l->eax;
		out[1] = l->ebx;
		out[2] = l->ecx;
		out[3] = l->edx;
	}
	if (cpu->cpuid_count)
		dynamic_bits(cpu, leaf, subleaf, out);
}
