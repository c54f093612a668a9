//! A message as one line of JSON: what `sub --jsonl` and `record` write, and `pub --jsonl` and `replay`
//! read.
//!
//! The names are those of mosquitto's `%j`. A payload that is no UTF-8 stands in `payload_b64`, and
//! Correlation Data so in `correlation-data_b64`; read are `payload_hex` too, and a `payload` that is
//! JSON itself, which is sent as such.

use serde_json::{Map, Value, json};

use crate::cli::encoding::{from_base64, from_hex, to_base64};
use crate::cli::format::{Arrival, Moment};
use crate::mqtt::property::{PropertiesBuf, PropertyId, Value as Property};

/// Correlation Data that is no UTF-8: the only property of a PUBLISH that may be none.
const CORRELATION_B64: &str = "correlation-data_b64";

/// A line that was read. What is none was not said.
#[derive(Debug, Default, PartialEq)]
pub struct Line {
    pub topic: Option<String>,
    pub payload: Vec<u8>,
    pub qos: Option<u8>,
    pub retain: Option<bool>,
    pub properties: Option<PropertiesBuf>,
    /// Seconds since the recording began.
    pub at: Option<f64>,
}

impl Line {
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
        let Value::Object(object) = value else {
            return Err("a JSON object is wanted".to_owned());
        };
        let mut line = Self {
            payload: payload(&object)?,
            ..Self::default()
        };
        if let Some(topic) = object.get("topic") {
            line.topic = Some(text_of("topic", topic)?.to_owned());
        }
        if let Some(qos) = object.get("qos") {
            let digit = qos.as_u64().filter(|&digit| digit <= 2);
            line.qos = Some(digit.ok_or_else(|| format!("qos is 0, 1 or 2, not {qos}"))? as u8);
        }
        line.retain = match object.get("retain") {
            None => None,
            Some(Value::Bool(retain)) => Some(*retain),
            Some(number) if number == &json!(0) => Some(false),
            Some(number) if number == &json!(1) => Some(true),
            Some(other) => return Err(format!("retain is true or false, not {other}")),
        };
        if let Some(at) = object.get("at") {
            let seconds = at.as_f64().filter(|seconds| *seconds >= 0.0);
            line.at = Some(seconds.ok_or_else(|| format!("at is a time in seconds, not {at}"))?);
        }
        if let Some(properties) = object.get("properties") {
            line.properties = Some(read_properties(properties)?);
        }
        Ok(line)
    }
}

fn text_of<'a>(name: &str, value: &'a Value) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("{name} is a text, not {value}"))
}

fn payload(object: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let forms = ["payload", "payload_b64", "payload_hex"];
    let given: Vec<&str> = forms
        .into_iter()
        .filter(|form| object.contains_key(*form))
        .collect();
    match given[..] {
        [] => Err("no payload".to_owned()),
        ["payload"] => Ok(match &object["payload"] {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            json => json.to_string().into_bytes(),
        }),
        ["payload_b64"] => from_base64(text_of("payload_b64", &object["payload_b64"])?),
        ["payload_hex"] => from_hex(text_of("payload_hex", &object["payload_hex"])?.as_bytes()),
        _ => Err(format!(
            "one payload is wanted, not {}",
            given.join(" and ")
        )),
    }
}

