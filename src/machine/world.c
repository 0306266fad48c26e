/*
 * world.c - the machine as a vcpu sees it: memory, ports, time, and KVM's paravirtual clock.
 *
 * SDM volume 3B, 17.17 (time stamp counter); the KVM paravirtual clock as the kernel
 * documents it (virt/kvm/x86/msr, virt/kvm/x86/cpuid). Leaves out asynchronous page
 * faults, steal time and PV EOI. Vcpu threads enter; start and stop come from the main
 * thread while all vcpus are parked.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "accel/interp/interp.h"
#include "machine/private.h"

#define A20 (1ull << 20)

enum {
	MSR_KVM_WALL_CLOCK_OLD = 0x11, MSR_KVM_SYSTEM_TIME_OLD = 0x12,
	MSR_KVM_WALL_CLOCK = 0x4b564d00, MSR_KVM_SYSTEM_TIME = 0x4b564d01,
	CPUID_KVM_SIGNATURE = 0x40000000, CPUID_KVM_FEATURES = 0x40000001,
	KVM_CLOCK_OLD = 1 << 0, KVM_CLOCK = 1 << 3,
	PVCLOCK_TSC_STABLE = 1,
};

/* struct pvclock_vcpu_time_info: guest time = system_time + scaled (TSC - tsc_timestamp) */
typedef struct PvTime {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad1[2];
} PvTime;
G_STATIC_ASSERT(sizeof(PvTime) == 32);

static uint64_t mask_a20(const Board *b, uint64_t gpa)
{
	return b->a20 ? gpa : gpa & ~A20;
}

static bool world_translate(void *opaque, uint64_t gpa, Translation *out)
{
	Board *b = &((Vcpu *)opaque)->m->board;
	bool found = as_translate(b->mem, mask_a20(b, gpa), out);
	if (!b->a20 && out->contiguous > A20 - (gpa & (A20 - 1)))
		out->contiguous = A20 - (gpa & (A20 - 1));
	return found;
}

static uint64_t world_mmio_read(void *opaque, uint64_t gpa, unsigned size)
{
	Board *b = &((Vcpu *)opaque)->m->board;
	return as_load(b->mem, mask_a20(b, gpa), size);
}

static void world_mmio_write(void *opaque, uint64_t gpa, uint64_t value, unsigned size)
{
	Board *b = &((Vcpu *)opaque)->m->board;
	as_store(b->mem, mask_a20(b, gpa), value, size);
}

static uint32_t world_io_read(void *opaque, uint16_t port, unsigned size)
{
	return as_load(((Vcpu *)opaque)->m->board.io, port, size);
}

static void world_io_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
	as_store(((Vcpu *)opaque)->m->board.io, port, value, size);
}

static uint64_t raw_tsc(Machine *m)
{
	/* Without an invariant counter, guest nanoseconds are scaled to the promised frequency. */
	return m->tsc_host ? __rdtsc() : muldiv64(clock_now(m->board.clock), m->tsc_khz, 1000000);
}

static uint64_t world_tsc(void *opaque)
{
	Machine *m = ((Vcpu *)opaque)->m;
	if (!atomic_load_explicit(&m->tsc_running, memory_order_acquire))
		return atomic_load(&m->tsc_frozen);
	return raw_tsc(m) + atomic_load_explicit(&m->tsc_offset, memory_order_relaxed);
}

/* Hardware keeps its own locks; only software CPUs have to stop one another. */
static void world_exclusive_begin(void *opaque, Cpu *cpu)
{
	Accel *accel = ((Vcpu *)opaque)->m->accel;
	if (!accel->cls->irqchip)
		interp_exclusive_begin(accel, cpu);
}

static void world_exclusive_end(void *opaque, Cpu *cpu)
{
	Accel *accel = ((Vcpu *)opaque)->m->accel;
	if (!accel->cls->irqchip)
		interp_exclusive_end(accel, cpu);
}

static void world_flush_others(void *opaque, Cpu *cpu)
{
	Accel *accel = ((Vcpu *)opaque)->m->accel;
	if (!accel->cls->irqchip)
		interp_flush_others(accel, cpu);
}

static bool world_a20(void *opaque) { return ((Vcpu *)opaque)->m->board.a20; }

static void world_triple_fault(void *opaque, Cpu *cpu)
{
	board_request(&((Vcpu *)opaque)->m->board, RUN_TRIPLE_FAULT, 0);
}

/* Which of KVM's clock interfaces the guest was told of: KVM_CLOCK bits, 0 without the signature. */
static uint32_t kvm_features(const Cpu *cpu)
{
	bool signature = false;
	uint32_t features = 0;
	for (unsigned i = 0; i < cpu->cpuid_count; i++) {
		const CpuidLeaf *l = &cpu->cpuid[i];
		if (l->leaf == CPUID_KVM_SIGNATURE)
			signature = l->ebx == 0x4b4d564b; /* "KVMK" of "KVMKVMKVM" */
		else if (l->leaf == CPUID_KVM_FEATURES)
			features = l->eax;
	}
	return signature ? features & (KVM_CLOCK_OLD | KVM_CLOCK) : 0;
}

