#!/usr/bin/env python3
"""wild.py - starts viv on damaged and random firmware and kernels and watches it survive.

Any sanitizer report, abort, fault or a viv that does not end after SIGTERM is a failure; the image
and the command line are kept. A run is repeated by its seed: wild.py VIV --seed N --runs 1.
"""
import argparse
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

SEABIOS = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios.bin",
           "/usr/share/qemu/bios-256k.bin"]
BAD = re.compile(rb"Sanitizer|runtime error|assert|core dumped|GLib-\w*-?CRITICAL|\*\* ?ERROR|LeakSan", re.I)
END_PATIENCE = 5  # seconds from SIGTERM to the end
QUIET = ["-nographic", "-monitor", "none", "-serial", "null"]

PREFIXES = [b"\x66", b"\x67", b"\xf0", b"\xf2", b"\xf3", b"\x2e", b"\x36", b"\x26", b"\x64", b"\x65"]
EDGES = [0, 1, 2, 3, 4, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff, 0xfec00000, 0xfee00000]


def random_bytes(r):
    size = r.choice([65536, 131072, 262144])
    data = bytearray(r.randbytes(size))
    # Half of them enter the noise at once, half come there by way of a jump.
    if r.random() < 0.5:
        data[-16:-13] = b"\xe9" + struct.pack("<h", r.randrange(-32768, -256))
    return bytes(data)


def one_insn(r):
    """Bytes that look like an instruction: prefixes, opcode, ModRM, something behind it."""
    out = b"".join(r.choice(PREFIXES) for _ in range(r.choice([0, 0, 0, 0, 1, 1, 2])))
    kind = r.random()
    if kind < 0.5:
        op = bytes([r.randrange(256)])
    elif kind < 0.8:
        op = b"\x0f" + bytes([r.randrange(256)])
    elif kind < 0.9:
        op = b"\x0f" + r.choice([b"\x38", b"\x3a"]) + bytes([r.randrange(256)])
    else:
        op = r.choice([b"\xc5" + r.randbytes(2), b"\xc4" + r.randbytes(3)])
    if op in (b"\xf4", b"\xeb", b"\xe9", b"\xea") and r.random() < 0.9:
        op = b"\x90"  # else nothing runs for long
    return out + op + r.randbytes(r.choice([1, 1, 2, 3, 5]))


def random_insns(r):
    body = b"".join(one_insn(r) for _ in range(14000))[:65000]
    rom = bytearray(b"\x90" * 65536)
    rom[:len(body)] = body
    rom[-256:] = b"\xf4" * 256
    rom[-16:-13] = b"\xe9" + struct.pack("<H", r.randrange(len(body)))
    if r.random() < 0.5:
        return protected(r, body[:60000])
    return bytes(rom)


def seabios(r):
    for path in SEABIOS:
        if os.path.exists(path):
            break
    else:
        return random_bytes(r)
    with open(path, "rb") as f:
        data = bytearray(f.read())
    for _ in range(r.choice([1, 8, 64, 512])):
        data[r.randrange(len(data))] = r.randrange(256)
    return bytes(data)


# ---- device noise: straight-line 32-bit code made here, so that no assembler is needed ----

def u32(v):
    return struct.pack("<I", v & 0xffffffff)


def value(r):
    return r.choice(EDGES) if r.random() < 0.3 else r.getrandbits(32)


def out(port, v, size):
    return (b"\xba" + u32(port) + b"\xb8" + u32(v) + {1: b"\xee", 2: b"\x66\xef", 4: b"\xef"}[size])


def inp(port, size):
    return b"\xba" + u32(port) + {1: b"\xec", 2: b"\x66\xed", 4: b"\xed"}[size]


def store(addr, v, size):
    op = {1: b"\xa2", 2: b"\x66\xa3", 4: b"\xa3"}[size]
    return b"\xb8" + u32(v) + op + u32(addr)


def load(addr, size):
    return {1: b"\xa0", 2: b"\x66\xa1", 4: b"\xa1"}[size] + u32(addr)


def pick_port(r):
    known = [0x20, 0x40, 0x60, 0x70, 0xa0, 0xc0, 0x92, 0xb2, 0x170, 0x1f0, 0x3c0, 0x3f8, 0x402, 0x4d0, 0x510,
             0x514, 0xae00, 0xafe0, 0xb000, 0xb100, 0x600, 0x700, 0xcf8, 0x80]
    return r.choice(known) + r.randrange(16) if r.random() < 0.7 else r.getrandbits(16)


def port_noise(r):
    port, size = pick_port(r), r.choice([1, 2, 4])
    if port in (0x64, 0x92, 0xcf9) or 0x501 <= port < 0x510 or port & 0xff3c == 0x604:
        return inp(port, size)
    return out(port, value(r), size) if r.random() < 0.6 else inp(port, size)


