//! What shapes CONNECT and the messages, in every version of the protocol and for every program of 2.1; and
//! what a subscriber does with retained messages.

use mqttx::mqtt::Version;

use crate::compare_wire::rules::Rule::Goodbye;
use crate::compare_wire::{Broker, P, R, Row, S, V5, V31, V311, row};

const OPTIONS: &[&str] = &[
    "",
    "-c",
    "-c -x 0",
    "-c -x 7",
    "-x 0",
    "-x 5",
    "-x -1",
    "-k 5",
    "-k 65535",
    "-M 1",
    "-q 1",
    "-q 2",
    "-u me",
    "-u me -P ''",
    "-u me -P pw",
    "--will-topic w",
    "--will-topic w --will-payload bye --will-qos 1",
    "--will-topic w --will-payload bye --will-retain",
];

const SUBSCRIBING: &[&str] = &[
    "-v",
    "-R -v",
    "--retained-only -v",
    "--remove-retained -v",
    "--remove-retained -T a/b -v",
    "-T a/b -v",
    "-T a/# -v",
    "-N -v",
    "-U x -U y",
    "-E -R",
    "--retain-as-published -v",
    "--retain-handling always",
    "--retain-handling new",
    "--retain-handling never",
    "--retain-handling never -R",
    "-R --retain-handling new",
    "-v -F %p",
    "-w",
    "-w -v",
    "-w -F %t=%p",
];

fn version(words: &str, broker: Broker) -> (&'static str, Broker) {
    let number = match broker.version {
        Version::V31 => "31",
        Version::V311 => "311",
        Version::V5 => "5",
    };
    // -x means version 5, so the version stands last.
    (format!("{words} -V {number}").leak(), broker)
}

fn options(rows: &mut Vec<Row>) {
    for broker in [V31, V311, V5] {
        let answer: &[&[u8]] = match broker.version {
            Version::V5 => &[b"\x30\x09\0\x01r\0reply"],
            _ => &[b"\x30\x08\0\x01rreply"],
        };
        let answers = Broker {
            after_publish: answer,
            ..broker
        };
        for options in OPTIONS {
            let (words, broker) = version(&format!("-t a -m b -i c -d {options}"), broker);
            rows.push(row(P, words, broker).of_2_1());
            let (words, broker) = version(&format!("-t a -E -i c -d {options}"), broker);
            rows.push(row(S, words, broker).of_2_1());
            // At QoS 2 the answer comes before the request is through.
            if *options == "-q 2" {
                continue;
            }
            let (words, answers) = version(&format!("-t q -e r -m b -i c -d {options}"), answers);
            rows.push(row(R, words, answers).rules(&[Goodbye]).of_2_1());
        }
    }
}

fn retained(rows: &mut Vec<Row>) {
    let after_suback: &[&[u8]] = &[
        b"\x31\x08\0\x03a/bold",
        b"\x33\x0a\0\x03a/c\0\x03old",
        b"\x30\x08\0\x03a/bnew",
    ];
    let old = Broker {
        after_suback,
        ..V311
    };
    let after_suback: &[&[u8]] = &[
        b"\x31\x09\0\x03a/b\0old",
        b"\x33\x0b\0\x03a/c\0\x03\0old",
        b"\x30\x09\0\x03a/b\0new",
    ];
    let new = Broker { after_suback, ..V5 };
    for broker in [old, new] {
        for options in SUBSCRIBING {
            let (words, broker) = version(&format!("-t a/# -i c -W 1 {options}"), broker);
            rows.push(row(S, words, broker).of_2_1());
        }
    }
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    options(&mut rows);
    retained(&mut rows);
    rows
}
