#!/usr/bin/env python3
"""monitor.py VIV GUEST - what a client that floods the monitor costs the guest, viv against QEMU's TCG.

GUEST is a folder with vmlinuz and initrd.gz (scripts/guest.sh). The guest's shell counts to a number, alone and while a client
sends commands as fast as their replies come: one that looks at state (query-block), one for which vcpus stand (info registers).
Seconds of the guest's own clock, and commands a second.
"""
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/guest"))
from common import QEMU, cpu_type  # noqa: E402
from vm import Vm  # noqa: E402

COUNT = 100000
FLOODS = {"query-block": ("query-block", {}), "info registers": ("human-monitor-command", {"command-line": "info registers"})}


class Flood(threading.Thread):
    def __init__(self, path, command):
        super().__init__()
        self.path, self.command, self.sent, self.going = path, command, 0, True

    def run(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        f = sock.makefile("rwb")
        f.readline()
        name, arguments = self.command
        line = json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n"
        f.write(b'{"execute":"qmp_capabilities"}\n')
        f.flush()
        f.readline()
        while self.going:
            f.write(line)
            f.flush()
            while b'"return"' not in f.readline():
                pass
            self.sent += 1
        sock.close()


def counting(vm):
    text = vm.sh("time sh -c 'i=0; while [ $i -lt %d ]; do i=$((i+1)); done'" % COUNT)[0]
    m = re.search(r"real\s+(\d+)m ([\d.]+)s", text)
    return int(m.group(1)) * 60 + float(m.group(2))


def measure(name, argv, guest):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "qmp")
        with Vm(argv + ["-nographic", "-m", "256", "-smp", "1", "-cpu", "qemu64", "-kernel", guest + "/vmlinuz", "-initrd",
                        guest + "/initrd.gz", "-append", "console=ttyS0 quiet", "-qmp", "unix:%s,server=on,wait=off" % path]) as vm:
            vm.expect(r"vivarium:\S* ")
            counting(vm)
            alone = counting(vm)
            print("%-16s %-16s %8.2f" % (name, "alone", alone), flush=True)
            for title, command in FLOODS.items():
                flood = Flood(path, command)
                flood.start()
                begin = time.monotonic()
                seconds = counting(vm)
                rate = flood.sent / (time.monotonic() - begin)
                flood.going = False
                flood.join()
                print("%-16s %-16s %8.2f %8.2f %10.0f" % (name, title, seconds, seconds / alone, rate), flush=True)


def main():
    viv, guest = sys.argv[1:3]
    print("A shell counting to %d, on %s" % (COUNT, cpu_type()))
    print("%-16s %-16s %8s %8s %10s" % ("", "flood", "s", "of alone", "commands/s"))
    if QEMU:
        measure("qemu -accel tcg", [QEMU, "-accel", "tcg", "-machine", "pc"], guest)
    measure("viv -accel jit", [viv, "-accel", "jit"], guest)


main()
