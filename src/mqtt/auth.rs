//! AUTH (section 3.15), which only version 5 has.
//!
//! Whether an exchange is under way, and by which method, is known to the broker and the client.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties, PropertyId};
use crate::mqtt::reason::Reason;
use crate::mqtt::wire::Reader;
use crate::mqtt::{PacketType, Version, Violation};

/// An AUTH packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Auth<'a> {
    pub reason: Reason,
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        if !version.is_v5() {
            return Err(Violation::malformed("AUTH before version 5"));
        }
        // [MQTT-3.15.1-1]
        PacketType::Auth.check_first(first, version)?;
        // The short form of section 3.15.2.1: success, and no properties.
        if body.is_empty() {
            return Ok(Self {
                reason: Reason::SUCCESS,
                properties: Properties::EMPTY,
            });
        }
        let mut reader = Reader::new(body);
        let reason = Reason(reader.u8()?);
        // [MQTT-3.15.2-1]
        if !reason.allowed_in(PacketType::Auth) {
            return Err(Violation::protocol_error(
                "a Reason Code this packet does not have",
            ));
        }
        let properties = Properties::decode(&mut reader, Place::Auth)?;
        reader.finish()?;
        if properties.find(PropertyId::AuthenticationMethod).is_none() {
            return Err(Violation::protocol_error(
                "AUTH without an Authentication Method",
            ));
        }
        Ok(Self { reason, properties })
    }

    /// Appends the packet, which only version 5 has.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        assert!(version.is_v5(), "AUTH before version 5");
        let first = PacketType::Auth.first();
        if self.reason == Reason::SUCCESS && self.properties.is_empty() {
            return put_head(first, 0, out);
        }
        put_head(first, 1 + self.properties.encoded_len(), out);
        out.push(self.reason.value());
        self.properties.encode(out);
    }
}
