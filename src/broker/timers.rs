//! One queue of deadlines for everything that happens to Sessions by time: delayed wills, expiry
//! of Sessions. A Session has one entry of each kind at most, whatever its client does; who is told
//! of one checks whether it still stands.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::broker::shared::SessionKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The Will Delay Interval of a Session has passed.
    Will(SessionKey),
    /// The Session Expiry Interval has passed.
    Session(SessionKey),
}

#[derive(Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, Deadline)>,
}

impl Timers {
    /// Makes sure of an entry at `at` or before. `entry` is when the one there is lies, if any.
    pub(crate) fn wake_by(&mut self, entry: &mut Option<Instant>, at: Instant, deadline: Deadline) {
        if entry.is_some_and(|before| before <= at) {
            return;
        }
        self.remove(entry.replace(at), deadline);
        self.queue.insert((at, deadline));
    }

    /// Takes the entry out that lies at `at`.
    pub(crate) fn remove(&mut self, at: Option<Instant>, deadline: Deadline) {
        if let Some(at) = at {
            self.queue.remove(&(at, deadline));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// The next entry that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, deadline)| deadline)
    }
}
