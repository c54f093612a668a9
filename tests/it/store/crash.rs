//! The real broker, killed with SIGKILL in the middle of QoS 1 and 2 traffic, over and over: what
//! it acknowledged is delivered, QoS 2 once, each in the order of its publishing.
//!
//! `MQTTX_KILLS` says how often, 20 times by default.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::{Packet, PacketType, QoS, Version};

use crate::support::broker_process::{BrokerProcess, PATIENCE};
use crate::support::chance::Chance;
use crate::support::packets::{Hello, ack, again, publish, subscribe};

/// Messages a publisher has unacknowledged at most.
const WINDOW: usize = 30;

/// A connection that is read packet by packet.
pub(crate) struct Wire {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(port: u16, hello: &Hello) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self {
            stream,
            bytes: Vec::new(),
        };
        wire.send(&hello.bytes())?;
        let connack = wire.next()?;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:?}");
        Some(wire)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    /// The next packet; `None`: the broker is gone, or it says nothing for that long.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let frame = self.read(|| ());
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        frame
    }

    /// The next packet; `None`: the broker is gone.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        self.read(|| panic!("the broker hangs"))
    }

    fn read(&mut self, on_silence: fn()) -> Option<Vec<u8>> {
        loop {
            if let Scan::Head(head) = scan(&self.bytes, PACKET_SIZE_MAX).unwrap()
                && self.bytes.len() >= head.total()
            {
                let rest = self.bytes.split_off(head.total());
                return Some(std::mem::replace(&mut self.bytes, rest));
            }
            let mut buffer = [0; 4_096];
            match self.stream.read(&mut buffer) {
                Ok(count) if count > 0 => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    on_silence();
                    return None;
                }
                _ => return None,
            }
        }
    }
}

/// Publishes numbers, at QoS 1 the odd ones and at QoS 2 the even ones.
#[derive(Default)]
pub(crate) struct Publisher {
    next: u16,
    /// What is not through, in its order; true: PUBREC came.
    pending: VecDeque<(u16, bool)>,
    acknowledged: BTreeSet<u16>,
}

impl Publisher {
    fn packet(number: u16) -> Vec<u8> {
        let qos = if number.is_multiple_of(2) { 2 } else { 1 };
        publish(
            Version::V5,
            &format!("q{qos}"),
            &number.to_string(),
            qos,
            number,
            &[],
        )
    }

    pub(crate) fn run(&mut self, port: u16, progress: &Sender<()>) -> Option<()> {
        let mut wire = Wire::connect(port, &Hello::new("publisher").kept())?;
        for (number, released) in &self.pending {
            match released {
                true => wire.send(&ack(PacketType::Pubrel, *number))?,
                false => wire.send(&again(Self::packet(*number)))?,
            }
        }
        loop {
            while self.pending.len() < WINDOW {
                self.next += 1;
                self.pending.push_back((self.next, false));
                wire.send(&Self::packet(self.next))?;
            }
            let frame = wire.next()?;
            match Packet::decode(&frame, Version::V5).unwrap() {
                Packet::Puback(puback) => self.settled(puback.packet_id.value()),
                Packet::Pubrec(pubrec) => {
                    let id = pubrec.packet_id.value();
                    self.acknowledged.insert(id);
                    for (number, released) in &mut self.pending {
                        *released |= *number == id;
                    }
                    wire.send(&ack(PacketType::Pubrel, id))?;
                }
                Packet::Pubcomp(pubcomp) => self.settled(pubcomp.packet_id.value()),
                other => panic!("{other:?}"),
            }
            let _ = progress.send(());
        }
    }

    fn settled(&mut self, id: u16) {
        self.acknowledged.insert(id);
        self.pending.retain(|(number, _)| *number != id);
    }
}

/// Takes what comes, as a client that keeps its Session in memory.
#[derive(Default)]
pub(crate) struct Subscriber {
    once: Vec<u16>,
    exactly: Vec<u16>,
    unreleased: BTreeSet<u16>,
}

impl Subscriber {
    fn hello() -> Hello {
        Hello::new("subscriber").kept()
    }

    /// Leaves a Session that waits for everything.
    pub(crate) fn subscribe(port: u16) {
        let mut wire = Wire::connect(port, &Self::hello()).unwrap();
        wire.send(&subscribe(Version::V5, 1, "#", 2, &[])).unwrap();
        assert_eq!(wire.next().unwrap()[0], 0x90);
    }

