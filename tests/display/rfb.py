"""A VNC viewer that keeps the picture, for tests: RFC 6143, and the extensions that QEMU's viewers know."""
import base64
import os
import socket
import struct
import subprocess
import zlib

RAW, COPYRECT, HEXTILE, TIGHT, ZRLE = 0, 1, 5, 7, 16
CURSOR, DESKTOP_SIZE, EXTENDED_SIZE, POINTER_TYPE, EXTENDED_KEY, LEDS = -239, -223, -308, -257, -258, -261


class Closed(Exception):
    """The server has ended the connection."""


class Refused(Exception):
    """There is no websocket: the HTTP status."""


def picture(width, height, n):
    """What `draw n` of vnc-server draws: a list of 0xRRGGBB."""
    out = []
    for y in range(height):
        for x in range(width):
            area = x // 50 + y // 40 + n
            if area % 3 == 0:
                out.append(area * 0x123457 & 0xffffff)
            elif area % 3 == 1:
                out.append(0xff8000 if x % 4 < 2 else 0x0080ff)
            else:
                out.append((x * x * 7919 + y * y * 104729 + n * 31) & 0xffffff)
    return out


def encrypt(password, challenge):
    """VNC authentication's DES, by openssl(1)."""
    key = bytes(int('{:08b}'.format(b)[::-1], 2) for b in password.encode()[:8].ljust(8, b'\0'))
    argv = ['openssl', 'enc', '-des-ecb', '-K', key.hex(), '-nopad', '-provider', 'legacy', '-provider', 'default']
    return subprocess.run(argv, input=challenge, capture_output=True, check=True).stdout


class Stream:
    """A socket, read exactly; as a websocket (RFC 6455) if asked for."""

    def __init__(self, sock, websocket=False, path='/', host='h', origin='http://h', protocol='binary', cookie=''):
        self.sock, self.websocket, self.ready = sock, websocket, b''
        sock.settimeout(60)
        if websocket:
            self.handshake(path, {'Host': host, 'Origin': origin, 'Sec-WebSocket-Protocol': protocol, 'Cookie': cookie})

    def take(self, count):
        data = b''
        while len(data) < count:
            try:
                more = self.sock.recv(count - len(data))
            except ConnectionError:
                more = b''
            if not more:
                raise Closed()
            data += more
        return data

    def handshake(self, path, headers):
        given = ''.join('%s: %s\r\n' % h for h in headers.items() if h[1])
        self.sock.sendall(('GET %s HTTP/1.1\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n'
                           'Sec-WebSocket-Version: 13\r\n\r\n' % (path, given, base64.b64encode(os.urandom(16)).decode())).encode())
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += self.take(1)
        self.status = int(head.split()[1])
        if self.status != 101:
            raise Refused(self.status)

    def frame(self):
        first, length = self.take(2)
        if first & 15 == 8:
            raise Closed()
        if length == 126:
            length, = struct.unpack('>H', self.take(2))
        elif length == 127:
            length, = struct.unpack('>Q', self.take(8))
        return self.take(length)

    def read(self, count):
        while self.websocket and len(self.ready) < count:
            self.ready += self.frame()
        if not self.websocket:
            return self.take(count)
        data, self.ready = self.ready[:count], self.ready[count:]
        return data

    def write(self, data):
        if self.websocket:
            mask = b'\x11\x22\x33\x44'
            size = bytes([0x80 | len(data)]) if len(data) < 126 else b'\xfe' + struct.pack('>H', len(data))
            data = b'\x82' + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        try:
            self.sock.sendall(data)
        except ConnectionError:
            raise Closed() from None

    def unpack(self, form):
        return struct.unpack('>' + form, self.read(struct.calcsize('>' + form)))


