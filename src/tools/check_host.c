/*
 * check_host.c - memory, kernel facilities, firmware, and the accelerators.
 *
 * Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/accels.h"
#include "tools/check.h"

static uint64_t meminfo(const char *key)
{
	char *text = NULL;
	uint64_t kib = 0;
	if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL)) {
		char *at = strstr(text, key);
		if (at)
			kib = strtoull(at + strlen(key), NULL, 10);
	}
	g_free(text);
	return kib;
}

static void check_memory(Checks *c)
{
	uint64_t total = meminfo("MemTotal:") >> 10, available = meminfo("MemAvailable:") >> 10;
	struct rlimit as, lock;
	getrlimit(RLIMIT_AS, &as);
	getrlimit(RLIMIT_MEMLOCK, &lock);
	check_add(c, "memory", available < 512 ? CHECK_WARN : CHECK_PASS, available < 512
		? "ps aux --sort=-rss | head" : NULL,
		"%" PRIu64 " MiB, %" PRIu64 " MiB available for guests; %ld processors", total,
		available,
		sysconf(_SC_NPROCESSORS_ONLN));
	if (as.rlim_cur == RLIM_INFINITY)
		check_add(c, "address space limit", CHECK_PASS, NULL, "none");
	else
		check_add(c, "address space limit", CHECK_WARN, "ulimit -v unlimited",
			"%" PRIu64 " MiB: guest memory and 1 GiB more must fit",
			(uint64_t)as.rlim_cur >> 20);
	if (lock.rlim_cur == RLIM_INFINITY)
		check_add(c, "locked memory limit", CHECK_PASS, NULL, "none");
	else
		check_add(c, "locked memory limit", lock.rlim_cur >> 20 < 64 ? CHECK_WARN
		: CHECK_PASS,
			lock.rlim_cur >> 20 < 64
			? "ulimit -l unlimited (or LimitMEMLOCK= of the unit)" : NULL,
			"%" PRIu64 " KiB: devices assigned to a guest, and locked guest memory, "
			"need more",
			(uint64_t)lock.rlim_cur >> 10);
	uint64_t pages = meminfo("HugePages_Total:"), size = meminfo("Hugepagesize:");
	char *thp = check_read("/sys/kernel/mm/transparent_hugepage/enabled");
	bool transparent = thp && !strstr(thp, "[never]");
	check_add(c, "huge pages", pages || transparent ? CHECK_PASS : CHECK_WARN,
		pages || transparent ? NULL
		: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
		"%" PRIu64 " of %" PRIu64 " KiB reserved; transparent: %s", pages, size, thp ? thp
		: "not in this kernel");
	g_free(thp);
}

static void check_iommu(Checks *c)
{
	GDir *dir = g_dir_open("/sys/kernel/iommu_groups", 0, NULL);
	unsigned groups = 0;
	while (dir && g_dir_read_name(dir))
		groups++;
	if (dir)
		g_dir_close(dir);
	if (groups)
		check_add(c, "IOMMU", CHECK_PASS, NULL, "%u groups", groups);
	else
		check_add(c, "IOMMU", CHECK_WARN, c->cpu_module[4] == 'a'
		? "add amd_iommu=on to the kernel's command line" :
			"add intel_iommu=on to the kernel's command line",
				"no groups: host devices cannot be given to guests");
}

static void check_device(Checks *c, const char *path, const char *what, const char *module)
{
	char *load = g_strdup_printf("modprobe %s", module),
		*allow = g_strdup_printf("setfacl -m u:$USER:rw %s", path);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		check_add(c, path, CHECK_PASS, NULL, "opens");
		close(fd);
	} else {
		bool denied = errno == EACCES || errno == EPERM;
		check_add(c, path, CHECK_WARN, denied ? allow : load, "%s: %s", g_strerror(errno),
			what);
	}
	g_free(load);
	g_free(allow);
}

static void check_io_uring(Checks *c)
{
	struct io_uring_params params;
	memset(&params, 0, sizeof(params));
	char *disabled = check_read("/proc/sys/kernel/io_uring_disabled");
	int fd = (int)syscall(SYS_io_uring_setup, 2, &params);
	if (fd >= 0) {
		check_add(c, "io_uring", CHECK_PASS, NULL, "works");
		close(fd);
	} else if (disabled && strcmp(disabled, "0")) {
		check_add(c, "io_uring", CHECK_WARN, "sysctl kernel.io_uring_disabled=0",
			"%s: kernel.io_uring_disabled is %s",
			g_strerror(errno), disabled);
	} else {
		check_add(c, "io_uring", CHECK_WARN, NULL, "%s: %s", g_strerror(errno),
			errno == ENOSYS ? "not in this kernel"
			: "a sandbox or container may forbid it");
	}
	g_free(disabled);
}

static void check_kernel(Checks *c)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd >= 0) {
		check_add(c, "userfaultfd", CHECK_PASS, NULL, "works");
		close(fd);
	} else {
		check_add(c, "userfaultfd", CHECK_WARN, errno == EPERM
			? "sysctl vm.unprivileged_userfaultfd=1" : NULL,
			"%s: migration that fetches memory afterwards needs it", g_strerror(errno));
	}
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	if (!syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		check_add(c, "seccomp", CHECK_PASS, NULL, "filters can be used");
	else
		check_add(c, "seccomp", CHECK_WARN, NULL, "%s: sandboxing needs it",
		g_strerror(errno));
	/* landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) */
	long abi = syscall(444, NULL, 0, 1);
	if (abi > 0)
		check_add(c, "landlock", CHECK_PASS, NULL, "version %ld", abi);
	else
		check_add(c, "landlock", CHECK_WARN, errno == EOPNOTSUPP
		? "add lsm=landlock,... to the kernel's command line" :
			NULL, "%s: sandboxing of files needs it", g_strerror(errno));
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	check_add(c, "open files limit", files.rlim_cur < 1024 ? CHECK_WARN : CHECK_PASS,
		files.rlim_cur < 1024 ? "ulimit -n 4096" : NULL, "%" PRIu64,
		(uint64_t)files.rlim_cur);
}