    /// Until the broker is gone, or until `last` has come.
    pub(crate) fn run(&mut self, port: u16, last: Option<(u16, u16)>) -> Option<()> {
        let mut wire = Wire::connect(port, &Self::hello())?;
        loop {
            if let Some((once, exactly)) = last
                && self.once.last() == Some(&once)
                && self.exactly.last() == Some(&exactly)
                && self.unreleased.is_empty()
            {
                return Some(());
            }
            let frame = wire.next()?;
            match Packet::decode(&frame, Version::V5).unwrap() {
                Packet::Publish(publish) => {
                    let number = std::str::from_utf8(publish.payload)
                        .unwrap()
                        .parse()
                        .unwrap();
                    let id = publish.packet_id.unwrap().value();
                    if publish.qos == QoS::AtLeastOnce {
                        self.once.push(number);
                        wire.send(&ack(PacketType::Puback, id))?;
                    } else {
                        if self.unreleased.insert(id) {
                            self.exactly.push(number);
                        }
                        wire.send(&ack(PacketType::Pubrec, id))?;
                    }
                }
                Packet::Pubrel(pubrel) => {
                    let id = pubrel.packet_id.value();
                    self.unreleased.remove(&id);
                    wire.send(&ack(PacketType::Pubcomp, id))?;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn start(folder: &std::path::Path, sync: &str, workers: usize) -> BrokerProcess {
    let (folder, workers) = (folder.to_string_lossy().into_owned(), workers.to_string());
    BrokerProcess::start(&[
        "--persistence",
        &folder,
        "--sync",
        sync,
        "--workers",
        &workers,
    ])
}

/// Waits for so many acknowledgements.
pub(crate) fn wait(progress: &Receiver<()>, count: usize) {
    for _ in 0..count {
        progress
            .recv_timeout(PATIENCE)
            .expect("the broker acknowledges");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let kills = std::env::var("MQTTX_KILLS").map_or(20, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    kill_and_count(kills, |sync, workers| start(folder.path(), sync, workers));
}

/// Kills a broker so often; `start` starts it with this sync and so many workers.
pub(crate) fn kill_and_count(kills: usize, start: impl Fn(&str, usize) -> BrokerProcess) {
    let mut chance = Chance::new(kills as u64);
    let (mut publisher, mut subscriber) = (Publisher::default(), Subscriber::default());
    let broker = start("always", 1);
    Subscriber::subscribe(broker.port);
    broker.kill();
    for round in 0..kills {
        let sync = ["always", "interval"][chance.below(2)];
        let broker = start(sync, 1 + chance.below(2));
        let (port, reads) = (broker.port, round % 3 != 0);
        let (progress, acknowledged) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| publisher.run(port, &progress));
            if reads {
                scope.spawn(|| subscriber.run(port, None));
            }
            wait(&acknowledged, 1 + chance.below(120));
            broker.kill();
        });
    }
    let broker = start("interval", 1);
    judge(publisher, subscriber, broker.port);
}

/// Brings through what is pending, and holds what came against what was acknowledged; how many
/// messages there were.
pub(crate) fn judge(mut publisher: Publisher, mut subscriber: Subscriber, port: u16) -> u16 {
    // What the publisher has not brought through is brought through now.
    let last = publisher.next;
    finish(&mut publisher, port);
    let is = |kind: u16| {
        publisher
            .acknowledged
            .iter()
            .filter(move |number| *number % 2 == kind)
    };
    let ends = (*is(1).next_back().unwrap(), *is(0).next_back().unwrap());
    subscriber.run(port, Some(ends)).unwrap();
    let mut once = Vec::new();
    for number in &subscriber.once {
        if !once.contains(number) {
            once.push(*number);
        }
    }
    assert!(
        once.is_sorted(),
        "QoS 1 in the order of its publishing: {once:?}"
    );
    assert!(
        is(1).eq(&once),
        "every QoS 1 message that was acknowledged came"
    );
    assert!(
        is(0).eq(&subscriber.exactly),
        "every QoS 2 message came once, in order"
    );
    last
}

/// Sends what is pending again and waits until all of it is through.
fn finish(publisher: &mut Publisher, port: u16) {
    let mut wire = Wire::connect(port, &Hello::new("publisher").kept()).unwrap();
    for (number, released) in &publisher.pending {
        let bytes = match released {
            true => ack(PacketType::Pubrel, *number),
            false => again(Publisher::packet(*number)),
        };
        wire.send(&bytes).unwrap();
    }
    while !publisher.pending.is_empty() {
        let frame = wire.next().unwrap();
        match Packet::decode(&frame, Version::V5).unwrap() {
            Packet::Puback(puback) => publisher.settled(puback.packet_id.value()),
            Packet::Pubrec(pubrec) => {
                let id = pubrec.packet_id.value();
                wire.send(&ack(PacketType::Pubrel, id)).unwrap();
            }
            Packet::Pubcomp(pubcomp) => publisher.settled(pubcomp.packet_id.value()),
            other => panic!("{other:?}"),
        }
    }
}
