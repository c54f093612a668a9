//! Several workers that share one broker: connections that move, messages that cross, early, late
//! and in their order.

use mqttx::broker::Cause;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, publish, retained, subscribe};

fn core() -> Core {
    Core::new(2, Limits::default())
}

#[test]
fn a_client_that_comes_back_elsewhere_is_handed_to_its_session() {
    let hello = Hello::new("a").kept();
    let mut core = core();
    let first = core.join(0, &hello);
    core.subscribe(first, "t", 1);
    core.cut(first);
    let publisher = core.join(1, &Hello::new("pub"));
    core.publish(publisher, "t", "m", 1, 1);
    // Everything at once, as a client may send it: CONNECT and what follows.
    let together = [
        hello.bytes(),
        publish(Version::V5, "t", "own", 1, 5, &[]),
        subscribe(Version::V5, 6, "u", 0, &[]),
    ];
    let second = core.open(1, Version::V5).unwrap();
    core.send(second, &together.concat());
    assert_eq!(core.worker_of(second), Some(0));
    assert_eq!(
        core.take(second),
        [
            "CONNACK Success present",
            "PUBLISH t m q1 #1",
            "PUBACK #5",
            "PUBLISH t own q1 #2",
            "SUBACK #6 [0]"
        ]
    );
    assert_eq!(core.workers[1].connections(), 1, "only the publisher");
}

#[test]
fn taking_over_reaches_a_connection_of_another_worker() {
    let mut core = core();
    let first = core.join(0, &Hello::new("a"));
    let second = core.join(1, &Hello::new("a"));
    assert_eq!(core.cause(first), Some(Cause::TakenOver));
    assert_eq!(core.take(first), ["DISCONNECT 0x8e"]);
    assert!(core.is_open(second));
    let sessions: usize = core.workers.iter().map(|worker| worker.sessions()).sum();
    assert_eq!(sessions, 1);
}

#[test]
fn messages_cross_in_the_order_they_were_published() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "#", 2);
    let publisher = core.join(1, &Hello::new("pub"));
    core.crossings_held = true;
    let mut expected = Vec::new();
    let mut id = 0;
    for round in 1..=60_u16 {
        let qos = (round % 3) as u8;
        let payload = format!("m{round}");
        core.publish(publisher, "t", &payload, qos, round);
        id += u16::from(qos > 0);
        let number = if qos > 0 {
            format!(" #{id}")
        } else {
            String::new()
        };
        expected.push(format!("PUBLISH t {payload} q{qos}{number}"));
    }
    assert_eq!(core.take(sub), [""; 0]);
    while core.deliver_crossings() {}
    assert_eq!(core.take(sub), expected);
}

#[test]
fn what_crosses_late_finds_nobody_else_in_its_place() {
    let mut core = core();
    let first = core.join(0, &Hello::new("first"));
    core.subscribe(first, "t", 1);
    let publisher = core.join(1, &Hello::new("pub"));
    core.crossings_held = true;
    core.publish(publisher, "t", "for first", 1, 1);
    core.publish(publisher, "t", "for first", 0, 0);
    core.cut(first);
    // The same place in the worker's tables, and another client.
    let second = core.join(0, &Hello::new("second"));
    core.subscribe(second, "other", 1);
    while core.deliver_crossings() {}
    assert_eq!(core.take(second), [""; 0]);
}

#[test]
fn what_crosses_late_is_kept_for_a_session_whose_client_left() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub").kept());
    core.subscribe(sub, "t", 1);
    let publisher = core.join(1, &Hello::new("pub"));
    core.crossings_held = true;
    core.publish(publisher, "t", "m", 1, 1);
    core.cut(sub);
    while core.deliver_crossings() {}
    core.crossings_held = false;
    let sub = core.connect(1, &Hello::new("sub").kept());
    assert_eq!(
        core.take(sub),
        ["CONNACK Success present", "PUBLISH t m q1 #1"]
    );
}

