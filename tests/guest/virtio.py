"""virtio.py - Debian's own drivers on our virtio devices, each kind of transport and ring side by side."""
import re
import shutil

from linux import kernel_args, poweroff, start, to_shell
from vm import Vm

RNG = "/sys/class/misc/hw_random/"
# What -device says, and what the guest then sees: PCI id, features it takes (bit 32 VERSION_1,
# bit 34 RING_PACKED), MSI-X.
KINDS = [
    ("transitional", "", "0x1005", {32: "1", 34: "0", 28: "1", 29: "1"}, True),
    ("modern", ",disable-legacy=on", "0x1044", {32: "1", 34: "0"}, True),
    ("legacy", ",disable-modern=on", "0x1005", {32: "0", 34: "0", 28: "1", 29: "1"}, True),
    ("packed", ",disable-legacy=on,packed=on", "0x1044", {32: "1", 34: "1"}, True),
    ("pin", ",vectors=0", "0x1005", {32: "1"}, False),
    ("legacy pin", ",disable-modern=on,vectors=0,event_idx=off,indirect_desc=off", "0x1005", {28: "0", 29: "0"}, False),
    ("packed without events", ",packed=on,event_idx=off,addr=1e", "0x1005", {32: "1", 34: "1", 29: "0"}, True),
]


def interrupts(vm, n, msix):
    """How often the rng's queue interrupted, over all cpus; None: no such line."""
    name = "virtio%d-input" % n if msix else r"virtio%d\b" % n
    for line in vm.sh("cat /proc/interrupts")[0].splitlines():
        if re.search(name, line):
            if ("MSI" in line) != msix:
                return None
            return sum(int(word) for word in re.findall(r"(?<=\s)\d+(?=\s)", line.split(":", 1)[1].split("  virtio")[0])
                       if word)
    return None


def one_kind(case, vm, n, kind):
    name, _, device, features, msix = kind
    path = "/sys/bus/virtio/devices/virtio%d" % n
    case.equal(vm.sh("cat %s/../device" % path)[0], device, "%s: PCI device id" % name)
    bits = vm.sh("cat %s/features" % path)[0]
    case.equal({b: bits[b] for b in features}, features, "%s: negotiated features" % name)
    case.equal(vm.sh("cat %s/status" % path)[0], "0x0000000f" if features.get(32) == "1" else "0x00000007",
               "%s: status" % name)
    vm.sh("echo virtio_rng.%d > %srng_current" % (n, RNG))
    case.equal(vm.sh("cat %srng_current" % RNG)[0], "virtio_rng.%d" % n, "%s: chosen as the source" % name)
    before = interrupts(vm, n, msix)
    # A second reading differs, and neither is of one byte.
    sums = vm.sh("for i in 1 2; do dd if=/dev/hwrng bs=512 count=20 2>/dev/null | md5sum; done")[0].split()
    sizes = vm.sh("dd if=/dev/hwrng bs=512 count=20 2>/dev/null | wc -c")[0]
    kinds = vm.sh("dd if=/dev/hwrng bs=512 count=20 2>/dev/null | od -An -v -tx1 -w1 | sort -u | wc -l")[0]
    case.equal(sizes, "10240", "%s: bytes from /dev/hwrng" % name)
    case.check(sums[0] != sums[2] and int(kinds) > 200, "%s: they are random" % name, (sums, kinds))
    after = interrupts(vm, n, msix)
    case.check(before is not None and after is not None and after - before >= 100,
               "%s: interrupts by %s are counted" % (name, "MSI-X" if msix else "the pin"), (before, after))


def rng(case):
    devices = [word for kind in KINDS for word in ("-device", "virtio-rng-pci" + kind[1])]
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "2", *devices, append="quiet") as vm:
        to_shell(vm)
        for n, kind in enumerate(KINDS):
            one_kind(case, vm, n, kind)
        slots = vm.sh("for d in /sys/bus/pci/devices/*; do echo $(basename $d) $(cat $d/vendor); done | grep 0x1af4")[0]
        case.equal(len(slots.splitlines()), len(KINDS), "a PCI function each")
        noise = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|irq .*nobody cared|virtio.*(fail|error)'")[0]
        case.equal(noise, "", "nothing ill in the kernel's log")
        poweroff(case, vm)


