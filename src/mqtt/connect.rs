//! CONNECT (section 3.1) in all versions, and the Will inside it.
//!
//! Whether a Client Identifier is welcome (a length of 23 in version 3.1, an empty one without
//! Clean Session in 3.1.1) is left to the broker, which has an answer for that.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::topic::check_name;
use crate::mqtt::wire::{Reader, SHORT, put_binary, put_string, put_u16};
use crate::mqtt::{PacketType, QoS, Version, Violation};

const RESERVED: u8 = 0b0000_0001;
const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

/// Set in the Protocol Level by bridges of version 3, to be told apart from clients.
const BRIDGE: u8 = 0x80;

/// A CONNECT packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connect<'a> {
    pub version: Version,
    /// The high bit of the Protocol Level, with which bridges of version 3 make themselves known.
    pub bridge: bool,
    pub clean_start: bool,
    /// Seconds; 0 turns it off.
    pub keep_alive: u16,
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub user_name: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub properties: Properties<'a>,
}

/// The Will of a CONNECT.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Will<'a> {
    pub qos: QoS,
    pub retain: bool,
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub properties: Properties<'a>,
}

/// The version a CONNECT body asks for, if that can be told: an answer to a CONNECT that is
/// wrong further on has to be in the language of its sender.
pub fn version_of(body: &[u8]) -> Option<Version> {
    read_version(&mut Reader::new(body))
        .ok()
        .map(|(version, _)| version)
}

/// The version in which the sender of a Protocol Level that nobody knows is told so: those before
/// version 5 only where the level is one of theirs, under another Protocol Name.
pub fn refusal_version(body: &[u8]) -> Version {
    let mut reader = Reader::new(body);
    let level = reader.string().and_then(|_| reader.u8());
    match level.map(|level| level & !BRIDGE) {
        Ok(3..=5) => Version::V311,
        _ => Version::V5,
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<(Version, bool), Violation> {
    let name = reader.string()?;
    let level = reader.u8()?;
    // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    Ok(match (name, level) {
        ("MQTT", 5) => (Version::V5, false),
        ("MQTT", 4) => (Version::V311, false),
        ("MQIsdp", 3) => (Version::V31, false),
        ("MQTT", level) if level == 4 | BRIDGE => (Version::V311, true),
        ("MQIsdp", level) if level == 3 | BRIDGE => (Version::V31, true),
        ("MQTT" | "MQIsdp", _) => {
            let what = "a Protocol Level other than 3, 4 and 5";
            return Err(Violation::new(Reason::UNSUPPORTED_PROTOCOL_VERSION, what));
        }
        _ => {
            let what = "a Protocol Name other than MQTT and MQIsdp";
            return Err(Violation::new(Reason::UNSUPPORTED_PROTOCOL_VERSION, what));
        }
    })
}

