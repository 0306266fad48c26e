#!/usr/bin/env python3
"""debian.py VIV GUEST [--smp N] [--cpu MODEL] - a whole Debian with systemd to its login, viv against QEMU's TCG.

GUEST is a folder with disk.qcow2 (scripts/guest.sh debian-amd64). Both start the same image with the same options, nothing
is written to it. CPU seconds, user and system, of the whole process from exec to the login prompt on the serial line.
"""
import argparse
import os

from common import QEMU, cpu_type, usage


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("viv")
    parser.add_argument("guest")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--cpu", default="qemu64")
    o = parser.parse_args()
    rest = ["-nographic", "-m", "1024", "-smp", str(o.smp), "-cpu", o.cpu, "-snapshot",
            "-drive", "file=%s,if=virtio,format=qcow2" % os.path.join(o.guest, "disk.qcow2")]
    rows = [("viv -accel jit", [o.viv, "-accel", "jit"] + rest)]
    if QEMU:
        rows.insert(0, ("qemu -accel tcg", [QEMU, "-accel", "tcg", "-machine", "pc"] + rest))
    print("Debian to its login, -m 1024 -smp %d -cpu %s, on %s" % (o.smp, o.cpu, cpu_type()))
    print("%-20s %10s %10s %10s %10s" % ("", "CPU s", "wall s", "of qemu's", "wall"))
    theirs = None
    for name, argv in rows:
        cpu, wall, _ = usage(argv, rb"vivarium login: ")
        theirs = theirs or ((cpu, wall) if QEMU else None)
        shares = "%10.2f %10.2f" % (cpu / theirs[0], wall / theirs[1]) if theirs else ""
        print("%-20s %10.1f %10.1f %s" % (name, cpu, wall, shares), flush=True)


main()
