//! CBOR (RFC 8949), between its bytes and JSON values.
//!
//! Towards JSON a byte string becomes base64 text, a tag is dropped, `undefined` is null, and a key
//! that is a number or the like is written as JSON. A half is a number; NaN and the infinities are null.

use serde_json::{Map, Number, Value};

use crate::cli::encoding::input::Input;
use crate::cli::encoding::{DEPTH_MAX, name, to_base64};

pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Number(number) => put_number(number, out),
        Value::String(text) => {
            head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| put(item, out));
        }
        Value::Object(members) => {
            head(5, members.len() as u64, out);
            for (name, value) in members {
                head(3, name.len() as u64, out);
                out.extend_from_slice(name.as_bytes());
                put(value, out);
            }
        }
    }
}

fn put_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(whole) = number.as_u64() {
        return head(0, whole, out);
    }
    if let Some(whole) = number.as_i64() {
        return head(1, !whole as u64, out);
    }
    let real = number.as_f64().unwrap_or(f64::NAN);
    // The shorter form where it says the same (§4.2.2).
    if f64::from(real as f32) == real {
        out.push(0xfa);
        out.extend_from_slice(&(real as f32).to_be_bytes());
    } else {
        out.push(0xfb);
        out.extend_from_slice(&real.to_be_bytes());
    }
}

