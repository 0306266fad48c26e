#!/usr/bin/env python3
"""disk.py OUT.raw ROOT_DIR VMLINUZ INITRD - a bootable disk: GRUB in the MBR, one ext4 partition.

ROOT_DIR becomes the file system (mke2fs -d, so that no root and no mount is needed); the kernel and
initramfs go to /boot. GRUB's images come from the package grub-pc-bin; how they are joined is in
GRUB's manual, "Images" and "BIOS installation": boot.img in sector 0 loads diskboot.img in sector 1,
whose block list loads the rest of core.img.
"""
import os
import shutil
import struct
import subprocess
import sys

SECTOR = 512
MODULES = "biosdisk part_msdos ext2 normal linux serial terminal configfile search search_label echo test".split()
GRUB = "/usr/lib/grub/i386-pc"
PARTITION = 2048          # first sector: 1 MiB, room for core.img before it
SIZE = 128 << 20          # of the partition
CONFIG = """\
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
set default=0
menuentry "Vivarium demo" {
    linux /boot/vmlinuz root=LABEL=vivroot console=tty0 console=ttyS0 quiet
    initrd /boot/initrd.gz
}
"""


def core_image(tmp):
    path = os.path.join(tmp, "core.img")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", "(hd0,msdos1)/boot/grub", "-o", path] + MODULES,
                   check=True)
    core = bytearray(open(path, "rb").read())
    core += bytes(-len(core) % SECTOR)
    # The last 12 bytes of the first sector: where the rest lies, how long it is, where it goes.
    struct.pack_into("<QHH", core, SECTOR - 12, 2, len(core) // SECTOR - 1, 0x820)
    assert len(core) <= (PARTITION - 1) * SECTOR, "core.img does not fit before the partition"
    return core


def boot_sector():
    mbr = bytearray(open(os.path.join(GRUB, "boot.img"), "rb").read())
    struct.pack_into("<Q", mbr, 0x5c, 1)      # core.img begins in sector 1
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", PARTITION, SIZE // SECTOR)
    mbr[0x1b8:0x1bc] = b"VIVM"                # the disk's signature
    mbr[0x1be:0x1fe] = entry + bytes(48)
    mbr[0x1fe:0x200] = b"\x55\xaa"
    return mbr


def file_system(root, out):
    with open(out, "wb") as f:
        f.truncate(SIZE)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "vivroot", "-E", "root_owner=0:0", "-O", "^metadata_csum_seed",
                    "-d", root, out], check=True)


def main():
    out, root, vmlinuz, initrd = sys.argv[1:5]
    boot = os.path.join(root, "boot", "grub")
    os.makedirs(boot, exist_ok=True)
    shutil.copy(vmlinuz, os.path.join(root, "boot", "vmlinuz"))
    shutil.copy(initrd, os.path.join(root, "boot", "initrd.gz"))
    with open(os.path.join(boot, "grub.cfg"), "w") as f:
        f.write(CONFIG)
    tmp = os.path.dirname(out)
    part = out + ".part"
    file_system(root, part)
    with open(out, "wb") as f:
        f.write(boot_sector())
        f.write(core_image(tmp))
        f.seek(PARTITION * SECTOR)
        with open(part, "rb") as p:
            while True:
                data = p.read(1 << 20)
                if not data:
                    break
                if data.count(0) == len(data):
                    f.seek(len(data), 1)
                else:
                    f.write(data)
        f.truncate(PARTITION * SECTOR + SIZE)
    os.unlink(part)


main()
