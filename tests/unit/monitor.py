"""monitor.py - a client of QMP for tests: commands, and lines of the human monitor."""
import json
import socket


class Monitor:
    def __init__(self, path, patience=120):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.settimeout(patience)
        self.file = sock.makefile("rwb")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, name, /, **arguments):
        """What it returns; events in between are dropped. An error comes as it is."""
        self.file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if "event" not in reply:
                return reply.get("return", reply)

    def say(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})
