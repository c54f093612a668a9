// Settings of the browser client: kept from one visit to the next, and put into a link for others.
// Neither ever holds a password, a will's payload, or what stands in an address beside host and path.

const KEY = 'mqttx.client';

/** What a link says. The Client Identifier is left out: two of a kind would throw each other out. */
const SHARED = ['url', 'version', 'username', 'keepAlive', 'cleanStart', 'topic'];
const KEPT = [...SHARED, 'clientId', 'sessionExpiry', 'willTopic', 'willQos', 'willRetain', 'willDelay'];

/** A Client Identifier that the page made up, and not the user. */
const MADE_UP = /^mqttx-web-[0-9a-f]{8}$/;

export function madeUpId() {
  const chance = crypto.getRandomValues(new Uint8Array(4));
  return `mqttx-web-${Array.from(chance, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function pick(values, names) {
  return Object.fromEntries(names.filter((name) => values[name] !== undefined && values[name] !== '').map((name) => [name, values[name]]));
}

/** The address without user, password and query, where tokens are kept. */
export function bareAddress(text) {
  try {
    const url = new URL(text);
    url.username = '';
    url.password = '';
    url.search = '';
    url.hash = '';
    return url.href;
  } catch {
    return '';
  }
}

/** A link to this page with these settings behind the #, which no browser sends to a server. */
export function linkOf(settings, filters) {
  const words = new URLSearchParams(pick({ ...settings, url: bareAddress(settings.url) }, SHARED));
  for (const { filter, qos, colour } of filters) words.append('sub', `${qos}${colour}${filter}`);
  return `${location.origin}${location.pathname}#${words}`;
}

/** What the link says that led here: {settings, filters}, or nothing. */
export function fromLink(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ''));
  if (!words.has('url')) return undefined;
  const settings = Object.fromEntries(SHARED.filter((name) => words.has(name)).map((name) => [name, words.get(name)]));
  settings.url = bareAddress(settings.url);
  if ('cleanStart' in settings) settings.cleanStart = settings.cleanStart === 'true';
  const filters = words.getAll('sub').slice(0, 64).flatMap((text) => {
    const [, qos, colour, filter] = /^([0-2])([0-7])(.+)$/s.exec(text) ?? [];
    return filter ? [{ filter, qos: Number(qos), colour: Number(colour) }] : [];
  });
  return { settings, filters };
}

export function keep(settings, filters) {
  try {
    const kept = { ...pick(settings, KEPT), url: bareAddress(settings.url), filters };
    // Two pages of one browser shall not be one client.
    if (MADE_UP.test(kept.clientId)) delete kept.clientId;
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // Where nothing may be kept, the next visit begins anew.
  }
}

export function kept() {
  try {
    const { filters = [], ...settings } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { settings, filters };
  } catch {
    return { settings: {}, filters: [] };
  }
}
