//! A link that is cut again and again, between a publisher, a broker and a subscriber: nothing of
//! QoS 1 is lost, nothing of QoS 2 lost or doubled, and the order stays.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use mqttx::client::{Backoff, End, Engine, Event, Feed, Handler, Message, Options, Retry};
use mqttx::mqtt::property::{Properties, PropertyId, Value};
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::{QoS, Version};

use crate::support::peers::{Mqttx, mosquitto};
use crate::support::probe::{options, run};

/// How many messages of each QoS are published.
const COUNT: usize = 1_500;

/// How often the link is cut before it is left alone.
const CUTS: u64 = 40;

/// Forwards connections to `broker`, and cuts each after some bytes, as `seed` wants it.
fn brittle_link(broker: u16, seed: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for (number, client) in listener.incoming().enumerate() {
            let client = client.unwrap();
            let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else {
                continue;
            };
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let is_last = number as u64 >= CUTS;
            let left = if is_last {
                u64::MAX
            } else {
                100 + chance % 8_000
            };
            let left = Arc::new(AtomicU64::new(left));
            for (from, to) in [(&client, &broker), (&broker, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let left = left.clone();
                std::thread::spawn(move || forward(from, to, &left));
            }
        }
    });
    port
}

fn forward(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64) {
    let mut bytes = [0; 512];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(left.saturating_sub(count as u64))
        });
        // The last bytes arrive in part, so packets are cut too.
        let before = usize::try_from(before.unwrap()).unwrap_or(usize::MAX);
        if to.write_all(&bytes[..count.min(before)]).is_err() || before <= count {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn persistent(port: u16, version: Version, client_id: &str) -> Options {
    let mut options = options(port, version);
    options.client_id = client_id.to_owned();
    options.clean_start = false;
    if version.is_v5() {
        options
            .properties
            .push(PropertyId::SessionExpiryInterval, Value::Four(600));
    }
    options.retry = Retry {
        wait: None,
        first: true,
        unanswered: true,
        again: true,
        attempts_max: Some(1_000),
        fruitless_max: None,
        backoff: Backoff::every(Duration::from_millis(2)),
    };
    options
}

struct Publisher {
    next: usize,
    acked: usize,
}

impl Handler for Publisher {
    fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
        if let Event::Acked(acked) = event {
            assert!(!acked.reason.is_error());
            self.acked += 1;
        }
    }

    fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
        if self.next == 2 * COUNT {
            return Feed::End;
        }
        let (topic, qos) = match self.next % 2 {
            0 => ("cut/one", QoS::AtLeastOnce),
            _ => ("cut/two", QoS::ExactlyOnce),
        };
        let payload = (self.next / 2).to_string();
        client
            .publish(&Message::new(topic, payload.as_bytes()).qos(qos))
            .unwrap();
        self.next += 1;
        Feed::More
    }
}

/// Collects the numbers of each topic; ends when none is missing.
#[derive(Default)]
struct Subscriber {
    one: Vec<usize>,
    two: Vec<usize>,
    missing: HashSet<(QoS, usize)>,
    ready: Option<std::sync::mpsc::Sender<()>>,
}

impl Handler for Subscriber {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(_) if self.ready.is_some() => {
                let how = SubscribeOptions {
                    qos: QoS::ExactlyOnce,
                    ..Default::default()
                };
                client
                    .subscribe(&[("cut/#", how)], Properties::EMPTY)
                    .unwrap();
            }
            Event::Suback(_) => {
                if let Some(ready) = self.ready.take() {
                    ready.send(()).unwrap();
                }
            }
            Event::Message(message) => {
                let number = std::str::from_utf8(message.payload)
                    .unwrap()
                    .parse()
                    .unwrap();
                let list = if message.topic == "cut/one" {
                    &mut self.one
                } else {
                    &mut self.two
                };
                list.push(number);
                self.missing.remove(&(message.qos, number));
                if self.missing.is_empty() {
                    client.finish();
                }
            }
            _ => {}
        }
    }
}

fn survives_cuts(broker: u16, subscribe_at: u16, version: Version, seed: u64) -> Subscriber {
    let what = format!("{version}, seed {seed}");
    let name = |role: &str| format!("{role}-{seed}-{}", version.level());
    let (ready, is_ready) = std::sync::mpsc::channel();
    let listening = {
        let options = persistent(subscribe_at, version, &name("sub"));
        std::thread::spawn(move || {
            let mut subscriber = Subscriber {
                missing: (0..COUNT)
                    .flat_map(|number| [(QoS::AtLeastOnce, number), (QoS::ExactlyOnce, number)])
                    .collect(),
                ready: Some(ready),
                ..Subscriber::default()
            };
            let (end, _) = run(options, &mut subscriber);
            (end, subscriber)
        })
    };
    is_ready.recv().unwrap();
    let options = persistent(brittle_link(broker, seed), version, &name("pub"));
    let mut publisher = Publisher { next: 0, acked: 0 };
    let (end, session) = run(options, &mut publisher);
    assert!(matches!(end, End::Finished), "{what}: {end}");
    assert_eq!(session.engine().unacknowledged(), 0, "{what}");
    assert_eq!(
        publisher.acked,
        2 * COUNT,
        "{what}: each is acknowledged once"
    );
    let (end, subscriber) = listening.join().unwrap();
    assert!(matches!(end, End::Finished), "{what}: {end}");
    subscriber
}

/// Repetitions and what came late left out, as QoS 1 allows.
fn rising(numbers: &[usize]) -> Vec<usize> {
    let mut highest = None;
    let is_new = |number: &usize| {
        let is_new = highest.is_none_or(|highest| *number > highest);
        if is_new {
            highest = Some(*number);
        }
        is_new
    };
    numbers.iter().copied().filter(is_new).collect()
}

#[track_caller]
fn is_whole(numbers: &[usize], what: &str) {
    let wrong = numbers
        .iter()
        .enumerate()
        .find(|(place, number)| place != *number);
    assert_eq!(wrong, None, "{what}: (place, number)");
    assert_eq!(numbers.len(), COUNT, "{what}");
}

#[test]
fn a_link_that_is_cut_loses_and_doubles_nothing_at_our_broker() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mqttx::start(folder.path());
    for seed in 1..=3 {
        for version in [Version::V311, Version::V5] {
            let subscribe_at = brittle_link(broker.port, seed + 100);
            let subscriber = survives_cuts(broker.port, subscribe_at, version, seed);
            let what = format!("{version}, seed {seed}");
            is_whole(&subscriber.two, &what);
            is_whole(&rising(&subscriber.one), &what);
        }
    }
}

/// Only the publisher's link, and whatever the order: mosquitto 2.0.11 sends a subscriber that
/// comes back some messages for a second time, under identifiers that were released, and mixes the
/// order of QoS 2 when its window is full.
#[test]
fn a_link_that_is_cut_loses_and_doubles_nothing_at_mosquitto() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |[port]: [u16; 1]| format!("listener {port} 127.0.0.1\nmax_queued_messages 0\n");
    let Some((_broker, [port])) = mosquitto(folder.path(), lines) else {
        return;
    };
    for version in [Version::V311, Version::V5] {
        let mut subscriber = survives_cuts(port, port, version, 1);
        subscriber.two.sort_unstable();
        is_whole(&subscriber.two, "QoS 2");
        subscriber.one.sort_unstable();
        is_whole(&rising(&subscriber.one), "QoS 1");
    }
}
