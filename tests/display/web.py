"""A machine with -display web, and a plain client of it, for tests."""
import http.client
import os
import re
import socket
import subprocess
import threading
from urllib.parse import urlparse

import rfb


class Machine:
    """viv, the address that it prints, and who has been let in."""

    def __init__(self, viv, *args, words='web,port=0'):
        argv = [viv, '-M', 'pc', '-name', 'tested', '-display', words, *args]
        self.p = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.said, self.url = [], None
        for line in self.p.stderr:
            self.said.append(line)
            found = re.search(r'console in the browser: (http://\S+)', line)
            if found:
                self.url = found[1]
                break
        threading.Thread(target=self.p.stderr.read, daemon=True).start()
        self.cookie = ''
        if self.url:
            parts = urlparse(self.url)
            self.host, self.port, self.netloc, self.token = parts.hostname, parts.port, parts.netloc, parts.fragment

    def connect(self):
        return socket.create_connection((self.host, self.port), 60)

    def ask(self, method, path, cookie=None, **headers):
        """Status, headers and body of an answer; status 0: the connection was ended instead."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=60)
        given = {'Host': self.netloc, 'Cookie': self.cookie if cookie is None else cookie, **headers}
        c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value:
                c.putheader(name, value)
        c.endheaders()
        try:
            r = c.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            return 0, {}, b''
        answer = r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        c.close()
        return answer

    def enter(self, token, origin=None):
        """Exchanges a token for the cookie; the status."""
        status, headers, _ = self.ask('POST', '/session', Origin=origin or 'http://' + self.netloc, Authorization='Bearer ' + token)
        if status == 200:
            self.set_cookie = headers['set-cookie']
            self.cookie = self.set_cookie.split(';')[0]
        return status

    def stream(self, path, **changes):
        given = {'host': self.netloc, 'origin': 'http://' + self.netloc, 'protocol': 'viv', 'cookie': self.cookie, **changes}
        return rfb.Stream(self.connect(), True, path, **given)

    def monitor(self):
        return Monitor(self.stream('/console/compat_monitor0'))

    def memory(self):
        """Resident KiB."""
        with open('/proc/%d/status' % self.p.pid) as f:
            return int(re.search(r'VmRSS:\s*(\d+)', f.read())[1])

    def descriptors(self):
        return len(os.listdir('/proc/%d/fd' % self.p.pid))

    def end(self):
        self.p.terminate()
        return self.p.wait(60)


class Console:
    """A text console, its output read as it comes."""

    def __init__(self, stream):
        self.s, self.text = stream, ''

    def type(self, text):
        self.s.write(text.encode())

    def until(self, words):
        """What was printed up to the words."""
        while words not in self.text:
            self.text += self.s.frame().decode('utf-8', 'replace')
        at = self.text.index(words) + len(words)
        out, self.text = self.text[:at], self.text[at:]
        return out


class Monitor(Console):
    numbers = 0

    def __init__(self, stream):
        """What others did is printed first; what comes behind an unknown command's name is ours."""
        super().__init__(stream)
        Monitor.numbers += 1
        self.type('begin%d\r' % self.numbers)
        self.until("command: 'begin%d'" % self.numbers)
        self.until('(qemu) ')

    def command(self, line):
        self.type(line + '\r')
        self.until('\n')
        return self.until('(qemu) ').rsplit('(qemu)', 1)[0]
