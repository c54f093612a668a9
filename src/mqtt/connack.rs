//! CONNACK (section 3.2). Before version 5 it carries one of six return codes instead of a reason.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::wire::Reader;
use crate::mqtt::{PacketType, Version, Violation};

/// The largest return code of version 3: not authorized.
pub const V3_CODE_MAX: u8 = 5;
/// The return code with which a version 3 server refuses a version 5 client.
const V3_WRONG_VERSION: u8 = 1;

/// A CONNACK packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connack<'a> {
    pub session_present: bool,
    /// Before version 5 the return code, 0 to 5.
    pub reason: Reason,
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        PacketType::Connack.check_first(first, version)?;
        // A server that knows version 3 only says so in its own words, to a client of version 5.
        if version.is_v5() && body == [0, V3_WRONG_VERSION] {
            let reason = Reason::UNSUPPORTED_PROTOCOL_VERSION;
            return Ok(Self {
                session_present: false,
                reason,
                properties: Properties::EMPTY,
            });
        }
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        // [MQTT-3.2.2-1]
        if flags > 1 && version != Version::V31 {
            return Err(Violation::malformed("reserved Connect Acknowledge Flags"));
        }
        // Version 3.1 has no Session Present, and disregards the byte.
        let session_present = flags == 1 && version != Version::V31;
        let reason = Reason(reader.u8()?);
        let is_known = match version {
            Version::V31 | Version::V311 => reason.value() <= V3_CODE_MAX,
            Version::V5 => reason.allowed_in(PacketType::Connack),
        };
        // [MQTT-3.2.2-8]
        if !is_known {
            return Err(Violation::protocol_error(
                "a Reason Code this packet does not have",
            ));
        }
        // [MQTT-3.2.2-6]
        if session_present && reason != Reason::SUCCESS {
            return Err(Violation::protocol_error("Session Present in a refusal"));
        }
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Connack)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        reader.finish()?;
        Ok(Self {
            session_present,
            reason,
            properties,
        })
    }

    /// Appends the packet; before version 5 with the nearest return code.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let flags = u8::from(self.session_present && version != Version::V31);
        if version.is_v5() {
            put_head(
                PacketType::Connack.first(),
                2 + self.properties.encoded_len(),
                out,
            );
            out.extend_from_slice(&[flags, self.reason.value()]);
            self.properties.encode(out);
        } else {
            let code = match self.reason.value() {
                code @ ..=V3_CODE_MAX => code,
                _ => self.reason.v3_connect_code(),
            };
            out.extend_from_slice(&[PacketType::Connack.first(), 2, flags, code]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, body: &[u8], expected: Result<(bool, Reason), Reason>) {
        let found = Connack::decode(0x20, body, version);
        let found = found.map(|connack| (connack.session_present, connack.reason));
        let found = found.map_err(|violation| violation.reason);
        assert_eq!(found, expected, "{version} {body:02x?}");
    }

    const MALFORMED: Result<(bool, Reason), Reason> = Err(Reason::MALFORMED_PACKET);
    const PROTOCOL: Result<(bool, Reason), Reason> = Err(Reason::PROTOCOL_ERROR);

    #[test]
    fn version_3_has_six_return_codes() {
        for version in [Version::V31, Version::V311] {
            for code in 0..=5 {
                check(version, &[0, code], Ok((false, Reason(code))));
            }
            check(version, &[0, 6], PROTOCOL);
            check(version, &[0, 0x87], PROTOCOL);
            check(version, &[0], MALFORMED);
            check(version, &[0, 0, 0], MALFORMED);
        }
        check(Version::V311, &[1, 0], Ok((true, Reason::SUCCESS)));
        check(Version::V311, &[1, 5], PROTOCOL);
        check(Version::V311, &[2, 0], MALFORMED);
        check(Version::V311, &[0x81, 0], MALFORMED);
        check(Version::V31, &[1, 0], Ok((false, Reason::SUCCESS)));
    }

    #[test]
    fn version_5_has_reasons_and_properties() {
        use Version::V5;
        check(V5, &[0, 0, 0], Ok((false, Reason::SUCCESS)));
        check(V5, &[1, 0, 0], Ok((true, Reason::SUCCESS)));
        check(V5, &[0, 0x87, 0], Ok((false, Reason::NOT_AUTHORIZED)));
        check(V5, &[1, 0x87, 0], PROTOCOL);
        check(V5, &[0, 4, 0], PROTOCOL);
        check(V5, &[0, 0x8e, 0], PROTOCOL);
        check(V5, &[2, 0, 0], MALFORMED);
        check(V5, &[0, 0], MALFORMED);
        check(V5, &[0, 0, 0, 0], MALFORMED);
        check(V5, &[0, 0, 2, 0x24, 2], PROTOCOL);
        check(V5, &[0, 0, 3, 0x23, 0, 1], MALFORMED);
    }

    #[test]
    fn a_version_3_server_refuses_version_5_in_its_own_words() {
        let refusal = Ok((false, Reason::UNSUPPORTED_PROTOCOL_VERSION));
        check(Version::V5, &[0, 1], refusal);
        check(Version::V5, &[0, 1, 0], PROTOCOL);
    }

    #[test]
    fn version_3_is_told_the_nearest_return_code() {
        let reason = Reason::BAD_USER_NAME_OR_PASSWORD;
        let connack = Connack {
            session_present: false,
            reason,
            properties: Properties::EMPTY,
        };
        let mut out = Vec::new();
        connack.encode(Version::V311, &mut out);
        assert_eq!(out, [0x20, 2, 0, 4]);
    }
}
