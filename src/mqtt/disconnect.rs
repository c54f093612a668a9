//! DISCONNECT (section 3.14). Before version 5 it is two bytes, and says that all is well.
//!
//! Which reasons and properties only a Server, or only a Client, may send is left to them.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::wire::Reader;
use crate::mqtt::{PacketType, Version, Violation};

/// A DISCONNECT packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Disconnect<'a> {
    pub reason: Reason,
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT that gives its reason and nothing more.
    pub const fn with_reason(reason: Reason) -> Self {
        Self {
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        // [MQTT-3.14.1-1]
        PacketType::Disconnect.check_first(first, version)?;
        let mut reader = Reader::new(body);
        // `E0 00` is the common short form.
        if reader.is_empty() {
            return Ok(Self::with_reason(Reason::NORMAL_DISCONNECTION));
        }
        if !version.is_v5() {
            reader.finish()?;
        }
        let reason = Reason(reader.u8()?);
        // [MQTT-3.14.2-1]
        if !reason.allowed_in(PacketType::Disconnect) {
            return Err(Violation::protocol_error(
                "a Reason Code this packet does not have",
            ));
        }
        // `E0 01 xx` has no Property Length.
        let properties = if reader.is_empty() {
            Properties::EMPTY
        } else {
            Properties::decode(&mut reader, Place::Disconnect)?
        };
        reader.finish()?;
        Ok(Self { reason, properties })
    }

    /// Appends the packet in its shortest form.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let first = PacketType::Disconnect.first();
        if !version.is_v5() {
            return put_head(first, 0, out);
        }
        if !self.properties.is_empty() {
            put_head(first, 1 + self.properties.encoded_len(), out);
            out.push(self.reason.value());
            return self.properties.encode(out);
        }
        if self.reason == Reason::NORMAL_DISCONNECTION {
            return put_head(first, 0, out);
        }
        put_head(first, 1, out);
        out.push(self.reason.value());
    }
}
