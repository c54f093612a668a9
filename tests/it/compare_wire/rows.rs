//! The runs that are compared.

use mqttx::mqtt::Version;

use crate::compare_wire::rules::Rule::{
    Goodbye, GoodbyeAtTimes, Json, NoFullStop, NoWordAfterRefusal, Null, PrintedEarly, WholeBytes,
};
use crate::compare_wire::{Broker, P, R, Row, S, V5, V31, V311, fed, row};

pub(super) const PUBLISHING: &[Row] = &[
    row(P, "-t a/b -m x -i p", V311),
    row(P, "-t a/b -m x -i p -d", V311),
    row(P, "-t a/b -m x -i p -d -q 1", V311),
    row(P, "-t a/b -m x -i p -d -q 2", V311),
    row(P, "-t a/b -m x -d", V311).rules(&[Null]),
    row(P, "-t a/b -m x", V311),
    row(P, "-t a/b -m x -V 31 -i p", V31),
    row(P, "-t a/b -m x -V 31", V31),
    row(P, "-t a/b -m x -I pre-", V311),
    row(P, "-t a/b -m x -V 5", V5),
    row(P, "-t a/b -m x -V 5 -i p -d -q 1", V5),
    row(P, "-t a/b -m x -V 5 -i p -d -q 2", V5),
    row(P, "-t a/b -n -r -i p -q 1", V311),
    row(P, "-t a/b -m x -i p -k 17", V311),
    row(P, "-t a/b -m x -i p -c", V311),
    row(P, "-t a/b -m x -i p -c -V 5", V5),
    row(P, "-t a/b -m x -i p -x 30 -V 5", V5),
    row(P, "-t a/b -m x -i p -x 0 -V 5", V5),
    row(P, "-t a/b -m x -i p -x 4294967295 -V 5", V5),
    row(P, "-t a/b -m x -i p -u user", V311),
    row(P, "-t a/b -m x -i p -u user -P secret", V311),
    row(P, "-t a/b -m x -i p -u user -P secret -V 5", V5),
    row(P, "-t a/b -m x -i p --will-topic w", V311),
    row(
        P,
        "-t a/b -m x -i p --will-topic w --will-payload bye --will-qos 2 --will-retain",
        V311,
    ),
    row(
        P,
        "-t a/b -m x -i p --will-topic w --will-payload bye -D will will-delay-interval 7 \
             -D will user-property k v -D will content-type text",
        V5,
    ),
    row(
        P,
        "-t a/b -m x -i p -D publish user-property b 1 -D publish content-type text \
             -D publish user-property a 2 -D publish message-expiry-interval 60 \
             -D publish response-topic r -D publish correlation-data c \
             -D publish payload-format-indicator 1",
        V5,
    ),
    row(
        P,
        "-t a/b -m x -i p -D connect user-property k v -D connect receive-maximum 9 \
             -D connect topic-alias-maximum 3 -D connect request-problem-information 0 \
             -D connect maximum-packet-size 4096 -D connect request-response-information 1",
        V5,
    ),
    row(
        P,
        "-t a/b -m x -i p -D connect session-expiry-interval 5",
        V5,
    ),
    row(P, "-t a/b -m x -i p -D connect user-property k v -x 5", V5),
    row(
        P,
        "-t a/b -m x -i p -D disconnect session-expiry-interval 5 -x 9 -V 5",
        V5,
    ),
    row(
        P,
        "-t a/b -m x -i p -D disconnect user-property k v -q 1",
        V5,
    ),
    row(P, "-t a/b -m x -i p --repeat 3", V311),
    row(P, "-t a/b -m x -i p --repeat 3 -q 1 -d", V311),
    row(P, "-t a/b -m x -i p --repeat 2 -q 2 -d", V311),
    row(P, "-t a/b -m x -i p --repeat 2 --repeat-delay 0.01", V311),
    fed("-t a/b -s -i p", "one\ntwo\n", V311),
    fed("-t a/b -l -i p -q 1", "one\n", V311),
    fed("-t a/b -l -i p", "one\n\nthree", V311),
    fed("-t a/b -l -i p", "", V311),
    row(P, "-L mqtt://me:pw@127.0.0.1:{port}/a/b -m x -i p", V311),
    row(P, "-t a/b -m x", Broker { connack: 5, ..V311 }).rules(&[NoFullStop]),
    row(P, "-t a/b -m x", Broker { connack: 1, ..V311 }).rules(&[NoFullStop]),
    row(P, "-t a/b -m x -i p", Broker { connack: 2, ..V311 }).rules(&[NoFullStop]),
    row(P, "-t a/b -m x", Broker { connack: 3, ..V311 }).rules(&[NoFullStop]),
    row(P, "-t a/b -m x", Broker { connack: 4, ..V311 }).rules(&[NoFullStop]),
    row(
        P,
        "-t a/b -m x -V 5",
        Broker {
            connack: 0x87,
            ..V5
        },
    )
    .rules(&[NoFullStop, NoWordAfterRefusal]),
    row(
        P,
        "-t a/b -m x -V 5",
        Broker {
            connack: 0x84,
            ..V5
        },
    )
    .rules(&[NoFullStop, NoWordAfterRefusal]),
    row(
        P,
        "-t a/b -m x -V 5 --quiet",
        Broker {
            connack: 0x8a,
            ..V5
        },
    )
    .rules(&[NoWordAfterRefusal]),
    row(
        P,
        "-t a/b -m x -V 5 -i p -q 1",
        Broker {
            refusal: 0x87,
            ..V5
        },
    ),
    row(
        P,
        "-t a/b -m x -V 5 -i p -q 1 -d",
        Broker {
            refusal: 0x10,
            ..V5
        },
    ),
    row(
        P,
        "-t a/b -m x -V 5 -i p -q 1 --quiet",
        Broker {
            refusal: 0x97,
            ..V5
        },
    ),
];

