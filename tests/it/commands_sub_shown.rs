//! `mqttx sub` in forms of its own: JSON lines, a log, bytes, parts, decoded payloads, files.

use std::path::Path;

use mqttx::mqtt::{PacketType, Version};

#[cfg(target_os = "linux")]
use crate::support::peers::installed;
use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::ScriptedBroker;

type Sent = &'static [(&'static str, &'static [u8])];

/// Runs `sub` until as many messages have come as were sent.
fn shown(messages: Sent, words: &[&str]) -> Left {
    with_broker(messages, |port| {
        Program::mqttx()
            .words("sub -h 127.0.0.1 -t # -p")
            .args([port, "-C", &messages.len().to_string()])
            .args(words)
    })
}

/// The same on a terminal; `None` where there is no `script` to make one.
#[cfg(target_os = "linux")]
fn shown_on_a_terminal(messages: Sent, words: &str) -> Option<Left> {
    let script = installed("script")?;
    let left = with_broker(messages, |port| {
        let mqttx = env!("CARGO_BIN_EXE_mqttx");
        let count = messages.len();
        let line = format!("'{mqttx}' sub -h 127.0.0.1 -t '#' -p {port} -C {count} {words}");
        Program::new(&script)
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .env("TERM", "xterm")
    });
    Some(left)
}

fn with_broker(messages: Sent, program: impl FnOnce(&str) -> Program) -> Left {
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0]);
        for (topic, payload) in messages {
            let mut bytes = vec![0x30, (2 + topic.len() + payload.len()) as u8, 0];
            bytes.push(topic.len() as u8);
            bytes.extend_from_slice(topic.as_bytes());
            bytes.extend_from_slice(payload);
            peer.send_if_there(&bytes);
        }
        peer.expect(PacketType::Disconnect);
    });
    let left = program(&script.port.to_string()).run();
    script.join();
    left
}

#[track_caller]
fn check(messages: Sent, words: &[&str], out: &str, err: &str) {
    let left = shown(messages, words);
    assert_eq!(
        (left.status, left.out().as_str(), left.err().as_str()),
        (0, out, err)
    );
}

#[test]
fn lines_of_json_can_be_published_again() {
    let left = shown(&[("a/b", b"x\"\n"), ("c", b"\xff\0")], &["--jsonl"]);
    assert_eq!(left.status, 0, "{left:?}");
    let out = left.out();
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["topic"], &lines[0]["payload"]),
        (&"a/b".into(), &"x\"\n".into())
    );
    assert_eq!(
        (&lines[1]["payload_b64"], &lines[1]["payloadlen"]),
        (&"/wA=".into(), &2.into())
    );
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_bytes(b"\x30\x08\0\x03a/bx\"\n");
        peer.expect_bytes(b"\x30\x05\0\x01c\xff\0");
        peer.expect_goodbye();
    });
    let again = Program::mqttx()
        .words("pub -h 127.0.0.1 --jsonl -p")
        .args([script.port.to_string()])
        .input(out);
    assert_eq!(again.run().status, 0);
    script.join();
}

