#!/usr/bin/env python3
"""VNC in the monitors of viv and of QEMU, side by side: info vnc, passwords, query-vnc; TAP on stdout.

usage: test-vnc-monitor.py VIV
"""
import difflib
import json
import shutil
import socket
import subprocess
import sys
import tempfile

VIV, QEMU = sys.argv[1], shutil.which('qemu-system-x86_64')

COMMANDS = ['info vnc', 'set_password vnc x', 'set_password vnc x keep', 'set_password vnc x fail', 'set_password vnc x foo',
            'set_password vnc x disconnect', 'set_password foo x', 'set_password vnc x -d a', 'set_password vnc x -d nope keep',
            'expire_password vnc now', 'expire_password vnc never', 'expire_password vnc +10', 'expire_password vnc 1999999999',
            'expire_password vnc now -d nope', 'expire_password foo now', 'change vnc password abc', 'change vnc :8', 'info vnc']


def free_display():
    while True:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            if s.getsockname()[1] > 5900:
                return s.getsockname()[1] - 5900


def words(reply):
    return reply if isinstance(reply, str) else json.dumps(reply, sort_keys=True)


def ask(argv):
    """What the commands print, each behind its name; or why there is no machine."""
    asked = [{'execute': 'human-monitor-command', 'arguments': {'command-line': c}} for c in COMMANDS]
    asked += [{'execute': 'query-vnc'}, {'execute': 'query-vnc-servers'}, {'execute': 'quit'}]
    text = '\n'.join(json.dumps(x) for x in [{'execute': 'qmp_capabilities'}] + asked)
    r = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
    said = [json.loads(line) for line in r.stdout.splitlines() if '"return"' in line or '"error"' in line]
    out = ['> %s\n%s' % (c, words(s.get('return', s))) for c, s in zip(COMMANDS + ['query-vnc', 'query-vnc-servers'], said[1:])]
    err = [line.split(': ', 1)[-1].split('. Define')[0] for line in r.stderr.splitlines() if 'vnc' in line.lower()]
    return '\n'.join(out + err)


def machines(top):
    n = free_display()
    return {
        'no password': ['-vnc', '127.0.0.1:%d' % n],
        'a password': ['-vnc', ':%d,password=on,id=a' % n],
        'a secret': ['-object', 'secret,id=s0,data=abc', '-vnc', '127.0.0.1:%d,password-secret=s0' % n],
        'websockets': ['-vnc', '127.0.0.1:%d,websocket=on' % min(n, 59000)],
        'a unix socket': ['-vnc', 'unix:%s/socket' % top],
        'two servers': ['-vnc', '127.0.0.1:%d' % n, '-vnc', 'unix:%s/other' % top],
        '-display vnc=': ['-display', 'vnc=127.0.0.1:%d' % n],
        'none': ['-vnc', 'none'],
        'an unknown secret': ['-vnc', '127.0.0.1:%d,password-secret=nope' % n],
        'a bad share=': ['-vnc', ':%d,share=foo' % n],
        'a layout that is none': ['-k', 'xx', '-vnc', ':%d' % n],
        'no port': ['-vnc', 'foo'],
        'a port that is no number': ['-vnc', ':x'],
    }


def main():
    if not QEMU:
        print('1..0 # SKIP qemu-system-x86_64 is not installed')
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix='viv-vnc-') as top:
        table = machines(top)
        print('1..%d' % len(table))
        for number, (name, args) in enumerate(table.items(), 1):
            common = ['-M', 'pc', '-S', '-monitor', 'none', '-qmp', 'stdio', '-serial', 'none'] + args
            ours, theirs = ask([VIV, '-accel', 'interp'] + common), ask([QEMU, '-accel', 'tcg'] + common)
            good = ours == theirs and ours
            failed += not good
            print('%s %d - VNC in the monitor: %s' % ('ok' if good else 'not ok', number, name), flush=True)
            if not good:
                print('# ' + '\n# '.join(difflib.unified_diff(theirs.split('\n'), ours.split('\n'), 'QEMU', 'viv', '', '', 3, '')))
    return failed > 0


sys.exit(main())
