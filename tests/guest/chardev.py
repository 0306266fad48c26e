"""chardev.py - character devices with real programs at the other end: socat, telnet, tmux; and peers that behave badly.

The guest is tests/bare/echo.S.
"""
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from vm import Failure

PASSED = 0x10 * 2 + 1
PATIENCE = 120


class Machine:
    """A viv whose monitor is on a pipe; used as a context."""

    def __init__(self, case, *options):
        self.folder = tempfile.mkdtemp(prefix="viv-chr-")
        options = [o.replace("FOLDER", self.folder) for o in options]
        self.proc = subprocess.Popen(
            [case.viv, "-accel", "jit", "-display", "none", "-nodefaults", "-m", "16", "-device", "isa-debug-exit",
             "-bios", os.path.join(case.options.images, "echo.bin"), "-monitor", "stdio", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def until(self, pattern):
        """Reads until the pattern comes; the match."""
        while True:
            m = re.search(pattern, self.text, re.S)
            if m:
                self.text = self.text[m.end():]
                return m
            data = os.read(self.proc.stdout.fileno(), 65536)
            if not data:
                raise Failure("viv ended before %r; last: %r" % (pattern, self.text[-500:]))
            self.text += re.sub(rb"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r", b"", data).decode("latin-1")

    def ask(self, command):
        """A command's answer."""
        self.proc.stdin.write(command.encode() + b"\n")
        self.proc.stdin.flush()
        # The echo has the word's beginnings in it: the end of the last one is what counts.
        return self.until(re.escape(command) + r"\n(.*?)\(qemu\) ").group(1)

    def wait_for(self, command, pattern):
        """Asks until it is said; in parts too, as a ring buffer gives what there is."""
        end, said = time.monotonic() + PATIENCE, ""
        while True:
            said += self.ask(command).rstrip("\r\n")
            if re.search(pattern, said):
                return
            if time.monotonic() > end:
                raise Failure("%s never said %r" % (command, pattern))
            time.sleep(0.05)


def connect(address):
    """A connection to a UNIX path or a port of this host, once somebody listens there."""
    end = time.monotonic() + PATIENCE
    while True:
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        try:
            s.connect(address)
            s.settimeout(PATIENCE)
            return s
        except OSError:
            s.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def read_until(s, wanted):
    got = b""
    while wanted not in got:
        data = s.recv(4096)
        if not data:
            raise Failure("closed before %r; last %r" % (wanted, got[-200:]))
        got += data
    return got


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def converse(argv, last=b"\x11"):
    """What a program shows that passes its input on: the guest is ready, answers, and is told to end by `last`."""
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    got = b""

    def until(wanted):
        nonlocal got
        while wanted not in got:
            data = os.read(p.stdout.fileno(), 4096)
            if not data:
                raise Failure("%s ended; it showed %r" % (argv[0], got))
            got += data
    try:
        until(b"ready")
        p.stdin.write(b"hello")
        p.stdin.flush()
        until(b"hello")
        p.stdin.write(last)
        p.stdin.flush()
        return got
    finally:
        p.stdin.close()
        p.wait(PATIENCE)
        p.stdout.close()


def unix_socat(case):
    """socat on a UNIX socket: what is typed comes back."""
    with Machine(case, "-serial", "unix:FOLDER/s,server=on,wait=on") as m:
        got = converse(["socat", "-,ignoreeof", "UNIX-CONNECT:%s,retry=1000,interval=0.1" % m.path("s")])
        case.check(b"hello" in got, "the guest answers", got)
        case.equal(m.proc.wait(PATIENCE), PASSED, "status")
        case.check(not os.path.exists(m.path("s")), "the socket's name is gone at the end")


def telnet_client(case):
    """Debian's telnet: it agrees to character mode. -S: the guest waits until it is there."""
    port = free_port()
    with Machine(case, "-S", "-serial", "telnet:127.0.0.1:%d,server=on,wait=off" % port) as m:
        m.ask("info status")
        threading.Thread(target=lambda: (m.wait_for("info chardev", "serial0: filename=telnet:.* <-> "), m.ask("cont"))).start()
        got = converse(["telnet", "-E", "127.0.0.1", str(port)], b"") # it keeps ^Q for itself
        case.check(b"\xff" not in got, "nothing of the protocol is seen", got)


def telnet_protocol(case):
    """IAC doubled both ways, break, subnegotiation, and garbage."""
    port = free_port()
    with Machine(case, "-serial", "telnet:127.0.0.1:%d,server=on,wait=off" % port) as m:
        s = connect(("127.0.0.1", port))
        # `ready` may have been said before anybody was there to hear it.
        s.sendall(b"\xff\xfd\x01\xff\xfb\x00\xff\xfa\x18\x00x\xff\xff\xff\xf0..<a\xff\xffb>") # switching the FIFOs on may lose the first
        got = read_until(s, b">")
        case.check(got.startswith(b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00"), "what it wants comes first", got)
        case.check(got.endswith(b"<a\xff\xffb>"), "IAC is doubled, commands are taken out", got)
        s.sendall(b"x\xff\xf3.")
        case.check(read_until(s, b".").endswith(b"x[break]."), "BRK is a break, in its place")
        s.close()
        m.wait_for("info chardev", "serial0: filename=disconnected:telnet:127.0.0.1:%d,server=on" % port)
        s = connect(("127.0.0.1", port))
        s.sendall(b"\x11")
        case.equal(m.proc.wait(PATIENCE), PASSED, "a new peer begins anew")
        s.close()


def pty_tmux(case):
    """A terminal of its own, in tmux."""
    with Machine(case, "-serial", "pty") as m:
        name = m.until(r"char device redirected to (/dev/pts/\d+) \(label serial0\)").group(1)
        case.equal(m.ask("info chardev").splitlines()[-1], "serial0: filename=pty:" + name, "info chardev")
        tmux = ["tmux", "-L", "viv-%d" % m.proc.pid]
        subprocess.run(tmux + ["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
                               "socat -,raw,echo=0 %s,raw,echo=0" % name], check=True, timeout=PATIENCE)
        try:
            end = time.monotonic() + PATIENCE
            shown = ""
            while "tmux!" not in shown and time.monotonic() < end:
                subprocess.run(tmux + ["send-keys", "-l", "tmux!"], check=True, timeout=PATIENCE)
                time.sleep(0.2)
                shown = subprocess.run(tmux + ["capture-pane", "-p"], stdout=subprocess.PIPE, text=True,
                                       timeout=PATIENCE).stdout
            case.check("tmux!" in shown, "what is typed comes back", shown)
            subprocess.run(tmux + ["send-keys", "C-q"], check=True, timeout=PATIENCE)
            case.equal(m.proc.wait(PATIENCE), PASSED, "status")
        finally:
            subprocess.run(tmux + ["kill-server"], timeout=PATIENCE, stderr=subprocess.DEVNULL)


def memory_of(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def never_reads(case):
    """A peer that stops reading holds the guest's line back, not the machine, and costs no memory."""
    with Machine(case, "-serial", "unix:FOLDER/s,server=on,wait=off") as m:
        s = connect(m.path("s"))
        s.sendall(b"..\x06") # switching the FIFOs on may lose the first
        time.sleep(1)
        m.ask("info status")
        before = memory_of(m.proc.pid)
        for _ in range(5):
            time.sleep(0.2)
            case.check("running" in m.ask("info status"), "the monitor answers")
        case.check(memory_of(m.proc.pid) - before < 4 << 20, "its memory does not grow", memory_of(m.proc.pid) - before)
        got = b""
        while len(got) < 1 << 20:
            got += s.recv(65536)
        letters = bytes(range(ord("A"), ord("Z") + 1))
        at = got.index(b"ABC")
        case.check(got[at:at + 26 * 30000] == letters * 30000, "nothing was lost or turned round")
        s.close()
        m.wait_for("info chardev", "disconnected:unix:")
        case.check("running" in m.ask("info status"), "it floods on with nobody there")


def many_peers(case):
    """A thousand that connect, say something and go."""
    with Machine(case, "-serial", "unix:FOLDER/s,server=on,wait=off") as m:
        m.ask("info status")
        files = len(os.listdir("/proc/%d/fd" % m.proc.pid))
        for i in range(1000):
            s = connect(m.path("s"))
            s.send(b"xyz" * (i % 50 + 1))
            s.close()
        m.wait_for("info chardev", "disconnected:unix:")
        case.check(len(os.listdir("/proc/%d/fd" % m.proc.pid)) <= files + 2, "no descriptor is left")
        s = connect(m.path("s"))
        s.sendall(b"\x06")
        case.check(b"XYZ" in read_until(s, b"XYZ"), "and the next is served")
        s.close()


def connects_again(case):
    """reconnect=: the peer goes and comes back."""
    with tempfile.TemporaryDirectory(prefix="viv-chr-") as folder, \
            Machine(case, "-chardev", "socket,id=s,path=%s/s,reconnect=1" % folder, "-serial", "chardev:s") as m:
        for i in range(3):
            path = os.path.join(folder, "s")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(1)
                listener.settimeout(PATIENCE)
                peer, _ = listener.accept()
                peer.settimeout(PATIENCE)
                peer.sendall(b"..<%d>" % i) # switching the FIFOs on empties them
                read_until(peer, b"<%d>" % i)
                peer.close()
            os.unlink(path)
        m.wait_for("info chardev", "s: filename=disconnected:unix:")
        case.check(True, "three times")


def shared(case):
    """mux=on over a socket: serial line and monitor, C-a c between them."""
    with Machine(case, "-chardev", "socket,id=c,path=FOLDER/s,server=on,wait=off,mux=on", "-serial", "chardev:c",
                 "-mon", "c") as m:
        s = connect(m.path("s"))
        s.sendall(b"..guest.")
        read_until(s, b"guest.")
        s.sendall(b"\x01c")
        read_until(s, b"(qemu) ")
        s.sendall(b"info version\n")
        read_until(s, b"Vivarium)")
        s.sendall(b"\x01c\x01b-")
        read_until(s, b"[break]-")
        case.equal([line.split(":")[0] for line in m.ask("info chardev").splitlines() if line],
                   ["c", "c-base", "compat_monitor0"], "info chardev")
        s.sendall(b"\x01x")
        case.equal(m.proc.wait(PATIENCE), 0, "C-a x ends it")
        s.close()


def printer(case):
    """A parallel port prints into a file, a log keeps the serial line, input comes from a file."""
    folder = tempfile.mkdtemp(prefix="viv-chr-")
    try:
        with open(os.path.join(folder, "in"), "wb") as f:
            # Switching the FIFOs on loses the first byte, which is there before the guest is.
            f.write(b"?typed\x10L\x10P\x10T\x11")
        with Machine(case, "-parallel", "file:%s/lpt" % folder, "-chardev",
                     "file,id=f,path=%s/out,input-path=%s/in,logfile=%s/log" % (folder, folder, folder),
                     "-serial", "chardev:f") as m:
            case.equal(m.proc.wait(PATIENCE), PASSED, "status")
        for name, wanted in (("lpt", b"LPT"), ("out", b"ready\r\ntyped"), ("log", b"ready\r\ntyped")):
            with open(os.path.join(folder, name), "rb") as f:
                case.equal(f.read(), wanted, name)
    finally:
        shutil.rmtree(folder)


def hot(case):
    """Devices that come, change and go at the prompt; a ring buffer."""
    with Machine(case, "-chardev", "ringbuf,id=r,size=64", "-serial", "chardev:r") as m:
        case.equal(m.ask("info chardev").splitlines()[-1], "r: filename=ringbuf", "info chardev")
        m.wait_for("ringbuf_read r 64", "ready")
        case.equal(m.ask("chardev-add null,id=n"), "", "chardev-add")
        case.check("not a valid char driver" in m.ask("chardev-add sokcet,id=q"), "an unknown one is refused")
        case.check("busy" in m.ask("chardev-remove r"), "what is in use stays")
        case.equal(m.ask("chardev-remove n"), "", "chardev-remove")
        case.equal(m.ask("chardev-send-break r"), "", "chardev-send-break")
        m.wait_for("ringbuf_read r 64", r"\[break\]")
        case.equal(m.ask("chardev-change r socket,path=%s,server=on,wait=off" % m.path("s")), "", "chardev-change")
        s = connect(m.path("s"))
        s.sendall(b"moved")
        case.check(b"moved" in read_until(s, b"moved"), "the guest's port is on the new one")
        s.close()


QEMU_LINES = {
    "tcp": ["-serial", "tcp:127.0.0.1:PORT,server=on,wait=off"],
    "telnet": ["-serial", "telnet:127.0.0.1:PORT,server=on,wait=off"],
    "reconnect": ["-serial", "tcp:127.0.0.1:1,reconnect=9"],
    "unix": ["-serial", "unix:FOLDER/u,server=on,wait=off"],
    "abstract": ["-chardev", "socket,id=a,path=viv-PORT,abstract=on,server=on,wait=off", "-serial", "chardev:a"],
    "udp": ["-serial", "udp:127.0.0.1:PORT@:0"],
    "mux": ["-chardev", "null,id=m,mux=on", "-serial", "chardev:m", "-serial", "chardev:m"],
    "file": ["-serial", "file:FOLDER/f", "-parallel", "null", "-debugcon", "null"],
    "vc and ringbuf": ["-serial", "vc", "-chardev", "ringbuf,id=r"],
}


def as_qemu(case):
    """`info chardev` beside Debian's QEMU."""
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        return case.skip("no qemu-system-x86_64")
    for name, options in QEMU_LINES.items():
        answers = []
        for program in ([qemu, "-accel", "tcg"], [case.viv]):
            with tempfile.TemporaryDirectory() as folder:
                port = str(free_port())
                argv = [o.replace("FOLDER", folder).replace("PORT", port) for o in options]
                out = subprocess.run(program + ["-display", "none", "-nodefaults", "-m", "16", "-S", "-monitor", "stdio",
                                                *argv], input="info chardev\nquit\n", text=True, timeout=PATIENCE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
                out = out.replace(folder, "FOLDER").replace(port, "PORT")
                answers.append(sorted(re.findall(r"^\S+: filename=\S*", out.replace("\r", ""), re.M)))
        case.equal(answers[1], answers[0], name)


NEEDS = {"unix_socat": "socat", "telnet_client": "telnet", "pty_tmux": "tmux"}


def needing(fn):
    def case_fn(case):
        program = NEEDS.get(fn.__name__)
        if program and not (shutil.which(program) and shutil.which("socat")):
            return case.skip("no %s" % program)
        return fn(case)
    return case_fn


def cases(options):
    return [("chardev " + fn.__name__.replace("_", " "), needing(fn)) for fn in
            (unix_socat, telnet_client, telnet_protocol, pty_tmux, never_reads, many_peers, connects_again, shared,
             printer, hot, as_qemu)]