#[test]
fn a_log() {
    let left = shown(&[("long/topic", b"\x1b[2Jx"), ("t", b"")], &["--log"]);
    let out = left.out();
    let lines: Vec<&str> = out.lines().collect();
    // A time is before it; in a pipe nothing is escaped, and nothing coloured.
    assert_eq!(&lines[0][12..], "  long/topic  q0        5 B  \x1b[2Jx");
    assert_eq!(&lines[1][12..], "  t           q0        0 B  ");
    assert_eq!(&lines[0][2..3], ":");
    let left = shown(&[("t", b"x")], &["--log", "--color", "always"]);
    assert!(left.out().contains("\x1b["), "{left:?}");
    let left = shown(&[("t", b"x")], &["--log", "--color=never"]);
    assert!(!left.out().contains('\x1b'), "{left:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_on_a_terminal_is_coloured_and_drives_nothing() {
    let messages: Sent = &[("a\u{9b}/b", b"\x1b[2Jx\ny\x07")];
    let Some(left) = shown_on_a_terminal(messages, "--log") else {
        return;
    };
    let out = left.out();
    assert_eq!(left.status, 0, "{left:?}");
    assert!(out.contains("\x1b[2m"), "the time is dimmed: {out:?}");
    for wild in ["\x1b[2J", "\u{9b}", "\x07", "x\r\ny"] {
        assert!(!out.contains(wild), "{wild:?} in {out:?}");
    }
    let left = shown_on_a_terminal(messages, "--log --color never").unwrap();
    assert!(!left.out().contains('\x1b'), "{left:?}");
}

#[test]
fn parts_and_other_clothes() {
    let messages: Sent = &[
        ("w", br#"{"wind":{"speed":3.5},"name":"here"}"#),
        ("w", b"no json"),
        ("w", b"{}"),
        ("w", br#"{"name":"there"}"#),
    ];
    check(
        messages,
        &["--select", ".name", "--select", ".wind.speed"],
        "here\t3.5\nthere\t\n",
        "mqttx sub: w: no JSON to select from: expected ident at line 1 column 2\n",
    );
    check(
        &[
            ("dev/1", b"\xa1\x61a\x01"),
            ("x", b"raw"),
            ("dev/2", b"\xa1"),
            ("m", b"\x91\xc3"),
        ],
        &["-v", "--decode", "dev/+=cbor", "--decode", "m=msgpack"],
        "dev/1 {\"a\":1}\nx raw\ndev/2 \u{fffd}\nm [true]\n",
        "mqttx sub: dev/2: the CBOR item ends too early\n",
    );
    check(
        &[("dev/1", b"\xa1\x61a\x01")],
        &["--decode=#=cbor", "--select=.a", "-F", "%t=%p"],
        "dev/1=1\n",
        "",
    );
    check(
        &[("t", b"hi\0")],
        &["--hexdump"],
        "t  3 B\n00000000  68 69 00                                          |hi.|\n",
        "",
    );
    check(
        &[("t", b"a"), ("t", b""), ("t", b"b")],
        &["--delimiter", "\\0"],
        "a\0\0b\0",
        "",
    );
}

#[test]
fn messages_described_in_a_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/protobuf");
    let rule = |filter: &str, name: &str, file: &str| format!("{filter}=protobuf:{name}@{file}");
    let file = format!("{folder}/dev.binpb");
    check(
        &[
            ("dev/1/pb", b"\x0a\x01a\x18\x01\x28\x02\x60\x05\xf0\x06\x01"),
            ("dev/1/pb", b"no reading"),
            ("dev/1/x", b"raw"),
            ("p", b"\x10\x03"),
        ],
        &[
            "--decode",
            &rule("dev/+/pb", "dev.Reading", &file),
            "--decode",
            &rule("p", "dev.Point", &file),
        ],
        "{\"deviceId\":\"a\",\"state\":\"RUNNING\",\"trend\":[1],\"since\":\"5\"}\n\
         no reading\nraw\n{\"y\":-2}\n",
        "mqttx sub: dev/1/pb: no Protobuf: wire type 6\n",
    );
    let source = format!("{folder}/dev.proto");
    let (missing, no_set) = (
        "/nowhere/all.binpb: cannot be read: No such file or directory",
        format!("{source}: no descriptor set as protoc --descriptor_set_out writes it ("),
    );
    for (rule, told) in [
        (
            rule("#", "dev.Reading", "/nowhere/all.binpb"),
            missing.to_owned(),
        ),
        (rule("#", "dev.Reading", &source), no_set),
        (
            rule("#", "Reading", &file),
            format!("{file}: no message 'Reading' in it, but dev.Reading\n"),
        ),
        (
            "#=protobuf:dev.Reading".to_owned(),
            "'protobuf:dev.Reading' is not protobuf:MESSAGE@FILE".to_owned(),
        ),
    ] {
        // Nothing listens on port 1: status and sentence are those of the rule, told before.
        let left = Program::mqttx()
            .words("sub -h 127.0.0.1 -p 1 -t # --decode")
            .args([rule])
            .run();
        let (out, err) = (left.out(), left.err());
        assert_eq!((left.status, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&told) && err.lines().count() <= 2, "{err}");
    }
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let file = folder.path().join("out");
    let left = shown(
        &[("t", b"a"), ("t", b"b")],
        &["--out", file.to_str().unwrap()],
    );
    assert_eq!((left.status, left.out().as_str()), (0, ""), "{left:?}");
    assert_eq!(read("out"), b"a\nb\n");
    let below = folder.path().join("below");
    for _ in 0..2 {
        let messages: Sent = &[("../x y/z", b"\xff"), ("b", b"")];
        let left = shown(messages, &["--out-dir", below.to_str().unwrap()]);
        assert_eq!((left.status, left.out().as_str()), (0, ""), "{left:?}");
    }
    let mut names: Vec<String> = std::fs::read_dir(&below)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["000001-.._x_y_z", "000002-b", "000003-.._x_y_z", "000004-b"]
    );
    assert_eq!(read("below/000001-.._x_y_z"), b"\xff");
    assert!(Path::new(&below).join("000002-b").exists());
}

#[test]
fn wrong_words_connect_to_nobody() {
    for (words, told) in [
        (&["--select", "a"][..], "'a' is no path"),
        (&["--decode", "a=xml"], "'xml' is not cbor"),
        (&["--decode", "a/#/b=hex"], "'a/#/b'"),
        (&["--delimiter", "\\q"], "are known"),
        (&["--delimiter", "x", "-N"], "--delimiter is for"),
        (
            &["--jsonl", "--log"],
            "--jsonl and --log cannot be used together",
        ),
        (
            &["--hexdump", "-F", "%p"],
            "--hexdump and -F cannot be used together",
        ),
        (
            &["--out", "/nonexistent/x"],
            "cannot write to /nonexistent/x",
        ),
        (&["--out-dir", "/dev/null/x"], "cannot write to /dev/null/x"),
        (&["--color", "red", "--log"], "'red' is not auto"),
        (&["--color", "never"], "--color is for --log"),
    ] {
        let left = Program::mqttx().words("sub -p 1 -t a").args(words).run();
        assert_eq!(
            (left.status, left.out().as_str()),
            (1, ""),
            "{words:?} {left:?}"
        );
        assert!(left.err().contains(told), "{words:?} {left:?}");
    }
    let links = Links::new();
    for word in [
        "--jsonl",
        "--log",
        "--select",
        "--hexdump",
        "--out",
        "--decode",
        "--color",
    ] {
        let left = Program::new(links.path("mosquitto_sub"))
            .args(["-t", "t", word, "x"])
            .run();
        assert_eq!(left.status, 1);
        assert!(
            left.err()
                .starts_with(&format!("Error: Unknown option '{word}'.")),
            "{left:?}"
        );
    }
}
