/*
 * features.h - CPUID feature words and the bits of them that the CPU itself asks for.
 *
 * SDM vol. 2A, CPUID; AMD APM vol. 3 (24594), appendix E. Names of all bits stand in
 * features.c. Constants only; any thread.
 */
#ifndef VIV_CPU_FEATURES_H
#define VIV_CPU_FEATURES_H

#include "cpu/cpu.h"

typedef enum FeatWord {
	FEAT_WORD_1_EDX,
	FEAT_WORD_1_ECX,
	FEAT_WORD_7_EBX,
	FEAT_WORD_7_ECX,
	FEAT_WORD_7_EDX,
	FEAT_WORD_7_1_EAX,
	FEAT_WORD_8001_EDX,   /* 80000001H */
	FEAT_WORD_8001_ECX,
	FEAT_WORD_8007_EDX,   /* 80000007H */
	FEAT_WORD_8008_EBX,   /* 80000008H */
	FEAT_WORD_D_1_EAX,    /* 0DH.1: XSAVE forms */
	FEAT_WORD_6_EAX,      /* thermal and power */
	FEAT_WORD_ARCH_CAPS,  /* MSR 10AH, low half */
	FEAT_WORD_KVM,        /* 40000001H EAX */
	FEAT_WORD_SVM,        /* 8000000AH EDX */
	FEAT_WORD_COUNT
} FeatWord;
G_STATIC_ASSERT(FEAT_WORD_COUNT <= 32);

