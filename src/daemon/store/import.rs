//! What a mosquitto.db means to the broker: its chunks as records.

use std::collections::HashMap;

use crate::broker::durable::record::{Kept, Record, SessionRecord, Waiting};
use crate::daemon::store::mosquitto_db::{Base, Client, ClientMsg, Db, Fault, Sub, VERSIONS, What};
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::topic;

/// Towards the client, and not acknowledged yet.
const OUT: u8 = 1;
const WAIT_FOR_PUBACK: u8 = 3;
const WAIT_FOR_PUBREC: u8 = 5;
const RESEND_PUBREL: u8 = 6;
const WAIT_FOR_PUBCOMP: u8 = 9;

/// A file on its way into a store.
#[derive(Default)]
struct Import<'a> {
    records: Vec<Record>,
    messages: HashMap<u64, (Base<'a>, Message)>,
    /// Bodies by the number of the message.
    bodies: HashMap<u64, u64>,
    sessions: HashMap<&'a str, Importing>,
    subs: Vec<Sub<'a>>,
    next: u64,
}

struct Importing {
    number: u64,
    order: u32,
}

/// All that a file has, as records; `wall`: milliseconds since 1970.
pub fn records(bytes: &[u8], wall: u64) -> Result<Vec<Record>, Fault> {
    let db = Db::open(bytes)?;
    if !VERSIONS.contains(&db.version) {
        let what = "only versions 2 to 6 of the format are known";
        return Err(Fault { at: 19, what });
    }
    let mut import = Import::default();
    // Sessions may come behind what belongs to them.
    for chunk in db.chunks() {
        match chunk?.what {
            What::Client(client) => import.client(&client, wall),
            What::Base(base) => import.base(base),
            What::Sub(sub) => import.subs.push(sub),
            _ => {}
        }
    }
    import.subscribe();
    for chunk in db.chunks() {
        match chunk?.what {
            What::ClientMsg(message) => import.client_msg(&message),
            What::Retain(number) => import.retain(number),
            _ => {}
        }
    }
    Ok(import.records)
}

impl<'a> Import<'a> {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn client(&mut self, client: &Client<'a>, wall: u64) {
        let number = self.number();
        self.sessions
            .insert(client.client_id, Importing { number, order: 0 });
        let expiry = client.session_expiry_interval;
        // The file says when it will be over, not since when nobody is there.
        let ends = u64::try_from(client.session_expiry_time)
            .unwrap_or(0)
            .saturating_mul(1_000);
        let lost = ends.saturating_sub(u64::from(expiry) * 1_000);
        let lost = if ends == 0 { wall } else { lost.min(wall) };
        self.records.push(Record::Session(Box::new(SessionRecord {
            session: number,
            client_id: client.client_id.into(),
            user_name: Some(client.username)
                .filter(|name| !name.is_empty())
                .map(Into::into),
            worker: 0,
            version: Version::V311,
            expiry,
            lost: Some(lost),
            will: None,
        })));
    }

    fn base(&mut self, base: Base<'a>) {
        let properties = Properties::restored(base.properties).unwrap_or(Properties::EMPTY);
        let publish = Publish {
            dup: false,
            qos: QoS::from_bits(base.qos).unwrap_or(QoS::AtMostOnce),
            retain: base.retain != 0,
            topic: base.topic,
            packet_id: None,
            properties,
            payload: base.payload,
        };
        if topic::check_name(base.topic).is_ok() {
            let message = Message::restored(&publish, None);
            self.messages.insert(base.store_id, (base, message));
        }
    }

    fn kept(&self, number: u64) -> Option<Kept> {
        let (base, message) = self.messages.get(&number)?;
        let expires = u64::try_from(base.expiry_time).ok().filter(|at| *at > 0);
        Some(Kept {
            message: message.clone(),
            expires: expires.map(|at| at.saturating_mul(1_000)),
        })
    }

    fn subscribe(&mut self) {
        for sub in &self.subs {
            let Some(session) = self.sessions.get(sub.client_id) else {
                continue;
            };
            let options = sub.options | sub.qos;
            let whole = topic::check_filter(sub.topic).is_ok();
            if whole && SubscribeOptions::from_bits(options).is_ok() {
                self.records.push(Record::Subscribed {
                    session: session.number,
                    filter: sub.topic.into(),
                    options,
                    subscription_id: sub.identifier,
                });
            }
        }
    }

    fn retain(&mut self, number: u64) {
        let Some(kept) = self.kept(number) else {
            return;
        };
        let base = &self.messages[&number].0;
        let known = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        self.records.push(Record::Retained {
            kept,
            publisher: known(base.source_id),
            user_name: known(base.source_username),
        });
    }

    fn client_msg(&mut self, message: &ClientMsg<'a>) {
        let packet_id = PacketId::new(message.mid);
        let Some(session) = self.sessions.get_mut(message.client_id) else {
            return;
        };
        let number = session.number;
        if message.direction != OUT {
            // mosquitto hands a QoS 2 message on when PUBREL comes, we when PUBLISH does.
            if let Some(packet_id) = packet_id {
                let session = number;
                self.records.push(Record::Received { session, packet_id });
            }
            return self.hand_on(message.store_id);
        }
        if matches!(message.state, RESEND_PUBREL | WAIT_FOR_PUBCOMP) {
            session.order += 1;
            if let Some(packet_id) = packet_id {
                let order = session.order;
                self.records.push(Record::Released {
                    session: number,
                    order,
                    packet_id,
                });
            }
            return;
        }
        let sent = matches!(message.state, WAIT_FOR_PUBACK | WAIT_FOR_PUBREC);
        let qos = QoS::from_bits(message.qos).unwrap_or(QoS::AtLeastOnce);
        let ids = Some(message.subscription_id).filter(|id| *id != 0);
        let (client_id, store_id) = (message.client_id, message.store_id);
        let (retain, packet_id) = (message.retain != 0, packet_id.filter(|_| sent));
        self.wait(client_id, store_id, qos, retain, packet_id, ids);
    }

    /// To all who are subscribed to it.
    fn hand_on(&mut self, number: u64) {
        let Some((base, _)) = self.messages.get(&number) else {
            return;
        };
        let (name, qos) = (base.topic, base.qos);
        let matching = self
            .subs
            .iter()
            .filter(|sub| topic::matches(sub.topic, name));
        let found: Vec<_> = matching
            .map(|sub| (sub.client_id, sub.qos.min(qos), sub.identifier))
            .collect();
        for (client_id, qos, id) in found {
            if let Some(qos) = QoS::from_bits(qos).filter(|qos| *qos != QoS::AtMostOnce) {
                let id = Some(id).filter(|id| *id != 0);
                self.wait(client_id, number, qos, false, None, id);
            }
        }
    }

    fn wait(
        &mut self,
        client_id: &str,
        store_id: u64,
        qos: QoS,
        retain: bool,
        packet_id: Option<PacketId>,
        id: Option<u32>,
    ) {
        let Some(kept) = self.kept(store_id) else {
            return;
        };
        let size = kept.message.size() as u32;
        let body = match self.bodies.get(&store_id) {
            Some(body) => *body,
            None => {
                let body = self.number();
                self.bodies.insert(store_id, body);
                self.records.push(Record::Body(body, kept));
                body
            }
        };
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        session.order += 1;
        self.records.push(Record::Waiting(Box::new(Waiting {
            session: session.number,
            order: session.order,
            body,
            size,
            qos,
            retain,
            packet_id,
            subscription_ids: id.map(|id| [id].into()),
            share: None,
        })));
    }
}
