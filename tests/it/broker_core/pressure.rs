//! Subscribers that do not keep up: publishers are paused for a moment, then the slow one pays
//! alone (§4.9 leaves to servers what to do; the limits are `outbox_bytes_max`, `pause_max_ms`,
//! `session_messages_max` and `session_bytes_max`).

use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::{Core, LinkId};
use crate::support::packets::{Hello, PINGREQ, publish, retained, subscribe};

const OUTBOX: usize = 65_536;

fn core(workers: u16) -> Core {
    let limits = Limits {
        outbox_bytes_max: OUTBOX,
        session_bytes_max: 8 * OUTBOX,
        ..Limits::default()
    };
    Core::new(workers, limits)
}

/// A watcher that reads, one that does not, and a publisher, on workers 0, 0 and `at`.
fn scene(core: &mut Core, at: usize, qos: u8) -> (LinkId, LinkId, LinkId) {
    let well = core.join(0, &Hello::new("well"));
    core.subscribe(well, "t", qos);
    let stuck = core.join(0, &Hello::new("stuck"));
    core.subscribe(stuck, "t", qos);
    core.set_room(stuck, Some(0));
    let publisher = core.join(at, &Hello::new("pub"));
    (well, stuck, publisher)
}

/// Publishes kilobytes until the publisher is paused; how many went through.
fn fill(core: &mut Core, publisher: LinkId) -> usize {
    let payload = "x".repeat(1_000);
    for count in 0..1_000 {
        core.publish(publisher, "t", &payload, 0, 0);
        if core.is_paused(publisher) {
            return count;
        }
    }
    panic!("the publisher was never paused");
}

#[test]
fn a_publisher_waits_for_a_reader_that_comes_back() {
    for workers in [1, 2] {
        let mut core = core(workers);
        let (well, stuck, publisher) = scene(&mut core, usize::from(workers) - 1, 0);
        let count = fill(&mut core, publisher);
        assert!(count * 1_000 < 2 * OUTBOX, "{count} kilobytes");
        core.advance(Duration::from_millis(60));
        assert!(core.is_paused(publisher));
        core.set_room(stuck, None);
        assert!(!core.is_paused(publisher));
        assert_eq!(core.take(well).len(), count + 1);
        assert_eq!(core.take(stuck).len(), count + 1, "nothing was lost");
        let stats = core.stats();
        assert_eq!((stats.pauses_expired, stats.dropped_slow), (0, 0));
        assert!(stats.pauses >= 1);
    }
}

#[test]
fn after_the_pause_only_the_slow_one_loses() {
    for workers in [1, 2] {
        let mut core = core(workers);
        let (well, stuck, publisher) = scene(&mut core, usize::from(workers) - 1, 0);
        let count = fill(&mut core, publisher);
        core.advance(Duration::from_millis(101));
        assert!(!core.is_paused(publisher), "100 ms are over");
        for _ in 0..200 {
            core.publish(publisher, "t", "more", 0, 0);
            assert!(!core.is_paused(publisher), "nobody waits twice");
        }
        assert_eq!(core.take(well).len(), count + 201);
        let stats = core.stats();
        assert_eq!(stats.pauses_expired, 1);
        // Across workers the news that it is slow travels behind the message that waited.
        assert!(stats.dropped_slow >= 200, "{}", stats.dropped_slow);

        core.set_room(stuck, None);
        let got = core.take(stuck).len();
        assert_eq!(got as u64 + stats.dropped_slow, count as u64 + 201);
        core.publish(publisher, "t", "well again", 0, 0);
        assert_eq!(core.take(stuck), ["PUBLISH t well again q0"]);
    }
}

#[test]
fn a_pressed_subscriber_that_vanishes_stops_nobody() {
    for workers in [1, 2] {
        for kept in [false, true] {
            let mut core = core(workers);
            let hello = Hello::new("stuck");
            let hello = if kept { hello.kept() } else { hello };
            let stuck = core.join(0, &hello);
            core.subscribe(stuck, "t", 0);
            core.set_room(stuck, Some(0));
            let publisher = core.join(usize::from(workers) - 1, &Hello::new("pub"));
            fill(&mut core, publisher);
            core.cut(stuck);
            assert!(
                !core.is_paused(publisher),
                "{workers} workers, kept {kept}: nobody is left to wait for"
            );
            core.publish(publisher, "t", "on", 0, 0);
            assert!(!core.is_paused(publisher), "{workers} workers, kept {kept}");
        }
    }
}

