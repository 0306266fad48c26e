"""sd.py - SD cards: SeaBIOS starts from one, Debian's own driver reads and writes small and large ones."""
import os
import shutil

from disks import MIB, boots, folder, make_image, noise, use_disk, verify
from linux import poweroff, start, to_shell

SIZE = 32 * MIB
LARGE = 4 << 30
ILL = "dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|I/O error|mmc.*(error|timeout|Timeout)'"
# As that of QEMU, but for the checksum, which Linux shows as 0 there.
CID = "aa585951454d552101deadbeef0062"


def card(vm, size):
    """The name of the card of so many bytes: which host comes first is chance."""
    return vm.sh("grep -lx %d /sys/block/mmcblk?/size" % (size // 512))[0].split("/")[3]


def look(case, vm, dev, kind):
    base = "/sys/block/%s/device/" % dev
    case.equal(vm.sh("cat %stype" % base)[0], "SD", "%s: type" % kind)
    case.equal(vm.sh("cat %sname" % base)[0], "QEMU!", "%s: name" % kind)
    case.equal(vm.sh("cat %scid" % base)[0][:30], CID, "%s: CID" % kind)


def discard(case, vm, dev):
    _, status = vm.sh("blkdiscard -o %d -l %d /dev/%s" % (20 * MIB, MIB, dev))
    case.equal(status, 0, "blkdiscard")
    left = vm.sh("dd if=/dev/%s bs=1M skip=20 count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c" % dev)[0]
    case.equal(left, "0", "what was erased reads as zeroes")


def large(case, vm, dev):
    """Above 2 GiB addresses count blocks: the last MiB is where it should be."""
    place = "bs=1M seek=%d" % (LARGE // MIB - 1)
    _, status = vm.sh("dd if=/tmp/noise of=/dev/%s %s count=1 oflag=direct conv=notrunc 2>/dev/null" % (dev, place))
    case.equal(status, 0, "SDHC: written at its end")
    sums = vm.sh("dd if=/dev/%s bs=1M skip=%d iflag=direct 2>/dev/null | md5sum; head -c %d /tmp/noise | md5sum" %
                 (dev, LARGE // MIB - 1, MIB))[0].split()
    case.equal(sums[0], sums[2], "SDHC: read at its end")


def locked(case, vm, dev):
    case.equal(vm.sh("cat /sys/block/%s/ro" % dev)[0], "1", "a read-only drive is a locked card")
    _, status = vm.sh("dd if=/tmp/noise of=/dev/%s bs=4k count=1 oflag=direct 2>/dev/null" % dev)
    case.check(status != 0, "and cannot be written")


def in_linux(case):
    """SDSC with qcow2, SDHC of a sparse file, and a locked card, each in a controller of its own."""
    top, data = folder(case), noise(SIZE, 31)
    small, big, lock = (os.path.join(top, n) for n in ("a.qcow2", "b.img", "c.img"))
    fmt = "qcow2" if shutil.which("qemu-img") else "raw"
    make_image(small, fmt, data)
    make_image(lock, "raw", data[:MIB])
    with open(big, "wb") as f:
        f.truncate(LARGE)
    options = ["-drive", "if=sd,file=%s,format=%s,discard=unmap" % (small, fmt),
               "-device", "sdhci-pci,id=host,sd-spec-version=3", "-drive", "if=none,id=b,format=raw,file=" + big,
               "-device", "sd-card,drive=b,spec_version=3",
               "-drive", "if=sd,format=raw,readonly=on,file=" + lock]
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "2", *options, append="quiet") as vm:
        to_shell(vm)
        vm.sh("for i in 1 2 3 4 5 6 7 8 9; do [ $(ls -d /sys/block/mmcblk? | wc -l) = 3 ] && break; sleep 1; done")
        dev = card(vm, SIZE)
        look(case, vm, dev, "SDSC")
        look(case, vm, card(vm, LARGE), "SDHC")
        discard(case, vm, dev)
        holed = data[:20 * MIB] + bytes(MIB) + data[21 * MIB:]
        sums = use_disk(case, vm, dev, small, fmt, holed, "SDSC")
        large(case, vm, card(vm, LARGE))
        case.equal(vm.sh(ILL)[0], "", "nothing ill in the kernel's log")
        locked(case, vm, card(vm, MIB))
        poweroff(case, vm)
    verify(case, small, fmt, holed, sums, "SDSC")
    shutil.rmtree(top)


def cases(options):
    quick = [boots("if=sd", "-drive", "if=sd,format=raw,file=IMAGE")]
    if options.list == "asan":
        return quick
    full = [boots("sd-card", "-device", "sdhci-pci,addr=9", "-drive", "if=none,id=d,format=raw,file=IMAGE",
                  "-device", "sd-card,drive=d,bus=sd-bus"),
            ("sd cards in Linux", in_linux)]
    return quick + (full if options.list == "full" else [])
