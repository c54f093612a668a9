//! The store of the broker: a log of batches in files of some megabytes, and an index of what in
//! it still counts.
//!
//! Why not an embedded database: the broker holds all state but the bodies of long queues anyway,
//! so a store has to take what comes, give all of it back at a start, and read a body now and then.
//!
//! - A batch has a checksum. What was being written when the process died is cut off at the next
//!   start, kept aside in a file of its own, and told.
//! - A file is synced before the next one is begun, so only the last one can have such an end; a
//!   batch that is not whole anywhere else is damage, and the broker does not start over it.
//! - When more than half of the log does not count any more, what counts of the oldest file is
//!   written again at the end, some of it at a time, and the file is removed. Files go in their
//!   order, so what a deletion was about is never there longer than the deletion.
//! - After a failure everything since the last sync is written again: the system may have thrown
//!   it away.

use std::io;

use crate::broker::durable::record::{Kept, Record};
use crate::daemon::store::Store;
use crate::daemon::store::batch::{self, BATCH_HEAD, HEAD, Read, What};
use crate::daemon::store::disk::Disk;
use crate::daemon::store::index::{Index, Place};
use crate::daemon::store::rows::{self, FORMAT, Table};

/// A file is full from this size on.
const SEGMENT: u64 = 67_108_864;

/// The log may always be this large, however little of it counts.
const SMALL: u64 = 2 * SEGMENT;

/// Bytes that are looked through at a time for what still counts.
const TIDIED_AT_ONCE: usize = 2_097_152;

/// Bytes that may wait for a sync; they are kept in memory until then.
const UNSYNCED_MAX: usize = 67_108_864;

/// See the module.
pub struct Log<D> {
    disk: D,
    segments: Vec<Segment>,
    index: Index,
    /// What was written to the last file since it was synced.
    unsynced: Vec<u8>,
    /// Something failed: the last file has to be brought in order first.
    failed: bool,
    /// Nobody asks for syncs: what the system has counts as safe.
    pub unsafe_is_fine: bool,
    tidied: Option<(Vec<u8>, usize)>,
    buffer: Vec<u8>,
    /// What the operator should know.
    pub news: Vec<String>,
}

struct Segment {
    number: u32,
    bytes: u64,
    /// Bytes on the disk for certain.
    synced: u64,
    /// Bytes of changes that the index names.
    live: u64,
}

impl Segment {
    fn name(&self) -> String {
        name(self.number)
    }
}

