#!/usr/bin/env python3
"""The browser console in Chromium: screen, keyboard, pointer, consoles, buttons; TAP on stdout.

usage: test-web-browser.py VIV BOOT-SECTOR

The guest (tests/bare/typed.S) tells on its serial line what was typed and which mouse buttons are down.
"""
import json
import os
import re
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'unit')]
import browser  # noqa: E402
import web      # noqa: E402
from tap import finish, ok  # noqa: E402
from browser import ALT, CONTROL, ENTER, SHIFT  # noqa: E402

VIV, BOOT = sys.argv[1:3]
PASTED = 'Hello, World!\tA~b {x} [y] "z" \'q\' | \\ <7> 1+1=2 a@b #$%^&*()_-;:?/.`'

# Is what noVNC shows, dot for dot, what the machine's own screenshot has? The size, or ''.
SAME = """
  const reply = await fetch('/screenshot.png');
  const picture = await createImageBitmap(await reply.blob(), { colorSpaceConversion: 'none' });
  const shown = document.querySelector('#screen canvas');
  if (!shown || shown.width !== picture.width || shown.height !== picture.height)
    return '';
  const [a, b] = [picture, shown].map(from => {
    const canvas = new OffscreenCanvas(from.width, from.height), context = canvas.getContext('2d');
    context.drawImage(from, 0, 0);
    return new Uint32Array(context.getImageData(0, 0, from.width, from.height).data.buffer);
  });
  const colours = new Set(a);
  return colours.size > 1 && a.every((v, i) => v === b[i]) ? `${shown.width}x${shown.height}` : '';
"""


