#!/usr/bin/env python3
"""test-qcow2.py - the qcow2 driver against a model in memory, and against qemu-img and qemu-io.

Every kind of image is changed at random, in turns by imgtool (our library) and by qemu-io; after
each turn both programs must read what the model holds, and both checks must find nothing.
Where qemu-img is missing only our own side runs, and the test says so. Prints TAP.

usage: test-qcow2.py IMGTOOL [ROUNDS [SEED]]
"""
from functools import partial
import os
import random
import shutil
import sys

import tap
from tap import NO_QEMU, Failed, main

TOOL = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
run = partial(tap.run, timeout=120)
QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
M = 1 << 20


def tool(path, script, *words, status=0):
    return run([TOOL, "run", path] + list(words), "\n".join(script) + "\n", status)


class Image:
    """An image, its model, and what it can do."""

    def __init__(self, rng, folder, name, size, opts, backing=None, words=(), data_file=False):
        self.rng, self.size, self.opts, self.words = rng, size, dict(opts), list(words)
        self.path = os.path.join(folder, name + ".qcow2")
        self.dump = os.path.join(folder, name + ".raw")
        self.cluster = int(opts.get("cluster_size", 65536))
        self.v2 = opts.get("compat") == "0.10"
        self.snapshots = {}
        self.model = bytearray(size)
        self.backed = backing is not None
        if backing:
            data = bytes(rng.getrandbits(8) for _ in range(4096)) * (len(backing[1]) // 4096)
            backing[1][:] = data
            with open(backing[0], "wb") as f:
                f.write(data)
            self.opts.update(backing_file=os.path.basename(backing[0]), backing_fmt="raw")
            n = min(size, len(data))
            self.model[:n] = data[:n]
        if data_file:
            self.opts["data_file"] = os.path.join(folder, name + ".data")
        self.compress = not data_file
        bits = int(opts.get("refcount_bits", 16))
        self.snap = {1: 0, 2: 1}.get(bits, 4) if not data_file else 0
        if bits in (2, 4, 8):
            self.compress = False # many share a cluster, and snapshots of that overflow

    def create(self, ours):
        if ours:
            run([TOOL, "create", "qcow2", self.path, "size=%d" % self.size]
                + ["%s=%s" % kv for kv in self.opts.items()])
        else:
            run(["qemu-img", "create", "-q", "-f", "qcow2"]
                + [x for kv in self.opts.items() for x in ("-o", "%s=%s" % kv)] + [self.path, str(self.size)])

    def range(self, unit):
        """Offset and length, of any unit; often small, sometimes at the end."""
        n = self.size // unit
        length = self.rng.choice([1, 1, 2, 3, 7, 33, max(1, self.cluster // unit), max(1, 3 * self.cluster // unit), n])
        length = min(n, self.rng.randint(1, length))
        start = self.rng.choice([0, n - length, self.rng.randint(0, n - length), self.rng.randint(0, n - length)])
        return start * unit, length * unit

    def fill(self, offset, length, byte):
        self.model[offset:offset + length] = bytes([byte]) * length

    def step(self, ours):
        """One random command, as a line for imgtool or a word for qemu-io; the model follows."""
        kind = self.rng.choice(["write"] * 6 + ["zero", "unmap", "discard", "compress", "flush"])
        byte = self.rng.randint(1, 255)
        if kind == "write":
            offset, length = self.range(self.rng.choice([512, 4096, self.cluster] + ([1] if ours else [])))
            self.fill(offset, length, byte)
            return "write %d %d %d" % (offset, length, byte) if ours else "write -P %d %d %d" % (byte, offset, length)
        if kind in ("zero", "unmap"):
            offset, length = self.range(self.rng.choice([512, self.cluster]))
            self.fill(offset, length, 0)
            flag = "unmap" if kind == "unmap" else ""
            return "zero %d %d %s" % (offset, length, flag) if ours \
                else "write -z %s %d %d" % ("-u" if flag else "", offset, length)
        if kind == "compress" and self.compress and self.size >= self.cluster:
            offset, length = self.range(self.cluster)
            if ours:
                self.fill(offset, length, byte)
                return "compress %d %d %d" % (offset, length, byte)
            if self.v2 and self.backed:
                return "flush"
            # qemu-io packs only what has no cluster yet.
            self.fill(offset, length, 0)
            self.fill(offset, self.cluster, byte)
            return "discard %d %d|write -c -P %d %d %d" % (offset, length, byte, offset, self.cluster)
        if kind == "discard" and self.size >= self.cluster:
            offset, length = self.range(self.cluster)
            if self.v2 and self.backed:
                return "flush"
            self.fill(offset, length, 0)
            return "%s %d %d" % ("discard", offset, length)
        return "flush"

    def parallel(self):
        """Writes at once to neighbours that share clusters."""
        lines, unit, n = [], 512, 16
        base = self.rng.randrange(max(1, (self.size - n * unit) // unit)) * unit
        for i in self.rng.sample(range(n), n):
            byte = self.rng.randint(1, 255)
            self.fill(base + i * unit, unit, byte)
            lines.append("&write %d %d %d" % (base + i * unit, unit, byte))
        return lines + ["wait"]

    def snapshot(self):
        """One command on snapshots, for imgtool, and what the model does."""
        kind = self.rng.choice(["create", "create", "apply", "delete"])
        if kind == "create" and len(self.snapshots) < self.snap:
            name = "s%d" % self.rng.randrange(10 ** 6)
            self.snapshots[name] = bytes(self.model)
        elif self.snapshots and kind != "create":
            name = self.rng.choice(sorted(self.snapshots))
            if kind == "apply":
                self.model[:] = self.snapshots[name]
                self.size = len(self.model)
            else:
                del self.snapshots[name]
        else:
            return None
        return kind, name

    def resize(self):
        unit = 512
        size = max(unit, self.rng.choice([self.size // 2, self.size * 3 // 2, self.size + unit]) // unit * unit)
        size = min(size, 24 * M)
        self.model[size:] = b""
        self.model.extend(bytes(size - len(self.model)))
        self.size = size
        return "resize %d" % size

    def compare(self, why):
        with open(self.dump, "rb") as f:
            data = f.read()
        if data == self.model:
            return
        n = min(len(data), len(self.model))
        at = next((i for i in range(n) if data[i] != self.model[i]), n)
        raise Failed("%s: differs at %d of %d/%d (have %s, want %s)" % (why, at, len(data), len(self.model),
                     data[at:at + 4].hex(), bytes(self.model[at:at + 4]).hex()))

    def verify(self, why):
        tool(self.path, ["dump " + self.dump, "check clean"], "ro")
        self.compare(why + ", read by us")
        if QEMU:
            run(["qemu-img", "check", "-q", self.path])
            run(["qemu-img", "convert", "-O", "raw", self.path, self.dump])
            self.compare(why + ", read by qemu-img")

    def our_turn(self, n):
        lines = []
        for _ in range(n):
            if self.rng.random() < 0.2:
                lines += self.parallel()
            else:
                lines.append(self.step(True))
        if self.snap and self.rng.random() < 0.6:
            did = self.snapshot()
            if did:
                lines.append("snapshot %s %s" % did)
                lines += [self.step(True) for _ in range(4)]
        if self.rng.random() < 0.3 and not (self.v2 and self.snapshots) and not self.v2:
            lines.append(self.resize())
        words = self.words + ["unmap"]
        if self.rng.random() < 0.3:
            words.append("lazy-refcounts=" + ("off" if self.v2 else "on"))
        try:
            tool(self.path, lines, *words)
            self.verify("after our turn")
        except Failed as e:
            raise Failed("%s\n-- script --\n%s" % (e, "\n".join(lines)))

    def their_turn(self, n):
        words = [self.step(False) for _ in range(n)]
        shutil.copy(self.path, self.path + ".before")
        # qemu-io of 7.2 trips over its own packed clusters that were discarded: a process for each.
        part = []
        for w in words:
            part += w.split("|")
            if w is words[-1] or "|" in w:
                run(["qemu-io", "-f", "qcow2", "-d", "unmap"] + [x for c in part for x in ("-c", c)] + [self.path])
                part = []
        try:
            if self.snap and self.rng.random() < 0.5:
                did = self.snapshot()
                if did:
                    run(["qemu-img", "snapshot", {"create": "-c", "apply": "-a", "delete": "-d"}[did[0]], did[1], self.path])
            self.verify("after qemu-io's turn")
        except Failed as e:
            raise Failed("%s\n-- qemu-io --\n%s" % (e, "\n".join(words)))


KINDS = [
    ("plain", 4 * M, {}),
    ("odd length", 3 * M + 512 * 7, {}),
    ("v2", 4 * M, {"compat": "0.10"}),
    ("512 byte clusters", M, {"cluster_size": "512"}),
    ("512 byte clusters, v2", M, {"cluster_size": "512", "compat": "0.10"}),
    ("4k clusters", 2 * M, {"cluster_size": "4096"}),
    ("2M clusters", 9 * M, {"cluster_size": str(2 * M)}),
    ("1 bit counts", 2 * M, {"refcount_bits": "1", "cluster_size": "4096"}),
    ("2 bit counts", 2 * M, {"refcount_bits": "2", "cluster_size": "1024"}),
    ("4 bit counts", 2 * M, {"refcount_bits": "4", "cluster_size": "1024"}),
    ("8 bit counts", 2 * M, {"refcount_bits": "8", "cluster_size": "1024"}),
    ("32 bit counts", 2 * M, {"refcount_bits": "32", "cluster_size": "512"}),
    ("64 bit counts", 2 * M, {"refcount_bits": "64", "cluster_size": "512"}),
    ("lazy", 4 * M, {"lazy_refcounts": "on", "cluster_size": "8192"}),
    ("subclusters", 4 * M, {"extended_l2": "on"}),
    ("subclusters 16k", 2 * M, {"extended_l2": "on", "cluster_size": "16384"}),
    ("subclusters 2M", 9 * M, {"extended_l2": "on", "cluster_size": str(2 * M)}),
    ("zstd", 4 * M, {"compression_type": "zstd", "cluster_size": "16384"}),
    ("preallocated", 4 * M, {"preallocation": "metadata", "cluster_size": "32768"}),
    ("falloc", 4 * M, {"preallocation": "falloc"}),
    ("full", 4 * M, {"preallocation": "full", "cluster_size": "4096"}),
    ("subclusters, preallocated", 4 * M, {"preallocation": "metadata", "extended_l2": "on"}),
]
BACKED = [
    ("backing", 4 * M, {}, 4 * M),
    ("shorter backing", 4 * M, {"cluster_size": "8192"}, 3 * M + 4096),
    ("longer backing", 2 * M + 512 * 3, {"cluster_size": "8192"}, 4 * M),
    ("backing, v2", 4 * M, {"compat": "0.10", "cluster_size": "4096"}, 2 * M),
    ("backing, subclusters", 4 * M, {"extended_l2": "on"}, 3 * M + 4096),
    ("backing, subclusters, preallocated", 4 * M, {"extended_l2": "on", "preallocation": "metadata"}, 3 * M + 4096),
    ("backing, 1 bit counts", 2 * M, {"refcount_bits": "1", "cluster_size": "1024"}, 2 * M),
]
DATA = [
    ("data file", 4 * M, {}),
    ("raw data file", 4 * M, {"data_file_raw": "on"}),
    ("data file, subclusters", 4 * M, {"extended_l2": "on", "cluster_size": "16384"}),
]
WORDS = [
    ("small caches", 2 * M, {"cluster_size": "1024"}, ["l2-cache-size=4096", "refcount-cache-size=4096", "l2-cache-entry-size=512"]),
    ("slices", 4 * M, {"cluster_size": "4096"}, ["l2-cache-entry-size=512", "cache-size=65536"]),
    ("overlap all", 4 * M, {}, ["overlap-check=all", "pass-discard-other=on"]),
    ("direct", 4 * M, {}, ["cache.direct=on"]),
    ("noflush", 4 * M, {"cluster_size": "4096"}, ["noflush"]),
]


def image_of(rng, folder, options):
    options = dict(options)
    if "backing" in options:
        options["backing"] = os.path.join(folder, "base"), bytearray(options["backing"])
    return Image(rng, folder, "image", **options)


def turns(options, ours, title, folder):
    image = image_of(random.Random("%d %s" % (SEED, title)), folder, options)
    image.create(ours)
    image.verify("new")
    for _ in range(ROUNDS):
        image.our_turn(12)
        if QEMU:
            image.their_turn(8)


def images():
    """What each is called, and Image's arguments."""
    for name, size, opts in KINDS:
        yield name, {"size": size, "opts": opts}
    for name, size, opts, backing in BACKED:
        yield name, {"size": size, "opts": opts, "backing": backing}
    for name, size, opts in DATA:
        yield name, {"size": size, "opts": opts, "data_file": True}
    for name, size, opts, words in WORDS:
        yield name, {"size": size, "opts": opts, "words": words}


def tests():
    for ours in (True, False) if QEMU else (True,):
        for name, options in images():
            title = "%s, made by %s" % (name, "us" if ours else "qemu-img")
            yield title, lambda d, args=(options, ours, title): turns(*args, d)


if __name__ == "__main__":
    sys.exit(main(list(tests()), "" if QEMU else NO_QEMU))
