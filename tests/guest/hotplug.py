"""hotplug.py - Debian's kernel finds PCI devices that come while it runs, and lets them go."""
import os
import tempfile

from linux import start, to_shell
from pointers import Qmp

WAIT = "for i in $(seq 60); do %s && break; sleep 0.5; done; "


def hotplug(case):
    with tempfile.TemporaryDirectory() as folder:
        path, disk = os.path.join(folder, "qmp"), os.path.join(folder, "disk.raw")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        with start(case, "amd64", "-m", "256", "-qmp", "unix:%s,server=on,wait=off" % path, append="quiet") as vm:
            to_shell(vm)
            qmp = Qmp(path)
            vm.sh("dmesg -c > /dev/null")
            before = vm.sh("ls /sys/bus/pci/devices")[0].split()

            def say(line):
                return qmp.command("human-monitor-command", **{"command-line": line})
            case.equal(say("drive_add 0 if=none,id=spare,format=raw,file=" + disk), "OK\r\n", "drive_add")
            case.equal(say("device_add virtio-blk-pci,drive=spare,id=disk1"), "", "device_add of a disk")
            case.equal(vm.sh(WAIT % "[ -e /dev/vda ]" + "cat /sys/block/vda/size")[0], "2048", "the guest has the disk")
            vm.sh("echo hello | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null")
            qmp.command("device_add", driver="virtio-rng-pci", id="rng1")
            case.equal(vm.sh(WAIT % "[ $(ls /sys/bus/pci/devices | wc -l) = %d ]" % (len(before) + 2) +
                             "ls /sys/bus/pci/devices | wc -l")[0], str(len(before) + 2), "two slots are filled")
            qmp.command("device_del", id="disk1")
            qmp.command("device_del", id="rng1")
            case.equal(vm.sh(WAIT % "[ $(ls /sys/bus/pci/devices | wc -l) = %d ]" % len(before) +
                             "sleep 1; ls /sys/bus/pci/devices")[0].split(), before, "the guest lets both go")
            gone = {qmp.wait("DEVICE_DELETED")["data"]["device"] for _ in range(2)}
            case.equal(gone, {"disk1", "rng1"}, "DEVICE_DELETED")
            case.check("spare" not in [d["device"] for d in qmp.command("query-block")], "the drive went with its device")
            with open(disk, "rb") as f:
                case.equal(f.read(6), b"hello\n", "what was written is there")
            case.equal(vm.sh("dmesg | grep -iE 'error|fail|oops|warn'")[0], "", "nothing ill in the kernel's log")


def cases(options):
    return [] if options.list == "asan" else [("hot plug", hotplug)]
