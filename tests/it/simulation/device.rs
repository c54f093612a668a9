//! A client as the standard describes it, written for the simulation alone: it shares no code with
//! the broker but the codec, so that a fault in the handshakes is not made twice.

use std::collections::{BTreeMap, BTreeSet};

use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::{Packet, PacketId, PacketType, QoS, Version};

use crate::simulation::model::{InstanceId, Model};
use crate::support::chance::Chance;
use crate::support::core::{Core, LinkId};
use crate::support::packets::{self, Hello, ack};

/// Messages a client has unacknowledged at most.
const WINDOW: usize = 8;

/// A message the client has sent and not finished.
struct Unfinished {
    /// In the order of sending.
    number: u64,
    qos: u8,
    retain: bool,
    topic: String,
    payload: String,
    /// PUBREC has come.
    received: bool,
}

/// A message the client got.
pub(crate) struct Got {
    pub(crate) instance: InstanceId,
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) version: Version,
    user: Option<&'static str>,
    /// Session Expiry Interval in seconds; `None` begins and ends with each connection.
    expiry: Option<u32>,
    keep_alive: u16,
    will_delay: Option<u32>,
    pub(crate) link: Option<LinkId>,
    /// CONNACK has come.
    pub(crate) welcome: bool,
    /// Written, and not at the broker yet.
    pub(crate) on_the_way: Vec<u8>,
    pub(crate) instance: Option<InstanceId>,
    unfinished: BTreeMap<u16, Unfinished>,
    /// QoS 2 messages before their PUBREL.
    known: BTreeSet<u16>,
    requests: BTreeSet<u16>,
    next_id: u16,
    sent: u64,
    connects: u32,
    pub(crate) got: Vec<Got>,
    /// Messages the broker has acknowledged, for the model.
    pub(crate) acknowledged: Vec<String>,
}

impl Device {
    pub(crate) fn new(name: &str, kept: bool, chance: &mut Chance) -> Self {
        let version = Version::ALL[chance.below(3)];
        let expiry = match chance.below(4) {
            _ if kept => Some(u32::MAX),
            0 => None,
            1 if version.is_v5() => Some(4),
            _ => Some(u32::MAX),
        };
        Self {
            name: name.to_owned(),
            version,
            user: None,
            expiry,
            keep_alive: [0, 0, 3][chance.below(3)],
            will_delay: None,
            link: None,
            welcome: false,
            on_the_way: Vec::new(),
            instance: None,
            unfinished: BTreeMap::new(),
            known: BTreeSet::new(),
            requests: BTreeSet::new(),
            next_id: 0,
            sent: 0,
            connects: 0,
            got: Vec::new(),
            acknowledged: Vec::new(),
        }
    }

    pub(crate) fn user(mut self, user: &'static str) -> Self {
        self.user = Some(user);
        self
    }

    /// It leaves a will; before version 5 there is no delay.
    pub(crate) fn mortal(mut self, chance: &mut Chance) -> Self {
        let delay = [0, 2][chance.below(2)];
        self.will_delay = Some(if self.version.is_v5() { delay } else { 0 });
        self
    }

    pub(crate) fn lasting(mut self) -> Self {
        self.keep_alive = 0;
        self
    }

    fn say(&mut self, bytes: &[u8]) {
        self.on_the_way.extend_from_slice(bytes);
    }

    /// Whether its next CONNECT is on the way, not taken in yet.
    pub(crate) fn is_asking(&self, model: &Model) -> bool {
        self.link
            .is_some_and(|link| !model.links.contains_key(&link))
    }

    /// Is there nothing it waits for?
    pub(crate) fn is_quiet(&self) -> bool {
        self.welcome
            && self.on_the_way.is_empty()
            && self.unfinished.is_empty()
            && self.requests.is_empty()
    }

