"""test-transcript.py VIV - the same session of the human monitor on viv and on QEMU: what both say. Prints TAP.

What differs is listed below with the reason, and in docs/monitor.md; a difference that is gone must leave the list.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import tap
from monitor import Monitor
from tap import ok

# Commands, one a line, in this order.
SESSION = """
info status
info name
info uuid
info version
info kvm
info block
info block d0
info block nosuch
info blockstats
info chardev
info cpus
info history
info irq
info pic
info lapic
info mem
info tlb
info mice
info mtree -f
info memdev
info memory_size_summary
info numa
info pci
info qdm
info registers
info registers -a
info roms
info vnc
info snapshots
info iothreads
info hotpluggable-cpus
info nosuch
info qtree
info jit
info qom-tree /objects
info trace-events nosuch
help cont
help nosuch
nosuch
print 1+2*3
p/x 0xff & 0x0f
p 5/0
p (1
p/z 1
x/4xb 0xffff0
x/2i 0xffff0
x/s 0
xp/4xb 0xfffffff0
xp/1c 0xffff0
gva2gpa 0x1000
gpa2hva 0x1000
gpa2hpa 0xfe000000
sum 0xf0000 16
cpu 1
cpu 5
cpu 0
log nosuch
log int
log none
logfile /dev/null
eject nosuch
eject d0
eject ide1-cd0
eject floppy0
change nosuch /x
change ide1-cd0 /nonexistent
block_resize d0 2M
block_resize d0 -5
block_resize nosuch 1M
block_set_io_throttle d0 100 0 0 0 0 0
info block d0
block_set_io_throttle d0 100 100 0 0 0 0
block_set_io_throttle d0 0 0 0 0 0 0
commit nosuch
commit d0
drive_add 0 if=none,id=d1,file=/nonexistent
drive_del nosuch
device_add nosuch
device_add virtio-rng-pci,id=rng0
device_add virtio-rng-pci,id=rng1
device_add isa-debugcon
device_del nosuch
device_del rng1
object_add iothread,id=io0
object_add nosuch,id=x
object_del nosuch
object_add iothread,id=io1
object_del io1
chardev-add ringbuf,id=rb
chardev-add ringbuf,id=rb2
chardev-remove rb2
chardev-remove nosuch
chardev-send-break nosuch
ringbuf_write rb hello
ringbuf_read rb 100
sendkey a
sendkey nosuch
sendkey ctrl-alt-delete
mouse_move 1 2
mouse_button 1
mouse_set 7
screendump /nonexistent/x
i /b 0x80
o /b 0x80 5
pmemsave 0 16 /nonexistent/x
memsave 0 16 "/nonexistent/x"
set_password vnc x
expire_password vnc never
boot_set c
boot_set z
watchdog_action reset
watchdog_action nosuch
nmi
stop
gdbserver none
savevm x
loadvm x
delvm x
system_wakeup
trace-event nosuch on
qom-list /
qom-list /nosuch
qom-get /machine type
qom-get /machine nosuch
cont now
stop now
info block d0 d0
cont
stop
system_powerdown
system_reset
""".strip().splitlines()

OTHER_BOARD = "the board has other devices: no SMM, no second SMBus, no NIC, no empty SD slot, no VAPIC"
OUR_TEXT = "the text names the cure, or the command's own words"
DIFFERENCES = {
    "info version": "each tells its own",
    "info block": OTHER_BOARD,
    "info blockstats": OTHER_BOARD,
    "info irq": "QEMU's timer has ticked before its guest began",
    "info lapic": "LINT0 of the first vcpu is as firmware finds it after reset, before QEMU's own first reset",
    "info mtree -f": OTHER_BOARD + "; one view, of the system",
    "info qdm": "the classes that there are",
    "info registers": "x87 is as RESET leaves it (SDM vol. 3A, table 9-1), not as FNINIT does",
    "info registers -a": "x87 is as RESET leaves it (SDM vol. 3A, table 9-1), not as FNINIT does",
    "info roms": "ROMs as the memory map has them, the firmware's shadow too",
    "info iothreads": "loops do not poll before they sleep",
    "info hotpluggable-cpus": OTHER_BOARD,
    "info qtree": "devices have other properties; inputs and outputs are not told",
    "info jit": "another translator counts other things",
    "info qom-tree /objects": "memory is no object",
    "help cont": OUR_TEXT,
    "x/2i 0xffff0": "Intel's syntax, not AT&T's",
    "x/s 0": "strings can be shown; QEMU has no such format here",
    "log nosuch": OUR_TEXT,
    "commit d0": OUR_TEXT,
    "device_add nosuch": OUR_TEXT,
    "object_add nosuch,id=x": OUR_TEXT,
    "chardev-add ringbuf,id=rb": "one message where QEMU gives two",
    "savevm x": "not in this version",
    "loadvm x": "not in this version",
    "delvm x": "not in this version",
    "qom-list /": "in alphabetical order",
}

class Machine:
    def __init__(self, program, accel, image, folder, name):
        self.image, self.path = image, os.path.join(folder, name)
        self.proc = subprocess.Popen(
            [program, "-accel", accel, "-S", "-M", "pc", "-m", "64", "-smp", "2", "-name", "test", "-net", "none",
             "-uuid", "11111111-2222-3333-4444-555555555555", "-display", "none",
             "-drive", "file=%s,if=virtio,id=d0" % image, "-device", "virtio-rng-pci,id=rng0",
             "-chardev", "ringbuf,id=rb", "-object", "iothread,id=io0",
             "-qmp", "unix:%s,server=on,wait=off" % self.path], stderr=subprocess.PIPE)
        while not os.path.exists(self.path):
            if self.proc.poll() is not None:
                raise AssertionError(self.proc.stderr.read().decode())
            time.sleep(0.02)
        self.monitor = Monitor(self.path)

    def say(self, line):
        """Without what is another in each process: ids of threads, names of nodes, addresses of the host, paths; in one order."""
        text = str(self.monitor.say(line)).replace(self.image, "IMAGE").replace(self.path, "SOCKET")
        text = re.sub(r"thread_id=\d+", "thread_id=N", text)
        text = re.sub(r"#block\d+", "#blockN", text)
        text = re.sub(r"device\[\d+\]", "device[N]", text) if line.startswith("info block") else text
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
        text = re.sub(r"is 0x[0-9a-f]{9,}", "is ADDRESS", text)
        return "\n".join(sorted(text.split("\r\n"))) if line == "info chardev" else text

    def end(self):
        self.proc.kill()
        self.proc.wait()


def main():
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        print("1..0 # SKIP no qemu-system-x86_64 to compare with")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        images = [os.path.join(folder, n + ".qcow2") for n in ("viv", "qemu")]
        for image in images:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
            subprocess.run(["qemu-img", "snapshot", "-c", "before", image], check=True)
        viv = Machine(sys.argv[1], "jit", images[0], folder, "v")
        other = Machine(qemu, "tcg", images[1], folder, "q")
        try:
            for line in SESSION:
                ours, theirs = viv.say(line), other.say(line)
                if line in DIFFERENCES:
                    ok(ours != theirs, "%s: differs (%s)" % (line, DIFFERENCES[line]), "it is the same now; take it off the list")
                else:
                    ok(ours == theirs, "%s: as QEMU says it" % line, "QEMU: %s\nviv:  %s" % (theirs, ours))
        finally:
            viv.end()
            other.end()
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/monitor.md")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    missing = [line for line in DIFFERENCES if "`%s`" % line not in text]
    ok(not missing, "docs/monitor.md lists the differences", missing)
    return tap.finish()


sys.exit(main())
