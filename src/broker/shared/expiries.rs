//! When retained messages expire: one entry for each that does, and none for the others. Each
//! message takes its place anew when its topic gets another.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Instant;

use crate::broker::shared::trie::NodeId;

#[derive(Default)]
pub(crate) struct Expiries {
    order: BTreeSet<(Instant, NodeId)>,
    times: HashMap<NodeId, Instant>,
}

impl Expiries {
    /// The message of a place expires then, or never.
    pub(crate) fn set(&mut self, place: NodeId, at: Option<Instant>) {
        if at.is_none() && self.times.is_empty() {
            return;
        }
        let before = match at {
            Some(at) => self.times.insert(place, at),
            None => self.times.remove(&place),
        };
        if let Some(before) = before {
            self.order.remove(&(before, place));
        }
        self.order.extend(at.map(|at| (at, place)));
    }

    /// When the next one does.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Places whose messages have expired, the oldest first.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = NodeId> + '_ {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, place)| *place)
    }
}
