#!/usr/bin/env python3
"""Turns the opcode tables (src/cpu/*.tab) into one C file: rows, index, execution names.

usage: opcodes.py OUT.c OUT.h TABLE...
The format of a row is described at the head of src/cpu/opcodes_int.tab.
"""
import re
import sys

PREFIX = {'np': 'PFX_NP', '66': 'PFX_66', 'f3': 'PFX_F3', 'f2': 'PFX_F2', 'nr': 'PFX_NO_REP'}
MAPS = {'0f': 1, '0f38': 2, '0f3a': 3, 'm5': 5, 'm6': 6}
FLAG_BITS = {'o': 0x800, 's': 0x80, 'z': 0x40, 'a': 0x10, 'p': 0x04, 'c': 0x01}
ATTRS = {'i64', 'o64', 'd64', 'f64', 'lock', 'end', 'prot', 'cpl0', 'rep', 'l0'}


class Row:
    def __init__(self, line, where):
        self.where = where
        words = line.split()
        n = 0
        while re.match(r'^([0-9a-f]{2}(\+r)?|/[0-7mr]|np|nr|e?vex\..*)$', words[n]):
            n += 1
        self.opcode_text, self.name = ' '.join(words[:n]), words[n]
        words = words[n + 1:]
        self.operands = ''
        if words and '=' not in words[0] and words[0] not in ATTRS:
            self.operands = words.pop(0)
        self.attrs = words
        self.enc, self.map, self.pfx = 'ENC_LEGACY', 0, 'PFX_ANY'
        self.reg, self.form, self.exact, self.plus = -1, 'FORM_ANY', 0, False
        self.w, self.l = -1, -1
        self.parse_opcode()

    def parse_opcode(self):
        words = self.opcode_text.split()
        if words[0].startswith(('vex.', 'evex.')):
            parts = words.pop(0).split('.')
            self.enc = 'ENC_' + parts[0].upper()
            for p in parts[1:]:
                if p in PREFIX:
                    self.pfx = PREFIX[p]
                elif p in MAPS:
                    self.map = MAPS[p]
                elif p in ('w0', 'w1'):
                    self.w = int(p[1])
                elif p in ('128', '256', '512'):
                    self.l = {'128': 0, '256': 1, '512': 2}[p]
                elif p in ('256up', 'lig'):
                    self.l = {'256up': 'LEN_256UP', 'lig': 'LEN_IGNORED'}[p]
                else:
                    raise SystemExit(f'{self.where}: unknown {p}')
        elif words[0] in PREFIX and len(words) > 1 and re.match(r'^[0-9a-f]{2}', words[1]):
            self.pfx = PREFIX[words.pop(0)]
        nums = []
        for w in words:
            if w == '/m':
                self.form = 'FORM_MEM'
            elif w == '/r':
                self.form = 'FORM_REG'
            elif w.startswith('/'):
                self.reg = int(w[1:])
            else:
                if w.endswith('+r'):
                    self.plus, w = True, w[:-2]
                nums.append(int(w, 16))
        if self.enc == 'ENC_LEGACY' and len(nums) > 1 and nums[0] == 0x0f:
            nums.pop(0)
            self.map = 1
            if nums[0] in (0x38, 0x3a) and len(nums) > 1:
                self.map = 2 if nums.pop(0) == 0x38 else 3
        self.opcode = nums.pop(0)
        if nums:
            self.exact = nums.pop(0)

    def c(self):
        attrs, feat, exe, mem, read, written = [], 'FEAT_NONE', self.name, 0, 0, 0
        extra = 0
        for a in self.attrs:
            if a.startswith('feat='):
                feat = 'FEAT_' + {'sse4_2': 'SSE42', 'sse4_1': 'SSE41', '3dnowprefetch': 'NONE'}.get(
                    a[5:], a[5:].upper())
            elif a.startswith('x='):
                exe = a[2:]
            elif a.startswith('mem='):
                mem = int(a[4:])
            elif a.startswith('vec='):
                extra = '|'.join('VEC_' + v.upper() for v in a[4:].split('+'))
            elif a.startswith('r='):
                read = sum(FLAG_BITS[x] for x in a[2:])
            elif a.startswith('w='):
                written = sum(FLAG_BITS[x] for x in a[2:])
            elif a == 'l0':
                self.l = 0
            elif a in ATTRS:
                attrs.append('ATTR_' + a.upper())
            else:
                raise SystemExit(f'{self.where}: unknown attribute {a}')
        if 'VEC_FLAGS' in str(extra): # COMISD, PTEST, FCOMI, ...: all six
            written = sum(FLAG_BITS.values())
        self.exe = exe
        ops = [o for o in self.operands.split(',') if o]
        ops = ', '.join('OPND_' + o for o in ops) or '0'
        self.opnds = [o for o in self.operands.split(',') if o]
        return (f'\t{{"{self.name}", {self.enc}, {self.map}, 0x{self.opcode:02x}, {self.pfx}, {self.reg}, '
                f'{self.form}, 0x{self.exact:02x}, {self.w}, {self.l}, {{{ops}}}, '
                f'{"|".join(attrs) or "0"}, {extra}, X_{exe.upper()}, {feat}, 0x{written:x}, 0x{read:x}, {mem}}},')


