//! PUBLISH (section 3.3), the packet everything else is there for: its decoder borrows topic and
//! payload from the read buffer and looks at each byte of the topic once.
//!
//! Topic Aliases are resolved by the broker and the client; here an empty topic is only known to
//! have one.

use crate::mqtt::frame::{head_len, put_head};
use crate::mqtt::property::{Place, Properties, PropertyId};
use crate::mqtt::topic::has_nul_or_wildcard;
use crate::mqtt::wire::{Reader, put_string, put_u16};
use crate::mqtt::{PacketId, PacketType, QoS, Version, Violation};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// A PUBLISH packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    /// Empty only in version 5, together with a Topic Alias.
    pub topic: &'a str,
    /// There exactly if `qos` is 1 or 2.
    pub packet_id: Option<PacketId>,
    pub properties: Properties<'a>,
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads the body of a PUBLISH whose first byte is `first`.
    #[inline]
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        let dup = first & DUP != 0;
        // [MQTT-3.3.1-4]
        let Some(qos) = QoS::from_bits(first >> 1 & 0b11) else {
            return Err(Violation::malformed("PUBLISH with QoS 3"));
        };
        // [MQTT-3.3.1-2]
        if dup && qos == QoS::AtMostOnce {
            return Err(Violation::malformed("DUP in a PUBLISH with QoS 0"));
        }
        let mut reader = Reader::new(body);
        let topic = reader.text()?;
        // [MQTT-3.3.2-2]
        if has_nul_or_wildcard(topic) {
            return Err(Violation::malformed("U+0000 or a wildcard in a Topic Name"));
        }
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Publish)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        if topic.is_empty() && properties.two(PropertyId::TopicAlias).is_none() {
            return Err(Violation::protocol_error(
                "PUBLISH without a topic or Topic Alias",
            ));
        }
        let payload = reader.rest();
        Ok(Self {
            dup,
            qos,
            retain: first & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload,
        })
    }

    /// Appends the packet; the properties only if `version` has them.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        assert_eq!(self.packet_id.is_some(), self.qos != QoS::AtMostOnce);
        let body_len = self.body_len(version);
        out.reserve(head_len(body_len) + body_len);
        put_head(self.first(), body_len, out);
        put_string(self.topic, out);
        if let Some(id) = self.packet_id {
            put_u16(id.value(), out);
        }
        if version.is_v5() {
            self.properties.encode(out);
        }
        out.extend_from_slice(self.payload);
    }

    /// The first byte: packet type, DUP, QoS and RETAIN.
    #[inline]
    pub const fn first(&self) -> u8 {
        PacketType::Publish.first()
            | (self.dup as u8) << 3
            | self.qos.bits() << 1
            | self.retain as u8
    }

    /// The Remaining Length that `encode` will write.
    #[inline]
    pub const fn body_len(&self, version: Version) -> usize {
        let id_len = if self.packet_id.is_some() { 2 } else { 0 };
        let properties_len = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        2 + self.topic.len() + id_len + properties_len + self.payload.len()
    }

    /// Where in the encoded packet the Packet Identifier stands; nowhere for QoS 0.
    #[inline]
    pub const fn id_at(&self, version: Version) -> Option<usize> {
        if self.packet_id.is_none() {
            return None;
        }
        Some(head_len(self.body_len(version)) + 2 + self.topic.len())
    }
}

/// Appends a copy of an encoded PUBLISH under another Packet Identifier: a message for many
/// subscribers is encoded once.
#[inline]
pub fn put_copy(frame: &[u8], id_at: usize, id: PacketId, out: &mut Vec<u8>) {
    let copy_at = out.len();
    out.extend_from_slice(frame);
    // One bounds check for both bytes: this runs once a subscriber.
    let slot = &mut out[copy_at..][id_at..id_at + 2];
    slot.copy_from_slice(&id.value().to_be_bytes());
}
