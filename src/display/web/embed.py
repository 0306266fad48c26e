#!/usr/bin/env python3
"""embed.py - the page's files and xterm.js as a C file.

usage: embed.py XTERM OUT FILE...

XTERM is the folder of Debian's node-xterm: modules in CommonJS's form, which browsers do not load. They are wrapped, each unchanged, into one
module that exports Terminal, and OUT gets it as /xterm.js, beside the FILEs.
"""
import os
import sys

# What lets a browser in must come before it is in.
OPEN = {'/', '/style.css', '/xterm.css', '/page.js', '/link.js', '/icon.svg'}

LOADER = """
const loaded = new Map();
function load(name) {
  if (!loaded.has(name)) {
    const module = { exports: {} };
    loaded.set(name, module);
    const near = wanted => load(new URL(wanted, 'file:///' + name).pathname.slice(1));
    modules[name](near, module, module.exports);
  }
  return loaded.get(name).exports;
}
export const Terminal = load('public/Terminal').Terminal;
"""


def bundle(folder):
    lib, parts = os.path.join(folder, 'lib'), []
    for at, folders, names in os.walk(lib):
        folders.sort()
        for name in sorted(names):
            if name.endswith('.js') and not name.endswith('.test.js'):
                path = os.path.join(at, name)
                with open(path, encoding='utf-8') as f:
                    text = f.read().replace('//# sourceMappingURL=', '// ')
                key = os.path.relpath(path, lib)[:-len('.js')]
                parts.append('"%s": (require, module, exports) => {\n%s\n},' % (key, text))
    if not parts:
        sys.exit('embed.py: there is no xterm.js in %s; Debian\'s package is node-xterm' % lib)
    return '/* xterm.js, MIT license, as Debian packages it (node-xterm). */\nconst modules = {\n%s\n};\n%s' % ('\n'.join(parts), LOADER)


def c_bytes(content):
    lines = (content[i:i + 24] for i in range(0, len(content), 24))
    return '\n'.join('\t' + ','.join(map(str, line)) + ',' for line in lines)


def main():
    xterm, out, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    files = [('/xterm.js', bundle(xterm).encode())]
    for name in names:
        with open(name, 'rb') as f:
            base = os.path.basename(name)
            files.append(('/' if base == 'index.html' else '/' + base, f.read()))
    with open(out, 'w', encoding='utf-8') as f:
        f.write('/* Made by embed.py. */\n#include "display/web_assets.h"\n\n')
        for i, (path, content) in enumerate(files):
            f.write('static const unsigned char file_%d[] = { /* %s */\n%s\n};\n' % (i, path, c_bytes(content)))
        f.write('const WebAsset web_assets[] = {\n')
        for i, (path, content) in enumerate(files):
            f.write('\t{ "%s", file_%d, %d, %s },\n' % (path, i, len(content), 'true' if path in OPEN else 'false'))
        f.write('\t{ NULL },\n};\n')


main()
