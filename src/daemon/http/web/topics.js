// The topics as a tree: a level is asked for when it is opened, and again while it is in sight, a
// thousand children at a time. What is searched for comes as a flat list. Values have a small curve, as
// do rates of what has no number.

import { get, payloadOf } from './api.js';
import { sparkline } from './chart.js';
import { afterPause, el, setText } from './dom.js';
import { count, rate } from './format.js';
import { icon } from './icons.js';
import { VirtualList } from './list.js';
import { preview, visible } from './payload.js';
import { curveOf, forgetCurves, note } from './curves.js';
import { topicPanel } from './topicdetail.js';
import { Poll, head } from './view.js';

const LEVEL_MAX = 1000;
const ROW_HEIGHT = 36;

/** Levels that are asked for at a time. */
const ASKED_MAX = 12;

/** Topic to its children as last heard; '' is the top. */
const levels = new Map();
/** Topic to how many of its children are left out before those that are shown. */
const offsets = new Map();
const open = new Set();
let words = '';
let found = null;
let foundFrom = 0;
/** The level whose first row is to come into sight once it is here. */
let turned = null;
/** What is shown: {node, depth, parent} or {pager, depth, parent}, the pager being the level's answer. */
let rows = [];
let chosen = null;

const tally = el('span.small.soft', { role: 'status' });
const search = el('input.input', { type: 'search', placeholder: 'Part of a topic', 'aria-label': 'Search topics' });
const nothing = el('div.empty', {}, icon('topics'), el('strong', {}, 'Listening …'), el('span', {}, 'Topics appear with their next message.'));
const box = el('div.gutter', {}, nothing);
const split = el('div.split');
const panel = topicPanel(() => choose(null));

const list = new VirtualList(box, {
  label: 'Topics', role: 'tree', rowRole: 'treeitem', rowHeight: ROW_HEIGHT, make: makeRow, fill: fillRow,
  onchoose: (index) => (rows[index].pager ? turn(rows[index], 'next') : choose(rows[index].node)),
  onkey: key,
});

const poll = new Poll(1500, async (signal) => {
  if (words) {
    found = await get('/topics', { q: words, offset: foundFrom, limit: LEVEL_MAX }, signal);
    found.topics.forEach(note);
    told(found);
  } else {
    found = null;
    const [top] = await Promise.all(inSight().map((topic) => ask(topic, signal)));
    told(top);
  }
  arrange();
});

/** Which levels to ask for: the top, and those with a row in sight. */
function inSight() {
  const [first, last] = list.view;
  const wanted = new Set(['']);
  for (const { parent, node } of rows.slice(first, last)) {
    if (parent) wanted.add(parent);
    if (node && open.has(node.topic)) wanted.add(node.topic);
  }
  for (const topic of open) if (!levels.has(topic)) wanted.add(topic);
  if (chosen?.topic.includes('/')) wanted.add(chosen.topic.slice(0, chosen.topic.lastIndexOf('/')));
  return [...wanted].slice(0, ASKED_MAX);
}

async function ask(topic, signal) {
  const answer = await get('/topics', { under: topic, offset: offsets.get(topic) ?? 0, limit: LEVEL_MAX }, signal);
  answer.topics.forEach(note);
  levels.set(topic, answer);
  return answer;
}

function told(answer) {
  const parts = [`${count(answer.topics_known)} topics`];
  if (words) parts.unshift(`${count(answer.matched)} found in`);
  if (answer.sampled) parts.push('heavy traffic: looked at in part, rates are scaled');
  if (answer.full) parts.push(`no more than ${count(answer.topics_max)} are watched`);
  setText(tally, parts.join(words ? ' ' : ' · '));
}

function arrange() {
  rows = [];
  if (found) {
    page(found, 0, '', (node) => rows.push({ node, depth: 0, parent: '' }));
  } else {
    gather('', 0);
  }
  list.count = rows.length;
  nothing.hidden = rows.length > 0;
  setText(nothing.querySelector('strong'), words ? 'No topic fits' : 'Listening …');
  if (chosen) {
    const at = rows.findIndex(({ node }) => node?.topic === chosen.topic);
    list.activate(at);
    if (at >= 0) panel.show(rows[at].node);
  }
  if (turned !== null) {
    const first = rows.findIndex(({ parent }) => parent === turned);
    turned = null;
    box.scrollTop = ROW_HEIGHT * Math.max(0, first);
    list.activate(first);
  }
}

function gather(topic, depth) {
  const level = levels.get(topic);
  if (!level) return;
  page(level, depth, topic, (node) => {
    rows.push({ node, depth, parent: topic });
    if (node.children && open.has(node.topic)) gather(node.topic, depth + 1);
  });
}

/** Rows of an answer, between pagers where it is only a part. */
function page(answer, depth, parent, each) {
  if (answer.offset > 0) rows.push({ pager: answer, depth, parent });
  answer.topics.forEach(each);
  if (answer.truncated) rows.push({ pager: answer, depth, parent });
}

/** Other children of a level: `where` is first, back, next or last. */
function turn({ pager: { offset, matched }, parent }, where) {
  const last = Math.max(0, Math.floor((matched - 1) / LEVEL_MAX) * LEVEL_MAX);
  const to = Math.max(0, Math.min(last, { first: 0, back: offset - LEVEL_MAX, next: offset + LEVEL_MAX, last }[where]));
  if (to === offset) return;
  if (words) foundFrom = to;
  else offsets.set(parent, to);
  turned = parent;
  poll.now();
}