const ONE: Broker = Broker {
    after_suback: &[b"\x30\x08\x00\x03a/bone"],
    ..V311
};
const ONE_V5: Broker = Broker {
    after_suback: &[
        b"\x32\x26\x00\x03a/b\x00\x05\x1b\x26\x00\x01k\x00\x01v\x03\x00\x01t\x02\x00\x00\x00\x64\x08\x00\x01r\
          \x09\x00\x02cd\x01\x01one",
    ],
    ..V5
};
const JSON: Broker = Broker {
    after_suback: &[b"\x30\x10\x00\x03a/b{\"a\":[1,2]}"],
    ..V311
};

pub(super) const SUBSCRIBING: &[Row] = &[
    row(S, "-t a/b -i s -C 1", ONE),
    row(S, "-t a/b -i s -C 1 -v -N", ONE),
    row(S, "-t a/b -i s -C 1 -d", ONE),
    row(
        S,
        "-t a/b -C 1 -V 31",
        Broker {
            version: Version::V31,
            ..ONE
        },
    ),
    row(S, "-t a/b -t c/# -t $share/g/d -q 1 -i s -E", V311),
    row(
        S,
        "-t a/b -i s -E -q 2 -d -V 5 --retain-as-published -R",
        V5,
    ),
    row(
        S,
        "-t a -i s -E -D subscribe subscription-identifier 7 -D subscribe user-property k v",
        V5,
    ),
    row(
        S,
        "-t a -U b -U c -i s -W 1 -V 5 -D unsubscribe user-property k v",
        V5,
    ),
    row(S, "-t a -i s -E -D disconnect reason-string bye", V5),
    row(S, "-t a -i s -E -c", V311),
    row(S, "-t a -i s -E -c -V 5", V5),
    row(S, "-t a -i s -C 7 -E -V 5", V5),
    row(S, "-t a -i s -C 30 -E -V 5", V5),
    row(
        S,
        "-t a/b -i s -C 1 -q 1 -d -v",
        Broker {
            after_suback: &[b"\x32\x0a\x00\x03a/b\x00\x01one"],
            ..V311
        },
    ),
    row(
        S,
        "-t a/b -i s -C 1 -q 2 -v",
        Broker {
            after_suback: &[b"\x34\x0a\x00\x03a/b\x00\x01one"],
            ..V311
        },
    ),
    row(
        S,
        "-t a/b -i s -C 1 -q 2 -v -d",
        Broker {
            after_suback: &[b"\x34\x0a\x00\x03a/b\x00\x01one"],
            ..V311
        },
    )
    .rules(&[PrintedEarly]),
    row(
        S,
        "-t a/b -i s -C 1 -R -v",
        Broker {
            after_suback: &[b"\x31\x08\x00\x03a/bold", b"\x30\x08\x00\x03a/bnew"],
            ..V311
        },
    ),
    row(
        S,
        "-t # -i s -T a/+ -v -C 1",
        Broker {
            after_suback: &[b"\x30\x08\x00\x03a/bone", b"\x30\x08\x00\x03b/btwo"],
            ..V311
        },
    ),
    row(
        S,
        "-t # -i s --retained-only -v",
        Broker {
            after_suback: &[b"\x31\x08\x00\x03a/bold", b"\x30\x08\x00\x03a/bnew"],
            ..V311
        },
    ),
    row(S, "-t a -W 1 -i s", V311),
    row(S, "-t a -W 1 -i s -V 5 -d", V5),
    row(
        S,
        "-t a -i s",
        Broker {
            granted: Some(0x80),
            ..V311
        },
    ),
    row(
        S,
        "-t a -i s -V 5 -d",
        Broker {
            granted: Some(0x87),
            ..V5
        },
    ),
    row(S, "-t a", Broker { connack: 5, ..V311 }).rules(&[NoFullStop]),
    row(
        S,
        "-t a -V 5",
        Broker {
            connack: 0x86,
            ..V5
        },
    )
    .rules(&[NoWordAfterRefusal]),
    row(
        S,
        "-t a/b -i s -C 1 -F %t|%p|%q|%r|%l|%m|%x|%X|%8p|%-8p|%08p|%2p|%5t|%-5t|%.1t|%3l|%03l",
        ONE,
    ),
    row(S, "-t a/b -i s -C 1 -F [%2x]", ONE).rules(&[WholeBytes]),
    row(
        S,
        "-t a/b -i s -C 1 -F %A|%C|%D|%E|%F|%P|%R|%S|%3A|%03A|%3C|%3E|%3F|%3S",
        ONE,
    ),
    row(
        S,
        "-t a/b -i s -C 1 -q 1 -V 5 -F %A|%C|%D|%E|%F|%P|%R|%S|%5E|%05E|%-5E|%4C|%-4C|%m",
        ONE_V5,
    ),
    row(S, "-t a/b -i s -C 1 -F %j", ONE).rules(&[Json]),
    row(S, "-t a/b -i s -C 1 -F %j --pretty", ONE).rules(&[Json]),
    row(S, "-t a/b -i s -C 1 -F %J", JSON).rules(&[Json]),
    row(S, "-t a/b -i s -C 1 -F %J --pretty", JSON).rules(&[Json]),
    row(S, "-t a/b -i s -C 1 -F %J", ONE),
    row(S, "-t a/b -i s -C 1 -q 1 -V 5 -F %j", ONE_V5).rules(&[Json]),
    row(S, "-t a/b -i s -C 1 -F \\a\\e\\n\\r\\t\\v\\\\\\0|@@", ONE),
];

const REPLY: Broker = Broker {
    after_publish: &[b"\x30\x09\x00\x01r\x00reply"],
    ..V5
};
const REPLY_311: Broker = Broker {
    after_publish: &[b"\x30\x08\x00\x01rreply"],
    ..V311
};

pub(super) const REQUESTING: &[Row] = &[
    row(R, "-t q -e r -m x -i c", REPLY).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -i c -v -d", REPLY).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -i c -V 311", REPLY_311).rules(&[Goodbye]),
    row(R, "-t q -e r -n -i c -F %t=%p", REPLY).rules(&[Goodbye]),
    row(
        R,
        "-t q -e r -m x -i c -D publish correlation-data d -D subscribe user-property k v",
        REPLY,
    )
    .rules(&[Goodbye]),
    row(R, "-t q -e r -m x -i c -W 1", V5),
    row(
        R,
        "-t q -e r -m x",
        Broker {
            connack: 0x87,
            ..V5
        },
    )
    .rules(&[NoWordAfterRefusal]),
    row(
        R,
        "-t q -e r -m x -i c",
        Broker {
            granted: Some(0x87),
            ..V5
        },
    )
    .rules(&[GoodbyeAtTimes]),
];
