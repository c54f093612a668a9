// The broker's counters once a second, as rates: read from a stream while the page is in sight, and
// kept for the graphs of the last minutes.

import { get, stream } from './api.js';

/** What the broker keeps of the past. */
const KEPT = 300;
const PAUSE_MS = 2000;

class Samples extends EventTarget {
  /** Oldest first; after a gap the rates of a sample are null. */
  all = [];
  /** Whether the broker answers: true, false, or null when it is not known yet. */
  reached = null;

  get newest() {
    return this.all.at(-1);
  }

  start() {
    let ended = null;
    const look = () => {
      if (document.hidden) {
        // A tab out of sight holds no connection: a browser has only six for a host.
        ended?.abort();
        ended = null;
      } else if (!ended) {
        ended = new AbortController();
        this.#follow(ended.signal);
      }
    };
    document.addEventListener('visibilitychange', look);
    look();
  }

  async #follow(signal) {
    while (!signal.aborted) {
      try {
        const { samples } = await get('/history', {}, signal);
        this.all = [];
        samples.forEach((sample) => this.#take(sample));
        await stream('/events', {}, { sample: (sample) => this.#arrive(sample) }, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.problem = error.message;
      }
      if (signal.aborted) return;
      this.#reached(false);
      await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
    }
  }

  #arrive(sample) {
    this.#take(sample);
    this.#reached(true);
    this.dispatchEvent(new Event('sample'));
  }

  #reached(reached) {
    if (this.reached === reached) return;
    this.reached = reached;
    this.dispatchEvent(new Event('reached'));
  }

  #take(sample) {
    const at = Date.parse(sample.at);
    const before = this.newest;
    const seconds = before ? (at - before.at) / 1000 : 0;
    // The first of a stream may come right behind the last of the past: too short for a rate.
    if (before && seconds < 0.5) return;
    const same = before && sample.uptime_s >= before.uptime_s && seconds < 5;
    this.all.push({ ...sample, at, rates: same ? rates(before, sample, seconds) : null });
    if (this.all.length > KEPT) this.all.shift();
  }
}

function rates(before, now, seconds) {
  const each = (of) => Math.max(0, of(now) - of(before)) / seconds;
  return {
    received: each((sample) => sample.messages.received),
    sent: each((sample) => sample.messages.sent),
    dropped: each((sample) => sample.messages.dropped),
    bytesIn: each((sample) => sample.bytes.received),
    bytesOut: each((sample) => sample.bytes.sent),
    cpu: now.process?.cpu_s == null ? null : each((sample) => sample.process.cpu_s),
  };
}

export const samples = new Samples();
