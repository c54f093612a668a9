//! `-D command name value`: a version 5 property, typed by a person.
//!
//! Names, types and the packets that may carry a property come from the standard's table
//! (`mqtt/property.rs`); which packets a client can be told to decorate, and the sentences, are here.

use std::ffi::OsStr;

use crate::cli::number;
use crate::cli::words::Verdict;
use crate::mqtt::limits::VARIABLE_MAX;
use crate::mqtt::property::{Place, Properties, PropertiesBuf, PropertyId, Value, ValueType};
use crate::mqtt::wire::Reader;

/// The packet a property goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Will,
}

/// One `-D`, judged and typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub target: Target,
    id: PropertyId,
    value: Typed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Typed {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    String(String),
    Pair(String, String),
    Binary(Vec<u8>),
}

impl Property {
    /// Reads what the lexer joined.
    pub(crate) fn unpack(joined: &str) -> Result<Self, String> {
        let words: Vec<&str> = joined.split('\0').collect();
        judge(&words).map_err(|verdict| verdict.sentence)
    }

    fn value(&self) -> Value<'_> {
        match &self.value {
            Typed::Byte(number) => Value::Byte(*number),
            Typed::Two(number) => Value::Two(*number),
            Typed::Four(number) => Value::Four(*number),
            Typed::Variable(number) => Value::Variable(*number),
            Typed::String(text) => Value::String(text),
            Typed::Pair(name, text) => Value::Pair(name, text),
            Typed::Binary(bytes) => Value::Binary(bytes),
        }
    }
}

/// The properties meant for one packet, in the order typed.
pub fn collect(properties: &[Property], target: Target) -> PropertiesBuf {
    let mut out = PropertiesBuf::new();
    for property in properties
        .iter()
        .filter(|property| property.target == target)
    {
        out.push(property.id, property.value());
    }
    out
}

/// What is wrong with the properties of a packet taken together.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub packet: &'static str,
    pub what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// A property that may stand once stands twice.
    Twice,
    /// A value no peer may send, such as a Receive Maximum of 0.
    Forbidden(&'static str),
}

/// The packets a person can decorate, in mosquitto's order of checking.
const CHECKED: [(Target, Place, &str); 6] = [
    (Target::Connect, Place::Connect, "CONNECT"),
    (Target::Publish, Place::Publish, "PUBLISH"),
    (Target::Subscribe, Place::Subscribe, "SUBSCRIBE"),
    (Target::Unsubscribe, Place::Unsubscribe, "UNSUBSCRIBE"),
    (Target::Disconnect, Place::Disconnect, "DISCONNECT"),
    (Target::Will, Place::Will, "Will"),
];

/// The first packet whose properties the standard does not allow.
pub fn fault(properties: &[Property]) -> Option<Fault> {
    CHECKED.iter().find_map(|&(target, place, packet)| {
        if twice(properties, target) {
            return Some(Fault {
                packet,
                what: What::Twice,
            });
        }
        let mut bytes = Vec::new();
        collect(properties, target).properties().encode(&mut bytes);
        let violation = Properties::decode(&mut Reader::new(&bytes), place).err()?;
        Some(Fault {
            packet,
            what: What::Forbidden(violation.what),
        })
    })
}

fn twice(properties: &[Property], target: Target) -> bool {
    let mut seen = Vec::new();
    properties
        .iter()
        .filter(|property| property.target == target)
        .any(|property| {
            let again = property.id != PropertyId::UserProperty && seen.contains(&property.id);
            seen.push(property.id);
            again
        })
}

/// The words a person may type for a packet, and what the standard says about properties there.
fn command(word: &str) -> Option<(Place, Option<Target>)> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_str() {
        "connect" => (Place::Connect, Some(Target::Connect)),
        "connack" => (Place::Connack, None),
        "publish" => (Place::Publish, Some(Target::Publish)),
        "puback" => (Place::Puback, None),
        "pubrec" => (Place::Pubrec, None),
        "pubrel" => (Place::Pubrel, None),
        "pubcomp" => (Place::Pubcomp, None),
        "subscribe" => (Place::Subscribe, Some(Target::Subscribe)),
        "suback" => (Place::Suback, None),
        "unsubscribe" => (Place::Unsubscribe, Some(Target::Unsubscribe)),
        "unsuback" => (Place::Unsuback, None),
        "disconnect" => (Place::Disconnect, Some(Target::Disconnect)),
        "auth" => (Place::Auth, None),
        "will" => (Place::Will, Some(Target::Will)),
        _ => return None,
    })
}

/// Whether two values follow the name; names are read as mosquitto reads them, in either case.
pub(crate) fn is_pair(name: &OsStr) -> bool {
    name.eq_ignore_ascii_case(PropertyId::UserProperty.row().name)
}

/// Judges packet and name, as far as that goes without a value.
pub(crate) fn judge_names(
    packet: &str,
    name: &str,
) -> Result<(Option<Target>, PropertyId), Verdict> {
    let (place, target) = command(packet).ok_or_else(|| {
        Verdict::spaced(format!(
            "Invalid command {packet} given in --property argument."
        ))
    })?;
    let id = PropertyId::from_name(&name.to_ascii_lowercase()).ok_or_else(|| {
        Verdict::spaced(format!(
            "Invalid property name {name} given in --property argument."
        ))
    })?;
    if !id.row().allowed_in(place) {
        return Err(Verdict::spaced(format!(
            "{name} property not allowed for {packet} in --property argument."
        )));
    }
    Ok((target, id))
}

