/*
 * models.h - -cpu: models, features and topology become the CPUID a guest sees.
 *
 * Called while the machine is built, main thread.
 */
#ifndef VIV_CPU_MODELS_H
#define VIV_CPU_MODELS_H

#include "cpu/cpu.h"
#include "cpu/features.h"

typedef struct CpuTopology { unsigned sockets, cores, threads; } CpuTopology;

/*
 * Gives `cpu` the model and features of `spec` ("Haswell,+avx,-x2apic,level=13").
 * Sets apic_id by topology and index; call cpu_reset afterwards. On the software CPU
 * features that cannot be had are dropped: a line a feature (char *, g_free) is added
 * to `warnings` (may be NULL), or with `enforce` that is the error. With accel_kvm
 * nothing is dropped: the caller passes KVM's word masks to cpu_model_limit.
 */
bool cpu_model_apply(Cpu *cpu, const char *spec, const CpuTopology *topo, bool accel_kvm,
		     GPtrArray *warnings, GError **error);
/* Drops what `supported` lacks, as above, and rebuilds CPUID. */
bool cpu_model_limit(Cpu *cpu, const uint32_t supported[FEAT_WORD_COUNT], GPtrArray *warnings,
		     GError **error);
/* The list of `-cpu help`. */
void cpu_models_help(GString *out);
/* The i-th model's name, NULL past the end: for QMP and completion. */
const char *cpu_model_name(unsigned i);
/* What a model of cpu_models has by itself, FEAT_WORD_COUNT words; nothing for "max" and "host". */
void cpu_model_features(const char *name, uint32_t *words);
/* What the software CPU has on this host. */
void cpu_software_features(uint32_t *words);
/* Local APIC id of the vcpu: fields of a power of two each (SDM vol. 3A, 8.9.1). */
uint32_t cpu_topology_apic_id(const CpuTopology *topo, unsigned index);

/* One model; feature lists are names parted by blanks. Its own and all its parents' count. */
typedef struct CpuModel {
	const char *name, *parent;
	const char *vendor;      /* 12 characters */
	uint8_t family, model, stepping;
	uint32_t level, xlevel;
	const char *model_id;
	const char *add, *drop;
} CpuModel;
extern const CpuModel cpu_models[]; /* ends with a NULL name */

/* What the leaves are built from; models.c keeps it for cpu_model_limit in cpu->model. */
typedef struct CpuIdentity {
	char vendor[13], model_id[49];
	unsigned family, model, stepping;
	uint32_t level, xlevel;
	CpuTopology topo;
	bool kvm;                /* accel_kvm */
	bool signature;          /* hypervisor leaves */
	bool l3_cache, enforce, check;
} CpuIdentity;
/* cpuid.c: fills cpu->cpuid from cpu->features, and xcr0_supported, lin_bits. */
void cpu_build_cpuid(Cpu *cpu, const CpuIdentity *id);
/* The host's own CPUID, by feature words. */
void cpu_host_features(uint32_t words[FEAT_WORD_COUNT]);
void cpu_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
