#!/usr/bin/env python3
"""disk.py VIV GUEST [SECONDS [DEVICE-OPTIONS]] - a guest's disk under viv and under QEMU's TCG, one after the other.

GUEST is a folder of scripts/guest.sh (vmlinuz, initrd.gz). The guest runs bench/diskbench.c, which this
builds, on virtio-blk with cache=none. A ratio above 1: viv is faster. Nothing is left behind.
"""
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

from common import QEMU, cpu_type

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))
from vm import Vm  # noqa: E402

SIZE = 256 << 20


def cpio(name, data):
    """A newc archive with one program."""
    def entry(name, data, mode):
        head = "070701" + "".join("%08x" % n for n in
                                  (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
        out = head.encode() + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        return out + bytes(-len(out) % 4)
    return entry(name, data, 0o100755) + entry("TRAILER!!!", b"", 0)


def make_initrd(top, guest):
    program = os.path.join(top, "diskbench")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", program, os.path.join(TOP, "bench/diskbench.c")], check=True)
    with open(os.path.join(guest, "initrd.gz"), "rb") as f, open(program, "rb") as p:
        return f.read() + gzip.compress(cpio("diskbench", p.read()))


def measure(program, top, guest, seconds, device):
    """{test: requests a second}, and the CPU seconds that viv or QEMU used for them."""
    argv = program + ["-nographic", "-m", "256", "-smp", "1", "-kernel", os.path.join(guest, "vmlinuz"),
                      "-initrd", os.path.join(top, "initrd.gz"), "-append", "console=ttyS0 panic=-1 quiet",
                      "-object", "iothread,id=io0",
                      "-drive", "if=none,id=d,format=raw,cache=none,file=" + os.path.join(top, "disk.raw"),
                      "-device", "virtio-blk-pci,drive=d" + device]
    with Vm(argv) as vm:
        vm.expect(r"vivarium:\S* ")
        text, status = vm.sh("/diskbench /dev/vda %s" % seconds)
        if status:
            raise SystemExit("%s: diskbench failed: %s" % (program[0], text))
        vm.send("poweroff\n")
        vm.wait()
    return dict((name, (mib, float(iops))) for name, mib, iops in re.findall(r"(.*): ([\d.]+) MiB/s, (\d+) requests/s", text))


def main():
    viv, guest = os.path.abspath(sys.argv[1]), sys.argv[2]
    seconds = sys.argv[3] if len(sys.argv) > 3 else "4"
    device = "," + sys.argv[4] if len(sys.argv) > 4 else ""
    top = tempfile.mkdtemp(prefix="viv-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    try:
        with open(os.path.join(top, "initrd.gz"), "wb") as f:
            f.write(make_initrd(top, guest))
        with open(os.path.join(top, "disk.raw"), "wb") as f:
            f.write(os.urandom(1 << 20) * (SIZE >> 20))
        os.sync()
        ours = measure([viv, "-accel", "interp"], top, guest, seconds, device)
        theirs = measure([QEMU, "-accel", "tcg"], top, guest, seconds, device) if QEMU else {}
        print("virtio-blk, raw, cache=none%s; %s" % (device, cpu_type()))
        print("%-34s %12s %12s %7s" % ("requests/s", "viv", "QEMU", "ratio"))
        for name, (_, iops) in ours.items():
            other = theirs.get(name, (None, 0))[1]
            print("%-34s %12.0f %12s %7s" % (name, iops, "%.0f" % other if other else "-",
                                             "%.2f" % (iops / other) if other else "-"))
    finally:
        shutil.rmtree(top)
    return 0


sys.exit(main())
