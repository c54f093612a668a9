//! From one connection to the next: what is kept, what is sent again, and as what.
//!
//! - The broker kept the session: unanswered requests, then everything unacknowledged in its old
//!   order, PUBLISH with DUP (§4.4), then what had not been written.
//! - Version 3.1 does not say which: as if it was kept, and all subscriptions once more.
//! - The broker lost it: all subscriptions, then everything unacknowledged as new messages.

use crate::client::engine::message::Message;
use crate::client::engine::requests::Requested;
use crate::client::engine::{BATCH, BrokerLimits, Engine, Kept, OWED_MAX, Phase, Releasing, Wish};
use crate::client::handler::{Acked, Event, Handler};
use crate::mqtt::delivery::{AliasesIn, Pending};
use crate::mqtt::frame::{Scan, scan};
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId};
use crate::mqtt::publish::Publish;
use crate::mqtt::{PacketId, PacketType, Reason, Version, limits};

/// DUP in the first byte of a PUBLISH (§3.3.1.1).
const DUP: u8 = 0b1000;

impl Engine {
    /// A connection stands: CONNECT is the first thing to write.
    pub fn open(&mut self, handler: &mut impl Handler) {
        assert!(
            self.phase == Phase::Closed && self.out.is_empty(),
            "one connection at a time"
        );
        self.broker = BrokerLimits::unknown(self.options.keep_alive);
        self.aliases_in = AliasesIn::new(0);
        self.is_ping_open = false;
        self.phase = Phase::Connecting;
        let proving = self.proving();
        let client_id = self.client_id.as_deref().unwrap_or(&self.options.client_id);
        // A session that survives must not be wiped by coming back to it.
        let clean_start =
            self.options.clean_start && !(self.connections > 0 && self.options.session_survives());
        let options = proving.as_ref().unwrap_or(&self.options);
        self.encoder
            .connect(options, client_id, clean_start, &mut self.out);
        self.note_sent(0);
        self.tell_sent(handler);
    }

    /// The connection is gone. Messages of QoS 0 that were not written stay for the next one.
    pub fn closed(&mut self) {
        let out = std::mem::take(&mut self.out);
        let mut end = 0;
        for frame in frames(&out) {
            end += frame.len();
            let first = frame[0];
            if end > self.written && first >> 4 == PacketType::Publish as u8 && first & 0b0110 == 0
            {
                self.keep_unwritten(frame);
            }
        }
        self.written = 0;
        self.owed = 0;
        self.phase = Phase::Closed;
        self.sender.free_claimed();
        self.sent.clear();
        for alias in &mut self.aliases_out {
            alias.is_known = false;
        }
    }

    /// An alias means nothing on another connection: its topic takes its place.
    fn keep_unwritten(&mut self, frame: &[u8]) {
        let version = self.options.version;
        if self.aliases_out.is_empty() {
            self.unwritten.extend_from_slice(frame);
            return;
        }
        let Ok(Scan::Head(head)) = scan(frame, limits::PACKET_SIZE_MAX) else {
            return;
        };
        let Ok(publish) = Publish::decode(head.first, &frame[head.head_len..], version) else {
            return;
        };
        let alias = publish.properties.two(PropertyId::TopicAlias);
        let known = self
            .aliases_out
            .iter()
            .find(|known| Some(known.alias) == alias);
        let topic = match known {
            Some(known) if publish.topic.is_empty() => &known.topic,
            _ => publish.topic,
        };
        let mut properties = PropertiesBuf::new();
        properties.extend_filtered(publish.properties, |id| id != PropertyId::TopicAlias);
        let message = Message {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            properties: properties.properties(),
        };
        self.encoder.publish(&message, None, &mut self.unwritten);
    }

