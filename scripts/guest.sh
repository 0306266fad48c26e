#!/bin/bash
#
# guest.sh GUEST... - prepares guests from Debian's packages, each in guests/GUEST/.
#
# amd64, cloud-amd64, 686, 686-pae: the stock kernel linux-image-GUEST and a small initramfs.
#     Nothing is installed and nothing of the host is changed: packages are downloaded and unpacked.
#     The i386 ones come through an apt configuration of their own under guests/.apt-i386.
# disk-amd64, disk-i386, disk-efi-amd64: disk.qcow2, which boots such a kernel through GRUB to a
#     login on the serial line and the screen; from the MBR, or as EFI's default loader.
# debian-amd64: disk.qcow2 with a whole small Debian, systemd and all, and stress-ng (needs root for debootstrap).
# installer-amd64: cd.iso, Debian's installer behind ISOLINUX.
#
# Already there: nothing is done; FRESH=1 fetches the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${VIV_GUESTS:-$PWD/guests}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
here=$PWD
all="amd64, cloud-amd64, 686, 686-pae, disk-amd64, disk-i386, disk-efi-amd64, debian-amd64, installer-amd64"
modules="drivers/acpi/button drivers/input/evdev drivers/virtio/virtio_ring drivers/virtio/virtio
    drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci
    drivers/char/hw_random/rng-core drivers/char/hw_random/virtio-rng
    drivers/block/virtio_blk drivers/block/floppy
    crypto/crct10dif_common lib/crc-t10dif lib/crc64 lib/crc64-rocksoft block/t10-pi
    drivers/scsi/scsi_common drivers/scsi/scsi_mod drivers/ata/libata drivers/ata/ata_piix
    drivers/scsi/virtio_scsi drivers/scsi/scsi_transport_spi drivers/scsi/sym53c8xx_2/sym53c8xx
    drivers/scsi/sd_mod drivers/cdrom/cdrom drivers/scsi/sr_mod fs/isofs/isofs
    drivers/mmc/core/mmc_core drivers/mmc/core/mmc_block drivers/mmc/host/cqhci
    drivers/mmc/host/sdhci drivers/mmc/host/sdhci-pci drivers/virtio/virtio_input
    drivers/char/virtio_console"

die() { echo "guest.sh: $*" >&2; exit 1; }
say() { echo "guest.sh: $*" >&2; }

root_do() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

# An apt of its own for another architecture: the host's Debian sources, nothing else of the host.
private_apt() {
    local arch=$1 dir=$cache/.apt-$1 keys=/usr/share/keyrings/debian-archive-keyring.gpg signed=
    export APT_CONFIG=$dir/apt.conf
    [ -e "$dir/ready" ] && return
    mkdir -p "$dir"/{lists/partial,archives/partial,state}
    : >"$dir/status"
    [ -e "$keys" ] && signed=" signed-by=$keys"
    env -u APT_CONFIG apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' -v o="[arch=$arch$signed]" '$1 == "Debian" { print "deb", o, $2, $3, $4 }' | sort -u >"$dir/sources.list"
    [ -s "$dir/sources.list" ] || {
        echo "guest.sh: apt knows no Debian sources to take $arch packages from; add Debian's to sources.list." >&2
        return 1
    }
    cat >"$APT_CONFIG" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$dir/state";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
Acquire::Languages "none";
END
    say "reading Debian's package lists for $arch"
    # A source that fails (a mirror in the middle of its own update) leaves the others usable.
    apt-get -q update >&2 || apt-get -q update >&2 || true
    touch "$dir/ready"
}

candidate() { apt-cache show --no-all-versions "$1" 2>/dev/null; }

