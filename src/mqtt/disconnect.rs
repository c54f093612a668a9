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
                "a Reason Code DISCONNECT does not have",
            ));
        }
        // `E0 01 xx` has no Property Length.
        let properties = if reader.is_empty() {
            Properties::EMPTY
        } else {
            Properties::decode(&mut reader, Place::Disconnect)?
        };
        let longer = |_| Violation::malformed("bytes after the end of DISCONNECT");
        reader.finish().map_err(longer)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, first: u8, body: &[u8], expected: Result<Reason, Reason>) {
        let found = Disconnect::decode(first, body, version);
        let found = found
            .map(|packet| packet.reason)
            .map_err(|violation| violation.reason);
        assert_eq!(found, expected, "{version} {first:02x} {body:02x?}");
    }

    const MALFORMED: Result<Reason, Reason> = Err(Reason::MALFORMED_PACKET);
    const PROTOCOL: Result<Reason, Reason> = Err(Reason::PROTOCOL_ERROR);

    #[test]
    fn reasons_and_short_forms() {
        use Version::V5;
        for version in Version::ALL {
            check(version, 0xe0, &[], Ok(Reason::NORMAL_DISCONNECTION));
        }
        check(V5, 0xe0, &[0], Ok(Reason::NORMAL_DISCONNECTION));
        check(V5, 0xe0, &[4], Ok(Reason::DISCONNECT_WITH_WILL));
        check(V5, 0xe0, &[0x8e, 0], Ok(Reason::SESSION_TAKEN_OVER));
        check(
            V5,
            0xe0,
            &[0, 5, 0x11, 0, 0, 0, 9],
            Ok(Reason::NORMAL_DISCONNECTION),
        );
        check(V5, 0xe0, &[0, 1], MALFORMED);
        check(V5, 0xe0, &[0, 0, 0], MALFORMED);
        check(V5, 0xe0, &[0, 3, 0x21, 0, 9], MALFORMED);
        check(V5, 0xe0, &[1], PROTOCOL);
        check(V5, 0xe0, &[0x86], PROTOCOL);
        check(V5, 0xe1, &[], MALFORMED);
        check(Version::V311, 0xe8, &[], MALFORMED);
        check(Version::V311, 0xe0, &[0], MALFORMED);
        check(Version::V31, 0xe0, &[0], MALFORMED);
    }

    #[test]
    fn the_shortest_form_is_written() {
        fn check(reason: Reason, version: Version, expected: &[u8]) {
            let mut out = Vec::new();
            Disconnect::with_reason(reason).encode(version, &mut out);
            assert_eq!(out, expected);
        }
        check(Reason::NORMAL_DISCONNECTION, Version::V5, &[0xe0, 0]);
        check(Reason::SERVER_SHUTTING_DOWN, Version::V5, &[0xe0, 1, 0x8b]);
        check(Reason::SERVER_SHUTTING_DOWN, Version::V311, &[0xe0, 0]);
    }
}
