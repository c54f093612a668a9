//! `mqttx bench` against brokers that do wrong on purpose: each fault is found, counted exactly,
//! and told by the exit status; none of them makes it hang.

use std::time::{Duration, Instant};

use mqttx::mqtt::{PacketType, Version};
use serde_json::Value;

use crate::commands_bench::{counts, measured};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

/// One publisher, one subscriber, few messages: what the scripts below are made for.
const WORDS: &str = "-V 311 --pubs 1 --rate 200 --duration 300ms --warmup 0s --runs 1 --json -";

/// Answers SUBSCRIBE with what it asks for.
pub(crate) fn grant(subscriber: &mut Peer) {
    let subscribe = subscriber.expect(PacketType::Subscribe);
    let qos = subscribe[subscribe.len() - 1];
    subscriber.send(&[0x90, 3, subscribe[2], subscribe[3], qos]);
}

/// Answers a PUBLISH of QoS 1.
pub(crate) fn acknowledge(publisher: &mut Peer, publish: &[u8]) {
    let at = 4 + usize::from(u16::from_be_bytes([publish[2], publish[3]]));
    publisher.send_if_there(&[0x40, 2, publish[at], publish[at + 1]]);
}

/// Publisher and subscriber, welcomed and told apart by their Client Identifiers.
fn welcome(broker: &mut ScriptedBroker) -> (Peer, Peer) {
    let mut peers = [(); 2].map(|()| {
        let mut peer = broker.accept_raw();
        let connect = peer.expect(PacketType::Connect);
        peer.send(&[0x20, 2, 0, 0]);
        (connect.windows(3).any(|part| part == b"-s0"), peer)
    });
    peers.sort_by_key(|(subscribes, _)| *subscribes);
    let [(_, publisher), (_, mut subscriber)] = peers;
    grant(&mut subscriber);
    (publisher, subscriber)
}

/// A broker that hands each PUBLISH to `deliver`, which forwards it as it likes: false ends all.
fn faulty(mut deliver: impl FnMut(usize, Vec<u8>, &mut Peer) -> bool + Send + 'static) -> Script {
    ScriptedBroker::start(Version::V311, move |broker| {
        let (mut publisher, mut subscriber) = welcome(broker);
        let mut number = 0;
        while let Some(frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            if frame[0] & 0b0110 == 0b0010 {
                acknowledge(&mut publisher, &frame);
            }
            if !deliver(number, frame, &mut subscriber) {
                return;
            }
            number += 1;
        }
    })
}

