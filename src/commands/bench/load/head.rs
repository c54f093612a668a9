//! The head of every payload: who sent which message when, in 16 bytes, with a check over all there is.
//!
//! ```text
//!  0      2           4            8                    14      16                   24
//!  | run  | publisher | sequence   | due, ns            | check | written, ns (if there is room) | filler …
//! ```
//!
//! `due` counts from the clock's start and is the instant the message was *meant* to leave; waiting
//! for room on the way out is part of the latency then. `written` is when it was handed over; the
//! check covers it, too. All numbers are big-endian. The filler is the same in every message, so one
//! comparison proves it.

/// Bytes a verified payload has at least.
pub(in crate::commands::bench) const HEAD_LEN: usize = 16;

/// From this length on, a payload also says when it was handed over.
pub(in crate::commands::bench) const WRITTEN_LEN: usize = 24;

/// Due times have 48 bits: 78 hours in nanoseconds.
pub(in crate::commands::bench) const DUE_MAX: u64 = (1 << 48) - 1;

/// What a payload says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::bench) struct Head {
    pub(in crate::commands::bench) run: u16,
    pub(in crate::commands::bench) publisher: u16,
    pub(in crate::commands::bench) sequence: u32,
    pub(in crate::commands::bench) due: u64,
}

impl Head {
    /// Writes the head, and `written` where it fits.
    #[inline]
    pub(in crate::commands::bench) fn put(self, written: u64, payload: &mut [u8]) {
        let who = self.who();
        let due = self.due.min(DUE_MAX);
        let has_room = payload.len() >= WRITTEN_LEN;
        let covered = if has_room { written } else { 0 };
        let when = due << 16 | u64::from(check(who, due, covered));
        payload[..8].copy_from_slice(&who.to_be_bytes());
        payload[8..HEAD_LEN].copy_from_slice(&when.to_be_bytes());
        if has_room {
            payload[HEAD_LEN..WRITTEN_LEN].copy_from_slice(&written.to_be_bytes());
        }
    }

    /// Reads a head and when the message was handed over; none when the bytes are not of ours.
    #[inline]
    pub(in crate::commands::bench) fn read(payload: &[u8]) -> Option<(Self, Option<u64>)> {
        let (who, rest) = payload.split_first_chunk::<8>()?;
        let (when, rest) = rest.split_first_chunk::<8>()?;
        let (who, when) = (u64::from_be_bytes(*who), u64::from_be_bytes(*when));
        let due = when >> 16;
        let written = rest
            .first_chunk::<8>()
            .map(|bytes| u64::from_be_bytes(*bytes));
        if check(who, due, written.unwrap_or(0)) != when as u16 {
            return None;
        }
        let head = Self {
            run: (who >> 48) as u16,
            publisher: (who >> 32) as u16,
            sequence: who as u32,
            due,
        };
        Some((head, written))
    }

    #[inline]
    fn who(self) -> u64 {
        u64::from(self.run) << 48 | u64::from(self.publisher) << 32 | u64::from(self.sequence)
    }
}

/// Sixteen bits that change with any bit of the head; three multiplications, no table.
#[inline]
fn check(who: u64, due: u64, written: u64) -> u16 {
    let mixed = (who ^ due.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ due.wrapping_mul(0xD6E8_FEB8_6659_FD93)
        ^ written.wrapping_mul(0xA24B_AED4_963E_E407);
    (mixed ^ mixed >> 32) as u16 ^ (mixed >> 48) as u16
}

/// What stands behind head and written time: letters, so that a payload shown on a terminal does
/// no harm, and different ones, so that a shifted payload is seen.
pub(in crate::commands::bench) fn filler(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at % 26) as u8).collect()
}

/// Whether the length and everything behind the head are as they were sent.
#[inline]
pub(in crate::commands::bench) fn is_intact(payload: &[u8], body: &[u8]) -> bool {
    let len = payload.len();
    let filled = if len < WRITTEN_LEN {
        HEAD_LEN
    } else {
        WRITTEN_LEN
    };
    len == body.len() && (len <= filled || body[filled..] == payload[filled..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        run: 7,
        publisher: 41_999,
        sequence: 3_000_000_001,
        due: 123_456_789_012,
    };

    #[test]
    fn what_is_put_is_read() {
        for len in [16, 23, 24, 64] {
            let mut payload = filler(len);
            HEAD.put(99, &mut payload);
            let written = (len >= WRITTEN_LEN).then_some(99);
            let (head, read) = Head::read(&payload).unwrap();
            assert_eq!(head, HEAD);
            if len >= WRITTEN_LEN {
                assert_eq!(read, written);
            }
            assert!(is_intact(&payload, &filler(len)));
        }
    }

    #[test]
    fn any_flipped_bit_of_the_head_is_seen() {
        for len in [HEAD_LEN, WRITTEN_LEN] {
            let mut payload = filler(len);
            HEAD.put(123_456_999_999, &mut payload);
            for bit in 0..8 * len {
                payload[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Head::read(&payload), None, "bit {bit} of {len} bytes");
                payload[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(Head::read(&payload[..15]), None);
        }
    }

    #[test]
    fn any_change_of_the_filler_is_seen() {
        for (len, at) in [(64, 63), (64, 24), (25, 24), (23, 16), (17, 16)] {
            let mut payload = filler(len);
            HEAD.put(0, &mut payload);
            assert!(is_intact(&payload, &filler(len)));
            payload[at] ^= 1;
            assert!(!is_intact(&payload, &filler(len)), "byte {at} of {len}");
        }
        // Longer than anything that was sent.
        assert!(!is_intact(&filler(65), &filler(64)));
    }
}
