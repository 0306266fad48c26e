"""test-gdb.py VIV - the debuggers' server: packets of every kind, frames that are wrong, peers that are hostile. Prints TAP."""
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

import tap
from monitor import Monitor
from tap import ok

class Peer:
    """The protocol, and nothing of the server."""

    def __init__(self, path, ack=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path) # which waits while others do
        self.sock.settimeout(60)
        self.data = b""
        self.ack = ack

    def byte(self):
        while not self.data:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        c, self.data = self.data[:1], self.data[1:]
        return c

    def frame(self, body):
        escaped = b"".join(bytes((0x7d, c ^ 0x20)) if c in b"$#}*" else bytes((c,)) for c in body)
        return b"$" + escaped + b"#%02x" % (sum(escaped) & 0xff)

    def raw(self, data):
        self.sock.sendall(data)

    def reply(self):
        while self.byte() != b"$":
            pass
        body = b""
        while True:
            c = self.byte()
            if c == b"#":
                break
            body += bytes((self.byte()[0] ^ 0x20,)) if c == b"}" else c
        self.byte()
        self.byte()
        if self.ack:
            self.raw(b"+")
        return body

    def ask(self, body):
        if isinstance(body, str):
            body = body.encode()
        self.raw(self.frame(body))
        return self.reply().decode("latin-1")

    def close(self):
        self.sock.close()


def start(viv, folder):
    path, monitor = os.path.join(folder, "gdb"), os.path.join(folder, "mon")
    proc = subprocess.Popen([viv, "-S", "-accel", "jit", "-m", "16", "-smp", "2", "-display", "none", "-serial", "none",
                             "-monitor", "none", "-qmp", "unix:%s,server=on,wait=off" % monitor,
                             "-gdb", "unix:%s,server=on,wait=off" % path], stderr=subprocess.PIPE)
    while not os.path.exists(path) or not os.path.exists(monitor):
        if proc.poll() is not None:
            raise AssertionError(proc.stderr.read().decode())
        time.sleep(0.02)
    return proc, path, monitor


