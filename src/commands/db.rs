//! `mqttx db`: what is in a store or in a mosquitto.db, whether it is whole, and from one into the
//! other. Called as `mosquitto_db_dump` it prints what that program prints.

mod chunks;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::broker::durable::record::Record;
use crate::commands::db::chunks::{render, render_json};
use crate::commands::terminal;
use crate::daemon::store::Store;
use crate::daemon::store::disk::{Folder, Untouched};
use crate::daemon::store::import;
use crate::daemon::store::log::Log;
use crate::daemon::store::mosquitto_db::{Chunk, Db, What};
use crate::daemon::store::rows::Table;

pub const ABOUT: &str = "Show, check or import what a broker keeps";

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
    /// Print a mosquitto.db, or the folder of a store
    Dump {
        /// A mosquitto.db, or the folder of --persistence
        path: PathBuf,
        /// As JSON, payloads in base64
        #[arg(long, conflicts_with = "stats")]
        json: bool,
        /// Only how much there is of each kind
        #[arg(long)]
        stats: bool,
    },
    /// Say whether a mosquitto.db or a store can be read to its end
    Check {
        /// A mosquitto.db, or the folder of --persistence
        path: PathBuf,
    },
    /// Take a mosquitto.db over into a new store
    Import {
        /// The mosquitto.db; it is not changed
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
        Action::Dump { path, json, stats } if path.is_dir() => dump_store(path, *json, *stats),
        Action::Dump { path, json, stats } => read(path).and_then(|bytes| {
            let db = open(path, &bytes)?;
            match (json, stats) {
                (true, _) => render_json(&db).map_err(|what| named(path, &what)),
                (_, true) => render_stats(&db).map_err(|what| named(path, &what)),
                _ => render(&db).map_err(|(_, what)| named(path, &what)),
            }
        }),
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

fn check(path: &Path) -> Result<String, String> {
    if path.is_dir() {
        let mut log = Log::new(Untouched(path.to_owned()));
        let mut count = 0;
        let loaded = log.load(&mut |_| count += 1);
        loaded.map_err(|error| named(path, &error.to_string()))?;
        for body in log.bodies() {
            let found = log
                .fetch(body)
                .map_err(|error| named(path, &error.to_string()))?;
            if found.is_none() {
                return Err(named(path, &format!("message {body} cannot be read")));
            }
        }
        is_store(path, &log)?;
        let mut text: String = log.news.iter().map(|line| format!("{line}\n")).collect();
        let (bytes, live) = log.bytes();
        let _ = writeln!(
            text,
            "{}: whole; {} rows, {live} of {bytes} bytes count",
            path.display(),
            log.rows()
        );
        return Ok(text);
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

fn take_over(file: &Path, folder: &Path) -> Result<String, String> {
    let bytes = read(file)?;
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
    let records = import::records(&bytes, crate::daemon::wall());
    let records = records.map_err(|fault| named(file, &fault.to_string()))?;
    let kept = log.append(&records).and_then(|()| log.sync());
    kept.map_err(|error| named(folder, &error.to_string()))?;
    Ok(format!(
        "{} records from {} are in {} now\n",
        records.len(),
        file.display(),
        folder.display()
    ))
}

/// A folder that holds other things, or nothing, is no empty store.
fn is_store(path: &Path, log: &Log<Untouched>) -> Result<(), String> {
    let is_new = log
        .is_new()
        .map_err(|error| named(path, &error.to_string()))?;
    match is_new && !path.join("lock").exists() {
        true => Err(named(path, "no broker keeps anything here")),
        false => Ok(()),
    }
}

fn dump_store(path: &Path, as_json: bool, stats: bool) -> Result<String, String> {
    let mut log = Log::new(Untouched(path.to_owned()));
    let mut model = crate::daemon::store::memory::Memory::default();
    let failed = |error: std::io::Error| named(path, &error.to_string());
    let mut kept = Ok(());
    let mut each = |record: Record| kept = model.append(&[record]);
    log.load(&mut each).map_err(failed)?;
    kept.map_err(failed)?;
    is_store(path, &log)?;
    if stats {
        let mut text = String::new();
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Body) {
            let _ = writeln!(text, "{:<10} {}", table.name(), model.count(table));
        }
        let _ = writeln!(text, "{:<10} {}", Table::Body.name(), log.bodies().len());
        return Ok(text);
    }
    let mut rows = Vec::new();
    model
        .load(&mut |record| rows.push(record))
        .map_err(failed)?;
    for number in log.bodies() {
        if let Some(kept) = log.fetch(number).map_err(failed)? {
            rows.push(Record::Body(number, kept));
        }
    }
    let rows: Vec<serde_json::Value> = rows.iter().map(row).collect();
    Ok(match as_json {
        true => format!("{:#}\n", serde_json::Value::from(rows)),
        false => rows.iter().map(|row| format!("{row}\n")).collect(),
    })
}

/// A record, in the words of its fields.
fn row(record: &Record) -> serde_json::Value {
    let message = |kept: &crate::broker::durable::record::Kept| {
        json!({
            "topic": kept.message.topic(),
            "qos": kept.message.qos().bits(),
            "retain": kept.message.retain(),
            "expires": kept.expires,
            "payload": base64::prelude::BASE64_STANDARD.encode(kept.message.payload()),
        })
    };
    match record {
        Record::Session(of) => json!({ "session": of.session, "client_id": &*of.client_id,
            "user_name": of.user_name.as_deref(), "expiry": of.expiry, "lost": of.lost,
            "will": of.will.as_ref().map(|will| will.message.topic()) }),
        Record::Subscribed {
            session,
            filter,
            options,
            subscription_id,
        } => json!({
            "subscribed": filter, "session": session, "options": options,
            "subscription_identifier": subscription_id }),
        Record::Body(number, kept) => json!({ "body": number, "message": message(kept) }),
        Record::Waiting(of) => json!({ "waiting": of.order, "session": of.session, "body": of.body,
            "qos": of.qos.bits(), "packet_id": of.packet_id.map(|id| id.value()) }),
        Record::Released {
            session,
            order,
            packet_id,
        } => json!({ "released": order,
            "session": session, "packet_id": packet_id.value() }),
        Record::Received { session, packet_id } => json!({ "received": packet_id.value(),
            "session": session }),
        Record::Retained {
            kept,
            publisher,
            user_name,
        } => json!({ "retained": message(kept), "publisher": publisher.as_deref(),
            "user_name": user_name.as_deref() }),
        Record::Crossed(number, of) => json!({ "crossed": number, "message": message(&of.kept) }),
        other => json!(format!("{other:?}")),
    }
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
