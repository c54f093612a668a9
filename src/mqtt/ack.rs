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
        if !reason.allowed_in(kind) {
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
