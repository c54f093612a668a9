//! Runs with each property that a packet may have, in an order of their own.

use crate::compare_wire::rules::Rule::{AliasNotOffered, Goodbye, GoodbyeWithProperties};
use crate::compare_wire::{Broker, P, R, Row, S, V5, row};

const ANSWER: Broker = Broker {
    after_publish: &[b"\x30\x09\x00\x01r\x00reply"],
    ..V5
};

macro_rules! of_connect {
    ($words:literal) => {
        concat!(
            $words,
            " -D connect user-property k v -D connect topic-alias-maximum 3",
            " -D connect session-expiry-interval 77 -D connect request-response-information 1",
            " -D connect request-problem-information 0 -D connect receive-maximum 9",
            " -D connect maximum-packet-size 4096 -D connect authentication-method m",
            " -D connect authentication-data d -D connect user-property k w"
        )
    };
}

macro_rules! of_will {
    ($words:literal) => {
        concat!(
            $words,
            " --will-topic w --will-payload bye --will-qos 1 --will-retain",
            " -D will will-delay-interval 7 -D will user-property k v",
            " -D will response-topic r/w -D will payload-format-indicator 1",
            " -D will message-expiry-interval 9 -D will correlation-data c",
            " -D will content-type text -D will user-property -k -v"
        )
    };
}

macro_rules! of_publish {
    ($words:literal) => {
        concat!(
            $words,
            " -D publish user-property k v -D publish payload-format-indicator 0",
            " -D publish message-expiry-interval 4294967295 -D publish correlation-data c",
            " -D publish content-type text -D publish user-property k v"
        )
    };
}

macro_rules! of_disconnect {
    ($words:literal) => {
        concat!(
            $words,
            " -D disconnect user-property k v -D disconnect session-expiry-interval 3",
            " -D disconnect server-reference s -D disconnect reason-string bye"
        )
    };
}

/// DISCONNECT with `of_disconnect`.
pub(super) const PARTING: &[u8] =
    b"\xe0\x18\x00\x16&\x00\x01k\x00\x01v\x11\x00\x00\x00\x03\x1c\x00\x01s\x1f\x00\x03bye";

pub(super) const ALIASES: Broker = Broker {
    tells: b"\x22\0\x05",
    ..V5
};

pub(super) const ROWS: &[Row] = &[
    row(P, of_connect!("-t a -m b -i c"), V5),
    row(S, of_connect!("-t a -E -i c"), V5),
    row(R, of_connect!("-t q -e r -m b -i c"), ANSWER).rules(&[Goodbye]),
    row(P, of_will!("-t a -m b -i c -V 5"), V5),
    row(S, of_will!("-t a -E -i c -V 5"), V5),
    row(R, of_will!("-t q -e r -m b -i c"), ANSWER).rules(&[Goodbye]),
    row(P, of_publish!("-t a -m b -i c -q 1"), V5),
    row(
        P,
        of_publish!("-t a -m b -i c -D publish response-topic r"),
        V5,
    ),
    row(
        P,
        of_publish!("-t a -m b -i c -D publish topic-alias 1"),
        ALIASES,
    ),
    row(R, of_publish!("-t q -e r -m b -i c"), ANSWER).rules(&[Goodbye]),
    row(
        P,
        "-t a -m b -i c -D publish topic-alias 5 --repeat 3",
        ALIASES,
    ),
    row(P, "-t a -m b -i c -D publish topic-alias 1", V5).rules(&[AliasNotOffered]),
    // Properties of packets a program does not send are passed over.
    row(S, of_publish!("-t a -E -i c"), V5),
    row(P, "-t a -m b -i c -D subscribe user-property k v", V5),
    row(P, "-t a -m b -i c -D unsubscribe user-property k v", V5),
    row(
        S,
        "-t a -t b -E -i c -D subscribe user-property k v -D subscribe subscription-identifier 268435455 \
         -D subscribe user-property k v",
        V5,
    ),
    row(
        R,
        "-t q -e r -m b -i c -D subscribe subscription-identifier 1 -D subscribe user-property k v",
        ANSWER,
    )
    .rules(&[Goodbye]),
    row(
        S,
        "-t a -U b -U c -W 1 -i c -D unsubscribe user-property k v -D unsubscribe user-property k w",
        V5,
    ),
    row(P, of_disconnect!("-t a -m b -i c -x 9"), V5),
    row(S, of_disconnect!("-t a -E -i c -x 9"), V5),
    row(S, of_disconnect!("-t a -W 1 -i c -x 9"), V5),
    row(R, of_disconnect!("-t q -e r -m b -i c -x 9"), ANSWER).rules(&[GoodbyeWithProperties]),
    row(R, of_disconnect!("-t q -e r -m b -i c -x 9 -W 1"), V5),
];
