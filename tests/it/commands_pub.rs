//! `mqttx pub` as a program: what it says to a broker, to a person, and to the shell.

use std::net::TcpListener;

use mqttx::mqtt::ack::put_ack;
use mqttx::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::{Packet, PacketType, Reason, Version};

use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

fn publish(peer: &mut Peer, version: Version) -> (String, Vec<u8>, u16) {
    let frame = peer.expect(PacketType::Publish);
    let Ok(Packet::Publish(publish)) = Packet::decode(&frame, version) else {
        panic!("no PUBLISH: {frame:02x?}");
    };
    let Publish {
        topic,
        payload,
        packet_id,
        ..
    } = publish;
    (
        topic.to_owned(),
        payload.to_vec(),
        packet_id.map_or(0, |id| id.value()),
    )
}

fn ack(peer: &mut Peer, id: u16) {
    peer.send(&[0x40, 2, (id >> 8) as u8, id as u8]);
}

fn ours(script: &Script, words: &str) -> Program {
    Program::mqttx()
        .words("pub -h 127.0.0.1 -p")
        .args([script.port.to_string()])
        .words(words)
}

fn succeeded(left: &Left) {
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (0, "", "")
    );
}

#[test]
fn a_message_of_each_qos() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x30\x08\x00\x03a/bone");
        peer.expect_goodbye();
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x32\x0a\x00\x03a/b\x00\x01two");
        ack(&mut peer, 1);
        peer.expect_goodbye();
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x35\x0c\x00\x03a/b\x00\x01three");
        peer.send(&[0x50, 2, 0, 1]);
        peer.expect_bytes(&[0x62, 2, 0, 1]);
        peer.send(&[0x70, 2, 0, 1]);
        peer.expect_goodbye();
    });
    succeeded(&ours(&script, "-t a/b -m one").run());
    succeeded(&ours(&script, "-t a/b -m two -q 1").run());
    succeeded(&ours(&script, "-t a/b -m three -q 2 -r").run());
    script.join();
}

#[test]
fn two_hundred_thousand_lines_arrive_one_and_all() {
    const LINES: u32 = 200_000;
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        let mut acks = Vec::new();
        for number in 0..LINES {
            let (_, payload, id) = publish(&mut peer, Version::V311);
            assert_eq!(payload, number.to_string().as_bytes());
            acks.clear();
            put_ack(
                PacketType::Puback,
                mqttx::mqtt::PacketId::new(id).unwrap(),
                &mut acks,
            );
            peer.send(&acks);
        }
        peer.expect_goodbye();
    });
    let lines: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    succeeded(&ours(&script, "-t t -l -q 1").input(lines).run());
    script.join();
}

#[test]
fn a_connection_lost_between_two_lines_is_taken_up_again() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        let (_, payload, id) = publish(&mut peer, Version::V311);
        assert_eq!(payload, b"one");
        ack(&mut peer, id);
        assert_eq!(publish(&mut peer, Version::V311).1, b"two");
        drop(peer);
        let mut peer = broker.accept();
        for line in [&b"two"[..], b"three"] {
            let (_, payload, id) = publish(&mut peer, Version::V311);
            assert_eq!(payload, line);
            ack(&mut peer, id);
        }
        peer.expect_goodbye();
    });
    let left = ours(&script, "-t t -l -q 1 -M 1")
        .input("one\ntwo\nthree")
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    assert!(left.err().starts_with("mqttx pub: "), "{left:?}");
    assert!(left.err().contains("trying again in 1s"), "{left:?}");
    script.join();
}

