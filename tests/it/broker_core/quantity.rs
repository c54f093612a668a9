//! Every limit of size or number: what is beyond it is refused or dropped with the right Reason
//! Code, counted, and costs nobody else anything. Those of time are in `deadlines`, those that
//! pause in `pressure`.

use mqttx::broker::Cause;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Reason, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, again, publish, retained, subscribe};

fn core(change: impl FnOnce(&mut Limits)) -> Core {
    let mut limits = Limits::default();
    change(&mut limits);
    Core::new(1, limits)
}

fn violation(core: &Core, link: usize) -> Option<Reason> {
    match core.cause(link) {
        Some(Cause::Violation(reason, _)) => Some(reason),
        _ => None,
    }
}

#[test]
fn connections_max() {
    let mut core = core(|limits| limits.connections_max = 2);
    let one = core.open(0, Version::V5).unwrap();
    core.open(0, Version::V5).unwrap();
    assert!(core.open(0, Version::V5).is_none());
    assert_eq!(core.stats().connections_refused, 1);
    core.cut(one);
    assert!(core.open(0, Version::V5).is_some(), "its place is free");
}

#[test]
fn connect_size_max() {
    let mut core = core(|limits| limits.connect_size_max = 100);
    core.join(0, &Hello::new(&"a".repeat(60)));
    let large = core.connect(0, &Hello::new(&"a".repeat(100)));
    assert_eq!(violation(&core, large), Some(Reason::PACKET_TOO_LARGE));
    assert_eq!(core.stats().violations, 1);
}

#[test]
fn control_size_max_is_enforced_by_the_head_alone_and_not_for_publish() {
    let mut core = core(|limits| limits.control_size_max = 200);
    let client = core.join(0, &Hello::new("a"));
    core.publish(client, "t", &"x".repeat(500), 0, 0);
    assert!(core.is_open(client));
    core.send(client, &[0x82, 0xc8, 0x01]);
    assert_eq!(core.take(client), ["DISCONNECT 0x97"]);
    assert_eq!(violation(&core, client), Some(Reason::QUOTA_EXCEEDED));
}

#[test]
fn packet_size_max_is_told_and_enforced_by_the_head_alone() {
    let mut core = core(|limits| limits.packet_size_max = 200);
    let client = core.connect(0, &Hello::new("a"));
    assert_eq!(
        core.take(client),
        ["CONNACK Success maximum-packet-size=Four(200)"]
    );
    core.publish(client, "t", &"x".repeat(150), 0, 0);
    assert!(core.is_open(client));
    core.send(client, &[0x30, 0xc8, 0x01]);
    assert_eq!(core.take(client), ["DISCONNECT 0x95"]);
    assert_eq!(violation(&core, client), Some(Reason::PACKET_TOO_LARGE));
}

