"""linux.py - Debian's kernels, unmodified, to a shell and back."""
import os
import re
import time

from vm import Vm, run, Failure

CTRL_A = "\x01"


def kernel_args(case, kernel, append):
    folder = os.path.join(case.options.guests, kernel)
    return ["-kernel", folder + "/vmlinuz", "-initrd", folder + "/initrd.gz",
            "-append", "console=ttyS0 panic=-1 " + append]


def start(case, kernel, *args, append=""):
    prepare(case, kernel)
    return Vm([case.viv, "-nographic", *args, *kernel_args(case, kernel, append)], case.log())


def prepare(case, guest):
    img = os.path.join(os.path.dirname(os.path.abspath(case.viv)), "viv-img")
    status, _, err = run(["env", "VIV_IMG=" + img, "VIV_GUESTS=" + case.options.guests,
                          os.path.join(case.options.top, "scripts/guest.sh"), guest])
    if status:
        raise Failure("scripts/guest.sh %s: %s" % (guest, err))


def to_shell(vm):
    vm.expect(r"This is a guest of Vivarium")
    vm.expect(r"vivarium:\S* ")


def look_around(case, vm, cpus, mib):
    """What every booted guest must show."""
    case.equal(vm.sh("nproc")[0], str(cpus), "number of cpus")
    total = int(vm.sh("sed -n 's/MemTotal: *//p' /proc/meminfo")[0].split()[0]) // 1024
    # The kernel keeps its text, data and page array for itself.
    case.check(mib - 90 - mib // 16 <= total <= mib, "memory", "MemTotal %d of %d MiB" % (total, mib))
    text = vm.sh("cat /proc/interrupts")[0]
    case.equal(len(re.findall(r"CPU\d+", text.splitlines()[0])), cpus, "a column of interrupts for each cpu")
    counts = re.search(r"ttyS0", text)
    case.check(counts, "interrupts of the serial port", text)
    noise = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|rcu.*stall|soft lockup|clocksource.*unstable'")
    case.equal(noise[0], "", "nothing ill in the kernel's log")


def topology(case, vm, sockets, cores, threads):
    sysfs = "/sys/devices/system/cpu/cpu"
    packages = vm.sh("cat %s*/topology/physical_package_id | sort -u | wc -l" % sysfs)[0]
    case.equal(packages.strip(), str(sockets), "sockets")
    pairs = vm.sh("for c in %s[0-9]*; do echo $(cat $c/topology/physical_package_id $c/topology/core_id); done "
                  "| sort -u | wc -l" % sysfs)[0]
    case.equal(pairs.strip(), str(sockets * cores), "cores")
    siblings = vm.sh("cat %s0/topology/thread_siblings_list" % sysfs)[0]
    case.equal(siblings, "0-%d" % (threads - 1) if threads > 1 else "0", "threads of cpu 0")
    info = vm.sh("grep -m1 'cpu cores' /proc/cpuinfo; grep -m1 siblings /proc/cpuinfo")[0]
    case.equal([int(n) for n in re.findall(r": (\d+)", info)], [cores, cores * threads], "/proc/cpuinfo")


def poweroff(case, vm):
    vm.send("poweroff\n")
    case.equal(vm.wait(), 0, "poweroff ends viv with status 0")
    case.equal(vm.modes_now(), vm.modes_before, "the terminal's modes are as before")


def leave(case, vm):
    vm.send(CTRL_A + "x")
    case.equal(vm.wait(), 0, "Ctrl-a x ends viv with status 0")


def boot(kernel, smp, mem, *args):
    """A case: to the shell, look around, power off."""
    mib = int(mem[:-1]) * 1024 if mem.endswith("G") else int(mem)
    cpus = int(smp.split(",")[0])

    def case_fn(case):
        with start(case, kernel, "-m", mem, "-smp", smp, *args) as vm:
            to_shell(vm)
            case.check(True, "boots to the shell")
            case.equal(vm.sh("uname -m")[0], "x86_64" if "amd64" in kernel else "i686", "uname -m")
            look_around(case, vm, cpus, mib)
            if "threads=2" in smp:
                topology(case, vm, 1, 2, 2)
            if "-numa" in args:
                numa(case, vm)
            poweroff(case, vm)
    name = "boot %s -smp %s -m %s" % (kernel, smp, mem)
    return name + "".join(" " + w for w in ("-numa", "interp") if w in args), case_fn


def numa(case, vm):
    node = "/sys/devices/system/node/node"
    case.equal(vm.sh("cat %s0/cpulist %s1/cpulist" % (node, node))[0].split(), ["0", "1"], "cpus of two NUMA nodes")
    sizes = [int(n) // 1024 for n in re.findall(r"MemTotal: *(\d+)", vm.sh("cat %s*/meminfo" % node)[0])]
    case.check(len(sizes) == 2 and all(40 < s <= 256 for s in sizes), "memory of two NUMA nodes", sizes)
    case.equal(vm.sh("cat %s0/distance" % node)[0].split(), ["10", "20"], "distances")


def reboots(case):
    with start(case, "amd64", "-m", "256", append="quiet") as vm:
        to_shell(vm)
        vm.send("reboot\n")
        to_shell(vm)
        case.check(True, "reboot comes back to the shell")
        vm.send(CTRL_A + "x")
        case.equal(vm.wait(), 0, "Ctrl-a x ends viv with status 0")
        case.equal(vm.modes_now(), vm.modes_before, "the terminal's modes are as before")


def no_reboot(case):
    with start(case, "cloud-amd64", "-m", "256", "-no-reboot", append="quiet") as vm:
        to_shell(vm)
        vm.send("reboot\n")
        case.equal(vm.wait(), 0, "with -no-reboot a reboot ends viv with status 0")


def monitor_and_keys(case):
    with start(case, "amd64", "-m", "256", "-S", append="quiet") as vm:
        vm.send(CTRL_A + "c")
        vm.expect(r"\((qemu|viv)\) ")
        vm.send("info status\n")
        vm.expect(r"VM status: paused \(prelaunch\)")
        case.check(True, "-S waits, and the monitor says so")
        vm.send("cont\n")
        vm.send("info status\n")
        vm.expect(r"VM status: running")
        vm.send(CTRL_A + "c")
        to_shell(vm)
        case.check(True, "cont boots to the shell")
        vm.send(CTRL_A + "h")
        vm.expect(r"C-a x")
        vm.send("\n")
        case.equal(vm.sh("sleep 100 & jobs | wc -l; kill %1")[0].split()[-1], "1", "the shell has job control")
        vm.send("sleep 1000\n")
        time.sleep(2)
        vm.send("\x03")
        case.equal(vm.sh("echo alive")[0], "alive", "Ctrl-c reaches the guest")
        vm.send(CTRL_A + "c")
        vm.expect(r"\((qemu|viv)\) ")
        vm.send("info registers\n")
        vm.expect(r"RIP=[0-9a-f]{16}")
        case.check(True, "info registers")
        vm.send("system_powerdown\n")
        case.equal(vm.wait(), 0, "system_powerdown: the guest sees its power button and leaves")


def offset(vm):
    """Bounds on the guest's clock minus the host's, however long the answers take."""
    low, high = -1e9, 1e9
    for _ in range(10):
        before = time.monotonic()
        uptime = float(vm.sh("cat /proc/uptime")[0].split()[0])
        low, high = max(low, uptime - time.monotonic()), min(high, uptime + 0.01 - before)
    return low, high


def clock(smp, source):
    """A case: the guest's clock against the host's, a minute apart."""
    def case_fn(case):
        with start(case, "amd64", "-m", "256", "-smp", smp, append="quiet clocksource=" + source) as vm:
            to_shell(vm)
            date = int(vm.sh("date -u +%s")[0])
            case.check(abs(date - time.time()) < 60, "the date is the host's", date - time.time())
            current = vm.sh("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")[0]
            case.equal(current, source, "clock source")
            first = offset(vm)
            time.sleep(60)
            second = offset(vm)
            # Whatever lies between the bounds of both is possible; the drift is at least this:
            drift = max(0, second[0] - first[1], first[0] - second[1])
            case.check(drift < 0.1, "no drift against the host over a minute", "%r then %r" % (first, second))
            poweroff(case, vm)
    return "clock %s -smp %s" % (source, smp), case_fn


def firmware(case):
    """SeaBIOS alone: short enough for a sanitizer build."""
    with Vm([case.viv, "-nographic", "-m", "64"], case.log()) as vm:
        vm.expect(r"SeaBIOS \(version")
        vm.expect(r"No bootable device|Booting from")
        case.check(True, "SeaBIOS reaches its boot menu's end")
        vm.send(CTRL_A + "x")
        case.equal(vm.wait(), 0, "Ctrl-a x ends viv with status 0")


def cases(options):
    if options.list == "asan":
        return [("firmware", firmware)]
    quick = [
        ("firmware", firmware),
        boot("amd64", "2,sockets=2", "256", "-numa", "node,mem=128M,cpus=0", "-numa", "node,mem=128M,cpus=1"),
        boot("686-pae", "4,sockets=1,cores=2,threads=2", "256", "-cpu", "max"),
        boot("cloud-amd64", "1", "128"),
        boot("686", "1", "128"),
        boot("amd64", "1", "256", "-cpu", "max"),
        boot("amd64", "2", "256", "-accel", "interp"),
        boot("686", "1", "128", "-accel", "interp"),
        ("monitor and keys", monitor_and_keys),
        ("no-reboot", no_reboot),
    ]
    if options.list == "quick":
        return quick
    full = quick + [("reboot", reboots), clock("1", "tsc"), clock("2", "hpet"), clock("1", "acpi_pm")]
    have = {n for n, _ in full}
    for kernel in ("amd64", "cloud-amd64", "686", "686-pae"):
        for smp in ("1", "2", "4,sockets=1,cores=2,threads=2"):
            # The default model is an AMD processor of a family that knows no threads.
            model = ["-cpu", "max"] if "threads" in smp else []
            full += [boot(kernel, smp, "256", *model), boot(kernel, smp, "256", "-accel", "interp", *model)]
        full.append(boot(kernel, "2", "128"))
        if kernel != "686": # without physical address extensions a kernel reaches 3 to 4 GiB at most
            full.append(boot(kernel, "2", "6G"))
    return full[:len(have)] + [c for c in full[len(have):] if c[0] not in have]
