#!/usr/bin/env python3
"""threads.py VIV GUEST [--cpu MODEL] [--rounds N] - what a second vcpu gives: the work of two threads, one after the other and side by side.

bench/threadbench.c natively, and as init of the same kernel with -smp 2 on viv and on QEMU's TCG, in this one run. Prints the
best time of each and the gain; beside it how busy other programs kept this machine, on which all of it depends.
"""
import argparse
import os
import re
import subprocess
import tempfile
import time

from common import QEMU, cpu_type
from cpu import initramfs

HERE = os.path.dirname(os.path.abspath(__file__))


def busy():
    """CPU seconds that all programs of this machine have used (proc(5), stat: user, nice, system, irq, softirq)."""
    with open("/proc/stat") as f:
        n = list(map(int, f.readline().split()[1:8]))
    return (n[0] + n[1] + n[2] + n[5] + n[6]) / os.sysconf("SC_CLK_TCK")


def measure(argv, best):
    """Notes the best seconds by number of threads; how many processors others kept busy."""
    begin, used = time.monotonic(), busy()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = p.stdout.read().decode(errors="replace")
    _, _, res = os.wait4(p.pid, 0)
    others = (busy() - used - res.ru_utime - res.ru_stime) / (time.monotonic() - begin)
    if "THREADBENCH DONE" not in text:
        raise SystemExit("%s did not come to its end:\n%s" % (argv[0], text[-2000:]))
    for n, seconds in re.findall(r"threads (\d) (\S+)", text):
        best[n] = min(float(seconds), best.get(n, float(seconds)))
    return max(others, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("viv")
    parser.add_argument("guest")
    parser.add_argument("--cpu", default="qemu64")
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program, initrd = os.path.join(folder, "threadbench"), os.path.join(folder, "initrd.gz")
        subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", program, os.path.join(HERE, "threadbench.c")], check=True)
        initramfs(program, initrd)
        rest = ["-nographic", "-no-reboot", "-m", "256", "-smp", "2", "-cpu", o.cpu, "-kernel", o.guest + "/vmlinuz",
                "-initrd", initrd, "-append", "console=ttyS0 quiet panic=1"]
        rows = [("native", [program]), ("viv", [o.viv, "-accel", "jit"] + rest)]
        rows += [("tcg", [QEMU, "-accel", "tcg", "-machine", "pc"] + rest)] if QEMU else []
        noted = {name: ({}, []) for name, _ in rows}
        for name, argv in rows * o.rounds: # by turns: the others' load changes
            noted[name][1].append(measure(argv, noted[name][0]))
        print("Work of two threads, -smp 2, seconds, on %d processors: %s" % (os.cpu_count(), cpu_type()))
        print("%-10s %12s %12s %8s %16s" % ("", "one by one", "two at once", "gain", "others' load"))
        for name, (best, others) in noted.items():
            print("%-10s %12.3f %12.3f %8.2f %16s" % (name, best["1"], best["2"], best["1"] / best["2"],
                                                      "%.1f to %.1f" % (min(others), max(others))), flush=True)


main()
