//! What is played to both brokers: messages, from PUBLISH to the last acknowledgement.

use mqttx::mqtt::PacketType;
use mqttx::mqtt::property::{PropertyId, Value};

use crate::compare_broker::Rule::{Choice, Same, Since21, Standard};
use crate::compare_broker::Script;
use crate::compare_broker::scripts::{V3, V5, bytes, hello, join, script};
use crate::support::packets::{DISCONNECT, ack, again, publish, retained, subscribe, unsubscribe};

pub(crate) const MESSAGES: &[Script] = &[
    script("publish with nobody there v5", Same, |p| {
        join(p, V5, "n1");
        p.send("n1", &publish(V5, "nobody/1", "x", 1, 1, &[]));
        p.send("n1", &publish(V5, "nobody/1", "x", 2, 2, &[]));
        p.send("n1", &ack(PacketType::Pubrel, 2));
    }),
    script("publish with nobody there v3", Same, |p| {
        join(p, V3, "n2");
        p.send("n2", &publish(V3, "nobody/2", "x", 1, 1, &[]));
        p.send("n2", &publish(V3, "nobody/2", "x", 2, 2, &[]));
        p.send("n2", &ack(PacketType::Pubrel, 2));
    }),
    script(
        "to oneself at each qos v3",
        Choice("QoS 2 goes on when it comes, not when it is released"),
        |p| {
            join(p, V3, "m1");
            p.send("m1", &subscribe(V3, 1, "m1/#", 2, &[]));
            for qos in 0..3 {
                p.send(
                    "m1",
                    &publish(V3, "m1/t", "x", qos, 10 + u16::from(qos), &[]),
                );
            }
            p.send("m1", &ack(PacketType::Pubrel, 12));
            p.send("m1", &ack(PacketType::Puback, 1));
            p.send("m1", &ack(PacketType::Pubrec, 2));
            p.send("m1", &ack(PacketType::Pubcomp, 2));
        },
    ),
    script(
        "to oneself at each qos v5",
        Choice("QoS 2 goes on when it comes, not when it is released"),
        |p| {
            join(p, V5, "m2");
            p.send("m2", &subscribe(V5, 1, "m2/#", 2, &[]));
            for qos in 0..3 {
                p.send(
                    "m2",
                    &publish(V5, "m2/t", "x", qos, 10 + u16::from(qos), &[]),
                );
            }
            p.send("m2", &ack(PacketType::Pubrel, 12));
        },
    ),
    script(
        "a qos 2 message again",
        Choice("QoS 2 goes on when it comes, not when it is released"),
        |p| {
            join(p, V3, "m3");
            p.send("m3", &subscribe(V3, 1, "m3", 0, &[]));
            let message = publish(V3, "m3", "x", 2, 7, &[]);
            p.send("m3", &message);
            p.send("m3", &again(message));
            p.send("m3", &ack(PacketType::Pubrel, 7));
            p.send("m3", &ack(PacketType::Pubrel, 7));
        },
    ),
    script("between versions", Same, |p| {
        join(p, V3, "old");
        join(p, V5, "new");
        p.send("old", &subscribe(V3, 1, "mix", 1, &[]));
        p.send("new", &subscribe(V5, 1, "mix", 1, &[]));
        let written = [(PropertyId::ContentType, Value::String("text"))];
        p.send("new", &publish(V5, "mix", "x", 1, 1, &written));
        p.send("old", &publish(V3, "mix", "y", 1, 1, &[]));
    }),
    script("overlapping subscriptions v5", Same, |p| {
        join(p, V5, "o1");
        for (id, filter) in (1..).zip(["o1/a", "o1/+", "o1/#"]) {
            p.send("o1", &subscribe(V5, id, filter, 1, &[]));
        }
        p.send("o1", &publish(V5, "o1/a", "x", 1, 9, &[]));
    }),
    script(
        "overlapping subscriptions v3",
        Since21("version 3 gets a copy for each, too"),
        |p| {
            join(p, V3, "o2");
            for (id, filter) in (1..).zip(["o2/a", "o2/+", "o2/#"]) {
                p.send("o2", &subscribe(V3, id, filter, 1, &[]));
            }
            p.send("o2", &publish(V3, "o2/a", "x", 1, 9, &[]));
        },
    ),
    script("subscription identifiers", Same, |p| {
        join(p, V5, "i1");
        let id = |number| [(PropertyId::SubscriptionIdentifier, Value::Variable(number))];
        p.send("i1", &subscribe(V5, 1, "i1/+", 0, &id(5)));
        p.send("i1", &publish(V5, "i1/a", "x", 0, 0, &[]));
    }),
    script("no local", Same, |p| {
        join(p, V5, "l1");
        p.send("l1", &subscribe(V5, 1, "l1", 4, &[]));
        p.send("l1", &publish(V5, "l1", "x", 0, 0, &[]));
    }),
    script(
        "no local for a shared subscription",
        Since21("it is a protocol error"),
        |p| {
            join(p, V5, "l2");
            p.send("l2", &subscribe(V5, 1, "$share/g/l2", 4, &[]));
        },
    ),
    script("retained at once and later", Same, |p| {
        join(p, V3, "r1");
        p.send("r1", &subscribe(V3, 1, "r1", 1, &[]));
        p.send("r1", &retained(publish(V3, "r1", "x", 1, 2, &[])));
        join(p, V3, "r2");
        p.send("r2", &subscribe(V3, 1, "r1", 1, &[]));
        p.send("r2", &subscribe(V3, 2, "r1", 1, &[]));
        p.send("r1", &retained(publish(V3, "r1", "", 0, 0, &[])));
        join(p, V3, "r3");
        p.send("r3", &subscribe(V3, 1, "r1", 1, &[]));
    }),
    script(
        "retain handling and retain as published",
        Since21("the option holds for the Subscription that replaced another"),
        |p| {
            join(p, V5, "r4");
            p.send("r4", &retained(publish(V5, "r4", "x", 0, 0, &[])));
            for (id, options) in (1..).zip([0x00, 0x10, 0x20, 0x08]) {
                p.send("r4", &subscribe(V5, id, "r4", options, &[]));
            }
            p.send("r4", &retained(publish(V5, "r4", "y", 0, 0, &[])));
        },
    ),
    script("unsubscribe v3", Same, |p| {
        join(p, V3, "u1");
        p.send("u1", &subscribe(V3, 1, "u1", 0, &[]));
        p.send("u1", &unsubscribe(V3, 2, "u1"));
        p.send("u1", &unsubscribe(V3, 3, "u1"));
        p.send("u1", &publish(V3, "u1", "x", 0, 0, &[]));
    }),
    script("unsubscribe v5", Same, |p| {
        join(p, V5, "u2");
        p.send("u2", &subscribe(V5, 1, "u2", 0, &[]));
        p.send("u2", &unsubscribe(V5, 2, "u2"));
        p.send("u2", &unsubscribe(V5, 3, "u2"));
    }),
    script(
        "a session's messages in their order",
        Choice("QoS 2 goes on when it comes, not when it is released"),
        |p| {
            p.connect("q", &hello(V3, "q1").kept().bytes());
            p.send("q", &subscribe(V3, 1, "q1", 2, &[]));
            p.send("q", &DISCONNECT);
            join(p, V3, "q2");
            for (id, qos) in (1..).zip([1, 2, 0, 1]) {
                p.send("q2", &publish(V3, "q1", "x", qos, id, &[]));
            }
            p.send("q2", &ack(PacketType::Pubrel, 2));
            p.connect("q", &hello(V3, "q1").kept().bytes());
            p.send("q", &[]);
        },
    ),
    script(
        "in flight again, marked",
        Choice("QoS 2 goes on when it comes, not when it is released"),
        |p| {
            p.connect("f", &hello(V3, "f1").kept().bytes());
            p.send("f", &subscribe(V3, 1, "f1", 2, &[]));
            join(p, V3, "f2");
            p.send("f2", &publish(V3, "f1", "x", 1, 1, &[]));
            p.send("f2", &publish(V3, "f1", "y", 2, 2, &[]));
            p.send("f2", &ack(PacketType::Pubrel, 2));
            p.cut("f");
            p.connect("f", &hello(V3, "f1").kept().bytes());
            p.send("f", &[]);
        },
    ),
    script("a will", Same, |p| {
        join(p, V3, "w1");
        p.send("w1", &subscribe(V3, 1, "w1", 1, &[]));
        p.connect("w", &hello(V3, "w2").will("w1", "gone", 1, false).bytes());
        p.cut("w");
        p.send("w1", &[]);
    }),
    script("no will after a goodbye", Same, |p| {
        join(p, V3, "w3");
        p.send("w3", &subscribe(V3, 1, "w3", 1, &[]));
        p.connect("w", &hello(V3, "w4").will("w3", "gone", 1, false).bytes());
        p.send("w", &DISCONNECT);
        p.send("w3", &[]);
    }),
    script("a goodbye with the will", Same, |p| {
        join(p, V5, "w5");
        p.send("w5", &subscribe(V5, 1, "w5", 1, &[]));
        p.connect("w", &hello(V5, "w6").will("w5", "gone", 1, false).bytes());
        p.send("w", &bytes("e0 01 04"));
        p.send("w5", &[]);
    }),
    script(
        "a will delayed beyond its session",
        Standard("a will does not outlive its Session (section 3.1.3.2.2)"),
        |p| {
            join(p, V5, "w7");
            p.send("w7", &subscribe(V5, 1, "w7", 1, &[]));
            let will = hello(V5, "w8").will("w7", "gone", 1, false);
            let will = will.will_with(PropertyId::WillDelayInterval, Value::Four(60));
            p.connect("w", &will.bytes());
            p.cut("w");
            p.send("w7", &[]);
        },
    ),
    script("taken over, and its will", Same, |p| {
        join(p, V3, "w9");
        p.send("w9", &subscribe(V3, 1, "w9", 1, &[]));
        p.connect("w", &hello(V3, "w0").will("w9", "gone", 1, false).bytes());
        p.connect("x", &hello(V3, "w0").bytes());
        p.send("w9", &[]);
    }),
    script(
        "topic aliases for the client",
        Since21("aliases are set for clients that allow them"),
        |p| {
            let aliases = hello(V5, "a1").with(PropertyId::TopicAliasMaximum, Value::Two(1));
            p.connect("a", &aliases.bytes());
            p.send("a", &subscribe(V5, 1, "a1/#", 0, &[]));
            for topic in ["a1/x", "a1/x", "a1/y"] {
                p.send("a", &publish(V5, topic, "x", 0, 0, &[]));
            }
        },
    ),
    script(
        "a message too large for the client",
        Standard("what is not sent takes no Packet Identifier"),
        |p| {
            let small = hello(V5, "z1").with(PropertyId::MaximumPacketSize, Value::Four(40));
            p.connect("a", &small.bytes());
            p.send("a", &subscribe(V5, 1, "z1", 1, &[]));
            join(p, V5, "z2");
            p.send("z2", &publish(V5, "z1", &"x".repeat(60), 1, 1, &[]));
            p.send("z2", &publish(V5, "z1", "y", 1, 2, &[]));
        },
    ),
    script(
        "more than twenty in flight",
        Since21("never more in flight than max_inflight_messages"),
        |p| {
            join(p, V3, "x1");
            p.send("x1", &subscribe(V3, 1, "x1", 1, &[]));
            join(p, V3, "x2");
            for id in 1..25 {
                p.send("x2", &publish(V3, "x1", &id.to_string(), 1, id, &[]));
            }
            p.send("x1", &ack(PacketType::Puback, 2));
            p.send("x1", &ack(PacketType::Puback, 1));
        },
    ),
    script(
        "receive maximum of the client",
        Since21("never more in flight than the client's Receive Maximum"),
        |p| {
            let two = hello(V5, "y1").with(PropertyId::ReceiveMaximum, Value::Two(2));
            p.connect("a", &two.bytes());
            p.send("a", &subscribe(V5, 1, "y1", 1, &[]));
            join(p, V5, "y2");
            for id in 1..5 {
                p.send("y2", &publish(V5, "y1", &id.to_string(), 1, id, &[]));
            }
            p.send("a", &ack(PacketType::Puback, 1));
        },
    ),
    script(
        "our receive maximum exceeded",
        Choice("none that came is refused: it is only counted"),
        |p| {
            join(p, V5, "v1");
            for id in 1..24 {
                p.send("v1", &publish(V5, "v1", "x", 2, id, &[]));
            }
        },
    ),
    script("message expiry", Same, |p| {
        join(p, V5, "g1");
        p.send("g1", &subscribe(V5, 1, "g1", 0, &[]));
        let written = [(PropertyId::MessageExpiryInterval, Value::Four(1000))];
        p.send("g1", &publish(V5, "g1", "x", 0, 0, &written));
    }),
    script("publish to the broker's own topics v5", Same, |p| {
        join(p, V5, "h1");
        p.send("h1", &publish(V5, "$SYS/h1", "x", 1, 1, &[]));
    }),
    script("publish to a topic with a dollar", Same, |p| {
        join(p, V3, "h2");
        p.send("h2", &subscribe(V3, 1, "$h2/#", 0, &[]));
        p.send("h2", &subscribe(V3, 2, "#", 0, &[]));
        p.send("h2", &publish(V3, "$h2/x", "x", 0, 0, &[]));
        p.send("h2", &unsubscribe(V3, 3, "#"));
    }),
    script("a shared subscription", Same, |p| {
        join(p, V5, "j1");
        p.send("j1", &subscribe(V5, 1, "$share/g/j1", 1, &[]));
        p.send("j1", &publish(V5, "j1", "x", 1, 1, &[]));
    }),
    script("deep topics", Same, |p| {
        join(p, V3, "deep");
        p.send("deep", &subscribe(V3, 1, &"a/".repeat(199), 0, &[]));
        p.send("deep", &subscribe(V3, 2, &"a/".repeat(200), 0, &[]));
    }),
];
