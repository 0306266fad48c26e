#!/usr/bin/env python3
"""QMP as a program meets it: every reply against the schema, negotiation, errors, events, hostile peers. TAP on stdout.

usage: test-qmp.py VIV
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

VIV = sys.argv[1]
PATIENCE = 60
count = failed = 0


def ok(good, name, note=""):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good and note:
        print("# " + str(note)[:3000].replace("\n", "\n# "), flush=True)


class Client:
    def __init__(self, path, negotiate=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(PATIENCE)
        self.file = self.sock.makefile("rb")
        self.events = []
        self.greeting = json.loads(self.file.readline())
        if negotiate:
            self.command("qmp_capabilities")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def reply(self):
        """The next that is no event."""
        while True:
            message = json.loads(self.file.readline())
            if "event" not in message:
                return message
            self.events.append(message)

    def ask(self, name, **arguments):
        self.send({"execute": name, "arguments": arguments} if arguments else {"execute": name})
        return self.reply()

    def command(self, name, **arguments):
        reply = self.ask(name, **arguments)
        if "return" not in reply:
            raise AssertionError("%s: %s" % (name, reply))
        return reply["return"]

    def error(self, data):
        """(class, description) of the answer to raw input."""
        self.send(data)
        e = self.reply().get("error", {})
        return e.get("class"), e.get("desc", "")

    def wait_event(self, name):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for i, e in enumerate(self.events):
                if e["event"] == name:
                    return self.events.pop(i)
            self.events.append(json.loads(self.file.readline()))
        raise AssertionError("no event " + name)

    def close(self):
        self.file.close()
        self.sock.close()


# ---- the schema ----

class Schema:
    def __init__(self, entities):
        self.by_name = {(e["name"], e["meta-type"] in ("command", "event")): e for e in entities}
        self.commands = {e["name"]: e for e in entities if e["meta-type"] == "command"}
        self.events = {e["name"]: e for e in entities if e["meta-type"] == "event"}

    def check(self, type_name, value, path):
        """None, or what is wrong."""
        t = self.by_name.get((type_name, False))
        if t is None:
            return "%s: the schema has no type %s" % (path, type_name)
        return getattr(self, "check_" + t["meta-type"])(t, value, path)

    def check_builtin(self, t, value, path):
        kinds = {"string": str, "int": int, "number": (int, float), "boolean": bool, "null": type(None), "value": object}
        good = isinstance(value, kinds[t["json-type"]]) and (t["json-type"] != "int" or not isinstance(value, bool))
        return None if good else "%s: %r is no %s" % (path, value, t["json-type"])

    def check_enum(self, t, value, path):
        return None if value in t["values"] else "%s: %r is not in %s" % (path, value, t["name"])

    def check_array(self, t, value, path):
        if not isinstance(value, list):
            return "%s: %r is no list" % (path, value)
        for i, v in enumerate(value):
            wrong = self.check(t["element-type"], v, "%s[%d]" % (path, i))
            if wrong:
                return wrong
        return None

    def check_alternate(self, t, value, path):
        wrong = [self.check(m["type"], value, path) for m in t["members"]]
        return None if None in wrong else wrong[0]

    def check_object(self, t, value, path):
        if not isinstance(value, dict):
            return "%s: %r is no object" % (path, value)
        members = {m["name"]: m for m in t["members"]}
        if "tag" in t:
            case = next((v["type"] for v in t["variants"] if v["case"] == value.get(t["tag"])), None)
            if case:
                members.update({m["name"]: m for m in self.by_name[(case, False)]["members"]})
        for name, m in members.items():
            if name not in value:
                if "default" not in m:
                    return "%s: %s is missing" % (path, name)
                continue
            wrong = self.check(m["type"], value[name], path + "." + name)
            if wrong:
                return wrong
        unknown = set(value) - set(members)
        return "%s: %s is not in %s" % (path, sorted(unknown), t["name"]) if unknown else None


def start(folder, *args):
    disk, cd = os.path.join(folder, "disk.raw"), os.path.join(folder, "cd.iso")
    for path in (disk, cd):
        with open(path, "wb") as f:
            f.truncate(1 << 20)
    paths = [os.path.join(folder, "qmp%d" % i) for i in range(2)]
    words = [VIV, "-display", "none", "-S", "-m", "64", "-smp", "2", "-name", "tested", "-serial", "null", "-monitor", "none",
             "-object", "iothread,id=io0", "-drive", "if=ide,format=raw,file=" + disk, "-cdrom", cd,
             "-device", "virtio-rng-pci,id=rng0", *args]
    for p in paths:
        words += ["-qmp", "unix:%s,server=on,wait=off" % p]
    proc = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while not all(os.path.exists(p) for p in paths):
        if proc.poll() is not None or time.monotonic() > end:
            raise AssertionError(proc.stderr.read().decode())
        time.sleep(0.02)
    return proc, paths


def test_schema(c):
    schema = Schema(c.command("query-qmp-schema"))
    names = {n["name"] for n in c.command("query-commands")}
    ok(names == set(schema.commands), "query-commands and the schema know the same", names ^ set(schema.commands))
    for name in sorted(n for n in names if n.startswith("query-") and n != "query-qmp-schema"):
        needs = [m for m in schema.by_name[(schema.commands[name]["arg-type"], False)]["members"] if "default" not in m]
        if needs:
            continue
        reply = c.ask(name)
        if "error" in reply:
            ok(reply["error"]["class"] in ("GenericError", "DeviceNotActive", "KVMMissingCap"), name + ": an error is known", reply)
            continue
        wrong = schema.check(schema.commands[name]["ret-type"], reply["return"], name)
        ok(not wrong, name + ": its reply is as the schema says", wrong)
    reply = c.command("query-cpu-model-expansion", type="full", model={"name": "qemu64"})
    ok(not schema.check("CpuModelExpansionInfo", reply, ""), "query-cpu-model-expansion", reply)
    return schema


def walk(c, path):
    """Every object below a path: [(path, properties)]."""
    rows = c.command("qom-list", path=path)
    found = [(path, [r for r in rows if not r["type"].startswith("child<")])]
    for r in rows:
        if r["type"].startswith("child<"):
            found += walk(c, path.rstrip("/") + "/" + r["name"])
    return found


def test_objects(c, schema):
    tree = walk(c, "/")
    paths = [p for p, _ in tree]
    for wanted in ("/machine", "/machine/peripheral/rng0", "/machine/unattached/device[0]", "/objects/io0", "/chardevs"):
        ok(wanted in paths, "there is an object " + wanted, paths)
    unread = []
    for path, properties in tree:
        for p in properties:
            if "return" not in c.ask("qom-get", path=path, property=p["name"]):
                unread.append((path, p["name"]))
    ok(not unread, "qom-get reads every property of every object", unread)
    ok(c.command("qom-get", path="rng0", property="type") == "virtio-rng-pci", "a partial path is enough")
    wrong = []
    for t in c.command("qom-list-types", implements="device"):
        reply = c.ask("device-list-properties", typename=t["name"])
        problem = "error" in reply or schema.check("[ObjectPropertyInfo]", reply["return"], t["name"])
        if problem:
            wrong.append((t["name"], reply.get("error") or problem))
    ok(not wrong, "device-list-properties of every device type", wrong)
    reply = c.ask("qom-set", path="/machine/peripheral/rng0", property="max-bytes", value=1)
    ok("after it was realized" in reply["error"]["desc"], "qom-set refuses what cannot change", reply)


def test_chardevs(c, schema, folder):
    """chardev-add in the types of the schema: each backend, what it became, and what is refused."""
    def backend(kind, **data):
        return {"type": kind, "data": data}

    def address(kind, **data):
        return {"type": kind, "data": data}
    path = os.path.join(folder, "chardev")
    inet = address("inet", host="127.0.0.1", port="0", ipv4=True)
    wanted = [
        ("c-file", backend("file", out=path, append=True), "file"),
        ("c-null", backend("null"), "null"),
        ("c-pty", backend("pty"), "pty:/dev/pts/"),
        ("c-ring", backend("ringbuf", size=4096), "ringbuf"),
        ("c-vc", backend("vc", cols=80, rows=25), "vc"),
        ("c-unix", backend("socket", addr=address("unix", path=path + ".sock")), "disconnected:unix:%s.sock,server=on" % path),
        ("c-inet", backend("socket", addr=inet, server=True, telnet=True), "disconnected:telnet:127.0.0.1:"),
        ("c-udp", backend("udp", remote=address("inet", host="127.0.0.1", port="9"),
                          local=address("inet", host="127.0.0.1", port="0")), "udp"),
    ]
    for name, what, filename in wanted:
        reply = c.ask("chardev-add", id=name, backend=what)
        ok("return" in reply and not schema.check("ChardevReturn", reply["return"], ""), "chardev-add " + what["type"], reply)
        said = next((x["filename"] for x in c.command("query-chardev") if x["label"] == name), "")
        ok(said.startswith(filename), "query-chardev tells of it", said)
        if name == "c-pty":
            ok(said == "pty:" + reply["return"]["pty"], "a pty tells where it is", reply)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path + ".sock")
    client.close()
    for what, why in (
            (backend("socket"), "Parameter 'backend.data.addr' is missing"),
            (backend("nonsense"), "nonsense"),
            (backend("file"), "Parameter 'backend.data.out' is missing"),
            (backend("file", out=path, size=1), "size"),
            (backend("file", out="/nonexistent/x"), "No such file"),
            (backend("socket", addr=address("inet", host="127.0.0.1")), "port"),
            (backend("socket", addr=address("unix", path="/nonexistent/x"), server=False), "No such file"),
            (backend("null", logfile=1), "logfile")):
        reply = c.ask("chardev-add", id="c-bad", backend=what)
        ok(why in reply.get("error", {}).get("desc", ""), "chardev-add refuses %s" % json.dumps(what), reply)
    ok("Duplicate ID" in c.ask("chardev-add", id="c-null", backend=backend("null"))["error"]["desc"], "an id is there once")
    ok(c.ask("chardev-change", id="c-null", backend=backend("ringbuf")) == {"return": {}}, "chardev-change")
    for name, _, _ in wanted:
        c.command("chardev-remove", id=name)


def test_new_objects(c):
    c.command("object-add", **{"qom-type": "iothread", "id": "late"})
    threads = {t["id"]: t["thread-id"] for t in c.command("query-iothreads")}
    ok(threads.get("late", 0) > 0, "object-add makes an iothread", threads)
    c.command("object-add", **{"qom-type": "secret", "id": "word", "data": "hidden"})
    ok(c.command("qom-get", path="/objects/word", property="type") == "secret", "object-add makes a secret")
    for args, why in (({"qom-type": "iothread", "id": "late"}, "duplicate"), ({"qom-type": "rng-random", "id": "x"}, "invalid object type"),
                      ({"qom-type": "iothread", "id": "y", "nonsense": 1}, "iothread.nonsense"),
                      ({"qom-type": "secret", "id": "z"}, "one of data= and file=")):
        ok(why in c.ask("object-add", **args).get("error", {}).get("desc", ""), "object-add refuses " + why)
    said = c.command("human-monitor-command", **{"command-line": "object_add iothread,id=more"})
    ok(said == "" and "more" in {t["id"] for t in c.command("query-iothreads")}, "object_add", said)
    for name in ("late", "word", "more"):
        c.command("object-del", id=name)
    ok("not found" in c.ask("object-del", id="late")["error"]["desc"], "object-del takes it away")
    ok({t["id"] for t in c.command("query-iothreads")} == {"io0"}, "its thread has ended")


def test_errors(path):
    c = Client(path, negotiate=False)
    ok(set(c.greeting["QMP"]) == {"version", "capabilities"}, "the greeting", c.greeting)
    ok(c.error({"execute": "query-status"})[0] == "CommandNotFound", "nothing before the negotiation")
    ok(c.ask("qmp_capabilities", enable=["oob"]) == {"return": {}}, "capabilities are taken")
    ok(c.error({"execute": "qmp_capabilities"})[0] == "CommandNotFound", "... once")
    cases = [
        ({"execute": "nonsense"}, "CommandNotFound", "The command nonsense has not been found"),
        ({"execute": "query-status", "arguments": {"a": 1}}, "GenericError", "Parameter 'a' is unexpected"),
        ({"execute": "memsave", "arguments": {"val": "x"}}, "GenericError", "Invalid parameter type for 'val', expected: integer"),
        ({"execute": "memsave"}, "GenericError", "Parameter 'val' is missing"),
        ({"execute": "screendump", "arguments": {"filename": "x", "format": "gif"}}, "GenericError",
         "Parameter 'format' does not accept value 'gif'"),
        ({"execute": "eject", "arguments": {"device": "none"}}, "DeviceNotFound", "Device 'none' not found"),
        ({"execute": "device_add", "arguments": {"driver": "none"}}, "GenericError", "'none' is not a valid device model name"),
        ({"execute": "device_add", "arguments": {"driver": "ide-hd"}}, "GenericError", "does not support hotplugging"),
        ({"execute": "device_del", "arguments": {"id": "none"}}, "DeviceNotFound", "Device 'none' not found"),
        ({"execute": "system_wakeup"}, "GenericError", "guest is not in suspended state"),
        ({"exec-oob": "query-status"}, "GenericError", "does not support OOB"),
        ({"execute": 1}, "GenericError", "'execute' must be a string"),
        ({"arguments": {}}, "GenericError", "QMP input lacks member 'execute'"),
        ({"execute": "stop", "what": 1}, "GenericError", "QMP input member 'what' is unexpected"),
        (b'{"execute": "stop", "execute": "cont"}\n', "GenericError", "JSON parse error"),
        (b'{"execute": "st\nop"}', "GenericError", "JSON parse error"),
        (b"[]", "GenericError", "QMP input must be a JSON object"),
        (b"nonsense\n", "GenericError", "JSON parse error"),
        (b"[" * 2000 + b"]" * 2000, "GenericError", "JSON parse error"),
        (b'{"execute": "' + b"x" * (2 << 20) + b'"}', "GenericError", "JSON parse error"),
        (b'{"execute": \xff', "GenericError", "JSON parse error"),
    ]
    for data, wanted, words in cases:
        got = c.error(data)
        name = data[:40] if isinstance(data, bytes) else json.dumps(data)
        ok(got[0] == wanted and words in got[1], "error: %s" % name, got)
        if isinstance(data, bytes): # the rest of a broken message is one, or is not
            c.send(b'\n\n{"execute": "query-name", "id": "after"}')
            while c.reply().get("id") != "after":
                pass
    c.send({"execute": "query-status", "id": {"a": [1, None]}})
    ok(c.reply().get("id") == {"a": [1, None]}, "an id of any kind comes back")
    for i in range(50):
        c.send({"execute": "query-name", "id": i})
    ok([c.reply()["id"] for _ in range(50)] == list(range(50)), "commands in a row are answered in their order")
    for byte in b'{"execute": "query-name", "id": 7}':
        c.send(bytes([byte]))
    ok(c.reply()["id"] == 7, "a command that comes byte by byte")
    c.close()


def test_peers(proc, paths):
    deaf = Client(paths[0])
    deaf.sock.setblocking(False)
    request = json.dumps({"execute": "query-qmp-schema"}).encode()
    sent = 0
    try:
        while sent < 100 << 20:
            sent += deaf.sock.send(request)
    except BlockingIOError:
        pass
    ok(sent < 100 << 20, "who does not read its replies is not read from any more", sent)
    c = Client(paths[1])
    ok(c.command("query-name") == {"name": "tested"}, "another client is served meanwhile")
    with open("/proc/%d/status" % proc.pid) as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    ok(rss < 400 << 10, "memory stays bounded", "%d KiB" % rss)
    deaf.close()
    for _ in range(300):
        s = socket.socket(socket.AF_UNIX) # waits while another is being served
        s.connect(paths[0])
        s.send(b'{"execute":')
        s.close()
    c2 = Client(paths[0])
    ok(c2.command("query-name") == {"name": "tested"}, "after three hundred that came and went")
    c2.close()
    return c


def test_work(c, folder):
    ok(c.command("query-status")["status"] == "prelaunch", "-S waits")
    c.command("cont")
    ok(c.wait_event("RESUME") and c.command("query-status")["running"], "cont")
    c.command("stop")
    ok(c.wait_event("STOP") and c.command("query-status")["status"] == "paused", "stop")
    c.command("system_reset")
    ok(c.wait_event("RESET")["data"] == {"guest": False, "reason": "host-qmp-system-reset"}, "system_reset")
    c.command("eject", device="ide1-cd0")
    ok(c.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is True, "eject opens the tray")
    drives = {d["device"]: d for d in c.command("query-block")}
    ok("inserted" not in drives["ide1-cd0"] and drives["ide1-cd0"]["tray_open"], "the drive is empty", drives["ide1-cd0"])
    c.command("blockdev-change-medium", device="ide1-cd0", filename=os.path.join(folder, "cd.iso"), format="raw")
    ok(c.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is False, "another medium closes it")
    c.command("block_resize", device="ide0-hd0", size=2 << 20)
    drives = {d["device"]: d for d in c.command("query-block")}
    ok(drives["ide0-hd0"]["inserted"]["image"]["virtual-size"] == 2 << 20, "block_resize", drives["ide0-hd0"])
    c.command("device_add", driver="virtio-rng-pci", id="rng1")
    ok(c.command("qom-get", path="/machine/peripheral/rng1", property="realized"), "device_add")
    for picture, magic in (("ppm", b"P6\n"), ("png", b"\x89PNG\r\n\x1a\n")):
        path = os.path.join(folder, "screen." + picture)
        c.command("screendump", filename=path, format=picture)
        with open(path, "rb") as f:
            ok(f.read(len(magic)) == magic, "screendump as " + picture)
    path = os.path.join(folder, "memory")
    c.command("pmemsave", val=0xffff0, size=16, filename=path)
    with open(path, "rb") as f:
        ok(f.read(1) == b"\xea", "pmemsave: a far jump at the reset vector")
    c.command("send-key", keys=[{"type": "qcode", "data": "ret"}])
    ok(c.command("human-monitor-command", **{"command-line": "info name"}) == "tested\r\n", "human-monitor-command")
    said = c.command("human-monitor-command", **{"command-line": "nonsense"})
    ok(said.startswith("unknown command: 'nonsense'"), "... and its errors", said)


def main():
    with tempfile.TemporaryDirectory(prefix="viv-qmp-") as folder:
        proc, paths = start(folder)
        try:
            c = Client(paths[0])
            schema = test_schema(c)
            test_objects(c, schema)
            test_chardevs(c, schema, folder)
            test_new_objects(c)
            c.close()
            test_errors(paths[0])
            c = test_peers(proc, paths)
            test_work(c, folder)
            seen = c.events
            c.send({"execute": "quit"})
            rest = [json.loads(line) for line in c.file if line.strip()]
            seen += [m for m in rest if "event" in m]
            ok({"return": {}} in rest and any(m.get("event") == "SHUTDOWN" for m in rest), "quit says so", rest)
            wrong = [schema.check(schema.events[e["event"]]["arg-type"], e.get("data", {}), e["event"]) for e in seen]
            ok(not any(wrong), "events are as the schema says", wrong)
            ok(proc.wait(PATIENCE) == 0, "viv ends with status 0")
        finally:
            proc.kill()
            said = proc.stderr.read().decode()
            proc.wait()
            if failed:
                print("# viv said: " + said[-2000:].replace("\n", "\n# "))
    print("1..%d" % count)
    return 1 if failed else 0


sys.exit(main())
