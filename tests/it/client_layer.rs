//! The client layer's ordinary day: connect, publish, subscribe, disconnect at every QoS and in
//! every version, against a scripted broker.

use std::task::Context;

use mqttx::client::{End, Engine, Event, Feed, Handler, Message};
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::subscribe::{RetainHandling, SubscribeOptions};
use mqttx::mqtt::{PacketType, QoS, Reason, Version};

use crate::support::probe::{Probe, options, returning, run};
use crate::support::scripted_broker::{Peer, ScriptedBroker};

/// Publishes what it holds, then ends; notes what was acknowledged.
struct Publisher {
    left: Vec<(QoS, &'static str)>,
    acked: Vec<u64>,
}

impl Handler for Publisher {
    fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
        if let Event::Acked(acked) = event {
            self.acked.push(acked.ticket);
        }
    }

    fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
        let Some((qos, payload)) = self.left.pop() else {
            return Feed::End;
        };
        client
            .publish(&Message::new("a/b", payload.as_bytes()).qos(qos))
            .unwrap();
        Feed::More
    }
}

#[test]
fn messages_of_every_qos_are_acknowledged_before_the_goodbye() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(b"\x30\x08\0\x03a/bone");
        client.expect_bytes(b"\x32\x0a\0\x03a/b\0\x01two");
        client.expect_bytes(b"\x34\x0c\0\x03a/b\0\x02three");
        client.send(&[0x50, 2, 0, 2]);
        client.expect_bytes(&[0x62, 2, 0, 2]);
        client.send(&[0x40, 2, 0, 1, 0x70, 2, 0, 2]);
        client.expect_goodbye();
    });
    let left = vec![
        (QoS::ExactlyOnce, "three"),
        (QoS::AtLeastOnce, "two"),
        (QoS::AtMostOnce, "one"),
    ];
    let mut publisher = Publisher {
        left,
        acked: Vec::new(),
    };
    let (end, session) = run(options(script.port, Version::V311), &mut publisher);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(publisher.acked, [1, 2]);
    assert_eq!(session.engine().unacknowledged(), 0);
    script.join();
}

/// Subscribes at once and leaves after `wanted` messages.
struct Subscriber {
    wanted: usize,
    seen: Vec<String>,
}

