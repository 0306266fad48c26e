#!/usr/bin/env python3
"""initramfs.py [--root] OUT.gz BUSYBOX [MODULE...] - packs the guest's first file system.

With --root it only looks for the real one (root=LABEL=...) and goes on there.

A "newc" cpio archive (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)
with busybox as /init, written here so that device nodes need no root.
"""
import gzip
import lzma
import os
import subprocess
import sys

INITTAB = """\
::sysinit:/etc/rc
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/bin/reboot
::shutdown:/bin/sync
"""
RC = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
echo 3 > /proc/sys/kernel/printk
# The floppy driver waits long for a controller that is not there: by hand where it is wanted.
for m in /lib/modules/*.ko; do case $m in *floppy*) ;; *) [ -e "$m" ] && insmod "$m" ;; esac; done
hostname vivarium
[ -e /dev/input/event0 ] && [ -d /etc/acpi ] && acpid
cat <<END

Linux $(uname -r) on $(uname -m), $(nproc) cpu(s), $(awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo) MiB
This is a guest of Vivarium. poweroff or Ctrl-a x leaves, Ctrl-a h lists the keys.

END
"""
ROOT_INIT = """\
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for m in /lib/modules/*.ko; do insmod "$m"; done
label=$(sed -n 's/.*root=LABEL=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    root=$(findfs "LABEL=$label" 2>/dev/null) && break
    sleep 0.5
done
mkdir -p /mnt
mount -t ext4 "$root" /mnt || { echo "no root file system '$label'"; exec sh; }
umount /proc /sys
mount --move /dev /mnt/dev
exec switch_root /mnt /sbin/init
"""
PROFILE = "export PATH=/bin HOME=/ TERM=vt100 PS1='vivarium:\\w# '\n"
POWER = "#!/bin/sh\nexec poweroff\n"


class Cpio:
    def __init__(self):
        self.out = bytearray()
        self.ino = 1

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.ino += 1
        raw = name.encode() + b"\0"
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        self.out += b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        self.pad()
        self.out += data
        self.pad()

    def pad(self):
        self.out += bytes(-len(self.out) % 4)

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, text, mode=0o644):
        self.add(name, 0o100000 | mode, text if isinstance(text, bytes) else text.encode())

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())


def module_bytes(path):
    raw = open(path, "rb").read()
    if path.endswith(".xz"):
        return lzma.decompress(raw)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    return raw


def main():
    words = sys.argv[1:]
    root = words[0] == "--root"
    out, busybox, modules = words[root], words[root + 1], words[root + 2:]
    c = Cpio()
    for name in ("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "lib", "lib/modules", "proc", "root",
                 "sbin", "sys", "tmp", "var", "var/run", "var/log"):
        c.folder(name)
    c.add("dev/console", 0o020600, rdev=(5, 1))
    c.add("dev/null", 0o020666, rdev=(1, 3))
    c.file("bin/busybox", open(busybox, "rb").read(), 0o755)
    applets = subprocess.run([busybox, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            c.link("bin/" + applet, "busybox")
    if root:
        c.file("init", ROOT_INIT, 0o755)
    else:
        c.link("init", "bin/busybox")
    c.link("sbin/init", "../bin/busybox")
    c.file("etc/inittab", INITTAB)
    c.file("etc/rc", RC, 0o755)
    c.file("etc/profile", PROFILE)
    c.file("etc/acpi/PWRF/00000080", POWER, 0o755)
    for i, path in enumerate(modules):
        base = os.path.basename(path)
        c.file("lib/modules/%02d-%s.ko" % (i, base[:base.index(".ko")]), module_bytes(path))
    c.add("TRAILER!!!", 0)
    with open(out, "wb") as f:
        f.write(gzip.compress(bytes(c.out), 6, mtime=0))


main()
