#!/usr/bin/env python3
"""info tlb, info mem, gpa2hva, gpa2hpa, info qdm and boot_set at the prompt, against QEMU 7.2 where it is there; TAP.

usage: test-addresses.py VIV IMAGES
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import tap
from tap import ok

VIV, IMAGES = sys.argv[1:3]
QEMU = shutil.which("qemu-system-x86_64")
PATIENCE = 120
ORDERS = ["c", "acd", "acdn", "cc", "e", "z"]


class Prompt:
    """A machine on its monitor; its image has written its result (to port 501h) and does nothing any more."""

    def __init__(self, program, image):
        args = [program, "-accel", "tcg", "-cpu", "max", "-m", "64", "-display", "none", "-vga", "none", "-net", "none", "-serial",
                "none", "-monitor", "stdio"]
        self.result = tempfile.NamedTemporaryFile()
        args += ["-bios", os.path.join(IMAGES, image + ".bin"), "-debugcon", "file:" + self.result.name,
                 "-global", "isa-debugcon.iobase=0x501"] if image else ["-S"]
        self.proc = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.read()
        end = time.monotonic() + PATIENCE
        while image and not os.path.getsize(self.result.name) and time.monotonic() < end:
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()
        self.result.close()

    def read(self):
        """Up to the next prompt."""
        text = bytearray()
        while not re.search(rb"\(qemu\) (\x1b\[K)*$", text[-40:]):
            piece = self.proc.stdout.read1(65536)
            if not piece:
                raise AssertionError("it has ended: %r" % text[-300:])
            text += piece
        return re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r", "", text.decode())

    def say(self, line):
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()
        answer = self.read() # the echo of the line, with a newline, stands before it
        return answer.split("\n", 1)[1].rsplit("(qemu) ", 1)[0]


def both(image, lines):
    """What each program answers to each line."""
    answers = []
    for program in (VIV, QEMU):
        if program:
            with Prompt(program, image) as p:
                answers.append([p.say(line) for line in lines])
    return answers


def test_tables():
    # In "paging" pages are marked as accessed that hold the tables themselves, where QEMU does not.
    for image, lines in [("long", ["info mem", "info tlb"]), ("tlb", ["info mem", "info tlb"]), ("paging", ["info mem"]),
                         (None, ["info mem", "info tlb"])]:
        answers = both(image, lines)
        for i, line in enumerate(lines):
            name = "%s of %s" % (line, image or "a machine without paging")
            ok(re.fullmatch(r"(PG disabled\n|([0-9a-f]{16}[-:].*\n)+)", answers[0][i]), name, answers[0][i])
            if QEMU:
                ok(answers[0][i] == answers[1][i], name + ": as QEMU", "\n".join(a[i] for a in answers))
    with Prompt(VIV, "loops") as p:
        for line in ("info mem", "info tlb"):
            ok(p.say(line).endswith("(there is more, which is not shown)\n"), line + " of tables that lead to themselves ends")


def test_host():
    with Prompt(VIV, None) as p:
        said = p.say("gpa2hva 0x1234")
        ok(re.fullmatch(r"Host virtual address for 0x1234 \(pc.ram\) is 0x[0-9a-f]+234\n", said), "gpa2hva", said)
        said = p.say("gpa2hva 0xfffffff0")
        ok("(pc.bios)" in said, "gpa2hva of the firmware", said)
        said = p.say("gpa2hpa 0x1234")
        ok(re.fullmatch(r"Host physical address for 0x1234 \(pc.ram\) is 0x[0-9a-f]*234\n", said) or "Cannot open" in said or
           "not present" in said, "gpa2hpa", said)
    lines = ["gpa2hva 0x900000000", "gpa2hva 0xfec00000", "gpa2hpa 0x900000000", "gpa2hpa 0xfec00000"]
    answers = both(None, lines)
    ok(answers[0][:2] == ["No memory is mapped at address 0x900000000\n", "Memory at address 0xfec00000 is not RAM\n"],
       "addresses without memory", answers[0])
    ok(len(answers) == 1 or answers[0] == answers[1], "addresses without memory: as QEMU", answers)


def test_boot_set():
    answers = both(None, ["boot_set " + order for order in ORDERS])
    ok(answers[0][0] == "boot device list now set to c\n", "boot_set", answers[0])
    ok(len(answers) == 1 or answers[0] == answers[1], "boot_set: as QEMU", answers)
    with Prompt(VIV, None) as p:
        p.say("boot_set dn")
        p.say("system_reset")
        p.say("o /b 0x70 0x3d")
        said = p.say("i /b 0x71")
        ok(said == "portb[0x0071] = 0x43\n", "the CMOS memory has it, after a reset too", said)


def test_classes():
    """Of the classes that both have and users can create, the category and the bus are the same."""
    def classes(text):
        found, category = {}, None
        for line in text.splitlines():
            if line.endswith(" devices:"):
                category = line
            m = re.match(r'name "([^"]+)"(?:, bus ([^,]+))?', line)
            if m:
                found[m.group(1)] = (category, m.group(2), "no-user" in line)
        return found
    answers = [classes(a[0]) for a in both(None, ["info qdm"])]
    ok(answers[0].get("i6300esb") == ("Watchdog devices:", "PCI", False), "info qdm", answers[0])
    if QEMU:
        differ = {n: (c, answers[1][n]) for n, c in answers[0].items() if n in answers[1] and not c[2] and c != answers[1][n]}
        ok(not differ, "info qdm: as QEMU", differ)


test_tables()
test_host()
test_boot_set()
test_classes()
sys.exit(tap.finish())
