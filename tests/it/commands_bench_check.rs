//! What a bench counts against what the broker itself counts: the same, to the message.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::commands_bench::{Broker, SHORT, assert_clean, bench, json};
use crate::support::peers;
use crate::support::programs::{mosquittos_21, skipped};

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

/// Lines of one topic below `$SYS`, for as long as it is wanted.
struct Teller {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Teller {
    fn start(port: u16, name: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["sub", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-t", &format!("$SYS/broker/publish/messages/{name}")])
            .args(["-W", "60"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> u64 {
        let line = self.lines.next().expect("told within a minute").unwrap();
        line.parse().unwrap()
    }

    /// Waits until the broker has counted `wanted` since it said `first`; `own` is how many of them
    /// each of these answers is.
    fn wait_for(&mut self, first: u64, wanted: u64, own: u64, about: &str) {
        let mut answers = own;
        loop {
            let counted = self.next() - first - answers;
            assert!(counted <= wanted, "{about}: {counted} of {wanted}");
            if counted == wanted {
                return;
            }
            answers += own;
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn mosquittos_lines([port]: [u16; 1]) -> String {
    format!(
        "listener {port} 127.0.0.1\nsys_interval 1\nmax_queued_messages 0\nlog_dest none\n\
         allow_anonymous true\n"
    )
}

/// Loads this broker as `words` say and waits until it has counted as much by `name`.
fn agree(port: u16, (words, name, counted, own): (&str, &str, &str, u64)) {
    let mut teller = Teller::start(port, name);
    let first = teller.next();
    let report = json(&bench(port, &format!("{words} {SHORT}")));
    let rows = report["results"].as_array().unwrap();
    rows.iter().for_each(assert_clean);
    let wanted = sum(&report, counted);
    teller.wait_for(first, wanted, own, &format!("{words}: {name}"));
}

#[test]
fn counts_are_those_of_mosquitto() {
    let Some(program) = peers::installed("mosquitto") else {
        return;
    };
    for load in [
        // mosquitto 2.0 leaves QoS 2 out of what it says it received.
        ("--pubs 2 -q 0,1 --rate 1k", "received", "sent", 0),
        ("--pubs 2 -q 0,1,2 --rate 1k", "sent", "unique", 1),
        ("fanout --subs 5 -q 2 --rate 300", "sent", "unique", 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let started = peers::mosquitto_at(&program, folder.path(), mosquittos_lines);
        let Some((_broker, [port])) = started else {
            return;
        };
        agree(port, load);
    }
}

#[test]
fn counts_are_those_of_mosquitto_2_1() {
    let loads = [
        ("--pubs 2 -q 0,1,2 --rate 500", "received", "sent", 0),
        ("fanin --pubs 3 -q 1 --max", "received", "sent", 0),
        ("--pubs 2 -q 0,1,2 --rate 500", "sent", "unique", 1),
        ("fanout --subs 5 -q 2 --rate 300", "sent", "unique", 1),
    ];
    let Some(program) = mosquittos_21("mosquitto") else {
        return skipped(loads.len(), "mosquitto 2.1 is not here (tests/setup-peers)");
    };
    for load in loads {
        let folder = tempfile::tempdir().unwrap();
        let started = peers::mosquitto_at(&program, folder.path(), mosquittos_lines);
        let Some((_broker, [port])) = started else {
            return;
        };
        agree(port, load);
    }
}
