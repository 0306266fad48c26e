#!/usr/bin/env python3
"""test-copy-on-read.py - the filter copy-on-read: random reads and writes, several at once.

What the disk holds must not change, and what was read must lie in the top layer afterwards,
where qemu-io puts it too. Prints TAP.

usage: test-copy-on-read.py VIV-IMG VIV-IO
"""
import json
import os
import random
import shutil
import sys

from tap import Failed, main, run

IMG, IO = sys.argv[1], sys.argv[2]
QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
SIZE = 4 << 20


def layout(fmt, path):
    """Where the top layer has data, merged."""
    runs = []
    for e in json.loads(run([IMG, "map", "--output=json", "-f", fmt, path])):
        if e["depth"] or not e["present"]:
            continue
        if runs and runs[-1][1] == e["start"]:
            runs[-1][1] += e["length"]
        else:
            runs.append([e["start"], e["start"] + e["length"]])
    return runs


def one(fmt, seed, folder):
    rng = random.Random(seed)
    base = os.path.join(folder, "base.raw")
    model = bytearray(rng.randbytes(SIZE))
    model[1 << 20:(1 << 20) + 300000] = bytes(300000)
    with open(base, "wb") as f:
        f.write(model)
    script = []
    for _ in range(30):
        at, n, byte = rng.randrange(SIZE // 512), rng.randint(1, 300), rng.randint(1, 255)
        n = min(n, SIZE // 512 - at)
        if rng.random() < 0.6:
            script += ["aio_read -q %d %d" % (at * 512, n * 512)]
        else:
            # A read of the same place is in flight: the write must win.
            script += ["aio_read -q %d %d" % (at * 512, n * 512), "aio_write -q -P %d %d %d" % (byte, at * 512, n * 512)]
            model[at * 512:(at + n) * 512] = bytes([byte]) * (n * 512)
            script += ["aio_flush"] # writes to one place are not ordered among themselves
    words = [x for s in script + ["aio_flush"] for x in ("-c", s)]
    layouts = []
    for io in [IO] + (["qemu-io"] if QEMU else []):
        top = os.path.join(folder, os.path.basename(io))
        run([IMG, "create", "-q", "-f", fmt, "-b", base, "-F", "raw", top])
        spec = "driver=copy-on-read,file.driver=%s,file.file.filename=%s" % (fmt, top)
        run([io, *words, "--image-opts", spec])
        raw = top + ".raw"
        run([IMG, "convert", "-f", fmt, "-O", "raw", top, raw])
        with open(raw, "rb") as f:
            if f.read() != model:
                raise Failed("%s: the disk holds something else" % io)
        layouts.append(layout(fmt, top))
        if io == IO:
            run([IO, "-c", "read -q 0 %d" % SIZE, "--image-opts", spec])
            if layout(fmt, top) != [[0, SIZE]]:
                raise Failed("not all that was read was kept: %s" % layout(fmt, top))
    if any(x != layouts[0] for x in layouts):
        raise Failed("kept elsewhere than qemu-io keeps it:\n%s\n%s" % tuple(layouts))


TESTS = [("%s, seed %d" % (fmt, seed), lambda d, fmt=fmt, seed=seed: one(fmt, seed, d))
         for fmt in ("qcow2", "qed", "qcow") for seed in range(3)]


if __name__ == "__main__":
    sys.exit(main(TESTS))
