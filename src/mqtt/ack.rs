//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7), which share one form.
//!
//! The order of the handshakes is kept by `mqtt::delivery`.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::wire::{Reader, put_u16};
use crate::mqtt::{PacketId, PacketType, Version, Violation};

/// A PUBACK, PUBREC, PUBREL or PUBCOMP packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ack<'a> {
    pub packet_id: PacketId,
    pub reason: Reason,
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement with nothing more to say.
    pub const fn success(packet_id: PacketId) -> Self {
        Self {
            packet_id,
            reason: Reason::SUCCESS,
            properties: Properties::EMPTY,
        }
    }

    /// Reads the body; the kind is that of the first byte.
    #[inline]
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        let (kind, place) = match first >> 4 {
            4 => (PacketType::Puback, Place::Puback),
            5 => (PacketType::Pubrec, Place::Pubrec),
            6 => (PacketType::Pubrel, Place::Pubrel),
            7 => (PacketType::Pubcomp, Place::Pubcomp),
            _ => return Err(Violation::malformed("not an acknowledgement of a PUBLISH")),
        };
        // [MQTT-3.6.1-1]
        kind.check_first(first, version)?;
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        // Without a reason, and without a Property Length, is the common short form.
        if reader.is_empty() {
            return Ok(Self::success(packet_id));
        }
        if !version.is_v5() {
            reader.finish()?;
        }
        let reason = Reason(reader.u8()?);
        // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
        if !reason.allowed_in(kind) && !is_said_all_the_same(kind, reason) {
            return Err(Violation::protocol_error(
                "a Reason Code this packet does not have",
            ));
        }
        let properties = if reader.is_empty() {
            Properties::EMPTY
        } else {
            Properties::decode(&mut reader, place)?
        };
        reader.finish()?;
        Ok(Self {
            packet_id,
            reason,
            properties,
        })
    }

    /// Appends the packet in its shortest form.
    pub fn encode(&self, kind: PacketType, version: Version, out: &mut Vec<u8>) {
        if version.is_v5() {
            put_ack_reason(kind, self.packet_id, self.reason, self.properties, out);
        } else {
            put_ack(kind, self.packet_id, out);
        }
    }
}

/// mosquitto says that a payload is too long with a Reason Code that the standard has for other
/// packets. Its clients take it, so a broker has to be told of it where a client would say it.
fn is_said_all_the_same(kind: PacketType, reason: Reason) -> bool {
    let refuses = matches!(kind, PacketType::Puback | PacketType::Pubrec);
    refuses && reason == Reason::PACKET_TOO_LARGE
}

/// Appends an acknowledgement of four bytes, which means success in every version.
#[inline]
pub fn put_ack(kind: PacketType, id: PacketId, out: &mut Vec<u8>) {
    let [high, low] = id.value().to_be_bytes();
    out.extend_from_slice(&[kind.first(), 2, high, low]);
}

