//! Sessions that are taken over, left and taken up again: what comes again, in which order, and
//! how often (§3.1.4, §4.3, §4.4, §4.6).

use mqttx::broker::Cause;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, again, publish, subscribe};

fn core() -> Core {
    Core::new(1, Limits::default())
}

#[test]
fn a_second_connection_takes_the_session_over() {
    for version in Version::ALL {
        let hello = Hello::new("a").version(version).kept();
        let mut core = core();
        let first = core.connect(0, &hello);
        core.take(first);
        core.subscribe(first, "t", 1);
        let second = core.connect(0, &hello);
        assert_eq!(core.cause(first), Some(Cause::TakenOver));
        let farewell = core.take(first);
        let expected: &[&str] = match version {
            Version::V5 => &["DISCONNECT 0x8e"],
            _ => &[],
        };
        assert_eq!(farewell, expected);
        assert!(core.take(second)[0].contains("Success"));
        core.publish(second, "t", "mine", 1, 9);
        assert_eq!(core.take(second), ["PUBACK #9", "PUBLISH t mine q1 #1"]);
    }
}

#[test]
fn a_take_over_with_clean_start_forgets_and_lets_the_will_speak() {
    let mut core = core();
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "w", 0);
    let first = core.join(0, &Hello::new("a").kept().will("w", "gone", 0, false));
    core.subscribe(first, "t", 1);
    let second = core.join(0, &Hello::new("a"));
    assert_eq!(core.take(watcher), ["PUBLISH w gone q0"]);
    core.publish(second, "t", "mine", 1, 9);
    assert_eq!(core.take(second), ["PUBACK #9 0x10"]);
}

