#!/usr/bin/env python3
"""test-qcow2-kill.py - a process that writes and flushes is killed at a random moment.

Afterwards the image has no corruptions (leaks are allowed; with lazy refcounts it is repaired
by the next opening), and each sector has what it had at the last flush that the process
reported, or something it wrote since. Prints TAP.

usage: test-qcow2-kill.py IMGTOOL [ROUNDS [SEED]]
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

TOOL = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
RNG = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
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


def killed_run(path, words, lines):
    p = subprocess.Popen([TOOL, "run", path, "unmap"] + words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stop = RNG.randint(0, 12)
    p.stdin.write("\n".join(line for line, _ in lines) + "\n")
    p.stdin.flush()
    last = None
    while stop:
        line = p.stdout.readline()
        if not line:
            break
        last = line.strip()
        stop -= 1
    p.send_signal(signal.SIGKILL)
    rest = p.stdout.read().split()
    p.stdin.close()
    p.wait()
    return rest[-1] if rest else last


def verify(path, dump, lines, last):
    promised, later, seen = {}, {}, last is None
    for line, writes in reversed(lines):
        if line == "say %s" % last:
            seen = True
        for first, count, byte in writes:
            for s in range(first, first + count):
                if seen and last is not None:
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


def one(folder, opts, words):
    path, dump = os.path.join(folder, "x.qcow2"), os.path.join(folder, "x.raw")
    subprocess.run([TOOL, "create", "qcow2", path, "size=%d" % SIZE] + ["%s=%s" % kv for kv in opts.items()], check=True)
    lines = script(400)
    last = killed_run(path, words, lines)
    lazy = "lazy_refcounts" in opts
    text = "check safe\ndump %s\n" % dump
    p = subprocess.run([TOOL, "run", path] + ([] if lazy else ["ro"]), input=text, text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if p.returncode:
        return p.stdout
    why = verify(path, dump, lines, last)
    if not why and QEMU:
        p = subprocess.run(["qemu-img", "check", path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode not in (0, 3): # 3: leaks only
            why = p.stdout
    if not why:
        p = subprocess.run([TOOL, "run", path, "check"], input="check all\n", text=True, stdout=subprocess.PIPE)
        p = subprocess.run([TOOL, "run", path, "ro"], input="check clean\n", text=True, stdout=subprocess.PIPE)
        why = p.stdout if p.returncode else None
    return why


def main():
    print("1..%d" % len(KINDS))
    if not QEMU:
        print("# qemu-img is missing: its check is skipped")
    bad = 0
    for i, (name, opts, words) in enumerate(KINDS, 1):
        folder = tempfile.mkdtemp(prefix="viv-kill-")
        why = None
        for _ in range(ROUNDS):
            why = one(folder, opts, words)
            if why:
                break
        print("%sok %d - %s" % ("not " if why else "", i, name))
        if why:
            bad += 1
            print("\n".join("# " + x for x in why.splitlines()[:20]))
            print("# kept in " + folder)
        else:
            shutil.rmtree(folder)
    return 1 if bad else 0


sys.exit(main())
