//! A CONNACK of version 3.1 does not say whether there is a Session: what is unacknowledged goes on
//! as it was, under its identifier and with DUP, and subscriptions are asked for once more.

use mqttx::client::{Engine, Event, Handler, Message, Options};
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::{Packet, QoS, Version};
use mqttx::net::Dial;
use mqttx::net::address::Address;

use crate::support::packets::{publish, render};

/// How many messages came.
struct Count(usize);

impl Handler for Count {
    fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
        self.0 += usize::from(matches!(event, Event::Message(_)));
    }
}

struct Client {
    engine: Engine,
    count: Count,
}

impl Client {
    fn hear(&mut self, bytes: &[u8]) {
        let Ok(Scan::Head(head)) = scan(bytes, PACKET_SIZE_MAX) else {
            panic!("{bytes:?} is no packet");
        };
        let taken = self.engine.handle(head, bytes, &mut self.count);
        assert!(taken.is_ok(), "{taken:?}");
    }

    /// What it wants to write, and writes.
    fn say(&mut self) -> Vec<String> {
        let bytes = self.engine.pending().to_vec();
        self.engine.wrote(bytes.len());
        let mut rest = &bytes[..];
        let mut said = Vec::new();
        while let Ok(Scan::Head(head)) = scan(rest, PACKET_SIZE_MAX) {
            let packet = Packet::decode(&rest[..head.total()], Version::V31).unwrap();
            said.push(render(&packet).chars().take(30).collect());
            rest = &rest[head.total()..];
        }
        said
    }
}

#[test]
fn messages_of_version_3_1_go_on_over_a_lost_connection() {
    let mut options = Options::new(Dial::new(Address::tcp("localhost", 1883)));
    (options.version, options.clean_start) = (Version::V31, false);
    options.client_id = "c".to_owned();
    let mut client = Client {
        engine: Engine::new(options),
        count: Count(0),
    };
    client.engine.open(&mut client.count);
    client.hear(&[0x20, 2, 0, 0]);
    let how = SubscribeOptions::default();
    client
        .engine
        .subscribe(&[("a", how)], Properties::EMPTY)
        .unwrap();
    client.say();
    client.hear(&[0x90, 3, 0, 1, 0]);
    let out = Message::new("t", b"out").qos(QoS::ExactlyOnce);
    client.engine.publish(&out).unwrap();
    assert_eq!(client.say(), ["PUBLISH t out q2 #2"]);
    let incoming = publish(Version::V31, "a", "in", 2, 9, &[]);
    client.hear(&incoming);
    assert_eq!(client.say(), ["PUBREC #9"]);
    client.engine.closed();

    client.engine.open(&mut client.count);
    client.say();
    client.hear(&[0x20, 2, 0, 0]);
    let said = client.say();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("Subscribe"), "{said:?}");
    assert_eq!(said[1], "PUBLISH t out q2 #2 dup");
    client.hear(&incoming);
    assert_eq!(client.say(), ["PUBREC #9"]);
    assert_eq!(client.count.0, 1, "QoS 2 comes once");
}
