//! Records on their way into the tables.
//!
//! Sessions have numbers here and Client Identifiers there. A record that belongs to a Session
//! that another one of the same client has replaced is of no use any more, and left out.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Params, Statement, params};

use crate::broker::durable::record::{Kept, Record, SessionRecord, Waiting};
use crate::daemon::store::encoding::Writer;
use crate::daemon::store::sqlite::properties;
use crate::daemon::store::sqlite::schema::{
    IN, OUT, QUEUED, RETAINED_FROM, WAIT_FOR_PUBACK, WAIT_FOR_PUBCOMP, WAIT_FOR_PUBREC,
    WAIT_FOR_PUBREL,
};
use crate::daemon::store::values;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::message::Message;

/// Which client a Session is of, and the other way round.
#[derive(Default)]
pub(super) struct Names {
    clients: HashMap<u64, Arc<str>>,
    numbers: HashMap<Arc<str>, u64>,
}

impl Names {
    pub(super) fn insert(&mut self, number: u64, client: Arc<str>) {
        self.numbers.insert(Arc::clone(&client), number);
        self.clients.insert(number, client);
    }

    pub(super) fn number(&self, client: &str) -> Option<u64> {
        self.numbers.get(client).copied()
    }

    fn client(&self, number: u64) -> Option<Arc<str>> {
        self.clients.get(&number).cloned()
    }

    fn remove(&mut self, number: u64) {
        if let Some(client) = self.clients.remove(&number) {
            self.numbers.remove(&client);
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.clients.keys().max().map_or(1, |highest| highest + 1)
    }
}

/// Text for a column of type STRING. SQLite takes that for a number where it can, and "007" for 7:
/// bytes it leaves as they are.
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.as_bytes();
        Ok(ToSqlOutput::Borrowed(match self.0.trim().parse::<f64>() {
            Ok(_) => ValueRef::Blob(bytes),
            Err(_) => ValueRef::Text(bytes),
        }))
    }
}

/// The statements of one transaction, each prepared once.
pub(super) struct Batch<'a> {
    db: &'a Connection,
    prepared: HashMap<&'static str, Statement<'a>>,
    names: &'a mut Names,
}

impl<'a> Batch<'a> {
    pub(super) fn new(db: &'a Connection, names: &'a mut Names) -> Self {
        Self {
            db,
            prepared: HashMap::new(),
            names,
        }
    }