#define FEAT(word, bit) ((unsigned)(FEAT_WORD_##word) << 5 | (bit))
enum {
	FEAT_FPU = FEAT(1_EDX, 0), FEAT_VME = FEAT(1_EDX, 1), FEAT_DE = FEAT(1_EDX, 2),
	FEAT_PSE = FEAT(1_EDX, 3), FEAT_TSC = FEAT(1_EDX, 4), FEAT_MSR = FEAT(1_EDX, 5),
	FEAT_PAE = FEAT(1_EDX, 6), FEAT_MCE = FEAT(1_EDX, 7), FEAT_CX8 = FEAT(1_EDX, 8),
	FEAT_APIC = FEAT(1_EDX, 9), FEAT_SEP = FEAT(1_EDX, 11), FEAT_MTRR = FEAT(1_EDX, 12),
	FEAT_PGE = FEAT(1_EDX, 13), FEAT_MCA = FEAT(1_EDX, 14), FEAT_CMOV = FEAT(1_EDX, 15),
	FEAT_PAT = FEAT(1_EDX, 16), FEAT_PSE36 = FEAT(1_EDX, 17), FEAT_CLFLUSH = FEAT(1_EDX, 19),
	FEAT_MMX = FEAT(1_EDX, 23), FEAT_FXSR = FEAT(1_EDX, 24), FEAT_SSE = FEAT(1_EDX, 25),
	FEAT_SSE2 = FEAT(1_EDX, 26), FEAT_HT = FEAT(1_EDX, 28),
	FEAT_SSE3 = FEAT(1_ECX, 0), FEAT_PCLMULQDQ = FEAT(1_ECX, 1), FEAT_MONITOR = FEAT(1_ECX, 3),
	FEAT_SSSE3 = FEAT(1_ECX, 9), FEAT_FMA = FEAT(1_ECX, 12), FEAT_CX16 = FEAT(1_ECX, 13),
	FEAT_PDCM = FEAT(1_ECX, 15), FEAT_PCID = FEAT(1_ECX, 17), FEAT_SSE41 = FEAT(1_ECX, 19),
	FEAT_SSE42 = FEAT(1_ECX, 20), FEAT_X2APIC = FEAT(1_ECX, 21), FEAT_MOVBE = FEAT(1_ECX, 22),
	FEAT_POPCNT = FEAT(1_ECX, 23), FEAT_TSC_DEADLINE = FEAT(1_ECX, 24),
	FEAT_AES = FEAT(1_ECX, 25), FEAT_XSAVE = FEAT(1_ECX, 26), FEAT_OSXSAVE = FEAT(1_ECX, 27),
	FEAT_AVX = FEAT(1_ECX, 28), FEAT_F16C = FEAT(1_ECX, 29), FEAT_RDRAND = FEAT(1_ECX, 30),
	FEAT_HYPERVISOR = FEAT(1_ECX, 31),
	FEAT_FSGSBASE = FEAT(7_EBX, 0), FEAT_TSC_ADJUST = FEAT(7_EBX, 1), FEAT_BMI1 = FEAT(7_EBX, 3),
	FEAT_AVX2 = FEAT(7_EBX, 5), FEAT_SMEP = FEAT(7_EBX, 7), FEAT_BMI2 = FEAT(7_EBX, 8),
	FEAT_ERMS = FEAT(7_EBX, 9), FEAT_INVPCID = FEAT(7_EBX, 10), FEAT_AVX512F = FEAT(7_EBX, 16),
	FEAT_AVX512DQ = FEAT(7_EBX, 17), FEAT_RDSEED = FEAT(7_EBX, 18), FEAT_ADX = FEAT(7_EBX, 19),
	FEAT_SMAP = FEAT(7_EBX, 20), FEAT_CLFLUSHOPT = FEAT(7_EBX, 23), FEAT_CLWB = FEAT(7_EBX, 24),
	FEAT_SHA = FEAT(7_EBX, 29), FEAT_AVX512BW = FEAT(7_EBX, 30), FEAT_AVX512VL = FEAT(7_EBX, 31),
	FEAT_UMIP = FEAT(7_ECX, 2), FEAT_PKU = FEAT(7_ECX, 3), FEAT_OSPKE = FEAT(7_ECX, 4),
	FEAT_GFNI = FEAT(7_ECX, 8), FEAT_VAES = FEAT(7_ECX, 9), FEAT_LA57 = FEAT(7_ECX, 16),
	FEAT_RDPID = FEAT(7_ECX, 22), FEAT_MOVDIRI = FEAT(7_ECX, 27), FEAT_MOVDIR64B = FEAT(7_ECX, 28),
	FEAT_FSRM = FEAT(7_EDX, 4), FEAT_SERIALIZE = FEAT(7_EDX, 14), FEAT_SPEC_CTRL = FEAT(7_EDX, 26),
	FEAT_STIBP = FEAT(7_EDX, 27), FEAT_FLUSH_L1D = FEAT(7_EDX, 28),
	FEAT_ARCH_CAPABILITIES = FEAT(7_EDX, 29), FEAT_SSBD = FEAT(7_EDX, 31),
	FEAT_SYSCALL = FEAT(8001_EDX, 11), FEAT_NX = FEAT(8001_EDX, 20),
	FEAT_FFXSR = FEAT(8001_EDX, 25), FEAT_PDPE1GB = FEAT(8001_EDX, 26),
	FEAT_RDTSCP = FEAT(8001_EDX, 27), FEAT_LM = FEAT(8001_EDX, 29),
	FEAT_LAHF_LM = FEAT(8001_ECX, 0), FEAT_CMP_LEGACY = FEAT(8001_ECX, 1),
	FEAT_SVM = FEAT(8001_ECX, 2), FEAT_ABM = FEAT(8001_ECX, 5), FEAT_TBM = FEAT(8001_ECX, 21),
	FEAT_TOPOEXT = FEAT(8001_ECX, 22), FEAT_XOP = FEAT(8001_ECX, 11),
	FEAT_FMA4 = FEAT(8001_ECX, 16), FEAT_PERFCTR_CORE = FEAT(8001_ECX, 23),
	FEAT_WBNOINVD = FEAT(8008_EBX, 9), FEAT_IBPB = FEAT(8008_EBX, 12),
	FEAT_IBRS = FEAT(8008_EBX, 14), FEAT_AMD_STIBP = FEAT(8008_EBX, 15),
	FEAT_AMD_SSBD = FEAT(8008_EBX, 24), FEAT_VIRT_SSBD = FEAT(8008_EBX, 25),
	FEAT_XSAVEOPT = FEAT(D_1_EAX, 0), FEAT_XSAVEC = FEAT(D_1_EAX, 1),
	FEAT_XGETBV1 = FEAT(D_1_EAX, 2), FEAT_XSAVES = FEAT(D_1_EAX, 3),
	FEAT_ARAT = FEAT(6_EAX, 2),
};

static inline bool cpu_has(const Cpu *cpu, unsigned feat)
{
	return cpu->features[feat >> 5] >> (feat & 31) & 1;
}

/* QEMU's name of each bit, NULL: none. A second name is in cpu_feature_aliases. */
extern const char *const cpu_feature_names[FEAT_WORD_COUNT][32];
typedef struct FeatureAlias { const char *alias, *name; } FeatureAlias;
extern const FeatureAlias cpu_feature_aliases[]; /* ends with NULL */
/* Where a word comes from, as in "CPUID.07H:EBX"; for messages. */
extern const char *const cpu_feature_word_names[FEAT_WORD_COUNT];
/* FEAT() number of a name or alias ('_' and '-' are the same), -1: none. */
int cpu_feature_lookup(const char *name);

/* What the interpreter executes whatever the host; and what it runs natively, if the host has it. */
extern const uint32_t cpu_interp_features[FEAT_WORD_COUNT];
extern const uint32_t cpu_interp_host_features[FEAT_WORD_COUNT];

#endif
