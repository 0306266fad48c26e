#!/usr/bin/env python3
"""What follows on resets, power-offs, panics and watchdogs, as -action says: events in their order, state, exit status.

Each case runs on viv and, if it is there, on QEMU 7.2, and must go alike. The monitor plays the guest: it writes the ports.

usage: test-actions.py VIV
"""
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tap
from tap import ok

VIV = sys.argv[1]
QEMU = shutil.which("qemu-system-x86_64")
PATIENCE = 120

PANIC, CRASHLOADED, RESET, POWER_OFF = ["o /b 0x505 1"], ["o /b 0x505 2"], ["o /b 0xcf9 6"], ["o /h 0x604 0x2000"]
# The i6300esb in slot 4: no interrupt, counts of 1 MHz (each stage takes a second then), enabled.
EXPIRE = ["o /w 0xcf8 0x80002060", "o /h 0xcfc 7", "o /w 0xcf8 0x80002068", "o /b 0xcfc 2", "cont"]
# Not running while its ports are written: the firmware uses the same.
WATCHDOG = ["-S", "-device", "i6300esb,addr=4"]
# name: options, lines for the monitor, the event that ends it
CASES = {
    "reset": ([], RESET, "RESET"),
    "reset -no-reboot": (["-no-reboot"], RESET, None),
    "reset reboot=shutdown,shutdown=pause": (["-action", "reboot=shutdown,shutdown=pause"], RESET, "STOP"),
    "system_reset -no-reboot": (["-no-reboot"], ["system_reset"], None),
    "power off": ([], POWER_OFF, None),
    "power off -no-shutdown": (["-no-shutdown"], POWER_OFF, "STOP"),
    "panic": ([], PANIC, None),
    "panic -no-shutdown": (["-no-shutdown"], PANIC, "STOP"),
    "panic=pause": (["-action", "panic=pause"], PANIC, "STOP"),
    "panic=exit-failure": (["-action", "panic=exit-failure"], PANIC, None),
    "panic=exit-failure,shutdown=pause": (["-action", "panic=exit-failure,shutdown=pause"], PANIC, "SHUTDOWN"),
    "panic=none": (["-action", "panic=none"], PANIC, "GUEST_PANICKED"),
    "crash kernel": ([], CRASHLOADED, "GUEST_CRASHLOADED"),
    "set-action": ([{"execute": "set-action", "arguments": {"panic": "pause", "reboot": "shutdown"}}], PANIC, "STOP"),
    "set-action, reset": ([{"execute": "set-action", "arguments": {"reboot": "shutdown"}}], RESET, None),
    "watchdog": (WATCHDOG, EXPIRE, "RESET"),
    "watchdog -no-reboot": (WATCHDOG + ["-no-reboot"], EXPIRE, None),
    "watchdog=shutdown": (WATCHDOG + ["-action", "watchdog=shutdown"], EXPIRE, "POWERDOWN"),
    "watchdog=poweroff": (WATCHDOG + ["-watchdog-action", "poweroff"], EXPIRE, None),
    "watchdog=pause": (WATCHDOG + ["-watchdog-action", "pause"], EXPIRE, "STOP"),
    "watchdog=debug": (WATCHDOG + ["-watchdog-action", "debug"], EXPIRE, "WATCHDOG"),
    "watchdog=none": (WATCHDOG, ["watchdog_action none"] + EXPIRE, "WATCHDOG"),
    "watchdog=inject-nmi": (WATCHDOG + ["-watchdog-action", "inject-nmi"], EXPIRE, "WATCHDOG"),
    "watchdog-set-action": (WATCHDOG + [{"execute": "watchdog-set-action", "arguments": {"action": "pause"}}], EXPIRE, "STOP"),
}


class Machine:
    def __init__(self, program, options):
        args = [program, "-accel", "tcg", "-display", "none", "-vga", "none", "-net", "none", "-m", "64", "-device", "pvpanic",
                "-qmp", "stdio"] + options
        self.proc = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.events = []
        self.ask({"execute": "qmp_capabilities"})

    def message(self):
        line = self.proc.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, request):
        """The answer; None: it has ended."""
        self.proc.stdin.write(json.dumps(request) + "\n")
        self.proc.stdin.flush()
        while (m := self.message()) is not None:
            if "event" in m:
                self.events.append((m["event"], m.get("data")))
            elif "QMP" not in m:
                return m
        return None

    def say(self, line):
        return self.ask({"execute": "human-monitor-command", "arguments": {"command-line": line}})

    def read_until(self, event):
        while not any(e[0] == event for e in self.events):
            m = self.message()
            if m is None:
                return
            self.events.append((m["event"], m.get("data")))

    def wait_for_firmware(self):
        """It has given power management its ports when there is no all ones at PM1 control."""
        while "0x0000" not in self.say("i /h 0x604")["return"]:
            pass


def outcome(program, options, lines, last):
    """Everything that can be seen of a case: events, what it said, state and status."""
    m = Machine(program, [o for o in options if isinstance(o, str)])
    try:
        if lines is POWER_OFF:
            m.wait_for_firmware()
        replies = [m.ask(o) for o in options if not isinstance(o, str)]
        for line in lines:
            m.say(line)
        m.read_until(last)
        state = m.ask({"execute": "query-status"}) if last else None
        if last:
            m.proc.stdin.write('{"execute": "quit"}\n')
        _, said = m.proc.communicate(timeout=PATIENCE)
        said = [line.replace("viv: ", "") for line in said.splitlines() if "warning" not in line and "KVM" not in line]
        return {"events": m.events, "replies": replies, "state": state, "status": m.proc.returncode, "said": said}
    finally:
        m.proc.kill()
        m.proc.wait()


def run_case(item):
    name, (options, lines, last) = item
    compare = QEMU and name != "watchdog=poweroff" # on which QEMU 7.2 hangs: it leaves from the middle of a timer
    return name, outcome(VIV, options, lines, last), outcome(QEMU, options, lines, last) if compare else None


def main():
    with ThreadPoolExecutor(6) as pool:
        for name, ours, theirs in pool.map(run_case, CASES.items()):
            last = CASES[name][2]
            ended = any(e[0] == last for e in ours["events"]) if last else ours["state"] is None
            ok(ended, name, ours)
            if theirs:
                ok(ours == theirs, name + ": as QEMU", "%s\n%s" % (ours, theirs))
    return tap.finish()


sys.exit(main())
