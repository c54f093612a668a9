//! The choices of a `Profile`, and the limits that only mosquitto's directives set.

use mqttx::broker::limits::Limits;
use mqttx::broker::profile::Profile;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, publish, retained, subscribe};

fn core(change: impl FnOnce(&mut Limits, &mut Profile)) -> Core {
    let (mut limits, mut profile) = (Limits::default(), Profile::STANDARD);
    change(&mut limits, &mut profile);
    let mut core = Core::new(1, limits.clone());
    core.workers[0].set_limits(limits, profile);
    core
}

/// The payloads of what a client got.
fn payloads(lines: &[String]) -> Vec<&str> {
    let lines = lines.iter().filter(|line| line.starts_with("PUBLISH"));
    lines.filter_map(|line| line.split(' ').nth(2)).collect()
}

#[test]
fn messages_of_qos_0_wait_for_a_client_that_is_away_where_that_is_chosen() {
    for queued in [false, true] {
        let mut core = core(|_, profile| profile.qos0_queued = queued);
        let hello = Hello::new("sub").kept();
        let sub = core.join(0, &hello);
        core.subscribe(sub, "t", 1);
        core.cut(sub);
        let publisher = core.join(0, &Hello::new("pub"));
        for payload in ["a", "b", "c"] {
            core.publish(publisher, "t", payload, 0, 0);
        }
        core.publish(publisher, "t", "d", 1, 1);
        let sub = core.connect(0, &hello);
        let got = core.take(sub);
        let expected: &[&str] = if queued {
            &["a", "b", "c", "d"]
        } else {
            &["d"]
        };
        assert_eq!(payloads(&got), expected);
        assert_eq!(core.stats().dropped_offline, if queued { 0 } else { 3 });
    }
}

#[test]
fn the_subscriptions_qos_may_raise_that_of_a_message() {
    let mut core = core(|_, profile| profile.qos_raised = true);
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 2);
    let plain = core.join(0, &Hello::new("plain"));
    core.subscribe(plain, "t", 0);
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "a", 0, 0);
    core.publish(publisher, "t", "b", 1, 1);
    assert_eq!(core.take(sub), ["PUBLISH t a q2 #1", "PUBLISH t b q2 #2"]);
    assert_eq!(core.take(plain), ["PUBLISH t a q0", "PUBLISH t b q0"]);
}

#[test]
fn without_retained_messages_who_sends_one_has_to_go() {
    let mut core = core(|_, profile| profile.retain_available = false);
    let publisher = core.connect(0, &Hello::new("pub"));
    let connack = core.take(publisher);
    assert!(
        connack[0].contains("retain-available=Byte(0)"),
        "{connack:?}"
    );
    let bytes = retained(publish(Version::V5, "t", "x", 0, 0, &[]));
    core.send(publisher, &bytes);
    let answer = core.take(publisher);
    assert!(answer[0].starts_with("DISCONNECT 0x9a"), "{answer:?}");
    assert!(!core.is_open(publisher));
    let willing = core.connect(0, &Hello::new("will").will("w", "x", 0, true));
    let connack = core.take(willing);
    assert!(connack[0].contains("Retain not supported"), "{connack:?}");
    let unretained = core.connect(0, &Hello::new("will").will("w", "x", 0, false));
    assert!(core.is_open(unretained));
}

#[test]
fn a_keep_alive_that_is_too_long_refuses_clients_that_cannot_be_told() {
    let mut core = core(|limits, profile| {
        limits.keep_alive_max = 100;
        profile.v3_keep_alive_refused = true;
    });
    for (seconds, taken) in [(100, true), (101, false), (0, false)] {
        let hello = Hello::new("a").version(Version::V311).keep_alive(seconds);
        let link = core.connect(0, &hello);
        assert_eq!(core.is_open(link), taken, "{seconds}");
        let connack = core.take(link);
        assert_eq!(connack[0].contains("code 2"), !taken, "{connack:?}");
        let hello = Hello::new("b").keep_alive(seconds);
        let link = core.connect(0, &hello);
        assert!(core.is_open(link));
        let connack = core.take(link);
        assert_eq!(
            connack[0].contains("server-keep-alive=Two(100)"),
            seconds != 100,
            "{connack:?}"
        );
    }
}