/// What the one result counted.
#[test]
fn a_broker_that_does_well_is_not_accused() {
    let script = faulty(|_, frame, subscriber| {
        subscriber.send_if_there(&frame);
        true
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(counts(&report, "sent"), 61);
    assert_eq!(counts(&report, "unique"), 61);
}

#[test]
fn dropped_messages_are_lost_ones() {
    for (qos, status) in [(0, 0), (1, 81)] {
        let script = faulty(|number, frame, subscriber| {
            if number % 10 != 5 {
                subscriber.send_if_there(&frame);
            }
            true
        });
        let (output, report) = measured(script.port, &format!("{WORDS} -q {qos}"));
        script.join();
        assert_eq!(counts(&report, "lost"), 6, "{report}");
        assert_eq!(counts(&report, "reordered"), 0);
        let doubts = report["doubts"].to_string();
        assert!(!doubts.contains("may only be late"), "{report}");
        // QoS 0 promises nothing.
        assert_eq!(output.status.code(), Some(status));
    }
}

/// Whoever does not wait cannot know.
#[test]
fn what_nobody_waited_for_may_only_be_late() {
    let script = faulty(|number, frame, subscriber| {
        if number < 60 {
            subscriber.send_if_there(&frame);
        }
        true
    });
    let (_, report) = measured(script.port, &format!("{WORDS} -q 0 --drain 0s"));
    script.join();
    assert!(counts(&report, "lost") >= 1, "{report}");
    assert!(
        report["doubts"].to_string().contains("may only be late"),
        "{report}"
    );
}

#[test]
fn messages_delivered_twice_are_duplicates() {
    let script = faulty(|number, frame, subscriber| {
        subscriber.send_if_there(&frame);
        if number % 20 == 7 {
            subscriber.send_if_there(&frame);
        }
        true
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(counts(&report, "duplicates"), 3, "{report}");
    assert_eq!(counts(&report, "lost"), 0);
    assert_eq!(output.status.code(), Some(81));
}

#[test]
fn overtaken_messages_are_out_of_order() {
    let mut held = None;
    let script = faulty(move |number, frame, subscriber| {
        if number == 10 {
            held = Some(frame);
            return true;
        }
        subscriber.send_if_there(&frame);
        if let Some(late) = held.take() {
            subscriber.send_if_there(&late);
        }
        true
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(counts(&report, "reordered"), 1, "{report}");
    assert_eq!(counts(&report, "lost"), 0);
    assert_eq!(counts(&report, "duplicates"), 0);
    assert_eq!(output.status.code(), Some(81));
}

#[test]
fn a_changed_byte_is_corruption_wherever_it_is() {
    // The last byte lies in the filler, byte 64 from behind in the head, byte 44 in the time at which it
    // was handed over.
    for from_behind in [1, 64, 44] {
        let script = faulty(move |number, mut frame, subscriber| {
            if number == 10 {
                let at = frame.len() - from_behind;
                frame[at] ^= 0x20;
            }
            subscriber.send_if_there(&frame);
            true
        });
        let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
        script.join();
        assert_eq!(counts(&report, "corrupt"), 1, "{report}");
        assert_eq!(output.status.code(), Some(81));
    }
}

#[test]
fn a_broker_that_dies_in_the_middle_leaves_no_figures() {
    let script = faulty(|number, frame, subscriber| {
        subscriber.send_if_there(&frame);
        number < 20
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(7), "{report}");
    let result = &report["results"][0];
    assert_eq!(result["rate"]["received"], Value::Null);
    assert_eq!(report["ok"], false);
    assert!(
        report["trouble"].as_str().unwrap().contains("lost"),
        "{report}"
    );
}

#[test]
fn a_refused_connection_is_its_exit_status() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.send(&[0x20, 2, 0, 5]);
        let _ = peer.next_frame();
    });
    let (output, _) = measured(script.port, "-V 311 pub --pubs 1 --max --json -");
    script.join();
    assert_eq!(output.status.code(), Some(5));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("not authorised"), "{told}");
}

#[test]
fn a_refused_subscription_is_no_measurement() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peers = [(); 2].map(|()| broker.accept());
        for peer in &mut peers {
            // The publisher says nothing until everybody is ready, and then good-bye.
            if let Some(frame) = peer.next_frame()
                && PacketType::from_first(frame[0]) == Some(PacketType::Subscribe)
            {
                peer.send(&[0x90, 3, frame[2], frame[3], 0x80]);
            }
        }
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    assert_eq!(output.status.code(), Some(128), "{report}");
    drop(script);
}

#[test]
fn a_broker_that_delivers_nothing_is_told_so_before_the_load() {
    let script = faulty(|_, _, _| true);
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(81), "{report}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("does not deliver"), "{told}");
}

/// As [`faulty`], with version 5: `answer` is the Reason Code of each PUBACK, none for silence.
fn answering(
    answer: impl Fn(usize) -> Option<u8> + Send + 'static,
    mut deliver: impl FnMut(usize, Vec<u8>, &mut Peer) + Send + 'static,
) -> Script {
    ScriptedBroker::start(Version::V5, move |broker| {
        let mut peers = [(); 2].map(|()| {
            let mut peer = broker.accept_raw();
            let connect = peer.expect(PacketType::Connect);
            peer.send(&[0x20, 3, 0, 0, 0]);
            (connect.windows(3).any(|part| part == b"-s0"), peer)
        });
        peers.sort_by_key(|(subscribes, _)| *subscribes);
        let [(_, mut publisher), (_, mut subscriber)] = peers;
        let subscribe = subscriber.expect(PacketType::Subscribe);
        subscriber.send(&[0x90, 4, subscribe[2], subscribe[3], 0, 1]);
        let mut number = 0;
        while let Some(frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            let at = 4 + usize::from(u16::from_be_bytes([frame[2], frame[3]]));
            let reason = answer(number);
            if let Some(reason) = reason {
                publisher.send_if_there(&[0x40, 3, frame[at], frame[at + 1], reason]);
            }
            if reason.is_none_or(|reason| reason < 0x80) {
                deliver(number, frame, &mut subscriber);
            }
            number += 1;
        }
    })
}

const WORDS_5: &str =
    "-q 1 --pubs 1 --rate 200 --duration 300ms --warmup 0s --runs 1 --progress none";

#[test]
fn messages_that_are_refused_are_told_with_their_reason() {
    let script = |reason: u8| {
        let refused = move |number: usize| Some(if number % 10 == 5 { reason } else { 0 });
        answering(refused, |_, frame, subscriber| {
            subscriber.send_if_there(&frame);
        })
    };
    for (reason, name) in [(0x97, "quota exceeded (151)"), (0x80, "(128)")] {
        let broker = script(reason);
        let (output, report) = measured(broker.port, &format!("{WORDS_5} --json -"));
        broker.join();
        assert_eq!(output.status.code(), Some(i32::from(reason)), "{report}");
        let counted = &report["results"][0]["counts"];
        assert_eq!(counted["refused"][reason.to_string()], 6, "{report}");
        assert_eq!(counts(&report, "sent"), 61);
        assert_eq!(counts(&report, "unique"), 55);
        assert_eq!(counts(&report, "lost"), 0);
        let told = report["faults"][0].as_str().unwrap();
        assert!(told.contains("6 messages refused"), "{told}");
        assert!(told.contains(name), "{told}");
    }
    for (threshold, status) in [("refused<=6", 0), ("refused=0", 99), ("errors<6", 99)] {
        let broker = script(0x97);
        let words = format!("{WORDS_5} --json - --threshold {threshold}");
        let (output, report) = measured(broker.port, &words);
        broker.join();
        assert_eq!(output.status.code(), Some(status), "{threshold}: {report}");
    }
}

#[test]
fn redelivered_messages_are_marked_duplicates_and_not_lost_ones() {
    let script = answering(
        |_| Some(0),
        |number, mut frame, subscriber| {
            subscriber.send_if_there(&frame);
            if number % 20 == 7 {
                frame[0] |= 0x08;
                subscriber.send_if_there(&frame);
            }
        },
    );
    let (output, report) = measured(script.port, &format!("{WORDS_5} --json -"));
    script.join();
    assert_eq!(counts(&report, "duplicates"), 3, "{report}");
    assert_eq!(counts(&report, "dup_flag"), 3);
    assert_eq!(counts(&report, "lost"), 0);
    assert_eq!(counts(&report, "reordered"), 0);
    // QoS 1 allows them.
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_broker_that_never_acknowledges_is_found_out() {
    for (inflight, sent) in [(64, 61), (8, 8)] {
        let script = answering(
            |_| None,
            |_, frame, subscriber| subscriber.send_if_there(&frame),
        );
        let words = format!("{WORDS_5} --inflight {inflight} --drain 1s --json -");
        let (output, report) = measured(script.port, &words);
        script.join();
        assert_eq!(output.status.code(), Some(81), "{report}");
        assert_eq!(counts(&report, "sent"), sent);
        assert_eq!(counts(&report, "acked"), 0);
        assert_eq!(counts(&report, "unsent"), 61 - sent, "{report}");
        assert_eq!(counts(&report, "lost"), 0);
        let told = report["faults"][0].as_str().unwrap();
        assert!(told.contains("never acknowledged"), "{told}");
    }
}

#[test]
fn a_subscriber_that_is_cut_off_leaves_no_figures() {
    let script = faulty(|number, frame, subscriber| {
        if number == 20 {
            subscriber.close_writing();
        } else {
            subscriber.send_if_there(&frame);
        }
        true
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(7), "{report}");
    assert_eq!(report["results"][0]["rate"]["received"], Value::Null);
    assert_eq!(counts(&report, "disconnects"), 1);
}

#[test]
fn connections_refused_part_way_end_with_the_reason() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peers = Vec::new();
        for number in 0..4 {
            let mut peer = broker.accept_raw();
            peer.expect(PacketType::Connect);
            let code = if number < 2 { 0 } else { 3 };
            peer.send_if_there(&[0x20, 2, 0, code]);
            peers.push(peer);
        }
        for peer in &mut peers {
            while peer.read_or_reset().is_some() {}
        }
    });
    let words = "-V 311 conn --subs 4 --duration 300ms --warmup 0s --runs 1 --json -";
    let (output, report) = measured(script.port, words);
    script.join();
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert_eq!(report["results"][0]["connects_per_s"], Value::Null);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("unavailable"), "{told}");
}

