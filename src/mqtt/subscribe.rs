//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).
//!
//! The filters stay where they were read; [`Subscribe::filters`] walks over them.

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::topic::{check_filter, split_share};
use crate::mqtt::wire::{Reader, put_string, put_u16};
use crate::mqtt::{PacketId, PacketType, QoS, Version, Violation};

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;
const RESERVED_V3: u8 = 0b1111_1100;

/// Which Retained Messages a new Subscription wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum RetainHandling {
    #[default]
    Send = 0,
    SendIfNew = 1,
    DoNotSend = 2,
}

/// The Subscription Options of one filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubscribeOptions {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// Options of version 3: the Requested QoS and nothing else.
    pub const fn with_qos(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    pub const fn bits(self) -> u8 {
        self.qos.bits()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }

    pub const fn from_bits(bits: u8) -> Result<Self, Violation> {
        // [MQTT-3.8.3-5]
        if bits & RESERVED != 0 {
            return Err(Violation::malformed("reserved Subscription Options"));
        }
        let Some(qos) = QoS::from_bits(bits & 0b11) else {
            return Err(Violation::protocol_error("a Subscription with QoS 3"));
        };
        let retain_handling = match bits >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => {
                return Err(Violation::protocol_error(
                    "a Subscription with Retain Handling 3",
                ));
            }
        };
        let no_local = bits & NO_LOCAL != 0;
        let retain_as_published = bits & RETAIN_AS_PUBLISHED != 0;
        Ok(Self {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        })
    }
}

/// A SUBSCRIBE packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Subscribe<'a> {
    pub packet_id: PacketId,
    pub properties: Properties<'a>,
    /// The payload, which has been walked over once.
    payload: &'a [u8],
}

impl<'a> Subscribe<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        // [MQTT-3.8.1-1]
        PacketType::Subscribe.check_first(first, version)?;
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id_or("SUBSCRIBE with Packet Identifier 0")?;
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Subscribe)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let payload = reader.rest();
        // [MQTT-3.8.3-2]
        if payload.is_empty() {
            return Err(Violation::protocol_error(
                "SUBSCRIBE without a Topic Filter",
            ));
        }
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let filter = reader.string()?;
            let bits = reader.u8()?;
            check_filter(filter).map_err(Violation::malformed)?;
            if !version.is_v5() && bits & RESERVED_V3 != 0 {
                return Err(Violation::malformed(
                    "reserved bits beside the Requested QoS",
                ));
            }
            let options = SubscribeOptions::from_bits(bits)?;
            // [MQTT-3.8.3-4]
            if options.no_local && split_share(filter).is_some() {
                return Err(Violation::protocol_error(
                    "No Local on a Shared Subscription",
                ));
            }
        }
        Ok(Self {
            packet_id,
            properties,
            payload,
        })
    }

    /// The filters in their order, never none.
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + Clone + use<'a> {
        let mut reader = Reader::new(self.payload);
        std::iter::from_fn(move || {
            let filter = reader.string().ok()?;
            let options = SubscribeOptions::from_bits(reader.u8().ok()?).ok()?;
            Some((filter, options))
        })
    }

    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        put(
            self.packet_id,
            self.properties,
            version,
            self.filters(),
            out,
        );
    }
}

/// Appends a SUBSCRIBE put together from its parts. Before version 5 only the QoS is written.
pub fn encode(
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[(&str, SubscribeOptions)],
    version: Version,
    out: &mut Vec<u8>,
) {
    put(packet_id, properties, version, filters.iter().copied(), out);
}

fn put<'a>(
    packet_id: PacketId,
    properties: Properties<'_>,
    version: Version,
    filters: impl Iterator<Item = (&'a str, SubscribeOptions)> + Clone,
    out: &mut Vec<u8>,
) {
    let is_v5 = version.is_v5();
    let payload_len: usize = filters
        .clone()
        .map(|(filter, _)| 2 + filter.len() + 1)
        .sum();
    assert!(payload_len > 0, "a SUBSCRIBE needs a filter");
    let properties_len = if is_v5 { properties.encoded_len() } else { 0 };
    put_head(
        PacketType::Subscribe.first(),
        2 + properties_len + payload_len,
        out,
    );
    put_u16(packet_id.value(), out);
    if is_v5 {
        properties.encode(out);
    }
    for (filter, options) in filters {
        put_string(filter, out);
        out.push(if is_v5 {
            options.bits()
        } else {
            options.qos.bits()
        });
    }
}

/// A SUBACK packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Suback<'a> {
    pub packet_id: PacketId,
    pub properties: Properties<'a>,
    /// One Reason Code for each filter.
    pub reasons: &'a [u8],
}

