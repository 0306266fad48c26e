"""log.py - -d, -D and -dfilter of the software CPU, on an image whose instructions are known."""
import os
import re
import tempfile

from linux import CTRL_A
from vm import Vm, run

PASSED = 0x10 * 2 + 1
INSN = r"^0x[0-9a-f]+: (?: [0-9a-f]{2})+  +\S"


def traced(case, accel, items, image="long", options=()):
    """The log of an image's whole life."""
    with tempfile.TemporaryDirectory(prefix="viv-log-") as folder:
        status, out, err = run([case.viv, "-accel", accel, "-display", "none", "-serial", "none", "-monitor", "none",
                                "-m", "64", "-bios", os.path.join(case.options.images, image + ".bin"), "-device",
                                "isa-debug-exit", "-d", items, "-D", os.path.join(folder, "%d.log"), *options], 300)
        case.check(status == PASSED, "%s: the guest is content" % items, "status %d\n%s%s" % (status, out, err))
        names = os.listdir(folder)
        case.check(len(names) == 1 and re.fullmatch(r"\d+\.log", names[0]), "%d is the process's id", names)
        with open(os.path.join(folder, names[0])) as f:
            return f.read()


def pcs(text):
    return [int(m, 16) for m in re.findall(r"^Trace 0: 0x[0-9a-f]+ \[[0-9a-f]{16}/([0-9a-f]{16})/", text, re.M)]


def guest_lines(text):
    """Address, bytes and instruction of each line of in_asm."""
    parts = re.findall(r"^IN: \n(.*?)\n\n", text, re.M | re.S)
    return [line for part in parts for line in re.findall(r"^0x([0-9a-f]{8,16}):  ((?:[0-9a-f]{2} )+) +(\S.*)$", part, re.M)]


def in_asm(accel):
    def case_fn(case):
        lines = guest_lines(traced(case, accel, "in_asm"))
        case.check(lines, "there are instructions")
        first = lines[0]
        case.check(first[0] == "fffffff0" and first[2].startswith("jmp "), "the first is the reset vector's", first)
        for name in ("mov", "iretq", "wrmsr", "syscall", "lgdt"):
            case.check(any(line[2].split()[0] == name for line in lines), "there is " + name)
        case.check(all(len(b.split()) <= 8 for _, b, _ in lines), "eight bytes a line at most")
    return "log in_asm %s" % accel, case_fn


