//! The whole broker: an input is a script of packets, good and bad, on several connections, with
//! cuts, stalls, restarts and a clock in between. Whatever comes, the broker comes to rest, asks to be
//! woken in the future, writes whole packets, and gives no identifier twice at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{Packet, PacketType, QoS, Version};

use crate::support::core::{Core, LinkId};
use crate::support::packets::{self, Hello, ack};

const TOPICS: [&str; 6] = ["a", "a/b", "a/b/c", "$SYS/x", "", "$share/x"];
const FILTERS: [&str; 8] = [
    "#",
    "a/#",
    "+",
    "a/+/c",
    "$share/g/a/#",
    "$SYS/#",
    "a",
    "$share/g/+",
];
const ACKS: [PacketType; 4] = [
    PacketType::Puback,
    PacketType::Pubrec,
    PacketType::Pubrel,
    PacketType::Pubcomp,
];
const CLIENTS: usize = 4;

/// Bytes of the input, one after the other; zeros behind its end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.next()) % limit
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes.to_vec()
    }
}

/// A connection, and what is known of it.
struct Peer {
    link: LinkId,
    version: Version,
    /// Messages of QoS 1 and 2 that the broker sent, and that nobody acknowledged.
    inflight: BTreeSet<u16>,
    /// Bytes came that nobody looked into: then nothing is known of `inflight`.
    raw: bool,
}

struct World {
    core: Core,
    peers: [Option<Peer>; CLIENTS],
    workers: usize,
}