def rng_reload(case):
    """The driver leaves and comes back: resets, queues torn down and made again."""
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-device", "virtio-rng-pci,max-bytes=4096,period=1000",
               append="quiet") as vm:
        to_shell(vm)
        for _ in range(3):
            vm.sh("rmmod virtio_rng; insmod /lib/modules/*virtio-rng.ko")
            case.equal(vm.sh("dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c")[0], "64", "reads after a reload")
        # 4096 bytes a second at most: 12 KiB take two more periods at least.
        begin = float(vm.sh("cut -d' ' -f1 /proc/uptime")[0])
        vm.sh("dd if=/dev/hwrng of=/dev/null bs=64 count=192 2>/dev/null")
        took = float(vm.sh("cut -d' ' -f1 /proc/uptime")[0]) - begin
        case.check(took >= 1.0, "max-bytes and period hold the guest back", took)
        poweroff(case, vm)


def pci_view(vm):
    """What lspci -xxx would show of our functions (slots 10h and up), and the sizes of their BARs."""
    view = {}
    for slot in range(0x10, 0x10 + len(KINDS)):
        path = "/sys/bus/pci/devices/0000:00:%02x.0" % slot
        words = vm.sh("od -An -v -tx1 -w256 %s/config" % path)[0].split()
        # BARs are where the firmware put them, the interrupt line is the slot's, the latency timer the
        # firmware's choice; from 84h on the window of the modern capability has what was read last.
        for at in list(range(0x10, 0x28)) + [0x0c, 0x0d, 0x3c] + ([] if ",disable-modern" in KINDS[slot - 0x10][1] else
                                                            list(range(0x88, 0x98))):
            words[at] = "--"
        sizes = []
        for line in vm.sh("head -6 %s/resource" % path)[0].splitlines():
            first, last, flags = (int(w, 16) for w in line.split())
            sizes.append((last - first + 1 if flags else 0, hex(flags)))
        view[slot] = (words, sizes)
    return view


def same_as_qemu(case):
    """Debian's kernel sees the same functions here as on QEMU: configuration space, features, BARs."""
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        case.skip("no qemu-system-x86_64 to compare with")
        return
    devices = []
    for n, kind in enumerate(KINDS):
        devices += ["-device", "virtio-rng-pci%s,addr=%x" % (kind[1].split(",addr")[0], 0x10 + n)]
    args = ["-nographic", "-m", "256", *devices]
    views, features = [], []
    command = "for d in /sys/bus/virtio/devices/*; do cat $d/features; done"
    with start(case, "amd64", "-accel", "jit", *args[1:], append="quiet") as vm:
        to_shell(vm)
        views.append(pci_view(vm))
        features.append(vm.sh(command)[0])
        poweroff(case, vm)
    with Vm([qemu, "-accel", "tcg", "-nic", "none", *args, *kernel_args(case, "amd64", "quiet")],
            case.log() + ".qemu") as vm:
        to_shell(vm)
        views.append(pci_view(vm))
        features.append(vm.sh(command)[0])
    case.equal(features[0], features[1], "the same features are negotiated")
    for slot, (words, sizes) in views[0].items():
        name = KINDS[slot - 0x10][0]
        differs = {hex(i): (a, b) for i, (a, b) in enumerate(zip(words, views[1][slot][0])) if a != b}
        case.equal(differs, {}, "%s: configuration space as QEMU's" % name)
        case.equal(sizes, views[1][slot][1], "%s: BARs as QEMU's" % name)


def cases(options):
    if options.list == "asan":
        return []
    return [("virtio-rng", rng), ("virtio-rng reloaded", rng_reload), ("virtio-rng compared", same_as_qemu)]
