// The messages a page has seen: the newest of them, within bounds, and those of them that fit what is
// looked for. Knows no elements.

import { preview } from './payload.js';

export const MESSAGES_MAX = 10000;
const BYTES_MAX = 48 * 1024 * 1024;

/** Of one payload this much is kept; the rest is told to be missing. */
const KEPT_MAX = 1024 * 1024;

export class Messages {
  #all = [];
  #bytes = 0;
  #test = () => true;
  #nextId = 1;
  /** Those that fit; oldest first. */
  fitting = [];
  /** All that came since the page was opened, and all that had to go again. */
  seen = 0;
  forgotten = 0;

  get length() {
    return this.#all.length;
  }

  /** Adds {topic, payload, size, qos, retain, at, sent, colour, properties}; returns it, and how many fitting ones went. */
  add(message) {
    const kept = message.payload.length > KEPT_MAX ? message.payload.slice(0, KEPT_MAX) : message.payload;
    const entry = { ...message, id: this.#nextId++, payload: kept, size: message.size ?? message.payload.length };
    entry.preview = preview(kept, entry.size);
    this.#all.push(entry);
    this.#bytes += kept.length;
    this.seen += 1;
    if (this.#test(entry)) this.fitting.push(entry);
    return { entry, gone: this.#trim() };
  }

  /** Shows only those for which `test` holds. */
  filter(test) {
    this.#test = test;
    this.fitting = this.#all.filter(test);
  }

  clear() {
    this.#all = [];
    this.#bytes = 0;
    this.fitting = [];
  }

  /** A tenth goes at once, so that not every message moves all others. */
  #trim() {
    if (this.#all.length <= MESSAGES_MAX && this.#bytes <= BYTES_MAX) return 0;
    const before = this.fitting.length;
    do {
      const gone = this.#all.splice(0, Math.ceil(this.#all.length / 10));
      for (const { payload } of gone) this.#bytes -= payload.length;
      this.forgotten += gone.length;
    } while (this.#bytes > BYTES_MAX && this.#all.length > 1);
    const oldest = this.#all[0].id;
    const from = this.fitting.findIndex((entry) => entry.id >= oldest);
    this.fitting.splice(0, from < 0 ? before : from);
    return before - this.fitting.length;
  }
}

/** The test for words in topic or payload, a kind, and a subscription's colour. */
export function testOf({ words = '', kind = 'all', colour = null }) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return (entry) => {
    if (kind === 'received' && entry.sent) return false;
    if (kind === 'sent' && !entry.sent) return false;
    if (kind === 'retained' && !entry.retain) return false;
    if (colour !== null && entry.colour !== colour) return false;
    if (wanted.length === 0) return true;
    const text = `${entry.topic} ${entry.preview}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
}
