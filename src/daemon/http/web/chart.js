// Graphs of the last minutes, drawn on a canvas: up to two lines over a common axis that begins at
// zero, with a cross-hair that all graphs of a page share. And sparklines, the same in small.

import { el, perFrame } from './dom.js';
import { clock } from './format.js';

const HEIGHT = 168;
const FOOT = 20;
const FONT = '11px system-ui, sans-serif';
const HEAD = 10;

let colours = new Map();
document.addEventListener('theme', () => {
  colours = new Map();
  requestAnimationFrame(drawAll);
});

/** What a custom property is at present: a canvas knows no var(). */
function colour(name) {
  if (!colours.has(name)) {
    const probe = el('i', { hidden: true });
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    colours.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return colours.get(name);
}

/** Graphs on the page: they share the moment under the pointer. */
const charts = new Set();
let pointed = null;

function drawAll() {
  for (const chart of charts) chart.draw();
}

/** The next of 1, 2, 2.5, 5 times a power of ten: axes end on round numbers. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

export class Chart {
  #points = [];
  #left = 0;
  #options;

  /** Options: series [{colour, label}], seconds, format(value), whole: the axis counts in whole numbers. */
  constructor(options) {
    this.#options = options;
    this.canvas = el('canvas.chart', { role: 'img' });
    this.draw = perFrame(() => this.#draw());
    this.canvas.addEventListener('pointermove', (event) => this.#point(event));
    this.canvas.addEventListener('pointerleave', () => {
      pointed = null;
      drawAll();
    });
    new ResizeObserver(this.draw).observe(this.canvas);
    charts.add(this);
  }

  /** Points {at: milliseconds, values: [one a series]}, oldest first; null is a gap. */
  set points(points) {
    this.#points = points;
    this.draw();
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    pointed = 1 - (event.clientX - box.left - this.#left) / (box.width - this.#left);
    drawAll();
  }

  #draw() {
    const { canvas } = this;
    const width = canvas.clientWidth;
    if (!canvas.isConnected || width === 0) return;
    const ratio = devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = HEIGHT * ratio;
    }
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, HEIGHT);
    const { seconds, series, whole, format } = this.#options;
    const end = this.#points.at(-1)?.at ?? Date.now();
    const points = this.#points.filter((point) => end - point.at <= seconds * 1000 + 1500);
    const highest = Math.max(0, ...points.flatMap((point) => point.values ?? []));
    const top = Math.max(whole ? 4 : 0, roundUp(highest));
    // The labels of the axis have their own place, so that no line runs through them.
    pen.font = FONT;
    const left = Math.ceil(Math.max(...[0, top / 2, top].map((value) => pen.measureText(format(value)).width))) + 10;
    const x = (at) => width - ((end - at) / (seconds * 1000)) * (width - left);
    const y = (value) => HEAD + (1 - value / top) * (HEIGHT - FOOT - HEAD);
    this.#grid(pen, left, width, top, y);
    this.#left = left;
    series.forEach((line, at) => this.#line(pen, points, at, line, x, y));
    if (pointed !== null && points.length > 1) this.#cross(pen, width, points, end, x, y);
    this.#describe(points.at(-1));
  }

  #grid(pen, left, width, top, y) {
    const { format, seconds } = this.#options;
    pen.lineWidth = 1;
    pen.strokeStyle = colour('line');
    pen.fillStyle = colour('faint');
    pen.textAlign = 'left';
    for (const part of [0, 0.5, 1]) {
      const at = Math.round(y(part * top)) + 0.5;
      pen.beginPath();
      pen.moveTo(left, at);
      pen.lineTo(width, at);
      pen.stroke();
      pen.fillText(format(part * top), 0, at + 3.5);
    }
    const minutes = seconds / 60;
    pen.fillText(`${minutes} min ago`, left, HEIGHT - 4);
    pen.textAlign = 'right';
    pen.fillText('now', width, HEIGHT - 4);
  }

  #line(pen, points, index, { colour: name }, x, y) {
    const parts = [[]];
    for (const { at, values } of points) {
      if (values) parts.at(-1).push([x(at), y(values[index])]);
      else parts.push([]);
    }
    pen.lineJoin = 'round';
    for (const part of parts.filter((each) => each.length > 0)) {
      const path = new Path2D();
      part.forEach(([left, down]) => path.lineTo(left, down));
      const area = new Path2D(path);
      area.lineTo(part.at(-1)[0], y(0));
      area.lineTo(part[0][0], y(0));
      const shade = pen.createLinearGradient(0, HEAD, 0, HEIGHT - FOOT);
      shade.addColorStop(0, colour(name));
      shade.addColorStop(1, 'transparent');
      pen.globalAlpha = 0.16;
      pen.fillStyle = shade;
      pen.fill(area);
      pen.globalAlpha = 1;
      pen.strokeStyle = colour(name);
      pen.lineWidth = 1.75;
      pen.stroke(path);
    }
  }

  #cross(pen, width, points, end, x, y) {
    const { series, seconds, format } = this.#options;
    const wanted = end - pointed * seconds * 1000;
    const near = points.reduce((best, point) => (Math.abs(point.at - wanted) < Math.abs(best.at - wanted) ? point : best));
    if (!near.values || Math.abs(near.at - wanted) > 3000) return;
    const left = Math.round(x(near.at)) + 0.5;
    pen.strokeStyle = colour('faint');
    pen.setLineDash([3, 3]);
    pen.beginPath();
    pen.moveTo(left, HEAD);
    pen.lineTo(left, HEIGHT - FOOT);
    pen.stroke();
    pen.setLineDash([]);
    const texts = [clock(near.at), ...series.map((line, at) => `${line.label} ${format(near.values[at])}`)];
    pen.font = '11.5px system-ui, sans-serif';
    const size = Math.max(...texts.map((text) => pen.measureText(text).width)) + 20;
    const from = left + size + 12 > width ? left - size - 8 : left + 8;
    pen.fillStyle = colour('raised');
    pen.strokeStyle = colour('line-strong');
    pen.beginPath();
    pen.roundRect(from, HEAD + 4, size, texts.length * 16 + 10, 7);
    pen.fill();
    pen.stroke();
    pen.textAlign = 'left';
    texts.forEach((text, row) => {
      pen.fillStyle = row === 0 ? colour('soft') : colour(series[row - 1].colour);
      pen.fillText(text, from + 10, HEAD + 20 + row * 16);
    });
    series.forEach((line, at) => {
      pen.fillStyle = colour(line.colour);
      pen.beginPath();
      pen.arc(left, y(near.values[at]), 3.5, 0, 7);
      pen.fill();
    });
  }

  #describe(point) {
    const { series, format, title } = this.#options;
    const now = point?.values ? series.map((line, at) => `${line.label} ${format(point.values[at])}`).join(', ') : 'nothing yet';
    this.canvas.setAttribute('aria-label', `${title}, now: ${now}`);
  }
}

/** Draws numbers as a small line that fills the canvas; the newest is on the right. */
export function sparkline(canvas, values, name = 'accent') {
  const ratio = devicePixelRatio;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (width === 0) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const least = Math.min(...values);
  const range = Math.max(...values) - least;
  // What does not move needs no line.
  if (values.length < 2 || range === 0) return;
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.lineWidth = 1.5;
  pen.lineJoin = 'round';
  pen.strokeStyle = colour(name);
  values.forEach((value, at) => {
    const left = 2 + (at / (values.length - 1)) * (width - 4);
    pen.lineTo(left, height - 3 - ((value - least) / range) * (height - 6));
  });
  pen.stroke();
}