class Viewer:
    def __init__(self, sock, version=8, password=None, shared=True, websocket=False):
        self.s = sock if isinstance(sock, Stream) else Stream(sock, websocket)
        self.cursor, self.leds, self.absolute, self.extended_key, self.pixels = None, None, None, False, []
        self.encodings_seen, self.rects = set(), []
        self.reason, self.streams = '', {}
        self.greet(version, password)
        self.s.write(bytes([shared]))
        self.width, self.height = self.s.unpack('HH')
        self.form = self.s.read(16)
        self.name = self.s.read(self.s.unpack('I')[0]).decode()
        self.pixels = [None] * (self.width * self.height)

    def greet(self, version, password):
        assert self.s.read(12) == b'RFB 003.008\n'
        self.s.write(b'RFB 003.%03d\n' % version)
        if version >= 7:
            kinds = self.s.read(self.s.read(1)[0])
            kind = 1 if password is None else 2
            self.security = kinds[0]
            self.s.write(bytes([kind]))
        else:
            self.security = kind = self.s.unpack('I')[0]
        if kind == 2:
            self.s.write(encrypt(password, self.s.read(16)))
        if kind == 2 or version >= 8:
            if self.s.unpack('I')[0]:
                if version >= 8:
                    self.reason = self.s.read(self.s.unpack('I')[0]).decode()
                raise PermissionError(self.reason)

    # ---- to the server ----
    def set_encodings(self, *codes):
        self.s.write(struct.pack('>BxH', 2, len(codes)) + b''.join(struct.pack('>i', c) for c in codes))

    def request(self, incremental=True, area=None):
        self.s.write(struct.pack('>BBHHHH', 3, incremental, *(area or (0, 0, self.width, self.height))))

    def key(self, keysym, down):
        self.s.write(struct.pack('>BBxxI', 4, down, keysym))

    def extended(self, keysym, code, down):
        self.s.write(struct.pack('>BBHII', 255, 0, down, keysym, code))

    def point(self, buttons, x, y):
        self.s.write(struct.pack('>BBHH', 5, buttons, x, y))

    def wish(self, width, height):
        self.s.write(struct.pack('>BxHHBxIHHHHI', 251, width, height, 1, 0, 0, 0, width, height, 0))

    # ---- from the server ----
    def update(self):
        """Reads messages up to an update of the picture and takes it over."""
        while True:
            kind = self.s.read(1)[0]
            if kind == 0:
                break
            assert kind in (2, 3), kind
            if kind == 3:
                self.s.read(3)
                self.s.read(self.s.unpack('I')[0])
        self.s.read(1)
        self.rects = []
        for _ in range(self.s.unpack('H')[0]):
            x, y, w, h, code = self.s.unpack('HHHHi')
            self.rects.append((x, y, w, h, code))
            self.encodings_seen.add(code)
            DECODERS[code](self, x, y, w, h)

    def refresh(self, incremental=False):
        """An update of the picture; what comes before it and is none is taken too."""
        self.request(incremental)
        self.update()
        while all(r[4] < 0 for r in self.rects) and self.rects[-1][4] not in (DESKTOP_SIZE, EXTENDED_SIZE, CURSOR):
            self.update()
        return self.pixels

    def put(self, x, y, w, h, values):
        for row in range(h):
            at = (y + row) * self.width + x
            self.pixels[at:at + w] = values[row * w:(row + 1) * w]

    def resize(self, width, height):
        self.width, self.height = width, height
        self.pixels = [None] * (width * height)

    def raw(self, x, y, w, h):
        data = self.s.read(w * h * 4)
        self.put(x, y, w, h, [v & 0xffffff for v in struct.unpack('<%dI' % (w * h), data)])

    def copyrect(self, x, y, w, h):
        sx, sy = self.s.unpack('HH')
        rows = [self.pixels[(sy + r) * self.width + sx:(sy + r) * self.width + sx + w] for r in range(h)]
        self.put(x, y, w, h, sum(rows, []))

    def pixel(self):
        return struct.unpack('<I', self.s.read(4))[0] & 0xffffff

    def hextile(self, x, y, w, h):
        back = fore = 0
        for ty in range(y, y + h, 16):
            for tx in range(x, x + w, 16):
                tw, th = min(16, x + w - tx), min(16, y + h - ty)
                flags = self.s.read(1)[0]
                if flags & 1:
                    self.raw(tx, ty, tw, th)
                    continue
                back = self.pixel() if flags & 2 else back
                fore = self.pixel() if flags & 4 else fore
                self.put(tx, ty, tw, th, [back] * (tw * th))
                for _ in range(self.s.read(1)[0] if flags & 8 else 0):
                    colour = self.pixel() if flags & 16 else fore
                    place, size = self.s.read(2)
                    sw, sh = (size >> 4) + 1, (size & 15) + 1
                    self.put(tx + (place >> 4), ty + (place & 15), sw, sh, [colour] * (sw * sh))

    def inflate(self, key, data):
        stream = self.streams.setdefault(key, zlib.decompressobj())
        return stream.decompress(data)

    def zrle(self, x, y, w, h):
        data = self.inflate('zrle', self.s.read(self.s.unpack('I')[0]))
        at = 0

        def cpixel():
            nonlocal at
            at += 3
            return data[at - 3] | data[at - 2] << 8 | data[at - 1] << 16

        def run():
            nonlocal at
            length = 1
            while data[at] == 255:
                length += 255
                at += 1
            at += 1
            return length + data[at - 1]
        for ty in range(y, y + h, 64):
            for tx in range(x, x + w, 64):
                tw, th = min(64, x + w - tx), min(64, y + h - ty)
                kind = data[at]
                at += 1
                palette = [cpixel() for _ in range(kind & 127)] if kind not in (0, 128) else []
                out = []
                if kind == 0:
                    out = [cpixel() for _ in range(tw * th)]
                elif kind == 1:
                    out = palette * (tw * th)
                elif kind < 128:
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    for _ in range(th):
                        row = []
                        while len(row) < tw:
                            row += [palette[data[at] >> s & (1 << bits) - 1] for s in range(8 - bits, -1, -bits)
                                    if (data[at] >> s & (1 << bits) - 1) < len(palette)]
                            at += 1
                        out += row[:tw]
                while kind == 128 and len(out) < tw * th:
                    colour = cpixel()
                    out += [colour] * run()
                while kind > 128 and len(out) < tw * th:
                    index = data[at]
                    at += 1
                    out += [palette[index & 127]] * (run() if index & 128 else 1)
                self.put(tx, ty, tw, th, out)

    def compact(self):
        length, shift = 0, 0
        while True:
            byte = self.s.read(1)[0]
            length |= (byte & (0x7f if shift < 14 else 0xff)) << shift
            shift += 7
            if byte < 128 or shift == 21:
                return length

    def tight_data(self, stream, size):
        return self.s.read(size) if size < 12 else self.inflate(stream, self.s.read(self.compact()))

    def tight(self, x, y, w, h):
        def colours(data):
            return [data[i] << 16 | data[i + 1] << 8 | data[i + 2] for i in range(0, len(data), 3)]
        control = self.s.read(1)[0]
        for n in range(4):
            if control >> n & 1:
                self.streams.pop(n, None)
        control >>= 4
        if control == 8:
            self.put(x, y, w, h, colours(self.s.read(3)) * (w * h))
            return
        assert control < 8, 'a JPEG picture, which was not asked for'
        kind = self.s.read(1)[0] if control & 4 else 0
        if kind == 0:
            self.put(x, y, w, h, colours(self.tight_data(control & 3, w * h * 3)))
        elif kind == 1:
            palette = colours(self.s.read(3 * (self.s.read(1)[0] + 1)))
            if len(palette) == 2:
                stride = (w + 7) // 8
                data = self.tight_data(control & 3, stride * h)
                self.put(x, y, w, h, [palette[data[r * stride + c // 8] >> (7 - c % 8) & 1] for r in range(h) for c in range(w)])
            else:
                self.put(x, y, w, h, [palette[b] for b in self.tight_data(control & 3, w * h)])
        else:
            raise AssertionError('gradient filter')

    def take_cursor(self, x, y, w, h):
        values = struct.unpack('<%dI' % (w * h), self.s.read(w * h * 4))
        mask = self.s.read((w + 7) // 8 * h)
        self.cursor = (x, y, w, h, [v & 0xffffff for v in values], mask)

    def take_extended_size(self, x, y, w, h):
        count = self.s.read(4)[0]
        self.s.read(16 * count)
        self.wish_answer = y
        if (w, h) != (self.width, self.height):
            self.resize(w, h)

    def take_size(self, x, y, w, h):
        self.resize(w, h)

    def take_pointer_type(self, x, y, w, h):
        self.absolute = bool(x)

    def take_extended_key(self, x, y, w, h):
        self.extended_key = True

    def take_leds(self, x, y, w, h):
        self.leds = self.s.read(1)[0]


DECODERS = {RAW: Viewer.raw, COPYRECT: Viewer.copyrect, HEXTILE: Viewer.hextile, ZRLE: Viewer.zrle, TIGHT: Viewer.tight,
            CURSOR: Viewer.take_cursor, EXTENDED_SIZE: Viewer.take_extended_size, DESKTOP_SIZE: Viewer.take_size,
            POINTER_TYPE: Viewer.take_pointer_type, EXTENDED_KEY: Viewer.take_extended_key, LEDS: Viewer.take_leds}


def connect(address, **how):
    """`address` is a path or (host, port)."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    sock.connect(address)
    return Viewer(sock, **how)
