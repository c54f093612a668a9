// The tail of the broker's log, as it grows.

import { get } from './api.js';
import { afterPause, el, setText } from './dom.js';
import { count, moment } from './format.js';
import { icon } from './icons.js';
import { VirtualList } from './list.js';
import { visible } from './payload.js';
import { Poll, head } from './view.js';

const LINES_MAX = 5000;

/** What is shown at each choice. */
const LEVELS = [
  ['all', 'All', () => true],
  ['news', 'Events', ({ level }) => !['debug', 'subscribe', 'unsubscribe'].includes(level)],
  ['trouble', 'Problems', ({ level }) => level === 'error' || level === 'warning'],
];

let lines = [];
let fitting = [];
let after = null;
let lost = 0;
let following = true;
let wanted = LEVELS[0];
let words = '';

const tally = el('span.small.soft');
const box = el('div');
const newest = el('button.button.newest', { type: 'button', hidden: true, onclick: () => follow() }, 'Newest');
const detail = el('p.mono.grow.full-line', { 'aria-live': 'polite' });

const list = new VirtualList(box, {
  label: 'Log', rowHeight: 24,
  make: () => el('div.log-line', {}, el('time'), el('span.level-mark.middle-only'), el('span.text.grow')),
  fill(row, index) {
    const { at, level, text } = fitting[index];
    row.classList.toggle('error', level === 'error');
    row.classList.toggle('warning', level === 'warning');
    setText(row.children[0], moment(Date.parse(at)));
    setText(row.children[1], level);
    setText(row.children[2], visible(text));
  },
  onactive: (index) => setText(detail, visible(fitting[index].text)),
});

box.addEventListener('scroll', () => {
  following = list.atEnd;
  newest.hidden = following;
}, { passive: true });

function fits(line) {
  return wanted[2](line) && (words === '' || line.text.toLowerCase().includes(words));
}

function arrange() {
  fitting = lines.filter(fits);
  show();
}

function show() {
  list.count = fitting.length;
  if (following) list.toEnd();
  setText(tally, `${count(fitting.length)} of ${count(lines.length)} lines${lost ? `, ${count(lost)} went by unseen` : ''}`);
}

function follow() {
  following = true;
  show();
}

const poll = new Poll(1000, async (signal) => {
  const answer = await get('/log', { after, limit: 1000 }, signal);
  if (answer.lines.length === 0 && answer.next >= (after ?? 0)) return;
  // A broker that was started anew counts from the beginning.
  if (after !== null && answer.next < after) {
    after = null;
    lines = [];
  }
  lost += after === null ? 0 : answer.lost;
  after = answer.lines.at(-1)?.seq ?? after;
  lines.push(...answer.lines);
  const gone = lines.length - LINES_MAX;
  if (gone > 0) lines.splice(0, gone);
  if (gone > 0) arrange();
  else {
    fitting.push(...answer.lines.filter(fits));
    show();
  }
});

const search = el('input.input', { type: 'search', placeholder: 'Words in a line', 'aria-label': 'Search the log' });
search.addEventListener('input', afterPause(() => {
  words = search.value.trim().toLowerCase();
  arrange();
}, 120));
const levels = el('fieldset.choice', {}, el('legend.unseen', {}, 'Which lines'), LEVELS.map((level, at) =>
  el('label', {}, el('input', {
    type: 'radio', name: 'log-level', checked: at === 0,
    onchange: () => {
      wanted = level;
      arrange();
    },
  }), el('span', {}, level[1]))));

export const view = {
  title: 'Log',
  element: el('div.view.full', {}, head('Log', null, levels, el('div.search', {}, icon('search'), search)),
    el('div.split', {}, el('section.card', { 'aria-label': 'Log' }, el('div.history-list', {}, box, newest), el('footer', {}, detail, tally)))),
  enter(rest, moved) {
    if (!moved) return;
    poll.start();
    show();
  },
  leave: () => poll.stop(),
};