fn name(number: u32) -> String {
    format!("{number:08}.log")
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<D: Disk> Log<D> {
    /// A log on this disk; [`load`](Store::load) is to be called before all else.
    pub fn new(disk: D) -> Self {
        Self {
            disk,
            segments: Vec::new(),
            index: Index::default(),
            unsynced: Vec::new(),
            failed: false,
            unsafe_is_fine: false,
            tidied: None,
            buffer: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Whether nothing was ever written to it.
    pub fn is_new(&self) -> io::Result<bool> {
        let names = self.disk.names()?;
        Ok(!names.iter().any(|name| name.ends_with(".log")))
    }

    /// The disk below it.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Bytes of the log, and how many of them count.
    pub fn bytes(&self) -> (u64, u64) {
        let all = self.segments.iter().map(|segment| segment.bytes).sum();
        (all, self.segments.iter().map(|segment| segment.live).sum())
    }

    /// Rows of all tables.
    pub fn rows(&self) -> usize {
        self.index.len()
    }

    fn load_segment(
        &mut self,
        number: u32,
        is_last: bool,
        each: &mut dyn FnMut(Record),
    ) -> io::Result<()> {
        let name = name(number);
        let file = self.disk.read(&name)?;
        let segment = Segment {
            number,
            bytes: file.len() as u64,
            synced: file.len() as u64,
            live: 0,
        };
        match batch::format(&file) {
            Some(format) if format > FORMAT => {
                let what = format!("{name} was written by a newer version (format {format})");
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            Some(_) => self.segments.push(segment),
            // The process died while it made the file.
            None if is_last && file.len() < HEAD => {
                self.disk.remove(&name)?;
                return Ok(());
            }
            None => return Err(damaged(format!("{name} is no file of a store"))),
        }
        let mut at = HEAD;
        while at < file.len() {
            let Some(changes) = batch::open(&file[at..]) else {
                if !is_last {
                    return Err(damaged(format!("{name} is damaged at byte {at}")));
                }
                return self.cut(&name, at, &file[at..]);
            };
            at += BATCH_HEAD;
            self.load_batch(&name, number, at, changes, each)?;
            at += changes.len();
        }
        Ok(())
    }

    fn load_batch(
        &mut self,
        name: &str,
        segment: u32,
        at: usize,
        changes: &[u8],
        each: &mut dyn FnMut(Record),
    ) -> io::Result<()> {
        let odd = || damaged(format!("{name} has something unknown behind byte {at}"));
        let mut rest = changes;
        while !rest.is_empty() {
            let offset = at + changes.len() - rest.len();
            let read = batch::take(&mut rest).ok_or_else(odd)?;
            self.apply(&read, segment, offset);
            let record = match read.what {
                What::DeleteAll => continue,
                _ if read.table == Table::Body => continue,
                What::Put(value) => rows::record(read.table, read.key, value),
                What::Delete => rows::gone(read.table, read.key),
            };
            each(record.ok_or_else(odd)?);
        }
        Ok(())
    }

    /// Cuts off what was not written whole.
    fn cut(&mut self, name: &str, at: usize, rest: &[u8]) -> io::Result<()> {
        let aside = format!("{name}.cut-{at}");
        self.disk.append(&aside, rest)?;
        self.disk.truncate(name, at as u64)?;
        if let Some(last) = self.segments.last_mut() {
            last.bytes = at as u64;
            last.synced = last.bytes;
        }
        self.news.push(format!(
            "store: the last {} bytes of {name} were not written whole; they are in {aside} now",
            rest.len()
        ));
        Ok(())
    }

    /// Brings the index up to date with a change that is in the log.
    fn apply(&mut self, read: &Read<'_>, segment: u32, at: usize) {
        let segments = &mut self.segments;
        let mut dead = |place: Place| {
            if let Some(of) = segments.iter_mut().find(|of| of.number == place.segment) {
                of.live -= u64::from(place.len);
            }
        };
        match read.what {
            What::Put(_) => {
                let place = Place {
                    segment,
                    at: at as u32,
                    len: read.bytes.len() as u32,
                };
                if let Some(before) = self.index.set(read.table, read.key, place) {
                    dead(before);
                }
                if let Some(last) = self.segments.last_mut() {
                    last.live += u64::from(place.len);
                }
            }
            What::Delete => {
                if let Some(before) = self.index.remove(read.table, read.key) {
                    dead(before);
                }
            }
            What::DeleteAll => self.index.remove_all(read.table, read.key, dead),
        }
    }

    /// Writes the batch that is in `buffer`.
    fn write(&mut self) -> io::Result<()> {
        if self.buffer.len() <= BATCH_HEAD {
            return Ok(());
        }
        batch::close(&mut self.buffer);
        self.repair()?;
        self.roll()?;
        let Some(last) = self.segments.last_mut() else {
            return Err(damaged("the store was not loaded".into()));
        };
        let (name, number, at) = (last.name(), last.number, last.bytes as usize + BATCH_HEAD);
        if let Err(error) = self.disk.append(&name, &self.buffer) {
            self.failed = true;
            return Err(error);
        }
        last.bytes += self.buffer.len() as u64;
        match self.unsafe_is_fine {
            true => last.synced = last.bytes,
            false => self.unsynced.extend_from_slice(&self.buffer),
        }
        self.apply_batch(number, at, BATCH_HEAD);
        if self.unsynced.len() > UNSYNCED_MAX {
            self.sync()?;
        }
        Ok(())
    }

    fn apply_batch(&mut self, segment: u32, at: usize, from: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        let changes = &buffer[from..];
        let mut rest = changes;
        while let Some(read) = batch::take(&mut rest) {
            let offset = at + changes.len() - rest.len() - read.bytes.len();
            self.apply(&read, segment, offset);
        }
        self.buffer = buffer;
    }

    /// After a failure: back to what is safe, and from there again.
    fn repair(&mut self) -> io::Result<()> {
        if !self.failed {
            return Ok(());
        }
        if let Some(last) = self.segments.last_mut() {
            let name = last.name();
            self.disk.truncate(&name, last.synced)?;
            self.disk.append(&name, &self.unsynced)?;
        }
        self.failed = false;
        Ok(())
    }

    /// Begins a new file where the last one is full.
    fn roll(&mut self) -> io::Result<()> {
        let number = match self.segments.last() {
            Some(last) if last.bytes < SEGMENT => return Ok(()),
            Some(last) => last.number + 1,
            None => 1,
        };
        if !self.segments.is_empty() {
            self.sync()?;
        }
        let name = name(number);
        // A failure before may have left a part of it.
        if self.disk.names()?.contains(&name) {
            self.disk.remove(&name)?;
        }
        self.disk.append(&name, &batch::head())?;
        self.disk.sync(&name)?;
        self.segments.push(Segment {
            number,
            bytes: HEAD as u64,
            synced: HEAD as u64,
            live: 0,
        });
        Ok(())
    }

    fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.resize(BATCH_HEAD, 0);
    }

    /// Writes what still counts of the next part of the oldest file again.
    fn tidy_some(&mut self) -> io::Result<bool> {
        let (all, live) = self.bytes();
        let Some(oldest) = self.segments.first().filter(|_| self.segments.len() > 1) else {
            return Ok(false);
        };
        if self.tidied.is_none() && all <= (2 * live).max(SMALL) {
            return Ok(false);
        }
        let (number, name) = (oldest.number, oldest.name());
        let (file, mut at) = match self.tidied.take() {
            Some(under_way) => under_way,
            None => (self.disk.read(&name)?, HEAD),
        };
        let end = (at + TIDIED_AT_ONCE).min(file.len());
        self.begin();
        while at < end
            && let Some(changes) = batch::open(&file[at..])
        {
            at += BATCH_HEAD;
            let mut rest = changes;
            while let Some(read) = batch::take(&mut rest) {
                let offset = at + changes.len() - rest.len() - read.bytes.len();
                let place = Place {
                    segment: number,
                    at: offset as u32,
                    len: read.bytes.len() as u32,
                };
                let counts = matches!(read.what, What::Put(_))
                    && self.index.find(read.table, read.key) == Some(place);
                if counts {
                    self.buffer.extend_from_slice(read.bytes);
                }
            }
            at += changes.len();
        }
        self.write()?;
        if at < file.len() {
            self.tidied = Some((file, at));
            return Ok(true);
        }
        self.sync()?;
        self.disk.remove(&name)?;
        self.segments.remove(0);
        Ok(true)
    }
}

impl<D: Disk> Store for Log<D> {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> io::Result<()> {
        let names = self.disk.names()?;
        let number = |name: &String| name.strip_suffix(".log")?.parse::<u32>().ok();
        let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        let last = numbers.last().copied();
        for number in numbers {
            self.load_segment(number, Some(number) == last, each)?;
        }
        Ok(())
    }

    fn bodies(&self) -> Vec<u64> {
        self.index.bodies()
    }

    fn fetch(&mut self, body: u64) -> io::Result<Option<Kept>> {
        let Some(place) = self.index.find(Table::Body, &rows::key(body)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; place.len as usize];
        let name = name(place.segment);
        self.disk.read_at(&name, u64::from(place.at), &mut bytes)?;
        let read = batch::take(&mut &bytes[..]);
        Ok(match read.map(|read| read.what) {
            Some(What::Put(value)) => rows::kept(value),
            _ => None,
        })
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.begin();
        for record in records {
            rows::changes(record, |change| batch::put(&change, &mut self.buffer));
        }
        self.write()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.repair()?;
        let Some(last) = self.segments.last_mut() else {
            return Ok(());
        };
        if last.synced == last.bytes && !self.unsafe_is_fine {
            return Ok(());
        }
        let name = last.name();
        if let Err(error) = self.disk.sync(&name) {
            self.failed = true;
            return Err(error);
        }
        last.synced = last.bytes;
        self.unsynced.clear();
        if self.unsynced.capacity() > UNSYNCED_MAX / 4 {
            self.unsynced = Vec::new();
        }
        Ok(())
    }

    fn tidy(&mut self) -> io::Result<bool> {
        self.tidy_some()
    }

    fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }
}
