/*
 * console.js - serial lines, monitor and parallel ports as terminals, by xterm.js.
 *
 * A console is a panel that can be closed; it has a terminal and a connection while it is open. The terminal has the
 * size that the guest believes in, so its letters are as large as fit.
 */
import { Terminal } from '/xterm.js';
import { link, openSocket } from '/link.js';

const FONT = 'ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace';
const FONT_MIN = 5, FONT_MAX = 15;
const LETTER_WIDTH = 0.61; /* of a letter's height, in the fonts above */
const SCROLLBACK = 5000;
const RETRY_MS = 1500;

/* QEMU's names for them, and people's. */
function title(id) {
  const [, kind, number] = id.replace(/-base$/, '').match(/^(serial|parallel|compat_monitor)(\d+)$/) || [];
  const words = { serial: 'Serial line', parallel: 'Parallel port', compat_monitor: 'Monitor' }[kind];
  return words ? words + (kind === 'compat_monitor' && number === '0' ? '' : ' ' + (Number(number) + 1)) : id;
}

const startsOpen = id => !id.startsWith('parallel');

class Console {
  constructor(parent, { id, columns, rows }) {
    this.id = id;
    this.columns = columns;
    this.rows = rows;
    this.terminal = this.socket = null;
    this.panel = document.createElement('details');
    this.panel.className = 'console';
    this.panel.dataset.id = id;
    this.panel.console = this;
    const summary = document.createElement('summary'), note = document.createElement('small');
    summary.textContent = title(id);
    note.textContent = id;
    summary.append(note);
    this.box = document.createElement('div');
    this.box.className = 'terminal-box';
    this.panel.append(summary, this.box);
    this.panel.addEventListener('toggle', () => this.panel.open ? this.open() : this.close());
    parent.append(this.panel);
    this.panel.open = startsOpen(id);
    new ResizeObserver(() => this.fit()).observe(this.panel);
  }

  open() {
    if (!this.terminal) {
      this.terminal = new Terminal({
        cols: this.columns, rows: this.rows, fontFamily: FONT, fontSize: this.fontSize(), scrollback: SCROLLBACK,
        theme: { background: '#0b1110', foreground: '#dfe7e3', cursor: '#5cc796' },
      });
      this.terminal.open(this.box);
      this.terminal.on('data', text => this.send(text));
    }
    this.connect();
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    if (socket)
      socket.close();
  }

  connect() {
    if (!this.panel.open || !this.terminal || this.socket)
      return;
    const socket = openSocket('/console/' + encodeURIComponent(this.id));
    const decoder = new TextDecoder();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.terminal.reset(); /* what was printed comes again from its beginning */
    socket.onmessage = event => this.terminal.write(decoder.decode(event.data, { stream: true }));
    socket.onclose = () => {
      if (this.socket !== socket)
        return;
      this.socket = null;
      setTimeout(() => { if (link.up) this.connect(); }, RETRY_MS);
    };
    this.socket = socket;
  }

  send(text) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN)
      this.socket.send(new TextEncoder().encode(text));
  }

  fontSize() {
    const size = (this.box.clientWidth - 30) / (this.columns * LETTER_WIDTH);
    return Math.max(FONT_MIN, Math.min(FONT_MAX, Math.floor(2 * size) / 2));
  }

  fit() {
    if (this.terminal && this.panel.open && this.terminal.getOption('fontSize') !== this.fontSize())
      this.terminal.setOption('fontSize', this.fontSize());
  }

  remove() {
    this.close();
    if (this.terminal)
      this.terminal.dispose();
    this.panel.remove();
  }
}

export class Consoles {
  constructor(parent) {
    this.parent = parent;
    this.all = new Map();
  }

  update(list) {
    for (const [id, one] of this.all)
      if (!list.some(l => l.id === id)) {
        one.remove();
        this.all.delete(id);
      }
    for (const one of list)
      if (!this.all.has(one.id))
        this.all.set(one.id, new Console(this.parent, one));
  }

  connect() {
    for (const one of this.all.values())
      one.connect();
  }
}
