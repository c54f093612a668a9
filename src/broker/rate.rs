//! How much one client may publish a second: `message_rate_max` and `byte_rate_max`. Whoever sends
//! more is not read from until its share has grown again, so the network holds it back whatever
//! the QoS, and nothing is lost; Keep Alive waits as long. Where neither limit is set, a read costs
//! one look at a flag.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::Next;
use crate::broker::Paused;
use crate::broker::Receipt;
use crate::broker::What;
use crate::broker::connection::ConnectionId;
use crate::broker::limits::Limits;
use crate::mqtt::frame::{self, Scan};

/// The log tells of a client that is held back so often at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// As much as sums of small times may be wrong by.
const HAIR: f64 = 1e-6;

/// What a connection may still send. A second's worth may come at once.
pub(crate) struct Allowance {
    messages: f64,
    bytes: f64,
    since: Instant,
    /// It is not read from until then.
    until: Option<Instant>,
    told: Option<Instant>,
}

impl Limits {
    /// Whether what one client publishes is limited.
    pub(crate) fn is_rated(&self) -> bool {
        self.message_rate_max > 0 || self.byte_rate_max > 0
    }
}

impl Allowance {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            messages: f64::from(limits.message_rate_max),
            bytes: limits.byte_rate_max as f64,
            since: now,
            until: None,
            told: None,
        }
    }

    fn grow(&mut self, limits: &Limits, now: Instant) {
        let time = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        let (messages, bytes) = rates(limits);
        self.messages = (self.messages + time * messages).min(messages);
        self.bytes = (self.bytes + time * bytes).min(bytes);
    }

    /// Time until the next packet may come; `None`: it may come now.
    fn wait(&self, limits: &Limits) -> Option<Duration> {
        let (messages, bytes) = rates(limits);
        let time = |left: f64, least: f64, rate: f64| match rate > 0.0 && left < least - HAIR {
            true => (least - left) / rate,
            false => 0.0,
        };
        // A whole message, and any of the bytes: a packet may be larger than a second's worth.
        let wait = time(self.messages, 1.0, messages).max(time(self.bytes, 0.0, bytes));
        (wait > 0.0).then(|| Duration::from_secs_f64(wait.max(0.001)))
    }
}

fn rates(limits: &Limits) -> (f64, f64) {
    let messages = f64::from(limits.message_rate_max);
    (messages, limits.byte_rate_max as f64)
}

const WAIT: Receipt = Receipt {
    used: 0,
    next: Next::Wait,
};

impl Broker {
    /// As [`receive`](Self::receive), packet by packet, as far as the client's share goes.
    pub(crate) fn receive_rated(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        shared: Option<&Bytes>,
        now: Instant,
    ) -> Receipt {
        let mut used = 0;
        loop {
            if self.is_held_back(id, now) {
                return Receipt { used, ..WAIT };
            }
            let rest = &bytes[used..];
            let total = match frame::scan(rest, usize::MAX) {
                Ok(Scan::Head(head)) if head.total() <= rest.len() => head.total(),
                // Not a whole packet, or none at all: nothing to count.
                _ => {
                    let receipt = self.receive_all(id, rest, shared, now);
                    let used = used + receipt.used;
                    return Receipt { used, ..receipt };
                }
            };
            let receipt = self.receive_all(id, &rest[..total], shared, now);
            used += receipt.used;
            self.charge(id, &rest[..receipt.used], now);
            if receipt.used < total || receipt.next != Next::Read(0) {
                return Receipt { used, ..receipt };
            }
        }
    }

    /// Whether a connection is not to be read from yet; if so it is told when it is.
    pub(crate) fn is_held_back(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(connection) = self.connection_mut(id) else {
            return false;
        };
        let until = connection.allowance.as_mut().map(|held| &mut held.until);
        match until {
            Some(Some(until)) if now < *until => {
                let until = *until;
                self.paused.push(Paused {
                    connection: id,
                    until,
                });
                true
            }
            Some(until @ Some(_)) => {
                *until = None;
                // The pause for a slow subscriber counts from when it begins.
                connection.paused_since = None;
                false
            }
            _ => false,
        }
    }

    /// Takes whole packets from the share of a connection.
    pub(crate) fn charge(&mut self, id: ConnectionId, packets: &[u8], now: Instant) {
        let Some(&first) = packets.first() else {
            return;
        };
        let limits = &self.config.limits;
        let place = self.connections.get_mut(id.slot as usize);
        let Some(connection) = place.filter(|connection| connection.id == id) else {
            return;
        };
        if connection.session().is_none() || first >> 4 != 3 {
            return;
        }
        let allowance = &mut connection.allowance;
        let allowance = allowance.get_or_insert_with(|| Box::new(Allowance::new(limits, now)));
        allowance.grow(limits, now);
        allowance.messages -= 1.0;
        allowance.bytes -= packets.len() as f64;
        let Some(wait) = allowance.wait(limits) else {
            return;
        };
        allowance.until = Some(now + wait);
        connection.paused_since = Some(now);
        let told = allowance.told.replace(now);
        let silent = told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY);
        if silent {
            allowance.told = told;
        }
        self.stats.rate_pauses += 1;
        if !silent {
            self.event(id.slot, What::HeldBack);
        }
    }
}
