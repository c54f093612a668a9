//! `mqttx sub` as a program: what it prints, when, and how it ends.

use std::io::Read;
use std::process::{Command, Stdio};

use mqttx::mqtt::{PacketType, Version};

use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

fn ours(script: &Script, words: &str) -> Program {
    Program::mqttx()
        .words("sub -h 127.0.0.1 -p")
        .args([script.port.to_string()])
        .words(words)
}

/// Reads SUBSCRIBE (identifier 1, one filter) and grants QoS 0.
fn subscribed(peer: &mut Peer) {
    peer.expect(PacketType::Subscribe);
    peer.send(&[0x90, 3, 0, 1, 0]);
}

fn message(peer: &mut Peer, retain: bool, topic: &str, payload: &[u8]) {
    let mut bytes = vec![
        0x30 | u8::from(retain),
        (2 + topic.len() + payload.len()) as u8,
        0,
    ];
    bytes.push(topic.len() as u8);
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(payload);
    peer.send(&bytes);
}

fn check(left: &Left, status: i32, out: &str, err: &str) {
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (status, out, err)
    );
}

fn signal(name: &str, id: u32) {
    assert!(
        Command::new("kill")
            .args([name, &id.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn messages_are_printed_and_counted() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a/b", b"one");
        message(&mut peer, false, "a/c", b"");
        message(&mut peer, false, "a/d", b"three\xff");
        peer.expect_goodbye();
    });
    let left = ours(&script, "-t a/# -v -C 3").run();
    assert_eq!(left.status, 0, "{left:?}");
    assert_eq!(left.stdout, b"a/b one\na/c (null)\na/d three\xff\n");
    assert_eq!(left.err(), "");
    script.join();
}

#[test]
fn a_message_is_printed_before_the_next_one_comes() {
    let (told, heard) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"first");
        heard.recv().unwrap();
        message(&mut peer, false, "a", b"second");
        peer.expect_goodbye();
    });
    let mut running = ours(&script, "-t a -C 2").start();
    running.wait_for_out("first\n");
    told.send(()).unwrap();
    check(&running.end(), 0, "first\nsecond\n", "");
    script.join();
}

#[test]
fn the_time_limit() {
    let stay = |broker: &mut ScriptedBroker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"x");
        peer.expect_goodbye();
    };
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        stay(broker);
        stay(broker);
    });
    let left = ours(&script, "-t a -C 3 -W 1").run();
    check(
        &left,
        27,
        "x\n",
        "mqttx sub: timed out after 1 s with 1 of 3 messages\n",
    );
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_sub"))
        .words("-h 127.0.0.1 -t a -W 1 -p")
        .args([script.port.to_string()])
        .run();
    check(&left, 27, "x\n", "Timed out\n");
    script.join();
}

#[test]
fn a_broker_that_never_answers_subscribe() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.expect_goodbye();
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.expect_goodbye();
    });
    let left = ours(&script, "-t a -W 1").run();
    let told = "mqttx sub: timed out after 1 s without an answer to SUBSCRIBE\n";
    check(&left, 27, "", told);
    let left = Program::mqttx()
        .words("rr -V 311 -h 127.0.0.1 -t a -e b -m x -W 1 -p")
        .args([script.port.to_string()])
        .run();
    let told = "mqttx rr: timed out: no answer to SUBSCRIBE within 1 s\n";
    check(&left, 27, "", told);
    script.join();
}

#[test]
fn a_broker_that_never_answers_connect() {
    let mute = |broker: &mut ScriptedBroker| {
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.expect_close();
    };
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        mute(broker);
        mute(broker);
    });
    let left = ours(&script, "-t a -W 1").run();
    check(
        &left,
        27,
        "",
        &format!(
            "mqttx sub: timed out after 1 s without a connection to 127.0.0.1:{}\n  try: --cafile \
             FILE or --tls-use-os-certs, if the broker speaks TLS on this port; --ws, if WebSockets\n",
            script.port
        ),
    );
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_sub"))
        .words("-h 127.0.0.1 -t a -W 1 -p")
        .args([script.port.to_string()])
        .run();
    check(&left, 255, "", "");
    script.join();
}

#[test]
fn a_signal_parts_with_reason_4() {
    for name in ["-INT", "-TERM"] {
        let script = ScriptedBroker::start(Version::V5, |broker| {
            let mut peer = broker.accept();
            subscribed_v5(&mut peer);
            peer.send(b"\x30\x05\x00\x01a\x00x");
            peer.expect_bytes(&[0xe0, 1, 4]);
            peer.expect_close();
        });
        let mut running = ours(&script, "-V 5 -t a").start();
        running.wait_for_out("x\n");
        signal(name, running.id());
        check(&running.end(), 0, "x\n", "");
        script.join();
    }
}