impl Handler for Subscriber {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(_) => {
                let how = SubscribeOptions {
                    qos: QoS::ExactlyOnce,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::Send,
                };
                client
                    .subscribe(&[("a/#", how), ("b", how)], Properties::EMPTY)
                    .unwrap();
            }
            Event::Suback(suback) => self.seen.push(format!("suback {:?}", suback.reasons)),
            Event::Message(message) => {
                let payload = String::from_utf8_lossy(message.payload);
                self.seen.push(format!("{} {payload}", message.topic));
                self.wanted -= 1;
                if self.wanted == 0 {
                    client.finish();
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_subscriber_gets_its_messages_and_answers_each_as_its_qos_wants() {
    for version in Version::ALL {
        let script = ScriptedBroker::start(version, move |broker| {
            let mut client = broker.accept();
            let subscribe = client.expect(PacketType::Subscribe);
            let id_at = 2;
            assert_eq!(subscribe[id_at..id_at + 2], [0, 1]);
            let none: &[u8] = if version.is_v5() { &[0] } else { &[] };
            let send = |client: &mut Peer, first: u8, rest: &[&[u8]]| {
                let body = rest.concat();
                client.send(&[&[first, body.len() as u8][..], &body[..]].concat());
            };
            send(&mut client, 0x90, &[&[0, 1], none, &[2, 1]]);
            send(&mut client, 0x30, &[b"\0\x01b", none, b"zero"]);
            send(&mut client, 0x32, &[b"\0\x03a/1", &[0, 9], none, b"one"]);
            client.expect_bytes(&[0x40, 2, 0, 9]);
            send(&mut client, 0x34, &[b"\0\x03a/2", &[0, 7], none, b"two"]);
            client.expect_bytes(&[0x50, 2, 0, 7]);
            send(&mut client, 0x62, &[&[0, 7]]);
            client.expect_bytes(&[0x70, 2, 0, 7]);
            client.expect_goodbye();
        });
        let mut subscriber = Subscriber {
            wanted: 3,
            seen: Vec::new(),
        };
        let (end, _) = run(options(script.port, version), &mut subscriber);
        assert!(matches!(end, End::Finished), "{end}");
        assert_eq!(
            subscriber.seen,
            ["suback [2, 1]", "b zero", "a/1 one", "a/2 two"]
        );
        script.join();
    }
}

/// QoS 0 messages that a lost connection left unwritten are written on the next one.
#[test]
fn what_was_not_written_goes_out_on_the_next_connection() {
    const COUNT: u64 = 2_000;
    let (stalled, stalls) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let client = broker.accept();
        stalls.recv().unwrap();
        client.close();
        let mut client = broker.accept();
        // What was in the sockets is lost, as QoS 0 allows; what had not left us is not.
        let mut numbers = Vec::new();
        while let Some(frame) = client.next_frame() {
            if frame[0] == 0xe0 {
                break;
            }
            let payload = &frame[frame.len() - 20_000..];
            numbers.push(u64::from_be_bytes(payload[..8].try_into().unwrap()));
        }
        assert!(!numbers.is_empty() && numbers.len() < COUNT as usize);
        let expected: Vec<u64> = (COUNT - numbers.len() as u64..COUNT).collect();
        assert_eq!(numbers, expected, "the last ones, all of them, in order");
    });
    struct Numbers(u64, Option<std::sync::mpsc::Sender<()>>);
    impl Handler for Numbers {
        fn handle(&mut self, _: Event<'_>, _: &mut Engine) {}
        fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
            if self.0 == COUNT {
                return Feed::End;
            }
            let mut payload = vec![0; 20_000];
            payload[..8].copy_from_slice(&self.0.to_be_bytes());
            client.publish(&Message::new("t", &payload)).unwrap();
            self.0 += 1;
            Feed::More
        }
        fn wake(&mut self, client: &mut Engine, _: &mut Context<'_>) {
            // Awake with bytes still unwritten: the socket was full once.
            if self.0 > 100
                && !client.room()
                && let Some(stalled) = self.1.take()
            {
                stalled.send(()).unwrap();
            }
        }
    }
    let mut numbers = Numbers(0, Some(stalled));
    let mut options = returning(script.port, Version::V311);
    options.keep_alive = 1;
    let (end, session) = run(options, &mut numbers);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(session.engine().unwritten(), 0);
    script.join();
}

#[test]
fn packets_may_arrive_in_any_pieces() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept_raw();
        client.expect(PacketType::Connect);
        let bytes =
            b"\x20\x02\0\0\x30\x06\0\x01tone\x32\x08\0\x01t\0\x05two\xd0\0\x30\x08\0\x01tthree";
        for byte in bytes {
            client.send(&[*byte]);
            std::thread::yield_now();
        }
        client.expect_bytes(&[0x40, 2, 0, 5]);
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|line, client| {
        if line == "t 0 three" {
            client.finish();
        }
    });
    let (end, _) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(
        probe.seen,
        [
            "connack false 00",
            "t 0 one",
            "t 1 two",
            "pong",
            "t 0 three"
        ]
    );
    script.join();
}

/// Nothing of it arrives: the head is enough to refuse.
#[test]
fn a_packet_above_our_own_maximum_ends_the_connection_before_its_body_comes() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        client.expect_bytes(&[0xe0, 1, 0x95]);
        client.expect_close();
    });
    let mut options = options(script.port, Version::V5);
    options.packet_size_max = 1_000;
    let (end, _) = run(options, &mut Probe::watching());
    assert!(
        matches!(end, End::Violation(v) if v.reason == Reason::PACKET_TOO_LARGE),
        "{end}"
    );
    script.join();
}

/// A head that promises 256 MB costs what has arrived of it, not what it promises.
#[test]
fn a_promise_of_much_costs_little() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        client.send(&[b'x'; 100_000]);
        client.close();
    });
    let (end, _) = run(options(script.port, Version::V311), &mut Probe::watching());
    assert!(matches!(end, End::Lost), "{end}");
    script.join();
}

