#!/usr/bin/env python3
"""-trace, -d trace: and the monitors' commands for them: the lines are there, and they are QEMU's where it has the event.

usage: test-trace.py VIV
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from tap import ok

VIV = sys.argv[1]
QEMU = shutil.which("qemu-system-x86_64")
PATIENCE = 120
# What the same firmware does to the same devices in the same order, whichever program they are in.
COMPARED = ["pci_update_mappings_*", "pic_ioport_write", "fdc_ioport_write", "ide_exec_cmd", "pckbd_kbd_write_command"]


class Machine:
    def __init__(self, program, options, folder):
        self.log = os.path.join(folder, "log")
        args = [program, "-accel", "tcg", "-display", "none", "-net", "none", "-m", "64", "-qmp", "stdio", "-D", self.log]
        self.proc = subprocess.Popen(args + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ask("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()

    def ask(self, name, /, **arguments):
        self.proc.stdin.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.proc.stdin.flush()
        while True:
            m = json.loads(self.proc.stdout.readline())
            if "event" not in m and "QMP" not in m:
                return m.get("return", m.get("error", {}).get("desc"))

    def say(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})

    def finish(self):
        """(log, stderr)"""
        self.proc.stdin.write('{"execute": "quit"}\n')
        _, said = self.proc.communicate(timeout=PATIENCE)
        with open(self.log) as f:
            return f.read(), said


def enough(log, pattern):
    """The first lines of an event, without addresses of the host's memory."""
    name = pattern.rstrip("*")
    lines = [re.sub(r"0x[0-9a-f]{9,}", "POINTER", line) for line in log.splitlines() if line.startswith(name)]
    # The firmware looks at both IDE channels at a time, whichever is faster.
    return sorted(set(lines)) if name == "ide_exec_cmd" else lines[:8]


def boot(program, folder):
    """The log of the firmware's start: it has read the disk when it says that it cannot boot from it."""
    disk, console = os.path.join(folder, "disk"), os.path.join(folder, "console")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    words = [w for event in COMPARED for w in ("-trace", event)]
    with Machine(program, words + ["-hda", disk, "-snapshot", "-debugcon", "file:" + console, "-global",
                                   "isa-debugcon.iobase=0x402", "-boot", "c"], folder) as m:
        while True:
            with open(console) as f:
                if "No bootable device" in f.read():
                    return m.finish()[0]


def test_events():
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        log = boot(VIV, ours)
        other = boot(QEMU, theirs) if QEMU else None
    for event in COMPARED:
        lines = enough(log, event)
        ok(lines, event, log[:500])
        if other is not None:
            ok(lines == enough(other, event), event + ": as QEMU", "\n".join(lines + ["--"] + enough(other, event)))
    ok(all(any(line.startswith(e.rstrip("*")) for e in COMPARED) for line in log.splitlines()), "nothing else is logged", log[:500])


def test_monitor():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "events"), "w") as f:
            f.write("# a comment\n\nport92_*\nnosuch\n-port92_read\n")
        with Machine(VIV, ["-S", "-trace", "events=" + f.name, "-msg", "timestamp=on"], folder) as m:
            ok(m.say("info trace-events port92*") == "port92_write : state 1\r\nport92_read : state 0\r\n", "events=")
            m.say("o /b 0x92 2")
            m.say("trace-event port92_write off")
            m.say("o /b 0x92 2")
            ok(m.say("trace-event nosuch on") == 'unknown event "nosuch"\r\n', "an event that is not there")
            ok(m.say("trace-event nosuch* on") == "", "a pattern that matches none")
            ok("Expected 'on' or 'off'" in m.say("trace-event port92_read perhaps"), "neither on nor off")
            ok("not vCPU-specific" in m.say("trace-event port92_read on 0"), "for a vcpu")
            ok(m.ask("trace-event-get-state", name="port92_read", vcpu=7) == "invalid vCPU index 7", "for one that is not there")
            m.ask("trace-event-set-state", name="memory_region_ops_r*", enable=True)
            state = m.ask("trace-event-get-state", name="memory_region_ops_read")
            ok(state == [{"name": "memory_region_ops_read", "state": "enabled", "vcpu": False}], "trace-event-get-state", state)
            m.say("i /b 0x92")
            m.say("trace-event * off")
            ok(" : state 1" not in m.say("info trace-events"), "all off")
            m.say("log trace:pci_cfg_read")
            m.say("o /w 0xcf8 0x80000000")
            m.say("i /w 0xcfc")
            log, said = m.finish()
    ok("events:4: warning: trace event 'nosuch' does not exist" in said, "it is said which is not there", said)
    lines = [re.sub(r"^\d+@\d+\.\d{6}:", "", line) for line in log.splitlines()]
    ok(all(re.match(r"\d+@", line) for line in log.splitlines()), "each with its time", log)
    ok(lines[0] == "port92_write port92: write 0x02" and len(lines) == 3, "one that was switched off", log)
    ok(re.fullmatch(r"memory_region_ops_read cpu -1 mr 0x\S+ addr 0x92 value 0x2 size 1 name 'port92'", lines[1]), "by pattern", log)
    ok(lines[-1] == "pci_cfg_read i440FX 00:00.0 @0x0 -> 0x12378086", "log trace:", log)


test_events()
test_monitor()
sys.exit(tap.finish())
