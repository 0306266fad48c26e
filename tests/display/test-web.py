#!/usr/bin/env python3
"""The browser console against a plain client, polite and not: who gets in, what is served, what is borne; TAP on stdout.

usage: test-web.py VIV
"""
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'unit')]
import rfb  # noqa: E402
import web  # noqa: E402
from tap import finish, ok  # noqa: E402

VIV = sys.argv[1]
NOVNC = '/usr/share/novnc/core/rfb.js'


def refused(m, path, **changes):
    """The status with which a websocket is refused; 0: it is not."""
    try:
        m.stream(path, **changes)
        return 0
    except rfb.Refused as e:
        return e.args[0]
    except rfb.Closed:
        return -1


def serves(m):
    """Does it still answer, and the machine's monitor too?"""
    return m.ask('GET', '/')[0] == 200 and 'VM status' in m.monitor().command('info status')


def ends(stream):
    """Does the server end it?"""
    try:
        while True:
            stream.frame()
    except (rfb.Closed, ConnectionError):
        return True
    except socket.timeout:
        return False


# ---- who gets in ----

def check_entering(m):
    closed = ['/novnc/core/rfb.js', '/xterm.js', '/screen.js', '/console.js', '/screenshot.png']
    status, headers, body = m.ask('GET', '/')
    ok(status == 200 and headers['content-type'].startswith('text/html') and b'<main' in body, 'the page comes without a session', status)
    ok("default-src 'none'" in headers.get('content-security-policy', '') and headers.get('cache-control') == 'no-store' and
       headers.get('x-frame-options') == 'DENY' and headers.get('referrer-policy') == 'no-referrer', 'its headers forbid what it needs not', headers)
    ok(all(m.ask('GET', p)[0] == 401 for p in closed), 'nothing else does')
    ok(refused(m, '/control') == 401 and refused(m, '/screen') == 401, 'no websocket does')
    wrong = ['', 'x', m.token[:-1], m.token + '0', m.token[:-1] + ('0' if m.token[-1] != '0' else '1'), m.token.upper() + 'G', 'a' * 3000]
    ok(all(m.enter(t) == 401 for t in wrong), 'a wrong token lets nobody in')
    ok(m.enter(m.token, 'http://evil.example') == 403, 'nor does the right one from another site')
    ok(m.ask('POST', '/session', Authorization='Bearer ' + m.token)[0] == 403, 'nor without an origin')
    ok(m.ask('GET', '/session', Authorization='Bearer ' + m.token)[0] == 405, 'nor by GET')
    ok(m.enter(m.token) == 200 and 'HttpOnly' in m.set_cookie and 'SameSite=Strict' in m.set_cookie, 'the right one does', m.cookie)
    ok(m.enter(m.token) == 401, 'once')
    ok(all(m.ask('GET', p)[0] == 200 for p in closed), 'with the cookie all is served')
    name, secret = m.cookie.split('=')
    bad = ['%s=%s' % (name, secret[:-1]), '%s=%s0' % (name, secret), 'x%s=%s' % (name, secret), '%s=' % name, ';;;=', secret]
    ok(all(m.ask('GET', '/xterm.js', cookie=c)[0] == 401 for c in bad), 'wrong cookies are known for what they are')
    ok(m.ask('GET', '/xterm.js', cookie='a=b; %s; c=d' % m.cookie)[0] == 200, 'the right one is found among others')


def check_names(m):
    port = m.port
    good = ['localhost', 'LOCALHOST:%d' % port, '127.0.0.1', '[::1]:%d' % port, '10.1.2.3:80']
    bad = ['evil.example', 'evil.example:%d' % port, 'localhost.evil.example', '127.0.0.1.evil.example', '[evil]', '::1', '[::1', ':80', 'localhost:x', '1']
    ok(all(m.ask('GET', '/', Host=h)[0] == 200 for h in good), 'names that are this host')
    ok(all(m.ask('GET', '/', Host=h)[0] == 403 for h in bad), 'names that may be another\'s', [(h, m.ask('GET', '/', Host=h)[0]) for h in bad])
    ok(m.ask('GET', '/', Host='')[0] in (400, 403), 'no name')
    origins = ['http://evil.example', 'http://%s.evil.example' % m.netloc, 'http://127.0.0.1:1', 'null', 'file://', 'http://x@' + m.netloc, '']
    ok(all(refused(m, '/control', origin=o) == 403 for o in origins), 'websockets of other origins', [(o, refused(m, '/control', origin=o)) for o in origins])
    ok(refused(m, '/control', host='evil.example', origin='http://evil.example') == 403, 'a rebound name')
    ok(refused(m, '/nothing') == 404, 'a websocket to nothing')