fn read_properties(value: &Value) -> Result<PropertiesBuf, String> {
    let Value::Object(object) = value else {
        return Err(format!("properties is an object, not {value}"));
    };
    let mut out = PropertiesBuf::new();
    for (name, value) in object {
        let wrong = || format!("the property {name} cannot be {value}");
        if name == "user-properties" {
            read_pairs(value, &mut out)?;
            continue;
        }
        if name == CORRELATION_B64 {
            if object.contains_key(PropertyId::CorrelationData.name()) {
                return Err(format!("one correlation-data is wanted, not {name} too"));
            }
            let bytes = from_base64(text_of(name, value)?)?;
            let data = binary(&bytes).ok_or_else(wrong)?;
            out.push(PropertyId::CorrelationData, data);
            continue;
        }
        let unknown = || format!("a PUBLISH has no property '{name}'");
        let id = PropertyId::from_name(name).ok_or_else(unknown)?;
        // Whoever recorded them had them from a broker; a publisher may not send them on
        // [MQTT-3.3.4-6], and an alias means another connection's topic.
        if matches!(
            id,
            PropertyId::SubscriptionIdentifier | PropertyId::TopicAlias
        ) {
            continue;
        }
        match (id, value) {
            (PropertyId::PayloadFormatIndicator, _) => {
                let flag = value.as_u64().filter(|&flag| flag <= 1).ok_or_else(wrong)?;
                out.push(id, Property::Byte(flag as u8));
            }
            (PropertyId::MessageExpiryInterval, _) => {
                let seconds = value.as_u64().and_then(|number| u32::try_from(number).ok());
                out.push(id, Property::Four(seconds.ok_or_else(wrong)?));
            }
            (PropertyId::CorrelationData, Value::String(text)) => {
                out.push(id, binary(text.as_bytes()).ok_or_else(wrong)?);
            }
            (PropertyId::ContentType | PropertyId::ResponseTopic, _) => {
                let text = value.as_str().and_then(short).ok_or_else(wrong)?;
                out.push(id, Property::String(text));
            }
            (PropertyId::CorrelationData, _) => return Err(wrong()),
            _ => return Err(unknown()),
        }
    }
    Ok(out)
}

fn read_pairs(value: &Value, out: &mut PropertiesBuf) -> Result<(), String> {
    let wrong = || format!("user-properties is an array of objects of texts, not {value}");
    for pairs in value.as_array().ok_or_else(wrong)? {
        for (name, value) in pairs.as_object().ok_or_else(wrong)? {
            let text = value.as_str().and_then(short).ok_or_else(wrong)?;
            let name = short(name).ok_or_else(wrong)?;
            out.push(PropertyId::UserProperty, Property::Pair(name, text));
        }
    }
    Ok(())
}

/// Bytes that fit Binary Data (§1.5.6).
fn binary(bytes: &[u8]) -> Option<Property<'_>> {
    (bytes.len() <= 65_535).then_some(Property::Binary(bytes))
}

/// A text that fits a UTF-8 Encoded String (§1.5.4).
fn short(text: &str) -> Option<&str> {
    (text.len() <= 65_535 && !text.contains('\0')).then_some(text)
}

/// Appends a message as one line, without its newline. `at` leads it in a recording.
pub fn write(arrival: &Arrival<'_>, moment: &Moment, at: Option<f64>, out: &mut Vec<u8>) {
    let mut object = Map::new();
    if let Some(at) = at {
        object.insert("at".to_owned(), json!((at * 1e6).round() / 1e6));
    }
    object.insert("tst".to_owned(), moment.iso_micros().into());
    object.insert("topic".to_owned(), arrival.topic.into());
    object.insert("qos".to_owned(), arrival.qos.into());
    object.insert("retain".to_owned(), arrival.retain.into());
    object.insert("payloadlen".to_owned(), arrival.payload.len().into());
    if arrival.qos > 0 {
        object.insert("mid".to_owned(), arrival.packet_id.into());
    }
    if !arrival.properties.is_empty() {
        object.insert("properties".to_owned(), properties(arrival));
    }
    match std::str::from_utf8(arrival.payload) {
        Ok(text) => object.insert("payload".to_owned(), text.into()),
        Err(_) => object.insert("payload_b64".to_owned(), to_base64(arrival.payload).into()),
    };
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
}

