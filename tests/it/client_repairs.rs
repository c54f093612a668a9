//! What rumqttc's event loop does wrong, done right: each test is a scenario in which it was seen to
//! lose, repeat or stall something. What its codec does wrong is in `client_repairs_bytes`.

use std::time::Duration;

use mqttx::client::{End, Message, Prepared};
use mqttx::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::{PacketType, QoS, Version};
use mqttx::net::Dial;
use mqttx::net::address::Address;

use crate::support::probe::{Probe, options, properties, returning, run};
use crate::support::scripted_broker::ScriptedBroker;

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

/// rumqttc took this for a fatal error and reconnected, thousands of times a second.
#[test]
fn a_pubrel_of_an_earlier_life_is_answered() {
    for (version, answer) in [
        (Version::V31, &[0x70, 2, 0, 7][..]),
        (Version::V311, &[0x70, 2, 0, 7]),
        (Version::V5, &[0x70, 3, 0, 7, 0x92]),
    ] {
        let script = ScriptedBroker::start(version, move |broker| {
            let mut client = broker.accept_with(version != Version::V31, &PropertiesBuf::new());
            client.send(&[0x62, 2, 0, 7]);
            client.expect_bytes(answer);
            client.close();
        });
        let mut options = options(script.port, version);
        options.clean_start = false;
        let (end, _) = run(options, &mut Probe::watching());
        assert!(matches!(end, End::Lost), "{end}");
        script.join();
    }
}

/// [MQTT-3.2.2-4]
#[test]
fn a_session_nobody_has_asked_for_ends_the_connection() {
    for version in [Version::V311, Version::V5] {
        let script = ScriptedBroker::start(version, |broker| {
            let mut client = broker.accept_with(true, &PropertiesBuf::new());
            client.expect_close();
        });
        let (end, _) = run(options(script.port, version), &mut Probe::watching());
        assert!(matches!(end, End::Violation(_)), "{end}");
        script.join();
    }
}

/// rumqttc delivered it twice, and forgot the identifier with the connection.
#[test]
fn a_message_of_qos_2_is_delivered_once_however_often_it_comes() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.send(b"\x34\x09\0\x01t\0\x09once");
        client.expect_bytes(&[0x50, 2, 0, 9]);
        client.send(b"\x3c\x09\0\x01t\0\x09once");
        client.expect_bytes(&[0x50, 2, 0, 9]);
        client.close();
        let mut client = broker.accept_with(true, &PropertiesBuf::new());
        client.send(b"\x3c\x09\0\x01t\0\x09once");
        client.expect_bytes(&[0x50, 2, 0, 9]);
        client.send(&[0x62, 2, 0, 9]);
        client.expect_bytes(&[0x70, 2, 0, 9]);
        client.send(b"\x34\x09\0\x01t\0\x09next");
        client.expect_bytes(&[0x50, 2, 0, 9]);
        client.send(&[0x62, 2, 0, 9]);
        client.expect_bytes(&[0x70, 2, 0, 9]);
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|line, client| {
        if line == "t 2 next" {
            client.finish();
        }
    });
    run(returning(script.port, Version::V311), &mut probe);
    probe.seen.retain(|line| line.starts_with("t "));
    assert_eq!(probe.seen, ["t 2 once", "t 2 next"]);
    script.join();
}