#[test]
fn a_client_gets_no_packet_above_its_own_maximum() {
    let mut core = core(|_| {});
    let hello = Hello::new("small").with(PropertyId::MaximumPacketSize, Value::Four(50));
    let small = core.join(0, &hello);
    core.subscribe(small, "t", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", &"x".repeat(60), 1, 1);
    core.publish(publisher, "t", "fits", 1, 2);
    assert_eq!(core.take(small), ["PUBLISH t fits q1 #1"]);
    assert_eq!(core.stats().dropped_too_large, 1);
}

#[test]
fn receive_max_is_told_and_enforced() {
    let mut core = core(|limits| limits.receive_max = 2);
    let client = core.connect(0, &Hello::new("a"));
    assert_eq!(
        core.take(client),
        ["CONNACK Success receive-maximum=Two(2)"]
    );
    for id in 1..=2 {
        core.publish(client, "t", "m", 2, id);
    }
    core.send(client, &again(publish(Version::V5, "t", "m", 2, 1, &[])));
    core.ack(client, PacketType::Pubrel, 1);
    core.publish(client, "t", "m", 2, 3);
    assert!(core.is_open(client), "one was released");
    core.take(client);
    core.publish(client, "t", "m", 2, 4);
    assert_eq!(core.take(client), ["DISCONNECT 0x93"]);
    assert_eq!(core.stats().receive_max_exceeded, 1);
}

#[test]
fn inflight_max_holds_for_clients_that_ask_for_more() {
    let mut core = core(|limits| limits.inflight_max = 3);
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=5 {
        core.publish(publisher, "t", "m", 1, id);
    }
    assert_eq!(core.take(sub).len(), 3);
    core.ack(sub, PacketType::Puback, 2);
    assert_eq!(core.take(sub), ["PUBLISH t m q1 #4"]);
}

#[test]
fn topic_alias_max() {
    let mut core = core(|limits| limits.topic_alias_max = 2);
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "#", 0);
    let client = core.join(0, &Hello::new("a"));
    let alias = |number| [(PropertyId::TopicAlias, Value::Two(number))];
    core.send(client, &publish(Version::V5, "t", "1", 0, 0, &alias(2)));
    core.send(client, &publish(Version::V5, "", "2", 0, 0, &alias(2)));
    core.send(client, &publish(Version::V5, "u", "3", 0, 0, &alias(2)));
    core.send(client, &publish(Version::V5, "", "4", 0, 0, &alias(2)));
    assert_eq!(
        core.take(sub),
        [
            "PUBLISH t 1 q0",
            "PUBLISH t 2 q0",
            "PUBLISH u 3 q0",
            "PUBLISH u 4 q0"
        ]
    );
    core.send(client, &publish(Version::V5, "t", "5", 0, 0, &alias(3)));
    assert_eq!(violation(&core, client), Some(Reason::TOPIC_ALIAS_INVALID));
}

#[test]
fn topic_alias_out_max_and_what_the_client_allows() {
    let mut core = core(|limits| limits.topic_alias_out_max = 1);
    let hello = Hello::new("sub").with(PropertyId::TopicAliasMaximum, Value::Two(9));
    let sub = core.join(0, &hello);
    core.subscribe(sub, "#", 0);
    let publisher = core.join(0, &Hello::new("pub"));
    for topic in ["one", "one", "two", "one", "two"] {
        core.publish(publisher, topic, "m", 0, 0);
    }
    let got = core.take(sub);
    let aliases: Vec<&str> = got
        .iter()
        .filter_map(|line| line.split("topic-alias=").nth(1))
        .collect();
    assert!(!aliases.is_empty(), "{got:?}");
    assert!(aliases.iter().all(|alias| *alias == "Two(1)"), "{got:?}");
    // Whoever resolves the aliases gets the topics that were published.
    let mut known = "";
    let topics: Vec<&str> = got
        .iter()
        .map(|line| {
            let topic = line.split(' ').nth(1).unwrap();
            if topic.is_empty() {
                return known;
            }
            if line.contains("topic-alias") {
                known = topic;
            }
            topic
        })
        .collect();
    assert_eq!(topics, ["one", "one", "two", "one", "two"]);
}

#[test]
fn topic_levels_max() {
    let mut core = core(|limits| limits.topic_levels_max = 5);
    let client = core.join(0, &Hello::new("a"));
    core.send(client, &subscribe(Version::V5, 1, "a/b/c/d/e", 0, &[]));
    core.send(client, &subscribe(Version::V5, 2, "a/b/c/d/e/f", 0, &[]));
    assert_eq!(core.take(client), ["SUBACK #1 [0]", "SUBACK #2 [143]"]);
    assert_eq!(core.stats().subscriptions_refused, 1);
    core.publish(client, "a/b/c/d/e", "m", 0, 0);
    assert_eq!(core.take(client), ["PUBLISH a/b/c/d/e m q0"]);
    for qos in 0..=1 {
        let deep = core.join(0, &Hello::new("deep"));
        core.publish(deep, "a/b/c/d/e/f", "m", qos, 1);
        assert_eq!(core.take(deep), ["DISCONNECT 0x90"]);
    }
    let will = core.connect(0, &Hello::new("will").will("a/b/c/d/e/f", "m", 0, false));
    assert!(core.take(will)[0].starts_with("CONNACK Topic Name invalid"));
}