function toggle(node) {
  if (!node.children) return;
  if (open.has(node.topic)) {
    for (const topic of open) {
      if (topic !== node.topic && !topic.startsWith(`${node.topic}/`)) continue;
      open.delete(topic);
      levels.delete(topic);
      offsets.delete(topic);
    }
  } else open.add(node.topic);
  arrange();
  poll.now();
}

function key(event, index) {
  const { node, depth, pager } = rows[index] ?? {};
  if (pager && (event.key === 'ArrowRight' || event.key === 'ArrowLeft')) {
    turn(rows[index], event.key === 'ArrowRight' ? 'next' : 'back');
    return true;
  }
  if (!node) return false;
  if (event.key === 'ArrowRight' && node.children && !open.has(node.topic)) toggle(node);
  else if (event.key === 'ArrowLeft' && open.has(node.topic)) toggle(node);
  else if (event.key === 'ArrowLeft' && depth > 0) {
    let up = index;
    while (rows[up].depth >= depth) up -= 1;
    list.activate(up, true);
  } else if (event.key === ' ') toggle(node);
  else return false;
  return true;
}

function choose(node) {
  chosen = node;
  split.classList.toggle('open', node !== null);
  panel.show(node);
  if (!node) list.box.focus();
  list.draw();
}

function makeRow() {
  const row = el('div', {},
    el('span.w-topic.level', {}, el('button.twist', { type: 'button', tabindex: -1, 'aria-hidden': 'true' }, icon('chevron')),
      el('span.mono.cut'), el('span.below')),
    el('span.w-value.mono.cut.soft'), el('canvas.w-spark.wide-only', { 'aria-hidden': 'true' }), el('span.w-rate.small'),
    el('span.pager', { hidden: true }, TURNS.slice(0, 2).map(turner), el('span.small.soft'), TURNS.slice(2).map(turner)));
  row.querySelector('.twist').addEventListener('click', () => {
    const { node } = rows[Number(row.dataset.index)] ?? {};
    if (node) toggle(node);
  });
  row.addEventListener('dblclick', () => {
    const { node } = rows[Number(row.dataset.index)] ?? {};
    if (node) toggle(node);
  });
  return row;
}

/** Ways to turn to other children: name, sign, what it says. */
const TURNS = [['first', '\u00ab', 'To the first'], ['back', '\u2039', 'Back'], ['next', '\u203a', 'Next'], ['last', '\u00bb', 'To the last']];

function turner([where, sign, label]) {
  return el('button.button.plain.square', {
    type: 'button', tabindex: -1, title: label, 'aria-label': label, data: { where },
    onclick: ({ target }) => turn(rows[Number(target.closest('.line').dataset.index)], where),
  }, sign);
}

function fillPager(row, { offset, topics, matched }) {
  const [first, back, text, next, last] = row.children;
  setText(text, `${count(offset + 1)} to ${count(offset + topics.length)} of ${count(matched)}`);
  for (const button of [first, back]) button.disabled = offset === 0;
  for (const button of [next, last]) button.disabled = offset + topics.length >= matched;
}

function fillRow(row, index) {
  const { node, depth, pager } = rows[index] ?? {};
  const [level, value, spark, speed, turns] = row.children;
  for (const cell of [level, value, spark, speed]) cell.hidden = pager !== undefined;
  turns.hidden = pager === undefined;
  turns.style.paddingLeft = `${Math.min(depth ?? 0, 12) * 18}px`;
  if (pager) fillPager(turns, pager);
  const [twist, name, below] = level.children;
  level.style.paddingLeft = `${Math.min(depth ?? 0, 12) * 18}px`;
  level.classList.toggle('branch', node?.children === true);
  twist.className = `twist ${node?.children ? (open.has(node.topic) ? 'open' : '') : 'leaf'}`;
  row.setAttribute('aria-level', (depth ?? 0) + 1);
  if (node?.children) row.setAttribute('aria-expanded', open.has(node.topic));
  else row.removeAttribute('aria-expanded');
  if (!node) {
    for (const cell of [name, below, value, speed]) setText(cell, '');
    return;
  }
  setText(name, visible(node.level) || '(empty)');
  setText(below, node.children && node.topics > 0 ? count(node.topics) : '');
  setText(value, node.last ? preview(payloadOf(node.last.payload), node.last.size) : '');
  setText(speed, node.rate > 0 ? rate(node.rate) : '');
  const { values, kind } = curveOf(node.topic);
  sparkline(spark, values, kind === 'value' ? 'accent' : 'people');
}

search.addEventListener('input', afterPause(() => {
  words = search.value.trim();
  foundFrom = 0;
  box.scrollTop = 0;
  poll.now();
}));

split.append(el('section.card', { 'aria-label': 'Topics' },
  el('div.columns', {}, ...[['Topic', 'w-topic'], ['Last value', 'w-value'], ['', 'w-spark.wide-only'], ['Rate', 'w-rate']]
    .map(([label, classes]) => el(`span.small.soft.${classes}`, {}, label))),
  box, el('footer', {}, tally)), panel.element);

export const view = {
  title: 'Topics',
  element: el('div.view.full', {}, head('Topics', el('p.soft', {}, 'Watched only while this page is open'), el('div.search', {}, icon('search'), search)), split),
  enter(rest, moved) {
    if (moved) poll.start();
  },
  leave() {
    poll.stop();
    levels.clear();
    offsets.clear();
    forgetCurves();
  },
};
