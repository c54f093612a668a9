//! The bytes of the log: files that begin with a head, and then batches of changes.
//!
//! ```text
//!   file:   [ "mqttx store\n" | format ] batch batch …
//!   batch:  [ length | CRC-32 ] change change …      written at once, kept whole or not at all
//!   change: [ what and table | key length | value length | key | value ]
//! ```
//!
//! Numbers are big-endian, four bytes each but for the first of a change.

use crate::daemon::store::crc::crc;
use crate::daemon::store::rows::{Change, FORMAT, Table};

const MAGIC: &[u8; 12] = b"mqttx store\n";

/// Bytes before the first batch of a file.
pub(crate) const HEAD: usize = 16;

/// Bytes before the first change of a batch.
pub(crate) const BATCH_HEAD: usize = 8;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const DELETE_ALL: u8 = 2;

/// The beginning of a file.
pub(crate) fn head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..12].copy_from_slice(MAGIC);
    head[12..].copy_from_slice(&FORMAT.to_be_bytes());
    head
}

/// The format of a file; `None`: it is none of ours.
pub(crate) fn format(file: &[u8]) -> Option<u32> {
    let rest = file.strip_prefix(MAGIC)?;
    Some(u32::from_be_bytes(*rest.first_chunk()?))
}

/// Appends a change.
pub(crate) fn put(change: &Change, out: &mut Vec<u8>) {
    let none = Vec::new();
    let (what, table, key, value) = match change {
        Change::Put(table, key, value) => (PUT, table, key, value),
        Change::Delete(table, key) => (DELETE, table, key, &none),
        Change::DeleteAll(table, key) => (DELETE_ALL, table, key, &none),
    };
    out.push(what << 4 | *table as u8);
    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Fills in the head of a batch whose changes are behind [`BATCH_HEAD`] bytes.
pub(crate) fn close(batch: &mut [u8]) {
    let len = (batch.len() - BATCH_HEAD) as u32;
    let sum = crc(&batch[BATCH_HEAD..]);
    batch[..4].copy_from_slice(&len.to_be_bytes());
    batch[4..8].copy_from_slice(&sum.to_be_bytes());
}

/// The changes of the batch at the front of `bytes`; `None`: it is not whole.
pub(crate) fn open(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let changes = rest.get(..u32::from_be_bytes(*len) as usize)?;
    (!changes.is_empty() && crc(changes) == u32::from_be_bytes(*sum)).then_some(changes)
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What<'a> {
    Put(&'a [u8]),
    Delete,
    DeleteAll,
}

/// A change as it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    pub(crate) what: What<'a>,
    /// All its bytes.
    pub(crate) bytes: &'a [u8],
}

/// Takes the change at the front of `bytes`.
pub(crate) fn take<'a>(bytes: &mut &'a [u8]) -> Option<Read<'a>> {
    let whole = *bytes;
    let (first, rest) = whole.split_first()?;
    let (key_len, rest) = rest.split_first_chunk::<4>()?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*key_len) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value_len) as usize)?;
    let table = *Table::ALL
        .iter()
        .find(|table| **table as u8 == first & 0xf)?;
    let what = match first >> 4 {
        PUT => What::Put(value),
        DELETE => What::Delete,
        DELETE_ALL => What::DeleteAll,
        _ => return None,
    };
    *bytes = rest;
    Some(Read {
        table,
        key,
        what,
        bytes: &whole[..whole.len() - rest.len()],
    })
}
