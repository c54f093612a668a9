//! Bytes that are no MQTT, or no longer: noise, cut packets, wrong lengths, packets out of place.

use std::time::{Duration, Instant};

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::chance::Chance;
use crate::support::packets::{self, DISCONNECT, Hello, PINGREQ, publish, subscribe};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

/// The lines of the log about this connection.
fn lines_about(broker: &BrokerProcess, client: &RawClient) -> Vec<String> {
    let address = client.address().to_string();
    let mut lines = broker.log();
    lines.retain(|line| line.split(' ').any(|word| word == address));
    lines
}

/// Waits for the line that tells how a connection ended, which must be the only such line.
#[track_caller]
fn ended(broker: &BrokerProcess, client: &RawClient, text: &str) {
    let address = client.address().to_string();
    broker.wait_log(&format!("{address} {text}"));
    let lines = lines_about(broker, client);
    let about_the_end = |line: &&String| !line.contains(" connected: ");
    assert_eq!(lines.iter().filter(about_the_end).count(), 1, "{lines:?}");
}

#[test]
fn noise_ends_its_own_connection_and_nothing_else() {
    let broker = BrokerProcess::start(&["--limit", "connect_timeout_ms=60000"]);
    let mut witness = RawClient::connect(broker.port, &Hello::new("witness"));
    let before = broker.memory();
    let mut chance = Chance::new(1);
    for round in 0..300 {
        let version = Version::ALL[round % 3];
        let mut client = RawClient::open(broker.port, version);
        if round % 2 == 0 {
            client.send(&Hello::new(&format!("n{round}")).version(version).bytes());
            client.expect("CONNACK Success");
        }
        let count = 1 + chance.below(2_000);
        let noise = chance.bytes(count);
        client.send_if_there(&noise);
        client.close_writing();
        while client.next_frame().is_some() {}
        drop(client);
    }
    witness.ping();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB for 300 noisy connections");
}

/// A good packet of every kind a client may send, and of those it may not.
fn packets_of(version: Version) -> Vec<Vec<u8>> {
    let mut list = vec![
        Hello::new("again").version(version).bytes(),
        vec![0x20, 2, 0, 0],
        publish(version, "topic", "payload", 0, 0, &[]),
        publish(version, "topic", "payload", 1, 7, &[]),
        publish(version, "topic", "payload", 2, 8, &[]),
        subscribe(version, 9, "a/+/#", 1, &[]),
        PINGREQ.to_vec(),
        vec![0xd0, 0],
        DISCONNECT.to_vec(),
    ];
    for kind in [
        PacketType::Puback,
        PacketType::Pubrec,
        PacketType::Pubrel,
        PacketType::Pubcomp,
    ] {
        list.push(packets::ack(kind, 3));
    }
    let none: &[u8] = if version.is_v5() { &[0] } else { &[] };
    let unsubscribe = [&[0, 5], none, b"\0\x01a"].concat();
    list.push([&[0xa2, unsubscribe.len() as u8], &unsubscribe[..]].concat());
    list.push(vec![0x90, 3, 0, 9, 1]);
    list.push(vec![0xb0, 2, 0, 5]);
    if version.is_v5() {
        list.push(vec![0xf0, 2, 0x19, 0]);
    }
    list
}

#[test]
fn a_packet_cut_short_by_the_network_is_forgotten() {
    let broker = BrokerProcess::start(&[]);
    let mut watcher = RawClient::subscriber(broker.port, &Hello::new("watcher"), "#", 0);
    for version in Version::ALL {
        let hello = Hello::new("cut").version(version);
        for packet in packets_of(version) {
            for length in 1..packet.len() {
                let mut client = RawClient::connect(broker.port, &hello);
                client.send(&packet[..length]);
                client.close_writing();
                for answer in client.rest() {
                    assert!(answer.starts_with("DISCONNECT"), "{packet:02x?}: {answer}");
                }
            }
        }
        for length in 1..hello.bytes().len() {
            let mut client = RawClient::open(broker.port, version);
            client.send(&hello.bytes()[..length]);
            client.close_writing();
            assert_eq!(client.rest(), [""; 0]);
        }
    }
    watcher.send(&publish(Version::V5, "done", "", 0, 0, &[]));
    assert_eq!(
        watcher.expect("PUBLISH"),
        "PUBLISH done  q0",
        "nothing half came through"
    );
}

