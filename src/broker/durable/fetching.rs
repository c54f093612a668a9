//! Queues that are longer than memory allows: beyond a limit a queued message is only in the
//! store, and comes back when its turn is near.
//!
//! ```text
//!   queue:  [ here, here, … ][ away, away, away, … ]
//!             ^ sent next       ^ fetched, some at a time, when it gets to the front
//! ```

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::durable::record::{Kept, Record};
use crate::broker::durable::recorder::{Recorder, body_of};
use crate::broker::session::{Away, Body, Queued};
use crate::broker::shared::SessionKey;
use crate::mqtt::message::Message;

/// Messages fetched at a time, and their bytes: a few turns' worth.
const FETCHED_MAX: usize = 1_000;
const FETCHED_BYTES_MAX: usize = 1_048_576;

/// Bodies that a Session wants back.
#[derive(Debug)]
pub struct Fetch {
    session: SessionKey,
    /// Their numbers; what is found is given to [`Broker::fetched`] in the same order.
    pub bodies: Vec<u64>,
}

impl Broker {
    /// Keeps a message that was just recorded in memory, or leaves it to the store.
    pub(crate) fn keep_or_leave(&mut self, session: u32, message: Message, shared: bool) -> Body {
        let limits = &self.config.limits;
        let state = &mut self.sessions[session as usize];
        let (size, all) = (message.size(), &self.shared.here_bytes);
        let room = state.here_bytes + size <= limits.session_memory_max
            && all.load(Ordering::Relaxed) + size <= limits.queues_memory_max;
        // Behind one that is away, memory is better spent on others.
        let behind = matches!(
            state.queue.back(),
            Some(Queued {
                body: Body::Away(_),
                ..
            })
        );
        if let (true, Some(number)) = (!shared && (!room || behind), body_of(&message)) {
            let size = size as u32;
            return Body::Away(Box::new(Away { number, size }));
        }
        state.here_bytes += size;
        all.fetch_add(size, Ordering::Relaxed);
        Body::Here(message)
    }

    /// A recorded message left the queue.
    pub(crate) fn not_here(&mut self, session: u32, order: u32, size: usize) {
        if order != 0 {
            self.sessions[session as usize].here_bytes -= size;
            self.shared.not_here(size);
        }
    }

    /// Asks for the messages at the front of a queue.
    pub(crate) fn fetch(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        if std::mem::replace(&mut state.fetching, true) {
            return;
        }
        let mut bytes = 0;
        let away = state.queue.iter().map_while(|queued| match &queued.body {
            Body::Away(away) if bytes < FETCHED_BYTES_MAX => {
                bytes += away.size as usize;
                Some(away.number)
            }
            _ => None,
        });
        let bodies = away.take(FETCHED_MAX).collect();
        let session = state.key;
        self.effects.fetches.push(Fetch { session, bodies });
    }

    /// What the store has found of a [`Fetch`].
    pub fn fetched(&mut self, fetch: &Fetch, found: Vec<Option<Kept>>, now: Instant) {
        let key = fetch.session;
        let place = self.sessions.get_mut(key.slot as usize);
        let Some(state) = place.filter(|state| state.key == key) else {
            return;
        };
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        state.fetching = false;
        let mut unreadable = Vec::new();
        let asked = fetch.bodies.iter().zip(found);
        for (place, (queued, (number, kept))) in state.queue.iter_mut().zip(asked).enumerate() {
            let Body::Away(away) = &queued.body else {
                continue;
            };
            assert!(
                away.number == *number,
                "a queue changes behind what is away"
            );
            let before = away.size as usize;
            let Some(kept) = kept else {
                let (session, order) = (key.serial, queued.order);
                recorder.push(Record::Done { session, order });
                recorder.let_go_of(*number, None);
                unreadable.push((place, before));
                continue;
            };
            let expires = kept.expires.map(|at| recorder.instant(at, now));
            let message = kept.message.with_expiry(expires);
            message.set_mark(Recorder::mark(key.worker, *number));
            let size = message.size();
            state.held_bytes = state.held_bytes - before + size;
            state.here_bytes += size;
            self.shared.release(1, before);
            self.shared.hold(size);
            self.shared.here_bytes.fetch_add(size, Ordering::Relaxed);
            queued.body = Body::Here(message);
        }
        for (place, size) in unreadable.into_iter().rev() {
            self.stats.dropped_unreadable += 1;
            state.queue.remove(place);
            state.held -= 1;
            state.held_bytes -= size;
            self.shared.release(1, size);
        }
        self.pull(key.slot, now);
    }
}
