// Every limit and every counter, with what it is for: two tables to look things up in.

import { get } from './api.js';
import { afterPause, el } from './dom.js';
import { count } from './format.js';
import { icon } from './icons.js';
import { Poll, head } from './view.js';

let words = '';
let limits = [];
let counters = [];

const search = el('input.input', { type: 'search', placeholder: 'Name or words', 'aria-label': 'Search limits and counters' });
const limitRows = el('tbody');
const counterRows = el('tbody');

function fits(...texts) {
  return texts.some((text) => text.toLowerCase().includes(words));
}

function draw() {
  limitRows.replaceChildren(...limits.filter(({ name, why }) => fits(name, why)).map(({ name, value, default: usual, why }) =>
    el('tr', {}, el('td', {}, el('code', {}, name), el('div.small.soft', {}, why)),
      el('td.num', {}, count(value), value !== usual && el('div.small.soft', {}, `usually ${count(usual)}`)))));
  counterRows.replaceChildren(...counters.filter(({ name, what }) => fits(name, what)).map(({ name, value, what }) =>
    el('tr', {}, el('td', {}, el('code', {}, name), el('div.small.soft', {}, what)),
      el(`td.num${value ? '' : '.soft'}`, {}, count(value)))));
}

const poll = new Poll(2000, async (signal) => {
  const answers = await Promise.all([get('/limits', {}, signal), get('/counters', {}, signal)]);
  [{ limits }, { counters }] = answers;
  draw();
});

search.addEventListener('input', afterPause(() => {
  words = search.value.trim().toLowerCase();
  draw();
}, 120));

function table(title, about, rows) {
  return el('section.card', {}, el('header', {}, el('h2', {}, title), el('span.small.soft', {}, about)),
    el('div.body', {}, el('table.plain', {}, el('thead.unseen', {}, el('tr', {}, el('th', {}, 'Name'), el('th', {}, 'Value'))), rows)));
}

export const view = {
  title: 'Details',
  element: el('div.view', {}, head('Details', null, el('div.search', {}, icon('search'), search)),
    el('div.graphs.tables', {}, table('Counters', 'since the start', counterRows), table('Limits', 'set with --limit NAME=VALUE', limitRows))),
  enter: (rest, moved) => moved && poll.start(),
  leave: () => poll.stop(),
};
