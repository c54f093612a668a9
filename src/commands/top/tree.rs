//! The topics of a broker as a tree: what `mqttx top` knows of each level, within named limits.
//!
//! Time is given; nothing here prints. `rows.rs` makes rows of it.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Levels kept; messages of topics that need more are only counted.
pub(super) const LEVELS_MAX: usize = 100_000;

/// Bytes of the names of all levels.
pub(super) const NAMES_MAX: usize = 16 << 20;

/// Bytes kept of a value; its size is known whole.
pub(super) const VALUE_MAX: usize = 512;

/// Seconds a rate is the mean of.
const RATE_SPAN: usize = 5;

pub(super) const ROOT: usize = 0;

/// One level of a topic, and the topic that ends there, if any message had it.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) name: Box<str>,
    pub(super) above: usize,
    /// By name.
    pub(super) below: BTreeMap<Box<str>, usize>,
    pub(super) last: Option<Last>,
    /// Messages on this topic itself.
    pub(super) own: u64,
    /// Messages here and below.
    pub(super) total: u64,
    /// Topics here and below.
    pub(super) topics: u64,
    /// When the last message came here or below.
    pub(super) seen: Option<Instant>,
    /// Messages here and below since the last second ended.
    fresh: u32,
    /// Those of the seconds before.
    past: [u32; RATE_SPAN],
    pub(super) is_open: bool,
}

/// What is known of the last message of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// Its beginning.
    pub(super) value: Vec<u8>,
    pub(super) size: usize,
    pub(super) qos: u8,
    /// The broker keeps a message of this topic, as far as can be told.
    pub(super) is_retained: bool,
}

/// A message, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: u8,
    pub(super) retain: bool,
}

#[derive(Debug)]
pub(super) struct Tree {
    levels: Vec<Level>,
    names: usize,
    levels_max: usize,
    /// Messages whose topics found no room.
    pub(super) beyond: u64,
    /// Seconds ended so far, as many as a rate looks at.
    seconds: usize,
    next: Instant,
}

impl Tree {
    pub(super) fn new(now: Instant) -> Self {
        Self::limited(now, LEVELS_MAX)
    }

    fn limited(now: Instant, levels_max: usize) -> Self {
        let root = Level {
            is_open: true,
            ..Level::default()
        };
        Self {
            levels: vec![root],
            names: 0,
            levels_max,
            beyond: 0,
            seconds: 0,
            next: now + Duration::from_secs(1),
        }
    }

    pub(super) fn level(&self, at: usize) -> &Level {
        &self.levels[at]
    }