/// Some brokers refuse a message by hanging up, and would each time.
#[test]
fn a_message_the_broker_hangs_up_on_is_given_up() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for number in 0..9 {
            let mut peer = broker.accept();
            let (_, payload, id) = publish(&mut peer, Version::V311);
            if payload == b"one" && number == 3 {
                ack(&mut peer, id);
                assert_eq!(publish(&mut peer, Version::V311).1, b"two");
            }
        }
    });
    let left = ours(&script, "-t t -l -q 1 -M 1 --reconnect-period 1")
        .input("one\ntwo")
        .run();
    let told = "mqttx pub: connection lost: the broker closed the connection; \
                1 message was not delivered\n";
    assert_eq!(left.status, 7, "{left:?}");
    assert!(left.err().ends_with(told), "{left:?}");
    script.join();
}

#[test]
fn what_was_not_delivered_is_counted() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        for line in [&b"one"[..], b"two"] {
            assert_eq!(publish(&mut peer, Version::V311).1, line);
        }
        drop(peer);
        // Whoever comes back is sent away for good.
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.connack(false, Reason(5), Properties::EMPTY);
    });
    let left = ours(&script, "-t t -l -q 1").input("one\ntwo\n").run();
    assert_eq!(left.status, 5, "{left:?}");
    let told = format!(
        "\nmqttx pub: refused by 127.0.0.1:{}: not authorised (5); 2 messages were not delivered\n  try: ",
        script.port
    );
    assert!(left.err().contains(&told), "{left:?}");
    script.join();

    let links = Links::new();
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        publish(&mut peer, Version::V311);
    });
    let left = Program::new(links.path("mosquitto_pub"))
        .words("-h 127.0.0.1 -t t -m x -q 1 -p")
        .args([script.port.to_string()])
        .run();
    assert_eq!(left.status, 7, "{left:?}");
    assert_eq!(
        left.err(),
        "Error: The connection was lost\nError: 1 message was not delivered.\n"
    );
    script.join();
}

#[test]
fn a_message_the_broker_refuses() {
    let refuse = |broker: &mut ScriptedBroker| {
        let mut peer = broker.accept();
        publish(&mut peer, Version::V5);
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::ReasonString, Value::String("no such room"));
        peer.send_packet(&Packet::Puback(mqttx::mqtt::ack::Ack {
            packet_id: mqttx::mqtt::PacketId::new(1).unwrap(),
            reason: Reason::NOT_AUTHORIZED,
            properties: properties.properties(),
        }));
        peer.expect(PacketType::Disconnect);
    };
    let script = ScriptedBroker::start(Version::V5, move |broker| {
        refuse(broker);
        refuse(broker);
    });
    let left = ours(&script, "-V 5 -t t -m x -q 1").run();
    assert_eq!(left.status, 135, "{left:?}");
    assert_eq!(
        left.err(),
        "mqttx pub: message 1 refused: not authorized (135): no such room\n"
    );

    let links = Links::new();
    let left = Program::new(links.path("mosquitto_pub"))
        .words("-h 127.0.0.1 -V 5 -t t -m x -q 1 -p")
        .args([script.port.to_string()])
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    assert_eq!(
        left.err(),
        "Warning: Publish 1 failed: Not authorized.\nno such room\n"
    );
    script.join();
}

#[test]
fn many_messages_the_broker_refuses() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept();
        for _ in 0..8 {
            let (_, _, id) = publish(&mut peer, Version::V5);
            peer.send(&[0x40, 3, 0, id as u8, 0x97]);
        }
        peer.expect(PacketType::Disconnect);
    });
    let left = ours(&script, "-V 5 -t t -m x -q 1 --repeat 8").run();
    assert_eq!(left.status, 151, "{left:?}");
    let lines: Vec<String> = left.err().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 6, "{left:?}");
    assert_eq!(
        lines[0],
        "mqttx pub: message 1 refused: quota exceeded (151)"
    );
    let last = "mqttx pub: 8 of 8 messages were refused, the first one: quota exceeded";
    assert_eq!(lines[5], last);
    script.join();
}

