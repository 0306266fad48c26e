"""disks.py - what guests write is on the host's files, and what boots from them boots."""
import hashlib
import os
import random
import shutil

from linux import leave, poweroff, start, to_shell
from vm import Vm, run

MIB = 1 << 20
SIZE = 24 * MIB
OVMF_CODE, OVMF_VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
GUID = "5f6b1c3e-6d1f-4c62-9d0e-2f1f0a7c4b11"
CACHES = ["writeback", "none", "unsafe", "directsync", "writethrough"]
# Loads the second sector from the drive in DL, prints its text on the first serial port, stops. Interrupts are off then:
# SeaBIOS writes what it has left for the serial port from its timer's.
BOOT_CODE = bytes.fromhex("31c08ed88ec0b80102bb007eb90200b600cd13720ffabe007eac84c07406baf803eeebf5f4ebfd")


def noise(count, seed):
    return random.Random(seed).randbytes(count)


def boot_image(path, text, size=MIB):
    with open(path, "wb") as f:
        f.write(BOOT_CODE.ljust(510, b"\0") + b"\x55\xaa" + text.encode().ljust(512, b"\0"))
        f.truncate(size)
    return path


def folder(case):
    path = case.log()[:-4] + ".images"
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def make_image(path, fmt, data):
    raw = path + ".raw" if fmt != "raw" else path
    with open(raw, "wb") as f:
        f.write(data)
    if fmt != "raw":
        status, _, err = run(["qemu-img", "convert", "-O", fmt, raw, path])
        assert not status, err
        os.unlink(raw)


def contents(path, fmt):
    if fmt == "raw":
        return open(path, "rb").read()
    status, _, err = run(["qemu-img", "convert", "-f", fmt, "-O", "raw", path, path + ".out"])
    assert not status, err
    return open(path + ".out", "rb").read()


def use_disk(case, vm, dev, path, fmt, data, name):
    """Reads, writes by three ways, and what the host's file then must hold."""
    got = vm.sh("dd if=/dev/%s bs=1M iflag=direct 2>/dev/null | md5sum" % dev)[0].split()[0]
    case.equal(got, hashlib.md5(data).hexdigest(), "%s: the guest reads what the host wrote" % name)
    size = len(data) // MIB
    vm.sh("dd if=/dev/urandom of=/tmp/noise bs=1M count=2 2>/dev/null")
    for n, flags in enumerate(["oflag=direct bs=64k", "conv=fsync bs=4k", "oflag=direct bs=512 count=64"]):
        step = int(flags.split("bs=")[1].split()[0].replace("k", "")) * (1024 if "k" in flags else 1)
        _, status = vm.sh("dd if=/tmp/noise of=/dev/%s seek=%d conv=notrunc%s %s 2>/dev/null; sync" %
                          (dev, (3 + 5 * n) * MIB // step, ",fsync" if "fsync" in flags else "",
                           flags.replace("conv=fsync ", "")))
        case.equal(status, 0, "%s: dd %s" % (name, flags))
    sums = vm.sh("echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/%s bs=1M 2>/dev/null | md5sum; "
                 "md5sum < /tmp/noise" % dev)[0].split()
    return sums[0], sums[2], size


def verify(case, path, fmt, data, sums, name):
    now = contents(path, fmt)
    case.equal(len(now), len(data), "%s: length" % name)
    case.equal(hashlib.md5(now).hexdigest(), sums[0], "%s: the host reads what the guest has" % name)
    case.equal(hashlib.md5(now[3 * MIB:5 * MIB]).hexdigest(), sums[1], "%s: written with O_DIRECT" % name)
    case.equal(hashlib.md5(now[8 * MIB:10 * MIB]).hexdigest(), sums[1], "%s: written and synced" % name)
    case.check(now[:3 * MIB] == data[:3 * MIB] and now[14 * MIB:] == data[14 * MIB:], "%s: nothing else changed" % name)


