// The retained messages: those that fit a filter, one in full, and how to be rid of them.

import { get, payloadOf, remove } from './api.js';
import { afterPause, confirmed, el, setText, toast } from './dom.js';
import { bytes, count, duration, plural } from './format.js';
import { icon } from './icons.js';
import { messageView } from './inspect.js';
import { VirtualList } from './list.js';
import { preview, visible } from './payload.js';
import { filterProblem } from './topic.js';
import { head } from './view.js';

const PAGE = 200;

/** Rows that are gathered; beyond that a narrower filter is the way. */
const ROWS_MAX = 20000;

let filter = '#';
let rows = [];
let next = null;
let asking = null;
let chosen = null;

const tally = el('span.small.soft', { role: 'status' });
const problem = el('p.problem', { role: 'alert' });
const input = el('input.input.mono', { type: 'search', value: '#', spellcheck: 'false', autocapitalize: 'off', 'aria-label': 'Topic Filter' });
const nothing = el('div.empty', { hidden: true }, icon('retained'), el('strong', {}, 'Nothing is retained'), el('span', {}, 'No retained message fits this filter.'));
const box = el('div.gutter', {}, nothing);
const split = el('div.split');
const panel = el('section.card.panel', { hidden: true, 'aria-label': 'The chosen message' });

const list = new VirtualList(box, {
  label: 'Retained messages', rowHeight: 40,
  make: () => el('div', {}, el('span.w-topic.mono.cut'), el('span.w-value.mono.cut.soft'), el('span.w-number.small.soft.middle-only'), el('span.w-size.small.soft')),
  fill(row, index) {
    const { topic, payload, size, qos, expires_in_s: left } = rows[index];
    setText(row.children[0], visible(topic));
    setText(row.children[1], preview(payloadOf(payload), size));
    setText(row.children[2], left === null ? `QoS ${qos}` : `${duration(left)} left`);
    setText(row.children[3], bytes(size));
  },
  onchoose: (index) => choose(rows[index]),
  onview: (first, last) => last + 40 > rows.length && next !== null && more(),
});

/**
 * Asks for what comes next after those `known`; a page may hold less than was asked for and still not be
 * the last. What is shown stays until the answer is there.
 */
async function more(known = rows) {
  if (asking || next === null || known.length >= ROWS_MAX) return;
  const ended = new AbortController();
  asking = ended;
  try {
    const enough = known.length + PAGE;
    do {
      const answer = await get('/retained', { filter, limit: PAGE, from: next || null }, ended.signal);
      known.push(...answer.rows);
      next = answer.next;
      const shown = next === null ? plural(known.length, 'message') : `${count(known.length)} shown, more as you scroll`;
      setText(tally, `${shown} · ${count(answer.total)} retained in all, ${bytes(answer.bytes)}`);
    } while (next !== null && known.length < enough);
  } catch (error) {
    if (!ended.signal.aborted) problem.textContent = error.message;
  }
  if (asking !== ended) return;
  asking = null;
  rows = known;
  nothing.hidden = rows.length > 0;
  list.count = rows.length;
}

/** Begins again at the top. */
function anew() {
  problem.textContent = filterProblem(filter) ?? '';
  if (problem.textContent) return;
  asking?.abort();
  asking = null;
  next = '';
  list.activate(-1);
  box.scrollTop = 0;
  more([]);
}

async function choose(row) {
  chosen = row?.topic ?? null;
  split.classList.toggle('open', chosen !== null);
  panel.hidden = chosen === null;
  if (!row) return;
  let message = row;
  try {
    message = await get('/retained/message', { topic: row.topic });
  } catch (error) {
    toast(error.status === 404 ? 'It is no longer retained' : error.message, 'bad');
  }
  if (chosen !== row.topic) return;
  const drop = el('button.button.danger', { type: 'button', onclick: () => erase(row.topic) }, icon('trash'), 'Delete');
  const subscribe = el('a.button', { href: `#/live/${encodeURIComponent(row.topic)}` }, icon('live'), 'Subscribe');
  const close = el('button.button.plain.square', { type: 'button', 'aria-label': 'Close', onclick: () => choose(null) }, icon('close'));
  panel.replaceChildren(messageView({
    topic: message.topic, at: Date.parse(message.at), qos: message.qos, retain: true, size: message.size, payload: payloadOf(message.payload),
    properties: {
      ...(message.content_type && { contentType: message.content_type }),
      ...(message.response_topic && { responseTopic: message.response_topic }),
      ...(message.correlation_data && { correlationData: payloadOf({ base64: message.correlation_data }) }),
      ...(message.expires_in_s !== null && { messageExpiryInterval: Math.round(message.expires_in_s) }),
      ...(message.user_properties?.length && { userProperty: message.user_properties }),
    },
  }, [close]), el('div.row', {}, drop, subscribe));
}

async function erase(which) {
  const one = which === chosen;
  const question = one ? 'Delete this retained message?' : `Delete all that fit ${visible(which)}?`;
  const detail = one ? visible(which) : 'Future subscribers will not get them. This cannot be undone.';
  if (!await confirmed(question, detail, 'Delete')) return;
  try {
    const { deleted } = await remove('/retained', { filter: which });
    toast(`${plural(deleted, 'message')} deleted`);
    choose(null);
    anew();
  } catch (error) {
    toast(error.message, 'bad');
  }
}

input.addEventListener('input', afterPause(() => {
  filter = input.value.trim() || '#';
  anew();
}, 300));

const eraseAll = el('button.button.danger', { type: 'button', onclick: () => !filterProblem(filter) && erase(filter) }, icon('trash'), 'Delete all shown');
const refresh = el('button.button', { type: 'button', onclick: anew }, 'Refresh');

split.append(el('section.card', { 'aria-label': 'Retained messages' },
  el('div.columns', {}, ...[['Topic', 'w-topic'], ['Payload', 'w-value'], ['', 'w-number.middle-only'], ['Size', 'w-size']]
    .map(([label, classes]) => el(`span.small.soft.${classes}`, {}, label))),
  box, el('footer', {}, tally)), panel);

export const view = {
  title: 'Retained',
  element: el('div.view.full', {}, head('Retained messages', null, refresh, eraseAll, el('div.search', {}, icon('search'), input)), problem, split),
  /** `#/retained/FILTER` looks for that. */
  enter(wanted, moved) {
    if (wanted) {
      history.replaceState(null, '', '#/retained');
      filter = wanted;
      input.value = wanted;
    }
    if (wanted || moved) anew();
  },
  leave: () => choose(null),
};
