//! The standard: bytes and packets, topics and messages, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! One file holds one packet, or a pair of them, in all three versions. Decoding borrows from the
//! bytes it is given and allocates nothing; every rule about the *form* of a packet is enforced
//! here, so that whoever holds a [`Packet`] need not look twice. Rules about who may send what,
//! and when, belong to the broker and to the client: both read and write every packet.
//!
//! Sections 1 to 3 of the standard; rule numbers are those of version 5.0 unless a version is named.

pub mod ack;
pub mod auth;
pub mod connack;
pub mod connect;
pub mod delivery;
pub mod disconnect;
pub mod frame;
pub mod limits;
pub mod message;
pub mod property;
pub mod publish;
pub mod reason;
pub mod scram;
pub mod subscribe;
pub mod topic;
pub mod unsubscribe;
pub mod wire;

use std::fmt;
use std::num::NonZeroU16;

use crate::mqtt::ack::Ack;
use crate::mqtt::auth::Auth;
use crate::mqtt::connack::Connack;
use crate::mqtt::connect::Connect;
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::frame::{Scan, scan};
use crate::mqtt::publish::Publish;
pub use crate::mqtt::reason::Reason;

use crate::mqtt::subscribe::{Suback, Subscribe};
use crate::mqtt::unsubscribe::{Unsuback, Unsubscribe};

/// A version of the protocol; the number is the Protocol Level of CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    V31 = 3,
    V311 = 4,
    V5 = 5,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// The Protocol Level byte of CONNECT.
    pub const fn level(self) -> u8 {
        self as u8
    }

    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// Quality of Service (section 4.3). A third bit pattern is forbidden and cannot be held here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum QoS {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl QoS {
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// A Packet Identifier, which is never zero (section 2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    #[inline]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    #[inline]
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The release of mosquitto whose ways clients and broker take where they go by its names: no fact of
/// the standard, but this is the one room that all others see.
pub const MOSQUITTO_RELEASE: &str = "2.1.2";

