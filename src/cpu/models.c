/*
 * models.c - the table of processor models that -cpu names.
 *
 * A constant table: signature and features of each as its vendor's CPUID
 * documentation (SDM vol. 2A, CPUID; AMD's revision guides) and -cpu's users know
 * them. Virtualisation (VMX, SVM), MONITOR and AMX are in no model: they are named with
 * +feature. Any thread.
 */
#include "cpu/models.h"

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"
#define EXT8 0x80000008

#define I586 "fpu de pse tsc msr mce cx8"
#define PPRO I586 " pge cmov pat fxsr mmx sse sse2 pae sep apic"
#define PENTIUM2 I586 " vme mmx pae sep mtrr pge mca cmov pat pse36 fxsr apic"
#define X86_64 PPRO " vme mtrr clflush mca pse36"

const CpuModel cpu_models[] = {
	{ "486", NULL, INTEL, 4, 8, 0, 1, 0, "", "fpu vme pse" },
	{ "pentium", NULL, INTEL, 5, 4, 3, 1, 0, "", I586 " mmx vme apic" },
	{ "pentium2", NULL, INTEL, 6, 5, 2, 2, 0, "", PENTIUM2 },
	{ "pentium3", NULL, INTEL, 6, 7, 3, 3, 0, "", PENTIUM2 " sse" },
	{ "athlon", NULL, AMD, 6, 2, 3, 2, EXT8, "QEMU Virtual CPU version 2.5+",
	  PPRO " pse36 vme mtrr mca mmxext 3dnow 3dnowext" },
	{ "qemu32", NULL, INTEL, 6, 6, 3, 4, 0x80000004, "QEMU Virtual CPU version 2.5+",
	  PPRO " pni" },
	{ "qemu64", NULL, AMD, 15, 107, 1, 0xd, 0x8000000a, "QEMU Virtual CPU version 2.5+",
	  PPRO " mtrr clflush mca pse36 pni cx16 lm syscall nx lahf-lm" },
	{ "kvm32", NULL, INTEL, 15, 6, 1, 5, EXT8, "Common 32-bit KVM processor", X86_64 " pni" },
	{ "kvm64", NULL, INTEL, 15, 6, 1, 0xd, EXT8, "Common KVM processor",
	  X86_64 " pni cx16 lm syscall nx" },
	{ "base", NULL, INTEL, 6, 6, 3, 0xd, 0x8000000a, "", "" },
	{ "max", NULL, AMD, 15, 107, 1, 0xd, 0x8000000a, "Vivarium Virtual CPU", "" },
	{ "host", NULL, INTEL, 6, 6, 3, 0xd, EXT8, "", "" },
	{ "phenom", NULL, AMD, 16, 2, 3, 5, 0x8000001a, "AMD Phenom(tm) 9550 Quad-Core Processor",
	  X86_64 " ht pni cx16 popcnt lm syscall nx 3dnow 3dnowext mmxext fxsr-opt pdpe1gb "
	  "rdtscp lahf-lm abm sse4a" },
	{ "core2duo", NULL, INTEL, 6, 15, 11, 10, EXT8,
	  "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
	  X86_64 " acpi ss ht pni ssse3 cx16 lm syscall nx lahf-lm" },
	{ "coreduo", NULL, INTEL, 6, 14, 8, 10, EXT8,
	  "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
	  X86_64 " acpi ss ht pni nx" },
	{ "n270", NULL, INTEL, 6, 28, 2, 10, EXT8, "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
	  X86_64 " acpi ss ht pni ssse3 movbe nx lahf-lm" },

	{ "Conroe", NULL, INTEL, 6, 15, 3, 10, EXT8,
	  "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
	  X86_64 " pni ssse3 lm nx syscall lahf-lm" },
	{ "Penryn", "Conroe", INTEL, 6, 23, 3, 10, EXT8,
	  "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", "sse4.1 cx16" },
	{ "Nehalem", "Penryn", INTEL, 6, 26, 3, 11, EXT8, "Intel Core i7 9xx (Nehalem Class Core i7)",
	  "sse4.2 popcnt" },
	{ "Nehalem-IBRS", "Nehalem", INTEL, 6, 26, 3, 11, EXT8,
	  "Intel Core i7 9xx (Nehalem Core i7, IBRS update)", "spec-ctrl" },
	{ "Westmere", "Nehalem", INTEL, 6, 44, 1, 11, EXT8,
	  "Westmere E56xx/L56xx/X56xx (Nehalem-C)", "aes pclmulqdq arat" },
	{ "Westmere-IBRS", "Westmere", INTEL, 6, 44, 1, 11, EXT8,
	  "Westmere E56xx/L56xx/X56xx (IBRS update)", "spec-ctrl" },
	{ "SandyBridge", "Westmere", INTEL, 6, 42, 1, 0xd, EXT8,
	  "Intel Xeon E312xx (Sandy Bridge)",
	  "avx xsave xsaveopt tsc-deadline x2apic rdtscp" },
	{ "SandyBridge-IBRS", "SandyBridge", INTEL, 6, 42, 1, 0xd, EXT8,
	  "Intel Xeon E312xx (Sandy Bridge, IBRS update)", "spec-ctrl" },
	{ "IvyBridge", "SandyBridge", INTEL, 6, 58, 9, 0xd, EXT8,
	  "Intel Xeon E3-12xx v2 (Ivy Bridge)", "f16c rdrand fsgsbase smep erms" },
	{ "IvyBridge-IBRS", "IvyBridge", INTEL, 6, 58, 9, 0xd, EXT8,
	  "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)", "spec-ctrl" },
	{ "Haswell", "IvyBridge", INTEL, 6, 60, 4, 0xd, EXT8, "Intel Core Processor (Haswell)",
	  "fma movbe pcid abm bmi1 hle avx2 bmi2 invpcid rtm" },
	{ "Haswell-noTSX", "Haswell", INTEL, 6, 60, 1, 0xd, EXT8,
	  "Intel Core Processor (Haswell, no TSX)", "", "hle rtm" },
	{ "Haswell-IBRS", "Haswell", INTEL, 6, 60, 4, 0xd, EXT8,
	  "Intel Core Processor (Haswell, IBRS)", "spec-ctrl" },
	{ "Haswell-noTSX-IBRS", "Haswell-noTSX", INTEL, 6, 60, 1, 0xd, EXT8,
	  "Intel Core Processor (Haswell, no TSX, IBRS)", "spec-ctrl" },
	{ "Broadwell", "Haswell", INTEL, 6, 61, 2, 0xd, EXT8, "Intel Core Processor (Broadwell)",
	  "rdseed adx smap 3dnowprefetch" },
	{ "Broadwell-noTSX", "Broadwell", INTEL, 6, 61, 2, 0xd, EXT8,
	  "Intel Core Processor (Broadwell, no TSX)", "", "hle rtm" },
	{ "Broadwell-IBRS", "Broadwell", INTEL, 6, 61, 2, 0xd, EXT8,
	  "Intel Core Processor (Broadwell, IBRS)", "spec-ctrl" },
	{ "Broadwell-noTSX-IBRS", "Broadwell-noTSX", INTEL, 6, 61, 2, 0xd, EXT8,
	  "Intel Core Processor (Broadwell, no TSX, IBRS)", "spec-ctrl" },
	{ "Skylake-Client", "Broadwell", INTEL, 6, 94, 3, 0xd, EXT8,
	  "Intel Core Processor (Skylake)", "xsavec xgetbv1" },
	{ "Skylake-Client-IBRS", "Skylake-Client", INTEL, 6, 94, 3, 0xd, EXT8,
	  "Intel Core Processor (Skylake, IBRS)", "spec-ctrl" },
	{ "Skylake-Client-noTSX-IBRS", "Skylake-Client-IBRS", INTEL, 6, 94, 3, 0xd, EXT8,
	  "Intel Core Processor (Skylake, IBRS, no TSX)", "", "hle rtm" },
	{ "Skylake-Server", "Skylake-Client", INTEL, 6, 85, 4, 0xd, EXT8,
	  "Intel Xeon Processor (Skylake)",
	  "pdpe1gb clwb avx512f avx512dq avx512bw avx512cd avx512vl pku" },
	{ "Skylake-Server-IBRS", "Skylake-Server", INTEL, 6, 85, 4, 0xd, EXT8,
	  "Intel Xeon Processor (Skylake, IBRS)", "spec-ctrl" },
	{ "Skylake-Server-noTSX-IBRS", "Skylake-Server-IBRS", INTEL, 6, 85, 4, 0xd, EXT8,
	  "Intel Xeon Processor (Skylake, IBRS, no TSX)", "", "hle rtm" },
	{ "Cascadelake-Server", "Skylake-Server-IBRS", INTEL, 6, 85, 6, 0xd, EXT8,
	  "Intel Xeon Processor (Cascadelake)", "clflushopt avx512vnni ssbd" },
	{ "Cascadelake-Server-noTSX", "Cascadelake-Server", INTEL, 6, 85, 6, 0xd, EXT8,
	  "Intel Xeon Processor (Cascadelake)",
	  "arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no", "hle rtm" },
	{ "Cooperlake", "Cascadelake-Server", INTEL, 6, 85, 10, 0xd, EXT8,
	  "Intel Xeon Processor (Cooperlake)",
	  "stibp arch-capabilities avx512-bf16 rdctl-no ibrs-all skip-l1dfl-vmentry mds-no "
	  "pschange-mc-no taa-no", "hle rtm" },
	{ "Icelake-Server", "Cascadelake-Server", INTEL, 6, 134, 0, 0xd, EXT8,
	  "Intel Xeon Processor (Icelake)",
	  "avx512vbmi umip avx512vbmi2 gfni vaes vpclmulqdq avx512bitalg avx512-vpopcntdq la57 "
	  "wbnoinvd" },
	{ "Icelake-Server-noTSX", "Icelake-Server", INTEL, 6, 134, 0, 0xd, EXT8,
	  "Intel Xeon Processor (Icelake)", "", "hle rtm" },
	{ "SapphireRapids", "Icelake-Server-noTSX", INTEL, 6, 143, 4, 0x20, EXT8,
	  "Intel Xeon Processor (SapphireRapids)",
	  "avx512ifma sha-ni rdpid bus-lock-detect fsrm serialize tsx-ldtrk avx512-fp16 "
	  "arch-capabilities avx-vnni avx512-bf16 fzrm fsrs fsrc xsaves movdiri movdir64b "
	  "rdctl-no ibrs-all skip-l1dfl-vmentry mds-no pschange-mc-no taa-no" },
	{ "Denverton", NULL, INTEL, 6, 95, 1, 0x15, EXT8, "Intel Atom Processor (Denverton)",
	  X86_64 " acpi ss pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 x2apic movbe popcnt "
	  "tsc-deadline aes xsave rdrand syscall nx pdpe1gb rdtscp lm lahf-lm 3dnowprefetch "
	  "fsgsbase smep erms rdseed smap clflushopt sha-ni spec-ctrl xsaveopt xsavec xgetbv1 "
	  "arat" },

	{ "Opteron_G1", NULL, AMD, 15, 6, 1, 5, EXT8, "AMD Opteron 240 (Gen 1 Class Opteron)",
	  X86_64 " pni lm nx syscall" },
	{ "Opteron_G2", "Opteron_G1", AMD, 15, 6, 1, 5, EXT8,
	  "AMD Opteron 22xx (Gen 2 Class Opteron)", "cx16 lahf-lm" },
	{ "Opteron_G3", "Opteron_G2", AMD, 16, 2, 3, 5, EXT8,
	  "AMD Opteron 23xx (Gen 3 Class Opteron)", "popcnt misalignsse sse4a abm rdtscp" },
	{ "Opteron_G4", "Opteron_G3", AMD, 21, 1, 2, 0xd, 0x8000001a,
	  "AMD Opteron 62xx class CPU",
	  "avx xsave aes sse4.2 sse4.1 ssse3 pclmulqdq pdpe1gb fma4 xop 3dnowprefetch" },
	{ "Opteron_G5", "Opteron_G4", AMD, 21, 2, 0, 0xd, 0x8000001a,
	  "AMD Opteron 63xx class CPU", "f16c fma tbm" },
	{ "EPYC", NULL, AMD, 23, 1, 2, 0xd, 0x8000001e, "AMD EPYC Processor",
	  X86_64 " pni rdrand f16c avx xsave aes popcnt movbe sse4.2 sse4.1 cx16 fma ssse3 "
	  "pclmulqdq lm rdtscp pdpe1gb fxsr-opt mmxext nx syscall osvw 3dnowprefetch misalignsse "
	  "sse4a abm cr8legacy lahf-lm topoext fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap "
	  "clflushopt sha-ni xsaveopt xsavec xgetbv1 arat" },
	{ "EPYC-IBPB", "EPYC", AMD, 23, 1, 2, 0xd, 0x8000001e, "AMD EPYC Processor (with IBPB)",
	  "ibpb" },
	{ "Dhyana", "EPYC-IBPB", "HygonGenuine", 24, 0, 1, 0xd, 0x8000001e,
	  "Hygon Dhyana Processor", "", "sha-ni aes" },
	{ "EPYC-Rome", "EPYC-IBPB", AMD, 23, 49, 0, 0xd, 0x8000001e, "AMD EPYC-Rome Processor",
	  "xsaves clzero xsaveerptr wbnoinvd amd-stibp perfctr-core clwb rdpid umip" },
	{ "EPYC-Milan", "EPYC-Rome", AMD, 25, 1, 1, 0xd, 0x8000001e, "AMD EPYC-Milan Processor",
	  "pcid invpcid erms ibrs amd-ssbd pku fsrm" },
	{ NULL },
};
