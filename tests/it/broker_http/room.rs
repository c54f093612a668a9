//! Limits of what visitors may take, set by the operator; what is refused is counted.

use std::io::Read as _;
use std::time::Instant;

use super::broker;
use crate::support::broker_process::PATIENCE;
use crate::support::packets::{self, Hello};
use crate::support::raw_client::RawClient;
use crate::support::visitor::Visitor;
use mqttx::mqtt::Version;

/// Waits until a counter is as it should be: it is handed on once a second.
fn await_counter(visitor: &Visitor, name: &str, is_well: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    loop {
        let counters = visitor.json("/api/v1/overview")["sample"]["counters"].clone();
        let seen = counters[name].as_u64().unwrap();
        if is_well(seen) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} is {seen}");
    }
}

#[test]
fn bodies_and_streams_have_the_limits_that_were_set() {
    let (_broker, visitor) = broker(&[
        "--limit",
        "http_body_max=1024",
        "--limit",
        "http_watchers_max=1",
        "--limit",
        "http_readers_max=1",
    ]);
    let body = |size: usize| format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(size));
    assert_eq!(visitor.post("/api/v1/publish", &body(900)).status, 200);
    let answer = visitor.post("/api/v1/publish", &body(1_024));
    assert_eq!((answer.status, answer.fault().as_str()), (413, "too_large"));
    let _figures = visitor.events("/api/v1/events");
    let _messages = visitor.events("/api/v1/subscribe?filter=a");
    for path in ["/api/v1/events", "/api/v1/subscribe?filter=a"] {
        let answer = visitor.get(path);
        assert_eq!(
            (answer.status, answer.fault().as_str()),
            (429, "too_many"),
            "{path}"
        );
    }
    await_counter(&visitor, "http_bodies_refused", |count| count == 1);
    await_counter(&visitor, "http_streams_refused", |count| count == 2);
    let limits = visitor.json("/api/v1/limits");
    let mut rows = limits["limits"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == "http_body_max").unwrap();
    assert_eq!(row["value"], 1_024);
}

#[test]
fn one_connection_too_many_is_closed_at_once() {
    let (_broker, visitor) = broker(&["--limit", "http_connections_max=2"]);
    let figures = visitor.events("/api/v1/events");
    let messages = visitor.events("/api/v1/subscribe?filter=a");
    let mut refused = visitor.begin("GET", "/healthz", "");
    let mut bytes = Vec::new();
    // It may be closed before it was read from.
    let _ = refused.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    drop((figures, messages));
    let begun = Instant::now();
    loop {
        let mut bytes = Vec::new();
        let _ = visitor.begin("GET", "/healthz", "").read_to_end(&mut bytes);
        if !bytes.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "there is no room any more");
    }
    // Some of those that asked whether there is room came too early, too.
    await_counter(&visitor, "http_connections_refused", |count| count >= 1);
    let counters = visitor.json("/api/v1/counters");
    assert!(
        counters["counters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| { row["name"] == "http_connections_refused" && row["what"].is_string() })
    );
}

#[test]
fn topics_beyond_the_limit_are_counted_and_not_shown() {
    let (broker, visitor) = broker(&["--limit", "http_topics_max=2"]);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for topic in ["a", "b", "c"] {
        let message = packets::publish(Version::V5, topic, "x", 0, 0, &[]);
        writer.send(&packets::retained(message));
    }
    writer.ping();
    let begun = Instant::now();
    loop {
        let topics = visitor.json("/api/v1/topics");
        assert_eq!(topics["topics_max"], 2);
        if topics["full"] == true {
            assert_eq!(topics["topics_known"], 2);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{topics}");
    }
    await_counter(&visitor, "http_topics_unseen", |count| count >= 1);
}
