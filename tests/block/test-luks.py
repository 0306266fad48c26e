#!/usr/bin/env python3
"""test-luks.py - encrypted images (LUKS alone, LUKS and AES in qcow2) beside qemu-img and qemu-io.

Each image is made by one program and written by both; `info` must say the same, key slots are
changed by `amend` of both, damaged headers are refused. Without qemu-img only our side runs.
Prints TAP.

usage: test-luks.py VIV-IMG VIV-IO
"""
import json
import os
import random
import re
import shutil
import struct
import sys

from tap import NO_QEMU, Failed, call, main, run

IMG, IO = sys.argv[1], sys.argv[2]
QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
SECRETS = ["--object", "secret,id=s,data=abc", "--object", "secret,id=n,data=second",
           "--object", "secret,id=w,data=wrong"]
M = 1 << 20
SIZE = 2 * M

CIPHERS = ["", "cipher-alg=aes-128", "cipher-alg=aes-192", "cipher-mode=cbc,ivgen-alg=essiv",
           "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5",
           "cipher-mode=cbc,ivgen-alg=plain,hash-alg=sha1", "cipher-mode=ctr,hash-alg=sha512", "cipher-mode=ecb,hash-alg=md5", "hash-alg=ripemd160",
           "hash-alg=sha224", "hash-alg=sha384", "cipher-alg=serpent-256", "cipher-alg=twofish-256",
           "cipher-alg=serpent-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5",
           "cipher-alg=twofish-128,cipher-mode=cbc", "cipher-alg=cast5-128,cipher-mode=cbc"]


def tools():
    return [("us", IMG, IO)] + ([("qemu", "qemu-img", "qemu-io")] if QEMU else [])


def inner(fmt):
    return "aes" if fmt.startswith("aes") else "luks"


def host(fmt):
    return {"luks": "luks", "aes1": "qcow"}.get(fmt, "qcow2")


def opts(fmt, path, secret="s"):
    """-blockdev's words; fmt: luks, luks2 and aes inside qcow2, aes1 inside qcow."""
    if fmt == "luks":
        return "driver=luks,file.filename=%s,key-secret=%s" % (path, secret)
    return "driver=%s,file.filename=%s,encrypt.format=%s,encrypt.key-secret=%s" % (host(fmt), path, inner(fmt), secret)


def create(img, fmt, path, words):
    prefix = "" if fmt == "luks" else "encrypt."
    words = ["key-secret=s"] + (["iter-time=10"] if inner(fmt) != "aes" else []) + [w for w in words.split(",") if w]
    words = [prefix + w for w in words] + ([] if fmt == "luks" else ["encrypt.format=" + inner(fmt)])
    run([img, "create", "-q", *SECRETS, "-f", host(fmt), "-o", ",".join(words), path, str(SIZE)])


def info(img, path):
    """What `info` says, without what differs from image to image."""
    data = json.loads(run([img, "info", "--output=json", path]))
    text = json.dumps(data.get("format-specific", {}))
    text = re.sub(r'("(uuid|iters|master-key-iters)": )("[^"]*"|\d+)', r"\1_", text)
    return text, data["virtual-size"], data.get("encrypted")