fn subscribed_v5(peer: &mut Peer) {
    peer.expect(PacketType::Subscribe);
    peer.send(&[0x90, 4, 0, 1, 0, 0]);
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let (told, heard) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"x");
        heard.recv().unwrap();
        // Without another message to be written.
        peer.expect_goodbye();
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args([
            "sub",
            "-h",
            "127.0.0.1",
            "-t",
            "a",
            "-p",
            &script.port.to_string(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"x\n");
    told.send(()).unwrap();
    let status = child.wait().unwrap();
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
    script.join();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"x");
        peer.expect_goodbye();
    });
    let full = std::fs::File::options().write(true).open("/dev/full");
    let left = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-h", "127.0.0.1", "-t", "a", "-C", "1", "-p"])
        .arg(script.port.to_string())
        .stdout(full.unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let told = "mqttx sub: cannot write the messages: No space left on device\n";
    assert_eq!(String::from_utf8_lossy(&left.stderr), told);
    assert_eq!(left.status.code(), Some(1));
    script.join();
}

#[test]
fn every_subscription_refused() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        for _ in 0..2 {
            let mut peer = broker.accept();
            peer.expect(PacketType::Subscribe);
            peer.send(&[0x90, 4, 0, 1, 0, 0x87]);
            peer.expect(PacketType::Disconnect);
        }
    });
    let left = ours(&script, "-V 5 -t a").run();
    let told = "mqttx sub: all subscriptions were denied: not authorized (135)\n  \
                try: -u NAME -P, which asks for the password\n";
    check(&left, 135, "", told);
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_sub"))
        .words("-h 127.0.0.1 -V 5 -t a -p")
        .args([script.port.to_string()])
        .run();
    check(&left, 0, "", "All subscription requests were denied.\n");
    script.join();
}

/// The others go on; what was refused is named, and the status tells it in the end.
#[test]
fn some_subscriptions_refused() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        for _ in 0..2 {
            let mut peer = broker.accept();
            peer.expect(PacketType::Subscribe);
            peer.send(b"\x90\x10\x00\x01\x0a\x1f\x00\x07ask\x1b[Jo\x01\x87\x8f");
            peer.send(b"\x30\x05\x00\x01a\x00x");
            peer.expect(PacketType::Disconnect);
        }
    });
    let words = "-V 5 -t a -t b/+ -t c -q 1 -C 1";
    let told = "mqttx sub: the subscription to b/+ was refused: not authorized (135): ask\\x1b[Jo\n  \
                try: -u NAME -P, which asks for the password\n\
                mqttx sub: the subscription to c was refused: topic filter invalid (143): ask\\x1b[Jo\n";
    check(&ours(&script, words).run(), 135, "x\n", told);
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_sub"))
        .words("-h 127.0.0.1 -p")
        .args([script.port.to_string()])
        .words(words)
        .run();
    check(&left, 0, "x\n", "");
    script.join();
}

#[test]
fn a_lost_connection_is_had_again() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"one");
        drop(peer);
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        message(&mut peer, false, "a", b"two");
        peer.expect(PacketType::Disconnect);
    });
    let left = ours(&script, "-t a -C 2").run();
    assert_eq!(
        (left.status, left.out().as_str()),
        (0, "one\ntwo\n"),
        "{left:?}"
    );
    assert!(left.err().contains("trying again in 1s"), "{left:?}");
    script.join();
}

/// As mosquitto_sub does: behind a container's port there may be no broker yet.
#[test]
fn a_broker_that_hangs_up_at_first_is_tried_again_under_mosquittos_name() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        broker.accept_raw().expect(PacketType::Connect);
        let mut peer = broker.accept();
        subscribed(&mut peer);
        peer.expect(PacketType::Disconnect);
    });
    let links = Links::new();
    let words = format!("-h 127.0.0.1 -p {} -t a -E", script.port);
    let left = Program::new(links.path("mosquitto_sub"))
        .words(&words)
        .run();
    check(&left, 0, "", "");
    script.join();
}

