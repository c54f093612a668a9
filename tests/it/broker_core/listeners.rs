//! Listeners with rules of their own: versions, QoS, mount points, names, numbers.

use mqttx::broker::Cause;
use mqttx::broker::limits::Limits;
use mqttx::broker::listener::{ListenerRules, Versions};
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, QoS, Reason, Version};

use crate::support::core::{Core, LinkId};
use crate::support::packets::{Hello, publish, retained, subscribe, unsubscribe};

const V3: [Version; 2] = [Version::V31, Version::V311];

fn core() -> Core {
    Core::new(1, Limits::default())
}

/// A broker whose next links follow these rules.
fn ruled(change: impl FnOnce(&mut ListenerRules)) -> Core {
    let mut core = core();
    listen(&mut core, change);
    core
}

fn listen(core: &mut Core, change: impl FnOnce(&mut ListenerRules)) {
    let mut rules = ListenerRules::default();
    change(&mut rules);
    core.listen(rules);
}

/// The answer to a CONNECT that is refused.
#[track_caller]
fn refused(core: &mut Core, hello: &Hello) -> String {
    let link = core.connect(0, hello);
    let answer = core.take(link);
    assert!(!core.is_open(link), "{answer:?}");
    answer.concat()
}

fn mounted(core: &mut Core, mount: &str, hello: &Hello) -> LinkId {
    listen(core, |rules| rules.mount_point = mount.into());
    let link = core.join(0, hello);
    core.listen(ListenerRules::default());
    link
}

#[test]
fn a_version_that_the_listener_does_not_take_is_told_so() {
    let only_v5 = |rules: &mut ListenerRules| rules.versions = Versions::NONE.with(Version::V5);
    for version in V3 {
        let mut core = ruled(only_v5);
        let answer = refused(&mut core, &Hello::new("a").version(version));
        assert_eq!(answer, "CONNACK code 1");
    }
    ruled(only_v5).join(0, &Hello::new("a"));
    let mut core = ruled(|rules| rules.versions = Versions::NONE.with(Version::V311));
    let answer = refused(&mut core, &Hello::new("a"));
    assert!(
        answer.starts_with("CONNACK Unsupported Protocol Version"),
        "{answer}"
    );
    core.join(0, &Hello::new("a").version(Version::V311));
}

#[test]
fn maximum_qos_is_told_and_kept() {
    for (most, name) in [(QoS::AtMostOnce, "0"), (QoS::AtLeastOnce, "1")] {
        let mut core = ruled(|rules| rules.qos_max = most);
        let link = core.connect(0, &Hello::new("a"));
        let connack = core.take(link).concat();
        assert!(
            connack.contains(&format!("maximum-qos=Byte({name})")),
            "{connack}"
        );
        core.send(link, &subscribe(Version::V5, 1, "t", 2, &[]));
        assert_eq!(core.take(link), [format!("SUBACK #1 [{name}]")]);
        core.publish(link, "t", "fits", most.bits(), 7);
        assert!(core.is_open(link));
        core.take(link);
        core.publish(link, "t", "too much", most.bits() + 1, 8);
        assert_eq!(core.take(link), ["DISCONNECT 0x9b"]);
        let cause = core.cause(link);
        assert!(matches!(
            cause,
            Some(Cause::Violation(Reason::QOS_NOT_SUPPORTED, _))
        ));
    }
    let mut core = core();
    let link = core.connect(0, &Hello::new("a"));
    assert!(!core.take(link).concat().contains("maximum-qos"));
}

#[test]
fn before_version_5_a_publish_above_the_maximum_qos_just_ends_it() {
    for version in V3 {
        let mut core = ruled(|rules| rules.qos_max = QoS::AtMostOnce);
        let link = core.join(0, &Hello::new("a").version(version));
        core.send(link, &subscribe(version, 1, "t", 1, &[]));
        assert_eq!(core.take(link), ["SUBACK #1 [0]"]);
        core.publish(link, "t", "too much", 1, 8);
        assert!(core.take(link).is_empty());
        assert!(!core.is_open(link));
    }
}

#[test]
fn a_will_above_the_maximum_qos_is_refused() {
    let mut core = ruled(|rules| rules.qos_max = QoS::AtMostOnce);
    let answer = refused(&mut core, &Hello::new("a").will("w", "gone", 1, false));
    assert!(answer.starts_with("CONNACK QoS not supported"), "{answer}");
    core.join(0, &Hello::new("a").will("w", "gone", 0, false));
}

