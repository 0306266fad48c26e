#!/usr/bin/env python3
"""cpu.py VIV GUEST [--div N] [--only NAME,...] [--cpu MODEL] [--accel NAME] [--no-qemu] - the software CPU, by workload.

bench/cpubench.c natively, as init of the same kernel on viv, and on QEMU's TCG with the same -cpu, in
this one run. Prints seconds, and the two ratios that matter: guest over native, and TCG over viv.
"""
import argparse
import gzip
import math
import os
import re
import subprocess
import sys
import tempfile

from common import QEMU, cpu_type

HERE = os.path.dirname(os.path.abspath(__file__))


def cpio_entry(name, mode, data=b"", rdev=(0, 0)):
    """One member of a "newc" archive (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    path = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(path), 0]
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initramfs(program, path):
    """An archive with that program as init."""
    with open(program, "rb") as f:
        archive = (cpio_entry("dev", 0o040755) + cpio_entry("dev/console", 0o020600, rdev=(5, 1)) +
                   cpio_entry("proc", 0o040755) + cpio_entry("init", 0o100755, f.read()) +
                   cpio_entry("TRAILER!!!", 0))
    with gzip.open(path, "wb", 1) as f:
        f.write(archive)


def build(folder):
    program, initrd = os.path.join(folder, "cpubench"), os.path.join(folder, "initrd.gz")
    subprocess.run(["gcc", "-O2", "-static", "-o", program, os.path.join(HERE, "cpubench.c"), "-lm"], check=True)
    initramfs(program, initrd)
    return program, initrd


def measure(argv):
    """{workload: (seconds, checksum)} of what the program says."""
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600)
    text = p.stdout.decode(errors="replace")
    if "CPUBENCH DONE" not in text:
        raise SystemExit("%s did not come to its end:\n%s" % (argv[0], text[-2000:]))
    return {m[1]: (float(m[2]), m[3]) for m in re.finditer(r"bench (\S+) (\S+) (\S+)", text)}


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("viv")
    parser.add_argument("guest")
    parser.add_argument("--div", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--cpu", default="qemu64")
    parser.add_argument("--accel", default="jit")
    parser.add_argument("--no-qemu", action="store_true")
    o = parser.parse_args()
    qemu = None if o.no_qemu else QEMU
    with tempfile.TemporaryDirectory() as folder:
        program, initrd = build(folder)
        rest = ["-nographic", "-no-reboot", "-m", "256", "-cpu", o.cpu, "-kernel", o.guest + "/vmlinuz", "-initrd", initrd,
                "-append", "console=ttyS0 quiet panic=1 div=%d%s" % (o.div, " only=" + o.only if o.only else "")]
        native = measure([program, str(o.div), o.only])
        guest = measure([o.viv, "-accel", o.accel] + rest)
        tcg = measure([qemu, "-accel", "tcg", "-machine", "pc"] + rest) if qemu else {}
    print("%s, -cpu %s, work divided by %d, seconds, on %s" % (o.guest, o.cpu, o.div, cpu_type()))
    print("%-10s %8s %8s %8s %12s %12s %10s" % ("", "native", "viv", "tcg", "viv/native", "tcg/native", "tcg/viv"))
    slow, slower, gain = [], [], []
    for name, (seconds, checksum) in native.items():
        viv, theirs = guest[name], tcg.get(name)
        slow.append(viv[0] / seconds)
        row = "%-10s %8.3f %8.3f" % (name, seconds, viv[0])
        if theirs:
            slower.append(theirs[0] / seconds)
            gain.append(theirs[0] / viv[0])
            row += " %8.3f %12.2f %12.2f %10.2f" % (theirs[0], slow[-1], slower[-1], gain[-1])
        else:
            row += " %8s %12.2f" % ("", slow[-1])
        if {r[1] for r in (viv, theirs) if r} != {checksum}:
            row += "  CHECKSUMS DIFFER"
        print(row)
    print("%-10s %8s %8s %8s %12.2f" % ("geo. mean", "", "", "", mean(slow)) +
          (" %12.2f %10.2f" % (mean(slower), mean(gain)) if gain else ""))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
