// One message in full: topic, what is known of it, its payload as JSON, text or hexadecimal.

import { copy, el } from './dom.js';
import { bytes, clock, count } from './format.js';
import { icon } from './icons.js';
import { hexShown, shown, textOf, toBase64, visible } from './payload.js';

/** Longer JSON is shown without colours: each word of it would be an element. */
const COLOURED_MAX = 16 * 1024;

/** What properties of version 5 are called to people. */
const PROPERTY_NAMES = {
  payloadFormatIndicator: 'Payload format', messageExpiryInterval: 'Expires after', contentType: 'Content type',
  responseTopic: 'Response topic', correlationData: 'Correlation data', subscriptionIdentifier: 'Subscription id',
  userProperty: 'User property', topicAlias: 'Topic alias',
};

const JSON_TOKEN = /("(?:\\.|[^"\\])*")(:?)|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

function coloured(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(JSON_TOKEN)) {
    const [whole, string, colon, number] = found;
    const kind = string ? (colon ? 'key' : 'string') : number ? 'number' : 'word';
    parts.push(text.slice(at, found.index), el(`span.${kind}`, {}, string ?? whole), colon ?? '');
    at = found.index + whole.length;
  }
  return [...parts, text.slice(at)];
}

/** A payload with the choice of how to look at it. */
export function payloadView(payload, size = payload.length) {
  const best = shown(payload, size);
  const box = el('pre.payload', { tabindex: 0, 'aria-label': 'Payload' });
  const note = el('p.small.soft');
  const ways = [[best.kind, best]];
  if (best.kind === 'json') ways.push(['text', { ...best, kind: 'text', text: visible(textOf(payload)) }]);
  if (best.kind === 'json' || best.kind === 'text') ways.push(['hex', hexShown(payload, size)]);
  const show = ({ kind, text, note: said }) => {
    box.classList.toggle('hex', kind === 'hex');
    box.replaceChildren(...(kind === 'json' && text.length < COLOURED_MAX ? coloured(text) : [text]));
    note.textContent = said;
  };
  if (best.kind === 'empty') return el('p.soft', {}, 'An empty payload.');
  show(best);
  const name = `way${Math.random()}`;
  const choice = el('fieldset.choice', {}, el('legend.unseen', {}, 'Show the payload as'), ways.map(([kind, way], at) =>
    el('label', {}, el('input', { type: 'radio', name, checked: at === 0, onchange: () => show(way) }),
      el('span', {}, { json: 'JSON', text: 'Text', hex: 'Hex' }[kind]))));
  const text = textOf(payload);
  const asCopied = () => copy(text ?? toBase64(payload));
  const bar = el('div.row', {}, choice, el('span.grow'),
    el('button.button.plain', { type: 'button', onclick: asCopied, title: text === undefined ? 'Copies it as base64' : '' },
      icon('copy'), 'Copy'));
  return el('div.payload-view', {}, bar, box, note);
}

function propertyRows(properties = {}) {
  const rows = [];
  for (const [name, value] of Object.entries(properties)) {
    const label = PROPERTY_NAMES[name] ?? name;
    if (name === 'userProperty') {
      for (const [key, text] of value) rows.push([key, text]);
    } else if (value instanceof Uint8Array) rows.push([label, textOf(value) ?? `base64 ${toBase64(value)}`]);
    else if (name === 'payloadFormatIndicator') rows.push([label, value ? 'UTF-8' : 'bytes']);
    else rows.push([label, name === 'messageExpiryInterval' ? `${count(value)} s` : String(value)]);
  }
  return rows.map(([label, value]) => [el('dt', {}, visible(label)), el('dd.mono', {}, visible(value))]);
}

/** `actions`: elements for the head of it. */
export function messageView(message, actions = []) {
  const { topic, at, qos, retain, dup, sent, size, payload, properties } = message;
  return el('div.message-view', {},
    el('header', {},
      el('h2.mono', {}, visible(topic)),
      el('button.button.plain.square', { type: 'button', 'aria-label': 'Copy the topic', title: 'Copy the topic', onclick: () => copy(topic) },
        icon('copy')),
      ...actions),
    el('div.row.small', {},
      el('span.soft', {}, `${sent ? 'sent' : 'received'} ${clock(at, true)}`),
      el('span.mark', {}, `QoS ${qos}`),
      retain && el('span.mark.warn', {}, 'retained'),
      dup && el('span.mark', {}, 'again'),
      el('span.soft', {}, bytes(size))),
    payloadView(payload, size),
    el('dl.pairs', {}, propertyRows(properties)));
}