#[test]
fn connections_that_fail_among_many_are_counted() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for number in 0..30 {
            let mut peer = broker.accept_raw();
            peer.expect(PacketType::Connect);
            let code = if number % 3 == 2 { 3 } else { 0 };
            peer.send_if_there(&[0x20, 2, 0, code]);
            // Who is let in says good-bye, and is hung up on.
            let _ = peer.next_frame();
        }
        // Whoever comes after this finds nobody.
    });
    let words = "-V 311 churn --pubs 1 --duration 3s --warmup 0s --runs 1 --json -";
    let (output, report) = measured(script.port, words);
    script.join();
    assert_eq!(counts(&report, "connects"), 20, "{report}");
    assert!(counts(&report, "connect_errors") > 10, "{report}");
    assert_eq!(output.status.code(), Some(7));
}

/// Some brokers grant no more than QoS 0, and say so: what came then was never acknowledged.
#[test]
fn a_lower_qos_than_asked_for_is_told() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peers = [(); 2].map(|()| {
            let mut peer = broker.accept_raw();
            let connect = peer.expect(PacketType::Connect);
            peer.send(&[0x20, 2, 0, 0]);
            (connect.windows(3).any(|part| part == b"-s0"), peer)
        });
        peers.sort_by_key(|(subscribes, _)| *subscribes);
        let [(_, mut publisher), (_, mut subscriber)] = peers;
        let subscribe = subscriber.expect(PacketType::Subscribe);
        subscriber.send(&[0x90, 3, subscribe[2], subscribe[3], 0]);
        while let Some(mut frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            acknowledge(&mut publisher, &frame);
            // The same without its Packet Identifier.
            let at = 4 + usize::from(u16::from_be_bytes([frame[2], frame[3]]));
            frame.drain(at..at + 2);
            (frame[0], frame[1]) = (0x30, frame[1] - 2);
            subscriber.send_if_there(&frame);
        }
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 1"));
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(counts(&report, "lowered"), 1, "{report}");
    assert_eq!(counts(&report, "unique"), counts(&report, "sent"));
    let doubts = report["doubts"].to_string();
    assert!(doubts.contains("granted a lower QoS"), "{doubts}");
}

