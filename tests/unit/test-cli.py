#!/usr/bin/env python3
"""Command line, terminal and monitor of viv, as a user meets them; TAP on stdout.

usage: test-cli.py VIV VIV-CHECK
"""
import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

VIV, CHECK = sys.argv[1], sys.argv[2]
count = 0
failed = 0


def ok(good, name, note=''):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good and note:
        print('# ' + str(note).replace('\n', '\n# '), flush=True)


def run(args, **kw):
    return subprocess.run([VIV] + args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **kw)


def test_share_rw():
    """share-rw=on of both sides lets two machines have one image; without it the second is refused."""
    with tempfile.NamedTemporaryFile(prefix='viv-share-') as image:
        image.truncate(1 << 20)
        file = f'driver=file,filename={image.name},node-name='
        forms = {'drive': ['-drive', f'if=none,id=d,file={image.name},format=raw'],
                 'file': ['-blockdev', file + 'd'],
                 'raw': ['-blockdev', file + 'f', '-blockdev', 'driver=raw,file=f,node-name=d']}
        for form, words in forms.items():
            for word in ('on', 'off'):
                share_rw_case(form, words, word, image.name)


def share_rw_case(form, words, word, image):
    base = [VIV, '-S', '-nographic', '-monitor', 'stdio', '-serial', 'null']
    device = ['-device', f'ide-hd,drive=d,share-rw={word}']
    first = subprocess.Popen(base + words + device, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    os.read(first.stdout.fileno(), 100) # its monitor speaks: the image is open
    second = subprocess.run(base + words + ['-device', f'virtio-blk-pci,drive=d,share-rw={word}'], input=b'quit\n',
                            capture_output=True, timeout=60)
    spare = subprocess.run(base + words, input=b'quit\n', capture_output=True, timeout=60)
    qemu_io = shutil.which('qemu-io')
    other = qemu_io and subprocess.run([qemu_io, '-f', 'raw', '-c', 'write 0 512', image], capture_output=True,
                                       timeout=60)
    first.communicate(b'quit\n', timeout=60)
    free = word == 'on'
    ok((second.returncode == 0) == free, f'{form}, share-rw={word}: a second machine', second.stderr)
    ok(free or b'Failed to get "write" lock' in second.stderr, f'{form}, share-rw={word}: what it says', second.stderr)
    ok((spare.returncode == 0) == free, f'{form}, share-rw={word}: a machine that only opens it', spare.stderr)
    if other:
        ok((other.returncode == 0) == free, f'{form}, share-rw={word}: qemu-io', other.stderr)
    else:
        ok(True, 'qemu-io # SKIP not installed')


def test_metadata_is_locked():
    """A format over a named file lets nobody else write, with a device or without."""
    with tempfile.TemporaryDirectory(prefix='viv-lock-') as folder:
        image = os.path.join(folder, 'i.qcow2')
        subprocess.run([os.path.join(os.path.dirname(VIV), 'viv-img'), 'create', '-q', '-f', 'qcow2', image, '1M'],
                       check=True, timeout=60)
        args = [VIV, '-S', '-nographic', '-monitor', 'stdio', '-serial', 'null',
                '-blockdev', f'driver=file,filename={image},node-name=f', '-blockdev', 'driver=qcow2,file=f,node-name=q']
        first = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.read(first.stdout.fileno(), 100)
        second = subprocess.run(args, input=b'quit\n', capture_output=True, timeout=60)
        first.communicate(b'quit\n', timeout=60)
        ok(second.returncode == 1 and b'Failed to get' in second.stderr, 'qcow2 over a named file is locked',
           second.stderr)


ERRORS = [
    (['-frobnicate'], 'invalid option'),
    (['-no-rebot'], "Did you mean '-no-reboot'"),
    (['-m'], 'requires an argument'),
    (['-m', 'lots'], 'expects a size'),
    (['-m', '0'], 'without memory'),
    (['-m', '1G,slots=2'], 'not built yet'),
    (['-m', '1G,maxmem=2G'], 'hot-plug is not built yet'),
    (['-m', '1G,sizes=1'], "Did you mean 'size'"),
    (['-smp', '0'], 'between 1 and'),
    (['-smp', '3,sockets=2'], 'product of the hierarchy'),
    (['-smp', '4,maxcpus=2'], 'maxcpus must be equal to or greater'),
    (['-smp', '300'], 'max CPUs'),
    (['-smp', 'x'], 'whole number'),
    (['-smp', '2,core=1'], "Did you mean 'cores'"),
    (['-smp', '4294967297'], 'between 1 and'),
    (['-numa', 'node,cpus=0-9'], 'names cpus'),
    (['-numa', 'node,nodeid=3'], 'node 0 is missing'),
    (['-numa', 'dist,src=0,dst=1,val=20'], 'there are 0 nodes'),
    (['-numa', 'nod'], 'none of node, dist and cpu'),
    (['-machine', 'q35'], 'not built yet'),
    (['-machine', 'pcc'], "Did you mean 'pc'"),
    (['-machine', 'pc,usb=on'], 'not built yet'),
    (['-machine', 'pc,acpy=on'], "Did you mean 'acpi'"),
    (['-machine', 'accel=interp', '-accel', 'interp'], 'exclude each other'),
    (['-accel', 'intrep'], "Did you mean 'interp'"),
    (['-accel', 'xen'], 'not built into this viv'),
    (['-accel', 'jit,tb-size=x'], 'whole number'),
    (['-accel', 'jit,tb-size=1025'], 'between 0 and 1024'),
    (['-accel', 'tcg,tb-size=-1'], 'between 0 and 1024'),
    (['-accel', 'interp,tb-size=1'], 'tb-size= is a key of jit'),
    (['-accel', 'interp,perfmap=on'], 'perfmap= is a key of jit'),
    (['-accel', 'interp', '-perfmap'], 'interp translates nothing'),
    (['-accel', 'jit,one-insn-per-tb=perhaps'], 'is on or off'),
    (['-cpu', 'nosuch'], 'nosuch'),
    (['-cpu', 'qemu64,+nosuch'], 'nosuch'),
    (['-device', 'pvpanik'], "Did you mean 'pvpanic'"),
    (['-device', 'ioapic'], 'part of the board'),
    (['-device', 'pvpanic,ioprt=1'], "Did you mean 'ioport'"),
    (['-global', 'pvpanic.nope=1'], "no property 'nope'"),
    (['-global', 'x'], 'DRIVER.PROPERTY=VALUE'),
    (['-hda', '/nonexistent/disk.img'], 'No such file or directory'),
    (['-hdc', 'a.img', '-cdrom', 'b.iso'], 'drive with bus=1, unit=0 (index=2) exists'),
    (['-drive', 'if=foo'], "unsupported bus type 'foo'"),
    (['-drive', 'if=ide,media=tape'], "'tape' invalid media"),
    (['-drive', 'if=none,cache=fast,file=/dev/null'], "invalid cache option 'fast'"),
    (['-drive', 'if=none,index=1,unit=1'], 'index cannot be used with bus and unit'),
    (['-drive', 'if=ide,unit=2'], 'unit 2 too big'),
    (['-drive', 'if=none,id=a', '-drive', 'if=none,id=a'], "Duplicate ID 'a'"),
    (['-drive', 'if=none,iops=many'], 'expected a number'),
    (['-drive', 'if=floppy,werror=stop'], 'not supported by this bus type'),
    (['-drive', 'if=none,werror=maybe'], "'maybe' invalid write error action"),
    (['-drive', 'if=none,id=d,file=null-co://,format=raw', '-device', 'ide-hd,drive=d,min_io_size=4096'], 'ATA has no word'),
    (['-drive', 'if=none,id=d,file=null-co://,format=raw', '-device', 'ide-hd,drive=d,discard_granularity=100'],
     'multiple of 512'),
    (['-drive', 'if=mtd,file=null-co://,format=raw'], '8 MiB at most'),
    (['-blockdev', 'driver=file'], "'node-name' must be specified"),
    (['-blockdev', '{"driver":'], 'JSON parse error'),
    (['-blockdev', '{"driver":"null-co","node-name":"n","cache":1}'], "'cache' expects an object"),
    (['disk.img'], 'disk images are not built yet'),
    (['-vnc', ':1,pasword=on'], "did you mean 'password'"),
    (['-vnc', ':1', '-k', 'xx'], "could not read keymap file: 'xx'"),
    (['-display', 'vnc'], 'VNC requires a display argument vnc=<display>'),
    (['-object', 'secret,id=s'], 'secret'),
    (['-vnc', ':1,password-secret=s'], "No secret with id 's'"),
    (['-gdb', 'chardev:none'], "-gdb chardev:none: Chardev 'none' not found"),
    (['-display', 'gtk'], 'not built yet'),
    (['-display', 'non'], "Did you mean 'none'"),
    (['-dtb', 'x'], 'no device tree'),
    (['-uuid', '12'], 'no UUID'),
    (['-rtc', 'base=tomorrow'], 'is no date'),
    (['-rtc', 'clock=fast'], "cannot be 'fast'"),
    (['-boot', 'z'], "Invalid boot device 'z'"),
    (['-boot', 'cc'], 'given twice'),
    (['-boot', 'menu=perhaps'], 'is on or off'),
    (['-boot', 'splash=/nonexistent.jpg'], 'no such file'),
    (['-smbios', 'type=9'], 'is not built'),
    (['-smbios', 'type=1,vendor=x'], "no field 'vendor'"),
    (['-fw_cfg', 'opt/x'], 'one of file= and string='),
    (['-serial', 'tcp:h'], 'write tcp:'),
    (['-serial', 'stdi'], "Did you mean 'stdio'"),
    (['-serial', 'file:/nonexistent/x'], 'Could not open'),
    (['-serial', 'stdio', '-monitor', 'stdio'], 'cannot use stdio by multiple'),
    (['-parallel', 'null'] + ['-parallel', 'null'] * 3, 'too many parallel ports'),
    (['-chardev', 'socket,id=x'], 'is needed'),
    (['-chardev', 'file,id=x'], 'no filename given'),
    (['-chardev', 'null,id=a', '-chardev', 'null,id=a'], 'Duplicate ID'),
    (['-mon', 'nosuch'], 'chardev "nosuch" not found'),
    (['-d', 'ints'], "Did you mean 'int'"),
    (['-d', ''], 'log items are missing'),
    (['-d', 'int,,exec'], "no log item ''"),
    (['-d', 'op'], 'no intermediate form'),
    (['-d', 'pcall'], 'not built yet'),
    (['-trace', 'x', '-trace', 'events=/nonexistent'], '/nonexistent'),
    (['-trace', 'pattern=x'], "no key 'pattern'"),
    (['-trace', 'x,file=/nonexistent/x'], '-trace file /nonexistent/x'),
    (['-d', 'int', '-D', '/nonexistent/x'], 'Error opening logfile /nonexistent/x'),
    (['-d', 'int', '-D', '/tmp/a%db%d'], 'Bad logfile template'),
    (['-dfilter', '7'], 'Bad range specifier'),
    (['-dfilter', '7.8'], 'Bad range specifier'),
    (['-dfilter', 'a..b'], 'Invalid number to the left of ..'),
    (['-dfilter', '0x5+'], 'Invalid number to the right of +'),
    (['-dfilter', '5+0'], 'Invalid range'),
    (['-dfilter', '5..6,8..7'], 'Invalid range'),
    (['-dfilter', '0x10-0x20'], 'Invalid range'),
    (['-dfilter', '0xffffffffffffffff+2'], 'Invalid range'),
    (['-nographic', '-daemonize'], 'keeps the terminal'),
    (['-action', 'panic=paus'], "'paus'"),
    (['-watchdog-action', 'bite'], "'bite'"),
    (['-name', 'a,proces=b'], "Did you mean 'process'"),
    (['-msg', 'time=on'], "no key 'time'"),
    (['-readconfig', '/nonexistent'], '/nonexistent'),
    (['-append', 'x'], 'only allowed with -kernel'),
    (['-kernel', '/nonexistent'], '/nonexistent'),
    (['-bios', '/nonexistent'], '/nonexistent'),
    (['-pidfile', '/nonexistent/pid'], 'cannot create PID file'),
    (['-runas', 'me'], 'not built yet'),
]


def test_errors():
    for args, want in ERRORS:
        r = run(['-display', 'none', '-S'] + args)
        good = r.returncode == 1 and want in r.stderr and 'viv: ' in r.stderr and not r.stdout
        ok(good, 'refused: ' + ' '.join(args), f'{r.returncode} {r.stderr}')


def test_texts():
    for args, want in [(['-help'], '-kernel FILE'), (['--version'], 'Vivarium version'), (['-machine', 'help'], 'i440FX'),
                       (['-cpu', 'help'], 'Haswell'), (['-accel', 'help'], 'interp'), (['-device', 'help'], 'pvpanic'),
                       (['-device', 'pvpanic,help'], 'ioport='), (['-smp', 'help'], 'threads='), (['-d', 'help'], 'int'),
                       (['-trace', 'help'], 'pci_cfg_read'), (['-d', 'trace:help'], 'pci_cfg_read'), (['-boot', '?'], 'reboot-timeout'), (['-chardev', 'help'], 'stdio'), (['-L', 'help'], '/usr/share')]:
        r = run(args)
        ok(r.returncode == 0 and want in r.stdout and not r.stderr, 'prints: ' + ' '.join(args), r.stdout[:300] + r.stderr)


CONFIGS = [
    [],
    ['-nographic'],
    ['-m', '1000', '-smp', '2,maxcpus=8,threads=2', '-name', "it's, a guest".replace(',', ',,')],
    ['-nographic', '-smp', '4,sockets=2', '-numa', 'node,cpus=0-1,mem=96', '-numa', 'node,cpus=2,cpus=3,mem=32',
     '-numa', 'dist,src=0,dst=1,val=31', '-uuid', '12345678-9abc-def0-1234-56789abcdef0'],
    ['-smp', '4', '-numa', 'node,nodeid=1', '-numa', 'node,nodeid=0', '-numa', 'cpu,node-id=1,core-id=3',
     '-numa', 'cpu,node-id=0,core-id=0'],
    ['-machine', 'pc,acpi=off,hpet=off,kernel=/k,append=a b', '-accel', 'tcg', '-cpu', 'Haswell,-avx', '-S', '-no-reboot'],
    ['-smbios', 'type=1,product=a,,b=c', '-smbios', 'type=11,value=x,value=y', '-fw_cfg', 'opt/x,string=k=v,,w',
     '-global', 'isa-debugcon.iobase=0x402', '-device', 'pvpanic,id=p', '-rtc', 'localtime,clock=vm,driftfix=slew'],
    ['-nodefaults', '-serial', 'null', '-serial', 'mon:null', '-debugcon', 'null', '-boot', 'dc,menu=on,strict',
     '-chardev', 'null,id=c0', '-mon', 'c0', '-rtc', 'base=2006-06-17T16:01:21', '-d', 'int,cpu_reset', '-D', '/tmp/a b'],
    ['-accel', 'tcg,tb-size=5,one-insn-per-tb=on,perfmap=on'],
    ['-trace', 'ide_*,file=/tmp/a', '-d', 'trace:pci_*'],
    ['-d', 'nochain,in_asm', '-dfilter', '0x10+5,7..8', '-D', '/tmp/a%d'],
    ['-device', 'virtio-scsi-pci,id=s,num_queues=2', '-drive', 'if=none,id=d,format=raw,file=/d.img', '-device',
     'scsi-hd,drive=d,bus=s.0,scsi-id=3,lun=2,serial=x', '-device', 'lsi', '-device', 'scsi-cd'],
    ['-drive', 'if=scsi,format=raw,file=/d.img', '-drive', 'if=scsi,media=cdrom,bus=1,unit=4', '-global', 'scsi-hd.ver=3',
     '-device', 'virtio-rng-pci-non-transitional,page-per-vq=on'],
    ['-action', 'reboot=shutdown,shutdown=pause,panic=none', '-watchdog-action', 'debug', '-msg', 'timestamp', '-boot', 'reboot-timeout=0', '-L', '/tmp'],
]


def test_print_config():
    for args in CONFIGS:
        first = run(['-print-config'] + args)
        again = run(['--print-config'] + shlex.split(first.stdout)[1:])
        ok(first.returncode == 0 and first.stdout == again.stdout and again.returncode == 0,
           'print-config reproduces: ' + ' '.join(args), first.stdout + first.stderr + again.stdout + again.stderr)


def test_config_files(tmp):
    path = os.path.join(tmp, 'conf')
    args = ['-nographic', '-m', '300', '-smp', '4,sockets=2', '-device', 'pvpanic,id=pp', '-kernel', '/k', '-name', 'n']
    first = run(['-print-config', '-writeconfig', path] + args)
    read = run(['-print-config', '-nographic', '-readconfig', path])
    ok(read.returncode == 0 and read.stdout == first.stdout, 'writeconfig and readconfig agree',
       first.stdout + first.stderr + read.stdout + read.stderr)
    for text, want in [('[memmory]\n', "Did you mean 'memory'"), ('size = "1"\n', 'section'), ('[memory]\nsize=1\n', 'quotation'),
                       ('[memory\n', "']'"), ('[memory]\nsiez = "1"\n', "Did you mean 'size'")]:
        with open(path, 'w') as f:
            f.write(text)
        r = run(['-readconfig', path])
        ok(r.returncode == 1 and want in r.stderr and path in r.stderr, 'bad file: ' + repr(text), r.stderr)


class Terminal:
    """viv on a pseudo-terminal."""

    def __init__(self, args):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.p = subprocess.Popen([VIV] + args, stdin=self.slave, stdout=self.slave, stderr=self.slave)
        self.text = ''

    def wait_for(self, what, seconds=30):
        end = time.time() + seconds
        while what not in self.text and time.time() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 4096).decode(errors='replace').replace('\r', '')
        return what in self.text

    def type(self, keys):
        os.write(self.master, keys.encode())

    def status(self):
        end = time.time() + 20
        while self.p.poll() is None and time.time() < end:
            self.wait_for('\0', 0.1)
        if self.p.poll() is None:
            self.p.kill()
        return self.p.wait()

    def sane(self):
        return termios.tcgetattr(self.slave) == self.before


