"""pointers.py - keys and pointers from QMP as Debian's virtio_input gives them to programs in the guest."""
import json
import os
import re
import socket
import tempfile

from linux import start, to_shell
from vm import Failure

EV_KEY, EV_REL, EV_ABS = 1, 2, 3


class Qmp:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")
        self.pending = []
        self.file.readline()
        self.command("qmp_capabilities")

    def command(self, name, /, **arguments):
        self.file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Failure("%s: %s" % (name, reply["error"]["desc"]))
            self.pending.append(reply)

    def wait(self, event):
        """The next of these events; others are kept."""
        while True:
            for i, e in enumerate(self.pending):
                if e["event"] == event:
                    return self.pending.pop(i)
            self.pending.append(json.loads(self.file.readline()))

    def events(self, *events):
        self.command("input-send-event", events=list(events))


def axis(kind, name, value):
    return {"type": kind, "data": {"axis": name, "value": value}}


def button(name, down):
    return {"type": "btn", "data": {"button": name, "down": down}}


def received(vm, name):
    """What came from the device of that name: (type, code, value) without the syncs."""
    words = [int(w, 16) for w in vm.sh("od -An -v -t x2 /tmp/%s" % name)[0].split()]
    rows = [words[i:i + 12] for i in range(0, len(words), 12)] # struct input_event: 16 bytes of time before it
    values = [(r[8], r[9], r[10] | r[11] << 16) for r in rows if len(r) == 12 and r[8]]
    return [(t, c, v - (1 << 32) if v >> 31 else v) for t, c, v in values]


def choose(qmp, mice, name):
    index = next(m["index"] for m in mice if m["name"] == name)
    said = qmp.command("human-monitor-command", **{"command-line": "mouse_set %d" % index})
    if said:
        raise Failure(said)


def virtio(case):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "qmp")
        devices = [w for d in ("keyboard", "mouse", "tablet") for w in ("-device", "virtio-%s-pci" % d)]
        with start(case, "amd64", "-m", "256", "-qmp", "unix:%s,server=on,wait=off" % path, *devices, append="quiet") as vm:
            to_shell(vm)
            qmp = Qmp(path)
            text = vm.sh("cat /proc/bus/input/devices")[0]
            nodes = {}
            for name, event in re.findall(r'Name="QEMU Virtio (\w+)".*?Handlers=[^\n]*(event\d+)', text, re.S):
                nodes[name] = event
            case.equal(sorted(nodes), ["Keyboard", "Mouse", "Tablet"], "the driver found all three")
            for name, event in nodes.items():
                vm.sh("(cat /dev/input/%s > /tmp/%s &)" % (event, name))
            # They hear nothing before they have opened the device.
            vm.sh("until [ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c /dev/input/event) -ge 3 ]; do sleep 0.1; done")
            mice = qmp.command("query-mice")
            qmp.command("send-key", keys=[{"type": "qcode", "data": "shift"}, {"type": "qcode", "data": "a"}])
            choose(qmp, mice, "QEMU Virtio Tablet") # drivers start in any order
            qmp.events(axis("abs", "x", 1000), axis("abs", "y", 2000))
            qmp.events(button("left", True), button("left", False), button("wheel-up", True), button("wheel-up", False))
            choose(qmp, mice, "QEMU Virtio Mouse")
            qmp.events(axis("rel", "x", 5), axis("rel", "y", -7))
            vm.sh("sleep 1")
            case.equal(received(vm, "Keyboard"), [(EV_KEY, 42, 1), (EV_KEY, 30, 1), (EV_KEY, 30, 0), (EV_KEY, 42, 0)],
                       "shift-a")
            case.equal(received(vm, "Tablet"), [(EV_ABS, 0, 1000), (EV_ABS, 1, 2000), (EV_KEY, 0x110, 1), (EV_KEY, 0x110, 0),
                                                (EV_REL, 8, 1)], "the tablet is where it was put, clicks and turns its wheel")
            case.equal(received(vm, "Mouse"), [(EV_REL, 0, 5), (EV_REL, 1, -7)], "the mouse moves once it is chosen")
            case.check(any(m["absolute"] for m in mice), "query-mice knows the tablet", mice)


def cases(options):
    return [] if options.list == "asan" else [("virtio input", virtio)]
