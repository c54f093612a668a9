//! Chance against the promises of §4.3 and §4.6: devices with kept Sessions publish at every QoS
//! while links are cut with bytes on their way, clients come back at another worker, readers
//! stall, and what crosses between workers comes late. A failure names its seed.

use std::collections::BTreeMap;
use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::mqtt::delivery::{Pending, Pubrec, Receiver, Sender};
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{Packet, PacketId, PacketType, QoS, Version};

use crate::support::chance::Chance;
use crate::support::core::{Core, LinkId};
use crate::support::packets::{Hello, ack, again, publish, subscribe};

const SEEDS: u64 = 300;
const STEPS: usize = 250;
const TOPICS: [&str; 3] = ["t/0", "t/1", "t/2"];

/// One client: what it wants to say, what it owes, what it has got.
struct Device {
    hello: Hello,
    filter: Option<&'static str>,
    link: Option<LinkId>,
    /// CONNACK has come.
    welcome: bool,
    /// Written by the client, not arrived yet.
    on_the_way: Vec<u8>,
    sender: Sender<(usize, String)>,
    receiver: Receiver,
    /// Messages of each topic and QoS so far.
    published: BTreeMap<(usize, u8), u32>,
    got: Vec<(String, String)>,
}

impl Device {
    fn new(name: &str, filter: Option<&'static str>, chance: &mut Chance) -> Self {
        let version = Version::ALL[chance.below(3)];
        let mut hello = Hello::new(name).version(version).kept();
        if version.is_v5() && chance.below(2) == 0 {
            let few = Value::Two(1 + chance.below(5) as u16);
            hello = hello.with(PropertyId::ReceiveMaximum, few);
        }
        Self {
            hello,
            filter,
            link: None,
            welcome: false,
            on_the_way: Vec::new(),
            sender: Sender::new(8),
            receiver: Receiver::default(),
            published: BTreeMap::new(),
            got: Vec::new(),
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.on_the_way.extend_from_slice(bytes);
    }

    fn publish(&mut self, topic: usize, qos: u8) {
        let level = QoS::from_bits(qos).unwrap();
        if !self.welcome || (qos > 0 && !self.sender.has_quota()) {
            return;
        }
        let number = self.published.entry((topic, qos)).or_default();
        *number += 1;
        let payload = format!("{}/{qos}/{number}", self.hello.client_id);
        let id = match qos {
            0 => 0,
            _ => {
                let id = self.sender.start(level, (topic, payload.clone()));
                id.unwrap().value()
            }
        };
        let version = self.hello.version;
        let bytes = publish(version, TOPICS[topic], &payload, qos, id, &[]);
        self.say(&bytes);
    }

    /// Reads whatever the broker has written, and answers it.
    fn read(&mut self, core: &mut Core) {
        let Some(link) = self.link else { return };
        for frame in core.take_frames(link) {
            let packet = Packet::decode(&frame, self.hello.version).unwrap();
            self.answer(&packet);
        }
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connack(connack) => {
                self.welcome = true;
                if !connack.session_present {
                    let filter = self.filter.unwrap_or("none");
                    let bytes = subscribe(self.hello.version, 60_000, filter, 2, &[]);
                    self.say(&bytes);
                }
                self.send_again();
            }
            Packet::Publish(message) => {
                let id = message.packet_id.map_or(0, PacketId::value);
                let new = match message.qos {
                    QoS::AtMostOnce => true,
                    QoS::AtLeastOnce => {
                        self.say(&ack(PacketType::Puback, id));
                        true
                    }
                    QoS::ExactlyOnce => {
                        self.say(&ack(PacketType::Pubrec, id));
                        self.receiver.publish(message.packet_id.unwrap())
                    }
                };
                if new {
                    let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                    self.got.push((message.topic.to_owned(), payload));
                }
            }
            Packet::Puback(answer) => {
                self.sender.puback(answer.packet_id);
            }
            Packet::Pubrec(answer) => {
                let refused = answer.reason.is_error();
                if matches!(
                    self.sender.pubrec(answer.packet_id, refused),
                    Pubrec::Release(_)
                ) {
                    self.say(&ack(PacketType::Pubrel, answer.packet_id.value()));
                }
            }
            Packet::Pubrel(answer) => {
                self.receiver.release(answer.packet_id);
                self.say(&ack(PacketType::Pubcomp, answer.packet_id.value()));
            }
            Packet::Pubcomp(answer) => {
                self.sender.pubcomp(answer.packet_id);
            }
            Packet::Suback(_) => {}
            other => panic!("{}: {other:?}", self.hello.client_id),
        }
    }

    fn send_again(&mut self) {
        let mut bytes = Vec::new();
        for (id, pending) in self.sender.resend() {
            bytes.extend(match pending {
                Pending::Pubrel => ack(PacketType::Pubrel, id.value()),
                Pending::Publish(qos, (topic, payload)) => {
                    let (qos, id) = (qos.bits(), id.value());
                    let version = self.hello.version;
                    again(publish(version, TOPICS[*topic], payload, qos, id, &[]))
                }
            });
        }
        self.say(&bytes);
    }

