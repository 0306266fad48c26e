#!/usr/bin/env python3
"""programs.py VIV GUEST [--smp N] [--cpu MODEL] [--only NAME,...] - programs people run: in a guest on viv against the same on TCG.

The programs are this machine's own (Debian packages; what is not installed is left out), put into an initramfs with the
libraries they need. A shell script in the guest runs each; with --smp 2 two at a time. Counted is the CPU time, user and
system, of the whole viv or QEMU in between. Natively they run in the same folder, through chroot (root only).
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

from common import QEMU, cpu_type
from cpu import cpio_entry, mean

PYTHON = "import zlib\nd={}\nfor i in range(150000): d[i%5003]=d.get(i%5003,0)+i\nprint(sum(d.values()),len(sorted(str(x) for x in range(60000))))"
SQL = ("create table t(a integer primary key,b text,c real);"
       "with recursive n(x) as (select 1 union all select x+1 from n where x<60000) "
       "insert into t select x,hex(x*7919),x/3.0 from n; create index i on t(b);"
       "select count(*),sum(c),max(b) from t where b like '%3A%'; select sum(a) from t group by substr(b,1,2) limit 3;")
# name: (programs it needs, shell command)
WORK = {
    "gzip": (["gzip"], "gzip -c /data >/dev/null"),
    "xz": (["xz"], "xz -1 -T1 -c /data >/dev/null"),
    "sha256": (["openssl"], "for i in 1 2 3 4 5 6 7 8; do openssl dgst -sha256 /data >/dev/null; done"),
    "aes": (["openssl"], "for i in 1 2 3 4 5 6 7 8; do openssl enc -aes-256-cbc -K 00112233 -iv 00 -in /data -out /dev/null 2>/dev/null; done"),
    "rsa": (["openssl"], "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do openssl pkeyutl -sign -inkey /key -in /hash -out /dev/null; done"),
    "python3": (["/usr/bin/python3.11"], "/usr/bin/python3.11 -I -S /work.py >/dev/null"),
    "sqlite": (["sqlite3"], "sqlite3 :memory: </work.sql >/dev/null"),
    "gcc": (["gcc-12", "as"], "gcc-12 -O2 -c /work.c -o /dev/null"),
}


def libraries(path):
    p = subprocess.run(["ldd", path], capture_output=True, text=True)
    return re.findall(r"(/\S+) \(0x", p.stdout)


def place(root, path):
    """Copies a file, and what it is linked with, to the same name below root."""
    target = root + path
    if os.path.exists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(os.path.realpath(path), target)
    for library in libraries(path):
        place(root, library)


def place_tree(root, folder, keep=lambda name: True):
    for at, _, names in os.walk(folder):
        for name in names:
            if keep(os.path.join(at, name)) and os.path.isfile(os.path.join(at, name)):
                place(root, os.path.join(at, name))


def fill(root, only):
    """The root folder; gives the workloads that can run."""
    have = {}
    for name, (programs, command) in WORK.items():
        paths = [shutil.which(p) for p in programs]
        if all(paths) and (not only or name in only):
            for program, path in zip(programs, paths): # by its path: busybox's shell would take its own
                command = re.sub(r"(^|; do )%s " % re.escape(program), r"\g<1>%s " % path, command)
            have[name] = command
            for path in paths:
                place(root, path)
    busybox = shutil.which("busybox")
    os.makedirs(root + "/bin", exist_ok=True)
    shutil.copy(busybox, root + "/bin/busybox")
    for applet in ("sh", "cat", "mount", "reboot"):
        os.symlink("busybox", root + "/bin/" + applet)
    for folder in ("proc", "dev", "tmp", "etc/ssl", "usr/lib/ssl"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    if "python3" in have:
        place_tree(root, "/usr/lib/python3.11", lambda n: n.count("/") <= 5 and n.endswith(".py") or "/encodings/" in n and n.endswith(".py"))
    if "gcc" in have:
        gcc = "/usr/lib/gcc/x86_64-linux-gnu/12"
        place(root, gcc + "/cc1")
        place_tree(root, gcc + "/include")
        place_tree(root, "/usr/include", lambda n: re.match(r"/usr/include/([^/]*\.h|(x86_64-linux-gnu/)?(bits|sys|gnu|asm|asm-generic|linux)/)", n))
    if "rsa" in have:
        subprocess.run(["openssl", "genrsa", "-out", root + "/key", "2048"], check=True, capture_output=True)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cpubench.c")) as f:
        text = f.read()
    files = {"/work.py": PYTHON, "/work.sql": SQL, "/work.c": text, "/hash": "0" * 32, "/run.sh": script(have)}
    for name, content in files.items():
        with open(root + name, "w") as f:
            f.write(content)
    with open(os.path.realpath(busybox), "rb") as f, open(root + "/data", "wb") as out: # some of a program, some text
        out.write((f.read(1 << 20) + text.encode() * 32) * 4)
    os.symlink("run.sh", root + "/init")
    os.chmod(root + "/run.sh", 0o755)
    return have


def script(have):
    lines = ["#!/bin/sh", "export PATH=/bin:/usr/bin", "[ -e /proc/uptime ] || mount -t proc proc /proc", "[ -c /dev/null ] || mount -t devtmpfs dev /dev",
             "jobs=$(cat /jobs)"]
    for name, command in have.items():
        lines += ["work() { %s; }" % command, "echo bench %s begins" % name, "i=0",
                  "while [ $i -lt $jobs ]; do work & i=$((i + 1)); done", "wait", "echo bench %s ended" % name]
    return "\n".join(lines + ["echo PROGRAMS DONE", "[ $$ != 1 ] || reboot -f", ""])


def pack(root, path):
    with open(path, "wb") as out:
        for at, folders, names in os.walk(root):
            inside = os.path.relpath(at, root)
            for folder in folders:
                out.write(cpio_entry(os.path.normpath(os.path.join(inside, folder)), 0o040755))
            for name in names:
                full, member = os.path.join(at, name), os.path.normpath(os.path.join(inside, name))
                if os.path.islink(full):
                    out.write(cpio_entry(member, 0o120777, os.readlink(full).encode()))
                else:
                    with open(full, "rb") as f:
                        out.write(cpio_entry(member, 0o100000 | (os.stat(full).st_mode & 0o777), f.read()))
        out.write(cpio_entry("dev/console", 0o020600, rdev=(5, 1)))
        out.write(cpio_entry("TRAILER!!!", 0))


def cpu_seconds(pid):
    """User and system time of a process and of those it has waited for (proc(5), stat: fields 14 to 17)."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure(argv):
    """{program: CPU seconds on this machine}, read when the guest says that it begins and ends."""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    used, lines = {}, []
    for line in p.stdout:
        lines.append(line.decode(errors="replace").rstrip())
        m = re.search(r"bench (\S+) (begins|ended)", lines[-1])
        if m:
            used.setdefault(m[1], []).append(cpu_seconds(p.pid))
    p.wait()
    if not any("PROGRAMS DONE" in line for line in lines):
        raise SystemExit("%s did not come to its end:\n%s" % (argv[0], "\n".join(lines[-20:])))
    said = [line for line in lines if re.search(r"fault|error|Killed|Aborted", line)]
    if said:
        raise SystemExit("%s: programs failed:\n%s" % (argv[0], "\n".join(said)))
    return {name: max(end - begin, 0.01) for name, (begin, end) in used.items()}


