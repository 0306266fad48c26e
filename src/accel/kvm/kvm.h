/*
 * kvm.h - inside the KVM accelerator: what its files share. Nobody else issues KVM ioctls.
 *
 * Linux, Documentation/virt/kvm/api.rst. Threads: vcpu functions on the vcpu's own thread or
 * while it is parked; slots and the interrupt chips with the machine lock held.
 */
#ifndef VIV_ACCEL_KVM_H
#define VIV_ACCEL_KVM_H

#include <linux/kvm.h>
#include <pthread.h>

#include "accel/accel.h"

#define KVM_SLOTS_MAX 64

typedef struct KvmSlot {
	uint64_t gpa, size;   /* bytes; size 0: free */
	uint8_t *host;
	bool readonly, logged; /* the kernel notes which pages are written to */
} KvmSlot;

typedef struct KvmAccel {
	Accel base;
	int fd, vm;
	size_t run_size;
	KvmSlot slots[KVM_SLOTS_MAX];
	bool sync_regs;
	unsigned xsave_size;  /* bytes of the XSAVE image */
	uint32_t xsave_at[16];/* offset of each state component in it; 0: the host has none */
} KvmAccel;

/* Ends KVM_RUN; handled by doing nothing. */
#define KVM_KICK_SIGNAL SIGUSR1

typedef struct KvmVcpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	_Atomic bool has_thread;
	uint64_t exits[64];   /* by reason */
	struct kvm_guest_debug debug; /* as KVM has it */
	uint64_t completed;   /* instructions that KVM gave up on and the interpreter finished */
	uint8_t *xsave;       /* page aligned, xsave_size */
} KvmVcpu;

static inline KvmAccel *kvm_of(Accel *accel) { return (KvmAccel *)accel; }
static inline KvmVcpu *kvm_vcpu(Cpu *cpu) { return cpu->accel_data; }

/* kvm_slots.c: makes KVM's memory slots those of the flat view. */
void kvm_slots_changed(void *opaque, const FlatRange *ranges, size_t count);
/* RamArena.watch_sync */
void kvm_watch_sync(void *opaque, uint8_t *p, uint64_t len, bool on);
/* kvm_state.c: everything, both ways. KVM's MP state is kept in cpu->halted and wait_sipi. */
void kvm_get_state(KvmAccel *k, Cpu *cpu);
void kvm_put_state(KvmAccel *k, Cpu *cpu);
/* Sizes and offsets of the XSAVE image. */
void kvm_learn_xsave(KvmAccel *k);
/* Gives KVM the CPUID of `cpu`, limited to what it supports. */
bool kvm_set_cpuid(KvmAccel *k, Cpu *cpu, GError **error);
/* kvm_debug.c: AccelClass.debug */
bool kvm_debug(Accel *accel, const struct CpuDebugger *set, GError **error);
/* Tells KVM what Cpu.debug wants, if it is something else than before. False with errno. The vcpu's thread. */
bool kvm_debug_apply(Cpu *cpu);
/* KVM_EXIT_DEBUG */
RunResult kvm_debug_exit(Cpu *cpu);
/* AccelClass.cpu_features */
void kvm_cpu_features(Accel *accel, uint32_t *words);
/* kvm_run.c */
RunResult kvm_vcpu_run(Accel *accel, Cpu *cpu);
const char *kvm_exit_name(unsigned reason);

#endif
