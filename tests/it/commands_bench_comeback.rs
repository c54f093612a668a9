//! `mqttx bench --reconnect` against brokers that cut a client off and take it back: what is delivered
//! again is told from what is lost, and how often somebody came back is part of the verdict. Of
//! clients that come and go besides: a broker that leaves it to them to close.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use mqttx::mqtt::{PacketType, Version};

use crate::commands_bench::{Broker, counts, json, measured};
use crate::commands_bench_faults::{acknowledge, grant};
use crate::support::scripted_broker::{Peer, Script, ScriptedBroker};

const WORDS: &str =
    "-V 311 --pubs 1 --rate 200 --duration 300ms --warmup 0s --runs 1 -q 1 --reconnect --json -";

/// Lets a client in, which must want its Session kept (or not); whether it is the subscriber.
fn let_in(broker: &mut ScriptedBroker, is_known: bool, is_kept: bool) -> (bool, Peer) {
    let mut peer = broker.accept_raw();
    let connect = peer.expect(PacketType::Connect);
    // Behind the protocol's name and level; bit 1 is Clean Session.
    assert_eq!(connect[9] & 0b10 == 0, is_kept, "{connect:02x?}");
    peer.send(&[0x20, 2, u8::from(is_known), 0]);
    let subscribes = connect.windows(3).any(|part| part == b"-s0");
    (subscribes, peer)
}

fn welcome(broker: &mut ScriptedBroker) -> (Peer, Peer) {
    let mut peers = [(); 2].map(|()| let_in(broker, false, true));
    peers.sort_by_key(|(subscribes, _)| *subscribes);
    let [(_, publisher), (_, mut subscriber)] = peers;
    grant(&mut subscriber);
    (publisher, subscriber)
}

/// Forwards everything, but after message 20 cuts a client off; what becomes of that message then is
/// up to `again`.
fn cutting(
    cuts_subscriber: bool,
    again: impl Fn(Vec<u8>) -> Option<Vec<u8>> + Send + 'static,
) -> Script {
    ScriptedBroker::start(Version::V311, move |broker| {
        let (mut publisher, mut subscriber) = welcome(broker);
        let mut number = 0;
        while let Some(frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            subscriber.send(&frame);
            if number == 20 && cuts_subscriber {
                subscriber.close();
                subscriber = let_in(broker, true, true).1;
                if let Some(frame) = again(frame.clone()) {
                    subscriber.send(&frame);
                }
            } else if number == 20 {
                // Delivered, and never acknowledged: the publisher has to send it again.
                publisher.close();
                publisher = let_in(broker, true, true).1;
                number += 1;
                continue;
            }
            acknowledge(&mut publisher, &frame);
            number += 1;
        }
        // Nothing of them is to stay: both come once more to say so.
        for _ in 0..2 {
            let (_, mut peer) = let_in(broker, false, false);
            peer.expect(PacketType::Disconnect);
        }
    })
}

#[test]
fn a_subscriber_that_comes_back_gets_again_what_it_has_not_acknowledged() {
    let script = cutting(true, |mut frame| {
        frame[0] |= 0x08;
        Some(frame)
    });
    let (output, report) = measured(script.port, WORDS);
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    for (name, count) in [
        ("sent", 61),
        ("unique", 61),
        ("lost", 0),
        ("reordered", 0),
        ("disconnects", 1),
        ("reconnects", 1),
    ] {
        assert_eq!(counts(&report, name), count, "{name}: {report}");
    }
    // Whether it had read it before the cut is chance; if so, the second one says what it is.
    assert!(counts(&report, "duplicates") <= 1, "{report}");
    assert_eq!(counts(&report, "dup_flag"), counts(&report, "duplicates"));
    let doubts = report["doubts"].to_string();
    assert!(
        doubts.contains("1 connection was lost in the middle and 1 came back"),
        "{doubts}"
    );
}

#[test]
fn a_publisher_that_comes_back_sends_again_what_was_not_acknowledged() {
    let script = cutting(false, Some);
    let (output, report) = measured(script.port, WORDS);
    script.join();
    // The broker passed it on twice, which QoS 1 allows; nothing is lost.
    assert_eq!(output.status.code(), Some(0), "{report}");
    for (name, count) in [
        ("sent", 61),
        ("acked", 61),
        ("unique", 61),
        ("lost", 0),
        ("duplicates", 1),
        ("reconnects", 1),
    ] {
        assert_eq!(counts(&report, name), count, "{name}: {report}");
    }
}

