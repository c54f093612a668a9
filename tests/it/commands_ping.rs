//! `mqttx ping`, and how long the clients try to reach a broker.

use std::process::Command;

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::{Left, Links, Program};
use crate::support::scripted_broker::ScriptedBroker;

fn run(words: &str) -> Left {
    Program::mqttx().words(words).run()
}

/// A port nobody listens on.
fn closed() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Digits become one `#` each run, so that times compare.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn times_and_a_summary() {
    let broker = BrokerProcess::start(&[]);
    let port = broker.port;
    let left = run(&format!("ping -h 127.0.0.1 -p {port} -c 2 --interval 50ms"));
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    assert_eq!(
        without_numbers(&left.out()),
        "#.#.#.#:#: connected in #.# ms (network #.# ms, CONNECT #.# ms)\n\
         #.#.#.#:#: answer # in #.# ms\n\
         #.#.#.#:#: answer # in #.# ms\n\
         #.#.#.#:#: # of # answered; min #.# ms, mean #.# ms, max #.# ms\n"
    );
    assert!(left.out().contains("2 of 2 answered"), "{left:?}");
    let left = run(&format!("ping -L mqtt://127.0.0.1:{port} --count 1 --json"));
    let summary: serde_json::Value = serde_json::from_str(&left.out()).unwrap();
    assert_eq!(summary["answered"], 1, "{summary}");
    assert!(summary["connect_ms"].as_f64().unwrap() > 0.0, "{summary}");
    let left = run(&format!("ping -h 127.0.0.1 -p {port} -c 1 --quiet"));
    assert_eq!((left.status, left.out()), (0, String::new()), "{left:?}");
}

#[test]
fn a_broker_that_does_not_answer() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Pingreq);
        peer.close();
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.send(&[0x20, 2, 0, 5]);
        peer.expect_close();
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.expect_close();
    });
    let port = script.port;
    let left = run(&format!("ping -h 127.0.0.1 -p {port}"));
    assert_eq!(left.status, 7, "{left:?}");
    assert!(left.out().contains("no answer to 1 PINGREQ"), "{left:?}");
    let left = run(&format!("ping -h 127.0.0.1 -p {port} --wait 20s"));
    assert_eq!((left.status, left.out().as_str()), (5, ""), "{left:?}");
    let left = run(&format!(
        "pub -h 127.0.0.1 -p {port} -t a -m b --connect-timeout 200ms"
    ));
    assert_eq!(left.status, 7, "{left:?}");
    let told = format!("mqttx pub: 127.0.0.1:{port}: the broker did not answer CONNECT\n  try: ");
    assert!(left.err().starts_with(&told), "{left:?}");
    script.join();
}

#[test]
fn an_answer_has_a_time_of_its_own() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Pingreq);
        peer.expect_goodbye();
    });
    let port = script.port;
    let left = run(&format!("ping -h 127.0.0.1 -p {port} -W 1"));
    let told = format!("mqttx ping: 127.0.0.1:{port} did not answer PINGREQ within 1 s\n");
    assert_eq!((left.status, left.err()), (27, told), "{left:?}");
    assert!(left.out().contains("no answer to 1 PINGREQ"), "{left:?}");
    script.join();
}

#[test]
fn waiting_for_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let words = ["ping", "--wait", "25s", "-c", "1", "--unix"];
    let pinging = Program::mqttx().args(words).args([&socket]).start();
    let waiting = Program::mqttx()
        .args([
            "pub", "--wait", "25s", "-t", "a", "-m", "b", "-q", "1", "--unix",
        ])
        .args([&socket])
        .start();
    let listen = format!("unix:{}", socket.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args([
        "broker",
        "--listen",
        "mqtt://127.0.0.1:0",
        "--listen",
        &listen,
    ]);
    let _broker = BrokerProcess::start_as(command);
    for left in [pinging.end(), waiting.end()] {
        assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    }
}

#[test]
fn nobody_comes() {
    let port = closed();
    for words in ["ping", "pub -t a -m b", "sub -t a", "rr -t a -m b -e c"] {
        let begun = std::time::Instant::now();
        let left = run(&format!("{words} -h 127.0.0.1 -p {port} --wait 300ms"));
        assert!(begun.elapsed().as_millis() >= 300, "{words}");
        assert_eq!(left.status, 1, "{words} {left:?}");
        let told = format!("cannot connect to 127.0.0.1:{port}: Connection refused\n");
        assert!(left.err().contains(&told), "{words} {left:?}");
    }
}

#[test]
fn how_often_to_come_back() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for _ in 0..3 {
            let mut peer = broker.accept();
            peer.expect(PacketType::Subscribe);
            peer.close();
        }
    });
    let port = script.port;
    let left = run(&format!("sub -h 127.0.0.1 -p {port} -t a --no-reconnect"));
    assert_eq!(left.status, 7, "{left:?}");
    assert!(
        left.err().starts_with("mqttx sub: connection lost: "),
        "{left:?}"
    );
    // Comes back once, finds the broker, loses it again, and then nobody listens.
    let left = run(&format!(
        "sub -h 127.0.0.1 -p {port} -t a --max-reconnects 1"
    ));
    assert_eq!(left.status, 1, "{left:?}");
    assert!(left.err().contains("trying again in 1s\n"), "{left:?}");
    script.join();
}

#[test]
fn wrong_words_connect_to_nobody() {
    let port = closed();
    for (words, told) in [
        ("ping --wait soon", "--wait: 'soon' is no time"),
        ("ping --wait 0", "--wait: a time above 0 is wanted"),
        ("ping -c 0", "--count: '0' is no count from 1 on"),
        ("ping -t a", "unknown option '-t'"),
        (
            "ping --interval",
            "--interval argument given but no time specified",
        ),
        (
            "sub -t a --max-reconnects -1",
            "'-1' is no count of attempts",
        ),
        ("pub -t a -n --connect-timeout x", "'x' is no time"),
        (
            "pub -t a -n --no-reconnect --max-reconnects 2",
            "--no-reconnect and --max-reconnects cannot be used together",
        ),
    ] {
        let left = run(&words.replacen(' ', &format!(" -p {port} "), 1));
        assert_eq!(
            (left.status, left.out().as_str()),
            (1, ""),
            "{words} {left:?}"
        );
        assert!(left.err().contains(told), "{words} {left:?}");
    }
    let links = Links::new();
    for word in [
        "--wait",
        "--connect-timeout",
        "--max-reconnects",
        "--no-reconnect",
    ] {
        let left = Program::new(links.path("mosquitto_pub"))
            .args(["-t", "t", "-n", word, "1"])
            .run();
        assert_eq!(left.status, 1);
        let told = format!("Error: Unknown option '{word}'.");
        assert!(left.err().starts_with(&told), "{left:?}");
    }
}