static void check_firmware(Checks *c)
{
	static const char *const dirs[] = { "/usr/share/vivarium", "/usr/share/seabios",
		"/usr/share/qemu" };
	for (unsigned i = 0; i < G_N_ELEMENTS(dirs); i++) {
		char *path = g_build_filename(dirs[i], "bios-256k.bin", NULL);
		bool there = !access(path, R_OK);
		if (there)
			check_add(c, "firmware", CHECK_PASS, NULL, "%s", path);
		g_free(path);
		if (there)
			return;
	}
	check_add(c, "firmware", CHECK_FAIL, "apt-get install seabios",
		"bios-256k.bin is not there");
	((Finding *)g_ptr_array_index(c->findings, c->findings->len - 1))->fatal = true;
}

void check_host(Checks *c)
{
	check_memory(c);
	check_iommu(c);
	check_device(c, "/dev/net/tun", "needed for tap networks", "tun");
	check_device(c, "/dev/vhost-net", "makes tap networks faster", "vhost_net");
	check_io_uring(c);
	check_kernel(c);
	check_firmware(c);
}

void check_accels(Checks *c)
{
	const AccelClass *best = NULL;
	int best_score = 0;
	for (const AccelClass *const *a = accel_classes; *a; a++) {
		const char *why = NULL;
		int score = (*a)->probe(&why);
		char *name = g_strdup_printf("accelerator %s", (*a)->name);
		if (score > 1)
			check_add(c, name, CHECK_PASS, NULL, "%s", (*a)->desc);
		else
			check_add(c, name, CHECK_WARN, NULL, "%s: %s%s%s", (*a)->desc, score
			? "works, not chosen by default" :
				"cannot be used", why ? "; " : "", why ? why : "");
		if (score > best_score) {
			best_score = score;
			best = *a;
		}
		g_free(name);
	}
	if (!best) {
		check_add(c, "default accelerator", CHECK_FAIL, NULL, "none can be used");
		((Finding *)g_ptr_array_index(c->findings, c->findings->len - 1))->fatal = true;
		return;
	}
	bool kvm = !strcmp(best->name, "kvm");
	check_add(c, "default accelerator", kvm ? CHECK_PASS : CHECK_WARN, NULL,
		"viv runs guests with -accel %s: %s",
		best->name, kvm ? "native speed"
		: "every instruction in software, some tens of times slower than the host");
}