/// rumqttc sent it again without DUP.
#[test]
fn a_resumed_session_sends_again_with_dup_and_in_order() {
    for version in [Version::V311, Version::V5] {
        let script = ScriptedBroker::start(version, move |broker| {
            let mut client = broker.accept();
            let first: Vec<_> = (0..3).map(|_| client.expect(PacketType::Publish)).collect();
            client.send(&[0x50, 2, 0, 2]);
            client.expect_bytes(&[0x62, 2, 0, 2]);
            client.close();
            let mut client = broker.accept_with(true, &PropertiesBuf::new());
            let again = |mut frame: Vec<u8>| {
                assert_eq!(frame[0] & 8, 0, "the first time without DUP");
                frame[0] |= 8;
                frame
            };
            client.expect_bytes(&again(first[0].clone()));
            client.expect_bytes(&[0x62, 2, 0, 2]);
            client.expect_bytes(&again(first[2].clone()));
            client.send(&[0x40, 2, 0, 1, 0x70, 2, 0, 2, 0x40, 2, 0, 3]);
            client.expect_goodbye();
        });
        let mut probe = Probe::publishing(&[(QOS_1, "one"), (QOS_2, "two"), (QOS_1, "three")]);
        let mut options = returning(script.port, version);
        let never = Value::Four(u32::MAX);
        if version.is_v5() {
            options
                .properties
                .push(PropertyId::SessionExpiryInterval, never);
        }
        let (end, session) = run(options, &mut probe);
        assert!(matches!(end, End::Finished), "{end}");
        assert_eq!(session.engine().unacknowledged(), 0);
        assert_eq!(probe.seen[2..], ["acked 0 00", "acked 1 00", "acked 2 00"]);
        script.join();
    }
}

/// rumqttc dropped all of it.
#[test]
fn a_lost_session_gets_its_subscriptions_and_its_messages_anew() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(b"\x82\x06\0\x01\0\x01s\x01");
        client.expect_bytes(b"\x82\x06\0\x02\0\x01u\x01");
        client.send(&[0x90, 3, 0, 1, 1, 0x90, 3, 0, 2, 1]);
        client.expect_bytes(b"\xa2\x05\0\x03\0\x01u");
        client.send(&[0xb0, 2, 0, 3]);
        client.expect_bytes(b"\x32\x08\0\x01t\0\x04one");
        client.expect_bytes(b"\x34\x08\0\x01t\0\x05two");
        client.close();
        let mut client = broker.accept();
        client.expect_bytes(b"\x82\x06\0\x01\0\x01s\x01");
        client.expect_bytes(b"\x32\x08\0\x01t\0\x02one");
        client.expect_bytes(b"\x34\x08\0\x01t\0\x03two");
        client.send(&[0x90, 3, 0, 1, 1, 0x40, 2, 0, 2, 0x50, 2, 0, 3]);
        client.expect_bytes(&[0x62, 2, 0, 3]);
        client.send(&[0x70, 2, 0, 3]);
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|line, client| {
        let how = SubscribeOptions {
            qos: QOS_1,
            ..SubscribeOptions::default()
        };
        match line {
            "connack false 00" if client.is_first_connection() => {
                client.subscribe(&[("s", how)], Properties::EMPTY).unwrap();
                client.subscribe(&[("u", how)], Properties::EMPTY).unwrap();
            }
            "suback 2 [1]" => {
                client.unsubscribe(&["u"], Properties::EMPTY).unwrap();
            }
            "unsuback 3" => {
                client
                    .publish(&Message::new("t", b"one").qos(QOS_1))
                    .unwrap();
                client
                    .publish(&Message::new("t", b"two").qos(QOS_2))
                    .unwrap();
                client.finish();
            }
            _ => {}
        }
    });
    let (end, _) = run(returning(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc reserved 14 MB for each connection that may have 65,535 messages in flight.
#[cfg(target_os = "linux")]
#[test]
fn a_large_window_costs_nothing_until_it_is_used() {
    use mqttx::client::Engine;
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    let before = resident_kib();
    let mut options = options(1, Version::V5);
    options.inflight_max = u16::MAX;
    let engines: Vec<_> = (0..2_000).map(|_| Engine::new(options.clone())).collect();
    let each = resident_kib().saturating_sub(before) / 2_000;
    assert_eq!(engines.len(), 2_000);
    // Other tests of this process grow too; 14 MB each would be far beyond that.
    assert!(each < 256, "{each} KiB for a client that did nothing");
}

/// rumqttc pinged without a pause and then gave up.
#[test]
fn a_server_keep_alive_of_zero_turns_it_off() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let list = properties(&[(PropertyId::ServerKeepAlive, Value::Two(0))]);
        let mut client = broker.accept_with(false, &list);
        assert!(client.is_silent_for(Duration::from_millis(1_300)));
        client.send(b"\x30\x07\0\x01t\0end");
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|line, client| {
        if line == "t 0 end" {
            client.finish();
        }
    });
    let mut options = options(script.port, Version::V5);
    options.keep_alive = 1;
    let (end, _) = run(options, &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc's DISCONNECT overtook the messages that were not acknowledged.
#[test]
fn the_goodbye_waits_for_the_last_acknowledgement() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        for id in 1..=10 {
            client.expect(PacketType::Publish);
            if id < 10 {
                client.send(&[0x40, 2, 0, id]);
            }
        }
        assert!(client.is_silent_for(Duration::from_millis(100)));
        client.send(&[0x40, 2, 0, 10]);
        client.expect_goodbye();
    });
    let mut probe = Probe::publishing(&[(QOS_1, "x"); 10]);
    let (end, _) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// With rumqttc it hung for ever, or died after a fixed five seconds.
