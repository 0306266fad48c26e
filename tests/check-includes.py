#!/usr/bin/env python3
"""check-includes.py - the arrows between the rooms of src/ run one way. Prints TAP.

The table below is docs/architecture.md's; the page is checked against it.
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# room: the rooms it may include besides itself
ARROWS = {
    "core": [],
    "cpu": ["core"],
    "block": ["core"],
    "chardev": ["core"],
    "display": ["core", "chardev"],
    "hw": ["core", "block", "cpu", "chardev", "display"],
    "accel": ["core", "cpu"],
    "machine": ["core", "block", "cpu", "display", "hw", "accel"],
    "gdb": ["core", "cpu", "chardev", "machine"],
    "monitor": ["core", "block", "cpu", "chardev", "display", "hw", "accel", "machine", "gdb", "cli"],
    "cli": ["core", "block", "cpu", "chardev", "display", "hw", "accel", "machine"],
    "tools": ["core", "block", "cpu", "chardev", "display", "hw", "accel", "machine", "gdb", "monitor", "cli"],
}
# Files that may know KVM's ioctls: the accelerator, and viv-check, which looks at the host.
KVM = re.compile(r"^(accel/kvm/|tools/check_)")


def sources():
    src = os.path.join(TOP, "src")
    for folder, _, names in sorted(os.walk(src)):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".S")):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as f:
                    yield os.path.relpath(path, src), f.read()


def main():
    wrong = {"arrows": [], "kvm": [], "unknown": [], "length": []}
    for path, text in sources():
        room = path.split(os.sep)[0]
        if room not in ARROWS:
            wrong["unknown"].append(path)
            continue
        for other in re.findall(r'^\s*#\s*include\s+"(\w+)/', text, re.M):
            if other in ARROWS and other != room and other not in ARROWS[room]:
                wrong["arrows"].append("%s includes %s/" % (path, other))
        if re.search(r"#\s*include\s*<linux/kvm\.h>", text) and not KVM.match(path):
            wrong["kvm"].append(path)
        if text.count("\n") > 800:
            wrong["length"].append("%s: %d lines" % (path, text.count("\n")))
    with open(os.path.join(TOP, "docs/architecture.md"), encoding="utf-8") as f:
        rows = dict(re.findall(r"^\| `src/(\w+)/` \|[^|]*\|([^|]*)\|", f.read(), re.M))
    page = {room: sorted(re.findall(r"\w+", cell.replace("nothing", ""))) for room, cell in rows.items()}
    wrong["page"] = ["%s: page says %s, table says %s" % (r, page.get(r), sorted(a))
                     for r, a in ARROWS.items() if page.get(r) != sorted(a)]
    names = [("unknown", "every room is in the table"), ("arrows", "no arrow runs back"),
             ("kvm", "KVM's ioctls stay in accel/kvm and viv-check"), ("length", "no file is longer than 800 lines"),
             ("page", "docs/architecture.md says the same")]
    print("1..%d" % len(names))
    for i, (key, what) in enumerate(names, 1):
        print("%sok %d - %s" % ("not " if wrong[key] else "", i, what))
        for line in wrong[key]:
            print("# " + line)
    return 1 if any(wrong.values()) else 0


sys.exit(main())