class Image:
    def __init__(self, fmt, path):
        self.fmt, self.path, self.model = fmt, path, bytearray(SIZE)

    def write(self, io, rng):
        args = []
        for _ in range(4):
            length = rng.choice([512, 4096, 65536, 200 * 1024])
            at, byte = rng.randrange((SIZE - length) // 512) * 512, rng.randint(1, 255)
            self.model[at:at + length] = bytes([byte]) * length
            args += ["-c", "write -P %d %d %d" % (byte, at, length)]
        run([io, *SECRETS, *args, "--image-opts", opts(self.fmt, self.path)])

    def verify(self, img, folder):
        raw = os.path.join(folder, "raw")
        run([img, "convert", *SECRETS, "--image-opts", "-O", "raw", opts(self.fmt, self.path), raw])
        with open(raw, "rb") as f:
            if f.read() != self.model:
                raise Failed("%s reads something else" % img)


def both_ways(fmt, words, folder):
    rng, infos = random.Random(words), []
    for who, img, _ in tools():
        image = Image(fmt, os.path.join(folder, who))
        create(img, fmt, image.path, words)
        if fmt == "luks": # a new one holds noise
            run([IO, *SECRETS, "-c", "write -P 0 0 %d" % SIZE, "--image-opts", opts(fmt, image.path)])
        for _, other, other_io in tools():
            image.write(other_io, rng)
            for _, reader, _ in tools():
                image.verify(reader, folder)
        infos += [info(t[1], image.path) for t in tools()]
    if any(i != infos[0] for i in infos):
        raise Failed("info differs:\n" + "\n".join(map(str, infos)))


def wrong_password(fmt, folder):
    path = os.path.join(folder, "image")
    create(IMG, fmt, path, "")
    for _, _, io in tools():
        status, out = call([io] + SECRETS + ["-c", "read 0 512", "--image-opts", opts(fmt, path, "w")])
        if not status or "Invalid password, cannot unlock any keyslot" not in out:
            raise Failed("%s says %d: %s" % (io, status, out))


# What is asked of amend, in this order; answers are compared with qemu-img's.
AMENDS = ["state=active,new-secret=n,iter-time=10", "state=active", "state=inactive",
          "state=inactive,keyslot=5", "state=active,keyslot=9,new-secret=n",
          "state=active,keyslot=0,new-secret=n", "state=inactive,old-secret=w",
          "state=inactive,old-secret=n", "state=inactive,old-secret=s", "state=inactive,keyslot=0",
          "state=inactive,keyslot=0,old-secret=s", "state=inactive,keyslot=0,new-secret=s",
          "state=inactive,keyslot=0,iter-time=10", "new-secret=n", "state=foo",
          "state=active,new-secret=n,old-secret=s", "state=active,new-secret=zz",
          "state=active,new-secret=n,keyslot=3,iter-time=10", "state=inactive,keyslot=0",
          "force state=inactive,keyslot=5"]


def amend(fmt, folder):
    prefix = "" if fmt == "luks" else "encrypt."
    answers = []
    for who, img, _ in tools():
        path = os.path.join(folder, who)
        create(img, fmt, path, "")
        said = []
        for text in AMENDS:
            words = text.replace("force ", "")
            # Once slot 0 is gone the image opens with the second passphrase.
            args = ["--force"] if text != words else []
            secret = "n" if text.startswith("force") else "s"
            out = call([img, "amend"] + SECRETS + args + ["-o", ",".join(prefix + w for w in words.split(",")),
                       "--image-opts", opts(fmt, path, secret)])
            said.append((text, out[0], re.sub(r"^[^:]*: ", "", out[1])))
        answers.append(said)
        for _, reader, io in tools():
            run([io, *SECRETS, "-c", "read 0 4096", "--image-opts", opts(fmt, path, "n")])
            if call([io] + SECRETS + ["-c", "read 0 4096", "--image-opts", opts(fmt, path, "s")])[0] == 0:
                raise Failed("the erased passphrase still opens " + path)
    for said in answers:
        for (text, status, out), (_, wanted, wanted_out) in zip(said, answers[-1]):
            if status != wanted or (not text.startswith("state=active,new-secret=zz") and out != wanted_out):
                raise Failed("amend %s: %d %s; qemu-img: %d %s" % (text, status, out, wanted, wanted_out))


def damage(folder):
    """Headers changed at random: refused in bounded time, or read; never a crash."""
    path = os.path.join(folder, "image")
    create(IMG, "luks", path, "")
    with open(path, "rb") as f:
        sound = f.read()
    rng = random.Random(7)
    for i in range(60):
        data = bytearray(sound)
        at = rng.randrange(592)
        if i % 3 == 0: # numbers: versions, offsets, rounds
            at = rng.choice([6, 104, 108, 164] + [208 + 48 * s + o for s in range(8) for o in (0, 4, 40, 44)])
            data[at:at + 4] = struct.pack(">I", rng.choice([0, 1, 7, 0x7fffffff, 0xffffffff, 0x80000000]))
        else:
            data[at] ^= 1 << rng.randrange(8)
        if i % 10 == 9:
            data = data[:rng.randrange(len(data))]
        with open(path, "wb") as f:
            f.write(data)
        for args in ([IMG, "info", "-f", "luks", path],
                     [IO] + SECRETS + ["-c", "read 0 512", "--image-opts", opts("luks", path)]):
            status, out = call(args)
            if status not in (0, 1) or "Sanitizer" in out:
                raise Failed("change at %d: status %d\n%s" % (at, status, out[-3000:]))


def rounds(folder):
    """A header that asks for hours of hashing is refused at once."""
    path = os.path.join(folder, "image")
    create(IMG, "luks", path, "")
    for at in (164, 208 + 4):
        with open(path, "r+b") as f:
            f.seek(at)
            old = f.read(4)
            f.seek(at)
            f.write(b"\xff\xff\xff\xff")
        status, out = call([IO] + SECRETS + ["-c", "read 0 512", "--image-opts", opts("luks", path)])
        if status != 1 or "damaged" not in out:
            raise Failed("status %d: %s" % (status, out))
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(old)


def refused(folder):
    """What cannot be created is named, in qemu-img's words."""
    path = os.path.join(folder, "image")
    for words in ("cipher-alg=foo", "cipher-mode=foo", "hash-alg=foo", "ivgen-alg=foo",
                  "cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha1"):
        said = [call([img, "create", "-q"] + SECRETS + ["-f", "luks", "-o", "key-secret=s," + words, path, "1M"])
                for _, img, _ in tools()]
        lines = [(status, out.split("\n")[0].split(": ", 1)[1]) for status, out in said]
        if lines[0][0] != 1 or any(x != lines[0] for x in lines):
            raise Failed("%s: %s" % (words, lines))


TESTS = [("luks %s" % (c or "as it comes"), lambda d, c=c: both_ways("luks", c, d)) for c in CIPHERS] + [
    ("luks in qcow2", lambda d: both_ways("luks2", "", d)),
    ("luks in qcow2, serpent", lambda d: both_ways("luks2", "cipher-alg=serpent-256", d)),
    ("aes in qcow", lambda d: both_ways("aes1", "", d)),
    ("aes in qcow2", lambda d: both_ways("aes", "", d)),
    ("a wrong password", lambda d: wrong_password("luks", d)),
    ("a wrong password in qcow2", lambda d: wrong_password("luks2", d)),
    ("key slots by amend", lambda d: amend("luks", d)),
    ("key slots by amend in qcow2", lambda d: amend("luks2", d)),
    ("damaged headers", damage), ("hostile numbers of rounds", rounds), ("what is refused", refused)]


if __name__ == "__main__":
    sys.exit(main(TESTS, "" if QEMU else NO_QEMU))
