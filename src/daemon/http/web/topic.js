// Topic Names and Topic Filters: what is allowed, and which fit. (Section 4.7)

/** What is wrong with a Topic Filter; nothing when nothing is. */
export function filterProblem(filter) {
  if (filter === '') return 'A filter is wanted, such as home/# or +/status.';
  let levels = filter.split('/');
  if (levels[0] === '$share') {
    if (!levels[1] || /[+#]/.test(levels[1])) return 'A shared subscription is $share/NAME/FILTER.';
    levels = levels.slice(2);
    if (levels.length === 0 || (levels.length === 1 && levels[0] === '')) return 'Behind $share/NAME/ a filter is wanted.';
  }
  for (const [at, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || at < levels.length - 1)) return '# stands alone and at the end: a/b/#';
    if (level.includes('+') && level !== '+') return '+ stands alone between two slashes: a/+/b';
  }
  return filter.includes('\u0000') ? 'A filter holds no null characters.' : undefined;
}

export function nameProblem(topic) {
  if (topic === '') return 'A topic is wanted.';
  if (/[+#]/.test(topic)) return 'Messages go to one topic: + and # are for subscriptions.';
  return topic.includes('\u0000') ? 'A topic holds no null characters.' : undefined;
}

export function matches(filter, topic) {
  let wanted = filter.split('/');
  if (wanted[0] === '$share') wanted = wanted.slice(2);
  const levels = topic.split('/');
  // Topics of the broker itself are not met by a wildcard in the first place.
  if (topic.startsWith('$') && wanted[0] !== levels[0]) return false;
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return true;
    if (at >= levels.length || (level !== '+' && level !== levels[at])) return false;
  }
  return wanted.length === levels.length;
}
