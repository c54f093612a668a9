//! Where what must survive a restart is kept.

pub(crate) mod batch;
pub(crate) mod crc;
pub mod disk;
pub(crate) mod encoding;
pub mod import;
pub(crate) mod index;
pub mod log;
pub mod memory;
pub mod mosquitto_db;
pub mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub(crate) mod values;

use std::io;

use crate::broker::durable::record::{Kept, Record};

/// A place that keeps records.
pub trait Store: Send {
    /// Hands all that is kept to `each`, except bodies.
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> io::Result<()>;

    /// The numbers of all bodies.
    fn bodies(&self) -> Vec<u64>;

    /// Reads a body.
    fn fetch(&mut self, body: u64) -> io::Result<Option<Kept>>;

    /// Keeps these records, all or none of them. The system has them when this returns.
    fn append(&mut self, records: &[Record]) -> io::Result<()>;

    /// Returns when all that was appended is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Does a part of what makes it smaller, if anything does. False: there was nothing to do.
    fn tidy(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// What the operator should know, since the last call.
    fn news(&mut self) -> Vec<String> {
        Vec::new()
    }
}
