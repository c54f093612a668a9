// A client of MQTT 3.1.1 and 5 over a WebSocket: CONNECT to DISCONNECT, QoS 0 to 2 in both directions,
// will, login, keep alive, and reconnecting with growing pauses. Bytes are the business of wire.js,
// the looks that of client.js.

import { Frames, Malformed, decode, encode } from './wire.js';
import { connackText, isFinal, reasonText } from './reasons.js';

/** The longest packet that is taken: a page shall not run out of memory. */
const PACKET_MAX = 16 * 1024 * 1024;

/** Messages of QoS 1 and 2 that may wait for their acknowledgement, whatever the broker allows. */
const INFLIGHT_MAX = 1000;

/** Messages that may wait for their turn. */
const WAITING_MAX = 10000;

const CONNECT_PATIENCE_MS = 15000;
const PAUSE_MIN_MS = 1000;
const PAUSE_MAX_MS = 30000;

/**
 * Options: url, version (4 or 5), clientId, username, password, cleanStart, keepAlive (seconds),
 * properties (of CONNECT, version 5), will {topic, payload, qos, retain, properties}.
 *
 * Events: `state` {state, detail, wait} with state one of connecting, connected, waiting, closed;
 * `message` {topic, payload, qos, retain, dup, properties}; `lost` {topic} for a message of QoS 1 or 2
 * whose fate is unknown.
 */
export class MqttClient extends EventTarget {
  #options;
  #socket;
  #state = 'closed';
  /** Counts sockets: what a socket that is no longer ours says is not listened to. */
  #round = 0;
  #accepted = false;
  #ended = false;
  /** A Session was had since connect(): a reconnect takes it up where it can. */
  #welcomed = false;
  #attempt = 0;
  #timers = { patience: 0, ping: 0, again: 0 };
  #sentAt = 0;
  #pingAt = 0;
  #keepAlive = 0;
  #quota = INFLIGHT_MAX;
  /** Properties of CONNACK: what the broker can do. */
  #allows = {};
  #nextId = 0;
  /** Publishes without their last acknowledgement: identifier to {packet, released, settle}. */
  #inflight = new Map();
  #waiting = [];
  /** SUBSCRIBE and UNSUBSCRIBE without their answer: identifier to settle. */
  #asked = new Map();
  /** QoS 2 messages received and not yet released. */
  #received = new Set();
  /** What to subscribe to again where the Session was lost: filter to options. */
  #filters = new Map();

  constructor(options) {
    super();
    this.#options = { version: 5, keepAlive: 60, cleanStart: true, properties: {}, ...options };
  }

  get state() {
    return this.#state;
  }

  get version() {
    return this.#options.version;
  }

  connect() {
    this.#ended = false;
    this.#welcomed = false;
    this.#attempt = 0;
    this.#open();
  }

