//! `mqttx pub` making messages: topics from lines, JSON lines, templates, formats, a rate, a proof.

use mqttx::mqtt::{PacketType, Version};

use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

/// A broker that expects these packets, then the end.
fn expects(version: Version, packets: &'static [&'static [u8]]) -> Script {
    ScriptedBroker::start(version, move |broker| {
        let mut peer = broker.accept();
        for packet in packets {
            peer.expect_bytes(packet);
            acknowledge(&mut peer, packet, version);
        }
        peer.expect(PacketType::Disconnect);
        peer.expect_close();
    })
}

fn acknowledge(peer: &mut Peer, packet: &[u8], version: Version) {
    if packet[0] & 6 == 2 {
        let id = 4 + usize::from(packet[3]);
        peer.send(&[0x40, 2, packet[id], packet[id + 1]]);
        assert_ne!(version, Version::V31);
    }
}

fn publish(port: u16, words: &[&str]) -> Program {
    Program::mqttx()
        .words("pub -h 127.0.0.1 -p")
        .args([port.to_string()])
        .args(words)
}

#[track_caller]
fn check(packets: &'static [&'static [u8]], words: &[&str], input: &str, status: i32, err: &str) {
    let script = expects(Version::V311, packets);
    let left = publish(script.port, words).input(input).run();
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (status, "", err)
    );
    script.join();
}

#[test]
fn topics_from_lines() {
    let packets: &[&[u8]] = &[b"\x30\x05\0\x03a/b", b"\x30\x07\0\x01cx\ty "];
    check(packets, &["--topic-from-line"], "a/b\t\nc\tx\ty \n", 0, "");
    check(
        &[b"\x30\x06\0\x01a = "],
        &["--topic-from-line=:", "-l"],
        "a: = \n",
        0,
        "",
    );
    check(
        &[b"\x30\x04\0\x01ax"],
        &["--topic-from-line"],
        "a\tx\nno tab\nb\ty\n",
        65,
        "mqttx pub: line 2: no '\\t' between topic and payload\n",
    );
    check(
        &[],
        &["--topic-from-line"],
        "a/#\tx\n",
        65,
        "mqttx pub: line 1: U+0000 or a wildcard in a Topic Name\n",
    );
}

#[test]
fn json_lines() {
    let packets: &[&[u8]] = &[
        b"\x31\x04\0\x01tx",
        b"\x32\x07\0\x01u\0\x01\x00\xff",
        b"\x30\x0a\0\x01t{\"a\":1}",
        b"\x30\x03\0\x01t",
    ];
    let input = r#"{"payload":"x","retain":true}
{"topic":"u","qos":1,"payload_hex":"00ff"}
{"payload":{"a":1}}
{"payload":null,"tst":"whatever"}
"#;
    check(packets, &["--jsonl", "-t", "t"], input, 0, "");
    check(
        &[],
        &["--jsonl"],
        "{\"payload\":1}\n",
        65,
        "mqttx pub: line 1: no topic, neither here nor as -t\n",
    );
    check(
        &[],
        &["--jsonl", "-t", "t"],
        "{\n",
        65,
        "mqttx pub: line 1: no JSON: EOF while parsing an object at line 1 column 1\n",
    );
    check(
        &[],
        &["--jsonl", "-t", "t"],
        "{\"payload\":\"\",\"properties\":{\"content-type\":\"a\"}}\n",
        65,
        "mqttx pub: line 1: properties need version 5: -V 5\n",
    );
    let packets: &[&[u8]] = &[b"\x30\x10\0\x01t\x0b\x03\0\x01a\x26\0\x01k\0\x01vx"];
    let script = expects(Version::V5, packets);
    let line = r#"{"payload":"x","properties":{"content-type":"a","user-properties":[{"k":"v"}]}}"#;
    let left = publish(script.port, &["--jsonl", "-t", "t", "-V", "5"])
        .input(line)
        .run();
    assert_eq!((left.status, left.err().as_str()), (0, ""));
    script.join();
}

#[test]
fn payloads_in_other_clothes() {
    check(
        &[b"\x30\x05\0\x01t\x00\xff"],
        &["-t", "t", "-m", "00:FF", "--format", "hex"],
        "",
        0,
        "",
    );
    check(
        &[b"\x30\x05\0\x01thi"],
        &["-t", "t", "-l", "--format", "base64"],
        "aGk=\n",
        0,
        "",
    );
    check(
        &[b"\x30\x07\0\x01t\xa1aa\x01"],
        &["-t", "t", "-s", "--format=cbor"],
        "{\"a\":1}",
        0,
        "",
    );
    check(
        &[b"\x30\x05\0\x01t01"],
        &["-t", "t", "--payload-size", "2"],
        "",
        0,
        "",
    );
    check(
        &[b"\x30\x05\0\x01t[]"],
        &["-t", "t", "-l", "--format", "json"],
        "[ ]\n{\n",
        65,
        "mqttx pub: line 2: no JSON: EOF while parsing an object at line 1 column 1\n",
    );
}

