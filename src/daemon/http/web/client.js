// The browser client's page: the form to connect, the state of the connection, and the desk below it.
// MQTT itself is in mqtt.js.

import { Desk } from './desk.js';
import { byId, copy, setText, toast } from './dom.js';
import { fillIcons } from './icons.js';
import { MqttClient } from './mqtt.js';
import { fromLink, keep, kept, linkOf, madeUpId } from './share.js';
import { filterProblem, nameProblem } from './topic.js';

const form = byId('connect');
const fields = form.elements;
const DOTS = { connected: 'good', connecting: 'warn', waiting: 'warn', closed: '' };

let client = null;
/** Subscriptions to take up at the next connection. */
let wanted = [];

const desk = new Desk({
  subscribe: (filter, options) => connected().subscribe(filter, options),
  unsubscribe: (filter) => connected().unsubscribe(filter),
  async publish({ topic, payload, qos, retain, properties }) {
    const answer = await connected().publish(topic, payload, { qos, retain, properties });
    return qos === 0 ? 'Sent' : answer.text === 'Success' ? 'Published and acknowledged' : `Acknowledged: ${answer.text}`;
  },
}, { onchange: remember });

function connected() {
  if (!client) throw new Error('not connected');
  return client;
}

function settings() {
  const values = Object.fromEntries(new FormData(form));
  return { ...values, cleanStart: fields.cleanStart.checked, willRetain: fields.willRetain.checked, topic: desk.publishBox.topic.value };
}

function filters() {
  return client ? desk.filters : wanted;
}

function remember() {
  keep(settings(), filters());
}

function fill({ topic, ...values }) {
  for (const [name, value] of Object.entries(values)) {
    const input = fields[name];
    if (!input) continue;
    if (input.type === 'checkbox') input.checked = value === true;
    else input.value = value;
  }
  if (topic) desk.publishBox.topic.value = topic;
}

// ---- connecting

/** The options of MqttClient that the form says; an Error that tells what is wrong with it. */
function options() {
  const { url, version, clientId, username, password, cleanStart, keepAlive, ...rest } = settings();
  const address = new URL(url);
  if (!/^wss?:$/.test(address.protocol)) throw new Error('The address begins with ws:// or wss://.');
  if (location.protocol === 'https:' && address.protocol === 'ws:' && !/^(localhost|127\.|\[::1\])/.test(address.hostname)) {
    throw new Error('A page that came by https may only use wss:// addresses.');
  }
  const v5 = version === '5';
  if (!v5 && password && !username) throw new Error('MQTT 3.1.1 has no password without a user.');
  if (!v5 && !cleanStart && !clientId) throw new Error('A kept Session needs a client id.');
  const will = rest.willTopic === '' ? undefined : willOf(rest, v5);
  const properties = v5 ? { sessionExpiryInterval: Number(rest.sessionExpiry) || undefined } : {};
  return {
    url: address.href, version: Number(version), clientId, username: username || undefined, password: password || undefined,
    cleanStart, keepAlive: Number(keepAlive), will, properties,
  };
}

function willOf({ willTopic, willQos, willRetain, willPayload, willDelay }, v5) {
  const problem = nameProblem(willTopic);
  if (problem) throw new Error(`The will's topic: ${problem}`);
  return {
    topic: willTopic, qos: Number(willQos), retain: willRetain, payload: new TextEncoder().encode(willPayload),
    properties: v5 ? { willDelayInterval: Number(willDelay) || undefined } : {},
  };
}

function connect(event) {
  event.preventDefault();
  byId('problem').textContent = '';
  let chosen;
  try {
    chosen = options();
  } catch (error) {
    byId('problem').textContent = error instanceof TypeError ? 'That is no address, such as ws://host:port/mqtt.' : error.message;
    return;
  }
  leave();
  client = new MqttClient(chosen);
  client.addEventListener('state', ({ detail }) => show(detail));
  client.addEventListener('connack', ({ detail }) => welcome(detail));
  client.addEventListener('message', ({ detail }) => desk.arrive(detail));
  client.addEventListener('lost', ({ detail }) => toast(`Unknown whether it arrived: ${detail.topic}`, 'bad'));
  desk.publishBox.version = chosen.version;
  client.connect();
}

function leave() {
  client?.disconnect();
}

/** The first CONNACK takes up what was subscribed to; after that the client itself does. */
function welcome({ clientId }) {
  if (!fields.clientId.value) fields.clientId.value = clientId ?? '';
  const first = wanted;
  wanted = [];
  setTimeout(() => first.forEach(({ filter, qos, colour }) => desk.add(filter, qos, colour)));
  open(false);
  remember();
}

function show({ state, detail, wait }) {
  const texts = {
    connecting: 'Connecting …', connected: 'Connected', closed: 'Not connected',
    waiting: `Next attempt in ${Math.max(1, Math.round((wait ?? 0) / 1000))} s`,
  };
  setText(byId('state'), texts[state]);
  const address = fields.url.value;
  setText(byId('state-detail'), state === 'connected' ? `${fields.clientId.value} at ${address}` : detail);
  byId('state-dot').className = `dot ${DOTS[state]}`;
  byId('leave').hidden = state === 'closed';
  desk.enabled = state === 'connected';
  if (state === 'closed') {
    wanted = desk.filters.length ? desk.filters : wanted;
    desk.forget();
    client = null;
    open(true);
    if (detail !== 'you disconnected') byId('problem').textContent = detail;
  }
}

function open(wide) {
  form.hidden = !wide;
  byId('edit').setAttribute('aria-expanded', wide);
}

// ---- the page

function versionChanged() {
  const v5 = fields.version.value === '5';
  for (const node of form.querySelectorAll('.v5')) node.hidden = !v5;
  form.querySelector('[name=cleanStart] + span').textContent = v5 ? 'Clean start' : 'Clean session';
  desk.publishBox.version = v5 ? 5 : 4;
}

function begin() {
  fillIcons();
  byId('desk').append(desk.element);
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  fill({ url: `${scheme}://${location.host}/mqtt`, clientId: madeUpId() });
  const link = fromLink(location.hash);
  const source = link ?? kept();
  fill(source.settings);
  wanted = source.filters.filter(({ filter }) => !filterProblem(filter));
  // A link stays in the address line of whoever got it only until it was taken in.
  if (link) history.replaceState(null, '', location.pathname);
  versionChanged();
  show({ state: 'closed', detail: 'you disconnected' });
  setText(byId('state-detail'), wanted.length ? `Subscribes to ${wanted.map(({ filter }) => filter).join(', ')}` : '');
}

form.addEventListener('submit', connect);
fields.version.addEventListener('change', versionChanged);
byId('leave').addEventListener('click', leave);
byId('edit').addEventListener('click', () => open(form.hidden));
byId('share').addEventListener('click', async () => {
  await copy(linkOf(settings(), filters()));
});
addEventListener('pagehide', remember);
begin();
