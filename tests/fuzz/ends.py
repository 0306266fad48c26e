#!/usr/bin/env python3
"""ends.py - guests that will not stand still, while viv is paused, reset, asked and ended.

ends.py VIV [--accel NAME] [--seconds N]: small images of endless loops, reset loops and locked
self-modification; each must answer its monitor, keep its memory bounded and end when told.
"""
import argparse
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
GROWTH = 24 << 20  # bytes that a machine may grow by while its guest resets
ROM = 65536


def rom(code, fill=b"\xf4"):
    """Real-mode code at F000:8000, entered from the reset vector."""
    data = bytearray(fill * ROM)
    data[0x8000:0x8000 + len(code)] = code
    data[-16:-13] = b"\xe9" + struct.pack("<h", 0x8000 - 0xfff3)
    return bytes(data)


def flat(code):
    """The same in flat 32-bit mode, with everything in the ROM's copy below 1 MiB."""
    gdt = bytes(8) + struct.pack("<QQ", 0xcf9b000000ffff, 0xcf93000000ffff)
    enter = (b"\xfa\x2e\x66\x0f\x01\x16\x00\x90" b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0" b"\x66\xea" +
             struct.pack("<IH", 0xf8100, 8))
    data = bytearray(rom(enter))
    data[0x9000:0x9006] = struct.pack("<HI", 23, 0xf9010)
    data[0x9010:0x9010 + 24] = gdt
    start = b"\x66\xb8\x10\x00\x8e\xd8\x8e\xc0\x8e\xd0\xbc\x00\x80\x00\x00"
    data[0x8100:0x8100 + len(start) + len(code)] = start + code
    return bytes(data)


def locked_own_code():
    # Copies itself to 8000h and there exchanges a byte of its own block, locked, for ever.
    body = b"\x90\x86\x05" + struct.pack("<I", 0x8000) + b"\xeb\xf7"
    copy = b"\xbe" + struct.pack("<I", 0xf8200) +
            b"\xbf\x00\x80\x00\x00\xb9\x10\x00\x00\x00\xf3\xa4"
    data = bytearray(flat(copy + b"\xb0\x90\xb8\x90\x00\x00\x00\xbf\x00\x80\x00\x00\xff\xe7"))
    data[0x8200:0x8200 + len(body)] = body
    return bytes(data)


def shadow_for_ever():
    # 64 MiB of MOV SS at 2 MiB and on: far more than can be run while somebody waits.
    code = b"\xbf\x00\x00\x20\x00\xb9\x00\x00\x80\x00\xb8\x8e\xd0\x8e\xd0"
    code += b"\xf3\xab" + b"\xb8\x10\x00\x00\x00\xbf\x00\x00\x20\x00\xff\xe7"
    return flat(code)


IMAGES = {
    "halted": rom(b"\xfa\xf4\xeb\xfc"),
    "spinning": rom(b"\xeb\xfe"),
    "locked-own-code": locked_own_code(),
    "interrupt-shadow": shadow_for_ever(),
    "reset-cf9": rom(b"\xba\xf9\x0c\xb0\x06\xee\xf4"),
    "reset-i8042": rom(b"\xb0\xfe\xe6\x64\xf4"),
    "reset-port92": rom(b"\xb0\x01\xe6\x92\xf4"),
    "reset-triple": rom(b"\x2e\x0f\x01\x1e\x00\x90\x0f\x0b" + b"\xf4" * 8, b"\x00"),
    "ports": rom(b"\xba\x70\x00\xec\x42\xeb\xfc"),
}


class Machine:
    def __init__(self, viv, accel, name, path, cpus):
        self.name = name
        # Written and read through two descriptions: each has its own offset.
        self.said = tempfile.NamedTemporaryFile()
        env = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=1")
        self.proc = subprocess.Popen(
            [viv, "-display", "none", "-serial", "null", "-monitor", "stdio", "-m", "160", "-smp",
                    str(cpus),
             "-accel", accel, "-bios", path], stdin=subprocess.PIPE, stdout=self.said,
                     stderr=subprocess.STDOUT, env=env)

    def say(self, line):
        os.write(self.proc.stdin.fileno(), line.encode() + b"\n")

    def text(self):
        with open(self.said.name, "rb") as f:
            return f.read()

    def wait_for(self, what, count):
        end = time.monotonic() + PATIENCE
        while self.text().count(what) < count:
            if self.proc.poll() is not None or time.monotonic() > end:
                raise AssertionError("%s: no answer from the monitor; status %s, %r" % (
                    self.name, self.proc.returncode, self.text()[-3000:]))
            time.sleep(0.02)

    def resident(self):
        with open("/proc/%d/statm" % self.proc.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def ended(self):
        try:
            self.proc.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.proc.send_signal(signal.SIGABRT)
            self.proc.wait()
            raise AssertionError("%s: viv does not end" % self.name)
        if self.proc.returncode != 0:
            raise AssertionError("%s: status %s, %r" % (self.name, self.proc.returncode,
                    self.text()[-3000:]))


def torture(m, seconds):
    """stop, cont and system_reset without a pause between them, then a question."""
    m.say("info status")
    m.wait_for(b"VM status", 1)
    time.sleep(0.3)
    before, asked, end = m.resident(), 1, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            for line in ("stop", "cont", "system_reset", "stop", "system_reset", "cont",
                    "info registers"):
                m.say(line)
        asked += 1
        m.say("info status")
        m.wait_for(b"VM status", asked)
    time.sleep(seconds)
    if m.name.startswith("reset") and m.resident() > before + GROWTH:
        raise AssertionError("%s: grew from %d to %d bytes" % (m.name, before, m.resident()))


def one(viv, accel, name, path, cpus, how, seconds):
    m = Machine(viv, accel, name, path, cpus)
    try:
        torture(m, seconds)
        if how == "quit":
            m.say("quit")
        else:
            m.proc.send_signal(signal.SIGTERM)
        m.ended()
    finally:
        if m.proc.poll() is None:
            m.proc.kill()
            m.proc.wait()
        m.proc.stdin.close()
        m.said.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("viv")
    ap.add_argument("--accel", default="interp")
    ap.add_argument("--seconds", type=float, default=0.5, help="how long each image is bothered")
    ap.add_argument("--only", help="one image")
    a = ap.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        for name in [a.only] if a.only else IMAGES:
            path = os.path.join(tmp, name)
            with open(path, "wb") as f:
                f.write(IMAGES[name])
            for cpus, how in ((1, "term"), (4, "quit"), (4, "term")):
                try:
                    one(a.viv, a.accel, name, path, cpus, how, a.seconds)
                    print("ok %s, %d cpus, %s" % (name, cpus, how), flush=True)
                except AssertionError as e:
                    failed += 1
                    print("not ok %s, %d cpus, %s: %s" % (name, cpus, how, e), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
