//! Bytes of one connection become packets, and each packet goes to its place (§3, §4.13).

use std::time::Instant;

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::Next;
use crate::broker::Receipt;
use crate::broker::connection::{Cause, ConnectionId, Phase};
use crate::broker::durable::gate::gated;
use crate::broker::durable::record::Record;
use crate::broker::outbox::SHARE_FROM;
use crate::mqtt::Packet;
use crate::mqtt::PacketId;
use crate::mqtt::PacketType;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::Violation;
use crate::mqtt::ack::{self, Ack};
use crate::mqtt::delivery::Pubrec;
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::frame::{self, Head, Scan};
use crate::mqtt::property::{Properties, PropertyId};

const SECOND_CONNECT: &str = "a second CONNECT";
const SERVERS_OWN: &str = "a packet that only servers send";
const NO_METHOD: &str = "AUTH without the Authentication Method of CONNECT";

/// What a packet leads to for those behind it.
pub(crate) enum Step {
    Done,
    /// Not handled: give it again after the pause.
    Pause,
    Move(u16),
    Stop,
}

/// Bytes of a packet that are still due while its parts keep the connection alive. Single bytes
/// of a small packet do not: one each minute would hold a connection for ever.
pub const ALIVE_WHILE_DUE: usize = 1_000;

/// Bytes of a packet, and whether they may be kept instead of copied.
#[derive(Clone, Copy)]
pub(crate) enum Frame<'a> {
    Borrowed(&'a [u8]),
    /// A part of a larger buffer: good to write from, not to keep.
    Part(&'a Bytes),
    /// A packet in memory of its own.
    Whole(&'a Bytes),
}

impl<'a> Frame<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Part(bytes) | Self::Whole(bytes) => bytes,
        }
    }
}

