//! The store beside a [`Core`](crate::support::core::Core): takes each turn's records, at once or
//! when the test says so, and gives them back after a restart. What it has not taken is lost then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mqttx::broker::durable::record::Record;
use mqttx::broker::{Broker, Fetch, Restore, Shared};
use mqttx::daemon::store::Store;
use mqttx::daemon::store::memory::Memory;
use mqttx::daemon::store::rows::Table;

#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) memory: Memory,
    /// Turns wait until [`Keeper::take_turn`] is called.
    pub(crate) held: bool,
    fetches: Vec<(usize, Fetch)>,
    pending: VecDeque<(usize, u64, Vec<Record>)>,
    /// Records taken in all.
    pub(crate) taken: usize,
    shared: Option<Arc<Shared>>,
    begun: Option<Instant>,
}

impl Keeper {
    /// Milliseconds since 1970 at an instant: the first one ever seen was in 2020.
    pub(crate) fn wall(&mut self, now: Instant) -> u64 {
        let begun = *self.begun.get_or_insert(now);
        1_577_836_800_000 + now.duration_since(begun).as_millis() as u64
    }

    /// Fills brokers that were just made with all that was kept.
    pub(crate) fn restore(&mut self, shared: &Arc<Shared>, brokers: &mut [Broker], now: Instant) {
        let wall = self.wall(now);
        self.pending.clear();
        self.fetches.clear();
        self.shared = Some(Arc::clone(shared));
        let mut restore = Restore::new(brokers.len() as u16, now, wall);
        self.memory
            .load(&mut |record| restore.take(record, shared))
            .unwrap();
        for body in restore.wanted() {
            if let Some(kept) = self.memory.fetch(body).unwrap() {
                restore.take(Record::Body(body, kept), shared);
            }
        }
        let parts = restore.finish(&self.memory.bodies(), shared);
        for (broker, part) in brokers.iter_mut().zip(parts) {
            broker.record(now, wall);
            broker.adopt(part, now);
        }
    }

    /// Ends the turn of all workers. False: nobody had anything to keep.
    pub(crate) fn turn(&mut self, brokers: &mut [Broker], now: Instant) -> bool {
        let mut busy = false;
        for (worker, broker) in brokers.iter_mut().enumerate() {
            let fetches = std::mem::take(&mut broker.effects().fetches);
            self.fetches
                .extend(fetches.into_iter().map(|fetch| (worker, fetch)));
            let Some(turn) = broker.end_turn() else {
                busy |= broker.is_touched();
                continue;
            };
            let mut records = turn.records;
            records.extend(self.shared.as_ref().unwrap().take_retained_records());
            self.pending.push_back((worker, turn.number, records));
        }
        while !self.held && self.take_turn(brokers) {
            busy = true;
        }
        if !self.pending.is_empty() {
            // Behind the turns that may have brought what is asked for.
            return busy;
        }
        for (worker, fetch) in std::mem::take(&mut self.fetches) {
            busy = true;
            let found = fetch.bodies.iter();
            let found = found.map(|body| self.memory.fetch(*body).unwrap());
            brokers[worker].fetched(&fetch, found.collect(), now);
        }
        busy
    }

    /// Takes the oldest turn. False: there is none.
    pub(crate) fn take_turn(&mut self, brokers: &mut [Broker]) -> bool {
        let Some((worker, turn, records)) = self.pending.pop_front() else {
            return false;
        };
        self.taken += records.len();
        self.memory.append(&records).unwrap();
        brokers[worker].durable(turn);
        true
    }

    /// Rows of a table.
    pub(crate) fn count(&self, table: Table) -> usize {
        self.memory.count(table)
    }
}