    pub(crate) fn connect(&mut self, core: &mut Core, worker: usize, anew: bool) {
        self.on_the_way.clear();
        self.welcome = false;
        self.requests.clear();
        self.link = core.open(worker, self.version);
        self.connects += 1;
        let mut hello = Hello::new(&self.name).version(self.version);
        hello.keep_alive = self.keep_alive;
        hello.clean_start = anew || self.expiry.is_none();
        if let (true, Some(expiry)) = (self.version.is_v5(), self.expiry) {
            hello = hello.with(PropertyId::SessionExpiryInterval, Value::Four(expiry));
        }
        if let Some(user) = self.user {
            hello = hello.user(user);
        }
        if let Some(delay) = self.will_delay {
            let topic = format!("will/{}", self.name);
            let payload = format!("will of {} {}", self.name, self.connects);
            hello = hello.will(&topic, &payload, 1, false);
            if delay > 0 {
                hello = hello.will_with(PropertyId::WillDelayInterval, Value::Four(delay));
            }
        }
        self.on_the_way = hello.bytes();
    }

    /// The network fails.
    pub(crate) fn cut(&mut self, core: &mut Core, model: &mut Model) {
        if let Some(link) = self.link.take() {
            core.cut(link);
            model.lost(link, core.now);
        }
        self.welcome = false;
        self.on_the_way.clear();
    }

    /// The broker died: whatever was on its way is lost.
    pub(crate) fn orphan(&mut self) {
        self.link = None;
        self.welcome = false;
        self.on_the_way.clear();
    }

    /// Says goodbye; with reason 4 the will is to be sent all the same.
    pub(crate) fn leave(&mut self, with_will: bool) {
        if self.welcome {
            let bytes: &[u8] = match with_will && self.version.is_v5() {
                true => &[0xe0, 1, 4],
                false => &packets::DISCONNECT,
            };
            self.say(bytes);
        }
    }

    pub(crate) fn ping(&mut self) {
        if self.welcome {
            self.say(&packets::PINGREQ);
        }
    }

