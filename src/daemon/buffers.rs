//! Memory for reading that goes around: lent to the outboxes that write it, and used again once
//! they have. A stream of large messages then runs through the same few pages, which stay in the
//! processor's cache and need no new ones from the system.

use std::ops::Range;

use bytes::Bytes;
use bytes::BytesMut;

/// Buffers remembered at most, and bytes in all of them.
const BUFFERS_MAX: usize = 16;
const BYTES_MAX: usize = 8 * 1_024 * 1_024;

#[derive(Default)]
pub(crate) struct Buffers {
    /// Those lent last at the end; they are the warm ones.
    lent: Vec<Bytes>,
    bytes: usize,
}

impl Buffers {
    /// At least `size` bytes to write over: a buffer that came back, or a new one.
    pub(crate) fn take(&mut self, size: usize) -> BytesMut {
        let fits = |bytes: &Bytes| bytes.len() >= size && bytes.len() <= 2 * size;
        let back = self
            .lent
            .iter()
            .rposition(|bytes| fits(bytes) && bytes.is_unique());
        let Some(place) = back else {
            return BytesMut::zeroed(size);
        };
        let bytes = self.lent.remove(place);
        self.bytes -= bytes.len();
        bytes
            .try_into_mut()
            .unwrap_or_else(|_| BytesMut::zeroed(size))
    }

    /// What was taken and not used.
    pub(crate) fn put_back(&mut self, buffer: BytesMut) {
        drop(self.lend(buffer));
    }

    /// The buffer of which `part` is a part, and where, to write over it: if it was lent, and nobody has
    /// another part of it. `part` is gone then; [`lend`](Self::lend) is the way back.
    pub(crate) fn recall(&mut self, part: &mut Bytes) -> Option<(BytesMut, Range<usize>)> {
        let within = |bytes: &Bytes| {
            let (start, at) = (bytes.as_ptr().addr(), part.as_ptr().addr());
            (start..=start + bytes.len() - part.len().min(bytes.len())).contains(&at)
        };
        let place = self.lent.iter().rposition(within)?;
        let bytes = self.lent.remove(place);
        let start = part.as_ptr().addr() - bytes.as_ptr().addr();
        let range = start..start + part.len();
        drop(std::mem::take(part));
        match bytes.try_into_mut() {
            Ok(buffer) => {
                self.bytes -= buffer.len();
                Some((buffer, range))
            }
            Err(bytes) => {
                *part = bytes.slice(range);
                self.lent.insert(place, bytes);
                None
            }
        }
    }

    /// What was read, to be shared; the whole buffer is remembered for [`take`](Self::take).
    pub(crate) fn lend(&mut self, buffer: BytesMut) -> Bytes {
        let bytes = buffer.freeze();
        if bytes.len() <= BYTES_MAX {
            self.bytes += bytes.len();
            self.lent.push(bytes.clone());
        }
        while self.lent.len() > BUFFERS_MAX || self.bytes > BYTES_MAX {
            // Whoever still holds the oldest frees it.
            self.bytes -= self.lent.remove(0).len();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_nobody_holds_it() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.take(1_000);
        buffer.fill(7);
        let place = buffer.as_ptr();
        let held = buffers.lend(buffer).slice(10..20);
        assert_ne!(buffers.take(1_000).as_ptr(), place);
        assert_eq!(held[..], [7; 10]);
        drop(held);
        let again = buffers.take(1_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 1_000));
    }

    #[test]
    fn a_part_is_changed_when_nobody_has_another() {
        let mut buffers = Buffers::default();
        let mut other = Bytes::from_static(b"not lent");
        assert!(buffers.recall(&mut other).is_none());
        assert_eq!(other, "not lent");
        let mut part = buffers.lend(BytesMut::from(&b"from here to there"[..]));
        part = part.slice(5..9);
        let held = part.slice(1..);
        assert!(buffers.recall(&mut part).is_none());
        assert_eq!((&part[..], &held[..]), (&b"here"[..], &b"ere"[..]));
        drop(held);
        let (mut buffer, range) = buffers.recall(&mut part).unwrap();
        assert!(part.is_empty());
        buffer[range.clone()].make_ascii_uppercase();
        assert_eq!(buffers.lend(buffer).slice(range), "HERE");
        assert_eq!(buffers.take(18), "from HERE to there");
    }
}
