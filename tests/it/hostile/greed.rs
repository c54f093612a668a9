//! Peers that take without giving: that do not read, do not acknowledge, or stand still. Memory
//! stays bounded, and those who behave lose nothing.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};
use rustix::process::Signal;

use crate::support::broker_process::{BrokerProcess, comes, signal};
use crate::support::packets::{self, Hello, PINGREQ, publish, subscribe};
use crate::support::raw_client::RawClient;

/// Reads PUBLISH packets until `count` have come; each is acknowledged when its QoS wants it.
fn read_all(mut client: RawClient, count: usize) -> std::thread::JoinHandle<RawClient> {
    std::thread::spawn(move || {
        for number in 0..count {
            let frame = client.next_frame().expect("the connection stands");
            assert_eq!(frame[0] >> 4, 3, "{number}");
            if frame[0] & 6 == 2 {
                let id_at = frame.len() - PAYLOAD - 3;
                let id = u16::from_be_bytes([frame[id_at], frame[id_at + 1]]);
                client.send(&packets::ack(PacketType::Puback, id));
            }
        }
        client
    })
}

const PAYLOAD: usize = 20_000;

#[test]
fn a_subscriber_that_never_reads_costs_a_moment_and_bounded_memory() {
    for workers in ["1", "2"] {
        let broker = BrokerProcess::start(&["--workers", workers]);
        let well = RawClient::subscriber(broker.port, &Hello::new("well"), "t", 0);
        let mut deaf = RawClient::subscriber(broker.port, &Hello::new("deaf"), "t", 0);
        let mut publisher = RawClient::connect(broker.port, &Hello::new("pub"));
        let before = broker.memory();
        let count = 5_000;
        let well = read_all(well, count);
        let message = publish(Version::V5, "t", &"x".repeat(PAYLOAD), 0, 0, &[]);
        for _ in 0..count {
            publisher.send(&message);
        }
        let mut well = well.join().unwrap();
        publisher.ping();
        let grown = broker.memory().saturating_sub(before);
        assert!(grown < 40_000, "{grown} KiB, 100 MB were published");
        // Whoever reads again is served again, in order and from now on.
        let mut wanted = true;
        while wanted {
            publisher.send(&publish(Version::V5, "t", "marker", 0, 0, &[]));
            deaf.stream
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let mut chunk = vec![0; 1_048_576];
            if let Ok(count) = deaf.stream.read(&mut chunk) {
                assert!(count > 0, "the broker gave it up");
                wanted = !chunk[..count].windows(6).any(|part| part == b"marker");
            }
        }
        assert_eq!(well.expect("PUBLISH"), "PUBLISH t marker q0");
    }
}

#[test]
fn a_subscriber_that_never_acknowledges_has_a_bounded_queue() {
    let broker = BrokerProcess::start(&["--limit", "session_bytes_max=4000000"]);
    let well = RawClient::subscriber(broker.port, &Hello::new("well"), "t", 1);
    let hello = Hello::new("mute").with(PropertyId::ReceiveMaximum, Value::Two(5));
    let mute = RawClient::subscriber(broker.port, &hello, "t", 1);
    let mut publisher = RawClient::connect(broker.port, &Hello::new("pub"));
    let before = broker.memory();
    let count = 3_000;
    let well = read_all(well, count);
    for number in 0..count {
        let id = number as u16 + 1;
        let message = publish(Version::V5, "t", &"x".repeat(PAYLOAD), 1, id, &[]);
        publisher.send(&message);
        assert_eq!(publisher.expect("PUBACK"), format!("PUBACK #{id}"));
    }
    well.join().unwrap();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 30_000, "{grown} KiB, 60 MB were published");
    drop(mute);
}

