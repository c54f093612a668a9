// A long list of which the broker hands out pages: keeps those in sight fresh, forgets the others.

const PAGE = 100;

/** Pages that are kept: enough to scroll back a little without waiting. */
const PAGES_MAX = 20;

export class Pages {
  #ask;
  #pages = new Map();
  #view = [0, 0];

  /** `ask(offset, limit, signal)` → {matched, rows}. */
  constructor(ask) {
    this.#ask = ask;
    this.matched = 0;
  }

  row(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  clear() {
    this.#pages.clear();
  }

  /** Tells which rows are in sight; true when one of them was never asked for. */
  look(first, last) {
    this.#view = [Math.floor(first / PAGE), Math.floor(Math.max(first, last - 1) / PAGE)];
    const [from, to] = this.#view;
    for (let page = from; page <= to; page++) if (!this.#pages.has(page) && page * PAGE < this.matched) return true;
    return false;
  }

  /** Asks anew for what is in sight. */
  async refresh(signal) {
    const [from, to] = this.#view;
    const asked = [];
    for (let page = from; page <= to; page++) asked.push(page);
    const answers = await Promise.all(asked.map((page) => this.#ask(page * PAGE, PAGE, signal)));
    answers.forEach(({ rows, matched }, at) => {
      this.#pages.delete(asked[at]);
      this.#pages.set(asked[at], rows);
      this.matched = matched;
    });
    for (const page of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_MAX) break;
      this.#pages.delete(page);
    }
  }
}
