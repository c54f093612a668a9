//! Properties (section 2.2.2): [`Properties`], a run of them that is known to be right.
//!
//! What a property is stands in `table.rs`; what it *does* is left to the broker and the client.

mod buf;
mod table;

use std::fmt;

pub use crate::mqtt::property::buf::PropertiesBuf;
use crate::mqtt::property::table::Rule;
pub use crate::mqtt::property::table::{Place, PropertyId, Row, TABLE, ValueType};

use crate::mqtt::Violation;
use crate::mqtt::topic::check_name;
use crate::mqtt::wire::{Reader, SHORT, put_variable, variable_len};

/// The value of a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    String(&'a str),
    Pair(&'a str, &'a str),
    Binary(&'a [u8]),
}

impl Value<'_> {
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::Byte(_) => ValueType::Byte,
            Self::Two(_) => ValueType::Two,
            Self::Four(_) => ValueType::Four,
            Self::Variable(_) => ValueType::Variable,
            Self::String(_) => ValueType::String,
            Self::Pair(..) => ValueType::Pair,
            Self::Binary(_) => ValueType::Binary,
        }
    }
}

/// A run of properties that is known to be right, without its length prefix.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    pub const EMPTY: Self = Self { raw: &[] };

    /// Reads the Property Length and the properties after it, and checks each.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, place: Place) -> Result<Self, Violation> {
        let len = reader.variable().map_err(named)?;
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let raw = reader.bytes(len as usize).map_err(named)?;
        check(raw, place).map_err(named)?;
        Ok(Self { raw })
    }

    /// Takes up properties that [`decode`](Self::decode) accepted before, so that a message can
    /// be kept as bytes.
    pub(crate) const fn from_validated(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// Takes up properties of a message or a will that somebody has kept, and that may be damaged.
    pub fn restored(raw: &'a [u8]) -> Result<Self, Violation> {
        check(raw, Place::Publish).or_else(|_| check(raw, Place::Will))?;
        Ok(Self { raw })
    }

    /// The bytes, without their length prefix.
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Bytes on the wire, with the length prefix.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        variable_len(self.raw.len()) + self.raw.len()
    }

    /// Appends the length prefix and the properties.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_variable(self.raw.len() as u32, out);
        out.extend_from_slice(self.raw);
    }

    /// The properties in the order they stand in.
    #[inline]
    pub const fn iter(&self) -> Iter<'a> {
        Iter {
            reader: Reader::new(self.raw),
        }
    }

    /// The first property with this identifier.
    pub fn find(&self, id: PropertyId) -> Option<Value<'a>> {
        self.iter()
            .find(|(found, _)| *found == id)
            .map(|(_, value)| value)
    }

    pub fn byte(&self, id: PropertyId) -> Option<u8> {
        match self.find(id)? {
            Value::Byte(value) => Some(value),
            _ => None,
        }
    }

    pub fn two(&self, id: PropertyId) -> Option<u16> {
        match self.find(id)? {
            Value::Two(value) => Some(value),
            _ => None,
        }
    }

    pub fn four(&self, id: PropertyId) -> Option<u32> {
        match self.find(id)? {
            Value::Four(value) => Some(value),
            _ => None,
        }
    }

    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        match self.find(id)? {
            Value::String(value) => Some(value),
            _ => None,
        }
    }

    pub fn binary(&self, id: PropertyId) -> Option<&'a [u8]> {
        match self.find(id)? {
            Value::Binary(value) => Some(value),
            _ => None,
        }
    }

    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.iter().filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.iter().filter_map(|(_, value)| match value {
            Value::Variable(value) => Some(value),
            _ => None,
        })
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = (PropertyId, Value<'a>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The properties of a [`Properties`], one by one.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (PropertyId, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let next = read(&mut self.reader);
        // Only checked bytes become `Properties`.
        debug_assert!(next.is_ok());
        next.ok().map(|(row, value)| (row.id, value))
    }
}

/// Says of a packet that is too short that it is so here.
#[cold]
fn named(violation: Violation) -> Violation {
    match violation == SHORT {
        true => Violation::malformed("the packet ends within its properties"),
        false => violation,
    }
}

const NO_TEXT: &str = "a property that is not UTF-8";