# Package $1 into folder $2.
unpack() {
    local tmp
    tmp=$(mktemp -d "$cache/.download.XXXXXX")
    (cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$1" >&2) || { rm -rf "$tmp"; die "apt-get cannot download $1"; }
    mkdir -p "$2"
    dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$2" --no-same-owner "${@:3}"
    rm -rf "$tmp"
}

prepare() {
    local kernel=$1 dir=$cache/$1 arch=amd64 image work bb m
    # An initramfs of another list of modules is made anew.
    [ -e "$dir/initrd.gz" ] && [ -z "${FRESH:-}" ] && [ "$(cat "$dir/modules" 2>/dev/null)" = "$modules" ] && return
    unset APT_CONFIG
    case $kernel in
    686*) arch=i386 ;;
    esac
    if [ "$arch" != "$(dpkg --print-architecture)" ]; then
        private_apt $arch
    elif [ -z "$(candidate "linux-image-$kernel")" ]; then
        root_do apt-get -q update >&2 || true
    fi
    image=$(candidate "linux-image-$kernel" | sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p' | head -1)
    [ -n "$image" ] || die "apt knows no linux-image-$kernel; Debian's main section is needed among its sources"
    say "fetching $image"
    work=$(mktemp -d "$cache/.work.XXXXXX")
    unpack "$image" "$work"
    unpack busybox-static "$work"
    bb=$(find "$work" -path '*bin/busybox' -type f | head -1)
    local list=()
    for m in $modules; do
        m=$(find "$work" -path "*/kernel/$m.ko*" | head -1)
        [ -n "$m" ] && list+=("$m")
    done
    mkdir -p "$dir"
    cp "$work"/boot/vmlinuz-* "$dir/vmlinuz"
    echo "$image" >"$dir/name"
    python3 "$here/scripts/initramfs.py" "$dir/initrd.tmp" "$bb" "${list[@]}"
    mv "$dir/initrd.tmp" "$dir/initrd.gz"
    echo "$modules" >"$dir/modules"
    rm -rf "$work"
}

# What mounts an ext4 root on any of viv's disks, with what it needs, in the order to load.
disk_modules() {
    local work=$1 version=$2 m
    for m in virtio_pci virtio_blk virtio_scsi ata_piix ahci sym53c8xx sd_mod sr_mod crc32c_generic ext4 button evdev; do
        modprobe -d "$work" -S "$version" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++'
}

disk_root() {
    local root=$1 bb=$2 name
    mkdir -p "$root"/{bin,boot,dev,etc/acpi/PWRF,proc,root,sbin,sys,tmp,usr,var/run,var/log}
    cp "$bb" "$root/bin/busybox"
    for name in $("$bb" --list); do [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"; done
    ln -s ../bin/busybox "$root/sbin/init"
    ln -s ../proc/mounts "$root/etc/mtab"
    echo 'root::0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo vivarium >"$root/etc/hostname"
    printf 'ttyS0\ntty1\n' >"$root/etc/securetty"
    echo "export PATH=/bin HOME=/root TERM=vt100 PS1='vivarium:\\w# '" >"$root/etc/profile"
    printf '#!/bin/sh\nexec poweroff\n' >"$root/etc/acpi/PWRF/00000080"
    printf '#!/bin/sh\nexec login -f root\n' >"$root/bin/autologin"
    cat >"$root/etc/issue" <<'END'

This is a guest of Vivarium, on a disk of its own. poweroff or Ctrl-a x leaves, Ctrl-a h lists the keys.

END
    cat >"$root/etc/inittab" <<'END'
::sysinit:/etc/rc
ttyS0::respawn:/bin/getty -n -l /bin/autologin -L 115200 ttyS0 vt100
tty1::respawn:/bin/getty 38400 tty1
::ctrlaltdel:/bin/reboot
::shutdown:/bin/sync
::shutdown:/bin/umount -a -r
END
    cat >"$root/etc/rc" <<'END'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
mount -o remount,rw /
hostname -F /etc/hostname
acpid
END
    chmod 755 "$root/etc/rc" "$root/bin/autologin" "$root/etc/acpi/PWRF/00000080"
}

# There already, and nobody asked for a fresh one?
have() { [ -e "$1" ] && [ -z "${FRESH:-}" ]; }

# The disk with the folder $3 as its root: disk.py's other words follow kernel and initramfs.
put_disk() {
    local dir=$1 work=$2 img=${VIV_IMG:-$here/build/viv-img}
    shift 2
    mkdir -p "$dir"
    python3 "$here/scripts/disk.py" "${@:4}" "$work/disk.raw" "$1" "$2" "$3"
    "$img" convert -f raw -O qcow2 "$work/disk.raw" "$work/disk.qcow2"
    mv "$work/disk.qcow2" "$dir/disk.qcow2"
}

prepare_disk() {
    local guest=$1 arch=${1##*-} dir=$cache/$1 kernel=amd64 options=() image work version bb
    have "$dir/disk.qcow2" && return
    [ "$arch" = i386 ] && kernel=686
    [ "$guest" = disk-efi-amd64 ] && options=(--efi)
    prepare $kernel
    [ "$arch" = "$(dpkg --print-architecture)" ] || export APT_CONFIG=$cache/.apt-$arch/apt.conf
    image=$(cat "$cache/$kernel/name")
    version=${image#linux-image-}
    work=$(mktemp -d "$cache/.work.XXXXXX")
    unpack "$image" "$work"
    unpack busybox-static "$work"
    unset APT_CONFIG
    depmod -b "$work" "$version"
    local list=()
    mapfile -t list < <(disk_modules "$work" "$version")
    bb=$(find "$work" -path '*bin/busybox' -type f | head -1)
    python3 "$here/scripts/initramfs.py" --root "$work/initrd.gz" "$bb" "${list[@]}"
    disk_root "$work/root" "$bb"
    put_disk "$dir" "$work" "$work/root" "$work"/boot/vmlinuz-* "$work/initrd.gz" "${options[@]}"
    rm -rf "$work"
}

# Where apt fetches the host's own Debian from, and the release's name.
debian_source() {
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $4 == "main" && $3 !~ /-/ { print $3, $2; exit }'
}

prepare_debian() {
    local dir=$cache/debian-amd64 work root release mirror packages
    packages=systemd-sysv,udev,dbus,kmod,iproute2,procps,linux-image-amd64,stress-ng
    # A disk of another list of packages is made anew.
    have "$dir/disk.qcow2" && [ "$(cat "$dir/packages" 2>/dev/null)" = "$packages" ] && return
    read -r release mirror < <(debian_source) || die "apt knows no Debian source; add Debian's to sources.list"
    say "installing Debian $release into a folder; this takes some minutes"
    work=$(mktemp -d "$cache/.work.XXXXXX")
    root=$work/root
    root_do debootstrap --variant=minbase --include="$packages" "$release" "$root" "$mirror" \
        >"$dir.log" 2>&1 || die "debootstrap failed: $(tail -1 "$dir.log")"
    rm -f "$dir.log" "$root"/var/cache/apt/archives/*.deb
    passwd -R "$root" -d root >&2
    echo vivarium >"$root/etc/hostname"
    echo 'LABEL=vivroot / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
    put_disk "$dir" "$work" "$root" "$root"/boot/vmlinuz-* "$root"/boot/initrd.img-* --size 2048 --title Debian
    echo "$packages" >"$dir/packages"
    rm -rf "$work"
}

prepare_installer() {
    local dir=$cache/installer-amd64 work cd=iso/isolinux
    have "$dir/cd.iso" && return
    work=$(mktemp -d "$cache/.work.XXXXXX")
    unpack debian-installer-12-netboot-amd64 "$work" --wildcards '*/text/debian-installer/amd64/linux' '*/text/debian-installer/amd64/initrd.gz'
    unpack isolinux "$work" && unpack syslinux-common "$work"
    mkdir -p "$dir" "$work/$cd"
    find "$work/usr" \( -name linux -o -name initrd.gz -o -name isolinux.bin -o -path '*/bios/ldlinux.c32' \) -type f -exec cp {} "$work/$cd" \;
    cat >"$work/$cd/isolinux.cfg" <<'END'
serial 0 115200
say This is ISOLINUX
prompt 1
timeout 50
default install
label install
    kernel linux
    append initrd=initrd.gz console=ttyS0 quiet
END
    xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
        -boot-load-size 4 -boot-info-table -V INSTALLER -r "$work/iso"
    mv "$work/cd.iso" "$dir/cd.iso"
    rm -rf "$work"
}

# Tests that run side by side ask for the same one.
exec 9>"$cache/.lock"
flock 9

[ $# -gt 0 ] || die "which guest? $all"
for guest in "$@"; do
    case $guest in
    amd64 | cloud-amd64 | 686 | 686-pae) prepare "$guest" ;;
    disk-amd64 | disk-i386 | disk-efi-amd64) prepare_disk "$guest" ;;
    debian-amd64) prepare_debian ;;
    installer-amd64) prepare_installer ;;
    *) die "unknown guest '$guest': $all" ;;
    esac
done