pub fn script(data: &[u8]) {
    let mut script = Script(data);
    let (shape, workers) = (script.next(), 1 + script.below(3));
    let limits = Limits {
        outbox_bytes_max: [600, 1_048_576][usize::from(shape & 1)],
        inflight_max: [2, 1_000][usize::from(shape >> 1 & 1)],
        session_messages_max: [3, 1_000][usize::from(shape >> 2 & 1)],
        receive_max: [2, 65_535][usize::from(shape >> 3 & 1)],
        ..Limits::default()
    };
    let mut core = Core::new(workers as u16, limits);
    if shape & 16 != 0 {
        core.keep();
    }
    let mut world = World {
        core,
        peers: [const { None }; CLIENTS],
        workers,
    };
    while !script.0.is_empty() {
        world.step(&mut script);
        for client in 0..CLIENTS {
            world.read(client);
        }
    }
    for client in 0..CLIENTS {
        world.cut(client);
    }
    if let Some(keeper) = &mut world.core.keeper {
        keeper.held = false;
    }
    world.core.crossings_held = false;
    while world.core.deliver_crossings() {}
    world.core.advance(Duration::from_secs(10));
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        let (what, client) = (script.next(), script.below(CLIENTS));
        match what % 16 {
            0 => self.connect(client, script),
            1 => {
                let count = script.below(64);
                let bytes = script.bytes(count);
                if let Some(peer) = &mut self.peers[client] {
                    peer.raw = true;
                    self.core.send(peer.link, &bytes);
                }
            }
            2 | 3 | 14 => self.publish(client, script),
            4 | 5 => {
                let (filter, shape) = (FILTERS[script.below(8)], script.next());
                let id = 1 + script.below(9) as u16;
                self.say(client, |version| {
                    let options = match version.is_v5() {
                        true => (shape % 3) | (shape & 0b1100) | (((shape >> 4) % 3) << 4),
                        false => shape % 3,
                    };
                    packets::subscribe(version, id, filter, options, &[])
                });
            }
            6 => {
                let filter = FILTERS[script.below(8)];
                self.say(client, |version| packets::unsubscribe(version, 7, filter));
            }
            7 | 15 => {
                let (kind, id) = (ACKS[script.below(4)], 1 + script.below(12) as u16);
                if let Some(peer) = &mut self.peers[client] {
                    if matches!(kind, PacketType::Puback | PacketType::Pubcomp) {
                        peer.inflight.remove(&id);
                    }
                    self.core.send(peer.link, &ack(kind, id));
                }
            }
            8 => self.cut(client),
            9 => {
                let time = Duration::from_millis(u64::from(script.next()) * 50);
                self.core.advance(time);
            }
            10 => {
                let room = (script.next() & 1 == 0).then(|| script.below(256));
                if let Some(peer) = &self.peers[client] {
                    self.core.set_room(peer.link, room);
                }
            }
            11 => {
                self.core.crossings_held = script.next() & 1 == 0;
                self.core.deliver_crossings();
            }
            12 => self.store(script),
            _ => {
                let (kind, reason) = (script.next() & 1, script.next());
                self.say(client, |version| match (kind, version.is_v5()) {
                    (0, _) => packets::PINGREQ.to_vec(),
                    (_, true) => vec![0xe0, 1, reason],
                    (_, false) => packets::DISCONNECT.to_vec(),
                });
            }
        }
    }

    fn connect(&mut self, client: usize, script: &mut Script<'_>) {
        let (shape, worker) = (script.next(), script.below(self.workers));
        let version = Version::ALL[usize::from(shape) % 3];
        let mut hello = Hello::new(&format!("c{}", shape >> 6)).version(version);
        if shape & 4 != 0 {
            hello = hello.kept();
        } else if version.is_v5() && shape & 8 != 0 {
            hello = hello.with(PropertyId::SessionExpiryInterval, Value::Four(2));
        }
        if shape & 16 != 0 {
            hello = hello.will(TOPICS[script.below(3)], "will", shape % 3, shape & 32 != 0);
        }
        if shape & 32 != 0 {
            hello = hello.keep_alive(1);
            if version.is_v5() {
                hello = hello
                    .with(PropertyId::ReceiveMaximum, Value::Two(2))
                    .with(PropertyId::TopicAliasMaximum, Value::Two(1))
                    .with(PropertyId::MaximumPacketSize, Value::Four(40));
            }
        }
        let Some(link) = self.core.open(worker, version) else {
            return;
        };
        self.peers[client] = Some(Peer {
            link,
            version,
            inflight: BTreeSet::new(),
            raw: false,
        });
        self.core.send(link, &hello.bytes());
    }

    fn publish(&mut self, client: usize, script: &mut Script<'_>) {
        let (shape, topic) = (script.next(), TOPICS[script.below(TOPICS.len())]);
        let payload = "x".repeat(script.below(80));
        let qos = shape % 3;
        let id = if qos == 0 {
            0
        } else {
            1 + u16::from(shape >> 2 & 7)
        };
        let alias = [(
            PropertyId::TopicAlias,
            Value::Two(1 + u16::from(shape >> 7)),
        )];
        let expiry = [(PropertyId::MessageExpiryInterval, Value::Four(1))];
        self.say(client, |version| {
            let properties: &packets::Written<'_> = match (shape >> 5 & 3, version.is_v5()) {
                (1, true) => &alias,
                (2, true) => &expiry,
                _ => &[],
            };
            let mut bytes = packets::publish(version, topic, &payload, qos, id, properties);
            bytes[0] |= u8::from(shape & 128 != 0);
            bytes
        });
    }

    fn store(&mut self, script: &mut Script<'_>) {
        let what = script.next();
        let Some(keeper) = &mut self.core.keeper else {
            return;
        };
        if what & 3 > 0 {
            keeper.held = what & 1 == 0;
            self.core.settle();
            return;
        }
        for client in 0..CLIENTS {
            self.cut(client);
        }
        self.workers = 1 + script.below(3);
        self.core.restart(self.workers as u16);
        if let Some(keeper) = &mut self.core.keeper {
            keeper.held = false;
        }
    }

    fn say(&mut self, client: usize, bytes: impl Fn(Version) -> Vec<u8>) {
        if let Some(peer) = &self.peers[client] {
            self.core.send(peer.link, &bytes(peer.version));
        }
    }

    fn cut(&mut self, client: usize) {
        if let Some(peer) = self.peers[client].take() {
            self.core.cut(peer.link);
        }
    }

    fn read(&mut self, client: usize) {
        let Some(peer) = &mut self.peers[client] else {
            return;
        };
        for frame in self.core.take_frames(peer.link) {
            if peer.raw {
                let known = |version| Packet::decode(&frame, version).is_ok();
                assert!(Version::ALL.into_iter().any(known), "{frame:02x?}");
                continue;
            }
            let packet = Packet::decode(&frame, peer.version).unwrap();
            if let Packet::Publish(message) = packet
                && message.qos > QoS::AtMostOnce
            {
                let id = message.packet_id.unwrap().value();
                assert!(
                    peer.inflight.insert(id) || message.dup,
                    "#{id} is in flight already"
                );
            }
        }
        if self.core.cause(peer.link).is_some() {
            self.peers[client] = None;
        }
    }
}
