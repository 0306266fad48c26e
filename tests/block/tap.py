"""tap.py - what the Python tests of this folder share: to run a program, and to run named tests in TAP."""
import shutil
import subprocess
import sys
import tempfile
import traceback

NO_QEMU = "qemu-img and qemu-io are missing: nothing is compared with them"


class Failed(Exception):
    """What was seen is not what it should be; the text says how."""


def call(args, text=None, timeout=60):
    """Runs a program with `text` as its input: (status, all that it said)."""
    p = subprocess.run(args, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return p.returncode, p.stdout


def run(args, text=None, status=0, timeout=60):
    """... that must end with `status` (None: any): what it said."""
    got, out = call(args, text, timeout)
    if status is not None and got != status:
        raise Failed("%s\n%s\nstatus %d, not %d: %s" % (" ".join(args), text or "", got, status, out[-2000:]))
    return out


def one(fn):
    """None, or why it failed; the folder it had is kept then."""
    folder = tempfile.mkdtemp(prefix="viv-test-")
    try:
        fn(folder)
    except (Failed, subprocess.TimeoutExpired) as e:
        why = str(e)
    except Exception:
        why = traceback.format_exc()
    else:
        shutil.rmtree(folder)
        return None
    return "%s\nits files are kept in %s" % (why, folder)


def main(tests, note=""):
    """The tests are pairs: a name, and a function of an empty folder that raises Failed. The exit status."""
    print("1..%d" % len(tests))
    if note:
        print("# " + note)
    bad = 0
    for i, (name, fn) in enumerate(tests, 1):
        why = one(fn)
        bad += why is not None
        print("%s %d - %s" % ("not ok" if why else "ok", i, name))
        if why:
            lines = why.splitlines()
            print("\n".join("# " + line for line in lines[:80] + lines[80:][-1:]))
        sys.stdout.flush()
    return bad != 0