def mmio_noise(r):
    base = r.choice([0xfec00000, 0xfee00000, 0xfed00000, 0xa0000, 0xc0000, 0xf0000, 0xe0000000, 0xfffc0000])
    addr, size = base + r.choice([r.randrange(0x400), r.randrange(0x400) & ~15, r.getrandbits(16)]), r.choice([1, 2, 4])
    return store(addr, value(r), size) if r.random() < 0.6 else load(addr, size)


def ioapic_noise(r):
    return store(0xfec00000, r.randrange(64), 4) + store(0xfec00010, value(r), 4) + load(0xfec00010, 4)


def lapic_noise(r):
    reg = r.randrange(64) << 4
    v = value(r)
    if reg == 0x300 and r.random() < 0.9:
        v = v & ~0x700 | r.choice([0, 0, 0x400, 0x100])  # not INIT to itself each time
    return store(0xfee00000 + reg, v, 4)


def pci_noise(r):
    devfn = r.choice([0, 8, 9, 11, 16, 24, 32, r.randrange(256)])
    reg = r.choice([0x10 + 4 * r.randrange(6), 4, 0x30, 0x3c, 0x58, 0x5c, 0x60, 0x40, 0x80, r.randrange(256)])
    bus = r.choice([0, 0, 0, 0, r.randrange(256)])
    select = out(0xcf8, 0x80000000 | bus << 16 | devfn << 8 | reg & 0xfc, 4)
    size = r.choice([1, 2, 4])
    port = 0xcfc + (reg & 3 if size == 1 else 0)
    v = r.choice([0xffffffff, 0xf0000, 0, 7, 0xfee00000, 0xfec00000, 0xfffe0000, 0x33333333, value(r)])
    return select + (out(port, v, size) if r.random() < 0.7 else inp(port, size))


def fw_cfg_noise(r):
    if r.random() < 0.3:
        return out(0x510, r.choice([r.randrange(0x40), r.getrandbits(16)]), 2) + inp(0x511, 1) * r.randrange(1, 8)
    at = 0x5000
    length = r.choice([0, 1, 16, 4096, 0x100000, 0x7fffffff, 0xffffffff, r.getrandbits(32)])
    if r.random() < 0.9:
        length &= 0xffffff
    high = r.choice([0, 0, 0, 1, 0xffffffff, r.getrandbits(32)])
    low = r.choice([0x6000, 0xfee00000, 0xfffffff0, 0xa0000, 0xfffc0000, r.getrandbits(32)])
    control = r.getrandbits(16) & 0x3f << 16 | r.choice([2, 4, 8, 16, 10, 24, 12, r.getrandbits(32)])
    control |= r.choice([0x19, 0x20, 0x21, 0x24, 5, 0x8003, r.getrandbits(16)]) << 16
    words = [control, length, high, low]
    code = b"".join(store(at + 4 * i, struct.unpack("<I", struct.pack(">I", w & 0xffffffff))[0], 4)
                    for i, w in enumerate(words))
    at = at if r.random() < 0.9 else r.getrandbits(32)
    return code + out(0x514, 0, 4) + out(0x518, struct.unpack("<I", struct.pack(">I", at))[0], 4)


def pam_noise(r):
    """Shadow RAM switched about, code copied there and called."""
    reg = r.choice([0x58, 0x5c])
    code = out(0xcf8, 0x80000000 | reg, 4) + out(0xcfc, r.choice([0x33333333, 0x11111111, 0x22222222, 0, value(r)]), 4)
    at = r.choice([0xc0000, 0xd0000, 0xe0000, 0xf8000, 0x7000, 0xa0000]) + r.randrange(0x1000)
    code += store(at, 0xc3c3c3c3, 4)
    return code + b"\xb8" + u32(at) + b"\xff\xd0" if r.random() < 0.5 else code


NOISES = [port_noise, mmio_noise, ioapic_noise, lapic_noise, pci_noise, fw_cfg_noise, pam_noise]