def test_terminal():
    t = Terminal(['-nographic', '-S'])
    t.type('\x01h')
    ok(t.wait_for('C-a x'), 'C-a h prints help', t.text)
    ok(not t.sane(), 'the terminal is raw')
    t.type('\x01c')
    ok(t.wait_for('(qemu) '), 'C-a c goes to the monitor', t.text)
    t.type('inf\tsta\t\r')
    ok(t.wait_for('VM status: paused (prelaunch)'), 'tab completes, Enter runs', t.text)
    t.type('p 1+1\x7f\x7f1*5\r')
    ok(t.wait_for('\n0x37'), 'backspace', t.text)
    t.type('nonsense\x15p 0x70\r')
    ok(t.wait_for('\n0x70'), 'C-u', t.text)
    t.type('\x1b[A\r')
    ok(t.wait_for('0x70\x1b[K\n0x70'), 'history', t.text)
    t.type('c\r')
    t.type('info status\r')
    ok(t.wait_for('VM status: running'), 'cont', t.text)
    t.type('\x01cx\x01x')
    ok(t.status() == 0, 'C-a x leaves with 0', t.p.returncode)
    ok(t.sane(), 'and restores the terminal')
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGSEGV):
        t = Terminal(['-nographic', '-S'])
        t.type('\x01h')
        t.wait_for('C-a x')
        t.p.send_signal(sig)
        status = t.status()
        fatal = sig in (signal.SIGABRT, signal.SIGSEGV)
        ok(t.sane() and status == (-sig if fatal else 0), f'{sig.name} restores the terminal', status)
    t = Terminal(['-nographic', '-monitor', 'none', '-kernel', '/nonexistent'])
    ok(t.status() == 1 and t.sane(), 'so does an error in the set-up', t.text)


