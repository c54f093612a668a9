// Light or dark: what the system says, unless somebody chose. Runs before the first paint, hence no
// module. The buttons with data-theme-toggle go through system, light, dark.
(() => {
  const KEY = 'mqttx.theme';
  const ORDER = ['system', 'light', 'dark'];
  const root = document.documentElement;

  function remembered() {
    try {
      const chosen = localStorage.getItem(KEY);
      return ORDER.includes(chosen) ? chosen : 'system';
    } catch {
      return 'system';
    }
  }

  function apply(choice) {
    if (choice === 'system') delete root.dataset.theme;
    else root.dataset.theme = choice;
    root.dataset.choice = choice;
    for (const button of document.querySelectorAll('[data-theme-toggle]')) {
      button.setAttribute('aria-label', `Theme: ${choice}. Change`);
      button.title = `Theme: ${choice}`;
    }
    document.dispatchEvent(new Event('theme'));
  }

  document.addEventListener('click', (event) => {
    if (!event.target.closest('[data-theme-toggle]')) return;
    const next = ORDER[(ORDER.indexOf(root.dataset.choice) + 1) % ORDER.length];
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Where nothing may be kept, the choice holds until the page is left.
    }
    apply(next);
  });
  document.addEventListener('DOMContentLoaded', () => apply(remembered()));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(remembered()));
  apply(remembered());
})();