#[test]
fn a_client_that_reads_and_never_acknowledges_has_a_bounded_queue() {
    let mut core = core(1);
    let hello = Hello::new("mute").with(PropertyId::ReceiveMaximum, Value::Two(2));
    let mute = core.join(0, &hello);
    core.subscribe(mute, "t", 1);
    let well = core.join(0, &Hello::new("well"));
    core.subscribe(well, "t", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    let payload = "x".repeat(1_000);
    let mut delivered = 0;
    for round in 0..2_000_u32 {
        let id = (round % 65_535 + 1) as u16;
        core.publish(publisher, "t", &payload, 1, id);
        if core.is_paused(publisher) {
            core.advance(Duration::from_millis(101));
        }
        assert!(!core.is_paused(publisher));
        for line in core.take(well) {
            assert!(line.starts_with("PUBLISH"), "{line}");
            delivered += 1;
            core.ack(well, PacketType::Puback, (delivered % 65_535) as u16);
        }
    }
    assert_eq!(delivered, 2_000, "the other subscriber missed nothing");
    let got = core.take(mute);
    assert_eq!(got.len(), 2, "Receive Maximum is 2");
    let stats = core.stats();
    assert!(stats.dropped_queue_full > 1_000, "{stats:?}");
    // What was kept comes, in order, once it acknowledges.
    core.ack(mute, PacketType::Puback, 1);
    assert_eq!(
        core.take(mute),
        ["PUBLISH t (1000 bytes) q1 #3"],
        "one acknowledged, one sent"
    );
}

#[test]
fn an_offline_session_keeps_what_it_may_and_pauses_nobody() {
    let limits = Limits {
        session_messages_max: 100,
        ..Limits::default()
    };
    let mut core = Core::new(1, limits);
    let sub = core.join(0, &Hello::new("sub").kept());
    core.subscribe(sub, "t", 1);
    core.cut(sub);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=150 {
        core.publish(publisher, "t", &format!("m{id}"), 1, id);
        assert!(!core.is_paused(publisher));
    }
    assert_eq!(core.stats().dropped_queue_full, 50);
    let sub = core.connect(0, &Hello::new("sub").kept());
    let got = core.take(sub);
    assert_eq!(got.len(), 101);
    assert_eq!(got[1], "PUBLISH t m1 q1 #1");
    assert_eq!(got[100], "PUBLISH t m100 q1 #100");
}

#[test]
fn retained_messages_beyond_the_outbox_come_as_the_client_reads() {
    let mut core = core(1);
    let publisher = core.join(0, &Hello::new("pub"));
    let payload = "x".repeat(1_000);
    let count = 5 * OUTBOX / 1_000;
    for number in 0..count {
        let topic = format!("r/{number}");
        core.send(
            publisher,
            &retained(publish(Version::V5, &topic, &payload, 1, 1, &[])),
        );
    }
    // Everybody gets them in the same order; one who reads shows which.
    let reader = core.join(0, &Hello::new("reader"));
    core.send(reader, &subscribe(Version::V5, 1, "r/#", 0, &[]));
    let all = core.take(reader);
    assert_eq!(all.len(), 1 + count);
    let last = all[count].split(' ').nth(1).unwrap();

    let before = core.stats().publish_sent;
    let sub = core.join(0, &Hello::new("sub"));
    core.set_room(sub, Some(0));
    core.send(sub, &subscribe(Version::V5, 1, "r/#", 1, &[]));
    let sent = (core.stats().publish_sent - before) as usize;
    assert!(
        sent * 1_000 < 2 * OUTBOX,
        "{sent} encoded for nobody to read"
    );
    // A message that is replaced while the others wait comes once, as it is now.
    core.send(
        publisher,
        &retained(publish(Version::V5, last, "new", 1, 1, &[])),
    );
    core.advance(Duration::from_millis(101));
    core.set_room(sub, None);
    let got = core.take(sub);
    let about_last = format!("PUBLISH {last} ");
    let about_last: Vec<&String> = got.iter().filter(|l| l.starts_with(&about_last)).collect();
    assert_eq!(about_last.len(), 1);
    assert!(about_last[0].starts_with(&format!("PUBLISH {last} new q1")));
    assert_eq!(got.len(), 1 + count);
}

#[test]
fn retained_messages_that_wait_for_one_client_are_bounded() {
    let limits = Limits {
        outbox_bytes_max: OUTBOX,
        replay_messages_max: 5_000,
        ..Limits::default()
    };
    let mut core = Core::new(1, limits);
    let publisher = core.join(0, &Hello::new("pub"));
    for number in 0..1_000 {
        let topic = format!("r/{number}");
        core.send(
            publisher,
            &retained(publish(Version::V5, &topic, "0123456789", 0, 0, &[])),
        );
    }
    let sub = core.join(0, &Hello::new("sub"));
    core.set_room(sub, Some(0));
    for id in 1..=100 {
        core.send(sub, &subscribe(Version::V5, id, "r/#", 0, &[]));
    }
    core.set_room(sub, None);
    let got = core.take(sub);
    let count = |start: &str| got.iter().filter(|line| line.starts_with(start)).count();
    let refused = got.iter().filter(|line| line.contains("[151]")).count();
    assert_eq!(count("SUBACK"), 100);
    assert!((90..=95).contains(&refused), "{refused}");
    assert_eq!(count("PUBLISH"), 1_000 * (100 - refused));
    assert_eq!(core.stats().subscriptions_refused, refused as u64);
    core.send(sub, &subscribe(Version::V5, 1, "r/#", 0, &[]));
    assert_eq!(
        core.take(sub).len(),
        1_001,
        "it has read all: welcome again"
    );
}

#[test]
fn a_client_that_asks_and_never_reads_is_not_answered_for_ever() {
    let mut core = core(1);
    let publisher = core.join(0, &Hello::new("pub"));
    core.send(
        publisher,
        &retained(publish(Version::V5, "r", &"x".repeat(1_000), 0, 0, &[])),
    );
    for question in [
        PINGREQ.to_vec(),
        subscribe(Version::V5, 1, "r", 0, &[]),
        publish(Version::V5, "q", "", 1, 1, &[]),
        publish(Version::V5, "q", "", 2, 1, &[]),
    ] {
        let deaf = core.join(0, &Hello::new("deaf"));
        core.set_room(deaf, Some(0));
        let flood: Vec<u8> = question.repeat(4_000);
        let before = core.stats().bytes_received;
        for _ in 0..(40 * OUTBOX).div_ceil(flood.len()) {
            core.send(deaf, &flood);
        }
        let taken = core.stats().bytes_received - before;
        assert!(
            core.is_paused(deaf) || !core.is_open(deaf),
            "{taken} bytes of {question:02x?} were answered into nowhere"
        );
        if core.is_open(deaf) {
            core.set_room(deaf, None);
            assert!(!core.is_paused(deaf), "it reads again: {question:02x?}");
            assert!(core.is_open(deaf));
        }
        core.cut(deaf);
    }
}
