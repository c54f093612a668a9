//! `--decode FILTER=FORMAT`: what payloads of some topics are, so that they can be read.

use crate::cli::encoding::{cbor, msgpack, to_base64, to_hex};
use crate::mqtt::topic;

/// One rule; of several the first whose filter matches counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    filter: String,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Cbor,
    Msgpack,
    Hex,
    Base64,
}

impl Decode {
    /// A filter may hold an equals sign, a format cannot.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (filter, format) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("'{text}' is not FILTER=FORMAT"))?;
        topic::check_filter(filter).map_err(|told| format!("'{filter}': {told}"))?;
        let format = match format {
            "cbor" => Format::Cbor,
            "msgpack" => Format::Msgpack,
            "hex" => Format::Hex,
            "base64" => Format::Base64,
            _ => return Err(format!("'{format}' is not cbor, msgpack, hex or base64")),
        };
        Ok(Self {
            filter: filter.to_owned(),
            format,
        })
    }

    /// The payload as text, or what it lacks; nothing for topics this is not about.
    pub fn apply(&self, topic: &str, payload: &[u8]) -> Option<Result<String, String>> {
        if !topic::matches(&self.filter, topic) {
            return None;
        }
        Some(match self.format {
            Format::Cbor => cbor::decode(payload).map(|value| value.to_string()),
            Format::Msgpack => msgpack::decode(payload).map(|value| value.to_string()),
            Format::Hex => Ok(to_hex(payload)),
            Format::Base64 => Ok(to_base64(payload)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_topic() {
        let rule = Decode::parse("dev/+/pb=cbor").unwrap();
        assert_eq!(rule.apply("dev/1/x", b"\x01"), None);
        assert_eq!(
            rule.apply("dev/1/pb", b"\x81\x01"),
            Some(Ok("[1]".to_owned()))
        );
        assert!(rule.apply("dev/1/pb", b"\x81").unwrap().is_err());
        let odd = Decode::parse("a=b/#=hex").unwrap();
        assert_eq!(odd.apply("a=b/c", b"\xff"), Some(Ok("ff".to_owned())));
        for wrong in ["cbor", "a=xml", "a/#/b=cbor", "=cbor"] {
            assert!(Decode::parse(wrong).is_err(), "{wrong}");
        }
    }
}
