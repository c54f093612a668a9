//! What rumqttc's codec does wrong, done right: bytes that it was seen to lose, misread, or write
//! otherwise than the standard or its user wants. What its event loop does wrong is in
//! `client_repairs`.

use mqttx::client::{End, Engine, Event, Handler, Message, Options, Prepared, Refused};
use mqttx::mqtt::auth::Auth;
use mqttx::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::topic::matches;
use mqttx::mqtt::{Packet, PacketType, QoS, Reason, Version};

use crate::support::probe::{Probe, options, properties, returning, run};
use crate::support::scripted_broker::ScriptedBroker;

const QOS_1: QoS = QoS::AtLeastOnce;
const QOS_2: QoS = QoS::ExactlyOnce;

/// rumqttc swallowed it: only a closed connection was to be seen.
#[test]
fn a_disconnect_of_one_byte_tells_its_reason() {
    let with_properties = {
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::ReasonString, Value::String("moved in"));
        properties
    };
    for (bytes, reason, words) in [
        (vec![0xe0, 0], 0, None),
        (vec![0xe0, 1, 0x8e], 0x8e, None),
        (vec![0xe0, 2, 0x8e, 0], 0x8e, None),
        (
            [
                &[0xe0, 13, 0x8e, 11][..],
                with_properties.properties().raw(),
            ]
            .concat(),
            0x8e,
            Some("moved in"),
        ),
    ] {
        let script = ScriptedBroker::start(Version::V5, move |broker| {
            let mut client = broker.accept();
            client.send(&bytes);
            client.expect_close();
        });
        let mut probe = Probe::watching();
        let (end, _) = run(options(script.port, Version::V5), &mut probe);
        assert_eq!(end.reason_string(), words);
        assert!(
            matches!(end, End::Disconnected { reason: Reason(r), .. } if r == reason),
            "{end}"
        );
        assert_eq!(probe.seen[1], format!("disconnect {reason:02x}"));
        script.join();
    }
}

/// rumqttc delivered it with an empty topic.
#[test]
fn a_topic_alias_is_resolved_before_the_message_is_delivered() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        client.send(b"\x30\x0e\0\x03a/b\x03\x23\0\x01first");
        client.send(b"\x30\x0c\0\0\x03\x23\0\x01second");
        client.send(b"\x30\x0c\0\x01c\x03\x23\0\x01third");
        client.send(b"\x30\x0c\0\0\x03\x23\0\x01fourth");
        client.send(b"\x30\x06\0\0\x03\x23\0\x02");
        client.expect_bytes(&[0xe0, 1, 0x94]);
    });
    let mut probe = Probe::watching();
    let mut options = options(script.port, Version::V5);
    options
        .properties
        .push(PropertyId::TopicAliasMaximum, Value::Two(2));
    let (end, _) = run(options, &mut probe);
    assert_eq!(
        probe.seen[1..],
        ["a/b 0 first", "a/b 0 second", "c 0 third", "c 0 fourth"]
    );
    assert!(
        matches!(end, End::Violation(v) if v.reason == Reason::TOPIC_ALIAS_INVALID),
        "{end}"
    );
    script.join();
}

/// rumqttc counted one byte too many for each of them and cut into the payload.
#[test]
fn subscription_identifiers_leave_the_payload_alone() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        for count in 1..=4 {
            let mut list = PropertiesBuf::new();
            for id in 0..count {
                list.push(
                    PropertyId::SubscriptionIdentifier,
                    Value::Variable(100 + id * 100),
                );
            }
            list.push(PropertyId::ContentType, Value::String("text/plain"));
            client.send_packet(&Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic: "a",
                packet_id: None,
                properties: list.properties(),
                payload: b"PAYLOAD",
            }));
        }
        client.close();
    });
    let mut probe = Probe::watching();
    run(options(script.port, Version::V5), &mut probe);
    assert_eq!(probe.seen[1..], ["a 0 PAYLOAD"; 4]);
    script.join();
}