#[test]
fn what_was_in_flight_comes_again_in_its_order_before_what_waited() {
    let mut core = core();
    let hello = Hello::new("sub")
        .kept()
        .with(PropertyId::ReceiveMaximum, Value::Two(4));
    let sub = core.join(0, &hello);
    core.subscribe(sub, "#", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=7 {
        let qos = if id % 2 == 0 { 2 } else { 1 };
        core.publish(publisher, "t", &format!("m{id}"), qos, id);
    }
    assert_eq!(
        core.take(sub),
        [
            "PUBLISH t m1 q1 #1",
            "PUBLISH t m2 q2 #2",
            "PUBLISH t m3 q1 #3",
            "PUBLISH t m4 q2 #4"
        ]
    );
    core.ack(sub, PacketType::Puback, 3);
    core.ack(sub, PacketType::Pubrec, 2);
    assert_eq!(core.take(sub), ["PUBLISH t m5 q1 #5", "PUBREL #2"]);
    core.cut(sub);
    let sub = core.connect(0, &hello);
    assert_eq!(
        core.take(sub),
        [
            "CONNACK Success present",
            "PUBLISH t m1 q1 #1 dup",
            "PUBREL #2",
            "PUBLISH t m4 q2 #4 dup",
            "PUBLISH t m5 q1 #5 dup"
        ]
    );
    core.ack(sub, PacketType::Puback, 1);
    core.ack(sub, PacketType::Pubcomp, 2);
    assert_eq!(core.take(sub), ["PUBLISH t m6 q2 #6", "PUBLISH t m7 q1 #7"]);
}

#[test]
fn a_smaller_receive_maximum_after_the_resume_is_kept_for_what_is_new() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub").kept());
    core.subscribe(sub, "#", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=3 {
        core.publish(publisher, "t", &format!("m{id}"), 1, id);
    }
    core.cut(sub);
    core.publish(publisher, "t", "m4", 1, 4);
    let small = Hello::new("sub")
        .kept()
        .with(PropertyId::ReceiveMaximum, Value::Two(1));
    let sub = core.connect(0, &small);
    let got = core.take(sub);
    assert!(!got.iter().any(|line| line.contains("m4")), "{got:?}");
    let mut last = Vec::new();
    for id in 1..=3 {
        core.ack(sub, PacketType::Puback, id);
        last = core.take(sub);
    }
    assert_eq!(last, ["PUBLISH t m4 q1 #4"]);
}

#[test]
fn a_repeated_qos_2_publish_is_answered_and_not_delivered_twice() {
    for version in Version::ALL {
        let mut core = core();
        let sub = core.join(0, &Hello::new("sub").version(version));
        core.subscribe(sub, "t", 0);
        let hello = Hello::new("pub").version(version).kept();
        let publisher = core.connect(0, &hello);
        core.take(publisher);
        let message = publish(version, "t", "m", 2, 7, &[]);
        core.send(publisher, &message);
        assert_eq!(core.take(publisher), ["PUBREC #7"]);
        core.send(publisher, &again(message.clone()));
        assert_eq!(core.take(publisher), ["PUBREC #7"]);
        core.cut(publisher);
        let publisher = core.connect(0, &hello);
        core.take(publisher);
        core.send(publisher, &again(message.clone()));
        assert_eq!(core.take(publisher), ["PUBREC #7"]);
        core.ack(publisher, PacketType::Pubrel, 7);
        assert_eq!(core.take(publisher), ["PUBCOMP #7"]);
        assert_eq!(core.take(sub), ["PUBLISH t m q0"]);
        // The identifier is free now: what comes with it is another message.
        core.send(publisher, &message);
        assert_eq!(core.take(sub), ["PUBLISH t m q0"]);
    }
}

#[test]
fn pubrel_for_nothing_is_answered_so_that_the_client_can_go_on() {
    let mut core = core();
    let old = core.join(0, &Hello::new("old").version(Version::V311));
    core.ack(old, PacketType::Pubrel, 5);
    assert_eq!(core.take(old), ["PUBCOMP #5"]);
    let new = core.join(0, &Hello::new("new"));
    core.ack(new, PacketType::Pubrel, 5);
    assert_eq!(core.take(new), ["PUBCOMP #5 0x92"]);
    core.ack(new, PacketType::Pubrec, 5);
    assert_eq!(core.take(new), ["PUBREL #5 0x92"]);
    core.ack(new, PacketType::Puback, 5);
    core.ack(new, PacketType::Pubcomp, 5);
    assert!(core.is_open(new));
}

#[test]
fn what_a_member_of_a_share_never_acknowledged_goes_to_the_others() {
    let mut core = core();
    let leaving = core.join(0, &Hello::new("leaving"));
    let staying = core.join(0, &Hello::new("staying"));
    core.subscribe(leaving, "$share/g/t", 1);
    core.subscribe(staying, "$share/g/t", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=4 {
        core.publish(publisher, "t", &format!("m{id}"), 1, id);
    }
    let before: Vec<String> = core.take(staying);
    assert_eq!(before.len(), 2, "they take turns: {before:?}");
    core.cut(leaving);
    let after = core.take(staying);
    assert_eq!(after.len(), 2, "{after:?}");
    let mut seen: Vec<String> = [before, after]
        .concat()
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap().to_owned())
        .collect();
    seen.sort();
    assert_eq!(seen, ["m1", "m2", "m3", "m4"]);
}

#[test]
fn a_share_prefers_members_that_are_there() {
    let mut core = core();
    let away = core.join(0, &Hello::new("away").kept());
    core.subscribe(away, "$share/g/t", 1);
    let here = core.join(0, &Hello::new("here"));
    core.subscribe(here, "$share/g/t", 1);
    core.cut(away);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=4 {
        core.publish(publisher, "t", "m", 1, id);
    }
    assert_eq!(core.take(here).len(), 4);
}

#[test]
fn subscriptions_of_a_kept_session_gather_while_its_client_is_away() {
    for version in Version::ALL {
        let hello = Hello::new("sub").version(version).kept();
        let mut core = core();
        let sub = core.connect(0, &hello);
        core.take(sub);
        core.subscribe(sub, "t", 2);
        core.cut(sub);
        let publisher = core.join(0, &Hello::new("pub").version(version));
        core.publish(publisher, "t", "zero", 0, 0);
        core.publish(publisher, "t", "one", 1, 1);
        core.publish(publisher, "t", "two", 2, 2);
        let sub = core.connect(0, &hello);
        let got = core.take(sub);
        assert_eq!(got[1..], ["PUBLISH t one q1 #1", "PUBLISH t two q2 #2"]);
        assert_eq!(core.stats().dropped_offline, 1, "QoS 0 is not kept");
    }
}

#[test]
fn a_subscription_that_is_replaced_keeps_one_copy_with_the_new_options() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub"));
    let id = |id| [(PropertyId::SubscriptionIdentifier, Value::Variable(id))];
    core.send(sub, &subscribe(Version::V5, 1, "t", 1, &id(11)));
    core.send(sub, &subscribe(Version::V5, 2, "t", 0, &id(22)));
    core.take(sub);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m", 1, 1);
    assert_eq!(
        core.take(sub),
        ["PUBLISH t m q0 subscription-identifier=Variable(22)"]
    );
}

#[test]
fn a_take_over_lets_a_will_without_delay_speak() {
    for version in Version::ALL {
        let mut core = Core::new(1, Limits::default());
        let watch = core.join(0, &Hello::new("watch"));
        core.subscribe(watch, "will", 1);
        let hello = Hello::new("a").version(version).kept();
        let hello = hello.will("will", "gone", 1, false);
        core.join(0, &hello);
        core.connect(0, &hello);
        assert_eq!(core.take(watch), ["PUBLISH will gone q1 #1"], "{version:?}");
    }
}