#[test]
fn a_client_the_broker_refuses() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::ReasonString, Value::String("ask the boss"));
        peer.connack(false, Reason::BANNED, properties.properties());
        peer.expect_close();
    });
    let left = ours(&script, "-V 5 -t t -m x").run();
    assert_eq!(left.status, 138, "{left:?}");
    let place = format!("127.0.0.1:{}", script.port);
    assert_eq!(
        left.err(),
        format!("mqttx pub: refused by {place}: banned (138): ask the boss\n")
    );
    script.join();
}

#[test]
fn nobody_listens() {
    // Bound and dropped: nobody else is likely to listen there in the same moment.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let left = Program::mqttx()
        .words("pub -h 127.0.0.1 -t t -m x -p")
        .args([&port])
        .run();
    assert_eq!(left.status, 1);
    assert_eq!(
        left.err(),
        format!(
            "mqttx pub: cannot connect to 127.0.0.1:{port}: Connection refused\n  \
             try: -h and -p, with where the broker is; mqttx broker starts one here\n"
        )
    );
}

#[test]
fn an_alias_stands_in_for_the_topic_from_the_second_message_on() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::TopicAliasMaximum, Value::Two(5));
        let mut peer = broker.accept_with(false, &properties);
        peer.expect_bytes(b"\x30\x0a\x00\x03a/b\x03\x23\x00\x05x");
        peer.expect_bytes(b"\x30\x07\x00\x00\x03\x23\x00\x05x");
        peer.expect_bytes(b"\x30\x07\x00\x00\x03\x23\x00\x05x");
        peer.expect(PacketType::Disconnect);
    });
    succeeded(&ours(&script, "-t a/b -m x -D publish topic-alias 5 --repeat 3").run());
    script.join();
}

#[test]
fn options_come_from_a_file_and_the_line_wins() {
    let home = tempfile::tempdir().unwrap();
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for expected in [b"\x30\x05\x00\x01ton", b"\x30\x05\x00\x01tup"] {
            let mut peer = broker.accept();
            peer.expect_bytes(expected);
            peer.expect_goodbye();
        }
    });
    let text = format!(
        "# a comment\r\n-h 127.0.0.1\r\n-p {}\r\n\r\n-t t\r\n",
        script.port
    );
    std::fs::write(home.path().join("mosquitto_pub"), &text).unwrap();
    let left = Program::mqttx()
        .env("XDG_CONFIG_HOME", home.path())
        .words("pub -m on")
        .run();
    succeeded(&left);

    let other = home.path().join("other");
    std::fs::write(&other, text).unwrap();
    let left = Program::mqttx().words("pub -m up -o").args([&other]).run();
    succeeded(&left);
    script.join();

    let left = Program::mqttx()
        .words("pub -m up -t t -o /nonexistent/file")
        .run();
    assert_eq!(left.status, 1);
    assert!(
        left.err()
            .starts_with("mqttx pub: cannot read options from /nonexistent/file: ")
    );
}

#[test]
fn help_and_version() {
    let left = Program::mqttx().words("pub --help").run();
    assert_eq!((left.status, left.err().as_str()), (0, ""));
    for part in [
        "Usage: mqttx pub",
        "--topic",
        "--will-topic",
        "Examples:",
        "Exit status:",
    ] {
        assert!(left.out().contains(part), "{part} is not in {}", left.out());
    }
    let left = Program::mqttx().words("--version").run();
    assert_eq!(left.status, 0);
    assert!(left.out().starts_with("mqttx "));
    assert!(left.out().contains("not EMQX's"));

    let links = Links::new();
    for (words, start) in [
        ("--help", "mosquitto_pub is "),
        ("--version", "mosquitto_pub version 2.1.2 running on mqttx"),
    ] {
        let left = Program::new(links.path("mosquitto_pub")).words(words).run();
        assert_eq!((left.status, left.err().as_str()), (1, ""));
        assert!(left.out().starts_with(start), "{}", left.out());
    }
}