def test_session(path, mon):
    p = Peer(path)
    said = p.ask("qSupported:multiprocess+;xmlRegisters=i386")
    ok("PacketSize=1000" in said and "qXfer:features:read+" in said and "vContSupported+" in said, "qSupported", said)
    ok(p.ask("?") == "T05thread:p01.01;", "the reason for standing")
    ok(p.ask("qfThreadInfo") == "mp01.01,p01.02" and p.ask("qsThreadInfo") == "l", "a thread a vcpu")
    ok(bytes.fromhex(p.ask("qThreadExtraInfo,p1.2")) == b"CPU#1 [halted ]", "what a thread is")
    ok(p.ask("Tp1.2") == "OK" and p.ask("Tp1.3") == "E16", "which threads there are")
    ok(len(p.ask("g")) == 2 * (16 * 4 - 32 + 8 + 24 + 80 + 32 + 128 + 4), "registers of a 16-bit processor, undescribed")
    xml, at = "", 0
    while True:
        part = p.ask("qXfer:features:read:target.xml:%x,3f0" % at)
        xml, at = xml + part[1:], at + len(part) - 1
        if part[0] == "l":
            break
    ok("i386:x86-64" in xml and xml.endswith("</target>") and 'name="mxcsr"' in xml, "the target's description", xml)
    sizes = dict((int(n), int(b)) for b, n in re.findall(r'bitsize="(\d+)" type="[^"]*" regnum="(\d+)"', xml))
    g = p.ask("g")
    ok(len(g) * 4 == sum(sizes.values()) and sorted(sizes) == list(range(len(sizes))), "g is as described", len(g))
    ok(p.ask("p10") == "f0ff000000000000", "RIP alone")
    ok(p.ask("P0=8877665544332211") == "OK" and p.ask("p0") == "8877665544332211", "RAX is set")
    ok(p.ask("P20=0100000000000000") == "E16", "EFER is not")
    ok(p.ask("p400") == "E16" and p.ask("pzz") == "E16", "registers that are not there")
    ok(p.ask("G" + g) == "OK" and p.ask("g") == g, "all are written back")
    ok(p.ask("M1000,4:deadbeef") == "OK" and p.ask("m1000,4") == "deadbeef", "memory")
    ok(p.ask(b"X1004,5:$#}*\x00") == "OK" and p.ask("m1000,9") == "deadbeef24237d2a00", "memory, binary and escaped")
    ok(p.ask("m1000,ffff") == "E16" and p.ask("m1000") == "E16" and p.ask("M1000,4:de") == "E16", "wrong lengths")
    ok(p.ask("Z0,fffff,1") == "OK" and p.ask("z0,fffff,1") == "OK" and p.ask("z0,fffff,1") == "E16", "a breakpoint")
    ok(p.ask("Z2,1000,4") == "OK" and p.ask("z2,1000,4") == "OK" and p.ask("Z3,1000,0") == "E16", "a watchpoint")
    ok(p.ask("Z9,0,0") == "" and p.ask("nonsense") == "" and p.ask("qNonsense") == "", "what is not known is answered by nothing")
    ok(p.ask("qqemu.sstep") == "0x7" and p.ask("Qqemu.sstep=5") == "OK" and p.ask("qqemu.sstep") == "0x5", "step bits")
    ok(p.ask("vCont?") == "vCont;c;C;s;S" and p.ask("vCont;x") == "E16" and p.ask("vCont") == "E16", "vCont")
    ok(p.ask("vCont;s:p1.1") == "T05thread:p01.01;" and p.ask("p10") == "5be0000000000000", "a step", p.ask("p10"))
    ok(p.ask("s") == "T05thread:p01.01;", "another")
    before = len(p.ask("qRcmd," + b"info registers".hex()))
    ok(before > 100, "the monitor's words")
    p.reply()
    p.raw(p.frame(b"c"))
    time.sleep(0.3)
    ok("running" in mon.say("info status"), "it goes on")
    p.raw(b"\x03")
    ok(p.reply() == b"T02thread:p01.01;", "an interrupt stops it")
    p.raw(p.frame(b"vCont;c"))
    time.sleep(0.2)
    mon.say("stop")
    ok(p.reply() == b"T02thread:p01.01;", "so does the monitor, and the peer hears of it")
    ok(p.ask("D") == "OK" and "running" in mon.say("info status"), "detached, it runs")
    p.close()


def test_frames(path):
    p = Peer(path)
    p.raw(b"$qC#00")
    ok(p.byte() == b"-", "a wrong sum is asked for again")
    p.raw(b"$" + b"x" * 9000 + b"#00")
    ok(p.byte() == b"-", "a frame that is too long, too")
    p.raw(p.frame(b"qC"))
    ok(p.reply() == b"QC01", "and the next is right")
    p.raw(b"-")
    ok(p.reply() == b"QC01", "what the peer missed is sent again")
    p.raw(b"$qC$" + p.frame(b"qC")[1:])
    ok(p.reply() == b"QC01", "a frame that is cut off")
    ok(p.ask("QStartNoAckMode") == "OK", "no more acknowledgements")
    p.raw(b"+")
    p.ack = False
    p.raw(p.frame(b"qC"))
    ok(p.byte() == b"$", "none comes")
    p.close()


