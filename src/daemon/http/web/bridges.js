// The bridges to other brokers: whether they are up, where to, and which topics cross.

import { get } from './api.js';
import { el } from './dom.js';
import { count, duration } from './format.js';
import { icon } from './icons.js';
import { visible } from './payload.js';
import { Poll, head } from './view.js';

const ARROWS = { out: '\u2192 out', in: '\u2190 in', both: '\u2194 both' };

const cards = el('div.bridges');
const none = el('div.card.empty', {}, icon('bridges'), el('strong', {}, 'No bridges'),
  el('span', {}, 'A connection block in the configuration file makes one: see mqttx man conf.'));
let seen = '';

function card(bridge) {
  const { connected, since, last_error: last } = bridge;
  const state = connected ? (since ? `up ${duration((Date.now() - Date.parse(since)) / 1000)}` : 'up') : 'down';
  return el('section.card', { 'aria-label': visible(bridge.name) },
    el('header', {}, el(`span.dot.${connected ? 'good' : 'bad'}`), el('h2.cut', {}, visible(bridge.name)), el('span.grow'),
      el(`span.mark.${connected ? 'good' : 'bad'}`, {}, state)),
    el('div.body.stack', {},
      el('dl.pairs', {}, [['To', bridge.addresses.join(', ')], ['Client id there', bridge.remote_id],
        ['Client id here', bridge.local_id]].flatMap(([label, value]) => [el('dt', {}, label), el('dd.mono', {}, visible(String(value ?? '–')))]),
      el('dt', {}, 'Messages'), el('dd', {}, `${count(bridge.messages_in)} in, ${count(bridge.messages_out)} out`),
      el('dt', {}, 'Waiting'), el('dd', {}, `${count(bridge.queued)} queued, ${count(bridge.inflight)} in flight`),
      last && el('dt', {}, 'Last error'), last && el('dd', {}, el('span', {}, visible(last.text)),
        el('span.small.soft', {}, ` ${last.at ? new Date(last.at).toLocaleString() : ''} · ${count(bridge.failures)} in all`))),
      el('ul.rows', {}, bridge.topics.map((topic) => el('li', {}, el('span.small.soft.arrow', {}, ARROWS[topic.direction]),
        el('span.mono.cut.grow', {}, visible(topic.pattern)),
        topic.local_prefix && el('span.mark', { title: 'Prefix here' }, visible(topic.local_prefix)),
        topic.remote_prefix && el('span.mark', { title: 'Prefix there' }, `there: ${visible(topic.remote_prefix)}`),
        el('span.mark', {}, `QoS ${topic.qos}`))))));
}

const poll = new Poll(2000, async (signal) => {
  const { bridges } = await get('/bridges', {}, signal);
  // Drawn anew when something has changed, or when the time they are up is told differently.
  const text = `${JSON.stringify(bridges)} ${Math.floor(Date.now() / 30000)}`;
  if (text === seen) return;
  seen = text;
  cards.replaceChildren(...(bridges.length ? bridges.map(card) : [none]));
});

export const view = {
  title: 'Bridges',
  element: el('div.view', {}, head('Bridges', null), cards),
  enter: (rest, moved) => moved && poll.start(),
  leave: () => poll.stop(),
};
