//! How much a turn may do, so that nobody waits long for the next one.
//!
//! One read of a publisher whose messages go to five hundred can mean a hundred megabytes to
//! write, most of a second in which nobody else is served. So a turn stops reading when what it
//! has led to is much, and writing when it has written much; connections that did not get
//! theirs are *late*. In the next turn what is new is written first, then the late ones go on, as
//! far as the same measure goes. Publishers of much (*wide* ones) are not read from meanwhile:
//! what waits in outboxes stays what one read has led to.
//!
//! Handshakes of TLS come after all that, as many as a short time allows: a crowd that begins some
//! delays itself, and nobody who is through.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::broker::ConnectionId;
use crate::daemon::peer;
use crate::daemon::worker::Worker;

/// Bytes a turn writes of what is new, and again of what is late. A millisecond, or a few where
/// the system has to find memory for them.
const SPENT_MAX: usize = 1_048_576;

/// What a write costs beside its bytes, in bytes.
const WRITE_COST: usize = 4_096;

/// Bytes encoded for clients, messages weighed, after which a turn reads no more.
const MADE_MAX: u64 = SPENT_MAX as u64;

/// A read that leads to more than this is of a wide publisher.
const WIDE_FROM: u64 = MADE_MAX / 2;

/// Time for handshakes in a turn; one is always gone on with.
const GREETING_TIME: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Default)]
pub(crate) struct Pace {
    spent: usize,
    /// What [`Broker::made`](crate::broker::Broker::made) may come to in this turn.
    made_max: u64,
    late: VecDeque<ConnectionId>,
    /// Connections whose handshake goes on when there is time.
    newcomers: VecDeque<ConnectionId>,
}

impl Pace {
    /// A turn begins.
    pub(crate) fn begin(&mut self, made: u64) {
        self.spent = 0;
        self.made_max = made + MADE_MAX;
    }

    /// What was written so far does not count.
    pub(crate) fn renew(&mut self) {
        self.spent = 0;
    }

    /// The system was offered something, and took `bytes`.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent += bytes + WRITE_COST;
    }

    /// Whether enough was written for now.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.spent >= SPENT_MAX
    }

    /// Whether enough was read for now.
    #[inline]
    fn is_enough(&self, made: u64) -> bool {
        made >= self.made_max || self.is_spent()
    }

    /// Whether the next turn has something to do, whatever comes.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_behind() || !self.newcomers.is_empty()
    }

    /// Whether somebody is late.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        !self.late.is_empty()
    }

    /// A connection has to wait for the next turn; `late` is what it knows of that.
    pub(crate) fn put_off(&mut self, id: ConnectionId, late: &mut bool) {
        if !std::mem::replace(late, true) {
            self.late.push_back(id);
        }
    }
}

impl Worker {
    /// Reads from those who had more in the turn before, each in its turn.
    pub(crate) fn read_ready(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        let mut at = 0;
        while at < ready.len() && !self.pace.is_enough(self.broker.made()) {
            let id = ready[at];
            at += 1;
            if let Some(peer) = self.peer(id) {
                peer.listed = false;
                self.read_paced(id);
            }
        }
        if at < ready.len() {
            // They keep their places before those who came after them.
            ready.drain(..at);
            ready.append(&mut self.ready);
            self.ready = ready;
        }
    }

    /// Reads once from a connection, or lists it when this turn has enough.
    pub(crate) fn read_paced(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if peer.layers.as_ref().is_some_and(|it| it.is_greeting()) {
            if !std::mem::replace(&mut peer.listed, true) {
                self.pace.newcomers.push_back(id);
            }
            return;
        }
        let (before, was_wide) = (self.broker.made(), peer.wide);
        if was_wide && self.pace.is_behind() {
            // It would be heard if it were read from.
            self.broker.heard(id, self.now);
            return self.list(id, true);
        }
        if self.pace.is_enough(before) {
            return self.list(id, true);
        }
        self.read(id);
        let made = self.broker.made();
        let wide = made - before > WIDE_FROM;
        if wide != was_wide
            && let Some(peer) = self.peer(id)
        {
            peer.wide = wide;
        }
        if self.pace.is_enough(made) {
            // At once: whoever is read from after this must not have to stand behind it.
            self.flush();
        }
    }

    /// Goes on with handshakes for a while.
    pub(crate) fn greet(&mut self) {
        if self.pace.newcomers.is_empty() {
            return;
        }
        let until = Instant::now() + GREETING_TIME;
        while let Some(id) = self.pace.newcomers.pop_front() {
            if let Some(peer) = self.peer(id) {
                peer.listed = false;
                self.read(id);
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.flush();
    }

    /// Lets late connections have a share of this turn.
    pub(crate) fn catch_up(&mut self) {
        if self.pace.is_behind() {
            self.pace.renew();
            self.broker.set_behind(true);
            while !self.pace.is_spent()
                && let Some(id) = self.pace.late.pop_front()
            {
                if let Some(peer) = self.peer(id) {
                    peer.late = false;
                    self.write(id);
                }
            }
            self.broker.set_behind(self.pace.is_behind());
            // What that led to.
            self.flush();
            if self.pace.is_behind() {
                self.broker.set_behind(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_by_what_it_wrote_or_by_what_it_led_to() {
        let mut pace = Pace::default();
        pace.begin(500);
        assert!(!pace.is_enough(500 + MADE_MAX - 1));
        assert!(pace.is_enough(500 + MADE_MAX));
        pace.spend(SPENT_MAX - WRITE_COST - 1);
        assert!(!pace.is_spent());
        pace.spend(0);
        assert!(pace.is_spent() && pace.is_enough(500));
        pace.begin(900);
        assert!(!pace.is_spent() && !pace.is_enough(900));
    }

    #[test]
    fn who_is_late_is_late_once() {
        let (mut pace, mut late) = (Pace::default(), false);
        let id = ConnectionId { slot: 1, serial: 1 };
        pace.put_off(id, &mut late);
        pace.put_off(id, &mut late);
        assert!(late && pace.late == [id]);
    }
}
