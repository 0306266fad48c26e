/*
 * kvm_debug.c - a debugger's breakpoints, watchpoints and steps in KVM: the processor's debug registers, lent by KVM.
 *
 * Linux, Documentation/virt/kvm/api.rst, KVM_SET_GUEST_DEBUG, KVM_EXIT_DEBUG; SDM vol. 3B, 17.2. There are four such registers;
 * nothing is written into the guest's code. While a debugger uses them, the guest's own are kept and without effect.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "accel/kvm/kvm.h"
#include "core/error.h"
#include "cpu/debugger.h"

#define REGISTERS 4u
#define DR6_STEP (1u << 14)
#define DR7_GLOBAL_EXACT 0x600u

/* What a debug register is for, as DR7 has it: R/W and LEN (SDM vol. 3B, 17.2.4). */
typedef struct Use {
	uint64_t address;
	unsigned condition, length;
	bool watch;
} Use;

/* Parts of 1, 2, 4 or 8 bytes, aligned, that cover a watchpoint, into `uses`; their count, which may be above the room. */
static unsigned split_watch(const CpuWatchpoint *w, Use *uses, unsigned room)
{
	static const uint8_t codes[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	uint64_t at = w->address, left = w->length;
	unsigned n = 0;

	for (; left; n++) {
		unsigned size = 8;
		while (size > left || at % size)
			size /= 2;
		if (n >= room)
			return room + 1;
		uses[n] = (Use){ at, w->kinds & CPU_WATCH_READ ? 3 : 1, codes[size], true };
		at += size;
		left -= size;
	}
	return n;
}

/* How many registers it takes; above REGISTERS: more than there are. */
static unsigned plan(const CpuDebugger *d, Use uses[REGISTERS])
{
	unsigned n = 0;

	for (guint i = 0; d && i < d->watches->len && n <= REGISTERS; i++)
		n += split_watch(&g_array_index(d->watches, CpuWatchpoint, i), uses + n, REGISTERS - n);
	for (guint i = 0; d && i < d->breaks->len && n <= REGISTERS; i++, n++)
		if (n < REGISTERS)
			uses[n] = (Use){ .address = g_array_index(d->breaks, uint64_t, i) };
	return n;
}

bool kvm_debug(Accel *accel, const CpuDebugger *set, GError **error)
{
	Use uses[REGISTERS];

	if (plan(set, uses) > REGISTERS)
		return fail(error, VIV_ERROR_UNSUPPORTED, "KVM has four registers for breakpoints and watchpoints (of up to 8 bytes, "
			    "aligned); -accel jit has no limit");
	for (unsigned i = 0; i < accel->board->cpu_count; i++)
		accel->board->cpus[i]->debug.set = set;
	return true;
}

static struct kvm_guest_debug wanted(const Cpu *cpu)
{
	struct kvm_guest_debug d = { 0 };
	Use uses[REGISTERS];
	unsigned n = cpu->debug.step ? 0 : plan(cpu->debug.set, uses);

	if (cpu->debug.step)
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |
			(cpu->debug.step & CPU_STEP_NO_INTERRUPTS ? KVM_GUESTDBG_BLOCKIRQ : 0);
	else if (n)
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	for (unsigned i = 0; i < n; i++) {
		d.arch.debugreg[i] = uses[i].address;
		d.arch.debugreg[7] |= DR7_GLOBAL_EXACT | 2ull << 2 * i | (uint64_t)(uses[i].condition | uses[i].length << 2) << (16 + 4 * i);
	}
	return d;
}

bool kvm_debug_apply(Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);
	struct kvm_guest_debug d = wanted(cpu);

	if (!memcmp(&d, &v->debug, sizeof(d)))
		return true;
	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d)) {
		/* Older kernels cannot hold interrupts back: then they are taken in the step. */
		d.control &= ~KVM_GUESTDBG_BLOCKIRQ;
		if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d))
			return false;
		d.control = wanted(cpu).control;
	}
	v->debug = d;
	return true;
}

RunResult kvm_debug_exit(Cpu *cpu)
{
	const struct kvm_debug_exit_arch *e = &kvm_vcpu(cpu)->run->debug.arch;
	Use uses[REGISTERS];
	unsigned n = plan(cpu->debug.set, uses);

	cpu->debug.stop = e->dr6 & DR6_STEP ? CPU_STOP_STEP : CPU_STOP_BREAK;
	cpu->debug.address = e->pc;
	for (unsigned i = 0; i < MIN(n, REGISTERS); i++)
		if (e->dr6 >> i & 1 && uses[i].watch) {
			cpu->debug.stop = CPU_STOP_WATCH;
			cpu->debug.address = uses[i].address;
		}
	return RUN_TRAP;
}
