/*
 * page.js - the browser console's page: getting in, the state of the machine, its buttons.
 *
 * The screen is screen.js's (noVNC), the text consoles are console.js's (xterm.js). Both are loaded when this browser
 * has been let in.
 */
import { link, openSocket } from '/link.js';

const at = id => document.getElementById(id);
const RETRY_MS = 2000;

const STATES = {
  running: ['running', 'Running'],
  paused: ['paused', 'Paused'],
  prelaunch: ['paused', 'Not started yet'],
  shutdown: ['paused', 'Powered off'],
  'guest-panicked': ['error', 'The guest has panicked'],
  'internal-error': ['error', 'Stopped by an internal error'],
  'io-error': ['error', 'Stopped: a disk cannot be read or written'],
  watchdog: ['error', 'Stopped by the watchdog'],
};

/* ---- getting in ---- */

/* The address's token is good for one browser: it is exchanged for a cookie, and taken out of sight. */
async function letIn() {
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, '', location.pathname);
    await fetch('/session', { method: 'POST', headers: { Authorization: 'Bearer ' + token } });
  }
  return (await fetch('/novnc/core/rfb.js', { method: 'HEAD' })).ok;
}

function lock() {
  showStatus('lost', 'Not let in');
  at('main').hidden = at('tools').hidden = at('hint').hidden = true;
  at('locked').hidden = false;
}

/* ---- the machine's state ---- */

let control = null, state = null, screen = null, consoles = null;

function showStatus(kind, words) {
  at('status').dataset.state = kind;
  at('status').textContent = words;
}

function show(news) {
  state = news;
  const [kind, words] = STATES[news.state] || ['paused', news.state];
  showStatus(kind, words);
  at('name').textContent = news.name || 'Vivarium';
  document.title = (news.name ? news.name + ' – ' : '') + 'Vivarium';
  at('run').textContent = news.state === 'running' ? 'Pause' : 'Continue';
  consoles.update(news.consoles);
}

/* The page's own connection: while it is there, so is the machine. */
function connect() {
  control = openSocket('/control');
  control.onmessage = event => show(JSON.parse(event.data));
  control.onopen = () => { enable(true); screen.connect(); consoles.connect(); };
  control.onclose = () => {
    showStatus('lost', 'No connection; trying again…');
    enable(false);
    setTimeout(retry, RETRY_MS);
  };
}

/* A machine that was started anew knows this browser no more. */
async function retry() {
  try {
    (await letIn()) ? connect() : lock();
  } catch {
    setTimeout(retry, RETRY_MS);
  }
}

function enable(on) {
  link.up = on;
  for (const button of at('tools').querySelectorAll('button'))
    button.disabled = !on;
}

/* ---- buttons ---- */

function order(word) {
  if (control && control.readyState === WebSocket.OPEN)
    control.send(JSON.stringify({ do: word }));
}

function ask(question) {
  const dialog = at('ask');
  at('question').textContent = question;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise(done => { dialog.onclose = () => done(dialog.returnValue === 'yes'); });
}

async function onPower(event) {
  const { do: word, ask: question } = event.target.dataset;
  if (!word)
    return;
  at('power').open = false;
  if (!question || await ask(question))
    order(word);
}

async function saveScreenshot() {
  const reply = await fetch('/screenshot.png');
  if (!reply.ok) {
    showStatus('error', (await reply.text()).trim());
    return;
  }
  const link = document.createElement('a');
  const time = new Date().toISOString().slice(0, 19).replace(/:/g, '-');
  link.href = URL.createObjectURL(await reply.blob());
  link.download = `${(state && state.name) || 'screen'}-${time}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/* Text from the clipboard if the browser gives it; there is a field to put it into in any case. */
async function openTyping() {
  at('typed').textContent = '';
  at('type').showModal();
  try {
    at('text').value = await navigator.clipboard.readText() || at('text').value;
  } catch { /* not allowed: it is pasted by hand */ }
  at('text').select();
}

async function startTyping(event) {
  event.preventDefault();
  at('typing-start').disabled = true;
  const all = at('text').value;
  const done = await screen.type(all, n => { at('typed').textContent = `${n} of ${all.length} typed`; });
  at('typed').textContent = done === all.length ? 'Typed.' : `Stopped after ${done} of ${all.length}.`;
  at('typing-start').disabled = false;
}

function toggle(button, name, change) {
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', on);
  localStorage.setItem(name, on);
  change(on);
}

/* What this browser chose the last time. */
function restore(button, name, change) {
  const on = localStorage.getItem(name);
  if (on !== null && on !== button.getAttribute('aria-pressed'))
    toggle(button, name, change);
}

const showSide = on => document.body.classList.toggle('alone', !on);
const showExact = on => screen.setExact(on);

function listen() {
  at('run').onclick = () => order(state && state.state === 'running' ? 'stop' : 'cont');
  at('power').addEventListener('click', onPower);
  at('cad').onclick = () => screen.controlAltDelete();
  at('shot').onclick = saveScreenshot;
  at('paste').onclick = openTyping;
  at('typing-start').onclick = startTyping;
  at('type').onclose = () => { screen.stopTyping(); screen.focus(); };
  at('full').onclick = () => document.fullscreenElement ? document.exitFullscreen() : at('screen').requestFullscreen();
  at('side').onclick = () => toggle(at('side'), 'side', showSide);
  at('exact').onclick = () => toggle(at('exact'), 'exact', showExact);
  restore(at('side'), 'side', showSide);
  restore(at('exact'), 'exact', showExact);
  document.addEventListener('click', event => {
    if (!at('power').contains(event.target))
      at('power').open = false;
  });
}

/* Ctrl-Alt-G, before the guest sees the G. */
function onEscape(event) {
  if (!event.ctrlKey || !event.altKey || event.code !== 'KeyG')
    return;
  event.preventDefault();
  event.stopImmediatePropagation();
  window.dispatchEvent(new Event('blur')); /* noVNC lets go of Ctrl and Alt */
  at('run').focus();
}

/* ---- the line between screen and consoles ---- */

function setSide(width) {
  const most = innerWidth - 200;
  document.body.style.setProperty('--side', Math.max(260, Math.min(width, most)) + 'px');
  localStorage.setItem('width', width);
}

function listenSplitter() {
  const splitter = at('splitter');
  splitter.onpointerdown = event => splitter.setPointerCapture(event.pointerId);
  splitter.onpointermove = event => {
    if (splitter.hasPointerCapture(event.pointerId))
      setSide(innerWidth - event.clientX);
  };
  splitter.onkeydown = event => {
    const step = { ArrowLeft: 24, ArrowRight: -24 }[event.key];
    if (step)
      setSide(at('consoles').offsetWidth + step);
  };
  if (localStorage.getItem('width'))
    setSide(Number(localStorage.getItem('width')));
}

/* ---- begin ---- */

async function main() {
  if (!await letIn()) {
    lock();
    return;
  }
  const [screens, terminals] = await Promise.all([import('/screen.js'), import('/console.js')]);
  at('main').hidden = at('tools').hidden = at('hint').hidden = false;
  screen = new screens.Screen(at('screen'));
  consoles = new terminals.Consoles(at('consoles'));
  listen();
  listenSplitter();
  window.addEventListener('keydown', onEscape, true);
  connect();
}

main().catch(error => showStatus('error', String(error)));