#[test]
fn garbage_from_a_broker_ends_the_connection_and_nothing_else() {
    const ROUNDS: u64 = 400;
    for version in Version::ALL {
        let script = ScriptedBroker::start(version, |broker| {
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            let mut next = move || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed
            };
            for round in 0..ROUNDS {
                let mut client = if round % 8 == 0 {
                    broker.accept_raw()
                } else {
                    broker.accept()
                };
                let mut bytes: Vec<u8> = (0..64).map(|_| next() as u8).collect();
                // Most rounds look like a packet at first.
                if round % 3 > 0 {
                    bytes[0] = (next() % 16) as u8 * 16 + [0, 2, 4, 10][next() as usize % 4];
                    bytes[1] = (next() % 24) as u8;
                }
                client.send_if_there(&bytes);
                client.close_writing();
                while client.read_or_reset().is_some() {}
            }
        });
        for _ in 0..ROUNDS {
            let (end, _) = run(options(script.port, version), &mut Probe::watching());
            assert!(!matches!(end, End::Finished | End::Unreachable(_)), "{end}");
        }
        script.join();
    }
}

#[test]
fn packets_that_no_broker_sends_are_violations() {
    for (version, early, bytes) in [
        (Version::V311, true, &b"\x30\x04\0\x01tx"[..]),
        (Version::V311, false, &[0x20, 2, 0, 0]),
        (Version::V311, false, &[0xe0, 0]),
        (Version::V311, false, &[0xc0, 0]),
        (Version::V311, false, b"\x82\x06\0\x01\0\x01s\0"),
        (Version::V311, false, &[0xf0, 0]),
        (Version::V311, false, b"\x36\x06\0\x01t\0\x01x"),
        (Version::V311, false, b"\x32\x06\0\x01t\0\0x"),
        (Version::V311, false, b"\x30\x06\0\x03a/+x"),
        (Version::V5, false, b"\x30\x05\0\0\0xx"),
    ] {
        let script = ScriptedBroker::start(version, move |broker| {
            let mut client = if early {
                broker.accept_raw()
            } else {
                broker.accept()
            };
            client.send(bytes);
            while client.read_or_reset().is_some() {}
        });
        let (end, _) = run(options(script.port, version), &mut Probe::watching());
        assert!(matches!(end, End::Violation(_)), "{bytes:02x?}: {end}");
        script.join();
    }
}

#[test]
fn silence_is_broken_by_a_ping_and_no_answer_ends_it() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(&[0xc0, 0]);
        client.send(&[0xd0, 0]);
        client.expect_bytes(&[0xc0, 0]);
        client.expect_close();
    });
    let mut probe = Probe::watching();
    let mut options = options(script.port, Version::V311);
    options.keep_alive = 1;
    let (end, _) = run(options, &mut probe);
    assert!(matches!(end, End::KeepAliveTimeout), "{end}");
    assert_eq!(probe.seen[1..], ["pong"]);
    script.join();
}

#[test]
fn without_a_broker_it_gives_up_at_once_or_tries_as_often_as_it_was_told() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    struct Count(u32);
    impl Handler for Count {
        fn handle(&mut self, _: Event<'_>, _: &mut Engine) {}
        fn retry(&mut self, end: &End, _: std::time::Duration) {
            assert!(matches!(end, End::Unreachable(_)), "{end}");
            self.0 += 1;
        }
    }
    for (first, attempts_max, retries) in [(false, None, 0), (true, Some(4), 3)] {
        let mut options = returning(closed, Version::V311);
        options.retry.first = first;
        options.retry.attempts_max = attempts_max;
        let mut count = Count(0);
        let (end, _) = run(options, &mut count);
        let End::Unreachable(error) = end else {
            panic!("{end}")
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(count.0, retries);
    }
}

#[test]
fn a_refusal_is_not_asked_for_again() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        broker.accept().close();
        let mut client = broker.accept_raw();
        client.expect(PacketType::Connect);
        client.send(&[0x20, 2, 0, 5]);
        client.expect_close();
    });
    let (end, _) = run(
        returning(script.port, Version::V311),
        &mut Probe::watching(),
    );
    assert!(
        matches!(
            end,
            End::Refused {
                reason: Reason(5),
                ..
            }
        ),
        "{end}"
    );
    assert_eq!(end.to_string(), "connection refused: not authorised");
    script.join();
}

/// What is unacknowledged when there is no other attempt is counted, not forgotten.
#[test]
fn unacknowledged_messages_are_counted_when_it_is_over() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        for _ in 0..3 {
            client.expect(PacketType::Publish);
        }
        client.send(&[0x40, 2, 0, 2]);
        client.close();
    });
    let one = (QoS::AtLeastOnce, "x");
    let mut probe = Probe::publishing(&[one, one, one]);
    let (end, session) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Lost), "{end}");
    assert_eq!(session.engine().unacknowledged(), 2);
    script.join();
}

