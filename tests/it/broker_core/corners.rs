//! Rules that meet where few clients ever go: a Session that changes its terms between two
//! connections, messages that nobody's pause holds back, and topics that are not for clients.

use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, again, publish, subscribe};

const OUTBOX: usize = 65_536;

fn core(change: impl FnOnce(&mut Limits)) -> Core {
    let mut limits = Limits::default();
    change(&mut limits);
    Core::new(1, limits)
}

fn expiring(seconds: u32) -> Hello {
    let hello = Hello::new("a").with(PropertyId::SessionExpiryInterval, Value::Four(seconds));
    Hello {
        clean_start: false,
        ..hello
    }
}

#[test]
fn a_session_whose_interval_became_shorter_ends_sooner() {
    let mut core = core(|_| {});
    let first = core.connect(0, &expiring(100_000));
    core.cut(first);
    let second = core.connect(0, &expiring(5));
    core.cut(second);
    core.advance_secs(6.0);
    assert_eq!(core.workers[0].sessions(), 0);
}

#[test]
fn sessions_that_ended_leave_nothing_to_wake_up_for() {
    let mut core = core(|_| {});
    for _ in 0..3 {
        let hello = expiring(100_000)
            .will("w", "gone", 0, false)
            .will_with(PropertyId::WillDelayInterval, Value::Four(50_000));
        let link = core.connect(0, &hello);
        core.cut(link);
        let link = core.join(0, &Hello::new("a"));
        core.cut(link);
    }
    core.advance_secs(60.0);
    assert_eq!(core.workers[0].next_deadline(), None);
}

#[test]
fn a_will_whose_delay_became_shorter_is_sent_sooner() {
    let mut core = core(|_| {});
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "w", 0);
    for delay in [100_000, 5] {
        let hello = expiring(u32::MAX)
            .will("w", "gone", 0, false)
            .will_with(PropertyId::WillDelayInterval, Value::Four(delay));
        let link = core.connect(0, &hello);
        core.cut(link);
    }
    core.advance_secs(6.0);
    assert_eq!(core.take(watcher), ["PUBLISH w gone q0"]);
    core.advance_secs(200_000.0);
    assert_eq!(core.take(watcher), [""; 0]);
}

#[test]
fn a_message_too_large_for_the_client_that_came_back_holds_no_quota() {
    for qos in [1, 2] {
        let mut core = core(|_| {});
        let hello = Hello::new("sub")
            .kept()
            .with(PropertyId::ReceiveMaximum, Value::Two(1));
        let sub = core.join(0, &hello);
        core.subscribe(sub, "t", qos);
        let publisher = core.join(0, &Hello::new("pub"));
        core.publish(publisher, "t", &"x".repeat(100), qos, 1);
        core.publish(publisher, "t", "fits", qos, 2);
        assert_eq!(core.take(sub).len(), 1);
        core.cut(sub);
        let small = hello.with(PropertyId::MaximumPacketSize, Value::Four(60));
        let sub = core.connect(0, &small);
        let got = core.take(sub);
        assert_eq!(got[1..], [format!("PUBLISH t fits q{qos} #2")]);
        assert_eq!(core.stats().dropped_too_large, 1);
    }
}

#[test]
fn a_message_refused_for_receive_maximum_is_delivered_when_it_comes_again() {
    let mut core = core(|limits| limits.receive_max = 1);
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "t", 0);
    let hello = Hello::new("pub").kept();
    let publisher = core.connect(0, &hello);
    core.publish(publisher, "t", "one", 2, 1);
    core.publish(publisher, "t", "two", 2, 2);
    assert!(!core.is_open(publisher));
    assert_eq!(core.take(watcher), ["PUBLISH t one q0"]);
    let publisher = core.connect(0, &hello);
    core.ack(publisher, PacketType::Pubrel, 1);
    core.send(
        publisher,
        &again(publish(Version::V5, "t", "two", 2, 2, &[])),
    );
    assert_eq!(core.take(watcher), ["PUBLISH t two q0"]);
}

#[test]
fn only_the_broker_writes_below_sys_however_it_is_tried() {
    let mut core = core(|_| {});
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "$SYS/#", 0);
    let liar = core.join(0, &Hello::new("liar").will("$SYS/x", "will", 0, true));
    for _ in 0..3 {
        core.publish(liar, "$SYS/x", "lie", 0, 0);
    }
    core.publish(liar, "$SYS/x", "lie", 1, 1);
    core.cut(liar);
    assert_eq!(core.take(watcher), [""; 0]);
    assert_eq!(core.stats().dropped_denied, 5);
    assert_eq!(core.workers[0].retained(), (0, 0));
}

#[test]
fn a_subscription_that_is_there_may_change_when_there_is_no_room_for_more() {
    for (own, total) in [(2, 100), (100, 2)] {
        let mut core = core(|limits| {
            limits.subscriptions_max = own;
            limits.subscriptions_total_max = total;
        });
        let link = core.join(0, &Hello::new("a"));
        let mut ask = |id, filter: &str, qos| {
            core.send(link, &subscribe(Version::V5, id, filter, qos, &[]));
            core.take(link).remove(0)
        };
        assert_eq!(ask(1, "a", 0), "SUBACK #1 [0]");
        assert_eq!(ask(2, "$share/g/a", 0), "SUBACK #2 [0]");
        assert_eq!(ask(3, "a", 1), "SUBACK #3 [1]");
        assert_eq!(ask(4, "$share/g/a", 2), "SUBACK #4 [2]");
        for (id, filter) in [(5, "b"), (6, "$share/h/a"), (7, "$share/g/b"), (8, "a/b")] {
            assert_eq!(ask(id, filter, 1), format!("SUBACK #{id} [151]"));
        }
    }
}