/// Words that make no sense, and what is said of them.
const BAD_WORDS: &[(&str, &str)] = &[
    ("pub", "both topic and message must be supplied"),
    ("pub -t a", "both topic and message must be supplied"),
    (
        "pub -t a/# -m b",
        "invalid publish topic 'a/#', does it contain '+' or '#'?",
    ),
    ("pub -t a -m b -q x", "-q needs a whole number, not 'x'"),
    ("pub -t a -m b -q 3", "invalid QoS given: 3"),
    ("pub -t a -m b --qos=3", "invalid QoS given: 3"),
    ("pub -t a -m b --retain=1", "--retain takes no value"),
    (
        "pub -t a -m b --repeat-delay soon",
        "--repeat-delay needs a number, not 'soon'",
    ),
    (
        "pub -t a -m b -p",
        "-p argument given but no port specified",
    ),
    ("pub -t a -m b --topc x", "unknown option '--topc'"),
    ("pub -t a -m b stray", "unknown option 'stray'"),
    (
        "pub -t a -m b -n",
        "only one type of message can be sent at once",
    ),
    (
        "pub -t a -m b -c",
        "you must provide a client id if you are using the -c option",
    ),
    (
        "pub -t a -m b --cert x",
        "both certfile and keyfile must be provided if one of them is set",
    ),
    (
        "pub -t a -m b -D connect receive-maximum 0",
        "the properties of CONNECT cannot be sent",
    ),
    (
        "pub -t a -f /nonexistent/x",
        "unable to read file \"/nonexistent/x\": No such file",
    ),
    (
        "sub",
        "you must specify a topic to subscribe to (-t) or unsubscribe from (-U)",
    ),
    ("sub -t a -F %z", "invalid format specifier 'z'"),
    (
        "sub -t a -R --retained-only",
        "combining '-R' and '--retained-only' makes no sense",
    ),
    (
        "rr -t a -m b",
        "all of topic, message, and response topic must be supplied",
    ),
];

/// One line on stderr, status 1, nothing sent: in our own words.
#[test]
fn bad_words() {
    for (words, told) in BAD_WORDS {
        let left = Program::mqttx().words(words).run();
        let command = words.split(' ').next().unwrap();
        assert_eq!((left.status, left.out().as_str()), (1, ""), "{words}");
        let told = format!("mqttx {command}: {told}");
        assert!(
            left.err().starts_with(&told),
            "{words}: {:?} is not {told:?}",
            left.err()
        );
        let mut rest = left
            .err()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>();
        rest.retain(|line| !line.starts_with("  try: "));
        assert_eq!(rest, [""; 0], "{words}");
    }
}

#[test]
fn commands_that_are_none() {
    for words in ["", "nosuch", "help nosuch"] {
        let left = Program::mqttx().words(words).run();
        assert_eq!((left.status, left.out().as_str()), (1, ""), "{words}");
        assert!(left.err().contains("mqttx"), "{left:?}");
    }
    let left = Program::mqttx().words("help").run();
    assert_eq!(left.status, 0);
    assert!(left.out().contains("\n  pub "), "{left:?}");
}

#[test]
fn links_bring_their_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".local/bin");
    let words = [std::ffi::OsStr::new("link"), folder.as_os_str()];
    let left = Program::mqttx().args(words).run();
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    assert!(std::fs::read_link(folder.join("mosquitto_sub")).is_ok());
}

#[test]
fn links_are_made_once() {
    let links = Links::new();
    let folder = links.path("");
    let words = [std::ffi::OsStr::new("link"), folder.as_os_str()];
    assert_eq!(
        Program::mqttx().args(words).run().status,
        0,
        "a second time changes nothing"
    );
    let taken = links.path("mosquitto_rr");
    std::fs::remove_file(&taken).unwrap();
    std::fs::write(&taken, "mine").unwrap();
    let left = Program::mqttx().args(words).run();
    assert_eq!(left.status, 1);
    assert!(left.err().contains("is there already"), "{left:?}");
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    assert_eq!(
        Program::mqttx().args(words).words("--force").run().status,
        0
    );
    assert!(std::fs::read_link(&taken).is_ok());
}
