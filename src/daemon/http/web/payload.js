// A payload as something to look at: JSON set out in lines, text, or bytes in hexadecimal. What is long
// is cut, and said to be.

/** Bytes that are shown of one payload; beyond that a browser starts to suffer. */
export const SHOWN_MAX = 64 * 1024;
const HEX_SHOWN_MAX = 4 * 1024;
const PREVIEW_MAX = 240;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Control characters that no text has; tab, line feed and carriage return it may have. */
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** Characters that turn the direction of what follows, or are not seen at all. */
const TRICKS = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** The text that bytes are; nothing when they are none. */
export function textOf(bytes) {
  try {
    const text = decoder.decode(bytes);
    return CONTROLS.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Text in which no character hides or turns the line around. */
export function visible(text) {
  return text.replace(TRICKS, (character) => `\u2423${character.codePointAt(0).toString(16)}\u2423`);
}

/** One line for a list. */
export function preview(bytes, size = bytes.length) {
  if (size === 0) return '';
  // Cut between two characters: a byte that continues one does not begin the rest.
  let end = Math.min(bytes.length, PREVIEW_MAX);
  while (end < bytes.length && end > 0 && (bytes[end] & 0xc0) === 0x80) end -= 1;
  const text = textOf(bytes.subarray(0, end));
  if (text === undefined) {
    const shown = bytes.subarray(0, 32);
    return spaced(shown) + (size > shown.length ? ' …' : '');
  }
  return visible(text.replace(/\s+/g, ' ')) + (size > end ? ' …' : '');
}

/** What to show of a payload: {kind, text, note}; `size` is its true length when it came cut. */
export function shown(bytes, size = bytes.length) {
  if (size === 0) return { kind: 'empty', text: '', note: '' };
  let cut = bytes.subarray(0, SHOWN_MAX);
  if (bytes.length < size || cut.length < bytes.length) cut = wholeCharacters(cut);
  const text = textOf(cut);
  if (text === undefined) return hexShown(bytes, size);
  const note = cut.length < size ? `The first ${cut.length} of ${size} bytes` : '';
  if (note) return { kind: 'text', text: visible(text), note };
  const json = pretty(text);
  return json === undefined ? { kind: 'text', text: visible(text), note } : { kind: 'json', text: visible(json), note };
}

function wholeCharacters(bytes) {
  for (let left = 0; left < 4 && left < bytes.length; left++) {
    const part = bytes.subarray(0, bytes.length - left);
    if (textOf(part) !== undefined) return part;
  }
  return bytes;
}

export function hexShown(bytes, size = bytes.length) {
  const part = bytes.subarray(0, HEX_SHOWN_MAX);
  const note = part.length < size ? `The first ${part.length} of ${size} bytes` : '';
  return { kind: 'hex', text: hexDump(part), note };
}

/** An object or array set out in lines; a bare number or word is no better for it. */
export function pretty(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return indented(text);
}

/** Not JSON.stringify, which would round long numbers and drop keys that come twice. */
function indented(text) {
  let out = '';
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:\\.|[^"\\])*"|[[\]{},:]|[^\s[\]{},:"]+/g)) {
    if (token === '{' || token === '[') {
      depth += 1;
      out += `${token}\n${'  '.repeat(depth)}`;
    } else if (token === '}' || token === ']') {
      depth -= 1;
      out = /[[{]\s*$/.test(out.slice(-2 * depth - 4)) ? out.trimEnd() : `${out}\n${'  '.repeat(depth)}`;
      out += token;
    } else if (token === ',') out += `,\n${'  '.repeat(depth)}`;
    else out += token === ':' ? ': ' : token;
  }
  return out;
}

/** Bytes with a blank between them. */
export function spaced(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** Lines of offset, 16 bytes, and what of them is ASCII. */
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const ascii = Array.from(row, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${spaced(row).padEnd(47)}  ${ascii}`);
  }
  return lines.join('\n');
}

/** The bytes of what was typed as text, JSON, hexadecimal or base64; an Error that says what is wrong. */
export function typed(text, format) {
  if (format === 'hex') {
    const digits = text.replace(/[\s:]/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error('Hexadecimal needs pairs of the digits 0 to 9 and a to f.');
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }
  if (format === 'base64') return fromBase64(text.replace(/\s/g, ''));
  if (format === 'json') {
    try {
      JSON.parse(text);
    } catch (error) {
      throw new Error(`That is no JSON: ${error.message}`);
    }
  }
  return encoder.encode(text);
}

export function fromBase64(text) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new Error('That is no base64.');
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function toBase64(bytes) {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
