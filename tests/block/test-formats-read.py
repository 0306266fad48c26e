#!/usr/bin/env python3
"""test-formats-read.py - formats that are only read (cloop, dmg, bochs), and compressed qcow.

The images are built here, from their published layouts; what we and qemu-img read must be what
went in. Damaged ones are refused or read as far as they go. Prints TAP.

usage: test-formats-read.py VIV-IMG VIV-IO
"""
import base64
import bz2
import os
import random
import shutil
import struct
import sys
import zlib

from tap import Failed, call, main

IMG, IO = sys.argv[1], sys.argv[2]
QEMU = shutil.which("qemu-img")
K = 1024


def content(size, seed=1):
    """Some that compresses, some that does not, some zeroes."""
    rng, parts = random.Random(seed), []
    while sum(map(len, parts)) < size:
        n = rng.choice([512, 4096, 20000])
        parts.append([b"\0" * n, rng.randbytes(n), b"the same again, " * (n // 16)][rng.randrange(3)])
    return b"".join(parts)[:size]


# ---- Builders -------------------------------------------------------------------------------------

def cloop(data, block=64 * K):
    head = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
    blocks = [zlib.compress(data[i:i + block]) for i in range(0, len(data), block)]
    at, offsets = 136 + 8 * (len(blocks) + 1), []
    for b in blocks + [b""]:
        offsets.append(at)
        at += len(b)
    return head.ljust(128, b"\0") + struct.pack(">II", block, len(blocks)) + b"".join(
        struct.pack(">Q", o) for o in offsets) + b"".join(blocks)


def dmg(data, kinds, fork=False, chunk=64 * K):
    """kinds: of chunks, in turns; two tables, so that one does not start at sector 0."""
    body, tables, sectors = b"", [], len(data) // 512
    half = sectors // 2 // (chunk // 512) * (chunk // 512)
    for first, end in ((0, half), (half, sectors)):
        chunks = []
        for n, s in enumerate(range(first, end, chunk // 512)):
            count = min(chunk // 512, end - s)
            piece = data[s * 512:(s + count) * 512]
            kind = kinds[n % len(kinds)]
            if not any(piece):
                kind = 2 if n % 2 else 0
            packed = {0: b"", 2: b"", 1: piece, 0x80000005: zlib.compress(piece),
                      0x80000006: bz2.compress(piece)}[kind]
            chunks.append(struct.pack(">IIQQQQ", kind, 0, s - first, count, len(body), len(packed)))
            body += packed
        chunks.append(struct.pack(">IIQQQQ", 0xffffffff, 0, end - first, 0, len(body), 0))
        head = b"mish" + struct.pack(">IQQQ", 1, first, end - first, 0)
        tables.append(head.ljust(200, b"\0") + struct.pack(">I", len(chunks)) + b"".join(chunks))
    if fork:
        inner = b"".join(struct.pack(">I", len(t)) + t for t in tables)
        extra = struct.pack(">IIII", 256, 256 + len(inner), len(inner), 0).ljust(256, b"\0") + inner
    else:
        extra = (b"<?xml version=\"1.0\"?><plist><dict><key>resource-fork</key><dict><key>blkx</key><array>"
                 + b"".join(b"<dict><key>Data</key><data>\n" + base64.encodebytes(t) + b"</data></dict>"
                            for t in tables) + b"</array></dict></dict></plist>")
    k = bytearray(512)
    k[0:12] = b"koly" + struct.pack(">II", 4, 512)
    struct.pack_into(">QQ", k, 0x18, 0, len(body))
    struct.pack_into(">QQ", k, 0x28 if fork else 0xd8, len(body), len(extra))
    struct.pack_into(">Q", k, 0x1ec, sectors)
    return body + extra + bytes(k)


def bochs(data, version=0x20000, extent=64 * K):
    count, bitmap = -(-len(data) // extent), extent // 512 // 8
    catalog, body, used = [], b"", 0
    for i in range(count):
        piece = data[i * extent:(i + 1) * extent].ljust(extent, b"\0")
        if not any(piece):
            catalog.append(0xffffffff)
            continue
        bits = bytearray(512 * -(-bitmap // 512))
        for s in range(extent // 512):
            if any(piece[s * 512:s * 512 + 512]):
                bits[s // 8] |= 1 << s % 8
        catalog.append(used)
        used += 1
        body += bytes(bits) + piece
    head = b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + b"Growing".ljust(16, b"\0")
    head += struct.pack("<IIIII", version, 512, count, bitmap, extent)
    head += struct.pack("<Q", len(data)) if version == 0x10000 else struct.pack("<IQ", 0, len(data))
    return head.ljust(512, b"\0") + b"".join(struct.pack("<I", c) for c in catalog) + body


BZIP2, ZLIB = 0x80000006, 0x80000005
IMAGES = [("cloop", "as made", cloop), ("cloop", "blocks of 4 KiB", lambda d: cloop(d, 4096)),
          ("dmg", "zlib and raw", lambda d: dmg(d, [ZLIB, 1])), ("dmg", "resource fork", lambda d: dmg(d, [ZLIB], True)),
          ("dmg", "bzip2", lambda d: dmg(d, [BZIP2, ZLIB, 1])),
          ("bochs", "version 2", bochs), ("bochs", "version 1", lambda d: bochs(d, 0x10000)),
          ("bochs", "extents of 1 MiB", lambda d: bochs(d, 0x20000, 1 << 20))]


# ---- Tests ----------------------------------------------------------------------------------------

def read(folder, driver, note, build):
    data = content(1 << 20)
    path, raw = os.path.join(folder, "image." + driver), os.path.join(folder, "raw")
    with open(path, "wb") as f:
        f.write(build(data))
    for img in [IMG] + ([QEMU] if QEMU else []):
        for words in ([], ["-f", driver]):
            status, out = call([img, "convert"] + words + ["-O", "raw", path, raw])
            if status and note == "bzip2" and ("bzip2" in out or img == QEMU):
                continue # a build without it; Debian keeps QEMU's in a package of its own
            if status:
                raise Failed("%s %s: %s" % (img, words, out))
            with open(raw, "rb") as f:
                got = f.read()
            if words and got != data:
                at = next((i for i in range(min(len(got), len(data))) if got[i] != data[i]), -1)
                raise Failed("%s read something else: %d bytes, at %d" % (img, len(got), at))
    status, out = call([IO, "-f", driver, "-c", "write 0 512", path])
    if "read-only" not in out.lower() and "permitted" not in out:
        raise Failed("a write was not refused: " + out)


def damage(folder, driver, note, build):
    rng, sound = random.Random(3), build(content(256 * K))
    path = os.path.join(folder, "image." + driver)
    for i in range(40):
        data = bytearray(sound)
        for _ in range(rng.randint(1, 3)):
            area = rng.choice([(0, 700), (len(data) - 600, len(data)), (0, len(data))])
            at = rng.randrange(max(0, area[0]), min(area[1], len(data)) - 8)
            data[at:at + 4] = rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", rng.randbytes(4)])
        if i % 8 == 7:
            data = data[:rng.randrange(len(data))]
        with open(path, "wb") as f:
            f.write(data)
        status, out = call([IO, "-r", "-f", driver, "-c", "read 0 64k", "-c", "read 128k 4k", "-c", "map", path])
        if status not in (0, 1) or "Sanitizer" in out:
            raise Failed("image %d: status %d\n%s" % (i, status, out[-2000:]))


def compressed_qcow(folder):
    data = content(1 << 20)
    raw, back = os.path.join(folder, "raw"), os.path.join(folder, "back")
    with open(raw, "wb") as f:
        f.write(data)
    tools = [IMG] + ([QEMU] if QEMU else [])
    for maker in [IMG]: # qemu-img 7.2 fails at it, without a word
        path = os.path.join(folder, "qcow")
        status, out = call([maker, "convert", "-c", "-O", "qcow", raw, path])
        if status:
            raise Failed("%s: %s" % (maker, out))
        if os.path.getsize(path) > 800 * K:
            raise Failed("%s did not compress: %d bytes" % (maker, os.path.getsize(path)))
        model = bytearray(data)
        for turn in range(2):
            for reader in tools:
                status, out = call([reader, "convert", "-f", "qcow", "-O", "raw", path, back])
                with open(back, "rb") as f:
                    if status or f.read() != model:
                        raise Failed("%s reads %s's, turn %d: something else %s" % (reader, maker, turn, out))
            # Compressed clusters are replaced.
            status, out = call([IO, "-f", "qcow", "-c", "write -P 7 5000 9000", "-c", "write -P 9 700000 1", path])
            model[5000:14000], model[700000] = bytes([7]) * 9000, 9
            if status:
                raise Failed(out)


TESTS = [("%s, %s" % i[:2], lambda d, i=i: read(d, *i)) for i in IMAGES] \
    + [("damaged %s, %s" % i[:2], lambda d, i=i: damage(d, *i)) for i in IMAGES] \
    + [("compressed clusters of qcow", compressed_qcow)]


if __name__ == "__main__":
    sys.exit(main(TESTS))
