// Lists of any length: only the rows in sight exist. Every row is as high as the others; the list is
// one stop of the Tab key, within it the arrow keys choose.

import { el, perFrame } from './dom.js';

/** Rows beyond the edges that are kept ready. */
const MARGIN = 6;

let lists = 0;

export class VirtualList {
  #count = 0;
  #pool = new Map();
  #spare = [];
  #active = -1;
  #prefix;
  #options;

  /**
   * Options: rowHeight; role and rowRole; label; make() → a row's element; fill(element, index) writes
   * the row anew; onchoose(index, by) when a row is clicked or Enter is pressed; onactive(index);
   * onkey(event, index) → true when handled; onview(first, last) when other rows come into sight.
   */
  constructor(box, options) {
    this.box = box;
    this.#options = options;
    this.#prefix = `list${(lists += 1)}-`;
    this.span = el('div.span', { role: 'presentation' });
    box.classList.add('list');
    box.tabIndex = 0;
    box.setAttribute('role', options.role ?? 'listbox');
    box.setAttribute('aria-label', options.label);
    box.append(this.span);
    this.draw = perFrame(() => this.#draw());
    box.addEventListener('scroll', this.draw, { passive: true });
    box.addEventListener('keydown', (event) => this.#key(event));
    box.addEventListener('click', (event) => this.#click(event));
    new ResizeObserver(this.draw).observe(box);
  }

  get active() {
    return this.#active;
  }

  /** Which rows are in sight. */
  get view() {
    const { rowHeight } = this.#options;
    const first = Math.floor(this.box.scrollTop / rowHeight);
    return [Math.max(0, first), Math.min(this.#count, Math.ceil(first + 1 + this.box.clientHeight / rowHeight))];
  }

  get atEnd() {
    return this.box.scrollTop + this.box.clientHeight >= this.span.offsetHeight - 4;
  }

  set count(count) {
    if (count !== this.#count) {
      this.#count = count;
      this.span.style.height = `${count * this.#options.rowHeight}px`;
      if (this.#active >= count) this.#active = -1;
    }
    this.draw();
  }

  /** The row at `index` is the chosen one from now on; -1: none. */
  activate(index, reveal = false) {
    this.#active = index;
    if (reveal && index >= 0) this.reveal(index);
    this.draw();
  }

  reveal(index) {
    const { rowHeight } = this.#options;
    const top = index * rowHeight;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight) this.box.scrollTop = top + rowHeight - clientHeight;
  }

  toEnd() {
    this.box.scrollTop = this.span.offsetHeight;
  }

  #draw() {
    if (!this.box.isConnected || this.box.clientHeight === 0) return;
    const { rowHeight, make, fill, onview } = this.#options;
    const [first, last] = this.view;
    const from = Math.max(0, first - MARGIN);
    const to = Math.min(this.#count, last + MARGIN);
    for (const [index, row] of this.#pool) {
      if (index >= from && index < to) continue;
      this.#pool.delete(index);
      this.#spare.push(row);
      row.hidden = true;
    }
    for (let index = from; index < to; index++) {
      let row = this.#pool.get(index);
      if (!row) {
        row = this.#spare.pop() ?? this.#made(make);
        row.hidden = false;
        row.style.transform = `translateY(${index * rowHeight}px)`;
        row.id = this.#prefix + index;
        row.dataset.index = index;
        this.#pool.set(index, row);
      }
      row.setAttribute('aria-posinset', index + 1);
      row.setAttribute('aria-setsize', this.#count);
      row.setAttribute('aria-selected', index === this.#active);
      row.classList.toggle('active', index === this.#active);
      fill(row, index);
    }
    if (this.#pool.has(this.#active)) this.box.setAttribute('aria-activedescendant', this.#prefix + this.#active);
    else this.box.removeAttribute('aria-activedescendant');
    onview?.(first, last);
  }

  #made(make) {
    const row = make();
    row.classList.add('line');
    row.style.height = `${this.#options.rowHeight}px`;
    row.setAttribute('role', this.#options.rowRole ?? 'option');
    this.span.append(row);
    return row;
  }

  #click(event) {
    const row = event.target.closest('.line');
    if (!row || event.target.closest('button, a, input')) return;
    const index = Number(row.dataset.index);
    this.activate(index);
    this.#options.onactive?.(index);
    this.#options.onchoose?.(index, event);
  }

  #key(event) {
    if (event.target !== this.box || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.#options.rowHeight) - 1);
    const last = this.#count - 1;
    const at = this.#active;
    const moves = { ArrowDown: at + 1, ArrowUp: at < 0 ? last : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last };
    if (this.#options.onkey?.(event, at)) {
      event.preventDefault();
    } else if (event.key === 'Enter' && at >= 0) {
      event.preventDefault();
      this.#options.onchoose?.(at, event);
    } else if (event.key in moves && last >= 0) {
      event.preventDefault();
      const index = Math.max(0, Math.min(last, moves[event.key]));
      this.activate(index, true);
      this.#options.onactive?.(index);
    }
  }
}