fn properties(arrival: &Arrival<'_>) -> Value {
    let mut object = Map::new();
    let mut pairs = Vec::new();
    for (id, value) in arrival.properties.iter() {
        let value: Value = match value {
            Property::Byte(number) => number.into(),
            Property::Two(number) => number.into(),
            Property::Four(number) | Property::Variable(number) => number.into(),
            Property::String(text) => text.into(),
            Property::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => {
                    object.insert(CORRELATION_B64.to_owned(), to_base64(bytes).into());
                    continue;
                }
            },
            Property::Pair(name, text) => {
                pairs.push(json!({ name: text }));
                continue;
            }
        };
        object.insert(id.name().to_owned(), value);
    }
    if !pairs.is_empty() {
        object.insert("user-properties".to_owned(), pairs.into());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    #[test]
    fn lines_that_are_read() {
        let line =
            Line::parse(br#"{"topic":"a","payload":"x","qos":1,"retain":1,"at":0.5,"tst":"?"}"#);
        let expected = Line {
            topic: Some("a".to_owned()),
            payload: b"x".to_vec(),
            qos: Some(1),
            retain: Some(true),
            properties: None,
            at: Some(0.5),
        };
        assert_eq!(line, Ok(expected));
        for (text, payload) in [
            (r#"{"payload":{"a":1}}"#, &b"{\"a\":1}"[..]),
            (r#"{"payload":null}"#, b""),
            (r#"{"payload_hex":"00ff"}"#, b"\0\xff"),
            (r#"{"payload_b64":"AP8="}"#, b"\0\xff"),
        ] {
            assert_eq!(
                Line::parse(text.as_bytes()).unwrap().payload,
                payload,
                "{text}"
            );
        }
    }

    #[test]
    fn lines_that_are_refused() {
        for (text, told) in [
            ("x", "no JSON"),
            ("[]", "a JSON object is wanted"),
            ("{}", "no payload"),
            (
                r#"{"payload":"","payload_hex":""}"#,
                "one payload is wanted",
            ),
            (r#"{"payload_hex":"0"}"#, "an odd number"),
            (r#"{"payload":"","qos":3}"#, "qos is 0, 1 or 2, not 3"),
            (
                r#"{"payload":"","retain":"yes"}"#,
                "retain is true or false",
            ),
            (r#"{"payload":"","topic":7}"#, "topic is a text"),
            (r#"{"payload":"","at":-1}"#, "at is a time"),
            (r#"{"payload":"","properties":{"x":1}}"#, "no property 'x'"),
            (
                r#"{"payload":"","properties":{"content-type":1}}"#,
                "cannot be 1",
            ),
            (
                r#"{"payload":"","properties":{"correlation-data_b64":"?"}}"#,
                "base64",
            ),
            (
                r#"{"payload":"","properties":{"correlation-data_b64":"","correlation-data":""}}"#,
                "one correlation-data",
            ),
        ] {
            let error = Line::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let rows: [(&[u8], &[u8]); 4] = [
            (b"h\"\x00i", b"c"),
            (b"", b"\0\x01"),
            (b"\xff\x00", b"\xff\xfe\x00"),
            (b"x", b""),
        ];
        for (payload, data) in rows {
            let mut properties = PropertiesBuf::new();
            properties.push(PropertyId::ContentType, Property::String("text/plain"));
            properties.push(PropertyId::CorrelationData, Property::Binary(data));
            properties.push(PropertyId::MessageExpiryInterval, Property::Four(9));
            properties.push(PropertyId::UserProperty, Property::Pair("k", "v"));
            properties.push(PropertyId::UserProperty, Property::Pair("k", "w"));
            let arrival = Arrival {
                topic: "a/ü",
                payload,
                qos: 2,
                retain: true,
                packet_id: 7,
                properties: properties.properties(),
            };
            let mut out = Vec::new();
            let moment = Moment::new(0, 0, &TimeZone::UTC);
            write(&arrival, &moment, Some(1.5), &mut out);
            let line = Line::parse(&out).unwrap();
            assert_eq!(line.payload, payload);
            assert_eq!(line.topic.as_deref(), Some("a/ü"));
            assert_eq!(
                (line.qos, line.retain, line.at),
                (Some(2), Some(true), Some(1.5))
            );
            assert_eq!(line.properties, Some(properties.clone()));
        }
    }
}