/// Judges the words of one `-D`: three, or four for a user property.
pub(crate) fn judge(words: &[&str]) -> Result<Property, Verdict> {
    let [packet, name, text, rest @ ..] = words else {
        return Err(Verdict::spaced(
            "--property argument given but not enough arguments specified.",
        ));
    };
    let (target, id) = judge_names(packet, name)?;
    // A publisher may not send a Subscription Identifier. [MQTT-3.3.4-6]
    let forbidden = target == Some(Target::Publish) && id == PropertyId::SubscriptionIdentifier;
    let Some(target) = target.filter(|_| !forbidden) else {
        return Err(Verdict::spaced(format!(
            "{name} property not supported for {packet} in --property argument."
        )));
    };
    let value = match id.row().value_type {
        ValueType::Byte => Typed::Byte(short(name, text)?),
        ValueType::Two => Typed::Two(short(name, text)?),
        ValueType::Four => Typed::Four(long(name, text)?),
        ValueType::Variable => match long(name, text)? {
            number @ ..=VARIABLE_MAX => Typed::Variable(number),
            number => return Err(out_of_range(name, i64::from(number))),
        },
        ValueType::String => Typed::String(fits(name, text)?),
        ValueType::Binary => Typed::Binary(fits(name, text)?.into_bytes()),
        ValueType::Pair => {
            let value = rest.first().copied().unwrap_or_default();
            Typed::Pair(fits(name, text)?, fits(name, value)?)
        }
    };
    Ok(Property { target, id, value })
}

/// One and two byte numbers are read leniently, as `atol` does.
fn short<T: TryFrom<i64>>(name: &str, text: &str) -> Result<T, Verdict> {
    let number = number::leading_i64(text);
    T::try_from(number).map_err(|_| out_of_range(name, number))
}

fn long(name: &str, text: &str) -> Result<u32, Verdict> {
    let number = number::whole_i64(text)
        .ok_or_else(|| Verdict::spaced(format!("Property value '{text}' not a number.")))?;
    u32::try_from(number).map_err(|_| out_of_range(name, number))
}

fn out_of_range(name: &str, number: i64) -> Verdict {
    Verdict::spaced(format!(
        "Property value ({number}) out of range for property {name}."
    ))
}

fn fits(name: &str, text: &str) -> Result<String, Verdict> {
    if text.len() > usize::from(u16::MAX) {
        return Err(Verdict::spaced(format!(
            "Property value too long for property {name}."
        )));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(words: &[&str]) -> String {
        judge(words).unwrap_err().sentence
    }

    #[test]
    fn typed_properties() {
        let property = judge(&["publish", "message-expiry-interval", "0x10"]).unwrap();
        assert_eq!(property.value, Typed::Four(16));
        let property = judge(&["will", "user-property", "-k", "v"]).unwrap();
        assert_eq!(property.value, Typed::Pair("-k".into(), "v".into()));
        assert_eq!(property.target, Target::Will);
        let property = judge(&["connect", "receive-maximum", "12x"]).unwrap();
        assert_eq!(property.value, Typed::Two(12));
    }

    #[test]
    fn wrong_properties() {
        assert_eq!(
            sentence(&["x", "content-type", "y"]),
            "Invalid command x given in --property argument."
        );
        assert_eq!(
            sentence(&["publish", "x", "y"]),
            "Invalid property name x given in --property argument."
        );
        assert_eq!(
            sentence(&["connect", "content-type", "y"]),
            "content-type property not allowed for connect in --property argument."
        );
        assert_eq!(
            sentence(&["puback", "reason-string", "y"]),
            "reason-string property not supported for puback in --property argument."
        );
        assert_eq!(
            sentence(&["publish", "subscription-identifier", "1"]),
            "subscription-identifier property not supported for publish in --property argument."
        );
        assert_eq!(
            sentence(&["connect", "receive-maximum", "65536"]),
            "Property value (65536) out of range for property receive-maximum."
        );
        assert_eq!(
            sentence(&["subscribe", "subscription-identifier", "268435456"]),
            "Property value (268435456) out of range for property subscription-identifier."
        );
        assert_eq!(
            sentence(&["publish", "message-expiry-interval", "soon"]),
            "Property value 'soon' not a number."
        );
        assert_eq!(
            sentence(&["connect", "user-property"]),
            "--property argument given but not enough arguments specified."
        );
    }

    #[test]
    fn properties_no_peer_may_send() {
        let alias = judge(&["publish", "topic-alias", "1"]).unwrap();
        let user = judge(&["publish", "user-property", "k", "v"]).unwrap();
        assert_eq!(fault(&[alias.clone(), user.clone(), user.clone()]), None);
        assert_eq!(
            fault(&[alias.clone(), user, alias]),
            Some(Fault {
                packet: "PUBLISH",
                what: What::Twice
            })
        );
        let none_at_once = judge(&["connect", "receive-maximum", "0"]).unwrap();
        assert_eq!(fault(&[none_at_once]).unwrap().packet, "CONNECT");
    }
}
