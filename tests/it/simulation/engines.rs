//! The client engine against the broker's core: what one user publishes the other users get, QoS 1
//! at least once and QoS 2 exactly once, each in its order, whatever the links between them and the
//! broker do.
//!
//! Everybody keeps a Session and is subscribed before the first message, so the promise needs no
//! model: all get everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::client::{Engine, Event, Handler, Message, Options};
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::property::{Properties, PropertyId, Value};
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::{QoS, Version, limits::PACKET_SIZE_MAX};
use mqttx::net::Dial;
use mqttx::net::address::Address;

use crate::simulation::world::Report;
use crate::support::chance::Chance;
use crate::support::core::{Core, LinkId};
use crate::support::teller::Teller;

/// Rounds after which somebody who still waits does so for ever.
const ROUNDS_MAX: usize = 3_000;

/// What the user of an engine sees.
#[derive(Default)]
struct Ear {
    is_subscribed: bool,
    /// Payloads by QoS, in the order in which they came.
    got: [Vec<String>; 3],
    acknowledged: BTreeSet<u64>,
}

impl Handler for Ear {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(connack) => {
                assert!(!connack.reason.is_error(), "{connack:?}");
                if client.is_first_connection() {
                    let how = SubscribeOptions {
                        qos: QoS::ExactlyOnce,
                        ..SubscribeOptions::default()
                    };
                    let filters = [("#", how)];
                    client.subscribe(&filters, Properties::EMPTY).unwrap();
                } else {
                    let lost = client.options().version != Version::V31;
                    assert!(!lost || connack.session_present, "the Session is gone");
                }
            }
            Event::Suback(_) => self.is_subscribed = true,
            Event::Message(message) => {
                let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                self.got[usize::from(message.qos.bits())].push(payload);
            }
            Event::Acked(acked) => {
                assert!(!acked.reason.is_error(), "{acked:?}");
                assert!(
                    self.acknowledged.insert(acked.ticket),
                    "acknowledged twice: {acked:?}"
                );
            }
            _ => {}
        }
    }
}

struct User {
    name: String,
    version: Version,
    engine: Engine,
    ear: Ear,
    link: Option<LinkId>,
    /// Written by the engine, and not at the broker yet.
    on_the_way: Vec<u8>,
    sent: usize,
}

impl User {
    fn new(name: String, chance: &mut Chance) -> Self {
        let version = Version::ALL[chance.below(3)];
        let mut options = Options::new(Dial::new(Address::tcp("localhost", 1883)));
        options.client_id.clone_from(&name);
        options.version = version;
        options.clean_start = false;
        options.keep_alive = 0;
        options.inflight_max = [1, 5, 100][chance.below(3)];
        if version.is_v5() {
            let for_ever = Value::Four(u32::MAX);
            options
                .properties
                .push(PropertyId::SessionExpiryInterval, for_ever);
            if chance.below(2) == 0 {
                let most = Value::Two(1 + chance.below(4) as u16);
                options.properties.push(PropertyId::ReceiveMaximum, most);
            }
        }
        Self {
            name,
            version,
            engine: Engine::new(options),
            ear: Ear::default(),
            link: None,
            on_the_way: Vec::new(),
            sent: 0,
        }
    }

    fn connect(&mut self, core: &mut Core, worker: usize) {
        self.part(core);
        self.link = core.open(worker, self.version);
        self.engine.open(&mut self.ear);
    }

    /// The link is gone, and what was on it.
    fn part(&mut self, core: &mut Core) {
        if let Some(link) = self.link.take() {
            core.cut(link);
            self.engine.closed();
            self.on_the_way.clear();
        }
    }

    fn publish(&mut self, qos: u8) {
        if self.link.is_none() || !self.engine.room() {
            return;
        }
        let payload = format!("{} {}", self.name, self.sent);
        let topic = format!("from/{}", self.name);
        let message = Message::new(&topic, payload.as_bytes()).qos(QoS::from_bits(qos).unwrap());
        self.engine.publish(&message).unwrap();
        self.sent += 1;
    }

    /// So many bytes leave the engine, so many arrive at the broker.
    fn write(&mut self, core: &mut Core, leave: usize, arrive: usize) {
        let Some(link) = self.link else { return };
        let count = leave.min(self.engine.pending().len());
        self.on_the_way
            .extend_from_slice(&self.engine.pending()[..count]);
        self.engine.wrote(count);
        let count = arrive.min(self.on_the_way.len());
        let bytes: Vec<u8> = self.on_the_way.drain(..count).collect();
        core.send(link, &bytes);
    }

    fn read(&mut self, core: &mut Core) {
        let Some(link) = self.link else { return };
        for frame in core.take_frames(link) {
            let Ok(Scan::Head(head)) = scan(&frame, PACKET_SIZE_MAX) else {
                panic!("a frame is whole");
            };
            let taken = self.engine.handle(head, &frame, &mut self.ear);
            assert!(taken.is_ok(), "{}: {taken:?}", self.name);
        }
        let cause = core.cause(link);
        assert!(cause.is_none(), "{} is thrown out: {cause:?}", self.name);
    }

