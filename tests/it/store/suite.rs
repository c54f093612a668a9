//! One suite for all stores: what was appended comes back, what was taken away does not.

use std::collections::BTreeMap;
use std::time::Instant;

use mqttx::broker::durable::record::{Kept, Record, SessionRecord, Waiting};
use mqttx::daemon::store::Store;
use mqttx::daemon::store::disk::Folder;
use mqttx::daemon::store::log::Log;
use mqttx::daemon::store::memory::Memory;
use mqttx::mqtt::message::Message;
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::{PacketId, QoS, Version};

use crate::support::chance::Chance;

pub(crate) fn message(payload: &str) -> Message {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/b",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: payload.as_bytes(),
    };
    Message::new(&publish, Instant::now())
}

pub(crate) fn body(number: u64, payload: &str) -> Record {
    let message = message(payload);
    Record::Body(
        number,
        Kept {
            message,
            expires: Some(number),
        },
    )
}

pub(crate) fn waiting(session: u64, order: u32, body: u64) -> Record {
    Record::Waiting(Box::new(Waiting {
        session,
        order,
        body,
        size: 7,
        qos: QoS::ExactlyOnce,
        retain: true,
        packet_id: PacketId::new(order as u16),
        subscription_ids: Some([1, 2].into()),
        share: Some(("g".into(), "a/#".into())),
    }))
}

fn session(session: u64) -> Record {
    Record::Session(Box::new(SessionRecord {
        session,
        client_id: format!("client {session}").into(),
        user_name: session.is_multiple_of(2).then(|| "bob".into()),
        worker: 1,
        version: Version::V5,
        expiry: 9,
        lost: Some(77),
        will: None,
    }))
}

fn filter(session: u64, filter: &str) -> Record {
    Record::Subscribed {
        session,
        filter: filter.into(),
        options: 2,
        subscription_id: 5,
    }
}

/// All that a store has, bodies included: as the records of a store that was just loaded.
pub(crate) fn content(store: &mut dyn Store) -> Vec<String> {
    let mut model = Memory::default();
    for number in store.bodies() {
        let kept = store.fetch(number).unwrap().expect("it was listed");
        model.append(&[Record::Body(number, kept)]).unwrap();
    }
    let mut all: Vec<String> = Vec::new();
    for number in model.bodies() {
        let kept = model.fetch(number).unwrap().unwrap();
        let text = String::from_utf8_lossy(kept.message.payload()).into_owned();
        all.push(format!("body {number} {text} {:?}", kept.expires));
    }
    all
}

/// The same for records of other kinds, in the words of their debug form.
fn loaded(store: &mut dyn Store) -> Vec<String> {
    let mut model = Memory::default();
    let mut place = |record: Record| model.append(&[record]).unwrap();
    store.load(&mut place).unwrap();
    let mut all = Vec::new();
    model.load(&mut |record| all.push(shown(&record))).unwrap();
    all.extend(content(store));
    all
}

fn shown(record: &Record) -> String {
    match record {
        // A message has addresses and marks in it.
        Record::Retained {
            kept,
            publisher,
            user_name,
        } => {
            let topic = kept.message.topic();
            format!("retained {topic} {publisher:?} {user_name:?}")
        }
        other => format!("{other:?}"),
    }
}

/// Appends at random to a store and to the model, opening the store anew now and then.
pub(crate) fn check<S: Store>(
    seed: u64,
    mut open: impl FnMut() -> S,
    fits: impl Fn(&Memory, &Record) -> bool,
) {
    let mut chance = Chance::new(seed);
    let mut model = Memory::default();
    let mut bodies = BTreeMap::new();
    for round in 0..6 {
        let mut store = open();
        let found = loaded(&mut store);
        let mut expected = Vec::new();
        model
            .load(&mut |record| expected.push(shown(&record)))
            .unwrap();
        expected.extend(content(&mut model));
        assert_eq!(found, expected, "seed {seed}, round {round}");
        for _ in 0..40 {
            let batch: Vec<Record> = (0..=chance.below(5))
                .map(|_| any(&mut chance, &mut bodies))
                .filter(|record| {
                    let fits = fits(&model, record);
                    if fits {
                        model.append(std::slice::from_ref(record)).unwrap();
                    }
                    fits
                })
                .collect();
            store.append(&batch).unwrap();
            while store.tidy().unwrap() {}
        }
        store.sync().unwrap();
        assert_eq!(content(&mut store), content(&mut model));
    }
}

fn any(chance: &mut Chance, bodies: &mut BTreeMap<u64, ()>) -> Record {
    let number = chance.below(4) as u64 + 1;
    let order = chance.below(6) as u32 + 1;
    let packet_id = PacketId::new(order as u16).unwrap();
    let topics = ["t", "t/u", "v"];
    let topic = topics[chance.below(3)];
    match chance.below(14) {
        0 => session(number),
        1 => Record::SessionGone(number),
        2 => filter(number, topic),
        3 => Record::Unsubscribed {
            session: number,
            filter: topic.into(),
        },
        4 | 5 => {
            bodies.insert(number, ());
            body(number, topic)
        }
        6 => Record::BodyGone(number),
        7 | 8 => waiting(number, order, number),
        9 => Record::Released {
            session: number,
            order,
            packet_id,
        },
        10 => Record::Done {
            session: number,
            order,
        },
        11 => Record::Completed {
            session: number,
            packet_id,
        },
        12 => Record::Received {
            session: number,
            packet_id,
        },
        _ => Record::Answered {
            session: number,
            packet_id,
        },
    }
}

#[test]
fn the_log_gives_back_what_the_model_has() {
    for seed in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let open = || Log::new(Folder::open(folder.path()).unwrap());
        check(seed, open, |_, _| true);
    }
}

#[test]
fn two_stores_cannot_have_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Folder::open(folder.path()).unwrap();
    let second = Folder::open(folder.path()).map(drop);
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    Folder::open(folder.path()).unwrap();
}