/// The kinds of MQTT Control Packet (section 2.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The kind named by the first byte of a packet; `None` for the forbidden kind 0.
    #[inline]
    pub const fn from_first(first: u8) -> Option<Self> {
        match first >> 4 {
            0 => None,
            kind => Some(Self::ALL[kind as usize - 1]),
        }
    }

    /// The first byte of a packet of this kind, with the flags the standard fixes for it.
    /// PUBLISH has flags of its own, which are left zero.
    #[inline]
    pub const fn first(self) -> u8 {
        let flags = match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// The name as the standard prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Checks the first byte of a packet that is no PUBLISH.
    ///
    /// Version 3.1 calls these bits "not used", and lets a re-sent PUBREL, SUBSCRIBE or
    /// UNSUBSCRIBE carry DUP, so there only the kind counts.
    pub(crate) fn check_first(self, first: u8, version: Version) -> Result<(), Violation> {
        let is_right = match version {
            Version::V31 => first >> 4 == self as u8,
            Version::V311 | Version::V5 => first == self.first(),
        };
        // [MQTT-2.1.3-1]
        if is_right {
            Ok(())
        } else {
            Err(Violation::malformed("reserved flags of the first byte"))
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a peer did wrong: the Reason Code to tell it in version 5, and a word for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    pub reason: Reason,
    pub what: &'static str,
}

impl Violation {
    pub const fn new(reason: Reason, what: &'static str) -> Self {
        Self { reason, what }
    }

    /// The bytes cannot be read as the standard says.
    pub const fn malformed(what: &'static str) -> Self {
        Self::new(Reason::MALFORMED_PACKET, what)
    }

    /// The bytes can be read, and say something that is not allowed.
    pub const fn protocol_error(what: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.what)
    }
}

impl std::error::Error for Violation {}

/// One MQTT Control Packet, borrowed from the bytes it was read from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads `frame`, which is one whole packet with its fixed header. CONNECT tells its own
    /// version; every other packet is read as `version`.
    pub fn decode(frame: &'a [u8], version: Version) -> Result<Self, Violation> {
        let Scan::Head(head) = scan(frame, limits::PACKET_SIZE_MAX)? else {
            return Err(Violation::malformed("packet ends within its fixed header"));
        };
        let body = &frame[head.head_len..];
        if body.len() != head.body_len {
            return Err(Violation::malformed(
                "Remaining Length does not fit the packet",
            ));
        }
        Self::decode_body(head.first, body, version)
    }

    /// Reads a packet whose fixed header has been taken off.
    pub fn decode_body(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        let Some(kind) = PacketType::from_first(first) else {
            return Err(Violation::malformed("packet type 0"));
        };
        Ok(match kind {
            PacketType::Connect => Self::Connect(Connect::decode(first, body, version)?),
            PacketType::Connack => Self::Connack(Connack::decode(first, body, version)?),
            PacketType::Publish => Self::Publish(Publish::decode(first, body, version)?),
            PacketType::Puback => Self::Puback(Ack::decode(first, body, version)?),
            PacketType::Pubrec => Self::Pubrec(Ack::decode(first, body, version)?),
            PacketType::Pubrel => Self::Pubrel(Ack::decode(first, body, version)?),
            PacketType::Pubcomp => Self::Pubcomp(Ack::decode(first, body, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(first, body, version)?),
            PacketType::Suback => Self::Suback(Suback::decode(first, body, version)?),
            PacketType::Unsubscribe => {
                Self::Unsubscribe(Unsubscribe::decode(first, body, version)?)
            }
            PacketType::Unsuback => Self::Unsuback(Unsuback::decode(first, body, version)?),
            PacketType::Pingreq | PacketType::Pingresp => {
                kind.check_first(first, version)?;
                if !body.is_empty() {
                    return Err(Violation::malformed("a ping with something inside"));
                }
                if kind == PacketType::Pingreq {
                    Self::Pingreq
                } else {
                    Self::Pingresp
                }
            }
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(first, body, version)?),
            PacketType::Auth => Self::Auth(Auth::decode(first, body, version)?),
        })
    }

    /// Appends the packet as `version` writes it; CONNECT is written in its own version. What a
    /// version has no field for (properties and reasons before version 5) is left out.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Self::Connect(packet) => packet.encode(version, out),
            Self::Connack(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::Puback(packet) => packet.encode(PacketType::Puback, version, out),
            Self::Pubrec(packet) => packet.encode(PacketType::Pubrec, version, out),
            Self::Pubrel(packet) => packet.encode(PacketType::Pubrel, version, out),
            Self::Pubcomp(packet) => packet.encode(PacketType::Pubcomp, version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::Suback(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::Unsuback(packet) => packet.encode(version, out),
            Self::Pingreq => frame::put_head(PacketType::Pingreq.first(), 0, out),
            Self::Pingresp => frame::put_head(PacketType::Pingresp.first(), 0, out),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }

    /// The kind of this packet.
    pub const fn kind(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads and writes again.
    fn check(version: Version, frame: &[u8]) {
        let packet = Packet::decode(frame, version).unwrap();
        assert_eq!(Some(packet.kind()), PacketType::from_first(frame[0]));
        let mut out = Vec::new();
        packet.encode(version, &mut out);
        assert_eq!(out, frame, "{packet:?}");
    }

    #[test]
    fn every_packet_is_written_as_it_was_read() {
        use Version::{V5, V31, V311};
        check(V31, b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02id");
        check(
            V311,
            b"\x10\x22\0\x04MQTT\x04\xee\0\x3c\0\x02id\0\x01w\0\x03bye\0\x04user\0\x04p\0\xff\x00",
        );
        check(V5, b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02id");
        check(V311, b"\x20\x02\x01\x00");
        check(V5, b"\x20\x03\x00\x87\x00");
        check(V5, b"\x20\x06\x01\x00\x03\x21\x00\x0a");
        check(V311, b"\x30\x05\0\x01tab");
        check(V311, b"\x3d\x07\0\x01t\x12\x34ab");
        check(V5, b"\x32\x09\0\0\x00\x01\x03\x23\x00\x05x");
        check(V31, b"\x40\x02\x00\x01");
        check(V5, b"\x50\x03\x00\x01\x10");
        check(V5, b"\x62\x02\x00\x01");
        check(V5, b"\x70\x0b\x00\x01\x92\x07\x26\0\x01a\0\x01b");
        check(V311, b"\x82\x0b\x00\x01\0\x01a\x01\0\x02+/\x02");
        check(V5, b"\x82\x07\x00\x01\0\0\x01a\x2d");
        check(V311, b"\x90\x03\x00\x01\x80");
        check(V5, b"\x90\x05\x00\x01\x00\x02\x8f");
        check(V311, b"\xa2\x05\x00\x01\0\x01a");
        check(V5, b"\xa2\x06\x00\x01\0\0\x01a");
        check(V311, b"\xb0\x02\x00\x01");
        check(V5, b"\xb0\x04\x00\x01\x00\x11");
        check(V31, b"\xc0\x00");
        check(V5, b"\xd0\x00");
        check(V311, b"\xe0\x00");
        check(V5, b"\xe0\x00");
        check(V5, b"\xe0\x01\x8e");
        check(V5, b"\xe0\x07\x04\x05\x11\0\0\0\x01");
        check(V5, b"\xf0\x00");
        check(V5, b"\xf0\x06\x18\x04\x15\0\x01m");
    }

    #[test]
    fn a_frame_is_one_whole_packet() {
        let malformed = |frame: &[u8]| {
            let violation = Packet::decode(frame, Version::V311).unwrap_err();
            assert_eq!(violation.reason, Reason::MALFORMED_PACKET, "{frame:02x?}");
        };
        malformed(b"");
        malformed(b"\xc0");
        malformed(b"\xc0\x00\x00");
        malformed(b"\xc0\x01");
        malformed(b"\xc0\x01\x00");
        malformed(b"\x00\x00");
        malformed(b"\xf0\x00");
        malformed(b"\xc1\x00");
    }
}