def test_monitor():
    commands = ['info status', 'info cpus', 'info registers', 'info registers -a', 'info pci', 'info pic', 'info mtree',
                'info roms', 'info accel', 'info irq', 'info qtree', 'info name', 'info uuid', 'info lapic', 'info numa',
                'x /3i $pc', 'xp /2xb 0xffff0', 'xp /3c 0xfe000', 'x /s 0xffff0', 'p (2+3)*$eip', 'p 1/0', 'x /q 0', 'foo',
                'help', 'help x', 'i /b 0x61', 'cont', 'info registers', 'stop', 'info status', 'system_reset', 'quit']
    r = subprocess.run([VIV, '-S', '-smp', '2', '-display', 'none', '-serial', 'null', '-monitor', 'stdio', '-name', 'N'],
                       input='\n'.join(commands) + '\n', capture_output=True, text=True, timeout=60)
    for want in ['Vivarium 0.1.0 monitor', 'VM status: paused (prelaunch)', '* CPU #0: thread_id=', 'EIP=0000fff0',
                 'CPU#1', 'Host bridge: PCI device 8086:1237', 'address-space: I/O', 'jmp 0xf000:0xe05b', '0xea 0x5b',
                 'division by zero', 'invalid char in format', "unknown command: 'foo'", 'portb[0x0061]', 'pc.bios',
                 '0x4ffb0', 'VM status: paused\n']:
        ok(want in r.stdout, 'monitor says ' + want.strip(), r.stdout[-3000:])
    ok(r.returncode == 0, 'quit leaves with 0', r.stderr)


