"""bare.py - the images of tests/bare/, each its own firmware, under every accelerator that can run it."""
import os

from vm import run

PASSED = 0x10 * 2 + 1


def kvm_opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return True
    except OSError:
        return False


# name: (further options, exit status); its first word is the image
IMAGES = {
    "real": ([], PASSED),
    "segment": ([], PASSED),
    "paging": ([], PASSED),
    "long": ([], PASSED),
    "task": ([], PASSED),
    "v86": ([], PASSED),
    "debug": ([], PASSED),
    "smc": ([], PASSED),
    "smc logged": (["-d", "exec", "-D", os.devnull], PASSED),
    "much": ([], PASSED),
    "hot16": ([], PASSED),
    "irq": ([], PASSED),
    "smp": (["-smp", "2"], PASSED),
    "split": (["-smp", "2"], PASSED),
    "race": (["-smp", "4"], PASSED),
    "peers": (["-smp", "4", "-cpu", "max"], PASSED),
    "noise": ([], PASSED),
    "exit": ([], PASSED),
    "triple": ([], PASSED),
    "wild": (["-no-reboot"], 0),
    "tlb": (["-cpu", "max"], PASSED),
    "watchdog nmi": (["-device", "i6300esb,addr=5", "-watchdog-action", "inject-nmi"], PASSED),
    "watchdog reset": (["-device", "i6300esb,addr=5"], PASSED),
}
# A KVM without VMX or SVM runs supervisor code in its emulator, which looks at no table limits, switches no tasks
# and knows no 32-bit paging. These pass on it too; the others are not tried.
WITH_KVM = ["real", "smp", "noise", "exit", "wild"]
# Of the others, a sanitizer build runs these.
SHORT = [name for name in IMAGES if name not in ("irq", "smp", "split", "race", "peers")]


def image(name, accel):
    options, wanted = IMAGES[name]

    def case_fn(case):
        path = os.path.join(case.options.images, name.split()[0] + ".bin")
        status, out, err = run([case.viv, "-accel", accel, "-display", "none", "-serial", "none", "-monitor", "none",
                                "-m", "64", "-bios", path, "-device", "isa-debug-exit", *options], 300)
        failed = " (check %d failed)" % ((status >> 1) - 0x20) if status & 1 and status > 0x40 else ""
        case.check(status == wanted, "status", "status %d%s, wanted %d\n%s%s" % (status, failed, wanted, out, err))
    return "bare %s %s" % (name, accel), case_fn


def cases(options):
    if options.list == "asan":
        return [image(n, accel) for accel in ("interp", "jit") for n in SHORT]
    all_ = [image(n, accel) for accel in ("interp", "jit") for n in IMAGES]
    if kvm_opens():
        all_ += [image(n, "kvm") for n in WITH_KVM]
    return all_
