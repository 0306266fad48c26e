"""fuzz-monitor.py VIV [--seconds N] [--seed S] - nonsense for the monitors: lines, keys and telnet for people, JSON for programs. Prints TAP."""
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

from monitor import Monitor

MEMORY_MAX = 400 << 10 # KiB resident; the guest has 16 MiB
SANITIZED_MAX = 2 << 20 # where freed memory is kept for a while

# Not what ends the process, or writes files wherever a word says.
LEFT_OUT = {"quit", "q", "pmemsave", "memsave", "screendump", "logfile", "dump-guest-memory", "gdbserver", "chardev-add", "chardev-change",
            "drive_add", "watchdog_action", "system_reset", "device_add", "set-action", "watchdog-set-action", "blockdev-add",
            "web_address", "log", "trace-event"}
WORDS = ["", "0", "1", "-1", "0x", "0xfffffffffffffff0", "9" * 30, "d0", "nosuch", "ide1-cd0", "rb", "all", "on", "off", "-f", "-a", "-n",
         "/10xb", "/1000000i", "/z", "$rip", "$nosuch", "(1+2)*3", "((((1", "1/0", "a-b-c", "ctrl-alt-delete", "x=1,y=2", ",,,", "\"open",
         "\"quoted word\"", "1G", "-5M", "#", "%s%n", "\\", "'", "{}", "[]", "/machine", "/../..", "\u00e9", "x" * 5000]