#[test]
fn shares_take_turns_over_all_workers_and_redeliver_across_them() {
    let mut core = core();
    let members: Vec<_> = (0..4)
        .map(|n| {
            let member = core.join(n % 2, &Hello::new(&format!("m{n}")));
            core.subscribe(member, "$share/g/t", 1);
            member
        })
        .collect();
    let publisher = core.join(1, &Hello::new("pub"));
    for id in 1..=40 {
        core.publish(publisher, "t", &id.to_string(), 1, id);
    }
    let mut seen: Vec<String> = Vec::new();
    let payload = |line: String| line.split(' ').nth(2).unwrap().to_owned();
    for &member in &members[1..] {
        let got = core.take(member);
        assert_eq!(got.len(), 10);
        seen.extend(got.into_iter().map(payload));
    }
    core.cut(members[0]);
    for &member in &members[1..] {
        seen.extend(core.take(member).into_iter().map(payload));
    }
    let mut numbers: Vec<u16> = seen.iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}

#[test]
fn wills_and_retained_messages_reach_every_worker() {
    let mut core = core();
    let watchers: Vec<_> = (0..2)
        .map(|n| {
            let watcher = core.join(n, &Hello::new(&format!("w{n}")));
            core.subscribe(watcher, "#", 0);
            watcher
        })
        .collect();
    let owner = core.join(1, &Hello::new("owner").will("w", "gone", 1, true));
    core.cut(owner);
    for watcher in watchers {
        assert_eq!(core.take(watcher), ["PUBLISH w gone q0"]);
    }
    for worker in 0..2 {
        let late = core.join(worker, &Hello::new(&format!("late{worker}")));
        core.send(late, &subscribe(Version::V5, 1, "w", 2, &[]));
        assert_eq!(
            core.take(late),
            ["SUBACK #1 [2]", "PUBLISH w gone q1 #1 retain"]
        );
    }
}

#[test]
fn no_local_and_identifiers_hold_across_workers() {
    let mut core = core();
    let own = core.join(0, &Hello::new("own"));
    core.send(own, &subscribe(Version::V5, 1, "t", 0b100, &[]));
    core.take(own);
    let other = core.join(1, &Hello::new("other"));
    core.subscribe(other, "t", 1);
    core.publish(own, "t", "from own", 1, 3);
    assert_eq!(core.take(own), ["PUBACK #3"]);
    assert_eq!(core.take(other), ["PUBLISH t from own q1 #1"]);
    core.publish(other, "t", "from other", 1, 4);
    assert_eq!(core.take(own), ["PUBLISH t from other q0"]);
    core.ack(other, PacketType::Puback, 1);
    assert_eq!(
        core.take(other),
        ["PUBLISH t from other q1 #2", "PUBACK #4"]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_retained_message_set_on_one_worker_is_cleared_on_another() {
    let mut core = core();
    let one = core.join(0, &Hello::new("one"));
    let two = core.join(1, &Hello::new("two"));
    core.send(one, &retained(publish(Version::V5, "r", "v", 0, 0, &[])));
    assert_eq!(core.workers[1].retained().0, 1);
    core.send(two, &retained(publish(Version::V5, "r", "", 0, 0, &[])));
    assert_eq!(core.workers[0].retained().0, 0);
}

/// A subscriber on worker 0 and a publisher that has followed it there.
fn followed(core: &mut Core, hello: &Hello) -> (usize, usize) {
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 2);
    let publisher = core.join(1, hello);
    let mut reads = 0;
    while core.worker_of(publisher) == Some(1) {
        reads += 1;
        assert!(reads < 1_000, "it never follows");
        core.publish(publisher, "t", "m", 0, 0);
    }
    core.take(sub);
    (sub, publisher)
}

#[test]
fn a_publisher_follows_its_only_audience() {
    let mut core = core();
    let (sub, publisher) = followed(&mut core, &Hello::new("pub"));
    assert_eq!(core.worker_of(publisher), Some(0));
    assert_eq!(
        core.workers[1].connections() + core.workers[1].sessions(),
        0
    );
    core.publish(publisher, "t", "once", 2, 7);
    assert_eq!(core.take(sub), ["PUBLISH t once q2 #1"]);
    assert_eq!(core.take(publisher), ["PUBREC #7"]);
    core.ack(publisher, PacketType::Pubrel, 7);
    assert_eq!(core.take(publisher), ["PUBCOMP #7"]);
}

#[test]
fn a_publisher_keeps_its_handshakes_and_its_will_on_the_way() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 2);
    let publisher = core.join(1, &Hello::new("pub").will("t", "gone", 1, false));
    core.publish(publisher, "t", "first", 2, 7);
    assert_eq!(core.take(publisher), ["PUBREC #7"]);
    assert_eq!(core.take(sub), ["PUBLISH t first q2 #1"]);
    while core.worker_of(publisher) == Some(1) {
        core.publish(publisher, "t", "m", 0, 0);
    }
    core.take(sub);
    core.publish(publisher, "t", "first", 2, 7);
    assert_eq!(core.take(sub), [""; 0], "it has this one already");
    core.take(publisher);
    core.ack(publisher, PacketType::Pubrel, 7);
    assert_eq!(core.take(publisher), ["PUBCOMP #7"]);
    core.cut(publisher);
    assert_eq!(core.take(sub), ["PUBLISH t gone q1 #2"]);
}

