//! Each question, and its answer.

use mqttx::mqtt::Version;

use super::broker;
use crate::support::broker_process::PATIENCE;
use crate::support::packets::{self, Hello};
use crate::support::raw_client::RawClient;

fn retained(topic: &str, payload: &str) -> Vec<u8> {
    packets::retained(packets::publish(Version::V5, topic, payload, 0, 0, &[]))
}

#[test]
fn an_overview_tells_what_the_broker_is() {
    let (_broker, visitor) = broker(&[]);
    let overview = visitor.json("/api/v1/overview");
    assert_eq!(overview["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(overview["sample"]["clients"]["connected"], 0);
    assert!(overview["sample"]["counters"]["publish_received"].is_u64());
    let listeners = visitor.json("/api/v1/listeners");
    assert_eq!(listeners["listeners"][0]["protocol"], "mqtt");
    assert_eq!(listeners["websocket"], "/mqtt");
    let limits = visitor.json("/api/v1/limits");
    assert_eq!(limits["limits"][0]["name"], "connections_max");
    let counters = visitor.json("/api/v1/counters");
    assert_eq!(counters["counters"][0]["name"], "publish_received");
    let me = visitor.json("/api/v1/me");
    assert_eq!(
        (me["admin"].as_bool(), me["user"].is_null()),
        (Some(true), true)
    );
    assert_eq!(visitor.get("/healthz").body, "ok\n");
    assert_eq!(visitor.get("/readyz").body, "ready\n");
}

#[test]
fn clients_are_found_sorted_and_sent_away() {
    let (broker, visitor) = broker(&["--workers", "2"]);
    let mut clients: Vec<RawClient> = ["b/1", "a", "other"]
        .iter()
        .map(|id| RawClient::subscriber(broker.port, &Hello::new(id), "x/#", 1))
        .collect();
    let list = |query: &str| {
        let answer = visitor.json(&format!("/api/v1/clients?{query}"));
        let rows = answer["clients"].as_array().unwrap().iter();
        let ids: Vec<String> = rows
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        (
            ids,
            answer["matched"].as_u64().unwrap(),
            answer["total"].as_u64().unwrap(),
        )
    };
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    assert_eq!(list(""), (ids(&["a", "b/1", "other"]), 3, 3));
    assert_eq!(list("order=desc&limit=2"), (ids(&["other", "b/1"]), 3, 3));
    assert_eq!(list("offset=1&limit=1"), (ids(&["b/1"]), 3, 3));
    assert_eq!(list("q=OTH"), (ids(&["other"]), 1, 3));
    assert_eq!(list("state=disconnected"), (ids(&[]), 0, 3));

    let one = visitor.json("/api/v1/clients/b%2F1");
    assert_eq!(one["client"]["version"], "5.0");
    assert_eq!(one["subscriptions"]["rows"][0]["filter"], "x/#");
    assert_eq!(visitor.get("/api/v1/clients/nobody").fault(), "not_found");

    let gone = visitor.delete("/api/v1/clients/b%2F1");
    assert_eq!(
        (gone.status, &gone.json()["disconnected"]),
        (200, &true.into())
    );
    clients[0].expect("DISCONNECT 0x98");
    assert_eq!(visitor.delete("/api/v1/clients/b%2F1").fault(), "not_found");
}

#[test]
fn a_session_ends_with_its_client_where_that_is_asked() {
    let (broker, visitor) = broker(&["--workers", "2"]);
    for id in ["here", "away"] {
        let mut client = RawClient::subscriber(broker.port, &Hello::new(id).kept(), "x/#", 1);
        if id == "away" {
            client.ping();
            drop(client);
            let begun = std::time::Instant::now();
            while visitor.json("/api/v1/clients/away")["client"]["connected"] == true {
                assert!(begun.elapsed() < PATIENCE, "it is still connected");
            }
            assert_eq!(visitor.delete("/api/v1/clients/away").fault(), "not_found");
        } else {
            let gone = visitor.delete("/api/v1/clients/here");
            assert_eq!(gone.json(), serde_json::json!({ "disconnected": true }));
            client.expect("DISCONNECT 0x98");
            assert_eq!(visitor.get("/api/v1/clients/here").status, 200);
        }
        let gone = visitor.delete(&format!("/api/v1/clients/{id}?session=true"));
        let told = serde_json::json!({ "disconnected": false, "session_ended": true });
        assert_eq!((gone.status, gone.json()), (200, told), "{id}");
        let path = format!("/api/v1/clients/{id}");
        assert_eq!(visitor.get(&path).fault(), "not_found");
    }
    assert_eq!(
        visitor.json("/api/v1/overview")["sample"]["clients"]["sessions"],
        0
    );
    let both = Hello::new("both").kept();
    let mut client = RawClient::subscriber(broker.port, &both, "x/#", 1);
    let gone = visitor.delete("/api/v1/clients/both?session=true");
    let told = serde_json::json!({ "disconnected": true, "session_ended": true });
    assert_eq!(gone.json(), told);
    client.expect("DISCONNECT 0x98");
    assert_eq!(
        visitor.delete("/api/v1/clients/both?session=1").fault(),
        "bad_request"
    );
}

#[test]
fn what_waits_for_a_client_is_shown() {
    let (broker, visitor) = broker(&[]);
    let mut reader = RawClient::subscriber(broker.port, &Hello::new("reader"), "q", 1);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    writer.send(&packets::publish(Version::V5, "q", "text", 1, 7, &[]));
    writer.expect("PUBACK");
    reader.expect("PUBLISH");
    let one = visitor.json("/api/v1/clients/reader");
    assert_eq!(one["inflight"]["total"], 1);
    assert_eq!(one["inflight"]["rows"][0]["state"], "publish");
}

#[test]
fn retained_messages_are_listed_read_and_taken_away() {
    let (broker, visitor) = broker(&[]);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for topic in ["r/1", "r/2", "s"] {
        writer.send(&retained(topic, "kept"));
    }
    writer.ping();
    let list = visitor.json("/api/v1/retained?filter=r/%23");
    assert_eq!(list["rows"].as_array().unwrap().len(), 2);
    assert_eq!(list["total"], 3);
    assert_eq!(list["rows"][0]["payload"]["text"], "kept");
    let one = visitor.json("/api/v1/retained/message?topic=r/2");
    assert_eq!((&one["topic"], &one["size"]), (&"r/2".into(), &4.into()));
    let gone = visitor.delete("/api/v1/retained?filter=r/%2B");
    assert_eq!(gone.json()["deleted"], 2);
    assert_eq!(visitor.json("/api/v1/retained")["total"], 1);
    let missing = visitor.get("/api/v1/retained/message?topic=r/2");
    assert_eq!(
        (missing.status, missing.fault().as_str()),
        (404, "not_found")
    );
}

#[test]
fn a_page_of_retained_messages_leads_to_the_next() {
    let (broker, visitor) = broker(&[]);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for n in 0..250 {
        writer.send(&retained(&format!("p/{n}"), "x"));
    }
    writer.ping();
    let (mut from, mut seen) = ("0".to_owned(), Vec::new());
    loop {
        let page = visitor.json(&format!(
            "/api/v1/retained?filter=p/%23&limit=100&from={from}"
        ));
        let rows = page["rows"].as_array().unwrap().iter();
        seen.extend(rows.map(|row| row["topic"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => from = next.to_owned(),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 250);
}

#[test]
fn figures_for_prometheus_are_in_its_text() {
    let (broker, visitor) = broker(&[]);
    let mut client = RawClient::connect(broker.port, &Hello::new("c"));
    client.send(&packets::publish(Version::V5, "a", "x", 1, 1, &[]));
    client.expect("PUBACK");
    let answer = visitor.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(
        answer.body.contains("\nmqttx_clients_connected 1"),
        "{}",
        answer.body
    );
    for line in [
        "mqttx_messages_received_total{qos=\"1\"} 1",
        "mqttx_payload_bytes_sent_total{qos=\"0\"} 0",
        "mqttx_messages_dropped_total{reason=\"slow\"} 0",
        "mqttx_answer_seconds_bucket{le=\"+Inf\"} 1",
        "# HELP mqttx_stats_publish_received PUBLISH packets received",
    ] {
        assert!(
            answer.body.contains(&format!("\n{line}\n")),
            "{line}: {}",
            answer.body
        );
    }
    assert!(answer.body.ends_with("# EOF\n"));
}

#[test]
fn the_dashboard_for_grafana_asks_for_figures_that_there_are() {
    let (_broker, visitor) = broker(&[]);
    let metrics = visitor.get("/metrics").body;
    let text = include_str!("../../../docs/grafana.json");
    let _: serde_json::Value = serde_json::from_str(text).unwrap();
    let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut count = 0;
    for name in names.filter(|name| name.starts_with("mqttx_")) {
        assert!(metrics.contains(&format!("\n{name}")), "{name}");
        count += 1;
    }
    assert!(count > 10);
}
