// The clients: a list of any length that the broker searches and sorts, and beside it the one that was
// chosen (clientdetail.js).

import { get } from './api.js';
import { clientPanel } from './clientdetail.js';
import { afterPause, el, setText } from './dom.js';
import { count, duration, short } from './format.js';
import { icon } from './icons.js';
import { VirtualList } from './list.js';
import { Pages } from './pages.js';
import { visible } from './payload.js';
import { Poll, head } from './view.js';

/** Columns: label, what the broker calls it when sorting, class, text of a row, order at the first click. */
const COLUMNS = [
  ['Client id', 'id', 'w-id', null, 'asc'],
  ['User', 'user', 'w-user wide-only', (client) => visible(client.user ?? '–'), 'asc'],
  ['Address', 'address', 'w-address middle-only', (client) => visible(client.address ?? '–'), 'asc'],
  ['Version', '', 'w-version wide-only', (client) => client.version, ''],
  ['Connected', 'connected_at', 'w-since middle-only', since, 'desc'],
  ['Subs', 'subscriptions', 'w-number wide-only', (client) => count(client.subscriptions), 'desc'],
  ['Queued', 'queued', 'w-number middle-only', (client) => (client.queued ? short(client.queued) : '–'), 'desc'],
  ['In', 'messages_in', 'w-number', (client) => short(client.messages_in), 'desc'],
  ['Out', 'messages_out', 'w-number', (client) => short(client.messages_out), 'desc'],
];
const STATES = [['all', 'All'], ['connected', 'Connected'], ['disconnected', 'Away']];

const asked = { q: '', state: 'all', sort: 'id', order: 'asc' };
let chosen = '';

function since({ connected, connected_at: at, expires_in_s: left }) {
  if (connected) return duration((Date.now() - Date.parse(at)) / 1000);
  return left === null ? 'away' : `${duration(left)} left`;
}

const pages = new Pages(async (offset, limit, signal) => {
  const answer = await get('/clients', { ...asked, offset, limit }, signal);
  setText(tally, `${count(answer.matched)} of ${count(answer.total)} Sessions${answer.complete ? '' : ', the first 100,000 looked at'}`);
  return { rows: answer.clients, matched: answer.matched };
});

const tally = el('span.small.soft', { role: 'status' });
const search = el('input.input', { type: 'search', placeholder: 'Client id, user or address', 'aria-label': 'Search clients' });
const nothing = el('div.empty', { hidden: true }, icon('clients'), el('strong', {}, 'Nobody here'), el('span', {}, 'No client fits, or none has connected yet.'));
const box = el('div.gutter', {}, nothing);
const split = el('div.split');
const panel = clientPanel({ close: () => choose(''), changed: () => poll.now() });

const list = new VirtualList(box, {
  label: 'Clients', rowHeight: 40, make: makeRow, fill: fillRow,
  onchoose: (index) => choose(pages.row(index)?.id ?? ''),
  onview: (first, last) => pages.look(first, last) && more(),
});
const more = afterPause(() => poll.now(), 60);

const poll = new Poll(2000, async (signal) => {
  await pages.refresh(signal);
  list.count = pages.matched;
  nothing.hidden = pages.matched > 0;
});

function makeRow() {
  return el('div', {}, COLUMNS.map(([, key, classes]) => (key === 'id'
    ? el(`span.${classes}`, {}, el('span.name', {}, el('span.dot'), el('span.mono.cut')))
    : el(`span.cut.${classes.replaceAll(' ', '.')}`))));
}

function fillRow(row, index) {
  const client = pages.row(index);
  row.classList.toggle('pending', !client);
  if (!client) {
    for (const cell of row.querySelectorAll('.cut')) setText(cell, '…');
    return;
  }
  row.classList.toggle('active', client.id === chosen || index === list.active);
  row.querySelector('.dot').className = `dot ${client.connected ? (client.slow ? 'warn' : 'good') : ''}`;
  row.querySelector('.dot').title = client.connected ? (client.slow ? 'connected, reads too slowly' : 'connected') : 'away';
  setText(row.querySelector('.mono'), visible(client.id) || '(empty)');
  COLUMNS.forEach(([, , , text], at) => text && setText(row.children[at], text(client)));
}

const header = el('div.columns', {}, COLUMNS.map(([label, key, classes, , first]) => {
  const name = `span.${classes.replaceAll(' ', '.')}`;
  if (!key) return el(name, {}, el('span.small.soft', {}, label));
  return el(name, {}, el('button', { type: 'button', data: { key }, title: `Sort by ${label.toLowerCase()}`, onclick: () => sort(key, first) }, label));
}));

function sort(key, first) {
  asked.order = asked.sort === key ? (asked.order === 'asc' ? 'desc' : 'asc') : first;
  asked.sort = key;
  anew();
}

/** Other clients are wanted: begins at the top. */
function anew() {
  for (const button of header.querySelectorAll('button')) {
    if (button.dataset.key === asked.sort) button.setAttribute('aria-sort', asked.order === 'asc' ? 'ascending' : 'descending');
    else button.removeAttribute('aria-sort');
  }
  pages.clear();
  pages.look(0, 1);
  box.scrollTop = 0;
  list.activate(-1);
  poll.now();
}

function choose(id) {
  const place = id ? `#/clients/${encodeURIComponent(id)}` : '#/clients';
  if (location.hash !== place) location.hash = place;
}

search.addEventListener('input', afterPause(() => {
  asked.q = search.value.trim();
  anew();
}));

const states = el('fieldset.choice', {}, el('legend.unseen', {}, 'Which clients'), STATES.map(([value, label]) =>
  el('label', {}, el('input', {
    type: 'radio', name: 'client-state', checked: value === 'all',
    onchange: () => {
      asked.state = value;
      anew();
    },
  }), el('span', {}, label))));

split.append(el('section.card', { 'aria-label': 'Clients' }, header, box, el('footer', {}, tally)), panel.element);

export const view = {
  title: 'Clients',
  element: el('div.view.full', {}, head('Clients', null, states, el('div.search', {}, icon('search'), search)), split),
  enter(id, moved) {
    chosen = id;
    split.classList.toggle('open', id !== '');
    panel.show(id);
    if (moved) {
      poll.start();
      anew();
    } else list.draw();
  },
  leave() {
    poll.stop();
    panel.show('');
  },
};