/// rumqttc sent it, was thrown out, and sent it again on the next connection.
#[test]
fn a_packet_above_the_brokers_maximum_is_refused_here() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let list = properties(&[(PropertyId::MaximumPacketSize, Value::Four(40))]);
        let mut client = broker.accept_with(false, &list);
        client.expect_bytes(b"\x30\x05\0\x01t\0y");
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|_, client| {
        let large = [b'x'; 40];
        for qos in [QoS::AtMostOnce, QOS_1, QOS_2] {
            let refused = client.publish(&Message::new("t", &large).qos(qos));
            assert_eq!(refused, Err(Refused::TooLarge));
        }
        let prepared = Prepared::new(&Message::new("t", &large), Version::V5).unwrap();
        assert_eq!(client.send(&prepared, |_| {}), Err(Refused::TooLarge));
        let long = "s".repeat(40);
        let how = SubscribeOptions::default();
        let refused = client.subscribe(&[(&long, how)], Properties::EMPTY);
        assert_eq!(refused, Err(Refused::TooLarge));
        client.publish(&Message::new("t", b"y")).unwrap();
        client.finish();
    });
    let (end, _) = run(options(script.port, Version::V5), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc took more than 10 KiB for an error unless told otherwise, and met it again and again.
#[test]
fn a_large_message_is_received_without_being_asked_for() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        let mut bytes = b"\x30\x84\x80\x80\x01\0\x01t".to_vec();
        bytes.resize(5 + 4 + 2_097_152 - 1, b'x');
        let mut whole = Vec::new();
        whole.extend_from_slice(&bytes);
        let length = whole.len() - 5;
        let digit = |shift: usize| (length >> shift & 127) as u8;
        whole[1..5].copy_from_slice(&[digit(0) | 128, digit(7) | 128, digit(14) | 128, digit(21)]);
        client.send(&whole);
        client.expect_goodbye();
    });
    let mut probe = Probe::new(|line, client| {
        if line.starts_with("t 0 x") {
            client.finish();
        }
    });
    let (end, _) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(probe.seen[1].len(), "t 0 ".len() + 2_097_152);
    script.join();
}

/// rumqttc's enums count from zero: "not authorized" came out as 4, or as 11.
#[test]
fn reason_codes_are_those_of_the_wire() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        client.expect(PacketType::Publish);
        client.send(&[0x40, 3, 0, 1, 0x87]);
        client.expect_goodbye();
        let mut client = broker.accept_raw();
        client.expect(PacketType::Connect);
        let list = properties(&[
            (PropertyId::ReasonString, Value::String("who are you")),
            (PropertyId::ServerReference, Value::String("elsewhere")),
        ]);
        client.connack(false, Reason::NOT_AUTHORIZED, list.properties());
        client.expect_close();
    });
    let mut probe = Probe::publishing(&[(QOS_1, "x")]);
    run(options(script.port, Version::V5), &mut probe);
    assert_eq!(probe.seen[1], "acked 0 87");
    let mut probe = Probe::watching();
    let (end, _) = run(options(script.port, Version::V5), &mut probe);
    assert_eq!(probe.seen, ["connack false 87"]);
    assert_eq!(end.reason_string(), Some("who are you"));
    let End::Refused {
        reason: Reason::NOT_AUTHORIZED,
        properties,
        ..
    } = &end
    else {
        panic!("{end}");
    };
    let reference = properties.properties().text(PropertyId::ServerReference);
    assert_eq!(reference, Some("elsewhere"));
    script.join();
}