#[test]
fn a_maximum_qos_of_one_listener_is_not_that_of_another() {
    let mut core = ruled(|rules| rules.qos_max = QoS::AtMostOnce);
    let low = core.join(0, &Hello::new("low"));
    core.send(low, &subscribe(Version::V5, 1, "t", 2, &[]));
    core.take(low);
    core.listen(ListenerRules::default());
    let high = core.join(0, &Hello::new("high"));
    core.publish(high, "t", "m", 2, 1);
    assert_eq!(core.take(high), ["PUBREC #1"]);
    assert_eq!(core.take(low), ["PUBLISH t m q0"]);
}

#[test]
fn a_mount_point_is_before_every_topic_and_never_seen() {
    for version in Version::ALL {
        for qos in 0..=2 {
            let mut core = core();
            let outside = core.join(0, &Hello::new("outside").version(version));
            core.subscribe(outside, "#", qos);
            let hello = Hello::new("inside").version(version);
            let inside = mounted(&mut core, "m/", &hello);
            core.subscribe(inside, "#", qos);
            let id = if qos > 0 { " #1" } else { "" };
            core.publish(inside, "t", "in", qos, 1);
            let seen = format!("PUBLISH m/t in q{qos}{id}");
            assert_eq!(core.take(outside), [&*seen]);
            let own = core.take(inside);
            assert_eq!(
                own.last(),
                Some(&format!("PUBLISH t in q{qos}{id}")),
                "{own:?}"
            );
            core.publish(outside, "m/t", "out", qos, 1);
            assert!(core.take(inside).concat().starts_with("PUBLISH t out"));
            core.publish(outside, "other", "out", qos, 2);
            assert!(core.take(inside).is_empty());
        }
    }
}

#[test]
fn below_a_mount_point_are_retained_messages_and_wills() {
    let mut core = core();
    let hello = Hello::new("first").will("w", "gone", 0, true);
    let first = mounted(&mut core, "m/", &hello);
    core.send(
        first,
        &retained(publish(Version::V5, "r", "kept", 0, 0, &[])),
    );
    core.cut(first);
    let second = mounted(&mut core, "m/", &Hello::new("second"));
    core.subscribe(second, "+", 0);
    let other = core.join(0, &Hello::new("other"));
    core.send(other, &subscribe(Version::V5, 1, "m/+", 0, &[]));
    let mut found = core.take(other);
    found.sort();
    assert_eq!(
        found,
        [
            "PUBLISH m/r kept q0 retain",
            "PUBLISH m/w gone q0 retain",
            "SUBACK #1 [0]"
        ]
    );
    let third = mounted(&mut core, "m/", &Hello::new("third"));
    core.send(third, &subscribe(Version::V5, 1, "#", 0, &[]));
    let mut found = core.take(third);
    found.sort();
    assert_eq!(
        found,
        [
            "PUBLISH r kept q0 retain",
            "PUBLISH w gone q0 retain",
            "SUBACK #1 [0]"
        ]
    );
    core.send(third, &retained(publish(Version::V5, "r", "", 0, 0, &[])));
    let none = mounted(&mut core, "m/", &Hello::new("none"));
    core.send(none, &subscribe(Version::V5, 1, "r", 0, &[]));
    assert_eq!(core.take(none), ["SUBACK #1 [0]"]);
}

#[test]
fn shared_subscriptions_and_unsubscribe_know_the_mount_point() {
    let mut core = core();
    let one = mounted(&mut core, "m/", &Hello::new("one"));
    core.subscribe(one, "$share/g/a/+", 0);
    assert_eq!(core.workers[0].filters_of("one"), ["$share/g/m/a/+"]);
    let other = core.join(0, &Hello::new("other"));
    core.publish(other, "m/a/b", "x", 0, 0);
    assert_eq!(core.take(one), ["PUBLISH a/b x q0"]);
    core.send(one, &unsubscribe(Version::V5, 2, "$share/g/a/+"));
    assert_eq!(core.take(one), ["UNSUBACK #2 [0]"]);
    core.publish(other, "m/a/b", "x", 0, 0);
    assert!(core.take(one).is_empty());
}

#[test]
fn aliases_stand_for_topics_below_the_mount_point() {
    let mut core = core();
    let hello = Hello::new("one").with(PropertyId::TopicAliasMaximum, Value::Two(4));
    let one = mounted(&mut core, "m/", &hello);
    core.subscribe(one, "#", 0);
    let alias = [(PropertyId::TopicAlias, Value::Two(1))];
    core.send(one, &publish(Version::V5, "t", "a", 0, 0, &alias));
    core.send(one, &publish(Version::V5, "", "b", 0, 0, &alias));
    assert_eq!(
        core.take(one),
        [
            "PUBLISH t a q0 topic-alias=Two(1)",
            "PUBLISH  b q0 topic-alias=Two(1)"
        ]
    );
    let other = core.join(0, &Hello::new("other"));
    core.subscribe(other, "m/t", 0);
    core.send(one, &publish(Version::V5, "", "c", 0, 0, &alias));
    assert_eq!(core.take(other), ["PUBLISH m/t c q0"]);
}

