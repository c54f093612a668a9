//! The data types of section 1.5: integers, Variable Byte Integers, UTF-8 strings, Binary Data.
//!
//! A [`Reader`] walks over borrowed bytes; each `put_…` is its counterpart on a `Vec`. Which
//! field stands where is left to the packets.

use crate::mqtt::PacketId;
use crate::mqtt::Violation;
use crate::mqtt::limits::{STRING_MAX, VARIABLE_MAX};

pub(crate) const SHORT: Violation = Violation::malformed("packet ends within a field");

/// The bytes of a packet not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not read yet.
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(SHORT);
        };
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, Violation> {
        let Some((&value, rest)) = self.rest.split_first() else {
            return Err(SHORT);
        };
        self.rest = rest;
        Ok(value)
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16, Violation> {
        let Some((value, rest)) = self.rest.split_first_chunk() else {
            return Err(SHORT);
        };
        self.rest = rest;
        Ok(u16::from_be_bytes(*value))
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32, Violation> {
        let Some((value, rest)) = self.rest.split_first_chunk() else {
            return Err(SHORT);
        };
        self.rest = rest;
        Ok(u32::from_be_bytes(*value))
    }

    /// A Variable Byte Integer.
    #[inline]
    pub fn variable(&mut self) -> Result<u32, Violation> {
        match *self.rest {
            [value @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u32::from(value))
            }
            _ => self.variable_long(),
        }
    }

    fn variable_long(&mut self) -> Result<u32, Violation> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if byte == 0 && at > 0 {
                    return Err(Violation::malformed("overlong Variable Byte Integer"));
                }
                return Ok(value);
            }
        }
        Err(Violation::malformed(
            "Variable Byte Integer of more than four bytes",
        ))
    }

    /// A UTF-8 Encoded String.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Violation> {
        let text = self.text()?;
        // [MQTT-1.5.4-2]
        if text.as_bytes().contains(&0) {
            return Err(Violation::malformed("U+0000 in a string"));
        }
        Ok(text)
    }

    /// A UTF-8 Encoded String whose U+0000 the caller looks for, together with other bytes.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Violation> {
        // [MQTT-1.5.4-1]
        match std::str::from_utf8(self.binary()?) {
            Ok(text) => Ok(text),
            Err(_) => Err(Violation::malformed("a string that is not UTF-8")),
        }
    }

    /// Binary Data.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let Some((len, rest)) = self.rest.split_first_chunk() else {
            return Err(SHORT);
        };
        let len = usize::from(u16::from_be_bytes(*len));
        let Some((bytes, rest)) = rest.split_at_checked(len) else {
            return Err(SHORT);
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// A Packet Identifier.
    #[inline]
    pub fn packet_id(&mut self) -> Result<PacketId, Violation> {
        self.packet_id_or("Packet Identifier 0")
    }

    /// The same, with a word of the caller's for one that is 0.
    #[inline]
    pub(crate) fn packet_id_or(&mut self, what: &'static str) -> Result<PacketId, Violation> {
        // [MQTT-2.2.1-3]
        PacketId::new(self.u16()?).ok_or_else(|| Violation::protocol_error(what))
    }

    /// A UTF-8 Encoded String, with a word of the caller's for one that is none.
    #[inline]
    pub(crate) fn string_or(&mut self, what: &'static str) -> Result<&'a str, Violation> {
        let bytes = self.binary()?;
        match std::str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => Ok(text),
            _ => Err(Violation::malformed(what)),
        }
    }

    /// Ends the reading: nothing may be left.
    #[inline]
    pub fn finish(&self) -> Result<(), Violation> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Violation::malformed("bytes after the end of the packet"))
        }
    }
}

#[inline]
pub fn put_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub fn put_u32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a Variable Byte Integer.
#[inline]
pub fn put_variable(mut value: u32, out: &mut Vec<u8>) {
    assert!(
        value <= VARIABLE_MAX,
        "a length was built that four bytes cannot tell"
    );
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a Variable Byte Integer.
#[inline]
pub const fn variable_len(value: usize) -> usize {
    crate::mqtt::frame::head_len(value) - 1
}

#[inline]
pub fn put_string(text: &str, out: &mut Vec<u8>) {
    put_binary(text.as_bytes(), out);
}

#[inline]
pub fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    assert!(
        bytes.len() <= STRING_MAX,
        "a string was built that two bytes cannot measure"
    );
    put_u16(bytes.len() as u16, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_byte_integer_is_read_in_its_shortest_form_only() {
        fn check(bytes: &[u8], expected: Option<u32>) {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.variable().ok(), expected, "{bytes:02x?}");
            if let Some(value) = expected {
                let mut out = Vec::new();
                put_variable(value, &mut out);
                assert_eq!(out, bytes);
                assert_eq!(variable_len(value as usize), bytes.len());
                assert!(reader.is_empty());
            }
        }
        check(&[], None);
        check(&[0], Some(0));
        check(&[0x7f], Some(127));
        check(&[0x80], None);
        check(&[0x80, 0x00], None);
        check(&[0x80, 0x01], Some(128));
        check(&[0xff, 0x7f], Some(16_383));
        check(&[0x80, 0x80, 0x01], Some(16_384));
        check(&[0x80, 0x80, 0x00], None);
        check(&[0xff, 0xff, 0xff, 0x7f], Some(VARIABLE_MAX));
        check(&[0xff, 0xff, 0xff, 0xff, 0x01], None);
        check(&[0x80, 0x80, 0x80, 0x80, 0x00], None);
    }

    #[test]
    fn a_string_is_utf8_without_nul() {
        fn check(bytes: &[u8], expected: Option<&str>) {
            assert_eq!(Reader::new(bytes).string().ok(), expected, "{bytes:02x?}");
        }
        check(b"\0\0", Some(""));
        check(b"\0\x03abc", Some("abc"));
        check(b"\0\x03abcd", Some("abc"));
        check(b"\0", None);
        check(b"\0\x03ab", None);
        check(b"\xff\xffab", None);
        check(b"\0\x03a\0c", None);
        check(b"\0\x02\xc3\xa9", Some("\u{e9}"));
        check(b"\0\x02\xc3\x28", None);
        // An overlong NUL, a surrogate, a value above U+10FFFF.
        check(b"\0\x02\xc0\x80", None);
        check(b"\0\x03\xed\xa0\x80", None);
        check(b"\0\x04\xf4\x90\x80\x80", None);
        // [MQTT-1.5.4-3]: U+FEFF is a character like any other, wherever it stands.
        check(b"\0\x04\xef\xbb\xbfa", Some("\u{feff}a"));
        // Non-characters and controls are discouraged, not forbidden.
        check(b"\0\x04\x01\xef\xbf\xbf", Some("\u{1}\u{ffff}"));
    }

    #[test]
    fn integers_are_big_endian_and_whole() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u16(), Err(SHORT));
        assert_eq!(reader.rest(), [8]);
        assert_eq!(reader.u8(), Err(SHORT));
        assert_eq!(reader.finish(), Ok(()));
    }
}
