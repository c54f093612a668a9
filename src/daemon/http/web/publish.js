// The box to publish from: topic, payload as text, JSON, hexadecimal or base64, QoS, retain, and what
// version 5 adds. What it does with a message is the business of whoever made it.

import { el } from './dom.js';
import { icon } from './icons.js';
import { typed } from './payload.js';
import { nameProblem } from './topic.js';

const FORMATS = [['text', 'Text'], ['json', 'JSON'], ['hex', 'Hex'], ['base64', 'Base64']];

function field(label, input) {
  return el('label.field', {}, el('span', {}, label), input);
}

/** Lines of `name: value`. */
function pairs(text) {
  return text.split('\n').filter((line) => line.trim()).map((line) => {
    const at = line.indexOf(':');
    if (at < 1) throw new Error('A user property is a line of NAME: VALUE.');
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}

export class PublishBox {
  /** `send({topic, payload, qos, retain, properties})` → a promise of a sentence for the user. */
  constructor(send) {
    this.send = send;
    this.topic = el('input.input.mono', { name: 'topic', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', placeholder: 'home/hall/lamp' });
    this.payload = el('textarea.input', { name: 'payload', rows: 3, spellcheck: 'false', placeholder: 'on' });
    this.format = el('select.input', { name: 'format', 'aria-label': 'The payload is' }, FORMATS.map(([value, label]) => el('option', { value }, label)));
    this.qos = el('select.input', { name: 'qos', 'aria-label': 'QoS' }, [0, 1, 2].map((qos) => el('option', { value: qos }, `QoS ${qos}`)));
    this.retain = el('input', { type: 'checkbox', name: 'retain' });
    this.extra = {
      contentType: el('input.input', { name: 'content-type', placeholder: 'text/plain' }),
      responseTopic: el('input.input.mono', { name: 'response-topic' }),
      correlationData: el('input.input.mono', { name: 'correlation-data' }),
      messageExpiryInterval: el('input.input', { name: 'expiry', type: 'number', min: 0, max: 4294967295, placeholder: 'never' }),
      userProperty: el('textarea.input', { name: 'user-properties', rows: 2, placeholder: 'name: value' }),
    };
    this.problem = el('p.problem', { role: 'alert' });
    this.said = el('span.small.soft', { role: 'status' });
    this.button = el('button.button.primary', { type: 'submit' }, icon('send'), 'Publish');
    const { contentType, responseTopic, correlationData, messageExpiryInterval, userProperty } = this.extra;
    this.more = el('details.more', {}, el('summary', {}, 'Properties'),
      el('div.fields', {}, field('Content type', contentType), field('Expires after, seconds', messageExpiryInterval),
        field('Response topic', responseTopic), field('Correlation data', correlationData),
        field('User properties, one a line', userProperty)));
    this.form = el('form.publish', { onsubmit: (event) => this.#submit(event) },
      field('Topic', this.topic), field('Payload', this.payload),
      el('div.row', {}, this.format, this.qos, el('label.check', {}, this.retain, 'Retain')),
      this.more, this.problem, el('div.row', {}, this.button, this.said));
    this.payload.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
  }

  set enabled(enabled) {
    this.button.disabled = !enabled;
  }

  /** Properties are of version 5 only. */
  set version(version) {
    this.more.hidden = version !== 5;
  }

  /** Takes a message over, to be sent again or changed. */
  fill({ topic, text, format, qos, retain }) {
    this.topic.value = topic;
    if (text !== undefined) this.payload.value = text;
    if (format) this.format.value = format;
    if (qos !== undefined) this.qos.value = qos;
    if (retain !== undefined) this.retain.checked = retain;
    this.payload.focus();
  }

  #message() {
    const topic = this.topic.value;
    const problem = nameProblem(topic);
    this.topic.setAttribute('aria-invalid', problem !== undefined);
    if (problem) throw new Error(problem);
    const properties = {};
    if (!this.more.hidden) {
      for (const [name, input] of Object.entries(this.extra)) if (input.value.trim()) properties[name] = input.value;
      if (properties.messageExpiryInterval) properties.messageExpiryInterval = Number(properties.messageExpiryInterval);
      if (properties.correlationData) properties.correlationData = typed(properties.correlationData, 'text');
      if (properties.userProperty) properties.userProperty = pairs(properties.userProperty);
    }
    return {
      topic, payload: typed(this.payload.value, this.format.value), qos: Number(this.qos.value),
      retain: this.retain.checked, properties,
    };
  }

  async #submit(event) {
    event.preventDefault();
    this.problem.textContent = '';
    this.said.textContent = '';
    try {
      this.said.textContent = await this.send(this.#message());
    } catch (error) {
      this.problem.textContent = error.message;
    }
  }
}
