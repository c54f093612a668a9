// The packets of MQTT 3.1.1 and 5 as bytes: encode() writes what a client sends, decode() reads what
// a broker sends, Frames cuts a stream into packets. It knows no socket and no time; mqtt.js does.

const TYPES = ['', 'connect', 'connack', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp', 'subscribe',
  'suback', 'unsubscribe', 'unsuback', 'pingreq', 'pingresp', 'disconnect', 'auth'];

/** Every property of version 5: identifier, name, kind of value. (Section 2.2.2.2) */
const PROPERTIES = [
  [1, 'payloadFormatIndicator', 'byte'], [2, 'messageExpiryInterval', 'four'], [3, 'contentType', 'text'],
  [8, 'responseTopic', 'text'], [9, 'correlationData', 'binary'], [11, 'subscriptionIdentifier', 'variable'],
  [17, 'sessionExpiryInterval', 'four'], [18, 'assignedClientIdentifier', 'text'], [19, 'serverKeepAlive', 'two'],
  [21, 'authenticationMethod', 'text'], [22, 'authenticationData', 'binary'],
  [23, 'requestProblemInformation', 'byte'], [24, 'willDelayInterval', 'four'],
  [25, 'requestResponseInformation', 'byte'], [26, 'responseInformation', 'text'], [28, 'serverReference', 'text'],
  [31, 'reasonString', 'text'], [33, 'receiveMaximum', 'two'], [34, 'topicAliasMaximum', 'two'],
  [35, 'topicAlias', 'two'], [36, 'maximumQos', 'byte'], [37, 'retainAvailable', 'byte'],
  [38, 'userProperty', 'pair'], [39, 'maximumPacketSize', 'four'], [40, 'wildcardSubscriptionAvailable', 'byte'],
  [41, 'subscriptionIdentifierAvailable', 'byte'], [42, 'sharedSubscriptionAvailable', 'byte'],
];
const BY_ID = new Map(PROPERTIES.map((row) => [row[0], row]));
const BY_NAME = new Map(PROPERTIES.map((row) => [row[1], row]));

/** Properties that may stand in a packet more than once; their value is an array here. */
const REPEATED = new Set(['userProperty', 'subscriptionIdentifier']);

const utf8 = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a peer did against the standard. */
export class Malformed extends Error {}

