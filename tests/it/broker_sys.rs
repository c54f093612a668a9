//! The broker's own topics below `$SYS`: what they say, when, and that they cost nothing unread.

use std::collections::BTreeSet;

use mqttx::broker::limits;
use mqttx::mqtt::Version;
use mqttx::mqtt::property::{PropertyId, Value};

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, subscribe};
use crate::support::programs::{Program, mosquittos, skipped};
use crate::support::raw_client::RawClient;

const RECEIVED: &str = "$SYS/broker/publish/messages/received";

/// What a new Subscription to one of the topics is told at once.
fn told(port: u16, topic: &str) -> String {
    let mut client = RawClient::subscriber(port, &Hello::new(""), topic, 0);
    let packet = client.expect(&format!("PUBLISH {topic} "));
    let text = packet.strip_suffix(" q0 retain").expect("retained");
    text[format!("PUBLISH {topic} ").len()..].to_owned()
}

#[test]
fn a_new_subscription_learns_what_is_true_now() {
    let broker = BrokerProcess::start(&["--workers", "2", "--sys-interval", "3600"]);
    let mut client = RawClient::connect(broker.port, &Hello::new("counted"));
    for round in 1..=20 {
        client.send(&publish(Version::V5, "a", "12345", 1, 1, &[]));
        client.expect("PUBACK");
        assert_eq!(told(broker.port, RECEIVED), round.to_string());
    }
    let bytes = "$SYS/broker/publish/bytes/received";
    assert_eq!(told(broker.port, bytes), "100");
    assert_eq!(told(broker.port, "$SYS/broker/clients/connected"), "2");
    assert_eq!(told(broker.port, "$SYS/mqttx/publish_received"), "20");
}

#[test]
fn subscribers_hear_of_what_changes() {
    let broker = BrokerProcess::start(&["--sys-interval", "1"]);
    let mut client = RawClient::subscriber(broker.port, &Hello::new("c"), RECEIVED, 2);
    let first = client.expect(&format!("PUBLISH {RECEIVED} 0 q2"));
    assert!(first.ends_with("retain"), "{first}");
    client.send(&publish(Version::V5, "a", "", 0, 0, &[]));
    let next = client.expect(&format!("PUBLISH {RECEIVED} "));
    assert!(!next.ends_with("retain"), "{next}");
}

#[test]
fn shared_subscriptions_and_other_wildcards_get_none_of_it_at_once() {
    let broker = BrokerProcess::start(&["--sys-interval", "3600"]);
    let mut client = RawClient::connect(broker.port, &Hello::new("c"));
    for (id, filter) in [(1, "#"), (2, "+/broker/uptime"), (3, "$share/g/$SYS/#")] {
        client.send(&subscribe(Version::V5, id, filter, 0, &[]));
        client.expect("SUBACK");
    }
    client.send(&subscribe(Version::V5, 9, "$SYS/broker/version", 0, &[]));
    client.expect("SUBACK");
    client.expect("PUBLISH $SYS/broker/version mqttx version ");
    client.ping();
}

/// Programs look for it, and may know what each release of mosquitto can do.
#[test]
fn with_a_configuration_of_mosquittos_the_version_is_that_of_one() {
    let lines = "listener any 127.0.0.1\nallow_anonymous true\nqueue_qos0_messages true";
    let broker = BrokerProcess::configured(lines, &[]);
    let mut client = RawClient::subscriber(broker.port, &Hello::new("c"), "$SYS/broker/version", 0);
    client.expect("PUBLISH $SYS/broker/version mosquitto version 2.1.2 ");
}

#[test]
fn without_an_interval_there_are_no_topics() {
    let broker = BrokerProcess::start(&["--sys-interval", "0"]);
    let mut client = RawClient::subscriber(broker.port, &Hello::new("c"), "$SYS/#", 0);
    client.ping();
}

/// Voluntary context switches of all threads of the process.
fn wake_ups(broker: &BrokerProcess) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap();
    let count = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    tasks.map(count).sum()
}

#[test]
fn an_idle_broker_sleeps_although_somebody_has_read_its_topics() {
    let broker = BrokerProcess::start(&["--sys-interval", "1", "--workers", "2"]);
    // Two clients without Keep Alive: nothing will be due for them.
    let _idle = RawClient::connect(broker.port, &Hello::new("idle").keep_alive(0));
    told(broker.port, RECEIVED);
    // Rounds that were under way end; then several intervals pass without a single wake-up.
    let pause = || std::thread::sleep(std::time::Duration::from_millis(2_500));
    let quiet = (0..6).any(|_| {
        let before = wake_ups(&broker);
        pause();
        wake_ups(&broker) == before
    });
    assert!(quiet, "something wakes it again and again");
}

#[test]
fn mosquitto_sub_shows_what_dashboards_expect() {
    let Some(mosquitto_sub) = mosquittos("mosquitto_sub") else {
        return skipped(1, "mosquitto_sub is not installed");
    };
    let broker = BrokerProcess::start(&[]);
    let left = Program::new(mosquitto_sub)
        .words(&format!(
            "-h 127.0.0.1 -p {} -q 2 -W 20 -C 56 --retained-only -v -t $SYS/broker/#",
            broker.port
        ))
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    let out = left.out();
    for topic in [
        "version mqttx version",
        "uptime 0 seconds",
        "clients/total 1",
        "clients/connected 1",
        "messages/stored 0",
        "subscriptions/count 1",
        "load/messages/received/1min 0.00",
    ] {
        assert!(
            out.contains(&format!("$SYS/broker/{topic}")),
            "{topic}: {out}"
        );
    }
}

