//! What is played to both brokers: CONNECT and its answer, and packets that are malformed or out of
//! place. Client identifiers and topics are each script's own, so that none sees what another left.

use mqttx::mqtt::Version;
use mqttx::mqtt::property::{PropertyId, Value};

use crate::compare_broker::Rule::{self, Same, Since21};
use crate::compare_broker::Script;
use crate::compare_broker::player::Player;
use crate::support::packets::{DISCONNECT, Hello};

pub(crate) const V3: Version = Version::V311;
pub(crate) const V5: Version = Version::V5;

pub(crate) fn hello(version: Version, id: &str) -> Hello {
    Hello::new(id).version(version).keep_alive(60)
}

pub(crate) fn join(player: &mut Player, version: Version, id: &str) {
    player.connect(id, &hello(version, id).bytes());
}

fn send(player: &mut Player, name: &str, hex: &str) {
    player.send(name, &bytes(hex));
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(text, 16).unwrap()
    };
    digits.chunks(2).map(byte).collect()
}

/// Raw bytes as the first packet of a connection.
fn first(player: &mut Player, hex: &str) {
    player.connect("raw", &bytes(hex));
}

/// Raw bytes after an orderly CONNECT.
fn after(player: &mut Player, version: Version, hex: &str) {
    let id = format!("after-{}", hex.replace(' ', ""));
    player.connect("raw", &hello(version, &id).bytes());
    send(player, "raw", hex);
}

pub(crate) const fn script(name: &'static str, rule: Rule, play: fn(&mut Player)) -> Script {
    Script { name, play, rule }
}

const ORDER: Rule = Since21("the Server Keep Alive comes first");

