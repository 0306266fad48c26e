"""demo.py - the demo disk: GRUB from the MBR, a Debian kernel, an ext4 root, on every kind of drive."""
import hashlib
import os
import shutil

from disks import CACHES, folder
from linux import leave, poweroff, prepare
from vm import Vm, run


def demo_disk(case, arch):
    prepare(case, "disk-" + arch)
    return os.path.join(case.options.guests, "disk-" + arch, "disk.qcow2")


def login(vm):
    vm.expect("root login on 'ttyS0'|built-in shell")
    vm.expect(r"vivarium:\S* ")


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def boot(name, arch, root, *args):
    """A case: to the shell, a file written; it is there after a reboot; power off; the image is sound."""
    def case_fn(case):
        top = folder(case)
        image = shutil.copy(demo_disk(case, arch), top)
        words = [a.replace("IMAGE", image) for a in args]
        with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "256", *words], case.log()) as vm:
            login(vm)
            case.check(root in vm.sh("cat /proc/mounts")[0], "the root file system is on " + root)
            vm.sh("dd if=/dev/urandom of=/root/kept bs=64k count=32 2>/dev/null; sync")
            before = vm.sh("md5sum < /root/kept")[0]
            refused = run([case.viv, "-nographic", "-accel", "jit", *words])
            case.check(refused[0] == 1 and "lock" in refused[2], "a second viv on the image is refused", refused[2])
            vm.send("reboot\n")
            login(vm)
            case.equal(vm.sh("md5sum < /root/kept")[0], before, "what was written survives the reboot")
            poweroff(case, vm)
        img = os.path.join(os.path.dirname(os.path.abspath(case.viv)), "viv-img")
        status, out, err = run([img, "check", image])
        case.equal(status, 0, "the image is sound")
        shutil.rmtree(top)
    return "demo disk %s" % name, case_fn


def snapshot(case):
    top = folder(case)
    image = shutil.copy(demo_disk(case, "amd64"), top)
    before = digest(image)
    with Vm([case.viv, "-nographic", "-accel", "jit", "-m", "256", "-snapshot", "-hda", image], case.log()) as vm:
        login(vm)
        vm.sh("echo gone > /root/kept; sync")
        case.equal(vm.sh("cat /root/kept")[0], "gone", "the guest sees what it wrote")
        leave(case, vm)
    case.equal(digest(image), before, "snapshot=on leaves the file untouched")
    shutil.rmtree(top)


def cases(options):
    hda = ["-hda", "IMAGE"]
    if options.list == "asan":
        return []
    quick = [boot("amd64 -hda", "amd64", "/dev/sda1", *hda), ("demo disk -snapshot", snapshot),
             boot("amd64 virtio cache=none", "amd64", "/dev/vda1", "-drive", "file=IMAGE,if=virtio,media=disk,cache=none,format=qcow2")]
    if options.list == "quick":
        return quick
    return quick + [boot("i386 -hda -smp 2", "i386", "/dev/sda1", "-smp", "2", *hda)] + [
        boot("%s virtio cache=%s" % (arch, cache), arch, "/dev/vda1", "-drive", "file=IMAGE,if=virtio,format=qcow2,cache=" + cache)
        for arch in ("amd64", "i386") for cache in CACHES]
