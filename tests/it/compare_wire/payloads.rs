//! Messages of every kind in every format of `-F`, as 2.1 prints them.

use crate::compare_wire::{Broker, Row, S, V5, V311, row};

/// What no editor writes, beside what every one does.
const PAYLOADS: &[&[u8]] = &[
    b"",
    b"one",
    b"a\0b",
    b"\0\x01\x02\xff",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\xf0\x9f\x98\x80 x",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\x01\x1f\x7f",
    b"line\r\n\t\"q\"\\/",
    b"{\"a\":[1,2,{\"b\":null}],\"c\":1.50,\"d\":\"\\u00e9\"}",
    b"{\"a\":1,\"a\":2}",
    b"{\"a\":\"\\/\",\"b\":\"x\\u0000y\",\"\\ud83d\\ude00\":true}",
    b"{\"big\":12345678901234567890,\"neg\":-0.0,\"e\":1e3}",
    b" {\"a\":1} ",
    b"{\"a\":1} x",
    b"\xef\xbb\xbf{}",
    b"[[],{},[1,]]",
    b"[]",
    b"123",
    b"-5",
    b"0.1",
    b"1.0",
    b"1e-7",
    b"1e21",
    b"1e400",
    b"\"str\"",
    b"null",
    b"true",
];

/// A message of QoS 0 to a/b.
fn publish(payload: &[u8]) -> &'static [u8] {
    let mut frame = vec![0x30, 5 + payload.len() as u8, 0, 3, b'a', b'/', b'b'];
    frame.extend_from_slice(payload);
    frame.leak()
}

fn after_suback(broker: Broker, frame: &'static [u8]) -> Broker {
    Broker {
        after_suback: vec![frame].leak(),
        ..broker
    }
}

const FORMATS: &[&str] = &[
    "%p",
    "%x",
    "%X",
    "%l",
    "%j",
    "%J",
    "%j --pretty",
    "%J --pretty",
    "%.2:x",
    "[%8p][%-8p][%08p][%.2p][%6.2p][%3.2p]",
    "[%12x][%012X][%.1-X][%020.1:X][%20.2_x]",
    "%f|%d|%.2f|%.3d|%12f",
    "%t|%10t|%-10t|%.2t|%6.2t|%05t",
    "%m|%5m|%05m|%-5m|%q|%r|%5l|%05l|%-5l|%%|@@",
];

/// All that a PUBLISH of version 5 can carry, the User Property twice.
const RICH: &[u8] = b"\x33\x33\0\x03a/b\0\x07\x29\x01\x01\x02\0\0\0\x3c\x03\0\x04text\x08\0\x03r/s\
    \x09\0\x02\0\xff\x0b\x05\x26\0\x01k\0\x01v\x26\0\x01k\0\x01w{}";

/// The four bytes of a float and the eight of a double, which %f and %d read.
const NUMBERS: &[&[u8]] = &[
    b"\0\0\x80\x3f",
    b"\0\0\xc0\x7f",
    b"\0\0\x80\xff",
    b"\0\0\0\0\0\0\xf0\x3f",
    b"\x18\x2d\x44\x54\xfb\x21\x09\x40",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |words: String, broker| rows.push(row(S, words.leak(), broker).of_2_1());
    for payload in PAYLOADS {
        let broker = after_suback(V311, publish(payload));
        for format in FORMATS {
            add(format!("-t a/b -i s -C 1 -F {format}"), broker);
        }
        add("-t a/b -i s -C 1".to_owned(), broker);
        add("-t a/b -i s -C 1 -v -N".to_owned(), broker);
    }
    for number in NUMBERS {
        let broker = after_suback(V311, publish(number));
        for format in ["%f", "%d", "%.2f", "%.3d", "%20.1f|%-20.1d|%020.1d"] {
            add(format!("-t a/b -i s -C 1 -F {format}"), broker);
        }
    }
    let broker = after_suback(V5, RICH);
    let rich = [
        "%j",
        "%J",
        "%j --pretty",
        "%A|%C|%D|%E|%F|%P|%R|%S|%r|%m|%p",
    ];
    for format in rich {
        add(format!("-V 5 -q 1 -t a/b -i s -C 1 -F {format}"), broker);
    }
    rows
}
