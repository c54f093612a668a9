//! The second store: a database of SQLite with the tables of mosquitto's persist-sqlite, so that
//! one that mosquitto 2.1 has written goes on being used, and may be given back to it.
//!
//! A turn is one transaction. Its bytes are in the write-ahead log, and so with the system, when
//! it has ended; [`sync`](Store::sync) puts them onto the disk. What mosquitto's columns have no
//! room for (the number of a Session, Share Names) lies in a column of ours beside them, and
//! counts only where mosquitto has not changed the row since.

mod batch;
mod properties;
mod read;
mod schema;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::broker::durable::record::{Kept, Record};
use crate::daemon::storage;
use crate::daemon::store::Store;
use crate::daemon::store::disk::{self, Lock};
use crate::daemon::store::sqlite::batch::{Batch, Names};
use crate::daemon::store::sqlite::schema::{EXTENDED, IN, TABLES, VERSION};
use crate::mqtt::topic;

/// How long somebody else who looks into the database is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages that are copied at a time.
const PAGES: i32 = 1_000;

/// See the module.
pub struct Sqlite {
    db: Connection,
    file: PathBuf,
    names: Names,
    /// None: it is a copy.
    _lock: Option<Lock>,
}

impl Sqlite {
    /// Opens the database, or makes one with pages of this size.
    pub fn open(file: &Path, page_size: u32) -> io::Result<Self> {
        if let Some(folder) = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)?;
        }
        let lock = disk::lock(&beside(file, "-lock"))?;
        let db = Connection::open(file).map_err(failed)?;
        db.busy_timeout(PATIENCE).map_err(failed)?;
        check_version(&db)?;
        prepare(&db, page_size).map_err(failed)?;
        Self::of(db, file, Some(lock))
    }

    /// A copy in memory, as a broker would take the database up. The file is only read, and may be
    /// in use.
    pub fn copy(file: &Path) -> io::Result<Self> {
        let from = open_to_read(file).map_err(failed)?;
        from.busy_timeout(PATIENCE).map_err(failed)?;
        check_pages(&from, file)?;
        let mut db = Connection::open_in_memory().map_err(failed)?;
        Backup::new(&from, &mut db)
            .and_then(|copying| copying.run_to_completion(PAGES, Duration::ZERO, None))
            .map_err(failed)?;
        check_version(&db)?;
        Self::of(db, file, None)
    }

    fn of(db: Connection, file: &Path, lock: Option<Lock>) -> io::Result<Self> {
        db.execute_batch(TABLES).map_err(failed)?;
        extend(&db).map_err(failed)?;
        hand_on(&db).map_err(failed)?;
        let names = read::names(&db).map_err(failed)?;
        Ok(Self {
            db,
            file: file.to_owned(),
            names,
            _lock: lock,
        })
    }

    fn write(&mut self, records: &[Record]) -> rusqlite::Result<()> {
        let transaction = self.db.unchecked_transaction()?;
        let mut batch = Batch::new(&self.db, &mut self.names);
        for record in records {
            batch.put(record)?;
        }
        drop(batch);
        transaction.commit()
    }
}

impl Store for Sqlite {
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> io::Result<()> {
        read::load(&self.db, &self.names, storage::wall(), each)
    }

    fn bodies(&self) -> Vec<u64> {
        let sql = "SELECT store_id FROM base_msgs b WHERE \
                   NOT EXISTS (SELECT 1 FROM retains r WHERE r.store_id = b.store_id) \
                   OR EXISTS (SELECT 1 FROM client_msgs m WHERE m.store_id = b.store_id)";
        let numbers = || -> rusqlite::Result<Vec<u64>> {
            let mut statement = self.db.prepare(sql)?;
            let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
            rows.map(|number| number.map(|number| number as u64))
                .collect()
        };
        // One that cannot be read fails where it is wanted.
        numbers().unwrap_or_default()
    }