#[test]
fn messages_before_and_after_the_way_stay_in_order() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 0);
    let publisher = core.join(1, &Hello::new("pub"));
    core.crossings_held = true;
    let mut expected = Vec::new();
    for number in 0..200 {
        core.publish(publisher, "t", &number.to_string(), 0, 0);
        expected.push(format!("PUBLISH t {number} q0"));
        if number % 7 == 0 {
            core.deliver_crossings();
        }
    }
    while core.deliver_crossings() {}
    assert_eq!(core.worker_of(publisher), Some(0));
    assert_eq!(core.take(sub), expected);
}

#[test]
fn taking_over_finds_a_publisher_that_is_on_its_way() {
    for at in 0..2 {
        let mut core = core();
        let sub = core.join(0, &Hello::new("sub"));
        core.subscribe(sub, "t", 0);
        let publisher = core.join(1, &Hello::new("pub"));
        core.crossings_held = true;
        while core.is_open(publisher) {
            core.publish(publisher, "t", "m", 0, 0);
        }
        let second = core.connect(at, &Hello::new("pub"));
        while core.deliver_crossings() {}
        assert_eq!(core.take(second), ["CONNACK Success"]);
        assert_eq!(core.cause(publisher), Some(Cause::TakenOver));
        let sessions: usize = core.workers.iter().map(|worker| worker.sessions()).sum();
        assert_eq!(sessions, 2);
    }
}

#[test]
fn who_is_subscribed_or_has_two_audiences_stays() {
    let mut core = core();
    let here = core.join(0, &Hello::new("here"));
    core.subscribe(here, "t", 0);
    let there = core.join(1, &Hello::new("there"));
    core.subscribe(there, "u", 0);
    let subscribed = core.join(1, &Hello::new("subscribed"));
    core.subscribe(subscribed, "x", 0);
    let both = core.join(1, &Hello::new("both"));
    for _ in 0..100 {
        core.publish(subscribed, "t", "m", 0, 0);
        core.publish(both, "t", "m", 0, 0);
        core.publish(both, "u", "m", 0, 0);
    }
    assert_eq!(core.worker_of(subscribed), Some(1));
    assert_eq!(core.worker_of(both), Some(1));
    assert_eq!(core.take(here).len(), 200);
    assert_eq!(core.take(there).len(), 100);
}