#[test]
fn a_packet_that_ends_before_its_fields_do_is_malformed() {
    let broker = BrokerProcess::start(&[]);
    for version in Version::ALL {
        let hello = Hello::new("short").version(version);
        for packet in packets_of(version) {
            for length in 0..packet.len() - 2 {
                let mut client = RawClient::connect(broker.port, &hello);
                let cut = [&[packet[0], length as u8], &packet[2..2 + length]].concat();
                client.send(&cut);
                client.send_if_there(&PINGREQ);
                client.close_writing();
                let got = client.rest();
                // Either the rest still makes sense, or the connection ends with a code for it.
                let went_on = got.iter().any(|packet| packet == "PINGRESP");
                let refused = got
                    .last()
                    .is_some_and(|last| last.starts_with("DISCONNECT 0x8"));
                let goodbye = cut[0] == 0xe0;
                assert!(
                    went_on || refused || goodbye || !version.is_v5(),
                    "{cut:02x?}: {got:?}"
                );
            }
        }
    }
}

#[test]
fn a_length_of_five_bytes_is_malformed() {
    let broker = BrokerProcess::start(&[]);
    for version in Version::ALL {
        let mut client = RawClient::connect(broker.port, &Hello::new("a").version(version));
        client.send(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01]);
        let expected: &[&str] = match version {
            Version::V5 => &["DISCONNECT 0x81"],
            _ => &[],
        };
        assert_eq!(client.rest(), expected);
        ended(&broker, &client, "closed: ");
    }
    let mut client = RawClient::open(broker.port, Version::V5);
    client.send(&[0x10, 0xff, 0xff, 0xff, 0xff, 0x01]);
    assert_eq!(client.rest(), [""; 0]);
    ended(&broker, &client, "closed: ");
}

#[test]
fn a_head_that_promises_256_mb_costs_nothing() {
    let broker = BrokerProcess::start(&[]);
    let before = broker.memory();
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut client = RawClient::connect(broker.port, &Hello::new(&format!("c{number}")));
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        client.send(b"\0\x01t\0 and some of it");
        clients.push(client);
    }
    let mut witness = RawClient::connect(broker.port, &Hello::new("witness"));
    witness.ping();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB for 100 promises");
    // Before CONNECT nobody may promise that much.
    let mut stranger = RawClient::open(broker.port, Version::V5);
    stranger.send(&[0x10, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(stranger.rest(), [""; 0]);
    ended(&broker, &stranger, "closed: ");
}

#[test]
fn a_connect_that_drips_in_must_be_whole_in_time() {
    let broker = BrokerProcess::start(&["--limit", "connect_timeout_ms=300"]);
    let mut silent = RawClient::open(broker.port, Version::V5);
    let mut slow = RawClient::open(broker.port, Version::V5);
    let mut writer = slow.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let begun = Instant::now();
        for byte in Hello::new(&"x".repeat(2_000)).bytes() {
            use std::io::Write;
            if writer.write_all(&[byte]).is_err() || begun.elapsed() > Duration::from_secs(20) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        begun.elapsed()
    });
    assert_eq!(silent.rest(), [""; 0]);
    assert_eq!(slow.rest(), [""; 0]);
    assert!(
        drip.join().unwrap() < Duration::from_secs(20),
        "it was closed"
    );
    ended(&broker, &silent, "closed: no CONNECT came in time");
    ended(&broker, &slow, "closed: no CONNECT came in time");
    assert_eq!(unfinished(&broker), "2\n");
}

/// What the broker counts of connections that end before a packet does.
fn unfinished(broker: &BrokerProcess) -> String {
    let left = Program::mqttx()
        .words("sub -h 127.0.0.1 -C 1 -t $SYS/mqttx/connections_unfinished -p")
        .args([broker.port.to_string()])
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    left.out()
}

