//! What one client may publish a second: exactly that, at each QoS, without a loss, and without
//! harm to its Keep Alive or to others.

use std::time::Duration;

use mqttx::broker::What;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::Version;

use crate::support::core::{Core, LinkId};
use crate::support::packets::{Hello, publish};

fn core(messages: u32, bytes: u64) -> Core {
    let limits = Limits {
        message_rate_max: messages,
        byte_rate_max: bytes,
        ..Limits::default()
    };
    Core::new(1, limits)
}

fn flood(core: &mut Core, link: LinkId, count: u16, qos: u8) {
    let mut bytes = Vec::new();
    for id in 1..=count {
        bytes.extend(publish(Version::V5, "a", "x", qos, id, &[]));
    }
    core.send(link, &bytes);
}

fn came(core: &mut Core, link: LinkId) -> usize {
    let lines = core.take(link);
    let messages = lines.iter().filter(|line| line.starts_with("PUBLISH"));
    messages.count()
}

#[test]
fn a_second_brings_as_many_messages_as_it_may_and_none_is_lost() {
    for qos in [0, 1, 2] {
        let mut core = core(10, 0);
        let watcher = core.join(0, &Hello::new("w"));
        core.subscribe(watcher, "a", 0);
        let eager = core.join(0, &Hello::new("e"));
        flood(&mut core, eager, 35, qos);
        assert_eq!(came(&mut core, watcher), 10, "at once");
        for second in 1..=2 {
            core.advance_secs(1.0);
            assert_eq!(came(&mut core, watcher), 10, "second {second}, QoS {qos}");
        }
        core.advance_secs(5.0);
        assert_eq!(came(&mut core, watcher), 5, "QoS {qos}");
        let acks = core.take(eager).len();
        assert_eq!(acks, if qos == 0 { 0 } else { 35 });
        assert!(core.stats().rate_pauses > 0);
        let told = core.events.iter();
        let told = told.filter(|event| matches!(event.what, What::HeldBack));
        assert_eq!(told.count(), 1, "once a minute");
    }
}

#[test]
fn bytes_count_too_and_a_packet_above_a_second_passes_late() {
    let mut core = core(0, 1_000);
    let watcher = core.join(0, &Hello::new("w"));
    core.subscribe(watcher, "a", 0);
    let eager = core.join(0, &Hello::new("e"));
    let large = publish(Version::V5, "a", &"x".repeat(5_000), 0, 0, &[]);
    core.send(eager, &large);
    core.send(eager, &publish(Version::V5, "a", "small", 0, 0, &[]));
    assert_eq!(came(&mut core, watcher), 1);
    core.advance_secs(3.9);
    assert_eq!(came(&mut core, watcher), 0);
    core.advance_secs(0.2);
    assert_eq!(came(&mut core, watcher), 1);
}

#[test]
fn who_is_held_back_is_not_silent_and_others_are_not_held_back() {
    let mut core = core(1, 0);
    let watcher = core.join(0, &Hello::new("w"));
    core.subscribe(watcher, "a", 0);
    let eager = core.join(0, &Hello::new("e").keep_alive(2));
    let calm = core.join(0, &Hello::new("c"));
    flood(&mut core, eager, 20, 0);
    for _ in 0..10 {
        core.publish(calm, "a", "x", 0, 0);
        core.advance(Duration::from_secs(1));
        assert!(core.is_open(eager));
    }
    // One of each at once, then one of each a second.
    assert_eq!(came(&mut core, watcher), 11 + 10);
    // It goes silent after its last message, and then its Keep Alive counts.
    core.advance_secs(20.0);
    assert!(!core.is_open(eager));
    assert_eq!(came(&mut core, watcher), 9);
}

#[test]
fn new_limits_hold_for_those_who_are_there() {
    let mut core = core(0, 0);
    let watcher = core.join(0, &Hello::new("w"));
    core.subscribe(watcher, "a", 0);
    let eager = core.join(0, &Hello::new("e"));
    flood(&mut core, eager, 100, 0);
    assert_eq!(came(&mut core, watcher), 100);
    let profile = mqttx::broker::profile::Profile::STANDARD;
    let set = |core: &mut Core, messages| {
        let limits = Limits {
            message_rate_max: messages,
            ..Limits::default()
        };
        core.workers[0].set_limits(limits, profile);
    };
    set(&mut core, 5);
    flood(&mut core, eager, 100, 0);
    assert_eq!(came(&mut core, watcher), 5);
    set(&mut core, 0);
    core.advance_secs(0.5);
    assert_eq!(came(&mut core, watcher), 95);
}
