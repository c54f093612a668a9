//! `mqttx sub` as a test: expectations, silence, the ready file, a command behind `--`, and the
//! status each of them leaves.

use std::path::Path;

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

const MQTTX: &str = env!("CARGO_BIN_EXE_mqttx");

/// A broker that grants one subscription, then sends these payloads on the topic `t`.
fn sends(payloads: &'static [&'static str]) -> Script {
    ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0]);
        for payload in payloads {
            publish(&mut peer, payload);
        }
        peer.expect(PacketType::Disconnect);
        peer.expect_close();
    })
}

fn publish(peer: &mut Peer, payload: &str) {
    let mut bytes = vec![0x30, 3 + payload.len() as u8, 0, 1, b't'];
    bytes.extend_from_slice(payload.as_bytes());
    // The client may have seen enough.
    peer.send_if_there(&bytes);
}

fn sub(port: u16, words: &[&str]) -> Program {
    Program::mqttx()
        .words("sub -h 127.0.0.1 -t t -p")
        .args([port.to_string()])
        .args(words)
}

#[track_caller]
fn check(payloads: &'static [&'static str], words: &[&str], status: i32, err: &str) -> Left {
    let script = sends(payloads);
    let left = sub(script.port, words).run();
    assert_eq!(
        (left.status, left.err().as_str()),
        (status, err),
        "{left:?}"
    );
    script.join();
    left
}

#[test]
fn a_payload_that_comes_is_enough() {
    let left = check(&["no", "yes", "more"], &["--expect", "yes"], 0, "");
    assert_eq!(left.out(), "no\nyes\n");
    check(&["x", ""], &["--expect", ""], 0, "");
    check(
        &[r#"{"ok":false}"#, r#"{"ok":true,"n":1}"#],
        &["--expect-json", r#"{"ok":true}"#, "-C", "2"],
        0,
        "",
    );
    check(&["a 12 b"], &["--expect-regex", r"\d{2}"], 0, "");
    check(&["b", "a"], &["--expect", "a", "--expect-regex=b"], 0, "");
}

#[test]
fn a_wrong_message_is_told_with_status_80() {
    check(
        &[r#"{"ok":false}"#],
        &["-C", "1", "-W", "20", "--expect-json", r#"{"ok":true}"#],
        80,
        "mqttx sub: 0 of 1 expectations met, not --expect-json '{\"ok\":true}'; \
         the last message was: {\"ok\":false}\n",
    );
    check(
        &["fine", "panic: disk \x1b[1mfull"],
        &["--reject-regex", "(?i)PANIC", "-C", "9"],
        80,
        "mqttx sub: --reject-regex '(?i)PANIC' matches: panic: disk \\x1b[1mfull\n",
    );
    check(
        &["x", "two"],
        &["--expect", "one", "--expect", "two", "--in-order"],
        80,
        "mqttx sub: --expect 'two' came before --expect 'one'\n",
    );
    check(
        &["one", "x", "two"],
        &["--expect", "one", "--expect", "two", "--in-order"],
        0,
        "",
    );
}

#[test]
fn time_that_runs_out_is_27() {
    check(
        &["one"],
        &["--expect", "one", "--expect", "two", "-W", "1"],
        27,
        "mqttx sub: timed out after 1 s with 1 message, 1 of 2 expectations met, not --expect 'two'\n",
    );
    check(
        &["one"],
        &["--expect", "two", "--idle", "200ms"],
        27,
        "mqttx sub: timed out: 200ms of silence, 1 message, 0 of 1 expectations met, not --expect 'two'\n",
    );
    check(
        &["one"],
        &["-C", "2", "--idle", "0.2"],
        27,
        "mqttx sub: timed out: 200ms of silence, 1 of 2 messages\n",
    );
    check(&["one"], &["--idle", "200ms"], 0, "");
}

#[test]
fn a_whole_test_in_one_line() {
    let broker = BrokerProcess::start(&[]);
    let script =
        format!("exec {MQTTX} pub -h $MQTTX_HOST -p $MQTTX_PORT -t t -m '{{\"ok\":true}}'");
    let words = [
        "-W",
        "20",
        "--expect-json",
        r#"{"ok":true}"#,
        "--",
        "sh",
        "-c",
        &script,
    ];
    let left = sub(broker.port, &words).run();
    assert_eq!(left.status, 0, "{left:?}");
    assert_eq!(left.out(), "{\"ok\":true}\n");
    // Without anything else awaited: what the command published is shown before the end.
    let left = sub(broker.port, &["--", "sh", "-c", &script]).run();
    assert_eq!(
        (left.status, left.out().as_str()),
        (0, "{\"ok\":true}\n"),
        "{left:?}"
    );
}

#[test]
fn the_status_of_the_command() {
    let script = sends(&[]);
    let left = sub(script.port, &["-C", "1", "--", "sh", "-c", "exit 42"]).run();
    assert_eq!(left.status, 42, "{left:?}");
    assert_eq!(
        left.err(),
        "mqttx sub: the command failed: exit status: 42\n"
    );
    script.join();
    let script = sends(&[]);
    let left = sub(script.port, &["--", "sh", "-c", "kill -9 $$"]).run();
    assert_eq!(left.status, 137, "{left:?}");
    script.join();
    let script = sends(&[]);
    let left = sub(script.port, &["--", "/nonexistent/program"]).run();
    assert_eq!(left.status, 1, "{left:?}");
    assert!(
        left.err()
            .starts_with("mqttx sub: cannot run /nonexistent/program: ")
    );
    script.join();
    // The message came, the command goes on: its end is awaited, or the time limit ends it.
    let script = sends(&["x"]);
    let left = sub(script.port, &["-C", "1", "-W", "1", "--", "sleep", "60"]).run();
    assert_eq!(left.status, 27, "{left:?}");
    assert_eq!(
        left.err(),
        "mqttx sub: timed out after 1 s with 1 message; the command was still running\n"
    );
    script.join();
}

#[test]
fn a_refused_subscription_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 4, 0, 1, 0, 0x80]);
        peer.expect(PacketType::Disconnect);
    });
    let left = sub(script.port, &["-t", "u", "--ready-file"])
        .args([&ready])
        .run();
    assert_eq!(left.status, 128, "{left:?}");
    assert_eq!(left.err(), "mqttx sub: the subscription to u was refused\n");
    assert!(!ready.exists());
    script.join();
}

