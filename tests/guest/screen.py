"""screen.py - what the screen shows, pixel for pixel as Debian's QEMU shows the same guest.

A boot sector (tests/bare/modes.S) sets a mode and draws; both programs write a screendump, which must be equal.
"""
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from vm import PATIENCE, Failure

QEMU = shutil.which("qemu-system-x86_64")
MODE, DRAW = 0x1f0, 0x1f2
TEXT, TEXT50, LINEAR, MODE_X, PLANAR, CGA, WRITE_MODES = range(7)
# name: (INT 10h mode, what is drawn, size)
MODES = {
    "text 80x25": (0x03, TEXT, (720, 400)),
    "text 40x25": (0x01, TEXT, (640, 400)),
    "text 80x50": (0x03, TEXT50, (720, 400)),
    "CGA 320x200x4": (0x04, CGA, (640, 400)),
    "CGA 640x200x2": (0x06, CGA, (640, 400)),
    "EGA 320x200x16": (0x0d, PLANAR, (640, 400)),
    "EGA 640x350x16": (0x10, PLANAR, (640, 350)),
    "VGA 640x480x2": (0x11, PLANAR, (640, 480)),
    "VGA 640x480x16": (0x12, PLANAR, (640, 480)),
    "write modes": (0x12, WRITE_MODES, (640, 480)),
    "13h": (0x13, LINEAR, (640, 400)),
    "mode X": (0x13, MODE_X, None),
    "VBE 640x480x8": (0x101, LINEAR, (640, 480)),
    "VBE 800x600x4": (0x102, PLANAR, (800, 600)),
    "VBE 800x600x15": (0x113, LINEAR, (800, 600)),
    "VBE 1024x768x16": (0x117, LINEAR, (1024, 768)),
    "VBE 1280x1024x24": (0x11b, LINEAR, (1280, 1024)),
    "VBE 1024x768x32": (0x144, LINEAR, (1024, 768)),
}


# Not compared: QEMU 7.2 writes with the map mask that was in force before a VBE mode of four bits was set.
ALONE = ("VBE 800x600x4",)


class Machine:
    """A viv or a QEMU that is steered by QMP; the same words serve both."""

    def __init__(self, program, folder, name, args):
        self.folder, self.name = folder, name
        self.qmp_path = os.path.join(folder, name + ".qmp")
        self.proc = subprocess.Popen([program, "-display", "none", "-qmp", "unix:%s,server=on,wait=off" % self.qmp_path,
                                      "-serial", "none", "-monitor", "none", *args],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.sock = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.sock.connect(self.qmp_path)
                break
            except OSError:
                if self.proc.poll() is not None or time.monotonic() > end:
                    raise Failure("%s does not answer: %s" % (program, self.proc.stderr.read().decode()))
                time.sleep(0.05)
        self.file = self.sock.makefile("rwb")
        json.loads(self.file.readline())
        self.command("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()
        self.proc.kill()
        self.proc.wait()
        self.proc.stderr.close()

    def command(self, name, **arguments):
        self.file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Failure("%s: %s" % (name, reply["error"]["desc"]))

    def picture(self):
        """The screen as (width, height, bytes)."""
        path = os.path.join(self.folder, self.name + ".ppm")
        self.command("screendump", filename=path)
        with open(path, "rb") as f:
            head, size, depth, pixels = f.read().split(b"\n", 3)
        if head != b"P6" or depth != b"255":
            raise Failure("no PPM: %r" % head)
        width, height = map(int, size.split())
        return width, height, pixels

    def still_picture(self):
        """A picture that is the same a moment later."""
        last = None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            now = self.picture()
            if now == last:
                return now
            last = now
            time.sleep(0.3)
        raise Failure("%s: the screen does not come to rest" % self.name)


def wait_for(path, text):
    end = time.monotonic() + PATIENCE
    while not os.path.exists(path) or text not in open(path, "rb").read():
        if time.monotonic() > end:
            raise Failure("no %r in %s" % (text, path))
        time.sleep(0.05)


def differing(a, b):
    """Where two pictures differ, in words; empty: nowhere."""
    if a[:2] != b[:2]:
        return "%dx%d against %dx%d" % (a[:2] + b[:2])
    if a == b:
        return ""
    n = sum(1 for i in range(0, len(a[2]), 3) if a[2][i:i + 3] != b[2][i:i + 3])
    i = next(i for i in range(0, len(a[2]), 3) if a[2][i:i + 3] != b[2][i:i + 3])
    return "%d of %d pixels, first at %d,%d: %s against %s" % (
        n, len(a[2]) // 3, i // 3 % a[0], i // 3 // a[0], a[2][i:i + 3].hex(), b[2][i:i + 3].hex())


def show(case, program, folder, which, name, accel):
    number, draw, _ = MODES[name]
    disk, done = os.path.join(folder, which + ".img"), os.path.join(folder, which + ".done")
    with open(os.path.join(case.options.images, "modes.bin"), "rb") as f:
        sector = bytearray(f.read())
    struct.pack_into("<HH", sector, MODE, number, draw)
    with open(disk, "wb") as f:
        f.write(sector)
        f.truncate(1 << 20)
    with Machine(program, folder, which,
                 ["-accel", accel, "-m", "64", "-drive", "file=%s,format=raw,if=ide" % disk, "-boot", "c",
                  "-chardev", "file,id=done,path=" + done, "-device", "isa-debugcon,chardev=done"]) as m:
        wait_for(done, b"D")
        return m.still_picture()


def mode(name):
    def case_fn(case):
        with tempfile.TemporaryDirectory() as folder:
            ours = show(case, case.viv, folder, "viv", name, "jit")
            theirs = show(case, QEMU, folder, "qemu", name, "tcg") if QEMU else None
        size = MODES[name][2]
        case.check(not size or ours[:2] == size, "its size", "%dx%d" % ours[:2])
        case.check(len(set(ours[2])) > 1, "something is drawn", "all bytes are the same")
        if theirs and name not in ALONE:
            case.equal(differing(ours, theirs), "", "as QEMU shows it")
    return "screen " + name, case_fn


def cases(options):
    if options.list == "asan":
        return [mode(n) for n in ("text 80x25", "VGA 640x480x16", "13h", "VBE 1024x768x32")]
    return [mode(n) for n in MODES]
