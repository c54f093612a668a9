//! Payloads in other clothes: hexadecimal, base64, JSON, CBOR, MessagePack, Protobuf.
//!
//! `pub --format` goes from text to bytes, `sub --decode` and `--hexdump` from bytes to text. JSON
//! values stand in the middle; what JSON lacks (byte strings, tags) becomes what comes nearest, said
//! in the file of each format.

pub mod cbor;
mod input;
pub mod msgpack;
pub mod protobuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How deep arrays and objects of a payload may nest.
pub(crate) const DEPTH_MAX: usize = 100;

/// What a payload is made of before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Digits, with blanks or colons between them if one likes.
    Hex,
    Base64,
    /// Checked, and without blanks.
    Json,
    Cbor,
    Msgpack,
}

impl Format {
    pub fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "json" => Self::Json,
            "cbor" => Self::Cbor,
            "msgpack" => Self::Msgpack,
            _ => {
                return Err(format!(
                    "'{name}' is not hex, base64, json, cbor or msgpack"
                ));
            }
        })
    }

    /// The bytes this text stands for.
    pub fn encode(self, text: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex => from_hex(text),
            Self::Base64 => {
                let text: Vec<u8> = text
                    .iter()
                    .copied()
                    .filter(|b| !b.is_ascii_whitespace())
                    .collect();
                STANDARD
                    .decode(text)
                    .map_err(|error| format!("no base64: {error}"))
            }
            Self::Json => Ok(json(text)?.to_string().into_bytes()),
            Self::Cbor => Ok(cbor::encode(&json(text)?)),
            Self::Msgpack => Ok(msgpack::encode(&json(text)?)),
        }
    }
}

/// The name of a member, from what stands there. One that holds others is refused: written as JSON,
/// each name around it would double its quotes, and a few hundred bytes become more than fits anywhere.
pub(crate) fn name(value: Value) -> Result<String, String> {
    match value {
        Value::String(name) => Ok(name),
        Value::Array(_) | Value::Object(_) => Err("a name that is an array or a map".to_owned()),
        other => Ok(other.to_string()),
    }
}

pub(crate) fn json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))
}

pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    Format::Base64.encode(text.as_bytes())
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for &byte in text {
        if byte.is_ascii_whitespace() || byte == b':' {
            continue;
        }
        let digit = char::from(byte).to_digit(16);
        let digit =
            digit.ok_or_else(|| format!("no hexadecimal digit: {}", byte.escape_ascii()))?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push((high << 4 | digit) as u8),
        }
    }
    match high {
        None => Ok(out),
        Some(_) => Err("an odd number of hexadecimal digits".to_owned()),
    }
}

/// Sixteen bytes a line: where, what, and what of it can be read.
pub fn hexdump(bytes: &[u8], out: &mut Vec<u8>) {
    for (at, line) in bytes.chunks(16).enumerate() {
        let mut text = format!("{:08x} ", at * 16);
        for place in 0..16 {
            if place == 8 {
                text.push(' ');
            }
            match line.get(place) {
                Some(byte) => text.push_str(&format!(" {byte:02x}")),
                None => text.push_str("   "),
            }
        }
        text.push_str("  |");
        let shown = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        text.extend(line.iter().map(shown));
        text.push_str("|\n");
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_bytes() {
        for (format, text, bytes) in [
            (Format::Hex, "00 ff:1A", Ok(vec![0, 255, 26])),
            (Format::Hex, "", Ok(vec![])),
            (Format::Hex, "1", Err("an odd number of hexadecimal digits")),
            (Format::Hex, "0x", Err("no hexadecimal digit: x")),
            (Format::Base64, "aGk=\n", Ok(b"hi".to_vec())),
            (
                Format::Json,
                " { \"b\" : 1, \"a\": [ ] }",
                Ok(b"{\"b\":1,\"a\":[]}".to_vec()),
            ),
            (Format::Cbor, "{\"a\":1}", Ok(vec![0xa1, 0x61, 0x61, 1])),
            (Format::Msgpack, "{\"a\":1}", Ok(vec![0x81, 0xa1, 0x61, 1])),
        ] {
            assert_eq!(
                format.encode(text.as_bytes()),
                bytes.map_err(str::to_owned),
                "{text}"
            );
        }
        assert!(Format::Json.encode(b"{").is_err());
        assert!(Format::Base64.encode(b"a").is_err());
        assert!(Format::parse("xml").is_err());
    }

    #[test]
    fn a_dump() {
        let mut out = Vec::new();
        hexdump(b"0123456789abcdefg\x1b", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000010  67 1b                                             |g.|\n"
        );
    }
}
