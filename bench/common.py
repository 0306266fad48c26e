"""common.py - runs a program to its end and says what it used."""
import os
import re
import shutil
import subprocess
import time

QEMU = shutil.which("qemu-system-x86_64")


def cpu_type():
    with open("/proc/cpuinfo") as f:
        return re.search(r"model name\s*: (.*)", f.read()).group(1).strip()


def usage(argv, until=None, patience=900):
    """(CPU seconds, wall seconds, exit status); `until`: a pattern on stdout behind which it is stopped."""
    begin = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = b""
    while True:
        data = os.read(p.stdout.fileno(), 65536)
        if not data:
            break
        text += data
        if until and re.search(until, text):
            p.terminate()
            break
        if time.monotonic() - begin > patience:
            p.kill()
            break
    _, status, res = os.wait4(p.pid, 0)
    p.returncode = status
    if until and not re.search(until, text):
        raise SystemExit("%s: %r did not come; last: %r" % (argv[0], until, text[-300:]))
    return res.ru_utime + res.ru_stime, time.monotonic() - begin, os.waitstatus_to_exitcode(status)