    fn statement(&mut self, sql: &'static str) -> rusqlite::Result<&mut Statement<'a>> {
        use std::collections::hash_map::Entry;
        Ok(match self.prepared.entry(sql) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.db.prepare(sql)?),
        })
    }

    /// Returns how many rows it changed.
    fn run(&mut self, sql: &'static str, params: impl Params) -> rusqlite::Result<usize> {
        self.statement(sql)?.execute(params)
    }

    pub(super) fn put(&mut self, record: &Record) -> rusqlite::Result<()> {
        match record {
            Record::Session(session) => return self.session(session),
            Record::SessionGone(session) => {
                if let Some(client) = self.names.client(*session) {
                    self.forget(&client)?;
                    self.names.remove(*session);
                }
            }
            Record::Body(body, kept) => self.base(*body as i64, kept, None, None)?,
            Record::BodyGone(body) => {
                let sql = "DELETE FROM base_msgs WHERE store_id = ?1 \
                           AND NOT EXISTS (SELECT 1 FROM retains WHERE store_id = ?1)";
                self.run(sql, params![*body as i64])?;
            }
            Record::Retained {
                kept,
                publisher,
                user_name,
            } => self.retained(kept, publisher.as_deref(), user_name.as_deref())?,
            Record::Cleared(topic) => {
                if let Some(number) = self.retained_number(topic)? {
                    self.run("DELETE FROM retains WHERE topic = ?1", params![Text(topic)])?;
                    self.let_go(number)?;
                }
            }
            Record::Crossed(number, crossed) => {
                let value = values::put_crossed(crossed);
                let sql = "INSERT OR REPLACE INTO mqttx_crossed (number, value) VALUES (?1, ?2)";
                self.run(sql, params![*number as i64, value])?;
            }
            Record::Arrived(number) => {
                let sql = "DELETE FROM mqttx_crossed WHERE number = ?1";
                self.run(sql, params![*number as i64])?;
            }
            of_session => self.of_session(of_session)?,
        }
        Ok(())
    }

    fn session(&mut self, it: &SessionRecord) -> rusqlite::Result<()> {
        let client = &*it.client_id;
        if self
            .names
            .number(client)
            .is_some_and(|old| old != it.session)
        {
            self.forget(client)?;
        }
        self.names.insert(it.session, Arc::clone(&it.client_id));
        let times = Times::of(it);
        let value = [&it.session.to_be_bytes()[..], &values::put_session(it)].concat();
        let sql = "INSERT INTO clients (client_id, username, connection_time, will_delay_time, \
                   session_expiry_time, listener_port, max_packet_size, max_qos, \
                   retain_available, session_expiry_interval, will_delay_interval, mqttx) \
                   VALUES (?1, ?2, 0, ?3, ?4, 0, 0, 2, 1, ?5, ?6, ?7) \
                   ON CONFLICT (client_id) DO UPDATE SET username = ?2, will_delay_time = ?3, \
                   session_expiry_time = ?4, session_expiry_interval = ?5, \
                   will_delay_interval = ?6, mqttx = ?7";
        self.run(
            sql,
            params![
                client,
                it.user_name.as_deref(),
                times.will,
                times.expiry,
                it.expiry,
                it.will.as_ref().map_or(0, |will| will.delay),
                value
            ],
        )?;
        let Some(will) = &it.will else {
            self.run("DELETE FROM wills WHERE client_id = ?1", params![client])?;
            return Ok(());
        };
        let message = &will.message;
        let sql = "INSERT OR REPLACE INTO wills \
                   (client_id, payload, topic, payloadlen, qos, retain, properties) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.run(
            sql,
            params![
                client,
                message.payload(),
                Text(message.topic()),
                message.payload().len() as i64,
                message.qos().bits(),
                message.retain(),
                properties::to_json(message.properties())
            ],
        )?;
        Ok(())
    }

    /// All that a client has.
    fn forget(&mut self, client: &str) -> rusqlite::Result<()> {
        for sql in [
            "DELETE FROM clients WHERE client_id = ?1",
            "DELETE FROM wills WHERE client_id = ?1",
            "DELETE FROM subscriptions WHERE client_id = ?1",
            "DELETE FROM client_msgs WHERE client_id = ?1",
        ] {
            self.run(sql, params![client])?;
        }
        Ok(())
    }

    fn of_session(&mut self, record: &Record) -> rusqlite::Result<()> {
        let client = record
            .part_of()
            .and_then(|session| self.names.client(session));
        let Some(client) = client else {
            return Ok(());
        };
        match record {
            Record::Waiting(waiting) => self.waiting(&client, waiting)?,
            Record::Subscribed {
                filter,
                options,
                subscription_id,
                ..
            } => {
                let sql = "INSERT OR REPLACE INTO subscriptions (client_id, topic, \
                           subscription_options, subscription_identifier) \
                           VALUES (?1, ?2, ?3, ?4)";
                self.run(sql, params![client, filter, options, subscription_id])?;
            }
            Record::Unsubscribed { filter, .. } => {
                let sql = "DELETE FROM subscriptions WHERE client_id = ?1 AND topic = ?2";
                self.run(sql, params![client, filter])?;
            }
            Record::Done { order, .. } => self.done(&client, *order)?,
            Record::Released {
                order, packet_id, ..
            } => {
                self.done(&client, *order)?;
                self.completed(&client, *packet_id)?;
                self.handshake(&client, *order, *packet_id, OUT, WAIT_FOR_PUBCOMP)?;
            }
            Record::Completed { packet_id, .. } => self.completed(&client, *packet_id)?,
            Record::Received { packet_id, .. } => {
                self.answered(&client, *packet_id)?;
                self.handshake(&client, 0, *packet_id, IN, WAIT_FOR_PUBREL)?;
            }
            Record::Answered { packet_id, .. } => self.answered(&client, *packet_id)?,
            _ => {}
        }
        Ok(())
    }

    fn waiting(&mut self, client: &str, it: &Waiting) -> rusqlite::Result<()> {
        self.done(client, it.order)?;
        let state = match (it.packet_id, it.qos) {
            (None, _) => QUEUED,
            (Some(_), QoS::ExactlyOnce) => WAIT_FOR_PUBREC,
            (Some(_), _) => WAIT_FOR_PUBACK,
        };
        let first = it.subscription_ids.as_deref().and_then(|ids| ids.first());
        let sql = "INSERT INTO client_msgs (client_id, cmsg_id, store_id, dup, direction, mid, \
                   qos, retain, state, subscription_identifier, mqttx) \
                   VALUES (?1, ?2, ?3, 0, 1, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.run(
            sql,
            params![
                client,
                it.order,
                it.body as i64,
                it.packet_id.map_or(0, PacketId::value),
                it.qos.bits(),
                it.retain,
                state,
                first.copied().unwrap_or(0),
                values::put_waiting(it)
            ],
        )?;
        Ok(())
    }

    /// The message in this place waits no more; a Packet Identifier without one may.
    fn done(&mut self, client: &str, order: u32) -> rusqlite::Result<()> {
        let sql = "DELETE FROM client_msgs WHERE client_id = ?1 AND cmsg_id = ?2 \
                   AND direction = 1 AND state NOT IN (6, 9)";
        self.run(sql, params![client, order]).map(|_| ())
    }

    fn completed(&mut self, client: &str, packet_id: PacketId) -> rusqlite::Result<()> {
        let sql = "DELETE FROM client_msgs WHERE client_id = ?1 AND mid = ?2 AND mid > 0 \
                   AND direction = 1 AND state IN (6, 9)";
        self.run(sql, params![client, packet_id.value()])
            .map(|_| ())
    }

    fn answered(&mut self, client: &str, packet_id: PacketId) -> rusqlite::Result<()> {
        let sql = "DELETE FROM client_msgs WHERE client_id = ?1 AND mid = ?2 AND mid > 0 \
                   AND direction = 0";
        self.run(sql, params![client, packet_id.value()])
            .map(|_| ())
    }

    /// A Packet Identifier that waits without a message.
    fn handshake(
        &mut self,
        client: &str,
        order: u32,
        packet_id: PacketId,
        direction: i64,
        state: i64,
    ) -> rusqlite::Result<()> {
        let sql = "INSERT INTO client_msgs (client_id, cmsg_id, store_id, dup, direction, mid, \
                   qos, retain, state, subscription_identifier, mqttx) \
                   VALUES (?1, ?2, 0, 0, ?3, ?4, 2, 0, ?5, 0, x'')";
        let id = packet_id.value();
        self.run(sql, params![client, order, direction, id, state])
            .map(|_| ())
    }

    fn retained_number(&mut self, topic: &str) -> rusqlite::Result<Option<i64>> {
        let statement = self.statement("SELECT store_id FROM retains WHERE topic = ?1")?;
        statement
            .query_row(params![Text(topic)], |row| row.get(0))
            .optional()
    }

    fn retained(
        &mut self,
        kept: &Kept,
        publisher: Option<&str>,
        user_name: Option<&str>,
    ) -> rusqlite::Result<()> {
        let topic = kept.message.topic();
        let before = self.retained_number(topic)?;
        if let Some(number) = before.filter(|number| *number >= RETAINED_FROM) {
            return self.base(number, kept, publisher, user_name);
        }
        let sql = "SELECT max(store_id) FROM retains";
        let highest: Option<i64> = self.statement(sql)?.query_row([], |row| row.get(0))?;
        let number = highest.map_or(RETAINED_FROM, |highest| (highest + 1).max(RETAINED_FROM));
        self.base(number, kept, publisher, user_name)?;
        let sql = "INSERT OR REPLACE INTO retains (topic, store_id) VALUES (?1, ?2)";
        self.run(sql, params![Text(topic), number])?;
        match before {
            Some(number) => self.let_go(number),
            None => Ok(()),
        }
    }

    /// A message that is not retained any more; clients may wait for it.
    fn let_go(&mut self, number: i64) -> rusqlite::Result<()> {
        let sql = "DELETE FROM base_msgs WHERE store_id = ?1 \
                   AND NOT EXISTS (SELECT 1 FROM client_msgs WHERE store_id = ?1)";
        self.run(sql, params![number]).map(|_| ())
    }

    fn base(
        &mut self,
        number: i64,
        kept: &Kept,
        source: Option<&str>,
        user_name: Option<&str>,
    ) -> rusqlite::Result<()> {
        let message: &Message = &kept.message;
        // What is not in mosquitto's columns: the fraction of a second, and properties as they
        // were written.
        let value = Writer::new().time(kept.expires);
        let value = value.bytes(message.properties().raw()).done();
        let sql = "INSERT OR REPLACE INTO base_msgs (store_id, expiry_time, topic, payload, \
                   source_id, source_username, payloadlen, source_mid, source_port, qos, retain, \
                   properties, mqttx) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, ?8, ?9, ?10, ?11)";
        self.run(
            sql,
            params![
                number,
                kept.expires.map_or(0, |at| at.div_ceil(1_000) as i64),
                Text(message.topic()),
                message.payload(),
                source.map(Text),
                user_name.map(Text),
                message.payload().len() as i64,
                message.qos().bits(),
                message.retain(),
                properties::to_json(message.properties()),
                value
            ],
        )?;
        Ok(())
    }
}

/// What mosquitto's columns say of the end of a Session, in seconds since 1970; zero: never, or
/// not yet known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) expiry: i64,
    pub(super) will: i64,
}

impl Times {
    pub(super) fn of(it: &SessionRecord) -> Self {
        let lost = it.lost.map(|at| at / 1_000);
        let after = |seconds: u32| lost.map_or(0, |at| (at + u64::from(seconds)) as i64);
        Self {
            expiry: if it.expiry == u32::MAX {
                0
            } else {
                after(it.expiry)
            },
            will: it.will.as_ref().map_or(0, |will| after(will.delay)),
        }
    }
}
