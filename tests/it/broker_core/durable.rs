//! What survives a restart, and what waits until it would: records, the durability gate, and a
//! broker rebuilt at any point (§4.1, §4.3, §4.4).

use mqttx::broker::limits::Limits;
use mqttx::daemon::store::rows::Table;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, again, publish, retained, subscribe};

fn core() -> Core {
    Core::kept(1, Limits::default())
}

fn hold(core: &mut Core, held: bool) {
    core.keeper.as_mut().unwrap().held = held;
    if !held {
        core.settle();
    }
}

fn rows(core: &Core, table: Table) -> usize {
    core.keeper.as_ref().unwrap().count(table)
}

/// A client of a Session that is kept, subscribed to `#`.
fn keep(core: &mut Core, version: Version, qos: u8) -> Hello {
    let hello = Hello::new("sub").version(version).kept();
    let sub = core.connect(0, &hello);
    core.take(sub);
    core.subscribe(sub, "#", qos);
    core.cut(sub);
    hello
}

#[test]
fn an_acknowledgement_waits_for_the_store_and_keeps_its_order() {
    let mut core = core();
    keep(&mut core, Version::V5, 2);
    let publisher = core.join(0, &Hello::new("pub"));
    hold(&mut core, true);
    core.publish(publisher, "t", "m1", 1, 1);
    core.publish(publisher, "t", "m2", 2, 2);
    core.publish(publisher, "t", "m3", 1, 3);
    assert_eq!(core.take(publisher), [""; 0]);
    hold(&mut core, false);
    assert_eq!(
        core.take(publisher),
        ["PUBACK #1", "PUBREC #2", "PUBACK #3"]
    );
}

#[test]
fn what_nobody_keeps_does_not_wait_and_leaves_no_record() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    hold(&mut core, true);
    for (id, qos) in [(1, 1), (2, 2)] {
        core.publish(publisher, "t", "m", qos, id);
    }
    core.publish(publisher, "t", "m", 0, 0);
    assert_eq!(core.take(publisher), ["PUBACK #1", "PUBREC #2"]);
    assert_eq!(core.take(sub).len(), 3);
    assert_eq!(core.keeper.as_ref().unwrap().taken, 0);
}

