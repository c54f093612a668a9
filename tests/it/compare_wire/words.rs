//! Runs with each option in both its forms, options files, inputs of every shape.

use crate::compare_wire::properties::ALIASES;
use crate::compare_wire::rules::Rule::{
    Goodbye, GoodbyeAtTimes, HandshakeFirst, Null, PartsOnce, RequestOptions, WholeLines,
};
use crate::compare_wire::{Broker, P, R, Row, S, V5, V31, V311, fed, row};

const ONE: Broker = Broker {
    after_suback: &[b"\x30\x08\x00\x03a/bone"],
    ..V311
};
const ANSWER: Broker = Broker {
    after_publish: &[b"\x30\x09\x00\x01r\x00reply"],
    ..V5
};
const ANSWER_311: Broker = Broker {
    after_publish: &[b"\x30\x08\x00\x01rreply"],
    ..V311
};

macro_rules! long {
    ($words:literal) => {
        concat!(
            $words,
            " --id c --keepalive 77 --username me --pw secret --qos 1 --debug --nodelay",
            " --will-topic w --will-payload bye --will-qos 2 --will-retain --disable-clean-session"
        )
    };
}

macro_rules! short {
    ($words:literal) => {
        concat!(
            $words,
            " -i c -k 77 -u me -P secret -q 1 -d --nodelay -M 3 -A 127.0.0.1 -c"
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    row(
        P,
        long!("--topic a/b --message x --retain --protocol-version mqttv311"),
        V311,
    ),
    row(P, short!("-t a/b -m x -r -V mqttv311"), V311),
    row(
        P,
        long!("--topic a/b --null-message --protocol-version mqttv5"),
        V5,
    ),
    row(P, short!("-t a/b -n -V mqttv5 --repeat 5"), V5),
    row(S, long!("--topic a/b --verbose -C 1"), ONE),
    row(S, short!("-t a/b -v -C 1"), ONE),
    row(
        S,
        long!("--topic a/b --filter-out c --unsubscribe d -E --protocol-version 5"),
        V5,
    )
    .rules(&[PartsOnce]),
    row(R, long!("--topic q -e r --message x --verbose"), ANSWER).rules(&[Goodbye]),
    row(R, short!("-t q -e r -m x -v"), ANSWER).rules(&[Goodbye]),
    row(
        R,
        long!("--topic q -e r --null-message --protocol-version 311"),
        ANSWER_311,
    )
    .rules(&[Goodbye]),
    row(P, "-t a -m b -V mqttv31 -i p", V31),
    row(P, "-t a -m b -V 311 -i p", V311),
    row(S, "-t a -E -V 31", V31),
    row(S, "-t a -E -V 31 -I pre-", V31),
    row(S, "-t a -E -I pre-", V311),
    row(S, "-t a -E", V311),
    row(S, "-t a -E -V 5 -d", V5).rules(&[Null]),
    row(R, "-t q -e r -m x", ANSWER).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -I pre-", ANSWER).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -V 31 -i c", ANSWER_311).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -V 31", ANSWER_311).rules(&[Goodbye]),
    row(S, "-t a -E -x 30 -i s -V 5", V5),
    row(S, "-t a -E -c -x 30 -i s -V 5", V5),
    row(R, "-t q -e r -m x -i c -x 30", ANSWER).rules(&[Goodbye]),
    row(R, "-t q -e r -m x -i c -c", ANSWER).rules(&[Goodbye]),
    row(P, "-t a -m b -i p -u me --will-topic w", V311),
    row(P, "-t a -m b -i p -P secret -V 5", V5),
    row(P, "-t a -m b -i p -u '' -P ''", V311),
    // The last of an option counts, the topics of a subscriber all.
    row(
        P,
        "-t a -t b -m x -i p -q 0 -q 1 -k 10 -k 20 -u a -u b -V 5 -V 311",
        V311,
    ),
    row(S, "-t a -t a -t b -E -i s -q 2", V311),
    row(S, "-t a -E -i s -M 5 -V 5", V5),
    row(S, "-t a -E -i s -M 5", V311),
    row(P, "-t a -m b -i p -M 1 --repeat 3 -q 1", V311),
    row(P, "-t a -m b -i p -M 1 --repeat 3 -q 2 -V 5 -d", V5),
    // Payloads from elsewhere.
    row(P, "-t a -f tests/fixtures/protobuf/dev.proto -i p", V311),
    // 2.1 opens neither device nor pipe.
    row(P, "-t a --file /dev/null -i p", V311).of_2_0(),
    row(P, "-t a -f /dev/null -i p --repeat 2", V311).of_2_0(),
    fed("-t a --stdin-file -i p --repeat 2", "one\0two\r\n", V311),
    fed("-t a --stdin-line -i p -q 1 -d", "one\n", V311),
    fed("-t a -l -i p -q 2 -d", "one\n", V311),
    fed("-t a -l -i p -q 1 -V 5", "one\r\ntwo\r\n", V5),
    fed("-t a -l -i p", "a\0b\nc\n", V311).rules(&[WholeLines]),
    fed("-t a -l -i p -r", "\n\n", V311),
    fed(
        "-t a -l -i p -D publish topic-alias 4",
        "one\ntwo\n",
        ALIASES,
    ),
    fed(
        "-t a -l -i p -D publish user-property k v -q 1",
        "one\ntwo\n",
        V5,
    ),
    row(P, "-t a -m \\n -i p", V311),
    row(P, "-t $SYS/a -m b -i p", V311),
    // URLs.
    row(P, "-L mqtt://127.0.0.1:{port}/a -m x -i p", V311),
    row(P, "--url mqtt://me@127.0.0.1:{port}/a/b/c -m x -i p", V311),
    row(
        P,
        "-L mqtt://m%40e:p%3aw@127.0.0.1:{port}/a%2fb -m x -i p",
        V311,
    ),
    row(
        P,
        "-L mqtt://me:pw@127.0.0.1:{port}/a -u you -m x -i p",
        V311,
    ),
    row(
        P,
        "-u you -t b -L mqtt://me:pw@127.0.0.1:{port}/a -m x -i p",
        V311,
    ),
    row(S, "-L mqtt://me:pw@127.0.0.1:{port}/a/# -t b -E -i s", V311),
    row(R, "-L mqtt://127.0.0.1:{port}/q -e r -m x -i c", ANSWER).rules(&[Goodbye]),
    // Options files.
    row(P, "-m x", V311).options("-t a/b\n-i p\n# -q 2\n\n-q 1\n--will-topic w\n"),
    row(P, "-m x -q 0", V311).options("-t a/b\n-i p\n-q 1\n-u  a user \n-P pass # word\n"),
    row(P, "-m x -i p -t a", V311).options("-t\n"),
    row(P, "-m x -i p -t a", V311).options("--no-such-option x\n"),
    row(P, "-i p -t a", V311).options("-m two words\r\n"),
    row(S, "-E", V5).options("-t a\n-t b\n-i s\n-V 5\n"),
    row(R, "-m x", ANSWER)
        .options("-t q\n-e r\n-i c")
        .rules(&[Goodbye]),
    // What a subscriber prints, and does.
    row(S, "-t a/b -i s -C 1 -F %I", ONE),
    row(S, "-t a/b -i s -C 1 -F %U", ONE),
    row(S, "-t a/b -i s -C 1 -F @Y-@m-@dT@H:@M:@S.@N@z", ONE),
    row(
        S,
        "-t a/b -i s -C 1 -F @a,@b,@A,@B,@j,@Z,@e,@I,@p,@y,@D,@F,@T,@R,@u,@w,@C,@g,@G,@V,@U,@W,@h,@k",
        ONE,
    ),
    row(S, "-t a/b -i s -C 1 -F @c|@x|@X|@r|@n|@t|@s|@@", ONE),
    row(S, "-t a/b -i s -C 1 -N -F %p", ONE),
    row(S, "-t a/b -i s -C 1 --pretty -v", ONE),
    row(S, "-t a/b -i s -C 1 -d -T c -U d", ONE).rules(&[GoodbyeAtTimes]),
    row(
        S,
        "-t # -i s -C 3 -v",
        Broker {
            after_suback: &[
                b"\x30\x05\x00\x03a/b",
                b"\x31\x05\x00\x03a/c",
                b"\x30\x08\x00\x03a/bone",
            ],
            ..V311
        },
    ),
    row(
        S,
        "-t # -i s -C 2 -N -v",
        Broker {
            after_suback: &[b"\x30\x05\x00\x03a/b", b"\x30\x08\x00\x03a/bone"],
            ..V311
        },
    ),
    row(
        S,
        "-t a -i s -W 1 -q 2 -d",
        Broker {
            granted: Some(1),
            ..V311
        },
    ),
    row(
        S,
        "-t a -t b -t c -i s -E -d -V 5",
        Broker {
            granted: Some(2),
            ..V5
        },
    ),
    row(R, "-t q -e r -m x -i c -R -N", ANSWER).rules(&[RequestOptions, Goodbye]),
    row(
        R,
        "-t q -e r -m x -i c --retain-as-published -q 1 -d",
        ANSWER,
    )
    .rules(&[RequestOptions, Goodbye]),
    row(R, "-t q -e r -m x -i c -q 2 -d -F %p|%t|%q|%R", ANSWER).rules(&[HandshakeFirst, Goodbye]),
    row(R, "-t q -e r -m x -i c --pretty -F %J", ANSWER).rules(&[Goodbye]),
    row(S, "-t a -i s -k 5 -W 7 -d", V311),
];