/// Connections come and go, until the broker answers no more: whoever waits for it then is told of.
#[test]
fn a_connection_that_is_not_answered_has_failed() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        for _ in 0..5 {
            let mut peer = broker.accept_raw();
            peer.expect(PacketType::Connect);
            peer.send(&[0x20, 2, 0, 0]);
            let _ = peer.next_frame();
        }
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        while peer.read_or_reset().is_some() {}
    });
    let words = "-V 311 churn --pubs 1 --duration 500ms --warmup 0s --runs 1 --json -";
    let (output, report) = measured(script.port, words);
    script.join();
    assert_eq!(counts(&report, "connects"), 5, "{report}");
    assert_eq!(counts(&report, "connect_errors"), 1, "{report}");
    assert!(report["faults"].to_string().contains("not answered"));
    assert_eq!(output.status.code(), Some(7), "{report}");
}

/// What a message is known to have waited is in its latency, all of it.
#[test]
fn a_known_delay_is_measured() {
    const DELAY: Duration = Duration::from_millis(50);
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let (mut publisher, mut subscriber) = welcome(broker);
        let (sender, held) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
        let deliverer = std::thread::spawn(move || {
            for (came, frame) in held {
                std::thread::sleep(DELAY.saturating_sub(came.elapsed()));
                subscriber.send_if_there(&frame);
            }
        });
        while let Some(frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            sender.send((Instant::now(), frame)).unwrap();
        }
        drop(sender);
        deliverer.join().unwrap();
    });
    let (output, report) = measured(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(counts(&report, "sent"), 61);
    assert_eq!(counts(&report, "unique"), 61);
    let result = &report["results"][0];
    // The sentinel is not timed.
    assert_eq!(result["e2e_us"]["n"], 60);
    for latency in ["e2e_us", "service_us"] {
        let least = result[latency]["min"].as_f64().unwrap();
        assert!(least >= 50_000.0, "{latency}: {least}");
    }
}
