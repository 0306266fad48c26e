#!/usr/bin/env python3
"""boot.py VIV GUEST [ACCEL...] - one boot of the same kernel to its shell, viv's software CPU against QEMU's TCG.

GUEST is a folder with vmlinuz and initrd.gz (scripts/guest.sh); ACCEL: jit and interp. CPU seconds, user and system, of the
whole process from exec to the guest's banner, both in this one run.
"""
import sys

from common import QEMU, cpu_type, usage


def main():
    viv, guest = sys.argv[1:3]
    accels = sys.argv[3:] or ["jit", "interp"]
    rest = ["-nographic", "-m", "256", "-smp", "1", "-cpu", "qemu64", "-kernel", guest + "/vmlinuz",
            "-initrd", guest + "/initrd.gz", "-append", "console=ttyS0 quiet"]
    rows = [("viv -accel " + name, [viv, "-accel", name] + rest) for name in accels]
    if QEMU:
        rows.insert(0, ("qemu -accel tcg", [QEMU, "-accel", "tcg", "-machine", "pc"] + rest))
    print("Boot of %s to its shell, -m 256 -smp 1 -cpu qemu64, on %s" % (guest, cpu_type()))
    print("%-20s %10s %10s %10s" % ("", "CPU s", "wall s", "of qemu's"))
    theirs = None
    for name, argv in rows:
        cpu, wall, _ = usage(argv, rb"This is a guest of Vivarium")
        theirs = cpu if name.startswith("qemu") else theirs
        share = "%10.2f" % (cpu / theirs) if theirs else ""
        print("%-20s %10.1f %10.1f %s" % (name, cpu, wall, share), flush=True)


main()