/// rumqttc wrote a stray byte behind the reason.
#[test]
fn a_disconnect_with_a_reason_is_three_bytes() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept();
        client.expect_bytes(&[0xe0, 1, 4]);
        client.expect_close();
        let mut client = broker.accept();
        client.expect_bytes(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9]);
        client.expect_close();
    });
    let will = Reason::DISCONNECT_WITH_WILL;
    let mut probe = Probe::new(move |_, client| client.disconnect(will, Properties::EMPTY));
    run(options(script.port, Version::V5), &mut probe);
    let mut probe = Probe::new(|_, client| {
        let list = properties(&[(PropertyId::SessionExpiryInterval, Value::Four(9))]);
        client.disconnect(Reason::NORMAL_DISCONNECTION, list.properties());
    });
    run(options(script.port, Version::V5), &mut probe);
    script.join();
}

/// rumqttc kept such a message and failed with it on every later connection.
#[test]
fn a_topic_alias_the_broker_does_not_take_is_refused_here() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let list = properties(&[(PropertyId::TopicAliasMaximum, Value::Two(2))]);
        let mut client = broker.accept_with(false, &list);
        client.expect_bytes(b"\x32\x0c\0\x03a/b\0\x01\x03\x23\0\x02x");
        client.expect_bytes(b"\x30\x07\0\0\x03\x23\0\x02y");
        client.close();
        let mut client = broker.accept_with(true, &list);
        // The alias went with the connection; the topic did not.
        client.expect_bytes(b"\x3a\x09\0\x03a/b\0\x01\0x");
        client.expect_bytes(b"\x30\x0a\0\x03a/b\x03\x23\0\x02z");
        client.send(&[0x40, 2, 0, 1]);
        client.expect_goodbye();
    });
    let probe = Probe::new(|_, client| {
        let alias = |alias| properties(&[(PropertyId::TopicAlias, Value::Two(alias))]);
        let publish = |client: &mut Engine, topic, text: &str, number, qos| {
            let list = alias(number);
            let properties = list.properties();
            client.publish(&Message {
                properties,
                ..Message::new(topic, text.as_bytes()).qos(qos)
            })
        };
        let at_most = QoS::AtMostOnce;
        if client.is_first_connection() {
            assert_eq!(
                publish(client, "a/b", "x", 3, QOS_1),
                Err(Refused::TopicAlias)
            );
            assert_eq!(
                publish(client, "a/b", "x", 0, QOS_1),
                Err(Refused::TopicAlias)
            );
            assert_eq!(publish(client, "", "x", 2, QOS_1), Err(Refused::TopicAlias));
            publish(client, "a/b", "x", 2, QOS_1).unwrap();
            publish(client, "", "y", 2, at_most).unwrap();
        } else {
            publish(client, "", "z", 2, at_most).unwrap();
            client.finish();
        }
    });
    let mut options = returning(script.port, Version::V5);
    options
        .properties
        .push(PropertyId::SessionExpiryInterval, Value::Four(60));
    let mut once = OnConnack(probe);
    let (end, _) = run(options, &mut once);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// Lets a probe see CONNACK only.
struct OnConnack(Probe);

impl Handler for OnConnack {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        if let Event::Connack(_) = event {
            self.0.handle(event, client);
        }
    }
}

/// rumqttc's matcher panicked on the first and was wrong about the second.
#[test]
fn filters_match_topics_of_any_letters() {
    assert!(matches("+/x", "é/x"));
    assert!(matches("$SYS/#", "$SYS/a"));
}

