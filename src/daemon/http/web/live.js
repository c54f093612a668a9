// Messages as they come, and a box to publish from: the desk (desk.js) on the broker's HTTP interface.
// All subscriptions share one stream, since a browser has only six connections for a host.

import { payloadOf, post, stream } from './api.js';
import { Desk } from './desk.js';
import { el, toast } from './dom.js';
import { count } from './format.js';
import { toBase64 } from './payload.js';
import { matches } from './topic.js';
import { head } from './view.js';

const PAUSE_MS = 2000;

/** Properties of a message: what they are called on the way, and here. */
const PROPERTIES = [
  ['message_expiry_s', 'messageExpiryInterval'], ['content_type', 'contentType'], ['response_topic', 'responseTopic'],
  ['correlation_data_base64', 'correlationData'], ['user_properties', 'userProperty'], ['payload_format_utf8', 'payloadFormatIndicator'],
];

/** Filter to the QoS that was asked for. */
const filters = new Map();
let current = null;

/** Opens a stream for all filters; the one before ends when this one has been granted. */
function reopen(added) {
  const before = current;
  const ended = new AbortController();
  current = ended;
  if (filters.size === 0) {
    before?.abort();
    return Promise.resolve({ filters: [] });
  }
  const old = [...filters.keys()].filter((filter) => filter !== added);
  return new Promise((resolve, reject) => {
    const on = {
      subscribed(answer) {
        before?.abort();
        resolve(answer);
      },
      message: (message) => arrive(message, old, added),
      lost: ({ lost }) => toast(`${count(lost)} messages came too fast for this page`, 'bad'),
      end: ({ reason }) => toast(reason, 'bad'),
    };
    const words = { filter: [...filters.keys()], qos: Math.max(...filters.values()), retained: true };
    stream('/subscribe', words, on, ended.signal).then(() => again(ended), (error) => {
      reject(error);
      again(ended);
    });
  });
}

/** A stream that ended by itself is opened again, as long as it is the one that counts. */
function again(ended) {
  if (ended.signal.aborted || current !== ended) return;
  setTimeout(() => {
    if (current === ended && filters.size > 0) reopen(null).catch(() => {});
  }, PAUSE_MS);
}

function arrive({ topic, payload, size, qos, retain, at, properties }, old, added) {
  // What is retained was shown already when its filter was new.
  if (retain && old.some((filter) => matches(filter, topic)) && !(added && matches(added, topic))) return;
  const named = {};
  for (const [theirs, ours] of PROPERTIES) {
    if (properties?.[theirs] === undefined) continue;
    named[ours] = ours === 'correlationData' ? payloadOf({ base64: properties[theirs] }) : properties[theirs];
  }
  desk.arrive({ topic, payload: payloadOf(payload), size, qos, retain, at: Date.parse(at), properties: named });
}

const link = {
  async subscribe(filter, { qos }) {
    const before = filters.get(filter);
    filters.set(filter, qos);
    try {
      const answer = await reopen(filter);
      const row = answer.filters.find((each) => each.filter === filter);
      if (row?.refused) throw new Error(row.refused);
      return row?.qos ?? qos;
    } catch (error) {
      if (before === undefined) filters.delete(filter);
      if (filters.size > 0) reopen(null).catch(() => {});
      else current?.abort();
      throw error;
    }
  },
  async unsubscribe(filter) {
    filters.delete(filter);
    await reopen(null);
  },
  async publish({ topic, payload, qos, retain, properties }) {
    const body = { topic, payload_base64: toBase64(payload), qos, retain };
    const named = {};
    for (const [theirs, ours] of PROPERTIES) {
      if (properties[ours] === undefined) continue;
      named[theirs] = ours === 'correlationData' ? toBase64(properties[ours]) : properties[ours];
    }
    if (Object.keys(named).length) body.properties = named;
    const answer = await post('/publish', body);
    return answer.matched === false ? 'Published; nobody is subscribed' : 'Published';
  },
};

const desk = new Desk(link);
desk.enabled = true;

export const view = {
  title: 'Messages',
  element: el('div.view.full.live', {}, head('Messages', null), desk.element),
  /** `#/live/FILTER` subscribes at once. */
  enter(filter) {
    if (!filter) return;
    history.replaceState(null, '', '#/live');
    desk.publishBox.topic.value ||= /[+#]/.test(filter) ? '' : filter;
    if (!filters.has(filter)) desk.add(filter);
  },
};
