//! What `sub` shows in place of every message: the last of each topic (`-w`), how many come
//! (`--message-rate`), some of them by chance (`--random-filter`).

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Which screen line a topic has for `-w`.
pub(crate) struct Screen {
    lines: HashMap<String, usize>,
    pub(crate) next: usize,
}

impl Screen {
    /// Below the header.
    pub(crate) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            next: 2,
        }
    }

    pub(crate) fn line(&mut self, topic: &str) -> usize {
        if let Some(line) = self.lines.get(topic) {
            return *line;
        }
        let line = self.next;
        self.next += 1;
        self.lines.insert(topic.to_owned(), line);
        line
    }
}

/// Messages of the current second, for `--message-rate`.
pub(crate) struct Rate {
    pub(crate) count: u64,
    timer: Pin<Box<Sleep>>,
}

impl Rate {
    const EVERY: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            timer: Box::pin(tokio::time::sleep(Self::EVERY)),
        }
    }

    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) -> Option<String> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return None;
        }
        let next = self.timer.deadline() + Self::EVERY;
        self.timer.as_mut().reset(next.max(Instant::now()));
        // Polled once more, so that the new deadline wakes the task.
        let _ = self.timer.as_mut().poll(cx);
        Some(format!("{} msgs/s\n", std::mem::take(&mut self.count)))
    }
}

/// Chance enough to thin out messages: xorshift, seeded by the standard library's hasher.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    pub(crate) fn of_1000(&mut self) -> u16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % 1000) as u16
    }
}
