//! `--decode FILTER=FORMAT`: what payloads of some topics are, so that they can be read.

use std::path::{Path, PathBuf};

use crate::cli::encoding::{cbor, msgpack, protobuf, to_base64, to_hex};
use crate::mqtt::topic;

/// One rule as it was asked for; of several the first whose filter matches counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    filter: String,
    format: Format,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    Cbor,
    Msgpack,
    Hex,
    Base64,
    /// A message by its full name, described in a file.
    Protobuf(String, PathBuf),
}

/// A rule that has all it needs.
#[derive(Clone, Debug)]
pub struct Decoder {
    filter: String,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    Cbor,
    Msgpack,
    Hex,
    Base64,
    Protobuf(Box<protobuf::Decoder>),
}

impl Decode {
    /// A filter may hold an equals sign and so may a file, a format cannot.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (filter, format) = match text.split_once("=protobuf:") {
            Some((filter, described)) => (filter, Format::described(described)?),
            None => {
                let (filter, name) = text
                    .rsplit_once('=')
                    .ok_or_else(|| format!("'{text}' is not FILTER=FORMAT"))?;
                (filter, Format::named(name)?)
            }
        };
        topic::check_filter(filter).map_err(|told| format!("'{filter}': {told}"))?;
        Ok(Self {
            filter: filter.to_owned(),
            format,
        })
    }

    /// With what its file holds, if it has one.
    pub fn prepare(
        &self,
        read: impl FnOnce(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Decoder, String> {
        let by = match &self.format {
            Format::Cbor => By::Cbor,
            Format::Msgpack => By::Msgpack,
            Format::Hex => By::Hex,
            Format::Base64 => By::Base64,
            Format::Protobuf(name, file) => {
                let told = |told| format!("{}: {told}", file.display());
                let decoder = read(file).and_then(|bytes| protobuf::Decoder::new(&bytes, name));
                By::Protobuf(Box::new(decoder.map_err(told)?))
            }
        };
        Ok(Decoder {
            filter: self.filter.clone(),
            by,
        })
    }
}

impl Format {
    fn named(name: &str) -> Result<Self, String> {
        Ok(match name {
            "cbor" => Self::Cbor,
            "msgpack" => Self::Msgpack,
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "protobuf" => return Self::described(""),
            _ => {
                return Err(format!(
                    "'{name}' is not cbor, msgpack, hex, base64 or protobuf:MESSAGE@FILE"
                ));
            }
        })
    }

    fn described(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                Ok(Self::Protobuf(name.to_owned(), PathBuf::from(file)))
            }
            _ => Err(format!(
                "'protobuf:{text}' is not protobuf:MESSAGE@FILE, such as protobuf:dev.Reading@all.binpb"
            )),
        }
    }
}

impl Decoder {
    /// The payload as text, or what it lacks; nothing for topics this is not about.
    pub fn apply(&self, topic: &str, payload: &[u8]) -> Option<Result<String, String>> {
        if !topic::matches(&self.filter, topic) {
            return None;
        }
        Some(match &self.by {
            By::Cbor => cbor::decode(payload).map(|value| value.to_string()),
            By::Msgpack => msgpack::decode(payload).map(|value| value.to_string()),
            By::Hex => Ok(to_hex(payload)),
            By::Base64 => Ok(to_base64(payload)),
            By::Protobuf(decoder) => decoder.decode(payload).map(|value| value.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Decoder {
        let none = |_: &Path| Err("no file is needed".to_owned());
        Decode::parse(text).unwrap().prepare(none).unwrap()
    }

    #[test]
    fn by_topic() {
        let cbor = rule("dev/+/pb=cbor");
        assert_eq!(cbor.apply("dev/1/x", b"\x01"), None);
        assert_eq!(
            cbor.apply("dev/1/pb", b"\x81\x01"),
            Some(Ok("[1]".to_owned()))
        );
        assert!(cbor.apply("dev/1/pb", b"\x81").unwrap().is_err());
        let odd = rule("a=b/#=hex");
        assert_eq!(odd.apply("a=b/c", b"\xff"), Some(Ok("ff".to_owned())));
        for wrong in [
            "cbor",
            "a=xml",
            "a/#/b=cbor",
            "=cbor",
            "a=protobuf",
            "a=protobuf:",
            "a=protobuf:x",
            "a=protobuf:@x",
            "a=protobuf:x@",
            "a/#/b=protobuf:x@y",
        ] {
            assert!(Decode::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_described_in_a_file() {
        let asked = Decode::parse("a=b=protobuf:dev.R@d/a=@b.binpb").unwrap();
        // One file, one message R in package dev, without fields.
        let read = |path: &Path| {
            assert_eq!(path, Path::new("d/a=@b.binpb"));
            Ok(b"\x0a\x0a\x12\x03dev\x22\x03\x0a\x01R".to_vec())
        };
        let decoder = asked.prepare(read).unwrap();
        assert_eq!(decoder.apply("a=b", b""), Some(Ok("{}".to_owned())));
        let told = asked.prepare(|_| Err("gone".to_owned())).unwrap_err();
        assert_eq!(told, "d/a=@b.binpb: gone");
    }
}