/// TABLE: where it is counted that a limit was reached.
const COUNTED: &[(&str, &str)] = &[
    ("connections_max", "connections_refused"),
    ("connect_timeout_ms", "connections_unfinished"),
    ("connect_size_max", "violations"),
    ("packet_size_max", "violations"),
    ("control_size_max", "violations"),
    ("unfinished_bytes_max", "connections_unfinished"),
    ("receive_max", "receive_max_exceeded"),
    ("payload_size_max", "dropped_payload"),
    ("topic_alias_max", "violations"),
    ("keep_alive_max", "connects_refused"),
    ("topic_levels_max", "violations"),
    ("subscriptions_max", "subscriptions_refused"),
    ("subscriptions_total_max", "subscriptions_refused"),
    ("sessions_max", "connects_refused"),
    ("retained_max", "retained_refused"),
    ("retained_bytes_max", "retained_refused"),
    ("retained_expiry_s", "retained_expired"),
    ("replay_messages_max", "subscriptions_refused"),
    ("session_messages_max", "dropped_queue_full"),
    ("session_bytes_max", "dropped_queue_full"),
    ("queued_bytes_total_max", "dropped_queue_full"),
    ("outbox_bytes_max", "dropped_slow"),
    ("crossing_bytes_max", "pauses"),
    ("pause_max_ms", "pauses_expired"),
    ("login_failures_max", "connections_turned_away"),
    ("login_ban_secs", "connections_turned_away"),
    ("login_ban_loopback", "connections_turned_away"),
    ("connection_rate_max", "connections_turned_away"),
    ("message_rate_max", "rate_pauses"),
    ("byte_rate_max", "rate_pauses"),
    ("http_connections_max", "http_connections_refused"),
    ("http_watchers_max", "http_streams_refused"),
    ("http_readers_max", "http_streams_refused"),
    ("http_topics_max", "http_topics_unseen"),
    ("http_body_max", "http_bodies_refused"),
];

/// Limits that take nothing from anybody: what is beyond waits, lies on the disk, or is told before.
const HARMLESS: &[&str] = &[
    "inflight_max",
    "inflight_bytes_max",
    "topic_alias_out_max",
    "session_expiry_max",
    "session_memory_max",
    "queues_memory_max",
    "unsaved_bytes_max",
];

#[test]
fn every_limit_has_a_counter_of_what_it_took() {
    let all: BTreeSet<&str> = limits::ROWS.iter().map(|row| row.name).collect();
    let counted = COUNTED.iter().map(|(limit, _)| *limit);
    let known: BTreeSet<&str> = counted.chain(HARMLESS.iter().copied()).collect();
    assert_eq!(all, known);
    assert_eq!(known.len(), COUNTED.len() + HARMLESS.len());
    let broker = BrokerProcess::start(&[]);
    let counters: BTreeSet<&str> = COUNTED.iter().map(|(_, counter)| *counter).collect();
    for counter in counters {
        assert_eq!(told(broker.port, &format!("$SYS/mqttx/{counter}")), "0");
    }
}

#[test]
fn what_a_limit_refuses_is_counted_once() {
    let limits = [
        "connect_size_max=200",
        "packet_size_max=2000",
        "control_size_max=200",
        "topic_levels_max=3",
        "payload_size_max=10",
        "topic_alias_max=0",
        "subscriptions_max=1",
    ];
    let words = limits.iter().flat_map(|limit| ["--limit", limit]);
    let broker = BrokerProcess::start(&words.collect::<Vec<_>>());
    let v5 = Version::V5;
    let of = |topic: &str, len: usize| publish(v5, topic, &"x".repeat(len), 1, 1, &[]);
    let hello = Hello::new("v5").bytes();
    let behind = |packets: &[&[u8]]| [&hello[..], &packets.concat()].concat();
    let aliased = publish(v5, "", "", 0, 0, &[(PropertyId::TopicAlias, Value::Two(1))]);
    let two = [subscribe(v5, 1, "a", 0, &[]), subscribe(v5, 2, "b", 0, &[])].concat();
    for (counter, what, bytes) in [
        (
            "violations",
            "CONNECT",
            Hello::new(&"x".repeat(300)).bytes(),
        ),
        ("violations", "size", behind(&[&of("t", 3_000)])),
        (
            "violations",
            "filter",
            behind(&[&subscribe(v5, 1, &"x".repeat(300), 0, &[])]),
        ),
        ("violations", "levels", behind(&[&of("a/b/c/d", 1)])),
        ("violations", "alias", behind(&[&aliased])),
        (
            "subscriptions_refused",
            "levels",
            behind(&[&subscribe(v5, 1, "a/b/c/d", 0, &[])]),
        ),
        ("subscriptions_refused", "two", behind(&[&two])),
        ("dropped_payload", "payload", behind(&[&of("t", 11)])),
    ] {
        let count = || told(broker.port, &format!("$SYS/mqttx/{counter}")).parse::<u64>();
        let before = count().unwrap();
        let mut client = RawClient::open(broker.port, v5);
        client.send(&bytes);
        client.close_writing();
        while client.next_frame().is_some() {}
        assert_eq!(count().unwrap(), before + 1, "{what}");
    }
}