def entrances(accel):
    def case_fn(case):
        log = traced(case, accel, "exec,in_asm,cpu")
        entered, known = pcs(log), {int(line[0], 16) for line in guest_lines(log)}
        case.check(entered and entered[0] == 0xfffffff0, "the first block is the reset vector's")
        case.check(set(entered) <= known, "every block was shown before", sorted(set(entered) - known)[:5])
        case.equal(log.count("\nEFER="), len(entered), "each with its registers")
        chained = pcs(traced(case, accel, "exec,nochain"))
        case.equal(chained, entered, "chains hide no block")
        half = entered[len(entered) // 2]
        kept = pcs(traced(case, accel, "exec", options=["-dfilter", "0x%x+1,0x0..0x1" % half]))
        case.equal(kept, [pc for pc in entered if pc == half], "-dfilter keeps one address")
    return "log exec %s" % accel, case_fn


def interrupts(accel):
    def case_fn(case):
        log = traced(case, accel, "int")
        faults = re.findall(r"^ +\d+: v=(..) e=(....) i=(.) cpl=(.) IP=(\S+) pc=\S+ SP=\S+ (\S+)=(\S+)$", log, re.M)
        case.check(len(faults) > 5, "there are exceptions", log[:500])
        case.check(("0e", "0000", "0", "0") in [f[:4] for f in faults], "a page fault of a read")
        case.check(all(f[5] == ("CR2" if f[0] == "0e" else "env->regs[R_EAX]") for f in faults), "CR2 with page faults")
        case.equal([int(n) for n in re.findall(r"^ +(\d+): v=", log, re.M)], list(range(len(faults))), "they are counted")
        case.check("Servicing hardware INT=0x" in traced(case, accel, "int", "irq"), "interrupts are named")
    return "log int %s" % accel, case_fn


def out_asm(case):
    log = traced(case, "jit", "out_asm,in_asm")
    case.equal(log.count("PROLOGUE: [size="), 1, "the shared routines are shown once")
    blocks = re.findall(r"^IN: \n([^\n]*\n(?:0x.*\n)*)\nOUT: \[size=(\d+)\]\n((?:.+\n)+)\n", log, re.M)
    case.check(blocks, "there is host code")
    case.equal([b for b in blocks if not understood(*b)][:1], [], "each block: places, size, instructions")


def understood(guest, size, host):
    """Host code names each guest instruction, its bytes are as many as it says, and all of them mean something."""
    count = len(re.findall(INSN, guest, re.M))
    code = sum(len(b.split()) for b in re.findall(r"^0x[0-9a-f]+: ((?: [0-9a-f]{2})+)(?:$|  )", host, re.M))
    return (host.count("-- guest addr ") == count + 1 and code == int(size) and ".byte" not in host and
            "test     dword ptr [r15+" in host)


def single(accel):
    def case_fn(case):
        log = traced(case, accel, "in_asm", options=["-singlestep"])
        parts = re.findall(r"^IN: \n(.*?)\n\n", log, re.M | re.S)
        case.check(parts and all(len(re.findall(INSN, p, re.M)) == 1 for p in parts), "one instruction a block")
    return "singlestep %s" % accel, case_fn


def monitor(case, options, commands, lines):
    """What the monitor says to `commands`, when the firmware has looked for a disk in vain."""
    with Vm([case.viv, "-accel", "jit" + options, "-nographic", "-m", "64", *lines], case.log()) as vm:
        vm.expect("No bootable device")
        vm.send(CTRL_A + "c")
        vm.expect(r"\(qemu\) ")
        said = []
        for command in commands:
            vm.send(command + "\n")
            said.append(vm.expect(command + r"(.*?)\(qemu\) ").group(1))
        perf = "/tmp/perf-%d.map" % vm.proc.pid
        named = open(perf).read() if os.path.exists(perf) else None
        vm.send("quit\n")
        case.equal(vm.wait(), 0, "quit leaves with 0")
        if named is not None:
            os.unlink(perf)
        return said, named


def number(text, title):
    return int(re.search(r"^%s +(\d+)" % title, text, re.M).group(1))


def sums(case, text):
    """Causes add up to what they are causes of; gives the counts that all vcpus share."""
    for title in ("exits", "interpreted blocks"):
        whole, parts = re.search(r"^%s +(\d+): (.*?)\s*$" % title, text, re.M).groups()
        case.equal(sum(int(part.split()[-1]) for part in parts.split(",")), int(whole), title + " by their causes")
    case.equal(number(text, "exits"), number(text, "entries"), "what was entered was left")
    used, size = re.search(r"^gen code size +(\d+)/(\d+)", text, re.M).groups()
    case.check(int(used) < int(size), "code lies in the cache")
    return [number(text, t) for t in ("entries", "TB count", "TB made", "TLB misses", "TLB full flushes")] + [int(size)]


def info_jit(case):
    said, named = monitor(case, ",tb-size=2", ["info jit", "info accel", "log nochain", "info jit"], ["-smp", "2"])
    parts = re.split(r"^(?:CPU \d+|All CPUs):\s*$", said[0], flags=re.M)
    case.equal(len(parts), 4, "each vcpu and all")
    each = [sums(case, part) for part in parts[1:]]
    case.equal([a + b for a, b in zip(each[0], each[1])], each[2], "all is the sum of each")
    case.equal(each[2][-1], 4 << 20, "tb-size is each vcpu's")
    case.check(each[0][0] and each[0][1] and each[0][3], "there is something to tell", parts[1])
    case.check(number(said[3], "TB flush count") > number(said[0], "TB flush count"), "a change of the log drops blocks")
    case.equal(named, None, "no map for perf unasked")


def perfmap(case):
    said, named = monitor(case, ",perfmap=on", ["info jit"], [])
    lines = [re.fullmatch(r"([0-9a-f]+) ([0-9a-f]+) (guest 0x[0-9a-f]+ (?:user|kernel)|viv: .*)", line)
             for line in named.splitlines()]
    case.check(lines and all(lines), "each line is start, size, name", named[:500])
    case.equal(len(lines) - 1, number(said[0], "TB made"), "a line for each block")
    spans = sorted((int(m[1], 16), int(m[2], 16)) for m in lines)
    case.check(all(a + n <= b for (a, n), (b, _) in zip(spans, spans[1:])), "they do not overlap")


def small_cache(case):
    """Where the code does not fit, the oldest is dropped and made again; the guest sees nothing of it."""
    made = {}
    for size in (1, 0):
        log = traced(case, "jit,tb-size=%d" % size, "out_asm", "much", ["-dfilter", "0x200000+1"])
        made[size] = log.count("OUT: [size=")
    case.check(made[0] >= 1, "its first piece is translated", made)
    case.check(made[1] > made[0] + 5, "and again in a cache that is too small", made)


def cases(options):
    accels = ("interp", "jit")
    return [make(a) for make in (in_asm, entrances, interrupts, single) for a in accels] + [
        ("log out_asm", out_asm), ("info jit", info_jit), ("perfmap", perfmap), ("tb-size", small_cache)]