#[test]
fn packets_that_never_end_have_a_limit_together() {
    // The limit is that of a worker.
    let words = ["--workers", "1", "--limit", "unfinished_bytes_max=65536"];
    let broker = BrokerProcess::start(&words);
    let whole = publish(Version::V5, "t", &"x".repeat(50_000), 0, 0, &[]);
    let part = &whole[..whole.len() - 1];
    let mut first = RawClient::connect(broker.port, &Hello::new("first"));
    let mut second = RawClient::connect(broker.port, &Hello::new("second"));
    first.send(&[&PINGREQ[..], part].concat());
    first.expect("PINGRESP");
    second.send(part);
    assert_eq!(second.rest(), ["DISCONNECT 0x97"]);
    ended(&broker, &second, "dropped: too many unfinished packets");
    assert_eq!(unfinished(&broker), "1\n");
    first.send(&whole[part.len()..]);
    first.ping();
}

#[test]
fn half_a_packet_and_silence_end_with_the_keep_alive() {
    let broker = BrokerProcess::start(&[]);
    let mut client = RawClient::connect(broker.port, &Hello::new("half").keep_alive(1));
    client.send(&publish(Version::V5, "t", "payload", 1, 1, &[])[..6]);
    assert_eq!(client.rest(), ["DISCONNECT 0x8d"]);
    broker.wait_log("silent for longer than its keep alive allows");
}

#[test]
fn topics_of_65_535_levels_are_refused() {
    let broker = BrokerProcess::start(&[]);
    let deep = "/".repeat(65_535);
    for version in Version::ALL {
        let hello = Hello::new("deep").version(version);
        for qos in 0..=2 {
            let mut client = RawClient::connect(broker.port, &hello);
            client.send(&publish(version, &deep, "", qos, 1, &[]));
            let expected: &[&str] = match version {
                Version::V5 => &["DISCONNECT 0x90"],
                _ => &[],
            };
            assert_eq!(client.rest(), expected);
            ended(&broker, &client, "closed: too many topic levels");
        }
        let mut client = RawClient::connect(broker.port, &hello);
        let code = if version.is_v5() { 0x8f } else { 0x80 };
        for filter in [&deep[..], &format!("{}#", &deep[1..])] {
            client.send(&subscribe(version, 1, filter, 0, &[]));
            assert_eq!(client.next().unwrap(), format!("SUBACK #1 [{code}]"));
        }
        client.ping();
    }
    assert!(
        broker.log().iter().all(|line| line.len() < 300),
        "a log line is a line"
    );
}

#[test]
fn packets_out_of_place_end_with_the_code_for_it() {
    let broker = BrokerProcess::start(&[]);
    let hello = Hello::new("odd");
    let odd: [(&[u8], &str); 12] = [
        (&hello.bytes(), "0x82"),
        (&[0x20, 3, 0, 0, 0], "0x82"),
        (&[0x90, 4, 0, 1, 0, 0], "0x82"),
        (&[0xd0, 0], "0x82"),
        (&[0x00, 0], "0x81"),
        (&[0xf0, 0], "0x82"),
        (&[0x36, 5, 0, 1, b't', 0, 1], "0x81"),
        (&[0x32, 6, 0, 1, b't', 0, 0, 0], "0x82"),
        (&[0x30, 4, 0, 1, b'#', 0], "0x81"),
        (&[0x80, 7, 0, 1, 0, 0, 1, b'a', 0], "0x81"),
        (&[0x82, 3, 0, 1, 0], "0x82"),
        (&[0x30, 6, 0, 1, b't', 2, 11, 1], "0x82"),
    ];
    for (bytes, code) in odd {
        let mut client = RawClient::connect(broker.port, &hello);
        client.send(bytes);
        let got = client.rest();
        let last = got.last().map_or("", |last| last);
        assert!(
            last == format!("DISCONNECT {code}"),
            "{bytes:02x?}: {got:?}, not {code}"
        );
        ended(&broker, &client, "closed: ");
    }
}
