//! What is encoded for one connection and not yet taken by the system: small frames copied one
//! behind the other, large bodies by reference.
//!
//! ```text
//!   chunks: [ shared run ][ heads… ][ shared payload ]   tail: [ frames, acknowledgements… ]
//!             ^ written bytes of the first chunk                 appended here
//! ```
//!
//! Below some kilobytes copying is cheaper than counting references, and it keeps the number of
//! slices for a vectored write low.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Slices given to one vectored write at most. Half a megabyte of shared parts, and little to clear
/// for the usual write of one slice.
pub const SLICES_MAX: usize = 16;

/// From this size on, bytes of a larger buffer are written from where they are. A part of this
/// size holds on to a buffer that is at most a few times larger.
pub(crate) const SHARE_FROM: usize = 32_768;

/// Emptied tails kept for others: after a crowd the memory goes back to the system.
const SPARE_MAX: usize = 64;

/// A drained tail larger than this is not kept for the next turn.
const TAIL_KEPT_MAX: usize = 512 * 1_024;

/// Written bytes that may stay in front of a tail which is not drained yet.
const WRITTEN_MAX: usize = 128 * 1_024;

/// See the module.
#[derive(Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    written: usize,
    len: usize,
}

impl Outbox {
    /// Bytes waiting.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends copied bytes.
    #[inline]
    pub(crate) fn append(&mut self, spare: &mut Vec<Vec<u8>>, bytes: &[u8]) {
        if self.tail.capacity() == 0 {
            self.tail = spare.pop().unwrap_or_default();
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Lets `encode` append to the tail; returns how many bytes it appended.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        spare: &mut Vec<Vec<u8>>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        if self.tail.capacity() == 0 {
            self.tail = spare.pop().unwrap_or_default();
        }
        let before = self.tail.len();
        encode(&mut self.tail);
        let added = self.tail.len() - before;
        self.len += added;
        added
    }

    /// Appends bytes by reference.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            // The tail may have been partly written while it was the only chunk: `written` then
            // counts within what becomes the first chunk, and stays right.
            self.chunks
                .push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Appends all that waits in another outbox, of which nothing was written yet.
    pub(crate) fn absorb(&mut self, spare: &mut Vec<Vec<u8>>, mut other: Self) {
        for chunk in other.chunks.drain(..) {
            self.share(chunk);
        }
        if !other.tail.is_empty() {
            self.append(spare, &other.tail);
        }
        other.len = 0;
        other.keep_tail(spare);
    }

    /// The bytes waiting, for one vectored write; returns how many slices were set.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut count = 0;
        let mut skip = self.written;
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        for chunk in self
            .chunks
            .iter()
            .map(|chunk| &chunk[..])
            .chain(tail)
            .take(SLICES_MAX)
        {
            slices[count] = IoSlice::new(&chunk[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// The first part, where it is shared, and how much of it is written. It may be taken out and put
    /// back.
    pub(crate) fn front(&mut self) -> Option<(&mut Bytes, usize)> {
        let front = self.chunks.front_mut()?;
        Some((front, self.written))
    }

    /// The system took `count` bytes.
    pub(crate) fn wrote(&mut self, spare: &mut Vec<Vec<u8>>, count: usize) {
        assert!(count <= self.len, "no more than was offered");
        self.len -= count;
        self.written += count;
        while let Some(first) = self.chunks.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.chunks.pop_front();
        }
        if self.len > 0 && self.written >= WRITTEN_MAX && self.written >= self.tail.len() / 2 {
            // A reader that is always a little behind would never let go of what it has read.
            self.tail.drain(..self.written);
            self.written = 0;
        }
        if self.len == 0 {
            self.written = 0;
            self.keep_tail(spare);
            if self.chunks.capacity() > SLICES_MAX {
                self.chunks = VecDeque::new();
            }
        }
    }

    /// Gives the emptied tail to whoever needs one next.
    fn keep_tail(&mut self, spare: &mut Vec<Vec<u8>>) {
        let mut tail = std::mem::take(&mut self.tail);
        if tail.capacity() > 0 && tail.capacity() <= TAIL_KEPT_MAX && spare.len() < SPARE_MAX {
            tail.clear();
            spare.push(tail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = outbox.slices(&mut slices);
        slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn a_reader_that_is_always_behind_costs_what_waits_for_it() {
        let (mut outbox, mut spare) = (Outbox::default(), Vec::new());
        let mut next = (0..=u8::MAX).cycle();
        let mut seen = (0..=u8::MAX).cycle();
        for _ in 0..1_000 {
            let bytes: Vec<u8> = next.by_ref().take(10_000).collect();
            outbox.append(&mut spare, &bytes);
            let taken = outbox.len() - 1;
            let now = waiting(&outbox);
            assert!(
                now[..taken]
                    .iter()
                    .eq(seen.by_ref().take(taken).collect::<Vec<_>>().iter())
            );
            outbox.wrote(&mut spare, taken);
            assert!(outbox.tail.capacity() < 4 * WRITTEN_MAX);
        }
    }

    #[test]
    fn bytes_leave_in_order_however_they_came_and_are_taken() {
        for step in 1..12 {
            let (mut outbox, mut spare, mut seen) = (Outbox::default(), Vec::new(), Vec::new());
            outbox.append(&mut spare, b"abc");
            seen.extend_from_slice(&waiting(&outbox)[..1]);
            outbox.wrote(&mut spare, 1);
            outbox.share(Bytes::from_static(b"def"));
            outbox.encode(&mut spare, |out| out.extend_from_slice(b"ghi"));
            outbox.share(Bytes::from_static(b"jkl"));
            while !outbox.is_empty() {
                let now = waiting(&outbox);
                let count = now.len().min(step);
                seen.extend_from_slice(&now[..count]);
                outbox.wrote(&mut spare, count);
            }
            assert_eq!(seen, b"abcdefghijkl");
        }
    }
}
