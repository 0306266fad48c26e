/*
 * link.js - what screen, consoles and page know of the connection to the machine.
 */
export const link = { up: false }; /* the page's own connection stands */

export function openSocket(path) {
  return new WebSocket(socketAddress(path), 'viv');
}

export function socketAddress(path) {
  return location.origin.replace(/^http/, 'ws') + path;
}
