// The symbols of both pages: lines on a field of 24 by 24, drawn for these pages. An element
// <svg class="icon" data-icon="NAME"> of the HTML is filled by fillIcons().

import { svg } from './dom.js';

const PATHS = {
  overview: 'M3 17l5-6 4 4 8-10M3 21h18',
  clients: 'M9 11a4 4 0 100-8 4 4 0 000 8zM2 21c0-4 3-7 7-7s7 3 7 7M16 3.5a4 4 0 010 7M18 14.5c2.400 1 4 3.300 4 6.500',
  topics: 'M4 4v13a2 2 0 002 2h4M4 9h6M13 6.500h7v5h-7zM13 16.500h7v5h-7z',
  live: 'M5 12a7 7 0 0114 0M8.500 12a3.500 3.500 0 017 0M12 12v8M9 20h6M2 12a10 10 0 0120 0',
  retained: 'M6 3h12v18l-6-5-6 5z',
  bridges: 'M2 17h20M5 17V8M19 17V8M2 11c2 0 3-1 3-3 2 5 12 5 14 0 0 2 1 3 3 3M9.500 17v-5.500M14.500 17v-5.500',
  log: 'M4 5h16M4 10h10M4 15h16M4 20h7',
  details: 'M4 6h9M17 6h3M4 12h3M11 12h9M4 18h11M19 18h1M15 4v4M9 10v4M17 16v4',
  client: 'M3 5h18v14H3zM3 9h18M7 14l2.500 2L7 18M12 18h4',
  search: 'M11 18a7 7 0 100-14 7 7 0 000 14zM16 16l5 5',
  close: 'M5 5l14 14M19 5L5 19',
  chevron: 'M9 5l7 7-7 7',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 14h10l1-14M10 11v6M14 11v6',
  copy: 'M9 9h11v12H9zM5 15H4V3h11v2',
  send: 'M3 11.500L21 3l-7 18-3-8z',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4l13 8-13 8z',
  plus: 'M12 5v14M5 12h14',
  cut: 'M9 15l-3 3a3.500 3.500 0 01-5-5l3-3M15 9l3-3a3.500 3.500 0 015 5l-3 3M8 4l1 3M4 8l3 1M16 20l-1-3M20 16l-3-1',
  share: 'M12 15V3M8 6.500L12 3l4 3.500M5 11v10h14V11',
  theme: 'M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18M12 7l6-1M12 11h8.500M12 15l7.500.500M12 19l4 .500',
  lock: 'M5 11h14v10H5zM8 11V7a4 4 0 018 0v4',
  inbox: 'M3 13l3-9h12l3 9v7H3zM3 13h5l1.500 3h5L16 13h5',
};

export function icon(name, className = 'icon') {
  const node = svg('svg', { class: className, viewBox: '0 0 24 24', 'aria-hidden': 'true' });
  node.append(svg('path', { d: PATHS[name] }));
  return node;
}

export function fillIcons(root = document) {
  for (const node of root.querySelectorAll('svg[data-icon]')) {
    node.setAttribute('viewBox', '0 0 24 24');
    node.setAttribute('aria-hidden', 'true');
    node.replaceChildren(svg('path', { d: PATHS[node.dataset.icon] }));
  }
}
