//! Finds one whole packet in a buffer: the fixed header of section 2.1.
//!
//! The size of a packet is known, and refused, before its body has arrived. What the first byte
//! means is left to the packet's own file.

use crate::mqtt::Violation;
use crate::mqtt::limits::REMAINING_LENGTH_MAX;
use crate::mqtt::reason::Reason;

/// What the front of a buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan {
    /// Not even a fixed header yet.
    More,
    /// A fixed header; the body may or may not be there.
    Head(Head),
}

/// The fixed header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Packet type and flags.
    pub first: u8,
    /// Bytes of the fixed header: 2 to 5.
    pub head_len: usize,
    /// The Remaining Length.
    pub body_len: usize,
}

impl Head {
    /// Bytes of the whole packet.
    #[inline]
    pub const fn total(self) -> usize {
        self.head_len + self.body_len
    }
}

/// Reads the fixed header at the front of `buf` and refuses a packet larger than `size_max`.
#[inline]
pub fn scan(buf: &[u8], size_max: usize) -> Result<Scan, Violation> {
    let (first, head_len, body_len) = match *buf {
        [first, low, ..] if low < 0x80 => (first, 2, usize::from(low)),
        // A last byte of zero would be an overlong form.
        [first, low, high @ 1..0x80, ..] => {
            (first, 3, usize::from(low & 0x7f) | usize::from(high) << 7)
        }
        _ => match scan_long(buf)? {
            Some(found) => found,
            None => return Ok(Scan::More),
        },
    };
    let head = Head {
        first,
        head_len,
        body_len,
    };
    if head.total() > size_max {
        return Err(Violation::new(
            Reason::PACKET_TOO_LARGE,
            "packet larger than agreed",
        ));
    }
    Ok(Scan::Head(head))
}

/// The forms of Remaining Length that few packets have: three and four bytes, wrong, incomplete.
fn scan_long(buf: &[u8]) -> Result<Option<(u8, usize, usize)>, Violation> {
    let Some((&first, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let mut body_len = 0;
    for (at, &byte) in rest.iter().take(4).enumerate() {
        body_len |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            // [MQTT-1.5.5-1]
            if byte == 0 && at > 0 {
                return Err(Violation::malformed("Remaining Length is overlong"));
            }
            return Ok(Some((first, at + 2, body_len)));
        }
    }
    if rest.len() >= 4 {
        return Err(Violation::malformed(
            "Remaining Length of more than four bytes",
        ));
    }
    Ok(None)
}

/// Appends a fixed header.
#[inline]
pub fn put_head(first: u8, body_len: usize, out: &mut Vec<u8>) {
    out.push(first);
    if body_len < 0x80 {
        out.push(body_len as u8);
        return;
    }
    assert!(
        body_len <= REMAINING_LENGTH_MAX,
        "a packet was built that no header can describe"
    );
    crate::mqtt::wire::put_variable(body_len as u32, out);
}

/// Bytes of the fixed header of a packet with a body of `body_len`.
#[inline]
pub const fn head_len(body_len: usize) -> usize {
    match body_len {
        0..=0x7f => 2,
        0x80..=0x3fff => 3,
        0x4000..=0x1f_ffff => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::limits::PACKET_SIZE_MAX;

    fn check(buf: &[u8], expected: Result<Option<(usize, usize)>, Reason>) {
        let found = match scan(buf, PACKET_SIZE_MAX) {
            Ok(Scan::More) => Ok(None),
            Ok(Scan::Head(head)) => {
                assert_eq!(head.first, buf[0]);
                Ok(Some((head.head_len, head.body_len)))
            }
            Err(violation) => Err(violation.reason),
        };
        assert_eq!(found, expected, "{buf:02x?}");
    }

    #[test]
    fn lengths_of_one_to_four_bytes() {
        check(&[], Ok(None));
        check(&[0x30], Ok(None));
        check(&[0x30, 0x00], Ok(Some((2, 0))));
        check(&[0x30, 0x7f, 1], Ok(Some((2, 127))));
        check(&[0x30, 0x80], Ok(None));
        check(&[0x30, 0x80, 0x01], Ok(Some((3, 128))));
        check(&[0x30, 0xff, 0x7f], Ok(Some((3, 16_383))));
        check(&[0x30, 0x80, 0x80], Ok(None));
        check(&[0x30, 0x80, 0x80, 0x01], Ok(Some((4, 16_384))));
        check(&[0x30, 0xff, 0xff, 0x7f], Ok(Some((4, 2_097_151))));
        check(&[0x30, 0x80, 0x80, 0x80], Ok(None));
        check(&[0x30, 0x80, 0x80, 0x80, 0x01], Ok(Some((5, 2_097_152))));
        check(
            &[0x30, 0xff, 0xff, 0xff, 0x7f],
            Ok(Some((5, REMAINING_LENGTH_MAX))),
        );
    }

    #[test]
    fn an_overlong_or_endless_length_is_malformed() {
        let malformed = Err(Reason::MALFORMED_PACKET);
        check(&[0x30, 0x80, 0x00], malformed);
        check(&[0x30, 0xff, 0x00], malformed);
        check(&[0x30, 0x80, 0x80, 0x00], malformed);
        check(&[0x30, 0xff, 0xff, 0xff, 0x00], malformed);
        check(&[0x30, 0xff, 0xff, 0xff, 0xff], malformed);
        check(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], malformed);
    }

    #[test]
    fn a_packet_too_large_is_refused_by_its_header() {
        let too_large = Err(Violation::new(
            Reason::PACKET_TOO_LARGE,
            "packet larger than agreed",
        ));
        let head = Head {
            first: 0x30,
            head_len: 2,
            body_len: 10,
        };
        assert_eq!(scan(&[0x30, 10], 12), Ok(Scan::Head(head)));
        assert_eq!(scan(&[0x30, 10], 11), too_large);
        assert_eq!(
            scan(&[0x30, 0xff, 0xff, 0xff, 0x7f], PACKET_SIZE_MAX - 1),
            too_large
        );
        assert_eq!(scan(&[0x30, 0xff, 0xff, 0xff], 100), Ok(Scan::More));
    }

    #[test]
    fn a_written_head_is_read_back() {
        for body_len in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            REMAINING_LENGTH_MAX,
        ] {
            let mut out = Vec::new();
            put_head(0x82, body_len, &mut out);
            assert_eq!(out.len(), head_len(body_len));
            let head = Head {
                first: 0x82,
                head_len: out.len(),
                body_len,
            };
            assert_eq!(scan(&out, PACKET_SIZE_MAX), Ok(Scan::Head(head)));
        }
    }
}