pub(crate) const HANDSHAKES: &[Script] = &[
    // CONNECT and its answer.
    script("connack v5", Same, |p| join(p, V5, "c1")),
    script("connack v3", Same, |p| join(p, V3, "c2")),
    script("connack v3.1", Same, |p| join(p, Version::V31, "c3")),
    script("assigned id v5", Same, |p| {
        p.connect("a", &hello(V5, "").bytes());
    }),
    script("assigned id v3", Same, |p| {
        p.connect("a", &hello(V3, "").bytes());
    }),
    script("no id and a kept session", Same, |p| {
        p.connect("a", &hello(V3, "").kept().bytes());
    }),
    script("keep alive too long v5", ORDER, |p| {
        p.connect("a", &hello(V5, "k1").keep_alive(601).bytes());
    }),
    script("keep alive too long, no id", ORDER, |p| {
        p.connect("a", &hello(V5, "").keep_alive(601).bytes());
    }),
    script("keep alive 0 v5", ORDER, |p| {
        p.connect("a", &hello(V5, "k2").keep_alive(0).bytes());
    }),
    script(
        "keep alive too long v3",
        Since21("max_keepalive refuses version 3, too"),
        |p| {
            p.connect("a", &hello(V3, "k3").keep_alive(601).bytes());
        },
    ),
    script(
        "keep alive 0 v3",
        Since21("max_keepalive refuses version 3, too"),
        |p| p.connect("a", &hello(V3, "k4").keep_alive(0).bytes()),
    ),
    script("session expiry is not told", Same, |p| {
        let never = Value::Four(u32::MAX);
        p.connect(
            "a",
            &hello(V5, "e1")
                .with(PropertyId::SessionExpiryInterval, never)
                .bytes(),
        );
    }),
    script("session present", Same, |p| {
        p.connect("a", &hello(V3, "s1").kept().bytes());
        p.send("a", &DISCONNECT);
        p.connect("a", &hello(V3, "s1").kept().bytes());
        p.send("a", &DISCONNECT);
        p.connect("a", &hello(V3, "s1").bytes());
    }),
    script("session present v5", Same, |p| {
        p.connect("a", &hello(V5, "s2").kept().bytes());
        p.send("a", &DISCONNECT);
        p.connect("a", &hello(V5, "s2").kept().bytes());
        p.send("a", &DISCONNECT);
        p.connect("a", &hello(V5, "s2").bytes());
    }),
    script(
        "take over v5",
        Since21("who is taken over is told 0x8E"),
        |p| {
            join(p, V5, "t1");
            p.connect("b", &hello(V5, "t1").bytes());
            p.take("t1");
        },
    ),
    script("take over v3", Same, |p| {
        join(p, V3, "t2");
        p.connect("b", &hello(V3, "t2").bytes());
        p.take("t2");
    }),
    script(
        "a version nobody knows",
        Since21("the answer is one of version 5"),
        |p| {
            first(p, "10 0f 0004 4d515454 07 02 003c 0003 61 62 63");
        },
    ),
    script("another protocol", Same, |p| {
        first(p, "10 0f 0004 4d515458 04 02 003c 0003 61 62 63");
    }),
    script("a second CONNECT v3", Same, |p| {
        join(p, V3, "d1");
        p.send("d1", &hello(V3, "d1").bytes());
    }),
    script("a second CONNECT v5", Same, |p| {
        join(p, V5, "d2");
        p.send("d2", &hello(V5, "d2").bytes());
    }),
    script("publish before CONNECT", Same, |p| {
        first(p, "30 04 0001 61 62");
    }),
    script("reserved connect flag v3", Same, |p| {
        first(p, "10 0f 0004 4d515454 04 03 003c 0003 61 62 63");
    }),
    script("reserved connect flag v5", Same, |p| {
        first(p, "10 10 0004 4d515454 05 03 003c 00 0003 61 62 63");
    }),
    script("a password without a name v3", Same, |p| {
        first(p, "10 12 0004 4d515454 04 42 003c 0003 61 62 63 0001 70");
    }),
    script("will qos 3", Same, |p| {
        first(
            p,
            "10 15 0004 4d515454 04 1e 003c 0003 61 62 63 0001 77 0001 78",
        );
    }),
    script("will qos without a will", Same, |p| {
        first(p, "10 0f 0004 4d515454 04 0a 003c 0003 61 62 63");
    }),
    script("will topic with a wildcard", Same, |p| {
        first(
            p,
            "10 15 0004 4d515454 04 06 003c 0003 61 62 64 0001 23 0001 78",
        );
    }),
    script("id not utf-8", Same, |p| {
        first(p, "10 0f 0004 4d515454 04 02 003c 0003 61 ff 63");
    }),
    script(
        "receive maximum 0",
        Since21("a CONNECT with a bad property is answered"),
        |p| {
            p.connect(
                "a",
                &hello(V5, "rm")
                    .with(PropertyId::ReceiveMaximum, Value::Two(0))
                    .bytes(),
            );
        },
    ),
    script(
        "maximum packet size 0",
        Since21("a CONNECT with a bad property is answered"),
        |p| {
            p.connect(
                "a",
                &hello(V5, "mp")
                    .with(PropertyId::MaximumPacketSize, Value::Four(0))
                    .bytes(),
            );
        },
    ),
    script("authentication method nobody knows", Same, |p| {
        let method = Value::String("X");
        p.connect(
            "a",
            &hello(V5, "am")
                .with(PropertyId::AuthenticationMethod, method)
                .bytes(),
        );
    }),
    // What is malformed later.
    script("type 0", Same, |p| after(p, V3, "00 00")),
    script("type 0 v5", Same, |p| after(p, V5, "00 00")),
    script("type 15 v3", Same, |p| after(p, V3, "f0 00")),
    script(
        "a server's packet v3",
        Since21("a client that acts as a server has to go"),
        |p| after(p, V3, "90 03 0001 00"),
    ),
    script("a server's packet v5", Since21("it is told 0x82"), |p| {
        after(p, V5, "20 03 00 00 00");
    }),
    script(
        "pingreq with flags",
        Since21("reserved flags are malformed"),
        |p| after(p, V3, "c1 00"),
    ),
    script("subscribe with wrong flags v3", Same, |p| {
        after(p, V3, "80 06 0001 0001 61 00");
    }),
    script("subscribe with wrong flags v5", Same, |p| {
        after(p, V5, "80 07 0001 00 0001 61 00");
    }),
    script("subscribe to nothing v3", Same, |p| {
        after(p, V3, "82 02 0001");
    }),
    script("subscribe to nothing v5", Same, |p| {
        after(p, V5, "82 03 0001 00");
    }),
    script("subscribe with id 0", Same, |p| {
        after(p, V3, "82 06 0000 0001 61 00");
    }),
    script("subscribe with qos 3 v3", Same, |p| {
        after(p, V3, "82 06 0001 0001 61 03");
    }),
    script("subscribe with qos 3 v5", Same, |p| {
        after(p, V5, "82 07 0001 00 0001 61 03");
    }),
    script("subscribe with an empty filter v3", Same, |p| {
        after(p, V3, "82 05 0001 0000 00");
    }),
    script("subscribe with a bad wildcard v3", Same, |p| {
        after(p, V3, "82 08 0001 0003 61232f 00");
    }),
    script("subscribe with a bad wildcard v5", Same, |p| {
        after(p, V5, "82 09 0001 00 0003 61232f 00");
    }),
    script("unsubscribe from nothing v3", Same, |p| {
        after(p, V3, "a2 02 0001");
    }),
    script("publish to a wildcard v3", Same, |p| {
        after(p, V3, "30 04 0001 23 78");
    }),
    script(
        "publish to a wildcard v5",
        Since21("it is malformed"),
        |p| {
            after(p, V5, "30 05 0001 23 00 78");
        },
    ),
    script("publish to nothing v3", Same, |p| {
        after(p, V3, "30 03 0000 78");
    }),
    script("publish to nothing v5", Since21("it is malformed"), |p| {
        after(p, V5, "30 04 0000 00 78");
    }),
    script("publish with qos 3 v3", Same, |p| {
        after(p, V3, "36 06 0001 61 0001 78");
    }),
    script("publish with qos 3 v5", Same, |p| {
        after(p, V5, "36 07 0001 61 0001 00 78");
    }),
    script("publish with id 0 v3", Same, |p| {
        after(p, V3, "32 06 0001 61 0000 78");
    }),
    script("publish with id 0 v5", Same, |p| {
        after(p, V5, "32 07 0001 61 0000 00 78");
    }),
    script(
        "publish with dup at qos 0",
        Since21("PUBLISH with dup = 1 at QoS 0 is a protocol error"),
        |p| after(p, V3, "38 04 0001 61 78"),
    ),
    script("publish not utf-8 v3", Same, |p| {
        after(p, V3, "30 04 0001 ff 78");
    }),
    script("publish not utf-8 v5", Same, |p| {
        after(p, V5, "30 05 0001 ff 00 78");
    }),
    script("publish with alias 0", Since21("it is told 0x82"), |p| {
        after(p, V5, "30 08 0001 61 03 23 0000 78");
    }),
    script("publish with alias 11", Same, |p| {
        after(p, V5, "30 08 0001 61 03 23 000b 78");
    }),
    script("publish with an alias not set", Same, |p| {
        after(p, V5, "30 07 0000 03 23 0005 78");
    }),
    script(
        "publish with a subscription id",
        Since21("only servers send it"),
        |p| after(p, V5, "30 07 0001 61 02 0b 01 78"),
    ),
    script("pubrel with wrong flags", Same, |p| {
        after(p, V3, "60 02 0001");
    }),
    script("puback nobody waits for v3", Same, |p| {
        after(p, V3, "40 02 0009");
    }),
    script("puback nobody waits for v5", Same, |p| {
        after(p, V5, "40 02 0009");
    }),
    script("pubrec nobody waits for v3", Same, |p| {
        after(p, V3, "50 02 0009");
    }),
    script("pubrec nobody waits for v5", Same, |p| {
        after(p, V5, "50 02 0009");
    }),
    script("pubrel nobody waits for v3", Same, |p| {
        after(p, V3, "62 02 0009");
    }),
    script("pubrel nobody waits for v5", Same, |p| {
        after(p, V5, "62 02 0009");
    }),
    script("pubcomp nobody waits for", Same, |p| {
        after(p, V3, "70 02 0009");
    }),
    script("disconnect with flags v3", Same, |p| after(p, V3, "e1 00")),
    script("auth v5", Since21("it is told 0x82"), |p| {
        after(p, V5, "f0 00");
    }),
    script("a packet above the maximum v5", Same, |p| {
        after(p, V5, "30 8189 7a");
    }),
];
