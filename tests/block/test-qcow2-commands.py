#!/usr/bin/env python3
"""test-qcow2-commands.py - what is done to qcow2 images besides reading and writing.

amend, resize, bitmaps, snapshots, measure, check and repair, headers that are odd; where
qemu-img is installed it must see the same, else those comparisons are left out. Prints TAP.

usage: test-qcow2-commands.py IMGTOOL
"""
import json
import os
import re
import shutil
import struct
import sys

from tap import NO_QEMU, Failed, main, run

TOOL = sys.argv[1]
QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
DIR = None # of the test that runs
M = 1 << 20
TESTS = []


def test(f):
    def in_folder(folder):
        global DIR
        DIR = folder
        f()
    TESTS.append(("%s: %s" % (f.__name__, f.__doc__), in_folder))
    return f


def need(what, why):
    if not what:
        raise Failed(why)


def tool(path, script, *words, status=0):
    return run([TOOL, "run", path] + list(words), script.replace("; ", "\n") + "\n", status)


def make(name, size=4 * M, **opts):
    path = os.path.join(DIR, name)
    run([TOOL, "create", "qcow2", path, "size=%d" % size] + ["%s=%s" % kv for kv in opts.items()])
    return path


def info(path):
    return json.loads(run(["qemu-img", "info", "--output=json", path])) if QEMU else None


def specific(path, *words):
    out = tool(path, "info", *(words or ["ro"]))
    return json.loads(out[out.index("{"):])["data"]


def clean(path):
    tool(path, "check clean", "ro")
    if QEMU:
        run(["qemu-img", "check", "-q", path])


def contents(path):
    raw = path + ".raw"
    tool(path, "dump " + raw, "ro")
    with open(raw, "rb") as f:
        return f.read()