#[test]
fn a_session_may_end_sooner_without_a_word_about_it() {
    for told in [true, false] {
        let mut core = core(|limits, profile| {
            limits.session_expiry_max = 60;
            profile.session_expiry_told = told;
        });
        let hello = Hello::new("a").kept();
        let link = core.connect(0, &hello);
        let connack = core.take(link);
        assert_eq!(
            connack[0].contains("session-expiry-interval=Four(60)"),
            told,
            "{connack:?}"
        );
        core.cut(link);
        core.advance_secs(61.0);
        assert_eq!(core.workers[0].sessions(), 0);
    }
}

#[test]
fn a_payload_that_is_too_large_is_acknowledged_and_goes_nowhere() {
    let mut core = core(|limits, _| limits.payload_size_max = 10);
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "t", 2);
    let publisher = core.join(0, &Hello::new("pub"));
    for qos in 0..3 {
        core.publish(publisher, "t", "elevenbytes", qos, 1 + u16::from(qos));
        core.publish(publisher, "t", "ten__bytes", qos, 11 + u16::from(qos));
    }
    assert_eq!(payloads(&core.take(sub)), ["ten__bytes"; 3]);
    let got = core.take(publisher);
    let refused: Vec<&String> = got.iter().filter(|line| line.contains("0x97")).collect();
    assert_eq!(refused.len(), 2, "{got:?}");
    assert!(core.is_open(publisher));
    assert_eq!(core.stats().dropped_payload, 3);
}

#[test]
fn bytes_in_flight_are_bounded_and_what_waits_goes_on() {
    for kept in [false, true] {
        let mut core = core(|limits, _| limits.inflight_bytes_max = 10);
        let hello = Hello::new("sub");
        let sub = core.join(0, &if kept { hello.kept() } else { hello });
        core.subscribe(sub, "t", 2);
        let publisher = core.join(0, &Hello::new("pub"));
        for (id, payload) in (1..).zip(["123456", "7890", "12345678901", "x", "y"]) {
            core.publish(publisher, "t", payload, 1, id);
        }
        assert_eq!(payloads(&core.take(sub)), ["123456", "7890"]);
        core.ack(sub, PacketType::Puback, 1);
        assert_eq!(payloads(&core.take(sub)), ["12345678901"]);
        core.ack(sub, PacketType::Puback, 2);
        assert_eq!(payloads(&core.take(sub)), [""; 0]);
        core.ack(sub, PacketType::Puback, 3);
        assert_eq!(payloads(&core.take(sub)), ["x", "y"]);
    }
}

#[test]
fn a_retained_message_is_too_old_after_a_while() {
    let mut core = core(|limits, _| limits.retained_expiry_s = 60);
    let publisher = core.join(0, &Hello::new("pub"));
    core.send(
        publisher,
        &retained(publish(Version::V5, "t", "x", 0, 0, &[])),
    );
    core.advance_secs(59.0);
    let early = core.join(0, &Hello::new("early"));
    core.send(early, &subscribe(Version::V5, 1, "t", 0, &[]));
    assert_eq!(payloads(&core.take(early)), ["x"]);
    core.advance_secs(2.0);
    let late = core.join(0, &Hello::new("late"));
    core.send(late, &subscribe(Version::V5, 1, "t", 0, &[]));
    assert_eq!(payloads(&core.take(late)), [""; 0]);
    core.send(
        publisher,
        &retained(publish(Version::V5, "t", "y", 0, 0, &[])),
    );
    let again = core.join(0, &Hello::new("again"));
    core.send(again, &subscribe(Version::V5, 1, "t", 0, &[]));
    assert_eq!(payloads(&core.take(again)), ["y"]);
}