def test_daemon(tmp):
    pidfile, log = os.path.join(tmp, 'pid'), os.path.join(tmp, 'serial')
    args = ['-daemonize', '-display', 'none', '-serial', 'file:' + log, '-pidfile', pidfile, '-S']
    r = run(args)
    ok(r.returncode == 0 and os.path.exists(pidfile), 'daemonize', r.stderr)
    pid = int(open(pidfile).read())
    os.kill(pid, 0)
    second = run(args)
    ok(second.returncode == 1 and 'locked' in second.stderr, 'the pid file is locked', second.stderr)
    os.kill(pid, signal.SIGTERM)
    end = time.time() + 20
    while os.path.exists(pidfile) and time.time() < end:
        time.sleep(0.05)
    ok(not os.path.exists(pidfile), 'and goes with the daemon')
    bad = run(['-daemonize', '-display', 'none', '-kernel', '/nonexistent'])
    ok(bad.returncode == 1 and '/nonexistent' in bad.stderr, "the parent tells the child's error", bad.stderr)


def test_check():
    r = subprocess.run([CHECK], capture_output=True, text=True, timeout=60)
    lines = r.stdout.splitlines()
    ok(len(lines) > 15 and all(' PASS (' in x or ' WARN (' in x or ' FAIL (' in x for x in lines), 'viv-check', r.stdout)
    j = subprocess.run([CHECK, '--json'], capture_output=True, text=True, timeout=60)
    doc = json.loads(j.stdout)
    ok(doc['can-run-guests'] == (j.returncode == 0) and len(doc['checks']) == len(lines), 'viv-check --json', j.stdout)
    bad = subprocess.run([CHECK, '--nope'], capture_output=True, text=True, timeout=60)
    ok(bad.returncode == 2, 'viv-check refuses unknown options')


with tempfile.TemporaryDirectory() as tmp:
    test_errors()
    test_share_rw()
    test_metadata_is_locked()
    test_texts()
    test_print_config()
    test_config_files(tmp)
    test_terminal()
    test_monitor()
    test_daemon(tmp)
    test_check()
print(f'1..{count}')
sys.exit(failed != 0)