impl<'a> Connect<'a> {
    /// Reads the body. A CONNECT tells its own version: `_version` is there for the likeness of
    /// all decoders.
    pub fn decode(first: u8, body: &'a [u8], _version: Version) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let (version, bridge) = read_version(&mut reader)?;
        PacketType::Connect.check_first(first, version)?;
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive = reader.u16()?;
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Connect)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let client_id = reader.string_or("a Client Identifier that is not UTF-8")?;
        let will = if flags & WILL != 0 {
            Some(Will::decode(flags, &mut reader, version).map_err(named)?)
        } else {
            None
        };
        // Version 3.1 allows the fields to be missing though the flags promise them.
        let is_there = |flag, reader: &Reader<'_>| {
            flags & flag != 0 && !(version == Version::V31 && reader.is_empty())
        };
        let user_name = if is_there(USER_NAME, &reader) {
            Some(reader.string()?)
        } else {
            None
        };
        let password = if is_there(PASSWORD, &reader) {
            Some(reader.binary()?)
        } else {
            None
        };
        reader.finish()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self {
            version,
            bridge,
            clean_start,
            keep_alive,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    /// Appends the packet in its own version: `_version` is there for the likeness of all encoders.
    pub fn encode(&self, _version: Version, out: &mut Vec<u8>) {
        let name = if self.version == Version::V31 {
            "MQIsdp"
        } else {
            "MQTT"
        };
        let is_v5 = self.version.is_v5();
        assert!(!(self.bridge && is_v5), "version 5 has no bridge bit");
        let mut body_len = 2 + name.len() + 4 + 2 + self.client_id.len();
        if is_v5 {
            body_len += self.properties.encoded_len();
        }
        if let Some(will) = &self.will {
            body_len += 2 + will.topic.len() + 2 + will.payload.len();
            if is_v5 {
                body_len += will.properties.encoded_len();
            }
        }
        body_len += self.user_name.map_or(0, |text| 2 + text.len());
        body_len += self.password.map_or(0, |bytes| 2 + bytes.len());

        put_head(PacketType::Connect.first(), body_len, out);
        put_string(name, out);
        out.push(self.version.level() | if self.bridge { BRIDGE } else { 0 });
        out.push(self.flags());
        put_u16(self.keep_alive, out);
        if is_v5 {
            self.properties.encode(out);
        }
        put_string(self.client_id, out);
        if let Some(will) = &self.will {
            if is_v5 {
                will.properties.encode(out);
            }
            put_string(will.topic, out);
            put_binary(will.payload, out);
        }
        if let Some(user_name) = self.user_name {
            put_string(user_name, out);
        }
        if let Some(password) = self.password {
            put_binary(password, out);
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.bits() << WILL_QOS_SHIFT;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.user_name.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn decode(flags: u8, reader: &mut Reader<'a>, version: Version) -> Result<Self, Violation> {
        let qos = will_qos(flags)?;
        let properties = match version {
            Version::V5 => Properties::decode(reader, Place::Will)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let topic = reader.string()?;
        check_name(topic).map_err(Violation::malformed)?;
        let payload = reader.binary()?;
        Ok(Self {
            qos,
            retain: flags & WILL_RETAIN != 0,
            topic,
            payload,
            properties,
        })
    }
}

/// Says of a packet that is too short that it is so here.
fn named(violation: Violation) -> Violation {
    match violation == SHORT {
        true => Violation::malformed("the packet ends within its Will"),
        false => violation,
    }
}

fn will_qos(flags: u8) -> Result<QoS, Violation> {
    // [MQTT-3.1.2-12]
    let qos = QoS::from_bits(flags >> WILL_QOS_SHIFT & 0b11);
    qos.ok_or(Violation::malformed("Will QoS 3"))
}

/// The Connect Flags against each other.
fn check_flags(flags: u8, version: Version) -> Result<(), Violation> {
    // Before version 5 a password belongs to a user. [MQTT-3.1.2-22] of 3.1.1
    if flags & PASSWORD != 0 && flags & USER_NAME == 0 && !version.is_v5() {
        return Err(Violation::protocol_error("a password without a user name"));
    }
    will_qos(flags)?;
    // Version 3.1 disregards the other two.
    if version == Version::V31 {
        return Ok(());
    }
    // [MQTT-3.1.2-3]
    if flags & RESERVED != 0 {
        return Err(Violation::malformed("the reserved Connect Flag"));
    }
    // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    if flags & WILL == 0 && flags & (WILL_RETAIN | 0b11 << WILL_QOS_SHIFT) != 0 {
        return Err(Violation::protocol_error(
            "Will QoS or Will Retain without a Will",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CONNECT body: protocol, flags, and what follows the keep alive of 10 seconds.
    fn body(protocol: &[u8], flags: u8, rest: &[u8]) -> Vec<u8> {
        [protocol, &[flags, 0, 10], rest].concat()
    }

    const V31: &[u8] = b"\0\x06MQIsdp\x03";
    const V311: &[u8] = b"\0\x04MQTT\x04";
    const V5: &[u8] = b"\0\x04MQTT\x05";
    const MALFORMED: Reason = Reason::MALFORMED_PACKET;
    const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

    fn decode(first: u8, body: &[u8]) -> Result<Connect<'_>, Violation> {
        Connect::decode(first, body, Version::V311)
    }

    fn refused(body: &[u8], expected: Reason) {
        let found = decode(0x10, body).map_err(|violation| violation.reason);
        assert_eq!(found, Err(expected), "{body:02x?}");
    }

    #[test]
    fn a_connect_tells_its_version() {
        fn check(protocol: &[u8], expected: Result<(Version, bool), Reason>) {
            let rest: &[u8] = if protocol == V5 {
                b"\0\0\x01c"
            } else {
                b"\0\x01c"
            };
            let body = body(protocol, CLEAN_START, rest);
            let found = decode(0x10, &body).map(|connect| (connect.version, connect.bridge));
            assert_eq!(
                found.map_err(|violation| violation.reason),
                expected,
                "{protocol:02x?}"
            );
            assert_eq!(version_of(&body), expected.ok().map(|(version, _)| version));
        }
        check(V31, Ok((Version::V31, false)));
        check(V311, Ok((Version::V311, false)));
        check(V5, Ok((Version::V5, false)));
        check(b"\0\x06MQIsdp\x83", Ok((Version::V31, true)));
        check(b"\0\x04MQTT\x84", Ok((Version::V311, true)));
        let unsupported = Err(Reason::UNSUPPORTED_PROTOCOL_VERSION);
        check(b"\0\x04MQTT\x85", unsupported);
        check(b"\0\x04MQTT\x03", unsupported);
        check(b"\0\x04MQTT\x06", unsupported);
        check(b"\0\x04MQTT\x00", unsupported);
        check(b"\0\x06MQIsdp\x04", unsupported);
        check(b"\0\x04mqtt\x04", unsupported);
        check(b"\0\x04MQT\0\x04", Err(MALFORMED));
        check(b"\0\x40MQTT\x04", Err(MALFORMED));
    }

    #[test]
    fn all_fields_are_read() {
        let rest = b"\x03\x21\0\x09\0\x02id\x05\x18\0\0\0\x07\0\x01w\0\x02\0\xff\0\x01u\0\x02p\xff";
        let body = body(V5, 0xee, rest);
        let connect = decode(0x10, &body).unwrap();
        assert_eq!(
            (connect.clean_start, connect.keep_alive, connect.client_id),
            (true, 10, "id")
        );
        assert_eq!(connect.user_name, Some("u"));
        assert_eq!(connect.password, Some(&b"p\xff"[..]));
        assert_eq!(connect.properties.raw(), b"\x21\0\x09");
        let will = connect.will.unwrap();
        assert_eq!(
            (will.qos, will.retain, will.topic),
            (QoS::AtLeastOnce, true, "w")
        );
        assert_eq!(will.payload, b"\0\xff");
        assert_eq!(will.properties.raw(), b"\x18\0\0\0\x07");
        let mut out = Vec::new();
        connect.encode(Version::V311, &mut out);
        assert_eq!(out[2..], body);
    }

    #[test]
    fn flags_must_fit_each_other() {
        for (protocol, rest) in [(V311, &b"\0\0"[..]), (V5, b"\0\0\0")] {
            refused(&body(protocol, 0x01, rest), MALFORMED);
            refused(&body(protocol, 0x08, rest), PROTOCOL);
            refused(&body(protocol, 0x10, rest), PROTOCOL);
            refused(&body(protocol, 0x18, rest), MALFORMED);
            refused(&body(protocol, 0x20, rest), PROTOCOL);
        }
        refused(&body(V311, 0x1c, b"\0\0\0\x01w\0\0"), MALFORMED);
        refused(&body(V5, 0x1c, b"\0\0\0\0\0\x01w\0\0"), MALFORMED);
        // A password alone is for version 5.
        refused(&body(V31, 0x40, b"\0\0\0\x01p"), PROTOCOL);
        refused(&body(V311, 0x40, b"\0\0\0\x01p"), PROTOCOL);
        assert!(decode(0x10, &body(V5, 0x40, b"\0\0\0\0\x01p")).is_ok());
    }

    #[test]
    fn the_first_byte_has_no_flags() {
        for first in [0x11, 0x12, 0x18, 0x1f] {
            assert_eq!(
                decode(first, &body(V311, 2, b"\0\0")).unwrap_err().reason,
                MALFORMED
            );
            assert_eq!(
                decode(first, &body(V5, 2, b"\0\0\0")).unwrap_err().reason,
                MALFORMED
            );
            assert!(decode(first, &body(V31, 2, b"\0\x01c")).is_ok());
        }
    }

    #[test]
    fn the_body_is_whole_and_nothing_more() {
        let whole = body(V311, 0xc6, b"\0\x01c\0\x01w\0\x01x\0\x01u\0\x01p");
        assert!(decode(0x10, &whole).is_ok());
        for len in 0..whole.len() {
            refused(&whole[..len], MALFORMED);
        }
        refused(&[&whole[..], b"\0"].concat(), MALFORMED);
        let whole = body(V5, 0xc6, b"\0\0\x01c\0\0\x01w\0\x01x\0\x01u\0\x01p");
        assert!(decode(0x10, &whole).is_ok());
        for len in 0..whole.len() {
            refused(&whole[..len], MALFORMED);
        }
        refused(&[&whole[..], b"\0"].concat(), MALFORMED);
    }

    #[test]
    fn strings_and_the_will_topic_are_checked() {
        refused(&body(V311, 2, b"\0\x01\0"), MALFORMED);
        refused(&body(V311, 2, b"\0\x01\xff"), MALFORMED);
        refused(&body(V311, 0x82, b"\0\0\0\x02u\0"), MALFORMED);
        refused(&body(V311, 0x06, b"\0\0\0\0\0\0"), MALFORMED);
        refused(&body(V311, 0x06, b"\0\0\0\x01#\0\0"), MALFORMED);
        refused(&body(V311, 0x06, b"\0\0\0\x03a/+\0\0"), MALFORMED);
        refused(&body(V5, 2, b"\x02\x01\x01\0\0"), MALFORMED);
        refused(
            &body(V5, 0x06, b"\0\0\0\x03\x21\0\x01\0\x01w\0\0"),
            MALFORMED,
        );
    }

    #[test]
    fn version_3_1_may_leave_out_what_its_flags_promise() {
        let connect = body(V31, 0xc2, b"\0\x01c");
        let connect = decode(0x10, &connect).unwrap();
        assert_eq!((connect.user_name, connect.password), (None, None));
        let connect = body(V31, 0xc2, b"\0\x01c\0\x01u");
        let connect = decode(0x10, &connect).unwrap();
        assert_eq!((connect.user_name, connect.password), (Some("u"), None));
        // It disregards Will QoS and Will Retain where there is no Will, but no QoS is 3.
        assert!(decode(0x10, &body(V31, 0x33, b"\0\x01c")).is_ok());
        refused(&body(V31, 0x3b, b"\0\x01c"), MALFORMED);
    }
}