def check_addresses(m):
    monitor = m.monitor()
    first, second = (re.search(r'#(\w+)', monitor.command('web_address'))[1] for _ in range(2))
    cookie = m.cookie
    ok(m.enter(first) == 401 and m.enter(second) == 200 and m.cookie != cookie, 'web_address: the newest address lets one in')
    ok(m.ask('GET', '/xterm.js', cookie=cookie)[0] == 200, 'who was in before stays so')
    ok('browsers let in: 2' in monitor.command('info web'), 'info web')
    for _ in range(16):
        m.enter(re.search(r'#(\w+)', monitor.command('web_address'))[1])
    ok(m.ask('GET', '/xterm.js', cookie=cookie)[0] == 401, 'of many browsers the first is forgotten')


# ---- what is served ----

def check_files(m):
    with open(NOVNC, 'rb') as f:
        ok(m.ask('GET', '/novnc/core/rfb.js')[2] == f.read(), 'noVNC comes unchanged')
    status, headers, body = m.ask('HEAD', '/xterm.js')
    ok(status == 200 and not body and int(headers['content-length']) > 100000, 'HEAD')
    paths = ['/novnc/../novnc/vnc.html', '/novnc/core/../../../../etc/passwd', '/novnc/core/%2e%2e/%2e%2e/package.json', '//etc/passwd',
             '/novnc/vnc.html', '/novnc/core', '/novnc/core/', '/index.html', '/novnc/core/rfb.js%00.png', '/console/serial0']
    ok(all(m.ask('GET', p)[0] in (0, 403, 404) for p in paths), 'what is not the page\'s', [(p, m.ask('GET', p)[0]) for p in paths])
    ok(m.ask('PUT', '/')[0] in (405, 403, 404) and m.ask('POST', '/', Origin='http://' + m.netloc)[0] == 405, 'other methods')


def check_screen(m, top):
    viewer = rfb.Viewer(m.stream('/screen'))
    viewer.set_encodings(rfb.TIGHT, rfb.RAW, rfb.DESKTOP_SIZE)
    monitor = m.monitor()
    path = os.path.join(top, 'screen.ppm')
    for _ in range(300): # the firmware may still write
        monitor.command('screendump ' + path)
        with open(path, 'rb') as f:
            _, size, _, pixels = f.read().split(b'\n', 3)
        want = [pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2] for i in range(0, len(pixels), 3)]
        got = viewer.refresh()
        if got == want and len(set(want)) > 1:
            break
    ok(got == want and len(set(want)) > 1, 'a viewer sees what the screen shows, dot for dot', size)
    status, headers, png = m.ask('GET', '/screenshot.png')
    ok(status == 200 and headers['content-type'] == 'image/png' and png[:8] == b'\x89PNG\r\n\x1a\n' and
       '%d %d' % struct.unpack('>II', png[16:24]) == size.decode(), 'a screenshot', (status, png[:32]))
    ok('Client' not in monitor.command('info vnc'), 'which `info vnc` does not list')
    viewer.s.sock.close()


def check_control(m):
    control = m.stream('/control')
    state = json.loads(control.frame())
    ids = [c['id'] for c in state['consoles']]
    ok(state['state'] == 'running' and state['name'] == 'tested' and ids == ['serial0', 'compat_monitor0', 'parallel0'], 'the state', state)
    monitor = m.monitor()
    control.write(b'{"do":"stop"}')
    ok(json.loads(control.frame())['state'] == 'paused' and 'paused' in monitor.command('info status'), 'pause')
    control.write(b'{"do":"cont"}')
    ok(json.loads(control.frame())['state'] == 'running' and 'running' in monitor.command('info status'), 'continue')
    monitor.command('stop')
    ok(json.loads(control.frame())['state'] == 'paused', 'others\' commands are told, too')
    monitor.command('cont')
    ok(json.loads(control.frame())['state'] == 'running', 'and their end')
    monitor.command('chardev-add vc,id=extra,cols=100,rows=30')
    news = json.loads(control.frame())['consoles']
    ok({'id': 'extra', 'columns': 100, 'rows': 30} in news, 'a console that comes', news)
    extra = m.stream('/console/extra')
    monitor.command('chardev-remove extra')
    ok(ends(extra) and 'extra' not in str(json.loads(control.frame())), 'and goes, with its viewers')
    ok(ends(m.stream('/console/nothing')), 'a console that is not there')


