#!/usr/bin/env python3
"""`info block` of viv and of QEMU, the same machines side by side; TAP on stdout.

usage: test-info-block.py VIV
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

VIV, QEMU = sys.argv[1], shutil.which('qemu-system-x86_64')
LSI, VIRTIO = ['-device', 'lsi'], ['-device', 'virtio-scsi-pci,id=s']


def machines(disk, other):
    raw = ['-drive', 'if=none,id=d,format=raw,file=' + disk]
    node = ['-blockdev', 'driver=raw,node-name=n,file.driver=file,file.filename=' + other]
    cd = ['-drive', 'if=none,id=c,media=cdrom,format=raw,file=' + other]
    return {
        'a SCSI disk with an id': VIRTIO + raw + ['-device', 'scsi-hd,drive=d,id=disk0'],
        'a SCSI disk without': LSI + raw + ['-device', 'scsi-hd,drive=d'],
        'a SCSI disk of a node': LSI + node + ['-device', 'scsi-hd,drive=n,id=x'],
        'empty SCSI CD drives': VIRTIO + ['-device', 'scsi-cd', '-device', 'virtio-rng-pci', '-device', 'scsi-cd,id=q'],
        'a SCSI CD': VIRTIO + cd + ['-device', 'scsi-cd,drive=c'],
        'nothing by default': ['-nodefaults'] + LSI + ['-device', 'scsi-cd'],
        'no CD drive beside a SCSI disk': LSI + node + ['-device', 'scsi-hd,drive=n'],
        'no CD drive where -global names one': ['-global', 'scsi-hd.ver=1'] + VIRTIO,
        'IDE': raw + ['-device', 'ide-hd,drive=d', '-device', 'ide-cd,id=cd,unit=1', '-device', 'ide-cd,bus=ide.0'],
        'virtio-blk': raw + node + ['-device', 'virtio-blk-pci,drive=d', '-device', 'virtio-blk-pci-transitional,drive=n,id=x'],
        'if=virtio': ['-device', 'virtio-rng-pci', '-drive', 'if=virtio,format=raw,file=' + disk],
        'a floppy drive': raw + ['-device', 'floppy,drive=d,id=fl'],
    }


def ask(argv):
    """What `info block` prints, or why there is no machine."""
    r = subprocess.run(argv, input='info block\nquit\n', capture_output=True, text=True, timeout=60)
    text = re.sub(r'\x1b\[[^a-zA-Z]*[a-zA-Z]|\r', '', r.stdout)
    lines = [line for line in text.splitlines()[1:] if not line.startswith('(qemu) ')]
    return '\n'.join(lines).strip() + r.stderr


def same(text):
    """Without what cannot be the same: names of nodes and of the board's own devices, QEMU's SD slot."""
    text = re.sub(r'#block\d+', '#block', text)
    text = re.sub(r'(Attached to: +)(/machine/unattached/device\[\d+\]|floppy|ide-cd)$', r'\1the board', text, flags=re.M)
    return re.sub(r'\n*sd0: .*\n.*tray closed', '', text).strip()


def main():
    if not QEMU:
        print('1..0 # SKIP qemu-system-x86_64 is not installed')
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix='viv-info-') as top:
        images = [os.path.join(top, n) for n in ('a.img', 'b.img')]
        for image in images:
            with open(image, 'wb') as f:
                f.truncate(1 << 20)
        table = machines(*images)
        print('1..%d' % len(table))
        for number, (name, args) in enumerate(table.items(), 1):
            common = ['-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', '-serial', 'none'] + args
            ours, theirs = same(ask([VIV, '-accel', 'interp'] + common)), same(ask([QEMU, '-accel', 'tcg'] + common))
            good = ours == theirs and ours
            failed += not good
            print('%s %d - info block: %s' % ('ok' if good else 'not ok', number, name), flush=True)
            if not good:
                print('# ' + ('viv:\n%s\nQEMU:\n%s' % (ours, theirs)).replace('\n', '\n# '))
    return failed > 0


sys.exit(main())
