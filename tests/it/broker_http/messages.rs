//! Messages in and out over HTTP, and what is seen of those of others.

use std::process::Command;

use mqttx::mqtt::Version;

use super::broker;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{self, Hello};
use crate::support::raw_client::RawClient;

/// Programs differ in which of the two counts.
#[test]
fn a_name_that_an_object_has_twice_is_refused() {
    let (_broker, visitor) = broker(&[]);
    for (body, name) in [
        (r#"{"topic":"a","payload":"x","topic":"b"}"#, "topic"),
        (
            r#"{"topic":"a","properties":{"content_type":"x","content_typ\u0065":"y"}}"#,
            "content_type",
        ),
        (r#"{"topic":"a","payload_json":[{"x":1,"x":2}]}"#, "x"),
    ] {
        let answer = visitor.post("/api/v1/publish", body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.fault(), "bad_request");
        let told = answer.json()["error"]["message"].to_string();
        assert!(
            told.contains(&format!("{name}\\\" is there twice")),
            "{told}"
        );
    }
}

#[test]
fn a_message_is_published_with_all_it_carries() {
    let (broker, visitor) = broker(&[]);
    let mut reader = RawClient::subscriber(broker.port, &Hello::new("reader"), "#", 2);
    let publish = |body: &str| {
        let answer = visitor.post("/api/v1/publish", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let told = publish(r#"{"topic":"a","payload":"hello"}"#);
    assert_eq!(
        (&told["published"], told["matched"].is_null()),
        (&true.into(), true)
    );
    assert!(reader.expect("PUBLISH").contains("hello"));
    let told = publish(r#"{"topic":"a","payload_base64":"AAE=","qos":1.0}"#);
    assert_eq!(told["matched"], true);
    reader.expect("PUBLISH");
    let whole = r#"{"topic":"a/b","payload_json":{"x":[1]},"qos":2,"retain":true,"properties":{
        "message_expiry_s":60,"content_type":"application/json","response_topic":"r",
        "correlation_data_base64":"AAE=","payload_format_utf8":true,
        "user_properties":[["k","v"],["k","w"]]}}"#;
    assert_eq!(publish(whole)["reason"], "Success");
    assert!(reader.expect("PUBLISH").contains(r#"{"x":[1]}"#));
    let kept = visitor.json("/api/v1/retained/message?topic=a/b");
    assert_eq!(kept["user_properties"][1][1], "w");
    assert_eq!(
        (&kept["correlation_data"], &kept["response_topic"]),
        (&"AAE=".into(), &"r".into())
    );
}

#[test]
fn bodies_that_are_not_as_wanted_are_refused() {
    let (_broker, visitor) = broker(&[]);
    let check = |body: &str, status: u16, code: &str| {
        let answer = visitor.post("/api/v1/publish", body);
        let shown = &body[..body.len().min(60)];
        assert_eq!(
            (answer.status, answer.fault().as_str()),
            (status, code),
            "{shown}"
        );
    };
    for body in [
        "",
        "{",
        "[]",
        "7",
        "{}",
        r#"{"topic":7}"#,
        r#"{"topic":""}"#,
        r#"{"topic":"a/#"}"#,
        r#"{"topic":"a","qos":3}"#,
        r#"{"topic":"a","qos":"1"}"#,
        r#"{"topic":"a","qos":-1}"#,
        r#"{"topic":"a","retain":1}"#,
        r#"{"topic":"a","colour":"red"}"#,
        r#"{"topic":"a","payload":"x","payload_json":1}"#,
        r#"{"topic":"a","payload_base64":"?"}"#,
        r#"{"topic":"a","properties":[]}"#,
        r#"{"topic":"a","properties":{"response_topic":"+"}}"#,
        r#"{"topic":"a","properties":{"user_properties":[["k"]]}}"#,
        r#"{"topic":"a","properties":{"message_expiry_s":4294967296}}"#,
        r#"{"topic":"a","properties":{"content_type":"\u0000"}}"#,
    ] {
        check(body, 400, "bad_request");
    }
    let huge = format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(2_000_000));
    check(&huge, 413, "too_large");
    check(r#"{"topic":"$SYS/x"}"#, 422, "refused");
    let plain = visitor.with("Content-Type", "text/plain");
    let answer = plain.ask("POST", "/api/v1/publish", r#"{"topic":"a"}"#);
    assert_eq!(
        (answer.status, answer.fault().as_str()),
        (415, "wrong_type")
    );
    let deep = "[".repeat(100_000);
    check(&deep, 400, "bad_request");
}

#[test]
fn a_stream_of_events_is_a_subscriber() {
    let (broker, visitor) = broker(&["--workers", "2"]);
    let mut events = visitor.events("/api/v1/subscribe?filter=a/%23&filter=b&qos=1");
    let told = events.next("subscribed");
    assert_eq!(told["filters"][1]["filter"], "b");
    assert_eq!(told["filters"][0]["qos"], 1);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for n in 0..1_000 {
        let (topic, payload) = (format!("a/{}", n % 7), n.to_string());
        writer.send(&packets::publish(Version::V5, &topic, &payload, 0, 0, &[]));
    }
    for n in 0..1_000 {
        let message = events.next("message");
        assert_eq!(message["payload"]["text"], n.to_string());
    }
    writer.send(&packets::publish(Version::V5, "b", "1", 1, 1, &[]));
    assert_eq!(events.next("message")["qos"], 1);
    let list = visitor.json("/api/v1/clients?q=http-");
    assert_eq!(list["matched"], 1);
    let id = list["clients"][0]["id"].as_str().unwrap();
    assert_eq!(visitor.delete(&format!("/api/v1/clients/{id}")).status, 200);
    assert_eq!(events.next("end")["reason"], "Administrative action");
    for path in [
        "/api/v1/subscribe",
        "/api/v1/subscribe?filter=a/%23/b",
        "/api/v1/subscribe?filter=a&qos=3",
        "/api/v1/subscribe?filter=",
    ] {
        assert_eq!(visitor.get(path).fault(), "bad_request", "{path}");
    }
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    let (broker, visitor) = broker(&[]);
    // It asks, and reads nothing.
    let idle = visitor.begin("GET", "/api/v1/subscribe?filter=%23", "");
    let mut watcher = RawClient::subscriber(broker.port, &Hello::new("watcher"), "done", 0);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    let payload = "x".repeat(10_000);
    let packet = packets::publish(Version::V5, "flood", &payload, 0, 0, &[]);
    // More than all buffers between hold.
    for _ in 0..4_000 {
        writer.send(&packet);
    }
    writer.send(&packets::publish(Version::V5, "done", "", 0, 0, &[]));
    watcher.expect("PUBLISH");
    let counters = visitor.json("/api/v1/overview")["sample"]["counters"].clone();
    assert_eq!(counters["pauses"], 0);
    assert_eq!(visitor.get("/healthz").status, 200);
    drop(idle);
}

#[test]
fn the_rules_of_the_broker_hold_over_http_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (users, rules) = (path("users"), path("rules"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["passwd", "-c", "-b", &users, "amy", "secret"]);
    assert!(command.status().unwrap().success());
    std::fs::write(&rules, "user amy\ntopic write in/#\ntopic read out/#\n").unwrap();
    let words = [
        "--password-file",
        &users,
        "--acl-file",
        &rules,
        "--refuse-subscribe",
        "nothing",
    ];
    let (_broker, visitor) = broker(&words);
    let amy = visitor.with("Authorization", "Basic YW15OnNlY3JldA==");
    for (topic, qos, status) in [
        ("in/a", 0, 200),
        ("in/a", 1, 200),
        ("out/a", 0, 422),
        ("x", 2, 422),
    ] {
        let body = format!(r#"{{"topic":"{topic}","qos":{qos}}}"#);
        assert_eq!(
            amy.post("/api/v1/publish", &body).status,
            status,
            "{topic} {qos}"
        );
    }
    let refused = amy.get("/api/v1/subscribe?filter=in/a");
    assert_eq!((refused.status, refused.fault().as_str()), (422, "refused"));
    let mut partly = amy.events("/api/v1/subscribe?filter=in/a&filter=out/a");
    assert_eq!(
        partly.next("subscribed")["filters"][0]["refused"],
        "Not authorized"
    );
    assert_eq!(
        visitor
            .post("/api/v1/publish", r#"{"topic":"in/a"}"#)
            .status,
        401
    );
}

#[test]
fn figures_come_each_second_and_are_kept() {
    let (_broker, visitor) = broker(&[]);
    let mut events = visitor.events("/api/v1/events");
    let first = events.next("sample");
    assert_eq!(first["lost"], 0);
    let second = events.next("sample");
    assert!(second["uptime_s"].as_f64() > first["uptime_s"].as_f64());
    let history = visitor.json("/api/v1/history");
    assert_eq!(history["interval_s"], 1);
    assert!(!history["samples"].as_array().unwrap().is_empty());
}

#[test]
fn topics_are_seen_while_somebody_asks() {
    let (broker, visitor) = broker(&[]);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    let retained = packets::publish(Version::V5, "kept/x", "1", 0, 0, &[]);
    writer.send(&packets::retained(retained));
    writer.ping();
    let seen =
        |wanted: &dyn Fn(&serde_json::Value) -> bool, under: &str, writer: &mut RawClient| {
            let path = format!("/api/v1/topics?under={under}");
            loop {
                writer.send(&packets::publish(
                    Version::V5,
                    "home/hall/t",
                    "21",
                    0,
                    0,
                    &[],
                ));
                writer.ping();
                let answer = visitor.json(&path);
                let rows = answer["topics"].as_array().unwrap();
                if let Some(row) = rows.iter().find(|row| wanted(row)) {
                    return row.clone();
                }
            }
        };
    seen(&|row| row["topic"] == "kept/x", "kept", &mut writer);
    let wanted = |row: &serde_json::Value| row["messages"].as_u64() > Some(2);
    let row = seen(&wanted, "home/hall", &mut writer);
    assert_eq!(
        (&row["level"], &row["last"]["payload"]["text"]),
        (&"t".into(), &"21".into())
    );
    let found = visitor.json("/api/v1/topics?q=HALL");
    assert_eq!(found["topics"][0]["topic"], "home/hall/t");
    let below = visitor.json("/api/v1/topics?q=T&under=home/hall&offset=0&limit=1");
    assert_eq!(
        (&below["matched"], &below["under"]),
        (&1.into(), &"home/hall".into())
    );
    let none = visitor.json("/api/v1/topics?q=T&under=home/hall&offset=1");
    assert_eq!(
        (&none["matched"], none["topics"].as_array().unwrap().len()),
        (&1.into(), 0)
    );
}

#[test]
fn the_last_lines_of_the_log_are_there() {
    let (broker, visitor) = broker(&[]);
    let _client = RawClient::connect(broker.port, &Hello::new("somebody"));
    let log = visitor.json("/api/v1/log");
    let lines = log["lines"].as_array().unwrap();
    let text = |line: &serde_json::Value| line["text"].as_str().unwrap().to_owned();
    assert!(
        lines.iter().any(|line| text(line).contains("\"somebody\"")),
        "{lines:?}"
    );
    let after = visitor.json(&format!("/api/v1/log?after={}", log["next"]));
    assert_eq!(after["lines"].as_array().unwrap().len(), 0);
}

#[test]
fn clients_come_over_websockets_by_the_same_port() {
    let (broker, visitor) = broker(&[]);
    let mut reader = RawClient::subscriber(broker.port, &Hello::new("reader"), "w", 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    let port = visitor.port.to_string();
    command.args([
        "pub",
        "-h",
        "localhost",
        "-p",
        &port,
        "--ws",
        "-t",
        "w",
        "-m",
        "by ws",
    ]);
    assert!(command.status().unwrap().success());
    assert!(reader.expect("PUBLISH").contains("by ws"));
}

#[test]
fn a_broker_without_visitors_has_no_thread_for_them() {
    let names = |broker: &BrokerProcess| {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap();
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
        };
        tasks.map(name).collect::<Vec<String>>()
    };
    let without = BrokerProcess::start(&[]);
    assert!(!names(&without).contains(&"http\n".to_owned()));
    let (with, visitor) = broker(&[]);
    // A thread takes its name once it runs.
    assert_eq!(visitor.get("/healthz").status, 200);
    assert!(names(&with).contains(&"http\n".to_owned()));
}
