"""scsi.py - disks and CDs on SCSI buses: Debian's own drivers of both adapters, and SeaBIOS, boot and use them."""
import hashlib
import os
import shutil

from demo import demo_disk, login
from disks import MIB, boot_disc, boots, folder, make_image, noise, use_disk, verify
from linux import CTRL_A, poweroff, start, to_shell
from vm import Vm

SIZE = 24 * MIB
ILL = "dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|I/O error|Sense Key|sym0.*(suspicious|error|abort|RESET)|virtio.*(fail|error)'"


def disk_at(vm, address):
    """The name of the disk at target:lun of the one SCSI host that is not ATA's."""
    return vm.sh("ls /sys/bus/scsi/devices/%s/block" % address)[0].strip()


def host(vm, name):
    return vm.sh("grep -l %s /sys/class/scsi_host/*/proc_name" % name)[0].split("/")[4][4:]


def discard(case, vm, dev, name):
    """fstrim's way: the range reads as zeroes afterwards (WRITE SAME or UNMAP)."""
    limit = vm.sh("cat /sys/block/%s/queue/discard_max_bytes" % dev)[0]
    case.check(int(limit) > 0, "%s: discards are offered" % name, limit)
    _, status = vm.sh("blkdiscard -o %d -l %d /dev/%s" % (20 * MIB, MIB, dev))
    case.equal(status, 0, "%s: blkdiscard" % name)
    text = vm.sh("dd if=/dev/%s bs=1M skip=20 count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c" % dev)[0]
    case.equal(text, "0", "%s: what was discarded reads as zeroes" % name)


def look(case, vm, base):
    """What INQUIRY and mode pages say, as the kernel shows it."""
    model = [vm.sh("cat /sys/bus/scsi/devices/%s/%s" % (base, f))[0].strip() for f in ("vendor", "model", "rev", "scsi_level")]
    case.equal(model, ["Acme", "Winchester", "7.2", "6"], "vendor, product, version, level")
    page = vm.sh("tail -c +5 /sys/bus/scsi/devices/%s/vpd_pg80" % base)[0]
    case.equal(page, "serial-1", "serial number page")
    case.equal(vm.sh("cat /sys/bus/scsi/devices/%s/wwid" % base)[0], "naa.5000c50015ea71ac", "world-wide name")


def use(case, name, driver, adapter, *args):
    """Two disks (raw write-back, qcow2 write-through) and a CD; written, flushed, discarded, read by the host."""
    top, data, disc = folder(case), noise(SIZE, 21), noise(3 * MIB, 22)
    first, second, iso = (os.path.join(top, n) for n in ("a.img", "b.qcow2", "cd.iso"))
    make_image(first, "raw", data)
    fmt = "qcow2" if shutil.which("qemu-img") else "raw"
    make_image(second, fmt, data)
    make_image(iso, "raw", disc)
    options = ["-device", adapter + ",id=hba", *args,
               "-drive", "if=none,id=a,file=%s,format=raw,discard=unmap" % first,
               "-device", "scsi-hd,bus=hba.0,scsi-id=1,drive=a,serial=serial-1,vendor=Acme,product=Winchester,ver=7.2,"
               "wwn=0x5000c50015ea71ac,rotation_rate=1,write-cache=on",
               "-drive", "if=none,id=b,file=%s,format=%s,cache=writethrough" % (second, fmt),
               "-device", "scsi-hd,bus=hba.0,scsi-id=3,drive=b,physical_block_size=4096",
               "-drive", "if=none,id=c,file=%s,format=raw,media=cdrom,readonly=on" % iso,
               "-device", "scsi-cd,bus=hba.0,scsi-id=5,drive=c"]
    with start(case, "amd64", "-accel", "jit", "-m", "256", "-smp", "2", *options, append="quiet") as vm:
        to_shell(vm)
        n = host(vm, driver)
        names = [disk_at(vm, "%s:0:%d:0" % (n, t)) for t in (1, 3)]
        look(case, vm, "%s:0:1:0" % n)
        for dev, mode, physical in ((names[0], "write back", "512"), (names[1], "write through", "4096")):
            queue = "/sys/block/%s/queue/" % dev
            case.equal(vm.sh("cat %swrite_cache" % queue)[0], mode, "%s: cache mode" % dev)
            case.equal(vm.sh("cat %sphysical_block_size" % queue)[0], physical, "%s: physical block" % dev)
        case.equal(vm.sh("cat /sys/block/%s/queue/rotational" % names[0])[0], "0", "rotation_rate=1: not rotational")
        discard(case, vm, names[0], name)
        holed = data[:20 * MIB] + bytes(MIB) + data[21 * MIB:]
        sums = [use_disk(case, vm, names[0], first, "raw", holed, name + " raw"),
                use_disk(case, vm, names[1], second, fmt, data, name + " " + fmt)]
        # The guest turns the cache off and on (MODE SELECT).
        kind = "/sys/class/scsi_disk/%s:0:1:0/cache_type" % n
        vm.sh("echo 'write through' > " + kind)
        case.equal(vm.sh("cat " + kind)[0], "write through", "MODE SELECT turns the cache off")
        vm.sh("echo 'write back' > " + kind)
        case.equal(vm.sh("cat " + kind)[0], "write back", "and on")
        cd = disk_at(vm, "%s:0:5:0" % n)
        case.equal(vm.sh("cat /sys/block/%s/device/model" % cd)[0].strip(), "QEMU CD-ROM", "CD: model")
        case.equal(vm.sh("dd if=/dev/%s bs=64k 2>/dev/null | md5sum" % cd)[0].split()[0], hashlib.md5(disc).hexdigest(),
                   "CD: the guest reads what the host wrote")
        case.equal(vm.sh(ILL)[0], "", "nothing ill in the kernel's log")
        poweroff(case, vm)
    verify(case, first, "raw", holed, sums[0], name + " raw")
    verify(case, second, fmt, data, sums[1], name + " " + fmt)
    shutil.rmtree(top)