#[test]
fn qos_0_never_waits_and_qos_2_to_a_kept_session_does() {
    let mut core = core();
    let sub = core.connect(0, &Hello::new("sub").kept());
    core.take(sub);
    core.subscribe(sub, "t", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    hold(&mut core, true);
    core.publish(publisher, "t", "two", 2, 1);
    core.publish(publisher, "t", "one", 1, 2);
    core.publish(publisher, "t", "zero", 0, 0);
    assert_eq!(core.take(sub), ["PUBLISH t zero q0"]);
    hold(&mut core, false);
    let expected = ["PUBLISH t two q2 #1", "PUBLISH t one q1 #2"];
    assert_eq!(core.take(sub), expected, "QoS 1 does not overtake it");
}

#[test]
fn connack_and_suback_of_a_kept_session_wait() {
    let mut core = core();
    hold(&mut core, true);
    let sub = core.connect(0, &Hello::new("sub").kept());
    assert_eq!(core.take(sub), [""; 0]);
    hold(&mut core, false);
    assert_eq!(core.take(sub), ["CONNACK Success"]);
    hold(&mut core, true);
    let bytes = subscribe(Version::V5, 1, "t", 1, &[]);
    core.send(sub, &bytes);
    assert_eq!(core.take(sub), [""; 0]);
    hold(&mut core, false);
    assert_eq!(core.take(sub), ["SUBACK #1 [1]"]);
}

#[test]
fn queued_messages_come_after_a_restart_in_their_order() {
    for version in Version::ALL {
        let mut core = core();
        let hello = keep(&mut core, version, 2);
        let publisher = core.join(0, &Hello::new("pub"));
        for id in 1..=20 {
            core.publish(publisher, "a/b", &format!("m{id}"), 1 + (id % 2) as u8, id);
        }
        core.restart(1);
        let sub = core.connect(0, &hello);
        let got = core.take(sub);
        assert!(
            got[0].contains("present") || version == Version::V31,
            "{got:?}"
        );
        let expected: Vec<String> = (1..=20)
            .map(|id| format!("PUBLISH a/b m{id} q{} #{id}", 1 + id % 2))
            .collect();
        assert_eq!(got[1..], expected);
        for id in 1..=20 {
            let kind = if id % 2 == 0 {
                PacketType::Puback
            } else {
                PacketType::Pubrec
            };
            core.ack(sub, kind, id);
            if id % 2 == 1 {
                core.ack(sub, PacketType::Pubcomp, id);
            }
        }
        for table in [Table::Body, Table::Waiting, Table::Released] {
            assert_eq!(rows(&core, table), 0, "{}", table.name());
        }
    }
}

#[test]
fn what_was_in_flight_keeps_its_identifiers_over_a_restart() {
    let mut core = core();
    let hello = Hello::new("sub").kept();
    let sub = core.connect(0, &hello);
    core.take(sub);
    core.subscribe(sub, "#", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=5 {
        core.publish(publisher, "t", &format!("m{id}"), 2, id);
    }
    core.ack(sub, PacketType::Pubrec, 2);
    core.ack(sub, PacketType::Pubrec, 3);
    core.ack(sub, PacketType::Pubcomp, 3);
    core.restart(1);
    let sub = core.connect(0, &hello);
    assert_eq!(
        core.take(sub),
        [
            "CONNACK Success present",
            "PUBLISH t m1 q2 #1 dup",
            "PUBLISH t m4 q2 #4 dup",
            "PUBLISH t m5 q2 #5 dup",
            "PUBREL #2",
        ]
    );
    core.ack(sub, PacketType::Pubcomp, 2);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m6", 2, 1);
    assert_eq!(core.take(sub), ["PUBLISH t m6 q2 #6"]);
}

#[test]
fn what_waits_for_pubcomp_takes_no_place_of_what_comes_after_a_restart() {
    let mut core = core();
    let hello = Hello::new("sub").kept();
    let sub = core.connect(0, &hello);
    core.take(sub);
    core.subscribe(sub, "#", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m1", 2, 1);
    core.ack(sub, PacketType::Pubrec, 1);
    core.restart(1);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m2", 2, 2);
    core.restart(1);
    let sub = core.connect(0, &hello);
    assert_eq!(
        core.take(sub)[1..],
        ["PUBREL #1", "PUBLISH t m2 q2 #2"],
        "m2 is not lost"
    );
}

#[test]
fn a_qos_2_message_is_delivered_once_whenever_the_broker_dies() {
    // Before the store has taken the message, and after it.
    for stored in [false, true] {
        let mut core = core();
        let hello = keep(&mut core, Version::V5, 2);
        let from = Hello::new("pub").kept();
        let publisher = core.connect(0, &from);
        core.take(publisher);
        hold(&mut core, !stored);
        let message = publish(Version::V5, "t", "m", 2, 7, &[]);
        core.send(publisher, &message);
        assert_eq!(core.take(publisher).is_empty(), !stored);
        core.keeper.as_mut().unwrap().held = false;
        core.restart(1);
        let publisher = core.connect(0, &from);
        core.take(publisher);
        core.send(publisher, &again(message));
        assert_eq!(core.take(publisher), ["PUBREC #7"]);
        core.restart(1);
        let publisher = core.connect(0, &from);
        core.take(publisher);
        core.ack(publisher, PacketType::Pubrel, 7);
        assert_eq!(core.take(publisher), ["PUBCOMP #7"]);
        assert_eq!(rows(&core, Table::Received), 0);
        let sub = core.connect(0, &hello);
        assert_eq!(core.take(sub)[1..], ["PUBLISH t m q2 #1"]);
    }
}

#[test]
fn one_body_serves_many_sessions() {
    let mut core = core();
    let hellos: Vec<Hello> = (0..50)
        .map(|n| {
            let hello = Hello::new(&format!("sub{n}")).kept();
            let sub = core.connect(0, &hello);
            core.take(sub);
            core.subscribe(sub, "t", 1);
            core.cut(sub);
            hello
        })
        .collect();
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m", 1, 1);
    assert_eq!(
        (rows(&core, Table::Body), rows(&core, Table::Waiting)),
        (1, 50)
    );
    core.restart(1);
    for (n, hello) in hellos.iter().enumerate() {
        assert_eq!(rows(&core, Table::Body), 1);
        let sub = core.connect(0, hello);
        assert_eq!(core.take(sub)[1..], ["PUBLISH t m q1 #1"]);
        match n % 2 {
            0 => core.ack(sub, PacketType::Puback, 1),
            _ => {
                let clean = core.connect(0, &Hello::new(&format!("sub{n}")));
                core.cut(clean);
            }
        }
    }
    assert_eq!(
        (rows(&core, Table::Body), rows(&core, Table::Waiting)),
        (0, 0)
    );
}

#[test]
fn retained_messages_survive_with_their_expiry() {
    let mut core = core();
    let publisher = core.join(0, &Hello::new("pub"));
    let expiry = [(PropertyId::MessageExpiryInterval, Value::Four(100))];
    for (topic, properties) in [("a", &[][..]), ("b", &expiry[..]), ("c", &[][..])] {
        let message = retained(publish(Version::V5, topic, "kept", 0, 0, properties));
        core.send(publisher, &message);
    }
    let clear = retained(publish(Version::V5, "c", "", 0, 0, &[]));
    core.send(publisher, &clear);
    assert_eq!(rows(&core, Table::Retained), 2);
    core.advance_secs(40.0);
    core.restart(1);
    let sub = core.join(0, &Hello::new("sub"));
    core.send(sub, &subscribe(Version::V5, 1, "#", 0, &[]));
    let mut got = core.take(sub);
    got.sort();
    let expected = [
        "PUBLISH a kept q0 retain",
        "PUBLISH b kept q0 retain message-expiry-interval=Four(60)",
        "SUBACK #1 [0]",
    ];
    assert_eq!(got, expected);
    core.advance_secs(61.0);
    core.restart(1);
    assert_eq!(rows(&core, Table::Retained), 1);
}

#[test]
fn sessions_expire_while_the_broker_is_away() {
    let mut core = core();
    let expiry = |seconds| [(PropertyId::SessionExpiryInterval, Value::Four(seconds))];
    for (name, seconds) in [("short", 50), ("long", 500)] {
        let hello = Hello::new(name).with(expiry(seconds)[0].0, expiry(seconds)[0].1);
        let link = core.connect(0, &hello);
        core.take(link);
        core.cut(link);
    }
    let stays = core.connect(
        0,
        &Hello::new("there").with(expiry(50)[0].0, expiry(50)[0].1),
    );
    core.take(stays);
    core.now += std::time::Duration::from_secs(60);
    core.restart(1);
    assert_eq!(core.workers[0].sessions(), 2, "short is over");
    core.advance_secs(49.0);
    assert_eq!(core.workers[0].sessions(), 2);
    core.advance_secs(2.0);
    assert_eq!(
        core.workers[0].sessions(),
        1,
        "who was there was lost in the crash"
    );
    assert_eq!(rows(&core, Table::Session), 1);
}

#[test]
fn wills_speak_after_a_crash() {
    let mut core = core();
    let hello = keep(&mut core, Version::V5, 1);
    let gone = core.connect(0, &Hello::new("gone").will("w/now", "gone", 1, true));
    core.take(gone);
    let late = Hello::new("late").kept().will("w/late", "late", 1, false);
    let late = core.connect(
        0,
        &late.will_with(PropertyId::WillDelayInterval, Value::Four(30)),
    );
    core.take(late);
    core.restart(1);
    core.advance_secs(29.0);
    assert_eq!(rows(&core, Table::Waiting), 1);
    core.restart(1);
    core.advance_secs(30.5);
    let sub = core.connect(0, &hello);
    let got = core.take(sub);
    assert_eq!(
        got[1..],
        ["PUBLISH w/now gone q1 #1", "PUBLISH w/late late q1 #2"]
    );
    core.restart(1);
    assert_eq!(
        rows(&core, Table::Session),
        2,
        "sub and late are kept, gone is not"
    );
    assert_eq!(rows(&core, Table::Retained), 1);
}

#[test]
fn subscriptions_survive_with_their_options() {
    let mut core = core();
    let hello = Hello::new("sub").kept();
    let sub = core.connect(0, &hello);
    core.take(sub);
    let id = [(PropertyId::SubscriptionIdentifier, Value::Variable(9))];
    for (n, filter) in ["t", "$share/g/s", "gone"].into_iter().enumerate() {
        let bytes = subscribe(Version::V5, n as u16 + 1, filter, 1, &id);
        core.send(sub, &bytes);
    }
    core.send(sub, &[0xa2, 9, 0, 9, 0, 0, 4, b'g', b'o', b'n', b'e']);
    core.restart(2);
    let mut filters: Vec<String> = core
        .workers
        .iter()
        .flat_map(|worker| worker.filters_of("sub"))
        .collect();
    filters.sort();
    assert_eq!(filters, ["$share/g/s", "t"]);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "m1", 1, 1);
    core.publish(publisher, "s", "m2", 1, 2);
    let sub = core.connect(0, &hello);
    let got = core.take(sub);
    assert_eq!(
        got[1..],
        [
            "PUBLISH t m1 q1 #1 subscription-identifier=Variable(9)",
            "PUBLISH s m2 q1 #2 subscription-identifier=Variable(9)",
        ]
    );
}

#[test]
fn a_message_on_its_way_to_another_worker_is_safe_before_it_is_acknowledged() {
    for workers_after in [1, 2, 3] {
        let mut core = Core::kept(2, Limits::default());
        let hello = keep(&mut core, Version::V5, 2);
        let publisher = core.join(1, &Hello::new("pub"));
        core.crossings_held = true;
        for id in 1..=3 {
            core.publish(publisher, "t", &format!("m{id}"), 1, id);
        }
        assert_eq!(core.take(publisher).len(), 3, "acknowledged");
        assert_eq!(rows(&core, Table::Crossed), 3);
        core.deliver_crossings();
        core.crossings_held = false;
        core.restart(workers_after);
        let sub = core.connect(0, &hello);
        let got = core.take(sub);
        let expected: Vec<_> = (1..=3)
            .map(|id| format!("PUBLISH t m{id} q1 #{id}"))
            .collect();
        assert_eq!(got[1..], expected);
        assert_eq!(rows(&core, Table::Crossed), 0);
        for id in 1..=3 {
            core.ack(sub, PacketType::Puback, id);
        }
        assert_eq!(
            (rows(&core, Table::Body), rows(&core, Table::Waiting)),
            (0, 0)
        );
    }
}

#[test]
fn a_store_that_fails_refuses_what_it_cannot_keep_and_nothing_else() {
    let mut core = core();
    keep(&mut core, Version::V5, 1);
    let new = core.join(0, &Hello::new("new"));
    let old = core.join(0, &Hello::new("old").version(Version::V311));
    core.workers[0].set_store_failing(true);
    core.publish(new, "t", "m", 1, 1);
    core.publish(new, "t", "m", 0, 0);
    assert_eq!(core.take(new), ["PUBACK #1 0x97"]);
    core.publish(old, "t", "m", 1, 1);
    assert!(core.is_paused(old), "version 3.1.1 has no way to say it");
    let kept = core.connect(0, &Hello::new("another").kept());
    assert_eq!(
        core.take(kept),
        [
            "CONNACK Server unavailable reason-string=String(\"no Session can be stored at present\")"
        ]
    );
    core.workers[0].set_store_failing(false);
    core.settle();
    assert_eq!(core.take(old), ["PUBACK #1"]);
    assert_eq!(rows(&core, Table::Waiting), 1);
}

#[test]
fn publishers_pause_while_too_much_is_not_stored() {
    let limits = Limits {
        unsaved_bytes_max: 100_000,
        ..Limits::default()
    };
    let mut core = Core::kept(1, limits);
    keep(&mut core, Version::V5, 1);
    let publisher = core.join(0, &Hello::new("pub"));
    hold(&mut core, true);
    let payload = "x".repeat(1_000);
    let mut sent = 0;
    while !core.is_paused(publisher) {
        sent += 1;
        assert!(sent < 200, "nothing bounds it");
        core.publish(publisher, "t", &payload, 1, sent);
    }
    hold(&mut core, false);
    assert_eq!(core.take(publisher).len(), usize::from(sent));
}

#[test]
fn what_is_beyond_the_memory_limit_comes_back_from_the_store_in_order() {
    let limits = Limits {
        session_memory_max: 10_000,
        ..Limits::default()
    };
    let mut core = Core::kept(1, limits);
    let hello = keep(&mut core, Version::V5, 1);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=3_000 {
        core.publish(publisher, "t", &format!("m{id}"), 1, id);
    }
    let sub = core.connect(0, &hello);
    for id in 3_001..=4_000 {
        core.publish(publisher, "t", &format!("m{id}"), 1, id);
    }
    let got = core.take(sub);
    let expected: Vec<_> = (1..=4_000)
        .map(|id| format!("PUBLISH t m{id} q1 #{id}"))
        .collect();
    assert_eq!(got[1..], expected);
    for id in 1..=4_000 {
        core.ack(sub, PacketType::Puback, id);
    }
    assert_eq!(
        (rows(&core, Table::Body), rows(&core, Table::Waiting)),
        (0, 0)
    );
    assert_eq!(core.stats().dropped_unreadable, 0);
}

#[test]
fn a_client_gets_its_own_messages_after_a_restart_too() {
    for version in Version::ALL {
        for workers in 1..=3 {
            let mut core = core();
            let hello = Hello::new("own").version(version).kept();
            let own = core.connect(0, &hello);
            core.take(own);
            core.subscribe(own, "t/+", 2);
            core.restart(workers);
            let own = core.connect(usize::from(workers) - 1, &hello);
            core.take(own);
            core.publish(own, "t/0", "m", 2, 5);
            let got = core.take(own);
            assert!(got.contains(&"PUBLISH t/0 m q2 #1".to_owned()), "{got:?}");
        }
    }
}
