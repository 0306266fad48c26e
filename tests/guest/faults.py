"""faults.py - full file systems, bad clusters, a viv that is killed: nothing that was promised is lost."""
import hashlib
import os
import random
import shutil
import signal

from disks import contents, folder
from linux import CTRL_A, poweroff, start, to_shell
from vm import run

MIB = 1 << 20
DISK = 8 * MIB
POLICIES = ["report", "ignore", "enospc", "stop"]  # enospc is the default


def make_disk(path, fmt):
    status, _, err = run(["qemu-img", "create", "-q", "-f", fmt, path, str(DISK)])
    assert not status, err


class SmallSpace:
    """A file system of a few MiB, and a file that takes all that is left of it."""

    def __init__(self, path):
        self.path, self.balloon = path, os.path.join(path, "balloon")
        os.makedirs(path)
        self.ok = run(["mount", "-t", "tmpfs", "-o", "size=12m", "viv-test", path])[0] == 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.ok:
            run(["umount", self.path])

    def fill(self):
        with open(self.balloon, "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def empty(self):
        os.unlink(self.balloon)


def drives(kind, fmt, top):
    """Words for a disk of each policy."""
    words = []
    for n, policy in enumerate(POLICIES):
        path = os.path.join(top, policy)
        make_disk(path, fmt)
        drive = "id=d%d,format=%s,file=%s%s" % (n, fmt, path, "" if policy == "enospc" else ",werror=" + policy)
        if kind == "ide":
            words += ["-drive", "if=ide,index=%d,%s" % (n, drive)]
        else:
            words += ["-drive", "if=none," + drive, "-device", "virtio-blk-pci,drive=d%d%s" % (n, kind[len("virtio-blk"):])]
    return words


def guest_name(vm, kind, n):
    if kind != "ide":
        return "/dev/vd" + "abcd"[n]
    # Channel and place on it; the names sd? come in any order.
    path = "/sys/devices/pci*/*/ata%d/*/target*:0:%d/*/block/sd?" % (n // 2 + 1, n % 2)
    return "/dev/" + os.path.basename(vm.sh("ls -d " + path)[0])


def begin(vm, command):
    """Its first word is out when all of it is typed: what follows goes elsewhere."""
    vm.send("echo BE''GUN; %s\n" % command)
    vm.expect(r"BEGUN\r*\n")


def to_monitor(vm):
    vm.send(CTRL_A + "c")
    vm.expect(r"\) ")


def expect_paused(case, vm, what):
    """Asks until it is so; the machine is left in the monitor."""
    to_monitor(vm)
    for _ in range(200):
        vm.send("info status\n")
        answer = vm.expect(r"VM status: ([^\r\n]*)").group(1)
        if answer != "running":
            break
        vm.pump(0.2)
    case.equal(answer, "paused (io-error)", what)


def write_and_stop(case, vm, space, dev, name):
    """The write stops the machine; with space again it goes on as if nothing had been."""
    space.fill()
    begin(vm, "dd if=/tmp/noise of=%s bs=64k oflag=direct 2>/dev/null; echo WRI''TTEN $?" % dev)
    expect_paused(case, vm, name + ": a full file system pauses the machine")
    vm.send("cont\n")
    vm.expect(r"\) ")
    # There is still no space.
    vm.send(CTRL_A + "c")
    expect_paused(case, vm, name + ": and again, as long as it is full")
    case.check("WRITTEN" not in vm.text[vm.pos:], name + ": the guest has seen no answer")
    space.empty()
    vm.send("cont\n")
    vm.expect(r"\) ")
    vm.send(CTRL_A + "c")
    case.equal(vm.expect(r"WRITTEN (\d+)").group(1), "0", name + ": cont goes on, the guest's write succeeds")
    vm.expect(r"vivarium:\S* ")


def full(kind, fmt):
    def case_fn(case):
        if os.geteuid() or not shutil.which("qemu-img"):
            case.skip("needs to mount a file system, and qemu-img")
            return
        top = folder(case)
        with SmallSpace(os.path.join(top, "small")) as space:
            if not space.ok:
                case.skip("cannot mount a tmpfs")
                return
            use_full(case, space, kind, fmt)
        shutil.rmtree(top)
    return "full file system, %s, %s" % (kind.replace(",", " "), fmt), case_fn


def use_full(case, space, kind, fmt):
    words = drives(kind, fmt, space.path)
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-object", "iothread,id=io0", *words, append="quiet") as vm:
        to_shell(vm)
        devs = [guest_name(vm, kind, n) for n in range(len(POLICIES))]
        vm.sh("dd if=/dev/urandom of=/tmp/noise bs=1M count=2 2>/dev/null")
        noise = vm.sh("md5sum < /tmp/noise")[0].split()[0]
        write = "dd if=/tmp/noise of=%s bs=64k oflag=direct 2>/dev/null"
        space.fill()
        case.check(vm.sh(write % devs[0])[1] != 0, "werror=report: the guest's write fails")
        case.check(vm.sh("dmesg | grep 'I/O error'")[0], "werror=report: the guest's kernel tells of it")
        case.equal(vm.sh(write % devs[1])[1], 0, "werror=ignore: the guest's write succeeds")
        space.empty()
        for n in (2, 3):
            write_and_stop(case, vm, space, devs[n], "werror=" + POLICIES[n])
        # The one that was told of an error can try again.
        case.equal(vm.sh((write % devs[0]))[1], 0, "werror=report: with space again, the write succeeds")
        bad = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace'")[0]
        case.equal(bad, "", "nothing ill in the kernel's log")
        poweroff(case, vm)
    for n in (0, 2, 3):
        path = os.path.join(space.path, POLICIES[n])
        out = case.log()[:-4] + ".images"
        shutil.copy(path, out)
        have = contents(os.path.join(out, POLICIES[n]), fmt)
        case.equal(hashlib.md5(have[:2 * MIB]).hexdigest(), noise, "werror=%s: all is on the disk" % POLICIES[n])
        if fmt == "qcow2":
            status = run(["qemu-img", "check", path])[0]
            case.check(status in (0, 3), "werror=%s: no corruption" % POLICIES[n], status)


def spoil(path, guest_cluster):
    """Makes a cluster's L2 entry of a qcow2 file point between clusters."""
    with open(path, "r+b") as f:
        head = f.read(48)
        f.seek(int.from_bytes(head[40:48], "big"))
        l2 = int.from_bytes(f.read(8), "big") & ((1 << 56) - (1 << 9))
        f.seek(l2 + 8 * guest_cluster)
        entry = int.from_bytes(f.read(8), "big")
        f.seek(l2 + 8 * guest_cluster)
        f.write((entry + 512).to_bytes(8, "big"))


def bad_cluster(case):
    """What cannot be read: reported to one guest's disk, and what stops the machine."""
    if not shutil.which("qemu-img"):
        case.skip("no qemu-img to make the images")
        return
    top, words = folder(case), []
    for n, rerror in enumerate(["report", "ignore", "stop"]):
        path = os.path.join(top, rerror)
        make_disk(path, "qcow2")
        run(["qemu-io", "-c", "write -P 7 0 8M", path])
        spoil(path, 3)
        words += ["-drive", "if=virtio,format=qcow2,file=%s,rerror=%s" % (path, rerror)]
    with start(case, "amd64", "-accel", "jit", "-m", "256", *words, append="quiet") as vm:
        to_shell(vm)
        read = "dd if=/dev/vd%s of=/dev/null bs=64k skip=%d count=1 iflag=direct 2>/dev/null"
        case.equal(vm.sh(read % ("a", 1))[1], 0, "a good cluster can be read")
        case.check(vm.sh(read % ("a", 3))[1] != 0, "rerror=report: the guest's read fails")
        case.check(vm.sh("dmesg | grep 'I/O error'")[0], "rerror=report: the guest's kernel tells of it")
        case.equal(vm.sh(read % ("b", 3))[1], 0, "rerror=ignore: the guest's read succeeds")
        begin(vm, read % ("c", 3))
        expect_paused(case, vm, "rerror=stop: the machine pauses")
        vm.send("quit\n")
        case.equal(vm.wait(), 0, "quit ends viv with status 0")
    shutil.rmtree(top)


# Numbered sectors in no order, each on the medium before it is told of.
WRITER = r"""
writer() {
    n=0
    while :; do
        at=$(( $1 + n * 397 % 5000 ))
        printf '%011d-%-499s\n' $at "$2 $n" | dd of=/dev/vda bs=512 seek=$at conv=notrunc,fsync 2>/dev/null &&
            echo "KEPT $at $2 $n"
        n=$(( n + 1 ))
    done
}
"""
WRITERS = 3


def kept_sectors(text):
    """{sector: text last told of}, in the order of time; lines may be cut by the kill."""
    kept = {}
    for line in text.replace("\r", "").split("\n")[:-1]:
        words = line.split(" ")
        if len(words) == 4 and words[0] == "KEPT":
            kept[int(words[1])] = "%s %s" % (words[2], words[3])
    return kept


def one_kill(case, top, n, cache, options):
    rng = random.Random(n)
    path = os.path.join(top, "kill%d.qcow2" % n)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(DISK)])
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "1",
               "-drive", "if=virtio,format=qcow2,file=%s,cache=%s" % (path, cache), append="quiet") as vm:
        to_shell(vm)
        for line in WRITER.strip().split("\n"):
            vm.send(line + "\n")
        vm.send("; ".join("writer %d %c >/dev/ttyS0 &" % (5000 * w, 97 + w) for w in range(WRITERS)).replace("&;", "&") + "\n")
        for _ in range(rng.randint(10, 60)):
            vm.expect(r"KEPT \d+ \w \d+\r*\n")
        vm.pump(rng.random() / 10)
        os.kill(vm.proc.pid, signal.SIGKILL)
        case.equal(vm.wait(), -signal.SIGKILL, "%s: killed" % cache)
        kept = kept_sectors(vm.text)
    lazy = "lazy_refcounts=on" in options
    status, out, err = run(["qemu-img", "check"] + (["-r", "all"] if lazy else []) + [path])
    case.check(status == 0 if lazy else status in (0, 3), "%s, %s: no corruption" % (cache, options), out + err)
    data = contents(path, "qcow2")
    lost = [s for s, text in kept.items()
            if data[512 * s:512 * s + 512].decode("latin-1").strip() != "%011d-%s" % (s, text)]
    case.check(not lost, "%s, %s: all of %d sectors told of are there" % (cache, options, len(kept)), lost[:5])
    case.check(len(kept) >= 10, "%s: the guest had told of some" % cache, len(kept))


def kill(case):
    """SIGKILL at random while a guest writes and flushes."""
    if not shutil.which("qemu-img"):
        case.skip("no qemu-img to make the images")
        return
    top = folder(case)
    rounds = [("writeback", "cluster_size=512"), ("none", "cluster_size=4096"), ("writeback", "extended_l2=on"),
              ("writethrough", "cluster_size=64k"), ("writeback", "lazy_refcounts=on"), ("none", "cluster_size=512")]
    for n, (cache, options) in enumerate(rounds):
        one_kill(case, top, n, cache, options)
    shutil.rmtree(top)


def cases(options):
    if options.list == "asan":
        return []
    quick = [full("virtio-blk", "qcow2"), ("bad cluster", bad_cluster)]
    if options.list == "quick":
        return quick
    return quick + [full("virtio-blk", "raw"), full("virtio-blk,iothread=io0", "qcow2"), full("ide", "raw"),
                    full("ide", "qcow2"), ("kill", kill)]
