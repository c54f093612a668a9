//! What a bench counts against what the broker itself counts: the same, to the message.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands_bench::{Broker, SHORT, assert_clean, bench, json};

/// What the broker says on a topic below `$SYS`; asking costs it one message sent.
fn told(port: u16, name: &str) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-t", &format!("$SYS/broker/publish/messages/{name}")])
        .args(["-C", "1", "-W", "20"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{name}: {output:?}"))
}

/// Of all rows of a report.
fn sum(report: &Value, name: &str) -> u64 {
    let rows = report["results"].as_array().unwrap();
    rows.iter()
        .map(|row| row["counts"][name].as_u64().unwrap())
        .sum()
}

#[test]
fn counts_are_those_of_the_broker() {
    let broker = Broker::start_with(&["--port", "0", "--sys-interval", "3600"]);
    for words in [
        "--pubs 3",
        "fanin --pubs 4 -q 1 --rate 2k",
        "fanout --subs 5 -q 2 --rate 500",
        "shared --pubs 2 --subs 3 -q 1 --max",
        "rr --pubs 2 -q 0 --rate 500",
    ] {
        let (received, sent) = (told(broker.port, "received"), told(broker.port, "sent"));
        let report = json(&bench(broker.port, &format!("{words} {SHORT}")));
        report["results"]
            .as_array()
            .unwrap()
            .iter()
            .for_each(assert_clean);
        let received = told(broker.port, "received") - received;
        // Both answers above and the one here are messages, too; the first was counted already.
        let sent = told(broker.port, "sent") - sent - 2;
        // A responder publishes what it gets, and is a receiver itself.
        let ways = if words.starts_with("rr") { 2 } else { 1 };
        assert_eq!(received, ways * sum(&report, "sent"), "{words}: received");
        assert_eq!(
            sent,
            sum(&report, "unique") + (ways - 1) * sum(&report, "sent"),
            "{words}: sent"
        );
    }
}
