// Numbers, sizes and times as people read them. All figures of both pages are written here.

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** 1234567 as 1,234,567. */
export function count(value) {
  return plain.format(value);
}

/** Short enough for a tile: 950, 12.4 k, 1.2 M. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${tenths.format(value / 1e9)} G`;
  if (size >= 1e6) return `${tenths.format(value / 1e6)} M`;
  if (size >= 1e4) return `${tenths.format(value / 1e3)} k`;
  return size < 10 && size % 1 ? tenths.format(value) : plain.format(value);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in steps of a thousand, as network rates are told. */
export function bytes(value) {
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? tenths.format(value) : plain.format(value)} ${UNITS[unit]}`;
}

/** A rate a second. */
export function rate(value) {
  if (value > 0 && value < 0.1) return '<0.1/s';
  return `${short(value < 100 ? Math.round(value * 10) / 10 : value)}/s`;
}

/** Seconds as 5 s, 3 min, 2 h 14 min, 6 d 3 h. */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const two = (value) => String(value).padStart(2, '0');

/** Milliseconds since 1970 as the time of day here. */
export function clock(ms, fractions = false) {
  const at = new Date(ms);
  const text = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return fractions ? `${text}.${String(at.getMilliseconds()).padStart(3, '0')}` : text;
}

/** With the date where it is not today's. */
export function moment(ms) {
  const at = new Date(ms);
  if (at.toDateString() === new Date().toDateString()) return clock(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
