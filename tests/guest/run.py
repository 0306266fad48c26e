#!/usr/bin/env python3
"""run.py - tests that need a whole viv: real kernels, bare images, bad input. Prints TAP.

    run.py --viv build/viv [--list quick|full|asan] [--jobs N] [--only REGEX]

Python's standard library only. Kernels come from scripts/guest.sh, images from
tests/bare/ (built by meson). Patience is generous and nothing is judged by time.
"""
import argparse
import os
import re
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import badinput  # noqa: E402
import bare      # noqa: E402
import boots     # noqa: E402
import chardev   # noqa: E402
import debugger  # noqa: E402
import demo      # noqa: E402
import disks     # noqa: E402
import faults    # noqa: E402
import hotplug   # noqa: E402
import linux     # noqa: E402
import log       # noqa: E402
import pointers  # noqa: E402
import scsi      # noqa: E402
import screen    # noqa: E402
import sd        # noqa: E402
import serialport # noqa: E402
import stress    # noqa: E402
import virtio    # noqa: E402
from vm import Failure  # noqa: E402


class Tap:
    """Counts and prints; shared by the cases that run side by side."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = self.failed = 0

    def result(self, ok, name, detail=""):
        with self.lock:
            self.count += 1
            self.failed += not ok
            print("%sok %d - %s" % ("" if ok else "not ", self.count, name))
            if not ok and detail:
                for line in str(detail).splitlines():
                    print("# " + line)
            sys.stdout.flush()

    def skip(self, name, why):
        with self.lock:
            self.count += 1
            print("ok %d - %s # SKIP %s" % (self.count, name, why))
            sys.stdout.flush()


class Case:
    """What a test function gets."""

    def __init__(self, tap, name, options):
        self.tap, self.name, self.options = tap, name, options
        self.viv = options.viv

    def check(self, ok, what, detail=""):
        self.tap.result(bool(ok), "%s: %s" % (self.name, what), detail)

    def equal(self, got, wanted, what):
        self.check(got == wanted, what, "got %r, wanted %r" % (got, wanted))

    def skip(self, why):
        self.tap.skip(self.name, why)

    def log(self):
        os.makedirs(self.options.logs, exist_ok=True)
        return os.path.join(self.options.logs, re.sub(r"[^\w.-]+", "_", self.name) + ".log")


def run_case(tap, name, fn, options):
    case = Case(tap, name, options)
    try:
        fn(case)
    except Failure as e:
        case.check(False, "ran to its end", e)
    except Exception:
        case.check(False, "ran to its end", traceback.format_exc())


def main():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    p = argparse.ArgumentParser()
    p.add_argument("--viv", default=os.path.join(top, "build/viv"))
    p.add_argument("--list", default="quick", choices=["quick", "full", "asan"])
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--only", default="")
    p.add_argument("--guests", default=os.environ.get("VIV_GUESTS", os.path.join(top, "guests")))
    options = p.parse_args()
    options.top = top
    build = os.path.dirname(os.path.abspath(options.viv))
    options.images = os.path.join(build, "tests/bare")
    options.logs = os.path.join(build, "guest-logs")
    modules = (badinput, bare, boots, chardev, debugger, demo, disks, faults, hotplug, linux, log, pointers, screen, scsi, sd,
               serialport, stress, virtio)
    cases = [(n, f) for module in modules for n, f in module.cases(options) if re.search(options.only, n)]
    tap = Tap()
    with ThreadPoolExecutor(options.jobs) as pool:
        for name, fn in cases:
            pool.submit(run_case, tap, name, fn, options)
    print("1..%d" % tap.count)
    return 1 if tap.failed else 0


sys.exit(main())
