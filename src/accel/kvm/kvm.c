/*
 * kvm.c - the KVM accelerator: the virtual machine, its vcpus, its interrupt chips.
 *
 * Linux, Documentation/virt/kvm/api.rst. Interrupt controllers and PIT are the kernel's. Leaves out
 * nested virtualisation, SMM and Hyper-V enlightenments. Set-up runs in the main thread.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel/accels.h"
#include "core/error.h"
#include "core/lock.h"

/* Below the BIOS, where the PC has nothing: the pages Intel's real-mode support wants (KVM_SET_TSS_ADDR). */
#define IDENTITY_MAP_ADDR 0xfeffc000ull
#define TSS_ADDR 0xfeffd000ul

static bool host_has_vmx_or_svm(void)
{
	char *text = NULL;
	bool found = false;

	if (g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
		const char *flags = strstr(text, "\nflags");
		const char *end = flags ? strchr(flags + 1, '\n') : NULL;
		char *line = flags ? g_strndup(flags, end ? (gsize)(end - flags) : strlen(flags)) : g_strdup("");
		found = strstr(line, " vmx") || strstr(line, " svm");
		g_free(line);
	}
	g_free(text);
	return found;
}

static int probe(const char **why)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*why = NULL;
	if (fd < 0) {
		*why = errno == EACCES ? "/dev/kvm may not be opened by this user; add the user to the group kvm" :
		       errno == ENOENT ? "/dev/kvm does not exist; load the module kvm_intel or kvm_amd" :
					 "/dev/kvm cannot be opened";
		return 0;
	}
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);
	close(fd);
	if (version != KVM_API_VERSION) {
		*why = "/dev/kvm speaks another version of KVM's interface";
		return 0;
	}
	if (!host_has_vmx_or_svm()) {
		*why = "/dev/kvm is not backed by VMX or SVM here, so most guests would run slower than on the software CPU";
		return 1;
	}
	return 2;
}

static bool need(KvmAccel *k, int cap, const char *name, GError **error)
{
	if (ioctl(k->vm, KVM_CHECK_EXTENSION, cap) > 0)
		return true;
	return fail(error, VIV_ERROR_UNSUPPORTED, "KVM on this host lacks %s. Use -accel interp.", name);
}

static bool create_vm(KvmAccel *k, GError **error)
{
	uint64_t identity = IDENTITY_MAP_ADDR;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return fail(error, VIV_ERROR_FAILED, "Cannot open /dev/kvm: %s. Run viv-check.", g_strerror(errno));
	do
		k->vm = ioctl(k->fd, KVM_CREATE_VM, 0);
	while (k->vm < 0 && errno == EINTR);
	if (k->vm < 0)
		return fail(error, VIV_ERROR_FAILED, "KVM cannot make a virtual machine: %s. Run viv-check.", g_strerror(errno));
	if (!need(k, KVM_CAP_IRQCHIP, "an in-kernel interrupt controller", error) ||
	    !need(k, KVM_CAP_PIT2, "an in-kernel timer", error) ||
	    !need(k, KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", error))
		return false;
	ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	ioctl(k->vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (ioctl(k->vm, KVM_CREATE_IRQCHIP, 0) < 0 || ioctl(k->vm, KVM_CREATE_PIT2, &pit) < 0)
		return fail(error, VIV_ERROR_FAILED, "KVM cannot make its interrupt controllers: %s.", g_strerror(errno));
	k->sync_regs = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) > 0;
	kvm_learn_xsave(k);
	int size = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->run_size = size > 0 ? (size_t)size : 0;
	return k->run_size >= sizeof(struct kvm_run) ||
	       fail(error, VIV_ERROR_FAILED, "KVM's run page has an unusable size.");
}

static void destroy(Accel *accel)
{
	KvmAccel *k = kvm_of(accel);

	machine_lock();
	as_remove_listener(accel->board->mem, k);
	machine_unlock();
	if (k->vm >= 0)
		close(k->vm);
	if (k->fd >= 0)
		close(k->fd);
	g_free(k);
}

static void ignore_signal(int sig) {}

static Accel *create(Board *board, const AccelOptions *options, GError **error)
{
	KvmAccel *k = g_new0(KvmAccel, 1);
	struct sigaction sa = { .sa_handler = ignore_signal };

	k->base = (Accel){ &accel_kvm, board };
	k->fd = k->vm = -1;
	sigaction(KVM_KICK_SIGNAL, &sa, NULL); /* without SA_RESTART: it ends KVM_RUN */
	if (!create_vm(k, error)) {
		destroy(&k->base);
		return NULL;
	}
	machine_lock();
	as_add_listener(board->mem, (MapListener){ kvm_slots_changed, k });
	board->arena.watch_opaque = k;
	board->arena.watch_sync = kvm_watch_sync;
	machine_unlock();
	return &k->base;
}

static void kick(Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);

	if (!v || !v->run)
		return;
	v->run->immediate_exit = 1;
	if (v->has_thread && !pthread_equal(v->thread, pthread_self()))
		pthread_kill(v->thread, KVM_KICK_SIGNAL);
}

static void vcpu_destroy(Accel *accel, Cpu *cpu)
{
	KvmVcpu *v = kvm_vcpu(cpu);

	if (!v)
		return;
	cpu->ops_kick = NULL;
	cpu->accel_data = NULL;
	if (v->run)
		munmap(v->run, kvm_of(accel)->run_size);
	if (v->fd >= 0)
		close(v->fd);
	g_aligned_free(v->xsave);
	g_free(v);
	interp_free(cpu);
}

static bool vcpu_create(Accel *accel, Cpu *cpu, GError **error)
{
	KvmAccel *k = kvm_of(accel);
	KvmVcpu *v = g_new0(KvmVcpu, 1);

	cpu->accel_data = v;
	v->xsave = g_aligned_alloc0(1, k->xsave_size, 4096);
	v->fd = ioctl(k->vm, KVM_CREATE_VCPU, (unsigned long)cpu->apic_id);
	if (v->fd < 0) {
		fail(error, VIV_ERROR_FAILED, "KVM cannot make CPU %u: %s. Ask for fewer with -smp.", cpu->index, g_strerror(errno));
		goto out;
	}
	v->run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		fail(error, VIV_ERROR_FAILED, "Cannot map KVM's run page: %s.", g_strerror(errno));
		goto out;
	}
	if (!kvm_set_cpuid(k, cpu, error) || !interp_init(cpu, error))
		goto out;
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	if (khz > 0 && !cpu->tsc_khz)
		cpu->tsc_khz = (uint64_t)khz;
	cpu->ops_kick = kick;
	kvm_put_state(k, cpu);
	return true;
out:
	vcpu_destroy(accel, cpu);
	return false;
}

