#!/usr/bin/env python3
"""test-formats.py - the formats besides qcow2 against a model in memory, and against qemu-img and qemu-io.

Every kind of image is made by one program and changed at random, in turns by both; after each
turn both must read what the model holds, and a check, where there is one, must find nothing.
Where qemu-img is missing only our own side runs, and the test says so. Prints TAP.

usage: test-formats.py IMGTOOL [ROUNDS [SEED [NAME]]]
"""
from functools import partial
import os
import random
import re
import shutil
import sys

import tap
from tap import NO_QEMU, Failed, main

TOOL = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
ONLY = sys.argv[4] if len(sys.argv) > 4 else ""
run = partial(tap.run, timeout=120)
QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
M = 1 << 20


class Kind:
    """A format with its options; check: both can check it; backed: it lies over a raw file."""

    def __init__(self, driver, size, opts="", check=False, backed=False, packed=False):
        self.driver, self.size, self.check, self.backed, self.packed = driver, size, check, backed, packed
        self.opts = dict(o.split("=") for o in opts.split(",") if o)
        self.name = driver + (" " + opts if opts else "") + (" over a backing file" if backed else "")


KINDS = [
    Kind("vdi", 5 * M + 512, "", True), Kind("vdi", 3 * M, "static=on", True),
    Kind("vpc", 9 * M), Kind("vpc", 9 * M, "force_size=on"), Kind("vpc", 5 * M, "subformat=fixed"),
    Kind("vpc", 5 * M, "subformat=fixed,force_size=on"),
    Kind("parallels", 6 * M + 1024, "", True), Kind("parallels", 6 * M, "cluster_size=65536", True),
    Kind("qed", 6 * M, "", True), Kind("qed", 6 * M, "cluster_size=4096,table_size=2", True),
    Kind("vhdx", 20 * M, "", True), Kind("vhdx", 9 * M, "subformat=fixed,block_size=1048576", True),
    Kind("vhdx", 9 * M, "block_size=2097152,log_size=2097152,block_state_zero=off", True),
    Kind("qed", 6 * M, "", True, True), Kind("qed", 6 * M, "cluster_size=4096,table_size=2", True, True),
    Kind("qcow", 5 * M + 512), Kind("qcow", 6 * M, "", False, True),
    Kind("vmdk", 5 * M + 512, "", True), Kind("vmdk", 5 * M, "zeroed_grain=on,adapter_type=lsilogic", True),
    Kind("vmdk", 40 * M, "compat6=on", True), Kind("vmdk", 5 * M, "subformat=monolithicFlat", True),
    Kind("vmdk", 5 * M, "subformat=twoGbMaxExtentSparse,hwversion=10", True),
    Kind("vmdk", 5 * M, "subformat=twoGbMaxExtentFlat", True), Kind("vmdk", 5 * M, "subformat=streamOptimized", True, packed=True),
]


