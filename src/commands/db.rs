//! `mqttx db`: what is in a store or in a mosquitto.db, whether it is whole, and from one into the
//! other. Called as `mosquitto_db_dump` it prints what that program prints.

mod chunks;
mod rows;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::db::chunks::{render, render_json};
use crate::commands::terminal;
use crate::daemon::store::Store;
use crate::daemon::store::disk::Folder;
use crate::daemon::store::import;
use crate::daemon::store::log::Log;
use crate::daemon::store::mosquitto_db::{Chunk, Db, What};
#[cfg(feature = "sqlite")]
use crate::daemon::store::sqlite::Sqlite;

pub const ABOUT: &str = "Show, check or import what a broker keeps";

/// What a database of SQLite begins with.
const SQLITE_HEAD: &[u8; 16] = b"SQLite format 3\0";

/// The name it has as one of mosquitto's programs.
pub const LINK: &str = "mosquitto_db_dump";

#[derive(Parser, Debug)]
#[command(name = "db", bin_name = "mqttx db", about = ABOUT, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    what: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Print a mosquitto.db, a mosquitto.sqlite3, or the folder of a store
    Dump {
        /// A mosquitto.db, a database of persist-sqlite, or the folder of --persistence
        path: PathBuf,
        /// As JSON, payloads in base64
        #[arg(long, conflicts_with = "stats")]
        json: bool,
        /// Only how much there is of each kind
        #[arg(long)]
        stats: bool,
    },
    /// Say whether one of them can be read to its end
    Check {
        /// A mosquitto.db, a database of persist-sqlite, or the folder of --persistence
        path: PathBuf,
    },
    /// Take a mosquitto.db or a database of persist-sqlite over into a new store
    Import {
        /// The mosquitto.db or the database; it is not changed
        file: PathBuf,
        /// The folder of the store, which must be empty
        folder: PathBuf,
    },
}

const EXAMPLES: &str = "\
A broker that is running keeps its store locked against import; dump and check only read.

Examples:
  mqttx db dump /var/lib/mosquitto/mosquitto.db
  mqttx db check /var/lib/mqttx
  mqttx db dump --stats /var/lib/mosquitto/mosquitto.sqlite3
  mqttx db import mosquitto.db /var/lib/mqttx

Exit status: 0 all is well, 1 it is damaged or cannot be read, 2 wrong words";

const USAGE: &str = "Usage: db_dump [--stats | --client-stats | --json] <mosquitto db filename>\n";

pub fn tree() -> clap::Command {
    Args::command()
}

