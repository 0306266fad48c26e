"""vm.py - one viv process on a pseudo-terminal: type, wait for an answer, see how it ends."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

PATIENCE = 900  # seconds; for a loaded machine, never a measurement


class Failure(Exception):
    pass


class Vm:
    def __init__(self, argv, log=None):
        self.argv = argv
        self.master, self.slave = pty.openpty()
        self.modes_before = termios.tcgetattr(self.slave)
        self.text = ""
        self.pos = 0
        self.log = open(log, "wb") if log else None
        self.proc = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                     start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        os.close(self.master)
        os.close(self.slave)
        if self.log:
            self.log.close()

    def pump(self, seconds):
        """Takes what has come; False if nothing did."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        data = os.read(self.master, 65536)
        if self.log:
            self.log.write(data)
            self.log.flush()
        self.text += data.decode("latin-1")
        return True

    def expect(self, pattern, patience=PATIENCE):
        """Waits for a pattern behind what was matched before; the match."""
        compiled = re.compile(pattern, re.S)
        end = time.monotonic() + patience
        while True:
            m = compiled.search(self.text, self.pos)
            if m:
                self.pos = m.end()
                return m
            if self.pump(0.5):
                continue
            if self.proc.poll() is not None and not self.pump(0):
                raise Failure("viv ended with status %s before %r came; last: %r"
                              % (self.proc.returncode, pattern, self.text[-300:]))
            if time.monotonic() > end:
                raise Failure("no %r within %d s; last: %r" % (pattern, patience, self.text[-300:]))

    def send(self, text):
        data = text.encode("latin-1")
        while data:
            data = data[os.write(self.master, data):]

    def sh(self, command, patience=PATIENCE):
        """Runs a command in the guest's shell: (output, status)."""
        # The quotes keep the echo of the command from looking like its answer.
        self.send("echo BE''GIN; %s; echo E''ND $?\n" % command)
        m = self.expect(r"BEGIN\r*\n(.*?)END (\d+)\r*\n", patience)
        self.expect(r"vivarium:\S* ", patience)
        return m.group(1).replace("\r", "").strip(), int(m.group(2))

    def wait(self, patience=PATIENCE):
        """The exit status; negative for a signal."""
        end = time.monotonic() + patience
        while self.proc.poll() is None:
            self.pump(0.2)
            if time.monotonic() > end:
                self.proc.send_signal(signal.SIGABRT)
                raise Failure("viv did not end within %d s; last: %r" % (patience, self.text[-300:]))
        while self.pump(0):
            pass
        return self.proc.returncode

    def modes_now(self):
        return termios.tcgetattr(self.slave)


def run(argv, patience=PATIENCE, stdin=subprocess.DEVNULL):
    """Runs a program without a terminal: (status, stdout, stderr)."""
    p = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=patience)
    return p.returncode, p.stdout.decode("latin-1"), p.stderr.decode("latin-1")
