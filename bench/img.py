#!/usr/bin/env python3
"""img.py VIV_IMG [SIZE_MIB] - viv-img beside qemu-img, one after the other in one run, as ratios.

Half of the source is zeroes, half random bytes. Each pair runs three times, alternating; the best
time of each counts. A ratio above 1: viv-img is faster. Nothing is installed or left behind.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROUNDS = 3


def best(commands, cwd, before):
    times = [[] for _ in commands]
    for _ in range(ROUNDS):
        for i, command in enumerate(commands):
            before()
            start = time.monotonic()
            subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
            times[i].append(time.monotonic() - start)
    return [min(t) for t in times]


def main():
    ours = os.path.abspath(sys.argv[1])
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 2048
    if not shutil.which("qemu-img"):
        print("qemu-img is not installed: there is nothing to compare with")
        return 0
    d = tempfile.mkdtemp(prefix="viv-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    with open(os.path.join(d, "src.raw"), "wb") as f:
        for i in range(size):
            if i % 2:
                f.write(os.urandom(1 << 20))
            else:
                f.seek(1 << 20, 1)
        f.truncate(size << 20)
    # Text-like data for compression: random bytes would not compress at all.
    with open(os.path.join(d, "text.raw"), "wb") as f:
        words = [os.urandom(6).hex().encode() for _ in range(500)]
        for i in range(min(size, 256)):
            r = os.urandom(1 << 16)
            f.write(b" ".join(words[(r[k] << 1 | r[k + 1] & 1) % 500] for k in range(0, len(r) - 1, 2))[:1 << 20].ljust(1 << 20))
    subprocess.run([ours, "convert", "-f", "raw", "-O", "qcow2", "src.raw", "src.qcow2"], cwd=d, check=True)
    # A fragmented image: clusters written in a scattered order.
    subprocess.run([ours, "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "frag.qcow2", "1G"], cwd=d, check=True)
    subprocess.run([ours, "bench", "-w", "-c", "60000", "-d", "1", "-s", "4096", "-S", str(4096 * 4099), "frag.qcow2"],
                   cwd=d, check=True, stdout=subprocess.DEVNULL)
    cases = [("create, preallocation=%s" % m, "create -q -f qcow2 -o preallocation=%s out.qcow2 %dM" % (m, size))
             for m in ("off", "metadata", "falloc", "full")]
    cases += [("convert raw to qcow2", "convert -f raw -O qcow2 src.raw out.qcow2"),
              ("convert qcow2 to raw", "convert -f qcow2 -O raw src.qcow2 out.raw"),
              ("convert -c, zlib", "convert -c -f raw -O qcow2 text.raw out.qcow2"),
              ("convert -c, zstd", "convert -c -f raw -O qcow2 -o compression_type=zstd text.raw out.qcow2"),
              ("compare", "compare -f raw -F qcow2 src.raw src.qcow2"), ("check, fragmented", "check -f qcow2 frag.qcow2"),
              ("bench, 4k reads", "bench -c 200000 -d 64 -f qcow2 src.qcow2"),
              ("bench, 4k writes", "bench -w -c 100000 -d 64 -f qcow2 src.qcow2")]

    def clean():
        for name in ("out.qcow2", "out.raw"):
            if os.path.exists(os.path.join(d, name)):
                os.unlink(os.path.join(d, name))
        os.sync()

    print("%-32s %9s %9s %7s" % ("%d MiB" % size, "viv-img", "qemu-img", "ratio"))
    for name, words in cases:
        a, b = best([[ours] + words.split(), ["qemu-img"] + words.split()], d, clean)
        print("%-32s %8.3fs %8.3fs %7.2f" % (name, a, b, b / a), flush=True)
    shutil.rmtree(d)
    return 0


sys.exit(main())
