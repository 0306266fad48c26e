"""stress.py - Debian's stress-ng in a whole Debian: what two vcpus do to each other, to memory, time and the kernel."""
import os

from linux import prepare
from vm import Vm

SKIPPED = (3, 4) # stress-ng(1), "EXIT STATUS": no resources for it, not implemented here

# By what they lean on; those that the guest's version lacks are left out.
STRESSORS = """
    futex atomic mutex sem sem-sysv shm shm-sysv lockbus membarrier rseq cacheline peterson dekker
    mmap mremap mprotect vm vm-rw malloc stack brk madvise memfd fault pagemove
    fork vfork clone exec pthread pipe fifo switch poll epoll eventfd msg mq sock
    sigsegv signal sigfd sigq sigtrap sigio sigsuspend sigchld kill
    cpu matrix vecmath vecfp vecwide fp str memcpy memthrash strcpy wcs bsearch qsort crypt hash zlib branch prefetch jumptable
    tsc clock timer timerfd itimer hrtimers nanosleep
    icache spinmem x86syscall x86cpuid vdso getrandom schedpolicy yield affinity loop-dummy
""".split()
ILL = r"BUG|Oops|rcu.*stall|soft lockup|hard LOCKUP|clocksource.*(unstable|skew)|general protection|Call Trace|unexpected machine|WARNING:"


def stress(case, seconds):
    """Each stressor with --verify for some seconds, two at a time; nothing fails, and the kernel has nothing to complain of."""
    prepare(case, "debian-amd64")
    image = os.path.join(case.options.guests, "debian-amd64/disk.qcow2")
    with Vm([case.viv, "-nographic", "-accel", "jit", "-smp", "2", "-m", "1024", "-snapshot",
             "-drive", "file=%s,if=virtio,format=qcow2" % image], case.log()) as vm:
        vm.expect("vivarium login: ")
        vm.send("root\n")
        vm.expect(r"vivarium:\S* ")
        vm.sh("stty cols 400; cd /tmp")
        known = vm.sh("stress-ng --stressors")[0].split()
        chosen = [name for name in STRESSORS if name in known]
        case.check(len(chosen) > 40, "the guest has %d of %d stressors" % (len(chosen), len(STRESSORS)))
        for name in chosen:
            text, status = vm.sh("stress-ng --%s 2 --timeout %d --verify --vm-bytes 64m 2>&1" % (name, seconds), patience=3600)
            case.check(status in (0, *SKIPPED) and "unsuccessful" not in text, name, text[-3000:])
        case.equal(vm.sh("dmesg | grep -E '%s'" % ILL)[0], "", "nothing ill in the kernel's log")
        vm.send("poweroff\n")
        case.equal(vm.wait(), 0, "poweroff ends viv with status 0")


def cases(options):
    if options.list != "full":
        return []
    return [("stress-ng", lambda case: stress(case, int(os.environ.get("VIV_STRESS_SECONDS", "1"))))]