    /// All levels, the root too.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn level_mut(&mut self, at: usize) -> &mut Level {
        &mut self.levels[at]
    }

    pub(super) fn message(&mut self, seen: &Seen<'_>, now: Instant) {
        let Some(at) = self.place(seen.topic) else {
            self.beyond += 1;
            return;
        };
        let level = &mut self.levels[at];
        level.own += 1;
        let is_new = level.last.is_none();
        let last = level.last.get_or_insert_with(Last::default);
        last.value.clear();
        let kept = &seen.payload[..seen.payload.len().min(VALUE_MAX)];
        last.value.extend_from_slice(kept);
        last.size = seen.payload.len();
        last.qos = seen.qos;
        if seen.retain {
            last.is_retained = !seen.payload.is_empty();
        }
        let mut at = Some(at);
        while let Some(here) = at {
            let level = &mut self.levels[here];
            level.total += 1;
            level.fresh = level.fresh.saturating_add(1);
            level.topics += u64::from(is_new);
            level.seen = Some(now);
            at = (here != ROOT).then_some(level.above);
        }
    }

    /// The level of this topic, made if there is room for all of it.
    fn place(&mut self, topic: &str) -> Option<usize> {
        let mut at = ROOT;
        let mut rest = topic.split('/');
        let mut name = rest.next();
        while let Some(level) = name {
            let Some(&next) = self.levels[at].below.get(level) else {
                break;
            };
            at = next;
            name = rest.next();
        }
        let Some(first) = name else {
            return Some(at);
        };
        let missing = || std::iter::once(first).chain(rest.clone());
        let names = self.names + missing().map(str::len).sum::<usize>();
        if self.levels.len() + missing().count() > self.levels_max || names > NAMES_MAX {
            return None;
        }
        self.names = names;
        for level in missing() {
            let next = self.levels.len();
            self.levels.push(Level {
                name: level.into(),
                above: at,
                ..Level::default()
            });
            self.levels[at].below.insert(level.into(), next);
            at = next;
        }
        Some(at)
    }

    /// Ends the seconds that are over.
    pub(super) fn tick(&mut self, now: Instant) {
        let mut ended = 0;
        while self.next <= now && ended < RATE_SPAN {
            self.next += Duration::from_secs(1);
            ended += 1;
        }
        if self.next <= now {
            // A machine that slept: all that is remembered is older than a rate looks.
            self.next = now + Duration::from_secs(1);
        }
        for _ in 0..ended {
            self.seconds = (self.seconds + 1).min(RATE_SPAN);
            for level in &mut self.levels {
                level.past.rotate_right(1);
                level.past[0] = std::mem::take(&mut level.fresh);
            }
        }
    }

    /// Seconds count from now on; what has come belongs to the first of them.
    pub(super) fn begin(&mut self, now: Instant) {
        self.next = now + Duration::from_secs(1);
    }

    /// Messages came on this topic or below it in the second that ended last.
    pub(super) fn was_busy(&self, at: usize) -> bool {
        self.levels[at].past[0] > 0
    }

    /// When the current second ends.
    pub(super) fn next_tick(&self) -> Instant {
        self.next
    }

    /// Messages a second here and below, over the last five whole seconds at most.
    pub(super) fn rate(&self, at: usize) -> f64 {
        let past = &self.levels[at].past[..self.seconds];
        if past.is_empty() {
            return f64::from(self.levels[at].fresh);
        }
        let sum: u64 = past.iter().map(|&count| u64::from(count)).sum();
        sum as f64 / past.len() as f64
    }

    /// The whole topic that ends at this level.
    pub(super) fn topic(&self, at: usize) -> String {
        let mut names = VecDeque::new();
        let mut here = at;
        while here != ROOT {
            names.push_front(&*self.levels[here].name);
            here = self.levels[here].above;
        }
        Vec::from(names).join("/")
    }

    /// Every topic by name, level by level.
    pub(super) fn topics(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut stack = vec![ROOT];
        while let Some(at) = stack.pop() {
            let level = &self.levels[at];
            if level.last.is_some() {
                found.push(at);
            }
            stack.extend(level.below.values().rev());
        }
        found
    }

    /// The retained message of this topic is gone.
    pub(super) fn cleared(&mut self, topic: &str) {
        let mut at = ROOT;
        for name in topic.split('/') {
            match self.levels[at].below.get(name) {
                Some(&next) => at = next,
                None => return,
            }
        }
        if let Some(last) = &mut self.levels[at].last {
            last.is_retained = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Seen<'a> {
        Seen {
            topic,
            payload,
            qos: 0,
            retain,
        }
    }

    #[test]
    fn counts_of_a_level_are_those_below_it() {
        let now = Instant::now();
        let mut tree = Tree::new(now);
        for topic in ["a/b", "a/b", "a/c", "a", "/x", ""] {
            tree.message(&seen(topic, b"1", false), now);
        }
        let a = tree.level(ROOT).below["a"];
        assert_eq!((tree.level(a).own, tree.level(a).total), (1, 4));
        assert_eq!((tree.level(a).topics, tree.level(ROOT).topics), (3, 5));
        let names: Vec<String> = tree.topics().iter().map(|&at| tree.topic(at)).collect();
        assert_eq!(names, ["", "/x", "a", "a/b", "a/c"]);
    }

    #[test]
    fn a_rate_is_the_mean_of_five_seconds() {
        let begun = Instant::now();
        let second = |count| begun + Duration::from_secs(count);
        let mut tree = Tree::new(begun);
        for _ in 0..10 {
            tree.message(&seen("a", b"", false), begun);
        }
        tree.tick(second(1));
        assert_eq!(tree.rate(ROOT), 10.0);
        tree.tick(second(2));
        assert_eq!(tree.rate(ROOT), 5.0);
        tree.tick(second(5));
        assert_eq!(tree.rate(ROOT), 2.0);
        tree.tick(second(6));
        assert_eq!(tree.rate(ROOT), 0.0);
        tree.message(&seen("a", b"", false), second(6));
        tree.tick(second(1_000));
        assert_eq!(tree.rate(ROOT), 0.2);
        assert_eq!(tree.next_tick(), second(1_001));
    }

    #[test]
    fn what_is_retained() {
        let now = Instant::now();
        let mut tree = Tree::new(now);
        let retained = |tree: &Tree| {
            let at = tree.topics()[0];
            tree.level(at)
                .last
                .as_ref()
                .is_some_and(|last| last.is_retained)
        };
        tree.message(&seen("a", b"1", true), now);
        assert!(retained(&tree));
        tree.message(&seen("a", b"2", false), now);
        assert!(retained(&tree), "the broker still has the first");
        tree.message(&seen("a", b"", true), now);
        assert!(!retained(&tree));
        tree.message(&seen("a", b"3", true), now);
        tree.cleared("a");
        tree.cleared("none");
        assert!(!retained(&tree));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let now = Instant::now();
        let mut tree = Tree::limited(now, 4);
        for topic in ["a/b", "c", "d", "a/b/c", "c"] {
            tree.message(&seen(topic, &[0; 2 * VALUE_MAX], false), now);
        }
        assert_eq!((tree.beyond, tree.level(ROOT).topics), (2, 2));
        let last = tree.level(tree.topics()[0]).last.clone().unwrap();
        assert_eq!((last.value.len(), last.size), (VALUE_MAX, 2 * VALUE_MAX));
        let mut tree = Tree::new(now);
        let long = "x".repeat(60_000);
        for number in 0..1_000 {
            tree.message(&seen(&format!("{long}{number}"), b"", false), now);
        }
        assert!(
            tree.names <= NAMES_MAX && tree.beyond > 700,
            "{}",
            tree.beyond
        );
    }
}