def virtio_blk(fmt, device="", *args):
    """A case: one disk of each cache mode, all in one guest."""
    def case_fn(case):
        if fmt != "raw" and not shutil.which("qemu-img"):
            case.skip("no qemu-img to make the images")
            return
        top, data, options, disks = folder(case), noise(SIZE, 7), list(args), []
        for n, cache in enumerate(CACHES):
            path = os.path.join(top, "%s.%s" % (cache, fmt))
            make_image(path, fmt, data)
            options += ["-drive", "if=none,id=d%d,file=%s,format=%s,cache=%s" % (n, path, fmt, cache),
                        "-device", "virtio-blk-pci,drive=d%d,serial=disk-%s%s" % (n, cache, device)]
            disks.append((path, cache))
        sums = {}
        with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "2", *options, append="quiet") as vm:
            to_shell(vm)
            for n, (path, cache) in enumerate(disks):
                dev = "vd" + "abcde"[n]
                name = "%s, cache=%s" % (fmt, cache)
                case.equal(vm.sh("cat /sys/block/%s/serial" % dev)[0], "disk-" + cache, "%s: serial" % name)
                mode = "write through" if cache in ("directsync", "writethrough") else "write back"
                case.equal(vm.sh("cat /sys/block/%s/queue/write_cache" % dev)[0], mode, "%s: cache mode" % name)
                sums[cache] = use_disk(case, vm, dev, path, fmt, data, name)
            case.equal(vm.sh("ls /sys/block/vda/mq | wc -l")[0], "2", "a queue for each cpu")
            bad = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|I/O error|virtio.*(fail|error)'")[0]
            case.equal(bad, "", "nothing ill in the kernel's log")
            poweroff(case, vm)
        for path, cache in disks:
            verify(case, path, fmt, data, sums[cache], "%s, cache=%s" % (fmt, cache))
        shutil.rmtree(top)
    return "virtio-blk %s%s" % (fmt, " iothread" if "iothread" in device else ""), case_fn


def boot_disc(path, text):
    """An ISO 9660 image with nothing but an El Torito boot record, no emulation (its code prints `text`)."""
    code = bytes.fromhex("fa31c08ed8be187cac84c07406baf803eeebf5f4ebfd").ljust(24, b"\x90") + text.encode() + b"\0"
    primary = b"\x01CD001\x01".ljust(2048, b"\0")
    record = (b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(64, b"\0")).ljust(71, b"\0") + bytes([19, 0, 0, 0])
    catalog = bytes([1]) + bytes(27) + bytes([0, 0, 0x55, 0xaa])
    total = sum(int.from_bytes(catalog[i:i + 2], "little") for i in range(0, 32, 2)) & 0xffff
    catalog = catalog[:28] + ((0x10000 - total) & 0xffff).to_bytes(2, "little") + catalog[30:]
    catalog += bytes([0x88, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0])
    with open(path, "wb") as f:
        f.write(bytes(16 * 2048) + primary + record.ljust(2048, b"\0") + b"\xffCD001\x01".ljust(2048, b"\0") +
                catalog.ljust(2048, b"\0") + code.ljust(2048, b"\0"))
    return path


def cd_boots(case):
    """SeaBIOS starts a CD, by packets through the data port."""
    top = folder(case)
    iso = boot_disc(os.path.join(top, "boot.iso"), "this is the disc\n")
    with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "64", "-cdrom", iso, "-boot", "d"], case.log()) as vm:
        vm.expect("this is the disc")
        case.check(True, "boots")
        leave(case, vm)
    shutil.rmtree(top)


