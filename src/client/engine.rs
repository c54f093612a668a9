//! One client as a state machine: bytes in, events and bytes out, and no socket, clock or thread.
//!
//! rumqttc's packet types write what goes out ([`encode`] lists the exceptions), our `mqtt` reads
//! what comes in: rumqttc's reader hides the Reason Codes' values behind enums of its own, loses
//! Topic Aliases and the reason of a DISCONNECT, misreads several Subscription Identifiers, and
//! takes many malformed packets for good. The handshakes are `mqtt::delivery`, which the broker
//! uses too, so Packet Identifiers count on from 1 over PUBLISH, SUBSCRIBE and UNSUBSCRIBE alike.
//!
//! ```text
//!            publish, subscribe …                     handle
//!  Handler ───────────────────────►  Engine  ◄───────────────── frames read by the pump
//!          ◄───────────────────────  │  ▲
//!                 events             ▼  │ room
//!                                  out: bytes for the pump to write
//! ```
//!
//! The session (what is unacknowledged, which subscriptions stand) outlives a connection:
//! [`Engine::open`] starts the next one, [`Engine::closed`] ends it.

mod encode;
mod incoming;
mod message;
mod prepared;
mod proof;
mod requests;
mod resume;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::client::engine::encode::Encoder;
use crate::client::engine::message::{check_message, publish_len};
use crate::client::engine::proof::Proof;
use crate::client::engine::requests::Request;
use crate::client::handler::{Handler, Way};
use crate::client::options::Options;
use crate::mqtt::auth::Auth;
use crate::mqtt::delivery::{AliasesIn, Receiver, Sender};
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId};
use crate::mqtt::{Packet, PacketId, QoS, Reason, Violation, limits};

pub use crate::client::engine::message::{Message, Refused};
pub use crate::client::engine::prepared::Prepared;

/// As much as is collected for one write; above it `feed` is not asked for more.
pub(crate) const BATCH: usize = 64 * 1024;

/// What a handler may pile up by publishing without being asked (`Refused::Full` above it).
const PILE_MAX: usize = 64 * 1024 * 1024;

/// Bytes of acknowledgements that a broker may leave untaken before it is no longer listened to.
const OWED_MAX: usize = 1024 * 1024;

/// One client.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    encoder: Encoder,
    /// Bytes to write; those before `written` are written already.
    out: Vec<u8>,
    written: usize,
    /// How many of the bytes since `out` was last empty are acknowledgements.
    owed: usize,
    phase: Phase,
    wish: Wish,
    /// Connections had so far.
    connections: u64,
    sender: Sender<Kept>,
    receiver: Receiver,
    /// QoS 2 messages between PUBREC and PUBCOMP.
    releasing: hashbrown::HashMap<PacketId, Releasing>,
    /// QoS 1 and 2 messages beyond the send quota.
    waiting: VecDeque<Kept>,
    waiting_bytes: usize,
    /// QoS 0 PUBLISH packets that a lost connection left unwritten.
    unwritten: Vec<u8>,
    requests: Vec<Request>,
    next_ticket: u64,
    flood: Option<(Arc<Prepared>, u64)>,
    broker: BrokerLimits,
    aliases_in: AliasesIn,
    aliases_out: Vec<AliasOut>,
    client_id: Option<String>,
    is_ping_open: bool,
    /// Nobody has time for the broker's own close.
    is_hurried: bool,
    /// PINGREQs sent, over all connections.
    pings: u64,
    /// How far the proof of the password is, with `Options::scram`.
    proof: Option<Box<Proof>>,
    /// Packets sent and not yet told to the handler; used only while `Options::trace` is set.
    sent: Vec<Box<[u8]>>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    /// CONNECT is out.
    Connecting,
    Up,
    /// No more is taken; acknowledgements are awaited.
    Draining,
    /// DISCONNECT is out.
    Left,
}

/// A message whose PUBREL is out.
#[derive(Clone, Copy, Debug)]
struct Releasing {
    ticket: u64,
    /// The PUBREL went out on an earlier connection too.
    is_repeated: bool,
}

/// What the handler wants, over all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    /// An end, once everything is acknowledged.
    Finish,
    /// An end at once.
    Leave,
}

/// A PUBLISH that is kept until it is acknowledged, as it goes over the wire.
#[derive(Debug)]
struct Kept {
    ticket: u64,
    frame: Box<[u8]>,
    id_at: usize,
}

