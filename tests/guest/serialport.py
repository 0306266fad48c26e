"""serialport.py - virtio-serial in Debian: a getty on a virtconsole, ports, backpressure both ways, ports that come and go."""
import hashlib
import os
import socket
import tempfile

from linux import start, to_shell
from pointers import Qmp

WAIT = "for i in $(seq 60); do %s && break; sleep 0.5; done; "
BULK = 1 << 20


class Peer:
    """The host's end of a port."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(path)
        self.data = b""

    def until(self, end):
        while end not in self.data:
            more = self.sock.recv(65536)
            if not more:
                break
            self.data += more
        said, _, self.data = self.data.partition(end)
        return said

    def take(self, count):
        while len(self.data) < count:
            more = self.sock.recv(65536)
            if not more:
                break
            self.data += more
        said, self.data = self.data[:count], self.data[count:]
        return said


def console(case, vm, peer):
    vm.sh("(while :; do setsid getty -n -l /bin/sh 0 hvc0 vt100; done) > /dev/null 2>&1 & true")
    peer.sock.sendall(b"\n")
    peer.until(b"# ")
    peer.sock.sendall(b"stty -echo; tty; echo DO''NE\n")
    case.check(b"/dev/hvc0" in peer.until(b"DONE"), "a getty on the virtconsole gives a shell")


def port(case, vm, qmp, peer):
    dev = "/dev/vport0p1"
    case.equal(vm.sh("cat /sys/class/virtio-ports/vport0p1/name")[0], "org.example.0", "the port has its name")

    def front(name):
        return next(c["frontend-open"] for c in qmp.command("query-chardev") if c["label"] == name)
    case.equal(front("port"), False, "nobody of the guest has it open")
    peer.sock.sendall(b"hello")
    case.equal(vm.sh("head -c 5 " + dev)[0], "hello", "what came before is read after opening")
    case.equal([qmp.wait("VSERPORT_CHANGE")["data"] for _ in range(2)],
               [{"id": "port1", "open": True}, {"id": "port1", "open": False}], "VSERPORT_CHANGE")
    vm.sh("exec 3<>%s; echo answer >&3" % dev)
    case.equal(peer.until(b"\n"), b"answer", "what the guest writes arrives")
    case.equal(front("port"), True, "query-chardev tells that it is open")
    case.equal(vm.sh("dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x >&3 & sleep 1; echo alive")[0], "alive",
               "a peer that does not read holds the writer, not the guest")
    case.equal(peer.take(BULK), b"x" * BULK, "then all arrives")
    bulk = os.urandom(BULK // 2)
    pid = os.fork()
    if not pid: # the guest reads later than we write
        peer.sock.sendall(bulk)
        os._exit(0)
    sums = vm.sh("sleep 1; head -c %d <&3 | md5sum" % len(bulk))[0]
    os.waitpid(pid, 0)
    case.equal(sums.split()[0], hashlib.md5(bulk).hexdigest(), "half a megabyte into the guest")
    vm.sh("exec 3>&-")


def plug(case, vm, qmp):
    qmp.command("chardev-add", id="late", backend={"type": "ringbuf", "data": {"size": 1024}})
    qmp.command("device_add", driver="virtserialport", id="port5", nr=5, chardev="late", name="late")
    case.equal(vm.sh(WAIT % "[ -e /dev/vport0p5 ]" + "cat /sys/class/virtio-ports/vport0p5/name; echo plugged > /dev/vport0p5")[0],
               "late", "a port comes")
    case.equal(qmp.command("ringbuf-read", device="late", size=100), "plugged\n", "and speaks")
    said = qmp.command("human-monitor-command", **{"command-line": "info qtree"})
    case.check("port 5, guest off, host on, throttle off" in said, "info qtree tells of it", said)
    qmp.command("device_del", id="port5")
    case.equal(qmp.wait("DEVICE_DELETED")["data"]["device"], "port5", "DEVICE_DELETED")
    case.equal(vm.sh(WAIT % "[ ! -e /dev/vport0p5 ]" + "[ -e /dev/vport0p5 ]; echo $?")[0], "1", "a port goes")
    qmp.command("device_add", driver="virtserialport", id="port5", nr=5, chardev="late")
    case.equal(vm.sh(WAIT % "[ -e /dev/vport0p5 ]" + "ls /dev/vport0p5")[0], "/dev/vport0p5", "and comes again")


def serialport(case):
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: os.path.join(folder, name) for name in ("qmp", "con", "port")}
        words = []
        for name in ("con", "port"):
            words += ["-chardev", "socket,id=%s,path=%s,server=on,wait=off" % (name, paths[name])]
        words += ["-device", "virtio-serial-pci,id=vs", "-device", "virtconsole,chardev=con",
                  "-device", "virtserialport,bus=vs.0,nr=1,chardev=port,id=port1,name=org.example.0"]
        with start(case, "amd64", "-m", "256", "-qmp", "unix:%s,server=on,wait=off" % paths["qmp"], *words,
                   append="quiet") as vm:
            to_shell(vm)
            qmp, peer = Qmp(paths["qmp"]), Peer(paths["port"])
            vm.sh(WAIT % "[ -e /dev/vport0p1 ]" + "true")
            vm.sh("dmesg -c > /dev/null")
            console(case, vm, Peer(paths["con"]))
            port(case, vm, qmp, peer)
            peer.sock.close()
            again = Peer(paths["port"])
            vm.sh("echo back > /dev/vport0p1")
            case.equal(again.until(b"\n"), b"back", "another peer takes the place of the first")
            plug(case, vm, qmp)
            case.equal(vm.sh("dmesg | grep -iE 'error|fail|oops|warn'")[0], "", "nothing ill in the kernel's log")


def cases(options):
    return [] if options.list == "asan" else [("virtio-serial", serialport)]
