// Elements from values. Whatever comes from a broker ends up in textContent or in an attribute, never
// in HTML: nothing in these pages uses innerHTML.

/**
 * `el('a.nav', {href: '#/', onclick: f}, 'text', child)`: a tag with classes, properties, children.
 * Properties that begin with `on` are listeners, `data` is a dataset, all others attributes; what is
 * false, null or undefined is left out.
 */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Writes only what has changed: a text that is written anew loses the reader's selection. */
export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Calls `draw` once in the next frame, however often it is asked to. */
export function perFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** Calls `act` when nothing more has come for a moment. */
export function afterPause(act, pauseMs = 200) {
  let timer = 0;
  return (...words) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...words), pauseMs);
  };
}

/** A line at the foot of the page that goes by itself; screen readers say it. */
export function toast(text, kind = 'info') {
  const line = el(`div.toast.${kind}`, {}, text);
  byId('toasts').append(line);
  setTimeout(() => line.classList.add('going'), kind === 'bad' ? 7000 : 3200);
  setTimeout(() => line.remove(), kind === 'bad' ? 7400 : 3600);
}

/** Asks before something that cannot be undone; resolves to whether it shall be done. */
export function confirmed(question, detail, verb) {
  return new Promise((resolve) => {
    const dialog = el('dialog.ask', { 'aria-labelledby': 'ask-title' },
      el('form', { method: 'dialog' },
        el('h2', { id: 'ask-title' }, question),
        el('p', {}, detail),
        el('div.row.end', {},
          el('button.button', { value: 'no', autofocus: true }, 'Cancel'),
          el('button.button.danger', { value: 'yes' }, verb))));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes');
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    toast('The browser does not let this page copy', 'bad');
  }
}
