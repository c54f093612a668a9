//! Bytes of a binary encoding that are read from front to back; numbers are big-endian.

pub(super) struct Input<'a> {
    bytes: &'a [u8],
    /// What is read, for sentences: `CBOR item`.
    what: &'static str,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(format!("the {} ends too early", self.what));
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn unsigned(&mut self, bytes: u64) -> Result<u64, String> {
        let taken = self.take(bytes)?;
        let number = taken
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Ok(number)
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.bytes {
            [] => Ok(()),
            rest => Err(format!("{} bytes behind the {}", rest.len(), self.what)),
        }
    }
}