def test_peers(path, mon):
    p = Peer(path)
    p.ask("?")
    p.ask("Z0,fe05b,1")
    p.raw(p.frame(b"c"))
    time.sleep(0.1)
    p.close()
    deadline = time.monotonic() + 30
    while "running" not in mon.say("info status") and time.monotonic() < deadline:
        time.sleep(0.1)
    mon.say("system_reset")
    time.sleep(0.3)
    ok("running" in mon.say("info status"), "a peer that vanishes leaves no breakpoint behind")
    for _ in range(300):
        Peer(path).close()
    p = Peer(path)
    ok(p.ask("qC").startswith("QC"), "served after three hundred that came and went")
    p.raw(p.frame(b"qXfer:features:read:target.xml:0,fff") * 2000) # nothing of it is read
    ok("paused" in mon.say("info status"), "a peer that reads no answers holds nothing up")
    p.close()
    ok("Disabled gdbserver" in mon.say("gdbserver none"), "gdbserver none")
    ok("Waiting for gdb connection on device" in mon.say("gdbserver unix:%s,server=on,wait=off" % path), "gdbserver again")
    said = mon.say("gdbserver tcp:256.0.0.1:1")
    ok("Could not open gdbserver on device 'tcp:256.0.0.1:1'" in said, "a device that is none", said)
    mon.say("gdbserver unix:%s,server=on,wait=off" % path)


def nonsense(g):
    """A packet's text: letters that mean something, numbers, threads, what they are joined by, and bytes."""
    def number():
        return g.choice(["0", "1", "7", "10", "ff", "fff", "1000", "fffff", "7fffffffffffffff", "ffffffffffffffff", "1" * 20, "-1", "",
                         "%x" % g.getrandbits(g.choice([4, 16, 32, 64]))])
    words = ["?", "g", "G", "p", "P", "m", "M", "X", "c", "s", "C05", "S05", "z0,", "Z0,", "Z1,", "Z2,", "Z3,", "Z4,", "z2,", "Hg", "Hc", "T",
             "vCont", "vCont?", "vAttach;", "q", "Q", "qSupported:", "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,", "qC",
             "qXfer:features:read:target.xml:", "qqemu.sstep", "Qqemu.sstep=", "Qqemu.PhyMemMode:", "qRcmd,"]
    text = g.choice(words)
    for _ in range(g.randrange(6)):
        text += g.choice([",", ":", ";", "=", ".", "p", "c", "s", ";c:", ";s:p1.", "", "target.xml:"]) + number()
    data = bytearray(text.encode())
    if text[0] in "GMXP" and g.random() < 0.5:
        data += b":" + (bytes(g.getrandbits(8) for _ in range(g.randrange(64))).hex().encode() if g.random() < 0.7 else
                        bytes(g.getrandbits(8) for _ in range(g.randrange(64))))
    while data and g.random() < 0.1:
        data[g.randrange(len(data))] = g.getrandbits(8)
    return b"" if data[:1] in b"kv" and data[:4] != b"vCon" else bytes(data) # they may end the machine


def fuzz(proc, path, mon, seconds, seed):
    g = random.Random(seed)
    end, sent = time.monotonic() + seconds, 0
    p = Peer(path)
    while time.monotonic() < end and proc.poll() is None:
        try:
            frame = p.frame(nonsense(g))
            if g.random() < 0.1:
                at = g.randrange(len(frame))
                frame = frame[:at] + bytes((g.getrandbits(8),)) + frame[at + 1:] if at > 1 else b"$"
            p.raw(frame)
            sent += 1
            if g.random() < 0.02:
                p.close()
                p = Peer(path)
            p.sock.setblocking(False)
            try:
                p.sock.recv(1 << 16)
            except BlockingIOError:
                pass
            p.sock.settimeout(60)
        except OSError:
            if proc.poll() is None:
                p = Peer(path)
    p.close()
    ok(proc.poll() is None, "alive after %d packets, seed %d" % (sent, seed), sent)
    ok("VM status" in mon.say("info status"), "and the monitor answers")


def main():
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 5
    seed = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else random.getrandbits(31)
    with tempfile.TemporaryDirectory() as folder:
        proc, path, monitor = start(sys.argv[1], folder)
        try:
            mon = Monitor(monitor)
            test_session(path, mon)
            test_frames(path)
            test_peers(path, mon)
            fuzz(proc, path, mon, seconds, seed)
            p = Peer(path)
            p.raw(p.frame(b"k"))
            ok(proc.wait(60) == 0, "k ends it")
        finally:
            proc.kill()
    return tap.finish()


sys.exit(main())