#[test]
fn expired_retained_messages_take_no_room() {
    let expiring = |topic: &str, seconds| {
        let expiry = (PropertyId::MessageExpiryInterval, Value::Four(seconds));
        retained(publish(Version::V5, topic, "x", 0, 0, &[expiry]))
    };
    let mut core = core(|_, _| {});
    let publisher = core.join(0, &Hello::new("pub"));
    for n in 0..2_500 {
        core.send(publisher, &expiring(&format!("t/{n}"), 10));
    }
    // One that is replaced lives as long as its successor, or for ever.
    core.send(publisher, &expiring("t/0", 100));
    core.send(
        publisher,
        &retained(publish(Version::V5, "t/1", "x", 0, 0, &[])),
    );
    core.send(publisher, &expiring("t/2", 5));
    assert_eq!(core.workers[0].retained().0, 2_500);
    core.advance_secs(6.0);
    assert_eq!(core.workers[0].retained().0, 2_499);
    core.advance_secs(5.0);
    assert_eq!(core.workers[0].retained().0, 2);
    assert_eq!(core.stats().retained_expired, 2_498);
    core.advance_secs(100.0);
    assert_eq!(core.workers[0].retained().0, 1);
    core.send(
        publisher,
        &retained(publish(Version::V5, "t/1", "", 0, 0, &[])),
    );
    assert_eq!(core.workers[0].retained(), (0, 0));
}

#[test]
fn what_expired_is_gone_after_a_restart_too() {
    let mut core = Core::kept(2, Limits::default());
    let publisher = core.join(1, &Hello::new("pub"));
    for (topic, seconds) in [("a", 10), ("b", 30)] {
        let expiry = (PropertyId::MessageExpiryInterval, Value::Four(seconds));
        let packet = publish(Version::V5, topic, "x", 0, 0, &[expiry]);
        core.send(publisher, &retained(packet));
    }
    core.advance_secs(5.0);
    core.restart(2);
    assert_eq!(core.workers[0].retained().0, 2);
    core.advance_secs(6.0);
    assert_eq!(core.workers[0].retained().0, 1);
    core.restart(1);
    assert_eq!(core.workers[0].retained().0, 1);
    core.advance_secs(20.0);
    assert_eq!(core.workers[0].retained().0, 0);
}

#[test]
fn version_3_may_get_one_copy_where_version_5_gets_each() {
    let mut core = core(|_, profile| {
        *profile = Profile::MOSQUITTO;
        profile.v3_once = true;
    });
    let old = core.join(0, &Hello::new("old").version(Version::V311));
    let new = core.join(0, &Hello::new("new"));
    for filter in ["t", "+", "#"] {
        core.subscribe(old, filter, 1);
        core.subscribe(new, filter, 1);
    }
    let publisher = core.join(0, &Hello::new("pub"));
    core.publish(publisher, "t", "x", 1, 1);
    assert_eq!(core.take(old), ["PUBLISH t x q1 #1"]);
    assert_eq!(core.take(new).len(), 3);
}

#[test]
fn reasons_may_be_numbers_only() {
    for in_words in [true, false] {
        let mut core = core(|_, profile| profile.reasons_in_words = in_words);
        let link = core.connect(0, &Hello::new("a"));
        core.take(link);
        // An answer that only servers give.
        core.send(link, &[0xd0, 0]);
        let answer = core.take_frames(link);
        let words = answer[0].len() > 10;
        assert_eq!((answer[0][0], words), (0xe0, in_words), "{answer:?}");
        let hello = Hello::new("")
            .version(Version::V5)
            .with(PropertyId::ReceiveMaximum, Value::Two(0));
        let link = core.connect(0, &hello);
        let answer = core.take_frames(link);
        let words = answer[0].len() > 10;
        assert_eq!((answer[0][0], words), (0x20, in_words), "{answer:?}");
    }
}