#[test]
fn a_session_that_comes_below_a_mount_point_gets_nothing_from_outside() {
    let mut core = core();
    let away = core.join(0, &Hello::new("a").kept());
    core.subscribe(away, "t", 1);
    core.cut(away);
    let other = core.join(0, &Hello::new("other"));
    core.publish(other, "t", "before", 1, 1);
    listen(&mut core, |rules| rules.mount_point = "m/".into());
    let back = core.connect(0, &Hello::new("a").kept());
    let answer = core.take(back);
    assert_eq!(answer.len(), 1, "{answer:?}");
    core.publish(other, "t", "now", 1, 2);
    core.publish(other, "t", "now", 0, 0);
    assert!(core.take(back).is_empty());
    assert!(core.stats().dropped_denied >= 3);
}

#[test]
fn what_is_no_topic_below_a_mount_point_is_refused() {
    let mut core = core();
    let one = mounted(&mut core, "m", &Hello::new("one"));
    core.send(one, &subscribe(Version::V5, 1, "#", 0, &[]));
    assert_eq!(core.take(one), ["SUBACK #1 [143]"]);
    core.send(one, &unsubscribe(Version::V5, 2, "#"));
    assert_eq!(core.take(one), ["UNSUBACK #2 [17]"]);
    let long = "t".repeat(65_535);
    core.publish(one, &long, "x", 0, 0);
    assert_eq!(core.take(one), ["DISCONNECT 0x90"]);
    listen(&mut core, |rules| rules.mount_point = "m".into());
    let answer = refused(&mut core, &Hello::new("two").will(&long, "x", 0, false));
    assert!(answer.starts_with("CONNACK Topic Name invalid"), "{answer}");
    let deep = "/".repeat(199);
    let answer = refused(
        &mut core,
        &Hello::new("two").will(&format!("{deep}/"), "x", 0, false),
    );
    assert!(answer.starts_with("CONNACK Topic Name invalid"), "{answer}");
    listen(&mut core, |rules| rules.mount_point = "m/".into());
    let answer = refused(&mut core, &Hello::new("two").will(&deep, "x", 0, false));
    assert!(answer.starts_with("CONNACK Topic Name invalid"), "{answer}");
}

#[test]
fn aliases_have_the_listeners_maximum() {
    let mut core = ruled(|rules| {
        rules.topic_alias_max = Some(1);
        rules.topic_alias_out_max = Some(0);
    });
    let hello = Hello::new("a").with(PropertyId::TopicAliasMaximum, Value::Two(4));
    let link = core.join(0, &hello);
    core.subscribe(link, "t", 0);
    let alias = |n| [(PropertyId::TopicAlias, Value::Two(n))];
    core.send(link, &publish(Version::V5, "t", "a", 0, 0, &alias(1)));
    assert_eq!(core.take(link), ["PUBLISH t a q0"]);
    core.send(link, &publish(Version::V5, "t", "a", 0, 0, &alias(2)));
    assert_eq!(core.take(link), ["DISCONNECT 0x94"]);
}

#[test]
fn a_listener_has_its_own_number_of_connections() {
    let mut core = ruled(|rules| rules.connections_max = 2);
    let first = core.open(0, Version::V5).unwrap();
    core.open(0, Version::V5).unwrap();
    assert!(core.open(0, Version::V5).is_none());
    let full = core.listener.clone();
    core.listen(ListenerRules::default());
    core.open(0, Version::V5).unwrap();
    core.cut(first);
    assert_eq!(full.connections(), 1);
    core.listener = full;
    core.open(0, Version::V5).unwrap();
    assert!(core.open(0, Version::V5).is_none());
    assert_eq!(core.stats().connections_refused, 2);
}

#[test]
fn connections_that_move_count_once() {
    let mut core = Core::new(2, Limits::default());
    listen(&mut core, |rules| rules.connections_max = 2);
    core.join(0, &Hello::new("a").kept());
    let again = core.connect(1, &Hello::new("a").kept());
    assert_eq!(core.worker_of(again), Some(0), "where its Session lives");
    assert_eq!(core.listener.connections(), 1);
}

