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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::reason::Reason;

    const MALFORMED: Reason = Reason::MALFORMED_PACKET;
    const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

    fn refused(version: Version, first: u8, body: &[u8], expected: Reason) {
        let found = Publish::decode(first, body, version).map_err(|violation| violation.reason);
        assert_eq!(found, Err(expected), "{version} {first:02x} {body:02x?}");
    }

    #[test]
    fn the_first_byte_says_dup_qos_and_retain() {
        fn check(first: u8, expected: (bool, QoS, bool)) {
            let publish = Publish::decode(first, b"\0\x01t\0\x01", Version::V311).unwrap();
            assert_eq!((publish.dup, publish.qos, publish.retain), expected);
            assert_eq!(publish.first(), first);
        }
        check(0x30, (false, QoS::AtMostOnce, false));
        check(0x31, (false, QoS::AtMostOnce, true));
        check(0x32, (false, QoS::AtLeastOnce, false));
        check(0x3b, (true, QoS::AtLeastOnce, true));
        check(0x34, (false, QoS::ExactlyOnce, false));
        check(0x3c, (true, QoS::ExactlyOnce, false));
        for version in Version::ALL {
            for first in [0x36, 0x37, 0x3e, 0x3f, 0x38, 0x39] {
                refused(version, first, b"\0\x01t\0\x01\0", MALFORMED);
            }
        }
    }

    #[test]
    fn a_wrong_topic_is_refused() {
        for version in Version::ALL {
            for topic in ["+", "#", "a/+", "a/#", "a+", "a\0"] {
                let mut body = Vec::new();
                put_string(topic, &mut body);
                body.push(0);
                refused(version, 0x30, &body, MALFORMED);
            }
            refused(version, 0x30, b"", MALFORMED);
            refused(version, 0x30, b"\0", MALFORMED);
            refused(version, 0x30, b"\0\x05topi", MALFORMED);
            refused(version, 0x30, b"\0\x02\xc3\x28\0", MALFORMED);
            refused(version, 0x30, b"\0\x03\xed\xa0\x80\0", MALFORMED);
            refused(version, 0x30, b"\0\0\0", PROTOCOL);
        }
    }

    #[test]
    fn a_packet_identifier_is_there_and_not_zero() {
        for version in Version::ALL {
            refused(version, 0x32, b"\0\x01t", MALFORMED);
            refused(version, 0x32, b"\0\x01t\0", MALFORMED);
            refused(version, 0x32, b"\0\x01t\0\0\0", PROTOCOL);
            refused(version, 0x34, b"\0\x01t\0\0\0", PROTOCOL);
        }
    }

    #[test]
    fn a_topic_alias_stands_for_an_empty_topic() {
        let publish = Publish::decode(0x30, b"\0\0\x03\x23\0\x05x", Version::V5).unwrap();
        assert_eq!(publish.topic, "");
        assert_eq!(publish.properties.two(PropertyId::TopicAlias), Some(5));
        assert_eq!(publish.payload, b"x");
        refused(Version::V5, 0x30, b"\0\0\x02\x01\x01", PROTOCOL);
        refused(
            Version::V5,
            0x30,
            b"\0\x01t\x03\x23\0\0",
            Reason::TOPIC_ALIAS_INVALID,
        );
    }

    #[test]
    fn properties_end_where_their_length_says() {
        let publish = Publish::decode(0x30, b"\0\x01t\x02\x01\x01\x01\x01", Version::V5).unwrap();
        assert_eq!(publish.payload, [1, 1]);
        refused(Version::V5, 0x30, b"\0\x01t", MALFORMED);
        refused(Version::V5, 0x30, b"\0\x01t\x03\x01\x01", MALFORMED);
        refused(Version::V5, 0x30, b"\0\x01t\x01\x01\x01", MALFORMED);
        refused(Version::V5, 0x30, b"\0\x01t\x80\0", MALFORMED);
        // Before version 5 all that follows is payload.
        let publish = Publish::decode(0x30, b"\0\x01t\x02\x01", Version::V311).unwrap();
        assert_eq!(publish.payload, [2, 1]);
    }
}