fn read<'a>(reader: &mut Reader<'a>) -> Result<(&'static Row, Value<'a>), Violation> {
    let Some(id) = PropertyId::from_byte(reader.u8()?) else {
        return Err(Violation::malformed("unknown property"));
    };
    let row = id.row();
    let value = match row.value_type {
        ValueType::Byte => Value::Byte(reader.u8()?),
        ValueType::Two => Value::Two(reader.u16()?),
        ValueType::Four => Value::Four(reader.u32()?),
        ValueType::Variable => Value::Variable(reader.variable()?),
        ValueType::String => Value::String(reader.string_or(NO_TEXT)?),
        ValueType::Pair => Value::Pair(reader.string_or(NO_TEXT)?, reader.string_or(NO_TEXT)?),
        ValueType::Binary => Value::Binary(reader.binary()?),
    };
    Ok((row, value))
}

/// Everything the standard says about a run of properties in `place`.
fn check(raw: &[u8], place: Place) -> Result<(), Violation> {
    let mut reader = Reader::new(raw);
    let mut seen = 0_u64;
    while !reader.is_empty() {
        let (row, value) = read(&mut reader)?;
        if !row.allowed_in(place) {
            return Err(Violation::malformed(
                "a property that has no place in this packet",
            ));
        }
        let bit = 1 << row.id as u64;
        if seen & bit != 0 && !row.repeats_in(place) {
            return Err(Violation::protocol_error("a property twice"));
        }
        seen |= bit;
        check_value(row, value)?;
    }
    let has = |id: PropertyId| seen & 1 << id as u64 != 0;
    if has(PropertyId::AuthenticationData) && !has(PropertyId::AuthenticationMethod) {
        return Err(Violation::protocol_error(
            "Authentication Data without Method",
        ));
    }
    Ok(())
}