#[test]
fn a_certificates_user_is_the_user() {
    let mut core = ruled(|rules| rules.user_name_proven = true);
    let answer = refused(&mut core, &Hello::new("a").user("admin"));
    assert!(
        answer.starts_with("CONNACK Bad User Name or Password"),
        "{answer}"
    );
    let answer = refused(&mut core, &Hello::new("a").version(Version::V311));
    assert_eq!(answer, "CONNACK code 4");
    let link = core.open(0, Version::V5).unwrap();
    core.prove(link, "device 7");
    core.send(link, &Hello::new("a").user("admin").bytes());
    assert!(core.take(link).concat().starts_with("CONNACK Success"));
    let events = format!("{:?}", core.events);
    assert!(
        events.contains("device 7") && !events.contains("admin"),
        "{events}"
    );
}

#[test]
fn the_user_name_may_be_the_client_identifier() {
    for workers in [1, 2] {
        let mut core = Core::new(workers, Limits::default());
        listen(&mut core, |rules| rules.user_name_as_client_id = true);
        let answer = refused(&mut core, &Hello::new("a"));
        assert!(answer.starts_with("CONNACK Not authorized"), "{answer}");
        let first = core.join(0, &Hello::new("a").user("u"));
        let second = core.join(usize::from(workers) - 1, &Hello::new("b").user("u"));
        assert_eq!(core.cause(first), Some(Cause::TakenOver));
        assert!(core.is_open(second));
    }
}

#[test]
fn assigned_client_identifiers_are_as_the_listener_says() {
    let mut core = ruled(|rules| rules.assigned_id_prefix = "gate-".into());
    let link = core.connect(0, &Hello::new(""));
    let connack = core.take(link).concat();
    assert!(
        connack.contains("assigned-client-identifier=String(\"gate-"),
        "{connack}"
    );
    listen(&mut core, |rules| rules.empty_client_ids = false);
    let answer = refused(&mut core, &Hello::new(""));
    assert!(
        answer.starts_with("CONNACK Client Identifier not valid"),
        "{answer}"
    );
    let answer = refused(&mut core, &Hello::new("").version(Version::V311));
    assert_eq!(answer, "CONNACK code 2");
}

#[test]
fn a_listener_may_take_smaller_packets_than_others() {
    let mut core = ruled(|rules| rules.packet_size_max = Some(100));
    let link = core.connect(0, &Hello::new("a"));
    let connack = core.take(link).concat();
    assert!(
        connack.contains("maximum-packet-size=Four(100)"),
        "{connack}"
    );
    core.publish(link, "t", &"x".repeat(101), 0, 0);
    assert_eq!(core.take(link), ["DISCONNECT 0x95"]);
    core.listen(ListenerRules::default());
    let link = core.join(0, &Hello::new("b"));
    core.publish(link, "t", &"x".repeat(101), 0, 0);
    assert!(core.is_open(link));
}

#[test]
fn who_was_there_stays_when_the_rules_change() {
    let mut core = ruled(|rules| rules.mount_point = "m/".into());
    let old = core.join(0, &Hello::new("old"));
    core.subscribe(old, "t", 0);
    let rules = ListenerRules {
        connections_max: 2,
        ..ListenerRules::default()
    };
    core.listener = core.listener.with_rules(rules).into();
    let new = core.join(0, &Hello::new("new"));
    assert!(core.open(0, Version::V5).is_none(), "the old one counts");
    core.publish(new, "m/t", "x", 0, 0);
    assert_eq!(core.take(old), ["PUBLISH t x q0"]);
}

#[test]
fn qos_2_below_a_mount_point_goes_through_all_four_steps() {
    let mut core = core();
    let one = mounted(&mut core, "m/", &Hello::new("one").kept());
    core.subscribe(one, "t", 2);
    core.publish(one, "t", "x", 2, 5);
    assert_eq!(core.take(one), ["PUBREC #5", "PUBLISH t x q2 #1"]);
    core.cut(one);
    listen(&mut core, |rules| rules.mount_point = "m/".into());
    let back = core.connect(0, &Hello::new("one").kept());
    assert_eq!(core.take(back)[1..], ["PUBLISH t x q2 #1 dup"]);
    core.ack(back, PacketType::Pubrec, 1);
    assert_eq!(core.take(back), ["PUBREL #1"]);
    core.ack(back, PacketType::Pubcomp, 1);
    core.ack(back, PacketType::Pubrel, 5);
    assert_eq!(core.take(back), ["PUBCOMP #5"]);
}