def protected(r, body):
    """A 256 KiB ROM that enters flat 32-bit mode and runs `body` again and again."""
    size, base = 262144, 0xfffc0000
    rom = bytearray(b"\xf4" * size)
    gdt, idt, entry, real = size - 0x2000, size - 0x1800, 0x100, size - 0x400
    rom[gdt:gdt + 24] = bytes(8) + struct.pack("<QQ", 0xcf9b000000ffff, 0xcf93000000ffff)
    for i in range(256):
        at = base + 0x10
        rom[idt + 8 * i:idt + 8 * i + 8] = struct.pack("<HHHH", at & 0xffff, 8, 0x8e00, at >> 16)
    rom[size - 0x2100:size - 0x20f4] = struct.pack("<HIHI", 23, base + gdt, 2047, base + idt)
    top = lambda at: at - (size - 65536)  # offset in F000
    rom[real:real + 32] = (b"\xfa" b"\x2e\x66\x0f\x01\x16" + struct.pack("<H", top(size - 0x2100)) +
                           b"\x2e\x66\x0f\x01\x1e" + struct.pack("<H", top(size - 0x2100 + 6)) +
                           b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0" b"\x66\xea" + u32(base) + b"\x08\x00")
    rom[-16:-13] = b"\xe9" + struct.pack("<h", real - (size - 13))
    start = (b"\x66\xb8\x10\x00" b"\x8e\xd8\x8e\xc0\x8e\xd0" + b"\x90" * 6)
    # At 0x10 whatever exception or interrupt comes goes on behind where the last one went.
    start += (b"\xbc\x00\x80\x00\x00" + b"\x66\xb8\x10\x00\x8e\xd8\x8e\xc0" +
              b"\xa1\x00\x40\x00\x00" b"\x05" + u32(r.randrange(1, 4099)) + b"\x25\xff\xff\x01\x00" +
              b"\xa3\x00\x40\x00\x00" + (b"\xfb" if r.random() < 0.5 else b"\x90") + b"\x05" +
              u32(base + entry) + b"\xff\xe0")
    rom[:len(start)] = start
    body = body[:size - 0x2200 - entry - 16]
    rom[entry:entry + len(body)] = body
    end = entry + len(body)
    rom[end:end + 5] = b"\xe9" + struct.pack("<i", 0x10 - (end + 5))
    return bytes(rom)


def device_noise(r):
    makers = r.sample(NOISES, r.randrange(1, len(NOISES) + 1))
    body = b""
    parts = []
    total = 0
    while total < 200000:
        parts.append(r.choice(makers)(r))
        total += len(parts[-1])
    return protected(r, body.join(parts))


def reset_loop(r):
    """Real-mode code that resets at once: 0xcf9, i8042, port 92h, triple fault."""
    rom = bytearray(b"\xf4" * 65536)
    ways = [b"\xba\xf9\x0c\xb0\x06\xee", b"\xb0\xfe\xe6\x64", b"\xb0\x01\xe6\x92",
            b"\x2e\x0f\x01\x1e\x00\x80\x0f\x0b"]
    rom[-0x8000:-0x7ff0] = bytes(16)
    rom[-0x7000:-0x6ff0] = (r.choice(ways) + b"\xf4" * 16)[:16]
    rom[-16:-13] = b"\xe9" + struct.pack("<h", 0x9000 - 0xfff3)
    return bytes(rom)


# ---- kernels ----

def damage(r, data, where):
    data = bytearray(data)
    for _ in range(r.choice([0, 1, 2, 4, 16])):
        at = r.randrange(min(where, len(data)))
        n = r.choice([1, 2, 4, 8])
        data[at:at + n] = r.choice([b"\xff" * n, bytes(n), r.randbytes(n), b"\x7f" * n])
    if r.random() < 0.2:
        del data[r.randrange(len(data)):]
    return bytes(data)


def bzimage(r):
    data = bytearray(r.randbytes(r.choice([2048, 8192, 70000])))
    data[0x1f1:0x280] = bytes(0x8f)
    data[0x1f1] = r.choice([0, 1, 4, 30, 255])
    struct.pack_into("<H", data, 0x1fe, 0xaa55)
    data[0x200:0x206] = b"\xeb\x66HdrS"
    struct.pack_into("<H", data, 0x206, r.choice([0x20f, 0x20c, 0x204, 0x203, 0x200, 0]))
    data[0x211] = 1
    struct.pack_into("<I", data, 0x214, 0x100000)
    struct.pack_into("<IIIB", data, 0x22c, 0x7fffffff, 0x200000, 1, 21)
    struct.pack_into("<I", data, 0x238, 2047)
    struct.pack_into("<QI", data, 0x258, 0x1000000, 0x1000000)
    return damage(r, data, 0x280)


def elf(r):
    wide = r.random() < 0.5
    code = r.randbytes(256)
    note = struct.pack("<III4sI", 4, 4 if not wide else 8, 18, b"Xen\0", 0x100040) + bytes(4)
    heads = []
    for kind, off, addr, size in ((1, 0x400, 0x100000, 256), (4, 0x600, 0, len(note)), (1, 0x400, 0x200000, 64)):
        more = r.choice([0, 4096, 0x10000])
        if wide:
            heads.append(struct.pack("<IIQQQQQQ", kind, 7, off, addr, addr, size, size + more, 4))
        else:
            heads.append(struct.pack("<IIIIIIII", kind, off, addr, addr, size, size + more, 7, 4))
    table = b"".join(heads)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        head = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 3, 64, 0, 0)
    else:
        head = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x100000, 52, 0, 0, 52, 32, 3, 40, 0, 0)
    data = bytearray(0x800)
    data[:len(head) + len(table)] = head + table
    data[0x400:0x500] = code
    data[0x600:0x600 + len(note)] = note
    if r.random() < 0.4:
        data[0x300:0x30c] = struct.pack("<III", 0x1badb002, 3, -(0x1badb002 + 3) & 0xffffffff)
    return damage(r, data, r.choice([0x120, 0x800]))