/// The initial byte and its argument, as short as it can be (§3).
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let first = major << 5;
    match argument {
        0..=23 => out.push(first | argument as u8),
        24..=0xff => out.extend_from_slice(&[first | 24, argument as u8]),
        0x100..=0xffff => {
            out.push(first | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(first | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(first | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// Exactly one item, nothing behind it.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader {
        input: Input::new(bytes, "CBOR item"),
    };
    let value = reader.item(0)?.ok_or("a break without its beginning")?;
    reader.input.end().map(|()| value)
}

struct Reader<'a> {
    input: Input<'a>,
}

impl<'a> Reader<'a> {
    /// None is the break that ends an item of unknown length.
    fn item(&mut self, depth: usize) -> Result<Option<Value>, String> {
        if depth > DEPTH_MAX {
            return Err("CBOR nested too deep".to_owned());
        }
        let first = self.input.unsigned(1)? as u8;
        let (major, short) = (first >> 5, first & 31);
        if major == 7 {
            return self.simple(short);
        }
        let argument = match short {
            0..=23 => Some(u64::from(short)),
            24..=27 => Some(self.input.unsigned(1 << (short - 24))?),
            31 if (2..=5).contains(&major) => None,
            _ => return Err(format!("no CBOR: 0x{first:02x}")),
        };
        Ok(Some(match (major, argument) {
            (0, Some(whole)) => whole.into(),
            (1, Some(whole)) => negative(whole),
            (2, _) => Value::String(to_base64(&self.string(major, argument)?)),
            (3, _) => Value::String(text(self.string(major, argument)?)?),
            (4, _) => self.array(argument, depth)?,
            (5, _) => self.map(argument, depth)?,
            _ => self.item(depth + 1)?.ok_or("a tag of nothing")?,
        }))
    }

    fn simple(&mut self, short: u8) -> Result<Option<Value>, String> {
        Ok(Some(match short {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 | 23 => Value::Null,
            24 => self.input.unsigned(1)?.into(),
            25 => half(self.input.unsigned(2)? as u16).into(),
            26 => f64::from(f32::from_bits(self.input.unsigned(4)? as u32)).into(),
            27 => f64::from_bits(self.input.unsigned(8)?).into(),
            31 => return Ok(None),
            0..=19 => short.into(),
            _ => return Err(format!("no CBOR: 0x{:02x}", 0xe0 | short)),
        }))
    }

    /// Of a known length, or pieces of known lengths up to a break.
    fn string(&mut self, major: u8, length: Option<u64>) -> Result<Vec<u8>, String> {
        if let Some(length) = length {
            return Ok(self.input.take(length)?.to_vec());
        }
        let mut whole = Vec::new();
        loop {
            let first = self.input.unsigned(1)? as u8;
            let short = first & 31;
            let length = match short {
                _ if first == 0xff => return Ok(whole),
                _ if first >> 5 != major => return Err("a string of unlike pieces".to_owned()),
                0..=23 => u64::from(short),
                24..=27 => self.input.unsigned(1 << (short - 24))?,
                _ => return Err("a string within a string".to_owned()),
            };
            whole.extend_from_slice(self.input.take(length)?);
        }
    }

    fn array(&mut self, length: Option<u64>, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while length.is_none_or(|length| (items.len() as u64) < length) {
            match self.item(depth + 1)? {
                Some(item) => items.push(item),
                None if length.is_none() => break,
                None => return Err("a break in an array of known length".to_owned()),
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: Option<u64>, depth: usize) -> Result<Value, String> {
        let mut members = Map::new();
        let mut count = 0;
        while length.is_none_or(|length| count < length) {
            let found = match self.item(depth + 1)? {
                Some(found) => name(found)?,
                None if length.is_none() => break,
                None => return Err("a break in a map of known length".to_owned()),
            };
            let value = self.item(depth + 1)?.ok_or("a name without its value")?;
            members.insert(found, value);
            count += 1;
        }
        Ok(Value::Object(members))
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "a CBOR text that is not UTF-8".to_owned())
}

/// −1 − n, as a double where it does not fit.
fn negative(whole: u64) -> Value {
    match i64::try_from(whole) {
        Ok(whole) => (!whole).into(),
        Err(_) => (-1.0 - whole as f64).into(),
    }
}

/// Appendix D of the RFC.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (bits >> 10 & 0x1f, f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::encoding::from_hex;

    /// Appendix A of the RFC: bytes and the JSON that stands for them.
    #[test]
    fn examples_of_the_standard() {
        for (hex, json) in [
            ("00", "0"),
            ("17", "23"),
            ("1818", "24"),
            ("1903e8", "1000"),
            ("1a000f4240", "1000000"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("20", "-1"),
            ("3903e7", "-1000"),
            ("f93c00", "1.0"),
            ("f97bff", "65504.0"),
            ("f90001", "5.960464477539063e-8"),
            ("f9c400", "-4.0"),
            ("fb3ff199999999999a", "1.1"),
            ("f97e00", "null"),
            ("f4", "false"),
            ("f7", "null"),
            ("f0", "16"),
            ("c11a514b67b0", "1363896240"),
            ("4401020304", "\"AQIDBA==\""),
            ("62c3bc", "\"ü\""),
            ("83010203", "[1,2,3]"),
            ("a201020304", "{\"1\":2,\"3\":4}"),
            ("a26161016162820203", "{\"a\":1,\"b\":[2,3]}"),
            ("5f42010243030405ff", "\"AQIDBAU=\""),
            ("7f657374726561646d696e67ff", "\"streaming\""),
            ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
            ("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"),
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
        let bytes = [vec![0xa1; 60], vec![1; 61]].concat();
        assert!(decode(&bytes).unwrap_err().contains("a name that is"));
    }

    #[test]
    fn there_and_back() {
        let json =
            r#"{"a":[1,-1,24,256,65536,4294967296,-9223372036854775808,1.5,0.1,null],"b":"ü"}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(decode(&encode(&value)), Ok(value));
    }

    #[test]
    fn what_is_no_cbor() {
        for hex in [
            "", "18", "62c3", "61ff", "ff", "83010", "0000", "1c", "5f6161ff", "a1616", "fc",
        ] {
            let bytes = from_hex(hex.as_bytes()).unwrap_or_default();
            assert!(decode(&bytes).is_err(), "{hex}");
        }
        // A promise of four billion items costs nothing.
        assert!(decode(&[0x9a, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decode(&[0x81; 200]).is_err());
    }
}
