"""boots.py - what the machine starts from: order, once, menu, EFI, Debian's installer, a whole Debian."""
import os
import re
import shutil
import subprocess

from demo import login
from disks import OVMF_CODE, OVMF_VARS, boot_disc, boot_image, folder
from linux import CTRL_A, leave, poweroff, prepare
from vm import PATIENCE, Vm, run


def viv(case, *args, mem="256"):
    return Vm([case.viv, "-nographic", "-accel", "jit", "-m", mem, *args], case.log())


def media(case):
    top = folder(case)
    return top, boot_image(os.path.join(top, "disk.img"), "this is the disk\n"), \
        boot_disc(os.path.join(top, "cd.iso"), "this is the disc\n")


def once(case):
    """The CD the first time, the disk after a reset; with order= and without."""
    top, disk, disc = media(case)
    for words in ("once=d", "order=c,once=d"):
        with viv(case, "-drive", "file=%s,format=raw" % disk, "-cdrom", disc, "-boot", words) as vm:
            vm.expect("this is the disc")
            vm.send(CTRL_A + "c")
            vm.expect(r"\(qemu\) ")
            vm.send("system_reset\n")
            vm.expect(r"\(qemu\) ")
            vm.send(CTRL_A + "c")
            vm.expect("this is the disk")
            case.check(True, "-boot %s goes back to the disk" % words)
            leave(case, vm)
    shutil.rmtree(top)


def menu(case):
    """SeaBIOS's menu lists what there is, and starts what is chosen."""
    top, disk, disc = media(case)
    with viv(case, "-drive", "file=%s,format=raw" % disk, "-cdrom", disc, "-boot", "menu=on,splash-time=60000") as vm:
        vm.expect("Press ESC for boot menu")
        vm.send("\x1b")
        text = vm.expect("Select boot device:(.*?)Legacy option rom|Select boot device:(.*?DVD[^\n]*)").group(0)
        case.check("QEMU HARDDISK" in text, "the disk is listed", text)
        number = re.search(r"(\d)\. DVD", text)
        case.check(number, "the CD is listed", text)
        vm.send(number.group(1))
        vm.expect("this is the disc")
        case.check(True, "the chosen one starts")
        leave(case, vm)
    shutil.rmtree(top)


def drives_of(program, args):
    """Which drive is where, as `info block` names them."""
    words = [program, "-S", "-nodefaults", "-display", "none", "-monitor", "stdio", *args]
    if "qemu" not in program:
        words += ["-accel", "jit"]
    p = subprocess.run(words, input="info block\nquit\n", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                       timeout=PATIENCE)
    return re.findall(r"^(\w+-?\w+)(?: \(#\w+\))?: (\[not inserted\]|\S+)", p.stdout, re.M)


def numbering(case):
    """Two disks and two CDs in every mix are the drives that QEMU makes of them."""
    if not shutil.which("qemu-system-x86_64"):
        case.skip("no qemu-system-x86_64 to compare with")
        return
    top = folder(case)
    names = dict((n, boot_image(os.path.join(top, n), n)) for n in "abcd")

    def drive(name, words):
        return ["-drive", "format=raw,file=%s,%s" % (names[name], words)]
    mixes = [
        drive("a", "media=disk") + drive("b", "media=disk") + drive("c", "media=cdrom") + drive("d", "media=cdrom"),
        drive("c", "media=cdrom") + drive("a", "media=disk") + drive("d", "media=cdrom") + drive("b", "media=disk"),
        ["-hdb", names["b"], "-cdrom", names["c"], "-hda", names["a"]] + drive("d", "media=cdrom"),
        drive("a", "index=3") + drive("b", "index=1") + drive("c", "media=cdrom,index=0") + drive("d", "media=cdrom"),
        drive("a", "bus=1,unit=1") + drive("b", "if=virtio") + drive("c", "if=virtio") + drive("d", "if=floppy"),
    ]
    for n, mix in enumerate(mixes):
        case.equal(drives_of(case.viv, mix), drives_of("qemu-system-x86_64", mix), "mix %d" % n)
    shutil.rmtree(top)


