//! What a record is in a store that has tables of keys and values: which rows it sets and which
//! it takes away, and the record that a row is read back as.
//!
//! | table | key | value |
//! |-|-|-|
//! | session | number | client id, version, expiry, will, … |
//! | filter | number, filter | options, Subscription Identifier |
//! | body | number | message |
//! | waiting | Session, order | body, QoS, Packet Identifier, … |
//! | released | Session, Packet Identifier | order |
//! | received | Session, Packet Identifier | |
//! | retained | topic | message, publisher, its user name |
//! | crossed | number | message, targets |
//!
//! Numbers are big-endian, so that rows of one Session lie together and in their order. All of it
//! is version [`FORMAT`] of the format; a change here is a new version, and the old one is still
//! read.

use crate::broker::durable::record::{Kept, Record};
use crate::daemon::store::encoding::{Reader, Writer};
use crate::daemon::store::values;
use crate::mqtt::PacketId;

/// The version of all that is written here.
pub const FORMAT: u32 = 1;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Sessions.
    Session,
    /// Subscriptions.
    Filter,
    /// Messages that Sessions wait for.
    Body,
    /// Which Session waits for which body.
    Waiting,
    /// Packet Identifiers between PUBREC and PUBCOMP.
    Released,
    /// Packet Identifiers of messages received and not released.
    Received,
    /// Retained messages.
    Retained,
    /// Messages on their way to another worker.
    Crossed,
}

impl Table {
    /// All of them, in the order in which they are read: what belongs to a Session after it.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::Filter,
        Self::Body,
        Self::Waiting,
        Self::Released,
        Self::Received,
        Self::Retained,
        Self::Crossed,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Filter => "filter",
            Self::Body => "body",
            Self::Waiting => "waiting",
            Self::Released => "released",
            Self::Received => "received",
            Self::Retained => "retained",
            Self::Crossed => "crossed",
        }
    }

    /// Tables whose keys begin with a Session's number.
    pub const OF_SESSION: [Self; 4] = [Self::Filter, Self::Waiting, Self::Released, Self::Received];
}

/// What is to be done to a table.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A row is set.
    Put(Table, Vec<u8>, Vec<u8>),
    /// A row is taken away.
    Delete(Table, Vec<u8>),
    /// All rows are taken away whose key begins so.
    DeleteAll(Table, Vec<u8>),
}

/// Hands the changes of a record to `each`, in their order.
pub fn changes(record: &Record, mut each: impl FnMut(Change)) {
    if let Record::SessionGone(session) = record {
        each(Change::Delete(Table::Session, key(*session)));
        for table in Table::OF_SESSION {
            each(Change::DeleteAll(table, key(*session)));
        }
        return;
    }
    if let Record::Released { session, order, .. } = record {
        each(Change::Delete(Table::Waiting, by_order(*session, *order)));
    }
    each(change(record));
}

/// The one change that a record is, or the last where it is several.
fn change(record: &Record) -> Change {
    use Change::{Delete, Put};
    match record {
        Record::Session(it) => Put(Table::Session, key(it.session), values::put_session(it)),
        Record::SessionGone(session) => Delete(Table::Session, key(*session)),
        Record::Subscribed {
            session,
            filter,
            options,
            subscription_id,
        } => {
            let value = Writer::new().u8(*options).u32(*subscription_id).done();
            Put(Table::Filter, under(*session, filter.as_bytes()), value)
        }
        Record::Unsubscribed { session, filter } => {
            Delete(Table::Filter, under(*session, filter.as_bytes()))
        }
        Record::Body(body, kept) => Put(Table::Body, key(*body), Writer::new().kept(kept).done()),
        Record::BodyGone(body) => Delete(Table::Body, key(*body)),
        Record::Waiting(it) => {
            let place = by_order(it.session, it.order);
            Put(Table::Waiting, place, values::put_waiting(it))
        }
        Record::Done { session, order } => Delete(Table::Waiting, by_order(*session, *order)),
        Record::Released {
            session,
            order,
            packet_id,
        } => {
            let value = order.to_be_bytes().to_vec();
            Put(Table::Released, by_id(*session, *packet_id), value)
        }
        Record::Completed { session, packet_id } => {
            Delete(Table::Released, by_id(*session, *packet_id))
        }
        Record::Received { session, packet_id } => {
            Put(Table::Received, by_id(*session, *packet_id), Vec::new())
        }
        Record::Answered { session, packet_id } => {
            Delete(Table::Received, by_id(*session, *packet_id))
        }
        Record::Retained {
            kept,
            publisher,
            user_name,
        } => {
            let value = Writer::new().kept(kept);
            let mut value = value.text(publisher.as_deref().unwrap_or(""));
            if let Some(user_name) = user_name {
                value = value.text(user_name);
            }
            Put(Table::Retained, kept.message.topic().into(), value.done())
        }
        Record::Cleared(topic) => Delete(Table::Retained, topic.as_bytes().into()),
        Record::Crossed(number, it) => Put(Table::Crossed, key(*number), values::put_crossed(it)),
        Record::Arrived(number) => Delete(Table::Crossed, key(*number)),
    }
}

