// What the views of the dashboard have in common: their head, and asking the broker again and again
// while they are in sight.

import { el, toast } from './dom.js';

/** The head of a view: its name, a sentence, and what there is to do. */
export function head(title, about, ...actions) {
  return el('header.head', {}, el('div.grow', {}, el('h1', {}, title), about), ...actions);
}

/** Calls `ask(signal)` at once and then every `pauseMs` after its answer, until stopped. */
export class Poll {
  #ask;
  #pauseMs;
  #timer = 0;
  #ended = null;
  #told = '';

  constructor(pauseMs, ask) {
    this.#ask = ask;
    this.#pauseMs = pauseMs;
    document.addEventListener('visibilitychange', () => {
      if (this.#ended && !document.hidden) this.now();
    });
  }

  start() {
    this.#ended ??= new AbortController();
    this.now();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#ended?.abort();
    this.#ended = null;
  }

  /** Says once what the broker refuses; that it does not answer at all is said at the foot of the navigation. */
  onproblem(error) {
    if (error.status !== undefined && error.message !== this.#told) toast(error.message, 'bad');
    this.#told = error.message;
  }

  /** Asks anew without waiting; what was being asked no longer counts. */
  async now() {
    if (!this.#ended) return;
    clearTimeout(this.#timer);
    this.#ended.abort();
    const ended = new AbortController();
    this.#ended = ended;
    try {
      if (!document.hidden) await this.#ask(ended.signal);
      this.#told = '';
    } catch (error) {
      if (!ended.signal.aborted) this.onproblem(error);
    }
    if (this.#ended === ended) this.#timer = setTimeout(() => this.now(), this.#pauseMs);
  }
}
