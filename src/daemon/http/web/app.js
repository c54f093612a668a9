// The dashboard's frame: which view the address names, the state of the connection, the look of the
// navigation. A view is {title, element, enter(rest), leave()}; it is loaded when it is first asked for.

import { loggedIn, logout } from './api.js';
import { byId, el, setText, toast } from './dom.js';
import { fillIcons } from './icons.js';
import { samples } from './samples.js';

const VIEWS = {
  '': () => import('./overview.js'),
  clients: () => import('./clients.js'),
  topics: () => import('./topics.js'),
  live: () => import('./live.js'),
  retained: () => import('./retained.js'),
  bridges: () => import('./bridges.js'),
  log: () => import('./log.js'),
  details: () => import('./details.js'),
};

const main = byId('main');
const views = new Map();
let current = null;

/** `#/clients/sensor%201` is the view `clients` with the rest `sensor 1`. */
function place() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  try {
    return [name in VIEWS ? name : '', rest.map(decodeURIComponent).join('/')];
  } catch {
    return ['', ''];
  }
}

async function route() {
  const [name, rest] = place();
  for (const link of document.querySelectorAll('nav a')) {
    const here = link.getAttribute('href') === `#/${name}`;
    if (here) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  if (!views.has(name)) {
    try {
      views.set(name, (await VIEWS[name]()).view);
    } catch {
      toast('That view could not be loaded: does the broker still run?', 'bad');
      return;
    }
  }
  // While it was loaded, another may have been asked for.
  if (place()[0] !== name) return;
  const view = views.get(name);
  const moved = view !== current;
  if (moved) {
    current?.leave?.();
    current = view;
    main.replaceChildren(view.element);
    document.title = `${view.title} · mqttx`;
    main.scrollTop = 0;
  }
  view.enter?.(rest, moved);
}

function showReached() {
  const { reached, problem } = samples;
  byId('link-dot').className = `dot ${reached ? 'good' : reached === false ? 'bad' : ''}`;
  setText(byId('link'), reached ? 'Connected' : 'No answer');
  byId('link').title = reached ? '' : problem ?? '';
  byId('logout').hidden = !loggedIn();
  document.body.classList.toggle('away', reached === false);
}

fillIcons();
samples.addEventListener('reached', showReached);
byId('logout').addEventListener('click', logout);
addEventListener('hashchange', route);
addEventListener('unhandledrejection', (event) => {
  if (event.reason?.name !== 'AbortError') toast(event.reason?.message ?? String(event.reason), 'bad');
  event.preventDefault();
});
// What was chosen beside a list is left by Escape, wherever the focus is.
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) document.querySelector('.split.open .panel [aria-label=Close]')?.click();
});
// A link of the page itself shall move the focus, and not the address.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
main.append(el('p.unseen', {}, 'Loading'));
samples.start();
route();
