// The overview: what the broker is, four graphs of the last minutes, what it holds, where it listens,
// and why messages were dropped.

import { get } from './api.js';
import { Chart } from './chart.js';
import { el, setText } from './dom.js';
import { bytes, count, duration, rate, short } from './format.js';
import { samples } from './samples.js';
import { Poll, head } from './view.js';

/** Why messages were dropped, in words. */
const DROPPED = {
  slow: 'Subscriber too slow', queue_full: 'Queue full', too_large: 'Too large for the client', payload: 'Payload over the limit',
  expired: 'Expired', offline: 'Nobody there to take it', denied: 'Not allowed', unreadable: 'Lost in the store',
};

const bytesRate = (value) => `${bytes(value)}/s`;

/** A graph with its figures: [title, [[label, colour, of a sample]], how figures are written, whole numbers]. */
const GRAPHS = [
  ['Messages', [['in', 'in', (sample) => sample.rates?.received], ['out', 'out', (sample) => sample.rates?.sent]], rate, true],
  ['Traffic', [['in', 'in', (sample) => sample.rates?.bytesIn], ['out', 'out', (sample) => sample.rates?.bytesOut]], bytesRate, false],
  ['Clients', [['connected', 'people', (sample) => sample.clients.connected]], count, true],
  ['Dropped', [['dropped', 'bad', (sample) => sample.rates?.dropped]], rate, true],
];

function graphCard([title, lines, format, whole]) {
  const chart = new Chart({ title, seconds: 300, format, whole, series: lines.map(([label, colour]) => ({ label, colour })) });
  const figures = lines.map(([label, colour]) => {
    const value = el('strong', {}, '–');
    return { value, node: el('span.figure', {}, el(`i.key.k-${colour}`), value, lines.length > 1 && el('span.soft', {}, label)) };
  });
  const total = el('span.small.soft');
  const card = el('section.card.graph', { 'aria-label': title },
    el('header', {}, el('h2', {}, title), el('span.grow'), total),
    el('div.figures', {}, figures.map(({ node }) => node)), chart.canvas);
  const draw = (all) => {
    chart.points = all.map((sample) => {
      const values = lines.map(([, , of]) => of(sample));
      return { at: sample.at, values: values.some((value) => value === undefined) ? null : values };
    });
    lines.forEach(([, , of], at) => {
      const value = of(all.at(-1));
      setText(figures[at].value, value === undefined ? '–' : format(value));
    });
  };
  return { card, draw, total };
}

const graphs = GRAPHS.map(graphCard);
const [messages, traffic, clients, dropped] = graphs;

/** What the broker holds at present: [label, of a sample, what it means]. */
const FACTS = [
  ['Sessions', ({ clients: { sessions } }) => count(sessions), 'Connected, or kept for clients that are away'],
  ['Subscriptions', ({ subscriptions }) => count(subscriptions.total), 'Of all Sessions, shared ones included'],
  ['Retained', ({ retained }) => count(retained.count), 'Messages kept for future subscribers'],
  ['Queued', ({ queued }) => count(queued.messages), 'Messages that wait for clients'],
  ['Memory', ({ process }) => (process?.memory_bytes == null ? '–' : bytes(process.memory_bytes)), 'Of the whole process'],
  ['Processor', ({ rates }) => (rates?.cpu == null ? '–' : `${(rates.cpu * 100).toFixed(rates.cpu < 0.1 ? 1 : 0)} %`), '100 % is one core'],
];
const facts = FACTS.map(([label, of, meaning]) => {
  const value = el('dd', {}, '–');
  return { value, of, node: el('div', { title: meaning }, el('dt', {}, label), value) };
});

const about = el('p.soft', {}, '\u00a0');
const listeners = el('ul.rows');
const reasons = el('ul.rows');
const qos = el('table.plain', {}, el('thead', {}, el('tr', {}, el('th', {}, 'QoS'), el('th.num', {}, 'In'), el('th.num', {}, 'Out'))), el('tbody'));

function listenerRow({ protocol, address, tls, anonymous, connections, mount_point: mount }) {
  return el('li', {}, el('span.mark.accent', {}, protocol), el('span.mono.cut.grow', { title: address }, address),
    mount && el('span.mark', { title: 'Mount point' }, mount), tls && el('span.mark.good', {}, 'TLS'),
    anonymous === false && el('span.mark', {}, 'login'),
    connections !== null && el('span.small.soft', {}, `${count(connections)} connected`));
}

function draw() {
  const { all, newest } = samples;
  if (!newest || !view.element.isConnected) return;
  graphs.forEach((graph) => graph.draw(all));
  facts.forEach(({ value, of }) => setText(value, of(newest)));
  setText(messages.total, `${short(newest.messages.received)} in, ${short(newest.messages.sent)} out in all`);
  setText(traffic.total, `${bytes(newest.bytes.received)} in, ${bytes(newest.bytes.sent)} out in all`);
  setText(clients.total, `${count(newest.clients.sessions_most)} Sessions at most`);
  setText(dropped.total, `${count(newest.messages.dropped)} in all`);
  const why = Object.entries(newest.dropped).filter(([, number]) => number > 0).sort((left, right) => right[1] - left[1]);
  reasons.replaceChildren(...(why.length
    ? why.map(([name, number]) => el('li', {}, el('span.grow', {}, DROPPED[name] ?? name), el('strong', {}, count(number))))
    : [el('li.soft', {}, 'Not one message since the start.')]));
  const { received_by_qos: received, sent_by_qos: sent } = newest.messages;
  qos.tBodies[0].replaceChildren(...[0, 1, 2].map((level) => el('tr', {}, el('td', {}, String(level)),
    el('td.num', {}, received ? count(received[level]) : '–'), el('td.num', {}, sent ? count(sent[level]) : '–'))));
}

const poll = new Poll(5000, async (signal) => {
  const [broker, ways] = await Promise.all([get('/overview', {}, signal), get('/listeners', {}, signal)]);
  const parts = [broker.node, `mqttx ${broker.version}`, `up ${duration(broker.uptime_s)}`,
    `${broker.workers} ${broker.workers === 1 ? 'worker' : 'workers'}`, broker.persistence ? 'persistent' : 'in memory'];
  setText(about, parts.filter(Boolean).join(' · '));
  listeners.replaceChildren(...ways.listeners.map(listenerRow));
});

samples.addEventListener('sample', draw);

export const view = {
  title: 'Overview',
  element: el('div.view.overview', {}, head('Overview', about),
    el('dl.facts.card', {}, facts.map(({ node }) => node)),
    el('div.graphs', {}, graphs.map(({ card }) => card)),
    el('div.thirds', {},
      el('section.card', {}, el('header', {}, el('h2', {}, 'Listeners')), el('div.body', {}, listeners)),
      el('section.card', {}, el('header', {}, el('h2', {}, 'Messages by QoS')), el('div.body', {}, qos)),
      el('section.card', {}, el('header', {}, el('h2', {}, 'Why messages were dropped')), el('div.body', {}, reasons)))),
  enter(rest, moved) {
    if (moved) poll.start();
    draw();
  },
  leave: () => poll.stop(),
};
