//! The client layer's ordinary day: connect, publish, subscribe, disconnect at every QoS and in
//! every version, against a scripted broker.

use std::task::Context;

use mqttx::client::{End, Engine, Event, Feed, Handler, Message, Options, Session};
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::subscribe::{RetainHandling, SubscribeOptions};
use mqttx::mqtt::{PacketType, QoS, Version};
use mqttx::net::Dial;
use mqttx::net::address::Address;

use crate::support::scripted_broker::ScriptedBroker;

pub(crate) fn options(port: u16, version: Version) -> Options {
    let mut options = Options::new(Dial::new(Address::tcp("127.0.0.1", port)));
    options.version = version;
    options.client_id = "tester".to_owned();
    options
}

pub(crate) fn run<H: Handler>(options: Options, handler: &mut H) -> (End, Session) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut session = Session::new(options).unwrap();
    let end = runtime.block_on(session.run(handler));
    (end, session)
}

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
            let send =
                |client: &mut crate::support::scripted_broker::Peer, first: u8, rest: &[&[u8]]| {
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
