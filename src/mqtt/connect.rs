//! CONNECT (section 3.1) in all versions, and the Will inside it.
//!
//! Whether a Client Identifier is welcome (a length of 23 in version 3.1, an empty one without
//! Clean Session in 3.1.1) is left to the broker, which has an answer for that.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::topic::check_name;
use crate::mqtt::wire::{Reader, put_binary, put_string, put_u16};
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
        let client_id = reader.string()?;
        let will = if flags & WILL != 0 {
            Some(Will::decode(flags, &mut reader, version)?)
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
        // [MQTT-3.1.2-12]
        let Some(qos) = QoS::from_bits(flags >> WILL_QOS_SHIFT & 0b11) else {
            return Err(Violation::malformed("Will QoS 3"));
        };
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

/// The Connect Flags against each other.
fn check_flags(flags: u8, version: Version) -> Result<(), Violation> {
    // Before version 5 a password belongs to a user. [MQTT-3.1.2-22] of 3.1.1
    if flags & PASSWORD != 0 && flags & USER_NAME == 0 && !version.is_v5() {
        return Err(Violation::protocol_error("a password without a user name"));
    }
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
