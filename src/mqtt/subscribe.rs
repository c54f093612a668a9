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
        let packet_id = reader.packet_id()?;
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
