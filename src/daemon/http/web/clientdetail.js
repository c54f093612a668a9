// One client: its connection, Session, Subscriptions, what waits for it, and the buttons that end it.

import { get, payloadOf, remove } from './api.js';
import { confirmed, el, toast } from './dom.js';
import { bytes, count, duration, moment } from './format.js';
import { icon } from './icons.js';
import { preview, visible } from './payload.js';
import { Poll } from './view.js';

function pairs(rows) {
  return el('dl.pairs', {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== false)
    .map(([label, value]) => [el('dt', {}, label), el('dd', {}, value)]));
}

function session({ client }) {
  const { session_expiry_s: expiry } = client;
  const ends = client.expires_in_s !== null ? `in ${duration(client.expires_in_s)}` : expiry === null ? 'never'
    : expiry === 0 ? 'with the connection' : `${duration(expiry)} after the connection`;
  return pairs([
    ['User', client.user === null ? 'none' : visible(client.user)],
    ['Address', client.address && el('span.mono', {}, visible(client.address))],
    ['Listener', client.listener && el('span.mono', {}, client.listener)],
    ['Version', `MQTT ${client.version}`],
    ['Since', client.connected_at && moment(Date.parse(client.connected_at))],
    ['Keep alive', client.keep_alive_s !== null && (client.keep_alive_s ? `${client.keep_alive_s} s` : 'off')],
    ['Clean start', client.clean_start !== null && (client.clean_start ? 'yes' : 'no')],
    ['Session ends', ends],
    ['Will', client.will_topic !== null && el('span.mono', {}, visible(client.will_topic))],
    ['Messages', `${count(client.messages_in)} in, ${count(client.messages_out)} out`],
    ['Bytes', `${bytes(client.bytes_in)} in, ${bytes(client.bytes_out)} out`],
    ['Kept for it', client.held_bytes > 0 && bytes(client.held_bytes)],
    ['Not yet sent', client.unsent_bytes > 0 && bytes(client.unsent_bytes)],
  ]);
}

function subscriptionRow(row) {
  const options = [row.no_local && 'no local', row.retain_as_published && 'retain as published',
    row.retain_handling === 1 && 'retained if new', row.retain_handling === 2 && 'none retained',
    row.subscription_id !== null && `id ${row.subscription_id}`].filter(Boolean);
  return el('li', {}, el('div.grow', {}, el('div.mono.cut', { title: visible(row.filter) }, visible(row.filter)),
    options.length > 0 && el('div.small.soft', {}, options.join(', '))), el('span.mark', {}, `QoS ${row.qos}`));
}

function queuedRow(row) {
  if (row.topic === null) return el('li.soft', {}, el('span.grow', {}, 'only in the store'));
  return el('li', {}, el('div.grow', {}, el('div.mono.cut', {}, visible(row.topic)),
    el('div.mono.small.soft.cut', {}, preview(payloadOf(row.payload), row.size))), el('span.mark', {}, `QoS ${row.qos}`));
}

function inflightRow(row) {
  return el('li', {}, el('span.mono.soft', {}, `#${row.packet_id}`), el('span.mono.cut.grow', {}, row.topic === null ? '' : visible(row.topic)),
    el('span.mark', {}, row.state === 'pubrel' ? 'released' : `QoS ${row.qos}`));
}

function section(title, { total, rows }, make) {
  if (total === 0) return null;
  const rest = total - rows.length;
  return el('section', {}, el('h3', {}, `${title} (${count(total)})`), el('ul.rows', {}, rows.map(make)),
    rest > 0 && el('p.small.soft', {}, `and ${count(rest)} more`));
}

/** The panel beside the list; `close()` and `changed()` are called after its buttons. */
export function clientPanel({ close, changed }) {
  let id = '';
  let seen = '';
  const title = el('h2.mono');
  const state = el('div.row');
  const body = el('div.stack');
  const disconnect = el('button.button.danger', { type: 'button', onclick: () => kick(false) }, icon('cut'), 'Disconnect');
  const end = el('button.button.danger', { type: 'button', onclick: () => kick(true) }, icon('trash'), 'End Session');
  const element = el('section.card.panel', { hidden: true, 'aria-label': 'The chosen client' },
    el('header', {}, title, el('button.button.plain.square', { type: 'button', 'aria-label': 'Close', onclick: close }, icon('close'))),
    state, el('div.row', {}, disconnect, end), body);

  async function kick(session) {
    const who = visible(id);
    const detail = session ? 'It is disconnected, and its Subscriptions and queued messages are gone.' : 'It may connect again at once; its Session stays as it is.';
    if (!await confirmed(session ? `End the Session of ${who}?` : `Disconnect ${who}?`, detail, session ? 'End Session' : 'Disconnect')) return;
    try {
      await remove(`/clients/${encodeURIComponent(id)}`, session ? { session: true } : {});
      toast(session ? 'The Session has ended' : 'Disconnected');
      if (session) close();
    } catch (error) {
      toast(error.message, 'bad');
    }
    changed();
    poll.now();
  }

  const poll = new Poll(2000, async (signal) => {
    const answer = await get(`/clients/${encodeURIComponent(id)}`, {}, signal);
    const { client } = answer;
    // A panel that is drawn anew loses the reader's selection: only what differs is.
    const text = JSON.stringify(answer);
    if (text === seen) return;
    seen = text;
    disconnect.disabled = !client.connected;
    end.disabled = false;
    state.replaceChildren(el(`span.mark${client.connected ? '.good' : ''}`, {}, client.connected ? 'connected' : 'away'),
      client.slow ? el('span.mark.warn', {}, 'reads too slowly') : '');
    body.replaceChildren(...[session(answer), section('Subscriptions', answer.subscriptions, subscriptionRow),
      section('In flight', answer.inflight, inflightRow), section('Queued', answer.queue, queuedRow)].filter(Boolean));
  });
  poll.onproblem = (error) => {
    seen = '';
    disconnect.disabled = true;
    end.disabled = true;
    state.replaceChildren();
    if (error.status === 404) poll.stop();
    body.replaceChildren(el('p.soft', {}, error.status === 404 ? 'There is no such client any more.' : error.message));
  };

  return {
    element,
    show(wanted) {
      element.hidden = wanted === '';
      if (wanted === id) return;
      id = wanted;
      seen = '';
      poll.stop();
      title.textContent = visible(id);
      body.replaceChildren();
      state.replaceChildren();
      if (id) poll.start();
    },
  };
}
