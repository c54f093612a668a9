// What the numbers of CONNACK, SUBACK, acknowledgements and DISCONNECT mean, in the standard's words.

/** Return codes of CONNACK in version 3.1.1. (Table 3.1) */
const RETURN_CODES = ['Accepted', 'Unacceptable protocol version', 'Identifier rejected', 'Server unavailable',
  'Bad user name or password', 'Not authorized'];

/** Reason Codes of version 5. (Section 2.4) */
const REASONS = {
  0x00: 'Success', 0x01: 'Granted QoS 1', 0x02: 'Granted QoS 2', 0x04: 'Disconnect with Will Message',
  0x10: 'No matching subscribers', 0x11: 'No subscription existed', 0x80: 'Unspecified error',
  0x81: 'Malformed Packet', 0x82: 'Protocol Error', 0x83: 'Implementation specific error',
  0x84: 'Unsupported Protocol Version', 0x85: 'Client Identifier not valid', 0x86: 'Bad User Name or Password',
  0x87: 'Not authorized', 0x88: 'Server unavailable', 0x89: 'Server busy', 0x8a: 'Banned',
  0x8b: 'Server shutting down', 0x8c: 'Bad authentication method', 0x8d: 'Keep Alive timeout',
  0x8e: 'Session taken over', 0x8f: 'Topic Filter invalid', 0x90: 'Topic Name invalid',
  0x91: 'Packet Identifier in use', 0x92: 'Packet Identifier not found', 0x93: 'Receive Maximum exceeded',
  0x94: 'Topic Alias invalid', 0x95: 'Packet too large', 0x96: 'Message rate too high', 0x97: 'Quota exceeded',
  0x98: 'Administrative action', 0x99: 'Payload format invalid', 0x9a: 'Retain not supported',
  0x9b: 'QoS not supported', 0x9c: 'Use another server', 0x9d: 'Server moved',
  0x9e: 'Shared Subscriptions not supported', 0x9f: 'Connection rate exceeded', 0xa0: 'Maximum connect time',
  0xa1: 'Subscription Identifiers not supported', 0xa2: 'Wildcard Subscriptions not supported',
};

/** The name of a Reason Code, with what the broker itself said of it. */
export function reasonText(code, properties = {}) {
  const name = REASONS[code] ?? `reason 0x${code.toString(16)}`;
  return properties.reasonString ? `${name}: ${properties.reasonString}` : name;
}

export function connackText(packet, version) {
  if (version === 5) return reasonText(packet.reason, packet.properties);
  return RETURN_CODES[packet.reason] ?? `return code ${packet.reason}`;
}

/** Trying again would end the same way, or would throw out whoever took the Session over. */
const FINAL = new Set([0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x8e, 0x98, 0x9c, 0x9d]);

export function isFinal(code, version) {
  return version === 5 ? FINAL.has(code) : [1, 2, 4, 5].includes(code);
}