    fn is_quiet(&self) -> bool {
        let unwritten = self.engine.pending().len() + self.on_the_way.len();
        self.ear.is_subscribed && unwritten == 0 && self.engine.unacknowledged() == 0
    }
}

/// Runs the world of one seed. Panics where a promise is broken.
pub(crate) fn run(seed: u64, steps: usize, told: bool) -> Report {
    let mut chance = Chance::new(seed);
    let mut workers = 1 + chance.below(3);
    let limits = Limits {
        outbox_bytes_max: [600, 4_096, 1_048_576][chance.below(3)],
        inflight_max: [2, 20, 1_000][chance.below(3)],
        ..Limits::default()
    };
    let mut core = Core::new(workers as u16, limits);
    core.teller = told.then(|| Teller::new(core.now));
    if chance.below(2) == 0 {
        core.keep();
    }
    let count = 2 + chance.below(4);
    let name = |number| format!("u{number}");
    let mut users: Vec<User> = (0..count)
        .map(|number| User::new(name(number), &mut chance))
        .collect();
    settle(&mut core, &mut users, workers);
    let mut qos_of: Vec<Vec<u8>> = vec![Vec::new(); count];
    for _ in 0..steps {
        let number = chance.below(count);
        let user = &mut users[number];
        match chance.below(100) {
            0..40 => {
                let (before, qos) = (user.sent, 1 + chance.below(2) as u8);
                user.publish(qos);
                qos_of[number].extend((before < user.sent).then_some(qos));
            }
            40..65 => user.write(&mut core, chance.below(300), chance.below(300)),
            65..88 => user.read(&mut core),
            88..91 => user.part(&mut core),
            91..96 => {
                if user.link.is_none() || chance.below(4) == 0 {
                    user.connect(&mut core, chance.below(workers));
                }
            }
            96 => core.crossings_held = chance.below(2) == 0,
            97 => {
                core.deliver_crossings();
            }
            98 if core.keeper.is_some() && chance.below(3) == 0 => {
                workers = 1 + chance.below(3);
                for user in &mut users {
                    user.part(&mut core);
                }
                core.restart(workers as u16);
            }
            _ => core.advance(Duration::from_millis(chance.below(500) as u64)),
        }
    }
    settle(&mut core, &mut users, workers);
    Report {
        delivered: check(&users, &qos_of),
        sessions: count,
        wills: 0,
    }
}

/// Everybody is connected and heard until nobody has anything to say.
fn settle(core: &mut Core, users: &mut [User], workers: usize) {
    core.crossings_held = false;
    for round in 0..ROUNDS_MAX {
        while core.deliver_crossings() {}
        let mut quiet = round > 3;
        for (number, user) in users.iter_mut().enumerate() {
            if user.link.is_none() {
                user.connect(core, number % workers);
            }
            user.write(core, usize::MAX, usize::MAX);
            user.read(core);
            quiet &= user.is_quiet();
        }
        core.advance(Duration::from_millis(100));
        if quiet {
            return;
        }
    }
    panic!("somebody waits for ever");
}

/// How many messages arrived.
fn check(users: &[User], qos_of: &[Vec<u8>]) -> usize {
    let mut arrived = 0;
    for user in users {
        assert_eq!(user.ear.acknowledged.len(), user.sent, "{}", user.name);
        let came = sorted(&user.ear);
        for (from, qos_of) in users.iter().zip(qos_of) {
            for qos in [1, 2] {
                let sent = qos_of.iter().enumerate();
                let sent = sent.filter(|(_, of)| **of == qos).map(|(number, _)| number);
                let none = Vec::new();
                let came = came.get(&(from.name.clone(), qos)).unwrap_or(&none);
                arrived += came.len();
                let once = match qos {
                    2 => came.clone(),
                    _ => firsts(came),
                };
                let (whom, whose) = (&user.name, &from.name);
                assert!(
                    sent.clone().eq(once.iter().copied()),
                    "{whom} got {once:?} of {whose} at QoS {qos}, not {:?}",
                    sent.collect::<Vec<_>>()
                );
            }
        }
    }
    arrived
}

/// The numbers that came, by publisher and QoS.
fn sorted(ear: &Ear) -> BTreeMap<(String, u8), Vec<usize>> {
    let mut sorted: BTreeMap<(String, u8), Vec<usize>> = BTreeMap::new();
    for (qos, got) in (0..).zip(&ear.got) {
        for payload in got {
            let (name, number) = payload.split_once(' ').unwrap();
            let numbers = sorted.entry((name.to_owned(), qos)).or_default();
            numbers.push(number.parse().unwrap());
        }
    }
    sorted
}

/// What came again is left out.
fn firsts(came: &[usize]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let new = came.iter().filter(|number| seen.insert(**number));
    new.copied().collect()
}
