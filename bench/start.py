#!/usr/bin/env python3
"""start.py VIV - from exec to the guest's first instructions, and memory above the guest's own.

The firmware is 64 KiB whose first instructions end the run through isa-debug-exit, so the CPU time of the
process is that of starting (and ending). Memory: resident anonymous and file pages of a machine that
halts, its guest's RAM never touched.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from common import QEMU, cpu_type, usage

ROUNDS = 20


def firmware(path, code):
    image = bytearray(b"\xf4" * 65536)
    image[0xfff0:0xfff3] = b"\xe9\x0d\x00"  # jmp to offset 0: 0xfff3 + 0x0d wraps
    image[0:len(code)] = code
    with open(path, "wb") as f:
        f.write(image)


def memory(argv):
    """KiB of a process that stands still: resident at most, anonymous now."""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    with open("/proc/%d/status" % p.pid) as f:
        text = f.read()
    p.terminate()
    p.wait()
    return [int(re.search(r"%s:\s*(\d+)" % k, text).group(1)) for k in ("VmHWM", "RssAnon")]


def main():
    viv = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        leave, halt = os.path.join(tmp, "leave"), os.path.join(tmp, "halt")
        # mov $0x10,%al; mov $0x501,%dx; out %al,%dx; hlt -- and cli; hlt; jmp to the hlt
        firmware(leave, b"\xb0\x10\xba\x01\x05\xee\xf4")
        firmware(halt, b"\xfa\xf4\xeb\xfd")
        common = ["-m", "64", "-display", "none", "-serial", "none", "-monitor", "none", "-nodefaults"]
        rows = [("viv -accel jit", [viv, "-accel", "jit"])]
        if QEMU:
            rows.append(("qemu -accel tcg", [QEMU, "-accel", "tcg", "-machine", "pc"]))
        print("Start and size, -m 64, on %s" % cpu_type())
        print("%-20s %12s %12s %12s %12s" % ("", "CPU ms", "wall ms", "VmHWM MiB", "RssAnon MiB"))
        for name, argv in rows:
            runs = []
            for _ in range(ROUNDS):
                cpu, wall, status = usage(argv + common + ["-bios", leave, "-device",
                                                           "isa-debug-exit,iobase=0x501,iosize=2"])
                if status != 33:
                    raise SystemExit("%s ended with status %s" % (name, status))
                runs.append((cpu, wall))
            cpu, wall = sorted(r[0] for r in runs)[ROUNDS // 2], sorted(r[1] for r in runs)[ROUNDS // 2]
            high, anon = memory(argv + common + ["-bios", halt])
            print("%-20s %12.1f %12.1f %12.1f %12.1f" % (name, cpu * 1e3, wall * 1e3, high / 1024, anon / 1024),
                  flush=True)


main()