impl<'a> Suback<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        PacketType::Suback.check_first(first, version)?;
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Suback)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let reasons = reader.rest();
        if reasons.is_empty() {
            return Err(Violation::protocol_error("SUBACK without a Reason Code"));
        }
        let is_known = |value: &u8| match version {
            // [MQTT-3.9.3-2] of 3.1.1
            Version::V31 | Version::V311 => matches!(value, 0..=2 | 0x80),
            // [MQTT-3.9.3-2]
            Version::V5 => Reason(*value).allowed_in(PacketType::Suback),
        };
        if !reasons.iter().all(is_known) {
            return Err(Violation::protocol_error(
                "a Reason Code this packet does not have",
            ));
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    /// Appends the packet; before version 5 every refusal is 0x80.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let is_v5 = version.is_v5();
        let properties_len = if is_v5 {
            self.properties.encoded_len()
        } else {
            0
        };
        put_head(
            PacketType::Suback.first(),
            2 + properties_len + self.reasons.len(),
            out,
        );
        put_u16(self.packet_id.value(), out);
        if is_v5 {
            self.properties.encode(out);
            out.extend_from_slice(self.reasons);
        } else {
            out.extend(self.reasons.iter().map(|&value| value.min(0x80)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: Reason = Reason::MALFORMED_PACKET;
    const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

    fn refused(version: Version, body: &[u8], expected: Reason) {
        let found = Subscribe::decode(0x82, body, version).map_err(|violation| violation.reason);
        assert_eq!(found, Err(expected), "{version} {body:02x?}");
    }

    #[test]
    fn filters_come_with_their_options() {
        let body = b"\0\x07\x02\x0b\x05\0\x03a/+\x01\0\x01#\x2e";
        let subscribe = Subscribe::decode(0x82, body, Version::V5).unwrap();
        assert_eq!(subscribe.packet_id.value(), 7);
        assert_eq!(
            subscribe.properties.subscription_ids().collect::<Vec<_>>(),
            [5]
        );
        let options = SubscribeOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        let expected = [
            ("a/+", SubscribeOptions::with_qos(QoS::AtLeastOnce)),
            ("#", options),
        ];
        assert_eq!(subscribe.filters().collect::<Vec<_>>(), expected);
        // Written for version 3.1.1, only the QoS is left of the options.
        let mut out = Vec::new();
        subscribe.encode(Version::V311, &mut out);
        assert_eq!(out, b"\x82\x0c\0\x07\0\x03a/+\x01\0\x01#\x02");
    }

    #[test]
    fn options_are_bits() {
        fn check(bits: u8, expected: Result<(), Reason>) {
            let found = SubscribeOptions::from_bits(bits);
            assert_eq!(
                found.map(SubscribeOptions::bits).ok(),
                expected.is_ok().then_some(bits)
            );
            assert_eq!(
                found.map(|_| ()).map_err(|violation| violation.reason),
                expected
            );
        }
        for bits in [0, 1, 2, 0x04, 0x08, 0x10, 0x20, 0x2e] {
            check(bits, Ok(()));
        }
        check(0x03, Err(PROTOCOL));
        check(0x30, Err(PROTOCOL));
        check(0x40, Err(MALFORMED));
        check(0x80, Err(MALFORMED));
        check(0xc1, Err(MALFORMED));
    }

    #[test]
    fn wrong_forms_are_refused() {
        use Version::{V5, V311};
        for version in Version::ALL {
            let with = |properties_len: &[u8], filters: &[u8]| {
                let length: &[u8] = if version.is_v5() { properties_len } else { &[] };
                [&[0, 1], length, filters].concat()
            };
            refused(version, &with(&[0], b""), PROTOCOL);
            refused(version, &with(&[0], b"\0\0\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x01a"), MALFORMED);
            refused(version, &with(&[0], b"\0\x02a\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x02a#\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x02+a\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x02a\0\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x01\xff\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x08$share/g\x00"), MALFORMED);
            refused(version, &with(&[0], b"\0\x01a\x03"), PROTOCOL);
            refused(version, &with(&[0], b"\0\x01a\x00\0"), MALFORMED);
            refused(version, b"", MALFORMED);
            refused(version, b"\x01", MALFORMED);
            refused(version, b"\0\0\0\0\x01a\x00", PROTOCOL);
        }
        refused(V311, b"\0\x01\0\x01a\x04", MALFORMED);
        refused(V5, b"\0\x01\0\0\x0a$share/g/a\x04", PROTOCOL);
        refused(V5, b"\0\x01\x02\x0b\0\0\x01a\0", PROTOCOL);
        refused(V5, b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0", PROTOCOL);
        refused(V5, b"\0\x01\x02\x01\0\0\x01a\0", MALFORMED);
        refused(V5, b"\0\x01", MALFORMED);
    }

    #[test]
    fn version_3_1_may_send_it_again() {
        let body = b"\0\x01\0\x01a\0";
        assert!(Subscribe::decode(0x8a, body, Version::V31).is_ok());
        for first in [0x80, 0x81, 0x83, 0x8a] {
            assert!(Subscribe::decode(first, body, Version::V311).is_err());
        }
    }

    #[test]
    fn suback_has_reasons_of_its_own() {
        fn check(version: Version, body: &[u8], expected: Result<&[u8], Reason>) {
            let found = Suback::decode(0x90, body, version);
            let found = found
                .map(|suback| suback.reasons)
                .map_err(|violation| violation.reason);
            assert_eq!(found, expected, "{version} {body:02x?}");
        }
        check(Version::V311, &[0, 1, 0, 1, 2, 0x80], Ok(&[0, 1, 2, 0x80]));
        check(Version::V311, &[0, 1, 3], Err(PROTOCOL));
        check(Version::V311, &[0, 1, 0x87], Err(PROTOCOL));
        check(Version::V311, &[0, 1], Err(PROTOCOL));
        check(Version::V311, &[0, 0, 1], Err(PROTOCOL));
        check(
            Version::V5,
            &[0, 1, 0, 0, 1, 2, 0x87, 0xa2],
            Ok(&[0, 1, 2, 0x87, 0xa2]),
        );
        check(Version::V5, &[0, 1, 0, 0x11], Err(PROTOCOL));
        check(Version::V5, &[0, 1, 0], Err(PROTOCOL));
        check(Version::V5, &[0, 1], Err(MALFORMED));
    }

    #[test]
    fn a_refusal_is_0x80_before_version_5() {
        let packet_id = PacketId::new(1).unwrap();
        let suback = Suback {
            packet_id,
            properties: Properties::EMPTY,
            reasons: &[2, 0x87, 0x8f],
        };
        let mut out = Vec::new();
        suback.encode(Version::V311, &mut out);
        assert_eq!(out, [0x90, 5, 0, 1, 2, 0x80, 0x80]);
    }
}
