//! `mqttx record`, `mqttx replay` and `mqttx ls`.

use std::path::Path;
use std::process::Command;

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::{Left, Program};
use crate::support::scripted_broker::ScriptedBroker;

fn run(port: u16, command: &str, words: &[&str]) -> Left {
    started(port, command, words).run()
}

fn started(port: u16, command: &str, words: &[&str]) -> Program {
    Program::mqttx()
        .args([command, "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words)
}

fn retained(broker: &BrokerProcess, topic: &str, payload: &str) {
    let left = run(
        broker.port,
        "pub",
        &["-t", topic, "-m", payload, "-r", "-q", "1"],
    );
    assert_eq!(left.status, 0, "{left:?}");
}

#[test]
fn what_was_recorded_is_replayed() {
    let broker = BrokerProcess::start(&[]);
    retained(&broker, "home/hall", "on\u{1}");
    retained(&broker, "home/attic", "{\"a\":1}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let path = file.to_str().unwrap();
    let left = run(
        broker.port,
        "record",
        &["-t", "home/#", "-C", "2", "-q", "1", "--out", path],
    );
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (0, "", ""),
        "{left:?}"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["at"], &first["retain"]),
        (&0.0.into(), &true.into()),
        "{text}"
    );
    let other = BrokerProcess::start(&[]);
    let words = ["-f", path, "--speed", "max", "--map", "home=test/home"];
    let left = run(other.port, "replay", &words);
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    let left = run(other.port, "sub", &["-t", "#", "-C", "2", "-v", "-W", "20"]);
    let mut lines: Vec<String> = left.out().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        ["test/home/attic {\"a\":1}", "test/home/hall on\u{1}"],
        "{left:?}"
    );
}

#[test]
fn a_recording_ends_at_a_signal_and_keeps_what_came() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0]);
        peer.send(b"\x30\x04\0\x01tx\x31\x04\0\x01ry");
        peer.expect(PacketType::Disconnect);
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0x80]);
        peer.expect(PacketType::Disconnect);
    });
    let mut running = started(script.port, "record", &["-V", "311", "-R"]).start();
    running.wait_for_out("\"payload\":\"x\"}\n");
    let id = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let left = running.end();
    assert_eq!(
        (left.status, left.out().lines().count()),
        (0, 1),
        "{left:?}"
    );
    let left = run(script.port, "record", &["-V", "311"]);
    assert_eq!(left.status, 128, "{left:?}");
    assert!(
        left.err().contains("the subscription was refused"),
        "{left:?}"
    );
    script.join();
}

#[test]
fn the_pace_of_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let lines = r#"{"at":0,"topic":"a","payload":"1"}

{"at":4,"topic":"a","payload":"2"}
"#;
    std::fs::write(&file, lines).unwrap();
    let path = file.to_str().unwrap();
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for _ in 0..2 {
            let mut peer = broker.accept();
            peer.expect_bytes(b"\x30\x04\0\x01a1");
            peer.expect_bytes(b"\x30\x04\0\x01a2");
            peer.expect_goodbye();
        }
        // Again and again, until the signal.
        let mut peer = broker.accept();
        for _ in 0..3 {
            peer.expect_bytes(b"\x30\x04\0\x01a1");
            peer.expect_bytes(b"\x30\x04\0\x01a2");
        }
        peer.close();
    });
    let begun = std::time::Instant::now();
    let left = run(
        script.port,
        "replay",
        &["-V", "311", "-f", path, "--speed", "20x"],
    );
    assert_eq!(left.status, 0, "{left:?}");
    assert!(begun.elapsed().as_millis() >= 200);
    let replay = started(script.port, "replay", &["-V", "311", "--speed", "max"]).input(lines);
    assert_eq!(replay.run().status, 0);
    let words = ["-V", "311", "-f", path, "--speed", "100x", "--loop"];
    let running = started(script.port, "replay", &words).start();
    script.join();
    let id = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    running.end();
}

#[test]
fn topics_known_now() {
    let broker = BrokerProcess::start(&[]);
    for (topic, payload) in [
        ("home/hall/lamp", "on"),
        ("home/attic", "x\ny"),
        ("car", ""),
    ] {
        retained(&broker, topic, payload);
    }
    let left = run(broker.port, "ls", &[]);
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    // An empty payload clears what is retained.
    assert_eq!(left.out(), "home/attic\nhome/hall/lamp\n");
    let left = run(
        broker.port,
        "ls",
        &["-t", "home/#", "--tree", "-v", "-W", "1"],
    );
    assert_eq!(
        left.out(),
        "home/\n  attic  x\\ny\n  hall/\n    lamp  on\n",
        "{left:?}"
    );
    let left = run(broker.port, "ls", &["-t", "none/#"]);
    assert_eq!((left.status, left.out().as_str()), (0, ""), "{left:?}");
}

#[test]
fn wrong_words_and_broken_recordings() {
    let exists = |path: &str| Path::new(path).exists();
    assert!(!exists("/nonexistent"));
    for (command, words, told) in [
        (
            "replay",
            &["-f", "/nonexistent"][..],
            "cannot read /nonexistent",
        ),
        ("replay", &["-f", "/"], "cannot read /"),
        ("replay", &["--speed", "fast"], "'fast' is no speed"),
        ("replay", &["--map", "x"], "'x' is not A=B"),
        ("replay", &["--loop"], "--loop needs a file"),
        ("replay", &["-t", "a"], "unknown option '-t'"),
        ("record", &["-t", "a/#/b"], "invalid subscription topic"),
        (
            "record",
            &["--out", "/nonexistent/x"],
            "cannot write to /nonexistent/x",
        ),
        ("ls", &["-W", "0"], "invalid timeout"),
        ("ls", &["-m", "x"], "unknown option '-m'"),
    ] {
        let left = run(1, command, words);
        assert_eq!(
            (left.status, left.out().as_str()),
            (1, ""),
            "{words:?} {left:?}"
        );
        assert!(left.err().contains(told), "{words:?} {left:?}");
    }
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x30\x04\0\x01a1");
        peer.expect_goodbye();
    });
    let lines = "{\"topic\":\"a\",\"payload\":\"1\"}\n{\"topic\":\n";
    let left = started(script.port, "replay", &["-V", "311"])
        .input(lines)
        .run();
    assert_eq!(left.status, 65, "{left:?}");
    assert!(
        left.err().starts_with("mqttx replay: line 2: no JSON"),
        "{left:?}"
    );
    script.join();
}

/// A script reads the names; a terminal only shows them.
#[test]
fn topics_are_whole_and_drive_no_terminal() {
    let broker = BrokerProcess::start(&[]);
    let long = "long/".repeat(60);
    retained(&broker, &long, "x");
    retained(&broker, "a", "\u{1b}[2J\t\n");
    let left = run(broker.port, "ls", &["-v"]);
    let expected = format!("a  \\x1b[2J\\x09\\n\n{long}  x\n");
    assert_eq!(left.out(), expected, "{left:?}");
}