#[test]
fn retained_messages() {
    let retained = |words: &'static str, out: &'static str| {
        let script = ScriptedBroker::start(Version::V311, |broker| {
            let mut peer = broker.accept();
            subscribed(&mut peer);
            message(&mut peer, true, "a", b"old");
            message(&mut peer, false, "b", b"new");
            peer.expect_goodbye();
        });
        check(&ours(&script, words).run(), 0, out, "");
        script.join();
    };
    retained("-t # -v --retained-only", "a old\n");
    retained("-t # -v -R -C 1", "b new\n");
    retained("-t # -v -T a -C 1", "b new\n");

    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, true, "a", b"old");
        peer.expect_bytes(b"\x33\x05\x00\x01a\x00\x02");
        peer.send(&[0x40, 2, 0, 2]);
        peer.expect_goodbye();
    });
    check(
        &ours(&script, "-t # --remove-retained -C 1").run(),
        0,
        "old\n",
        "",
    );
    script.join();
}

#[test]
fn only_unsubscribe() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        for (id, topic) in [(1, b'a'), (2, b'b')] {
            peer.expect_bytes(&[0xa2, 5, 0, id, 0, 1, topic]);
            peer.send(&[0xb0, 2, 0, id]);
        }
        peer.expect_goodbye();
    });
    check(&ours(&script, "-U a -U b").run(), 0, "", "");
    script.join();
}

#[test]
fn only_subscribe() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01b\x01");
        peer.send(&[0x90, 4, 0, 1, 1, 0x80]);
        peer.expect_goodbye();
    });
    let told = "mqttx sub: the subscription to b was refused\n";
    check(&ours(&script, "-t a -t b -q 1 -E").run(), 128, "", told);
    script.join();
}

#[test]
fn version_5_subscription_options() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x82\x09\x00\x01\x02\x0b\x07\x00\x01a\x2a");
        peer.send(&[0x90, 4, 0, 1, 0, 2]);
        peer.expect(PacketType::Disconnect);
    });
    let words = "-V 5 -t a -q 2 --retain-as-published -R -E -D subscribe subscription-identifier 7";
    check(&ours(&script, words).run(), 0, "", "");
    script.join();
}

#[test]
fn a_line_a_topic() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        for (topic, payload) in [("a", "1"), ("b", "2"), ("a", "3")] {
            message(&mut peer, false, topic, payload.as_bytes());
        }
        peer.expect_goodbye();
    });
    let out = "\x1b[2J\x1b[1;1HBroker: 127.0.0.1\n\
               \x1b[2;1H1\n\x1b[2;1H\n\x1b[3;1H2\n\x1b[3;1H\n\x1b[2;1H3\n\x1b[3;1H\n";
    check(&ours(&script, "-t # -w -C 3").run(), 0, out, "");
    script.join();
}

#[test]
fn messages_a_second() {
    let (told, heard) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"1");
        message(&mut peer, false, "a", b"2");
        heard.recv().unwrap();
        message(&mut peer, false, "a", b"3");
        peer.expect_goodbye();
    });
    let mut running = ours(&script, "-t a --message-rate -C 3").start();
    running.wait_for_out("2 msgs/s\n");
    told.send(()).unwrap();
    let left = running.end();
    assert_eq!((left.status, left.err().as_str()), (0, ""));
    assert!(left.out().starts_with("2 msgs/s\n"), "{left:?}");
    script.join();
}

#[test]
fn a_payload_that_is_no_json() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        subscribed(&mut peer);
        message(&mut peer, false, "a", b"{");
        peer.expect_goodbye();
    });
    let told = "Error: Message payload is not valid JSON on topic a.\n";
    check(&ours(&script, "-t a -F %J -C 1").run(), 0, "\n", told);
    script.join();
}

#[test]
fn what_cannot_be_is_refused() {
    for (words, told) in [
        #[cfg(not(feature = "psk"))]
        (
            "--psk ab --psk-identity me",
            "TLS-PSK (--psk) is not built into this mqttx",
        ),
        ("--cafile x --tls-engine e", "OpenSSL engines"),
        ("--insecure", "--insecure says nothing without TLS"),
        (
            "--cafile /nonexistent/ca",
            "cannot read /nonexistent/ca: No such file or directory",
        ),
        ("--tls-version tlsv1.1", "no TLS version 'tlsv1.1'"),
        (
            "-A 192.0.2.1.5",
            "no address of this machine to connect from (-A): 192.0.2.1.5",
        ),
    ] {
        let left = Program::mqttx().words("sub -t a").words(words).run();
        assert_eq!((left.status, left.out().as_str()), (1, ""), "{words}");
        assert!(
            left.err().starts_with(&format!("mqttx sub: {told}")),
            "{left:?}"
        );
    }
}