/// The key of a table whose keys are numbers.
pub fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn by_order(session: u64, order: u32) -> Vec<u8> {
    under(session, &order.to_be_bytes())
}

fn by_id(session: u64, packet_id: PacketId) -> Vec<u8> {
    under(session, &packet_id.value().to_be_bytes())
}

fn under(session: u64, rest: &[u8]) -> Vec<u8> {
    [&session.to_be_bytes(), rest].concat()
}

/// The number of such a key.
pub fn number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// The message of a body's row.
pub fn kept(value: &[u8]) -> Option<Kept> {
    Reader::new(value).kept()
}

/// The record of a row; `None`: it is not one of this format.
pub fn record(table: Table, key: &[u8], value: &[u8]) -> Option<Record> {
    let mut of = Reader::new(key);
    let mut value = Reader::new(value);
    let record = match table {
        Table::Session => Record::Session(Box::new(values::session(of.u64()?, &mut value)?)),
        Table::Filter => Record::Subscribed {
            session: of.u64()?,
            filter: std::str::from_utf8(of.rest()).ok()?.into(),
            options: value.u8()?,
            subscription_id: value.u32()?,
        },
        Table::Body => Record::Body(of.u64()?, value.kept()?),
        Table::Waiting => {
            let (session, order) = (of.u64()?, of.u32()?);
            Record::Waiting(Box::new(values::waiting(session, order, &mut value)?))
        }
        Table::Released => Record::Released {
            session: of.u64()?,
            packet_id: of.packet_id()?,
            order: value.u32()?,
        },
        Table::Received => Record::Received {
            session: of.u64()?,
            packet_id: of.packet_id()?,
        },
        Table::Retained => Record::Retained {
            kept: value.kept()?,
            publisher: Some(value.text()?)
                .filter(|id| !id.is_empty())
                .map(Into::into),
            // There only where there was one.
            user_name: value.text().map(Into::into),
        },
        Table::Crossed => Record::Crossed(of.u64()?, Box::new(values::crossed(&mut value)?)),
    };
    Some(record)
}

/// The record that takes a row away.
pub fn gone(table: Table, key: &[u8]) -> Option<Record> {
    let mut of = Reader::new(key);
    Some(match table {
        Table::Session => Record::SessionGone(of.u64()?),
        Table::Filter => Record::Unsubscribed {
            session: of.u64()?,
            filter: std::str::from_utf8(of.rest()).ok()?.into(),
        },
        Table::Body => Record::BodyGone(of.u64()?),
        Table::Waiting => Record::Done {
            session: of.u64()?,
            order: of.u32()?,
        },
        Table::Released => Record::Completed {
            session: of.u64()?,
            packet_id: of.packet_id()?,
        },
        Table::Received => Record::Answered {
            session: of.u64()?,
            packet_id: of.packet_id()?,
        },
        Table::Retained => Record::Cleared(std::str::from_utf8(key).ok()?.into()),
        Table::Crossed => Record::Arrived(of.u64()?),
    })
}