    /// CONNACK came: takes up where the last connection ended.
    pub(super) fn resume<H: Handler>(&mut self, session_present: bool, handler: &mut H) {
        // Version 3.1 has no word for it. Messages go on as if there were a Session, which does no
        // harm where there is none; as new ones they would come twice.
        let is_unsaid = self.options.version == Version::V31
            && self.options.session_survives()
            && self.connections > 1;
        let session_present = session_present || is_unsaid;
        if !session_present {
            self.start_anew(handler);
        }
        let mut requests = std::mem::take(&mut self.requests);
        requests.retain_mut(|request| {
            let is_open = request.packet_id.take().is_some();
            let is_subscribe = matches!(request.what, Requested::Subscribe(_));
            let again = if session_present {
                is_open || (is_unsaid && is_subscribe)
            } else {
                is_subscribe
            };
            if again {
                // All identifiers are free but those in flight, and they are fewer than 65,535.
                let _ = self.put_request(request);
            }
            is_subscribe || again
        });
        self.requests = requests;
        if session_present {
            self.resend();
        }
        if !self.unwritten.is_empty() {
            let unwritten = std::mem::take(&mut self.unwritten);
            for frame in frames(&unwritten) {
                let start = self.out.len();
                self.out.extend_from_slice(frame);
                self.note_sent(start);
            }
        }
        self.start_waiting();
        if self.wish == Wish::Finish {
            self.phase = Phase::Draining;
        }
    }

    /// [MQTT-4.4.0-1], in the order of the first sending.
    fn resend(&mut self) {
        for releasing in self.releasing.values_mut() {
            releasing.is_repeated = true;
        }
        for (id, pending) in self.sender.resend() {
            let start = self.out.len();
            match pending {
                Pending::Publish(_, kept) => {
                    self.out.extend_from_slice(&kept.frame);
                    self.out[start] |= DUP; // [MQTT-3.3.1-1]
                    let id_at = start + kept.id_at;
                    self.out[id_at..id_at + 2].copy_from_slice(&id.value().to_be_bytes());
                }
                Pending::Pubrel => self.encoder.ack(PacketType::Pubrel, id, &mut self.out),
            }
            if self.options.trace {
                self.sent.push(self.out[start..].into());
            }
        }
    }

    /// A broker that answered PUBREC has taken the message over (§4.3.3), so what was between
    /// PUBREC and PUBCOMP is done; everything else begins again, without DUP.
    fn start_anew<H: Handler>(&mut self, handler: &mut H) {
        self.receiver.clear();
        let lost: Vec<Kept> = self.sender.drain();
        self.waiting_bytes += lost.iter().map(|kept| kept.frame.len()).sum::<usize>();
        for kept in lost.into_iter().rev() {
            self.waiting.push_front(kept);
        }
        let mut taken: Vec<(PacketId, Releasing)> = self.releasing.drain().collect();
        taken.sort_by_key(|(_, releasing)| releasing.ticket);
        for (packet_id, Releasing { ticket, .. }) in taken {
            let acked = Acked {
                ticket,
                packet_id,
                reason: Reason::SUCCESS,
                properties: Properties::EMPTY,
            };
            handler.handle(Event::Acked(acked), self);
        }
    }

