#!/usr/bin/env python3
"""disk.py [--efi] [--size MIB] [--title TEXT] OUT.raw ROOT_DIR VMLINUZ INITRD - a bootable disk with GRUB and ext4.

ROOT_DIR becomes the file system (mke2fs -d, so that no mount is needed); the kernel and
initramfs go to /boot. GRUB's images come from the packages grub-pc-bin and grub-efi-amd64-bin.

For BIOS they are joined as GRUB's manual says, "Images" and "BIOS installation": boot.img in
sector 0 loads diskboot.img in sector 1, whose block list loads the rest of core.img. For EFI
the disk has a GPT, and GRUB is the removable medium's default loader (UEFI 2.10, 3.5.1.1).
"""
import argparse
import os
import shutil
import struct
import subprocess

SECTOR = 512
MIB = 1 << 20
GRUB = "/usr/lib/grub"
MODULES = "normal linux ext2 serial terminal configfile search search_label echo test".split()
ESP_SIZE = 16 * MIB
SERIAL = """\
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
"""
CONFIG = """\
set timeout=1
set default=0
menuentry "%s" {
    linux /boot/vmlinuz root=LABEL=vivroot console=tty0 console=ttyS0 quiet
    initrd /boot/initrd.gz
}
"""
FIND_ROOT = "search --no-floppy --label vivroot --set=root\nset prefix=($root)/boot/grub\n"


def grub_image(platform, out, modules, *options):
    subprocess.run(["grub-mkimage", "-O", platform, "-d", os.path.join(GRUB, platform), "-o", out, *options,
                    *MODULES, *modules], check=True)


def core_image(tmp, room):
    path = os.path.join(tmp, "core.img")
    grub_image("i386-pc", path, ["biosdisk", "part_msdos"], "-p", "(hd0,msdos1)/boot/grub")
    with open(path, "rb") as f:
        core = bytearray(f.read())
    core += bytes(-len(core) % SECTOR)
    # The last 12 bytes of the first sector: where the rest lies, how long it is, where it goes.
    struct.pack_into("<QHH", core, SECTOR - 12, 2, len(core) // SECTOR - 1, 0x820)
    assert len(core) <= room, "core.img does not fit before the partition"
    return core


def boot_sector(first, count):
    with open(os.path.join(GRUB, "i386-pc", "boot.img"), "rb") as f:
        mbr = bytearray(f.read())
    struct.pack_into("<Q", mbr, 0x5c, 1)      # core.img begins in sector 1
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", first, count)
    mbr[0x1b8:0x1bc] = b"VIVM"                # the disk's signature
    mbr[0x1be:0x1fe] = entry + bytes(48)
    mbr[0x1fe:0x200] = b"\x55\xaa"
    return mbr


def system_partition(tmp):
    """A FAT file system with GRUB in it: the file's name."""
    path, loader, early = (os.path.join(tmp, name) for name in ("esp.img", "grub.efi", "early.cfg"))
    with open(early, "w") as f:
        f.write(FIND_ROOT)
    grub_image("x86_64-efi", loader, ["part_gpt", "fat"], "-c", early, "-p", "/boot/grub")
    with open(path, "wb") as f:
        f.truncate(ESP_SIZE)
    subprocess.run(["mformat", "-i", path, "::"], check=True)
    subprocess.run(["mmd", "-i", path, "::/EFI", "::/EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", path, loader, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    return path


def file_system(root, out, size):
    with open(out, "wb") as f:
        f.truncate(size)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "vivroot", "-E", "root_owner=0:0", "-O", "^metadata_csum_seed",
                    "-d", root, out], check=True)


def put(disk, offset, path):
    """Copies a file into the disk, leaving holes where it has zeros."""
    with open(path, "rb") as part:
        disk.seek(offset)
        while data := part.read(MIB):
            if data.count(0) == len(data):
                disk.seek(len(data), 1)
            else:
                disk.write(data)


def bios_disk(out, tmp, part, size):
    with open(out, "wb") as disk:
        disk.truncate(MIB + size)
        disk.write(boot_sector(MIB // SECTOR, size // SECTOR))
        disk.write(core_image(tmp, MIB - SECTOR))
        put(disk, MIB, part)


def efi_disk(out, tmp, part, size):
    with open(out, "wb") as disk:
        disk.truncate(2 * MIB + ESP_SIZE + size)
    table = "label: gpt\nstart=1MiB, size=%dMiB, type=uefi\nsize=%dMiB, type=linux\n" % (ESP_SIZE // MIB, size // MIB)
    subprocess.run(["sfdisk", "-q", out], input=table, text=True, check=True)
    with open(out, "r+b") as disk:
        put(disk, MIB, system_partition(tmp))
        put(disk, MIB + ESP_SIZE, part)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--efi", action="store_true")
    p.add_argument("--size", type=int, default=128)
    p.add_argument("--title", default="Vivarium demo")
    for name in ("out", "root", "vmlinuz", "initrd"):
        p.add_argument(name)
    a = p.parse_args()
    boot = os.path.join(a.root, "boot")
    os.makedirs(os.path.join(boot, "grub"), exist_ok=True)
    shutil.copy(a.vmlinuz, os.path.join(boot, "vmlinuz"))
    shutil.copy(a.initrd, os.path.join(boot, "initrd.gz"))
    with open(os.path.join(boot, "grub", "grub.cfg"), "w") as f:
        # EFI's console has the serial line already.
        f.write(("" if a.efi else SERIAL) + CONFIG % a.title)
    part = a.out + ".part"
    file_system(a.root, part, a.size * MIB)
    (efi_disk if a.efi else bios_disk)(a.out, os.path.dirname(a.out), part, a.size * MIB)
    os.unlink(part)


main()