# ---- what is borne ----

def frame(first, length, data=b'', mask=True):
    size = bytes([length | 0x80 * mask]) if length < 126 else bytes([127 | 0x80 * mask]) + struct.pack('>Q', length)
    return bytes([first]) + size + (b'\0\0\0\0' if mask else b'') + data


def check_nonsense(m):
    messages = {'no JSON': frame(0x81, 3, b'xyz'), 'no object': frame(0x81, 2, b'[]'), 'an unknown order': frame(0x81, 12, b'{"do":"fly"}'),
                'an order that is none': frame(0x81, 8, b'{"do":1}'), 'a long message': frame(0x81, 5000, b' ' * 5000),
                'many brackets': frame(0x81, 1000, b'[' * 1000), 'a message that never ends': frame(0x01, 600, b' ' * 600) + frame(0x00, 600, b' ' * 600),
                'a size that is not there': frame(0x82, 1 << 62, b' ' * 4096), 'a negative size': frame(0x82, 1 << 63, b' ' * 4096),
                'a reserved opcode': frame(0x83, 1, b'x'), 'reserved bits': frame(0xf1, 1, b'x'), 'no mask': frame(0x81, 2, b'{}', False),
                'a long ping': frame(0x89, 1000, b'x' * 1000), 'a piece of nothing': frame(0x80, 1, b'x')}
    for name, data in messages.items():
        s = m.stream('/control')
        s.sock.settimeout(20)
        try:
            s.sock.sendall(data)
        except ConnectionError:
            pass
        ok(ends(s), '%s ends the connection' % name)
    requests = [b'GET / HTTP/1.1\r\n' + b'X: ' + b'y' * 100000 + b'\r\n\r\n', b'\0' * 5000, b'\r\n' * 5000, b'GET ' + b'/' * 20000 + b' HTTP/1.1\r\n\r\n',
                b'POST /session HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n' + b'x' * 100000, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\0' * 100,
                b'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
                b'GET / HTTP/9.9\r\n\r\n', b'GET http://x/ HTTP/1.1\r\nHost: localhost\r\n\r\n', b'CONNECT x:1 HTTP/1.1\r\n\r\n', b'\x16\x03\x01' + b'\xff' * 500,
                b'POST /session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n' + b'x' * 10000]
    for data in requests:
        with m.connect() as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass
    ok(serves(m), 'requests that are none are borne')


def spoil(r, data):
    """The same with some bytes changed, repeated, left out or cut off."""
    data = bytearray(data)
    for _ in range(r.randrange(1, 6)):
        at = r.randrange(len(data) + 1)
        piece = data[at:at + r.randrange(1, 40)]
        kind = r.randrange(5)
        if kind == 0:
            data[at:at + 1] = bytes([r.randrange(256)])
        elif kind == 1:
            data[at:at] = piece * r.randrange(1, 200)
        elif kind == 2:
            del data[at:at + len(piece)]
        elif kind == 3:
            data[at:at] = r.choice([b'\r\n', b'\0', b'%', b': ', b'\xff' * 9, b'\x82\xff', b'\x89\x80', b'\x88\x82'])
        else:
            del data[r.randrange(len(data) + 1):]
    return bytes(data)


def check_spoilt(m):
    r = random.Random(6080)
    host = 'Host: %s\r\nCookie: %s\r\nOrigin: http://%s\r\n' % (m.netloc, m.cookie, m.netloc)
    upgrade = host + 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n'
    typed = frame(0x82, 6, b'help\r\n') * 3
    good = [('GET /novnc/core/rfb.js HTTP/1.1\r\n' + host + '\r\n').encode() * 3, ('POST /session HTTP/1.1\r\nContent-Length: 0\r\n' + host + '\r\n').encode(),
            ('HEAD /screenshot.png HTTP/1.1\r\n' + host + '\r\n').encode() * 2, ('GET /control HTTP/1.1\r\n' + upgrade).encode() + frame(0x81, 13, b'{"do":"cont"}') * 2,
            ('GET /console/serial0 HTTP/1.1\r\n' + upgrade).encode() + typed,
            ('GET /screen HTTP/1.1\r\n' + upgrade).encode() + frame(0x82, 12, b'RFB 003.008\n') + frame(0x82, 1, b'\1') + frame(0x82, 1, b'\1')]
    for _ in range(600):
        with m.connect() as s:
            try:
                s.sendall(spoil(r, r.choice(good)))
                if r.random() < 0.5:
                    s.settimeout(0.02)
                    s.recv(4096)
            except OSError:
                pass
    ok(m.p.poll() is None and serves(m), 'spoilt requests and messages are borne')


