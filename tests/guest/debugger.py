"""debugger.py - GDB on bare images and on Debian's kernel: breakpoints in every mode, watchpoints, steps, threads."""
import os
import re
import subprocess
import tempfile

from bare import kvm_opens
from linux import kernel_args, start, to_shell
from vm import Failure, Vm, run

PATIENCE = 300
PASSED = 0x10 * 2 + 1


def start_viv(case, folder, *args):
    path = os.path.join(folder, "gdb")
    return path, [case.viv, "-S", "-display", "none", "-monitor", "none", "-gdb", "unix:%s,server=on,wait=off" % path, *args]


def gdb(commands, symbols=None):
    """What GDB says to a list of commands, each answer behind a line "== N"."""
    argv = ["gdb", "-q", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set confirm off", "-ex", "set height 0"]
    if symbols:
        argv += ["-ex", "file " + symbols]
    for n, command in enumerate(commands):
        argv += ["-ex", "echo \\n== %d\\n" % n, "-ex", command]
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    parts = re.split(r"\n== \d+\n", p.stdout.decode("latin-1"))
    return [x.strip() for x in parts[1:]]


def value(text):
    """Of `p/x EXPRESSION`."""
    m = re.match(r"\$\d+ = (0x[0-9a-f]+)", text)
    return int(m.group(1), 16) if m else text


def script(case, folder, image, accel, extra, commands, symbols):
    """Commands by name, None for those whose answer is of no interest: {name: answer}, and viv's status."""
    path, argv = start_viv(case, folder, "-accel", accel, "-serial", "none", "-m", "64", "-bios", image, "-device",
                           "isa-debug-exit", *extra)
    viv = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(path, viv)
        said = gdb(["target remote " + path] + [c for _, c in commands], symbols)[1:]
        status = viv.wait(PATIENCE)
    finally:
        viv.kill()
    return {name: text for (name, _), text in zip(commands, said) if name}, status


def wait_for(path, proc):
    while not os.path.exists(path):
        if proc.poll() is not None:
            raise Failure("viv ended: %s" % proc.stdout.read().decode())


def modes(accel):
    commands = [
        ("reset rip", "p/x $rip"), ("reset cs", "p/x $cs"), ("map", "monitor x/1xb 0xffff0"),
        (None, "hbreak start"), (None, "continue"), ("real cs", "p/x $cs"), ("real rip", "p/x $rip + 0x10000 - (long)&start"),
        ("real cr0", "p/x $cr0 & 1"),
        (None, "delete"), (None, "break main"), ("protected", "continue"), ("protected cr0", "p/x $cr0 & 0x80000001"),
        (None, "break in_long"), ("long", "continue"), ("efer", "p/x $efer & 0xd00"), ("paging", "p/x $cr0 & 0x80000001"),
        ("clean", "monitor x/2xb in_long"), ("bytes", "x/2xb &in_long"),
        (None, "stepi"), ("step", "p/x $rip - (long)&in_long"), (None, "stepi 2"), ("steps", "p/x $rip - (long)&in_long"),
        (None, "watch *(long *)&got_vec"), ("watch", "continue"), ("watch 2", "continue"), (None, "delete"),
        (None, "rwatch *(long *)&go_on"), ("rwatch", "continue"), (None, "delete"),
        (None, "set $rbx = 0x1122334455667788"), ("set", "p/x $rbx"), ("low", "p/x $bx"),
        (None, "set $xmm3.v2_int64[1] = 0x77"), ("xmm", "p/x $xmm3.v2_int64[1]"),
        (None, "set {int}0x5000 = 0x12345678"), ("stored", "monitor xp/1xw 0x5000"), ("read", "p/x *(int *)0x5000"),
        ("unmapped", "p/x *(int *)0x7000000000"),
        (None, "maintenance packet Qqemu.PhyMemMode:1"), ("physical", "p/x *(int *)0x5000"),
        (None, "maintenance packet Qqemu.PhyMemMode:0"), ("registers", "info registers"), ("end", "continue"),
    ]

    def case_fn(case):
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(case.options.images, "long.bin")
            elf = image[:-3] + "elf"
            lines = run(["nm", elf])[1].splitlines()
            at = next("0x" + line.split()[0] for line in lines if line.endswith(" in_long"))
            said, status = script(case, folder, image, accel, [], [(n, c.replace("2xb in_long", "2xb " + at)) for n, c in commands], elf)
        for name, want in (("reset rip", 0xfff0), ("reset cs", 0xf000), ("real cs", 0x1000), ("real rip", 0), ("real cr0", 0),
                           ("protected cr0", 1), ("paging", 0x80000001),
                           ("step", 5), ("steps", 9), ("set", 0x1122334455667788), ("low", 0x7788), ("xmm", 0x77),
                           ("read", 0x12345678), ("physical", 0x12345678)):
            case.equal(value(said[name]), want, name)
        case.check("main" in said["protected"] and "in_long" in said["long"], "breakpoints behind mode switches", said)
        case.check(value(said["efer"]) & 0x500 == 0x500, "64-bit mode is on", said["efer"])
        case.equal(re.findall(r"0x..\b", said["clean"].split(":")[1]), re.findall(r"0x..\b", said["bytes"].split(":")[1]),
                   "a breakpoint leaves no trace in memory")
        case.check("watchpoint" in said["watch"] and "Old value" in said["watch"] and "New value = -1" in said["watch"] + said["watch 2"],
                   "a write is watched", said["watch"] + said["watch 2"])
        case.check("watchpoint" in said["rwatch"] and "Value" in said["rwatch"], "a read is watched", said["rwatch"])
        case.check("0x12345678" in said["stored"], "memory is written", said["stored"])
        case.check("Cannot access" in said["unmapped"], "what is not mapped is refused", said["unmapped"])
        case.check(all(r in said["registers"] for r in ("fs_base", "k_gs_base", "cr8", "efer", "eflags")), "info registers",
                   said["registers"])
        case.equal(status, PASSED, "the image runs to its end as if nobody had looked")
    return "gdb long %s" % accel, case_fn


def threads(case):
    commands = [
        ("threads", "info threads"), (None, "hbreak each"), ("stop", "continue"), ("numbers", "thread apply all p $r12"),
        (None, "delete"), (None, "thread 2"), ("before", "p/x $rip"), (None, "thread 3"), ("other", "p/x $rip"),
        (None, "set scheduler-locking on"), (None, "thread 2"), (None, "stepi"), ("after", "p/x $rip"), (None, "thread 3"),
        ("still", "p/x $rip"), (None, "set scheduler-locking off"), ("status", "monitor info status"), ("end", "continue"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(case.options.images, "race.bin")
        said, status = script(case, folder, image, "jit", ["-smp", "4"], commands, image[:-3] + "elf")
    case.equal(len(re.findall(r"Thread 1\.[1-4] \(CPU#[0-3] ", said["threads"])), 4, "a thread a vcpu")
    case.check("each" in said["stop"], "a breakpoint", said["stop"])
    case.equal(len(re.findall(r"\$\d+ = ", said["numbers"])), 4, "registers of each vcpu")
    case.check("paused (debug)" in said["status"], "the run state", said["status"])
    case.check(said["before"].split()[-1] != said["after"].split()[-1], "a vcpu steps", said)
    case.equal(said["still"].split()[-1], said["other"].split()[-1], "another stands meanwhile")
    case.equal(status, PASSED, "the image runs to its end")


def with_kvm(case):
    """The debug registers, as KVM lends them."""
    commands = [(None, "hbreak start"), (None, "continue"), ("rip", "p/x $rip + 0x10000 - (long)&start"), (None, "stepi"),
                ("step", "p/x $rip + 0x10000 - (long)&start"), (None, "hbreak *0x10"), (None, "hbreak *0x20"), (None, "hbreak *0x30"),
                (None, "hbreak *0x40"), ("five", "stepi"), (None, "delete"), ("end", "continue")]
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(case.options.images, "real.bin")
        said, status = script(case, folder, image, "kvm", [], commands, image[:-3] + "elf")
    case.equal(value(said["rip"]), 0, "a breakpoint")
    case.check(value(said["step"]) > 0, "a step", said["step"])
    case.check("Cannot insert" in said["five"], "a fifth is refused", said["five"])
    case.equal(status, PASSED, "the image runs to its end")


def symbols_of_kernel(case):
    """Addresses as the kernel itself tells them, without KASLR."""
    with start(case, "amd64", "-m", "256", append="quiet nokaslr") as vm:
        to_shell(vm)
        text = vm.sh("echo 0 > /proc/sys/kernel/kptr_restrict; grep -wE 'start_kernel|rest_init|jiffies_64|linux_banner' /proc/kallsyms")[0]
    return {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


def kernel(case):
    at = symbols_of_kernel(case)
    commands = [
        "hbreak *%#x" % at["start_kernel"], "continue", "p/x $rip", "info threads", "x/s %#x" % at["linux_banner"],
        "stepi 3", "p/x $rip", "delete", "watch *(long *)%#x" % at["jiffies_64"], "continue", "bt 3", "delete",
        "hbreak *%#x" % at["rest_init"], "continue", "p/x $rip", "delete", "detach",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path, argv = start_viv(case, folder, "-m", "256", "-smp", "2", "-serial", "stdio",
                               *kernel_args(case, "amd64", "quiet nokaslr"))
        with Vm(argv, case.log()) as vm:
            wait_for(path, vm.proc)
            said = gdb(["target remote " + path] + commands)[1:]
            case.equal(value(said[2]), at["start_kernel"], "stops at start_kernel")
            case.check("Linux version" in said[4], "reads the kernel's memory", said[4])
            case.check(value(said[6]) != at["start_kernel"], "steps", said[6])
            case.check("watchpoint" in said[9] and "Old value" in said[9], "watches jiffies_64", said[9])
            case.equal(value(said[14]), at["rest_init"], "stops at rest_init")
            to_shell(vm)
            case.equal(vm.sh("nproc")[0], "2", "and runs on, both vcpus")


def cases(options):
    if options.list == "asan":
        return [modes("interp")]
    kvm = [("gdb kvm", with_kvm)] if kvm_opens() else []
    return [modes("jit"), modes("interp"), ("gdb threads", threads)] + kvm + ([("gdb kernel", kernel)] if options.list == "full" else [])