impl Kept {
    fn qos(&self) -> QoS {
        QoS::from_bits(self.frame[0] >> 1 & 3).expect("a frame of our own making")
    }
}

/// A Topic Alias of ours.
#[derive(Debug)]
struct AliasOut {
    alias: u16,
    topic: Box<str>,
    /// Whether the broker was told on this connection.
    is_known: bool,
}

/// What the broker's CONNACK said about itself (§3.2.2.3).
#[derive(Clone, Copy, Debug)]
struct BrokerLimits {
    packet_size_max: usize,
    topic_alias_max: u16,
    qos_max: QoS,
    retain_available: bool,
    wildcards_available: bool,
    shares_available: bool,
    subscription_ids_available: bool,
    keep_alive: u16,
}

impl BrokerLimits {
    const fn unknown(keep_alive: u16) -> Self {
        Self {
            packet_size_max: limits::PACKET_SIZE_MAX,
            topic_alias_max: 0,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            wildcards_available: true,
            shares_available: true,
            subscription_ids_available: true,
            keep_alive,
        }
    }
}

/// Why the engine wants the connection ended.
#[derive(Debug)]
pub enum Stop {
    Refused {
        reason: Reason,
        properties: PropertiesBuf,
    },
    Disconnected {
        reason: Reason,
        properties: PropertiesBuf,
    },
    Violation(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl Engine {
    /// A client that has not connected yet.
    pub fn new(options: Options) -> Self {
        let keep_alive = options.keep_alive;
        Self {
            encoder: Encoder::new(options.version),
            out: Vec::new(),
            written: 0,
            owed: 0,
            phase: Phase::Closed,
            wish: Wish::Stay,
            connections: 0,
            sender: Sender::new(options.inflight_max),
            receiver: Receiver::default(),
            releasing: hashbrown::HashMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unwritten: Vec::new(),
            requests: Vec::new(),
            next_ticket: 0,
            flood: None,
            broker: BrokerLimits::unknown(keep_alive),
            aliases_in: AliasesIn::new(0),
            aliases_out: Vec::new(),
            client_id: None,
            is_ping_open: false,
            is_hurried: false,
            pings: 0,
            proof: None,
            sent: Vec::new(),
            options,
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Messages of QoS 1 and 2 that were taken and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sender.inflight() + self.waiting.len()
    }

    /// Messages that were taken and are not waited for any more.
    pub(crate) fn settled(&self) -> u64 {
        self.next_ticket - self.unacknowledged() as u64
    }

    /// Messages of QoS 0 that were taken and never left this machine, known once a connection
    /// is lost.
    pub fn unwritten(&self) -> usize {
        resume::frames(&self.unwritten).count()
    }

    /// CONNACK came, and no end is in sight.
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Whether the broker keeps retained messages, as far as it has told.
    pub fn keeps_retained(&self) -> bool {
        self.broker.retain_available
    }

    /// Whether this is the first connection of the session.
    pub fn is_first_connection(&self) -> bool {
        self.connections <= 1
    }

    /// Whether `feed` may publish: below the batch, within the send quota, nothing waiting.
    #[inline]
    pub fn room(&self) -> bool {
        self.phase == Phase::Up
            && self.out.len() < BATCH
            && self.waiting.is_empty()
            && self.sender.has_quota()
    }

    /// Takes a message. The number returned counts messages from 0 and comes back in
    /// [`Acked`](crate::client::Acked) when the message is above QoS 0.
    pub fn publish(&mut self, message: &Message<'_>) -> Result<u64, Refused> {
        self.check_room()?;
        let version = self.options.version;
        let alias = if version.is_v5() {
            message.properties.two(PropertyId::TopicAlias)
        } else {
            None
        };
        if let Some(alias) = alias {
            return self.publish_with_alias(message, alias);
        }
        check_message(message, version)?;
        self.check_limits(message)?;
        if message.qos == QoS::AtMostOnce {
            let start = self.out.len();
            self.encoder.publish(message, None, &mut self.out);
            self.note_sent(start);
            return Ok(self.take_ticket());
        }
        let kept = self.keep(message);
        Ok(self.start_or_wait(kept))
    }

    /// Copies a prepared PUBLISH; `patch` may change the copy's payload.
    #[inline]
    pub fn send(
        &mut self,
        prepared: &Prepared,
        patch: impl FnOnce(&mut [u8]),
    ) -> Result<u64, Refused> {
        self.check_room()?;
        self.check_prepared(prepared)?;
        if prepared.qos == QoS::AtMostOnce {
            let start = self.out.len();
            self.out.extend_from_slice(&prepared.frame);
            patch(&mut self.out[start + prepared.payload_at..]);
            self.note_sent(start);
            return Ok(self.take_ticket());
        }
        let mut frame = prepared.frame.clone();
        patch(&mut frame[prepared.payload_at..]);
        let ticket = self.take_ticket();
        Ok(self.start_or_wait(Kept {
            ticket,
            frame,
            id_at: prepared.id_at,
        }))
    }

    /// Sends `count` equal copies as fast as the broker takes them, before `feed` is asked again.
    pub fn repeat(&mut self, prepared: Arc<Prepared>, count: u64) -> Result<(), Refused> {
        self.check_room()?;
        self.check_prepared(&prepared)?;
        self.flood = Some((prepared, count)).filter(|_| count > 0);
        Ok(())
    }

    /// A step of an enhanced authentication, version 5 (§4.12).
    pub fn auth(&mut self, reason: Reason, properties: Properties<'_>) {
        if !self.options.version.is_v5() || !matches!(self.phase, Phase::Connecting | Phase::Up) {
            return;
        }
        let start = self.out.len();
        Auth { reason, properties }.encode(self.options.version, &mut self.out);
        self.note_sent(start);
    }

    /// Asks whether the broker is alive; [`Event::Pong`](crate::client::Event) answers.
    pub fn ping(&mut self) {
        let start = self.out.len();
        Packet::Pingreq.encode(self.options.version, &mut self.out);
        self.is_ping_open = true;
        self.pings += 1;
        self.note_sent(start);
    }

    /// Takes no more, waits for every acknowledgement, then disconnects.
    pub fn finish(&mut self) {
        if self.wish == Wish::Stay {
            self.wish = Wish::Finish;
        }
        if self.phase == Phase::Up {
            self.phase = Phase::Draining;
        }
    }

    /// The time is over: after DISCONNECT the broker has only a moment to close.
    pub fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// Disconnects behind what was said so far, without waiting for acknowledgements.
    pub fn disconnect(&mut self, reason: Reason, properties: Properties<'_>) {
        self.wish = Wish::Leave;
        if matches!(self.phase, Phase::Closed | Phase::Left) {
            return;
        }
        let start = self.out.len();
        Disconnect { reason, properties }.encode(self.options.version, &mut self.out);
        self.phase = Phase::Left;
        self.note_sent(start);
    }

    fn check_room(&self) -> Result<(), Refused> {
        if self.phase != Phase::Up {
            Err(Refused::NotConnected)
        } else if self.out.len() + self.waiting_bytes > PILE_MAX {
            Err(Refused::Full)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn check_prepared(&self, prepared: &Prepared) -> Result<(), Refused> {
        assert!(
            prepared.version == self.options.version,
            "prepared for another version"
        );
        if prepared.frame.len() > self.broker.packet_size_max {
            Err(Refused::TooLarge) // [MQTT-3.2.2-15]
        } else if prepared.qos > self.broker.qos_max {
            Err(Refused::QosNotSupported) // [MQTT-3.2.2-11]
        } else if prepared.frame[0] & 1 == 1 && !self.broker.retain_available {
            Err(Refused::RetainNotSupported) // [MQTT-3.2.2-14]
        } else {
            Ok(())
        }
    }

    fn check_limits(&self, message: &Message<'_>) -> Result<(), Refused> {
        if message.qos > self.broker.qos_max {
            return Err(Refused::QosNotSupported); // [MQTT-3.2.2-11]
        }
        if message.retain && !self.broker.retain_available {
            return Err(Refused::RetainNotSupported); // [MQTT-3.2.2-14]
        }
        if publish_len(message, self.options.version) > self.broker.packet_size_max {
            return Err(Refused::TooLarge); // [MQTT-3.2.2-15]
        }
        Ok(())
    }

    /// A Topic Alias belongs to one connection, a kept message does not: it is kept with its whole
    /// topic and without the alias.
    fn publish_with_alias(&mut self, message: &Message<'_>, alias: u16) -> Result<u64, Refused> {
        if alias == 0 || alias > self.broker.topic_alias_max {
            return Err(Refused::TopicAlias); // [MQTT-3.3.2-9]
        }
        let place = self
            .aliases_out
            .iter()
            .position(|known| known.alias == alias);
        let topic: Box<str> = match place {
            _ if !message.topic.is_empty() => message.topic.into(),
            Some(place) => self.aliases_out[place].topic.clone(),
            None => return Err(Refused::TopicAlias),
        };
        let is_known = place.is_some_and(|place| {
            self.aliases_out[place].is_known && self.aliases_out[place].topic == topic
        });
        let mut properties = PropertiesBuf::new();
        properties.extend_filtered(message.properties, |id| id != PropertyId::TopicAlias);
        let whole = Message {
            topic: &topic,
            properties: properties.properties(),
            ..*message
        };
        check_message(&whole, self.options.version)?;
        let aliased = Message {
            topic: if is_known { message.topic } else { &topic },
            ..*message
        };
        self.check_limits(&whole)?;
        self.check_limits(&aliased)?;
        let mut frame = Vec::new();
        let any = PacketId::new(1).filter(|_| message.qos > QoS::AtMostOnce);
        self.encoder.publish(&aliased, any, &mut frame);
        let ticket = if message.qos == QoS::AtMostOnce {
            let start = self.out.len();
            self.out.extend_from_slice(&frame);
            self.note_sent(start);
            self.take_ticket()
        } else {
            let kept = self.keep(&whole);
            if !self.waiting.is_empty() || !self.sender.has_quota() {
                return Ok(self.start_or_wait(kept));
            }
            self.start(kept, Some(&frame))
        };
        match place {
            Some(place) => {
                self.aliases_out[place].topic = topic;
                self.aliases_out[place].is_known = true;
            }
            None => self.aliases_out.push(AliasOut {
                alias,
                topic,
                is_known: true,
            }),
        }
        Ok(ticket)
    }

    fn keep(&mut self, message: &Message<'_>) -> Kept {
        let mut frame = Vec::new();
        self.encoder.publish(message, PacketId::new(1), &mut frame);
        let id_at = prepared::id_at(&frame).expect("a message above QoS 0 has an identifier");
        Kept {
            ticket: self.take_ticket(),
            frame: frame.into_boxed_slice(),
            id_at,
        }
    }

    /// Sends a message above QoS 0, or lets it wait for quota.
    #[inline]
    fn start_or_wait(&mut self, kept: Kept) -> u64 {
        if self.waiting.is_empty() && self.sender.has_quota() {
            return self.start(kept, None);
        }
        let ticket = kept.ticket;
        self.waiting_bytes += kept.frame.len();
        self.waiting.push_back(kept);
        ticket
    }

    /// Sends a message above QoS 0, for which there is quota; `aliased` goes over the wire in its
    /// place.
    #[inline]
    fn start(&mut self, kept: Kept, aliased: Option<&[u8]>) -> u64 {
        let ticket = kept.ticket;
        let start = self.out.len();
        let id_at = match aliased {
            None => kept.id_at,
            Some(frame) => prepared::id_at(frame).expect("above QoS 0 there is an identifier"),
        };
        self.out.extend_from_slice(aliased.unwrap_or(&kept.frame));
        let id = self
            .sender
            .start(kept.qos(), kept)
            .expect("there was quota");
        self.put_id(start + id_at, id);
        self.note_sent(start);
        ticket
    }

    fn put_id(&mut self, at: usize, id: PacketId) {
        self.out[at..at + 2].copy_from_slice(&id.value().to_be_bytes());
    }

    /// An acknowledgement made room.
    fn start_waiting(&mut self) {
        while self.sender.has_quota()
            && matches!(self.phase, Phase::Up | Phase::Draining)
            && let Some(kept) = self.waiting.pop_front()
        {
            self.waiting_bytes -= kept.frame.len();
            self.start(kept, None);
        }
    }

    fn take_ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }

    #[inline]
    fn note_sent(&mut self, start: usize) {
        if self.options.trace {
            self.sent.push(self.out[start..].into());
        }
    }

    /// Tells the handler about the packets sent so far, for its trace.
    pub(crate) fn tell_sent(&mut self, handler: &mut impl Handler) {
        for frame in self.sent.drain(..) {
            if let Ok(packet) = Packet::decode(&frame, self.options.version) {
                handler.packet(Way::Sent, &packet);
            }
        }
    }
}