/// Appends an acknowledgement of version 5 in its shortest form.
pub fn put_ack_reason(
    kind: PacketType,
    id: PacketId,
    reason: Reason,
    properties: Properties<'_>,
    out: &mut Vec<u8>,
) {
    if properties.is_empty() {
        if reason == Reason::SUCCESS {
            return put_ack(kind, id, out);
        }
        put_head(kind.first(), 3, out);
        put_u16(id.value(), out);
        return out.push(reason.value());
    }
    put_head(kind.first(), 3 + properties.encoded_len(), out);
    put_u16(id.value(), out);
    out.push(reason.value());
    properties.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, first: u8, body: &[u8], expected: Result<Reason, Reason>) {
        let found = Ack::decode(first, body, version);
        let found = found
            .map(|ack| ack.reason)
            .map_err(|violation| violation.reason);
        assert_eq!(found, expected, "{version} {first:02x} {body:02x?}");
    }

    const SUCCESS: Result<Reason, Reason> = Ok(Reason::SUCCESS);
    const MALFORMED: Result<Reason, Reason> = Err(Reason::MALFORMED_PACKET);
    const PROTOCOL: Result<Reason, Reason> = Err(Reason::PROTOCOL_ERROR);

    #[test]
    fn two_bytes_mean_success_in_every_version() {
        for version in Version::ALL {
            for first in [0x40, 0x50, 0x62, 0x70] {
                check(version, first, &[0, 1], SUCCESS);
                check(version, first, &[0, 0], PROTOCOL);
                check(version, first, &[1], MALFORMED);
                check(version, first, &[], MALFORMED);
            }
        }
    }

    #[test]
    fn a_reason_may_stand_without_properties() {
        use Version::V5;
        check(V5, 0x40, &[0, 1, 0x10], Ok(Reason::NO_MATCHING_SUBSCRIBERS));
        check(V5, 0x50, &[0, 1, 0x87, 0], Ok(Reason::NOT_AUTHORIZED));
        check(V5, 0x62, &[0, 1, 0x92], Ok(Reason::PACKET_ID_NOT_FOUND));
        check(V5, 0x40, &[0, 1, 0x95], Ok(Reason::PACKET_TOO_LARGE));
        check(V5, 0x62, &[0, 1, 0x95], PROTOCOL);
        check(V5, 0x40, &[0, 1, 0, 4, 0x1f, 0, 1, b'r'], SUCCESS);
        check(V5, 0x40, &[0, 1, 0, 0, 0], MALFORMED);
        check(V5, 0x40, &[0, 1, 0, 1], MALFORMED);
        // Message Expiry Interval has no place here.
        check(V5, 0x40, &[0, 1, 0, 5, 2, 0, 0, 0, 1], MALFORMED);
        for version in [Version::V31, Version::V311] {
            check(version, 0x40, &[0, 1, 0], MALFORMED);
        }
    }

    #[test]
    fn a_reason_of_another_packet_is_a_protocol_error() {
        use Version::V5;
        check(V5, 0x40, &[0, 1, 0x92], PROTOCOL);
        check(V5, 0x62, &[0, 1, 0x80], PROTOCOL);
        check(V5, 0x70, &[0, 1, 0x10], PROTOCOL);
        check(V5, 0x50, &[0, 1, 0x01], PROTOCOL);
    }

    #[test]
    fn the_reserved_flags_are_fixed() {
        for version in [Version::V311, Version::V5] {
            for first in [0x41, 0x42, 0x52, 0x60, 0x61, 0x63, 0x6a, 0x72, 0x78] {
                check(version, first, &[0, 1], MALFORMED);
            }
        }
        // Version 3.1 sends PUBREL again with DUP.
        check(Version::V31, 0x6a, &[0, 1], SUCCESS);
        check(Version::V31, 0x30, &[0, 1], MALFORMED);
    }

    #[test]
    fn the_shortest_form_is_written() {
        fn check(reason: Reason, raw: &[u8], expected: &[u8]) {
            let mut properties = crate::mqtt::property::PropertiesBuf::new();
            if !raw.is_empty() {
                let value = crate::mqtt::property::Value::String("r");
                properties.push(crate::mqtt::property::PropertyId::ReasonString, value);
                assert_eq!(properties.properties().raw(), raw);
            }
            let packet_id = PacketId::new(0x0102).unwrap();
            let ack = Ack {
                packet_id,
                reason,
                properties: properties.properties(),
            };
            let mut out = Vec::new();
            ack.encode(PacketType::Pubrel, Version::V5, &mut out);
            assert_eq!(out, expected);
            out.clear();
            ack.encode(PacketType::Pubrel, Version::V311, &mut out);
            assert_eq!(out, [0x62, 2, 1, 2]);
        }
        check(Reason::SUCCESS, &[], &[0x62, 2, 1, 2]);
        check(Reason::PACKET_ID_NOT_FOUND, &[], &[0x62, 3, 1, 2, 0x92]);
        let reason_string = [0x1f, 0, 1, b'r'];
        check(
            Reason::SUCCESS,
            &reason_string,
            &[0x62, 8, 1, 2, 0, 4, 0x1f, 0, 1, b'r'],
        );
    }
}