/* Scale of a counter of tsc_khz to nanoseconds: ns = (delta << shift) * mul / 2^32 */
static void pv_scale(uint64_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t hz = khz * 1000;
	*shift = 0;
	while (hz > 2000000000) {
		hz >>= 1;
		--*shift;
	}
	while (hz <= 1000000000) {
		hz <<= 1;
		++*shift;
	}
	*mul = (uint32_t)((1000000000ull << 32) / hz);
}

/* The version is odd while the rest changes, so that a reader on another cpu tries again. */
static void pv_update(Vcpu *v)
{
	Machine *m = v->m;
	uint64_t addr = v->kvmclock_msr & ~3ull;
	PvTime t;
	if (!(v->kvmclock_msr & 1) || !guest_read(m->board.mem, addr, &t.version, 4))
		return;
	uint32_t version = (t.version & ~1u) + 2;
	memset(&t, 0, sizeof(t));
	t.tsc_timestamp = world_tsc(v) + v->cpu->tsc_adjust;
	t.system_time = clock_now(m->board.clock);
	pv_scale(m->tsc_khz, &t.mul, &t.shift);
	t.flags = m->tsc_host ? PVCLOCK_TSC_STABLE : 0;
	t.version = version - 1;
	guest_write(m->board.mem, addr, &t.version, 4);
	atomic_thread_fence(memory_order_seq_cst);
	guest_write(m->board.mem, addr + 4, (uint8_t *)&t + 4, sizeof(t) - 4);
	atomic_thread_fence(memory_order_seq_cst);
	guest_write(m->board.mem, addr, &version, 4);
}

/* struct pvclock_wall_clock: the time of day when the guest's clock was 0 */
static void pv_wall_clock(Machine *m, uint64_t addr)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t boot = (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec - clock_now(m->board.clock);
	uint32_t w[3] = { 2, (uint32_t)(boot / NS_PER_SEC), (uint32_t)(boot % NS_PER_SEC) }, odd = 1;
	guest_write(m->board.mem, addr, &odd, 4);
	guest_write(m->board.mem, addr + 4, &w[1], 8);
	atomic_thread_fence(memory_order_seq_cst);
	guest_write(m->board.mem, addr, &w[0], 4);
}

static bool pv_allowed(const Cpu *cpu, uint32_t msr)
{
	uint32_t features = kvm_features(cpu);
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_SYSTEM_TIME_OLD:
		return features & KVM_CLOCK_OLD;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		return features & KVM_CLOCK;
	default:
		return false;
	}
}

static bool world_msr_read(void *opaque, Cpu *cpu, uint32_t msr, uint64_t *value)
{
	Vcpu *v = opaque;
	if (!pv_allowed(cpu, msr))
		return false;
	bool wall = msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_WALL_CLOCK_OLD;
	*value = wall ? v->m->wall_clock_msr : v->kvmclock_msr;
	return true;
}

static bool world_msr_write(void *opaque, Cpu *cpu, uint32_t msr, uint64_t value)
{
	Vcpu *v = opaque;
	if (!pv_allowed(cpu, msr))
		return false;
	if (msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_WALL_CLOCK_OLD) {
		v->m->wall_clock_msr = value;
		pv_wall_clock(v->m, value);
	} else {
		v->kvmclock_msr = value;
		pv_update(v);
	}
	return true;
}

const CpuWorld machine_world = {
	.translate = world_translate, .mmio_read = world_mmio_read, .mmio_write = world_mmio_write,
	.io_read = world_io_read, .io_write = world_io_write, .tsc = world_tsc,
	.exclusive_begin = world_exclusive_begin, .exclusive_end = world_exclusive_end,
	.flush_others = world_flush_others, .a20 = world_a20,
	.triple_fault = world_triple_fault, .msr_read = world_msr_read, .msr_write = world_msr_write,
};

static bool tsc_invariant(void)
{
	unsigned a, b, c, d;
	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
}

/* CPUID 15h where it names the crystal; measured against the host's clock otherwise. */
static uint64_t measure_khz(void)
{
	unsigned den, num, crystal, d;
	if (__get_cpuid_count(0x15, 0, &den, &num, &crystal, &d) && den && num && crystal)
		return (uint64_t)crystal * num / den / 1000;
	int64_t t0 = host_now();
	uint64_t c0 = __rdtsc();
	while (host_now() - t0 < 10000000)
		_mm_pause();
	uint64_t c1 = __rdtsc();
	int64_t t1 = host_now();
	return muldiv64(c1 - c0, 1000000, t1 - t0);
}

void world_init(Machine *m)
{
	m->tsc_host = tsc_invariant();
	m->tsc_khz = m->tsc_host ? measure_khz() : 1000000;
	if (!m->tsc_khz) {
		m->tsc_host = false;
		m->tsc_khz = 1000000;
	}
}

void world_start(Machine *m)
{
	atomic_store(&m->tsc_offset, atomic_load(&m->tsc_frozen) - raw_tsc(m));
	atomic_store_explicit(&m->tsc_running, true, memory_order_release);
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		pv_update(&m->vcpus[i]);
}

void world_stop(Machine *m)
{
	if (!atomic_load(&m->tsc_running))
		return;
	atomic_store(&m->tsc_frozen, raw_tsc(m) + atomic_load(&m->tsc_offset));
	atomic_store(&m->tsc_running, false);
}

void world_reset(Machine *m)
{
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		m->vcpus[i].kvmclock_msr = 0;
	m->wall_clock_msr = 0;
}
