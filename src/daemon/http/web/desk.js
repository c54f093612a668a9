// Subscriptions with colours, a box to publish from, and the messages that come: the desk that both
// pages share. Where messages come from and go to is a `link`:
//   subscribe(filter, options) → promise of the granted QoS;  unsubscribe(filter) → promise
//   publish(message) → promise of a sentence for the user

import { afterPause, el, perFrame, setText, toast } from './dom.js';
import { bytes, clock, count, plural } from './format.js';
import { icon } from './icons.js';
import { messageView } from './inspect.js';
import { VirtualList } from './list.js';
import { Messages, testOf } from './messages.js';
import { textOf, toBase64, visible } from './payload.js';
import { PublishBox } from './publish.js';
import { filterProblem, matches } from './topic.js';

/** Colours in base.css: c0, c1 … */
const COLOURS = 8;
const KINDS = [['all', 'All'], ['received', 'Received'], ['sent', 'Sent'], ['retained', 'Retained']];

export class Desk {
  #link;
  #messages = new Messages();
  /** Filter to {colour, granted, row}. */
  #subscriptions = new Map();
  #looked = { words: '', kind: 'all', colour: null };
  #paused = false;
  #missed = 0;
  #following = true;
  #chosen = null;
  #onchange;
  #draw;

  constructor(link, { onchange = () => {} } = {}) {
    this.#link = link;
    this.#onchange = onchange;
    this.publishBox = new PublishBox((message) => this.#publish(message));
    this.element = el('div.desk', {}, el('div.desk-side', {}, this.#subscribeCard(), this.#publishCard()), this.#historyCard());
    this.#draw = perFrame(() => this.#drawNow());
    this.enabled = false;
  }

  set enabled(enabled) {
    this.subscribeButton.disabled = !enabled;
    this.publishBox.enabled = enabled;
  }

  get filters() {
    return [...this.#subscriptions].map(([filter, { qos, colour }]) => ({ filter, qos, colour }));
  }

  /** A message that came: {topic, payload, qos, retain, …}. */
  arrive(message) {
    if (this.#paused) {
      this.#missed += 1;
    } else {
      this.#keep({ at: Date.now(), sent: false, ...message });
    }
    this.#draw();
  }

  #keep(message) {
    const { entry, gone } = this.#messages.add({ ...message, colour: this.#colourOf(message.topic) });
    if (gone > 0 && !this.#following) this.list.box.scrollTop -= gone * this.rowHeight;
    return entry;
  }

  #colourOf(topic) {
    for (const [filter, { colour }] of this.#subscriptions) if (matches(filter, topic)) return colour;
    return null;
  }

  // ---- subscriptions

  #subscribeCard() {
    this.filterInput = el('input.input.mono', { name: 'filter', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', placeholder: 'home/#', 'aria-label': 'Topic Filter' });
    this.filterQos = el('select.input', { name: 'filter-qos', 'aria-label': 'QoS at most' }, [0, 1, 2].map((qos) => el('option', { value: qos }, `QoS ${qos}`)));
    this.subscribeButton = el('button.button.primary', { type: 'submit' }, icon('plus'), 'Subscribe');
    this.filterProblem = el('p.problem', { role: 'alert' });
    this.filterRows = el('ul.filters', { 'aria-label': 'Subscriptions' });
    const submit = (event) => {
      event.preventDefault();
      this.add(this.filterInput.value.trim(), Number(this.filterQos.value)).then((done) => {
        if (done) this.filterInput.value = '';
      });
    };
    return el('section.card', { 'aria-label': 'Subscriptions' }, el('header', {}, el('h2', {}, 'Subscriptions')),
      el('div.body', {}, el('form.subscribe', { onsubmit: submit }, this.filterInput, this.filterQos, this.subscribeButton),
        this.filterProblem, this.filterRows));
  }

  /** Subscribes; resolves to whether the broker has granted it. */
  async add(filter, qos = 0, colour = this.#freeColour()) {
    const problem = filterProblem(filter);
    this.filterProblem.textContent = problem ?? '';
    if (problem) return false;
    try {
      const granted = await this.#link.subscribe(filter, { qos });
      this.#subscriptions.get(filter)?.row.remove();
      const row = this.#filterRow(filter, granted, colour);
      this.#subscriptions.set(filter, { qos, granted, colour, row });
      this.filterRows.append(row);
      this.#onchange();
      this.#draw();
      return true;
    } catch (error) {
      this.filterProblem.textContent = `${visible(filter)}: ${error.message}`;
      return false;
    }
  }

  /** Takes all subscriptions off the list: their connection is gone. */
  forget() {
    for (const { row } of this.#subscriptions.values()) row.remove();
    this.#subscriptions.clear();
    this.#draw();
  }

  #freeColour() {
    const used = new Set([...this.#subscriptions.values()].map(({ colour }) => colour));
    for (let colour = 0; colour < COLOURS; colour++) if (!used.has(colour)) return colour;
    return this.#subscriptions.size % COLOURS;
  }

  #filterRow(filter, granted, colour) {
    const only = el('button.filter-name', {
      type: 'button', 'aria-pressed': 'false', title: 'Show only its messages',
      onclick: () => {
        const on = only.getAttribute('aria-pressed') !== 'true';
        for (const other of this.filterRows.querySelectorAll('.filter-name')) other.setAttribute('aria-pressed', 'false');
        only.setAttribute('aria-pressed', on);
        this.#look({ colour: on ? colour : null });
      },
    }, el(`span.swatch.c${colour}`), el('span.mono.cut', {}, visible(filter)));
    const drop = async () => {
      try {
        await this.#link.unsubscribe(filter);
      } catch (error) {
        toast(error.message, 'bad');
        return;
      }
      row.remove();
      this.#subscriptions.delete(filter);
      if (this.#looked.colour === colour) this.#look({ colour: null });
      this.#onchange();
    };
    const row = el('li', {}, only, el('span.mark', {}, `QoS ${granted}`),
      el('button.button.plain.square', { type: 'button', 'aria-label': `Unsubscribe from ${visible(filter)}`, title: 'Unsubscribe', onclick: drop }, icon('close')));
    return row;
  }

  // ---- publishing

  #publishCard() {
    return el('section.card', { 'aria-label': 'Publish' }, el('header', {}, el('h2', {}, 'Publish')), el('div.body', {}, this.publishBox.form));
  }

  async #publish(message) {
    const answer = this.#link.publish(message);
    const kept = this.#keep({ ...message, at: Date.now(), sent: true });
    this.#draw();
    try {
      return await answer;
    } catch (error) {
      kept.failed = error.message;
      throw error;
    } finally {
      kept.done = true;
      this.#draw();
    }
  }

  // ---- history

  #historyCard() {
    this.words = el('input.input', { type: 'search', placeholder: 'Topic or payload', 'aria-label': 'Search messages' });
    this.words.addEventListener('input', afterPause(() => this.#look({ words: this.words.value }), 120));
    this.kinds = el('select.input.fit', { 'aria-label': 'Which messages', onchange: () => this.#look({ kind: this.kinds.value }) },
      KINDS.map(([value, label]) => el('option', { value }, label)));
    this.pauseButton = el('button.button', { type: 'button', 'aria-pressed': 'false', 'aria-label': 'Pause', onclick: () => this.#pause() }, icon('pause'), el('span.wide', {}, 'Pause'));
    this.tally = el('span.small.soft', { role: 'status' });
    this.newest = el('button.button.newest', { type: 'button', hidden: true, onclick: () => this.#follow() }, 'Newest');
    const clear = el('button.button.plain', { type: 'button', 'aria-label': 'Clear', onclick: () => this.#clear() }, icon('trash'), el('span.wide', {}, 'Clear'));
    const box = el('div.messages');
    this.rowHeight = 54;
    this.list = new VirtualList(box, {
      label: 'Messages', rowHeight: this.rowHeight, make: makeRow,
      fill: (row, index) => fillRow(row, this.#messages.fitting[index]),
      onactive: (index) => this.#inspect(index), onchoose: (index) => this.#inspect(index),
    });
    this.nothing = el('div.empty', {}, icon('inbox'), el('strong', {}, 'No messages yet'), el('span', {}, 'Subscribe to a topic and they appear here.'));
    box.append(this.nothing);
    box.addEventListener('scroll', () => {
      this.#following = this.list.atEnd;
      this.newest.hidden = this.#following || this.#messages.fitting.length === 0;
    }, { passive: true });
    this.detail = el('section.detail', { hidden: true, 'aria-label': 'The chosen message' });
    return el('section.card.history', { 'aria-label': 'Messages' },
      el('header', {}, el('div.search.grow', {}, icon('search'), this.words), this.kinds, this.pauseButton, clear),
      el('div.history-list', {}, box, this.newest), this.detail, el('footer', {}, this.tally));
  }

  #look(change) {
    Object.assign(this.#looked, change);
    this.#messages.filter(testOf(this.#looked));
    this.list.activate(-1);
    this.#follow();
  }

  #pause() {
    this.#paused = !this.#paused;
    this.#missed = 0;
    this.pauseButton.setAttribute('aria-pressed', this.#paused);
    this.pauseButton.replaceChildren(icon(this.#paused ? 'play' : 'pause'), el('span.wide', {}, this.#paused ? 'Go on' : 'Pause'));
    this.#draw();
  }

  #clear() {
    this.#messages.clear();
    this.#close();
    this.#draw();
  }

  #follow() {
    this.#following = true;
    this.#draw();
  }

  #inspect(index) {
    this.#chosen = this.#messages.fitting[index];
    if (!this.#chosen) return;
    const { topic, payload, qos, retain } = this.#chosen;
    const again = () => {
      const text = textOf(payload);
      this.publishBox.fill({ topic, text: text ?? toBase64(payload), format: text === undefined ? 'base64' : 'text', qos, retain });
    };
    this.detail.replaceChildren(messageView(this.#chosen, [
      el('button.button.plain', { type: 'button', onclick: again, 'aria-label': 'Publish like this', title: 'Publish like this' }, icon('send'), el('span.wide', {}, 'Publish like this')),
      el('button.button.plain.square', { type: 'button', 'aria-label': 'Close', onclick: () => this.#close() }, icon('close')),
    ]));
    this.detail.hidden = false;
    // It takes room from the list: what was chosen shall stay in sight.
    this.#following = false;
    requestAnimationFrame(() => this.list.reveal(index));
  }

  #close() {
    this.#chosen = null;
    this.detail.hidden = true;
    this.list.activate(-1);
    this.list.box.focus();
  }

  #drawNow() {
    const { fitting, length, forgotten } = this.#messages;
    if (this.#chosen) this.list.activate(fitting.indexOf(this.#chosen));
    this.list.count = fitting.length;
    if (this.#following) this.list.toEnd();
    this.nothing.hidden = fitting.length > 0;
    setText(this.nothing.querySelector('strong'), length ? 'No message fits' : 'No messages yet');
    setText(this.nothing.querySelector('span'), length ? 'What is looked for is in none of them.' : 'Subscribe to a topic and they appear here.');
    const parts = [fitting.length === length ? plural(length, 'message') : `${count(fitting.length)} of ${plural(length, 'message')}`];
    if (this.#paused) parts.push(`paused, ${count(this.#missed)} not shown`);
    if (forgotten) parts.push(`${count(forgotten)} older ones let go`);
    setText(this.tally, parts.join(' · '));
  }
}

function makeRow() {
  return el('div.message', {}, el('span.stripe'),
    el('div.grow', {}, el('div.top', {}, el('span.mono.topic.cut'), el('time.small.soft')),
      el('div.bottom', {}, el('span.mono.preview.cut'), el('span.marks'))));
}

function fillRow(row, message) {
  // Rows are used again: the one that shows this message already stays as it is.
  const state = message && `${message.id} ${message.done}`;
  if (!message || row.shown === state) return;
  row.shown = state;
  row.querySelector('.stripe').className = `stripe ${message.colour === null ? '' : `c${message.colour}`}`;
  setText(row.querySelector('.topic'), `${message.sent ? '\u2191 ' : ''}${visible(message.topic)}`);
  setText(row.querySelector('time'), clock(message.at, true));
  const preview = row.querySelector('.preview');
  setText(preview, message.size ? message.preview : '(empty)');
  preview.classList.toggle('none', message.size === 0);
  row.querySelector('.marks').replaceChildren(
    ...[message.failed && el('span.mark.bad', { title: message.failed }, 'failed'), message.retain && el('span.mark.warn', {}, 'retained'), message.qos > 0 && el('span.mark', {}, `QoS ${message.qos}`),
      el('span.small.soft', {}, bytes(message.size))].filter(Boolean));
}