fn check_value(row: &Row, value: Value<'_>) -> Result<(), Violation> {
    match (row.rule, value) {
        (Rule::Flag, Value::Byte(2..)) => Err(Violation::protocol_error(
            "a property that is neither 0 nor 1",
        )),
        (Rule::NotZero(reason), Value::Variable(0)) => {
            Err(Violation::new(reason, "Subscription Identifier 0"))
        }
        (Rule::NotZero(reason), Value::Two(0) | Value::Four(0)) => {
            Err(Violation::new(reason, "a property that must not be 0"))
        }
        // [MQTT-3.3.2-14]
        (Rule::Topic, Value::String(text)) => {
            let what = "a Response Topic that is no Topic Name";
            check_name(text).map_err(|_| Violation::protocol_error(what))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::reason::Reason;

    const MALFORMED: Result<usize, Reason> = Err(Reason::MALFORMED_PACKET);
    const PROTOCOL: Result<usize, Reason> = Err(Reason::PROTOCOL_ERROR);

    /// Reads `raw` as properties of `place`: how many there are, or why not.
    fn check(place: Place, raw: &[u8], expected: Result<usize, Reason>) {
        let mut bytes = Vec::new();
        put_variable(raw.len() as u32, &mut bytes);
        bytes.extend_from_slice(raw);
        let found = Properties::decode(&mut Reader::new(&bytes), place);
        let found = found.map(|properties| properties.iter().count());
        assert_eq!(
            found.map_err(|violation| violation.reason),
            expected,
            "{place:?} {raw:02x?}"
        );
    }

    #[test]
    fn a_property_of_each_kind_is_read() {
        let mut buf = PropertiesBuf::new();
        buf.push(PropertyId::PayloadFormatIndicator, Value::Byte(1));
        buf.push(PropertyId::TopicAlias, Value::Two(7));
        buf.push(PropertyId::MessageExpiryInterval, Value::Four(8));
        buf.push(PropertyId::SubscriptionIdentifier, Value::Variable(300));
        buf.push(PropertyId::ContentType, Value::String("text"));
        buf.push(PropertyId::UserProperty, Value::Pair("a", "b"));
        buf.push(PropertyId::CorrelationData, Value::Binary(&[0, 0xff]));
        buf.push(PropertyId::SubscriptionIdentifier, Value::Variable(1));
        buf.push(PropertyId::UserProperty, Value::Pair("a", ""));
        check(Place::Publish, buf.properties().raw(), Ok(9));
        let properties = buf.properties();
        assert_eq!(properties.byte(PropertyId::PayloadFormatIndicator), Some(1));
        assert_eq!(properties.two(PropertyId::TopicAlias), Some(7));
        assert_eq!(properties.four(PropertyId::MessageExpiryInterval), Some(8));
        assert_eq!(properties.text(PropertyId::ContentType), Some("text"));
        assert_eq!(
            properties.binary(PropertyId::CorrelationData),
            Some(&[0, 0xff][..])
        );
        assert_eq!(properties.subscription_ids().collect::<Vec<_>>(), [300, 1]);
        assert_eq!(
            properties.user_properties().collect::<Vec<_>>(),
            [("a", "b"), ("a", "")]
        );
        assert_eq!(properties.text(PropertyId::ResponseTopic), None);

        let mut kept = PropertiesBuf::new();
        kept.extend_filtered(properties, |id| id != PropertyId::TopicAlias);
        assert_eq!(kept.properties().iter().count(), 8);
        assert_eq!(kept.properties().two(PropertyId::TopicAlias), None);
    }

    #[test]
    fn each_row_stands_in_its_places_and_nowhere_else() {
        for row in &TABLE {
            let mut buf = PropertiesBuf::new();
            if row.id == PropertyId::AuthenticationData {
                buf.push(PropertyId::AuthenticationMethod, Value::String("m"));
            }
            let before = buf.properties().iter().count();
            let one = |buf: &mut PropertiesBuf| {
                buf.push(
                    row.id,
                    match row.value_type {
                        ValueType::Byte => Value::Byte(1),
                        ValueType::Two => Value::Two(1),
                        ValueType::Four => Value::Four(1),
                        ValueType::Variable => Value::Variable(1),
                        ValueType::String => Value::String("s"),
                        ValueType::Pair => Value::Pair("a", "b"),
                        ValueType::Binary => Value::Binary(b"b"),
                    },
                );
            };
            one(&mut buf);
            let mut twice = buf.clone();
            one(&mut twice);
            for place in Place::ALL {
                let allowed = row.allowed_in(place);
                let expected = if allowed { Ok(before + 1) } else { MALFORMED };
                check(place, buf.properties().raw(), expected);
                let repeated = match (allowed, row.repeats_in(place)) {
                    (false, _) => MALFORMED,
                    (true, false) => PROTOCOL,
                    (true, true) => Ok(before + 2),
                };
                check(place, twice.properties().raw(), repeated);
                // Cut anywhere, it is malformed.
                let raw = buf.properties().raw();
                check(place, &raw[..raw.len() - 1], MALFORMED);
            }
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for id in [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a] {
            let row = PropertyId::from_byte(id).unwrap().row();
            for place in Place::ALL
                .into_iter()
                .filter(|place| row.allowed_in(*place))
            {
                check(place, &[id, 0], Ok(1));
                check(place, &[id, 1], Ok(1));
                check(place, &[id, 2], PROTOCOL);
                check(place, &[id, 0xff], PROTOCOL);
            }
        }
        check(Place::Connect, &[0x21, 0, 0], PROTOCOL);
        check(Place::Connect, &[0x27, 0, 0, 0, 0], PROTOCOL);
        check(Place::Connect, &[0x22, 0, 0], Ok(1));
        check(Place::Connect, &[0x11, 0, 0, 0, 0], Ok(1));
        check(Place::Subscribe, &[0x0b, 0], PROTOCOL);
        check(Place::Subscribe, &[0x0b, 0x80, 0], MALFORMED);
        check(Place::Subscribe, &[0x0b, 0xff, 0xff, 0xff, 0x7f], Ok(1));
        check(
            Place::Publish,
            &[0x23, 0, 0],
            Err(Reason::TOPIC_ALIAS_INVALID),
        );
        check(Place::Publish, &[0x08, 0, 1, b'a'], Ok(1));
        check(Place::Publish, &[0x08, 0, 1, b'+'], PROTOCOL);
        check(Place::Will, &[0x08, 0, 1, b'#'], PROTOCOL);
        check(Place::Publish, &[0x08, 0, 0], PROTOCOL);
        check(Place::Publish, &[0x08, 0, 1, 0], MALFORMED);
        check(Place::Publish, &[0x03, 0, 1, 0xff], MALFORMED);
        check(Place::Publish, &[0x26, 0, 0, 0, 1, 0], MALFORMED);
        check(Place::Connect, &[0x16, 0, 1, 1], PROTOCOL);
    }

    #[test]
    fn an_unknown_identifier_is_malformed() {
        for id in (0..=255_u8).filter(|id| PropertyId::from_byte(*id).is_none()) {
            check(Place::Publish, &[id, 0, 0, 0, 0], MALFORMED);
        }
        assert_eq!(
            (0..=255).filter_map(PropertyId::from_byte).count(),
            TABLE.len()
        );
        // The longer form of an identifier that exists.
        check(Place::Publish, &[0x81, 0x00, 0x01], MALFORMED);
    }

    #[test]
    fn names_lead_to_identifiers() {
        for row in &TABLE {
            assert_eq!(PropertyId::from_name(row.name), Some(row.id));
            assert_eq!(row.id.name(), row.name);
        }
        assert_eq!(PropertyId::from_name("no-such-property"), None);
    }
}