  /** Says goodbye, so that no will is published, and stays away. */
  disconnect() {
    this.#ended = true;
    if (this.#accepted) this.#send({ type: 'disconnect' });
    this.#drop('you disconnected');
  }

  /** Resolves when the broker has taken the message: at QoS 0 when it was handed to the socket. */
  publish(topic, payload, { qos = 0, retain = false, properties = {} } = {}) {
    const packet = { type: 'publish', topic, payload, qos, retain, properties };
    const refusal = this.#refusal(packet);
    if (refusal) return Promise.reject(new Error(refusal));
    if (qos === 0) {
      if (!this.#accepted) return Promise.reject(new Error('not connected'));
      this.#send(packet);
      return Promise.resolve({ reason: 0, text: 'sent' });
    }
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new Error('too many messages wait already'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ packet, settle: { resolve, reject } });
      this.#sendWaiting();
    });
  }

  /** Why a message would end the connection instead of being delivered; nothing when it would not. */
  #refusal(packet) {
    const { maximumQos = 2, retainAvailable = 1, maximumPacketSize = Infinity } = this.#allows;
    if (packet.qos > maximumQos) return `the broker takes QoS ${maximumQos} at most`;
    if (packet.retain && !retainAvailable) return 'the broker retains no messages';
    try {
      const size = encode({ ...packet, id: 1 }, this.version).length;
      return size > maximumPacketSize ? `${size} bytes; the broker takes ${maximumPacketSize}` : undefined;
    } catch (error) {
      return error.message;
    }
  }

  /** Resolves to the granted QoS, or fails with the broker's reason. */
  subscribe(filter, options = {}) {
    const entry = { filter, qos: 0, ...options };
    this.#filters.set(filter, entry);
    return this.#ask({ type: 'subscribe', filters: [entry] }).then((packet) => {
      const code = packet.reasons[0] ?? 0x80;
      if (code < 0x80) return code;
      this.#filters.delete(filter);
      throw new Error(this.version === 5 ? reasonText(code, packet.properties) : 'refused by the broker');
    });
  }

  unsubscribe(filter) {
    this.#filters.delete(filter);
    return this.#ask({ type: 'unsubscribe', filters: [filter] });
  }

  #ask(packet) {
    if (!this.#accepted) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      const id = this.#claim();
      this.#asked.set(id, { resolve, reject });
      this.#send({ ...packet, id });
    });
  }

  #claim() {
    do {
      this.#nextId = (this.#nextId % 65535) + 1;
    } while (this.#inflight.has(this.#nextId) || this.#asked.has(this.#nextId));
    return this.#nextId;
  }

  // ---- the connection -------------------------------------------------------------------------

  #open() {
    this.#round += 1;
    const round = this.#round;
    const ours = (handle) => (event) => round === this.#round && handle(event);
    this.#tell('connecting', this.#options.url);
    try {
      this.#socket = new WebSocket(this.#options.url, ['mqtt']);
    } catch (error) {
      this.#ended = true;
      this.#drop(error.message);
      return;
    }
    const frames = new Frames(PACKET_MAX);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = ours(() => this.#greet());
    this.#socket.onmessage = ours((event) => this.#take(frames, event.data, round));
    this.#socket.onclose = ours((event) => this.#drop(closeText(event, this.#accepted)));
    this.#timers.patience = setTimeout(ours(() => this.#drop('no answer')), CONNECT_PATIENCE_MS);
  }

  #greet() {
    const { clientId, username, password, cleanStart, keepAlive, will, properties } = this.#options;
    const kept = this.version === 5 && this.#welcomed && properties.sessionExpiryInterval;
    try {
      this.#send({
        type: 'connect', clientId, username, password, keepAlive, will,
        cleanStart: cleanStart && !kept,
        properties: { maximumPacketSize: PACKET_MAX, ...properties },
      });
    } catch (error) {
      this.#ended = true;
      this.#drop(error.message);
    }
  }

  #take(frames, data, round) {
    try {
      if (typeof data === 'string') throw new Malformed('text where MQTT has bytes');
      frames.push(new Uint8Array(data), (first, body) => {
        if (round === this.#round) this.#handle(decode(first, body, this.version));
      });
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#drop(`the broker sent ${error.message}`);
    }
  }

  /** Ends the socket, tells why, and tries again unless that would be in vain. */
  #drop(detail) {
    this.#round += 1;
    Object.values(this.#timers).forEach(clearTimeout);
    if (this.#socket && this.#socket.readyState < 2) this.#socket.close();
    this.#socket = undefined;
    this.#accepted = false;
    for (const { reject } of this.#asked.values()) reject(new Error(`connection lost: ${detail}`));
    this.#asked.clear();
    if (this.#ended) {
      this.#forget(detail);
      this.#tell('closed', detail);
      return;
    }
    const longest = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** this.#attempt);
    const wait = longest / 2 + (Math.random() * longest) / 2;
    this.#attempt += 1;
    this.#timers.again = setTimeout(() => this.#open(), wait);
    this.#tell('waiting', detail, wait);
  }

  /** Whoever waits for an acknowledgement that will not come is told so. */
  #forget(detail) {
    for (const { settle } of [...this.#inflight.values(), ...this.#waiting]) settle.reject(new Error(detail));
    this.#inflight.clear();
    this.#waiting = [];
    this.#received.clear();
    this.#filters.clear();
  }

  #tell(state, detail, wait) {
    this.#state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, detail, wait } }));
  }

  #send(packet) {
    this.#sentAt = performance.now();
    this.#socket.send(encode(packet, this.version));
  }

  // ---- what the broker says -------------------------------------------------------------------

  #handle(packet) {
    if (!this.#accepted && packet.type !== 'connack' && packet.type !== 'disconnect') {
      throw new Malformed(`${packet.type.toUpperCase()} before CONNACK`);
    }
    switch (packet.type) {
      case 'connack': return this.#welcome(packet);
      case 'publish': return this.#arrive(packet);
      case 'puback': return this.#finish(packet);
      case 'pubrec': return this.#release(packet);
      case 'pubcomp': return this.#finish(packet);
      case 'pubrel':
        this.#received.delete(packet.id);
        return this.#send({ type: 'pubcomp', id: packet.id });
      case 'suback':
      case 'unsuback': return this.#answer(packet);
      case 'pingresp':
        this.#pingAt = 0;
        return undefined;
      case 'disconnect':
        this.#ended = isFinal(packet.reason, 5);
        return this.#drop(reasonText(packet.reason, packet.properties));
      default: throw new Malformed(`${packet.type.toUpperCase()}, which nobody asked for`);
    }
  }

  #welcome(packet) {
    clearTimeout(this.#timers.patience);
    if (packet.reason !== 0) {
      this.#ended = isFinal(packet.reason, this.version);
      this.#drop(`refused: ${connackText(packet, this.version)}`);
      return;
    }
    const { properties } = packet;
    this.#accepted = true;
    this.#welcomed = true;
    this.#attempt = 0;
    this.#allows = properties;
    this.#options.clientId = properties.assignedClientIdentifier ?? this.#options.clientId;
    this.#quota = Math.min(INFLIGHT_MAX, properties.receiveMaximum ?? INFLIGHT_MAX);
    this.#keepAlive = 1000 * (properties.serverKeepAlive ?? this.#options.keepAlive);
    this.#pingAt = 0;
    this.#watch();
    this.dispatchEvent(new CustomEvent('connack', { detail: { ...packet, clientId: this.#options.clientId } }));
    this.#tell('connected', packet.sessionPresent ? 'the Session was kept' : '');
    this.#takeUp(packet.sessionPresent);
  }

  /** Goes on where the last connection ended. (Section 4.4) */
  #takeUp(sessionPresent) {
    const pending = [...this.#inflight];
    const again = [];
    if (!sessionPresent) {
      this.#received.clear();
      this.#inflight.clear();
      for (const entry of this.#filters.values()) {
        this.#ask({ type: 'subscribe', filters: [entry] }).catch(() => {});
      }
    }
    for (const [id, { packet, released, settle }] of pending) {
      if (sessionPresent) {
        this.#send(released ? { type: 'pubrel', id } : { ...packet, id, dup: true });
      } else if (packet.qos === 1) {
        again.push({ packet, settle });
      } else {
        // To send it anew could double it: that is for the user to decide.
        this.dispatchEvent(new CustomEvent('lost', { detail: packet }));
        settle.reject(new Error('the broker lost the Session before it acknowledged the message'));
      }
    }
    this.#waiting.unshift(...again);
    this.#sendWaiting();
  }

  #sendWaiting() {
    while (this.#accepted && this.#waiting.length > 0 && this.#inflight.size < this.#quota) {
      const { packet, settle } = this.#waiting.shift();
      const id = this.#claim();
      this.#inflight.set(id, { packet, settle, released: false });
      this.#send({ ...packet, id });
    }
  }

  #arrive(packet) {
    const { id, qos } = packet;
    const repeated = qos === 2 && this.#received.has(id);
    if (!repeated) this.dispatchEvent(new CustomEvent('message', { detail: packet }));
    // A listener may have disconnected.
    if (!this.#accepted) return;
    if (qos === 1) this.#send({ type: 'puback', id });
    if (qos === 2) {
      this.#received.add(id);
      this.#send({ type: 'pubrec', id });
    }
  }

  /** PUBREC: the message has arrived; PUBREL says that the broker may forget its identifier. */
  #release(packet) {
    const entry = this.#inflight.get(packet.id);
    if (packet.reason >= 0x80) {
      this.#finish(packet);
      return;
    }
    if (entry) entry.released = true;
    this.#send({ type: 'pubrel', id: packet.id, reason: entry ? 0 : 0x92 });
  }

  /** PUBACK, PUBCOMP, or a PUBREC that refuses. */
  #finish(packet) {
    const entry = this.#inflight.get(packet.id);
    if (!entry) return;
    this.#inflight.delete(packet.id);
    const text = reasonText(packet.reason, packet.properties);
    if (packet.reason >= 0x80) entry.settle.reject(new Error(text));
    else entry.settle.resolve({ reason: packet.reason, text });
    this.#sendWaiting();
  }

  #answer(packet) {
    this.#asked.get(packet.id)?.resolve(packet);
    this.#asked.delete(packet.id);
  }

  // ---- keep alive -----------------------------------------------------------------------------

  /** Pings before Keep Alive is over, and gives a broker up that does not answer. */
  #watch() {
    clearTimeout(this.#timers.ping);
    if (this.#keepAlive === 0) return;
    const now = performance.now();
    if (this.#pingAt && now - this.#pingAt > this.#keepAlive) {
      this.#drop('the broker does not answer');
      return;
    }
    if (!this.#pingAt && now - this.#sentAt >= this.#keepAlive / 2) {
      this.#pingAt = now;
      this.#send({ type: 'pingreq' });
    }
    this.#timers.ping = setTimeout(() => this.#watch(), this.#keepAlive / 4);
  }
}

function closeText(event, accepted) {
  if (event.reason) return event.reason;
  if (accepted) return 'the connection was cut';
  return 'no connection: is there a WebSocket listener at this address?';
}