def ide(case):
    """Disks on both channels and a CD, as -hda, -hdd and -cdrom make them."""
    top, data, disc = folder(case), noise(SIZE, 9), noise(5 * MIB, 10)
    first, second, iso = (os.path.join(top, name) for name in ("a.img", "b.img", "cd.iso"))
    for path, content in ((first, data), (second, data), (iso, disc)):
        make_image(path, "raw", content)
    maker = shutil.which("genisoimage") or shutil.which("xorriso")
    if maker:
        tree = os.path.join(top, "tree")
        os.makedirs(tree)
        with open(os.path.join(tree, "hello.txt"), "w") as f:
            f.write("hello from the disc\n")
        as_iso = ["-as", "genisoimage"] if maker.endswith("xorriso") else []
        run([maker, *as_iso, "-quiet", "-R", "-o", iso, tree])
        with open(iso, "rb") as f:
            disc = f.read()
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "2",
               "-drive", "if=ide,index=0,format=raw,file=" + first,
               "-drive", "if=ide,index=3,format=raw,file=%s,cache=writethrough" % second,
               "-cdrom", iso, append="quiet") as vm:
        to_shell(vm)
        # The kernel looks at both channels at once: which disk is sda is chance.
        sums = {}
        for channel, path in ((1, first), (2, second)):
            dev = os.path.basename(vm.sh("ls -d /sys/devices/pci*/*/ata%d/*/*/*/block/sd?" % channel)[0])
            case.equal(vm.sh("cat /sys/block/%s/size" % dev)[0], str(SIZE // 512), "disk %d: size" % channel)
            case.equal(vm.sh("cat /sys/block/%s/device/model" % dev)[0].strip(), "QEMU HARDDISK", "disk %d: model" % channel)
            sums[path] = use_disk(case, vm, dev, path, "raw", data, "ide disk %d" % channel)
        case.equal(vm.sh("cat /sys/block/sr0/device/model")[0].strip(), "QEMU DVD-ROM", "CD: model")
        case.equal(vm.sh("cat /sys/block/sr0/size")[0], str(len(disc) // 512), "CD: size")
        case.equal(vm.sh("dd if=/dev/sr0 bs=64k 2>/dev/null | md5sum")[0].split()[0], hashlib.md5(disc).hexdigest(),
                   "CD: the guest reads what the host wrote")
        if maker:
            vm.sh("mkdir -p /tmp/cd; mount -t iso9660 -o ro /dev/sr0 /tmp/cd")
            case.equal(vm.sh("cat /tmp/cd/hello.txt")[0], "hello from the disc", "CD: a file on it")
            vm.sh("umount /tmp/cd")
        bad = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|sd[ab].*I/O error|ata.*(exception|failed|reset)'")[0]
        case.equal(bad, "", "nothing ill in the kernel's log")
        poweroff(case, vm)
    for path in (first, second):
        verify(case, path, "raw", data, sums[path], "ide " + os.path.basename(path))
    shutil.rmtree(top)


def boots(name, *args):
    """A case: SeaBIOS starts a boot sector from the disk, which reads another one."""
    def case_fn(case):
        top = folder(case)
        image = boot_image(os.path.join(top, "boot.img"), "second sector of %s\n" % name,
                           1440 * 1024 if "floppy" in name else MIB)
        words = [a.replace("IMAGE", image) for a in args]
        with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "64", *words], case.log()) as vm:
            vm.expect("second sector of " + name)
            case.check(True, "boots")
            leave(case, vm)
        shutil.rmtree(top)
    return "boot from " + name, case_fn


def floppy(case):
    """Debian's floppy driver: two drives, two formats, by DMA."""
    top = folder(case)
    disks = [("fd0", 1440, "144"), ("fd1", 720, "144")]
    options, data = [], {}
    for n, (dev, kib, kind) in enumerate(disks):
        path, data[dev] = os.path.join(top, dev), noise(kib * 1024, n)
        make_image(path, "raw", data[dev])
        options += ["-drive", "if=none,id=%s,format=raw,file=%s" % (dev, path),
                    "-device", "floppy,drive=%s,unit=%d,drive-type=%s" % (dev, n, kind)]
    with start(case, "amd64", "-accel", "jit", "-m", "256", *options, append="quiet") as vm:
        to_shell(vm)
        vm.sh("insmod /lib/modules/*floppy.ko")
        vm.sh("dd if=/dev/urandom of=/tmp/noise bs=1k count=100 2>/dev/null")
        noise_sum = vm.sh("md5sum < /tmp/noise")[0].split()[0]
        for dev, kib, _ in disks:
            got = vm.sh("dd if=/dev/%s bs=9k 2>/dev/null | md5sum" % dev)[0].split()[0]
            case.equal(got, hashlib.md5(data[dev]).hexdigest(), "%s: the guest reads what the host wrote" % dev)
            case.equal(vm.sh("cat /sys/block/%s/size" % dev)[0], str(kib * 2), "%s: its format is found" % dev)
            vm.sh("dd if=/tmp/noise of=/dev/%s bs=1k seek=101 conv=notrunc,fsync 2>/dev/null" % dev)
        bad = vm.sh("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|I/O error|floppy.*(timeout|error)'")[0]
        case.equal(bad, "", "nothing ill in the kernel's log")
        poweroff(case, vm)
    for dev, _, _ in disks:
        now = contents(os.path.join(top, dev), "raw")
        case.equal(hashlib.md5(now[101 * 1024:201 * 1024]).hexdigest(), noise_sum, "%s: what the guest wrote" % dev)
        case.check(now[:101 * 1024] == data[dev][:101 * 1024] and now[201 * 1024:] == data[dev][201 * 1024:],
                   "%s: nothing else changed" % dev)
    shutil.rmtree(top)


def ovmf_shell(case, variables):
    """Debian's OVMF from flash, to its shell's prompt."""
    vm = Vm([case.viv, "-nographic", "-accel", "jit", "-m", "256",
             "-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + OVMF_CODE,
             "-drive", "if=pflash,unit=1,format=raw,file=" + variables], case.log())
    vm.expect(r"UEFI Interactive Shell")
    vm.expect(r"startup\.nsh")
    vm.send("\x1b")
    vm.expect(r"Shell> ")
    return vm


def pflash(case):
    """A variable that UEFI's shell sets is there after the next start, and in the file."""
    if not os.path.exists(OVMF_CODE):
        case.skip("no " + OVMF_CODE)
        return
    top = folder(case)
    variables = shutil.copy(OVMF_VARS, os.path.join(top, "vars.fd"))
    with ovmf_shell(case, variables) as vm:
        case.check(True, "OVMF reaches its shell")
        vm.send("setvar vivarium -guid %s -nv -bs =0x5657\r" % GUID)
        vm.send("setvar vivarium -guid %s\r" % GUID)
        vm.expect(r"0002 Bytes")
        leave(case, vm)
    name = "vivarium".encode("utf-16-le")
    case.check(name in open(variables, "rb").read(), "the variable is in the file")
    with ovmf_shell(case, variables) as vm:
        vm.send("setvar vivarium -guid %s\r" % GUID)
        vm.expect(r"0002 Bytes")
        case.check(True, "the variable is there after a restart")
        leave(case, vm)
    shutil.rmtree(top)


def cases(options):
    boot = [
        boots("floppy", "-drive", "if=floppy,format=raw,file=IMAGE"),
        boots("floppy by bootindex", "-drive", "if=none,id=d,format=raw,file=IMAGE",
              "-device", "floppy,drive=d,bootindex=0,drive-type=288"),
        boots("virtio-blk", "-drive", "if=virtio,format=raw,file=IMAGE"),
        boots("virtio-blk by bootindex", "-drive", "if=none,id=d,format=raw,file=IMAGE",
              "-device", "virtio-blk-pci,drive=d,bootindex=0,addr=7,disable-legacy=on"),
        boots("ide", "-drive", "if=ide,format=raw,file=IMAGE"),
        boots("ide by bootindex", "-drive", "if=none,id=d,format=raw,file=IMAGE",
              "-device", "ide-hd,drive=d,bus=ide.1,unit=1,bootindex=0"),
    ]
    boot.append(("boot from cd", cd_boots))
    if options.list == "asan":
        return boot
    return boot + [
        ("floppy in Linux", floppy), ("pflash", pflash),
        ("ide", ide),
        virtio_blk("raw"), virtio_blk("qcow2"),
        virtio_blk("raw", ",iothread=io0", "-object", "iothread,id=io0"),
        virtio_blk("qcow2", ",iothread=io0,packed=on", "-object", "iothread,id=io0"),
    ]
