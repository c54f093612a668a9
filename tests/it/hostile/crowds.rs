//! Too many at once: floods of connections, fights for one Client Identifier, wills by the
//! thousand, and no descriptor left.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use mqttx::mqtt::Version;
use mqttx::mqtt::property::{PropertyId, Value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{DISCONNECT, Hello, publish, subscribe};
use crate::support::raw_client::RawClient;

/// This process may open as many descriptors as the system allows it; how many.
fn raise_descriptor_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    maximum.map_or(usize::MAX, |most| most as usize)
}

/// Where the table of descriptors has to grow under several threads, all connections of a worker wait.
#[cfg(target_os = "linux")]
#[test]
fn there_is_room_for_a_crowd_before_it_comes() {
    let wanted = raise_descriptor_limit().min(32_768);
    let broker = BrokerProcess::start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    let size: usize = size.unwrap().trim().parse().unwrap();
    assert!(size >= wanted, "{size}");
}

#[test]
fn connections_beyond_the_limit_are_closed_and_those_within_are_served() {
    let broker = BrokerProcess::start(&["--limit", "connections_max=50"]);
    let mut first = RawClient::connect(broker.port, &Hello::new("first"));
    let mut crowd: Vec<RawClient> = (0..300)
        .map(|_| RawClient::open(broker.port, Version::V5))
        .collect();
    for late in &mut crowd[60..] {
        assert_eq!(late.rest(), [""; 0]);
    }
    first.ping();
    drop(crowd);
    // Their places are free again as soon as the broker has seen them go.
    for _ in 0..1_000 {
        let mut client = RawClient::open(broker.port, Version::V5);
        client.send_if_there(&Hello::new("again").bytes());
        if client.next().is_some() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nobody gets in any more");
}

#[test]
fn a_flood_of_connections_that_come_and_go_leaves_nothing() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = RawClient::connect(broker.port, &Hello::new("witness"));
    let before = broker.memory();
    let port = broker.port;
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for number in 0..500 {
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
                        continue;
                    };
                    if number % 2 == 0 {
                        let hello = Hello::new(&format!("f{thread}-{number}"));
                        let _ = stream.write_all(&hello.bytes());
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    witness.ping();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 30_000, "{grown} KiB after 2,000 connections");
}

#[test]
fn a_fight_for_one_client_id_leaves_one_winner() {
    for workers in ["1", "4"] {
        let broker = BrokerProcess::start(&["--workers", workers]);
        let port = broker.port;
        let hello = Hello::new("contested").kept();
        let fighters: Vec<_> = (0..6)
            .map(|number| {
                let hello = match number % 3 {
                    0 => Hello::new("contested"),
                    1 => Hello::new("contested").version(Version::V311).kept(),
                    _ => hello.clone(),
                };
                std::thread::spawn(move || {
                    let mut last = None;
                    for _ in 0..60 {
                        let mut client = RawClient::open(port, hello.version);
                        client.send(&hello.bytes());
                        client.expect("CONNACK");
                        last = Some(client);
                    }
                    last.unwrap()
                })
            })
            .collect();
        let left: Vec<RawClient> = fighters
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let mut winner = RawClient::connect(port, &hello);
        for mut loser in left {
            // Closed, with a word before it in version 5.
            let said = loser.rest();
            assert!(said.len() <= 1, "{said:?}");
        }
        winner.ping();
    }
}

#[test]
fn wills_of_thousands_that_vanish_at_once_all_arrive() {
    let count = 2_000.min(raise_descriptor_limit() - 500);
    let broker = BrokerProcess::start(&["--workers", "2"]);
    let mut watcher = RawClient::subscriber(broker.port, &Hello::new("watcher"), "will/#", 1);
    let crowd: Vec<RawClient> = (0..count)
        .map(|number| {
            let topic = format!("will/{number}");
            let hello = Hello::new(&format!("c{number}")).will(&topic, "gone", 1, false);
            RawClient::connect(broker.port, &hello)
        })
        .collect();
    drop(crowd);
    let mut topics: Vec<String> = (0..count)
        .map(|_| {
            let will = watcher.expect("PUBLISH will/");
            will.split(' ').nth(1).unwrap().to_owned()
        })
        .collect();
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(topics.len(), count);
}

#[test]
fn without_descriptors_the_broker_serves_those_it_has() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 60; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--port", "0"]);
    let broker = BrokerProcess::start_as(command);
    let mut first = RawClient::connect(broker.port, &Hello::new("first"));
    let crowd: Vec<RawClient> = (0..100)
        .map(|_| RawClient::open(broker.port, Version::V5))
        .collect();
    let before = broker.cpu_ticks();
    for _ in 0..200 {
        first.ping();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let busy = broker.cpu_ticks() - before;
    assert!(busy < 20, "{busy} ticks in 0.4 s: it spins");
    let lines = broker.log();
    let failures = lines
        .iter()
        .filter(|line| line.contains("accepting failed"));
    let failures = failures.count();
    assert!(
        (1..10).contains(&failures),
        "{failures} lines about one thing"
    );
    drop(crowd);
    RawClient::connect(broker.port, &Hello::new("later"));
}

#[test]
fn what_a_client_says_in_one_breath_before_it_closes_is_heard() {
    let broker = BrokerProcess::start(&["--workers", "2"]);
    let mut watcher = RawClient::subscriber(broker.port, &Hello::new("watcher"), "t", 0);
    for round in 0..40 {
        // The Session lives on one worker, the next connection may come to the other.
        let hello = Hello::new("brief").with(PropertyId::SessionExpiryInterval, Value::Four(60));
        let hello = Hello {
            clean_start: false,
            ..hello
        };
        let mut client = RawClient::open(broker.port, Version::V5);
        let message = publish(Version::V5, "t", &round.to_string(), 0, 0, &[]);
        client.send(&[hello.bytes(), message].concat());
        client.close_writing();
        assert_eq!(watcher.expect("PUBLISH"), format!("PUBLISH t {round} q0"));
        let _others: Vec<RawClient> = (0..round % 3)
            .map(|n| RawClient::connect(broker.port, &Hello::new(&format!("o{n}"))))
            .collect();
    }
}

#[test]
fn whoever_closes_without_reading_its_answers_has_still_spoken() {
    let broker = BrokerProcess::start(&[]);
    let mut watcher = RawClient::connect(broker.port, &Hello::new("watcher"));
    for (id, filter) in [(1, "last"), (2, "will")] {
        watcher.send(&subscribe(Version::V5, id, filter, 0, &[]));
        watcher.expect("SUBACK");
    }
    let mut publisher = RawClient::connect(broker.port, &Hello::new("pub"));
    let block = publish(Version::V5, "t", &"x".repeat(20_000), 0, 0, &[]);
    for round in 0..10 {
        // The system's buffers grow with what goes through them.
        let nobody = publish(Version::V5, "n", &"x".repeat(20_000), 0, 0, &[]);
        publisher.send(&nobody.repeat(200));
        let hello = Hello::new("rude").will("will", "gone", 0, false);
        let mut rude = RawClient::subscriber(broker.port, &hello, "t", 0);
        publisher.send(&block);
        publisher.ping();
        let last = publish(Version::V5, "last", &round.to_string(), 0, 0, &[]);
        broker.stopped(|| {
            // More than the broker reads before it writes, and it writes to one who is gone.
            publisher.send(&block.repeat(15));
            rude.send(&[&last[..], &DISCONNECT].concat());
            drop(rude);
        });
        assert_eq!(
            watcher.expect("PUBLISH"),
            format!("PUBLISH last {round} q0")
        );
    }
}