#[test]
fn a_broker_that_stops_reading_is_given_up_after_the_write_timeout() {
    let (gave_up, wait) = std::sync::mpsc::channel::<()>();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let _client = broker.accept();
        wait.recv().unwrap();
    });
    let payload = vec![b'x'; 100_000];
    let prepared = Prepared::new(&Message::new("t", &payload), Version::V311).unwrap();
    let prepared = std::sync::Arc::new(prepared);
    let mut probe =
        Probe::new(move |_, client| client.repeat(prepared.clone(), 1_000_000).unwrap());
    let mut options = options(script.port, Version::V311);
    options.write_timeout = Duration::from_millis(200);
    let (end, session) = run(options, &mut probe);
    gave_up.send(()).unwrap();
    assert!(matches!(end, End::WriteTimeout), "{end}");
    assert!(session.engine().unwritten() > 0);
    script.join();
}

/// With rumqttc reading stopped while a write was blocked: two full sockets, and nobody moves.
#[test]
fn reading_goes_on_while_a_write_is_blocked() {
    const COUNT: usize = 400;
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        let mut message = b"\x30\xb4\x9c\x01\0\x02in".to_vec();
        message.resize(5 + 20_016 - 1, b'x');
        let length = message.len() - 4;
        let digits = [length & 127 | 128, length >> 7 & 127 | 128, length >> 14];
        message[1..4].copy_from_slice(&digits.map(|digit| digit as u8));
        for _ in 0..COUNT {
            client.send(&message);
        }
        for _ in 0..COUNT {
            client.expect(PacketType::Publish);
        }
        client.expect_goodbye();
    });
    let text = "y".repeat(20_000);
    let mut probe = Probe::publishing(&vec![(QoS::AtMostOnce, text.as_str()); COUNT]);
    let (end, _) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc gave a SUBSCRIBE the identifier of a PUBLISH in flight.
#[test]
fn no_identifier_is_given_twice_at_a_time() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(b"\x32\x08\0\x01t\0\x01one");
        client.expect_bytes(b"\x82\x06\0\x02\0\x01s\0");
        client.expect_bytes(b"\x34\x08\0\x01t\0\x03two");
        client.expect_bytes(b"\xa2\x05\0\x04\0\x01s");
        client.close();
    });
    let mut probe = Probe::new(|_, client| {
        client
            .publish(&Message::new("t", b"one").qos(QOS_1))
            .unwrap();
        let how = SubscribeOptions::default();
        client.subscribe(&[("s", how)], Properties::EMPTY).unwrap();
        client
            .publish(&Message::new("t", b"two").qos(QOS_2))
            .unwrap();
        client.unsubscribe(&["s"], Properties::EMPTY).unwrap();
    });
    run(options(script.port, Version::V311), &mut probe);
    script.join();
}