static void vcpu_get(Accel *accel, Cpu *cpu) { kvm_get_state(kvm_of(accel), cpu); }
static void vcpu_put(Accel *accel, Cpu *cpu) { kvm_put_state(kvm_of(accel), cpu); }

static void set_gsi(Accel *accel, int gsi, int level)
{
	struct kvm_irq_level l = { .irq = (uint32_t)gsi, .level = (uint32_t)level };

	ioctl(kvm_of(accel)->vm, KVM_IRQ_LINE, &l);
}

static void msi(Accel *accel, uint64_t addr, uint32_t data)
{
	struct kvm_msi m = { .address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data };

	ioctl(kvm_of(accel)->vm, KVM_SIGNAL_MSI, &m);
}

static bool irqfd(Accel *accel, int fd, int gsi, bool assign)
{
	struct kvm_irqfd i = { .fd = (uint32_t)fd, .gsi = (uint32_t)gsi, .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

	return ioctl(kvm_of(accel)->vm, KVM_IRQFD, &i) == 0;
}

static bool ioeventfd(Accel *accel, int fd, uint64_t addr, unsigned size, bool port, int match, bool assign)
{
	struct kvm_ioeventfd e = { .fd = fd, .addr = addr, .len = size, .flags = (port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
				   (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN) };

	if (match >= 0) {
		e.datamatch = (uint64_t)match;
		e.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	}

	return ioctl(kvm_of(accel)->vm, KVM_IOEVENTFD, &e) == 0;
}

/* Power-on state of the chips that the kernel keeps (8259: api.rst KVM_SET_IRQCHIP; 8254: KVM_SET_PIT2). */
static void reset_irqchip(Accel *accel)
{
	KvmAccel *k = kvm_of(accel);
	struct kvm_irqchip chip = { 0 };
	struct kvm_pit_state2 pit = { 0 };

	for (uint32_t id = KVM_IRQCHIP_PIC_MASTER; id <= KVM_IRQCHIP_PIC_SLAVE; id++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = id;
		chip.chip.pic.elcr_mask = id == KVM_IRQCHIP_PIC_MASTER ? 0xf8 : 0xde;
		ioctl(k->vm, KVM_SET_IRQCHIP, &chip);
	}
	memset(&chip, 0, sizeof(chip));
	chip.chip_id = KVM_IRQCHIP_IOAPIC;
	chip.chip.ioapic.base_address = 0xfec00000;
	for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].fields.mask = 1;
	ioctl(k->vm, KVM_SET_IRQCHIP, &chip);
	for (int i = 0; i < 3; i++) {
		pit.channels[i].mode = 3;
		pit.channels[i].gate = i != 2;
		pit.channels[i].count = 0x10000;
	}
	ioctl(k->vm, KVM_SET_PIT2, &pit);
}

static void info(Accel *accel, GString *out)
{
	g_string_append_printf(out, "kvm: %s\n", host_has_vmx_or_svm() ? "backed by VMX or SVM" : "not backed by VMX or SVM");
	for (unsigned i = 0; i < accel->board->cpu_count; i++) {
		KvmVcpu *v = kvm_vcpu(accel->board->cpus[i]);
		g_string_append_printf(out, "  CPU %u: %" G_GUINT64_FORMAT " instructions completed by the interpreter; exits:",
				       i, v->completed);
		for (unsigned r = 0; r < G_N_ELEMENTS(v->exits); r++)
			if (v->exits[r])
				g_string_append_printf(out, " %s %" G_GUINT64_FORMAT, kvm_exit_name(r), v->exits[r]);
		g_string_append_c(out, '\n');
	}
}

const AccelClass accel_kvm = {
	.name = "kvm",
	.desc = "the host's processor, through /dev/kvm",
	.irqchip = true,
	.probe = probe,
	.create = create,
	.destroy = destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_run = kvm_vcpu_run,
	.debug = kvm_debug,
	.vcpu_get = vcpu_get,
	.vcpu_put = vcpu_put,
	.cpu_features = kvm_cpu_features,
	.info = info,
	.set_gsi = set_gsi,
	.msi = msi,
	.reset_irqchip = reset_irqchip,
	.irqfd = irqfd,
	.ioeventfd = ioeventfd,
};
