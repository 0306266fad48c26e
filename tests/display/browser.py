"""Chromium without a window, driven by chromedriver: W3C WebDriver over plain HTTP."""
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf' # WebDriver, 12.2
CONTROL, SHIFT, ALT, ENTER = '\ue009', '\ue008', '\ue00a', '\ue007'
ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--window-size=1440,900']
PATIENCE = 60


class Browser:
    def __init__(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.base = 'http://127.0.0.1:%d' % s.getsockname()[1]
        self.top = tempfile.TemporaryDirectory(prefix='viv-browser-')
        self.p = subprocess.Popen([DRIVER, '--port=' + self.base.rsplit(':', 1)[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        options = {'binary': CHROMIUM, 'args': ARGS + ['--user-data-dir=%s/data' % self.top.name]}
        wanted = {'browserName': 'chrome', 'goog:chromeOptions': options, 'goog:loggingPrefs': {'browser': 'ALL'}}
        self.until(self.driver_ready)
        self.session = '/session/' + self.call('POST', '/session', {'capabilities': {'alwaysMatch': wanted}})['sessionId']
        self.downloads = self.top.name + '/downloads'
        self.cdp('Browser.setDownloadBehavior', behavior='allow', downloadPath=self.downloads)

    def call(self, method, path, body=None):
        data = json.dumps(body or {}).encode() if method == 'POST' else None
        request = urllib.request.Request(self.base + path, data, {'Content-Type': 'application/json'}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                return json.load(reply)['value']
        except urllib.error.HTTPError as e:
            raise AssertionError(json.load(e)['value']['message'].split('\n')[0]) from None

    def driver_ready(self):
        try:
            return self.call('GET', '/status')['ready']
        except OSError:
            return False

    def until(self, check):
        """The first true value of check(); the last one if it does not come."""
        end = time.monotonic() + PATIENCE
        while True:
            value = check()
            if value or time.monotonic() > end:
                return value
            time.sleep(0.05)

    def go(self, url):
        self.call('POST', self.session + '/url', {'url': url})

    def js(self, script, *args):
        return self.call('POST', self.session + '/execute/sync', {'script': script, 'args': list(args)})

    def js_async(self, script):
        """What the script, a function's body with await, returns."""
        body = 'const done = arguments[0]; (async () => {%s})().then(done, e => done(String(e)));' % script
        return self.call('POST', self.session + '/execute/async', {'script': body, 'args': []})

    def find(self, selector):
        return self.call('POST', self.session + '/element', {'using': 'css selector', 'value': selector})[ELEMENT]

    def click(self, selector):
        self.call('POST', '%s/element/%s/click' % (self.session, self.find(selector)))

    def keys(self, text, held=''):
        """Presses keys where the focus is, with others held."""
        steps = [('keyDown', k) for k in held] + [(t, k) for k in text for t in ('keyDown', 'keyUp')] + [('keyUp', k) for k in reversed(held)]
        actions = [{'type': 'key', 'id': 'keyboard', 'actions': [{'type': t, 'value': k} for t, k in steps]}]
        self.call('POST', self.session + '/actions', {'actions': actions})

    def cdp(self, command, **params):
        return self.call('POST', self.session + '/goog/cdp/execute', {'cmd': command, 'params': params})

    def log(self):
        return self.call('POST', self.session + '/se/log', {'type': 'browser'})

    def end(self):
        try:
            self.call('DELETE', self.session)
        finally:
            self.p.terminate()
            self.p.wait()
            self.top.cleanup()
