"""badinput.py - files and options that are wrong: one clear line and status 1, never a crash."""
import os
import random
import subprocess
import tempfile

from vm import run

MISSING = "/nonexistent/file"


def refuse(case, what, *args):
    try:
        status, out, err = run([case.viv, "-display", "none", "-serial", "none", "-monitor", "none", *args], 60)
    except subprocess.TimeoutExpired:
        status, out, err = 0, "", "it was taken, and the machine ran"
    lines = [l for l in err.splitlines() if l.strip()]
    case.check(status == 1 and lines and len(lines) <= 3, what, "status %d\n%s%s" % (status, out, err))


def options(case):
    for text in ("-m 0", "-m 99999999T", "-m lots", "-m -5", "-m 64x", "-smp 0", "-smp 256", "-smp -1",
                 "-smp 4,sockets=3,cores=1,threads=1", "-smp cores=0", "-smp 2,maxcpus=1", "-smp 2,kores=1",
                 "-cpu nosuchcpu", "-cpu max,+nosuchfeature", "-machine nosuch", "-machine pc,nosuch=1",
                 "-accel nosuch", "-nosuchoption", "-kernel", "-append x", "-initrd /dev/null",
                 "-numa node,cpus=7", "-numa nod", "-device nosuch", "-device isa-debug-exit,iobase=banana",
                 "-device isa-debug-exit,iobase=0x1ffff", "-serial nosuch:", "-monitor nosuch:",
                 "-rtc base=yesterday", "-uuid 12", "-smbios type=99", "-fw_cfg name=x", "-global nosuch.x=1",
                 "-boot order=z", "-readconfig " + MISSING, "-option-rom " + MISSING, "-d nosuch", "a.img b.img"):
        refuse(case, text, *text.split())


def files(case):
    rnd = random.Random(1)
    with tempfile.TemporaryDirectory() as tmp:
        def make(name, data):
            path = os.path.join(tmp, name)
            with open(path, "wb") as f:
                f.write(data)
            return path
        empty = make("empty", b"")
        noise = make("noise", rnd.randbytes(70000))
        odd = make("odd", rnd.randbytes(1000))
        for option in ("-kernel", "-bios"):
            for path in (MISSING, tmp, empty, odd):
                refuse(case, "%s %s" % (option, os.path.basename(path)), option, path)
        refuse(case, "-kernel random bytes", "-kernel", noise)
        # Headers that promise more than there is.
        setup = bytearray(1024)
        setup[0x1f1], setup[0x1fe:0x200], setup[0x202:0x206], setup[0x206:0x208] = 60, b"\x55\xaa", b"HdrS", b"\x0f\x02"
        refuse(case, "-kernel truncated bzImage", "-kernel", make("bz", setup))
        refuse(case, "-kernel truncated ELF", "-kernel", make("elf", b"\x7fELF\x02\x01\x01" + bytes(100)))
        refuse(case, "-kernel ELF for another machine", "-kernel", make("arm", b"\x7fELF\x02\x01\x01" + bytes(9) +
               b"\x02\x00\x28\x00" + bytes(100)))
        kernel = os.path.join(case.options.guests, "amd64/vmlinuz")
        if os.path.exists(kernel):
            refuse(case, "-initrd missing", "-kernel", kernel, "-initrd", MISSING)
            with open(kernel, "rb") as f:
                refuse(case, "-kernel cut after 600 bytes", "-kernel", make("cut", f.read(600)))
            refuse(case, "-dtb", "-kernel", kernel, "-dtb", empty)


def wild_firmware(case):
    """Random bytes as firmware run wild; viv must still answer its terminal's monitor."""
    rnd = random.Random(2)
    with tempfile.TemporaryDirectory() as tmp:
        for i in range(8):
            path = os.path.join(tmp, "bios%d" % i)
            with open(path, "wb") as f:
                f.write(rnd.randbytes(65536))
            with open(os.path.join(tmp, "in"), "wb") as f:
                f.write(b"info status\n" * 2000 + b"quit\n")
            with open(os.path.join(tmp, "in"), "rb") as f:
                status, out, err = run([case.viv, "-accel", "interp", "-display", "none", "-serial", "none",
                                        "-monitor", "stdio", "-bios", path], 300, f)
            case.check(status == 0 and "VM status" in out, "random firmware %d" % i,
                       "status %d\n%s%s" % (status, out[-300:], err))


def cases(options_):
    return [("bad options", options), ("bad files", files), ("wild firmware", wild_firmware)]
