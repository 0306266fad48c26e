#!/usr/bin/env python3
"""names.py - file names and options that no one would write, given to viv-img info and viv-io.

names.py BUILD [--seed N] [--seconds N]: "json:" names and option strings made of true words in wrong
places, cut and changed. Each must be taken or refused with a message: no signal, no hang, no sanitizer's report.
Opens read-only, in a folder of its own, names that cannot leave it.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

PATIENCE = 30
DRIVERS = ["file", "raw", "qcow2", "qcow", "qed", "vdi", "vhdx", "vmdk", "vpc", "luks", "parallels", "null-co", "null-aio",
           "copy-on-read", "bochs", "cloop", "dmg", "nonsense", ""]
KEYS = ["driver", "file", "file.driver", "file.filename", "file.file.filename", "filename", "backing", "backing.file.filename",
        "node-name", "read-only", "cache", "cache.direct", "cache.no-flush", "discard", "detect-zeroes", "offset", "size",
        "key-secret", "force-share", "data-file", "data-file.filename", "aio", "locking", "encrypt.format", "nonsense", "", ".", "a..b"]
WORDS = ["raw.img", "q.qcow2", "on", "off", "unmap", "auto", "none", "0", "-1", "512", "1T", "18446744073709551616", "1e400", "", "é",
         "json:{}", "file:raw.img", "null-co://", "nonsense:x", "#block000", "a" * 5000, "./", "threads", "native"]


def value(r, depth):
    kind = r.randrange(9)
    if kind < 3:
        return r.choice(WORDS)
    if kind == 3:
        return r.choice(DRIVERS)
    if kind == 4:
        return r.choice([True, False, None, 0, -1, 1 << 40, 1.5])
    if kind == 5:
        return [value(r, depth + 1) for _ in range(r.randrange(3))] if depth < 4 else []
    return tree(r, depth + 1) if depth < 6 else {}


def tree(r, depth=0):
    made = {r.choice(KEYS): value(r, depth) for _ in range(r.randrange(5))}
    if r.random() < 0.8:
        made["driver"] = r.choice(DRIVERS)
    if r.random() < 0.6:
        made["file"] = r.choice([{"driver": "file", "filename": "q.qcow2"}, tree(r, depth + 1) if depth < 6 else "x"])
    return made


def nearly_right(r):
    """Options that open, with a word more at some depth."""
    made = {"driver": r.choice(["qcow2", "raw", "copy-on-read"]), "file": {"driver": "file", "filename": "q.qcow2"}}
    for _ in range(r.randrange(3)):
        r.choice([made, made["file"] if isinstance(made["file"], dict) else made])[r.choice(KEYS)] = value(r, 3)
        made.setdefault("file", {})
    return made


def spoil(r, text):
    """Cuts, doubles or changes a few characters."""
    chars = list(text)
    for _ in range(r.randrange(4) if chars else 0):
        at = r.randrange(len(chars))
        chars[at:at + r.randrange(3)] = r.choice(["", "{", "}", '"', ":", ",", "\\u0000", "\\", "[" * 50, chars[at % len(chars)]])
        if not chars:
            break
    return "".join(chars)


def command(r, build):
    words = nearly_right(r) if r.random() < 0.5 else tree(r)
    text = json.dumps(words, ensure_ascii=r.random() < 0.5)
    name = "json:" + (spoil(r, text) if r.random() < 0.3 else text)
    pairs = ",".join("%s=%s" % (r.choice(KEYS), r.choice(WORDS + DRIVERS)) for _ in range(r.randrange(1, 6)))
    img, io = os.path.join(build, "viv-img"), os.path.join(build, "viv-io")
    return r.choice([
        [img, "info", name], [img, "info", "--image-opts", spoil(r, pairs)],
        [io, "-r", "-c", "read 0 512", name], [io, "-r", "--image-opts", "-c", "read 0 512", spoil(r, pairs)],
    ])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=int, default=20)
    a = p.parse_args()
    build, r, runs, taken = os.path.abspath(a.build), random.Random(a.seed), 0, 0
    with tempfile.TemporaryDirectory(prefix="viv-names-") as top:
        with open(os.path.join(top, "raw.img"), "wb") as f:
            f.truncate(1 << 20)
        subprocess.run([os.path.join(build, "viv-img"), "create", "-q", "-f", "qcow2", os.path.join(top, "q.qcow2"), "1M"],
                       check=True, timeout=PATIENCE)
        end = os.times().elapsed + a.seconds
        while os.times().elapsed < end:
            args = command(r, build)
            done = subprocess.run(args, cwd=top, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
            runs, taken = runs + 1, taken + (done.returncode == 0)
            bad = done.returncode not in (0, 1) or b"Sanitizer" in done.stderr or b"runtime error" in done.stderr
            if bad or (done.returncode and not done.stderr + done.stdout):
                print("not ok 1 - seed %d, run %d: status %d\n# %r\n%s" % (
                    a.seed, runs, done.returncode, args, done.stderr.decode(errors="replace")))
                return 1
    print("ok 1 - %d names, %d of them taken" % (runs, taken))
    return 0


sys.exit(main())
