/*
 * kvm_run.c - the run loop of a KVM vcpu: one function, one switch.
 *
 * Linux, virt/kvm/api.rst, "the kvm_run structure". An instruction that KVM cannot emulate is finished by
 * the interpreter and the guest goes on. The vcpu's own thread.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/lock.h"
#include "core/trace.h"
#include "cpu/debugger.h"

static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "unknown", [KVM_EXIT_EXCEPTION] = "exception", [KVM_EXIT_IO] = "io",
	[KVM_EXIT_HYPERCALL] = "hypercall", [KVM_EXIT_DEBUG] = "debug", [KVM_EXIT_HLT] = "hlt", [KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window-open", [KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail-entry", [KVM_EXIT_INTR] = "intr", [KVM_EXIT_SET_TPR] = "set-tpr",
	[KVM_EXIT_TPR_ACCESS] = "tpr-access", [KVM_EXIT_NMI] = "nmi", [KVM_EXIT_INTERNAL_ERROR] = "internal-error",
	[KVM_EXIT_SYSTEM_EVENT] = "system-event", [KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi", [KVM_EXIT_HYPERV] = "hyperv",
	[KVM_EXIT_X86_RDMSR] = "rdmsr", [KVM_EXIT_X86_WRMSR] = "wrmsr", [KVM_EXIT_DIRTY_RING_FULL] = "dirty-ring-full",
	[KVM_EXIT_X86_BUS_LOCK] = "bus-lock", [KVM_EXIT_XEN] = "xen",
};

const char *kvm_exit_name(unsigned reason)
{
	const char *name = reason < G_N_ELEMENTS(exit_names) ? exit_names[reason] : NULL;

	return name ? name : "(not known to this version)";
}

static void do_io(Board *board, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint64_t v = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&v, data, run->io.size);
			as_store(board->io, run->io.port, v, run->io.size);
		} else {
			v = as_load(board->io, run->io.port, run->io.size);
			memcpy(data, &v, run->io.size);
		}
	}
}

static void do_mmio(Board *board, struct kvm_run *run)
{
	/* Lengths that are no power of two come from accesses that cross a page. */
	for (uint32_t at = 0; at < run->mmio.len;) {
		uint32_t left = run->mmio.len - at, n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
		uint64_t v = 0;
		if (run->mmio.is_write) {
			memcpy(&v, run->mmio.data + at, n);
			as_store(board->mem, run->mmio.phys_addr + at, v, n);
		} else {
			v = as_load(board->mem, run->mmio.phys_addr + at, n);
			memcpy(run->mmio.data + at, &v, n);
		}
		at += n;
	}
}

static RunResult give_up(Accel *accel, Cpu *cpu, const char *what)
{
	kvm_get_state(kvm_of(accel), cpu);
	g_printerr("viv: KVM cannot go on with CPU %u at CS:RIP %04x:%#" G_GINT64_MODIFIER "x: %s. "
		   "The machine is paused; `-accel interp` runs it on the software CPU.\n", cpu->index,
		   cpu->seg[CS].sel, cpu->rip, what);
	board_request(accel->board, RUN_INTERNAL_ERROR, 1);
	return RUN_STOP;
}

static RunResult internal_error(Accel *accel, Cpu *cpu)
{
	KvmAccel *k = kvm_of(accel);
	KvmVcpu *v = kvm_vcpu(cpu);
	char text[96];

	if (v->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		g_snprintf(text, sizeof(text), "internal error, suberror %u", v->run->internal.suberror);
		return give_up(accel, cpu, text);
	}
	kvm_get_state(k, cpu);
	interp_step(cpu);
	v->completed++;
	kvm_put_state(k, cpu);
	if (cpu->debug.step && !cpu->debug.stop)
		cpu->debug.stop = CPU_STOP_STEP;
	return cpu->debug.stop ? RUN_TRAP : RUN_AGAIN;
}

static RunResult system_event(Accel *accel, struct kvm_run *run)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: board_request(accel->board, RUN_SHUTDOWN, 0); break;
	case KVM_SYSTEM_EVENT_RESET: board_request(accel->board, RUN_RESET, 0); break;
	case KVM_SYSTEM_EVENT_CRASH: board_request(accel->board, RUN_PANICKED, 0); break;
	default: return RUN_AGAIN;
	}
	return RUN_STOP;
}

static RunResult exited(Accel *accel, Cpu *cpu)
{
	struct kvm_run *run = kvm_vcpu(cpu)->run;
	char text[128];

	trace_kvm_run_exit(cpu->index, run->exit_reason);
	switch (run->exit_reason) {
	case KVM_EXIT_IO: do_io(accel->board, run); return RUN_AGAIN;
	case KVM_EXIT_MMIO: do_mmio(accel->board, run); return RUN_AGAIN;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_NMI:
	case KVM_EXIT_X86_BUS_LOCK:
		return RUN_AGAIN;
	case KVM_EXIT_HLT: return RUN_HALTED;
	case KVM_EXIT_DEBUG: return kvm_debug_exit(cpu);
	case KVM_EXIT_SHUTDOWN: board_request(accel->board, RUN_TRIPLE_FAULT, 0); return RUN_STOP;
	case KVM_EXIT_SYSTEM_EVENT: return system_event(accel, run);
	case KVM_EXIT_INTERNAL_ERROR: return internal_error(accel, cpu);
	case KVM_EXIT_HYPERCALL: run->hypercall.ret = (uint64_t)-ENOSYS; return RUN_AGAIN;
	case KVM_EXIT_FAIL_ENTRY:
		g_snprintf(text, sizeof(text), "the processor refused to enter the guest, hardware reason %#llx",
			   (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return give_up(accel, cpu, text);
	default:
		g_snprintf(text, sizeof(text), "exit reason %u, %s", run->exit_reason, kvm_exit_name(run->exit_reason));
		return give_up(accel, cpu, text);
	}
}

/* Threads start with all signals blocked: without this one a sleep in KVM_RUN would never end. */
static void take_kicks(KvmVcpu *v)
{
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	v->thread = pthread_self();
	atomic_store(&v->has_thread, true);
}

RunResult kvm_vcpu_run(Accel *accel, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);

	if (!v->has_thread)
		take_kicks(v);
	if (!kvm_debug_apply(cpu)) {
		g_autofree char *text = g_strdup_printf("KVM_SET_GUEST_DEBUG: %s", g_strerror(errno));
		return give_up(accel, cpu, text);
	}
	for (;;) {
		/* A kick that comes now sets immediate_exit again, or its signal ends KVM_RUN. */
		v->run->immediate_exit = 0;
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&cpu->events) & CPU_EV_KICK) {
			cpu_clear(cpu, CPU_EV_KICK);
			return RUN_AGAIN;
		}
		int r = ioctl(v->fd, KVM_RUN, 0);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r < 0) {
			char *text = g_strdup_printf("KVM_RUN: %s", g_strerror(errno));
			RunResult result = give_up(accel, cpu, text);
			g_free(text);
			return result;
		}
		v->exits[v->run->exit_reason & 63]++;
		RunResult result = exited(accel, cpu);
		if (result != RUN_AGAIN)
			return result;
	}
}