    fn fetch(&mut self, body: u64) -> io::Result<Option<Kept>> {
        read::fetch(&self.db, body).map_err(failed)
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.write(records).map_err(|error| {
            // The tables are what they were: so are the names.
            if let Ok(names) = read::names(&self.db) {
                self.names = names;
            }
            failed(error)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let log = beside(&self.file, "-wal");
        match File::open(&log) {
            Ok(file) => file.sync_data()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match self
            .file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Somebody who may write has to undo a transaction first.
const ROLLBACK_FIRST: i32 = rusqlite::ffi::SQLITE_READONLY_ROLLBACK;

fn failed(error: rusqlite::Error) -> io::Error {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if code == Some(ROLLBACK_FIRST) {
        return io::Error::other(
            "a transaction in it was interrupted: start a broker with it, which undoes that",
        );
    }
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, NotADatabase, ReadOnly};
    let kind = match error.sqlite_error_code() {
        Some(DiskFull) => io::ErrorKind::StorageFull,
        Some(ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
        Some(NotADatabase) => io::ErrorKind::InvalidData,
        Some(CannotOpen) => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("SQLite: {error}"))
}

/// Nobody who only looks makes files beside it: where neither log nor journal is, none is read.
/// What a journal undoes was never done, so without it the pages say what nobody has written.
fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if ["-wal", "-journal"]
        .iter()
        .any(|end| beside(file, end).exists())
    {
        return Connection::open_with_flags(file, flags);
    }
    let mut address = "file:".to_owned();
    for &byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => address.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => address.push(byte.into()),
            _ => address += &format!("%{byte:02x}"),
        }
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(address + "?immutable=1", flags)
}

/// SQLite's own look at all pages, and whether the last of them is there to its end.
fn check_pages(db: &Connection, file: &Path) -> io::Result<()> {
    let fault = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let sql = "PRAGMA integrity_check(1)";
    let told: String = db.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
    if told != "ok" {
        return Err(fault(told.trim().to_owned()));
    }
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = db.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
    let length = std::fs::metadata(file)?.len();
    // The rest may be in its log.
    if beside(file, "-wal").exists() || length >= size as u64 {
        return Ok(());
    }
    Err(fault(format!(
        "it ends early: {length} of {size} bytes are there"
    )))
}

fn prepare(db: &Connection, page_size: u32) -> rusqlite::Result<()> {
    // Of no effect on a database that is there.
    db.pragma_update(None, "page_size", page_size)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // The log is synced by `sync`; before it is written back SQLite syncs it itself.
    db.pragma_update(None, "synchronous", "NORMAL")
}

/// A schema that is newer is not touched.
fn check_version(db: &Connection) -> io::Result<()> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE name = 'version_info'";
    let there: i64 = db.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
    if there == 0 {
        return Ok(());
    }
    let sql = "SELECT major, minor FROM version_info WHERE component = 'database_schema'";
    let mut statement = db.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else {
        return Ok(());
    };
    let (major, minor): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
    if (major, minor) <= VERSION {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "its schema is version {major}.{minor}, and 1.1 is the newest known here; it was not \
         touched: use a newer mqttx, or the mosquitto that wrote it"
    )))
}

fn extend(db: &Connection) -> rusqlite::Result<()> {
    for table in EXTENDED {
        let sql = format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = 'mqttx'");
        let there: i64 = db.query_row(&sql, [], |row| row.get(0))?;
        if there == 0 {
            db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN mqttx BLOB"))?;
        }
    }
    Ok(())
}

/// mosquitto hands a QoS 2 message on when PUBREL comes, we when PUBLISH does: those it has not
/// handed on go into the queues now, once.
fn hand_on(db: &Connection) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    let held: Vec<(i64, i64, String)> = {
        let mut statement = db.prepare(
            "SELECT m.rowid, m.store_id, CAST(b.topic AS TEXT) FROM client_msgs m \
             JOIN base_msgs b ON b.store_id = m.store_id \
             WHERE m.direction = ?1 AND m.mqttx IS NULL ORDER BY m.rowid",
        )?;
        let rows = statement.query_map([IN], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let filters: Vec<(String, String, u8)> = {
        let mut statement =
            db.prepare("SELECT client_id, topic, subscription_options FROM subscriptions")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (row, message, name) in held {
        for (client, filter, options) in &filters {
            let qos = options & 3;
            if qos > 0 && topic::matches(filter, &name) {
                db.execute(
                    "INSERT INTO client_msgs (client_id, cmsg_id, store_id, dup, direction, mid, \
                     qos, retain, state, subscription_identifier) \
                     SELECT ?1, coalesce(max(cmsg_id), 0) + 1, ?2, 0, 1, 0, ?3, 0, 11, 0 \
                     FROM client_msgs WHERE client_id = ?1",
                    rusqlite::params![client, message, qos],
                )?;
            }
        }
        db.execute("UPDATE client_msgs SET mqttx = x'' WHERE rowid = ?1", [row])?;
    }
    transaction.commit()
}
