//! The wire format of Protocol Buffers: numbered fields, each with its length or its end
//! (protobuf.dev, "Encoding").
//!
//! What a field means is left to `protobuf/schema.rs` and `protobuf/mod.rs`.

use crate::cli::encoding::DEPTH_MAX;

/// The highest number a field may have.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// What stands in a field, before its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    /// Fields follow, up to the end with the same number.
    Group,
    GroupEnd,
}

impl Found<'_> {
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Varint(_) => Wire::Varint,
            Self::Fixed64(_) => Wire::Fixed64,
            Self::Fixed32(_) => Wire::Fixed32,
            Self::Bytes(_) => Wire::Bytes,
            Self::Group | Self::GroupEnd => Wire::Group,
        }
    }
}

/// The ways a field can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Group,
}

impl Wire {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Varint => "a varint",
            Self::Fixed64 => "64 bits",
            Self::Fixed32 => "32 bits",
            Self::Bytes => "of a length",
            Self::Group => "a group",
        }
    }
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next field and its number, None at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Found<'a>)>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(format!("no Protobuf: a field with number {number}"));
        }
        let found = match tag & 7 {
            0 => self.value(Wire::Varint)?,
            1 => self.value(Wire::Fixed64)?,
            2 => self.value(Wire::Bytes)?,
            3 => Found::Group,
            4 => Found::GroupEnd,
            5 => self.value(Wire::Fixed32)?,
            wire => return Err(format!("no Protobuf: wire type {wire}")),
        };
        Ok(Some((number as u32, found)))
    }

    /// A value without a tag before it, as in a packed list.
    pub(super) fn value(&mut self, wire: Wire) -> Result<Found<'a>, String> {
        Ok(match wire {
            Wire::Varint => Found::Varint(self.varint()?),
            Wire::Fixed64 => Found::Fixed64(u64::from_le_bytes(self.array()?)),
            Wire::Fixed32 => Found::Fixed32(u32::from_le_bytes(self.array()?)),
            Wire::Bytes => {
                let len = self.varint()?;
                Found::Bytes(self.take(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            Wire::Group => Found::Group,
        })
    }

    /// Passes over a group that nobody knows.
    pub(super) fn skip_group(&mut self, number: u32, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        loop {
            match self.field()?.ok_or_else(too_early)? {
                (end, Found::GroupEnd) if end == number => return Ok(()),
                (_, Found::GroupEnd) => return Err(stray_end()),
                (inner, Found::Group) => self.skip_group(inner, depth + 1)?,
                _ => {}
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(too_early)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| too_early())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for place in 0..10 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("no Protobuf: a varint of more than ten bytes".to_owned())
    }
}

pub(super) fn too_early() -> String {
    "the Protobuf message ends too early".to_owned()
}

pub(super) fn too_deep() -> String {
    "Protobuf nested too deep".to_owned()
}

pub(super) fn stray_end() -> String {
    "no Protobuf: the end of a group that did not begin".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (bytes, field) in [
            (&[0x08, 0x96, 0x01][..], (1, Found::Varint(150))),
            (&[0x0d, 1, 0, 0, 0], (1, Found::Fixed32(1))),
            (&[0x11, 1, 0, 0, 0, 0, 0, 0, 0], (2, Found::Fixed64(1))),
            (&[0x1a, 1, 7], (3, Found::Bytes(&[7]))),
            (
                &[0xf8, 0xff, 0xff, 0xff, 0x0f, 0],
                (536_870_911, Found::Varint(0)),
            ),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.field(), Ok(Some(field)), "{bytes:?}");
            assert_eq!(reader.field(), Ok(None));
            for cut in 1..bytes.len() {
                assert!(Reader::new(&bytes[..cut]).field().is_err(), "{bytes:?}");
            }
        }
        for wrong in [
            &[0x00, 0][..],
            &[0x0e],
            &[0x0f],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            &[0xff; 11],
        ] {
            assert!(Reader::new(wrong).field().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn groups_nobody_knows() {
        let skip = |bytes: &[u8]| Reader::new(bytes).skip_group(1, 0);
        assert_eq!(skip(&[0x10, 5, 0x1b, 0x1c, 0x0c]), Ok(()));
        assert_eq!(skip(&[0x14]), Err(stray_end()));
        assert_eq!(skip(&[0x10, 5]), Err(too_early()));
        assert_eq!(skip(&[0x0b; 5_000]), Err(too_deep()));
    }
}