#[test]
fn a_trace_shows_every_packet_in_its_order() {
    use mqttx::client::Way;
    use mqttx::mqtt::Packet;
    struct Trace(Probe, Vec<String>);
    impl Handler for Trace {
        fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
            self.1.push("event".to_owned());
            self.0.handle(event, client);
        }
        fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
            self.0.feed(client, cx)
        }
        fn packet(&mut self, way: Way, packet: &Packet<'_>) {
            self.1.push(format!("{way:?} {}", packet.kind()));
        }
    }
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.send(b"\x32\x06\0\x01t\0\x09x");
        client.expect(PacketType::Publish);
        client.expect(PacketType::Puback);
        client.send(&[0x50, 2, 0, 1]);
        client.expect(PacketType::Pubrel);
        client.send(&[0x70, 2, 0, 1]);
        client.expect_goodbye();
    });
    let probe = Probe::new(|line, client| match line {
        "connack false 00" => {
            client
                .publish(&Message::new("t", b"y").qos(QoS::ExactlyOnce))
                .unwrap();
        }
        "acked 0 00" => client.finish(),
        _ => {}
    });
    let mut trace = Trace(probe, Vec::new());
    let mut options = options(script.port, Version::V311);
    options.trace = true;
    run(options, &mut trace);
    assert_eq!(
        trace.1,
        [
            "Sent CONNECT",
            "Received CONNACK",
            "event",
            "Sent PUBLISH",
            "Received PUBLISH",
            "Sent PUBACK",
            "event",
            "Received PUBREC",
            "Sent PUBREL",
            "Received PUBCOMP",
            "event",
            "Sent DISCONNECT",
        ]
    );
    script.join();
}

#[test]
fn options_that_no_connect_can_carry_are_refused_before_anything_is_sent() {
    use mqttx::client::{Options, Session, Will};
    type Spoil = fn(&mut Options);
    let spoils: [Spoil; 5] = [
        |options| options.client_id = "x".repeat(65_536),
        |options| options.user_name = Some("a\0b".to_owned()),
        |options| options.password = Some(b"p".to_vec().into()),
        |options| {
            options.user_name = Some("u".to_owned());
            options.password = Some(vec![0; 65_536].into());
        },
        |options| {
            let topic = "a/#".to_owned();
            let properties = mqttx::mqtt::property::PropertiesBuf::new();
            let qos = QoS::AtMostOnce;
            options.will = Some(Will {
                topic,
                payload: Vec::new(),
                qos,
                retain: false,
                properties,
            });
        },
    ];
    for spoil in spoils {
        let mut options = options(1, Version::V311);
        assert!(Session::new(options.clone()).is_ok());
        spoil(&mut options);
        assert!(Session::new(options).is_err());
    }
}

/// Each message wants an answer, and no answer is taken: they must not pile up here. Once they are
/// taken, each comes once and in order, through a write buffer that never ran empty.
#[test]
fn a_broker_that_takes_no_acknowledgements_is_not_listened_to_until_it_does() {
    const MOST: usize = 100_000_000;
    let script = ScriptedBroker::start(Version::V311, |broker| {
        broker.shrink_buffers();
        let mut client = broker.accept();
        let message = |id: u16| [&b"\x32\x05\0\x01t"[..], &id.to_be_bytes()].concat();
        let messages: Vec<u8> = (1..=5_000).flat_map(message).collect();
        let taken = client.send_until_stuck(&messages, MOST);
        assert!(taken < MOST, "it still listens");
        let count = taken / 7;
        let acks: Vec<u8> = (0..count)
            .flat_map(|number| {
                [&[0x40, 2][..], &((number % 5_000) as u16 + 1).to_be_bytes()].concat()
            })
            .collect();
        assert!(
            client.read_exactly(acks.len()) == acks,
            "once each, and in order"
        );
        client.close();
    });
    let (end, _) = run(options(script.port, Version::V311), &mut Quiet);
    assert!(matches!(end, End::Lost), "{end}");
    script.join();
}

/// Hears everything and writes nothing down.
struct Quiet;

impl Handler for Quiet {
    fn handle(&mut self, _: Event<'_>, _: &mut Engine) {}
}