    /// Lets the first `count` bytes on their way arrive.
    fn arrive(&mut self, core: &mut Core, count: usize) {
        let Some(link) = self.link else { return };
        let count = count.min(self.on_the_way.len());
        let bytes: Vec<u8> = self.on_the_way.drain(..count).collect();
        core.send(link, &bytes);
    }

    fn cut(&mut self, core: &mut Core) {
        if let Some(link) = self.link.take() {
            core.cut(link);
        }
        self.welcome = false;
        self.on_the_way.clear();
    }

    fn connect(&mut self, core: &mut Core, worker: usize) {
        if self.link.is_none() {
            self.link = core.open(worker, self.hello.version);
            self.on_the_way = self.hello.bytes();
        }
    }
}

struct World {
    core: Core,
    workers: usize,
    devices: Vec<Device>,
}

impl World {
    fn new(chance: &mut Chance) -> Self {
        let workers = 1 + chance.below(2);
        let limits = Limits {
            outbox_bytes_max: 4_096,
            ..Limits::default()
        };
        let core = Core::new(workers as u16, limits);
        let devices = [
            ("pub-a", None),
            ("pub-b", None),
            ("both", Some("t/#")),
            ("sub", Some("t/+")),
            ("share-a", Some("$share/g/t/#")),
            ("share-b", Some("$share/g/t/#")),
        ];
        let devices = devices.map(|(name, filter)| Device::new(name, filter, chance));
        let mut world = Self {
            core,
            workers,
            devices: devices.into(),
        };
        world.settle();
        world
    }

    /// Everybody is connected and heard, until nobody has anything left to say.
    fn settle(&mut self) {
        self.core.crossings_held = false;
        for _ in 0..1_000 {
            while self.core.deliver_crossings() {}
            let mut quiet = true;
            for (number, device) in self.devices.iter_mut().enumerate() {
                device.connect(&mut self.core, number % self.workers);
                self.core.set_room(device.link.unwrap(), None);
                device.arrive(&mut self.core, usize::MAX);
                device.read(&mut self.core);
                quiet &= device.on_the_way.is_empty() && device.sender.is_empty();
            }
            self.core.advance(Duration::from_millis(150));
            if quiet {
                return;
            }
        }
        panic!("somebody waits for ever");
    }

    fn step(&mut self, chance: &mut Chance) {
        let count = self.devices.len();
        let device = &mut self.devices[chance.below(count)];
        let core = &mut self.core;
        match chance.below(100) {
            0..30 => device.publish(chance.below(TOPICS.len()), chance.below(3) as u8),
            30..60 => device.arrive(core, 1 + chance.below(200)),
            60..80 => device.read(core),
            80..84 => device.cut(core),
            84..92 => device.connect(core, chance.below(self.workers)),
            92..94 => core.crossings_held = chance.below(2) == 0,
            94..96 => {
                core.deliver_crossings();
            }
            96..98 => {
                if let Some(link) = device.link {
                    let room = (chance.below(2) == 0).then(|| chance.below(300));
                    core.set_room(link, room);
                }
            }
            _ => core.advance(Duration::from_millis(chance.below(150) as u64)),
        }
    }

    /// What `got` holds of one publisher, topic and QoS.
    fn numbers(got: &[(String, String)], from: &str, topic: usize, qos: u8) -> Vec<u32> {
        let start = format!("{from}/{qos}/");
        got.iter()
            .filter(|(at, _)| at == TOPICS[topic])
            .filter_map(|(_, payload)| payload.strip_prefix(&start)?.parse().ok())
            .collect()
    }

    fn check(&self) {
        let shares: Vec<_> = self.devices[4..]
            .iter()
            .flat_map(|d| d.got.clone())
            .collect();
        for from in &self.devices {
            let name = &from.hello.client_id;
            for (&(topic, qos), &last) in &from.published {
                let all: Vec<u32> = (1..=last).collect();
                for to in &self.devices[2..] {
                    let seen = Self::numbers(&to.got, name, topic, qos);
                    let about = format!("{name} to {} at QoS {qos}", to.hello.client_id);
                    let mut first = seen.clone();
                    let mut known = std::collections::BTreeSet::new();
                    first.retain(|number| known.insert(*number));
                    let alone = to.filter.is_some_and(|filter| !filter.starts_with('$'));
                    // A QoS 1 message that comes again may go to another member of the share.
                    let ordered = alone || qos != 1;
                    assert!(
                        !ordered || first.is_sorted(),
                        "{about}, out of order: {seen:?}"
                    );
                    assert!(
                        qos == 1 || first.len() == seen.len(),
                        "{about}, twice: {seen:?}"
                    );
                    assert!(
                        qos == 0 || !alone || first == all,
                        "{about}, lost: {seen:?}"
                    );
                }
                let mut seen = Self::numbers(&shares, name, topic, qos);
                seen.sort_unstable();
                if qos == 1 {
                    seen.dedup();
                }
                assert!(qos == 0 || seen == all, "{name} to the share: {seen:?}");
            }
        }
    }
}

fn run(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut world = World::new(&mut chance);
    for _ in 0..STEPS {
        world.step(&mut chance);
    }
    world.settle();
    world.check();
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_happens() {
    for seed in 0..SEEDS {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
