//! CONNACK (section 3.2). Before version 5 it carries one of six return codes instead of a reason.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::wire::Reader;
use crate::mqtt::{PacketType, Version, Violation};

/// The largest return code of version 3: not authorized.
const V3_CODE_MAX: u8 = 5;
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
        // [MQTT-3.2.2-7]
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