#[test]
fn subscriptions_max_and_subscriptions_total_max() {
    let mut core = core(|limits| {
        limits.subscriptions_max = 2;
        limits.subscriptions_total_max = 3;
    });
    let ask = |core: &mut Core, link, id, filter: &str| {
        core.send(link, &subscribe(Version::V5, id, filter, 0, &[]));
        core.take(link).remove(0)
    };
    let one = core.join(0, &Hello::new("one"));
    assert_eq!(ask(&mut core, one, 1, "a"), "SUBACK #1 [0]");
    assert_eq!(ask(&mut core, one, 2, "$share/g/a"), "SUBACK #2 [0]");
    assert_eq!(ask(&mut core, one, 3, "b"), "SUBACK #3 [151]");
    let two = core.join(0, &Hello::new("two").version(Version::V311));
    core.send(two, &subscribe(Version::V311, 4, "c", 0, &[]));
    core.send(two, &subscribe(Version::V311, 5, "d", 0, &[]));
    assert_eq!(core.take(two), ["SUBACK #4 [0]", "SUBACK #5 [128]"]);
    assert_eq!(core.stats().subscriptions_refused, 2);
    core.cut(one);
    core.send(two, &subscribe(Version::V311, 6, "d", 0, &[]));
    assert_eq!(core.take(two), ["SUBACK #6 [0]"], "two places are free");
}

#[test]
fn sessions_max_and_session_expiry_max() {
    let mut core = core(|limits| {
        limits.sessions_max = 1;
        limits.session_expiry_max = 60;
    });
    let hello = Hello::new("one").kept();
    let one = core.connect(0, &hello);
    assert_eq!(
        core.take(one),
        ["CONNACK Success session-expiry-interval=Four(60)"]
    );
    let two = core.connect(0, &Hello::new("two"));
    assert!(core.take(two)[0].starts_with("CONNACK Quota exceeded"));
    assert_eq!(core.stats().connects_refused, 1);
    core.cut(one);
    core.advance_secs(61.0);
    core.join(0, &Hello::new("two"));
}

#[test]
fn retained_max_and_retained_bytes_max() {
    let mut core = core(|limits| {
        limits.retained_max = 2;
        limits.retained_bytes_max = 1_000;
    });
    let client = core.join(0, &Hello::new("a"));
    let keep = |core: &mut Core, topic: &str, payload: &str| {
        core.send(
            client,
            &retained(publish(Version::V5, topic, payload, 0, 0, &[])),
        );
    };
    for topic in ["a", "b", "c"] {
        keep(&mut core, topic, "m");
    }
    assert_eq!(core.workers[0].retained().0, 2);
    assert_eq!(core.stats().retained_refused, 1);
    keep(&mut core, "a", "other");
    assert_eq!(core.stats().retained_refused, 1, "replacing adds none");
    keep(&mut core, "a", "");
    keep(&mut core, "c", &"x".repeat(900));
    keep(&mut core, "d", "m");
    let (count, bytes) = core.workers[0].retained();
    assert!(count <= 2 && bytes <= 1_000, "{count}, {bytes}");
    assert_eq!(core.stats().retained_refused, 2, "900 bytes were too many");
}

#[test]
fn queued_bytes_total_max_is_shared_by_all_sessions_and_given_back() {
    let mut core = core(|limits| limits.queued_bytes_total_max = 20_000);
    for name in ["one", "two"] {
        let sub = core.join(0, &Hello::new(name).kept());
        core.subscribe(sub, "t", 1);
        core.cut(sub);
    }
    let publisher = core.join(0, &Hello::new("pub"));
    let payload = "x".repeat(1_000);
    for id in 1..=30 {
        core.publish(publisher, "t", &payload, 1, id);
    }
    let dropped = core.stats().dropped_queue_full;
    assert!((40..50).contains(&dropped), "{dropped} of 60");
    for name in ["one", "two"] {
        let sub = core.connect(0, &Hello::new(name).kept());
        let got = core.take(sub).len() as u16 - 1;
        assert!(got > 0);
        for id in 1..=got {
            core.ack(sub, PacketType::Puback, id);
        }
        core.cut(sub);
    }
    core.publish(publisher, "t", &payload, 1, 99);
    assert_eq!(core.stats().dropped_queue_full, dropped, "there is room");
}