class Image:
    def __init__(self, rng, folder, kind):
        self.rng, self.kind, self.folder = rng, kind, folder
        self.path = os.path.join(folder, "image." + kind.driver)
        self.dump = os.path.join(folder, "image.raw")
        self.base = os.path.join(folder, "base.raw")

    def create(self, ours):
        kind, opts = self.kind, dict(self.kind.opts)
        data = b""
        if kind.backed:
            data = os.urandom(4096) * (kind.size // 8192)
            with open(self.base, "wb") as f:
                f.write(data)
            opts.update(backing_file=self.base, backing_fmt="raw")
        words = ["%s=%s" % kv for kv in opts.items()]
        if ours:
            run([TOOL, "create", kind.driver, self.path, "size=%d" % kind.size] + words)
        else:
            run(["qemu-img", "create", "-q", "-f", kind.driver] + [x for w in words for x in ("-o", w)]
                + [self.path, str(kind.size)])
        info = run([TOOL, "run", self.path, "driver=" + kind.driver, "ro"], "info\n")
        self.size = int(re.search(r"length=(\d+)", info).group(1))
        if self.size < kind.size:
            raise Failed("the disk has only %d bytes" % self.size)
        self.model = bytearray(self.size)
        self.model[:len(data)] = data

    def step(self, ours):
        kind = self.rng.choice(["write"] * 5 + ["zero", "unmap", "flush"])
        unit = self.rng.choice([512, 4096, 65536] + ([1] if ours else []))
        n = self.size // unit
        length = min(n, self.rng.randint(1, self.rng.choice([1, 2, 9, 70, max(1, 2 * M // unit)])))
        start = self.rng.choice([0, n - length] + [self.rng.randint(0, n - length)] * 3)
        start, length, byte = start * unit, length * unit, self.rng.randint(1, 255)
        if kind == "flush":
            return kind
        if kind != "write" and unit == 1:
            start, length = start // 512 * 512, (length + 511) // 512 * 512
            length = min(length, self.size - start)
        self.model[start:start + length] = bytes([byte if kind == "write" else 0]) * length
        if kind == "write":
            return "write %d %d %d" % (start, length, byte) if ours else "write -P %d %d %d" % (byte, start, length)
        flag = "unmap" if kind == "unmap" else ""
        return "zero %d %d %s" % (start, length, flag) if ours \
            else "write -z %s %d %d" % ("-u" if flag else "", start, length)

    def parallel(self):
        """Writes at once to neighbours that share blocks."""
        lines, n = [], 16
        base = self.rng.randrange(max(1, (self.size - n * 4096) // 512)) * 512
        for i in self.rng.sample(range(n), n):
            byte, at = self.rng.randint(1, 255), base + i * 4096
            length = min(4096, self.size - at)
            self.model[at:at + length] = bytes([byte]) * length
            lines.append("&write %d %d %d" % (at, length, byte))
        return lines + ["wait"]

    def compare(self, why):
        with open(self.dump, "rb") as f:
            data = f.read()
        if data != self.model:
            n = min(len(data), len(self.model))
            at = next((i for i in range(n) if data[i] != self.model[i]), n)
            raise Failed("%s: differs at %d of %d/%d (have %s, want %s)" % (why, at, len(data), len(self.model),
                         data[at:at + 4].hex(), bytes(self.model[at:at + 4]).hex()))

    def verify(self, why):
        check = ["check clean"] if self.kind.check else []
        run([TOOL, "run", self.path, "driver=" + self.kind.driver, "ro"], "\n".join(["dump " + self.dump, "map"] + check) + "\n")
        self.compare(why + ", read by us")
        if QEMU:
            if self.kind.check:
                run(["qemu-img", "check", "-q", "-f", self.kind.driver, self.path])
            os.unlink(self.dump)
            run(["qemu-img", "convert", "-f", self.kind.driver, "-O", "raw", self.path, self.dump])
            self.compare(why + ", read by qemu-img")

    def turn(self, ours, n):
        lines = []
        for _ in range(n):
            lines += self.parallel() if ours and self.rng.random() < 0.2 else [self.step(ours)]
        try:
            if ours:
                run([TOOL, "run", self.path, "driver=" + self.kind.driver, "unmap"], "\n".join(lines) + "\n")
            else:
                run(["qemu-io", "-f", self.kind.driver, "-d", "unmap"] + [x for w in lines for x in ("-c", w)] + [self.path])
            self.verify("after our turn" if ours else "after qemu-io's turn")
        except Failed as e:
            raise Failed("%s\n-- script --\n%s" % (e, "\n".join(lines)))


def one(kind, made_by_us, name, folder):
    rng = random.Random("%d %s" % (SEED, name))
    image = Image(rng, folder, kind)
    image.create(made_by_us)
    image.verify("new")
    for _ in range(ROUNDS):
        image.turn(made_by_us if QEMU and not kind.packed else True, rng.randint(3, 10))
        if QEMU and not kind.packed: # qemu-io writes a packed grain once, and only whole
            image.turn(not made_by_us, rng.randint(3, 10))


def tests():
    for kind in KINDS:
        for ours in (True, False) if QEMU else (True,):
            name = "%s, made by %s" % (kind.name, "us" if ours else "qemu-img")
            if ONLY in kind.name:
                yield name, lambda d, args=(kind, ours, name): one(*args, d)


if __name__ == "__main__":
    sys.exit(main(list(tests()), "" if QEMU else NO_QEMU))