class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;

  #room(count) {
    if (this.#length + count > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + count));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
  }

  byte(value) {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  two(value) {
    this.byte(value >> 8);
    this.byte(value);
  }

  four(value) {
    this.two(value >>> 16);
    this.two(value);
  }

  variable(value) {
    do {
      this.byte((value & 127) | (value > 127 ? 128 : 0));
      value >>>= 7;
    } while (value > 0);
  }

  raw(bytes) {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  binary(bytes) {
    if (bytes.length > 65535) throw new RangeError('longer than the 65,535 bytes that MQTT has room for');
    this.two(bytes.length);
    this.raw(bytes);
  }

  text(value) {
    this.binary(utf8.encode(value));
  }

  pair([name, value]) {
    this.text(name);
    this.text(value);
  }

  properties(values = {}) {
    const inner = new Writer();
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || value === null || value === '') continue;
      const [id, , kind] = BY_NAME.get(name);
      for (const each of REPEATED.has(name) ? [value].flat() : [value]) {
        inner.variable(id);
        inner[kind](each);
      }
    }
    this.variable(inner.#length);
    this.raw(inner.done());
  }

  done() {
    return this.#bytes.subarray(0, this.#length);
  }
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(count) {
    if (this.at + count > this.bytes.length) throw new Malformed('a packet ends too early');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  byte() {
    return this.take(1)[0];
  }

  two() {
    const [high, low] = this.take(2);
    return high * 256 + low;
  }

  four() {
    return this.two() * 65536 + this.two();
  }

  variable() {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new Malformed('a length of more than four bytes');
  }

  binary() {
    return this.take(this.two());
  }

  text() {
    try {
      return strict.decode(this.binary());
    } catch (error) {
      throw error instanceof Malformed ? error : new Malformed('a text that is not UTF-8');
    }
  }

  pair() {
    return [this.text(), this.text()];
  }

  properties() {
    const values = {};
    const inner = new Reader(this.take(this.variable()));
    while (!inner.empty()) {
      const row = BY_ID.get(inner.variable());
      if (!row) throw new Malformed('a property that the standard does not know');
      const [, name, kind] = row;
      const value = inner[kind]();
      if (REPEATED.has(name)) (values[name] ??= []).push(value);
      else values[name] = value;
    }
    return values;
  }

  empty() {
    return this.at >= this.bytes.length;
  }

  rest() {
    return this.take(this.bytes.length - this.at);
  }
}

/** One whole packet; `version` is 4 (3.1.1) or 5. */
export function encode(packet, version) {
  const body = new Writer();
  const flags = WRITE[packet.type](packet, body, version === 5) ?? 0;
  const bytes = body.done();
  const whole = new Writer();
  whole.byte((TYPES.indexOf(packet.type) << 4) | flags);
  whole.variable(bytes.length);
  whole.raw(bytes);
  return whole.done();
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP; a Reason Code is written only where it says something. */
const writeAck = (flags) => (packet, out, v5) => {
  out.two(packet.id);
  if (v5 && packet.reason) out.byte(packet.reason);
  return flags;
};

/** One function for each packet that a client sends: writes its body, returns the flags of its head. */
const WRITE = {
  connect(packet, out, v5) {
    const { will, username, password } = packet;
    out.text('MQTT');
    out.byte(v5 ? 5 : 4);
    out.byte((packet.cleanStart ? 2 : 0) | (will ? 4 | (will.qos << 3) | (will.retain ? 32 : 0) : 0) |
      (password === undefined ? 0 : 64) | (username === undefined ? 0 : 128));
    out.two(packet.keepAlive);
    if (v5) out.properties(packet.properties);
    out.text(packet.clientId);
    if (will) {
      if (v5) out.properties(will.properties);
      out.text(will.topic);
      out.binary(will.payload);
    }
    if (username !== undefined) out.text(username);
    if (password !== undefined) out.text(password);
  },
  publish(packet, out, v5) {
    out.text(packet.topic);
    if (packet.qos) out.two(packet.id);
    if (v5) out.properties(packet.properties);
    out.raw(packet.payload);
    return (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0);
  },
  puback: writeAck(0),
  pubrec: writeAck(0),
  pubrel: writeAck(2),
  pubcomp: writeAck(0),
  subscribe(packet, out, v5) {
    out.two(packet.id);
    if (v5) out.properties(packet.properties);
    for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of packet.filters) {
      out.text(filter);
      out.byte(v5 ? qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | ((retainHandling ?? 0) << 4) : qos);
    }
    return 2;
  },
  unsubscribe(packet, out, v5) {
    out.two(packet.id);
    if (v5) out.properties(packet.properties);
    packet.filters.forEach((filter) => out.text(filter));
    return 2;
  },
  pingreq() {},
  disconnect(packet, out, v5) {
    if (v5 && packet.reason) out.byte(packet.reason);
  },
};

/** What a packet of a broker says. `first` is its first byte, `body` what follows the length. */
export function decode(first, body, version) {
  const type = TYPES[first >> 4];
  const read = READ[type];
  if (!read) throw new Malformed(`a packet of type ${first >> 4}, which brokers do not send`);
  return { type, ...read(new Reader(body), version === 5, first & 15) };
}

/** A Packet Identifier, and in version 5 perhaps a Reason Code and properties. */
function readAck(body, v5) {
  const id = body.two();
  const reason = v5 && !body.empty() ? body.byte() : 0;
  return { id, reason, properties: v5 && !body.empty() ? body.properties() : {} };
}

function readReasons(body, v5) {
  return { id: body.two(), properties: v5 ? body.properties() : {}, reasons: [...body.rest()] };
}

const READ = {
  connack(body, v5) {
    const sessionPresent = (body.byte() & 1) === 1;
    return { sessionPresent, reason: body.byte(), properties: v5 && !body.empty() ? body.properties() : {} };
  },
  publish(body, v5, flags) {
    const qos = (flags >> 1) & 3;
    if (qos === 3) throw new Malformed('a message with QoS 3');
    const topic = body.text();
    const id = qos ? body.two() : undefined;
    const properties = v5 ? body.properties() : {};
    // A copy: the whole chunk it came in would be kept alive by a slice of it.
    return { topic, qos, id, retain: (flags & 1) === 1, dup: (flags & 8) !== 0, properties, payload: body.rest().slice() };
  },
  puback: readAck,
  pubrec: readAck,
  pubrel: readAck,
  pubcomp: readAck,
  suback: readReasons,
  unsuback: readReasons,
  pingresp: () => ({}),
  disconnect: (body, v5) => ({
    reason: body.empty() ? 0 : body.byte(),
    properties: v5 && !body.empty() ? body.properties() : {},
  }),
};

/** Cuts what comes into packets: WebSocket messages need not end where packets do. */
export class Frames {
  #parts = [];
  #held = 0;
  #needed = 2;

  constructor(sizeMax) {
    this.sizeMax = sizeMax;
  }

  /** Takes a chunk; calls `each(first, body)` for every packet that is whole by now. */
  push(chunk, each) {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    // Joined only when a packet is whole, so that a long one is not copied once a chunk.
    if (this.#held < this.#needed) return;
    const bytes = this.#joined();
    let at = 0;
    for (;;) {
      const head = this.#head(bytes, at);
      const end = head ? at + head.size + head.length : bytes.length + 1;
      if (end > bytes.length) {
        this.#parts = [bytes.subarray(at)];
        this.#held = bytes.length - at;
        this.#needed = head ? end - at : this.#held + 1;
        return;
      }
      each(bytes[at], bytes.subarray(at + head.size, end));
      at = end;
    }
  }

  #joined() {
    if (this.#parts.length === 1) return this.#parts[0];
    const bytes = new Uint8Array(this.#held);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** Size of the head at `at` and the length it tells; nothing while it is not all here. */
  #head(bytes, at) {
    let length = 0;
    for (let count = 1; count <= 4; count++) {
      const byte = bytes[at + count];
      if (byte === undefined) return undefined;
      length |= (byte & 127) << (7 * (count - 1));
      if (byte < 128) {
        if (length > this.sizeMax) throw new Malformed(`a packet of ${length} bytes, more than this page takes`);
        return { size: count + 1, length };
      }
    }
    throw new Malformed('a length of more than four bytes');
  }
}
