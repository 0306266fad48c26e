/*
 * features.c - names of CPUID feature bits, and which of them the software CPU offers.
 *
 * SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E. Names are those users of -cpu know.
 * Constants and look-up; any thread.
 */
#include <string.h>

#include "cpu/features.h"

const char *const cpu_feature_names[FEAT_WORD_COUNT][32] = {
	[FEAT_WORD_1_EDX] = {
		"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep",
		"mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi",
		"mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" },
	[FEAT_WORD_1_ECX] = {
		"pni", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est", "tm2",
		"ssse3", "cid", NULL, "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4.1",
		"sse4.2", "x2apic", "movbe", "popcnt", "tsc-deadline", "aes", "xsave", NULL, "avx",
		"f16c", "rdrand", "hypervisor" },
	[FEAT_WORD_7_EBX] = {
		"fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep", "bmi2",
		"erms", "invpcid", "rtm", NULL, NULL, "mpx", NULL, "avx512f", "avx512dq", "rdseed",
		"adx", "smap", "avx512ifma", "pcommit", "clflushopt", "clwb", "intel-pt",
		"avx512pf", "avx512er", "avx512cd", "sha-ni", "avx512bw", "avx512vl" },
	[FEAT_WORD_7_ECX] = {
		NULL, "avx512vbmi", "umip", "pku", NULL, "waitpkg", "avx512vbmi2", NULL, "gfni",
		"vaes", "vpclmulqdq", "avx512vnni", "avx512bitalg", NULL, "avx512-vpopcntdq", NULL,
		"la57", [22] = "rdpid", [24] = "bus-lock-detect", [25] = "cldemote",
		[27] = "movdiri", [28] = "movdir64b", [30] = "sgxlc", [31] = "pks" },
	[FEAT_WORD_7_EDX] = {
		[2] = "avx512-4vnniw", [3] = "avx512-4fmaps", [4] = "fsrm",
		[8] = "avx512-vp2intersect", [10] = "md-clear", [14] = "serialize",
		[16] = "tsx-ldtrk", [19] = "arch-lbr", [22] = "amx-bf16", [23] = "avx512-fp16",
		[24] = "amx-tile", [25] = "amx-int8", [26] = "spec-ctrl", [27] = "stibp",
		[28] = "flush-l1d", [29] = "arch-capabilities", [30] = "core-capability",
		[31] = "ssbd" },
	[FEAT_WORD_7_1_EAX] = {
		[4] = "avx-vnni", [5] = "avx512-bf16", [10] = "fzrm", [11] = "fsrs", [12] = "fsrc",
		[21] = "amx-fp16", [23] = "avx-ifma" },
	[FEAT_WORD_8001_EDX] = {
		[11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr-opt",
		[26] = "pdpe1gb", [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" },
	[FEAT_WORD_8001_ECX] = {
		"lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm", "sse4a",
		"misalignsse", "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", NULL, "lwp",
		"fma4", "tce", [19] = "nodeid-msr", [21] = "tbm", [22] = "topoext",
		[23] = "perfctr-core", [24] = "perfctr-nb" },
	[FEAT_WORD_8007_EDX] = { [8] = "invtsc" },
	[FEAT_WORD_8008_EBX] = {
		[0] = "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
		[15] = "amd-stibp", [17] = "stibp-always-on", [24] = "amd-ssbd",
		[25] = "virt-ssbd", [26] = "amd-no-ssb", [28] = "amd-psfd" },
	[FEAT_WORD_D_1_EAX] = { "xsaveopt", "xsavec", "xgetbv1", "xsaves" },
	[FEAT_WORD_6_EAX] = { [2] = "arat" },
	[FEAT_WORD_ARCH_CAPS] = {
		"rdctl-no", "ibrs-all", "rsba", "skip-l1dfl-vmentry", "ssb-no", "mds-no",
		"pschange-mc-no", "tsx-ctrl", "taa-no", [13] = "sbdr-ssdp-no", [14] = "fbsdp-no",
		[15] = "psdp-no", [17] = "fb-clear" },
	[FEAT_WORD_KVM] = {
		"kvmclock", "kvm-nopiodelay", "kvm-mmu", "kvmclock2", "kvm-asyncpf",
		"kvm-steal-time", "kvm-pv-eoi", "kvm-pv-unhalt", [9] = "kvm-pv-tlb-flush",
		[11] = "kvm-pv-ipi", [12] = "kvm-poll-control", [13] = "kvm-pv-sched-yield",
		[14] = "kvm-asyncpf-int", [15] = "kvm-msi-ext-dest-id",
		[24] = "kvmclock-stable-bit" },
	[FEAT_WORD_SVM] = {
		"npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid",
		"decodeassists", [10] = "pause-filter", [12] = "pfthreshold", [13] = "avic",
		[15] = "v-vmsave-vmload", [16] = "vgif" },
};

const FeatureAlias cpu_feature_aliases[] = {
	{ "sse3", "pni" },          { "pclmuldq", "pclmulqdq" }, { "sse4-1", "sse4.1" },
	{ "sse4-2", "sse4.2" },     { "cmpxchg8b", "cx8" },      { "xd", "nx" },
	{ "i64", "lm" },            { "ffxsr", "fxsr-opt" },     { "sha", "sha-ni" },
	{ "lzcnt", "abm" },         { "lahf", "lahf-lm" },       { "clwbinvd", "wbnoinvd" },
	{ "kvm-clock", "kvmclock" }, { "avx512vpopcntdq", "avx512-vpopcntdq" },
	{ "tsc-deadline-timer", "tsc-deadline" }, { "arch-caps", "arch-capabilities" },
	{ NULL, NULL },
};

const char *const cpu_feature_word_names[FEAT_WORD_COUNT] = {
	[FEAT_WORD_1_EDX] = "CPUID.01H:EDX", [FEAT_WORD_1_ECX] = "CPUID.01H:ECX",
	[FEAT_WORD_7_EBX] = "CPUID.07H:EBX", [FEAT_WORD_7_ECX] = "CPUID.07H:ECX",
	[FEAT_WORD_7_EDX] = "CPUID.07H:EDX", [FEAT_WORD_7_1_EAX] = "CPUID.07H_01H:EAX",
	[FEAT_WORD_8001_EDX] = "CPUID.80000001H:EDX", [FEAT_WORD_8001_ECX] = "CPUID.80000001H:ECX",
	[FEAT_WORD_8007_EDX] = "CPUID.80000007H:EDX", [FEAT_WORD_8008_EBX] = "CPUID.80000008H:EBX",
	[FEAT_WORD_D_1_EAX] = "CPUID.0DH_01H:EAX", [FEAT_WORD_6_EAX] = "CPUID.06H:EAX",
	[FEAT_WORD_ARCH_CAPS] = "MSR(10AH)", [FEAT_WORD_KVM] = "CPUID.40000001H:EAX",
	[FEAT_WORD_SVM] = "CPUID.8000000AH:EDX",
};

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == '_' ? '-' : *a, y = *b == '_' ? '-' : *b;
		if (x != y)
			return false;
	}
	return *a == *b;
}

int cpu_feature_lookup(const char *name)
{
	for (const FeatureAlias *a = cpu_feature_aliases; a->alias; a++)
		if (same_name(name, a->alias))
			name = a->name;
	for (unsigned w = 0; w < FEAT_WORD_COUNT; w++)
		for (unsigned b = 0; b < 32; b++)
			if (cpu_feature_names[w][b] && same_name(name, cpu_feature_names[w][b]))
				return (int)(w << 5 | b);
	return -1;
}

#define BIT(f) (1u << ((f) & 31))

/* One line a word; a vector extension that the interpreter learns moves in below. */
const uint32_t cpu_interp_features[FEAT_WORD_COUNT] = {
	[FEAT_WORD_1_EDX] = BIT(FEAT_FPU) | BIT(FEAT_VME) | BIT(FEAT_DE) | BIT(FEAT_PSE) |
		BIT(FEAT_TSC) | BIT(FEAT_MSR) | BIT(FEAT_PAE) | BIT(FEAT_MCE) | BIT(FEAT_CX8) |
		BIT(FEAT_APIC) | BIT(FEAT_SEP) | BIT(FEAT_MTRR) | BIT(FEAT_PGE) | BIT(FEAT_MCA) |
		BIT(FEAT_CMOV) | BIT(FEAT_PAT) | BIT(FEAT_PSE36) | BIT(FEAT_CLFLUSH) |
		BIT(FEAT_FXSR) | BIT(FEAT_HT) | 1u << 22 /* acpi */ | 1u << 27 /* ss */,
	[FEAT_WORD_1_ECX] = BIT(FEAT_CX16) | BIT(FEAT_PCID) | BIT(FEAT_X2APIC) | BIT(FEAT_MOVBE) |
		BIT(FEAT_POPCNT) | BIT(FEAT_TSC_DEADLINE) | BIT(FEAT_XSAVE) | BIT(FEAT_RDRAND) |
		BIT(FEAT_HYPERVISOR),
	[FEAT_WORD_7_EBX] = BIT(FEAT_FSGSBASE) | BIT(FEAT_TSC_ADJUST) | BIT(FEAT_BMI1) |
		BIT(FEAT_SMEP) | BIT(FEAT_BMI2) | BIT(FEAT_ERMS) | BIT(FEAT_INVPCID) |
		BIT(FEAT_RDSEED) | BIT(FEAT_ADX) | BIT(FEAT_SMAP) | BIT(FEAT_CLFLUSHOPT) |
		BIT(FEAT_CLWB),
	[FEAT_WORD_7_ECX] = BIT(FEAT_UMIP) | BIT(FEAT_PKU) | BIT(FEAT_LA57) | BIT(FEAT_RDPID) |
		BIT(FEAT_MOVDIRI) | BIT(FEAT_MOVDIR64B),
	[FEAT_WORD_7_EDX] = BIT(FEAT_FSRM) | BIT(FEAT_SERIALIZE) | BIT(FEAT_SPEC_CTRL) |
		BIT(FEAT_STIBP) | BIT(FEAT_FLUSH_L1D) | BIT(FEAT_ARCH_CAPABILITIES) |
		BIT(FEAT_SSBD) | 1u << 10 /* md-clear: VERW is executed */,
	[FEAT_WORD_8001_EDX] = BIT(FEAT_SYSCALL) | BIT(FEAT_NX) | BIT(FEAT_PDPE1GB) |
		BIT(FEAT_RDTSCP) | BIT(FEAT_LM) | 1u << 22 /* mmxext: a part of SSE */,
	[FEAT_WORD_8001_ECX] = BIT(FEAT_LAHF_LM) | BIT(FEAT_CMP_LEGACY) | BIT(FEAT_ABM) |
		BIT(FEAT_TOPOEXT) | 1u << 4 /* cr8legacy */ | 1u << 7 /* misalignsse */ |
		1u << 8 /* 3dnowprefetch */ | 1u << 9 /* osvw */,
	[FEAT_WORD_8007_EDX] = 1u << 8 /* invtsc */,
	[FEAT_WORD_7_1_EAX] = 7u << 10 /* fzrm, fsrs, fsrc */,
	[FEAT_WORD_8008_EBX] = 1u << 2 /* xsaveerptr */ | BIT(FEAT_WBNOINVD) |
		BIT(FEAT_IBPB) | BIT(FEAT_IBRS) | BIT(FEAT_AMD_STIBP) | BIT(FEAT_AMD_SSBD),
	[FEAT_WORD_D_1_EAX] = BIT(FEAT_XSAVEOPT) | BIT(FEAT_XSAVEC) | BIT(FEAT_XGETBV1) |
		BIT(FEAT_XSAVES),
	[FEAT_WORD_6_EAX] = BIT(FEAT_ARAT),
	/* Nothing is run speculatively: what a real processor would have to be immune to. */
	[FEAT_WORD_ARCH_CAPS] = 0x2e17b,
};

const uint32_t cpu_interp_host_features[FEAT_WORD_COUNT] = {
	[FEAT_WORD_1_EDX] = BIT(FEAT_MMX) | BIT(FEAT_SSE) | BIT(FEAT_SSE2),
	[FEAT_WORD_1_ECX] = BIT(FEAT_SSE3) | BIT(FEAT_PCLMULQDQ) | BIT(FEAT_SSSE3) | BIT(FEAT_FMA) |
		BIT(FEAT_SSE41) | BIT(FEAT_SSE42) | BIT(FEAT_AES) | BIT(FEAT_AVX) | BIT(FEAT_F16C),
	[FEAT_WORD_7_EBX] = BIT(FEAT_AVX2) | BIT(FEAT_AVX512F) | BIT(FEAT_AVX512DQ) |
		BIT(FEAT_AVX512IFMA) | BIT(FEAT_AVX512CD) | BIT(FEAT_SHA) |
		BIT(FEAT_AVX512BW) | BIT(FEAT_AVX512VL),
	[FEAT_WORD_7_ECX] = BIT(FEAT_AVX512VBMI) | BIT(FEAT_AVX512VBMI2) | BIT(FEAT_GFNI) |
		BIT(FEAT_VAES) | BIT(FEAT_VPCLMULQDQ) | BIT(FEAT_AVX512VNNI) |
		BIT(FEAT_AVX512BITALG) | BIT(FEAT_AVX512_VPOPCNTDQ),
	[FEAT_WORD_7_1_EAX] = BIT(FEAT_AVX_VNNI),
};
