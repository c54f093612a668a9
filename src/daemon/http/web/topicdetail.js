// One topic beside the tree: its last message, how it went, and what can be done with it.

import { payloadOf } from './api.js';
import { sparkline } from './chart.js';
import { curveOf } from './curves.js';
import { copy, el } from './dom.js';
import { bytes, clock, count, rate } from './format.js';
import { icon } from './icons.js';
import { payloadView } from './inspect.js';
import { visible } from './payload.js';

/** The broker shows this much of a value in the tree. */
function lastView({ payload, size }) {
  return payloadView(payloadOf(payload), size);
}

export function topicPanel(close) {
  let topic = null;
  let seen = '';
  const title = el('h2.mono');
  const marks = el('div.row.small');
  const figures = el('dl.pairs');
  const last = el('div');
  const range = el('p.small.soft');
  const curve = el('canvas.curve', { role: 'img', 'aria-label': 'Latest values' });
  const history = el('section', {}, el('h3', {}, 'Latest values'), curve, range);
  const links = el('div.row');
  const element = el('section.card.panel', { hidden: true, 'aria-label': 'The chosen topic' },
    el('header', {}, title,
      el('button.button.plain.square', { type: 'button', 'aria-label': 'Copy the topic', title: 'Copy the topic', onclick: () => copy(topic) }, icon('copy')),
      el('button.button.plain.square', { type: 'button', 'aria-label': 'Close', onclick: close }, icon('close'))),
    marks, last, history, figures, links);

  function showLast(node) {
    const text = JSON.stringify(node.last);
    if (text === seen) return;
    seen = text;
    marks.replaceChildren(...(node.last ? [el('span.soft', {}, clock(Date.parse(node.last.at), true)), el('span.mark', {}, `QoS ${node.last.qos}`),
      node.last.retain ? el('span.mark.warn', {}, 'retained') : '', el('span.soft', {}, bytes(node.last.size))] : []));
    last.replaceChildren(node.last ? lastView(node.last) : el('p.soft', {}, 'Only its levels below have messages.'));
  }

  return {
    element,
    show(node) {
      element.hidden = node === null;
      if (!node) return;
      if (node.topic !== topic) {
        topic = node.topic;
        seen = '';
        title.textContent = visible(topic);
        const place = encodeURIComponent(topic);
        links.replaceChildren(
          el('a.button', { href: `#/live/${place}` }, icon('live'), 'Subscribe'),
          node.children ? el('a.button', { href: `#/live/${encodeURIComponent(`${topic}/#`)}` }, icon('live'), 'With all below') : '',
          el('a.button', { href: `#/retained/${place}` }, icon('retained'), 'Retained'));
      }
      showLast(node);
      const { kind, values } = curveOf(topic);
      history.hidden = values.length < 2 || kind !== 'value';
      sparkline(curve, values);
      range.textContent = values.length ? `${Math.min(...values)} to ${Math.max(...values)}` : '';
      figures.replaceChildren(...[['Messages', count(node.messages)], ['Rate', rate(node.rate)], node.children && ['Topics', count(node.topics)]]
        .filter(Boolean).flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, value)]));
    },
  };
}
