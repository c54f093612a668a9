//! Packets for a log that wants each of them: as they came, and as the system took them. Only with
//! `trace_packets`; otherwise nothing of this is touched.

use std::io::IoSlice;

use crate::broker::Broker;
use crate::broker::SLICES_MAX;
use crate::broker::connection::{ConnectionId, Phase};
use crate::broker::event::{Event, What};
use crate::mqtt::connect::Connect;
use crate::mqtt::frame::{self, Scan};

/// Names no connection.
const NO_CONNECTION: ConnectionId = ConnectionId {
    slot: u32::MAX,
    serial: 0,
};

impl Broker {
    /// A CONNECT that was accepted; without its password, which is nobody else's business.
    pub(crate) fn trace_connect(&mut self, slot: u32, connect: &Connect<'_>) {
        if !self.config.trace_packets {
            return;
        }
        let mut frame = Vec::new();
        let told = Connect {
            password: None,
            ..*connect
        };
        told.encode(connect.version, &mut frame);
        self.tell_received(slot, &frame);
    }

    /// A packet that came, but for CONNECT.
    pub(crate) fn trace_received(&mut self, slot: u32, frame: &[u8]) {
        let is_connect = || frame.first().is_some_and(|first| first >> 4 == 1);
        if self.config.trace_packets && !is_connect() {
            self.tell_received(slot, frame);
        }
    }

    fn tell_received(&mut self, slot: u32, frame: &[u8]) {
        let connection = &self.connections[slot as usize];
        if matches!(connection.phase, Phase::Open(_)) {
            let what = What::Packet {
                sent: false,
                version: connection.version,
                frame: frame.into(),
            };
            self.event(slot, what);
        }
    }

    /// From now on Subscriptions and packets are told of, or not.
    pub fn set_trace(&mut self, subscriptions: bool, packets: bool) {
        self.config.trace = subscriptions;
        if packets == self.config.trace_packets {
            return;
        }
        self.config.trace_packets = packets;
        self.singly = self.config.looks_at_each();
        for (_, connection) in &mut self.connections {
            let untraced = !connection.outbox.is_empty();
            if untraced || connection.seldom.is_some() {
                let seldom = connection.seldom();
                seldom.traced = Vec::new();
                seldom.untraced = untraced;
            }
        }
    }

    /// The system is about to have taken `count` bytes.
    pub(crate) fn trace_sent(&mut self, id: ConnectionId, count: usize) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        let (version, left) = (connection.version, connection.outbox.len());
        let seldom = connection.seldom();
        if seldom.untraced {
            seldom.untraced = count < left;
            return;
        }
        let mut traced = std::mem::take(&mut seldom.traced);
        let mut left = count;
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = connection.outbox.slices(&mut slices);
        for slice in &slices[..filled] {
            let taken = left.min(slice.len());
            traced.extend_from_slice(&slice[..taken]);
            left -= taken;
        }
        let mut at = 0;
        while let Ok(Scan::Head(head)) = frame::scan(&traced[at..], usize::MAX) {
            let Some(frame) = traced.get(at..at + head.total()) else {
                break;
            };
            at += head.total();
            let frame = frame.into();
            let what = What::Packet {
                sent: true,
                version,
                frame,
            };
            self.event(id.slot, what);
        }
        traced.drain(..at);
        traced.shrink_to_fit();
        self.connections[id.slot as usize].seldom().traced = traced;
    }

    /// A Session is over whose client stayed away.
    pub(crate) fn note_expired(&mut self, session: u32) {
        self.effects.events.push(Event {
            connection: NO_CONNECTION,
            client_id: self.sessions[session as usize].client_id.clone(),
            what: What::Expired,
        });
    }
}
