//! What a broker refuses, in every packet that can say so, and what it says beforehand that it will not
//! take: the words and the exit status of 2.1.

use crate::compare_wire::rules::Rule;
use crate::compare_wire::rules::Rule::{
    GoodbyeAtTimes, NoWordAfterRefusal, ReturnCodes, TooLargeIsTold,
};
use crate::compare_wire::{Broker, P, R, Row, S, V5, V311, row};

const USUAL: [(&str, &str); 3] = [
    (P, "-t a -m b -i c"),
    (S, "-t a -i c"),
    (R, "-t q -e r -m b -i c"),
];

/// Those of CONNACK, and one that no standard knows.
const REFUSED: &[u8] = &[
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
    0x9a, 0x9b, 0x9c, 0x9d, 0x9f, 0xff,
];

fn connack(rows: &mut Vec<Row>) {
    for (program, words) in USUAL {
        for code in 1..=6 {
            let rules: &[Rule] = match program {
                R => &[NoWordAfterRefusal, ReturnCodes],
                _ => &[NoWordAfterRefusal],
            };
            let broker = Broker {
                connack: code,
                ..V311
            };
            let words = format!("{words} -V 311").leak();
            rows.push(row(program, words, broker).rules(rules).of_2_1());
        }
        for &code in REFUSED {
            for debug in ["", " -d"] {
                // Of a code nobody knows there is a sentence, but no line of the trace.
                if code == 0xff && !debug.is_empty() {
                    continue;
                }
                let words = format!("{words} -V 5{debug}").leak();
                let broker = Broker {
                    connack: code,
                    ..V5
                };
                let row = row(program, words, broker);
                rows.push(row.rules(&[NoWordAfterRefusal]).of_2_1());
            }
        }
        let lies = Broker {
            has_session: true,
            ..if program == R { V5 } else { V311 }
        };
        let row = row(program, words, lies);
        rows.push(row.rules(&[NoWordAfterRefusal]).of_2_1());
    }
}

fn acknowledgements(rows: &mut Vec<Row>) {
    for qos in [1, 2] {
        for refusal in [0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
            for more in ["", " -d", " --quiet", " --repeat 2 -d"] {
                let words = format!("-t a -m b -i c -V 5 -q {qos}{more}").leak();
                rows.push(row(P, words, Broker { refusal, ..V5 }).of_2_1());
            }
        }
    }
    for code in [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2] {
        let granted = Some(code);
        for more in ["", " -d", " --quiet"] {
            let words = format!("-t a -i c -V 5{more}").leak();
            rows.push(row(S, words, Broker { granted, ..V5 }).of_2_1());
        }
        for more in ["", " --quiet"] {
            let words = format!("-t q -e r -m b -i c{more}").leak();
            let row = row(R, words, Broker { granted, ..V5 });
            rows.push(row.rules(&[GoodbyeAtTimes]).of_2_1());
        }
    }
}

/// What CONNACK says about the broker.
fn limits(rows: &mut Vec<Row>) {
    let mut add = |program, words, tells: &'static [u8], rules: &'static [Rule]| {
        let row = row(program, words, Broker { tells, ..V5 });
        rows.push(row.rules(rules).of_2_1());
    };
    let (qos_1, qos_0) = (b"\x24\x01", b"\x24\0");
    add(P, "-t a -m b -i c -V 5 -q 2 -d", qos_1, &[]);
    add(P, "-t a -m b -i c -V 5 -q 1 --quiet", qos_0, &[]);
    add(P, "-t a -m b -i c -V 5 -q 1", qos_1, &[]);
    add(R, "-t q -e r -m b -i c -q 2", qos_1, &[GoodbyeAtTimes]);
    add(S, "-t a -i c -q 2 -V 5 -E -d", qos_1, &[]);
    // No retained messages: the flag is dropped.
    add(P, "-t a -m b -i c -V 5 -r -d", b"\x25\0", &[]);
    add(P, "-t a -m b -i c -V 5 -r -q 1 -d", b"\x25\0", &[]);
    // Packets of 20 bytes at most, and of 9.
    let long = "-t a -m xxxxxxxxxxxxxxxxxxxxxxxxx -i c -V 5 -q 1";
    add(P, long, b"\x27\0\0\0\x14", &[TooLargeIsTold]);
    let long = "-t q -e r -m xxxxxxxxxxxxxxxxxxxxxxxxx -i c";
    add(R, long, b"\x27\0\0\0\x14", &[GoodbyeAtTimes]);
    add(S, "-t a -i c -V 5 -E -d", b"\x27\0\0\0\x09", &[]);
    add(S, "-t a -i c -V 5 -E -d", b"\x21\0\x01", &[]);
    add(S, "-t a -i c -V 5 -E -d", b"\x13\0\x05", &[]);
    // A name for the nameless.
    add(S, "-t a -V 5 -E -d", b"\x12\0\x05given", &[]);
    add(P, "-t a -m b -V 5 -d -q 1", b"\x12\0\x05given", &[]);
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    connack(&mut rows);
    acknowledgements(&mut rows);
    limits(&mut rows);
    rows
}
