//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use crate::mqtt::frame::put_head;
use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reason::Reason;
use crate::mqtt::topic::check_filter;
use crate::mqtt::wire::{Reader, put_string, put_u16};
use crate::mqtt::{PacketId, PacketType, Version, Violation};

/// An UNSUBSCRIBE packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unsubscribe<'a> {
    pub packet_id: PacketId,
    pub properties: Properties<'a>,
    /// The payload, which has been walked over once.
    payload: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        // [MQTT-3.10.1-1]
        PacketType::Unsubscribe.check_first(first, version)?;
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id_or("UNSUBSCRIBE with Packet Identifier 0")?;
        let properties = match version {
            Version::V5 => Properties::decode(&mut reader, Place::Unsubscribe)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let payload = reader.rest();
        // [MQTT-3.10.3-2]
        if payload.is_empty() {
            return Err(Violation::protocol_error(
                "UNSUBSCRIBE without a Topic Filter",
            ));
        }
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            check_filter(reader.string()?).map_err(Violation::malformed)?;
        }
        Ok(Self {
            packet_id,
            properties,
            payload,
        })
    }

    /// The filters in their order, never none.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let mut reader = Reader::new(self.payload);
        std::iter::from_fn(move || reader.string().ok())
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

/// Appends an UNSUBSCRIBE put together from its parts.
pub fn encode(
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[&str],
    version: Version,
    out: &mut Vec<u8>,
) {
    put(packet_id, properties, version, filters.iter().copied(), out);
}

fn put<'a>(
    packet_id: PacketId,
    properties: Properties<'_>,
    version: Version,
    filters: impl Iterator<Item = &'a str> + Clone,
    out: &mut Vec<u8>,
) {
    let is_v5 = version.is_v5();
    let payload_len: usize = filters.clone().map(|filter| 2 + filter.len()).sum();
    assert!(payload_len > 0, "an UNSUBSCRIBE needs a filter");
    let properties_len = if is_v5 { properties.encoded_len() } else { 0 };
    put_head(
        PacketType::Unsubscribe.first(),
        2 + properties_len + payload_len,
        out,
    );
    put_u16(packet_id.value(), out);
    if is_v5 {
        properties.encode(out);
    }
    for filter in filters {
        put_string(filter, out);
    }
}

/// An UNSUBACK packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unsuback<'a> {
    pub packet_id: PacketId,
    pub properties: Properties<'a>,
    /// One Reason Code for each filter; none before version 5.
    pub reasons: &'a [u8],
}

impl<'a> Unsuback<'a> {
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, Violation> {
        PacketType::Unsuback.check_first(first, version)?;
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if !version.is_v5() {
            reader.finish()?;
            return Ok(Self {
                packet_id,
                properties: Properties::EMPTY,
                reasons: &[],
            });
        }
        let properties = Properties::decode(&mut reader, Place::Unsuback)?;
        let reasons = reader.rest();
        if reasons.is_empty() {
            return Err(Violation::protocol_error("UNSUBACK without a Reason Code"));
        }
        // [MQTT-3.11.3-2]
        if !reasons
            .iter()
            .all(|&value| Reason(value).allowed_in(PacketType::Unsuback))
        {
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

    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if !version.is_v5() {
            put_head(PacketType::Unsuback.first(), 2, out);
            return put_u16(self.packet_id.value(), out);
        }
        let body_len = 2 + self.properties.encoded_len() + self.reasons.len();
        put_head(PacketType::Unsuback.first(), body_len, out);
        put_u16(self.packet_id.value(), out);
        self.properties.encode(out);
        out.extend_from_slice(self.reasons);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: Reason = Reason::MALFORMED_PACKET;
    const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

    #[test]
    fn filters_are_there_and_right() {
        fn check(version: Version, body: &[u8], expected: Result<&[&str], Reason>) {
            let found = Unsubscribe::decode(0xa2, body, version);
            let found = found.map(|unsubscribe| unsubscribe.filters().collect::<Vec<_>>());
            let found = found.map_err(|violation| violation.reason);
            assert_eq!(
                found,
                expected.map(<[&str]>::to_vec),
                "{version} {body:02x?}"
            );
        }
        check(Version::V311, b"\0\x01\0\x01a\0\x01#", Ok(&["a", "#"]));
        check(
            Version::V5,
            b"\0\x01\0\0\x0a$share/g/a",
            Ok(&["$share/g/a"]),
        );
        check(Version::V5, b"\0\x01\x05\x26\0\0\0\0\0\x01a", Ok(&["a"]));
        check(Version::V311, b"\0\x01", Err(PROTOCOL));
        check(Version::V5, b"\0\x01\0", Err(PROTOCOL));
        check(Version::V5, b"\0\x01", Err(MALFORMED));
        check(Version::V311, b"\0\0\0\x01a", Err(PROTOCOL));
        check(Version::V311, b"\0\x01\0\0", Err(MALFORMED));
        check(Version::V311, b"\0\x01\0\x02a#", Err(MALFORMED));
        check(Version::V311, b"\0\x01\0\x02a", Err(MALFORMED));
        check(Version::V311, b"\0\x01\0\x01a\0", Err(MALFORMED));
        check(Version::V311, b"\0\x01\0\x01\0", Err(MALFORMED));
        check(Version::V5, b"\0\x01\x02\x0b\x01\0\x01a", Err(MALFORMED));
        for first in [0xa0, 0xa1, 0xa3, 0xaa] {
            assert!(Unsubscribe::decode(first, b"\0\x01\0\x01a", Version::V311).is_err());
        }
        assert!(Unsubscribe::decode(0xaa, b"\0\x01\0\x01a", Version::V31).is_ok());
    }

    #[test]
    fn unsuback_has_reasons_in_version_5_only() {
        fn check(version: Version, body: &[u8], expected: Result<&[u8], Reason>) {
            let found = Unsuback::decode(0xb0, body, version);
            let found = found
                .map(|packet| packet.reasons)
                .map_err(|violation| violation.reason);
            assert_eq!(found, expected, "{version} {body:02x?}");
        }
        check(Version::V311, &[0, 1], Ok(&[]));
        check(Version::V311, &[0, 1, 0], Err(MALFORMED));
        check(Version::V311, &[0, 0], Err(PROTOCOL));
        check(Version::V5, &[0, 1, 0, 0, 0x11, 0x87], Ok(&[0, 0x11, 0x87]));
        check(Version::V5, &[0, 1, 0, 1], Err(PROTOCOL));
        check(Version::V5, &[0, 1, 0], Err(PROTOCOL));
        check(Version::V5, &[0, 1], Err(MALFORMED));
    }
}
