//! Limits of rates as an operator meets them: the real broker, what it holds back and turns away,
//! and the lines that fail2ban reads.

use mqttx::mqtt::Version;
use regex_lite::Regex;

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

/// `<HOST>` in a filter of fail2ban.
const HOST: &str = r"(?:[0-9.]+|\[?[0-9a-f:]+\]?)";

#[track_caller]
fn matches(line: &str, filter: &str) {
    let filter = Regex::new(&filter.replace("<HOST>", HOST)).unwrap();
    assert!(filter.is_match(line), "{line}");
}

const HELD_BACK: &str = r"<HOST>:\d+\]? held back: it publishes more than the rate limits allow";

/// Messages come in more quickly than they may: all of them arrive, and it is told whose they were.
fn held_back(limit: &str, payload: usize) {
    for form in ["text", "mosquitto"] {
        let broker = BrokerProcess::start(&["--limit", limit, "--log-format", form]);
        let mut seen = RawClient::subscriber(broker.port, &Hello::new("seen"), "t", 0);
        let mut hasty = RawClient::connect(broker.port, &Hello::new("hasty"));
        let messages: Vec<u8> = (0..15)
            .flat_map(|number| {
                let payload = format!("{number:0payload$}");
                publish(Version::V5, "t", &payload, 0, 0, &[])
            })
            .collect();
        hasty.send(&messages);
        for number in 0..15 {
            let got = seen.next_frame().unwrap();
            let text = String::from_utf8_lossy(&got).into_owned();
            assert!(text.ends_with(&format!("{number:02}")), "{number}: {text}");
        }
        let line = broker.wait_log("held back");
        matches(&line, HELD_BACK);
        assert!(line.contains(&hasty.address().to_string()), "{line}");
    }
}

#[test]
fn who_publishes_too_many_messages_is_held_back_and_loses_none() {
    held_back("message_rate_max=10", 2);
}

#[test]
fn who_publishes_too_many_bytes_is_held_back_and_loses_none() {
    held_back("byte_rate_max=5000", 500);
}

#[test]
fn an_address_that_connects_too_often_is_turned_away() {
    let broker = BrokerProcess::start(&[
        "--limit",
        "connection_rate_max=3",
        "--limit",
        "login_ban_loopback=1",
    ]);
    let mut accepted = 0;
    for number in 0..30 {
        let mut client = RawClient::open(broker.port, Version::V5);
        client.send_if_there(&Hello::new(&number.to_string()).bytes());
        accepted += usize::from(client.next().is_some());
    }
    assert!((3..30).contains(&accepted), "{accepted} of 30 got in");
}

#[test]
fn lines_of_guessed_passwords_are_what_fail2ban_reads() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users").display().to_string();
    let program = Program::mqttx().args(["passwd", "-c", "-b", &users, "bob", "secret"]);
    assert_eq!(program.run().status, 0);
    for form in ["text", "mosquitto"] {
        let broker = BrokerProcess::start(&[
            "--password-file",
            &users,
            "--limit",
            "login_ban_loopback=1",
            "--limit",
            "login_failures_max=2",
            "--log-format",
            form,
        ]);
        let port = broker.port.to_string();
        let publish = |password: &str| {
            let words = ["pub", "-p", &port, "-u", "bob", "-P", password];
            let program = Program::mqttx().args(words);
            program.words("-h 127.0.0.1 -t t -m x -q 1").run().status
        };
        assert_ne!(publish("one"), 0);
        assert_ne!(publish("two"), 0);
        let filter = r"login failed from <HOST>( for user .*)? \(\d+ in a row\)";
        matches(&broker.wait_log("login failed"), filter);
        matches(&broker.wait_log("banned"), r"banned <HOST> for \d+ s");
        assert_ne!(publish("secret"), 0, "{form}: it is banned");
    }
}