pub fn run(words: Vec<OsString>) -> ExitCode {
    let name = OsString::from("mqttx db");
    let args = match Args::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let done = match &args.what {
        Action::Dump { path, json, stats } => dump(path, *json, *stats),
        Action::Check { path } => check(path),
        Action::Import { file, folder } => take_over(file, folder),
    };
    match done {
        Ok(text) => terminal::print_out(&text),
        Err(sentence) => {
            terminal::complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

/// As mosquitto_db_dump.
pub fn speak(words: &[OsString]) -> ExitCode {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
    let (kind, file) = match words[..] {
        [file] => ("", file),
        [kind @ ("--stats" | "--client-stats" | "--json"), file] => (kind, file),
        _ => {
            terminal::print_err(USAGE);
            return ExitCode::FAILURE;
        }
    };
    let Ok(bytes) = std::fs::read(file) else {
        terminal::print_err(&format!("Error: Unable to open {file}\n"));
        return ExitCode::SUCCESS;
    };
    let Ok(db) = Db::open(&bytes) else {
        terminal::print_err("Error: Unrecognised file format.\n");
        return ExitCode::FAILURE;
    };
    let text = match kind {
        "--stats" => render_stats(&db).map_err(|_| String::new()),
        "--client-stats" => client_stats(&db).map_err(|_| String::new()),
        "--json" => render_json(&db).map_err(|_| String::new()),
        _ => render(&db).map_err(|(text, _)| text),
    };
    match text {
        Ok(text) => terminal::print_out(&text),
        Err(before) => {
            terminal::print_out(&before);
            terminal::print_err("Error: Corrupt persistent database.\n");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| named(path, &error.to_string()))
}

fn named(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<Db<'a>, String> {
    Db::open(bytes).map_err(|fault| named(path, &fault.to_string()))
}

fn dump(path: &Path, as_json: bool, stats: bool) -> Result<String, String> {
    if path.is_dir() {
        return rows::dump_folder(path, as_json, stats);
    }
    if let Some(mut store) = sqlite(path)? {
        return rows::dump(path, &mut *store, as_json, stats);
    }
    let bytes = read(path)?;
    let db = open(path, &bytes)?;
    match (as_json, stats) {
        (true, _) => render_json(&db).map_err(|what| named(path, &what)),
        (_, true) => render_stats(&db).map_err(|what| named(path, &what)),
        _ => render(&db).map_err(|(_, what)| named(path, &what)),
    }
}

fn check(path: &Path) -> Result<String, String> {
    if path.is_dir() {
        return rows::check(path);
    }
    if let Some(store) = sqlite(path)? {
        return rows::check_database(path, store);
    }
    let bytes = read(path)?;
    let db = open(path, &bytes)?;
    let mut count = 0;
    for chunk in db.chunks() {
        chunk.map_err(|fault| named(path, &fault.to_string()))?;
        count += 1;
    }
    Ok(format!(
        "{}: whole; version {}, {count} chunks\n",
        path.display(),
        db.version
    ))
}

/// A copy of the database of SQLite that is in this file, if one is.
fn sqlite(path: &Path) -> Result<Option<Box<dyn Store>>, String> {
    let mut head = [0; SQLITE_HEAD.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    if read.is_err() || head != *SQLITE_HEAD {
        return Ok(None);
    }
    #[cfg(feature = "sqlite")]
    return match Sqlite::copy(path) {
        Ok(store) => Ok(Some(Box::new(store))),
        Err(error) => Err(named(path, &error.to_string())),
    };
    #[cfg(not(feature = "sqlite"))]
    Err(named(
        path,
        "a database of SQLite\n  try: a program built with --features sqlite",
    ))
}

fn take_over(file: &Path, folder: &Path) -> Result<String, String> {
    let records = match sqlite(file)? {
        Some(mut store) => rows::all(file, &mut *store)?,
        None => import::records(&read(file)?, crate::daemon::wall())
            .map_err(|fault| named(file, &fault.to_string()))?,
    };
    let disk = Folder::open(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => named(folder, "in use by a broker\n  try: stop it first"),
        _ => named(folder, &error.to_string()),
    })?;
    let mut log = Log::new(disk);
    log.load(&mut |_| {})
        .map_err(|error| named(folder, &error.to_string()))?;
    if log.rows() > 0 {
        return Err(named(
            folder,
            "there is something in it already\n  try: another folder",
        ));
    }
    let kept = log.append(&records).and_then(|()| log.sync());
    kept.map_err(|error| named(folder, &error.to_string()))?;
    Ok(format!(
        "{} records from {} are in {} now\n",
        records.len(),
        file.display(),
        folder.display()
    ))
}

fn faults(
    chunk: Result<Chunk<'_>, crate::daemon::store::mosquitto_db::Fault>,
) -> Result<Chunk<'_>, String> {
    chunk.map_err(|fault| fault.to_string())
}

fn render_stats(db: &Db<'_>) -> Result<String, String> {
    let mut counts = [0_usize; 6];
    for chunk in db.chunks() {
        let place = match faults(chunk)?.what {
            What::Cfg(_) => 0,
            What::Base(_) => 1,
            What::ClientMsg(_) => 2,
            What::Retain(_) => 3,
            What::Sub(_) => 4,
            What::Client(_) => 5,
            What::Unknown(_) => continue,
        };
        counts[place] += 1;
    }
    let [cfg, base, client_msg, retain, sub, client] = counts;
    Ok(format!(
        "DB_CHUNK_CFG:        {cfg}\nDB_CHUNK_BASE_MSG:   {base}\nDB_CHUNK_CLIENT_MSG: {client_msg}\n\
         DB_CHUNK_RETAIN:     {retain}\nDB_CHUNK_SUB:        {sub}\nDB_CHUNK_CLIENT:     {client}\n"
    ))
}

/// Subscriptions and messages of each client, and their bytes.
fn client_stats(db: &Db<'_>) -> Result<String, String> {
    let mut order = Vec::new();
    let mut clients: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    let mut bases = BTreeMap::new();
    for chunk in db.chunks() {
        let Chunk { length, what } = faults(chunk)?;
        let length = u64::from(length);
        let counted = match what {
            What::Client(client) => {
                order.push(client.client_id);
                clients.insert(client.client_id, [0; 4]);
                continue;
            }
            What::Base(base) => {
                bases.insert(base.store_id, length);
                continue;
            }
            What::Sub(sub) => (sub.client_id, [1, length, 0, 0]),
            What::ClientMsg(of) => {
                let base = bases.get(&of.store_id).copied().unwrap_or(0);
                (of.client_id, [0, 0, 1, length + base])
            }
            _ => continue,
        };
        if let Some(client) = clients.get_mut(counted.0) {
            for (sum, more) in client.iter_mut().zip(counted.1) {
                *sum += more;
            }
        }
    }
    let mut text = String::new();
    for id in order {
        let [subs, sub_bytes, messages, message_bytes] = clients[id];
        let _ = writeln!(
            text,
            "SC: {subs} SS: {sub_bytes} MC: {messages} MS: {message_bytes}   {id}"
        );
    }
    Ok(text)
}