KEYS = [b"\t", b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x01", b"\x05", b"\x0b", b"\x08", b"\x7f", b"\x12", b"\x1b[3~", b"\x1bb", b"\x1b",
        b"\x00", b"\xff", b"\x17"]
TELNET = [b"\xff\xfb\x01", b"\xff\xfd\x03", b"\xff\xfa\x18\x00xterm\xff\xf0", b"\xff\xff", b"\xff\xf3", b"\xff", b"\xff\xfa" + b"a" * 3000]


def start(viv, folder):
    paths = {n: os.path.join(folder, n) for n in ("qmp", "mon", "tel", "watch")}
    proc = subprocess.Popen(
        [viv, "-S", "-accel", "interp", "-m", "16", "-display", "none", "-serial", "none", "-chardev", "ringbuf,id=rb",
         "-monitor", "unix:%s,server=on,wait=off" % paths["mon"], "-monitor", "telnet:127.0.0.1:0,server=on,wait=off",
         "-qmp", "unix:%s,server=on,wait=off" % paths["qmp"], "-qmp", "unix:%s,server=on,wait=off" % paths["watch"]],
        cwd=folder, stderr=open(os.environ["FUZZ_LOG"], "wb") if "FUZZ_LOG" in os.environ else subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not os.path.exists(paths["watch"]):
        if proc.poll() is not None or time.monotonic() > end:
            raise AssertionError("viv did not start")
        time.sleep(0.02)
    return proc, paths


class Peer:
    """Says things and takes what comes, or not."""

    def __init__(self, g, family, address):
        self.g, self.family, self.address, self.sock = g, family, address, None

    def say(self, data):
        if not self.sock:
            self.sock = socket.socket(self.family)
            self.sock.connect(self.address) # which waits for its turn
        try:
            self.sock.setblocking(False)
            try:
                self.sock.send(data)
            except BlockingIOError:
                pass # it is busy with what came before
            if self.g.random() < 0.9:
                try:
                    self.sock.recv(1 << 20)
                except BlockingIOError:
                    pass
            self.sock.setblocking(True)
            if self.g.random() < 0.01:
                self.leave()
        except OSError:
            self.leave()

    def leave(self):
        if self.sock:
            self.sock.close()
        self.sock = None


def line(g, commands):
    text = g.choice(commands)
    if text in ("info", "help"):
        text += " " + g.choice(commands)
    for _ in range(g.randrange(4)):
        text += " " + g.choice(WORDS)
    data = bytearray(text.encode())
    for _ in range(g.randrange(3) if g.random() < 0.3 else 0):
        at = g.randrange(len(data) + 1)
        data[at:at] = g.choice(KEYS)
    name = bytes(data).split()[0] if data.split() else b""
    return b"\n" if name.decode("latin-1") in LEFT_OUT else bytes(data) + b"\n"


def value(g, depth=0):
    kind = g.randrange(9 if depth < 4 else 6)
    if kind == 6:
        return [value(g, depth + 1) for _ in range(g.randrange(4))]
    if kind > 6:
        return {g.choice(WORDS + ["id", "device", "driver", "type", "data", "path", "property"]): value(g, depth + 1)
                for _ in range(g.randrange(4))}
    return [None, True, g.getrandbits(80) - (1 << 79), g.random() * 10 ** g.randrange(300), g.choice(WORDS), g.choice(WORDS)][kind]


def request(g, schema):
    name = g.choice(sorted(n for n in schema if n not in LEFT_OUT))
    arguments = {m: value(g) for m in schema[name] if g.random() < 0.8}
    if name == "human-monitor-command":
        arguments = {"command-line": g.choice(["info ", "help ", "print ", "x "]) + g.choice(WORDS)}
    if g.random() < 0.1:
        arguments[g.choice(WORDS)] = value(g)
    text = json.dumps({g.choice(["execute"] * 20 + ["exec-oob", "id", "x"]): name, "arguments": arguments if g.random() < 0.95 else value(g),
                       "id": value(g)}, ensure_ascii=g.random() < 0.5)
    data = bytearray(text.encode())
    while data and g.random() < 0.15:
        data[g.randrange(len(data))] = g.getrandbits(8)
    return b"\n" if b"quit" in data else bytes(data) + b"\n"


def members(watch):
    """Commands and the names of their arguments."""
    entities = {e["name"]: e for e in watch.ask("query-qmp-schema") if e["meta-type"] == "object"}
    commands = [e for e in watch.ask("query-qmp-schema") if e["meta-type"] == "command"]
    return {c["name"]: [m["name"] for m in entities[c["arg-type"]]["members"]] for c in commands}


def resident(proc):
    with open("/proc/%d/statm" % proc.pid) as f:
        return int(f.read().split()[1]) * 4


def sanitized(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


def main():
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 5
    seed = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else random.getrandbits(31)
    g = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        proc, paths = start(os.path.abspath(sys.argv[1]), folder)
        try:
            watch = Monitor(paths["watch"])
            schema = members(watch)
            said = watch.say("help") + watch.say("info")
            commands = sorted({w for text in said.splitlines() if text.split() for w in text.split()[0].split("|")} - LEFT_OUT)
            telnet = next(c["filename"] for c in watch.ask("query-chardev") if "telnet:" in c["filename"])
            port = int(telnet.split(",")[0].rsplit(":", 1)[1])
            people = Peer(g, socket.AF_UNIX, paths["mon"])
            far = Peer(g, socket.AF_INET, ("127.0.0.1", port))
            programs = Peer(g, socket.AF_UNIX, paths["qmp"])
            end, count = time.monotonic() + seconds, 0
            try:
                while time.monotonic() < end and proc.poll() is None:
                    people.say(line(g, commands))
                    far.say(g.choice(TELNET) if g.random() < 0.3 else line(g, commands))
                    programs.say(b'{"execute":"qmp_capabilities"}\n' if not programs.sock or g.random() < 0.02 else request(g, schema))
                    count += 3
            except OSError as e:
                print("# %s" % e)
                time.sleep(1)
            good = proc.poll() is None
            print("%sok 1 - alive after %d messages, seed %d, status %s" % ("" if good else "not ", count, seed, proc.poll()))
            if good:
                for peer in (people, far, programs):
                    peer.leave()
                good = watch.ask("query-status") is not None
                print("%sok 2 - who behaves is served" % ("" if good else "not "))
                used, limit = resident(proc), SANITIZED_MAX if sanitized(sys.argv[1]) else MEMORY_MAX
                print("%sok 3 - memory stays bounded" % ("" if used < limit else "not "))
                print("# %d KiB resident" % used)
                watch.ask("quit")
                status = proc.wait(60)
                print("%sok 4 - it ends when it is told to\n# status %d" % ("" if status == 0 else "not ", status))
        finally:
            proc.kill()
    print("1..4")


main()