/// rumqttc let these pass, or reported them as a closed channel.
#[test]
fn a_wrong_topic_is_named_and_nothing_is_sent() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        broker.accept().expect_goodbye();
    });
    let mut probe = Probe::new(|_, client| {
        for topic in ["", "a\0b", "a/+", "#"] {
            for qos in [QoS::AtMostOnce, QOS_1] {
                let refused = client.publish(&Message::new(topic, b"x").qos(qos));
                assert!(
                    matches!(refused, Err(Refused::Topic(_))),
                    "{topic:?}: {refused:?}"
                );
            }
        }
        let how = SubscribeOptions::default();
        for filter in ["", "a/#/b", "a+", "$share//a"] {
            let refused = client.subscribe(&[(filter, how)], Properties::EMPTY);
            assert!(
                matches!(refused, Err(Refused::Topic(_))),
                "{filter:?}: {refused:?}"
            );
        }
        assert!(client.subscribe(&[], Properties::EMPTY).is_err());
        client.finish();
        assert_eq!(
            client.publish(&Message::new("t", b"x")),
            Err(Refused::NotConnected)
        );
    });
    let (end, _) = run(options(script.port, Version::V311), &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc could neither read an AUTH nor write one.
#[test]
fn an_enhanced_authentication_goes_back_and_forth() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut client = broker.accept_raw();
        let connect = client.expect(PacketType::Connect);
        let list = properties(&[
            (PropertyId::AuthenticationMethod, Value::String("TURN")),
            (PropertyId::AuthenticationData, Value::Binary(b"1")),
        ]);
        let raw = list.properties().raw().to_vec();
        assert!(
            connect.windows(raw.len()).any(|window| window == raw),
            "in the order typed"
        );
        let auth = Auth {
            reason: Reason::CONTINUE_AUTHENTICATION,
            properties: list.properties(),
        };
        client.send_packet(&Packet::Auth(auth));
        let answer = client.expect(PacketType::Auth);
        assert_eq!(answer[2], 0x18);
        client.connack(false, Reason::SUCCESS, Properties::EMPTY);
        client.expect_goodbye();
    });
    let method = || {
        properties(&[
            (PropertyId::AuthenticationMethod, Value::String("TURN")),
            (PropertyId::AuthenticationData, Value::Binary(b"1")),
        ])
    };
    let mut probe = Probe::new(move |line, client| match line {
        "auth 18" => client.auth(Reason::CONTINUE_AUTHENTICATION, method().properties()),
        _ => client.finish(),
    });
    let mut options = options(script.port, Version::V5);
    options.properties = properties(&[
        (PropertyId::AuthenticationMethod, Value::String("TURN")),
        (PropertyId::AuthenticationData, Value::Binary(b"1")),
    ]);
    let (end, _) = run(options, &mut probe);
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// rumqttc knows no level 3, takes passwords for text and leaves an empty user name out.
#[test]
fn connect_says_what_was_asked_in_every_version() {
    type Ask = fn(&mut Options);
    let cases: [(Version, Ask, &[u8]); 6] = [
        (
            Version::V31,
            |_| {},
            b"\x10\x14\0\x06MQIsdp\x03\x02\0\x3c\0\x06tester",
        ),
        (
            Version::V311,
            |_| {},
            b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06tester",
        ),
        (
            Version::V5,
            |_| {},
            b"\x10\x13\0\x04MQTT\x05\x02\0\x3c\0\0\x06tester",
        ),
        (
            Version::V311,
            |options| {
                options.user_name = Some("u".into());
                options.password = Some(vec![0, 0xff].into());
            },
            b"\x10\x19\0\x04MQTT\x04\xc2\0\x3c\0\x06tester\0\x01u\0\x02\0\xff",
        ),
        (
            Version::V311,
            |options| options.user_name = Some(String::new()),
            b"\x10\x14\0\x04MQTT\x04\x82\0\x3c\0\x06tester\0\0",
        ),
        (
            Version::V311,
            |options| {
                options.user_name = Some("u".into());
                options.password = Some(b"p".to_vec().into());
            },
            b"\x10\x18\0\x04MQTT\x04\xc2\0\x3c\0\x06tester\0\x01u\0\x01p",
        ),
    ];
    for (version, ask, bytes) in cases {
        let script = ScriptedBroker::start(version, move |broker| {
            let mut client = broker.accept_raw();
            client.expect_bytes(bytes);
            client.close();
        });
        let mut options = options(script.port, version);
        ask(&mut options);
        run(options, &mut Probe::watching());
        script.join();
    }
}
