//! `mqttx bench` against brokers that do wrong on purpose: each fault is found, counted exactly,
//! and told by the exit status; none of them makes it hang.

use std::process::{Command, Output, Stdio};

use mqttx::mqtt::{PacketType, Version};
use serde_json::Value;

use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

/// One publisher, one subscriber, few messages: what the scripts below are made for.
const WORDS: &str = "-V 311 --pubs 1 --rate 200 --duration 300ms --warmup 0s --runs 1 --json -";

fn bench(port: u16, words: &str) -> (Output, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output, report)
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
    let subscribe = subscriber.expect(PacketType::Subscribe);
    let qos = subscribe[subscribe.len() - 1];
    subscriber.send(&[0x90, 3, subscribe[2], subscribe[3], qos]);
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
                let at = 4 + usize::from(u16::from_be_bytes([frame[2], frame[3]]));
                publisher.send_if_there(&[0x40, 2, frame[at], frame[at + 1]]);
            }
            if !deliver(number, frame, &mut subscriber) {
                return;
            }
            number += 1;
        }
    })
}

/// What the one result counted.
fn counts(report: &Value, name: &str) -> u64 {
    report["results"][0]["counts"][name].as_u64().unwrap()
}

#[test]
fn a_broker_that_does_well_is_not_accused() {
    let script = faulty(|_, frame, subscriber| {
        subscriber.send_if_there(&frame);
        true
    });
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
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
        let (output, report) = bench(script.port, &format!("{WORDS} -q {qos}"));
        script.join();
        assert_eq!(counts(&report, "lost"), 6, "{report}");
        assert_eq!(counts(&report, "reordered"), 0);
        // QoS 0 promises nothing.
        assert_eq!(output.status.code(), Some(status));
    }
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
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
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
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(counts(&report, "reordered"), 1, "{report}");
    assert_eq!(counts(&report, "lost"), 0);
    assert_eq!(counts(&report, "duplicates"), 0);
    assert_eq!(output.status.code(), Some(81));
}

#[test]
fn a_changed_byte_is_corruption_wherever_it_is() {
    // The last byte lies in the filler, byte 64 from behind in the head.
    for from_behind in [1, 64] {
        let script = faulty(move |number, mut frame, subscriber| {
            if number == 10 {
                let at = frame.len() - from_behind;
                frame[at] ^= 0x20;
            }
            subscriber.send_if_there(&frame);
            true
        });
        let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
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
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
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
    let (output, _) = bench(script.port, "-V 311 pub --pubs 1 --max --json -");
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
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
    assert_eq!(output.status.code(), Some(128), "{report}");
    drop(script);
}

#[test]
fn a_broker_that_delivers_nothing_is_told_so_before_the_load() {
    let script = faulty(|_, _, _| true);
    let (output, report) = bench(script.port, &format!("{WORDS} -q 0"));
    script.join();
    assert_eq!(output.status.code(), Some(81), "{report}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("does not deliver"), "{told}");
}
