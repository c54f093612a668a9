//! A store that forgets when its process ends: for tests, and the model that others are held to.

use std::collections::BTreeMap;
use std::io;

use crate::broker::durable::record::{Kept, Record};
use crate::daemon::store::Store;
use crate::daemon::store::rows::{self, Change, Table};

/// See the module.
#[derive(Clone, Default)]
pub struct Memory {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Memory {
    /// How many rows a table has.
    pub fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|(of, _)| *of == table).count()
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Put(table, key, value) => {
                self.rows.insert((table, key), value);
            }
            Change::Delete(table, key) => {
                self.rows.remove(&(table, key));
            }
            Change::DeleteAll(table, prefix) => {
                self.rows
                    .retain(|(of, key), _| *of != table || !key.starts_with(&prefix));
            }
        }
    }
}

impl Store for Memory {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> io::Result<()> {
        let rows = self.rows.iter();
        for ((table, key), value) in rows.filter(|((table, _), _)| *table != Table::Body) {
            let record = rows::record(*table, key, value);
            each(record.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(())
    }

    fn bodies(&self) -> Vec<u64> {
        let numbers = self.rows.keys().filter(|(table, _)| *table == Table::Body);
        numbers.filter_map(|(_, key)| rows::number(key)).collect()
    }

    fn fetch(&mut self, body: u64) -> io::Result<Option<Kept>> {
        let row = (Table::Body, rows::key(body));
        Ok(self.rows.get(&row).and_then(|value| rows::kept(value)))
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            rows::changes(record, |change| self.change(change));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