/// Bytes a client finds that reads nothing until all is over.
fn found(core: &mut Core, link: usize) -> usize {
    core.set_room(link, None);
    core.take_frames(link).iter().map(Vec::len).sum()
}

#[test]
fn a_share_whose_member_does_not_read_costs_a_moment_and_bounded_memory() {
    for workers in [1, 2] {
        let limits = Limits {
            outbox_bytes_max: OUTBOX,
            ..Limits::default()
        };
        let mut core = Core::new(workers, limits);
        let deaf = core.join(0, &Hello::new("deaf"));
        core.subscribe(deaf, "$share/g/t", 0);
        core.set_room(deaf, Some(0));
        let publisher = core.join(usize::from(workers) - 1, &Hello::new("pub"));
        let payload = "x".repeat(1_000);
        for _ in 0..1_000 {
            core.publish(publisher, "t", &payload, 0, 0);
            core.advance(Duration::from_millis(1));
        }
        core.advance(Duration::from_millis(200));
        assert!(!core.is_paused(publisher));
        assert_eq!(core.stats().pauses_expired, 1);
        assert!(core.stats().dropped_slow > 500);
        let bytes = found(&mut core, deaf);
        assert!(bytes < 4 * OUTBOX, "{bytes}");
        core.publish(publisher, "t", "well again", 0, 0);
        assert_eq!(core.take(deaf), ["PUBLISH t well again q0"]);
    }
}

#[test]
fn wills_for_a_client_that_does_not_read_are_bounded() {
    let mut core = core(|limits| {
        limits.outbox_bytes_max = OUTBOX;
        limits.session_bytes_max = 2 * OUTBOX;
    });
    let deaf = core.join(0, &Hello::new("deaf"));
    core.subscribe(deaf, "w", 0);
    core.set_room(deaf, Some(0));
    let will = "x".repeat(10_000);
    for _ in 0..100 {
        let link = core.join(0, &Hello::new("a").will("w", &will, 0, false));
        core.cut(link);
    }
    let bytes = found(&mut core, deaf);
    assert!((OUTBOX..4 * OUTBOX).contains(&bytes), "{bytes}");
    assert!(core.stats().dropped_queue_full > 50);
    let link = core.join(0, &Hello::new("a").will("w", "later", 0, false));
    core.cut(link);
    assert_eq!(core.take(deaf), ["PUBLISH w later q0"]);
}

#[test]
fn a_queue_that_expires_as_a_whole_leaves_nobody_pressed() {
    let mut core = core(|limits| limits.outbox_bytes_max = OUTBOX);
    let hello = Hello::new("sub").with(PropertyId::ReceiveMaximum, Value::Two(1));
    let sub = core.join(0, &hello);
    core.subscribe(sub, "t", 1);
    let publisher = core.join(0, &Hello::new("pub"));
    let expiry = (PropertyId::MessageExpiryInterval, Value::Four(1));
    let payload = "x".repeat(1_000);
    for id in 1..=200 {
        let message = publish(Version::V5, "t", &payload, 1, id, &[expiry]);
        core.send(publisher, &message);
    }
    core.advance_secs(2.0);
    core.ack(sub, PacketType::Puback, 1);
    core.take(sub);
    core.publish(publisher, "t", "fresh", 0, 0);
    assert!(!core.is_paused(publisher));
    assert_eq!(core.take(sub), ["PUBLISH t fresh q0"]);
}

#[test]
fn a_publisher_that_is_not_read_from_is_not_taken_for_silent() {
    let mut core = core(|limits| {
        limits.outbox_bytes_max = OUTBOX;
        limits.pause_max_ms = 60_000;
    });
    let deaf = core.join(0, &Hello::new("deaf"));
    core.subscribe(deaf, "t", 0);
    core.set_room(deaf, Some(0));
    let publisher = core.join(0, &Hello::new("pub").keep_alive(2));
    core.publish(publisher, "t", &"x".repeat(2 * OUTBOX), 0, 0);
    core.publish(publisher, "t", "waits", 0, 0);
    assert!(core.is_paused(publisher));
    core.advance_secs(30.0);
    assert!(core.is_open(publisher));
    core.set_room(deaf, None);
    assert_eq!(core.take(deaf).len(), 2);
    core.advance_secs(4.0);
    assert!(!core.is_open(publisher), "now it is silent");
}

#[test]
fn a_second_connect_of_another_protocol_is_told_in_words_of_disconnect() {
    let mut core = core(|_| {});
    let client = core.join(0, &Hello::new("twice"));
    core.send(client, b"\x10\x0c\0\x04HTTP\x05\x02\0\0\0\0");
    assert_eq!(core.take(client), ["DISCONNECT 0x82"]);
}
