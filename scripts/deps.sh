#!/bin/bash
#
# deps.sh PURPOSE... - installs the Debian packages that a purpose needs and that are missing.
#
# The one list of the project's packages. Purposes: build, run, test, bench.
# With --list it only prints the names. As root, or through sudo.
set -euo pipefail

packages_of() {
    case $1 in
    build) echo gcc libc6-dev make meson ninja-build pkg-config python3 libglib2.0-dev libjansson-dev liburing-dev zlib1g-dev libzstd-dev libgnutls28-dev nettle-dev libbz2-dev libpng-dev libvncserver-dev libwebsockets-dev node-xterm libxkbcommon-dev ;;
    run) echo xkb-data novnc seabios xz-utils zstd grub-pc-bin grub-common e2fsprogs kmod ;;
    test) echo binutils qemu-system-x86 qemu-utils seabios ovmf xz-utils zstd grub-efi-amd64-bin mtools fdisk debootstrap xorriso socat telnet tmux gdb openssl vncsnapshot tigervnc-viewer xvfb chromium chromium-driver ;;
    bench) echo qemu-system-x86 seabios xz-utils zstd ;;
    *) echo "deps.sh: unknown purpose '$1' (build, run, test, bench)" >&2; return 1 ;;
    esac
}

if [ "${1:-}" = --list ]; then
    shift
    for purpose in "$@"; do packages_of "$purpose"; done
    exit
fi

missing=()
for purpose in "$@"; do
    wanted=$(packages_of "$purpose")
    for package in $wanted; do
        # Of several architectures' copies one is enough; "ii" is installed.
        [[ " $(dpkg-query -W -f '${db:Status-Abbrev} ' "$package" 2>/dev/null)" == *" ii "* ]] || missing+=("$package")
    done
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "These packages are missing, and there is no sudo to install them: ${missing[*]}" >&2
        exit 1
    }
    sudo=(sudo)
fi
echo "Installing ${missing[*]}" >&2
install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
# Lists that are absent or old are the usual reason for a failure: fetched, and tried again.
"${install[@]}" >&2 || { "${sudo[@]}" apt-get update >&2 && "${install[@]}" >&2; }
