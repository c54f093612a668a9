//! Writes what happens in a [`Core`](crate::support::core::Core) to stderr, for whoever reads what
//! one seed of the simulation does.

use std::time::Instant;

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::{Packet, Version};

use crate::support::packets;

pub(crate) struct Teller {
    began: Instant,
}

impl Teller {
    pub(crate) fn new(began: Instant) -> Self {
        Self { began }
    }

    pub(crate) fn tell(&self, now: Instant, what: &str) {
        let at = now.duration_since(self.began).as_secs_f64();
        eprintln!("{at:9.3} {what}");
    }

    /// Whole packets that somebody sent or got.
    pub(crate) fn packets(&self, now: Instant, who: &str, version: Version, mut bytes: &[u8]) {
        while let Ok(Scan::Head(head)) = scan(bytes, PACKET_SIZE_MAX) {
            let (frame, rest) = bytes.split_at(head.total());
            bytes = rest;
            let packet = Packet::decode(frame, version).unwrap();
            self.tell(now, &format!("{who} {}", packets::render(&packet)));
        }
    }
}