class Events:
    """What QMP tells."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.s.settimeout(60)
        self.lines = self.s.makefile('r')
        self.s.sendall(b'{"execute":"qmp_capabilities"}')

    def wait(self, name):
        return any(json.loads(line).get('event') == name for line in iter(self.lines.readline, ''))


def terminal(b, name):
    """What a terminal of the page shows."""
    return b.js("""const t = document.querySelector(`[data-id="${arguments[0]}"]`).console.terminal._core || {};
        const lines = t.buffer.lines;
        return Array.from({ length: lines.length }, (_, i) => t.buffer.translateBufferLineToString(i, true)).join('\\n');""", name)


def type_into(b, name, text):
    b.click('[data-id="%s"] .terminal-box' % name)
    b.keys(text)


def status(b):
    return b.js('return document.getElementById("status").textContent')


def check_page(b, url):
    b.go(url)
    ok(b.until(lambda: status(b) == 'Running'), 'the page is let in and shows the state', status(b))
    ok(b.js('return [document.title, location.hash, document.cookie]') == ['tested – Vivarium', '', ''], 'the token is out of sight')
    ok(b.until(lambda: b.js_async(SAME)), 'the screen is the guest\'s, dot for dot')
    b.go('about:blank')
    b.go(url.split('#')[0])
    ok(b.until(lambda: status(b) == 'Running'), 'a browser that was let in may come back', status(b))
    ok(b.until(lambda: b.js_async(SAME)), 'and sees the screen')


def check_input(b, serial):
    b.click('#screen canvas')
    ok('<1>' in serial.until('<0>'), 'a click is a mouse button\'s')
    b.keys('hello' + ENTER)
    ok(serial.until('hello\r\n'), 'what is typed on the screen arrives')
    b.keys('a', SHIFT)
    b.keys('7', SHIFT)
    ok(serial.until('A&'), 'Shift, too')
    b.keys('g', CONTROL + ALT)
    ok(b.js('return document.activeElement.id') == 'run', 'Ctrl-Alt-G leaves the screen')
    b.click('#screen canvas')
    b.keys('x')
    ok(serial.until('x').endswith('<0>x'), 'and neither Ctrl nor Alt stays down')
    type_into(b, 'serial0', 'by wire' + ENTER)
    ok(serial.until('by wire\r\n') and b.until(lambda: 'by wire' in terminal(b, 'serial0')), 'the serial line', terminal(b, 'serial0'))
    type_into(b, 'compat_monitor0', 'info status' + ENTER)
    ok(b.until(lambda: 'VM status: running' in terminal(b, 'compat_monitor0')), 'the monitor', terminal(b, 'compat_monitor0'))


def check_paste(b, serial):
    b.click('#paste')
    b.js('document.getElementById("text").value = arguments[0]', PASTED)
    b.click('#typing-start')
    ok(b.until(lambda: b.js('return document.getElementById("typed").textContent') == 'Typed.'), 'a text is typed')
    got = serial.until(PASTED[-12:])
    ok(PASTED in got, 'as keys', got)
    b.click('#typing-stop')


def choose(b, word, confirm):
    b.click('#power > summary')
    b.click('[data-do="%s"]' % word)
    if confirm:
        b.click('#ask [value="%s"]' % confirm)


def check_buttons(b, serial, events):
    b.click('#run')
    ok(b.until(lambda: status(b) == 'Paused') and events.wait('STOP'), 'Pause')
    b.click('#run')
    ok(b.until(lambda: status(b) == 'Running') and events.wait('RESUME'), 'Continue')
    choose(b, 'powerdown', None)
    ok(events.wait('POWERDOWN'), 'the power button')
    choose(b, 'reset', 'no')
    b.click('#screen canvas')
    b.keys('still')
    ok('ready' not in serial.until('still'), 'Reset asks first')
    choose(b, 'reset', 'yes')
    ok(events.wait('RESET') and serial.until('ready\r\n'), 'and resets')
    b.click('#cad')
    ok(serial.until('ready\r\n'), 'Ctrl-Alt-Del') # the firmware starts anew
    b.click('#shot')
    saved = lambda: [n for n in (os.listdir(b.downloads) if os.path.isdir(b.downloads) else []) if n.endswith('.png')]
    names = b.until(saved)
    ok(names and names[0].startswith('tested-'), 'a screenshot is saved', names)
    with open(os.path.join(b.downloads, names[0]), 'rb') as f:
        ok(f.read(8) == b'\x89PNG\r\n\x1a\n', 'which is a PNG')
    b.click('#exact')
    size = 'const c = document.querySelector("#screen canvas"); return [c.width, c.clientWidth || c.getBoundingClientRect().width]'
    ok(b.until(lambda: len(set(map(round, b.js(size)))) == 1), '1:1', b.js(size))
    b.click('#exact')
    b.click('#full')
    ok(b.until(lambda: b.js('return document.fullscreenElement && document.fullscreenElement.id') == 'screen'), 'full screen')
    b.js('document.exitFullscreen()')
    b.click('#side')
    ok(b.until(lambda: b.js('return document.getElementById("consoles").offsetWidth') == 0), 'the consoles are hidden')
    b.click('#side')


def check_looks(b):
    colour = 'return getComputedStyle(document.body).backgroundColor'
    light = b.js(colour)
    b.cdp('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': 'dark'}])
    ok(b.js(colour) != light, 'dark and light')
    b.cdp('Emulation.setDeviceMetricsOverride', width=390, height=844, deviceScaleFactor=1, mobile=True)
    ok(b.js('return document.scrollingElement.scrollWidth') <= 390, 'a narrow window', b.js('return document.scrollingElement.scrollWidth'))
    b.cdp('Emulation.clearDeviceMetricsOverride')


def check_end(b, m):
    choose(b, 'quit', 'yes')
    ok(m.p.wait(60) == 0, 'the machine ends')
    ok(b.until(lambda: status(b).startswith('No connection')), 'and the page says so', status(b))


def check(b, m, top):
    m.enter(m.token)
    serial = web.Console(m.stream('/console/serial0'))
    serial.until('ready\r\n')
    events = Events(top + '/qmp')
    check_page(b, re.search(r'http://\S+', m.monitor().command('web_address'))[0])
    check_input(b, serial)
    check_paste(b, serial)
    check_buttons(b, serial, events)
    check_looks(b)
    wrong = [e['message'] for e in b.log() if e['level'] == 'SEVERE']
    ok(not wrong, 'the browser found nothing wrong', '\n'.join(wrong))
    check_end(b, m)


def main():
    if not browser.CHROMIUM or not browser.DRIVER or not os.path.exists('/usr/share/novnc'):
        print('1..0 # SKIP chromium, chromedriver or noVNC is not installed')
        return 0
    with tempfile.TemporaryDirectory(prefix='viv-web-') as top:
        m = web.Machine(VIV, '-accel', 'interp', '-m', '16', '-drive', 'format=raw,snapshot=on,file=' + BOOT,
                        '-monitor', 'vc', '-qmp', 'unix:%s/qmp,server=on,wait=off' % top)
        b = browser.Browser()
        try:
            check(b, m, top)
        finally:
            b.end()
            m.end()
    return finish()


sys.exit(main())