#[test]
fn what_is_delivered_again_at_qos_2_is_told_once() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let (mut publisher, mut subscriber) = welcome(broker);
        let mut number = 0;
        while let Some(mut frame) = publisher.next_frame() {
            match PacketType::from_first(frame[0]) {
                Some(PacketType::Publish) => {}
                Some(PacketType::Pubrel) => {
                    publisher.send_if_there(&[0x70, 2, frame[2], frame[3]]);
                    continue;
                }
                _ => break,
            }
            let at = 4 + usize::from(u16::from_be_bytes([frame[2], frame[3]]));
            let (high, low) = (frame[at], frame[at + 1]);
            subscriber.send(&frame);
            subscriber.expect(PacketType::Pubrec);
            if number == 20 {
                // As if that PUBREC had been lost on the way.
                subscriber.close();
                subscriber = let_in(broker, true, true).1;
                frame[0] |= 0x08;
                subscriber.send(&frame);
                subscriber.expect(PacketType::Pubrec);
            }
            subscriber.send(&[0x62, 2, high, low]);
            subscriber.expect(PacketType::Pubcomp);
            publisher.send_if_there(&[0x50, 2, high, low]);
            number += 1;
        }
        for _ in 0..2 {
            let (_, mut peer) = let_in(broker, false, false);
            peer.expect(PacketType::Disconnect);
        }
    });
    let (output, report) = measured(script.port, &WORDS.replace("-q 1", "-q 2"));
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    for (name, count) in [
        ("sent", 61),
        ("acked", 61),
        ("unique", 61),
        ("lost", 0),
        ("duplicates", 0),
        ("disconnects", 1),
        ("reconnects", 1),
    ] {
        assert_eq!(counts(&report, name), count, "{name}: {report}");
    }
}

#[test]
fn what_a_broker_forgets_over_a_cut_is_lost() {
    // Message 20 never arrives: the cut came first, and it is not delivered again.
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let (mut publisher, mut subscriber) = welcome(broker);
        let mut number = 0;
        while let Some(frame) = publisher.next_frame() {
            if PacketType::from_first(frame[0]) != Some(PacketType::Publish) {
                break;
            }
            if number == 20 {
                subscriber.close();
                subscriber = let_in(broker, true, true).1;
            } else {
                subscriber.send(&frame);
            }
            acknowledge(&mut publisher, &frame);
            number += 1;
        }
    });
    let (output, report) = measured(script.port, WORDS);
    script.join();
    assert_eq!(output.status.code(), Some(81), "{report}");
    // What was written into the closing connection may be gone too; message 20 surely is.
    assert!(counts(&report, "lost") >= 1, "{report}");
    assert_eq!(counts(&report, "duplicates"), 0);
    assert_eq!(counts(&report, "reconnects"), 1);
}

#[test]
fn a_broker_that_lets_nobody_in_any_more_has_no_rate() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.send(&[0x20, 3, 0, 0, 0]);
        peer.expect_goodbye();
    });
    let words = "churn --pubs 1 --duration 200ms --warmup 100ms --runs 1 --json -";
    let (output, report) = measured(script.port, words);
    script.join();
    assert_eq!(counts(&report, "connects"), 1, "{report}");
    assert_eq!(report["results"][0]["connects_per_s"], 0.0, "{report}");
    assert_eq!(output.status.code(), Some(7), "{report}");
}

#[test]
fn a_broker_that_does_not_hang_up_is_waited_for_once() {
    let script = ScriptedBroker::start(Version::V5, |broker| {
        for _ in 0..4 {
            let mut peer = broker.accept_raw();
            peer.expect(PacketType::Connect);
            peer.send(&[0x20, 3, 0, 0, 0]);
            peer.expect_goodbye();
        }
    });
    let words = "churn --pubs 1 --duration 3s --warmup 0s --runs 1 --json -";
    let (output, report) = measured(script.port, words);
    script.join();
    assert_eq!(counts(&report, "connects"), 4, "{report}");
    // Then nobody listens any more.
    assert_eq!(output.status.code(), Some(7), "{report}");
    assert!(counts(&report, "connect_errors") > 0);
}

#[test]
fn who_never_comes_back_is_a_failure() {
    let mut broker = Broker::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args("--pubs 1 -q 1 --rate 100 --duration 4s --warmup 0s --runs 1".split(' '))
        .args(["--drain", "1s", "--reconnect", "--json", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("phase=measuring")));
    broker.process.kill().unwrap();
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap();
    let report = json(&output);
    assert_eq!(counts(&report, "disconnects"), 2, "{report}");
    assert_eq!(counts(&report, "reconnects"), 0, "{report}");
    let faults = report["faults"].to_string();
    assert!(
        faults.contains("2 connections were lost and had not come back"),
        "{report}"
    );
    // A message on its way just then may be missing besides.
    assert!(matches!(output.status.code(), Some(7 | 81)), "{report}");
}
