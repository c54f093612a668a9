//! Records out of the tables: those we wrote come back as they were, those of mosquitto as far as
//! its columns tell.

use std::io;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::broker::durable::record::{Kept, Record, SessionRecord, Waiting, WillRecord};
use crate::daemon::store::encoding::Reader;
use crate::daemon::store::rows::{self, Table};
use crate::daemon::store::sqlite::batch::{Names, Times};
use crate::daemon::store::sqlite::properties;
use crate::daemon::store::sqlite::schema::{
    IN, RESEND_PUBREL, WAIT_FOR_PUBACK, WAIT_FOR_PUBCOMP, WAIT_FOR_PUBREC,
};
use crate::daemon::store::values;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::message::Message;
use crate::mqtt::property::PropertiesBuf;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::topic;

/// What it costs to keep a message, beside its bytes, as [`Message::size`] counts.
const MESSAGE_SIZE: u32 = 160;

/// Text of a column that may have become a number.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    })
}

/// Which client has which number; those of mosquitto get one.
pub(super) fn names(db: &Connection) -> rusqlite::Result<Names> {
    let mut names = Names::default();
    let mut without = Vec::new();
    let mut statement = db.prepare("SELECT client_id, mqttx FROM clients ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let client = text(row, 0)?.unwrap_or_default();
        match bytes(row, 1)?.first_chunk() {
            Some(number) => names.insert(u64::from_be_bytes(*number), client.into()),
            None => without.push(client),
        }
    }
    for client in without {
        names.insert(names.next(), client.into());
    }
    Ok(names)
}

/// All but bodies.
pub(super) fn load(
    db: &Connection,
    names: &Names,
    wall: u64,
    each: &mut dyn FnMut(Record),
) -> io::Result<()> {
    let failed = |error: rusqlite::Error| io::Error::other(error.to_string());
    sessions(db, names, wall, each).map_err(failed)?;
    subscriptions(db, names, each).map_err(failed)?;
    messages(db, names, each).map_err(failed)?;
    retained(db, each).map_err(failed)?;
    let mut statement = db
        .prepare("SELECT number, value FROM mqttx_crossed")
        .map_err(failed)?;
    let mut crossed = statement.query([]).map_err(failed)?;
    while let Some(row) = crossed.next().map_err(failed)? {
        let number: i64 = row.get(0).map_err(failed)?;
        let value = bytes(row, 1).map_err(failed)?;
        let record = rows::record(Table::Crossed, &rows::key(number as u64), &value);
        each(record.ok_or(io::ErrorKind::InvalidData)?);
    }
    Ok(())
}

fn sessions(
    db: &Connection,
    names: &Names,
    wall: u64,
    each: &mut dyn FnMut(Record),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "SELECT c.client_id, c.username, c.session_expiry_time, c.session_expiry_interval, \
         c.will_delay_time, c.will_delay_interval, c.mqttx, \
         w.topic, w.payload, w.qos, w.retain, w.properties \
         FROM clients c LEFT JOIN wills w ON w.client_id = c.client_id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let client = text(row, 0)?.unwrap_or_default();
        let Some(number) = names.number(&client) else {
            continue;
        };
        let columns = Times {
            expiry: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
            will: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
        };
        let expiry: i64 = row.get::<_, Option<i64>>(3)?.unwrap_or(0);
        let expiry = u32::try_from(expiry).unwrap_or(u32::MAX);
        let value = bytes(row, 6)?;
        let ours = value
            .get(8..)
            .and_then(|value| values::session(number, &mut Reader::new(value)));
        // Unless mosquitto had it in between.
        let same = |it: &SessionRecord| it.expiry == expiry && Times::of(it) == columns;
        if let Some(session) = ours.filter(same) {
            each(Record::Session(Box::new(session)));
            continue;
        }
        let ends = u64::try_from(columns.expiry).unwrap_or(0) * 1_000;
        let lost = match ends {
            0 => wall,
            ends => ends.saturating_sub(u64::from(expiry) * 1_000).min(wall),
        };
        let delay: i64 = row.get::<_, Option<i64>>(5)?.unwrap_or(0);
        let will = match text(row, 7)? {
            Some(topic) if topic::check_name(&topic).is_ok() => Some(WillRecord {
                message: message(row, &topic, 8, None)?,
                delay: u32::try_from(delay).unwrap_or(0),
            }),
            _ => None,
        };
        each(Record::Session(Box::new(SessionRecord {
            session: number,
            client_id: client.into(),
            user_name: text(row, 1)?
                .filter(|name| !name.is_empty())
                .map(Into::into),
            worker: 0,
            version: Version::V311,
            expiry,
            lost: Some(lost),
            will,
        })));
    }
    Ok(())
}

fn subscriptions(
    db: &Connection,
    names: &Names,
    each: &mut dyn FnMut(Record),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "SELECT client_id, topic, subscription_options, subscription_identifier \
         FROM subscriptions",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let client = text(row, 0)?.unwrap_or_default();
        let filter = text(row, 1)?.unwrap_or_default();
        let options = row.get::<_, Option<u8>>(2)?.unwrap_or(0);
        let whole = topic::check_filter(&filter).is_ok();
        let Some(session) = names.number(&client).filter(|_| whole) else {
            continue;
        };
        if SubscribeOptions::from_bits(options).is_ok() {
            each(Record::Subscribed {
                session,
                filter: filter.into(),
                options,
                subscription_id: row.get::<_, Option<u32>>(3)?.unwrap_or(0),
            });
        }
    }
    Ok(())
}

