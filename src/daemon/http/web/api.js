// The broker's HTTP interface: requests, streams of events, and the login where one is wanted.

import { el } from './dom.js';
import { fromBase64 } from './payload.js';

const ROOT = '/api/v1';
const KEY = 'mqttx.authorization';

/** An answer that is no success, with the sentence the broker has for it. */
export class Refused extends Error {
  constructor(status, { code, message }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

let authorization = remembered();

/** Tells whoever asks from now on that there is no login; the next answer asks for one where it is wanted. */
export function logout() {
  authorization = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Then it was not kept either.
  }
  location.reload();
}

export const loggedIn = () => authorization !== null;

/** Where the login is being asked for, everybody else waits for the same answer. */
let asking = null;

async function send(path, options = {}) {
  for (;;) {
    const headers = { 'X-Requested-With': 'mqttx', ...options.headers };
    if (authorization) headers.Authorization = authorization;
    const used = authorization;
    const answer = await fetch(ROOT + path, { ...options, headers, cache: 'no-store' });
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: { code: 'internal', message: `status ${answer.status}` } }));
    if (answer.status !== 401) throw new Refused(answer.status, error);
    if (used === authorization) await (asking ??= askLogin(used !== null).finally(() => { asking = null; }));
  }
}

/** A dialog for user and password, or a token; resolves when something was given. */
function askLogin(again) {
  const user = el('input.input', { name: 'user', autocomplete: 'username', autocapitalize: 'off', spellcheck: 'false' });
  const secret = el('input.input', { name: 'secret', type: 'password', autocomplete: 'current-password', required: true });
  const dialog = el('dialog.login', { 'aria-labelledby': 'login-title' },
    el('form', { method: 'dialog' },
      el('h2', { id: 'login-title' }, 'Log in to the broker'),
      el('p', {}, 'A user of the broker with the admin right; or leave the user empty and give the token.'),
      el('label.field', {}, el('span', {}, 'User'), user),
      el('label.field', {}, el('span', {}, 'Password or token'), secret),
      el('p.problem', { role: 'alert' }, again ? 'That was not accepted.' : ''),
      el('div.row.end', {}, el('button.button.primary', {}, 'Log in'))));
  document.body.append(dialog);
  dialog.showModal();
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      authorization = user.value ? `Basic ${basic(`${user.value}:${secret.value}`)}` : `Bearer ${secret.value.trim()}`;
      try {
        sessionStorage.setItem(KEY, authorization);
      } catch {
        // Then it is asked for again after a reload.
      }
      resolve();
    });
  });
}

function basic(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** `?a=1&b=2` of what is not empty; an array is a word for each of its values. */
function query(words) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) {
    if (value === undefined || value === null || value === '') continue;
    for (const each of [value].flat()) parts.append(name, each);
  }
  return parts.size ? `?${parts}` : '';
}

export const get = async (path, words = {}, signal = undefined) => (await send(path + query(words), { signal })).json();
export const remove = async (path, words = {}) => (await send(path + query(words), { method: 'DELETE' })).json();
export const post = async (path, body) => (await send(path, {
  method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
})).json();

/**
 * Server-sent events, by fetch, since an EventSource carries no login. Calls `on[event](data)`, and
 * resolves when the stream ends; `signal` ends it.
 */
export async function stream(path, words, on, signal) {
  const answer = await send(path + query(words), { signal });
  on.open?.();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      let event = 'message';
      const data = [];
      for (const line of block.split('\n')) {
        if (line.startsWith('event:')) event = line.slice(6).trim();
        else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
      }
      if (data.length) on[event]?.(JSON.parse(data.join('\n')));
    }
  }
}

/** The bytes of a payload as the interface tells it. */
export function payloadOf(payload) {
  if (!payload) return new Uint8Array(0);
  return payload.base64 === undefined ? new TextEncoder().encode(payload.text) : fromBase64(payload.base64);
}
