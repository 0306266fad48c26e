#!/usr/bin/env python3
"""test-qcow2-kill.py - a process that writes and flushes is killed at a random moment.

Afterwards the image has no corruptions (leaks are allowed; with lazy refcounts it is repaired
by the next opening), and each sector has what it had at the last flush that the process
reported, or something it wrote since. Prints TAP.

The processes are imgtool and viv-io by turns. make fuzz runs it with --kills 200.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys

from tap import NO_QEMU, Failed, main

parser = argparse.ArgumentParser()
parser.add_argument("tool")
parser.add_argument("viv_io")
parser.add_argument("--kills", type=int, default=36)
parser.add_argument("--seed", type=int, default=1)
ARGS = parser.parse_args()
TOOL, VIV_IO = os.path.abspath(ARGS.tool), os.path.abspath(ARGS.viv_io)
RNG = random.Random(ARGS.seed)
QEMU = shutil.which("qemu-img")
SIZE = 8 << 20
SECTORS = SIZE // 512
KINDS = [
    ("64k clusters", {}, []),
    ("512 byte clusters", {"cluster_size": "512"}, []),
    ("small caches", {"cluster_size": "4096"}, ["l2-cache-size=4096", "l2-cache-entry-size=512", "refcount-cache-size=16384"]),
    ("lazy", {"cluster_size": "8192", "lazy_refcounts": "on"}, []),
    ("subclusters", {"extended_l2": "on"}, []),
    ("no host cache", {"cluster_size": "16384"}, ["cache.direct=on"]),
]
ROUNDS = -(-ARGS.kills // len(KINDS))


def script(n):
    """Lines, and for each line the sectors it writes: (line, [(first, count, byte)])."""
    out = []
    for i in range(n):
        burst, slots = [], RNG.sample(range(16), 4)
        for slot in slots:
            area = SECTORS // 16
            count = RNG.randint(1, RNG.choice([4, 64, area]))
            first = slot * area + RNG.randint(0, area - count)
            kind = RNG.choice(["write", "write", "write", "zero", "discard"])
            byte = RNG.randint(1, 255) if kind == "write" else 0
            if kind == "discard":
                first, count = slot * area, area # whole clusters of every kind
            burst.append((first, count, byte))
            out.append(("&%s %d %d %s" % (kind, first * 512, count * 512, byte if byte else ""), [burst[-1]]))
        out.append(("wait", []))
        if RNG.random() < 0.6:
            out.append(("flush", []))
            out.append(("say %d" % i, []))
    return out


def for_viv_io(line):
    """The same order in viv-io's words; `length` is what it answers with."""
    word, *args = line.lstrip("&").split()
    if word == "write":
        return "aio_write -q -P %s %s %s" % (args[2], args[0], args[1])
    return {"zero": "aio_write -q -z -u ", "discard": "discard -q ", "wait": "aio_flush", "flush": "flush",
            "say": "length"}[word] + (" ".join(args) if word in ("zero", "discard") else "")


def killed_run(path, words, lines, viv_io):
    """How many flushes it told of."""
    argv, text = [TOOL, "run", path, "unmap"] + words, [line for line, _ in lines]
    if viv_io:
        opts = ["driver=qcow2", "discard=unmap", "file.filename=" + path] + words
        argv, text = [VIV_IO, "--image-opts", ",".join(opts)], [for_viv_io(line) for line in text]
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stop, told = RNG.randint(0, 12), 0
    p.stdin.write("\n".join(text) + "\n")
    p.stdin.flush()
    while told < stop and p.stdout.readline():
        told += 1
    p.send_signal(signal.SIGKILL)
    told += len(p.stdout.read().splitlines())
    p.stdin.close()
    p.wait()
    if p.returncode != -signal.SIGKILL:
        raise Failed("%s ended by itself: %s" % (argv[0], p.returncode))
    return told


def verify(dump, lines, told):
    """Writes before the flush that was told of last are promised, others may or may not be there."""
    promised, later = {}, {}
    says = sum(line.startswith("say") for line, _ in lines)
    for line, writes in reversed(lines):
        says -= line.startswith("say")
        for first, count, byte in writes:
            for s in range(first, first + count):
                if says < told:
                    promised.setdefault(s, byte)
                else:
                    later.setdefault(s, set()).add(byte)
    with open(dump, "rb") as f:
        data = f.read()
    for s in range(SECTORS):
        have = set(data[s * 512:s * 512 + 512])
        if len(have) != 1 or not have <= {promised.get(s, 0)} | later.get(s, set()):
            return "sector %d has %s, promised %s, later %s" % (s, have, promised.get(s, 0), later.get(s))
    return None


def one(folder, opts, words, viv_io):
    path, dump = os.path.join(folder, "x.qcow2"), os.path.join(folder, "x.raw")
    subprocess.run([TOOL, "create", "qcow2", path, "size=%d" % SIZE] + ["%s=%s" % kv for kv in opts.items()], check=True)
    lines = script(400)
    told = killed_run(path, words, lines, viv_io)
    lazy = "lazy_refcounts" in opts
    text = "check safe\ndump %s\n" % dump
    p = subprocess.run([TOOL, "run", path] + ([] if lazy else ["ro"]), input=text, text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if p.returncode:
        return p.stdout
    why = verify(dump, lines, told)
    if not why and QEMU:
        p = subprocess.run(["qemu-img", "check", path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode not in (0, 3): # 3: leaks only
            why = p.stdout
    if not why:
        p = subprocess.run([TOOL, "run", path, "check"], input="check all\n", text=True, stdout=subprocess.PIPE)
        p = subprocess.run([TOOL, "run", path, "ro"], input="check clean\n", text=True, stdout=subprocess.PIPE)
        why = p.stdout if p.returncode else None
    return why


def kills(opts, words, folder):
    for n in range(ROUNDS):
        why = one(folder, opts, words, n & 1)
        if why:
            raise Failed(why)


TESTS = [("%s, %d kills" % (kind[0], ROUNDS), lambda d, kind=kind: kills(*kind[1:], d)) for kind in KINDS]


if __name__ == "__main__":
    sys.exit(main(TESTS, "" if QEMU else NO_QEMU))