def load(tables):
    rows = []
    for path in tables:
        for n, line in enumerate(open(path), 1):
            line = line.split('#')[0].rstrip()
            if line:
                rows.append(Row(line, f'{path}:{n}'))
    return rows


def index(rows):
    """For each (legacy or VEX/EVEX, map, opcode): the rows in table order."""
    slots = {}
    for row in rows:
        for k in range(8 if row.plus else 1):
            slots.setdefault((row.enc, row.map, row.opcode + k), []).append(row)
    return slots


def main():
    out_c, out_h, tables = sys.argv[1], sys.argv[2], sys.argv[3:]
    rows = load(tables)
    lines = [r.c() for r in rows]
    names = sorted({r.exe for r in rows})
    operands = sorted({o for r in rows for o in r.opnds})
    with open(out_h, 'w') as f:
        f.write('/* Generated by scripts/opcodes.py. */\n#ifndef VIV_OPTAB_GEN_H\n#define VIV_OPTAB_GEN_H\n')
        f.write('enum {\n\tX_NONE,\n' + ''.join(f'\tX_{n.upper()},\n' for n in names) + '\tX_COUNT\n};\n')
        f.write('enum {\n\tOPND_NONE,\n' + ''.join(f'\tOPND_{o},\n' for o in operands) + '\tOPND_COUNT\n};\n#endif\n')
    slots = index(rows)
    order, pos = [], {}
    number = {id(r): i for i, r in enumerate(rows)}
    for key, list_ in sorted(slots.items()):
        pos[key] = (len(order), len(list_))
        order += [number[id(r)] for r in list_]
    with open(out_c, 'w') as f:
        f.write('/* Generated by scripts/opcodes.py. */\n#include "cpu/optab.h"\n#include "cpu/features.h"\n')
        f.write('const OpRow optab_rows[] = {\n' + '\n'.join(lines) + '\n};\n')
        f.write('const unsigned optab_row_count = sizeof(optab_rows) / sizeof(optab_rows[0]);\n')
        f.write('const char *const optab_operand_names[] = {"\\0", ' +
                ', '.join(f'"{o}"' for o in operands) + '};\n')
        f.write('const uint16_t optab_order[] = {' + ', '.join(map(str, order)) + '};\n')
        f.write('const OpSlot optab_index[3][OPTAB_MAPS][256] = {\n')
        for (enc, map_, op), (first, count) in pos.items():
            f.write(f'\t[{enc}][{map_}][0x{op:02x}] = {{{first}, {count}}},\n')
        f.write('};\n')


main()
