/*
 * check_kvm.c - from the processor's flags to what /dev/kvm offers.
 *
 * The KVM API as the kernel documents it (Documentation/virt/kvm/api). Only questions are
 * asked: no vcpu is made. Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/check.h"

/* Is `word` among the flags of the first processor? */
static bool cpu_flag(const char *word)
{
	char *text = NULL;
	bool found = false;
	if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
		return false;
	char *flags = strstr(text, "\nflags");
	if (flags) {
		char *end = strchr(flags + 1, '\n');
		if (end)
			*end = 0;
		char **words = g_strsplit_set(flags, " \t", 0);
		found = g_strv_contains((const char *const *)words, word);
		g_strfreev(words);
	}
	g_free(text);
	return found;
}

static void check_processor(Checks *c)
{
	bool vmx = cpu_flag("vmx"), svm = cpu_flag("svm");
	bool amd = svm;
	char *text = NULL;
	if (!vmx && !svm && g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
		amd = strstr(text, "AuthenticAMD") || strstr(text, "HygonGenuine");
	g_free(text);
	c->cpu_flag = vmx || svm;
	c->cpu_module = amd ? "kvm_amd" : "kvm_intel";
	if (c->cpu_flag)
		check_add(c, "processor", CHECK_PASS, NULL, "%s in /proc/cpuinfo", vmx ? "vmx"
			: "svm");
	else if (cpu_flag("hypervisor"))
		check_add(c, "processor", CHECK_WARN, amd
			? "on the outer host: modprobe -r kvm_amd; modprobe kvm_amd nested=1" :
			"on the outer host: modprobe -r kvm_intel; modprobe kvm_intel nested=1",
			"neither vmx nor svm: this host is a guest itself, and its hypervisor "
			"does not nest");
	else
		check_add(c, "processor", CHECK_WARN, "systemctl reboot --firmware-setup",
			"neither vmx nor svm in /proc/cpuinfo: switched off in the firmware's "
			"setup, or not there");
}

static void check_module(Checks *c, const char *module)
{
	char *path = g_strdup_printf("/sys/module/%s", module);
	char *cure = g_strdup_printf("modprobe %s", module);
	if (!access(path, F_OK))
		check_add(c, module, CHECK_PASS, NULL, "loaded or built in");
	else if (!strcmp(module, "kvm") || c->cpu_flag)
		check_add(c, module, CHECK_WARN, cure, "the module is not loaded");
	else
		check_add(c, module, CHECK_WARN, NULL,
		"not loaded, and of no use without vmx or svm");
	g_free(cure);
	g_free(path);
}

static void open_kvm(Checks *c)
{
	struct stat st;
	if (stat("/dev/kvm", &st)) {
		check_add(c, "/dev/kvm", CHECK_WARN, c->cpu_module[4] == 'a' ? "modprobe kvm_amd"
			: "modprobe kvm_intel",
			"%s", g_strerror(errno));
		return;
	}
	c->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (c->kvm_fd >= 0)
		check_add(c, "/dev/kvm", CHECK_PASS, NULL, "opens");
	else if (errno == EACCES || errno == EPERM)
		check_add(c, "/dev/kvm", CHECK_WARN, "usermod -a -G kvm $USER (then log in again)",
			"%s: mode %o, and you are not in its group", g_strerror(errno),
			st.st_mode & 07777);
	else
		check_add(c, "/dev/kvm", CHECK_WARN, NULL, "%s", g_strerror(errno));
}

static void check_backend(Checks *c)
{
	int version = ioctl(c->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		check_add(c, "KVM API", CHECK_PASS, NULL, "version %d", version);
	else
		check_add(c, "KVM API", CHECK_WARN, NULL,
		"version %d, %d is needed: this kernel is too old", version,
			KVM_API_VERSION);
	int vm = ioctl(c->kvm_fd, KVM_CREATE_VM, 0);
	if (vm < 0) {
		check_add(c, "KVM backend", CHECK_WARN, errno == EBUSY
			? "stop the other hypervisor (lsmod | grep -i vbox)" : NULL,
			"a machine cannot be made: %s", g_strerror(errno));
		return;
	}
	close(vm);
	if (c->cpu_flag)
		check_add(c, "KVM backend", CHECK_PASS, NULL, "hardware virtualisation (%s)",
			c->cpu_module[4] == 'a' ? "SVM" : "VMX");
	else if (!access("/sys/module/kvm_pvm", F_OK))
		check_add(c, "KVM backend", CHECK_WARN, NULL,
			"page tables (kvm_pvm), no hardware: kernel code of guests "
			"is emulated in the host's kernel and slow; the software CPU is chosen by "
			"default");
	else
		check_add(c, "KVM backend", CHECK_WARN, NULL,
		"it works without vmx or svm, so most likely by page tables: "
			"kernel code of guests is emulated and slow; the software CPU is chosen "
			"by default");
}

static void check_limits(Checks *c)
{
	int usual = ioctl(c->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	int most = ioctl(c->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int slots = ioctl(c->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	check_add(c, "KVM limits", CHECK_PASS, NULL,
		"%d vcpus recommended, %d at most, %d memory slots", usual,
		MAX(most, usual), slots);
	static const struct { int cap; const char *name; } needed[] = {
		{ KVM_CAP_IRQCHIP, "IRQCHIP" }, { KVM_CAP_PIT2, "PIT2" },
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" }, { KVM_CAP_MP_STATE, "MP_STATE" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD" }, { KVM_CAP_IRQFD, "IRQFD" },
	};
	GString *missing = g_string_new(NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++)
		if (ioctl(c->kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			g_string_append_printf(missing, " %s", needed[i].name);
	if (missing->len)
		check_add(c, "KVM capabilities", CHECK_WARN, "boot a kernel of 4.12 or later",
			"missing:%s", missing->str);
	else
		check_add(c, "KVM capabilities", CHECK_PASS, NULL, "all that viv uses");
	g_string_free(missing, TRUE);
}

static void check_nested(Checks *c)
{
	char *path = g_strdup_printf("/sys/module/%s/parameters/nested", c->cpu_module);
	char *value = check_read(path);
	if (value && (*value == 'Y' || *value == '1'))
		check_add(c, "nested virtualisation", CHECK_PASS, NULL,
			"on in %s: guests may run hypervisors", c->cpu_module);
	else if (value) {
		char *cure = g_strdup_printf("modprobe -r %s; modprobe %s nested=1", c->cpu_module,
			c->cpu_module);
		check_add(c, "nested virtualisation", CHECK_WARN, cure,
			"off in %s: only guests that are hypervisors need it",
			c->cpu_module);
		g_free(cure);
	} else
		check_add(c, "nested virtualisation", CHECK_WARN, NULL, "not available without %s",
		c->cpu_module);
	g_free(value);
	g_free(path);
}

void check_kvm(Checks *c)
{
	check_processor(c);
	check_module(c, "kvm");
	check_module(c, c->cpu_module);
	open_kvm(c);
	if (c->kvm_fd >= 0) {
		check_backend(c);
		check_limits(c);
	}
	check_nested(c);
}
