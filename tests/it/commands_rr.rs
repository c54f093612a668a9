//! `mqttx rr` as a program: request and response.

use mqttx::mqtt::property::PropertyId;
use mqttx::mqtt::{Packet, PacketType, Version};

use crate::support::programs::{Links, Program};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

fn ours(script: &Script, words: &str) -> Program {
    Program::mqttx()
        .words("rr -h 127.0.0.1 -p")
        .args([script.port.to_string()])
        .words(words)
}

fn subscribed(peer: &mut Peer) {
    peer.expect_bytes(b"\x82\x0a\x00\x01\x00\x00\x04resp\x00");
    peer.send(&[0x90, 4, 0, 1, 0, 0]);
}

/// Reads the request and looks at its Response Topic.
fn requested(peer: &mut Peer) {
    let frame = peer.expect(PacketType::Publish);
    let Ok(Packet::Publish(publish)) = Packet::decode(&frame, Version::V5) else {
        panic!("no PUBLISH: {frame:02x?}");
    };
    assert_eq!((publish.topic, publish.payload), ("req", &b"ping"[..]));
    assert_eq!(
        publish.properties.text(PropertyId::ResponseTopic),
        Some("resp")
    );
}

#[test]
fn the_response_is_printed() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        requested(&mut peer);
        peer.send(b"\x30\x0b\x00\x04resp\x00pong");
        peer.expect(PacketType::Disconnect);
    });
    let left = ours(&script, "-t req -e resp -m ping -v").run();
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (0, "resp pong\n", "")
    );
    script.join();
}

#[test]
fn a_response_to_somebody_else_is_passed_over() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        requested(&mut peer);
        peer.send(b"\x30\x0e\x00\x04resp\x04\x09\x00\x01yhis");
        peer.send(b"\x30\x0f\x00\x04resp\x04\x09\x00\x01xmine");
        peer.expect(PacketType::Disconnect);
    });
    let words = "-t req -e resp -m ping -D publish correlation-data x";
    let left = ours(&script, words).run();
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (0, "mine\n", "")
    );
    script.join();
}

#[test]
fn no_response() {
    let stay = |broker: &mut ScriptedBroker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        requested(&mut peer);
        peer.expect_bytes(&[0xe0, 1, 4]);
        peer.expect_close();
    };
    let script = ScriptedBroker::start(Version::V5, move |broker| {
        stay(broker);
        stay(broker);
    });
    let left = ours(&script, "-t req -e resp -m ping -W 1").run();
    assert_eq!(left.status, 27);
    assert_eq!(left.err(), "mqttx rr: timed out: no response within 1 s\n");
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_rr"))
        .words("-h 127.0.0.1 -t req -e resp -m ping -W 1 -p")
        .args([script.port.to_string()])
        .run();
    assert_eq!((left.status, left.err().as_str()), (27, "Timed out\n"));
    script.join();
}

#[test]
fn a_response_topic_the_broker_refuses() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        for _ in 0..2 {
            let mut peer = broker.accept();
            peer.expect(PacketType::Subscribe);
            peer.send(b"\x90\x0a\x00\x01\x06\x1f\x00\x03ask\x97");
            peer.expect(PacketType::Disconnect);
        }
    });
    let left = ours(&script, "-t req -e resp -m ping").run();
    let told = "mqttx rr: the subscription to resp was refused: quota exceeded (151): ask\n";
    assert_eq!((left.status, left.err().as_str()), (151, told));
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_rr"))
        .words("-h 127.0.0.1 -t req -e resp -m ping -p")
        .args([script.port.to_string()])
        .run();
    assert_eq!((left.status, left.err().as_str()), (0, "Quota exceeded\n"));
    script.join();
}

#[test]
fn latency() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        requested(&mut peer);
        peer.send(b"\x30\x0b\x00\x04resp\x00pong");
        peer.expect(PacketType::Disconnect);
    });
    let left = ours(&script, "-t req -e resp -m ping --latency").run();
    assert_eq!(left.status, 0);
    let lines: Vec<String> = left.out().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "pong");
    assert!(lines[1].starts_with("Latency: "), "{left:?}");
    script.join();
}

#[test]
fn two_response_topics() {
    let left = Program::mqttx()
        .words("rr -t a -m b -e c -D publish response-topic d")
        .run();
    assert_eq!(left.status, 1);
    assert_eq!(
        left.err(),
        "mqttx rr: error in PUBLISH properties: Duplicate response topic\n"
    );
}
