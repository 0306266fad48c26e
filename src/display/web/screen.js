/*
 * screen.js - the guest's screen and keyboard, by noVNC.
 */
import RFB from '/novnc/core/rfb.js';
import keysyms from '/novnc/core/input/keysymdef.js';
import { link, socketAddress } from '/link.js';

const RETRY_MS = 1000;
const TYPE_PACE_MS = 24; /* the server takes a key every 10 ms; a character is a press and a release */
const ENTER = 0xff0d, TAB = 0xff09;

const wait = ms => new Promise(done => setTimeout(done, ms));

function keysymOf(character) {
  return { '\n': ENTER, '\t': TAB }[character] || keysyms.lookup(character.codePointAt(0));
}

export class Screen {
  constructor(box) {
    this.box = box;
    this.rfb = null;
    this.exact = false;
    this.typing = 0;
  }

  connect() {
    if (this.rfb)
      return;
    const rfb = new RFB(this.box, socketAddress('/screen'), { shared: true, wsProtocols: ['viv'] });
    this.rfb = rfb;
    rfb.background = 'transparent';
    rfb.addEventListener('disconnect', () => this.lost(rfb));
    this.setExact(this.exact);
  }

  lost(rfb) {
    if (this.rfb !== rfb)
      return;
    this.rfb = null;
    setTimeout(() => { if (link.up) this.connect(); }, RETRY_MS);
  }

  /* One dot is one dot, or the picture is as large as there is room. */
  setExact(on) {
    this.exact = on;
    if (!this.rfb)
      return;
    this.rfb.scaleViewport = !on;
    this.rfb.clipViewport = on;
    this.rfb.dragViewport = false;
  }

  focus() { if (this.rfb) this.rfb.focus(); }

  controlAltDelete() {
    if (this.rfb)
      this.rfb.sendCtrlAltDel();
    this.focus();
  }

  /* Returns how many characters were typed before all were, or stopTyping() was called. */
  async type(text, progress) {
    const turn = ++this.typing;
    let done = 0;
    for (const character of text) {
      if (turn !== this.typing || !this.rfb)
        break;
      const keysym = keysymOf(character);
      if (keysym)
        this.rfb.sendKey(keysym, null);
      done += character.length;
      progress(done);
      await wait(TYPE_PACE_MS);
    }
    return done;
  }

  stopTyping() { this.typing++; }
}