    /// What is still to be written.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// `count` bytes of [`pending`](Self::pending) were written.
    #[inline]
    pub fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
            self.owed = 0;
        } else if self.written >= BATCH && self.written * 2 >= self.out.len() {
            self.forget_written();
        }
    }

    /// With a slow reader the buffer may never run empty: what is written is cut off, whole packets
    /// only, because [`closed`](Self::closed) must find where they begin.
    fn forget_written(&mut self) {
        let mut end = 0;
        for frame in frames(&self.out) {
            if end + frame.len() > self.written {
                break;
            }
            end += frame.len();
        }
        self.out.drain(..end);
        self.written -= end;
    }

    /// The broker sends what has to be answered and does not take the answers: it is not listened
    /// to before it does.
    #[inline]
    pub(crate) fn is_choked(&self) -> bool {
        self.owed > OWED_MAX
    }

    /// Gives the emptied write buffer away, or takes one; an idle connection needs none.
    pub(crate) fn swap_out(&mut self, buffer: &mut Vec<u8>) {
        assert!(
            self.out.is_empty() && buffer.is_empty(),
            "bytes would be lost"
        );
        std::mem::swap(&mut self.out, buffer);
    }

    pub(crate) fn out_capacity(&self) -> usize {
        self.out.capacity()
    }

    /// Whether a flood goes on; copies as much of it as there is room for.
    pub(crate) fn pour(&mut self) -> bool {
        let Some((prepared, mut left)) = self.flood.take() else {
            return false;
        };
        while left > 0 && self.room() && self.send(&prepared, |_| {}).is_ok() {
            left -= 1;
        }
        let goes_on = left > 0;
        if goes_on {
            self.flood = Some((prepared, left));
        }
        goes_on
    }

    /// Nothing is owed to the handler any more: a wish to finish can be granted.
    pub(crate) fn is_drained(&self) -> bool {
        self.phase == Phase::Draining && self.sender.inflight() == 0 && self.waiting.is_empty()
    }

    /// No received message waits for its PUBREL.
    pub(crate) fn is_released(&self) -> bool {
        self.receiver.is_empty()
    }

    /// The handler wants no other connection, or has nothing left to say on one.
    pub(crate) fn is_done(&self) -> bool {
        match self.wish {
            Wish::Stay => false,
            Wish::Finish => self.unacknowledged() == 0 && self.unwritten.is_empty(),
            Wish::Leave => true,
        }
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    pub(crate) fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting
    }

    pub(crate) fn pings(&self) -> u64 {
        self.pings
    }

    pub(crate) fn is_ping_open(&self) -> bool {
        self.is_ping_open
    }

    /// In seconds, as the broker wishes it.
    pub(crate) fn keep_alive(&self) -> u16 {
        self.broker.keep_alive
    }
}

/// The whole packets in bytes of our own making.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let Ok(Scan::Head(head)) = scan(rest, limits::PACKET_SIZE_MAX) else {
            return None;
        };
        let (frame, after) = rest.split_at_checked(head.total())?;
        rest = after;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::options::Options;
    use crate::mqtt::Version;
    use crate::net::Dial;
    use crate::net::address::Address;

    struct Quiet;

    impl Handler for Quiet {
        fn handle(&mut self, _: Event<'_>, _: &mut Engine) {}
    }

    fn connected(version: Version) -> Engine {
        let mut options = Options::new(Dial::new(Address::tcp("h", 1)));
        options.version = version;
        let mut engine = Engine::new(options);
        engine.open(&mut Quiet);
        engine.wrote(engine.pending().len());
        welcome(&mut engine);
        engine
    }

    fn welcome(engine: &mut Engine) {
        let connack: &[u8] = match engine.options().version {
            Version::V5 => &[0x20, 3, 0, 0, 0],
            _ => &[0x20, 2, 0, 0],
        };
        let Ok(Scan::Head(head)) = scan(connack, limits::PACKET_SIZE_MAX) else {
            panic!()
        };
        engine.handle(head, connack, &mut Quiet).unwrap();
    }

    #[test]
    fn what_is_written_is_cut_off_and_what_is_not_is_kept() {
        for version in Version::ALL {
            let mut engine = connected(version);
            let mut written = 0;
            let payload = [b'x'; 100];
            for _ in 0..3_000 {
                engine.publish(&Message::new("topic", &payload)).unwrap();
            }
            let whole = engine.pending().to_vec();
            let frame_len = whole.len() / 3_000;
            for step in [1, 50_000, 13, 150_000, 40_000, 9] {
                engine.wrote(step);
                written += step;
                assert_eq!(engine.pending(), &whole[written..]);
                assert!(engine.written <= BATCH.max(engine.out.len() / 2 + frame_len));
            }
            engine.closed();
            assert_eq!(engine.unwritten(), 3_000 - written / frame_len);
            // On the next connection they go out again, the half-written one whole.
            engine.open(&mut Quiet);
            engine.wrote(engine.pending().len());
            welcome(&mut engine);
            assert_eq!(engine.pending(), &whole[written / frame_len * frame_len..]);
            assert_eq!(engine.unwritten(), 0);
        }
    }
}
