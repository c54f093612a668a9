// What topics were worth lately: numbers of their payloads where they are numbers, else how often they
// came. Bounded: topics that were not heard of for longest are let go.

import { payloadOf } from './api.js';
import { textOf } from './payload.js';

const POINTS = 60;
const TOPICS_MAX = 4000;

/** Topic to {kind, values, at, messages}. */
const curves = new Map();

function numberOf(last) {
  if (!last || last.size > 32) return NaN;
  const text = textOf(payloadOf(last.payload))?.trim();
  return text ? Number(text) : NaN;
}

/** Takes down what the broker says of a topic. */
export function note({ topic, last, rate }) {
  const number = numberOf(last);
  const kind = Number.isNaN(number) ? 'rate' : 'value';
  let curve = curves.get(topic);
  if (curve?.kind !== kind) curve = { kind, values: [], at: null };
  // A value counts once; a rate is a new one each time.
  if (kind === 'rate' || curve.at !== last.at) {
    curve.values.push(kind === 'rate' ? rate : number);
    if (curve.values.length > POINTS) curve.values.shift();
    curve.at = last?.at ?? null;
  }
  curves.delete(topic);
  curves.set(topic, curve);
  if (curves.size > TOPICS_MAX) curves.delete(curves.keys().next().value);
}

const NONE = { kind: 'rate', values: [] };

export function curveOf(topic) {
  return curves.get(topic) ?? NONE;
}

export function forgetCurves() {
  curves.clear();
}