impl Broker {
    /// Takes all whole packets at the front of `bytes`.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> Receipt {
        self.receive_from(id, bytes, None, now)
    }

    /// The same for bytes that outboxes may write from, so that long runs and large payloads are
    /// not copied.
    pub fn receive_shared(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) -> Receipt {
        self.receive_from(id, bytes, Some(bytes), now)
    }

    fn receive_from(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        shared: Option<&Bytes>,
        now: Instant,
    ) -> Receipt {
        match self.rated {
            false => self.receive_all(id, bytes, shared, now),
            true => self.receive_rated(id, bytes, shared, now),
        }
    }

    /// All whole packets, however many.
    pub(crate) fn receive_all(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        shared: Option<&Bytes>,
        now: Instant,
    ) -> Receipt {
        let (mut used, mut packets) = (0, 0);
        let next = loop {
            let size_max = match self.size_max(id) {
                Ok(size_max) => size_max,
                Err(next) => break next,
            };
            let rest = &bytes[used..];
            let head = match self.head(id.slot, rest, size_max, now) {
                Ok(head) => head,
                Err(next) => break next,
            };
            if head.first & 0xf7 == 0x30
                && let Phase::Open(session) = self.connections[id.slot as usize].phase
            {
                match self.take_run(id.slot, session, rest, head, shared, now) {
                    Ok((0, _)) => break Next::Wait,
                    Ok((taken, count)) => {
                        used += taken;
                        packets += u64::from(count);
                        continue;
                    }
                    Err(violation) => {
                        self.violate(id.slot, violation, now);
                        break Next::Stop;
                    }
                }
            }
            if self.short_ack(id.slot, head, &rest[head.head_len..], now) {
                used += head.total();
                packets += 1;
                continue;
            }
            let frame = &rest[..head.total()];
            let part = shared
                .filter(|_| frame.len() >= SHARE_FROM)
                .map(|whole| whole.slice_ref(frame));
            let frame = part.as_ref().map_or(Frame::Borrowed(frame), Frame::Part);
            match self.packet(id.slot, frame, now) {
                Step::Done => {
                    used += head.total();
                    packets += 1;
                }
                Step::Pause => break Next::Wait,
                Step::Move(worker) => break Next::Move(worker),
                Step::Stop => {
                    self.count_received(id, head.total(), 1);
                    break Next::Stop;
                }
            }
        };
        self.count_received(id, used, packets);
        self.note_life(id, used, next, bytes.len() - used, now);
        if self.config.workers > 1 {
            self.note_audience(id.slot);
        }
        Receipt { used, next }
    }

    /// The head of the whole packet at the front of `bytes`, or what to do in place of taking it.
    #[inline]
    fn head(
        &mut self,
        slot: u32,
        bytes: &[u8],
        size_max: usize,
        now: Instant,
    ) -> Result<Head, Next> {
        let violation = match frame::scan(bytes, size_max) {
            Ok(Scan::More) => return Err(Next::Read(0)),
            Ok(Scan::Head(head)) if self.is_outsized(head) => {
                let what = "a packet other than PUBLISH above control_size_max";
                Violation::new(Reason::QUOTA_EXCEEDED, what)
            }
            Ok(Scan::Head(head)) if head.total() > bytes.len() => {
                return Err(Next::Read(head.total()));
            }
            Ok(Scan::Head(head)) => return Ok(head),
            Err(violation) => violation,
        };
        self.violate(slot, violation, now);
        Err(Next::Stop)
    }

    fn count_received(&mut self, id: ConnectionId, bytes: usize, packets: u64) {
        self.stats.bytes_received += bytes as u64;
        self.stats.packets_received += packets;
        if let Some(connection) = self.connection_mut(id) {
            connection.traffic.bytes_received += bytes as u64;
        }
    }

    /// Whether this is a packet that keeps the worker busy for its size alone: a SUBSCRIBE of the
    /// largest size has some sixty million filters. CONNECT has a limit of its own.
    fn is_outsized(&self, head: Head) -> bool {
        head.total() > self.config.limits.control_size_max && !matches!(head.first >> 4, 1 | 3)
    }

    /// An acknowledgement without reason and properties, which is nearly all
    /// of them: it needs no decoding. False: it is something else.
    #[inline]
    fn short_ack(&mut self, slot: u32, head: Head, body: &[u8], now: Instant) -> bool {
        let Phase::Open(session) = self.connections[slot as usize].phase else {
            return false;
        };
        if self.config.trace_packets {
            return false;
        }
        let (2, [high, low, ..]) = (head.body_len, body) else {
            return false;
        };
        let Some(id) = PacketId::new(u16::from_be_bytes([*high, *low])) else {
            return false;
        };
        match head.first {
            0x40 => self.puback(session, id, now),
            0x50 => self.pubrec(slot, session, &Ack::success(id), now),
            0x62 => self.pubrel(slot, session, id),
            0x70 => self.pubcomp(session, id, now),
            _ => return false,
        }
        true
    }

    /// See [`heard`](Self::heard); `left` bytes wait for the rest of their packet.
    fn note_life(&mut self, id: ConnectionId, used: usize, next: Next, left: usize, now: Instant) {
        let due = match next {
            Next::Read(total) => total.saturating_sub(left),
            _ => 0,
        };
        if used > 0 || due > ALIVE_WHILE_DUE {
            self.heard(id, now);
        }
    }

    /// The largest packet this connection may send now, or what to do in place of reading one.
    fn size_max(&mut self, id: ConnectionId) -> Result<usize, Next> {
        let limits = &self.config.limits;
        let place = self.connections.get_mut(id.slot as usize);
        let Some(connection) = place.filter(|connection| connection.id == id) else {
            return Err(Next::Stop);
        };
        let size_max = match connection.phase {
            Phase::Waiting | Phase::Answering(_) => limits.connect_size_max,
            Phase::Open(_) => connection.size_max,
            // Neither reads on before a verdict, so that nobody fills memory unasked.
            Phase::Asking(_) => return Err(Next::Wait),
            Phase::Closing(_) => return Err(Next::Stop),
        };
        if connection.answered > limits.outbox_bytes_max {
            // Whoever asks without reading the answers fills the memory of others.
            connection.unheard = true;
            return Err(Next::Wait);
        }
        Ok(size_max)
    }

    /// Something came that counts as a sign of life (§3.1.2.10): a whole packet, or a part of one
    /// that is too large to come at once.
    pub fn heard(&mut self, id: ConnectionId, now: Instant) {
        let ticks = self.ticks(now);
        if let Some(connection) = self.connection_mut(id) {
            // Before CONNACK nothing counts: the time for CONNECT covers all that leads to it.
            if matches!(connection.phase, Phase::Open(_)) {
                connection.last_received = ticks;
            }
        }
    }

    /// Takes one whole packet, kept by reference: for those too large to copy.
    pub fn receive_frame(&mut self, id: ConnectionId, frame: &Bytes, now: Instant) -> Receipt {
        if self.rated && self.is_held_back(id, now) {
            return Receipt {
                used: 0,
                next: Next::Wait,
            };
        }
        let ticks = self.ticks(now);
        let Some(connection) = self.connection_mut(id) else {
            return Receipt {
                used: 0,
                next: Next::Stop,
            };
        };
        match connection.phase {
            Phase::Asking(_) => {
                return Receipt {
                    used: 0,
                    next: Next::Wait,
                };
            }
            Phase::Closing(_) => {
                return Receipt {
                    used: 0,
                    next: Next::Stop,
                };
            }
            Phase::Open(_) => connection.last_received = ticks,
            Phase::Waiting | Phase::Answering(_) => {}
        }
        let next = match self.packet(id.slot, Frame::Whole(frame), now) {
            Step::Done => {
                self.count_received(id, frame.len(), 1);
                if self.rated {
                    self.charge(id, frame, now);
                }
                return Receipt {
                    used: frame.len(),
                    next: Next::Read(0),
                };
            }
            Step::Pause => Next::Wait,
            Step::Move(worker) => Next::Move(worker),
            Step::Stop => {
                self.count_received(id, frame.len(), 1);
                Next::Stop
            }
        };
        Receipt { used: 0, next }
    }

    fn packet(&mut self, slot: u32, frame: Frame<'_>, now: Instant) -> Step {
        self.trace_received(slot, frame.bytes());
        let connection = &self.connections[slot as usize];
        let version = connection.version;
        let decoded = Packet::decode(frame.bytes(), version);
        let session = match connection.phase {
            Phase::Open(session) => session,
            Phase::Answering(_) => return self.exchange_step(slot, decoded, now),
            _ => return self.before_connect(slot, frame, decoded, now),
        };
        let packet = match decoded {
            Ok(packet) => packet,
            Err(violation) => {
                let violation = self.uncalled(slot, frame.bytes()).unwrap_or(violation);
                let kind = frame.bytes().first();
                let kind = kind.and_then(|first| PacketType::from_first(*first));
                return self.violate_in(slot, kind, violation, now);
            }
        };
        match packet {
            Packet::Publish(publish) => match self.publish(slot, session, &publish, frame, now) {
                Ok(step) => return step,
                Err(violation) => return self.violate(slot, violation, now),
            },
            // [MQTT-3.4.2-1] [MQTT-3.5.2-1]
            Packet::Puback(ack) | Packet::Pubrec(ack) if ack.reason == Reason::PACKET_TOO_LARGE => {
                return self.break_rule(slot, "a Reason Code this packet does not have", now);
            }
            Packet::Puback(ack) => self.puback(session, ack.packet_id, now),
            Packet::Pubrec(ack) => self.pubrec(slot, session, &ack, now),
            Packet::Pubrel(ack) => self.pubrel(slot, session, ack.packet_id),
            Packet::Pubcomp(ack) => self.pubcomp(session, ack.packet_id, now),
            Packet::Subscribe(subscribe) => self.subscribe(slot, session, &subscribe, now),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(slot, session, &unsubscribe),
            Packet::Pingreq => {
                // [MQTT-3.12.4-1]
                self.append(slot, &[0xd0, 0]);
            }
            Packet::Disconnect(disconnect) => {
                return self.disconnected(slot, session, &disconnect, now);
            }
            Packet::Auth(auth) => return self.auth(slot, &auth, now),
            // [MQTT-3.1.0-2]
            Packet::Connect(_) => return self.break_rule(slot, SECOND_CONNECT, now),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                return self.break_rule(slot, SERVERS_OWN, now);
            }
        }
        Step::Done
    }

    /// What is wrong with a packet whatever is in it: its kind.
    fn uncalled(&self, slot: u32, frame: &[u8]) -> Option<Violation> {
        let first = *frame.first()?;
        let what = match first >> 4 {
            1 => SECOND_CONNECT,
            2 => SERVERS_OWN,
            9 | 11 | 13 if first & 0x0f == 0 => SERVERS_OWN,
            15 if self.connections[slot as usize].exchange.is_none() => NO_METHOD,
            _ => return None,
        };
        Some(Violation::protocol_error(what))
    }

    /// The first packet must be CONNECT [MQTT-3.1.0-1]; others end the connection without a word.
    fn before_connect(
        &mut self,
        slot: u32,
        frame: Frame<'_>,
        decoded: Result<Packet<'_>, Violation>,
        now: Instant,
    ) -> Step {
        match decoded {
            Ok(Packet::Connect(connect)) => {
                let step = self.connect(slot, &connect, frame.bytes(), now);
                self.trace_connect(slot, &connect);
                step
            }
            Ok(_) => self.break_rule(slot, "a packet before CONNECT", now),
            Err(violation) => self.connect_malformed(slot, frame.bytes(), violation, now),
        }
    }

    fn puback(&mut self, session: u32, id: PacketId, now: Instant) {
        let state = &mut self.sessions[session as usize];
        if let Some(kept) = state.sender.puback(id) {
            if let Some(message) = kept.message {
                self.note_done(session, kept.order, &message);
                self.landed(session, &message);
            }
            if self.sessions[session as usize].has_waiting() {
                self.pull(session, now);
            }
        }
    }

    fn pubrec(&mut self, slot: u32, session: u32, ack: &Ack<'_>, now: Instant) {
        let state = &mut self.sessions[session as usize];
        match state.sender.pubrec(ack.packet_id, ack.reason.is_error()) {
            Pubrec::Release(kept) => {
                if let Some(kept) = kept
                    && let Some(message) = kept.message
                {
                    self.note_released(session, kept.order, ack.packet_id, &message);
                    self.landed(session, &message);
                }
                self.acknowledge(slot, PacketType::Pubrel, ack.packet_id, Reason::SUCCESS);
            }
            Pubrec::Ended(kept) => {
                if let Some(message) = kept.message {
                    self.note_done(session, kept.order, &message);
                    self.landed(session, &message);
                }
                self.pull(session, now);
            }
            Pubrec::Unknown if ack.reason.is_error() => {}
            Pubrec::Unknown => {
                let reason = self.unknown_id();
                self.acknowledge(slot, PacketType::Pubrel, ack.packet_id, reason);
            }
        }
    }

    fn unknown_id(&self) -> Reason {
        match self.config.profile.unknown_ids_told {
            true => Reason::PACKET_ID_NOT_FOUND,
            false => Reason::SUCCESS,
        }
    }

    fn pubrel(&mut self, slot: u32, session: u32, id: PacketId) {
        let known = self.sessions[session as usize].receiver.release(id);
        let reason = if known {
            self.note(session, |session| Record::Answered {
                session,
                packet_id: id,
            });
            Reason::SUCCESS
        } else {
            self.unknown_id()
        };
        self.acknowledge(slot, PacketType::Pubcomp, id, reason);
    }

    fn pubcomp(&mut self, session: u32, id: PacketId, now: Instant) {
        let state = &mut self.sessions[session as usize];
        if state.sender.pubcomp(id) {
            self.note(session, |session| Record::Completed {
                session,
                packet_id: id,
            });
            if self.sessions[session as usize].has_waiting() {
                self.pull(session, now);
            }
        }
    }

    /// An acknowledgement; before v5 there are no reasons, only success.
    pub(crate) fn acknowledge(
        &mut self,
        slot: u32,
        kind: PacketType,
        id: PacketId,
        reason: Reason,
    ) {
        let connection = &mut self.connections[slot as usize];
        let v5 = connection.version.is_v5();
        let recorder = self.recorder.as_mut();
        let added = gated(recorder, connection, &mut self.spare, |outbox, spare| {
            outbox.encode(spare, |out| {
                if v5 && reason != Reason::SUCCESS {
                    ack::put_ack_reason(kind, id, reason, Properties::EMPTY, out);
                } else {
                    ack::put_ack(kind, id, out);
                }
            })
        });
        self.stats.answers_sent += 1;
        connection.answered += added;
        self.touch(slot);
    }

    /// Appends the bytes of an answer.
    pub(crate) fn append(&mut self, slot: u32, bytes: &[u8]) {
        let connection = &mut self.connections[slot as usize];
        connection.outbox.append(&mut self.spare, bytes);
        connection.answered += bytes.len();
        self.stats.answers_sent += 1;
        self.touch(slot);
    }

    fn disconnected(
        &mut self,
        slot: u32,
        session: u32,
        disconnect: &Disconnect<'_>,
        now: Instant,
    ) -> Step {
        if let Some(expiry) = disconnect
            .properties
            .four(PropertyId::SessionExpiryInterval)
        {
            let state = &mut self.sessions[session as usize];
            // [MQTT-3.1.2-23] and §3.14.2.2.2: a Session that was to end cannot be made to stay.
            if state.expiry == 0 && expiry != 0 {
                return self.break_rule(slot, "DISCONNECT prolongs a Session of expiry 0", now);
            }
            state.expiry = expiry.min(self.config.limits.session_expiry_max);
        }
        if disconnect
            .properties
            .text(PropertyId::ServerReference)
            .is_some()
        {
            return self.break_rule(slot, "a client's DISCONNECT with Server Reference", now);
        }
        self.end_connection(slot, Cause::Disconnected(disconnect.reason), now);
        Step::Stop
    }

    pub(crate) fn break_rule(&mut self, slot: u32, what: &'static str, now: Instant) -> Step {
        self.violate(
            slot,
            Violation {
                reason: Reason::PROTOCOL_ERROR,
                what,
            },
            now,
        )
    }

    /// Ends a connection that broke a rule: with DISCONNECT where the version has one for servers
    /// (§4.13), else just so [MQTT-4.8.0-1 of 3.1.1].
    pub(crate) fn violate(&mut self, slot: u32, violation: Violation, now: Instant) -> Step {
        self.violate_in(slot, None, violation, now)
    }

    /// The same for a packet of this kind that cannot be read.
    fn violate_in(
        &mut self,
        slot: u32,
        kind: Option<PacketType>,
        violation: Violation,
        now: Instant,
    ) -> Step {
        self.stats.violations += 1;
        let Violation { reason, what } = violation;
        let answer = self.config.profile.answer_to(kind, violation);
        let open = matches!(self.connections[slot as usize].phase, Phase::Open(_));
        if let Some(reason) = answer
            && open
            && self.connections[slot as usize].version == Version::V5
        {
            // A second CONNECT can be wrong in ways that only CONNACK has words for.
            let told = match reason.allowed_in(PacketType::Disconnect) {
                true => reason,
                false => Reason::PROTOCOL_ERROR,
            };
            self.put_disconnect(slot, told, Some(what));
        }
        self.end_connection(slot, Cause::Violation(reason, what), now);
        Step::Stop
    }
}
