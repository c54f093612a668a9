//! Properties of a message as mosquitto writes them into its database: JSON, binary data in
//! hexadecimal digits.

use serde_json::{Value as Json, json};

use crate::mqtt::property::{Place, Properties, PropertiesBuf, PropertyId, Value};

/// `None`: there are none.
pub(super) fn to_json(properties: Properties<'_>) -> Option<String> {
    let mut list = Vec::new();
    for (id, value) in properties {
        let identifier = id.name();
        match value {
            // It counts down: the time of expiry has a column.
            _ if id == PropertyId::MessageExpiryInterval || id == PropertyId::TopicAlias => {}
            Value::Byte(value) => list.push(json!({"identifier": identifier, "value": value})),
            Value::String(value) => list.push(json!({"identifier": identifier, "value": value})),
            Value::Binary(value) => {
                let digits: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
                list.push(json!({"identifier": identifier, "value": digits}));
            }
            Value::Pair(name, value) => {
                list.push(json!({"identifier": identifier, "name": name, "value": value}));
            }
            _ => {}
        }
    }
    (!list.is_empty()).then(|| Json::Array(list).to_string())
}

/// What is not known, or is not of a message, is left out.
pub(super) fn from_json(text: &str) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    let list: Json = serde_json::from_str(text).unwrap_or_default();
    for item in list.as_array().into_iter().flatten() {
        let name = item["identifier"].as_str().unwrap_or_default();
        let Some(id) = PropertyId::from_name(name).filter(|id| id.row().allowed_in(Place::Will))
        else {
            continue;
        };
        let text = item["value"].as_str();
        match id {
            PropertyId::PayloadFormatIndicator => {
                let value = item["value"].as_u64().and_then(|n| u8::try_from(n).ok());
                if let Some(value) = value.filter(|value| *value < 2) {
                    properties.push(id, Value::Byte(value));
                }
            }
            PropertyId::ContentType | PropertyId::ResponseTopic => {
                if let Some(text) = text {
                    properties.push(id, Value::String(text));
                }
            }
            PropertyId::CorrelationData => {
                if let Some(bytes) = text.and_then(bytes_of) {
                    properties.push(id, Value::Binary(&bytes));
                }
            }
            PropertyId::UserProperty => {
                if let (Some(name), Some(value)) = (item["name"].as_str(), text) {
                    properties.push(id, Value::Pair(name, value));
                }
            }
            _ => {}
        }
    }
    properties
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let even = digits.len().is_multiple_of(2);
    pairs.map(byte).collect::<Option<_>>().filter(|_| even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_they_were_and_rubbish_does_not() {
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::PayloadFormatIndicator, Value::Byte(1));
        properties.push(PropertyId::ContentType, Value::String("text/plain"));
        properties.push(PropertyId::ResponseTopic, Value::String("a/b"));
        properties.push(PropertyId::CorrelationData, Value::Binary(&[0, 255, 10]));
        properties.push(PropertyId::UserProperty, Value::Pair("k", "v"));
        properties.push(PropertyId::UserProperty, Value::Pair("k", "w"));
        let text = to_json(properties.properties()).unwrap();
        assert!(text.contains(r#"{"identifier":"correlation-data","value":"00FF0A"}"#));
        let back = from_json(&text);
        assert_eq!(back.properties().raw(), properties.properties().raw());
        assert_eq!(to_json(Properties::EMPTY), None);
        for rubbish in [
            "",
            "{",
            "7",
            "[7]",
            r#"[{"identifier":"correlation-data","value":"0"}]"#,
            r#"[{"identifier":"correlation-data","value":"xy"}]"#,
            r#"[{"identifier":"payload-format-indicator","value":2}]"#,
            r#"[{"identifier":"user-property","value":"v"}]"#,
            r#"[{"identifier":"reason-string","value":"v"}]"#,
            r#"[{"identifier":"nothing","value":"v"}]"#,
        ] {
            assert_eq!(from_json(rubbish).properties().raw(), b"", "{rubbish}");
        }
    }
}
