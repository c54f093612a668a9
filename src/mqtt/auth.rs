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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, first: u8, body: &[u8], expected: Result<Reason, Reason>) {
        let found = Auth::decode(first, body, version);
        let found = found
            .map(|packet| packet.reason)
            .map_err(|violation| violation.reason);
        assert_eq!(found, expected, "{version} {first:02x} {body:02x?}");
    }

    const MALFORMED: Result<Reason, Reason> = Err(Reason::MALFORMED_PACKET);
    const PROTOCOL: Result<Reason, Reason> = Err(Reason::PROTOCOL_ERROR);

    #[test]
    fn reasons_and_forms() {
        use Version::V5;
        let method = [0x18, 4, 0x15, 0, 1, b'm'];
        check(V5, 0xf0, &[], Ok(Reason::SUCCESS));
        check(V5, 0xf0, &method, Ok(Reason::CONTINUE_AUTHENTICATION));
        check(
            V5,
            0xf0,
            &[0x19, 8, 0x15, 0, 1, b'm', 0x16, 0, 1, 0],
            Ok(Reason::REAUTHENTICATE),
        );
        // A method is needed, before the data or after it.
        check(
            V5,
            0xf0,
            &[0x19, 8, 0x16, 0, 1, 0, 0x15, 0, 1, b'm'],
            Ok(Reason::REAUTHENTICATE),
        );
        check(V5, 0xf0, &[0x18, 4, 0x16, 0, 1, 0], PROTOCOL);
        check(V5, 0xf0, &[0x18, 0], PROTOCOL);
        check(
            V5,
            0xf0,
            &[0x18, 8, 0x15, 0, 1, b'm', 0x15, 0, 1, b'm'],
            PROTOCOL,
        );
        check(V5, 0xf0, &[0x80, 4, 0x15, 0, 1, b'm'], PROTOCOL);
        check(V5, 0xf0, &[0x18], MALFORMED);
        check(V5, 0xf0, &[0x18, 5, 0x15, 0, 1, b'm'], MALFORMED);
        check(V5, 0xf1, &method, MALFORMED);
        for version in [Version::V31, Version::V311] {
            check(version, 0xf0, &[], MALFORMED);
            check(version, 0xf0, &method, MALFORMED);
        }
    }
}