def poke(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def peek(path, offset, size):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(size)


def be64(path, offset):
    return struct.unpack(">Q", peek(path, offset, 8))[0]


# ---- amend, resize ------------------------------------------------------------------------------------------

@test
def amend_version():
    """compat goes down and up; zero clusters survive"""
    path = make("ver")
    tool(path, "write 0 300000 7; zero 1048576 200000; write 2097152 65536 9; zero 2097152 65536")
    before = contents(path)
    tool(path, "amend compat=0.10")
    need(specific(path)["compat"] == "0.10", "not 0.10")
    clean(path)
    need(contents(path) == before, "contents changed on the way down")
    tool(path, "amend compat=1.1")
    need(specific(path)["compat"] == "1.1", "not 1.1")
    clean(path)
    need(contents(path) == before, "contents changed on the way up")


@test
def amend_version_backing():
    """compat=0.10 with a backing file writes zeroes out"""
    base = os.path.join(DIR, "base.img")
    with open(base, "wb") as f:
        f.write(b"\x55" * M)
    path = make("verb", M, backing_file="base.img", backing_fmt="raw")
    tool(path, "zero 65536 131072; zero 500000 1000")
    before = contents(path)
    tool(path, "amend compat=0.10")
    clean(path)
    need(contents(path) == before, "contents changed")


@test
def amend_width():
    """refcount_bits to every width and back"""
    path = make("width", cluster_size=4096)
    tool(path, "write 0 2000000 3; snapshot create a; write 100000 100000 4")
    before = contents(path)
    for bits in (64, 32, 8, 4, 2, 16):
        tool(path, "amend refcount_bits=%d" % bits)
        need(specific(path)["refcount-bits"] == bits, "width is not %d" % bits)
        clean(path)
        need(contents(path) == before, "contents changed at %d bits" % bits)
    tool(path, "amend refcount_bits=1", status=1)
    clean(path)
    tool(path, "snapshot delete a; amend refcount_bits=1; write 0 500000 8")
    clean(path)


@test
def amend_others():
    """lazy_refcounts, backing file, size"""
    path = make("other")
    tool(path, "amend lazy_refcounts=on")
    need(specific(path)["lazy-refcounts"] is True, "not lazy")
    tool(path, "write 0 100000 1; amend lazy_refcounts=off size=8388608 backing_file=x.raw backing_fmt=raw")
    out = tool(path, "info", "ro", "nobacking")
    need("length=8388608 backing=x.raw" in out, out)
    need('"lazy-refcounts": false' in out, out)
    tool(path, "backing", "nobacking")
    clean(path)
    tool(path, "amend data_file=x", status=1)
    tool(path, "amend refcount_bits=3", status=1)
    tool(path, "amend compat=0.9", status=1)


@test
def resize_modes():
    """grow with every preallocation; shrink; the file gets shorter"""
    for mode in ("off", "metadata", "falloc", "full"):
        path = make("grow-" + mode, M)
        tool(path, "write 0 1048576 5; resize %d %s" % (3 * M, mode))
        clean(path)
        need(contents(path) == b"\5" * M + bytes(2 * M), mode)
        if mode != "off":
            need(os.stat(path).st_size >= 3 * M, "the file is too short for " + mode)
        if mode in ("falloc", "full"):
            need(os.stat(path).st_blocks * 512 >= 3 * M, "the file is not allocated for " + mode)
        tool(path, "resize 65536")
        clean(path)
        need(os.stat(path).st_size <= 7 * 65536, "the file has %d bytes" % os.stat(path).st_size)
        need(contents(path) == b"\5" * 65536, "contents after shrinking")
    tool(path, "resize 100", status=1)


@test
def resize_far():
    """a disk that needs a larger L1 table, and a larger refcount table"""
    path = make("far", M, cluster_size=512)
    tool(path, "write 0 1000000 1; resize %d; write %d 4096 2; write %d 2000000 3" % (1 << 32, (1 << 32) - 4096, 1 << 30))
    clean(path)
    tool(path, "resize %d" % M)
    clean(path)
    tool(path, "resize %d" % (1 << 60), status=1)


# ---- bitmaps ---------------------------------------------------------------------------------------------------

@test
def bitmap_commands():
    """add, disable, enable, merge, clear, remove"""
    path = make("bm")
    tool(path, "bitmap add a 65536; bitmap add b 4096 disabled; bitmap add c 512")
    clean(path)
    tool(path, "write 1000000 100 1; bitmap disable c; write 3000000 100 1")
    out = tool(path, "bitmap list", "ro")
    need(out.split("\n")[:3] == ["bitmap a 65536 recording", "bitmap b 4096 disabled", "bitmap c 512 disabled"], out)
    tool(path, "bitmap merge b c; bitmap enable b; bitmap clear a")
    clean(path)
    if QEMU:
        got = info(path)["format-specific"]["data"]["bitmaps"]
        need(sorted((b["name"], tuple(b["flags"])) for b in got) == [("a", ("auto",)), ("b", ("auto",)), ("c", ())], got)
    tool(path, "bitmap remove a; bitmap remove b; bitmap remove c")
    clean(path)
    need("bitmaps" not in specific(path), "still there")
    tool(path, "bitmap remove a", status=1)
    tool(path, "bitmap add x 1000", status=1)


@test
def bitmap_recording():
    """writes are recorded; qemu-img's merges of our bits, and ours of its"""
    if not QEMU:
        return
    path = make("rec")
    run(["qemu-img", "bitmap", "--add", "-g", "65536", path, "q"])
    tool(path, "write 0 100 1; write 1048576 70000 2")
    run(["qemu-io", "-c", "write 3145728 512", path])
    # Bits 0, 16, 17 by us, 48 by qemu-io. The table names one cluster of bits.
    ext = bitmap_bits(path, "q")
    need(ext == {0, 16, 17, 48}, ext)
    run(["qemu-img", "bitmap", "--add", "--disable", "-g", "65536", path, "m"])
    run(["qemu-img", "bitmap", "--merge", "q", path, "m"])
    need(bitmap_bits(path, "m") == {0, 16, 17, 48}, bitmap_bits(path, "m"))
    tool(path, "bitmap clear m; bitmap merge m q")
    need(bitmap_bits(path, "m") == {0, 16, 17, 48}, bitmap_bits(path, "m"))
    clean(path)
    tool(path, "resize %d" % (8 * M))
    need(bitmap_bits(path, "m") == {0, 16, 17, 48}, "after growing: %s" % bitmap_bits(path, "m"))
    tool(path, "resize %d" % (2 * M))
    need(bitmap_bits(path, "m") == {0, 16, 17}, "after shrinking: %s" % bitmap_bits(path, "m"))
    clean(path)


def extensions(path):
    at = struct.unpack(">I", peek(path, 100, 4))[0]
    while True:
        kind, size = struct.unpack(">II", peek(path, at, 8))
        if not kind:
            return
        yield kind, at + 8, size
        at += 8 + (size + 7) // 8 * 8


def bitmap_bits(path, name):
    at = next(a for k, a, s in extensions(path) if k == 0x23852875)
    count, _, dir_size, dir_at = struct.unpack(">IIQQ", peek(path, at, 24))
    for _ in range(count):
        table, size, flags, kind, gran, name_len, extra = struct.unpack(">QIIBBHI", peek(path, dir_at, 24))
        if peek(path, dir_at + 24 + extra, name_len).decode() == name:
            break
        dir_at += (24 + extra + name_len + 7) // 8 * 8
    bits = set()
    for i in range(size):
        place = be64(path, table + i * 8)
        data = peek(path, place & ~0x1ff, 65536) if place & ~0x1ff else (b"\xff" if place else b"\0") * 65536
        bits |= {i * 65536 * 8 + n * 8 + k for n, b in enumerate(data) if b for k in range(8) if b >> k & 1}
    return bits


@test
def bitmap_in_use():
    """a bitmap that was not saved is not trusted; unknown programs make all stale"""
    path = make("inuse")
    tool(path, "bitmap add a 65536")
    at = next(a for k, a, s in extensions(path) if k == 0x23852875)
    dir_at = be64(path, at + 16)
    flags = struct.unpack(">I", peek(path, dir_at + 12, 4))[0]
    poke(path, dir_at + 12, struct.pack(">I", flags | 1))
    need("in-use" in tool(path, "bitmap list", "ro"), "not shown as in use")
    tool(path, "bitmap clear a", status=1)
    tool(path, "resize 8388608", status=1)
    tool(path, "write 0 100 1; bitmap remove a")
    clean(path)
    tool(path, "bitmap add b 65536")
    poke(path, 88, struct.pack(">Q", 0)) # as one that clears what it does not know
    need("bitmap b" not in tool(path, "bitmap list", "ro"), "a stale bitmap is shown")
    tool(path, "write 0 100 1")
    tool(path, "check leaks", "check")
    clean(path)


# ---- snapshots --------------------------------------------------------------------------------------------------

@test
def snapshot_commands():
    """create, list, load, apply, delete; sizes differ; qemu-img sees them"""
    path = make("snap", 2 * M)
    tool(path, "write 0 2097152 1; snapshot create one; resize 3145728; write 0 1000000 2; snapshot create two; write 0 3000000 3")
    clean(path)
    out = tool(path, "snapshot list", "ro")
    need(out.split("\n")[:2] == ["snapshot 1 one", "snapshot 2 two"], out)
    raw = os.path.join(DIR, "s.raw")
    tool(path, "snapshot load one; dump " + raw, "ro")
    need(open(raw, "rb").read() == b"\1" * 2 * M, "snapshot one")
    if QEMU:
        got = info(path)["snapshots"]
        need([s["name"] for s in got] == ["one", "two"], got)
        run(["qemu-img", "convert", "-l", "two", "-O", "raw", path, raw])
        need(open(raw, "rb").read() == b"\2" * 1000000 + b"\1" * (2 * M - 1000000) + bytes(M), "snapshot two by qemu-img")
    tool(path, "snapshot apply one")
    need(contents(path) == b"\1" * 2 * M, "after apply")
    clean(path)
    tool(path, "snapshot delete one; snapshot apply two; snapshot delete two")
    clean(path)
    tool(path, "snapshot apply two", status=1)
    one = make("onebit", refcount_bits=1)
    tool(one, "write 0 100000 1; !snapshot create a; write 50000 100000 2")
    clean(one)


# ---- measure, create ---------------------------------------------------------------------------------------------

@test
def measure():
    """the figures are qemu-img's"""
    for size in (0, 512, 65536, M + 512, 1 << 30, 3 << 40):
        for opts in ({}, {"cluster_size": "512"}, {"cluster_size": "2097152"}, {"refcount_bits": "1"}, {"refcount_bits": "64"},
                     {"extended_l2": "on"}, {"preallocation": "full"}, {"preallocation": "metadata"}, {"compat": "0.10"}):
            if size > 1 << 40 and opts.get("cluster_size") == "512":
                continue
            ours = run([TOOL, "measure", "qcow2", "size=%d" % size] + ["%s=%s" % kv for kv in opts.items()])
            if QEMU:
                theirs = run(["qemu-img", "measure", "-O", "qcow2", "--size", str(size)]
                             + [x for kv in opts.items() for x in ("-o", "%s=%s" % kv)])
                need(ours == theirs, "%d %s:\n%s%s" % (size, opts, ours, theirs))


@test
def create_refusals():
    """what cannot be created is refused with a reason"""
    path = os.path.join(DIR, "no")
    for words, why in (
            (["cluster_size=1000"], "power of two"), (["cluster_size=4194304"], "power of two"),
            (["refcount_bits=3"], "power of two"), (["compat=0.10", "refcount_bits=8"], "1.1"),
            (["compat=0.10", "lazy_refcounts=on"], "1.1"), (["compat=2.0"], "compatibility level"),
            (["extended_l2=on", "cluster_size=4096"], "16384"), (["data_file_raw=on"], "data-file"),
            (["cluster_size=512", "size=%d" % (1 << 50)], "too large"), (["size=%d" % (1 << 63)], ""),
            (["backing_fmt=raw"], "backing file"), (["preallocation=some"], "off, metadata"), (["colour=red"], "no parameter"),
            (["cluster_size=512", "backing_file=" + "x" * 450], "do not fit")):
        size = [] if any(w.startswith("size") for w in words) else ["size=1048576"]
        out = run([TOOL, "create", "qcow2", path] + size + words, status=1)
        need(why in out, "%s: %s" % (words, out))


# ---- headers -------------------------------------------------------------------------------------------------------

@test
def unknown_extension():
    """an extension of another program is kept"""
    path = make("ext")
    end = [a + (s + 7) // 8 * 8 for k, a, s in extensions(path)][-1]
    poke(path, end, struct.pack(">II", 0x12345678, 5) + b"hello\0\0\0" + bytes(8))
    tool(path, "amend lazy_refcounts=on backing_file=b backing_fmt=raw", "nobacking")
    got = {k: peek(path, a, s) for k, a, s in extensions(path)}
    need(got.get(0x12345678) == b"hello", got.keys())
    need(got.get(0xe2792aca) == b"raw", got)


@test
def unknown_features():
    """unknown incompatible features are refused by name; autoclear bits go at the first write"""
    path = make("feat")
    table = next(a for k, a, s in extensions(path) if k == 0x6803f857)
    poke(path, table, struct.pack(">BB46s", 0, 40, b"time travel"))
    poke(path, 72, struct.pack(">Q", 1 << 40))
    out = tool(path, "info", "ro", status=1)
    need("time travel" in out, out)
    poke(path, 72, struct.pack(">Q", 1 << 41))
    out = tool(path, "info", "ro", status=1)
    need("bit 41" in out, out)
    poke(path, 72, struct.pack(">Q", 0))
    poke(path, 88, struct.pack(">Q", 1 << 50))
    tool(path, "dump /dev/null")
    need(be64(path, 88) == 1 << 50, "cleared by reading")
    tool(path, "write 0 1 1")
    need(be64(path, 88) == 0, "not cleared by writing")


@test
def corrupt_bit():
    """an image marked corrupt is read only until repaired"""
    path = make("corr")
    tool(path, "write 0 100000 1")
    poke(path, 72, struct.pack(">Q", 2))
    need(contents(path)[:100000] == b"\1" * 100000, "not readable")
    out = tool(path, "write 0 1 1", status=1)
    need("corrupt" in out, out)
    tool(path, "check all", "check")
    tool(path, "write 0 1 2")
    clean(path)


@test
def overlap():
    """a guest write that would hit a table marks the image corrupt and does nothing"""
    path = make("over")
    tool(path, "write 0 65536 1")
    l1 = be64(path, 40)
    l2 = be64(path, l1) & 0x00fffffffffffe00
    for target in (0, be64(path, 48), l1, l2, be64(path, be64(path, 48))):
        copy = path + ".x"
        shutil.copy(path, copy)
        poke(copy, l2, struct.pack(">Q", (target or 65536) | 1 << 63))
        before = peek(copy, target or 65536, 65536)
        out = tool(copy, "!write 0 512 9; !write 65536 512 9; !flush")
        need("corrupt" in out, "target %x: %s" % (target, out))
        need(be64(copy, 72) & 2, "not marked")
        need(peek(copy, target or 65536, 65536) == before, "written over")


# ---- check -----------------------------------------------------------------------------------------------------------

def their_counts(path, *fix):
    out = run(["qemu-img", "check", "--output=json"] + list(fix) + [path], status=None)
    got = json.loads(out[out.index("{"):])
    return got.get("corruptions", 0), got.get("leaks", 0)


def our_counts(path, fix=""):
    out = tool(path, "check " + fix, "check", *([] if fix else ["ro"]))
    return tuple(int(re.search(r"\b%s=(\d+)" % w, out).group(1)) for w in ("corruptions", "leaks")), out


DAMAGES = {
    "leak": lambda p, t: poke(p, t["block"] + 60 * 2, b"\0\1"),
    "count too high": lambda p, t: poke(p, t["block"] + 7 * 2, b"\0\2"),
    "count too low": lambda p, t: poke(p, t["block"] + 7 * 2, b"\0\0"),
    "flag missing": lambda p, t: poke(p, t["l2"] + 16, struct.pack(">Q", be64(p, t["l2"] + 16) & ~(1 << 63))),
    "L1 flag missing": lambda p, t: poke(p, t["l1"], struct.pack(">Q", be64(p, t["l1"]) & ~(1 << 63))),
    "twice named": lambda p, t: poke(p, t["l2"] + 8, peek(p, t["l2"], 8)),
    "past the end": lambda p, t: poke(p, t["l2"] + 8, struct.pack(">Q", 1 << 40 | 1 << 63)),
    "unaligned": lambda p, t: poke(p, t["l2"] + 8, struct.pack(">Q", be64(p, t["l2"] + 8) + 512)),
    "block lost": lambda p, t: poke(p, t["table"], bytes(8)),
    "block unaligned": lambda p, t: poke(p, t["table"], struct.pack(">Q", t["block"] + 512)),
    "block past the end": lambda p, t: poke(p, t["table"], struct.pack(">Q", 1 << 40)),
    "block is the header": lambda p, t: poke(p, t["table"] + 8, struct.pack(">Q", t["block"])),
    "table lost": lambda p, t: poke(p, 48, struct.pack(">Q", 1 << 30)),
    "L1 unaligned": lambda p, t: poke(p, t["l1"], struct.pack(">Q", be64(p, t["l1"]) + 512)),
}


@test
def check_counts():
    """corruptions and leaks are counted as qemu-img counts them, and repaired"""
    sound = make("sound", 2 * M, cluster_size=4096)
    tool(sound, "write 0 1000000 1; compress 1048576 65536 2; snapshot create s; write 8192 100000 3; zero 1500000 100000")
    table = be64(sound, 48)
    l1 = be64(sound, 40)
    places = {"table": table, "block": be64(sound, table), "l1": l1, "l2": be64(sound, l1) & 0x00fffffffffffe00}
    before = contents(sound)
    for name, damage in DAMAGES.items():
        path = os.path.join(DIR, "damaged")
        shutil.copy(sound, path)
        damage(path, places)
        ours, out = our_counts(path)
        need(ours != (0, 0), name + ": nothing found")
        if QEMU:
            theirs = their_counts(path)
            need((ours[0] > 0, ours[1] > 0) == (theirs[0] > 0, theirs[1] > 0), "%s: we %s, qemu-img %s\n%s" % (name, ours, theirs, out))
            if name not in ("table lost", "block unaligned", "block past the end", "block is the header", "block lost"):
                need(ours == theirs, "%s: we %s, qemu-img %s\n%s" % (name, ours, theirs, out))
        after, out = our_counts(path, "all")
        left, _ = our_counts(path)
        need(left == after, "%s: said %s remain, found %s" % (name, after, left))
        if name in ("past the end", "unaligned", "L1 unaligned"):
            continue # what they named is lost
        need(left == (0, 0), "%s: %s remain\n%s" % (name, left, out))
        clean(path)
        if name not in ("twice named", ):
            need(contents(path) == before, name + ": contents changed by the repair")


@test
def dirty_bit():
    """lazy counts after a crash are made anew at the next opening"""
    path = make("lazyd", lazy_refcounts="on")
    tool(path, "write 0 1000000 1")
    table = be64(path, 48)
    block = be64(path, table)
    poke(path, 72, struct.pack(">Q", 1))
    poke(path, block + 10, bytes(20))
    before = contents(path)
    tool(path, "write 2000000 1 1")
    need(be64(path, 72) & 1 == 0, "still dirty")
    clean(path)
    need(contents(path)[:2000000] == before[:2000000], "contents changed")


@test
def empty():
    """make_empty lets the backing file show, and gives the space back"""
    base = os.path.join(DIR, "base2.img")
    with open(base, "wb") as f:
        f.write(b"\x42" * 4 * M)
    path = make("empty", backing_file="base2.img", backing_fmt="raw")
    tool(path, "write 0 3000000 1; zero 3000000 1000000; empty")
    need(contents(path) == b"\x42" * 4 * M, "not empty")
    need(os.stat(path).st_size <= 5 * 65536, "the file still has %d bytes" % os.stat(path).st_size)
    clean(path)


if __name__ == "__main__":
    sys.exit(main(TESTS, "" if QEMU else NO_QEMU))