fn messages(db: &Connection, names: &Names, each: &mut dyn FnMut(Record)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "SELECT m.client_id, coalesce(m.cmsg_id, m.rowid), m.store_id, m.direction, m.mid, \
         m.qos, m.retain, m.state, m.subscription_identifier, m.mqttx, \
         length(b.topic) + coalesce(length(b.payload), 0) \
         FROM client_msgs m LEFT JOIN base_msgs b ON b.store_id = m.store_id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let client = text(row, 0)?.unwrap_or_default();
        let Some(session) = names.number(&client) else {
            continue;
        };
        let order = row.get::<_, i64>(1)? as u32;
        let body = row.get::<_, Option<i64>>(2)?.unwrap_or(0) as u64;
        let direction: i64 = row.get(3)?;
        let packet_id = PacketId::new(row.get::<_, Option<u16>>(4)?.unwrap_or(0));
        let state: i64 = row.get(7)?;
        if direction == IN {
            if let Some(packet_id) = packet_id {
                each(Record::Received { session, packet_id });
            }
            continue;
        }
        if matches!(state, RESEND_PUBREL | WAIT_FOR_PUBCOMP) {
            if let Some(packet_id) = packet_id {
                each(Record::Released {
                    session,
                    order,
                    packet_id,
                });
            }
            continue;
        }
        let sent = matches!(state, WAIT_FOR_PUBACK | WAIT_FOR_PUBREC);
        let packet_id = packet_id.filter(|_| sent);
        let value = bytes(row, 9)?;
        let ours = values::waiting(session, order, &mut Reader::new(&value));
        let same = |it: &Waiting| it.body == body && it.packet_id == packet_id;
        if let Some(waiting) = ours.filter(same) {
            each(Record::Waiting(Box::new(waiting)));
            continue;
        }
        // Without its message nobody can wait for it.
        let Some(length) = row.get::<_, Option<u32>>(10)? else {
            continue;
        };
        let qos = row.get::<_, Option<u8>>(5)?.and_then(QoS::from_bits);
        let id = row.get::<_, Option<u32>>(8)?.filter(|id| *id != 0);
        each(Record::Waiting(Box::new(Waiting {
            session,
            order,
            body,
            size: length.saturating_add(MESSAGE_SIZE),
            qos: qos.unwrap_or(QoS::AtLeastOnce),
            retain: row.get::<_, Option<bool>>(6)?.unwrap_or(false),
            packet_id,
            subscription_ids: id.map(|id| [id].into()),
            share: None,
        })));
    }
    Ok(())
}

/// The columns [`kept`] reads, and who published it.
const BASE: &str = "b.topic, b.payload, b.qos, b.retain, b.properties, b.expiry_time, b.mqttx, \
                    b.source_id, b.source_username";

fn retained(db: &Connection, each: &mut dyn FnMut(Record)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!(
        "SELECT {BASE} FROM retains r JOIN base_msgs b ON b.store_id = r.store_id"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(kept) = kept(row)? else { continue };
        let known = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
        each(Record::Retained {
            kept,
            publisher: known(text(row, 7)?),
            user_name: known(text(row, 8)?),
        });
    }
    Ok(())
}

/// A body.
pub(super) fn fetch(db: &Connection, body: u64) -> rusqlite::Result<Option<Kept>> {
    let mut statement = db.prepare(&format!(
        "SELECT {BASE} FROM base_msgs b WHERE b.store_id = ?1"
    ))?;
    let mut rows = statement.query(params![body as i64])?;
    match rows.next()? {
        Some(row) => kept(row),
        None => Ok(None),
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let topic = text(row, 0)?.unwrap_or_default();
    if topic::check_name(&topic).is_err() {
        return Ok(None);
    }
    let value = bytes(row, 6)?;
    let mut value = Reader::new(&value);
    let ours = value.time().zip(value.bytes());
    let (expires, raw) = match ours {
        Some((expires, raw)) => (expires, Some(raw)),
        None => {
            let seconds = row.get::<_, Option<i64>>(5)?.unwrap_or(0);
            let seconds = u64::try_from(seconds).ok().filter(|at| *at > 0);
            (seconds.map(|at| at.saturating_mul(1_000)), None)
        }
    };
    let message = message(row, &topic, 1, raw)?;
    Ok(Some(Kept { message, expires }))
}

/// A message whose payload, QoS, RETAIN and properties stand in this column and those behind it.
fn message(
    row: &Row<'_>,
    topic: &str,
    column: usize,
    raw: Option<&[u8]>,
) -> rusqlite::Result<Message> {
    use crate::mqtt::property::Properties;
    let payload = bytes(row, column)?;
    let qos = row
        .get::<_, Option<u8>>(column + 1)?
        .and_then(QoS::from_bits);
    let written = match raw {
        Some(_) => PropertiesBuf::new(),
        None => properties::from_json(&text(row, column + 3)?.unwrap_or_default()),
    };
    let properties = match raw {
        Some(raw) => Properties::restored(raw).unwrap_or(Properties::EMPTY),
        None => written.properties(),
    };
    let publish = Publish {
        dup: false,
        qos: qos.unwrap_or(QoS::AtMostOnce),
        retain: row.get::<_, Option<bool>>(column + 2)?.unwrap_or(false),
        topic,
        packet_id: None,
        properties,
        payload: &payload,
    };
    Ok(Message::restored(&publish, None))
}