def efi_disk(case):
    """OVMF from flash, its boot manager, GRUB from the system partition, Linux, ext4."""
    if not os.path.exists(OVMF_CODE):
        case.skip("no " + OVMF_CODE)
        return
    prepare(case, "disk-efi-amd64")
    top = folder(case)
    image = shutil.copy(os.path.join(case.options.guests, "disk-efi-amd64/disk.qcow2"), top)
    variables = shutil.copy(OVMF_VARS, os.path.join(top, "vars.fd"))
    flash = ["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + OVMF_CODE,
             "-drive", "if=pflash,unit=1,format=raw,file=" + variables]
    other = boot_image(os.path.join(top, "other.img"), "not this one\n")
    with viv(case, *flash, "-drive", "if=none,id=o,format=raw,file=" + other, "-device", "virtio-blk-pci,drive=o,bootindex=2",
             "-drive", "if=none,id=d,file=" + image, "-device", "virtio-blk-pci,drive=d,bootindex=1", mem="512") as vm:
        login(vm)
        case.check("/dev/vdb2 / ext4" in vm.sh("cat /proc/mounts")[0], "the disk with the first bootindex is started")
        case.equal(vm.sh("ls -d /sys/firmware/efi")[0], "/sys/firmware/efi", "Linux was started by EFI")
        vm.sh("dd if=/dev/urandom of=/root/kept bs=64k count=4 2>/dev/null; sync")
        before = vm.sh("md5sum < /root/kept")[0]
        vm.send("reboot\n")
        login(vm)
        case.equal(vm.sh("md5sum < /root/kept")[0], before, "what was written survives the reboot")
        poweroff(case, vm)
    shutil.rmtree(top)


def installer(case):
    """Debian's installer from -cdrom, with a fresh disk beside it, to its first question."""
    prepare(case, "installer-amd64")
    top = folder(case)
    disk = os.path.join(top, "disk.qcow2")
    img = os.path.join(os.path.dirname(os.path.abspath(case.viv)), "viv-img")
    status, _, err = run([img, "create", "-q", "-o", "size=20G,preallocation=metadata", "-f", "qcow2", disk])
    case.equal((status, err), (0, ""), "viv-img makes the disk")
    with viv(case, "-hda", disk, "-cdrom", os.path.join(case.options.guests, "installer-amd64/cd.iso"),
             "-boot", "once=d", mem="1024") as vm:
        vm.expect("This is ISOLINUX")
        vm.expect("Select a language")
        case.check(True, "asks for the language")
        leave(case, vm)
    shutil.rmtree(top)


def debian(case, cpus):
    """A whole Debian to its login, nothing failed, and down again."""
    prepare(case, "debian-amd64")
    top = folder(case)
    image = shutil.copy(os.path.join(case.options.guests, "debian-amd64/disk.qcow2"), top)
    with viv(case, "-smp", cpus, "-drive", "file=%s,if=virtio,media=disk,cache=writeback,format=qcow2" % image,
             mem="512") as vm:
        vm.expect("vivarium login: ")
        vm.send("root\n")
        vm.expect(r"vivarium:\S* ")
        case.equal(vm.sh("systemctl is-system-running --wait; systemctl --failed -q")[0], "running", "nothing failed to start")
        case.equal(vm.sh("nproc")[0], cpus, "its processors")
        vm.send("poweroff\n")
        case.equal(vm.wait(), 0, "poweroff ends viv with status 0")
    img = os.path.join(os.path.dirname(os.path.abspath(case.viv)), "viv-img")
    case.equal(run([img, "check", image])[0], 0, "the image is sound")
    shutil.rmtree(top)


def cases(options):
    quick = [("boot once", once), ("boot menu", menu), ("drive numbering", numbering)]
    slow = [("efi disk", efi_disk), ("debian installer", installer),
            ("debian", lambda case: debian(case, "1")), ("debian smp", lambda case: debian(case, "2"))]
    return {"asan": quick[:2], "quick": quick, "full": quick + slow}[options.list]