    fn claim(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1).max(1);
            let id = self.next_id;
            if !self.unfinished.contains_key(&id) && !self.requests.contains(&id) {
                return id;
            }
        }
    }

    /// With an empty payload the retained message goes.
    pub(crate) fn publish(&mut self, topic: &str, qos: u8, retain: bool, empty: bool) {
        if !self.welcome || self.unfinished.len() >= WINDOW {
            return;
        }
        self.sent += 1;
        let payload = match empty {
            true => String::new(),
            false => format!("{} {}", self.name, self.sent),
        };
        let id = if qos == 0 { 0 } else { self.claim() };
        let message = Unfinished {
            number: self.sent,
            qos,
            retain,
            topic: topic.to_owned(),
            payload,
            received: false,
        };
        let bytes = self.encode(id, &message, false);
        self.say(&bytes);
        if qos > 0 {
            self.unfinished.insert(id, message);
        }
    }

    fn encode(&self, id: u16, message: &Unfinished, dup: bool) -> Vec<u8> {
        let publish = Publish {
            dup,
            qos: QoS::from_bits(message.qos).unwrap(),
            retain: message.retain,
            topic: &message.topic,
            packet_id: PacketId::new(id),
            properties: mqttx::mqtt::property::Properties::EMPTY,
            payload: message.payload.as_bytes(),
        };
        packets::encode(self.version, &Packet::Publish(publish))
    }

    pub(crate) fn subscribe(&mut self, filter: &str, options: u8) {
        if self.welcome {
            let id = self.claim();
            self.requests.insert(id);
            let options = if self.version.is_v5() {
                options
            } else {
                options & 3
            };
            let bytes = packets::subscribe(self.version, id, filter, options, &[]);
            self.say(&bytes);
        }
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        if self.welcome {
            let id = self.claim();
            self.requests.insert(id);
            let bytes = packets::unsubscribe(self.version, id, filter);
            self.say(&bytes);
        }
    }

    /// Reads whatever the broker has written, and answers it.
    pub(crate) fn read(&mut self, core: &mut Core, model: &Model) {
        let Some(link) = self.link else { return };
        for frame in core.take_frames(link) {
            let packet = Packet::decode(&frame, self.version).unwrap();
            self.answer(link, &packet, model);
        }
        if !core.is_open(link) && core.cause(link).is_some() {
            self.link = None;
            self.welcome = false;
            self.on_the_way.clear();
        }
    }

    fn answer(&mut self, link: LinkId, packet: &Packet<'_>, model: &Model) {
        match packet {
            Packet::Connack(connack) => {
                assert!(!connack.reason.is_error(), "{}: {connack:?}", self.name);
                // Version 3.1 has no such flag.
                let resumed = model.resumed[&link] && self.version != Version::V31;
                assert_eq!(
                    connack.session_present, resumed,
                    "{}: Session Present",
                    self.name
                );
                self.greeted(model.links[&link]);
            }
            Packet::Publish(message) => self.message(message),
            Packet::Puback(answer) => {
                if let Some(message) = self.unfinished.remove(&answer.packet_id.value()) {
                    self.acknowledged.push(message.payload);
                }
            }
            Packet::Pubrec(answer) => {
                let id = answer.packet_id.value();
                if answer.reason.is_error() {
                    self.unfinished.remove(&id);
                } else {
                    if let Some(message) = self.unfinished.get_mut(&id) {
                        message.received = true;
                        self.acknowledged.push(message.payload.clone());
                    }
                    self.say(&ack(PacketType::Pubrel, id));
                }
            }
            Packet::Pubrel(answer) => {
                self.known.remove(&answer.packet_id.value());
                self.say(&ack(PacketType::Pubcomp, answer.packet_id.value()));
            }
            Packet::Pubcomp(answer) => {
                self.unfinished.remove(&answer.packet_id.value());
            }
            Packet::Suback(answer) => {
                self.requests.remove(&answer.packet_id.value());
            }
            Packet::Unsuback(answer) => {
                self.requests.remove(&answer.packet_id.value());
            }
            Packet::Pingresp => {}
            Packet::Disconnect(answer) => {
                let reason = answer.reason.value();
                assert!(matches!(reason, 0x8d | 0x8e), "{}: {answer:?}", self.name);
            }
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// A Session that is not the one it knows means that all it remembers is void.
    fn greeted(&mut self, instance: InstanceId) {
        self.welcome = true;
        if self.instance != Some(instance) {
            self.instance = Some(instance);
            self.unfinished.clear();
            self.known.clear();
            return;
        }
        let mut again: Vec<(&u16, &Unfinished)> = self.unfinished.iter().collect();
        again.sort_unstable_by_key(|(_, message)| message.number);
        let mut bytes = Vec::new();
        for (&id, message) in again {
            bytes.extend(match message.received {
                true => ack(PacketType::Pubrel, id),
                false => self.encode(id, message, true),
            });
        }
        self.say(&bytes);
    }

    fn message(&mut self, message: &Publish<'_>) {
        let id = message.packet_id.map_or(0, PacketId::value);
        let new = match message.qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce => {
                self.say(&ack(PacketType::Puback, id));
                true
            }
            QoS::ExactlyOnce => {
                self.say(&ack(PacketType::Pubrec, id));
                self.known.insert(id)
            }
        };
        if new {
            self.got.push(Got {
                instance: self.instance.unwrap(),
                topic: message.topic.to_owned(),
                payload: String::from_utf8(message.payload.to_vec()).unwrap(),
                qos: message.qos.bits(),
                retain: message.retain,
            });
        }
    }

    /// Lets the first `count` bytes on their way arrive.
    pub(crate) fn arrive(&mut self, core: &mut Core, count: usize) {
        let Some(link) = self.link else { return };
        let count = count.min(self.on_the_way.len());
        let bytes: Vec<u8> = self.on_the_way.drain(..count).collect();
        core.send(link, &bytes);
    }
}
