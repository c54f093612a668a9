//! Where in the log each row is. Rows whose key is made of numbers, which are nearly all, take
//! 28 bytes; only filters and topics are kept as they are.

use std::collections::BTreeMap;

use crate::daemon::store::rows::Table;

/// A change in a file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the file.
    pub(crate) segment: u32,
    /// Where the change begins.
    pub(crate) at: u32,
    /// Its bytes.
    pub(crate) len: u32,
}

#[derive(Default)]
pub(crate) struct Index {
    numbered: BTreeMap<u128, Place>,
    named: BTreeMap<(Table, Vec<u8>), Place>,
}

impl Index {
    pub(crate) fn find(&self, table: Table, key: &[u8]) -> Option<Place> {
        match packed(table, key) {
            Some(key) => self.numbered.get(&key).copied(),
            None => self.named.get(&(table, key.to_vec())).copied(),
        }
    }

    /// The place it had before.
    pub(crate) fn set(&mut self, table: Table, key: &[u8], place: Place) -> Option<Place> {
        match packed(table, key) {
            Some(key) => self.numbered.insert(key, place),
            None => self.named.insert((table, key.to_vec()), place),
        }
    }

    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) -> Option<Place> {
        match packed(table, key) {
            Some(key) => self.numbered.remove(&key),
            None => self.named.remove(&(table, key.to_vec())),
        }
    }

    /// Removes all rows of a Session from a table.
    pub(crate) fn remove_all(&mut self, table: Table, prefix: &[u8], mut each: impl FnMut(Place)) {
        if let Some(first) = packed(table, prefix) {
            let last = first | u128::from(u32::MAX);
            let keys: Vec<u128> = self
                .numbered
                .range(first..=last)
                .map(|(key, _)| *key)
                .collect();
            for key in keys {
                self.numbered.remove(&key).map(&mut each);
            }
            return;
        }
        let from = (table, prefix.to_vec());
        let rows = self.named.range(from..);
        let rows = rows.take_while(|((of, key), _)| *of == table && key.starts_with(prefix));
        let keys: Vec<_> = rows.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.named.remove(&key).map(&mut each);
        }
    }

    /// The numbers of all bodies.
    pub(crate) fn bodies(&self) -> Vec<u64> {
        let of = |number: u64| packed(Table::Body, &number.to_be_bytes()).unwrap_or_default();
        let rows = self.numbered.range(of(0)..=of(u64::MAX));
        rows.map(|(key, _)| (key >> 32) as u64).collect()
    }

    /// Rows of all tables.
    pub(crate) fn len(&self) -> usize {
        self.numbered.len() + self.named.len()
    }
}

/// Table, number, and up to four bytes more, so that they sort as their keys do.
fn packed(table: Table, key: &[u8]) -> Option<u128> {
    if matches!(table, Table::Filter | Table::Retained) {
        return None;
    }
    let (number, rest) = key.split_first_chunk::<8>()?;
    let rest = rest
        .iter()
        .fold(0_u128, |rest, byte| rest << 8 | u128::from(*byte));
    Some((table as u128) << 96 | u128::from(u64::from_be_bytes(*number)) << 32 | rest & 0xffff_ffff)
}
