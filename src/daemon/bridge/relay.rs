//! Packets of one broker become packets for the other: pure, no socket and no clock.
//!
//! Packet Identifiers stay what they are, since each direction has numbers of its own. What cannot
//! go across is acknowledged here, so that its sender goes on: messages of no topic of ours, of a
//! QoS the other broker does not take, or larger than it takes.

use std::collections::HashSet;
use std::sync::Arc;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::bridge::topics::{self, Side};
use crate::mqtt::Packet;
use crate::mqtt::PacketId;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::ack::{self, Ack};
use crate::mqtt::delivery::AliasesIn;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId};
use crate::mqtt::publish::Publish;

/// The version spoken with the core: it has all that is needed.
pub(crate) const LOCAL_VERSION: Version = Version::V5;

/// What the other broker takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    pub(crate) qos_max: QoS,
    pub(crate) retain: bool,
    pub(crate) packet_size_max: usize,
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A message, or what belongs to one.
    Message,
    /// Nothing to do with messages.
    Other,
    /// The broker ends the connection.
    End(Reason),
}

/// See the module.
pub(crate) struct Relay {
    conf: Arc<BridgeConf>,
    takes: Takes,
    aliases: AliasesIn,
    /// Messages of either side whose handshake is ours, by side.
    swallowed: [HashSet<PacketId>; 2],
    /// QoS 2 messages that go across at QoS 1.
    lowered: HashSet<PacketId>,
    /// QoS 2 messages from there that are not released yet.
    pub(crate) unreleased: HashSet<PacketId>,
    /// Packet Identifiers of our own requests there.
    pub(crate) own: HashSet<PacketId>,
    /// Answers to come that nobody is to hear of, by side.
    pub(crate) hushed: [usize; 2],
    /// Messages that went nowhere: too large, or refused.
    pub(crate) lost: u64,
    pub(crate) to_local: Vec<u8>,
    pub(crate) to_remote: Vec<u8>,
}

impl Relay {
    pub(crate) fn new(conf: Arc<BridgeConf>, takes: Takes) -> Self {
        let aliases = AliasesIn::new(conf.topic_alias_max);
        Self {
            conf,
            takes,
            aliases,
            swallowed: [HashSet::new(), HashSet::new()],
            lowered: HashSet::new(),
            unreleased: HashSet::new(),
            own: HashSet::new(),
            hushed: [0, 0],
            lost: 0,
            to_local: Vec::new(),
            to_remote: Vec::new(),
        }
    }

    /// A packet from one side.
    pub(crate) fn take(&mut self, side: Side, packet: &Packet<'_>) -> Came {
        match packet {
            Packet::Publish(publish) => self.publish(side, publish),
            Packet::Puback(ack) => self.acknowledged(side, PacketType::Puback, ack),
            Packet::Pubrec(ack) => self.acknowledged(side, PacketType::Pubrec, ack),
            Packet::Pubcomp(ack) => self.acknowledged(side, PacketType::Pubcomp, ack),
            Packet::Pubrel(ack) => self.released(side, ack),
            Packet::Suback(suback) => {
                self.own.remove(&suback.packet_id);
                return Came::Other;
            }
            Packet::Unsuback(unsuback) => {
                self.own.remove(&unsuback.packet_id);
                return Came::Other;
            }
            Packet::Disconnect(disconnect) => return Came::End(disconnect.reason),
            _ => return Came::Other,
        }
        Came::Message
    }

    fn out(&mut self, side: Side) -> (&mut Vec<u8>, Version) {
        match side {
            Side::Local => (&mut self.to_local, LOCAL_VERSION),
            Side::Remote => (&mut self.to_remote, self.conf.version),
        }
    }

