#!/usr/bin/env python3
"""boot.py VIV GUEST - one boot of the same kernel to its shell, viv's software CPU against QEMU's TCG.

GUEST is a folder with vmlinuz and initrd.gz (scripts/guest.sh). CPU seconds, user and system, of the
whole process from exec to the guest's banner, both in this one run.
"""
import sys

from common import QEMU, cpu_type, usage


def main():
    viv, guest = sys.argv[1:3]
    rest = ["-nographic", "-m", "256", "-smp", "1", "-cpu", "qemu64", "-kernel", guest + "/vmlinuz",
            "-initrd", guest + "/initrd.gz", "-append", "console=ttyS0 quiet"]
    rows = [("viv -accel interp", [viv, "-accel", "interp"] + rest)]
    if QEMU:
        rows.append(("qemu -accel tcg", [QEMU, "-accel", "tcg", "-machine", "pc"] + rest))
    print("Boot of %s to its shell, -m 256 -smp 1 -cpu qemu64, on %s" % (guest, cpu_type()))
    print("%-20s %10s %10s" % ("", "CPU s", "wall s"))
    results = []
    for name, argv in rows:
        cpu, wall, _ = usage(argv, rb"This is a guest of Vivarium")
        results.append(cpu)
        print("%-20s %10.1f %10.1f" % (name, cpu, wall), flush=True)
    if len(results) == 2:
        print("%-20s %10.2f" % ("viv / qemu", results[0] / results[1]))


main()