def multiboot(r):
    flags = r.choice([0x10000, 0x10003, 3, 0x10007])
    data = bytearray(r.randbytes(4096))
    at = r.choice([0, 64, 4096 - 32, 512])
    struct.pack_into("<IIIIIIII", data, at, 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff,
                     0x100000 + at, 0x100000, r.choice([0, 0x101000]), r.choice([0, 0x110000]), 0x100040)
    return damage(r, data, at + 32)


KERNELS = [bzimage, elf, multiboot]
IMAGES = [random_bytes, random_insns, random_insns, seabios, device_noise, device_noise, device_noise, reset_loop]


def command(r, viv, accel, path):
    argv = [viv] + QUIET + ["-m", str(r.randrange(16, 65)), "-accel", accel, "-smp", str(r.choice([1, 1, 2, 3]))]
    if r.random() < 0.7:
        argv.append("-no-reboot")
    if r.random() < 0.3:
        argv += ["-cpu", r.choice(["max", "qemu64", "Nehalem", "Haswell"])]
    if r.random() < 0.5:
        argv += ["-device", "isa-debug-exit,iobase=0x501", "-device", "pvpanic"]
    if r.random() < 0.3:
        maker = r.choice(KERNELS)
        data = maker(r)
        argv += ["-kernel", path]
        if r.random() < 0.5:
            argv += ["-append", "a" * r.choice([1, 200, 5000])]
        if r.random() < 0.5:
            argv += ["-initrd", path]
    else:
        maker = r.choice(IMAGES)
        data = maker(r)
        argv += ["-bios", path]
    return argv, data, maker.__name__


def watch(argv, seconds, r):
    """Runs viv for so long: what is wrong, if anything, and what it said."""
    env = dict(os.environ, ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:exitcode=99",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=98")
    said = tempfile.TemporaryFile()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=env)
    wrong = None
    try:
        p.wait(seconds)
    except subprocess.TimeoutExpired:
        p.send_signal(r.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT]))
        try:
            p.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            wrong = "did not end after SIGTERM"
            p.send_signal(signal.SIGABRT)
            p.wait()
    said.seek(0, os.SEEK_END)
    if said.tell() > 1 << 20:
        wrong = wrong or "said %d bytes" % said.tell()
    said.seek(0)
    text = said.read(1 << 20)
    said.close()
    if not wrong and p.returncode < 0:
        wrong = "ended by signal %d" % -p.returncode
    if not wrong and (p.returncode in (98, 99) and b"Sanitizer" in text or BAD.search(text)):
        wrong = "a report"
    return wrong, text


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("viv")
    ap.add_argument("--seconds", type=float, default=60, help="how long in all")
    ap.add_argument("--runs", type=int, default=0, help="how many runs, whatever they take")
    ap.add_argument("--seed", type=int, default=int(time.time()))
    ap.add_argument("--each", type=float, default=1.5, help="how long each viv may run")
    ap.add_argument("--accel", default="interp")
    ap.add_argument("--keep", default=".", help="where the image of a failure goes")
    a = ap.parse_args()
    end, done, failed, kinds = time.monotonic() + a.seconds, 0, 0, {}
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "image")
        while done < a.runs or not a.runs and time.monotonic() < end:
            seed = a.seed + done
            r = random.Random(seed)
            argv, data, kind = command(r, a.viv, a.accel, path)
            with open(path, "wb") as f:
                f.write(data)
            wrong, text = watch(argv, a.each, r)
            done += 1
            kinds[kind] = kinds.get(kind, 0) + 1
            if wrong:
                failed += 1
                kept = os.path.join(a.keep, "wild-%s-%d.bin" % (kind, seed))
                with open(kept, "wb") as f:
                    f.write(data)
                print("seed %d (%s): %s\n  %s" % (seed, kind, wrong, " ".join(argv).replace(path, kept)))
                print(text[-6000:].decode("latin-1"), flush=True)
    print("wild: seed %d, %d runs (%s), %d failed" % (
        a.seed, done, ", ".join("%s %d" % k for k in sorted(kinds.items())), failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
