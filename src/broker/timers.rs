//! One queue of deadlines for everything that happens to Sessions by time: delayed wills, expiry
//! of Sessions. Entries are never taken out early; who is told of one checks whether it still
//! stands.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    queue: BinaryHeap<Reverse<(Instant, Deadline)>>,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Instant, deadline: Deadline) {
        self.queue.push(Reverse((at, deadline)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// The next entry that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, deadline))| deadline)
    }
}