#[test]
fn templates_and_a_rate() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), "name,n\nx,1\ny,2\n").unwrap();
    let template = folder.path().join("template");
    let table = folder.path().join("table.csv");
    let text = format!("{{{{ csv('{}').name }}}}{{{{ seq }}}}\n", table.display());
    std::fs::write(&template, text).unwrap();
    let packets: &[&[u8]] = &[
        b"\x30\x05\0\x01tx1",
        b"\x30\x05\0\x01ty2",
        b"\x30\x05\0\x01tx3",
    ];
    let words = ["-t", "t", "--repeat", "3", "--rate", "50/s", "--template"];
    check(
        packets,
        &[&words[..], &[template.to_str().unwrap()]].concat(),
        "",
        0,
        "",
    );
    // A rate alone has no end, until somebody ends it.
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        let ours = |text: &[u8]| {
            std::str::from_utf8(&text[5..])
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        for _ in 0..5 {
            let came = ours(&peer.expect(PacketType::Publish));
            assert!((10.0..30.0).contains(&came), "{came}");
        }
        peer.send(b"\xd0\x00");
        loop {
            match peer.next_frame() {
                Some(frame) if frame[0] == 0x30 => {}
                Some(frame) => break assert_eq!(frame, [0xe0, 0]),
                None => panic!("no goodbye"),
            }
        }
    });
    let words = [
        "-t",
        "t",
        "--template",
        "temperature",
        "--rate",
        "100/s",
        "-d",
    ];
    let mut running = publish(script.port, &words).start();
    for _ in 0..5 {
        running.wait_for_out("sending PUBLISH");
    }
    running.wait_for_out("received PINGRESP");
    let id = running.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(running.end().status, 0);
    script.join();
}

#[test]
fn a_proof_at_qos_0() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x30\x04\0\x01tx");
        peer.expect_bytes(&[0xc0, 0]);
        peer.send(&[0xd0, 0]);
        peer.expect_goodbye();
        let mut peer = broker.accept();
        peer.expect(PacketType::Publish);
        peer.expect(PacketType::Pingreq);
        peer.close();
    });
    let words = ["-t", "t", "-m", "x", "--confirm"];
    let left = publish(script.port, &words).run();
    assert_eq!((left.status, left.err().as_str()), (0, ""));
    let left = publish(script.port, &[&words[..], &["--no-reconnect"]].concat()).run();
    assert_eq!(left.status, 7, "{left:?}");
    assert!(
        left.err().ends_with("; 1 message was not confirmed\n"),
        "{left:?}"
    );
    script.join();
}

#[test]
fn wrong_words_send_nothing() {
    let run = |words: &[&str]| -> Left { publish(1, words).run() };
    for (status, words, told) in [
        (
            1,
            &["-t", "t", "--rate", "fast", "-n"][..],
            "'fast' is no rate",
        ),
        (1, &["-t", "t", "--format", "xml", "-n"], "'xml' is not hex"),
        (1, &["-t", "t", "--payload-size", "big"], "'big' is no size"),
        (
            1,
            &["-t", "t", "--payload-size", "1", "-m", "x"],
            "another source of payloads",
        ),
        (
            1,
            &["-t", "t", "--template", "counter", "-l"],
            "another source of payloads",
        ),
        (
            1,
            &["--jsonl", "--topic-from-line"],
            "cannot be used together",
        ),
        (
            1,
            &["-t", "t", "--topic-from-line"],
            "from -t or from each line",
        ),
        (1, &["--topic-from-line="], "something must separate"),
        (
            1,
            &["-t", "t", "-n", "--seed", "1"],
            "--seed is for --template",
        ),
        (1, &["-t", "t", "--template"], "no template specified"),
        (1, &["--template", "counter"], "both topic and message"),
        (
            65,
            &["-t", "t", "--template", "/nonexistent"],
            "no template '/nonexistent'",
        ),
        (
            65,
            &["-t", "t", "-m", "0g", "--format", "hex"],
            "no hexadecimal digit: g",
        ),
    ] {
        let left = run(words);
        assert_eq!(
            (left.status, left.out().as_str()),
            (status, ""),
            "{words:?} {left:?}"
        );
        assert!(left.err().contains(told), "{words:?} {left:?}");
    }
}

#[test]
fn a_mosquitto_name_knows_none_of_it() {
    let links = Links::new();
    for word in [
        "--topic-from-line",
        "--jsonl",
        "--template",
        "--rate",
        "--format",
        "--confirm",
    ] {
        let left = Program::new(links.path("mosquitto_pub"))
            .args(["-t", "t", word, "x"])
            .run();
        assert_eq!(left.status, 1);
        let told = format!("Error: Unknown option '{word}'.");
        assert!(left.err().starts_with(&told), "{left:?}");
    }
}