def check_crowd(m):
    crowd = []
    descriptors = m.descriptors()
    for n in range(1000):
        s = m.connect()
        s.setblocking(False)
        try:
            s.send([b'', b'G', b'GET / HTTP/1.1\r\nHost: ', b'GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n'][n % 4])
        except OSError:
            pass
        crowd.append(s)
    ok(serves(m), 'a thousand connections that say little keep nobody out')
    ok(m.descriptors() <= descriptors + 100, 'and most of them are gone', (descriptors, m.descriptors()))
    for s in crowd:
        s.close()


def check_pages(m):
    pages = []
    for _ in range(120):
        try:
            pages.append(m.stream('/control'))
        except (rfb.Refused, rfb.Closed):
            break
    ok(80 < len(pages) <= 96, 'there is a limit to websockets', len(pages))
    for p in pages:
        p.sock.close()
    for _ in range(3000):
        if not refused(m, '/control'):
            break
        time.sleep(0.01)
    ok(serves(m), 'who goes makes room')


def check_still(m):
    """Viewers that do not read, one of each kind, while much is printed and typed."""
    monitor = m.monitor()
    still = [m.stream('/console/compat_monitor0'), m.stream('/control')]
    for _ in range(4):
        viewer = rfb.Viewer(m.stream('/screen'))
        viewer.set_encodings(rfb.RAW)
        still.append(viewer.s)
    before = m.memory()
    for s in still[2:]:
        s.sock.setblocking(False)
        try:
            for _ in range(200000):
                s.sock.sendall(struct.pack('>BBHHHH', 0x82, 0x80 | 10, 0, 0, 0, 0)[:2] + b'\0\0\0\0' + struct.pack('>BBHHHH', 3, 0, 0, 0, 640, 400))
        except OSError:
            pass
    for _ in range(40):
        monitor.command('help')
    ok(m.memory() < before + 30000, 'viewers that do not read take little memory', (before, m.memory()))
    typist = m.stream('/console/serial0') # the firmware reads no serial line
    typist.sock.settimeout(1)
    sent = 0
    try:
        while sent < 20 << 20:
            typist.write(b'x' * 4000)
            sent += 4000
    except (socket.timeout, BlockingIOError):
        pass
    ok(m.memory() < before + 30000, 'what nobody takes is not taken from the typist', (before, m.memory(), sent))
    ok('running' in monitor.command('info status') and serves(m), 'the machine goes on')
    for s in still + [typist]:
        s.sock.close()


def check_words():
    table = {'web,port=x': "port is a number up to 65535, not 'x'", 'web,port=70000': 'port is a number', 'web,prt=1': "web has no 'prt'. Did you mean 'port'",
             'web,port': 'port= needs a value', 'web,addr=203.0.113.1': 'Cannot assign requested address', 'webs': "there is no display 'webs'"}
    for words, want in table.items():
        r = subprocess.run([VIV, '-display', words], capture_output=True, text=True, timeout=60)
        ok(r.returncode == 1 and want in r.stderr, '-display ' + words, r.stderr)


def check_machine(m, top):
    for check in (check_entering, check_names, check_addresses, check_files):
        check(m)
    check_screen(m, top)
    for check in (check_control, check_nonsense, check_spoilt, check_crowd, check_pages, check_still):
        check(m)
    control = m.stream('/control')
    control.frame()
    control.write(b'{"do":"quit"}')
    ok(m.p.wait(60) == 0, 'the end')


def main():
    if not os.path.exists(NOVNC):
        print('1..0 # SKIP noVNC is not installed')
        return 0
    check_words()
    with tempfile.TemporaryDirectory(prefix='viv-web-') as top:
        m = web.Machine(VIV, '-accel', 'interp', '-m', '16')
        try:
            ok(m.url, 'the machine starts', ''.join(m.said))
            if m.url:
                check_machine(m, top)
        finally:
            m.end()
    return finish()


sys.exit(main())
