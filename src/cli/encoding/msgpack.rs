//! MessagePack, between its bytes and JSON values.
//!
//! Towards JSON binary data becomes base64 text, an extension `{"type": …, "data": base64}`, and a key
//! that is no text is written as JSON. NaN and the infinities are null.

use serde_json::{Map, Number, Value, json};

use crate::cli::encoding::input::Input;
use crate::cli::encoding::{DEPTH_MAX, name, to_base64};

pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Number(number) => put_number(number, out),
        Value::String(text) => put_text(text, out),
        Value::Array(items) => {
            length(items.len(), 0x90, 15, [None, Some(0xdc), Some(0xdd)], out);
            items.iter().for_each(|item| put(item, out));
        }
        Value::Object(members) => {
            length(members.len(), 0x80, 15, [None, Some(0xde), Some(0xdf)], out);
            for (name, value) in members {
                put_text(name, out);
                put(value, out);
            }
        }
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    length(
        text.len(),
        0xa0,
        31,
        [Some(0xd9), Some(0xda), Some(0xdb)],
        out,
    );
    out.extend_from_slice(text.as_bytes());
}

/// The head of what has a length: within one byte up to `most`, else behind the head for 8, 16 or
/// 32 bits. MQTT has no payload that would need more.
fn length(len: usize, fix: u8, most: usize, heads: [Option<u8>; 3], out: &mut Vec<u8>) {
    match (len, heads) {
        _ if len <= most => out.push(fix | len as u8),
        (0..=0xff, [Some(head), ..]) => out.extend_from_slice(&[head, len as u8]),
        (0..=0xffff, [_, Some(head), _]) => {
            out.push(head);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        (_, [.., head]) => {
            out.push(head.unwrap_or_default());
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn put_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(whole) = number.as_u64() {
        let bytes = whole.to_be_bytes();
        match whole {
            0..=0x7f => out.push(whole as u8),
            0x80..=0xff => out.extend_from_slice(&[0xcc, whole as u8]),
            0x100..=0xffff => tagged(0xcd, &bytes[6..], out),
            0x1_0000..=0xffff_ffff => tagged(0xce, &bytes[4..], out),
            _ => tagged(0xcf, &bytes, out),
        }
    } else if let Some(whole) = number.as_i64() {
        let bytes = whole.to_be_bytes();
        match whole {
            -32..0 => out.push(whole as u8),
            -0x80..-32 => tagged(0xd0, &bytes[7..], out),
            -0x8000..-0x80 => tagged(0xd1, &bytes[6..], out),
            -0x8000_0000..-0x8000 => tagged(0xd2, &bytes[4..], out),
            _ => tagged(0xd3, &bytes, out),
        }
    } else {
        let real = number.as_f64().unwrap_or(f64::NAN);
        tagged(0xcb, &real.to_be_bytes(), out);
    }
}

fn tagged(head: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(head);
    out.extend_from_slice(bytes);
}

/// Exactly one value, nothing behind it.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader {
        input: Input::new(bytes, "MessagePack value"),
    };
    let value = reader.value(0)?;
    reader.input.end().map(|()| value)
}

struct Reader<'a> {
    input: Input<'a>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("MessagePack nested too deep".to_owned());
        }
        let first = self.input.unsigned(1)? as u8;
        Ok(match first {
            0x00..=0x7f => first.into(),
            0x80..=0x8f => self.map(u64::from(first & 15), depth)?,
            0x90..=0x9f => self.array(u64::from(first & 15), depth)?,
            0xa0..=0xbf => self.text(u64::from(first & 31))?,
            0xc0 => Value::Null,
            0xc1 => return Err("no MessagePack: 0xc1".to_owned()),
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => {
                let len = self.input.unsigned(1 << (first - 0xc4))?;
                Value::String(to_base64(self.input.take(len)?))
            }
            0xc7..=0xc9 => {
                let len = self.input.unsigned(1 << (first - 0xc7))?;
                self.extension(len)?
            }
            0xca => f64::from(f32::from_bits(self.input.unsigned(4)? as u32)).into(),
            0xcb => f64::from_bits(self.input.unsigned(8)?).into(),
            0xcc..=0xcf => self.input.unsigned(1 << (first - 0xcc))?.into(),
            0xd0 => (self.input.unsigned(1)? as i8).into(),
            0xd1 => (self.input.unsigned(2)? as i16).into(),
            0xd2 => (self.input.unsigned(4)? as i32).into(),
            0xd3 => self.input.unsigned(8)?.cast_signed().into(),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.input.unsigned(1 << (first - 0xd9))?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.input.unsigned(2 << (first - 0xdc))?;
                self.array(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.input.unsigned(2 << (first - 0xde))?;
                self.map(len, depth)?
            }
            0xe0..=0xff => first.cast_signed().into(),
        })
    }

    fn text(&mut self, len: u64) -> Result<Value, String> {
        match std::str::from_utf8(self.input.take(len)?) {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(_) => Err("a MessagePack text that is not UTF-8".to_owned()),
        }
    }

    fn extension(&mut self, len: u64) -> Result<Value, String> {
        let kind = self.input.unsigned(1)? as i8;
        Ok(json!({ "type": kind, "data": to_base64(self.input.take(len)?) }))
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value, String> {
        let mut members = Map::new();
        for _ in 0..len {
            let found = name(self.value(depth + 1)?)?;
            members.insert(found, self.value(depth + 1)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::encoding::from_hex;

    #[test]
    fn bytes_and_their_json() {
        for (hex, json) in [
            ("7f", "127"),
            ("e0", "-32"),
            ("cc80", "128"),
            ("d080", "-128"),
            ("d1ff7f", "-129"),
            ("cfffffffffffffffff", "18446744073709551615"),
            ("d3ffffffffffffffff", "-1"),
            ("ca3fc00000", "1.5"),
            ("c0", "null"),
            ("a161", "\"a\""),
            ("d90161", "\"a\""),
            ("c4020102", "\"AQI=\""),
            ("d60100000001", "{\"type\":1,\"data\":\"AAAAAQ==\"}"),
            ("c703ff010203", "{\"type\":-1,\"data\":\"AQID\"}"),
            ("82a16101a16290", "{\"a\":1,\"b\":[]}"),
            ("8101c3", "{\"1\":true}"),
            ("dc000101", "[1]"),
            ("df00000001a16101", "{\"a\":1}"),
        ] {
            let value = decode(&from_hex(hex.as_bytes()).unwrap());
            assert_eq!(
                value.map(|value| value.to_string()),
                Ok(json.to_owned()),
                "{hex}"
            );
        }
    }

    #[test]
    fn a_map_is_no_name() {
        let bytes = [vec![0x81; 60], vec![1; 61]].concat();
        assert!(decode(&bytes).unwrap_err().contains("a name that is"));
    }

    #[test]
    fn there_and_back() {
        let long = "x".repeat(70_000);
        let wide: Vec<u32> = (0..70_000).collect();
        for value in [
            json!([
                0,
                127,
                128,
                255,
                256,
                65_535,
                65_536,
                u64::MAX,
                0.1,
                null,
                true
            ]),
            json!([
                -1,
                -32,
                -33,
                -128,
                -129,
                -32_768,
                -32_769,
                i64::MIN,
                i32::MIN
            ]),
            json!({ "a": { "b": ["ü", ""] }, "c": long }),
            json!(wide),
            json!("y".repeat(40)),
        ] {
            assert_eq!(decode(&encode(&value)), Ok(value));
        }
    }

    #[test]
    fn what_is_no_messagepack() {
        for hex in [
            "", "c1", "a2", "a1ff", "cd00", "9101ff", "81a1", "dd", "0000",
        ] {
            assert!(
                decode(&from_hex(hex.as_bytes()).unwrap_or_default()).is_err(),
                "{hex}"
            );
        }
        assert!(decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decode(&[0x91; 200]).is_err());
    }
}
