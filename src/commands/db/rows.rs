//! What a store of ours or a database of persist-sqlite keeps, a line a record, and whether all of
//! it can be read.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::broker::durable::record::{Kept, Record};
use crate::commands::db::named;
use crate::daemon::store::Store;
use crate::daemon::store::disk::Untouched;
use crate::daemon::store::log::Log;
use crate::daemon::store::memory::Memory;
use crate::daemon::store::rows::Table;

/// The store in this folder, to be read only.
fn untouched(path: &Path) -> Log<Untouched> {
    Log::new(Untouched(path.to_owned()))
}

pub(super) fn check(path: &Path) -> Result<String, String> {
    let mut log = untouched(path);
    log.load(&mut |_| {}).map_err(|error| told(path, &error))?;
    check_bodies(path, &mut log)?;
    is_store(path, &log)?;
    let mut text: String = log.news().iter().map(|line| format!("{line}\n")).collect();
    let (bytes, live) = log.bytes();
    let _ = writeln!(
        text,
        "{}: whole; {} rows, {live} of {bytes} bytes count",
        path.display(),
        log.rows()
    );
    Ok(text)
}

/// A folder that holds other things, or nothing, is no empty store.
fn is_store(path: &Path, log: &Log<Untouched>) -> Result<(), String> {
    let is_new = log.is_new().map_err(|error| told(path, &error))?;
    match is_new && !path.join("lock").exists() {
        true => Err(named(path, "no broker keeps anything here")),
        false => Ok(()),
    }
}

/// A database: its pages were looked at when it was opened.
pub(super) fn check_database(path: &Path, mut store: Box<dyn Store>) -> Result<String, String> {
    let mut count = store.bodies().len();
    let loaded = store.load(&mut |_| count += 1);
    loaded.map_err(|error| told(path, &error))?;
    check_bodies(path, &mut *store)?;
    Ok(format!("{}: whole; {count} records\n", path.display()))
}

fn check_bodies(path: &Path, store: &mut dyn Store) -> Result<(), String> {
    for body in store.bodies() {
        let found = store.fetch(body).map_err(|error| told(path, &error))?;
        if found.is_none() {
            return Err(named(path, &format!("message {body} cannot be read")));
        }
    }
    Ok(())
}

fn told(path: &Path, error: &io::Error) -> String {
    named(path, &error.to_string())
}

pub(super) fn dump_folder(path: &Path, as_json: bool, stats: bool) -> Result<String, String> {
    let mut log = untouched(path);
    let text = dump(path, &mut log, as_json, stats)?;
    is_store(path, &log)?;
    Ok(text)
}

pub(super) fn dump(
    path: &Path,
    store: &mut dyn Store,
    as_json: bool,
    stats: bool,
) -> Result<String, String> {
    let failed = |error: io::Error| told(path, &error);
    let mut model = Memory::default();
    let mut kept = Ok(());
    store
        .load(&mut |record| kept = model.append(&[record]))
        .map_err(failed)?;
    kept.map_err(failed)?;
    let bodies = store.bodies();
    if stats {
        let mut text = String::new();
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Body) {
            let _ = writeln!(text, "{:<10} {}", table.name(), model.count(table));
        }
        let _ = writeln!(text, "{:<10} {}", Table::Body.name(), bodies.len());
        return Ok(text);
    }
    let mut rows = Vec::new();
    model
        .load(&mut |record| rows.push(row(&record)))
        .map_err(failed)?;
    for number in bodies {
        if let Some(kept) = store.fetch(number).map_err(failed)? {
            rows.push(row(&Record::Body(number, kept)));
        }
    }
    Ok(match as_json {
        true => format!("{:#}\n", Value::from(rows)),
        false => rows.iter().map(|row| format!("{row}\n")).collect(),
    })
}

/// All of a store: bodies, and then what is about them.
pub(super) fn all(path: &Path, store: &mut dyn Store) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    for number in store.bodies() {
        let kept = store.fetch(number).map_err(|error| told(path, &error))?;
        records.extend(kept.map(|kept| Record::Body(number, kept)));
    }
    let loaded = store.load(&mut |record| records.push(record));
    loaded.map_err(|error| told(path, &error))?;
    Ok(records)
}

/// A record, in the words of its fields.
fn row(record: &Record) -> Value {
    let message = |kept: &Kept| {
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
