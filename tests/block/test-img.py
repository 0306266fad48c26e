#!/usr/bin/env python3
"""test-img.py VIV_IMG VIV_IO - the tools beside qemu-img and qemu-io: same words, output, status. TAP.

Each step runs the same command line with ours and with Debian's on twin images; what they print is
compared line by line (speeds and dates left out), and so is the exit status. Skipped without qemu-img.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

VIV_IMG, VIV_IO = (os.path.abspath(p) for p in sys.argv[1:3])
TOOLS = {"img": (VIV_IMG, "qemu-img"), "io": (VIV_IO, "qemu-io")}
count = failed = 0


def report(ok, name, *why):
    global count, failed
    count += 1
    failed += not ok
    print("%sok %d - %s" % ("" if ok else "not ", count, name))
    if not ok:
        for text in why:
            for line in str(text).splitlines():
                print("# " + line)


def run(program, words, cwd):
    p = subprocess.run([program] + words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


def plain(text):
    """Without what differs from run to run or by the program's name."""
    text = text.replace("viv-img", "qemu-img").replace("viv-io", "qemu-io")
    text = re.sub(r"; \d\d\.\d\d sec .*", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    text = re.sub(r"(disk size: ).*", r"\1SIZE", text)
    text = re.sub(r'("date-n?sec"|"actual-size"): \d+', r"\1: 0", text)
    return text


def same_json(a, b):
    try:
        return json.loads(plain(a)) == json.loads(plain(b))
    except ValueError:
        return False


class Twins:
    """Two folders that go through the same commands, one with each set of tools."""

    def __init__(self):
        self.dirs = [tempfile.mkdtemp(prefix="viv-img-") for _ in range(2)]

    def both(self, tool, line, compare="text"):
        words = line.split() if isinstance(line, str) else line
        got = [run(TOOLS[tool][i], words, self.dirs[i]) for i in range(2)]
        ok = got[0][0] == got[1][0]
        if compare == "text":
            ok = ok and plain(got[0][1]) == plain(got[1][1])
        elif compare == "json":
            ok = ok and same_json(got[0][1], got[1][1])
        report(ok, "%s %s" % (tool, " ".join(words)), "ours: %s %s%s" % got[0], "theirs: %s %s%s" % got[1])

    def crossed(self, name):
        """Each reads what the other wrote; contents are equal and both checks are clean."""
        for i in range(2):
            path = os.path.join(self.dirs[i], name)
            twin = os.path.join(self.dirs[1 - i], name)
            for program in (VIV_IMG, "qemu-img"):
                status, out, err = run(program, ["compare", path, twin], self.dirs[i])
                report(status == 0, "compare %s by %s" % (name, os.path.basename(program)), out, err)

    def close(self):
        for d in self.dirs:
            shutil.rmtree(d)


STEPS = [
    ("img", "create -f qcow2 base.qcow2 64M"), ("img", "create base.raw 8M"),
    ("img", "create -f qcow2 -o cluster_size=4k,lazy_refcounts=on,refcount_bits=8 small.qcow2 10M"),
    ("img", "create -f qcow2 -o size=20M,preallocation=metadata meta.qcow2"),
    ("img", "create -q -f qcow2 -o preallocation=full full.qcow2 4M"),
    ("img", "create -f qcow2 -b base.qcow2 top.qcow2"), ("img", "create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2"),
    ("img", "create -f qcow2"), ("img", "create -f nosuch x 1M"), ("img", "create -f qcow2 x 1Q"), ("img", "create -f qcow2 x"),
    ("img", "create -f qcow2 -b missing.qcow2 -F qcow2 x"), ("img", "create -f raw -o cluster_size=4k x 1M"),
    ("io", ["-c", "write -P 0x11 1M 3M", "-c", "write -z 8M 1M", "-c", "write -c -P 0x22 16M 64k", "base.qcow2"]),
    ("io", ["-c", "write -P 0x33 1536k 100k", "-c", "discard 2M 64k", "-c", "flush", "top.qcow2"]),
    ("io", ["-c", "read -P 0x33 1536k 100k", "-c", "read -P 0x11 1M 512k", "-c", "read -v 1535k 32", "top.qcow2"]),
    ("io", ["-c", "read -P 0x44 0 512", "base.qcow2"]), ("io", ["-c", "read 64M 1", "base.qcow2"]),
    ("io", ["-c", "map", "-c", "alloc 1M 4M", "-c", "length", "-c", "info", "top.qcow2"]),
    ("io", ["-c", "write -P 300 0 512", "base.qcow2"]), ("io", ["-c", "nosuch", "base.qcow2"]),
    ("io", ["-c", "write 0", "base.qcow2"]), ("io", ["-r", "-c", "write 0 512", "base.qcow2"]),
    ("io", ["-c", "aio_write -P 5 4M 64k", "-c", "aio_flush", "-c", "readv -P 5 4M 4k 60k", "base.qcow2"]),
    ("img", "info base.qcow2"), ("img", "info top.qcow2"), ("img", "info small.qcow2"), ("img", "info base.raw"),
    ("img", "info --backing-chain top.qcow2"), ("img", "info missing"),
    ("img", "info --output=json base.qcow2", "json"), ("img", "info --output=json --backing-chain top.qcow2", "json"),
    ("img", "map -f qcow2 --output=json top.qcow2", "json"), 
    ("img", "map --output=json --start-offset=1M --max-length=2M top.qcow2", "json"),
    ("img", "check base.qcow2"), ("img", "check --output=json top.qcow2", "json"), ("img", "check base.raw"),
    ("img", "measure --size 1G -O qcow2"), ("img", "measure -O qcow2 --output=json top.qcow2", "json"),
    ("img", "measure -O raw top.qcow2"), ("img", "measure"),
    ("img", "snapshot -c one base.qcow2"), ("img", "snapshot -l base.qcow2"),
    ("io", ["-c", "write -P 0x55 0 64k", "base.qcow2"]), ("img", "convert -l one -O raw base.qcow2 one.raw"),
    ("img", "snapshot -a one base.qcow2"), ("img", "snapshot -d one base.qcow2"), ("img", "snapshot -d one base.qcow2"),
    ("img", "convert -O raw top.qcow2 flat.raw"), ("img", "convert -O qcow2 flat.raw flat.qcow2"),
    ("img", "convert -c -O qcow2 top.qcow2 packed.qcow2"),
    ("img", "convert -c -O qcow2 -o compression_type=zstd,cluster_size=128k flat.raw zstd.qcow2"),
    ("img", "convert -O qcow2 -B base.qcow2 -F qcow2 top.qcow2 thin.qcow2"),
    ("img", "convert -n -O raw base.qcow2 flat.raw"), ("img", "convert -S 0 -O raw flat.qcow2 fat.raw"),
    ("img", "convert -W -m 16 -O qcow2 flat.raw fast.qcow2"), ("img", "convert base.raw flat.raw -O qcow2 both.qcow2"),
    ("img", "convert -C -O raw top.qcow2 offloaded.raw"), ("img", "convert -C flat.raw offloaded2.raw"),
    ("img", "convert -C -O qcow2 flat.raw offloaded.qcow2"), ("img", "convert -C -S 4k flat.raw x"),
    ("img", "convert -C -c -O qcow2 flat.raw x"), ("img", "compare offloaded.raw offloaded2.raw"),
    ("img", "convert -O raw missing x"), ("img", "convert -m 0 flat.raw x"), ("img", "convert flat.raw"),
    ("img", "compare top.qcow2 flat.qcow2"), ("img", "compare -s base.qcow2 base.raw"), ("img", "compare base.qcow2 base.raw"),
    ("img", "compare base.qcow2 missing"), ("img", "compare packed.qcow2 thin.qcow2"),
    ("img", "resize base.raw +1M"), ("img", "resize base.raw 4M"), ("img", "resize --shrink base.raw 4M"),
    ("img", "resize small.qcow2 20M"), ("img", "resize --preallocation=falloc small.qcow2 24M"), ("img", "resize small.qcow2 x"),
    ("img", "amend -o compat=0.10 packed.qcow2"), ("img", "amend -o refcount_bits=1 flat.qcow2"), ("img", "amend packed.qcow2"),
    ("img", "bitmap --add fast.qcow2 b0"), ("img", "bitmap --add -g 128k fast.qcow2 b1"), ("img", "bitmap --add fast.qcow2 b0"),
    ("img", "bitmap --disable fast.qcow2 b1"), ("img", "info --output=json fast.qcow2", "json"),
    ("img", "bitmap --merge b0 fast.qcow2 b1"), ("img", "bitmap --remove fast.qcow2 b1"),
    ("img", "convert --bitmaps -O qcow2 fast.qcow2 marked.qcow2"), ("img", "check marked.qcow2"),
    ("img", "dd if=flat.raw of=dd.raw bs=1M count=4 skip=1"), ("img", "dd -O qcow2 if=flat.raw of=dd.qcow2 bs=64k"),
    ("img", "dd if=flat.raw"), ("img", "rebase -b base.qcow2 -F qcow2 -u top.qcow2"),
    ("img", ["rebase", "-b", "", "thin.qcow2"]), ("img", "rebase -b missing -F qcow2 top.qcow2"),
    ("img", "commit -r x top.qcow2", "status"), ("img", "commit -r 100M top.qcow2"), ("img", "commit base.raw"), ("img", "check top.qcow2"), ("img", "nosuch"),
    ("img", ["info", "--image-opts", "driver=qcow2,file.filename=base.qcow2"], "json0"),
    ("img", ["info", "-f", "raw", "base.raw"]),
]


def main():
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("1..0 # SKIP qemu-utils is not installed")
        return 0
    t = Twins()
    for step in STEPS:
        how = step[2] if len(step) > 2 else "text"
        t.both(step[0], step[1], "status" if how == "json0" else how)
    for name in ("base.qcow2", "top.qcow2", "flat.raw", "packed.qcow2", "zstd.qcow2", "thin.qcow2", "both.qcow2", "one.raw",
                 "fat.raw", "offloaded.raw", "offloaded2.raw", "offloaded.qcow2", "dd.raw", "dd.qcow2", "marked.qcow2", "meta.qcow2"):
        t.crossed(name)
    status, _, err = run(VIV_IMG, ["create", "--no-clobber", "-f", "qcow2", "base.qcow2", "1M"], t.dirs[0])
    report(status == 1 and "--no-clobber" in err, "create --no-clobber leaves what exists", err)
    t.close()
    print("1..%d" % count)
    return failed > 0


sys.exit(main())