def native(root):
    if os.geteuid() != 0:
        return {}
    for name in ("dev", "proc"):
        subprocess.run(["mount", "--bind", "/" + name, os.path.join(root, name)], check=True)
    try:
        return measure(["chroot", root, "/run.sh"])
    finally:
        for name in ("dev", "proc"):
            subprocess.run(["umount", os.path.join(root, name)], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("viv")
    parser.add_argument("guest")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--cpu", default="qemu64")
    parser.add_argument("--only", default="")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, initrd = os.path.join(folder, "root"), os.path.join(folder, "initrd")
        os.mkdir(root)
        have = fill(root, o.only.split(",") if o.only else [])
        with open(root + "/jobs", "w") as f:
            f.write("%d\n" % o.smp)
        pack(root, initrd)
        rest = ["-nographic", "-no-reboot", "-m", "1024", "-smp", str(o.smp), "-cpu", o.cpu, "-kernel", o.guest + "/vmlinuz", "-initrd", initrd,
                "-append", "console=ttyS0 quiet panic=1"]
        here = native(root)
        ours = measure([o.viv] + rest)
        theirs = measure([QEMU, "-accel", "tcg", "-machine", "pc"] + rest) if QEMU else {}
    print("%s, -cpu %s -smp %d, that many at a time, CPU seconds, on %s" % (o.guest, o.cpu, o.smp, cpu_type()))
    print("%-10s %8s %8s %8s %12s %10s" % ("", "native", "viv", "tcg", "viv/native", "tcg/viv"))
    gain = []
    for name in have:
        row = [here.get(name), ours[name], theirs.get(name)]
        gain += [row[2] / row[1]] if row[2] else []
        print("%-10s %8s %8.2f %8s %12s %10s" % (name, "%.2f" % row[0] if row[0] else "", row[1], "%.2f" % row[2] if row[2] else "",
                                                 "%.2f" % (row[1] / row[0]) if row[0] else "", "%.2f" % gain[-1] if row[2] else ""))
    if gain:
        print("%-10s %52.2f" % ("geo. mean", mean(gain)))
    sys.stdout.flush()


main()