def brief(case, name, driver, adapter):
    """One disk and the CD: what was written is what the host finds."""
    top, data, size = folder(case), noise(2 * MIB, 23), 2 * MIB
    disk, iso = os.path.join(top, "a.img"), os.path.join(top, "cd.iso")
    make_image(disk, "raw", data)
    make_image(iso, "raw", data)
    with start(case, "amd64", "-accel", "jit", "-m", "128", "-device", adapter,
               "-drive", "if=none,id=a,format=raw,file=" + disk, "-device", "scsi-hd,scsi-id=1,drive=a",
               "-drive", "if=none,id=c,format=raw,media=cdrom,file=" + iso, "-device", "scsi-cd,scsi-id=5,drive=c",
               append="quiet") as vm:
        to_shell(vm)
        n = host(vm, driver)
        hd, cd = [disk_at(vm, "%s:0:%d:0" % (n, t)) for t in (1, 5)]
        for dev in (hd, cd):
            case.equal(vm.sh("dd if=/dev/%s bs=64k 2>/dev/null | md5sum" % dev)[0].split()[0], hashlib.md5(data).hexdigest(),
                       "%s: %s: the guest reads what the host wrote" % (name, dev))
        vm.sh("dd if=/dev/%s of=/dev/%s bs=256k skip=1 count=4 oflag=direct 2>/dev/null" % (cd, hd))
        case.equal(vm.sh(ILL)[0], "", "nothing ill in the kernel's log")
        poweroff(case, vm)
    with open(disk, "rb") as f:
        case.check(f.read() == data[MIB // 4:MIB + MIB // 4] + data[MIB:size], "%s: the host reads what the guest wrote" % name)
    shutil.rmtree(top)


def used(name, driver, adapter, *args):
    return "%s in Linux" % name, lambda case: use(case, name, driver, adapter, *args)


def cd_boots(name, *args):
    def case_fn(case):
        top = folder(case)
        iso = boot_disc(os.path.join(top, "boot.iso"), "this is the disc\n")
        words = [a.replace("IMAGE", iso) for a in args]
        with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "64", *words], case.log()) as vm:
            vm.expect("this is the disc")
            case.check(True, "boots")
            vm.send(CTRL_A + "x")
            case.equal(vm.wait(), 0, "Ctrl-a x ends viv with status 0")
        shutil.rmtree(top)
    return "boot from a CD on " + name, case_fn


def demo(name, *args):
    """The demo disk, to its shell by this adapter, leaving the image as it was."""
    def case_fn(case):
        image = demo_disk(case, "amd64")
        words = [a.replace("IMAGE", image) for a in args]
        with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "256", "-snapshot", *words], case.log()) as vm:
            login(vm)
            case.check("/dev/sda1" in vm.sh("cat /proc/mounts")[0], "the root file system is on /dev/sda1")
            vm.sh("dd if=/dev/urandom of=/root/kept bs=64k count=32 2>/dev/null; sync")
            before = vm.sh("md5sum < /root/kept")[0]
            case.equal(vm.sh("echo 3 > /proc/sys/vm/drop_caches; md5sum < /root/kept")[0], before, "what was written is read")
            poweroff(case, vm)
    return "demo disk on " + name, case_fn


NONE = ["-drive", "if=none,id=d,format=raw,file=IMAGE"]
QCOW2 = ["-drive", "if=none,id=d,format=qcow2,file=IMAGE"]
VIRTIO = ["-device", "virtio-scsi-pci,id=scsi0"]


def cases(options):
    boot = [
        boots("virtio-scsi", *VIRTIO, *NONE, "-device", "scsi-hd,drive=d,bus=scsi0.0"),
        boots("virtio-scsi by bootindex", "-device", "virtio-scsi-pci,addr=9,disable-legacy=on", *NONE,
              "-device", "scsi-hd,drive=d,scsi-id=4,lun=3,bootindex=0"),
        cd_boots("virtio-scsi", *VIRTIO, "-drive", "if=none,id=d,media=cdrom,format=raw,file=IMAGE",
                 "-device", "scsi-cd,drive=d,bootindex=0"),
    ]
    boot += [
        boots("if=scsi", "-drive", "if=scsi,format=raw,file=IMAGE"),
        boots("lsi by bootindex", "-device", "lsi,addr=9", *NONE, "-device", "scsi-hd,drive=d,scsi-id=4,bootindex=0"),
        cd_boots("if=scsi", "-drive", "if=scsi,index=8,media=cdrom,format=raw,file=IMAGE", "-boot", "d"),
    ]
    if options.list == "asan":
        return boot
    quick = boot + [
        ("lsi53c895a in Linux, briefly", lambda case: brief(case, "lsi53c895a", "sym53c8xx", "lsi53c895a")),
        used("virtio-scsi", "virtio_scsi", "virtio-scsi-pci"),
    ]
    if options.list == "quick":
        return quick
    return quick + [
        used("virtio-scsi with an I/O thread", "virtio_scsi", "virtio-scsi-pci,iothread=io0,num_queues=2,packed=on",
             "-object", "iothread,id=io0"),
        used("lsi53c895a", "sym53c8xx", "lsi53c895a"),
        demo("if=scsi", "-drive", "if=scsi,format=qcow2,file=IMAGE"),
        demo("virtio-scsi", *VIRTIO, *QCOW2, "-device", "scsi-hd,drive=d,bus=scsi0.0,bootindex=0"),
    ]