#[test]
fn whoever_asks_and_never_reads_fills_no_memory() {
    let broker = BrokerProcess::start(&[]);
    let before = broker.memory();
    for question in [
        PINGREQ.to_vec(),
        subscribe(Version::V5, 1, "q", 0, &[]),
        publish(Version::V5, "nobody", "", 1, 1, &[]),
        publish(Version::V5, "nobody", "", 2, 1, &[]),
    ] {
        let mut greedy = RawClient::narrow(broker.port, &Hello::new("greedy"));
        greedy
            .stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let flood = question.repeat(20_000);
        let mut written = 0;
        while written < 100_000_000 {
            match greedy.stream.write(&flood[written % question.len()..]) {
                Ok(count) => written += count,
                Err(_) => break,
            }
        }
        assert!(written < 100_000_000, "all was taken: {question:02x?}");
        let grown = broker.memory().saturating_sub(before);
        assert!(grown < 40_000, "{grown} KiB for {question:02x?}");
        // Reading helps: what was asked is answered.
        let mut sink = [0; 65_536];
        assert!(greedy.stream.read(&mut sink).unwrap() > 0);
    }
}

#[test]
fn a_payload_of_256_mb_goes_through_and_leaves() {
    let broker = BrokerProcess::start(&[]);
    let mut sub = RawClient::subscriber(broker.port, &Hello::new("sub"), "t", 0);
    let publisher = RawClient::connect(broker.port, &Hello::new("pub"));
    let before = broker.memory();
    let head = [0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't', 0];
    let total = 268_435_455 + 5;
    // A pattern whose period is prime: a block that is lost or doubled shows.
    let pattern: Vec<u8> = (0..251).cycle().take(251 * 4_096).collect();
    let sent = pattern.clone();
    let mut stream = publisher.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        stream.write_all(&head).unwrap();
        let mut left = total - head.len();
        while left > 0 {
            let part = &sent[..sent.len().min(left)];
            stream.write_all(part).unwrap();
            left -= part.len();
        }
    });
    let mut got = vec![0; head.len()];
    sub.stream.read_exact(&mut got).unwrap();
    assert_eq!(got, head);
    let mut left = total - head.len();
    let mut block = vec![0; pattern.len()];
    while left > 0 {
        let part = block.len().min(left);
        sub.stream.read_exact(&mut block[..part]).unwrap();
        assert!(
            block[..part] == pattern[..part],
            "{left} bytes before the end"
        );
        left -= part;
    }
    writer.join().unwrap();
    sub.ping();
    let kept = || broker.memory().saturating_sub(before);
    comes("the memory that nobody needs", || kept() < 40_000);
}

#[test]
fn a_subscriber_process_that_is_stopped_stops_nobody() {
    let broker = BrokerProcess::start(&[]);
    let port = broker.port.to_string();
    let mut stopped = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-p", &port, "-t", "t", "-i", "stopped", "-F", "%t"])
        .args(["-U", "none"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    broker.wait_log("\"stopped\"");
    // What the subscriber asked for is in force once its retained message has come.
    let mut publisher = RawClient::connect(broker.port, &Hello::new("pub"));
    let mut out = stopped.stdout.take().unwrap();
    let mut first = [0; 2];
    let reader = std::thread::spawn(move || {
        out.read_exact(&mut first).unwrap();
        out
    });
    comes("its subscription", || {
        publisher.send(&publish(Version::V5, "t", "hello", 0, 0, &[]));
        publisher.ping();
        reader.is_finished()
    });
    let out = reader.join().unwrap();
    signal(&stopped, Signal::STOP);

    let before = broker.memory();
    let well = RawClient::subscriber(broker.port, &Hello::new("well"), "t", 0);
    let count = 3_000;
    let well = read_all(well, count);
    let message = publish(Version::V5, "t", &"x".repeat(PAYLOAD), 0, 0, &[]);
    for _ in 0..count {
        publisher.send(&message);
    }
    well.join().unwrap();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB, 60 MB were published");
    signal(&stopped, Signal::CONT);
    drop(out);
    let _ = stopped.kill();
    stopped.wait().unwrap();
}