fn wait_for(path: &Path) -> String {
    let begun = std::time::Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(
                begun.elapsed().as_secs() < 20,
                "{} never came",
                path.display()
            ),
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn readiness_is_told_after_the_suback() {
    let folder = tempfile::tempdir().unwrap();
    let (ready, told) = (folder.path().join("ready"), folder.path().join("told"));
    std::fs::write(&ready, "left by an earlier run\n").unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        wait.recv().unwrap();
        peer.send(&[0x90, 3, 0, 1, 0]);
        wait.recv().unwrap();
        publish(&mut peer, "x");
        peer.expect(PacketType::Disconnect);
    });
    let line = format!(
        "exec {MQTTX} sub -h 127.0.0.1 -p {} -t t -C 1 --ready-file {} --ready-fd 7 7>{}",
        script.port,
        ready.display(),
        told.display()
    );
    let running = Program::new("/bin/sh").args(["-c", &line]).start();
    while ready.exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    go.send(()).unwrap();
    let expected = "{\"subscriptions\":[{\"filter\":\"t\",\"qos\":0}]}\n";
    assert_eq!(wait_for(&ready), expected);
    assert_eq!(wait_for(&told), expected);
    go.send(()).unwrap();
    assert_eq!(running.end().status, 0);
    script.join();
}

#[test]
fn wrong_words_send_nothing() {
    let refused = |words: &[&str], told: &str| {
        // Port 1 answers nobody: a connection would end with another sentence.
        let left = sub(1, words).run();
        assert_eq!(
            (left.status, left.out().as_str()),
            (1, ""),
            "{words:?} {left:?}"
        );
        assert!(left.err().contains(told), "{words:?} {left:?}");
        assert!(left.err().lines().count() <= 2, "{left:?}");
    };
    refused(&["--expect-json", "{"], "'{' is no JSON");
    refused(&["--expect-regex", "("], "'(' is no regular expression");
    refused(&["--reject-regex", "["], "'[' is no regular expression");
    refused(&["--idle", "soon"], "--idle: 'soon' is no time");
    refused(&["--idle", "0"], "--idle: a time above 0 is wanted");
    refused(
        &["--expect"],
        "--expect argument given but no text specified",
    );
    refused(&["--in-order=yes"], "--in-order takes no value");
    refused(&["--ready-fd", "0"], "'0' is no descriptor to write to");
    refused(&["--ready-fd", "99"], "cannot write to --ready-fd 99");
    refused(
        &["--ready-file", "/nonexistent/x", "--in-order"],
        "--in-order needs",
    );
    refused(&["--expect", "x", "-E"], "-E ends before anything");
    refused(&["--expcet", "x"], "unknown option '--expcet'");
}

#[test]
fn a_mosquitto_name_knows_none_of_it() {
    let links = Links::new();
    for word in ["--expect", "--idle", "--ready-file", "--in-order", "--"] {
        let left = Program::new(links.path("mosquitto_sub"))
            .args(["-t", "t", word, "x"])
            .run();
        assert_eq!(left.status, 1);
        let told = format!(
            "Error: Unknown option '{word}'.\n\nUse 'mosquitto_sub --help' to see usage.\n"
        );
        assert_eq!(left.err(), told);
    }
}