/// With rumqttc each of these took one from the window for ever.
#[test]
fn a_refused_message_frees_its_place_in_the_window() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let list = properties(&[(PropertyId::ReceiveMaximum, Value::Two(1))]);
        let mut client = broker.accept_with(false, &list);
        client.expect_bytes(b"\x34\x09\0\x01t\0\x01\0one");
        assert!(
            client.is_silent_for(Duration::from_millis(50)),
            "the window is one"
        );
        client.send(&[0x50, 3, 0, 1, 0x97]);
        client.expect_bytes(b"\x34\x09\0\x01t\0\x02\0two");
        client.send(&[0x50, 2, 0, 2]);
        client.expect_bytes(&[0x62, 2, 0, 2]);
        client.send(&[0x70, 3, 0, 2, 0x92]);
        client.expect_bytes(b"\x32\x0b\0\x01t\0\x03\0three");
        client.send(&[0x40, 4, 0, 3, 0x10, 0]);
        client.expect_goodbye();
    });
    let mut probe = Probe::publishing(&[(QOS_2, "one"), (QOS_2, "two"), (QOS_1, "three")]);
    let (end, _) = run(options(script.port, Version::V5), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(probe.seen[1..], ["acked 0 97", "acked 1 92", "acked 2 10"]);
    script.join();
}

/// rumqttc's default was a timeout of no time at all.
#[test]
fn a_silent_broker_is_waited_for_and_then_given_up() {
    assert!(Dial::new(Address::tcp("h", 1)).timeout >= Duration::from_secs(5));
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept_raw();
        client.expect(PacketType::Connect);
        client.expect_close();
    });
    let mut options = options(script.port, Version::V311);
    options.connack_timeout = Duration::from_millis(100);
    let (end, _) = run(options, &mut Probe::watching());
    assert!(matches!(end, End::ConnackTimeout), "{end}");
    script.join();
}

/// In rumqttc an acknowledgement out of order left a "collision" behind, which then blocked the
/// next connection.
#[test]
fn acknowledgements_out_of_order_block_nothing() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(b"\x32\x06\0\x01t\0\x01a");
        client.expect_bytes(b"\x32\x06\0\x01t\0\x02b");
        client.send(&[0x40, 2, 0, 2]);
        client.expect_bytes(b"\x32\x06\0\x01t\0\x03c");
        client.send(&[0x40, 2, 0, 3]);
        client.expect_bytes(b"\x32\x06\0\x01t\0\x04d");
        client.close();
        let mut client = broker.accept();
        client.expect_bytes(b"\x32\x06\0\x01t\0\x01a");
        client.expect_bytes(b"\x32\x06\0\x01t\0\x02d");
        client.send(&[0x40, 2, 0, 1, 0x40, 2, 0, 2]);
        client.expect_goodbye();
    });
    let list = [(QOS_1, "a"), (QOS_1, "b"), (QOS_1, "c"), (QOS_1, "d")];
    let mut options = returning(script.port, Version::V311);
    options.inflight_max = 2;
    let mut probe = Probe::publishing(&list);
    let (end, _) = run(options, &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    probe.seen.retain(|line| line.starts_with("acked"));
    assert_eq!(
        probe.seen,
        ["acked 1 00", "acked 2 00", "acked 0 00", "acked 3 00"]
    );
    script.join();
}

/// The answer to the first PUBREL was lost with the connection, so the broker has forgotten it.
#[test]
fn a_pubrel_sent_again_may_find_nothing_left_to_release() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        client.expect(PacketType::Publish);
        client.send(&[0x50, 2, 0, 1]);
        client.expect_bytes(&[0x62, 2, 0, 1]);
        client.close();
        let mut client = broker.accept_with(true, &PropertiesBuf::new());
        client.expect_bytes(&[0x62, 2, 0, 1]);
        client.send(&[0x70, 3, 0, 1, 0x92]);
        client.expect_goodbye();
    });
    let mut probe = Probe::publishing(&[(QOS_2, "x")]);
    let (end, _) = run(returning(script.port, Version::V5), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(probe.seen[2..], ["acked 0 00"]);
    script.join();
}