    fn publish(&mut self, side: Side, publish: &Publish<'_>) {
        let mut name = publish.topic.to_owned();
        if let Some(alias) = publish.properties.two(PropertyId::TopicAlias) {
            match self.aliases.resolve(alias, publish.topic) {
                Some(topic) => topic.clone_into(&mut name),
                None => return self.swallow(side, publish),
            }
        }
        let Some(topic) = topics::renamed(&self.conf.topics, side, &name) else {
            return self.swallow(side, publish);
        };
        let mut properties = PropertiesBuf::new();
        properties.extend_filtered(publish.properties, |id| {
            !matches!(
                id,
                PropertyId::TopicAlias | PropertyId::SubscriptionIdentifier
            )
        });
        let mut across = Publish {
            topic: &topic,
            properties: properties.properties(),
            ..*publish
        };
        if side == Side::Remote {
            if publish.qos == QoS::ExactlyOnce {
                self.unreleased.extend(publish.packet_id);
            }
            return across.encode(LOCAL_VERSION, &mut self.to_local);
        }
        across.retain &= self.takes.retain && self.conf.outgoing_retain;
        across.qos = across.qos.min(self.takes.qos_max);
        if across.qos == QoS::AtMostOnce {
            across.packet_id = None;
            across.dup = false;
        }
        let start = self.to_remote.len();
        across.encode(self.conf.version, &mut self.to_remote);
        if self.to_remote.len() - start > self.takes.packet_size_max {
            self.to_remote.truncate(start);
            self.lost += 1;
            return self.swallow(side, publish);
        }
        match (publish.qos, across.qos) {
            (asked, given) if asked == given => {}
            (_, QoS::AtMostOnce) => self.swallow(side, publish),
            _ => self.lowered.extend(publish.packet_id),
        }
    }

    /// A message that ends here: its handshake does, too.
    fn swallow(&mut self, side: Side, publish: &Publish<'_>) {
        let Some(id) = publish.packet_id else { return };
        let kind = match publish.qos {
            QoS::ExactlyOnce => {
                self.swallowed[side as usize].insert(id);
                PacketType::Pubrec
            }
            _ => PacketType::Puback,
        };
        ack::put_ack(kind, id, self.out(side).0);
    }

    /// PUBACK, PUBREC or PUBCOMP: `side` has received a message of the other one.
    fn acknowledged(&mut self, side: Side, kind: PacketType, ack: &Ack<'_>) {
        let id = ack.packet_id;
        if kind == PacketType::Pubcomp && self.hushed[side as usize] > 0 {
            self.hushed[side as usize] -= 1;
            return;
        }
        if side == Side::Remote && self.own.remove(&id) {
            return;
        }
        if side == Side::Remote && kind == PacketType::Puback && self.lowered.remove(&id) {
            // It was QoS 2 here: the rest of that handshake is ours.
            self.swallowed[Side::Local as usize].insert(id);
            return ack::put_ack(PacketType::Pubrec, id, &mut self.to_local);
        }
        let other = match side {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        };
        if side == Side::Local && kind == PacketType::Pubrec && ack.reason.is_error() {
            self.unreleased.remove(&id);
        }
        self.lost += u64::from(ack.reason.is_error() && kind != PacketType::Pubcomp);
        let (out, version) = self.out(other);
        put(kind, ack, version, out);
    }

    /// PUBREL: `side` has sent a message, and knows that it arrived.
    fn released(&mut self, side: Side, ack: &Ack<'_>) {
        if self.swallowed[side as usize].remove(&ack.packet_id) {
            return ack::put_ack(PacketType::Pubcomp, ack.packet_id, self.out(side).0);
        }
        let other = match side {
            Side::Local => Side::Remote,
            Side::Remote => {
                self.unreleased.remove(&ack.packet_id);
                Side::Local
            }
        };
        if other == Side::Remote && self.takes.qos_max < QoS::ExactlyOnce {
            // From a connection that took more: there is nobody to release it to.
            return ack::put_ack(PacketType::Pubcomp, ack.packet_id, &mut self.to_local);
        }
        let (out, version) = self.out(other);
        put(PacketType::Pubrel, ack, version, out);
    }
}

/// Without properties: they are for one side only.
fn put(kind: PacketType, ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) {
    if version.is_v5() && ack.reason != Reason::SUCCESS {
        ack::put_ack_reason(kind, ack.packet_id, ack.reason, Properties::EMPTY, out);
    } else {
        ack::put_ack(kind, ack.packet_id, out);
    }
}
